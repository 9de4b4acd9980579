"""AdaptivePose: adaptive points between a person's centre and the joints (arXiv:2112.13635).

Module names are those of the authors' state dicts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from posewright.codecs import Codec, codec_named
from posewright.codecs.adaptivepose import AdaptivePose, parts_of
from posewright.errors import UsageError
from posewright.losses import loss_for
from posewright.models.base import PoseModel, as_skeleton
from posewright.models.hrnet import HRNet
from posewright.models.parts.deform import ModulatedDeformConv2d, flow_warp
from posewright.models.registry import register
from posewright.runtimes.info import Input
from posewright.skeletons import Skeleton

__all__ = ["DLA34", "AdaptivePoseHead"]

PAPER = "arXiv:2112.13635"
FEATURES = 256  # channels of the two feature maps of the head
POINT = 64  # channels at an adaptive point
# CenterNet's pixels: the means and deviations of COCO, blue first
CENTERNET = Input(
    "NCHW",
    "float32",
    "BGR",
    (0.40789654 * 255, 0.44719302 * 255, 0.47026115 * 255),
    (0.28863828 * 255, 0.27408164 * 255, 0.27809835 * 255),
)


class ConvReLU(nn.Module):
    """Convolution and ReLU, with batch norm instead of a bias if `norm`."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=not norm)
        self.bn = nn.BatchNorm2d(outputs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).relu_()


class Sampler(nn.Module):
    """Features at the adaptive points -> joints from their points, the centre from all of them."""

    joint_part: Tensor
    order: Tensor

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        parts = parts_of(skeleton)
        order = torch.tensor([j for part in parts for j in part]).argsort()
        part = torch.tensor([i for i, joints in enumerate(parts) for _ in joints])
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("joint_part", part[order], persistent=False)
        self.searcher = nn.Conv2d(FEATURES, len(parts) * 2, 3, padding=1)
        self.feat_trans = nn.ModuleList(ConvReLU(FEATURES, POINT, 1, norm=True) for _ in parts)
        self.feat_agg = nn.ModuleList(ModulatedDeformConv2d(POINT, POINT) for _ in parts)
        self.pred_kps_list = nn.ModuleList(nn.Conv2d(POINT, len(p) * 2, 1) for p in parts)
        self.ct_feat_trans = nn.Conv2d(FEATURES, POINT, 1)
        self.squeeze_ct = ConvReLU(POINT * len(parts) + FEATURES, POINT, 3, norm=False)
        self.pred_ct_hm = nn.Conv2d(POINT, 1, 1)
        # begins with all points at the centre and joints near it
        nn.init.zeros_(self.searcher.weight)
        for conv in self.pred_kps_list:
            assert isinstance(conv, nn.Conv2d)
            nn.init.normal_(conv.weight, std=0.001)
        for head in (self.searcher, *self.pred_kps_list):
            assert isinstance(head, nn.Conv2d) and head.bias is not None
            nn.init.zeros_(head.bias)
        assert self.pred_ct_hm.bias is not None
        nn.init.constant_(self.pred_ct_hm.bias, -2.19)  # a tenth: few cells are centres

    def forward(self, joints: Tensor, centre: Tensor) -> dict[str, Tensor]:
        """Two (B, 256, h, w) -> centre (B, 1, h, w), offset (B, 2 K, ...), points (B, 2 P, ...)."""
        b, _, h, w = joints.shape
        points = self.searcher(joints)
        flows = points.view(b, -1, 2, h, w)
        context = self.ct_feat_trans(centre)
        found, near = [], [centre]
        parts = zip(self.feat_trans, self.feat_agg, self.pred_kps_list, strict=True)
        for i, (trans, agg, predict) in enumerate(parts):
            # one warp for both: the places and their weights are the same
            both = flow_warp(torch.cat([agg(trans(joints)), context], 1), flows[:, i])
            at_point, at_centre = both.split(POINT, 1)
            found.append(predict(at_point))
            near.append(at_centre)
        hops = torch.cat(found, 1).view(b, -1, 2, h, w)[:, self.order]  # (B, K, 2, h, w)
        offset = (hops + flows[:, self.joint_part]).flatten(1, 2)
        score = self.pred_ct_hm(self.squeeze_ct(torch.cat(near, 1)))
        return {"centre": score, "offset": offset, "points": points}


class AdaptivePoseHead(nn.Module):
    """Two feature maps and the sampler -> centre, offset, points.

    convs: 3x3 convolutions of each feature map.
    """

    def __init__(self, channels: int, skeleton: Skeleton, convs: int) -> None:
        super().__init__()
        self.hm = _features(channels, convs)
        self.hps = _features(channels, convs)
        self.sampler = Sampler(skeleton)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> as `Sampler`."""
        outputs: dict[str, Tensor] = self.sampler(self.hps(x), self.hm(x))
        return outputs


def _features(channels: int, convs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs in (channels, *[FEATURES] * (convs - 1)):
        layers += [nn.Conv2d(inputs, FEATURES, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class Block(nn.Module):
    """Two 3x3 convolutions, to which what the tree hands down is added."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + shortcut)


class Root(nn.Module):
    """Where the branches of a tree meet: a 1x1 convolution of all of them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, *xs: Tensor) -> Tensor:
        return self.bn(self.conv(torch.cat(xs, 1))).relu_()


class Tree(nn.Module):
    """Deep layer aggregation of two blocks, or of two trees of one level less (arXiv:1707.06484).

    extra: channels of what earlier trees hand to the root.  own: the root also sees the input.
    """

    def __init__(
        self,
        levels: int,
        inputs: int,
        width: int,
        stride: int = 1,
        *,
        extra: int = 0,
        own: bool = False,
    ) -> None:
        super().__init__()
        self.levels, self.own = levels, own
        extra += inputs if own else 0
        self.downsample = nn.MaxPool2d(stride, stride) if stride > 1 else nn.Identity()
        self.project = (
            nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width))
            if inputs != width
            else nn.Identity()
        )
        if levels == 1:
            self.tree1: Block | Tree = Block(inputs, width, stride)
            self.tree2: Block | Tree = Block(width, width)
            self.root = Root(2 * width + extra, width)
        else:
            self.tree1 = Tree(levels - 1, inputs, width, stride)
            self.tree2 = Tree(levels - 1, width, width, extra=extra + width)

    def forward(self, x: Tensor, handed: Sequence[Tensor] = ()) -> Tensor:
        """(B, inputs, h, w) and maps for the root -> (B, width, h / stride, w / stride)."""
        bottom = self.downsample(x)
        children = [*handed, bottom] if self.own else [*handed]
        if isinstance(self.tree1, Tree) or isinstance(self.tree2, Tree):
            first: Tensor = self.tree1(x)
            found: Tensor = self.tree2(first, [*children, first])
            return found
        first = self.tree1(x, self.project(bottom))
        second = self.tree2(first, first)
        merged: Tensor = self.root(second, first, *children)
        return merged


class DLABase(nn.Module):
    """DLA-34 without its classifier -> maps of strides 4, 8, 16, 32."""

    def __init__(self) -> None:
        super().__init__()
        self.base_layer = _level(3, 16, kernel=7)
        self.level0 = _level(16, 16)
        self.level1 = _level(16, 32, stride=2)
        self.level2 = Tree(1, 32, 64, 2)
        self.level3 = Tree(2, 64, 128, 2, own=True)
        self.level4 = Tree(2, 128, 256, 2, own=True)
        self.level5 = Tree(1, 256, 512, 2, own=True)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.level1(self.level0(self.base_layer(x)))
        xs = []
        for level in (self.level2, self.level3, self.level4, self.level5):
            x = level(x)
            xs.append(x)
        return xs


def _level(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class DeformBlock(nn.Module):
    """Modulated deformable convolution, batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.actf = nn.Sequential(nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
        self.conv = ModulatedDeformConv2d(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.actf(self.conv(x))
        return y


class IDAUp(nn.Module):
    """Maps of falling size, each enlarged to the first and merged with what came before it.

    channels: of the maps.  factors: by which each but the first is enlarged.
    """

    def __init__(self, width: int, channels: Sequence[int], factors: Sequence[int]) -> None:
        super().__init__()
        self.count = len(factors)
        for i, (inputs, factor) in enumerate(zip(channels[1:], factors, strict=True), 1):
            setattr(self, f"proj_{i}", DeformBlock(inputs, width))
            # a transposed convolution that begins as bilinear enlarging
            up = nn.ConvTranspose2d(
                width, width, 2 * factor, factor, factor // 2, groups=width, bias=False
            )
            tap = torch.arange(2 * factor, dtype=torch.float32)
            row = 1 - (tap / factor - (2 * factor - 1 - factor % 2) / (2 * factor)).abs()
            with torch.no_grad():
                up.weight.copy_((row[:, None] * row).expand_as(up.weight))
            setattr(self, f"up_{i}", up)
            setattr(self, f"node_{i}", DeformBlock(width, width))

    def forward(self, xs: Sequence[Tensor]) -> list[Tensor]:
        """Return the first map and the merged ones, all of the first's size."""
        made = [xs[0]]
        for i in range(1, self.count + 1):
            wide = getattr(self, f"up_{i}")(getattr(self, f"proj_{i}")(xs[i]))
            made.append(getattr(self, f"node_{i}")(wide + made[-1]))
        return made


class DLAUp(nn.Module):
    """All maps merged from the smallest up -> one map of each size but the smallest, largest first.

    Each round enlarges all maps that there are so far to the next size.
    """

    def __init__(self, channels: Sequence[int] = (64, 128, 256, 512)) -> None:
        super().__init__()
        self.rounds = len(channels) - 1
        for i in range(self.rounds):
            width = channels[-i - 2]
            # what earlier rounds made has the width of the last of them
            inputs = (width, *[channels[-i - 1]] * (i + 1))
            setattr(self, f"ida_{i}", IDAUp(width, inputs, [2] * (i + 1)))

    def forward(self, xs: Sequence[Tensor]) -> list[Tensor]:
        out: list[Tensor] = []
        merged = [xs[-1]]
        for i in range(self.rounds):
            merged = getattr(self, f"ida_{i}")([xs[-i - 2], *merged])
            out.insert(0, merged[-1])
        return out


class DLA34(nn.Module):
    """DLA-34 with deformable aggregation (arXiv:1904.07850) -> (B, 64, h / 4, w / 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.base = DLABase()
        self.dla_up = DLAUp()
        self.ida_up = IDAUp(64, (64, 128, 256), (2, 4))

    def forward(self, x: Tensor) -> Tensor:
        made: list[Tensor] = self.ida_up(self.dla_up(self.base(x)))
        return made[-1]


def _adaptivepose(
    backbone: nn.Module,
    features: tuple[int, int],
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
) -> PoseModel:
    """features: channels of the backbone, convolutions of each feature map of the head."""
    skeleton = as_skeleton(skeleton)
    head = AdaptivePoseHead(features[0], skeleton, features[1])
    codec = codec_named(codec, input_size) if isinstance(codec, str) else codec
    if not isinstance(codec, AdaptivePose):
        raise UsageError(f"AdaptivePose cannot use codec {codec.kind!r}; use codec='adaptivepose'")
    return PoseModel(
        backbone, head, codec, skeleton, loss=loss_for(codec, skeleton), pixels=CENTERNET
    )


def _hrnet(width: int) -> HRNet:
    return HRNet((width, 2 * width, 4 * width, 8 * width))


@register(paper=PAPER, published="COCO val2017 AP .686 (short side 512, flip)")
def adaptivepose_hrnet_w32(
    *,
    input_size: tuple[int, int] = (512, 512),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "adaptivepose",
) -> PoseModel:
    """AdaptivePose on HRNet-W32."""
    return _adaptivepose(_hrnet(32), (32, 1), input_size, skeleton, codec)


@register(paper=PAPER, published="COCO val2017 AP .710 (short side 640, flip)")
def adaptivepose_hrnet_w48(
    *,
    input_size: tuple[int, int] = (640, 640),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "adaptivepose",
) -> PoseModel:
    """AdaptivePose on HRNet-W48."""
    return _adaptivepose(_hrnet(48), (48, 1), input_size, skeleton, codec)


@register(paper=PAPER, published="COCO val2017 AP .670 (short side 512, flip)")
def adaptivepose_dla34(
    *,
    input_size: tuple[int, int] = (512, 512),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "adaptivepose",
) -> PoseModel:
    """AdaptivePose on DLA-34."""
    return _adaptivepose(DLA34(), (64, 2), input_size, skeleton, codec)
