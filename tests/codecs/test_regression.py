"""Regression codec: exact round trips, mirrors, scores, both array kinds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.codecs import Regression, codec_from_dict, codec_named, codec_to_dict
from posewright.errors import ModelError
from posewright.people import People
from posewright.skeletons import COCO17
from posewright.warp import Warp

DEEPPOSE = Regression()
RLE = Regression((288, 384), centred=True, sigma=True)
MMPOSE = Regression(sigma=True)
ALL = [DEEPPOSE, RLE, MMPOSE]
IDS = ["deeppose", "rle", "mmpose"]
SEEDS = st.integers(0, 2**32 - 1)
quick = settings(max_examples=20, deadline=None)


def someone(seed: int, codec: Regression, count: int = 3) -> People:
    high = np.array(codec.input_size) - 1
    return People.of(keypoints=np.random.default_rng(seed).uniform(0, high, (count, 17, 2)))


def perfect(codec: Regression, people: People, sigma: float = 0.1) -> dict[str, np.ndarray]:
    at = codec.encode(people)["coordinates"]
    return {"coordinates": at, **({"sigma": np.full_like(at, sigma)} if codec.sigma else {})}


@pytest.mark.parametrize("codec", ALL, ids=IDS)
@given(seed=SEEDS)
@quick
def test_round_trip_is_exact(codec: Regression, seed: int) -> None:
    people = someone(seed, codec)
    found = People.concat(codec.decode(perfect(codec, people)))
    assert np.abs(found.keypoints - people.keypoints).max() < 1e-3
    np.testing.assert_allclose(found.scores, 0.9 if codec.sigma else 1.0, rtol=1e-6)


@pytest.mark.parametrize("codec", ALL, ids=IDS)
@given(seed=SEEDS)
@quick
def test_unflip_mirrors_and_twice_is_the_identity(codec: Regression, seed: int) -> None:
    people = someone(seed, codec)
    outputs = perfect(codec, people)
    once = codec.unflip(outputs, COCO17)
    (left, *_), (right, *_) = codec.decode(outputs), codec.decode(once)
    mirrored = left.keypoints[0, COCO17.flip_index]
    mirrored[:, 0] = codec.input_size[0] - 1 - mirrored[:, 0]
    np.testing.assert_allclose(right.keypoints[0], mirrored, atol=1e-3)
    for key, value in codec.unflip(once, COCO17).items():
        np.testing.assert_allclose(value, outputs[key], atol=1e-6)


@pytest.mark.parametrize("codec", ALL, ids=IDS)
def test_torch_and_single_views_agree_with_numpy_batches(codec: Regression) -> None:
    outputs = codec.unflip(perfect(codec, someone(1, codec)), COCO17)
    tensors = {k: torch.from_numpy(v) for k, v in perfect(codec, someone(1, codec)).items()}
    turned = codec.unflip(tensors, COCO17)
    assert all(isinstance(v, torch.Tensor) for v in turned.values())
    batch, other = codec.decode(outputs), codec.decode(turned)
    for i, (a, b) in enumerate(zip(batch, other, strict=True)):
        (alone,) = codec.decode({k: v[i : i + 1] for k, v in outputs.items()})
        np.testing.assert_array_equal(a.keypoints, alone.keypoints)
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-4)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)


def test_centred_and_other_targets_are_half_a_view_apart() -> None:
    people = someone(0, DEEPPOSE)
    centred = Regression(centred=True).encode(people)["coordinates"]
    np.testing.assert_allclose(DEEPPOSE.encode(people)["coordinates"] - centred, 0.5, atol=1e-6)


def test_joints_outside_or_not_labelled_have_no_weight() -> None:
    points = np.full((1, 17, 2), 50.0)
    points[0, 3] = [-1, 50]
    points[0, 4] = [50, 257]
    scores = np.ones((1, 17))
    scores[0, 5] = 0
    encoded = DEEPPOSE.encode(People.of(keypoints=points, scores=scores))
    assert np.flatnonzero(encoded["weight"][0] == 0).tolist() == [3, 4, 5]
    assert not encoded["coordinates"][0, 3:6].any()


def test_points_outside_of_the_view_stay_there() -> None:
    at = np.full((1, 17, 2), 1.5, np.float32)
    (person,) = DEEPPOSE.decode({"coordinates": at})
    np.testing.assert_allclose(person.keypoints[0, 0], [288, 384])


def test_nobody_where_a_number_is_not_finite() -> None:
    outputs = perfect(MMPOSE, someone(0, MMPOSE))
    outputs["coordinates"][0, 2, 1] = np.nan
    outputs["sigma"][1, 2, 1] = np.inf
    assert [len(p) for p in MMPOSE.decode(outputs)] == [0, 0, 1]


def test_wrong_outputs_are_named() -> None:
    with pytest.raises(ModelError, match="sigma=False"):
        RLE.decode({"coordinates": np.zeros((1, 17, 2), np.float32)})
    with pytest.raises(ModelError, match="must be"):
        RLE.decode({"coordinates": np.zeros((1, 34), np.float32)})


def test_names_forms_and_crops() -> None:
    assert codec_named("regression", (192, 256)) == DEEPPOSE
    assert codec_named("rle", (288, 384)) == RLE
    assert codec_named("mmpose_rle", (192, 256)) == MMPOSE
    assert codec_from_dict(codec_to_dict(RLE)) == RLE
    boxes = np.array([[10.0, 10, 50, 90]])
    (warp,) = DEEPPOSE.warps((100, 100), People.of(boxes=boxes, keypoints=np.zeros((1, 17, 2))))
    assert np.allclose(warp.matrix, Warp.crop(boxes[0], (192, 256), 1.25).matrix)
    assert DEEPPOSE.warps((100, 100), None) == []
