"""Tests of posewright.fit."""
