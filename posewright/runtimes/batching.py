"""Calls of graphs: what goes in besides views, any number of views, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posewright.errors import ModelError
from posewright.runtimes.info import ModelInfo

__all__ = ["batch_size", "fixed_size", "further_inputs", "in_batches", "second_input"]

MOST_VIEWS = 1024  # of a call; so many take 150 MB and more

Arrays = list[NDArray[Any]]


def _fixed_batch(shape: Sequence[Any]) -> int:
    """Return the batch size of a graph with an input of that shape; 0 for a dynamic one.

    ModelError for a batch size that would exhaust the memory: calls are padded to it.
    """
    views = shape[0] if shape and isinstance(shape[0], int) else 0
    if views > MOST_VIEWS:
        raise ModelError(f"its batch size is {views}, more than {MOST_VIEWS}; export it again")
    return views


def further_inputs(info: ModelInfo, views: NDArray[Any], condition: NDArray[Any] | None) -> Arrays:
    """Return what a graph takes besides (B, h, w, 3) views: a condition, or its second input."""
    if info.second:
        return [second_input(info.second, len(views), (views.shape[2], views.shape[1]))]
    return [] if condition is None else [condition]


def second_input(name: str, count: int, size: tuple[int, int]) -> NDArray[np.int64]:
    """Return the input of that name, see `ModelInfo.second`, for so many views of a size."""
    if name == "orig_target_sizes":
        return np.tile(np.array(size, np.int64), (count, 1))
    return np.zeros(count, np.int64)


def batch_size(info: ModelInfo, shape: Sequence[Any]) -> int:
    """Return how many views a graph with an input of that shape takes at once; 0 for any number."""
    return 1 if info.second == "orig_target_sizes" else _fixed_batch(shape)


def fixed_size(layout: Literal["NHWC", "NCHW"], shape: Sequence[Any]) -> tuple[int, int] | None:
    """Return the only (width, height) that an input of that shape takes; None for open ones."""
    width, height = (shape[layout.index(axis)] for axis in "WH")
    fixed = isinstance(width, int) and isinstance(height, int)
    return (width, height) if fixed else None


def in_batches(given: Sequence[NDArray[Any]], size: int, run: Callable[[Arrays], Arrays]) -> Arrays:
    """Call `run` with `size` rows of each array at a time; 0 is all at once.

    The last call is padded with copies of the last row, whose outputs are removed again.  Outputs
    of half precision become float32, in which codecs compute.
    """
    count = len(given[0])
    if size in (0, count):
        arrays = run(list(given))
        # some graphs declare an open batch and answer for one view all the same
        if count == 1 or any(array.shape[:1] != (1,) for array in arrays):
            return _as_float32(arrays)
        size = 1
    calls = []
    for first in range(0, count, size):
        rows = np.minimum(np.arange(first, first + size), count - 1)
        calls.append(run([array[rows] for array in given]))
    return _as_float32([np.concatenate(parts)[:count] for parts in zip(*calls, strict=True)])


def _as_float32(arrays: Arrays) -> Arrays:
    return [a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays]
