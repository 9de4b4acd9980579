"""Open cameras and addresses: as a live source, an image or a video."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import av
import cv2

from posewright.errors import SourceError
from posewright.sources.address import PLAYLISTS, protocols, without_secrets
from posewright.sources.base import Frames
from posewright.sources.decoding import open_container
from posewright.sources.fetched import open_picture
from posewright.sources.links import TIMEOUT, CameraLink, Link, NetworkLink
from posewright.sources.live import live
from posewright.sources.order import PICTURES
from posewright.sources.video import video

__all__ = ["open_camera", "open_url"]


_NO_FILM = (av.error.InvalidDataError, av.error.ArgumentError)  # of FFmpeg, for a PNG or WebP
_CUT = (av.error.OSError, av.error.ConnectionResetError)  # while it looked for one


def open_camera(
    number: int,
    *,
    capture: Callable[[int], Any] = cv2.VideoCapture,
    latest: bool = False,
    retry_s: float = 30.0,
    stopped: Callable[[], int] = lambda: 0,
) -> Frames:
    """Open the camera of that number; SourceError where there is none.

    capture: makes an object like cv2.VideoCapture of the number.
    """

    def connect(_: float) -> Link:
        device = capture(number)
        if not device.isOpened():
            device.release()
            raise SourceError(
                f"camera {number} cannot be opened; check that it is plugged in, that no other "
                f"program uses it, and its number"
            )
        return CameraLink(device)

    return live(f"camera:{number}", connect, latest=latest, retry_s=retry_s, stopped=stopped)


def open_url(
    url: str,
    *,
    max_pixels: int = 100_000_000,
    latest: bool = False,
    retry_s: float = 30.0,
    stopped: Callable[[], int] = lambda: 0,
) -> Frames:
    """Open an address: a live stream, an image, or a video where the server states its length.

    HTTP tells the bytes of a file, and of a file alone; a multipart stream has no end.
    """
    name = without_secrets(url)
    suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
    if suffix in PLAYLISTS:
        raise SourceError(
            f"{name} is a playlist, which posewright does not follow; name the stream itself"
        )

    silence = min(TIMEOUT, max(retry_s, 1.0))  # after which a connection counts as broken

    def connect(timeout: float) -> NetworkLink:
        opened = open_container(url, name, protocols(url), max_pixels, (timeout, silence))
        return NetworkLink(*opened)

    web = url.lower().startswith(("http:", "https:"))
    fetch = partial(open_picture, url, name, max_pixels, silence, stopped)
    try:
        container, stream = open_container(
            url, name, protocols(url), max_pixels, (TIMEOUT, silence)
        )
    except SourceError as error:
        cut = isinstance(error.__cause__, _CUT) and suffix in PICTURES
        no_film = cut or isinstance(error.__cause__, _NO_FILM)
        if web and no_film and (picture := fetch()) is not None:
            return picture
        raise
    if web and container.format.name == "mjpeg" and (picture := fetch()) is not None:
        container.close()  # a JPEG; several, one after the other, are a film
        return picture
    known = bool(container.duration) or container.size > 0
    if web and known and container.format.name != "mpjpeg":
        return video(name, container, stream)
    first = NetworkLink(container, stream)
    return live(name, connect, first, latest=latest, retry_s=retry_s, stopped=stopped)
