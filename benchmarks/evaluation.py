"""Time of COCO keypoint evaluation beside pycocotools: python benchmarks/evaluation.py

A made-up set of COCO's size, crowds and people without joints included; both evaluate it in the
same process, taking turns, and must agree to the last bit.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from posewright.evaluation.coco_files import read_detections, read_truth
from posewright.metrics.oks import evaluate_keypoints, sigmas_of
from posewright.skeletons import COCO17

PEOPLE = 2.2  # labelled people to an image
SIGMAS = sigmas_of(COCO17)


def labels(images: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return COCO labels: 1 % crowds, 10 % people without a labelled joint."""
    count = int(PEOPLE * images)
    sizes = rng.lognormal(4.2, 0.7, count).clip(10, 400)
    points = rng.uniform(50, 600, (count, 1, 2))
    points = (points + rng.uniform(-0.5, 0.5, (count, 17, 2)) * sizes[:, None, None]).round(2)
    seen = rng.choice([0, 1, 2], (count, 17), p=[0.3, 0.2, 0.5]) * (rng.random((count, 1)) > 0.1)
    low, extent = points.min(1), np.ptp(points, axis=1)
    rows = np.concatenate([points * (seen > 0)[..., None], seen[..., None]], 2).reshape(count, -1)
    where = rng.integers(1, images + 1, count)
    crowd = rng.random(count) < 0.01
    people = [
        {
            "id": i + 1,
            "image_id": int(where[i]),
            "category_id": 1,
            "iscrowd": int(crowd[i]),
            "area": round(float(extent[i].prod() * 0.6), 2),
            "num_keypoints": int((seen[i] > 0).sum()),
            "bbox": [*low[i].tolist(), *extent[i].tolist()],
            "keypoints": rows[i].tolist(),
        }
        for i in range(count)
    ]
    return {
        "images": [{"id": i + 1, "file_name": f"{i + 1}.jpg"} for i in range(images)],
        "annotations": people,
        "categories": [{"id": 1, "name": "person"}],
    }


def results(truth: dict[str, Any], count: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return detections: half of them near somebody, more or less exactly, half anywhere."""
    people = truth["annotations"]
    source = rng.integers(0, len(people), count)
    known = np.array([p["keypoints"] for p in people]).reshape(-1, 17, 3)[source, :, :2]
    sizes = np.sqrt([people[i]["area"] for i in source])
    noise = sizes * rng.choice([0.03, 0.08, 0.2], count)
    points = known + rng.normal(0, 1, (count, 17, 2)) * noise[:, None, None]
    points[rng.random(count) < 0.5] += rng.uniform(-300, 300, 2)
    scores = rng.random((count, 17, 1))
    rows = np.concatenate([points.round(2), scores.round(3)], 2).reshape(count, -1)
    return [
        {
            "image_id": people[s]["image_id"],
            "category_id": 1,
            "keypoints": row.tolist(),
            "score": round(float(score), 4),
        }
        for s, row, score in zip(source, rows, rng.random(count), strict=True)
    ]


def reference(truth: Path, found: Path) -> list[float]:
    """Return pycocotools' ten numbers."""
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(truth))
        scores = COCOeval(known, known.loadRes(str(found)), "keypoints")
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    return [float(s) for s in scores.stats]


def ours(truth: Path, found: Path) -> list[float]:
    """Return our ten numbers."""
    known = read_truth(truth, len(COCO17))
    people = read_detections(found, known)
    return list(evaluate_keypoints(known.truth, people, SIGMAS).numbers.values())


def seconds(work: Callable[[], list[float]]) -> tuple[float, list[float]]:
    """Return the processor time of a call, and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main() -> None:
    """Print medians in seconds of processor time, and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        truth, found = Path(folder) / "labels.json", Path(folder) / "results.json"
        data = labels(args.images, rng)
        truth.write_text(json.dumps(data))
        found.write_text(json.dumps(results(data, args.detections, rng)))
        compare(truth, found, args.rounds)


def compare(truth: Path, found: Path, rounds: int) -> None:
    """Time the two in turns; AssertionError where a number differs."""
    known = read_truth(truth, len(COCO17))
    people = read_detections(found, known)
    times: dict[str, list[float]] = {"pycocotools": [], "files": [], "arrays": []}
    for _ in range(rounds):
        spent, expected = seconds(lambda: reference(truth, found))
        times["pycocotools"].append(spent)
        spent, numbers = seconds(lambda: ours(truth, found))
        times["files"].append(spent)
        assert numbers == expected, (numbers, expected)
        spent, _ = seconds(
            lambda: list(evaluate_keypoints(known.truth, people, SIGMAS).numbers.values())
        )
        times["arrays"].append(spent)
    base = statistics.median(times["pycocotools"])
    print(f"{len(known.images)} images, {len(known.truth)} people, {len(people)} detections")
    print(
        f"AP {expected[0]:.4f}, all ten numbers equal to the last bit; seconds, median of {rounds}"
    )
    for name, values in times.items():
        print(
            f"{name:12} {statistics.median(values):6.2f}  {base / statistics.median(values):5.1f}x"
        )


if __name__ == "__main__":
    main()
