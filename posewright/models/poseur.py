"""Poseur: coarse coordinates, refined by queries that look at the maps there (arXiv:2201.07412).

The attention is Deformable DETR's (arXiv:2010.04159), except that heads share the maps and project
what they have picked from them.  Coordinates are fractions of the view, 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from posewright.codecs import Regression
from posewright.errors import UsageError
from posewright.losses import PoseurLoss
from posewright.models.base import PoseModel, as_skeleton
from posewright.models.hrnet import HRNet
from posewright.models.parts.deform import ms_deform_attention
from posewright.models.parts.mobilenetv2 import MobileNetV2
from posewright.models.parts.resnet import ResNet
from posewright.models.registry import register
from posewright.models.regression import RLEHead
from posewright.skeletons import Skeleton

__all__ = ["ChannelMapper", "PoseurHead", "SampledAttention", "sine_embedding"]

PAPER = "arXiv:2201.07412"
WIDTH = 256
HEADS = 8
POINTS = 4  # that a head picks from each map
STRIDES = (4, 8, 16, 32)
LAYERS = 6


class ChannelMapper(nn.Module):
    """A 1x1 convolution and group norm for each map; all leave with the same channels."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, WIDTH, 1, bias=False), nn.GroupNorm(32, WIDTH))
            for c in channels
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C, h, w) of any channels -> the same of 256."""
        return [conv(x) for conv, x in zip(self.convs, maps, strict=True)]


class SampledAttention(nn.Module):
    """Every head of a query picks points round a place on all maps, adds them up by weights of its
    own and projects the sum.
    """

    def __init__(self) -> None:
        super().__init__()
        picked = HEADS * len(STRIDES) * POINTS
        self.sampling_offsets = nn.Linear(WIDTH, picked * 2)
        self.attention_weights = nn.Linear(WIDTH, picked)
        self.value_proj_weight = nn.Parameter(torch.empty(HEADS * WIDTH, WIDTH // HEADS))
        self.value_proj_bias = nn.Parameter(torch.zeros(HEADS, WIDTH // HEADS))
        self.output_proj = nn.Linear(WIDTH, WIDTH)
        self._start()

    def _start(self) -> None:
        """Let head m look in direction m, each point one cell farther, with equal weights."""
        angle = torch.arange(HEADS) * (2 * math.pi / HEADS)
        way = torch.stack([angle.cos(), angle.sin()], 1)
        way = way / way.abs().amax(1, keepdim=True)  # (HEADS, 2), on the edge of a square
        steps = torch.arange(1.0, POINTS + 1)[:, None]
        at = (way[:, None, None] * steps).expand(-1, len(STRIDES), -1, -1)
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(at.reshape(-1))
        nn.init.xavier_uniform_(self.value_proj_weight)
        nn.init.xavier_uniform_(self.output_proj.weight)

    def forward(
        self, query: Tensor, places: Tensor, values: Tensor, sizes: Sequence[tuple[int, int]]
    ) -> Tensor:
        """(B, K, 256) queries and what they find round (B, K, 2) places -> (B, K, 256).

        values: (B, S, 256) cells of all maps, whose sizes are (h, w).
        """
        b, k, _ = query.shape
        levels = len(sizes)
        offsets = self.sampling_offsets(query).view(b, k, HEADS, levels, POINTS, 2)
        weights = self.attention_weights(query).view(b, k, HEADS, levels * POINTS).softmax(3)
        cells = torch.tensor([[w, h] for h, w in sizes], dtype=query.dtype, device=query.device)
        at = places[:, :, None, None, None] + offsets / cells[:, None]  # (B, K, M, L, P, 2)
        weights = weights.view(b, k, HEADS, levels, POINTS)
        picked = ms_deform_attention(values[:, :, None], sizes, at, weights)  # (B, K, M * 256)
        matrix = self.value_proj_weight.view(HEADS, WIDTH, -1)
        heads = torch.einsum("bkmc,mcd->bkmd", picked.view(b, k, HEADS, WIDTH), matrix)
        out: Tensor = self.output_proj((heads + self.value_proj_bias).flatten(2))
        return out


class DecoderLayer(nn.Module):
    """Queries look at each other, then at the maps, then pass two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.cross_attention = SampledAttention()
        self.ffn = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.ReLU(inplace=True), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))

    def forward(
        self,
        query: Tensor,
        joints: Tensor,
        places: Tensor,
        values: Tensor,
        sizes: Sequence[tuple[int, int]],
    ) -> Tensor:
        """(B, K, 256) queries, (K, 256) embedding of joints; the rest as `SampledAttention`."""
        named = query + joints
        seen = self.self_attention(named, named, query, need_weights=False)[0]
        query = self.norms[0](query + seen)
        seen = self.cross_attention(query + joints, places, values, sizes)
        query = self.norms[1](query + seen)
        out: Tensor = self.norms[2](query + self.ffn(query))
        return out


class PoseurHead(nn.Module):
    """Coarse coordinates from the average of the smallest map, then six rounds of refinement.

    map_sizes: (h, w) of the maps, largest first.
    """

    positions: Tensor

    def __init__(self, joints: int, map_sizes: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.map_sizes = list(map_sizes)
        self.encoder = RLEHead(WIDTH, joints)
        self.level_embeds = nn.Parameter(torch.randn(len(map_sizes), WIDTH))
        self.pos_trans = nn.Linear(2 * WIDTH, WIDTH)
        self.pos_trans_norm = nn.LayerNorm(WIDTH)
        self.pos_embed = nn.Embedding(joints, WIDTH)
        self.layers = nn.ModuleList(DecoderLayer() for _ in range(LAYERS))
        self.fc_coord_branches = nn.ModuleList(_mlp() for _ in range(LAYERS))
        self.fc_coord_output_branches = nn.ModuleList(_mlp() for _ in range(LAYERS))
        # 256-256-256-2 without anything between, as the authors have it for sigma
        self.fc_sigma_branches = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2))
            for _ in range(LAYERS)
        )
        positions = []
        for size in map_sizes:  # (h * w, 256): embedding of the cells' centres, y before x
            centres = [(torch.arange(n) + 0.5) / n for n in size]
            grid = torch.stack(torch.meshgrid(*centres, indexing="ij"), -1)
            positions.append(sine_embedding(grid).flatten(0, 1))
        self.register_buffer("positions", torch.cat(positions), persistent=False)  # (S, 256)

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """Maps (B, 256, h, w) -> coordinates and sigma (B, K, 2), those of the last round.

        In training also those of all, the coarse ones first: round_coordinates and round_sigma
        (B, 7, K, 2).
        """
        coordinates, sigma = self.rounds(maps)
        outputs = {"coordinates": coordinates[:, -1], "sigma": sigma[:, -1]}
        if self.training:
            outputs |= {"round_coordinates": coordinates, "round_sigma": sigma}
        return outputs

    def rounds(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps (B, 256, h, w) -> coordinates and sigma (B, 7, K, 2), the coarse ones first."""
        coarse = self.encoder(maps[-1])
        coordinates, sigma = [coarse["coordinates"]], [coarse["sigma"]]
        places = coordinates[0].detach()  # each round learns from what it adds
        # made of the places, as they are and cut to the view
        both = torch.cat([places, places.clamp(0, 1)], 2)  # (B, K, 4)
        made: Tensor = self.pos_trans_norm(self.pos_trans(sine_embedding(both)))
        values, query = self._values(maps), made
        for i, layer in enumerate(self.layers):
            query = layer(query, self.pos_embed.weight, places, values, self.map_sizes)
            moved = (places.logit(eps=1e-5) + self.fc_coord_branches[i](query)).sigmoid()
            coordinates.append(moved + self.fc_coord_output_branches[i](query))
            sigma.append(self.fc_sigma_branches[i](query).sigmoid())
            places = moved.detach()
        return torch.stack(coordinates, 1), torch.stack(sigma, 1)

    def _values(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, 256, h, w) -> (B, S, 256) with where their cells are and which map it is."""
        found = [tuple(x.shape[2:]) for x in maps]
        if found != self.map_sizes:
            raise UsageError(
                f"maps are {found} (h, w), not {self.map_sizes}; views must have the input_size "
                "that the network was made with"
            )
        levels = zip(maps, self.level_embeds, strict=True)
        cells = [x.flatten(2).transpose(1, 2) + level for x, level in levels]
        return torch.cat(cells, 1) + self.positions


def sine_embedding(at: Tensor, width: int = WIDTH // 2) -> Tensor:
    """(..., N) fractions -> (..., N * width): sine and cosine in turn, wave lengths from 1 on.

    arXiv:1706.03762 with 10000 as the ratio of the wave lengths.
    """
    step = torch.arange(0, width, 2, dtype=at.dtype, device=at.device) / width
    phase = at[..., None] * (2 * math.pi) / 10000**step  # (..., N, width / 2)
    return torch.stack([phase.sin(), phase.cos()], -1).flatten(-3)


def _mlp() -> nn.Sequential:
    """256-256-256-2, 0 at first."""
    last = nn.Linear(WIDTH, 2)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    hidden = (nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH))
    return nn.Sequential(hidden[0], nn.ReLU(inplace=True), hidden[1], nn.ReLU(inplace=True), last)


def _poseur(
    backbone: nn.Module,
    channels: Sequence[int],
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
) -> PoseModel:
    if any(side % STRIDES[-1] for side in input_size):
        raise UsageError(f"input size {input_size}: sides must be multiples of {STRIDES[-1]}")
    skeleton = as_skeleton(skeleton)
    sizes = [(input_size[1] // s, input_size[0] // s) for s in STRIDES]
    return PoseModel(
        backbone,
        PoseurHead(len(skeleton), sizes),
        Regression(input_size, sigma=True),
        skeleton,
        neck=ChannelMapper(channels),
        loss=PoseurLoss(),
    )


@register(paper=PAPER, published="COCO val2017 AP .755 (detector boxes, flip)")
def poseur_r50(
    *, input_size: tuple[int, int] = (192, 256), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """Poseur with ResNet-50."""
    backbone = ResNet(50, multi_scale=True)
    return _poseur(backbone, backbone.channels, input_size, skeleton)


@register(paper=PAPER, published="COCO val2017 AP .719 (detector boxes, flip)")
def poseur_mobilenetv2(
    *, input_size: tuple[int, int] = (192, 256), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """Poseur with MobileNetV2."""
    backbone = MobileNetV2(taps=(2, 3, 5, 8))
    return _poseur(backbone, backbone.channels, input_size, skeleton)


@register(paper=PAPER, published="COCO val2017 AP .768 (detector boxes, flip)")
def poseur_hrnet_w32(
    *, input_size: tuple[int, int] = (192, 256), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """Poseur with HRNet-W32."""
    backbone = HRNet((32, 64, 128, 256), multi_scale=True)
    return _poseur(backbone, backbone.channels, input_size, skeleton)


@register(paper=PAPER, published="COCO val2017 AP .787 (detector boxes, flip)")
def poseur_hrnet_w48(
    *, input_size: tuple[int, int] = (288, 384), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """Poseur with HRNet-W48."""
    backbone = HRNet((48, 96, 192, 384), multi_scale=True)
    return _poseur(backbone, backbone.channels, input_size, skeleton)
