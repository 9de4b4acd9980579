"""Smoothing: less jitter of joints, and short gaps filled in, separately for each identity.

A stage takes results one by one and returns those that are ready, in order.  `create_smoother`
chains those requested; a chain without stages passes everything through.

spec      what --smooth says
gaps      interpolation over short absences
one_euro  the one-euro filter
kalman    a Kalman smoother with a fixed lag
filters   Butterworth and Savitzky-Golay; blocks bounds their memory
person    one person of each sequence
tables    what the stages share
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from posewright.errors import UsageError
from posewright.results import Result
from posewright.smoothing.blocks import Blocks
from posewright.smoothing.gaps import Gaps
from posewright.smoothing.kalman import Kalman
from posewright.smoothing.one_euro import OneEuro
from posewright.smoothing.spec import Smoothing, parse_smoothing

__all__ = [
    "Blocks",
    "Chain",
    "Gaps",
    "Kalman",
    "OneEuro",
    "Smoothing",
    "Stage",
    "create_smoother",
    "parse_smoothing",
    "smoothed",
]

GAP = 0.2  # seconds, for whoever asks for smoothing and says no gap
MAX_GAP = 10.0
MAX_PICTURES = 1.0  # seconds of images that may wait for their poses


class Stage(Protocol):
    """Takes the results of one source in order; people, their order and their ids stay."""

    @property
    def notes(self) -> list[str]:
        """What the user should know, one line each."""

    def push(self, result: Result) -> list[Result]:
        """Take one result; return those that are ready, none or several."""

    def finish(self) -> list[Result]:
        """Return the results held back, and reset the state: another source may follow."""


class Chain:
    """Stages in series, as one stage; they are reset at every new sequence."""

    def __init__(self, stages: Sequence[Stage] = ()) -> None:
        self._stages = list(stages)
        self._sequence: str | None = None

    @property
    def notes(self) -> list[str]:
        """Notes of the stages."""
        return [note for stage in self._stages for note in stage.notes]

    def push(self, result: Result) -> list[Result]:
        """Take one result; return those that left the last stage."""
        last, self._sequence = self._sequence, result.sequence
        ready = self.finish() if last is not None and last != result.sequence else []
        return ready + self._through([result], 0)

    def finish(self) -> list[Result]:
        """Empty the stages from first to last."""
        ready: list[Result] = []
        for number, stage in enumerate(self._stages):
            ready += self._through(stage.finish(), number + 1)
        return ready

    def _through(self, results: list[Result], first: int) -> list[Result]:
        for stage in self._stages[first:]:
            results = [ready for result in results for ready in stage.push(result)]
        return results


def create_smoother(
    smooth: Smoothing | str | None = None,
    *,
    gap: float | None = None,
    fps: float = 30.0,
    live: bool = False,
    pictures: bool = False,
) -> Chain:
    """Return the stages that fill gaps and smooth, in this order; none where nothing is requested.

    smooth: a method, see parse_smoothing.  gap: seconds between two observations of a person or
    joint that are filled in and bridged; 0 fills nothing, None is 0.2 where `smooth` is given and
    the source is not live.  fps: frame rate, for results without timestamps.  live: the source has
    no end, so that results may wait for seconds only.  images: results carry images, which take
    memory while they wait.  UsageError for an invalid or unsupported setting.
    """
    method = parse_smoothing(smooth) if isinstance(smooth, str) else smooth
    if gap is None:
        gap = GAP if method is not None and not live else 0.0
    if not 0 <= gap <= MAX_GAP:
        raise UsageError(f"the gap must lie between 0 and {MAX_GAP:g} seconds, not {gap}")
    if not 0 < fps < float("inf"):
        raise UsageError(f"fps must be a positive number, not {fps}")
    if method is not None and method.whole:
        # raise the UsageError of a method that needs frames which have not come yet
        if live:
            raise UsageError(
                f"{method.name} needs the whole sequence, and a live source has no end; smooth "
                "with "
                "one-euro or kalman, or save poses and run `posewright track` on them"
            )
        if pictures:
            raise UsageError(
                f"{method.name} processes a thousand frames at a time, whose images do not fit in "
                "memory; save without images and video, or smooth with one-euro or kalman"
            )
    lag = method.settings.get("lag", 0.0) if method is not None else 0.0
    if pictures and gap + lag > MAX_PICTURES:
        raise UsageError(
            f"images cannot be kept {gap + lag:g} seconds for their poses; reduce gap plus lag to "
            f"{MAX_PICTURES:g} second, or save without images and video"
        )
    fill: list[Stage] = [Gaps(gap, fps)] if gap > 0 else []
    return Chain(fill if method is None else [*fill, _stage(method, gap, fps)])


def smoothed(results: Iterable[Result], stage: Stage) -> Iterator[Result]:
    """Yield the results of one source as `stage` leaves them; as many, in the same order."""
    for result in results:
        yield from stage.push(result)
    yield from stage.finish()


def _stage(method: Smoothing, gap: float, fps: float) -> Stage:
    if method.name == "one-euro":
        return OneEuro(gap, fps, **method.settings)
    if method.name == "kalman":
        return Kalman(gap, fps, **method.settings)
    return Blocks(method, gap, fps)
