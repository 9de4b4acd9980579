"""Plots as inline SVG: lines, bars, stacked bars and labelled points.

Colours come from the page's style sheet (classes s0 to s7 for strokes, f0 to f7 for fills), so that
a plot follows light and dark.  What is not finite is left out; nothing to draw gives "".
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

__all__ = ["bars", "lines", "points", "stacked"]

Point = tuple[float, float]
Range = tuple[float, float]

_WIDE, _HIGH = 440, 270  # of a plot, in its own units
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 26, 40
_COLOURS = 8
_MOST = 600  # points of a line; more cannot be told apart


class _Frame:
    """Axes: a title, ticks with numbers, and the way from values to the plot's units."""

    def __init__(
        self,
        title: str,
        x: Range,
        y: Range,
        x_name: str,
        y_name: str,
        log: bool = False,
        high: float = _HIGH,
        whole: bool = False,
    ) -> None:
        self.x, self.y, self.log, self.whole = x, y, log, whole
        self.head = [
            f'<svg viewBox="0 0 {_WIDE} {high:g}" role="img" aria-label="{html.escape(title)}">',
            _text(_LEFT, 15, title, "start", "t"),
            _text((_LEFT + _WIDE - _RIGHT) / 2, _HIGH - 6, x_name, "middle"),
            f'<text transform="translate(12 {(_TOP + _HIGH - _BOTTOM) / 2}) rotate(-90)" '
            f'text-anchor="middle">{html.escape(y_name)}</text>',
        ]

    def across(self, value: float) -> float:
        """Value -> horizontal place."""
        low, high = self.x
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return _LEFT + (value - low) / (high - low) * (_WIDE - _LEFT - _RIGHT)

    def up(self, value: float) -> float:
        """Value -> vertical place."""
        low, high = self.y
        return _HIGH - _BOTTOM - (value - low) / (high - low) * (_HIGH - _TOP - _BOTTOM)

    def rows(self) -> list[str]:
        """Horizontal lines with numbers."""
        return [
            part
            for value in _ticks(self.y)
            for part in (
                f'<path class="g" d="M{_LEFT} {self.up(value):.1f}H{_WIDE - _RIGHT}"/>',
                _text(_LEFT - 5, self.up(value) + 4, _short(value), "end"),
            )
        ]

    def below(self, labels: Sequence[str] = ()) -> list[str]:
        """The horizontal axis with numbers, or with labels in place of 0, 1, 2 ..."""
        ticks = _powers(self.x) if self.log else _ticks(self.x, self.whole)
        names = dict(enumerate(labels)) if labels else {v: _short(v) for v in ticks}
        y = _HIGH - _BOTTOM
        return [
            f'<path class="g" d="M{_LEFT} {y}H{_WIDE - _RIGHT}"/>',
            *(_text(self.across(v), y + 15, name, "middle") for v, name in names.items()),
        ]


def lines(
    series: Mapping[str, Sequence[Point]],
    title: str,
    x_name: str,
    y_name: str,
    y: Range | None = None,
    x_labels: Sequence[str] = (),
) -> str:
    """Draw each series as a line in its colour, with a legend where there are several.

    y: range of the vertical axis; that of the values if None.  x_labels: what stands for 0, 1, 2
    ... on the horizontal axis, in place of numbers.
    """
    finite = {
        name: [(x, y) for x, y in values if math.isfinite(x) and math.isfinite(y)]
        for name, values in series.items()
    }
    known = {name: _thinned(values) for name, values in finite.items() if values}
    if not known:
        return ""
    every = [p for values in known.values() for p in values]
    legend, high = _legend(list(known) if len(known) > 1 else [], _HIGH + 10)
    across = (-0.4, len(x_labels) - 0.6) if x_labels else _span([p[0] for p in every])
    up = y or _span([p[1] for p in every])
    whole = all(p[0] == round(p[0]) for p in every)
    frame = _Frame(title, across, up, x_name, y_name, high=high, whole=whole)
    parts = [*frame.head, *frame.rows(), *frame.below(x_labels)]
    for n, values in enumerate(known.values()):
        parts.append(_line(frame, values, n))
    return "".join([*parts, *legend, "</svg>"])


def _line(frame: _Frame, values: Sequence[Point], colour: int) -> str:
    if len(values) == 1:
        x, y = frame.across(values[0][0]), frame.up(values[0][1])
        return f'<circle class="f{colour % _COLOURS}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
    path = "L".join(f"{frame.across(x):.1f} {frame.up(y):.1f}" for x, y in values)
    return f'<path class="l s{colour % _COLOURS}"{_dash(colour)} d="M{path}"/>'


def _dash(colour: int) -> str:
    """Return what tells a line from that of the same colour eight before."""
    return ' stroke-dasharray="4 3"' if colour >= _COLOURS else ""


def bars(
    values: Mapping[str, float], title: str, x_name: str, y_name: str, y: Range | None = None
) -> str:
    """Draw one bar a name; as a histogram where the names are the ranges' lower ends."""
    known = {name: v for name, v in values.items() if math.isfinite(v)}
    if not known:
        return ""
    top = max(*known.values(), 0.0)
    frame = _Frame(title, (0, len(known)), y or (0.0, top * 1.05 or 1.0), x_name, y_name)
    parts = [*frame.head, *frame.rows()]
    every = max(1, math.ceil(len(known) / 10))  # labels that have room
    for n, (name, value) in enumerate(known.items()):
        left, right = frame.across(n + 0.1), frame.across(n + 0.9)
        base, end = frame.up(0), frame.up(value)
        parts.append(
            f'<rect class="f0" x="{left:.1f}" y="{min(base, end):.1f}" width="{right - left:.1f}" '
            f'height="{abs(base - end):.1f}"><title>{html.escape(f"{name}: {_short(value)}")}'
            "</title></rect>"
        )
        if n % every == 0:
            parts.append(_text((left + right) / 2, _HIGH - _BOTTOM + 15, name, "middle"))
    return "".join([*parts, "</svg>"])


def stacked(rows: Mapping[str, Mapping[str, float]], title: str) -> str:
    """Draw each row as a bar of its shares, which add up to at most 1, with a legend.

    Rows with a share below 0 (nothing to measure) are left out.
    """
    known = {name: row for name, row in rows.items() if row and min(row.values()) >= 0}
    if not known:
        return ""
    kinds = list(next(iter(known.values())))
    step, left = 18, 110
    legend, top = _legend(kinds, 34, left)
    high = top + step * len(known)
    parts = [
        f'<svg viewBox="0 0 {_WIDE} {high:g}" role="img" aria-label="{html.escape(title)}">',
        _text(6, 15, title, "start", "t"),
        *legend,
    ]
    for n, (name, row) in enumerate(known.items()):
        y, at = top + n * step, float(left)
        parts.append(_text(left - 6, y + 11, name, "end"))
        for kind, share in enumerate(row.values()):
            wide = share * (_WIDE - left - _RIGHT)
            tip = html.escape(f"{name}, {kinds[kind]}: {share:.1%}")
            parts.append(
                f'<rect class="f{kind % _COLOURS}" x="{at:.1f}" y="{y}" width="{wide:.1f}" '
                f'height="{step - 4}"><title>{tip}</title></rect>'
            )
            at += wide
    return "".join([*parts, "</svg>"])


def points(places: Mapping[str, Point], title: str, x_name: str, y_name: str) -> str:
    """Draw named points over a logarithmic horizontal axis; values of x must be above 0."""
    known = {
        name: (x, y)
        for name, (x, y) in places.items()
        if x > 0 and math.isfinite(x) and math.isfinite(y)
    }
    if not known:
        return ""
    across = [x for x, _ in known.values()]
    reach = (min(across) / 1.5, max(across) * 1.5)
    frame = _Frame(title, reach, _span([y for _, y in known.values()], 0.15), x_name, y_name, True)
    parts = [*frame.head, *frame.rows(), *frame.below()]
    for n, (name, (x, y)) in enumerate(known.items()):
        at, up = frame.across(x), frame.up(y)
        side, shift = ("end", -8) if at > _WIDE * 0.6 else ("start", 8)
        parts.append(f'<circle class="f{n % _COLOURS}" cx="{at:.1f}" cy="{up:.1f}" r="5"/>')
        parts.append(_text(at + shift, up + 4, name, side))
    return "".join([*parts, "</svg>"])


# --- parts ---------------------------------------------------------------------------------------


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _legend(names: Sequence[str], y: float, x: float = _LEFT) -> tuple[list[str], float]:
    """Return coloured names in rows from `y` on, and where they end."""
    parts, at = [], x
    for n, name in enumerate(names):
        wide = 22 + 6.4 * len(name)
        if at + wide > _WIDE and at > x:
            at, y = x, y + 15
        parts.append(_mark(at, y, n))
        parts.append(_text(at + 13, y, name, "start"))
        at += wide
    return parts, y + 8 if names else y - 10


def _mark(x: float, y: float, colour: int) -> str:
    """Return a square of a legend's colour, or a dashed line where lines are."""
    kind = colour % _COLOURS
    if colour >= _COLOURS:
        return f'<path class="l s{kind}"{_dash(colour)} d="M{x:.1f} {y - 4:.1f}h11"/>'
    return f'<rect class="f{kind}" x="{x:.1f}" y="{y - 9:.1f}" width="9" height="9"/>'


def _thinned(values: Sequence[Point]) -> list[Point]:
    """Return at most _MOST points, each the mean of a run; the last stays as it is."""
    run = math.ceil(len(values) / _MOST)
    if run <= 1:
        return list(values)
    groups = [values[i : i + run] for i in range(0, len(values) - 1, run)]
    means = [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]
    return [*means, values[-1]]


def _span(values: Sequence[float], margin: float = 0.0) -> Range:
    """Return the range of values, never empty, wider by a share of itself."""
    low, high = min(values), max(values)
    if high <= low:
        edge = abs(low) * 0.1 or 1.0
        return low - edge, high + edge
    return low - margin * (high - low), high + margin * (high - low)


def _ticks(span: Range, whole: bool = False) -> list[float]:
    """Return about five round numbers within a range; whole: no fractions."""
    low, high = span
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [(first + n) * step for n in range(max(count, 0))]


def _powers(span: Range) -> list[float]:
    """Return 1, 2, 5, 10, ... within a range."""
    first, last = (math.floor(math.log10(v)) for v in span)
    values = [n * 10.0**p for p in range(first, last + 1) for n in (1, 2, 5)]
    return [v for v in values if span[0] <= v <= span[1]]


def _short(value: float) -> str:
    """Write a tick's number."""
    if value and (abs(value) >= 1e5 or abs(value) < 1e-4):
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.6g}"
