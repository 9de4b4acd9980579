"""Optimizers with their parameter groups, the learning rate, and frozen parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from posewright.errors import UsageError, nearest
from posewright.models.base import PoseModel
from posewright.recipes.recipe import Recipe

__all__ = ["freeze", "learning_rate", "make_optimizer", "warmup_steps"]


def make_optimizer(model: PoseModel, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over all parameters that are not frozen, the loss's included.

    Each group carries "base_lr", of which `learning_rate` says the share at a step, and
    "weight_decay".  UsageError: nothing is left to train, or the recipe names parts that the
    network has not.
    """
    groups = _groups(model, recipe)
    if not groups:
        raise UsageError(
            f"freeze={list(recipe.freeze)} leaves no parameter of {model.name} to train"
        )
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, recipe.lr, recipe.momentum, nesterov=recipe.momentum > 0)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, recipe.lr, momentum=recipe.momentum)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, recipe.lr, betas=(recipe.betas[0], recipe.betas[1]))


def _groups(model: PoseModel, recipe: Recipe) -> list[dict[str, object]]:
    """Return one group for each pair of learning rate and weight decay, in the model's order."""
    spared = _without_decay(model, recipe.no_decay)
    factors = _factors(model, recipe)
    groups: dict[tuple[float, float], dict[str, object]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate, decay = recipe.lr * factors[name], recipe.weight_decay * (name not in spared)
            group = groups.setdefault(
                (rate, decay),
                {"params": [], "lr": rate, "base_lr": rate, "weight_decay": decay},
            )
            group["params"].append(parameter)  # type: ignore[attr-defined]
    return list(groups.values())


def _without_decay(model: nn.Module, no_decay: Sequence[str]) -> set[str]:
    """Return the names of parameters that the recipe spares from weight decay."""
    names = [name for name, _ in model.named_parameters()]
    spared: set[str] = set()
    for word in no_decay:
        if word == "norm":
            # the names of the parameters of normalising layers, ours and torch's
            spared |= {
                f"{name}.{own}" if name else own
                for name, module in model.named_modules()
                if _is_norm(module)
                for own, _ in module.named_parameters(recurse=False)
            }
        elif word == "bias":
            spared |= {name for name in names if name.rpartition(".")[2].endswith("bias")}
        else:
            spared |= set(_named(names, word, "no_decay"))
    return spared


def _is_norm(module: nn.Module) -> bool:
    """Whether a layer normalises: GroupNorm, ScaleNorm ..., BatchNorm2d and its like."""
    name = type(module).__name__
    return name.endswith("Norm") or name.rstrip("123d").endswith("Norm")


def _named(names: Sequence[str], part: str, setting: str) -> list[str]:
    """Return the names that have `part` among their dotted parts; a UsageError if none has."""
    found = [name for name in names if f".{part}." in f".{name}."]
    if not found:
        known = {piece for name in names for piece in (name, *name.split("."))}
        raise UsageError(f"{setting}: no parameter is called {part!r}{nearest(part, known)}")
    return found


def _factors(model: nn.Module, recipe: Recipe) -> dict[str, float]:
    """Return each parameter's factor of the learning rate."""
    names = [name for name, _ in model.named_parameters()]
    factors = dict.fromkeys(names, 1.0)
    for part in sorted(recipe.lr_multipliers, key=len):  # the longest comes last and counts
        for name in _named(names, part, "lr_multipliers"):
            factors[name] = recipe.lr_multipliers[part]
    if recipe.layer_decay == 1:
        return factors
    depths = _depths(model, names)
    top = max(depths.values())
    return {n: f * recipe.layer_decay ** (top - depths[n]) for n, f in factors.items()}


def _depths(model: nn.Module, names: Sequence[str]) -> Mapping[str, int]:
    """Return 0 for what lies before the first transformer block, and one more behind each block.

    This is the order of BEiT (arXiv:2106.08254, appendix), which ViTPose uses.
    """
    blocks = getattr(getattr(model, "backbone", None), "blocks", None)
    if not isinstance(blocks, nn.ModuleList):
        raise UsageError("layer_decay needs a backbone of transformer blocks, as ViTPose's")
    depths = {}
    for name in names:
        if name.startswith("backbone.blocks."):
            depths[name] = int(name.split(".")[2]) + 1
        elif name.startswith(("backbone.patch_embed.", "backbone.pos_embed")):
            depths[name] = 0
        else:  # the last norm, neck, head and loss learn at the full rate
            depths[name] = len(blocks) + 1
    return depths


def freeze(model: nn.Module, prefixes: Sequence[str]) -> list[nn.Module]:
    """Keep the parameters below `prefixes` as they are; return the modules they are the whole of.

    These must stay in evaluation mode while the rest trains, or the statistics of their norm
    layers would keep changing.  UsageError: a prefix that begins no parameter's name.
    """
    names = [name for name, _ in model.named_parameters()]
    modules = dict(model.named_modules())
    for prefix in prefixes:
        if not any(f"{name}.".startswith(f"{prefix}.") for name in names):
            known = {n[:i] for n in names for i, c in enumerate(n) if c == "."} | set(names)
            raise UsageError(f"freeze: no part is called {prefix!r}{nearest(prefix, known)}")
    for name, parameter in model.named_parameters():
        if any(f"{name}.".startswith(f"{prefix}.") for prefix in prefixes):
            parameter.requires_grad_(False)
    return [modules[prefix].eval() for prefix in prefixes if prefix in modules]


def learning_rate(
    recipe: Recipe, step: int, steps_per_epoch: int, warmup: int | None = None
) -> float:
    """Return the share of the learning rate at an optimizer step, counted from 0 over all epochs.

    A function of its arguments alone.  warmup: its steps, by default those of `warmup_steps`.
    """
    rise = 1.0
    warmup = warmup_steps(recipe, steps_per_epoch) if warmup is None else warmup
    if step < warmup:
        rise = recipe.warmup_factor + (1 - recipe.warmup_factor) * step / warmup
    return rise * _schedule(recipe, step / max(steps_per_epoch, 1))


def warmup_steps(recipe: Recipe, steps_per_epoch: int) -> int:
    """Return how many steps the warm-up takes: those of the recipe, a tenth of all at most.

    Published ones are meant for COCO, and would be longer than the whole training on a small set.
    """
    return min(recipe.warmup, recipe.epochs * steps_per_epoch // 10)


def _schedule(recipe: Recipe, epoch: float) -> float:
    """Return the share without warm-up at a point in time, in epochs."""
    if recipe.schedule == "step":
        begin = recipe.restart if epoch >= recipe.restart else 0
        passed = sum(begin < milestone <= epoch for milestone in recipe.milestones)
        return recipe.gamma**passed
    if recipe.schedule == "constant":
        return 1.0
    begin, end = 0, recipe.epochs
    if recipe.schedule == "cosine":
        begin, end = recipe.cosine_from, min(recipe.cosine_until or end, end)
    done = min(max((epoch - begin) / max(end - begin, 1), 0.0), 1.0)
    share = 0.5 * (1 + math.cos(math.pi * done)) if recipe.schedule == "cosine" else 1 - done
    return recipe.final_factor + (1 - recipe.final_factor) * share
