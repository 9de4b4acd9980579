"""POST /v1/pose: an image in, its people out, or the image with them drawn."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import IO, Any, TypeVar

import anyio
import cv2
from starlette.requests import Request
from starlette.responses import Response

from posewright.draw import Style, draw
from posewright.files.values import dumps
from posewright.people import Frame
from posewright.results import Result
from posewright.serve.batching import Batcher
from posewright.serve.forms import read_form
from posewright.serve.problems import Problem
from posewright.serve.settings import Settings
from posewright.sources.content import content_load
from posewright.sources.depth import Depths

__all__ = ["Images", "deadline_of", "until_gone"]

T = TypeVar("T")
SPOOL = 1 << 20  # bytes of an upload in memory


class Images:
    """Images of requests, decoded by a few threads, estimated by the batcher."""

    def __init__(self, batcher: Batcher, settings: Settings) -> None:
        self.batcher, self.max_pixels = batcher, settings.max_pixels
        self._workers, self._folder = settings.workers, settings.data
        self._limiter: anyio.CapacityLimiter | None = None  # it belongs to the loop that runs

    async def post(self, request: Request) -> Response:
        """Find the people of an image."""
        if unknown := request.query_params.keys() - {"draw", "deadline"}:
            raise Problem(400, f"no parameter {min(unknown)[:100]!r}; there are draw and deadline")
        draws, deadline = _switch(request, "draw"), deadline_of(request)
        with ExitStack() as files:
            form = await read_form(request, files, lambda *_: self._kept())
            if len(form.files) != 1 or form.files[0].field != "image" or form.fields:
                told = "send one image in the field image, as curl -F image=@people.jpg does"
                raise Problem(400, told)
            frame = await self.frame(form.files[0].name, form.files[0].file)
        (result,) = await until_gone(request, self.batcher([frame], deadline))
        if draws:
            picture = await self.spread(partial(_drawn, frame, result))
            return Response(picture, media_type="image/jpeg")
        return Response(dumps(result.to_dict()), media_type="application/json")

    def _kept(self) -> Any:
        """Return a file that leaves memory where it is large, so that many uploads may come."""
        return tempfile.SpooledTemporaryFile(SPOOL, dir=str(self._folder))

    async def frame(self, name: str, file: IO[bytes]) -> Frame:
        """Decode an image; a Problem says what is wrong with it."""
        load = content_load(file, self.max_pixels)
        frame: Frame = await self.spread(partial(load.read, Depths()))
        if frame.status != "ok":
            raise Problem(422, f"{name[:200] or 'image'}: {frame.message}")
        return replace(frame, name=name[:1000] or "image")

    async def spread(self, work: partial[T]) -> T:
        """Do work in a thread, so that other requests are answered meanwhile."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._workers)
        done: T = await anyio.to_thread.run_sync(work, limiter=self._limiter)
        return done


def _drawn(frame: Frame, result: Result) -> bytes:
    """Return a JPEG of the image with its people on it."""
    picture = draw(frame.image, result.people, result.skeleton, Style())
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise Problem(422, "the drawn image cannot be a JPEG; send a smaller one")
    return bytes(data.tobytes())


def _switch(request: Request, name: str) -> bool:
    """Return whether a parameter of the address is on."""
    value = request.query_params.get(name, "0")
    if value not in ("0", "1"):
        raise Problem(400, f"{name} is 0 or 1, not {value[:100]}")
    return value == "1"


def deadline_of(request: Request) -> float | None:
    """Return the seconds after which the client wants no answer any more; None for the server's."""
    text = request.query_params.get("deadline", "")
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = -1.0
    if seconds is not None and not 0 < seconds < 1e6:
        raise Problem(400, f"deadline is a number of seconds, not {text[:100]}")
    return seconds


async def until_gone(request: Request, work: Awaitable[T]) -> T:
    """Wait for work; cancel it when the client hangs up."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Problem(499, "the client hung up")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
