"""Refine the poses of any model with a network that takes them as input (PoseFix)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posewright.codecs.base import finite_views, refines
from posewright.errors import UsageError
from posewright.people import Frame, People
from posewright.runtimes import Model, decoded
from posewright.warp import Warp

__all__ = ["Refiner"]


class Refiner:
    """A network that looks at an image and a pose in it and returns a better pose.

    Boxes, scores and ids of the people stay; their joints move.  UsageError: the model is not a
    refiner.
    """

    def __init__(self, model: Model, *, flip: bool = False, batch: int = 4) -> None:
        if not refines(model.codec):
            raise UsageError(f"{model.info.name} does not refine poses; use a PoseFix network")
        self.model = model
        self.codec = model.codec
        self.flip = flip
        self.batch = batch

    def __call__(self, frame: Frame, people: People) -> People:
        """Return `people` of `frame` with their joints moved; nobody stays nobody."""
        return self.refined(frame, people)[0]

    def refined(self, frame: Frame, people: People) -> tuple[People, int]:
        """Return also how many of them keep their pose, as their view's outputs are not finite."""
        if not len(people):
            return people, 0
        if people.keypoints.shape[1] != len(self.model.skeleton):
            raise UsageError(
                f"{self.model.info.name} refines {len(self.model.skeleton)} joints, but the poses "
                f"have {people.keypoints.shape[1]}"
            )
        framed = self.codec.framed(people)
        warps = self.codec.warps(frame.size, framed)
        found = [
            part
            for i in range(0, len(warps), self.batch)
            for part in self._run(frame, framed[i : i + self.batch], warps[i : i + self.batch])
        ]
        points = people.keypoints.copy()
        for i, (warp, (part, _)) in enumerate(zip(warps, found, strict=True)):
            if len(part):  # a view without finite numbers keeps the pose that was given
                points[i] = warp.inverse().people(part).keypoints[0]
        # the network that found them stated the error of the joints that it found
        people = people.replace(keypoints=points, expected_error=None)
        return people, sum(not finite for _, finite in found)

    def _run(
        self, frame: Frame, people: People, warps: Sequence[Warp]
    ) -> list[tuple[People, bool]]:
        """Return one person per view, in view pixels, and whether its outputs are finite."""
        views = np.stack([warp.image(frame.image) for warp in warps])
        given = People.concat([w.people(people[i : i + 1]) for i, w in enumerate(warps)])
        maps = self.codec.condition(given)  # (B, K, h, w)
        outputs = self.model(views, maps)
        if self.flip:
            order = self.model.skeleton.flip_index
            mirrored = self.model(
                np.ascontiguousarray(views[:, :, ::-1]),
                np.ascontiguousarray(maps[:, order, :, ::-1]),
            )
            back = self.codec.unflip(mirrored, self.model.skeleton)
            outputs = {key: (outputs[key] + back[key]) / 2 for key in outputs}
        finite = finite_views(outputs, len(views)).tolist()
        return list(zip(decoded(self.model, outputs), finite, strict=True))
