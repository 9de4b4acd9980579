"""What a prediction survives: broken networks, playlists, streams that drop, threads, odd places.

    python benchmarks/faults.py [PART ...] [--seed N]

overflow: a weight of a random layer is beyond what its network can compute with.  No number that is
not finite may be in a result, and the run ends with 3.

playlists: files that tell FFmpeg to open other files and addresses.  None may be opened.

stream: a server hangs up at random moments.  Each gap is one row, and nothing is left behind.

threads: eight threads share one `Pose` and find what one thread finds, to the last bit.

places: names in other scripts, long paths, no home, no display, a folder that cannot be written.

Each part prints a line and the command ends with 1 where one fell short.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from fault_servers import hanging_up, listener
from numpy.typing import NDArray

from posewright import Pose
from posewright.cli.demo import CLIP
from posewright.machine import cpu_name
from posewright.results import Result
from posewright.sources import open_source
from posewright.weights import EMBEDDED


def main() -> int:
    """Run the parts; return 1 where one fell short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    print(cpu_name())
    good = []
    for part in args.parts or list(PARTS):
        with tempfile.TemporaryDirectory() as name:
            good.append(PARTS[part](Path(name), random.Random(args.seed)))
    return 0 if all(good) else 1


def _images(count: int) -> list[NDArray[np.uint8]]:
    """The first frames of the demo's clip, a quarter of their pixels, in OpenCV's order."""
    with open_source(CLIP) as source:
        images = [frame.image[::2, ::2, ::-1] for frame in islice(source, count)]
    return [np.ascontiguousarray(image) for image in images]


# --- overflow


def overflow(folder: Path, chance: random.Random, count: int = 50) -> bool:
    """Spoil `count` layers of the two embedded networks, one at a time."""
    cv2.imwrite(str(folder / "a.jpg"), _images(1)[0])
    finite = told = 0
    for turn in range(count):
        option, name = (("-m", "movenet-thunder"), ("-d", "nanodet-g-person"))[turn % 2]
        _spoil(name, folder / "bad.onnx", chance)
        out = folder / f"out{turn}"
        with open(folder / "log", "w", encoding="utf-8") as log:
            code = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "posewright",
                    "predict",
                    folder / "a.jpg",
                    "-o",
                    out,
                    "--save",
                    "jsonl,csv,coco,openpose",
                    option,
                    folder / "bad.onnx",
                ],
                stdout=log,
                stderr=log,
                check=False,
            ).returncode
        rows = [json.loads(line) for line in (out / "poses.jsonl").read_text("utf-8").splitlines()]
        finite += all(_finite(file) for file in out.rglob("*") if file.is_file())
        failed = any(row.get("message") for row in rows)  # of the frame, or of some people in it
        told += code == 3 if failed else code == 0
    print(
        f"overflow: {finite} of {count} spoilt networks left no number that is not finite, "
        f"{told} of them ended with the exit code of what their rows say"
    )
    return finite == told == count


def _finite(file: Path) -> bool:
    """Whether every number in a result file is finite."""
    text = file.read_text("utf-8")
    if file.suffix == ".csv":
        cells = {cell.lower() for line in text.splitlines() for cell in line.split(",")}
        return not cells & {"nan", "inf", "-inf"}
    found: list[str] = []
    for part in text.splitlines() if file.suffix == ".jsonl" else [text]:
        json.loads(part, parse_constant=found.append)
    return not found


def _spoil(name: str, path: Path, chance: random.Random) -> None:
    """Write a network with one weight of 1e38 or infinity in a random layer."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(EMBEDDED[name].path)
    layers = [t for t in model.graph.initializer if math.prod(t.dims) > 64]
    layer = chance.choice(layers)
    array = numpy_helper.to_array(layer).copy()
    with np.errstate(over="ignore"):  # half of the layers hold float16
        array.flat[chance.randrange(array.size)] = chance.choice((1e38, np.inf, np.nan))
    layer.CopyFrom(numpy_helper.from_array(array, layer.name))
    onnx.save(model, path)


# --- playlists


def playlists(folder: Path, chance: random.Random) -> bool:
    """Give playlists and streams' descriptions as sources; count what they make FFmpeg open."""
    secret = folder / "secret.mp4"
    secret.write_bytes(CLIP.read_bytes())
    with listener() as (port, connections):
        address = f"http://127.0.0.1:{port}/a.mp4"
        refused, texts = 0, list(_playlists(secret, address))
        for number, (suffix, text) in enumerate(texts):
            file = folder / f"{number}{suffix}"
            file.write_text(text, encoding="utf-8")
            refused += _refused(str(file), folder / f"out{number}")
        words = [
            f"concat:{secret}|{secret}",
            f"subfile,,start,0,end,0,,:{secret}",
            f"file:{secret}",
            f"data:video/mp4;base64,{'A' * 40}",
            f"crypto:{secret}",
            f"async:{secret}",
            f"cache:{address}",
            f"hls+{address}",
        ]
        refused += sum(_refused(word, folder / f"word{n}") for n, word in enumerate(words))
    count = len(texts) + len(words)
    print(
        f"playlists: {refused} of {count} refused without a frame of what they name, "
        f"{len(connections)} connections"
    )
    return refused == count and not connections


def _playlists(secret: Path, address: str) -> Iterator[tuple[str, str]]:
    for target in (secret.as_uri(), str(secret), address, "/dev/zero"):
        hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n"
        yield from ((".m3u8", hls), (".mp4", hls), (".avi", hls))
        yield ".ffconcat", f"ffconcat version 1.0\nfile '{target}'\n"
    yield ".sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 26\n"
    base = f"<BaseURL>{address}</BaseURL>"
    yield ".mpd", f"<MPD><Period><AdaptationSet>{base}</AdaptationSet></Period></MPD>"
    yield ".ffm", f"#!ffmpeg\n{address}\n"


def _refused(source: str, out: Path) -> bool:
    """Whether a source ends with 2 or 3 and without a frame that could be read."""
    with open(os.devnull, "w", encoding="utf-8") as quiet:
        code = subprocess.run(
            [sys.executable, "-m", "posewright", "predict", source, "-o", out, "--retry", "0"],
            stdout=quiet,
            stderr=quiet,
            check=False,
            timeout=60,
        ).returncode
    rows = (out / "poses.jsonl").read_text("utf-8") if (out / "poses.jsonl").exists() else ""
    return code in (2, 3) and '"status": "ok"' not in rows and '"status":"ok"' not in rows


# --- stream


def stream(folder: Path, chance: random.Random, count: int = 100) -> bool:
    """Hang up on a reader `count` times, in the middle of images as well."""
    pictures = [cv2.imencode(".jpg", image)[1].tobytes() for image in _images(10)]
    back: list[float] = []
    with hanging_up(pictures, chance, back) as url, open_source(url) as source:
        next(source)
        files, threads = _loose_ends()
        gaps, waits = 0, []
        for frame in source:
            if frame.status == "gap":
                gaps += 1
            elif frame.status == "ok" and len(waits) < gaps:
                waits.append(time.monotonic() - back[-1])
            if len(waits) == count:
                break
        more = _loose_ends()
    median = statistics.median(waits)
    print(
        f"stream: {gaps} gaps for {count} interruptions, a frame again {median:.2f} s (median) "
        f"after the server is back; files {files} to {more[0]}, threads {threads} to {more[1]}"
    )
    return gaps == count and median < 2 and more[0] <= files + 4 and more[1] <= threads + 2


def _loose_ends() -> tuple[int, int]:
    return len(os.listdir("/proc/self/fd")), threading.active_count()


# --- threads


def threads(folder: Path, chance: random.Random, count: int = 500) -> bool:
    """Let eight threads share a `Pose`, `count` images each."""
    images = _images(50)
    pose = Pose(runtime="onnxruntime")
    expected = [_bits(pose(image, color="bgr")) for image in images]
    orders = [[chance.randrange(len(images)) for _ in range(count)] for _ in range(8)]

    def same(order: list[int]) -> int:
        return sum(_bits(pose(images[number], color="bgr")) == expected[number] for number in order)

    with ThreadPoolExecutor(8) as pool:
        equal = sum(pool.map(same, orders))
    print(f"threads: {equal} of {8 * count} results of eight threads are those of one, bit by bit")
    return equal == 8 * count


def _bits(result: Result | list[Result]) -> bytes:
    assert isinstance(result, Result)
    return result.keypoints.tobytes() + result.scores.tobytes() + result.boxes.tobytes()


# --- places


def places(folder: Path, chance: random.Random) -> bool:
    """Predict images under odd names and in odd environments; compare their rows."""
    data = cv2.imencode(".png", _images(1)[0])[1].tobytes()
    long = "/".join(["a folder with a long name"] * 14)
    names = [
        "plain.png",
        "a b.png",
        "läufer.png",
        "走る人.png",
        "العداء.png",
        "🏃‍♀️.png",
        "-x.png",
        "a'b\"c.png",
        "a%20b.png",
        "a#b?.png",
        "..a.png",
        f"{'x' * 240}.png",
        "a\nb.png",
        f"{long}/a.png",
    ]
    for name in names:
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / name).write_bytes(data)
    settings: dict[str, dict[str, str | None]] = {
        "as it is": {},
        "no HOME": {"HOME": None},
        "no DISPLAY": {"DISPLAY": None},
        "HOME that is not there": {"HOME": "/nonexistent"},
        "LC_ALL=C": {"LC_ALL": "C"},
        "cp1252": {"PYTHONIOENCODING": "cp1252"},
        "no TMPDIR": {"TMPDIR": "/nonexistent"},
    }
    whole = 0
    for number, changes in enumerate(settings.values()):
        found = _people(
            [folder / "in", folder / "in" / names[-1]], folder / f"out{number}", changes
        )
        whole += len(found) == len(names) and len(set(found)) == 1 and found[0] > 0
    print(
        f"places: {whole} of {len(settings)} environments give {len(names)} of {len(names)} names"
    )
    return whole == len(settings)


def _people(sources: list[Path], out: Path, changes: dict[str, str | None]) -> list[int]:
    """Return the number of people in each image."""
    merged = {**os.environ, **changes}
    environment = {key: value for key, value in merged.items() if value is not None}
    code = subprocess.run(
        [
            sys.executable,
            "-m",
            "posewright",
            "predict",
            *sources,
            "-o",
            out,
            "--save",
            "jsonl,images,openpose",
        ],
        env=environment,
        check=False,
        capture_output=True,
    ).returncode
    if code or not (out / "poses.jsonl").exists():
        return []
    rows = [json.loads(line) for line in (out / "poses.jsonl").read_text("utf-8").splitlines()]
    return [len(row["people"]) for row in rows if "people" in row]


PARTS: dict[str, Callable[[Path, random.Random], bool]] = {
    f.__name__: f for f in (overflow, playlists, stream, threads, places)
}


if __name__ == "__main__":
    sys.exit(main())
