"""What never imports what (docs/design.md), and how long `--help` takes."""

from __future__ import annotations

import ast
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from posewright.cli import VERBS
from tools import imports

PACKAGE = Path(__file__).parents[1] / "posewright"
HEAVY = {"numpy", "cv2", "onnxruntime", "openvino", "av", "lap", "torch", "pyarrow", "supervision"}


def top_level_imports(file: Path) -> set[str]:
    """Modules that `file` imports when it is imported, TYPE_CHECKING blocks left out."""
    names: set[str] = set()

    def visit(nodes: list[ast.stmt]) -> None:
        for node in nodes:
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
            elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
                visit(node.body + node.orelse)
            elif isinstance(node, ast.Try):
                visit(node.body + node.orelse + node.finalbody)
            elif isinstance(node, (ast.ClassDef, ast.With)):
                visit(node.body)

    visit(ast.parse(file.read_text(encoding="utf-8")).body)
    return names


def files(*parts: str) -> list[Path]:
    found = [f for p in parts for f in sorted(PACKAGE.glob(p))]
    assert found
    return found


def roots(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in top_level_imports(file)}


AT_START = files("cli/*.py", "__init__.py", "errors.py", "extras.py", "telemetry.py")


@pytest.mark.parametrize("file", AT_START, ids=str)
def test_cli_needs_the_standard_library_only_at_start(file: Path) -> None:
    assert roots(file) - {"posewright"} <= sys.stdlib_module_names
    inner = {n for n in top_level_imports(file) if n.startswith("posewright.")}
    allowed = ("posewright.cli", "posewright.errors", "posewright.extras", "posewright.telemetry")
    assert all(n.startswith(allowed) for n in inner)


CORE = files(
    "people.py",
    "results.py",
    "skeletons/*.py",
    "nms.py",
    "warp.py",
    "trackers/*.py",
    "codecs/*.py",
    "metrics/*.py",
    "measure/*.py",
)


@pytest.mark.parametrize("file", [f for f in CORE if f.suffix == ".py"], ids=str)
def test_core_needs_numpy_and_lap_only(file: Path) -> None:
    outside = roots(file) - {"posewright"} - sys.stdlib_module_names
    assert outside <= {"numpy", "lap"}


WITHOUT_TORCH = ("training/__init__.py", "training/feed/__init__.py", "training/feed/crops.py")
TORCH_LAYER = {
    *files(
        "models/*.py",
        "models/parts/*.py",
        "checkpoints/*.py",
        "checkpoints/tables/*.py",
        "losses/*.py",
        "runtimes/torch.py",
        "export/*.py",
        "training/**/*.py",
        "train.py",
    )
} - set(files(*WITHOUT_TORCH))


@pytest.mark.parametrize("file", sorted(set(files("**/*.py")) - TORCH_LAYER), ids=str)
def test_the_runtime_layer_never_needs_torch(file: Path) -> None:
    assert not roots(file) & {"torch", "torchvision", "scipy"}
    inner = {n.split(".")[1] for n in top_level_imports(file) if n.startswith("posewright.")}
    assert not inner & {"models", "checkpoints", "losses"}


@pytest.mark.parametrize("file", sorted(TORCH_LAYER), ids=str)
def test_the_torch_layer_needs_no_more_than_torch(file: Path) -> None:
    allowed = {"posewright", "torch", "numpy", "safetensors"}
    assert roots(file) - sys.stdlib_module_names <= allowed
    if PACKAGE / "models" in file.parents:
        inner = {n.split(".")[1] for n in top_level_imports(file) if n.startswith("posewright.")}
        assert not inner & {"datasets", "checkpoints", "train"}


def test_core_modules_load_without_cv2_and_torch() -> None:
    code = (
        "import sys, posewright.people, posewright.nms, posewright.trackers, posewright.codecs, "
        "posewright.warp; print(sorted({'cv2', 'torch', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_loads_nothing_heavy(verb: str) -> None:
    code = (
        "import sys\nfrom posewright.cli import main\n"
        f"try: main({[*verb.split(), '--help']!r})\nexcept SystemExit as e: assert not e.code\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "usage: posewright" in done.stdout


def test_help_takes_under_150_ms_more_than_python_itself() -> None:
    def least(*args: str) -> float:
        """Return the processor's seconds, which other work on the machine hardly changes."""
        times = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *args], capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        return min(times)

    assert least("-m", "posewright", "--help") - least("-c", "pass") < 0.15


# the only files that import what reports to its maker; the package's __init__ and telemetry.py
# switch that off before
REPORTING = {
    "onnxruntime": {"runtimes/onnx.py"},
    "openvino": {"runtimes/openvino.py", "export/openvino.py"},
    "nncf": {"export/openvino.py"},
}


@pytest.mark.parametrize("name", REPORTING)
def test_what_reports_is_imported_in_few_places(name: str) -> None:
    pattern = re.compile(rf"^\s*(import|from) {name}\b", re.MULTILINE)
    found = {f for f in files("**/*.py") if pattern.search(f.read_text(encoding="utf-8"))}
    assert {f.relative_to(PACKAGE).as_posix() for f in found} == REPORTING[name]
    for file in found if name != "onnxruntime" else ():
        text = file.read_text(encoding="utf-8")
        assert all(
            text[: match.start()].rstrip().endswith("with loading_openvino():")
            for match in pattern.finditer(text)
        ), file


def most_lines(file: Path) -> int:
    """What CONTRIBUTING.md allows."""
    if "tests" in file.relative_to(PACKAGE.parent).parts:
        return 600
    return 400 if file.parent == PACKAGE / "models" else 350


def test_no_file_is_longer_than_the_rules_of_hand_allow() -> None:
    root = PACKAGE.parent
    every = [
        f
        for d in (PACKAGE, *(root / n for n in ("tests", "tools", "benchmarks")))
        for f in d.rglob("*.py")
    ]
    lengths = {f: len(f.read_text(encoding="utf-8").splitlines()) for f in every}
    assert {f.name: n for f, n in lengths.items() if n > most_lines(f)} == {}


GRAPH = imports.read(PACKAGE)
PLACES = imports.places_of(GRAPH)


def test_no_circle_of_imports() -> None:
    """Not even through imports inside of functions."""
    assert sum(map(len, GRAPH.values())) > 500
    assert imports.circles(GRAPH) == []
    assert imports.circles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == [["a", "b", "c", "a"]]


def test_the_top_of_the_package_is_small() -> None:
    folders = {place for place in PLACES if (PACKAGE / place).is_dir()}
    assert len(folders) <= 28
    assert len(PLACES.keys() - folders - {"__init__", "__main__"}) <= 12


def test_no_chain_of_imports_is_longer_than_17_places() -> None:
    assert 10 < len(imports.longest_chain(PLACES)) <= 17
    assert imports.longest_chain({"a": {"b", "c"}, "b": {"d"}, "c": set(), "d": {"b"}}) == [
        "a",
        "b+d",
    ]


def layers() -> list[set[str]]:
    """Return the layers that docs/design.md states, the lowest first."""
    text = (PACKAGE.parent / "docs" / "design.md").read_text(encoding="utf-8")
    table = text.partition("| layer | packages | what they are |\n")[2].partition("\n\n")[0]
    rows = [row.split("|")[2] for row in table.splitlines()[1:]]
    return [set(re.findall(r"`(\w+)`", row)) for row in rows]


def upwards(graph: imports.Graph, found: list[set[str]]) -> set[tuple[str, str]]:
    """Return each import of a place from a higher layer."""
    height = {place: i for i, layer in enumerate(found) for place in layer}
    return {(a, b) for a, others in graph.items() for b in others if height[b] > height[a]}


def test_every_place_has_one_layer() -> None:
    named = [place for layer in layers() for place in layer]
    assert sorted(named) == sorted(PLACES)


def test_no_layer_imports_a_higher_one() -> None:
    """As `docs/design.md` states them, imports inside of functions counted."""
    assert upwards(PLACES, layers()) == set()
    assert upwards({"a": {"b"}, "b": {"a"}}, [{"a"}, {"b"}]) == {("a", "b")}


def test_public_names_resolve() -> None:
    import posewright

    for name in posewright.__all__:
        assert getattr(posewright, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Poes'"):
        posewright.Poes  # noqa: B018
