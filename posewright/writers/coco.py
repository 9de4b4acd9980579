"""COCO results: a list of people, as the COCO server and pycocotools read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posewright.errors import UsageError
from posewright.people import Floats, People, Result
from posewright.writers import WriterOptions
from posewright.writers.names import file_name, integer_in, is_picture
from posewright.writers.text import TextWriter, dumps, plain, triples, xywh

__all__ = ["CocoForm", "create", "person_scores"]


def create(_: str, folder: Path, options: WriterOptions) -> TextWriter:
    """Return the writer of `coco-results.json`."""
    known = None if options.coco_images is None else _image_ids(options.coco_images)
    form = CocoForm(known, options.several)
    return TextWriter(folder / "coco-results.json", form, options.overwrite)


def person_scores(people: People) -> Floats:
    """(N,) the score that ranks people in the evaluation: box score times mean joint score."""
    return people.box_scores * people.pose_scores


class CocoForm:
    """One entry a person: image_id, category_id, keypoints (x, y, score), score, bbox (x, y, w, h).

    image_id: by `known` (file name -> id) where it is given, and pictures that are not in it are
    left out; else the last integer in a picture's name, or the number of a video's frame.  Where
    there is none, or several videos share the numbers, a running number, with the file's name and
    frame in the entry.  track_id stands in the entries of tracked people only.
    """

    def __init__(self, known: dict[str, int] | None = None, several: bool = False) -> None:
        self.notes: list[str] = []
        self._known = known
        self._several = several
        self._seen: set[int] = set()  # of pictures
        self._running = 0
        self._left_out = 0
        self._said: set[str] = set()
        self._comma = ""

    def begin(self) -> str:
        return "["

    def add(self, result: Result) -> str:
        head = self._head(result) if result.status == "ok" else None
        if head is None:
            return ""
        texts = [dumps(head | entry) for entry in _entries(result.people)]
        before = self._comma
        self._comma = "," if texts else before
        return "".join(f"{before if i == 0 else ','}\n{text}" for i, text in enumerate(texts))

    def end(self) -> str:
        if self._left_out:
            self.notes.append(
                f"{self._left_out} pictures are not in the annotation file of --coco-images and "
                "were left out"
            )
        return "\n]\n"

    def _head(self, result: Result) -> dict[str, Any] | None:
        """Return what says where a person is; None to leave the frame out."""
        if not is_picture(result.source):
            return self._numbered(result) if self._several else {"image_id": result.frame}
        if self._known is not None:
            number = self._known.get(file_name(result.source))
            self._left_out += number is None
            return None if number is None else {"image_id": number}
        number = integer_in(result.source)
        return (
            self._numbered(result) if number is None else {"image_id": self._unique(number, result)}
        )

    def _unique(self, number: int, result: Result) -> int:
        if number in self._seen:
            self._note(
                "clash",
                f"image_id {number} stands for more than one picture (the second is "
                f"{result.source}); name them apart or use --coco-images",
            )
        self._seen.add(number)
        return number

    def _numbered(self, result: Result) -> dict[str, Any]:
        self._running += 1
        while self._running in self._seen:
            self._running += 1
        self._note(
            "running",
            "image_id is a running number where a picture's name holds no integer or several "
            "videos share frame numbers; file_name and frame say which it is",
        )
        name = file_name(result.source)
        return {"image_id": self._running, "file_name": name, "frame": result.frame}

    def _note(self, kind: str, text: str) -> None:
        """Say each kind of thing once."""
        if kind not in self._said:
            self._said.add(kind)
            self.notes.append(text)


def _entries(people: People) -> Iterator[dict[str, Any]]:
    """Yield what a person's entry says after its image_id."""
    points = plain(triples(people).reshape(len(people), people.scores.shape[1] * 3))
    rows = zip(
        points, plain(person_scores(people)), plain(xywh(people)), people.ids.tolist(), strict=True
    )
    for keypoints, score, bbox, track in rows:
        entry = {"category_id": 1, "keypoints": keypoints, "score": score, "bbox": bbox}
        yield entry if track < 0 else entry | {"track_id": track}


def _image_ids(path: Path) -> dict[str, int]:
    """Read file name -> id of an annotation file; a UsageError says what is wrong with it."""
    try:
        images = json.loads(path.read_bytes())["images"]
        return {file_name(str(image["file_name"])): int(image["id"]) for image in images}
    except OSError as error:
        raise UsageError(f"--coco-images {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(
            f"--coco-images {path} is not a COCO annotation file ({error!r}); it needs images with "
            "file_name and id"
        ) from error
