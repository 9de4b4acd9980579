"""A small network for each loss of the package, and a batch of which some views show nobody.

As a program, with a rank and a folder, it takes a step as one of two processes.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from posewright import codecs, losses
from posewright.codecs.base import refines
from posewright.models import PoseModel
from posewright.models.rtmo import DCC
from posewright.people import People
from posewright.recipes.recipe import Recipe
from posewright.skeletons import get_skeleton
from posewright.training.feed.batches import Batch
from posewright.training.processes import World
from posewright.training.stepper import Stepper

__all__ = ["CASES", "CROWDED", "DoubleBatch", "batch_for", "network", "step"]

SIZE, VIEWS, CROWDED = (64, 64), 5, 3  # only the first three views have anybody in them
GRID = 8 * 8 + 4 * 4 + 2 * 2  # cells of strides 8, 16 and 32
ANCHORS = 3 * (GRID + 1)  # three a cell, also of stride 64
CELLS = 4 * 4 + 2 * 2  # of strides 16 and 32


@dataclass(frozen=True)
class Case:
    """A codec, the shape of each output of a view, and a loss if it is not the codec's."""

    codec: Any
    shapes: dict[str, tuple[int, ...]]
    loss: Callable[[], nn.Module] | None = None
    skeleton: str = "coco17"
    most: tuple[int, ...] = field(default=(1,) * VIEWS)  # people in each view


def _maps(count: int = 17, **more: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {"heatmap": (count, 16, 16), **more}


_POINTS = {"coordinates": (17, 2), "sigma": (17, 2)}
_ROUNDS = {"round_coordinates": (3, 17, 2), "round_sigma": (3, 17, 2)}
_BINS = {"x": (17, 128), "y": (17, 128)}
_CENTRES = {"centre": (1, 16, 16), **_maps(), "regression": (34, 16, 16), "offset": (34, 16, 16)}
_BOXES = {"box_scale": (2, 16, 16), "box_offset": (2, 16, 16)}
_CELLS = {"cls": (GRID, 1), "objectness": (GRID, 1), "box": (GRID, 4), "keypoints": (GRID, 34)}
_ANCHORS = {key: (ANCHORS, width) for key, (_, width) in _CELLS.items()}
_RTMO = {
    "scores": (CELLS,),
    "visibility": (CELLS, 17),
    "boxes": (CELLS, 4),
    "proxy": (CELLS, 17, 2),
    "pose": (CELLS, 6),
}
_CROWDS = (3, 1, 2, 0, 0)
_PADDED = {"input_size": SIZE, "max_people": 4}

CASES = {
    "HeatmapMSE": Case(codecs.Heatmap(SIZE), _maps()),
    "HeatmapMSE of the hardest": Case(
        codecs.Heatmap(SIZE), _maps(), lambda: losses.HeatmapMSE(hardest=8)
    ),
    "StackedMSE": Case(codecs.Heatmap(SIZE), _maps(heatmap_1=(17, 16, 16)), losses.StackedMSE),
    "HeatmapMSE of Megvii": Case(codecs.Megvii(SIZE), _maps()),
    "CombinedTargetMSE": Case(codecs.CombinedUDP(SIZE), _maps(51)),
    "IntegralL1": Case(codecs.Integral(SIZE), _maps()),
    "IntegralL1 of AlphaPose": Case(codecs.Integral(SIZE, normalise="sigmoid"), _maps()),
    "CombinedLoss": Case(codecs.Combined(SIZE), _maps(136), skeleton="halpe136"),
    "SimCCKL": Case(codecs.SimCC(SIZE), _BINS),
    "SimCCKL of SA-SimDR": Case(codecs.SimCC(SIZE, normalised=True), _BINS),
    "SimCCCrossEntropy": Case(codecs.SimCC(SIZE, normalised=True, smoothing=0.1), _BINS),
    "CoordinateL1": Case(codecs.Regression(SIZE), _POINTS),
    "RLELoss": Case(codecs.Regression(SIZE, sigma=True), _POINTS),
    "RLELoss, official": Case(codecs.Regression(SIZE, sigma=True, centred=True), _POINTS),
    "PoseurLoss": Case(codecs.Regression(SIZE, sigma=True), _ROUNDS, losses.PoseurLoss),
    "PoseFixLoss": Case(codecs.PoseFix(SIZE), _maps()),
    "MoveNetLoss": Case(codecs.MoveNet(SIZE), _CENTRES),
    "MoveNetLoss of several": Case(codecs.MoveNetMulti(SIZE), _CENTRES | _BOXES, most=_CROWDS),
    "DEKRLoss": Case(codecs.DEKR(SIZE), _maps(18, offset=(34, 16, 16)), most=_CROWDS),
    "AdaptivePoseLoss": Case(
        codecs.AdaptivePose(SIZE), {k: _CENTRES[k] for k in ("centre", "offset")}, most=_CROWDS
    ),
    "YoloPoseLoss": Case(
        codecs.YoloPose(**_PADDED), {**_ANCHORS, "visibility": (ANCHORS, 17)}, most=_CROWDS
    ),
    "YoloxPoseLoss": Case(
        codecs.YoloxPose(**_PADDED), {**_CELLS, "visibility": (GRID, 17)}, most=_CROWDS
    ),
    "RTMOLoss": Case(codecs.RTMO(**_PADDED), _RTMO, most=_CROWDS),
    "RTMOLoss that teaches": Case(codecs.RTMO(**_PADDED), _RTMO, most=_CROWDS),
}


class DoubleBatch(Batch):
    """A batch whose targets have as many digits as the network."""

    def targets(self, codec: Any, device: Any = "cpu") -> dict[str, Tensor]:
        found = super().targets(codec, device)
        return {k: v.double() if v.is_floating_point() else v for k, v in found.items()}

    def rows(self, rows: slice) -> DoubleBatch:
        condition = None if self.condition is None else self.condition[rows]
        return DoubleBatch(self.views[rows], self.people[rows], self.numbers[rows], condition)


class Means(nn.Module):
    """(B, 3, h, w) -> (B, 12) mean of each colour in each quarter of a view."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x[:, :3], 2).flatten(1) * 10


class Outputs(nn.Module):
    """(B, 12) -> outputs of any shapes, each linear in the means of its view."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.shapes, self.cells = case.shapes, getattr(case.codec, "locations", None)
        self.layers = nn.ModuleDict({k: nn.Linear(12, prod(s)) for k, s in case.shapes.items()})
        self.dcc = DCC(6, 17, width=8, key=4).eval() if "pose" in case.shapes else None

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        made = {k: layer(x).unflatten(1, self.shapes[k]) for k, layer in self.layers.items()}
        for key in ("sigma", "round_sigma"):
            if key in made:
                made[key] = made[key].sigmoid()
        if self.dcc is not None:  # boxes and joints about their cells
            at = torch.from_numpy(self.cells[:, :2]).to(x)
            reach = 8 + made["boxes"].abs() * 8
            made["boxes"] = torch.cat([at - reach[..., :2], at + reach[..., 2:]], 2)
            made["proxy"] = at[:, None] + made["proxy"] * 8
        return made


def network(name: str) -> PoseModel:
    """Return the network of a case, whose views do not see each other, in double precision."""
    torch.manual_seed(1)
    case = CASES[name]
    head, skeleton = Outputs(case), get_skeleton(case.skeleton)
    if head.dcc is not None:
        loss: nn.Module | None = losses.RTMOLoss(case.codec, skeleton.oks_sigmas, head.dcc)
        loss.teach = name.endswith("teaches")
    else:
        loss = case.loss() if case.loss else losses.loss_for(case.codec, skeleton)
    return PoseModel(Means(), head, case.codec, skeleton, loss=loss).double()


def batch_for(name: str) -> DoubleBatch:
    """Return views of which the first have people, and the others nobody with a labelled joint."""
    rng = np.random.default_rng(0)
    case, joints = CASES[name], len(get_skeleton(CASES[name].skeleton))
    pixels = torch.from_numpy(rng.integers(0, 256, (VIEWS, *SIZE[::-1], 3), np.uint8))
    # means of noise are all alike
    pixels = pixels // torch.from_numpy(rng.integers(1, 9, (VIEWS, 1, 1, 3), np.uint8))

    def crowd(count: int) -> People:
        corner = rng.uniform(0, 24, (count, 2))
        boxes = np.hstack([corner, corner + rng.uniform(16, 38, (count, 2))])
        points = corner[:, None] + rng.uniform(2, 30, (count, joints, 2))
        return People.of(boxes, None, points, rng.random((count, joints)) < 0.8)

    if not case.codec.top_down:
        crowds = [crowd(count) for count in case.most]
        return DoubleBatch(pixels, crowds, np.arange(VIEWS))
    people = crowd(VIEWS)
    labelled = people.scores * (np.arange(VIEWS) < CROWDED)[:, None]
    people = people.replace(scores=labelled.astype(np.float32))
    given = torch.from_numpy(case.codec.condition(people)) if refines(case.codec) else None
    return DoubleBatch(pixels, people, np.arange(VIEWS), given)


def step(
    model: PoseModel, batch: Batch, world: World, parts: int = 1, **settings: Any
) -> tuple[float, Tensor]:
    """Take a step with a copy; return the loss and the gradient of all parameters."""
    learner = copy.deepcopy(model)
    optimizer = torch.optim.SGD(learner.parameters(), lr=1.0)
    recipe = Recipe(channels_last=False, accumulate=parts, **settings)
    stepper = Stepper(learner, optimizer, recipe, world)
    loss = stepper(batch)
    pairs = zip(model.parameters(), learner.parameters(), strict=True)
    return loss, torch.cat([(before - after).detach().flatten() for before, after in pairs])


def _main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {}
    for name in CASES:
        rows = (slice(CROWDED), slice(CROWDED, None))[rank]
        loss, gradient = step(network(name), batch_for(name).rows(rows), World(rank, 2))
        found |= {f"{name}/loss": torch.tensor(loss), f"{name}/gradient": gradient}
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    _main(int(sys.argv[1]), Path(sys.argv[2]))
