"""Tracks from files: MOTChallenge text and PoseTrack 2018 JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from posewright.errors import SourceError, UsageError
from posewright.files.contents import contents
from posewright.files.values import BROKEN, load, natural, switch
from posewright.metrics.box_tracks import BoxFrame, grown_extents
from posewright.metrics.pck import head_sizes
from posewright.metrics.posetrack import PoseFrame
from posewright.metrics.tracking import Sight, box_distances
from posewright.people import Doubles, Ints
from posewright.skeletons import POSETRACK15, POSETRACK17

__all__ = ["read_mot", "read_posetrack", "read_posetrack_boxes"]

Entries = list[Mapping[str, Any]]
T = TypeVar("T")

_LONGEST = 1000  # characters of a line of numbers

JOINTS = POSETRACK17.mapping(POSETRACK15)  # of the files, in the evaluator's order


def read_mot(labels: str | Path, found: str | Path, least: float = 0.5) -> list[Sight]:
    """Read MOTChallenge files of one sequence: frame, id, left, top, width, height, confidence ...

    Labels of confidence 0 are not to be found and are left out.  least: overlap from which a pair
    has a distance; HOTA begins at 0.05.  SourceError for broken lines and
    for an identity that is twice in a frame.
    """
    truth, boxes = _mot(Path(labels)), _mot(Path(found))
    truth = truth[truth[:, 6] != 0]
    frames = np.unique(np.concatenate([truth[:, 0], boxes[:, 0]]))
    sights = []
    for a, b in zip(_by_frame(truth, frames), _by_frame(boxes, frames), strict=True):
        distances = box_distances(a[:, 2:6], b[:, 2:6], least)
        sights.append(Sight(a[:, 1].astype(np.int64), b[:, 1].astype(np.int64), distances))
    return sights


def _by_frame(rows: Doubles, frames: Doubles) -> list[Doubles]:
    """Return the rows of each frame."""
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    return np.split(rows, np.searchsorted(rows[:, 0], frames))[1:]


def _mot(path: Path) -> Doubles:
    """Return (N, 7) of a file; confidence 1 where it is not stated."""
    try:
        lines = contents(path).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {path} as text ({error}); check the name") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            if len(line) > _LONGEST:
                raise ValueError(f"it has more than {_LONGEST} characters")
            values = [float(v) for v in line.replace(",", " ").split()[:7]]
            rows.append([*values[:6], *(values[6:] or [1.0])])
            if len(values) < 6 or not np.isfinite(values).all():
                raise ValueError("six finite numbers were expected")
        except ValueError as error:
            raise SourceError(f"{path}, line {number} is broken ({error})") from error
    table = np.array(rows, np.float64).reshape(-1, 7)
    twice = len(table) - len({(f, i) for f, i in table[:, :2].tolist()})
    if twice:
        raise SourceError(
            f"{path} has {twice} lines that repeat an id within a frame; keep one of them"
        )
    return table


def read_posetrack(labels: str | Path, found: str | Path) -> list[list[PoseFrame]]:
    """Read PoseTrack 2018 files, or folders of one file per sequence with equal names.

    Frames that are not labelled are left out.  SourceError for a file that is broken or has no
    counterpart, UsageError where that has other frames.
    """
    return _sequences(Path(labels), Path(found), _frame)


def read_posetrack_boxes(
    labels: str | Path, found: str | Path
) -> tuple[list[list[BoxFrame]], bool]:
    """Read the same files as boxes with identities, and whether these are the files' own.

    They are where everybody has a `bbox`, in the labels and in the results; otherwise all of them
    are the extents of joints (`grown_extents`).  Crowds and people without labelled joints are left
    out.  Errors as above.
    """
    both = _sequences(Path(labels), Path(found), _boxes)
    own = all(frame is not None for frames in both for frame, _ in frames)
    return [[a if own and a is not None else b for a, b in frames] for frames in both], own


def _sequences(labels: Path, found: Path, make: Callable[[Entries, Entries], T]) -> list[list[T]]:
    """Return what `make` makes of the labels and results of each frame, by sequence."""
    if not labels.is_dir():
        return _sequence(labels, found, make)
    files = sorted(labels.glob("*.json"), key=lambda f: natural(f.name))
    missing = [f.name for f in files if not os.path.isfile(found / f.name)]
    if missing or not files:
        what = f"{found / missing[0]} is not there" if missing else f"{labels} holds no .json"
        raise SourceError(f"{what}; give two folders with files of the same names")
    return [frames for file in files for frames in _sequence(file, found / file.name, make)]


def _sequence(labels: Path, found: Path, make: Callable[[Entries, Entries], T]) -> list[list[T]]:
    """Return the sequences of one file."""
    truth, results = load(labels), load(found)
    try:
        images = [i for i in truth["images"] if i.get("is_labeled", True)]
        known = {i["id"] for i in truth["images"]}
        people, poses = _grouped(truth["annotations"]), _grouped(results["annotations"])
        unknown = [image for image in poses if image not in known]
        if unknown:
            raise UsageError(
                f"{found}: {len(unknown)} of {len(poses)} image_ids are not in {labels}, e.g. "
                f"{unknown[0]!r}; give the labels of the same images"
            )
        videos: dict[Any, list[T]] = {}
        for image in sorted(images, key=lambda i: i["id"]):
            frame = make(people.get(image["id"], []), poses.get(image["id"], []))
            videos.setdefault(image.get("vid_id"), []).append(frame)
        return list(videos.values())
    except UsageError:
        raise
    except BROKEN as error:
        raise SourceError(
            f"{labels} or {found} is not a PoseTrack 2018 file ({error!r}); write it again"
        ) from error


def _grouped(entries: Sequence[Mapping[str, Any]]) -> dict[Any, Entries]:
    groups: dict[Any, Entries] = {}
    for entry in entries:
        groups.setdefault(entry["image_id"], []).append(entry)
    return groups


def _frame(people: Entries, poses: Entries) -> PoseFrame:
    """Make a frame of labels and results; people without joints or head box are left out."""
    people = [p for p in people if p.get("keypoints") and p.get("bbox_head")]
    heads = np.array([p["bbox_head"] for p in people], np.float64).reshape(-1, 4)
    heads[:, 2:] += heads[:, :2]
    found = [_found(p) for p in poses]
    return PoseFrame(
        _points([p["keypoints"] for p in people]),
        head_sizes(heads),
        np.stack(found) if found else np.zeros((0, len(JOINTS), 3)),
        _names(people),
        _names(poses),
    )


def _names(entries: Entries) -> Ints:
    """Return (N,) identities of a frame, each of them once."""
    names = np.array([p["track_id"] for p in entries], np.int64)
    if len(np.unique(names)) < len(names):
        raise ValueError(f"a track_id twice in image {entries[0]['image_id']}")
    return names


def _boxes(people: Entries, poses: Entries) -> tuple[BoxFrame | None, BoxFrame]:
    """Make a frame of the boxes that the files state, if all do, and one of joints' extents."""
    people = [p for p in people if p.get("keypoints") and not switch(p.get("iscrowd"))]
    truth = _points([p["keypoints"] for p in people])
    rows = np.flatnonzero((truth[:, :, 2] > 0).any(1))
    people, truth = [people[row] for row in rows], truth[rows]
    names = _names(people), _names(poses)
    found = np.array([_found(p) for p in poses]).reshape(-1, len(JOINTS), 3)
    extents = BoxFrame(grown_extents(truth), grown_extents(found), *names)
    if not all(p.get("bbox") for p in (*people, *poses)):
        return None, extents
    return BoxFrame(_sides(people), _sides(poses), *names), extents


def _sides(entries: Entries) -> Doubles:
    """Return (N, 4) left, top, width, height."""
    boxes = np.array([p["bbox"] for p in entries], np.float64)
    if not np.isfinite(boxes).all() or (len(boxes) and boxes.shape[1:] != (4,)):
        raise ValueError(f"bbox of shape {boxes.shape[1:]}, expected 4 finite numbers")
    return boxes.reshape(-1, 4)


def _points(lists: list[list[float]]) -> Doubles:
    if not lists:
        return np.zeros((0, len(JOINTS), 3))
    points = np.array(lists, np.float64).reshape(len(lists), -1, 3)
    if not np.isfinite(points).all() or points.shape[1] != len(POSETRACK17):
        raise ValueError(
            f"keypoints of shape {points.shape[1:]}, expected finite numbers of shape (17, 3)"
        )
    return points[:, JOINTS]


def _found(pose: Mapping[str, Any]) -> Doubles:
    """Return (15, 3) with scores, which stand in a list or in place of v."""
    points: Doubles = _points([pose["keypoints"]])[0]
    scores = pose.get("scores") or []
    if len(scores):
        points[:, 2] = np.where(points[:, 2] > 0, np.array(scores, np.float64)[JOINTS], 0.0)
    return points
