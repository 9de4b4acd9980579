"""What changes several epochs of a recipe at once: their number, and published longer schedules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from posewright.errors import UsageError, nearest

if TYPE_CHECKING:
    from posewright.recipes.recipe import Recipe

__all__ = ["planned", "stretched"]


def stretched(recipe: Recipe, before: int, given: set[str]) -> Recipe:
    """Move the epochs at which something happens with the number of epochs.

    before: epochs of the recipe so far.  given: settings that stay.
    """
    share = recipe.epochs / before

    def moved(epoch: int) -> int:
        return round(epoch * share)

    changes: dict[str, Any] = {
        key: moved(getattr(recipe, key))
        for key in ("restart", "cosine_from", "cosine_until")
        if key not in given
    }
    if "milestones" not in given:
        changes["milestones"] = tuple(moved(epoch) for epoch in recipe.milestones)
    groups = {"augment": ("pgpg_from", "drop_from"), "rtmo": ("teach_from",)}
    for name, keys in groups.items():
        group = getattr(recipe, name)
        later = {key: moved(getattr(group, key)) for key in keys if f"{name}.{key}" not in given}
        changes[name] = replace(group, **later)
    return replace(recipe, **changes)


def _aid(recipe: Recipe) -> Recipe:
    """Train twice as long: first as the recipe says, then so once more with dropped squares.

    The second half has the learning rates of the first.
    """
    if recipe.schedule != "step" or recipe.restart:
        raise UsageError(
            f"plan=aid repeats a schedule of steps, and {recipe.model} has another one; take "
            "plan=aid-long"
        )
    half = recipe.epochs
    again = tuple(half + epoch for epoch in recipe.milestones)
    return replace(
        recipe,
        epochs=2 * half,
        milestones=(*recipe.milestones, *again),
        restart=half,
        augment=replace(recipe.augment, hide=1.0, drop_from=half),
    )


def _aid_long(recipe: Recipe) -> Recipe:
    """Train twice as long, with dropped squares from the beginning."""
    longer = stretched(replace(recipe, epochs=2 * recipe.epochs), recipe.epochs, set())
    return replace(longer, augment=replace(longer.augment, hide=1.0))


_PLANS: dict[str, Callable[[Recipe], Recipe]] = {"aid": _aid, "aid-long": _aid_long}


def planned(recipe: Recipe, name: str) -> Recipe:
    """Return a recipe with a published longer schedule, `aid` or `aid-long` (arXiv:2008.07139).

    UsageError: no such plan, one that the recipe's schedule has no place for, or one that the
    recipe has already, as that of a run that is resumed.
    """
    if name not in _PLANS:
        raise UsageError(f"plan={name}; known: {', '.join(_PLANS)}{nearest(name, sorted(_PLANS))}")
    if recipe.augment.hide:
        raise UsageError(f"plan={name}: this recipe has augment.hide already; leave the plan out")
    return _PLANS[name](recipe)
