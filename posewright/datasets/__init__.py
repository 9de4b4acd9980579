"""Data sets: labelled pictures in the native layout of each, one file a layout."""

from posewright.datasets.base import Dataset, Sample, concat
from posewright.datasets.folders import split
from posewright.datasets.opening import KINDS, open_dataset

__all__ = ["KINDS", "Dataset", "Sample", "concat", "open_dataset", "split"]
