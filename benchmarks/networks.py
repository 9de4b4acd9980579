"""Published network files beside rtmlib and beside the bare runtimes: joints, speed and loading.

    python benchmarks/networks.py [--only PART ...] [--networks NAME ...] [--rounds N]

PARTS: pose, load.  The files have the form of the published ones and random weights, which compute
as fast as trained ones; they are written by torch.  Runs that are compared take turns in one
process; a figure is the median of its rounds, a ratio the median of the rounds' ratios.  `pose`
needs `pip install --no-deps rtmlib==0.0.16`; it is left out, and said so, without it.
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

from posewright import Frame
from posewright.machine import cpu_name
from posewright.people import People
from posewright.pipeline.estimate import estimate_all
from posewright.runtimes import Runtime, load_model

PEOPLE = 8
FRAMES = 5
SIZE = (192, 256)


def published(name: str, path: Path) -> Path:
    """A network of the zoo in the form of a published RTMPose file: an open batch, named axes."""
    import torch

    from posewright.models import create

    network: Any = create(name).eval()

    class Vectors(torch.nn.Module):
        """The outputs in the order of the published files."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, views: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            """(B, 3, h, w) normalised -> x and y."""
            outputs = self.network.compute(views)
            return outputs["x"], outputs["y"]

    names = ["simcc_x", "simcc_y"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Vectors(),
            (torch.zeros(1, 3, *SIZE[::-1]),),
            str(path),
            opset_version=11,
            input_names=["input"],
            output_names=names,
            dynamic_axes={name: {0: "batch"} for name in ("input", *names)},
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
    if find_spec("rtmlib") is None:
        yield "rtmlib: left out; pip install --no-deps rtmlib==0.0.16"
        return
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


PARTS: dict[str, Callable[[Path, int], Iterator[str]]] = {"pose": pose, "load": load}


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
    with tempfile.TemporaryDirectory() as folder:
        for name in args.networks:
            path = published(name, Path(folder) / f"{name}_256x192.onnx")
            for part in args.only:
                for line in PARTS[part](path, args.rounds):
                    print(f"- {line}", flush=True)


if __name__ == "__main__":
    main()
