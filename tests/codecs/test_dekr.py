"""DEKR's codec: targets, people from maps, mirror images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.codecs import DEKR, codec_from_dict, codec_to_dict
from posewright.codecs.dekr import centres
from posewright.errors import UsageError
from posewright.people import People
from posewright.skeletons import COCO17, CROWDPOSE14

CODEC = DEKR(input_size=(256, 192))


def crowd(seed: int = 0, joints: int = 17, at: tuple[tuple[int, int], ...] = ()) -> People:
    rng = np.random.default_rng(seed)
    middle = np.array(at or [(60, 60), (180, 100)], np.float32)
    points = middle[:, None] + rng.uniform(-40, 40, (len(middle), joints, 2)).astype(np.float32)
    return People.of(keypoints=points)


def by_place(people: People) -> np.ndarray:
    return people.keypoints[np.argsort(people.keypoints[:, :, 0].mean(1))]


def ideal(people: People, codec: DEKR = CODEC) -> dict[str, Any]:
    return {k: v for k, v in codec.encode(people).items() if not k.endswith("_weight")}


@pytest.mark.parametrize("outward", [False, True])
def test_people_come_back_from_their_targets(outward: bool) -> None:
    people, codec = crowd(), replace(CODEC, outward=outward)
    (found,) = codec.decode(ideal(people, codec))
    assert len(found) == 2
    # exact: an offset leads from any cell of the centre to the joint itself
    np.testing.assert_allclose(by_place(found), by_place(people), atol=1e-3)
    assert (found.box_scores > 0.9).all() and (found.scores > 0.7).all()


def test_encoded_arrays_have_the_shapes_that_networks_emit() -> None:
    arrays = CODEC.encode(crowd(joints=14))
    assert {k: v.shape for k, v in arrays.items()} == {
        "heatmap": (1, 15, 48, 64),
        "heatmap_weight": (1, 15, 48, 64),
        "offset": (1, 28, 48, 64),
        "offset_weight": (1, 28, 48, 64),
    }
    assert all(v.dtype == np.float32 for v in arrays.values())
    nobody = CODEC.encode(People.empty(14))
    assert nobody["offset_weight"].max() == 0 and nobody["heatmap"].max() == 0
    assert (nobody["heatmap_weight"] == np.float32(0.1)).all()


def test_offsets_lie_round_the_centre_and_count_by_size() -> None:
    points = np.full((1, 17, 2), 100, np.float32)
    points[0, 0], points[0, 1] = (88, 84), (112, 116)  # 24 by 32 px: 6 by 8 cells
    arrays = CODEC.encode(People.of(keypoints=points))
    weight = arrays["offset_weight"][0, 0]
    rows, columns = np.nonzero(weight)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (21, 28, 21, 28)
    np.testing.assert_allclose(weight[rows, columns], 0.1)
    assert arrays["offset"][0, 0, 25, 25] == 25 - 22 and arrays["offset"][0, 1, 25, 25] == 25 - 21


def test_the_smaller_of_two_people_has_the_offset() -> None:
    rng = np.random.default_rng(0)
    shape = rng.uniform(-1, 1, (17, 2)).astype(np.float32)
    shape -= shape.mean(0)
    points = np.stack([100 + 60 * shape, 100 + 20 * shape])
    both = CODEC.encode(People.of(keypoints=points))
    small = CODEC.encode(People.of(keypoints=points[1:]))
    counts = small["offset_weight"] > 0
    np.testing.assert_allclose(both["offset"][counts], small["offset"][counts], atol=1e-5)


def test_joints_without_label_or_outside_of_the_view_do_not_count() -> None:
    people = crowd(at=((100, 100),))
    points, scores = people.keypoints.copy(), people.scores.copy()
    scores[0, 3], points[0, 4] = 0, (300, 100)
    arrays = CODEC.encode(people.replace(keypoints=points, scores=scores))
    assert arrays["heatmap"][0, [3, 4]].max() == 0
    assert arrays["offset_weight"][0, 6:10].max() == 0
    assert arrays["offset_weight"][0, :6].max() > 0


def test_a_pose_is_found_once() -> None:
    people = crowd(at=((100, 100),))
    outputs = ideal(people)
    outputs["heatmap"][0, -1, 10, 10] = 0.5  # another centre, which leads to the same pose
    pairs = outputs["offset"].reshape(1, 17, 2, 48, 64)
    pairs[0, :, :, 10, 10] = np.array([10, 10]) - people.keypoints[0] / 4
    (found,) = CODEC.decode(outputs)
    assert len(found) == 1 and found.box_scores[0] > 0.9
    (both,) = replace(CODEC, alike=17).decode(outputs)
    assert len(both) == 2


def test_batches_give_what_single_views_give_for_numpy_and_torch() -> None:
    one, two = ideal(crowd(1)), ideal(crowd(2))
    batch = {k: np.concatenate([one[k], two[k]]) for k in one}
    tensors = {k: torch.from_numpy(v) for k, v in batch.items()}
    for found in (CODEC.decode(batch), CODEC.decode(tensors)):
        for people, single in zip(found, (one, two), strict=True):
            np.testing.assert_array_equal(people.keypoints, CODEC.decode(single)[0].keypoints)


def test_offsets_lead_from_joint_to_centre_unless_outward() -> None:
    inward, outward = (ideal(crowd(), replace(CODEC, outward=o))["offset"] for o in (False, True))
    np.testing.assert_array_equal(inward, -outward)


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14])
def test_two_mirrors_are_none(skeleton) -> None:
    rng = np.random.default_rng(0)
    k = len(skeleton)
    outputs = {
        "heatmap": rng.normal(size=(2, k + 1, 8, 6)).astype(np.float32),
        "offset": rng.normal(size=(2, 2 * k, 8, 6)).astype(np.float32),
    }
    twice = CODEC.unflip(CODEC.unflip(outputs, skeleton), skeleton)
    tensors = CODEC.unflip({n: torch.from_numpy(a) for n, a in outputs.items()}, skeleton)
    for name, array in outputs.items():
        np.testing.assert_allclose(twice[name], array, atol=1e-6)
        np.testing.assert_allclose(tensors[name], CODEC.unflip(outputs, skeleton)[name])


@pytest.mark.parametrize("outward", [False, True])
def test_mirrored_views_give_the_same_people(outward: bool) -> None:
    people, codec = crowd(), replace(CODEC, outward=outward)
    points = people.keypoints[:, COCO17.flip_index].copy()
    points[..., 0] = 255 - points[..., 0]
    found = codec.decode(codec.unflip(ideal(People.of(keypoints=points), codec), COCO17))[0]
    np.testing.assert_allclose(by_place(found), by_place(people), atol=1e-3)


def test_maps_that_are_not_finite_hold_nobody() -> None:
    outputs = {k: np.full_like(v, np.nan) for k, v in ideal(crowd()).items()}
    assert len(CODEC.decode(outputs)[0]) == 0
    partly = ideal(crowd())
    partly["offset"][:, 0] = np.inf
    assert len(CODEC.decode(partly)[0]) == 0
    partly = ideal(crowd())
    partly["heatmap"][:, 3] = np.nan
    assert (CODEC.decode(partly)[0].scores[:, 3] == 0).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 5, 7]), st.integers(1, 5))
def test_centres_are_the_maxima_of_their_patches(seed: int, kernel: int, count: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 6, (7, 9)).astype(np.float32)
    reach = kernel // 2
    cells = {
        (y, x)
        for y, x in np.ndindex(scores.shape)
        if scores[y, x] > 2
        and scores[y, x]
        == scores[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].max()
    }
    rows, columns, values = centres(scores, kernel, 99, 2.0)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == cells
    assert (np.diff(values) <= 0).all()
    assert len(centres(scores, kernel, count, 2.0)[0]) == min(count, len(cells))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000))
def test_views_hold_the_whole_image(width: int, height: int) -> None:
    (warp,) = DEKR().warps((width, height), None)
    assert warp.size[0] % 64 == 0 and warp.size[1] % 64 == 0
    corners = np.array([[0, 0], [width - 1, height - 1]], np.float64)
    seen = corners @ warp.matrix[:, :2].T + warp.matrix[:, 2]
    assert (seen >= -0.5 - 1e-3).all() and (seen <= np.array(warp.size) - 0.5 + 1e-3).all()
    if max(width, height) <= 4 * min(width, height):
        assert min(width, height) * warp.matrix[0, 0] == pytest.approx(512, abs=1e-3)
    assert max(warp.size) <= 4 * 512


def test_square_views_have_the_stated_size() -> None:
    assert replace(CODEC, square=True).warps((640, 480), None)[0].size == (256, 192)
    assert CODEC.warps((640, 480), None)[0].size == (256, 192)
    assert DEKR().warps((640, 427), None)[0].size == (768, 512)


def test_sides_that_no_network_takes_are_named() -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        DEKR(input_size=(500, 512))


def test_the_plain_form_is_the_codec() -> None:
    assert codec_from_dict(codec_to_dict(CODEC)) == CODEC
