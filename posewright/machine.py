"""The machine that something ran on, for reports."""

from __future__ import annotations

__all__ = ["cpu_name", "package_version"]


def cpu_name() -> str:
    """Return the processor's name as the system tells it."""
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def package_version(package: str) -> str:
    """Return the version of an installed package, "not installed" without it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
