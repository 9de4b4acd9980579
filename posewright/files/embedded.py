"""Images within JSON files: labelme keeps a copy of its image as base64 in `imageData`.

Such an image has a path like any other, FILE.json/NAME.jpg, which no file on a disk can have.
"""

from __future__ import annotations

import base64
import binascii
import errno
import io
import os
from pathlib import Path
from typing import BinaryIO

from posewright.errors import SourceError
from posewright.files.contents import open_regular
from posewright.files.values import load

__all__ = ["embedded_path", "has_image", "open_image"]


def embedded_path(file: Path, name: str) -> Path:
    """Return the path of the image within a JSON file; `name` is a file name without folders."""
    return file / name


def open_image(path: str | os.PathLike[str]) -> BinaryIO:
    """Open an image file, or the image within a JSON file; errors as of `open_regular`."""
    holder = Path(path).parent
    if holder.suffix.lower() != ".json" or not holder.is_file():
        return open_regular(path)
    try:
        data = load(holder)["imageData"]
        return io.BytesIO(base64.b64decode(data.rpartition(",")[2], validate=True))
    except (SourceError, KeyError, TypeError, AttributeError, binascii.Error, ValueError) as error:
        text = "imageData of the JSON file is not an image in base64"
        raise OSError(errno.EINVAL, text, os.fspath(path)) from error


def has_image(path: Path) -> bool:
    """Tell whether there is a file, or a JSON file that holds the image, at a path."""
    # Path.is_file raises for a name that no file can have
    inside = path.parent.suffix.lower() == ".json" and os.path.isfile(path.parent)
    return os.path.isfile(path) or inside
