"""Connections to cameras and streams: open, read and close."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from posewright.sources.decoder import Decoder, Lost
from posewright.sources.decoding import AV_ERRORS, rate
from posewright.sources.display_matrix import Orientation, pixel_aspect

__all__ = ["TIMEOUT", "CameraLink", "Link", "NetworkLink"]

TIMEOUT = 10.0  # seconds for an answer, and for the next data


class Link(Protocol):
    """A connection that delivers images until it breaks.

    pixel_aspect: width of a pixel over its height, of the last image.
    """

    fps: float | None
    size: tuple[int, int] | None
    pixel_aspect: float

    def images(self) -> Iterator[NDArray[np.uint8]]: ...

    def close(self) -> None: ...


class NetworkLink:
    """A stream that FFmpeg reads."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self.fps = rate(stream)
        context = stream.codec_context
        self.size = (context.width, context.height) if context.width else None
        self.pixel_aspect = self._stored_aspect = pixel_aspect(stream)

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Yield (H, W, 3) RGB images; the iteration ends when the connection does."""
        for frame in Decoder(self._container, self._stream):
            if isinstance(frame, Lost):
                continue
            shown = Orientation.of(frame)
            try:
                image = shown.pixels(frame)
            except AV_ERRORS:  # the next image may be whole
                continue
            self.pixel_aspect = shown.aspect(self._stored_aspect)
            yield image

    def close(self) -> None:
        """Close the connection."""
        self._container.close()


class CameraLink:
    """A camera that OpenCV reads."""

    pixel_aspect = 1.0

    def __init__(self, capture: Any) -> None:
        self._capture = capture
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if 0 < fps < 10_000 else None
        width, height = (
            int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        self.size = (width, height) if width > 0 and height > 0 else None

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Yield (H, W, 3) RGB images until the camera gives none."""
        while True:
            good, image = self._capture.read()
            if not good:
                return
            yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        """Release the camera."""
        self._capture.release()
