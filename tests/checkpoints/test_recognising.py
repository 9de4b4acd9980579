"""Whose checkpoint a file is, told by the names and shapes of its tensors."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from posewright.checkpoints import fitting, foreigns
from posewright.checkpoints.conversion import convert_file
from posewright.checkpoints.recognising import readings, recognise
from posewright.cli import main
from posewright.datasets.converting import convert
from posewright.datasets.synthetic import synth
from posewright.errors import ModelError, UsageError
from posewright.models import create
from posewright.models.saving import load_model
from posewright.skeletons import Skeleton

pytestmark = pytest.mark.usefixtures("reading_here")

ROOT = Path(__file__).parents[2]
FIXTURES = {
    path.name.partition(".")[0]: path
    for folder in (ROOT.parent / "shared" / "parity", ROOT / "tests" / "parity")
    for path in folder.glob("*.json.gz")
}
# an original of each kind of names -> the families that have them, the first one meant
ORIGINALS = {
    "adaptivepose__hrnet_32": ["adaptivepose"],
    "alphapose_fastpose__fastpose_r50_dcn": ["alphapose"],
    "dekr__coco_w32_w32_4x_reg03_bs10_512_adam_lr1e_3_coco_x140": ["dekr"],
    "hf_vitpose__plus_small": ["vitpose_hf"],
    "hrformer_orig__hrt_small_coco_256x192": ["hrformer"],
    "hrnet__w32_256x192": ["hrnet", "alphapose"],
    "hrnet_lite__no_stage4": ["hrnet_lite"],
    "lite_hrnet_orig__litehrnet_18_coco_256x192": ["lite_hrnet", "mmpose_litehrnet"],
    "movenet_fire717__movenet_mobilenetv2_17kpt": ["movenet_fire717"],
    "movenet_leeman__movenet_lightning": ["movenet_leeman"],
    "posefix_pt__r50_384x288": ["posefix"],
    "poseur__poseur_mobilenetv2_coco_256x192": ["poseur"],
    "rle__res50_256x192": ["rle"],
    "simple_baselines__r50_256x192": ["simple_baselines", "simple_pose"],
    "simple_pose_lm__duc_r50_se": ["simple_pose"],
    "tokenpose__coco_tokenpose_tokenpose_t_256_192_patch1612_dim192_depth12_heads16": ["tokenpose"],
    "torchreid__osnet_ain_x1_0": ["torchreid"],
    "torchreid__resnet50_fc512": ["torchreid"],
    "vitpose_orig__small": ["vitpose"],
    "yolopose__yolov5s6_kpts": ["yolo_pose"],
    "zoo_mmpose__deeppose_res50": ["mmpose_regression"],
    "zoo_mmpose__dekr_w32": ["mmpose_dekr"],
    "zoo_mmpose__hrnet_w32": ["mmpose_hrnet"],
    "zoo_mmpose__res50": ["mmpose_resnet"],
    "zoo_mmpose__rtmo_s": ["mmpose_rtmo"],
    "zoo_mmpose__rtmpose_s": ["mmpose_rtmpose"],
    "zoo_mmpose__seresnet50": ["mmpose_seresnet"],
    "zoo_mmpose__simcc_mobilenetv2": ["mmpose_simcc"],
    "zoo_mmpose__vitpose_b": ["mmpose_vitpose"],
    "zoo_mmpose__yoloxpose_tiny": ["mmpose_yoloxpose"],
}
State = dict[str, torch.Tensor]


def original(name: str) -> State:
    """Return the names and shapes of an original's tensors."""
    if name not in FIXTURES:
        pytest.skip("no fixtures of the originals beside the repository")
    keys = json.loads(gzip.decompress(FIXTURES[name].read_bytes()))["keys"]
    return {
        key: torch.empty(shape, dtype=getattr(torch, kind), device="meta")
        for key, shape, kind, _ in keys
    }


@pytest.mark.parametrize("name", ORIGINALS)
def test_originals_are_recognised(name: str) -> None:
    found = recognise(original(name), [], None, {})
    assert [match.family.name for match in found] == ORIGINALS[name]
    assert all(match.options == {} for match in found)


@pytest.mark.parametrize("name", sorted(FIXTURES))
def test_marks_let_the_right_family_through(name: str) -> None:
    """No network is built: of every original, the family is among those that are tried."""
    system = name.partition("__")[0]
    ours = {
        "alphapose_fastpose": "alphapose",
        "hf_vitpose": "vitpose_hf",
        "hrformer_orig": "hrformer",
        "lite_hrnet_orig": "lite_hrnet",
        "posefix_pt": "posefix",
        "simple_pose_lm": "simple_pose",
        "vitpose_orig": "vitpose",
        "yolopose": "yolo_pose",
        "hrnet_imagenet": "imagenet_hrnet",
    }.get(system, system)
    state, known = original(name), foreigns()
    tried = {family.name for family in known.values() if not family.lacking(state)}
    if system == "zoo_mmpose":
        assert any(family.startswith("mmpose_") for family in tried)
    elif ours in known:
        assert ours in tried
    assert len(tried) <= 4
    assert all(family.marks for family in known.values())


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: value for key, value in state.items()}


def hrnet(count: int) -> State:
    """The names of HRNet's authors, with joints of one's own."""
    joints = Skeleton("own", tuple(f"j{i}" for i in range(count)))
    with torch.device("meta"):
        state = create("simple_baseline_r50", skeleton=joints).state_dict()
    return {key.partition(".")[2]: value for key, value in state.items()}


TRAINERS: dict[str, Callable[[State], State]] = {
    "Lightning with a loss": lambda s: {**prefixed(s, "model."), "criterion.w": torch.zeros(2)},
    "Lightning with an average": lambda s: {**prefixed(s, "model."), **prefixed(s, "ema_model.")},
    "compiled in Lightning in DataParallel": lambda s: prefixed(s, "module.model.net."),
    "mmcv's average": lambda s: {**s, **{"ema_" + k.replace(".", "_"): v for k, v in s.items()}},
    "mmengine's average": lambda s: {"steps": torch.zeros(1), **prefixed(s, "module.")},
    "a backbone": lambda s: prefixed(s, "backbone."),
}


@pytest.mark.parametrize("how", sorted(TRAINERS))
def test_what_trainers_put_around_a_network(how: str) -> None:
    match = recognise(TRAINERS[how](hrnet(17)), [], None, {})[0]
    assert match.family.name == "simple_baselines" and match.options == {}
    assert set(match.state) == set(hrnet(17))


@pytest.mark.parametrize("count", [1, 5, 21, 133])
def test_any_number_of_joints(count: int) -> None:
    match = recognise(hrnet(count), [], None, {})[0]
    assert match.family.name == "simple_baselines"
    assert len(match.options["skeleton"]) == count


@pytest.mark.parametrize("size", [(64, 96), (224, 320), (256, 256), (416, 96)])
@pytest.mark.parametrize("count", [17, 9])
def test_bins_tell_the_input_size(size: tuple[int, int], count: int) -> None:
    joints = Skeleton("own", tuple(f"j{i}" for i in range(count)))
    with torch.device("meta"):
        state = create("rtmpose_t", skeleton=joints, input_size=size).state_dict()
    (match,) = recognise(state, [], None, {})
    assert match.family.name == "mmpose_rtmpose" and match.options["input_size"] == size
    assert len(match.options.get("skeleton", range(17))) == count


def test_a_converted_file_keeps_its_numbers_and_says_what_was_assumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    joints = Skeleton("own", ("a", "b", "c"))
    model = create("rtmpose_t", skeleton=joints, input_size=(64, 96))
    torch.save(
        {"state_dict": prefixed(model.state_dict(), "model."), "epoch": 1}, tmp_path / "a.pt"
    )
    assert main(["models", "convert", str(tmp_path / "a.pt")]) == 0
    told = capsys.readouterr().err
    assert "note: recognised as mmpose_rtmpose, rtmpose_t" in told
    assert "3 joints, which the file does not name: assumed to be custom3" in told
    assert "input size 64x96" in told
    found, info = load_model(tmp_path / "a.safetensors")
    assert info.codec.input_size == (64, 96) and len(info.skeleton) == 3
    for key, value in model.state_dict().items():
        assert torch.equal(found.state_dict()[key], value)


def test_several_families_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = create("simple_baseline_r50")
    torch.save({k.partition(".")[2]: v for k, v in model.state_dict().items()}, tmp_path / "a.pth")
    assert main(["models", "convert", str(tmp_path / "a.pth"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["family"] == "simple_baselines"
    assert told["other_families"] == {"simple_pose": "dconv_r50"}
    done = convert_file(tmp_path / "a.pth", tmp_path / "b.safetensors", "simple_pose")
    assert (done.family, done.others) == ("simple_pose", {})


def test_what_no_family_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ModelError, match=r"names such as a\.b; the families are adaptivepose, alphapose"
    ):
        recognise({"a.b": torch.zeros(3)}, [], None, {})
    halved = {k: v for k, v in hrnet(17).items() if not k.startswith("final_layer")}
    with pytest.raises(ModelError, match=r"simple_baselines lacks final_layer\."):
        recognise(halved, [], None, {})
    if "torchvision__resnet50" in FIXTURES:
        with pytest.raises(ModelError, match=r"imagenet_resnet: a classifier trained on ImageNet"):
            recognise(original("torchvision__resnet50"), [], None, {})


def test_a_missing_tensor_is_named() -> None:
    state = hrnet(17)
    del state["layer2.0.conv1.weight"]
    with pytest.raises(ModelError, match=r"missing keys: backbone\.layer2\.0\.conv1\.weight"):
        recognise(state, [], None, {})


def test_a_variant_without_its_family() -> None:
    state = hrnet(17)
    (match,) = recognise(state, [], "dconv_r50", {})
    assert match.family.name == "simple_pose"
    with pytest.raises(UsageError, match="name the family with --as"):
        recognise(state, [], "none_such", {})


def test_a_wrong_file_makes_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> torch.nn.Module:
        raise AssertionError("a network was made")

    monkeypatch.setattr(fitting, "built", refused)
    with pytest.raises(ModelError, match="no family"):
        recognise({f"blocks.{i}.w": torch.zeros(2) for i in range(9)}, [], None, {})


def test_readings_end() -> None:
    deep = {"model." * 50 + f"w{i}": torch.zeros(1) for i in range(5)}
    assert len(list(readings(deep))) <= 10


@pytest.mark.parametrize(
    "line",
    [
        "predict {image} -m {file} -o {out}",
        "predict {image} -m simple_baseline_r50 -w {file} -o {out}",
        "export {file} -o {out}/a.onnx",
        "export simple_baseline_r50 -w {file} -o {out}/a.onnx",
        "models info {file}",
        "train {image} -m {file}",
        "bench -m {file}",
        "eval coco --ann {file} -m {file}",
        "compare {file} --data coco:{labels}",
    ],
)
def test_every_verb_says_the_line_that_converts(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own net.pth"
    torch.save({"w": torch.zeros(2)}, file)
    image = ROOT / "docs" / "demo.jpg"
    labels = tmp_path / "labels.json"
    convert(synth(tmp_path / "drawn", 1, seed=1), labels, "coco")
    given = {"file": file, "image": image, "labels": labels, "out": tmp_path / "out"}
    words = [word.format(**given) for word in line.split()]
    assert main(words) in (2, 4)
    told = f"posewright models convert '{file}' -o '{file.with_suffix('.safetensors')}'"
    assert told in capsys.readouterr().err


def test_joints_and_size_are_stated_without_the_family(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Families of detectors take no joints, and others no such size: they are passed over."""
    nine = Skeleton("nine", tuple("abcdefghi"))
    file = tmp_path / "own.pth"
    torch.save(create("simple_baseline_r50", skeleton=nine).state_dict(), file)
    for words in (["--skeleton", "a,b,c,d,e,f,g,h,i"], ["--input-size", "288x384"]):
        out = tmp_path / f"{words[0][2:]}.safetensors"
        assert main(["models", "convert", str(file), "-o", str(out), *words]) == 0
        assert out.is_file()
    capsys.readouterr()
    twice = [
        "models",
        "convert",
        str(file),
        "--skeleton",
        "a,a,b,c,d,e,f,g,h",
        "-o",
        "x.safetensors",
    ]
    assert main(twice) == 2
    assert "names a joint twice" in capsys.readouterr().err
    before = file.read_bytes()
    assert main(["models", "convert", str(file), "-o", str(file), "--overwrite"]) == 4
    assert "would replace its own source" in capsys.readouterr().err
    assert file.read_bytes() == before
