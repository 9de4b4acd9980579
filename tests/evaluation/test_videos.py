"""Tracks in eval: joints and boxes of PoseTrack's videos, from files and from a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.cli import main
from posewright.codecs import PoseFix
from posewright.datasets import Dataset, Sample, open_dataset
from posewright.datasets.formats.coco_out import write_labels
from posewright.errors import UsageError
from posewright.evaluation import running
from posewright.evaluation.evaluate import Evaluation, evaluate
from posewright.evaluation.scoring import main_metric, score_files
from posewright.evaluation.track_files import read_posetrack_boxes
from posewright.evaluation.videos import box_frames, frame_numbers, posetrack_frames, videos
from posewright.metrics.box_tracks import BoxFrame, grown_extents, track_numbers
from posewright.metrics.tracking import in_percent
from posewright.people import Frame, People
from posewright.reports import evaluation_report
from posewright.skeletons import POSETRACK17
from posewright.trackers import Tracker, create_tracker
from posewright.warp import Warp
from tests.helpers.models import Knowing
from tests.helpers.posetrack import REST, SIZE, call, changed, swapped, video, written

BOXES = ("MOTA", "MOTP", "IDF1", "HOTA", "DetA", "AssA", "IDs", "FM", "MT", "PT", "ML")
BOTH = ("posetrack", "mot")


@pytest.fixture()
def labels(tmp_path: Path) -> Path:
    """One file of labels and the images, each of the grey level of its number."""
    (tmp_path / "000001").mkdir()
    for f in range(10):
        grey = np.full((SIZE[1], SIZE[0], 3), f, np.uint8)
        cv2.imwrite(str(tmp_path / "000001" / f"{f:06d}.png"), grey)
    return written(tmp_path / "labels.json", video())


# --- files ---------------------------------------------------------------------------------------


def test_perfect_and_swapped_files(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(labels, "--predictions", labels, "--metrics", "posetrack,mot", "--json") == 0
    perfect = json.loads(capsys.readouterr().out)
    assert {k: perfect[f"box_{k}"] for k in BOXES} == {
        "MOTA": 100,
        "MOTP": 0,
        "IDF1": 1,
        "HOTA": 100,
        "DetA": 100,
        "AssA": 100,
        "IDs": 0,
        "FM": 0,
        "MT": 2,
        "PT": 0,
        "ML": 0,
    }
    assert (perfect["mAP"], perfect["MOTA"], perfect["IDF1"], perfect["box_of"]) == (
        100,
        100,
        1,
        "bbox",
    )
    found = written(tmp_path / "found.json", changed(video(), swapped))
    numbers = score_files("posetrack", labels, found, BOTH).numbers
    assert (numbers["box_IDs"], numbers["box_MOTA"], numbers["box_IDF1"]) == (2, 90, 0.5)
    assert (numbers["IDs"], numbers["MOTA"], numbers["IDF1"]) == (30, 90, 0.5)
    assert numbers["box_DetA"] == 100
    assert numbers["box_AssA"] == pytest.approx(100 / 3)  # 5 of 15 frames with either
    assert numbers["box_HOTA"] == pytest.approx(100 * (1 / 3) ** 0.5)


def test_metrics_are_those_asked_for(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for metrics, names in ((BOTH[:1], ("MOTA", "mAP")), (BOTH[1:], ("box_MOTA",))):
        scoring = score_files("posetrack", labels, labels, metrics)
        assert set(names) <= set(scoring.numbers)
        assert all(name.startswith("box_") == ("mot" in metrics) for name in scoring.numbers)
        assert bool(scoring.joints) == ("posetrack" in metrics)
        assert (scoring.more["sequences"], scoring.more["frames"]) == (1, 10)
    assert (
        score_files("posetrack", labels, labels).numbers
        == score_files("posetrack", labels, labels, BOTH[:1]).numbers
    )
    assert call(labels, "--predictions", labels, "--metrics", "mot") == 0
    text = capsys.readouterr().out
    assert "box_MOTA  100.00" in text and "box_...: for people's bounding boxes" in text


def test_boxes_of_joints_where_a_file_has_none(labels: Path, tmp_path: Path) -> None:
    def bare(person: dict[str, Any]) -> dict[str, Any]:
        del person["bbox"]
        return person

    def astray(person: dict[str, Any]) -> dict[str, Any]:
        left, *rest = person["bbox"]
        return {**person, "bbox": [left + 1000, *rest]}

    file = written(tmp_path / "bare.json", changed(video(), bare))
    for pair in ((labels, file), (file, labels)):
        scoring = score_files("posetrack", *pair, ["mot"])
        assert (scoring.more["box_of"], scoring.numbers["box_HOTA"]) == ("joints", 100)
    file = written(tmp_path / "astray.json", changed(video(), astray))
    numbers = score_files("posetrack", labels, file, BOTH).numbers
    assert (numbers["MOTA"], numbers["box_MOTA"], numbers["box_IDF1"]) == (100, -100, 0)


def test_crowds_and_people_without_joints_are_nobody(labels: Path, tmp_path: Path) -> None:
    data = video()
    joint = data["annotations"][0]
    data["annotations"] += [
        {**joint, "track_id": 8, "iscrowd": True},
        {**joint, "track_id": 9, "keypoints": [0] * 51},
        {**joint, "track_id": 9, "keypoints": []},
    ]
    more = written(tmp_path / "more.json", data)
    assert score_files("posetrack", more, labels, ["mot"]).numbers["box_MOTA"] == 100
    sequences, own = read_posetrack_boxes(more, labels)
    assert own and [len(f.truth_ids) for f in sequences[0]] == [2] * 10


def test_nobody_is_nothing(labels: Path, tmp_path: Path) -> None:
    nobody = written(tmp_path / "nobody.json", {**video(), "annotations": []})
    numbers = score_files("posetrack", labels, nobody, BOTH).numbers
    assert (numbers["mAP"], numbers["MOTA"], numbers["box_MOTA"], numbers["box_FN"]) == (
        0,
        0,
        0,
        20,
    )
    numbers = score_files("posetrack", nobody, nobody, BOTH).numbers
    assert numbers["MOTA"] == numbers["box_MOTA"] == numbers["box_HOTA"] == -1


def test_a_broken_box_is_one_line(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for box in ([1, 2, 3], [1, 2, 3, float("nan")], "abcd", [[1]]):
        file = written(tmp_path / "b.json", changed(video(), lambda p, b=box: {**p, "bbox": b}))
        assert call(labels, "--predictions", file, "--metrics", "mot") == 3, box
        assert capsys.readouterr().err.count("\n") == 1


def test_joints_that_are_labelled_nowhere_are_not_measured(labels: Path, tmp_path: Path) -> None:
    def noseless(person: dict[str, Any]) -> dict[str, Any]:
        return {**person, "keypoints": [0, 0, 0, *person["keypoints"][3:]]}

    truth = written(tmp_path / "noseless.json", changed(video(), noseless))
    scoring = score_files("posetrack", truth, labels)
    assert scoring.numbers["MOTA"] == 100 and scoring.numbers["FP"] == 0
    assert scoring.joints["nose"] == {"AP": -1, "MOTA": -1}


# --- arrays --------------------------------------------------------------------------------------


def test_extents_by_hand() -> None:
    points = np.zeros((3, 5, 3))
    points[0, :3] = [[10, 20, 1], [50, 20, 1], [30, 100, 0.5]]
    points[1, :2] = 1  # too few joints
    points[2, :3] = [[7, 7, 1]] * 3
    assert grown_extents(points).tolist() == [
        [5, 10, 50, 100],
        [0, 0, 0, 0],
        [5.75, 5.75, 2.5, 2.5],
    ]
    assert grown_extents(points[:0]).shape == (0, 4)
    frame = BoxFrame(grown_extents(points), grown_extents(points), np.arange(3), np.arange(3))
    assert frame.sight(0.5).truth.tolist() == [0, 2]  # nowhere is not to be found
    assert track_numbers([[frame], [frame]])["MOTA"] == 1
    assert track_numbers([])["HOTA"] == -1


def test_percentages() -> None:
    low = {"MOTA": -1.0, "Rcll": 0.5, "IDF1": 0.25, "HOTA": -1.0, "FP": 3}
    assert in_percent(low) == {"MOTA": -100, "Rcll": 50, "IDF1": 0.25, "HOTA": -1, "FP": 3}
    assert in_percent({"MOTA": -1.0, "Rcll": -1.0}) == {"MOTA": -1, "Rcll": -1}


def sample(folder: str, number: int, frame: int = 0, name: str = "1") -> Sample:
    points = np.c_[REST, np.ones(17)][None]
    return Sample.of(
        Path(folder) / "a.png",
        SIZE,
        number,
        points,
        ids=[0],
        heads=[[0, 0, 20, 20]],
        video=name,
        frame=frame,
    )


def test_videos_in_their_order() -> None:
    samples = [sample("b", 9), sample("a", 5), sample("b", 2), sample("b", 3, name="2")]
    assert [rows.tolist() for rows in videos(samples)] == [[2, 0], [3], [1]]
    assert frame_numbers([sample("a", i, f) for i, f in enumerate((70, 71, 75))]).tolist() == [
        0,
        1,
        5,
    ]
    assert frame_numbers([sample("a", i) for i in range(3)]).tolist() == [0, 1, 2]


def test_tracks_are_of_those_with_an_id_and_of_joints_that_are_seen() -> None:
    truth = sample("a", 1)
    dataset = Dataset("made", POSETRACK17, (truth,))
    two = People.concat([truth.people, truth.people]).replace(ids=np.array([5, -1]))
    scores = two.scores * 0.9
    scores[0, 0] = 0.29
    everybody, shared = two.replace(scores=scores), np.ones(17, bool)
    [[frame]] = posetrack_frames(dataset, [everybody], shared)
    assert frame.found.shape == (2, 15, 3) and (frame.found[:, :, 2] > 0).all()
    [[frame]] = posetrack_frames(dataset, [everybody], shared, tracked=True)
    assert frame.found_ids.tolist() == [5]
    nose = POSETRACK17.mapping(POSETRACK17)[POSETRACK17["nose"]]
    assert (frame.found[0, :, 2] == 0).sum() == 1 and nose == 0
    [[boxes]], own = box_frames(dataset, [everybody], shared)
    assert not own and boxes.found_ids.tolist() == [5]  # the labels have the extents alone
    assert boxes.truth == pytest.approx(
        grown_extents(np.c_[REST, np.ones(17)][None][:, ears_out()])
    )
    moved = truth.replace(people=truth.people.replace(boxes=truth.people.boxes + 1))
    [[boxes]], own = box_frames(Dataset("made", POSETRACK17, (moved,)), [everybody], shared)
    assert own and boxes.truth[0, :2] == pytest.approx(truth.people.boxes[0, :2] + 1)


def ears_out() -> list[int]:
    return [k for k, name in enumerate(POSETRACK17.joints) if "ear" not in name]


def test_a_rate_in_labels_is_kept(labels: Path, tmp_path: Path) -> None:
    for rate, read in ((12.5, 12.5), ("x", 0), (-1, 0), (None, 0), (float("inf"), 0)):
        file = written(labels, video(more={"fps": rate}))
        dataset = open_dataset(file, "posetrack")
        assert {s.fps for s in dataset} == {read}
        write_labels(dataset, tmp_path / "again.json")
        entry = json.loads((tmp_path / "again.json").read_text())["images"][0]
        assert entry.get("fps", 0) == read


# --- a model -------------------------------------------------------------------------------------


class TopDown(Knowing):
    """A model that says nothing but where it looked: every joint in the middle of the box."""

    def warps(self, size: tuple[int, int], people: People | None) -> list[Warp]:
        assert people is not None
        return [Warp(np.array([[1, 0, -b[0]], [0, 1, -b[1]]]), SIZE) for b in people.boxes]

    def decode(self, outputs: Any) -> list[People]:
        return [People.of(None, [1], np.full((1, 17, 2), 40.0)) for _ in outputs["level"]]


def dataset_of(labels: Path, images: Path | None = None) -> Dataset:
    dataset = open_dataset(labels, "posetrack", images)
    assert isinstance(dataset, Dataset)
    return dataset


def knowing(dataset: Dataset, score: float = 0.9) -> Knowing:
    """The model that finds exactly the truth."""
    ones = [np.full(s.people.scores.shape, score, np.float32) for s in dataset]
    nobody = [np.full(len(s), -1) for s in dataset]
    return Knowing(
        [
            s.people.replace(scores=one, ids=ids)
            for s, one, ids in zip(dataset, ones, nobody, strict=True)
        ],
        POSETRACK17,
    )


def test_a_model_that_knows_is_perfect(labels: Path, tmp_path: Path) -> None:
    dataset = dataset_of(labels)
    model = knowing(dataset)
    found = evaluate(model, dataset, tracker="oks", metrics=BOTH)
    numbers = found.scoring.numbers
    assert (numbers["mAP"], numbers["MOTA"], numbers["IDF1"], numbers["IDs"]) == (100, 100, 1, 0)
    assert numbers["box_MOTA"] == numbers["box_HOTA"] == 100 and numbers["box_IDF1"] == 1
    assert all(row == {"AP": 100, "MOTA": 100} for row in found.scoring.joints.values())
    assert [sorted(p.ids.tolist()) for p in found.results] == [[1, 2]] * 10
    assert found.settings["tracker"] == "oks" and found.scoring.more["box_of"] == "bbox"
    alone = evaluate(model, dataset)
    assert "MOTA" not in alone.scoring.numbers and "tracker" not in alone.settings
    mot = evaluate(model, dataset, tracker="oks", metrics=["mot"])
    assert main_metric(mot.scoring) == ("box_MOTA", 100)
    page = evaluation_report(mot, dataset, tmp_path).read_text()
    assert "box_HOTA" in page and "tracker" in page
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_model_scores_what_its_file_scores(labels: Path, tmp_path: Path) -> None:
    """People who jump and come and go, followed; then the same tracks from a file."""
    dataset = dataset_of(labels)
    rng = np.random.default_rng(4)
    model = knowing(dataset)
    model.answers = [
        p.replace(
            keypoints=p.keypoints + rng.normal(0, 4, p.keypoints.shape).astype("f4"),
            boxes=p.boxes + rng.normal(0, 9, p.boxes.shape).astype("f4"),
        )[rng.random(2) < 0.8]
        for p in model.answers
    ]
    found = evaluate(model, dataset, tracker="ocsort", metrics=BOTH)
    assert 0 < found.scoring.numbers["box_HOTA"] < 100
    scored = score_files("posetrack", labels, tracks_file(found, tmp_path / "found.json"), BOTH)
    numbers, theirs = found.scoring.numbers, scored.numbers
    assert {k: v for k, v in theirs.items() if k != "mAP"} == pytest.approx(
        {k: v for k, v in numbers.items() if k != "mAP"}, abs=1e-6
    )
    assert {j: r["MOTA"] for j, r in scored.joints.items()} == pytest.approx(
        {j: r["MOTA"] for j, r in found.scoring.joints.items()}
    )


def tracks_file(found: Evaluation, file: Path) -> Path:
    """Write those with identities in PoseTrack's form."""
    people = [
        {
            "image_id": s.image_id,
            "track_id": int(p.ids[0]),
            "keypoints": np.c_[p.keypoints[0], p.scores[0]].astype(float).ravel().tolist(),
            "bbox": [*p.boxes[0, :2].tolist(), *(p.boxes[0, 2:] - p.boxes[0, :2]).tolist()],
        }
        for s, everybody in zip(found.samples, found.results, strict=True)
        for p in everybody[everybody.ids >= 0]
    ]
    return written(file, {"annotations": people})


class Recording:
    """A tracker that tells what it was asked."""

    def __init__(self, tracker: Tracker, fps: float, calls: list[Any]) -> None:
        self.tracker, self.calls = tracker, calls
        calls.append(fps)

    def __call__(self, frame: Frame, people: People) -> People:
        self.calls.append((frame.index, round(frame.time, 6), people.ids.tolist()))
        return self.tracker(frame, people)


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []

    def create(name: str, *, skeleton: Any, fps: float, embed: Any) -> Any:
        return Recording(create_tracker(name, skeleton=skeleton, fps=fps), fps, calls)

    monkeypatch.setattr(running, "create_tracker", create)
    return calls


def test_each_video_has_a_tracker_at_its_rate(
    labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images in any order; every second frame of the first video, at 10 frames a second."""
    calls = recorded(monkeypatch)
    dataset = dataset_of(labels)
    model = TopDown([], POSETRACK17, task="joints", top_down=True)
    first = [replace(dataset[i], fps=10.0, video="x") for i in (8, 2, 4)]
    second = [replace(dataset[i], video="y") for i in (3, 1)]
    mixed = replace(dataset, samples=(first[0], second[0], *first[1:], second[1]))
    found = evaluate(model, mixed, tracker="bytetrack", boxes=None)
    ids = [-1, -1]  # rows of labelled people are no identities
    assert calls == [
        25.0,
        (0, 0.0, ids),
        (2, 0.08, ids),
        10.0,
        (0, 0.0, ids),
        (2, 0.2, ids),
        (6, 0.6, ids),
    ]
    assert [p.boxes[:, 0].tolist() for p in found.results] == [
        s.people.boxes[:, 0].tolist() for s in mixed
    ]
    assert [p.ids.tolist() for p in found.results] == [[1, 2]] * 5
    assert found.scoring.more == {"sequences": 2, "frames": 5}


def test_a_picture_that_cannot_be_read_is_not_shown_to_trackers(
    labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = recorded(monkeypatch)
    dataset = dataset_of(labels)
    dataset[3].image.write_bytes(b"no picture")
    found = evaluate(knowing(dataset), dataset, tracker="oks")
    assert [c[0] for c in calls[1:]] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert len(found.unreadable) == 1 and found.scoring.numbers["MOTA"] == 100
    assert found.scoring.more["frames"] == 9


def test_a_tracker_that_compares_looks_is_told_them(labels: Path) -> None:
    """It has features of both people, made from the pixels of their frame."""
    dataset, sides = dataset_of(labels), []

    def look(frame: Frame, people: People) -> Any:
        assert frame.image.shape == (SIZE[1], SIZE[0], 3)
        sides.append(len(people))
        return np.eye(2, dtype=np.float32)[(people.boxes[:, 0] > 100).astype(int)]

    found = evaluate(knowing(dataset), dataset, tracker="appearance", embed=look)
    assert sides and max(sides) == 2
    assert found.scoring.numbers["IDs"] == 0 and found.scoring.numbers["MOTA"] > 85


def test_the_unlikely_are_not_tracked(labels: Path) -> None:
    dataset = dataset_of(labels)
    low = evaluate(knowing(dataset, 0.1), dataset, tracker="poseflow-original")
    assert [len(p) for p in low.results] == [0] * 10 and low.scoring.numbers["MOTA"] == 0
    assert [len(p) for p in evaluate(knowing(dataset, 0.1), dataset).results] == [2] * 10


def test_what_has_no_effect_is_told(labels: Path) -> None:
    dataset = dataset_of(labels)
    model = knowing(dataset)
    nameless = replace(
        dataset,
        samples=tuple(s.replace(people=s.people.replace(ids=np.full(2, -1))) for s in dataset),
    )
    cases: list[tuple[Dataset, dict[str, Any], str]] = [
        (dataset, {"tracker": "okss"}, "did you mean 'oks'"),
        (dataset, {"tracker": "oks", "data": "pck"}, "pck has no videos"),
        (dataset, {"metrics": ["mot"]}, "add --tracker NAME"),
        (dataset, {"metrics": ["mots"]}, "did you mean 'mot'"),
        (dataset, {"metrics": ["mot"], "data": "pck"}, "works only with posetrack"),
        (nameless, {"tracker": "oks"}, "without a unique track_id"),
        (dataset, {"tracker": "appearance"}, "reid"),
    ]
    for data, options, message in cases:
        with pytest.raises(UsageError, match=message):
            evaluate(model, data, **options)
    model.codec = PoseFix((96, 128), sigma=4.0)
    with pytest.raises(UsageError, match="leave the tracker out"):
        evaluate(model, dataset, tracker="oks")


def test_options_of_the_verb(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ("-m", "movenet-thunder")
    cases: list[tuple[str, tuple[object, ...], str]] = [
        (
            "posetrack",
            ("--predictions", labels, "--tracker", "oks"),
            "--tracker has no effect with",
        ),
        ("posetrack", ("--predictions", labels, "--reid", labels), "--reid has no effect with"),
        ("posetrack", ("--predictions", labels, "--metrics", "mot,hota"), "no metric 'hota'"),
        ("coco", ("--predictions", labels, "--metrics", "mot"), "works only with posetrack"),
        ("mot", ("--predictions", labels, "--metrics", "mot"), "works only with posetrack"),
        ("posetrack", (*model, "--reid", labels), "is for --tracker appearance"),
        ("posetrack", (*model, "--metrics", "mot"), "add --tracker NAME"),
        ("posetrack", (*model, "--tracker", "appearance"), "appearance"),
        (
            "posetrack",
            (*model, "--tracker", "appearance", "--reid", "movenet-thunder"),
            "re-identification",
        ),
        ("pck", (*model, "--tracker", "oks"), "pck has no videos"),
        ("posetrack", (*model, "--tracker", "oks", "-o", labels), "cannot be written"),
    ]
    for data, options, message in cases:
        assert main(["eval", data, "--ann", str(labels), *map(str, options)]) == 2, options
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
