"""Tests of posewright.compare."""
