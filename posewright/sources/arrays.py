"""Images that are in memory already: numpy arrays, PIL images, frames."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from posewright.errors import UsageError
from posewright.people import Frame
from posewright.sources.depth import Depths, eight_bits
from posewright.sources.guard import BadPicture, allowed
from posewright.sources.loads import Load

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Color", "array_loads", "memory_loads"]

Color = Literal["rgb", "bgr"]


def memory_loads(spec: Any, color: Color | None, max_pixels: int) -> Sequence[Load] | None:
    """Return the images of an array, a PIL image or a Frame; None for anything else."""
    if isinstance(spec, Frame):
        return [Load(lambda _: spec, spec.sequence, time=spec.time)]
    if isinstance(spec, np.ndarray):
        return array_loads(spec, color)
    pil = sys.modules.get("PIL.Image")  # who has such an image has loaded the package
    if pil is not None and isinstance(spec, pil.Image):
        return [Load(partial(_pil_frame, spec, max_pixels))]
    return None


def array_loads(array: NDArray[Any], color: Color | None) -> list[Load]:
    """Return the images of a (H, W) grey, (H, W, 3) or (N, H, W, 3) uint8 array."""
    shape = array.shape
    colored = array.ndim in (3, 4) and shape[-1] == 3
    if (
        array.dtype != np.uint8
        or not (colored or array.ndim == 2)
        or 0 in shape[-3 + (not colored) :]
    ):
        raise UsageError(
            f"an array of shape {shape} and type {array.dtype} is not an image; pass (H, W, 3), "
            f"(N, H, W, 3) or grey (H, W) of uint8"
        )
    if colored and color is None:
        raise UsageError(
            f"the channel order of an array of shape {shape} is unknown; specify color='rgb' or "
            f"color='bgr' (OpenCV's order)"
        )
    rows = array if array.ndim == 4 else array[None]
    return [Load(partial(_array_frame, row, color == "bgr")) for row in rows]


def _array_frame(array: NDArray[np.uint8], reverse: bool, _: Depths) -> Frame:
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, 2)
    return Frame(np.ascontiguousarray(array[..., ::-1] if reverse else array), name="array")


def _pil_frame(image: Image, max_pixels: int, depths: Depths) -> Frame:
    """Decode and convert a PIL image; turned as its EXIF orientation says."""
    from PIL import ImageOps

    name = str(getattr(image, "filename", "") or "image")
    try:
        allowed(image.size, max_pixels)
        others = int(getattr(image, "n_frames", 1)) - 1
        more = f"only one of its {others + 1} frames was read" if others > 0 else ""
        return Frame(_rgb(ImageOps.exif_transpose(image), depths), name=name, note=more)
    except BadPicture as error:
        return Frame.failed(name, str(error))
    except (OSError, SyntaxError, ValueError) as error:  # what PIL's decoders raise
        return Frame.failed(name, f"PIL cannot decode it: {error}; save it again")


def _rgb(image: Image, depths: Depths) -> NDArray[np.uint8]:
    if min(image.size) < 1:
        raise BadPicture(f"it has {image.size[0]} x {image.size[1]} pixels; remove it")
    if image.mode.startswith("I;16"):  # PIL would clip at 255
        values = np.asarray(image, np.uint16)
        grey = eight_bits(values, depths.of("", values))
        return np.repeat(grey[..., None], 3, 2)
    if image.mode in ("I", "F"):
        raise BadPicture(
            f"PIL images of mode {image.mode!r} have an unknown value range; convert to 'RGB'"
        )
    if "transparency" in image.info:  # PIL wants such palettes to pass through RGBA
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"), np.uint8)
