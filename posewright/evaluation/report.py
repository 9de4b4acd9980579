"""The scores of a result file, and how two scorings are joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from posewright.metrics.ranking import Curve

__all__ = ["Scoring", "joined", "percent"]


@dataclass(frozen=True, slots=True)
class Scoring:
    """What a result file is worth.

    numbers: the published names; -1 where there is nothing to measure.  joints: a table by joint.
    more: what else belongs into a report (parts of the body, OKS histogram, counts).  curves: range
    of areas -> precision and recall, of what is measured by OKS.  notes, remarks: lines about what
    was left out of the labels because it is broken, and because of its class.
    """

    data: str
    numbers: dict[str, float]
    joints: dict[str, dict[str, float]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return one object: the numbers by their names, then "data", "joints" and the rest."""
        return {**self.numbers, "data": self.data, "joints": self.joints, **self.more}


def joined(parts: Sequence[Scoring]) -> Scoring:
    """Return scorings (at least one) of the same people, by other measures, as one."""
    first = parts[0]
    for each in parts[1:]:
        numbers, more = first.numbers | each.numbers, first.more | each.more
        first = replace(first, numbers=numbers, joints=first.joints or each.joints, more=more)
    return first


def percent(share: float) -> float:
    """Return 100 times a share; -1, nothing to measure, stays."""
    return 100 * share if share >= 0 else -1.0
