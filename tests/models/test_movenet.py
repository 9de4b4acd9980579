"""MoveNet: sizes, Google's files, the embedded network, training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from posewright.checkpoints import convert, foreign
from posewright.checkpoints.tables.movenet import UPPER_BODY7
from posewright.checkpoints.tfjs import read_tfjs
from posewright.errors import ModelError, UsageError
from posewright.models import PoseModel, create
from posewright.people import People
from posewright.runtimes import load_model
from posewright.weights import EMBEDDED

# layers of the graphs beside the 17 blocks, as the endings of their tensors' names
GRAPH = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1"


@pytest.mark.parametrize(
    ("name", "skeleton", "count"),
    [
        ("movenet_lightning", "coco17", 2_318_190),
        ("movenet_thunder", "coco17", 6_226_262),
        ("movenet_fire717", "coco17", 1_912_118),
        ("movenet_fire717", UPPER_BODY7, 1_907_268),
    ],
)
def test_parameters_are_as_many_as_the_originals(name: str, skeleton: str, count: int) -> None:
    with torch.device("meta"):
        assert create(name, skeleton=skeleton).parameters_count == count


def test_variants_of_the_originals_build_their_networks() -> None:
    with torch.device("meta"):
        for family, variant, count in (
            ("movenet_leeman", "movenet_thunder", 6_226_262),
            ("movenet_leeman", "movenet_lightning", 2_318_190),
            ("movenet_fire717", "movenet_mobilenetv2_7kpt", 1_907_268),
        ):
            assert foreign(family).variants[variant]().parameters_count == count
        model = foreign("movenet_leeman").variants["movenet_thunder"]()
        assert model.codec.input_size == (256, 256)


def embedded_state() -> dict[str, Tensor]:
    graph = onnx.load(EMBEDDED["movenet-thunder"].path).graph
    tensors = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    return {
        key: torch.from_numpy(a.copy())
        for key, a in tensors.items()
        if key.endswith((".weight", ".bias"))
    }


def test_thunder_with_the_embedded_weights_is_the_embedded_network(reference_dir: Path) -> None:
    model = create("movenet_thunder")
    model.load_state_dict(convert(embedded_state(), foreign("movenet"), model))
    with np.load(reference_dir / "movenet-thunder" / "reference.npz") as file:
        views, answers = file["rgb"], file["tf_keypoints_yxs"]
    with torch.inference_mode():
        outputs = model(torch.from_numpy(views))
    theirs = load_model(EMBEDDED["movenet-thunder"].path, runtime="onnxruntime")(views)
    for key, array in theirs.items():  # the graph's 2 / 255 is rounded to float16
        assert np.abs(outputs[key].numpy() - array).max() < 1e-4 * max(1, np.abs(array).max())
    for people, answer in zip(model.codec.decode(outputs), answers, strict=True):
        assert np.abs(people.keypoints[0] - answer[:, 1::-1] * 256).max() < 0.01
        assert np.abs(people.scores[0] - answer[:, 2]).max() < 1e-4


def as_graph(model: PoseModel) -> dict[str, Tensor]:
    """The tensors of a network of ours by the names and in the layout of a TF.js graph."""
    body, heads = {0: "model/Conv1", 18: "model/Conv_1"}, list(model.head.branches)
    theirs = {
        "centre": "center",
        "heatmap": "kpt_heatmap",
        "regression": "kpt_regress",
        "offset": "kpt_offset",
    }
    found = {}
    for key, value in model.state_dict().items():
        parts, bias = key.split("."), key.endswith("bias")
        if parts[1] == "body" and len(parts) == 4:
            name = f"{GRAPH}/{body[int(parts[2])]}/Conv2D{'_bn_offset' if bias else '_weights'}"
        elif parts[1] == "body":
            number, part = int(parts[2]) - 1, parts[3]
            block = f"block_{number}" if number else "expanded_conv"
            op = "depthwise" if part == "depthwise" else "Conv2D"
            name = f"{GRAPH}/model/{block}_{part}/{op}{'_bn_offset' if bias else '_weights'}"
        elif parts[1] == "inner_blocks":
            tail = ["", "_1", "_2", "_3"][3 - int(parts[2])]
            end = "BiasAdd/ReadVariableOp" if bias else "Conv2D/ReadVariableOp"
            name = f"{GRAPH}/conv2d{tail}/{end}"
        elif parts[1] == "layer_blocks":
            scope = f"{GRAPH}/separable_conv2d{['', '_1', '_2'][2 - int(parts[2])]}"
            end = "separable_conv2d_bn_offset" if bias else "separable_conv2d_weights"
            name = f"{scope}/{'separable_conv2d/ReadVariableOp' if parts[3] == '0' else end}"
        else:
            head, layer = parts[2], parts[3]
            number = heads.index(head) + 3
            scope = f"StatefulPartitionedCall/{theirs.get(head, head)}_0"
            name = f"{scope}/separable_conv2d_{number}/separable_conv2d/ReadVariableOp"
            name += "_1" if layer == "1" else ""
            if layer == "3":
                name = f"{scope}/conv2d_{number + 1}/Conv2D/ReadVariableOp"
            if bias:
                layers = {"1": f"separable_conv2d_{number}", "3": f"conv2d_{number + 1}"}
                name = f"{scope}/{layers.get(layer, '')}/BiasAdd/ReadVariableOp"
        separable = parts[-2] == "0" and parts[1] in ("layer_blocks", "branches")
        if separable and bias:  # graphs have none there
            continue
        depthwise = separable or "depthwise" in key
        if value.ndim == 4:
            value = value.permute((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        found[name] = value
    return found


@pytest.mark.parametrize("name", ["movenet_lightning", "movenet_multipose"])
def test_graphs_of_tensorflow_js_are_read(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, other = create(name), create(name)
    for key, value in model.state_dict().items():
        if key.endswith(".0.bias") and "body" not in key:
            value.zero_()
    graph = as_graph(model) | {"StatefulPartitionedCall/Reshape_8/shape/2": torch.tensor([17, 2])}
    data, entries = b"", []
    for key, value in graph.items():
        half = value.is_floating_point()
        array = value.numpy().astype(np.float16 if half else np.int32)
        entry = {"name": key, "shape": list(array.shape), "dtype": "float32" if half else "int32"}
        entries.append(entry | ({"quantization": {"dtype": "float16"}} if half else {}))
        data += array.tobytes()
    (tmp_path / "a.bin").write_bytes(data)
    manifest = [{"paths": ["a.bin"], "weights": entries}]
    (tmp_path / "model.json").write_text(json.dumps({"weightsManifest": manifest}))
    read = {k: torch.from_numpy(v) for k, v in read_tfjs(tmp_path / "model.json").items()}
    state = convert(read, foreign("movenet"), other)
    for key, value in model.state_dict().items():
        assert torch.equal(state[key], value.half().float()), key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paths": ["../a.bin"]}, "no weights"),
        ({"paths": ["b.bin"]}, "no weights 'b.bin'"),
        ({"weights": [{"name": "x", "shape": [3], "dtype": "float32"}]}, "12 are listed"),
        ({"weights": [{"name": "x", "shape": [-1], "dtype": "float32"}]}, "shape"),
        (
            {
                "weights": [
                    {
                        "name": "x",
                        "shape": [4],
                        "dtype": "float32",
                        "quantization": {"dtype": "uint8"},
                    }
                ]
            },
            "only float16",
        ),
        ({"weights": [{"name": "x"}]}, "dtype"),
    ],
)
def test_broken_graphs_are_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(16))
    whole = [{"name": "x", "shape": [4], "dtype": "float32"}]
    group = {"paths": ["a.bin"], "weights": whole} | change
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"weightsManifest": [group]}))
    with pytest.raises(ModelError, match=message):
        read_tfjs(path)


def test_fire717s_x_comes_before_y_and_ours_after() -> None:
    family, model = foreign("movenet_fire717"), create("movenet_fire717")
    state = {
        key.replace("head.branches.regression", "header.header_regs")
        .replace("head.branches.offset", "header.header_offsets")
        .replace("head.branches.centre", "header.header_centers")
        .replace("head.branches.heatmap", "header.header_heatmaps"): value
        for key, value in model.state_dict().items()
    }
    state["header.header_regs.1.bias"] = torch.arange(34.0)
    found = convert(state, family, model)["head.branches.regression.1.bias"]
    assert found[:4].tolist() == [1, 0, 3, 2]


@pytest.mark.parametrize("name", ["movenet_lightning", "movenet_multipose", "movenet_fire717"])
def test_it_learns_one_person(
    name: str, learn: Callable[..., list[float]], near_the_middle: Callable[..., People]
) -> None:
    torch.manual_seed(0)
    model = create(name, input_size=(64, 96)).train()
    rng = np.random.default_rng(0)
    encoded = model.codec.encode(near_the_middle(64, 96))
    targets = {key: torch.from_numpy(a).repeat_interleave(2, 0) for key, a in encoded.items()}
    views = torch.from_numpy(rng.integers(0, 256, (2, 96, 64, 3), np.uint8))
    assert model(views)["heatmap"].shape == (2, 17, 24, 16)
    losses = learn(model, views, targets, steps=40, rate=4e-3)
    assert losses[-1] < 0.8 * losses[0]


def test_sides_must_be_multiples_of_32() -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        create("movenet_lightning", input_size=(192, 200))
