"""The loop of the fuzzing: damage an example, run its verbs, keep what does not end well."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .bounded import Bounded, Outcome
from .damage import damaged
from .kinds import KINDS, examples

__all__ = ["Trial", "fuzz", "tried"]


@dataclass
class Trial:
    """What came of all cases so far: exit codes, and the worst that a kind took."""

    codes: dict[str, Counter[int | None]] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """Command lines that were run."""
        return sum(counter.total() for counter in self.codes.values())

    def add(self, kind: str, found: Outcome) -> None:
        """Count an outcome."""
        self.codes.setdefault(kind, Counter())[found.code] += 1
        self.peak[kind] = max(self.peak.get(kind, 0.0), found.peak)
        self.slowest[kind] = max(self.slowest.get(kind, 0.0), found.cpu)

    def table(self) -> str:
        """Return a line for each kind."""
        return "\n".join(
            f"{kind:12} {self.codes[kind].total():6} cases, exit codes "
            f"{dict(sorted(self.codes[kind].items(), key=str))}, at most "
            f"{self.slowest[kind]:.1f} s and {self.peak[kind]:.0f} MB"
            for kind in sorted(self.codes)
        )


def fuzz(
    folder: Path, seed: int, trial: Trial, found: Path | None, over: Callable[[], bool],
    kinds: Sequence[str] = tuple(KINDS),
) -> None:  # fmt: skip
    """Try cases until `over`, all kinds in turn.  found: folder for files that do not end well."""
    rng, number = random.Random(seed), 0
    folder.mkdir(exist_ok=True)
    good = {kind: files for kind, files in examples(folder).items() if kind in kinds}
    before = {file: file.read_bytes() for files in good.values() for file in files}
    with Bounded() as run:
        while not over():
            kind = list(good)[number % len(good)]
            file = rng.choice(good[kind])
            file.write_bytes(damaged(rng, before[file], KINDS[kind].form))
            fault = tried(run, kind, file, folder / "out", trial)
            if fault:
                trial.faults.append(f"{kind} case {number} of {file.name}: {fault}")
                if found is not None:
                    kept = found / kind / f"{seed}-{number}-{file.name}"
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, kept)
            file.write_bytes(before[file])
            number += 1


def tried(run: Bounded, kind: str, file: Path, out: Path, trial: Trial) -> str:
    """Run the verbs of a kind on a file; return what is not as it must be, "" where all is well."""
    for words in KINDS[kind].verbs(file, out):
        shutil.rmtree(out, ignore_errors=True)
        outcome = run(*words, cwd=file.parent)
        trial.add(kind, outcome)
        if outcome.fault():
            return f"{' '.join(map(str, words[:2]))}: {outcome.fault()}"
    return ""
