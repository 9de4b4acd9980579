"""Skeletons: what a joint's number means.  Nothing else in the package knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.errors import UsageError, nearest

__all__ = ["COCO17", "Skeleton", "get_skeleton", "list_skeletons"]


@dataclass(frozen=True)
class Skeleton:
    """Joint names, limbs, mirror pairs and OKS sigmas of one key point set.

    joints: K names, left and right ones beginning with "left_" and "right_".  links: pairs of joint
    numbers to draw.  sigmas: K per-joint standard deviations of the OKS metric (COCO), in units of
    the square root of the person's area.
    """

    name: str
    joints: tuple[str, ...]
    links: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.joints)) != len(self.joints):
            raise ValueError(f"skeleton {self.name!r} names a joint twice")
        if self.sigmas and len(self.sigmas) != len(self.joints):
            raise ValueError(
                f"skeleton {self.name!r}: {len(self.joints)} joints, {len(self.sigmas)} sigmas"
            )

    def __len__(self) -> int:
        return len(self.joints)

    def __getitem__(self, joint: str) -> int:
        """Return the number of a joint; a KeyError suggests the nearest name."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise KeyError(
                f"{self.name} has no joint {joint!r}{nearest(joint, self.joints)}"
            ) from None

    @cached_property
    def flip_index(self) -> NDArray[np.int64]:
        """(K,) number of each joint's mirror image, found by its name; itself where it has none."""
        other = {"left": "right", "right": "left"}
        where = {j: i for i, j in enumerate(self.joints)}
        parts = [j.partition("_") for j in self.joints]
        mirrors = [other.get(side, side) + bar + rest for side, bar, rest in parts]
        return np.array([where.get(m, i) for i, m in enumerate(mirrors)], np.int64)

    @cached_property
    def oks_sigmas(self) -> NDArray[np.float32]:
        """(K,) sigmas as an array; 0.05 for each joint of a skeleton that states none."""
        return np.array(self.sigmas or [0.05] * len(self), np.float32)

    def side(self, joint: int) -> str:
        """Return "left", "right" or "middle"."""
        name = self.joints[joint]
        return next((s for s in ("left", "right") if name.startswith(s + "_")), "middle")

    def mapping(self, other: Skeleton) -> NDArray[np.int64]:
        """(len(other),) number in this skeleton of each joint of `other`; -1 where it is absent."""
        where = {j: i for i, j in enumerate(self.joints)}
        return np.array([where.get(j, -1) for j in other.joints], np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form that a model file carries."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "links": [list(pair) for pair in self.links],
            "sigmas": list(self.sigmas),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Skeleton:
        """Read what `to_dict` wrote."""
        links = tuple((int(a), int(b)) for a, b in data.get("links", ()))
        sigmas = tuple(float(s) for s in data.get("sigmas", ()))
        return cls(str(data["name"]), tuple(map(str, data["joints"])), links, sigmas)


def _links(joints: Sequence[str], pairs: str) -> tuple[tuple[int, int], ...]:
    """Read "nose-left_eye ..." into pairs of joint numbers."""
    where = {j: i for i, j in enumerate(joints)}
    return tuple((where[a], where[b]) for a, b in (pair.split("-") for pair in pairs.split()))


_COCO_JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
_COCO_SIGMAS = (
    .026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087,
    .089, .089,
)  # fmt: skip
_BODY_LINKS = (
    "left_ankle-left_knee left_knee-left_hip right_ankle-right_knee right_knee-right_hip "
    "left_hip-right_hip left_shoulder-left_hip right_shoulder-right_hip "
    "left_shoulder-right_shoulder left_shoulder-left_elbow right_shoulder-right_elbow left_elbow-left_wrist "
    "right_elbow-right_wrist nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear "
    "left_ear-left_shoulder right_ear-right_shoulder"
)

COCO17 = Skeleton("coco17", _COCO_JOINTS, _links(_COCO_JOINTS, _BODY_LINKS), _COCO_SIGMAS)

_ALL = {s.name: s for s in (COCO17,)}


def list_skeletons() -> list[str]:
    """Return the names of the known skeletons."""
    return sorted(_ALL)


def get_skeleton(name: str) -> Skeleton:
    """Return a known skeleton; a UsageError suggests the nearest name."""
    if name not in _ALL:
        raise UsageError(f"no skeleton {name!r}{nearest(name, _ALL)}; known: {list_skeletons()}")
    return _ALL[name]
