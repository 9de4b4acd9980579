"""The scores of a result file before and after its poses are refined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from posewright.datasets.base import Sample
from posewright.errors import SourceError, UsageError, counted, not_finite
from posewright.evaluation.label_sets import open_labelled
from posewright.evaluation.measures import get_measure
from posewright.evaluation.running import sample_frames
from posewright.evaluation.scoring import Scoring, score_files
from posewright.files.prefetch import ahead
from posewright.people import Frame, People
from posewright.pipeline.refiner import Refiner
from posewright.pipeline.refining import check_joints
from posewright.pipeline.rewriting import Rewritable, open_saved, place_in
from posewright.readers.pictured import Pictured

__all__ = ["score_refined"]


def score_refined(
    data: str,
    labels: Path,
    predictions: Path,
    refiner: Refiner,
    *,
    images: Path | None = None,
    class_name: str | None = None,
    threads: int = 1,
) -> tuple[Scoring, Scoring, list[str]]:
    """Score COCO results as they are and refined; lines tell of images that could not be read.

    data, labels, predictions, class_name: of `score_files`, and errors as there.  images: their
    folder, found near the labels if None.  threads: images refined at once.  UsageError: the
    measure is not one of COCO results, or their joints are not the network's.  SourceError: no
    image can be read.
    """
    if not get_measure(data).classes:
        raise UsageError(
            f"--refine refines COCO results, whose image_id is an image; {data} has others"
        )
    before = score_files(data, labels, predictions, class_name=class_name)
    file = open_saved(predictions, refiner.model.skeleton)
    check_joints(predictions, file.results, refiner)
    dataset, _ = open_labelled(data, labels, images, refiner.model.skeleton, class_name)
    told = _refined(file, predictions, dataset.samples, refiner, threads)
    with TemporaryDirectory(prefix="posewright-") as folder:
        refined = file.write(place_in(Path(folder), predictions), False, {})
        return before, score_files(data, labels, refined, class_name=class_name), told


def _refined(
    file: Rewritable, where: Path, samples: Sequence[Sample], refiner: Refiner, threads: int
) -> list[str]:
    """Refine the people of saved poses on labelled images; return lines on what was left."""
    if not any(map(len, file.results)):
        return []
    saved = Pictured(file.results, where)
    numbers = {id(result): number for number, result in enumerate(file.results)}
    found = [saved.labelled(str(sample.image), sample.image_id) for sample in samples]
    # number of a sample, that of its result
    rows = {i: numbers[id(r)] for i, r in enumerate(found) if r is not None and len(r)}

    def refined(frame: Frame) -> tuple[Frame, People, int]:
        people = file.results[rows[frame.index]].people
        return frame, *(refiner.refined(frame, people) if frame.status == "ok" else (people, 0))

    told, unread = list[str](), 0
    for frame, people, kept in ahead(refined, sample_frames(samples, rows), threads, 2 * threads):
        unread += frame.status != "ok"
        message = frame.message or not_finite([(refiner.model.info.name, kept)])
        file.move(rows[frame.index], people, message)
        told += [f"{samples[frame.index].image}: {message}"] if message else []
    if unread == len(rows):
        first = told[0] if told else "no result is of a labelled image"
        raise SourceError(
            f"{where}: no image of its people can be read ({first}); give their folder with "
            "--images (images=...)"
        )
    left = sum(len(r) > 0 for r in file.results) - len(rows)
    if left:
        told.append(f"{where}: {counted(left, 'image')} not refined: not among the labelled ones")
    return told
