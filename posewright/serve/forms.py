"""multipart/form-data, parsed as it arrives: fields in memory, files where the caller wants them.

A file never passes through a folder of temporary files of its own choice, and an upload that is too
slow ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from posewright.serve.problems import Problem

__all__ = ["Form", "Upload", "read_body", "read_form"]

FIELD_BYTES, FIELDS, FILES = 1 << 16, 200, 1000
CHUNK_S, GRACE_S, SLOWEST = 10.0, 30.0, 16_000  # seconds, seconds, bytes a second after them


@dataclass
class Upload:
    """A file of a form: the name that the client gave it, and where its content went."""

    field: str
    name: str
    file: IO[bytes]
    size: int = 0


@dataclass
class Form:
    """Fields by name, each with all its values, and files in the order of the body."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: list[Upload] = field(default_factory=list)

    def one(self, name: str, default: str = "") -> str:
        """Return the value of a field that is given once; a Problem where it is given twice."""
        values = self.fields.get(name, [])
        if len(values) > 1:
            raise Problem(400, f"the field {name[:100]} is given twice; send it once")
        return values[0] if values else default


class _Parts:
    """What the parser calls for each piece of each part."""

    def __init__(self, form: Form, make: Callable[[str, str], IO[bytes]]) -> None:
        self._form, self._make = form, make
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._data = bytearray()
        self._field = ""
        self._upload: Upload | None = None
        self.ended = False

    def callbacks(self) -> dict[str, Callable[..., None]]:
        names = "part_begin part_data part_end header_field header_value header_end"
        return {f"on_{n}": getattr(self, n) for n in (*names.split(), "headers_finished", "end")}

    def part_begin(self) -> None:
        self._headers, self._data, self._upload = {}, bytearray(), None

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            return
        if len(self._form.files) >= FILES:
            raise Problem(413, f"a form holds at most {FILES} files; send an archive")
        name = options[b"filename"].decode("utf-8", "replace")
        self._upload = Upload(self._field, name, self._make(self._field, name))
        self._form.files.append(self._upload)

    def part_data(self, data: bytes, start: int, end: int) -> None:
        if self._upload is not None:
            self._upload.file.write(data[start:end])
            self._upload.size += end - start
            return
        self._data += data[start:end]
        if len(self._data) > FIELD_BYTES:
            raise Problem(413, f"the field {self._field[:100]} is longer than {FIELD_BYTES} bytes")

    def part_end(self) -> None:
        if self._upload is not None:
            return
        values = self._form.fields.setdefault(self._field, [])
        values.append(self._data.decode("utf-8", "replace"))
        if sum(map(len, self._form.fields.values())) > FIELDS:
            raise Problem(413, f"a form holds at most {FIELDS} fields")

    def end(self) -> None:
        self.ended = True


async def read_form(
    request: Request, resources: ExitStack, make: Callable[[str, str], IO[bytes]]
) -> Form:
    """Read the form of a request; a Problem for another body.

    make: opens the file that takes the content of a part, by the names of the field and of the
    file; `resources` closes it.  The files are at their start afterwards.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 70:
        raise Problem(415, "send a form: multipart/form-data, as curl -F does")
    form = Form()
    parts = _Parts(form, lambda name, file: resources.enter_context(make(name, file)))
    parser: Any = MultipartParser(boundary, parts.callbacks())
    try:
        async for chunk in _chunks(request):
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise Problem(400, f"the form is broken ({error}); send it again") from error
    if not parts.ended:
        raise Problem(400, "the form ends early; send it again")
    for upload in form.files:
        upload.file.seek(0)
    return form


async def read_body(request: Request) -> bytes:
    """Read the body of a request, which the guard keeps below its limit."""
    return b"".join([chunk async for chunk in _chunks(request)])


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it arrives; a Problem where it comes too slowly."""
    stream, begun, got = request.stream().__aiter__(), time.monotonic(), 0
    while True:
        try:
            chunk = await asyncio.wait_for(stream.__anext__(), CHUNK_S)
        except StopAsyncIteration:
            return
        except (TimeoutError, asyncio.TimeoutError):  # two classes before Python 3.11
            raise _slow() from None
        got += len(chunk)
        if got < SLOWEST * (time.monotonic() - begun - GRACE_S):
            raise _slow()
        yield chunk


def _slow() -> Problem:
    told = "the request arrives too slowly; send it again over a better connection"
    return Problem(408, told, Connection="close")
