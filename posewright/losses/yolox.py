"""Losses of one-pass networks on a grid, and the assignment of people to cells that they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from posewright.codecs.yolox import RTMO, YoloxPose
from posewright.errors import ModelError
from posewright.losses.counted import CountedLoss, Terms, count_of
from posewright.losses.schedule import OKSLoss
from posewright.people import Floats

__all__ = [
    "Matches",
    "RTMOLoss",
    "RTMOStage",
    "YoloxPoseLoss",
    "assign",
    "box_iou",
    "in_pixels",
    "oks",
    "varifocal",
]

Tensors = Mapping[str, Tensor]
# (P, C) features, (P, 4) boxes, (P, 2) cells -> (P, K, 2) points in px, positions (P, bins) and
# probabilities (P, K, bins) of the bins of x and of y, deviations (P, K)
Classifier = Callable[[Tensor, Tensor, Tensor], "Classified"]
Classified = tuple[Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]
BEST = 10  # cells whose similarities say how many a person gets
REACH = 2.5  # strides from a person's centre
FAR = 1e5  # cost of cells that are not both in the box and near to the centre


@dataclass(frozen=True)
class Matches:
    """Which cells answer for which people.

    view, cell, person: (P,) numbers of the P pairs, by view and cell.  similarity: (P,) OKS.
    """

    view: Tensor
    cell: Tensor
    person: Tensor
    similarity: Tensor


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """(..., 4) x1, y1, x2, y2 each -> (...) intersection over union."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    inter = (high - low).clamp(min=0).prod(-1)
    areas = [(x[..., 2:] - x[..., :2]).prod(-1) for x in (a, b)]
    return inter / (areas[0] + areas[1] - inter).clamp(min=1e-6)


def oks(a: Tensor, b: Tensor, area: Tensor, sigmas: Tensor) -> Tensor:
    """(..., K, 2) px each, (...) px^2, (K,) -> (..., K) similarity of joints (COCO)."""
    squares = (a - b).square().sum(-1)
    return torch.exp(-squares / (8 * sigmas.square() * area[..., None].clamp(min=1e-8)))


def varifocal(logits: Tensor, targets: Tensor) -> Tensor:
    """BCE with soft targets, weighted by these or, where 0, by 0.75 p^2 (arXiv:2008.13367)."""
    weight = torch.where(targets > 0, targets, 0.75 * logits.sigmoid().square())
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * weight


@torch.no_grad()
def assign(
    scores: Tensor,
    boxes: Tensor,
    points: Tensor,
    cells: Tensor,
    targets: Tensors,
    sigmas: Tensor,
    *,
    joint_centres: bool = False,
) -> Matches:
    """Match cells to people by SimOTA (arXiv:2107.08430) with OKS, as mmpose does.

    scores: (B, N) log of a person's score.  boxes: (B, N, 4), points: (B, N, K, 2) in px.
    cells: (N, 3) x, y, stride.  targets: of P people a view, as `padded`.  joint_centres: a
    person's centre is the mean of the labelled joints instead of the box's middle.

    The cost of a pair is -3 log IoU - 3 log OKS - log score, plus 1e5 unless the cell lies in the
    person's box and within 2.5 strides of the centre; cells that are in no box and near no centre
    take no part.  A person gets as many of the cheapest cells as the ten greatest similarities sum
    to, at least one; a cell that several people claim goes to the one that it costs least.
    """
    people = {k: v[:, None] for k, v in targets.items()}  # (B, 1, P, ...)
    allowed, near = _candidates(cells, targets, joint_centres)
    labelled = people["weight"] / people["weight"].sum(-1, keepdim=True).clamp(min=1e-8)
    alike = oks(points[:, :, None], people["keypoints"], people["area"], sigmas)
    alike = (alike * labelled).sum(-1)  # (B, N, P)
    overlap = box_iou(boxes[:, :, None], people["boxes"])
    cost = -3 * (overlap + 1e-7).log() - 3 * (alike + 1e-7).log()
    cost = cost - scores.clamp(min=-100)[..., None] + FAR * ~near
    cost = torch.where(allowed, cost.nan_to_num(nan=FAR * 10, posinf=FAR * 10), torch.inf)
    chosen = _cheapest(cost, alike * allowed)
    view, cell = chosen.any(2).nonzero(as_tuple=True)
    person = cost[view, cell].argmin(1)
    single = chosen[view, cell].sum(1) == 1
    person = torch.where(single, chosen[view, cell].int().argmax(1), person)
    return Matches(view, cell, person, alike[view, cell, person])


def _candidates(cells: Tensor, targets: Tensors, joint_centres: bool) -> tuple[Tensor, Tensor]:
    """Return (B, N, P) which cells may take part, and which are in the box and near the centre."""
    at, reach = cells[:, None, :2], REACH * cells[:, None, 2:]  # (N, 1, 2), (N, 1, 1)
    boxes, real = targets["boxes"][:, None], targets["person"][:, None] > 0
    inside = ((at > boxes[..., :2]) & (at < boxes[..., 2:])).all(-1) & real
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2  # (B, 1, P, 2)
    if joint_centres:
        weight = targets["weight"][:, None, ..., None]
        count = weight.sum(3)  # (B, 1, P, 1)
        mean = (targets["keypoints"][:, None] * weight).sum(3) / count.clamp(min=1e-8)
        centre = torch.where(count > 0, mean, centre)
    close = ((at - centre).abs() < reach).all(-1) & real
    return (inside | close).any(2, keepdim=True) & real, inside & close


def _cheapest(cost: Tensor, alike: Tensor) -> Tensor:
    """(B, N, P) costs and similarities -> (B, N, P) the cells that each person claims."""
    most = min(BEST, cost.shape[1])
    count = alike.topk(most, 1).values.sum(1).int().clamp(min=1)  # (B, P)
    least, cell = cost.topk(most, 1, largest=False)  # (B, most, P)
    rank = torch.arange(most, device=cost.device)[:, None]
    claimed = (rank < count[:, None]) & least.isfinite()
    return torch.zeros_like(cost, dtype=torch.bool).scatter(1, cell, claimed)


def _people_at(matches: Matches, targets: Tensors) -> dict[str, Tensor]:
    """Return the (P, ...) targets of each pair."""
    return {key: value[matches.view, matches.person] for key, value in targets.items()}


def _visibility(logits: Tensor, weight: Tensor) -> Tensor:
    """(P, K) twice -> the sum over pairs of the mean over joints."""
    return F.binary_cross_entropy_with_logits(logits, weight, reduction="none").mean(1).sum()


class YoloxPoseLoss(OKSLoss, CountedLoss):
    """Score, objectness, box, keypoint and visibility losses of mmpose's YOLOX-Pose.

    outputs: as `YoloxPose`, of views of its input size.  targets: as `padded`.  With S cells
    matched: BCE of cls with sqrt(OKS) and 5 (1 - IoU^2) on matched cells, BCE of objectness on all,
    each summed and divided by S; 30 (1 - OKS) and BCE of visibility as means over matched cells.
    ModelError: another number of cells.
    """

    locations: Tensor

    def __init__(self, codec: YoloxPose, sigmas: Floats) -> None:
        super().__init__(sigmas)
        self.register_buffer("locations", torch.tensor(codec.locations), persistent=False)

    def terms(self, outputs: Tensors, targets: Tensors) -> Terms:
        cells = _checked(self.locations, outputs["cls"])
        boxes, points = in_pixels(outputs, cells)
        cls, objectness = outputs["cls"][..., 0], outputs["objectness"][..., 0]  # (B, N)
        scores = (F.logsigmoid(cls) + F.logsigmoid(objectness)) / 2  # of the geometric mean
        matches = assign(scores, boxes, points, cells, targets, self.sigmas)
        at, people = (matches.view, matches.cell), _people_at(matches, targets)
        found = torch.zeros_like(objectness)
        found[at] = 1
        loss = _bce_sum(objectness, found) + _bce_sum(cls[at], matches.similarity.sqrt())
        loss = loss + _box_loss(boxes[at], people)
        count = {"cells": count_of(len(matches.view), loss)}
        if not len(matches.view):
            return Terms({"cells": loss}, count)
        alike = oks(points[at], people["keypoints"], people["area"], self.sigmas)
        labelled = people["weight"] / people["weight"].sum(1, keepdim=True).clamp(min=1e-8)
        loss = loss + 30 * (1 - (alike * labelled).sum(1)).sum()
        loss = loss + _visibility(outputs["visibility"][at], people["weight"])
        return Terms({"cells": loss}, count)


def in_pixels(outputs: Tensors, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Return boxes (B, N, 4) and points (B, N, K, 2) in px; cells: (N, 3), place and stride."""
    place, stride = cells[:, :2], cells[:, 2:]
    centre = outputs["box"][..., :2] * stride + place
    half = outputs["box"][..., 2:].exp() * stride / 2
    points = outputs["keypoints"].unflatten(2, (-1, 2)) * stride[:, None] + place[:, None]
    return torch.cat([centre - half, centre + half], 2), points


@dataclass(frozen=True)
class RTMOStage:
    """Factors of RTMO's likelihood, the proxy's OKS and the score loss.

    power: exponent of OKS in the score's targets.
    """

    mle: float = 1.0
    oks: float = 30.0
    cls: float = 1.0
    power: float = 0.5


class RTMOLoss(OKSLoss, CountedLoss):
    """Score, box, visibility and keypoint losses of RTMO (arXiv:2312.07526).

    outputs: of a network in train() mode, of views of the codec's input size: scores (B, N) and
    visibility (B, N, K), logits; boxes (B, N, 4) and proxy (B, N, K, 2) in px; pose (B, N, C).
    targets: as `padded`.  classifier: what turns pose features of matched cells to coordinates, a
    part of the network's head.  joint_centres: as of `assign`.

    All terms are divided by the number of matched cells.

    first, second: factors in the two stages of the published schedule, whose second begins at epoch
    280 of 600.  `teach` says that it has begun: the classifier's points are the proxy's targets
    wherever they are the better ones, and their OKS is the score's target.

    ModelError: outputs of eval() mode, or another number of cells.
    """

    locations: Tensor

    def __init__(
        self,
        codec: RTMO,
        sigmas: Floats,
        classifier: Classifier,
        *,
        first: RTMOStage = RTMOStage(),
        second: RTMOStage = RTMOStage(mle=5.0, oks=10.0),
        joint_centres: bool = True,
    ) -> None:
        super().__init__(sigmas)
        self.register_buffer("locations", torch.tensor(codec.locations), persistent=False)
        # in a tuple, so that the head's weights are not listed again under the loss's name
        self.classifier = (classifier,)
        self.stages = (first, second)
        self.joint_centres = joint_centres
        self.teach_from = 0
        self.teach = False

    def at(self, epoch: float, epochs: int) -> None:
        """Begin the second stage at the epoch `teach_from`, if that is not 0."""
        super().at(epoch, epochs)
        self.teach = 0 < self.teach_from <= epoch

    def terms(self, outputs: Tensors, targets: Tensors) -> Terms:
        if "pose" not in outputs:
            raise ModelError("RTMO's loss needs outputs of train() mode, these are of eval() mode")
        cells, scores = _checked(self.locations, outputs["scores"]), outputs["scores"]
        stage = self.stages[self.teach]
        matches = assign(  # the mean of the score and of an objectness of 1, as in mmpose
            F.logsigmoid(scores) / 2,
            outputs["boxes"],
            outputs["proxy"],
            cells,
            targets,
            self.sigmas,
            joint_centres=self.joint_centres,
        )
        at, people = (matches.view, matches.cell), _people_at(matches, targets)
        wanted, count = torch.zeros_like(scores), {"cells": count_of(len(matches.view), scores)}
        if not len(matches.view):
            return Terms({"cells": stage.cls * varifocal(scores, wanted).sum()}, count)
        found = {key: value[at] for key, value in outputs.items()}  # (P, ...)
        loss = _box_loss(found["boxes"], people)
        loss = loss + _visibility(found["visibility"], people["weight"])
        points, likelihood = self._classified(found, people, cells[matches.cell])
        loss = loss + stage.mle * likelihood
        alike, better = matches.similarity, torch.ones_like(people["weight"])
        goal = people["keypoints"]
        if self.teach:
            alike, better = self._compared(points, found["proxy"], people)
            goal = points
        wanted[at] = alike.to(wanted.dtype) ** stage.power
        near = oks(found["proxy"], goal, people["area"], self.sigmas)
        loss = loss + stage.oks * (1 - (near * people["weight"] * better).mean(1)).sum()
        loss = loss + stage.cls * varifocal(scores, wanted).sum()
        return Terms({"cells": loss}, count)

    def _classified(self, found: Tensors, people: Tensors, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return the classifier's points (P, K, 2), detached, and the sum of likelihood losses.

        The loss is a mean over joints of -log of the product over both axes of sum(probability *
        target), the target of a bin exp(-|joint - bin| / (2 sigma root(area))) / sigma, whose sigma
        the network learns.
        """
        points, at, chance, sigma = self.classifier[0](found["pose"], found["boxes"], cells[:, :2])
        sigma = sigma.clamp(min=1e-3)[..., None]  # (P, K, 1)
        size = people["area"].sqrt().clamp(min=1)[:, None, None]
        product: Tensor | float = 1.0
        for axis in range(2):
            distance = (people["keypoints"][..., axis, None] - at[axis][:, None]).abs()
            target = torch.exp(-distance / size / sigma / 2) / sigma  # (P, K, bins)
            product = (chance[axis] * target).sum(-1) * product
        assert isinstance(product, Tensor)
        each = -torch.log(product + 1e-4) * people["weight"]  # (P, K)
        return points.detach(), each.mean(1).sum()

    def _compared(self, points: Tensor, proxy: Tensor, people: Tensors) -> tuple[Tensor, Tensor]:
        """Return (P,) OKS of the classifier's points, (P, K) where they are the better ones."""
        alike = oks(points, people["keypoints"], people["area"], self.sigmas)
        labelled = people["weight"] / people["weight"].sum(1, keepdim=True).clamp(min=1e-8)
        far = [(p.detach() - people["keypoints"]).norm(dim=-1) for p in (points, proxy)]
        return (alike * labelled).sum(1), (far[1] > far[0]).to(points.dtype)


def _checked(cells: Tensor, scores: Tensor) -> Tensor:
    """Return `cells`; a ModelError where there are not as many as `scores` has."""
    if scores.shape[1] != len(cells):
        raise ModelError(
            f"outputs have {scores.shape[1]} cells, the loss {len(cells)}; build the loss for the "
            "input size of these views"
        )
    return cells


def _bce_sum(logits: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="sum")


def _box_loss(boxes: Tensor, people: Tensors) -> Tensor:
    """(P, 4) -> 5 times the sum of 1 - IoU^2."""
    return 5 * (1 - box_iou(boxes, people["boxes"]).square()).sum()
