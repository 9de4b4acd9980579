"""UDP's combined target and Megvii's heatmaps: there and back, mirrored, on torch and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posewright.codecs import Codec, CombinedUDP, Megvii
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
