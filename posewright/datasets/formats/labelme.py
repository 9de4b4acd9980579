"""labelme: one json an image; outlines named by their class and points by joint, tied by group_id.

An outline is a polygon or a rectangle.  A point is hidden (visibility 1) where its flags say
occluded or hidden, or its description is 1, occluded or hidden; a joint without a point is 0.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.classes import Classes, class_title
from posewright.datasets.findings import Notes
from posewright.datasets.formats.labelme_people import (
    Person,
    classes_of,
    joints_named,
    of_class,
    people_of,
)
from posewright.datasets.layouts import Json, Layout
from posewright.datasets.misspelt import check_spelling
from posewright.datasets.naming import skeleton_of, spellings
from posewright.datasets.places import (
    OUTSIDE,
    header_size,
    picture_below,
    public_place,
    set_folder,
)
from posewright.errors import SourceError
from posewright.files.embedded import embedded_path, has_image
from posewright.files.names import is_picture
from posewright.files.paths import on_disk
from posewright.files.values import BROKEN, image_id, load, natural
from posewright.skeletons import (
    COCO17,
    CROWDPOSE14,
    HALPE26,
    MPII16,
    Skeleton,
)

__all__ = ["LAYOUTS", "read_labelme", "skeleton_from_names"]

_NO_JOINT = {"person", "__ignore__", "_background_", "__background__"}
_LABELS = "labels.txt"  # labelme's own list of labels, in the order of its user


def read_labelme(
    folder: Path,
    images: Path | None = None,
    class_name: str | None = None,
    joints: Iterable[str] = (),
) -> Dataset:
    """Read every labelme json under `folder`; a SourceError where there is none.

    The skeleton's order is that of labels.txt where the folder has one; else COCO's where the
    names are COCO's, another known skeleton's where it has them all, else COCO's names first and
    the others by the alphabet.  The label of an outline is its class; class_name, joints: see
    `open_dataset`.  An image that is not there is read from the json's imageData.
    """
    notes = Notes(folder)
    files = (
        [folder]
        if os.path.isfile(folder)
        else sorted(folder.rglob("*.json"), key=lambda p: natural(p.as_posix()))
    )
    pages = [(file, page) for file in files if (page := _page(file, notes)) is not None]
    if not pages:
        raise SourceError(f"{folder} holds no labelme json (with a list 'shapes'); check the name")
    everybody = [people_of(page["shapes"], notes, file.name) for file, page in pages]
    classes = classes_of(everybody)
    chosen = classes.choose(class_name, folder)
    loose = classes.unnamed(class_name, chosen)
    people = [of_class(found, chosen, loose) for found in everybody]
    used = [n for found in people for person in found for n in joints_named(person)]
    listed = _listed(folder, classes)
    canon = spellings([*used, *listed])
    check_spelling(used, canon, [*joints, *listed], folder)
    skeleton = skeleton_from_names([canon[n] for n in used], [canon[n] for n in listed])
    home, stems = set_folder(folder), Counter(file.stem for file, _ in pages)
    samples = tuple(
        _sample(file, page, found, skeleton, canon, images, home, notes).replace(
            image_id=image_id(file.stem)
            if stems[file.stem] == 1
            else file.relative_to(folder).with_suffix("").as_posix()
        )
        for (file, page), found in zip(pages, people, strict=True)
    )
    return Dataset(
        folder.stem,
        skeleton,
        samples,
        notes.lines(),
        classes.remarks(chosen, folder),
        class_title(chosen),
    )


def skeleton_from_names(names: list[str], order: list[str] | None = None) -> Skeleton:
    """Return the skeleton that these labels mean, with mirror pairs and sigmas from the names."""
    found = set(spellings(names).values())
    listed = list(dict.fromkeys(spellings(order or []).values()))
    if found and found <= set(listed):
        return skeleton_of(listed)
    for known in (COCO17, CROWDPOSE14, MPII16, HALPE26):
        if found and found <= set(known.joints):
            return known
    first = [joint for joint in COCO17.joints if joint in found]
    return skeleton_of([*first, *sorted(found - set(first))])


def _page(file: Path, notes: Notes) -> dict[str, Any] | None:
    """Return a parsed json with shapes; None, noted, for any other file."""
    try:
        page = load(file)
    except SourceError as error:
        notes.add("file skipped: it is not valid JSON", f"{file.name}: {error}")
        return None
    if isinstance(page, dict) and isinstance(page.get("shapes"), list):
        # one image is small, but those of a whole set are not to be held
        page["imageData"] = isinstance(page.get("imageData"), str)
        return page
    notes.add("file skipped: it has no list 'shapes'", file.name)
    return None


def _listed(folder: Path, classes: Classes) -> list[str]:
    """Return the joints of labels.txt, in its order: all that names no class."""
    file = (folder if folder.is_dir() else folder.parent) / _LABELS
    if not file.is_file():
        return []
    lines = [line.strip() for line in file.read_text("utf-8", "replace").splitlines()]
    no_joint = _NO_JOINT | {name.lower() for name in classes.counts}
    return [line for line in lines if line and line.lower() not in no_joint]


def _sample(
    file: Path,
    page: dict[str, Any],
    people: list[Person],
    skeleton: Skeleton,
    canon: dict[str, str],
    images: Path | None,
    home: Path,
    notes: Notes,
) -> Sample:
    picture = _picture(file, page, images, home, notes)
    if not has_image(picture):
        notes.add("image not found beside its json", picture.name)
    where = {joint: i for i, joint in enumerate(skeleton.joints)}
    points = np.zeros((len(people), len(skeleton), 3), np.float32)
    for i, person in enumerate(people):
        for shape in person.points:
            joint = where[canon[shape.label]]
            if points[i, joint, 2] > 0:
                notes.add(f"second point {shape.label!r} of one person skipped", file.name)
            else:
                points[i, joint] = (*shape.corners[0], shape.visibility)
    boxes, areas = (
        zip(*(p.box_and_area(points[i]) for i, p in enumerate(people)), strict=True)
        if (people)
        else ((), ())
    )
    # the size that the json says was labelled, else the image's own
    try:
        size = int(page["imageWidth"]), int(page["imageHeight"])
    except BROKEN:
        size = 0, 0
    return Sample.of(
        picture,
        size if 0 < min(size) and max(size) < 1 << 31 else header_size(picture),
        image_id(file.stem),
        points,
        np.reshape(boxes, (-1, 4)),
        areas=areas,
        crowd=[p.crowd for p in people],
        outlines=tuple(p.polygons for p in people),
    )


def _picture(
    file: Path, page: dict[str, Any], images: Path | None, home: Path, notes: Notes
) -> Path:
    """Return the path by imagePath, in `images` or beside the json, else by the json's own name,
    else that of its imageData.

    home: the set's folder, out of which no imagePath leads.
    """
    named = str(page.get("imagePath") or f"{file.stem}.jpg")
    base = named.replace("\\", "/").rsplit("/", 1)[-1]
    roots = [file.parent] if images is None else [images, file.parent]
    choices = [picture_below(r, n, images or home) for r in roots for n in (named, base)]
    choices += [file.with_suffix(s) for s in (".jpg", ".jpeg", ".png", ".bmp", ".JPG", ".PNG")]
    found = next((c for c in choices if c is not None and os.path.isfile(on_disk(c))), None)
    if found is None and page["imageData"]:
        return embedded_path(file, base if is_picture(base) else f"{file.stem}.png")
    if found is None and None in choices:
        notes.add(OUTSIDE, named[:200])
    return on_disk(found or public_place(choices[0], roots[0], named))


def _holds(json: Json) -> bool:
    return json.object_of("shapes")


def _matches(path: Path) -> bool:
    """Whether one of the first five JSON files of a folder is labelme's."""
    few = islice(sorted(path.rglob("*.json")), 5) if path.is_dir() else ()
    return any(_holds(Json.read(file)) for file in few)


LAYOUTS = {"labelme": Layout(read_labelme, typed=True, matches=_matches, holds=_holds, rank=5)}
