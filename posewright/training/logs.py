"""The logs of a run: CSV and JSON lines, and TensorBoard if requested."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from posewright.extras import naming_extras
from posewright.files.part import explain
from posewright.files.scratch import replacing

__all__ = ["Log", "Meter", "Place", "write_bytes", "write_text"]


class Log:
    """Rows of numbers that continue when the run resumes.

    log.csv and log.jsonl have a row every so many steps, validation.csv one every validation;
    rows after the step that a run resumes from are taken back, so that none is there twice.
    """

    def __init__(self, folder: Path, resumed_from: int = 0, tensorboard: bool = False) -> None:
        self.folder = folder
        for name in ("log.csv", "validation.csv", "log.jsonl"):
            _cut(folder / name, resumed_from)
        self.board: Any = None
        if tensorboard:
            with naming_extras("tensorboard=true"):
                from torch.utils.tensorboard import SummaryWriter
            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=resumed_from + 1)

    def step(self, row: dict[str, float]) -> None:
        """Add a row of training."""
        self._append("log", row)

    def validation(self, row: dict[str, float]) -> None:
        """Add a row of validation."""
        self._append("validation", row)

    def _append(self, name: str, row: dict[str, float]) -> None:
        path = self.folder / f"{name}.csv"
        try:
            columns = _columns(path) or list(row)
            with open(path, "a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                if not file.tell():
                    writer.writerow(columns)
                # a column that the run's first version did not know would shift all others
                writer.writerow([row.get(column, "") for column in columns])
            with open(self.folder / "log.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": name, **row}) + "\n")
        except OSError as error:
            raise explain(path, error) from error
        if self.board is not None:
            for key, value in row.items():
                if key not in ("step", "epoch"):
                    self.board.add_scalar(f"{name}/{key}", value, int(row["step"]))

    def close(self) -> None:
        """Write out what is held back."""
        if self.board is not None:
            self.board.close()


def _columns(path: Path) -> list[str]:
    """Return the header of a table; none where there is no table yet."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


def _cut(path: Path, last: int) -> None:
    """Drop the rows of steps after `last`, and a row that a crash left unfinished."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if path.suffix == ".csv":
        columns = lines[0].strip().split(",") if lines else []
        kept = lines[:1] + [line for line in lines[1:] if _csv_step(line, columns) <= last]
    else:
        kept = [line for line in lines if _json_step(line) <= last]
    if not last:
        kept = []
    write_text(path, "".join(kept))


def _csv_step(line: str, columns: list[str]) -> float:
    cells = line.strip().split(",")
    try:
        return float(cells[columns.index("step")]) if len(cells) == len(columns) else float("inf")
    except ValueError:
        return float("inf")


def _json_step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def write_text(path: Path, text: str) -> None:
    """Write a small file of text, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a small file, whole or not at all."""
    try:
        with replacing(path) as part:
            part.write_bytes(content)
    except OSError as error:
        raise explain(path, error) from error


@dataclass(slots=True)
class Place:
    """The progress of a run.

    epoch, batch: those in hand, from 0.  step: updates since the start.  metric, best, best_epoch:
    name of the validation's main number, its best and when; "", None and -1 before the first.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float | None = None
    best_epoch: int = -1
    metric: str = ""

    def is_better(self, metric: str, value: float) -> bool:
        """Whether a validation is the best so far; one that measured nothing (-1, NaN) never is."""
        best = self.best if self.best is not None and self.best >= 0 else -1.0
        return value >= 0 and (metric != self.metric or value > best)


@dataclass(slots=True)
class Meter:
    """What has happened since the last row of the log."""

    loss: float = 0.0
    count: int = 0
    right: float = 0.0
    measured: int = 0
    left_out: int = 0
    waited: float = 0.0
    since: float = field(default_factory=time.perf_counter)

    def add(self, loss: float, waited: float, accuracy: float = float("nan")) -> None:
        """Note one step: its loss, NaN where it was left out, and the seconds spent on data.

        accuracy: of the step, NaN where it was not measured.
        """
        if loss == loss:
            self.loss, self.count = self.loss + loss, self.count + 1
        else:
            self.left_out += 1
        if accuracy == accuracy:
            self.right, self.measured = self.right + accuracy, self.measured + 1
        self.waited += waited

    @property
    def mean(self) -> float:
        """The mean loss of the steps that were not left out."""
        return self.loss / max(self.count, 1)

    @property
    def accuracy(self) -> float:
        """The mean accuracy of the steps that were measured; NaN where none was."""
        return self.right / self.measured if self.measured else float("nan")

    def row(
        self, place: Place, loss: float, rate: float, batch: int, accuracy: float
    ) -> dict[str, float]:
        """Return a row of the log.

        loss, accuracy: means of all processes; the latter is left out where it is NaN, as for
        networks without heatmaps.  batch: views of a step.
        """
        seconds = time.perf_counter() - self.since
        return {
            "step": place.step,
            "epoch": place.epoch,
            "loss": loss,
            "lr": rate,
            "seconds": seconds,
            "images_per_second": (self.count + self.left_out) * batch / seconds,
            "data_wait": self.waited,
            **({"accuracy": accuracy} if accuracy == accuracy else {}),
        }

    def facts(self) -> dict[str, float]:
        """Return what JSON keeps of it."""
        kept = asdict(self)
        kept["since"] = time.perf_counter() - self.since
        return kept

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Meter:
        """Return the meter that continues from `facts`."""
        return cls(**{**facts, "since": time.perf_counter() - facts["since"]})
