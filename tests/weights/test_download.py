"""Downloads against a server that cuts, corrupts, stalls and lies."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from posewright.errors import ModelError, OutputError, UsageError
from posewright.weights.download import DownloadError, cache_folder, download, sha256
from posewright.weights.published import find_published, published

BODY = bytes(range(256)) * 8000  # 2 MB
SHA = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Counts requests; `cut` bytes are sent before the connection closes."""

    daemon_threads = True
    cut = len(BODY)
    ranges = True
    stalls = 0
    status = 200
    body = BODY
    kind = "application/octet-stream"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.starts: list[int] = []
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/net-0123.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range")
        start = int(asked[6:-1]) if asked and server.ranges else 0
        server.starts.append(start)
        if server.stalls:
            server.stalls -= 1
            server.release.wait(10)
            return
        if start >= len(server.body):
            self.send_error(416)
            return
        self.send_response(206 if start else server.status)
        self.send_header("Content-Type", server.kind)
        self.send_header("Content-Length", str(len(server.body) - start))
        self.end_headers()
        self.wfile.write(server.body[start : start + server.cut])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.release.set()
    made.shutdown()
    made.server_close()
    thread.join()


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_whole_file_comes_once(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "net.pth"
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        download(server.url, path, SHA[:8], progress=lambda at, of: seen.append((at, of)))
    assert path.read_bytes() == BODY and sha256(path) == SHA
    assert server.starts == [0] and seen[-1] == (len(BODY), len(BODY))
    assert leftovers(path.parent) == ["net.pth", "net.pth.receipt.json"]


def test_cut_connections_continue_where_they_stopped(server: Server, tmp_path: Path) -> None:
    server.cut = 700_000
    download(server.url, tmp_path / "net.pth", SHA, pause=0)
    assert (tmp_path / "net.pth").read_bytes() == BODY
    assert server.starts == [0, 700_000, 1_400_000]


def test_a_server_without_ranges_is_asked_again_from_the_start(
    server: Server, tmp_path: Path
) -> None:
    server.ranges = False
    (tmp_path / "net.pth.part").write_bytes(b"old rubbish")
    download(server.url, tmp_path / "net.pth", SHA)
    assert (tmp_path / "net.pth").read_bytes() == BODY


def test_a_later_run_continues(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    (tmp_path / "net.pth.part").write_bytes(BODY[:1000])
    download(server.url, path, SHA)
    assert server.starts == [1000] and path.read_bytes() == BODY


def test_a_killed_download_is_continued_at_once(server: Server, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from posewright.weights import download\n"
        "def kill(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        "download.download(sys.argv[1], Path(sys.argv[2]), '', progress=kill)"
    )
    path = tmp_path / "net.pth"
    done = subprocess.run([sys.executable, "-c", script, server.url, str(path)])
    assert done.returncode == -signal.SIGKILL
    assert leftovers(tmp_path) == [".net.pth.downloading", "net.pth.part"]
    download(server.url, path, SHA)
    assert path.read_bytes() == BODY
    assert leftovers(tmp_path) == ["net.pth", "net.pth.receipt.json"]


def test_a_part_that_is_too_long_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.pth.part").write_bytes(BODY + b"more")
    download(server.url, tmp_path / "net.pth", SHA, pause=0)
    assert (tmp_path / "net.pth").read_bytes() == BODY


def test_a_stalled_connection_is_given_up_and_tried_again(server: Server, tmp_path: Path) -> None:
    server.stalls = 2
    download(server.url, tmp_path / "net.pth", SHA, timeout=0.2, pause=0)
    assert len(server.starts) == 3
    server.stalls = 9
    with pytest.raises(DownloadError, match=r"timed out.*; try again"):
        download(server.url, tmp_path / "b.pth", SHA, timeout=0.1, pause=0, attempts=2)


def test_a_corrupt_file_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.body = b"x" + BODY[1:]
    with pytest.raises(ModelError, match=f"published one is {SHA[:8]}; not kept"):
        download(server.url, tmp_path / "net.pth", SHA[:8])
    assert leftovers(tmp_path) == []


def test_errors_of_the_server_are_said(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DownloadError, match="404"):
        download(server.url, tmp_path / "net.pth", SHA)
    server.status = 503
    with pytest.raises(DownloadError, match="503"):
        download(server.url, tmp_path / "net.pth", SHA, attempts=2, pause=0)
    server.status, server.kind = 200, "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="sent a web page"):
        download(server.url, tmp_path / "net.pth", SHA)
    with pytest.raises(DownloadError, match="refused"):
        download("http://127.0.0.1:9/a", tmp_path / "net.pth", SHA, attempts=1)


def test_offline_and_foreign_protocols(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.pth"
    with pytest.raises(UsageError, match="offline"):
        download(server.url, path, SHA, offline=True)
    monkeypatch.setenv("POSEWRIGHT_OFFLINE", "1")
    with pytest.raises(UsageError, match="offline"):
        download(server.url, path, SHA)
    path.write_bytes(BODY)
    assert download(server.url, path, SHA) == path
    monkeypatch.delenv("POSEWRIGHT_OFFLINE")
    with pytest.raises(UsageError, match="only http"):
        download("file:///etc/passwd", tmp_path / "x", SHA)
    assert server.starts == []


def test_two_at_once_fetch_once(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    threads = [threading.Thread(target=download, args=(server.url, path, SHA)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.starts == [0] and path.read_bytes() == BODY
    assert leftovers(tmp_path) == ["net.pth", "net.pth.receipt.json"]


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        download(server.url, tmp_path / "file" / "net.pth", SHA)


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSEWRIGHT_HOME", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("POSEWRIGHT_HOME")
    assert cache_folder().name == "posewright"


def test_every_entry_is_complete() -> None:
    entries = published()
    assert len(entries) > 100
    for entry in entries.values():
        assert entry.url.startswith("http") and entry.licence and entry.data
        assert len(entry.sha) == 8 or entry.licence != "Apache-2.0"
    assert find_published("hrnet_w32-coco-256x192").score == "AP .749"
    with pytest.raises(UsageError, match="did you mean 'hrnet_w32-coco-256x192'"):
        find_published("hrnet_w32-coco-256x19")
