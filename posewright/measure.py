"""measure(): what a Pose costs on this machine, stage by stage."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from posewright.errors import SourceError

if TYPE_CHECKING:
    from posewright.pose import Pose

__all__ = ["measure"]

WARM_UP = 5


def measure(pose: Pose, source: Any, frames: int = 60) -> dict[str, Any]:
    """Return rates and median milliseconds per stage over `frames` frames, after a warm-up of five.

    The stages of several frames run side by side, so they add up to more than the time a frame.
    """
    speeds, people = [], 0
    with pose.stream(source, keep_images=False) as stream:
        for _ in islice(stream, WARM_UP):
            pass
        start = time.perf_counter()
        for result in islice(stream, frames):
            speeds.append(result.speed)
            people += len(result)
        seconds = time.perf_counter() - start
    if not speeds:
        raise SourceError(
            f"{stream.source.name}: fewer than {WARM_UP + 1} frames; give a longer source"
        )
    return {
        "pose": f"{pose.model.info.name}, {pose.model.runtime}",
        "frames": len(speeds),
        "people per frame": people / len(speeds),
        "frames/s": len(speeds) / seconds,
        "people/s": people / seconds,
        "detect ms/frame": float(np.median([s.get("detect", 0.0) for s in speeds])),
        "pose ms/frame": float(np.median([s.get("pose", 0.0) for s in speeds])),
    }
