"""Values of all entries of a COCO file as arrays, with one line about the first that lacks them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from posewright.errors import SourceError, UsageError, counted
from posewright.files.values import BROKEN
from posewright.people import Doubles
from posewright.skeletons import whole_body

__all__ = [
    "WHOLE_BODY",
    "areas_of",
    "boxes_of",
    "column",
    "complete",
    "each",
    "fields_of",
    "keypoints_of",
]

# How many of its 133 joints COCO-WholeBody has in each field, in order.
WHOLE_BODY = {name: len(joints) for name, joints in whole_body.WHOLE_BODY.items()}


def complete(
    entries: list[Any], fields: Mapping[str, int], path: Path
) -> tuple[list[Any], list[str]]:
    """Return entries that all have as many joints, and lines about those left out.

    Nobody's list may be empty: then no joint is labelled.  Where nobody has as many joints,
    everybody is kept for the error of `_points`.
    """
    wanted = {name: 3 * joints for name, joints in fields.items()}
    sizes = [{n: _length(e.get(n)) for n in wanted} for e in entries]
    if all(size == wanted for size in sizes) or wanted not in sizes:
        return entries, []
    empty = dict.fromkeys(wanted, 0)
    kept = [
        entry if size == wanted else {**entry, **{n: [0] * k for n, k in wanted.items()}}
        for entry, size in zip(entries, sizes, strict=True)
        if size in (wanted, empty)
    ]
    lost = len(entries) - len(kept)
    what = counted(lost, "annotation")
    text = f"{path}: {what} skipped: the number of joints is not {sum(fields.values())}"
    return kept, [text] if lost else []


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def each(entries: list[Any], get: Callable[[Any], Any], path: Path) -> list[Any]:
    """Return a value of every entry; a SourceError names the first that lacks it."""
    try:
        return [get(entry) for entry in entries]
    except BROKEN:
        bad = [(n, why) for n, why in enumerate(_failures(entries, get)) if why]
        raise SourceError(
            f"{path}: {len(bad)} of {len(entries)} entries are broken (entry {bad[0][0]}: "
            f"{bad[0][1]}); write it again"
        ) from None


def _failures(entries: list[Any], get: Callable[[Any], Any]) -> Iterable[str]:
    for entry in entries:
        try:
            get(entry)
            yield ""
        except BROKEN as error:
            yield repr(error)


def column(entries: list[Any], get: Callable[[Any], Any], path: Path) -> Doubles:
    values = np.array(each(entries, lambda e: float(get(e)), path), np.float64)
    return _checked(values, path)


def _checked(values: Doubles, path: Path) -> Doubles:
    if not np.isfinite(values).all():
        entry = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise SourceError(f"{path}: entry {entry} holds NaN or infinity; write it again")
    return values


def boxes_of(entries: list[Any], path: Path, keypoints: Doubles | None = None) -> Doubles:
    """(N, 4) left, top, width, height.

    keypoints: (N, K, 3), round whose labelled joints a box is that is absent or null.
    """
    if keypoints is not None:
        lacking = [n for n, e in enumerate(entries) if e.get("bbox") is None]
        entries = list(entries)
        for n in lacking:
            seen = keypoints[n, keypoints[n, :, 2] > 0, :2]
            low, high = (seen.min(0), seen.max(0)) if len(seen) else (np.zeros(2),) * 2
            entries[n] = {"bbox": [*low, *(high - low)]}
    flat = each(entries, lambda e: tuple(map(float, e["bbox"])), path)
    if any(len(box) != 4 for box in flat):
        raise SourceError(f"{path} has boxes that are not left, top, width, height")
    return _checked(np.array(flat, np.float64).reshape(-1, 4), path)


def areas_of(entries: list[Any], boxes: Doubles, share: float, path: Path) -> Doubles:
    """(N,) px^2: the area of each entry, `share` of its box where that is absent or null."""
    stated = each(entries, lambda e: np.nan if (a := e.get("area")) is None else float(a), path)
    absent = np.array([e.get("area") is None for e in entries], bool)
    own = boxes[:, 2] * boxes[:, 3] * share
    return _checked(np.where(absent, own, np.array(stated, np.float64)), path)


def fields_of(entries: list[Any], joints: int, whole_body: bool) -> Mapping[str, int]:
    """Return where the joints are: in COCO-WholeBody's five fields, or all in one list."""
    split = whole_body and 2 * sum("foot_kpts" in e for e in entries) > len(entries)
    return WHOLE_BODY if split else {"keypoints": joints}


def keypoints_of(entries: list[Any], fields: Mapping[str, int], path: Path) -> Doubles:
    parts = [_points(entries, field, joints, path) for field, joints in fields.items()]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, 1)


def _points(entries: list[Any], field: str, joints: int, path: Path) -> Doubles:
    """(N, joints, 3) of a flat list in every entry."""
    lists = each(entries, lambda e: e[field], path)
    sizes = set(each(lists, len, path))
    if sizes - {3 * joints}:
        wrong = max(sizes - {3 * joints})
        raise UsageError(
            f"{path} has {wrong / 3:g} joints in {field!r}, but {joints} are expected; choose the "
            f"data set it was made for"
        )
    try:
        if lists and isinstance(lists[0], np.ndarray):
            return np.stack(lists).reshape(-1, joints, 3)
        flat = np.fromiter(chain.from_iterable(lists), np.float64, 3 * joints * len(lists))
    except BROKEN as error:
        raise SourceError(
            f"{path}: {field!r} contains values that are not numbers ({error})"
        ) from error
    return _checked(flat.reshape(-1, joints, 3), path)
