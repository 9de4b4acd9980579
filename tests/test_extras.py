"""Without an optional package, what needs it ends in one line and exit code 4; the rest works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from posewright.errors import MissingError
from posewright.extras import OPTIONAL, installed, missing, naming_extras, need
from tests.helpers.commands import COMMANDS, RUN, Command, make_inputs

# Python as it is where packages are not installed
WITHOUT = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Without())
"""
PLAIN = tuple(sorted(set(OPTIONAL) | {"torchvision", "nncf"}))  # what `pip install .` lacks


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read."""
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def python(code: str, *args: str, without: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run Python code where packages are not installed."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(packages=without) + code, *args],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def outcomes(
    commands: list[Command], inputs: Path, out: Path, without: tuple[str, ...]
) -> list[tuple[int, str]]:
    """Return exit code and stderr of each command where packages are not installed."""
    words = [command.args(inputs, out) for command in commands]
    done = python(RUN, json.dumps(words), str(inputs / "clip.mp4"), without=without)
    assert done.stdout, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check_line(said: str, package: str) -> None:
    """One line that names the package and how to get it."""
    assert re.fullmatch(rf"posewright: .+ needs {package}, .+\n", said), said
    assert f'; run: pip install "{OPTIONAL[package]}"\n' in said


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_on_the_plain_install(verb: str, inputs: Path, tmp_path: Path) -> None:
    commands = COMMANDS[verb]
    found = outcomes(commands, inputs, tmp_path, PLAIN)
    for command, (code, said) in zip(commands, found, strict=True):
        assert code == (4 if command.needs else command.code), (command, said)
        if command.needs:
            check_line(said, command.needs)


# what needs a package that is not torch, where all others are installed
TRAIN = "train {in}/set/annotations.json -m movenet_fire717 epochs=1 -o {out}/run"
ALONE = [
    Command("export {in}/net.safetensors -o {out}/net.onnx", needs="onnx"),
    Command("export {in}/net.safetensors -o {out}/net.onnx", needs="onnxscript"),
    Command("export {in}/net.safetensors --format openvino -o {out}/a.xml", needs="openvino"),
    Command(
        "export {in}/net.safetensors --format openvino -o {out}/a.xml --int8 --calibrate {in}",
        needs="nncf",
    ),
    Command(
        "models convert {in}/into/embedded.onnx --as movenet -o {out}/a.safetensors", needs="onnx"
    ),
    Command(
        "models convert {in}/net.pth --as movenet_fire717 -o {out}/b.safetensors",
        needs="safetensors",
    ),
    Command("models info {in}/net.safetensors", needs="safetensors"),
    Command("predict {in}/people.jpg -m {in}/net.safetensors", needs="safetensors"),
    Command("predict {in}/people.jpg --refine {in}/net.safetensors -o {out}/r", needs="torch"),
    Command(
        "predict {in}/people.jpg --tracker appearance --reid {in}/net.safetensors -o {out}/i",
        needs="torch",
    ),
    Command("predict {in}/people.jpg -d {in}/net.safetensors -o {out}/d", needs="torch"),
    Command("bench {in}/clip.mp4 -m {in}/net.safetensors", needs="torch"),
    Command("train --resume {in}/run", needs="torch"),
    Command("models pull hrnet_w32-coco-256x192 --unverified", needs="torch"),
    Command(TRAIN + " tensorboard=true", needs="tensorboard"),
    Command(TRAIN, needs="safetensors"),
]


@pytest.mark.parametrize("command", ALONE, ids=lambda c: f"{c.words[:50]} {c.needs}")
def test_one_package_is_not_installed(command: Command, inputs: Path, tmp_path: Path) -> None:
    (inputs / "run").mkdir(exist_ok=True)
    (inputs / "run" / "recipe.toml").write_bytes((inputs / "recipe.toml").read_bytes())
    ((code, said),) = outcomes([command], inputs, tmp_path, (command.needs,))
    check_line(said, command.needs)
    assert code == 4
    assert not [p for p in tmp_path.rglob("*") if p.suffix in (".onnx", ".xml", ".safetensors")]


def test_several_processes_say_it_once(inputs: Path, tmp_path: Path) -> None:
    words = [*Command(TRAIN + " --devices 2").args(inputs, tmp_path)]
    code = "import json; from posewright.cli import main; sys.exit(main(json.loads(sys.argv[1])))"
    done = python(code, json.dumps(words), without=("torch",))
    assert done.returncode == 4
    check_line(done.stderr, "torch")


# what Python callers do, and the package that it needs
CALLS = {
    "Pose(sys.argv[1])": "torch",
    "Pose('hrnet_w32', weights=sys.argv[1])": "torch",
    "Pose(runtime='openvino')": "openvino",
    "Pose.train('set', 'hrnet_w32', 'run')": "torch",
    "Pose().predict_to(np.zeros((64, 64, 3), np.uint8), sys.argv[2], save=['parquet'])": "pyarrow",
    "Pose(runtime='onnxruntime')(sys.argv[3]).to_supervision()": "supervision",
}


@pytest.mark.parametrize("call", CALLS)
def test_calls_from_python(call: str, inputs: Path, tmp_path: Path) -> None:
    code = (
        "import numpy as np\nfrom posewright import MissingError, Pose\n"
        f"try: {call}\nexcept MissingError as error: print(error)"
    )
    done = python(
        code,
        str(inputs / "net.safetensors"),
        str(tmp_path / "o"),
        str(inputs / "people.jpg"),
        without=PLAIN,
    )
    assert f" needs {CALLS[call]}, which is not installed; run: pip install" in done.stdout, done
    assert len(done.stdout.splitlines()) == 1


def test_a_module_of_ours_that_is_not_there_stays_a_fault(inputs: Path, tmp_path: Path) -> None:
    code = "from posewright.cli import main; sys.exit(main(['data', 'stats', sys.argv[1]]))"
    labels = str(inputs / "set" / "annotations.json")
    done = python(code, labels, without=("posewright.datasets",))
    assert done.returncode == 0, done.stderr  # the blocker takes whole packages only
    hidden = (
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'posewright.datasets': raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Gone())\n"
    )
    done = python(hidden + code, labels, without=())
    assert done.returncode == 1
    assert "unexpected ModuleNotFoundError at posewright/cli/data.py:" in done.stderr


@pytest.mark.parametrize("name", ["posewright.nowhere", "sympy", "torch.nowhere"])
def test_other_modules_pass(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=name), naming_extras("this"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_what_is_said() -> None:
    text = 'this needs nncf, which is not installed; run: pip install "posewright[int8]"'
    assert str(missing("nncf", "this")) == text
    assert isinstance(missing("PIL", "this"), ImportError)
    assert need("pyarrow.parquet", "this").__name__ == "pyarrow.parquet"
    assert installed("torch") and not installed("posewright_nowhere")


def test_a_package_set_to_none_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingError, match=r"this needs onnx, .* \"posewright\[torch\]\""):
        need("onnx", "this")
    assert not installed("onnx")


def test_every_extra_of_the_project_is_known() -> None:
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    extras = tomllib.loads(project)["project"]["optional-dependencies"]
    imported = {"pillow": "PIL", "pyyaml": "yaml"}
    imported |= {n: n.replace("-", "_") for n in ("python-multipart", "prometheus-client")}
    for extra in extras.keys() - {"dev", "docs"}:
        for requirement in extras[extra]:
            name = re.match(r"[\w-]+", requirement)[0].lower()  # type: ignore[index]
            assert imported.get(name, name) in OPTIONAL, requirement
    named = {re.search(r"\[(\w+)\]", target) for target in OPTIONAL.values()}
    assert {match[1] for match in named if match} <= extras.keys()
