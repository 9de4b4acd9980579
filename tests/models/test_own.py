"""Networks in a file of the user's own: run where they are typed, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import safetensors
import safetensors.torch
from onnx import helper

from posewright.cli import main
from posewright.errors import UsageError
from posewright.recipes.recipe import Recipe
from posewright.weights import EMBEDDED

NETWORK = """
from pathlib import Path

from torch import nn

from posewright.models import register
from posewright.models.parts.heads import top_down
from posewright.recipes.recipe import Recipe

Path("ran").write_text("")


@register(paper="none", recipe=Recipe(epochs=7, lr=0.01))
def pebble(*, input_size=(64, 64), skeleton="coco17", codec="heatmap"):
    '''One convolution.'''
    layers = nn.Conv2d(3, 4, 3, 4, 1)
    return top_down(layers, (4, 4), input_size=input_size, skeleton=skeleton, codec=codec)
"""
# runs commands one after the other; prints exit code, stdout and stderr of each
RUN = """
import contextlib, io, json, sys
from posewright.cli import main
done = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words.split())
        except SystemExit as stop:
            code = stop.code
    done.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(done))
"""


def run(folder: Path, *commands: str) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of commands in one process that starts in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(commands)],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return [(code, out, err) for code, out, err in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with my_net.py, labelled images, and a run of its network."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_net.py").write_text(NETWORK, encoding="utf-8")
    done = run(
        folder,
        "data synth -o set --count 4",
        "train set/annotations.json -m my_net.py:pebble -o run epochs=1 batch=2 val_split=0.5",
    )
    assert [code for code, _, _ in done] == [0, 0], done
    assert "no recipe" not in done[1][1]
    return folder


def test_every_verb_takes_it_where_its_file_is_typed(folder: Path) -> None:
    weights = "-m my_net.py:pebble -w run/last.safetensors"
    done = run(
        folder,
        "models info my_net.py:pebble",
        "train set/annotations.json -m my_net.py:pebble --show",
        "train --resume run -m my_net.py:pebble epochs=2",
        f"eval coco --ann set/annotations.json {weights}",
        f"predict set/images {weights} -d whole-image -o out --save jsonl",
        "export my_net.py:pebble -w run/last.safetensors -o pebble.onnx --no-check",
        "compare run/last.safetensors -m my_net.py:pebble --data coco:set/annotations.json",
    )
    assert [code for code, _, _ in done] == [0] * 7, done
    assert "One convolution." in done[0][1]
    assert "epochs = 7\n" in done[1][1] and "lr = 0.01\n" in done[1][1] and done[1][2] == ""
    assert "done: 2 epochs" in done[2][1]
    assert "last.safetensors" in done[6][1]


def test_what_is_exported_runs_without_the_file(folder: Path, tmp_path: Path) -> None:
    export = "export my_net.py:pebble --random-weights -o {} --no-check"
    assert run(folder, export.format(tmp_path / "pebble.onnx"))[0][0] == 0
    (tmp_path / "images").symlink_to(folder / "set" / "images")
    done = run(tmp_path, "predict images -m pebble.onnx -d whole-image -o out --save jsonl")
    assert done[0][0] == 0, done
    assert not (tmp_path / "ran").exists()


def test_its_runs_and_weights_need_the_file_again(folder: Path) -> None:
    (folder / "ran").unlink(missing_ok=True)
    done = run(
        folder,
        "train --resume run epochs=3",
        "predict set/images -m run/last.safetensors -o nothing",
        "train --resume run -m my_net.py:other",
        "train --resume run -m pebble",
    )
    assert [code for code, _, _ in done] == [2, 4, 2, 2]
    for _, _, err in done[:2]:
        assert "no network 'pebble'" in err and "FILE.py:NAME" in err
    assert (folder / "ran").exists()  # by the third, which names it
    assert "my_net.py has no network 'other'; it has pebble" in done[2][2]
    assert "resumes with the data, network and folder of that run" in done[3][2]


WRONG = {  # exit code 2 for a name that is wrong, 4 for a file that does not work
    "there.py:pebble": (4, "there.py is not there"),
    "my_net.py": (2, "may hold several networks; name one: my_net.py:NAME"),
    "my_net.py:pebbel": (2, "no network 'pebbel'; did you mean 'pebble'?"),
    "empty.py:pebble": (2, "needs a function under @register"),
    "raises.py:pebble": (4, "line 2: ZeroDivisionError"),
    "syntax.py:pebble": (4, "line 1: SyntaxError"),
    "lacks.py:pebble": (4, "line 1: ModuleNotFoundError: No module named 'no_such_package'"),
    "taken.py:hrnet_w32": (4, "two networks are called 'hrnet_w32'"),
}


def test_files_that_cannot_be_meant_are_one_line(folder: Path) -> None:
    files = {
        "empty": "",
        "raises": "x = 1\nx / 0\n",
        "syntax": "def\n",
        "lacks": "import no_such_package\n",
        "taken": NETWORK.replace("def pebble", "def hrnet_w32"),
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    done = run(folder, *(f"models info {text}" for text in WRONG))
    for (code, _, err), (expected, words) in zip(done, WRONG.values(), strict=True):
        assert code == expected and words in err and err.count("\n") == 1, err


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a file that must never run, and its trace."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text(NETWORK, encoding="utf-8")
    return tmp_path / "ran"


def test_no_recipe_names_a_file(trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Recipe().to_toml().replace('"hrnet_w32"', '"evil.py:pebble"')
    Path("recipe.toml").write_text(text, encoding="utf-8")
    Path("run").mkdir()
    Path("run/recipe.toml").write_text(text, encoding="utf-8")
    for words in ("recipe.toml", "recipe.toml --show", "--resume run", "model=evil.py:pebble"):
        more = ["-m", "hrnet_w32", "data"] if "=" in words else []
        assert main(["train", *words.split(), *more]) == 2
        assert "a recipe cannot name a Python file" in capsys.readouterr().err
    for make in (lambda: Recipe("evil.py:pebble"), lambda: Recipe.from_dict({"model": "a.py:b"})):
        with pytest.raises(UsageError, match="give it on the command line, with -m"):
            make()
    assert not trap.exists()


def test_no_weights_and_no_graph_name_a_file(
    trap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from posewright.models import create
    from posewright.models.saving import save_model

    save_model(create("movenet_fire717"), Path("good.safetensors"))
    with safetensors.safe_open("good.safetensors", "pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
    for name in ("evil.py:pebble", "evil.py", "./evil.py:pebble"):
        network = json.dumps({"name": name, "options": {}})
        told = json.loads(metadata["posewright"]) | {"name": name}
        stated = {**metadata, "network": network, "posewright": json.dumps(told)}
        safetensors.torch.save_file(tensors, "evil.safetensors", stated)
        for words in (
            "predict x.png -m",
            "models info",
            "export --overwrite",
            "eval coco --ann a.json -m",
        ):
            assert main([*words.split(), "evil.safetensors"]) == 4, words
            assert "no network" in capsys.readouterr().err
        graph = onnx.load(EMBEDDED["movenet-thunder"].path)
        entries = {entry.key: entry.value for entry in graph.metadata_props}
        told = json.loads(entries["posewright"]) | {"name": name}
        helper.set_model_props(graph, {**entries, "posewright": json.dumps(told)})
        onnx.save(graph, "evil.onnx")
        assert main(["models", "info", "evil.onnx", "--json"]) == 0
        capsys.readouterr()
    assert not trap.exists()
