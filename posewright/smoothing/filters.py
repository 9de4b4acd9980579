"""Filters over whole runs of equally spaced values: Butterworth both ways, Savitzky-Golay."""

from __future__ import annotations

import numpy as np

from posewright.people import Doubles

__all__ = ["butterworth", "savgol"]

_Section = tuple[tuple[float, float, float], tuple[float, float]]


def butterworth(values: Doubles, rate: float, cutoff: float, order: int = 4) -> Doubles:
    """Low-pass (T, ...) values forwards and backwards, without phase delay.

    rate: values per second.  cutoff: Hz, below rate / 2; half of the amplitude is left there (-3 dB
    each way).  order: of both passes together, 2, 4 or 8, as movement science counts.  The ends are
    continued by their point reflections (Gustafsson 1996 names the alternatives).
    """
    count = len(values)
    if count < 2:
        return np.array(values, np.float64)
    flat = np.asarray(values, np.float64).reshape(count, -1)
    pad = min(count - 1, max(9, round(3 * rate / cutoff)))
    before, after = flat[pad:0:-1], flat[-2 : -pad - 2 : -1]
    flat = np.concatenate([2 * flat[0] - before, flat, 2 * flat[-1] - after])
    sections = _sections(cutoff / rate, order // 2)
    for _ in range(2):
        for section in sections:
            flat = _filtered(flat, section)
        flat = flat[::-1]
    return flat[pad : pad + count].reshape(values.shape)


def _sections(frequency: float, order: int) -> list[_Section]:
    """Return the sections (b0, b1, b2), (a1, a2) of a low-pass of that order, by the bilinear map.

    frequency: of the cutoff, in cycles per sample.
    """
    k = np.tan(np.pi * frequency)
    sections: list[_Section] = []
    if order % 2:
        b = k / (1 + k)
        sections.append(((b, b, 0.0), ((k - 1) / (1 + k), 0.0)))
    for i in range(order // 2):
        damping = 2 * np.sin(np.pi * (2 * i + 1) / (2 * order)) if order > 1 else 0.0
        scale = 1 + damping * k + k * k
        b = k * k / scale
        sections.append(
            ((b, 2 * b, b), (2 * (k * k - 1) / scale, (1 - damping * k + k * k) / scale))
        )
    return sections


def _filtered(values: Doubles, section: _Section) -> Doubles:
    """Run (T, C) values through one section that starts as if the first had always been there."""
    (b0, b1, b2), (a1, a2) = section
    second = (b2 - a2) * values[0]
    first = (b1 - a1) * values[0] + second
    out = np.empty_like(values)
    for i, value in enumerate(values):
        out[i] = now = b0 * value + first
        first = b1 * value - a1 * now + second
        second = b2 * value - a2 * now
    return out


def savgol(values: Doubles, window: int = 9, order: int = 2) -> Doubles:
    """Fit a polynomial to each window of (T, ...) values and take its middle.

    The first and last half window take the places of the first and last fit.  Fewer values than the
    window get a smaller one; too few for the order stay unchanged (Savitzky, Golay 1964).
    """
    count = len(values)
    window = min(window, count - 1 + count % 2)
    if window <= order:
        return np.array(values, np.float64)
    half = window // 2
    flat = np.asarray(values, np.float64).reshape(count, -1)
    powers = np.vander(np.arange(-half, half + 1) / half, order + 1, increasing=True)
    fit = powers @ np.linalg.pinv(powers)  # (window, window): fitted values of a window's values
    windows = np.lib.stride_tricks.sliding_window_view(flat, window, axis=0)  # (n, C, window)
    out = np.empty_like(flat)
    out[half : count - half] = windows @ fit[half]
    out[:half] = (fit @ flat[:window])[:half]
    out[count - half :] = (fit @ flat[-window:])[half + 1 :]
    return out.reshape(values.shape)
