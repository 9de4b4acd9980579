"""The Open Inference Protocol, version 2, over HTTP: for clients such as Triton's.

One input, `image`: encoded images, or pixels.  The outputs are flat over the people of all images.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from posewright import __version__
from posewright.people import Frame, People
from posewright.results import Result
from posewright.serve.forms import read_body
from posewright.serve.poses import Images, until_gone
from posewright.serve.problems import Problem
from posewright.serve.tensors import answer, images_of, inflated, parted

__all__ = ["Protocol"]

MOST = 32  # images of a request
_BASE = "/v2/models/{model}"


class Protocol:
    """The routes, for the one network of the server under its own name."""

    def __init__(self, images: Images, model: str, limit: int, joints: int) -> None:
        self._images, self._model, self._limit, self._joints = images, model, limit, joints

    def add(self, app: FastAPI) -> None:
        """Add the routes to an application."""
        version = f"{_BASE}/versions/{{version}}"
        table: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", "/v2", self.server),
            ("GET", "/v2/health/live", self.live),
            ("GET", "/v2/health/ready", self.ready),
        ]
        for base in (_BASE, version):
            table.append(("GET", base, self.model))
            table.append(("GET", f"{base}/ready", self.model_ready))
            table.append(("POST", f"{base}/infer", self.infer))
        for method, path, route in table:
            names = [name for name in ("model", "version") if f"{{{name}}}" in path]
            about: Any = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in names
            ]
            more = {"parameters": about}
            if method == "POST":
                more["requestBody"] = _BODY
            name = f"{route.__name__}{'_version' if 'version' in path else ''}"
            app.add_api_route(
                path, route, methods=[method], name=name, openapi_extra=more, tags=["v2"]
            )

    async def server(self) -> dict[str, Any]:
        """Tell what the server is."""
        extensions = ["binary_tensor_data"]
        return {"name": "posewright", "version": __version__, "extensions": extensions}

    async def live(self) -> dict[str, bool]:
        """Tell that the server lives."""
        return {"live": True}

    async def ready(self) -> dict[str, bool]:
        """Tell whether the server takes requests; 503 where it does not."""
        if not self._images.batcher.alive:
            raise Problem(503, "the server is stopping; try again soon")
        return {"ready": True}

    async def model_ready(self, request: Request) -> dict[str, Any]:
        """Tell whether a network can be asked."""
        self._check(request)
        return {"name": self._model, **await self.ready()}

    async def model(self, request: Request) -> dict[str, Any]:
        """Tell the tensors of the network."""
        self._check(request)
        outputs = {name: (kind, shape) for name, kind, shape in self._outputs()}
        return {
            "name": self._model,
            "versions": ["1"],
            "platform": "posewright",
            "inputs": [{"name": "image", "datatype": "BYTES", "shape": [-1]}],
            "outputs": [
                {"name": name, "datatype": kind, "shape": shape}
                for name, (kind, shape) in outputs.items()
            ],
            "parameters": {"pixels": "UINT8 [B, H, W, 3], RGB, is taken too"},
        }

    async def infer(self, request: Request) -> Response:
        """Find the people of images; image_index says which image each is from."""
        self._check(request)
        body, header = await read_body(request), request.headers.get
        stated = header("inference-header-content-length", "")
        encoding = header("content-encoding", "")
        read = partial(_read, body, encoding, stated, self._limit)
        head, images = await self._images.spread(read)
        frames = await self._frames(images)
        found = await until_gone(request, self._images.batcher(frames, _deadline(head)))
        data, size = answer(head, self._arrays(found), self._model)
        if size is None:
            return Response(data, media_type="application/json")
        headers = {"Inference-Header-Content-Length": str(size)}
        return Response(data, headers=headers, media_type="application/octet-stream")

    async def _frames(self, images: Any) -> list[Frame]:
        if len(images) > MOST:
            raise Problem(413, f"a request holds at most {MOST} images")
        if isinstance(images, list):
            return [
                await self._images.frame(f"image {i}", io.BytesIO(data))
                for i, data in enumerate(images)
            ]
        height, width = images.shape[1:3]
        if len(images) and not 0 < height * width <= self._images.max_pixels:
            raise Problem(422, f"images of {width} x {height} pixels are not taken")
        return [Frame(image, name=f"image {i}") for i, image in enumerate(images)]

    def _arrays(self, results: list[Result]) -> dict[str, tuple[str, Any]]:
        """Return datatype and array of each output; N people of all images."""
        people = [result.people for result in results]
        everybody = People.concat([People.empty(self._joints), *people])
        which = np.repeat(np.arange(len(people), dtype=np.int32), [len(p) for p in people])
        arrays = {
            "keypoints": everybody.keypoints,  # (N, K, 2)
            "scores": everybody.scores,  # (N, K)
            "boxes": everybody.boxes,  # (N, 4)
            "ids": everybody.ids,  # (N,)
            "image_index": which,  # (N,)
        }
        return {name: (kind, arrays[name]) for name, kind, _ in self._outputs()}

    def _outputs(self) -> list[tuple[str, str, list[int]]]:
        return [
            ("keypoints", "FP32", [-1, self._joints, 2]),
            ("scores", "FP32", [-1, self._joints]),
            ("boxes", "FP32", [-1, 4]),
            ("ids", "INT64", [-1]),
            ("image_index", "INT32", [-1]),
        ]

    def _check(self, request: Request) -> None:
        params = request.path_params
        if params["model"] != self._model:
            raise Problem(404, f"no model {params['model'][:100]!r}; there is {self._model}")
        if params.get("version", "1") != "1":
            raise Problem(404, f"{self._model} has no version {params['version'][:100]!r}, but 1")


def _read(body: bytes, encoding: str, stated: str, limit: int) -> tuple[dict[str, Any], Any]:
    """Return the head of a request and its images, see tensors.images_of."""
    head, inputs = parted(inflated(body, encoding, limit), stated)
    if len(inputs) != 1 or inputs[0][0].get("name") != "image":
        raise Problem(400, "there is one input, image")
    return head, images_of(*inputs[0])


_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": {"type": "object", "required": ["inputs"]}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}


def _deadline(head: dict[str, Any]) -> float | None:
    """Return the seconds of parameters.timeout, which is in microseconds; None without one."""
    more = head.get("parameters") or {}
    value = more.get("timeout") if isinstance(more, dict) else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e15:
        raise Problem(400, "parameters.timeout is a number of microseconds above 0")
    return value / 1e6
