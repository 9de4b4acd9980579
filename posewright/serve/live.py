"""WS /v1/live: JPEG frames in, people with ids out; the newest frame wins.

A client sends images as binary messages as often as it likes.  One frame is in work at a time, and
of those that come meanwhile only the last is kept, so that no answer is about the past.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from posewright.errors import PosewrightError
from posewright.files.values import dumps
from posewright.pose import Pose
from posewright.results import Result
from posewright.schema import rows
from posewright.serve import problems
from posewright.serve.guard import check_place
from posewright.serve.poses import Images
from posewright.serve.settings import Settings
from posewright.serve.tokens import Tokens
from posewright.trackers import Tracker, create_tracker

__all__ = ["Live"]

HELLO_S, QUIET_S, CONNECTIONS, HELLO_BYTES = 10.0, 60.0, 16, 4096
_POLICY, _BUSY, _SILENT = 1008, 1013, 1001  # codes of a close


@dataclass
class _Slot:
    """The newest frame that waits, its number and when it came; and how many it replaced."""

    data: bytes | None = None
    number: int = 0
    came: float = 0.0
    dropped: int = 0
    closed: bool = False

    def __post_init__(self) -> None:
        self._filled = asyncio.Event()

    def put(self, data: bytes) -> None:
        self.dropped += self.data is not None
        self.data, self.came, self.number = data, time.monotonic(), self.number + 1
        self._filled.set()

    def close(self) -> None:
        self.closed = True
        self._filled.set()

    async def take(self) -> tuple[bytes, int, float] | None:
        """Return the newest frame, its number from 0 and when it came; None at the end."""
        await self._filled.wait()
        if self.closed or self.data is None:
            return None
        found, self.data = self.data, None
        self._filled.clear()
        return found, self.number - 1, self.came


class Live:
    """Connections, each with a tracker of its own."""

    def __init__(self, images: Images, pose: Pose, tokens: Tokens, settings: Settings) -> None:
        self._images, self._pose, self._tokens, self._settings = images, pose, tokens, settings
        self._open = 0

    async def talk(self, socket: WebSocket) -> None:
        """Talk to a client until it goes."""
        try:
            check_place(socket.scope, self._settings)
        except problems.Problem:
            await socket.close(_POLICY)  # before it is accepted: the client sees 403
            return
        await socket.accept()
        if self._open >= CONNECTIONS:
            await socket.close(_BUSY, "too many connections")
            return
        self._open += 1
        try:
            options = await asyncio.wait_for(self._hello(socket), HELLO_S)
            await self._talk(socket, options)
        except (TimeoutError, asyncio.TimeoutError):  # two classes before Python 3.11
            await _close(socket, _SILENT, "nothing came")
        except (problems.Problem, PosewrightError) as error:
            await _close(socket, _POLICY, str(error))
        except WebSocketDisconnect:
            pass
        finally:
            self._open -= 1

    async def _hello(self, socket: WebSocket) -> dict[str, Any]:
        """Read the first message, an object with token, tracker and fps; each may be absent."""
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        text = message.get("text") or ""
        try:
            told = json.loads(text[:HELLO_BYTES])
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict) or told.keys() - {"token", "tracker", "fps"}:
            raise problems.Problem(400, "the first message is JSON with token, tracker and fps")
        if self._tokens.owner(str(told.get("token", ""))) is None:
            raise problems.Problem(401, "this server needs a token in the first message")
        return told

    async def _talk(self, socket: WebSocket, options: dict[str, Any]) -> None:
        tracker = self._tracker(options)
        header = rows.header(self._pose.skeleton, self._pose.run)
        await socket.send_text(dumps({"header": header}))
        slot = _Slot()
        reader = asyncio.ensure_future(_read(socket, slot))
        try:
            while (taken := await slot.take()) is not None:
                answer = await self._answer(*taken, tracker)
                await socket.send_text(dumps({**answer, "dropped": slot.dropped}))
        finally:
            reader.cancel()
        reader.result()

    def _tracker(self, options: dict[str, Any]) -> Tracker:
        name, fps = options.get("tracker", "oks"), options.get("fps", 30.0)
        if not isinstance(name, str) or isinstance(fps, bool) or not isinstance(fps, (int, float)):
            raise problems.Problem(400, "tracker is a name and fps a number")
        tracker = create_tracker(
            name, skeleton=self._pose.skeleton, fps=fps, embed=self._pose.embed
        )
        return tracker

    async def _answer(
        self, data: bytes, number: int, came: float, tracker: Tracker
    ) -> dict[str, Any]:
        """Return the row of a frame, with how long it took since it came, in ms."""
        try:
            frame = await self._images.frame("live", io.BytesIO(data))
            frame = replace(frame, index=number, time=came, sequence="live")
            (result,) = await self._images.batcher([frame])
            result = await self._images.spread(partial(_with_ids, result, tracker, frame))
            row = rows.row(result)
        except (problems.Problem, PosewrightError) as error:
            row = {"frame": number, "status": "error", "message": problems.of(error).detail}
        return {**row, "latency": round(1000 * (time.monotonic() - came), 3)}


def _with_ids(result: Result, tracker: Tracker, frame: Any) -> Result:
    if result.status != "ok":
        return result
    return result.replace(people=tracker(frame, result.people))


async def _read(socket: WebSocket, slot: _Slot) -> None:
    """Put every frame that comes into the slot; what is no frame ends the connection."""
    try:
        while True:
            message = await asyncio.wait_for(socket.receive(), QUIET_S)
            if message["type"] == "websocket.disconnect":
                return
            if not message.get("bytes"):
                raise problems.Problem(400, "after the first message, frames are binary")
            slot.put(message["bytes"])
    finally:
        slot.close()


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    if socket.client_state == WebSocketState.CONNECTED:
        # the protocol takes 123 bytes
        await socket.close(code, reason.encode()[:120].decode("utf-8", "ignore"))
