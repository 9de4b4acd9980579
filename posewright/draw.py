"""Drawing: people on an image, and heatmaps over it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from posewright.errors import UsageError
from posewright.people import Floats, People, Pixels
from posewright.skeletons import PartName, Skeleton
from posewright.warp import Warp

__all__ = [
    "LEFT",
    "MIDDLE",
    "OUTLINE",
    "PERSON_COLOURS",
    "RIGHT",
    "Style",
    "draw",
    "heatmap_overlay",
]

Colour = tuple[int, int, int]

# Blue and orange stay apart for every common kind of colour blindness (Okabe and Ito, 2008).
LEFT: Colour = (52, 152, 255)
RIGHT: Colour = (255, 136, 20)
MIDDLE: Colour = (244, 244, 238)
OUTLINE: Colour = (18, 18, 24)
PERSON_COLOURS: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 185, 130),
    (240, 228, 66),
    (232, 112, 40),
    (214, 134, 190),
    (120, 150, 255),
    (168, 214, 80),
    (255, 170, 160),
    (90, 210, 210),
    (200, 170, 120),
    (196, 196, 206),
)
_SIDES = {"left": LEFT, "right": RIGHT, "middle": MIDDLE}
_HEAD = frozenset({"nose", "left_eye", "right_eye", "left_ear", "right_ear"})
_SPINE = frozenset({"neck", "top_head", "thorax"})
_BODY = (
    "shoulder",
    "elbow",
    "wrist",
    "hip",
    "knee",
    "ankle",
    "paw",
    "tail",
    "neck",
    "top_head",
    "thorax",
    "pelvis",
)
_FINE = 0.4  # joints and bones of faces and hands, at most
_HEAD_DOT = 1.25
_FOOT = 0.7  # toes and heels are close together
_SHARE = {"face": 1 / 60, "hand": 1 / 25}  # of a part's size: the thickness of its lines and dots
_HEAD_SHARE = 1 / 14  # of a face's size: the dots of nose, eyes and ears on it
_LEAST = {"face": 16, "hand": 14}  # px, size of a part below which it would be a blob
_SHIFT = 4  # bits of a pixel's fraction
_FAR = 1 << 15  # px; what lies beyond is drawn as if there
_FONT = cv2.FONT_HERSHEY_DUPLEX


@dataclass(frozen=True)
class Style:
    """The appearance of drawn people.

    ids: a tag with each tracked person's identity.  scores: the person's score in the tag.  boxes:
    draw them.  colours: of limbs, by side or by the person's identity.  joint_threshold: joints
    with a lower score are not drawn.  thickness: of limbs in px; None derives it from the sizes of
    the image and the person.  alpha: opacity in (0, 1].
    """

    ids: bool = True
    scores: bool = False
    boxes: bool = False
    colours: Literal["sides", "people"] = "sides"
    joint_threshold: float = 0.3
    thickness: float | None = None
    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise UsageError(f"alpha must lie in (0, 1], not {self.alpha}")
        if self.thickness is not None and not 0 < self.thickness <= 200:
            raise UsageError(f"thickness must lie in (0, 200] px, not {self.thickness}")


def draw(image: Pixels, people: People, skeleton: Skeleton, style: Style | None = None) -> Pixels:
    """(H, W, 3) RGB -> a new image with all people drawn on it.

    Limbs are blue on the person's left, orange on the right, white in the middle, all with a dark
    outline; the head is drawn as dots.  People lower in the image are nearer and drawn last.
    """
    style = style or Style()
    canvas = np.array(image, np.uint8, order="C")
    if len(people) == 0 or canvas.size == 0:
        return canvas
    order = np.argsort(people.boxes[:, 3], kind="stable")
    widths = _widths(people, image.shape, style)
    if people.keypoints.shape[1]:
        plan = _plan(skeleton)
        fixed = np.rint(people.keypoints.clip(-_FAR, _FAR) * (1 << _SHIFT)).astype(np.int32)
        shown = people.scores >= style.joint_threshold
        for i in order:
            own = _colour(people, int(i)) if style.colours == "people" else None
            _person(canvas, fixed[i], shown[i], float(widths[i]), plan, own)
    if style.boxes:
        for i in order:
            box = np.rint(people.boxes[i].clip(-_FAR, _FAR)).astype(int).tolist()
            thick = max(1, round(float(widths[i]) * 0.6))
            cv2.rectangle(canvas, box[:2], box[2:], OUTLINE, thick + 2)
            cv2.rectangle(canvas, box[:2], box[2:], _colour(people, int(i)), thick)
    for i in order:
        _label(canvas, people, int(i), style)
    if style.alpha < 1:
        canvas = np.asarray(cv2.addWeighted(canvas, style.alpha, image, 1 - style.alpha, 0))
    return canvas


@dataclass(frozen=True)
class _Ink:
    """Joint numbers (M, 2) of strokes of one colour; a joint's dot is a stroke of no length.

    factor: of the person's limb thickness.  part: the face or hand that they belong to, by whose
    size they get thinner.
    """

    strokes: NDArray[np.int64]
    colour: Colour
    factor: float
    part: PartName


@lru_cache(maxsize=16)
def _plan(skeleton: Skeleton) -> tuple[_Ink, ...]:
    """Return what to draw of a skeleton, in order: limbs, then joints."""
    limbs: dict[tuple[Colour, float, PartName], list[tuple[int, int]]] = {}
    dots: dict[tuple[Colour, float, PartName], list[tuple[int, int]]] = {}
    joints, parts = skeleton.joints, skeleton.parts
    grown = 1.0
    body: PartName = "body"
    if body not in parts:  # a hand or a face that fills its box
        grown, parts = 2.0, (body,) * len(joints)
    linked = {joint for pair in skeleton.links for joint in pair}
    for a, b in skeleton.links:
        ends = {joints[a], joints[b]}
        if ends & _HEAD and not ends & _SPINE:
            continue  # the lines of a face hide it
        sides = {skeleton.side(a), skeleton.side(b)} - {"middle"}
        colour = _SIDES[sides.pop()] if len(sides) == 1 else MIDDLE
        fine = _dot(joints[a]) == _dot(joints[b]) == _FINE
        foot = _FOOT in (_dot(joints[a]), _dot(joints[b]))
        factor = _FINE if fine else _FOOT if foot else 1.0
        limbs.setdefault((colour, factor, parts[a]), []).append((a, b))
    for joint, name in enumerate(joints):
        if _dot(name) > _FINE or joint not in linked:  # a finger's bones show its joints
            key = (_SIDES[skeleton.side(joint)], _dot(name), parts[joint])
            dots.setdefault(key, []).append((joint, joint))
    return tuple(
        _Ink(np.array(strokes), colour, factor * grown, part)
        for (colour, factor, part), strokes in [*limbs.items(), *dots.items()]
    )


def _dot(joint: str) -> float:
    """Return the size of a joint's dot: large on the body, smaller on the head, fine elsewhere."""
    if joint in _HEAD:
        return _HEAD_DOT
    if joint.endswith(("_toe", "_heel")):
        return _FOOT
    return 1.7 if any(word in joint for word in _BODY) else _FINE


def _widths(people: People, shape: tuple[int, ...], style: Style) -> Floats:
    """(N,) px thickness of limbs: grows with the person, within bounds set by the image."""
    if style.thickness is not None:
        return np.full(len(people), style.thickness, np.float32)
    unit = np.sqrt(shape[0] * shape[1]) / 400
    sides = people.sides
    most = max(3, unit * 2.8)
    return np.asarray((sides.max(1) / 45).clip(max(1, unit * 0.6), most), np.float32)


def _person(
    canvas: Pixels,
    fixed: NDArray[np.int32],
    shown: NDArray[np.bool_],
    width: float,
    plan: tuple[_Ink, ...],
    own: Colour | None,
) -> None:
    """Draw one person, (K, 2) fixed-point px: the dark rim of everything first, then colours.

    own: the colour of all limbs; None for those of the sides.
    """
    seen = [ink.strokes[shown[ink.strokes].all(1)] for ink in plan]
    sizes: dict[PartName, float] = {}
    for part in {ink.part for ink in plan} - {"body"}:
        joints = [
            strokes.ravel() for strokes, ink in zip(seen, plan, strict=True) if ink.part == part
        ]
        sizes[part] = _size(fixed[np.concatenate(joints)])
    drawn = [
        (fixed[strokes], ink, thick)
        for strokes, ink in zip(seen, plan, strict=True)
        if (thick := _thickness(ink, width, sizes)) > 0
    ]
    for strokes, ink, thick in drawn:
        if thick < 1.5 and ink.factor == _FINE:
            continue  # rims would fill a small face or hand
        rim = 2 * max(min(thick, 1.5), 0.3 * min(thick, width))
        _strokes(canvas, strokes, OUTLINE, thick + rim)
    for strokes, ink, thick in drawn:
        _strokes(canvas, strokes, own or ink.colour, thick)


def _size(fixed: NDArray[np.int32]) -> float:
    """(M, 2) fixed-point px -> px, the longer side of the box round them."""
    return float(np.ptp(fixed, axis=0).max(initial=0)) / (1 << _SHIFT) if len(fixed) else 0.0


def _thickness(ink: _Ink, width: float, sizes: dict[PartName, float]) -> float:
    """Return px; 0 where a part of its size would be a blob."""
    thick = ink.factor * width
    if ink.part == "body":
        face = sizes.get("face", 0.0)
        on_face = ink.factor == _HEAD_DOT and face >= _LEAST["face"]
        return min(thick, max(_HEAD_SHARE * face, 2.0)) if on_face else thick
    kind = "face" if ink.part == "face" else "hand"
    return min(thick, _SHARE[kind] * sizes[ink.part]) if sizes[ink.part] >= _LEAST[kind] else 0.0


def _strokes(canvas: Pixels, strokes: NDArray[np.int32], colour: Colour, thick: float) -> None:
    if len(strokes):
        dots = bool((strokes[0, 0] == strokes[0, 1]).all())
        if dots and thick < 0.75:
            x, y = ((strokes[:, 0] + (1 << _SHIFT - 1)) >> _SHIFT).T
            inside = (x >= 0) & (y >= 0) & (x < canvas.shape[1]) & (y < canvas.shape[0])
            canvas[y[inside], x[inside]] = colour
            return
        thickness = max(2 if dots else 1, round(thick))  # OpenCV draws no dot of 1 px
        cv2.polylines(canvas, list(strokes), False, colour, thickness, cv2.LINE_AA, _SHIFT)


def _colour(people: People, number: int) -> Colour:
    """Return a person's own colour: by identity, or by place where there is none."""
    identity = int(people.ids[number])
    return PERSON_COLOURS[(identity if identity >= 0 else number) % len(PERSON_COLOURS)]


def _label(canvas: Pixels, people: People, number: int, style: Style) -> None:
    """Draw the tag of one person in that person's own colour."""
    identity = int(people.ids[number])
    words = [str(identity)] if style.ids and identity >= 0 else []
    words += [f"{float(people.box_scores[number]):.2f}"] if style.scores else []
    if words:
        anchor = _anchor(people, number, style)
        _tag(canvas, " ".join(words), anchor, _colour(people, number))


def _anchor(people: People, number: int, style: Style) -> tuple[float, float, float]:
    """Return x and y of the top of the person in px, and the person's longer side."""
    x1, y1, x2, y2 = people.boxes[number].clip(-_FAR, _FAR).tolist()
    side = max(x2 - x1, y2 - y1)
    seen = people.keypoints[number][people.scores[number] >= style.joint_threshold]
    if style.boxes or len(seen) == 0:
        return (x1 + x2) / 2, y1, side
    x, y = seen[seen[:, 1].argmin()].clip(-_FAR, _FAR).tolist()
    return x, min(y, max(y1, y - side / 10)), side  # above the hair, within the box


def _tag(canvas: Pixels, text: str, anchor: tuple[float, float, float], colour: Colour) -> None:
    """Write dark letters on a filled tag above an anchor, moved so that it lies in the image."""
    height, width = canvas.shape[:2]
    middle, top, person = anchor
    tall = float(np.clip(min(np.sqrt(height * width) / 45, person / 6), 10, 64))  # px of a digit
    scale = tall / 22  # the font's digits are 22 px high
    stroke = max(1, round(scale * 1.3))
    (w, h), _ = cv2.getTextSize(text, _FONT, scale, stroke)
    pad = max(2, round(tall * 0.28))
    x = int(np.clip(middle - w / 2 - pad, 0, max(width - w - 2 * pad - 1, 0)))
    y = int(np.clip(top - h - 3 * pad, 0, max(height - h - 2 * pad - 1, 0)))
    corner = (x + w + 2 * pad, y + h + 2 * pad)
    cv2.rectangle(canvas, (x, y), corner, colour, cv2.FILLED)
    cv2.rectangle(canvas, (x, y), corner, OUTLINE, max(1, round(tall / 16)))
    cv2.putText(canvas, text, (x + pad, y + pad + h), _FONT, scale, OUTLINE, stroke, cv2.LINE_AA)


def heatmap_overlay(image: Pixels, heatmaps: Floats, warp: Warp, alpha: float = 0.65) -> Pixels:
    """(H, W, 3) RGB, (K, h, w) heatmaps of a view -> a new image with the heatmap over it.

    The largest value over the joints, relative to the highest of all, coloured and mapped back
    through `warp`, the one that cut the view; a map is the view at a lower resolution, with the
    same edges.  The image shows through where there is no heat; alpha: opacity of the hottest.
    """
    heat = np.asarray(heatmaps, np.float32)
    if heat.size == 0 or image.size == 0:
        return np.array(image)
    heat = np.maximum(heat.max(0), 0)
    grey = np.rint(255 * heat / max(float(heat.max()), 1e-6)).astype(np.uint8)  # (h, w)
    # the warp from pixels of the maps to pixels of the image
    scale = np.array(warp.size) / np.array((grey.shape[1], grey.shape[0]))
    inverse = warp.inverse().matrix
    linear = inverse[:, :2] * scale
    shift = inverse[:, :2] @ ((scale - 1) / 2) + inverse[:, 2]  # outer edges coincide
    spread = Warp(np.hstack([linear, shift[:, None]]), (image.shape[1], image.shape[0]), 0).image(
        np.repeat(grey[..., None], 3, 2)
    )  # (H, W, 3)
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)
    colours = table[:, 0, ::-1][spread[..., 0]]
    share = alpha * np.minimum(spread.astype(np.float32) / 128, 1)
    return np.asarray(np.rint(image + share * (colours.astype(np.float32) - image)), np.uint8)
