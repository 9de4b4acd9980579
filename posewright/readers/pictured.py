"""Saved poses joined with the images or the video in which they were found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePath

from posewright.errors import SourceError, counted
from posewright.files.names import file_name, integer_in, is_picture, stem
from posewright.files.paths import PathIndex
from posewright.people import Frame, People
from posewright.results import Result

__all__ = ["Pictured"]


class Pictured:
    """Finds the saved result of each frame, by the image's name, else by the frame's number.

    results: of one or more sequences.  where: what they were read from, for messages.  Images are
    found by their names, with or without folders; where the results name none of the images, as
    for those of a video, by the number in an image's name.  Frames of a video are found by their
    numbers, among the results of that video where there are several sequences.
    """

    def __init__(self, results: Iterable[Result], where: object) -> None:
        self._all = list(results)
        self._where = where
        if not self._all:
            raise SourceError(f"{where} holds no frames; there is nothing to do")
        self._names: dict[str, list[Result]] = defaultdict(list)
        self._sequences: dict[str, list[Result]] = defaultdict(list)
        for result in self._all:
            if is_picture(result.source):
                self._names[result.source].append(result)
            self._sequences[result.sequence].append(result)
        # sequences of results that have no names but numbers
        self._unnamed = [n for n, s in self._sequences.items() if not is_picture(s[0].source)]
        self._index = PathIndex(self._names)
        self._numbers: dict[str, dict[int, Result]] = {}
        self._used: set[int] = set()

    def of(self, frames: Iterable[Frame], still: bool) -> Iterator[Result]:
        """Yield each frame as a result with its image, and nobody where nothing was saved.

        still: the frames are images, not those of a video.  SourceError where it is not clear which
        sequence is meant.
        """
        return (joined for joined, _ in self.pairs(frames, still))

    def pairs(self, frames: Iterable[Frame], still: bool) -> Iterator[tuple[Result, Result | None]]:
        """Yield also the saved result of each frame; None where nothing was saved."""
        for frame in frames:
            found = self._still(frame) if still else self._moving(frame)
            yield self._joined(frame, found), found

    def has(self, name: str) -> bool:
        """Tell whether a result was saved of the image with this name."""
        return self._still(Frame.failed(name, "")) is not None

    def lacking(self) -> Iterator[Result]:
        """Yield the saved results for which no image was found."""
        return (result for result in self._all if id(result) not in self._used)

    def labelled(self, image: str, number: int | str) -> Result | None:
        """Return the result of a labelled image, by its name, else by its number in the labels."""
        names = self._index.find(image) or self._index.find(str(number))
        if names:
            return self._names[names[0]][0] if len(names) == 1 else None
        if not isinstance(number, int) or len(self._unnamed) != 1:
            return None
        return self._by_number(self._unnamed[0], number)

    def fault(self, source: str) -> str:
        """Return what is wrong where no frame of `source` had a saved result, else ""."""
        if self._used:
            return ""
        first = self._all[0]
        told = next(iter(self._names), f"frame {first.frame} of {first.source}")
        return (
            f"none of the {counted(len(self._all), 'frame')} in {self._where} is of {source}; the "
            f"first is {told!r}: give the images or the video of these results"
        )

    def unused(self) -> int:
        """Return how many saved frames no image was found for."""
        return sum(1 for _ in self.lacking())

    def _joined(self, frame: Frame, found: Result | None) -> Result:
        people, skeleton, message = People.empty(), self._all[0].skeleton, frame.message
        status = frame.status
        if found is not None:
            self._used.add(id(found))
            people, skeleton = found.people, found.skeleton
            width, height = found.size
            if status == "ok" and min(found.size) > 0 and found.size != frame.size:
                status = "decode_error"
                message = (
                    f"its results are for {width} x {height} px, and this image has "
                    f"{frame.size[0]} x {frame.size[1]}; give the images that were used"
                )
        if status != "ok" or found is None:
            people = People.empty(skeleton)
        return Result(
            people,
            skeleton,
            frame.size,
            frame.name,
            frame.index,
            frame.time,
            status,
            message,
            image=frame.image if status == "ok" else None,
            sequence=frame.sequence,
            pixel_aspect=frame.pixel_aspect,
        )

    def _still(self, frame: Frame) -> Result | None:
        names = self._index.find(frame.name)
        if len(names) == 1:
            return self._names[names[0]][0]
        number = integer_in(frame.name)
        if names or number is None or (self._names and not self._counted()):
            return None
        return self._by_number(self._only(frame), number)

    def _moving(self, frame: Frame) -> Result | None:
        return self._by_number(self._only(frame), frame.index)

    def _counted(self) -> bool:
        """Whether the names are numbers alone, as AlphaPose's of the frames of a video: 12.jpg."""
        return all(stem(name).isdecimal() for name in self._names)

    def _only(self, frame: Frame) -> str:
        """Return the sequence of a frame: the one of that name, else the only one there is."""
        if len(self._sequences) == 1:
            return next(iter(self._sequences))
        wanted = {stem(frame.sequence), stem(frame.name)}
        if is_picture(frame.name):
            wanted = {file_name(frame.sequence), PurePath(frame.name).parent.name}
        same = [name for name in self._sequences if {stem(name), file_name(name)} & wanted]
        if len(same) == 1:
            return same[0]
        listed = ", ".join(sorted(self._sequences)[:5])
        raise SourceError(
            f"{self._where} holds {len(self._sequences)} sequences, and it is not clear which is "
            f"{frame.sequence or frame.name}: {listed}; name the file or folder like its sequence"
        )

    def _by_number(self, sequence: str, number: int) -> Result | None:
        if sequence not in self._numbers:
            results = self._sequences[sequence]
            self._numbers[sequence] = {result.frame: result for result in results}
        return self._numbers[sequence].get(number)
