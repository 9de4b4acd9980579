"""Spatial transformer before a top-down network and its inverse behind it (RMPE, arXiv:1612.00137).

The transformer (STN, arXiv:1506.02025) looks at a view and says which affine part of it the network
should see instead; the inverse (SDTN) puts what the network finds back where it is in the view, so
that codecs, losses and exported files know nothing of it.

theta (B, 2, 3) maps points of the new view to points of the given one, both from -1 to 1 between
the centres of the outer pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posewright.codecs import Codec, Combined, Heatmap, Integral, MoveNet
from posewright.errors import UsageError, nearest
from posewright.models.parts.layers import conv_bn
from posewright.models.parts.resnet import ResNet

__all__ = ["SpatialTransformer", "check_codec", "in_cells", "inverse", "sample"]

_FLAT = 1e-4  # determinant below which a map has no useful inverse


class Moments(nn.Module):
    """(B, C, h, w) -> (B, 3C): the mean of each map, and how far it leans right and down."""

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        across, down = (torch.linspace(-1, 1, n, device=x.device, dtype=x.dtype) for n in (w, h))
        leaning = [(x * across).mean((2, 3)), (x * down[:, None]).mean((2, 3))]
        return torch.cat([x.mean((2, 3)), *leaning], 1)


def _resnet18() -> tuple[nn.Module, int]:
    """Return RMPE's localisation network, and how many features it has."""
    return nn.Sequential(ResNet(18), nn.AdaptiveAvgPool2d(1), nn.Flatten()), 512


class Shrunk(nn.Module):
    """(B, 3, h, w) -> (B, 3, 64, 64): enough to see where somebody is, and alike for every size."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(x, 2)
        return F.interpolate(x, (64, 64), mode="bilinear", align_corners=False)


def _light() -> tuple[nn.Module, int]:
    """Return four convolutions on a small image, and how many features they have."""
    layers: list[nn.Module] = [Shrunk()]
    for inputs, outputs in ((3, 32), (32, 64), (64, 128), (128, 256)):
        layers.append(conv_bn(inputs, outputs, 3, 2, act=nn.ReLU))
    return nn.Sequential(*layers, Moments()), 3 * 256


_LOCALISATION = {"resnet18": _resnet18, "light": _light}


def check_codec(name: str, codec: Codec) -> None:
    """UsageError: a network of this codec cannot stand behind a spatial transformer.

    SimCC's vectors along one axis cannot be turned, nor can UDP's offsets in radii without changing
    the radius; a network that sees whole images has no person to move to the middle.
    """
    if not isinstance(codec, (Heatmap, Integral, Combined, MoveNet)):
        kinds = ", ".join(c.kind for c in (Heatmap, Integral, Combined, MoveNet))
        raise UsageError(
            f"{name} cannot have stn: its codec is {codec.kind!r}, and a spatial transformer needs "
            f"a top-down network with heatmaps ({kinds})"
        )


class SpatialTransformer(nn.Module):
    """Localisation network: a view -> theta; the identity before it is trained.

    kind: "resnet18" (RMPE's) or "light".  UsageError: another one.
    """

    def __init__(self, kind: str = "resnet18") -> None:
        super().__init__()
        if kind not in _LOCALISATION:
            known = ", ".join(_LOCALISATION)
            raise UsageError(
                f"no localisation network {kind!r}{nearest(kind, _LOCALISATION)}; "
                f"stn is true or one of {known}"
            )
        self.localisation, self.features = _LOCALISATION[kind]()
        self.theta = nn.Linear(self.features, 6)
        nn.init.zeros_(self.theta.weight)
        with torch.no_grad():
            self.theta.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) normalised view -> theta (B, 2, 3), float32 under any autocast."""
        # hundreds of features add up: undivided, the first step of Adam would move theta by half a
        # view at the usual learning rate
        features = self.localisation(x) / self.features**0.5
        # the bias is added afterwards: autocast would round 1 + a little to 8 bits, half a pixel
        theta: Tensor = F.linear(features, self.theta.weight).to(x.dtype) + self.theta.bias
        return theta.view(-1, 2, 3)

    def view(self, x: Tensor, theta: Tensor, outside: Tensor) -> Tensor:
        """(B, 3, h, w) -> the view of the same size that theta chooses.

        outside: (1, 3, 1, 1) what lies beyond the given view.
        """
        h, w = x.shape[2:]
        return sample(x - outside, in_cells(theta, (2 / (w - 1), 2 / (h - 1)))) + outside

    def undone(self, outputs: dict[str, Tensor], theta: Tensor, codec: Codec) -> dict[str, Tensor]:
        """Return the outputs of a network on theta's view as they lie in the given view (SDTN).

        Beyond theta's view a map is as low as it is anywhere.
        """
        h, w = outputs["heatmap"].shape[2:]
        step = _steps(codec, (w, h))
        there, back = in_cells(theta, step), in_cells(inverse(theta), step)
        found = {}
        for key, maps in outputs.items():
            if key in ("regression", "offset"):
                found[key] = _vectors(maps, there, back, exact=key == "offset")
            else:
                low = maps.amin((2, 3), keepdim=True)
                found[key] = sample(maps - low, back) + low
        return found


def inverse(theta: Tensor) -> Tensor:
    """(B, 2, 3) -> gamma (B, 2, 3), the analytic inverse (RMPE, equation 2).

    gamma = theta12^-1 and -theta12^-1 theta3.  Where theta12 is all but flat, its determinant is
    taken for a small number: what comes out is finite.
    """
    a, b, c, d = theta[:, :, :2].flatten(1).unbind(1)
    determinant = a * d - b * c
    small = torch.where(determinant < 0, -_FLAT, _FLAT)
    determinant = torch.where(determinant.abs() < _FLAT, small, determinant)
    linear = torch.stack([d, -b, -c, a], 1).view(-1, 2, 2) / determinant[:, None, None]
    return torch.cat([linear, -(linear * theta[:, None, :, 2]).sum(2, keepdim=True)], 2)


def in_cells(theta: Tensor, step: tuple[float, float]) -> Tensor:
    """(B, 2, 3) from -1 to 1 -> (B, 2, 3) in cells.

    step: x and y from one cell to the next, of the way from -1 to 1; cell 0 is at -1.
    """
    (sx, sy), linear = step, theta[:, :, :2]
    ratio = theta.new_tensor([[1, sy / sx], [sx / sy, 1]])
    # (theta3 - theta12 (1, 1) + (1, 1)) / step, in an order that leaves nothing of the identity
    rest = torch.eye(2, dtype=theta.dtype, device=theta.device) - linear
    shift = (theta[:, :, 2] + rest.sum(2)) / theta.new_tensor(step)
    return torch.cat([linear * ratio, shift[:, :, None]], 2)


def _steps(codec: Codec, size: tuple[int, int]) -> tuple[float, float]:
    """Return x and y from a cell of a map of `size` to the next, of a view's way from -1 to 1."""
    if getattr(codec, "unbiased", False):  # outer centres of view and map coincide
        return 2 / (size[0] - 1), 2 / (size[1] - 1)
    (w, h), stride = codec.input_size, getattr(codec, "stride", 1)
    return 2 * stride / (w - 1), 2 * stride / (h - 1)


def sample(maps: Tensor, matrix: Tensor, mode: str = "bilinear", padding: str = "zeros") -> Tensor:
    """(B, C, h, w) -> (B, C, h, w) whose cell p is the given maps' at `matrix` p (B, 2, 3)."""
    h, w = maps.shape[2:]
    xs, ys = _cells(matrix, w), _cells(matrix, h)
    m = matrix[:, :, :, None, None]  # (B, 2, 3, 1, 1)
    at = m[:, :, 0] * xs + m[:, :, 1] * ys[:, None] + m[:, :, 2]  # (B, 2, h, w), x and y
    grid = at.permute(0, 2, 3, 1) * matrix.new_tensor([2 / (w - 1), 2 / (h - 1)]) - 1
    # places would be too coarse in the 8 bits of a map under autocast
    maps = maps.to(matrix.dtype)
    return F.grid_sample(maps, grid, mode=mode, padding_mode=padding, align_corners=True)


def _cells(like: Tensor, count: int) -> Tensor:
    return torch.arange(count, device=like.device, dtype=like.dtype)


def _vectors(maps: Tensor, there: Tensor, back: Tensor, *, exact: bool) -> Tensor:
    """(B, 2K, h, w) dy, dx from each cell to a joint -> the same in the given view.

    What a cell points to is mapped, not the vector alone.  exact: read the nearest cell, as offsets
    from a joint's own cell say nothing of the way from between two cells.
    """
    h, w = maps.shape[2:]
    xs, ys = _cells(there, w).expand(h, w), _cells(there, h)[:, None].expand(h, w)
    start = torch.stack([ys, xs])  # (2, h, w)
    y, x = (maps.unflatten(1, (-1, 2)) + start).unbind(2)  # (B, K, h, w)
    m = there[:, :, :, None, None, None]  # (B, 2, 3, 1, 1, 1)
    ends = m[:, :, 0] * x[:, None] + m[:, :, 1] * y[:, None] + m[:, :, 2]  # (B, 2, K, h, w)
    ends = ends.flip(1).transpose(1, 2).flatten(1, 2)  # (B, 2K, h, w), y before x
    ends = sample(ends, back, "nearest" if exact else "bilinear", "border")
    return (ends.unflatten(1, (-1, 2)) - start).flatten(1, 2)
