"""Filters that need the whole sequence, run in blocks so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from posewright.people import Doubles, Ints, People
from posewright.results import Result
from posewright.smoothing.filters import butterworth, savgol
from posewright.smoothing.spec import Smoothing
from posewright.smoothing.tables import MISSING, Clock, followed, moved

__all__ = ["Blocks"]

_CORE = 1024  # frames that leave together
_DECAY = 6.0  # periods of the cutoff after which a value's influence is below a millionth
_REGULAR = 0.2  # intervals by which a time may be off the grid and be taken for equally spaced
_MAX_RUN = 100_000  # values of one grid

_Filter = Callable[[Doubles], Doubles]


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A frame as it came.  time: seconds."""

    result: Result
    time: float


class Blocks:
    """Applies Butterworth or Savitzky-Golay to blocks of a thousand frames with context.

    The context on both sides is as long as the filter's memory: results equal those of the whole
    sequence to a thousandth of a pixel.  Each joint of an identity is cut into runs where it was
    unobserved for more than `gap` seconds; unobserved joints stay unchanged.  Runs of unequal times
    are interpolated to equal ones and back.  Memory: the thousand frames and both sides, without
    images.
    """

    def __init__(self, method: Smoothing, gap: float, fps: float) -> None:
        self.notes: list[str] = []
        self._method, self._gap, self._fps = method, gap, fps
        self._clock = Clock(fps)
        self._held: list[_Held] = []
        self._done = 0  # frames at the start that left and are here as context

    def push(self, result: Result) -> list[Result]:
        """Take a frame; return a block where one is complete."""
        self._held.append(_Held(result, self._clock(result)))
        if len(self._held) - self._done <= _CORE:
            return []
        side = self._side(_interval(self._held))
        stop = len(self._held) - side
        return self._leave(stop, side) if stop - self._done >= _CORE else []

    def finish(self) -> list[Result]:
        """Return the remaining results, and reset the state."""
        ready = self._leave(len(self._held), 0)
        self._held, self._done, self._clock = [], 0, Clock(self._fps)
        return ready

    def _side(self, interval: float) -> int:
        """Return the filter's memory in frames."""
        settings = self._method.settings
        if self._method.name == "savgol":
            return int(settings["window"])
        return ceil(_DECAY / settings["cutoff"] / interval)

    def _leave(self, stop: int, side: int) -> list[Result]:
        """Filter all that is here, return the frames up to `stop`, keep the rest and a side."""
        interval = _interval(self._held)
        people = [held.result.people for held in self._held]
        run = self._filter(1 / interval)
        if run is not None:
            people = _all_filtered(self._held, interval, max(self._gap, 1.5 * interval), run)
        ready = [
            held.result.replace(people=now)
            for held, now in list(zip(self._held, people, strict=True))[self._done : stop]
        ]
        first = max(stop - side, 0)
        self._held, self._done = self._held[first:], stop - first
        return ready

    def _filter(self, rate: float) -> _Filter | None:
        """Return the filter for `rate` values a second, None where there is nothing to filter."""
        settings = self._method.settings
        if self._method.name == "savgol":
            return lambda values: savgol(values, int(settings["window"]), int(settings["order"]))
        cutoff, order = settings["cutoff"], int(settings["order"])
        if cutoff < 0.49 * rate:
            return lambda values: butterworth(values, rate, cutoff, order)
        note = (
            f"butterworth: {rate:.3g} frames per second contain no frequency above {rate / 2:.3g} "
            f"Hz, so a cutoff of {cutoff:g} Hz had no effect; choose a lower one"
        )
        if note not in self.notes:
            self.notes.append(note)
        return None


def _interval(held: Sequence[_Held]) -> float:
    """Return the usual seconds from frame to frame."""
    steps = np.diff([frame.time for frame in held])
    return float(np.median(steps)) if len(steps) else 1.0


def _all_filtered(
    held: Sequence[_Held], interval: float, reach: float, run: _Filter
) -> list[People]:
    """Return everybody of all frames with the joints of each identity filtered."""
    places = [frame.result.people.keypoints.astype(np.float64) for frame in held]
    for frames, rows in _tracks(held).values():
        times = np.array([held[i].time for i in frames])
        points = np.stack([places[i][row] for i, row in zip(frames, rows, strict=True)])
        scores = [held[i].result.people.scores[row] for i, row in zip(frames, rows, strict=True)]
        points = _filtered(points, np.stack(scores) >= MISSING, times, interval, reach, run)
        for i, row, now in zip(frames, rows, points, strict=True):
            places[i][row] = now
    return [
        moved(frame.result.people, np.arange(len(now)), now)
        for frame, now in zip(held, places, strict=True)
    ]


def _tracks(held: Sequence[_Held]) -> dict[int, tuple[list[int], list[int]]]:
    """Return the frames of each identity and its rows in them."""
    tracks: dict[int, tuple[list[int], list[int]]] = {}
    for number, frame in enumerate(held):
        people = frame.result.people
        if frame.result.status != "ok":
            continue
        for row in followed(people).tolist():
            frames, rows = tracks.setdefault(int(people.ids[row]), ([], []))
            frames.append(number)
            rows.append(row)
    return tracks


def _filtered(
    points: Doubles,
    seen: NDArray[np.bool_],
    times: Doubles,
    interval: float,
    reach: float,
    run: _Filter,
) -> Doubles:
    """(T, K, 2) places of one identity, (T, K) which were seen, (T,) s -> (T, K, 2) filtered."""
    out = points.copy()
    patterns, of_joint = np.unique(seen, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        joints = np.flatnonzero(of_joint.ravel() == number)
        for rows in _runs(np.flatnonzero(patterns[:, number]), times, reach):
            at = np.ix_(rows, joints)
            out[at] = _on_grid(points[at], times[rows], interval, run)
    return out


def _runs(rows: Ints, times: Doubles, reach: float) -> Iterator[Ints]:
    """Cut rows where more than `reach` seconds lie between two of them."""
    if len(rows):
        cuts = np.flatnonzero(np.diff(times[rows]) > reach + 1e-6) + 1
        yield from np.split(rows, cuts)


def _on_grid(points: Doubles, times: Doubles, interval: float, run: _Filter) -> Doubles:
    """Filter (T, J, 2) places; those at unequal times are interpolated to equal ones and back."""
    steps = np.diff(times)
    count = round(float(times[-1] - times[0]) / interval) + 1
    if (np.abs(steps - interval) <= _REGULAR * interval).all() or count > _MAX_RUN:
        return run(points)
    grid = times[0] + interval * np.arange(max(count, 2))
    flat = points.reshape(len(times), -1)
    equal = run(np.stack([np.interp(grid, times, column) for column in flat.T], 1))
    back = np.stack([np.interp(times, grid, column) for column in equal.T], 1)
    return back.reshape(points.shape)
