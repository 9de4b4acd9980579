"""Smoothing: constants stay, lines are kept, noise goes, and nobody changes places or names."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.errors import UsageError
from posewright.people import People
from posewright.results import Result
from posewright.skeletons import COCO17, Skeleton
from posewright.smoothing import create_smoother, parse_smoothing, smoothed
from posewright.smoothing.filters import butterworth, savgol
from posewright.smoothing.gaps import FILLED

METHODS = ("one-euro", "kalman", "butterworth", "savgol")
CAUSAL = ("one-euro", "kalman:lag=0")
Sequence = list[Result]


def sequence(
    places: np.ndarray, *, fps: float = 30.0, ids: Iterable[int] = (1,), scores: float = 1.0
) -> Sequence:
    """(T, N, 2) px -> results in which all joints of person n are at places[:, n]."""
    ids = list(ids)
    frames = []
    for i, row in enumerate(places):
        points = np.repeat(np.asarray(row, np.float32)[:, None], 17, 1)
        people = People.of(keypoints=points, scores=np.full((len(row), 17), scores), ids=ids)
        frames.append(Result(people, COCO17, (640, 480), "clip.mp4", i, i / fps))
    return frames


def smooth(frames: Iterable[Result], method: str | None, **options: float) -> Sequence:
    return list(smoothed(frames, create_smoother(method, **options)))


def nose(frames: Iterable[Result], person: int = 0) -> np.ndarray:
    """(T, 2) px of a person's nose."""
    return np.stack([f.keypoints[person, 0] for f in frames]).astype(np.float64)


def without(frames: Sequence, numbers: Iterable[int], person: int = 0) -> Sequence:
    """The same frames, where a person is away from some of them."""
    gone = set(numbers)
    return [
        f.replace(people=f.people[np.arange(len(f)) != person]) if i in gone else f
        for i, f in enumerate(frames)
    ]


def line(count: int, speed: tuple[float, float] = (90.0, -60.0), fps: float = 30.0) -> np.ndarray:
    """(T, 1, 2) px of somebody who walks straight on."""
    return 200 + np.arange(count)[:, None, None] / fps * np.array([[speed]])


# --- the filters ---------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [2, 4, 8])
@pytest.mark.parametrize("cutoff", [1.0, 3.0, 6.0, 12.0])
def test_butterworth_has_its_response(order: int, cutoff: float) -> None:
    """The square of a Butterworth filter's response, through the bilinear map: two passes."""
    t = np.arange(1800) / 60
    for frequency in (cutoff / 2, cutoff, 1.5 * cutoff):
        wave = np.exp(2j * np.pi * frequency * t)
        both = butterworth(np.stack([wave.real, wave.imag], 1), 60, cutoff, order)
        found = (both[:, 0] + 1j * both[:, 1])[600:1200] / wave[600:1200]
        ratio = np.tan(np.pi * frequency / 60) / np.tan(np.pi * cutoff / 60)
        np.testing.assert_allclose(found, 1 / (1 + ratio**order), atol=1e-5)


def test_butterworth_keeps_lines_and_ends() -> None:
    walk = line(300)[:, 0]
    kept = butterworth(walk, 30, 6.0, 4)
    np.testing.assert_allclose(kept, walk, atol=1e-3)
    np.testing.assert_allclose(butterworth(walk, 30, 1.0, 4)[60:-60], walk[60:-60], atol=1e-3)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_filters_take_any_length(count: int) -> None:
    values = np.full((count, 2, 2), 7.0)
    for kept in (butterworth(values, 30, 6.0, 8), savgol(values, 9, 2)):
        np.testing.assert_allclose(kept, values, atol=1e-9)


def test_savgol_keeps_its_polynomials_and_has_the_published_weights() -> None:
    t = np.arange(40.0)[:, None]
    for window, order in ((9, 2), (5, 1), (21, 5)):
        curve = sum((t / 40) ** power for power in range(order + 1))
        np.testing.assert_allclose(savgol(curve, window, order), curve, atol=1e-9)
    pulse = np.zeros(21)
    pulse[10] = 35
    np.testing.assert_allclose(savgol(pulse, 5, 2)[8:13], [-3, 12, 17, 12, -3], atol=1e-9)


# --- every method --------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(METHODS),
    st.integers(1, 20),
    st.integers(0, 4),
    st.floats(-1e4, 1e4),
    st.sampled_from([1.0, 25.0, 240.0]),
)
def test_constants_stay_in_order_with_their_ids(
    method: str, count: int, people: int, place: float, fps: float
) -> None:
    ids = [7, 3, -1, 9][:people]
    places = np.broadcast_to(place + 10.0 * np.arange(people)[None, :, None], (count, people, 2))
    frames = sequence(places, fps=fps, ids=ids)
    done = smooth(frames, method, fps=fps)
    assert [f.frame for f in done] == list(range(count))
    for before, after in zip(frames, done, strict=True):
        assert after.ids.tolist() == ids
        np.testing.assert_allclose(after.keypoints, before.keypoints, rtol=1e-6, atol=1e-3)
        np.testing.assert_array_equal(after.scores, before.scores)
        np.testing.assert_array_equal(after.boxes, before.boxes)


@pytest.mark.parametrize("method", METHODS)
def test_nobody_stays_nobody(method: str) -> None:
    empty = [Result(People.empty(n), COCO17, (64, 48), "a", i) for i, n in enumerate((17, 0, 17))]
    assert [len(f) for f in smooth(empty, method)] == [0, 0, 0]
    assert smooth([], method) == []


@pytest.mark.parametrize("method", ["kalman", "butterworth", "savgol"])
def test_lines_are_kept(method: str) -> None:
    frames = sequence(line(120))
    np.testing.assert_allclose(
        nose(smooth(frames, method))[15:-15], nose(frames)[15:-15], atol=0.01
    )


@pytest.mark.parametrize(
    ("method", "most"), [("one-euro", 0.4), ("kalman", 0.8), ("butterworth", 0.7), ("savgol", 0.6)]
)
def test_noise_is_attenuated(method: str, most: float) -> None:
    noise = np.random.default_rng(0).normal(0, 2, (600, 1, 2))
    done = nose(smooth(sequence(300 + noise), method)) - 300
    assert done[30:-30].std() < most * noise[30:-30].std()


@pytest.mark.parametrize("method", METHODS)
def test_settings_have_an_effect(method: str) -> None:
    rng = np.random.default_rng(1)
    frames = sequence(line(90) + rng.normal(0, 3, (90, 1, 2)))
    usual = nose(smooth(frames, method))
    changes = {
        "one-euro": ("min_cutoff=0.2", "beta=1"),
        "kalman": ("cutoff=2", "lag=0.3"),
        "butterworth": ("cutoff=2", "order=8"),
        "savgol": ("window=21", "order=4"),
    }
    for change in changes[method]:
        assert np.abs(nose(smooth(frames, f"{method}:{change}")) - usual).max() > 0.2, change


@pytest.mark.parametrize("method", METHODS)
def test_a_joint_with_a_low_score_teaches_nothing(method: str) -> None:
    frames = sequence(np.full((60, 1, 2), 50.0))
    people = frames[30].people
    keypoints, scores = people.keypoints.copy(), people.scores.copy()
    keypoints[0, 0], scores[0, 0] = 500, 0.1
    frames[30] = frames[30].replace(people=people.replace(keypoints=keypoints, scores=scores))
    done = smooth(frames, method, gap=0)
    np.testing.assert_array_equal(done[30].keypoints[0, 0], 500)  # and stays where it is
    np.testing.assert_allclose(np.delete(nose(done), 30, 0), 50, atol=1e-3)
    filled = smooth(frames, method, gap=0.2)
    np.testing.assert_allclose(nose(filled), 50, atol=1e-3)
    assert filled[30].scores[0, 0] == FILLED and (filled[30].scores[0, 1:] == 1).all()


@pytest.mark.parametrize("method", METHODS)
def test_frames_that_could_not_be_read_pass(method: str) -> None:
    frames = sequence(line(40))
    frames[20] = Result(People.empty(17), COCO17, (0, 0), "c", 20, 20 / 30, "decode_error", "bad")
    done = smooth(frames, method)
    assert [len(f) for f in done] == [int(i != 20) for i in range(40)]
    assert done[20].status == "decode_error" and np.isfinite(nose(f for f in done if len(f))).all()


@pytest.mark.parametrize("method", METHODS)
def test_two_of_one_id_and_broken_times(method: str) -> None:
    frames = sequence(np.full((30, 3, 2), 40.0), ids=(5, 5, -1))
    frames = [f.replace(time=1.0) for f in frames]  # a clock that stands still
    done = smooth(frames, method)
    assert all(f.ids.tolist() == [5, 5, -1] for f in done)
    np.testing.assert_allclose(np.stack([f.keypoints for f in done]), 40, atol=1e-3)


# --- causal ones ---------------------------------------------------------------------------------


def test_one_euro_is_the_published_recursion() -> None:
    """Casiez et al. 2012, algorithm 1 of the paper, on one coordinate at unequal times."""
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.uniform(0.02, 0.06, 80))
    values = rng.normal(100, 20, 80).cumsum()
    places = np.stack([values, np.zeros(80)], 1)[:, None]
    frames = [f.replace(time=t) for f, t in zip(sequence(places), times, strict=True)]
    found = nose(smooth(frames, "one-euro:min_cutoff=0.7,beta=0.02", gap=0))[:, 0]

    def weight(cutoff: float, step: float) -> float:
        return 1 / (1 + (1 / (2 * np.pi * cutoff)) / step)

    place, speed = values[0], 0.0
    expected = [place]
    for i in range(1, 80):
        step = times[i] - times[i - 1]
        share = weight(1.0, step)
        speed = share * (values[i] - place) / step + (1 - share) * speed
        share = weight(0.7 + 0.02 * abs(speed), step)
        place = share * values[i] + (1 - share) * place
        expected.append(place)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("method", CAUSAL)
def test_causal_results_leave_at_once_and_know_no_future(method: str) -> None:
    rng = np.random.default_rng(3)
    frames = sequence(line(60) + rng.normal(0, 2, (60, 1, 2)))
    stage = create_smoother(method, gap=0)
    stream = [ready for frame in frames[:40] for ready in stage.push(frame)]
    assert len(stream) == 40
    np.testing.assert_array_equal(nose(stream), nose(smooth(frames, method, gap=0))[:40])


def test_a_lag_holds_so_many_frames_and_no_more() -> None:
    stage = create_smoother("kalman:lag=0.1", gap=0.2)
    behind = []
    for number, frame in enumerate(sequence(line(200))):
        behind += [number - ready.frame for ready in stage.push(frame)]
    assert max(behind) <= 11 and min(behind) == max(behind)  # 0.3 s and what roundings cost
    assert len(stage.finish()) == 200 - len(behind)


@pytest.mark.parametrize("cutoff", [3.0, 6.0])
def test_kalman_halves_its_cutoff_at_every_frame_rate(cutoff: float) -> None:
    for fps in (30, 90):
        t = np.arange(4 * fps) / fps
        wave = 100 * np.sin(2 * np.pi * cutoff * t)[:, None, None].repeat(2, 2)
        done = nose(smooth(sequence(wave, fps=fps), f"kalman:{cutoff},lag=0.5", fps=fps))
        middle = slice(fps, 3 * fps)
        share = (done[middle, 0] * wave[middle, 0, 0]).sum() / np.square(wave[middle, 0, 0]).sum()
        assert share == pytest.approx(0.5, abs=0.05)


def test_kalman_is_the_least_squares_solution() -> None:
    """With lag over everything: the minimum of misses and pushes, solved as one linear system."""
    rng = np.random.default_rng(4)
    times = np.cumsum(rng.uniform(0.02, 0.05, 25))
    values = rng.normal(0, 3, 25) + 40 * times
    places = np.stack([values, values], 1)[:, None]
    frames = [f.replace(time=t) for f, t in zip(sequence(places), times, strict=True)]
    found = nose(smooth(frames, "kalman:4,lag=10", gap=0))[:, 0]
    push = (2 * np.pi * 4) ** 4
    steps = np.diff(times, prepend=times[0] - 1 / 30)
    rows, right = [], []

    def add(row: np.ndarray, value: float) -> None:
        rows.append(row)
        right.append(value)

    for i, step in enumerate(steps):
        place, speed = np.eye(50)[2 * i], np.eye(50)[2 * i + 1]
        add(place * np.sqrt(step), values[i] * np.sqrt(step))
        if i == 0:
            add(speed / np.sqrt(10 / step**3), 0.0)
            continue
        before, slow = np.eye(50)[2 * i - 2], np.eye(50)[2 * i - 1]
        noise = push * np.array([[step**3 / 3, step**2 / 2], [step**2 / 2, step]])
        scale = np.linalg.inv(np.linalg.cholesky(noise))
        for row in scale @ np.stack([place - before - step * slow, speed - slow]):
            add(row, 0.0)
    best = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0][::2]
    np.testing.assert_allclose(found, best, rtol=1e-4, atol=1e-3)


# --- blocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["butterworth", "butterworth:0.5,order=8", "savgol:31"])
def test_blocks_equal_the_whole_sequence(method: str) -> None:
    rng = np.random.default_rng(5)
    places = 300 + rng.normal(0, 5, (2300, 1, 2)).cumsum(0)
    stage = create_smoother(method, gap=0.2)
    most, done = 0, 0
    found: Sequence = []
    for number, frame in enumerate(sequence(places), 1):
        found += stage.push(frame)
        done = len(found)
        most = max(most, number - done)
    found += stage.finish()
    name, _, _ = method.partition(":")
    options = parse_smoothing(method).settings
    whole = (
        savgol(places[:, 0], int(options["window"]), 2)
        if name == "savgol"
        else butterworth(places[:, 0], 30, options["cutoff"], int(options["order"]))
    )
    np.testing.assert_allclose(nose(found), whole, atol=2e-3)
    assert most < 1500


def test_unequal_times_are_interpolated() -> None:
    rng = np.random.default_rng(6)
    times = np.cumsum(rng.choice([1, 2], 300) / 30)
    wave = 300 + 40 * np.sin(2 * np.pi * 0.5 * times)
    noisy = wave + rng.normal(0, 2, 300)
    frames = sequence(np.stack([noisy, noisy], 1)[:, None])
    frames = [f.replace(time=t) for f, t in zip(frames, times, strict=True)]
    done = nose(smooth(frames, "butterworth:3", fps=30))[20:-20, 0]
    assert np.sqrt(np.square(done - wave[20:-20]).mean()) < 1.5


def test_a_cutoff_above_what_the_frames_hold_leaves_them_and_says_so() -> None:
    stage = create_smoother("butterworth:6")
    frames = sequence(np.random.default_rng(7).normal(0, 9, (50, 1, 2)), fps=10)
    np.testing.assert_array_equal(nose(smoothed(frames, stage)), nose(frames))
    (note,) = stage.notes
    assert "6 Hz" in note and "lower" in note


# --- gaps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, *METHODS])
def test_a_short_absence_is_filled_on_the_line(method: str | None) -> None:
    frames = sequence(np.concatenate([line(60), 400 - line(60)], 1), ids=(4, 2))
    done = smooth(without(frames, range(20, 25)), method, gap=0.2)
    for number, (before, after) in enumerate(zip(frames, done, strict=True)):
        away = 20 <= number < 25
        assert after.ids.tolist() == ([2, 4] if away else [4, 2])
        assert (after.scores[after.ids == 4] == (FILLED if away else 1)).all()
        if method is None:
            truth = before.keypoints[before.ids.argsort()]
            np.testing.assert_allclose(after.keypoints[after.ids.argsort()], truth, atol=1e-3)
    assert 0 < FILLED < 0.3


@pytest.mark.parametrize(
    ("missing", "gap"),
    [(range(20, 26), 0.2), (range(5), 0.2), (range(55, 60), 0.2), (range(20, 22), 0)],
)
def test_long_absences_and_ends_stay_empty(missing: range, gap: float) -> None:
    frames = without(sequence(line(60)), missing)
    done = smooth(frames, None, gap=gap)
    assert [len(f) for f in done] == [int(i not in missing) for i in range(60)]


@pytest.mark.parametrize("method", METHODS)
def test_a_long_absence_splits_a_track(method: str) -> None:
    """What was before the absence has no influence on what comes after it."""
    rng = np.random.default_rng(8)
    places = line(80) + rng.normal(0, 3, (80, 1, 2))
    other = places.copy()
    other[:30] += 500
    away = range(30, 45)
    one, two = (smooth(without(sequence(p), away), method)[45:] for p in (places, other))
    np.testing.assert_array_equal(nose(one), nose(two))


@settings(max_examples=12, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), max_size=20), st.floats(0, 0.5))
def test_filling_adds_between_sights_only(there: list[list[bool]], gap: float) -> None:
    frames = sequence(np.tile(line(len(there)), (1, 3, 1)), ids=(1, 2, 3))
    frames = [f.replace(people=f.people[np.array(t)]) for f, t in zip(frames, there, strict=True)]
    done = smooth(frames, None, gap=gap)
    assert len(done) == len(frames)
    for person in (1, 2, 3):
        seen = [i for i, f in enumerate(frames) if person in f.ids]
        expected = set(seen)
        for a, b in pairwise(seen):
            if (b - a) / 30 <= gap + 1e-6:
                expected |= set(range(a, b))
        assert {i for i, f in enumerate(done) if person in f.ids} == expected


# --- what is asked for ---------------------------------------------------------------------------


def test_settings_are_read() -> None:
    assert parse_smoothing("butterworth").settings == {"cutoff": 6.0, "order": 4}
    assert parse_smoothing("butterworth:4, order=2").settings == {"cutoff": 4.0, "order": 2.0}
    assert parse_smoothing("one-euro:beta=0.5").settings == {"min_cutoff": 1.0, "beta": 0.5}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("one-uero", "'one-euro'"),
        ("butterworth:cutof=3", "'cutoff'"),
        ("butterworth:order=3", "2, 4"),
        ("savgol:window=8", "odd"),
        ("savgol:window=3,order=4", "below"),
        ("kalman:lag=x", "number"),
        ("kalman:lag=nan", "number"),
        ("kalman:1,2,3", "no setting"),
        ("", "known"),
    ],
)
def test_mistakes_are_one_line(text: str, word: str) -> None:
    with pytest.raises(UsageError, match=word) as caught:
        parse_smoothing(text)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_done_says_what_to_do() -> None:
    for method in ("butterworth", "savgol"):
        with pytest.raises(UsageError, match="one-euro or kalman"):
            create_smoother(method, live=True)
        with pytest.raises(UsageError, match="without images and video"):
            create_smoother(method, pictures=True)
    with pytest.raises(UsageError, match="cannot be kept"):
        create_smoother("kalman:lag=5", pictures=True)
    for gap in (-1, 11, float("nan")):
        with pytest.raises(UsageError, match="gap"):
            create_smoother(gap=gap)
    with pytest.raises(UsageError, match="fps"):
        create_smoother("one-euro", fps=0)
    assert create_smoother("one-euro", live=True).push(sequence(line(1))[0])  # nothing is held back


@pytest.mark.parametrize("joints", [1, 26, 133, 165])
@pytest.mark.parametrize("method", METHODS)
def test_any_number_of_joints_is_smoothed_joint_by_joint(method: str, joints: int) -> None:
    """What one joint of K becomes does not depend on K, also beside joints that are never seen."""
    rng = np.random.default_rng(1)
    places = rng.normal(200, 5, (40, 1, joints, 2)).astype(np.float32)
    skeleton = Skeleton("any", tuple(f"j{i}" for i in range(joints)))
    scores = np.full((1, joints), 0.9, np.float32)
    scores[:, 1::2] = 0  # as those of hands that are not seen
    frames = [
        Result(People.of(None, None, p, scores, [1]), skeleton, (640, 480), "a.mp4", i, i / 30)
        for i, p in enumerate(places)
    ]
    alone = [
        f.replace(
            people=f.people.replace(keypoints=f.keypoints[:, :1], scores=f.scores[:, :1]),
            skeleton=Skeleton("one", ("j0",)),
        )
        for f in frames
    ]
    found, single = smooth(frames, method), smooth(alone, method)
    np.testing.assert_allclose(nose(found), nose(single), atol=1e-4)
    assert np.ptp(nose(found), 0).max() < np.ptp(nose(frames), 0).max()
    assert all((f.scores[:, 1::2] == 0).all() for f in found)
