"""PoseFix: a network that corrects the pose that another one has found (arXiv:1812.03595).

Module names are those of the published state dict.
"""

from __future__ import annotations

from torch import Tensor, nn

from posewright.codecs.posefix import PoseFix
from posewright.errors import UsageError
from posewright.losses import loss_for
from posewright.models.base import PoseModel, as_skeleton
from posewright.models.parts.resnet import ResNet
from posewright.models.registry import register
from posewright.runtimes.info import Input
from posewright.skeletons import Skeleton

__all__ = ["PoseFixHead"]

PAPER = "arXiv:1812.03595"
PIXELS = Input("NCHW", "float32", "RGB", (123.68, 116.78, 103.94), (1.0, 1.0, 1.0))


class PoseFixHead(nn.Module):
    """Three transposed convolutions with ReLU, without norm or bias, and one convolution."""

    def __init__(self, channels: int, joints: int, width: int = 256) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (channels, width, width):
            up = nn.ConvTranspose2d(inputs, width, 4, 2, 1, bias=False)
            layers += [up, nn.ReLU(inplace=True)]
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(width, joints, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> heatmap (B, K, 8 h, 8 w), before the softmax."""
        return {"heatmap": self.final_layer(self.deconv_layers(x))}


def _posefix(depth: int, input_size: tuple[int, int], skeleton: Skeleton | str) -> PoseModel:
    if any(side % 32 for side in input_size):
        raise UsageError(f"input size {input_size}: sides must be multiples of 32")
    skeleton = as_skeleton(skeleton)
    joints = len(skeleton)
    backbone = ResNet(depth)
    # image and one rendered map per joint
    backbone.conv1 = nn.Conv2d(3 + joints, 64, 7, 2, 3, bias=False)
    head, codec = PoseFixHead(2048, joints), PoseFix(input_size)
    loss = loss_for(codec, skeleton)
    return PoseModel(backbone, head, codec, skeleton, loss=loss, pixels=PIXELS)


@register(paper=PAPER, published="COCO val2017 AP of HRNet-W48 .763 -> .773 (with ResNet-152)")
def posefix_r50(
    *, input_size: tuple[int, int] = (288, 384), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """PoseFix with ResNet-50: refines a given pose."""
    return _posefix(50, input_size, skeleton)


@register(paper=PAPER, published="COCO val2017 AP of HRNet-W48 .763 -> .773")
def posefix_r152(
    *, input_size: tuple[int, int] = (288, 384), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """PoseFix with ResNet-152: refines a given pose."""
    return _posefix(152, input_size, skeleton)
