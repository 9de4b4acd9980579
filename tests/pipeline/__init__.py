"""Tests of posewright.pipeline."""
