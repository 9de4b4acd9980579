"""MPII Human Pose in the json form that HRNet and its successors ship (one entry a person)."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.findings import Notes
from posewright.datasets.layouts import Layout
from posewright.datasets.places import header_size, picture_finder
from posewright.errors import SourceError
from posewright.files.values import BROKEN, finite, image_id, load
from posewright.people import Floats
from posewright.skeletons import MPII16

__all__ = ["LAYOUTS", "read_mpii"]

_SCALE = 200  # px of a person's height at scale 1
_LOWER = 15  # px that a box lies lower than its person's centre, at scale 1


def read_mpii(path: Path, images: Path | None = None) -> Dataset:
    """Read `mpii_train.json` and its like: joints, joints_vis, center, scale, image.

    MPII counts pixels from 1.  A person's box, which MPII does not label, is the square of 200 px
    times scale round their centre, 15 px times scale lower so that the feet are inside (HRNet).
    """
    data = load(path)
    if not isinstance(data, list):
        raise SourceError(
            f"{path} is not an MPII json: it must be a list of people; check the name"
        )
    notes = Notes(path)
    people: dict[str, list[tuple[Floats, Floats, int]]] = defaultdict(list)
    for number, entry in enumerate(data):
        try:
            points, box = _person(entry)
            people[str(entry["image"])].append((points, box, number))
        except BROKEN as error:
            notes.add(f"person skipped: {error!r}", f"entry {number}")
    find = picture_finder(path, list(people), images, notes)
    samples = tuple(_sample(name, find(name), found) for name, found in people.items())
    return Dataset(path.stem, MPII16, samples, notes.lines())


def _person(entry: dict[str, Any]) -> tuple[Floats, Floats]:
    """Return (16, 3) x, y, visibility and the box x1, y1, x2, y2 px of one entry."""
    points = finite(entry["joints"]).reshape(16, 2) if "joints" in entry else np.zeros((16, 2))
    # The test set has no joints.  joints_vis tells labelled from not, so labelled counts as seen.
    seen = finite(entry.get("joints_vis", [0] * 16)).reshape(16, 1)
    scale = float(entry["scale"])
    centre, half = finite(entry["center"]).reshape(2) - 1 + [0, _LOWER * scale], scale * _SCALE / 2
    points = points - 1
    box = np.concatenate([centre - half, centre + half]).astype(np.float32)
    return np.concatenate([points, np.where(seen > 0, 2, 0)], 1).astype(np.float32), box


def _sample(name: str, path: Path, people: list[tuple[Floats, Floats, int]]) -> Sample:
    return Sample.of(
        path,
        header_size(path),
        image_id(Path(name).stem),
        np.stack([points for points, _, _ in people]),
        np.stack([box for _, box, _ in people]),
        numbers=[number for _, _, number in people],
    )


LAYOUTS = {
    "mpii": Layout(
        read_mpii, classes=False, holds=lambda json: json.list_of("center", "scale"), rank=8
    )
}
