"""Settings of a recipe that have an effect only with another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from posewright.errors import UsageError

if TYPE_CHECKING:
    from posewright.recipes.recipe import Recipe

__all__ = ["check_effects", "without_effect"]

# A setting or a group of them: whether it has an effect in a recipe, and what gives it one.
_NEEDS: dict[str, tuple[Callable[[Recipe], bool], str]] = {
    "stn": (lambda r: bool(r.options.get("stn")), "--stn (options.stn=true)"),
    "posefix.synthetic": (lambda r: bool(r.posefix.poses), "posefix.poses=FILE"),
    "stn.labels": (lambda r: r.stn.loss_weight > 0, "a stn.loss_weight above 0"),
    "augment.pgpg_from": (lambda r: bool(r.augment.pgpg), "augment.pgpg=alphapose or a file"),
    "augment.hide_share": (lambda r: r.augment.hide > 0, "an augment.hide above 0"),
    "augment.drop_from": (
        lambda r: r.augment.erase > 0 or r.augment.hide > 0,
        "an augment.erase or augment.hide above 0",
    ),
    "augment.half_body_joints": (lambda r: r.augment.half_body > 0, "an augment.half_body above 0"),
    "augment.rotate_probability": (lambda r: r.augment.rotate > 0, "an augment.rotate above 0"),
    "betas": (lambda r: r.optimizer in ("adam", "adamw"), "optimizer=adam or adamw"),
    "momentum": (lambda r: r.optimizer in ("sgd", "rmsprop"), "optimizer=sgd or rmsprop"),
    "milestones": (lambda r: r.schedule == "step", "schedule=step"),
    "gamma": (lambda r: r.schedule == "step", "schedule=step"),
    "restart": (lambda r: r.schedule == "step", "schedule=step"),
    "cosine_from": (lambda r: r.schedule == "cosine", "schedule=cosine"),
    "cosine_until": (lambda r: r.schedule == "cosine", "schedule=cosine"),
    "final_factor": (lambda r: r.schedule in ("cosine", "linear"), "schedule=cosine or linear"),
    "warmup_factor": (lambda r: r.warmup > 0, "a warmup above 0"),
}


def check_effects(recipe: Recipe, given: Iterable[str]) -> None:
    """Raise a UsageError for the first of some settings that has no effect in the recipe.

    given: keys that a user has typed; what a published recipe holds for a method that was switched
    off does no harm.
    """
    for key in given:
        for name in dict.fromkeys((key.partition(".")[0], key)):
            if name in _NEEDS and not _NEEDS[name][0](recipe):
                raise without_effect(name, key)


def without_effect(name: str, key: str = "") -> UsageError:
    """Return the error of a setting without an effect; name: its entry, which may be a group's."""
    return UsageError(
        f"{key or name} has no effect without {_NEEDS[name][1]}; add that, or leave it out"
    )
