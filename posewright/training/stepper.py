"""One training step on one batch, and the handling of its failures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from posewright.errors import ModelError
from posewright.models.base import PoseModel
from posewright.training.accuracy import map_accuracy
from posewright.training.processes import World
from posewright.training.stn_teachers import Parallel, TrueBoxes

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

    The batch of this process is cut into `parts`; their gradients add up to the whole batch's.
    Where memory runs out the parts are halved and the step is done again: the batch that the
    optimizer sees stays the same.
    """

    def __init__(
        self, model: PoseModel, optimizer: torch.optim.Optimizer, recipe: Recipe, world: World
    ) -> None:
        if model.loss is None:
            raise ModelError(f"no loss is known for {model.name}, so it cannot be trained")
        self.model, self.optimizer, self.recipe, self.world = model, optimizer, recipe, world
        self.loss = model.loss
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
        while True:
            try:
                return self._parts(batch)
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

    def _parts(self, batch: Batch) -> Tensor:
        count = len(batch.views)
        targets = batch.targets(self.model.codec, self.world.device)
        aside = self.parallel.targets(batch, self.world.device) if self.parallel else {}
        total = torch.zeros((), device=self.world.device)
        self.accuracy = float("nan")
        right: list[Tensor] = []
        for rows in torch.arange(count).chunk(self.parts):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            share = len(rows) / count
            loss = self._loss(batch, targets, aside, part)
            self.scaler.scale(loss * share).backward()
            total += loss.detach() * share
            if self._right is not None:
                right.append(self._right)
        if right:
            self.accuracy = float(torch.stack(right).nanmean())
        return total

    def _loss(
        self, batch: Batch, targets: dict[str, Tensor], aside: dict[str, Tensor], part: slice
    ) -> Tensor:
        """Return the loss of some rows.  aside: targets of the parallel branch."""
        given = [batch.views] if batch.condition is None else [batch.views, batch.condition]
        inputs = [x[part].to(self.world.device, non_blocking=True) for x in given]
        with self._precision():
            outputs = self.forward(*inputs)
        # losses are sums of many small numbers, which half precision would round away
        outputs = {key: value.float() for key, value in outputs.items()}
        theta = outputs.pop("theta", None)
        wanted = {k: v[part] for k, v in targets.items()}
        with torch.no_grad():
            self._right = map_accuracy(outputs, wanted)
        loss: Tensor = self.loss(outputs, wanted)
        if self.parallel is None or theta is None:
            return loss
        centred = {k: v[part] for k, v in aside.items()}
        with self._precision():
            return loss + self.parallel.loss(inputs[0], theta, centred)

    def _precision(self) -> AbstractContextManager[Any]:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        if self.recipe.precision not in kinds:
            return nullcontext()
        device = self.world.device.partition(":")[0]
        return torch.autocast(device, kinds[self.recipe.precision])


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
