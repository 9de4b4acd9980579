"""Every network of the zoo is built, described and counted; one of each kind goes all the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from posewright import Pose
from posewright.checkpoints import foreigns
from posewright.cli import main
from posewright.cli.demo import CLIP
from posewright.codecs import DEKR, AdaptivePose, codec_from_dict, codec_to_dict
from posewright.errors import UsageError
from posewright.export.export import export, write_onnx
from posewright.models import PoseModel, create, register, variants
from posewright.models.counting import count
from posewright.models.hrnet import HRNet
from posewright.models.saving import describe, load_model, save_model
from posewright.people import People
from posewright.skeletons import Skeleton
from posewright.weights.published import published


@pytest.mark.parametrize("name", sorted(variants()))
def test_every_network_is_whole(name: str) -> None:
    with torch.device("meta"):
        model = create(name)
    assert model.name == name and variants()[name].summary
    assert codec_from_dict(json.loads(json.dumps(codec_to_dict(model.codec)))) == model.codec
    counts = count(model)
    assert counts.parameters > 0 and counts.macs > 0
    assert model.loss is not None


@pytest.mark.parametrize("name", sorted(published()))
def test_published_weights_have_a_network_and_a_table(name: str) -> None:
    entry = published()[name]
    assert entry.family in foreigns()
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.options.items()}
    with torch.device("meta"):
        assert create(entry.network, **options).codec.input_size


def test_names_and_options_are_checked() -> None:
    with pytest.raises(UsageError, match="did you mean 'hrnet_w32'"):
        create("hrnet_w33")
    with pytest.raises(UsageError, match="no option 'imput_size'; did you mean 'input_size'"):
        create("hrnet_w32", imput_size=(192, 256))
    with pytest.raises(UsageError, match="multiples of 32"):
        create("hrnet_w32", input_size=(190, 256))
    with pytest.raises(ValueError, match="two networks are called 'hrnet_w32'"):
        register(paper="")(variants()["hrnet_w32"].build)


# one network of each kind of codec, small: name, options
KINDS = {
    "heatmap": ("simple_baseline_r50", {"input_size": (96, 128)}),
    "udp": ("hrnet_w32", {"input_size": (96, 128), "codec": "udp"}),
    "simcc": ("rtmpose_t", {"input_size": (96, 128)}),
    "study": (
        "hrnet_w32",
        {"input_size": (96, 128), "codec": "simcc", "neck": ("coordinate_attention", "gau")},
    ),
    "integral": ("fastpose_r50_regression", {"input_size": (96, 128), "skeleton": "coco17"}),
    "regression": ("rle_r50", {"input_size": (96, 128)}),
    "movenet": ("movenet_lightning", {}),
    "bottom-up": ("dekr_w32", {"codec": DEKR(input_size=(128, 128), square=True)}),
    "points": ("adaptivepose_hrnet_w32", {"codec": AdaptivePose((128, 128), square=True)}),
    "anchors": ("yolo_pose_s6", {"input_size": (128, 128)}),
    "one stage": ("yoloxpose_tiny", {"input_size": (128, 128)}),
    "candidates": ("rtmo_t", {"input_size": (128, 128)}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_weights_become_predictions(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, options = KINDS[kind]
    torch.manual_seed(0)
    save_model(create(name, **options), tmp_path / "net.safetensors")
    out = tmp_path / "out"
    picture = Path(__file__).parents[2] / "docs" / "demo.jpg"
    code = main(
        [
            "predict",
            str(picture),
            "-m",
            str(tmp_path / "net.safetensors"),
            "-o",
            str(out),
            "--save",
            "coco",
            "--min-score",
            "0",
            "--json",
            "--device",
            "cpu",
        ]
    )
    told = json.loads(capsys.readouterr().out)
    assert code == 0 and told["frames"] == 1
    results = json.loads((out / "coco-results.json").read_text())
    assert len(results) == told["people"]
    assert all(np.isfinite(r["keypoints"]).all() for r in results)
    if load_model(tmp_path / "net.safetensors")[0].codec.top_down:
        assert told["people"] >= 1


def test_a_file_says_how_its_network_is_read(tmp_path: Path) -> None:
    model = create("lite_hrnet_18", input_size=(96, 128))
    read = replace(model.codec, refine="dark", padding=1.1)
    assert read != model.codec
    save_model(model, tmp_path / "net.safetensors", replace(describe(model), codec=read))
    again, info = load_model(tmp_path / "net.safetensors")
    assert again.codec == info.codec == read


def test_a_study_trains_a_step(learn: Callable[..., list[float]]) -> None:
    torch.manual_seed(0)
    name, options = KINDS["study"]
    model = create(name, **options).train()
    rng = np.random.default_rng(0)
    points = rng.uniform(10, 80, (2, 17, 2))
    people = People.of(np.tile([0, 0, 96, 128], (2, 1)), None, points, np.ones((2, 17)))
    targets = {k: torch.from_numpy(v) for k, v in model.codec.encode(people).items()}
    views = torch.from_numpy(rng.integers(0, 256, (2, 128, 96, 3), np.uint8))
    losses = learn(model, views, targets, steps=10)
    assert losses[-1] < 0.8 * losses[0]


FEW = Skeleton("few", ("nose", "left_wrist", "right_wrist"), ((0, 1), (0, 2)))
# what finds somebody before it is trained; scores that are all alike would leave NMS no choice
EXPORTED: dict[str, dict[str, float]] = {
    "heatmap": {},
    "simcc": {},
    "regression": {},
    "bottom-up": {"threshold": 0.0, "square": False, "max_people": 5},
    "anchors": {"threshold": 0.2, "max_people": 5},
}


def networks(kind: str) -> tuple[PoseModel, PoseModel]:
    """The network that is exported and the one that the file does the same as."""
    name, options = KINDS[kind]
    if kind == "bottom-up":  # DEKR has layers of its own for every joint
        options = {**options, "skeleton": FEW}
    made, same = create(name, **options), create(name, **options)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    same.load_state_dict(made.state_dict())
    made.codec = replace(made.codec, **EXPORTED[kind])  # type: ignore[type-var]
    same.codec = made.codec
    if "square" in EXPORTED[kind]:  # a graph has one size, a view of the codec may have any
        same.codec = replace(made.codec, square=True)  # type: ignore[type-var]
    return made.eval(), same.eval()


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that a network repeats stand there once: an export takes as long as its graph."""
    monkeypatch.setattr("posewright.models.parts.resnet.resnet_depths", lambda depth: (1, 1, 1, 1))
    monkeypatch.setattr("posewright.models.dekr.HRNet", partial(HRNet, modules=(1, 1, 1)))
    monkeypatch.setattr("posewright.models.yolo_pose.DEPTHWISE", 1)
    monkeypatch.setattr("posewright.models.hrnet.BLOCKS", 1)


@pytest.fixture(scope="module")
def graphs() -> dict[str, bytes]:
    """The .onnx file of each kind, which is what the file for OpenVINO is made of."""
    return {}


@pytest.fixture
def written_once(monkeypatch: pytest.MonkeyPatch, graphs: dict[str, bytes]) -> None:
    def write(model: PoseModel, path: Path, *options: Any) -> None:
        if model.name not in graphs:
            write_onnx(model, path, *options)
            graphs[model.name] = path.read_bytes()
        path.write_bytes(graphs[model.name])

    monkeypatch.setattr("posewright.export.export.write_onnx", write)


@pytest.mark.usefixtures("shallow", "written_once")
@pytest.mark.parametrize("kind", EXPORTED)
@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_exported_networks_find_the_same_people_and_ids(
    kind: str, format: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    made, same = networks(kind)
    codec, path = made.codec, tmp_path / ("net.onnx" if format == "onnx" else "net.xml")
    result = export(made, path, format=format)  # type: ignore[arg-type]
    assert result is not None and result.error < 1e-3 and result.found > 0
    assert made.codec == codec  # what was given stays as it was
    found = []
    save_model(same, tmp_path / "net.safetensors")
    for file in (tmp_path / "net.safetensors", path):
        pose = Pose(file, precision="fp32", min_score=0, device="cpu")
        with pose.stream(str(CLIP), tracker="oks") as results:
            found.append([r for r, _ in zip(results, range(3), strict=False)])
    for ours, theirs in zip(*found, strict=True):
        assert list(ours.people.ids) == list(theirs.people.ids)
        assert np.allclose(ours.people.boxes, theirs.people.boxes, atol=0.1)
        near = np.abs(ours.keypoints - theirs.keypoints).max(2, initial=0) < 0.5
        assert near.size > 0 and near.mean() > 0.98
