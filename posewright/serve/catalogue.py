"""The networks and labelled data that a job may name, and where they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posewright.errors import UsageError, nearest
from posewright.serve.places import files_in, find_in
from posewright.weights.registry import entries

__all__ = ["Catalogue"]

NETWORKS = (".onnx", ".safetensors", ".xml")
_LIBRARY, _JOBS = "library/", "jobs/"


@dataclass(frozen=True)
class Catalogue:
    """Names that clients use, for what is here: nothing is downloaded.

    model, detector: as the server was started with; default: the name of that model.  library: the
    folder of --library.  jobs: the folder of all jobs.
    """

    model: str
    detector: str
    default: str
    library: Path | None
    jobs: Path

    def networks(self, owned: list[str]) -> list[dict[str, Any]]:
        """Return a row for each network; owned: the jobs whose results may be named."""
        here = [entry for entry in entries().values() if entry.path.is_file()]
        rows: list[dict[str, Any]] = [
            {"name": entry.name, "kind": entry.kind, "joints": entry.joints} for entry in here
        ]
        if self.default not in {row["name"] for row in rows}:
            rows.insert(0, {"name": self.default, "kind": "pose", "joints": 0})
        files = [f"{_LIBRARY}{name}" for name in self._below(self.library)]
        for job in owned:
            files += [f"{_JOBS}{job}/{name}" for name in self._below(self.jobs / job / "out")]
        rows += [{"name": name, "kind": "file", "joints": 0} for name in files]
        return [{**row, "default": row["name"] == self.default} for row in rows]

    def network(self, name: str, owned: list[str]) -> str:
        """Return what the command line calls a network; UsageError for an unknown one."""
        if name == self.default:
            return self.model
        entry = entries().get(name)
        if entry is not None and entry.path.is_file():
            return entry.name
        path = self._file(name, owned)
        if path is not None and path.suffix in NETWORKS and path.is_file():
            return str(path)
        known = [row["name"] for row in self.networks(owned)]
        raise UsageError(f"no network {name[:100]!r}{nearest(name[:100], known)}; GET /v1/models")

    def data(self) -> list[str]:
        """Return the names of the folders and files of the library that may be labelled data."""
        if self.library is None:
            return []
        found = files_in(self.library, folders=True)
        kept = [name for name, size in found if size < 0 or name.endswith(".json")]
        return [f"{_LIBRARY}{name}" for name in kept]

    def labels(self, name: str) -> Path:
        """Return a file or folder of the library; UsageError where there is none of that name."""
        path = self._file(name, [])
        if path is None:
            raise UsageError(f"no data {name[:100]!r} in the library; GET /v1/library lists it")
        return path

    def _file(self, name: str, owned: list[str]) -> Path | None:
        if name.startswith(_LIBRARY) and self.library is not None:
            return find_in(self.library, name.removeprefix(_LIBRARY))
        job, _, below = name.removeprefix(_JOBS).partition("/")
        if name.startswith(_JOBS) and job in owned:
            return find_in(self.jobs / job / "out", below)
        return None

    def _below(self, folder: Path | None) -> list[str]:
        found = [] if folder is None else files_in(folder)
        return [name for name, _ in found if name.endswith(NETWORKS)]
