"""estimate() and Pipeline: one inference path, for an image and for a day of video."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from posewright.errors import UsageError, not_finite
from posewright.people import Frame, People, Status
from posewright.pipeline.estimate import (
    Boxes,
    Detectors,
    Faults,
    Spread,
    estimate_all,
    find_people,
    is_network,
)
from posewright.pipeline.parts import Parts
from posewright.results import Result
from posewright.runtimes import Model
from posewright.runtimes.expected_oks import ExpectedOKS
from posewright.skeletons import Skeleton
from posewright.trackers import Tracker
from posewright.trackers.sequences import PerSequence

__all__ = ["Pipeline", "Records", "Refine"]


class Refine(Protocol):
    """Refines the joints of the people of a frame with a network."""

    @property
    def model(self) -> Model:
        """The network."""

    def refined(self, frame: Frame, people: People) -> tuple[People, int]:
        """Return the people, and how many keep their joints because outputs are not finite."""


class Records(Protocol):
    """What the networks found in frames of an earlier run, and in those of this one."""

    def known(self, frames: Sequence[Frame]) -> list[tuple[People, Status, str]] | None:
        """Return people, status and message of each frame of a window; None for a new window."""

    def add(self, frames: Sequence[Frame], results: Sequence[Result]) -> None:
        """Record the results of a window, in order, before anything else is done with them."""


@dataclass
class Pipeline:
    """Detector, pose model, duplicate removal and tracker over a run of frames.

    model: the pose model.  detector: a model whose codec yields boxes, several, a source of Boxes,
    or None for a model that finds people by itself.  nms: People -> People.  tracker: called on
    every frame that could be read, also when it is empty, and reset at the start of every further
    sequence.  flip: average with mirrored views.
    min_score: people whose mean joint score is lower are dropped.  det_every: run the detector on
    every n-th frame only and follow the tracker's boxes in between.  refine: refines the joints of
    the people that are kept.  rescore: multiplies their scores by the OKS that a network expects.
    parts: adds their hands and faces.  estimate: how the model is run on
    people; `crowd.estimate_all` assigns joints among those who overlap,
    `averaging.estimate_all` averages several views of each.  threads: frames processed
    at once, one core each.  window: frames per work item.  keep_images: results carry pixels.
    header: what results state of the run, see Result.run.  records: takes what the networks found
    in each window, and takes their place in windows that it knows.

    Memory is bounded: at most (threads + 1) * window frames are held, whatever the source's length.
    """

    model: Model
    detector: Model | Detectors | Boxes | None = None
    nms: Callable[[People], People] | None = None
    rescore: ExpectedOKS | None = None
    refine: Refine | None = None
    parts: Parts | None = None
    tracker: Tracker | None = None
    flip: bool = False
    min_score: float = 0.0
    max_people: int = 0
    det_every: int = 1
    threads: int = 0
    window: int = 1
    batch: int = 4
    keep_images: bool = False
    estimate: Callable[..., list[People]] = estimate_all
    header: Mapping[str, Any] = field(default_factory=dict)
    records: Records | None = None

    def __post_init__(self) -> None:
        self.threads = self.threads or os.cpu_count() or 1
        if self.det_every < 1:
            raise UsageError(f"det_every must be at least 1, not {self.det_every}")
        if self.det_every > 1 and self.tracker is None:
            raise UsageError("det_every needs a tracker, whose boxes replace detections in between")
        if self.det_every > 1 and self.detector is None:
            raise UsageError("det_every needs a detector; this model finds people by itself")
        if self.tracker is not None:
            self.tracker = PerSequence(self.tracker)

    @property
    def skeleton(self) -> Skeleton:
        """The joints of the results: those of the model, and of hands and faces."""
        return self.model.skeleton if self.parts is None else self.parts.skeleton

    def run(self, frames: Iterable[Frame]) -> Iterator[Result]:
        """Yield a result for each frame, in order; frames that could not be read pass through."""
        with ThreadPoolExecutor(self.threads, "posewright") as pool:
            try:
                if self.det_every > 1:
                    yield from self._follow(frames, pool)
                else:
                    yield from self._stream(frames, pool)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _stream(self, frames: Iterable[Frame], pool: ThreadPoolExecutor) -> Iterator[Result]:
        """Keep every thread busy with a window of frames of its own; results leave in order."""
        pending: deque[tuple[list[Frame], Future[list[Result]], bool]] = deque()
        try:
            for window in _windows(frames, self.window):
                found = self._known(window)
                if found:
                    future = pool.submit(self._repeated, window, found)
                else:
                    future = pool.submit(self._window, window)
                pending.append((window, future, not found))
                while pending and (len(pending) > self.threads or pending[0][1].done()):
                    yield from self._finish(*pending.popleft())
            while pending:
                yield from self._finish(*pending.popleft())
        finally:
            # Python takes a thread for ended when Ctrl-C interrupts the wait for its end, and
            # aborts when it then still computes at exit; so what computes is waited for here.
            for _, future, _ in pending:
                future.cancel()
            wait([future for _, future, _ in pending])

    def _follow(self, frames: Iterable[Frame], pool: ThreadPoolExecutor) -> Iterator[Result]:
        """Frame by frame, as a frame's boxes come from the tracker; people spread over threads."""
        assert isinstance(self.tracker, PerSequence)
        number = 0
        for frame in frames:
            known = None
            if frame.status == "ok":
                number = 0 if self.tracker.enter(frame) else number
                known = self.tracker.predict(frame) if number % self.det_every else None
                number += 1
            found = self._known([frame])
            if found:
                results = self._repeated([frame], found, [known])
            else:
                results = self._window([frame], [known], pool.map)
            yield from self._finish([frame], results, not found)

    def _finish(
        self, window: list[Frame], results: list[Result] | Future[list[Result]], new: bool
    ) -> Iterator[Result]:
        """Yield the results of a window with identities, once they are recorded."""
        results = results.result() if isinstance(results, Future) else results
        if new and self.records is not None:
            self.records.add(window, results)
        for frame, result in zip(window, results, strict=True):
            yield self._track(frame, result)

    def _known(self, window: list[Frame]) -> list[tuple[People, Status, str]] | None:
        return None if self.records is None else self.records.known(window)

    def _repeated(
        self,
        window: Sequence[Frame],
        found: list[tuple[People, Status, str]],
        boxes: Sequence[People | None] | None = None,
    ) -> list[Result]:
        """Return the results of a window of an earlier run without running a network."""
        if not is_network(self.detector):  # a file of boxes reports which of them were used
            for frame, known in zip(window, boxes or [None] * len(window), strict=True):
                if frame.status == "ok" and known is None:
                    find_people(self.detector, [frame])
        return [
            self._result(frame, people, {}).replace(status=status, message=message)
            for frame, (people, status, message) in zip(window, found, strict=True)
        ]

    def _track(self, frame: Frame, result: Result) -> Result:
        if self.tracker is None or result.status != "ok":
            return result
        assert isinstance(self.tracker, PerSequence)
        start = time.perf_counter()
        people = self.tracker(frame, result.people)
        spent = {**result.speed, "track": 1000 * (time.perf_counter() - start)}
        message = "; ".join(filter(None, (result.message, self.tracker.trouble)))
        return result.replace(people=people, speed=spent, message=message)

    def _window(
        self,
        window: Sequence[Frame],
        boxes: Sequence[People | None] | None = None,
        spread: Spread = map,
    ) -> list[Result]:
        """Detect and estimate on a few frames; `boxes` are those known already."""
        good = [i for i, frame in enumerate(window) if frame.status == "ok"]
        frames = [window[i] for i in good]
        start = time.perf_counter()
        known = [boxes[i] for i in good] if boxes is not None else [None] * len(good)
        missed, failed = Faults(), Faults()
        found = self._find(frames, known, spread, missed)
        middle = time.perf_counter()
        people = self.estimate(
            self.model,
            frames,
            found,
            flip=self.flip,
            batch=self.batch,
            spread=spread,
            faults=failed,
        )
        everybody, people = people, [self._clean(p) for p in people]
        kept = [0] * len(people)
        if self.refine is not None:
            moved = [self.refine.refined(f, p) for f, p in zip(frames, people, strict=True)]
            people, kept = [p for p, _ in moved], [count for _, count in moved]
        blind: dict[str, Faults] = {}
        if self.parts is not None:
            people, blind = self.parts(frames, people, spread)
        states = [
            self._state((missed[i], failed[i], kept[i]), {n: f[i] for n, f in blind.items()}, p)
            for i, p in enumerate(everybody)
        ]
        end = time.perf_counter()
        each = 1000 / max(len(frames), 1)
        speed = {"detect": (middle - start) * each, "pose": (end - middle) * each}
        results = [self._result(frame, People.empty(self.skeleton), {}) for frame in window]
        for i, p, (status, message) in zip(good, people, states, strict=True):
            result = self._result(window[i], p, speed)
            results[i] = result.replace(status=status, message=message) if message else result
        return results

    def _state(
        self, counts: Sequence[int], blind: Mapping[str, int], people: People
    ) -> tuple[Status, str]:
        """Return status and message of a frame by the views whose outputs are not finite.

        counts: of the detector, the pose model and the refiner.  blind: of those of parts, by name.
        Where nobody is left, nothing is known of the frame: "model_error" in place of nobody.
        """
        models: Any = (self.detector, self.model, self.refine and self.refine.model)
        told = list(zip(models, counts, strict=True))
        if self.parts is not None:
            told += [(self.parts.networks[name], count) for name, count in blind.items()]
        message = not_finite((model.info.name, count) for model, count in told if count)
        return "model_error" if message and not len(people) else "ok", message

    def _find(
        self, frames: list[Frame], known: Sequence[People | None], spread: Spread, faults: Faults
    ) -> list[People] | None:
        """Return the boxes of each frame; None where the pose model finds people by itself."""
        rows = [i for i, k in enumerate(known) if k is None]
        counted = Faults()
        found = find_people(self.detector, [frames[i] for i in rows], spread, counted)
        faults.update({rows[i]: count for i, count in counted.items()})
        if found is None:
            return None
        fresh = iter(found)
        people = [next(fresh) if k is None else k for k in known]
        if self.max_people:
            best = (np.argsort(-p.box_scores, kind="stable") for p in people)
            people = [p[b[: self.max_people]] for p, b in zip(people, best, strict=True)]
        return people

    def _clean(self, people: People) -> People:
        """Drop the unlikely, then the duplicates; the others are ranked anew where asked for."""
        if len(people) and self.min_score > 0:
            people = people[people.pose_scores >= self.min_score]
        people = self.nms(people) if self.nms and len(people) else people
        return people if self.rescore is None else self.rescore.rescored(people)

    def _result(self, frame: Frame, people: People, speed: dict[str, float]) -> Result:
        image = frame.image if self.keep_images and frame.status == "ok" else None
        return Result(
            people,
            self.skeleton,
            frame.size,
            frame.name,
            frame.index,
            frame.time,
            frame.status,
            frame.message,
            speed,
            image,
            frame.sequence,
            frame.pixel_aspect,
            self.header,
        )


def _windows(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """Cut a run of frames into lists of `size`; the last may be shorter."""
    window: list[Frame] = []
    for frame in frames:
        window.append(frame)
        if len(window) == size:
            yield window
            window = []
    if window:
        yield window
