"""What a codec is: the one object that knows a network's views, targets and outputs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["Array", "Codec", "Outputs", "finite_views", "like", "logit", "namespace", "to_numpy"]

Array = Any  # a numpy array or a torch tensor; a codec treats both alike
Outputs = Mapping[str, Array]


class Codec(Protocol):
    """People in image pixels <-> the arrays that a network takes and emits.

    A codec is a frozen dataclass; its fields and `kind` are what a model file carries.
    """

    kind: ClassVar[str]
    top_down: ClassVar[bool]  # one view per person; otherwise one per image

    @property
    def input_size(self) -> tuple[int, int]:
        """(width, height) of a view."""

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return a view for each of `people` (top-down) or one for the whole image."""

    def decode(self, outputs: Outputs) -> list[People]:
        """Return everybody of each view in view pixels: top-down codecs exactly one person each,
        or none where the network's numbers are not finite."""

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Return what `outputs` of mirrored views would be without the mirror; twice = identity."""


def finite_views(outputs: Outputs, count: int) -> NDArray[np.bool_]:
    """(count,) whether all outputs of each view are finite; an output of no view is of all."""
    good = np.ones(count, np.bool_)
    for array in outputs.values():
        finite = namespace(array).isfinite(array)
        whole = finite.reshape(len(finite), -1).all(1) if len(array) == count else finite.all()
        good &= np.asarray(whole.cpu() if hasattr(whole, "cpu") else whole)
    return good


def namespace(array: Array) -> Any:
    """Return the module that an array belongs to: numpy, or torch where torch made it.

    Torch spells numpy's argmax, exp, where, stack ... with the same arguments, `axis` included, so
    that codecs are written once.
    """
    return sys.modules[type(array).__module__.partition(".")[0]]


def like(values: NDArray[np.generic], array: Array) -> Array:
    """Return `values` as the kind of `array`, on its device."""
    if isinstance(array, np.ndarray):
        return values
    return namespace(array).asarray(values, device=array.device)


def logit(share: float) -> float:
    """Return the logit of a share in [0, 1]: -inf at 0, inf at 1."""
    if 0 < share < 1:
        return float(np.log(share / (1 - share)))
    return -np.inf if share <= 0 else np.inf


def to_numpy(array: Array) -> Floats:
    """Return a numpy float32 copy or view of a numpy array or a torch tensor on any device."""
    if isinstance(array, np.ndarray):
        return np.asarray(array, np.float32)
    return np.asarray(array.detach().float().cpu().numpy())
