"""The routes of jobs: what is uploaded becomes a job; its owner sees it, and nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import anyio
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from posewright.errors import UsageError, nearest
from posewright.serve.catalogue import Catalogue
from posewright.serve.forms import Form, read_form
from posewright.serve.jobs import ENDED, Jobs
from posewright.serve.kinds import KINDS, NETWORK, Asked, checked, setting
from posewright.serve.places import files_in, find_in, size_of, stored_name
from posewright.serve.problems import Problem
from posewright.serve.settings import Settings
from posewright.serve.tokens import Tokens
from posewright.serve.unpacking import unpack
from posewright.serve.workers import Workers

__all__ = ["JobRoutes"]

EVERY_S, PING_S = 0.2, 15.0
INPUTS = 20  # names that a client is told
_FIELDS = {"kind", "library", "labels"}
_PLAIN = {".json", ".jsonl", ".csv", ".txt", ".jpg", ".jpeg", ".png", ".mp4", ".webp"}


@dataclass
class JobRoutes:
    """What the routes share."""

    jobs: Jobs
    workers: Workers
    catalogue: Catalogue
    tokens: Tokens
    settings: Settings

    async def post(self, request: Request) -> JSONResponse:
        """Upload files and start a job; its options are further fields of the form."""
        await self._check_room(int(request.headers.get("content-length", "0")))
        job = self.jobs.new_id()
        folder = self.jobs.folder(job)
        try:
            (folder / "in").mkdir(parents=True, mode=0o700)
            taken: set[str] = set()
            with ExitStack() as files:
                form = await read_form(request, files, lambda _, name: _new(folder, name, taken))
            asked = await anyio.to_thread.run_sync(self._asked, form, folder, request)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        row = self.jobs.add(job, _owner(request), asked)
        where = f"{request.scope.get('root_path', '')}/v1/jobs/{job}"
        return JSONResponse(self._told(row, request), 202, {"Location": where})

    def index(self, request: Request) -> JSONResponse:
        """List the jobs, the newest first; status= asks for those of one status."""
        status = request.query_params.get("status", "")
        if status not in ("", "queued", "running", *ENDED):
            raise Problem(400, f"no status {status[:100]!r}")
        rows = self.jobs.of(_owner(request), status)
        return JSONResponse({"jobs": [self._told(row, request, files=False) for row in rows]})

    def models(self, request: Request) -> JSONResponse:
        """List the networks that are here; the default is the one of POST /v1/pose."""
        return JSONResponse({"models": self.catalogue.networks(self._owned(request))})

    def library(self) -> JSONResponse:
        """List the folders and label files of the library."""
        return JSONResponse({"data": self.catalogue.data()})

    def get(self, request: Request) -> JSONResponse:
        """Tell how a job stands, and the addresses of its files."""
        return JSONResponse(self._told(self._job(request), request))

    def delete(self, request: Request) -> Response:
        """Stop a job, and delete everything that was uploaded and made for it."""
        job = self._job(request)["id"]
        self.jobs.cancel(job)
        self.jobs.delete(job)
        return Response(status_code=204)

    def cancel(self, request: Request) -> JSONResponse:
        """Stop a job; what it has written so far is kept."""
        job = self._job(request)["id"]
        if not self.jobs.cancel(job):
            raise Problem(409, "the job has ended; DELETE it, or retry it")
        return self.get(request)

    def retry(self, request: Request) -> JSONResponse:
        """Queue a job that failed or was cancelled once more."""
        job = self._job(request)["id"]
        if not self.jobs.retry(job):
            raise Problem(409, "only a job that failed or was cancelled can be retried")
        return self.get(request)

    def file(self, request: Request) -> FileResponse:
        """Return a file that a job has written; Range is understood."""
        out = self.jobs.folder(self._job(request)["id"]) / "out"
        path = find_in(out, request.path_params["name"])
        if path is None or not path.is_file():
            raise Problem(404, "the job has no file of that name; GET the job to see its files")
        plain = path.suffix.lower() in _PLAIN  # what no browser runs
        disposition = "inline" if plain else "attachment"
        return FileResponse(path, filename=path.name, content_disposition_type=disposition)

    def log(self, request: Request) -> Response:
        """Return what a job has said."""
        path = self.jobs.folder(self._job(request)["id"]) / "log"
        text = path.read_bytes() if path.is_file() else b""
        return Response(text, media_type="text/plain; charset=utf-8")

    async def events(self, request: Request) -> StreamingResponse:
        """Send progress, lines and the end of a job as server-sent events."""
        job = await anyio.to_thread.run_sync(self._job, request)
        since = request.headers.get("last-event-id", "0")
        seen = int(since) if since.isascii() and since.isdigit() and len(since) < 12 else 0
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(
            self._events(job["id"], job["owner"], seen),
            media_type="text/event-stream",
            headers=headers,
        )

    async def _events(self, job: str, owner: str, seen: int) -> AsyncIterator[str]:
        status, quiet = "", 0.0
        while True:
            row = await anyio.to_thread.run_sync(self.jobs.get, job, owner)
            if row is None:
                yield _event("status", {"status": "deleted"})
                return
            heard = self.workers.running.get(job)
            if row["status"] != status:
                status, quiet = row["status"], 0.0
                yield _event("status", {"status": status, "error": row["error"]})
            if heard is not None and heard.version > seen:
                for number, line in [each for each in list(heard.lines) if each[0] > seen]:
                    yield _event("line", {"line": line}, number)
                seen, quiet = heard.version, 0.0
                if heard.progress:
                    yield _event("progress", heard.progress, seen)
            if status in ENDED or self.workers.closing:
                return
            await asyncio.sleep(EVERY_S)
            quiet += EVERY_S
            if quiet >= PING_S:
                quiet = 0.0
                yield ": still here\n\n"

    async def _check_room(self, coming: int) -> None:
        used = await anyio.to_thread.run_sync(size_of, self.settings.data)
        if used + coming > self.settings.quota_gb * 1e9:
            raise Problem(507, "the server keeps no more data; delete jobs, or ask its owner")
        if coming > shutil.disk_usage(self.settings.data).free:
            raise Problem(507, "the disk of the server is full; delete jobs, or ask its owner")

    def _job(self, request: Request) -> dict[str, Any]:
        """Return the job that the address names; a Problem for those of others."""
        row = self.jobs.get(request.path_params["job"], _owner(request))
        if row is None:
            raise Problem(404, "no job of that id; GET /v1/jobs lists yours")
        return row

    def _owned(self, request: Request) -> list[str]:
        return [row["id"] for row in self.jobs.of(_owner(request), "done")]

    def _asked(self, form: Form, folder: Path, request: Request) -> Asked:
        """Return what a form asks for, with every word of it checked."""
        kind = form.one("kind")
        if kind not in KINDS:
            told = nearest(kind[:100], KINDS)
            raise UsageError(f"kind is one of {', '.join(KINDS)}, not {kind[:100]!r}{told}")
        options, networks, settings = {}, {}, []
        for name in form.fields.keys() - _FIELDS:
            value, option = form.one(name), name.replace("_", "-")
            form_of = KINDS[kind].options.get(option)
            if form_of == NETWORK:
                networks[option] = self._networks(option, value, request)
            elif form_of is not None:
                options[option] = checked(kind, option, value)
            elif kind == "train":
                settings.append(setting(name, value))
            else:
                known = nearest(option[:100], KINDS[kind].options)
                raise UsageError(f"{kind} has no option {option[:100]!r}{known}")
        self._default(kind, networks)
        if kind == "predict":
            most = self.settings.max_pixels
            options["max-pixels"] = str(int(min(float(options.get("max-pixels", most)), most)))
        return Asked(kind, options, networks, self._inputs(kind, form, folder), sorted(settings))

    def _networks(self, option: str, value: str, request: Request) -> str:
        """Return what the command line calls a network, or several, one a line."""
        if option == "detector" and value == "whole-image":
            return value
        names = value.split(",") if option == "models" else [value]
        owned = self._owned(request)
        return "\n".join(self.catalogue.network(name.strip(), owned) for name in names)

    def _default(self, kind: str, networks: dict[str, str]) -> None:
        """Add the networks of the server where a job names none."""
        if kind in ("predict", "eval") and "model" not in networks:
            networks["model"] = self.catalogue.model
            if self.catalogue.detector != "auto":
                networks.setdefault("detector", self.catalogue.detector)
        for option in ("model", "models"):
            if KINDS[kind].options.get(option) == NETWORK and option not in networks:
                raise UsageError(f"{kind} needs {option}; GET /v1/models has the names")

    def _inputs(self, kind: str, form: Form, folder: Path) -> list[str]:
        """Return the files and folders that a job reads, unpacked where they are archives."""
        about = KINDS[kind]
        paths = [Path(upload.file.name) for upload in form.files]
        for upload, path in zip(form.files, paths, strict=True):
            if upload.field != "file" or path.suffix not in about.takes:
                takes = ", ".join(sorted(about.takes)) or "no file"
                raise UsageError(f"{upload.name[:100]}: {kind} takes {takes}, in the field file")
        if about.labels:
            paths = [self._unpacked(path) for path in paths]
            paths += [self.catalogue.labels(name) for name in form.fields.get("library", [])]
        if about.takes and not paths:
            raise UsageError(f"{kind} needs a file, as curl -F file=@NAME sends it")
        if len(paths) > 1 and kind not in ("predict", "train"):
            raise UsageError(f"{kind} reads one file; send an archive")
        return [str(_labels(path, form.one("labels"))) for path in paths]

    def _unpacked(self, path: Path) -> Path:
        if path.suffix != ".zip":
            return path
        room = int(self.settings.quota_gb * 1e9) - size_of(self.settings.data)
        unpack(path, path.with_suffix(""), room)
        path.unlink()
        inside = [*path.with_suffix("").iterdir()]  # as zip -r coco.zip coco packs them
        return inside[0] if len(inside) == 1 and inside[0].is_dir() else path.with_suffix("")

    def _told(self, row: dict[str, Any], request: Request, files: bool = True) -> dict[str, Any]:
        """Return what a client learns of a job."""
        job, heard = row["id"], self.workers.running.get(row["id"])
        names = "id kind status created started ended exit_code error tries"
        told = {name: row[name] for name in names.split()}
        asked = json.loads(row["asked"])
        told["options"] = asked["options"]
        told["inputs"] = [Path(each).name for each in asked["inputs"][:INPUTS]]
        told["progress"] = heard.progress if heard else {}
        told["result"] = json.loads(row["result"]) if row["result"] else None
        if files:
            base, owner = f"/v1/jobs/{job}/files/", row["owner"]
            told["files"] = [
                {
                    "name": name,
                    "bytes": size,
                    "href": self._address(base + quote(name), owner, request),
                }
                for name, size in files_in(self.jobs.folder(job) / "out")
            ]
        return told

    def _address(self, path: str, owner: str, request: Request) -> str:
        """Return the address of a file; signed where a token is needed otherwise."""
        root = request.scope.get("root_path", "")
        return root + (self.tokens.signed(path, owner) if self.tokens.needed else path)


def _owner(request: Request) -> str:
    found: str = request.scope["state"]["owner"]
    return found


def _new(folder: Path, name: str, taken: set[str]) -> IO[bytes]:
    path = folder / "in" / stored_name(name, taken)
    return open(path, "x+b", opener=lambda file, flags: _private(file, flags))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, stat.S_IRUSR | stat.S_IWUSR)


def _labels(path: Path, name: str) -> Path:
    """Return the labels in a folder: those named, else its only .json file, else itself."""
    if path.is_file():
        return path
    if name:
        found = find_in(path, name)
        if found is None:
            raise UsageError(f"there is no {name[:100]!r} in {path.name}")
        return found
    labels = [below for below, _ in files_in(path) if below.endswith(".json") and "/" not in below]
    return path / labels[0] if len(labels) == 1 else path


def _event(name: str, data: dict[str, Any], number: int | None = None) -> str:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n"
