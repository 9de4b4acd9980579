"""Runtimes: a network file -> a model, that is anything with `codec`, `skeleton` and
`__call__(views (B, h, w, 3) uint8 RGB) -> {name: array}`.

info         what a model file says of itself
layouts      files that say nothing: which published layout they have
forms        the published layouts
onnx         onnxruntime
devices      what onnxruntime is asked for on each device
engines      what TensorRT is asked for, and where its engines are kept
memory       how many views go into one call
openvino     OpenVINO
torch        networks of the zoo
batching     calls of graphs with a fixed batch size, and with further inputs
weightcheck  NaN in the weights of ONNX files
outline      graphs without their weights, for the shapes of their outputs
protobuf     the fields of ONNX files, without the onnx package
counts       parameters and multiply-accumulates, and how they are defined
onnx_counts  those of ONNX files, openvino_counts those of OpenVINO's
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from posewright.codecs.base import Array, Codec
from posewright.errors import MissingError, ModelError, UsageError, nearest
from posewright.extras import installed, missing, naming_extras
from posewright.people import People
from posewright.runtimes.info import ModelInfo
from posewright.skeletons import Skeleton

__all__ = ["Model", "Precision", "Runtime", "decoded", "load_model"]

Runtime = Literal["auto", "onnxruntime", "openvino", "torch"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


class Model(Protocol):
    """The seam between networks and everything else; calling it from several threads is safe."""

    @property
    def info(self) -> ModelInfo:
        """The metadata of the file."""

    @property
    def codec(self) -> Codec:
        """How views are cropped and outputs decoded."""

    @property
    def skeleton(self) -> Skeleton:
        """The joints that it predicts; none for a detector."""

    @property
    def runtime(self) -> str:
        """The runtime and precision, for reports."""

    @property
    def only_size(self) -> tuple[int, int] | None:
        """(width, height) of the only views that it takes; None where it takes any."""

    def with_threshold(self, score: float) -> Model:
        """Return the same network with another score threshold; UsageError: its codec has none."""

    def __call__(self, views: Array, condition: Array | None = None) -> dict[str, Array]:
        """(B, h, w, 3) uint8 RGB -> the arrays that the codec documents.

        condition: (B, K, h, w) float32, what networks that refine a pose take besides the views.
        """


def decoded(
    model: Model, outputs: Mapping[str, Array], decode: Callable[[Any], list[People]] | None = None
) -> list[People]:
    """Return the people of each view; a ModelError where the outputs do not match the codec.

    decode: what takes the outputs, in place of the codec's `decode`.
    """
    try:
        found = (decode or model.codec.decode)(outputs)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        shapes = {name: array.shape for name, array in outputs.items()}
        raise ModelError(
            f"{model.info.name}: outputs {str(shapes)[:200]} do not match the codec "
            f"{model.codec.kind!r} in its metadata; export it again"
        ) from error
    joints = {people.keypoints.shape[1] for people in found} - {0, len(model.skeleton)}
    if joints:
        raise ModelError(
            f"{model.info.name}: it outputs {joints.pop()} joints, but its metadata names "
            f"{len(model.skeleton)}; export it again"
        )
    return found


def load_model(
    path: Path | str,
    *,
    layout: str = "",
    skeleton: str = "",
    weights: Path | None = None,
    runtime: Runtime = "auto",
    device: str = "auto",
    precision: Precision = "auto",
    threads: int = 1,
) -> Model:
    """Open a network: an ONNX file with our metadata or in a published layout, a posewright
    .safetensors file, or a network of the zoo by name with `weights`.

    layout, skeleton: names, for an ONNX file without metadata that does not tell; the layouts are
    those of docs/add-a-model.md.
    runtime: "auto" uses OpenVINO where it is installed and the device is a CPU.  device: "cpu",
    "cuda", "tensorrt", "directml", "coreml" or "rocm", those of GPUs with a number as in "cuda:1";
    torch has "cpu", "cuda" and "mps".  precision: "auto" uses bf16 in OpenVINO where the processor
    supports it; "fp16" is for TensorRT.  threads: number of concurrent calls.
    Errors: UsageError (unknown option), MissingError (runtime or device not available), ModelError.
    """
    for word, known in ((runtime, get_args(Runtime)), (precision, get_args(Precision))):
        if word not in known:
            raise UsageError(f"{word!r} is not one of {', '.join(known)}{nearest(word, known)}")
    if not isinstance(device, str):
        raise UsageError(f"device={device!r} is not the name of a device, such as cpu or cuda:1")
    if (layout or skeleton) and Path(path).suffix != ".onnx":
        raise UsageError(f"{path} is no .onnx file without metadata; remove layout and skeleton")
    if precision == "fp16" and device.partition(":")[0] != "tensorrt":
        raise UsageError(f"precision fp16 is for the device tensorrt, not {device!r}; leave it out")
    if Path(path).suffix == ".xml":
        return _openvino_ir(Path(path), runtime, device, precision, threads)
    if runtime == "torch" or Path(path).suffix != ".onnx":
        if runtime not in ("auto", "torch"):
            raise UsageError(f"{runtime} runs .onnx files; export {path} first: posewright export")
        if Path(path).suffix == ".onnx":
            raise UsageError(f"torch runs networks of the zoo and .safetensors files, not {path}")
        with naming_extras(str(path)):
            from posewright.runtimes.torch import TorchModel
        return TorchModel.load(path, weights=weights, device=device, precision=precision)
    path = Path(path)
    if weights is not None:
        raise UsageError(f"{path} already contains its weights; remove {weights}")
    if _choose(runtime, device, precision) == "openvino":
        from posewright.runtimes.openvino import OpenVinoModel

        return OpenVinoModel.load(
            path, layout=layout, skeleton=skeleton, precision=precision, threads=threads
        )
    from posewright.runtimes.onnx import OnnxModel

    return OnnxModel.load(
        path,
        layout=layout,
        skeleton=skeleton,
        device=device,
        precision="fp16" if precision == "fp16" else "fp32",
    )


def _openvino_ir(path: Path, runtime: str, device: str, precision: str, threads: int) -> Model:
    """Return a network that was exported for OpenVINO."""
    if runtime not in ("auto", "openvino"):
        raise UsageError(f"{path} is an OpenVINO file; {runtime} cannot run it")
    _choose("openvino", device, precision)
    from posewright.runtimes.openvino import OpenVinoModel

    return OpenVinoModel.load(path, precision=precision, threads=threads)


def _choose(runtime: str, device: str, precision: str) -> str:
    """Return the runtime to use; a MissingError where it is asked for by name and is not here."""
    here = installed("openvino")
    if runtime == "openvino" and not here:
        raise missing("openvino", "runtime openvino")
    if runtime == "openvino" and device not in ("auto", "cpu"):
        raise UsageError(f"the openvino runtime supports only the cpu, not {device!r}")
    if runtime == "auto":
        runtime = "openvino" if here and device in ("auto", "cpu") else "onnxruntime"
    if runtime == "onnxruntime" and precision == "bf16":
        raise MissingError(
            "bf16 needs the openvino runtime; run: pip install "
            '"posewright[openvino]" or use --precision fp32'
        )
    return runtime
