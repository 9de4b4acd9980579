"""The feed of a recipe: its instances, boxes and given poses."""

from __future__ import annotations

from pathlib import Path

from posewright.codecs.base import refines
from posewright.datasets.base import Dataset
from posewright.errors import UsageError
from posewright.models import PoseModel
from posewright.readers.boxes import read_boxes
from posewright.recipes.recipe import Recipe
from posewright.training.feed.feed import Feed
from posewright.training.feed.poses import GivenPoses

__all__ = ["open_feed"]


def open_feed(
    recipe: Recipe, dataset: Dataset, model: PoseModel, rank: int = 0, world: int = 1
) -> Feed:
    """Return what process `rank` of `world` trains a network with.

    UsageError: poses are given to a network that refines none.  SourceError: a file of boxes or
    poses is broken or of other images.
    """
    settings = recipe.posefix
    if settings.poses and not refines(model.codec):
        raise UsageError(
            f"posefix.poses has no effect on {recipe.model}, which refines no poses; leave it out"
        )
    boxes = None if recipe.boxes == "truth" else read_boxes(Path(recipe.boxes), dataset.category)
    feed = Feed(
        dataset,
        model.codec,
        model.skeleton,
        recipe.augment,
        batch=recipe.batch,
        seed=recipe.seed,
        workers=recipe.workers,
        cache=recipe.cache,
        rank=rank,
        world=world,
        boxes=boxes,
    )
    if settings.poses:
        file = Path(settings.poses)
        feed.poses = GivenPoses.read(file, feed.instances, model.skeleton, settings.synthetic)
    return feed
