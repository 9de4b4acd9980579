"""The kinds of jobs: the verb that each runs, what it reads, and the options of clients.

An option is a field of the form, called as the option of the verb, with "_" or "-".  What a client
writes becomes the value of an option that stands here, never a word of its own, and never a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from posewright.errors import UsageError, nearest
from posewright.recipes.recipe import Recipe
from posewright.sources.order import PICTURES

__all__ = ["KINDS", "Asked", "Kind", "checked", "command"]

FLAG, NUMBER, WORD, NETWORK = "flag", "number", "word", "network"
_FORMS = {
    NUMBER: re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII),
    WORD: re.compile(r"[A-Za-z0-9_*][A-Za-z0-9_.,:;=+* -]{0,500}", re.ASCII),
    FLAG: re.compile("[01]"),
}
_MEANT = {NUMBER: "a number", WORD: "a word or list", FLAG: "0 or 1"}
_SETTING = re.compile(r"[A-Za-z0-9_.,:+*\[\]{}=\"' -]{1,500}", re.ASCII)  # no / and no \
_VIDEOS = ".mp4 .mov .avi .mkv .webm .m4v .mpg .mpeg .ts .wmv .flv .3gp .ogv .mjpeg .mjpg"
_SUFFIX = {"onnx": ".onnx", "openvino": ".xml", "torch": ".safetensors"}
# settings of a recipe that name files, or that only the server decides
_OWN = (
    "model data val kind class_name images val_images boxes val_boxes cache workers compile "
    "backbone weights tensorboard posefix.poses augment.pgpg"
)


@dataclass(frozen=True)
class Asked:
    """What a job was asked: its kind, values by option, files, and where it writes.

    options: checked values.  networks: by option, names or paths that the server knows.  inputs:
    files or folders of uploads and of the library.  settings: of a recipe, "key=value".
    """

    kind: str
    options: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[str] = ()
    settings: Sequence[str] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    takes: suffixes of uploads, none where it reads no upload.  options: the form of each by name.
    begin: the words before the options, of what was asked and the folder of results.  labels: it
    reads labelled data, which an archive may hold and the library too.  resumes: `resume` follows
    where a run was stopped.
    """

    takes: frozenset[str]
    options: Mapping[str, str]
    begin: Callable[[Asked, Path], list[str]]
    labels: bool = False
    resumes: bool = False


def _predict(asked: Asked, out: Path) -> list[str]:
    return ["predict", *asked.inputs, f"--out={out}", "--json", "--progress=json"]


def _track(asked: Asked, out: Path) -> list[str]:
    return ["track", asked.inputs[0], f"--out={out}", "--json"]


def _convert(asked: Asked, out: Path) -> list[str]:
    return ["data", "convert", asked.inputs[0], str(out), "--json"]


def _check(asked: Asked, out: Path) -> list[str]:
    return ["data", "check", asked.inputs[0], "--json"]


def _train(asked: Asked, out: Path) -> list[str]:
    run = out / "run"
    if (run / "recipe.toml").is_file():
        return ["train", f"--resume={run}"]
    network = asked.options.get("model", "")
    return ["train", *asked.inputs, *asked.settings, f"--model={network}", f"--out={run}"]


def _eval(asked: Asked, out: Path) -> list[str]:
    measure = asked.options.get("measure", "coco")
    return ["eval", measure, f"--ann={asked.inputs[0]}", f"--report={out / 'report'}", "--json"]


def _compare(asked: Asked, out: Path) -> list[str]:
    networks = asked.networks.get("models", "").split("\n")
    return ["compare", *networks, f"--data={asked.inputs[0]}", f"--out={out}", "--json"]


def _export(asked: Asked, out: Path) -> list[str]:
    network = asked.networks.get("model", "")
    suffix = _SUFFIX.get(asked.options.get("format", "onnx"), ".onnx")
    target = out / (Path(network).stem + suffix)
    return ["export", network, f"--out={target}", "--json"]


def _forms(flag: str = "", number: str = "", word: str = "", network: str = "") -> dict[str, str]:
    """Return the form of each option by its name."""
    forms = {FLAG: flag, NUMBER: number, WORD: word, NETWORK: network}
    return {name: form for form, names in forms.items() for name in names.split()}


_READING = "layout class split joint"
_TRACKING = "save tracker smooth frames time-range"
KINDS: dict[str, Kind] = {
    "predict": Kind(
        PICTURES | frozenset([*_VIDEOS.split(), ".zip"]),
        _forms(
            "track flip accurate sep-json draw-boxes draw-scores no-ids",
            "fps det-every min-score det-score max-people max-pixels stride gap draw-threshold "
            "threads",
            f"{_TRACKING} nms scales openpose-order draw-colours runtime precision device skeleton",
            "model detector hands face refine reid",
        ),
        _predict,
        resumes=True,
    ),
    "track": Kind(
        frozenset([".jsonl", ".json", ".parquet"]),
        _forms(number="fps stride gap", word=f"{_TRACKING} person"),
        _track,
    ),
    "convert": Kind(
        frozenset([".json", ".zip"]),
        _forms(number="ratio seed", word=f"{_READING} to"),
        _convert,
        labels=True,
    ),
    "check": Kind(frozenset([".json", ".zip"]), _forms(word=_READING), _check, labels=True),
    "train": Kind(
        frozenset([".json", ".zip"]), _forms(word="model device"), _train, labels=True, resumes=True
    ),
    "eval": Kind(
        frozenset([".json", ".zip"]),
        _forms(
            "flip accurate",
            "limit batch",
            "measure class split nms scales rescore tracker metrics device boxes",
            "model detector",
        ),
        _eval,
        labels=True,
    ),
    "compare": Kind(
        frozenset([".json", ".zip"]),
        _forms("flip", "limit", "class degrade runtime device", "models"),
        _compare,
        labels=True,
    ),
    "export": Kind(
        frozenset(),
        _forms("ascend no-check", "fixed-batch tolerance", "format input", "model"),
        _export,
    ),
}
_FLAGS = {"layout": "--kind"}  # options whose name is taken by a field of every job
_IN_BEGIN = {("eval", "measure"), ("train", "model")}  # which `begin` puts where they belong


def checked(kind: str, name: str, value: str) -> str:
    """Return the value of an option that is a flag, number or word; UsageError for another.

    Its name is one of the kind's options.
    """
    form = KINDS[kind].options[name]
    if not _FORMS[form].fullmatch(value) or (form == NUMBER and len(value) > 30):
        raise UsageError(f"{name}={value[:100]} is not {_MEANT[form]}")
    if (kind, name) == ("train", "model") and not re.fullmatch(r"\w{1,100}", value, re.ASCII):
        raise UsageError(f"model={value[:100]} is no network of the zoo; GET /v1/models has them")
    if (kind, name) == ("eval", "boxes") and value not in ("truth", "detector"):
        raise UsageError(f"boxes={value[:100]} is not truth or detector")
    return value


def setting(key: str, value: str) -> str:
    """Return "key=value" for a recipe; UsageError for what a client may not set."""
    known = Recipe().settings().keys() - set(_OWN.split())
    option = re.fullmatch(r"options\.\w{1,50}", key, re.ASCII)
    if key not in known and not option:
        raise UsageError(f"no option or setting {key[:100]!r}{nearest(key[:100], known)}")
    if not _SETTING.fullmatch(value):
        raise UsageError(f"{key}={value[:100]} is no value of a setting")
    return f"{key}={value}"


def command(asked: Asked, out: Path) -> list[str]:
    """Return the words of the command line that does what was asked; it writes into `out`."""
    kind = KINDS[asked.kind]
    words = kind.begin(asked, out)
    if "--resume" in {word.partition("=")[0] for word in words}:
        return words
    for name, value in asked.options.items():
        flag = _FLAGS.get(name, f"--{name}")
        if (asked.kind, name) in _IN_BEGIN or (kind.options[name] == FLAG and value == "0"):
            continue
        words.append(flag if kind.options[name] == FLAG else f"{flag}={value}")
    if asked.kind not in ("compare", "export"):
        words += [f"--{name}={value}" for name, value in asked.networks.items()]
    return words
