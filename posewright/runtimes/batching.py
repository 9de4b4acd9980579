"""Calls of graphs with a fixed batch size, with any number of views."""

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
    """Return the batch size of a graph with an input of that shape; 0 for a dynamic one.

    ModelError for a batch size that would exhaust the memory: calls are padded to it.
    """
    views = shape[0] if shape and isinstance(shape[0], int) else 0
    if views > MOST_VIEWS:
        raise ModelError(f"its batch size is {views}, more than {MOST_VIEWS}; export it again")
    return views


def in_batches(given: Sequence[NDArray[Any]], size: int, run: Callable[[Arrays], Arrays]) -> Arrays:
    """Call `run` with `size` rows of each array at a time; 0 is all at once.

    The last call is padded with copies of the last row, whose outputs are removed again.
    """
    count = len(given[0])
    if size in (0, count):
        return run(list(given))
    calls = []
    for first in range(0, count, size):
        rows = np.minimum(np.arange(first, first + size), count - 1)
        calls.append(run([array[rows] for array in given]))
    return [np.concatenate(parts)[:count] for parts in zip(*calls, strict=True)]
