"""predict_to(): from sources to result files, and what became of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posewright.errors import OutputError, PosewrightError, SourceError, UsageError
from posewright.people import Frame, Result
from posewright.trackers import Tracker, create_tracker
from posewright.writers import Writer, WriterOptions, create_writer

if TYPE_CHECKING:
    from posewright.pose import Pose

__all__ = ["Progress", "Summary", "predict_to"]

MAX_LISTED = 100


@dataclass
class Summary:
    """What a run did.  bad: the first hundred inputs that could not be read, with the reason."""

    frames: int = 0
    people: int = 0
    ids: int = 0
    bad_frames: int = 0
    bad: list[tuple[str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 ok, 3 finished with bad inputs, 4 an output failed, 130 interrupted."""
        if self.interrupted:
            return 130
        return 4 if self.errors else 3 if self.bad_frames or self.bad else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the form that `--json` prints."""
        return {**asdict(self), "exit_code": self.exit_code}

    def add_bad(self, name: str, message: str) -> None:
        """Note an input that could not be read."""
        self.bad_frames += 1
        if len(self.bad) < MAX_LISTED:
            self.bad.append((name, message))


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for bars and logs; total is None where nobody knows it."""

    source: str
    done: int
    total: int | None
    people: int
    seconds: float


def predict_to(
    pose: Pose,
    sources: Sequence[Any],
    out: Path,
    *,
    save: Sequence[str] = ("jsonl",),
    writing: WriterOptions | None = None,
    tracker: Tracker | str | None = None,
    progress: Callable[[Progress], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    **options: Any,
) -> Summary:
    """Run `pose` over all sources and write every format of `save` into the folder `out`.

    A source that cannot be opened is noted and the others go on; so is a writer that fails.
    stopped: asked after every frame; True finishes the files at hand.  options: see Pose.stream.
    """
    summary, start = Summary(), time.perf_counter()
    if isinstance(tracker, str):
        tracker = create_tracker(tracker, skeleton=pose.skeleton)
    outputs = _Outputs.open(save, out, writing, summary)
    options["keep_images"] = bool({"images", "video"} & set(save))
    ids: set[int] = set()
    try:
        for source in sources:
            if summary.interrupted:
                break
            if tracker is not None:
                tracker.reset()
            run = _Run(summary, outputs, ids, progress, stopped, start)
            run.source(pose, source, tracker=tracker, **options)
    except PosewrightError:
        outputs.close()  # what was good so far stays
        raise
    except BaseException:
        outputs.abort()
        raise
    outputs.close()
    summary.ids = len(ids)
    summary.seconds = time.perf_counter() - start
    return summary


class _Outputs:
    """All writers of a run; one that fails is dropped, the others go on."""

    def __init__(self, writers: list[Writer], summary: Summary) -> None:
        self.writers, self.summary = writers, summary
        self.used = False

    @classmethod
    def open(
        cls, save: Sequence[str], out: Path, options: WriterOptions | None, summary: Summary
    ) -> _Outputs:
        """Make the writers; where one cannot be made, none leaves anything behind."""
        flavours = [name for name in save if name.startswith("alphapose")]
        if len(flavours) > 1:
            raise UsageError(f"{' and '.join(flavours)} are one file; save one of them at a time")
        made = cls([], summary)
        try:
            for name in save:
                made.writers.append(create_writer(name, out, options=options))
        except PosewrightError:
            made.abort()
            raise
        return made

    def write(self, result: Result) -> None:
        self.used = True
        for writer in list(self.writers):
            try:
                writer.write(result)
            except OutputError as error:
                self._drop(writer, error)

    def close(self) -> None:
        """Finish the files; a run that met no frame at all leaves none."""
        if not self.used:
            self.abort()
            return
        for writer in list(self.writers):
            try:
                self.summary.files += [str(path) for path in writer.close()]
                self.summary.notes += getattr(writer, "notes", [])
            except OutputError as error:
                self._drop(writer, error)

    def abort(self) -> None:
        for writer in self.writers:
            writer.abort()

    def _drop(self, writer: Writer, error: OutputError) -> None:
        self.summary.errors.append(str(error))
        self.writers.remove(writer)
        writer.abort()
        if not self.writers:
            raise error


@dataclass
class _Run:
    """One source of a run."""

    summary: Summary
    outputs: _Outputs
    ids: set[int]
    progress: Callable[[Progress], None] | None
    stopped: Callable[[], bool]
    start: float

    def source(self, pose: Pose, source: Any, **options: Any) -> None:
        try:
            stream = pose.stream(source, **options)
        except SourceError as error:
            self.summary.add_bad(str(source), str(error))
            return
        with stream:
            for done, result in enumerate(stream, 1):
                self._take(result)
                self._report(stream.source.name, done, stream.source.total)
                if self.stopped():
                    self.summary.interrupted = True
                    return

    def saved(self, results: Iterable[Result], fps: float) -> None:
        tracker: Tracker | None = None
        last = -1
        for result in results:
            if tracker is None:
                tracker = create_tracker("oks", skeleton=result.skeleton, fps=fps)
            elif result.frame <= last:  # numbers start again with every source
                tracker.reset()
            last = result.frame
            if result.status == "ok":
                seconds = result.time or result.frame / fps
                blank = np.zeros((0, 0, 3), np.uint8)  # the tracker looks at poses only
                frame = Frame(blank, result.frame, seconds, result.source)
                result = result.replace(people=tracker(frame, result.people))
            self._take(result)

    def _take(self, result: Result) -> None:
        summary = self.summary
        if result.status == "ok":
            summary.frames += 1
            summary.people += len(result)
            self.ids.update(int(i) for i in result.ids if i >= 0)
        elif result.status == "gap":
            summary.notes.append(f"{result.source}: {result.message}")
        else:
            summary.add_bad(result.source, result.message)
        self.outputs.write(result)

    def _report(self, name: str, done: int, total: int | None) -> None:
        if self.progress is not None:
            seconds = time.perf_counter() - self.start
            self.progress(Progress(name, done, total, self.summary.people, seconds))


def track_to(
    path: Path,
    out: Path,
    *,
    save: Sequence[str] = ("jsonl",),
    fps: float = 30.0,
    writing: WriterOptions | None = None,
) -> Summary:
    """Read saved poses, give people identities, write them again; no network runs.

    fps: frames a second of results that carry no times.  A new tracker starts with every source.
    """
    from posewright.readers import read_results

    for name in {"images", "video"} & set(save):
        raise UsageError(
            f"--save {name} needs pictures, which saved poses do not hold; use predict"
        )
    summary, start = Summary(), time.perf_counter()
    results = read_results(path)
    outputs = _Outputs.open(save, out, writing, summary)
    run = _Run(summary, outputs, set(), None, lambda: False, start)
    try:
        run.saved(results, fps)
    except BaseException:
        outputs.abort()
        raise
    outputs.close()
    summary.ids = len(run.ids)
    summary.seconds = time.perf_counter() - start
    return summary
