"""Data sets: labelled images in the native layout of each, one file a layout."""

from posewright.datasets.base import Dataset, Sample, concat
from posewright.datasets.folders import split
from posewright.datasets.layouts import Layout, layouts
from posewright.datasets.opening import open_dataset

__all__ = ["Dataset", "Layout", "Sample", "concat", "layouts", "open_dataset", "split"]
