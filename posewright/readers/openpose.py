"""Read a folder of OpenPose files as results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posewright.errors import SourceError
from posewright.files.fields import text_of
from posewright.files.values import BROKEN, finite, identity, load, natural, reach, skeleton_of
from posewright.people import Floats, People
from posewright.results import Result
from posewright.skeletons import Skeleton
from posewright.skeletons.whole_body import OPENPOSE, joined

__all__ = ["Page", "Pages", "read_openpose"]


def read_openpose(folder: Path, skeleton: Skeleton | None) -> Iterator[Result]:
    """Yield the frames of a folder; a SourceError for a file that is broken.

    Hands and faces that stand in OpenPose's own lists follow the joints of the body.
    """
    found = Pages.read(folder, skeleton)
    return (page.result(found.skeleton, found.lists) for page in found.pages)


@dataclass(frozen=True)
class Pages:
    """The files of a folder, in order.

    skeleton: of everybody's joints.  lists: of hands and face that stand behind those of the body.
    """

    pages: list[Page]
    skeleton: Skeleton
    lists: list[str]

    @classmethod
    def read(cls, folder: Path, skeleton: Skeleton | None) -> Pages:
        """Read a folder; no pages where nobody is in any of them and no skeleton is given."""
        files = sorted(folder.glob("*_keypoints.json"), key=lambda file: natural(file.name))
        if not files:
            raise SourceError(
                f"{folder} holds no OpenPose files (*_keypoints.json); check the name"
            )
        pages = [Page(file, number) for number, file in enumerate(files)]
        counts = {count for page in pages for count in page.joints}
        if not counts and skeleton is None:
            return cls([], Skeleton("nobody", ()), [])
        known = skeleton_of(folder, counts, skeleton) if counts else skeleton
        assert known is not None
        pages.sort(key=lambda page: (natural(page.sequence), page.frame))
        return cls(pages, *_with_lists(known, {name for page in pages for name in page.lists}))


def _with_lists(body: Skeleton, there: set[str]) -> tuple[Skeleton, list[str]]:
    """Return the joints of a body with those of lists that are there, and these lists."""
    lists = [n for n, p in OPENPOSE.items() if n in there and not {*p.joints} <= {*body.joints}]
    whole = joined(body, *(OPENPOSE[name] for name in lists))
    if len(whole) != len(body) + sum(len(OPENPOSE[name]) for name in lists):
        return body, []  # of joints that the body has in part, its own are kept
    return whole, lists


class Page:
    """An OpenPose file; its people are read again when they are asked for.

    file: its path.  source, sequence: as the file says, or what stands before the last number in
    its name.  frame: that number.  joints: how many each of its people has.  lists: the further
    lists that somebody has.
    """

    def __init__(self, file: Path, number: int) -> None:
        self.file = file
        data, poses = _poses(file)
        self.joints = {len(pose.points) for pose in poses}
        self.lists = {name for pose in poses for name in pose.lists}
        match = re.fullmatch(r"(.*?)_?([0-9]+)_keypoints\.json", file.name)
        name, digits = (match[1], match[2]) if match else ("", str(number))
        self.frame = int(digits[-18:])
        try:
            self.source = text_of(data.get("source", name or file.name))
            self.sequence = text_of(data.get("sequence", name or file.parent.name))
        except ValueError as error:
            raise SourceError(f"{file} is not an OpenPose file ({error}); write it again") from None

    def result(self, skeleton: Skeleton, lists: list[str]) -> Result:
        """Return the people of the frame, with the joints of those lists behind their own."""
        _, poses = _poses(self.file)
        people = People.empty(skeleton)
        if poses:
            points = np.stack([pose.whole(lists) for pose in poses])
            people = People.of(
                [pose.box for pose in poses],
                [pose.box_score for pose in poses],
                points[..., :2],
                points[..., 2].clip(0, 1),
                [pose.id for pose in poses],
            )
        return Result(people, skeleton, (0, 0), self.source, self.frame, sequence=self.sequence)


class _Pose:
    """A person of an OpenPose file, checked.  points: (K, 3).  lists: those of hands and face."""

    def __init__(self, person: dict[str, Any]) -> None:
        self.points = finite(person["pose_keypoints_2d"]).reshape(-1, 3)
        lists = {n: finite(person[n]).reshape(-1, 3) for n in OPENPOSE if person.get(n)}
        self.lists = {n: rows for n, rows in lists.items() if len(rows) == len(OPENPOSE[n])}
        self.id = identity(next(iter(person.get("person_id", ())), -1))
        box, score = person.get("box"), person.get("box_score")
        self.box = reach(self.points) if box is None else finite(box).reshape(4)
        mean = self.points[:, 2].clip(0, 1).mean() if len(self.points) else 0.0
        self.box_score = float(mean if score is None else finite(score))

    def whole(self, lists: list[str]) -> Floats:
        """(K + M, 3): the joints with those of further lists, 0 where the person has none."""
        nothing = {name: np.zeros((len(OPENPOSE[name]), 3), np.float32) for name in lists}
        return np.concatenate([self.points, *({**nothing, **self.lists}[n] for n in lists)])


def _poses(file: Path) -> tuple[dict[str, Any], list[_Pose]]:
    """Return what a file holds, and its people."""
    data = load(file)
    try:
        return data, [_Pose(person) for person in data["people"]]
    except BROKEN as error:
        raise SourceError(f"{file} is not an OpenPose file ({error!r}); write it again") from error
