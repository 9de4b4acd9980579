"""Saving, converting, exporting: one file goes from the authors to every runtime unchanged."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from torch import nn

from posewright import Pose
from posewright.checkpoints import convert, foreign
from posewright.checkpoints.conversion import convert_file
from posewright.cli import main
from posewright.cli.demo import CLIP
from posewright.codecs import Heatmap
from posewright.errors import MissingError, ModelError, OutputError, SourceError, UsageError
from posewright.export.agreement import real_crops
from posewright.export.export import Check, export, fold_batch_norm, require_agreement
from posewright.export.openvino import crops_of
from posewright.models import PoseModel, create
from posewright.models.counting import count
from posewright.models.hrformer import LocalAttention
from posewright.models.saving import describe, load_model, save_model
from posewright.runtimes import load_model as load_runtime
from posewright.skeletons import Skeleton
from posewright.sources import open_source

pytestmark = pytest.mark.usefixtures("reading_here")

SMALL = {"input_size": (96, 128)}


def trained(name: str = "simple_baseline_r50", **options: object) -> PoseModel:
    """A network whose batch norms do something."""
    torch.manual_seed(0)
    model = create(name, **{**SMALL, **options})
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


@pytest.fixture(scope="module")
def model() -> PoseModel:
    return trained()


@pytest.fixture(scope="module")
def saved(model: PoseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "net.safetensors"
    save_model(model, path, describe(model, licence="MIT", origin="here", training_data="none"))
    return path


def test_a_saved_file_builds_its_network_again(model: PoseModel, saved: Path) -> None:
    again, info = load_model(saved)
    assert (again.name, info.licence, info.origin) == ("simple_baseline_r50", "MIT", "here")
    assert again.codec == model.codec and again.skeleton == model.skeleton
    x = torch.rand(2, 3, 128, 96)
    with torch.no_grad():
        assert torch.equal(again.compute(x)["heatmap"], model.compute(x)["heatmap"])


def test_options_survive_the_file(tmp_path: Path) -> None:
    skeleton = Skeleton("mine", ("left_a", "right_a", "b"), ((0, 2),))
    codec = Heatmap(input_size=(96, 128), refine="dark", sigma=1.5)
    made = trained(skeleton=skeleton, codec=codec)
    save_model(made, tmp_path / "a.safetensors")
    again, info = load_model(tmp_path / "a.safetensors")
    assert again.skeleton == info.skeleton == skeleton and again.codec == codec


def test_a_named_network_is_built_as_its_file_says(tmp_path: Path) -> None:
    made = create("dekr_w32", input_size=(128, 128), skeleton="crowdpose14", rescore=True)
    path = tmp_path / "rescored.safetensors"
    save_model(made, path)
    again, info = load_model(path, "dekr_w32")
    assert again.skeleton == info.skeleton == made.skeleton and again.codec == made.codec
    wider, info = load_model(path, "dekr_w32", {"input_size": (256, 256)})
    assert wider.codec == info.codec and info.codec.input_size == (256, 256)
    closer = replace(made.codec, near=0.1)  # type: ignore[type-var]
    save_model(made, path, replace(describe(made), codec=closer))
    assert load_model(path, "dekr_w32", {"rescore": True})[0].codec == closer
    bare = tmp_path / "bare.safetensors"
    safetensors.torch.save_file(made.state_dict(), bare)
    again, info = load_model(bare, "dekr_w32", made.options)
    assert (again.codec, info.codec) == (made.codec, made.codec)


def test_weights_that_do_not_belong_are_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="of simple_baseline_r50, not of hrnet_w32"):
        load_model(saved, "hrnet_w32")
    with pytest.raises(ModelError, match=r"head\.final_layer\.weight \(17, .*skeleton"):
        load_model(saved, "simple_baseline_r50", {"skeleton": "mpii16"})
    bare = tmp_path / "bare.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, bare)
    with pytest.raises(ModelError, match="does not say which network"):
        load_model(bare)
    with pytest.raises(ModelError, match="unknown a, missing backbone"):
        load_model(bare, "simple_baseline_r50", SMALL)
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"junk" * 10)
    with pytest.raises(ModelError, match="models convert"):
        load_model(junk)


def published(model: PoseModel) -> dict[str, torch.Tensor]:
    """A state dict as the authors of Simple Baselines name it."""
    return {k.partition(".")[2]: v for k, v in model.state_dict().items()}


def test_convert_names_what_does_not_fit(model: PoseModel) -> None:
    state = published(model)
    family = foreign("simple_baselines")
    assert len(convert(state, family, model)) == len(state)
    state["surprise.weight"] = state.pop("conv1.weight")
    with pytest.raises(ModelError) as caught:
        convert(state, family, model)
    message = str(caught.value)
    assert "unknown keys: surprise.weight" in message and "\n" not in message
    assert "missing keys: backbone.conv1.weight" in message
    with pytest.raises(UsageError, match="did you mean 'simple_baselines'"):
        foreign("simple_baseline")
    counters = {k: v for k, v in published(model).items() if "num_batches" not in k}
    assert len(convert(counters, family, model)) == len(model.state_dict())


def test_convert_a_checkpoint_and_predict(model: PoseModel, tmp_path: Path) -> None:
    source, target = tmp_path / "a.pth.tar", tmp_path / "a.safetensors"
    torch.save({"state_dict": published(model), "epoch": 1}, source)
    done = convert_file(source, target, "simple_baselines")
    assert done.variant == "r50_256x192" and "r50_384x288" in done.alternatives
    assert load_model(target)[0].codec.input_size == (192, 256)
    with pytest.raises(UsageError, match="no variant 'r50'"):
        convert_file(source, target, "simple_baselines", "r50")
    with pytest.raises(ModelError, match="no network of hrnet matches"):
        convert_file(source, target, "hrnet")
    image = np.zeros((300, 200, 3), np.uint8)
    pose = Pose(target, detector="whole-image", min_score=0, threads=1)
    assert pose(image, color="rgb").keypoints.shape == (1, 17, 2)  # type: ignore[union-attr]


def test_folding_changes_nothing(model: PoseModel) -> None:
    class Maps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network.compute(x)["heatmap"]

    x = torch.rand(2, 3, 128, 96)
    folded = fold_batch_norm(Maps().eval(), x)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    with torch.no_grad():
        a, b = Maps().eval()(x), folded(x)
    assert torch.linalg.norm(a - b) < 1e-5 * torch.linalg.norm(a)


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_exported_files_run_and_agree(
    format: str, model: PoseModel, saved: Path, tmp_path: Path
) -> None:
    path = tmp_path / ("net.onnx" if format == "onnx" else "net.xml")
    info = load_model(saved)[1]
    info = replace(info, codec=replace(model.codec, padding=1.1))  # type: ignore[type-var]
    result = export(model, path, format=format, info=info)  # type: ignore[arg-type]
    assert result is not None and result.error < 1e-4 and result.pixels < 0.01
    there = load_runtime(path, precision="fp32")
    assert there.info.licence == "MIT" and there.info.codec == info.codec != model.codec
    views = real_crops(model.codec, 3)
    here = load_runtime(saved, device="cpu")
    assert here.runtime.startswith("torch")
    for one, other in zip(
        model.codec.decode(here(views)), model.codec.decode(there(views)), strict=True
    ):
        assert np.allclose(one.keypoints, other.keypoints, atol=0.05)
    expected = {"net.onnx"} if format == "onnx" else {"net.xml", "net.bin"}
    assert {p.name for p in tmp_path.iterdir()} == expected


def test_weights_too_large_for_one_file_lie_beside_it(
    model: PoseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, beside = tmp_path / "é.onnx", tmp_path / "é.onnx.data"
    with monkeypatch.context() as context:
        context.setattr("posewright.export.export.ONE_FILE", 1e6)
        result = export(model, path)
    assert result is not None and result.error < 1e-4
    assert path.stat().st_size < 1e6 < beside.stat().st_size
    for runtime in ("onnxruntime", "openvino"):
        assert load_runtime(path, runtime=runtime, precision="fp32").codec == model.codec
    assert sorted(tmp_path.iterdir()) == [path, beside]
    os.replace(beside, tmp_path / "lost")
    with pytest.raises(ModelError, match="é"):
        load_runtime(path, runtime="onnxruntime")
    os.replace(tmp_path / "lost", beside)
    export(model, path, check=False)  # in one file: the old part would be taken for the new one's
    assert [*tmp_path.iterdir()] == [path]
    folder = tmp_path / "nowhere"
    with pytest.raises(OutputError, match="cannot be written"):
        export(model, folder / "net.onnx")


def test_attention_with_a_learned_bias_is_exported(tmp_path: Path) -> None:
    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.attention = nn.Conv2d(3, 16, 4, 4), LocalAttention(16, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.attention(self.patches(x).permute(0, 2, 3, 1))
            return y.permute(0, 3, 1, 2)

    class Maps(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
            return {"heatmap": super().forward(x)}

    torch.manual_seed(0)
    made = PoseModel(Windows(), Maps(16, 17, 1), Heatmap(input_size=(96, 128)), "coco17")
    result = export(made, tmp_path / "net.onnx")
    assert result is not None and result.error < 1e-5 and result.people == 8
    assert result.found == 1 + 2 + 3 + 7  # in each of the batches
    assert all(p.requires_grad for p in made.parameters())


def test_a_graph_for_other_tools(model: PoseModel, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    export(model, path, seed_input=True, fixed_batch=1)
    graph = onnx.load(path).graph
    shape = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
    assert (graph.input[0].name, shape) == ("input", [1, 3, 128, 96])
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert load_runtime(path, runtime="onnxruntime").info.input == model.pixels


@contextmanager
def spoilt(monkeypatch: pytest.MonkeyPatch, change: Callable[[nn.Module], None]) -> Iterator[None]:
    """What is written is another network than the one that it is compared with."""
    from posewright.export import export as module

    def fold(graph: nn.Module, *x: torch.Tensor) -> nn.Module:
        folded = fold_batch_norm(graph, *x)
        with torch.no_grad():
            change(folded)
        return folded

    with monkeypatch.context() as patch:
        patch.setattr(module, "fold_batch_norm", fold)
        yield


def last_convolution(graph: nn.Module) -> nn.Conv2d:
    return [m for m in graph.modules() if isinstance(m, nn.Conv2d)][-1]


def test_a_file_that_differs_is_not_kept(
    model: PoseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(graph: nn.Module) -> None:
        nn.init.normal_(last_convolution(graph).weight)

    with (
        spoilt(monkeypatch, other),
        pytest.raises(ModelError, match="the file was not kept") as caught,
    ):
        export(model, tmp_path / "net.onnx")
    distance = re.search(r"joints by ([\d.]+) px", str(caught.value))
    assert distance is not None and float(distance[1]) > 1
    assert list(tmp_path.iterdir()) == []


def higher(graph: nn.Module) -> None:
    """Everything of the outputs stays in its place."""
    last_convolution(graph).weight *= 1.01
    last_convolution(graph).bias *= 1.01


def test_outputs_that_differ_are_refused_where_no_joint_does(
    model: PoseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        spoilt(monkeypatch, higher),
        pytest.raises(ModelError, match=r"joints by 0\.000 px .* outputs by 1\.0e-02"),
    ):
        export(model, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_nan_is_refused(model: PoseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(graph: nn.Module) -> None:
        last_convolution(graph).bias[3] = torch.nan

    with spoilt(monkeypatch, one), pytest.raises(ModelError, match="hold NaN or infinity: heatmap"):
        export(model, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "pixels", "kept"),
    [(0.0, 0.05, True), (0.0, 5.0, False), (1e-6, 5.0, True), (np.nan, 0.0, False)],
)
def test_joints_may_differ_by_ties_alone(error: float, pixels: float, kept: bool) -> None:
    found = Check(error, pixels, pixels, 8, 8)
    with nullcontext() if kept else pytest.raises(ModelError, match="the file was not kept"):
        require_agreement(Path("net.onnx"), found, 0.1, np.inf)


def test_int8_says_nothing_among_what_is_printed(
    saved: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("nncf")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    with open_source(str(CLIP)) as source:
        cv2.imwrite(str(pictures / "frame.png"), next(iter(source)).image[..., ::-1])
    target = tmp_path / "net.xml"
    arguments = ["export", saved, "--format", "openvino", "--int8", "--calibrate", pictures]
    code = main([str(a) for a in (*arguments, "--tolerance", 50, "-o", target, "--json")])
    told = json.loads(capfd.readouterr().out)
    assert code == 0 and told["file"] == str(target) and told["bytes"] < 40e6


def test_counting_gives_the_figures_of_the_papers() -> None:
    with torch.device("meta"):
        hrnet, baseline = create("hrnet_w32"), create("simple_baseline_r50")
    assert round(count(hrnet).gflops, 1) == 7.1
    assert round(count(baseline).gflops, 2) == 8.99
    assert round(count(baseline).gmacs, 2) == 5.43
    assert count(baseline).parameters == 33_999_697


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    code = main([str(a) for a in args])
    out, err = capsys.readouterr()
    return code, out, err


def test_command_line(
    model: PoseModel, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "models", "info", saved, "--json")
    assert code == 0 and json.loads(out)["licence"] == "MIT"
    code, out, _ = run(capsys, "models", "info", "hrnet_w32", "--json")
    told = json.loads(out)
    assert told["parameters"] == 28_536_113 and told["gflops"] == 7.12
    assert "hrnet_w32-coco-256x192" in told["weights"]
    code, out, _ = run(capsys, "models", "list")
    assert "simple_baseline_r152" in out and "movenet-thunder" in out
    code, out, _ = run(capsys, "models", "list", "--published", "--json")
    assert len(json.loads(out)) > 100
    source = tmp_path / "a.pth"
    torch.save(published(model), source)
    code, out, err = run(capsys, "models", "convert", source, "--as", "simple_baselines")
    assert code == 0 and "match as well" in err and (tmp_path / "a.safetensors").is_file()
    code, _, err = run(capsys, "models", "convert", source, "--as", "simple_baselines")
    assert code == 2 and "--overwrite" in err
    target = tmp_path / "net.onnx"
    code, out, _ = run(capsys, "export", saved, "-o", target, "--ascend")
    assert code == 0 and '--input_shape="input:1,3,128,96"' in out and "--insert_op_conf" in out
    settings = (tmp_path / "aipp.cfg").read_text()
    assert "rbuv_swap_switch: false" in settings and "min_chn_0: 123.675" in settings
    shape = [d.dim_value for d in onnx.load(target).graph.input[0].type.tensor_type.shape.dim]
    assert shape == [1, 3, 128, 96]
    for wrong, words in (
        (["export", "hrnet_w32"], "no weights of its own"),
        (["export", saved, "-o", target], "--overwrite"),
        (["export", saved, "-o", tmp_path / "b.xml"], "end in .onnx"),
        (["export", saved, "--int8", "-o", tmp_path / "c.onnx"], "--calibrate"),
        (["export", saved, "--ascend", "--input", "views", "-o", tmp_path / "c.onnx"], "AIPP"),
        (["export", saved, "--ascend", "-o", tmp_path / "c.onnx"], "aipp.cfg exists"),
        (["export", saved, "-o", tmp_path / "c.mindir"], "MINDIR is not provided; export .onnx"),
        (["export", saved, "-o", tmp_path / "c.om"], "an .om file is not provided"),
        (["models", "info", "hrnet_w3"], "no model 'hrnet_w3'"),
        (["models", "pull", "hrnet_w32-coco-256x192", "--offline"], "offline"),
        (["models", "pull", "alphapose_fastpose_r50"], "browser"),
        (["models", "pull", "yolo_pose_s6-960"], "--unverified"),
        (["predict", tmp_path, "-m", "hrnet_w32", "-o", tmp_path / "out"], "--weights"),
    ):
        code, _, err = run(capsys, *wrong)
        assert code == 2 and words in err and len(err.strip().splitlines()) == 1
    code, _, err = run(capsys, "models", "path", "hrnet_w32-coco-256x192")
    assert code == 4 and "models pull" in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("net.safetensors --format torch --fixed-batch 2", "--fixed-batch has no effect with"),
        ("net.safetensors --format torch --input normalised", "--input normalised has no effect"),
        ("net.safetensors --format torch --tolerance 0", "--tolerance has no effect with"),
        ("net.safetensors --no-check --tolerance 1", "--tolerance has no effect with --no-check"),
        ("net.safetensors -w nowhere", "--weights has no effect with a file"),
        ("net.safetensors --stn", "--stn has no effect with a file"),
        ("net.safetensors --random-weights", "--random-weights has no effect with a file"),
        ("rle_r50 -w net --random-weights", "--random-weights has no effect with --weights"),
        (
            "rle_r50 --random-weights --format openvino --input normalised --ascend",
            "--ascend has no effect",
        ),
        ("rle_r50 --random-weights --format torch --ascend", "--ascend has no effect"),
        ("osnet_x1_0 --random-weights --fixed-batch -1", "invalid fixed batch -1"),
        ("osnet_x1_0 --random-weights --tolerance nan", "tolerance nan px; give 0 or more"),
        ("osnet_x1_0 --random-weights --tolerance -0.5", "tolerance -0.5 px"),
    ],
)
def test_options_without_an_effect_are_refused(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "export", *words.split())
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_runtimes_refuse_files_of_others(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="posewright export"):
        load_runtime(saved, runtime="onnxruntime")
    with pytest.raises(UsageError, match="torch runs networks of the zoo"):
        load_runtime(tmp_path / "a.onnx", runtime="torch")
    with pytest.raises(UsageError, match="contains its weights"):
        load_runtime(tmp_path / "a.onnx", weights=saved)
    with pytest.raises(MissingError, match="missing on this machine"):
        load_runtime(saved, device="mps")
    with pytest.raises(UsageError, match="torch has no device 'cudaa'"):
        load_runtime(saved, device="cudaa")


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_a_full_disk_is_one_line(
    model: PoseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.onnx, "export", full)
    path = tmp_path / ("a.onnx" if format == "onnx" else "a.xml")
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"):
        export(model, path, format=format)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_to_calibrate_with_is_never_a_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def camera(*_: object, **__: object) -> None:
        raise AssertionError("a camera was opened")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("posewright.sources.stream.open_camera", camera)
    for name in ("3", "camera:0"):
        with pytest.raises(SourceError, match=f"no such file or folder: .*{name}"):
            crops_of(Path(name), None)
    (tmp_path / "3").mkdir()
    with pytest.raises(SourceError, match=r"no images in the folder .*3"):
        crops_of(Path("3"), None)
