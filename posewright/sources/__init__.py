"""Where frames come from: images, folders, archives, videos, cameras, streams and arrays.

base            an iterator of frames that can be closed
ranges          which of them are wanted
planning        what a run reads, settled before it starts
address         which addresses are sources
loads           images before they are read
images          files, folders, globs, lists and archives
order           which images belong to a sequence, and their order
numbered        img_%04d.jpg
skipped         what a folder holds besides images
guard           decoding within limits; with inside, tiff, scans, depth, orientation, verify
arrays          images in memory
content         bytes and open files
video           video files
decoder         frames in order, lost ones among them; with waiting, avi
decoding        FFmpeg, fenced in
display_matrix  how frames are turned
stream          cameras and addresses, opened
links           connections that break
live            reconnecting, and the newest frame
fetched         an image on a server
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np

from posewright.errors import SourceError, UsageError, near, nearest
from posewright.people import Frame
from posewright.sources.address import PLAYLISTS, is_address, is_stream
from posewright.sources.arrays import Color, memory_loads
from posewright.sources.base import Frames, Kind, Source, check_rate
from posewright.sources.content import as_file, content_load, open_content
from posewright.sources.foreign import foreign_format
from posewright.sources.images import (
    file_load,
    folder_loads,
    glob_loads,
    kind_of,
    list_loads,
    zip_loads,
)
from posewright.sources.loads import Load, pictures
from posewright.sources.numbered import is_numbered, numbered_loads
from posewright.sources.order import PICTURES, UNREAD, gathered, together
from posewright.sources.ranges import Range
from posewright.sources.skipped import RAW

__all__ = ["Color", "Frames", "Kind", "Source", "gathered", "open_source", "together"]

SUPPORTED = (
    "an image, a folder, a glob, a pattern (img_%04d.jpg), a .txt list, a .zip of images, a "
    "video, a camera number, a stream's address, bytes, an open file, an array, a PIL image, a "
    "Frame or a list of images"
)


def open_source(
    spec: Any,
    *,
    color: Color | None = None,
    max_pixels: int = 100_000_000,
    latest: bool = False,
    retry_s: float = 30.0,
    fps: float | None = None,
    frames: Any = None,
    time_range: Any = None,
    stride: int = 1,
    stopped: Callable[[], int] = lambda: 0,
) -> Source:
    """Open anything that contains images as an iterator of RGB frames, by content, not by name.

    spec: a path of an image (JPEG, PNG, WebP, TIFF, BMP), folder, glob, .txt list, .zip or video;
    a pattern of numbered images ("img_%04d.jpg"), whose frames have the numbers in the names;
    a camera (3, "camera:3", or "3" where no file has that name); an address rtsp:// http:// rtmp://
    udp://; the bytes of an image or a video, or a binary file that is open and can be sought; a
    uint8 array (H, W), (H, W, 3) or (N, H, W, 3); a PIL image; a Frame; an iterable of such images;
    a Source.
    color: channel order of arrays.  max_pixels: a larger image or video is not decoded.
    latest: cameras and streams yield the newest image and drop late ones.  retry_s: seconds without
    an image after which a camera or stream is abandoned.  fps: frame rate that gives timestamps to
    the images of a folder, list, archive or glob; videos and streams have their own.  frames,
    time_range, stride: the frames of each sequence that are read, see Range.of; they keep their
    numbers and times.  stopped: asked several times per second while waiting for a camera or
    stream; true ends it.

    An image that cannot be read becomes a frame with a status; the iteration continues.
    SourceError: the source does not exist or holds no images.  UsageError: an argument is invalid.
    """
    if color not in (None, "rgb", "bgr"):
        raise UsageError(
            f"color must be 'rgb' or 'bgr', not {color!r}{nearest(color, ['rgb', 'bgr'])}"
        )
    if max_pixels < 1:
        raise UsageError(f"max_pixels must be at least 1, not {max_pixels}")
    if not (retry_s >= 0 and math.isfinite(retry_s)):
        raise UsageError(f"retry_s must be at least 0 seconds, not {retry_s}")
    if fps is not None:
        check_rate(fps)
    span = Range.of(frames, time_range, stride)
    opened: Frames
    if isinstance(spec, Frames):
        opened = spec
    elif isinstance(spec, (str, os.PathLike)):
        live: dict[str, Any] = {"latest": latest, "retry_s": retry_s, "stopped": stopped}
        opened = _open_name(os.fsdecode(spec), max_pixels, fps, live)
    elif isinstance(spec, (int, np.integer)) and not isinstance(spec, bool):
        opened = _open_camera(int(spec), latest=latest, retry_s=retry_s, stopped=stopped)
    elif (loads := memory_loads(spec, color, max_pixels)) is not None:
        name = getattr(spec, "name", "") or getattr(spec, "filename", "") or "array"
        opened = pictures(str(name), loads, len(loads), ExitStack(), fps=fps)
    elif (content := as_file(spec)) is not None:
        opened = open_content(content, max_pixels, fps)
    elif isinstance(spec, Iterable) and not isinstance(spec, dict):
        opened = _open_many(spec, color, max_pixels, fps)
    else:
        raise UsageError(f"cannot read frames from {type(spec).__name__}; pass {SUPPORTED}")
    return opened if span == Range() else opened.choose(span)


def _open_camera(number: int, **live: Any) -> Frames:
    from posewright.sources.stream import open_camera

    if number < 0:
        raise UsageError(f"a camera number must be at least 0, not {number}")
    return open_camera(number, **live)


def _open_name(name: str, max_pixels: int, fps: float | None, live: dict[str, Any]) -> Frames:
    camera = re.fullmatch(r"(camera:)?([0-9]{1,4})", name)
    if camera and (camera[1] or not os.path.lexists(name)):
        return _open_camera(int(camera[2]), **live)
    if is_stream(name):
        from posewright.sources.stream import open_url

        return open_url(name, max_pixels=max_pixels, **live)
    resources, notes = ExitStack(), list[str]()
    try:
        loads = _path_loads(name, max_pixels, resources, notes)
    except SourceError:
        resources.close()
        raise
    if loads is None:
        from posewright.sources.video import open_video

        return open_video(name, max_pixels)
    return pictures(name, loads, len(loads), resources, fps=fps, notes=notes)


def _path_loads(
    name: str, max_pixels: int, resources: ExitStack, notes: list[str]
) -> list[Load] | None:
    """Return the images of a path; None for a video, SourceError where there are none.

    notes: what else is there is added to them.
    """
    try:
        if os.path.isdir(name):
            return folder_loads(name, max_pixels, notes)
        if not os.path.lexists(name):
            if is_numbered(name):
                return numbered_loads(name, max_pixels, notes)
            if any(mark in name for mark in "*?["):
                return glob_loads(name, max_pixels, notes)
            raise SourceError(f"no such file or folder: {name}{near(name)}")
        return _file_loads(name, max_pixels, resources, notes)
    except OSError as error:
        raise SourceError(
            f"cannot read {name}: {error.strerror}; check the path and its permissions"
        ) from error
    except ValueError as error:
        raise SourceError(f"{name!r} is not a valid file name: {error}") from error


def _file_loads(
    name: str, max_pixels: int, resources: ExitStack, notes: list[str]
) -> list[Load] | None:
    """Decide by a file's first bytes, and by its suffix where they say nothing."""
    kind, head = kind_of(name)
    suffix = PurePath(name).suffix.lower()
    if kind == "playlist" or suffix in PLAYLISTS:
        raise SourceError(
            f"{name} is a playlist, which posewright does not follow; name the videos themselves"
        )
    if kind == "zip":
        return zip_loads(name, max_pixels, resources, notes)
    if suffix == ".txt" and kind == "text":
        return list_loads(name, max_pixels, notes)
    if kind in ("picture", "raw") or suffix in PICTURES | UNREAD | RAW:
        return [file_load(name, max_pixels)]
    if not os.path.isfile(name):
        raise SourceError(f"{name} is a device or pipe, not a file; cameras are named camera:0")
    if not head:
        raise SourceError(f"{name} is empty (0 bytes); download or copy it again")
    if told := foreign_format(head):
        raise SourceError(f"cannot open {name}: {told}")
    return None


def _open_many(
    spec: Iterable[Any], color: Color | None, max_pixels: int, fps: float | None
) -> Frames:
    """Open an iterable of images: a list at once, so that its length is known; others lazily.

    What is made lazily may be one buffer filled again and again, and frames are read ahead of their
    use, so those images are copied.
    """
    resources, notes = ExitStack(), list[str]()
    listed = isinstance(spec, (list, tuple))

    def loads() -> Generator[Load]:
        for item in spec:
            item = item if listed else _copied(item)
            yield from _item_loads(item, color, max_pixels, resources, notes)

    if listed:
        found = list(loads())
        return pictures("list", found, len(found), resources, fps=fps, notes=notes)
    return pictures("list", loads(), None, resources, fps=fps, notes=notes)


def _copied(item: Any) -> Any:
    if isinstance(item, np.ndarray):
        return item.copy()
    return replace(item, image=item.image.copy()) if isinstance(item, Frame) else item


def _item_loads(
    item: Any, color: Color | None, max_pixels: int, resources: ExitStack, notes: list[str]
) -> Sequence[Load]:
    """Return the images of one item of a list; a path that is wrong is a failed frame."""
    loads = memory_loads(item, color, max_pixels)
    if loads is not None:
        return loads
    if (content := as_file(item)) is not None:
        return [content_load(content, max_pixels)]
    if not isinstance(item, (str, os.PathLike)):
        raise UsageError(f"{type(item).__name__} in a list is not an image; pass images only")
    name = os.fsdecode(item)
    if is_address(name):
        return [file_load(name, max_pixels)]

    def failed(message: str) -> list[Load]:
        folder = str(PurePath(name).parent)
        return [Load(lambda _: Frame.failed(name, message, sequence=folder), folder)]

    try:
        found = _path_loads(name, max_pixels, resources, notes)
    except SourceError as error:
        return failed(str(error))
    if found is not None:
        return [replace(load, number=None) for load in found]  # a list counts for itself
    return failed("it is not an image; open videos one by one, not in a list")
