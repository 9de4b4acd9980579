"""Files that posewright writes for itself or for later: tables, journals, receipts, archives.

And networks without metadata, whose layout and skeleton an option names.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from posewright.people import Frame
from posewright.people import People as Everybody
from posewright.results import Result
from posewright.skeletons import get_skeleton
from posewright.weights.receipt import record
from posewright.writers import create_writer
from posewright.writers.journal import JOURNAL, Journal, Provenance
from tests.helpers.networks import dets_graph, rtmo_graph, simcc_graph

from .damage import damaged_bytes, damaged_json, damaged_words

__all__ = ["damaged_journal", "damaged_table", "own"]

_GRAPHS = {"simcc.onnx": simcc_graph, "dets.onnx": dets_graph, "rtmo.onnx": rtmo_graph}
_PIXELS = np.zeros((168, 96, 3), np.uint8)
_ODD_VALUES: tuple[Any, ...] = (0, -1, 1, 2**31, 2**62, 1e30, -1e30, float("nan"), float("inf"))
_ODD_TEXTS = ("", "x", "../../x", "nose", "\x1b]0;x\x07", "9" * 5000, None)


def own(folder: Path) -> dict[str, list[Path]]:
    """Write good files of these kinds into a folder."""
    tables, journals, graphs, kept = (
        folder / name for name in ("tables", "journals", "layouts", "kept")
    )
    for place in (tables, journals, graphs, kept):
        place.mkdir()
    writer = create_writer("parquet", tables)
    for result in _found():
        if result.status == "ok":  # another one ends `track` with 3
            writer.write(result)
    writer.close()
    _journal(journals)
    for name, make in _GRAPHS.items():
        (graphs / name).write_bytes(make())
    network = kept / "net.onnx"
    shutil.copyfile(graphs / "simcc.onnx", network)
    record(network, "https://example.org/net.onnx")
    with zipfile.ZipFile(kept / "net.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("sdk/net.onnx", network.read_bytes())
        packed.writestr("sdk/readme.txt", "a network")
    return {
        "tables": [tables / "poses.parquet"],
        "journals": [journals / JOURNAL],
        "layouts": sorted(graphs.iterdir()),
        "receipts": [kept / "net.onnx.receipt.json"],
        "downloads": [kept / "net.zip"],
    }


def _found() -> list[Result]:
    """Frames of two people, of nobody, and one that cannot be read."""
    rng, skeleton = np.random.default_rng(0), get_skeleton("coco17")
    two = Everybody.of(
        keypoints=rng.random((2, 17, 2)) * 90, scores=rng.random((2, 17)), ids=[1, 2]
    )
    nobody = Everybody.empty(skeleton)
    return [
        Result(two, skeleton, (96, 168), "a.mp4", frame=0),
        Result(nobody, skeleton, (96, 168), "a.mp4", frame=1, time=0.04),
        Result(nobody, skeleton, (0, 0), "b.jpg", status="decode_error", message="it is truncated"),
        Result(two, skeleton, (96, 168), "a.mp4", frame=2, time=0.08),
    ]


def _journal(folder: Path) -> None:
    """Write the journal of a run that was stopped after two windows of two frames."""
    journal = Journal(folder, Provenance({"model": "a"}, {"the processor": "b"}))
    journal.settle(False)
    journal.begin()
    results = _found()
    for window in (results[:2], results[2:]):
        frames = [Frame(_PIXELS, r.frame, name=r.source, status=r.status) for r in window]
        journal.add(frames, window)
    journal.end(complete=False)


def damaged_journal(rng: random.Random, data: bytes) -> bytes:
    """Damage what a line says, under a sum that fits; or leave out, repeat or exchange lines."""
    lines = data.splitlines(keepends=True)
    at, act = rng.randrange(len(lines)), rng.randrange(8)
    if act == 0:
        del lines[at]
    elif act == 1:
        lines[at] *= rng.choice((2, 200))
    elif act == 2:
        lines[at] = damaged_words(rng, lines[at])
    else:
        text = damaged_json(rng, lines[at][9:].strip()).replace(b"\n", b" ")
        lines[at] = b"%08x %s\n" % (zlib.crc32(text), text)
    return b"".join(lines)


def damaged_table(rng: random.Random, data: bytes) -> bytes:
    """Damage values, rows, columns or the metadata of a Parquet file, or its bytes."""
    act = rng.randrange(6)
    if act == 0:
        return damaged_bytes(rng, data)
    if act == 1:
        return damaged_words(rng, data)
    table = pa.parquet.read_table(io.BytesIO(data))
    told = pa.parquet.read_metadata(io.BytesIO(data)).metadata or {}
    told = {key: value for key, value in told.items() if not key.startswith(b"ARROW:")}
    if act == 2:
        key = rng.choice(sorted(told))
        told = {**told, key: damaged_json(rng, told[key])}
    elif act == 3:
        name = rng.choice(table.column_names)
        table = rng.choice(
            (
                table.drop_columns([name]),
                table.rename_columns([c if c != name else "x" for c in table.column_names]),
                table.append_column(name, table[name]),
            )
        )
    else:
        table = _other_values(rng, table)
    file = io.BytesIO()
    pa.parquet.write_table(table.replace_schema_metadata(told), file)
    return file.getvalue()


def _other_values(rng: random.Random, table: Any) -> Any:
    """Return a table with odd values in a column, or with rows in another order or left out."""
    if rng.random() < 0.3:
        rows = [rng.randrange(len(table)) for _ in range(rng.choice((0, 1, 17, len(table))))]
        return table.take(pa.array(rows, pa.int64()))
    number = rng.randrange(len(table.column_names))
    name, values = table.column_names[number], table.column(number).to_pylist()
    odd = rng.choice(_ODD_TEXTS if any(isinstance(v, str) for v in values) else _ODD_VALUES)
    for _ in range(rng.choice((1, 3, len(values)))):
        values[rng.randrange(len(values))] = odd
    kind = table.schema.field(number).type
    try:
        made = pa.array(values, rng.choice((kind, kind, None)))
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        made = pa.array([json.dumps(value, default=str) for value in values])
    return table.set_column(number, name, made)
