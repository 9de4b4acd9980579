"""A refiner moves joints and nothing else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from posewright import Frame, People, Pose
from posewright.cli import main
from posewright.errors import UsageError
from posewright.export.export import export
from posewright.models import create
from posewright.models.saving import load_model as load_saved
from posewright.models.saving import save_model
from posewright.pipeline.refiner import Refiner
from posewright.runtimes import load_model
from posewright.runtimes.torch import TorchModel


def people(count: int) -> People:
    rng = np.random.default_rng(count)
    points = rng.uniform(20, 180, (count, 17, 2))
    boxes = np.concatenate([points.min(1), points.max(1)], 1)
    return People.of(boxes, np.full(count, 0.5), points, np.full((count, 17), 0.9))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("posefix") / "posefix.safetensors"
    save_model(create("posefix_r50", input_size=(96, 128)), path)
    return path


FRAME = Frame(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))


def test_it_moves_joints_and_keeps_the_rest(saved: Path) -> None:
    refiner = Refiner(load_model(saved, device="cpu"), batch=2)
    before = people(3)
    after = refiner(FRAME, before)
    assert not np.allclose(after.keypoints, before.keypoints)
    assert np.array_equal(after.boxes, before.boxes) and np.array_equal(after.scores, before.scores)
    single = [refiner(FRAME, before[i : i + 1]).keypoints[0] for i in range(3)]
    assert np.allclose(single, after.keypoints, atol=0.02)
    assert len(refiner(FRAME, people(0))) == 0
    assert not np.allclose(
        refiner.__class__(refiner.model, flip=True)(FRAME, before).keypoints, after.keypoints
    )


def test_the_pose_that_is_given_matters(saved: Path) -> None:
    model = load_model(saved, device="cpu")
    refiner, before = Refiner(model), people(1)
    moved = before.replace(keypoints=before.keypoints[:, ::-1].copy())
    assert not np.allclose(refiner(FRAME, before).keypoints, refiner(FRAME, moved).keypoints)
    with pytest.raises(UsageError, match="refines 17 joints, but the poses have 5"):
        refiner(
            FRAME, before.replace(keypoints=before.keypoints[:, :5], scores=before.scores[:, :5])
        )


def test_nan_in_its_weights_is_told(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, _ = load_saved(saved)
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] = torch.nan
    save_model(network, tmp_path / "bad.safetensors")
    cv2.imwrite(str(tmp_path / "p.png"), FRAME.image)
    words = [
        "predict",
        tmp_path / "p.png",
        "-d",
        "whole-image",
        "--min-score",
        0,
        "--save",
        "jsonl",
    ]
    words += ["--refine", tmp_path / "bad.safetensors", "-o", tmp_path / "out"]
    assert main([str(w) for w in words]) == 3
    assert "posefix_r50 returned NaN or infinity for 1 view;" in capsys.readouterr().err


def test_only_refiners_refine(saved: Path) -> None:
    other = TorchModel.of(create("simple_baseline_r50"), device="cpu")
    with pytest.raises(UsageError, match="does not refine"):
        Refiner(other)
    with pytest.raises(UsageError, match="--refine"):
        Pose(saved)


def test_the_option_has_an_effect_and_the_exported_file_the_same(
    saved: Path, tmp_path: Path
) -> None:
    model = load_model(saved, device="cpu")
    path = tmp_path / "posefix.onnx"
    result = export(model.network, path)  # type: ignore[attr-defined]
    assert result is not None and result.error < 1e-4
    options = {"detector": "whole-image", "min_score": 0.0, "threads": 1}
    found = [
        Pose(refine=file, runtime=runtime, **options)(FRAME.image, color="rgb").keypoints  # type: ignore[arg-type,union-attr]
        for file, runtime in ((None, "onnxruntime"), (path, "onnxruntime"))
    ]
    assert not np.allclose(found[0], found[1])
    again = Refiner(model)(FRAME, people(2)).keypoints
    there = Refiner(load_model(path, runtime="onnxruntime"))(FRAME, people(2)).keypoints
    assert np.allclose(again, there, atol=0.05)
