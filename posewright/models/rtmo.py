"""RTMO: YOLOX's backbone, RT-DETR's hybrid encoder, coordinates classified in dynamic bins.

Source: arXiv:2312.07526; encoder arXiv:2304.08069.  Module names are those of mmpose's state dicts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posewright.codecs.yolox import RTMO
from posewright.losses.yolox import RTMOLoss, RTMOStage
from posewright.models.base import PoseModel, as_skeleton
from posewright.models.parts.cspnext import ConvBN
from posewright.models.parts.gau import GAU
from posewright.models.registry import register
from posewright.models.yolox import PIXELS, RARE, check_size, csp_darknet, flat, predictors, stacked
from posewright.skeletons import Skeleton

__all__ = ["DCC", "HybridEncoder", "RTMOHead"]

PAPER = "arXiv:2312.07526"
BINS = (192, 256)
PADDING = 1.25  # of the box that the bins span


class Sine(nn.Module):
    """Cosines, then sines of positions over `width` / 2 wavelengths from 1 up to `temperature`."""

    dim_t: Tensor

    def __init__(self, width: int, temperature: float, *, persistent: bool) -> None:
        super().__init__()
        dim_t = temperature ** (torch.arange(width // 2) / (width // 2))
        self.register_buffer("dim_t", dim_t, persistent=persistent)

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (..., width)."""
        angle = x[..., None] / self.dim_t
        return torch.cat([angle.cos(), angle.sin()], -1)


class SelfAttention(nn.Module):
    """Multi-head self-attention in which positions are added to queries and keys."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        """(B, L, C), (L, C) -> (B, L, C)."""
        width = x.shape[2]
        weight, bias = self.in_proj.weight, self.in_proj.bias
        queries = F.linear(x + position, weight[: 2 * width], bias[: 2 * width])
        values = F.linear(x, weight[2 * width :], bias[2 * width :])
        q, k, v = (
            t.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, L, C / heads)
            for t in (*queries.chunk(2, 2), values)
        )
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each with a shortcut and a norm behind it."""

    def __init__(self, width: int, heads: int = 8, hidden: int = 1024) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, heads)
        self.ffn = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        """(B, L, C), (L, C) -> (B, L, C)."""
        x = self.norms[0](x + self.self_attn(x, position))
        out: Tensor = self.norms[1](x + self.ffn(x))
        return out


class RepBlock(nn.Module):
    """A 3x3 and a 1x1 convolution side by side."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch_3x3 = ConvBN(width, width, 3, act=False)
        self.branch_1x1 = ConvBN(width, width, act=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.branch_3x3(x) + self.branch_1x1(x))


class CSPRepLayer(nn.Module):
    """`RepBlock`s on one projection of a map plus another projection, brought to `outputs`."""

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.conv1 = ConvBN(inputs, width)
        self.conv2 = ConvBN(inputs, width)
        self.bottlenecks = nn.Sequential(*(RepBlock(width) for _ in range(blocks)))
        self.conv3 = ConvBN(width, outputs) if width != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv3(self.bottlenecks(self.conv1(x)) + self.conv2(x))
        return out


class HybridEncoder(nn.Module):
    """Attention within the coarsest level, then convolutions down the pyramid and up again.

    channels: of the three levels that come in, finest first.  outputs: of the two coarser ones,
    which leave.
    """

    def __init__(
        self, channels: Sequence[int], outputs: int, deepen: float, widen: float, width: int = 256
    ) -> None:
        super().__init__()
        steps = len(channels) - 1

        def csp() -> CSPRepLayer:
            return CSPRepLayer(2 * width, width, int(width * widen), round(3 * deepen))

        self.input_proj = nn.ModuleList(ConvBN(c, width, act=False) for c in channels)
        self.encoder = EncoderLayer(width)
        self.sincos_pos_enc = Sine(width // 2, 10000.0, persistent=True)
        self.lateral_convs = nn.ModuleList(ConvBN(width, width) for _ in range(steps))
        self.fpn_blocks = nn.ModuleList(csp() for _ in range(steps))
        self.downsample_convs = nn.ModuleList(ConvBN(width, width, 3, 2) for _ in range(steps))
        self.pan_blocks = nn.ModuleList(csp() for _ in range(steps))
        self.projector = nn.ModuleList(ConvBN(width, outputs, act=False) for _ in range(steps))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of three levels, finest first -> (B, outputs, h, w) of the two coarser ones."""
        levels = [proj(x) for proj, x in zip(self.input_proj, maps, strict=True)]
        down = [self._attend(levels[-1])]  # coarsest first
        for fine, lateral, block in zip(
            levels[-2::-1], self.lateral_convs, self.fpn_blocks, strict=True
        ):
            down[-1] = lateral(down[-1])
            larger = F.interpolate(down[-1], scale_factor=2.0, mode="nearest")
            down.append(block(torch.cat([larger, fine], 1)))
        up = [down[-1]]  # finest first
        for coarse, shrink, block in zip(
            down[-2::-1], self.downsample_convs, self.pan_blocks, strict=True
        ):
            up.append(block(torch.cat([shrink(up[-1]), coarse], 1)))
        return [project(x) for project, x in zip(self.projector, up[1:], strict=True)]

    def _attend(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same after attention between its cells."""
        h, w = x.shape[2:]
        rows, columns = (torch.arange(n, dtype=x.dtype, device=x.device) for n in (h, w))
        y = self.sincos_pos_enc(rows)[:, None].expand(-1, w, -1)  # (h, w, C / 2)
        position = torch.cat([y, self.sincos_pos_enc(columns).expand(h, -1, -1)], 2).flatten(0, 1)
        tokens = self.encoder(x.flatten(2).transpose(1, 2), position)  # (B, h * w, C)
        return tokens.transpose(1, 2).unflatten(2, (h, w))


class DCC(nn.Module):
    """Dynamic coordinate classifier: 1-D classification over bins that span the person's box.

    inputs: width of the pose features.  width: of joint tokens and of the bins' encodings.
    """

    bins_x: Tensor
    bins_y: Tensor

    def __init__(self, inputs: int, joints: int, width: int = 128, key: int = 128) -> None:
        super().__init__()
        self.joints = joints
        self.pose_to_kpts = nn.Sequential(
            nn.Linear(inputs, width * joints), nn.BatchNorm1d(width * joints)
        )
        self.gau = GAU(width, 2 * width, key)
        self.pos_enc = nn.Parameter(torch.randn(joints, key))
        self.spe = Sine(width, 300.0, persistent=False)
        self.x_fc = nn.Linear(width, width)
        self.y_fc = nn.Linear(width, width)
        self.sigma_fc = nn.Linear(inputs, joints)
        self.sigma_scale = nn.Parameter(torch.tensor(0.1))
        for name, count in zip(("bins_x", "bins_y"), BINS, strict=True):
            self.register_buffer(name, torch.linspace(-0.5, 0.5, count), persistent=False)

    def forward(
        self, pose: Tensor, boxes: Tensor, cells: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
        """(P, inputs) features, (P, 4) boxes and (P, 2) cells in px -> points and what they are of.

        points (P, K, 2) px; positions (P, bins) px and probabilities (P, K, bins) of the bins of x
        and of y; sigma (P, K), deviations in units of the square root of a person's area.
        """
        tokens = self.gau(self._tokens(pose), self.pos_enc)
        centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) * PADDING
        at, chance, points = [], [], []
        for axis, (bins, layer) in enumerate(((self.bins_x, self.x_fc), (self.bins_y, self.y_fc))):
            middle, offset = centre[:, axis, None], bins * side[:, axis, None]  # (P, 1), (P, bins)
            logits = self._match(tokens, middle - cells[:, axis, None], offset, layer)
            chance.append(logits.to(offset.dtype).softmax(2))
            points.append((chance[axis] @ offset[..., None])[..., 0] + middle)
            at.append(offset + middle)
        sigma = self.sigma_fc(pose).sigmoid() * self.sigma_scale
        return torch.stack(points, 2), (at[0], at[1]), (chance[0], chance[1]), sigma

    def _tokens(self, pose: Tensor) -> Tensor:
        """(P, inputs) -> (P, K, width)."""
        linear, norm = self.pose_to_kpts
        tokens = linear(pose)
        if self.training and pose.shape[0] == 1:  # one vector has no variance: take the running one
            mean, var = norm.running_mean, norm.running_var
            tokens = F.batch_norm(tokens, mean, var, norm.weight, norm.bias, eps=norm.eps)
        else:
            tokens = norm(tokens)
        return tokens.unflatten(1, (self.joints, -1))

    def _match(self, tokens: Tensor, middle: Tensor, offset: Tensor, layer: nn.Linear) -> Tensor:
        """Return tokens . layer(sine(middle + offset)), (P, K, bins).

        The layer goes to the side that has fewer rows, and so does the turn by `middle` (P, 1); of
        offsets (P, bins), which are symmetric, the second half says what the first one's codes are.
        """
        bias, (even, odd) = tokens @ layer.bias, (tokens @ layer.weight).chunk(2, 2)
        cos, sin = self.spe(middle).to(tokens.dtype).chunk(2, 2)  # (P, 1, width / 2)
        even, odd = even * cos + odd * sin, odd * cos - even * sin  # (P, K, width / 2)
        codes = self.spe(offset[:, offset.shape[1] // 2 :]).to(tokens.dtype).transpose(1, 2)
        cos, sin = codes.chunk(2, 1)  # (P, width / 2, bins / 2)
        even, odd = even @ cos + bias[..., None], odd @ sin
        return torch.cat([(even - odd).flip(2), even + odd], 2)


class RTMOHead(nn.Module):
    """Score branch and grouped pose branch on each level; the classifier on the best cells.

    width: half of the channels that come in.  pose: of the pose features.  candidates: how many
    cells get coordinates.
    """

    def __init__(
        self,
        width: int,
        pose: int,
        joints: int,
        group: int,
        strides: Sequence[int],
        candidates: int,
    ) -> None:
        super().__init__()
        n, inner = len(strides), 8 * group
        self.strides, self.candidates = tuple(strides), candidates
        self.conv_cls = nn.ModuleList(stacked([width] * 3) for _ in strides)
        self.conv_pose = nn.ModuleList(stacked([width, *[inner] * 4], groups=8) for _ in strides)
        self.out_cls = predictors(n, width, 1, bias=RARE)
        self.out_bbox = predictors(n, inner, 4)
        self.out_kpt_reg = predictors(n, inner, 2 * joints)
        self.out_kpt_vis = predictors(n, inner, joints)
        self.out_pose = predictors(n, inner, pose)
        self.dcc = DCC(pose, joints)

    def maps(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        """Levels of (B, 2 * width, h, w) -> the maps (B, c, h, w) of each output on each level."""
        halves = [x.chunk(2, 1) for x in levels]
        cls = [conv(half[0]) for conv, half in zip(self.conv_cls, halves, strict=True)]
        pose = [conv(half[1]) for conv, half in zip(self.conv_pose, halves, strict=True)]
        branches = {
            "scores": (self.out_cls, cls),
            "boxes": (self.out_bbox, pose),
            "visibility": (self.out_kpt_vis, pose),
            "pose": (self.out_pose, pose),
        }
        if self.training:
            branches["proxy"] = (self.out_kpt_reg, pose)
        return {
            key: [conv(x) for conv, x in zip(convs, xs, strict=True)]
            for key, (convs, xs) in branches.items()
        }

    def forward(self, levels: Sequence[Tensor]) -> dict[str, Tensor]:
        """Levels of (B, 2 * width, h, w) -> as `RTMO` documents, or in train() as `RTMOLoss`."""
        maps = self.maps(levels)
        found = {key: flat(m) for key, m in maps.items()}  # (B, N, c)
        cells = self._cells(maps["scores"])
        place, stride = cells[:, :2], cells[:, 2:]
        box = found["boxes"].to(cells.dtype)  # pixels need more than half precision
        centre, half = box[..., :2] * stride + place, box[..., 2:].exp() * stride / 2
        found["boxes"] = torch.cat([centre - half, centre + half], 2)
        found["scores"] = found["scores"][..., 0]
        if self.training:
            offsets = found["proxy"].unflatten(2, (-1, 2)).to(cells.dtype)
            found["proxy"] = offsets * stride[:, None] + place[:, None]
            return found
        # scores, boxes, keypoints and visibility of the cells with the highest scores
        count = min(self.candidates, found["scores"].shape[1])
        scores, best = found["scores"].topk(count, 1)  # (B, M)
        views = torch.arange(best.shape[0], device=best.device)[:, None]
        boxes, pose = found["boxes"][views, best], found["pose"][views, best]
        points = self.dcc(pose.flatten(0, 1), boxes.flatten(0, 1), place[best].flatten(0, 1))[0]
        return {
            "scores": scores,
            "boxes": boxes,
            "keypoints": points.unflatten(0, (-1, count)),
            "visibility": found["visibility"][views, best],
        }

    def _cells(self, maps: Sequence[Tensor]) -> Tensor:
        """Return (N, 3) x, y of the middle and stride of all cells in px, at least float32."""
        dtype, levels = torch.promote_types(maps[0].dtype, torch.float32), []
        for x, stride in zip(maps, self.strides, strict=True):
            y_x = (torch.arange(n, dtype=dtype, device=x.device) for n in x.shape[2:])
            y, x_ = torch.meshgrid(*y_x, indexing="ij")
            grid = torch.stack([x_, y], 2).flatten(0, 1) * stride + (stride - 1) / 2
            levels.append(F.pad(grid, (0, 1), value=float(stride)))
        return torch.cat(levels)


def _rtmo(
    deepen: float,
    widen: float,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    candidates: int,
) -> PoseModel:
    check_size(input_size)
    skeleton, codec = as_skeleton(skeleton), RTMO(input_size)
    width, out = int(256 * widen), int(512 * widen)
    head = RTMOHead(width, out, len(skeleton), int(36 * widen), codec.strides, candidates)
    loss = RTMOLoss(codec, skeleton.oks_sigmas, head.dcc)
    if widen > 0.5:
        first, second = RTMOStage(mle=0.01), RTMOStage(mle=5.0, oks=10.0, cls=2.0, power=1.0)
        loss = RTMOLoss(
            codec, skeleton.oks_sigmas, head.dcc, first=first, second=second, joint_centres=False
        )
    return PoseModel(
        csp_darknet(deepen, widen),
        head,
        codec,
        skeleton,
        loss=loss,
        pixels=PIXELS,
        neck=HybridEncoder((width, 2 * width, 4 * width), out, deepen, widen),
    )


@register(paper=PAPER)
def rtmo_t(
    *,
    input_size: tuple[int, int] = (416, 416),
    skeleton: Skeleton | str = "coco17",
    candidates: int = 300,
) -> PoseModel:
    """RTMO-t: a third of the depth, three eighths of the width."""
    return _rtmo(0.33, 0.375, input_size, skeleton, candidates)


@register(paper=PAPER, published="COCO val2017 AP .677 (640x640)")
def rtmo_s(
    *,
    input_size: tuple[int, int] = (640, 640),
    skeleton: Skeleton | str = "coco17",
    candidates: int = 300,
) -> PoseModel:
    """RTMO-s: a third of the depth, half of the width."""
    return _rtmo(0.33, 0.5, input_size, skeleton, candidates)


@register(paper=PAPER, published="COCO val2017 AP .709 (640x640)")
def rtmo_m(
    *,
    input_size: tuple[int, int] = (640, 640),
    skeleton: Skeleton | str = "coco17",
    candidates: int = 300,
) -> PoseModel:
    """RTMO-m: two thirds of the depth, three quarters of the width."""
    return _rtmo(0.67, 0.75, input_size, skeleton, candidates)


@register(paper=PAPER, published="COCO val2017 AP .724 (640x640)")
def rtmo_l(
    *,
    input_size: tuple[int, int] = (640, 640),
    skeleton: Skeleton | str = "coco17",
    candidates: int = 300,
) -> PoseModel:
    """RTMO-l: CSPDarknet as it is."""
    return _rtmo(1.0, 1.0, input_size, skeleton, candidates)
