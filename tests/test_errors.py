"""Errors are one line, whatever a runtime's own message looks like."""

from __future__ import annotations

import pytest

from posewright import errors

KINDS = [
    errors.PosewrightError,
    errors.UsageError,
    errors.SourceError,
    errors.ModelError,
    errors.MissingError,
    errors.OutputError,
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_one_line(kind: type[errors.PosewrightError]) -> None:
    quoted = "Exception from infer_request.cpp:104:\n\n  Check 'shape' failed\r\n"
    assert str(kind(f"failed: {quoted}")) == (
        "failed: Exception from infer_request.cpp:104: Check 'shape' failed"
    )
    assert str(kind("no such  file: a b.jpg")) == "no such  file: a b.jpg"
