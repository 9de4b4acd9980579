"""Data sets: labelled images in the native layout of each, one file a layout.

base        Sample and Dataset
opening     any labelled set, by its path
layouts     which layouts there are
formats/    one file a layout
classes     which class of the labels is read
naming      joint names to a skeleton
places      where images lie, and how large they are
check       what spoils training or evaluation; with check_coco, box_form, doubles, turned
findings    faults, counted by kind
statistics  a data set in numbers
viewing     labels drawn on images
converting  one layout to another
folders     images and labels written, complete or not at all
synthetic   stick figures, drawn from a seed
"""

from posewright.datasets.base import Dataset, Sample, concat
from posewright.datasets.folders import split
from posewright.datasets.layouts import Layout, layouts
from posewright.datasets.opening import open_dataset

__all__ = ["Dataset", "Layout", "Sample", "concat", "layouts", "open_dataset", "split"]
