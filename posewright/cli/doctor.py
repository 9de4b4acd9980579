"""Report versions, processor, runtimes, and whether the embedded networks run."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "openvino",
    "av",
    "lap",
    "pyarrow",
    "torch",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Examine; return 0 where the embedded networks run, else 4."""
    report = examine()
    print(json.dumps(report) if args.json else "\n".join(lines(report)))
    return 0 if str(report["embedded networks"]).startswith("ok") else 4


def examine() -> dict[str, Any]:
    """Return the versions, the machine, and whether the embedded networks run."""
    from posewright import __version__
    from posewright.machine import cpu_name, package_version, system_name
    from posewright.runtimes.devices import devices_here
    from posewright.runtimes.onnx import providers

    names = (provider.removesuffix("ExecutionProvider") for provider in providers())
    return {
        "posewright": __version__,
        "python": sys.version.split()[0],
        "system": system_name(),
        "processor": cpu_name(),
        "processors": os.cpu_count(),
        **{name: package_version(name) for name in PACKAGES},
        "onnxruntime providers": ", ".join(names),
        "onnxruntime devices": ", ".join(devices_here(providers())),
        "embedded networks": _self_test(),
    }


def lines(report: dict[str, Any]) -> list[str]:
    """Return what `examine` found as lines."""
    return [f"{key:24} {value}" for key, value in report.items()]


def _self_test() -> str:
    """Run both embedded networks on a grey image, where nobody is to be found."""
    import time

    import numpy as np

    from posewright.errors import PosewrightError
    from posewright.pose import Pose

    start = time.perf_counter()
    try:
        pose = Pose()
        found = pose(np.full((128, 128, 3), 128, np.uint8), color="rgb")
    except PosewrightError as error:
        return f"failed: {error}"
    seconds = time.perf_counter() - start
    return f"ok, {pose.model.runtime}, {seconds:.1f} s" if not len(found) else "failed: ghosts"
