"""The schema of results: one row for a frame and its people, in JSON and as a table.

Needs the standard library alone, so that programs and the command line may read it at once.

__init__    the version, and the schemas themselves
results.json    JSON Schema of a header and of a frame's row
rows        results as rows of JSON, and back
table       results as a long table with a line for each joint, and back
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

__all__ = ["COLUMNS", "FORMAT", "READ", "TABLE_KEY", "VERSION", "json_schema", "table_schema"]

FORMAT = "posewright-results"
VERSION = 2
READ = (1, 2)  # the versions that this program reads

TABLE_KEY = "posewright.header"  # of a Parquet file's metadata: the header, as JSON
COLUMNS = {
    "source": "string",
    "sequence": "string",
    "frame": "int64",
    "time": "double",
    "width": "int32",
    "height": "int32",
    "pixel_aspect": "double",
    "status": "string",
    "message": "string",
    "person": "int32",
    "id": "int64",
    "joint": "string",
    "x": "float",
    "y": "float",
    "score": "float",
    "visibility": "float",
    "expected_error": "float",
    "box_x1": "float",
    "box_y1": "float",
    "box_x2": "float",
    "box_y2": "float",
    "box_score": "float",
}
_MEANING = {
    "source": "file, address or name of the frame, as it was given to the command",
    "sequence": "video, stream or folder whose frames are numbered together",
    "frame": "number of the frame in its sequence, from 0",
    "time": "seconds from the start of the sequence",
    "width": "px of the frame; 0 where nothing could be read",
    "height": "px of the frame; 0 where nothing could be read",
    "pixel_aspect": "width of a pixel over its height, where it is shown",
    "status": "ok, decode_error, gap, truncated or model_error",
    "message": "reason of the status; empty for none",
    "person": "number of the person in the frame, from 0; -1 where the frame has nobody",
    "id": "identity, -1 for none",
    "joint": "name of the joint; null where the frame has nobody, or the person a box alone",
    "x": "px, from the centre of the leftmost pixel of the frame as it is shown",
    "y": "px, from the centre of the topmost pixel, downwards",
    "score": "of the joint, 0 to 1",
    "visibility": "probability that the joint can be seen, 0 to 1; null where it is unknown",
    "expected_error": "px, scale of the joint's error as the network states it; null: unknown",
    "box_x1": "px",
    "box_y1": "px",
    "box_x2": "px",
    "box_y2": "px",
    "box_score": "of the person, 0 to 1",
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a line of poses.jsonl and of `Result.to_dict`."""
    text = files(__package__).joinpath("results.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def table_schema() -> dict[str, Any]:
    """Return the columns of poses.parquet: name, Arrow type and meaning of each, in order."""
    columns = [{"name": n, "type": t, "meaning": _MEANING[n]} for n, t in COLUMNS.items()]
    return {
        "format": f"{FORMAT}-table",
        "version": VERSION,
        "metadata": TABLE_KEY,
        "columns": columns,
    }
