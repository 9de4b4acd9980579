"""Runtimes: a network file -> a model, that is anything with `codec`, `skeleton` and
`__call__(views (B, h, w, 3) uint8 RGB) -> {name: array}`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol, get_args

from posewright.codecs.base import Array, Codec
from posewright.errors import MissingError, UsageError, nearest
from posewright.runtimes.info import ModelInfo
from posewright.skeletons import Skeleton

__all__ = ["Model", "Precision", "Runtime", "load_model"]

Runtime = Literal["auto", "onnxruntime", "openvino"]
Precision = Literal["auto", "fp32", "bf16"]


class Model(Protocol):
    """The seam between networks and everything else; calling it from several threads is safe."""

    @property
    def info(self) -> ModelInfo:
        """What the file says of itself."""

    @property
    def codec(self) -> Codec:
        """How its views are cut and its outputs read."""

    @property
    def skeleton(self) -> Skeleton:
        """The joints that it finds; none for a detector."""

    @property
    def runtime(self) -> str:
        """What runs it, for reports."""

    def __call__(self, views: Array) -> dict[str, Array]:
        """(B, h, w, 3) uint8 RGB -> the arrays that the codec documents."""


def load_model(
    path: Path,
    *,
    layout: str = "",
    runtime: Runtime = "auto",
    device: str = "auto",
    precision: Precision = "auto",
    threads: int = 1,
) -> Model:
    """Open an ONNX file that carries our metadata, or has a layout that mmdeploy publishes.

    layout: "rtmpose", "rtmdet" or "yolox" for a file without metadata whose name does not say it.
    runtime: "auto" takes OpenVINO where it is installed and the device is a CPU.  precision: "auto"
    takes bf16 in OpenVINO where the processor has it.  threads: calls that may run at once.
    Errors: UsageError (unknown option), MissingError (runtime or device not here), ModelError.
    """
    for word, known in ((runtime, get_args(Runtime)), (precision, get_args(Precision))):
        if word not in known:
            raise UsageError(f"{word!r} is not one of {', '.join(known)}{nearest(word, known)}")
    if _choose(runtime, device, precision) == "openvino":
        from posewright.runtimes.openvino import OpenVinoModel

        return OpenVinoModel.load(path, layout=layout, precision=precision, threads=threads)
    from posewright.runtimes.onnx import OnnxModel

    return OnnxModel.load(path, layout=layout, device=device)


def _choose(runtime: str, device: str, precision: str) -> str:
    """Return the runtime to use; a MissingError where it is asked for by name and is not here."""
    here = find_spec("openvino") is not None
    if runtime == "openvino" and not here:
        raise MissingError('OpenVINO is not installed; run: pip install "posewright[openvino]"')
    if runtime == "openvino" and device not in ("auto", "cpu"):
        raise UsageError(f"the openvino runtime runs on the cpu only, not on {device!r}")
    if runtime == "auto":
        runtime = "openvino" if here and device in ("auto", "cpu") else "onnxruntime"
    if runtime == "onnxruntime" and precision == "bf16":
        raise MissingError(
            "bf16 needs the openvino runtime; run: pip install "
            '"posewright[openvino]" or ask for --precision fp32'
        )
    return runtime
