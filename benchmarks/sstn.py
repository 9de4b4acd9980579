"""A spatial transformer before a trained network, on boxes that are wrong: what it is worth.

    python benchmarks/sstn.py --lspet ../shared/data/lspet --coco ../shared/data/coco

MoveNet Thunder, as embedded, is frozen; only the localisation network learns, from LSPET's images
without the last 200, shown in boxes that are shifted and scaled: once with RMPE's parallel branch,
once from the labelled boxes themselves.  Printed are the share of views in which the branch's first
gradient points the right way, and the main number of the 200 and of COCO in the labelled boxes, in
the same boxes made worse and in the embedded detector's: without a transformer, with both that have
learned, and with one that is told theta, so that the network sees what it would have seen in the
labelled box.  One seed; about 40 minutes of one core.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor

from posewright.augment import Augmentation
from posewright.checkpoints import convert, foreign
from posewright.codecs import Codec
from posewright.datasets import Dataset, Sample
from posewright.datasets.opening import open_dataset
from posewright.evaluation.evaluate import evaluate
from posewright.evaluation.running import LabelledBoxes, everybody
from posewright.evaluation.scoring import main_metric
from posewright.models import PoseModel, create
from posewright.models.parts.stn import SpatialTransformer
from posewright.models.saving import load_model, save_model
from posewright.people import Frame, People
from posewright.pipeline.estimate import Boxes
from posewright.recipes.lookup import recipe_of
from posewright.runtimes import Model
from posewright.runtimes import load_model as load_runtime
from posewright.runtimes.torch import TorchModel
from posewright.skeletons import COCO17, Skeleton
from posewright.train import train
from posewright.training.feed.feed import Feed
from posewright.training.stn_teachers import Parallel, TrueBoxes, theta_between
from posewright.weights import EMBEDDED

LIMBS = Skeleton("limbs12", COCO17.joints[5:])  # what LSPET and COCO both label
SIZE = (192, 256)  # of the views that are measured
SMALL = (96, 128)  # of those learned from
HELD = 200
# shift in shares of the sides, and factor of the size: from, to; the signs are drawn
BAD = {
    "labelled": ((0.0, 0.0), (1.0, 1.0)),
    "shifted": ((0.15, 0.3), (1.0, 1.0)),
    "too large": ((0.0, 0.0), (1.4, 2.0)),
    "too small": ((0.0, 0.0), (0.65, 0.8)),
    "both": ((0.0, 0.3), (0.8, 2.0)),
}
BADLY = Augmentation(
    rotate=0, half_body=0, shift=0.25, scale=0.6, scale_middle=1.3, scale_draw="uniform"
)
# the factors make each the larger part of the loss; the joints' own is above a hundred
TEACHERS: dict[str, dict[str, object]] = {
    "branch": {"stn": {"labels": "cropped", "loss_weight": 5}, "lr": 1e-3, "epochs": 2},
    "boxes": {"stn": {"labels": "boxes", "loss_weight": 1e4}, "lr": 2e-3, "epochs": 6},
}
Thetas = deque[Tensor]


class BadBoxes:
    """The labelled boxes, shifted and scaled; the same ones for everybody who asks.

    told: receives, for each person, the theta that makes the codec's view that of the labelled box.
    """

    def __init__(self, samples: Sequence[Sample], kind: str, codec: Codec, told: Thetas) -> None:
        self._labelled, self._codec, self._told = LabelledBoxes(samples), codec, told
        self._shift, self._scale = BAD[kind]

    def people(self, frame: Frame) -> People:
        """Return the boxes of the image with the number of the frame."""
        people = self._labelled.people(frame)
        rng = np.random.default_rng(frame.index)
        low, high = people.boxes[:, :2], people.boxes[:, 2:]
        sides = high - low
        sign = rng.choice([-1.0, 1.0], sides.shape)
        middle = (low + high) / 2 + sign * rng.uniform(*self._shift, sides.shape) * sides
        half = sides / 2 * rng.uniform(*self._scale, (len(sides), 1))
        boxes = np.concatenate([middle - half, middle + half], 1).astype(np.float32)
        bad = people.replace(boxes=boxes)
        good, views = (self._codec.warps(frame.size, p) for p in (people, bad))
        self._told.extend(
            torch.from_numpy(theta_between(v, g)) for g, v in zip(good, views, strict=True)
        )
        return bad


class Told(SpatialTransformer):
    """A transformer that is told what to choose."""

    def __init__(self, told: Thetas) -> None:
        super().__init__("light")
        self.told = told

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) -> the next B of theta."""
        return torch.stack([self.told.popleft() for _ in x])


def thunder(skeleton: Skeleton, size: tuple[int, int] = SIZE, stn: bool | str = False) -> PoseModel:
    """Return the embedded network with the joints of `skeleton` alone."""
    graph = onnx.load(EMBEDDED["movenet-thunder"].path).graph
    arrays = {
        i.name: torch.from_numpy(onnx.numpy_helper.to_array(i).copy())
        for i in graph.initializer
        if i.name.endswith((".weight", ".bias"))
    }
    state = convert(arrays, foreign("movenet"), create("movenet_thunder"))
    model = create("movenet_thunder", input_size=size, skeleton=skeleton, stn=stn)
    wanted, kept = model.state_dict(), torch.from_numpy(COCO17.mapping(skeleton))
    rows = {key: _rows(value, wanted[key], kept) for key, value in state.items()}
    model.load_state_dict(rows, strict=not stn)
    return model


def _rows(tensor: Tensor, wanted: Tensor, kept: Tensor) -> Tensor:
    """Return the rows of some joints, of a layer that has one or two rows for each."""
    if tensor.shape == wanted.shape:
        return tensor
    each = len(tensor) // len(COCO17)
    return tensor.unflatten(0, (-1, each))[kept].flatten(0, 1)


def learn(lspet: Path, out: Path, teacher: str, kind: str, extra: Sequence[str]) -> Path:
    """Train the localisation network on perturbed boxes; return the file of the whole."""
    out /= teacher
    out.mkdir(parents=True, exist_ok=True)
    weights = out / "thunder.safetensors"
    save_model(thunder(LIMBS, SMALL), weights)
    settings = {
        "options": {"stn": kind, "input_size": list(SMALL), "skeleton": LIMBS.to_dict()},
        "weights": weights,
        "freeze": ["backbone", "head"],
        "val": f"last:{HELD}",
        "batch": 16,
        "schedule": "cosine",
        "warmup": 10,
        "clip": 1.0,
        "weight_decay": 0.0,
        "workers": 1,
        "save_every": 0,
        "log_every": 25,
        "ema": 0,
        "eval_every": 100,
        **TEACHERS[teacher],
    }
    recipe = recipe_of("movenet_thunder", lspet, settings).with_overrides(list(extra))
    folder = out / time.strftime("run-%Y%m%d-%H%M%S")
    train(replace(recipe, augment=BADLY), folder, device="cpu", progress=print)
    return folder / "last.safetensors"


def first_gradients(data: Dataset, count: int = 192) -> list[float]:
    """Return shares of views whose gradient near the identity points to the right theta.

    Of the parallel branch's loss; for x, y and size; 0.5 is chance.  Near, as at the identity
    itself every place is a pixel's, where bilinear sampling has a kink.
    """
    torch.manual_seed(0)
    model = thunder(LIMBS, SMALL, stn="light").requires_grad_(False)
    branch, boxes = Parallel(model, 1.0, cropped=True), TrueBoxes(model.codec, 1.0)
    feed = Feed(data, model.codec, LIMBS, BADLY, batch=16, seed=0)
    found = []
    for batch, _ in zip(feed.epoch(0), range(count // 16), strict=False):
        beside = 0.06 * (torch.rand(16, 3, 1) - 0.5)  # of size, x and y
        theta = torch.eye(2, 3) * (1 + beside[:, :1])
        theta[:, :, 2] += beside[:, 1:, 0]
        theta.requires_grad_()
        taught = branch.outputs(batch.views, theta)
        branch.criterion(taught, branch.targets(batch, "cpu")).backward()
        right = boxes.targets(batch, "cpu")["theta"] - theta.detach()
        assert theta.grad is not None
        down, way = (_shift_and_size(t) for t in (-theta.grad, right))
        found.append((down * way > 0).float())
    return [float(share) for share in torch.cat(found).mean(0)]


def _shift_and_size(theta: Tensor) -> Tensor:
    """(B, 2, 3) -> (B, 3)."""
    return torch.stack([theta[:, 0, 2], theta[:, 1, 2], theta[:, 0, 0] + theta[:, 1, 1]], 1)


def with_stn(trained: PoseModel) -> PoseModel:
    """Return the network of 17 joints with a trained transformer, which knows no joints."""
    assert trained.stn is not None
    model = thunder(COCO17, stn=str(trained.options["stn"]))
    assert model.stn is not None
    model.stn.load_state_dict(trained.stn.state_dict())
    return model.eval()


def measured(model: PoseModel, data: Dataset, boxes: Boxes | Model) -> tuple[str, float]:
    """Return name and value of a data set's main number."""
    runtime = TorchModel.of(model, device="cpu")
    return main_metric(evaluate(runtime, data, boxes=boxes, threads=1, batch=16).scoring)


def rows_of(data: Dataset, models: Sequence[PoseModel]) -> None:
    """Print kinds of boxes, and the main number with each of the models and with a told one."""
    told: Thetas = deque()
    knowing = thunder(COCO17, stn="light")
    knowing.stn = Told(told).eval()
    for kind in BAD:
        cells = [kind]
        for model in (*models, knowing):
            told.clear()
            value = measured(model, data, BadBoxes(data.samples, kind, model.codec, told))[1]
            cells.append(f"{value:.3f}")
        print("|", data.name, "|", " | ".join(cells), "|", flush=True)
    detector = everybody(load_runtime(EMBEDDED["nanodet-g-person"].path, runtime="onnxruntime"))
    found = [measured(model, data, detector) for model in models]
    cells = ["the detector's", *(f"{value:.3f}" for _, value in found), ""]
    print("|", data.name, "|", " | ".join(cells), "|", found[0][0], flush=True)


def main() -> int:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lspet", type=Path, required=True)
    parser.add_argument("--coco", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/sstn"))
    parser.add_argument("--localisation", default="light", choices=("light", "resnet18"))
    parser.add_argument("--weights", type=Path, nargs="+", help="trained ones; nothing is learned")
    parser.add_argument("settings", nargs="*", help="changed settings of the recipe, key=value")
    args = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    lspet = open_dataset(args.lspet)
    shares = first_gradients(lspet[:-HELD].to(LIMBS))
    print("gradients that point the right way, of x, y, size:", [f"{s:.2f}" for s in shares])
    files = {str(file): file for file in args.weights or ()} or {
        teacher: learn(args.lspet, args.out, teacher, args.localisation, args.settings)
        for teacher in TEACHERS
    }
    models = [thunder(COCO17), *(with_stn(load_model(file)[0]) for file in files.values())]
    columns = ["set", "boxes", "without", *files, "told"]
    print("|", " | ".join(columns), "|")
    print("|---" * len(columns) + "|")
    for data in (lspet[-HELD:], open_dataset(args.coco / "person_keypoints.json")):
        rows_of(data, models)
    print(f"{time.perf_counter() - start:.0f} s in all")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
