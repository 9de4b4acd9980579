"""Warp: image <-> view.  The only file that builds an affine.

The pixel convention of the whole package: the centre of the first pixel is at (0, 0), the next
ones at integers; sizes are (width, height); points are (x, y).  A matrix maps image to view pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posewright.people import Floats, People

__all__ = ["Warp"]


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """An affine map from image pixels to the pixels of a view of `size` (width, height).

    matrix: (2, 3) float64.  fill: grey level of view pixels that lie outside of the image.
    """

    matrix: NDArray[np.float64]
    size: tuple[int, int]
    fill: int = 0

    @classmethod
    def crop(
        cls,
        box: ArrayLike,
        size: tuple[int, int],
        padding: float = 1.25,
        *,
        unbiased: bool = False,
        fill: int = 0,
    ) -> Warp:
        """Return the view of one person: `box` grown to the view's aspect, then by `padding`.

        box: x1, y1, x2, y2 px.  By default the box's centre lands on (w/2, h/2) and the scale is
        w / box width (Simple Baselines, arXiv:1804.06208); `unbiased` measures in pixel centres
        instead, (w-1)/2 and (w-1) / box width (UDP, arXiv:1911.07524).
        """
        x1, y1, x2, y2 = np.asarray(box, np.float64)
        width, height = size
        wide = max(x2 - x1, (y2 - y1) * width / height, 1e-3) * padding
        span = np.array([width, height]) - float(unbiased)
        scale = span[0] / wide
        shift = span / 2 - scale * np.array([x1 + x2, y1 + y2]) / 2
        return cls(np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), size, fill)

    @classmethod
    def stretch(cls, box: ArrayLike, size: tuple[int, int]) -> Warp:
        """Return the view that a box, x1, y1, x2, y2 px, fills, whatever its aspect.

        As cutting an image out and resizing it: the box's outer edges become the view's.  A side
        shorter than a pixel counts as one.
        """
        low, high = np.asarray(box, np.float64).reshape(2, 2)
        scale = np.array(size) / np.maximum(high - low, 1)
        shift = (0.5 - low) * scale - 0.5  # the outer edge of the first pixel is at -0.5
        return cls(np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]]), size)

    @classmethod
    def letterbox(
        cls,
        image_size: tuple[int, int],
        size: tuple[int, int],
        fill: int = 114,
        *,
        centred: bool = False,
    ) -> Warp:
        """Return the view of a whole image: scaled to fit `size`, top left, the rest filled.

        centred: in the middle instead, the margins whole pixels.
        """
        scale = min(size[0] / image_size[0], size[1] / image_size[1])
        shift = (scale - 1) / 2  # the image's outer edge, at -0.5, stays at -0.5
        spare = [v - round(i * scale) for v, i in zip(size, image_size, strict=True)]
        left, top = (shift + n // 2 if centred else shift for n in spare)
        return cls(np.array([[scale, 0, left], [0, scale, top]]), size, fill)

    def image(
        self, image: NDArray[np.uint8], out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """(H, W, 3) -> (h, w, 3) bilinear view of an image, written into `out` where given.

        ValueError: `out` is not a contiguous uint8 array of the view's shape.
        """
        import cv2

        shape = (self.size[1], self.size[0], 3)
        # OpenCV would put the view elsewhere and leave `out` as it was
        if out is not None and not (
            out.shape == shape and out.dtype == np.uint8 and out.flags.c_contiguous
        ):
            raise ValueError(
                f"out must be a contiguous {shape} uint8 array, not {out.shape} {out.dtype}"
            )
        seen, matrix = self._seen(image)
        border = (self.fill,) * 4
        if seen.size > 8 * 3 * self.size[0] * self.size[1]:
            view = cv2.warpAffine(
                image,
                self.matrix,
                self.size,
                dst=out,
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=border,
            )
            return np.asarray(view, np.uint8)
        # OpenCV 5 warps four channels 2.6 times as fast as three, which pays for the conversion of
        # what is seen as long as that is not much larger than the view
        four = cv2.warpAffine(
            cv2.cvtColor(seen, cv2.COLOR_RGB2RGBA),
            matrix,
            self.size,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=border,
        )
        return np.asarray(cv2.cvtColor(four, cv2.COLOR_RGBA2RGB, dst=out), np.uint8)

    def _seen(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Return the part of an image that the view shows, and the matrix from its pixels."""
        import cv2

        back = cv2.invertAffineTransform(self.matrix)
        reach = back[:, :2] * (self.size[0] - 1, self.size[1] - 1)
        low = (back[:, 2] + np.minimum(reach, 0).sum(1)).tolist()
        high = (back[:, 2] + np.maximum(reach, 0).sum(1)).tolist()
        # one pixel more on each side, for interpolation and rounding; never without a pixel
        ends = image.shape[1], image.shape[0]
        x1, y1 = (min(max(int(a) - 2, 0), end - 1) for a, end in zip(low, ends, strict=True))
        x2, y2 = (min(max(int(b) + 3, 1), end) for b, end in zip(high, ends, strict=True))
        matrix = self.matrix.copy()
        matrix[:, 2] += matrix[:, :2] @ (x1, y1)
        return image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)], matrix

    def points(self, points: ArrayLike) -> Floats:
        """(..., 2) image px -> (..., 2) view px."""
        xy = np.asarray(points, np.float64)
        return (xy @ self.matrix[:, :2].T + self.matrix[:, 2]).astype(np.float32)

    def inverse(self) -> Warp:
        """Return the map from view pixels back to image pixels."""
        linear = np.linalg.inv(self.matrix[:, :2])
        return Warp(np.hstack([linear, -linear @ self.matrix[:, 2:]]), self.size, self.fill)

    def people(self, people: People) -> People:
        """Map everybody's keypoints and boxes; a turned box becomes the box round its corners.

        Expected errors grow by the mean scale of both axes.
        """
        corners = self.points(people.boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]])  # (N, 4, 2)
        boxes = np.concatenate([corners.min(1), corners.max(1)], 1)
        errors = people.expected_error
        if errors is not None:
            errors = errors * np.float32(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))
        points = self.points(people.keypoints)
        return people.replace(boxes=boxes, keypoints=points, expected_error=errors)
