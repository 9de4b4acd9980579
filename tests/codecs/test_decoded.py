"""Codecs of graphs that decode: `listed`, `queries`, `grid_boxes` and `decoded_points`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from posewright.codecs import codec_from_dict, codec_to_dict
from posewright.codecs.anchor_boxes import AnchorBoxes, JdeBoxes
from posewright.codecs.decoded_points import DecodedPeople, DecodedPoints
from posewright.codecs.grid_boxes import NanodetPlus, YoloxBoxes
from posewright.codecs.listed import ListedPeople, YoloBoxes, YoloRows
from posewright.codecs.queries import QueryBoxes, QueryPeople, ScoredBoxes, ScoredPeople
from posewright.errors import ModelError, UsageError
from posewright.skeletons import COCO17

SIZE = (64, 64)
FAR = 9.0  # a logit that is surely a person


def draw(*shape: int, low: float = 0.2, high: float = 0.8) -> np.ndarray:
    return np.random.default_rng(1).uniform(low, high, (1, *shape)).astype(np.float32)


def boxes(count: int) -> np.ndarray:
    """x1, y1, x2, y2 px of boxes that do not overlap."""
    at = 8 * np.arange(count, dtype=np.float32)
    return np.stack([at, at + 1, at + 6, at + 7], 1)[None]


def dets(count: int = 3) -> np.ndarray:
    return np.concatenate([boxes(count), draw(count, 1, low=0.5)], 2)


def anchors(count: int = 3) -> np.ndarray:
    rows = np.zeros((1, 56, 84), np.float32)
    rows[0, :4, :count] = np.array([[8.0, 20, 40], [8, 20, 40], [6, 6, 6], [6, 6, 6]])
    rows[0, 4, :count] = 0.9
    rows[0, 5:, :count] = draw(51, count)[0]
    return rows


def people_rows() -> np.ndarray:
    return np.concatenate([dets(), np.zeros((1, 3, 1), np.float32), draw(3, 51)], 2)


def multipose() -> np.ndarray:
    ends = boxes(3)[..., [1, 0, 3, 2]] / 64
    return np.concatenate([draw(3, 51), ends, draw(3, 1, low=0.5)], 2)


def yolox() -> np.ndarray:
    rows = draw(84, 85, low=-0.2, high=0.2)
    rows[0, [3, 20, 70], 4:6] = 0.9
    return rows


def anchored(places: int, numbers: int) -> np.ndarray:
    """Three small boxes of the coarsest level that do not overlap."""
    rows = np.zeros((1, places, numbers), np.float32)
    rows[0, [0, 3, 6], :4] = draw(3, 4)[0] / 4 + 0.05
    rows[0, [0, 3, 6], 4:6] = 0.9
    return rows


SCORED = {"scores": np.full((1, 3), 0.9, np.float32), "labels": np.array([[0, 0, 1]])}
EVERY: dict[str, tuple[Any, dict[str, Any]]] = {
    "listed_people": (
        ListedPeople(SIZE),
        {"dets": dets(), "keypoints": draw(3, 17, 3)},
    ),
    "yolo_rows": (YoloRows(SIZE), {"rows": anchors()}),
    "yolo_rows after NMS": (YoloRows(SIZE, "people"), {"rows": people_rows()}),
    "yolo_boxes": (YoloBoxes(SIZE), {"rows": anchors()[:, :9]}),
    "yolo_boxes after NMS": (YoloBoxes(SIZE, "people"), {"rows": people_rows()[..., :6]}),
    "query_boxes": (
        QueryBoxes(SIZE),
        {"logits": np.full((1, 3, 80), FAR, np.float32), "boxes": draw(3, 4)},
    ),
    "scored_boxes": (ScoredBoxes(SIZE), {**SCORED, "boxes": boxes(3)}),
    "scored_people": (ScoredPeople(SIZE), {**SCORED, "keypoints": draw(3, 17, 2) * 64}),
    "query_people": (
        QueryPeople(SIZE, threshold=0.1),
        {
            "logits": np.full((1, 3, 91), FAR, np.float32),
            "boxes": draw(3, 4),
            "keypoints": draw(3, 17, 8),
        },
    ),
    "yolox_boxes": (YoloxBoxes(SIZE), {"rows": yolox()}),
    "anchor_boxes": (AnchorBoxes(SIZE), {"rows": anchored(252, 85)}),
    "jde_boxes": (
        JdeBoxes(SIZE),
        {"rows": anchored(336, 5), "embedding": np.ones((1, 84, 8), np.float32)},
    ),
    "decoded_people": (DecodedPeople(SIZE), {"rows": multipose()}),
    "decoded_points": (DecodedPoints(SIZE), {"points": draw(1, 17, 3)}),
}
every_codec = pytest.mark.parametrize("name", sorted(EVERY))


@every_codec
def test_it_is_what_a_file_states(name: str) -> None:
    codec, _ = EVERY[name]
    assert codec.kind == name.split()[0]
    assert codec_from_dict(codec_to_dict(codec)) == codec


@every_codec
def test_mirrored_outputs_are_mirrored_people(name: str) -> None:
    codec, outputs = EVERY[name]
    (plain,) = codec.decode(outputs)
    mirrored = codec.unflip(outputs, COCO17)
    (turned,) = codec.decode(mirrored)
    assert len(plain) == len(turned) > 0
    x1, y1, x2, y2 = plain.boxes.T
    order = [
        np.abs(turned.boxes - b).sum(1).argmin() for b in np.stack([63 - x2, y1, 63 - x1, y2], 1)
    ]
    assert sorted(order) == list(range(len(plain)))
    assert np.allclose(turned.boxes[order], np.stack([63 - x2, y1, 63 - x1, y2], 1), atol=1e-3)
    points = plain.keypoints[:, COCO17.flip_index if plain.keypoints.shape[1] else slice(None)]
    assert np.allclose(turned.keypoints[order], [63, 0] + points * [-1, 1], atol=1e-3)
    back = codec.unflip(mirrored, COCO17)
    for key, array in outputs.items():
        assert np.allclose(back[key], array, atol=1e-4)


@every_codec
def test_numbers_that_are_not_finite_are_nobody(name: str) -> None:
    codec, outputs = EVERY[name]
    for key, array in outputs.items():
        if array.dtype == np.float32:
            broken = np.full_like(array, np.nan)
            assert [len(people) for people in codec.decode({**outputs, key: broken})] == [0]


@pytest.mark.parametrize("name", sorted(set(EVERY) - {"decoded_points"}))
def test_threshold_and_max_people_have_an_effect(name: str) -> None:
    codec, outputs = EVERY[name]
    assert len(codec.decode(outputs)[0]) > 0
    assert len(replace(codec, threshold=1.0).decode(outputs)[0]) == 0
    assert len(replace(codec, max_people=1).decode(outputs)[0]) == 1


def test_the_person_is_a_class_of_its_own() -> None:
    logits = np.full((1, 3, 91), -FAR, np.float32)
    logits[0, 0, 0], logits[0, 1, 1] = FAR, FAR
    outputs = {"logits": logits, "boxes": draw(3, 4)}
    for person in (0, 1):
        (found,) = QueryBoxes(SIZE, person=person).decode(outputs)
        cx, cy, w, h = outputs["boxes"][0, person] * 64
        expected = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) - 0.5
        assert np.allclose(found.boxes, [expected], atol=1e-4)
    (people,) = ScoredPeople(SIZE).decode({**SCORED, "keypoints": draw(3, 17, 2)})
    assert len(people) == 1 and np.all(people.scores == people.box_scores[:, None])


def test_a_sure_place_raises_a_persons_score() -> None:
    codec, outputs = EVERY["query_people"]
    sure = outputs["keypoints"].copy()
    sure[..., [4, 6]] += 2
    before, after = (
        codec.decode({**outputs, "keypoints": k})[0] for k in (outputs["keypoints"], sure)
    )
    assert after.box_scores.min() > before.box_scores.max()


def test_other_grids_and_forms_are_refused() -> None:
    with pytest.raises(ModelError, match="83 cells, but a view has 84"):
        YoloxBoxes(SIZE).decode({"rows": yolox()[:, :83]})
    with pytest.raises(ModelError, match="84 cells, but a view has 85"):
        NanodetPlus(SIZE).decode({"rows": np.zeros((1, 84, 112), np.float32)})
    with pytest.raises(ModelError, match="NanoDet-Plus has no mirrored form"):
        NanodetPlus(SIZE).unflip({}, COCO17)
    for kind in (YoloRows, YoloBoxes):
        with pytest.raises(UsageError, match="known: anchors, people"):
            kind(SIZE, "rows")


def test_the_published_grids_of_nanodet_plus() -> None:
    assert [len(NanodetPlus((n, n)).corners) for n in (320, 416)] == [2125, 3598]


@every_codec
@pytest.mark.parametrize("number", [np.inf, -np.inf, 3e38])
def test_infinities_pass_without_a_warning(name: str, number: float) -> None:
    codec, outputs = EVERY[name]
    rng = np.random.default_rng(0)
    for _ in range(20):
        wild = {
            key: np.where(rng.random(a.shape) < 0.1, np.float32(number), a).astype(a.dtype)
            for key, a in outputs.items()
            if a.dtype == np.float32
        }
        for people in codec.decode({**outputs, **wild}):
            assert np.isfinite(people.boxes).all() and np.isfinite(people.keypoints).all()
