"""ByteTracker, what it shares with OcSortTracker, and the contract that both keep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.errors import UsageError
from posewright.people import Frame, People
from posewright.skeletons import COCO17, Skeleton
from posewright.trackers import Tracker, create_tracker
from posewright.trackers.motion import Kalman, Round, in_rounds
from posewright.trackers.tracks import BoxTracks, boxes_of, measured

BLANK = np.zeros((0, 0, 3), np.uint8)
BOTH = pytest.mark.parametrize("name", ["bytetrack", "ocsort"])
BOX = np.array([-40.0, -100.0, 40.0, 100.0])


def tracker(name: str = "bytetrack", **options: float) -> Tracker:
    return create_tracker(name, skeleton=COCO17, **options)


def at(index: int, fps: float = 30.0) -> Frame:
    return Frame(BLANK, index, index / fps)


def crowd(*places: tuple[float, float], score: float | Sequence[float] = 0.9) -> People:
    """Boxes of 80 x 200 px round places."""
    middle = np.array(places, float).reshape(-1, 2)
    return People.of(BOX + np.tile(middle, 2), np.broadcast_to(score, len(middle)))


def ids(track: Tracker, index: int, people: People) -> list[int]:
    return track(at(index), people).ids.tolist()


# --- ByteTrack -----------------------------------------------------------------------------------


def test_somebody_new_has_an_id_from_the_second_frame() -> None:
    track = tracker()
    assert ids(track, 0, crowd((100, 300))) == [1]  # in the first frame at once
    assert ids(track, 1, crowd((100, 300), (400, 300))) == [1, -1]
    assert ids(track, 2, crowd((100, 300), (400, 300))) == [1, 2]
    assert ids(track, 3, crowd((100, 300), (400, 300), (700, 300))) == [1, 2, -1]
    assert ids(track, 4, crowd((100, 300))) == [1]  # the third was there once
    assert ids(track, 5, crowd((700, 300))) == [-1]
    assert ids(track, 6, crowd((700, 300))) == [3]


@pytest.mark.parametrize(("score", "started"), [(0.69, False), (0.71, True)])
def test_scores_that_start_a_track(score: float, started: bool) -> None:
    assert ids(tracker(), 0, crowd((100, 300), score=score)) == [1 if started else -1]


@pytest.mark.parametrize(
    ("score", "step", "same"),
    [
        (0.9, 50, True),
        (0.9, 56, False),
        (0.61, 50, True),
        (0.5, 25, True),
        (0.5, 30, False),
        (0.11, 25, True),
        (0.09, 0, False),
    ],
)
def test_overlap_that_is_asked(score: float, step: float, same: bool) -> None:
    """A step of s px leaves an overlap of (80 - s) / (80 + s): 0.2 is asked, 0.5 of doubtful."""
    track = tracker()
    ids(track, 0, crowd((100, 300)))
    assert ids(track, 1, crowd((100 + step, 300), score=score)) == [1 if same else -1]


def test_sure_ones_go_first() -> None:
    """The doubtful box fits better, yet gets what is left: nobody."""
    track = tracker()
    ids(track, 0, crowd((100, 300)))
    assert ids(track, 1, crowd((100, 300), (120, 300), score=[0.5, 0.9])) == [-1, 1]


def test_doubtful_ones_continue_only_who_was_there_just_now() -> None:
    for gap, score, same in ((1, 0.5, True), (2, 0.5, False), (2, 0.9, True)):
        track = tracker()
        ids(track, 0, crowd((100, 300)))
        if gap == 2:
            ids(track, 1, crowd())
        assert ids(track, gap, crowd((100, 300), score=score)) == [1 if same else -1]


def test_who_stops_out_of_sight_is_lost() -> None:
    """Byte looks where the motion leads (recovery is what OC-SORT adds)."""
    track = tracker()
    for n in range(20):
        assert ids(track, n, crowd((100 + 8 * n, 300))) == [1]
    for n in range(20, 32):
        ids(track, n, crowd())
    assert ids(track, 32, crowd((252, 300))) == [-1]


def dense(boxes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The 8 x 8 filter of the paper's authors, with matrices: mean and covariance at the end."""
    move, look = np.eye(8) + np.eye(8, k=4), np.eye(4, 8)
    z = [measured(np.array([b], np.float32))[0] for b in boxes]
    h, mean = z[0][3], np.r_[z[0], np.zeros(4)]
    spread = np.array([h / 10, h / 10, 0.01, h / 10, h / 16, h / 16, 1e-5, h / 16])
    covariance = np.diag(spread**2)
    for seen in z[1:]:
        h = mean[3]
        noise = np.array([h / 20, h / 20, 0.01, h / 20, h / 160, h / 160, 1e-5, h / 160])
        mean, covariance = move @ mean, move @ covariance @ move.T + np.diag(noise**2)
        h = mean[3]
        spread = np.diag(np.array([h / 20, h / 20, 0.1, h / 20]) ** 2)
        gain = covariance @ look.T @ np.linalg.inv(look @ covariance @ look.T + spread)
        mean = mean + gain @ (seen - look @ mean)
        covariance = covariance - gain @ look @ covariance
    return mean, covariance


def test_the_filter_is_that_of_the_matrices() -> None:
    rng = np.random.default_rng(0)
    boxes = [np.array([50, 80, 130, 290]) + 7 * n + rng.normal(0, 4, 4) for n in range(12)]
    tracks = BoxTracks.start(People.of([boxes[0]]))
    for box in boxes[1:]:
        tracks = tracks.moved(1).seen(People.of([box]), np.array([False]))
    mean, covariance = dense(boxes)
    state = tracks.state
    np.testing.assert_allclose(np.r_[state.value[0], state.speed[0]], mean, rtol=1e-6)
    pp, pv, vv = (v[0] for v in state.variance)
    np.testing.assert_allclose(np.r_[pp, vv], np.diag(covariance), rtol=1e-6)
    np.testing.assert_allclose(pv, np.diag(covariance, 4), rtol=1e-6)


def test_boxes_and_measures() -> None:
    boxes = np.array([[10, 20, 50, 120], [0, 0, 300, 30]], np.float32)
    np.testing.assert_allclose(boxes_of(measured(boxes)), boxes, atol=1e-4)
    assert np.isfinite(measured(np.zeros((1, 4), np.float32))).all()


# --- shared parts --------------------------------------------------------------------------------


def test_kalman_moves_by_any_time_at_once() -> None:
    """Without noise three frames are as one frame three times."""
    start = Kalman.start(np.array([[5.0, 7.0]]), np.full((1, 2), 4.0), np.ones((1, 2)))
    start = start.corrected(np.array([[6.0, 9.0]]), np.ones(2)).moved(1, np.zeros(2), np.zeros(2))
    start = start.corrected(np.array([[9.0, 9.0]]), np.ones(2))
    none = np.zeros(2)
    once, thrice = start.moved(3, none, none), start
    for _ in range(3):
        thrice = thrice.moved(1, none, none)
    np.testing.assert_allclose(once.value, thrice.value)
    np.testing.assert_allclose(once.variance, thrice.variance)
    assert once.speed[0, 0] > 0


def test_rounds() -> None:
    alike = np.array([[0.9, 0.4], [0.8, 0.0], [0.7, 0.7]])
    yes = np.ones(2, bool)
    first = Round(alike, np.array([False, True, False]), yes, 0.5)
    second = Round(alike, np.ones(3, bool), yes, 0.5)
    assert in_rounds([first]).tolist() == [-1, 0, -1]
    assert in_rounds([first, second]).tolist() == [-1, 0, 1]
    assert in_rounds([Round(alike, np.ones(3, bool), ~yes, 0.5)]).tolist() == [-1] * 3


def test_a_worse_pair_does_not_cost_two_good_ones() -> None:
    alike = np.array([[0.9, 0.8], [0.8, 0.0]])
    assert in_rounds([Round(alike, np.ones(2, bool), np.ones(2, bool), 0.5)]).tolist() == [1, 0]
    assert in_rounds([Round(alike, np.ones(2, bool), np.ones(2, bool), 0.75)]).tolist() == [0, -1]


# --- the contract --------------------------------------------------------------------------------


@BOTH
def test_same_people_same_order(name: str) -> None:
    rng = np.random.default_rng(0)
    points, scores = rng.uniform(0, 500, (3, 17, 2)), rng.random((3, 17))
    people = crowd((100, 200), (400, 200), (700, 200))
    people = People.of(people.boxes, [0.9, 0.05, 0.8], points, scores)
    result = tracker(name)(at(0), people)
    assert result.ids.tolist() == [1, -1, 2]
    for each in ("boxes", "box_scores", "keypoints", "scores"):
        np.testing.assert_array_equal(getattr(result, each), getattr(people, each))
    assert people.ids.tolist() == [-1] * 3


@BOTH
def test_order_of_the_list_does_not_matter(name: str) -> None:
    track, rng = tracker(name), np.random.default_rng(0)
    places = np.array([(100 + 150 * i, 300) for i in range(6)], float)
    names = np.array(ids(track, 0, crowd(*places)))
    for index in range(1, 20):
        order = rng.permutation(6)
        places = places + rng.normal(0, 3, places.shape)
        assert ids(track, index, crowd(*places[order])) == names[order].tolist()


@BOTH
@pytest.mark.parametrize("hidden", [range(0), range(28, 33)])
def test_crossing(name: str, hidden: range) -> None:
    track = tracker(name)
    for index in range(61):
        people = crowd((100 + 10 * index, 300), (700 - 10 * index, 306))
        shown = people[:1] if index in hidden else people
        assert ids(track, index, shown) == [1, 2][: len(shown)]


@BOTH
@pytest.mark.parametrize(("away", "same"), [(5, True), (28, True), (31, False)])
def test_return_within_the_buffer(name: str, away: int, same: bool) -> None:
    track, stays, comes = tracker(name), (400, 300), (100, 300)
    for index in range(5):
        ids(track, index, crowd(stays, comes))
    for index in range(5, 5 + away):
        assert ids(track, index, crowd(stays)) == [1]
    assert ids(track, 5 + away, crowd(comes, stays)) == [2 if same else -1, 1]


@BOTH
def test_a_walker_is_followed_through_an_occlusion(name: str) -> None:
    track = tracker(name)
    for index in range(50):
        seen = crowd((100 + 8 * index, 300)) if not 25 <= index < 40 else crowd()
        assert set(ids(track, index, seen)) <= {1}


@BOTH
def test_camera_cut(name: str) -> None:
    track = tracker(name)
    for index in range(10):
        assert ids(track, index, crowd((100, 300), (300, 300))) == [1, 2]
    after = [ids(track, index, crowd((700, 300), (900, 300))) for index in range(10, 14)]
    assert after[0] == [-1, -1] and after[-1] == [3, 4]


@BOTH
@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_slow_sources_have_identities(name: str, seconds: float) -> None:
    track = tracker(name)
    for index in range(10):
        frame = Frame(BLANK, index, index * seconds)
        assert track(frame, crowd((100 + 5 * index, 300))).ids.tolist() == [1]


@BOTH
def test_frames_without_times_and_repeated_numbers(name: str) -> None:
    track = tracker(name)
    for index in (0, 1, 2, 2, 1, 5):
        assert track(Frame(BLANK, index), crowd((100, 300))).ids.tolist() == [1]


@BOTH
def test_ids_are_never_used_again(name: str) -> None:
    track, used = tracker(name), set()
    for start in range(5):
        found = ids(track, start, crowd((100, 300), (300, 300)))
        assert not used & set(found)
        used |= set(found)
        track.reset()
    assert used == set(range(1, 11))


@BOTH
def test_nobody(name: str) -> None:
    track = tracker(name)
    assert track.predict(at(0)).keypoints.shape == (0, 17, 2)
    for index in range(3):
        result = track(at(index), People.empty(COCO17))
        assert len(result) == 0 and result.keypoints.shape == (0, 17, 2)
    for index in range(3, 9):
        found = ids(track, index, crowd((100, 300)))
    assert found == [1]
    assert ids(track, 9, crowd()) == [] and len(track.predict(at(10))) == 0


@BOTH
def test_wrong_people_and_numbers(name: str) -> None:
    track = create_tracker(name, skeleton=Skeleton("two", ("a", "b")))
    with pytest.raises(UsageError, match="2 joints, but people have 17"):
        track(at(0), People.of(keypoints=np.zeros((1, 17, 2))))
    for options in ({"fps": 0.0}, {"fps": float("nan")}, {"buffer": -1.0}):
        with pytest.raises(UsageError, match="positive number"):
            tracker(name, **options)


@BOTH
def test_predict_moves_those_who_are_seen(name: str) -> None:
    track, points = tracker(name), np.zeros((2, 17, 2))
    for index in range(20):
        people = crowd((100 + 6 * index, 300), (900, 300))
        points[..., 0] += 6
        track(
            at(index),
            people.replace(
                keypoints=points.astype(np.float32), scores=np.ones((2, 17), np.float32)
            ),
        )
    track(at(20), crowd((220, 300)))
    ahead = track.predict(at(25))
    assert ahead.ids.tolist() == [1]
    np.testing.assert_allclose(ahead.boxes[0], crowd((250, 300)).boxes[0], atol=4)
    assert ahead.keypoints.shape == (1, 17, 2) and ahead.keypoints[0, 0, 0] > 20
    assert ids(track, 25, crowd((250, 300), (900, 300))) == [1, 2]


@BOTH
def test_predict_stays_inside_the_image(name: str) -> None:
    track, image = tracker(name), np.zeros((400, 500, 3), np.uint8)
    for index in range(10):
        track(Frame(image, index, index / 30), crowd((300 + 20 * index, 300), (200, 300)))
    soon, later = track.predict(Frame(image, 10, 10 / 30)), track.predict(Frame(image, 40, 40 / 30))
    assert soon.ids.tolist() == [1, 2] and soon.boxes[:, 2].max() <= 500
    assert later.ids.tolist() == [2]


@BOTH
@pytest.mark.parametrize("every", [2, 4, 8])
def test_detection_every_few_frames(name: str, every: int) -> None:
    """In between the predicted boxes come back; they say nothing and cost nothing."""
    track = tracker(name)
    for index in range(80):
        truth = crowd((100 + 5 * index, 300), (900, 300))
        if index % every:
            truth = track.predict(at(index))
            assert len(truth) == 2
            if index > 3 * every:
                middle = (truth.boxes[:, 0] + truth.boxes[:, 2]) / 2
                assert np.abs(np.sort(middle) - np.sort([100 + 5 * index, 900])).max() < 12
            assert ids(track, index, truth) == truth.ids.tolist()
        else:
            assert ids(track, index, truth) == [1, 2]


@BOTH
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_ids_are_unique_and_known(name: str, counts: list[int], seed: int) -> None:
    """Whatever comes in: one id for each, no id twice in a frame, new ones counted upwards."""
    rng, track, highest = np.random.default_rng(seed), tracker(name), 0
    for index, count in enumerate(counts):
        places = rng.choice([1.0, 300.0, 1e30]) * rng.normal(size=(count, 17, 2))
        people = People.of(None, rng.random(count), places, rng.random((count, 17)))
        ahead = track.predict(at(index)) if rng.random() < 0.3 else people
        people = ahead if len(ahead) else people
        found = [i for i in ids(track, index, people) if i != -1]
        assert len(set(found)) == len(found)
        new = sorted(i for i in found if i > highest)
        assert new == list(range(highest + 1, highest + 1 + len(new)))
        highest += len(new)
