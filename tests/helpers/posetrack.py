"""PoseTrack labels of two people who walk side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from posewright.cli import main
from posewright.skeletons import POSETRACK17

__all__ = ["REST", "SIZE", "call", "changed", "swapped", "video", "written"]

SIZE = (320, 160)
REST = np.random.default_rng(0).uniform(0, [40, 120], (17, 2))  # a pose


def video(name: str = "000001", frames: int = 10, more: Any = None) -> dict[str, Any]:
    """Labels of two people who walk side by side; ids begin with 3 and 4."""
    images, people = [], []
    for f in range(frames):
        image = 10_000_010_000 + f
        images.append(
            {
                "id": image,
                "frame_id": image,
                "vid_id": name,
                "is_labeled": True,
                "width": SIZE[0],
                "height": SIZE[1],
                "file_name": f"{name}/{f:06d}.png",
                **(more or {}),
            }
        )
        for p in range(2):
            xy = REST + np.array([20 + 150 * p + 4 * f, 20])
            people.append(
                {
                    "id": 2 * f + p,
                    "image_id": image,
                    "category_id": 1,
                    "track_id": 3 + p,
                    "keypoints": np.c_[xy, np.ones(17)].ravel().tolist(),
                    "bbox": [*(xy.min(0) - 9).tolist(), *(np.ptp(xy, 0) + 18).tolist()],
                    "bbox_head": [*xy[0].tolist(), 20, 20],
                    "iscrowd": False,
                }
            )
    category = {"id": 1, "name": "person", "keypoints": list(POSETRACK17.joints)}
    return {"images": images, "annotations": people, "categories": [category]}


def changed(data: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Results with each person changed."""
    return {**data, "annotations": [change(dict(a)) for a in data["annotations"]]}


def swapped(person: dict[str, Any]) -> dict[str, Any]:
    """Exchange the two identities in the second half."""
    late = person["image_id"] >= 10_000_010_005
    return {**person, "track_id": 7 - person["track_id"] if late else person["track_id"]}


def written(file: Path, data: Any) -> Path:
    """Write JSON; return the path."""
    file.write_text(json.dumps(data))
    return file


def call(labels: Path, *more: object) -> int:
    """Run `eval posetrack`; return the exit code."""
    return main(["eval", "posetrack", "--ann", str(labels), *map(str, more)])
