"""Images on a server: one frame each, whatever their addresses look like."""

from __future__ import annotations

import base64
import http.server
import io
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError

import cv2
import numpy as np
import pytest
from PIL import Image

from posewright.cli import main
from posewright.errors import SourceError
from posewright.sources import fetched, open_source
from posewright.weights.transport import Pace
from tests.helpers.servers import serve, shots

IMAGE = np.full((40, 60, 3), 90, np.uint8)
HOSTILE = "token=hunter2&X-Amz-Signature=hunter3&key=hunter4"


def encoded(suffix: str) -> bytes:
    return cv2.imencode(suffix, IMAGE)[1].tobytes()


Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def answering(answers: dict[str, Answer]) -> Iterator[tuple[str, list[str]]]:
    """Serve answers by path -> the address and what was asked; None there closes without length."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers.get('Authorization', '')}")
            path = self.path.split("?")[0]
            code, headers, body = answers.get(path, (404, {}, b""))
            if path.startswith("/secret") and "Authorization" not in self.headers:
                code, headers, body = 401, {"WWW-Authenticate": 'Basic realm="cam"'}, b""
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def breaking(sent: bytes, stated: int, how: str) -> Iterator[str]:
    """Serve an image of which some bytes are sent before the connection ends."""
    line = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            peer, _ = line.accept()
            with peer, suppress(OSError):
                if not peer.recv(4000):  # of the test itself
                    return
                chunks = how == "chunks"
                size = "Transfer-Encoding: chunked" if chunks else f"Content-Length: {stated}"
                begin = b"%x\r\n" % stated if chunks else b""
                peer.sendall(f"HTTP/1.1 200 OK\r\n{size}\r\n\r\n".encode() + begin + sent)
                if how == "reset":
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{line.getsockname()[1]}"
    finally:
        socket.create_connection(line.getsockname()).close()
        thread.join()
        line.close()


def picture(suffix: str, kind: str = "", length: bool = True) -> Answer:
    body = encoded(suffix)
    headers = {"Content-Type": kind} if kind else {}
    return 200, headers | ({"Content-Length": str(len(body))} if length else {}), body


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif"])
@pytest.mark.parametrize(
    ("path", "kind", "length"),
    [("/a{}", "image/x", True), ("/shot", "application/octet-stream", True), ("/a{}", "", False)],
)
def test_a_picture_on_a_server_is_one_frame(
    suffix: str, path: str, kind: str, length: bool
) -> None:
    path = path.format(suffix)
    with answering({path: picture(suffix, kind, length)}) as (base, _):
        with open_source(f"{base}{path}?{HOSTILE}", retry_s=0) as source:
            assert (source.kind, source.total) == ("pictures", 1)
            [frame] = list(source)
    assert frame.status == "ok" and frame.size == (60, 40) and "hunter" not in frame.name
    assert abs(int(frame.image.mean()) - 90) < 3


def test_a_jpeg_is_turned_as_its_exif_says() -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(IMAGE).save(file, "JPEG", exif=exif)
    with answering({"/a": (200, {"Content-Type": "image/jpeg"}, file.getvalue())}) as (base, _):
        [frame] = open_source(f"{base}/a")
    assert frame.size == (40, 60)


def test_films_and_streams_stay_what_they_are() -> None:
    film = encoded(".jpg") * 5
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(film))}
    with answering({"/film": (200, headers, film)}) as (base, _):
        with open_source(f"{base}/film") as source:
            assert source.kind == "video" and len(list(source)) == 5
    with serve(shots(30)) as server, open_source(server.url) as source:
        assert source.kind == "stream"


def test_a_redirect_leads_to_the_web_alone() -> None:
    png = picture(".png", "image/png")
    answers: dict[str, Answer] = {
        "/b": png,
        "/a": (302, {"Location": "/b"}, b""),
        "/file": (302, {"Location": "file:///etc/hostname"}, b""),
        "/ftp": (302, {"Location": "ftp://127.0.0.1/a.png"}, b""),
        "/round": (302, {"Location": "/round"}, b""),
    }
    with answering(answers) as (base, _):
        [frame] = open_source(f"{base}/a")
        assert frame.status == "ok"
        for path in ("file", "ftp", "round"):
            with pytest.raises(SourceError):
                open_source(f"{base}/{path}")
            assert fetched.open_picture(f"{base}/{path}", "x", 100, 2.0, lambda: 0) is None


def test_no_redirect_leads_from_https_to_http() -> None:
    with answering({"/a.png": picture(".png")}) as (base, asked):
        with pytest.raises(URLError, match="unknown url type: http"):
            opener = fetched.opener_of(base.replace("http:", "https:"), Pace(2, 0, 2))
            opener.open(f"{base}/a.png", timeout=2)
    assert asked == []


def test_user_and_password_go_to_their_host_alone() -> None:
    with answering({"/secret.png": picture(".png")}) as (other, theirs):
        answers = {
            "/secret.png": picture(".png"),
            "/away": (302, {"Location": f"{other}/secret.png"}, b""),
        }
        with answering(answers) as (base, ours):
            address = base.replace("//", "//me:hunter2@")
            with open_source(f"{address}/secret.png") as source:
                [frame] = list(source)
            assert frame.status == "ok" and "hunter" not in frame.name + source.name
            fetched.open_picture(f"{address}/away", "x", 10**6, 2.0, lambda: 0)
    wanted = base64.b64encode(b"me:hunter2").decode()
    assert any(wanted in request for request in ours)
    assert theirs and not any(wanted in request for request in theirs)


def test_what_is_too_large_is_refused_before_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    body = encoded(".png")
    headers = {"Content-Type": "image/png", "Content-Length": str(1 << 40)}
    with answering({"/a.png": (200, headers, body), "/b.png": picture(".png")}) as (base, _):
        with pytest.raises(SourceError, match="1099511627776 bytes, more than"):
            open_source(f"{base}/a.png?{HOSTILE}")
        monkeypatch.setattr(fetched, "MOST_BYTES", 20)
        with pytest.raises(SourceError):
            open_source(f"{base}/b.png")
        monkeypatch.undo()
        [frame] = open_source(f"{base}/b.png", max_pixels=100)
    assert frame.status == "decode_error" and "more than the limit of 100" in frame.message


def test_a_picture_that_is_cut_off_says_so() -> None:
    code, headers, body = picture(".png", "image/png")
    with answering({"/a.png": (code, headers, body[:-9])}) as (base, _):
        start = time.monotonic()
        [frame] = open_source(f"{base}/a.png", retry_s=0)
    told = f"the connection broke after {len(body) - 9} of {len(body)} bytes; try again"
    assert frame.message == told and time.monotonic() - start < 60


@pytest.mark.parametrize("how", ["close", "reset", "chunks"])
@pytest.mark.parametrize("form", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("share", [0, 0.01, 0.6])
def test_a_connection_that_breaks_is_told_with_its_bytes(form: str, how: str, share: float) -> None:
    body = cv2.imencode(form, np.random.default_rng(1).integers(0, 255, (90, 90, 3), np.uint8))
    data = body[1].tobytes()
    sent = data[: int(len(data) * share)]
    with breaking(sent, len(data), how) as base:
        [frame] = open_source(f"{base}/a{form}?{HOSTILE}", retry_s=0)
    of = "" if how == "chunks" else f" of {len(data)}"
    assert frame.status == "decode_error" and "hunter" not in frame.name
    # a reset may overtake what was sent
    count = r"\d+" if how == "reset" else str(len(sent))
    assert re.fullmatch(f"the connection broke after {count}{of} bytes; try again", frame.message)


@pytest.mark.parametrize("headers", [True, False])
def test_a_server_that_sends_a_byte_now_and_then_is_left(
    headers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its headers as of the image: each byte would be waited for anew."""
    png = encoded(".png")
    begin = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
    sent = begin + b"X: " if headers else begin + b"\r\n" + png[:-50]
    left = threading.Event()
    monkeypatch.setattr(fetched, "LONGEST", 0.4)

    def answer(line: socket.socket) -> None:
        with line:
            line.recv(4096)
            line.sendall(sent)
            try:
                for _ in range(1000):
                    line.sendall(b"a")
                    time.sleep(0.02)
            except OSError:
                left.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: answer(server.accept()[0]), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.png"
        assert fetched.open_picture(url, "x", 10**6, 0.4, lambda: 0) is None
    assert left.wait(10)


def test_no_output_of_a_picture_shows_secrets(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    kinds = "coco,alphapose,openpose,csv,jsonl,images,video"
    answers = {"/album/a.jpg": picture(".jpg"), "/b.png": picture(".png", "image/png")}
    with answering(answers) as (base, _):
        own = base.replace("//", "//me:hunter1@")
        words = [f"{own}/album/a.jpg?{HOSTILE}", f"{base}/b.png?{HOSTILE}", f"{own}/no?{HOSTILE}"]
        code = main(
            [
                "predict",
                *words,
                "-o",
                str(tmp_path),
                "--save",
                kinds,
                "--progress",
                "json",
                "--min-score",
                "0",
                "--json",
                "-d",
                "whole-image",
            ]
        )
    out, err = capfd.readouterr()
    said = out + err
    assert code == 3 and json.loads(out)["frames"] == 2
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == ["a.jpg", "b.png"]
    for path in tmp_path.rglob("*"):
        said += path.name + (path.read_bytes().decode("latin-1") if path.is_file() else "")
    assert "hunter" not in said and "a.jpg?token=***" in said
