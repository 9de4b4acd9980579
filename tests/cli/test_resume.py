"""`predict --resume` after SIGKILL, with the embedded networks: the bytes of an undisturbed run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from posewright.writers.journal import JOURNAL
from tests.helpers.runs import predict

DYING = """
import os, sys
from posewright.cli import main
from posewright.writers.journal import Journal

add, left = Journal.add, int(sys.argv[1])

def add_or_die(self, *window):
    global left
    add(self, *window)
    left -= 1
    if not left:
        os.kill(os.getpid(), 9)

Journal.add = add_or_die
sys.exit(main(sys.argv[2:]))
"""
SAVE = ["--save", "coco,alphapose,openpose,csv,parquet,jsonl,images,video"]
OPTIONS = {
    "plain": [],
    "tracked": ["--track", "--det-every", "3", "--smooth", "kalman"],
    "whole": ["--track", "--smooth", "savgol"],
}


def content(out: Path) -> dict[str, bytes]:
    files = (path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clip_frames: list[np.ndarray]) -> Path:
    """Six images of people who walk."""
    path = tmp_path_factory.mktemp("walk")
    for number, image in enumerate(clip_frames[:6]):
        cv2.imwrite(str(path / f"{number}.jpg"), image[::2, ::2, ::-1])
    return path


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_killed_again_and_again(options: list[str], folder: Path, tmp_path: Path) -> None:
    save = SAVE if "savgol" not in options else ["--save", "jsonl,csv"]
    command = [str(folder), *save, *options, "--progress", "none"]
    assert predict(tmp_path / "whole", *command[:-2]) == 0
    out = tmp_path / "out"
    for turn in range(2):
        again = ["--resume"] if turn else []
        argv = ["predict", *command, "-o", str(out), *again]
        done = subprocess.run([sys.executable, "-c", DYING, "2", *argv], capture_output=True)
        assert done.returncode == -9
        assert (out / JOURNAL).read_bytes().count(b"\n") == 2 + 2 * (turn + 1)
    assert predict(out, *command[:-2], "--resume") == 0
    assert content(out) == content(tmp_path / "whole")


def test_a_run_without_either_option_names_both(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["predict", str(folder), "-o", str(tmp_path), "--save", "jsonl", "--progress", "none"]
    subprocess.run([sys.executable, "-c", DYING, "2", *argv], capture_output=True)
    assert predict(tmp_path, folder, "--save", "jsonl") == 4
    err = capsys.readouterr().err
    assert "--resume" in err and "--overwrite" in err and err.count("\n") == 1
    assert predict(tmp_path, folder, "--save", "jsonl", "--overwrite", "--resume") == 2
    assert predict(tmp_path, folder, "--save", "jsonl", "--resume", "--flip") == 2
    assert "--flip (flip=) was off and is on" in capsys.readouterr().err
    assert predict(tmp_path, folder, "--save", "jsonl", "--overwrite") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["poses.jsonl"]


def test_a_camera_cannot_be_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(tmp_path / "out", "camera:7", "--resume") == 2
    assert "camera:7 cannot be read again" in capsys.readouterr().err
