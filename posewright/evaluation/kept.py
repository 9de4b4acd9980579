"""A detector's boxes of a data set, kept in a file, so that the detector runs once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posewright.datasets.base import Sample
from posewright.errors import SourceError
from posewright.evaluation.running import FileBoxes, Report, everybody, run
from posewright.files.part import PartFile
from posewright.files.values import dumps, plain
from posewright.people import xywh
from posewright.pipeline.estimate import Detectors
from posewright.readers.boxes import read_boxes
from posewright.runtimes import Model

__all__ = ["kept_boxes"]


def kept_boxes(
    file: Path,
    samples: Sequence[Sample],
    detector: Model | Detectors | None,
    category: int = 1,
    progress: Report | None = None,
) -> tuple[FileBoxes, str]:
    """Return the boxes of `file` with what to know of them; where it is not there, run the detector
    first and write it.

    file: COCO detection results, which any tool may have made.  detector: None where the file must
    be there.  category: number of people in it.  SourceError: it has no image of the data set.
    """
    new = not file.is_file()
    if new:
        if detector is None:
            raise SourceError(f"{file} is not there; give a file of a detector's boxes")
        _write(file, samples, everybody(detector), category, progress)
    boxes = read_boxes(file, category)
    missing = sum(sample.image_id not in boxes.boxes for sample in samples)
    if boxes.boxes and missing == len(samples):
        raise SourceError(f"{file} has boxes of other images; remove it, or give another name")
    note = "" if new else f"boxes are those of {file}; no detector was run"
    if note and missing:
        note += f", and {missing} of {len(samples)} images have none: remove it if it is of fewer"
    return FileBoxes(samples, boxes), note


def _write(
    file: Path,
    samples: Sequence[Sample],
    detector: Model | Detectors,
    category: int,
    progress: Report | None,
) -> None:
    models = detector.models if isinstance(detector, Detectors) else (detector,)
    entries: list[dict[str, Any]] = []
    for model in models:
        found, _, _ = run(model, samples, None, flip=False, nms=None, batch=8, progress=progress)
        for sample, people in zip(samples, found, strict=True):
            for box, score in zip(plain(xywh(people)), plain(people.box_scores), strict=True):
                entries.append(
                    {
                        "image_id": sample.image_id,
                        "category_id": category,
                        "bbox": box,
                        "score": score,
                    }
                )
    part = PartFile(file, False)
    part.write(dumps(entries).encode())
    part.finish()
