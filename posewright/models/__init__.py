"""The zoo: one file per family; `create` builds any network by name.  Needs posewright[torch]."""

from __future__ import annotations

from posewright.models.base import IMAGENET, PoseModel
from posewright.models.registry import Variant, create, register, variants

__all__ = ["IMAGENET", "PoseModel", "Variant", "create", "register", "variants"]
