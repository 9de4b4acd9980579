"""Writers when the disk does not play along: full, too small, read-only; and memory."""

from __future__ import annotations

import signal
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from posewright.errors import OutputError
from posewright.files.part import PartFile
from posewright.results import Result
from posewright.writers import WRITERS, create_writer
from tests.helpers.disks import mounted
from tests.helpers.results import TEXT, people, result, write


def noise(frame: int) -> Result:
    image = np.random.default_rng(frame).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    return result(people(8, frame), frame=frame, image=image)


@pytest.mark.parametrize("name", WRITERS)
def test_full_disk(name: str, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=160k") as disk:
        writer = create_writer(name, disk)
        with pytest.raises(
            OutputError, match=r"(disk is full|reached the disk).*(-o|output path)"
        ) as caught:
            for frame in range(3000):
                writer.write(noise(frame % 5).replace(frame=frame, time=frame / 25))
            writer.close()
        assert "\n" not in str(caught.value)
        assert list(disk.iterdir()) == []
        with pytest.raises(OutputError):  # a writer that failed stays failed
            for frame in range(3000, 3600):
                writer.write(noise(frame % 5).replace(frame=frame, time=frame / 25))
        writer.abort()
        assert list(disk.iterdir()) == []


@pytest.mark.parametrize("name", WRITERS)
def test_file_size_limit(name: str, tmp_path: Path) -> None:
    """The same without root: no file may grow beyond a few kB."""
    resource = pytest.importorskip("resource")  # not on Windows
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = create_writer(name, tmp_path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, old[1]))
        with pytest.raises(OutputError, match="cannot write"):
            for frame in range(3000):
                writer.write(noise(frame % 5).replace(frame=frame, time=frame / 25))
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITERS)
def test_read_only_folder(name: str, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "ro,size=64k") as disk:
        with pytest.raises(OutputError, match="read-only; choose another output path"):
            write(name, disk / "out", [result()])


@pytest.mark.parametrize("name", WRITERS)
def test_folder_that_is_a_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="-o"):
        write(name, tmp_path / "out", [result()])
    assert (tmp_path / "out").read_text() == "mine"


def test_a_file_that_cannot_be_begun(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the path is too long"):
        PartFile(tmp_path / f"{'x' * 245}.csv", overwrite=False)  # the temporary name is longer
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [*TEXT, "parquet"])
def test_memory_does_not_grow_with_the_frames(name: str, tmp_path: Path) -> None:
    writer = create_writer(name, tmp_path)
    one = result(people(1), image=None)
    for frame in range(100):
        writer.write(one.replace(frame=frame))
    tracemalloc.start()
    for frame in range(100, 5100 if name == "jsonl" else 1100):
        writer.write(one.replace(frame=frame))
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    writer.close()
    assert grown < (12_000_000 if name == "parquet" else 200_000)
