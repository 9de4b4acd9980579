"""Averaged weights: an exponential moving average of a network in training."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from posewright.errors import ModelError

__all__ = ["Ema"]

_RISE = 2000  # updates after which the decay has come to 63 % of its value
_COUNT = "updates"


class Ema:
    """Moving average of the parameters; buffers are those of the last update.

    The decay of update n is decay * (1 - exp(-n / 2000)), so that the average does not remember
    the random weights at the start (YOLOv5's and mmpose's rule).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.tensors = {name: t.detach().clone() for name, t in model.state_dict().items()}
        averaged = {name for name, _ in model.named_parameters(remove_duplicate=False)}
        self._averaged = [name for name in self.tensors if name in averaged]
        self._copied = [name for name in self.tensors if name not in averaged]

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the network's present weights in."""
        self.updates += 1
        now = model.state_dict()
        share = 1 - self.decay * (1 - math.exp(-self.updates / _RISE))
        # all tensors in one call: one by one would cost a GPU more than the sums themselves
        torch._foreach_lerp_(self._of(self._averaged), [now[n] for n in self._averaged], share)
        if self._copied:
            torch._foreach_copy_(self._of(self._copied), [now[n] for n in self._copied])

    def _of(self, names: list[str]) -> list[Tensor]:
        return [self.tensors[name] for name in names]

    def copy_to(self, model: nn.Module) -> None:
        """Give a network of the same kind the averaged weights."""
        model.load_state_dict(self.tensors)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the average and the number of updates, by name."""
        return {**self.tensors, _COUNT: torch.tensor(self.updates)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` returned; ModelError: it is another network's."""
        missing = [name for name in (*self.tensors, _COUNT) if name not in state]
        wrong = [n for n, t in self.tensors.items() if n in state and state[n].shape != t.shape]
        if missing or wrong:
            raise ModelError(
                f"the averaged weights do not belong to this network: {(missing + wrong)[0]} "
                f"differs"
            )
        for name, tensor in self.tensors.items():
            tensor.copy_(state[name])
        self.updates = int(state[_COUNT])
