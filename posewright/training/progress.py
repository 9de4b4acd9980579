"""Where a run stands, and what has happened since its log's last row."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Meter", "Place"]


@dataclass(slots=True)
class Place:
    """Where a run stands.

    epoch, batch: those in hand, from 0.  step: updates since the start.  metric, best, best_epoch:
    name of the validation's main number, its best and when; "", None and -1 before the first.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float | None = None
    best_epoch: int = -1
    metric: str = ""

    def is_better(self, metric: str, value: float) -> bool:
        """Whether a validation is the best so far; one that measured nothing (-1, NaN) never is."""
        best = self.best if self.best is not None and self.best >= 0 else -1.0
        return value >= 0 and (metric != self.metric or value > best)


@dataclass(slots=True)
class Meter:
    """What has happened since the last row of the log."""

    loss: float = 0.0
    count: int = 0
    left_out: int = 0
    waited: float = 0.0
    since: float = field(default_factory=time.perf_counter)

    def add(self, loss: float, waited: float) -> None:
        """Note one step: its loss, NaN where it was left out, and the seconds spent on data."""
        if loss == loss:
            self.loss, self.count = self.loss + loss, self.count + 1
        else:
            self.left_out += 1
        self.waited += waited

    def facts(self) -> dict[str, float]:
        """Return what JSON keeps of it."""
        kept = asdict(self)
        kept["since"] = time.perf_counter() - self.since
        return kept

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Meter:
        """Return the meter that goes on from `facts`."""
        return cls(**{**facts, "since": time.perf_counter() - facts["since"]})
