"""Open any labelled data set by its path; its format is detected from its layout."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset
from posewright.datasets.formats.coco_folder import coco_parts, the_part
from posewright.datasets.layouts import Json, layouts
from posewright.errors import PosewrightError, SourceError, UsageError, near, nearest

__all__ = ["guess_kind", "located", "open_dataset", "open_part", "parts_of"]

_LOOKED_AT = 200  # images whose headers are read before training and evaluation


def open_dataset(
    path: str | Path,
    kind: str | None = None,
    images: str | Path | None = None,
    class_name: str | None = None,
    split: str | None = None,
    joints: Collection[str] = (),
) -> Dataset:
    """Read a labelled set.

    path: annotation file or folder.  kind: one of `layouts`; detected from the content if None.
    images: folder of the images; found near the labels if None.  class_name: of those that are
    labelled, or several with commas between; by default person where there is such a class, else
    the only one with joints.  split: the part to read, one of `parts_of`; all of them if None.
    joints: names that are almost those of other joints and meant as they stand; without them such
    a name is an error.  SourceError where nothing can be read, UsageError for a kind, class or part
    that does not exist.
    """
    from posewright.files.values import BROKEN

    path = Path(path)
    file, kind = located(path, kind)
    layout = layouts()[kind]
    single = layout.parts is None or (not layout.by_images and not layout.parts(file))
    if split is not None and single and path.is_dir() and split in the_part(file):
        split = None  # a COCO folder of one part
    if split is not None and single:
        raise UsageError(f"{path} is a single annotation file, without splits; leave {split!r} out")
    chosen: dict[str, Any] = {} if split is None else {"split": split}
    if joints and not layout.typed:
        raise UsageError(
            f"the names in {kind} labels are not checked; leave out joint {next(iter(joints))!r}"
        )
    if joints:
        chosen["joints"] = joints
    if layout.classes:
        chosen["class_name"] = class_name
    else:
        _check_person(class_name, kind)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told apart later
            return layout.read(file, None if images is None else Path(images), **chosen)
    except PosewrightError:
        raise
    except (*BROKEN, OSError) as error:  # damage of a sort that the reader does not pass over
        raise SourceError(
            f"{file} cannot be parsed as {kind}: {error!r}; write it again"
        ) from error


def open_part(
    path: str | Path,
    kind: str | None,
    images: str | Path | None,
    *wanted: str,
    class_name: str | None = None,
) -> Dataset:
    """Read the first of the `wanted` parts that a set has; a set without parts whole.

    A UsageError where it has others only: images of another part are not taken in their place.
    With `images`, YOLO's images are those of that folder, whatever their part.  A remark tells of
    labels that some images are turned against.
    """
    from posewright.datasets.turned import turned_labels

    parts = parts_of(path, kind, images)
    split = next((part for part in wanted if part in parts), wanted[0] if parts else None)
    found = open_dataset(path, kind, images, class_name, split)
    remarks = turned_labels(found.name, found.samples, _LOOKED_AT)
    return replace(found, remarks=(*found.remarks, *remarks)) if remarks else found


def parts_of(
    path: str | Path, kind: str | None = None, images: str | Path | None = None
) -> tuple[str, ...]:
    """Return which of the parts train, val and test a set declares; () for one without parts.

    images: a folder of images, which takes the place of the parts where they are those of the
    images.  Errors as `open_dataset`.
    """
    file, kind = located(Path(path), kind)
    layout = layouts()[kind]
    return () if layout.parts is None or (images and layout.by_images) else layout.parts(file)


def located(path: Path, kind: str | None) -> tuple[Path, str]:
    """Return the annotation file or folder at `path`, and its kind; errors as `open_dataset`."""
    if not path.exists():
        raise SourceError(f"{path} is not there{near(path)}")
    known = layouts()
    if kind is not None and kind not in known:
        raise UsageError(f"unknown kind {kind!r}{nearest(kind, known)}; known: {', '.join(known)}")
    if path.is_dir() and not any(path.iterdir()):
        raise SourceError(f"the folder {path} is empty; give the folder of the labels")
    file, kind = _annotation_file(path, kind)
    return file, kind or guess_kind(file)


def _check_person(class_name: str | None, kind: str) -> None:
    """Raise a UsageError for a class of a layout that labels people alone."""
    if class_name and class_name.casefold() != "person":
        raise UsageError(f"{kind} labels only people; leave class {class_name!r} out")


def _annotation_file(path: Path, kind: str | None) -> tuple[Path, str | None]:
    """Return the one file of a COCO folder, as `data convert` writes it; else the path itself."""
    coco = kind is None or layouts()[kind].parts is coco_parts
    if path.is_dir() and coco and not coco_parts(path):
        if (path / "annotations.json").is_file():
            return path / "annotations.json", kind
        found = sorted((path / "annotations").glob("*.json"))
        if len(found) == 1:
            return found[0], kind
        if found and kind is not None:
            raise UsageError(f"{path} holds several annotation files; name one, e.g. {found[0]}")
    return path, kind


def guess_kind(path: Path) -> str:
    """Return the kind of what lies at `path`; a SourceError lists the kinds where none fits.

    Layouts are asked in the order of their rank.
    """
    path, _ = _annotation_file(path, None)
    known = layouts()
    json = Json.read(path) if path.suffix == ".json" and path.is_file() else Json(None)
    for kind, layout in sorted(known.items(), key=lambda entry: entry[1].rank):
        if layout.matches is not None and layout.matches(path):
            return kind
        if layout.holds is not None and layout.holds(json):
            return kind
    several = sorted((path / "annotations").glob("*.json"))
    if several:
        raise UsageError(f"{path} holds several annotation files; name one, e.g. {several[0]}")
    raise SourceError(
        f"cannot detect the format of {path}; state it (--kind K, in a recipe kind=K), one of: "
        + ", ".join(known)
    )
