"""Recipe: every setting of a training run as one frozen value.

`with_overrides(["lr=1e-3"])` changes settings by name; `to_toml` and `Recipe.read` are its file.
`families.recipe_for(name)` is what a network's authors trained it with.  Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from posewright.augment import Augmentation
from posewright.errors import SourceError, UsageError, nearest
from posewright.recipes import toml
from posewright.recipes.effects import check_effects
from posewright.recipes.groups import (
    EARLIER_NAMES,
    OF_OTHERS,
    OKSLossSettings,
    PoseFixSettings,
    RTMOSettings,
    STNSettings,
    with_new_names,
)
from posewright.recipes.plans import planned, stretched
from posewright.recipes.rules import (
    Rule,
    flag,
    keep_checked,
    literal,
    number,
    one_of,
    plain,
    setting,
    table,
    text,
    texts,
)

__all__ = ["Recipe", "describe_settings"]


_EPOCH = "epochs, counted from the beginning"


@dataclass(frozen=True)
class Recipe:
    """Every training setting; the defaults are HRNet's (arXiv:1902.09212).

    UsageError: an invalid value, with the setting's name and its allowed values.
    """

    model: str = setting("hrnet_w32", text(), "network of the zoo")
    options: Mapping[str, Any] = setting({}, table(plain()), "options of the network, for `create`")
    data: tuple[str, ...] = setting((), texts(), "labelled data sets to train on")
    val: str = setting("", text(), 'data set to validate on, or "last:N" for the last N images')
    val_split: float = setting(0.1, number(0, 0.99), "share of the data held back without `val`")
    kind: str = setting("", text(), "format of the data sets; detected if empty")
    class_name: str = setting("", text(), "class to train on; if empty, person or the only one")
    images: str = setting("", text(), "image folder; found near the labels if empty")
    val_images: str = setting("", text(), "as `images`, for `val`")
    boxes: str = setting("truth", text(), '"truth", or the file of a detector\'s boxes')
    val_boxes: str = setting(
        "", text(), 'also validate with the boxes of "detector", kept in the run folder, or a file'
    )
    limit: int = setting(0, number(0, whole=True), "train on so many people only; 0: on all")
    cache: str = setting("", text(), "folder of cached person crops, for faster data loading")
    workers: int = setting(4, number(0, whole=True), "threads that read images")

    epochs: int = setting(210, number(1, whole=True), "passes over the training data")
    batch: int = setting(
        128, number(1, whole=True), "batch size, in crops over all devices together"
    )
    accumulate: int = setting(1, number(1, whole=True), "gradient accumulation: parts of a batch")
    lr: float = setting(1e-3, number(0), "peak learning rate")
    optimizer: str = setting("adam", one_of("adam", "adamw", "sgd", "rmsprop"), "the optimizer")
    betas: tuple[float, ...] = setting(
        (0.9, 0.999), number(0, 0.999999).pair(), "of adam and adamw"
    )
    momentum: float = setting(0.9, number(0, 0.999999), "of sgd (Nesterov's) and rmsprop")
    weight_decay: float = setting(0.0, number(0), "L2 penalty; decoupled in adamw")
    no_decay: tuple[str, ...] = setting(
        (), texts(), 'excluded from weight decay: "norm", "bias", or parts of parameter names'
    )
    lr_multipliers: Mapping[str, float] = setting(
        {},
        table(number(0)),
        "factor of `lr` by part of a parameter's name; the longest match applies",
    )
    layer_decay: float = setting(
        1.0, number(1e-6, 1), "factor of `lr` from a transformer's block to the one before it"
    )
    clip: float = setting(0.0, number(0), "maximum gradient norm (gradient clipping); 0: off")

    schedule: str = setting(
        "step", one_of("step", "cosine", "linear", "constant"), "learning rate schedule"
    )
    milestones: tuple[int, ...] = setting(
        (170, 200), number(0, whole=True).many(), f"step: {_EPOCH}, when the learning rate drops"
    )
    gamma: float = setting(0.1, number(0, 1), "step: the factor at each milestone")
    restart: int = setting(
        0, number(0, whole=True), f"step: {_EPOCH}, when the schedule restarts; 0: never"
    )
    cosine_from: int = setting(0, number(0, whole=True), f"cosine: {_EPOCH}, flat before")
    cosine_until: int = setting(
        0, number(0, whole=True), f"cosine: {_EPOCH}, flat after; 0: the last"
    )
    final_factor: float = setting(0.0, number(0, 1), "cosine, linear: the factor at the end")
    warmup: int = setting(
        0, number(0, whole=True), "steps of linear warm-up, at most a tenth of all"
    )
    warmup_factor: float = setting(0.001, number(0, 1), "the factor that the warm-up starts from")

    ema: float = setting(
        0.0, number(0, 0.999999), "decay of the exponential moving average of the weights; 0: off"
    )
    precision: str = setting("fp32", one_of("fp32", "bf16", "fp16"), "precision of the computation")
    channels_last: bool = setting(True, flag(), "use the channels-last memory format")
    compile: bool = setting(False, flag(), "torch.compile")
    sync_bn: bool = setting(False, flag(), "synchronise batch normalisation across devices")
    freeze: tuple[str, ...] = setting(
        (), texts(), 'modules that are not trained, such as "backbone"'
    )
    backbone: str = setting(
        "",
        text(),
        "weights that the backbone starts from: a file of torchvision, timm, MAE ..., or a name",
    )
    weights: str = setting("", text(), "safetensors file to start from; what fits is loaded")

    seed: int = setting(0, number(0, 2**63 - 1, whole=True), "seed of all random numbers")
    save_every: int = setting(500, number(0, whole=True), "steps between saves; 0: epochs only")
    eval_every: int = setting(1, number(1, whole=True), "epochs between validations")
    log_every: int = setting(50, number(1, whole=True), "steps between rows of the log")
    tensorboard: bool = setting(False, flag(), "write TensorBoard's files too")

    stn: STNSettings = field(default_factory=STNSettings)
    oks_loss: OKSLossSettings = field(default_factory=OKSLossSettings)
    rtmo: RTMOSettings = field(default_factory=RTMOSettings)
    posefix: PoseFixSettings = field(default_factory=PoseFixSettings)
    augment: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        keep_checked(self)
        if self.model.rpartition(":")[0].endswith(".py"):
            raise UsageError(
                f"invalid model={self.model!r}: a recipe cannot name a Python file, which would "
                f"be run; give it on the command line, with -m"
            )
        for name, kind in _GROUPS.items():
            if not isinstance(getattr(self, name), kind):
                raise UsageError(
                    f"invalid {name}: expected {kind.__name__}, got {getattr(self, name)!r}"
                )

    def with_overrides(self, assignments: Sequence[str], *, idle: bool = False) -> Recipe:
        """Return a copy with settings replaced, each as "key=value".

        Keys of a group, of options and of lr_multipliers follow a dot.  Values are numbers, true,
        false, [a, b], {"a": 1} or text.  "plan=aid" and "plan=aid-long" are no settings but change
        several (`recipes/plans.py`), before all others.  A new number of epochs moves the other
        epochs in proportion, unless they are given as well.  UsageError: an unknown key, with the
        nearest, or a setting of a method that is off unless `idle`, as configurations of others
        state them.
        """
        everything = [_split(assignment) for assignment in assignments]
        recipe = self
        for name in [value for key, value in everything if key == "plan"]:
            recipe = planned(recipe, name)
        pairs, before = [pair for pair in everything if pair[0] != "plan"], recipe.epochs
        given = {key for key, _ in pairs}
        groups: dict[str, dict[str, Any]] = {}  # changed at once: one may depend on another
        for key, value in pairs:
            name, dot, rest = key.partition(".")
            if dot and name in _GROUPS:
                rule = _rules(_GROUPS[name]).get(rest, plain())
                groups.setdefault(name, {})[rest] = rule.read(value)
            else:
                recipe = _assigned(recipe, key, value)
        recipe = _regrouped(recipe, groups)
        check_effects(recipe, () if idle else [key for key, _ in pairs])
        return stretched(recipe, before, given) if "epochs" in given else recipe

    def settings(self) -> dict[str, Any]:
        """Return every setting by its key; those of a group follow a dot: "augment.rotate"."""
        found: dict[str, Any] = {}
        for name, value in self.to_dict().items():
            inner = value if name in _GROUPS else {}
            found |= {f"{name}.{key}": one for key, one in inner.items()} or {name: value}
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form, with a table for each part."""
        return asdict(self)

    def to_toml(self) -> str:
        """Return the text of a recipe file, which `read` reads."""
        return toml.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Read what `to_dict` returned; settings that are left out keep their defaults."""
        values = with_new_names(data)
        known = {setting.name for setting in fields(cls)}
        for key in values:
            if key not in known:
                raise _unknown(key)
        groups = {name: values.pop(name) for name in _GROUPS if name in values}
        for name, group in groups.items():
            if not isinstance(group, Mapping):
                raise UsageError(f"invalid {name}: expected a table, got {group!r}")
        return _regrouped(cls(**values), groups)

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Read a recipe file.

        SourceError: it is missing or not TOML.  UsageError: an unknown key or an invalid value.
        """
        try:
            data = toml.load(path)
        except OSError as error:
            raise SourceError(f"{path}: the recipe cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{path}: not a recipe in TOML ({error})") from error
        try:
            return cls.from_dict(data)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error


# The groups of settings: "augment.rotate" is a setting of the group "augment".
_GROUPS: dict[str, type[Any]] = {
    "stn": STNSettings,
    "oks_loss": OKSLossSettings,
    "rtmo": RTMOSettings,
    "posefix": PoseFixSettings,
    "augment": Augmentation,
}


def describe_settings() -> list[tuple[str, Any, str, str]]:
    """Return (key, default, what it may be, what it does) of every setting but augmentation's."""
    parts = [("", Recipe), *((f"{name}.", kind) for name, kind in _GROUPS.items())]
    defaults = Recipe().settings()
    return [
        (prefix + s.name, defaults[prefix + s.name], s.metadata["rule"].allowed, s.metadata["says"])
        for prefix, kind in parts
        for s in fields(kind)
        if "rule" in s.metadata
    ]


def _unknown(key: str) -> UsageError:
    if key.lower() in OF_OTHERS:
        return UsageError(f"a recipe has no {key!r}; it is here: {OF_OTHERS[key.lower()]}")
    known = {*Recipe().settings(), *_GROUPS}
    inner = next((f"{group}.{key}" for group in _GROUPS if f"{group}.{key}" in known), "")
    hint = f"; did you mean {inner!r}?" if inner else nearest(key, sorted(known))
    return UsageError(f"a recipe has no {key!r}{hint}")


def _split(assignment: str) -> tuple[str, str]:
    key, equals, value = assignment.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{assignment!r} is not a setting; write key=value, as in lr=1e-3")
    return EARLIER_NAMES.get(key.strip(), key.strip()), value.strip()


def _assigned(recipe: Recipe, key: str, value: str) -> Recipe:
    """Return the recipe with one setting replaced by its text."""
    name, dot, rest = key.partition(".")
    if name in _GROUPS:
        first, default = next(iter(asdict(getattr(recipe, name)).items()))
        raise UsageError(
            f"{name} is a group of settings; set one of them: {name}.{first}={default}"
        )
    rule = _rules(Recipe).get(name)
    if rule is None:
        raise _unknown(name)
    if dot and not rule.is_table:
        raise UsageError(f"{key!r}: {name} is {rule.allowed} and has no entries")
    if dot:
        new: Any = _merged(getattr(recipe, name), rest, literal(value), deep=name == "options")
    else:
        new = rule.read(value)
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


def _regrouped(recipe: Recipe, groups: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """Return a recipe with some settings of its groups replaced."""
    changed = {}
    for name, values in groups.items():
        rules = _rules(_GROUPS[name])
        for key in values:
            if key not in rules:
                raise _unknown(f"{name}.{key}")
        checked = {key: rules[key].checked(f"{name}.{key}", new) for key, new in values.items()}
        changed[name] = replace(getattr(recipe, name), **checked)
    return replace(recipe, **changed)


def _rules(kind: type[Any]) -> dict[str, Rule]:
    """Return what each setting of a recipe or a group may be, without the groups in it."""
    return {
        part.name: part.metadata.get("rule") or _like(part.default)
        for part in fields(kind)
        if part.name not in _GROUPS
    }


def _like(value: Any) -> Rule:
    """Return the rule of a value's own type; its range is the augmentation's to check."""
    if isinstance(value, bool):
        return flag()
    if isinstance(value, str):
        return text()
    return number(whole=isinstance(value, int))
