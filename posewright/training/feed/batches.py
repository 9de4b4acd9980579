"""A batch: the views of some instances and, made where the network is, its codec's targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posewright.codecs import Codec, Heatmap
from posewright.codecs.base import trains
from posewright.errors import UsageError
from posewright.people import People

__all__ = ["Batch", "heatmap_targets"]


@dataclass(frozen=True, eq=False)
class Batch:
    """B instances.

    views: (B, h, w, 3) uint8 RGB.  people: truth of each view in its pixels: the B people of
    top-down codecs, B times some people of others; either way its element i is the People of view
    i.  numbers: (B,) of the instances in their feed.  condition: (B, K, h, w) for networks that
    refine a pose.
    """

    views: Tensor
    people: People | list[People]
    numbers: NDArray[np.int64]
    condition: Tensor | None = None

    def __len__(self) -> int:
        return len(self.people)

    def targets(self, codec: Codec, device: str | torch.device = "cpu") -> dict[str, Tensor]:
        """Return what the loss of `codec` compares with, B rows each, on a device."""
        if type(codec) is Heatmap and isinstance(self.people, People):
            return heatmap_targets(codec, self.people, device)
        arrays = _encoded(codec, self.people)
        return {key: torch.from_numpy(np.ascontiguousarray(a)).to(device) for key, a in arrays}


def _encoded(
    codec: Codec, people: People | list[People]
) -> Iterable[tuple[str, NDArray[np.generic]]]:
    """Return the targets of views as the codec's own numpy code makes them."""
    if not trains(codec):
        raise UsageError(f"networks of codec {codec.kind!r} cannot be trained: it makes no targets")
    if isinstance(people, People):
        return codec.encode(people).items()
    parts = [codec.encode(one) for one in people or [People.empty()]]
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return [(key, a[: len(people)]) for key, a in joined.items()]


def heatmap_targets(
    codec: Heatmap, people: People, device: str | torch.device = "cpu"
) -> dict[str, Tensor]:
    """Return what `Heatmap.encode` does, computed on a device.

    A Gaussian is the product of one along each axis, so that h + w exponentials make h w cells.
    """
    at = torch.from_numpy(np.divide(people.keypoints, codec.cell, dtype=np.float32)).to(device)
    labelled = torch.from_numpy(people.scores > 0).to(device)  # (B, K)
    size = torch.tensor(codec.map_size, device=device)
    centre, radius = (at + 0.5).floor(), 3 * codec.sigma  # (B, K, 2) cells
    seen = ((centre + radius >= 0) & (centre - radius < size)).all(2) & labelled
    if codec.quantised:
        at = centre
    columns, rows = (_bell(codec, at[..., i], n) for i, n in enumerate(codec.map_size))
    weight = seen.to(torch.float32)
    maps = (rows * weight[..., None])[..., :, None] * columns[..., None, :]  # (B, K, h, w)
    return {"heatmap": maps, "weight": weight}


def _bell(codec: Heatmap, at: Tensor, cells: int) -> Tensor:
    """(B, K) centres -> (B, K, cells) values of a Gaussian along one axis."""
    distance = torch.arange(cells, dtype=torch.float32, device=at.device) - at[..., None]
    bell = (distance.square() / (-2 * codec.sigma**2)).exp()
    return bell * (distance.abs() <= 3 * codec.sigma) if codec.quantised else bell
