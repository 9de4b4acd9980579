"""Wider sigmas at the start of a training whose loss is 1 - OKS."""

from __future__ import annotations

from posewright.errors import UsageError
from posewright.losses.oks import YoloPoseLoss
from posewright.losses.yolox import RTMOLoss, YoloxPoseLoss
from posewright.models import PoseModel

__all__ = ["Widening"]

_HINT = (
    "1 - OKS has no gradient for a joint many sigmas away; from random weights oks_width=4, with "
    "sigmas wider at first, learns much faster"
)


class Widening:
    """Makes the sigmas of a network's OKS loss wider at first, and its authors' in the end.

    exp(-d^2 / 2 sigma^2) is flat many sigmas away, where all joints of a new network are: YOLO-Pose
    and its like were published on weights that know people.  The factor falls evenly, in its
    logarithm, from `width` to 1 at half of the training.  It follows from the step alone, so that
    a resumed run is the same.

    UsageError: a width for a network that learns its joints in another way.
    """

    def __init__(self, model: PoseModel, width: float) -> None:
        # AdaptivePose's loss has sigmas, too, but also L1, which has a gradient everywhere
        alone = (YoloPoseLoss, YoloxPoseLoss, RTMOLoss)
        sigmas = model.loss.sigmas if isinstance(model.loss, alone) else None
        if sigmas is None and width != 1:
            raise UsageError(
                f"oks_width={width:g}: {model.name} does not learn joints by OKS alone; "
                "leave it out"
            )
        self.width = width
        self._sigmas = sigmas
        self._final = None if sigmas is None else sigmas.clone()

    def hint(self, weights: str) -> str:
        """Return what to say before a training that starts from the file `weights`, if any."""
        return _HINT if self._sigmas is not None and self.width == 1 and not weights else ""

    def at(self, done: float) -> None:
        """Set the sigmas for the share of the training, from 0 to 1, that is done."""
        if self._sigmas is not None and self.width != 1:
            self._sigmas.copy_(self._final * self.width ** max(0.0, 1 - 2 * done))
