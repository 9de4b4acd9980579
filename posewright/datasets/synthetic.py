"""Stick people over textures: a labelled set that exists on any machine, from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from posewright.datasets.base import Dataset, Sample
from posewright.files.part import PartFile, reserve
from posewright.people import Floats, Pixels
from posewright.skeletons import COCO17

__all__ = ["Picture", "draw_picture", "synth"]


# A standing person of height 1 with the hips at 0, 0; x to the person's left, y down, as COCO17.
_STANDING = np.array(
    [
        [0, -0.48],
        [0.025, -0.50],
        [-0.025, -0.50],
        [0.05, -0.49],
        [-0.05, -0.49],
        [0.12, -0.36],
        [-0.12, -0.36],
        [0.16, -0.19],
        [-0.16, -0.19],
        [0.17, -0.03],
        [-0.17, -0.03],
        [0.08, 0],
        [-0.08, 0],
        [0.09, 0.23],
        [-0.09, 0.23],
        [0.09, 0.46],
        [-0.09, 0.46],
    ]
)
# (root, the joints that turn with it, largest angle in radians): arms before forearms.
_TURNS = [
    (5, (7, 9), 2.2),
    (6, (8, 10), 2.2),
    (7, (9,), 1.4),
    (8, (10,), 1.4),
    (11, (13, 15), 0.6),
    (12, (14, 16), 0.6),
    (13, (15,), 0.5),
    (14, (16,), 0.5),
]
_REACH = 0.05  # of a person's height: how far the drawing goes beyond the joints


@dataclass(frozen=True)
class Picture:
    """A drawn image (H, W, 3) RGB with keypoints (N, 17, 3), outlines by box (N, 4) px."""

    image: Pixels
    keypoints: Floats
    boxes: Floats


def synth(
    out: Path,
    count: int,
    seed: int = 0,
    size: tuple[int, int] = (320, 256),
    overwrite: bool = False,
) -> Dataset:
    """Draw `count` images into out/images and return their data set; the seed decides them all.

    size: width, height px.  An OutputError where the folder is in use or the disk full.
    """
    reserve(out, overwrite, folder=True)
    samples = []
    for number in range(1, count + 1):
        picture = draw_picture(np.random.default_rng([seed, number]), size)
        path = out / "images" / f"{number:06d}.png"
        part = PartFile(path, True)
        part.write(cv2.imencode(".png", picture.image[:, :, ::-1])[1].tobytes())
        part.finish()
        numbers = [number * 100 + i for i in range(len(picture.boxes))]
        samples.append(
            Sample.of(path, size, number, picture.keypoints, picture.boxes, numbers=numbers)
        )
    return Dataset("synthetic", COCO17, tuple(samples))


def draw_picture(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """Draw one to three people, later ones in front; a joint that they cover is hidden."""
    # smooth noise of three scales in random colours
    total = np.zeros((size[1], size[0], 3), np.float32)
    for cells in (3, 12, 48):
        noise = rng.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
        total += cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC) / 3
    image = total.clip(0, 255).astype(np.uint8)
    poses = [_pose(rng, size) for _ in range(int(rng.integers(1, 4)))]
    points = np.zeros((len(poses), 17, 3), np.float32)
    for i, (xy, height) in enumerate(poses):
        mask = np.zeros(image.shape[:2], np.uint8)
        _draw(image, mask, xy, height, rng)
        inside = np.all((xy > 0) & (xy < np.array(size) - 1), axis=1, keepdims=True)
        points[i] = np.concatenate([xy, inside * 2.0], 1)
        for earlier in points[:i]:
            columns, rows = np.rint(earlier[:, :2]).astype(int).T
            covered = earlier[:, 2] > 0
            covered[covered] = mask[rows[covered], columns[covered]] > 0
            earlier[covered, 2] = 1
    boxes = np.stack([_box(xy, height, size) for xy, height in poses])
    return Picture(image, points, boxes)


def _pose(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Floats, float]:
    """Return 17 joints (17, 2) px of a person somewhere in the image, and their height."""
    joints = _STANDING.copy()
    for root, moved, most in _TURNS:
        angle = rng.uniform(-most, most)
        joints[list(moved)] = _turned(joints[list(moved)], joints[root], angle)
    joints = _turned(joints, np.zeros(2), rng.uniform(-0.4, 0.4))
    height = float(rng.uniform(0.4, 0.85) * size[1])
    place = rng.uniform([0.2, 0.45], [0.8, 0.6]) * size
    if rng.random() < 0.3:  # seen from behind: the person's left is the image's left
        joints[:, 0] *= -1
    return (joints * height + place).astype(np.float32), height


def _turned(
    points: NDArray[np.float64], about: NDArray[np.float64], angle: float
) -> NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray((points - about) @ np.array([[cos, sin], [-sin, cos]]) + about)


def _box(xy: Floats, height: float, size: tuple[int, int]) -> Floats:
    """Return (4,) px round the drawn person, inside the image."""
    margin = height * _REACH
    low, high = xy.min(0) - margin, xy.max(0) + margin
    limit = np.array(size, np.float32)
    return np.concatenate([low.clip(0, limit), high.clip(0, limit)]).astype(np.float32)


def _draw(image: Pixels, mask: Pixels, xy: Floats, height: float, rng: np.random.Generator) -> None:
    """Draw limbs in the colours of their sides, so that left and right can be learnt."""
    clothes = rng.integers(40, 216, 3)
    fixed = np.rint(xy * 16).astype(int)
    thick = max(2, round(height * 0.045))
    for a, b in COCO17.links:
        colour = tuple(int(c) for c in _shade(clothes, COCO17.side(a), COCO17.side(b)))
        for canvas, paint in ((image, colour), (mask, (255,))):
            start, end = fixed[a].tolist(), fixed[b].tolist()
            cv2.line(canvas, start, end, paint, thick if b > 4 else thick // 2 + 1, cv2.LINE_8, 4)
    for joint, point in enumerate(fixed.tolist()):
        shade = tuple(int(c) for c in _shade(clothes // 2, COCO17.side(joint), COCO17.side(joint)))
        for canvas, paint in ((image, shade), (mask, (255,))):
            cv2.circle(canvas, point, thick * 8, paint, -1, cv2.LINE_8, 4)


def _shade(colour: NDArray[np.int64], one: str, other: str) -> NDArray[np.int64]:
    """Return a bluer colour on the person's left, a redder one on the right."""
    shift = {"left": [-40, 0, 40], "right": [40, 0, -40]}.get(one if one == other else "", [0] * 3)
    return np.asarray((colour + np.array(shift)).clip(0, 255))
