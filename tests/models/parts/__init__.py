"""Tests of posewright.models.parts."""
