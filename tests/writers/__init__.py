"""Tests of posewright.writers."""
