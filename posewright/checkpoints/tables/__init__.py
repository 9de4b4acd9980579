"""The tables: one file a family, named as the family is in `posewright.models`."""
