"""CSV and Parquet: long tables with a line for each joint of each person of each frame.

Parquet has all columns of the schema, a line for a frame without people too, and the header in its
metadata, so that `readers.read_results` reads it back equal.  CSV, for spreadsheets, has people
alone, in the columns of `CSV_COLUMNS`.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from posewright.extras import need
from posewright.files.part import PartFile
from posewright.files.values import dumps, plain
from posewright.results import Result
from posewright.schema import COLUMNS, TABLE_KEY
from posewright.schema.rows import header
from posewright.schema.table import columns
from posewright.writers import WriterOptions
from posewright.writers.text import TextWriter, harmless

__all__ = ["CSV_COLUMNS", "CsvForm", "ParquetWriter", "create"]

CSV_COLUMNS = tuple(
    "source frame time person id joint x y score box_x1 box_y1 box_x2 box_y2 box_score".split()
)
_CHUNK = 65_536  # rows of a row group


def create(name: str, folder: Path, options: WriterOptions) -> TextWriter | ParquetWriter:
    """Return the writer of `poses.csv` or `poses.parquet`."""
    if name == "parquet":
        return ParquetWriter(folder / "poses.parquet", options.overwrite)
    return TextWriter(folder / "poses.csv", CsvForm(), options.overwrite)


class CsvForm:
    """Comma-separated lines with a header, UTF-8, "\\n" at the end of a line."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def begin(self) -> str:
        return ",".join(CSV_COLUMNS) + "\n"

    def add(self, result: Result) -> str:
        if not result.people.scores.size:
            return ""
        table = columns(result)
        kinds = {"float": plain, "string": lambda cells: [harmless(cell) for cell in cells]}
        lists = [kinds.get(COLUMNS[n], np.ndarray.tolist)(table[n]) for n in CSV_COLUMNS]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(zip(*lists, strict=True))
        return text.getvalue()

    def end(self) -> str:
        return ""


class ParquetWriter:
    """A Parquet file; rows are flushed in groups of about 65,536, so that memory stays bounded.

    Its metadata has the header of the first frame.  MissingError without pyarrow.
    """

    def __init__(self, path: Path, overwrite: bool) -> None:
        self.notes: list[str] = []
        self._arrow, parquet = need("pyarrow", "Parquet"), need("pyarrow.parquet", "Parquet")
        kinds = {"string": "utf8", "float": "float32", "double": "float64"}
        fields = [(name, getattr(self._arrow, kinds.get(k, k))()) for name, k in COLUMNS.items()]
        self._schema = self._arrow.schema(fields)
        self._header: dict[str, Any] | None = None
        self._waiting: list[Any] = []
        self._rows = 0
        self._sink = _Sink(PartFile(path, overwrite))
        self._file = parquet.ParquetWriter(self._sink, self._schema)

    def write(self, result: Result) -> None:
        """Add one frame."""
        if self._header is None:
            self._header = header(result.skeleton, result.run)
        table = columns(result)
        for name in ("source", "sequence", "message"):
            # Arrow's strings are UTF-8; a file name need not be.
            text = table[name][0].encode("utf-8", "replace").decode()
            table[name] = [text] * len(table[name])
        arrays = self._arrays(table)
        self._waiting.append(self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._rows += len(arrays[0])
        if self._rows >= _CHUNK:
            self._flush()

    def close(self) -> list[Path]:
        """Write the remaining rows and the footer."""
        self._flush()
        with self._sink.part.guard(self.abort):
            head = self._header or header(None, {})
            self._file.add_key_value_metadata({TABLE_KEY: dumps(head)})
            self._file.close()
        return [self._sink.part.finish()]

    def abort(self) -> None:
        """Remove the temporary file."""
        self._waiting, self._rows = [], 0
        self._sink.part.abort()
        self._sink.deaf = True
        self._file.close()

    def _arrays(self, table: dict[str, Any]) -> list[Any]:
        """Return Arrow's arrays; NaN, which stands for nothing, is null."""
        return [
            self._arrow.array(table[field.name], field.type, from_pandas=True)
            for field in self._schema
        ]

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
