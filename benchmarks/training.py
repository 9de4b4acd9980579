"""Speed of training: python benchmarks/training.py --data FOLDER [--part feed|loop|all]

feed: images of 640x480 px, made of those in FOLDER (COCO labels person_keypoints.json and the
images beside them), to views of 192x256 px with targets, on one core.  A plain cv2 and numpy
writing of the HRNet recipe (arXiv:1902.09212) makes the same in the same process, taking turns.

loop: what posewright.train's own loop takes for a step whose batch is in memory already (so without
images, saving and validation, but with targets, checks of the loss and of the gradients, the
learning rate, signals and the log), on simcc_mobilenetv2 at 96x128, 16 views.  Beside it, taking
turns in the same process: forward, loss, backward and update of a second such network on random
tensors.  It needs no data.  All times are those of one core's work, not of the clock.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from posewright.augment import Augmentation
from posewright.codecs import Heatmap
from posewright.datasets import Dataset, Sample, open_dataset
from posewright.datasets.synthetic import synth
from posewright.models import PoseModel, create
from posewright.recipes.lookup import recipe_for
from posewright.recipes.recipe import Recipe
from posewright.train import _loop as visible_loop
from posewright.training.feed.batches import Batch
from posewright.training.feed.feed import Feed
from posewright.training.feed.instances import Instances
from posewright.training.logs import Log
from posewright.training.optim import make_optimizer
from posewright.training.processes import World
from posewright.training.run import Run
from posewright.training.signals import Stop

SIZE = (640, 480)
VIEW = (192, 256)
BATCH = 32
CODEC = Heatmap(VIEW, quantised=True)
RECIPE = Augmentation(flip=0.5, scale=0.35, rotate=40, rotate_probability=0.6, half_body=0.3)
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
UPPER = range(11)


def pictures(source: Path, folder: Path) -> Dataset:
    """Write the images with labelled people at SIZE, quality 92; return their labels."""
    dataset = open_dataset(source / "person_keypoints.json")
    samples = []
    for number, sample in enumerate(dataset):
        if not (sample.visibility > 0).any():
            continue
        image = sample.load().image
        path = folder / f"{number}.jpg"
        small = cv2.cvtColor(cv2.resize(image, SIZE), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(path), small, [cv2.IMWRITE_JPEG_QUALITY, 92])
        share = np.array(SIZE) / image.shape[1::-1]
        points = sample.keypoints * [*share, 1]
        boxes = sample.people.boxes * np.tile(share, 2)
        samples.append(Sample.of(path, SIZE, number, points, boxes, crowd=sample.crowd))
    return Dataset("benchmark", dataset.skeleton, tuple(samples))


class Plain:
    """The recipe as it is commonly written: one person at a time, everything on the processor."""

    def __init__(self, dataset: Dataset) -> None:
        instances = Instances.of(dataset, True)
        self.flip = dataset.skeleton.flip_index
        self.people = [
            (s.image, s.people.keypoints[i], s.visibility[i], s.people.boxes[i])
            for s, i in (
                (instances.samples[a], b)
                for a, b in zip(instances.sample, instances.person, strict=True)
            )
        ]

    def epoch(self, rng: np.random.Generator) -> int:
        """Make all whole batches; return the number of people in them."""
        order = rng.permutation(len(self.people))
        count = len(order) // BATCH * BATCH
        for first in range(0, count, BATCH):
            made = [self.person(int(i), rng) for i in order[first : first + BATCH]]
            for parts in zip(*made, strict=True):
                torch.stack([torch.from_numpy(part) for part in parts])
        return count

    def person(self, number: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
        """Return the normalised image (3, h, w), the target (K, h, w) and the weight (K, 1)."""
        path, points, seen, box = self.people[number]
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        points, seen = points.copy(), seen > 0
        centre, scale = extent(box[:2], box[2:], 1.25)
        if seen.sum() > 8 and rng.random() < 0.3:
            centre, scale = half_body(points, seen, rng, (centre, scale))
        scale = scale * np.clip(rng.standard_normal() * 0.35 + 1, 0.65, 1.35)
        turn = np.clip(rng.standard_normal() * 40, -80, 80) if rng.random() <= 0.6 else 0
        if rng.random() <= 0.5:
            image = image[:, ::-1]
            points[:, 0] = image.shape[1] - 1 - points[:, 0]
            points, seen = points[self.flip], seen[self.flip]
            centre[0] = image.shape[1] - 1 - centre[0]
        matrix = affine(centre, scale, turn)
        view = cv2.warpAffine(image, matrix, VIEW, flags=cv2.INTER_LINEAR)
        for k in range(len(points)):
            if seen[k]:
                points[k] = matrix @ np.array([*points[k], 1.0])
        pixels = torch.from_numpy(view).permute(2, 0, 1).contiguous().float().div(255)
        return pixels.sub_(MEAN).div_(STD).numpy(), *target(points, seen)


def extent(
    low: NDArray[np.float32], high: NDArray[np.float32], padding: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centre of a box, and its sides grown to the aspect of the view."""
    width, height = high - low
    aspect = VIEW[0] / VIEW[1]
    width, height = max(width, height * aspect), max(height, width / aspect)
    return np.array((low + high) / 2, np.float64), np.array([width, height]) * padding


def half_body(
    points: NDArray[np.float32],
    seen: NDArray[np.bool_],
    rng: np.random.Generator,
    whole: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centre and sides of the upper or the lower body."""
    upper = [points[k] for k in range(17) if seen[k] and k in UPPER]
    lower = [points[k] for k in range(17) if seen[k] and k not in UPPER]
    chosen = upper if rng.standard_normal() < 0.5 and len(upper) > 2 else lower
    chosen = chosen if len(chosen) > 2 else upper
    if len(chosen) < 2:
        return whole
    part = np.array(chosen)
    return extent(part.min(0), part.max(0), 1.5)


def affine(
    centre: NDArray[np.float64], sides: NDArray[np.float64], turn: float
) -> NDArray[np.float64]:
    """Return the (2, 3) map that three points define."""
    sine, cosine = np.sin(np.radians(turn)), np.cos(np.radians(turn))
    up = np.array([sine, -cosine]) * sides[0] / 2
    source = np.array([centre, centre + up, centre + up + [-up[1], up[0]]], np.float32)
    middle = np.array([VIEW[0] / 2, VIEW[1] / 2])
    top = middle - [0, VIEW[0] / 2]
    goal = np.array([middle, top, top + np.array([VIEW[0] / 2, 0])], np.float32)
    return np.asarray(cv2.getAffineTransform(source, goal), np.float64)


def target(
    points: NDArray[np.float32], seen: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (K, h, w) maps and (K, 1) weights, a patch of a Gaussian to a joint."""
    w, h, reach = VIEW[0] // 4, VIEW[1] // 4, 6
    maps = np.zeros((17, h, w), np.float32)
    weight = seen.astype(np.float32)[:, None]
    for k in range(17):
        x, y = (int(v / 4 + 0.5) for v in points[k])
        left, top, right, bottom = x - reach, y - reach, x + reach + 1, y + reach + 1
        if left >= w or top >= h or right < 0 or bottom < 0:
            weight[k] = 0
            continue
        axis = np.arange(0, 2 * reach + 1, 1, np.float32)
        bell = np.exp(-((axis - reach) ** 2 + (axis[:, None] - reach) ** 2) / (2 * 2**2))
        if weight[k] > 0.5:
            x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right, w), min(bottom, h)
            maps[k, y1:y2, x1:x2] = bell[y1 - top : y2 - top, x1 - left : x2 - left]
    return maps, weight


def drained(feed: Feed, epoch: int) -> int:
    """Make an epoch of views and targets; return the number of people."""
    count = 0
    for batch in feed.epoch(epoch):
        batch.targets(CODEC)
        count += len(batch)
    return count


def feed_speed(data: Path, rounds: int) -> None:
    """Print images a second of processor time, and how many times the plain writing's."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        dataset = pictures(data, Path(folder))
        options = {"batch": BATCH, "seed": 0}
        direct = Feed(dataset, CODEC, dataset.skeleton, RECIPE, **options)
        crops = f"{folder}/crops"
        cached = Feed(dataset, CODEC, dataset.skeleton, RECIPE, cache=crops, **options)
        drained(cached, 0)  # makes the crops
        plain = Plain(dataset)
        ways: dict[str, Callable[[int], int]] = {
            "plain": lambda i: plain.epoch(np.random.default_rng(i)),
            "feed": lambda i: drained(direct, i),
            "feed, cached crops": lambda i: drained(cached, i),
        }
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        for i in range(rounds + 1):
            for name, way in ways.items():
                start = time.process_time()
                count = way(i)
                if i:  # the first round warms up
                    speeds[name].append(count / (time.process_time() - start))
        kept = [f.stat().st_size for f in Path(crops).glob("*/*.jpg")]
    print(
        f"{len(plain.people)} people, {len(kept)} crops of {np.mean(kept) / 1000:.0f} kB on average"
    )
    for name, values in speeds.items():
        ratio = statistics.median(v / p for v, p in zip(values, speeds["plain"], strict=True))
        print(f"{name:20} {statistics.median(values):7.0f} images/s per core  {ratio:5.2f}x")


@dataclass
class Turns:
    """A feed whose epochs are `steps` batches out of memory, with a turn of `plain` behind each.

    The loop asks for the next batch when it is done with the last one, which is where its own time
    is taken.
    """

    batches: list[Batch]
    steps: int
    plain: Callable[[], None]
    bad: dict[int, str] = field(default_factory=dict)
    loop_times: list[float] = field(default_factory=list)
    plain_times: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return self.steps

    def epoch(self, number: int, start: int = 0) -> Generator[Batch, None, None]:
        """Yield the batches in turn; note what became of the processor's time."""
        begin = time.process_time()
        for step in range(start, self.steps):
            yield self.batches[step % len(self.batches)]
        middle = time.process_time()
        for _ in range(start, self.steps):
            self.plain()
        self.loop_times.append((middle - begin) / self.steps)
        self.plain_times.append((time.process_time() - middle) / self.steps)


def plain_step(model: PoseModel, recipe: Recipe, batch: Batch) -> Callable[[], None]:
    """Return a step of the network on random tensors of the batch's shapes, with nothing else."""
    loss, optimizer = model.loss, make_optimizer(model, recipe)
    assert loss is not None
    draws = torch.Generator().manual_seed(0)
    views = torch.randint(0, 256, batch.views.shape, dtype=torch.uint8, generator=draws)
    shapes = {key: value.shape for key, value in batch.targets(model.codec).items()}
    targets = {key: torch.rand(shape, generator=draws) for key, shape in shapes.items()}

    def step() -> None:
        loss(model(views), targets).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def loop_speed(rounds: int, steps: int = 8) -> None:
    """Print milliseconds of processor time a step, and their ratio."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    recipe = recipe_for("simcc_mobilenetv2").with_overrides(
        [
            "options.input_size=[96,128]",
            "batch=16",
            f"epochs={rounds + 1}",
            "eval_every=1000",
            "save_every=0",
            "workers=0",
            "ema=0",
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        people = synth(Path(folder, "set"), 40)
        run = Run(recipe, Path(folder), World(), lambda line: None, people, None)
        run.log = Log(run.folder)
        batches = list(run.feed.epoch(0))
        other = create(recipe.model, **{**recipe.options, "skeleton": run.model.skeleton})
        other.train().to(memory_format=torch.channels_last)
        turns = Turns(batches, steps, plain_step(other, recipe, batches[0]))
        run.feed = turns  # type: ignore[assignment]
        visible_loop(run, Stop())
        run.close()
    pairs = list(zip(turns.loop_times, turns.plain_times, strict=True))[1:]  # the first warms up
    loop, plain = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{len(pairs)} turns of {steps} steps, ms of one core a step: loop {loop:.1f}, ", end="")
    print(f"plain {plain:.1f}, ratio {ratio:.3f} (at most 1.03 wanted)")


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of COCO images, for the feed")
    parser.add_argument("--part", choices=("feed", "loop", "all"), default="all")
    parser.add_argument("--rounds", type=int, default=7, help="turns of the feed")
    parser.add_argument("--turns", type=int, default=25, help="turns of the loop")
    args = parser.parse_args()
    if args.part != "loop":
        if args.data is None:
            parser.error("the feed needs --data; --part loop does not")
        feed_speed(args.data, args.rounds)
    if args.part != "feed":
        loop_speed(args.turns)


if __name__ == "__main__":
    main()
