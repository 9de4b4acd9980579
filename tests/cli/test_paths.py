"""Names that no file can have, wherever the command line takes one: one line, never a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from posewright.cli import VERBS, main
from posewright.errors import UsageError
from posewright.files.part import reserve
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


ADDRESSED = [
    ["predict", "x.jpg", "-o"],
    ["demo", "-o"],
    ["track", "x.jsonl", "-o"],
    ["view", "x.jsonl", "--images", ".", "-o"],
    ["measure", "x.jsonl", "-o"],
    ["refine", "x.jsonl", "--images", ".", "-m", "x.onnx", "-o"],
    ["train", "x.json", "-m", "hrnet_w32", "-o"],
    ["eval", "coco", "--ann", "x.json", "-m", "movenet-thunder", "-o"],
    ["eval", "coco", "--ann", "x.json", "-m", "movenet-thunder", "--report"],
    ["compare", "movenet-thunder", "--data", "x.json", "-o"],
    ["study", "x.toml", "-o"],
    ["export", "hrnet_w32", "-o"],
    ["fit", "nms", "x.json", "--detections", "x.json", "-o"],
    ["fit", "boxes", "x.json", "--jitter", "0.1", "-o"],
    ["data", "view", "x.json", "-o"],
    ["data", "convert", "x.json"],
    ["data", "convert", "x.json", "--output"],
    ["models", "convert", "x.pth", "--as", "hrnet", "-o"],
    ["models", "pull", "rtmpose-m", "--to"],
    ["models", "list", "--home"],
]


@pytest.mark.parametrize("address", ["https://example.org/out", "s3://bucket/out.json"])
@pytest.mark.parametrize("words", ADDRESSED, ids=" ".join)
def test_an_output_on_the_network_is_refused(
    words: list[str],
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, address]) == 2
    told = capsys.readouterr().err
    assert "is a network address, and results are written to the disk" in told
    assert told.count("\n") == 1 and not list(tmp_path.iterdir())


def test_an_output_with_a_colon_is_a_path(tmp_path: Path) -> None:
    for path in (tmp_path / "run: 1" / "x.json", tmp_path / "12:30:00.json"):
        reserve(path, overwrite=False)
        assert path.parent.is_dir()
    with pytest.raises(UsageError, match="network address"):
        reserve(Path("gs://bucket/x.json"), overwrite=True)


def test_every_option_for_an_output_is_among_them(capsys: pytest.CaptureFixture[str]) -> None:
    """A new verb with -o needs a line above."""
    verbs = {words[0] for words in ADDRESSED}
    for name in VERBS:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        told = capsys.readouterr().out
        assert name in verbs or "--out " not in told
