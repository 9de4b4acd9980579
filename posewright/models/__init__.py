"""The zoo: one file per family; `create` builds any network by name.  Needs posewright[torch].

base      PoseModel: backbone, neck, head and what belongs to them
registry  networks by name
own       networks in a user's own file
saving    weights as safetensors
counting  parameters and multiply-accumulates
parts/    what families share
the rest  one file a family
"""

from __future__ import annotations

from posewright.models.base import IMAGENET, PoseModel
from posewright.models.registry import Variant, create, register, variants

__all__ = ["IMAGENET", "PoseModel", "Variant", "create", "register", "variants"]
