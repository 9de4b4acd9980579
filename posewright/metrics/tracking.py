"""Multiple object tracking: CLEAR MOT (Bernardin and Stiefelhagen 2008) and IDF1 (Ristani 2016).

Correspondences and counts are those of py-motmetrics: an earlier pair is kept as long as it is
valid, the rest is assigned at minimum total distance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import lap
import numpy as np

from posewright.people import Doubles, Ints

__all__ = ["Sight", "Tally", "box_distances", "in_percent", "mot_numbers", "tally"]

_IMPOSSIBLE = 1e4  # cost of a pair that may not be: far more than any distances together
# IDF1 stays a share, as py-motmetrics returns it.
_PERCENT = ("MOTA", "Rcll", "Prcn", "HOTA", "DetA", "AssA")
_MOSTLY, _BARELY = 0.8, 0.2  # shares of an object's frames from which it is tracked, or lost


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """One frame: ground-truth identities (T,), those of the tracker (F,), and distances (T, F).

    A distance is NaN where a match is not allowed.
    """

    truth: Ints
    found: Ints
    distances: Doubles


@dataclass(slots=True)
class Tally:
    """Counts of a sequence, or of several added.

    spans: share of its frames in which each object was followed.  breaks: times an object was lost
    and found again.  identity: largest number of detections that one-to-one identities explain.
    """

    objects: int = 0
    predictions: int = 0
    matches: int = 0
    switches: int = 0
    breaks: int = 0
    distance: float = 0.0
    identity: int = 0
    spans: list[float] = field(default_factory=list)

    @property
    def misses(self) -> int:
        """Number of objects without a match."""
        return self.objects - self.matches

    @property
    def false(self) -> int:
        """Number of detections without a match."""
        return self.predictions - self.matches

    @property
    def mota(self) -> float:
        """1 - (misses + false ones + switches) / objects; -1 without objects."""
        return _share(self.objects - self.misses - self.false - self.switches, self.objects)

    def __add__(self, other: Tally) -> Tally:
        names = (
            "objects",
            "predictions",
            "matches",
            "switches",
            "breaks",
            "distance",
            "identity",
            "spans",
        )
        return Tally(*(getattr(self, name) + getattr(other, name) for name in names))


def tally(frames: Iterable[Sight]) -> Tally:
    """Count matches over the frames of one sequence, in order."""
    result = Tally()
    last: dict[int, int] = {}  # object -> the identity that it had when last matched
    seen: dict[int, list[bool]] = {}  # object -> followed or not, frame by frame
    together: dict[tuple[int, int], int] = {}
    for frame in frames:
        rows, columns = _correspond(frame, last)
        matched = dict(zip(frame.truth[rows].tolist(), frame.found[columns].tolist(), strict=True))
        result.switches += sum(last.get(a, b) != b for a, b in matched.items())
        last |= matched
        result.objects += len(frame.truth)
        result.predictions += len(frame.found)
        result.matches += len(matched)
        result.distance += float(frame.distances[rows, columns].sum())
        for name in frame.truth.tolist():
            seen.setdefault(name, []).append(name in matched)
        for a, b in np.argwhere(np.isfinite(frame.distances)):
            pair = int(frame.truth[a]), int(frame.found[b])
            together[pair] = together.get(pair, 0) + 1
    result.spans = [sum(flags) / len(flags) for flags in seen.values()]
    result.breaks = sum(map(_breaks, seen.values()))
    result.identity = _identity(together)
    return result


def _correspond(frame: Sight, last: dict[int, int]) -> tuple[Ints, Ints]:
    """Return rows and columns of the pairs of a frame."""
    distances = frame.distances.copy()
    where = {name: column for column, name in enumerate(frame.found.tolist())}
    kept = []
    for row, name in enumerate(frame.truth.tolist()):
        column = where.get(last.get(name, -1), -1) if name in last else -1
        if column >= 0 and np.isfinite(distances[row, column]):
            kept.append((row, column))
            distances[row], distances[:, column] = np.nan, np.nan
    pairs = kept + _assign(distances)
    table = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _assign(distances: Doubles) -> list[tuple[int, int]]:
    """Return as many possible pairs as there can be, at the least total distance."""
    possible = np.isfinite(distances)
    if not possible.any():
        return []
    costs = np.where(possible, distances, _IMPOSSIBLE)
    _, columns, _ = lap.lapjv(costs, extend_cost=True)
    return [(r, int(c)) for r, c in enumerate(columns) if c >= 0 and possible[r, c]]


def _breaks(flags: list[bool]) -> int:
    """Return how often an object is lost between its first and last match."""
    at = np.flatnonzero(flags)
    return int((np.diff(at) > 1).sum())


def _identity(together: dict[tuple[int, int], int]) -> int:
    """Return the largest total of frames together over one-to-one pairs of identities."""
    if not together:
        return 0
    rows = {name: i for i, name in enumerate(dict.fromkeys(a for a, _ in together))}
    columns = {name: i for i, name in enumerate(dict.fromkeys(b for _, b in together))}
    table = np.zeros((len(rows), len(columns)))
    for (a, b), count in together.items():
        table[rows[a], columns[b]] = count
    _, chosen, _ = lap.lapjv(table.max() - table, extend_cost=True)
    return int(sum(table[row, column] for row, column in enumerate(chosen) if column >= 0))


def box_distances(truth: Doubles, found: Doubles, least: float = 0.5) -> Doubles:
    """(T, 4), (F, 4) left, top, width, height px -> (T, F) 1 - IoU; NaN below an IoU of `least`."""
    a, b = truth[:, None], found[None]
    sides = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    sides = np.maximum(sides - np.maximum(a[..., :2], b[..., :2]), 0)
    shared = sides[..., 0] * sides[..., 1]
    either = a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - shared
    iou = np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
    return np.where(iou >= least, 1 - iou, np.nan)


def mot_numbers(counts: Tally) -> dict[str, float]:
    """Return the numbers of MOT under their names, shares in [0, 1], -1 where undefined.

    MOTP is the mean distance of matches, as in py-motmetrics: lower is better.
    """
    spans = np.array(counts.spans)
    return {
        "MOTA": counts.mota,
        "MOTP": counts.distance / counts.matches if counts.matches else -1.0,
        "IDF1": _share(2 * counts.identity, counts.objects + counts.predictions),
        "Rcll": _share(counts.matches, counts.objects),
        "Prcn": _share(counts.matches, counts.predictions),
        "FP": counts.false,
        "FN": counts.misses,
        "IDs": counts.switches,
        "FM": counts.breaks,
        "MT": int((spans >= _MOSTLY).sum()),
        "PT": int(((spans >= _BARELY) & (spans < _MOSTLY)).sum()),
        "ML": int((spans < _BARELY).sum()),
    }


def in_percent(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return numbers of `mot_numbers` (and HOTA's) as they are published; undefined ones stay -1.

    MOTA can be below -1: it is undefined only where no person is labelled, and so is Rcll.
    """
    missing = {k for k, v in numbers.items() if v == -1 and (k != "MOTA" or numbers["Rcll"] == -1)}
    return {k: 100 * v if k in _PERCENT and k not in missing else v for k, v in numbers.items()}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else -1.0
