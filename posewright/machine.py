"""The machine and the packages that something ran on, for reports."""

from __future__ import annotations

from typing import Any

__all__ = ["NO_MODULES_HERE", "cpu_name", "environment", "package_version", "system_name"]

_PACKAGES = ("torch", "numpy", "opencv-python-headless", "safetensors", "onnxruntime", "av")

# For the environment of a Python that is started: no module is taken from the folder that the user
# is in, which may hold a torch.py that came with somebody's data (from Python 3.11 on).
NO_MODULES_HERE = {"PYTHONSAFEPATH": "1"}


def cpu_name() -> str:
    """Return the processor's name as the system tells it."""
    import os
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    # not platform.processor(), which starts a program to find out
    return names[0] if names else os.environ.get("PROCESSOR_IDENTIFIER") or platform.machine()


def system_name() -> str:
    """Return the operating system with its release, and the C library where it is glibc."""
    import platform

    # not platform.platform(), which starts a program on the way
    parts = [platform.system(), platform.release(), platform.machine(), *platform.libc_ver()]
    return " ".join(part for part in parts if part)


def package_version(package: str) -> str:
    """Return the version of an installed package, "not installed" without it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def environment(device: str) -> dict[str, Any]:
    """Return versions, machine and device of this process, which uses torch."""
    import os
    import sys

    import torch

    from posewright import __version__

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
