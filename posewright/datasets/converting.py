"""Converts a labelled data set from one format to another, with a training and validation split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from posewright.datasets.base import Dataset, concat
from posewright.datasets.folders import Progress, split
from posewright.datasets.formats.coco_out import write_coco
from posewright.datasets.formats.cvat_out import write_cvat
from posewright.datasets.formats.labelme_out import write_labelme
from posewright.datasets.formats.yolo_out import write_yolo
from posewright.datasets.turned import turned_labels
from posewright.errors import UsageError, nearest, one_line

__all__ = ["FORMS", "Conversion", "convert", "named_parts", "subsets"]

_Parts = Mapping[str, Dataset]
_Write = Callable[[_Parts, Path, bool, Progress | None], list[str]]


@dataclass(frozen=True)
class Conversion:
    """What was written: people and images of each subset, the joints, and what was left out.

    notes: of what is broken.  remarks: of what is of another class.
    """

    folder: str
    form: str
    skeleton: str
    joints: tuple[str, ...]
    pictures: dict[str, int]
    people: dict[str, int]
    notes: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form that --json prints."""
        return asdict(self)


def subsets(dataset: Dataset, ratio: float, seed: int, form: str) -> dict[str, Dataset]:
    """Return the parts by name: COCO's names for COCO; one part `all` where ratio is 0."""
    if ratio == 0:
        return {"all": dataset}
    train, val = split(dataset, ratio, seed)
    names = ("train2017", "val2017") if form == "coco" else ("train", "val")
    return {name: part for name, part in zip(names, (train, val), strict=True) if len(part)}


def named_parts(parts: _Parts, form: str) -> dict[str, Dataset]:
    """Return a set's own parts train, val and test by the names that a form gives them.

    A part whose images are all in train as well is left out: it would measure what was learned.
    """
    trained = {sample.image for sample in parts.get("train", ())}
    own = {
        name: part
        for name, part in parts.items()
        if name == "train" or not part or any(sample.image not in trained for sample in part)
    }
    return {f"{name}2017" if form == "coco" else name: part for name, part in own.items()}


def convert(
    dataset: Dataset,
    out: Path,
    form: str = "coco",
    ratio: float = 0.0,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
    parts: Mapping[str, Dataset] | None = None,
) -> Conversion:
    """Write a data set into the folder `out` as coco, yolo, labelme or cvat.

    ratio: share of the images that go into a validation part, 0 for none; labelme and CVAT
    folders have no parts.  The same seed gives the same parts.  parts: those of `dataset` by the
    names that the form gives them, in place of a split by ratio.
    """
    if form not in FORMS:
        raise UsageError(f"cannot write {form!r}{nearest(form, FORMS)}; known: {', '.join(FORMS)}")
    if len(dataset) == 0:
        raise UsageError(f"{dataset.name} has no images; there is nothing to convert")
    if ratio and form in ("labelme", "cvat"):
        raise UsageError(f"a {form} folder has no splits; leave --ratio out")
    parts = parts or subsets(dataset, ratio, seed, form)
    notes = FORMS[form](parts, out, overwrite, progress)
    return Conversion(
        str(out),
        form,
        dataset.skeleton.name,
        dataset.skeleton.joints,
        {name: len(part) for name, part in parts.items()},
        {name: part.people for name, part in parts.items()},
        (*dataset.notes, *turned_labels(dataset.name, dataset.samples), *map(one_line, notes)),
        tuple(
            dict.fromkeys([*dataset.remarks, *(r for part in parts.values() for r in part.remarks)])
        ),
    )


def _labelme(parts: _Parts, out: Path, overwrite: bool, progress: Progress | None) -> list[str]:
    whole = concat(list(parts.values()))
    return [*write_labelme(whole, out, overwrite, progress), *_lost(whole)]


def _cvat(parts: _Parts, out: Path, overwrite: bool, progress: Progress | None) -> list[str]:
    whole = concat(list(parts.values()))
    return [*write_cvat(whole, out, overwrite, progress), *_lost(whole)]


def _lost(dataset: Dataset) -> list[str]:
    """Say where a form that has names of joints only loses which are mirror images."""
    skeleton = dataset.skeleton
    if tuple(skeleton.flip_index.tolist()) == skeleton.named_mirror:
        return []
    return ["the flip table is not written: only COCO and YOLO files have one"]


FORMS: dict[str, _Write] = {
    "coco": write_coco,
    "labelme": _labelme,
    "yolo": write_yolo,
    "cvat": _cvat,
}
