"""Fixtures shared by the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real pictures, videos and labels; the test is skipped where it is absent."""
    folder = Path(os.environ.get("POSEWRIGHT_TEST_DATA", SHARED / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; set POSEWRIGHT_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def reference_dir(data_dir: Path) -> Path:
    """The folder of reference tensors of the original networks, beside the test data."""
    folder = data_dir.parent / "weights"
    if not folder.is_dir():
        pytest.skip(f"no reference tensors at {folder}")
    return folder
