"""`check` names each fault that makes AP 0 or -1, and nothing where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posewright.datasets.check import check
from posewright.datasets.formats.coco_out import write_labels
from posewright.datasets.formats.yolo_out import write_yolo
from posewright.datasets.synthetic import synth


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    write_labels(synth(tmp_path, 3, 1), tmp_path / "annotations.json")
    return tmp_path / "annotations.json"


def test_a_good_set_has_no_findings(labels: Path, data_dir: Path) -> None:
    assert check(labels).findings == ()
    real = check(data_dir / "coco" / "person_keypoints.json")
    assert real.errors == 0 and [f.kind for f in real.findings] == ["box elsewhere"]
    assert real.findings[0].count == 3  # COCO's own, as its file has them


def all_people(page: dict[str, Any], **change: Any) -> None:
    for annotation in page["annotations"]:
        annotation.update(change)


def without(page: dict[str, Any], key: str) -> None:
    for annotation in page["annotations"]:
        del annotation[key]


def corners(page: dict[str, Any]) -> None:
    for a in page["annotations"]:
        x, y, w, h = a["bbox"]
        a["bbox"] = [x - 400, y, w, h]


FAULTS = [
    ("num_keypoints", "error", lambda p: without(p, "num_keypoints")),
    ("num_keypoints 0", "error", lambda p: all_people(p, num_keypoints=0)),
    ("num_keypoints differs", "warning", lambda p: all_people(p, num_keypoints=99)),
    ("area", "error", lambda p: all_people(p, area=0)),
    ("no area", "warning", lambda p: without(p, "area")),
    ("annotation ids", "error", lambda p: all_people(p, id=5)),
    ("id 0", "error", lambda p: p["annotations"][0].update(id=0)),
    ("image_id", "error", lambda p: p["annotations"][0].update(image_id=77)),
    ("image ids", "error", lambda p: p["images"][1].update(id=p["images"][0]["id"])),
    ("category_id", "error", lambda p: p["annotations"][0].update(category_id=3)),
    (
        "category key",
        "error",
        lambda p: p["categories"][0].update(keypoint=p["categories"][0].pop("keypoints")),
    ),
    ("category id", "warning", lambda p: p["categories"][0].update(id=0)),
    ("sigmas", "error", lambda p: p["categories"][0].update(sigmas=[0.1] * 16)),
    ("sigmas", "error", lambda p: p["categories"][0].update(sigmas=[10**400] * 17)),
    ("flip table", "error", lambda p: p["categories"][0].update(flip_index=list(range(17)))),
    ("wrong K", "error", lambda p: all_people(p, keypoints=[1, 1, 2] * 16 + [3])),
    ("wrong K", "warning", lambda p: p["categories"][0]["keypoints"].append("tail")),
    ("visibility", "warning", lambda p: p["annotations"][0]["keypoints"].__setitem__(2, 3)),
    ("empty box", "error", lambda p: p["annotations"][0].update(bbox=[4, 4, 0, 0])),
    ("left out", "error", lambda p: p["annotations"][0].update(bbox=[4, 4, -3, 2])),
    ("box outside", "warning", lambda p: all_people(p, bbox=[-50, 0, 400, 250])),
    ("box elsewhere", "error", corners),
    ("missing image", "error", lambda p: p["images"][0].update(file_name="none.png")),
    ("size", "error", lambda p: p["images"][0].update(width=999)),
    ("no labels", "error", lambda p: all_people(p, keypoints=[0] * 51, num_keypoints=0)),
    ("no images", "error", lambda p: p.update(images=[], annotations=[])),
    (
        "joint at 0, 0",
        "warning",
        lambda p: p["annotations"][0].update(
            keypoints=[0, 0, 2, *p["annotations"][0]["keypoints"][3:]]
        ),
    ),
    (
        "joint outside",
        "warning",
        lambda p: p["annotations"][0].update(
            keypoints=[999, 9, 2, *p["annotations"][0]["keypoints"][3:]]
        ),
    ),
    ("iscrowd", "error", lambda p: all_people(p, iscrowd="0")),
    ("iscrowd", "error", lambda p: p["annotations"][0].update(iscrowd="?")),
    ("ids as text", "warning", lambda p: p["images"][0].update(id=str(p["images"][0]["id"]))),
    ("form of image_id", "error", lambda p: p["images"][0].update(id=str(p["images"][0]["id"]))),
    ("image id", "error", lambda p: p["images"][0].update(id=None)),
    ("category id", "error", lambda p: p["categories"].append({"name": "dog"})),
    (
        "other classes",
        "warning",
        lambda p: (
            p["categories"].append({"id": 2, "name": "dog"}),
            p["annotations"][0].update(category_id=2),
        ),
    ),
    ("no labels", "error", lambda p: all_people(p, iscrowd=1)),
    (
        "labelled twice",
        "error",
        lambda p: p["annotations"].append({**p["annotations"][0], "id": 10**6}),
    ),
    ("image twice", "error", lambda p: p["images"].append({**p["images"][0], "id": 10**6})),
    ("left out", "error", lambda p: p["annotations"][0].update(keypoints=[1, 1, 2] * 16)),
    ("num_keypoints 0", "error", lambda p: all_people(p, num_keypoints=0, iscrowd="0")),
    ("iscrowd", "error", lambda p: p["annotations"][0].update(iscrowd=2)),
    ("no area", "warning", lambda p: all_people(p, area=None)),
    ("no box", "warning", lambda p: all_people(p, bbox=None)),
    ("no box", "warning", lambda p: without(p, "bbox")),
    ("annotation without id", "error", lambda p: without(p, "id")),
    ("joint names", "error", lambda p: p["categories"][0].update(keypoints="nose left_eye")),
    ("joint names", "error", lambda p: p["categories"][0].update(keypoints={"0": "nose"})),
    ("joint names", "error", lambda p: p["categories"][0].update(keypoints=[{"name": "nose"}])),
    ("joint names", "error", lambda p: p["categories"][0].update(keypoints=5)),
    ("shares", "error", lambda p: shares(p, ("keypoints", "bbox"))),
    ("shares", "error", lambda p: shares(p, ("keypoints",))),
    ("shares", "error", lambda p: shares(p, ("bbox",))),
]


def shares(page: dict[str, Any], names: tuple[str, ...]) -> None:
    """Write coordinates as shares of the width and height of their image."""
    sizes = {i["id"]: (i["width"], i["height"]) for i in page["images"]}
    for annotation in page["annotations"]:
        width, height = sizes[annotation["image_id"]]
        scales = {"keypoints": (width, height, 1), "bbox": (width, height) * 2}
        for name in names:
            by = scales[name] * 17
            annotation[name] = [v / s for v, s in zip(annotation[name], by, strict=False)]


@pytest.mark.parametrize(("kind", "level", "spoil"), FAULTS)
def test_each_fault_is_named(labels: Path, kind: str, level: str, spoil: Any) -> None:
    page = json.loads(labels.read_text())
    spoil(page)
    labels.write_text(json.dumps(page))
    report = check(labels)
    found = {f.kind: f for f in report.findings}
    assert kind in found, report.findings
    assert found[kind].level == level and found[kind].count >= 1
    assert "\n" not in found[kind].text + found[kind].first


@pytest.mark.parametrize("name", ["annotations.json", "annotations/a.json"])
def test_a_folder_is_looked_at_as_its_file_is(labels: Path, name: str) -> None:
    page = json.loads(labels.read_text())
    all_people(page, num_keypoints=0)
    file = labels.parent / name
    file.parent.mkdir(exist_ok=True)
    labels.rename(file)
    file.write_text(json.dumps(page))
    for place in (file, labels.parent):
        assert [f.kind for f in check(place).findings] == ["num_keypoints 0"]


def test_everything_that_is_left_out_is_told(labels: Path) -> None:
    page = json.loads(labels.read_text())
    page["annotations"][0]["bbox"] = [4, 4, -3, 2]
    page["annotations"][1]["keypoints"] = [1, 1, 2] * 16
    labels.write_text(json.dumps(page))
    found = [f.first for f in check(labels).findings if f.kind == "left out"]
    assert (
        len(found) == 2
        and "bounding box of size" in "".join(found)
        and "48 numbers" in "".join(found)
    )


def test_annotations_without_ids_share_none(labels: Path) -> None:
    page = json.loads(labels.read_text())
    without(page, "id")
    labels.write_text(json.dumps(page))
    assert [f.kind for f in check(labels).findings] == ["annotation without id"]


def test_labelme_pages_of_one_name_and_points_that_are_not_labelled(tmp_path: Path) -> None:
    data = synth(tmp_path / "made", 2, 1)
    shapes = [
        {"label": joint, "shape_type": "point", "points": [[9 + i, 9 + i]]}
        for i, joint in enumerate(("nose", "left_eye", "right_eye"))
    ]
    shapes.append({"label": "neck", "shape_type": "point", "points": [[1, 1]], "description": "0"})
    for folder, sample in zip("ab", data, strict=True):
        (tmp_path / "lm" / folder).mkdir(parents=True)
        sample.image.rename(tmp_path / "lm" / folder / "1.png")
        page = {"shapes": shapes, "imagePath": "1.png"}
        (tmp_path / "lm" / folder / "1.json").write_text(json.dumps(page))
    report = check(tmp_path / "lm")
    assert report.errors == 0 and report.people == 2 and "neck" not in report.skeleton


def test_a_yolo_val_that_measures_nothing(tmp_path: Path) -> None:
    data = synth(tmp_path / "made", 4, 1)
    write_yolo({"train": data[:2], "val": data[2:]}, tmp_path / "y")
    assert check(tmp_path / "y").errors == 0
    text = (tmp_path / "y" / "data.yaml").read_text()
    for kind in ("images", "labels"):
        (tmp_path / "y" / kind / "val").rename(tmp_path / "y" / kind / "holdout")
    for file in (tmp_path / "y" / "labels" / "holdout").iterdir():
        lines = file.read_text()
        file.write_text("".join(f"7{line[1:]}\n" for line in lines.splitlines()))
    (tmp_path / "y" / "data.yaml").write_text(text.replace("images/val", "images/holdout"))
    found = {f.kind: f for f in check(tmp_path / "y").findings}
    assert set(found) == {"validation", "left out"} and found["validation"].first == "val"
    assert "its class is not among names" in found["left out"].first
    (tmp_path / "y" / "data.yaml").write_text(text.replace("images/val", "images/train"))
    found = {f.kind: f for f in check(tmp_path / "y").findings}
    assert set(found) == {"validation is train"} and check(tmp_path / "y").errors == 0


def test_a_side_without_a_mirror_image_and_sigmas_for_other_joints(labels: Path) -> None:
    page = json.loads(labels.read_text())
    page["categories"][0]["keypoints"][1] = "left_horn"
    labels.write_text(json.dumps(page))
    found = {f.kind: f for f in check(labels).findings}
    assert found["flip"].first in ("left_horn", "right_eye") and found["flip"].count == 2


def test_a_broken_picture_is_named(labels: Path) -> None:
    picture = labels.parent / "images" / "000001.png"
    picture.write_bytes(b"no picture")
    found = {f.kind: f for f in check(labels).findings}
    assert found["broken image"].first == str(picture)


def test_validation_pictures_that_measure_nothing(labels: Path) -> None:
    page = json.loads(labels.read_text())
    pictures = labels.parent / "images"
    for image, folder in zip(page["images"], ("train", "val2017", "train"), strict=True):
        name = Path(image["file_name"]).name
        (pictures / folder).mkdir(exist_ok=True)
        (pictures / name).rename(pictures / folder / name)
        image["file_name"] = f"{folder}/{name}"
    labels.write_text(json.dumps(page))
    assert check(labels).findings == ()
    held = page["images"][1]["id"]
    for annotation in page["annotations"]:
        annotation["iscrowd"] = int(annotation["image_id"] == held)
    labels.write_text(json.dumps(page))
    found = {f.kind: f for f in check(labels).findings}
    assert list(found) == ["validation"] and found["validation"].first == "val2017"


def test_the_class_decides_what_is_checked(labels: Path) -> None:
    page = json.loads(labels.read_text())
    page["categories"].append({"id": 2, "name": "dog", "keypoints": ["a", "b"]})
    dog = {
        **page["annotations"][0],
        "id": 10**6,
        "category_id": 2,
        "keypoints": [1, 1, 2] * 2,
        "num_keypoints": 2,
    }
    page["annotations"].insert(0, dog)
    labels.write_text(json.dumps(page))
    people, dogs = check(labels), check(labels, class_name="dog")
    assert people.class_name == "person" and people.people == len(page["annotations"]) - 1
    assert (dogs.class_name, dogs.people, dogs.skeleton) == ("dog", 1, "custom2")
    assert people.errors == 0 and "other classes" in {f.kind for f in people.findings}
    # two joints without sigmas are told of dogs alone
    assert "sigmas" in {f.kind for f in dogs.findings} - {f.kind for f in people.findings}
