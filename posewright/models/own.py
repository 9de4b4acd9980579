"""Networks in a file of the user's own: the one place of the package that runs such a file.

It runs because somebody typed FILE.py:NAME on the command line.  Nothing that posewright reads can
name one: recipes, weights and their metadata know networks by their names alone.
"""

from __future__ import annotations

import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from posewright.errors import ModelError, UsageError, near, nearest
from posewright.extras import OPTIONAL
from posewright.models.registry import variants

__all__ = ["load_own"]


def load_own(text: str) -> str:
    """Run the file of "FILE.py:NAME" once; return NAME, a network that it has registered.

    ModelError: the file is not there, or fails (with the line).  UsageError: it registers no such
    network.
    """
    file, _, name = text.rpartition(":")
    path = Path(file).absolute()
    if not path.is_file():
        raise ModelError(f"{file} is not there{near(file)}")
    every = variants(None)  # the zoo is there before the file
    module = f"{__name__}.{path.stem}"
    if getattr(sys.modules.get(module), "__file__", "") != str(path):
        _run(path, module)
        every = variants(None)
    known = [known for known, variant in every.items() if variant.build.__module__ == module]
    if name not in known:
        told = f"it has {', '.join(known)}" if known else "it needs a function under @register"
        raise UsageError(f"{file} has no network {name!r}{nearest(name, known)}; {told}")
    return name


def _run(path: Path, name: str) -> None:
    """Run a file as the module `name`."""
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # of every file that ends in .py
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever code that is not ours comes to
        del sys.modules[name]
        if isinstance(error, ModuleNotFoundError) and error.name in OPTIONAL:
            raise
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)
        ]
        line = error.lineno if isinstance(error, SyntaxError) else next(reversed(lines), 0)
        raise ModelError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
