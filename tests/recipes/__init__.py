"""Tests of posewright.recipes."""
