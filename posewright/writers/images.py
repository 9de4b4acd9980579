"""Annotated images: the folder `images` with one file a frame."""

from __future__ import annotations

from pathlib import Path, PurePath

import cv2
import numpy as np
from numpy.typing import NDArray

from posewright.draw import Style, draw
from posewright.errors import OutputError, UsageError
from posewright.files.marks import is_drawn, marked
from posewright.files.names import file_name
from posewright.files.part import spare_source
from posewright.results import Result
from posewright.writers import WriterOptions
from posewright.writers.names import Names
from posewright.writers.text import PagesWriter

__all__ = ["PicturePage", "create", "pixels"]

_QUALITY = 92
_WIDEST_JPEG = 65_500


def create(_: str, folder: Path, options: WriterOptions) -> PagesWriter:
    """Return the writer of the folder `images`."""
    page = PicturePage(folder / "images", options.style)
    return PagesWriter(folder / "images", page, options.overwrite, is_drawn)


def pixels(result: Result, what: str) -> NDArray[np.uint8]:
    """Return the image that a result carries; a UsageError says how to keep images."""
    if result.image is None:
        raise UsageError(
            f"{what} need the images, and frame {result.frame} of {result.source!r} has none; run "
            "the pipeline with keep_images=True"
        )
    return result.image


class PicturePage:
    """`NAME.jpg` of an image (`NAME.png` of a PNG), `NAME_000012.jpg` of frame 12 of a video.

    An image that is too large for JPEG becomes a PNG.
    """

    def __init__(self, folder: Path, style: Style | None = None) -> None:
        self.notes: list[str] = []
        self._folder = folder
        self._style = style or Style()
        self._names = Names()

    def page(self, result: Result) -> tuple[str, bytes] | None:
        """Return a frame's file; None for one that could not be read.

        OutputError: the file would replace the source itself.
        """
        if result.status != "ok":
            return None
        suffix = PurePath(file_name(result.source)).suffix.lower()
        png = suffix == ".png" or max(result.size) > _WIDEST_JPEG
        name = self._names.frame(result) + (".png" if png else ".jpg")
        spare_source(self._folder / name, result.source)
        spare_source(self._folder, PurePath(result.source).parent)  # nor another one beside it
        picture = draw(pixels(result, "images"), result.people, result.skeleton, self._style)
        return name, _encoded(picture, name)


def _encoded(picture: NDArray[np.uint8], name: str) -> bytes:
    """Return the image's file with the mark of a drawn one."""
    suffix = PurePath(name).suffix
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if suffix == ".jpg" else []
    try:
        done, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)
        why = "" if done else "OpenCV cannot encode it"
    except cv2.error as error:
        why = error.err
    if why:
        height, width = picture.shape[:2]
        raise OutputError(
            f"cannot write images/{name} of {width} x {height} pixels: {why}; leave images out of "
            "--save"
        )
    return marked(data.tobytes())
