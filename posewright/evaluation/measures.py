"""The metrics of each data set, in one table.

It needs the standard library alone: the command line reads the names for `--help`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from posewright.errors import UsageError, nearest

if TYPE_CHECKING:
    from posewright.evaluation.measuring import Measured
    from posewright.evaluation.report import Scoring
    from posewright.skeletons import Skeleton

__all__ = ["MAIN", "MEASURES", "METRICS", "Measure", "get_measure"]

Need = Literal["head boxes", "one person", "identities"]


@dataclass(frozen=True)
class Measure:
    """How results on a data set are scored.

    name: of the data set.  main: the numbers that models are chosen by, the first that a scoring
    has.  files: the function of this package, as module:name, that scores a result file.  people:
    that of people found by a model; "" for result files alone.  joints: the name of the skeleton
    that the labels have, "" for any.  needs: of the labels: head boxes, one person in each image,
    or identities, where tracks are measured.  classes: the labels may be of another class than
    person.  metrics: what the results can be measured by, where there is a choice, the default
    first.
    """

    name: str
    main: tuple[str, ...]
    files: str
    people: str = ""
    joints: str = ""
    needs: tuple[Need, ...] = ()
    classes: bool = False
    metrics: tuple[str, ...] = ()

    @property
    def skeleton(self) -> Skeleton | None:
        """The skeleton that the labels have; None for any."""
        from posewright.skeletons import get_skeleton

        return get_skeleton(self.joints) if self.joints else None

    def score_files(self, labels: Path, predictions: Path, **options: Any) -> Scoring:
        """Score a result file; options: class_name with `classes`, metrics with `metrics`."""
        return _function(self.files)(self, labels, predictions, **options)

    def score_people(self, measured: Measured) -> Scoring:
        """Score people found by a model."""
        return _function(self.people)(measured)


def _function(name: str) -> Callable[..., Scoring]:
    """Return a function of this package, imported when it is needed."""
    module, _, function = name.partition(":")
    found: Callable[..., Scoring] = getattr(import_module(f"{__package__}.{module}"), function)
    return found


def _oks(name: str, joints: str, files: str = "by_oks:score_file") -> Measure:
    return Measure(name, ("AP",), files, "by_oks:score_people", joints, classes=True)


def _table(measures: Sequence[Measure]) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures}


MEASURES = _table(
    [
        _oks("coco", "coco17"),
        _oks("coco-wholebody", "coco133"),
        _oks("crowdpose", "crowdpose14"),
        _oks("ochuman", "coco17"),
        _oks("halpe", "", "by_oks:score_halpe_file"),
        Measure(
            "mpii",
            ("PCKh@0.5",),
            "by_pck:score_mpii_file",
            "by_pck:score_mpii_people",
            "mpii16",
            needs=("head boxes",),
        ),
        Measure(
            "lsp",
            ("PCK@0.2",),
            "by_pck:score_lsp_file",
            "by_pck:score_lsp_people",
            "lsp14",
            needs=("one person",),
        ),
        Measure(
            "posetrack",
            ("mAP", "box_MOTA"),
            "by_tracks:score_posetrack_files",
            "by_tracks:score_posetrack_people",
            "posetrack17",
            needs=("head boxes", "identities"),
            metrics=("posetrack", "mot"),  # joints, and people's boxes
        ),
        Measure("mot", ("MOTA",), "by_tracks:score_mot_file", needs=("identities",)),
        Measure("pck", ("AP",), "by_pck:score_own_file", "by_pck:score_own_people", classes=True),
    ]
)
METRICS = MEASURES["posetrack"].metrics
MAIN = tuple(dict.fromkeys(name for measure in MEASURES.values() for name in measure.main))


def get_measure(name: str) -> Measure:
    """Return the measure of a data set; a UsageError for another name."""
    if name not in MEASURES:
        known = ", ".join(MEASURES)
        raise UsageError(f"no data set {name!r}{nearest(name, MEASURES)}; known: {known}")
    return MEASURES[name]
