"""Devices of onnxruntime: the execution providers that each asks for, and their options.

Names of options as onnxruntime documents them for each execution provider.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from posewright.errors import MissingError, UsageError, nearest

__all__ = ["CPU", "Device", "device_memory", "devices_here", "parse_device"]

Asked = list[tuple[str, dict[str, str]]]  # providers in order, with their options


@dataclass(frozen=True)
class _Kind:
    """providers: in the order in which they get nodes.  brings: what to install.

    numbered: there may be several, cuda:1.
    """

    providers: tuple[str, ...]
    brings: str
    numbered: bool = True


def _instead(package: str, further: str = "") -> str:
    """Return how a package takes the place of onnxruntime, whose modules it replaces."""
    return f"run: pip uninstall onnxruntime, then: pip install {package}{further}"


_KINDS = {
    "cpu": _Kind(("CPUExecutionProvider",), "run: pip install onnxruntime", False),
    "cuda": _Kind(("CUDAExecutionProvider",), _instead("onnxruntime-gpu")),
    "tensorrt": _Kind(
        ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
        _instead("onnxruntime-gpu", ", and install TensorRT"),
    ),
    "directml": _Kind(("DmlExecutionProvider",), _instead("onnxruntime-directml", " (Windows)")),
    "coreml": _Kind(
        ("CoreMLExecutionProvider",),
        "onnxruntime for macOS brings it: pip install onnxruntime",
        False,
    ),
    "rocm": _Kind(("ROCMExecutionProvider",), _instead("onnxruntime-rocm")),
}
_PLAIN = {
    # without TF32, whose products have 10 bits, so that fp32 is what it says; and no search for the
    # fastest algorithm each time that a batch has another size
    "CUDAExecutionProvider": {
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",
    },
    # a program keeps float32; the older format computes in half precision
    "CoreMLExecutionProvider": {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"},
}


@dataclass(frozen=True)
class Device:
    """A device by kind and number, as in "cuda:1"."""

    kind: str
    number: int = 0

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers that must have started, in order."""
        return _KINDS[self.kind].providers

    def check(self, available: Sequence[str]) -> None:
        """Raise a MissingError where the installed onnxruntime lacks a provider."""
        for provider in self.providers:
            if provider not in available:
                raise MissingError(
                    f"device {self.kind!r} needs {provider}, and this onnxruntime has "
                    f"{', '.join(available)}; {_KINDS[self.kind].brings}"
                )

    def asked(self, tensorrt: Mapping[str, str]) -> Asked:
        """Return the providers to ask for with their options; tensorrt: further ones of its."""
        number = {"device_id": str(self.number)} if _KINDS[self.kind].numbered else {}
        further = {"TensorrtExecutionProvider": tensorrt}
        return [(p, {**number, **_PLAIN.get(p, {}), **further.get(p, {})}) for p in self.providers]

    def set_session(self, options: Any, sequential: Any) -> None:
        """Set what a provider requires of the options of a session.

        sequential: onnxruntime's name for running nodes one after another.
        """
        if self.kind == "directml":
            options.enable_mem_pattern = False
            options.execution_mode = sequential

    def check_started(self, started: Sequence[str]) -> None:
        """Raise a MissingError where onnxruntime took other providers than it was asked for."""
        if tuple(started[: len(self.providers)]) != self.providers:
            raise self.not_started(
                f"onnxruntime started {', '.join(started)} in place of {', '.join(self.providers)}"
            )

    def not_started(self, why: str) -> MissingError:
        """Return the error of a device that does not work."""
        return MissingError(
            f"device {self.kind!r}: {why}; check the driver and the libraries that this build of "
            "onnxruntime needs, or use --device cpu"
        )


CPU = Device("cpu")


def parse_device(text: str) -> Device:
    """Return the device that a text names; "auto" is the processor.  UsageError: there is none."""
    if text == "auto":
        return CPU
    name, colon, number = text.partition(":")
    if name not in _KINDS:
        raise UsageError(f"no device {text!r}{nearest(name, _KINDS)}; {sorted(_KINDS)}")
    if colon and not (_KINDS[name].numbered and re.fullmatch("[0-9]{1,3}", number)):
        raise UsageError(f"device {text!r}: a number from 0 on may follow cuda and its like alone")
    return Device(name, int(number or 0))


def devices_here(available: Sequence[str]) -> list[str]:
    """Return the kinds of devices whose providers are available."""
    return [name for name, kind in _KINDS.items() if set(kind.providers) <= set(available)]


def device_memory(device: Device) -> int:
    """Return the bytes of memory of a GPU by CUDA's driver; 0 where that does not tell."""
    import ctypes

    if "CUDAExecutionProvider" not in device.providers:
        return 0
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        handle, size = ctypes.c_int(), ctypes.c_size_t()
        failed = (
            driver.cuInit(0)
            or driver.cuDeviceGet(ctypes.byref(handle), device.number)
            or driver.cuDeviceTotalMem_v2(ctypes.byref(size), handle)
        )
    except (OSError, AttributeError):
        return 0
    return 0 if failed else size.value
