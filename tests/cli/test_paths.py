"""Names that no file can have, wherever the command line takes one: one line, never a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from posewright.cli import main
from posewright.errors import UsageError
from posewright.sources import open_source

LONG = "a" * 300


@pytest.mark.parametrize(
    "words",
    [
        ["predict", LONG],
        ["predict", f"{LONG}.jpg"],
        ["predict", "x.jpg", "-m", LONG],
        ["predict", "x.jpg", "-d", f"{LONG}.onnx"],
        ["predict", "x.jpg", "-o", LONG],
        ["track", LONG],
        ["models", "info", LONG],
        ["models", "convert", LONG, "--as", "hrnet"],
        ["models", "path", "hrnet_w32-coco-256x192"],
        ["models", "verify", "hrnet_w32-coco-256x192"],
        ["models", "pull", "hrnet_w32-coco-256x192"],
        ["export", f"{LONG}.safetensors"],
        ["compare", LONG, "--data", LONG],
        ["compare", "movenet-thunder", "--data", LONG],
        ["eval", "coco", "--ann", LONG, "-m", "movenet-thunder"],
        ["data", "check", LONG],
        ["demo", "-o", LONG],
    ],
    ids=" ".join,
)
def test_a_name_that_is_too_long_is_one_line(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POSEWRIGHT_HOME", str(tmp_path / LONG))
    monkeypatch.setenv("POSEWRIGHT_OFFLINE", "0")
    monkeypatch.setenv("POSEWRIGHT_MIRROR", "")
    assert main(words) in (2, 3, 4)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and said.startswith("posewright: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["http://[::1/a.jpg", "https://[x]/a", "rtsp://[/live"])
def test_an_address_with_wrong_brackets_is_one_line(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="not a valid address"):
        open_source(address)
    assert main(["predict", address]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and re.search("not a valid address", said)
