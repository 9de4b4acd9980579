"""What changes in a network's loss as its training goes on."""

from __future__ import annotations

from posewright.errors import UsageError
from posewright.losses.oks import YoloPoseLoss
from posewright.losses.yolox import RTMOLoss, YoloxPoseLoss
from posewright.models import PoseModel
from posewright.recipes.recipe import Recipe

__all__ = ["Stages"]

_HINT = (
    "1 - OKS has no gradient for a joint many sigmas away; from random weights oks_width=4, with "
    "sigmas wider at first, learns much faster"
)


class Stages:
    """Sets a network's loss for each moment of a training by the recipe.

    oks_width makes the sigmas of an OKS loss wider at first, and its authors' in the end.
    exp(-d^2 / 2 sigma^2) is flat many sigmas away, where all joints of a new network are: YOLO-Pose
    and its like were published on weights that know people.  The factor falls evenly, in its
    logarithm, to 1 at half of the training.

    teach_from begins the second stage of RTMO's loss (arXiv:2312.07526, as published: epoch 280 of
    600).

    All follows from the epoch alone, so that a resumed run is the same.  UsageError: a setting that
    the network's loss does not have.
    """

    def __init__(self, model: PoseModel, recipe: Recipe) -> None:
        self._recipe, self._loss = recipe, model.loss
        # AdaptivePose's loss has sigmas, too, but also L1, which has a gradient everywhere
        alone = (YoloPoseLoss, YoloxPoseLoss, RTMOLoss)
        self._sigmas = model.loss.sigmas if isinstance(model.loss, alone) else None
        self._own = None if self._sigmas is None else self._sigmas.clone()
        if self._sigmas is None and recipe.oks_width != 1:
            raise UsageError(
                f"oks_width={recipe.oks_width:g}: {model.name} does not learn joints by OKS alone; "
                "leave it out"
            )
        if recipe.teach_from and not isinstance(model.loss, RTMOLoss):
            raise UsageError(
                f"teach_from={recipe.teach_from}: {model.name} is not RTMO; leave it out"
            )

    @property
    def hint(self) -> str:
        """What to say before a training from random weights, if anything."""
        recipe = self._recipe
        lost = self._sigmas is not None and recipe.oks_width == 1 and not recipe.weights
        return _HINT if lost else ""

    def at(self, epoch: float) -> None:
        """Set the loss for the epoch, counted from 0, with its fraction."""
        recipe = self._recipe
        if self._sigmas is not None and recipe.oks_width != 1:
            share = max(0.0, 1 - 2 * epoch / recipe.epochs)
            self._sigmas.copy_(self._own * recipe.oks_width**share)
        if isinstance(self._loss, RTMOLoss):
            self._loss.teach = 0 < recipe.teach_from <= epoch
