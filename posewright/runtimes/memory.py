"""How many views go into one call of a device, by its memory.

A call takes at most 64 views, and no more than a quarter of the device's memory, where a view
counts as 128 times its values in float32 (MoveNet Thunder takes 32 times as much on a processor);
the number is rounded down to a power of two.  Where the memory is not known it is 64.  A call that
fails for want of memory is repeated with half as many views, and the model keeps that number.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from numpy.typing import NDArray

from posewright.runtimes.batching import in_batches

__all__ = ["Batches", "most_views", "ran_out"]

_MOST = 64
_SHARE = 4  # of the memory: one part in so many
_TIMES = 128  # the memory of a view, in those of its values
_RAN_OUT = re.compile(  # onnxruntime, CUDA with its libraries, DirectML, torch, C++
    "out ?of ?memory|alloc_failed|allocat[a-z]* memory|smaller than requested bytes|bad_alloc"
    "|8007000E|MemoryAllocation",
    re.IGNORECASE,
)

Arrays = list[NDArray[Any]]


def most_views(memory: int, size: tuple[int, int]) -> int:
    """Return how many (width, height) views a call may have on a device with so many bytes.

    memory: 0 where it is not known.
    """
    if not memory:
        return _MOST
    views = memory // _SHARE // (_TIMES * 3 * 4 * size[0] * size[1])
    return min(_MOST, 1 << max(0, views.bit_length() - 1))


def ran_out(error: BaseException) -> bool:
    """Tell whether a call has failed for want of memory."""
    return isinstance(error, MemoryError) or _RAN_OUT.search(str(error)) is not None


class Batches:
    """Calls a network with as many views as the memory holds; threads may share it.

    most: number of views of a call, 0 for any; it only falls.  alone: calls run one after another,
    because a device has one memory, and DirectML's sessions take one call at a time.  free: called
    after a call has failed for want of memory.
    """

    def __init__(
        self, most: int = 0, *, alone: bool = False, free: Callable[[], None] | None = None
    ) -> None:
        self.most = most
        self._turn = threading.Lock() if alone else nullcontext()
        self._free = free

    def run(self, given: Arrays, fixed: int, call: Callable[[Arrays], Arrays]) -> Arrays:
        """Return what `in_batches` does; fixed: batch size of the graph, 0 for a dynamic one.

        Errors: those of `call`, want of memory only for a single view or a fixed batch.
        """
        with self._turn:
            while True:
                most = self.most
                size = fixed or (most if most < len(given[0]) else 0)
                try:
                    return in_batches(given, size, call)
                except Exception as error:  # onnxruntime's own errors derive from nothing narrower
                    tried = size or len(given[0])
                    if fixed or tried < 2 or not ran_out(error):
                        raise
                if self._free is not None:
                    self._free()
                self.most = min(self.most or tried, tried // 2)
