"""Tests of posewright.models."""
