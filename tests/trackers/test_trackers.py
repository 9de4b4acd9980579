"""Identities: scripted people who leave, enter, cross, hide, and detectors that miss and invent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.errors import UsageError
from posewright.people import Frame, People
from posewright.skeletons import COCO17, Skeleton
from posewright.trackers import Tracker, create_tracker
from tests.helpers.people import POSE

BLANK = np.zeros((0, 0, 3), np.uint8)


def tracker(**options: float) -> Tracker:
    return create_tracker("oks", skeleton=COCO17, **options)


def at(index: int, fps: float = 30.0) -> Frame:
    return Frame(BLANK, index, index / fps)


def crowd(*places: tuple[float, float], score: float | Sequence[float] = 0.9) -> People:
    """A person of COCO17 at each place, in a box a little larger than its joints."""
    points = POSE + np.array(places, np.float32).reshape(-1, 1, 2)
    n = len(points)
    marks = np.broadcast_to(np.reshape(score, (-1, 1)), (n, 17))
    box = np.array([-40, -108, 40, 105]) + np.tile(points[:, 11:13].mean(1), 2)
    return People.of(box, marks[:, 0], points, marks)


def ids(track: Tracker, frames: Iterable[tuple[int, People]]) -> list[list[int]]:
    return [track(at(index), people).ids.tolist() for index, people in frames]


def test_same_people_same_order() -> None:
    people = crowd((100, 200), (400, 200), (700, 200))
    result = tracker()(at(0), people)
    assert result.ids.tolist() == [1, 2, 3]
    for name in ("boxes", "box_scores", "keypoints", "scores"):
        np.testing.assert_array_equal(getattr(result, name), getattr(people, name))
    assert people.ids.tolist() == [-1, -1, -1]


def test_one_leaves_one_enters_the_stayer_keeps_the_id() -> None:
    """A and B; A leaves; C enters; the list order turns round."""
    track, a, b, c = tracker(), (50, 200), (350, 200), (650, 200)
    script = [[a, b]] * 3 + [[b], [b, c], [c, b], [b, c], [c, b]]
    found = ids(track, enumerate(crowd(*places) for places in script))
    assert found == [[1, 2]] * 3 + [[2], [2, 3], [3, 2], [2, 3], [3, 2]]


def test_order_of_the_list_does_not_matter() -> None:
    track, rng = tracker(), np.random.default_rng(0)
    places = np.array([(100 + 150 * i, 300) for i in range(6)])
    names = track(at(0), crowd(*places)).ids
    for index in range(1, 20):
        order = rng.permutation(6)
        places = places + rng.normal(0, 3, places.shape)
        assert track(at(index), crowd(*places[order])).ids.tolist() == names[order].tolist()


@pytest.mark.parametrize("hidden", [range(0), range(28, 33)])
def test_crossing(hidden: range) -> None:
    """Two walk past each other, 10 px a frame; during `hidden` only the nearer one is seen."""
    track = tracker()
    for index in range(61):
        people = crowd((100 + 10 * index, 300), (700 - 10 * index, 306))
        shown = people[:1] if index in hidden else people
        assert track(at(index), shown).ids.tolist() == [1, 2][: len(shown)]


@pytest.mark.parametrize(("away", "same"), [(5, True), (28, True), (31, False), (300, False)])
def test_return_within_the_buffer(away: int, same: bool) -> None:
    """Somebody out of sight for `away` frames of 1/30 s, buffer 1 s; a second person stays."""
    track, stays, comes = tracker(), (400, 300), (100, 300)
    for index in range(5):
        track(at(index), crowd(stays, comes))
    for index in range(5, 5 + away):
        assert track(at(index), crowd(stays)).ids.tolist() == [1]
    assert track(at(5 + away), crowd(comes, stays)).ids.tolist() == [2 if same else 3, 1]


def test_buffer_is_in_seconds() -> None:
    for buffer, fps, same in ((1.0, 30, True), (0.2, 30, False), (1.0, 5, False), (3.0, 5, True)):
        track = tracker(buffer=buffer, fps=fps)
        for index in (0, 1, 2, *range(3, 12)):
            track(Frame(BLANK, index), crowd((100, 300)) if index < 3 else crowd())
        assert track(Frame(BLANK, 12), crowd((100, 300))).ids.tolist() == [1 if same else 2]


def test_somebody_seen_once_waits_a_shorter_time() -> None:
    for sights, same in ((1, False), (3, True)):
        track = tracker()
        for index in range(sights):
            track(at(index), crowd((100, 300)))
        for index in range(sights, sights + 15):
            track(at(index), crowd())
        assert track(at(sights + 15), crowd((100, 300))).ids.tolist() == [1 if same else 2]


def test_a_walker_is_followed_through_an_occlusion() -> None:
    """8 px a frame and 15 frames out of sight: found where the motion leads."""
    track = tracker()
    for index in range(50):
        seen = crowd((100 + 8 * index, 300)) if not 25 <= index < 40 else crowd()
        assert set(track(at(index), seen).ids.tolist()) <= {1}


@pytest.mark.parametrize("step", [2, 3, 5])
def test_detector_skips_frames(step: int) -> None:
    """Called for every `step`-th frame of people who walk at 4 px a frame."""
    track = tracker()
    for index in range(0, 90, step):
        people = crowd((100 + 4 * index, 300), (900 - 4 * index, 550))
        assert track(at(index), people).ids.tolist() == [1, 2]


@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.0, 2.0])
def test_slow_sources_have_identities(seconds: float) -> None:
    track = tracker()
    for index in range(10):
        frame = Frame(BLANK, index, index * seconds)
        assert track(frame, crowd((100 + 5 * index, 300))).ids.tolist() == [1]


def test_gap_in_the_times() -> None:
    track = tracker()
    walk = [crowd((100 + 5 * index, 300)) for index in range(30)]
    for index in (*range(12), 20, 21, 29):
        assert track(at(index), walk[index]).ids.tolist() == [1]
    assert track(at(29 + 600), walk[0]).ids.tolist() == [2]


def test_frames_without_times_and_repeated_numbers() -> None:
    track = tracker()
    for index in (0, 1, 2, 2, 1, 5):
        assert track(Frame(BLANK, index), crowd((100, 300))).ids.tolist() == [1]


def test_camera_cut() -> None:
    track = tracker()
    for index in range(10):
        assert track(at(index), crowd((100, 300), (300, 300))).ids.tolist() == [1, 2]
    assert track(at(10), crowd((700, 300), (900, 300), (1100, 300))).ids.tolist() == [3, 4, 5]
    assert track(at(11), crowd((700, 300), (900, 300), (1100, 300))).ids.tolist() == [3, 4, 5]


def test_a_duplicate_takes_no_identity() -> None:
    """A second copy of somebody stays without an id; the first keeps its own."""
    track = tracker()
    one, two = crowd((100, 300)), crowd((100, 300), (101, 300), score=[0.9, 0.7])
    assert track(at(0), two).ids.tolist() == [1, -1]
    assert track(at(1), one).ids.tolist() == [1]
    assert sorted(track(at(2), two).ids.tolist()) == [-1, 1]
    assert track(at(3), crowd((100, 300), (130, 300))).ids.tolist() == [1, 2]


def test_a_doubtful_copy_costs_a_sure_person_nothing() -> None:
    assert tracker()(at(0), crowd((100, 300), (100, 300), score=[0.2, 0.9])).ids.tolist() == [-1, 1]


def test_low_scores_continue_but_do_not_start() -> None:
    track = tracker()
    assert track(at(0), crowd((100, 300), score=0.25)).ids.tolist() == [-1]
    assert track(at(1), crowd((100, 300), score=0.9)).ids.tolist() == [1]
    assert track(at(2), crowd((100, 300), (500, 300), score=0.25)).ids.tolist() == [1, -1]
    assert track(at(3), crowd((100, 300), score=0.05)).ids.tolist() == [-1]
    assert track(at(4), crowd((100, 300), score=0.3)).ids.tolist() == [1]


def test_a_sure_person_goes_before_a_doubtful_one() -> None:
    track = tracker()
    track(at(0), crowd((100, 300)))
    assert track(at(1), crowd((101, 300), (106, 300), score=[0.2, 0.9])).ids.tolist() == [-1, 1]


def test_ids_are_never_used_again() -> None:
    track, used = tracker(), set()
    for start in range(5):
        found = track(at(start), crowd((100, 300), (300, 300))).ids.tolist()
        assert not used & set(found)
        used |= set(found)
        track.reset()
    assert used == set(range(1, 11))


def test_two_trackers_are_independent() -> None:
    one, two = tracker(), tracker()
    one(at(0), crowd((100, 300), (500, 300)))
    assert two(at(0), crowd((100, 300))).ids.tolist() == [1]
    two.reset()
    assert one(at(1), crowd((500, 300))).ids.tolist() == [2]


def test_nobody() -> None:
    track = tracker()
    for index in range(3):
        result = track(at(index), People.empty(COCO17))
        assert len(result) == 0 and result.keypoints.shape == (0, 17, 2)
    assert track.predict(at(3)).keypoints.shape == (0, 17, 2)
    assert track(at(3), crowd((100, 300))).ids.tolist() == [1]
    assert len(track(at(4), crowd())) == 0
    assert len(track.predict(at(5))) == 0


def test_boxes_without_joints() -> None:
    track = tracker()
    for index in range(10):
        people = crowd((100 + 9 * index, 300), (800 - 9 * index, 300))
        result = track(at(index), People.of(people.boxes, people.box_scores))
        assert result.ids.tolist() == [1, 2] and result.keypoints.shape == (2, 0, 2)


def test_people_of_another_skeleton() -> None:
    track = create_tracker("oks", skeleton=Skeleton("two", ("a", "b")))
    with pytest.raises(UsageError, match="2 joints, but people have 17"):
        track(at(0), crowd((100, 300)))


def test_unknown_names_and_numbers() -> None:
    with pytest.raises(UsageError, match="did you mean 'oks'"):
        create_tracker("okss", skeleton=COCO17)
    for options in ({"fps": 0.0}, {"fps": float("nan")}, {"buffer": -1.0}):
        with pytest.raises(UsageError, match="positive number"):
            tracker(**options)


def test_predict_moves_those_who_are_seen() -> None:
    track = tracker()
    for index in range(20):
        track(at(index), crowd((100 + 6 * index, 300), (900, 300)))
    track(at(20), crowd((220, 300)))
    ahead = track.predict(at(25))
    assert ahead.ids.tolist() == [1]
    np.testing.assert_allclose(ahead.boxes[0], crowd((250, 300)).boxes[0], atol=3)
    np.testing.assert_allclose(ahead.keypoints[0], crowd((250, 300)).keypoints[0], atol=3)
    assert ahead.box_scores.tolist() == pytest.approx([0.9])
    assert track(at(25), crowd((250, 300), (900, 300))).ids.tolist() == [1, 2]


def test_predict_stays_inside_the_image() -> None:
    track, image = tracker(), np.zeros((400, 500, 3), np.uint8)
    for index in range(10):
        track(Frame(image, index, index / 30), crowd((300 + 20 * index, 300), (200, 300)))
    soon, later = track.predict(Frame(image, 10, 10 / 30)), track.predict(Frame(image, 40, 40 / 30))
    assert soon.ids.tolist() == [1, 2] and soon.boxes[:, 2].max() <= 500
    assert later.ids.tolist() == [2]


@pytest.mark.parametrize("every", [2, 4, 8])
def test_detection_every_few_frames(every: int) -> None:
    """In between, poses come from predicted boxes: a person who turns round is still followed."""
    track = tracker()
    for index in range(80):
        x = 300 + 150 * np.sin(index / 12)
        truth = crowd((x, 300), (700, 300))
        if index % every:
            boxes = track.predict(at(index))
            order = np.argsort(np.abs(boxes.boxes[:, [0]] - truth.boxes[:, 0]).argmin(1))
            boxes = boxes[order]
            assert len(boxes) == 2
            middle = (boxes.boxes[:, 0] + boxes.boxes[:, 2]) / 2
            assert np.abs(middle - [x, 700]).max() < 30
            truth = truth.replace(boxes=boxes.boxes, ids=boxes.ids)
        assert track(at(index), truth).ids.tolist() == [1, 2]


def test_a_followed_person_who_left_is_let_go() -> None:
    """The pose in the predicted box scores low: the person has no id and is not predicted again."""
    track = tracker()
    for index in range(3):
        track(at(index), crowd((100, 300)))
    ahead = track.predict(at(3))
    gone = ahead.replace(scores=np.full((1, 17), 0.005, np.float32))
    assert track(at(3), gone).ids.tolist() == [-1]
    assert len(track.predict(at(4))) == 0


def noisy(frames: int, seed: int) -> Iterable[tuple[int, People, list[int]]]:
    """Five people cross each other's ways: 5 px of jitter, 10 % missed, 5 % invented."""
    rng = np.random.default_rng(seed)
    phase, speed = rng.uniform(0, 6, 5), rng.uniform(0.02, 0.05, 5)
    for index in range(frames):
        x = 600 + 450 * np.sin(phase + speed * index)
        who = np.flatnonzero(rng.random(5) >= 0.1)
        places = np.stack([x, 300 + 25 * np.arange(5)], 1)[who]
        people = crowd(*places)
        jitter = rng.normal(0, 5, people.keypoints.shape).astype(np.float32)
        people = people.replace(keypoints=people.keypoints + jitter)
        if rng.random() < 0.05 * 5:
            false = crowd((rng.uniform(0, 1200), rng.uniform(0, 600)), score=rng.uniform(0.2, 0.6))
            people, who = People.concat([people, false]), np.append(who, -1)
        yield index, people, who.tolist()


def test_noise() -> None:
    """200 frames, 5 seeds, about 4,500 people: at most 2 wrong identities in a thousand."""
    wrong = total = 0
    for seed in range(5):
        track, last = tracker(), {}
        for index, people, who in noisy(200, seed):
            found = track(at(index), people).ids.tolist()
            assert len(set(found) - {-1}) == len([i for i in found if i != -1])
            for person, number in zip(who, found, strict=True):
                if person >= 0:
                    wrong += last.get(person, number) != number
                    total += 1
                    last[person] = number
    assert total > 4000 and wrong <= 0.002 * total


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_ids_are_unique_and_known(counts: list[int], seed: int) -> None:
    """Whatever comes in: one id for each, no id twice in a frame, new ones counted upwards."""
    rng, track, highest = np.random.default_rng(seed), tracker(), 0
    for index, count in enumerate(counts):
        points = rng.choice([1.0, 300.0, 1e30]) * rng.normal(size=(count, 17, 2))
        points[:, rng.integers(0, 17) :] *= rng.integers(0, 2)
        people = People.of(None, rng.random(count), points, rng.random((count, 17)))
        found = track(at(index), people).ids
        given_ids = found[found != -1]
        assert len(np.unique(given_ids)) == len(given_ids)
        fresh = np.sort(given_ids[given_ids > highest])
        assert fresh.tolist() == list(range(highest + 1, highest + 1 + len(fresh)))
        highest += len(fresh)
        assert np.isfinite(track.predict(at(index + 1)).boxes).all()
