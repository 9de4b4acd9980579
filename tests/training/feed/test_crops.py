"""The cache of crops: the same views, sooner; nothing stale, damaged or half written is used."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from posewright.augment import Augmentation
from posewright.codecs import DEKR, Heatmap
from posewright.datasets import Dataset, Sample, open_dataset
from posewright.errors import OutputError
from posewright.skeletons import COCO17
from posewright.training.feed import crops
from posewright.training.feed.crops import CropCache, Cut
from posewright.training.feed.feed import Feed

CODEC = Heatmap((48, 64))
AUGMENT = Augmentation(flip=0.5, scale=0.3, rotate=40)
BOX = np.array([150, 100, 250, 240], np.float32)


@pytest.fixture
def one(tmp_path: Path) -> Sample:
    """A smooth image of 640x480 px with one person in it."""
    small = np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), cv2.resize(small, (640, 480)))
    points = np.full((1, 17, 3), 2.0)
    points[0, :, :2] = np.random.default_rng(1).uniform(BOX[:2], BOX[2:], (17, 2))
    return Sample.of(tmp_path / "a.png", (640, 480), 1, points, BOX[None])


@pytest.fixture
def cache(tmp_path: Path) -> CropCache:
    return CropCache(tmp_path / "crops", CODEC, AUGMENT, COCO17)


def cut(cache: CropCache, sample: Sample, box: np.ndarray = BOX) -> Cut:
    found = cache.cut(sample, box)
    assert isinstance(found, Cut)
    return found


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*"))


def test_a_crop_is_the_same_the_first_and_the_second_time(one: Sample, cache: CropCache) -> None:
    first = cut(cache, one)
    assert len(entries(cache.folder)) == 1 and entries(cache.folder)[0].suffix == ".jpg"
    second = cut(cache, one)
    assert first.part == second.part and first.size == second.size == (640, 480)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    x1, y1, x2, y2 = first.part
    assert first.pixels.shape[1] < x2 - x1  # made smaller, since the view is
    whole = one.load().image[y1:y2, x1:x2]
    near = cv2.resize(whole, first.pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(near.astype(int) - first.pixels).mean() < 3


def test_views_of_crops_are_those_of_pictures(data_dir: Path, tmp_path: Path) -> None:
    dataset = open_dataset(data_dir / "coco" / "person_keypoints.json")
    labelled = [i for i, s in enumerate(dataset) if (s.people.scores > 0).any()][:12]
    codec = Heatmap((96, 128))
    options = {"batch": 16, "seed": 0}
    plain = Feed(dataset[labelled], codec, COCO17, AUGMENT, **options)
    cached = Feed(dataset[labelled], codec, COCO17, AUGMENT, cache=str(tmp_path), **options)
    first, second = list(cached.epoch(0)), list(cached.epoch(0))
    assert len(entries(tmp_path)) > 10
    for direct, one, two in zip(plain.epoch(0), first, second, strict=True):
        assert torch.equal(one.views, two.views)
        np.testing.assert_array_equal(direct.numbers, one.numbers)
        gaps = (direct.views.float() - one.views.float()).abs().mean((1, 2, 3))
        assert gaps.median() < 5 and gaps.max() < 20  # grey levels: other pixels, the same place


def test_a_view_beyond_the_crop_comes_from_the_picture(one: Sample, tmp_path: Path) -> None:
    far = replace(AUGMENT, shift=1.0, scale=0.0)
    data = Dataset("a", COCO17, (one,))
    options = {"batch": 1, "seed": 0}
    plain = Feed(data, CODEC, COCO17, far, **options)
    cached = Feed(data, CODEC, COCO17, far, cache=str(tmp_path), **options)
    cached.crops.reach = (1.0, 1.0)  # type: ignore[union-attr]
    exact = [
        torch.equal(a.views, b.views)
        for e in range(20)
        for a, b in zip(plain.epoch(e), cached.epoch(e), strict=True)
    ]
    assert sum(exact) > 10


def test_crops_reach_as_far_as_augmentation(tmp_path: Path) -> None:
    def reach(augment: Augmentation) -> tuple[float, float]:
        return CropCache(tmp_path, CODEC, augment, COCO17).reach

    assert reach(Augmentation.none()) == (1.0, 1.0)
    wide = reach(replace(Augmentation.none(), scale=0.3))
    turned = reach(replace(Augmentation.none(), scale=0.3, rotate=40))
    assert wide == (1.3125, 1.3125) and turned[0] > 2 and turned[1] > 1.5


def test_a_changed_picture_box_or_setting_is_another_entry(
    one: Sample, cache: CropCache, tmp_path: Path
) -> None:
    paths = {cache.path(one.image, BOX), cache.path(one.image, BOX + 1)}
    for codec, augment in (
        (Heatmap((96, 128)), AUGMENT),
        (CODEC, Augmentation.none()),
        (replace(CODEC, padding=1.0), AUGMENT),
    ):
        paths.add(CropCache(cache.folder, codec, augment, COCO17).path(one.image, BOX))
    os.utime(one.image, ns=(1, 1))
    paths.add(cache.path(one.image, BOX))
    other = one.image.with_name("b.png")
    other.write_bytes(one.image.read_bytes())
    os.utime(other, ns=(1, 1))
    paths.add(cache.path(other, BOX))
    assert len(paths) == 7 and None not in paths
    assert cache.path(tmp_path / "none.png", BOX) is None
    before = cut(cache, one)
    cv2.imwrite(str(one.image), 255 - one.load().image)
    assert np.abs(cut(cache, one).pixels.astype(int) - before.pixels).mean() > 20


@pytest.mark.parametrize("damage", ["cut", "zeros", "empty", "foreign", "version"])
def test_a_damaged_entry_is_made_again(one: Sample, cache: CropCache, damage: str) -> None:
    good = cut(cache, one).pixels
    (path,) = entries(cache.folder)
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        {
            "cut": data[:middle],
            "zeros": data[:middle] + bytes(100) + data[middle + 100 :],
            "empty": b"",
            "foreign": b"no picture" * 10,
            "version": data[:-1] + b"0",
        }[damage]
    )
    np.testing.assert_array_equal(cut(cache, one).pixels, good)
    assert path.read_bytes() == data


def test_a_full_disk_stops_no_training(
    one: Sample, cache: CropCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = cut(cache, one).pixels
    (path,) = entries(cache.folder)
    path.unlink()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    for _ in range(2):
        np.testing.assert_array_equal(cut(cache, one).pixels, wanted)
    assert len(cache.notes) == 1 and "No space left" in cache.notes[0]
    assert entries(cache.folder) == []  # no part is left behind


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot create a cache"):
        CropCache(tmp_path / "file" / "crops", CODEC, AUGMENT, COCO17)


def test_several_may_write_the_same_entry(one: Sample, cache: CropCache) -> None:
    with ThreadPoolExecutor(4) as pool:
        cuts = list(pool.map(lambda _: cut(cache, one).pixels, range(16)))
    assert all(np.array_equal(cuts[0], c) for c in cuts)
    assert len(entries(cache.folder)) == 1


def test_a_picture_that_a_crop_would_fill_is_not_kept_again(one: Sample, cache: CropCache) -> None:
    cv2.imwrite(str(one.image), one.load().image[:40, :30, ::-1])
    found = cut(cache, one, np.array([0, 0, 30, 40], np.float32))
    assert found.pixels.shape == (40, 30, 3) and entries(cache.folder) == []
    outside = cut(cache, one, np.array([900, 900, 950, 990], np.float32))
    assert outside.part == (0, 0, 30, 40)


def test_whole_pictures_are_kept_smaller(one: Sample, tmp_path: Path) -> None:
    cache = CropCache(tmp_path / "crops", DEKR((128, 128)), AUGMENT, COCO17)
    found = cut(cache, one, np.zeros(4, np.float32))
    assert found.part == (0, 0, 640, 480)
    share = 128 / 480 * crops.DETAIL  # DEKR's views fit the shorter side
    assert found.pixels.shape[1] == pytest.approx(640 * share, abs=1)


def test_an_unreadable_picture_is_a_message(one: Sample, cache: CropCache) -> None:
    one.image.write_bytes(b"\xff\xd8\xff\xe0")
    assert "header" in str(cache.cut(one, BOX))
    one.image.unlink()
    assert "no such file" in str(cache.cut(one, BOX))
