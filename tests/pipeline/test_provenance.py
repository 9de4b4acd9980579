"""Whatever changes the results of a run is a part of what it depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posewright.nms import PPoseNMS
from posewright.pipeline.provenance import provenance
from posewright.pose import Pose
from posewright.smoothing import parse_smoothing
from posewright.writers import WriterOptions

POSES: dict[str, dict[str, Any]] = {
    "detector": {"detector": "whole-image"},
    "runtime": {"runtime": "onnxruntime", "precision": "fp32"},
    "flip": {"flip": True},
    "min_score": {"min_score": 0.3},
    "det_score": {"det_score": 0.7},
    "nms": {"nms": "ppose"},
    "crowd": {"nms": "crowd"},
    "nms settings": {"nms": PPoseNMS(gamma=3.0)},
    "max_people": {"max_people": 2},
}


def run(pose: Any, source: Any = "walk.mp4", **asked: Any) -> dict[str, Any]:
    writing = asked.pop("writing", None)
    found = provenance(pose, [source], ["jsonl"], writing, asked, False)
    assert found is not None
    return found.run


@pytest.fixture(scope="module")
def usual() -> dict[str, Any]:
    return run(Pose())


@pytest.mark.parametrize("options", POSES.values(), ids=POSES.keys())
def test_networks_and_their_settings(options: dict[str, Any], usual: dict[str, Any]) -> None:
    if options.get("nms") == "crowd":
        with pytest.raises(ValueError, match="heatmaps"):
            Pose(**options)
        return
    found = run(Pose(**options))
    assert found != usual and run(Pose(**options)) == found


def test_threads_are_of_the_machine(usual: dict[str, Any]) -> None:
    assert run(Pose(threads=1)) == usual


def test_files_beside_the_sources(tmp_path: Path) -> None:
    labels = tmp_path / "ann.json"
    found = []
    for text in ("[]", "[1]"):
        labels.write_text(text)
        found.append(run(None, writing=WriterOptions(coco_images=labels)))
    assert found[0] != found[1]
    assert found[0]["source 1"] == found[1]["source 1"] == "walk.mp4"


def test_options_are_told_as_text() -> None:
    found = run(None, smooth=parse_smoothing("kalman"), gap=0.5, stopped=min, latest=True)
    assert "kalman" in found["smooth"] and found["gap"] == 0.5
    assert not {"stopped", "latest"} & found.keys()


@pytest.mark.parametrize("source", ["camera:0", "0", "https://a.org/a.jpg", 0, ["a.jpg", 1]])
def test_what_is_live_has_none(source: Any) -> None:
    assert provenance(None, [source], [], None, {}, False) is None  # type: ignore[arg-type]
