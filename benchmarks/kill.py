"""Kill a training run at random moments; show that every one goes on and how much each lost.

    python benchmarks/kill.py --count 50

Half of the kills fall while the state is being written: the run saves after every step, and those
kills wait until the temporary file is there.  At the end the run is finished and its weights are
compared, byte by byte, with those of a run that nobody disturbed.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from posewright.training.state import read_state

SETTINGS = [
    "-m", "simcc_mobilenetv2", "options.input_size=[64,64]", "batch=4", "epochs=100",
    "save_every=1", "eval_every=1000", "log_every=1", "workers=1",
]  # fmt: skip
SAME = ["--device", "cpu", "--quiet"]


def main() -> int:
    """Run everything; return 1 where a run did not go on, lost more, or ended elsewhere."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return _all(Path(name), args.count, random.Random(args.seed))


def _all(folder: Path, count: int, chance: random.Random) -> int:
    data, run = folder / "set", folder / "run"
    _posewright("data", "synth", "-o", str(data), "--count", "10")
    _posewright("train", str(data), *SETTINGS, *SAME, "-o", str(folder / "whole"))
    inside = killed = lost = 0
    start = ["train", str(data), *SETTINGS, *SAME, "-o", str(run)]
    while killed < count:
        child = subprocess.Popen([sys.executable, "-m", "posewright", *start])
        in_save = _kill(child, run, chance)
        if in_save is None:  # it came to its end first: begin again
            for path in sorted(run.iterdir()):
                path.unlink()
            start = ["train", str(data), *SETTINGS, *SAME, "-o", str(run)]
            continue
        killed, inside = killed + 1, inside + in_save
        if not (run / "state.safetensors").exists():  # nothing saved yet, so nothing to resume
            for path in sorted(run.iterdir()) if run.exists() else []:
                path.unlink()
            continue
        step = read_state(run / "state.safetensors")[1]["place"]["step"]
        logged = [line for line in (run / "log.jsonl").read_text().splitlines() if line]
        lost = max(lost, len([line for line in logged if '"kind": "log"' in line]) - step)
        start = ["train", "--resume", str(run), *SAME]
    _posewright(*start)
    same = (run / "last.safetensors").read_bytes() == (
        folder / "whole/last.safetensors"
    ).read_bytes()
    print(f"{killed} of {count} killed runs went on, {inside} of them killed inside of a save")
    print(f"most steps lost: {lost} (a state is saved every step)")
    print(f"final weights equal those of the undisturbed run: {same}")
    return 0 if same and lost <= 1 else 1


def _kill(child: subprocess.Popen[bytes], run: Path, chance: random.Random) -> bool | None:
    """Kill a run at a random moment; return whether it was saving, None where it had ended."""
    state, part = run / "state.safetensors", run / ".state.safetensors.part"
    before = state.stat().st_mtime_ns if state.exists() else 0
    while child.poll() is None and not (state.exists() and state.stat().st_mtime_ns > before):
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.4))
    if chance.random() < 0.5:
        while child.poll() is None and not part.exists():
            pass
    saving = part.exists()
    if child.poll() is not None:
        if child.returncode:
            raise SystemExit(f"a run ended with {child.returncode} by itself")
        return None
    child.kill()
    child.wait()
    return saving


def _posewright(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "posewright", *arguments], check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
