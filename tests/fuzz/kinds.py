"""What is fuzzed: kinds of files, how they are damaged, and what reads them.

Some are given to command lines, which takes a tenth of a second; others to the reader alone, see
`reading`, hundreds of times a second.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .damage import damaged_bytes, damaged_json, damaged_lines, damaged_text, damaged_words
from .headers import damaged_picture
from .own import damaged_journal, damaged_table
from .parts import damaged_archive, damaged_onnx, damaged_pickle, damaged_safetensors
from .reading import SETS, opened

__all__ = ["FORMS", "KINDS", "Kind", "damaged"]

Words = list[str | Path]

FORMS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "bytes": damaged_bytes,
    "words": damaged_words,
    "text": damaged_text,
    "json": damaged_json,
    "lines": damaged_lines,
    "picture": damaged_picture,
    "safetensors": damaged_safetensors,
    "onnx": damaged_onnx,
    "pickle": damaged_pickle,
    "archive": damaged_archive,
    "table": damaged_table,
    "journal": damaged_journal,
}


def damaged(rng: random.Random, data: bytes, form: str) -> bytes:
    """Return a damaged copy: as its form says, and one in five as any bytes are."""
    return (FORMS[form] if rng.random() < 0.8 else damaged_bytes)(rng, data)


@dataclass(frozen=True)
class Kind:
    """form: one of FORMS.  verbs: (file, folder to write) -> command lines.

    examples: what `examples` calls the files that are damaged.  alone: whether a reader is called
    by itself.  lasts: cases after which the process that reads starts anew, 0 for never.
    """

    form: str
    verbs: Callable[[Path, Path], list[Words]]
    examples: str
    alone: bool = False
    lasts: int = 0


def _predict(file: Path, out: Path) -> list[Words]:
    boxes = ["-d", "whole-image", "--save", "jsonl,csv", "--progress", "none"]
    return [["predict", file, "-o", out, *boxes]]


def _boxes(file: Path, out: Path) -> list[Words]:
    saved = ["--save", "jsonl,csv", "--progress", "none"]
    return [["predict", file.with_name("a.jpg"), "--boxes", file, "-o", out, *saved]]


def _track(file: Path, out: Path) -> list[Words]:
    return [["track", file, "-o", out, "--save", "jsonl,csv,coco,alphapose,openpose"]]


def _openpose(file: Path, out: Path) -> list[Words]:
    return _track(file.parent, out)


def _labels(kind: str, file: Path, out: Path) -> list[Words]:
    data, named = opened(file, kind), ["--kind", kind]
    return [["data", "check", data, *named], ["data", "convert", data, out, "--to", "coco", *named]]


def _evaluated(file: Path, out: Path) -> list[Words]:
    return [["eval", "coco", "--ann", file.with_name("truth.json"), "--predictions", file]]


def _weights(file: Path, out: Path) -> list[Words]:
    return [["models", "info", file]]


def _checkpoint(file: Path, out: Path) -> list[Words]:
    return [["models", "convert", file, "--as", "semgcn", "-o", out / "made.safetensors"]]


def _recipe(file: Path, out: Path) -> list[Words]:
    return [["train", file, "--show"]]


def _layout(file: Path, out: Path) -> list[Words]:
    named: dict[str, Words] = {
        "simcc": ["-m", file, "--layout", "rtmpose", "--skeleton", "coco17", "-d", "whole-image"],
        "rtmo": ["-m", file, "--layout", "rtmo", "--skeleton", "coco17"],
        "dets": ["-d", file, "--layout", "rtmdet"],
    }
    saved = ["--save", "jsonl", "--progress", "none", "--runtime", "onnxruntime"]
    image = file.parents[1] / "pictures" / "a.jpg"
    return [["predict", image, *named[file.stem], "-o", out, *saved]]


def _alone(reader: str, file: Path, out: Path) -> list[Words]:
    return [["(read)", reader, file]]


_LINES = {
    "pictures": ("picture", _predict),
    "videos": ("words", _predict),
    "lists": ("text", _predict),
    "archives": ("archive", _predict),
    "boxes": ("json", _boxes),
    "lines": ("lines", _track),
    "results": ("json", _track),
    "openpose": ("json", _openpose),
    "predictions": ("json", _evaluated),
    "safetensors": ("safetensors", _weights),
    "graphs": ("onnx", _weights),
    "pickles": ("pickle", _checkpoint),
    "zips": ("archive", _checkpoint),
    "recipes": ("text", _recipe),
    "tables": ("table", _track),
    "layouts": ("onnx", _layout),
}
# OpenVINO keeps what it knows of one graph for the next; no command line loads as many.
_LOADS = 50
_SET_FORMS = {"cvat": "text", "yolo": "text", "visdrone": "text"}  # the others are JSON
# reader, examples, form
_READ = (
    ("header", "pictures", "picture"),
    ("picture", "pictures", "picture"),
    ("frames", "videos", "words"),
    ("frames", "archives", "archive"),
    ("metadata", "metadata", "json"),
    ("skeleton", "metadata", "json"),
    ("codec", "metadata", "json"),
    ("checkpoint", "weights", "safetensors"),
    ("checkpoint", "pickles", "pickle"),
    ("checkpoint", "zips", "archive"),
    ("checkpoint", "mindspore", "words"),
    ("checkpoint", "tfjs", "json"),
    ("checkpoint", "graphs", "onnx"),
    ("model", "safetensors", "safetensors"),
    ("onnxruntime", "graphs", "onnx"),
    ("openvino", "graphs", "onnx"),
    ("openvino", "openvino", "text"),
    ("state", "state", "safetensors"),
    ("mat", "mat", "words"),
    ("yaml", "yolo", "text"),
    ("results", "lines", "lines"),
    ("results", "results", "json"),
    ("openpose", "openpose", "json"),
    ("boxes", "boxes", "json"),
    ("truth", "coco", "json"),
    ("predictions", "predictions", "json"),
    ("mot", "mot", "text"),
    ("tracks", "posetrack", "json"),
    ("recipe", "recipes", "text"),
    ("results", "tables", "table"),
    ("journal", "journals", "journal"),
    ("layout", "layouts", "onnx"),
    ("receipt", "receipts", "json"),
    ("member", "downloads", "archive"),
    *(
        (f"{use}-{kind}", kind, _SET_FORMS.get(kind, "json"))
        for kind in SETS
        for use in ("set", "check")
    ),
)


def _kinds() -> dict[str, Kind]:
    found = {name: Kind(form, verbs, name) for name, (form, verbs) in _LINES.items()}
    for kind in SETS:
        found[kind] = Kind(_SET_FORMS.get(kind, "json"), partial(_labels, kind), kind)
    for reader, files, form in _READ:
        name = reader if reader.endswith(f"-{files}") else f"{reader}-{files}"
        lasts = _LOADS if reader == "openvino" else 0
        found[f"read-{name}"] = Kind(form, partial(_alone, reader), files, True, lasts)
    return found


KINDS = _kinds()
