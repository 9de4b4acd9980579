"""Tests of posewright.cli."""
