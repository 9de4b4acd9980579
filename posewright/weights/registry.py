"""The registry of networks that can be named: embedded, ONNX files, and published checkpoints.

`onnx.tsv` is written by tools/list_onnx.py, `published.tsv` by tools/list_published.py.  ONNX
networks have hyphens in their names, networks of the zoo underscores, checkpoints their long names.
Nothing here imports numpy or what downloads need.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from posewright.errors import UsageError
from posewright.weights.folders import cache_folder

__all__ = [
    "EMBEDDED",
    "Entry",
    "checkpoints",
    "entries",
    "find",
    "lookup",
    "named",
    "names",
    "suggestion",
]

_HERE = Path(__file__).parent
_TABLE = _HERE / "onnx.tsv"
_PERMISSIVE = ("Apache-2.0", "MIT", "BSD-3-Clause")
# What other tools call networks that are not named here because of their licences.
_UNNAMED = (
    (
        r"yolo(?!v3(-spp)?$)(v?\d+)[a-z]?\d?u?(-\w+)*(\.pt)?",
        "ultralytics publishes it under AGPL-3.0",
    ),
    (r"yolo[_-]?nas\w*([_-]\w+)*(\.pth?)?", "its weights are non-commercial"),
    (r"sapiens([_-][\w.]+)*", "its weights are non-commercial"),
    (r"rf-?detr[_-](x|2x)(l|large)", "its licence is not an open one"),
)


@dataclass(frozen=True)
class Entry:
    """A network that can be named; what its authors do not state is "" or 0.

    kind: pose, one-stage, detector, hand-detector, re-id or refiner.  addresses: in turn; those
    that end in .zip hold `member`.  sha256: of the file itself; archive_sha256: of the archive.
    sources: how many independent ones state the sum.  size: bytes of the file.  input: width,
    height. licence: of the weights.  terms: what is known of the training data besides.  score:
    with the name of its measure; measured: on what.
    """

    name: str
    origin: str
    kind: str
    aliases: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    member: str = ""
    archive_sha256: str = ""
    archive_bytes: int = 0
    sha256: str = ""
    size: int = 0
    sources: int = 0
    input: tuple[int, int] = (0, 0)
    layout: str = ""
    skeleton: str = ""
    joints: int = 0
    colour: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    data: str = ""
    code_licence: str = ""
    licence: str = ""
    terms: str = ""
    score: str = ""
    measured: str = ""

    @property
    def path(self) -> Path:
        """Where its file is, or will be."""
        if self.origin == "embedded":
            return _HERE / f"{self.name}.onnx"
        if self.origin == "checkpoint":
            return cache_folder() / "published" / f"{self.name}.safetensors"
        return cache_folder() / "networks" / f"{self.name}.onnx"

    @property
    def permissive(self) -> bool:
        """Whether the weights may be used for anything, as far as their authors state."""
        return self.licence in _PERMISSIVE and not self.terms.startswith("HumanArt")

    @property
    def pinned(self) -> bool:
        """Whether two sources or more state the sum of the file."""
        return bool(self.sha256) and self.sources > 1


EMBEDDED = {
    "movenet-thunder": Entry(
        "movenet-thunder",
        "embedded",
        "pose",
        sha256="ac7134025cf0bbebcab0b0907fe7ddf45c4bd6674d8ae3c4fe731d3032d492ed",
        input=(256, 256),
        skeleton="coco17",
        joints=17,
        code_licence="Apache-2.0",
        licence="Apache-2.0",
    ),
    "nanodet-g-person": Entry(
        "nanodet-g-person",
        "embedded",
        "detector",
        sha256="cbab58dc8b25b55b583efc9438e1090040b2b08ed486c353b09fc257123daff1",
        input=(512, 512),
        data="COCO",
        code_licence="Apache-2.0",
        licence="Apache-2.0",
    ),
}


@cache
def entries() -> dict[str, Entry]:
    """Return the embedded networks and the published ONNX files by name."""
    head, *lines = _TABLE.read_text(encoding="utf-8").splitlines()
    columns = head.split("\t")
    rows = (dict(zip(columns, line.split("\t"), strict=True)) for line in lines)
    return EMBEDDED | {row["name"]: _entry(row) for row in rows}


def _entry(row: dict[str, str]) -> Entry:
    def number(key: str) -> int:
        return int(row[key] or 0)

    texts = (
        "name kind member archive_sha256 sha256 layout skeleton colour data code_licence licence "
        "terms score measured"
    )
    return Entry(
        origin="onnx",
        aliases=tuple(row["aliases"].split()),
        addresses=tuple(row["addresses"].split()),
        archive_bytes=number("archive_bytes"),
        size=number("bytes"),
        sources=number("sources"),
        input=(number("width"), number("height")),
        joints=number("joints"),
        mean=tuple(map(float, row["mean"].split())),
        std=tuple(map(float, row["std"].split())),
        **{key: row[key] for key in texts.split()},
    )


def checkpoints() -> dict[str, Entry]:
    """Return the published checkpoints by name; `weights.published` has how they are read."""
    from posewright.weights.published import published

    return {
        p.name: Entry(
            p.name,
            "checkpoint",
            _kind(p.network),
            addresses=(p.url,),
            data=p.data,
            licence=p.licence,
            score=p.score,
        )
        for p in published().values()
    }


def _kind(network: str) -> str:
    """Return what a network of the zoo is for, by its name."""
    kinds = {
        "osnet|reid": "re-id",
        "posefix": "refiner",
        "yolox_|yolov3|efficientdet|jde": "detector",
        "rtmo|dekr|adaptivepose|yolo|movenet_multi": "one-stage",
    }
    return next((kind for start, kind in kinds.items() if re.match(start, network)), "pose")


@cache
def _by_alias() -> dict[str, Entry]:
    return {alias: entry for entry in entries().values() for alias in entry.aliases}


def named(name: str) -> Entry | None:
    """Return an embedded network or a published ONNX file by its name or an alias."""
    return entries().get(name) or _by_alias().get(name)


def lookup(name: str) -> Entry | None:
    """Return an entry by its name or an alias; None where there is none.

    UsageError: what other tools call so is not named here because of its licence.
    """
    found = named(name) or checkpoints().get(name)
    if found is None:
        for pattern, why in _UNNAMED:
            if re.fullmatch(pattern, name.lower()):
                raise UsageError(
                    f"{name} is not named by posewright: {why}; under Apache-2.0 there is "
                    "rtmpose-m, or export the file that you have to ONNX yourself and give its path"
                )
    return found


def find(name: str) -> Entry:
    """Return an entry by its name or an alias; a UsageError suggests the nearest three."""
    found = lookup(name)
    if found is None:
        raise UsageError(
            f"no network {name!r}{suggestion(name)}; `posewright models list` shows all, with "
            "--published those that need torch"
        )
    return found


def names() -> list[str]:
    """Return every name and alias."""
    return [*entries(), *_by_alias(), *checkpoints()]


def suggestion(name: str) -> str:
    """Return "; did you mean 'x', 'y' or 'z'?" for the nearest names, or ""."""
    *most, last = [repr(n) for n in difflib.get_close_matches(name, names(), 3, 0.5)] or [""]
    return f"; did you mean {' or '.join(filter(None, [', '.join(most), last]))}?" if last else ""
