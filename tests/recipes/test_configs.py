"""Configurations of AlphaPose, HRNet and mmpose as recipes; none of them is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from posewright.cli import main
from posewright.errors import SourceError, UsageError
from posewright.files.literals import UNREAD, load_assignments
from posewright.recipes.configs import read_config
from posewright.recipes.lookup import recipe_for
from posewright.recipes.recipe import Recipe

HRNET: dict[str, Any] = {
    "GPUS": "(0,1,2,3)",
    "WORKERS": 4,
    "CUDNN": {"BENCHMARK": True},
    "DATASET": {
        "DATASET": "coco",
        "ROOT": "data/coco/",
        "TRAIN_SET": "train2017",
        "FLIP": True,
        "ROT_FACTOR": 45,
        "SCALE_FACTOR": 0.35,
        "NUM_JOINTS_HALF_BODY": 8,
        "PROB_HALF_BODY": 0.3,
    },
    "MODEL": {
        "NAME": "pose_hrnet",
        "PRETRAINED": "models/pytorch/imagenet/hrnet_w32-36af842e.pth",
        "IMAGE_SIZE": [192, 256],
        "EXTRA": {"STAGE2": {"NUM_CHANNELS": [32, 64]}},
    },
    "TRAIN": {
        "BATCH_SIZE_PER_GPU": 32,
        "END_EPOCH": 210,
        "OPTIMIZER": "adam",
        "LR": 0.001,
        "LR_FACTOR": 0.1,
        "LR_STEP": [170, 200],
        "WD": 0.0001,
    },
}
ALPHAPOSE: dict[str, Any] = {
    "DATASET": {
        "TRAIN": {
            "TYPE": "Mscoco",
            "ROOT": "./data/coco/",
            "IMG_PREFIX": "train2017",
            "ANN": "annotations/person_keypoints_train2017.json",
            "AUG": {
                "FLIP": True,
                "ROT_FACTOR": 40,
                "SCALE_FACTOR": 0.3,
                "NUM_JOINTS_HALF_BODY": 8,
                "PROB_HALF_BODY": -1,
            },
        }
    },
    "DATA_PRESET": {"TYPE": "simple", "IMAGE_SIZE": [256, 192]},
    "MODEL": {"TYPE": "FastPose", "NUM_LAYERS": 50, "TRY_LOAD": ""},
    "TRAIN": {
        "WORLD_SIZE": 4,
        "BATCH_SIZE": 32,
        "END_EPOCH": 200,
        "OPTIMIZER": "adam",
        "LR": 0.001,
        "LR_FACTOR": 0.1,
        "LR_STEP": [90, 120],
        "DPG_MILESTONE": 140,
        "DPG_STEP": [160, 190],
    },
}
MMPOSE = """
_base_ = ['../../../_base_/default_runtime.py']
import os
os.system('touch {mark}')
max_epochs = 420
base_lr = 4e-3
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=base_lr, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=1.0e-5, by_epoch=False, begin=0, end=1000),
    dict(type='CosineAnnealingLR', eta_min=base_lr * 0.05, begin=max_epochs // 2, end=max_epochs),
]
auto_scale_lr = dict(base_batch_size=1024)
codec = dict(type='SimCCLabel', input_size=(192, 256))
model = dict(
    backbone=dict(type='CSPNeXt', deepen_factor=0.67, widen_factor=0.75),
    head=dict(type='RTMCCHead'),
)
train_pipeline = [dict(type='RandomFlip')]
hooks = [x for x in open('{mark}', 'w')]
"""


def written(folder: Path, config: dict[str, Any]) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def as_published(found: Recipe, name: str) -> None:
    """Compare with the recipe that was written by hand from the same configuration."""
    ours, theirs = recipe_for(name).settings(), found.settings()
    theirs.pop("options.input_size", None)
    for key in ("data", "images", "options"):
        theirs.pop(key), ours.pop(key)
    assert theirs == ours


def test_hrnet(tmp_path: Path) -> None:
    found = read_config(written(tmp_path, HRNET))
    assert (found.system, found.recipe.options["input_size"]) == ("HRNet", (192, 256))
    as_published(found.recipe, "hrnet_w32")
    assert found.recipe.data == ("data/coco/annotations/person_keypoints_train2017.json",)
    assert set(found.left) == {"CUDNN.BENCHMARK", "MODEL.PRETRAINED", "TRAIN.WD"}
    assert any("posewright models convert" in note for note in found.notes)


def test_alphapose(tmp_path: Path) -> None:
    found = read_config(written(tmp_path, ALPHAPOSE))
    assert (found.system, found.recipe.options["input_size"]) == ("AlphaPose", (192, 256))
    as_published(found.recipe, "fastpose_r50")
    assert found.recipe.images == "data/coco/train2017"
    assert set(found.left) == {"DATASET.TRAIN.TYPE", "DATA_PRESET.TYPE"}


def test_alphapose_without_dpg(tmp_path: Path) -> None:
    train = {k: v for k, v in ALPHAPOSE["TRAIN"].items() if not k.startswith("DPG")}
    recipe = read_config(written(tmp_path, {**ALPHAPOSE, "TRAIN": train})).recipe
    assert (recipe.milestones, recipe.restart, recipe.augment.pgpg) == ((90, 120), 0, "")


def test_mmpose_is_read_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "rtmpose.py"
    path.write_text(MMPOSE.format(mark=tmp_path / "ran"), encoding="utf-8")
    found = read_config(path)
    assert not (tmp_path / "ran").exists()
    assert found.system == "mmpose" and found.recipe.model == "rtmpose_m"
    as_published(found.recipe, "rtmpose_m")
    assert found.left == ("train_pipeline",)
    base = "_base_ ../../../_base_/default_runtime.py"
    assert found.notes == (f"{base} is not followed: it does not lie beside the file",)


def test_mmpose_0(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "optimizer = dict(type='Adam', lr=5e-4)\n"
        "lr_config = dict(policy='step', warmup='linear', warmup_iters=500, warmup_ratio=0.001,\n"
        "                 step=[170, 200])\n"
        "total_epochs = 210\n"
        "stages = dict(stage2=dict(num_channels=(48, 96)))\n"
        "model = dict(backbone=dict(type='HRNet', extra=stages),\n"
        "             keypoint_head=dict(type='TopdownHeatmapSimpleHead'))\n"
        "data_cfg = dict(image_size=[288, 384], num_joints=17)\n"
        "data = dict(samples_per_gpu=64, workers_per_gpu=2)\n",
        encoding="utf-8",
    )
    found = read_config(tmp_path / "a.py")
    recipe = found.recipe
    assert (recipe.model, recipe.options["input_size"]) == ("hrnet_w48", (288, 384))
    assert (recipe.epochs, recipe.lr, recipe.milestones) == (210, 5e-4, (170, 200))
    assert (recipe.warmup, recipe.workers, recipe.batch) == (500, 2, recipe_for("hrnet_w48").batch)
    assert found.notes == ("samples_per_gpu=64 counts one device's crops: give batch=N",)
    assert "data_cfg.num_joints" in found.left and "data.samples_per_gpu" not in found.left


def test_a_base_beside_the_file_is_merged(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text(
        "model = dict(backbone=dict(type='ResNet', depth=50), head=dict(type='HeatmapHead'))\n"
        "train_cfg = dict(max_epochs=210, val_interval=10)\n",
        encoding="utf-8",
    )
    (tmp_path / "own.py").write_text(
        "_base_ = ['./base.py']\n"
        "model = dict(backbone=dict(depth=101))\ntrain_cfg = dict(max_epochs=30)\n",
        encoding="utf-8",
    )
    recipe = read_config(tmp_path / "own.py").recipe
    assert (recipe.model, recipe.epochs, recipe.eval_every) == ("simple_baseline_r101", 30, 10)
    assert recipe.milestones == (19, 26)  # of 90 and 120 in 140, in proportion


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-3", -3),
        ("(1, 2.5)", [1, 2.5]),
        ("dict(a=1, b=dict(c='x'))", {"a": 1, "b": {"c": "x"}}),
        ("{'a': [True, None]}", {"a": [True, None]}),
        ("7 // 2 * 3 - 1", 8),
        ("1 / 0", UNREAD),
        ("9 ** 9 ** 9", UNREAD),
        ("'a' * 1000000000", UNREAD),
        ("1e9 * 1e9", UNREAD),
        ("print('x')", UNREAD),
        ("__import__('os')", UNREAD),
        ("open('x').read()", UNREAD),
        ("[x for x in 'ab']", UNREAD),
        ("(lambda: 1)()", UNREAD),
        ("unknown", UNREAD),
        ("f'{1}'", UNREAD),
        ("[" * 60 + "]" * 60, ...),
    ],
)
def test_literals(text: str, value: object, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"x = {text}\n", encoding="utf-8")
    found = load_assignments(tmp_path / "a.py")["x"]
    assert value is ... or (found is UNREAD if value is UNREAD else found == value)


@pytest.mark.parametrize(
    "body", [b"x = (", b"\0", b"\xff = 1", b"(" * 100_000, b"x = 1\n" * 60_000]
)
def test_what_is_no_configuration_is_an_input_error(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(body)
    with pytest.raises(SourceError, match=r"a\.py"):
        load_assignments(path)
    assert main(["train", "--from-config", str(path), "--show"]) == 3
    assert main(["train", "--from-config", str(tmp_path / "none.yaml"), "--show"]) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"TRAIN": {"LR": "much"}},
        {"TRAIN": {"LR": float("nan"), "END_EPOCH": "x"}},
        {"TRAIN": {"END_EPOCH": [3], "LR_STEP": ["a"], "OPTIMIZER": "ours"}},
        {"MODEL": {"NAME": "pose_hrnet", "EXTRA": {"STAGE2": {"NUM_CHANNELS": [32, "x"]}}}},
        {"MODEL": 3},
        {"TRAIN": None, "MODEL": [1]},
        {"DATASET": {"FLIP": "yes", "ROT_FACTOR": "wide"}},
    ],
)
def test_odd_values_are_left_or_refused(change: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path, {**HRNET, **change})
    recipe = read_config(path, "hrnet_w32").recipe
    assert recipe.model == "hrnet_w32"


def test_other_files_and_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no training configuration of AlphaPose"):
        read_config(written(tmp_path, {"a": 1}))
    other = {**HRNET, "MODEL": {"NAME": "pose_own"}}
    with pytest.raises(UsageError, match="name one with -m"):
        read_config(written(tmp_path, other))
    assert read_config(tmp_path / "config.yaml", "hrnet_w48").recipe.model == "hrnet_w48"
    with pytest.raises(UsageError, match="invalid lr"):
        read_config(written(tmp_path, {**HRNET, "TRAIN": {"LR": -1}}))


def test_the_command_shows_the_recipe_and_what_was_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, HRNET)
    line = ["train", "mine", "--from-config", str(path), "lr=0.5", "--show", "-o", str(tmp_path)]
    assert main(line) == 0
    out, err = capsys.readouterr()
    (tmp_path / "recipe.toml").write_text(out, encoding="utf-8")
    recipe = Recipe.read(tmp_path / "recipe.toml")
    assert (recipe.lr, recipe.epochs, recipe.data) == (0.5, 210, ("mine",))
    assert "not carried over: CUDNN.BENCHMARK, MODEL.PRETRAINED, TRAIN.WD" in err
    assert main(["train", "--from-config", str(path), "--resume", "run"]) == 2
