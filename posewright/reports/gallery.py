"""The people with the worst predictions, beside their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from posewright.datasets.base import Sample
from posewright.people import People, Pixels
from posewright.reports.page import picture
from posewright.skeletons import Skeleton

__all__ = ["worst_people"]


_TILE = (240, 300)  # width, height px
_MARGIN = 1.5  # of a tile round a person's box


def worst_people(
    samples: Sequence[Sample],
    results: Sequence[People],
    likeness: Sequence[NDArray[np.float64]],
    labelled: Skeleton,
    found: Skeleton,
    count: int = 12,
) -> list[str]:
    """Return figures of the `count` people with the lowest likeness: labels left, found right.

    results, likeness: of each sample, its people as found and (N,) OKS or the like of its labelled
    people, -1 where one does not count.  labelled, found: skeletons of the two.  Images that
    cannot be read are passed over.
    """
    worst = sorted(
        (float(value), i, n)
        for i, values in enumerate(likeness)
        for n, value in enumerate(values)
        if value >= 0
    )
    figures: list[str] = []
    for value, i, n in worst:
        if len(figures) == count:
            break
        tile = _tile(samples[i], n, results[i], labelled, found)
        if tile is not None:
            caption = f"{samples[i].image.name}, person {n + 1}: {value:.3f}"
            figures.append(picture(tile, caption))
    return figures


def _tile(
    sample: Sample, number: int, people: People, labelled: Skeleton, found: Skeleton
) -> Pixels | None:
    """Return the two crops beside each other; None where the image cannot be read."""
    from posewright.draw import draw
    from posewright.warp import Warp

    frame = sample.load()
    if frame.status != "ok":
        return None
    warp = Warp.crop(sample.people.boxes[number], _TILE, _MARGIN, fill=96)
    view = warp.image(frame.image)
    truth = warp.people(sample.people[[number]])
    parts = [draw(view, truth, labelled), draw(view, warp.people(people), found)]
    return np.concatenate(parts, 1)
