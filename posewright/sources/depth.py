"""Images of more than 8 bits, converted to 8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Depths", "Values", "eight_bits"]

DEPTHS = (8, 10, 12, 14, 16)  # of sensors, whose values stand in files of 16 bits as they are


@dataclass(frozen=True, slots=True)
class Values:
    """How an image stores values of 9 to 16 bits.

    bits: of each; 0 for 8 and fewer, and for fractions.  least: the file says that it uses so many
    of them.  planes: each colour channel is stored separately.  negative: 0 is white.
    """

    bits: int = 0
    least: int = 0
    planes: bool = False
    negative: bool = False


class Depths:
    """The bits that the values of each sequence need, as far as its images have been read.

    Cameras of 10 and 12 bits leave the upper bits of a 16-bit file empty.  A dark image does not
    tell how many: the brightest one before it does, if it has the same size.
    """

    def __init__(self) -> None:
        self._bits: dict[tuple[str, tuple[int, ...]], int] = {}

    def of(self, sequence: str, image: NDArray[np.uint16], least: int = 0) -> int:
        """Return the least of 8, 10, 12, 14 and 16 that holds every value so far.

        least: bits that the image needs whatever its values are.
        """
        key = sequence, image.shape
        needed = max(int(image.max(initial=0)).bit_length(), least, self._bits.get(key, 0))
        self._bits[key] = next(depth for depth in DEPTHS if needed <= depth)
        return self._bits[key]


def eight_bits(image: NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
    """Return an image whose values have so many bits in 8 bits."""
    return (image >> np.uint16(bits - 8)).astype(np.uint8)
