"""Tests of posewright.metrics."""
