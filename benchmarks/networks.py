"""Published network files beside rtmlib and beside the bare runtimes: joints, speed and loading.

    python benchmarks/networks.py [--only PART ...] [--networks NAME ...] [--rounds N]

PARTS: pose, rtmo, end-to-end, load.  The files have the form of the published ones and random
weights, which compute as fast as trained ones; they are written by torch.  Runs that are compared
take turns in one process, those of `load` in fresh ones; a figure is the median of its rounds, a
ratio the median of the rounds' ratios.  All but `load` need `pip install --no-deps rtmlib==0.0.16`;
they are left out, and said so, without it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from pipeline import ratio, rounds

from posewright import Frame, Pose
from posewright.machine import cpu_name
from posewright.people import People
from posewright.pipeline.estimate import estimate_all
from posewright.runtimes import Runtime, load_model

PEOPLE = 8
FRAMES = 5
SIZE = (192, 256)


def published(name: str, path: Path) -> Path:
    """A network of the zoo in the form of a published RTMPose file: an open batch, named axes."""
    return written(name, SIZE, path, "input", lambda out: {f"simcc_{a}": out[a] for a in "xy"})


def rtmo(path: Path) -> Path:
    """RTMO-s in the form of the published files, whose people are always the same eight.

    Its own numbers are multiplied by nearly nothing and added to theirs, so that they are computed.
    """
    import torch

    rng = np.random.default_rng(0)
    people = torch.tensor(rng.uniform(0, 640, (1, PEOPLE, 17, 3)), dtype=torch.float32)
    people[..., 2] = 0.9
    dets = torch.tensor(crowd(), dtype=torch.float32)

    def outputs(found: Any) -> Any:
        count = found["scores"].shape[1]
        scored = torch.cat([found["boxes"], found["scores"][..., None]], 2)
        points = torch.cat([found["keypoints"], found["visibility"][..., None]], 3)
        fill = torch.nn.functional.pad
        return {
            "dets": scored * 1e-12 + fill(dets, (0, 0, 0, count - PEOPLE)),
            "keypoints": points * 1e-12 + fill(people, (0, 0, 0, 0, 0, count - PEOPLE)),
        }

    return written("rtmo_s", (640, 640), path, "input", outputs)


def yolox(path: Path) -> Path:
    """YOLOX-tiny for 416 x 416 as its authors export it, whose people are always the same eight.

    The zoo's YOLOX-Pose-tiny is that network with one class and joints, which are left out.
    """
    import torch

    grid = [(n, s) for s in (8, 16, 32) for n in range((416 // s) ** 2)]
    rows = torch.full((1, len(grid), 6), 0.0)
    for row, (x1, y1, x2, y2, score) in enumerate(crowd()[0] * [*[0.65] * 4, 1]):
        at = [(x1 + x2) / 16, (y1 + y2) / 16, np.log((x2 - x1) / 8), np.log((y2 - y1) / 8)]
        rows[0, row] = torch.tensor([at[0] - row, *at[1:], score, 1])

    def outputs(found: Any) -> Any:
        parts = [found["box"], found["objectness"], found["cls"]]
        return {"output": torch.cat(parts, 2) * 1e-12 + rows}

    return written("yoloxpose_tiny", (416, 416), path, "images", outputs)


def crowd() -> np.ndarray:
    """(1, 8, 5): boxes that do not overlap in a view of 640 x 360, and their scores."""
    x, y = np.meshgrid(np.arange(4) * 150 + 20.0, [20.0, 190.0])
    low = np.stack([x.ravel(), y.ravel()], 1)
    return np.concatenate([low, low + np.array([60, 150]), np.full((PEOPLE, 1), 0.9)], 1)[None]


def written(
    name: str, size: tuple[int, int], path: Path, given: str, outputs: Callable[[Any], Any]
) -> Path:
    """Write a network of the zoo with random weights and those outputs, with an open batch."""
    import torch

    from posewright.models import create

    network: Any = create(name, input_size=size).eval()

    class Named(torch.nn.Module):
        """The outputs in the order of the published files."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, views: torch.Tensor) -> tuple[torch.Tensor, ...]:
            """(B, 3, h, w) -> the arrays."""
            return tuple(outputs(self.network.compute(views)).values())

    views = torch.zeros(1, 3, *size[::-1])
    names = list(outputs(network.compute(views)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Named(),
            (views,),
            str(path),
            opset_version=17,
            input_names=[given],
            output_names=names,
            dynamic_axes={name: {0: "batch"} for name in (given, *names)},
            dynamo=False,
        )
    return path


def timed(work: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def pose(path: Path, count: int) -> Iterator[str]:
    """The pose stage of frames with eight people: rtmlib's loop, one call a person, and ours."""
    from rtmlib import RTMPose

    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (FRAMES, 720, 1280, 3), np.uint8)
    low = rng.uniform((0, 0), (1000, 400), (FRAMES, PEOPLE, 2))
    boxes = np.concatenate([low, low + rng.uniform((80, 200), (250, 310), low.shape)], 2)
    theirs = RTMPose(str(path), SIZE, backend="onnxruntime")
    frames, people = [Frame(image) for image in images], [People.of(b) for b in boxes]
    threads = os.cpu_count() or 1
    runtimes: tuple[Runtime, ...] = ("onnxruntime", "openvino")
    models = [load_model(path, runtime=r, precision="fp32", threads=threads) for r in runtimes]
    points: dict[str, list[np.ndarray]] = {}

    def loop() -> None:
        points["theirs"] = [theirs(i, list(b))[0] for i, b in zip(images, boxes, strict=True)]

    def ours(model: Any, pool: ThreadPoolExecutor) -> None:
        found = estimate_all(model, frames, people, spread=pool.map)
        points[model.runtime] = [p.keypoints for p in found]

    with ThreadPoolExecutor(threads) as pool:
        ways = [lambda model=model: timed(lambda: ours(model, pool)) for model in models]
        slow, *fast = rounds(count, lambda: timed(loop), *ways)
    for model, seconds in zip(models, fast, strict=True):
        pairs = zip(points["theirs"], points[model.runtime], strict=True)
        gaps = np.concatenate([np.abs(a - b).max(-1).ravel() for a, b in pairs])
        yield (
            f"{path.stem}, {PEOPLE} people, {model.runtime}: {ratio(slow, seconds):.2f} x rtmlib "
            f"0.0.16 on onnxruntime ({1000 * statistics.median(seconds) / FRAMES:.0f} ms a frame); "
            f"joints differ by at most {gaps.max():.4f} px"
        )


def one_stage(path: Path, count: int) -> Iterator[str]:
    """RTMO on whole frames: rtmlib's loop, one call a frame, and the pipeline."""
    from rtmlib import RTMO

    theirs = RTMO(str(path), backend="onnxruntime", score_thr=0.3)
    yield from beside(path, None, count, lambda image: theirs(image)[0])


def end_to_end(path: Path, count: int) -> Iterator[str]:
    """Detector and poses on whole frames: rtmlib's loop and the pipeline."""
    from rtmlib import YOLOX, RTMPose

    detector = yolox(path.with_name("yolox_tiny.onnx"))
    boxes = YOLOX(str(detector), (416, 416), backend="onnxruntime", score_thr=0.3)
    poses = RTMPose(str(path), SIZE, backend="onnxruntime")
    yield from beside(path, detector, count, lambda image: poses(image, boxes(image))[0])


def beside(
    path: Path, detector: Path | None, count: int, theirs: Callable[[Any], Any]
) -> Iterator[str]:
    """The people of frames of 720p by rtmlib's call for each and by the whole pipeline."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (720, 1280, 3), np.uint8) for _ in range(2 * FRAMES)]
    found: dict[str, list[int]] = {}

    def loop() -> None:
        found["rtmlib"] = [len(theirs(image)) for image in images]

    def ours(pose: Pose, name: str) -> None:
        found[name] = [len(result) for result in pose.pipeline.run(Frame(i) for i in images)]

    poses = {}
    for runtime in ("onnxruntime", "openvino"):
        given: dict[str, Any] = {"detector": detector} if detector else {}
        pose = Pose(path, runtime=runtime, precision="fp32", nms="none", min_score=0, **given)
        poses[pose.model.runtime] = pose
    ways = [lambda n=name, p=pose: timed(lambda: ours(p, n)) for name, pose in poses.items()]
    slow, *fast = rounds(count, lambda: timed(loop), *ways)
    for name, seconds in zip(poses, fast, strict=True):
        yield (
            f"{f'{detector.stem} + ' if detector else ''}{path.stem}, {name}: "
            f"{ratio(slow, seconds):.2f} x rtmlib 0.0.16 on onnxruntime "
            f"({1000 * statistics.median(seconds) / len(images):.0f} ms a frame); "
            f"{sum(found[name])} people, rtmlib {sum(found['rtmlib'])}"
        )


def opened(way: str, path: Path) -> float:
    """Seconds of opening a file once, in a process that has loaded the runtimes alone."""
    from posewright.runtimes.openvino import has_bf16, the_core

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    core, threads = the_core(), os.cpu_count() or 1
    has_bf16()  # which loads the plugin

    def compiled() -> None:
        hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}
        core.compile_model(core.read_model(path), "CPU", hints | {"NUM_STREAMS": threads})

    ways: dict[str, Callable[[], Any]] = {
        "bare onnxruntime": lambda: onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        ),
        "onnxruntime": lambda: load_model(path, runtime="onnxruntime"),
        "bare openvino": compiled,
        "openvino": lambda: load_model(path, runtime="openvino", precision="fp32", threads=threads),
    }
    return timed(ways[way])


def load(path: Path, count: int) -> Iterator[str]:
    """Opening a file, with what its graph does not state, beside the bare runtimes.

    Each time in a fresh process: what was opened before leaves memory behind, and giving that back
    is a cost of the next.
    """
    names = ("bare onnxruntime", "onnxruntime", "bare openvino", "openvino")
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        ways = [lambda name=name: pool.apply(opened, (name, path)) for name in names]
        first, second, third, fourth = rounds(count, *ways)
    size = path.stat().st_size / 1e6
    for name, plain, seconds in (
        (f"onnxruntime {version('onnxruntime')}", first, second),
        (f"openvino {version('openvino')}", third, fourth),
    ):
        yield (
            f"{path.stem}, {size:.0f} MB, loaded in {1000 * statistics.median(seconds):.0f} ms, "
            f"{ratio(seconds, plain):.2f} x bare {name}"
        )


PARTS: dict[str, Callable[[Path, int], Iterator[str]]] = {
    "pose": pose,
    "rtmo": one_stage,
    "end-to-end": end_to_end,
    "load": load,
}
WITHOUT_RTMLIB = ("load",)


def main() -> None:
    """Print a line for each network and part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument(
        "--networks", nargs="+", default=["rtmpose_t", "rtmpose_s", "rtmpose_m"], metavar="NAME"
    )
    args = parser.parse_args()
    print(f"{cpu_name()}, {os.cpu_count()} processors")
    parts = [part for part in args.only if find_spec("rtmlib") or part in WITHOUT_RTMLIB]
    for part in args.only:
        if part not in parts:
            print(f"- {part}: left out; pip install --no-deps rtmlib==0.0.16")
    with tempfile.TemporaryDirectory() as folder:
        files = [] if parts == ["rtmo"] else args.networks
        made = [published(name, Path(folder) / f"{name}_256x192.onnx") for name in files]
        for part in parts:
            for path in [rtmo(Path(folder) / "rtmo-s.onnx")] if part == "rtmo" else made:
                for line in PARTS[part](path, args.rounds):
                    print(f"- {line}", flush=True)


if __name__ == "__main__":
    main()
