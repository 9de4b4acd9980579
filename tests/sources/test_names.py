"""Names that lead to no image: pipes, which never end, and names that the disk refuses."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from posewright.datasets.folders import copy_picture
from posewright.datasets.places import header_sizes
from posewright.errors import SourceError, UsageError
from posewright.files.names import is_picture
from posewright.sources import open_source
from posewright.sources.order import PICTURES, UNREAD
from posewright.sources.planning import picture_files
from posewright.sources.skipped import RAW
from tests.helpers.images import only, planned, put, scene, tiff


@pytest.fixture
def waiting_fails() -> Iterator[None]:
    """Whatever waits for a pipe is interrupted, not waited for."""

    def stop(*_: object) -> None:
        raise AssertionError("a pipe is waited for")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("suffix", [".mp4", ".jpg", ".txt", ".zip", ".tif", ""])
def test_nothing_waits_for_a_pipe(tmp_path: Path, suffix: str, waiting_fails: None) -> None:
    pipe = tmp_path / f"p{suffix}"
    os.mkfifo(pipe)
    picture = put(tmp_path / "a.tif", tiff([(scene(), {})]))
    assert planned(pipe) == ([pipe], [])
    assert picture_files(pipe) in ([], [str(pipe)])
    assert header_sizes(pipe) == ((0, 0), (0, 0))
    assert not copy_picture(pipe, tmp_path / "copy.jpg")
    try:
        with open_source(pipe) as source:
            assert [frame.status for frame in source] == ["decode_error"]
    except SourceError as error:
        assert "pipe" in str(error)
    for spec in (tmp_path, f"{tmp_path}/*", [pipe, picture]):
        with open_source(spec) as source:
            assert "ok" in [frame.status for frame in source]


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "ü" * 200 + ".jpg", "a.tif/b.jpg", "\0.jpg"])
def test_one_line_that_cannot_be_a_name_spoils_no_list(tmp_path: Path, name: str) -> None:
    put(tmp_path / "a.tif", tiff([(scene(), {})]))
    lines = f"#{5000 * ' '}\na.tif\n{name}\n"  # its first bytes tell that it is text
    (tmp_path / "list.txt").write_text(lines, encoding="utf-8")
    with open_source(tmp_path / "list.txt") as source:
        assert [frame.status for frame in source] == ["ok", "decode_error"]


def test_a_pattern_reads_each_picture_once(tmp_path: Path) -> None:
    for name in ("a.tif", "b/c/a.tif"):
        put(tmp_path / name, tiff([(scene(), {})]))
    with open_source(f"{tmp_path}/**/**/*.tif") as source:
        assert source.total == 2 and len(list(source)) == 2
    assert only(f"{tmp_path}/**/b/**/*.tif").status == "ok"


@pytest.mark.parametrize("live", ["camera:0", "7"])
def test_a_camera_as_a_path_is_live(live: str) -> None:
    with pytest.raises(UsageError, match=f"{live} is live"):
        planned(Path(live), "a.jpg")


@pytest.mark.parametrize("suffix", sorted(PICTURES | UNREAD | RAW | {".ppm", ".JPG"}))
def test_a_picture_that_cannot_be_read_is_named_as_a_picture(suffix: str) -> None:
    assert is_picture(f"in/a{suffix}")
    assert not is_picture(f"http://host/a{suffix}") and not is_picture("in/a.mp4")
