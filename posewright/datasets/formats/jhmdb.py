"""Sub-JHMDB (Jhuang et al., ICCV 2013) in json form: 15 joints of one person in short videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from posewright.datasets.base import Dataset
from posewright.datasets.formats.coco import read_coco
from posewright.datasets.layouts import Layout

__all__ = ["LAYOUTS", "read_jhmdb"]


def read_jhmdb(path: Path, images: Path | None = None, class_name: str | None = None) -> Dataset:
    """Read `Sub1_train.json` and its like; each sample's video is the folder of its image."""
    data = read_coco(path, images, class_name=class_name)
    samples = tuple(replace(s, video=s.video or s.image.parent.name) for s in data.samples)
    skeleton = replace(data.skeleton, name=f"jhmdb{len(data.skeleton)}")
    return replace(data, samples=samples, skeleton=skeleton)


LAYOUTS = {"jhmdb": Layout(read_jhmdb)}
