"""AlphaPose's three flavours of `alphapose-results.json`: its own ("coco"), "cmu" and "open"."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from posewright.files.names import file_name, is_picture, safe, stem
from posewright.files.values import dumps, plain
from posewright.nms import proposal_score
from posewright.people import triples, xywh
from posewright.results import Result
from posewright.schema.rows import sequence_of
from posewright.writers import WriterOptions, alphapose_files
from posewright.writers.names import Names, Sequences
from posewright.writers.orders import reorder
from posewright.writers.text import Group, PagesWriter, TextWriter, starts_with

__all__ = ["ImageIds", "ListForm", "PicturePage", "TableForm", "create"]

_VERSION = "AlphaPose v0.3"


def create(name: str, folder: Path, options: WriterOptions) -> TextWriter | Group:
    """Return the writer of `alphapose-results.json` and, when asked, of `sep-json/`.

    Beside other flavours they are alphapose-results-cmu.json and sep-json-cmu/.
    """
    flavour = name.partition("-")[2]
    results_name, *pages_name = alphapose_files(flavour if options.flavoured else "")
    path = folder / results_name
    if not flavour:
        return TextWriter(path, ListForm(options.several), options.overwrite)
    results = TextWriter(path, TableForm(flavour, options.several), options.overwrite)
    if not options.separate:
        return results
    page = PicturePage(flavour, options.several)
    ours = partial(starts_with, name="*.json", start=f'{{"version":"{_VERSION}"'.encode())
    try:
        pages = PagesWriter(folder / (pages_name or ["sep-json"])[0], page, options.overwrite, ours)
    except OSError:
        results.abort()
        raise
    return Group([results, pages])


class ImageIds:
    """AlphaPose's image_id: an image's file name, "12.jpg" for frame 12 of a video.

    Where there are several sources, a video's name stands in front: "walk/12.jpg".  So does the
    folder's name of images from a second folder: "b/1.jpg".
    """

    def __init__(self, several: bool) -> None:
        self._several = several
        self._names = Names()
        self._sequences = Sequences()

    def of(self, result: Result) -> str:
        """Return the image_id of a frame."""
        still = is_picture(result.source)
        frame = file_name(result.source) if still else f"{result.frame}.jpg"
        wanted = file_name(sequence_of(result)) if still else stem(result.source)
        before = self._sequences.name(result, wanted, self._several and not still)
        name = f"{before}/{frame}" if before else frame
        return self._names.of(result.source, name) if still else name


class ListForm:
    """A list of people: image_id, category_id, keypoints, score, box (x, y, w, h), idx.

    score is AlphaPose's proposal score, mean + box + 1.25 max, which exceeds 1.  idx is always an
    integer: the track's id, or for a person without one -1, -2, ... by its place in the image,
    so that a running number is never taken for an identity.
    """

    def __init__(self, several: bool = False) -> None:
        self.notes: list[str] = []
        self._ids = ImageIds(several)
        self._comma = ""

    def begin(self) -> str:
        return "["

    def add(self, result: Result) -> str:
        if result.status != "ok":
            return ""
        texts = [dumps(entry) for entry in _entries(result, self._ids.of(result))]
        before, self._comma = self._comma, "," if texts else self._comma
        return "".join(f"{',' if i else before}\n{text}" for i, text in enumerate(texts))

    def end(self) -> str:
        return "\n]\n"


def _entries(result: Result, image_id: str) -> list[dict[str, Any]]:
    people = result.people
    numbers = np.where(people.ids >= 0, people.ids, -1 - np.arange(len(people)))
    columns = (
        plain(triples(people).reshape(len(people), people.scores.shape[1] * 3)),
        plain(proposal_score(people)),
        plain(xywh(people)),
        numbers.tolist(),
    )
    keys = ("keypoints", "score", "box", "idx")
    head = {"image_id": image_id, "category_id": 1}
    return [head | dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]


class TableForm:
    """A dict of images, each with its people in OpenPose's 18-joint order.

    flavour "cmu": {version, bodies: [{joints}]}; "open": {version, people: [{pose_keypoints_2d}]}.
    Images without people stand in it with an empty list.
    """

    def __init__(self, flavour: str, several: bool = False) -> None:
        self.notes: list[str] = []
        self._flavour = flavour
        self._ids = ImageIds(several)
        self._comma = ""

    def begin(self) -> str:
        return "{"

    def add(self, result: Result) -> str:
        if result.status != "ok":
            return ""
        before, self._comma = self._comma, ","
        return f"{before}\n{dumps(self._ids.of(result))}:{dumps(_picture(result, self._flavour))}"

    def end(self) -> str:
        return "\n}\n"


class PicturePage:
    """The same as TableForm in a file for each image, `sep-json/NAME.json`."""

    def __init__(self, flavour: str, several: bool = False) -> None:
        self.notes: list[str] = []
        self._flavour = flavour
        self._several = several
        self._names = Names()

    def page(self, result: Result) -> tuple[str, bytes] | None:
        """Return an image's file; None for one that could not be read."""
        if result.status != "ok":
            return None
        if is_picture(result.source):
            name = self._names.of(result.source, safe(stem(result.source)))
        elif self._several:
            name = self._names.frame(result)
        else:
            name = str(result.frame)
        return f"{name}.json", dumps(_picture(result, self._flavour)).encode()


def _picture(result: Result, flavour: str) -> dict[str, Any]:
    points = reorder(result.people, result.skeleton, "coco18")
    flat = plain(points.reshape(len(points), points.shape[1] * 3))
    many, one = ("bodies", "joints") if flavour == "cmu" else ("people", "pose_keypoints_2d")
    return {"version": _VERSION, many: [{one: pose} for pose in flat]}
