"""Checkpoints as trainers wrap them, with joints and input sizes of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posewright.checkpoints import Foreign, fitting, foreign
from posewright.checkpoints.conversion import convert_file
from posewright.checkpoints.files import tensors_of
from posewright.cli import main
from posewright.errors import ModelError
from posewright.models import PoseModel, create
from posewright.models.saving import describe, load_model, save_model
from posewright.runtimes import load_model as load_runtime
from posewright.skeletons import Skeleton
from posewright.weights import EMBEDDED

pytestmark = pytest.mark.usefixtures("reading_here")

NAMES = ("left_fin", "right_fin", "tail", "snout", "back")
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def model() -> PoseModel:
    torch.manual_seed(0)
    return create("rtmpose_t")


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: value for key, value in state.items()}


def counters(state: State) -> State:
    return {"epoch": torch.tensor(3), "best": torch.tensor(0.7), "step": torch.tensor(9)}


WRAPPED: dict[str, Callable[[State], Any]] = {
    "tensors beside": lambda s: {**counters(s), "state_dict": s},
    "tensors beside in turn": lambda s: {"model": {**counters(s), "state_dict": s}},
    "compiled": lambda s: {"state_dict": prefixed(s, "_orig_mod.")},
    "compiled in DataParallel": lambda s: prefixed(s, "module._orig_mod."),
    "DataParallel compiled": lambda s: prefixed(s, "_orig_mod.module."),
    "Lightning": lambda s: {"state_dict": prefixed(s, "model."), "hyper_parameters": {}},
    "Lightning, compiled": lambda s: {"state_dict": prefixed(s, "net._orig_mod.")},
    "two names": lambda s: {"state_dict": prefixed(s, "pose.student.")},
    "timm's average": lambda s: {"state_dict_ema": s, "epoch": torch.tensor(1)},
    "best": lambda s: {"best_state_dict": s},
}


@pytest.mark.parametrize("how", sorted(WRAPPED))
def test_wrapped_state_dicts(tmp_path: Path, model: PoseModel, how: str) -> None:
    torch.save(WRAPPED[how](model.state_dict()), tmp_path / "a.pth")
    convert_file(tmp_path / "a.pth", tmp_path / "a.safetensors", "mmpose_rtmpose", "rtmpose_t")
    found, _ = load_model(tmp_path / "a.safetensors")
    for key, value in model.state_dict().items():
        assert torch.equal(found.state_dict()[key], value)


def test_a_file_of_ours_keeps_its_licence(tmp_path: Path) -> None:
    model = create("rtmpose_t")
    told = describe(model, licence="mine", origin="my run", training_data="my images")
    save_model(model, tmp_path / "a.safetensors", told)
    convert_file(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    _, info = load_model(tmp_path / "b.safetensors")
    assert (info.licence, info.origin, info.training_data) == ("mine", "my run", "my images")


def test_the_output_of_a_conversion_is_named_as_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(create("rtmpose_t").state_dict(), tmp_path / "a.pth")
    for name in ("net.onnx", "net"):
        assert main(["models", "convert", str(tmp_path / "a.pth"), "-o", str(tmp_path / name)]) == 2
        assert "a converted file is a .safetensors file" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_a_dictionary_within_itself_ends() -> None:
    loop: dict[str, Any] = {"w": np.zeros(1)}
    loop["state_dict"] = loop
    assert list(tensors_of(loop)) == ["w"]


def test_other_joints_are_converted_by_name(tmp_path: Path) -> None:
    skeleton = Skeleton("custom5", NAMES)
    model = create("simple_baseline_r50", skeleton=skeleton, input_size=(96, 128))
    state = {key.partition(".")[2]: value for key, value in model.state_dict().items()}
    torch.save(state, tmp_path / "a.pth")
    line = ["models", "convert", str(tmp_path / "a.pth"), "--as", "simple_baselines"]
    line += ["--variant", "r50_256x192", "--skeleton", ",".join(NAMES), "--input-size", "96x128"]
    assert main(line) == 0
    found, info = load_model(tmp_path / "a.safetensors")
    assert info.skeleton.joints == NAMES and info.codec.input_size == (96, 128)
    x = torch.rand(1, 3, 128, 96)
    with torch.no_grad():
        assert torch.equal(found.compute(x)["heatmap"], model.compute(x)["heatmap"])


def test_another_input_size_is_read_off_or_stated(tmp_path: Path) -> None:
    torch.save(create("rtmpose_t", input_size=(64, 96)).state_dict(), tmp_path / "a.pth")
    to = tmp_path / "a.safetensors"
    done = convert_file(tmp_path / "a.pth", to, "mmpose_rtmpose", "rtmpose_t")
    assert done.assumed == {"input_size": (64, 96)}
    assert load_model(to)[1].codec.input_size == (64, 96)
    done = convert_file(tmp_path / "a.pth", to, "mmpose_rtmpose", "rtmpose_t", input_size=(64, 96))
    assert done.assumed == {}
    with pytest.raises(ModelError, match="different shapes"):
        convert_file(tmp_path / "a.pth", to, "mmpose_rtmpose", "rtmpose_t", input_size=(192, 256))


@pytest.mark.parametrize("size", ["192", "0x4", "axb", "192x256x3"])
def test_an_input_size_that_cannot_be_is_a_usage_error(tmp_path: Path, size: str) -> None:
    line = ["models", "convert", str(tmp_path / "a.pth"), "--as", "hrnet", "--input-size", size]
    assert main(line) == 2


def test_the_embedded_network_keeps_its_codec(tmp_path: Path) -> None:
    source, to = EMBEDDED["movenet-thunder"].path, tmp_path / "a.safetensors"
    convert_file(source, to, "movenet", "movenet_thunder")
    ours, theirs = load_runtime(to), load_runtime(source, runtime="onnxruntime")
    assert ours.codec == theirs.codec and ours.codec.input_size == (192, 256)
    assert ours.info.attribution == theirs.info.attribution
    assert (ours.info.licence, ours.info.origin) == (theirs.info.licence, theirs.info.origin)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The variants that are built: up to 395, each of which takes a third of a second."""
    names: list[str] = []
    real = fitting.built

    def counted(table: Foreign, name: str, own: dict[str, Any]) -> torch.nn.Module:
        names.append(name)
        return real(table, name, own)

    monkeypatch.setattr(fitting, "built", counted)
    return names


@pytest.mark.parametrize(("family", "most"), [("simcc", 8), ("hrnet", 4), ("mmpose_rtmpose", 5)])
def test_a_wrong_file_makes_one_network_for_all_views_of_it(
    family: str, most: int, made: list[str]
) -> None:
    table = foreign(family)
    with pytest.raises(ModelError, match=f"no network of {family} matches"):
        fitting.fitting({"a.b": torch.zeros(3)}, table, list(table.variants), {})
    assert len(made) == most < len(table.variants)


def wider(state: State, head: str) -> State:
    return {k: v.new_zeros([n + 1 for n in v.shape]) if head in k else v for k, v in state.items()}


HEADS: dict[str, Callable[[State], State]] = {
    "missing": lambda s: {k: v for k, v in s.items() if "head" not in k and "final" not in k},
    "another": lambda s: {f"x.{k}" if "final" in k or "head" in k else k: v for k, v in s.items()},
    "wider": lambda s: wider(wider(s, "final"), "head"),
    "other bins": lambda s: wider(s, "mlp_head"),
    "one more": lambda s: {**s, "mlp_head_z.weight": torch.zeros(384, 288)},
}


@pytest.mark.parametrize("how", sorted(HEADS))
@pytest.mark.parametrize(
    ("network", "codec"),
    [("hrnet_w32", "heatmap"), ("hrnet_w48", "simdr"), ("simcc_r152_upsample_free", "simdr")],
)
def test_wrong_heads_on_a_right_backbone_make_few_networks(
    network: str, codec: str, how: str, made: list[str]
) -> None:
    if how == "other bins" and codec == "heatmap":
        pytest.skip("a head of heatmaps has no bins")
    with torch.device("meta"):
        state = create(network, codec=codec).state_dict()
    own = {key.removeprefix("backbone.").removeprefix("head."): v for key, v in state.items()}
    table = foreign("simcc")
    with pytest.raises(ModelError, match="no network of simcc matches"):
        fitting.fitting(HEADS[how](own), table, list(table.variants), {})
    assert len(made) <= 20 < len(table.variants)


def test_every_variant_of_many_is_recognised(made: list[str]) -> None:
    table = foreign("simcc")
    for name in list(table.variants)[5::90]:
        with torch.device("meta"):
            model = table.variants[name]()
        state = {
            k.removeprefix("backbone.").removeprefix("head."): v
            for k, v in model.state_dict().items()
        }
        made.clear()
        _, fits = fitting.fitting(state, table, list(table.variants), {})
        assert name in fits and len(made) <= 20


def test_a_file_of_ours_is_used_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(create("adaptivepose_dla34", input_size=(64, 64)), tmp_path / "trained.safetensors")
    for name in ("trained.safetensors", EMBEDDED["nanodet-g-person"].path):
        words = ["models", "convert", str(tmp_path / name), "-o", str(tmp_path / "o.safetensors")]
        assert main(words) == 2
        assert "is a file of posewright already; use it as it is" in capsys.readouterr().err
