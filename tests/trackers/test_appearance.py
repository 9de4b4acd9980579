"""AppearanceTracker with a stand-in for the network, that is told who everybody is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.errors import UsageError
from posewright.people import Frame, People
from posewright.skeletons import COCO17, Skeleton
from posewright.trackers import AppearanceTracker, create_tracker
from posewright.trackers.appearance import Tracks, likeness, merged
from posewright.trackers.tracks import BoxTracks

BLANK = np.zeros((0, 0, 3), np.uint8)
BOX = np.array([-40.0, -100.0, 40.0, 100.0])
A, B, C = (100.0, 300.0), (250.0, 300.0), (700.0, 300.0)
YES = np.array([False])  # of `followed`: the boxes were seen


class Looks:
    """Features of whoever `who` says is seen: 16 people, each unlike all others; -1 is unknown."""

    def __init__(self) -> None:
        self.who: Sequence[int] = ()

    def __call__(self, frame: Frame, people: People) -> np.ndarray:
        features = np.vstack([np.eye(16), np.zeros(16)])  # the last row is of -1
        return features[np.array(self.who, int)].astype(np.float32).reshape(len(people), 16)


class Scene:
    """A tracker, called with places of boxes of 80 x 200 px and who stands there."""

    def __init__(self, fps: float = 30.0, buffer: float | None = None) -> None:
        self.looks = Looks()
        self.track = create_tracker(
            "appearance", skeleton=COCO17, fps=fps, buffer=buffer, embed=self.looks
        )

    def __call__(
        self, index: int, people: dict[int, tuple[float, float]], score: float = 0.9
    ) -> list[int]:
        self.looks.who = list(people)
        return self.track(at(index), crowd(*people.values(), score=score)).ids.tolist()


def at(index: int) -> Frame:
    return Frame(BLANK, index, index / 30)


def crowd(*places: tuple[float, float], score: float = 0.9) -> People:
    middle = np.array(places, float).reshape(-1, 2)
    return People.of(BOX + np.tile(middle, 2), np.full(len(middle), score))


# --- looks and motion ----------------------------------------------------------------------------


def test_two_who_change_places_while_hidden_keep_their_ids() -> None:
    """Motion says otherwise: each is exactly where the other was."""
    scene = Scene()
    plain = create_tracker("bytetrack", skeleton=COCO17)
    for n in range(10):
        assert scene(n, {0: A, 1: B}) == [1, 2]
        plain(at(n), crowd(A, B))
    for n in range(10, 25):
        assert scene(n, {}) == []
        plain(at(n), crowd())
    assert scene(25, {0: B, 1: A}) == [1, 2]
    assert plain(at(25), crowd(B, A)).ids.tolist() == [2, 1]


def test_nobody_is_looked_for_out_of_reach() -> None:
    scene, other = Scene(), Scene()
    for n in range(10):
        assert scene(n, {0: A}) == other(n, {0: A}) == [1]
    assert scene(10, {0: (120, 300)}) == [1]
    assert other(10, {0: (220, 300)}) == [-1]
    assert other(11, {0: (220, 300)}) == [2]


def test_the_reach_by_hand() -> None:
    """At rest, 200 px high: the noise of a measurement and of the state, added."""
    tracks = BoxTracks.start(crowd(A)).moved(1)
    known, moving, drift, noise = 20.0, 12.5, 10.0, 10.0  # px: h / 10, h / 16, h / 20, h / 20
    variance = known**2 + moving**2 + drift**2 + noise**2
    assert tracks.distances(crowd((150, 300)).boxes)[0, 0] == pytest.approx(50**2 / variance)
    assert tracks.distances(crowd((150, 340)).boxes)[0, 0] == pytest.approx(4100 / variance)
    taller = crowd(A).boxes + np.array([0, -20, 0, 20], np.float32)
    aspect = (80 / 240 - 0.4) ** 2 / (0.01**2 + 1e-10 + 0.01**2 + 0.1**2)
    assert tracks.distances(taller)[0, 0] == pytest.approx(40**2 / variance + aspect, rel=1e-4)
    assert tracks.distances(np.zeros((0, 4), np.float32)).shape == (0, 1)


def test_looks_and_reach_are_weighed() -> None:
    tracks = Tracks.start(crowd(A), np.array([[1, 0]], np.float32)).moved(1)
    seen, looks = crowd((130, 300)), np.array([[0.8, 0.6]], np.float32)
    reach = tracks.boxes.distances(seen.boxes)[0, 0]
    assert reach < 9.4877
    assert likeness(seen, looks, tracks)[0, 0] == pytest.approx(1 - 0.98 * 0.2 - 0.02 * reach)
    assert likeness(crowd((300, 300)), looks, tracks)[0, 0] == -1  # out of reach


@pytest.mark.parametrize(("cosine", "same"), [(0.31, True), (0.28, False)])
def test_how_alike_a_match_is(cosine: float, same: bool) -> None:
    """0.98 (1 - cosine) + nothing is 0.676 and 0.706; 0.7 is the limit."""
    other = cosine, np.sqrt(1 - cosine**2)

    def embed(frame: Frame, people: People) -> np.ndarray:
        return np.array([(1, 0) if frame.index < 2 else other] * len(people), np.float32)

    track = AppearanceTracker(COCO17, embed=embed)
    for n, people in enumerate([crowd(A), crowd(A), crowd()]):
        track(at(n), people)
    # overlap counts only of who was just there
    assert (track(at(3), crowd(A)).ids.tolist() == [1]) == same


def test_features_are_a_mean_that_follows_slowly() -> None:
    tracks = Tracks.start(crowd(A), np.array([[1, 0]], np.float32)).moved(1)
    tracks = tracks.seen(crowd(A), np.array([[0, 1]], np.float32), YES)
    mean = np.array([0.9, 0.1])
    np.testing.assert_allclose(tracks.looks[0], mean / np.linalg.norm(mean), rtol=1e-6)
    unknown = tracks.moved(1).seen(crowd(A), np.zeros((1, 2), np.float32), YES)
    np.testing.assert_allclose(unknown.looks, tracks.looks, rtol=1e-6)
    first = Tracks.start(crowd(A), np.zeros((1, 2), np.float32)).moved(1)
    first = first.seen(crowd(A), np.array([[0, 1]], np.float32), YES)
    np.testing.assert_allclose(first.looks, [[0, 1]])


# --- the other rounds ----------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "same"), [(25, True), (30, False)])
def test_overlap_continues_who_looks_different(step: float, same: bool) -> None:
    """A step of s px leaves an overlap of (80 - s) / (80 + s): 0.5 is asked."""
    scene = Scene()
    scene(0, {0: A})
    scene(1, {0: A})
    assert scene(2, {1: (100 + step, 300)}) == [1 if same else -1]


def test_overlap_alone_finds_nobody_again() -> None:
    scene = Scene()
    for n in range(3):
        scene(n, {0: A})
    scene(3, {})
    assert scene(4, {1: A}) == [-1]  # somebody else, where the first was
    assert scene(5, {1: A, 0: (110, 300)}) == [2, 1]


def test_an_id_from_the_second_frame() -> None:
    scene = Scene()
    assert scene(0, {0: A}) == [1]  # in a source's first frame at once
    assert scene(1, {0: A, 1: C}) == [1, -1]
    assert scene(2, {0: A, 1: C}) == [1, 2]
    assert scene(3, {0: A, 1: C, 2: (400, 300)}) == [1, 2, -1]
    assert scene(4, {0: A, 1: C}) == [1, 2]  # the third was there once and is forgotten
    assert scene(5, {0: A, 1: C, 2: (400, 300)}) == [1, 2, -1]
    assert scene(6, {0: A, 1: C, 2: (440, 300)}) == [1, 2, 3]  # 0.33 of overlap


def test_the_second_sight_is_by_overlap_not_by_looks() -> None:
    scene = Scene()
    scene(0, {0: A})
    assert scene(1, {0: A, 1: C}) == [1, -1]
    assert scene(2, {0: A, 1: (C[0] + 50, 300)}) == [1, -1]  # 0.23 of overlap


@pytest.mark.parametrize(("score", "started"), [(0.49, False), (0.51, True)])
def test_scores_that_start_a_track(score: float, started: bool) -> None:
    assert Scene()(0, {0: A}, score) == [1 if started else -1]


def test_any_score_continues_one() -> None:
    scene = Scene()
    scene(0, {0: A})
    assert scene(1, {0: A}, 0.05) == [1]


# --- one person, two tracks ----------------------------------------------------------------------


def long_ago(looks: int, lasted: float, away: float, person: int) -> Tracks:
    """A track at A."""
    tracks = Tracks.start(
        crowd(A).replace(ids=np.array([person])), np.eye(3, dtype=np.float32)[[looks]]
    )
    boxes = BoxTracks(tracks.boxes.people, tracks.boxes.state, np.array([away]))
    return Tracks(boxes, tracks.looks, np.array([lasted]))


def test_the_longer_identity_stays() -> None:
    now, lost = merged(long_ago(0, 5, 0, 7), long_ago(0, 50, 10, 3))
    assert now.ids.tolist() == [3] and now.lasted.tolist() == [60] and not len(lost.lasted)
    now, lost = merged(long_ago(0, 5, 0, 7), long_ago(0, 2, 10, 3))
    assert now.ids.tolist() == [7] and now.lasted.tolist() == [5] and not len(lost.lasted)


@pytest.mark.parametrize(
    "other",
    [long_ago(1, 50, 10, 3), long_ago(0, 50, 4, 3)],
    ids=["looks different", "was seen beside this one"],
)
def test_two_people_stay_two(other: Tracks) -> None:
    now, lost = merged(long_ago(0, 5, 0, 7), other)
    assert now.ids.tolist() == [7] and lost.ids.tolist() == [3]


def test_tracks_at_two_places_stay_two() -> None:
    other = long_ago(0, 50, 10, 3)
    people = crowd((107, 300)).replace(ids=np.array([3]))  # 0.84 of overlap
    moved = Tracks(
        BoxTracks(people, other.boxes.state, other.boxes.away), other.looks, other.lasted
    )
    assert len(merged(long_ago(0, 5, 0, 7), moved)[1].lasted) == 1


def test_who_was_not_recognised_at_first_is_the_same_again() -> None:
    """Seen from behind, A is somebody new for some frames; then the looks come back."""
    scene = Scene()
    for n in range(20):
        assert scene(n, {0: A}) == [1]
    scene(20, {})
    assert [scene(n, {5: A})[0] for n in range(21, 25)] == [-1, 2, 2, 2]
    names = [scene(n, {0: A})[0] for n in range(25, 45)]
    assert names[-1] == 1 and set(names) <= {1, 2}


def test_whoever_passes_behind_somebody_is_not_that_one() -> None:
    scene = Scene()
    for n in range(61):
        there, back = (100 + 10.0 * n, 300.0), (700 - 10.0 * n, 306.0)
        shown = {0: there} if 28 <= n < 33 else {0: there, 1: back}
        assert scene(n, shown) == [1, 2][: len(shown)]


# --- the contract --------------------------------------------------------------------------------


def test_a_camera_cut_and_back() -> None:
    scene = Scene()
    for n in range(20):
        assert scene(n, {0: A, 1: C}) == [1, 2]
    cut = [scene(n, {2: (900, 340), 3: (1200, 280)}) for n in range(20, 40)]
    assert cut == [[-1, -1]] + [[3, 4]] * 19
    assert scene(40, {1: C, 0: A}) == [2, 1]


@pytest.mark.parametrize(
    ("buffer", "away", "same"),
    [(None, 230, True), (None, 250, False), (1.0, 28, True), (1.0, 31, False)],
)
def test_the_buffer(buffer: float | None, away: int, same: bool) -> None:
    """8 s, as AlphaPose's 240 frames of 30 a second, unless told otherwise."""
    scene = Scene(buffer=buffer)
    for n in range(3):
        scene(n, {0: A, 1: C})
    for n in range(3, 3 + away):
        scene(n, {1: C})
    assert scene(3 + away, {0: A, 1: C}) == [1 if same else -1, 2]


def test_same_people_same_order() -> None:
    rng, looks = np.random.default_rng(0), Looks()
    looks.who = [0, 1, 2]
    points, scores = rng.uniform(0, 500, (3, 17, 2)), rng.random((3, 17))
    people = People.of(crowd(A, B, C).boxes, [0.9, 0.05, 0.8], points, scores)
    result = create_tracker("appearance", skeleton=COCO17, embed=looks)(at(0), people)
    assert result.ids.tolist() == [1, -1, 2] and people.ids.tolist() == [-1] * 3
    for each in ("boxes", "box_scores", "keypoints", "scores"):
        np.testing.assert_array_equal(getattr(result, each), getattr(people, each))


def test_nobody_and_reset() -> None:
    scene = Scene()
    assert scene(0, {}) == [] and scene(1, {}) == []
    assert scene(2, {0: A}) == [-1] and scene(3, {0: A}) == [1]
    scene.track.reset()
    assert scene(0, {0: A}) == [2]
    assert len(scene.track.predict(at(1))) == 1
    scene.track.reset()
    assert len(scene.track.predict(at(0))) == 0


def test_detection_every_few_frames() -> None:
    """Boxes that were predicted from a track say nothing new of its motion."""
    scene, walk = Scene(), [(100.0 + 6 * n, 300.0) for n in range(60)]
    for n, place in enumerate(walk):
        if n % 4 == 0 or n < 4:
            assert scene(n, {0: place}) == [1]
            continue
        people = scene.track.predict(at(n))
        scene.looks.who = [0] * len(people)
        assert scene.track(at(n), people).ids.tolist() == [1]
    ahead = scene.track.predict(at(60)).boxes[0, [0, 2]].mean()
    assert ahead == pytest.approx(100 + 6 * 60, abs=12)


def test_what_cannot_be_meant() -> None:
    with pytest.raises(UsageError, match=r"--reid FILE.*models pull osnet_ain_x1_0-msmt17"):
        create_tracker("appearance", skeleton=COCO17)
    for options in ({"fps": 0.0}, {"buffer": -1.0}):
        with pytest.raises(UsageError, match="must be a positive number"):
            create_tracker("appearance", skeleton=COCO17, embed=Looks(), **options)
    looks = Looks()
    looks.who = [0]
    track = create_tracker("appearance", skeleton=Skeleton("two", ("a", "b")), embed=looks)
    with pytest.raises(UsageError, match="expects 2 joints, but people have 17"):
        track(at(0), People.of(keypoints=np.zeros((1, 17, 2))))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_ids_are_unique_and_boxes_finite(seed: int) -> None:
    rng, scene, highest = np.random.default_rng(seed), Scene(), 0
    for index in range(0, 60, 3):
        who = rng.choice(16, rng.integers(0, 5), replace=False)
        people = {int(w): tuple(rng.uniform(-1e3, 1e3, 2)) for w in who}
        named = [i for i in scene(index, people, float(rng.uniform(0.3, 1))) if i > 0]
        assert len(set(named)) == len(named) and all(i <= highest + len(named) for i in named)
        highest = max([highest, *named])
        ahead = scene.track.predict(at(index + 3))
        assert np.isfinite(ahead.boxes).all() and (ahead.boxes[:, 2:] > ahead.boxes[:, :2]).all()
