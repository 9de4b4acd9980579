"""Leeds Sports Pose and its extension: `joints.mat` beside the folder `images`.

Johnson and Everingham, BMVC 2010 and CVPR 2011.  One labelled person in each image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset, Sample, labelled_extent
from posewright.datasets.findings import Notes
from posewright.datasets.layouts import Layout
from posewright.datasets.places import header_size
from posewright.errors import SourceError
from posewright.people import Floats
from posewright.skeletons import LSP14

__all__ = ["LAYOUTS", "joints_to_points", "read_lsp"]

_MARGIN = 0.25  # of the joints' extent on each side: head, hands and feet reach beyond them


def read_lsp(path: Path, images: Path | None = None) -> Dataset:
    """Read joints.mat, of LSP (3, 14, N) or LSPET (14, 3, N); labels without an image go.

    LSPET's third row is 1 where a joint is labelled; LSP's is 1 where it is hidden, and all of its
    joints are labelled.  Boxes, which neither labels, are the joints' extent and a quarter more.
    """
    from posewright.files.matfile import read_mat

    file = path / "joints.mat" if path.is_dir() else path
    points = joints_to_points(read_mat(file).get("joints"), file)
    folder = images or file.parent / "images"
    digits = 4 if len(points) <= 2000 else 5
    notes = Notes(file)
    samples = []
    for number, person in enumerate(points):
        picture = folder / f"im{number + 1:0{digits}d}.jpg"
        if picture.is_file():
            samples.append(_sample(picture, number, person))
        else:
            notes.add("label skipped: its image is not there", picture.name)
    if not samples:
        raise SourceError(f"no image of {file} lies in {folder}; give their folder with --images")
    return Dataset(file.parent.name, LSP14, tuple(samples), notes.lines())


def joints_to_points(joints: Any, file: Path) -> Floats:
    """Return (N, 14, 3) x, y px and visibility 0, 1, 2 of the matrix in joints.mat."""
    shape = getattr(joints, "shape", ())
    if len(shape) == 3 and shape[:2] == (14, 3):
        points = np.asarray(joints, np.float32).transpose(2, 0, 1).copy()
        points[..., 2] = np.where(points[..., 2] > 0, 2, 0)
    elif len(shape) == 3 and shape[:2] == (3, 14):
        points = np.asarray(joints, np.float32).transpose(2, 1, 0).copy()
        points[..., 2] = np.where(points[..., 2] > 0, 1, 2)
    else:
        raise SourceError(
            f"{file}: joints must be (14, 3, N) or (3, 14, N), not {shape}; get the file again"
        )
    points[~np.isfinite(points).all(2)] = 0
    return points


def _sample(picture: Path, number: int, person: Floats) -> Sample:
    width, height = header_size(picture)
    x1, y1, x2, y2 = labelled_extent(person[None])[0].tolist()
    dx, dy = (x2 - x1) * _MARGIN, (y2 - y1) * _MARGIN
    limit = [width, height] if width else [np.inf, np.inf]
    low = np.maximum([x1 - dx, y1 - dy], 0)
    box = np.concatenate([low, np.maximum(np.minimum([x2 + dx, y2 + dy], limit), low)])
    return Sample.of(
        picture, (width, height), number + 1, person[None], [box], numbers=[number + 1]
    )


def _matches(path: Path) -> bool:
    return path.suffix == ".mat" or (path / "joints.mat").is_file()


LAYOUTS = {"lsp": Layout(read_lsp, classes=False, matches=_matches, rank=1)}
