"""Every fixture of the originals: equal numbers of parameters, outputs within 1e-4.

Those of torchreid and GraFormer are beside this file, made as benchmarks/parity.py says; and the
command itself: damaged fixtures, lists, its total and exit code.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from posewright.checkpoints import foreign
from posewright.checkpoints.conversion import convert_file
from posewright.models import create
from posewright.models.saving import load_model

ROOT = Path(__file__).parents[2]
# Fixtures of networks that the zoo does not have yet.
WAITING = frozenset("detrpose dfine ecpose hardnet rfdetr yolov5_v6".split())


def system(path: Path) -> str:
    return path.name.partition("__")[0]


EVERY = sorted((ROOT.parent / "shared" / "parity").glob("*.json.gz"))
FIXTURES = [path for path in EVERY if system(path) not in WAITING]
HERE = Path(__file__).parent
TORCHREID = sorted(HERE.glob("torchreid__*.json.gz"))
GRAFORMER = HERE / "graformer__h128_l4.json.gz"


@pytest.fixture(scope="session")
def parity() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity", ROOT / "benchmarks" / "parity.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["parity"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not FIXTURES, reason="no fixtures of the originals beside the repository")
def test_there_are_fixtures() -> None:
    assert len(FIXTURES) >= 50


@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: p.name.partition(".")[0])
def test_equals_the_original(
    path: Path, parity: ModuleType, record_property: Callable[[str, object], None]
) -> None:
    report = parity.check(path)
    record_property("said", str(report))
    assert report.passed


@pytest.mark.parametrize("name", sorted(WAITING & set(map(system, EVERY))))
def test_no_family_has_it_yet(name: str, parity: ModuleType) -> None:
    """A network that is built leaves the list of those that wait, and is compared."""
    for path in EVERY:
        if system(path) == name:
            report = parity.check(path)
            assert not report.passed and f"no family knows {name}" in str(report)


@pytest.mark.parametrize("path", TORCHREID, ids=lambda p: p.name.partition(".")[0])
def test_equals_torchreid(path: Path, parity: ModuleType) -> None:
    """Without the classifier, which is dropped."""
    report = parity.check(path)
    assert report.passed and report.error <= 1e-5, report


def test_all_of_torchreid_are_there() -> None:
    assert len(TORCHREID) == 8


def test_equals_graformer(parity: ModuleType) -> None:
    """With positive learnt graphs: the original takes roots of the sums of their columns."""
    report = parity.check(GRAFORMER)
    assert report.passed and report.error <= 1e-5, report


@pytest.mark.parametrize("path", [p for p in EVERY if system(p) == "darknet"], ids=lambda p: p.name)
def test_a_weights_file_is_read_to_the_byte(path: Path, parity: ModuleType, tmp_path: Path) -> None:
    """The file that Darknet's own program read, of layers by number, shift before scale."""
    fixture = opened(path)
    state = parity.original(fixture)
    parts = ("batch_norm_{}.bias", "batch_norm_{}.weight", "batch_norm_{}.running_mean")
    order = (*parts, "batch_norm_{}.running_var", "conv_{}.bias", "conv_{}.weight")
    numbers = sorted({int(key.split(".")[1]) for key in state})
    keys = [f"module_list.{n}.{part.format(n)}" for n in numbers for part in order]
    file = tmp_path / "yolov3.weights"
    with file.open("wb") as out:
        out.write(struct.pack("<3iQ", 0, 2, 5, 0))
        for key in keys:
            if key in state:
                out.write(state[key].numpy().astype("<f4").tobytes())
    expected = fixture["weights_file"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == expected["sha256"]
    converted = convert_file(file, tmp_path / "yolov3.safetensors", "darknet")
    assert converted.network == fixture["variant"]
    made, _ = load_model(tmp_path / "yolov3.safetensors")
    theirs = parity.loaded(fixture).state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in made.state_dict().items())


def opened(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return read


def written(path: Path, fixture: dict[str, Any]) -> str:
    path.write_bytes(gzip.compress(json.dumps(fixture).encode()))
    return str(path)


def test_what_an_original_computes_itself_is_left_alone(parity: ModuleType, tmp_path: Path) -> None:
    """Graphs that the fixture calls "kept" are ours, those of one's own joints, and not zeros."""
    fixture = opened(GRAFORMER)
    for key in fixture["keys"]:
        key[3] = "kept" if key[0].endswith("A_hat") else "rule"
    model = parity.loaded(fixture)
    for name, value in model.named_parameters():
        if name.endswith("A_hat"):
            assert torch.equal(value, torch.eye(21))
    assert parity.check(Path(written(tmp_path / "g.json.gz", fixture))).error > 1e-4


def test_every_file_is_reported_and_the_total_is_the_last_line(
    parity: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Damage of each kind is a failure with its reason, and the good file after it is compared."""
    good = opened(GRAFORMER)
    (tmp_path / "text.json.gz").write_text("no gzip")
    damaged = {
        "gone": ("FileNotFoundError: ", None),
        "text": ("BadGzipFile: ", None),
        "list": ("TypeError: ", []),
        "lacks": ("KeyError: outputs", {k: v for k, v in good.items() if k != "outputs"}),
        "unknown": ("no family knows sapiens h128_l4", {**good, "system": "sapiens"}),
        "names": ("ModelError: this is not a graformer checkpoint", {**good, "keys": []}),
        "wide": ("RuntimeError: ", {**good, "inputs": [{"name": "x", "shape": [1, 21, 3]}]}),
        "counts": ("", {**good, "parameters": 1}),
        "values": ("", _other(good, value=[9.0] * len(good["outputs"][0]["value"]))),
        "shapes": ("out: [4, 21, 3] for [9]", _other(good, shape=[9])),
        "more": ("1 outputs for 2", {**good, "outputs": good["outputs"] * 2}),
    }
    words = []
    for name, (_, fixture) in damaged.items():
        path = tmp_path / f"{name}.json.gz"
        words.append(str(path) if fixture is None else written(path, fixture))
    assert parity.main([*words, str(GRAFORMER)]) == 1
    *lines, total = capsys.readouterr().out.splitlines()
    assert total == "1 of 12 pass, 11 fail; 0 absent"
    for line, (reason, _) in zip(lines, damaged.values(), strict=False):
        assert line.startswith("FAIL ") and reason in line
    assert lines[-1].startswith("PASS graformer__h128_l4 params 927975/927975")


def _other(fixture: dict[str, Any], **changed: object) -> dict[str, Any]:
    return {**fixture, "outputs": [{**fixture["outputs"][0], **changed}]}


def test_an_output_that_is_not_finite_fails(parity: ModuleType) -> None:
    expected = [{"name": "y", "shape": [2], "index": [0, 1], "value": [1.0, 2.0]}]
    for number in (float("nan"), float("inf")):
        error, note = parity.compare([torch.tensor([1.0, number])], expected)
        assert note == "y: not finite" and error != error
    zeros = [{**expected[0], "value": [0.0, 0.0]}]
    assert parity.compare([torch.tensor([0.0, 0.5])], zeros) == (0.5, "")


def test_lists_and_folders(
    parity: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list says of fixtures that are not beside it whether a family has the network."""
    (tmp_path / "more.txt").write_text("graformer__h128_l4\nyolopose__yolov5s6_kpts\ndfine__l\n")
    assert parity.main([str(tmp_path / "more.txt")]) == 1  # nothing was compared
    assert capsys.readouterr().out.splitlines() == [
        "ABSENT graformer__h128_l4 (in the zoo: graformer)",
        "ABSENT yolopose__yolov5s6_kpts (in the zoo: yolo_pose)",
        "ABSENT dfine__l (no family knows dfine l)",
        "0 of 0 pass, 0 fail; 3 absent",
    ]
    written(tmp_path / GRAFORMER.name, opened(GRAFORMER))
    assert parity.main([str(tmp_path / "more.txt"), str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("2 of 2 pass, 0 fail; 2 absent\n")


@pytest.mark.parametrize(
    ("family", "variant", "shape", "size"),
    [
        ("mmpose_vitpose", "vitpose_s", [1, 3, 96, 64], (64, 96)),
        (
            "tokenpose",
            "coco/tokenpose/tokenpose_t_256_192_patch1612_dim192_depth12_heads16",
            [1, 3, 64, 48],
            (48, 64),
        ),
        ("movenet_leeman", "movenet_lightning", [1, 256, 256, 3], (256, 256)),
        ("mmpose_rtmpose", "rtmpose_t", [2, 3, 96, 64], (64, 96)),
        ("simcc", "coco/hrnet/simdr/nmt_w32_256x192_adam_lr1e-3", [1, 3, 128, 128], (128, 128)),
    ],
)
def test_the_view_size_is_that_of_the_fixture(
    parity: ModuleType, family: str, variant: str, shape: list[int], size: tuple[int, int]
) -> None:
    with torch.device("meta"):
        build = foreign(family).variants[variant]
        model = parity.sized(build, shape)
        assert model.codec.input_size == size and build().codec.input_size != size
        assert model.codec.__class__ is build().codec.__class__
        view = torch.empty(1, 3, size[1], size[0])
        assert model.compute(view)


def test_layers_have_no_view_size(parity: ModuleType) -> None:
    model = create("tokenpose_t", input_size=(48, 64))
    assert parity.sized(lambda: model, [1, 3, 64, 48]) is model
    assert parity.sized(lambda: model.head, [1, 3, 99, 99]) is model.head
