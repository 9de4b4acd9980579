"""The codecs of one-pass networks: what goes in comes out, mirrored views included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.codecs import RTMO, YoloxPose, codec_from_dict, codec_to_dict
from posewright.codecs.anchors import padded
from posewright.errors import ModelError
from posewright.people import People
from posewright.skeletons import COCO17

SIZE = (192, 128)
GRID = YoloxPose(SIZE)
BEST = RTMO(SIZE)


def crowd(seed: int, count: int) -> People:
    """People in a row, so that their boxes do not touch."""
    rng = np.random.default_rng(seed)
    wide = SIZE[0] / count
    corner = np.stack([np.arange(count) * wide + 2, rng.uniform(2, 60, count)], 1)
    side = np.stack([rng.uniform(12, wide - 4, count), rng.uniform(20, 60, count)], 1)
    points = corner[:, None] + rng.random((count, 17, 2)) * side[:, None]
    scores = rng.uniform(0.2, 0.9, (count, 17))
    return People.of(
        np.hstack([corner, corner + side]), rng.uniform(0.4, 0.9, count), points, scores
    )


def logit(p: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(p / (1 - p)), np.float32)


def ideal(people: People) -> dict[str, np.ndarray]:
    """What a perfect network emits: each person in the two cells nearest to the box's middle."""
    cells, n = GRID.locations, len(GRID.locations)
    raw = {
        "cls": np.full((1, n, 1), -20, np.float32),
        "objectness": np.full((1, n, 1), -20, np.float32),
        "box": np.zeros((1, n, 4), np.float32),
        "keypoints": np.zeros((1, n, 34), np.float32),
        "visibility": np.zeros((1, n, 17), np.float32),
    }
    for i, box in enumerate(people.boxes):
        middle, side = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        for cell in np.argsort(np.abs(cells[:, :2] - middle).sum(1))[:2]:
            place, stride = cells[cell, :2], cells[cell, 2]
            raw["cls"][0, cell] = raw["objectness"][0, cell] = logit(np.sqrt(people.box_scores[i]))
            raw["box"][0, cell] = [*(middle - place) / stride, *np.log(side / stride)]
            raw["keypoints"][0, cell] = ((people.keypoints[i] - place) / stride).ravel()
            raw["visibility"][0, cell] = logit(people.scores[i])
    return raw


def random_raw(seed: int, views: int = 2) -> dict[str, np.ndarray]:
    rng, n = np.random.default_rng(seed), len(GRID.locations)
    widths = {"cls": 1, "objectness": 1, "box": 4, "keypoints": 34, "visibility": 17}
    return {k: rng.normal(0, 1, (views, n, c)).astype(np.float32) for k, c in widths.items()}


def random_best(seed: int, views: int = 2, count: int = 9) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 90, (views, count, 2))
    arrays = {
        "scores": rng.normal(0, 1, (views, count)),
        "boxes": np.concatenate([corner, corner + rng.uniform(5, 30, corner.shape)], 2),
        "keypoints": rng.uniform(0, 120, (views, count, 17, 2)),
        "visibility": rng.normal(0, 1, (views, count, 17)),
    }
    return {k: a.astype(np.float32) for k, a in arrays.items()}


CASES = [(GRID, random_raw), (BEST, random_best)]


def same(a: People, b: People, places: float = 1e-3) -> None:
    assert len(a) == len(b)
    for name in ("boxes", "box_scores", "keypoints", "scores"):
        difference = np.abs(getattr(a, name) - getattr(b, name))
        assert difference.max(initial=0) <= places, name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 5))
def test_a_perfect_network_gives_people_back(seed: int, count: int) -> None:
    people = crowd(seed, count) if count else People.empty(17)
    (found,) = GRID.decode(ideal(people))
    assert found.visibility is not None and (found.visibility == found.scores).all()
    order = np.argsort(-people.box_scores, kind="stable")
    same(found, people[order])


def test_finished_people_come_back_best_first_without_duplicates() -> None:
    people = crowd(3, 3)
    twice = People.concat([people, people.replace(box_scores=people.box_scores / 2)])
    outputs = {
        "scores": logit(twice.box_scores)[None],
        "boxes": twice.boxes[None],
        "keypoints": twice.keypoints[None],
        "visibility": logit(twice.scores)[None],
    }
    (found,) = BEST.decode(outputs)
    assert found.visibility is not None and (found.visibility == found.scores).all()
    same(found, people[np.argsort(-people.box_scores)])


@pytest.mark.parametrize(("codec", "make"), CASES)
def test_torch_and_numpy_and_single_views_agree(codec: Any, make: Any) -> None:
    outputs = make(5)
    both = codec.decode(outputs)
    for i, people in enumerate(codec.decode({k: torch.from_numpy(a) for k, a in outputs.items()})):
        same(people, both[i], 1e-4)
        same(codec.decode({k: a[i : i + 1] for k, a in outputs.items()})[0], both[i], 1e-4)
    assert all(len(p) for p in both)


@pytest.mark.parametrize(("codec", "make"), CASES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_unflipping_twice_changes_nothing(codec: Any, make: Any, seed: int) -> None:
    outputs = make(seed)
    twice = codec.unflip(codec.unflip(outputs, COCO17), COCO17)
    for key, value in outputs.items():
        assert np.abs(twice[key] - value).max() < 1e-4
    tensors = codec.unflip({k: torch.from_numpy(a) for k, a in outputs.items()}, COCO17)
    for key, value in codec.unflip(outputs, COCO17).items():
        assert np.abs(tensors[key].numpy() - value).max() < 1e-4


@pytest.mark.parametrize(
    ("codec", "make"), [(YoloxPose(SIZE, iou=1.0), random_raw), (RTMO(SIZE, iou=1.0), random_best)]
)
def test_unflip_mirrors_people(codec: Any, make: Any) -> None:
    outputs = make(8)
    plain, turned = codec.decode(outputs), codec.decode(codec.unflip(outputs, COCO17))
    for a, b in zip(plain, turned, strict=True):
        assert len(a) == len(b) > 0
        right = SIZE[0] - 1
        boxes = np.stack(
            [right - a.boxes[:, 2], a.boxes[:, 1], right - a.boxes[:, 0], a.boxes[:, 3]], 1
        )
        points = a.keypoints[:, COCO17.flip_index] * [-1, 1] + [right, 0]
        same(
            b,
            a.replace(
                boxes=boxes,
                keypoints=points.astype(np.float32),
                scores=a.scores[:, COCO17.flip_index],
            ),
            1e-2,
        )


def test_numbers_that_are_not_finite_cost_only_their_own_person() -> None:
    people = crowd(4, 3)
    for key in ("cls", "box", "keypoints", "visibility"):
        raw = ideal(people)
        cells = np.flatnonzero(raw["cls"][0, :, 0] > -20)
        first = cells[np.argsort(raw["cls"][0, cells, 0])[:2]]
        raw[key][0, first, 0] = np.nan
        assert len(GRID.decode(raw)[0]) == 2
    raw["box"][:, :, 2:] = 1e4
    assert len(GRID.decode(raw)[0]) == 0


def test_at_most_so_many_people_are_returned() -> None:
    raw = random_raw(9)
    assert [len(p) for p in YoloxPose(SIZE, iou=1.0, max_people=7).decode(raw)] == [7, 7]


def test_people_are_padded_and_the_largest_kept() -> None:
    people = crowd(6, 4)
    people = people.replace(scores=np.where(np.arange(17) < 3, 0, people.scores).astype(np.float32))
    six = padded(people, 6)
    assert {k: a.shape for k, a in six.items()} == {
        "boxes": (1, 6, 4),
        "keypoints": (1, 6, 17, 2),
        "weight": (1, 6, 17),
        "area": (1, 6),
        "person": (1, 6),
    }
    assert all(a.dtype == np.float32 for a in six.values())
    assert six["person"].tolist() == [[1, 1, 1, 1, 0, 0]]
    assert six["weight"][0].sum(1).tolist() == [14, 14, 14, 14, 0, 0]
    side = people.boxes[:, 2:] - people.boxes[:, :2]
    assert np.allclose(six["area"][0, :4], side.prod(1) * 0.53)
    two = BEST.encode(people)["boxes"].shape, padded(people, 2)
    assert two[0] == (1, 100, 4)
    largest = np.sort(np.argsort(-side.prod(1))[:2])
    assert np.array_equal(two[1]["boxes"][0], people.boxes[largest])
    assert padded(People.empty(17), 3)["person"].sum() == 0


def test_cells_lie_where_mmpose_puts_them() -> None:
    assert GRID.locations[:2].tolist() == [[0, 0, 8], [8, 0, 8]]
    assert GRID.locations[-1].tolist() == [160, 96, 32]
    assert BEST.locations[0].tolist() == [7.5, 7.5, 16]
    assert len(GRID.locations) == 24 * 16 + 12 * 8 + 6 * 4


def test_outputs_of_another_size_are_refused_and_codecs_survive_a_file() -> None:
    with pytest.raises(ModelError, match="cells"):
        YoloxPose((64, 64)).decode(random_raw(1))
    for codec in (GRID, BEST):
        assert codec_from_dict(codec_to_dict(codec)) == codec
        (warp,) = codec.warps((640, 480), None)
        assert warp.size == SIZE
        assert warp.fill == 114
