"""How far apart one network in two runtimes is, on views of real people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.codecs.base import lists_people, refines
from posewright.errors import ModelError
from posewright.people import Floats, People, Pixels
from posewright.runtimes import Model

__all__ = ["BATCHES", "ROUNDING", "Check", "agreement", "real_crops"]

BATCHES = (1, 2, 3, 7)  # views of the calls that a file for any number of views is checked with
ROUNDING = 1e-5  # outputs that are nearer to each other are equal up to the order of sums

Arrays = Mapping[str, NDArray[Any]]
_TIE = 1e-4  # scores that lie closer may change places


@dataclass(frozen=True)
class Check:
    """How far a file is from the torch network on real crops.

    error: largest norm of a difference over the norm, of the raw outputs.  pixels: mean distance of
    the decoded joints in view pixels.  worst: the largest distance.  people: crops compared.
    found: people that both find in them, each time that a crop is seen.
    """

    error: float
    pixels: float
    worst: float
    people: int
    found: int


def agreement(ours: Model, theirs: Model, batches: Sequence[int]) -> Check:
    """Compare two models on `real_crops`, in calls of `batches` views; `ours` says what is right.

    Calls of these sizes continue until every crop was seen, and crops are repeated until the last
    is full.  ModelError: other outputs, outputs that are not finite, or another number of people in
    a view, unless outputs are equal up to `ROUNDING`: of proposals with almost equal scores NMS may
    then keep either.
    """
    codec = ours.codec
    crops = real_crops(codec)
    sizes = list(batches) * -(-len(crops) // sum(batches))
    views = np.resize(crops, (sum(sizes), *crops.shape[1:]))
    expected: Arrays
    found: Arrays
    error, distances = 0.0, [np.zeros((0, 1), np.float32)]
    for call in np.split(views, np.cumsum(sizes)[:-1]):
        given = _given(ours, call)
        expected, found = ours(*given), theirs(*given)
        if sorted(expected) != sorted(found):
            raise ModelError(f"outputs are {sorted(found)}, not {sorted(expected)}")
        _check_finite(expected, "outputs of the torch network")
        _check_finite(found, "outputs")
        if lists_people(codec):
            found = _in_order(expected, found)
        difference = _difference(codec, expected, found)
        pairs = zip(codec.decode(expected), codec.decode(found), strict=True)
        distances += [_distances(*pair, difference <= ROUNDING) for pair in pairs]
        error = float(np.maximum(error, difference))  # max(0.0, nan) would be 0.0
    people = sum(map(len, distances))
    joints = np.concatenate([d.ravel() for d in distances])
    mean, worst = (float(joints.mean()), float(joints.max())) if len(joints) else (0.0, 0.0)
    return Check(error, mean, worst, len(crops), people)


def real_crops(codec: Any, count: int = 8) -> Pixels:
    """Return (count, h, w, 3) views of the people of the clip that the package carries."""
    from posewright.pose import Pose
    from posewright.sources import open_source

    clip = Path(__file__).parents[1] / "assets" / "three-people.mp4"
    pose = Pose(threads=1, runtime="onnxruntime")
    views: list[Pixels] = []
    with open_source(str(clip)) as source:
        for number, frame in enumerate(source):
            if number % 10:
                continue
            people = pose(frame.image, color="rgb").people  # type: ignore[union-attr]
            views += [w.image(frame.image) for w in codec.warps(frame.size, people)]
            if len(views) >= count:
                break
    sizes = [v.shape for v in views]
    return np.stack([v for v in views if v.shape == sizes[0]][:count])


def _given(model: Model, views: Pixels) -> list[NDArray[Any]]:
    """Return what a call takes: views, and for a network that refines poses some poses."""
    codec = model.codec
    if not refines(codec):
        return [views]
    width, height = codec.input_size
    rng = np.random.default_rng(0)
    points = rng.uniform(0, [width, height], (len(views), len(model.skeleton), 2))
    boxes = np.tile([0, 0, width, height], (len(views), 1))
    people = People.of(boxes, None, points, np.ones(points.shape[:2]))
    return [views, codec.condition(people)]


def _check_finite(outputs: Arrays, what: str) -> None:
    """Raise a ModelError for NaN and infinity, whose distance to anything means nothing."""
    bad = [key for key, array in outputs.items() if not np.isfinite(array).all()]
    if bad:
        raise ModelError(f"{what} hold NaN or infinity: {', '.join(bad)}")


def _in_order(expected: Arrays, found: Arrays) -> Arrays:
    """Return `found` row next to row with `expected`: equal scores come in any order.

    Whom NMS leaves of equals depends on the order as well.
    """
    points = (a["keypoints"].reshape(*a["scores"].shape, -1) for a in (expected, found))
    order = np.stack([_nearest(*pair) for pair in zip(*points, strict=True)])
    return {key: array[np.arange(len(order))[:, None], order] for key, array in found.items()}


def _difference(codec: Any, expected: Arrays, found: Arrays) -> float:
    """Return the largest relative difference of any output."""
    if lists_people(codec) and expected["scores"].shape[1] < len(codec.locations):
        # only the best cells come out: of those that are tied with the last, either has others
        scores = expected["scores"]
        sure = scores > scores[:, -1:] + _TIE
        expected, found = ({k: a[sure] for k, a in x.items()} for x in (expected, found))
    return float(np.max([_relative(found[key], expected[key]) for key in expected]))


def _nearest(ours: Floats, theirs: Floats) -> NDArray[np.int64]:
    """(M, D), (N, D) -> (M,) the number of the nearest of `theirs`."""
    squares = np.square(ours).sum(1)[:, None] + np.square(theirs).sum(1)
    return np.asarray((squares - 2 * ours @ theirs.T).argmin(1), np.int64)


def _relative(found: NDArray[Any], expected: NDArray[Any]) -> float:
    if found.shape != expected.shape:
        raise ModelError(f"an output has shape {found.shape}, not {expected.shape}")
    return float(np.linalg.norm(found - expected) / max(float(np.linalg.norm(expected)), 1e-12))


def _distances(ours: People, theirs: People, alike: bool) -> Floats:
    """Return (N, K) px between the joints of each of `ours` and of the nearest of `theirs`.

    alike: there may be another number of them.
    """
    if len(ours) != len(theirs) and not alike:
        raise ModelError(f"finds {len(theirs)} people in a view, torch {len(ours)}")
    if not len(theirs):
        return np.zeros((0, 1), np.float32)
    if len(ours) > 1 or len(theirs) > 1:
        theirs = theirs[_nearest(*(p.keypoints.reshape(len(p), -1) for p in (ours, theirs)))]
    return np.asarray(np.linalg.norm(ours.keypoints - theirs.keypoints, axis=2), np.float32)
