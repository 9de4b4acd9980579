"""The application: routes, what they share, and what starts and ends with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from posewright import __version__
from posewright.errors import OutputError, PosewrightError
from posewright.files.lock import FolderLock, Held
from posewright.files.part import explain
from posewright.pose import Pose
from posewright.serve import problems
from posewright.serve.assets import add_assets
from posewright.serve.batching import Batcher
from posewright.serve.catalogue import Catalogue
from posewright.serve.guard import Guard
from posewright.serve.job_routes import JobRoutes
from posewright.serve.jobs import Jobs
from posewright.serve.kinds import KINDS
from posewright.serve.live import Live
from posewright.serve.metrics import Metrics
from posewright.serve.page import add_pages
from posewright.serve.poses import Images
from posewright.serve.protocol import Protocol
from posewright.serve.settings import Settings
from posewright.serve.tokens import Tokens, secret_in
from posewright.serve.workers import Workers

__all__ = ["create_app", "holding"]


def _form(required: list[str], **about: dict[str, Any]) -> dict[str, Any]:
    """Return what OpenAPI says of a form with these fields."""
    schema = {"type": "object", "required": required, "properties": about}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


_FILE = {"type": "string", "format": "binary"}
JOB_FORM = _form(
    ["kind"],
    kind={"type": "string", "enum": list(KINDS), "description": "what the job does"},
    file={"type": "array", "items": _FILE, "description": "images, a video, labels, an archive"},
    library={"type": "string", "description": "labelled data of GET /v1/library, in place of file"},
    labels={"type": "string", "description": "the file of labels in an archive or folder"},
    model={
        "type": "string",
        "description": "a name of GET /v1/models; further fields: docs/serve.md",
    },
)
_IMAGE = _form(["image"], image=_FILE) | {
    "parameters": [
        {
            "name": "draw",
            "in": "query",
            "description": "1: answer with the drawn image, a JPEG",
            "schema": {"type": "integer", "enum": [0, 1], "default": 0},
        },
        {
            "name": "deadline",
            "in": "query",
            "description": "seconds after which no answer is wanted any more",
            "schema": {"type": "number", "exclusiveMinimum": 0},
        },
    ],
}


@contextmanager
def holding(data: Path) -> Iterator[None]:
    """Make the folder of data this server's alone; OutputError where another has it."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FolderLock(data)
    except Held as error:
        raise OutputError(f"{data} is in use by {error}; give another --data") from error
    except OSError as error:
        raise explain(data, error) from error
    try:
        yield
    finally:
        lock.release()


def create_app(pose: Pose, settings: Settings, called: Mapping[str, str] | None = None) -> Any:
    """Return the ASGI application of one server; its lifespan starts and ends what it needs.

    called: what the command line calls its model and detector, for jobs.  The caller holds the
    folder of data, see `holding`.  OSError: that cannot be used.
    """
    metrics = Metrics()
    tokens = Tokens(settings.tokens, secret_in(settings.data))
    jobs = Jobs(settings.data)
    called = called or {}
    batcher = Batcher(pose, metrics, settings.queue, settings.deadline)
    images = Images(batcher, settings)
    name = pose.model.info.name
    model = called.get("model", name)
    catalogue = Catalogue(
        model, called.get("detector", "auto"), name, settings.library, jobs.folders
    )
    workers = Workers(jobs, settings)
    routes = JobRoutes(jobs, workers, catalogue, tokens, settings)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        workers.start()
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(workers.close)
            batcher.close()
            jobs.close()

    app = FastAPI(
        title="posewright",
        version=__version__,
        summary="2D multi-person human pose",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={kind: _explain for kind in _EXPECTED},
    )
    app.add_api_route(
        "/v1/pose", images.post, methods=["POST"], openapi_extra=_IMAGE, tags=["pose"]
    )
    _add_jobs(app, routes)
    Protocol(images, name, settings.max_bytes, batcher.joints).add(app)
    app.add_api_websocket_route("/v1/live", Live(images, pose, tokens, settings).talk)
    _add_health(app, batcher, metrics, jobs)
    add_pages(app)
    add_assets(app)
    return Guard(app, settings, tokens, metrics, workers.stop)


_EXPECTED = (
    problems.Problem,
    PosewrightError,
    OSError,
    HTTPException,
    RequestValidationError,
    Exception,
)


async def _explain(_: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        return problems.response(problems.Problem(400, told))
    return problems.response(problems.of(error))


def _add_jobs(app: FastAPI, routes: JobRoutes) -> None:
    one = "/v1/jobs/{job}"
    table: list[tuple[str, str, Any]] = [
        ("POST", "/v1/jobs", routes.post),
        ("GET", "/v1/jobs", routes.index),
        ("GET", one, routes.get),
        ("DELETE", one, routes.delete),
        ("POST", f"{one}/cancel", routes.cancel),
        ("POST", f"{one}/retry", routes.retry),
        ("GET", f"{one}/events", routes.events),
        ("GET", f"{one}/log", routes.log),
        ("GET", f"{one}/files/{{name:path}}", routes.file),
        ("GET", "/v1/models", routes.models),
        ("GET", "/v1/library", routes.library),
    ]
    for method, path, route in table:
        names = [name for name in ("job", "name") if f"{{{name}" in path]
        more: dict[str, Any] = {"parameters": [_in_path(name) for name in names]}
        if route == routes.post:
            more |= JOB_FORM
        app.add_api_route(path, route, methods=[method], openapi_extra=more, tags=["jobs"])


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _add_health(app: FastAPI, batcher: Batcher, metrics: Metrics, jobs: Jobs) -> None:
    async def healthz() -> dict[str, str]:
        """Tell that the process answers."""
        return {"status": "ok"}

    async def readyz() -> dict[str, str]:
        """Tell whether images are taken; 503 where they are not."""
        if not batcher.alive:
            raise problems.Problem(503, "the server is stopping; try again soon", Retry_After="5")
        return {"status": "ready"}

    def read() -> Response:
        """Return the metrics in the text format of Prometheus."""
        return Response(
            metrics.text(jobs.counts()), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    for path, route in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", read)):
        app.add_api_route(path, route, tags=["server"])
