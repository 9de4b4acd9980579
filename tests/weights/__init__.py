"""Tests of posewright.weights."""
