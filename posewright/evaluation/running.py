"""A model over the pictures of a data set, by the pipeline that predicts, too."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import numpy as np

from posewright.codecs.posefix import PoseFix
from posewright.datasets.base import Sample
from posewright.people import Frame, People
from posewright.pipeline import Boxes, Pipeline
from posewright.predict import Progress
from posewright.readers.boxes import BoxFile
from posewright.refine import Refiner
from posewright.runtimes import Model

__all__ = ["FileBoxes", "LabelledBoxes", "everybody", "run"]

Report = Callable[[Progress], None]
Cleaner = Callable[[People], People]

_AT_ONCE = 32  # pictures in memory, however many threads there are
_AHEAD = 8  # pictures that are read before they are asked for
_UNLIKELY = 0.1  # score of a box from which somebody is looked for in it
_READERS = 2  # threads that read them


class LabelledBoxes:
    """The labels' boxes of those who count: no crowds, nobody without labelled joints.

    People found in them have the number of the person in the picture for an id.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def people(self, frame: Frame) -> People:
        """Return the boxes of the picture with the number of the frame."""
        sample = self._samples[frame.index]
        rows = np.flatnonzero((sample.labelled > 0) & ~sample.crowd)
        return People.of(sample.people.boxes[rows], ids=rows)


class FileBoxes:
    """Boxes from a file, found by a picture's id and otherwise by its name."""

    def __init__(self, samples: Sequence[Sample], file: BoxFile) -> None:
        self._samples, self._file = samples, file

    def people(self, frame: Frame) -> People:
        """Return the boxes of the picture with the number of the frame."""
        image_id = self._samples[frame.index].image_id
        if image_id not in self._file.boxes:
            return self._file.people(frame)
        if isinstance(image_id, str):
            return self._file.people(replace(frame, name=image_id))
        return self._file.people(replace(frame, name="", index=image_id))


def everybody(detector: Model) -> Model:
    """Return a detector that keeps the unlikely, too: they cost nothing where people are ranked."""
    codec = replace(detector.codec, threshold=_UNLIKELY)  # type: ignore[type-var]
    return replace(detector, info=replace(detector.info, codec=codec))  # type: ignore[type-var]


def run(
    model: Model,
    samples: Sequence[Sample],
    boxes: Boxes | Model | None,
    *,
    flip: bool,
    duplicates: Cleaner | None,
    batch: int,
    threads: int = 0,
    progress: Report | None = None,
    source: str = "",
) -> tuple[list[People], dict[int, str]]:
    """Return the people found on each picture, and what was wrong with those not readable.

    boxes: where people come from, None for a model that finds them by itself.  batch: views a call.
    threads: calls at once; 0 is 2 for torch, which spreads a call itself, else all processors.
    Pictures are read a few ahead; memory does not grow with their number.
    """
    start, found, bad = time.perf_counter(), list[People](), dict[int, str]()
    people = 0
    for frame, some in _results(model, samples, boxes, flip, duplicates, batch, threads):
        if frame.status != "ok":
            bad[frame.index] = frame.message
        found.append(some)
        people += len(some)
        if progress is not None:
            spent = time.perf_counter() - start
            progress(Progress(source, len(found), len(samples), people, spent))
    return found, bad


def _results(
    model: Model, samples: Sequence[Sample], boxes: Boxes | Model | None, flip: bool,
    duplicates: Cleaner | None, batch: int, threads: int,
) -> Iterator[tuple[Frame, People]]:  # fmt: skip
    if isinstance(model.codec, PoseFix):
        yield from _refined(model, samples, flip, batch)
        return
    threads = threads or (2 if model.runtime.startswith("torch") else os.cpu_count() or 1)
    # a window of frames has about a batch of views: three people to a picture, or one view
    views = 3 if model.codec.top_down else 1
    window = max(1, min(batch // views, _AT_ONCE // threads))
    pipeline = Pipeline(
        model, boxes, flip=flip, duplicates=duplicates, threads=threads, window=window, batch=batch
    )
    blank = np.zeros((0, 0, 3), np.uint8)
    for result in pipeline.run(_frames(samples)):
        frame = Frame(blank, result.frame, 0.0, result.source, result.status, result.message)
        yield frame, result.people


def _frames(samples: Sequence[Sample]) -> Iterator[Frame]:
    """Yield the picture of each sample, numbered, reading a few ahead."""
    with ThreadPoolExecutor(_READERS, "posewright-read") as pool:
        rest = iter(samples)
        pending: deque[Future[Frame]] = deque(
            pool.submit(sample.load) for sample in islice(rest, _AHEAD)
        )
        number = 0
        while pending:
            frame = pending.popleft().result()
            pending.extend(pool.submit(sample.load) for sample in islice(rest, 1))
            yield replace(frame, index=number)
            number += 1


def _refined(
    model: Model, samples: Sequence[Sample], flip: bool, batch: int
) -> Iterator[tuple[Frame, People]]:
    """Refine the labelled poses after mistakes like those of its training, the same in every run.

    A score is 1 where a joint was given, so that nobody is ranked before anybody else.
    """
    codec = model.codec
    assert isinstance(codec, PoseFix)
    refine = Refiner(model, flip=flip, batch=batch)
    for number, frame in enumerate(_frames(samples)):
        people = People.empty(model.skeleton)
        if frame.status == "ok":
            rows = np.flatnonzero((samples[number].labelled > 0) & ~samples[number].crowd)
            truth = samples[number].people[rows].replace(ids=rows)
            given = codec.synthesise(truth, np.random.default_rng(number), model.skeleton)
            people = refine(frame, given)
        yield frame, people
