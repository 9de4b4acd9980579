"""A server in this process, and one in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from posewright.cli.demo import CLIP

TOKEN, OTHER = "0123456789abcdef-one", "0123456789abcdef-two"


def need_server() -> None:
    """Skip where the extra `serve` is not installed."""
    pytest.importorskip("fastapi", reason="needs posewright[serve]")
    pytest.importorskip("httpx2", reason="needs httpx2")


@cache
def people(number: int = 0) -> bytes:
    """A JPEG of people: a frame of the demo's clip at a third of its size."""
    with av.open(str(CLIP)) as file:
        frames = [f for f, _ in zip(file.decode(video=0), range(number + 1), strict=False)]
        image = frames[number].to_ndarray(format="bgr24")
    small = cv2.resize(image, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", small)[1].tobytes())


@cache
def pose() -> Any:
    """The embedded networks on one thread."""
    from posewright.pose import Pose

    return Pose(threads=1, runtime="onnxruntime")


@contextmanager
def client(data: Path, **settings: Any) -> Iterator[Any]:
    """A client of a server in this process."""
    from starlette.testclient import TestClient

    from posewright.serve import Settings, create_app, holding

    with holding(data):
        app = create_app(pose(), Settings(data=data, **settings))
        with TestClient(app, base_url="http://localhost") as found:
            yield found


@contextmanager
def started(*words: str, cwd: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`posewright serve` on a free port: its address, and the process, which is ended."""
    command = [sys.executable, "-m", "posewright", "serve", "--port", "0", *words]
    alike = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--threads", "1", "--runtime", "onnxruntime"],
        cwd=cwd,
        env=alike,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("posewright serve: http"), line
        yield line.split(": ", 1)[1].strip(), process
    finally:
        process.kill()
        process.communicate()


def points(row: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The joints of a row, (N, K, 3)."""
    return np.array([person["keypoints"] for person in row["people"]], np.float32)
