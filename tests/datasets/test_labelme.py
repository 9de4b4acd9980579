"""labelme folders to COCO: the workflow of a user, and everything that such folders contain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.datasets import open_dataset
from posewright.datasets.converting import convert
from posewright.datasets.formats.labelme import skeleton_from_names
from posewright.errors import SourceError
from posewright.skeletons import COCO17, CROWDPOSE14

pycocotools = pytest.importorskip("pycocotools.coco")


def shape(label: str, kind: str, points: Any, group: Any = None, **more: Any) -> dict[str, Any]:
    return {"label": label, "shape_type": kind, "points": points, "group_id": group, **more}


def page(folder: Path, name: str, shapes: list[Any], **more: Any) -> None:
    """Write NAME.jpg of 100 x 80 px and its json."""
    folder.mkdir(exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.jpg"), np.full((80, 100, 3), 127, np.uint8))
    data = {"shapes": shapes, "imagePath": f"{name}.jpg", "imageHeight": 80, "imageWidth": 100}
    (folder / f"{name}.json").write_text(json.dumps({**data, **more}), encoding="utf-8")


SQUARE = [[10, 10], [30, 10], [30, 50], [10, 50]]


def test_groups_of_any_number_and_several_polygons(tmp_path: Path) -> None:
    other = [[60, 10], [70, 10], [70, 20], [60, 20]]
    page(
        tmp_path,
        "a",
        [
            shape("person", "polygon", SQUARE, 7),
            shape("nose", "point", [[20, 12]], 7),
            shape("Person", "polygon", other, -3),
            shape("person", "polygon", [[80, 60], [90, 60], [90, 70]], -3),
            shape("left_eye", "point", [[65, 15]], -3),
            shape("nose", "point", [[66, 16]], "x"),
        ],
    )
    sample = open_dataset(tmp_path)[0]
    assert sample.people.boxes.tolist() == [[10, 10, 30, 50], [60, 10, 90, 70], [66, 16, 66, 16]]
    assert sample.areas[:2].tolist() == [800, 150]  # its own polygons, not the last one's
    assert sample.labelled.tolist() == [1, 1, 1]
    assert [len(o) for o in sample.outlines] == [1, 2, 0]


def test_one_person_needs_no_group(tmp_path: Path) -> None:
    points = [shape("nose", "point", [[20, 12]]), shape("left_hip", "point", [[22, 30]], None)]
    page(tmp_path, "a", [shape("person", "rectangle", [[30, 50], [10, 10]]), *points])
    page(tmp_path, "b", points)
    page(tmp_path, "c", [shape("person", "polygon", SQUARE), shape("nose", "point", [[1, 2]], 5)])
    data = open_dataset(tmp_path)
    assert [len(s) for s in data] == [1, 1, 1] and data.notes == ()
    assert data[0].people.boxes.tolist() == [[10, 10, 30, 50]]
    assert data[1].people.boxes.tolist() == [[20, 12, 22, 30]]
    assert data[2].people.boxes.tolist() == [[10, 10, 30, 50]] and data[2].labelled.tolist() == [1]


def test_an_outline_of_another_class_swallows_nobody(tmp_path: Path) -> None:
    away, around = [[70, 60], [90, 60], [90, 70], [70, 70]], SQUARE
    for group in (None, 3):
        points = [
            shape("nose", "point", [[20, 12]], group),
            shape("left_hip", "point", [[22, 30]], group),
        ]
        for label, outline, people, box in (
            ("dog", away, 1, [20, 12, 22, 30]),
            ("person", away, 1, [70, 60, 90, 70]),
            ("dog", around, 1, [10, 10, 30, 50]),
            ("car", [[21, 29], [23, 29], [23, 31]], 1, None),
        ):
            page(tmp_path, "a", [shape(label, "polygon", outline), *points])
            data = open_dataset(tmp_path)
            assert len(data[0]) == people and data.notes == (), (group, label)
            assert box is None or data[0].people.boxes.tolist() == [box], (group, label)
            assert data.class_name == ("dog" if outline == around else "person"), (group, label)
            assert data[0].labelled.tolist() == [2]


def test_a_loose_point_goes_to_the_one_person_around_it(tmp_path: Path) -> None:
    page(
        tmp_path,
        "a",
        [
            shape("person", "polygon", SQUARE, 1),
            shape("person", "rectangle", [[25, 10], [90, 50]], 2),
            shape("nose", "point", [[12, 12]]),
            shape("nose", "point", [[80, 12]]),
            shape("left_eye", "point", [[27, 12]]),
            shape("left_eye", "point", [[95, 75]]),
        ],
    )
    data = open_dataset(tmp_path)
    assert data[0].labelled.tolist() == [1, 1]
    assert "2 x point skipped" in data.notes[0]


@pytest.mark.parametrize(
    ("more", "seen"),
    [
        ({}, 2),
        ({"flags": {"occluded": True}}, 1),
        ({"flags": {"occluded": False}}, 2),
        ({"flags": {"hidden": True}}, 1),
        ({"description": "1"}, 1),
        ({"description": "2"}, 2),
        ({"description": "Occluded"}, 1),
        ({"description": "0"}, 0),
    ],
)
def test_visibility(tmp_path: Path, more: dict[str, Any], seen: int) -> None:
    page(
        tmp_path,
        "a",
        [
            shape("person", "polygon", SQUARE, 1),
            shape("left_eye", "point", [[15, 15]], 1),
            shape("nose", "point", [[20, 12]], 1, **more),
        ],
    )
    assert open_dataset(tmp_path)[0].visibility[0, 0] == seen


def test_shapes_that_mean_nothing_here_are_noted(tmp_path: Path) -> None:
    page(
        tmp_path,
        "a",
        [
            shape("person", "polygon", SQUARE, 1),
            shape("nose", "point", [[20, 12]], 1),
            shape("nose", "point", [[21, 12]], 1),
            shape("dog", "polygon", SQUARE, 1),
            shape("person", "polygon", [[1, 2], [3, 4]], 1),
            shape("x", "circle", SQUARE, 1),
            shape("nose", "point", [["?", 1]], 1),
            {"label": "nose"},
            7,
        ],
    )
    data = open_dataset(tmp_path)
    assert data[0].people.keypoints[0, 0].tolist() == [20, 12] and data.people == 1
    assert len(data.notes) >= 5 and all("\n" not in note for note in data.notes)


def test_names_that_are_no_numbers_and_paths_of_another_system(tmp_path: Path) -> None:
    page(tmp_path, "Straße 3", [shape("nose", "point", [[20, 12]])])
    page(tmp_path, "b", [shape("nose", "point", [[20, 12]])], imagePath="..\\images\\b.jpg")
    page(tmp_path, "c", [], imagePath=None, imageData=None)
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "broken.json").write_text("{")
    data = open_dataset(tmp_path)
    assert sorted(s.image.name for s in data) == ["Straße 3.jpg", "b.jpg", "c.jpg"]
    assert all(s.image.is_file() and s.size == (100, 80) for s in data) and len(data.notes) == 2
    with pytest.raises(SourceError, match="holds no labelme json"):
        open_dataset(tmp_path / "other.json", "labelme")


def test_the_skeleton_follows_from_the_names(tmp_path: Path) -> None:
    assert skeleton_from_names(["nose", "Left Hip"]) is COCO17
    assert skeleton_from_names(["neck", "left_hip"]) is CROWDPOSE14
    own = skeleton_from_names(["tail", "right_paw", "left_paw", "nose"])
    assert own.joints == ("nose", "left_paw", "right_paw", "tail")
    assert own.flip_index.tolist() == [0, 2, 1, 3] and own.sigmas == (0.026, 0.05, 0.05, 0.05)
    page(tmp_path, "a", [shape("tail", "point", [[1, 2]]), shape("Left Paw", "point", [[3, 4]])])
    (tmp_path / "labels.txt").write_text("__ignore__\nperson\ntail\nright_paw\nleft_paw\n")
    assert open_dataset(tmp_path).skeleton.joints == ("tail", "right_paw", "left_paw")


def twenty(folder: Path) -> None:
    for i in range(20):
        page(
            folder,
            f"image {i}",
            [shape("person", "polygon", SQUARE, 1), shape("nose", "point", [[20, 12 + i]], 1)],
        )


def test_the_split_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    twenty(tmp_path / "in")
    data = open_dataset(tmp_path / "in")
    lines: list[str] = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        done = convert(data, tmp_path / name, "coco", 0.2, seed, progress=lines.append)
        assert done.pictures == {"train2017": 16, "val2017": 4} and done.notes == ()
    assert len(lines) == 60 and "1 person" in lines[0]
    parts = [{p.name for p in (tmp_path / n / "val2017").iterdir()} for n in "abc"]
    assert parts[0] == parts[1] != parts[2]
    backwards, _ = tmp_path / "d", convert(data[::-1], tmp_path / "d", "coco", 0.2, 0)
    assert {p.name for p in (backwards / "val2017").iterdir()} == parts[0]
    trained = {p.name for p in (tmp_path / "a" / "train2017").iterdir()}
    assert len(trained) == 16 and not trained & parts[0]


def test_pycocotools_reads_what_is_written_and_gives_perfect_predictions_ap_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pycocotools.cocoeval import COCOeval

    points = [shape(j, "point", [[12 + i, 12 + 2 * i]], 1) for i, j in enumerate(COCO17.joints)]
    for i in range(5):
        page(tmp_path / "in", f"p{i}", [shape("person", "polygon", SQUARE, 1), *points])
    convert(open_dataset(tmp_path / "in"), tmp_path / "out", "coco")
    file = tmp_path / "out" / "annotations" / "person_keypoints_all.json"
    truth = pycocotools.COCO(str(file))
    raw = json.loads(file.read_text())
    assert [a["id"] for a in raw["annotations"]] == [1, 2, 3, 4, 5]
    found = [
        {k: a[k] for k in ("image_id", "category_id", "keypoints")} | {"score": 1.0}
        for a in raw["annotations"]
    ]
    scorer = COCOeval(truth, truth.loadRes(found), "keypoints")
    scorer.evaluate()
    scorer.accumulate()
    scorer.summarize()
    capsys.readouterr()
    assert scorer.stats[0] == 1.0


def test_coco_to_labelme_and_back_keeps_the_real_labels(data_dir: Path, tmp_path: Path) -> None:
    data = open_dataset(data_dir / "coco" / "person_keypoints.json")[:20]
    convert(data, tmp_path / "labelme", "labelme")
    back = open_dataset(tmp_path / "labelme")
    assert back.skeleton is COCO17 and back.notes == () and back.people == data.people
    by_name = {s.image.name: s for s in back}
    for sample in data:
        again = by_name[sample.image.name]
        np.testing.assert_array_equal(again.visibility, sample.visibility)
        np.testing.assert_array_equal(again.people.keypoints, sample.people.keypoints)
        np.testing.assert_allclose(again.people.boxes, sample.people.boxes, atol=1.5)
        assert (again.crowd == sample.crowd).all()
