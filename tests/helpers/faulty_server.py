"""An HTTP server on this machine that does whatever a test wants, byte by byte."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

Step = bytes | float  # bytes to send, or seconds to wait


@dataclass(frozen=True)
class Asked:
    """A request: its path with the query, its headers by name in small letters, its method."""

    path: str
    headers: dict[str, str]
    method: str = "GET"

    @property
    def start(self) -> int:
        """Where the range begins that it asks for, 0 without one."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else 0


Answer = Callable[[Asked], Iterable[Step]]


class FaultyServer:
    """Answers every connection with the steps of `answer`, then closes it."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        self.answer, self.context = answer, context
        self.asked: list[Asked] = []
        self.ended = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}/net.pth"
        self.threads = [threading.Thread(target=self.run)]
        self.threads[0].start()

    def run(self) -> None:
        while True:
            line, _ = self.socket.accept()
            if self.ended.is_set():
                line.close()
                return
            self.threads.append(threading.Thread(target=self.serve, args=(line,)))
            self.threads[-1].start()

    def serve(self, line: socket.socket) -> None:
        line.settimeout(10)
        with suppress(OSError), line:  # the client hung up
            if self.context is not None:
                line = self.context.wrap_socket(line, server_side=True)
            with line:
                self.talk(line)

    def talk(self, line: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = line.recv(4096)
            if not more:
                return
            head += more
        first, *rest = head.decode("latin-1").strip().split("\r\n")
        pairs = (each.partition(":") for each in rest)
        method, path, _ = first.split()
        asked = Asked(path, {name.lower(): value.strip() for name, _, value in pairs}, method)
        self.asked.append(asked)
        for step in self.answer(asked):
            if isinstance(step, bytes):
                line.sendall(step)
            elif self.ended.wait(step):
                return

    def close(self) -> None:
        self.ended.set()
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes `accept`
        for thread in self.threads:
            thread.join()
        self.socket.close()


@contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[FaultyServer]:
    """Yield a server that answers so."""
    server = FaultyServer(answer, context)
    try:
        yield server
    finally:
        server.close()


def certified(folder: Path) -> tuple[ssl.SSLContext, str]:
    """Return TLS for 127.0.0.1 by a certificate made here, and its file; skip without openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes a certificate, is not installed")
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    subprocess.run(
        [
            openssl,
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            key,
            "-out",
            certificate,
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


def head(status: str = "200 OK", **headers: object) -> bytes:
    """Return a status line and headers; `Content_Length=5` is "Content-Length: 5"."""
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return f"HTTP/1.1 {status}\r\n{''.join(lines)}\r\n".encode("latin-1")


def whole(body: bytes, asked: Asked, **headers: object) -> bytes:
    """Return what a faultless server answers."""
    start, size = asked.start, len(body)
    if not start:
        return head(Content_Length=size, **headers) + body
    where = f"bytes {start}-{size - 1}/{size}"
    told = {"Content_Range": where, "Content_Length": size - start, **headers}
    return head("206 Partial Content", **told) + body[start:]


def redirect(to: str, code: int = 302) -> bytes:
    """Return an answer that sends the client elsewhere."""
    return head(f"{code} Elsewhere", Location=to, Content_Length=0)
