"""Scripted scenes that say who is who, and the count of what a tracker gets wrong in them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from posewright.errors import PosewrightError
from posewright.metrics.hota import Hota
from posewright.metrics.tracking import Tally
from posewright.people import Frame, People
from posewright.skeletons import COCO17
from posewright.trackers import Tracker, create_tracker

BLANK = np.zeros((0, 0, 3), np.uint8)
FPS = 25

Names = NDArray[np.int64]
Scene = Iterable[tuple[Frame, People, Names]]  # who each person is: -1 for nobody
Script = list[dict[int, tuple[float, float]]]  # of each frame, the places of people by name

POSE = np.array(
    [
        (0, -90),
        (-5, -95),
        (5, -95),
        (-10, -92),
        (10, -92),
        (-22, -65),
        (22, -65),
        (-30, -30),
        (30, -30),
        (-32, 0),
        (32, 0),
        (-15, 0),
        (15, 0),
        (-16, 45),
        (16, 45),
        (-16, 90),
        (16, 90),
    ]
)  # a standing person of 185 px round the middle of the hips
BOX = np.array([-40, -108, 40, 105])


@dataclass
class Outcome:
    """What a tracker made of some scenes.

    shown: people handed in, false ones aside.  nameless: of them, without an id.  wrong: changes of
    an id.  taken: sights under an id that belongs to somebody else.
    """

    counts: Tally = field(default_factory=Tally)
    hota: Hota = field(default_factory=Hota)
    shown: int = 0
    nameless: int = 0
    wrong: int = 0
    taken: int = 0
    seconds: float = 0.0
    frames: int = 0


class Looks:
    """Stands in for a network that tells people apart: it is told who everybody is.

    Two sights of one person are 0.2 apart (cosine distance) on average, those of two people 0.6;
    false people look like nobody.  The numbers are invented: with them the appearance tracker shows
    what it makes of good features, not what a network is worth.
    """

    def __init__(self, seed: int) -> None:
        self.who = np.zeros(0, np.int64)
        self._rng = np.random.default_rng(seed)
        self._anybody = self._unit()
        self._people: dict[int, NDArray[np.float64]] = {}

    def __call__(self, frame: Frame, people: People) -> NDArray[np.float32]:
        """Return (N, 256) features of length 1."""
        if not len(people):
            return np.zeros((0, 256), np.float32)
        features = np.stack([self._sight(name) for name in self.who.tolist()])
        return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)

    def _sight(self, name: int) -> NDArray[np.float64]:
        own = self._people.setdefault(name, self._unit()) if name >= 0 else self._unit()
        return 0.4**0.5 * self._anybody + 0.4**0.5 * own + 0.2**0.5 * self._unit()

    def _unit(self) -> NDArray[np.float64]:
        vector = self._rng.normal(size=256)
        return vector / np.linalg.norm(vector)


def stand_in(tracker: str, seed: int) -> Looks | None:
    """Return features for the tracker that needs some."""
    return Looks(seed) if tracker == "appearance" else None


def title(tracker: str) -> str:
    """Return a tracker's name, and what it is told."""
    return f"{tracker} (told)" if tracker == "appearance" else tracker


def follow(
    tracker: Tracker, scene: Scene, into: Outcome, looks: Looks | None = None
) -> list[People]:
    """Track one scene and count who got a wrong id; return its people with their ids.

    looks: the tracker's features, which are told whom they see.
    """
    last: dict[int, int] = {}
    owner: dict[int, int] = {}
    results = []
    for frame, people, who in scene:
        if looks is not None:
            looks.who = who
        start = time.perf_counter()
        result = tracker(frame, people)
        into.seconds += time.perf_counter() - start
        into.frames += 1
        results.append(result)
        for person, name in zip(who.tolist(), result.ids.tolist(), strict=True):
            if person < 0:
                continue
            into.shown += 1
            into.nameless += name < 0
            if name > 0:
                into.wrong += last.get(person, name) != name
                into.taken += owner.setdefault(name, person) != person
                last[person] = name
    return results


def scene(script: Script, seed: int) -> Iterator[tuple[Frame, People, Names]]:
    """Yield the frames of a script: standing people, 2 px of jitter, in any order."""
    rng = np.random.default_rng(seed)
    for number, places in enumerate(script):
        who = rng.permutation(np.array(sorted(places), int))
        middle = np.array([places[name] for name in who.tolist()], float).reshape(-1, 2)
        points = POSE + middle[:, None] + rng.normal(0, 2, (len(who), 17, 2))
        boxes = BOX + np.tile(middle, 2) + rng.normal(0, 2, (len(who), 4))
        scores = np.full((len(who), 17), 0.9)
        people = People.of(boxes, np.full(len(who), 0.9), points, scores)
        yield Frame(BLANK, number, number / FPS), people, who


def scripts() -> dict[str, Script]:
    """Return the scenes by what happens in them; buffer and frame rate are 1 s and 25 a second."""
    a, b, c = (100.0, 300.0), (400.0, 300.0), (700.0, 300.0)
    walk = [(100.0 + 8 * n, 300.0) for n in range(60)]
    back = [(700.0 - 10 * n, 306.0) for n in range(60)]
    there = [(100.0 + 10 * n, 300.0) for n in range(60)]
    return {
        "leave": [{1: a, 2: b}] * 20 + [{2: b}] * 40,
        "enter": [{1: a}] * 20 + [{1: a, 2: b}] * 20 + [{1: a, 2: b, 3: c}] * 20,
        "one leaves, another enters": [{1: a, 2: b}] * 20 + [{2: b}] * 10 + [{2: b, 3: c}] * 30,
        "away for 0.8 s": [{1: a, 2: b}] * 20 + [{2: b}] * 20 + [{1: a, 2: b}] * 20,
        "cross": [{1: p, 2: q} for p, q in zip(there, back, strict=True)],
        "cross, one hidden": [
            {1: p} if 28 <= n < 33 else {1: p, 2: q}
            for n, (p, q) in enumerate(zip(there, back, strict=True))
        ],
        "walk on behind something, 0.6 s": [
            {2: c} if 25 <= n < 40 else {1: p, 2: c} for n, p in enumerate(walk)
        ],
        "meet and turn back": [
            {1: (100 + 9.0 * min(n, 60 - n), 300), 2: (680 - 9.0 * min(n, 60 - n), 300)}
            for n in range(60)
        ],
        "camera cut": [{1: a, 2: b}] * 20 + [{3: (900, 340), 4: (1200, 280)}] * 20,
        "cut and back within 0.8 s": (
            [{1: a, 2: b}] * 20 + [{3: (900, 340), 4: (1200, 280)}] * 20 + [{1: a, 2: b}] * 20
        ),
    }


def scenes_table(names: Sequence[str], seeds: int = 5) -> Iterator[list[str]]:
    """Yield the rows: sights with a wrong id, and in brackets those without any."""
    yield ["scene", *map(title, names)]
    for what, script in scripts().items():
        yield [what, *(_cell(name, script, seeds) for name in names)]


def _cell(name: str, script: Script, seeds: int) -> str:
    out = Outcome()
    try:
        for seed in range(seeds):
            looks = stand_in(name, seed)
            tracker = create_tracker(name, skeleton=COCO17, fps=FPS, embed=looks)
            follow(tracker, scene(script, seed), out, looks)
    except PosewrightError:
        return "needs images"
    return f"{out.wrong + out.taken} ({out.nameless}) of {out.shown}"
