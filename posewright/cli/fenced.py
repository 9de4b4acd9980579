"""`python -m posewright.cli.fenced`: run a verb for a job of the server, behind its fence.

The process ends at once when the server does, whose end closes the pipe of standard input; so that
no job ever runs twice at a time, it first waits for the lock of its folder.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

__all__ = ["run"]

WAIT_S = 30.0


def run(words: list[str]) -> int:
    """Run the verb; words: the job's folder, what may be read besides, "--", and the command."""
    from posewright.cli import main
    from posewright.files.lock import FolderLock, Held
    from posewright.serve.fence import build

    border = words.index("--")
    folder, *readable = words[:border]
    threading.Thread(target=_end_with_server, daemon=True).start()
    until = time.monotonic() + WAIT_S
    while True:
        try:
            lock = FolderLock(Path(folder))
            break
        except Held:
            if time.monotonic() > until:
                print("posewright: an earlier process of this job does not end", file=sys.stderr)
                return 4
            time.sleep(0.05)
    try:
        build(readable, [folder])
        return main(words[border + 1 :])
    finally:
        lock.release()


def _end_with_server() -> None:
    """Wait for the end of the pipe; what is half written has a temporary name."""
    while os.read(0, 4096):
        pass
    os._exit(137)


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
