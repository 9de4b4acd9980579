"""From the joint names that a file uses to a skeleton: one spelling, mirror pairs, sigmas."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from posewright.skeletons import (
    COCO17,
    COCO133,
    CROWDPOSE14,
    Skeleton,
    get_skeleton,
    list_skeletons,
)

__all__ = ["canonical", "canonical_all", "skeleton_of", "spellings"]

_SIDES = {"left": "left", "right": "right", "l": "left", "r": "right"}
_SAME = {
    "head": "top_head",
    "head_top": "top_head",
    "top_of_head": "top_head",
    "upper_neck": "neck",
    "head_bottom": "neck",
    "pelvis": "mid_hip",
}
_SIGMAS = {
    name: sigma
    for skeleton in (COCO133, CROWDPOSE14, COCO17)  # the last that knows a name decides
    for name, sigma in zip(skeleton.joints, skeleton.sigmas, strict=True)
}
DEFAULT_SIGMA = 0.05  # that of a skeleton that states none, as in Skeleton.oks_sigmas


def canonical(name: str) -> str:
    """Return "Right Shoulder", "rShoulder", "shoulder_r" or "medial_right_bow" in one spelling.

    Lower case with underscores, the side in front, and the names of posewright.skeletons.
    """
    return _renamed(_spelling(name))


def _spelling(name: str) -> str:
    """Return lower case with underscores and the side in front."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    words = [w for w in re.split(r"[\W_]+", spaced.lower()) if w]
    full = [i for i, w in enumerate(words) if w in ("left", "right")]
    ends = [i for i in sorted({0, len(words) - 1}) if len(words) > 1 and words[i] in ("l", "r")]
    at = full if len(full) == 1 else [] if full else ends[:1]
    side = [_SIDES[words[i]] for i in at]
    rest = [w for i, w in enumerate(words) if i not in at]
    return "_".join([*side, *rest]) if words else name


def _renamed(spelling: str) -> str:
    """Return the name that posewright.skeletons has for the same joint."""
    side, bar, rest = spelling.partition("_")
    if side in ("left", "right"):
        return side + bar + _SAME.get(rest, rest)
    return _SAME.get(spelling, spelling)


def spellings(names: Iterable[str]) -> dict[str, str]:
    """Return each name -> its one spelling; a renaming that would merge two joints is not done.

    A set with a belly (J-HMDB) marks the middle of the head, not its top: its head stays head.
    """
    plain = {name: _spelling(name) for name in names}
    taken = set(plain.values())
    counts = Counter(_renamed(spelling) for spelling in taken)
    renamed = {
        p: r
        for p in taken
        if counts[r := _renamed(p)] == 1 and not (p == "head" and "belly" in taken)
    }
    return {name: renamed.get(p, p) for name, p in plain.items()}


def canonical_all(names: Sequence[str]) -> tuple[str, ...]:
    """Return each name's one spelling, or all as they are where two would become the same."""
    found = spellings(names)
    several = len(set(found.values())) < len(found)
    return tuple(names) if several else tuple(found[name] for name in names)


def skeleton_of(
    names: Sequence[str],
    links: Sequence[tuple[int, int]] = (),
    name: str = "custom",
    stated: Any = None,
) -> Skeleton:
    """Return the known skeleton with these joints in this order, else one made from the names.

    links: pairs of joint numbers from 0.  stated: K positive sigmas that a file gives, also for
    known joints; anything else counts as none.  Mirror pairs follow from left and right; sigmas
    that are not stated are COCO's for the names that it knows and 0.05 for all others.
    """
    joints = canonical_all(names)
    given = _positive(stated, len(joints))
    for known in map(get_skeleton, list_skeletons()):
        if known.joints == joints:
            own = bool(given) and not np.allclose(given, known.oks_sigmas)
            return replace(known, name=name, sigmas=given) if own else known
    pairs = tuple((a, b) for a, b in links if a != b and 0 <= min(a, b) <= max(a, b) < len(joints))
    sigmas = given or tuple(_SIGMAS.get(joint, DEFAULT_SIGMA) for joint in joints)
    return Skeleton(name, joints, pairs or _known_links(joints), sigmas)


def _positive(stated: Any, count: int) -> tuple[float, ...]:
    """Return the sigmas of a file where they are `count` positive numbers, else none."""
    if not isinstance(stated, list) or len(stated) != count:
        return ()
    good = all(isinstance(s, (int, float)) and 0 < s < 10 for s in stated)
    return tuple(float(s) for s in stated) if good else ()


def _known_links(joints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Return COCO's limbs between those of its joints that are among `joints`."""
    where = {joint: i for i, joint in enumerate(joints)}
    named = [(COCO17.joints[a], COCO17.joints[b]) for a, b in COCO17.links]
    return tuple((where[a], where[b]) for a, b in named if a in where and b in where)
