"""Tests of posewright.smoothing."""
