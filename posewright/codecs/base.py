"""The codec protocol: one object defines a network's views, targets and outputs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from posewright.people import Floats, Mask, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = [
    "Array",
    "Codec",
    "EmbeddingBoxesCodec",
    "EmbeddingCodec",
    "ListingCodec",
    "MergingCodec",
    "Outputs",
    "PeaksCodec",
    "RefiningCodec",
    "ScalesCodec",
    "Task",
    "TrainingCodec",
    "condition_shape",
    "decodes_scales",
    "embeds",
    "embeds_boxes",
    "finds_peaks",
    "finite_views",
    "gives_coordinates",
    "like",
    "lists_people",
    "logit",
    "merges",
    "namespace",
    "refines",
    "to_numpy",
    "trains",
]

Array = Any  # a numpy array or a torch tensor; a codec treats both alike
Outputs = Mapping[str, Array]
# What a network is for: to find boxes of people, the joints of one person in a view, everybody in
# an image with their joints, a better pose than the one it is given, or features that tell people
# apart.
Task = Literal["boxes", "joints", "people", "refine", "embed"]


class Codec(Protocol):
    """People in image pixels <-> input and output arrays of a network.

    A codec is a frozen dataclass; its fields and `kind` are what a model file carries.

    task: purpose of its networks.  top_down: one view per person; otherwise one per image.
    mirrors: outputs of a mirrored view, after `unflip`, may be averaged with those of the plain
    view; not where they list people, as a mirrored view lists them in another order.

    Some codecs have more, each a protocol below with the function that asks for it: `encode` where
    networks are trained (`trains`), a condition that goes in with the views (`refines`), features
    (`embeds`), several candidates for a joint (`finds_peaks`), a way of their own with an image at
    several scales (`decodes_scales`, `merges`).
    """

    kind: ClassVar[str]
    task: ClassVar[Task]
    top_down: ClassVar[bool]
    mirrors: ClassVar[bool]

    @property
    def input_size(self) -> tuple[int, int]:
        """(width, height) of a view."""

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return a view for each of `people` (top-down) or one for the whole image."""

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view, in view pixels: one if top-down, none if not finite."""

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Convert `outputs` of mirrored views to those of plain views; twice = identity."""


class TrainingCodec(Codec, Protocol):
    """A codec that makes training targets."""

    def encode(self, people: People) -> Mapping[str, Array]:
        """Return training targets, people in view pixels: one row per person, or per view."""


class RefiningCodec(TrainingCodec, Protocol):
    """A codec of task "refine": its networks take a condition besides the views."""

    def framed(self, people: People) -> People:
        """Return `people` with the boxes that they are refined in."""

    def condition(self, people: People) -> Floats:
        """Return (N, C, h, w), the input poses of N people, each in its own view."""

    def condition_shape(self, joints: int) -> tuple[int, int, int]:
        """Return (C, h, w) of a condition for people of that many joints."""

    def synthesise(
        self,
        people: People,
        rng: np.random.Generator,
        skeleton: Skeleton | None = None,
        guessed: Mask | None = None,
    ) -> People:
        """Return the people of one view with synthetic errors of a pose network."""


class EmbeddingCodec(Codec, Protocol):
    """A codec of task "embed"."""

    def features(self, outputs: Outputs) -> Floats:
        """Return (B, D) unit vectors, whose dot products are cosines; 0 where not finite."""


class EmbeddingBoxesCodec(Codec, Protocol):
    """A codec of task "boxes" whose networks also find features of the people in the boxes."""

    def features_of(self, outputs: Outputs, boxes: Floats, edges: Floats) -> Floats:
        """Return (N, D) of boxes (N, 4) in px of the first view, in which the image has the edges
        (4,): unit vectors, or 0 where not finite."""


class PeaksCodec(Codec, Protocol):
    """A codec of task "joints" whose outputs have several candidates for each joint."""

    def candidates(self, outputs: Outputs, most: int = 4) -> tuple[Floats, Floats]:
        """Return (B, K, most, 2) view px, best first, and their scores (B, K, most)."""


class ListingCodec(Codec, Protocol):
    """A codec of task "people" whose outputs list people: boxes, scores (B, M) and keypoints."""

    @property
    def locations(self) -> Floats:
        """(N, ...) the cells that the M best are chosen from."""


class ScalesCodec(Codec, Protocol):
    """A codec of task "people" that decodes the outputs of several scales of a view together."""

    def decode_scales(self, outputs: Sequence[Outputs], scales: Sequence[float]) -> list[People]:
        """Return the people of each view, in its pixels; scales: of the view, one for each outputs.

        Pixel (x, y) of the view is pixel scale * (x, y) of the view at that scale, whose sides are
        filled up to a multiple of 32.
        """


class MergingCodec(Codec, Protocol):
    """A codec of task "people" that says what becomes of people found at several scales."""

    def merged(self, people: People) -> People:
        """Return the people of one image, in its pixels, with those found twice made unlikely."""


def trains(codec: Codec) -> TypeGuard[TrainingCodec]:
    """Tell whether a codec makes training targets."""
    return hasattr(codec, "encode")


def refines(codec: Codec) -> TypeGuard[RefiningCodec]:
    """Tell whether a codec's networks refine given poses."""
    return codec.task == "refine"


def embeds(codec: Codec) -> TypeGuard[EmbeddingCodec]:
    """Tell whether a codec's networks re-identify people."""
    return codec.task == "embed"


def embeds_boxes(codec: Codec) -> TypeGuard[EmbeddingBoxesCodec]:
    """Tell whether a detector's networks also find features of people."""
    return codec.task == "boxes" and hasattr(codec, "features_of")


def finds_peaks(codec: Codec) -> TypeGuard[PeaksCodec]:
    """Tell whether a codec reads several candidates for each joint."""
    return codec.task == "joints" and hasattr(codec, "candidates")


def lists_people(codec: Codec) -> TypeGuard[ListingCodec]:
    """Tell whether a codec's outputs list people, those of equal scores in any order."""
    return codec.task == "people" and not codec.mirrors


def decodes_scales(codec: Codec) -> TypeGuard[ScalesCodec]:
    """Tell whether a codec decodes the outputs of several scales together."""
    return hasattr(codec, "decode_scales")


def merges(codec: Codec) -> TypeGuard[MergingCodec]:
    """Tell whether a codec has a way of its own to merge people of several scales."""
    return hasattr(codec, "merged")


def gives_coordinates(codec: Codec) -> bool:
    """Tell whether a network outputs coordinates, which bf16 would round, rather than maps."""
    return bool(getattr(codec, "coordinates", False))


def condition_shape(codec: Codec, joints: int) -> tuple[int, int, int] | None:
    """Return (C, h, w) of the condition that a network takes besides each view; None for none."""
    return codec.condition_shape(joints) if refines(codec) else None


def finite_views(outputs: Outputs, count: int) -> Mask:
    """(count,) whether the outputs of each view are finite; one without views counts for all."""
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
