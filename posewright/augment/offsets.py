"""How a detected box deviates from the labelled one, by kind of pose (arXiv:1612.00137, 3.4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.augment.drawing import Draws
from posewright.augment.mixtures import Mixture, nearest_centre
from posewright.errors import SourceError
from posewright.people import Doubles, Floats, People
from posewright.skeletons import Skeleton

__all__ = ["BoxOffsets", "aligned"]

_VERSION = 1
_SHORTEST = 0.1  # of the box's diagonal; a torso seen end on says nothing of the pose's size
_BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


@dataclass(frozen=True, eq=False)
class BoxOffsets:
    """A mixture of offsets for each of C atomic poses, and one for all other people.

    poses: (C, K, 2) in torso lengths from the middle of the hips, NaN for joints never labelled.
    counts: (C,) people of each.  mixtures: C of them and that of everybody, over the offsets of
    left, top, right and bottom in widths and heights of the true box.  source: what was fitted.
    """

    skeleton: Skeleton
    poses: Doubles
    counts: NDArray[np.int64]
    mixtures: tuple[Mixture, ...]
    source: str = ""

    def sample(self, people: People, skeleton: Skeleton, draws: Draws) -> Floats:
        """Return (N, 4) px boxes of N people, drawn from the mixture of each one's pose."""
        which = self.which(people, skeleton)
        totals, means, factors = self._table
        part = (draws.choice[:, None] >= totals[which, :-1]).sum(1)
        offset = means[which, part] + (factors[which, part] @ draws.box[..., None])[..., 0]
        sides = people.sides
        return np.asarray(people.boxes + offset * np.tile(sides, 2), np.float32)

    def which(self, people: People, skeleton: Skeleton) -> NDArray[np.int64]:
        """(N,) number of each one's atomic pose; C where the labels do not tell."""
        at, known = aligned(people, skeleton)
        index = skeleton.mapping(self.skeleton)
        points, there = at[:, index], known[:, index] & (index >= 0)
        count = len(self.poses)
        if not count or not len(people):
            return np.full(len(people), count)
        flat = np.repeat(there, 2, 1)
        found = nearest_centre(points.reshape(len(people), -1), flat, self.poses.reshape(count, -1))
        return np.where(there.any(1), found, count)

    @cached_property
    def _table(self) -> tuple[Doubles, Doubles, Doubles]:
        """Return (C + 1, M) sums of weights, (C + 1, M, 4) means, (C + 1, M, 4, 4) factors."""
        most = max(map(len, self.mixtures))
        totals = np.ones((len(self.mixtures), most))
        means, factors = np.zeros((*totals.shape, 4)), np.zeros((*totals.shape, 4, 4))
        for i, mixture in enumerate(self.mixtures):
            m = len(mixture)
            totals[i, : m - 1] = np.cumsum(mixture.weights)[:-1]
            means[i, :m], means[i, m:] = mixture.means, mixture.means[-1]
            factors[i, :m] = np.linalg.cholesky(mixture.covariances)
            factors[i, m:] = factors[i, m - 1]
        return totals, means, factors

    def write(self, path: Path, overwrite: bool = False) -> Path:
        """Write as JSON; an OutputError where that fails, nothing half done."""
        from posewright.files.part import PartFile

        file = PartFile(path, overwrite)
        file.write((json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n").encode())
        return file.finish()

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form of a file; joints without a place are null."""
        places = [
            [None if np.isnan(xy).any() else [round(float(v), 5) for v in xy] for xy in pose]
            for pose in self.poses
        ]
        rows = zip(places, self.counts.tolist(), self.mixtures[:-1], strict=True)
        return {
            "version": _VERSION,
            "kind": "pgpg",
            "source": self.source,
            "skeleton": self.skeleton.to_dict(),
            "poses": [{"joints": j, "count": n, **_plain(m)} for j, n, m in rows],
            "everybody": _plain(self.mixtures[-1]),
        }

    @classmethod
    def read(cls, path: str | Path) -> BoxOffsets:
        """Read what `write` wrote; a SourceError for anything else."""
        from posewright.files.values import load

        data = load(Path(path))
        try:
            return cls._from_dict(data)
        except _BROKEN as error:
            raise SourceError(
                f"{path} is not a box offsets file ({error}); write one with posewright fit boxes"
            ) from error

    @classmethod
    def _from_dict(cls, data: Any) -> BoxOffsets:
        if not isinstance(data, dict) or data.get("kind") != "pgpg":
            raise ValueError("its kind is not pgpg")
        if data["version"] != _VERSION:
            raise ValueError(f"its version is {data['version']!r}, not {_VERSION}")
        skeleton = Skeleton.from_dict(data["skeleton"])
        rows = data["poses"]
        poses = np.full((len(rows), len(skeleton), 2), np.nan)
        for pose, row in zip(poses, rows, strict=True):
            for joint, place in zip(pose, row["joints"], strict=True):
                if place is not None:
                    joint[:] = _numbers(place, (2,))
        mixtures = tuple(_mixture(row) for row in [*rows, data["everybody"]])
        counts = np.array([int(row["count"]) for row in rows], np.int64)
        return cls(skeleton, poses, counts, mixtures, str(data.get("source", "")))


def aligned(people: People, skeleton: Skeleton) -> tuple[Doubles, NDArray[np.bool_]]:
    """Return (N, K, 2) joints in torso lengths from the middle of the hips, (N, K) which are known.

    The torso leads from the middle of the shoulders, or from the neck where these are not labelled,
    to the middle of the hips.  Nothing is known of a person without, or with too short a one.
    """
    seen = people.scores > 0
    at = people.keypoints.astype(np.float64)
    top, has_top = _middle(at, seen, skeleton, ("left_shoulder", "right_shoulder"), "neck")
    hips, has_hips = _middle(at, seen, skeleton, ("left_hip", "right_hip"), "mid_hip")
    torso = np.linalg.norm(top - hips, axis=1)
    diagonal = np.linalg.norm(people.sides, axis=1)
    good = has_top & has_hips & (torso > np.maximum(_SHORTEST * diagonal, 1e-6))
    length = np.where(good, torso, 1)[:, None, None]
    known = seen & good[:, None]
    return np.where(known[..., None], (at - hips[:, None]) / length, 0), known


def _middle(
    at: Doubles, seen: NDArray[np.bool_], skeleton: Skeleton, pair: tuple[str, str], single: str
) -> tuple[Doubles, NDArray[np.bool_]]:
    """Return (N, 2) the middle of two joints, or else a third one, and (N,) whether it is known."""
    names = {name: i for i, name in enumerate(skeleton.joints)}
    place, known = np.zeros((len(at), 2)), np.zeros(len(at), np.bool_)
    if single in names:
        place, known = at[:, names[single]], seen[:, names[single]]
    if all(name in names for name in pair):
        both = [names[name] for name in pair]
        there = seen[:, both[0]] & seen[:, both[1]]
        place = np.where(there[:, None], at[:, both].mean(1), place)
        known = known | there
    return place, known


def _plain(mixture: Mixture) -> dict[str, Any]:
    names = ("weights", "means", "covariances")
    return {name: getattr(mixture, name).tolist() for name in names}


def _mixture(row: dict[str, Any]) -> Mixture:
    """Read a mixture; a ValueError where it is none that can be drawn from."""
    count = len(row["weights"])
    if not count:
        raise ValueError("an empty mixture")
    weights = _numbers(row["weights"], (count,))
    if (weights < 0).any() or abs(weights.sum() - 1) > 1e-6:
        raise ValueError("weights that do not add up to 1")
    covariances = _numbers(row["covariances"], (count, 4, 4))
    if not np.allclose(covariances, covariances.transpose(0, 2, 1)):
        raise ValueError("a covariance that is not symmetric")
    try:
        np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        raise ValueError("a covariance that is not positive definite") from None
    return Mixture(weights, _numbers(row["means"], (count, 4)), covariances)


def _numbers(values: Any, shape: tuple[int, ...]) -> Doubles:
    array = np.array(values, np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"expected finite numbers of shape {shape}, got shape {array.shape}")
    return array
