"""Read off a built network what no weight's shape shows: the numbers a wrong copy of it may have.

`constants` runs one view through a network on torch's meta device, where nothing is computed, and
notes the arguments of every call of torch: epsilons, slopes, heads and scales, strides, paddings,
how maps are resized, and the numbers that tensors are multiplied by, divided by or limited to.
`posewright/models/constants.tsv` holds the same as it was read in the originals, and where.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from posewright.checkpoints import foreigns
from posewright.codecs.base import condition_shape
from posewright.models import PoseModel, create, variants
from posewright.models.base import IMAGENET
from posewright.models.dekr import RescoreNet

__all__ = ["COLUMNS", "TABLE", "Row", "calls", "constants", "every", "table"]

TABLE = Path(__file__).parents[1] / "posewright" / "models" / "constants.tsv"
COLUMNS = (
    *("norms", "activations", "attention", "convolutions", "pools", "resizing", "numbers"),
    *("pixels", "codec"),
)
Row = dict[str, str]
# calls by the name of torch's function -> column, and what is noted of it
Note = Callable[["Call"], str]
ACTIVATIONS = (
    *("relu", "relu6", "silu", "gelu", "leaky_relu", "hardswish", "hardsigmoid", "hardtanh"),
    *("sigmoid", "tanh", "softmax", "mish"),
)
# families of layers, and their tokens; a re-scoring network takes the joints of its skeleton
LAYERS = {"dekr_rescore": (), "gau": (17, 256), "graformer": (21, 2), "semgcn": (16, 2)}
ARITHMETIC = ("add", "sub", "rsub", "mul", "div", "pow", "clamp", "clamp_min", "clamp_max")


class Call:
    """One call of torch: tensors and other arguments, by position or by name."""

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.args, self.kwargs = args, kwargs

    def get(self, name: str, place: int, default: Any = None) -> Any:
        """Return an argument by its name or its place."""
        value = self.kwargs.get(name, self.args[place] if place < len(self.args) else default)
        return default if value is None else value

    def pair(self, name: str, place: int, default: Any = 0) -> str:
        """Return the argument of two axes, once if both are equal."""
        value = self.get(name, place, default)
        if isinstance(value, int):
            return str(value)
        return str(value[0]) if len(set(value)) == 1 else "x".join(map(str, value))

    @property
    def numbers(self) -> list[str]:
        """Arguments that are numbers, but not flags."""
        values = [*self.args, *self.kwargs.values()]
        return [f"{v:.6g}" for v in values if isinstance(v, (int, float)) and type(v) is not bool]


def _kernel(call: Call) -> str:
    return "x".join(map(str, call.args[1].shape[2:]))


def _convolution(call: Call) -> str:
    """Return nothing for a convolution that keeps the size of a map: most do."""
    stride, padding, dilation = (call.pair(n, i + 3, 1 - (i == 1)) for i, n in enumerate(_PLACES))
    same = "x".join(str(k // 2) for k in call.args[1].shape[2:])
    usual = padding in (same, same.partition("x")[0]) and dilation == "1"
    if stride == "1" and usual:
        return ""
    text = _kernel(call) + (f"/{stride}" if stride != "1" else "")
    text += "" if usual else f" pad {padding}"
    return text if dilation == "1" else f"{text} dilation {dilation}"


_PLACES = ("stride", "padding", "dilation")


def _transposed(call: Call) -> str:
    extra = call.pair("output_padding", 5)
    more = f" more {extra}" if extra != "0" else ""
    stride, padding = call.pair("stride", 3, 1), call.pair("padding", 4)
    return f"transposed {_kernel(call)}/{stride} pad {padding}{more}"


def _padded(call: Call) -> str:
    amounts, mode = call.get("pad", 1), call.get("mode", 2, "constant")
    return f"{mode} pad {' '.join(map(str, amounts))}"


def _pool(kind: str) -> Note:
    def note(call: Call) -> str:
        size = call.pair("kernel_size", 1)
        text = f"{kind} {size}/{call.pair('stride', 2, int(size.partition('x')[0]))}"
        text += f" pad {call.pair('padding', 3)}"
        ceil = call.get("ceil_mode", 5 if kind == "max" else 4, False)
        return f"{text} ceil" if ceil else text

    return note


def _resize(call: Call) -> str:
    mode = call.get("mode", 3, "nearest")
    corners = call.get("align_corners", 4, False)
    antialias = call.get("antialias", 6, False)
    return mode + (" corners" if corners else "") + (" antialias" if antialias else "")


def _grid(call: Call) -> str:
    mode, beyond = call.get("mode", 2, "bilinear"), call.get("padding_mode", 3, "zeros")
    return f"grid {mode} {beyond}" + (" corners" if call.get("align_corners", 4, False) else "")


def _attention(call: Call) -> str:
    query = call.args[0]
    scale = call.get("scale", 6, query.shape[-1] ** -0.5)
    return f"{query.shape[-3]} heads, scores / sqrt {scale**-2:.6g}"


def _multihead(call: Call) -> str:
    heads, width = call.args[4], call.args[3]
    return f"{heads} heads, scores / sqrt {width / heads:.6g}"


def _eps(name: str, place: int, default: float = 1e-5) -> Note:
    return lambda call: f"{name} {call.get('eps', place, default):g}"


NOTES: Mapping[str, tuple[str, Note]] = {
    "batch_norm": ("norms", _eps("batch", 7)),
    "layer_norm": ("norms", _eps("layer", 4)),
    "instance_norm": ("norms", _eps("instance", 7)),
    "group_norm": ("norms", lambda c: f"{c.args[1]} groups {c.get('eps', 4, 1e-5):g}"),
    "conv2d": ("convolutions", _convolution),
    "conv_transpose2d": ("convolutions", _transposed),
    "max_pool2d": ("pools", _pool("max")),
    "avg_pool2d": ("pools", _pool("mean")),
    "interpolate": ("resizing", _resize),
    "grid_sample": ("resizing", _grid),
    "scaled_dot_product_attention": ("attention", _attention),
    "multi_head_attention_forward": ("attention", _multihead),
    "leaky_relu": ("activations", lambda c: f"leaky_relu {c.get('negative_slope', 1, 0.01):g}"),
    "gelu": ("activations", lambda c: "gelu tanh" if "tanh" in c.kwargs.values() else "gelu"),
    "pad": ("convolutions", lambda c: _padded(c) if c.args[0].ndim == 4 else ""),
    "hardtanh": ("activations", lambda c: "clip " + " to ".join(c.numbers)),
}


class Recorder(TorchFunctionMode):
    """Notes what is called; `before` and `after` hold the norms of transformers by their places."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: Counter[tuple[str, str]] = Counter()
        self.norms: list[tuple[Tensor, Tensor]] = []  # what goes into a layer norm and out of it
        self.sums: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Note one call and make it."""
        found, kwargs = func(*args, **(kwargs or {})), kwargs or {}
        name, call = getattr(func, "__name__", "").strip("_"), Call(args, kwargs)
        name = {"truediv": "div", "radd": "add", "rmul": "mul"}.get(name, name)
        if name in NOTES:
            column, note = NOTES[name]
            self._add(column, note(call))
        elif name in ACTIVATIONS:
            self._add("activations", name)
        elif name in ARITHMETIC and _floats(args):
            numbers = [n for n in call.numbers if (name, n) != ("add", "0")]
            self._add("numbers", f"{name} {' '.join(numbers)}" if numbers else "")
        if name == "layer_norm":
            self.norms.append((args[0], found))
        if name == "add":
            self.sums += [a for a in args if isinstance(a, Tensor)]
        return found

    def _add(self, column: str, text: str) -> None:
        if text:
            self.notes[column, text] += 1

    @property
    def order(self) -> list[str]:
        """Whether layer norms stand inside of shortcuts, or after them."""
        added = {id(x) for x in self.sums}
        before = any(id(x) in added for x, _ in self.norms)
        after = any(id(y) in added for _, y in self.norms)
        return [*(["before layers"] if before else []), *(["after shortcuts"] if after else [])]


def _floats(args: tuple[Any, ...]) -> bool:
    return any(isinstance(a, Tensor) and a.is_floating_point() for a in args)


def constants(model: nn.Module, tokens: tuple[int, ...] = ()) -> Row:
    """Return the constants of a network on the meta device, by column; counts where kinds mix.

    tokens: number and width of the tokens that layers take, which are no `PoseModel`.
    """
    if isinstance(model, PoseModel):
        found = calls(model.compute, _view(model))
        return {**found, "pixels": _pixels(model), "codec": _codec(model)}
    shapes = [tokens]
    if isinstance(model, RescoreNet):
        shapes = [(len(model.skeleton), 2), (len(model.skeleton),)]
    inputs = [torch.zeros(1, *shape, device="meta") for shape in shapes]
    return {**calls(model, *inputs), "pixels": "", "codec": ""}


def calls(compute: Callable[..., Any], *inputs: Tensor) -> Row:
    """Return what the calls of torch show, by column."""
    with torch.no_grad(), Recorder() as recorder:
        compute(*inputs)
    found = {column: _told(recorder.notes, column) for column in COLUMNS[:-2]}
    found["norms"] = "; ".join(part for part in (found["norms"], *recorder.order) if part)
    return found


def every() -> dict[str, Row]:
    """Return the rows of all networks and, as FAMILY:VARIANT, of the layers."""
    rows = {}
    with torch.device("meta"):
        for name in variants(None):
            rows[name] = constants(create(name))
        for family, tokens in LAYERS.items():
            for variant, build in foreigns()[family].variants.items():
                rows[f"{family}:{variant}"] = constants(build().eval(), tokens)
    return rows


def _view(model: PoseModel) -> Tensor:
    width, height = model.codec.input_size
    shape = condition_shape(model.codec, len(model.skeleton))
    return torch.zeros(1, 3 if shape is None else 3 + shape[0], height, width, device="meta")


def _told(notes: Counter[tuple[str, str]], column: str) -> str:
    """Return the kinds of a column; of activations how often, but for the most frequent."""
    kinds = sorted(((-n, text) for (c, text), n in notes.items() if c == column))
    if column != "activations":
        return "; ".join(sorted(text for _, text in kinds))
    return "; ".join(text if not i else f"{text} x{-n}" for i, (n, text) in enumerate(kinds))


def _pixels(model: PoseModel) -> str:
    pixels = model.pixels
    if (pixels.mean, pixels.std) == (IMAGENET.mean, IMAGENET.std):
        return f"{pixels.color} ImageNet"
    mean, std = ("/".join(f"{v:g}" for v in values) for values in (pixels.mean, pixels.std))
    return f"{pixels.color} - {mean}, / {std}"


def _codec(model: PoseModel) -> str:
    """Return the kind and the settings that are not the codec's defaults, but the view's size."""
    plain = {f.name: f.default for f in fields(model.codec)}  # type: ignore[arg-type]
    own = {k: getattr(model.codec, k) for k in plain if k != "input_size"}
    said = (
        f"{k}={v}"
        for k, v in own.items()
        if v != plain[k] and isinstance(v, (int, float, str, tuple))
    )
    return " ".join([model.codec.kind, *said])


def table() -> dict[str, Row]:
    """Return the rows of the table by network; each has the column "read": where it was read."""
    rows: dict[str, Row] = {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            for name in row.pop("networks").split():
                rows[name] = row
    return rows
