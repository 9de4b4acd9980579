"""A second check of an image's data, by FFmpeg, where OpenCV ignores damage silently."""

from __future__ import annotations

import struct

__all__ = ["jpeg_damaged", "strip_damaged"]


def jpeg_damaged(data: bytes) -> bool:
    """Tell whether FFmpeg reads a JPEG, but not without errors."""
    return _damaged("mjpeg", data)


def strip_damaged(data: bytes, compression: int, width: int, rows: int) -> bool:
    """Tell whether a TIFF's packed strip or tile does not hold `rows` rows of `width` bytes.

    compression: the TIFF's number of one that FFmpeg knows.  The strip is unpacked as the only one
    of a grey image, because FFmpeg's strict reading also refuses tags that it does not know.
    """
    tags = {
        256: width,
        257: rows,
        258: 8,
        259: compression,
        262: 1,
        273: 8,
        277: 1,
        278: rows,
        279: len(data),
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    padded = data + bytes(len(data) % 2)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(padded))
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return _damaged("tiff", head + padded + directory)


def _damaged(codec: str, data: bytes) -> bool:
    """Tell what FFmpeg reads, but not without errors.

    What it cannot read at all is of a kind that it does not know; that says nothing.
    """
    return not _decodes(codec, data, strict=True) and _decodes(codec, data, strict=False)


def _decodes(codec: str, data: bytes, strict: bool) -> bool:
    import av

    context = av.CodecContext.create(codec, "r")
    context.thread_count = 1
    context.options = {"err_detect": "crccheck+bitstream+buffer+explode"} if strict else {}
    try:
        return bool(context.decode(av.Packet(data)) + context.decode(None))  # type: ignore[attr-defined]
    except (av.FFmpegError, ValueError, OverflowError):
        return False
