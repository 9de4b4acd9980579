"""posewright refine: the joints of saved poses move, and everything else stays."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from posewright.people import Frame, People
from posewright.pipeline import refining
from posewright.pipeline.refiner import Refiner
from posewright.readers import read_results
from posewright.results import Result
from posewright.runtimes import load_model
from posewright.skeletons import COCO17, get_skeleton
from tests.helpers.refiners import small_refiner
from tests.helpers.results import write
from tests.helpers.runs import lines, run

SAVED = {
    "jsonl": "poses.jsonl",
    "parquet": "poses.parquet",
    "coco": "coco-results.json",
    "alphapose": "alphapose-results.json",
    "openpose": "openpose",
}
NAMES = ("a_1.png", "a_2.png", "a_10.png")
RNG = np.random.default_rng(3)
PICTURES = {name: RNG.integers(0, 256, (64, 80, 3), np.uint8) for name in NAMES}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_refiner(tmp_path_factory.mktemp("posefix") / "small.onnx")


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    folder = tmp_path / "walk"
    folder.mkdir()
    for name, image in PICTURES.items():
        cv2.imwrite(str(folder / name), image)
    return folder


def standing(count: int, seed: int, joints: int = 17) -> People:
    rng = np.random.default_rng(seed)
    points, scores = rng.uniform(10, 54, (count, joints, 2)), rng.uniform(0.3, 1, (count, joints))
    scores[:, 3] = 0  # a joint that is not given
    boxes = np.concatenate([points.min(1), points.max(1)], 1)
    return People.of(boxes, rng.uniform(0.5, 1, count), points, scores, range(7, 7 + count))


def of_pictures(walk: Path, skeleton: str = "coco17") -> list[Result]:
    known = get_skeleton(skeleton)
    return [
        Result(standing(2, i, len(known)), known, (80, 64), str(walk / name), i, sequence=str(walk))
        for i, name in enumerate(NAMES)
    ]


def refine(*words: object) -> int:
    return run("refine", *words, "--device", "cpu")


def refined(model: Path, result: Result, image: np.ndarray) -> np.ndarray:
    """The path in memory, on the same poses."""
    return Refiner(load_model(model, device="cpu"))(Frame(image), result.people).keypoints


def rgb(name: str) -> np.ndarray:
    return PICTURES[name][..., ::-1]


def still(value: Any) -> Any:
    """A JSON file without the places of joints."""
    if isinstance(value, list):
        return [still(inner) for inner in value]
    if isinstance(value, dict):
        triples = ("keypoints", "pose_keypoints_2d", "joints", "foot_kpts")
        return {k: v[2::3] if k in triples else still(v) for k, v in value.items()}
    return value


@pytest.mark.parametrize("form", SAVED)
def test_every_format_is_written_again_with_the_joints_of_memory(
    form: str, model: Path, walk: Path, tmp_path: Path
) -> None:
    write(form, tmp_path / "saved", of_pictures(walk))
    before, after = tmp_path / "saved" / SAVED[form], tmp_path / "out" / SAVED[form]
    assert refine(before, "--images", walk, "-m", model, "-o", tmp_path / "out") == 0
    pairs = list(zip(read_results(before), read_results(after), strict=True))
    assert [len(old) for old, _ in pairs] == [2, 2, 2]
    for name, (old, new) in zip(NAMES, pairs, strict=True):
        assert Path(new.source).name == Path(old.source).name
        np.testing.assert_array_equal(new.keypoints, refined(model, old, rgb(name)))
        assert not np.allclose(new.keypoints, old.keypoints)
        for field in ("boxes", "box_scores", "scores", "ids"):
            np.testing.assert_array_equal(getattr(new, field), getattr(old, field))
        assert (new.frame, new.time, new.size) == (old.frame, old.time, old.size)
    if form in ("jsonl", "parquet"):
        assert pairs[0][1].run["refine"]["name"] == "small-posefix"
    for page in after.glob("*.json") if form == "openpose" else [after]:
        if page.suffix == ".json":
            text = (before / page.name if form == "openpose" else before).read_text()
            assert still(json.loads(page.read_text())) == still(json.loads(text))


@pytest.mark.parametrize("form", ["alphapose-cmu", "alphapose-open"])
def test_the_flavours_of_alphapose_have_a_joint_more(form: str, walk: Path, tmp_path: Path) -> None:
    file = tmp_path / "alphapose-results.json"
    write(form, tmp_path, of_pictures(walk))
    words = [file, "--images", walk, "-o", tmp_path / "out", "-m"]
    old = list(read_results(file))
    eighteen = small_refiner(tmp_path / "18.onnx", old[0].skeleton.name)
    assert refine(*words, eighteen) == 0
    new = list(read_results(tmp_path / "out" / file.name))
    for name, a, b in zip(NAMES, old, new, strict=True):
        np.testing.assert_array_equal(b.keypoints, refined(eighteen, a, rgb(name)))
    again = json.loads((tmp_path / "out" / file.name).read_text())
    assert still(again) == still(json.loads(file.read_text()))


def test_what_predict_refines_itself_is_the_same(model: Path, walk: Path, tmp_path: Path) -> None:
    words = [walk, "-d", "whole-image", "--min-score", 0, "--save", "jsonl", "--progress", "none"]
    assert run("predict", *words, "-o", tmp_path / "plain") == 0
    assert run("predict", *words, "-o", tmp_path / "whole", "--refine", model) == 0
    plain = tmp_path / "plain" / "poses.jsonl"
    assert refine(plain, "--images", walk, "-m", model, "-o", tmp_path / "out") == 0
    assert [x["people"] for x in lines(tmp_path / "out")] == [
        x["people"] for x in lines(tmp_path / "whole")
    ]
    assert lines(tmp_path / "out") != lines(tmp_path / "plain")
    flipped = [plain, "--images", walk, "-m", model, "-o", tmp_path / "flip", "--flip"]
    assert refine(*flipped) == 0 and lines(tmp_path / "flip") != lines(tmp_path / "out")


def test_fields_of_other_programs_stay(model: Path, walk: Path, tmp_path: Path) -> None:
    """Two files that no writer here makes: joints in lists of their own, and fields unheard of."""
    flat = [v for point in standing(1, 5).keypoints[0].tolist() for v in (*point, 1)]
    rows = [flat[3 * k : 3 * k + 3] for k in range(17)]
    other = {"image_id": 10, "score": 3, "keypoints": flat, "category_id": 1, "area": 7.25}
    data = [
        {"score": 1.25, "keypoints": rows, "image_id": "a_2.png", "note": ["left", None]},
        {**other, "image_id": "a_10.png", "track_id": 3, "scores": [0.5]},
    ]
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(data))
    words = ["--images", walk, "-m", model, "-o", tmp_path / "out"]
    assert refine(file, *words) == 0
    found = json.loads((tmp_path / "out" / "mine.json").read_text())
    assert found[0]["keypoints"] != rows and [r[2] for r in found[0]["keypoints"]] == [1] * 17
    assert np.shape(found[0]["keypoints"]) == (17, 3) and len(found[1]["keypoints"]) == 51
    wanted = copy.deepcopy(data)
    for entry, made in zip(wanted, found, strict=True):
        entry["keypoints"] = made["keypoints"]
    assert found == wanted
    (tmp_path / "ids.json").write_text(json.dumps([{**other, "image_id": 2}, other]))
    assert refine(tmp_path / "ids.json", *words) == 0  # numbers, as in a_2.png and a_10.png
    assert json.loads((tmp_path / "out" / "ids.json").read_text())[0]["keypoints"] != flat


def test_whole_bodies_in_lists(walk: Path, tmp_path: Path) -> None:
    model = small_refiner(tmp_path / "133.onnx", "coco133")
    write("coco", tmp_path, of_pictures(walk, "coco133"))
    file = tmp_path / "coco-results.json"
    assert refine(file, "--images", walk, "-m", model, "-o", tmp_path / "out") == 0
    old, new = (list(read_results(f)) for f in (file, tmp_path / "out" / file.name))
    for name, a, b in zip(NAMES, old, new, strict=True):
        np.testing.assert_array_equal(b.keypoints, refined(model, a, rgb(name)))


def test_frames_of_a_video_are_found_by_number(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "clip.mp4"
    with av.open(str(file), "w") as made:
        stream = made.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        for image in PICTURES.values():
            made.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        made.mux(stream.encode())
    saved = [
        Result(standing(n, i), COCO17, (80, 64), str(file), i, i / 25, sequence=str(file))
        for i, n in enumerate((1, 0, 2))
    ]
    saved.append(Result(People.empty(), COCO17, (0, 0), str(file), 3, 0.12, "truncated", "short"))
    write("jsonl", tmp_path, saved)
    words = [tmp_path / "poses.jsonl", "--video", file, "-m", model, "-o", tmp_path / "out"]
    assert refine(*words) == 0
    rows = lines(tmp_path / "out")
    assert [len(row["people"]) for row in rows] == [1, 0, 2, 0] and rows[3]["status"] == "truncated"
    with av.open(str(file)) as read:
        images = [f.to_ndarray(format="rgb24") for f in read.decode(video=0)]
    for i in (0, 2):
        points = [np.reshape(p["keypoints"], (17, 3))[:, :2] for p in rows[i]["people"]]
        np.testing.assert_array_equal(np.float32(points), refined(model, saved[i], images[i]))


def test_an_image_that_is_missing_or_broken_is_named(
    model: Path, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("coco", tmp_path, of_pictures(walk))
    file = tmp_path / "coco-results.json"
    (walk / "a_2.png").unlink()
    (walk / "a_10.png").write_bytes((walk / "a_10.png").read_bytes()[:300])
    assert refine(file, "--images", walk, "-m", model, "-o", tmp_path / "out") == 3
    told = capsys.readouterr().err
    assert "frame 2: no such image in" in told and "2 people keep their poses" in told
    assert "a_10.png" in told
    old, new = (json.loads(f.read_text()) for f in (file, tmp_path / "out" / file.name))
    assert [a == b for a, b in zip(old, new, strict=True)] == [False, False, True, True, True, True]


def test_images_without_results_are_not_read(
    model: Path, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("jsonl", tmp_path, of_pictures(walk))
    (walk / "b_3.png").write_bytes(b"no image")
    words = [tmp_path / "poses.jsonl", "--images", walk, "-m", model, "-o", tmp_path / "out"]
    assert refine(*words, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["frames"], told["people"], told["ids"]) == (3, 6, 2)


def test_nobody_stays_nobody(model: Path, walk: Path, tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text("[]")
    words = ["--images", walk, "-m", model, "-o", tmp_path / "out"]
    assert refine(tmp_path / "none.json", *words) == 0
    assert json.loads((tmp_path / "out" / "none.json").read_text()) == []
    write("jsonl", tmp_path, [r.replace(people=People.empty()) for r in of_pictures(walk)])
    assert refine(tmp_path / "poses.jsonl", *words) == 0
    assert [row["people"] for row in lines(tmp_path / "out")] == [[], [], []]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["poses.jsonl", "--images", "other", "-m", "good"], 3, "none of the 3 frames in"),
        (["poses.jsonl", "--images", "walk", "-m", "movenet-thunder"], 2, "does not refine poses"),
        (["few.json", "--images", "walk", "-m", "good"], 2, "few.json has people of 14 joints"),
        (
            ["crowd/poses.jsonl", "--images", "walk", "-m", "good"],
            2,
            "the 14 joints of crowdpose14",
        ),
        (["nan.json", "--images", "walk", "-m", "good"], 3, "nan.json contains NaN or infinity"),
        (["poses.csv", "--images", "walk", "-m", "good"], 3, "CSV files cannot be read as results"),
        (["absent.json", "--images", "walk", "-m", "good"], 3, "absent.json"),
        (
            ["poses.jsonl", "--images", "walk", "-m", "good", "-o", "."],
            4,
            "is an input of this run",
        ),
        (["poses.jsonl", "--images", "walk", "-m", "good", "-o", "there"], 4, "--overwrite"),
        (["poses.jsonl", "-m", "good"], 2, "one of the arguments --images --video is required"),
        (["poses.jsonl", "--images", "walk"], 2, "required: -m/--model"),
        (["poses.jsonl", "--images", "walk", "-m", "good", "--threads", "x"], 2, "'x' is not"),
    ],
)
def test_what_does_not_go_together_is_told(
    words: list[str],
    code: int,
    text: str,
    model: Path,
    walk: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write("jsonl", tmp_path, of_pictures(walk))
    write("jsonl", tmp_path / "crowd", of_pictures(walk, "crowdpose14"))
    shutil.copytree(walk, "other")
    for number, name in enumerate(NAMES):
        Path("other", name).rename(Path("other", f"x_{number}.png"))
    Path("few.json").write_text(
        json.dumps([{"image_id": 1, "keypoints": [1.0] * 42, "score": 1.0}])
    )
    Path("nan.json").write_text(
        '[{"image_id": 1, "keypoints": [' + ",".join("1" * 51) + '], "score": 1, "area": NaN}]'
    )
    Path("poses.csv").write_text("source\n")
    Path("there").mkdir()
    Path("there", "poses.jsonl").write_text("mine")
    kept = Path("poses.jsonl").read_bytes()
    assert run("refine", *(str(model) if word == "good" else word for word in words)) == code
    assert text in capsys.readouterr().err
    assert Path("there", "poses.jsonl").read_text() == "mine"
    assert Path("poses.jsonl").read_bytes() == kept and not Path("posewright-out").exists()


def test_an_earlier_result_is_replaced_where_that_is_wanted(
    model: Path, walk: Path, tmp_path: Path
) -> None:
    write("openpose", tmp_path, of_pictures(walk))
    words = ["--images", walk, "-m", model, "-o", tmp_path / "out"]
    assert refine(tmp_path / "openpose", *words) == 0
    made = {p.name: p.read_bytes() for p in (tmp_path / "out" / "openpose").iterdir()}
    assert refine(tmp_path / "openpose", *words) == 4
    assert refine(tmp_path / "openpose", *words, "--overwrite") == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "out" / "openpose").iterdir()} == made


def test_a_run_that_is_stopped_writes_nothing(model: Path, walk: Path, tmp_path: Path) -> None:
    write("jsonl", tmp_path, of_pictures(walk))
    refiner, asked = Refiner(load_model(model, device="cpu")), iter([0, 15])
    summary = refining.refine_to(
        tmp_path / "poses.jsonl",
        str(walk),
        tmp_path / "out",
        refiner,
        stopped=lambda: next(asked),
    )
    assert summary.exit_code == 143 and not summary.files and summary.frames == 1
    assert not list((tmp_path / "out").glob("*"))


def test_nan_of_the_network_is_told_and_keeps_the_pose(
    model: Path, walk: Path, tmp_path: Path
) -> None:
    class Blind(Refiner):
        def refined(self, frame: Frame, people: People) -> tuple[People, int]:
            return people, len(people)

    write("jsonl", tmp_path, of_pictures(walk))
    blind = Blind(load_model(model, device="cpu"))
    summary = refining.refine_to(
        tmp_path / "poses.jsonl", str(walk), tmp_path / "out", blind, threads=2
    )
    assert summary.exit_code == 3 and summary.bad_frames == 3
    for old, new in zip(lines(tmp_path), lines(tmp_path / "out"), strict=True):
        assert old["people"] == new["people"]
        assert "returned NaN or infinity for 2 views" in new["message"]


def test_results_for_other_images_are_not_written(
    model: Path, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = [r.replace(size=(90, 64)) for r in of_pictures(walk)]
    write("jsonl", tmp_path, wide)
    words = [tmp_path / "poses.jsonl", "--images", walk, "-m", model, "-o", tmp_path / "out"]
    assert refine(*words) == 3
    assert "its results are for 90 x 64 px" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_number_that_two_images_have_is_told(
    model: Path, walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("coco", tmp_path, of_pictures(walk))
    cv2.imwrite(str(walk / "b_2.png"), PICTURES["a_1.png"])
    words = ["--images", walk, "-m", model, "-o", tmp_path / "out"]
    assert refine(tmp_path / "coco-results.json", *words) == 3
    told = capsys.readouterr().err
    assert "frame 2 is found twice" in told and "b_2.png" in told
    assert not (tmp_path / "out").exists()
