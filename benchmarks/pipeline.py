"""What the whole pipeline costs, beside its own networks, one thread, onnxruntime and rtmlib.

    python benchmarks/pipeline.py [--video FILE] [--frames N] [--only PART ...] [--rtmpose FILE ...]

PARTS: overhead, threads, openvino, rtmlib, memory, ready.  Runs that are compared take turns in one
process; a figure is the median of its rounds, a ratio the median of the rounds' ratios.  `rtmlib`
needs `pip install --no-deps rtmlib==0.0.16` and `onnx`; it is left out, and said so, without them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rtmpose_layout import rtmpose_layout

from posewright import Frame, Pose
from posewright.machine import cpu_name
from posewright.pipeline.estimate import estimate_all
from posewright.pipeline.pipeline import Pipeline
from posewright.runtimes import load_model
from posewright.runtimes.openvino import has_bf16
from posewright.sources import open_source
from posewright.trackers import create_tracker

DATA = Path(os.environ.get("POSEWRIGHT_TEST_DATA", "../shared/data"))
MOST_PEOPLE = 8  # the clip shows more; the claim is about 5 to 10


@dataclass
class Timed:
    """A model that adds up the time inside of its network."""

    model: Any
    seconds: list[float] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, views: Any) -> Any:
        start = time.perf_counter()
        outputs = self.model(views)
        self.seconds.append(time.perf_counter() - start)
        return outputs


def read(video: Path, count: int) -> list[Frame]:
    """The first frames of a video."""
    with open_source(video) as source:
        return list(islice(source, count))


def run(pose: Pose, frames: Any, threads: int, track: bool = True) -> tuple[float, int]:
    """Seconds and people of one pass over `frames`."""
    tracker = create_tracker("oks", skeleton=pose.skeleton, fps=30) if track else None
    pipeline = replace(pose.pipeline, tracker=tracker, threads=threads, max_people=MOST_PEOPLE)
    start = time.perf_counter()
    people = sum(len(result) for result in pipeline.run(frames))
    return time.perf_counter() - start, people


def rounds(count: int, *ways: Callable[[], float]) -> list[list[float]]:
    """Seconds of each way, the ways in turn, after one round that does not count."""
    times: list[list[float]] = [[] for _ in ways]
    for i in range(count + 1):
        for kept, way in zip(times, ways, strict=True):
            seconds = way()
            if i:
                kept.append(seconds)
    return times


def ratio(slow: list[float], fast: list[float]) -> float:
    """Median over the rounds of how many times faster the second is."""
    return statistics.median(s / f for s, f in zip(slow, fast, strict=True))


def overhead(video: Path, count: int) -> Iterator[str]:
    """Reading, warping, decoding maps, NMS and tracking, over the networks' own time."""
    for runtime in ("onnxruntime", "openvino"):
        pose = Pose(runtime=runtime, threads=1)
        pose.pipeline.model, pose.pipeline.detector = Timed(pose.model), Timed(pose.detector)
        shares, people = [], 0
        for _ in range(3):
            pose.model.seconds.clear()
            pose.detector.seconds.clear()
            with open_source(video) as source:
                wall, people = run(pose, islice(source, count), 1)
            network = sum(pose.model.seconds) + sum(pose.detector.seconds)
            shares.append((wall - network) / network)
        yield (
            f"everything but the networks, {pose.model.runtime}, {people / count:.1f} people a "
            f"frame: {100 * statistics.median(shares):.1f} % of the networks' "
            f"{1000 * network / count:.0f} ms a frame"
        )


def threads(video: Path, count: int) -> Iterator[str]:
    """One thread against two, from the file to tracked people."""
    for runtime in ("onnxruntime", "openvino"):
        poses = [Pose(runtime=runtime, threads=n) for n in (1, 2)]
        found = {}

        def way(n: int, poses: list[Pose] = poses, found: dict[int, int] = found) -> float:
            with open_source(video) as source:
                seconds, found[n] = run(poses[n - 1], islice(source, count), n)
            return seconds

        one, two = rounds(3, lambda: way(1), lambda: way(2))
        rate = found[2] / statistics.median(two)
        name = poses[0].model.runtime
        yield f"two threads, {name}: {ratio(one, two):.2f} x one thread, {rate:.0f} people/s"


def openvino(video: Path, count: int) -> Iterator[str]:
    """OpenVINO against onnxruntime, two threads, from the file to tracked people."""
    poses = {r: Pose(runtime=r) for r in ("onnxruntime", "openvino")}

    def way(name: str) -> float:
        with open_source(video) as source:
            return run(poses[name], islice(source, count), 2)[0]

    plain, fast = rounds(3, lambda: way("onnxruntime"), lambda: way("openvino"))
    names = [p.model.runtime for p in poses.values()]
    yield f"{names[1]}: {ratio(plain, fast):.2f} x {names[0]}"


def rtmlib(video: Path, count: int, files: Sequence[Path] = ()) -> Iterator[str]:
    """The same RTMPose-layout file, boxes and frames through rtmlib's own loop and through ours.

    files: other ones, of 192 x 256, than the embedded network in that layout.
    """
    if find_spec("rtmlib") is None or find_spec("onnx") is None:
        yield "rtmlib: left out; pip install --no-deps rtmlib==0.0.16, and onnx"
        return
    frames = read(video, count)
    pose = Pose(runtime="onnxruntime")
    boxes = [p[:MOST_PEOPLE] for p in estimate_all(pose.detector, frames)]
    with tempfile.TemporaryDirectory() as folder:
        for path in files or [rtmpose_layout(Path(folder) / "rtmpose-thunder_256x192.onnx")]:
            yield from (f"{path.stem}, {line}" for line in _beside_rtmlib(path, frames, boxes))


def _beside_rtmlib(path: Path, frames: Sequence[Frame], boxes: Sequence[Any]) -> Iterator[str]:
    """Yield a line for each runtime that a file can have."""
    from rtmlib import RTMPose

    known = _Known(boxes)
    theirs = RTMPose(str(path), (192, 256), backend="onnxruntime")
    ours = [
        load_model(path, runtime=r, precision=p, threads=2)
        for r, p in (("onnxruntime", "auto"), ("openvino", "fp32"), ("openvino", "bf16"))
        if p != "bf16" or has_bf16()
    ]
    kept: dict[Any, list[np.ndarray]] = {}
    sure: dict[int, np.ndarray] = {}

    def way_theirs() -> float:
        start = time.perf_counter()
        kept["theirs"] = [
            theirs(f.image, list(b.boxes))[0] if len(b) else np.zeros((0, 17, 2))
            for f, b in zip(frames, boxes, strict=True)
        ]
        return time.perf_counter() - start

    def way_ours(i: int) -> float:
        start = time.perf_counter()
        results = list(Pipeline(ours[i], known, threads=2).run(frames))
        kept[i] = [r.keypoints for r in results]
        sure[i] = np.concatenate([r.visible.ravel() for r in results])
        return time.perf_counter() - start

    ways = [way_theirs, *((lambda i=i: way_ours(i)) for i in range(len(ours)))]
    slow, *fast = rounds(3, *ways)
    for i, times in enumerate(fast):
        gaps = np.concatenate(
            [np.abs(a - b).max(-1).ravel() for a, b in zip(kept["theirs"], kept[i], strict=True)]
        )
        yield (
            f"{ours[i].runtime}: {ratio(slow, times):.2f} x rtmlib 0.0.16 on onnxruntime; the "
            f"{sure[i].sum()} visible of {len(gaps)} joints differ by "
            f"{gaps[sure[i]].mean():.3f} px on average (median {np.median(gaps[sure[i]]):.3f}, "
            f"{100 * (gaps[sure[i]] > 0.1).mean():.2f} % by more than 0.1 px, at most "
            f"{gaps[sure[i]].max():.2f}); all by {gaps.mean():.3f}"
        )


class _Known:
    """Boxes by frame number."""

    def __init__(self, boxes: list[Any]) -> None:
        self.boxes = boxes

    def people(self, frame: Frame) -> Any:
        return self.boxes[frame.index]


def memory(video: Path, count: int) -> Iterator[str]:
    """Growth of resident memory over 2,000 frames after 200."""
    pose, seen, start = Pose(max_people=2), 0, 0.0
    tracker = create_tracker("oks", skeleton=pose.skeleton, fps=30)
    while seen < 2200:
        with pose.stream(video, tracker=tracker, keep_images=False) as stream:
            for _ in stream:
                seen += 1
                if seen == 200:
                    start = resident()
                if seen == 2200:
                    break
    growth = resident() - start
    yield f"resident memory after 200 frames {start:.0f} MB, after 2,200 {growth:+.1f} MB"


def resident() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def ready(video: Path, count: int) -> Iterator[str]:
    """Seconds from `import` to a loaded Pose in a fresh process."""
    code = (
        "import time; t = time.perf_counter(); from posewright import Pose; Pose({}); "
        "print(time.perf_counter() - t)"
    )
    for runtime in ("onnxruntime", "openvino"):
        command = [sys.executable, "-c", code.format(f"runtime={runtime!r}")]
        runs = [subprocess.run(command, capture_output=True, check=True) for _ in range(5)]
        yield f"Pose ready, {runtime}: {statistics.median(float(r.stdout) for r in runs):.2f} s"


PARTS = {f.__name__: f for f in (overhead, threads, openvino, rtmlib, memory, ready)}


def main() -> None:
    """Measure the parts and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, default=DATA / "videos" / "openpose_video.avi")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--rtmpose",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="files of 192x256 to run beside rtmlib, as of `posewright export --input normalised`",
    )
    args = parser.parse_args()
    print(f"{cpu_name()}, {os.cpu_count()} processors; {args.video.name}, {args.frames} frames")
    for name in args.only:
        part = partial(rtmlib, files=args.rtmpose) if name == "rtmlib" else PARTS[name]
        for line in part(args.video, args.frames):
            print(f"- {line}", flush=True)


if __name__ == "__main__":
    main()
