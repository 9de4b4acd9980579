"""Augmentation: random views of a labelled image, and the people in them.

augmentation  the settings, and the random views that they give
views         an image to views: one affine each, mirror included
halves        views of the upper or the lower body
pixels        colours and erasing
pgpg          boxes as a detector would find them (RMPE)
offsets       how detected boxes differ from labelled ones, by kind of pose
mixtures      k-means and Gaussian mixtures for it
drawing       random numbers, all drawn at once
"""

from posewright.augment.augmentation import Augmentation
from posewright.augment.views import Views

__all__ = ["Augmentation", "Views"]
