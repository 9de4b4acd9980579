"""OpenVINO: the fastest runtime on a CPU, in bf16 where the processor supports it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.codecs.base import Codec, gives_coordinates
from posewright.errors import MissingError, ModelError, near
from posewright.files.contents import open_regular
from posewright.runtimes.batching import batch_size, fixed_size, further_inputs, in_batches
from posewright.runtimes.info import METADATA_KEY, ModelInfo
from posewright.runtimes.onnx import open_unoptimised, read_info
from posewright.runtimes.weightcheck import searching, without_numbers
from posewright.skeletons import Skeleton
from posewright.telemetry import loading_openvino

with loading_openvino():
    import openvino as ov

__all__ = ["OpenVinoModel", "has_bf16", "ir_info", "the_core"]

_HEAD = 4096  # bytes of a file within which its network begins
# OpenVINO's own errors; a graph without inputs; names, or messages that quote them, in no UTF-8
_REFUSED = (RuntimeError, IndexError, UnicodeDecodeError)


@cache
def the_core() -> Any:
    """Return OpenVINO's Core, one for the lifetime of the process.

    Its CPU plugin gives the thread a stack for signals, and takes it away when the Core goes.  Of
    two that go in another order than the reverse, the second puts back what the first has freed,
    and the next Ctrl-C is a segmentation fault.
    """
    return ov.Core()


@dataclass(frozen=True)
class OpenVinoModel:
    """A compiled network; each calling thread has its own inference request.

    batch: batch size of the graph, 0 for a dynamic one.  broken: its weights contain NaN; then all
    outputs are NaN.
    """

    info: ModelInfo
    compiled: Any
    outputs: tuple[str, ...]
    precision: str
    batch: int = 0
    broken: bool = False
    local: threading.local = field(default_factory=threading.local)

    @property
    def codec(self) -> Codec:
        """How views are cropped and outputs decoded."""
        return self.info.codec

    @property
    def skeleton(self) -> Skeleton:
        """The joints that it predicts."""
        return self.info.skeleton

    @property
    def runtime(self) -> str:
        """The runtime and precision, for reports."""
        return f"openvino {ov.__version__.split('-')[0]} cpu {self.precision}"

    @property
    def only_size(self) -> tuple[int, int] | None:
        """(width, height) of the only views that the graph takes; None where it takes any."""
        axes = list(self.compiled.inputs[0].get_partial_shape())
        sides = [axis.get_length() if axis.is_static else None for axis in axes]
        return fixed_size("NHWC", sides)  # as `_with_normalisation` makes them

    def with_threshold(self, score: float) -> OpenVinoModel:
        """Return the same network with another score threshold; UsageError: its codec has none."""
        return replace(self, info=self.info.with_threshold(score))

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        layout: str = "",
        skeleton: str = "",
        precision: str = "auto",
        threads: int = 1,
    ) -> OpenVinoModel:
        """Compile a file for `threads` concurrent calls, one core each."""
        if path.suffix == ".xml":
            return cls._compile(path, ir_info(the_core(), path), precision, threads)
        with searching(path) as has_nan:
            info = read_info(path, open_unoptimised(path), layout, skeleton)
            return replace(cls._compile(path, info, precision, threads), broken=has_nan())

    @classmethod
    def _compile(cls, path: Path, info: ModelInfo, precision: str, threads: int) -> OpenVinoModel:
        if precision == "auto":
            # in bf16 a coordinate of 500 is rounded to 2 px
            fast = has_bf16() and not gives_coordinates(info.codec)
            precision = "bf16" if fast else "fp32"
        elif precision == "bf16" and not has_bf16():
            raise MissingError("this processor does not support bf16; use --precision fp32")
        config = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "THROUGHPUT",
            # pinned, the streams of detector and pose network would wait for the same core
            "ENABLE_CPU_PINNING": False,
        }
        try:
            core = the_core()
            model = core.read_model(path)
            names = info.outputs or tuple(port.get_any_name() for port in model.outputs)
            views = model.inputs[0].get_partial_shape()[0]
            batch = batch_size(info, [views.get_length()] if views.is_static else [])
            compiled = core.compile_model(_with_normalisation(model, info), "CPU", config)
            broken = path.suffix == ".xml" and _has_nan(model)
            return cls(info, compiled, names, precision, batch, broken)
        except _REFUSED as error:
            raise ModelError(f"{path} cannot be run by OpenVINO: {error}") from error

    def __call__(
        self, views: NDArray[np.uint8], condition: NDArray[np.float32] | None = None
    ) -> dict[str, NDArray[Any]]:
        """(B, h, w, 3) uint8 RGB -> the arrays that the codec documents."""
        given = [views, *further_inputs(self.info, views, condition)]
        try:
            arrays = in_batches(given, self.batch, self._infer)
        except _REFUSED as error:
            raise ModelError(
                f"{self.info.name} failed on an input of shape {views.shape}: {error}"
            ) from error
        if self.broken:
            arrays = without_numbers(arrays)
        return dict(zip(self.outputs, arrays, strict=True))

    def _infer(self, given: list[NDArray[Any]]) -> list[NDArray[Any]]:
        if not hasattr(self.local, "request"):
            self.local.request = self.compiled.create_infer_request()
        request = self.local.request
        request.infer([ov.Tensor(np.ascontiguousarray(a), shared_memory=True) for a in given])
        # copies, because the request's memory is used again
        return [np.array(request.get_tensor(port).data) for port in self.compiled.outputs]


def ir_info(core: Any, path: Path) -> ModelInfo:
    """Return the description that an exported .xml carries."""
    try:
        # OpenVINO takes anything else for a network of TensorFlow, and prints what it is not.
        with open_regular(path) as file:
            if b"<net" not in file.read(_HEAD):
                raise RuntimeError("it contains no network")
        text = core.read_model(path).get_rt_info(METADATA_KEY).astype(str)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}{near(path)}") from error
    except _REFUSED as error:
        raise ModelError(
            f"{path}: not an OpenVINO file that posewright export has written"
        ) from error
    return ModelInfo.from_json(text, path)


def _has_nan(model: Any) -> bool:
    """Tell whether a constant of a graph holds NaN; branches and loops are not looked into."""
    constants = (op.data for op in model.get_ops() if op.get_type_name() == "Constant")
    return any(a.dtype.kind == "f" and bool(np.isnan(a).any()) for a in constants)


def has_bf16() -> bool:
    """Whether the processor computes in bf16."""
    return "BF16" in the_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _with_normalisation(model: Any, info: ModelInfo) -> Any:
    """Put layout, colour order and normalisation into a graph that leaves them to the caller."""
    spec = info.input
    if spec.raw:
        return model
    port = model.inputs[0]
    shape, channels = port.get_partial_shape(), spec.layout.index("C")
    if shape[channels].is_dynamic:  # which normalisation needs; such views have one size
        width, height = info.codec.input_size
        sides = {"C": 3, "H": height, "W": width}
        model.reshape({port: [shape[0], *(sides[axis] for axis in spec.layout[1:])]})
    steps = ov.preprocess.PrePostProcessor(model)
    image = steps.input(0)
    image.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    image.tensor().set_color_format(ov.preprocess.ColorFormat.RGB)
    image.model().set_layout(ov.Layout(spec.layout))
    chain = image.preprocess().convert_element_type(ov.Type.f32)
    if spec.color == "BGR":
        chain = chain.convert_color(ov.preprocess.ColorFormat.BGR)
    chain.mean(list(spec.mean)).scale(list(spec.std)).convert_element_type(port.element_type)
    return steps.build()
