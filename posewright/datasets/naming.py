"""From the joint names that a file uses to a skeleton: one spelling, mirror pairs, sigmas."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from posewright.datasets.findings import Notes
from posewright.skeletons import (
    COCO17,
    COCO133,
    CROWDPOSE14,
    Skeleton,
    for_joints,
    get_skeleton,
    is_mirror,
    list_skeletons,
)

__all__ = [
    "ASSUMED",
    "canonical",
    "canonical_all",
    "mirrored",
    "skeleton_of",
    "spellings",
    "stated_mirror",
    "stated_names",
    "unnamed",
]

ASSUMED = "joints without names"  # begins the remark about joints that were taken for known ones
_SIDES = {
    "left": "left",
    "right": "right",
    "l": "left",
    "r": "right",
    "lt": "left",
    "rt": "right",
    "lft": "left",
    "rgt": "right",
}
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}
# A side that begins or ends a word without a gap: "lefteye", "eyeleft", "leye", "eyel", "l1".
_GLUED = (
    re.compile(r"(?P<side>left|right)(?P<rest>.+)"),
    re.compile(r"(?P<rest>.+)(?P<side>left|right)"),
    re.compile(r"(?P<side>l|r)(?P<rest>.+)"),
    re.compile(r"(?P<rest>.+)(?P<side>l|r)"),
)
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
# What is left of a sided joint of ours without its side and its gaps: "bigtoe" -> "big_toe".
_PARTS = {
    part.replace("_", ""): part
    for name in _SIGMAS
    for side, _, part in [name.partition("_")]
    if side in _OTHER
}
DEFAULT_SIGMA = 0.05  # that of a skeleton that states none, as in Skeleton.oks_sigmas


def canonical(name: str) -> str:
    """Return "Right Shoulder", "RShoulder", "shoulder_r" or "rightshoulder" in one spelling.

    Lower case with underscores, the side in front, and the names of posewright.skeletons.
    """
    return _renamed(_spelling(name, frozenset()))


def _words(name: str) -> tuple[str, ...]:
    """Return a name's words in lower case: "LShoulder", "Shoulder.L" and "l_shoulder" have two."""
    name = unicodedata.normalize("NFKC", name).strip()  # also full-width letters
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return tuple(w for w in re.split(r"[\W_]+", spaced.lower()) if w)


def _spelling(name: str, others: frozenset[tuple[str, ...]]) -> str:
    """Return lower case with underscores and the side in front.

    others: the words of all names of the set.  They decide where a word only may hold a side:
    "leye" has one beside "reye", but "lip", "rear" and "ring" have none.
    """
    words = _words(name)
    if not words:
        return name
    side, rest = _plain_side(words) or _doubtful_side(words, others) or ("", words)
    return "_".join([side, *rest] if side else rest)


def _plain_side(words: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """Return the side and the other words, where one word is a side: left, right, or l, lt outside.

    None where no word is a side, or where two are.
    """
    full = [i for i, w in enumerate(words) if w in ("left", "right")]
    ends = [i for i in sorted({0, len(words) - 1}) if len(words) > 1 and words[i] in _SIDES]
    at = full or ends[:1]
    if len(at) != 1:
        return None
    return _SIDES[words[at[0]]], words[: at[0]] + words[at[0] + 1 :]


def _doubtful_side(
    words: tuple[str, ...], others: frozenset[tuple[str, ...]]
) -> tuple[str, tuple[str, ...]] | None:
    """Return a side inside a word, or that is a letter between words, and what is left.

    It counts where the same name with the other side is among `others`, and where "left" or
    "right" is joined to a part of the body that we know.
    """
    if any(w in ("left", "right") for w in words):  # two of them: left_to_right lies between
        return None
    for at, word in enumerate(words):
        if word in ("l", "r") and _instead(words, at, _OTHER[word]) in others:
            return _SIDES[word], words[:at] + words[at + 1 :]
    for glued in _GLUED:
        for at, word in enumerate(words):
            found = glued.fullmatch(word)
            if found is None:
                continue
            side, rest = found["side"], found["rest"]
            begin, end = found.span("side")
            twin = word[:begin] + _OTHER[side] + word[end:]
            known = len(words) == 1 and rest in _PARTS
            far = (_SIDES[_OTHER[side]], *_PARTS[rest].split("_")) if known else ()
            if (known and len(side) > 1) or {far, _instead(words, at, twin)} & others:
                return _SIDES[side], _instead(words, at, _PARTS[rest] if known else rest)
    return None


def _instead(words: tuple[str, ...], at: int, word: str) -> tuple[str, ...]:
    return (*words[:at], word, *words[at + 1 :])


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
    listed = list(names)
    own = _unnumbered(listed)
    others = frozenset(map(_words, own))
    plain = {name: _spelling(text, others) for name, text in zip(listed, own, strict=True)}
    taken = set(plain.values())
    counts = Counter(_renamed(spelling) for spelling in taken)
    renamed = {
        p: r
        for p in taken
        if counts[r := _renamed(p)] == 1 and not (p == "head" and "belly" in taken)
    }
    return {name: renamed.get(p, p) for name, p in plain.items()}


def _unnumbered(names: Sequence[str]) -> list[str]:
    """Return the names without their numbers in front: 0:nose, 01_left_hip, where all have one."""
    found = [re.fullmatch(r"\s*(\d+)[\W_]+(?=.*[^\W\d_])(.+)", name) for name in names]
    parts = {(match[1], match[2]) for match in found if match}
    apart = len({n for n, _ in parts}) == len(parts) == len({_words(text) for _, text in parts})
    return [match[2] for match in found if match] if all(found) and apart else list(names)


def canonical_all(names: Sequence[str]) -> tuple[str, ...]:
    """Return each name's one spelling; names of one spelling stay as they are."""
    found = spellings(names)
    counts = Counter(found.values())
    spelt = tuple(found[name] if counts[found[name]] == 1 else name for name in names)
    return spelt if len(set(spelt)) == len(found) else tuple(names)


def skeleton_of(
    names: Sequence[str],
    links: Sequence[tuple[int, int]] = (),
    name: str = "custom",
    stated: Any = None,
    mirror: Sequence[int] = (),
) -> Skeleton:
    """Return the known skeleton with these joints in this order, else one made from the names.

    links: pairs of joint numbers from 0.  stated: K positive sigmas that a file gives, also for
    known joints; anything else counts as none.  mirror: the file's own table of mirror images,
    which counts before left and right in the names.  Sigmas that are not stated are COCO's for the
    names that it knows and 0.05 for all others.
    """
    joints = canonical_all(names)
    given = _positive(stated, len(joints))
    for known in map(get_skeleton, list_skeletons()):
        if known.joints == joints:
            own = bool(given) and not np.allclose(given, known.oks_sigmas)
            same = replace(known, name=name, sigmas=given) if own else known
            return mirrored(same, mirror, name)
    pairs = tuple((a, b) for a, b in links if a != b and 0 <= min(a, b) <= max(a, b) < len(joints))
    sigmas = given or tuple(_SIGMAS.get(joint, DEFAULT_SIGMA) for joint in joints)
    own_skeleton = Skeleton(name, joints, pairs or _known_links(joints), sigmas)
    return mirrored(own_skeleton, mirror, name)


def mirrored(skeleton: Skeleton, mirror: Sequence[int], name: str) -> Skeleton:
    """Return the skeleton with these mirror images, called `name`; itself where it has them.

    Nothing given leaves it as it is; a ValueError where the numbers are no pairs.  A table of a
    skeleton without pairs is kept also where it has none: then it is stated that there are none.
    """
    known = any(i != j for i, j in enumerate(skeleton.named_mirror))
    if not mirror or (known and tuple(mirror) == skeleton.named_mirror):
        return skeleton
    return replace(skeleton, name=name, mirror=tuple(mirror))


def unnamed(count: int, label: str, mirror: Sequence[int] = ()) -> tuple[Skeleton, str]:
    """Return the skeleton of a file that names none of its `count` joints, and what was assumed.

    label: name of the class, "" where there is none.  A person's joints are those of the published
    skeleton with as many, unless the file's table of mirror images says otherwise; the assumption
    is "" where the table confirms it.  All others are joint_0, joint_1 ...
    """
    known = for_joints(count) if label.lower() in ("", "person") else None
    if known is not None and (not mirror or tuple(mirror) == known.named_mirror):
        text = f"{ASSUMED}: assumed to be those of {known.name}, which also has {count}"
        return known, "" if mirror else f"{text}; name them if they are different"
    own = Skeleton(f"joints{count}", tuple(f"joint_{i}" for i in range(count)))
    return mirrored(own, mirror, own.name), ""


def stated_names(value: Any) -> list[str]:
    """Return the names of joints that a file states; none where they are no list of texts."""
    good = isinstance(value, list) and all(isinstance(n, str) and n.strip() for n in value)
    return list(value) if good else []


def stated_mirror(table: Any, joints: int, notes: Notes, place: object) -> tuple[int, ...]:
    """Return a file's own table of mirror images; (), noted, where it is no table of pairs.

    Nothing stated is () without a note.
    """
    if table is None:
        return ()
    whole = isinstance(table, list) and all(type(i) is int for i in table)
    if whole and is_mirror(table, joints):
        return tuple(table)
    notes.add(f"flip table ignored: it must pair the numbers 0 to {joints - 1}", place)
    return ()


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
