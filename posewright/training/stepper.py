"""One training step on one batch, and the handling of its failures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from posewright.errors import ModelError
from posewright.losses.counted import counted
from posewright.models.base import PoseModel
from posewright.training.accuracy import map_accuracy
from posewright.training.processes import World
from posewright.training.stn_teachers import Parallel, TrueBoxes
from posewright.training.whole import Judged, WholeBatch, untouched

if TYPE_CHECKING:
    from posewright.recipes.recipe import Recipe
    from posewright.training.feed.batches import Batch

__all__ = ["STRIKES", "Stepper"]

STRIKES = 3  # steps in a row without a finite number before a run gives up
_NO_BRANCH = (
    "the spatial transformer learns without its parallel branch, a frozen copy of trained weights; "
    "give weights=FILE of a trained network to have it, or stn.labels=boxes"
)


class Stepper:
    """Forward, backward and update.

    The batch of this process is cut into `parts`; their gradients add up to the whole batch's, and
    the mean of all processes' is that of one with all views: what a loss divides by is counted in
    all of them (`training/whole.py`).  Where memory runs out the parts are halved and the step is
    done again: the batch that the optimizer sees stays the same.
    """

    def __init__(
        self, model: PoseModel, optimizer: torch.optim.Optimizer, recipe: Recipe, world: World
    ) -> None:
        if model.loss is None:
            raise ModelError(f"no loss is known for {model.name}, so it cannot be trained")
        self.model, self.optimizer, self.recipe, self.world = model, optimizer, recipe, world
        self.forward = torch.compile(model) if recipe.compile else model
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        half = recipe.precision == "fp16"
        self.scaler = torch.amp.GradScaler(world.device.partition(":")[0], enabled=half)
        self.parts = max(recipe.accumulate, 1)
        self.strikes = 0
        self.accuracy = float("nan")  # of the last step, where the network makes heatmaps
        self.notes: list[str] = []
        self._right: Tensor | None = None  # the accuracy of the part in hand
        self.parallel: Parallel | TrueBoxes | None = None
        if model.stn is not None and recipe.stn.loss_weight:
            if recipe.stn.labels == "boxes":
                self.parallel = TrueBoxes(model.codec, recipe.stn.loss_weight)
            elif recipe.weights:
                cropped = recipe.stn.labels == "cropped"
                self.parallel = Parallel(model, recipe.stn.loss_weight, cropped=cropped)
            else:
                self.notes.append(_NO_BRANCH)
        teachers = [] if self.parallel is None else [self.parallel.criterion]
        self.losses = [counted(loss) for loss in (model.loss, *teachers)]

    def __call__(self, batch: Batch) -> float:
        """Return the loss, after an update; not a finite number where the update was left out."""
        loss = self._gradients(batch)
        self.world.average(self.parameters)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip or float("inf"))
        usable = torch.isfinite(loss) & (torch.isfinite(norm) | self.scaler.is_enabled())
        bad = self.world.highest((~usable).float().reshape(1).to(self.world.device))
        if float(bad):
            self.strikes += 1
            if self.strikes >= STRIKES:
                raise ModelError(
                    f"the loss is not a finite number {STRIKES} steps in a row "
                    f"(loss {float(loss)}, gradient norm {float(norm)}); "
                    f"{diagnosis(self.model, self.parameters, self.recipe)}"
                )
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.update()
            return float("nan")
        self.strikes = 0
        self.scaler.step(self.optimizer)  # leaves out what overflowed in half precision
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss)

    def _gradients(self, batch: Batch) -> Tensor:
        """Fill the gradients; return the loss.  Halves the parts until they fit into memory."""
        whole = WholeBatch(self.world)
        while True:
            try:
                return self._parts(batch, whole)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                ran_out = isinstance(error, torch.OutOfMemoryError)
                # on a processor torch says so in words alone
                if not ran_out and "can't allocate memory" not in str(error):
                    raise
                self.optimizer.zero_grad(set_to_none=True)
                if self.world.size > 1 and self.recipe.sync_bn:
                    # the others wait inside of a layer for numbers that will not come
                    raise ModelError(
                        f"out of memory; give accumulate={2 * self.parts}, as processes that "
                        "normalise together cannot change their parts by themselves"
                    ) from error
                if self.parts >= len(batch.views):
                    raise ModelError(
                        f"out of memory with a single view of {batch.views.shape[2]}x"
                        f"{batch.views.shape[1]} at a time; take a smaller network or input_size"
                    ) from error
                self.parts = min(2 * self.parts, len(batch.views))
                self.notes.append(
                    f"out of memory: batches are now computed in {self.parts} parts; batch "
                    "normalisation sees one part at a time"
                )
            if self.world.device.startswith("cuda"):
                torch.cuda.empty_cache()

    def _parts(self, batch: Batch, whole: WholeBatch) -> Tensor:
        targets = [batch.targets(self.model.codec, self.world.device)]
        if self.parallel is not None:
            targets.append(self.parallel.targets(batch, self.world.device))
        total = torch.zeros((), device=self.world.device)
        self.accuracy = float("nan")
        right: list[Tensor] = []
        rows = torch.arange(len(batch.views)).chunk(self.parts)
        parts = [slice(int(r[0]), int(r[-1]) + 1) for r in rows]
        if len(parts) > 1 and whole.counts is None:
            whole.settle(self._counts(batch, targets, parts))
        for part in parts:
            loss = whole.loss(self._judged(batch, targets, part))
            self.scaler.scale(loss).backward()
            total += loss.detach()
            if self._right is not None:
                right.append(self._right)
        if right:
            self.accuracy = float(torch.stack(right).nanmean())
        return total

    def _counts(
        self, batch: Batch, targets: Sequence[dict[str, Tensor]], parts: Sequence[slice]
    ) -> list[dict[str, Tensor]]:
        """Return what each loss divides by, counted in all parts before the first backward pass."""
        known = [loss.known(rows) for loss, rows in zip(self.losses, targets, strict=True)]
        if all(counts is not None for counts in known):
            return [counts for counts in known if counts is not None]
        found = []
        with torch.no_grad(), untouched(self.model, self.world.device):
            for part in parts:
                judged = self._judged(batch, targets, part)
                found.append([one.loss.terms(one.outputs, one.targets).counts for one in judged])
        return [
            {key: torch.stack([counts[key] for counts in of_parts]).sum(0) for key in of_parts[0]}
            for of_parts in zip(*found, strict=True)
        ]

    def _judged(
        self, batch: Batch, targets: Sequence[dict[str, Tensor]], part: slice
    ) -> list[Judged]:
        """Return what the losses judge of some rows.  targets: the codec's, and the teacher's."""
        given = [batch.views] if batch.condition is None else [batch.views, batch.condition]
        inputs = [x[part].to(self.world.device, non_blocking=True) for x in given]
        with self._precision():
            outputs = self.forward(*inputs)
        # losses are sums of many small numbers, which half precision would round away
        outputs = {key: _at_least_single(value) for key, value in outputs.items()}
        theta = outputs.pop("theta", None)
        wanted = [{k: v[part] for k, v in rows.items()} for rows in targets]
        with torch.no_grad():
            self._right = map_accuracy(outputs, wanted[0])
        judged = [Judged(self.losses[0], outputs, wanted[0])]
        if self.parallel is None or theta is None:
            return judged
        with self._precision():
            taught = self.parallel.outputs(inputs[0], theta)
        return [*judged, Judged(self.losses[1], taught, wanted[1], self.parallel.weight)]

    def _precision(self) -> AbstractContextManager[Any]:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        if self.recipe.precision not in kinds:
            return nullcontext()
        device = self.world.device.partition(":")[0]
        return torch.autocast(device, kinds[self.recipe.precision])


def _at_least_single(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def diagnosis(model: nn.Module, parameters: Sequence[nn.Parameter], recipe: Recipe) -> str:
    """Report where values stopped being finite, and what usually helps."""
    broken = [n for n, p in model.named_parameters() if not bool(torch.isfinite(p).all())]
    first = f"the weights of {broken[0]} are not finite; " if broken else ""
    advice = [f"a lower lr than {recipe.lr:g}"]
    if not recipe.clip:
        advice.append("clip=1")
    if recipe.warmup == 0:
        advice.append("warmup=500")
    if recipe.precision == "fp16":
        advice.append("precision=bf16")
    return f"{first}try {', '.join(advice)}, or check the labels: posewright data check"
