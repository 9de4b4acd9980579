"""Scrub through a video of ten minutes and ten people on the page of `posewright serve`.

Usage: python -m benchmarks.page [FRAMES]

Needs playwright and Chromium.  The video is real; its poses are made, 10 people in each frame, and
take the place of those of a job.  The marks are those of the page itself: from the move of the
slider to the skeletons on the frame of the new time.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import av
import httpx2
import numpy as np

from tests.helpers.browser import browser, need_browser
from tests.helpers.serving import people, started

RATE, SIZE, PEOPLE = 30, (320, 240), 10
SCRUB = """async () => {
  const long = [], gaps = [], seek = document.getElementById("seek");
  new PerformanceObserver((list) => long.push(...list.getEntries().map((each) => each.duration)))
    .observe({ type: "longtask" });
  let last = performance.now(), on = true;
  const tick = (now) => { gaps.push(now - last); last = now; if (on) requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
  performance.clearMeasures();
  for (let move = 0; move < 60; move++) {
    seek.value = move * 7919 % Number(seek.max);
    seek.dispatchEvent(new Event("input"));
    await new Promise((done) => setTimeout(done, 100));
  }
  await new Promise((done) => setTimeout(done, 500));
  on = false;
  return [performance.getEntriesByName("scrub").map((each) => each.duration), long, gaps];
}"""


def film(path: Path, frames: int) -> Path:
    """Write a video with this many frames."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        image = np.zeros((*SIZE[::-1], 3), np.uint8)
        for number in range(frames):
            image[:] = number // 10 % 255
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def poses(header: dict[str, Any], frames: int) -> Iterator[str]:
    """Yield the lines of a poses.jsonl in which ten people move."""
    yield json.dumps(header)
    rng, joints = np.random.default_rng(0), np.arange(17)
    about = {"source": "long.mp4", "sequence": "long.mp4", "size": SIZE, "status": "ok"}
    for frame in range(frames):
        found = []
        for person in range(PEOPLE):
            x = 20 + 28 * person + 10 * np.sin(frame / 20 + joints)
            y = 40 + 9 * joints + 5 * np.cos(frame / 15)
            keypoints = np.column_stack([x, y, rng.uniform(0.3, 1, 17)]).round(3).tolist()
            box = [20.0 + 28 * person, 40.0, 45.0 + 28 * person, 200.0]
            each = {"id": person + 1, "box": box, "box_score": 0.9, "keypoints": keypoints}
            found.append(each)
        row = {"frame": frame, "time": frame / RATE, "message": "", "people": found}
        yield json.dumps(about | row)


def job_of(address: str, folder: Path, frames: int) -> str:
    """Return a job that has ended, with made poses in place of its own."""
    header = httpx2.post(f"{address}/v1/pose", files={"image": people()}).json()["header"]
    form = {"kind": "predict", "save": "jsonl"}
    sent = {"file": ("long.jpg", people())}
    job = str(httpx2.post(f"{address}/v1/jobs", files=sent, data=form).json()["id"])
    while httpx2.get(f"{address}/v1/jobs/{job}").json()["status"] != "done":
        time.sleep(0.2)
    path = next((folder / "posewright-data" / "jobs" / job).rglob("poses.jsonl"))
    path.write_text("\n".join(poses(header, frames)) + "\n")
    print(f"{frames} frames, {frames * PEOPLE} people, {path.stat().st_size / 1e6:.0f} MB")
    return job


def main() -> int:
    """Print how long reading and each move of the slider take."""
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 18_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with started(cwd=folder) as (address, _), browser(need_browser()) as opened:
            page = opened(viewport={"width": 1280, "height": 900}).page
            job = job_of(address, folder, frames)
            page.route(
                "**/v1/jobs",
                lambda route: (
                    route.fulfill(status=202, json={"id": job})
                    if route.request.method == "POST"
                    else route.continue_()
                ),
            )
            page.goto(address)
            video, begun = film(folder / "long.mp4", frames), time.perf_counter()
            page.set_input_files("#files", video)
            page.locator("#player").wait_for(state="visible", timeout=180_000)
            print(f"open: {time.perf_counter() - begun:.1f} s")
            page.wait_for_timeout(1500)
            moves, tasks, gaps = page.evaluate(SCRUB)
    print(f"scrub: {len(moves)} moves, median {median(moves):.0f} ms, most {max(moves):.0f} ms")
    print(f"tasks over 50 ms: {len(tasks)}; longest gap between two frames: {max(gaps):.0f} ms")
    return int(max([*moves, *gaps]) > 100)


if __name__ == "__main__":
    raise SystemExit(main())
