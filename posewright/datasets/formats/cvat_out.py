"""CVAT for images 1.1 out: annotations.xml with one skeleton, box and outline a person."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.folders import Progress, copy_picture, output_names, sized, write_text
from posewright.errors import counted
from posewright.files.part import reserve
from posewright.files.values import plain

__all__ = ["write_cvat"]

_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # in names of classes and joints


def write_cvat(
    dataset: Dataset, out: Path, overwrite: bool = False, progress: Progress | None = None
) -> list[str]:
    """Write annotations.xml and the folder images; return what was amiss.

    Crowd regions are left out, because the format has none.
    """
    reserve(out, overwrite, folder=True)
    notes: list[str] = []
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    # <meta> with the names, which keep their order where a joint is never labelled
    meta = ET.Element("meta")
    label = ET.SubElement(ET.SubElement(ET.SubElement(meta, "task"), "labels"), "label")
    ET.SubElement(label, "name").text = dataset.class_name
    ET.SubElement(label, "type").text = "skeleton"
    for joint in dataset.skeleton.joints:
        ET.SubElement(ET.SubElement(label, "sublabel"), "name").text = joint
    root.append(meta)
    names = output_names(dataset.samples)
    for number, (sample, name) in enumerate(zip(map(sized, dataset), names, strict=True)):
        if progress:
            progress(f"{name}: {counted(len(sample), 'person', 'people')}")
        if not copy_picture(sample.image, out / "images" / name):
            notes.append(f"{sample.image} cannot be read; its labels are kept without it")
        root.append(_image(sample[~sample.crowd], dataset, number, name))
    crowds = sum(int(sample.crowd.sum()) for sample in dataset)
    if crowds:
        notes.append(f"{crowds} crowd regions skipped: CVAT files have none")
    ET.indent(root)
    write_text(out / "annotations.xml", _NO_XML.sub("\ufffd", ET.tostring(root, "unicode")) + "\n")
    return notes


def _image(sample: Sample, dataset: Dataset, number: int, name: str) -> ET.Element:
    width, height = map(str, sample.size)
    image = ET.Element("image", id=str(number), name=name, width=width, height=height)
    for i in range(len(sample)):
        group = {"group_id": str(i + 1), "label": dataset.class_name, "occluded": "0"}
        x1, y1, x2, y2 = map(str, plain(sample.people.boxes[i]))
        ET.SubElement(image, "box", group | {"xtl": x1, "ytl": y1, "xbr": x2, "ybr": y2})
        for polygon in sample.outlines[i]:
            ET.SubElement(image, "polygon", group | {"points": _text(plain(polygon))})
        person = ET.SubElement(image, "skeleton", group)
        joints = dataset.skeleton.joints
        for joint, (x, y, seen) in zip(joints, plain(sample.keypoints[i]), strict=True):
            state = {"outside": str(int(seen == 0)), "occluded": str(int(seen == 1))}
            ET.SubElement(person, "points", {"label": joint, **state, "points": _text([(x, y)])})
    return image


def _text(points: list[tuple[float, float]]) -> str:
    return ";".join(f"{x!r},{y!r}" for x, y in points)
