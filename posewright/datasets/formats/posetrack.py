"""PoseTrack 2018 and 2021: one json a video, with identities, head boxes and ignore regions.

Andriluka et al., arXiv:1710.10000; its keypoints 1 and 2 are neck and top of the head.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.formats.coco import read_coco
from posewright.datasets.layouts import Json, Layout
from posewright.errors import SourceError

__all__ = ["LAYOUTS", "read_posetrack"]


def read_posetrack(
    path: Path, images: Path | None = None, class_name: str | None = None
) -> Dataset:
    """Read one video's file or all of a folder; a SourceError where none can be read.

    A labelled joint counts as visible: the files say 0 or 1.  Frames without labels are kept.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    parts, notes = [], []
    for file in files:
        try:
            parts.append(read_coco(file, images, class_name=class_name))
        except SourceError as error:
            if not path.is_dir():
                raise
            notes.append(f"{error}; skipped")
    if not parts:
        raise SourceError(f"{path} contains no readable PoseTrack file; {'; '.join(notes[:1])}")
    # A video in which nobody is labelled states its joints all the same.
    skeleton = next((p.skeleton for p in parts if len(p.skeleton)), parts[0].skeleton)
    samples = [s for part in parts for s in part.to(skeleton).samples]
    notes += [note for part in parts for note in part.notes]
    remarks = tuple(remark for part in parts for remark in part.remarks)
    first = parts[0]
    return Dataset(
        path.stem,
        skeleton,
        tuple(map(_seen, samples)),
        tuple(notes),
        remarks,
        first.class_name,
        first.category,
    )


def _seen(sample: Sample) -> Sample:
    """Return the sample with visibility 2 for 1, and the video's name from its folder if absent."""
    visibility = np.where(sample.visibility > 0, 2, 0).astype(np.uint8)
    video = sample.video or sample.image.parent.name
    return replace(sample, visibility=visibility, video=video)


def _holds(json: Json) -> bool:
    return json.images_of("vid_id", "ignore_regions_x")


def _matches(path: Path) -> bool:
    """Whether one of the first five JSON files of a folder is PoseTrack's."""
    few = islice(sorted(path.glob("*.json")), 5) if path.is_dir() else ()
    return any(_holds(Json.read(file)) for file in few)


LAYOUTS = {"posetrack": Layout(read_posetrack, matches=_matches, holds=_holds, rank=6)}
