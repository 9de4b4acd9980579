"""Images with their labels drawn, for a visual check of a data set."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from posewright.datasets.base import Dataset
from posewright.datasets.folders import output_names
from posewright.draw import Style, draw
from posewright.files.part import PartFile, reserve

__all__ = ["view"]


def view(
    dataset: Dataset, out: Path, count: int = 20, overwrite: bool = False
) -> tuple[list[str], list[str]]:
    """Draw `count` images with people, evenly spread over the set, into the folder `out`.

    Return the files written, and one line for each image that cannot be read.
    """
    reserve(out, overwrite, folder=True)
    full = [i for i, sample in enumerate(dataset) if len(sample)] or list(range(len(dataset)))
    chosen = sorted({full[int(i)] for i in np.linspace(0, len(full) - 1, min(count, len(full)))})
    part = dataset[chosen]
    written, notes = [], []
    for sample, name in zip(part, output_names(part.samples), strict=True):
        frame = sample.load()
        if frame.status != "ok":
            notes.append(f"{sample.image}: {frame.message}")
            continue
        picture = draw(frame.image, sample.people, dataset.skeleton, Style(boxes=True))
        file = PartFile(out / f"{Path(name).stem}.png", True)
        file.write(cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes())
        written.append(str(file.finish()))
    return written, notes
