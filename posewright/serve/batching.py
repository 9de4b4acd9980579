"""Requests that wait are put into one call of the pipeline, that of `predict`, window for window.

So an answer is what `predict` writes for the same image, to the last bit.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from posewright.errors import PosewrightError, counted
from posewright.people import Frame
from posewright.pipeline.header import with_settings
from posewright.pose import Pose
from posewright.results import Result
from posewright.serve.metrics import Metrics
from posewright.serve.problems import Problem

__all__ = ["Batcher"]

BYTES = 1 << 30  # of images that may wait


@dataclass(eq=False)
class _Waiting:
    """An image that waits for its turn until the deadline, a time of the monotonic clock."""

    frame: Frame
    deadline: float
    late: Problem
    answer: Future[Result] = field(default_factory=Future)


class Batcher:
    """One thread that keeps the pipeline busy with what waits; `close` ends it."""

    def __init__(self, pose: Pose, metrics: Metrics, limit: int, deadline: float) -> None:
        header = with_settings(pose.run, {"det_every": 1})
        self._pipeline = replace(pose.pipeline, header=header)
        self._metrics, self._limit, self._deadline = metrics, limit, deadline
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._seconds = 0.1  # that an image takes, a moving mean
        metrics.watch_queue(lambda: len(self._waiting))
        self._thread = threading.Thread(target=self._work, name="posewright-batches", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether images are taken."""
        return self._thread.is_alive() and not self._closed

    @property
    def joints(self) -> int:
        """How many joints a person has."""
        return len(self._pipeline.skeleton)

    async def __call__(self, frames: list[Frame], deadline: float | None = None) -> list[Result]:
        """Return the results of images; deadline: seconds that they may wait, at most the server's.

        A Problem: 429 where too many wait; where the time is over, 408 if the client set it, else
        503.  Who cancels this leaves the queue.
        """
        seconds = self._deadline if deadline is None else min(deadline, self._deadline)
        ends = time.monotonic() + seconds
        late = _late(seconds, deadline is not None)
        asked = [_Waiting(frame, ends, late) for frame in frames]
        self._enter(asked)
        answers = [asyncio.wrap_future(each.answer) for each in asked]
        try:
            return list(await asyncio.wait_for(asyncio.gather(*answers), seconds + 1))
        except (TimeoutError, asyncio.TimeoutError):  # two classes before Python 3.11
            raise late from None
        finally:
            for answer in answers:  # of those that nobody waits for any more
                answer.cancel()

    def close(self) -> None:
        """End the thread; who still waits is told so."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _enter(self, asked: list[_Waiting]) -> None:
        with self._changed:
            if self._closed:
                raise Problem(503, "the server is stopping; try again soon", Retry_After="5")
            self._drop_cancelled()
            size = sum(each.frame.image.nbytes for each in asked)
            many = len(self._waiting) + len(asked) > self._limit
            if many or (self._waiting and self._bytes + size > BYTES):
                after = str(int(1 + self._seconds * len(self._waiting)))
                told = (
                    f"{counted(len(self._waiting), 'image')} wait already; try again in {after} s"
                )
                raise Problem(429, told, Retry_After=after)
            self._waiting.extend(asked)
            self._bytes += size
            self._changed.notify_all()

    def _drop_cancelled(self) -> None:
        left = [each for each in self._waiting if not each.answer.cancelled()]
        self._waiting = deque(left)
        self._bytes = sum(each.frame.image.nbytes for each in left)

    def _work(self) -> None:
        while self._wait():
            taken: deque[_Waiting] = deque()
            try:
                self._run(taken)
            except Exception as error:  # of the network or the device: these requests fail
                told = error if isinstance(error, PosewrightError) else _Broken(error)
                for each in taken:
                    each.answer.set_exception(told)

    def _run(self, taken: deque[_Waiting]) -> None:
        """Answer everything that waits, and what comes meanwhile."""
        for result in self._pipeline.run(self._frames(taken)):
            begun = taken.popleft()
            self._metrics.result(result)
            self._seconds += 0.1 * (sum(result.speed.values()) / 1000 - self._seconds)
            begun.answer.set_result(result)

    def _wait(self) -> bool:
        """Wait until there is something to do; False at the end, when nothing waits any more."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return bool(self._waiting)

    def _frames(self, taken: deque[_Waiting]) -> Iterator[Frame]:
        """Yield what waits until nothing does: a run must not wait, or its results would."""
        while True:
            with self._changed:
                if not self._waiting:
                    return
                each = self._waiting.popleft()
                self._bytes -= each.frame.image.nbytes
            if not each.answer.set_running_or_notify_cancel():
                continue
            if time.monotonic() > each.deadline:
                each.answer.set_exception(each.late)
                continue
            taken.append(each)
            yield each.frame


class _Broken(PosewrightError):
    """A failure of a library below, whose text may say anything of the inside."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"the network failed with {type(cause).__name__}; try again later")
        self.__cause__ = cause


def _late(seconds: float, own: bool) -> Problem:
    """Return what ends a wait; own: the client set the time, so that nothing of here failed."""
    told = f"the answer was not ready in {seconds:g} s; try again later"
    return Problem(408 if own else 503, told, Retry_After="5")
