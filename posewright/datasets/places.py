"""Where the images of an annotation file lie, and how large they are.

A label file may come from anywhere, so the names in it may only lead to images of its own set:
`picture_finder` and `picture_below` look at no place outside.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath

from posewright.datasets.findings import Notes
from posewright.files.address import without_secrets
from posewright.files.embedded import open_image
from posewright.files.paths import on_disk

__all__ = [
    "OUTSIDE",
    "header_size",
    "header_sizes",
    "picture_below",
    "picture_finder",
    "pictures_in",
    "public_place",
    "set_folder",
]

OUTSIDE = "image skipped, its path leads out of the data set: give its folder with --images"
_PROBES = 30  # names that are looked for before a folder is chosen
_FOLDERS = 50  # of a set, in which images are looked for
_UP = 3  # levels above the annotation file that are searched
_OF_LABELS = re.compile(r"(annot(ation)?|label|json|xml|ann|gt)s?")  # names of folders


def set_folder(labels: Path) -> Path:
    """Return the folder of a set: the one of its labels, or above where that is named after them.

    labels: file or folder, of which .../set/annotations/val/a.json is of .../set.
    """
    folder = Path(os.path.abspath(labels if labels.is_dir() else labels.parent))
    above = [folder, *folder.parents][:_UP]
    named = [f.parent for f in above if _OF_LABELS.fullmatch(f.name.lower())]
    inside = [f for f in named if f.parent != f]  # never the whole disk
    return inside[-1] if inside else folder


def picture_below(root: Path, name: str, home: Path, drop: int = 0) -> Path | None:
    """Return where a name of a label file leads from `root`; None where that is no place of a set.

    drop: number of leading folders to leave out.  A name with ".." and one from the root of a disk
    count below `home` alone, any other below `root`.  Symbolic links are followed: whoever unpacked
    the set has put them there, not the labels.
    """
    parts = _parts(name)
    plain = ".." not in parts and not (PureWindowsPath(name).anchor or name.startswith("/"))
    path = root.joinpath(*parts[min(drop, len(parts) - 1) :])
    place = Path(os.path.abspath(path))  # without "..", which a link would lead elsewhere
    if not place.is_relative_to(os.path.abspath(root if plain else home)):
        return None
    return on_disk(path if plain else place)


def picture_finder(
    labels: Path, names: Sequence[str], images: Path | None, notes: Notes
) -> Callable[[str], Path]:
    """Return the function from a name in `labels` to its image's path.

    The folder is the one of `images`, the folders near `labels` and their usual children that holds
    most of the first names, whole or without their leading folders, as long as different names stay
    different.  A path that leads nowhere is returned all the same: whoever opens it says that it is
    missing.  A name that leads out of the set is noted, and its image missing; so is
    that of an address with a secret, which stays out of the path.
    """
    home = set_folder(labels) if images is None else images
    distinct = list(dict.fromkeys(map(_parts, names)))
    depth = max((len(parts) for parts in distinct[:_PROBES]), default=1)
    drops = [
        d for d in range(depth) if len({p[min(d, len(p) - 1) :] for p in distinct}) == len(distinct)
    ]
    roots = [images] if images is not None else list(_near(labels))
    best = (0, roots[0], 0)
    for root in roots:
        for drop in drops:
            places = (picture_below(root, name, home, drop) for name in names[:_PROBES])
            found = sum(place is not None and os.path.isfile(place) for place in places)
            if found > best[0]:
                best = (found, root, drop)
    _, root, drop = best

    def find(name: str) -> Path:
        own = picture_below(root, name, home) if drop else None  # an absolute one of the set
        place = (
            own
            if own is not None and os.path.isfile(own)
            else picture_below(root, name, home, drop)
        )
        if place is None:
            notes.add(OUTSIDE, name[:200])
        return public_place(place, root, name)

    return find


def public_place(place: Path | None, root: Path, name: str) -> Path:
    """Return `place`, or one below `root` that no image has where it is None or has a secret.

    name: as in the labels.  An address stands for a local copy, if there is one.
    """
    public = without_secrets(name)
    if place is None:
        return root / "outside of the set" / _parts(public)[-1]
    return (
        place
        if public == name or os.path.isfile(place)
        else root / "not fetched" / _parts(public)[-1]
    )


def _parts(name: str) -> tuple[str, ...]:
    """Return the folders and the name of a path written on any system."""
    return PurePosixPath(name.replace("\\", "/")).parts or (name,)


def _near(labels: Path) -> Iterable[Path]:
    """Yield the folders in which the images of such a file usually lie."""
    folder = labels if labels.is_dir() else labels.parent
    words = labels.stem.replace(".", "_").split("_")
    above = [up for up in list(folder.absolute().parents)[:_UP] if up.parent != up]
    for up in [folder, *above]:
        yield up
        yield up / "images"
        for word in words:
            if word:
                yield up / word
                yield up / "images" / word
    # last, whatever the file is called: the folders of its set, as train2017 beside annotations
    with suppress(OSError):
        yield from islice((f for f in sorted(set_folder(labels).iterdir()) if f.is_dir()), _FOLDERS)


def header_size(path: Path) -> tuple[int, int]:
    """Return (width, height) px of the upright image, as it is decoded; 0, 0 where that fails.

    From the file's header: its size and its EXIF orientation.
    """
    return header_sizes(path)[0]


def header_sizes(path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (width, height) px of the upright image, and of its pixels as they are stored."""
    from posewright.sources.guard import BadPicture, shown_sizes

    try:
        with open_image(path) as file:
            return shown_sizes(file)
    except (OSError, BadPicture, ValueError):
        return (0, 0), (0, 0)


def pictures_in(folder: Path) -> list[Path]:
    """Return all images under a folder, sorted by path."""
    from posewright.sources.order import PICTURES

    found = [
        Path(root, name)
        for root, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in PICTURES
    ]
    return sorted(found)
