"""Time of the duplicate removal against a plain loop over pairs: python benchmarks/nms.py"""

from __future__ import annotations

import math
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from posewright.nms import PPoseNMS, box_nms_indices, oks_nms, ppose_nms
from posewright.people import People
from posewright.skeletons import COCO17


def crowd(count: int, seed: int = 0) -> People:
    """Return `count` made-up poses, five round each of count / 5 places of a 1000 px image."""
    rng = np.random.default_rng(seed)
    places = max(count // 5, 1)
    base = rng.uniform(0, 1000, (places, 1, 2)) + rng.uniform(0, 1, (places, 17, 2)) * [80, 200]
    points = base[np.arange(count) % places] + rng.normal(0, 2, (count, 17, 2))
    scores = rng.uniform(0.3, 1, (count, 17))
    return People.of(None, rng.uniform(0.3, 1, count), points, scores, np.arange(count))


def loop_ppose(people: People, settings: PPoseNMS) -> tuple[list[int], list[list[list[float]]]]:
    """Return picks and merged x, y, score of p-Pose NMS by plain loops (17 joints)."""
    points, scores = people.keypoints.tolist(), people.scores.tolist()
    reach = [settings.alpha * max(x2 - x1, y2 - y1) for x1, y1, x2, y2 in people.boxes.tolist()]
    mean = people.pose_scores.tolist()
    rest, picks, merged = list(range(len(people))), [], []
    while rest:
        i = max(rest, key=lambda p: mean[p])
        group = [j for j in rest if j == i or _repeats(points, scores, i, j, reach[i], settings)]
        rest = [j for j in rest if j not in group]
        if max(scores[i]) >= settings.score:
            picks.append(i)
            near = min(reach[i], settings.merge_reach)
            merged.append([_mean_joint(points, scores, i, group, k, near) for k in range(17)])
    return picks, merged


def _repeats(points, scores, i, j, reach, settings) -> bool:  # type: ignore[no-untyped-def]
    likeness, matched = 0.0, 0
    for a, b, s, t in zip(points[i], points[j], scores[i], scores[j], strict=True):
        distance = math.dist(a, b)
        likeness += settings.mu * math.exp(-distance / settings.delta2)
        if distance <= 1:
            likeness += math.tanh(s / settings.delta1) * math.tanh(t / settings.delta1)
        matched += distance <= min(reach, settings.match_reach)
    return likeness > settings.gamma or matched >= settings.matches


def _mean_joint(points, scores, i, group, k, near) -> list[float]:  # type: ignore[no-untyped-def]
    used = [j for j in group if math.dist(points[i][k], points[j][k]) <= near]
    total = sum(scores[j][k] for j in used)
    parts = [(*points[j][k], scores[j][k]) for j in used]
    return [sum(p[c] * p[2] for p in parts) / total for c in range(3)]


def loop_oks(people: People, threshold: float) -> list[int]:
    """Return picks of OKS-NMS by plain loops."""
    sigmas = [float(s) for s in COCO17.oks_sigmas]
    points, boxes = people.keypoints.tolist(), people.boxes.tolist()
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes]
    scores = (people.box_scores * people.pose_scores).tolist()
    picks: list[int] = []
    for j in sorted(range(len(people)), key=lambda p: -scores[p]):
        if all(_oks(points[i], points[j], areas[i] + areas[j], sigmas) <= threshold for i in picks):
            picks.append(j)
    return picks


def _oks(a, b, areas, sigmas) -> float:  # type: ignore[no-untyped-def]
    terms = (
        math.exp(-(math.dist(p, q) ** 2) / (areas / 2) / (8 * s * s))
        for p, q, s in zip(a, b, sigmas, strict=True)
    )
    return sum(terms) / len(sigmas)


def milliseconds(work: Callable[[], object], rounds: int = 21) -> float:
    """Return the median wall time of a call."""
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - start))
    return statistics.median(spent)


def cpu() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Print medians in ms and the ratio to the loops."""
    print(f"{cpu()}; numpy {np.__version__}; medians in ms (loop: the same by plain Python loops)")
    print("people  p-Pose    loop  ratio      OKS    loop  ratio")
    settings = PPoseNMS()
    for count in (5, 20, 100, 300):
        people, rounds = crowd(count), 21 if count <= 100 else 5
        times = [
            milliseconds(lambda p=people: ppose_nms(p, settings)),
            milliseconds(lambda p=people: loop_ppose(p, settings), rounds),
            milliseconds(lambda p=people: oks_nms(p, COCO17)),
            milliseconds(lambda p=people: loop_oks(p, 0.9), rounds),
        ]
        a, b, c, d = times
        print(f"{count:6} {a:7.2f} {b:7.1f} {b / a:5.0f}x  {c:7.2f} {d:7.1f} {d / c:5.0f}x")
    rng = np.random.default_rng(0)
    for area, what in ((20, "crowded"), (2000, "scattered")):
        corner = rng.uniform(0, area, (1000, 2))
        size = rng.uniform(50, 100, (1000, 2))
        boxes = np.concatenate([corner, corner + size], 1).astype(np.float32)
        scores = rng.uniform(size=1000).astype(np.float32)
        spent = milliseconds(lambda b=boxes, s=scores: box_nms_indices(b, s, 0.6))
        kept = len(box_nms_indices(boxes, scores, 0.6))
        print(f"box NMS, 1000 {what} boxes, {kept} kept: {spent:.2f}")


if __name__ == "__main__":
    main()
