"""`check` names each fault that makes AP 0 or -1, and nothing where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posewright.datasets.check import check
from posewright.datasets.coco_out import write_labels
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
    ("category key", "error", lambda p: p["categories"][0].update(
        keypoint=p["categories"][0].pop("keypoints"))),
    ("category id", "warning", lambda p: p["categories"][0].update(id=0)),
    ("sigmas", "error", lambda p: p["categories"][0].update(sigmas=[0.1] * 16)),
    ("sigmas", "error", lambda p: p["categories"][0].update(sigmas=[10**400] * 17)),
    ("flip table", "error", lambda p: p["categories"][0].update(flip_index=list(range(17)))),
    ("wrong K", "error", lambda p: (all_people(p, keypoints=[1, 1, 2] * 16 + [3]))),
    ("wrong K", "warning", lambda p: p["categories"][0]["keypoints"].append("tail")),
    ("visibility", "warning", lambda p: p["annotations"][0]["keypoints"].__setitem__(2, 3)),
    ("empty box", "error", lambda p: p["annotations"][0].update(bbox=[4, 4, 0, 0])),
    ("left out", "error", lambda p: p["annotations"][0].update(bbox=[4, 4, -3, 2])),
    ("box outside", "warning", lambda p: all_people(p, bbox=[-50, 0, 400, 250])),
    ("box elsewhere", "error", corners),
    ("missing picture", "error", lambda p: p["images"][0].update(file_name="none.png")),
    ("size", "error", lambda p: p["images"][0].update(width=999)),
    ("no labels", "error", lambda p: all_people(p, keypoints=[0] * 51, num_keypoints=0)),
    ("no pictures", "error", lambda p: p.update(images=[], annotations=[])),
    ("joint at 0, 0", "warning", lambda p: p["annotations"][0].update(
        keypoints=[0, 0, 2, *p["annotations"][0]["keypoints"][3:]])),
    ("joint outside", "warning", lambda p: p["annotations"][0].update(
        keypoints=[999, 9, 2, *p["annotations"][0]["keypoints"][3:]])),
    ("iscrowd", "error", lambda p: all_people(p, iscrowd="0")),
    ("iscrowd", "error", lambda p: p["annotations"][0].update(iscrowd="?")),
    ("ids as text", "warning", lambda p: p["images"][0].update(id=str(p["images"][0]["id"]))),
    ("form of image_id", "error", lambda p: p["images"][0].update(id=str(p["images"][0]["id"]))),
    ("picture id", "error", lambda p: p["images"][0].update(id=None)),
    ("category id", "error", lambda p: p["categories"].append({"name": "dog"})),
    ("other classes", "warning", lambda p: (
        p["categories"].append({"id": 2, "name": "dog"}),
        p["annotations"][0].update(category_id=2))),
    ("no labels", "error", lambda p: all_people(p, iscrowd=1)),
    ("labelled twice", "error", lambda p: p["annotations"].append(
        {**p["annotations"][0], "id": 10**6})),
    ("picture twice", "error", lambda p: p["images"].append({**p["images"][0], "id": 10**6})),
    ("left out", "error", lambda p: p["annotations"][0].update(keypoints=[1, 1, 2] * 16)),
    ("shares", "error", lambda p: shares(p, ("keypoints", "bbox"))),
    ("shares", "error", lambda p: shares(p, ("keypoints",))),
    ("shares", "error", lambda p: shares(p, ("bbox",))),
]  # fmt: skip


def shares(page: dict[str, Any], names: tuple[str, ...]) -> None:
    """Write coordinates as shares of the width and height of their picture."""
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
    assert found["broken picture"].first == str(picture)


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
    dog = {**page["annotations"][0], "id": 10**6, "category_id": 2, "keypoints": [1, 1, 2] * 2,
           "num_keypoints": 2}  # fmt: skip
    page["annotations"].insert(0, dog)
    labels.write_text(json.dumps(page))
    people, dogs = check(labels), check(labels, class_name="dog")
    assert people.class_name == "person" and people.people == len(page["annotations"]) - 1
    assert (dogs.class_name, dogs.people, dogs.skeleton) == ("dog", 1, "custom2")
    assert people.errors == 0 and "other classes" in {f.kind for f in people.findings}
