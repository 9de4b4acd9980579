"""Data sets on their way out: names of images, copies, files that are renamed when complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.doubles import same_picture
from posewright.datasets.places import header_size
from posewright.files.embedded import open_image
from posewright.files.names import safe
from posewright.files.part import PartFile

__all__ = ["Progress", "copy_picture", "output_names", "sized", "split", "write_text"]

Progress = Callable[[str], None]  # takes a line that says what is being done
_CHUNK = 1 << 20


def output_names(samples: Sequence[Sample]) -> list[str]:
    """Return a legal file name for each image; no two share a stem, in any case of letters.

    Label files are named by the stem.  The second of two equal stems gets its folder in front,
    then a number.
    """
    taken: set[str] = set()
    names = []
    for sample in samples:
        # a byte of a name that is not UTF-8 can stand in no label file: "?", which `safe` replaces
        folder, stem, suffix = (
            text.encode("utf-8", "replace").decode()
            for text in (sample.image.parent.name, sample.image.stem, sample.image.suffix)
        )
        choices = [stem, f"{folder}_{stem}"]
        name = safe(choices[0] + suffix)
        count = 1
        while Path(name).stem.lower() in taken:
            name = safe((choices[1] if count == 1 else f"{choices[1]}_{count}") + suffix)
            count += 1
        taken.add(Path(name).stem.lower())
        names.append(name)
    return names


def copy_picture(source: Path, target: Path) -> bool:
    """Copy an image under a temporary name first; tell whether the source could be read.

    Only a file that begins as an image does is copied: labels may name any other.
    """
    if header_size(source) == (0, 0):
        return False
    try:
        file = open_image(source)
    except OSError:
        return False
    with file:
        part = PartFile(target, True)
        try:
            while chunk := file.read(_CHUNK):
                part.write(chunk)
        except BaseException:
            part.abort()
            raise
        part.finish()
    return True


def write_text(path: Path, text: str) -> None:
    """Write a whole file under a temporary name and rename it; an OutputError where that fails.

    What UTF-8 cannot say, such as a byte of a name that is none, becomes "?".
    """
    part = PartFile(path, True)
    part.write(text.encode("utf-8", "replace"))
    part.finish()


def sized(sample: Sample) -> Sample:
    """Return the sample with its image's size from the header where the labels give none."""
    return sample if min(sample.size) > 0 else sample.replace(size=header_size(sample.image))


def split(dataset: Dataset, ratio: float, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Return training and validation parts: `ratio` is the share of the second.

    The same data, ratio and seed give the same parts, whatever the order of the samples.  All
    frames of a video go to one part, and so does an image that is there several times.  Each part
    gets one image or video at least, where there are two and 0 < ratio < 1, else the first part
    has all and a remark that says so; a ValueError for any other ratio.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"ratio must lie between 0 and 1, not {ratio}; 0.2 holds back a fifth")
    own = _keys(dataset.samples)
    keys = sorted(set(own))
    order = np.random.default_rng(seed).permutation(len(keys))
    count = int(np.clip(round(len(keys) * ratio), min(1, len(keys) - 1), max(len(keys) - 1, 0)))
    held = {keys[i] for i in order[:count]}
    mine = [i for i, key in enumerate(own) if key not in held]
    other = [i for i, key in enumerate(own) if key in held]
    train, val = dataset[mine], dataset[other]
    if len(dataset) > 1 and not len(val):
        what = f"video {dataset[0].video!r}" if dataset[0].video else "image"
        text = f"{dataset.name}: nothing is held back: all {len(dataset)} images are of one {what}"
        train = replace(train, remarks=(*train.remarks, text))
    return train, val


def _keys(samples: Sequence[Sample]) -> list[tuple[str, str]]:
    """Return for each sample the key that all samples share which go to the same part."""
    # what is never torn apart by a split: a video, or one image
    keys = [
        (sample.video, "") if sample.video else ("", str(sample.image_id) + sample.image.name)
        for sample in samples
    ]
    smaller = {key: key for key in keys}  # towards the smallest key that must not be torn off

    def root(key: tuple[str, str]) -> tuple[str, str]:
        while smaller[key] != key:
            key = smaller[key]
        return key

    for key, first in zip(keys, same_picture(samples), strict=True):
        low, high = sorted((root(key), root(keys[first])))
        smaller[high] = low
    return [root(key) for key in keys]
