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
# what runs a file of Python, by the end of the dotted name
LOADING = {
    "exec_module",
    "load_module",
    "module_from_spec",
    "spec_from_file_location",
    "spec_from_loader",
    "SourceFileLoader",
    "SourcelessFileLoader",
    "FunctionType",
    "CodeType",
}
OWN = "models/own.py"  # the one file that runs another: what the user typed as FILE.py:NAME
WHO_TYPED = {"cli/named.py", "compare/cost.py"}  # who hands words of a command line over to it
# who imports modules by names that are not all written there: those of the package's own folders,
# and the optional packages
IMPORTING = {"files/modules.py": {"package", "f'{package}.{name}'"}, "extras.py": {"package"}}
STARTERS = {"compare/cost.py", "cli/train.py", "checkpoints/apart.py", "serve/workers.py"}


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


def loads(source: str) -> list[str]:
    """What a file names that could run another file."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {
        dotted(n).rpartition(".")[2] for n in nodes if isinstance(n, (ast.Name, ast.Attribute))
    }
    names |= {n.name.rpartition(".")[2] for n in nodes if isinstance(n, ast.alias)}
    return sorted(names & LOADING)


def imports_by_name(source: str) -> set[str]:
    """What a file hands to import_module, but for names of the package that it writes out."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    given = [c.args[0] for c in calls if dotted(c.func).endswith("import_module")]
    texts = {ast.unparse(argument) for argument in given}
    ours = re.compile(r"f?'(posewright\.|\{__package__\}\.)")
    return {text for text in texts if not ours.match(text)}


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


def test_one_file_runs_a_file_of_the_users() -> None:
    """And only the command line, and the process that it starts to measure, hand one to it."""
    assert {name for name, text in TEXTS.items() if loads(text)} == {OWN}
    naming = re.compile(r"\bmodels\.own\b|\bload_own\b")
    who = {n for n, text in TEXTS.items() if "load_own(" in text and naming.search(text)} - {OWN}
    assert who == WHO_TYPED
    assert TEXTS["compare/cost.py"].count("load_own(") == 1
    assert "for text in sys.argv[1:]:\n            load_own(text)" in TEXTS["compare/cost.py"]


def test_modules_are_imported_by_names_of_the_package() -> None:
    found = {name: given for name, text in TEXTS.items() if (given := imports_by_name(text))}
    assert found == IMPORTING


@pytest.mark.parametrize(
    "code",
    [
        "spec.loader.exec_module(module)",
        "importlib.util.spec_from_file_location(a, b)",
        "from importlib.machinery import SourceFileLoader as s",
        "types.FunctionType(code, {})",
    ],
)
def test_the_gate_finds_what_runs_a_file(code: str) -> None:
    assert loads(code)
    assert imports_by_name("import_module(x)") == {"x"}


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
