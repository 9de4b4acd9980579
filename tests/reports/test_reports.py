"""Reports: plots are true to their values, pages are self-contained, everything is escaped."""

from __future__ import annotations

import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from posewright.codecs import DEKR, CombinedUDP, Heatmap, SimCC
from posewright.datasets import Dataset, Sample
from posewright.datasets.synthetic import synth
from posewright.errors import OutputError, SourceError
from posewright.evaluation.evaluate import evaluate
from posewright.evaluation.scoring import Scoring
from posewright.metrics.ranking import Curve
from posewright.people import People
from posewright.reports import draw_targets, evaluation_report, page, plots, training_report
from posewright.reports.evaluation import scoring_parts
from posewright.reports.gallery import worst_people
from posewright.runtimes import load_model
from posewright.skeletons import COCO17
from posewright.weights import EMBEDDED

VOID = {"meta", "img", "br"}


class Checked(HTMLParser):
    """Asserts that tags are closed in order and that nothing comes from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.images: list[bytes] = []

    def handle_starttag(self, tag, attrs) -> None:
        assert tag not in ("script", "link", "iframe", "object")
        for name, value in attrs:
            assert not name.startswith("on") and name not in ("href", "srcset")
            if name == "src":
                assert value.startswith("data:image/jpeg;base64,")
                self.images.append(base64.b64decode(value.partition(",")[2]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        pass

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text.append(data)


def checked(html: str) -> Checked:
    parser = Checked()
    parser.feed(html)
    assert parser.open == []
    assert "url(" not in html and "@import" not in html and "http:" not in html
    assert "nan" not in re.sub(r"base64,[^\"]+", "", html).lower()
    return parser


def svg(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def corners(path: str) -> np.ndarray:
    return np.array([p.split() for p in path.lstrip("M").split("L")], float)


# --- plots ---------------------------------------------------------------------------------------


def test_a_line_goes_through_its_values() -> None:
    drawn = svg(plots.lines({"a": [(0, 1), (1, 3), (2, 2)]}, "t", "x", "y"))
    line = next(p for p in drawn.iter("path") if "l" in p.attrib["class"].split())
    (x0, y0), (x1, y1), (x2, y2) = corners(line.attrib["d"])
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert (y2 - y0) == pytest.approx((y1 - y0) / 2, abs=0.2) and y1 < y0  # up is smaller
    texts = [t.text for t in drawn.iter("text")]
    assert {"t", "x", "y"} <= set(texts) and "a" not in texts  # one line needs no legend


def test_several_lines_have_a_legend_and_differ() -> None:
    series = {f"n{i}": [(0.0, float(i)), (1.0, float(i + 1))] for i in range(10)}
    drawn = svg(plots.lines(series, "t", "x", "y"))
    found = [p for p in drawn.iter("path") if p.attrib["class"].startswith("l ")]
    looks = {(p.attrib["class"], p.attrib.get("stroke-dasharray")) for p in found}
    assert len(looks) == 10
    assert set(series) <= {t.text for t in drawn.iter("text")}


def test_values_that_are_not_finite_are_left_out() -> None:
    assert plots.lines({"a": [(0, math.nan)]}, "t", "x", "y") == ""
    assert plots.lines({}, "t", "x", "y") == "" == plots.bars({}, "t", "x", "y")
    assert plots.stacked({}, "t") == "" == plots.points({"a": (0.0, 1.0)}, "t", "x", "y")
    text = plots.lines({"a": [(0, 1), (1, math.inf), (2, math.nan), (3, 2)]}, "t", "x", "y")
    assert "nan" not in text and "inf" not in text


def test_equal_values_and_single_points_are_drawn() -> None:
    assert svg(plots.lines({"a": [(1, 5), (2, 5)]}, "t", "x", "y")).find("path") is not None
    assert svg(plots.lines({"a": [(1, 0)]}, "t", "x", "y")).find("circle") is not None
    assert svg(plots.points({"a": (3.0, 0.5)}, "t", "x", "y")).find("circle") is not None


def test_whole_numbers_have_whole_ticks_and_an_axis_may_be_given() -> None:
    drawn = svg(plots.lines({"a": [(1, 0), (2, 0), (3, 0)]}, "t", "epoch", "", (0, 1)))
    texts = [t.text for t in drawn.iter("text")]
    assert {"1", "2", "3", "0.2", "0.8"} <= set(texts) and not {"1.5", "-1"} & set(texts)


def test_long_series_are_thinned_and_keep_their_end() -> None:
    text = plots.lines({"a": [(i, i % 2) for i in range(100_000)]}, "t", "x", "y")
    line = next(p for p in svg(text).iter("path") if p.attrib["class"] == "l s0")
    places = corners(line.attrib["d"])
    assert len(places) <= 602 and len(text) < 20_000
    assert places[-1, 0] == places[:, 0].max() == pytest.approx(428, abs=0.2)


def test_bars_are_as_high_as_their_values() -> None:
    drawn = svg(plots.bars({"a": 1, "b": 2, "c": 0}, "t", "x", "y"))
    a, b, c = (float(r.attrib["height"]) for r in drawn.iter("rect"))
    assert b == pytest.approx(2 * a, abs=0.2) and c == 0
    assert [t.text for t in drawn.iter("title")] == ["a: 1", "b: 2", "c: 0"]


def test_stacked_shares_fill_their_row() -> None:
    rows = {"nose": {"good": 0.5, "miss": 0.5}, "neck": {"good": -1.0, "miss": -1.0}}
    drawn = svg(plots.stacked(rows, "t"))
    shares = [r for r in drawn.iter("rect") if r.find("title") is not None]
    assert len(shares) == 2  # nothing is known of the neck
    widths = [float(r.attrib["width"]) for r in shares]
    assert widths[0] == widths[1] and sum(widths) == pytest.approx(318, abs=0.2)


def test_points_lie_on_a_logarithmic_axis() -> None:
    places = {"a": (1.0, 0.1), "b": (10.0, 0.2), "c": (100.0, 0.3)}
    drawn = svg(plots.points(places, "t", "ms", "AP"))
    x = [float(c.attrib["cx"]) for c in drawn.iter("circle")]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2) and x[0] < x[1]
    assert {"1", "10", "100"} <= {t.text for t in drawn.iter("text")}


EVIL = '<script>alert("x")</script>&'


@pytest.mark.parametrize(
    "text",
    [
        plots.lines({EVIL: [(0, 1), (1, 2)], "b": [(0, 1)]}, EVIL, EVIL, EVIL, x_labels=[EVIL]),
        plots.bars({EVIL: 1.0}, EVIL, EVIL, EVIL),
        plots.stacked({EVIL: {EVIL: 1.0}}, EVIL),
        plots.points({EVIL: (1.0, 1.0)}, EVIL, EVIL, EVIL),
        page.page(EVIL, page.section(EVIL, page.note(EVIL))),
        page.table([EVIL], [[EVIL]]) + page.facts({EVIL: EVIL}) + page.code(EVIL),
        page.picture(np.zeros((4, 4, 3), np.uint8), EVIL),
        "".join(scoring_parts(Scoring(EVIL, {EVIL: 0.5}, {EVIL: {EVIL: 0.5}}))),
    ],
)
def test_text_is_escaped(text: str) -> None:
    assert "<script" not in text
    checked(text)
    assert "&lt;script&gt;" in text


# --- page ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.50488, "0.5049"),
        (1.0, "1.0000"),
        (87.301, "87.30"),
        (-1, "-"),
        (-1.0, "-"),
        (None, "-"),
        (math.nan, "-"),
        (12, "12"),
        ("x", "x"),
        (0.0, "0.0000"),
        (1e-5, "1e-05"),
        (np.float64(0.25), "0.2500"),
        (np.int64(3), "3"),
        (123456.0, "1.23e+05"),
        (True, "True"),
    ],
)
def test_numbers_are_written_for_readers(value, text: str) -> None:
    assert page.number(value) == text


def test_a_page_is_one_file_for_phones_in_light_and_dark(tmp_path: Path) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30, 0] = 255
    figure = page.picture(image, "red on the left")
    written = page.write_page(tmp_path / "x" / "report.html", page.page("title", figure))
    text = written.read_text(encoding="utf-8")
    found = checked(text)
    assert "prefers-color-scheme:dark" in text and 'name="viewport"' in text
    shown = cv2.imdecode(np.frombuffer(found.images[0], np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == image.shape and shown[20, 5, 2] > 200 and shown[20, 55, 2] < 50
    assert [p.name for p in written.parent.iterdir()] == ["report.html"]


def test_a_page_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        page.write_page(tmp_path / "file" / "report.html", "")


# --- training ------------------------------------------------------------------------------------


def run_folder(folder: Path) -> Path:
    rows = [f"{i},{i // 10},{1 / (i + 1)},0.001,2.0,64.5,0.5" for i in range(1, 41)]
    head = "step,epoch,loss,lr,seconds,images_per_second,data_wait"
    (folder / "log.csv").write_text("\n".join([head, *rows]) + "\n41,4,0.")  # cut short by a crash
    (folder / "validation.csv").write_text(
        "epoch,step,AP,AP50,EPE\n1,10,0.2,0.5,9.5\n2,20,0.625,0.9,4.5\n3,30,0.4,0.8,6\n"
    )
    (folder / "recipe.toml").write_text('model = "hrnet_w32"\nweights = "<none>"\n')
    (folder / "environment.json").write_text(json.dumps({"packages": {"torch": "2.13"}}))
    (folder / "data.json").write_text(
        json.dumps({"train": {"pictures": 40}, "held_back": [f"{i}.jpg" for i in range(20)]})
    )
    cv2.imwrite(str(folder / "targets.jpg"), np.full((32, 48, 3), 200, np.uint8))
    return folder


def test_training_report_tells_the_run(tmp_path: Path) -> None:
    path = training_report(run_folder(tmp_path))
    assert path == tmp_path / "report.html"
    found = checked(path.read_text(encoding="utf-8"))
    text = " ".join(" ".join(found.text).split())
    for expected in (
        "best AP 0.6250",
        "in epoch 2",
        "steps 40",
        "images per second 64.50",
        "25.0%",
        "1 min 20 s",
        'weights = "<none>"',
        "packages.torch 2.13",
        "train.pictures 40",
        "0.jpg, 1.jpg",
        "and 12 more",
        "Loss",
        "Learning rate",
        "Validation: AP",
    ):
        assert expected in text, expected
    assert len(found.images) == 1
    assert cv2.imdecode(np.frombuffer(found.images[0], np.uint8), 1).shape == (32, 48, 3)


def test_training_report_of_an_empty_folder_says_so(tmp_path: Path) -> None:
    text = training_report(tmp_path).read_text(encoding="utf-8")
    checked(text)
    for expected in (
        "No training step has been logged",
        "No validation has been run",
        "not written",
    ):
        assert expected in text
    training_report(tmp_path)  # and again over itself
    with pytest.raises(SourceError, match="not a run folder"):
        training_report(tmp_path / "gone")


def test_training_report_bears_broken_files(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b"step,loss\n1,nan\nx,inf\n\xff\xfe\n")
    (tmp_path / "validation.csv").write_text("epoch,step,AP\n1,5,-1\n")
    (tmp_path / "environment.json").write_text("{broken")
    (tmp_path / "data.json").write_text("[1]")
    text = training_report(tmp_path).read_text(encoding="utf-8")
    checked(text)
    assert "environment.json cannot be read" in text and "No validation has been run" in text


# --- evaluation ----------------------------------------------------------------------------------


def test_scoring_of_nothing_says_so() -> None:
    assert "no labels to measure against" in "".join(scoring_parts(Scoring("coco", {"AP": -1.0})))


def test_scoring_is_told_in_full() -> None:
    shares = dict(
        zip(("good", "jitter", "inversion", "swap", "miss"), (0.5, 0.2, 0.1, 0.1, 0.1), strict=True)
    )
    more = {"AP_by_threshold": {"0.50": 0.9, "0.55": 0.8}, "oks_histogram": [0] * 19 + [7]}
    curve = Curve(np.linspace(1, 0, 101)[None] ** np.arange(1, 11)[:, None], np.ones(10))
    numbers = {"AP": 0.512, "AP50": 0.75}
    scoring = Scoring("coco", numbers, {"nose": shares}, more, {"all": curve})
    text = "".join(scoring_parts(scoring))
    checked(text)
    for expected in (
        "0.5120",
        "Precision over recall",
        "OKS 0.95",
        "AP by OKS threshold",
        "0.95: 7",
        "Mistakes by joint",
        "nose, jitter: 20.0%",
    ):
        assert expected in text, expected
    without = "".join(scoring_parts(Scoring("lsp", {"PCK@0.2": 81.25}, {"nose": {"PCK": 81.0}})))
    assert "81.25" in without and "Mistakes" not in without and "Precision" not in without


def test_the_worst_people_are_shown_worst_first_with_their_labels_beside(tmp_path: Path) -> None:
    samples, results = [], []
    for name in ("a", "b", "gone"):
        path = tmp_path / f"{name}.png"
        if name != "gone":
            cv2.imwrite(str(path), np.full((120, 160, 3), 90, np.uint8))
        points = np.full((2, 17, 3), 2.0)
        points[:, :, :2] = np.random.default_rng(0).uniform(30, 90, (2, 17, 2))
        samples.append(Sample.of(path, (160, 120), name, points))
        results.append(People.empty(COCO17))
    likeness = [np.array([0.7, -1.0]), np.array([0.9, 0.2]), np.array([0.0, 0.1])]
    text = "".join(worst_people(samples, results, likeness, COCO17, COCO17, 2))
    found = checked(text)
    assert found.text == ["b.png, person 2: 0.200", "a.png, person 1: 0.700"]
    shown = cv2.imdecode(np.frombuffer(found.images[0], np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (300, 480, 3)
    assert np.ptp(shown[60:240, 40:200].astype(int)) > 100  # the labels
    assert np.ptp(shown[60:240, 280:440].astype(int)) < 20  # nobody was found
    assert worst_people(samples, results, likeness, COCO17, COCO17, 0) == []


def test_evaluation_report_of_a_run(tmp_path: Path) -> None:
    dataset = synth(tmp_path / "s", 4, 1)
    dataset[3].image.write_bytes(b"\x89PNG broken")
    evaluation = evaluate(load_model(EMBEDDED["movenet-thunder"].path), dataset)
    path = evaluation_report(evaluation, dataset, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "report.html"
    found = checked(path.read_text(encoding="utf-8"))
    text = " ".join(" ".join(found.text).split())
    for expected in (
        "movenet-thunder on synthetic",
        "3 images (1 cannot be read)",
        "Precision over recall",
        "People by OKS",
        "Mistakes by joint",
        "right_ankle",
        "Worst people",
        "000004.png",
        "box",
    ):
        assert expected in text, expected
    assert len(found.images) == min(12, sum(len(sample) for sample in dataset[:3]))
    shown = [float(t.rpartition(" ")[2]) for t in found.text if t.startswith("00000")]
    assert shown == sorted(shown)


def test_evaluation_report_of_nothing(tmp_path: Path) -> None:
    dataset = Dataset("nothing", COCO17, ())
    evaluation = evaluate(load_model(EMBEDDED["movenet-thunder"].path), dataset)
    text = evaluation_report(evaluation, dataset, tmp_path).read_text(encoding="utf-8")
    checked(text)
    assert "There were no labels to measure against" in text and "Worst people" not in text


# --- targets -------------------------------------------------------------------------------------


def views_and_people(count: int, size: tuple[int, int]) -> tuple[np.ndarray, list[People]]:
    rng = np.random.default_rng(0)
    points = rng.uniform(10, np.array(size) - 10, (count, 1, 17, 2)).astype(np.float32)
    views = np.full((count, size[1], size[0], 3), 90, np.uint8)
    return views, [People.of(keypoints=p) for p in points]


@pytest.mark.parametrize("codec", [Heatmap(), Heatmap(unbiased=True, refine="udp"), CombinedUDP()])
def test_maps_lie_where_the_joints_are(codec) -> None:
    """The hottest place of the right half is the joint's place in the left half, within a cell."""
    views, _ = views_and_people(1, codec.input_size)
    points = np.zeros((1, 17, 2), np.float32)
    points[0, 0] = (123, 57)
    scores = np.zeros((1, 17), np.float32)
    scores[0, 0] = 1
    people = People.of([[0, 0, 191, 255]], None, points, scores)
    sheet = draw_targets(views, [people], codec.encode(people), codec, COCO17)
    assert sheet.shape == (256, 384, 3)
    changed = np.abs(sheet.astype(int) - 90).sum(2)
    y, x = np.nonzero(changed[:, :192] > 60)
    assert (x.mean(), y.mean()) == pytest.approx((123, 57), abs=1)
    y, x = np.nonzero(changed[:, 192:] > 60)
    assert (x.mean(), y.mean()) == pytest.approx((123, 57), abs=1)


def test_targets_that_are_no_maps_show_the_joints_alone() -> None:
    codec = SimCC()
    views, people = views_and_people(5, codec.input_size)
    targets = codec.encode(People.concat(people))
    sheet = draw_targets(views, people, targets, codec, COCO17)
    assert sheet.shape == (2 * 256 + 4, 4 * 192 + 3 * 4, 3)
    assert (sheet[:256, :192] != 90).any()


def test_whole_picture_targets_tensors_and_limits() -> None:
    torch = pytest.importorskip("torch")
    codec = DEKR()
    views, people = views_and_people(2, codec.input_size)
    parts = [codec.encode(p) for p in people]
    targets = {k: torch.cat([torch.from_numpy(p[k]) for p in parts]) for k in parts[0]}
    sheet = draw_targets(views, people, targets, codec, COCO17)
    assert sheet.shape == (320, 4 * 320 + 4, 3)  # reduced from 512
    many, crowd = views_and_people(40, (48, 64))
    assert draw_targets(many, crowd, {}, codec, COCO17).shape == (4 * 64 + 12, 4 * 48 + 12, 3)
    assert draw_targets(many[:0], [], {}, codec, COCO17).shape == (0, 0, 3)
    nobody = [People.empty(COCO17)]
    assert (draw_targets(many[:1], nobody, {}, codec, COCO17) == many[0]).all()


def test_a_joint_outside_of_the_view_is_not_drawn() -> None:
    views, _ = views_and_people(1, (48, 64))
    points = np.full((1, 17, 2), 500, np.float32)
    outside = [People.of(keypoints=points)]
    assert (draw_targets(views, outside, {}, SimCC(), COCO17) == views[0]).all()
