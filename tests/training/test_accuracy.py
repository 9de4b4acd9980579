"""The accuracy that the training log states for networks with heatmaps."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from posewright.codecs.heatmap import Heatmap
from posewright.datasets.converting import convert
from posewright.datasets.synthetic import synth
from posewright.errors import PosewrightError
from posewright.models import create
from posewright.people import People
from posewright.recipes.lookup import recipe_for
from posewright.train import train
from posewright.training.accuracy import map_accuracy
from posewright.training.logs import Log, Meter, Place
from posewright.training.validation import check_boxes


def maps(*points: tuple[float, float]) -> dict[str, torch.Tensor]:
    """Targets of one joint in views of 192 x 256 px, whose maps have 48 x 64 cells."""
    at = np.array(points, np.float32)[:, None]
    people = People.of(None, None, at, (at[..., 0] >= 0).astype(np.float32))
    return {
        k: torch.from_numpy(v) for k, v in Heatmap(input_size=(192, 256)).encode(people).items()
    }


def test_targets_are_their_own_best_answer() -> None:
    wanted = maps((96, 128), (40, 60))
    assert float(map_accuracy(wanted, wanted) or 0) == 1


@pytest.mark.parametrize(
    ("x", "y", "right"),
    [
        (96 + 12, 128, 1),  # 3 cells of a limit of 3.2 in x, which is half a tenth of 64
        (96 + 16, 128, 0),
        (96, 128 + 8, 1),  # 2 cells of a limit of 2.4 in y, half a tenth of 48
        (96, 128 + 12, 0),
        (96 + 8, 128 + 8, 0),  # (2 / 6.4, 2 / 4.8) is .52 away
    ],
)
def test_limits_are_those_of_the_field(x: float, y: float, right: int) -> None:
    found = maps((x, y), (40, 60))
    accuracy = map_accuracy(found, maps((96, 128), (40, 60)))
    assert accuracy is not None and float(accuracy) == (1 + right) / 2


def test_joints_without_labels_and_empty_maps() -> None:
    wanted = maps((96, 128), (-1, -1))
    assert float(map_accuracy(maps((96, 128), (10, 10)), wanted) or 0) == 1
    nothing = {"heatmap": torch.zeros_like(wanted["heatmap"])}
    assert float(map_accuracy(nothing, wanted) or 1) in (0, 1)
    assert float(map_accuracy(nothing, wanted)) == 0  # type: ignore[arg-type]
    nobody = maps((-1, -1))
    assert math.isnan(float(map_accuracy(nobody, nobody)))  # type: ignore[arg-type]
    assert map_accuracy({"simcc_x": torch.zeros(1)}, wanted) is None
    assert map_accuracy({"heatmap": torch.zeros(1, 1, 2, 2)}, wanted) is None


def test_a_run_with_heatmaps_logs_its_accuracy(tmp_path: Path) -> None:
    data = tmp_path / "coco"
    convert(synth(tmp_path / "drawn", 4, seed=0), data, "coco", ratio=0.25)
    words = ["options.input_size=[64,64]", "batch=4", "epochs=2", "workers=0", "log_every=1"]
    recipe = recipe_for("lite_hrnet_18").with_overrides([*words, "val_boxes=detector"])
    lines: list[str] = []
    train(replace(recipe, data=(str(data),)), tmp_path / "run", progress=lines.append)
    with open(tmp_path / "run" / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and all(0 <= float(row["accuracy"]) <= 1 for row in rows)
    assert sum("  acc 0." in line or "  acc 1." in line for line in lines) == len(rows)
    told = [line for line in lines if line.startswith("epoch") and "  gt AP " in line]
    assert len(told) == 2 and all(" | det AP " in line for line in told)
    with open(tmp_path / "run" / "validation.csv", newline="") as file:
        assert all(float(row["det_AP"]) <= 1 for row in csv.DictReader(file))
    assert json.loads((tmp_path / "run" / "validation-boxes.json").read_text()) is not None


@pytest.mark.parametrize(
    ("network", "boxes", "text"),
    [
        ("rtmo_s", "detector", "finds people by itself"),
        ("lite_hrnet_18", "nowhere.json", "is not there"),
    ],
)
def test_boxes_that_no_validation_could_use(network: str, boxes: str, text: str) -> None:
    recipe = recipe_for(network).with_overrides([f"val_boxes={boxes}"])
    with torch.device("meta"), pytest.raises(PosewrightError, match=text):
        check_boxes(recipe, create(network))


def test_meter_and_log_keep_the_columns_of_an_earlier_version(tmp_path: Path) -> None:
    meter = Meter()
    assert "accuracy" not in meter.row(Place(), 0, 0, 4, meter.accuracy)
    for accuracy in (0.5, float("nan"), 1.0):
        meter.add(0.1, 0.0, accuracy)
    assert meter.accuracy == 0.75 and Meter.of(meter.facts()).accuracy == 0.75
    assert math.isnan(Meter().accuracy)
    row = meter.row(Place(step=8), 0.1, 1e-3, 4, meter.accuracy)
    old = [name for name in row if name != "accuracy"]
    (tmp_path / "log.csv").write_text(",".join(old) + "\n" + ",".join("1" * len(old)) + "\n")
    log = Log(tmp_path, 4)
    log.step(row)
    log.close()
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["step"] for r in rows] == ["1", "8"] and rows[1]["data_wait"] == "0.0"
