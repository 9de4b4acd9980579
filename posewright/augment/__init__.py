"""Augmentation: random views of a labelled picture, and the people in them."""

from posewright.augment.augmentation import Augmentation
from posewright.augment.views import Views

__all__ = ["Augmentation", "Views"]
