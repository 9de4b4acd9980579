"""Tests of posewright.codecs."""
