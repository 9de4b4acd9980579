"""Files without metadata: published layouts, recognised by their inputs and outputs.

The forms stand in `forms`.  Names of outputs, numbers of axes and lengths tell them apart; where
two fit, the file's name or the layout that the user names decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from posewright.codecs.stated import MOST_PIXELS
from posewright.errors import ModelError, UsageError, nearest
from posewright.runtimes.forms import FORMS, Form, Found, Shape, Shapes, Size
from posewright.runtimes.info import NO_JOINTS, ModelInfo
from posewright.skeletons import AP10K17, Skeleton, for_joints, get_skeleton
from posewright.weights import LAYOUTS

__all__ = ["ELEMENTS", "Graph", "infer_info"]

_LONGEST = 4096  # px of a view's side, as files with metadata may state
# element types of images, by the names that onnxruntime has for them
ELEMENTS: dict[str, Literal["float32", "float16", "int32", "uint8"]] = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int32)": "int32",
    "tensor(uint8)": "uint8",
}
_ANIMALS = re.compile("ap-?10k|apt-?36k")


@dataclass(frozen=True)
class Graph:
    """The inputs and outputs of a graph.

    inputs, outputs: names -> shapes, where an axis is a number, or a name or None if it is dynamic.
    types: names of the inputs -> element types.  run: the shapes of the outputs for one blank view
    of (width, height), which resolves the dynamic axes.
    """

    inputs: Shapes
    outputs: Shapes
    types: Mapping[str, str]
    run: Callable[[Size], Shapes]

    @property
    def view(self) -> Shape:
        """The shape of the first input."""
        return next(iter(self.inputs.values()), ())

    @property
    def element(self) -> str:
        """The type of the first input."""
        return next(iter(self.types.values()), "")


def infer_info(path: Path, layout: str, graph: Graph, skeleton: str = "") -> ModelInfo:
    """Return the metadata inferred for a file without any.

    layout, skeleton: names that decide where the file does not.  ModelError: an unknown layout, or
    one of several.  UsageError: unknown names, or names that do not fit the file.
    """
    if layout and layout not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        raise UsageError(f"no layout {layout!r}{nearest(layout, LAYOUTS)}; known: {known}")
    forms = [form for form in FORMS if layout in ("", form.layout) and _takes(form, graph)]
    possible = [form for form in forms if form.may_be(graph.outputs)]
    if not possible:
        raise _unknown(path, graph, layout)
    size = _view_size(path, graph.view, possible)
    # The graph runs once where an axis but the batch is open.  The joint axis of published
    # RTMPose files is: their heads flatten under an open batch.
    axes = [axis for shape in graph.outputs.values() for axis in shape[1:]]
    closed = all(isinstance(axis, int) for axis in axes) and all(graph.outputs.values())
    outputs = graph.outputs if closed else graph.run(size)
    fits = [form for form in possible if all(outputs.values()) and form.may_be(outputs)]
    read = [(form, form.find(size, outputs)) for form in fits]
    found = {form: what for form, what in read if what is not None}
    if not found:
        raise _unknown(path, graph, layout, outputs)
    if skeleton:  # whoever names one says that there are joints
        found = {form: what for form, what in found.items() if what.joints is not None} or found
    form = _one(path, graph, found)
    joints, what = NO_JOINTS, found[form]
    if what.joints is not None:
        joints = _skeleton(path, form, what.joints, skeleton)
    elif skeleton:
        raise UsageError(f"{path} is a detector, which has no joints; remove skeleton {skeleton}")
    return ModelInfo(
        path.stem,
        what.codec,
        joints,
        replace(form.input, dtype=ELEMENTS[graph.element]),
        what.names,
        origin=f"not stated; layout {form.layout}",
        second=form.second,
    )


def _takes(form: Form, graph: Graph) -> bool:
    """Tell whether a form's images fit the inputs; open axes may be anything."""
    shape, further = graph.view, list(graph.types.items())[1:]
    wanted = [(form.second, "tensor(int64)")] if form.second else []
    # OpenVINO ends the process where an axis is 0
    if len(shape) != 4 or 0 in shape or further != wanted:
        return False
    channels = shape[1 if form.input.layout == "NCHW" else 3]
    return ELEMENTS.get(graph.element) in form.dtypes and (
        channels == 3 or not isinstance(channels, int)
    )


def _one(path: Path, graph: Graph, forms: Mapping[Form, Found]) -> Form:
    """Return the form of the only layout that fits, or that the input's or file's name tells."""
    view, stem = next(iter(graph.inputs)), path.stem.lower()
    tests: list[Callable[[Form], bool]] = [
        lambda form: True,
        lambda form: forms[form].likely,
        lambda form: view in form.views,
        lambda form: bool(form.hint) and re.search(form.hint, stem) is not None,
    ]
    for test in tests:
        chosen = [form for form in forms if test(form)]
        if len({form.layout for form in chosen}) == 1:
            return chosen[0]
    known = sorted({form.layout for form in forms})
    differ = next((form.differs for form in forms if form.differs), "decoding")
    prefixed = _either([f"{name}:{path.name}" for name in known])
    raise ModelError(
        f"{path}: it may be of the layouts {_either(known)}, which differ only in {differ}; "
        f"specify which with --layout, or with {prefixed}"
    )


def _either(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _skeleton(path: Path, form: Form, joints: int, name: str) -> Skeleton:
    """Return the named skeleton, else that of so many joints.

    An animal's where the file's name says AP-10K or APT-36K.
    """
    if name:
        chosen = get_skeleton(name)
        if len(chosen) != joints:
            raise UsageError(
                f"{path} has {joints} joints, but the skeleton {name} has {len(chosen)}; name "
                "another"
            )
        return chosen
    if joints == len(AP10K17) and _ANIMALS.search(path.stem.lower()):
        return AP10K17
    skeleton = form.skeletons.get(joints) or for_joints(joints)
    if skeleton is None:
        raise ModelError(
            f"{path}: no skeleton is known for {joints} joints; name one with --skeleton, or "
            "export the file with posewright, whose files name their joints"
        )
    return skeleton


def _unknown(path: Path, graph: Graph, layout: str, outputs: Shapes | None = None) -> ModelError:
    """Return the error that shows what the graph takes and gives, and what is read."""
    inputs = ", ".join(f"{k} {_axes(v)} {graph.types[k]}" for k, v in graph.inputs.items())
    given = ", ".join(f"{k} {_axes(v)}" for k, v in (outputs or graph.outputs).items())
    wanted = f"no file of the layout {layout}" if layout else "an unknown layout"
    return ModelError(
        f"{path}: no posewright metadata, and {wanted}: inputs {inputs}; outputs {given}. "
        f"Files without metadata are read in the layouts {', '.join(LAYOUTS)} (see "
        "docs/add-a-model.md); export others with posewright"
    )


def _axes(shape: Shape) -> str:
    return f"[{', '.join(str(axis) for axis in shape)}]"


def _view_size(path: Path, shape: Shape, forms: Sequence[Form]) -> Size:
    """Return (width, height) of a graph's input, from its name or form where it is open.

    ModelError for sides that no view has: they decide how much memory a run takes.
    """
    high, wide = shape[2:] if forms[0].input.layout == "NCHW" else shape[1:3]
    named = re.search(r"(\d{2,4})x(\d{2,4})", path.stem)  # height x width, as mmpose names files
    stem = path.stem.lower()
    likely = [form for form in forms if form.hint and re.search(form.hint, stem)] or forms
    usual = [side for form in likely for name, side in form.usual if name in stem]
    if isinstance(high, int) and isinstance(wide, int):
        size = wide, high
    elif named:
        size = int(named[2]), int(named[1])
    elif usual:
        size = usual[0], usual[0]
    else:
        raise ModelError(
            f"{path}: the input is {list(shape)}, so its size is unknown; put HEIGHTxWIDTH "
            "into the file's name, as in rtmpose-m_256x192.onnx"
        )
    if not all(1 <= side <= _LONGEST for side in size) or size[0] * size[1] > MOST_PIXELS:
        raise ModelError(
            f"{path}: views of {size[0]} x {size[1]} px are not between 1 and {_LONGEST}, or more "
            f"than {MOST_PIXELS:,} pixels; export it again"
        )
    return size
