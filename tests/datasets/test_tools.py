"""Exports of CVAT, Label Studio and labelme: classes, groups, and shapes that are odd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posewright.datasets import Dataset, open_dataset
from posewright.errors import SourceError, UsageError
from posewright.skeletons import COCO17


def cvat(folder: Path, shapes: str, meta: str = "") -> Dataset:
    image = f'<image id="0" name="a.jpg" width="200" height="100">{shapes}</image>'
    (folder / "annotations.xml").write_text(f"<annotations>{meta}{image}</annotations>")
    return open_dataset(folder)


def skeleton(label: str, x: float, group: int = 0, joint: str = "nose") -> str:
    point = f'<points label="{joint}" outside="0" occluded="0" points="{x},5"/>'
    return f'<skeleton label="{label}" group_id="{group}">{point}</skeleton>'


def box(label: str, x: float, group: int = 0) -> str:
    sides = f'xtl="{x}" ytl="1" xbr="{x + 20}" ybr="50"'
    return f'<box label="{label}" group_id="{group}" {sides}/>'


def points(label: str, *places: tuple[float, float], group: int = 0) -> str:
    text = ";".join(f"{x},{y}" for x, y in places)
    return f'<points label="{label}" group_id="{group}" occluded="0" points="{text}"/>'


def test_cvat_leaves_other_classes_out(tmp_path: Path) -> None:
    shapes = skeleton("dog", 9) + skeleton("Person", 3) + box("car", 1) + box("car", 40)
    data = cvat(tmp_path, shapes)
    assert data.people == 1 and data.people == sum(map(len, data))
    assert data[0].people.keypoints[0, 0].tolist() == [3, 5] and data.notes == ()
    assert "skipped 1 x dog, 2 x car" in data.remarks[0]
    dogs = open_dataset(tmp_path, class_name="dog")
    assert dogs[0].people.keypoints[0, 0].tolist() == [9, 5] and dogs.class_name == "dog"
    cars = open_dataset(tmp_path, class_name="car")
    assert cars[0].people.boxes.tolist() == [[1, 1, 21, 50], [40, 1, 60, 50]]


def test_cvat_group_of_another_class_takes_its_points_along(tmp_path: Path) -> None:
    person = box("person", 10, 1) + box("helmet", 12, 1) + points("nose", (15, 5), group=1)
    data = cvat(tmp_path, person + box("dog", 50, 2) + points("nose", (55, 5), group=2))
    assert data.people == 1 and data[0].people.keypoints[0, 0].tolist() == [15, 5]
    assert data[0].people.boxes[0].tolist() == [10, 1, 30, 50]
    assert open_dataset(tmp_path, class_name="dog")[0].people.keypoints[0, 0].tolist() == [55, 5]


def test_cvat_two_species_and_nobody(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none is called person \(cat 1, dog 2\)"):
        cvat(tmp_path, skeleton("cat", 1) + skeleton("dog", 2) + skeleton("dog", 3))
    assert cvat(tmp_path, skeleton("cat", 1)).class_name == "cat"
    meta = "<meta><task><labels><label><name>person</name></label></labels></task></meta>"
    assert cvat(tmp_path, skeleton("cat", 1), meta).people == 0


def test_cvat_points_shape_of_all_joints_in_order(tmp_path: Path) -> None:
    places = [(float(i), 2.0 * i + 1) for i in range(17)]
    data = cvat(tmp_path, points("person", *places) + points("person", *places[::-1]))
    assert data.skeleton is COCO17 and data.people == 2 and data.notes == ()
    assert data[0].people.keypoints[0].tolist() == [list(p) for p in places]
    assert data[0].people.keypoints[1, 0].tolist() == [16, 33]
    assert (data[0].visibility == 2).all()


def test_cvat_points_shape_follows_the_listed_joints(tmp_path: Path) -> None:
    names = "".join(f"<sublabel><name>{n}</name></sublabel>" for n in ("tail", "ear", "paw"))
    label = f"<label><name>cat</name><type>skeleton</type>{names}</label>"
    meta = f"<meta><task><labels>{label}</labels></task></meta>"
    data = cvat(
        tmp_path, points("cat", (1, 2), (3, 4), (5, 6)) + points("cat", (1, 2), (3, 4)), meta
    )
    assert data.skeleton.joints == ("tail", "ear", "paw") and data.people == 1
    assert data[0].people.keypoints[0].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert "2 points instead of 3 joints" in data.notes[0]


def test_cvat_several_points_of_one_joint_and_lengths_without_a_majority(tmp_path: Path) -> None:
    person = (
        skeleton("person", 3, 1) + points("nose", (50, 5), (60, 5)) + points("eye", (4, 4), group=1)
    )
    data = cvat(tmp_path, person + points("eye", (5, 4), group=1))
    assert data.people == 1 and len(data.notes) == 2
    assert "2 points share the joint nose" in data.notes[0]
    assert "second point 'eye' of one person skipped" in data.notes[1]
    with pytest.raises(SourceError, match=r"inconsistent number of points .*\(1 x 2, 1 x 3\)"):
        cvat(tmp_path, points("p", (1, 2), (3, 4)) + points("p", (1, 2), (3, 4), (5, 6)))


def region(kind: str, number: str, label: str, x: float, **more: Any) -> dict[str, Any]:
    value: dict[str, Any] = {"x": x, "y": 10, "width": 20, "height": 80, kind: [label]}
    return {
        "type": kind,
        "id": number,
        "original_width": 100,
        "original_height": 100,
        "value": value,
        **more,
    }


def rectangle(number: str, label: str, x: float, **more: Any) -> dict[str, Any]:
    return region("rectanglelabels", number, label, x, **more)


def point(number: str, label: str, x: float, **more: Any) -> dict[str, Any]:
    return region("keypointlabels", number, label, x, **more)


def relation(one: str, other: str) -> dict[str, Any]:
    return {"type": "relation", "from_id": one, "to_id": other}


def studio(folder: Path, *results: Any, **data: Any) -> Dataset:
    task = {"data": data or {"image": "a.jpg"}, "annotations": [{"result": list(results)}]}
    (folder / "export.json").write_text(json.dumps([task]))
    return open_dataset(folder / "export.json")


def test_label_studio_classes(tmp_path: Path) -> None:
    data = studio(
        tmp_path,
        rectangle("p", "Person", 0),
        rectangle("d", "dog", 50),
        rectangle("c", "car", 5),
        point("1", "nose", 8),
        point("2", "nose", 55),
        point("3", "left_eye", 60, parentID="d"),
    )
    assert data.people == 1 and data[0].labelled.tolist() == [1]
    assert data[0].people.keypoints[0, 0].tolist() == [8, 10]
    assert "skipped 1 x dog, 1 x car" in data.remarks[0] and data.notes == ()
    assert "2 x point skipped" not in data.remarks[1] and "another class" in data.remarks[1]
    dog = open_dataset(tmp_path / "export.json", class_name="dog")
    assert dog[0].people.boxes.tolist() == [[50, 10, 70, 90]] and dog[0].labelled.tolist() == [2]
    mice = studio(
        tmp_path, rectangle("m", "mouse", 0), rectangle("c", "cage", 50), point("1", "nose", 8)
    )
    assert (mice.class_name, mice.people) == ("mouse", 1)


@pytest.mark.parametrize(
    "data",
    [
        {"photo": "/data/upload/1/a%20b.jpg"},
        {"caption": "two people", "img": "s3://x/a b.jpg"},
        {"id": "17", "text": "a.b", "picture_url": "https://x/y/a%20b.jpg?sig=1.2", "n": 3},
        {"image": "/data/local-files/?d=set/a%20b.jpg", "alt": "no image"},
    ],
)
def test_label_studio_field_of_the_picture(tmp_path: Path, data: dict[str, Any]) -> None:
    assert studio(tmp_path, point("1", "nose", 5), **data)[0].image.name == "a b.jpg"


def test_label_studio_picture_within_the_file_is_said(tmp_path: Path) -> None:
    data = studio(tmp_path, point("1", "nose", 5), image="data:image/png;base64,AAAA")
    assert len(data) == 0 and "not the path of an image" in data.notes[0]


def test_label_studio_people_tied_by_relations(tmp_path: Path) -> None:
    ties = [relation("1", "2"), relation("4", "3")]
    data = studio(
        tmp_path,
        point("1", "nose", 5),
        point("2", "left_eye", 6),
        point("3", "nose", 60),
        point("4", "left_eye", 61),
        *ties,
    )
    assert data.people == 2 and data.notes == ()
    assert data[0].people.keypoints[:, 0, 0].tolist() == [5, 60]
    chain = [
        rectangle("r", "person", 50),
        rectangle("s", "person", 0),
        relation("1", "r"),
        relation("2", "1"),
    ]
    data = studio(tmp_path, *chain, point("1", "nose", 5), point("2", "left_eye", 6))
    assert data[0].labelled.tolist() == [2, 0]


def test_label_studio_second_person_without_any_tie_is_said(tmp_path: Path) -> None:
    data = studio(tmp_path, point("1", "nose", 5), point("2", "nose", 60))
    assert data.people == 1 and "second point 'nose' of one person skipped" in data.notes[0]


@pytest.mark.parametrize(
    ("more", "others", "seen"),
    [
        ({}, [], 2),
        ({"meta": {"text": ["Occluded"]}}, [], 1),
        ({"meta": {"text": "seen well"}}, [], 2),
        ({"meta": {"occluded": True}}, [], 1),
        ({"meta": {"occluded": False}}, [], 2),
        ({}, [{"type": "choices", "id": "1", "value": {"choices": ["hidden"]}}], 1),
        ({}, [{"type": "choices", "id": "2", "value": {"choices": ["hidden"]}}], 2),
        ({}, [{"type": "taglist", "id": "1", "value": {"taglist": ["occluded"]}}], 1),
    ],
)
def test_label_studio_occluded(
    tmp_path: Path, more: dict[str, Any], others: list[Any], seen: int
) -> None:
    data = studio(tmp_path, point("1", "nose", 5, **more), *others)
    assert data[0].visibility[0, 0] == seen


def test_label_studio_ground_truth_counts_and_others_are_said(tmp_path: Path) -> None:
    done = [
        {"result": [point("1", "nose", 5)]},
        {"result": [point("1", "nose", 9)], "ground_truth": True},
    ]
    task = {"data": {"image": "a.jpg"}, "annotations": done}
    (tmp_path / "e.json").write_text(json.dumps([task]))
    data = open_dataset(tmp_path / "e.json")
    assert data[0].people.keypoints[0, 0, 0] == 9 and data.notes == ()
    assert "second annotation of a task" in data.remarks[0]


def labelme(folder: Path, *shapes: dict[str, Any]) -> Dataset:
    page = {"shapes": shapes, "imagePath": "a.jpg", "imageWidth": 100, "imageHeight": 100}
    (folder / "a.json").write_text(json.dumps(page))
    return open_dataset(folder)


def shape(label: str, group: Any, *corners: tuple[float, float]) -> dict[str, Any]:
    kind = "point" if len(corners) == 1 else "rectangle"
    return {"label": label, "shape_type": kind, "points": corners, "group_id": group}


@pytest.mark.parametrize("same", [(0, 0.0), ("0", 0), (2, 2.0), ("2", 2.0), ("x", "x")])
def test_labelme_groups_that_are_one(tmp_path: Path, same: tuple[Any, Any]) -> None:
    data = labelme(
        tmp_path,
        shape("person", same[0], (1, 1), (20, 30)),
        shape("nose", same[1], (60, 60)),
        shape("person", 9, (50, 50), (70, 90)),
        shape("nose", 9, (61, 61)),
    )
    assert data.people == 2 and data[0].labelled.tolist() == [1, 1]
    assert data[0].people.keypoints[:, 0].tolist() == [[60, 60], [61, 61]]


def test_labelme_other_classes_take_their_points_along(tmp_path: Path) -> None:
    data = labelme(
        tmp_path,
        shape("dog", 0, (1, 1), (20, 30)),
        shape("nose", 0, (5, 5)),
        shape("Person", 1, (50, 50), (70, 90)),
        shape("hat", 1, (52, 40), (60, 50)),
        shape("nose", 1, (61, 61)),
        shape("nose", None, (2, 2)),
    )
    assert data.people == 1 and data[0].people.keypoints[0, 0].tolist() == [61, 61]
    assert data[0].people.boxes.tolist() == [[50, 50, 70, 90]]
    assert "skipped 1 x dog, 1 x hat" in data.remarks[0]
    dogs = open_dataset(tmp_path, class_name="dog")
    assert dogs[0].people.keypoints[0, 0].tolist() == [5, 5]


def test_cvat_turned_boxes_ellipses_and_what_is_not_read(tmp_path: Path) -> None:
    sides = 'label="person" xtl="30" ytl="10" xbr="10" ybr="50"'  # drawn backwards
    data = cvat(
        tmp_path,
        f'<box {sides}/><box {sides} rotation="90"/><ellipse label="person" '
        'cx="50" cy="40" rx="20" ry="10" rotation="90"/>',
    )
    assert data.notes == () and data[0].people.boxes.round(3).tolist() == [
        [10, 10, 30, 50],
        [0, 20, 40, 40],
        [40, 20, 60, 60],
    ]
    data = cvat(
        tmp_path,
        box("person", 1)
        + "".join(
            f'<{tag} label="person" points="1,1;2,2"/>' for tag in ("polyline", "cuboid", "mask")
        ),
    )
    assert data.people == 1 and len(data.notes) == 3 and "<polyline> skipped" in data.notes[0]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ('width="640.0" height="480"', (640, 480)),
        ('width="" height=""', (0, 0)),
        ("", (0, 0)),
        ('width="-3" height="nan"', (0, 0)),
    ],
)
def test_cvat_sizes_as_others_write_them(tmp_path: Path, text: str, size: tuple[int, int]) -> None:
    (tmp_path / "annotations.xml").write_text(
        f'<annotations><image name="a.jpg" {text}>{box("person", 3)}</image></annotations>'
    )
    data = open_dataset(tmp_path)
    assert data.people == 1 and data[0].size == size


def test_label_studio_outlines_of_every_shape(tmp_path: Path) -> None:
    def shape(kind: str, number: str, **value: Any) -> dict[str, Any]:
        return {
            "type": kind,
            "id": number,
            "original_width": 200,
            "original_height": 100,
            "value": value,
        }

    data = studio(
        tmp_path,
        shape(
            "polygonlabels", "p", polygonlabels=["person"], points=[[10, 20], [30, 20], [30, 60]]
        ),
        shape(
            "ellipselabels",
            "e",
            x=50,
            y=50,
            radiusX=5,
            radiusY=20,
            rotation=90,
            ellipselabels=["person"],
        ),
        shape(
            "rectanglelabels",
            "r",
            x=60,
            y=10,
            width=10,
            height=40,
            rotation=90,
            rectanglelabels=["Person "],
        ),
        shape("rectangle", "plain", x=0, y=0, width=5, height=5),
        shape("labels", "plain", x=0, y=0, width=5, height=5, labels=["dog"]),
        shape("brushlabels", "b", rle=[1], brushlabels=["person"]),
    )
    assert data[0].people.boxes.round(3).tolist() == [
        [20, 20, 60, 60],
        [80, 40, 120, 60],
        [80, 10, 120, 30],
    ]
    assert "skipped 1 x dog" in data.remarks[0] and "brushlabels skipped" in data.notes[0]


def test_label_studio_uploads_are_found_by_their_own_names(tmp_path: Path) -> None:
    (tmp_path / "a b.jpg").write_bytes(b"")
    data = studio(tmp_path, image="/data/upload/1/8ce2a0b4-a%20b.jpg")
    assert data[0].image == tmp_path / "a b.jpg" and data.notes == ()
    (tmp_path / "8ce2a0b4-a b.jpg").write_bytes(b"")
    data = studio(tmp_path, image="/data/upload/1/8ce2a0b4-a%20b.jpg")
    assert data[0].image.name == "8ce2a0b4-a b.jpg"
