"""What a run was made with, so that its numbers can be understood later."""

from __future__ import annotations

import os
import sys
from typing import Any

import torch

from posewright import __version__
from posewright.machine import cpu_name, package_version, system_name

__all__ = ["environment"]

_PACKAGES = ("torch", "numpy", "opencv-python-headless", "safetensors", "onnxruntime", "av")


def environment(device: str) -> dict[str, Any]:
    """Return versions, machine and device of this process."""
    return {
        "posewright": __version__,
        "python": sys.version.split()[0],
        "system": system_name(),
        "processor": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "cuda": torch.version.cuda,
        "packages": {name: package_version(name) for name in _PACKAGES},
    }
