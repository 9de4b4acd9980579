"""Receipts of downloads, and `models pull`, `verify` and `path`, which go by them."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from posewright.cli import main
from posewright.errors import ModelError
from posewright.weights.download import download
from posewright.weights.published import Published, published
from posewright.weights.receipt import compare, read_receipt, receipt_path
from tests.helpers.faulty_server import FaultyServer, serving, whole

BODY = bytes(range(256)) * 40
SHA = hashlib.sha256(BODY).hexdigest()
OTHER = b"another file"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with serving(lambda asked: [whole(BODY, asked)]) as made:
        yield made


def test_the_first_download_records_the_whole_sum(server: FaultyServer, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    download(server.url, path, SHA[:8].upper())
    told = read_receipt(path)
    assert told is not None and (told.url, told.sha256, told.size) == (server.url, SHA, len(BODY))
    assert told.date.endswith("+00:00") and compare(path, SHA[:8]) == SHA


def test_a_file_that_has_changed_is_not_used(server: FaultyServer, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    for sha in (SHA[:8], ""):
        download(server.url, path, sha)
        path.write_bytes(OTHER)
        for _ in range(2):  # it is not taken for the right one at the second try
            with pytest.raises(ModelError, match=rf"has changed since .* was {SHA}; remove") as no:
                download(server.url, path, sha, offline=True)
            assert "\n" not in str(no.value)
        path.unlink()
    assert len(server.asked) == 2


def test_another_file_of_the_same_first_digits_is_not_kept(tmp_path: Path) -> None:
    """The sums of any two files begin with the same no digits."""
    path = tmp_path / "net.pth"
    body = BODY
    with serving(lambda asked: [whole(body, asked)]) as server:
        download(server.url, path, "")
        path.unlink()
        body = OTHER
        with pytest.raises(ModelError, match=rf"was {SHA} on .*; not kept. Remove .*receipt.json"):
            download(server.url, path, "", pause=0)
        assert not path.exists()
        receipt_path(path).unlink()
        download(server.url, path, "")
    assert path.read_bytes() == OTHER


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 9000,
        b'{"url": 1}',
        b"\xff\xfe",
        b"{}" * 9000,
        json.dumps({"url": "u", "size": 1, "sha256": "abc", "date": "d"}).encode(),
        json.dumps({"url": "u", "size": "1", "sha256": SHA, "date": "d"}).encode(),
        json.dumps({"url": None, "size": 1, "sha256": SHA, "date": "d"}).encode(),
        json.dumps({"url": "u", "size": True, "sha256": SHA, "date": "d"}).encode(),
        None,
    ],
)
def test_a_damaged_receipt_is_none_and_is_written_again(tmp_path: Path, text: bytes | None) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(BODY)
    if text is not None:
        receipt_path(path).write_bytes(text)
    assert read_receipt(path) is None and compare(path, SHA[:8]) == SHA
    with pytest.raises(ModelError, match="published one begins with 00000000"):
        download("https://h/net.pth", path, "00000000")
    assert read_receipt(path) is None
    download("https://h/net.pth?token=x", path, SHA[:8])
    told = read_receipt(path)
    assert told is not None and told.sha256 == SHA and told.url == "https://h/net.pth?token=***"


def test_a_receipt_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(BODY)
    receipt_path(path).mkdir()
    assert download("https://h/net.pth", path, SHA) == path and read_receipt(path) is None
    with pytest.raises(ModelError, match="cannot be read"):
        compare(tmp_path)


# --- the command line ----------------------------------------------------------------------------


@pytest.fixture
def entry(server: FaultyServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Published:
    """An entry of the registry whose file the server has; its conversion copies the file."""
    made = Published(
        "net-coco",
        server.url + "?token=T0KEN",
        SHA[:8],
        "hrnet",
        "hrnet_w32",
        {},
        "MIT",
        "coco",
        "AP 1",
    )
    monkeypatch.setenv("POSEWRIGHT_HOME", str(tmp_path))
    monkeypatch.setattr("posewright.weights.published.published", lambda: {made.name: made})
    conversion: Any = ModuleType("conversion")  # the true one imports torch
    conversion.convert_as = lambda entry, target: target.write_bytes(entry.path.read_bytes())
    monkeypatch.setitem(sys.modules, "posewright.checkpoints.conversion", conversion)
    return made


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Return the exit code of `models`, and what it prints in one."""
    code = main(["models", *words])
    said = capsys.readouterr()
    assert code != 1 and "T0KEN" not in said.err + said.out
    return code, said.out + said.err


def test_pull_verify_and_path(
    entry: Published, server: FaultyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("verify", "path"):  # as every file that is named and not there
        code, said = run(capsys, verb, entry.name)
        assert code == 4 and "models pull net-coco" in said
    assert run(capsys, "pull", entry.name, "--json")[0] == 0
    code, said = run(capsys, "verify", entry.name, "--json")
    told = json.loads(said)
    assert code == 0 and told["sha256"] == SHA and told["receipt"].endswith("+00:00")
    assert run(capsys, "path", entry.name) == (0, f"{entry.converted}\n")
    receipt_path(entry.path).unlink()
    code, said = run(capsys, "verify", entry.name)
    assert code == 0 and "no receipt" in said
    assert run(capsys, "pull", entry.name)[0] == 0 and len(server.asked) == 1
    assert "no receipt" not in run(capsys, "verify", entry.name)[1]


@pytest.mark.parametrize("which", ["path", "converted"])
def test_a_change_ends_pull_and_verify_with_4(
    entry: Published, capsys: pytest.CaptureFixture[str], which: str
) -> None:
    assert run(capsys, "pull", entry.name)[0] == 0
    changed: Path = getattr(entry, which)
    changed.write_bytes(OTHER)
    for verb in ("verify", "pull"):
        code, said = run(capsys, verb, entry.name)
        assert code == 4 and f"{changed} has changed since" in said and said.count("\n") == 1
    changed.unlink()
    assert run(capsys, "pull", entry.name)[0] == run(capsys, "verify", entry.name)[0] == 0


def test_plain_http_and_mirrors_are_asked_for(
    entry: Published,
    server: FaultyServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    far = Published(**{**vars(entry), "url": "http://mirror.invalid/net.pth"})
    monkeypatch.setattr("posewright.weights.published.published", lambda: {far.name: far})
    code, said = run(capsys, "pull", far.name)
    assert code == 2 and "--allow-http" in said and said.count("\n") == 1
    monkeypatch.setenv("POSEWRIGHT_MIRROR", server.url.rpartition("/")[0] + "/")
    assert run(capsys, "pull", far.name, "--allow-http")[0] == 0
    assert [asked.path for asked in server.asked] == ["/net.pth"]


def test_no_two_entries_share_a_file() -> None:
    """Several authors call theirs last.pt."""
    entries = published().values()
    paths = {entry.path for entry in entries} | {entry.converted for entry in entries}
    assert len(paths) == 2 * len(entries)
