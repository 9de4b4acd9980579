"""The network by which DEKR ranks people: from a pose to the OKS that it is expected to have.

Three layers, in numpy (arXiv:2104.02300, section 3.4): re-scoring needs no torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from posewright.codecs.limbs import limb_features, limbs_of
from posewright.errors import ModelError, UsageError, convert_first, near
from posewright.files.fields import parsed, text_of
from posewright.files.tensors import header_of, read_arrays, write_arrays
from posewright.people import Floats, People
from posewright.runtimes.info import METADATA_KEY, ModelInfo
from posewright.skeletons import Skeleton, get_skeleton

__all__ = ["ExpectedOKS"]

_KEY = "posewright-expected-oks"  # metadata entry of a file that holds nothing else
_INSIDE = "head.rescore_net."  # its tensors in the file of an mmpose DEKR
_NAMES = tuple(f"l{number}.{part}" for number in (1, 2, 3) for part in ("weight", "bias"))


@dataclass(frozen=True, eq=False)
class ExpectedOKS:
    """Weights (outputs, inputs) and biases of each layer, for the joints of a skeleton.

    weighted: joint scores count times their person's box score, as in the authors' code; in mmpose
    1.x they count alone.
    ModelError: they do not fit each other, or are not finite.
    """

    skeleton: Skeleton
    layers: tuple[tuple[Floats, Floats], ...]
    name: str = "expected-oks"
    licence: str = "not stated"
    origin: str = ""
    weighted: bool = True

    def __post_init__(self) -> None:
        inputs = 3 * len(limbs_of(self.skeleton)[0]) + len(self.skeleton)
        for weight, bias in self.layers:
            good = weight.ndim == 2 and weight.shape[1] == inputs and bias.shape == weight.shape[:1]
            if not (good and np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise ModelError(f"{self.name}: not the layers of a re-scoring network")
            inputs = len(weight)
        if inputs != 1:
            raise ModelError(f"{self.name}: not the layers of a re-scoring network")

    def __call__(self, people: People) -> Floats:
        """(N,) OKS in [0, 1]; 0 where a pose is not finite."""
        scores = people.scores * people.box_scores[:, None] if self.weighted else people.scores
        with np.errstate(all="ignore"):
            x = limb_features(people.keypoints, scores, self.skeleton)
            for number, (weight, bias) in enumerate(self.layers):
                x = (np.maximum(x, 0) if number else x) @ weight.T + bias
        found = np.clip(x[:, 0], 0, 1)
        return np.asarray(np.where(np.isfinite(found), found, 0), np.float32)

    def rescored(self, people: People) -> People:
        """Multiply each person's box score by the OKS of the pose."""
        return (
            people.replace(box_scores=people.box_scores * self(people)) if len(people) else people
        )

    def check(self, model: str, skeleton: Skeleton) -> None:
        """Raise a UsageError where a network finds other joints."""
        if skeleton.joints != self.skeleton.joints:
            raise UsageError(
                f"{self.name} re-scores poses of {self.skeleton.name}, and {model} finds those of "
                f"{skeleton.name}; give a re-scoring network for these joints"
            )

    @classmethod
    def load(cls, path: str | Path) -> ExpectedOKS:
        """Read a file of `save`, or of an mmpose DEKR that holds such a network; ModelError."""
        path = Path(path)
        try:
            metadata, header = header_of(path)
            inside = _INSIDE + _NAMES[0] in header
            arrays = read_arrays(path, [(_INSIDE if inside else "") + name for name in _NAMES])
            values = list(arrays.values())
            layers = tuple(zip(values[::2], values[1::2], strict=True))
            if inside:
                info = ModelInfo.from_json(metadata[METADATA_KEY], path)
                return cls(
                    info.skeleton, layers, path.name, info.licence, info.origin, weighted=False
                )
            told = {k: text_of(v) for k, v in parsed(metadata[_KEY]).items()}
            joints = get_skeleton(told["skeleton"])
            return cls(joints, layers, path.name, told["licence"], told["origin"])
        except OSError as error:
            raise ModelError(f"cannot read {path}: {error.strerror}{near(path)}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{path} holds no re-scoring network; write one with posewright fit rescore, or "
                f"{convert_first(path)}"
            ) from error

    def save(self, path: Path, overwrite: bool = False) -> Path:
        """Write the layers and what they are for; OutputError where that fails."""
        arrays = [array for layer in self.layers for array in layer]
        told = {"skeleton": self.skeleton.name, "licence": self.licence, "origin": self.origin}
        named = dict(zip(_NAMES, arrays, strict=True))
        return write_arrays(path, named, {_KEY: json.dumps(told, sort_keys=True)}, overwrite)

    @classmethod
    def of(cls, state: dict[str, Floats], skeleton: Skeleton, **told: str) -> ExpectedOKS:
        """Return the network of a state dict under the authors' names."""
        pairs = zip(_NAMES[::2], _NAMES[1::2], strict=True)
        layers = tuple((state[weight], state[bias]) for weight, bias in pairs)
        return replace(cls(skeleton, layers), **told)  # type: ignore[arg-type]
