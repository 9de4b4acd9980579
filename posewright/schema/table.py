"""Results as a long table, a line for each joint, and back: the form of poses.parquet.

A frame without people has one line, of person -1 and without a joint, so that no frame and no
status is lost; a person with a box alone has one line without a joint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from posewright.files.fields import text_of, typed
from posewright.files.values import finite
from posewright.people import OPTIONAL, Floats, People, Status
from posewright.schema import COLUMNS
from posewright.schema.rows import aspect, number, sequence_of, whole
from posewright.skeletons import Skeleton

if TYPE_CHECKING:
    from posewright.results import Result

__all__ = ["columns", "frames"]

Table = Mapping[str, NDArray[Any]]  # the columns of some lines

_OF_FRAME = tuple(COLUMNS)[: tuple(COLUMNS).index("person")]
_BOX = ("box_x1", "box_y1", "box_x2", "box_y2", "box_score")


def columns(result: Result) -> dict[str, Any]:
    """Return the columns of one frame by COLUMNS: arrays, or lists of text; NaN and None: null."""
    people = result.people
    n, k = people.scores.shape
    lines = max(k, 1) * n or 1
    each = np.repeat(np.arange(n), max(k, 1)) if n else np.full(1, -1)
    boxes = np.concatenate([people.boxes, people.box_scores[:, None]], 1)
    frame = {
        "source": [result.source] * lines,
        "sequence": [sequence_of(result)] * lines,
        "frame": np.full(lines, result.frame),
        "time": np.full(lines, float(result.time)),
        "width": np.full(lines, result.size[0]),
        "height": np.full(lines, result.size[1]),
        "pixel_aspect": np.full(lines, float(result.pixel_aspect)),
        "status": [result.status] * lines,
        "message": [result.message] * lines,
    }
    joints = {
        "person": each,
        "id": people.ids[each] if n else np.full(1, -1),
        "joint": list(result.skeleton.joints[:k]) * n or [None] * lines,
        "x": _flat(people.keypoints[..., 0], lines),
        "y": _flat(people.keypoints[..., 1], lines),
        "score": _flat(people.scores, lines),
        **{name: _flat(getattr(people, name), lines) for name in OPTIONAL},
        **{name: _flat(boxes[:, i][each] if n else None, lines) for i, name in enumerate(_BOX)},
    }
    return frame | joints


def _flat(values: Floats | None, lines: int) -> Floats:
    """Return one value for each line; NaN where there are none."""
    if values is None or not values.size:
        return np.full(lines, np.nan, np.float32)
    return values.ravel()


def frames(tables: Iterable[Table], skeleton: Skeleton) -> Iterator[dict[str, Any]]:
    """Yield the arguments of the Result of each frame; tables: pieces of the table, in order.

    Text is str, a missing number NaN.  ValueError: other joints than the skeleton's, people that
    are not whole, or an invalid value.
    """
    waiting: Table = {}
    for table in tables:
        if waiting:
            table = {name: np.concatenate([waiting[name], table[name]]) for name in COLUMNS}
        starts = _starts(table, skeleton)
        for start, stop in pairwise(starts):
            yield _frame({name: table[name][start:stop] for name in COLUMNS}, skeleton)
        # the last frame may go on in the next piece
        waiting = {name: table[name][starts[-1] :] for name in COLUMNS} if len(starts) else {}
    if waiting:
        yield _frame(waiting, skeleton)


def _starts(table: Table, skeleton: Skeleton) -> list[int]:
    """Return the lines where a frame begins: what names it differs, or its people start again."""
    count = len(table["frame"])
    if not count:
        return []
    where = {joint: i for i, joint in enumerate(skeleton.joints)}
    joint = np.array([where.get(name, -1) for name in table["joint"].tolist()])
    person = table["person"]
    again = (person[1:] < person[:-1]) | ((person[1:] == person[:-1]) & (joint[1:] <= joint[:-1]))
    again |= person[:-1] < 0  # nobody
    for name in _OF_FRAME:
        again |= table[name][1:] != table[name][:-1]
    return [0, *(np.flatnonzero(again) + 1).tolist()]


def _frame(lines: Table, skeleton: Skeleton) -> dict[str, Any]:
    """Return the arguments of a Result from the lines of its frame."""
    first = {name: lines[name][:1].tolist()[0] for name in _OF_FRAME}
    return {
        "people": _people(lines, skeleton),
        "skeleton": skeleton,
        "size": typed([first["width"], first["height"]], tuple[int, int]),
        "source": text_of(first["source"]),
        "frame": whole(first["frame"]),
        "time": number(first["time"]),
        "status": typed(first["status"], Status),
        "message": text_of(first["message"]),
        "sequence": text_of(first["sequence"]),
        "pixel_aspect": aspect(first["pixel_aspect"]),
    }


def _people(lines: Table, skeleton: Skeleton) -> People:
    joints = [name for name in lines["joint"].tolist() if name is not None]
    each = len(skeleton) if joints else 1
    if lines["person"][0] < 0:
        return People.empty(skeleton)
    n = len(lines["person"]) // each
    if joints != list(skeleton.joints) * n and joints:
        raise ValueError(f"the joints of frame {lines['frame'][0]} are not those of the skeleton")
    if not n or not np.array_equal(lines["person"], np.repeat(np.arange(n), each)):
        raise ValueError(f"the people of frame {lines['frame'][0]} are not whole")
    shape = n, len(skeleton) if joints else 0
    first = {name: lines[name][::each] for name in (*_BOX, "id")}
    boxes = finite(np.stack([first[name] for name in _BOX], 1))
    points = [finite(lines[name][: shape[0] * shape[1]]).reshape(shape) for name in ("x", "y")]
    scores = finite(lines["score"][: shape[0] * shape[1]]).reshape(shape)
    more: dict[str, Any] = {
        name: lines[name][: shape[0] * shape[1]].reshape(shape) for name in OPTIONAL
    }
    return People(
        boxes[:, :4],
        boxes[:, 4],
        np.stack(points, 2),
        scores,
        np.maximum(first["id"].astype(np.int64), -1),
        **{name: None if np.isnan(a).all() else a.astype(np.float32) for name, a in more.items()},
    )
