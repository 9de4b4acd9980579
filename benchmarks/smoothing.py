"""What smoothing makes of labelled videos with trembling joints and missed people.

Usage: python benchmarks/smoothing.py BONN_FOLDER [EVERY]
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tracking import FPS, JOINTS, Video, perturbed, read_videos

from posewright.people import Floats
from posewright.results import Result
from posewright.smoothing import create_smoother, smoothed

METHODS = (
    None,
    "one-euro",
    "one-euro:beta=0.05",
    "kalman",
    "kalman:lag=0.3",
    "kalman:cutoff=3,lag=0.3",
    "butterworth",
    "butterworth:3",
    "savgol",
)
Errors = dict[str, list[Floats]]


def measure(video: Video, method: str | None, rng: np.random.Generator, into: Errors) -> None:
    """Add the distances to the labels, of sights and of what was filled in, and the trembling."""
    frames = [
        Result(people.replace(ids=who), JOINTS, (0, 0), video.name, frame.index, frame.time)
        for frame, people, who in perturbed(video, rng)
    ]
    done = list(smoothed(frames, create_smoother(method, gap=0.2, fps=FPS)))
    tracks: dict[int, dict[int, Floats]] = defaultdict(dict)
    for number, (before, after) in enumerate(zip(frames, done, strict=True)):
        for row, person in enumerate(after.ids.tolist()):
            if person >= 0:
                known = video.known[number, person]
                away = (after.keypoints[row] - video.points[number, person])[known]
                kind = "seen" if person in before.ids else "filled"
                into[kind].append(np.linalg.norm(away, axis=1))
                tracks[person][number] = np.where(known[:, None], after.keypoints[row], np.nan)
    into["trembling"] += [step for track in tracks.values() for step in second(track)]


def second(track: dict[int, Floats]) -> Iterable[Floats]:
    """Yield second differences over three frames on end, of joints labelled in all of them."""
    for number, points in track.items():
        if number - 1 in track and number + 1 in track:
            step = (track[number + 1] - 2 * points + track[number - 1]).ravel()
            yield step[np.isfinite(step)]


def main() -> None:
    """Print a row for each method: root mean squares in px."""
    every = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    videos = read_videos(Path(sys.argv[1]))[::every]
    print("| `--smooth` | seen | filled in | second difference |\n|---|---|---|---|")
    for method in METHODS:
        rng, errors = np.random.default_rng(0), defaultdict(list)
        for video in videos:
            measure(video, method, rng, errors)
        roots = [
            np.sqrt(np.square(np.concatenate(errors[k])).mean())
            for k in ("seen", "filled", "trembling")
        ]
        print(
            f"| `{method or 'none'}` | " + " | ".join(f"{root:.2f}" for root in roots) + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
