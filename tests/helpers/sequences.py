"""Sequences of people without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from posewright.people import Frame, People
from posewright.pipeline.pipeline import Pipeline
from posewright.results import Result
from posewright.skeletons import COCO17
from posewright.sources import open_source
from posewright.trackers import create_tracker
from posewright.writers import create_writer

__all__ = ["Network", "Opened", "saved", "somebody"]


def somebody(x: float = 100, identity: int = -1) -> People:
    """One person of 60 x 120 px."""
    joints = np.arange(17)
    points = np.stack([x + 60 * (joints % 3) / 2, 100 + 120 * joints / 16], 1)[None]
    return People.of(keypoints=points, scores=np.full((1, 17), 0.9), ids=[identity])


class Network:
    """Finds the same person in every frame, without a network; a Pose for predict_to."""

    skeleton = COCO17
    embed = None
    frames_with_detector: list[tuple[str, int]]

    def stream(
        self, source: Any, *, tracker: Any = None, det_every: int = 1, **options: Any
    ) -> Any:
        options.pop("keep_images")
        records = options.pop("records", None)
        opened = open_source(source, **options)
        if isinstance(tracker, str):
            tracker = create_tracker(tracker, skeleton=COCO17)
        self.asked: list[tuple[str, int]] = []
        pipeline = Pipeline(
            self,
            self,
            tracker=tracker,
            det_every=det_every,
            threads=1,
            keep_images=True,
            estimate=lambda model, frames, people, **_: list(map(self.found, frames)),
            records=records,
        )  # type: ignore[arg-type]
        return Opened(opened, pipeline.run(opened))

    def found(self, frame: Frame) -> People:
        return somebody()

    def people(self, frame: Frame) -> People:
        self.asked.append((Path(frame.name).parent.name, frame.index))
        return People.of(boxes=[[100, 100, 160, 220]])

    @property
    def codec(self) -> Any:
        return type("Codec", (), {"task": "joints", "top_down": True, "mirrors": True})

    def __bool__(self) -> bool:
        return True


class Opened:
    """An open stream of results."""

    def __init__(self, source: Any, results: Iterator[Result]) -> None:
        self.source, self._results = source, results

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()

    def __iter__(self) -> Iterator[Result]:
        return self._results


def saved(folder: Path, form: str, sources: list[str]) -> Path:
    """Write one person at one place in frames 0-2 of the first source, 3-5 of the others."""
    writer = create_writer(form, folder)
    for number, source in enumerate(sources):
        for i in range(6):
            there = (i < 3) == (number == 0)
            who = somebody() if there else People.empty(COCO17)
            name = source.replace("%d", "abcdefgh"[i] if "x" in source or "y" in source else str(i))
            writer.write(Result(who, COCO17, (640, 480), name, i))
    return writer.close()[0]
