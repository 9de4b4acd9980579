"""Tests of posewright.readers."""
