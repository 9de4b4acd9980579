"""FFmpeg through PyAV, with restrictions on containers, protocols, image sizes and threads."""

from __future__ import annotations

from typing import IO

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from posewright.errors import SourceError
from posewright.sources.guard import BadPicture, allowed

__all__ = ["AV_ERRORS", "open_container", "rate", "why"]

# Playlists (hls, dash, concat, sdp, image2) are not among them: they would open other files.
CONTAINERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,h264,hevc,m4v,flv,asf,ogg,gif,mjpeg,mpjpeg,mjpeg_2000,"
    "ivf,obu,dv,mxf,yuv4mpegpipe,rtsp,rtp"
)
AV_ERRORS = (av.FFmpegError, ValueError, OverflowError)


def open_container(
    url: str | IO[bytes],
    name: str,
    protocols: str,
    max_pixels: int,
    timeout: tuple[float, float] | None = None,
) -> tuple[InputContainer, VideoStream]:
    """Open a file or stream -> the container and its first video stream; SourceError without one.

    url: an address, or an open file.  protocols: those that FFmpeg may use, and no other.  timeout:
    seconds to wait, for the opening and for the next data.
    """
    options = {
        "protocol_whitelist": protocols,
        "format_whitelist": CONTAINERS,
        "max_pixels": str(max_pixels),
        "rtsp_transport": "tcp",  # over UDP images lose slices
    }
    try:
        container: InputContainer = av.open(
            url, "r", options=options, timeout=timeout, metadata_errors="replace"
        )
    except AV_ERRORS as error:
        raise SourceError(
            f"cannot open {name}: {why(error)}; it must be an image (JPEG, PNG, WebP, TIFF, BMP), "
            f"a .zip or .txt list of images, a video or a video stream"
        ) from error
    try:
        stream = _video_stream(container, name)
        context = stream.codec_context
        try:
            allowed((context.width, context.height), max_pixels)
        except BadPicture as error:
            raise SourceError(f"cannot open {name}: {error}") from error
        context.options = {"max_pixels": str(max_pixels)}  # for a size that changes on the way
        # One thread: a second one costs 7 % more processor time a frame, which the networks need.
        context.thread_type = "NONE"
        context.thread_count = 1
    except SourceError:
        container.close()
        raise
    return container, stream


def _video_stream(container: InputContainer, name: str) -> VideoStream:
    for stream in container.streams.video:
        cover = stream.disposition & Disposition.attached_pic  # of a song
        if not cover and stream.codec_context is not None:
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise SourceError(f"no video in {name}, only {kinds}; name a file with images")


def why(error: Exception) -> str:
    """Return one line of FFmpeg's reason, without the address, which may hold a password."""
    text = error.strerror if isinstance(error, av.FFmpegError) else str(error)
    return " ".join((text or "unknown error").split())[:200]


def rate(stream: VideoStream) -> float | None:
    """Return the frame rate of a stream; None where it states none."""
    declared = stream.average_rate or stream.guessed_rate
    return float(declared) if declared and 0 < declared < 10_000 else None
