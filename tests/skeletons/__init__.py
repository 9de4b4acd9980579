"""Tests of posewright.skeletons."""
