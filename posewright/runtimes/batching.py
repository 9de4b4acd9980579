"""Graphs that take a fixed number of views, called with any number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.errors import ModelError

__all__ = ["fixed_batch", "in_batches"]

MOST_VIEWS = 1024  # of a call; so many take 150 MB and more

Arrays = list[NDArray[Any]]


def fixed_batch(shape: Sequence[Any]) -> int:
    """Return how many views a graph with an input of that shape takes; 0 for any number.

    ModelError for a number that would take all memory: calls are filled up to it.
    """
    views = shape[0] if shape and isinstance(shape[0], int) else 0
    if views > MOST_VIEWS:
        raise ModelError(f"it takes {views} views a call, more than {MOST_VIEWS}; export it again")
    return views


def in_batches(given: Sequence[NDArray[Any]], size: int, run: Callable[[Arrays], Arrays]) -> Arrays:
    """Call `run` with `size` rows of each array at a time; 0 is all at once.

    The last call is filled up with the last row, whose outputs are cut off again.
    """
    count = len(given[0])
    if size in (0, count):
        return run(list(given))
    calls = []
    for first in range(0, count, size):
        rows = np.minimum(np.arange(first, first + size), count - 1)
        calls.append(run([array[rows] for array in given]))
    return [np.concatenate(parts)[:count] for parts in zip(*calls, strict=True)]
