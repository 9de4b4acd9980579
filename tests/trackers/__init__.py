"""Tests of posewright.trackers."""
