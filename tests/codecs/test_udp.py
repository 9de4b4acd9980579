"""UDP's combined target and Megvii's heatmaps: there and back, mirrored, on torch and numpy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from posewright.codecs import Codec, CombinedUDP, Megvii, codec_from_dict, codec_to_dict
from posewright.errors import ModelError
from posewright.people import People
from posewright.skeletons import COCO17


def people(seed: int, count: int = 4) -> People:
    rng = np.random.default_rng(seed)
    points = rng.uniform([12, 12], [180, 244], (count, 17, 2)).astype(np.float32)
    boxes = np.tile([0, 0, 192, 256], (count, 1))
    return People.of(boxes, None, points, np.ones((count, 17)))


@pytest.mark.parametrize(("codec", "bound"), [(CombinedUDP(), 0.7), (Megvii(), 4.3)], ids=str)
def test_a_target_decodes_to_its_joints(codec: Codec, bound: float) -> None:
    given = people(0)
    targets = codec.encode(given)  # type: ignore[attr-defined]
    for convert in (np.asarray, torch.from_numpy):
        found = codec.decode({"heatmap": convert(targets["heatmap"])})
        errors = [
            np.linalg.norm(p.keypoints[0] - g, axis=1)
            for p, g in zip(found, given.keypoints, strict=True)
        ]
        assert np.max(errors) < bound


@pytest.mark.parametrize("codec", [CombinedUDP(), Megvii()], ids=["udp", "megvii"])
def test_mirror_twice_is_nothing_and_mirrored_targets_agree(codec: Codec) -> None:
    rng = np.random.default_rng(1)
    channels = 51 if isinstance(codec, CombinedUDP) else 17
    maps = {"heatmap": rng.random((2, channels, 64, 48), np.float32)}
    twice = codec.unflip(codec.unflip(maps, COCO17), COCO17)
    assert np.array_equal(twice["heatmap"], maps["heatmap"])
    given = people(2)
    mirrored = given.keypoints[:, COCO17.flip_index].copy()
    mirrored[..., 0] = 191 - mirrored[..., 0]
    flipped = codec.encode(given.replace(keypoints=mirrored))  # type: ignore[attr-defined]
    found = codec.decode(codec.unflip(flipped, COCO17))
    straight = np.concatenate([p.keypoints for p in found])
    assert np.abs(straight - given.keypoints).max() < (0.7 if channels == 51 else 4.1)


@pytest.mark.parametrize("codec", [CombinedUDP(), Megvii()], ids=["udp", "megvii"])
def test_what_is_not_labelled_or_outside_has_no_weight(codec: Codec) -> None:
    given = people(3, 1)
    points, scores = given.keypoints.copy(), given.scores.copy()
    points[0, 0], scores[0, 1] = (-40, 20), 0
    targets = codec.encode(given.replace(keypoints=points, scores=scores))  # type: ignore[attr-defined]
    assert targets["weight"][0, :3].tolist() == [0, 0, 1]
    per_joint = targets["heatmap"].reshape(1, 17, -1)
    assert not per_joint[0, :2].any() and per_joint[0, 2].any()


@pytest.mark.parametrize("codec", [CombinedUDP(), Megvii()], ids=["udp", "megvii"])
def test_bad_maps(codec: Codec) -> None:
    channels = 51 if isinstance(codec, CombinedUDP) else 17
    assert codec.decode({"heatmap": np.zeros((0, channels, 64, 48), np.float32)}) == []
    maps = np.full((1, channels, 64, 48), np.nan, np.float32)
    assert [len(p) for p in codec.decode({"heatmap": maps})] == [0]
    with pytest.raises(ModelError, match="correct stride"):
        codec.decode({"heatmap": np.zeros((1, channels, 32, 24), np.float32)})


def blurred(maps: np.ndarray, kernel: int) -> np.ndarray:
    """(K, h, w) blurred by OpenCV, zeros outside."""
    return np.stack(
        [cv2.GaussianBlur(m, (kernel, kernel), 0, borderType=cv2.BORDER_CONSTANT) for m in maps]
    )


def outputs(codec: Codec, seed: int, views: int = 2) -> np.ndarray:
    """Maps as networks give them: targets and noise."""
    rng = np.random.default_rng(seed)
    maps = codec.encode(people(seed, views))["heatmap"]  # type: ignore[attr-defined]
    return (maps + rng.normal(0, 0.03 * maps.max(), maps.shape)).astype(np.float32)


@drawn(st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_udp_reads_as_the_published_loop(seed: int) -> None:
    codec = CombinedUDP()
    maps = outputs(codec, seed, 1)
    (found,) = codec.decode({"heatmap": maps})
    discs, dx, dy = (blurred(maps[0, i::3], k) for i, k in enumerate((15, 7, 7)))
    for j, disc in enumerate(discs):
        y, x = np.unravel_index(disc.argmax(), disc.shape)
        at = np.array([x + dx[j, y, x] * 3.5, y + dy[j, y, x] * 3.5])
        np.testing.assert_allclose(found.keypoints[0, j], at * [191 / 47, 255 / 63], atol=1e-2)


@drawn(st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_megvii_reads_as_the_published_loop(seed: int) -> None:
    codec = Megvii()
    maps = outputs(codec, seed, 1)
    (found,) = codec.decode({"heatmap": maps})
    for j, m in enumerate(blurred(maps[0], 11)):
        y, x = np.unravel_index(m.argmax(), m.shape)
        step = np.sign([m[y, x + 1] - m[y, x - 1], m[y + 1, x] - m[y - 1, x]]) / 4
        inside = 1 < x < 47 and 1 < y < 63
        at = np.array([x, y]) + step * inside + 0.5
        np.testing.assert_allclose(found.keypoints[0, j], at * 4, atol=1e-3)
        np.testing.assert_allclose(found.scores[0, j], min(maps[0, j].max() / 255, 1), atol=1e-5)


def test_megvii_targets_are_a_blurred_cell() -> None:
    target = Megvii().encode(People.of(keypoints=[[[101.5, 90]]]))["heatmap"][0, 0]
    cell = np.zeros((64, 48), np.float32)
    cell[22, 25] = 1
    expected = blurred(cell[None], 11)[0]
    np.testing.assert_allclose(target, 255 * expected / expected.max(), atol=1e-3)


@pytest.mark.parametrize("codec", [CombinedUDP(), Megvii()], ids=["udp", "megvii"])
def test_ideal_joints_score_about_1(codec: Codec) -> None:
    targets = codec.encode(people(4))  # type: ignore[attr-defined]
    scores = np.concatenate([p.scores for p in codec.decode(targets)])
    assert scores.min() > 0.9
    half = codec.decode({"heatmap": targets["heatmap"] / 2})
    np.testing.assert_allclose(np.concatenate([p.scores for p in half]), 0.5, atol=0.06)


@pytest.mark.parametrize("codec", [CombinedUDP(), Megvii()], ids=["udp", "megvii"])
def test_a_batch_is_its_views_and_torch_is_numpy(codec: Codec) -> None:
    maps = outputs(codec, 5, 3)
    maps[1, 4, 30, 20] = np.inf
    whole = codec.decode({"heatmap": maps})
    assert [len(p) for p in whole] == [1, 0, 1]
    there = codec.decode({"heatmap": torch.from_numpy(maps)})
    for i, (a, b) in enumerate(zip(whole, there, strict=True)):
        (single,) = codec.decode({"heatmap": maps[i : i + 1]})
        np.testing.assert_allclose(a.keypoints, single.keypoints, atol=1e-3)
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)


@pytest.mark.parametrize("codec", [CombinedUDP((288, 384), kernel=11), Megvii(kernel=17)])
def test_plain_form_there_and_back(codec: Codec) -> None:
    assert codec_from_dict(codec_to_dict(codec)) == codec
