"""A server of live images on this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from tests.helpers.videos import scene

__all__ = ["Server", "jpeg", "serve", "shots"]


def jpeg(number: int, size: tuple[int, int] = (64, 48)) -> bytes:
    image = scene(*size)[..., ::-1].copy()
    image[: size[1] // 8] = number % 250
    data = cv2.imencode(".jpg", image)[1].tobytes()
    head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data + b"\r\n"


class Server:
    """Answers each connection with the next script; a script is a list of bytes and of pauses.

    A script that is None refuses the connection; the last one is repeated.
    """

    def __init__(self, scripts: list[list[bytes | float] | None], kind: str) -> None:
        self.scripts, self.kind = scripts, kind
        self.connections: list[float] = []
        self.ended = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(0.1)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/live"
        self.threads = [threading.Thread(target=self.run)]
        self.threads[0].start()

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                line, _ = self.socket.accept()
            except TimeoutError:
                continue
            script = self.scripts[min(len(self.connections), len(self.scripts) - 1)]
            self.connections.append(time.monotonic())
            thread = threading.Thread(target=self.answer, args=(line, script))
            self.threads.append(thread)
            thread.start()

    def answer(self, line: socket.socket, script: list[bytes | float] | None) -> None:
        with line:
            line.settimeout(10)
            try:
                line.recv(4096)
                if script is None:
                    line.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
                    return
                line.sendall(f"HTTP/1.0 200 OK\r\nContent-Type: {self.kind}\r\n\r\n".encode())
                for step in script:
                    if isinstance(step, bytes):
                        line.sendall(step)
                    elif self.ended.wait(step):
                        return
            except OSError:  # the client hung up
                return

    def close(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()
        self.socket.close()


@contextmanager
def serve(
    *scripts: list[bytes | float] | None, kind: str = "multipart/x-mixed-replace; boundary=b"
) -> Iterator[Server]:
    server = Server(list(scripts), kind)
    try:
        yield server
    finally:
        server.close()


def shots(count: int, pause: float = 0.01, **options) -> list[bytes | float]:
    return [step for n in range(count) for step in (jpeg(n, **options), pause)]
