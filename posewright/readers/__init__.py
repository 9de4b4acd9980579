"""Readers: saved poses as results, and bounding boxes from other detectors."""

from posewright.readers.boxes import BoxFile, read_boxes
from posewright.readers.results import read_results

__all__ = ["BoxFile", "read_boxes", "read_results"]
