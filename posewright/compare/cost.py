"""The cost of a network on this machine, and the time of each stage of a Pose.

A network is measured in a process of its own, because the peak of a process's memory never falls
again, and because nothing that ran before is in the way.  `python -m posewright.compare.cost` is
that process: it reads one JSON object from standard input and prints one.  Its arguments are files
of the user's own with the networks that they hold, FILE.py:NAME.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posewright.codecs.base import condition_shape
from posewright.compare.networks import count, open_network
from posewright.errors import ModelError, SourceError, UsageError
from posewright.machine import NO_MODULES_HERE
from posewright.weights.folders import fetching_variables

if TYPE_CHECKING:
    from posewright.datasets import Sample
    from posewright.people import Frame, People
    from posewright.pose import Pose
    from posewright.runtimes import Model

__all__ = ["Cost", "counted", "measure", "measure_cost", "measure_view"]

_PICTURES = 24  # that are timed
_WARM_UP = 3  # calls before
_SECONDS = 20.0  # after which no further image is timed, unless fewer than _LEAST were
_LEAST = 5
HANGS = 1800  # seconds after which the process is given up


@dataclass(frozen=True)
class Cost:
    """parameters, gmacs, gflops: of the network and one view, see runtimes.counts.Counts.  None
    where a graph does not tell.

    picture_ms: median time of an image with all its people on one core (or the device), crops and
    decoding included, without reading the file; low and high: its quartiles.  person_ms: median
    time of an image by the number of its people.  memory_mb: highest resident memory of the
    process, MiB; None where the system does not tell.  runtime: what ran it.
    """

    parameters: int | None
    gmacs: float | None
    picture_ms: float
    low: float
    high: float
    person_ms: float
    memory_mb: float | None
    runtime: str
    gflops: float | None = None


def counted(sample: Sample) -> Sample:
    """Return the sample with those who count: people with labelled joints, no crowds."""
    return sample[sample.counting]


def measure_cost(
    model: str,
    samples: Sequence[Sample],
    *,
    flip: bool = False,
    runtime: str = "auto",
    device: str = "auto",
    own: Sequence[str] = (),
) -> Cost:
    """Run a model over up to 24 images with labelled people, spread over `samples`.

    own: files of the user's, as they were typed on the command line, see models.own.load_own.
    SourceError: no image has people.  ModelError: the process failed.
    """
    full = [part for part in map(counted, samples) if len(part)]
    if not full:
        raise SourceError(
            "no image has people with labelled joints to time a model on; give other images"
        )
    chosen = [full[int(i)] for i in np.linspace(0, len(full) - 1, min(_PICTURES, len(full)))]
    pictures = [[str(s.image), s.people.boxes.tolist()] for s in chosen]
    return _measured(model, pictures, flip, runtime, device, own)


def measure_view(
    model: str, *, runtime: str = "auto", device: str = "auto", own: Sequence[str] = ()
) -> Cost:
    """Run a network of any task on 24 blank views, one at a time; a view stands for an image.

    own: as of `measure_cost`.  ModelError: the process failed.
    """
    return _measured(model, [], False, runtime, device, own)


def _measured(
    model: str, pictures: list[Any], flip: bool, runtime: str, device: str, own: Sequence[str]
) -> Cost:
    """Return what the process of its own says of a model."""
    task = {
        "model": model,
        "flip": flip,
        "runtime": runtime,
        "device": device,
        "pictures": pictures,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "posewright.compare.cost", *own],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            timeout=HANGS,
            env={
                **os.environ,
                **fetching_variables(),
                "OMP_NUM_THREADS": "1",
                **NO_MODULES_HERE,
            },
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{model} could not be timed within {HANGS} s; leave it out") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ModelError(f"{model} could not be timed: {last}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


# --- in the process of its own -------------------------------------------------------------------


def _main() -> None:
    import cv2

    task = json.load(sys.stdin)
    cv2.setNumThreads(1)
    if sys.argv[1:]:
        from posewright.models.own import load_own

        for text in sys.argv[1:]:
            load_own(text)
    model = open_network(task["model"], task["runtime"], task["device"])
    pictures = task["pictures"]
    seconds, people = _times(model, pictures, task["flip"]) if pictures else _view_times(model)
    times = np.array(seconds) * 1000
    low, middle, high = np.percentile(times, [25, 50, 75]).tolist()
    memory = _peak_memory()  # before the network is counted, which takes some itself
    counts = count(task["model"], model)
    cost = {
        "parameters": counts and counts.parameters,
        "gmacs": counts and counts.gmacs,
        "gflops": counts and counts.gflops,
        "picture_ms": middle,
        "low": low,
        "high": high,
        "person_ms": float(np.median(times / np.array(people))),
        "memory_mb": memory,
        "runtime": model.runtime,
    }
    print(json.dumps(cost))


def _times(model: Model, pictures: Sequence[Any], flip: bool) -> tuple[list[float], list[int]]:
    """Return the seconds and people of each image, of fewer where all take too long."""
    from posewright.pipeline.estimate import estimate

    seconds: list[float] = []
    counts: list[int] = []
    begin = time.perf_counter()
    for frame, people in _read(pictures):
        known = people if model.codec.top_down else None
        for _ in range(0 if counts else _WARM_UP):
            estimate(model, frame, known, flip=flip)
        start = time.perf_counter()
        estimate(model, frame, known, flip=flip)
        seconds.append(time.perf_counter() - start)
        counts.append(len(people))
        if time.perf_counter() - begin > _SECONDS and len(counts) >= _LEAST:
            break
    if not counts:
        raise SourceError(f"{pictures[0][0]} cannot be read, nor can any other image")
    return seconds, counts


def _view_times(model: Model) -> tuple[list[float], list[int]]:
    """Return the seconds of blank views, without crops and decoding."""
    width, height = model.codec.input_size
    shape = condition_shape(model.codec, len(model.skeleton))
    given = [np.zeros((1, height, width, 3), np.uint8)]
    further = [] if shape is None else [np.zeros((1, *shape), np.float32)]
    seconds = []
    for number in range(_WARM_UP + _PICTURES):
        start = time.perf_counter()
        model(*given, *further)
        seconds += [time.perf_counter() - start] if number >= _WARM_UP else []
        if sum(seconds) > _SECONDS and len(seconds) >= _LEAST:
            break
    return seconds, [1] * len(seconds)


def _read(pictures: Sequence[Any]) -> Iterator[tuple[Frame, People]]:
    """Yield the images that can be read with their people, one in memory at a time."""
    from posewright.people import People
    from posewright.sources.images import file_frame

    for path, boxes in pictures:
        frame = file_frame(path, 100_000_000)
        if frame.status == "ok":
            yield frame, People.of(boxes=boxes)


def _peak_memory() -> float | None:
    """Return the highest resident memory of this process in MiB."""
    # getrusage would report the parent's peak here: Linux carries it over to a new program
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="utf-8").splitlines()
        found = [line.split()[1] for line in lines if line.startswith("VmHWM")]
        return int(found[0]) / 1024 if found else None
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak: float = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    from posewright.errors import PosewrightError

    try:
        _main()
    except PosewrightError as error:
        raise SystemExit(str(error)) from error


WARM_UP = 5
_MOST_FRAMES = 1_000_000


def measure(pose: Pose, source: Any, count: int = 60, **options: Any) -> dict[str, Any]:
    """Return rates and median milliseconds per stage over `count` frames, after a warm-up of five.

    options: of Pose.stream, such as frames= and stride=.
    The stages of several frames run side by side, so they add up to more than the time a frame.
    UsageError: no such number of frames.  SourceError: the source has too few.
    """
    if not 1 <= count <= _MOST_FRAMES:
        raise UsageError(
            f"count={count} frames to measure (--count); give a number from 1 to {_MOST_FRAMES}"
        )
    speeds, people = [], 0
    with pose.stream(source, keep_images=False, **options) as stream:
        for _ in islice(stream, WARM_UP):
            pass
        start = time.perf_counter()
        for result in islice(stream, count):
            speeds.append(result.speed)
            people += len(result)
        seconds = time.perf_counter() - start
    if not speeds:
        raise SourceError(
            f"{stream.source.name}: fewer than {WARM_UP + 1} frames; give a longer source"
        )
    return {
        "pose": f"{pose.model.info.name}, {pose.model.runtime}",
        "frames": len(speeds),
        "people per frame": people / len(speeds),
        "frames/s": len(speeds) / seconds,
        "people/s": people / seconds,
        "detect ms/frame": float(np.median([s.get("detect", 0.0) for s in speeds])),
        "pose ms/frame": float(np.median([s.get("pose", 0.0) for s in speeds])),
    }
