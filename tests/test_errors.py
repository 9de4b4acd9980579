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


def test_an_error_is_short_and_moves_no_cursor() -> None:
    error = errors.SourceError("a\x1b]0;title\x07.jpg \ud800 " + "9" * 50_000 + " the end")
    assert str(error).startswith(r"a\x1b]0;title\x07.jpg \ud800 999") and len(str(error)) < 1520
    assert str(error).endswith("9 the end") and " ... " in str(error)
