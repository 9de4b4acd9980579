"""Tests of posewright.training."""
