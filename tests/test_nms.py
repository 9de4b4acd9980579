"""Duplicate removal: published numbers, a plain loop as oracle, and the hard edges."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.errors import UsageError
from posewright.nms import (
    PPoseNMS,
    box_iou,
    box_nms,
    box_nms_indices,
    oks,
    oks_nms,
    ppose_nms,
    proposal_score,
)
from posewright.people import People
from posewright.skeletons import COCO17

COUNT_ONLY = PPoseNMS(gamma=1e9)
NEVER = 1e9


@pytest.fixture(scope="module")
def loops() -> ModuleType:
    """The plain loops of the benchmark, which are the oracle here."""
    path = Path(__file__).parents[1] / "benchmarks" / "nms.py"
    spec = importlib.util.spec_from_file_location("nms_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def base_pose(joints: int = 17) -> np.ndarray:
    i = np.arange(joints)
    return np.stack([50 + 7 * i % 40, 20 + 10 * i], 1).astype(np.float32)


def poses(
    *offsets: tuple[float, float], scores: list[float] | None = None, joints: int = 17
) -> People:
    """The base pose moved by each offset, in a box of 100 x 300 px."""
    n = len(offsets)
    shift = np.array(offsets, np.float32).reshape(n, 1, 2)
    box = np.array([30, 0, 130, 300], np.float32) + np.tile(shift[:, 0], 2)
    marks = np.repeat(np.array(scores or [0.8] * n)[:, None], joints, 1)
    return People.of(box, np.full(n, 0.9), base_pose(joints) + shift, marks, np.arange(n))


def golden() -> People:
    shift = np.array([[0, 0], [2, 1], [60, 5], [0, 6]], np.float32)
    boxes = [(40, 10, 110, 200), (42, 11, 112, 201), (100, 15, 170, 205), (40, 16, 110, 206)]
    scores = np.repeat(np.array([[0.9], [0.7], [0.8], [0.6]]), 17, 1)
    points = base_pose() + shift[:, None]
    return People.of(boxes, [0.9, 0.8, 0.95, 0.5], points, scores, np.arange(4))


def test_ppose_golden() -> None:
    """The numbers of the original implementation on the same input."""
    people = ppose_nms(golden())
    assert people.ids.tolist() == [0, 2]
    np.testing.assert_allclose(people.keypoints[0, 0], [50.6364, 21.9545], atol=1e-4)
    np.testing.assert_allclose(people.keypoints[1, 0], [110, 25], atol=1e-4)
    np.testing.assert_allclose(people.scores[:, 0], [0.75455, 0.8], atol=1e-5)
    np.testing.assert_allclose(proposal_score(people), [2.59773, 2.75], atol=1e-5)
    np.testing.assert_array_equal(people.boxes, golden().boxes[[0, 2]])
    np.testing.assert_array_equal(people.box_scores, golden().box_scores[[0, 2]])


@pytest.mark.parametrize(
    ("offset", "likeness"),
    [(0, 36.396), (1, 27.31), (1.5, 16.41), (2, 13.59), (3, 9.32), (5, 4.38), (8, 1.41)],
)
def test_ppose_similarity(offset: float, likeness: float) -> None:
    """gamma just below the published similarity removes the second pose, just above keeps it."""
    people = poses((0, 0), (offset, 0))
    assert len(ppose_nms(people, PPoseNMS(gamma=likeness - 0.01, matches=NEVER))) == 1
    assert len(ppose_nms(people, PPoseNMS(gamma=likeness + 0.01, matches=NEVER))) == 2


def test_ppose_jitter() -> None:
    assert len(ppose_nms(poses((0, 0), (3, 3)))) == 1
    assert len(ppose_nms(poses((0, 0), (5, 5)))) == 2


@pytest.mark.parametrize("joints", [5, 14, 26, 133])
def test_ppose_scales_with_joints(joints: int) -> None:
    """A pose repeats itself whatever the number of joints; so does one with all joints near."""
    same = poses((0, 0), (0, 0), joints=joints)
    assert len(ppose_nms(same, PPoseNMS(matches=NEVER))) == 1
    assert len(ppose_nms(poses((0, 0), (3, 0), joints=joints), COUNT_ONLY)) == 1


def test_ppose_match_count() -> None:
    """Five joints of 17 within reach make a duplicate, four do not."""
    for near, left in ((4, 2), (5, 1)):
        two = poses((0, 0), (0, 0))
        points = two.keypoints.copy()
        points[1, near:] += 200
        assert len(ppose_nms(two.replace(keypoints=points), COUNT_ONLY)) == left


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": 0.001},
        {"match_reach": 1.0},
        {"matches": 18.0},
    ],
)
def test_ppose_reach_settings(change: dict[str, float]) -> None:
    people = poses((0, 0), (3, 3))
    assert len(ppose_nms(people, COUNT_ONLY)) == 1
    assert len(ppose_nms(people, PPoseNMS(**{"gamma": NEVER, **change}))) == 2


def test_ppose_likeness_settings() -> None:
    people = poses((0, 0), (1, 0))
    assert len(ppose_nms(people, PPoseNMS(matches=NEVER))) == 1
    for change in ({"delta1": 9.0}, {"delta2": 0.5}, {"mu": 0.5}):
        assert len(ppose_nms(people, PPoseNMS(matches=NEVER, **change))) == 2


def test_ppose_merge_reach() -> None:
    """A joint further away than merge_reach leaves the kept one where it is."""
    people = poses((0, 0), (4, 0), scores=[0.9, 0.6])
    assert ppose_nms(people).keypoints[0, 0, 0] == pytest.approx(50 + 4 * 0.6 / 1.5)
    assert ppose_nms(people, PPoseNMS(merge_reach=3)).keypoints[0, 0, 0] == 50


def test_ppose_drops_unlikely_and_small() -> None:
    people = poses((0, 0), (500, 0), scores=[0.8, 0.29])
    assert ppose_nms(people).ids.tolist() == [0]
    assert ppose_nms(people, PPoseNMS(score=0.2)).ids.tolist() == [0, 1]
    area = 2.25 * float(np.prod(np.ptp(base_pose(), axis=0)))
    assert len(ppose_nms(people, PPoseNMS(min_area=area - 1))) == 1
    assert len(ppose_nms(people, PPoseNMS(min_area=area + 1))) == 0


def test_ppose_joints_scored_zero() -> None:
    people = poses((0, 0), (0, 0))
    scores = people.scores.copy()
    scores[:, 3] = 0
    one = ppose_nms(people.replace(scores=scores))
    assert len(one) == 1 and one.scores[0, 3] == 0


@pytest.mark.parametrize("full", [PPoseNMS.wholebody(), PPoseNMS.regression()])
@pytest.mark.parametrize("joints", [133, 136])
def test_ppose_full_body(full: PPoseNMS, joints: int) -> None:
    by_likeness = PPoseNMS(**{**fields(full), "matches": NEVER})
    assert ppose_nms(poses((0, 0), (0, 0), (300, 0), joints=joints), by_likeness).ids.tolist() == [
        0,
        2,
    ]
    assert len(ppose_nms(poses((0, 0), (0, 30), joints=joints), full)) == 2
    with pytest.raises(UsageError, match="17 joints"):
        ppose_nms(poses((0, 0)), full)


def test_ppose_full_body_counts_sure_joints_only() -> None:
    """Joints that the better pose does not see give no likeness."""
    blind = poses((0, 0), (0, 0), joints=136, scores=[0.2, 0.2])
    scores = blind.scores.copy()
    scores[:, 0] = 0.9
    settings_ = PPoseNMS(**{**fields(PPoseNMS.wholebody()), "matches": NEVER})
    assert len(ppose_nms(blind.replace(scores=scores), settings_)) == 2


def test_full_body_largest_similarity() -> None:
    """The weights of body, face and hands sum to the known largest similarity, about 8."""
    by_score, by_distance = PPoseNMS.wholebody().weights(136)
    assert by_score.sum() * np.tanh(1) ** 2 + by_distance.sum() == pytest.approx(8.04, abs=0.01)


def fields(value: PPoseNMS) -> dict[str, object]:
    return {name: getattr(value, name) for name in PPoseNMS.__dataclass_fields__}


@pytest.mark.parametrize("count", [1, 7, 70, 150])
def test_ppose_equals_the_loop(loops: ModuleType, count: int) -> None:
    people = loops.crowd(count, seed=count)
    picks, merged = loops.loop_ppose(people, PPoseNMS())
    result = ppose_nms(people)
    assert result.ids.tolist() == picks
    truth = np.array(merged)
    np.testing.assert_allclose(result.keypoints, truth[..., :2], atol=4e-4)
    np.testing.assert_allclose(result.scores, truth[..., 2], atol=1e-5)


@pytest.mark.parametrize("count", [1, 7, 70, 150])
def test_oks_nms_equals_the_loop(loops: ModuleType, count: int) -> None:
    people = loops.crowd(count, seed=count)
    assert oks_nms(people, COCO17).ids.tolist() == loops.loop_oks(people, 0.9)


def test_oks_of_itself_and_of_one_sigma() -> None:
    """A joint that is 2 sigma sqrt(area) away scores exp(-1/2)."""
    a = poses((0, 0))
    assert oks(a, a, COCO17.oks_sigmas)[0, 0] == 1
    area = 100 * 300
    shift = 2 * COCO17.oks_sigmas * np.sqrt(area)
    b = a.replace(keypoints=a.keypoints + np.stack([shift, 0 * shift], 1).astype(np.float32))
    assert oks(a, b, COCO17.oks_sigmas)[0, 0] == pytest.approx(np.exp(-0.5), abs=1e-4)
    assert oks(a, poses((500, 0), (0, 0)), COCO17.oks_sigmas).shape == (1, 2)


def test_weighted_oks_leaves_unseen_joints_out() -> None:
    a = poses((0, 0))
    points, scores = a.keypoints.copy(), a.scores.copy()
    points[0, 9:], scores[0, 9:] = 900, 0
    b = a.replace(keypoints=points, scores=scores)
    assert oks(a, b, COCO17.oks_sigmas, weighted=True)[0, 0] == pytest.approx(1)
    assert oks(a, b, COCO17.oks_sigmas)[0, 0] == pytest.approx(9 / 17)
    unseen = a.replace(scores=0 * a.scores)
    assert oks(a, unseen, COCO17.oks_sigmas, weighted=True)[0, 0] == 0


def test_oks_threshold() -> None:
    people = poses((0, 0), (3, 0), (60, 0), scores=[0.5, 0.9, 0.7])
    assert oks_nms(people, COCO17).ids.tolist() == [1, 2]
    assert oks_nms(people, COCO17, threshold=0.999).ids.tolist() == [1, 2, 0]


def test_box_iou() -> None:
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [5, 5, 5, 5], [8, 8, 2, 2]])
    np.testing.assert_allclose(box_iou(a, b.astype(np.float32)), [[1, 1 / 3, 0, 0, 0]], atol=1e-6)


def test_box_nms_keeps_the_best_first() -> None:
    boxes = [(0, 0, 10, 10), (1, 0, 11, 10), (50, 0, 60, 10)]
    people = People.of(boxes, [0.5, 0.9, 0.7], ids=[1, 2, 3])
    assert box_nms(people).ids.tolist() == [2, 3]
    assert box_nms(people, iou=0.9).ids.tolist() == [2, 3, 1]


def test_box_nms_drops_what_is_not_finite() -> None:
    boxes = np.array([[0, 0, 9, 9], [np.nan, 0, 9, 9], [0, 0, np.inf, 9]], np.float32)
    assert box_nms_indices(boxes, np.array([0.5, 0.9, 0.8], np.float32), 0.6).tolist() == [0]


boxes_strategy = st.lists(
    st.tuples(*[st.integers(0, 30)] * 4, st.integers(0, 5)), min_size=0, max_size=150
)


@given(boxes_strategy, st.sampled_from([0.0, 0.3, 0.6, 0.9]))
@settings(max_examples=60, deadline=None)
def test_box_nms_equals_the_definition(rows: list[tuple[int, ...]], iou: float) -> None:
    """What is kept does not overlap, what is gone overlaps something better; order by score."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], 1)
    scores = table[:, 4]
    expected: list[int] = []
    for j in np.argsort(-scores, kind="stable"):
        if all(box_iou(boxes[[i]], boxes[[j]])[0, 0] <= iou for i in expected):
            expected.append(int(j))
    assert box_nms_indices(boxes, scores, iou).tolist() == expected


@given(st.integers(0, 40), st.integers(0, 2**32 - 1), st.sampled_from([1, 14, 17]))
@settings(max_examples=60, deadline=None)
def test_nobody_is_invented(count: int, seed: int, joints: int) -> None:
    """Ids are a subset, everything is finite, a second pass is idle."""
    rng = np.random.default_rng(seed)
    points = rng.choice([1, 30, 1e30]) * rng.normal(size=(count, joints, 2))
    people = People.of(
        None, rng.random(count), points, rng.integers(0, 3, (count, joints)) / 2, np.arange(count)
    )
    skeleton = COCO17 if joints == 17 else type(COCO17)("odd", tuple(map(str, range(joints))))
    for result in (ppose_nms(people), oks_nms(people, skeleton), box_nms(people)):
        assert set(result.ids.tolist()) <= set(range(count))
    assert (len(oks_nms(people, skeleton)) == 0) == (count == 0)
    assert (len(ppose_nms(people)) == 0) == (not (people.scores >= 0.3).any())
    once = oks_nms(people, skeleton)
    assert oks_nms(once, skeleton).ids.tolist() == once.ids.tolist()
    assert box_nms(box_nms(people)).ids.tolist() == box_nms(people).ids.tolist()


def test_nobody_stays_nobody() -> None:
    nobody = People.empty(COCO17)
    assert len(ppose_nms(nobody)) == len(oks_nms(nobody, COCO17)) == len(box_nms(nobody)) == 0
    assert ppose_nms(nobody).keypoints.shape == (0, 17, 2)
    assert proposal_score(nobody).shape == (0,)
    assert oks(nobody, poses((0, 0)), COCO17.oks_sigmas).shape == (0, 1)


def test_boxes_without_joints() -> None:
    people = People.of([(0, 0, 10, 10)], [0.7])
    assert proposal_score(people).tolist() == pytest.approx([0.7])
    with pytest.raises(UsageError, match="box_nms"):
        ppose_nms(people)
