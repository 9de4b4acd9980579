"""Ids as text, fractions or null: the same people for check, eval and training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posewright.datasets import open_dataset
from posewright.datasets.check import check
from posewright.datasets.formats.coco_out import write_labels
from posewright.datasets.synthetic import synth
from posewright.evaluation.coco_files import read_detections, read_truth
from posewright.files.values import image_id, number_id, switch
from posewright.readers.boxes import read_boxes
from posewright.recipes.recipe import Recipe
from posewright.training.data import open_sets

Change = Callable[[Any], Any]
FORMS: dict[str, Change] = {
    "text": str,
    "fraction": float,
    "text of a fraction": lambda i: f"{i}.0",
    "padded": lambda i: f"{i:06d}",
    "name": lambda i: f"image {i}",
}


@pytest.fixture
def page(tmp_path: Path) -> dict[str, Any]:
    write_labels(synth(tmp_path, 4, 1), tmp_path / "labels.json")
    data: dict[str, Any] = json.loads((tmp_path / "labels.json").read_text())
    return data


def saved(folder: Path, page: dict[str, Any]) -> Path:
    (folder / "labels.json").write_text(json.dumps(page))
    return folder / "labels.json"


def kinds(file: Path) -> set[str]:
    return {f.kind for f in check(file).findings}


def same(file: Path) -> tuple[int, int]:
    """Return the images and people of a file, for training and evaluation alike."""
    data, labels = open_dataset(file), read_truth(file, 17)
    train, _ = open_sets(Recipe(data=(str(file),), val_split=0))
    assert len(data) == len(train) == len(labels.images) == check(file).pictures
    assert data.people == train.people == len(labels.truth) == check(file).people
    counts = [len(sample) for sample in sorted(data, key=lambda s: str(s.image_id))]
    cells = labels.truth.cells.tolist()
    by_id = {str(i): cells.count(n) for n, i in enumerate(labels.images)}
    assert counts == [by_id[i] for i in sorted(by_id)]
    return len(data), data.people


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("where", ["images", "annotations", "both"])
def test_ids_of_pictures(tmp_path: Path, page: dict[str, Any], form: str, where: str) -> None:
    if form == "name" and where != "both":
        pytest.skip("a name means no number")
    people = len(page["annotations"])
    for image in page["images"] if where != "annotations" else ():
        image["id"] = FORMS[form](image["id"])
    for annotation in page["annotations"] if where != "images" else ():
        annotation["image_id"] = FORMS[form](annotation["image_id"])
    file = saved(tmp_path, page)
    assert same(file) == (4, people)
    mixed = form != "fraction" and where != "both"
    assert ("form of image_id" in kinds(file)) == mixed
    assert ("ids as text" in kinds(file)) == (form != "fraction" and where != "annotations")


@pytest.mark.parametrize("change", [str, float, lambda i: None, lambda i: f"p{i}", lambda i: 0.5])
def test_ids_of_annotations_are_no_matter(
    tmp_path: Path, page: dict[str, Any], change: Change
) -> None:
    people = len(page["annotations"])
    for annotation in page["annotations"]:
        annotation["id"] = change(annotation["id"])
    assert same(saved(tmp_path, page)) == (4, people)


@pytest.mark.parametrize("category", ["1", 1.0, None, "1.0"])
def test_category_of_annotations(tmp_path: Path, page: dict[str, Any], category: Any) -> None:
    people = len(page["annotations"])
    for annotation in page["annotations"]:
        annotation["category_id"] = category
    assert same(saved(tmp_path, page)) == (4, people)
    assert ("form of category_id" in kinds(tmp_path / "labels.json")) == isinstance(category, str)


def test_null_is_no_picture(tmp_path: Path, page: dict[str, Any]) -> None:
    people = len(page["annotations"])
    page["annotations"][0]["image_id"] = None
    assert same(saved(tmp_path, page)) == (4, people - 1)
    lost = sum(a["image_id"] == page["images"][0]["id"] for a in page["annotations"])
    page["images"][0]["id"] = None
    assert same(saved(tmp_path, page)) == (3, people - 1 - lost)
    labels = read_truth(tmp_path / "labels.json", 17)
    assert "1 image skipped" in labels.notes[0]
    assert {"image id", "image_id", "left out"} <= kinds(tmp_path / "labels.json")


@pytest.mark.parametrize("value", ["0", "false", "", None, 0.0, False, "1", "True", 1, 1.0])
def test_iscrowd(tmp_path: Path, page: dict[str, Any], value: Any) -> None:
    for annotation in page["annotations"][1:]:
        annotation["iscrowd"] = value
    on = value in ("1", "True", 1)
    file = saved(tmp_path, page)
    crowd = sum(int(sample.crowd.sum()) for sample in open_dataset(file))
    assert crowd == on * (len(page["annotations"]) - 1) == read_truth(file, 17).truth.crowd.sum()
    assert ("iscrowd" in kinds(file)) == isinstance(value, str)


@pytest.mark.parametrize("value", ["perhaps", 2, -1, 0.5, "2", float("nan")])
def test_iscrowd_that_means_nothing(tmp_path: Path, page: dict[str, Any], value: Any) -> None:
    page["annotations"][0]["iscrowd"] = value
    file = saved(tmp_path, page)
    assert open_dataset(file).people == len(page["annotations"]) - 1
    assert {"iscrowd", "left out"} <= kinds(file)


def test_ids_of_results(tmp_path: Path, page: dict[str, Any]) -> None:
    labels = read_truth(saved(tmp_path, page), 17)
    one = page["annotations"][0]
    for image in (one["image_id"], str(one["image_id"]), float(one["image_id"])):
        for category in (1, "1", 1.0, None):
            entry = {
                "image_id": image,
                "category_id": category,
                "score": 1.0,
                "keypoints": one["keypoints"],
            }
            (tmp_path / "found.json").write_text(json.dumps([entry]))
            found = read_detections(tmp_path / "found.json", labels)
            assert found.cells.tolist() == [labels.images.index(one["image_id"])]


def test_values() -> None:
    assert [image_id(v) for v in (7, 7.0, "7", "007", "7.0", "a7", "")] == [7] * 5 + ["a7", ""]
    for value in (None, True, 7.5, float("nan"), [7]):
        with pytest.raises(ValueError, match="is not an id"):
            image_id(value)
        assert number_id(value) == -1
    assert number_id("8") == 8 and number_id("x") == -1 and number_id(1 << 70) == -1
    for value in ("maybe", float("nan"), "2"):
        with pytest.raises(ValueError, match="neither 0 nor 1"):
            switch(value)


@pytest.mark.parametrize(("category", "count"), [(1, 1), ("1", 1), (1.0, 1), (2, 0), ("2", 0)])
def test_category_of_detected_boxes(tmp_path: Path, category: Any, count: int) -> None:
    entry = {"image_id": "7", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    entries = [entry, {**entry, "category_id": category}]
    (tmp_path / "boxes.json").write_text(json.dumps(entries))
    found = read_boxes(tmp_path / "boxes.json").boxes.values()
    assert sum(len(rows) for rows in found) == 1 + count


@pytest.mark.parametrize("nothing", [{}, {"area": None, "bbox": None, "num_keypoints": None}])
def test_area_and_box_that_are_null_or_absent_are_read_alike(
    tmp_path: Path, page: dict[str, Any], nothing: dict[str, Any]
) -> None:
    for annotation in page["annotations"]:
        for key in ("area", "bbox", "num_keypoints"):
            del annotation[key]
        annotation |= nothing
    file = saved(tmp_path, page)
    truth = read_truth(file, 17).truth
    data = open_dataset(file)
    boxes = np.concatenate([sample.people.boxes for sample in data])
    areas = np.concatenate([sample.areas for sample in data])
    assert np.allclose(truth.boxes[:, :2], boxes[:, :2])
    assert np.allclose(truth.boxes[:, 2:], boxes[:, 2:] - boxes[:, :2], atol=1e-3)
    assert np.allclose(truth.areas, areas, rtol=1e-4) and (truth.areas > 0).any()
