"""Command lines with bounds: what any file that arrives must end in."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from unicodedata import category

SECONDS = 10.0  # of the processor; a machine with other work to do may take longer by the clock
MEGABYTES = 1000.0
HANG = 60.0  # by the clock
CODES = (0, 2, 3, 4)


@dataclass(frozen=True)
class Outcome:
    """What a command line came to.  code: None for a crash or a hang.  peak: MB."""

    code: int | None
    out: str = ""
    err: str = ""
    wall: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0

    @property
    def lines(self) -> list[str]:
        """What was said of something at fault."""
        return [
            line for line in self.err.splitlines() if line.startswith(("posewright", "warning: "))
        ]

    def fault(self) -> str:
        """Return what is not as it must be; "" where all is well."""
        if "Traceback (most recent call last)" in self.err:
            return f"traceback: {self.err.strip().splitlines()[-1][:200]}"
        if self.code is None:
            return self.err or "crashed"
        if self.code not in CODES:
            return f"exit code {self.code}"
        if self.code and not self.lines and not self.out:  # data check prints what it finds
            return f"exit code {self.code} without a word: {self.err[-200:]!r}"
        if any(len(line) > 2000 for line in self.err.splitlines()):
            return f"a line of {max(map(len, self.err.splitlines()))} characters"
        if any(category(c) == "Cc" and c not in "\n\r\t" for c in self.err + self.out):
            return "a control character on the terminal"
        if self.cpu > SECONDS:
            return f"{self.cpu:.1f} s of the processor"
        if self.peak > MEGABYTES:
            return f"{self.peak:.0f} MB"
        return ""


class Bounded:
    """A child that runs one command line after the other; it is started again after a crash."""

    def __init__(self, hang: float = HANG) -> None:
        self._hang = hang
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Bounded:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    pipe.close()
        self._child = None

    def __call__(self, *words: str | Path, cwd: Path) -> Outcome:
        """Run a command line in a folder."""
        child = self._child or self._start()
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps({"argv": list(map(str, words)), "cwd": str(cwd)}) + "\n")
        child.stdin.flush()
        with selectors.DefaultSelector() as waiting:
            waiting.register(child.stdout, selectors.EVENT_READ)
            answered = waiting.select(self._hang)
        line = child.stdout.readline() if answered else ""
        if line:
            return Outcome(**json.loads(line))
        code = child.poll() if answered else None
        self.close()
        why = f"died of {code}" if answered else f"hung for {self._hang:g} s"
        return Outcome(None, err=why)

    def _start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        argv: Sequence[str] = [sys.executable, str(Path(__file__).with_name("child.py"))]
        self._child = subprocess.Popen(
            argv, env=environment, text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self._child
