"""Tests of posewright.checkpoints."""
