"""onnxruntime: the runtime that every installation has."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from posewright.codecs.base import Codec
from posewright.errors import ModelError, UsageError, near
from posewright.runtimes.batching import batch_size, fixed_size, further_inputs, second_input
from posewright.runtimes.devices import CPU, Device, device_memory, parse_device
from posewright.runtimes.engines import tensorrt_options
from posewright.runtimes.info import METADATA_KEY, ModelInfo
from posewright.runtimes.layouts import ELEMENTS, Graph, infer_info
from posewright.runtimes.memory import Batches, most_views
from posewright.runtimes.outline import outline
from posewright.runtimes.weightcheck import searching, without_numbers
from posewright.skeletons import Skeleton

__all__ = ["OnnxModel", "inferred", "open_unoptimised", "providers", "read_info"]

# for a program that loaded onnxruntime before posewright could set its environment variable
ort.disable_telemetry_events()


@dataclass(frozen=True)
class OnnxModel:
    """A network in an onnxruntime session of one thread; the pipeline calls it from several.

    broken: its weights contain NaN; then all outputs are NaN.  batches: number of views of a call.
    """

    info: ModelInfo
    session: Any
    broken: bool = False
    precision: str = "fp32"
    batches: Batches = field(default_factory=Batches, compare=False)

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
        return f"onnxruntime {ort.__version__} {self.session.get_providers()[0]} {self.precision}"

    @property
    def only_size(self) -> tuple[int, int] | None:
        """(width, height) of the only views that the graph takes; None where it takes any."""
        return fixed_size(self.info.input.layout, self.session.get_inputs()[0].shape)

    def with_threshold(self, score: float) -> OnnxModel:
        """Return the same network with another score threshold; UsageError: its codec has none."""
        return replace(self, info=self.info.with_threshold(score))

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        layout: str = "",
        skeleton: str = "",
        device: str = "auto",
        precision: str = "fp32",
    ) -> OnnxModel:
        """Open a file on a device; a device that is missing is an error, never a fallback."""
        place = parse_device(device)
        place.check(providers())
        with searching(path) as has_nan:
            if place == CPU:
                session = _open(path)
                return cls(read_info(path, session, layout, skeleton), session, has_nan())
            described = open_unoptimised(path)  # on the processor, as no device is needed for it
            info = read_info(path, described, layout, skeleton)
            most = most_views(device_memory(place), info.codec.input_size)
            further: dict[str, str] = {}
            if place.kind == "tensorrt":
                files = [file for file in (path, data_beside(path)) if file.is_file()]
                further = tensorrt_options(files, info, described.get_inputs(), most, precision)
            session = _open(path, place, further)
            place.check_started(session.get_providers())
            return cls(info, session, has_nan(), precision, Batches(most, alone=True))

    def __call__(
        self, views: NDArray[np.uint8], condition: NDArray[np.float32] | None = None
    ) -> dict[str, NDArray[Any]]:
        """(B, h, w, 3) uint8 RGB -> the arrays that the codec documents."""
        given = [self.info.input.prepare(views), *further_inputs(self.info, views, condition)]
        inputs = self.session.get_inputs()
        names = self.info.outputs or tuple(o.name for o in self.session.get_outputs())

        def run(arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
            feed = {i.name: a for i, a in zip(inputs, arrays, strict=True)}
            outputs: list[NDArray[Any]] = self.session.run(None, feed)
            return outputs

        try:
            arrays = self.batches.run(given, batch_size(self.info, inputs[0].shape), run)
        except Exception as error:  # onnxruntime's own errors derive from nothing narrower
            raise ModelError(
                f"{self.info.name} failed on an input of shape {views.shape}: {error}"
            ) from error
        return dict(zip(names, without_numbers(arrays) if self.broken else arrays, strict=True))


def read_info(path: Path, session: Any, layout: str = "", skeleton: str = "") -> ModelInfo:
    """Return the metadata of a file, or what its inputs and outputs tell.

    layout, skeleton: of a file without metadata; a UsageError for one that has its own.
    """
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is not None:
        given = {"layout": layout, "skeleton": skeleton}
        if named := [f"{key} {word}" for key, word in given.items() if word]:
            raise UsageError(f"{path} states its layout and skeleton; remove {named[0]}")
        return ModelInfo.from_json(text, path)
    inputs, outputs = ({p.name: p.shape for p in ports} for ports in _ports(session))
    types = {i.name: i.type for i in session.get_inputs()}
    graph = Graph(inputs, outputs, types, partial(_shapes, path, session))
    return infer_info(path, layout, graph, skeleton)


def _ports(session: Any) -> tuple[Any, Any]:
    return session.get_inputs(), session.get_outputs()


def _shapes(path: Path, session: Any, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the outputs for one view of a size: inferred, else those of a run."""
    (image, *further), outputs = _ports(session)
    shape = (1, *size[::-1], 3) if image.shape[-1] == 3 else (1, 3, *size[::-1])
    feed = {image.name: np.zeros(shape, ELEMENTS[image.type])}
    feed |= {port.name: second_input(port.name, 1, size) for port in further}
    found = inferred(path, {name: array.shape for name, array in feed.items()})
    if found is not None:
        return found
    try:
        arrays = session.run(None, feed)
    except Exception as error:  # onnxruntime's own errors derive from nothing narrower
        raise ModelError(f"{path} failed on a blank input of {size}: {error}") from error
    return {port.name: array.shape for port, array in zip(outputs, arrays, strict=True)}


def inferred(
    path: Path, inputs: dict[str, tuple[int, ...]], further: Sequence[str] = ()
) -> dict[str, tuple[int, ...]] | None:
    """Return the inferred shapes of the outputs; None where one depends on the pixels.

    further: other values whose shapes are wanted; then only these need to be known.
    """
    # folding of constants, as basic optimisation does it, computes the shapes that nodes compute
    options = _options(ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    try:
        graph = outline(path, inputs, further)
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        shapes = {port.name: tuple(port.shape) for port in session.get_outputs()}
    except Exception:  # onnxruntime's own errors derive from nothing narrower
        return None
    whole = {
        name: shape
        for name, shape in shapes.items()
        if shape and all(isinstance(axis, int) for axis in shape)
    }
    return whole if set(whole) >= set(further or shapes) else None


def data_beside(path: Path) -> Path:
    """Return the path of the external weights of an .onnx that is too large for one file."""
    return path.with_name(f"{path.name}.data")


def open_unoptimised(path: Path) -> Any:
    """Open a file only to read its description."""
    return _open(path, level=ort.GraphOptimizationLevel.ORT_DISABLE_ALL)


def providers() -> list[str]:
    """Return the execution providers of the installed onnxruntime."""
    return list(ort.get_available_providers())


def _texts(session: Any) -> list[str]:
    """Return what is text in a file; UnicodeDecodeError, here and now, where it is not UTF-8."""
    ports = [port for each in _ports(session) for port in each]
    sizes = [size for port in ports for size in port.shape if isinstance(size, str)]
    names = [port.name for port in ports]
    return [*names, *sizes, *session.get_modelmeta().custom_metadata_map.values()]


def _options(level: Any = None) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # parallelism comes from calls that run side by side
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; without, they are printed as well
    if level is not None:
        options.graph_optimization_level = level
    return options


def _is_utf8(path: Path) -> bool:
    try:
        return bool(os.fspath(path).encode())
    except UnicodeEncodeError:
        return False


def _open(
    path: Path, device: Device = CPU, further: Mapping[str, str] | None = None, level: Any = None
) -> Any:
    if not path.is_file():
        raise ModelError(f"no model file {os.fspath(path)!r}{near(path)}")
    # by its name, which takes half the time of its bytes, unless the name is not UTF-8
    file = os.fspath(path) if _is_utf8(path) else path.read_bytes()
    options = _options(level)
    device.set_session(options, ort.ExecutionMode.ORT_SEQUENTIAL)
    if "CUDAExecutionProvider" in device.providers and hasattr(ort, "preload_dlls"):
        with redirect_stdout(StringIO()):  # what is missing shows when the session starts
            ort.preload_dlls()  # CUDA and cuDNN where pip has installed them
    try:
        # without, a session that fails is opened, and run, on the processor instead
        session = ort.InferenceSession(
            file, options, providers=device.asked(further or {}), enable_fallback=0
        )
        _texts(session)
        return session
    except Exception as error:  # onnxruntime's own errors derive from nothing narrower
        why = re.sub(r"^\[\w+\] : \d+ : \w+ : ", "", str(error)).rstrip(". ")
        if device != CPU:  # where the file has been opened before
            raise device.not_started(f"{path} could not be opened ({why})") from error
        raise ModelError(
            f"{path} is not an ONNX file that onnxruntime can run ({why}); download or export it "
            "again"
        ) from error
