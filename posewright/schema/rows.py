"""Results as rows of JSON, and back: lossless, and with what the reader does not know kept.

A row is a frame (`row`), before it stands what holds for many of them (`header`).  Numbers are the
shortest decimals that read back as the same float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from posewright.files.fields import text_of, typed
from posewright.files.names import is_picture
from posewright.files.values import finite, plain
from posewright.people import OPTIONAL, Floats, People, Status, triples
from posewright.schema import FORMAT, READ, VERSION
from posewright.skeletons import Skeleton

if TYPE_CHECKING:
    from posewright.results import Result

__all__ = ["aspect", "fields", "header", "number", "read_header", "row", "sequence_of", "whole"]

_HEADER = ("format", "version", "skeleton")
_FRAME = ("source", "sequence", "frame", "time", "size", "status", "message", "people")
_SOMETIMES = ("header", "pixel_aspect", "speed")
_PERSON = ("id", "box", "box_score", "keypoints", *OPTIONAL)


def header(skeleton: Skeleton | None, run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the header of frames: their joints, and what the run that found them used."""
    joints = None if skeleton is None else skeleton.to_dict()
    return {"format": FORMAT, "version": VERSION, "skeleton": joints, **run}


def read_header(data: Mapping[str, Any]) -> tuple[Skeleton | None, dict[str, Any]]:
    """Return the joints and the other entries of a header; one of files.values.BROKEN otherwise."""
    version = data["version"]
    if version not in READ:
        raise ValueError(
            f"version {ascii(version)[:40]}, this program reads version "
            f"{' and '.join(map(str, READ))}"
        )
    joints = data["skeleton"]
    skeleton = None if joints is None else Skeleton.from_dict(joints)
    return skeleton, {key: value for key, value in data.items() if key not in _HEADER}


def row(result: Result) -> dict[str, Any]:
    """Return the row of a frame; how long it took is not in it, as that differs between runs."""
    data: dict[str, Any] = {
        "source": result.source,
        "sequence": sequence_of(result),
        "frame": result.frame,
        "time": float(result.time),
        "size": list(result.size),
    }
    if result.pixel_aspect != 1:
        data["pixel_aspect"] = float(result.pixel_aspect)
    data |= {"status": result.status, "message": result.message, "people": _people(result.people)}
    return data | dict(result.extra)


def fields(data: Mapping[str, Any], skeleton: Skeleton) -> dict[str, Any]:
    """Return the arguments of the Result that a row describes; one of BROKEN for another object."""
    speed, people = data.get("speed", {}), data["people"]
    if not isinstance(speed, dict) or not isinstance(people, list):
        raise ValueError("speed is not an object or people is not a list")
    source = text_of(data["source"])
    known = {*_FRAME, *_SOMETIMES}
    return {
        "people": _read_people(people, skeleton),
        "skeleton": skeleton,
        "size": typed(data["size"], tuple[int, int]),
        "source": source,
        "frame": whole(data["frame"]),
        "time": number(data["time"]),
        "status": typed(data["status"], Status),
        "message": text_of(data["message"]),
        "speed": {text_of(stage): number(ms) for stage, ms in speed.items()},
        # earlier versions wrote no sequence
        "sequence": text_of(data.get("sequence", "")) or _sequence(source),
        "pixel_aspect": aspect(data.get("pixel_aspect", 1.0)),
        "extra": {key: value for key, value in data.items() if key not in known},
    }


def sequence_of(result: Result) -> str:
    """Return the sequence that a result belongs to: an image's folder, else the source itself."""
    return result.sequence or _sequence(result.source)


def _sequence(source: str) -> str:
    return str(PurePath(source).parent) if is_picture(source) else source


def whole(value: Any) -> int:
    """Return a frame's number; a ValueError for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise ValueError(f"frame {ascii(value)[:40]}")
    return value


def _identity(value: Any) -> int:
    """Return a person's identity; a ValueError for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value < 1 << 63:
        raise ValueError(f"id {ascii(value)[:40]} is not an integer of at least -1")
    return value


def _numbers(value: Any) -> Floats:
    """Return float32; a ValueError for text, true, false, null, NaN and infinity."""
    for each in np.array(value, object).ravel().tolist():
        if isinstance(each, bool) or not isinstance(each, (int, float, np.number)):
            raise ValueError(f"{ascii(each)[:40]} is not a number")
    return finite(value)


def number(value: Any) -> float:
    """Return a time, which may be long after 1970; a ValueError for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e15:
        raise ValueError(f"time {ascii(value)[:40]}")
    return float(value)


def aspect(value: Any) -> float:
    """Return a pixel's width over its height; a ValueError for what no video has."""
    if not 1e-3 <= number(value) <= 1e3:
        raise ValueError(f"pixel_aspect {value:g}")
    return float(value)


def _people(people: People) -> list[dict[str, Any]]:
    columns = {
        "id": people.ids.tolist(),
        "box": plain(people.boxes),
        "box_score": plain(people.box_scores),
        "keypoints": plain(triples(people)),
    }
    rows: list[dict[str, Any]] = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    for name in OPTIONAL:
        array = getattr(people, name)
        if array is None:
            continue
        for person, values in zip(rows, array, strict=True):
            if not np.isnan(values).all():
                numbers = plain(np.nan_to_num(values))
                person[name] = [
                    None if gone else n for n, gone in zip(numbers, np.isnan(values), strict=True)
                ]
    if people.extra is not None:
        rows = [person | dict(more or {}) for person, more in zip(rows, people.extra, strict=True)]
    return rows


def _read_people(entries: list[dict[str, Any]], skeleton: Skeleton) -> People:
    if not entries:
        return People.empty(skeleton)
    points = _numbers([e["keypoints"] for e in entries]).reshape(len(entries), -1, 3)
    if points.shape[1] not in (0, len(skeleton)):  # none: boxes alone
        raise ValueError(f"{points.shape[1]} joints, not the {len(skeleton)} of {skeleton.name}")
    extra = [{key: v for key, v in e.items() if key not in _PERSON} for e in entries]
    return People.of(
        _numbers([e["box"] for e in entries]),
        _numbers([e["box_score"] for e in entries]),
        points[..., :2],
        points[..., 2],
        [_identity(e["id"]) for e in entries],
    ).replace(
        **{name: _optional(name, entries, points.shape[1]) for name in OPTIONAL},
        extra=np.array(extra, object) if any(extra) else None,
    )


def _optional(name: str, entries: list[dict[str, Any]], joints: int) -> Floats | None:
    """Return an optional array of people, NaN where a number is unknown; None where all are."""
    array = np.full((len(entries), joints), np.nan, np.float32)
    for line, entry in zip(array, entries, strict=True):
        if name in entry:
            values = entry[name]
            if not isinstance(values, list) or len(values) != joints:
                raise ValueError(f"{name} is not a list of {joints} numbers")
            known = [v is not None for v in values]
            line[known] = _numbers([v for v in values if v is not None])
    return None if np.isnan(array).all() else array
