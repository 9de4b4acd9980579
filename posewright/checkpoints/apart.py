"""Read a checkpoint in a process of its own, with limits on its memory, time and output.

The reader runs nothing of a file, and does not import torch, which would take seconds.  The limits
hold for what a file makes the reader do: they end the process, never the caller.
`python -m posewright.checkpoints.apart` is that process; it writes the tensors into a safetensors
file, which the caller takes them from.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors

import posewright
from posewright import errors
from posewright.checkpoints.files import is_safetensors, read_arrays, read_checkpoint
from posewright.errors import ModelError, OutputError, PosewrightError
from posewright.files.scratch import scratch

if TYPE_CHECKING:
    from torch import Tensor

    from posewright.checkpoints.pickles import Array

__all__ = ["Limits", "read_apart"]

_NAMES = "names"  # the entry of the metadata that says which tensor each name has
_ANSWER = "posewright "  # how the line begins that tells how the reading ended


@dataclass(frozen=True)
class Limits:
    """Resource limits for reading one file, on top of what the process uses before it opens the
    file.

    memory: bytes that it allocates, and bytes that it writes.  processor, clock: seconds.  Systems
    without rlimits (Windows) know the clock alone.
    """

    memory: int
    processor: int
    clock: float

    @classmethod
    def of(cls, size: int) -> Limits:
        """Return the limits for `size` bytes: many times what honest files take (docs/zoo.md)."""
        return cls((512 << 20) + 8 * size, 5 + size // 20_000_000, 120 + size / 2_000_000)


def read_apart(source: Path, target: Path, limits: Limits | None = None) -> dict[str, Tensor]:
    """Return what `read_checkpoint` does, read in a process of its own.

    Its file lies in a folder beside `target` that goes afterwards.  limits: without them those for
    the file's size.  Errors: those of `read_checkpoint`; ModelError where the process does not end
    well, OutputError where nothing can be written beside `target`.
    """
    source = Path(source)
    if not source.is_file():
        told = "is a folder; name the checkpoint in it" if source.is_dir() else "no such file"
        raise ModelError(f"{source}: {told}")
    if is_safetensors(source):  # nothing but shapes and bytes, and what the process would answer in
        return read_checkpoint(source)
    try:
        with scratch(target) as folder:
            part = folder / "tensors"
            # the weights beside a TF.js graph count with it
            beside = source.parent.glob("*.bin") if source.suffix == ".json" else ()
            size = sum(path.stat().st_size for path in (source, *beside) if path.is_file())
            _run(source, part, limits or Limits.of(size))
            # the tensors of the process's file, which may go then
            with safetensors.safe_open(part, "pt") as file:
                names = json.loads(file.metadata()[_NAMES])
                made = {key: file.get_tensor(key).clone() for key in file.keys()}
            return {name: made[key] for name, key in names}
    except PosewrightError:
        raise
    except OSError as error:
        raise OutputError(f"{target}: the weights cannot be written ({error})") from error


def _run(source: Path, part: Path, limits: Limits) -> None:
    """Have the tensors of `source` written to `part`; raise what went wrong."""
    whole = os.path.abspath(source)
    words = [sys.executable, "-m", "posewright.checkpoints.apart", whole, os.path.abspath(part)]
    words += [str(limits.memory), str(limits.processor)]
    try:
        # The process finds the same packages, and has one thread.  Its working folder, which
        # Python searches first, is empty: no module is taken from elsewhere.
        packages = str(Path(posewright.__file__).resolve().parents[1])
        given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        paths = [packages, *(os.path.abspath(path) for path in given if path)]
        threads = {
            name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        }
        done = subprocess.run(
            words,
            cwd=part.parent,
            env={**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths)},
            timeout=limits.clock,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
        )
    except subprocess.TimeoutExpired as error:
        raise _refused(source, f"it takes more than {limits.clock:.0f} s") from error
    answers = [line for line in done.stdout.splitlines() if line.startswith(_ANSWER)]
    if done.returncode or not answers:
        raise _refused(source, _death(done, limits))
    kind, text = json.loads(answers[-1][len(_ANSWER) :])
    if kind:
        # the process knows the file by its whole path
        raise getattr(errors, kind)(text.replace(whole, str(source)))


def _refused(source: Path, why: str) -> ModelError:
    return ModelError(f"{source}: reading was stopped: {why}; get the file again from its source")


def _death(done: subprocess.CompletedProcess[str], limits: Limits) -> str:
    """Say what ended the process."""
    if done.returncode == -getattr(signal, "SIGXCPU", 0):
        return f"it takes more than {limits.processor} s of the processor"
    if done.returncode < 0:
        with suppress(ValueError):
            return f"it ended by {signal.Signals(-done.returncode).name}"
    last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
    return last[:300]


# --- in the process of its own -------------------------------------------------------------------


def _main() -> None:
    source, part, memory, processor = sys.argv[1:]
    _limit(int(memory), int(processor))
    kind, text = "", ""
    try:
        _write(read_arrays(Path(source)), Path(part))
    except PosewrightError as error:
        kind, text = type(error).__name__, str(error)
    except MemoryError:
        kind, text = "ModelError", f"{source}: cannot allocate memory"
    if "allocate" in text:  # NumPy's own error, or Python's
        more = f"reading it takes more than {int(memory) >> 20} MB"
        kind, text = (
            "ModelError",
            f"{source}: {more}, which no valid file of its size needs; get it again",
        )
    print(f"{_ANSWER}{json.dumps([kind, text])}", flush=True)


def _limit(memory: int, processor: int) -> None:
    """Set the limits, from what this process has taken so far."""
    try:
        import resource
    except ImportError:  # Windows
        return
    mapped, private = _taken_so_far()
    spent = int(time.process_time()) + 1
    for kind, value in (
        ("RLIMIT_AS", mapped + memory),
        ("RLIMIT_DATA", private + memory),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", memory),
        ("RLIMIT_CPU", spent + processor),
    ):
        number = getattr(resource, kind, None)
        if number is None:
            continue
        hard = resource.getrlimit(number)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with suppress(OSError, ValueError):  # macOS knows some by name only
            resource.setrlimit(number, (soft, hard))


def _taken_so_far() -> tuple[int, int]:
    """Return the bytes of this process's addresses, and of those that are its own alone."""
    try:
        fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    except OSError:  # no Linux: more than the libraries take
        return 4 << 30, 1 << 30
    page = os.sysconf("SC_PAGE_SIZE")
    return int(fields[0]) * page, int(fields[5]) * page


def _write(state: dict[str, Array], part: Path) -> None:
    """Write each array once, under a number, however many names it has."""
    from safetensors.numpy import save_file

    unique = {id(array): array for array in state.values()}
    numbers = {key: str(number) for number, key in enumerate(unique)}
    names = json.dumps([[name, numbers[id(array)]] for name, array in state.items()])
    tensors = {numbers[key]: np.asarray(array, order="C") for key, array in unique.items()}
    try:
        save_file(tensors, part, {_NAMES: names})
    except (OSError, safetensors.SafetensorError) as error:
        raise OutputError(f"{part.parent.parent}: cannot hold the tensors ({error})") from error


if __name__ == "__main__":
    _main()
