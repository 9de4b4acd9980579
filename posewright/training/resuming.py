"""A run that resumes with other settings or data keeps its progress and reports the changes.

The schedule follows the epochs that were seen.  Where an epoch has another number of steps than
before, with another batch or other data, the steps that were done are converted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posewright.errors import counted
from posewright.recipes.recipe import Recipe
from posewright.training.logs import Place
from posewright.training.optim import learning_rate, warmup_steps

__all__ = ["Pace", "Taken", "differences"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How a run goes through its data.

    batch: instances a step, over all processes.  steps, instances: of an epoch.  warmup: steps that
    the learning rate rises for.
    """

    batch: int
    steps: int
    instances: int
    warmup: int

    @classmethod
    def of(cls, recipe: Recipe, steps: int, instances: int) -> Pace:
        """Return the pace of a run that begins."""
        return cls(recipe.batch, steps, instances, warmup_steps(recipe, steps))

    def at(self, place: Place) -> int:
        """Return how many steps of this pace lead to a place."""
        return place.epoch * self.steps + place.batch

    def rate(self, recipe: Recipe, at: int) -> float:
        """Return the share of the learning rate after `at` steps of this pace."""
        return learning_rate(recipe, at, self.steps, self.warmup)


@dataclass(frozen=True, slots=True)
class Taken:
    """Place and pace that a run resumes with, and lines that report the changes."""

    place: Place
    pace: Pace
    changes: tuple[str, ...]

    @classmethod
    def of(cls, facts: Mapping[str, Any], folder: Path, recipe: Recipe, fresh: Pace) -> Taken:
        """Continue from the facts of a state.

        recipe, fresh: those that a new run would have now.  States of earlier versions lack recipe
        and pace: these follow from the folder's recipe.toml and from the place.
        """
        place, earlier = Place(**facts["place"]), _recipe_before(facts, folder, recipe)
        before = _pace_before(facts, earlier, place, fresh)
        pace = fresh
        if recipe.warmup == earlier.warmup:  # a rise that is over must not begin again
            pace = replace(fresh, warmup=round(before.warmup * fresh.steps / before.steps))
        moved = replace(place, batch=_batches(place, before, pace))
        old_settings = earlier.settings()
        pairs = [
            f"{key}={_short(new)} (before: {_short(old_settings[key])})"
            for key, new in recipe.settings().items()
            if new != old_settings[key]
        ]
        changes = [f"resumed with {', '.join(pairs)}"] if pairs else []
        if (before.steps, before.batch) != (pace.steps, pace.batch):
            changes.append(
                f"an epoch has {counted(pace.steps, 'step')} of {counted(pace.batch, 'view')} "
                f"(before: {before.steps} of {before.batch}): resuming at epoch "
                f"{pace.at(moved) / pace.steps:.2f} of {recipe.epochs}"
            )
        old = earlier.lr * before.rate(earlier, before.at(place))
        new = recipe.lr * pace.rate(recipe, pace.at(moved))
        if abs(new - old) > 0.01 * old:
            changes.append(f"the learning rate is now {new:.3g} (before: {old:.3g})")
        return cls(moved, pace, tuple(changes))


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return lines that say which surroundings of a run differ from those of its state.

    before, now: "world", "device", "torch", "data" and "validation", whichever are known.
    """
    lines = []
    for key, old in ((key, before[key]) for key in now if key in before):
        was, then = (str(v).partition(":")[0][:12] for v in (old, now[key]))
        if was != then and key == "validation":
            lines.append(
                "resumed with different validation images: the best score so far was measured on "
                "the earlier ones"
            )
        elif was != then:
            what = "processes" if key == "world" else key
            lines.append(
                f"resumed with different {what} ({then}, not {was}): results are not bit-exact"
            )
    return lines


def _recipe_before(facts: Mapping[str, Any], folder: Path, recipe: Recipe) -> Recipe:
    """Return the recipe that a state was written with."""
    if "recipe" in facts:
        return Recipe.from_dict(facts["recipe"])
    file = folder / "recipe.toml"
    return Recipe.read(file) if file.is_file() else recipe


def _pace_before(facts: Mapping[str, Any], recipe: Recipe, place: Place, now: Pace) -> Pace:
    """Return the pace that a state was written with; of an earlier version's, as far as known."""
    if "pace" in facts:
        return Pace(**facts["pace"])
    instances = now.instances
    steps = max(instances // recipe.batch, 1)
    if place.epoch:
        steps = max((place.step - place.batch) // place.epoch, 1)
        if steps != max(instances // recipe.batch, 1):  # other data
            instances = steps * recipe.batch
    return Pace.of(recipe, steps, instances)


def _batches(place: Place, before: Pace, now: Pace) -> int:
    """Return how many batches of the epoch in hand have been seen, in those of now.

    Its instances come in the same order whatever the batch is: none is left out, and fewer than a
    batch are seen again.
    """
    if place.batch >= before.steps:
        return now.steps
    seen = place.batch * before.batch * now.instances  # a share of other data is as large
    return min(seen // (before.instances * now.batch), now.steps)


def _short(value: Any) -> str:
    text = str(list(value) if isinstance(value, tuple) else value) or '""'
    return text if len(text) <= 60 else f"{text[:57]}..."
