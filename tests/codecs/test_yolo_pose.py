"""YOLO-Pose's codec: known boxes decode to themselves, mirrored views to mirrored people."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.codecs import YoloPose, codec_from_dict, codec_to_dict
from posewright.errors import ModelError, UsageError
from posewright.people import People
from posewright.skeletons import COCO17

SIZE = (192, 128)
CODEC = YoloPose(SIZE)


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def random_outputs(seed: int, views: int = 2) -> dict[str, np.ndarray]:
    rng, n = np.random.default_rng(seed), len(CODEC.locations)
    return {
        "box": rng.uniform(0, 1, (views, n, 4)).astype(np.float32),
        "objectness": rng.normal(-1, 2, (views, n, 1)).astype(np.float32),
        "cls": rng.normal(2, 1, (views, n, 1)).astype(np.float32),
        "keypoints": rng.uniform(-2, 3, (views, n, 34)).astype(np.float32),
        "visibility": rng.normal(0, 2, (views, n, 17)).astype(np.float32),
    }


def ideal(people: People, anchors: list[int], score: float = 0.9) -> dict[str, np.ndarray]:
    """What a network emits that sees each person with one anchor and nobody else."""
    n = len(CODEC.locations)
    outputs = {k: np.zeros((1, n, c), np.float32) for k, c in (("box", 4), ("keypoints", 34))}
    outputs |= {k: np.full((1, n, 1), -20, np.float32) for k in ("cls", "objectness")}
    outputs["visibility"] = np.zeros((1, n, 17), np.float32)
    for i, one in enumerate(anchors):
        x, y, stride, w, h = CODEC.locations[one]
        box = people.boxes[i]
        middle, sides = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        outputs["box"][0, one] = [*(middle - [x, y]) / stride, *sides / [w, h]]
        outputs["keypoints"][0, one] = ((people.keypoints[i] - [x, y]) / stride).ravel()
        outputs["objectness"][0, one] = outputs["cls"][0, one] = logit(score**0.5)
        outputs["visibility"][0, one] = np.where(people.scores[i] > 0, logit(0.8), logit(0.1))
    return outputs


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_ideal_outputs_decode_to_the_people(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corner = np.array([[0, 0], [100, 60]]) + rng.uniform(0, 30, (2, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(20, 60, (2, 2))], 1)
    boxes = np.minimum(boxes, [SIZE[0] - 1, SIZE[1] - 1] * 2)
    people = People.of(boxes, None, rng.uniform(0, 120, (2, 17, 2)), rng.integers(0, 2, (2, 17)))
    anchors = rng.choice(len(CODEC.locations), 2, replace=False).tolist()
    (found,) = CODEC.decode(ideal(people, anchors))
    assert len(found) == 2
    order = np.argsort(found.boxes[:, 0])
    assert np.abs(found.boxes[order] - people.boxes).max() < 1e-3
    assert np.abs(found.keypoints[order] - people.keypoints).max() < 1e-3
    assert np.abs(found.box_scores - 0.9).max() < 1e-5
    assert np.array_equal(found.scores[order] > 0.5, people.scores > 0)


def test_places_are_anchor_by_anchor_of_each_level() -> None:
    places, cells = CODEC.locations, 24 * 16
    assert len(places) == 3 * (cells + 12 * 8 + 6 * 4 + 3 * 2)
    assert places[[0, 1, 24, cells]].tolist() == [
        [0, 0, 8, 19, 27],
        [8, 0, 8, 19, 27],
        [0, 8, 8, 19, 27],
        [0, 0, 8, 44, 40],
    ]
    assert places[-1].tolist() == [128, 64, 64, 925, 792]


@given(st.integers(0, 2**31))
def test_unflip_twice_is_the_identity(seed: int) -> None:
    outputs = random_outputs(seed)
    again = CODEC.unflip(CODEC.unflip(outputs, COCO17), COCO17)
    assert all(np.abs(again[k] - outputs[k]).max() < 1e-5 for k in outputs)


@given(st.integers(0, 2**31))
def test_mirrored_outputs_decode_to_mirrored_people(seed: int) -> None:
    outputs = random_outputs(seed, 1)
    best = np.random.default_rng(seed).choice(outputs["cls"].shape[1], 3, replace=False)
    outputs["objectness"][:] = -20
    outputs["objectness"][0, best, 0], outputs["cls"][0, best, 0] = 5, (3, 2, 1)
    codec = YoloPose(SIZE, iou=1.0)
    (plain,), (mirror,) = codec.decode(outputs), codec.decode(codec.unflip(outputs, COCO17))
    assert len(plain) == len(mirror) == 3
    right = SIZE[0] - 1
    back = mirror.keypoints[:, COCO17.flip_index] * [-1, 1] + [right, 0]
    assert np.abs(back - plain.keypoints).max() < 1e-2
    boxes = np.array([right, 0, right, 0]) + mirror.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1]
    assert np.abs(boxes - plain.boxes).max() < 1e-2
    assert np.abs(mirror.scores[:, COCO17.flip_index] - plain.scores).max() < 1e-6


def test_batched_equals_single_and_numpy_equals_torch() -> None:
    torch: Any = pytest.importorskip("torch")
    outputs = random_outputs(3, 3)
    together = CODEC.decode(outputs)
    tensors = {k: torch.from_numpy(a) for k, a in outputs.items()}
    for i, (people, other) in enumerate(zip(together, CODEC.decode(tensors), strict=True)):
        (alone,) = CODEC.decode({k: a[i : i + 1] for k, a in outputs.items()})
        assert len(people) == len(alone) == len(other) > 1
        assert np.array_equal(alone.keypoints, people.keypoints)
        assert np.abs(other.keypoints - people.keypoints).max() < 1e-3
        assert np.abs(other.box_scores - people.box_scores).max() < 1e-6
    unflipped = CODEC.unflip(tensors, COCO17)
    for key, array in CODEC.unflip(outputs, COCO17).items():
        assert np.abs(unflipped[key].numpy() - array).max() < 1e-6


def test_of_overlapping_proposals_the_best_stays() -> None:
    people = People.of([[20, 20, 80, 100]] * 2, None, np.full((2, 17, 2), 50.0), np.ones((2, 17)))
    outputs = ideal(people, [100, 101])
    outputs["cls"][0, 101] = 10
    (found,) = CODEC.decode(outputs)
    assert len(found) == 1 and found.box_scores[0] > 0.94
    assert len(YoloPose(SIZE, iou=1.0).decode(outputs)[0]) == 2
    assert len(YoloPose(SIZE, iou=1.0, max_people=1).decode(outputs)[0]) == 1


def test_not_finite_is_left_out_and_nobody_is_nobody() -> None:
    people = People.of([[20, 20, 80, 100]], None, np.full((1, 17, 2), 50.0), np.ones((1, 17)))
    for key in ("box", "keypoints", "visibility", "cls"):
        outputs = ideal(people, [100])
        outputs[key][0, 100] = np.nan
        (found,) = CODEC.decode(outputs)
        assert len(found) == 0 and found.keypoints.shape == (0, 17, 2)
    assert CODEC.decode({k: a[:0] for k, a in random_outputs(0).items()}) == []


def test_people_are_padded() -> None:
    people = People.of([[0, 0, 10, 20]], None, np.zeros((1, 17, 2)), np.ones((1, 17)))
    targets = CODEC.encode(people)
    assert targets["boxes"].shape == (1, 100, 4) and targets["person"].sum() == 1
    (warp,) = CODEC.warps((384, 128), None)
    assert warp.size == SIZE and warp.fill == 114 and warp.matrix[0, 0] == 0.5


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ModelError, match="anchors"):
        YoloPose((64, 64)).decode(random_outputs(0))
    with pytest.raises(UsageError, match="multiples of 64"):
        YoloPose((640, 480))
    with pytest.raises(UsageError, match="anchor numbers"):
        YoloPose(anchors=(10.0, 20.0, 30.0))


def test_anchors_survive_the_plain_form() -> None:
    codec = YoloPose((64, 128), strides=(32, 64), anchors=(1.5, 2.0, 3.0, 4.0), threshold=0.1)
    data = codec_to_dict(codec)
    lists = {k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}
    assert codec_from_dict(lists) == codec
    assert codec.anchors_per_cell == 1 and len(codec.locations) == 2 * 4 + 1 * 2
