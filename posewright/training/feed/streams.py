"""Random numbers that belong to instances: they follow from seed, epoch and instance alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.people import Doubles

__all__ = ["EpochDraws"]

_ORDER, _TABLES, _OWN = 0, 1, 2  # streams of an epoch; those of the instances come last


class EpochDraws:
    """The random numbers of `count` instances in one epoch.

    Philox counts, so that streams of different counters never meet.
    """

    def __init__(self, seed: int, epoch: int, count: int) -> None:
        self.seed, self.epoch, self.count = seed, epoch, count
        self._tables: dict[tuple[str, int], Doubles] = {}

    def order(self) -> NDArray[np.int64]:
        """Return the instances in random order."""
        return self._stream(_ORDER).permutation(self.count)

    def own(self, instance: int, mistakes: bool = False) -> np.random.Generator:
        """Return the generator of one instance's pixels, or of the mistakes in its pose."""
        return self._stream(_OWN + instance, int(mistakes))

    def rows(self, instances: NDArray[np.int64]) -> np.random.Generator:
        """Return a generator that draws (M, n) numbers at once, a row for each instance.

        Asked for once; it answers every call with the same rows.
        """
        return _Rows(self, instances)

    def table(self, kind: str, width: int) -> Doubles:
        """Return the (count, width) "random" or "standard_normal" numbers of all instances.

        One draw for all of them costs less than making a generator for each.
        """
        found = self._tables.get((kind, width))
        if found is None:  # two threads may both make it: it is the same
            draw = getattr(self._stream(_TABLES, (width << 1) + (kind == "random")), kind)
            found = self._tables[kind, width] = draw((self.count, width))
        return found

    def _stream(self, number: int, part: int = 0) -> np.random.Generator:
        counter: Any = [0, part, number, self.epoch]
        return np.random.Generator(np.random.Philox(key=self.seed, counter=counter))


class _Rows(np.random.Generator):
    """A generator of rows that were drawn for instances."""

    def __init__(self, draws: EpochDraws, instances: NDArray[np.int64]) -> None:
        super().__init__(np.random.Philox(key=draws.seed))
        self._draws, self._instances = draws, instances

    def random(self, size: tuple[int, int]) -> Doubles:  # type: ignore[override]
        """Return (M, n) numbers in [0, 1)."""
        return self._draws.table("random", size[1])[self._instances]

    def standard_normal(self, size: tuple[int, int]) -> Doubles:  # type: ignore[override]
        """Return (M, n) numbers of mean 0 and deviation 1."""
        return self._draws.table("standard_normal", size[1])[self._instances]
