"""Command lines with bounds: what any file that arrives must end in."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from unicodedata import category

SECONDS = 10.0  # of the processor; a machine with other work to do may take longer by the clock
MEGABYTES = 1000.0
BUSY = 30.0  # of the processor, after which a command line is given up
HANG = 300.0  # by the clock, for one that waits and does nothing
CODES = (0, 2, 3, 4)


@dataclass(frozen=True)
class Outcome:
    """What a command line came to.

    code: None for a crash or a hang.  wall, cpu: s.  peak: MB; grown: above what it had before.
    """

    code: int | None
    out: str = ""
    err: str = ""
    wall: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0
    grown: float = 0.0

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
            return f"exit code {self.code}: {self.err.strip()[-200:]}"
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


def _answered(child: subprocess.Popen[str]) -> bool:
    """Wait until a child says something or ends; False where it takes too long.

    Seconds of the processor count, so that nothing depends on what else the machine does.
    """
    assert child.stdout is not None
    started, spent = time.monotonic(), _cpu_seconds(child.pid)
    with selectors.DefaultSelector() as waiting:
        waiting.register(child.stdout, selectors.EVENT_READ)
        while not waiting.select(1.0):
            busy = _cpu_seconds(child.pid) - spent
            if busy > BUSY or time.monotonic() - started > HANG:
                return False
    return True


def _cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process so far (proc(5), /proc/pid/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bounded:
    """A child that runs one command line after the other; it is started again after a crash."""

    def __init__(self) -> None:
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
        answered = _answered(child)
        line = child.stdout.readline() if answered else ""
        if line:
            return Outcome(**json.loads(line))
        code = child.poll() if answered else None
        self.close()
        why = f"died of {code}" if answered else "hung"
        return Outcome(None, err=why)

    def _start(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        argv: Sequence[str] = [sys.executable, str(Path(__file__).with_name("child.py"))]
        self._child = subprocess.Popen(
            argv,
            env=environment,
            text=True,
            encoding="utf-8",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return self._child
