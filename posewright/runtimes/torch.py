"""torch: runs the networks of the zoo without export, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from posewright.codecs.base import Codec
from posewright.errors import MissingError, ModelError, UsageError, convert_first, nearest
from posewright.models import PoseModel
from posewright.models.saving import describe, load_model
from posewright.runtimes.info import ModelInfo
from posewright.runtimes.memory import Batches, most_views
from posewright.skeletons import Skeleton

__all__ = ["TorchModel"]


@dataclass(frozen=True)
class TorchModel:
    """A network of the zoo behind the seam of all runtimes: numpy in, numpy out."""

    info: ModelInfo
    network: PoseModel
    device: str = "cpu"
    precision: str = "fp32"
    batches: Batches = field(default_factory=Batches, compare=False)

    @property
    def codec(self) -> Codec:
        """How views are cropped and outputs decoded."""
        return self.info.codec

    @property
    def skeleton(self) -> Skeleton:
        """The joints that it predicts."""
        return self.info.skeleton

    @property
    def runtime(self) -> str:
        """The runtime and precision, for reports."""
        return f"torch {torch.__version__} {self.device} {self.precision}"

    @property
    def only_size(self) -> None:
        """None: networks that find people by themselves are convolutions, which take any view."""
        return None

    def with_threshold(self, score: float) -> TorchModel:
        """Return the same network with another score threshold; UsageError: its codec has none."""
        return replace(self, info=self.info.with_threshold(score))

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        weights: Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        options: Mapping[str, Any] | None = None,
    ) -> TorchModel:
        """Open a file of `posewright models convert` or of training, or fill a network by name.

        name: a .safetensors file that describes itself, or a network of the zoo with `weights`.
        options: of `create`, before those that the file states.  UsageError: a name without
        weights, which would find no person.
        """
        if Path(name).suffix == ".safetensors":
            network, info = load_model(Path(name))
        elif weights is None and Path(name).is_file():
            raise UsageError(f"{name} is not a posewright file; {convert_first(name)}")
        elif weights is None:
            raise UsageError(f"{name} has no weights of its own; add --weights FILE (.safetensors)")
        else:
            network, info = load_model(weights, str(name), options)
        return cls.of(network, info, device=device, precision=precision)

    @classmethod
    def of(
        cls,
        network: PoseModel,
        info: ModelInfo | None = None,
        *,
        device: str = "auto",
        precision: str = "auto",
    ) -> TorchModel:
        """Put a network on a device, in evaluation mode; precision: "auto" is fp32."""
        where = _device(device)
        network = network.eval().to(where).to(memory_format=torch.channels_last)
        info = info or describe(network)
        batches = _batches(where, info.codec.input_size)
        return cls(info, network, where, "bf16" if precision == "bf16" else "fp32", batches)

    def __call__(
        self, views: NDArray[np.uint8], condition: NDArray[np.float32] | None = None
    ) -> dict[str, NDArray[Any]]:
        """(B, h, w, 3) uint8 RGB -> the arrays that the codec documents."""
        given: list[NDArray[Any]] = [views, *([] if condition is None else [condition])]
        half = torch.autocast(self.device.partition(":")[0], torch.bfloat16)
        names: list[str] = []

        def run(arrays: list[NDArray[Any]]) -> list[NDArray[Any]]:
            x = [torch.from_numpy(np.ascontiguousarray(a)).to(self.device) for a in arrays]
            with torch.inference_mode(), half if self.precision == "bf16" else nullcontext():
                outputs = self.network(*x)
            names[:] = outputs
            return [value.float().cpu().numpy() for value in outputs.values()]

        try:
            arrays = self.batches.run(given, 0, run)
        except RuntimeError as error:
            raise ModelError(
                f"{self.info.name} failed on an input of shape {views.shape}: {error}"
            ) from error
        return dict(zip(names, arrays, strict=True))


def _batches(device: str, size: tuple[int, int]) -> Batches:
    """Return how many (width, height) views go into a call on a device of torch."""
    if device.startswith("cuda"):
        memory = torch.cuda.get_device_properties(device).total_memory
        return Batches(most_views(memory, size), alone=True, free=torch.cuda.empty_cache)
    if device.startswith("mps"):
        memory = torch.mps.recommended_max_memory()
        return Batches(most_views(memory, size), alone=True, free=torch.mps.empty_cache)
    return Batches()


def _device(name: str) -> str:
    """Return a torch device; one that is not here is an error, never a fallback."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.partition(":")[0]
    here = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if kind not in here:
        raise UsageError(f"torch has no device {name!r}{nearest(kind, here)}; {', '.join(here)}")
    if not here[kind]:
        raise MissingError(
            f"device {name!r} is missing on this machine, or this torch cannot use it"
        )
    return name
