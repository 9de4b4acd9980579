"""CSV and Parquet: long tables with one row for each joint of each person of each frame.

Columns, version 1 (`COLUMNS`): source; frame (number in the source, from 0); time (s); person
(number in the frame, from 0); id (of the track, -1 = none); joint (its name); x, y (px); score (of
the joint); box_x1, box_y1, box_x2, box_y2 (px); box_score.  Frames without people, and those that
could not be read, have no rows.  The Parquet file carries the version as "posewright.table".
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from posewright.extras import need
from posewright.files.part import PartFile
from posewright.files.values import plain
from posewright.results import Result
from posewright.writers import WriterOptions
from posewright.writers.text import TextWriter, harmless

__all__ = ["COLUMNS", "TABLE_VERSION", "CsvForm", "ParquetWriter", "columns", "create"]

TABLE_VERSION = 1
COLUMNS = {
    "source": "string",
    "frame": "int64",
    "time": "double",
    "person": "int32",
    "id": "int64",
    "joint": "string",
    "x": "float",
    "y": "float",
    "score": "float",
    "box_x1": "float",
    "box_y1": "float",
    "box_x2": "float",
    "box_y2": "float",
    "box_score": "float",
}
_CHUNK = 65_536  # rows of a row group


def create(name: str, folder: Path, options: WriterOptions) -> TextWriter | ParquetWriter:
    """Return the writer of `poses.csv` or `poses.parquet`."""
    if name == "parquet":
        return ParquetWriter(folder / "poses.parquet", options.overwrite)
    return TextWriter(folder / "poses.csv", CsvForm(), options.overwrite)


def columns(result: Result) -> dict[str, Any]:
    """Return the columns of one frame, N * K rows each, as arrays or lists."""
    people = result.people
    n, k = people.scores.shape
    each = np.repeat(np.arange(n), k)
    boxes = people.boxes[each]
    return {
        "source": [result.source] * (n * k),
        "frame": np.full(n * k, result.frame),
        "time": np.full(n * k, float(result.time)),
        "person": each,
        "id": people.ids[each],
        "joint": list(result.skeleton.joints[:k]) * n,
        "x": people.keypoints[..., 0].ravel(),
        "y": people.keypoints[..., 1].ravel(),
        "score": people.scores.ravel(),
        **{f"box_{side}": boxes[:, i] for i, side in enumerate(("x1", "y1", "x2", "y2"))},
        "box_score": people.box_scores[each],
    }


class CsvForm:
    """Comma-separated lines with a header, UTF-8, "\\n" at the end of a line."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def begin(self) -> str:
        return ",".join(COLUMNS) + "\n"

    def add(self, result: Result) -> str:
        table = columns(result)
        kinds = {"float": plain, "string": lambda cells: [harmless(cell) for cell in cells]}
        lists = [kinds.get(COLUMNS[name], np.ndarray.tolist)(c) for name, c in table.items()]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(zip(*lists, strict=True))
        return text.getvalue()

    def end(self) -> str:
        return ""


class ParquetWriter:
    """A Parquet file; rows are flushed in groups of about 65,536, so that memory stays bounded.

    MissingError without pyarrow.
    """

    def __init__(self, path: Path, overwrite: bool) -> None:
        self.notes: list[str] = []
        self._arrow, parquet = need("pyarrow", "Parquet"), need("pyarrow.parquet", "Parquet")
        kinds = {"string": "utf8", "float": "float32", "double": "float64"}
        fields = [(name, getattr(self._arrow, kinds.get(k, k))()) for name, k in COLUMNS.items()]
        version = {"posewright.table": str(TABLE_VERSION)}
        self._schema = self._arrow.schema(fields, metadata=version)
        self._waiting: list[Any] = []
        self._rows = 0
        self._sink = _Sink(PartFile(path, overwrite))
        self._file = parquet.ParquetWriter(self._sink, self._schema)

    def write(self, result: Result) -> None:
        """Add one frame."""
        table = columns(result)
        # Arrow's strings are UTF-8; a file name need not be.
        name = result.source.encode("utf-8", "replace").decode()
        table["source"] = [name] * len(table["source"])
        batch = self._arrow.RecordBatch.from_pydict(table, self._schema)
        self._rows += batch.num_rows
        if batch.num_rows:
            self._waiting.append(batch)
        if self._rows >= _CHUNK:
            self._flush()

    def close(self) -> list[Path]:
        """Write the remaining rows and the footer."""
        self._flush()
        with self._sink.part.guard(self.abort):
            self._file.close()
        return [self._sink.part.finish()]

    def abort(self) -> None:
        """Remove the temporary file."""
        self._waiting, self._rows = [], 0
        self._sink.part.abort()
        self._sink.deaf = True
        self._file.close()

    def _flush(self) -> None:
        waiting, self._waiting, self._rows = self._waiting, [], 0
        if waiting:
            with self._sink.part.guard(self.abort):
                self._file.write_table(self._arrow.Table.from_batches(waiting, self._schema))


class _Sink(io.RawIOBase):
    """Where Arrow writes to: a PartFile, or nowhere once it was given up."""

    def __init__(self, part: PartFile) -> None:
        self.part = part
        self.deaf = False  # Arrow writes its foot even after a failure

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.deaf:
            self.part.write(bytes(data))
        return len(data)
