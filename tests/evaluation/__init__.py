"""Tests of posewright.evaluation."""
