"""What libraries of C write to stderr: nothing where a command runs, all of it elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.images import encoded, put, scene

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its shells differ")

THREADS = """
import os, sys, threading, time
from posewright.files.stderr import own_stderr, quiet

def decode():
    for _ in range(200):
        with quiet():
            os.write(2, b"libpng warning\\n")

with own_stderr():
    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(500):
        print(f"line {number}", file=sys.stderr)
    for thread in threads:
        thread.join()
    os.write(2, b"outside of them\\n")
with quiet():
    os.write(2, b"in a program of somebody else\\n")
"""


def stderr_of(*words: object, cwd: Path | None = None, code: int = 0) -> list[str]:
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, cwd=cwd
    )
    assert done.returncode == code, done.stderr
    return done.stderr.splitlines()


def test_own_messages_arrive_while_others_are_turned_away() -> None:
    lines = stderr_of("-c", THREADS)
    assert lines[:500] == [f"line {number}" for number in range(500)]
    assert lines[500:] == ["outside of them", "in a program of somebody else"]


def test_each_bad_image_is_one_line(tmp_path: Path) -> None:
    cut = encoded("JPEG", scene(200, 200))[:-400] + b"\xff\xd9"
    png, tiff = bytearray(encoded("PNG")), bytearray(encoded("TIFF", compression="tiff_lzw"))
    png[45] ^= 1
    tiff[-60] ^= 0xFF
    for name, data in (("a.jpg", cut), ("b.png", png), ("c.tif", tiff), ("d.png", encoded("PNG"))):
        put(tmp_path / "in" / name, bytes(data))
    command = ["-m", "posewright", "predict", "in", "-o", "out", "--save", "csv"]
    lines = stderr_of(*command, "--progress", "none", cwd=tmp_path, code=3)
    bad = [line for line in lines if not line.startswith("note: no person was found")]
    assert [line.partition(": ")[0] for line in bad] == ["posewright"] * 3, lines


def test_nothing_is_said_to_a_reader_that_went_away() -> None:
    script = (
        "import os, sys; from posewright.cli import main; r, w = os.pipe(); os.close(r); "
        "os.dup2(w, 1); sys.exit(main(['models', 'list']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode in (4, 120) and "Traceback" not in done.stderr


@pytest.mark.parametrize("close", ["2>&-", "2>/dev/null"])
def test_a_stderr_that_is_not_there(close: str, tmp_path: Path) -> None:
    put(tmp_path / "a.jpg", encoded("JPEG"))
    words = f"{sys.executable} -m posewright predict a.jpg -o out --save csv {close}"
    done = subprocess.run(["sh", "-c", words], cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.returncode == 0 and (tmp_path / "out" / "poses.csv").is_file()
