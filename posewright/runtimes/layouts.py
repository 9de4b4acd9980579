"""Files without metadata: layouts that mmdeploy publishes, recognised by inputs and outputs.

RTMPose, RTMW, DWPose and the hand and face networks: input (B, 3, h, w), outputs simcc_x
(B, K, w * split) and simcc_y (B, K, h * split).  RTMDet and YOLOX: dets (B, N, 5) and labels (B,
N), and masks, which are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posewright.codecs import Boxes, SimCC
from posewright.codecs.stated import MOST_PIXELS
from posewright.errors import ModelError, UsageError, nearest
from posewright.runtimes.info import NO_JOINTS, Input, ModelInfo
from posewright.skeletons import AP10K17, Skeleton, for_joints

__all__ = ["Graph", "infer_info"]

# mean and std as mmpose, mmdet and mmyolo configure them, in the colour order that the graph takes
_IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_LAYOUTS = {
    "rtmpose": Input("NCHW", "float32", "RGB", *_IMAGENET),
    "rtmdet": Input("NCHW", "float32", "BGR", _IMAGENET[0][::-1], _IMAGENET[1][::-1]),
    "yolox": Input("NCHW", "float32", "BGR"),
}
_DETECTOR_OUTPUTS = {"dets", "labels", "masks"}

_LONGEST = 4096  # px of a view's side, as files with metadata may state

Shape = Sequence[Any]
Shapes = Mapping[str, Shape]


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
    run: Callable[[tuple[int, int]], Shapes]


def infer_info(path: Path, layout: str, graph: Graph) -> ModelInfo:
    """Return the metadata inferred for a file without any; ModelError: its layout is unknown.

    RTMDet and YOLOX differ in normalisation only, which the file does not tell: the layout, or
    else the file's name, does.
    """
    if layout and layout not in _LAYOUTS:
        raise UsageError(f"no layout {layout!r}{nearest(layout, _LAYOUTS)}; {sorted(_LAYOUTS)}")
    names = set(graph.outputs)
    simcc = {"simcc_x", "simcc_y"} == names and layout in ("", "rtmpose")
    detector = "dets" in names and names <= _DETECTOR_OUTPUTS and layout != "rtmpose"
    if not _takes_pictures(graph) or not (simcc or detector):
        raise _unknown(path, graph)
    size = _view_size(path, next(iter(graph.inputs.values())))
    # The graph runs once where an axis but the batch is open.  The joint axis of published
    # RTMPose files is: their heads flatten under an open batch.
    axes = [axis for shape in graph.outputs.values() for axis in shape[1:]]
    closed = all(isinstance(axis, int) for axis in axes) and all(graph.outputs.values())
    outputs = graph.outputs if closed else graph.run(size)
    if simcc:
        return _rtmpose(path, size, graph, outputs)
    return _detector(path, size, graph, outputs, layout)


def _takes_pictures(graph: Graph) -> bool:
    """Tell whether the only input is float32 (B, 3, h, w); open axes may be anything."""
    shapes = list(graph.inputs.values())
    if len(shapes) != 1 or set(graph.types.values()) != {"tensor(float)"}:
        return False
    return len(shapes[0]) == 4 and (shapes[0][1] == 3 or not isinstance(shapes[0][1], int))


def _rtmpose(path: Path, size: tuple[int, int], graph: Graph, outputs: Shapes) -> ModelInfo:
    x, y = list(outputs["simcc_x"]), list(outputs["simcc_y"])
    alike = len(x) == len(y) == 3 and x[1] == y[1] and x[2] * size[1] == y[2] * size[0] > 0
    if not alike:
        raise _unknown(path, graph, outputs)
    codec = SimCC(input_size=size, split=x[2] / size[0])
    names = tuple({"simcc_x": "x", "simcc_y": "y"}[n] for n in outputs)
    return ModelInfo(path.stem, codec, _skeleton(path, x[1]), _LAYOUTS["rtmpose"], names)


def _skeleton(path: Path, joints: int) -> Skeleton:
    """Return the skeleton of that many joints; an animal's where the file's name says AP-10K."""
    if joints == len(AP10K17) and re.search("ap-?10k", path.stem.lower()):
        return AP10K17
    skeleton = for_joints(joints)
    if skeleton is None:
        raise ModelError(
            f"{path}: no skeleton is known for {joints} joints; export it with posewright, whose "
            "files name their joints"
        )
    return skeleton


def _detector(
    path: Path, size: tuple[int, int], graph: Graph, outputs: Shapes, layout: str
) -> ModelInfo:
    wanted = {"dets": (3, 5), "labels": (2, None)}
    for name, (rank, last) in wanted.items():
        shape = list(outputs.get(name, ()))
        if shape and (len(shape) != rank or last not in (None, shape[-1])):
            raise _unknown(path, graph, outputs)
    kind = _LAYOUTS[layout or _named(path)]
    return ModelInfo(path.stem, Boxes(input_size=size), NO_JOINTS, kind, tuple(outputs))


def _unknown(path: Path, graph: Graph, outputs: Shapes | None = None) -> ModelError:
    """Return the error that shows what the graph takes and gives, and what is read."""
    inputs = ", ".join(f"{k} {_axes(v)} {graph.types[k]}" for k, v in graph.inputs.items())
    given = ", ".join(f"{k} {_axes(v)}" for k, v in (outputs or graph.outputs).items())
    return ModelError(
        f"{path}: no posewright metadata, and an unknown layout: inputs {inputs}; outputs {given}. "
        "Files without metadata are read as RTMPose (simcc_x and simcc_y) or as RTMDet and YOLOX "
        "of mmdeploy (dets [B, N, 5] and labels); export others with posewright"
    )


def _axes(shape: Shape) -> str:
    return f"[{', '.join(str(axis) for axis in shape)}]"


def _view_size(path: Path, shape: Shape) -> tuple[int, int]:
    """Return (width, height) of a graph's input (B, 3, h, w), from its name where it is open.

    ModelError for sides that no view has: they decide how much memory a run takes.
    """
    named = re.search(r"(\d{2,4})x(\d{2,4})", path.stem)  # height x width, as mmpose names files
    if all(isinstance(n, int) for n in shape[2:]):
        size = int(shape[3]), int(shape[2])
    elif named:
        size = int(named[2]), int(named[1])
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


def _named(path: Path) -> str:
    found = [name for name in ("rtmdet", "yolox") if name in path.stem.lower()]
    if len(found) != 1:
        raise ModelError(
            f"{path}: RTMDet and YOLOX files differ only in normalisation; specify which it is "
            "with "
            f"rtmdet:{path.name} or yolox:{path.name}"
        )
    return found[0]
