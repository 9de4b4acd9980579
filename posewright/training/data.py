"""The data of a run: which images train, which are held back, and a fingerprint of both."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset, concat
from posewright.datasets.doubles import same_picture
from posewright.datasets.folders import split
from posewright.datasets.opening import open_dataset, open_part, parts_of
from posewright.errors import SourceError, UsageError
from posewright.files.embedded import has_image
from posewright.people import People
from posewright.recipes.recipe import Recipe
from posewright.skeletons import Skeleton, get_skeleton

__all__ = ["check_validation", "fingerprint", "left_out", "names", "open_sets"]


def open_sets(recipe: Recipe) -> tuple[Dataset, Dataset | None]:
    """Return the set to train on and the one to validate on, with one skeleton; None without one.

    recipe.val: a path, "last:N" for the last N images, or "" for the validation part that the
    sets declare (data.yaml of YOLO, val2017 of COCO), else to hold back the share `val_split`,
    chosen by the seed as `data split` does: all frames of a video on one side.  Of sets with parts
    only `train` trains, and only `val` validates; no image does both, unless all of `val` do.
    Joints of several sets are matched by name.
    """
    if not recipe.data:
        raise UsageError("no data to train on; name a labelled set: posewright train DATA -m MODEL")
    parts = [_open(path, recipe.images, recipe, "train") for path in recipe.data]
    data = concat(parts, _skeleton(recipe))
    train, held = _split(data, recipe)
    if recipe.limit:
        # the first images, up to that many labelled people
        kept, left = [], recipe.limit
        for sample in train:
            counts = (sample.visibility > 0).any(1) & ~sample.crowd
            if not counts.any():
                continue
            kept.append(sample[np.flatnonzero(counts)[:left]])
            left -= len(kept[-1])
            if not left:
                break
        train = replace(train, samples=tuple(kept))
    if not any(bool(((s.visibility > 0).any(1) & ~s.crowd).any()) for s in train):
        raise SourceError(f"{', '.join(recipe.data)}: no person with a labelled joint to train on")
    return train, held


def _open(path: str, images: str, recipe: Recipe, *wanted: str) -> Dataset:
    chosen = recipe.class_name or None
    return open_part(path, recipe.kind or None, images or None, *wanted, class_name=chosen)


def _skeleton(recipe: Recipe) -> Skeleton | None:
    """Return the skeleton that the options name; the first set's own without one."""
    chosen = recipe.options.get("skeleton")
    if isinstance(chosen, str):
        return get_skeleton(chosen)
    return Skeleton.from_dict(chosen) if isinstance(chosen, dict) else None


def _split(data: Dataset, recipe: Recipe) -> tuple[Dataset, Dataset | None]:
    """Return what trains and what validates, of which no image is in both."""
    if recipe.val:
        train, named = _by_hand(data, recipe)
        held = _untrained(train, named)
        if len(held) or not len(named):
            return train, held
        text = "all its images are also training images, by path or by content"
        if recipe.val.startswith("last:"):
            raise UsageError(f"val={recipe.val!r}: {text}; give a larger N")
        # who names the training set itself asks how well a network learns it by heart
        text = f"val={recipe.val!r}: {text}: validation measures memorisation"
        return train, replace(named, remarks=(*named.remarks, text))
    # the validation parts of the sets, without images of `data`; None without parts
    kind = recipe.kind or None
    chosen = recipe.class_name or None
    given = recipe.val_images or None
    declaring = [p for p in recipe.data if "val" in parts_of(p, kind, recipe.images)]
    parts = [open_dataset(path, kind, given, chosen, "val") for path in declaring]
    declared = _untrained(data, concat(parts, data.skeleton)) if parts else None
    if declared is not None and len(declared):
        return data, declared
    if declared is not None:
        text = "all images of val are training images: the share val_split is held back instead"
        data = replace(data, remarks=(*data.remarks, text))
    count = round(recipe.val_split * len(data))
    if not count:
        return data, None
    if count >= len(data):
        raise UsageError(f"val_split={recipe.val_split:g} leaves none of the images to train on")
    train, held = split(data, recipe.val_split, recipe.seed)
    return train, held if len(held) else None


def _by_hand(data: Dataset, recipe: Recipe) -> tuple[Dataset, Dataset]:
    """Return what trains, and what recipe.val names."""
    if not recipe.val.startswith("last:"):
        held = _open(recipe.val, recipe.val_images, recipe, "val", "test")
        return data, held.to(data.skeleton)
    last = recipe.val.removeprefix("last:")
    if not last.isdigit() or not 0 < int(last) < len(data):
        raise UsageError(f"val={recipe.val!r}; last:N needs 0 < N < {len(data)} images")
    return data[: -int(last)], data[-int(last) :]


def _untrained(train: Dataset, held: Dataset) -> Dataset:
    """Return `held` without the images, by path or by content, that are in `train`; say so."""
    first = same_picture([*train.samples, *held.samples])[len(train) :]
    kept = np.flatnonzero(first >= len(train)).tolist()
    lost = len(held) - len(kept)
    if not lost:
        return held
    text = (
        f"{held.name}: {lost} of {len(held)} validation images are skipped: they are training "
        f"images"
    )
    return replace(held[kept], remarks=(*held.remarks, text))


def check_validation(held: Dataset) -> None:
    """Raise a SourceError where validating would measure nothing, whatever the network finds.

    Checked before the first step by scoring empty predictions: their score is 0 where there are
    people to find.
    """
    from posewright.evaluation.evaluate import data_of
    from posewright.evaluation.measuring import Measured
    from posewright.evaluation.scoring import main_metric

    counted = [i for i, s in enumerate(held) if s.counting.any()]
    if counted and not any(held[i].load().status == "ok" for i in counted):
        first = held[counted[0]]
        raise SourceError(
            f"{held.name}: none of the {len(counted)} validation images with people can be read, "
            f"e.g. {first.image}: {first.load().message}; give their folder with "
            "val_images=..."
        )
    there = [i for i, s in enumerate(held) if has_image(s.image)]
    nobody = [People.empty(held.skeleton)] * len(held)
    measured = Measured.of(data_of(held), held, nobody, held.skeleton, "box*mean", there, False)
    name, value = main_metric(measured.scoring())
    if not value >= 0:
        raise SourceError(
            f"{held.name}: {name} would measure nothing: no person in the {len(held)} validation "
            f"images has a labelled joint of {held.skeleton.name} that counts; give other "
            "images with val=..., val_split=... or seed=..., or none with val_split=0"
        )


def fingerprint(data: Dataset | None) -> dict[str, Any]:
    """Return counts and the SHA-256 of all image names, sizes and labels, folders left out."""
    if data is None:
        return {"pictures": 0, "people": 0, "sha256": ""}
    digest = hashlib.sha256()
    for sample in data:
        digest.update(
            f"{sample.image.name} {sample.size} {sample.image_id}\n".encode("utf-8", "replace")
        )
        digest.update(np.ascontiguousarray(sample.people.keypoints).tobytes())
        digest.update(np.ascontiguousarray(sample.people.boxes).tobytes())
        digest.update(sample.visibility.tobytes())
    return {
        "name": data.name,
        "skeleton": data.skeleton.name,
        "pictures": len(data),
        "people": data.people,
        "sha256": digest.hexdigest(),
    }


def names(data: Dataset | None) -> list[str]:
    """Return the file names of a split's images, for the run folder."""
    return [] if data is None else [Path(sample.image).name for sample in data]


def left_out(*parts: Dataset | None) -> str:
    """Return a line for each thing that was left out of the sets: broken, or of another class."""
    sets = [part for part in parts if part is not None]
    lines = [line for part in sets for line in (*part.notes, *part.remarks)]
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))
