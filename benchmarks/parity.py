"""Compare our networks with what the originals compute on rule-made weights.

Usage: python benchmarks/parity.py FILE...   (SYSTEM__VARIANT.json.gz, folders of them, lists .txt)

A file holds the names and shapes of an original's tensors and the original's outputs.  Every
tensor follows from its name by a rule, so that a tensor in the wrong place cannot pass.  One line
for each file: PASS or FAIL, the name, our and their number of parameters, the relative error; a
file that cannot be read or run is a FAIL with its reason.  A list holds names of fixtures, one a
line: those whose files lie beside the list are compared, and ABSENT says of the others whether a
family has the network.  Backbones of classifiers pass through the start of a training
(parity_starts.py) and are compared without their classifier.  The last line is the total.  Exits
with 1 if a file fails.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from posewright.checkpoints import Foreign, convert, foreigns
from posewright.checkpoints.base import renamed
from posewright.models import PoseModel, create

sys.path.insert(0, str(Path(__file__).parent))  # where this file is imported from elsewhere

from parity_outputs import OUTPUTS
from parity_starts import STARTS, started

TOLERANCE = 1e-4
# the family, or the families by prefix, that hold the key tables of a system of another name
FAMILIES = {
    "alphapose_fastpose": "alphapose",
    "hf_vitpose": "vitpose_hf",
    "hrformer_orig": "hrformer",
    "lite_hrnet_orig": "lite_hrnet",
    "mmpose": "mmpose_",
    "posefix_pt": "posefix",
    "simple_pose_lm": "simple_pose",
    "vitpose_orig": "vitpose",
    "yolopose": "yolo_pose",
    "zoo_mmpose": "mmpose_",
}
# parameters of originals that nothing but their training uses; our networks do not have them
UNUSED = {"jde": r"classifier\..*|.*\.s_(c|r|id)"}
# what our variants' names begin with, where the fixtures' do not
PREFIXES = {"hf_vitpose": "vitpose_"}


@dataclass(frozen=True)
class Report:
    """What one fixture showed; `error` is the largest relative error of its outputs."""

    name: str
    ours: int
    theirs: int
    error: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether counts are equal and all outputs agree."""
        return not self.note and self.ours == self.theirs and self.error <= TOLERANCE

    def __str__(self) -> str:
        word = "PASS" if self.passed else "FAIL"
        line = (
            f"{word} {self.name} params {self.ours}/{self.theirs} relative error {self.error:.1e}"
        )
        return f"{line} ({self.note})" if self.note else line


def uniform(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values in [-1, 1) of PCG64, seeded by the CRC-32 of the key."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode("utf-8"))))
    return generator.random(int(np.prod(shape, dtype=np.int64))).reshape(shape) * 2 - 1


def tensor(key: str, shape: tuple[int, ...], gain: float) -> Tensor:
    """Return the value that the rule gives the original's tensor `key`."""
    u, leaf = uniform(key, shape), key.rpartition(".")[2]
    if leaf == "running_var":
        value = 1 + u / 2
    elif leaf == "A_hat":  # GraFormer: the original takes roots of sums of its columns
        value = np.abs(u * np.sqrt(3 / np.prod(shape[1:])))
    elif leaf == "running_mean" or (len(shape) < 2 and leaf not in ("weight", "gamma", "scale")):
        value = u / 10
    elif len(shape) < 2:
        value = gain * (1 + u / 5)
    else:
        value = u * np.sqrt(3 / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(value, np.float32))


def original(fixture: dict[str, Any]) -> dict[str, Tensor]:
    """Return the original's state dict; tensors that it computes itself, "kept", are zeros."""
    return {
        key: tensor(key, tuple(shape), fixture["gain"])
        if how == "rule"
        else torch.zeros(shape, dtype=getattr(torch, dtype))
        for key, shape, dtype, how in fixture["keys"]
    }


def known(system: str, variant: str) -> tuple[Foreign, str]:
    """Return the key table and the name of our variant; a KeyError if no family has it."""
    name, prefix = FAMILIES.get(system, system), PREFIXES.get(system, "")
    variant = variant.removesuffix("_edge_rule")  # EfficientDet's with other weights of its nodes
    for family in foreigns().values():
        same = family.name.startswith(name) if name.endswith("_") else family.name == name
        names = {plain(v).removeprefix(prefix): v for v in family.variants}
        if same and plain(variant) in names:
            return family, names[plain(variant)]
    raise KeyError(f"no family knows {system} {variant}")


def find(system: str, variant: str) -> tuple[Foreign, Callable[[], nn.Module]]:
    """Return the key table and the builder of our network; a KeyError if no family has it."""
    family, name = known(system, variant)
    return family, family.variants[name]


def sized(build: Callable[[], nn.Module], shape: list[int]) -> nn.Module:
    """Return the network for the views of a fixture, whose size may not be its own.

    shape: of the input; that of a view is (B, C, h, w), or (B, h, w, 3) as in TensorFlow.
    """
    model = build()
    if not isinstance(model, PoseModel) or not model.name or len(shape) != 4:
        return model
    height, width = shape[1:3] if shape[3] == 3 else shape[2:]
    if model.codec.input_size == (width, height):
        return model
    codec = model.options.get("codec")
    if codec is None or isinstance(codec, str):
        return create(model.name, **{**model.options, "input_size": (width, height)})
    codec = replace(codec, input_size=(width, height))
    return create(model.name, **{**model.options, "codec": codec})


def loaded(fixture: dict[str, Any]) -> nn.Module:
    """Return our network with the original's tensors, ours where the original computes them."""
    family, build = find(fixture["system"], fixture["variant"])
    model = sized(build, fixture["inputs"][0]["shape"]).eval()
    state, ours = original(fixture), model.state_dict()
    made = convert(state, family, model)
    computed = {key: state[key] for key, _, _, how in fixture["keys"] if how == "kept"}
    names = renamed(computed, replace(family, prepare=None))
    model.load_state_dict({**made, **{k: ours[k] for k in names if k in made}}, strict=True)
    return model


def plain(name: str) -> str:
    """Return a name of letters, digits and _, as in the names of fixture files."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name)


def run(model: nn.Module, system: str, inputs: list[Tensor]) -> list[Tensor]:
    """Return our outputs in the order of the fixture's."""
    if system in OUTPUTS:
        return OUTPUTS[system](model, inputs)
    compute = getattr(model, "compute", model)
    found = compute(*inputs)
    return list(found.values()) if isinstance(found, dict) else [found]


def check(path: Path) -> Report:
    """Run one fixture; what goes wrong is the note of a failed report."""
    name, theirs = path.name.partition(".json")[0], 0
    try:
        fixture = json.loads(gzip.decompress(path.read_bytes()))
        name = f"{fixture['system']}__{plain(fixture['variant'])}"
        theirs = int(fixture["parameters"]) - unused(fixture)
        if (fixture["system"], fixture["variant"]) in STARTS:
            reports = [
                Report(name, made.ours, made.theirs, *compare(made.outputs, made.expected))
                for made in started(fixture, original(fixture), *inputs_of(fixture))
            ]
            return min(reports, key=lambda report: (bool(report.note), report.error))
        model = loaded(fixture)
        with torch.inference_mode():
            outputs = run(model, fixture["system"], inputs_of(fixture))
        error, note = compare(outputs, fixture["outputs"])
    except Exception as problem:  # of any kind: the other files are still to be compared
        lines = str(problem.args[0] if problem.args else "").splitlines()
        reason = f"{type(problem).__name__}: {lines[0] if lines else 'no message'}"
        return Report(name, 0, theirs, float("nan"), reason)
    return Report(name, sum(p.numel() for p in model.parameters()), theirs, error, note)


def unused(fixture: dict[str, Any]) -> int:
    """Return how many parameters of the original our network leaves out on purpose."""
    pattern = UNUSED.get(fixture["system"], "")
    shapes = [shape for key, shape, *_ in fixture["keys"] if re.fullmatch(pattern, key)]
    return sum(int(np.prod(shape)) for shape in shapes)


def inputs_of(fixture: dict[str, Any]) -> list[Tensor]:
    """Return what the original was given: the stimulus, and the targets of a loss."""
    given = [
        torch.from_numpy((uniform("input", tuple(i["shape"])) * 3**0.5).astype(np.float32))
        for i in fixture["inputs"]
    ]
    targets = [
        torch.tensor(o["value"]).view(o["shape"])
        for o in fixture["outputs"]
        if o["name"].startswith("target")
    ]
    return [*given, *targets]


def compare(outputs: list[Tensor], expected: list[dict[str, Any]]) -> tuple[float, str]:
    """Return the largest relative error, and what else is wrong."""
    if len(outputs) != len(expected):
        return float("nan"), f"{len(outputs)} outputs for {len(expected)}"
    errors = []
    for ours, theirs in zip(outputs, expected, strict=True):
        if list(ours.shape) != theirs["shape"]:
            return float("nan"), f"{theirs['name']}: {list(ours.shape)} for {theirs['shape']}"
        value = np.array(theirs["value"])
        found = ours.detach().double().flatten().numpy()[theirs["index"]]
        if not np.isfinite(found).all():
            return float("nan"), f"{theirs['name']}: not finite"
        scale = np.linalg.norm(value) or 1.0  # of zeros: the absolute error
        errors.append(float(np.linalg.norm(found - value) / scale))
    return max(errors, default=0.0), ""


def listed(path: Path) -> Iterator[Path]:
    """Yield the fixtures of a file, a folder or a list of names beside it."""
    if path.is_dir():
        yield from sorted(path.glob("*.json.gz"))
    elif path.suffix == ".txt":
        for name in path.read_text(encoding="utf-8").split():
            yield path.parent / f"{name}.json.gz"
    else:
        yield path


def absent(path: Path) -> str:
    """Return the line of a listed fixture that is not there."""
    system, _, variant = path.name.removesuffix(".json.gz").partition("__")
    if (system, variant) in STARTS:
        return f"ABSENT {path.name.removesuffix('.json.gz')} (a start of trainings)"
    try:
        family, _ = find(system, variant)
    except KeyError as problem:
        return f"ABSENT {path.name.removesuffix('.json.gz')} ({problem.args[0]})"
    return f"ABSENT {path.name.removesuffix('.json.gz')} (in the zoo: {family.name})"


def main(words: list[str]) -> int:
    """Check every file; 1 if one fails, 2 without files."""
    if not words:
        print(__doc__, file=sys.stderr)
        return 2
    counts: Counter[str] = Counter()
    for word in map(Path, words):
        for path in listed(word):
            line = absent(path) if word.suffix == ".txt" and not path.exists() else check(path)
            print(line, flush=True)
            counts[str(line).partition(" ")[0]] += 1
    compared = counts["PASS"] + counts["FAIL"]
    print(f"{counts['PASS']} of {compared} pass, {counts['FAIL']} fail; {counts['ABSENT']} absent")
    return 1 if counts["FAIL"] or not compared else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
