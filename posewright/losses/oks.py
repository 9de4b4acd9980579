"""Loss of YOLO-Pose, and the assignment of people to anchors that it needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from posewright.codecs.yolo_pose import YoloPose
from posewright.errors import ModelError
from posewright.losses.counted import CountedLoss, Terms, count_of
from posewright.losses.schedule import OKSLoss
from posewright.losses.yolox import box_iou, oks
from posewright.people import Floats

__all__ = ["Answers", "YoloPoseLoss", "answers", "complete_iou"]

Tensors = Mapping[str, Tensor]
RATIO = 4.0  # most that a person's side may be of the anchor's, or the anchor's of the person's
# a cell and those beside it, x and y; of the latter the two that are nearest answer, too
BESIDE = ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1))


@dataclass(frozen=True)
class Answers:
    """Which anchors answer for which people.

    view, anchor, person, level: (P,) numbers of the P pairs; an anchor may answer for several.
    """

    view: Tensor
    anchor: Tensor
    person: Tensor
    level: Tensor


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """(..., 4) x1, y1, x2, y2 each -> (...) CIoU, at most 1 (arXiv:1911.08287)."""
    iou = box_iou(a, b)
    low, high = torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])
    gap = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    apart = gap.square().sum(-1) / (high - low).square().sum(-1).clamp(min=1e-9)
    angles = [torch.atan2(*(x[..., 2:] - x[..., :2]).clamp(min=1e-9).unbind(-1)) for x in (a, b)]
    aspect = 4 / math.pi**2 * (angles[0] - angles[1]).square()
    with torch.no_grad():  # the paper's trade-off is a constant for the gradient
        share = aspect / (1 - iou + aspect).clamp(min=1e-9)
    return iou - apart - share * aspect


@torch.no_grad()
def answers(targets: Tensors, codec: YoloPose) -> Answers:
    """Return the anchors that answer for each person of `targets`, which are those of `padded`.

    An anchor fits if neither of its sides is 4 times the person's or a quarter of it.  The fitting
    anchors of three cells answer: of the one that holds the middle of the box, and of the nearest
    one beside it, along x and along y, if it is inside of the view.
    """
    boxes = targets["boxes"]
    middle, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    anchors = boxes.new_tensor(codec.anchors).view(len(codec.strides), -1, 2)
    found, start = [], 0
    for level, stride in enumerate(codec.strides):
        columns, rows = (side // stride for side in codec.input_size)
        ratio = sides[:, :, None] / anchors[level]  # (B, P, A, 2)
        fits = ((ratio < RATIO) & (ratio > 1 / RATIO)).all(3) & (targets["person"] > 0)[..., None]
        cell, chosen = _cells_near(middle / stride, (columns, rows))
        view, person, anchor, which = (fits[..., None] & chosen[:, :, None]).nonzero(as_tuple=True)
        x, y = cell[view, person, which].long().unbind(1)
        number = start + anchor * rows * columns + y * columns + x
        found.append((view, number, person, torch.full_like(view, level)))
        start += codec.anchors_per_cell * rows * columns
    view, number, person, levels = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Answers(view, number, person, levels)


def _cells_near(at: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(B, P, 2) places in cells -> (B, P, 5, 2) cells, (B, P, 5) which of them answer."""
    beside = at.new_tensor(BESIDE)
    cell = at.floor()[:, :, None] + beside
    inside = ((cell >= 0) & (cell < at.new_tensor(grid))).all(3)
    side = ((at - at.floor() - 0.5)[:, :, None] * beside).sum(3)  # > 0: the nearer of two
    return cell, inside & ((side > 0) | (beside == 0).all(1))


class YoloPoseLoss(OKSLoss, CountedLoss):
    """Box, objectness, class, keypoint and visibility losses of YOLO-Pose (arXiv:2204.06806).

    outputs: as `YoloPose`, of views of its input size.  targets: as `padded`.  Anchors that answer
    for a person have 0.05 (1 - CIoU), 0.1 times the mean over labelled joints of 1 - exp(-d^2 / (4
    sigma^2 s)), where s is the area of the person's box, 0.5 BCE of visibility and 0.5 BCE of cls
    with 1; each is a mean over a level's pairs, summed over levels.  BCE of objectness with the
    CIoU, or with 0, is a mean over a level's anchors times its factor in `balance`.

    d^2 / (4 sigma^2 s) is the exponent of COCO's similarity for a person that fills half of the
    box.  ModelError: another number of anchors.
    """

    places: Tensor
    share: Tensor

    def __init__(
        self,
        codec: YoloPose,
        sigmas: Floats,
        *,
        balance: Sequence[float] = (4.0, 1.0, 0.25, 0.06),
    ) -> None:
        super().__init__(sigmas)
        self.codec = codec
        self.register_buffer("places", torch.tensor(codec.locations), persistent=False)
        counts = [
            codec.anchors_per_cell * math.prod(side // s for side in codec.input_size)
            for s in codec.strides
        ]
        pairs = zip(balance, counts, strict=True)
        share = torch.cat([torch.full((count,), factor / count) for factor, count in pairs])
        self.register_buffer("share", share, persistent=False)

    def known(self, targets: Tensors) -> dict[str, Tensor]:
        return self._counts(answers(targets, self.codec), targets)

    def _counts(self, pairs: Answers, targets: Tensors) -> dict[str, Tensor]:
        """Return the number of views, and of pairs (L,) of each level."""
        count = torch.bincount(pairs.level, minlength=len(self.codec.strides))
        return {"objectness": count_of(len(targets["boxes"]), self.share), "pairs": count}

    def terms(self, outputs: Tensors, targets: Tensors) -> Terms:
        objectness = outputs["objectness"][..., 0]  # (B, N)
        if objectness.shape[1] != len(self.places):
            raise ModelError(
                f"outputs have {objectness.shape[1]} anchors, the loss {len(self.places)}; build "
                "the loss for the input size of these views"
            )
        pairs = answers(targets, self.codec)
        wanted = torch.zeros_like(objectness)
        sums = {}
        if len(pairs.view):
            sums["pairs"], iou = self._people(outputs, targets, pairs)
            # where an anchor answers for several people, the best overlap counts
            index = pairs.view * wanted.shape[1] + pairs.anchor
            best = wanted.flatten().scatter_reduce(0, index, iou.detach().clamp(min=0), "amax")
            wanted = best.view_as(wanted)
        entropy = F.binary_cross_entropy_with_logits(objectness, wanted, reduction="none")
        sums["objectness"] = (entropy * self.share).sum()
        return Terms(sums, self._counts(pairs, targets))

    def _people(self, outputs: Tensors, targets: Tensors, pairs: Answers) -> tuple[Tensor, Tensor]:
        """Return (L,) all losses but that of objectness by level, the (P,) CIoU of the pairs."""
        at, who = (pairs.view, pairs.anchor), (pairs.view, pairs.person)
        found = {key: value[at] for key, value in outputs.items()}
        people = {key: value[who] for key, value in targets.items()}
        boxes, points = _in_pixels(found, self.places[pairs.anchor])
        iou = complete_iou(boxes, people["boxes"])
        labelled = people["weight"] / people["weight"].sum(1, keepdim=True).clamp(min=1e-8)
        filled = (people["boxes"][:, 2:] - people["boxes"][:, :2]).prod(1) / 2
        near = oks(points, people["keypoints"], filled, self.sigmas)  # (P, K)
        seen = F.binary_cross_entropy_with_logits(
            found["visibility"], people["weight"], reduction="none"
        ).mean(1)
        each = 0.05 * (1 - iou) + 0.1 * ((1 - near) * labelled).sum(1)
        each = each + 0.5 * seen - 0.5 * F.logsigmoid(found["cls"][:, 0])
        levels = each.new_zeros(len(self.codec.strides))
        return levels.index_add(0, pairs.level, each), iou


def _in_pixels(found: Tensors, places: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of P anchors, (P, 5) places -> boxes (P, 4) and points (P, K, 2) in px."""
    cell, stride, anchor = places[:, :2], places[:, 2:3], places[:, 3:]
    centre = found["box"][:, :2] * stride + cell
    half = found["box"][:, 2:] * anchor / 2
    points = found["keypoints"].unflatten(1, (-1, 2)) * stride[:, None] + cell[:, None]
    return torch.cat([centre - half, centre + half], 1), points
