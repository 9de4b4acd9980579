"""Read a Parquet file as results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from posewright.errors import SourceError, near
from posewright.extras import need
from posewright.files.contents import open_regular
from posewright.files.fields import parsed
from posewright.files.values import BROKEN, why
from posewright.results import Result
from posewright.schema import COLUMNS, TABLE_KEY
from posewright.schema.rows import read_header
from posewright.schema.table import frames

__all__ = ["read_table"]


def read_table(path: Path) -> Iterator[Result]:
    """Yield the frames of a poses.parquet, a group of rows at a time.

    SourceError: a file that is broken, or another table.  MissingError without pyarrow.
    """
    arrow, parquet = need("pyarrow", "Parquet"), need("pyarrow.parquet", "Parquet")
    try:
        with open_regular(path) as raw, parquet.ParquetFile(raw) as file:
            metadata = file.metadata.metadata or {}
            if TABLE_KEY.encode() not in metadata:
                raise SourceError(
                    f"{path} is not a table of results; give the poses.parquet of --save parquet"
                )
            skeleton, run = read_header(parsed(metadata[TABLE_KEY.encode()]))
            if skeleton is None:
                return
            tables = (
                {name: batch.column(name).to_numpy(zero_copy_only=False) for name in COLUMNS}
                for batch in file.iter_batches(columns=list(COLUMNS))
            )
            for found in frames(tables, skeleton):
                yield Result(**found, run=run)
    except (arrow.ArrowException, *BROKEN) as error:
        raise SourceError(f"{path} is invalid ({why(error)}); write the file again") from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}{near(path)}") from error
