"""Tests of posewright.runtimes."""
