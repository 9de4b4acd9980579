"""Tests of posewright.sources."""
