"""Export a network of the zoo to one file that any runtime of posewright, and others, can run.

Batch norm is folded here, transposed convolutions included, because torch's own freezing is wrong
for them.  The written file is compared with the torch network on real crops before it is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from posewright.codecs.base import condition_shape
from posewright.errors import ModelError, OutputError, UsageError
from posewright.export.agreement import BATCHES, ROUNDING, Check, agreement
from posewright.export.folding import fold_batch_norm
from posewright.export.openvino import crops_of, write_openvino
from posewright.export.quiet import quiet
from posewright.extras import installed, missing
from posewright.files.scratch import move, scratch
from posewright.models import PoseModel
from posewright.models.saving import describe, save_model
from posewright.runtimes import Runtime, load_model
from posewright.runtimes.info import METADATA_KEY, Input, ModelInfo
from posewright.runtimes.onnx import data_beside
from posewright.runtimes.torch import TorchModel

__all__ = [
    "Check",
    "Format",
    "check_export",
    "export",
    "fold_batch_norm",
    "parts",
    "require_agreement",
    "write_onnx",
]

Format = Literal["onnx", "openvino", "torch"]
ONE_FILE = 1.9e9  # bytes of weights; an ONNX file cannot hold 2 GiB, the rest of it included
_OUTPUTS = 1e-3  # largest relative difference of an output that is not quantised


class _Graph(nn.Module):
    """The network as a graph of positional arrays."""

    def __init__(self, model: PoseModel, raw: bool) -> None:
        super().__init__()
        self.model = model
        self.raw = raw

    def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, ...]:
        if self.raw:
            return tuple(self.model(x, condition).values())
        x = x if condition is None else torch.cat([x, condition], 1)
        return tuple(self.model.compute(x).values())


def export(
    model: PoseModel,
    path: Path,
    *,
    format: Format = "onnx",
    info: ModelInfo | None = None,
    fixed_batch: int = 0,
    seed_input: bool = False,
    calibrate: Path | None = None,
    check: bool = True,
    tolerance: float = 0.1,
) -> Check | None:
    """Write `path` (.onnx, .xml and .bin, or .safetensors) and compare it with the network.

    Weights above 1.9 GB lie in NAME.onnx.data beside the .onnx, which goes nowhere without them.
    info: codec, licence and origin of the weights, as of `saving.describe`.  fixed_batch: views of
    every call, 0 for any number.  seed_input: the graph's input is `input`, normalised float32
    (B, 3, h, w), instead of uint8 views (B, h, w, 3), and the normalisation is left to the caller.
    calibrate: a folder of images of people; weights and activations become int8 (openvino).
    tolerance: mean distance of joints in view pixels above which the file is refused, unless its
    outputs are equal up to rounding; so it is where those of a file that is not int8 differ.
    A codec whose views follow the image is `square` in the file, whose graph has one size.
    Errors: ModelError (the file differs), OutputError, MissingError (a package is not installed),
    UsageError (a number below 0, or NaN).
    """
    if fixed_batch < 0 or not tolerance >= 0:
        raise UsageError(
            f"invalid fixed batch {fixed_batch} or tolerance {tolerance:g} px; give 0 or more"
        )
    info = info or describe(model)
    if format == "torch":
        save_model(model, path, info)
        return None
    _check_packages(format, calibrate is not None)
    model = copy.copy(model)  # the weights are shared, the codec is not
    codec: Any = info.codec
    # its views all have the size of the graph
    model.codec = codec if getattr(codec, "square", True) else replace(codec, square=True)
    raw = Input() if not seed_input else model.pixels
    info = replace(info, input=raw, codec=model.codec, skeleton=model.skeleton)
    crops = crops_of(calibrate, model.codec) if format == "openvino" else None
    # under their own names, as a file of two parts holds the name of the other
    with _folder_beside(path) as folder:
        source, made = folder / f"{path.stem}.onnx", folder / path.name
        write_onnx(model, source, info, fixed_batch, seed_input)
        if format == "openvino":
            write_openvino(source, made, info, crops)
        result = None
        if check:
            runtime: Runtime = "onnxruntime" if format == "onnx" else "openvino"
            result = check_export(model, made, fixed_batch, runtime)
            require_agreement(path, result, tolerance, np.inf if calibrate else _OUTPUTS)
        _put(made, path)
    return result


def _check_packages(format: Format, int8: bool) -> None:
    """Raise a MissingError for what would be missed after minutes of work."""
    packages = ["onnx", "onnxscript"]
    packages += ["openvino"] if format == "openvino" else []
    packages += ["nncf"] if int8 else []
    for package in packages:
        if not installed(package):
            raise missing(package, "int8" if package == "nncf" else f"export to {format}")


def parts(path: Path) -> tuple[Path, Path]:
    """Return the files that an exported one may have: itself, and its weights beside it."""
    return path, path.with_suffix(".bin") if path.suffix == ".xml" else data_beside(path)


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """Yield a folder on the same disk, which goes with all that is left in it."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch(path))
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be written ({error.strerror}); choose an existing folder that "
                f"you may write to"
            ) from error
        try:
            yield folder
        except OutputError:
            raise
        except OSError as error:  # a full disk, told by whatever library was writing
            raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error


def _put(made: Path, path: Path) -> None:
    """Give the exported files their names; killed in between, no file is left with other weights.

    Weights beside it that belong to the file which this one replaces are removed.
    """
    (_, weights), (_, beside) = parts(made), parts(path)
    apart, replaces = weights.exists(), path.exists()
    try:
        if apart:
            path.unlink(missing_ok=True)
            move(weights, beside)
        move(made, path)
        if replaces and not apart:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error


def require_agreement(path: Path, found: Check, pixels: float, error: float) -> None:
    """Raise a ModelError where the file is further from torch than it may be; NaN is."""
    # equal up to rounding, joints differ by ties alone, as of an untrained network; an error of 0
    # may come from outputs of which none was compared
    same = 0 < found.error <= ROUNDING
    if not (same or (found.pixels <= pixels and found.error <= error)):
        raise ModelError(
            f"{path}: the exported network differs from torch: joints by {found.pixels:.3f} px on "
            f"average (tolerance {pixels:g}), outputs by {found.error:.1e}"
            + (f" (tolerance {error:g})" if np.isfinite(error) else "")
            + "; the file was not kept"
        )


def check_export(model: PoseModel, path: Path, fixed_batch: int, runtime: Runtime) -> Check:
    """Compare a written file with the torch network on real crops; a ModelError if it cannot be."""
    theirs = load_model(path, runtime=runtime, precision="fp32")
    ours = TorchModel.of(copy.deepcopy(model), device="cpu")
    try:
        return agreement(ours, theirs, (fixed_batch,) if fixed_batch else BATCHES)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def write_onnx(
    model: PoseModel, path: Path, info: ModelInfo, fixed_batch: int, seed_input: bool
) -> None:
    """Write the .onnx file alone, as `export` does before it compares; arguments as there."""
    import onnx

    width, height = model.codec.input_size
    batch = fixed_batch or 2
    plain = copy.deepcopy(model).cpu().eval().to(memory_format=torch.contiguous_format)
    if seed_input:
        x, inputs = [torch.zeros(batch, 3, height, width)], ["input"]
    else:
        x, inputs = [torch.zeros(batch, height, width, 3, dtype=torch.uint8)], ["views"]
    shape = condition_shape(model.codec, len(model.skeleton))
    if shape is not None:  # the pose to be refined goes in with the image
        x.append(torch.zeros(batch, *shape))
        inputs.append("condition")
    graph = fold_batch_norm(_Graph(plain, not seed_input), *x)
    graph.model.loss = None
    # where something wants gradients, torch traces another attention than it decomposes
    graph.requires_grad_(False)
    with torch.no_grad():
        names = list(plain.compute(torch.cat(x, 1)) if seed_input else plain(*x))
    dynamic = None if fixed_batch else tuple({0: torch.export.Dim("n", min=1)} for _ in x)
    with quiet():
        torch.onnx.export(
            graph,
            tuple(x),
            path,
            input_names=inputs,
            output_names=names,
            dynamo=True,
            dynamic_shapes=dynamic,
            external_data=sum(t.numel() * t.element_size() for t in graph.state_dict().values())
            > ONE_FILE,
            verbose=False,
        )
    proto = onnx.load(path, load_external_data=False)
    _refuse_fixed(proto, fixed_batch)
    proto.doc_string = ""
    onnx.helper.set_model_props(proto, {METADATA_KEY: info.to_json()})
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.save(proto, path)


def _refuse_fixed(proto: Any, fixed_batch: int) -> None:
    """Raise a ModelError where torch made a constant of the number of views, as of len(x)."""
    views = proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    if views and not fixed_batch:
        raise ModelError(
            f"torch exports this network only with a fixed batch of {views} views; give "
            f"--fixed-batch {views} (fixed_batch={views})"
        )
