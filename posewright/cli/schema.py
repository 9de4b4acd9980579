"""Print the schema of results: of poses.jsonl as JSON Schema, of poses.parquet as its columns.

Both are versioned; results of earlier versions are read, and fields that a reader does not know are
kept.  docs/outputs.md explains them.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument(
        "form",
        nargs="?",
        default="json",
        choices=("json", "parquet"),
        help="json: JSON Schema (2020-12); parquet: columns, types and meaning (default json)",
    )


def run(args: argparse.Namespace) -> int:
    """Print; return the exit code."""
    import json

    from posewright.schema import json_schema, table_schema

    schema = json_schema() if args.form == "json" else table_schema()
    print(json.dumps(schema, indent=2))
    return 0
