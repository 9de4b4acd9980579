"""The published layouts of network files without metadata, one entry for each form of each.

Sources: mmdeploy, mmpose, mmdet, YOLOX, NanoDet, D-FINE, RT-DETR, RF-DETR, DETRPose and ECPose
(Apache-2.0), whose exports name inputs and outputs; MoveNet's model cards.  The layouts of YOLO
networks from version 8 on were read from the shapes of such files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from posewright.codecs import Boxes, Heatmap, SimCC
from posewright.codecs.base import Codec
from posewright.codecs.decoded_points import DecodedPeople, DecodedPoints
from posewright.codecs.grid_boxes import NanodetPlus, YoloxBoxes
from posewright.codecs.listed import ListedPeople, YoloBoxes, YoloRows
from posewright.codecs.queries import QueryBoxes, QueryPeople, ScoredBoxes, ScoredPeople
from posewright.runtimes.info import Input
from posewright.skeletons import VITPOSE25, Skeleton, for_joints

__all__ = ["FORMS", "Form", "Found", "Shape", "Shapes", "Size"]

Size = tuple[int, int]  # (width, height)
Shape = Sequence[Any]
Shapes = Mapping[str, Shape]

# mean and std as mmpose, mmdet and mmyolo configure them, in the colour order that the graph takes
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_RGB = Input("NCHW", "float32", "RGB", _MEAN, _STD)
_BGR = Input("NCHW", "float32", "BGR", _MEAN[::-1], _STD[::-1])
_NANODET = Input("NCHW", "float32", "BGR", _MEAN[::-1], (57.375, 57.12, 58.395))
_BYTES_BGR = Input("NCHW", "float32", "BGR")
_SHARES = Input("NCHW", "float32", "RGB", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
_WHOLE = Input("NHWC", "int32", "RGB")


@dataclass(frozen=True)
class Found:
    """What a form reads of a file: its codec, number of joints and outputs' names in the codec.

    joints: None of detectors.  likely: whether nothing that its layout publishes speaks against it,
    where a file may be of another layout, too.
    """

    codec: Codec
    joints: int | None
    names: tuple[str, ...]
    likely: bool = True


@dataclass(frozen=True, eq=False)
class Form:
    """One form of a layout.

    outputs: names -> number of axes of each, or the numbers alone where the names do not count.
    find: size of the view and closed shapes -> what was found, None where the lengths do not fit.
    Where files of two layouts look alike: views: names of the input that tell the layout; hint: a
    pattern of the file's name; differs: in what the layouts differ.  usual: sides of square views
    by a part of the file's name, where the file leaves them open.  optional: outputs that may be
    absent, or further ones that are not read.  second: name of a second input.
    skeletons: by number of joints, where they are not the usual.
    """

    layout: str
    input: Input
    outputs: Mapping[str, int] | tuple[int, ...]
    find: Callable[[Size, Shapes], Found | None]
    views: tuple[str, ...] = ()
    hint: str = ""
    differs: str = ""
    usual: tuple[tuple[str, int], ...] = ()
    optional: frozenset[str] = frozenset()
    second: str = ""
    skeletons: Mapping[int, Skeleton] = field(default_factory=dict)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The element types of the input that the form has."""
        integers = "int32", "uint8"
        return integers if self.input.dtype in integers else ("float32", "float16")

    def may_be(self, outputs: Shapes) -> bool:
        """Tell whether names and numbers of axes fit; a shape that is not stated fits."""
        ranks = {name: len(shape) for name, shape in outputs.items()}
        if isinstance(self.outputs, tuple):
            return _fit(list(ranks.values()), self.outputs)
        named = {name: rank for name, rank in ranks.items() if name in self.outputs}
        missing, further = self.outputs.keys() - ranks.keys(), ranks.keys() - named.keys()
        if missing - self.optional or further - self.optional:
            return False
        return _fit(list(named.values()), [self.outputs[name] for name in named])


def _fit(ranks: Sequence[int], wanted: Sequence[int]) -> bool:
    pairs = zip(ranks, wanted, strict=False)
    return len(ranks) == len(wanted) and all(rank in (0, right) for rank, right in pairs)


def _simcc(size: Size, outputs: Shapes) -> Found | None:
    return _vectors(size, outputs["simcc_x"], outputs["simcc_y"], tuple(n[-1] for n in outputs))


def _simcc_3d(size: Size, outputs: Shapes) -> Found | None:
    """RTMW3D: x, y and z in this order; z is not read."""
    x, y, z = outputs.values()
    return _vectors(size, x, y, ("x", "y", "z")) if z[1] == x[1] else None


def _vectors(size: Size, x: Shape, y: Shape, names: tuple[str, ...]) -> Found | None:
    if x[1] != y[1] or not x[2] * size[1] == y[2] * size[0] > 0:
        return None
    return Found(SimCC(input_size=size, split=x[2] / size[0]), x[1], names)


def _boxes(size: Size, outputs: Shapes) -> Found | None:
    return Found(Boxes(size), None, tuple(outputs)) if outputs["dets"][2] == 5 else None


def _people(size: Size, outputs: Shapes) -> Found | None:
    points = outputs["keypoints"]
    fits = outputs["dets"][2] == 5 and points[3] == 3
    return Found(ListedPeople(size), points[2], tuple(outputs)) if fits else None


def _cells(size: Size, *strides: int) -> int:
    """Return the number of cells of all levels, rounded up as in networks with padding."""
    return sum(-(-size[0] // stride) * -(-size[1] // stride) for stride in strides)


def _yolox(size: Size, outputs: Shapes) -> Found | None:
    (rows,) = outputs.values()
    fits = rows[1] == _cells(size, 8, 16, 32) and rows[2] > 5
    return Found(YoloxBoxes(size), None, ("rows",)) if fits else None


def _nanodet(size: Size, outputs: Shapes) -> Found | None:
    (rows,), bins = outputs.values(), 8
    fits = rows[1] == _cells(size, 8, 16, 32, 64) and rows[2] > 4 * bins
    return Found(NanodetPlus(size), None, ("rows",)) if fits else None


def _yolo(size: Size, outputs: Shapes) -> Found | None:
    """One class: (B, 5 + 3K, cells) before NMS, or (B, people, 6 + 3K) after."""
    (rows,), cells = outputs.values(), _yolo_cells(size)
    if rows[2] in cells and rows[1] > 5 and (rows[1] - 5) % 3 == 0:
        joints = (rows[1] - 5) // 3
        # 5 + 3K channels are also those of a detector of 1 + 3K classes
        usual = for_joints(joints) is not None
        return Found(YoloRows(size, "anchors", joints=joints), joints, ("rows",), usual)
    if not cells.intersection(rows[1:]) and rows[2] > 6 and rows[2] % 3 == 0:
        joints = (rows[2] - 6) // 3
        return Found(YoloRows(size, "people", joints=joints), joints, ("rows",))
    return None


def _yolo_boxes(size: Size, outputs: Shapes) -> Found | None:
    """(B, 4 + C, cells) before NMS, or (B, boxes, 6) after."""
    (rows,), cells = outputs.values(), _yolo_cells(size)
    if rows[2] in cells and rows[1] > 4:
        likely = rows[1] != 5 + 3 * 17  # 17 joints are common, 52 classes are not
        return Found(YoloBoxes(size, "anchors"), None, ("rows",), likely)
    if not cells.intersection(rows[1:]) and rows[2] == 6:
        return Found(YoloBoxes(size, "people"), None, ("rows",))
    return None


def _yolo_cells(size: Size) -> set[int]:
    """Return the numbers of cells of networks with three and with four levels."""
    return {_cells(size, 8, 16, 32), _cells(size, 8, 16, 32, 64)}


def _queries(categories: bool | None) -> Callable[[Size, Shapes], Found | None]:
    """categories: whether classes are COCO's 91 categories, of which number 1 is the person."""

    def find(size: Size, outputs: Shapes) -> Found | None:
        alias = {"dets": "boxes", "pred_boxes": "boxes", "labels": "logits"}
        names = tuple(alias.get(name, name) for name in outputs)
        shapes = dict(zip(names, outputs.values(), strict=True))
        classes = shapes["logits"][2]
        # 92 are the first DETR's, whose classes exclude each other; 366 are those of Objects365
        other = {True: (80, 92, 366), False: (91, 92), None: (92,)}[categories]
        if shapes["boxes"][2] != 4 or classes in other:
            return None
        return Found(QueryBoxes(size, person=int(classes == 91)), None, names)

    return find


def _scored_boxes(size: Size, outputs: Shapes) -> Found | None:
    return Found(ScoredBoxes(size), None, tuple(outputs)) if outputs["boxes"][2] == 4 else None


def _scored_people(size: Size, outputs: Shapes) -> Found | None:
    points = outputs["keypoints"]
    return Found(ScoredPeople(size), points[2], tuple(outputs)) if points[3] == 2 else None


def _query_people(size: Size, outputs: Shapes) -> Found | None:
    points = outputs["keypoints"]
    if outputs["dets"][2] != 4 or points[3] != 8:
        return None
    names = {"dets": "boxes", "labels": "logits", "keypoints": "keypoints"}
    return Found(QueryPeople(size), points[2], tuple(names[name] for name in outputs))


def _movenet(size: Size, outputs: Shapes) -> Found | None:
    (points,) = outputs.values()
    return Found(DecodedPoints(size), points[2], ("points",)) if points[3] == 3 else None


def _multipose(size: Size, outputs: Shapes) -> Found | None:
    (rows,) = outputs.values()
    fits = rows[2] > 5 and (rows[2] - 5) % 3 == 0
    return Found(DecodedPeople(size), (rows[2] - 5) // 3, ("rows",)) if fits else None


def _maps(**codec: Any) -> Callable[[Size, Shapes], Found | None]:
    """Heatmaps of a quarter of the view's size."""

    def find(size: Size, outputs: Shapes) -> Found | None:
        (maps,) = outputs.values()
        fits = [4 * maps[3], 4 * maps[2]] == list(size)
        return Found(Heatmap(size, **codec), maps[1], ("heatmap",)) if fits else None

    return find


_SIZES = "orig_target_sizes"
_640 = (("", 640),)
_RFDETR = (("nano", 384), ("small", 512), ("base", 560), ("medium", 576), ("large", 704))
_NMS_INSIDE = {"dets": 3, "labels": 2}
FORMS = (
    Form("rtmpose", _RGB, {"simcc_x": 3, "simcc_y": 3}, _simcc),
    Form("rtmw3d", _RGB, (3, 3, 3), _simcc_3d),
    *(
        Form(
            layout,
            taken,
            _NMS_INSIDE,
            _boxes,
            hint=layout,
            differs="normalisation",
            optional=frozenset({"labels", "masks"}),
        )
        for layout, taken in (("rtmdet", _BGR), ("yolox", _BYTES_BGR))
    ),
    Form("yolox", _BYTES_BGR, (3,), _yolox),
    Form("rtmo", _BYTES_BGR, {"dets": 3, "keypoints": 4}, _people),
    Form("nanodet-plus", _NANODET, (3,), _nanodet),
    Form("yolov8-pose", _SHARES, (3,), _yolo, usual=_640, hint="pose"),
    Form(
        "yolov8",
        _SHARES,
        (3,),
        _yolo_boxes,
        usual=_640,
        hint="yolo-?(v8|v9|v?1[0-9]|26)(?!.*pose)",
        differs="whether numbers are scores of classes or joints",
    ),
    Form("movenet-multipose", _WHOLE, (3,), _multipose, usual=(("", 256),)),
    Form("movenet", _WHOLE, (4,), _movenet, usual=(("lightning", 192), ("thunder", 256))),
    *(
        Form(
            "vitpose",
            _RGB,
            (4,),
            _maps(refine="udp", unbiased=True),
            views=("input_0", "pixel_values"),
            hint="vit",
            differs="the crop and the decoding of the maps",
            second=second,
            skeletons={len(VITPOSE25): VITPOSE25},
        )
        for second in ("", "dataset_index")
    ),
    Form("heatmap", _RGB, (4,), _maps(), hint="hrnet|res(net|_?[0-9])|simple-?baseline|heatmap"),
    *(
        Form(
            layout,
            taken,
            {"logits": 3, "pred_boxes": 3},
            _queries(categories),
            hint=hint,
            differs="normalisation",
            usual=usual,
        )
        for layout, taken, categories, hint, usual in (
            ("dfine", _SHARES, False, "d-?fine|rt-?detr", _640),
            ("rfdetr", _RGB, True, "rf-?detr", _RFDETR),
        )
    ),
    Form(
        "dfine",
        _SHARES,
        {"labels": 2, "boxes": 3, "scores": 2},
        _scored_boxes,
        usual=_640,
        second=_SIZES,
    ),
    Form("rfdetr", _RGB, {"dets": 3, "labels": 3}, _queries(None), optional=frozenset({"masks"})),
    Form("rfdetr-pose", _RGB, {"dets": 3, "labels": 3, "keypoints": 4}, _query_people),
    *(
        Form(
            layout,
            taken,
            {"scores": 2, "labels": 2, "keypoints": 4},
            _scored_people,
            hint=layout,
            differs="normalisation",
            usual=_640,
            second=_SIZES,
        )
        for layout, taken in (("detrpose", _SHARES), ("ecpose", _RGB))
    ),
)
