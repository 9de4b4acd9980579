"""How much faster batched decoding and cropping are than one joint, one person at a time.

    python benchmarks/decode.py

Both ways run in turn, on the same arrays, on one thread; a line gives the medians of the runs and
their ratio.  The exit code is 1 where a ratio is below the one that the documentation claims, or
where the two ways do not give the same numbers.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from posewright.codecs.heatmap import dark, peaks, quarter_shift
from posewright.warp import Warp

Array = NDArray[Any]
RUNS = 51
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def heatmaps(views: int = 32) -> Array:
    """(views, 17, 64, 48) float32 maps with a peak and noise, as a network gives them."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :48].astype(np.float32)
    x, y = rng.uniform(4, 44, (2, views, 17, 1, 1)).astype(np.float32)
    bells = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8) * 0.9
    return np.asarray(bells + rng.normal(0, 0.01, bells.shape), np.float32)


def loop_quarter(maps: Array) -> Array:
    """One joint at a time: the peak, moved a quarter towards the higher neighbour."""
    points = np.zeros((*maps.shape[:2], 3), np.float32)  # x, y, score
    height, width = maps.shape[2:]
    for person in range(len(maps)):
        for joint in range(maps.shape[1]):
            m = maps[person, joint]
            y, x = divmod(int(m.argmax()), width)
            points[person, joint] = x, y, m[y, x]
            if 1 < x < width - 1 and 1 < y < height - 1:
                slope = np.array([m[y, x + 1] - m[y, x - 1], m[y + 1, x] - m[y - 1, x]])
                points[person, joint, :2] += np.sign(slope) * 0.25
    return points


def loop_dark(maps: Array, kernel: int = 11) -> Array:
    """One joint at a time: the whole map blurred, and a Newton step on its log."""
    points = np.zeros((*maps.shape[:2], 3), np.float32)  # x, y, score
    height, width = maps.shape[2:]
    for person in range(len(maps)):
        for joint in range(maps.shape[1]):
            m = maps[person, joint]
            y, x = divmod(int(m.argmax()), width)
            points[person, joint] = x, y, m[y, x]
            if 1 < x < width - 2 and 1 < y < height - 2:
                blurred = cv2.GaussianBlur(np.pad(m, kernel // 2), (kernel, kernel), 0)
                blurred = blurred[kernel // 2 : -(kernel // 2), kernel // 2 : -(kernel // 2)]
                blurred = blurred * (m.max() / blurred.max())
                points[person, joint, :2] += newton(np.log(np.maximum(blurred, 1e-10)), x, y)
    return points


def newton(m: Array, x: int, y: int) -> Array:
    """The step from (x, y) to where the gradient of a map is 0."""
    gradient = np.array([m[y, x + 1] - m[y, x - 1], m[y + 1, x] - m[y - 1, x]]) / 2
    dxx = (m[y, x + 2] - 2 * m[y, x] + m[y, x - 2]) / 4
    dyy = (m[y + 2, x] - 2 * m[y, x] + m[y - 2, x]) / 4
    dxy = (m[y + 1, x + 1] - m[y - 1, x + 1] - m[y + 1, x - 1] + m[y - 1, x - 1]) / 4
    if dxx * dyy - dxy * dxy == 0:
        return np.zeros(2)
    return np.asarray(-np.linalg.inv(np.array([[dxx, dxy], [dxy, dyy]])) @ gradient)


def batch(refine: Callable[[Array, Array], Array], maps: Array) -> Array:
    """Every joint at once: x, y, score."""
    xy, scores = peaks(maps)
    return np.concatenate([refine(maps, xy), scores[..., None]], 2)


def loop_crop(image: Array, boxes: Array) -> Array:
    """One person at a time: warp, normalise in float32, channels first, stack."""
    views = []
    for box in boxes:
        matrix = Warp.crop(box, (192, 256)).matrix
        view = cv2.warpAffine(image, matrix, (192, 256), flags=cv2.INTER_LINEAR)
        normal = (view.astype(np.float32) / 255 - MEAN) / STD
        views.append(normal.transpose(2, 0, 1))
    return np.stack(views)


def batch_crop(image: Array, boxes: Array, out: Array) -> Array:
    """Everybody into one uint8 batch; the network's first layer normalises."""
    for row, box in zip(out, boxes, strict=True):
        Warp.crop(box, (192, 256)).image(image, out=row)
    return out


def medians(slow: Callable[[], Array], fast: Callable[[], Array]) -> tuple[float, float]:
    """Milliseconds of each, the runs in turn."""
    times: list[tuple[float, float]] = []
    for _ in range(RUNS + 2):
        a = time.perf_counter()
        slow()
        b = time.perf_counter()
        fast()
        times.append((b - a, time.perf_counter() - b))
    one, other = zip(*times[2:], strict=True)  # the first two runs fill the caches
    return statistics.median(one) * 1e3, statistics.median(other) * 1e3


def cpu() -> str:
    """The processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> int:
    cv2.setNumThreads(1)
    maps = heatmaps()
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (1080, 1920, 3), np.uint8)
    corner = rng.uniform([0, 0], [1600, 500], (8, 2))
    boxes = np.hstack([corner, corner + rng.uniform([100, 250], [300, 560], (8, 2))])
    views = np.empty((8, 256, 192, 3), np.uint8)

    def normal(pixels: Array) -> Array:
        return ((pixels.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2)

    # name, claimed ratio, slow way, fast way, what the fast way's result is compared as, and how
    # close it must be: pixels of the map, or one grey level after normalisation
    cases: list[tuple[str, float, Callable[[], Array], Callable[[], Array], Any, float]] = [
        (
            "quarter, 32 x 17 maps of 64 x 48",
            10,
            lambda: loop_quarter(maps),
            lambda: batch(quarter_shift, maps),
            np.asarray,
            1e-4,
        ),
        (
            "DARK, 32 x 17 maps of 64 x 48",
            15,
            lambda: loop_dark(maps),
            lambda: batch(dark, maps),
            np.asarray,
            1e-4,
        ),
        (
            "crop, 8 people of 1080p to 256 x 192",
            3.5,
            lambda: loop_crop(image, boxes),
            lambda: batch_crop(image, boxes, views),
            normal,
            0.018,
        ),
    ]
    print(f"{cpu()}; numpy {np.__version__}, OpenCV {cv2.__version__}, 1 thread, {RUNS} runs")
    missed = 0
    for name, claim, slow, fast, same, close in cases:
        difference = float(np.abs(slow() - same(fast())).max())
        one, other = medians(slow, fast)
        good = one / other >= claim and difference < close
        missed += not good
        print(
            f"{name:38} {one:7.2f} ms  {other:6.2f} ms  {one / other:5.1f}x (claim {claim}x)  "
            f"difference {difference:.0e}  {'' if good else 'MISSED'}"
        )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
