"""What TensorRT is asked for: an engine for every batch size, kept for the next run.

An engine is machine code that TensorRT runs, so it is read from a folder only that nobody else can
write.  A folder belongs to one file and one set of versions, because TensorRT does not notice that
a model has changed under the same name.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posewright.errors import OutputError
from posewright.machine import package_version
from posewright.runtimes.info import ModelInfo
from posewright.weights.folders import cache_folder
from posewright.weights.receipt import sha256

__all__ = ["engine_folder", "tensorrt_options"]

_PACKAGES = ("onnxruntime-gpu", "onnxruntime", "tensorrt", "tensorrt-cu12", "tensorrt-cu13")


def tensorrt_options(
    files: Sequence[Path], info: ModelInfo, inputs: Sequence[Any], most: int, precision: str
) -> dict[str, str]:
    """Return the provider's options for a network.

    files: of the network.  inputs: of its graph, with name and shape.  most: views of a call.
    OutputError: the engine's folder cannot be made or is not safe.
    """
    profile = _profile(info, inputs, most)
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(engine_folder(files, [precision, *profile.values()])),
        "trt_timing_cache_enable": "1",
        "trt_fp16_enable": "1" if precision == "fp16" else "0",
        **profile,
    }


def _profile(info: ModelInfo, inputs: Sequence[Any], most: int) -> dict[str, str]:
    """Return the shapes that one engine is to serve; {} where they are fixed or not known.

    Without them the engine is built again for each larger batch.
    """
    width, height = info.codec.input_size
    sides = {"C": 3, "H": height, "W": width} if info.codec.top_down else {}
    shapes = {port.name: list(port.shape) for port in inputs}
    if not any(shape and not isinstance(shape[0], int) for shape in shapes.values()):
        return {}
    first = shapes[inputs[0].name]
    for at, axis in enumerate(info.input.layout[1 : len(first)], 1):
        first[at] = first[at] if isinstance(first[at], int) else sides.get(axis)
    if not all(isinstance(side, int) for shape in shapes.values() for side in shape[1:]):
        return {}
    texts = {
        count: ",".join(f"{k}:{'x'.join(map(str, [count, *v[1:]]))}" for k, v in shapes.items())
        for count in (1, most)
    }
    ends = {"min": 1, "opt": most, "max": most}
    return {f"trt_profile_{end}_shapes": texts[count] for end, count in ends.items()}


def engine_folder(files: Sequence[Path], settings: Sequence[str]) -> Path:
    """Return the folder of a network's engines, made where it is not there.

    files: of the network.  settings: what else an engine depends on.  OutputError: it cannot be
    made, is another user's or can be written by others.
    """
    from posewright import __version__

    versions = [f"{name} {package_version(name)}" for name in _PACKAGES]
    told = [*map(sha256, files), __version__, *versions, *settings]
    home = cache_folder()
    root = home / "engines"
    folder = root / hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]
    try:
        home.mkdir(parents=True, exist_ok=True)
        for each in (root, folder):
            each.mkdir(mode=0o700, exist_ok=True)
        for each in (home.resolve(), root, folder):
            _check_private(each, each in (root, folder))
    except OSError as error:
        raise OutputError(
            f"{folder}: the folder of TensorRT's engines cannot be made "
            f"({error.strerror or error}); choose another one with POSEWRIGHT_HOME"
        ) from error
    return folder


def _check_private(folder: Path, own: bool) -> None:
    """Raise an OutputError for a folder in which others can put or replace files.

    own: it must be this user's, and no link; else it may be the system's.
    """
    if not hasattr(os, "getuid"):  # on Windows the user's folders are private
        return
    state = folder.lstat()
    owners = (os.getuid(),) if own else (os.getuid(), 0)
    if not stat.S_ISDIR(state.st_mode) or state.st_uid not in owners:
        raise OutputError(
            f"{folder} is another user's folder or a link, and TensorRT would run what lies in it; "
            "remove it, or choose another folder with POSEWRIGHT_HOME"
        )
    shared = state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if shared and (own or not state.st_mode & stat.S_ISVTX):
        raise OutputError(
            f"{folder} can be written by others, and TensorRT would run what lies in it; run: "
            f"chmod go-w {folder}, or choose another folder with POSEWRIGHT_HOME"
        )
