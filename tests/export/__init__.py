"""Tests of posewright.export."""
