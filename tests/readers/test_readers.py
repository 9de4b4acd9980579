"""Readers: what the writers wrote comes back; what others broke is said in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.errors import PosewrightError, SourceError, UsageError
from posewright.people import Frame, People
from posewright.readers import BoxFile, read_boxes, read_results
from posewright.readers.results import MOST_PEOPLE
from posewright.results import Result
from posewright.skeletons import COCO17, Skeleton
from posewright.writers import WriterOptions, create_writer

ARRAYS = ("boxes", "box_scores", "keypoints", "scores", "ids")


def people(count: int, seed: int = 0) -> People:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-20, 4000, (count, 17, 2))
    scores = rng.uniform(0.05, 1, (count, 17))
    return People.of(None, rng.uniform(0, 1, count), points, scores, rng.permutation(99)[:count])


def write(name: str, folder: Path, results: list[Result]) -> Path:
    writer = create_writer(name, folder, options=WriterOptions(overwrite=True))
    for one in results:
        writer.write(one)
    return writer.close()[0]


def run(counts: list[int], source: str = "clip.mp4") -> list[Result]:
    return [
        Result(people(n, i), COCO17, (640, 480), source, i, i / 30) for i, n in enumerate(counts)
    ]


def put(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


# --- results -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jsonl", "coco", "alphapose", "openpose"])
def test_a_frame_of_too_many_people_is_refused(tmp_path: Path, name: str) -> None:
    def crowd(count: int) -> People:
        one = people(1)
        return People.of(
            one.boxes.repeat(count, 0),
            one.box_scores.repeat(count),
            one.keypoints.repeat(count, 0),
            one.scores.repeat(count, 0),
            range(1, count + 1),
        )

    def saved(*counts: int) -> Path:
        frames = [Result(crowd(n), COCO17, (9, 9), "a.mp4", i) for i, n in enumerate(counts)]
        return write(name, tmp_path, frames)

    assert len(next(read_results(saved(MOST_PEOPLE)))) == MOST_PEOPLE
    with pytest.raises(SourceError, match="frame 1 has 1001 people, more than 1000"):
        list(read_results(saved(1, MOST_PEOPLE + 1)))


@pytest.mark.parametrize("key", ["source", "sequence", "message", "image_id", "file_name"])
def test_addresses_are_read_without_their_secrets(tmp_path: Path, key: str) -> None:
    address = "rtsp://me:hidden@host/1.jpg?token=hidden"
    if key in ("source", "sequence", "message"):
        path = write("jsonl", tmp_path, run([1]))
        head, line = path.read_text().splitlines()
        path.write_text(f"{head}\n{json.dumps(json.loads(line) | {key: address})}\n")
    else:
        person = {"image_id": 1, "keypoints": [1, 2, 0.5] * 17, "score": 0.5} | {key: address}
        path = put(tmp_path / "results.json", [person])
    found = next(read_results(path))
    told = found.source + found.sequence + found.message
    assert "hidden" not in told and "***@host" in told


def test_jsonl_comes_back_equal(tmp_path: Path) -> None:
    results = run([2, 0, 3])
    results.append(
        results[1].replace(frame=3, status="gap", message="stream interrupted for 1.2 s")
    )
    results.append(results[0].replace(source="\udcff 图.jpg", frame=0))
    found = list(read_results(write("jsonl", tmp_path, results)))
    fields = ("size", "source", "frame", "time", "status", "message", "skeleton")
    for one, other in zip(results, found, strict=True):
        assert [getattr(one, f) for f in fields] == [getattr(other, f) for f in fields]
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(one.people, name), getattr(other.people, name))
            assert getattr(one.people, name).dtype == getattr(other.people, name).dtype


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=7, max_size=7),
    st.integers(-1, 2**62),
)
@settings(max_examples=60, deadline=None)
def test_jsonl_keeps_every_float(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], identity: int
) -> None:
    one = Skeleton("dot", ("dot",))
    who = People.of([values[:4]], values[4:5], [[values[5:7]]], [[values[4]]], [identity])
    folder = tmp_path_factory.getbasetemp() / "floats"
    path = write("jsonl", folder, [Result(who, one, (1, 1))])
    [found] = read_results(path)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(who, name), getattr(found.people, name))


def test_jsonl_with_two_skeletons_boxes_alone_and_no_frames(tmp_path: Path) -> None:
    hand = Skeleton("hand", ("a", "b"), ((0, 1),))
    boxes = People.of(boxes=[[1, 2, 3, 4]])
    results = [
        *run([1]),
        Result(People.of(keypoints=np.ones((2, 2, 2))), hand, (9, 9)),
        Result(boxes, hand, (9, 9)),
    ]
    found = list(read_results(write("jsonl", tmp_path, results)))
    assert [r.skeleton for r in found] == [COCO17, hand, hand]
    assert found[2].keypoints.shape == (1, 0, 2)
    assert list(read_results(write("jsonl", tmp_path, []))) == []


@pytest.mark.parametrize("name", ["coco", "alphapose", "openpose"])
def test_other_formats_come_back_as_far_as_they_go(name: str, tmp_path: Path) -> None:
    results = run([2, 0, 3])
    found = list(read_results(write(name, tmp_path, results)))
    if name != "openpose":  # frames without people are not in a list of people
        results = [results[0], results[2]]
    for one, other in zip(results, found, strict=True):
        assert one.frame == other.frame and other.skeleton == COCO17
        for array in ARRAYS:
            wanted, got = getattr(one.people, array), getattr(other.people, array)
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["coco", "alphapose"])
def test_what_was_read_writes_the_same_file(name: str, tmp_path: Path) -> None:
    results = run([2, 1])
    first = write(name, tmp_path / "a", results)
    second = write(name, tmp_path / "b", list(read_results(first)))
    one, two = json.loads(first.read_text()), json.loads(second.read_text())
    assert [e["keypoints"] for e in one] == [e["keypoints"] for e in two]
    assert [e["image_id"] for e in one] == [e["image_id"] for e in two]
    np.testing.assert_allclose([e["score"] for e in one], [e["score"] for e in two], rtol=1e-4)


def test_pictures_come_in_natural_order(tmp_path: Path) -> None:
    names = ["10.jpg", "9.jpg", "2.jpg"]
    results = [r.replace(source=n) for r, n in zip(run([1, 1, 1]), names, strict=True)]
    found = list(read_results(write("alphapose", tmp_path, results)))
    assert [(r.source, r.frame) for r in found] == [("2.jpg", 2), ("9.jpg", 9), ("10.jpg", 10)]


def test_numbers_of_any_length_in_names(tmp_path: Path) -> None:
    names = ["a" + "9" * 5000 + ".jpg", "a010.jpg", "a9.jpg"]
    data = [
        {"image_id": n, "keypoints": [5, 6, 0.5] * 17, "score": 1, "box": [1, 2, 3, 4]}
        for n in names
    ]
    found = list(read_results(put(tmp_path / "r.json", data)))
    assert [r.source for r in found] == names[::-1]


def test_alphapose_files_of_alphapose(tmp_path: Path) -> None:
    entry = {
        "image_id": "1.jpg",
        "category_id": 1,
        "keypoints": [5, 6, 0.5] * 17,
        "score": 2.9,
        "box": [1, 2, 3, 4],
        "idx": [[0], [2]],
    }
    path = put(tmp_path / "r.json", [entry, {**entry, "idx": 3.0}, {**entry, "idx": 4}])
    [one] = read_results(path)
    assert one.ids.tolist() == [-1, 3, 4]
    np.testing.assert_array_equal(one.boxes[0], [1, 2, 4, 6])
    assert (one.box_scores == 1).all() and one.size == (0, 0)


ENTRY = {"image_id": 1, "category_id": 1, "keypoints": [5, 6, 0.5] * 17, "score": 0.5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("[{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ({"images": []}, "not a list of people"),
        ([ENTRY, {"image_id": 1}], "1 of 2 entries"),
        ([7, None, ENTRY], "2 of 3 entries"),
        (json.dumps([{**ENTRY, "score": float("nan")}]), "NaN"),
        (json.dumps([{**ENTRY, "keypoints": [float("inf")] * 51}]), "NaN or infinity"),
        ([{**ENTRY, "bbox": [1, 2, -3, 4]}], "invalid bounding box of size -3 x 4"),
        ([{**ENTRY, "keypoints": [1, 2]}], "1 of 1 entries"),
        ([{**ENTRY, "image_id": None}], "neither a number nor a name"),
        ([ENTRY, {**ENTRY, "keypoints": [1, 2, 0.5]}], "mixes people of"),
        ([{**ENTRY, "keypoints": [1, 2, 0.5]}], "people of 1 joint; no known skeleton"),
    ],
)
def test_broken_results_say_so_in_one_line(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(PosewrightError, match=message) as caught:
        list(read_results(put(tmp_path / "results.json", content)))
    assert "results.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["{", '{"frame": 1}', "[]", '{"people": 3}', "\x00"])
def test_broken_jsonl_names_the_line(tmp_path: Path, line: str) -> None:
    path = write("jsonl", tmp_path, run([1, 1]))
    with path.open("a") as file:
        file.write(line + "\n")
    results = read_results(path)
    next(results), next(results)
    with pytest.raises(SourceError, match=r"poses.jsonl, line 4 is invalid"):
        next(results)


def test_jsonl_of_a_later_version(tmp_path: Path) -> None:
    path = put(tmp_path / "p.jsonl", '{"format":"posewright-results","version":3}\n')
    with pytest.raises(SourceError, match="this program reads version 1 and 2"):
        list(read_results(path))


def test_results_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot read"):
        read_results(tmp_path / "nothing.json")
    with pytest.raises(SourceError, match="no OpenPose files"):
        read_results(tmp_path)
    put(tmp_path / "a_000000000000_keypoints.json", {"people": [{"x": 1}]})
    with pytest.raises(SourceError, match="not an OpenPose file"):
        read_results(tmp_path)


def test_the_skeleton_can_be_named(tmp_path: Path) -> None:
    other = Skeleton("mine", tuple(f"j{i}" for i in range(17)))
    path = write("coco", tmp_path, run([1]))
    [one] = read_results(path, other)
    assert one.skeleton == other
    with pytest.raises(UsageError, match="people of 17 joints"):
        read_results(path, Skeleton("small", ("a",)))


# --- boxes ---------------------------------------------------------------------------------------


def frame(name: str, index: int = 0) -> Frame:
    return Frame(np.zeros((8, 8, 3), np.uint8), index, name=name)


def box(image: Any, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "bbox": [10, 20, 30, 40], "score": 0.5, **more}


def test_coco_detections_of_real_pictures(data_dir: Path) -> None:
    boxes = read_boxes(data_dir / "formats" / "coco" / "test_coco_det_AP_H_56.json")
    found = boxes.people(frame("any/where/000000000785.jpg"))
    assert len(found) > 1 and found.keypoints.shape[1] == 0
    np.testing.assert_allclose(found.boxes[0], [277.118, 45.6997, 502.21, 379.26], rtol=1e-4)
    assert found.box_scores[0] == pytest.approx(0.99997317)
    assert len(boxes.people(frame("000000000001.jpg"))) == 0


def test_boxes_by_number_name_and_frame(tmp_path: Path) -> None:
    data = [box(12), box("cat.jpg"), box("val/dog.jpg"), box("000000000099.jpg"), box("77")]
    boxes = read_boxes(put(tmp_path / "b.json", data))
    for name in ("x_000012.jpg", "in/cat.jpg", "cat.png", "dog.jpg", "000000000099.png", "77.jpg"):
        assert len(boxes.people(frame(name))) == 1, name
    assert len(boxes.people(frame("clip.mp4", 12))) == 1
    assert len(boxes.people(frame("clip.mp4", 99))) == 1
    for name in ("other.jpg", "x_99.jpg", "13.jpg"):
        assert len(boxes.people(frame(name))) == 0, name
    assert len(boxes.people(frame("clip.mp4", 5))) == 0


def test_a_name_in_several_folders_is_not_guessed(tmp_path: Path) -> None:
    data = [box("a/1.jpg"), box("b/1.jpg", score=0.7)]
    boxes = read_boxes(put(tmp_path / "b.json", data))
    assert boxes.people(frame("b/1.jpg")).box_scores.tolist() == [pytest.approx(0.7)]
    assert len(boxes.people(frame("c/1.jpg"))) == 0


def test_report_counts_both_kinds_of_mismatch(tmp_path: Path) -> None:
    boxes = read_boxes(put(tmp_path / "b.json", [box(1), box(2), box(2), box(3)]))
    assert boxes.unused() == 3
    for name in ("1.jpg", "2.jpg", "8.jpg", "9.jpg"):
        boxes.people(frame(name))
    assert boxes.unused() == 1 and (boxes.asked, boxes.missing) == (4, 2)
    report = boxes.report()
    assert "2 of 4 images without a box" in report and "1 of 3 image_ids" in report
    assert "\n" not in report
    whole = read_boxes(put(tmp_path / "c.json", [box(1)]))
    whole.people(frame("1.jpg"))
    assert whole.report() == ""


def test_bad_boxes_are_counted_and_other_things_than_people_left_out(tmp_path: Path) -> None:
    data = [
        box(1),
        box(1, category_id=3),
        box(2, bbox=[0, 0, -1, 5]),
        box(2, bbox=[0, 0, 5]),
        {"image_id": 2},
        5,
        box(2, score=float("nan")),
        box(2, score="high"),
        box([1]),
    ]
    boxes = read_boxes(put(tmp_path / "b.json", data))
    assert list(boxes.boxes) == [1] and len(boxes.boxes[1]) == 1
    assert len(boxes.bad) == 7 and "7 invalid bounding boxes" in boxes.report()


@pytest.mark.parametrize(
    ("categories", "found"), [([18, 1, "18"], 2), ([1, 1, 3], 2), ([None, 1, 3], 1)]
)
def test_boxes_of_another_class(tmp_path: Path, categories: list[Any], found: int) -> None:
    data = [box(1, category_id=category) for category in categories]
    boxes = read_boxes(put(tmp_path / "b.json", data), category=18)
    assert sum(map(len, boxes.boxes.values())) == found


@pytest.mark.parametrize("category", [1, 18])
def test_boxes_of_other_classes_alone_are_an_error(tmp_path: Path, category: int) -> None:
    path = put(tmp_path / "b.json", [box(1, category_id=c) for c in (44, "7", 44, None)])
    words = "none of 4 boxes is of category 1; its categories are 44, '7', None"
    with pytest.raises(SourceError, match=words):
        read_boxes(path, category)
    assert not read_boxes(put(tmp_path / "none.json", []), category).boxes


@pytest.mark.parametrize("content", ["", "{", {"a": 1}, [5], [{"image_id": 1}], "null"])
def test_broken_box_files(tmp_path: Path, content: Any) -> None:
    with pytest.raises(SourceError, match=r"b\.json") as caught:
        read_boxes(put(tmp_path / "b.json", content))
    assert "\n" not in str(caught.value)


def test_a_file_without_boxes_means_nobody(tmp_path: Path) -> None:
    boxes: BoxFile = read_boxes(put(tmp_path / "b.json", []))
    assert len(boxes.people(frame("1.jpg"))) == 0


@given(st.binary(max_size=200))
@settings(max_examples=80, deadline=None)
def test_any_bytes_are_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.json"
    path.write_bytes(content)
    for read in (read_boxes, lambda p: list(read_results(p))):
        try:
            read(path)
        except PosewrightError as error:
            assert "\n" not in str(error)


def test_a_table_is_named_with_what_is_read_instead(tmp_path: Path) -> None:
    (tmp_path / "poses.csv").write_text("source,frame\n")
    with pytest.raises(SourceError, match=r"CSV files cannot be read.*give the poses\.jsonl"):
        list(read_results(tmp_path / "poses.csv"))


@pytest.mark.parametrize("name", ["poses.part-1a2b3c4d.jsonl", "coco-results.json"])
def test_a_file_that_nothing_was_written_to(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(SourceError, match=r"is empty \(0 bytes\): nothing was written to it$"):
        list(read_results(tmp_path / name))


def test_boxes_of_a_crowd_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    box = {"image_id": 7, "bbox": [1, 2, 30, 40], "score": 0.5}
    path.write_text(json.dumps([box] * MOST_PEOPLE), encoding="utf-8")
    assert len(read_boxes(path).boxes[7]) == MOST_PEOPLE
    path.write_text(json.dumps([box] * (MOST_PEOPLE + 1)), encoding="utf-8")
    with pytest.raises(SourceError, match="image 7 has 1001 boxes of people"):
        read_boxes(path)


def test_idx_of_a_detfile_is_kept(tmp_path: Path) -> None:
    def entry(image: str, idx: Any) -> dict[str, Any]:
        return {"image_id": image, "bbox": [1, 2, 30, 40], "score": 0.5, "idx": idx}

    entries = [entry("a.jpg", 7), entry("a.jpg", 9.0), entry("a.jpg", [1]), entry("a.jpg", -4)]
    entries += [entry("b.jpg", 0), entry("b.jpg", 0), entry("b.jpg", 2)]
    boxes = read_boxes(put(tmp_path / "b.json", entries))
    blank = np.zeros((9, 9, 3), np.uint8)
    assert boxes.people(Frame(blank, name="a.jpg")).ids.tolist() == [7, 9, -1, -1]
    assert boxes.people(Frame(blank, name="b.jpg")).ids.tolist() == [-1, -1, 2]
    del entries[0]["idx"]
    boxes = read_boxes(put(tmp_path / "c.json", entries))
    assert boxes.people(Frame(blank, name="a.jpg")).ids.tolist() == [-1, 9, -1, -1]
