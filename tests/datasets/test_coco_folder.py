"""A folder of COCO's layout is one set: train2017 trains, val2017 validates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posewright.cli import main
from posewright.datasets import open_dataset
from posewright.datasets.check import check
from posewright.datasets.converting import convert
from posewright.datasets.formats.coco_folder import part_files
from posewright.datasets.opening import open_part, parts_of
from posewright.datasets.synthetic import synth
from posewright.errors import UsageError
from posewright.recipes.recipe import Recipe
from posewright.training.data import open_sets


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/coco as our converter writes it: 4 images train, 2 validate, and all ids begin at 1."""
    base = tmp_path_factory.mktemp("coco")
    convert(synth(base / "drawn", 6, seed=3), base / "data", "coco", ratio=1 / 3)
    return base / "data"


def test_each_use_takes_its_part(folder: Path) -> None:
    assert parts_of(folder) == ("train", "val") == parts_of(folder, "coco")
    assert [len(open_dataset(folder, split=part)) for part in (None, "train", "val")] == [6, 4, 2]
    held = open_part(folder, None, None, "val", "test")
    assert len(held) == 2 and {s.image.parent.name for s in held} == {"val2017"}
    train, val = open_sets(Recipe(data=(str(folder),)))
    assert {s.image.parent.name for s in train} == {"train2017"} and len(train) == 4
    assert val is not None and {s.image.parent.name for s in val} == {"val2017"}
    report = check(folder)
    assert (report.pictures, report.errors) == (6, 0)
    assert len({s.image_id for s in open_dataset(folder)}) == 6


def test_folder_of_images_does_not_join_the_parts(folder: Path) -> None:
    images = folder / "val2017"
    held = open_part(folder, None, images, "val", "test")
    assert len(held) == 2 and all(s.image.is_file() for s in held)
    recipe = Recipe(data=(str(folder),), images=str(folder / "train2017"))
    train, val = open_sets(recipe)
    assert val is not None and (len(train), len(val)) == (4, 2)
    assert all(s.image.is_file() for s in (*train, *val))


def test_result_files_are_scored_against_the_validation_part(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = json.loads((folder / "annotations" / "person_keypoints_val2017.json").read_text())
    found = [
        {k: a[k] for k in ("image_id", "category_id", "keypoints")} | {"score": 1.0}
        for a in labels["annotations"]
    ]
    (tmp_path / "found.json").write_text(json.dumps(found))
    words = ["eval", "coco", "--ann", folder, "--predictions", tmp_path / "found.json", "--json"]
    assert main(list(map(str, words))) == 0
    assert json.loads(capsys.readouterr().out)["AP"] == pytest.approx(1)


def test_joints_are_chosen_among_other_annotations(tmp_path: Path) -> None:
    notes = tmp_path / "annotations"
    notes.mkdir()
    for kind in ("captions", "instances", "person_keypoints"):
        for part in ("train", "val"):
            (notes / f"{kind}_{part}2017.json").write_text("{}")
    (notes / "image_info_test2017.json").write_text("{}")
    assert [f.name for f in part_files(tmp_path).values()] == [
        "person_keypoints_train2017.json",
        "person_keypoints_val2017.json",
    ]
    (notes / "person_keypoints_train2014.json").write_text("{}")
    (notes / "person_keypoints_val2014.json").write_text("{}")
    assert part_files(tmp_path) == {}  # of 2014 or of 2017?
    with pytest.raises(UsageError, match="several annotation files"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("crowdpose_train.json", "crowdpose_val.json", "crowdpose_test.json"), "train val test"),
        (("training_humanart.json", "validation_humanart.json"), "train val"),
        (("coco_wholebody_val_v1.0.json", "coco_wholebody_train_v1.0.json"), "train val"),
        (("mmpose_crowdpose_trainval.json", "other.json"), ""),
        (("trainer_1.json", "validity_1.json"), ""),
    ],
)
def test_parts_by_the_names_of_published_files(
    tmp_path: Path, names: tuple[str, ...], parts: str
) -> None:
    for name in names:
        (tmp_path / name).write_text("{}")
    assert list(part_files(tmp_path)) == parts.split()


def test_part_of_a_single_file_is_refused(folder: Path) -> None:
    file = folder / "annotations" / "person_keypoints_val2017.json"
    with pytest.raises(UsageError, match="single annotation file"):
        open_dataset(file, split="val")
    with pytest.raises(UsageError, match="no split 'test', only train, val"):
        open_dataset(folder, split="test")


def test_a_folder_of_one_part_is_that_part(folder: Path, tmp_path: Path) -> None:
    one = tmp_path / "one"
    (one / "annotations").mkdir(parents=True)
    name = "annotations/person_keypoints_val2017.json"
    (one / name).write_bytes((folder / name).read_bytes())
    assert len(open_dataset(one, split="val")) == len(open_dataset(folder, split="val"))
    with pytest.raises(UsageError, match="without splits"):
        open_dataset(one, split="train")
