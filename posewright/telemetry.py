"""Keep the packages that posewright uses from reporting to their makers; see docs/privacy.md."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

__all__ = ["loading_openvino", "switch_off"]

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
    """
    loaded = sys.modules.get(_REPORTER)
    if loaded is not None:  # the program has loaded OpenVINO before
        _withdraw_consent(loaded)
    sys.modules[_REPORTER] = None  # type: ignore[assignment]  # makes importing it an ImportError
    try:
        yield
    finally:
        del sys.modules[_REPORTER]
        if loaded is not None:
            sys.modules[_REPORTER] = loaded


def _withdraw_consent(reporter: ModuleType) -> None:
    """Stop what reports for OpenVINO, if it has been started."""
    try:
        reporter.Telemetry().consent = False  # there is one object in a process
    except RuntimeError:  # nobody has made it
        return
