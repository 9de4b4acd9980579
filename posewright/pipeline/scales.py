"""Multi-scale tests: networks that find people by themselves, on an image at several sizes.

What becomes of the scales is the codec's: DEKR decodes them together, AdaptivePose has a soft-NMS;
people of all others are averaged as duplicates are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from posewright.codecs.base import Array, Codec, decodes_scales, finite_views, merges
from posewright.errors import UsageError
from posewright.people import Frame, People
from posewright.pipeline.averaging import average_duplicates
from posewright.pipeline.estimate import Faults, Spread, clipped, estimate_all, outputs_of
from posewright.runtimes import Model, decoded
from posewright.runtimes.info import ModelInfo
from posewright.warp import Warp

__all__ = ["AtScales", "check_scales", "scaled_codec", "scaled_warp", "scales_of"]

_MULTIPLE = 32  # of a view's sides: the stride of the smallest map of most networks
_RANGE = 0.1, 10.0  # of scales; beyond, nothing is seen or memory is short


@dataclass(frozen=True)
class AtScales:
    """Runs a network on whole images at several scales of its view; see `estimate.estimate_all`."""

    scales: tuple[float, ...]

    def __call__(
        self,
        model: Model,
        frames: Sequence[Frame],
        people: Sequence[People] | None = None,
        *,
        flip: bool = False,
        batch: int = 4,
        spread: Spread = map,
        faults: Faults | None = None,
    ) -> list[People]:
        """Return the people of each frame.  UsageError: as `check_scales`."""
        check_scales(self.scales, model)
        if decodes_scales(model.codec):
            run = partial(_together, model, self.scales, flip)
            found = list(spread(run, frames))
            if faults is not None:
                faults.update({i: bad for i, (_, bad) in enumerate(found) if bad})
            return [part for part, _ in found]
        each = [
            estimate_all(way, frames, flip=flip, batch=batch, spread=spread, faults=faults)
            for way in (_Sized(model, scaled_codec(model.codec, scale)) for scale in self.scales)
        ]
        if len(each) == 1:
            return each[0]
        merge = _merging(model)
        return [merge(People.concat(parts)) for parts in zip(*each, strict=True)]


def scales_of(estimate: object) -> list[float]:
    """Return the scales at which a way to run a network does so."""
    return [*estimate.scales] if isinstance(estimate, AtScales) else [1.0]


def check_scales(scales: Sequence[float], model: Model) -> None:
    """Raise a UsageError for scales that make no sense, or that a network cannot be run at."""
    low, high = _RANGE
    if not scales or len({*scales}) < len(scales) or not all(low <= s <= high for s in scales):
        told = ", ".join(f"{scale:g}" for scale in scales)
        raise UsageError(
            f"scales {told!r}: give numbers from {low:g} to {high:g}, each of them once"
        )
    name = model.info.name
    if model.codec.top_down:
        raise UsageError(
            f"{name} takes crops of people: --scales (scales=) is for networks that find people by "
            "themselves; --accurate (accurate=) averages crops"
        )
    if model.only_size is not None:
        width, height = model.only_size
        raise UsageError(
            f"{name} takes views of {width} x {height} px alone, so that --scales (scales=) cannot "
            "be used; run its .safetensors file"
        )


def scaled_codec(codec: Any, scale: float) -> Codec:
    """Return a codec for views of `scale` times the size, filled up to what the network takes."""
    multiple = max((_MULTIPLE, *getattr(codec, "strides", ())))
    width, height = (_up(side * scale, multiple) for side in codec.input_size)
    found: Codec = replace(codec, input_size=(width, height))
    return found


def scaled_warp(warp: Warp, scale: float) -> Warp:
    """Return the warp whose pixel scale * (x, y) shows what pixel (x, y) of `warp` does."""
    width, height = (_up(side * scale, _MULTIPLE) for side in warp.size)
    return Warp(warp.matrix * scale, (width, height), warp.fill)


def _up(side: float, multiple: int) -> int:
    return max(1, int(np.ceil(side / multiple - 1e-6))) * multiple


@dataclass(frozen=True)
class _Sized:
    """A network that is run on views of another size."""

    model: Model
    codec: Codec
    only_size: None = None

    @property
    def info(self) -> ModelInfo:
        """The metadata of its file."""
        return self.model.info

    @property
    def skeleton(self) -> Any:
        """The joints that it predicts."""
        return self.model.skeleton

    @property
    def runtime(self) -> str:
        """What runs it."""
        return self.model.runtime

    def with_threshold(self, score: float) -> _Sized:
        """Return the same network with another score threshold."""
        model = self.model.with_threshold(score)
        return _Sized(model, replace(self.codec, threshold=score))  # type: ignore[type-var]

    def __call__(self, views: Array, condition: Array | None = None) -> dict[str, Array]:
        """(B, h, w, 3) uint8 RGB -> the arrays that the codec documents."""
        return self.model(views)


def _together(
    model: Model, scales: Sequence[float], flip: bool, frame: Frame
) -> tuple[People, int]:
    """Return the people of a frame, and how many of its views have outputs that are not finite."""
    codec: Any = model.codec
    (warp,) = codec.warps(frame.size, None)
    outputs = [outputs_of(model, [(frame, scaled_warp(warp, s))], flip) for s in scales]
    (found,) = decoded(model, outputs[0], lambda _: codec.decode_scales(outputs, scales))
    bad = sum(not finite_views(each, 1).all() for each in outputs)
    return clipped(warp.inverse().people(found), frame), bad


def _merging(model: Model) -> Callable[[People], People]:
    """Return how people of all scales are merged."""
    if merges(model.codec):
        return model.codec.merged
    return partial(average_duplicates, skeleton=model.skeleton)
