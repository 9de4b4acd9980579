"""Re-identify people by appearance: features of their views, or of a detector for whole frames."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from posewright.codecs.base import embeds, embeds_boxes
from posewright.errors import UsageError
from posewright.people import Floats, Frame, People
from posewright.runtimes import Model

__all__ = ["Embedder"]


class Embedder:
    """What `AppearanceTracker` takes as `embed`: the features of the people of a frame.

    model: a network of codec Embedding, or a detector that finds features with its boxes (JDE);
    that runs once for each frame.  batch: crops per forward pass.  threads: concurrent calls; a
    call has fewer crops where that keeps more threads busy.  UsageError: the model is of another
    kind.
    """

    def __init__(self, model: Model, *, batch: int = 4, threads: int = 1) -> None:
        if not (embeds(model.codec) or embeds_boxes(model.codec)):
            raise UsageError(
                f"{model.info.name} is not a re-identification network; OSNet and other networks "
                "of codec embedding are: posewright models list"
            )
        self.model = model
        self.codec = model.codec
        self.batch = batch
        self.threads = threads

    @property
    def name(self) -> str:
        """The network's name, for messages."""
        return self.model.info.name

    def __call__(self, frame: Frame, people: People) -> Floats:
        """Return (N, D) of length 1, whose products are cosines; 0 where numbers are not finite.

        UsageError: the frame has no pixels, as those of saved poses.
        """
        if not len(people):
            return np.zeros((0, 0), np.float32)
        if not frame.image.size:
            raise UsageError(
                "the appearance tracker needs images, which saved poses do not contain; use predict"
            )
        if embeds_boxes(self.codec):
            (warp,) = self.codec.warps(frame.size, None)
            boxes = warp.points(people.boxes.reshape(-1, 2, 2)).reshape(-1, 4)
            edges = warp.points([(0, 0), frame.size]).ravel()
            return self.codec.features_of(self.model(warp.image(frame.image)[None]), boxes, edges)
        return self._of_views(frame, people)

    def _of_views(self, frame: Frame, people: People) -> Floats:
        """Return the features of each person's view."""
        warps = self.codec.warps(frame.size, people)
        views = np.stack([warp.image(frame.image) for warp in warps])  # (N, h, w, 3)
        size = min(self.batch, -(-len(views) // self.threads))
        batches = [views[i : i + size] for i in range(0, len(views), size)]
        if len(batches) == 1:
            return self._features(views)
        with ThreadPoolExecutor(self.threads, "posewright-reid") as pool:
            return np.concatenate(list(pool.map(self._features, batches)))

    def _features(self, views: NDArray[np.uint8]) -> Floats:
        """(B, h, w, 3) -> (B, D)."""
        assert embeds(self.codec)
        return self.codec.features(self.model(views))
