"""Whether memory, files and threads stay flat over many frames.

    python benchmarks/soak.py [--frames 20000] [--video FILE]

One `Pose` streams a clip again and again, with a tracker, and writes rows and a table as `predict`
does.  Memory after a tenth of the frames is the beginning; what it gains until the end, and the
slope of a line through its samples, are held against the limits.  The negative control does the
same over fewer frames and keeps each result with its image, as a leak would: it must be found.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from posewright import Pose
from posewright.cli.demo import CLIP
from posewright.machine import cpu_name
from posewright.results import Result
from posewright.trackers import create_tracker
from posewright.writers import create_writer

MEGABYTES = 50.0  # what the whole run may gain
SLOPE = 1.0  # MB in 1,000 frames


@dataclass(frozen=True)
class Sample:
    """frame: how many were seen.  memory: resident, MB."""

    frame: int
    memory: float
    files: int
    threads: int

    @classmethod
    def now(cls, frame: int) -> Sample:
        """Measure this process."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        memory = pages * os.sysconf("SC_PAGESIZE") / 1e6
        return cls(frame, memory, len(os.listdir("/proc/self/fd")), threading.active_count())


def main() -> int:
    """Run the soak and its negative control; return 1 where either ended as it must not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=20_000, metavar="N")
    parser.add_argument("--video", type=Path, default=CLIP, metavar="FILE")
    args = parser.parse_args()
    print(cpu_name())
    flat = told("soak", run(args.video, args.frames, leak=False))
    control = told("negative control", run(args.video, max(args.frames // 100, 100), leak=True))
    if control:
        print("the negative control was not found: the limits hold nothing")
    return 0 if flat and not control else 1


def run(video: Path, frames: int, leak: bool) -> list[Sample]:
    """Stream `frames` frames; return a hundred samples.  leak: keep results and their images."""
    pose, kept, samples, seen = Pose(), [], [], 0
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        writers = [create_writer(name, Path(folder)) for name in ("jsonl", "csv")]
        for lap in count():
            tracker = create_tracker("oks", skeleton=pose.skeleton, fps=30)
            with pose.stream(video, tracker=tracker, keep_images=leak) as stream:
                for result in stream:
                    for writer in writers:
                        writer.write(_numbered(result, lap, seen))
                    if leak:
                        kept.append(result)
                    seen += 1
                    if seen % max(frames // 100, 1) == 0:
                        samples.append(Sample.now(seen))
                    if seen == frames:
                        break
            if seen == frames:
                break
        for writer in writers:
            writer.close()
    print(f"{frames} frames in {time.perf_counter() - started:.0f} s", flush=True)
    return samples


def _numbered(result: Result, lap: int, frame: int) -> Result:
    """Return a result with a number of its own, as if the laps were one long video."""
    return result.replace(source=f"lap {lap}", frame=frame)


def told(name: str, samples: list[Sample]) -> bool:
    """Print what was measured; return whether it is within the limits."""
    warm = samples[len(samples) // 10 :]
    frames, memory = np.array([(s.frame, s.memory) for s in warm]).T
    slope = 1000 * float(np.polyfit(frames, memory, 1)[0])
    growth = memory[-1] - memory[0]
    files, threads = warm[-1].files - warm[0].files, warm[-1].threads - warm[0].threads
    flat = bool(growth < MEGABYTES and slope < SLOPE and files <= 0 and threads <= 0)
    print(
        f"{name}: {memory[0]:.0f} MB after {warm[0].frame} frames, {growth:+.1f} MB to the end, "
        f"{slope:+.2f} MB in 1,000 frames, files {files:+d}, threads {threads:+d}: "
        f"{'flat' if flat else 'grows'}",
        flush=True,
    )
    return flat


if __name__ == "__main__":
    sys.exit(main())
