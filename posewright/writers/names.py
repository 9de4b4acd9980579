"""Names of output files: from the source's name and the frame number, unique and valid."""

from __future__ import annotations

import re
from pathlib import PurePath

from posewright.files.names import file_name, is_picture, safe, stem
from posewright.results import Result
from posewright.schema.rows import sequence_of

__all__ = ["Names", "Sequences", "film_name"]


class Names:
    """Gives each image and each video a unique name, in order of appearance.

    A name that is taken gets its folder's name in front ("b_1" for b/1.jpg), then a number.  Names
    of images are remembered; for a video, however long, one.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._videos: dict[str, str] = {}

    def of(self, source: str, wanted: str) -> str:
        """Return `wanted` or the nearest free name; a video keeps the one it got first."""
        if source in self._videos:
            return self._videos[source]
        name = self._new(source, wanted)
        if not is_picture(source):
            self._videos[source] = name
        return name

    def frame(self, result: Result) -> str:
        """Return the stem of a frame's own file: "name" of an image, "name_000012" of a video."""
        name = safe(stem(result.source))
        if "://" in result.source and result.sequence not in ("", result.source):
            return self._new(result.source, name)  # of an image on a server; a stream is its own
        name = self.of(result.source, name)
        return name if is_picture(result.source) else f"{name}_{result.frame:06d}"

    def _new(self, source: str, wanted: str) -> str:
        name = self._free(source, wanted)
        self._taken.add(name.casefold())  # some file systems take "A" and "a" for the same
        return name

    def _free(self, source: str, wanted: str) -> str:
        if wanted.casefold() not in self._taken:
            return wanted
        folders = re.split(r"[/\\]", source)[:-1]
        longer = safe(f"{folders[-1]}_{wanted}") if folders and folders[-1] else wanted
        name, number = longer, 1
        while name.casefold() in self._taken:
            number += 1
            base = PurePath(wanted)
            name = f"{base.stem}_{number}{base.suffix}"
        return name


def film_name(names: Names, sequence: str, pictures: bool) -> str:
    """Return the name of a sequence's video: of a folder of images, "take.1", or of a video."""
    return names.of(sequence, safe(file_name(sequence) if pictures else stem(sequence)))


class Sequences:
    """Gives each sequence of a run a name, to stand in front of the frames' own names.

    The first one needs none and is "", unless several are announced.
    """

    def __init__(self) -> None:
        self._names = Names()
        self._of: dict[str, str] = {}

    def name(self, result: Result, wanted: str, several: bool = False) -> str:
        """Return the name of a result's sequence: `wanted`, or with its folder in front of it."""
        sequence = sequence_of(result)
        if sequence not in self._of:
            name = self._names.of(sequence, wanted)
            self._of[sequence] = name if self._of or several else ""
        return self._of[sequence]
