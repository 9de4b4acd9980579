"""The detectors' codecs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posewright.codecs import Boxes, DistributionBoxes
from posewright.skeletons import Skeleton


def blank(h: int = 64, w: int = 96, views: int = 1) -> dict[str, np.ndarray]:
    """Levels on which nobody is found."""
    maps = {f"p{s}": np.zeros((views, 45, h // s, w // s), np.float32) for s in (8, 16, 32)}
    for a in maps.values():
        a[:, 0] = -10
    return maps


def put(maps: dict, view: int, stride: int, y: int, x: int, distances: list[int], score: float):
    a = maps[f"p{stride}"]
    a[view, 0, y, x] = np.log(score / (1 - score))
    for side, distance in enumerate(distances):
        a[view, 1 + side * 11 + distance, y, x] = 50  # all the weight on one bin


def test_a_cell_is_the_box_its_distances_say() -> None:
    maps = blank(views=2)
    put(maps, 1, 16, 2, 3, [1, 2, 3, 1], 0.9)
    nobody, people = DistributionBoxes().decode(maps)
    assert len(nobody) == 0
    x, y = 3 * 16 + 7.5, 2 * 16 + 7.5  # the cell's middle, pixel centres at integers
    assert people.boxes[0].tolist() == [x - 16, y - 32, x + 48, y + 16]
    assert people.box_scores[0] == pytest.approx(0.9, abs=1e-6)


def test_threshold_nms_and_max_people_have_an_effect() -> None:
    maps = blank()
    put(maps, 0, 8, 3, 3, [2, 2, 2, 2], 0.9)
    put(maps, 0, 8, 3, 4, [3, 2, 1, 2], 0.5)  # the same box from the next cell
    put(maps, 0, 8, 6, 10, [1, 1, 1, 1], 0.4)
    assert len(DistributionBoxes().decode(maps)[0]) == 2
    assert len(DistributionBoxes(iou=1.0).decode(maps)[0]) == 3
    assert len(DistributionBoxes(threshold=0.45).decode(maps)[0]) == 1
    assert len(DistributionBoxes(max_people=1).decode(maps)[0]) == 1


def test_views_are_no_larger_than_needed() -> None:
    codec = DistributionBoxes()
    (warp,) = codec.warps((1280, 720), None)
    assert warp.size == (512, 288)
    assert np.allclose(warp.points([[1279.5, 719.5]]), [[511.5, 287.5]])  # edge meets edge
    assert DistributionBoxes(square=True).warps((1280, 720), None)[0].size == (512, 512)
    assert codec.warps((10, 4000), None)[0].size == (32, 512)


@given(st.integers(0, 2**31))
def test_unflip_twice_is_the_identity_and_mirrors_boxes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = {k: rng.normal(size=a.shape).astype(np.float32) for k, a in blank().items()}
    codec, none = DistributionBoxes(iou=1.0, max_people=1000), Skeleton("none", ())
    again = codec.unflip(codec.unflip(maps, none), none)
    assert all(np.array_equal(again[k], maps[k]) for k in maps)
    plain, mirrored = codec.decode(maps)[0], codec.decode(codec.unflip(maps, none))[0]
    back = mirrored.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [95, 0, 95, 0]
    order, other = np.lexsort(plain.boxes.T), np.lexsort(back.T.round(3))
    assert np.abs(np.sort(plain.boxes[order], 0) - np.sort(back[other], 0)).max() < 1e-3


def test_not_finite_numbers_are_nobody() -> None:
    maps = blank()
    put(maps, 0, 8, 3, 3, [2, 2, 2, 2], 0.9)
    maps["p8"][0, 1:, 3, 3] = np.nan
    assert len(DistributionBoxes().decode(maps)[0]) == 0
    maps["p8"][0, 0] = np.nan
    assert len(DistributionBoxes().decode(maps)[0]) == 0


def test_published_boxes_keep_people_only() -> None:
    dets = np.array([[[1, 2, 30, 40, 0.9], [5, 5, 9, 9, 0.8], [0, 0, 9, 9, 0.1]]], np.float32)
    outputs = {"dets": dets, "labels": np.array([[0, 3, 0]])}
    (people,) = Boxes().decode(outputs)
    assert people.boxes.tolist() == [[1, 2, 30, 40]]
    assert len(Boxes(threshold=0.05).decode(outputs)[0]) == 2
    assert len(Boxes().decode({"dets": dets})[0]) == 2  # a file that knows people only
    none = Skeleton("none", ())
    mirrored = Boxes().unflip(outputs, none)
    assert mirrored["dets"][0, 0, :4].tolist() == [609, 2, 638, 40]
    assert np.array_equal(Boxes().unflip(mirrored, none)["dets"], dets)
    dets[0, 0, 0] = np.inf
    assert len(Boxes().decode(outputs)[0]) == 0
