"""The recipe settings that change a network's loss during training."""

from __future__ import annotations

from posewright.errors import UsageError
from posewright.losses.schedule import OKSLoss, ScheduledLoss
from posewright.models import PoseModel
from posewright.recipes.effects import without_effect
from posewright.recipes.groups import STNSettings
from posewright.recipes.recipe import Recipe

__all__ = ["Stages"]

_HINT = (
    "1 - OKS has no gradient for a joint many sigmas away; from random weights "
    "oks_loss.width=4, with sigmas wider at first, learns much faster"
)
# The settings of losses: the loss's attribute, the key, and what networks without it are not.
_SETTINGS = (
    ("oks_width", "oks_loss.width", "does not learn joints by OKS alone"),
    ("teach_from", "rtmo.teach_from", "is not RTMO"),
)


class Stages:
    """Adjusts a network's loss during training, as the recipe says.

    UsageError: a setting that the network's loss does not have.
    """

    def __init__(self, model: PoseModel, recipe: Recipe) -> None:
        self._recipe, self._loss = recipe, model.loss
        if model.stn is None and recipe.stn != STNSettings():  # as of a file
            raise without_effect("stn")
        given, defaults = recipe.settings(), Recipe().settings()
        for attribute, key, lacking in _SETTINGS:
            if hasattr(model.loss, attribute):
                setattr(model.loss, attribute, given[key])
            elif given[key] != defaults[key]:
                raise UsageError(f"{key}={given[key]:g}: {model.name} {lacking}; leave it out")

    @property
    def hint(self) -> str:
        """Advice before training from random weights, if any."""
        new = self._recipe.oks_loss.width == 1 and not self._recipe.weights
        return _HINT if new and isinstance(self._loss, OKSLoss) else ""

    def at(self, epoch: float) -> None:
        """Set the loss for the epoch, counted from 0, with its fraction."""
        if isinstance(self._loss, ScheduledLoss):
            self._loss.at(epoch, self._recipe.epochs)
