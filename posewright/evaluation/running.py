"""A model over the images of a data set, by the pipeline that predicts, too."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import cast

import numpy as np

from posewright.codecs.base import refines
from posewright.datasets.base import Sample
from posewright.errors import not_finite
from posewright.evaluation.videos import RATE, frame_numbers, videos
from posewright.people import Frame, People
from posewright.pipeline.estimate import Boxes, Detectors, estimate_all, is_network
from posewright.pipeline.pipeline import Pipeline, Refine
from posewright.pipeline.refiner import Refiner
from posewright.predict import Progress
from posewright.readers.boxes import BoxFile
from posewright.results import Result
from posewright.runtimes import Model
from posewright.runtimes.expected_oks import ExpectedOKS
from posewright.trackers import Embed, create_tracker

__all__ = ["FileBoxes", "LabelledBoxes", "everybody", "run", "sample_frames"]

Report = Callable[[Progress], None]
Cleaner = Callable[[People], People]

_AT_ONCE = 32  # images in memory, however many threads there are
_AHEAD = 8  # images that are read before they are asked for
_UNLIKELY = 0.1  # score of a box from which somebody is looked for in it
_TRACKED = 0.2  # mean joint score from which somebody is tracked, as by default in prediction
_READERS = 2  # threads that read them


class LabelledBoxes:
    """Labelled bounding boxes of the people that count: no crowds, only people with labelled
    joints.

    People found in them have the number of the person in the image for an id.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def people(self, frame: Frame) -> People:
        """Return the boxes of the image with the number of the frame."""
        sample = self._samples[frame.index]
        rows = np.flatnonzero(sample.counting)
        return People.of(sample.people.boxes[rows], ids=rows)


class FileBoxes:
    """Boxes from a file, found by an image's id and otherwise by its name."""

    def __init__(self, samples: Sequence[Sample], file: BoxFile) -> None:
        self._samples, self._file = samples, file
        self.name = f"file {file.path.name}"  # in reports

    def people(self, frame: Frame) -> People:
        """Return the boxes of the image with the number of the frame."""
        image_id = self._samples[frame.index].image_id
        if image_id not in self._file.boxes:
            return self._file.people(frame)
        if isinstance(image_id, str):
            return self._file.people(replace(frame, name=image_id))
        return self._file.people(replace(frame, name="", index=image_id))


def everybody(detector: Model | Detectors) -> Model | Detectors:
    """Return a detector that also keeps low scores: they do no harm where people are ranked."""
    return detector.with_threshold(_UNLIKELY)


def run(
    model: Model,
    samples: Sequence[Sample],
    boxes: Boxes | Model | Detectors | None,
    *,
    flip: bool,
    nms: Cleaner | None,
    estimate: Callable[..., list[People]] = estimate_all,
    rescore: ExpectedOKS | None = None,
    batch: int,
    threads: int = 0,
    tracker: str | None = None,
    embed: Embed | None = None,
    refine: Refine | None = None,
    progress: Report | None = None,
    source: str = "",
) -> tuple[list[People], dict[int, str], dict[int, str]]:
    """Return the people found on each image, what was wrong with those that cannot be read, and
    with those for which a network returned NaN or infinity.

    boxes: where people come from, None for a model that finds them by itself.  estimate: how the
    model is run on people, see Pipeline; rescore, too.  batch: views a call.
    threads: calls at once; 0 is 2 for torch, which spreads a call itself, else all processors.
    tracker, embed: of create_tracker; each video has one of its own, which gives people their ids.
    refine: refines the joints of the people that are kept.
    Images are read a few ahead; memory does not grow with their number.
    """
    start, found = time.perf_counter(), [People.empty()] * len(samples)
    bad, failed = dict[int, str](), dict[int, str]()
    people = 0
    if refines(model.codec):
        results = _refined(model, samples, flip, batch)
    else:
        pipeline = _pipeline(model, boxes, flip, nms, batch, threads, estimate, rescore, refine)
        results = (
            _through(pipeline, sample_frames(samples, range(len(samples))))
            if tracker is None
            else _followed(pipeline, samples, tracker, embed)
        )
    for done, (row, result) in enumerate(results, 1):
        if result.message:
            (failed if result.status in ("ok", "model_error") else bad)[row] = result.message
        found[row] = result.people
        people += len(result)
        if progress is not None:
            spent = time.perf_counter() - start
            progress(Progress(source, done, len(samples), people, spent))
    return found, bad, failed


def _pipeline(
    model: Model,
    boxes: Boxes | Model | Detectors | None,
    flip: bool,
    nms: Cleaner | None,
    batch: int,
    threads: int,
    estimate: Callable[..., list[People]],
    rescore: ExpectedOKS | None,
    refine: Refine | None,
) -> Pipeline:
    threads = threads or (2 if model.runtime.startswith("torch") else os.cpu_count() or 1)
    # a window of frames has about a batch of views: three people to an image, or one view
    views = 3 if model.codec.top_down else 1
    window = max(1, min(batch // views, _AT_ONCE // threads))
    return Pipeline(
        model,
        boxes,
        flip=flip,
        nms=nms,
        refine=refine,
        threads=threads,
        window=window,
        batch=batch,
        estimate=estimate,
        rescore=rescore,
    )


def _through(pipeline: Pipeline, frames: Iterable[Frame]) -> Iterator[tuple[int, Result]]:
    """Yield the number of each frame and who is in it."""
    return ((result.frame, result) for result in pipeline.run(frames))


def _followed(
    pipeline: Pipeline, samples: Sequence[Sample], tracker: str, embed: Embed | None
) -> Iterator[tuple[int, Result]]:
    """Yield the number of each image and who is in it, video by video.

    Frames have the numbers and times that they would have if the video itself were read, and the
    unlikely are left out: where tracks are measured, they are not at the end of a ranking.
    """
    for rows in videos(samples):
        some = [samples[row] for row in rows]
        rate = some[0].fps or RATE
        numbers = frame_numbers(some).tolist()
        row_of = dict(zip(numbers, rows.tolist(), strict=True))
        boxes = pipeline.detector
        video = replace(
            pipeline,
            detector=boxes
            if boxes is None or is_network(boxes)
            else _Renumbered(cast("Boxes", boxes), row_of),
            min_score=_TRACKED,
            tracker=create_tracker(
                tracker, skeleton=pipeline.model.skeleton, fps=rate, embed=embed
            ),
        )
        frames = (
            replace(frame, index=number, time=number / rate, sequence="")
            for frame, number in zip(sample_frames(samples, rows.tolist()), numbers, strict=True)
        )
        for number, result in _through(video, frames):
            yield row_of[number], result


class _Renumbered:
    """Boxes of images, found by the number of a video's frame; nobody in them has a name yet."""

    def __init__(self, boxes: Boxes, rows: Mapping[int, int]) -> None:
        self._boxes, self._rows = boxes, rows

    def people(self, frame: Frame) -> People:
        """Return the boxes of a frame."""
        people = self._boxes.people(replace(frame, index=self._rows[frame.index]))
        return people.replace(ids=np.full(len(people), -1))


def sample_frames(samples: Sequence[Sample], rows: Iterable[int]) -> Iterator[Frame]:
    """Yield the images of the samples at `rows`, so numbered, reading a few ahead."""
    with ThreadPoolExecutor(_READERS, "posewright-read") as pool:
        rest = iter(rows)
        pending: deque[tuple[int, Future[Frame]]] = deque(
            (row, pool.submit(samples[row].load)) for row in islice(rest, _AHEAD)
        )
        while pending:
            row, picture = pending.popleft()
            frame = picture.result()
            pending.extend((row, pool.submit(samples[row].load)) for row in islice(rest, 1))
            yield replace(frame, index=row)


def _refined(
    model: Model, samples: Sequence[Sample], flip: bool, batch: int
) -> Iterator[tuple[int, Result]]:
    """Refine the labelled poses after mistakes like those of its training, the same in every run.

    A score is 1 where a joint was given, so that nobody is ranked before anybody else.
    """
    codec = model.codec
    assert refines(codec)
    refine = Refiner(model, flip=flip, batch=batch)
    for frame in sample_frames(samples, range(len(samples))):
        people, number, message = People.empty(model.skeleton), frame.index, frame.message
        if frame.status == "ok":
            rows = np.flatnonzero(samples[number].counting)
            truth = samples[number].people[rows].replace(ids=rows)
            given = codec.synthesise(truth, np.random.default_rng(number), model.skeleton)
            people, kept = refine.refined(frame, given)
            message = not_finite([(model.info.name, kept)]) or message
        yield (
            number,
            Result(people, model.skeleton, frame.size, status=frame.status, message=message),
        )
