"""Foreign checkpoints: one table per family, from the authors' key names to ours.

files       tensors of a published file: safetensors, torch, MindSpore, TF.js
pickles     a pickle read without running it
mindspore   protobuf of MindSpore's .ckpt
darknet     numbers of Darknet's .weights
tfjs        TF.js graph models
apart       all of these in a process with limits
base        key tables: foreign names to ours
tables/     one table a family
fitting     which network the tensors fit
conversion  a published checkpoint to a file of ours
"""

from __future__ import annotations

from posewright.checkpoints.base import Foreign, convert, foreign, foreigns

__all__ = ["Foreign", "convert", "foreign", "foreigns"]
