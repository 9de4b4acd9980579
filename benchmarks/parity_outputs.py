"""What our networks return in the order of the originals' outputs, for `parity.py`.

Heads join levels and axes, or apply a sigmoid, where the originals list their raw tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from posewright.codecs.yolox import cells
from posewright.losses.rle import residual_loss

__all__ = ["OUTPUTS"]


def _mmpose(model: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """Return what heads have before they join levels or axes, or apply a sigmoid."""
    head, found = model.head, None
    if any(hasattr(head, name) for name in ("maps", "raw", "weights")):
        found = model.neck(model.backbone(*inputs))
    if hasattr(head, "maps"):  # YOLOX-Pose, RTMO: maps of each level
        return [x for maps in head.maps(found).values() for x in maps]
    if hasattr(head, "raw"):  # RLE: coordinates and sigma side by side
        return [head.raw(found)]
    if hasattr(head, "weights"):  # integral pose regression
        return [head(found)["coordinates"], head.weights(found)]
    return list(model.compute(*inputs).values())


def _rle(model: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """Return coordinates, sigma and scores, or losses instead of scores where targets are given."""
    found = model.compute(inputs[0])
    outputs = [found["coordinates"], found["sigma"]]
    if len(inputs) == 1:
        return [*outputs, 1 - found["sigma"].mean(2, keepdim=True)]
    target = inputs[1].view_as(found["sigma"])
    flow_loss = residual_loss(model.loss.flow, found, target)
    joints = {"coordinates": target, "weight": torch.ones(target.shape[:2])}
    return [*outputs, flow_loss, model.loss(found, joints), inputs[1]]


def _movenet(model: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """Return the joints (1, 1, K, 3) y, x, score and the maps before their sigmoid."""
    x = (inputs[0].permute(0, 3, 1, 2) - 127.5) / 127.5  # from (1, h, w, 3)
    maps = model.head.logits(model.backbone(x))
    (people,) = model.codec.decode(model.compute(x))
    xy = people.keypoints[0] / np.array([x.shape[3], x.shape[2]], np.float32)
    joints = torch.from_numpy(np.column_stack([xy[:, ::-1], people.scores[0]]))
    return [joints[None, None], *(maps[k] for k in ("centre", "regression", "heatmap", "offset"))]


def _movenet_fire717(model: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """Return the maps, x before y."""
    maps = model.compute((inputs[0] - 127.5) / 127.5)
    turned = [maps[k].unflatten(1, (-1, 2)).flip(2).flatten(1, 2) for k in ("regression", "offset")]
    return [maps["heatmap"], maps["centre"], *turned]


def _yolo_pose(model: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """Return all numbers in px, and those of each level with boxes and scores as logits."""
    out, codec = model.compute(*inputs), model.codec
    w, h = inputs[0].shape[3], inputs[0].shape[2]
    places = torch.from_numpy(replace(codec, input_size=(w, h)).locations.copy())
    xy, stride, anchor = places[:, :2], places[:, 2:3], places[:, 3:]
    points = out["keypoints"].unflatten(2, (-1, 2)) * stride[:, None] + xy[:, None]
    joints = torch.cat([points, out["visibility"].sigmoid()[..., None]], 3).flatten(2)
    sides = out["box"][..., :2] * stride + xy, out["box"][..., 2:] * anchor
    scores = torch.cat([out["objectness"], out["cls"]], 2)
    decoded = torch.cat([*sides, scores.sigmoid(), joints], 2)
    box = torch.cat([out["box"][..., :2] + 0.5, out["box"][..., 2:].sqrt()], 2) / 2
    raw = torch.cat([box.logit(), scores, joints], 2)
    grids = [(h // s, w // s) for s in codec.strides]
    levels = raw.split([codec.anchors_per_cell * rows * columns for rows, columns in grids], 1)
    return [decoded, *(x.unflatten(1, (-1, *g)) for x, g in zip(levels, grids, strict=True))]


def _effdet(model: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """Return maps of classes and of boxes, anchors as y, x, y, x and boxes as x, y, x, y in px."""
    maps = model.neck(model.backbone(*inputs))
    places, rows = torch.from_numpy(model.codec.locations.copy()), model.compute(*inputs)["rows"][0]
    middle = places[:, :2] + places[:, 2:3] / 2
    centre = rows[:, :2] * places[:, 2:3] + places[:, :2]
    at, half = (
        torch.cat([middle, centre], 1),
        torch.cat([places[:, 3:], rows[:, 2:4] * places[:, 3:]], 1) / 2,
    )
    sides = torch.stack([at - half, at + half], 1).unflatten(2, (2, 2))  # (N, 2 ends, 2, x y)
    counts = [9 * m.shape[2] * m.shape[3] for m in maps]
    levels = [x.unflatten(0, (9, -1)).transpose(0, 1).flatten(0, 1) for x in sides.split(counts)]
    ends = torch.cat(levels)  # the anchors of a cell side by side
    found = [*model.head.class_net(maps), *model.head.box_net(maps)]
    return [*found, ends[:, :, 0].flip(2).flatten(1), ends[:, :, 1].flatten(1)]


def _jde(model: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """Return rows with boxes in px, score, class 0 and features of the cell; and the raw maps."""
    found = model.compute(*inputs)
    places = torch.from_numpy(model.codec.locations.copy())
    rows, cell = found["rows"], model.codec.cells
    centre = rows[..., :2] * places[:, 2:3] + places[:, :2]
    sides = rows[..., 2:4] * places[:, 3:]
    parts = [centre, sides, rows[..., 4:], torch.zeros_like(rows[..., 4:])]
    decoded = torch.cat([*parts, found["embedding"][:, cell]], 2)
    return [decoded, *model.head.raw(model.backbone(*inputs))]


def _yolox(model: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """Return rows with boxes as centre and sides in px, rows, and the maps of the neck."""
    maps = model.neck.paths(model.backbone(*inputs))
    rows = model.compute(*inputs)["rows"]
    grid = torch.from_numpy(cells(model.codec.input_size, model.codec.strides, False).copy())
    centre = rows[..., :2] * grid[:, 2:] + grid[:, :2]
    sides = rows[..., 2:4].exp() * grid[:, 2:]
    return [torch.cat([centre, sides, rows[..., 4:]], 2), rows, *maps]


def _darknet(model: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """Return rows with boxes as centre and sides in px, and the maps of each stride."""
    rows = model.compute(*inputs)["rows"]
    places = torch.from_numpy(model.codec.locations.copy())
    centre = rows[..., :2] * places[:, 2:3] + places[:, :2]
    sides = rows[..., 2:4] * places[:, 3:]
    raw = model.head.raw(model.backbone(*inputs))
    return [torch.cat([centre, sides, rows[..., 4:]], 2), *raw]


def _poseur(model: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """Return coordinates, sigma and scores of the coarse estimate, and of all rounds after it."""
    coordinates, sigma = model.head.rounds(model.neck(model.backbone(*inputs)))
    scores = 1 - sigma.mean(3, keepdim=True)  # (B, 7, K, 1)
    coarse = [x[:, 0] for x in (coordinates, sigma, scores)]
    rounds = [x[:, 1:].transpose(0, 1) for x in (coordinates, sigma)]
    return [*coarse, *rounds, scores[:, -1]]


# systems whose fixtures list other tensors than `compute` returns, in the order of the fixture
OUTPUTS: dict[str, Callable[[nn.Module, list[Tensor]], list[Tensor]]] = {
    "darknet": _darknet,
    "effdet": _effdet,
    "jde": _jde,
    "mmpose": _mmpose,
    "movenet_fire717": _movenet_fire717,
    "movenet_leeman": _movenet,
    "poseur": _poseur,
    "rle": _rle,
    "yolopose": _yolo_pose,
    "yolox": _yolox,
}
