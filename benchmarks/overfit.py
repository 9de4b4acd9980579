"""Overfit 32 people with one network of each kind of codec; print the AP on those people.

    python benchmarks/overfit.py --data ../shared/data/coco/person_keypoints.json [NAMES]

The proof that targets, losses, decoding and evaluation agree: a network that has learned 32 people
by heart must find them again, at every OKS threshold.  Nothing is augmented but PoseFix's boxes;
top-down networks get the labelled boxes.  Views are small, so that a processor does it in minutes.
Runs that are already in the folder go on where they stopped.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from posewright.augment import Augmentation
from posewright.codecs import Codec
from posewright.codecs.dekr import DEKR
from posewright.codecs.posefix import PoseFix
from posewright.datasets.base import Dataset, Sample
from posewright.datasets.formats.coco_out import write_labels
from posewright.datasets.opening import open_dataset
from posewright.models import PoseModel, create, register
from posewright.models.parts.resnet import ResNet
from posewright.models.posefix import PoseFixHead
from posewright.recipes.lookup import recipe_for
from posewright.recipes.recipe import Recipe
from posewright.skeletons import COCO17, Skeleton
from posewright.train import Outcome, train

PEOPLE = 32
WANTED = 0.95

# What differs from each network's own recipe: short runs need no warm-up of thousands of steps.
COMMON = [
    "batch=32",
    "schedule=cosine",
    "cosine_from=0",
    "warmup=20",
    "ema=0",
    "save_every=50",
    "eval_every=50",
    "log_every=10",
    "weight_decay=0",
    "clip=0",
    "workers=1",
]
RUNS = {
    "heatmap": (
        "lite_hrnet_18",
        ["epochs=600", "lr=4e-3", "options.input_size=[96,128]", "options.codec=dark"],
    ),
    "udp": (
        "lite_hrnet_18",
        ["epochs=600", "lr=4e-3", "options.input_size=[96,128]", "options.codec=udp"],
    ),
    "simcc": ("simcc_mobilenetv2", ["epochs=500", "lr=2e-3", "options.input_size=[96,128]"]),
    "rle": ("rle_mobilenetv2", ["epochs=400", "lr=1e-3", "options.input_size=[96,128]"]),
    "movenet": ("movenet_fire717", ["model=movenet_wide_view", "epochs=250", "lr=2e-3"]),
    "posefix": (
        "posefix_r50",
        [
            "model=posefix_narrow",
            "epochs=700",
            "lr=1e-3",
            "clip=1",
            "augment.shift=0.08",
            "augment.scale=0.2",
            "augment.scale_middle=1.05",
            "augment.scale_draw=uniform",
        ],
    ),
    "yolo_pose": (
        "yolo_pose_s6",
        ["epochs=400", "lr=1e-3", "optimizer=adam", "options.input_size=[128,128]"],
    ),
    "dekr": ("dekr_w32", ["model=dekr_square", "epochs=60", "lr=5e-4"]),
}

TOP_DOWN = ("heatmap", "udp", "simcc", "rle", "movenet", "posefix")

# A first run on the same people, whose weights the run itself starts from.
FIRST = {
    "yolo_pose": ("yolo_pose_wide", ["epochs=300"]),
    "movenet": ("movenet_wide_view", ["epochs=300"]),  # a warm restart of the cosine
    # twice as many steps for the time; but then batch normalisation must see all images at once,
    # as its running means fit no image that moves those of its batch
    "dekr": ("dekr_square", ["epochs=300", "batch=13", "lr=1e-3"]),
}


@register(paper="arXiv:2204.06806")
def yolo_pose_wide(
    *, input_size: tuple[int, int] = (128, 128), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """YOLO-Pose with sigmas four times as wide in its loss.

    1 - exp(-distance^2 / ...) has no gradient many sigmas away, where a face is before training.
    """
    model = create("yolo_pose_s6", input_size=input_size, skeleton=skeleton)
    model.loss.sigmas.mul_(4)  # type: ignore[union-attr, operator]
    return model


@register(paper="arXiv:2104.02300")
def dekr_square(
    *, input_size: tuple[int, int] = (128, 128), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """DEKR that is read in the square views it learns from.

    The published one reads short sides of 512, where people are larger than in a letterbox of 512.
    """
    codec = DEKR(input_size, square=True)
    return create("dekr_w32", input_size=input_size, skeleton=skeleton, codec=codec)


@register(paper="https://github.com/fire717/movenet.pytorch")
def movenet_wide_view(
    *, input_size: tuple[int, int] = (192, 192), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """MoveNet in views 1.25 times as large as the box.

    11 labelled joints of the 32 people lie outside of their boxes, 2 outside of these views.
    """
    model = create("movenet_fire717", input_size=input_size, skeleton=skeleton)
    model.codec = replace(model.codec, padding=1.25)  # type: ignore[type-var]
    return model


@register(paper="arXiv:1812.03595")
def posefix_narrow(
    *, input_size: tuple[int, int] = (96, 128), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """PoseFix on ResNet-18, its transposed convolutions with 64 channels."""
    model = create("posefix_r50", input_size=input_size, skeleton=skeleton)
    first = model.backbone.conv1
    model.backbone = ResNet(18)
    model.backbone.conv1 = first
    model.head = PoseFixHead(512, len(model.skeleton), width=64)
    return model


def main() -> int:
    """Run the named ones, all by default; return 1 where one stays below the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=", ".join(RUNS))
    parser.add_argument("--data", type=Path, required=True, help="COCO's labels of some images")
    parser.add_argument("--out", type=Path, default=Path("runs/overfit"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--perfect", action="store_true", help="train nothing; read the targets")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    data = open_dataset(args.data)
    if args.perfect:
        return perfect(singles(data))
    failed = False
    for name in args.names or RUNS:
        model, changes = RUNS[name]
        recipe = replace(recipe_for(model), augment=Augmentation.none())
        recipe = recipe.with_overrides([*COMMON, *changes])
        folder = args.out / name
        folder.mkdir(parents=True, exist_ok=True)
        few = singles(data) if name in TOP_DOWN else crowd(data)
        few = extents(alone(data)) if name == "posefix" else few
        failed |= run(name, recipe, few, folder) < WANTED
    return int(failed)


def run(name: str, recipe: Recipe, few: Dataset, folder: Path) -> float:
    """Train on a few people and validate on the same; print and return the AP."""
    labels = folder / "labels.json"
    write_labels(few, labels)
    images = str(few[0].image.parent)
    recipe = replace(recipe, data=(str(labels),), val=str(labels), images=images, val_images=images)
    start = time.perf_counter()
    if name in FIRST:
        model, changes = FIRST[name]
        trained(replace(recipe, model=model).with_overrides(changes), folder / "first")
        recipe = replace(recipe, weights=str(folder / "first/last.safetensors"))
    outcome = trained(recipe, folder / "run")
    best = outcome.best or 0.0
    print(
        f"{name:<10} {recipe.model:<18} {few.people} people, {outcome.place.step} steps in "
        f"{time.perf_counter() - start:.0f} s: {outcome.metric} {best:.3f}"
        f"  {'ok' if best >= WANTED else 'BELOW ' + str(WANTED)}",
        flush=True,
    )
    return best


def trained(recipe: Recipe, folder: Path) -> Outcome:
    """Train, or go on where it stopped; an interrupt ends everything."""
    resume = (folder / "state.safetensors").exists()
    outcome = train(
        recipe, folder, resume=resume, progress=lambda line: print(f"  {line}", flush=True)
    )
    if outcome.exit_code > 128:
        raise SystemExit(outcome.exit_code)
    return outcome


def perfect(people: Dataset) -> int:
    """Print what reading perfect maps back gives: the share of people above each threshold."""
    simcc = ("simcc_mobilenetv2", "simcc")
    kinds = [("lite_hrnet_18", codec) for codec in ("heatmap", "dark", "udp")]
    for size in ((96, 128), (192, 256)):
        for model, codec in (*kinds, simcc):
            network = create(model, input_size=size, codec=codec)
            flat = np.concatenate([likeness(network.codec, sample) for sample in people])
            share = np.mean([(flat >= least).mean() for least in np.arange(0.5, 1, 0.05)])
            print(f"{codec:<8} {size[0]}x{size[1]}  {share:.3f}")
    return 0


def likeness(codec: Codec, sample: Sample) -> list[float]:
    """Return the OKS of each person with what the codec reads from its own targets."""
    found = []
    for i, warp in enumerate(codec.warps(sample.size, sample.people)):
        truth = sample.people[np.array([i])]
        (seen,) = codec.decode(codec.encode(warp.people(truth)))  # type: ignore[attr-defined]
        gap = warp.inverse().people(seen).keypoints[0] - truth.keypoints[0]
        scale = 8 * COCO17.oks_sigmas**2 * sample.areas[i]
        near = np.exp(-np.square(gap).sum(1) / scale)
        found.append(float(near[truth.scores[0] > 0].mean()))
    return found


def singles(data: Dataset) -> Dataset:
    """Return the images of the 32 largest people with ten joints or more, others left out."""
    people = [
        (float(sample.areas[i]), number, i)
        for number, sample in enumerate(data)
        for i in range(len(sample))
        if sample.labelled[i] >= 10 and not sample.crowd[i]
    ]
    chosen = sorted(people, reverse=True)[:PEOPLE]
    samples = [
        data[number][np.array(sorted(i for _, n, i in chosen if n == number))]
        for number in sorted({n for _, n, _ in chosen})
    ]
    return replace(data, samples=tuple(samples))


def alone(data: Dataset) -> Dataset:
    """Return 32 images with their largest person, of ten joints or more, others left out.

    So that none of PoseFix's mistakes takes a joint of somebody else: the pose it is given frames
    its crop, which then shows both.
    """
    chosen = []
    for sample in data:
        fit = np.flatnonzero((sample.labelled >= 10) & ~sample.crowd)
        if len(fit):
            chosen.append(sample[fit[[np.argmax(sample.areas[fit])]]])
    chosen.sort(key=lambda sample: -float(sample.areas[0]))
    return replace(data, samples=tuple(chosen[:PEOPLE]))


def extents(data: Dataset) -> Dataset:
    """Return it with the boxes in which PoseFix reads a pose, made of the labelled one.

    It trains in the boxes of the labels, but reads in those of the poses that it is given.
    """
    framed = PoseFix().framed
    samples = [replace(sample, people=framed(sample.people)) for sample in data]
    return replace(data, samples=tuple(samples))


def crowd(data: Dataset) -> Dataset:
    """Return the images with 32 people in which the smallest person is largest."""
    samples, count = [], 0
    whole = [s for s in data if len(s) and (s.labelled >= 5).all() and not s.crowd.any()]
    for sample in sorted(whole, key=_smallest, reverse=True):
        if count + len(sample) <= PEOPLE:
            samples.append(sample)
            count += len(sample)
    return replace(data, samples=tuple(samples))


def _smallest(sample: Sample) -> float:
    """Return the height of the smallest person's box in longer sides of the image."""
    boxes = sample.people.boxes
    return float((boxes[:, 3] - boxes[:, 1]).min() / max(sample.size))


if __name__ == "__main__":
    raise SystemExit(main())
