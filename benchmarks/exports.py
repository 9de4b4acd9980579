"""Export every network of the zoo and compare each file with torch.

    python benchmarks/exports.py [NAME|FILE ...] [--format openvino] [--clip VIDEO]

The weights of a NAME are random (seeded), so what is compared is the graph: the largest relative
difference of its raw outputs on real crops.  A .safetensors FILE has its own.  --clip: both find
and follow the people of its first 20 frames, too: as many, with the same ids, their joints within
a tenth of a pixel.  Networks of more than --largest million parameters are left out, and named.
Exits with 1 where a file is refused, finds somebody else, or where nobody is found at all.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from posewright import Pose
from posewright.errors import PosewrightError
from posewright.export.export import export
from posewright.machine import cpu_name
from posewright.models import PoseModel, create, variants
from posewright.models.saving import load_model, save_model
from posewright.runtimes.info import ModelInfo

NEAR = 0.1  # px


def main() -> int:
    """Print a line for each network; return 1 if any could not be exported."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--format", default="onnx", choices=["onnx", "openvino"])
    parser.add_argument("--largest", type=float, default=150, help="million parameters")
    parser.add_argument("--clip", default="", help="a video on which both must find the same")
    parser.add_argument("--min-score", type=float, default=0.05, help="of the people of --clip")
    args = parser.parse_args()
    print(f"{cpu_name()}, {torch.get_num_threads()} threads, {args.format}")
    outcomes = [outcome(name, args) for name in args.names or variants()]
    for word in ("ok", "REFUSED", "OTHERS", "left out"):
        print(f"{outcomes.count(word)} {word}")
    return int("REFUSED" in outcomes or "OTHERS" in outcomes)


def outcome(name: str, args: argparse.Namespace) -> str:
    """Export one network into a folder that vanishes; print and return what became of it."""
    torch.manual_seed(0)
    known = name.endswith(".safetensors")
    model, info = load_model(Path(name)) if known else (create(name), None)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    start, said, detail = time.perf_counter(), "left out", ""
    if millions <= args.largest:
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / ("net.onnx" if args.format == "onnx" else "net.xml")
                check = export(model, path, format=args.format, info=info)
                assert check is not None
                detail = f"error {check.error:.1e}  {check.found} found in {check.people} crops"
                said, more = compared(model, info, path, args) if args.clip else ("ok", "")
                detail += more
        except PosewrightError as error:
            said, detail = "REFUSED", str(error)
    seconds = time.perf_counter() - start
    print(f"{name:<28} {millions:7.2f} M {seconds:6.1f} s  {said}  {detail}", flush=True)
    return said


def compared(
    model: PoseModel, info: ModelInfo | None, path: Path, args: argparse.Namespace
) -> tuple[str, str]:
    """Return whether torch and a file find the same people with the same ids, and how near."""
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder) / "net.safetensors", info)
        for file in (Path(folder) / "net.safetensors", path):
            pose = Pose(file, precision="fp32", device="cpu", min_score=args.min_score)
            with pose.stream(args.clip, tracker="oks") as results:
                runs.append([r.people for r in islice(results, 20)])
    ids = [[people.ids.tolist() for people in run] for run in runs]
    count = sum(map(len, ids[0]))
    if ids[0] != ids[1]:
        return "OTHERS", f"  clip: {count} and {sum(map(len, ids[1]))} people, ids differ"
    if not count:
        return "OTHERS", "  clip: nobody found, which shows nothing"
    gaps = [np.abs(a.keypoints - b.keypoints).ravel() for a, b in zip(*runs, strict=True)]
    worst = max((float(gap.max(initial=0)) for gap in gaps), default=0.0)
    said = "ok" if worst <= NEAR else "OTHERS"
    return said, f"  clip: {count} people, same ids, joints within {worst:.3f} px"


if __name__ == "__main__":
    raise SystemExit(main())
