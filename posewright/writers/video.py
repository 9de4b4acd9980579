"""Annotated video: H.264 in MP4, at the times of the frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from posewright.draw import Style, draw
from posewright.errors import OutputError, counted
from posewright.files.part import PlaceError, spare_source
from posewright.results import Result
from posewright.schema.rows import sequence_of
from posewright.warp import Warp
from posewright.writers import WriterOptions
from posewright.writers.encoders import Encoder, EncoderError, open_encoder
from posewright.writers.images import pixels
from posewright.writers.names import Names, film_name

__all__ = ["VideoWriter", "create"]


def create(_: str, folder: Path, options: WriterOptions) -> VideoWriter:
    """Return the writer of `NAME.mp4`."""
    return VideoWriter(folder, options)


class VideoWriter:
    """One video for each video among the sources, and one for each folder of images.

    Frames keep their times (variable frame rate); images and arrays without times follow one
    another at `fps`.  In gaps of hours the previous image is repeated every hour, as MP4 requires.
    The first frame decides the size, made even, and the shape of a pixel; later ones of another
    size are fitted into it.  Frames that could not be read are skipped: the previous one stays on
    the screen.  `notes` name the codec and why an earlier one of `video_codecs` was not used.
    `errors` name the sources whose video cannot be encoded or has a name that is taken, and those
    that reappear after another one, whose later frames are skipped; an OutputError at the end where
    there is no video at all.
    """

    def __init__(self, folder: Path, options: WriterOptions) -> None:
        self.notes: list[str] = []
        self.errors: list[str] = []
        self._folder = folder
        self._options = options
        self._style = options.style or Style()
        self._names = Names()
        self._begun: set[str] = set()
        self._source: str | None = None
        self._count = 0
        self._size = (0, 0)
        self._film: Encoder | None = None
        self.done: list[Path] = []

    def write(self, result: Result) -> None:
        """Add one frame; a frame of another source starts another video."""
        if result.status != "ok":
            return
        picture = draw(pixels(result, "video"), result.people, result.skeleton, self._style)
        source = sequence_of(result)
        if source != self._source:
            self._next(source, source != result.source, picture, result.pixel_aspect)
        if self._film is None:  # it cannot be encoded
            return
        time = result.time or self._count / self._options.fps
        self._count += 1
        try:
            self._film.add(_fitted(picture, self._size), time)
        except EncoderError as error:
            self._film = None
            self.errors.append(f"{source}: {error}")

    def close(self) -> list[Path]:
        """Finish the last video and return all."""
        self._finish()
        if self.errors and not self.done:
            raise OutputError(self.errors[0])
        return self.done

    def _finish(self) -> None:
        film, self._film = self._film, None
        if film is None:
            return
        try:
            path = film.finish()
        except (EncoderError, PlaceError) as error:
            self.errors.append(f"{self._source}: {error}")
            return
        except BaseException:  # Ctrl-C: nobody else knows the film any more
            film.abort()
            raise
        self.done.append(path)
        if film.jumps:
            self.notes.append(
                f"{path.name}: {counted(film.jumps, 'frame')} shown immediately after the previous "
                "one, because of timestamps that do not increase or jump by more than a month"
            )

    def abort(self) -> None:
        """Remove the unfinished video; finished ones stay."""
        if self._film is not None:
            self._film.abort()
            self._film = None

    def _next(
        self, source: str, still: bool, picture: NDArray[np.uint8], pixel_aspect: float
    ) -> None:
        self._finish()
        self._source, self._count = source, 0
        if source in self._begun:
            self.errors.append(
                f"{source}: its video is complete and lacks the frames that come after those of "
                "another source; name the images of a folder one after the other"
            )
            return
        self._begun.add(source)
        name = film_name(self._names, source, still)
        spare_source(self._folder / f"{name}.mp4", source)
        height, width = picture.shape[:2]
        self._size = (width + width % 2, height + height % 2)
        options = self._options
        try:
            self._film = open_encoder(
                self._folder,
                name,
                self._size,
                options.fps,
                options.video_codecs,
                options.overwrite,
                self.notes,
                pixel_aspect,
            )
        except (EncoderError, PlaceError) as error:
            self.errors.append(f"{source}: {error}")


def _fitted(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) -> an image of `size` (width, height): one more row or column, or scaled down."""
    height, width = picture.shape[:2]
    right, below = size[0] - width, size[1] - height
    if right == below == 0:
        return picture
    if right in (0, 1) and below in (0, 1):
        wider = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE)
        return np.asarray(wider, np.uint8)
    return Warp.letterbox((width, height), size, 0).image(picture)
