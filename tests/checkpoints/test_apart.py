"""Reading a checkpoint in a process of its own: the same tensors, and limits that bind."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
import torch

from posewright.checkpoints import apart
from posewright.checkpoints.apart import Limits, read_apart
from posewright.checkpoints.files import read_checkpoint
from posewright.cli import main
from posewright.errors import ModelError, OutputError

MEGABYTE = 1 << 20
AMPLE = Limits(512 * MEGABYTE, 60, 300)


def zipped(path: Path, pickled: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + pickled + b".")
    return path


def only(folder: Path, *names: str) -> bool:
    return sorted(p.name for p in folder.iterdir()) == sorted(names)


def test_tensors_come_back_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from a folder whose files Python would take for its own modules."""
    here, out, mark = tmp_path / "here", tmp_path / "out", tmp_path / "mark"
    here.mkdir(), out.mkdir()
    for name in ("json", "torch", "safetensors", "posewright", "resource"):
        (here / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\nraise SystemExit(7)\n")
    monkeypatch.chdir(here)
    block = torch.arange(12.0).reshape(3, 4)
    state = {
        "tied": block,
        "tied too": block,
        "turned": block.t(),
        "half": block[1:, 2:].half(),
        "n": torch.tensor(7),
        "none": block[:0],
        "__metadata__": torch.ones(2, dtype=torch.uint8),
        "na\u00efve": block[0],
    }
    torch.save(state, "a.pth")
    found = read_apart(Path("a.pth"), out / "a.safetensors")
    expected = read_checkpoint(Path("a.pth"))
    assert list(found) == list(expected)
    assert all(torch.equal(found[k], v) and found[k].dtype == v.dtype for k, v in expected.items())
    assert found["tied"] is found["tied too"]
    assert not mark.exists() and only(out)


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of other systems differ")
def test_memory_is_limited(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(8 * MEGABYTE)}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match=r"a\.pth: reading it takes more than 32 MB") as caught:
        read_apart(tmp_path / "a.pth", tmp_path / "out", Limits(32 * MEGABYTE, 60, 300))
    assert "\n" not in str(caught.value) and only(tmp_path, "a.pth")
    assert len(read_apart(tmp_path / "a.pth", tmp_path / "out", AMPLE)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of other systems differ")
def test_the_processor_s_time_is_limited(tmp_path: Path) -> None:
    busy = zipped(tmp_path / "a.pth", b"N0" * 900_000 + b"}")
    with pytest.raises(ModelError, match="stopped: it takes more than 0 s of the processor"):
        read_apart(busy, tmp_path / "out", Limits(512 * MEGABYTE, 0, 300))
    assert only(tmp_path, "a.pth")


def test_the_time_by_the_clock_is_limited(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="stopped: it takes more than 0 s"):
        read_apart(tmp_path / "a.pth", tmp_path / "out", Limits(512 * MEGABYTE, 60, 0.01))
    assert only(tmp_path, "a.pth")


@pytest.mark.parametrize(
    ("code", "err", "words"),
    [
        (-getattr(signal, "SIGKILL", 9), "", "it ended by SIGKILL"),
        (-signal.SIGSEGV, "", "it ended by SIGSEGV"),
        (1, "Traceback ...\nRecursionError: too deep\n", "RecursionError: too deep"),
        (3, "", "it ended with 3"),
        (0, "", "it ended with 0"),
    ],
)
def test_a_process_that_dies_is_one_line(
    code: int,
    err: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def died(*args: object, **more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], code, "", err)

    monkeypatch.setattr(apart.subprocess, "run", died)
    torch.save({"a": torch.ones(3)}, tmp_path / "a.pth")
    assert main(["models", "convert", str(tmp_path / "a.pth"), "--as", "hrnet"]) == 4
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert only(tmp_path, "a.pth")


def test_a_hostile_file_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    zipped(Path("a.pth"), b"cos\nsystem\n(X\x0a\x00\x00\x00touch marktR")
    assert main(["models", "convert", "a.pth", "--as", "hrnet", "-o", "out.safetensors"]) == 4
    said = capsys.readouterr().err
    assert said.startswith("posewright: a.pth: contains no tensors") and said.count("\n") == 1
    assert only(tmp_path, "a.pth")


def test_what_needs_no_process_starts_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart.subprocess, "run", None)
    with pytest.raises(ModelError, match="no such file"):
        read_apart(tmp_path / "absent.pth", tmp_path / "out")
    torch.save({"a": torch.ones(3)}, tmp_path / "a.pth")
    with pytest.raises(OutputError, match="cannot be written"):
        read_apart(tmp_path / "a.pth", tmp_path / "absent" / "out")


@pytest.mark.parametrize("length", [0x80, 0x3C20], ids=["as a pickle", "as a page"])
def test_safetensors_may_begin_as_other_files(length: int, tmp_path: Path) -> None:
    """Their first 8 bytes are a length."""
    header = b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'.ljust(length)
    data = struct.pack("<Q2f", length, 1, 2)
    (tmp_path / "a.safetensors").write_bytes(data[:8] + header + data[8:])
    found = read_apart(tmp_path / "a.safetensors", tmp_path / "out")
    assert found["a"].tolist() == [1, 2]


def test_what_is_read_here_is_read_as_safetensors(tmp_path: Path) -> None:
    """A zip archive whose first bytes are such a length, too, must not reach the zip reader."""
    with (tmp_path / "a.pth").open("wb") as file:
        file.write(b"PK\x03\x04\0\0\0\0{")
        file.truncate((0x04034B50) + 100)
    with pytest.raises(ModelError, match="damaged safetensors"):
        read_apart(tmp_path / "a.pth", tmp_path / "out")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the process in /proc")
def test_a_signal_ends_the_process_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    busy = zipped(tmp_path / "a.pth", b"N0" * 900_000 + b"}")
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before, started = children.read_text().split(), []

    def stop() -> None:
        while not started and waiter.is_alive():
            started.extend(set(children.read_text().split()) - set(before))
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    waiter = threading.Thread(target=stop)
    waiter.start()
    code = main(["models", "convert", str(busy), "--as", "hrnet"])
    waiter.join()
    assert code == 143 and started and "stopped by SIGTERM" in capsys.readouterr().err
    assert not set(started) & set(children.read_text().split()) and only(tmp_path, "a.pth")


def test_the_process_does_not_import_torch(tmp_path: Path) -> None:
    """Which takes seconds: it would be imported twice in each conversion."""
    script = (
        "import sys; from pathlib import Path; "
        "from posewright.checkpoints.files import read_arrays; "
        "import posewright.checkpoints.apart; found = read_arrays(Path('a.pth')); "
        "assert 'torch' not in sys.modules and found['b'].dtype == 'float32', found"
    )
    state = {"a": torch.ones(3), "b": torch.tensor([1.5, -2, 3e38]).bfloat16()}
    torch.save(state, tmp_path / "a.pth")
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    found = read_apart(tmp_path / "a.pth", tmp_path / "out")
    assert all(torch.equal(found[name], value.float()) for name, value in state.items())
