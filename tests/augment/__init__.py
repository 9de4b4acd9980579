"""Tests of posewright.augment."""
