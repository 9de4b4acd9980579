"""The registry of networks: `@register` on a plain function, and `create` by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

from posewright.errors import UsageError, nearest, nearest_network
from posewright.files.modules import modules_in
from posewright.models.base import PoseModel
from posewright.models.parts.stn import SpatialTransformer, check_codec

if TYPE_CHECKING:
    from posewright.recipes.recipe import Recipe

__all__ = ["Variant", "create", "register", "variants"]

Builder = Callable[..., PoseModel]
Task = Literal["pose", "boxes", "embedding"]
_VARIANTS: dict[str, Variant] = {}


@dataclass(frozen=True)
class Variant:
    """One entry of the zoo.

    name: what `create` takes.  family: the file in posewright/models that holds it.  paper: where
    the network comes from.  published: accuracy that its authors state, with the conditions.
    task: "pose", "boxes" for person detectors, or "embedding" for re-identification networks.
    recipe: what it is trained with; None where `posewright.recipes.lookup` has it, or none is
    known.
    """

    name: str
    family: str
    build: Builder
    paper: str
    published: str
    task: Task = "pose"
    recipe: Recipe | None = None

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (inspect.getdoc(self.build) or "").partition("\n")[0]


def register(
    *, paper: str, published: str = "", task: Task = "pose", recipe: Recipe | None = None
) -> Callable[[Builder], Builder]:
    """Enter the decorated function, which builds one network, under its own name.

    All options of the function are keyword arguments with defaults.  recipe: what the network is
    trained with, whatever model it names.  ValueError: the name is taken.
    """

    def enter(build: Builder) -> Builder:
        name = build.__name__
        if name in _VARIANTS:
            raise ValueError(f"two networks are called {name!r}")
        family = build.__module__.rpartition(".")[2]
        _VARIANTS[name] = Variant(name, family, build, paper, published, task, recipe)
        return build

    return enter


@cache
def _load() -> None:
    """Import every file of posewright/models, so that adding a model is adding a file."""
    assert __package__ is not None
    modules_in(__package__)


def variants(task: Task | None = "pose") -> dict[str, Variant]:
    """Return the networks of the zoo for a task, None for all, by name in alphabetical order."""
    _load()
    return {name: v for name, v in sorted(_VARIANTS.items()) if task in (None, v.task)}


def create(name: str, **options: Any) -> PoseModel:
    """Build the network `name` with random weights, in evaluation mode.

    options: those of its function, e.g. input_size=(width, height), skeleton, codec, neck; and for
    every top-down network with heatmaps stn: True or the name of a localisation network puts a
    spatial transformer before it.  UsageError: an unknown name or option, with the nearest known
    one.
    """
    _load()
    known = _VARIANTS
    if name not in known:
        hint = nearest_network(name, known)
        raise UsageError(
            f"no network {name!r}{hint}; `posewright models list` has them; one of your own needs "
            "its file on the command line, FILE.py:NAME"
        )
    build = known[name].build
    allowed = {*inspect.signature(build).parameters, "stn"}
    for option in options:
        if option not in allowed:
            hint = nearest(option, allowed)
            raise UsageError(f"{name} has no option {option!r}{hint}; it has {sorted(allowed)}")
    _check_size(options.get("input_size", (1, 1)))
    stn: bool | str = options.get("stn", False)
    model = build(**{key: value for key, value in options.items() if key != "stn"})
    model.name, model.options = name, options
    if stn:
        check_codec(name, model.codec)
        model.stn = SpatialTransformer("resnet18" if stn is True else str(stn))
    model.eval()
    return model


def _check_size(size: Any) -> None:
    """Raise a UsageError for what is no (width, height): 0 is a multiple of all that is asked for.

    It may come from the description in a file.
    """
    sides = size if isinstance(size, (tuple, list)) else ()
    if len(sides) != 2 or not all(isinstance(side, Integral) and int(side) > 0 for side in sides):
        raise UsageError(f"input_size={size!r}; give width and height as two whole numbers above 0")
