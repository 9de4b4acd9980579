"""Keep the packages that posewright uses from reporting to their makers; see docs/privacy.md."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from types import ModuleType

__all__ = ["loading_openvino", "switch_off"]

_ONE_AT_A_TIME = RLock()  # a thread that loads inside a load may go on
_REPORTER = "openvino_telemetry"  # reports for OpenVINO and NNCF; neither needs it


def switch_off() -> None:
    """Tell onnxruntime to report nothing: it reads this when it is first loaded.

    The processes that this one starts inherit it.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


@contextmanager
def loading_openvino() -> Iterator[None]:
    """Load OpenVINO or NNCF inside, which report when they are imported; then they cannot.

    Nothing is written and no environment variable is set: as where it is not installed, both do
    without the package that reports.  Afterwards a program may import that package for its own use.
    Another thread that loads them waits; loads inside loads are one.
    """
    with _ONE_AT_A_TIME:
        before = {name: sys.modules[name] for name in sys.modules.keys() & {_REPORTER}}
        loaded = before.get(_REPORTER)
        if loaded is not None:  # the program has loaded OpenVINO before
            _withdraw_consent(loaded)
        sys.modules[_REPORTER] = None  # type: ignore[assignment]  # its import is an ImportError
        try:
            yield
        finally:
            sys.modules.pop(_REPORTER, None)
            sys.modules.update(before)


def _withdraw_consent(reporter: ModuleType) -> None:
    """Stop what reports for OpenVINO, if it has been started."""
    try:
        reporter.Telemetry().consent = False  # there is one object in a process
    except RuntimeError:  # nobody has made it
        return
