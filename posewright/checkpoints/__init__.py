"""Foreign checkpoints: one table per family, from the authors' key names to ours."""

from __future__ import annotations

from posewright.checkpoints.base import Foreign, convert, foreign, foreigns

__all__ = ["Foreign", "convert", "foreign", "foreigns"]
