"""Checks of a data set, above all for what makes its AP 0 or -1."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.box_form import check_box_form
from posewright.datasets.check_coco import coco_findings
from posewright.datasets.doubles import labelled_twice, same_picture
from posewright.datasets.findings import Finding, Findings
from posewright.datasets.formats.coco_folder import part_files
from posewright.datasets.naming import ASSUMED
from posewright.datasets.places import header_sizes
from posewright.datasets.turned import OUT, of_stored
from posewright.errors import SourceError
from posewright.files.embedded import has_image
from posewright.skeletons import Skeleton

__all__ = ["Finding", "Report", "check"]

Level = Literal["error", "warning"]
_STRAY, _TWICE = "box elsewhere", "labelled twice"
_SOME = 0.01  # share of the people from which on people labelled twice are an error
_SHARE = 1.5  # px: what lies below are shares, some of which reach out of the image
_VALIDATION = re.compile(r"val(id(ation)?)?[-_]?\d*")  # names of folders
_MANY = 0.2  # share of the people from which on stray boxes are a mistake of the file
_MEASURES_NOTHING = (
    "no person in the validation images has a labelled joint: AP cannot be computed and is -1"
)


@dataclass(frozen=True)
class Report:
    """What `check` found: counts, and one Finding a kind, errors first."""

    name: str
    skeleton: str
    class_name: str
    pictures: int
    people: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """Number of kinds of errors."""
        return sum(f.level == "error" for f in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form that --json prints."""
        return asdict(self) | {"errors": self.errors}


def check(
    path: Path,
    kind: str | None = None,
    images: Path | None = None,
    class_name: str | None = None,
    split: str | None = None,
    joints: Collection[str] = (),
) -> Report:
    """Look for every fault that is known to spoil training or evaluation.

    kind, images, class_name, split, joints: as of `open_dataset`.  The raw file is looked at too
    where it is COCO's form, because a tolerant reader hides what strict tools trip over.  A
    SourceError where the set cannot be read at all.
    """
    from posewright.datasets.opening import open_dataset

    found = Findings()
    try:
        dataset = open_dataset(path, kind, images, class_name, split, joints)
    except SourceError as error:
        _check_raw(path, kind, None, found, split)
        if not found.errors:
            raise
        found.add("unreadable", "error", str(error), path)
        return Report(path.stem, "", class_name or "", 0, 0, found.lines())
    _check_raw(path, kind, dataset.class_name, found, split)
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers beyond any image
        check_dataset(dataset, found)
        if split is None:
            _check_parts(path, kind, images, class_name, found)
    return Report(
        dataset.name,
        dataset.skeleton.name,
        dataset.class_name,
        len(dataset),
        dataset.people,
        found.lines(),
    )


def _check_raw(
    path: Path, kind: str | None, class_name: str | None, found: Findings, split: str | None
) -> None:
    """Add what a file of COCO's form, or those of a folder with one or more, say literally.

    class_name: what is read of them; None where nothing could be read.  split: the part of a folder
    of COCO's layout; all of them if None.
    """
    from posewright.datasets.opening import located
    from posewright.files.values import BROKEN, load

    place, kind = (path, kind) if path.is_file() else located(path, kind)
    folder = place.is_dir() and kind == "posetrack"
    parts = part_files(place) if place.is_dir() and not folder else {}
    chosen = [file for part, file in parts.items() if split in (None, part)]
    for file in sorted(place.glob("*.json")) if folder else chosen or [place]:
        if file.suffix != ".json" or not file.is_file():
            continue
        try:
            data = load(file)
            if isinstance(data, dict) and isinstance(data.get("images"), list):
                coco_findings(data, class_name, found)
        except BROKEN as error:
            found.add("malformed", "error", f"invalid entry: {error!r}", file)
        except SourceError:
            if not folder:  # of several the reader leaves out the broken ones, and notes them
                raise


def _check_parts(
    path: Path, kind: str | None, images: Path | None, class_name: str | None, found: Findings
) -> None:
    """Add that the part val of a set measures nothing, or has the images of train alone."""
    from posewright.datasets.opening import open_dataset, parts_of

    parts = {"train", "val"} & set(parts_of(path, kind, images))
    read = {part: open_dataset(path, kind, images, class_name, part) for part in parts}
    held = read.get("val", ())
    if held and not any(sample.counting.any() for sample in held):
        found.add("validation", "error", _MEASURES_NOTHING, "val")
    trained = read.get("train", ())
    first = same_picture([*trained, *held])[len(trained) :]
    if trained and held and (first < len(trained)).all():
        text = "all validation images are also training images: training holds back a share of them"
        found.add("validation is train", "warning", text, f"{len(held)} images")


def check_dataset(dataset: Dataset, found: Findings) -> None:
    """Add the faults of a data set as it was read."""
    for note in dataset.notes:
        found.add("left out", "error", "entries of the data set were skipped", note, note)
    for remark in dataset.remarks:
        if ASSUMED in remark:
            text = "something was assumed that the data set does not state"
            found.add("assumed", "warning", text, remark, remark)
        else:
            text = "annotations were skipped because of their class"
            found.add("other classes", "warning", text, remark, remark)
    if len(dataset) == 0:
        found.add("no images", "error", "AP is -1: the data set has no images", dataset.name)
    _check_skeleton(dataset.skeleton, found)
    for sample in dataset:
        _check_picture(sample, found)
        for fault, level, text, rows in _people_faults(sample):
            for row in rows:
                place = f"{sample.image.name} person {row + 1} (id {sample.numbers[int(row)]})"
                found.add(fault, level, text, place)
    found.promote(_STRAY, sum(int((s.labelled > 0).sum()) for s in dataset) * _MANY)
    found.promote(_TWICE, dataset.people * _SOME)
    _check_counting(dataset, found)
    _check_ids(dataset, found)
    _check_doubles(dataset, found)
    check_box_form(dataset, found)


def _check_skeleton(skeleton: Skeleton, found: Findings) -> None:
    """Add what will go wrong in a mirror image: training flips views unless augment.flip=0."""
    for joint, name in enumerate(skeleton.joints):
        mirror, named = int(skeleton.flip_index[joint]), skeleton.named_mirror[joint]
        if skeleton.mirror and named not in (joint, mirror):
            text = "the flip table pairs joints that do not match by their left and right names"
            found.add("flip table", "error", text, name)
        elif not skeleton.mirror and skeleton.side(joint) != "middle" and mirror == joint:
            text = "a left or right joint without its counterpart: a flip test will blur it"
            found.add("flip", "warning", text, name)
    alone = (skeleton.flip_index == np.arange(len(skeleton))).all()
    if alone and not skeleton.mirror and len(skeleton) > 1:
        text = (
            "no joint has a left-right counterpart, so flipping swaps no joints: use left and "
            "right in the names, state flip_index (flip_idx in data.yaml), or train with "
            "augment.flip=0"
        )
        found.add("flip", "warning", text, ", ".join(skeleton.joints[:3]) + " ...")


def _check_counting(dataset: Dataset, found: Findings) -> None:
    """Add that nobody counts: in the whole set, or in its validation images."""
    counts = [int(sample.counting.sum()) for sample in dataset]
    if len(dataset) and not any(counts):
        text = "AP is -1: no person outside of crowd regions has a labelled joint"
        return found.add("no labels", "error", text, dataset.name)
    held: dict[str, int] = {}
    for sample, count in zip(dataset, counts, strict=True):
        for folder in sample.image.parts[-3:-1]:
            if _VALIDATION.fullmatch(folder.lower()):
                held[folder] = held.get(folder, 0) + count
    for folder in (name for name, count in held.items() if not count):
        found.add("validation", "error", _MEASURES_NOTHING, folder)


def _check_doubles(dataset: Dataset, found: Findings) -> None:
    """Add images that are there under several ids."""
    for row, first in enumerate(same_picture(dataset.samples)):
        one, other = dataset.samples[first], dataset.samples[row]
        still = one.video and one.video == other.video  # frames in which nothing moves
        if first != row and one.image_id != other.image_id and not still:
            text = "one image has several ids: its people count twice in training and evaluation"
            place = f"{one.image} (id {one.image_id}) and {other.image} (id {other.image_id})"
            found.add("image twice", "error", text, place)


def _check_ids(dataset: Dataset, found: Findings) -> None:
    seen: set[int | str] = set()
    for sample in dataset:
        if sample.image_id in seen:
            text = "two images share an id: their people are scored against each other"
            found.add("image ids", "error", text, sample.image_id)
        seen.add(sample.image_id)


def _check_picture(sample: Sample, found: Findings) -> None:
    """Add an image that is missing or unreadable, or of another size than stated."""
    if not has_image(sample.image):
        text = "the image is not there; give its folder with --images"
        return found.add("missing image", "error", text, sample.image)
    size, stored = header_sizes(sample.image)
    if size == (0, 0):
        text = "the image cannot be read"
        found.add("broken image", "error", text, sample.image)
    elif size != stored and of_stored(sample, size, stored):
        text = (
            "the labels are of the unrotated pixels: the image's EXIF orientation exchanges "
            "width and height; label the upright view, or remove the orientation from the files"
        )
        found.add("orientation", "error", text, f"{sample.image}: {stored} labelled, {size} shown")
    elif min(sample.size) > 0 and size != sample.size:
        text = "width and height are not the image's: labels will lie elsewhere"
        found.add("size", "error", text, f"{sample.image}: {sample.size} stated, {size} found")


def _people_faults(sample: Sample) -> Iterator[tuple[str, Level, str, Any]]:
    """Yield (kind, level, text, numbers of the people concerned)."""
    boxes = sample.people.boxes
    sides = boxes[:, 2:] - boxes[:, :2]
    real = ~sample.crowd
    flat = real & (sides <= 0).any(1)
    yield "empty box", "error", "the box has no extent: no crop, no match", np.flatnonzero(flat)
    text = "the same person again: only one of the two can be matched"
    yield _TWICE, "warning", text, labelled_twice(sample)
    text = "coordinates are shares of the image (0 to 1) in place of pixels"
    yield "shares", "error", text, np.flatnonzero(_shares(sample) & real)
    zero = real & ~flat & (sample.areas <= 0)
    text = "area is 0: OKS is 0 for whatever is predicted, so AP is 0 (-1 if all are)"
    yield "area", "error", text, np.flatnonzero(zero)
    if min(sample.size) > 0:
        limit = np.array(sample.size, np.float32)
        outside = (boxes[:, :2] < -OUT).any(1) | (boxes[:, 2:] > limit + OUT).any(1)
        text = "the box reaches outside the image"
        yield "box outside", "warning", text, np.flatnonzero(outside & real)
        points = sample.people.keypoints
        beyond = ((points < -OUT) | (points > limit + OUT)).any(2) & (sample.visibility > 0)
        text = "a labelled joint lies outside the image"
        yield "joint outside", "warning", text, np.flatnonzero(beyond.any(1))
    if sample.visibility.shape[1] > 1:
        yield from _joint_faults(sample)


def _shares(sample: Sample) -> NDArray[np.bool_]:
    """Return (N,) whether box or joints lie within about one pixel of the image's corner."""
    boxes, points, seen = sample.people.boxes, sample.people.keypoints, sample.visibility > 0
    low, high = -_SHARE / 2, _SHARE
    box = (boxes >= low).all(1) & (boxes <= high).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    inside = (((points >= low) & (points <= high)).all(2) | ~seen).all(1)
    somewhere = (points * seen[:, :, None]).any((1, 2))
    return np.asarray(box | (inside & somewhere & (seen.sum(1) > 1)), np.bool_)


def _joint_faults(sample: Sample) -> Iterator[tuple[str, Level, str, Any]]:
    points, seen, boxes = sample.people.keypoints, sample.visibility > 0, sample.people.boxes
    corner = seen & (points == 0).all(2)
    text = "a labelled joint lies at 0, 0: visibility should be 0"
    yield "joint at 0, 0", "warning", text, np.flatnonzero(corner.any(1))
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    inside = ((points >= low - OUT) & (points <= high + OUT)).all(2)
    stray = (seen & inside).sum(1) * 2 < seen.sum(1)
    text = "most of the joints lie outside the box"
    # COCO itself has a few of them: an error where it is the rule, which check_dataset decides.
    yield _STRAY, "warning", text, np.flatnonzero(stray & (seen.sum(1) > 0))
