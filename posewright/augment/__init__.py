"""Augmentation: random views of a labelled image, and the people in them."""

from posewright.augment.augmentation import Augmentation
from posewright.augment.views import Views

__all__ = ["Augmentation", "Views"]
