"""Tests of posewright.reports."""
