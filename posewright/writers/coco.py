"""COCO results: a list of people, as the COCO server and pycocotools read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from posewright.errors import SourceError, counted
from posewright.files.contents import contents
from posewright.files.names import file_name, integer_in, is_picture
from posewright.files.paths import PathIndex
from posewright.files.values import dumps, plain
from posewright.people import Floats, Ints, People, triples, xywh
from posewright.results import Result
from posewright.schema.rows import sequence_of
from posewright.skeletons import Skeleton
from posewright.skeletons.whole_body import WHOLE_BODY
from posewright.writers import WriterOptions
from posewright.writers.names import Sequences
from posewright.writers.text import TextWriter

__all__ = ["CocoForm", "KnownImages", "create", "person_scores"]


def create(_: str, folder: Path, options: WriterOptions) -> TextWriter:
    """Return the writer of `coco-results.json`."""
    known = None if options.coco_images is None else KnownImages.read(options.coco_images)
    form = CocoForm(known, options.several)
    return TextWriter(folder / "coco-results.json", form, options.overwrite)


def person_scores(people: People) -> Floats:
    """(N,) the score that ranks people in the evaluation: box score times mean joint score."""
    return people.box_scores * people.pose_scores


class CocoForm:
    """One entry a person: image_id, category_id, keypoints (x, y, score), score, bbox (x, y, w, h).

    COCO's joints with feet, face or hands of COCO-WholeBody stand in its lists, keypoints,
    foot_kpts, face_kpts, lefthand_kpts and righthand_kpts; all other joints in keypoints alone.

    image_id: by `known` where it is given, and images that are not in it are skipped; else the
    last integer in an image's name, or the number of a video's frame.  Where there is none or it
    is taken, a running number, with the file's name and frame in the entry.  Entries of a second
    folder or video have file_name, too.  track_id stands in the entries of tracked people only.
    """

    def __init__(self, known: KnownImages | None = None, several: bool = False) -> None:
        self.notes: list[str] = []
        self.faults: list[tuple[str, str]] = []
        self._known = known
        self._several = several
        self._sequences = Sequences()
        self._taken: set[int] = set()
        self._frames = -1  # the highest frame of a video whose frames have their own numbers
        self._running = 0
        self._said: set[str] = set()
        self._comma = ""

    def begin(self) -> str:
        return "["

    def add(self, result: Result) -> str:
        head = self._head(result) if result.status == "ok" else None
        if head is None:
            return ""
        texts = [dumps(head | entry) for entry in _entries(result.people, result.skeleton)]
        before = self._comma
        self._comma = "," if texts else before
        return "".join(f"{before if i == 0 else ','}\n{text}" for i, text in enumerate(texts))

    def end(self) -> str:
        if self._known is not None:
            self.notes += self._known.notes()
            self.faults += self._known.faults()
        return "\n]\n"

    def _head(self, result: Result) -> dict[str, Any] | None:
        """Return what says where a person is; None to leave the frame out."""
        if not is_picture(result.source):
            name = self._sequences.name(result, file_name(result.source), self._several)
            if name:
                return self._numbered(name, result.frame)
            self._frames = max(self._frames, result.frame)
            return {"image_id": result.frame}
        sequence = self._sequences.name(result, file_name(sequence_of(result)))
        name = file_name(result.source)
        path = f"{sequence}/{name}" if sequence else name
        number = integer_in(name) if self._known is None else self._known.number(result.source)
        if number is None:
            return self._numbered(path, result.frame) if self._known is None else None
        if self._known is None and (number in self._taken or number <= self._frames):
            self._note(
                "clash",
                f"image_id {number} is already used by another image, so that {result.source} and "
                "others get running numbers; rename the images or use --coco-images",
            )
            return self._numbered(path, result.frame)
        self._taken.add(number)
        return {"image_id": number, "file_name": path} if sequence else {"image_id": number}

    def _numbered(self, name: str, frame: int) -> dict[str, Any]:
        self._running = max(self._running, self._frames) + 1
        while self._running in self._taken:
            self._running += 1
        self._taken.add(self._running)
        self._note(
            "running",
            "image_id is a running number where an image's name holds no integer or several "
            "videos share frame numbers; file_name and frame say which it is",
        )
        return {"image_id": self._running, "file_name": name, "frame": frame}

    def _note(self, kind: str, text: str) -> None:
        """Say each kind of thing once."""
        if kind not in self._said:
            self._said.add(kind)
            self.notes.append(text)


class KnownImages:
    """The image ids of an annotation file, looked up by the images' paths."""

    def __init__(self, path: Path, images: Iterable[tuple[str, int]]) -> None:
        self._path = path
        self._ids: dict[str, list[int]] = {}
        for name, number in images:
            self._ids.setdefault(name, []).append(number)
        self._index = PathIndex(self._ids)
        self._used: dict[int, str] = {}
        self._unknown = self._unclear = 0
        self._first = ""  # of those that are not clear, and why

    @classmethod
    def read(cls, path: Path) -> KnownImages:
        """Read an annotation file of COCO's layout; a SourceError says what is wrong with it."""
        try:
            images = json.loads(contents(path))["images"]
            known = [(str(image["file_name"]), int(image["id"])) for image in images]
        except OSError as error:
            raise SourceError(f"--coco-images {path} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise SourceError(
                f"--coco-images {path} is not a COCO annotation file ({error!r}); it needs images "
                "with file_name and id"
            ) from error
        return cls(path, known)

    def number(self, source: str) -> int | None:
        """Return the id of an image; None where it is missing from the file or ambiguous."""
        names = self._index.find(source)
        found = sorted({number for name in names for number in self._ids[name]})
        if not found:
            self._unknown += 1
            return None
        if len(found) > 1 or found[0] in self._used:
            other = "" if len(found) > 1 else f" like {self._used[found[0]]}"
            more = f" and {len(names) - 2} more" if len(names) > 2 else ""
            text = f"{source} matches {' and '.join(names[:2])}{more}{other}"
            self._first = self._first or text
            self._unclear += 1
            return None
        self._used[found[0]] = source
        return found[0]

    def notes(self) -> list[str]:
        """Return notes on what was skipped."""
        note = (
            f"{counted(self._unknown, 'image')} skipped: not named in the annotation "
            "file of --coco-images"
        )
        return [note] if self._unknown else []

    def faults(self) -> list[tuple[str, str]]:
        """Return what is ambiguous: the file and one line."""
        fault = (
            f"--coco-images {self._path}: {counted(self._unclear, 'image')} skipped, for "
            f"matching several of its images ({self._first}); make the folders in file_name "
            "agree with those of the images"
        )
        return [(str(self._path), fault)] if self._unclear else []


def _entries(people: People, skeleton: Skeleton) -> Iterator[dict[str, Any]]:
    """Yield what a person's entry says after its image_id."""
    points = triples(people)
    columns: dict[str, Any] = {
        name: plain(points[:, joints].reshape(len(people), len(joints) * 3))
        for name, joints in _fields(skeleton).items()
    }
    columns |= {"score": plain(person_scores(people)), "bbox": plain(xywh(people))}
    for *row, track in zip(*columns.values(), people.ids.tolist(), strict=True):
        entry = {"category_id": 1} | dict(zip(columns, row, strict=True))
        yield entry if track < 0 else entry | {"track_id": track}


@lru_cache(maxsize=16)
def _fields(skeleton: Skeleton) -> dict[str, Ints]:
    """Return the numbers of the joints in each list of an entry."""
    lists = {n: joints for n, joints in WHOLE_BODY.items() if {*joints} <= {*skeleton.joints}}
    complete = "keypoints" in lists and sum(map(len, lists.values())) == len(skeleton)
    if complete and len(lists) > 1:
        return {n: np.array([skeleton[joint] for joint in lists[n]]) for n in lists}
    return {"keypoints": np.arange(len(skeleton))}
