"""Fixtures shared by the tests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import jsonschema_rs
import numpy as np
import pytest

from posewright.cli.demo import CLIP
from posewright.results import Result
from posewright.schema import json_schema
from posewright.writers.jsonl import LinesForm
from posewright.writers.table import ParquetWriter

SHARED = Path(__file__).resolve().parents[2] / "shared"


class Said:
    """Prints what tests record as the property "said", also where other processes run them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print it when all of a test is over."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and report.when == "teardown":
            for name, value in report.user_properties:
                if name == "said":
                    reporter.write_line(f"\n{value}")


def pytest_configure(config: pytest.Config) -> None:
    """Print what tests say."""
    config.pluginmanager.register(Said(config))


@pytest.fixture(scope="session", autouse=True)
def every_row_is_valid() -> Iterator[None]:
    """Validate each row and header that a test writes by the schema of docs/outputs.md."""
    validator = jsonschema_rs.validator_for(json_schema())
    add, write = LinesForm.add, ParquetWriter.write

    def valid(form: LinesForm, result: Result) -> str:
        text = add(form, result)
        for line in text.splitlines():
            validator.validate(json.loads(line))
        return text

    def told(writer: ParquetWriter, result: Result) -> None:
        validator.validate(json.loads(result.to_json()))
        write(writer, result)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LinesForm, "add", valid)
        patch.setattr(ParquetWriter, "write", told)
        yield


@pytest.fixture(scope="session")
def clip_frames() -> list[np.ndarray]:
    """Every tenth frame of the demo clip, half as large, RGB."""
    with av.open(str(CLIP)) as file:
        frames = [f.to_ndarray(format="rgb24") for f in file.decode(video=0)]
    return [cv2.resize(f, (544, 960), interpolation=cv2.INTER_AREA) for f in frames[::10]]


@pytest.fixture(scope="session")
def people_jpg(tmp_path_factory: pytest.TempPathFactory, clip_frames: list[np.ndarray]) -> Path:
    """An image of three people."""
    path = tmp_path_factory.mktemp("picture") / "000000000042.jpg"
    cv2.imwrite(str(path), clip_frames[0][..., ::-1])
    return path


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images, videos and labels; the test is skipped where it is absent."""
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


@pytest.fixture
def reading_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read checkpoints in this process, where their own one would take seconds each time."""
    from posewright.checkpoints.files import read_checkpoint

    monkeypatch.setattr(
        "posewright.checkpoints.conversion.read_apart", lambda source, _: read_checkpoint(source)
    )


@pytest.fixture(scope="session")
def learn() -> Callable[..., list[float]]:
    """A function that trains a network on one batch and returns the loss of each step.

    Targets must be ones that it learns quickly, far below what the test asks for: how roundings
    grow in a few steps differs from processor to processor.
    """

    def steps_of(
        model: Any, views: Any, targets: dict[str, Any], steps: int, rate: float = 1e-3
    ) -> list[float]:
        """Take steps of AdamW; afterwards every parameter has a finite gradient."""
        import torch

        optimizer = torch.optim.AdamW(model.parameters(), rate)
        losses = []
        for _ in range(steps):
            loss = model.loss(model(views), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        for name, p in model.named_parameters():
            assert p.grad is not None and p.grad.isfinite().all(), name
        return losses

    return steps_of


@pytest.fixture(scope="session")
def near_the_middle() -> Callable[..., Any]:
    """A function that makes somebody whom one-stage networks learn quickly.

    A new network puts every joint near the middle of its cell.  1 - OKS has no gradient many sigmas
    away from there, so the joints are close to the middle of a person as large as the view.
    """

    def person(width: int, height: int, seed: int = 0) -> Any:
        """Return the one person of a view in px."""
        import numpy as np

        from posewright.people import People

        offsets = np.random.default_rng(seed).uniform(-12, 12, (1, 17, 2))
        joints = (offsets + np.array([width / 2, height / 2])).astype(np.float32)
        box = [[2, 2, width - 2, height - 2]]
        return People.of(box, None, joints, np.ones((1, 17), np.float32))

    return person
