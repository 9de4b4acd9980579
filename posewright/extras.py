"""The optional packages: which extra of posewright installs each, and the error without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from posewright.errors import MissingError

__all__ = ["OPTIONAL", "installed", "missing", "naming_extras", "need"]

# what pip installs for each package that is imported
OPTIONAL = {
    "torch": "posewright[torch]",
    "safetensors": "posewright[torch]",
    "onnx": "posewright[torch]",
    "onnxscript": "posewright[torch]",
    "tomli": "posewright[torch]",
    "openvino": "posewright[openvino]",
    "nncf": "posewright[int8]",
    "pyarrow": "posewright[parquet]",
    "pandas": "pandas",
    "tensorboard": "posewright[tensorboard]",
    "fastapi": "posewright[serve]",
    "starlette": "posewright[serve]",
    "uvicorn": "posewright[serve]",
    "python_multipart": "posewright[serve]",
    "prometheus_client": "posewright[serve]",
    "websockets": "posewright[serve]",
    "PIL": "pillow",
    "supervision": "supervision",
}


def missing(package: str, what: str) -> MissingError:
    """Return the error that says how to install a package; what: the thing that needs it."""
    return MissingError(
        f'{what} needs {package}, which is not installed; run: pip install "{OPTIONAL[package]}"'
    )


def installed(package: str) -> bool:
    """Whether an optional package could be imported; it is not imported to find out."""
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # what a program may let its own finder say
        return False


def need(package: str, what: str) -> Any:
    """Import an optional package, or a module of it; a MissingError where it is not installed."""
    with naming_extras(what):
        return import_module(package)


@contextmanager
def naming_extras(what: str) -> Iterator[None]:
    """Turn the failed import of an optional package into a MissingError; also a decorator.

    Any other ModuleNotFoundError is a bug of posewright or of another package, and passes through.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        raise missing(error.name, what) from error
