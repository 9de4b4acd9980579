"""Write the messages of docs/troubleshooting.md from the code that raises them.

Usage: python tools/write_troubleshooting_page.py

Everything above the mark in the page is written by hand and stays.  A message is found where an
error is made, with the expressions in it as words in capitals: "no model NAME".
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

__all__ = ["MARK", "PAGE", "messages", "page"]

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "posewright"
PAGE = ROOT / "docs" / "troubleshooting.md"
MARK = "<!-- What follows is written by tools/write_troubleshooting_page.py -->"

_USAGE = "Exit code 2: an invalid option, argument or name"
_SOURCE = "Exit code 3: an input that cannot be read"
_ENVIRONMENT = "Exit code 4: a network, runtime, package or output that does not work"
_ANSWERS = "Answers of the server, with a status of HTTP"
REASONS = "Reasons, which stand inside other messages; in Python also ValueError and TypeError"
FINDINGS = "What posewright data check reports"

# Errors, by the words above their messages.
CODES = {
    "UsageError": _USAGE,
    "ArgumentTypeError": _USAGE,
    "error": _USAGE,
    "SourceError": _SOURCE,
    "ModelError": _ENVIRONMENT,
    "MissingError": _ENVIRONMENT,
    "OutputError": _ENVIRONMENT,
    "EncoderError": _ENVIRONMENT,
    "PlaceError": _ENVIRONMENT,
    "DownloadError": _ENVIRONMENT,
    "Problem": _ANSWERS,
    "BadPicture": REASONS,
    "ValueError": REASONS,
    "TypeError": REASONS,
}

# Files whose texts reach an error, or the user, in another way than as an argument of an error.
TEXTS = {
    "checkpoints/apart.py": REASONS,
    "checkpoints/base.py": REASONS,
    "datasets/box_form.py": FINDINGS,
    "datasets/check.py": FINDINGS,
    "datasets/check_coco.py": FINDINGS,
    "errors.py": REASONS,
    "files/part.py": REASONS,
    "readers/boxes.py": REASONS,
    "sources/inside.py": REASONS,
}
# Names of what a message has at its end now and then: a suggestion, the number of further cases.
_ASIDES = {"hint", "more", "there", "raw", "where_hint"}

FEWEST_WORDS = 5  # of a text in these files that is a message, not a part of one

# Areas of the page: the title, the packages whose messages stand there, and what to try first.
AREAS = (
    (
        "Command line",
        ("cli/",),
        "The command was not understood, and nothing was read or written. Run the command with "
        "`--help`, or look it up under [Commands](commands.md).",
    ),
    (
        "Images, videos, cameras and streams",
        ("sources/",),
        "A source cannot be read. The other sources of the run are still processed, and the "
        "message names the file. Check the path and its permissions first. If another program "
        "opens the file, save it again from there.",
    ),
    (
        "Downloads and stored weights",
        ("weights/",),
        "A network could not be found, downloaded or verified. `posewright models list` lists what "
        "can be named. [Named networks](networks.md) says what to do behind a firewall, and "
        "[The zoo](zoo.md) describes the checks.",
    ),
    (
        "Networks, checkpoints and runtimes",
        ("models/", "checkpoints/", "runtimes/", "codecs/", "skeletons/"),
        "A network file, or the runtime or device that should run it, does not fit. "
        "`posewright doctor` lists the runtimes and devices of this machine, and "
        "`posewright models info FILE` shows what a file says about itself.",
    ),
    (
        "Inference, tracking and smoothing",
        (
            "pose.py",
            "predict.py",
            "pipeline/",
            "nms.py",
            "people.py",
            "results.py",
            "warp.py",
            "draw.py",
            "trackers/",
            "smoothing/",
            "measure/",
            "machine.py",
            "extras.py",
            "errors.py",
            "telemetry.py",
        ),
        "Options do not go together, or arrays from your program have an unexpected shape.",
    ),
    (
        "Saved results and bounding boxes",
        ("readers/", "schema/"),
        "A result file, or a file of bounding boxes, is not in a form that posewright reads. "
        "[Output formats](outputs.md) describes the forms.",
    ),
    (
        "Output files",
        (
            "writers/",
            "files/part.py",
            "files/lock.py",
            "files/names.py",
            "files/paths.py",
            "files/marks.py",
            "files/leftovers.py",
            "files/scratch.py",
        ),
        "A result cannot be written. Complete results are kept; the message says under which name.",
    ),
    (
        "Labels and data sets",
        ("datasets/", "augment/", "fit/", "files/"),
        "An annotation file cannot be read or used. `posewright data check FILE` lists everything "
        "that it finds, and [Use your own labels](custom-data.md) describes the layouts.",
    ),
    (
        "Training and recipes",
        ("train.py", "training/", "recipes/", "losses/"),
        "A setting is invalid, or a run cannot start or go on. `posewright train ... --show` "
        "prints the resolved recipe without training; [Recipes](recipes.md) lists all settings.",
    ),
    (
        "Evaluation and comparison",
        ("evaluation/", "metrics/", "compare/", "reports/"),
        "Predictions and ground truth do not fit together. [Evaluation](evaluation.md) lists the "
        "data sets and the result files that each one takes.",
    ),
    (
        "Export",
        ("export/",),
        "A network cannot be exported, or the exported file does not compute what the network "
        "computes; such a file is not kept.",
    ),
    (
        "Server",
        ("serve/",),
        "The server cannot start, or refuses a request. Every answer that is not the one asked for "
        "has its line in `detail`; [Serve](serve.md) describes the requests.",
    ),
)


def pattern(node: ast.expr | None) -> str:
    """Return the message that an expression makes, with what is put into it in capitals."""
    if isinstance(node, ast.Constant):
        return str(node.value).replace("{}", "...")
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_part, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return pattern(node.left) + pattern(node.right)
    return _word(node)


def _part(node: ast.expr) -> str:
    """Return a part of an f-string."""
    if not isinstance(node, ast.FormattedValue):
        return pattern(node)
    word = pattern(node.value) if isinstance(node.value, ast.Constant) else _word(node.value)
    return f"'{word}'" if node.conversion == ord("r") and word != "..." else word


def _word(node: ast.expr | None) -> str:
    """Return the name that an expression ends with, in capitals; "..." for one without."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = node.id if isinstance(node, ast.Name) else node.attr
        return "..." if name in _ASIDES else name.strip("_").replace("_", "-").upper()
    if isinstance(node, ast.Call) and _called(node) == "counted":
        nouns = [arg.value for arg in node.args[1:] if isinstance(arg, ast.Constant)]
        return f"... {nouns[1] if len(nouns) > 1 else f'{nouns[0]}s'}"
    if isinstance(node, ast.IfExp):
        either = [n.value for n in (node.body, node.orelse) if isinstance(n, ast.Constant)]
        if len(either) == 2 and all(either):
            return " / ".join(map(str, either))
    return "..."


def _documented(tree: ast.Module) -> set[int]:
    """Return the ids of the nodes that are docstrings."""
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }


def _errors(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the group and the message of each error that a file makes."""
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args or _called(node) not in CODES:
            continue
        said = node.args[1 if _called(node) == "Problem" else 0]  # after its status
        if isinstance(said, ast.Call) and _called(said) == "format":
            said = said.func.value if isinstance(said.func, ast.Attribute) else said
        if isinstance(said, ast.Name):
            said = constants.get(said.id, said)
        text = pattern(said)
        if any(word.islower() for word in text.split()):
            yield CODES[_called(node)], text


def _called(node: ast.Call) -> str:
    """Return the name of what is called, without its module or object."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _texts(tree: ast.Module, group: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of a file that are messages, apart from docstrings and errors."""
    errors = {text for _, text in _errors(tree)}
    inner = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    skipped = _documented(tree) | inner
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Constant, ast.JoinedStr)) or id(node) in skipped:
            continue
        text = pattern(node)
        if len(text.split()) >= FEWEST_WORDS and text not in errors:
            yield group, text


def messages() -> dict[str, dict[str, set[str]]]:
    """Return the messages by the title of their area and the words above them."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        tree = ast.parse(file.read_text(encoding="utf-8"))
        pairs = [*_errors(tree)]
        if name in TEXTS:
            pairs += _texts(tree, TEXTS[name])
        for group, text in pairs:
            found[_area(name)][group].add(" ".join(text.split()))
    return found


def _area(name: str) -> str:
    """Return the title for a file of the package; the longest of the prefixes that fit counts."""
    fits = [(len(p), title) for title, prefixes, _ in AREAS for p in prefixes if name.startswith(p)]
    if not fits:
        raise SystemExit(f"{name} belongs to no area of tools/write_troubleshooting_page.py")
    return max(fits)[1]


def _item(text: str) -> str:
    ticks = "``" if "`" in text else "`"
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"- {ticks}{pad}{text.strip('; ')}{pad}{ticks}"


def page() -> str:
    """Return the whole page."""
    by_hand = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    found = messages()
    lines = [MARK, ""]
    for title, _, advice in AREAS:
        if found[title]:
            lines += [f"### {title}", "", advice, ""]
        for group, texts in sorted(found[title].items()):
            lines += [f"**{group}**", "", *sorted(map(_item, texts), key=_first_letters), ""]
    return by_hand + "\n".join(lines)


def _first_letters(item: str) -> tuple[str, str]:
    """Return what an item is sorted by: its words, without signs and placeholders."""
    return "".join(c for c in item if c.islower() or c == " ").strip(), item


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
