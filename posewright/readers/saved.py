"""Saved poses as sequences, with new identities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from posewright.errors import UsageError
from posewright.people import Frame
from posewright.readers.results import is_jsonl, read_results
from posewright.results import Result
from posewright.smoothing.person import check_choice, choose
from posewright.sources.ranges import Choice, Range
from posewright.trackers import Tracker, create_tracker

__all__ = ["Saved"]


@dataclass(frozen=True)
class Saved:
    """The sequences of a file of poses, tracked as they are read; they can be read again.

    tracker: a name, or "none" to keep the identities of the file.  fps: rate of results without
    times.  span: the frames of each sequence that are kept.
    """

    path: Path
    tracker: str
    fps: float
    span: Range

    def sequences(self) -> Iterator[tuple[int, Iterator[Result]]]:
        """Yield the number and the results of each sequence; consume each before the next."""
        for number, pairs in groupby(self._numbered(), lambda pair: pair[0]):
            yield number, (result for _, result in pairs)

    def choose(
        self,
        person: str,
        until: Callable[[Iterable[Result]], Iterator[Result]],
        stopped: Callable[[], bool],
    ) -> dict[int, int]:
        """Return the identity that `person` means in each sequence; some, where that is stopped.

        until: ends the results of a sequence where the run is stopped.
        """
        check_choice(person)
        chosen: dict[int, int] = {}
        for number, results in self.sequences():
            chosen[number] = choose(until(results), person)
            if stopped():
                return chosen
        if person.isdecimal() and chosen and max(chosen.values()) < 0:
            raise UsageError(
                f"{self.path} has no person {person}; run `posewright track` without --person to "
                "see the identities"
            )
        return chosen

    def _numbered(self) -> Iterator[tuple[int, Result]]:
        """Yield the results of the range with identities, and the number of their sequence."""
        timed = self.path.suffix.lower() == ".parquet"
        timed = timed or (not self.path.is_dir() and is_jsonl(self.path))
        tracker: Tracker | None = None
        choice = Choice(self.span)
        number, last, sequence = -1, 0, ""
        for saved in read_results(self.path):
            result = self._timed(saved, timed and saved.sequence == saved.source)
            if tracker is None and self.tracker != "none":
                tracker = create_tracker(self.tracker, skeleton=result.skeleton, fps=self.fps)
            if result.sequence != sequence or result.frame <= last or number < 0:
                number += 1
                if tracker is not None:
                    tracker.reset()
            last, sequence = result.frame, result.sequence
            if choice.takes(number, result.frame, result.time, result.status):
                yield number, result if tracker is None else self._tracked(tracker, result)
        choice.finish(str(self.path))

    def _timed(self, result: Result, video: bool) -> Result:
        """Return the result with a time, by the number of its frame where it carries none.

        video: it has its own, also where that is 0.
        """
        return result.replace(time=result.time or (0.0 if video else result.frame / self.fps))

    def _tracked(self, tracker: Tracker, result: Result) -> Result:
        if result.status != "ok":
            return result
        blank = np.zeros((0, 0, 3), np.uint8)  # the tracker looks at poses only
        frame = Frame(blank, result.frame, result.time, result.source, sequence=result.sequence)
        return result.replace(people=tracker(frame, result.people))
