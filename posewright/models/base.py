"""PoseModel: a network with the codec, skeleton and normalisation that it is used with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from posewright.codecs.base import Codec, refines
from posewright.errors import UsageError
from posewright.models.parts.stn import SpatialTransformer
from posewright.runtimes.info import Input
from posewright.skeletons import Skeleton, get_skeleton

__all__ = ["IMAGENET", "PoseModel", "as_skeleton"]

IMAGENET = Input("NCHW", "float32", "RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def as_skeleton(skeleton: Skeleton | str) -> Skeleton:
    """Return a skeleton given itself or its name."""
    return get_skeleton(skeleton) if isinstance(skeleton, str) else skeleton


class PoseModel(nn.Module):
    """Backbone, neck and head, with the codec, skeleton and normalisation that belong to them.

    `forward` takes views as they come from an image, `compute` takes what the layers take.
    loss: a module called with (outputs, targets); it may own parameters (RLE's flow).  `backbone`,
    `neck` and `head` may be any modules: `compute` is head(neck(backbone(x))), and the head returns
    the arrays that the codec documents.
    """

    name = ""  # set by `create`, as are the options that it was given
    options: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        codec: Codec,
        skeleton: Skeleton | str,
        *,
        neck: nn.Module | None = None,
        loss: nn.Module | None = None,
        pixels: Input = IMAGENET,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck if neck is not None else nn.Identity()
        self.head = head
        self.loss = loss
        self.stn: SpatialTransformer | None = None  # `create(stn=...)` puts one in
        self.codec = codec
        self.skeleton = as_skeleton(skeleton)
        self.pixels = pixels
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (pixels.mean, pixels.std))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, views: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """(B, h, w, 3) RGB, uint8 or 0 to 255 -> the outputs that the codec documents.

        condition: (B, C, h, w), which a network that refines a pose takes besides the image, as
        its codec's `condition` makes it; a UsageError if it is left out there.
        """
        if condition is None and refines(self.codec):
            raise UsageError(f"{self.name or 'this network'} refines poses; pass codec.condition")
        x = self.normalise(views)
        return self.compute(x if condition is None else torch.cat([x, condition.to(x)], 1))

    def normalise(self, views: Tensor) -> Tensor:
        """(B, h, w, 3) RGB, 0 to 255 -> (B, 3, h, w) as the layers take it."""
        x = views.permute(0, 3, 1, 2).to(self.mean.dtype)
        if self.pixels.color == "BGR":
            x = x.flip(1)
        return (x - self.mean) / self.std

    def compute(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, h, w) normalised, and any condition -> the outputs that the codec documents.

        With a spatial transformer, these are already back in the view's pixels; in training, theta
        (B, 2, 3) is among them.
        """
        if self.stn is None:
            return self._estimated(x)
        theta = self.stn(x)
        outputs = self._estimated(self.stn.view(x, theta, self.black))
        outputs = self.stn.undone(outputs, theta, self.codec)
        return {**outputs, "theta": theta} if self.training else outputs

    def _estimated(self, x: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.head(self.neck(self.backbone(x)))
        return outputs

    @property
    def black(self) -> Tensor:
        """(1, 3, 1, 1) what a black pixel is after `normalise`: what lies outside of an image."""
        return -self.mean / self.std

    @property
    def parameters_count(self) -> int:
        """Number of trainable and frozen parameters, buffers excluded."""
        return sum(p.numel() for p in self.parameters())
