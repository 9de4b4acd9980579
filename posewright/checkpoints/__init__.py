"""Foreign checkpoints: one table per family, from the authors' key names to ours.

files       tensors of a published file: safetensors, torch, MindSpore, TF.js
pickles     a pickle read without running it
mindspore   protobuf of MindSpore's .ckpt
darknet     numbers of Darknet's .weights
tfjs        TF.js graph models
apart       all of these in a process with limits
ours        files of posewright itself, which say what they are
base        key tables: foreign names to ours
tables/     one table a family
fitting     which network the tensors fit
adapting    the same with other joints or another input size
recognising which family they are of
starts      which backbone the tensors fill
conversion  a published checkpoint to a file of ours
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posewright.checkpoints.base import Foreign, convert, foreign, foreigns

__all__ = ["Foreign", "convert", "foreign", "foreigns"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for: the process that reads files does not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from posewright.checkpoints import base

    return getattr(base, name)
