"""PoseFlow: its scores against plain loops, its links, and what it cannot do by design."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.errors import UsageError
from posewright.people import Frame, People
from posewright.skeletons import COCO17, Skeleton
from posewright.trackers import Tracker, create_tracker
from posewright.trackers.flow import Correspondences, OpticalFlow, Orb, inside
from posewright.trackers.links import ENOUGH, Shapes, link_scores
from posewright.trackers.poseflow import PoseFlowTracker
from tests.helpers.people import POSE

BLANK = np.zeros((0, 0, 3), np.uint8)
NAMES = ("poseflow", "poseflow-original")


def crowd(*places: tuple[float, float], score: float = 0.9, size: float = 1.0) -> People:
    """A person of COCO17 at each place."""
    points = size * POSE + np.array(places, np.float32).reshape(-1, 1, 2)
    n = len(points)
    return People.of(None, np.full(n, score), points, np.full((n, 17), score))


def at(index: int) -> Frame:
    return Frame(BLANK, index, index / 30)


def ids(track: Tracker, script: Iterable[People]) -> list[list[int]]:
    return [track(at(i), people).ids.tolist() for i, people in enumerate(script)]


def noise(seed: int = 0) -> np.ndarray:
    """A 640x480 image with details of all sizes everywhere, as natural ones have."""
    rng = np.random.default_rng(seed)
    layers = [rng.random((480 // cell, 640 // cell, 3)) for cell in (4, 10, 40, 80)]
    large = [cv2.resize(layer, (640, 480), interpolation=cv2.INTER_CUBIC) for layer in layers]
    return np.clip(255 * sum(large) / len(large), 0, 255).astype(np.uint8)


# --- scores --------------------------------------------------------------------------------------


def iou(a: list[float], b: list[float]) -> float:
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    both = max(sides[0], 0) * max(sides[1], 0)
    area = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return both / (sum(area) - both) if both else 0.0


def told(a: list[float], b: list[float], pairs: list[tuple[list[float], list[float]]]) -> float:
    flags = [
        [c[0] <= p[0] <= c[2] and c[1] <= p[1] <= c[3] for c, p in zip((a, b), pair, strict=True)]
        for pair in pairs
    ]
    both, either = sum(map(all, flags)), sum(map(any, flags))
    return both / either if either else 0.0


def loop_score(old: Shapes, new: Shapes, adjacent: bool, pairs: list, few: bool) -> float:
    """The score of the only person of each, as the method states it."""
    a, b = old.boxes[0].tolist(), new.boxes[0].tolist()
    squares = [
        [
            [x - r, y - r, x + r, y + r] if t else None
            for (x, y), t in zip(s.joints[0].tolist(), s.there[0], strict=True)
        ]
        for s in (old, new)
        for r in [float(s.reach[0])]
    ]
    both = [(p, q) for p, q in zip(*squares, strict=True) if p and q]
    lacking = [0.0] * (len(squares[0]) - len(both))

    def best(values: list[float]) -> float:
        return sum(sorted(values + lacking)[-7:]) / min(7, len(squares[0]))

    box, pose = iou(a, b), best([iou(p, q) for p, q in both])
    if not adjacent:
        return box + pose
    if few:
        return 3 * (box + pose)
    return told(a, b, pairs) + 2 * box + best([told(p, q, pairs) for p, q in both]) + 2 * pose


@given(st.integers(0, 2**32 - 1), st.integers(0, 80), st.booleans())
@settings(max_examples=40, deadline=None)
def test_scores_are_those_of_plain_loops(seed: int, count: int, scaled: bool) -> None:
    rng = np.random.default_rng(seed)
    joints = int(rng.choice([3, 17]))
    groups = [
        Shapes.of(
            People.of(
                None, np.ones(n), rng.uniform(0, 150, (n, joints, 2)), rng.random((n, joints))
            ),
            scaled,
        )
        for n in rng.integers(1, 5, 2)
    ]
    pairs = tuple(rng.uniform(-20, 170, (2, count, 2)).astype(np.float32))
    adjacent = rng.random(len(groups[0].reach)) < 0.7
    found = link_scores(*groups, adjacent, pairs)
    listed = list(zip(pairs[0].tolist(), pairs[1].tolist(), strict=True))
    for t in range(found.shape[0]):
        for n in range(found.shape[1]):
            old, new = (
                Shapes(
                    s.boxes[i : i + 1], s.joints[i : i + 1], s.there[i : i + 1], s.reach[i : i + 1]
                )
                for s, i in zip(groups, (t, n), strict=True)
            )
            box = old.boxes[0]
            few = sum(bool((box[:2] <= p).all() and (p <= box[2:]).all()) for p in pairs[0])
            expected = loop_score(old, new, bool(adjacent[t]), listed, few < ENOUGH)
            assert found[t, n] == pytest.approx(expected, abs=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.sampled_from([10.0, 400.0, 1e6]))
@settings(max_examples=40, deadline=None)
def test_inside_is_the_plain_comparison(seed: int, count: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    points = np.round(rng.uniform(-200, 200, (count, 2))).astype(np.float32)
    low = np.round(rng.uniform(-spread, spread, (9, 2))).astype(np.float32)
    high = low + np.round(rng.uniform(-20, spread, (9, 2))).astype(np.float32)
    low[0], high[0] = np.inf, -np.inf
    expected = (points >= low[:, None]).all(2) & (points <= high[:, None]).all(2)
    found = np.zeros_like(expected)
    found[inside(points, low, high)] = True
    np.testing.assert_array_equal(found, expected)


def test_scores_by_hand() -> None:
    """Somebody who stands still scores 6, or 2 from an earlier frame; 10 px aside a little less."""
    here, aside = Shapes.of(crowd((200, 200)), False), Shapes.of(crowd((210, 200)), False)
    nothing = np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    yes, no = np.array([True]), np.array([False])
    assert link_scores(here, here, yes, nothing)[0, 0] == pytest.approx(6)
    assert link_scores(here, here, no, nothing)[0, 0] == pytest.approx(2)
    box, pose = (70.4 - 10) / (70.4 + 10), (60 - 10) / (60 + 10)  # the box: 64 px and a tenth more
    assert link_scores(here, aside, no, nothing)[0, 0] == pytest.approx(box + pose, abs=1e-5)
    assert link_scores(here, aside, yes, nothing)[0, 0] == pytest.approx(3 * (box + pose), abs=1e-5)
    # Pairs that move along say that all of it went there.
    moved = here.joints[0], here.joints[0] + np.float32([10, 0])
    assert link_scores(here, aside, yes, moved)[0, 0] == pytest.approx(2 * (box + pose) + 2)


def test_scaled_squares_do_not_depend_on_the_resolution() -> None:
    nothing = np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    scores = {
        (size, scaled): link_scores(
            Shapes.of(crowd((500, 500), size=size), scaled),
            Shapes.of(crowd((500 + 30 * size, 500), size=size), scaled),
            np.array([True]),
            nothing,
        )[0, 0]
        for size in (0.25, 4.0)
        for scaled in (True, False)
    }
    assert scores[0.25, True] == pytest.approx(scores[4.0, True], rel=1e-4)
    assert abs(scores[0.25, False] - scores[4.0, False]) > 1


def test_joints_without_score_do_not_count() -> None:
    people = crowd((200, 200))
    marks, points = people.scores.copy(), people.keypoints.copy()
    marks[0, 15:], points[0, 15:] = 0, 5000
    hidden = people.replace(scores=marks, keypoints=points)
    assert Shapes.of(hidden).boxes[0, 3] < 300
    assert Shapes.of(hidden, every=True).boxes[0, 3] > 5000


# --- correspondences -----------------------------------------------------------------------------


@pytest.mark.parametrize("way", [OpticalFlow(), OpticalFlow(side=640), Orb(), Orb(2000, side=0)])
def test_correspondences_of_a_moved_picture(way: Correspondences) -> None:
    image = noise()
    points = np.random.default_rng(1).uniform(60, 400, (100, 2)).astype(np.float32)
    before, after = way.look(image), way.look(np.roll(image, (-6, 14), (0, 1)))
    start, end = way.pairs(before, after, points)
    assert len(start) > 80 and start.dtype == end.dtype == np.float32
    assert np.median(np.abs(end - start - [14, -6])) < 0.5


def test_views_of_pictures_will_do() -> None:
    """As `image[..., ::-1]` is, which turns BGR to RGB."""
    image = noise()
    np.testing.assert_array_equal(
        OpticalFlow().look(image[:, ::-1]).pixels, OpticalFlow().look(image[:, ::-1].copy()).pixels
    )


@pytest.mark.parametrize("way", [OpticalFlow(), Orb()])
def test_pictures_that_tell_nothing(way: Correspondences) -> None:
    flat, points = np.zeros((480, 640, 3), np.uint8), np.float32([[5, 5], [-90, 9000]])
    start, end = way.pairs(way.look(flat), way.look(flat), points)
    assert start.shape == end.shape and len(start) <= 1
    other = way.look(np.zeros((48, 100, 3), np.uint8))
    assert len(way.pairs(way.look(flat), other, points)[0]) == 0
    assert len(way.pairs(way.look(flat), way.look(flat), points[:0])[0]) == 0


def test_flow_on_a_real_picture(data_dir: Path) -> None:
    """A camera that pans by 40 px: nine points in ten are found within 2 px."""
    folder = data_dir / "bonn_posetrack" / "videos" / "060470979"
    image = cv2.imread(str(folder / "00007.jpg"))
    points = np.random.default_rng(0).uniform([100, 100], [860, 440], (300, 2)).astype(np.float32)
    way = OpticalFlow()
    start, end = way.pairs(way.look(image), way.look(np.roll(image, 40, 1)), points)
    good = np.linalg.norm(end - start - [40, 0], axis=1) < 2
    assert good.sum() > 0.8 * len(points) and good.mean() > 0.9


def jumped(way: str, distance: int, apart: int) -> list[int]:
    """The ids of people, `apart` px from each other, after the image jumped."""
    image, places = noise(), [(80 + apart * i, 240) for i in range(4)]
    track = PoseFlowTracker(COCO17, correspondences=way)  # type: ignore[arg-type]
    track(Frame(image, 0), crowd(*places, size=0.4))
    moved = crowd(*((x + distance, y) for x, y in places), size=0.4)
    return track(Frame(np.roll(image, distance, 1), 1), moved).ids.tolist()


def test_correspondences_hold_identities_that_overlap_does_not() -> None:
    """Small people in an image that jumps by more than their width."""
    assert jumped("none", 45, 130) == [5, 6, 7, 8]
    assert jumped("flow", 45, 130) == [1, 2, 3, 4]
    # A feature here and there is not on everybody's joints, where the flow begins.
    assert sum(name <= 4 for name in jumped("orb", 45, 130)) >= 2


def test_predict_moves_people_with_their_pixels() -> None:
    image = noise()
    track = create_tracker("poseflow", skeleton=COCO17)
    track(Frame(image, 0), crowd((150, 200), (400, 250)))
    ahead = track.predict(Frame(np.roll(image, 20, 1), 1))
    assert ahead.ids.tolist() == [1, 2]
    np.testing.assert_allclose(ahead.keypoints, crowd((170, 200), (420, 250)).keypoints, atol=1)
    assert track(Frame(np.roll(image, 20, 1), 1), ahead).ids.tolist() == [1, 2]
    still = track.predict(Frame(BLANK, 2))
    np.testing.assert_array_equal(still.keypoints, ahead.keypoints)


# --- identities ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_same_people_same_order(name: str) -> None:
    people = crowd((100, 200), (400, 200), (700, 200))
    result = create_tracker(name, skeleton=COCO17)(at(0), people)
    assert result.ids.tolist() == [1, 2, 3]
    for array in ("boxes", "box_scores", "keypoints", "scores"):
        np.testing.assert_array_equal(getattr(result, array), getattr(people, array))


@pytest.mark.parametrize("name", NAMES)
def test_one_leaves_one_enters_the_stayer_keeps_the_id(name: str) -> None:
    a, b, c = (50, 200), (350, 200), (650, 200)
    script = [[a, b]] * 3 + [[b], [b, c], [c, b], [b, c], [c, b]]
    found = ids(create_tracker(name, skeleton=COCO17), (crowd(*places) for places in script))
    assert found == [[1, 2]] * 3 + [[2], [2, 3], [3, 2], [2, 3], [3, 2]]


@pytest.mark.parametrize("name", NAMES)
def test_order_of_the_list_does_not_matter(name: str) -> None:
    track, rng = create_tracker(name, skeleton=COCO17), np.random.default_rng(0)
    places = np.array([(100 + 150 * i, 300) for i in range(6)])
    names = track(at(0), crowd(*places)).ids
    for index in range(1, 20):
        order = rng.permutation(6)
        places = places + rng.normal(0, 3, places.shape)
        assert track(at(index), crowd(*places[order])).ids.tolist() == names[order].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_crossing_people_of_whom_both_are_seen(name: str) -> None:
    """Where poses differ at the crossing: one is 60 px lower."""
    script = [crowd((100 + 10 * i, 300), (700 - 10 * i, 360)) for i in range(61)]
    assert ids(create_tracker(name, skeleton=COCO17), script) == [[1, 2]] * 61


@pytest.mark.parametrize(("away", "same"), [(5, True), (28, True), (31, False)])
def test_return_within_the_buffer(away: int, same: bool) -> None:
    """Out of sight for `away` frames of 1/30 s, buffer 1 s; the published program waits for 100."""
    stays, comes = (400, 300), (100, 300)
    script = [[stays, comes]] * 5 + [[stays]] * away + [[comes, stays]]
    for name, expected in (("poseflow", same), ("poseflow-original", True)):
        found = ids(create_tracker(name, skeleton=COCO17), (crowd(*p) for p in script))
        assert found[-1] == [2 if expected else 3, 1]


def test_published_program_waits_100_frames() -> None:
    stays, comes = (400, 300), (100, 300)
    for away, expected in ((99, [2, 1]), (100, [3, 1])):
        script = [[stays, comes]] * 2 + [[stays]] * away + [[comes, stays]]
        track = create_tracker("poseflow-original", skeleton=COCO17, fps=5, buffer=0.1)
        assert ids(track, (crowd(*p) for p in script))[-1] == expected


def test_an_empty_frame_repeats_the_last_in_the_published_program() -> None:
    """So that a person who comes back after it is scored, and waits, as if seen just before."""
    script = [crowd((300, 300)), *[crowd()] * 150, crowd((300, 300))]
    found = {name: ids(create_tracker(name, skeleton=COCO17), script)[-1] for name in NAMES}
    assert found == {"poseflow": [2], "poseflow-original": [1]}


def test_doubtful_people_start_a_track_in_the_published_program_only() -> None:
    script = [crowd((300, 300), score=0.2), crowd((300, 300)), crowd((300, 300), score=0.2)]
    found = {name: ids(create_tracker(name, skeleton=COCO17), script) for name in NAMES}
    assert found == {"poseflow": [[-1], [1], [1]], "poseflow-original": [[1], [1], [1]]}


def test_slow_sources_and_gaps() -> None:
    for seconds, count in ((0.5, 1), (2.0, 1), (6.0, 10)):
        track = create_tracker("poseflow", skeleton=COCO17)
        names = [track(Frame(BLANK, i, i * seconds), crowd((100, 300))).ids[0] for i in range(10)]
        assert len(set(names)) == count


def test_ids_are_never_used_again_and_trackers_are_independent() -> None:
    one, two = (create_tracker("poseflow", skeleton=COCO17) for _ in range(2))
    people = crowd((100, 300), (500, 300))
    assert one(at(0), people).ids.tolist() == [1, 2]
    one.reset()
    assert one(at(0), people).ids.tolist() == [3, 4]
    assert two(at(0), people).ids.tolist() == [1, 2]


@pytest.mark.parametrize("name", NAMES)
def test_nobody_and_boxes_only(name: str) -> None:
    track = create_tracker(name, skeleton=COCO17)
    assert len(track(at(0), People.empty(COCO17))) == 0
    assert track.predict(at(1)).keypoints.shape == (0, 17, 2)
    for index in range(1, 8):
        people = crowd((100 + 9 * index, 300), (800 - 9 * index, 300))
        result = track(at(index), People.of(people.boxes, people.box_scores))
        assert result.ids.tolist() == [1, 2] and result.keypoints.shape == (2, 0, 2)
    assert len(track(at(8), crowd())) == 0


def test_what_cannot_be_meant() -> None:
    with pytest.raises(UsageError, match="did you mean 'flow'"):
        PoseFlowTracker(COCO17, correspondences="flo")  # type: ignore[arg-type]
    for options in ({"fps": 0.0}, {"fps": float("nan")}, {"buffer": -1.0}):
        with pytest.raises(UsageError, match="positive number"):
            create_tracker("poseflow", skeleton=COCO17, **options)
    with pytest.raises(UsageError, match="2 joints, but people have 17"):
        create_tracker("poseflow", skeleton=Skeleton("two", ("a", "b")))(at(0), crowd((1, 1)))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_ids_are_unique_and_known(counts: list[int], seed: int) -> None:
    """Whatever comes in: no id twice in a frame, new ones counted upwards, all numbers finite."""
    rng, highest, image = np.random.default_rng(seed), 0, noise()
    track = (
        create_tracker(NAMES[seed % 2], skeleton=COCO17) if seed % 8 else PoseFlowTracker(COCO17)
    )
    for index, count in enumerate(counts):
        points = rng.choice([1.0, 300.0, 1e30]) * rng.normal(size=(count, 17, 2))
        points[:, rng.integers(0, 17) :] *= rng.integers(0, 2)
        people = People.of(None, rng.random(count), points, rng.random((count, 17)))
        picture = image if rng.random() < 0.3 and seed % 2 == 0 else BLANK
        found = track(Frame(picture, index), people).ids
        given_ids = found[found != -1]
        assert len(np.unique(given_ids)) == len(given_ids)
        fresh = np.sort(given_ids[given_ids > highest])
        assert fresh.tolist() == list(range(highest + 1, highest + 1 + len(fresh)))
        highest += len(fresh)
        assert np.isfinite(track.predict(Frame(picture, index + 1)).boxes).all()


# --- what PoseFlow cannot do, by design ----------------------------------------------------------


def last_ids(name: str, script: list[People]) -> list[int]:
    return ids(create_tracker(name, skeleton=COCO17), script)[-1]


@pytest.mark.parametrize("name", NAMES)
def test_fails_a_walker_behind_something(name: str) -> None:
    """Nothing is predicted: 8 px a frame for 15 frames out of sight is somebody else."""
    script = [crowd((100 + 8 * i, 300)) if not 25 <= i < 40 else crowd() for i in range(50)]
    script = [People.concat([p, crowd((900, 600))]) for p in script]
    assert last_ids(name, script) == [3, 2]
    assert last_ids("oks", script) == [1, 2]


@pytest.mark.parametrize("name", NAMES)
def test_fails_a_crossing_of_which_one_is_hidden(name: str) -> None:
    """Who is hidden while passing comes out on the other side as somebody new, or as the other."""
    script = [crowd((100 + 10 * i, 300), (700 - 10 * i, 306)) for i in range(61)]
    script[26:35] = [people[:1] for people in script[26:35]]
    assert last_ids(name, script) != [1, 2]
    assert last_ids("oks", script) == [1, 2]


@pytest.mark.parametrize("name", NAMES)
def test_fails_a_camera_cut(name: str) -> None:
    """A fiftieth of the largest score links, so others near the same places take the ids over."""
    script = [crowd((100, 300), (300, 300))] * 10 + [crowd((150, 310), (350, 310))]
    assert last_ids(name, script) == [1, 2]
    far = [crowd((100, 300), (300, 300))] * 10 + [crowd((700, 300), (900, 300))]
    assert last_ids(name, far) == [3, 4]


@pytest.mark.parametrize("name", NAMES)
def test_fails_a_duplicate(name: str) -> None:
    """A second copy of somebody is somebody else."""
    script = [crowd((100, 300)), crowd((100, 300), (101, 300))]
    assert last_ids(name, script) == [1, 2]


@pytest.mark.parametrize("way", ["flow", "orb", "none"])
def test_fails_a_jump_by_the_distance_between_people(way: str) -> None:
    """Overlap has twice the weight of correspondences: people take over their neighbours' ids."""
    assert jumped(way, 50, 50) == [2, 3, 4, 5]
