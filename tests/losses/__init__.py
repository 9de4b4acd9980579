"""Tests of posewright.losses."""
