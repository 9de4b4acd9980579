"""The servers of faults.py, on this machine: one that counts who connects, one that hangs up."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["hanging_up", "listener"]


@contextmanager
def listener() -> Iterator[tuple[int, list[Any]]]:
    """Count who connects."""
    connections: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    line, peer = server.accept()
                except OSError:
                    return
                connections.append(peer)
                line.close()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], connections
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def hanging_up(pictures: list[bytes], chance: random.Random, back: list[float]) -> Iterator[str]:
    """Serve MJPEG and hang up after some bytes; note in `back` when each connection came."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                back.append(time.monotonic())
                with line:
                    _answer(line, pictures, chance)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/live"
        server.shutdown(socket.SHUT_RDWR)


def _answer(line: socket.socket, pictures: list[bytes], chance: random.Random) -> None:
    head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n"
    body = b"".join(
        b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(p), p)
        for p in pictures
    )
    try:
        line.recv(4096)
        line.sendall(head + body[: chance.randrange(len(body) // 2, len(body))])
    except OSError:  # the reader hung up
        return
