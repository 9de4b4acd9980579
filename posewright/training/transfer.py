"""Transfer learning: what a network starts from.

`backbone` is a file of other programs, or a named one, whose tensors fill the backbone.  `weights`
is a file of ours, whose tensors that match by name and shape are loaded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from posewright.errors import ModelError, convert_first, counted, near
from posewright.models import PoseModel, create
from posewright.models.saving import revived
from posewright.recipes.recipe import Recipe
from posewright.runtimes.info import METADATA_KEY, ModelInfo
from posewright.skeletons import Skeleton
from posewright.weights.starts import published_start, start_file

__all__ = ["Report", "build_network", "start_backbone", "start_from"]


_SHOWN = 8


@dataclass(frozen=True)
class Report:
    """What a network loaded from a file.

    loaded: names of tensors.  left: name -> why, of the file's tensors that were not used.  fresh:
    tensors of the network that keep their first, random values.  share: of the network's
    parameters that were loaded, 0 to 1.  notes: what else to know.
    """

    path: Path
    loaded: tuple[str, ...]
    left: dict[str, str]
    fresh: tuple[str, ...]
    share: float
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"{self.path}: {counted(len(self.loaded), 'tensor')} loaded, {self.share:.1%} of the "
            "parameters"
        ]
        if self.left:
            lines.append("not loaded: " + _few([f"{k} {why}" for k, why in self.left.items()]))
        if self.fresh:
            lines.append("randomly initialised: " + _few(self.fresh))
        return "\n".join([*lines, *self.notes])


def _few(parts: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return ", ".join(parts[:_SHOWN]) + more


def start_from(model: PoseModel, path: str | Path) -> Report:
    """Fill a network with what fits of a safetensors file, of whichever network and skeleton.

    A tensor fits that has the name and the shape: so a head of other joints and a table of
    positions of another size stay out, and are reported.  ModelError: the file is not
    there, it is no safetensors file, or nothing in it fits.
    """
    path = Path(path)
    tensors, source = _read(path)
    ours = model.state_dict()
    left = {k: _why(v, ours.get(k)) for k, v in tensors.items()}
    left = {k: why for k, why in left.items() if why}
    loaded = tuple(k for k in tensors if k not in left)
    parameters = {name: p.numel() for name, p in model.named_parameters()}
    share = sum(parameters.get(k, 0) for k in loaded) / max(sum(parameters.values()), 1)
    if not share:
        raise ModelError(
            f"{path}: no tensor matches {model.name}; it contains {_few(list(tensors))}; for a "
            f"checkpoint of another program {convert_first(path)}"
        )
    model.load_state_dict({k: tensors[k] for k in loaded}, strict=False)
    fresh = tuple(k for k in ours if k not in loaded)
    notes: tuple[str, ...] = ()
    ours_now = model.skeleton
    if source is not None and len(source) == len(ours_now) and source.joints != ours_now.joints:
        notes = (
            f"{source.name} and {ours_now.name} have the same number of joints, but different "
            f"ones: the last layer was loaded and must be retrained",
        )
    return Report(path, loaded, left, fresh, share, notes)


def _read(path: Path) -> tuple[dict[str, Tensor], Skeleton | None]:
    """Return the tensors of a file, and the skeleton of the network they are from, if it says."""
    if not path.is_file():
        raise ModelError(f"{path}: no such file to start from{near(path)}")
    try:
        with safetensors.safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (safetensors.SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: not a safetensors file ({error}); for a checkpoint of another program "
            f"{convert_first(path)}; its backbone alone fills that of a network: backbone=FILE"
        ) from error
    return tensors, ModelInfo.from_json(text, path).skeleton if text else None


def _why(theirs: Tensor, ours: Tensor | None) -> str:
    """Return why a tensor does not fit, "" if it does."""
    if ours is None:
        return "has no counterpart"
    if theirs.shape != ours.shape:
        return f"{tuple(theirs.shape)} for {tuple(ours.shape)}"
    return ""


def start_backbone(model: PoseModel, given: str) -> str:
    """Fill a network's backbone from a file or a named start; return what was loaded.

    ModelError: no such file or name, no checkpoint, or one of another network; also the errors of a
    download.  Nothing in the file is executed (`checkpoints.apart`).
    """
    from posewright.checkpoints.apart import read_apart
    from posewright.checkpoints.starts import fill_backbone

    path = start_file(given)
    with tempfile.TemporaryDirectory(prefix="posewright-") as folder:
        state = read_apart(path, Path(folder) / "start")
    try:
        return f"{path}: {fill_backbone(model, state)}"
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def build_network(
    recipe: Recipe, skeleton: Skeleton, say: Callable[[str], None], resume: bool = False
) -> PoseModel:
    """Build the network for the data's joints, with the weights that it starts from.

    resume: the run's state has the weights, so that no file is read, except for the copy of the
    first ones that teaches a spatial transformer.
    """
    options: dict[str, Any] = dict(recipe.options)
    options["skeleton"] = skeleton
    model = create(recipe.model, **{k: revived(k, v) for k, v in options.items()})
    if resume and not (model.stn is not None and recipe.stn.copies):
        return model
    if recipe.backbone:
        say(start_backbone(model, recipe.backbone))
    elif not recipe.weights and (published := published_start(recipe.model)):
        say(f"starting from random weights; {recipe.model} was published with backbone={published}")
    if recipe.weights:
        say(str(start_from(model, Path(recipe.weights))))
    return model
