"""One class of a set is read, in every layout; the first annotation decides nothing."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.datasets import Dataset, open_dataset
from posewright.datasets.converting import convert
from posewright.errors import PosewrightError, SourceError, UsageError
from posewright.evaluation.coco_files import read_box_truth, read_truth
from posewright.skeletons import COCO17

JOINTS = list(COCO17.joints)


def annotation(number: int, category: Any = 1, joints: int = 17, x: float = 10) -> dict[str, Any]:
    flat = [v for i in range(joints) for v in (x + i, 20 + 2 * i, 2)]
    return {
        "id": number,
        "image_id": 1 + number % 2,
        "category_id": category,
        "iscrowd": 0,
        "bbox": [x - 2, 18, 30, 60],
        "area": 900,
        "keypoints": flat,
        "num_keypoints": joints,
    }


def category(number: int, name: str, joints: list[str] | None = None) -> dict[str, Any]:
    return {"id": number, "name": name, **({} if joints is None else {"keypoints": joints})}


def coco(folder: Path, annotations: list[Any], categories: list[Any]) -> Path:
    images = [{"id": i, "file_name": f"{i}.png", "width": 100, "height": 90} for i in (1, 2)]
    for image in images:
        noise = np.random.default_rng(image["id"]).integers(0, 255, (90, 100, 3), np.uint8)
        cv2.imwrite(str(folder / str(image["file_name"])), noise)
    page = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(page))
    return folder / "labels.json"


PERSON = category(1, "person", JOINTS)
PEOPLE = [annotation(n) for n in range(1, 6)]


def test_another_category_is_no_person(tmp_path: Path) -> None:
    dog = category(2, "dog", [f"n{i}" for i in range(17)])
    file = coco(tmp_path, [annotation(9, 2), *PEOPLE], [dog, PERSON])
    data = open_dataset(file)
    assert (data.people, data.class_name, data.skeleton) == (5, "person", COCO17)
    assert data.notes == () and "skipped 1 x dog" in data.remarks[0]
    dogs = open_dataset(file, class_name="Dog")
    assert (dogs.people, dogs.class_name, dogs.skeleton.joints[0]) == (1, "dog", "n0")
    assert "5 x person" in dogs.remarks[0] and dogs.category == 2
    with pytest.raises(UsageError, match=r"no class 'dg'; did you mean 'dog'\?; it has: dog 1"):
        open_dataset(file, class_name="dg")


def test_the_metric_reader_takes_the_same_class(tmp_path: Path) -> None:
    dog = category(2, "dog", [f"n{i}" for i in range(17)])
    file = coco(tmp_path, [annotation(9, 2), *PEOPLE], [dog, PERSON])
    people, dogs = read_truth(file, 17), read_truth(file, 17, class_name="dog")
    assert (len(people.truth), people.categories) == (5, [1]) and "dog" in people.remarks[0]
    assert (len(dogs.truth), dogs.categories) == (1, [2])
    assert len(read_box_truth(file).truth) == 6
    assert read_box_truth(file, "dog").categories == [2]


def test_animals_are_read_by_their_own_names(tmp_path: Path) -> None:
    cats, dogs = category(1, "cat", ["a", "b"]), category(2, "dog", ["a", "b"])
    file = coco(tmp_path, [annotation(1, 2, 2), annotation(2, 2, 2)], [cats, dogs])
    assert open_dataset(file).class_name == "dog"  # nobody labelled a cat
    file = coco(tmp_path, [annotation(1, 1, 2), annotation(2, 2, 2)], [cats, dogs])
    with pytest.raises(UsageError, match=r"none is called person \(cat 1, dog 1\)"):
        open_dataset(file)
    both = open_dataset(file, class_name="cat, dog")
    assert (both.people, both.class_name, both.remarks) == (2, "cat,dog", ())
    other = category(2, "dog", ["a", "tail"])
    file = coco(tmp_path, [annotation(1, 1, 2), annotation(2, 2, 2)], [cats, other])
    with pytest.raises(SourceError, match="joints of cat, dog differ"):
        open_dataset(file, class_name="cat,dog")


def test_boxes_of_cars_are_nobody(tmp_path: Path) -> None:
    cars = [{**annotation(n, 3), "keypoints": None} for n in (1, 2)]
    for car in cars:
        del car["keypoints"]
    data = open_dataset(coco(tmp_path, cars, [category(3, "car")]))
    assert data.people == 0 and "skipped 2 x car: no class is called person" in data.remarks[0]
    assert open_dataset(tmp_path / "labels.json", class_name="car").people == 2


def odd(joints: int, **change: Any) -> dict[str, Any]:
    return {**annotation(99, 1, joints), **change}


@pytest.mark.parametrize(
    ("first", "people"),
    [
        (odd(0, bbox=[0, 0, 0, 0], area=0), 6),
        (odd(16), 5),
        (odd(133), 5),
        (odd(17, keypoints=[1]), 5),
        (odd(4, category_id=7), 5),
    ],
)
def test_the_first_annotation_decides_nothing(
    tmp_path: Path, first: dict[str, Any], people: int
) -> None:
    for everybody in ([first, *PEOPLE], [*PEOPLE, first]):
        file = coco(tmp_path, everybody, [PERSON])
        data = open_dataset(file)
        assert data.skeleton is COCO17 and data.people == people
        assert len(data.notes) == 6 - people
        labels = read_truth(file, 17)
        assert len(labels.truth) == people and len(labels.notes) == 6 - people


def test_without_names_the_majority_counts_and_a_tie_is_an_error(tmp_path: Path) -> None:
    for plain in ([category(1, "person")], []):
        file = coco(tmp_path, [odd(5), *PEOPLE], plain)
        assert open_dataset(file).skeleton is COCO17
        file = coco(tmp_path, [annotation(1, 1, 5), annotation(2, 1, 6)], plain)
        with pytest.raises(SourceError, match=r"inconsistent number of joints .*\(1 x 5, 1 x 6\)"):
            open_dataset(file)


def test_one_person_of_133_joints_makes_no_whole_body(tmp_path: Path) -> None:
    fields = {"foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
    whole = {**annotation(9), **{name: [1, 1, 2] * n for name, n in fields.items()}}
    assert open_dataset(coco(tmp_path, [whole, *PEOPLE], [PERSON])).skeleton is COCO17
    several = [{**whole, "id": n} for n in range(20, 27)]
    data = open_dataset(coco(tmp_path, [PEOPLE[0], *several], [PERSON]))
    assert data.skeleton.name == "coco133" and data.people == 7 and len(data.notes) == 1


def test_an_annotation_without_a_category(tmp_path: Path) -> None:
    lost = annotation(9)
    del lost["category_id"]
    for value in ({}, {"category_id": None}):
        assert open_dataset(coco(tmp_path, [{**lost, **value}], [PERSON])).people == 1
        data = open_dataset(
            coco(tmp_path, [{**lost, **value}, *PEOPLE], [PERSON, category(2, "x")])
        )
        assert data.people == 5 and "its category_id matches no category" in data.notes[0]


def test_layouts_of_people_alone_take_no_other_class(data_dir: Path) -> None:
    file = data_dir / "formats" / "mpii" / "test_mpii.json"
    assert open_dataset(file, class_name="Person").people == 5
    with pytest.raises(UsageError, match="mpii labels only people"):
        open_dataset(file, class_name="dog")


def yolo(folder: Path, lines: list[str], names: str) -> Path:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "a.png"), np.zeros((50, 40, 3), np.uint8))
    (folder / "labels" / "a.txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text(names)
    return folder


LINE = "{} 0.5 0.5 0.2 0.2 0.5 0.5 2 0.4 0.4 1"


def test_yolo(tmp_path: Path) -> None:
    lines = [LINE.format(n) for n in (1, 0, 1, 2)]
    file = yolo(tmp_path / "a", lines, "kpt_shape: [2, 3]\nnames:\n  0: Person\n  1: dog\n")
    data = open_dataset(file)
    assert (data.people, data.class_name) == (1, "person")
    assert "skipped 2 x dog:" in data.remarks[0]
    assert "1 x line skipped: its class is not among names" in data.notes[0]
    for name in ("dog", "1"):
        assert open_dataset(file, class_name=name).people == 2
    animals = "kpt_shape: [2, 3]\nnames: [cat, dog]\n"
    with pytest.raises(UsageError, match=r"\(cat 1, dog 2\)"):
        open_dataset(yolo(tmp_path / "b", lines, animals))
    assert open_dataset(yolo(tmp_path / "c", lines[:1], animals)).class_name == "dog"


def test_yolo_without_a_shape_takes_that_of_most_lines(tmp_path: Path) -> None:
    lines = ["0 0.5 0.5 0.2 0.2 0.5 0.5 2", *[LINE.format(0)] * 3, "0 0.5 0.5 0.2 0.2"]
    data = open_dataset(yolo(tmp_path / "a", lines, "names: [person]\n"))
    assert len(data.skeleton) == 2 and data.people == 3


def test_visdrone(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    lines = ["1,2,30,40,1,1,0,0", "1,2,30,40,1,2,0,0", "5,6,70,80,1,4,0,0"]
    (tmp_path / "annotations" / "a.txt").write_text("\n".join(lines))
    assert open_dataset(tmp_path).people == 2
    cars = open_dataset(tmp_path, class_name="car")
    assert cars[0].people.boxes.tolist() == [[5, 6, 75, 86]] and cars.class_name == "car"
    assert "1 x pedestrian, 1 x people" in cars.remarks[0]


def dogs(folder: Path) -> Dataset:
    cat = category(7, "cat", ["nose", "left_paw", "right_paw"])
    people = [copy.deepcopy(annotation(n, 7, 3)) for n in (1, 2)]
    return open_dataset(coco(folder, people, [cat]))


@pytest.mark.parametrize("form", ["coco", "labelme", "yolo", "cvat"])
def test_another_class_is_written_by_its_name(tmp_path: Path, form: str) -> None:
    convert(dogs(tmp_path), tmp_path / "out", form)
    back = open_dataset(tmp_path / "out")
    assert (back.class_name, back.people) == ("cat", 2)
    with pytest.raises(PosewrightError, match="no class 'person'"):
        open_dataset(tmp_path / "out", class_name="person")


def test_yolo_class_by_its_number_without_names(tmp_path: Path) -> None:
    file = yolo(tmp_path / "a", [LINE.format(n) for n in (1, 0, 1)], "kpt_shape: [2, 3]\n")
    assert open_dataset(file, class_name="1").people == 2
    assert open_dataset(file, class_name="class 0").people == 1
    with pytest.raises(UsageError, match="no class 'class 7'"):
        open_dataset(file, class_name="7")


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        ("Person ", None),
        ("\tperson", "person"),
        ("cafe\u0301", "caf\u00e9"),
        ("dog", " Dog"),
    ],
)
def test_a_class_in_another_spelling(tmp_path: Path, named: str, asked: str | None) -> None:
    person = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]}
    page = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [person],
        "categories": [
            {"id": 1, "name": named, "keypoints": ["a", "b"]},
            {"id": 2, "name": "cat", "keypoints": ["a", "b"]},
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(page))
    data = open_dataset(tmp_path / "a.json", class_name=asked)
    assert data.people == 1
    assert data.class_name == ("person" if "person" in named.lower() else named)


def test_a_category_that_nobody_is_of_does_not_decide_the_joints(tmp_path: Path) -> None:
    person = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]}
    page = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [person],
        "categories": [
            {"id": 2, "name": "person", "keypoints": ["x", "y", "z"]},
            {"id": 1, "name": "person", "keypoints": ["nose", "tail"]},
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(page))
    assert open_dataset(tmp_path / "a.json").skeleton.joints == ("nose", "tail")
    page["annotations"].append(person | {"id": 2, "category_id": 2, "keypoints": [1, 2, 2] * 3})
    (tmp_path / "a.json").write_text(json.dumps(page))
    with pytest.raises(SourceError, match="differ"):
        open_dataset(tmp_path / "a.json")
