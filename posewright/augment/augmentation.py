"""Augmentation: the settings, and what they do to the views of a codec."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posewright.augment.drawing import Draws, spread
from posewright.augment.halves import half_bodies
from posewright.augment.pgpg import proposals
from posewright.augment.pixels import erased, hidden, recoloured
from posewright.augment.views import Views, corner_maps
from posewright.codecs.base import Codec
from posewright.errors import UsageError
from posewright.people import Doubles, Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["Augmentation"]

# the range of each number; a perspective of 0.5 could fold the view
_RANGES = {
    "flip": (0, 1),
    "scale": (0, 0.9),
    "scale_middle": (0.1, 10),
    "rotate": (0, 180),
    "rotate_probability": (0, 1),
    "shift": (0, 1),
    "half_body": (0, 1),
    "half_body_joints": (0, 1e9),
    "perspective": (0, 0.49),
    "colour": (0, 1),
    "erase": (0, 1),
    "hide": (0, 1),
    "hide_share": (0, 1),
    "drop_from": (0, 1e9),
    "pgpg_from": (0, 1e9),
}


@dataclass(frozen=True)
class Augmentation:
    """How the views of training differ from the codec's; the defaults are HRNet's for COCO.

    flip: probability of the mirror image.  scale: a view shows a region larger by a factor within
    `scale_middle` +- scale.  rotate: degrees, about the person's or the image's centre, with
    `rotate_probability`.  scale_draw: "normal" draws the factor with deviation `scale`, cut there,
    and the angle with deviation `rotate`, cut at twice that (HRNet); "uniform" draws evenly up to
    both.  shift: largest share of the view's sides.  half_body: probability that people with more
    than `half_body_joints` labelled joints are cut to half a body.  perspective: largest share of
    half a side that the view's corners move by.  colour: strength of brightness, contrast and
    saturation.  erase: probability of a hole.  hide: probability that squares are blackened, each
    with the probability `hide_share`.  Both are on from epoch `drop_from` on.  pgpg: boxes as a
    detector's, "alphapose" or a file of `posewright fit boxes`, from epoch `pgpg_from` on.
    half_body and pgpg are for codecs with a view per person.  UsageError: a number outside of its
    range.
    """

    flip: float = 0.5
    scale: float = 0.35
    rotate: float = 45.0
    rotate_probability: float = 0.6
    shift: float = 0.0
    half_body: float = 0.3
    half_body_joints: int = 8
    perspective: float = 0.0
    colour: float = 0.0
    erase: float = 0.0
    pgpg: str = ""
    pgpg_from: int = 0
    scale_draw: str = "normal"
    scale_middle: float = 1.0
    hide: float = 0.0
    hide_share: float = 0.5
    drop_from: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"augment.{name}={value!r}; it must be from {low:g} to {high:g}")
        if self.scale_draw not in ("normal", "uniform"):
            raise UsageError(f"augment.scale_draw={self.scale_draw!r}; known: normal, uniform")
        if self.scale >= self.scale_middle:
            raise UsageError(
                f"augment.scale={self.scale!r}; it must be below scale_middle={self.scale_middle!r}"
            )

    @classmethod
    def none(cls) -> Augmentation:
        """Return the one that leaves the codec's views as they are."""
        return cls(flip=0, scale=0, rotate=0, half_body=0)

    def at(self, epoch: int) -> Augmentation:
        """Return what holds in an epoch (from 0): without what begins at a later one."""
        held = replace(self, pgpg="") if self.pgpg and epoch < self.pgpg_from else self
        return replace(held, erase=0.0, hide=0.0) if epoch < self.drop_from else held

    @property
    def repaints(self) -> bool:
        """Whether `pixels` changes anything."""
        return bool(self.colour or self.erase or self.hide)

    def views(
        self,
        codec: Codec,
        sample_size: tuple[int, int],
        people: People,
        skeleton: Skeleton,
        rng: np.random.Generator,
    ) -> Views:
        """Return random views: one for each of `people` (top-down) or one of the whole image.

        sample_size: width, height px of the image.  Every view has the codec's `input_size`; with
        everything off it is the codec's own.  What is drawn depends on `rng` and the number of
        views only.
        """
        draws = Draws.of(rng, len(people) if codec.top_down else 1)
        if codec.top_down:
            base, middle, fill = self._crops(codec, sample_size, people, skeleton, draws)
        else:
            base, middle, fill = _whole(codec, sample_size)
        flipped = draws.flip < self.flip
        matrices = self._maps(codec.input_size, middle, flipped, draws) @ base
        mirror = skeleton.flip_index
        return Views(matrices, codec.input_size, flipped, mirror, codec.top_down, fill)

    def pixels(self, view: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """(h, w, 3) uint8 -> the view with other colours and black parts; itself if all is off."""
        if self.colour:
            view = recoloured(view, self.colour, rng)
        if self.erase and rng.random() < self.erase:
            view = erased(view, rng)
        if self.hide and rng.random() < self.hide:
            view = hidden(view, self.hide_share, rng)
        return view

    def _crops(
        self,
        codec: Codec,
        size: tuple[int, int],
        people: People,
        skeleton: Skeleton,
        draws: Draws,
    ) -> tuple[Doubles, Doubles, int]:
        """Return (B, 3, 3) crops, (B, 2) where in the view the box's centre is, and the fill."""
        boxes = people.boxes
        if self.pgpg:
            boxes = proposals(self.pgpg, people, size, skeleton, draws)
        if self.half_body:
            boxes = half_bodies(
                people, boxes, skeleton, self.half_body, self.half_body_joints, draws
            )
        warps = codec.warps(size, people if boxes is people.boxes else People.of(boxes))
        base = np.zeros((len(warps), 3, 3))
        base[:, 2, 2] = 1
        for i, warp in enumerate(warps):
            base[i, :2] = warp.matrix
        return base, _centres(base, boxes), warps[0].fill if warps else 0

    def _maps(
        self, size: tuple[int, int], middle: Doubles, flipped: NDArray[np.bool_], draws: Draws
    ) -> Doubles:
        """(B, 2) view px -> (B, 3, 3) view to view: round `middle`, then aside, then mirrored."""
        factor = self.scale_middle + spread(draws.scale, self.scale_draw, self.scale, self.scale)
        angle = spread(draws.angle, self.scale_draw, self.rotate, 2 * self.rotate)
        angle = np.where(draws.turn < self.rotate_probability, np.deg2rad(angle), 0.0)
        cosine, sine = np.cos(angle) / factor, np.sin(angle) / factor
        maps = np.zeros((len(middle), 3, 3))
        maps[:, 0, 0], maps[:, 0, 1], maps[:, 1, 0], maps[:, 1, 1] = cosine, -sine, sine, cosine
        turned = (maps[:, :2, :2] @ middle[:, :, None])[..., 0]
        moved = (2 * draws.shift - 1) * (self.shift * np.array(size))
        maps[:, :2, 2] = middle - turned + moved
        maps[:, 2, 2] = 1
        if self.perspective:
            half = self.perspective * np.array(size) / 2
            maps = corner_maps(size, (2 * draws.corners - 1) * half) @ maps
        # pixels are mirrored in their order, about (w - 1) / 2, in every codec's view
        maps[flipped, 0] = (size[0] - 1) * maps[flipped, 2] - maps[flipped, 0]
        return maps


def _centres(base: Doubles, boxes: Floats) -> Doubles:
    """(B, 3, 3), (B, 4) px -> (B, 2) view px of the boxes' centres."""
    centre = (boxes[:, :2] + boxes[:, 2:].astype(np.float64)) / 2
    return np.asarray((base[:, :2, :2] @ centre[:, :, None])[..., 0] + base[:, :2, 2])


def _whole(codec: Codec, size: tuple[int, int]) -> tuple[Doubles, Doubles, int]:
    """Return the (1, 3, 3) view of an image, (1, 2) where its centre is, and the fill.

    A codec whose view takes the image's shape has targets of `input_size` only: such a view is
    cut to that about the image's centre, as in DEKR.
    """
    warp: Warp = codec.warps(size, None)[0]
    base = np.eye(3)[None]
    base[0, :2] = warp.matrix
    if warp.size != codec.input_size:
        centre = _centres(base, np.array([[0, 0, size[0] - 1, size[1] - 1]], np.float32))
        base[:, :2, 2] += (np.array(codec.input_size) - 1) / 2 - centre
    return base, _centres(base, np.array([[0, 0, size[0] - 1, size[1] - 1]], np.float32)), warp.fill
