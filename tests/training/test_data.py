"""Which images train and which validate: a set's own parts are obeyed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from posewright.datasets import Dataset, open_dataset
from posewright.datasets.formats.coco_out import write_labels
from posewright.datasets.formats.yolo_out import write_yolo
from posewright.datasets.synthetic import synth
from posewright.errors import UsageError
from posewright.evaluation.label_sets import open_labelled
from posewright.recipes.recipe import Recipe
from posewright.skeletons import COCO17
from posewright.training.data import open_sets


@pytest.fixture
def made(tmp_path: Path) -> Dataset:
    data = synth(tmp_path / "made", 9, 1)
    write_labels(data, tmp_path / "made" / "annotations.json")
    return data


@pytest.fixture
def yolo(made: Dataset, tmp_path: Path) -> Path:
    """Images 1 to 6 train, 7 and 8 validate, 9 tests."""
    write_yolo({"train": made[:6], "val": made[6:8], "test": made[8:]}, tmp_path / "yolo")
    return tmp_path / "yolo"


def numbers(data: Dataset | None) -> list[int]:
    return [] if data is None else [int(sample.image.stem) for sample in data]


def sets(*data: Path, **settings: object) -> tuple[list[int], list[int]]:
    """Return the numbers of the images that train, and of those that validate."""
    recipe = Recipe("simplepose_r18", data=tuple(map(str, data)))
    train, held = open_sets(replace(recipe, **settings))
    return numbers(train), numbers(held)


def test_train_trains_and_val_validates(yolo: Path) -> None:
    assert sets(yolo) == sets(yolo / "data.yaml") == ([1, 2, 3, 4, 5, 6], [7, 8])
    assert sets(yolo, val_split=0.5) == ([1, 2, 3, 4, 5, 6], [7, 8])


def test_val_given_by_hand(yolo: Path, tmp_path: Path) -> None:
    assert sets(yolo, val=str(yolo / "data.yaml")) == ([1, 2, 3, 4, 5, 6], [7, 8])
    assert sets(yolo, val="last:2") == ([1, 2, 3, 4], [5, 6])


def test_no_picture_trains_and_validates(yolo: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"  # the same images as those of yolo, in other files
    train, held = open_sets(Recipe("simplepose_r18", data=(str(yolo),), val=str(made)))
    assert (numbers(train), numbers(held)) == ([1, 2, 3, 4, 5, 6], [7, 8, 9])
    assert held is not None and "6 of 9 validation images are skipped" in held.remarks[-1]
    for val, count in ((yolo, 2), (made, 9)):  # asked for: is it learned by heart?
        train, held = open_sets(Recipe("simplepose_r18", data=(str(made),), val=str(val)))
        assert held is not None and (len(train), len(held)) == (9, count)
        assert "all its images are also training images" in held.remarks[-1]
    for number in (8, 9):
        (made / "images" / f"00000{number}.png").write_bytes(
            (made / "images" / "000001.png").read_bytes()
        )
    assert sets(made, val="last:3") == ([1, 2, 3, 4, 5, 6], [7])
    with pytest.raises(UsageError, match="all its images are also training images"):
        sets(made, val="last:2")


def test_no_video_is_torn(made: Dataset, tmp_path: Path) -> None:
    videos = [sample.replace(video=f"v{i % 3}") for i, sample in enumerate(made)]
    file = tmp_path / "made" / "annotations.json"
    write_labels(replace(made, samples=tuple(videos)), file)
    for seed in range(4):
        train, held = sets(file, val_split=0.3, seed=seed)
        assert len(held) == 3 and {i % 3 for i in train}.isdisjoint({i % 3 for i in held})
    one = [sample.replace(video="v") for sample in made]
    write_labels(replace(made, samples=tuple(one)), file)
    data, nothing = open_sets(Recipe("simplepose_r18", data=(str(file),), val_split=0.3))
    assert nothing is None and "all 9 images are of one video 'v'" in data.remarks[-1]


def test_without_val_a_share_of_train_is_held_back(yolo: Path) -> None:
    text = (yolo / "data.yaml").read_text()
    (yolo / "data.yaml").write_text(text.replace("val: images/val\n", ""))
    train, held = sets(yolo, val_split=0.34)
    assert sorted(train + held) == [1, 2, 3, 4, 5, 6] and len(held) == 2


def test_a_val_that_is_train_measures_nothing_so_a_share_is_held_back(yolo: Path) -> None:
    text = (yolo / "data.yaml").read_text()
    (yolo / "data.yaml").write_text(text.replace("images/val", "images/train"))
    train, held = open_sets(Recipe("simplepose_r18", data=(str(yolo),), val_split=0.34))
    assert sorted(numbers(train) + numbers(held)) == [1, 2, 3, 4, 5, 6] and len(held or ()) == 2
    assert "all images of val are training images" in train.remarks[-1]


def test_pictures_of_val_and_test_are_never_trained_on(yolo: Path) -> None:
    text = (yolo / "data.yaml").read_text()
    (yolo / "data.yaml").write_text(text.replace("train: images/train", "train: images"))
    assert sets(yolo) == ([1, 2, 3, 4, 5, 6], [7, 8])
    (yolo / "data.yaml").write_text(text.replace("train: images/train\n", ""))
    with pytest.raises(UsageError, match="no split 'train'"):
        sets(yolo)


def test_sets_with_and_without_parts_together(yolo: Path, tmp_path: Path) -> None:
    labels = tmp_path / "made" / "annotations.json"
    write_labels(open_dataset(labels)[:4], labels)
    train, held = sets(yolo, tmp_path / "made")
    assert (train, held) == ([1, 2, 3, 4, 5, 6, 1, 2, 3, 4], [7, 8])


def test_evaluation_reads_val_or_the_part_that_is_asked_for(yolo: Path) -> None:
    assert numbers(open_labelled("pck", yolo, None, COCO17)[0]) == [7, 8]
    assert numbers(open_labelled("pck", yolo, None, COCO17, split="test")[0]) == [9]
    text = (yolo / "data.yaml").read_text()
    (yolo / "data.yaml").write_text(text.replace("val: images/val\n", ""))
    assert numbers(open_labelled("pck", yolo, None, COCO17)[0]) == [9]
