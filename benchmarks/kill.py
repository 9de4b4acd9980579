"""Kill runs at random moments; show that they go on and how much each run lost.

    python benchmarks/kill.py --count 50
    python benchmarks/kill.py --verb interrupt --count 50
    python benchmarks/kill.py --verb predict --count 10
    python benchmarks/kill.py --verb resume --count 20

train: half of the kills fall while the state is being written: the run saves after every step, and
those kills wait until its temporary folder is there.  At the end the run is finished and its
weights are compared, byte by byte, with those of a run that nobody disturbed.

interrupt: the same run is stopped by Ctrl-C instead, which must end it within ten seconds with exit
code 130, every finished step saved.

predict: runs over the frames of the demo's clip, as a folder and as a video, end by SIGKILL,
SIGTERM and SIGHUP in turn.  Every row, drawn image and table line that stood in a file at the
moment of the signal must be readable afterwards, in the parts that SIGKILL leaves and in the
results that the others finish.

resume: `predict --resume`, with tracking, smoothing and every format, over the same folder and
video is killed again and again until it ends; a quarter of the kills fall while the results get
their names.  All files of each run that ended must have the bytes of a run that nobody disturbed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2

from posewright.cli.demo import CLIP
from posewright.files.lock import LOCK
from posewright.readers import read_results
from posewright.sources import open_source
from posewright.writers.journal import JOURNAL

SETTINGS = [
    "-m",
    "simcc_mobilenetv2",
    "options.input_size=[64,64]",
    "batch=4",
    "epochs=100",
    "save_every=1",
    "eval_every=1000",
    "log_every=1",
    "workers=1",
]
SAME = ["--device", "cpu", "--quiet"]
EVERY = "coco,alphapose,openpose,csv,parquet,jsonl,images,video"


def main() -> int:
    """Run everything; return 1 where a run did not go on, lost more, or ended elsewhere."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--verb", choices=("train", "interrupt", "predict", "resume"), default="train"
    )
    args = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGHUP):  # ignored under nohup and in the background
        signal.signal(number, signal.SIG_DFL)
    runs = {"train": _all, "interrupt": _interruptions}
    runs |= {"predict": _predictions, "resume": _resumptions}
    with tempfile.TemporaryDirectory() as name:
        return runs[args.verb](Path(name), args.count, random.Random(args.seed))


def _pictures(folder: Path) -> Path:
    """Write the frames of the demo's clip as images; return their folder."""
    pictures = folder / "pictures"
    pictures.mkdir()
    with open_source(CLIP) as clip:
        for frame in clip:
            cv2.imwrite(str(pictures / f"{frame.index}.jpg"), frame.image[..., ::-1])
    return pictures


def _resumptions(folder: Path, count: int, chance: random.Random) -> int:
    """Kill `count` runs over a folder and as many over a video; return 1 where bytes differ."""
    equal = ended = 0
    for kind, source in (("folder", _pictures(folder)), ("video", CLIP)):
        command = ["predict", str(source), "--save", EVERY, "--progress", "none", "--threads", "1"]
        command += ["--track", "--det-every", "2", "--smooth", "kalman", "-o"]
        _posewright(*command, str(folder / f"{kind}-whole"))
        whole = _content(folder / f"{kind}-whole")
        out, killed = folder / kind, 0
        while killed < count or out.exists():
            child = subprocess.Popen(
                [sys.executable, "-m", "posewright", *command, str(out), "--resume"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            if killed < count:
                killed += _kill_somewhere(child, out, chance)
            _, err = child.communicate()
            if child.returncode not in (0, -9):
                raise SystemExit(f"a run ended with {child.returncode}: {err.decode()}")
            if child.returncode == 0 or _is_over(out):
                same = _content(out) == whole
                equal, ended = equal + same, ended + 1
                print(f"{kind}, {killed} kills so far: ended in the same bytes: {same}", flush=True)
                shutil.rmtree(out)
            else:
                print(f"{kind}, kill {killed}: {_recorded(out)} frames recorded", flush=True)
    print(f"{2 * count} kills; {equal} of {ended} runs ended in the bytes of an undisturbed one")
    return 1 if equal < ended else 0


def _kill_somewhere(child: subprocess.Popen[bytes], out: Path, chance: random.Random) -> bool:
    """Kill a run at a random moment; tell whether it still ran.

    In its first seconds (start, repetition), after some further frames, or while results get their
    names.
    """
    kind, wait = chance.choice(("start", "frames", "frames", "naming")), chance.uniform(0, 6)
    start, more = time.monotonic(), _recorded(out) + chance.randrange(1, 40)
    while child.poll() is None:
        if kind == "start" and time.monotonic() - start > wait:
            break
        if kind == "frames" and _recorded(out) >= more:
            time.sleep(wait / 20)
            break
        if kind == "naming" and any((out / name).exists() for name in ("poses.jsonl", "openpose")):
            break
        time.sleep(0.001)
    ran = child.poll() is None
    child.kill()
    return ran


def _recorded(out: Path) -> int:
    """Return how many frames the journal holds."""
    try:
        return max((out / JOURNAL).read_bytes().count(b"\n") - 2, 0)
    except FileNotFoundError:
        return 0


def _is_over(out: Path) -> bool:
    """Tell whether a run was killed after its last act, the removal of the journal."""
    return out.exists() and not (out / JOURNAL).exists() and (out / "poses.jsonl").exists()


def _content(out: Path) -> dict[str, bytes]:
    """Return all files of a run but its lock, which stays where it is killed."""
    files = (path for path in out.rglob("*") if path.is_file() and path.name != LOCK)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def _predictions(folder: Path, count: int, chance: random.Random) -> int:
    """Stop `count` runs over a folder and as many over a video; return 1 where one lost a row."""
    pictures = _pictures(folder)
    wrong = 0
    for kind, source in (("folder", pictures), ("video", CLIP)):
        for turn in range(count):
            number = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)[turn % 3]
            out = folder / f"{kind}{turn}"
            code, seen = _stop(source, out, number, chance.uniform(0, 4))
            found = _readable(out)
            whole = code == (-9 if number == signal.SIGKILL else 128 + number)
            wrong += not whole or any(found[name] < seen[name] for name in seen)
            print(
                f"{kind}, {number.name}: exit code {code}; at the signal {seen}, after it {found}"
            )
    print(f"{2 * count - wrong} of {2 * count} runs ended as they should and lost nothing")
    return 1 if wrong else 0


def _stop(
    source: Path, out: Path, number: signal.Signals, wait: float
) -> tuple[int, dict[str, int]]:
    """Stop a run some time after its first rows; return its exit code and what stood there."""
    command = ["predict", str(source), "-o", str(out), "--save", "jsonl,csv,images"]
    child = subprocess.Popen(
        [sys.executable, "-m", "posewright", *command, "--progress", "none", "--threads", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while child.poll() is None and not (out.exists() and _standing(out)["rows"]):
        time.sleep(0.01)
    time.sleep(wait)
    if child.poll() is not None:
        raise SystemExit(f"the run over {source} ended with {child.returncode} by itself")
    seen = _standing(out)
    child.send_signal(number)
    return child.wait(), seen


def _standing(out: Path) -> dict[str, int]:
    """Count the whole lines and the images of a run; the last image may be in work."""
    lines = {
        name: sum(path.read_bytes().count(b"\n") for path in out.glob(f"poses*.{name}"))
        for name in ("jsonl", "csv")
    }
    pictures = sum(1 for _ in out.glob("images*/*"))
    rows, joints = max(lines["jsonl"] - 1, 0), max(lines["csv"] - 1, 0)
    return {"rows": rows, "joints": joints, "pictures": max(pictures - 1, 0)}


def _readable(out: Path) -> dict[str, int]:
    """Count the rows, table lines and images that can be read, in results or in their parts."""
    [rows], [table] = out.glob("poses*.jsonl"), out.glob("poses*.csv")
    pictures = [cv2.imread(str(path)) is not None for path in out.glob("images*/*")]
    results = list(read_results(rows))
    joints = [line for line in table.read_text().splitlines()[1:] if line.count(",") == 13]
    return {"rows": len(results), "joints": len(joints), "pictures": sum(pictures)}


def _interruptions(folder: Path, count: int, chance: random.Random) -> int:
    """Send Ctrl-C to a training `count` times; return 1 where one ended late or lost a step."""
    data, run = folder / "set", folder / "run"
    _posewright("data", "synth", "-o", str(data), "--count", "10")
    settings = [*SETTINGS, "epochs=100000", *SAME]
    start = ["train", str(data), *settings, "-o", str(run)]
    waits, lost = [], 0
    for turn in range(count):
        child = subprocess.Popen(
            [sys.executable, "-m", "posewright", *(start if turn == 0 else _resumed(run))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait_for_a_save(child, run)
        time.sleep(chance.uniform(0, 1))
        asked = time.monotonic()
        child.send_signal(signal.SIGINT)
        code = child.wait()
        waits.append(time.monotonic() - asked)
        lost += code != 130 or _steps_lost(run) != 0
    print(
        f"{count - lost} of {count} trainings ended by Ctrl-C with exit code 130 and every step "
        f"saved, {statistics.median(waits):.1f} s after it (median), {max(waits):.1f} s at most"
    )
    return 1 if lost or max(waits) > 10 else 0


def _resumed(run: Path) -> list[str]:
    return ["train", "--resume", str(run), *SAME]


def _steps_lost(run: Path) -> int:
    """Return how many steps the log has beyond the state."""
    from posewright.training.state import read_state

    step: int = read_state(run / "state.safetensors")[1]["place"]["step"]
    logged = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return sum('"kind": "log"' in line for line in logged) - step


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
            shutil.rmtree(run)
            start = ["train", str(data), *SETTINGS, *SAME, "-o", str(run)]
            continue
        killed, inside = killed + 1, inside + in_save
        if not (run / "state.safetensors").exists():  # nothing saved yet, so nothing to resume
            shutil.rmtree(run, ignore_errors=True)
            continue
        lost = max(lost, _steps_lost(run))
        start = _resumed(run)
    _posewright(*start)
    same = (run / "last.safetensors").read_bytes() == (
        folder / "whole/last.safetensors"
    ).read_bytes()
    if killed > 20 and not inside:
        raise SystemExit("no kill fell into a save: is the state still written as this expects?")
    print(f"{killed} of {count} killed runs went on, {inside} of them killed inside of a save")
    print(f"most steps lost: {lost} (a state is saved every step)")
    print(f"final weights equal those of the undisturbed run: {same}")
    return 0 if same and lost <= 1 else 1


def _kill(child: subprocess.Popen[bytes], run: Path, chance: random.Random) -> bool | None:
    """Kill a run at a random moment; return whether it was saving, None where it had ended."""
    left = _being_written(run)  # by the run that was killed before
    _wait_for_a_save(child, run)
    time.sleep(chance.uniform(0, 0.4))
    if chance.random() < 0.5:
        while child.poll() is None and not _being_written(run) - left:
            time.sleep(0.001)
    saving = bool(_being_written(run) - left)
    if child.poll() is not None:
        if child.returncode:
            raise SystemExit(f"a run ended with {child.returncode} by itself")
        return None
    child.kill()
    child.wait()
    return saving


def _being_written(run: Path) -> set[str]:
    """Return the folders in which a state is written before it gets its name."""
    return {path.name for path in run.glob(".state.safetensors.writing-*")}


def _wait_for_a_save(child: subprocess.Popen[bytes], run: Path) -> None:
    """Wait until a run has saved its state once more, or has ended."""
    state = run / "state.safetensors"
    before = state.stat().st_mtime_ns if state.exists() else 0
    while child.poll() is None and not (state.exists() and state.stat().st_mtime_ns > before):
        time.sleep(0.002)


def _posewright(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "posewright", *arguments],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


if __name__ == "__main__":
    raise SystemExit(main())
