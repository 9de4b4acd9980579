"""Files that are neither images nor videos: told by what they are, soon, whatever is in them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from posewright.errors import SourceError
from posewright.sources import open_source
from tests.helpers.images import encoded, only, put, scene
from tests.helpers.videos import write_video


def tarred(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("a.jpg")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return file.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "gzip, not packed": lambda data: gzip.compress(data, 0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "tar": tarred,
    "RAR": lambda data: b"Rar!\x1a\x07\x01\0" + data,
    "7z": lambda data: b"7z\xbc\xaf\x27\x1c\0\x04" + data,
    "PDF": lambda data: b"%PDF-1.7\n" + data,
    "HDF5": lambda data: b"\x89HDF\r\n\x1a\n" + data,
}


@pytest.mark.parametrize("how", PACKED)
@pytest.mark.parametrize("name", ["a.gz", "a", "a.mp4", "a.jpg"])
def test_a_packed_image_is_no_video(how: str, name: str, tmp_path: Path) -> None:
    image = encoded("JPEG", scene(400, 300))
    told = how.partition(",")[0]
    for data in (PACKED[how](image), PACKED[how](image * 20)):
        start = time.process_time()
        path = put(tmp_path / name, data)
        if name == "a.jpg":
            message = only(path).message
        else:
            with pytest.raises(SourceError) as caught:
                open_source(path)
            message = str(caught.value)
            with pytest.raises(SourceError, match=rf"{told}.*; "):
                open_source(data)
        assert told in message and "; " in message
        assert time.process_time() - start < 1


def test_a_packed_video_is_told(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", count=5)
    path = put(tmp_path / "b", gzip.compress((tmp_path / "a.mp4").read_bytes()))
    with pytest.raises(SourceError, match="packed by gzip; unpack it first"):
        open_source(path)


def test_an_image_behind_other_data_is_no_video(tmp_path: Path) -> None:
    film = encoded("JPEG", scene(400, 300)) * 5
    for name in ("a", "a.bin", "a.mp4"):
        with pytest.raises(SourceError):
            open_source(put(tmp_path / name, b"\0" * 30 + film))
    with open_source(put(tmp_path / "cut.mjpeg", film[300:])) as source:
        assert source.kind == "video" and sum(frame.status == "ok" for frame in source) == 4
