"""JDE as published by its authors."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign, State
from posewright.checkpoints.tables.darknet import numbered
from posewright.models import create


def _prepared(state: State) -> State:
    """Return `state` under our names.

    The sizes have one set of tensors; their anchors differ, which no tensor holds.
    """
    return numbered(state, "jde_1088x608")


JDE = Foreign(
    "jde",
    origin="https://github.com/Zhongdao/Towards-Realtime-MOT",
    licence="not stated; the code is MIT",
    marks=("module_list.", "classifier.|*.s_id"),
    # identities and weights of the losses, which training alone uses
    rules=((r"classifier\..*", None), (r".*\.yolo_\d+\.s_(c|r|id)", None)),
    variants={size: partial(create, f"jde_{size}") for size in ("1088x608", "864x480", "576x320")},
    prepare=_prepared,
)
