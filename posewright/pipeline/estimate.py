"""estimate(): people on one image or several, by one model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from posewright.codecs.base import Array, Codec, finite_views
from posewright.people import OPTIONAL, Frame, People
from posewright.runtimes import Model, decoded
from posewright.runtimes.info import ModelInfo
from posewright.warp import Warp

__all__ = [
    "Boxes",
    "Detectors",
    "Faults",
    "Spread",
    "WholeImage",
    "clipped",
    "estimate",
    "estimate_all",
    "estimate_views",
    "find_people",
    "is_network",
    "outputs_of",
]


Spread = Callable[..., Iterable[Any]]  # map(), or the map of a pool of threads
Faults = Counter[int]  # number of a frame -> its views for which a network gave NaN or infinity


class Boxes(Protocol):
    """Boxes of people without a network: from a file, or the whole image."""

    def people(self, frame: Frame) -> People:
        """Return the boxes of a frame."""


@dataclass(frozen=True)
class Detectors:
    """Several detectors: everybody whom one of them finds is found, some people several times."""

    models: tuple[Model, ...]

    @property
    def info(self) -> ModelInfo:
        """The metadata of the first, under the names of all."""
        return replace(self.models[0].info, name=" and ".join(m.info.name for m in self.models))

    @property
    def codec(self) -> Codec:
        """The codec of the first."""
        return self.models[0].codec

    def with_threshold(self, score: float) -> Detectors:
        """Return the same detectors with another score threshold; UsageError: one has none."""
        return Detectors(tuple(model.with_threshold(score) for model in self.models))


def is_network(detector: object) -> bool:
    """Tell whether boxes come from networks, not from a file or the whole image."""
    return callable(detector) or isinstance(detector, Detectors)


def estimate(
    model: Model, frame: Frame, people: People | None = None, *, flip: bool = False
) -> People:
    """Run `model` on one frame: on each of `people` (top-down) or on the whole frame.

    Image pixels in and out.  flip: average with the outputs of the mirrored views.
    """
    return estimate_all(model, [frame], None if people is None else [people], flip=flip)[0]


def estimate_all(
    model: Model,
    frames: Sequence[Frame],
    people: Sequence[People] | None = None,
    *,
    flip: bool = False,
    batch: int = 4,
    spread: Spread = map,
    faults: Faults | None = None,
) -> list[People]:
    """Run `model` on all people of several frames at once -> the people of each frame, in order.

    batch: views per forward pass.  spread: how the calls run; a pool's map uses several processors.
    faults: counts the views of each frame whose outputs are not finite.
    """
    asked: Sequence[People | None] = people if people is not None else [None] * len(frames)
    jobs = [
        (number, warp)
        for number, (frame, known) in enumerate(zip(frames, asked, strict=True))
        for warp in model.codec.warps(frame.size, known)
    ]
    parts = estimate_views(
        model, frames, jobs, flip=flip, batch=batch, spread=spread, faults=faults
    )
    found: list[list[People]] = [[] for _ in frames]
    for (number, _), part in zip(jobs, parts, strict=True):
        found[number].append(part)
    return [
        _merge(model, frame, known, parts)
        for frame, known, parts in zip(frames, asked, found, strict=True)
    ]


def estimate_views(
    model: Model,
    frames: Sequence[Frame],
    jobs: Sequence[tuple[int, Warp]],
    *,
    flip: bool = False,
    batch: int = 4,
    spread: Spread = map,
    faults: Faults | None = None,
) -> list[People]:
    """Run `model` on views of frames -> the people of each view, in image pixels.

    jobs: the number of the frame and the warp of each view.  batch, spread, faults: as for
    estimate_all.
    """
    by_size: dict[tuple[int, int], list[int]] = {}
    for job, (_, warp) in enumerate(jobs):
        by_size.setdefault(warp.size, []).append(job)
    chunks = [same[i : i + batch] for same in by_size.values() for i in range(0, len(same), batch)]

    def run(chunk: list[int]) -> list[tuple[People, bool]]:
        return _run(model, [(frames[jobs[job][0]], jobs[job][1]) for job in chunk], flip)

    found: dict[int, People] = {}
    for chunk, parts in zip(chunks, spread(run, chunks), strict=True):
        for job, (part, finite) in zip(chunk, parts, strict=True):
            found[job] = part
            if faults is not None and not finite:
                faults[jobs[job][0]] += 1
    return [found[job] for job in range(len(jobs))]


def find_people(
    detector: Model | Detectors | Boxes | None,
    frames: Sequence[Frame],
    spread: Spread = map,
    faults: Faults | None = None,
) -> list[People] | None:
    """Return the boxes of each frame, by a network or from a source; None without a detector."""
    if detector is None:
        return None
    if isinstance(detector, Detectors):
        found = [find_people(model, frames, spread, faults) or [] for model in detector.models]
        return [People.concat(each) for each in zip(*found, strict=True)]
    if callable(detector):
        return estimate_all(detector, frames, spread=spread, batch=1, faults=faults)
    return [detector.people(frame) for frame in frames]


def _run(model: Model, views: list[tuple[Frame, Warp]], flip: bool) -> list[tuple[People, bool]]:
    """Return the people of each view in image pixels, and whether its outputs are finite."""
    outputs = outputs_of(model, views, flip)
    found = decoded(model, outputs)
    people = [warp.inverse().people(p) for (_, warp), p in zip(views, found, strict=True)]
    return list(zip(people, finite_views(outputs, len(views)).tolist(), strict=True))


def outputs_of(model: Model, views: Sequence[tuple[Frame, Warp]], flip: bool) -> dict[str, Array]:
    """Return the outputs of views of one size; flip: their mean with those of mirrored views."""
    width, height = views[0][1].size
    pixels = np.empty((len(views), height, width, 3), np.uint8)
    for row, (frame, warp) in zip(pixels, views, strict=True):
        warp.image(frame.image, out=row)
    outputs = model(pixels)
    if flip:
        mirrored = model(np.ascontiguousarray(pixels[:, :, ::-1]))
        outputs = _mean(outputs, model.codec.unflip(mirrored, model.skeleton))
    return outputs


def _mean(a: dict[str, Array], b: dict[str, Array]) -> dict[str, Array]:
    return {key: (a[key] + b[key]) / 2 for key in a}


def _merge(model: Model, frame: Frame, known: People | None, parts: list[People]) -> People:
    """Put a frame's views together; nobody stays nobody."""
    if not model.codec.top_down or known is None:
        return clipped(People.concat(parts), frame) if parts else People.empty(model.skeleton)
    kept = [i for i, part in enumerate(parts) if len(part)]  # a view without finite numbers is out
    if not kept:
        return People.empty(model.skeleton)
    points = People.concat([parts[i] for i in kept])
    found = {name: getattr(points, name) for name in ("keypoints", "scores", *OPTIONAL)}
    return known[kept].replace(**found)


def clipped(people: People, frame: Frame) -> People:
    """Cut boxes off at the image's edge."""
    width, height = frame.size
    return people.replace(boxes=np.clip(people.boxes, 0, [width, height, width, height]))


class WholeImage:
    """The detector that returns the whole image as one person's box."""

    def people(self, frame: Frame) -> People:
        """Return one box, the whole image."""
        width, height = frame.size
        return People.of(boxes=[[0, 0, width, height]])
