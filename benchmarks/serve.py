"""Measure `posewright serve` beside `predict`, and kill it while jobs run.

    python benchmarks/serve.py
    python benchmarks/serve.py --kills 50

Speed: 16 clients send the frames of the demo's clip to POST /v1/pose; `predict` reads the same
images from a folder.  Both use the same networks, runtime and threads, in turn, five times; the
median counts.  Then single requests, requests at half of that load, and /healthz while
the queue is full, and a client beside 200 connections that send half a head.

Kills: the server ends by SIGKILL again and again while jobs run or wait; a log says what each kill
fell on.  Every job must end once, with a row for each frame.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import httpx2

from posewright.cli.demo import CLIP
from posewright.pose import Pose

CLIENTS = 16


@contextmanager
def server(data: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server on a free port; it is killed at the end."""
    command = [sys.executable, "-m", "posewright", "serve", "--port", "0", "--data", str(data)]
    process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split(": ", 1)[1].strip(), process
    finally:
        process.kill()
        process.communicate()


def images(folder: Path, count: int) -> list[bytes]:
    """Write frames of the clip as JPEGs at half their size; return their bytes."""
    found = []
    with av.open(str(CLIP)) as file:
        for number, frame in zip(range(count), file.decode(video=0), strict=False):
            small = cv2.resize(frame.to_ndarray(format="bgr24"), None, fx=0.5, fy=0.5)
            path = folder / f"{number:03d}.jpg"
            cv2.imwrite(str(path), small)
            found.append(path.read_bytes())
    return found


def crowd(address: str, data: list[bytes], clients: int, pause: float = 0.0) -> list[float]:
    """Send every image once, by so many clients; return the seconds of each answer."""
    left, spent, lock = list(data), list[float](), threading.Lock()

    def one() -> None:
        with httpx2.Client(timeout=120) as client:
            while True:
                with lock:
                    if not left:
                        return
                    image = left.pop()
                begun = time.perf_counter()
                answer = client.post(f"{address}/v1/pose", files={"image": ("a.jpg", image)})
                assert answer.status_code == 200, answer.text
                with lock:
                    spent.append(time.perf_counter() - begun)
                time.sleep(pause)

    threads = [threading.Thread(target=one) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return spent


def speed(count: int, threads: int, runtime: str) -> None:
    """Print the lines of Speed."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        folder.mkdir()
        data = images(folder, count)
        pose = Pose(threads=threads, runtime=runtime)  # type: ignore[arg-type]
        pose.predict_to(folder, Path(place) / "warm")
        words = ("--threads", str(threads), "--runtime", runtime, "--workers", str(threads))
        with server(Path(place) / "data", *words) as (address, process):
            crowd(address, data[:16], CLIENTS)
            ours, theirs, cpu = [], [], [0.0, 0.0, 0.0]  # processor's s: predict, server, clients
            for turn in range(5):
                begun, used = time.perf_counter(), time.process_time()
                pose.predict_to(folder, Path(place) / f"out{turn}")
                theirs.append(count / (time.perf_counter() - begun))
                cpu[0] += time.process_time() - used
                begun, used, serving = time.perf_counter(), time.process_time(), _spent(process.pid)
                crowd(address, data, CLIENTS)
                ours.append(count / (time.perf_counter() - begun))
                cpu[1] += _spent(process.pid) - serving
                cpu[2] += time.process_time() - used
            served, predicted = statistics.median(ours), statistics.median(theirs)
            ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
            each = [1000 * seconds / (5 * count) for seconds in cpu]
            print(f"predict            {predicted:7.1f} images/s  (runs {_runs(theirs)})")
            print(f"POST /v1/pose x16  {served:7.1f} images/s  (runs {_runs(ours)})")
            print(f"ratio              {ratio:7.2f}  (at least 0.9), median of five pairs")
            print(
                f"processor          {each[0]:.1f} ms an image in predict, {each[1]:.1f} in the "
                f"server, {each[2]:.1f} in the clients, which share the cores"
            )
            single = statistics.median(crowd(address, data[: count // 2], 1))
            rate = served / 2
            clients = max(1, round(rate * single * 2))
            pause = max(0.0, clients / rate - single)
            spent = sorted(crowd(address, data, clients, pause))
            p99 = spent[int(0.99 * len(spent))]
            print(f"one request        {1000 * single:7.1f} ms")
            print(f"p99 at half load   {1000 * p99:7.1f} ms, {p99 / single:.2f} x  (under 4 x)")
            print(
                f"/healthz, full     {1000 * health(address, data):7.1f} ms, slowest  (under 50 ms)"
            )
            slow_heads(address, data)


def _spent(process: int) -> float:
    """Return the processor's seconds of a process, on Linux."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _runs(rates: list[float]) -> str:
    return " ".join(f"{rate:.1f}" for rate in rates)


def health(address: str, data: list[bytes]) -> float:
    """Return the seconds of the slowest /healthz while more requests come than may wait."""
    done, seen = threading.Event(), list[int]()

    def one() -> None:
        with httpx2.Client(timeout=120) as client:
            while not done.is_set():
                files = {"image": ("a.jpg", data[0])}
                seen.append(client.post(f"{address}/v1/pose", files=files).status_code)
                time.sleep(0.25 if seen[-1] == 429 else 0.0)  # a quarter of what it is told

    threads = [threading.Thread(target=one) for _ in range(90)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    spent = []
    with httpx2.Client(timeout=60) as client:
        for _ in range(50):
            begun = time.perf_counter()
            client.get(f"{address}/healthz")
            spent.append(time.perf_counter() - begun)
            time.sleep(0.05)
    done.set()
    for thread in threads:
        thread.join()
    print(f"answers meanwhile  {seen.count(200)} x 200, {seen.count(429)} x 429")
    return max(spent)


def slow_heads(address: str, data: list[bytes]) -> None:
    """Hold 200 connections with half a head each; print how a healthy client fares meanwhile."""
    host, port = address.removeprefix("http://").split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(200)]
    for each in slow:
        each.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ")
    begun = time.perf_counter()
    spent = statistics.median(crowd(address, data[:10], 1))
    for each in slow:
        each.settimeout(60)
        assert each.recv(1) == b""
        each.close()
    gone = time.perf_counter() - begun
    print(f"200 half heads     {1000 * spent:7.1f} ms a request meanwhile; closed in {gone:.1f} s")


def kills(count: int, seed: int) -> None:
    """Kill a server so many times at work; print what each kill fell on, and what is lost."""
    draw, log, ids = random.Random(seed), list[str](), list[str]()
    with tempfile.TemporaryDirectory() as place:
        data, clip = Path(place) / "data", CLIP.read_bytes()
        frames = 12
        for number in range(count + 1):
            with server(data, "--threads", "1", "--runtime", "onnxruntime") as (address, process):
                waiting = _statuses(address)
                if number < count and waiting.count("queued") + waiting.count("running") < 3:
                    form = {"kind": "predict", "save": "jsonl", "frames": f"0:{frames}"}
                    for _ in range(2):
                        files = {"file": ("clip.mp4", clip)}
                        answer = httpx2.post(f"{address}/v1/jobs", files=files, data=form)
                        ids.append(answer.json()["id"])
                if number == count:
                    while set(_statuses(address)) - {"done", "failed", "cancelled"}:
                        time.sleep(0.2)
                    _report(address, ids, log, frames)
                    return
                time.sleep(draw.uniform(0.2, 8.0))
                at = _statuses(address)
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            log.append("running" if "running" in at else "idle")
            print(f"kill {number + 1}: {', '.join(f'{at.count(s)} {s}' for s in sorted(set(at)))}")


def _statuses(address: str) -> list[str]:
    return [row["status"] for row in httpx2.get(f"{address}/v1/jobs").json()["jobs"]]


def _report(address: str, ids: list[str], log: list[str], frames: int) -> None:
    lost = doubled = 0
    tries = []
    for job in ids:
        row = httpx2.get(f"{address}/v1/jobs/{job}").json()
        text = httpx2.get(f"{address}/v1/jobs/{job}/files/poses.jsonl").text
        rows = [json.loads(line).get("frame") for line in text.splitlines()]
        rows = [number for number in rows if number is not None]
        lost += row["status"] != "done" or sorted(set(rows)) != list(range(frames))
        doubled += len(rows) != len(set(rows))
        tries.append(row["tries"])
    again = sum(number > 1 for number in tries)
    print(f"{len(log)} kills, {log.count('running')} while a job ran")
    print(f"{len(ids)} jobs, {again} taken up again (at most {max(tries)} times started)")
    print(f"{lost} lost, {doubled} doubled")


def main() -> None:
    """Run what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=96, help="images of the speed")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.kills:
        kills(args.kills, args.seed)
    else:
        speed(args.count, args.threads, args.runtime)


if __name__ == "__main__":
    main()
