"""Folders of files that are being written: gone with a dead writer, never with a living one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from posewright.files.lock import FolderLock
from posewright.files.scratch import remove_abandoned, replacing, scratch

KILLED = """
import os, signal, sys
from pathlib import Path
from posewright.files.scratch import replacing
with replacing(Path(sys.argv[1])) as part:
    part.write_bytes(b"half")
    part.with_name(".tmpAbC123").write_bytes(b"what safetensors writes first")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(path: Path) -> None:
    """Write `path` in a process that is killed meanwhile."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)])
    assert done.returncode == -signal.SIGKILL


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    killed(path)
    killed(path)
    killed(tmp_path / "other.onnx")
    assert not path.exists() and len(names(tmp_path)) == 2  # the second removed the first
    with replacing(path) as part:
        part.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    (other,) = set(names(tmp_path)) - {"net.safetensors"}
    assert other.startswith(".other.onnx.writing-")  # its own next writer will
    remove_abandoned(tmp_path)
    assert names(tmp_path) == ["net.safetensors"]


def test_nothing_of_a_living_writer_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "net.xml"
    with scratch(path) as mine:
        (mine / "part").write_bytes(b"in hand")
        with replacing(path) as part:
            part.write_bytes(b"first")
        remove_abandoned(tmp_path)
        assert (mine / "part").read_bytes() == b"in hand" and path.read_bytes() == b"first"
    assert names(tmp_path) == ["net.xml"]


def test_what_only_looks_like_it_stays(tmp_path: Path) -> None:
    (tmp_path / ".net.writing-1234").mkdir()
    (tmp_path / ".net.writing-0123abcd").write_text("a file")
    (tmp_path / "net.writing-0123abcd").mkdir()
    before = names(tmp_path)
    remove_abandoned(tmp_path)
    assert names(tmp_path) == before


def test_an_error_leaves_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError), replacing(path) as part:
        part.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"before" and names(tmp_path) == ["log.csv"]


def test_a_file_may_be_read_by_whom_others_may(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with replacing(tmp_path / "net") as part:
        part.unlink()
        part.touch(0o600)
    assert (tmp_path / "net").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_lock_taken_before_the_writer_is_no_abandoned_folder(tmp_path: Path) -> None:
    folder = tmp_path / ".net.writing-0123abcd"
    folder.mkdir()
    lock = FolderLock(folder)
    with replacing(tmp_path / "net") as part:
        part.write_bytes(b"x")
    assert folder.is_dir()
    lock.release()
    remove_abandoned(tmp_path)
    assert names(tmp_path) == ["net"]
