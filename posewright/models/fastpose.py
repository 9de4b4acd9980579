"""FastPose of AlphaPose: SE-ResNet and dense upsampling by pixel shuffle (arXiv:2211.03375).

Module names are those of the authors' state dicts, but for the last convolution, which is the
head's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from posewright.codecs import Codec, Heatmap
from posewright.errors import UsageError
from posewright.models.base import IMAGENET, PoseModel
from posewright.models.hrnet import HRNet
from posewright.models.parts.deform import DeformConv2d
from posewright.models.parts.heads import HeatmapHead, top_down
from posewright.models.parts.resnet import ResNet
from posewright.models.registry import register
from posewright.models.seresnet import SqueezeExcite
from posewright.runtimes.info import Input
from posewright.skeletons import Skeleton

__all__ = ["ALPHAPOSE_PIXELS", "DUC", "FastPose", "FastPoseDUC", "gate", "pose_model"]

PAPER = "arXiv:2211.03375"
RMPE = "arXiv:1612.00137"
MOST_MAPS = 1000

# the authors subtract the means of B, G, R from R, G, B and divide by no deviation
ALPHAPOSE_PIXELS = Input("NCHW", "float32", "RGB", (103.53, 116.535, 122.4), (255.0, 255.0, 255.0))
# ImageNet's numbers of R, G, B, applied to B, G, R
_MINDSPORE_PIXELS = replace(IMAGENET, color="BGR")


class DUC(nn.Module):
    """3x3 convolution whose channels become a map of twice the size (arXiv:1702.08502)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.pixel_shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, width / 4, 2 h, 2 w)."""
        y: Tensor = self.pixel_shuffle(self.relu(self.bn(self.conv(x))))
        return y


class FastPose(nn.Module):
    """ResNet, one pixel shuffle and two DUCs -> (B, width, h / 4, w / 4).

    The first DUC leaves half of the channels that the pixel shuffle did: 256 of 512.
    """

    def __init__(self, preact: ResNet, width: int = 128) -> None:
        super().__init__()
        self.preact = preact
        self.suffle1 = nn.PixelShuffle(2)
        shuffled = preact.channels[-1] // 4
        self.duc1 = DUC(shuffled, 2 * shuffled)
        self.duc2 = DUC(shuffled // 2, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, width, h / 4, w / 4)."""
        x = self.suffle1(self.preact(x))  # (B, 512, h / 16, w / 16)
        y: Tensor = self.duc2(self.duc1(x))
        return y


class FastPoseDUC(nn.Module):
    """ResNet and three stages of a pixel shuffle and 4, 2, 1 convolutions -> (B, 256, h/4, w/4)."""

    def __init__(self, preact: ResNet) -> None:
        super().__init__()
        self.preact = preact
        self.duc1 = _stage(512, 1024, 4)
        self.duc2 = _stage(256, 512, 2)
        self.duc3 = _stage(128, 256, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, 256, h / 4, w / 4)."""
        y: Tensor = self.duc3(self.duc2(self.duc1(self.preact(x))))
        return y


def _stage(inputs: int, outputs: int, count: int) -> nn.Sequential:
    """Return a pixel shuffle, which leaves `inputs` channels, and `count` 3x3 convolutions."""
    layers: list[nn.Module] = [nn.PixelShuffle(2)]
    for width in (*[inputs] * (count - 1), outputs):
        layers += [
            nn.Conv2d(inputs, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def gate(channels: int) -> SqueezeExcite:
    """Return the attention of AlphaPose's SE-ResNet, whose hidden layer is as wide as the map."""
    return SqueezeExcite(channels, channels)


def unshuffled(backbone: ResNet) -> ResNet:
    """Let the 3x3 convolutions that had a stride see all pixels instead, as channels."""
    for layer in (backbone.layer2, backbone.layer3, backbone.layer4):
        old = layer[0].conv2
        conv = nn.Conv2d(4 * old.in_channels, old.out_channels, 3, padding=1, bias=False)
        layer[0].conv2 = nn.Sequential(nn.PixelUnshuffle(2), conv)
    return backbone


class DeformableConv(nn.Module):
    """3x3 convolution whose offsets a second one predicts (arXiv:1703.06211); they start at 0."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.offset = nn.Conv2d(inputs, 18, 3, stride, 1)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)
        self.conv = DeformConv2d(inputs, outputs, 3, stride, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, outputs, h / stride, w / stride)."""
        y: Tensor = self.conv(x, self.offset(x))
        return y


def deformable(backbone: ResNet) -> ResNet:
    """Let all 3x3 convolutions of the last three layers deform."""
    for layer in (backbone.layer2, backbone.layer3, backbone.layer4):
        for block in layer:
            old = block.conv2
            block.conv2 = DeformableConv(old.in_channels, old.out_channels, old.stride[0])
    return backbone


def pose_model(
    backbone: FastPose | FastPoseDUC,
    width: int,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str],
    pixels: Input = ALPHAPOSE_PIXELS,
) -> PoseModel:
    """Put the 3x3 head on a backbone that returns `width` channels; UsageError: odd sizes."""
    sides = input_size if isinstance(codec, str) else codec.input_size
    if any(side % 32 for side in sides):  # layers of the ResNet would round maps up
        raise UsageError(f"input size {sides}: sides must be multiples of 32")
    return top_down(
        backbone,
        (width, 4),
        kernel=3,
        pixels=pixels,
        input_size=input_size,
        skeleton=skeleton,
        codec=codec,
        neck=neck,
    )


@register(paper=PAPER, published="COCO val2017 AP .720 (YOLOv3 boxes, flip)")
def fastpose_r50(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """FastPose with SE-ResNet-50."""
    backbone = FastPose(ResNet(50, attention=gate))
    return pose_model(backbone, 128, input_size, skeleton, codec, neck)


@register(paper=PAPER)
def fastpose_r101(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """FastPose with SE-ResNet-101."""
    backbone = FastPose(ResNet(101, attention=gate))
    return pose_model(backbone, 128, input_size, skeleton, codec, neck)


@register(paper=PAPER)
def fastpose_r152(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """FastPose with SE-ResNet-152."""
    backbone = FastPose(ResNet(152, attention=gate))
    return pose_model(backbone, 128, input_size, skeleton, codec, neck)


@register(paper=PAPER, published="COCO val2017 AP .728 (YOLOv3 boxes, flip)")
def fastpose_r50_dcn(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """FastPose with SE-ResNet-50 and deformable convolutions."""
    backbone = FastPose(deformable(ResNet(50, attention=gate)))
    return pose_model(backbone, 128, input_size, skeleton, codec, neck)


@register(paper=PAPER, published="COCO val2017 AP .724 (YOLOv3 boxes, flip)")
def fastpose_duc_r50(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """FastPose-DUC with SE-ResNet-50 that unshuffles pixels instead of striding."""
    backbone = FastPoseDUC(unshuffled(ResNet(50, attention=gate)))
    return pose_model(backbone, 256, input_size, skeleton, codec, neck)


@register(paper=PAPER, published="COCO val2017 AP .733 (YOLOv3 boxes, flip)")
def fastpose_duc_r152(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """FastPose-DUC with SE-ResNet-152."""
    backbone = FastPoseDUC(ResNet(152, attention=gate))
    return pose_model(backbone, 256, input_size, skeleton, codec, neck)


@register(paper=PAPER, published="Halpe-136 AP .441 (whole body)")
def fastpose_r50_regression(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "halpe136",
    codec: Codec | str = "alphapose_integral",
    neck: Sequence[str] = (),
) -> PoseModel:
    """FastPose with SE-ResNet-50 and a head of 256 channels, read as integrals: whole body."""
    backbone = FastPose(ResNet(50, attention=gate), 256)
    return pose_model(backbone, 256, input_size, skeleton, codec, neck)


class SpareHead(HeatmapHead):
    """As `HeatmapHead`, but only the maps of the first `joints` leave it."""

    def __init__(self, channels: int, outputs: int, joints: int) -> None:
        super().__init__(channels, outputs, kernel=3)
        self.joints = joints

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> heatmap (B, joints, h, w)."""
        return {"heatmap": super().forward(x)["heatmap"][:, : self.joints]}


@register(paper=RMPE, published="COCO AP .71")
def alphapose_old_r101(
    *,
    outputs: int = 33,
    input_size: tuple[int, int] = (256, 320),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
) -> PoseModel:
    """FastPose with SE-ResNet-101 of AlphaPose 0.2: 33 maps, of which the first 17 are used.

    outputs: maps that the weights have, of COCO's joints and after them MPII's; only the first
    leave the network, as many as the skeleton has.  UsageError: fewer outputs than joints, or more
    than MOST_MAPS, since a small file may state any number.
    """
    backbone = FastPose(ResNet(101, attention=gate))
    model = pose_model(backbone, 128, input_size, skeleton, codec, ())
    joints = len(model.skeleton)
    if not isinstance(model.codec, Heatmap):
        raise UsageError(f"this network cannot use codec {model.codec.kind!r}; use a heatmap codec")
    if not joints <= outputs <= MOST_MAPS:
        raise UsageError(f"outputs={outputs}; {joints} joints take {joints} to {MOST_MAPS} maps")
    model.head = SpareHead(128, outputs, joints)
    return model


@register(paper=PAPER, published="AP .498 (whole body; trained on Halpe-136 and COCO-WholeBody)")
def fastpose_r50_dcn_combined(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "halpe136",
    codec: Codec | str = "alphapose_combined",
    neck: Sequence[str] = (),
) -> PoseModel:
    """FastPose with deformable SE-ResNet-50: body as heatmaps, face and hands as integrals."""
    backbone = FastPose(deformable(ResNet(50, attention=gate)), 256)
    return pose_model(backbone, 256, input_size, skeleton, codec, neck)


@register(paper=PAPER, published="COCO val2017 AP .723 (ground truth boxes, flip)")
def fastpose_r50_mindspore(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """FastPose with ResNet-50 and no attention, as MindSpore's port has it."""
    backbone = FastPose(ResNet(50))
    return pose_model(backbone, 128, input_size, skeleton, codec, neck, _MINDSPORE_PIXELS)


@register(paper=PAPER, published="COCO val2017 AP .725 (YOLOv3 boxes, flip)")
def alphapose_hrnet_w32(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """HRNet-W32 as AlphaPose trains it, with its normalisation of pixels."""
    return top_down(
        HRNet(),
        (32, 4),
        pixels=ALPHAPOSE_PIXELS,
        input_size=input_size,
        skeleton=skeleton,
        codec=codec,
        neck=neck,
    )


@register(paper=PAPER, published="COCO val2017 AP .706 (YOLOv3 boxes, flip)")
def alphapose_simple_r50(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """Simple Baselines with ResNet-50 as AlphaPose trains it, with its normalisation of pixels."""
    return top_down(
        ResNet(50),
        (2048, 32),
        deconv=(256, 256, 256),
        pixels=ALPHAPOSE_PIXELS,
        input_size=input_size,
        skeleton=skeleton,
        codec=codec,
        neck=neck,
    )
