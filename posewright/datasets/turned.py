"""Labels of the pixels as a file stores them, where its EXIF orientation shows them turned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posewright.datasets.base import Sample
from posewright.datasets.findings import Notes
from posewright.datasets.places import header_sizes

__all__ = ["OUT", "of_stored", "turned_labels"]

OUT = 1.0  # px that a box or joint may lie outside, for rounding


def of_stored(sample: Sample, size: tuple[int, int], stored: tuple[int, int]) -> bool:
    """Tell whether labels are of the pixels as stored, not turned: by their size, or their place.

    size, stored: of the image as shown and as stored.  Without a stated size, or with the upright
    one, they are where somebody's box or joint lies outside the upright image and nobody's
    outside the stored one.
    """
    if min(sample.size) > 0 and sample.size != size:
        return sample.size == stored
    points = sample.people.keypoints[sample.visibility > 0]
    corners = sample.people.boxes[~sample.crowd].reshape(-1, 2)
    places = np.concatenate([points, corners])
    outside = [bool((places > np.array(limit) + OUT).any()) for limit in (size, stored)]
    return outside == [True, False]


def turned_labels(where: object, samples: Sequence[Sample], most: int = 0) -> tuple[str, ...]:
    """Return a line that names labels of the unrotated pixels; none where there are none.

    most: images to look at, spread over all of them; 0 = all.
    """
    step = max(len(samples) // most, 1) if most else 1
    notes = Notes(where)
    for sample in samples[::step]:
        size, stored = header_sizes(sample.image)
        if size != stored and of_stored(sample, size, stored):
            what = "labels of the unrotated pixels of a rotated image; see posewright data check"
            notes.add(what, sample.image)
    return notes.lines()
