"""What a Pose is read from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from posewright import Pose
from posewright.errors import UsageError
from posewright.pipeline.estimate import WholeImage
from posewright.pipeline.loading import files_among, load, load_detector


def test_files_are_found_behind_the_name_of_their_layout(tmp_path: Path) -> None:
    """So that no result replaces them, and `--resume` notices another one."""
    file = tmp_path / "a.onnx"
    file.write_bytes(b"a")
    named = (f"rtmpose:{file}", file, str(file), "movenet-thunder", None, object())
    assert files_among(*named) == [file, file, file]
    assert files_among(f"C:{file}", tmp_path / "gone.onnx") == []


@pytest.mark.parametrize(
    ("model", "detector", "words"),
    [
        ("rtmdet-m-person", "auto", "is a detector; give it with --detector"),
        ("rtmpose-m-hand", "rtmpose-m", "rtmpose-m is a pose model; a detector yields boxes"),
        ("movenet-thunder", "rtmo-s", "rtmo-s is a pose model"),
    ],
)
def test_networks_of_another_kind_are_not_fetched(
    model: str, detector: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSEWRIGHT_OFFLINE", "1")
    with pytest.raises(UsageError, match=words):
        Pose(model, detector=detector)


@pytest.mark.parametrize("detector", ["whole-image", "nanodet-g-person", WholeImage()])
def test_boxes_for_a_network_that_finds_people_are_refused(detector: Any) -> None:
    model: Any = SimpleNamespace(
        codec=SimpleNamespace(top_down=False), info=SimpleNamespace(name="net")
    )
    with pytest.raises(UsageError, match=r"net finds people by itself.*remove -d"):
        load_detector(detector, model, load)
    assert load_detector("auto", model, load) is None
