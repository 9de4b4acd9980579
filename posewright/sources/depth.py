"""Pictures of more than 8 bits, cut down to 8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Values", "eight_bits"]

DEPTHS = (8, 10, 12, 14, 16)  # of sensors, whose values stand in files of 16 bits as they are


@dataclass(frozen=True, slots=True)
class Values:
    """How a picture stores values of 9 to 16 bits.

    bits: of each; 0 for 8 and fewer, and for fractions.  planes: each colour stands by itself.
    negative: 0 is white.
    """

    bits: int = 0
    planes: bool = False
    negative: bool = False


def eight_bits(image: NDArray[np.uint16], bits: int = 0) -> NDArray[np.uint8]:
    """Return the picture in 8 bits.

    bits: its depth.  0: not known; then the least of 8, 10, 12, 14 and 16 that holds every value,
    as cameras of 10 and 12 bits leave the upper bits of a 16-bit file empty.
    """
    if not bits:
        highest = int(image.max(initial=0))
        bits = next(depth for depth in DEPTHS if highest < 1 << depth)
    return (image >> np.uint16(bits - 8)).astype(np.uint8)
