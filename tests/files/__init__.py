"""Tests of posewright.files."""
