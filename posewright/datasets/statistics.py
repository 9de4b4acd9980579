"""A data set in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from posewright.datasets.base import Dataset

__all__ = ["statistics"]

_SMALL, _LARGE = 32.0**2, 96.0**2  # px^2, COCO's bounds of medium


def statistics(dataset: Dataset) -> dict[str, Any]:
    """Return counts of images, people and joints, and the spread of people's sizes.

    Crowd regions are counted apart and enter nothing else.  Heights are px at 5, 50 and 95 %.
    """
    skeleton = dataset.skeleton
    real = [~sample.crowd for sample in dataset]
    seen = np.concatenate(
        [s.visibility[keep] for s, keep in zip(dataset, real, strict=True)]
        or [np.zeros((0, len(skeleton)), np.uint8)]
    )
    boxes = np.concatenate(
        [s.people.boxes[keep] for s, keep in zip(dataset, real, strict=True)]
        or [np.zeros((0, 4), np.float32)]
    )
    areas = np.concatenate(
        [s.areas[keep] for s, keep in zip(dataset, real, strict=True)] or [np.zeros(0)]
    )
    heights = boxes[:, 3] - boxes[:, 1]
    people = len(seen)
    spread = np.percentile(heights, [5, 50, 95]).round(1).tolist() if people else [0.0] * 3
    return {
        "name": dataset.name,
        "class": dataset.class_name,
        "skeleton": f"{skeleton.name} ({len(skeleton)} joints)",
        "pictures": len(dataset),
        "pictures_with_people": sum(bool(keep.any()) for keep in real),
        "people": people,
        "people_with_joints": int((seen > 0).any(1).sum()),
        "crowd_regions": dataset.people - people,
        "most_people_in_a_picture": max((int(keep.sum()) for keep in real), default=0),
        "box_heights": spread,
        "sizes": {
            "small": int((areas < _SMALL).sum()),
            "medium": int(((areas >= _SMALL) & (areas < _LARGE)).sum()),
            "large": int((areas >= _LARGE).sum()),
        },
        "visibility": {
            joint: [int((seen[:, i] == v).sum()) for v in (0, 1, 2)]
            for i, joint in enumerate(skeleton.joints)
        },
    }
