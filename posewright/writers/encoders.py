"""Video encoders: one interface over PyAV (H.264, MPEG-4) and OpenCV's own Motion JPEG."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from statistics import median_low
from typing import Any, Protocol, cast

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError
from numpy.typing import NDArray

from posewright.errors import OutputError
from posewright.files.marks import MARK, mark_avi
from posewright.files.part import PartFile
from posewright.writers import film_suffix
from posewright.writers.clock import CLOCK, Clock

__all__ = ["Encoder", "EncoderError", "Film", "Mjpg", "open_encoder"]

LATELY = 31  # frames whose median duration is the last one's
# Without B-frames decoding times are those of showing, so that a film of any rate ends on time.
# x264's macroblock tree reads memory that nobody has written (seen in build 165 under glibc's
# MALLOC_PERTURB_): without it, the same images give the same bytes in every run.
_CODECS = {
    "libx264": ("H.264", {"crf": "22", "preset": "veryfast", "bf": "0", "mbtree": "0"}),
    "mpeg4": ("MPEG-4 part 2, which browsers do not play", {"qscale": "3"}),
    "mjpg": ("Motion JPEG at a constant frame rate", {}),
}


class EncoderError(OutputError):
    """A video that no encoder accepts; other videos can still be written."""


class Encoder(Protocol):
    """Takes images of one size with their times.

    EncoderError for what the encoder does not accept, OutputError where the disk fails; the
    temporary file is removed then.  jumps: times that could not be kept, see clock.Clock.
    """

    @property
    def jumps(self) -> int: ...

    def add(self, picture: NDArray[np.uint8], time: float) -> None:
        """Encode (H, W, 3) RGB at a time in seconds."""

    def finish(self) -> Path:
        """Write the end and give the file its final name."""

    def abort(self) -> None:
        """Remove the temporary file."""


def open_encoder(
    folder: Path,
    name: str,
    size: tuple[int, int],
    fps: float,
    codecs: tuple[str, ...],
    overwrite: bool,
    notes: list[str],
    pixel_aspect: float = 1.0,
) -> Encoder:
    """Return the first encoder of `codecs` that opens for a size (even width, even height).

    pixel_aspect: width of a pixel over its height, which players keep.  `notes` gets a line with
    the file, its codec and why the earlier ones were not used.  EncoderError where none opens,
    PlaceError where the file already exists, OutputError where it cannot be created.
    """
    failed: list[str] = []
    for codec in codecs:
        suffix = film_suffix(codec)
        part = PartFile(folder / (name + suffix), overwrite)
        kind: type[Mjpg] | type[Film] = Mjpg if codec == "mjpg" else Film
        try:
            encoder = kind(part, codec, size, fps, pixel_aspect)
        except (ValueError, FFmpegError) as error:
            part.abort()
            failed.append(f"{codec}: {error}")
            continue
        reason = f" ({'; '.join(failed)})" if failed else ""
        notes.append(f"{name + suffix}: {_CODECS.get(codec, (codec, {}))[0]}{reason}")
        return encoder
    raise EncoderError(
        f"no video codec opens for {size[0]} x {size[1]} ({'; '.join(failed)}); save images instead"
    )


class Film:
    """MP4 through PyAV, yuv420p, variable frame rate.

    A frame waits for the next one, which tells how long it lasts; the last one lasts as long as
    most.
    """

    def __init__(
        self, part: PartFile, codec: str, size: tuple[int, int], fps: float, pixel_aspect: float
    ) -> None:
        self._part = part
        self._clock = Clock(fps)
        self._waiting: av.VideoFrame | None = None
        self._since = 0  # the tick from which it is shown
        self._lasted: deque[int] = deque(maxlen=LATELY)
        self._usual = max(round(CLOCK / fps), 1)
        options = {"movflags": "faststart"}  # the index in front, so that browsers start at once
        with part.guard(part.abort):
            self._file = av.open(str(part.path), "w", format="mp4", options=options)
        self._file.metadata["comment"] = MARK
        try:
            rate = Fraction(fps).limit_denominator(1001)
            self._stream: Any = cast(Any, self._file.add_stream(codec, rate=rate))
            self._stream.width, self._stream.height = size
            self._stream.pix_fmt = "yuv420p"
            shape = Fraction(pixel_aspect).limit_denominator(255)
            self._stream.codec_context.sample_aspect_ratio = shape
            self._stream.codec_context.time_base = Fraction(1, CLOCK)
            self._stream.codec_context.options = _CODECS.get(codec, ("", {}))[1]
            self._stream.codec_context.flags |= Flags.frame_duration
            self._stream.codec_context.open()
        except (ValueError, FFmpegError):
            self.abort()
            raise

    @property
    def jumps(self) -> int:
        return self._clock.jumps

    def add(self, picture: NDArray[np.uint8], time: float) -> None:
        *repeats, own = self._clock.ticks(time)
        for tick in repeats:
            self._show_until(tick)
        if not repeats and own > self._since + 1:
            self._lasted.append(own - self._since)
        self._show_until(own)
        self._waiting = av.VideoFrame.from_ndarray(picture, format="rgb24")

    def _show_until(self, tick: int) -> None:
        """Encode the frame that waits; it may be shown again from there."""
        frame = self._waiting
        if frame is not None:
            frame.pts, frame.time_base = self._since, Fraction(1, CLOCK)
            frame.duration = tick - self._since
            self._mux(frame)
        self._since = tick

    def _mux(self, frame: av.VideoFrame | None) -> None:
        with self._part.guard(self.abort), _explained(self._part):
            self._file.mux(self._stream.encode(frame))

    def finish(self) -> Path:
        usual = median_low(self._lasted) if self._lasted else self._usual
        self._show_until(self._since + usual)
        self._mux(None)
        with self._part.guard(self.abort), _explained(self._part):
            self._file.close()
        return self._part.finish()

    def abort(self) -> None:
        with suppress(OSError, ValueError, FFmpegError):  # it writes a foot nobody wants
            self._file.close()
        self._part.abort()


@contextmanager
def _explained(part: PartFile) -> Iterator[None]:
    """Turn an error of FFmpeg that is none of the disk into an EncoderError."""
    try:
        yield
    except OSError:
        raise
    except (ValueError, OverflowError, FFmpegError) as error:
        raise EncoderError(
            f"cannot encode {part.final}: {error}; leave video out of --save, or save images"
        ) from error


class Mjpg:
    """AVI through OpenCV's built-in encoder, which is always there; constant frame rate."""

    jumps = 0  # it keeps no times

    def __init__(
        self, part: PartFile, codec: str, size: tuple[int, int], fps: float, pixel_aspect: float
    ) -> None:
        self._part = part
        self._count = 0
        fourcc = cv2.VideoWriter.fourcc(*"MJPG")
        # It knows square pixels only.
        self._size = (max(2 * round(size[0] * pixel_aspect / 2), 2), size[1])
        self._file = cv2.VideoWriter(str(part.path), cv2.CAP_OPENCV_MJPEG, fourcc, fps, self._size)
        if not self._file.isOpened():
            raise ValueError("OpenCV cannot write it")

    def add(self, picture: NDArray[np.uint8], time: float) -> None:
        if self._size != (picture.shape[1], picture.shape[0]):
            picture = np.asarray(cv2.resize(picture, self._size), np.uint8)
        try:
            self._file.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        except cv2.error as error:
            self.abort()
            raise EncoderError(
                f"cannot encode {self._part.final}: {error.err}; save images instead"
            ) from error
        self._count += 1

    def finish(self) -> Path:
        self._file.release()
        # the frames are counted, as OpenCV says nothing when a disk is full
        film = cv2.VideoCapture(str(self._part.path), cv2.CAP_OPENCV_MJPEG)
        found = int(film.get(cv2.CAP_PROP_FRAME_COUNT)) if film.isOpened() else 0
        film.release()
        if found < self._count:
            self.abort()
            raise OutputError(
                f"cannot write {self._part.final}: {found} of {self._count} frames reached the "
                "disk; free some space or choose another folder with -o"
            )
        with self._part.guard(self.abort):
            mark_avi(self._part.path)
        return self._part.finish()

    def abort(self) -> None:
        self._file.release()
        self._part.abort()
