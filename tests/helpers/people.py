"""A person of known pose, alone and with feet, face and hands."""

from __future__ import annotations

import numpy as np

__all__ = ["POSE", "WHOLE"]

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


def _face(size: float) -> np.ndarray:
    """(68, 2) px of 300-W's face, seen from the front, round its middle."""
    turn = np.linspace(np.pi, 0, 17)
    jaw = np.column_stack([np.cos(turn) / 2, np.sin(turn) * 0.6])
    brow = np.column_stack([np.linspace(-0.4, -0.1, 5), np.full(5, -0.27)])
    bridge = np.column_stack([np.zeros(4), np.linspace(-0.12, 0.12, 4)])
    base = np.column_stack([np.linspace(-0.1, 0.1, 5), np.full(5, 0.18)])
    eye = np.array(
        [(-0.1, 0), (-0.04, -0.04), (0.04, -0.04), (0.1, 0), (0.04, 0.04), (-0.04, 0.04)]
    )
    turns = (np.linspace(np.pi, -np.pi, n + 1)[:n] for n in (12, 8))
    mouth = [
        np.column_stack([x * np.cos(t), 0.36 - y * np.sin(t)])
        for t, x, y in zip(turns, (0.2, 0.13), (0.08, 0.03), strict=True)
    ]
    parts = [jaw, brow, brow[::-1] * (-1, 1), bridge, base, eye - (0.23, 0.12), eye - (-0.23, 0.12)]
    return np.concatenate([*parts, *mouth]) * size


def _hand(size: float, side: int) -> np.ndarray:
    """(21, 2) px of a hand that hangs down, from its root; side: 1 where the thumb is at +x."""
    angles = np.radians(np.array([50, 15, 2, -10, -22]) * side)[:, None]
    reach = size * np.linspace(0.45, 1, 4) * np.array([0.8, 1, 1, 1, 0.9])[:, None]
    tips = np.stack([reach * np.sin(angles), reach * np.cos(angles)], 2)
    return np.concatenate([[(0, 0)], tips.reshape(-1, 2)])


# The same person facing the camera, COCO-WholeBody's 133
_BODY = POSE * (-1, 1)
_FOOT = np.array([(9, 13), (14, 10), (-4, 7)])
WHOLE = np.concatenate(
    [
        _BODY,
        _BODY[15] + _FOOT,
        _BODY[16] + _FOOT * (-1, 1),
        _face(26) - (0, 88),
        _BODY[9] + _hand(17, -1),
        _BODY[10] + _hand(17, 1),
    ]
)
