"""DEKR: every joint's offset from the centre has a branch of its own (arXiv:2104.02300).

The original keeps one module for each joint; here the joints are the groups of one convolution, so
that all of them run at once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posewright.codecs import Codec, codec_named
from posewright.codecs.dekr import DEKR
from posewright.codecs.limbs import limb_features, limbs_of
from posewright.errors import UsageError
from posewright.losses import loss_for
from posewright.models.base import PoseModel, as_skeleton
from posewright.models.hrnet import HRNet
from posewright.models.parts.deform import DeformConv2d
from posewright.models.parts.layers import BasicBlock
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["DEKRHead", "RescoreNet"]

PAPER = "arXiv:2104.02300"
PER_JOINT = 15  # channels of each joint's branch


class AdaptBlock(nn.Module):
    """Adaptive convolution: each joint's taps are moved by an affine function of the 3x3 grid.

    regular_matrix: (joints, 3, 9) rows y, x and 1 of the grid, as loaded networks carry it.
    """

    regular_matrix: Tensor

    def __init__(self, joints: int, width: int = PER_JOINT) -> None:
        super().__init__()
        channels, self.joints = joints * width, joints
        tap = torch.arange(9)
        y, x = tap.div(3, rounding_mode="floor") - 1, tap % 3 - 1
        grid = torch.stack([y, x, torch.ones_like(tap)]).float()
        self.register_buffer("regular_matrix", grid.repeat(joints, 1, 1))
        self.transform_matrix_conv = nn.Conv2d(channels, joints * 6, 3, 1, 1, groups=joints)
        self.adapt_conv = DeformConv2d(
            channels, channels, 3, padding=1, groups=joints, deform_groups=joints
        )
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        for parameter in self.transform_matrix_conv.parameters():
            nn.init.zeros_(parameter)  # begins as a plain convolution

    def forward(self, x: Tensor) -> Tensor:
        """(B, joints * width, h, w) -> the same shape."""
        b, _, h, w = x.shape
        # 2 x 3 affine of each joint and cell
        affine = self.transform_matrix_conv(x).view(b, self.joints, 2, 3, h * w)
        moved = torch.einsum("bkijn,kjt->bktin", affine, self.regular_matrix)
        y = self.bn(self.adapt_conv(x, moved.reshape(b, -1, h, w)))  # (B, joints * 9 * 2, h, w)
        y += x
        return self.relu(y)


class RescoreNet(nn.Module):
    """Pose -> the OKS that it is expected to have, from its limbs and scores.

    Its weights multiply a person's score in `runtimes.expected_oks`.
    """

    def __init__(self, skeleton: Skeleton, width: int = 256) -> None:
        super().__init__()
        self.skeleton = skeleton
        self.l1 = nn.Linear(3 * len(limbs_of(skeleton)[0]) + len(skeleton), width)
        self.l2 = nn.Linear(width, width)
        self.l3 = nn.Linear(width, 1)

    def forward(self, keypoints: Tensor, scores: Tensor) -> Tensor:
        """(N, K, 2) px, (N, K) joint scores times their person's -> (N,)."""
        x = F.relu(self.l1(limb_features(keypoints, scores, self.skeleton)))
        found: Tensor = self.l3(F.relu(self.l2(x)))[:, 0]
        return found


class DEKRHead(nn.Module):
    """All branches of HRNet -> heatmap (B, K + 1, h, w), offset (B, 2 K, h, w).

    width: channels of the maps' branch.
    """

    def __init__(
        self, channels: int, width: int, skeleton: Skeleton, *, rescore: bool = False
    ) -> None:
        super().__init__()
        joints = len(skeleton)
        self.transition_heatmap = _transition(channels, width)
        self.transition_offset = _transition(channels, joints * PER_JOINT)
        self.head_heatmap = nn.Sequential(BasicBlock(width, width), nn.Conv2d(width, joints + 1, 1))
        self.offset_feature_layers = nn.Sequential(AdaptBlock(joints), AdaptBlock(joints))
        self.offset_final_layer = nn.Conv2d(joints * PER_JOINT, joints * 2, 1, groups=joints)
        self.rescore_net = RescoreNet(skeleton) if rescore else None

    def forward(self, branches: list[Tensor]) -> dict[str, Tensor]:
        size = branches[0].shape[2:]
        wide = [F.interpolate(b, size, mode="bilinear", align_corners=False) for b in branches[1:]]
        x = torch.cat([branches[0], *wide], 1)
        heatmap = self.head_heatmap(self.transition_heatmap(x))
        offset = self.offset_final_layer(self.offset_feature_layers(self.transition_offset(x)))
        return {"heatmap": heatmap, "offset": offset}


def _transition(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _dekr(
    width: int,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    rescore: bool,
) -> PoseModel:
    skeleton = as_skeleton(skeleton)
    backbone = HRNet((width, 2 * width, 4 * width, 8 * width), multi_scale=True)
    head = DEKRHead(15 * width, width if width == 32 else 48, skeleton, rescore=rescore)
    codec = codec_named(codec, input_size) if isinstance(codec, str) else codec
    if not isinstance(codec, DEKR):
        raise UsageError(f"DEKR cannot use codec {codec.kind!r}; use codec='dekr'")
    return PoseModel(backbone, head, codec, skeleton, loss=loss_for(codec, skeleton))


@register(paper=PAPER, published="COCO val2017 AP .680 (short side 512, flip); CrowdPose .657")
def dekr_w32(
    *,
    input_size: tuple[int, int] = (512, 512),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "dekr",
    rescore: bool = False,
) -> PoseModel:
    """DEKR on HRNet-W32; rescore: with the network that predicts a pose's OKS, as in mmpose."""
    return _dekr(32, input_size, skeleton, codec, rescore)


@register(paper=PAPER, published="COCO val2017 AP .710 (short side 640, flip); CrowdPose .673")
def dekr_w48(
    *,
    input_size: tuple[int, int] = (640, 640),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "dekr",
    rescore: bool = False,
) -> PoseModel:
    """DEKR on HRNet-W48; rescore: with the network that predicts a pose's OKS, as in mmpose."""
    return _dekr(48, input_size, skeleton, codec, rescore)
