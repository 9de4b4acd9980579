"""Angles of points and segments of an image, in degrees.

A point is x, y in pixels, x to the right and y down.  x, y is the last axis; the axes before it,
such as frames and people, are kept and broadcast.  Positive is anticlockwise as seen on the screen.
Pixels must be square: `joints.present` multiplies x by the frame's pixel_aspect.

An angle is NaN where a coordinate is NaN or infinite, or where a segment has no length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from posewright.errors import UsageError
from posewright.people import Doubles

__all__ = ["angle", "between", "direction", "unwrap", "wrap"]


def angle(a: ArrayLike, b: ArrayLike, c: ArrayLike, *, signed: bool = False) -> Doubles:
    """Return the angle at the point b between the segments to a and to c.

    a, b, c: (..., 2) px.  The result (...) lies in [0, 180]; signed, it is the turn from b->a to
    b->c and lies in [-180, 180).
    """
    return between(b, a, b, c, signed=signed)


def between(
    p: ArrayLike, q: ArrayLike, r: ArrayLike, s: ArrayLike, *, signed: bool = False
) -> Doubles:
    """Return the angle between the directions of the segments p->q and r->s.

    p, q, r, s: (..., 2) px.  The result (...) lies in [0, 180]; signed, it is the turn from p->q to
    r->s and lies in [-180, 180).
    """
    turned = _turn(_segment(p, q), _segment(r, s))
    return turned if signed else np.abs(turned)


def direction(p: ArrayLike, q: ArrayLike) -> Doubles:
    """Return the turn from +x to the segment p->q: 90 where it points up, -90 where down.

    p, q: (..., 2) px.  The result (...) lies in [-180, 180).
    """
    return _turn(np.array([1.0, 0.0]), _segment(p, q))


def _segment(start: ArrayLike, end: ArrayLike) -> Doubles:
    ends = np.stack(np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (start, end))))
    ends = np.where(np.isfinite(ends), ends, np.nan)  # infinity minus infinity would warn
    return np.asarray(ends[1] - ends[0])


def _turn(u: Doubles, v: Doubles) -> Doubles:
    """Return the turn from one direction to another."""
    cross = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]  # positive is clockwise, as y is down
    dot = u[..., 0] * v[..., 0] + u[..., 1] * v[..., 1]
    turned = wrap(np.degrees(np.arctan2(-cross, dot)))
    return np.where(u.any(-1) & v.any(-1), turned, np.nan)


def _check_period(period: float) -> None:
    if not period > 0:
        raise UsageError(f"period must be positive, as 360 or 180 degrees, not {period}")


def wrap(degrees: ArrayLike, period: float = 360.0) -> Doubles:
    """Return the same angles in [-period / 2, period / 2); NaN and infinity become NaN.

    period: 360 for joints and directions, 180 for a line without a direction, as that through both
    hips.  UsageError: it is not positive.
    """
    _check_period(period)
    values = np.asarray(degrees, np.float64)
    values = np.where(np.isfinite(values), values, np.nan)
    wrapped = np.mod(values + period / 2, period) - period / 2
    # the remainder of a tiny negative number is rounded to the period itself
    return np.where(wrapped >= period / 2, wrapped - period, wrapped)


def unwrap(degrees: ArrayLike, period: float = 360.0, axis: int = 0) -> Doubles:
    """Return a series without jumps: it changes by at most half a period from value to value.

    axis: that of time.  NaN stays NaN, and the value after a gap goes on from the last known one by
    the shorter way; how often a limb went round inside of the gap is not known.  period: as for
    `wrap`; with 180, a joint that really turns by more than 90 from frame to frame becomes wrong.
    """
    _check_period(period)
    series = np.moveaxis(np.asarray(degrees, np.float64), axis, 0)
    series = np.where(np.isfinite(series), series, np.nan)
    times = np.arange(len(series)).reshape(-1, *[1] * (series.ndim - 1))
    last = np.maximum.accumulate(np.where(np.isnan(series), 0, times), axis=0)
    steps = np.diff(np.take_along_axis(series, last, 0), axis=0)  # NaN before the first value
    turns = np.cumsum(np.round(np.nan_to_num(steps) / period), axis=0)
    series[1:] -= period * turns
    return np.moveaxis(series, 0, axis)
