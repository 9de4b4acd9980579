"""The labelled videos of tracking.py, and what a detector might see in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tracking_scenes import BLANK, FPS, Names

from posewright.people import Frame, People
from posewright.skeletons import Skeleton

__all__ = ["JOINTS", "Video", "perturbed", "read_videos"]

# Labelled point ids of MPII in this order; 6 and 7 (mid hip, thorax) are not labelled.
JOINTS = Skeleton(
    "bonn14",
    (
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "neck",
        "head_top",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ),
    (),
    (
        0.089,
        0.087,
        0.107,
        0.107,
        0.087,
        0.089,
        0.079,
        0.05,
        0.062,
        0.072,
        0.079,
        0.079,
        0.072,
        0.062,
    ),
)
PLACES = {number: k for k, number in enumerate([*range(6), *range(8, 16)])}


@dataclass(frozen=True)
class Video:
    """F frames of P people: (F, P, 14, 2) px, (F, P, 14) labelled, (F, P) head sizes."""

    name: str
    points: NDArray[np.float32]
    known: NDArray[np.bool_]
    heads: NDArray[np.float32]

    def who(self, frame: int) -> Names:
        """Return the people of a frame with at least three labelled joints."""
        return np.flatnonzero(self.known[frame].sum(1) >= 3)

    def boxes(self, frame: int, who: Names) -> NDArray[np.float32]:
        """Return their boxes: an eighth wider and higher on each side than their joints."""
        points, known = self.points[frame, who], self.known[frame, who, :, None]
        low, high = np.where(known, points, np.inf).min(1), np.where(known, points, -np.inf).max(1)
        margin = np.maximum(high - low, 10) / 8
        return np.concatenate([low - margin, high + margin], 1)


def read_videos(folder: Path) -> list[Video]:
    """Read all labelled videos of an annolist folder."""
    from posewright.files.matfile import read_mat

    files = sorted(folder.glob("annolist/*/annolist.mat"))
    return [_video(v) for f in files for v in read_mat(f)["annolist"].ravel()]


def _video(entry: dict[str, Any]) -> Video:
    frames = int(entry["num_frames"].item())
    people = entry["annopoints"].reshape(-1, frames)
    points = np.zeros((frames, len(people), 14, 2), np.float32)
    known, heads = np.zeros(points.shape[:3], bool), np.zeros(points.shape[:2], np.float32)
    for p, row in enumerate(people):
        for f, cell in enumerate(row):
            label = cell[0, 0] if isinstance(cell, np.ndarray) and cell.size else None
            if not isinstance(label, dict):
                continue
            rectangle = label.get("head_rect", np.zeros(0)).ravel()
            if rectangle.size == 4:
                heads[f, p] = 0.6 * np.hypot(*(rectangle[2:] - rectangle[:2]))
            for point in np.ravel(label.get("point", [])):
                k = PLACES.get(int(point["id"].item())) if point["id"].size else None
                if k is not None and point["x"].size:
                    points[f, p, k] = point["x"].item(), point["y"].item()
                    known[f, p, k] = True
    return Video(str(entry["name"]), points, known, heads)


def perturbed(video: Video, rng: np.random.Generator) -> Iterator[tuple[Frame, People, Names]]:
    """Yield what a detector might see: 5 px of jitter, 10 % missed, 5 % false people.

    A tenth of the people score low, as half hidden ones do; joints without a label score next to
    nothing.
    """
    for f in range(len(video.points)):
        everybody = video.who(f)
        who = everybody[rng.random(len(everybody)) >= 0.1]
        n = len(who)
        boxes = video.boxes(f, who) + rng.normal(0, 5, (n, 4))
        known = video.known[f, who]
        middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        points = np.where(known[..., None], video.points[f, who], middle)
        points = points + rng.normal(0, np.where(known[..., None], 5, 20), points.shape)
        low = rng.random(n) < 0.1
        box_scores = np.where(low, rng.uniform(0.15, 0.45, n), rng.uniform(0.5, 0.95, n))
        scores = np.where(known, rng.uniform(0.5, 0.95, (n, 14)), rng.uniform(0, 0.15, (n, 14)))
        people = People.of(boxes, box_scores, points, scores * np.where(low, 0.5, 1)[:, None])
        false = _invented(video, int((rng.random(len(everybody)) < 0.05).sum()), rng)
        people = People.concat([people, false])
        who = np.concatenate([who, np.full(len(false), -1)])
        order = rng.permutation(len(who))
        yield Frame(BLANK, f, f / FPS), people[order], who[order]


def _invented(video: Video, count: int, rng: np.random.Generator) -> People:
    """Return people who are not there, anywhere in the image."""
    reach = video.points.max((0, 1, 2))
    middle, width = rng.uniform(0, reach, (count, 1, 2)), rng.uniform(30, 120, (count, 1, 1))
    points = middle + rng.uniform(-0.5, 0.5, (count, 14, 2)) * width * [1, 2.2]
    scores = rng.uniform(0.1, 0.6, (count, 14))
    return People.of(None, rng.uniform(0.2, 0.7, count), points, scores)
