"""Tests of posewright.datasets."""
