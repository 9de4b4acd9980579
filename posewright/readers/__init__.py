"""Readers: saved poses as results, and bounding boxes from other detectors.

results   saved poses, of every format that keeps them
saved     their sequences, tracked anew
openpose  a folder of OpenPose files
pictured  saved poses with their images
boxes     bounding boxes of another detector
"""

from posewright.readers.boxes import BoxFile, read_boxes
from posewright.readers.results import read_results

__all__ = ["BoxFile", "read_boxes", "read_results"]
