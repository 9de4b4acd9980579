"""Labels of the unrotated pixels of turned images are told by every verb that uses them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from posewright.cli import main
from posewright.datasets.opening import open_dataset, open_part
from posewright.datasets.turned import turned_labels

STATED = {"stored": (40, 30), "upright": (30, 40), "none": (0, 0)}


def labelled(folder: Path, stated: str, box: list[int], count: int = 1) -> Path:
    """A COCO file of images that are 40 x 30 as stored and 30 x 40 as shown."""
    width, height = STATED[stated]
    images = []
    for number in range(1, count + 1):
        exif = Image.Exif()
        exif[274] = 6
        pixels = np.full((30, 40, 3), 10 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", exif=exif)
        size = {"width": width, "height": height} if width else {}
        images.append({"id": number, "file_name": f"{number}.jpg", **size})
    joints = [box[0] + 1, box[1] + 1, 2] * 17
    people = [
        {
            "id": i["id"],
            "image_id": i["id"],
            "category_id": 1,
            "bbox": box,
            "keypoints": joints,
            "num_keypoints": 17,
            "area": 9,
            "iscrowd": 0,
        }
        for i in images
    ]
    path = folder / "labels.json"
    category = {"id": 1, "name": "person"}
    path.write_text(json.dumps({"images": images, "annotations": people, "categories": [category]}))
    return path


@pytest.mark.parametrize(
    ("stated", "box", "turned"),
    [
        ("stored", [2, 2, 5, 5], True),
        ("upright", [2, 2, 5, 5], False),
        ("none", [33, 2, 5, 5], True),
        ("none", [2, 33, 5, 5], False),
    ],
)
def test_labels_of_stored_pixels(
    tmp_path: Path, stated: str, box: list[int], turned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = labelled(tmp_path, stated, box)
    assert bool(turned_labels("set", open_dataset(path).samples)) == turned
    remarks = open_part(path, None, None, "val").remarks
    assert any("unrotated pixels" in remark for remark in remarks) == turned
    for form in ("yolo", "coco", "labelme", "cvat"):
        code = main(["data", "convert", str(path), str(tmp_path / form), "--to", form])
        told = "1 x labels of the unrotated pixels of a rotated image" in capsys.readouterr().err
        assert (code, told) == ((3, True) if turned else (0, False))


def test_some_pictures_are_looked_at_before_a_training(tmp_path: Path) -> None:
    samples = open_dataset(labelled(tmp_path, "stored", [2, 2, 5, 5], 9)).samples
    (all_of_them,) = turned_labels("set", samples)
    (some,) = turned_labels("set", samples, most=3)
    assert all_of_them.startswith("set: 9 x labels") and some.startswith("set: 3 x labels")
