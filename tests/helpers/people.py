"""A person of known pose."""

from __future__ import annotations

import numpy as np

__all__ = ["POSE"]

# COCO17 of a standing person of 185 px, relative to the middle of the hips
POSE = np.array(
    [
        (0, -90),
        (-5, -95),
        (5, -95),
        (-10, -92),
        (10, -92),
        (-22, -65),
        (22, -65),
        (-30, -30),
        (30, -30),
        (-32, 0),
        (32, 0),
        (-15, 0),
        (15, 0),
        (-16, 45),
        (16, 45),
        (-16, 90),
        (16, 90),
    ]
)
