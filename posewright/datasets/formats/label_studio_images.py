"""Which image a task of Label Studio is of: the field of its data, the path, and the file."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from posewright.datasets.findings import Notes
from posewright.datasets.places import picture_finder
from posewright.files.names import is_picture

__all__ = ["file_name", "finder", "picture_key"]

_UPLOAD = re.compile(r"(?:data/)?(?:upload/)?(?:\d+/)?[0-9a-f]{8}-([^/]+)")


def picture_key(tasks: list[Any]) -> str | None:
    """Return the field of `data` that holds the image: the labelling config may call it anything.

    It is the one that most often names an image file, of these the one called "image"; where none
    does, the first text of the tasks.
    """
    named: Counter[str] = Counter()
    texts: Counter[str] = Counter()
    for task in tasks:
        data = task.get("data") if isinstance(task, dict) else None
        for key, value in data.items() if isinstance(data, dict) else ():
            if isinstance(value, str):
                texts[key] += 1
                named[key] += is_picture(PurePosixPath(file_name(value)).name)
    if not texts:
        return None
    known = named if named.total() else texts
    return max(known, key=lambda key: (known[key], key == "image"))


def file_name(url: str) -> str:
    """Return the image's name in a path, a URL, or /data/local-files/?d=PATH."""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that are no IPv6 address
        return url
    local = [q[2:] for q in parts.query.split("&") if q.startswith("d=")]
    if local or not (parts.scheme or parts.path.startswith("/data/upload/")):
        return unquote(local[0] if local else parts.path)
    return unquote(parts.path).lstrip("/")  # a path of a server, not of this machine


def finder(
    path: Path, names: list[str], images: Path | None, notes: Notes
) -> Callable[[str], Path]:
    """Return `picture_finder` that also finds an upload, 8ce2a0b4-NAME, by its own name."""
    find = picture_finder(path, names, images, notes)
    plain = {n: upload[1] for n in names if (upload := _UPLOAD.fullmatch(n))}
    if len(set(plain.values())) < len(plain):
        return find  # two uploads of one name
    own = picture_finder(path, list(plain.values()), images, notes)

    def found(name: str) -> Path:
        place = find(name)
        other = own(plain[name]) if name in plain and not os.path.isfile(place) else place
        return other if os.path.isfile(other) else place

    return found
