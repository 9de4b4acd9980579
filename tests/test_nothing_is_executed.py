"""No call of the package executes what a file or a user says, or unpickles it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "posewright"
# by the end of the dotted name; modules that are not even imported
MODULES = {
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "yaml",
    "runpy",
    "code",
    "codeop",
    "pty",
    "antigravity",
}
CALLS = {
    "torch.load",
    "torch.jit.load",
    "torch.hub.load",
    "torch.package",
    "os.system",
    "os.popen",
    "os.startfile",
    "posix.system",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "torch.serialization.load",
    "torch.utils.model_zoo",
    "numpy.lib.format",
}
BUILT_IN = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
STARTING = {"run", "Popen", "call", "check_call", "check_output"}
# who starts a process: always this Python, with a module of the package
YAML = "files/yamlfile.py"  # the one file that reads YAML
STARTERS = {"compare/cost.py", "cli/train.py", "checkpoints/apart.py"}


def dotted(node: ast.expr) -> str:
    """The name that a call names, "" for what has none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def faults(source: str) -> list[str]:
    """What a file must not do, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        wrong = [n for n in names if n.partition(".")[0] in MODULES or n in CALLS]
        if isinstance(node, ast.Call):
            wrong += wrong_call(node)
        found += [f"{node.lineno}: {name}" for name in wrong]  # type: ignore[attr-defined]
    return found


def wrong_call(node: ast.Call) -> list[str]:
    name = dotted(node.func)
    if name in BUILT_IN or name.replace("np.", "numpy.") in CALLS:
        return [name]
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    wrong = []
    for option in ("shell", "allow_pickle"):
        value = given.get(option)
        if option in given and not (isinstance(value, ast.Constant) and value.value is False):
            wrong.append(f"{name}({option}=...)")
    if name.startswith(("os.exec", "os.spawn")):
        wrong.append(name)
    return wrong


def starts_a_process(source: str) -> bool:
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return any(dotted(c.func) in {f"subprocess.{s}" for s in STARTING} for c in calls)


TEXTS = {
    file.relative_to(PACKAGE).as_posix(): file.read_text(encoding="utf-8")
    for file in sorted(PACKAGE.rglob("*.py"))
}


def test_no_file_executes_or_unpickles() -> None:
    found = {name: wrong for name, text in TEXTS.items() if (wrong := faults(text))}
    assert len(TEXTS) > 200
    assert {line.partition(": ")[2] for line in found.pop(YAML)} == {"yaml", "yaml.Node"}
    assert found == {}
    assert re.findall(r"yaml\.\w*[lL]oad\w*", TEXTS[YAML]) == ["yaml.SafeLoader"]


def test_processes_are_started_in_few_places() -> None:
    started = {name for name, text in TEXTS.items() if "subprocess" in text}
    assert {name for name in started if starts_a_process(TEXTS[name])} == STARTERS


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml",
        "torch.load(x)",
        "from torch import load",
        "np.load(x, allow_pickle=True)",
        "np.load(x, allow_pickle=flag)",
        "eval(x)",
        "exec(x)",
        "os.system(x)",
        "subprocess.run(x, shell=True)",
        "__import__(x)",
        "subprocess.Popen(x, shell=flag)",
        "torch.jit.load(x)",
        "os.execv(x, y)",
        "import marshal as m",
        "from os import system",
    ],
)
def test_the_gate_finds(code: str) -> None:
    assert faults(code)


@pytest.mark.parametrize("code", ["re.compile(x)", "model.eval()", "np.load(x)", "json.load(x)"])
def test_the_gate_lets_pass(code: str) -> None:
    assert not faults(code)
