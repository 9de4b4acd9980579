"""How much the operators of posewright.models.parts.deform cost, in dense convolutions.

    python benchmarks/ops.py

A line for each operator and map: its median time, that of a dense 3x3 convolution of the same map
(2 views; one thread), and their ratio.  Both run in turn.  The exit code is 1
where a ratio is above the one that is stated, or a result is not the operator's definition.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from posewright.models.parts.deform import deform_conv2d, flow_warp, ms_deform_attention

RUNS = 9
LIMIT = 3.0  # dense convolutions
B = 2
MAPS = ((64, 64, 48), (128, 32, 24), (256, 64, 48))  # channels, height, width
Run = Callable[[], Tensor]


def cases(c: int, h: int, w: int) -> list[tuple[str, Run, Run]]:
    """Return the operators by name, each with the dense convolution."""
    x, weight = torch.randn(B, c, h, w), torch.randn(c, c, 3, 3) / 48
    offset, mask = torch.randn(B, 18, h, w), torch.rand(B, 9, h, w)
    still, ones = torch.zeros_like(offset), torch.ones_like(mask)
    flow = torch.randn(B, 2, h, w)
    # as many points as the kernel has taps, as many queries as the map has cells, and heads of 32
    # channels, as in Deformable DETR
    heads = c // 32
    values, shapes = torch.randn(B, h * w, heads, 32), [(h, w)]
    places, shares = torch.rand(B, h * w, heads, 1, 9, 2), torch.rand(B, h * w, heads, 1, 9)

    def dense() -> Tensor:
        return F.conv2d(x, weight, padding=1)

    def deformed(moved: Tensor, factor: Tensor | None) -> Tensor:
        return deform_conv2d(x, moved, weight, padding=1, mask=factor)

    torch.testing.assert_close(deformed(still, ones), dense(), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(flow_warp(x, torch.zeros_like(flow)), x)
    return [
        ("deform_conv2d", lambda: deformed(offset, None), dense),
        ("deform_conv2d, mask", lambda: deformed(offset, mask), dense),
        ("flow_warp", lambda: flow_warp(x, flow), dense),
        (
            "ms_deform_attention",
            lambda: ms_deform_attention(values, shapes, places, shares),
            dense,
        ),
    ]


def medians(one: Run, two: Run) -> tuple[float, float]:
    """Return the median seconds of both, which run in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(RUNS + 1):
        for run, found in zip((one, two), times, strict=True):
            start = time.perf_counter()
            run()
            if turn:  # the first warms up
                found.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> int:
    """Print a line for each operator; 1 if one is too slow."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    slow = 0
    with torch.inference_mode():
        for c, h, w in MAPS:
            for name, run, dense in cases(c, h, w):
                ours, theirs = medians(run, dense)
                ratio = ours / theirs
                slow += ratio > LIMIT
                print(
                    f"{c:>3} x {h} x {w}  {name:<20} {ours * 1e3:6.1f} ms, "
                    f"dense {theirs * 1e3:6.1f} ms, ratio {ratio:.2f}"
                )
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
