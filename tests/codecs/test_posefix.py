"""PoseFix's codec: rendered poses, targets, decoding, the boxes of a pose, and its mistakes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.codecs import PoseFix, codec_from_dict, codec_to_dict
from posewright.codecs.mistakes import MISTAKES, mistake_rates, with_mistakes
from posewright.errors import ModelError
from posewright.people import Floats, People
from posewright.skeletons import COCO17, COCO133

SMALL = PoseFix((64, 96))


def crowd(count: int, seed: int = 0) -> People:
    """People whose joints all are far from each other, in boxes that do not overlap."""
    rng = np.random.default_rng(seed)
    cells = np.stack(np.meshgrid(np.arange(17), np.arange(count)), 2).reshape(-1, 2)
    points = cells * np.float32(1000) + rng.random((17 * count, 2), dtype=np.float32)
    corners = np.arange(count)[:, None] * np.float32(300)
    boxes = np.hstack([corners, corners, corners + 200, corners + 200])
    return People.of(boxes, keypoints=points.reshape(count, 17, 2))


def placed(points: Floats | list[list[float]]) -> People:
    array = np.asarray(points, np.float32)[None]
    return People.of(keypoints=array)


@pytest.mark.parametrize(("size", "sigma"), [((192, 256), 7), ((288, 384), 9)])
def test_gaussians_have_the_authors_widths(size: tuple[int, int], sigma: int) -> None:
    maps = PoseFix(size).condition(placed([[100.0, 120.0], [40.0, 30.0]]))
    assert maps.shape == (1, 2, size[1], size[0]) and maps.dtype == np.float32
    assert maps[0, 0, 120, 100] == 255 and maps[0, 1, 30, 40] == 255
    np.testing.assert_allclose(maps[0, 0, 120, 100 + sigma], 255 * np.exp(-0.5), rtol=1e-5)
    np.testing.assert_allclose(maps[0, 0, 120 - sigma, 100], 255 * np.exp(-0.5), rtol=1e-5)


def test_joints_without_score_are_not_rendered() -> None:
    people = placed([[10.0, 10.0], [20.0, 20.0]]).replace(scores=np.array([[0, 0.1]], np.float32))
    maps = SMALL.condition(people)
    assert not maps[0, 0].any() and maps[0, 1].max() == 255


def test_the_mirrored_pose_is_rendered_by_the_mirrored_maps() -> None:
    rng = np.random.default_rng(0)
    people = People.of(keypoints=rng.random((2, 17, 2)) * 60)
    flip = COCO17.flip_index
    points = people.keypoints[:, flip] * [-1, 1] + [63, 0]
    mirrored = people.replace(keypoints=points.astype(np.float32))
    maps = SMALL.condition(people)[:, flip, :, ::-1]
    np.testing.assert_allclose(SMALL.condition(mirrored), maps, atol=1e-2)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 60, width=32), st.floats(0, 92, width=32))
def test_the_target_decodes_to_the_joint(x: float, y: float) -> None:
    target = SMALL.encode(placed([[x, y]]))
    assert target["heatmap"].sum() == pytest.approx(1, abs=1e-5)
    assert (target["heatmap"] > 0).sum() <= 4
    logits = np.log(np.maximum(target["heatmap"], 1e-12))
    (person,) = SMALL.decode({"heatmap": logits})
    np.testing.assert_allclose(person.keypoints[0, 0], [x, y], atol=1e-3)
    np.testing.assert_allclose(target["points"][0, 0] * 4, [x, y], atol=1e-5)


def test_joints_outside_of_the_view_have_no_weight() -> None:
    target = SMALL.encode(placed([[63.9, 95.9], [64.0, 10.0], [-0.1, 10.0], [10.0, 96.0]]))
    assert target["weight"].tolist() == [[1, 0, 0, 0]]
    assert target["heatmap"].sum((2, 3)) == pytest.approx(np.array([[1, 0, 0, 0]]))
    people = placed([[10.0, 10.0]]).replace(scores=np.zeros((1, 1), np.float32))
    assert SMALL.encode(people)["weight"].tolist() == [[0]]


def test_numpy_and_torch_and_single_views_agree() -> None:
    maps = np.random.default_rng(1).normal(size=(3, 17, 24, 16)).astype(np.float32)
    batch = SMALL.decode({"heatmap": maps})
    again = SMALL.decode({"heatmap": torch.from_numpy(maps)})
    for i, (a, b) in enumerate(zip(batch, again, strict=True)):
        (c,) = SMALL.decode({"heatmap": maps[i : i + 1]})
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-4)
        np.testing.assert_allclose(a.keypoints, c.keypoints, atol=1e-4)


def test_two_mirrors_are_none() -> None:
    maps = np.random.default_rng(1).normal(size=(2, 17, 24, 16)).astype(np.float32)
    twice = SMALL.unflip(SMALL.unflip({"heatmap": maps}, COCO17), COCO17)
    np.testing.assert_array_equal(twice["heatmap"], maps)


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(ModelError, match="stride"):
        SMALL.decode({"heatmap": np.zeros((1, 17, 16, 16), np.float32)})


def test_a_map_that_is_not_finite_finds_nobody() -> None:
    maps = np.zeros((2, 17, 24, 16), np.float32)
    maps[1, 3, 4, 5] = np.nan
    assert [len(p) for p in SMALL.decode({"heatmap": maps})] == [1, 0]


def test_the_codec_survives_its_plain_form() -> None:
    codec = PoseFix((192, 256), sigma=5.0)
    assert codec_from_dict(codec_to_dict(codec)) == codec


def test_a_pose_gets_a_box_of_its_own() -> None:
    points = np.array([[[0, 0], [100, 50], [900, 900]], [[1, 1], [2, 2], [3, 3]]], np.float32)
    scores = np.array([[1, 0.5, 0], [0, 0, 0]], np.float32)
    boxes = np.array([[1, 2, 3, 4]] * 2, np.float32)
    framed = SMALL.framed(People.of(boxes, keypoints=points, scores=scores))
    np.testing.assert_allclose(framed.boxes, [[-10, -5, 110, 55], [1, 2, 3, 4]], rtol=1e-5)
    assert len(SMALL.framed(People.empty(17))) == 0


def test_a_pose_without_extent_still_has_a_view() -> None:
    framed = SMALL.framed(placed([[50.0, 50.0]]))
    np.testing.assert_allclose(framed.boxes, [[38, 38, 62, 62]])


def test_views_are_crops_of_the_boxes() -> None:
    people = People.of([[100, 100, 164, 196]])
    (warp,) = SMALL.warps((640, 480), people)
    assert warp.size == (64, 96)
    np.testing.assert_allclose(warp.points([[132, 148]]), [[32, 48]])
    assert SMALL.warps((640, 480), None) == []


def rate(joint: str, labelled: int, overlaps: int) -> list[float]:
    rates = mistake_rates(COCO17, np.array([labelled]), np.array([overlaps]))
    return [round(float(r), 6) for r in rates[0, COCO17[joint]]]


def test_rates_are_those_of_the_paper() -> None:
    assert rate("nose", 17, 0) == [0.10, 0.02, 0.01, 0.01, 0.86]
    assert rate("left_wrist", 17, 0) == [0.15, 0.10, 0.03, 0.06, 0.66]
    assert rate("left_hip", 17, 0) == [0.20, 0.10, 0.06, 0.03, 0.61]
    assert rate("left_ear", 10, 0) == [0.20, 0.10, 0.01, 0.01, 0.68]
    assert rate("right_shoulder", 5, 1) == [0.20, 0.20, 0.03, 0.15, 0.42]
    assert rate("right_knee", 8, 1) == [0.15, 0.15, 0.06, 0.10, 0.54]


@pytest.mark.parametrize(
    ("labelled", "overlaps", "swap"), [(11, 2, 0.06), (11, 3, 0.15), (16, 9, 0.06), (10, 1, 0.15)]
)
def test_crowds_swap_more(labelled: int, overlaps: int, swap: float) -> None:
    assert rate("left_elbow", labelled, overlaps)[MISTAKES.index("swap")] == swap


def test_every_skeleton_has_rates() -> None:
    rates = mistake_rates(COCO133, np.array([133, 3]), np.array([0, 5]))
    assert rates.shape == (2, 133, 5) and (rates >= 0).all()
    np.testing.assert_allclose(rates.sum(2), 1, atol=1e-6)


def test_mistakes_happen_at_their_rates() -> None:
    people, rng = crowd(8), np.random.default_rng(0)
    kinds = np.stack([with_mistakes(people, rng, COCO17)[1] for _ in range(60)])
    found = (kinds[..., None] == np.arange(5)).mean((0, 1))  # (K, 5), of 480
    rates = mistake_rates(COCO17, np.array([17]), np.array([0]))[0].copy()
    rates[0, 2] = 0  # a nose has no mirror image
    rates[0] /= rates[0].sum()
    np.testing.assert_allclose(found.mean(0), rates.mean(0), atol=0.02)
    np.testing.assert_allclose(found, rates, atol=0.1)


def test_mistakes_lie_where_their_names_say() -> None:
    people, rng = crowd(3), np.random.default_rng(1)
    near, middle, far = (
        np.sqrt(-2 * np.log(oks)) * 200 * 2 * COCO17.oks_sigmas for oks in (0.85, 0.5, 0.1)
    )
    itself, mirror = people.keypoints, people.keypoints[:, COCO17.flip_index]
    for _ in range(30):
        changed, kinds = with_mistakes(people, rng, COCO17)
        to_itself = np.linalg.norm(changed.keypoints - itself, axis=2)
        to_mirror = np.linalg.norm(changed.keypoints - mirror, axis=2)
        name = np.array(MISTAKES)[kinds]
        close, slack = np.broadcast_to(near, kinds.shape), 1e-2
        wide = np.broadcast_to(middle, kinds.shape)
        assert (to_itself[name == "good"] <= close[name == "good"] + slack).all()
        jitter = name == "jitter"
        assert (to_itself[jitter] >= close[jitter] - slack).all()
        assert (to_itself[jitter] <= wide[jitter] + slack).all()
        assert (to_itself[name == "miss"] > wide[name == "miss"]).all()
        assert (to_mirror[name == "inversion"] <= wide[name == "inversion"] + slack).all()
        assert (to_itself[name == "swap"] > far.max()).all()


def test_nobody_to_swap_with() -> None:
    rng = np.random.default_rng(2)
    kinds = np.stack([with_mistakes(crowd(1), rng, COCO17)[1] for _ in range(50)])
    assert MISTAKES.index("swap") not in kinds
    assert set(kinds.flatten()) == {0, 1, 2, 4}


def test_unlabelled_joints_stay_and_are_no_target() -> None:
    people = crowd(2)
    scores = people.scores.copy()
    scores[:, 5] = 0
    people = people.replace(scores=scores)
    changed, kinds = with_mistakes(people, np.random.default_rng(3), COCO17)
    assert (kinds[:, 5] == -1).all() and (changed.scores[:, 5] == 0).all()
    np.testing.assert_array_equal(changed.keypoints[:, 5], people.keypoints[:, 5])
    assert (changed.scores[:, 6] == 1).all()


def test_the_codec_synthesises_by_a_seed() -> None:
    people = crowd(2)
    a, b = (SMALL.synthesise(people, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(a.keypoints, b.keypoints)
    c = SMALL.synthesise(people, np.random.default_rng(8), COCO17)
    assert (a.keypoints != c.keypoints).any()
    assert len(SMALL.synthesise(People.empty(17), np.random.default_rng(0))) == 0


def test_people_without_extent_do_not_move() -> None:
    people = crowd(1).replace(boxes=np.zeros((1, 4), np.float32))
    changed = SMALL.synthesise(people, np.random.default_rng(0))
    distance = np.linalg.norm(changed.keypoints - people.keypoints, axis=2)
    mirror = np.linalg.norm(changed.keypoints - people.keypoints[:, COCO17.flip_index], axis=2)
    assert (np.minimum(distance, mirror)[changed.scores > 0] < 1e-3).all()
