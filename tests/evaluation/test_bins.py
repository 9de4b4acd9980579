"""Views as raw files for a device, and its raw outputs back to a score."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from posewright.cli import main
from posewright.datasets.converting import convert
from posewright.datasets.synthetic import synth
from posewright.runtimes import load_model
from tests.helpers.networks import simcc_graph


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A network of two outputs, and data/coco of which two images validate."""
    base = tmp_path_factory.mktemp("bins")
    (base / "net.onnx").write_bytes(simcc_graph())
    convert(synth(base / "drawn", 6, seed=3), base / "coco", "coco", ratio=1 / 3)
    yield base


def device(folder: Path, net: Path, name: str = "{stem}_{i}.bin", kind: str = "float32") -> None:
    """Answer for the views as the device does, which reads nothing but the raw files."""
    model = load_model(net, runtime="onnxruntime")
    head = json.loads((folder / "views.json").read_text())
    out = folder / "outputs" / "2026_1_1"
    out.mkdir(parents=True)
    for file in sorted((folder / "views").iterdir()):
        view = np.frombuffer(file.read_bytes(), head["dtype"]).reshape(head["shape"])
        for i, array in enumerate(model(view[None]).values()):
            target = out / name.format(stem=file.stem, i=i)
            target.write_bytes(array.astype(kind).tobytes())


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.mark.parametrize("flip", [[], ["--flip"]])
@pytest.mark.parametrize("name", ["{stem}_{i}.bin", "{stem}_output_{i}.bin"])
def test_a_device_scores_as_the_network_does(
    place: Path, tmp_path: Path, flip: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, net, data = tmp_path / "bins", place / "net.onnx", place / "coco"
    assert run("data", "to-bin", data, "-m", net, "-o", out, "--json", *flip) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == 2 and told["views"] == len(list((out / "views").iterdir())) > 2
    device(out, net, name)
    words = ["eval", "coco", "--ann", data, "-m", net, "--json", *flip]
    files = tmp_path / "own.json", tmp_path / "device.json"
    assert run(*words, "-o", files[0]) == 0
    wanted = json.loads(capsys.readouterr().out)
    assert run(*words, "--from-bins", out, "-o", files[1]) == 0
    found = json.loads(capsys.readouterr().out)
    assert files[0].read_bytes() == files[1].read_bytes() and wanted["pictures"] == 2
    assert found["runtime"] == "raw outputs"
    for number in ("AP", "AR", "AP50"):
        assert found[number] == wanted[number]
    assert (out / "acc.log").read_text().startswith(f"AP: {wanted['AP']:.6f}\n")
    assert run(*words, "--from-bins", out) == 4  # acc.log is there
    assert run(*words, "--from-bins", out, "--overwrite") == 0


def test_what_is_missing_is_told(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, net, data = tmp_path / "bins", place / "net.onnx", place / "coco"
    words = ["eval", "coco", "--ann", data, "-m", net, "--from-bins", out]

    def told(*more: object) -> str:
        assert run(*words, *more) in (2, 3)
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert run("data", "to-bin", data, "-m", net, "-o", out) == 0
    assert "holds no outputs; put what the device writes" in told()
    assert "detector's boxes" in told("--boxes", "detector")
    device(out, net)
    assert "is not in views.json" in told("--flip")
    some = sorted((out / "outputs").rglob("*.bin"))
    some[0].write_bytes(some[0].read_bytes()[:-4])
    assert "compile with --output_type=FP32" in told()
    some[0].unlink()
    assert "holds no 00000000_0.bin" in told()
    (out / "views.json").write_text("[]")
    assert "is not the list of `posewright data to-bin`" in told()
    assert run("data", "to-bin", data, "-m", net, "-o", out) == 4  # the folder is taken
    words = ["data", "to-bin", data, "-m", net, "-o", tmp_path / "b", "--input", "normalised"]
    assert run(*words) == (2 if load_model(net).info.input.raw else 0)


def test_half_precision_is_read(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, net, data = tmp_path / "bins", place / "net.onnx", place / "coco"
    assert run("data", "to-bin", data, "-m", net, "-o", out, "--split", "train") == 0
    device(out, net, kind="float16")
    words = ["eval", "coco", "--ann", data, "-m", net, "--split", "train", "--from-bins", out]
    assert run(*words) == 0
    assert "raw outputs" in capsys.readouterr().out
