"""Export every network of the zoo and compare each file with torch.

    python benchmarks/exports.py [NAME ...] [--format onnx|openvino] [--largest 150]

Weights are random (seeded), so what is compared is the graph: the largest relative difference of
its raw outputs on real crops.  Networks of more than --largest million parameters are left out, and
named.  Exits with 1 where a file is refused.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from posewright.errors import PosewrightError
from posewright.export import export
from posewright.machine import cpu_name
from posewright.models import create, variants


def main() -> int:
    """Print a line for each network; return 1 if any could not be exported."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--format", default="onnx", choices=["onnx", "openvino"])
    parser.add_argument("--largest", type=float, default=150, help="million parameters")
    args = parser.parse_args()
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, {args.format}")
    outcomes = [outcome(name, args.format, args.largest) for name in args.names or variants()]
    for word in ("ok", "REFUSED", "left out"):
        print(f"{outcomes.count(word)} {word}")
    return int("REFUSED" in outcomes)


def outcome(name: str, form: str, largest: float) -> str:
    """Export one network into a folder that vanishes; print and return what became of it."""
    torch.manual_seed(0)
    model = create(name)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    start, said = time.perf_counter(), "left out"
    detail = ""
    if millions <= largest:
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / ("net.onnx" if form == "onnx" else "net.xml")
                check = export(model, path, format=form)  # type: ignore[arg-type]
            said = "ok"
            assert check is not None
            detail = f"error {check.error:.1e}  people found {check.found} in {check.people} views"
        except PosewrightError as error:
            said, detail = "REFUSED", str(error)
    seconds = time.perf_counter() - start
    print(f"{name:<28} {millions:7.2f} M {seconds:6.1f} s  {said}  {detail}", flush=True)
    return said


if __name__ == "__main__":
    raise SystemExit(main())
