"""Write docs/recipes.md: every setting of a training run, and the recipe of every network.

Usage: python tools/write_recipes_page.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from posewright.augment import Augmentation
from posewright.recipes.lookup import Family, families
from posewright.recipes.recipe import Recipe, describe_settings
from posewright.weights.starts import published_start, starts

PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"
HEAD = """# Recipes

Written by `python tools/write_recipes_page.py`. `posewright train DATA -m NETWORK` uses the recipe
of its authors; any setting is changed by `key=value` behind it, options of the network as
`options.input_size=[288,384]`. The settings of one method are a group, which is a table of the
recipe's file and a prefix of the key: `augment.rotate=30` ([augmentation.md](augmentation.md)),
`stn.labels=boxes` ([rmpe.md](rmpe.md)), `oks_loss.width=4` and `rtmo.teach_from=280`
([training.md](training.md)). A new number of epochs moves the epochs at which something happens in
proportion, unless they are given as well. The run folder keeps the resolved recipe as
`recipe.toml`, and `posewright train RUN/recipe.toml` trains from it again. Recipes, states and
command lines with the earlier names `parallel`, `parallel_labels`, `oks_width` and `teach_from`
are read as before; `pretrained` (HRNet, mmpose) is `backbone`, and `try_load` (AlphaPose) is
`weights`.

`plan=aid` and `plan=aid-long` change several settings at once: the longer schedules of AID, with
squares of the views hidden ([augmentation.md](augmentation.md#information-dropping)).

`lr` belongs to the recipe's `batch`: with a smaller batch, take a smaller `lr`.
"""
SETTINGS = """
## Settings

| setting | default | what it may be | what it does |
|---|---|---|---|
"""
RECIPES = """
## The networks

The rate falls to a tenth at the epochs of "step", and after an arrow starts anew. "layers x.75"
multiplies it from each transformer block to the one before. Augmentation is: scale, rotation,
half body, and what else is on ([augmentation.md](augmentation.md)); flip is always 0.5. "start" is
what the authors trained the network from, as a value of `backbone` (below); it is empty where they
started from random weights, where no file of theirs is named here, or where they do not say.
No recipe sets it: a training starts from random weights unless `backbone` or `weights` is given.

| networks | optimizer | batch | epochs | schedule | more | augmentation | start | source |
|---|---|---|---|---|---|---|---|---|
"""
STARTS = """
## Named starts

`backbone=NAME` takes one of these, by its name or by that of its file
([training.md](training.md#what-a-training-starts-from)). It is downloaded when a training names it,
and kept. "digits" are the first of the SHA-256 that is publicly stated, mostly in the name of the
file; without them the sum of the first download is kept and compared from then on.

| name | file | digits | trained on | licence |
|---|---|---|---|---|
"""


def shown(value: Any) -> str:
    """Return a default as one writes it on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value) if value not in ("", {}) else ""


def optimizer(recipe: Recipe) -> str:
    """Name, learning rate and weight decay."""
    decay = f", decay {recipe.weight_decay:g}" if recipe.weight_decay else ""
    return f"{recipe.optimizer} {recipe.lr:g}{decay}"


def schedule(recipe: Recipe) -> str:
    """When the learning rate falls, and how it rises at the start."""
    rise = f"; warm-up {recipe.warmup}" if recipe.warmup else ""
    if recipe.schedule == "cosine":
        until = recipe.cosine_until or recipe.epochs
        return f"cosine {recipe.cosine_from} to {until}, down to x{recipe.final_factor:g}{rise}"
    parts = [str(m) for m in recipe.milestones]
    if recipe.restart:
        parts.insert(sum(m < recipe.restart for m in recipe.milestones), f"→{recipe.restart}")
    return f"{recipe.schedule} {', '.join(parts)}{rise}"


def more(recipe: Recipe) -> str:
    """What only some recipes have."""
    parts = [
        f"clip {recipe.clip:g}" if recipe.clip else "",
        f"layers x{recipe.layer_decay:g}" if recipe.layer_decay != 1 else "",
        f"EMA {recipe.ema:g}" if recipe.ema else "",
        "SyncBN" if recipe.sync_bn else "",
        f"momentum {recipe.momentum:g}" if recipe.optimizer == "sgd" else "",
        *(f"{name} x{factor:g}" for name, factor in recipe.lr_multipliers.items()),
        f"no decay: {', '.join(recipe.no_decay)}" if recipe.no_decay else "",
    ]
    return "; ".join(part for part in parts if part)


def augmentation(augment: Augmentation) -> str:
    """The numbers of an augmentation that are on."""
    middle = "" if augment.scale_middle == 1 else f"{augment.scale_middle:g}"
    parts = [
        f"{middle}±{augment.scale:g}",
        f"{augment.rotate:g}°" + (" even" if augment.scale_draw == "uniform" else ""),
        f"half {augment.half_body:g}" if augment.half_body else "",
        f"shift {augment.shift:g}" if augment.shift else "",
        f"colour {augment.colour:g}" if augment.colour else "",
        f"erase {augment.erase:g}" if augment.erase else "",
        f"hide {augment.hide:g}" if augment.hide else "",
        f"PGPG from {augment.pgpg_from}" if augment.pgpg else "",
    ]
    return ", ".join(part for part in parts if part)


def rows(family: Family) -> list[str]:
    """One row for each different recipe of a family."""
    alike: dict[str, list[str]] = {}
    for name in family.networks:
        recipe = family.build(name)
        cells = (
            optimizer(recipe),
            str(recipe.batch),
            str(recipe.epochs),
            schedule(recipe),
            more(recipe),
            augmentation(recipe.augment),
            f"`{start}`" if (start := published_start(name)) else "",
            family.source,
        )
        alike.setdefault(" | ".join(cells), []).append(f"`{name}`")
    return [f"| {', '.join(names)} | {cells} |" for cells, names in alike.items()]


def page() -> str:
    """Return the whole page."""
    settings = [
        f"| `{key}` | {shown(default)} | {allowed} | {says} |"
        for key, default, allowed, says in describe_settings()
    ]
    recipes = [row for family in families() for row in rows(family)]
    named = [
        f"| `{s.name}` | {s.file} | {s.sha[:8]} | {s.data} | {s.licence} |"
        for s in starts().values()
    ]
    parts = (HEAD + SETTINGS, settings, RECIPES, recipes, STARTS, named)
    return "".join(part if isinstance(part, str) else "\n".join(part) + "\n" for part in parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
