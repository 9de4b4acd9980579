"""Who may ask, from which page, and how much: Host, Origin, token, size; options of the verb."""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from posewright.cli import main
from posewright.cli.demo import CLIP
from tests.helpers.serving import OTHER, TOKEN, client, need_server, started

need_server()

from posewright.serve import Settings  # noqa: E402
from posewright.serve.settings import is_loopback, read_tokens  # noqa: E402
from posewright.serve.tokens import Tokens, secret_in  # noqa: E402


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_is_needed_where_there_are_tokens(tmp_path: Path) -> None:
    with client(tmp_path, tokens=(TOKEN, OTHER)) as served:
        for path in ("/healthz", "/readyz", "/docs"):
            assert served.get(path).status_code == 200
        for path in ("/metrics", "/v1/pose", "/openapi.json", "/nowhere"):
            for headers in ({}, bearer("wrong"), bearer(""), {"Authorization": f"Basic {TOKEN}"}):
                answer = served.get(path, headers=headers)
                assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert served.get("/metrics", headers=bearer(TOKEN)).status_code == 200
        assert served.get("/metrics", headers=bearer(OTHER)).status_code == 200
        twice = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")]
        assert served.get("/metrics", headers=twice).status_code == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "127.0.0.1:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "rebound.example"}, 421),
        ({"Host": "169.254.169.254"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
        ({"Host": "localhost", "Origin": "http://localhost:81"}, 403),
        ({"Host": "localhost", "Origin": "https://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
        ({"Host": "localhost", "Origin": "http://[bad"}, 403),
    ],
)
def test_host_and_origin(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    with client(tmp_path) as served:
        assert served.get("/healthz", headers=headers).status_code == status


def test_every_answer_forbids_scripts_and_guessing(tmp_path: Path) -> None:
    with client(tmp_path) as served:
        for path in ("/docs", "/nowhere", "/openapi.json"):
            headers = served.get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "script-src" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert "set-cookie" not in headers and "access-control-allow-origin" not in headers
        page = served.get("/docs").text
    assert "<script" not in page and "//" not in page.replace("<!doctype", "")
    assert "/v1/pose" in page


def test_tokens_are_never_told_apart_by_what_is_said(tmp_path: Path) -> None:
    tokens = Tokens((TOKEN, OTHER), b"k" * 32)
    assert tokens.owner(TOKEN) != tokens.owner(OTHER)
    assert tokens.owner(TOKEN[:-1]) is None and tokens.owner("é") is None
    assert Tokens((), b"k" * 32).owner("anything") == ""
    assert TOKEN not in (tokens.owner(TOKEN) or "")
    key = secret_in(tmp_path)
    assert secret_in(tmp_path) == key and len(key) == 32
    assert os.name != "posix" or (tmp_path / "secret").stat().st_mode & 0o77 == 0
    (tmp_path / "secret").write_bytes(b"cut")
    assert len(secret_in(tmp_path)) == 32


def test_a_signed_address_holds_for_its_path_and_minutes() -> None:
    tokens = Tokens((TOKEN,), b"k" * 32)
    path, owner = "/v1/jobs/1/files/a b.jpg", tokens.owner(TOKEN) or ""
    query = dict(
        part.split("=") for part in tokens.signed(path, owner, 1000.0).split("?")[1].split("&")
    )
    assert tokens.holder(path, query, 1000.0 + 60 * 14) == owner
    assert tokens.holder(path, query, 1000.0 + 60 * 16) is None
    assert tokens.holder(path + "x", query, 1000.0) is None
    for change in ({"owner": ""}, {"until": "99999999999"}, {"signature": "é"}, {"until": "1e9"}):
        assert tokens.holder(path, {**query, **change}, 1000.0) is None
    assert Tokens((TOKEN,), b"j" * 32).holder(path, query, 1000.0) is None


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_files_of_tokens(tmp_path: Path) -> None:
    file = write(tmp_path / "t", f"# ours\n{TOKEN}\n\n{OTHER}\n")
    assert read_tokens(file) == (TOKEN, OTHER)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("--host 0.0.0.0", 2, "--host 0.0.0.0 can be reached by others; add --token-file"),
        ("--host localhost.example", 2, "can be reached by others"),
        ("--token-file {d}/none", 3, "cannot read the tokens of"),
        ("--token-file {d}/open", 2, "can be read by others; run: chmod 600"),
        ("--token-file {d}/short", 2, "a token is 16 ASCII characters or more"),
        ("--token-file {d}/empty", 3, "holds no token"),
        ("--tls-cert {d}/short", 2, "--tls-cert and --tls-key go together"),
        ("--tls-cert {d}/short --tls-key {d}/short", 3, "as a certificate and its key"),
        ("--library {d}/none", 3, "is not a folder"),
        ("--root-path x", 2, "must begin with /"),
        ("--workers 0", 2, "workers must be above 0"),
        ("--max-mb nan", 2, "max_mb must be above 0"),
        ("--host 192.0.2.7 --token-file {d}/good", 2, "cannot listen on 192.0.2.7 port 8000"),
    ],
)
def test_options_that_cannot_be_are_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, code: int, told: str
) -> None:
    write(tmp_path / "open", TOKEN, 0o644)
    write(tmp_path / "short", "abc")
    write(tmp_path / "empty", "# nothing\n")
    write(tmp_path / "good", TOKEN)
    asked = words.format(d=tmp_path).split()
    assert main(["serve", "--data", str(tmp_path / "data"), "--threads", "1", *asked]) == code
    said = capsys.readouterr().err.strip().splitlines()
    assert told in said[-1] and len(said) == 1


def test_loopback_is_told_from_all_others() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "::1", "[::1]", "localhost", "127.9.9.9")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "", "example.org", "127.0.0.1.example.org")))
    assert Settings().host == "127.0.0.1"


def test_the_verb_prints_one_line_and_ends_with_the_signal(tmp_path: Path) -> None:
    import httpx2

    with started("--data", str(tmp_path / "data"), cwd=tmp_path) as (address, process):
        assert httpx2.get(f"{address}/healthz").json() == {"status": "ok"}
        fields = {"kind": "predict", "save": "jsonl", "threads": "1"}
        files = {"file": ("clip.mp4", CLIP.read_bytes())}
        job = httpx2.post(f"{address}/v1/jobs", files=files, data=fields).json()["id"]
        with httpx2.stream("GET", f"{address}/v1/jobs/{job}/events", timeout=60) as events:
            lines = events.iter_lines()
            while "running" not in next(lines):
                pass
            process.terminate()
            assert not any("failed" in line for line in lines)
        assert process.wait(60) == 143
    base = sqlite3.connect(tmp_path / "data" / "jobs.sqlite")
    assert base.execute("SELECT id, status FROM jobs").fetchall() == [(job, "queued")]  # parked
    base.close()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert not (tmp_path / "data" / ".posewright.lock").exists()


def test_a_proxy_shows_the_server_under_a_path(tmp_path: Path) -> None:
    """The proxy takes the path away; addresses in answers have it."""
    import httpx2

    words = ("--root-path", "/pose", "--data", str(tmp_path / "data"))
    with started(*words, cwd=tmp_path) as (address, _):
        assert httpx2.get(f"{address}/healthz").json() == {"status": "ok"}
        files = {"file": ("a.json", b"{}")}
        answer = httpx2.post(f"{address}/v1/jobs", files=files, data={"kind": "check"})
        assert answer.status_code == 202 and answer.headers["location"].startswith("/pose/v1/jobs/")
        assert httpx2.get(f"{address}/openapi.json").json()["servers"] == [{"url": "/pose"}]


def test_the_port_that_is_taken_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: Any = taken.getsockname()[1]
        words = ["serve", "--port", str(port), "--data", str(tmp_path / "d"), "--threads", "1"]
        assert main(words) == 2
    assert "choose another --host or --port" in capsys.readouterr().err
