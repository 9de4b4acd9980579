"""Read saved poses as results, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from posewright.errors import SourceError, near
from posewright.files.address import masked, without_secrets
from posewright.files.contents import open_regular
from posewright.files.fields import parsed, text_of
from posewright.files.names import integer_in, is_picture
from posewright.files.paths import normal
from posewright.files.values import (
    BROKEN,
    corners,
    finite,
    identity,
    image_id,
    load,
    natural,
    reach,
    skeleton_of,
    why,
)
from posewright.people import People
from posewright.readers.openpose import read_openpose
from posewright.readers.table import read_table
from posewright.results import Result
from posewright.schema import FORMAT
from posewright.schema.rows import fields, read_header, whole
from posewright.skeletons import Skeleton
from posewright.skeletons.whole_body import WHOLE_BODY

__all__ = ["MOST_PEOPLE", "Entry", "flattened", "grouped", "is_jsonl", "read_results"]

MOST_PEOPLE = 1000  # of a frame: trackers compare each with each


def read_results(path: str | Path, skeleton: Skeleton | None = None) -> Iterator[Result]:
    """Yield what a writer saved, frame by frame in order.

    path: `poses.jsonl`, `poses.parquet`, `coco-results.json`, `alphapose-results.json` (of any
    flavour) or the folder `openpose`.  The last three do not name the joints: `skeleton` does, by
    default the usual one with that many joints.  They hold no image size either, (0, 0) then, and
    only frames with people; image ids are in natural order, 2.jpg before 10.jpg.  Box scores of
    COCO and AlphaPose are derived from the written score.  Where OpenPose files state no boxes,
    each is the extent of the joints, scored by their mean.  SourceError for a file that is broken
    or holds something else.  Addresses in the names are read without their secrets.
    """
    path = Path(path)
    return (_allowed(path, result) for result in _read(path, skeleton))


def _read(path: Path, skeleton: Skeleton | None) -> Iterator[Result]:
    if path.is_dir():
        return read_openpose(path, skeleton)
    if is_jsonl(path):
        return _lines(path)
    if path.suffix.lower() == ".parquet":
        return read_table(path)
    if path.suffix.lower() == ".csv":
        raise SourceError(
            f"{path}: CSV files cannot be read as results; give the poses.jsonl of --save jsonl"
        )
    return (result for result, _ in grouped(path, load(path), skeleton))


def _allowed(path: Path, result: Result) -> Result:
    """Return a result without secrets; SourceError where it has too many people to be compared."""
    if len(result) > MOST_PEOPLE:
        raise SourceError(
            f"{path}: frame {result.frame} has {len(result)} people, more than {MOST_PEOPLE}; "
            "keep those with the highest scores"
        )
    if "://" not in result.source + result.sequence + result.message:
        return result
    return result.replace(
        source=without_secrets(result.source),
        sequence=without_secrets(result.sequence),
        message=masked(result.message),
    )


def is_jsonl(path: Path) -> bool:
    """Tell whether the first line of a file is our header; the other formats carry no times."""
    try:
        with open_regular(path) as file:
            return f'"{FORMAT}"'.encode() in file.readline(1_000_000)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}{near(path)}") from error


# --- JSONL ---------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[Result]:
    skeleton: Skeleton | None = None
    run: dict[str, Any] = {}
    with open_regular(path) as file:
        for number, line in enumerate(file, 1):
            try:
                data = parsed(line)
                if "format" in data:
                    skeleton, run = read_header(data)
                elif skeleton is not None:
                    yield Result(**fields(data, skeleton), run=run)
                else:
                    raise ValueError("a frame precedes the header that names its joints")
            except BROKEN as error:
                raise SourceError(
                    f"{path}, line {number} is invalid ({why(error)}); write the file again"
                ) from error


# --- COCO results, AlphaPose ---------------------------------------------------------------------


def grouped(
    path: Path, data: Any, skeleton: Skeleton | None
) -> Iterator[tuple[Result, list[Entry]]]:
    """Yield the results of a list of people in order, and the entry of each of their people.

    data: the parsed file.  Every entry is checked before the first result leaves.
    """
    if isinstance(data, dict):
        data = flattened(data)
    if not isinstance(data, list):
        raise SourceError(
            f"{path} is not a list of people; give poses.jsonl, coco-results.json, "
            "alphapose-results.json or a folder of OpenPose files"
        )
    groups: dict[_Place, list[Entry]] = {}
    bad: list[str] = []
    for number, entry in enumerate(data):
        try:
            person = Entry(entry, number)
            groups.setdefault(person.place, []).append(person)
        except BROKEN as error:
            bad.append(f"entry {number}: {error!r}")
    if bad:
        raise SourceError(
            f"{path}: {len(bad)} of {len(data)} entries are not people with keypoints "
            f"({bad[0]}); write it again"
        )
    counts = {len(p.points) for p in chain.from_iterable(groups.values())}
    joints = skeleton_of(path, counts, skeleton) if counts else None
    places = sorted(groups, key=_Place.order)
    return (
        (_group(path, place, number, groups[place], joints), groups[place])
        for _, same in groupby(places, key=lambda place: place.sequence)
        for place, number in _numbered(list(same))
        if joints is not None
    )


def flattened(data: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the people of AlphaPose's flavours "cmu" and "open"; None for another object.

    Their lists of joints are those of the object itself.
    """
    people: list[dict[str, Any]] = []
    for image, page in data.items():
        many = page.get("bodies", page.get("people")) if isinstance(page, dict) else None
        if not isinstance(many, list):
            return None
        people += [_entry(image, person) for person in many]
    return people if data else None


def _entry(image: str, person: Any) -> dict[str, Any]:
    """Return a person as an entry of a list, scored by the mean of the joints; {} for none."""
    try:
        points = person.get("joints", person.get("pose_keypoints_2d"))
        scores = finite(points).reshape(-1, 3)[:, 2]
    except BROKEN:
        return {}
    return {
        "image_id": image,
        "keypoints": points,
        "score": float(scores.sum() / max(len(scores), 1)),
    }


@dataclass(frozen=True, slots=True)
class _Place:
    """What stands for a frame: a number or a name, and the frame of a video where it is said."""

    image: int | str
    frame: int | None = None

    @classmethod
    def of(cls, entry: dict[str, Any]) -> _Place:
        """Return the place of an entry; an error of BROKEN for one without."""
        image = entry["image_id"]
        if not isinstance(image, (int, str)):
            raise TypeError(f"image_id {image!r} is neither a number nor a name")
        if "file_name" not in entry:
            known = image_id(image if isinstance(image, int) else normal(text_of(image)))
            return cls(known if isinstance(known, str) else whole(known))
        frame = entry.get("frame")  # a running number stands in image_id
        number = None if frame is None else whole(frame)
        return cls(normal(text_of(entry["file_name"])), number)

    @property
    def sequence(self) -> str:
        """The folder of an image, a video's name, or "" for numbers and names without folder."""
        if isinstance(self.image, int):
            return ""
        if is_picture(self.image):
            return str(PurePath(self.image.replace("\\", "/")).parent).removeprefix(".")
        return self.image

    def order(self) -> tuple[Any, ...]:
        """Sort key: sequences stay together, 2.jpg comes before 10.jpg."""
        return natural(self.sequence), natural(self.image), self.frame or 0


def _numbered(places: list[_Place]) -> Iterator[tuple[_Place, int]]:
    """Yield the places of a sequence in order with the numbers of their frames.

    The numbers are those in the names of images where these grow, and otherwise count the
    images that are there.
    """
    stated = [
        p.image
        if isinstance(p.image, int)
        else p.frame
        if p.frame is not None
        else integer_in(p.image)
        for p in places
    ]
    numbers = [number for number in stated if number is not None]
    growing = all(a < b for a, b in pairwise(numbers)) and len(numbers) == len(places)
    yield from zip(places, numbers if growing else range(len(places)), strict=True)


class Entry:
    """A person of a list, checked.  points: (K, 3), 133 where it has lists of COCO-WholeBody.

    number: of the entry.  place: what stands for its frame.  lists: where its joints stand, each
    list with the number of its first joint.
    """

    def __init__(self, entry: dict[str, Any], number: int = 0) -> None:
        self.number = number
        self.place = _Place.of(entry)
        lists = {n: finite(entry[n]).reshape(-1, 3) for n in WHOLE_BODY if n in entry}
        self.points = lists["keypoints"]
        self.lists = {"keypoints": 0}
        self._scores = np.concatenate(list(lists.values()))[:, 2]
        if len(lists) > 1:  # what is absent of the 133 scores 0
            absent = {n: np.zeros((len(joints), 3), np.float32) for n, joints in WHOLE_BODY.items()}
            self.points = np.concatenate(list((absent | lists).values()))
            first = np.cumsum([0, *map(len, WHOLE_BODY.values())]).tolist()
            self.lists = {n: k for n, k in zip(WHOLE_BODY, first, strict=False) if n in lists}
        box = entry.get("bbox", entry.get("box"))
        self.box = corners(box) if box is not None else reach(self.points)
        self.box_score = self._box_score(float(finite(entry["score"])), "box" in entry)
        self.track = identity(entry.get("track_id", entry.get("idx", -1)))

    def _box_score(self, score: float, alphapose: bool) -> float:
        """Undo the writers' score rules, as far as it goes."""
        scores = self._scores if len(self._scores) else np.zeros(1, np.float32)
        mean = float(scores.mean())
        if alphapose:  # mean + box + 1.25 max
            return min(max(score - mean - 1.25 * float(scores.max()), 0.0), 1.0)
        return min(max(score / mean, 0.0), 1.0) if mean > 0 else 0.0


def _group(
    path: Path, place: _Place, number: int, group: list[Entry], skeleton: Skeleton
) -> Result:
    points = np.stack([p.points for p in group])
    people = People.of(
        [p.box for p in group],
        [p.box_score for p in group],
        points[..., :2],
        points[..., 2].clip(0, 1),
        [p.track for p in group],
    )
    source = path.name if isinstance(place.image, int) else place.image
    sequence = place.sequence or path.name
    return Result(people, skeleton, (0, 0), source, number, sequence=sequence)
