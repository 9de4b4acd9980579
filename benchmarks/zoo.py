"""Measure the zoo: forward, and forward with backward, beside the plainest writing of each.

Usage: python benchmarks/zoo.py [NAME...] [--batch 4] [--rounds 5] [--device cpu] [--compile]

The plain writing is the network's own sequence of torch operators, recorded by torch.export,
without modules and dictionaries around it; both run in channels_last, forward in inference_mode.
Medians over rounds that alternate between the two.  Exits with 1 if a network takes more than 1.05
times the plain writing.  --device cuda measures images per second in bf16 instead, with --compile
through torch.compile, and the share of the card's measured matrix-product rate.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from posewright.codecs import PoseFix
from posewright.machine import cpu_name
from posewright.models import PoseModel, create, variants
from posewright.models.counting import count

DEFAULT = ("hrnet_w32", "simple_baseline_r50", "fastpose_r50", "vitpose_s", "rtmpose_m")
GPU = ("hrnet_w32", "fastpose_r50", "vitpose_b", "rtmpose_m")
LIMIT = 1.05


def plain(model: PoseModel, x: Tensor) -> Callable[[Tensor], dict[str, Tensor]]:
    """Return the operators of `compute` and nothing else."""

    class Compute(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = copy.deepcopy(model)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return self.network.compute(x)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(Compute().eval(), (x,)).module()


def seconds(run: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def total(outputs: dict[str, Tensor]) -> Tensor:
    """Return a scalar of all outputs, to run backward from."""
    return sum((v.float().square().mean() for v in outputs.values()), torch.zeros(()))


def measure(name: str, batch: int, rounds: int) -> list[float]:
    """Print one line; return the two ratios, ours over plain."""
    model = create(name).to(memory_format=torch.channels_last)
    width, height = model.codec.input_size
    # PoseFix is given a pose, a map for each joint, besides the image
    channels = 3 + len(model.skeleton) * isinstance(model.codec, PoseFix)
    x = torch.rand(batch, channels, height, width).to(memory_format=torch.channels_last)
    other = plain(model, x)

    def forward(network: Callable[[Tensor], dict[str, Tensor]]) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode():
                network(x)

        return run

    def both(network: Callable[[Tensor], dict[str, Tensor]]) -> Callable[[], None]:
        return lambda: total(network(x)).backward()

    ratios, cells = [], []
    for kind in (forward, both):
        ours, theirs = kind(model.compute), kind(other)
        ours(), theirs()
        pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
        a, b = (statistics.median(p[i] for p in pairs) for i in range(2))
        ratios.append(statistics.median(p[0] / p[1] for p in pairs))
        cells.append(f"{a * 1e3:8.1f} / {b * 1e3:8.1f} ms = {ratios[-1]:.2f}")
    start = time.perf_counter()
    create(name)
    made = time.perf_counter() - start
    word = "PASS" if max(ratios) <= LIMIT else "FAIL"
    print(f"{word} {name:28} forward {cells[0]}  + backward {cells[1]}  made in {made:.2f} s")
    return ratios


def on_gpu(name: str, batch: int, rounds: int, compiled: bool, peak: float) -> None:
    """Print images per second in bf16, and the share of the peak."""
    model = create(name).cuda().to(torch.bfloat16).to(memory_format=torch.channels_last)
    width, height = model.codec.input_size
    x = torch.rand(batch, 3, height, width, device="cuda", dtype=torch.bfloat16)
    x = x.to(memory_format=torch.channels_last)
    network = torch.compile(model.compute) if compiled else model.compute

    def run() -> None:
        with torch.inference_mode():
            network(x)
        torch.cuda.synchronize()

    for _ in range(5):
        run()
    median = statistics.median(seconds(run) for _ in range(rounds * 4))
    rate = batch / median
    share = rate * 2 * count(model).macs / peak
    print(f"{name:28} batch {batch:4} {rate:10.0f} images/s, {share:5.1%} of the matmul rate")


def matmul_rate() -> float:
    """Return floating point operations per second of a large bf16 product."""
    a = torch.rand(8192, 8192, device="cuda", dtype=torch.bfloat16)

    def run() -> None:
        a @ a
        torch.cuda.synchronize()

    run()
    return 2 * 8192**3 / statistics.median(seconds(run) for _ in range(10))


def main() -> int:
    """Measure the networks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="networks, or `all`")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    if args.device == "cuda":
        peak = matmul_rate()
        print(f"{torch.cuda.get_device_name()}: {peak / 1e12:.0f} TFLOP/s in bf16 products")
        for name in args.names or GPU:
            for batch in (64, 256):
                on_gpu(name, batch, args.rounds, args.compile, peak)
        return 0
    names = list(variants()) if args.names == ["all"] else args.names or DEFAULT
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    ratios = [r for name in names for r in measure(name, args.batch, args.rounds)]
    return 0 if max(ratios) <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
