"""Results made by hand, and what a writer makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from posewright.people import People
from posewright.results import Result
from posewright.skeletons import COCO17
from posewright.writers import WriterOptions, create_writer
from posewright.writers.outputs import Outputs, Summary

__all__ = ["FAILED", "TEXT", "nobody", "opened", "people", "read_json", "result", "write"]


TEXT = ("coco", "alphapose", "alphapose-cmu", "alphapose-open", "openpose", "csv", "jsonl")


def people(count: int = 2, seed: int = 0, tracked: bool = True) -> People:
    rng = np.random.default_rng(seed)
    ids = rng.permutation(50)[:count] if tracked else np.full(count, -1)
    points = rng.uniform(0, 60, (count, 17, 2))
    return People.of(None, rng.uniform(0, 1, count), points, rng.uniform(0, 1, (count, 17)), ids)


def result(
    who: People | None = None, source: str = "clip.mp4", frame: int = 0, **more: Any
) -> Result:
    image = np.full((64, 80, 3), 90, np.uint8)
    who = people() if who is None else who
    fields = {"size": (80, 64), "time": frame / 25, "image": image, **more}
    return Result(who, COCO17, source=source, frame=frame, **fields)


def write(name: str, folder: Path, results: list[Result], **options: Any) -> list[Path]:
    writer = create_writer(name, folder, options=WriterOptions(**options))
    for one in results:
        writer.write(one)
    return writer.close()


def read_json(path: Path) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} in {path}")

    return json.loads(path.read_text(), parse_constant=refuse)


def nobody() -> People:
    return People.empty(COCO17)


FAILED = Result(nobody(), COCO17, (0, 0), "clip.mp4", 9, 0.4, "decode_error", "cut short")


def opened(out: Path, save: str = "jsonl", overwrite: bool = False) -> Outputs:
    return Outputs.open(save.split(","), out, WriterOptions(overwrite=overwrite), Summary())
