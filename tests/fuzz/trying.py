"""The loop of the fuzzing: damage an example, run its verbs, keep what does not end well."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .bounded import Bounded, Outcome
from .kinds import KINDS, damaged

__all__ = ["Trial", "fuzz", "restored", "tried"]

ALONE = 10  # cases of a reader alone for each of a command line, which take as long


@dataclass
class Trial:
    """What came of all cases so far: exit codes, and the worst that a kind took."""

    codes: dict[str, Counter[int | None]] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)
    grown: dict[str, float] = field(default_factory=dict)
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
        self.grown[kind] = max(self.grown.get(kind, 0.0), found.grown)
        self.slowest[kind] = max(self.slowest.get(kind, 0.0), found.cpu)

    def summary(self) -> str:
        """Return one line about all kinds: what went wrong, and the worst case."""
        lost = sum(codes[None] for codes in self.codes.values())
        return (
            f"{self.cases} cases, {len(self.faults)} faults, {lost} of them crashes, hangs or "
            f"tracebacks; at most {max(self.slowest.values(), default=0):.2f} s of the processor "
            f"and {max(self.peak.values(), default=0):.0f} MB"
        )

    def table(self) -> str:
        """Return a line for each kind."""
        return "\n".join(
            f"{kind:24} {self.codes[kind].total():6} cases, exit codes "
            f"{dict(sorted(self.codes[kind].items(), key=str))}, at most "
            f"{self.slowest[kind]:.2f} s, {self.peak[kind]:.0f} MB, {self.grown[kind]:+.0f} MB"
            for kind in sorted(self.codes)
        )


def fuzz(
    run: Bounded,
    good: Mapping[str, Sequence[Path]],
    out: Path,
    seed: int,
    trial: Trial,
    found: Path | None,
    over: Callable[[], bool],
    kinds: Sequence[str] = tuple(KINDS),
) -> None:
    """Damage good files, all kinds in turn, until `over`.

    out: a folder to write.  found: folder for files that do not end well.
    """
    rng, number = random.Random(seed), 0
    loads: Counter[str] = Counter()
    turns = [kind for kind in kinds for _ in range(ALONE if KINDS[kind].alone else 1)]
    while not over():
        kind = turns[number % len(turns)]
        file = rng.choice(good[KINDS[kind].examples])
        loads[kind] += 1
        if KINDS[kind].lasts and loads[kind] % KINDS[kind].lasts == 0:
            run.close()
        with restored(file) as before:
            file.write_bytes(damaged(rng, before, KINDS[kind].form))
            fault = tried(run, kind, file, out, trial)
            if fault:
                trial.faults.append(f"{kind} case {number} of {file.name}: {fault}")
            if fault and found is not None:
                kept = found / kind / f"{seed}-{number}-{file.name}"
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, kept)
        number += 1


@contextmanager
def restored(file: Path) -> Iterator[bytes]:
    """Give what is in a file, and write it again afterwards."""
    before = file.read_bytes()
    try:
        yield before
    finally:
        file.write_bytes(before)


def tried(run: Bounded, kind: str, file: Path, out: Path, trial: Trial) -> str:
    """Run the verbs of a kind on a file; return what is not as it must be, "" where all is well."""
    for words in KINDS[kind].verbs(file, out):
        shutil.rmtree(out, ignore_errors=True)
        outcome = run(*words, cwd=file.parent)
        trial.add(kind, outcome)
        if outcome.fault():
            return f"{' '.join(map(str, words[:2]))}: {outcome.fault()}"
    return ""
