"""AdaptivePose's codec: targets, people from maps, mirror images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.codecs import AdaptivePose, codec_from_dict, codec_to_dict
from posewright.codecs.adaptivepose import parts_of
from posewright.errors import UsageError
from posewright.people import People
from posewright.skeletons import COCO17, CROWDPOSE14, HALPE26

CODEC = AdaptivePose(input_size=(256, 192))


def crowd(seed: int = 0, joints: int = 17) -> People:
    rng = np.random.default_rng(seed)
    middle = np.array([(60, 60), (180, 100)], np.float32)
    points = middle[:, None] + rng.uniform(-40, 40, (2, joints, 2)).astype(np.float32)
    return People.of(keypoints=points)


def by_place(people: People) -> np.ndarray:
    return people.keypoints[np.argsort(people.keypoints[:, :, 0].mean(1))]


def ideal(people: People) -> dict[str, Any]:
    """What a network that has learned its targets emits."""
    targets: dict[str, Any] = CODEC.encode(people)
    k = people.keypoints.shape[1]
    p = np.clip(targets["centre"], 1e-6, 1 - 1e-6)
    offset = np.zeros((1, k, 2, 48 * 64), np.float32)
    for cell, joints in zip(targets["cell"][0], targets["joints"][0], strict=True):
        offset[0, :, :, cell] = joints if joints.any() else offset[0, :, :, cell]
    points = np.zeros((1, 14, 48, 64), np.float32)
    logits = np.log(p / (1 - p)).astype(np.float32)
    return {"centre": logits, "offset": offset.reshape(1, 2 * k, 48, 64), "points": points}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_people_come_back_from_their_targets(seed: int) -> None:
    people = crowd(seed)
    (found,) = CODEC.decode(ideal(people))
    assert len(found) == 2 and (found.box_scores > 0.999).all()
    np.testing.assert_allclose(by_place(found), by_place(people), atol=1e-3)
    np.testing.assert_allclose(found.scores, found.box_scores[:, None].repeat(17, 1))


def test_targets_are_one_at_the_centre_and_fall_off_with_size() -> None:
    targets = CODEC.encode(crowd())
    centre, cells = targets["centre"][0, 0], targets["cell"][0]
    assert centre.shape == (48, 64) and (centre.reshape(-1)[cells[:2]] == 1).all()
    assert (centre == 1).sum() == 2
    small = People.of(keypoints=crowd().keypoints / 8 + 100)
    assert (CODEC.encode(small)["centre"] > 0).sum() < (centre > 0).sum()


def test_slots_are_filled_with_weight_zero() -> None:
    people = crowd()
    targets = CODEC.encode(people)
    shapes = {k: v.shape for k, v in targets.items()}
    assert shapes == {
        "centre": (1, 1, 48, 64),
        "cell": (1, 32),
        "joints": (1, 32, 17, 2),
        "weight": (1, 32, 17),
        "area": (1, 32),
    }
    assert targets["cell"].dtype == np.int64
    assert targets["weight"][0, 2:].max() == 0 and (targets["area"][0, 2:] == 1).all()
    width, height = (people.boxes[:, 2:] - people.boxes[:, :2]).T
    areas = np.sort(0.53 * width * height / 16)
    np.testing.assert_allclose(np.sort(targets["area"][0, :2]), areas, rtol=1e-5)
    assert (replace(CODEC, slots=1).encode(people)["weight"].sum(2) > 0).sum() == 1
    assert CODEC.encode(People.empty(17))["centre"].max() == 0


def test_joints_without_label_or_outside_of_the_view_do_not_count() -> None:
    people = crowd()[0]
    points, scores = people.keypoints.copy(), people.scores.copy()
    scores[0, 3], points[0, 4] = 0, (300, 100)
    targets = CODEC.encode(people.replace(keypoints=points, scores=scores))
    assert targets["weight"][0, 0].sum() == 15 and targets["weight"][0, 0, 3:5].sum() == 0
    one = np.zeros((1, 17), np.float32)
    one[0, 0] = 1
    assert CODEC.encode(people.replace(scores=one))["weight"].sum() == 0


def test_batches_give_what_single_views_give_for_numpy_and_torch() -> None:
    one, two = ideal(crowd(1)), ideal(crowd(2))
    batch = {k: np.concatenate([one[k], two[k]]) for k in one}
    tensors = {k: torch.from_numpy(v) for k, v in batch.items()}
    for found in (CODEC.decode(batch), CODEC.decode(tensors)):
        for people, single in zip(found, (one, two), strict=True):
            np.testing.assert_array_equal(people.keypoints, CODEC.decode(single)[0].keypoints)


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14])
def test_two_mirrors_are_none(skeleton) -> None:
    rng = np.random.default_rng(0)
    channels = {"centre": 1, "offset": 2 * len(skeleton), "points": 14}
    outputs = {
        name: rng.normal(size=(2, c, 8, 6)).astype(np.float32) for name, c in channels.items()
    }
    once = CODEC.unflip(outputs, skeleton)
    twice = CODEC.unflip(once, skeleton)
    tensors = CODEC.unflip({n: torch.from_numpy(a) for n, a in outputs.items()}, skeleton)
    for name, array in outputs.items():
        np.testing.assert_allclose(twice[name], array, atol=1e-6)
        np.testing.assert_allclose(tensors[name], once[name])


def test_adaptive_points_of_left_limbs_become_those_of_right_ones() -> None:
    points = np.zeros((1, 7, 2, 4, 4), np.float32)
    points[0, :, 1] = np.arange(7)[:, None, None]
    outputs = {
        "centre": np.zeros((1, 1, 4, 4), np.float32),
        "offset": np.zeros((1, 34, 4, 4), np.float32),
        "points": points.reshape(1, 14, 4, 4),
    }
    found = CODEC.unflip(outputs, COCO17)["points"].reshape(7, 2, 4, 4)
    assert found[:, 1, 0, 0].tolist() == [0, 1, 3, 2, 4, 6, 5]
    assert (found[:, 0] == -0.25).all()


def test_mirrored_views_give_the_same_people() -> None:
    people = crowd()
    points = people.keypoints[:, COCO17.flip_index].copy()
    points[..., 0] = 255 - points[..., 0]
    found = CODEC.decode(CODEC.unflip(ideal(People.of(keypoints=points)), COCO17))[0]
    np.testing.assert_allclose(by_place(found), by_place(people), atol=1e-3)


def test_maps_that_are_not_finite_hold_nobody() -> None:
    outputs = {k: np.full_like(v, np.nan) for k, v in ideal(crowd()).items()}
    assert len(CODEC.decode(outputs)[0]) == 0
    partly = ideal(crowd())
    partly["offset"][:, 0] = np.inf
    assert len(CODEC.decode(partly)[0]) == 0


def test_every_joint_has_one_adaptive_point() -> None:
    for skeleton in (COCO17, CROWDPOSE14):
        assert sorted(j for part in parts_of(skeleton) for j in part) == list(range(len(skeleton)))
    with pytest.raises(UsageError, match="halpe26"):
        parts_of(HALPE26)


def test_views_have_the_published_shorter_side() -> None:
    assert AdaptivePose().warps((640, 427), None)[0].size == (768, 512)
    assert AdaptivePose().warps((427, 700), None)[0].size == (512, 864)
    assert replace(CODEC, square=True).warps((640, 427), None)[0].size == (256, 192)
    with pytest.raises(UsageError, match="multiples of 32"):
        AdaptivePose(input_size=(500, 512))


def test_the_plain_form_is_the_codec() -> None:
    assert codec_from_dict(codec_to_dict(CODEC)) == CODEC
