"""Recipe: every setting of a training run as one frozen value.

`with_overrides(["lr=1e-3"])` changes settings by name; `to_toml` and `Recipe.read` are its file.
`families.recipe_for(name)` is what a network's authors trained it with.  Needs no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from posewright.augment import Augmentation
from posewright.errors import UsageError, nearest
from posewright.recipes import toml
from posewright.recipes.rules import Rule, flag, number, one_of, plain, table, text, texts

__all__ = ["Recipe", "describe_settings"]


def _setting(default: Any, rule: Rule, says: str) -> Any:
    """Return a field with what it may be and what it does."""
    facts = {"rule": rule, "says": says}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=facts)
    return field(default=default, metadata=facts)


_EPOCH = "epochs, counted from the beginning"


@dataclass(frozen=True)
class Recipe:
    """Every training setting; the defaults are HRNet's (arXiv:1902.09212).

    UsageError: an invalid value, with the setting's name and its allowed values.
    """

    model: str = _setting("hrnet_w32", text(), "network of the zoo")
    options: Mapping[str, Any] = _setting(
        {}, table(plain()), "options of the network, for `create`"
    )
    data: tuple[str, ...] = _setting((), texts(), "labelled data sets to train on")
    val: str = _setting("", text(), 'data set to validate on, or "last:N" for the last N images')
    val_split: float = _setting(0.1, number(0, 0.99), "share of the data held back without `val`")
    kind: str = _setting("", text(), "format of the data sets; detected if empty")
    class_name: str = _setting("", text(), "class to train on; if empty, person or the only one")
    images: str = _setting("", text(), "image folder; found near the labels if empty")
    val_images: str = _setting("", text(), "as `images`, for `val`")
    boxes: str = _setting("truth", text(), '"truth", or the file of a detector\'s boxes')
    limit: int = _setting(0, number(0, whole=True), "train on so many people only; 0: on all")
    cache: str = _setting("", text(), "folder of cached person crops, for faster data loading")
    workers: int = _setting(4, number(0, whole=True), "threads that read images")

    epochs: int = _setting(210, number(1, whole=True), "passes over the training data")
    batch: int = _setting(
        128, number(1, whole=True), "batch size, in crops over all devices together"
    )
    accumulate: int = _setting(1, number(1, whole=True), "gradient accumulation: parts of a batch")
    lr: float = _setting(1e-3, number(0), "peak learning rate")
    optimizer: str = _setting("adam", one_of("adam", "adamw", "sgd", "rmsprop"), "the optimizer")
    betas: tuple[float, ...] = _setting(
        (0.9, 0.999), number(0, 0.999999).pair(), "of adam and adamw"
    )
    momentum: float = _setting(0.9, number(0, 0.999999), "of sgd (Nesterov's) and rmsprop")
    weight_decay: float = _setting(0.0, number(0), "L2 penalty; decoupled in adamw")
    no_decay: tuple[str, ...] = _setting(
        (), texts(), 'excluded from weight decay: "norm", "bias", or parts of parameter names'
    )
    lr_multipliers: Mapping[str, float] = _setting(
        {},
        table(number(0)),
        "factor of `lr` by part of a parameter's name; the longest match applies",
    )
    layer_decay: float = _setting(
        1.0, number(1e-6, 1), "factor of `lr` from a transformer's block to the one before it"
    )
    clip: float = _setting(0.0, number(0), "maximum gradient norm (gradient clipping); 0: off")

    schedule: str = _setting(
        "step", one_of("step", "cosine", "linear", "constant"), "learning rate schedule"
    )
    milestones: tuple[int, ...] = _setting(
        (170, 200), number(0, whole=True).many(), f"step: {_EPOCH}, when the learning rate drops"
    )
    gamma: float = _setting(0.1, number(0, 1), "step: the factor at each milestone")
    restart: int = _setting(
        0, number(0, whole=True), f"step: {_EPOCH}, when the schedule restarts; 0: never"
    )
    cosine_from: int = _setting(0, number(0, whole=True), f"cosine: {_EPOCH}, flat before")
    cosine_until: int = _setting(
        0, number(0, whole=True), f"cosine: {_EPOCH}, flat after; 0: the last"
    )
    final_factor: float = _setting(0.0, number(0, 1), "cosine, linear: the factor at the end")
    warmup: int = _setting(
        0, number(0, whole=True), "steps of linear warm-up, at most a tenth of all"
    )
    warmup_factor: float = _setting(0.001, number(0, 1), "the factor that the warm-up starts from")

    ema: float = _setting(
        0.0, number(0, 0.999999), "decay of the exponential moving average of the weights; 0: off"
    )
    precision: str = _setting(
        "fp32", one_of("fp32", "bf16", "fp16"), "precision of the computation"
    )
    channels_last: bool = _setting(True, flag(), "use the channels-last memory format")
    compile: bool = _setting(False, flag(), "torch.compile")
    sync_bn: bool = _setting(False, flag(), "synchronise batch normalisation across devices")
    freeze: tuple[str, ...] = _setting(
        (), texts(), 'modules that are not trained, such as "backbone"'
    )
    parallel: float = _setting(
        1.0, number(0), "options.stn: factor of the parallel branch's loss; 0: without the branch"
    )
    parallel_labels: str = _setting(
        "centred",
        one_of("centred", "cropped", "boxes"),
        "its poses: moved to the middle (RMPE), or as in the codec's crop of the labelled box; "
        "boxes: no branch, the transformer itself learns that crop",
    )
    oks_width: float = _setting(
        1.0,
        number(1, 100),
        "YOLO-Pose, YOLOX-Pose, RTMO: factor of the loss's sigmas at the "
        "start, 1 from half of the training on",
    )
    teach_from: int = _setting(
        0,
        number(0, whole=True),
        "RTMO: epoch at which its second stage begins, in which its "
        "classifier teaches the other branches; 0: never",
    )
    weights: str = _setting("", text(), "safetensors file to start from; what fits is loaded")

    seed: int = _setting(0, number(0, 2**63 - 1, whole=True), "seed of all random numbers")
    save_every: int = _setting(500, number(0, whole=True), "steps between saves; 0: epochs only")
    eval_every: int = _setting(1, number(1, whole=True), "epochs between validations")
    log_every: int = _setting(50, number(1, whole=True), "steps between rows of the log")
    tensorboard: bool = _setting(False, flag(), "write TensorBoard's files too")

    augment: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for setting in fields(self):
            rule = setting.metadata.get("rule")
            if rule is not None:
                value = rule.checked(setting.name, getattr(self, setting.name))
                object.__setattr__(self, setting.name, value)
        if self.model.rpartition(":")[0].endswith(".py"):
            raise UsageError(
                f"invalid model={self.model!r}: a recipe cannot name a Python file, which would "
                f"be run; give it on the command line, with -m"
            )
        if not isinstance(self.augment, Augmentation):
            raise UsageError(f"invalid augment: expected an Augmentation, got {self.augment!r}")

    def with_overrides(self, assignments: Sequence[str]) -> Recipe:
        """Return a copy with settings replaced, each as "key=value".

        Keys of augment, options and lr_multipliers follow a dot.  Values are numbers, true, false,
        [a, b], {"a": 1} or text.  A new number of epochs moves the other epochs in proportion,
        unless they are given as well.  UsageError: an unknown key, with the nearest.
        """
        pairs = [_split(assignment) for assignment in assignments]
        given = {key for key, _ in pairs}
        recipe = self
        augment: dict[str, Any] = {}  # changed at once: what one may be depends on another
        for key, value in pairs:
            group, dot, rest = key.partition(".")
            if dot and group == "augment":
                augment[rest] = _literal(value)
            else:
                recipe = _assigned(recipe, key, value)
        recipe = replace(recipe, augment=_augmented(recipe.augment, augment))
        return _stretched(recipe, self.epochs, given) if "epochs" in given else recipe

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form, with a table for each part."""
        return asdict(self)

    def to_toml(self) -> str:
        """Return the text of a recipe file, which `read` reads."""
        return toml.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Read what `to_dict` returned; settings that are left out keep their defaults."""
        known = {setting.name for setting in fields(cls)}
        for key in data:
            if key not in known:
                raise _unknown(key, known)
        values = dict(data)
        if "augment" in values:
            if not isinstance(values["augment"], Mapping):
                raise UsageError(f"invalid augment: expected a table, got {values['augment']!r}")
            values["augment"] = _augmented(Augmentation(), values["augment"])
        return cls(**values)

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Read a recipe file; UsageError: it is missing, not TOML or has an invalid value."""
        try:
            data = toml.load(path)
        except OSError as error:
            raise UsageError(f"{path}: the recipe cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}: not a recipe in TOML ({error})") from error
        try:
            return cls.from_dict(data)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error


def describe_settings() -> list[tuple[str, Any, str, str]]:
    """Return (key, default, what it may be, what it does) of every setting but augmentation's."""
    plain_recipe = Recipe()
    return [
        (s.name, getattr(plain_recipe, s.name), s.metadata["rule"].allowed, s.metadata["says"])
        for s in fields(Recipe)
        if "rule" in s.metadata
    ]


def _unknown(key: str, known: Iterable[str]) -> UsageError:
    inner = f"augment.{key}"
    hint = f"; did you mean {inner!r}?" if inner in known else nearest(key, sorted(known))
    return UsageError(f"a recipe has no {key!r}{hint}")


def _split(assignment: str) -> tuple[str, str]:
    key, equals, value = assignment.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{assignment!r} is not a setting; write key=value, as in lr=1e-3")
    return key.strip(), value.strip()


def _assigned(recipe: Recipe, key: str, value: str) -> Recipe:
    """Return the recipe with one setting replaced by its text."""
    name, dot, rest = key.partition(".")
    known = {setting.name: setting for setting in fields(recipe)}
    if name not in known:
        # all keys, those of augmentation with their dot: "rotate" finds "augment.rotate"
        raise _unknown(name, set(known) | {f"augment.{part.name}" for part in fields(Augmentation)})
    if name == "augment":
        raise UsageError("augment is a group of settings; set one of them: augment.rotate=30")
    rule: Rule = known[name].metadata["rule"]
    if dot and not rule.is_table:
        raise UsageError(f"{key!r}: {name} is {rule.allowed} and has no entries")
    if dot:
        new: Any = _merged(getattr(recipe, name), rest, _literal(value), deep=name == "options")
    else:
        new = _unquoted(value) if rule.raw else _literal(value)
    changes: dict[str, Any] = {name: new}
    return replace(recipe, **changes)


def _merged(entries: Mapping[str, Any], key: str, value: Any, deep: bool) -> dict[str, Any]:
    """Return a table with one entry replaced; deep: dots lead into tables within it."""
    first, dot, rest = key.partition(".") if deep else (key, "", "")
    if not first:
        raise UsageError(f"{key!r} has an empty name before or after the dot")
    inner = entries.get(first, {})
    if dot and not isinstance(inner, Mapping):
        raise UsageError(f"{key!r}: {first} is {inner!r} and has no entries")
    if dot:
        value = _merged(inner, rest, value, deep)
    return {**entries, first: value}


def _augmented(augment: Augmentation, values: Mapping[str, Any]) -> Augmentation:
    """Return an augmentation with some of its numbers replaced."""
    known = {part.name: part.default for part in fields(augment)}
    changed = {}
    for key, value in values.items():
        if key not in known:
            raise _unknown(f"augment.{key}", {f"augment.{name}" for name in known})
        changed[key] = _like(known[key]).checked(f"augment.{key}", value)
    return replace(augment, **changed)


def _like(value: Any) -> Rule:
    """Return the rule of a value's own type; its range is the augmentation's to check."""
    if isinstance(value, bool):
        return flag()
    if isinstance(value, str):
        return text()
    return number(whole=isinstance(value, int))


def _stretched(recipe: Recipe, before: int, given: set[str]) -> Recipe:
    """Move the epochs at which something happens with the number of epochs."""
    share = recipe.epochs / before

    def moved(epoch: int) -> int:
        return round(epoch * share)

    changes: dict[str, Any] = {
        key: moved(getattr(recipe, key))
        for key in ("restart", "cosine_from", "cosine_until", "teach_from")
        if key not in given
    }
    if "milestones" not in given:
        changes["milestones"] = tuple(moved(epoch) for epoch in recipe.milestones)
    if "augment.pgpg_from" not in given:
        start = moved(recipe.augment.pgpg_from)
        changes["augment"] = replace(recipe.augment, pgpg_from=start)
    return replace(recipe, **changes)


_WHOLE = re.compile(r"[+-]?\d+")
_FRACTION = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def _literal(value: str) -> Any:
    """Return the plain value that a text stands for; text where it is nothing else."""
    if value in ("true", "false"):
        return value == "true"
    if _WHOLE.fullmatch(value):
        return int(value)
    if _FRACTION.fullmatch(value):
        return float(value)
    if value[:1] in ("[", "{", '"'):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            if value[0] != "[" or value[-1] != "]":
                return value
            # names in a list need no quotes: [backbone, neck]
            return [_literal(part.strip()) for part in value[1:-1].split(",") if part.strip()]
    return value


def _unquoted(value: str) -> str:
    """Return text as it is, or what is between its quotes."""
    found = _literal(value) if value[:1] == '"' else value
    return found if isinstance(found, str) else value
