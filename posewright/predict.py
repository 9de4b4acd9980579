"""predict_to(): from sources to result files, with a summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posewright.errors import PosewrightError, SourceError, UsageError, counted
from posewright.pipeline.estimate import is_network
from posewright.pipeline.header import with_settings
from posewright.pipeline.provenance import files_beside, provenance
from posewright.readers.saved import Saved
from posewright.results import Result
from posewright.smoothing import Chain, Smoothing, create_smoother, smoothed
from posewright.smoothing.person import only
from posewright.sources import Source, gathered, open_source
from posewright.sources.base import check_rate
from posewright.sources.planning import check_times, plan, shown
from posewright.sources.ranges import Range
from posewright.trackers import Tracker, create_tracker
from posewright.writers import WriterOptions, formats
from posewright.writers.finished import finished
from posewright.writers.journal import Journal
from posewright.writers.outputs import Asked, Outputs, Summary
from posewright.writers.sparing import spare_films, spare_inputs

if TYPE_CHECKING:
    from posewright.pose import Pose

__all__ = ["Progress", "predict_to", "track_to"]


@dataclass(frozen=True)
class Progress:
    """Progress of a run, for bars and logs; total is None where it is unknown."""

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
    smooth: Smoothing | str | None = None,
    gap: float | None = None,
    progress: Callable[[Progress], None] | None = None,
    stopped: Callable[[], int] = lambda: 0,
    resume: bool = False,
    **options: Any,
) -> Summary:
    """Run `pose` over all sources and write every format of `save` into the folder `out`.

    A source that cannot be opened is noted and the others continue; so is a writer that fails.
    Images that posewright drew and duplicates are skipped with a note.  OutputError, before
    anything is written, where a result would replace an input or an existing file without
    overwrite, or another run is writing into the folder.  smooth, gap: see
    smoothing.create_smoother; both need a tracker.  stopped: asked after every frame, and while a
    camera or stream is waited for; True, or the number of a signal, finishes the open files.
    resume: go on with the stopped or killed run whose journal is in the folder, see
    writers/journal.py; UsageError where that was another run.  options: see Pose.stream.
    """
    summary, start = Summary(), time.perf_counter()
    if tracker is None and (smooth is not None or gap is not None):
        raise UsageError("smoothing and gap filling need identities; add --track (tracker=...)")
    asked_for = {"tracker": tracker, "smooth": smooth, "gap": gap, **options}
    told = {name: _name(asked_for.get(name)) for name in ("tracker", "smooth", "gap", "fps")}
    if isinstance(tracker, str):
        tracker = create_tracker(tracker, skeleton=pose.skeleton, embed=pose.embed)
    chosen = formats(save).values()
    options["keep_images"] = pictures = any(form.pixels for form in chosen)
    options["stopped"] = stopped
    span = Range.of(options.get("frames"), options.get("time_range"), options.get("stride", 1))
    told |= span.to_dict()
    smoothing = _Smoothing(smooth, gap, pictures, span.stride)
    planned = plan(sources, lambda source: open_source(source, retry_s=0.0))
    summary.notes += planned.notes
    if span.timed and options.get("fps") is None:
        check_times(planned.sources)
    if writing is not None:
        writing = replace(writing, several=writing.several and len(planned.sources) > 1)
    spare_inputs(out, save, planned.sources, files_beside(pose, writing, options.get("boxes")))
    origin = provenance(pose, planned.sources, save, writing, asked_for, resume)
    journal = Journal(out, origin, resume)
    if resume and (done := _finished(pose, journal, save, planned.sources, told)):
        return replace(summary, notes=[*summary.notes, *done])
    if origin is not None:
        options["records"] = journal
    if "video" in save and not journal.path.exists():  # whose run made them
        spare_films(out, planned.sources, writing or WriterOptions())
    # whether it matters which images follow one another
    follows = tracker is not None or options.get("fps") is not None or span != Range()
    follows = follows or any(form.ordered for form in chosen)
    read = gathered(planned.sources) if follows else planned.sources
    with Outputs.open(save, out, writing, summary, journal) as outputs:
        asked, ids = Asked(summary, stopped), set[int]()
        run = _Run(summary, outputs, ids, smoothing, progress, asked, start, told)
        for source in read:
            if tracker is not None:
                tracker.reset()
            run.source(pose, source, tracker=tracker, **options)
            if asked():  # also by a source without a frame
                break
    summary.ids = len(ids)
    summary.seconds = time.perf_counter() - start
    summary.notes += _nobody(pose, summary, options.get("boxes"))
    return summary


def _finished(
    pose: Pose,
    journal: Journal,
    save: Sequence[str],
    sources: Sequence[Any],
    told: Mapping[str, Any],
) -> list[str]:
    """Return a note where there is nothing to go on with, because the run is complete."""
    if journal.path.exists():
        return []
    header = with_settings(getattr(pose, "run", {}), told)
    return finished(journal.path.parent, save, sources, header)


def _name(method: Any) -> Any:
    """Return what the header of results says of a tracker or smoother."""
    if method is None or isinstance(method, str):
        return method
    if isinstance(method, (int, float, np.number)):
        return float(method)
    if is_dataclass(method) and not isinstance(method, type):
        return asdict(method)
    return type(method).__name__


def _nobody(pose: Pose, summary: Summary, boxes: object) -> list[str]:
    """Return a hint where frames could be read, and no person was found in any of them."""
    if summary.people or not summary.frames:
        return []
    frames = counted(summary.frames, "frame", "frames")
    if pose.detector_note and boxes is None:
        return [f"no person was found in {frames}: {pose.detector_note}"]
    lower = "--det-score or --min-score" if is_network(pose.detector) else "--min-score"
    other = "" if boxes or pose.detector is None else "; for small people, give larger images"
    return [f"no person was found in {frames}; try a lower {lower}{other}"]


@dataclass(frozen=True)
class _Smoothing:
    """What was asked for; every source gets a smoother of its own."""

    method: Smoothing | str | None
    gap: float | None
    pictures: bool = False
    stride: int = 1

    def __post_init__(self) -> None:
        self.start(30.0)  # complain before anything is read

    def start(self, fps: float | None, live: bool = False) -> Chain:
        return create_smoother(
            self.method,
            gap=self.gap,
            fps=fps / self.stride if fps else 30.0,  # without times, numbers tell them
            live=live,
            pictures=self.pictures,
        )


@dataclass
class _Run:
    """One source of a run."""

    summary: Summary
    outputs: Outputs
    ids: set[int]
    smoothing: _Smoothing
    progress: Callable[[Progress], None] | None
    asked: Asked
    start: float
    told: dict[str, Any]  # settings beside those of the networks, for the header
    _last: tuple[Mapping[str, Any], dict[str, Any]] | None = None

    def source(self, pose: Pose, source: Any, **options: Any) -> None:
        try:
            stream = pose.stream(source, **options)
        except SourceError as error:
            self.summary.add_bad(shown(source), str(error), error)
            return
        with stream:
            self._without_rate(stream.source, options.get("fps"))
            smoother = self.smoothing.start(stream.source.fps, stream.source.kind == "stream")
            try:
                for done, result in enumerate(stream, 1):
                    self._take_all(smoother.push(result))
                    self._report(stream.source.name, done, stream.source.total)
                    if self.asked():
                        break
            except SourceError as error:  # no frame was in the range
                self.summary.add_bad(shown(source), str(error))
            except PosewrightError:
                self._take_all(smoother.finish())  # what was good so far stays
                raise
            self._take_all(smoother.finish())
            self.summary.notes += [*smoother.notes, *getattr(stream.source, "notes", ())]

    def saved(self, saved: Saved, chosen: Mapping[int, int] | None) -> None:
        smoother = self.smoothing.start(saved.fps)
        for number, results in saved.sequences():
            kept = results if chosen is None else _alone(results, chosen[number])
            self._take_all(smoothed(self.asked.until(kept), smoother))
            if self.summary.interrupted:
                break
        self.summary.notes += smoother.notes

    def _take_all(self, results: Iterable[Result]) -> None:
        for result in results:
            self._take(result)

    def _take(self, result: Result) -> None:
        summary = self.summary
        result = result.replace(run=self._header(result.run))
        if result.status == "ok":
            summary.frames += 1
            summary.people += len(result)
            self.ids.update(int(i) for i in result.ids if i >= 0)
            if result.message:
                summary.add_bad(result.source, result.message)
        elif result.status == "gap":
            summary.notes.append(f"{result.source}: {result.message}")
        else:
            summary.add_bad(result.source, result.message)
        self.outputs.write(result)

    def _without_rate(self, source: Source, fps: float | None) -> None:
        """Note a rate that was given for images and means nothing to a video or stream."""
        timed = fps is not None and source.kind != "pictures"
        self.told = {**self.told, "fps": None if timed or fps is None else float(fps)}
        self._last = None
        if timed:
            self.summary.notes.append(f"{source.name} has times of its own: --fps has no effect")

    def _header(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """Return the header's entries with the settings of this run; the same object each time."""
        if self._last is None or self._last[0] is not run:
            self._last = run, with_settings(run, self.told)
        return self._last[1]

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
    tracker: str = "oks",
    smooth: Smoothing | str | None = None,
    gap: float | None = None,
    person: str | None = None,
    frames: Any = None,
    time_range: Any = None,
    stride: int = 1,
    stopped: Callable[[], int] = lambda: 0,
) -> Summary:
    """Read saved poses, assign identities, write them again; no network runs.

    fps: frame rate of results without timestamps, from which they get them.  A new sequence
    starts with another video or folder, and where the frame numbers restart; everyone in it gets a
    new identity.  tracker: a name, or "none" to keep the identities of the file.  smooth, gap: see
    smoothing.create_smoother.  person: keep only one per sequence, see smoothing.choose; the file
    is read twice then, and nothing is written if the first pass was stopped.  frames, time_range,
    stride: which frames of each sequence are kept, see sources.ranges.Range.of.  stopped: as for
    predict_to.
    """
    asking = [f"--save {name}" for name, form in formats(save).items() if form.pixels]
    for option in [*asking, *(["--tracker appearance"] if tracker == "appearance" else [])]:
        raise UsageError(f"{option} needs images, which saved poses do not contain; use predict")
    check_rate(fps)
    told = {"tracker": tracker, "smooth": _name(smooth), "gap": gap, "person": person}
    summary, start = Summary(), time.perf_counter()
    span = Range.of(frames, time_range, stride)
    told |= span.to_dict()
    smoothing = _Smoothing(smooth, gap, stride=span.stride)
    saved = Saved(path, tracker, fps, span)
    asked, ids = Asked(summary, stopped), set[int]()
    chosen: dict[int, int] | None = None
    if person is not None:
        chosen = saved.choose(person, asked.until, lambda: summary.interrupted)
    if not summary.interrupted:
        spare_inputs(out, save, [path])
        with Outputs.open(save, out, writing, summary) as outputs:
            run = _Run(summary, outputs, ids, smoothing, None, asked, start, told)
            run.saved(saved, chosen)
    if not summary.frames and not summary.interrupted:
        summary.notes.append(f"{path} holds no frame to keep; nothing was written")
    summary.ids = len(ids)
    summary.seconds = time.perf_counter() - start
    return summary


def _alone(results: Iterable[Result], person: int) -> Iterator[Result]:
    """Yield every frame with that person only, or nobody."""
    return (result.replace(people=only(result.people, person)) for result in results)
