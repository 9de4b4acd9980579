"""Crops on disk, so that an image is not decoded again for every person of it in every epoch.

An entry is a JPEG of a part of an image, large enough for most of what augmentation shows, with a
few numbers behind its end.  A view that reaches farther is cut from the image itself."""

from __future__ import annotations

import hashlib
import os
import struct
import threading
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from posewright.augment import Augmentation, Views
from posewright.codecs import Codec
from posewright.datasets.base import Sample
from posewright.errors import OutputError
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["Bounds", "CropCache", "Cut", "Part", "bounds", "corners"]

VERSION = b"pwc1"
QUALITY = 95
DRAWS = 256  # views that are drawn to learn how far augmentation reaches
COVERED = 0.995  # share of them that crops are made for
DETAIL = 0.9  # most pixels of a crop to a pixel of the view without augmentation
WORTH = 0.7  # largest size of a crop, as a share of its image, that saves time
_NUMBERS = struct.Struct("<6I I 4s")  # x1 y1 x2 y2 width height, Adler-32 of the JPEG, version


class CropCache:
    """A folder of crops; several threads and processes may share it.

    An entry belongs to a file as it was (name, size, time of change), a box and this cache's
    settings; one of other settings or of an earlier file is never taken.  notes: what went wrong.
    OutputError: the folder cannot be created.
    """

    def __init__(
        self, folder: str | Path, codec: Codec, augment: Augmentation, skeleton: Skeleton
    ) -> None:
        self.folder, self.codec = Path(folder), codec
        self.reach = _reach(codec, augment, skeleton) if codec.top_down else (1.0, 1.0)
        # how the codec crops one known box tells its rule
        example = codec.warps((640, 480), People.of([[100, 100, 200, 300]]))[0]
        settings = (VERSION, QUALITY, DETAIL, WORTH, self.reach, example.size, codec.top_down)
        self.settings = repr(settings).encode() + example.matrix.tobytes()
        self.notes: list[str] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot create a cache there ({error})") from error

    def cut(self, sample: Sample, box: Floats) -> Cut | str:
        """Return the crop of a person's box, made now if it is not there; what is wrong otherwise.

        box: (4,) px, of no meaning for codecs that see whole images.  The crop is the same to the
        last bit whether it was there or not.
        """
        path = self.path(sample.image, box)
        found = None if path is None else _read(path)
        if found is not None:
            return found
        frame = sample.load()
        if frame.status != "ok":
            return frame.message
        part, (w, h) = self._part(frame.size, box)
        if path is None or not 0 < w * h <= WORTH * frame.size[0] * frame.size[1]:
            return Cut.whole(frame.image)
        # the bytes of an entry
        size = (w, h)
        x1, y1, x2, y2 = part
        crop = cv2.cvtColor(frame.image[y1:y2, x1:x2], cv2.COLOR_RGB2BGR)
        if size != (x2 - x1, y2 - y1):
            crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
        how = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        _, jpeg = cv2.imencode(".jpg", crop, how)
        data = jpeg.tobytes()
        height, width = frame.image.shape[:2]
        entry = data + _NUMBERS.pack(*part, width, height, zlib.adler32(data), VERSION)
        self._write(path, entry)
        made = _parsed(entry)
        return Cut.whole(frame.image) if made is None else made

    def path(self, picture: Path, box: Floats) -> str | None:
        """Return where the crop of a box lies; None for an image that cannot be found."""
        try:
            file = os.stat(picture)
        except (OSError, ValueError):
            return None
        name = str(picture)
        name = name if os.path.isabs(name) else os.path.abspath(name)
        about = f"{name}\n{file.st_size} {file.st_mtime_ns}\n"
        key = hashlib.blake2b(about.encode(errors="surrogateescape"), digest_size=20)
        key.update(np.asarray(box, np.float32).tobytes())
        key.update(self.settings)
        code = key.hexdigest()
        return f"{self.folder}/{code[:2]}/{code[2:]}.jpg"

    def _part(self, picture: tuple[int, int], box: Floats) -> tuple[Part, tuple[int, int]]:
        """Return which part of an image to keep, and the (width, height) to keep it at."""
        warp = self.codec.warps(picture, People.of([box]))[0]
        seen = _corners(warp)
        middle, half = (seen[0] + seen[2]) / 2, (seen[2] - seen[0]) / 2 * self.reach
        low = np.clip(np.floor(middle - half - 2), 0, picture).astype(int)
        high = np.clip(np.ceil(middle + half + 3), 0, picture).astype(int)
        scale = min(1.0, DETAIL * float(warp.matrix[0, 0]))
        w, h = np.ceil((high - low) * scale).astype(int).tolist()
        return (int(low[0]), int(low[1]), int(high[0]), int(high[1])), (w, h)

    def _write(self, path: str, entry: bytes) -> None:
        """Write an entry under a name of this thread's own and rename it; a failure is noted."""
        part = Path(f"{path}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            part.parent.mkdir(exist_ok=True)
            part.write_bytes(entry)
            os.replace(part, path)
        except OSError as error:
            part.unlink(missing_ok=True)
            if not self.notes:
                self.notes.append(f"{self.folder}: crops cannot be cached ({error}); free space")


def _reach(codec: Codec, augment: Augmentation, skeleton: Skeleton) -> tuple[float, float]:
    """Return how far views reach from their middle, along x and y, in halves of the plain view.

    Measured on views that are drawn, so that it follows whatever augmentation does.
    """
    size, rng = (100_000, 100_000), np.random.default_rng(0)
    nobody = np.zeros((1, len(skeleton)), np.float32)
    points = np.full((1, len(skeleton), 2), 50_000, np.float32)
    person = People.of([[49_925, 49_900, 50_075, 50_100]], None, points, nobody)
    plain = codec.warps(size, person)[0]
    frame = _corners(plain)
    middle, half = (frame[0] + frame[2]) / 2, (frame[2] - frame[0]) / 2
    drawn = [augment.views(codec, size, person, skeleton, rng) for _ in range(DRAWS)]
    seen = np.concatenate([corners(views.matrices, views.size) for views in drawn])  # (N, 4, 2)
    far = (np.abs(seen - middle) / half).max(1)  # (N, 2)
    x, y = np.ceil(np.quantile(far, COVERED, 0) * 16 - 1e-6) / 16
    return max(float(x), 1.0), max(float(y), 1.0)


def _corners(warp: Warp) -> NDArray[np.float64]:
    """(4, 2) image px of a view's corners."""
    return corners(np.vstack([warp.matrix, [0, 0, 1]])[None], warp.size)[0]


def _read(path: str) -> Cut | None:
    """Read an entry; None where there is none, or a damaged one."""
    try:
        with open(path, "rb", buffering=0) as file:
            return _parsed(file.read())
    except OSError:
        return None


def _parsed(data: bytes) -> Cut | None:
    end = len(data) - _NUMBERS.size
    if end <= 0:
        return None
    x1, y1, x2, y2, width, height, check, version = _NUMBERS.unpack_from(data, end)
    jpeg = memoryview(data)[:end]
    if version != VERSION or check != zlib.adler32(jpeg):
        return None
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        return None
    return Cut(np.asarray(pixels, np.uint8), (x1, y1, x2, y2), (width, height))


Part = tuple[int, int, int, int]
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Cut:
    """A part of an image, perhaps made smaller.

    pixels: (h, w, 3) uint8 RGB.  part: x1, y1, x2, y2 px of the image, ends excluded.  size:
    (width, height) px of the image.
    """

    pixels: NDArray[np.uint8]
    part: Part
    size: tuple[int, int]

    @classmethod
    def whole(cls, image: NDArray[np.uint8]) -> Cut:
        """Return all of an image."""
        size = image.shape[1], image.shape[0]
        return cls(image, (0, 0, *size), size)

    def view(self, views: Views, i: int, seen: Bounds) -> NDArray[np.uint8] | None:
        """Return view i of the image; None if it shows more than this part.

        seen: `bounds` of that view.
        """
        h, w = self.pixels.shape[:2]
        if (w, h) == self.size:
            return views.image(self.pixels, i)
        if not self._holds(seen):
            return None
        x1, y1, x2, y2 = self.part
        sx, sy = (x2 - x1) / w, (y2 - y1) / h
        # the outer edges, half a pixel beyond the centres, coincide
        back = np.array([[sx, 0, (sx - 1) / 2 + x1], [0, sy, (sy - 1) / 2 + y1], [0, 0, 1]])
        return replace(views, matrices=views.matrices[i : i + 1] @ back).image(self.pixels, 0)

    def _holds(self, seen: Bounds) -> bool:
        """Whether all of the image between some bounds is in this part."""
        left, top, right, bottom = seen
        x1, y1, x2, y2 = self.part
        beyond = min(right, self.size[0]) > x2 or min(bottom, self.size[1]) > y2
        return not beyond and max(left, 0) >= x1 and max(top, 0) >= y1


def corners(matrices: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """(B, 3, 3) image -> view px, size of a view -> (B, 4, 2) its corners in the image."""
    w, h = size[0] - 1, size[1] - 1
    at = np.linalg.inv(matrices) @ np.array([[0, w, w, 0], [0, 0, h, h], [1, 1, 1, 1]])
    return np.asarray((at[:, :2] / at[:, 2:]).transpose(0, 2, 1))


def bounds(views: Views) -> list[Bounds]:
    """Return left, top, right, bottom px of what each view shows, with room for interpolation."""
    seen = corners(views.matrices, views.size)
    ends: list[Bounds] = np.concatenate([seen.min(1) - 1, seen.max(1) + 2], 1).tolist()
    return ends
