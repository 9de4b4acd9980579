"""OcSortTracker: momentum, recovery, re-update (the contract: test_trackers_byte.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from posewright.people import Frame, People
from posewright.skeletons import COCO17
from posewright.trackers import Tracker, create_tracker
from posewright.trackers.ocsort import Tracks, momentum

BLANK = np.zeros((0, 0, 3), np.uint8)
BOX = np.array([-40.0, -100.0, 40.0, 100.0])


def tracker() -> Tracker:
    return create_tracker("ocsort", skeleton=COCO17)


def crowd(*places: tuple[float, float], score: float | Sequence[float] = 0.9) -> People:
    """Boxes of 80 x 200 px round places."""
    middle = np.array(places, float).reshape(-1, 2)
    return People.of(BOX + np.tile(middle, 2), np.broadcast_to(score, len(middle)))


def ids(track: Tracker, index: int, people: People) -> list[int]:
    return track(Frame(BLANK, index, index / 30), people).ids.tolist()


def centre(people: People) -> float:
    return float(people.boxes[0, [0, 2]].mean())


def follow(*places: float, gaps: Sequence[float] = ()) -> Tracks:
    """One track of somebody at x = places, one frame apart unless `gaps` says more."""
    frames = [*gaps, *[1.0] * len(places)]
    tracks = Tracks.start(crowd((places[0], 300)))
    for x, step in zip(places[1:], frames, strict=False):
        tracks = tracks.later(step).seen(crowd((x, 300)), np.array([False]))
    return tracks


def test_an_id_from_the_third_sight() -> None:
    track = tracker()
    assert [ids(track, n, crowd((100, 300))) for n in range(4)] == [[1]] * 4
    later = [ids(track, n, crowd((100, 300), (500, 300))) for n in range(4, 8)]
    assert later == [[1, -1], [1, -1], [1, 2], [1, 2]]


def test_scores() -> None:
    track = tracker()
    assert ids(track, 0, crowd((100, 300), (500, 300), score=[0.61, 0.59])) == [1, -1]
    assert ids(track, 1, crowd((100, 300), (500, 300), score=[0.11, 0.59])) == [1, -1]
    assert ids(track, 2, crowd((100, 300), score=0.09)) == [-1]


@pytest.mark.parametrize(("step", "same"), [(42, True), (44, False)])
def test_overlap_that_is_asked(step: float, same: bool) -> None:
    """(80 - s) / (80 + s) is 0.31 at 42 px and 0.29 at 44; momentum does not change the limit."""
    track = tracker()
    ids(track, 0, crowd((100, 300)))
    assert (ids(track, 1, crowd((100 + step, 300))) == [1]) == same


@pytest.mark.parametrize("way", [1, -1])
def test_momentum_decides_between_equal_overlaps(way: int) -> None:
    """Two boxes 20 px before and behind the expected place: the one ahead is the walker."""
    track = tracker()
    for n in range(20):
        ids(track, n, crowd((400 + 2 * way * n, 300)))
    here = 400 + 2 * way * 20
    found = ids(track, 20, crowd((here + 20, 300), (here - 20, 300)))
    assert found == ([1, -1] if way > 0 else [-1, 1])


def test_momentum_by_hand() -> None:
    """From three frames ago: straight on 0.1, across 0, back -0.1, each times the score."""
    tracks = follow(100, 110, 120, 130).later(1)
    assert tracks.heading == pytest.approx(np.array([[1, 0]]), abs=1e-5)
    people = crowd((140, 300), (110, 330), (90, 300), score=[1.0, 1.0, 0.5])
    assert momentum(people, tracks)[:, 0] == pytest.approx([0.1, 0.0, -0.05], abs=1e-3)
    assert momentum(people, follow(100).later(1)) == pytest.approx(0, abs=1e-9)


def test_the_box_that_directions_begin_at() -> None:
    """Three frames before the coming one; else the oldest since; else the last."""
    for gaps, x in (((), 110), ((1, 1, 2), 120), ((2, 1, 1), 110), ((1, 1, 1, 4), 130)):
        tracks = follow(100, 110, 120, 130, gaps=gaps[:3])
        tracks = tracks.later(gaps[3] if len(gaps) > 3 else 1)
        assert tracks.earlier()[0, [0, 2]].mean() == x, gaps


def test_recovery_of_who_stopped_out_of_sight() -> None:
    track = tracker()
    for n in range(20):
        assert ids(track, n, crowd((100 + 8 * n, 300))) == [1]
    for n in range(20, 32):
        ids(track, n, crowd())
    assert ids(track, 32, crowd((252, 300))) == [1]


def test_motion_goes_before_recovery() -> None:
    """One stands where the walker was last, the walker is where the motion leads."""
    track = tracker()
    for n in range(20):
        ids(track, n, crowd((100 + 8 * n, 300)))
    for n in range(20, 32):
        ids(track, n, crowd())
    assert ids(track, 32, crowd((252, 300), (100 + 8 * 32, 300))) == [-1, 1]


def test_re_update_forgets_the_motion_before() -> None:
    """Who walked at 8 px a frame and is found 12 frames later at the same place has stood there."""
    walk = [100 + 8.0 * n for n in range(20)]
    tracks = follow(*walk)
    assert tracks.state.speed[0, 0] == pytest.approx(8, abs=0.5)
    found = tracks.later(12).seen(crowd((walk[-1], 300)), np.array([False]))
    assert abs(found.state.speed[0, 0]) < 3
    assert centre(found.later(1).ahead()) == pytest.approx(walk[-1], abs=5)


def measured(boxes: np.ndarray) -> np.ndarray:
    """What the filter is told of boxes that it has not seen before."""
    return Tracks.start(People.of(boxes)).state.value


def dense(values: list[np.ndarray]) -> np.ndarray:
    """SORT's filter of 7 numbers with matrices, one frame apart: the mean at the end."""
    move, look = np.eye(7) + np.eye(7, k=4), np.eye(4, 7)
    mean = np.r_[values[0], np.zeros(3)]
    covariance = np.diag([10, 10, 10, 10, 1e4, 1e4, 1e4])
    process, noise = np.diag([1, 1, 1, 1, 0.01, 0.01, 1e-4]), np.diag([1, 1, 10, 10])
    for z in values[1:]:
        mean, covariance = move @ mean, move @ covariance @ move.T + process
        gain = covariance @ look.T @ np.linalg.inv(look @ covariance @ look.T + noise)
        mean = mean + gain @ (z - look @ mean)
        covariance = (np.eye(7) - gain @ look) @ covariance
    return mean


def test_re_update_is_the_filter_along_the_straight_line() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([50, 80, 130, 290]) + np.cumsum(rng.normal(2, 2, (8, 4)), 0)
    boxes = boxes.astype(np.float32)
    tracks = Tracks.start(People.of(boxes[:1]))
    for n in range(1, 7):
        tracks = tracks.later(1).seen(People.of(boxes[n : n + 1]), np.array([False]))
    for _ in range(5):
        tracks = tracks.later(1)
    tracks = tracks.seen(People.of(boxes[7:]), np.array([False]))
    line = [boxes[6] + (boxes[7] - boxes[6]) * share for share in np.arange(1, 6) / 5]
    mean = dense([measured(b[None])[0] for b in [*boxes[:7], *line]])
    state = tracks.state
    np.testing.assert_allclose(np.r_[state.value[0], state.speed[0, :3]], mean, rtol=1e-5)


def test_several_are_found_again_after_different_times() -> None:
    """Each row of the re-update goes through its own number of frames."""
    apart = [follow(100, 104, 108).later(3), follow(500, 490, 480).later(1)]
    together = apart[0].joined(apart[1])
    seen = crowd((130, 300), (470, 300))
    both = together.seen(seen, np.zeros(2, bool)).state
    for row, tracks in enumerate(apart):
        alone = tracks.seen(seen[row], np.zeros(1, bool)).state
        np.testing.assert_allclose(both.value[row], alone.value[0])
        np.testing.assert_allclose(both.speed[row], alone.speed[0])


def test_a_shrinking_person_stays_a_box() -> None:
    track = tracker()
    for n in range(8):
        box = np.array([[100, 100, 180 - 9 * n, 300 - 20 * n]], float)
        track(Frame(BLANK, n, n / 30), People.of(box, [0.9]))
    ahead = track.predict(Frame(BLANK, 20, 20 / 30)).boxes
    assert (ahead[:, 2:] > ahead[:, :2]).all() and np.isfinite(ahead).all()


def test_boxes_and_measures() -> None:
    boxes = np.array([[10, 20, 50, 120], [0, 0, 300, 30]], np.float32)
    np.testing.assert_allclose(measured(boxes)[0], [30, 70, 4000, 0.4], rtol=1e-5)
    np.testing.assert_allclose(Tracks.start(People.of(boxes)).ahead().boxes, boxes, atol=1e-3)
    assert np.isfinite(measured(np.zeros((1, 4), np.float32))).all()
