"""The machine that something ran on, for reports."""

from __future__ import annotations

__all__ = ["NO_MODULES_HERE", "cpu_name", "package_version", "system_name"]

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
