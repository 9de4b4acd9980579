"""The content of an image or a video: bytes in memory, or an open binary file."""

from __future__ import annotations

import io
import os
from contextlib import ExitStack
from typing import IO, Any

from posewright.errors import SourceError, UsageError
from posewright.people import Frame
from posewright.sources.base import Frames
from posewright.sources.depth import Depths
from posewright.sources.foreign import HEAD, foreign_format
from posewright.sources.guard import BadPicture, decode, picture_format
from posewright.sources.inside import raw_format
from posewright.sources.loads import Load, pictures

__all__ = ["as_file", "content_load", "open_content"]


def as_file(spec: Any) -> IO[bytes] | None:
    """Return bytes or a binary file that can be sought as a file at its start; None otherwise.

    UsageError: a file that was opened as text, or one that cannot be sought.
    """
    if isinstance(spec, (bytes, bytearray, memoryview)):
        return io.BytesIO(spec)
    if not callable(getattr(spec, "read", None)):
        return None
    if isinstance(spec, io.TextIOBase):
        raise UsageError("a source was opened as text; open it with mode 'rb'")
    try:
        spec.seek(0)
    except (AttributeError, OSError, ValueError) as error:  # the last of a file that is closed
        raise UsageError(
            "a file that is a source must be open and support seek(); pass its content: file.read()"
        ) from error
    file: IO[bytes] = spec
    return file


def open_content(file: IO[bytes], max_pixels: int, fps: float | None) -> Frames:
    """Open the content of an image or a video; SourceError for anything else.

    The file stays open: it belongs to the caller.
    """
    name, head = _name(file), file.read(HEAD)
    file.seek(0)
    if not head:
        raise SourceError(f"{name} is empty (0 bytes); pass the content of an image or a video")
    if picture_format(head) or raw_format(head):
        return pictures(name, [content_load(file, max_pixels)], 1, ExitStack(), fps=fps)
    if told := foreign_format(head):
        raise SourceError(f"cannot open {name}: {told}")
    from posewright.sources.decoding import open_container
    from posewright.sources.video import video

    return video(name, *open_container(file, name, "none", max_pixels))


def content_load(file: IO[bytes], max_pixels: int) -> Load:
    """Return how to read an image; whatever is wrong with it becomes the frame's message."""
    name = _name(file)

    def load(depths: Depths) -> Frame:
        try:
            image, more = decode(file, max_pixels, "", depths)
        except BadPicture as error:
            return Frame.failed(name, str(error))
        return Frame(image, name=name, note=more)

    return Load(load)


def _name(file: IO[bytes]) -> str:
    """Return the name of an open file; "bytes" where it has none, as its number is none."""
    name = getattr(file, "name", None)
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else "bytes"
