"""Skeleton: joint names, limbs, mirror pairs and sigmas of one set of keypoints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posewright.errors import nearest
from posewright.files.fields import text_of, typed

__all__ = ["MOST_JOINTS", "PartName", "Skeleton", "is_mirror"]

PartName = Literal["body", "face", "left_hand", "right_hand", "hand"]

MOST_JOINTS = 1000  # that a file may state; the largest published skeletons have about 300
_PART_WEIGHT = 2.0  # what a face or a hand counts for, in joints of the body

_FINGERS = re.compile("(?:^|_)(?:hand_root|thumb|(?:fore)?finger)")
_FACE = re.compile(
    "(?:^|_)(?:jaw|chin|(?:eye)?brow|contour|nose_bridge|nose_base|nostril|ala[0-9]|eye_rim|"
    "eye_middle|lid[0-9]|lip|mouth|pupil)"
)


@dataclass(frozen=True)
class Skeleton:
    """Joint names, limbs, mirror pairs and OKS sigmas of one keypoint set.

    joints: K names, left and right ones beginning with "left_" and "right_".  links: pairs of joint
    numbers to draw.  sigmas: K per-joint standard deviations of the OKS metric (COCO), in units of
    the square root of the person's area.  mirror: K numbers of the joints' mirror images, where
    they do not follow from the names; a ValueError where they are not pairs.
    """

    name: str
    joints: tuple[str, ...]
    links: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()
    mirror: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.joints)) != len(self.joints):
            raise ValueError(f"skeleton {self.name!r} names a joint twice")
        if self.sigmas and len(self.sigmas) != len(self.joints):
            raise ValueError(
                f"skeleton {self.name!r}: {len(self.joints)} joints, {len(self.sigmas)} sigmas"
            )
        if self.mirror and not is_mirror(self.mirror, len(self.joints)):
            raise ValueError(f"skeleton {self.name!r}: mirror must pair its {len(self)} joints")

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
        """(K,) number of each joint's mirror image, by `mirror`, else by name; itself without."""
        return np.array(self.mirror or self.named_mirror, np.int64)

    @cached_property
    def named_mirror(self) -> tuple[int, ...]:
        """K numbers of the joints' mirror images by their names alone."""
        other = {"left": "right", "right": "left"}
        where = {j: i for i, j in enumerate(self.joints)}
        parts = [j.partition("_") for j in self.joints]
        mirrors = [other.get(side, side) + bar + rest for side, bar, rest in parts]
        return tuple(where.get(m, i) for i, m in enumerate(mirrors))

    @cached_property
    def oks_sigmas(self) -> NDArray[np.float32]:
        """(K,) sigmas as an array; 0.05 for each joint of a skeleton that states none."""
        return np.array(self.sigmas or [0.05] * len(self), np.float32)

    @cached_property
    def parts(self) -> tuple[PartName, ...]:
        """K names of the parts that the joints belong to; feet are of the body."""
        return tuple(_part(joint) for joint in self.joints)

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """(K,) what each joint counts for where people are compared.

        1 for a joint of the body; the joints of a face share 2, and so do those of a hand, so that
        110 of the 133 joints of a whole body do not outweigh it.  1 without a body.
        """
        if "body" not in self.parts:
            return np.ones(len(self), np.float32)
        count = self.parts.count
        each = [1.0 if p == "body" else min(_PART_WEIGHT / count(p), 1) for p in self.parts]
        return np.array(each, np.float32)

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
        data = {
            "name": self.name,
            "joints": list(self.joints),
            "links": [list(pair) for pair in self.links],
            "sigmas": list(self.sigmas),
        }
        return data | {"mirror": list(self.mirror)} if self.mirror else data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Skeleton:
        """Read what `to_dict` wrote; ValueError for anything else, KeyError for a missing key."""
        if not isinstance(data, Mapping):
            raise ValueError(f"{ascii(data)[:40]} is not a skeleton")
        joints = typed(data["joints"], tuple[str, ...])
        if len(joints) > MOST_JOINTS:
            raise ValueError(f"a skeleton of {len(joints)} joints")
        links = typed(data.get("links", ()), tuple[tuple[int, int], ...])
        if not all(0 <= end < len(joints) for link in links for end in link):
            raise ValueError(f"a link has a joint outside of 0 to {len(joints) - 1}")
        sigmas = typed(data.get("sigmas", ()), tuple[float, ...])
        if not all(sigma > 0 for sigma in sigmas):
            raise ValueError("a sigma is not positive")
        mirror = typed(data.get("mirror", ()), tuple[int, ...])
        return cls(text_of(data["name"]), joints, links, sigmas, mirror)


def is_mirror(numbers: Sequence[int], joints: int) -> bool:
    """Tell whether `numbers` are those of the mirror images of so many joints: pairs, or itself."""
    return len(numbers) == joints and all(
        0 <= j < joints and numbers[j] == i for i, j in enumerate(numbers)
    )


def _part(joint: str) -> PartName:
    side = next((s for s in ("left", "right") if joint.startswith(s + "_")), "")
    if _FINGERS.search(joint):
        return "left_hand" if side == "left" else "right_hand" if side else "hand"
    return "face" if _FACE.search(joint) else "body"
