"""The table of jobs: one SQLite file in the folder of data, and a folder for each job.

A job is queued, running, done, failed or cancelled.  Each change is one statement, so that a killed
server leaves no half of one; what ran when it was killed is queued again at the next start.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from posewright.serve.kinds import Asked

__all__ = ["ENDED", "Jobs"]

ENDED = ("done", "failed", "cancelled")
_TABLE = """CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, owner TEXT NOT NULL,
    kind TEXT NOT NULL, asked TEXT NOT NULL, status TEXT NOT NULL, created REAL NOT NULL,
    started REAL, ended REAL, tries INTEGER NOT NULL DEFAULT 0, exit_code INTEGER,
    error TEXT NOT NULL DEFAULT '', result TEXT)"""
_CLAIM = """UPDATE jobs SET status='running', started=?, tries=tries+1 WHERE number=(
    SELECT number FROM jobs WHERE status='queued' ORDER BY number LIMIT 1) RETURNING *"""
_END = """UPDATE jobs SET status=?, ended=?, exit_code=?, error=?, result=?
    WHERE id=? AND status='running'"""


class Jobs:
    """Every job of the server; may be used by several threads.

    folder: of the data; the jobs' own folders lie in `folders`.  OSError, sqlite3.Error: it cannot
    be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folders = folder.absolute() / "jobs"
        self.folders.mkdir(exist_ok=True, mode=0o700)
        self._lock = threading.Lock()
        self.waiting = threading.Condition()  # told when a job is queued
        self._base = sqlite3.connect(
            folder / "jobs.sqlite", isolation_level=None, check_same_thread=False, timeout=30
        )
        self._base.row_factory = sqlite3.Row
        for line in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", _TABLE):
            self._base.execute(line)
        self._run("UPDATE jobs SET status='queued' WHERE status='running'")
        self._remove_strangers()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

    def folder(self, job: str) -> Path:
        """Return the folder of a job whose id came from this table."""
        return self.folders / job

    def new_id(self) -> str:
        """Return an id that nobody can guess."""
        return secrets.token_hex(12)

    def add(self, job: str, owner: str, asked: Asked) -> dict[str, Any]:
        """Queue a job, whose folder is complete."""
        row = self._run(
            "INSERT INTO jobs (id, owner, kind, asked, status, created) VALUES (?,?,?,?,?,?) "
            "RETURNING *",
            (job, owner, asked.kind, json.dumps(asdict(asked)), "queued", time.time()),
        )[0]
        self._tell()
        return row

    def claim(self) -> dict[str, Any] | None:
        """Take the oldest job that waits; None where none does."""
        rows = self._run(_CLAIM, (time.time(),))
        return rows[0] if rows else None

    def end(
        self, job: str, status: str, code: int | None, error: str = "", result: str | None = None
    ) -> bool:
        """End a running job, once; False where it runs no more, as it was cancelled or deleted."""
        return self._changed(_END, (status, time.time(), code, error, result, job))

    def park(self, job: str) -> None:
        """Queue a running job again, which the next start goes on with."""
        self._run("UPDATE jobs SET status='queued' WHERE id=? AND status='running'", (job,))

    def cancel(self, job: str) -> bool:
        """Cancel a job that has not ended; False where it has."""
        return self._changed(
            "UPDATE jobs SET status='cancelled', ended=? WHERE id=? AND status IN "
            "('queued','running')",
            (time.time(), job),
        )

    def retry(self, job: str) -> bool:
        """Queue a job that failed or was cancelled once more; False for others."""
        found = self._changed(
            "UPDATE jobs SET status='queued', ended=NULL, exit_code=NULL, error='', result=NULL "
            "WHERE id=? AND status IN ('failed','cancelled')",
            (job,),
        )
        self._tell()
        return found

    def get(self, job: str, owner: str) -> dict[str, Any] | None:
        """Return a job of its owner; None for others'."""
        rows = self._run("SELECT * FROM jobs WHERE id=? AND owner=?", (job, owner))
        return rows[0] if rows else None

    def status(self, job: str) -> str:
        """Return the status of a job, "" where it was deleted."""
        rows = self._run("SELECT status FROM jobs WHERE id=?", (job,))
        return str(rows[0]["status"]) if rows else ""

    def of(self, owner: str, status: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """Return the jobs of an owner, the newest first."""
        return self._run(
            "SELECT * FROM jobs WHERE owner=? AND (?='' OR status=?) ORDER BY number DESC LIMIT ?",
            (owner, status, status, limit),
        )

    def counts(self) -> Mapping[str, int]:
        """Return how many jobs there are of each status."""
        rows = self._run("SELECT status, COUNT(*) AS many FROM jobs GROUP BY status")
        found = {row["status"]: row["many"] for row in rows}
        return {status: found.get(status, 0) for status in ("queued", "running", *ENDED)}

    def delete(self, job: str) -> None:
        """Delete a job with everything that was uploaded and made for it."""
        self._run("DELETE FROM jobs WHERE id=?", (job,))
        shutil.rmtree(self.folder(job), ignore_errors=True)

    def sweep(self, days: float) -> list[str]:
        """Delete the jobs that ended so many days ago; return their ids."""
        old = self._run(
            "SELECT id FROM jobs WHERE ended IS NOT NULL AND ended < ?",
            (time.time() - 86400 * days,),
        )
        for row in old:
            self.delete(row["id"])
        return [row["id"] for row in old]

    def _remove_strangers(self) -> None:
        """Remove folders of jobs that were deleted or never queued when the server was killed."""
        known = {row["id"] for row in self._run("SELECT id FROM jobs")}
        for path in self.folders.iterdir():
            if path.name not in known:
                shutil.rmtree(path, ignore_errors=True)

    def _tell(self) -> None:
        with self.waiting:
            self.waiting.notify_all()

    def _changed(self, line: str, values: tuple[Any, ...]) -> bool:
        return bool(self._run(f"{line} RETURNING id", values))

    def _run(self, line: str, values: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(row) for row in self._base.execute(line, values).fetchall()]
