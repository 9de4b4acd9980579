"""The listening socket, and what ends connections that never finish a request."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from posewright.errors import SourceError, UsageError
from posewright.serve.settings import Settings

__all__ = ["run"]

HEAD_S = 10.0  # seconds for the head of a request
CONNECTIONS = 1000
FRAME_BYTES = 4_000_000  # of a message on /v1/live
GRACE_S = 5


class Impatient(H11Protocol):
    """HTTP/1.1 with a time limit for the head of each request, and a number of connections."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or close it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.close()
            return
        self._head = self.loop.call_later(HEAD_S, self._late)

    def data_received(self, data: bytes) -> None:
        """Start the clock with the first byte of a further head."""
        if self._head is None and self.conn.their_state is h11.IDLE:
            self._head = self.loop.call_later(HEAD_S, self._late)
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clock."""
        self._stop()
        super().connection_lost(exc)

    def _stop(self) -> None:
        if self._head is not None:
            self._head.cancel()
        self._head = None

    def _late(self) -> None:
        self._head = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """Tells the application of the signal at once: event streams end, and jobs are parked."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Hear a signal; the second Ctrl-C ends everything at once."""
        self._stop()
        super().handle_exit(sig, frame)


def run(app: Any, settings: Settings, say: Callable[[str], None] = print) -> None:
    """Listen until a signal ends it; `say` takes the line with the address.

    SourceError: the certificate cannot be read.  UsageError: the address is taken or not of here.
    """
    config = _config(app, settings)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it tells of each broken form
    with _listening(settings) as listener:
        say(f"posewright serve: {_address(settings, listener)}")
        Server(config, app.stop).run(sockets=[listener])


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=Impatient,
        ws="websockets-sansio",
        ws_max_size=FRAME_BYTES,
        ws_max_queue=2,
        ws_per_message_deflate=False,
        log_config=None,
        log_level="error",
        access_log=False,  # it would hold signed addresses
        server_header=False,
        proxy_headers=False,
        root_path=settings.root_path,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise SourceError(
            f"cannot read {settings.tls_cert} and {settings.tls_key} as a certificate and its key; "
            "check the files"
        ) from error
    return config


def _listening(settings: Settings) -> socket.socket:
    """Return a socket that listens, so that the printed address answers at once."""
    place = settings.host.strip("[]"), settings.port
    try:
        family, kind, number, _, where = socket.getaddrinfo(
            *place, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with ExitStack() as failed:
            listener = failed.enter_context(socket.socket(family, kind, number))
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(2048)
            failed.pop_all()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"cannot listen on {place[0]} port {place[1]}: "
            f"{getattr(error, 'strerror', None) or error}; choose another --host or --port"
        ) from error
    return listener


def _address(settings: Settings, listener: socket.socket) -> str:
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host.strip('[]')}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{listener.getsockname()[1]}"
