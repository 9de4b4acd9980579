"""Saved poses drawn over their images or their video, without running a network again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from posewright.errors import SourceError, UsageError, counted
from posewright.readers.pictured import Pictured
from posewright.readers.results import read_results
from posewright.skeletons import Skeleton
from posewright.sources import open_source
from posewright.sources.ranges import Range
from posewright.writers import FORMATS, WriterOptions, formats
from posewright.writers.outputs import Asked, Outputs, Summary
from posewright.writers.sparing import spare_films, spare_inputs

__all__ = ["view_to"]

_RANGES = ("frames", "time_range", "stride")


def view_to(
    results: Path,
    source: str,
    out: Path,
    *,
    save: Sequence[str],
    writing: WriterOptions | None = None,
    skeleton: Skeleton | None = None,
    stopped: Callable[[], int] = lambda: 0,
    **reading: Any,
) -> Summary:
    """Draw saved poses over the frames of `source` and write images or a video into `out`.

    results: of any format that `read_results` reads; skeleton: as there.  save: formats that draw.
    reading: see `open_source`.  Which result belongs to a frame: see `Pictured`.  Frames without a
    result are written as they are.  SourceError where none has one.
    """
    drawing = [name for name, form in FORMATS.items() if form.pixels]
    for name in formats(save):
        if name not in drawing:
            raise UsageError(
                f"view draws: it saves {' and '.join(drawing)}, not {name}; posewright track "
                "writes results in other formats"
            )
    summary, start = Summary(), time.perf_counter()
    saved = Pictured(read_results(results, skeleton), results)
    files = [] if results.is_dir() else [results]
    spare_inputs(out, save, [source], files)
    if "video" in save:
        spare_films(out, [source], writing or WriterOptions())
    asked, ids = Asked(summary, stopped), set[int]()
    with (
        open_source(source, **reading) as frames,
        Outputs.open(save, out, writing, summary) as outputs,
    ):
        for result in asked.until(saved.of(frames, frames.kind == "pictures")):
            if result.status != "ok":
                summary.add_bad(result.source, result.message)
                continue
            summary.frames += 1
            summary.people += len(result)
            ids.update(int(i) for i in result.ids if i >= 0)
            outputs.write(result)
        summary.notes += frames.notes
        if not summary.interrupted and (fault := saved.fault(source)):
            outputs.used = False  # images on which nothing is drawn are of no use
            raise SourceError(fault)
    ranges = {key: value for key, value in reading.items() if key in _RANGES}
    left_out = bool(Range.of(**ranges).to_dict())  # on purpose
    if saved.unused() and not left_out and not summary.interrupted:
        summary.notes.append(
            f"{results}: {counted(saved.unused(), 'frame')} of it not drawn: no such image"
        )
    summary.ids = len(ids)
    summary.seconds = time.perf_counter() - start
    return summary
