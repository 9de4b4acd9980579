"""Tests of posewright.training.feed."""
