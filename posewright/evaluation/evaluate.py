"""Evaluation: a model over labelled images, by estimate(), and its scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from posewright.codecs.base import refines
from posewright.datasets.base import Dataset, Sample
from posewright.errors import SourceError, UsageError
from posewright.evaluation.measures import MEASURES, get_measure
from posewright.evaluation.measuring import Measured
from posewright.evaluation.rescoring import way_of
from posewright.evaluation.running import LabelledBoxes, Report, run
from posewright.evaluation.scoring import Scoring, check_metrics, main_metric
from posewright.evaluation.videos import check_identities
from posewright.people import Doubles, People
from posewright.pipeline import averaging
from posewright.pipeline.estimate import Boxes, Detectors, estimate_all
from posewright.pipeline.pipeline import Refine
from posewright.pipeline.scales import scales_of
from posewright.runtimes import Model
from posewright.runtimes.expected_oks import ExpectedOKS
from posewright.skeletons import Skeleton
from posewright.trackers import Embed

__all__ = ["Evaluation", "data_of", "evaluate", "main_metric"]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a model finds on a data set.

    scoring: the numbers, tables and curves.  model, runtime: what was run.  skeleton, found: joints
    of the labels and of the model.  samples: the labelled images.  results: people found on each,
    with the model's joints, in pixels; ids are their identities with a tracker, otherwise the rows
    of the labelled people in whose boxes they were found, -1 with other boxes.  likeness: of each
    image, (N,) OKS of each labelled person with the matched prediction, 0 without one, -1 where the
    person does not count.  settings: how it was run.  unreadable: a line for each image that could
    not be read; these are not in the numbers.  category: the number of the labelled class in result
    files.  failed: a line for each image for which a network returned NaN or infinity; these are,
    without the people concerned.
    """

    scoring: Scoring
    model: str
    runtime: str
    skeleton: Skeleton
    found: Skeleton
    samples: tuple[Sample, ...]
    results: tuple[People, ...]
    likeness: tuple[Doubles, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    unreadable: tuple[str, ...] = ()
    category: int = 1
    failed: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers, and how they came about, as one plain object."""
        return {
            **self.scoring.to_dict(),
            "model": self.model,
            "runtime": self.runtime,
            "pictures": len(self.samples),
            "settings": self.settings,
            "seconds": round(self.seconds, 3),
            "unreadable": list(self.unreadable),
            "failed": list(self.failed),
        }


def data_of(dataset: Dataset) -> str:
    """Return the one of MEASURES that fits the labels, by their joints and by what it needs.

    PCKh and PoseTrack's AP need head boxes, PCK of torsos one person an image; "pck" fits all.
    """
    joints = dataset.skeleton.joints
    lacking = set[str]()
    if not any(sample.heads.any() for sample in dataset):
        lacking.add("head boxes")
    if any(len(sample) != 1 for sample in dataset):
        lacking.add("one person")
    fitting = (
        name
        for name, measure in MEASURES.items()
        if measure.people
        and measure.skeleton is not None
        and measure.skeleton.joints == joints
        and not lacking & set(measure.needs)
    )
    return next(fitting, "pck")


def evaluate(
    model: Model,
    dataset: Dataset,
    *,
    data: str = "",
    boxes: Boxes | Model | Detectors | None = None,
    flip: bool = False,
    nms: Callable[[People], People] | None = None,
    estimate: Callable[..., list[People]] = estimate_all,
    rescore: str | ExpectedOKS = "box*mean",
    batch: int = 32,
    threads: int = 0,
    tracker: str | None = None,
    embed: Embed | None = None,
    refine: Refine | None = None,
    metrics: Sequence[str] = (),
    progress: Report | None = None,
) -> Evaluation:
    """Run a model over labelled images and score its predictions.

    data: one of MEASURES; "" is that of `data_of`.  boxes: a detector, or a
    source of Boxes; None takes the labels' boxes for a top-down model.  flip: average with mirrored
    views.  nms: People -> People.  estimate: how the model is run on people, see
    pipeline.Pipeline.  rescore: see `rescored`, or a network
    that changes the scores before.  batch: views a call.  threads:
    calls at once, 0 chooses.  tracker, embed: who gives people identities in posetrack's videos, as
    of trackers.create_tracker; a new one for each, at its labels' fps or 25.  refine: refines the
    joints, see pipeline.refiner.  metrics: of
    measures.METRICS, for posetrack: joints (the default), boxes ("mot") or both.  A model of other
    joints is measured on those that it shares with the labels, which the scoring says.  UsageError:
    no joint is shared, the data set lacks what the measure needs, or has no use for an option.
    SourceError: not one of the images can be read.
    """
    data = data or data_of(dataset)
    _check(data, model, dataset, flip, refine)
    _check_tracks(data, model, dataset, tracker, metrics)
    way, network = way_of(rescore, model)  # a wrong word is told before hours pass
    samples, start = dataset.samples, time.perf_counter()
    labelled = refines(model.codec) or (boxes is None and model.codec.top_down)
    results, bad, failed = run(
        model,
        samples,
        LabelledBoxes(samples) if labelled else boxes,
        flip=flip,
        nms=nms,
        estimate=estimate,
        rescore=network,
        batch=batch,
        threads=threads,
        tracker=tracker,
        embed=embed,
        refine=refine,
        progress=progress,
        source=dataset.name,
    )
    read, tracked, joints = _readable(samples, bad), tracker is not None, model.skeleton
    owned = labelled and nms is None and not tracked
    measured = Measured.of(data, dataset, results, joints, way, read, owned, tracked, metrics)
    settings = {"boxes": "labels" if labelled else _name(boxes), "flip": flip, "batch": batch}
    settings |= _ways(estimate, nms, way, network) | _beside(tracker, refine)
    return Evaluation(
        measured.scoring(),
        model.info.name,
        model.runtime,
        dataset.skeleton,
        model.skeleton,
        samples,
        tuple(results),
        measured.likeness(samples),
        settings,
        time.perf_counter() - start,
        tuple(f"{samples[i].image}: {message}" for i, message in sorted(bad.items())),
        dataset.category,
        tuple(f"{samples[i].image}: {message}" for i, message in sorted(failed.items())),
    )


def _ways(
    estimate: object, nms: object, rescore: str, network: ExpectedOKS | None
) -> dict[str, Any]:
    """Return how people are found and ranked, for reports."""
    return {
        "accurate": estimate is averaging.estimate_all,
        "duplicates": _name(nms),
        "rescore": rescore,
        "rescored_by": "none" if network is None else network.name,
        "scales": scales_of(estimate),
    }


def _readable(samples: Sequence[Sample], bad: Mapping[int, str]) -> list[int]:
    """Return the numbers of the images that could be read; a SourceError where none could."""
    if samples and len(bad) == len(samples):
        raise SourceError(
            f"no image of {len(samples)} can be read, e.g. {samples[0].image}: {bad[0]}; "
            "give their folder with --images (images=...)"
        )
    return [i for i in range(len(samples)) if i not in bad]


def _check(data: str, model: Model, dataset: Dataset, flip: bool, refine: Refine | None) -> None:
    """Raise a UsageError where the measure, the model and the labels do not fit together."""
    if refine is not None and refines(model.codec):
        raise UsageError(f"{model.info.name} refines labelled poses itself; leave refine out")
    if flip and not model.codec.mirrors:
        raise UsageError(
            f"{model.info.name} outputs a list of people, whose order differs in a mirrored view; "
            f"leave flip out"
        )
    measure, joints = get_measure(data), dataset.skeleton
    if not measure.people:
        raise UsageError(f"{data} evaluates only result files; give one with --predictions")
    wanted = measure.skeleton
    if wanted is not None and wanted.joints != joints.joints:
        raise UsageError(
            f"{dataset.name} labels the {len(joints)} joints of {joints.name}, {data} has the "
            f"{len(wanted)} of {wanted.name}; pck works with any joints"
        )
    if not (model.skeleton.mapping(joints) >= 0).any():
        raise UsageError(
            f"{model.info.name} predicts none of the joints of {dataset.name} ({joints.name}); "
            f"choose "
            "a model for these joints"
        )
    if "head boxes" in measure.needs and not any(sample.heads.any() for sample in dataset):
        more = ", e.g. detections_our_format.mat with --heads" if data == "mpii" else ""
        raise UsageError(
            f"{dataset.name} has no head boxes, which {data} needs; give labels that have "
            f"them{more}, or use pck"
        )


def _check_tracks(
    data: str, model: Model, dataset: Dataset, tracker: str | None, metrics: Sequence[str]
) -> None:
    """Raise a UsageError where there is nothing to track, or nobody to measure tracks by."""
    check_metrics(data, metrics)
    if tracker is None:
        if "mot" in metrics:
            raise UsageError("mot measures identities; add --tracker NAME (tracker=...), e.g. oks")
        return
    if "identities" not in MEASURES[data].needs:
        raise UsageError(
            f"--tracker {tracker}: {data} has no videos to track people in; use posetrack"
        )
    if refines(model.codec):
        raise UsageError(f"{model.info.name} refines labelled poses; leave the tracker out")
    check_identities(dataset)


def _beside(tracker: str | None, refine: Refine | None) -> dict[str, str]:
    """Return what a report says of a tracker and a refiner, where there is one."""
    told = {"tracker": tracker, "refine": refine and refine.model.info.name}
    return {key: name for key, name in told.items() if name}


def _name(what: object) -> str:
    """Return what a report calls a detector, a source of boxes or a removal of duplicates."""
    if what is None:
        return "none"
    info, name = getattr(what, "info", None), getattr(what, "name", "")
    if name:
        return str(name)
    kind = getattr(what, "func", what)  # of a partial
    return str(info.name if info is not None else getattr(kind, "__name__", type(what).__name__))
