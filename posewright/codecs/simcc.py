"""SimCC: each coordinate as a classification over the bins of its axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from posewright.codecs.base import Array, Outputs, Task, namespace, to_numpy
from posewright.codecs.heatmap import one_person_per_view
from posewright.errors import ModelError, UsageError
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["SimCC"]


@dataclass(frozen=True)
class SimCC:
    """Two vectors per joint, `split` bins to a view pixel (arXiv:2107.03332; RTMPose 2303.07399).

    outputs: x (B, K, w * split) and y (B, K, h * split), logits.  sigma: bins, of the target's
    Gaussian, one or (x, y).  normalised: the target sums to 1 (SimCC's own) instead of peaking at 1
    (RTMPose).  smoothing: the target is 1 - smoothing at the nearest bin and shares the rest among
    all others (SimDR) instead of a Gaussian; needs normalised.  score: the lesser (SimCC's SA,
    RTMPose) or the greater (SimDR) of the two axes' peaks.  The defaults are RTMPose's.

    A network that returns its target scores 1: peaks of unnormalised outputs are taken as they are,
    those of normalised ones are the softmax's over the target's; both are clipped to [0, 1].
    """

    kind: ClassVar[str] = "simcc"
    task: ClassVar[Task] = "joints"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (192, 256)
    split: float = 2.0
    sigma: float | tuple[float, float] = (4.9, 5.66)
    normalised: bool = False
    smoothing: float | None = None
    score: Literal["min", "max"] = "min"
    padding: float = 1.25

    def __post_init__(self) -> None:
        if self.score not in ("min", "max"):
            raise UsageError(f"score={self.score!r}; known: min, max")
        if self.smoothing is not None and not 0 <= self.smoothing < 1:
            raise UsageError(f"smoothing={self.smoothing}; it must lie in [0, 1)")
        if self.smoothing is not None and not self.normalised:
            raise UsageError("smoothing makes targets that sum to 1; set normalised=True")

    @property
    def bins(self) -> tuple[int, int]:
        """Number of bins of the x and of the y axis."""
        return round(self.input_size[0] * self.split), round(self.input_size[1] * self.split)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the crop of each person."""
        boxes = People.empty().boxes if people is None else people.boxes
        return [Warp.crop(box, self.input_size, self.padding) for box in boxes]

    def encode(self, people: People) -> dict[str, Floats]:
        """Return x, y (N, K, bins) and weight (N, K) of N people, each in its own view.

        Gaussians lie round the unrounded bin, as in the code of SA-SimDR.  weight is 1 for joints
        that are labelled (score above 0) and inside of the view, otherwise 0.
        """
        at = people.keypoints * np.float32(self.split)  # (N, K, 2)
        inside = ((at >= 0) & (at <= np.array(self.bins) - 1)).all(2)
        x, y = (self._target(at[..., i], i) for i in range(2))
        return {"x": x, "y": y, "weight": ((people.scores > 0) & inside).astype(np.float32)}

    def decode(self, outputs: Outputs) -> list[People]:
        """Return one person per view, its box the whole view; none where a peak is not finite.

        A coordinate is the greatest bin / split.  Peaks at or below 0 have score 0 and stay where
        they are.  ModelError: the vectors do not have this codec's length.
        """
        axes = [outputs["x"], outputs["y"]]
        lengths = axes[0].shape[2], axes[1].shape[2]
        if lengths != self.bins:
            raise ModelError(f"SimCC outputs have {lengths} bins, not {self.bins}; correct split")
        xp = namespace(axes[0])
        xy = xp.stack([xp.argmax(a, axis=2) for a in axes], 2) / self.split
        with np.errstate(all="ignore"):  # what is not finite is left out below
            x, y = (to_numpy(self._peak(a, i)) for i, a in enumerate(axes))
        scores = np.minimum(x, y) if self.score == "min" else np.maximum(x, y)
        scores = np.where(np.isfinite(x) & np.isfinite(y), scores, np.float32(np.nan))
        return one_person_per_view(to_numpy(xy), scores, self.input_size)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reverse the x bins about the view's middle and exchange left and right joints.

        The mirror maps view pixel x to w - 1 - x, hence bin b to (w - 1) * split - b.  At split 2
        that is the published form, reversed and shifted left by one, except in the last bin: the
        few bins beyond pixel w - 1 have no mirror image and stay, so that two turns are the
        identity.
        """
        order = np.arange(self.bins[0])
        last = int((self.input_size[0] - 1) * self.split)
        order[: last + 1] = order[last::-1]
        swapped = {key: a[:, skeleton.flip_index] for key, a in outputs.items()}
        return {**swapped, "x": swapped["x"][:, :, order]}

    def _sigma(self, axis: int) -> float:
        return self.sigma if isinstance(self.sigma, (int, float)) else self.sigma[axis]

    def _top(self, axis: int) -> float:
        """The peak of the target."""
        if self.smoothing is not None:
            return 1 - self.smoothing
        return 1 / (self._sigma(axis) * float(np.sqrt(2 * np.pi))) if self.normalised else 1.0

    def _target(self, at: Floats, axis: int) -> Floats:
        """(N, K) bins -> (N, K, bins) Gaussians, or what SimDR has instead."""
        bins = np.arange(self.bins[axis], dtype=np.float32)
        if self.smoothing is not None:
            rest = self.smoothing / (len(bins) - 1)
            hit = bins == np.rint(at)[..., None]
            return np.where(hit, self._top(axis), rest).astype(np.float32)
        distance = bins - at[..., None]
        bell = np.exp(-(distance**2) / (2 * self._sigma(axis) ** 2)) * self._top(axis)
        return np.asarray(bell, np.float32)

    def _peak(self, logits: Array, axis: int) -> Array:
        """(B, K, bins) -> (B, K) the greatest value relative to the target's."""
        xp = namespace(logits)
        peak = xp.amax(logits, axis=2)
        if not self.normalised:
            return peak
        return 1 / xp.exp(logits - peak[..., None]).sum(2) / self._top(axis)
