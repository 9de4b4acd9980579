"""Fill the backbone of a network from weights that were trained for another task.

The file may be of torchvision, timm, mmpretrain, transformers, MindSpore or the authors of a
backbone (`tables/imagenet.py`).  Every way to read it is tried, and the one in which most tensors
fit counts.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from posewright.checkpoints.base import State, rename
from posewright.checkpoints.tables.imagenet import LAYOUTS
from posewright.errors import ModelError, counted
from posewright.models import create
from posewright.models.vitpose import ViT
from posewright.weights.starts import starts

__all__ = ["Filled", "fill_backbone"]

# what a backbone lies in: another network, a detector, a teacher of DINO
_WRAPS = ("backbone.", "backbone.backbone.", "encoder.", "model.", "teacher.backbone.", "vit.")
_SHOWN = 4
_Named = tuple[State, dict[str, str]]  # tensors, and what each is called inside of a backbone
# names of a row of blocks, whose length is the depth of a network
_ROW = re.compile(r"(?:^|(?<=\.))(?:layer\d|blocks|stage\d|level\d)(?=\.(\d+)\.)")


@dataclass(frozen=True)
class Filled:
    """What a network took from a file.

    loaded: our names.  total: how many tensors its backbone has, counters of batch norm apart.
    fresh: those of the backbone that keep their first, random values.  left: the file's own name ->
    why, of what was not used: "" where the network has nothing of that name.  notes: what was done
    to tensors, and what else to know.
    """

    loaded: tuple[str, ...]
    total: int
    fresh: tuple[str, ...]
    left: dict[str, str]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        inside = sum(name.startswith("backbone.") for name in self.loaded)
        besides = len(self.loaded) - inside
        neck = f" and {counted(besides, 'tensor')} of the neck" if besides else ""
        told = [f"{inside} of {self.total} tensors of the backbone{neck} loaded", *self.notes]
        parts = Counter(key.partition(".")[0] for key, why in self.left.items() if not why)
        sizes = [f"{key} {why}" for key, why in self.left.items() if why]
        rest = [f"{part} ({count})" if count > 1 else part for part, count in parts.items()]
        second = [
            f"{what}: {', '.join(some[:_SHOWN])}"
            + (f" and {len(some) - _SHOWN} more" if len(some) > _SHOWN else "")
            for what, some in (
                ("not used", rest),
                ("other sizes", sizes),
                ("randomly initialised", list(self.fresh)),
            )
            if some
        ]
        return "; ".join(told) + ("\n" + "; ".join(second) if second else "")


@dataclass
class _Reading:
    """A state dict read in one layout.

    root: what our names begin with.  names: all of the file's, by ours.  loaded: what fits.  left,
    notes: as in `Filled`.
    """

    root: str
    names: list[str]
    loaded: State = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def fill_backbone(model: nn.Module, state: State) -> Filled:
    """Copy what fits of a checkpoint into the module `backbone` of `model`, and into its neck.

    Positions of a transformer are interpolated to the size of the view (bicubic, as in ViTPose),
    smaller patches are padded with zeros.  ModelError: less than half of the backbone's tensors
    fit, a tenth has another size, or a layer has another number of blocks; says which networks it
    fits instead.
    """
    ours, named = model.state_dict(), list(_named(state))
    best = _best(named, model, ours)
    why = _misfit(best, ours)
    if why:
        networks = _takers(named)
        told = f"it fits {', '.join(networks)}" if networks else "nor for any with a named start"
        raise ModelError(f"not a start for {getattr(model, 'name', 'this network')}: {why}; {told}")
    model.load_state_dict(best.loaded, strict=False)
    total = [k for k in ours if k.startswith("backbone.") and not _counter(k)]
    loaded = tuple(k for k in ours if k in best.loaded and not _counter(k))
    fresh = tuple(k for k in total if k not in best.loaded)
    return Filled(loaded, len(total), fresh, best.left, tuple(best.notes))


def _takers(named: list[_Named]) -> list[str]:
    """Return the networks that a checkpoint is a start for, of those with a named start."""
    shapes = [({k: v.to("meta") for k, v in state.items()}, names) for state, names in named]
    found = []
    for network in dict.fromkeys(s.networks[0] for s in starts().values() if s.networks):
        with torch.device("meta"):
            model = create(network)
        ours = model.state_dict()
        if not _misfit(_best(shapes, model, ours), ours):
            found.append(network)
    return found


def _best(named: list[_Named], model: nn.Module, ours: State) -> _Reading:
    """Return the reading in which most tensors fit."""
    readings = (_read(state, names, model, ours) for state, names in named)
    return max(readings, key=lambda reading: len(reading.loaded))


def _named(state: State) -> Iterator[_Named]:
    """Yield the tensors of a file and their names by each layout, if it says anything of them."""
    for each in _unwrapped(state):
        yield each, {key: key for key in each}
        for layout in LAYOUTS:
            try:
                made = layout.prepare(dict(each)) if layout.prepare else each
            except RuntimeError:  # tensors that do not go together: not this layout
                continue
            names = {key: rename(key, layout.rules) or key for key in made}
            if made.keys() != each.keys() or any(key != name for key, name in names.items()):
                yield made, names


def _unwrapped(state: State) -> Iterator[State]:
    """Yield the tensors under their names, and without each prefix that a backbone may have."""
    yield state
    for wrap in _WRAPS:
        if any(key.startswith(wrap) for key in state):
            yield {key.removeprefix(wrap): value for key, value in state.items()}


def _read(state: State, names: dict[str, str], model: nn.Module, ours: State) -> _Reading:
    """Return what of a file fits, whose tensors have these names inside of a backbone."""
    root = max(_roots(ours), key=lambda r: sum(r + name in ours for name in names.values()))
    made = _Reading(root, [root + name for name in names.values()])
    found: State = {}
    keys: dict[str, str] = {}
    for key, name in names.items():
        # a deformable convolution begins as the plain one that it replaces; a neck is written as
        # ours, or goes on where the backbone ends (YOLOv5)
        deformed = root + name.replace(".conv2.", ".conv2.conv.")
        neck = name if name.startswith("neck.") else f"neck.{name}"
        places = (root + name, deformed, neck)
        place = next((p for p in places if p in ours and p not in found), None)
        if place is None:
            made.left[key] = ""
        else:
            found[place], keys[place] = state[key], key
    backbone = model.get_submodule("backbone")
    if isinstance(backbone, ViT):
        found = _for_transformer(found, backbone, made.notes)
    for place, value in found.items():
        shape = ours[place].shape
        if value.shape != shape and _sides(value) == _sides(ours[place]):
            value = value.reshape(shape)  # a linear layer written as a 1x1 convolution
        if value.shape == shape:
            made.loaded[place] = value
        elif place in keys:
            made.left[keys[place]] = f"{tuple(value.shape)} for {tuple(shape)}"
    return made


def _roots(ours: State) -> list[str]:
    """Return what the names inside of a backbone may begin with: itself, or a large part of it."""
    inside = [key.split(".") for key in ours if key.startswith("backbone.")]
    parts = Counter(f"backbone.{names[1]}." for names in inside if len(names) > 2)
    return ["backbone.", *(part for part, count in parts.items() if count * 3 >= len(inside))]


def _sides(value: Tensor) -> list[int]:
    return [side for side in value.shape if side != 1]


def _counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _misfit(reading: _Reading, ours: State) -> str:
    """Return why a reading is of another network, "" if it is not."""
    inside = [k for k in ours if k.startswith(reading.root) and not _counter(k)]
    if not inside:
        return "its backbone has no tensors"
    fits = [k for k in inside if k in reading.loaded]
    theirs, mine = _rows(reading.names), _rows(list(ours))
    for row in theirs if fits else ():
        if row in mine and theirs[row] != mine[row]:
            return f"{row.removeprefix(reading.root)} has {theirs[row]} blocks, not {mine[row]}"
    sizes = [f"{key} is {why}" for key, why in reading.left.items() if why]
    # ResNet-34 has the blocks of ResNet-50 with other convolutions, but fitting norms
    if len(fits) * 2 >= len(inside) and len(sizes) * 10 <= len(fits):
        return ""
    told = f"{len(fits)} of {len(inside)} tensors of the backbone fit"
    return f"{told}, {sizes[0]}" if sizes else told


def _rows(names: list[str]) -> dict[str, int]:
    """Return the rows of blocks in a network and how many blocks each has."""
    found = {(name[: row.end()], row[1]) for name in names for row in _ROW.finditer(name)}
    return dict(sorted(Counter(row for row, _ in found).items()))


def _for_transformer(found: State, vit: ViT, notes: list[str]) -> State:
    """Return tensors of a transformer as ours takes them; `notes` gets what was done."""
    found, ours = dict(found), vit.state_dict()
    table, patch = found.get("backbone.pos_embed"), found.get("backbone.patch_embed.proj.weight")
    if table is not None and table.ndim == 3:
        made, note = _positions(table, vit)
        found["backbone.pos_embed"] = made
        notes += [note] if note else []
    side = ours["patch_embed.proj.weight"].shape[-1]
    if patch is not None and patch.ndim == 4 and patch.shape[2] == patch.shape[3] < side:
        if side - patch.shape[2] <= 2:  # MAE's ViT-H has 14; DINO's patches of 8 see another scale
            before, after = (side - patch.shape[2]) // 2, -((patch.shape[2] - side) // 2)
            notes.append(f"patches of {patch.shape[2]} px padded to {side}")
            patch = functional.pad(patch, (before, after, before, after))
            found["backbone.patch_embed.proj.weight"] = patch
    for name in [k for k in found if ".mlp.fc2." in k]:
        inner = name.removeprefix("backbone.")
        block, _, leaf = inner.partition("fc2.")
        experts = [k for k in ours if k.startswith(f"{block}experts.") and k.endswith(f".{leaf}")]
        value = found[name]
        if (
            experts
            and value.ndim
            and value.shape[0] == ours[inner].shape[0] + ours[experts[0]].shape[0]
        ):
            shared = ours[inner].shape[0]
            found[name] = value[:shared]
            found |= {f"backbone.{k}": value[shared:].clone() for k in experts}
    return found


def _positions(table: Tensor, vit: ViT) -> tuple[Tensor, str]:
    """Return a table of positions (1, N, D) for the grid of `vit`, and what was done to it.

    The row of a class token, where the file has one, is kept or added to all others, as the network
    has one or has not: its forward adds it.  The grid of another size must be a square.
    """
    rows, columns = vit.size
    count = table.shape[1]
    side = math.isqrt(count)
    if count in (rows * columns, rows * columns + 1):
        extra, grid = count - rows * columns, (rows, columns)
    elif side and side * side in (count, count - 1):
        extra, grid = count - side * side, (side, side)
    else:
        return table, ""
    first, cells = table[:, :extra], table[:, extra:]
    note = ""
    if grid != vit.size:
        cells = cells.transpose(1, 2).unflatten(2, grid)
        if not cells.is_meta:
            cells = functional.interpolate(cells, vit.size, mode="bicubic", align_corners=False)
        else:
            cells = cells.new_empty((*cells.shape[:2], *vit.size))
        cells = cells.flatten(2).transpose(1, 2)
        note = f"positions interpolated from {grid[1]}x{grid[0]} to {columns}x{rows}"
    if vit.class_position:
        row = first if extra else torch.zeros_like(cells[:, :1])
        return torch.cat([row, cells], 1), note
    return (cells + first if extra else cells), note
