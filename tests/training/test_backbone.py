"""`backbone`: a training starts from a file of others, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from posewright.cli import main
from posewright.errors import ModelError, UsageError
from posewright.models import create
from posewright.recipes.lookup import recipe_for
from posewright.recipes.recipe import Recipe
from posewright.train import train
from posewright.training.transfer import start_backbone

SMALL = ("options.input_size=[64,64]", "batch=4", "val_split=0", "warmup=0", "lr=0", "workers=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synth") / "set"
    assert main(["data", "synth", "-o", str(folder), "--count", "4"]) == 0
    return folder


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in mmpretrain's layout, pickled as torch does, with a classifier."""
    backbone = create("simcc_mobilenetv2").backbone.state_dict()
    state = {f"backbone.{key}": value + 0.25 for key, value in backbone.items()}
    path = tmp_path_factory.mktemp("start") / "mobilenet.pth"
    torch.save({"state_dict": {**state, "head.fc.weight": torch.zeros(1000, 1280)}}, path)
    return path


def recipe(data: Path, *more: str) -> Recipe:
    return recipe_for("simcc_mobilenetv2").with_overrides([f"data=[{data}]", *SMALL, *more])


def test_a_run_starts_from_it_and_resumes_without_it(
    data: Path, mobilenet: Path, tmp_path: Path
) -> None:
    start = tmp_path / "start.pth"
    start.write_bytes(mobilenet.read_bytes())
    wanted = torch.load(mobilenet, weights_only=True)["state_dict"]
    lines: list[str] = []
    first = recipe(data, "epochs=1", f"backbone={start}")
    train(first, tmp_path / "run", progress=lines.append)
    assert f"{start}: 260 of 260 tensors of the backbone loaded" in lines[0]
    assert lines[0].endswith("not used: head")
    kept = Recipe.read(tmp_path / "run" / "recipe.toml")
    assert kept.backbone == str(start)
    state = _state(tmp_path / "run")
    # the learning rate is 0, so that only the statistics of batch norm have changed
    assert torch.equal(state["backbone.conv1.conv.weight"], wanted["backbone.conv1.conv.weight"])
    start.unlink()
    lines.clear()
    train(kept.with_overrides(["epochs=2"]), tmp_path / "run", resume=True, progress=lines.append)
    assert not any("loaded" in line for line in lines)
    after = _state(tmp_path / "run")
    assert torch.equal(after["backbone.conv1.conv.weight"], state["backbone.conv1.conv.weight"])


def test_a_run_without_a_start_says_what_the_authors_took(data: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    train(recipe(data, "epochs=1"), tmp_path / "run", progress=lines.append)
    assert lines[0] == (
        "starting from random weights; simcc_mobilenetv2 was published with backbone=mobilenet_v2"
    )


def _state(run: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(run / "last.safetensors"))


def test_weights_are_not_read_again_either(data: Path, tmp_path: Path) -> None:
    train(recipe(data, "epochs=1"), tmp_path / "a")
    given = tmp_path / "given.safetensors"
    given.write_bytes((tmp_path / "a" / "last.safetensors").read_bytes())
    train(recipe(data, "epochs=1", f"weights={given}"), tmp_path / "b")
    given.unlink()
    again = Recipe.read(tmp_path / "b" / "recipe.toml").with_overrides(["epochs=2"])
    assert train(again, tmp_path / "b", resume=True).place.epoch == 2


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ("nowhere.pth", 4, "nowhere.pth: neither a file nor a named start"),
        ("FOLDER", 4, "is a folder"),
        ("TEXT", 4, "neither safetensors nor a torch or MindSpore checkpoint"),
        ("RESNET", 4, "not a start for simcc_mobilenetv2: 0 of 260 tensors"),
    ],
)
def test_bad_starts_are_one_line(
    given: str,
    code: int,
    words: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from posewright.checkpoints import starts as module

    known = {"resnet50": module.starts()["resnet50"]}
    monkeypatch.setattr(module, "starts", lambda: known)
    (tmp_path / "text").write_text("no weights")
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "net.pth")
    places = {"FOLDER": tmp_path, "TEXT": tmp_path / "text", "RESNET": tmp_path / "net.pth"}
    start = f"backbone={places.get(given, given)}"
    run = ["train", str(data), "-m", "simcc_mobilenetv2", *SMALL, start, "--quiet"]
    assert main([*run, "-o", str(tmp_path / "r")]) == code
    error = capsys.readouterr().err.strip()
    assert words in error and "\n" not in error and not (tmp_path / "r").exists()


@pytest.mark.parametrize("family", ["imagenet_resnet", "imagenet_hrnet"])
def test_converting_a_backbone_points_to_the_training(
    family: str, mobilenet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = ["-o", str(tmp_path / "a.safetensors")]
    assert main(["models", "convert", str(mobilenet), "--as", family, *target]) == 2
    error = capsys.readouterr().err.strip()
    assert f"{family} holds layers" in error and error.endswith("-m MODEL backbone=FILE")


def test_nothing_in_a_pickle_is_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    torch.save({"state_dict": {"conv1.weight": torch.zeros(3)}, "x": Bomb()}, tmp_path / "b.pth")
    with pytest.raises(ModelError):
        start_backbone(create("rle_mobilenetv2"), str(tmp_path / "b.pth"))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(("alias", "key"), [("pretrained", "backbone"), ("try_load", "weights")])
def test_other_programs_names_are_read(alias: str, key: str, tmp_path: Path) -> None:
    by_word = Recipe().with_overrides([f"{alias}=a.pth"])
    assert getattr(by_word, key) == "a.pth"
    (tmp_path / "r.toml").write_text(f"{alias} = {json.dumps('a.pth')}")
    assert Recipe.read(tmp_path / "r.toml") == by_word
    (tmp_path / "r.toml").write_text(f'{alias} = "a.pth"\n{key} = "b.pth"')
    with pytest.raises(UsageError, match=f"{alias} is here {key}; a recipe cannot have both"):
        Recipe.read(tmp_path / "r.toml")
