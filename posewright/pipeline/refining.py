"""Saved poses refined with their images or their video, without finding people again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from posewright.errors import OutputError, SourceError, UsageError, not_finite
from posewright.files.names import is_picture
from posewright.files.part import reserve
from posewright.files.prefetch import ahead
from posewright.people import Frame, People
from posewright.pipeline.header import used
from posewright.pipeline.refiner import Refiner
from posewright.pipeline.rewriting import Rewritable, open_saved, place_in
from posewright.readers.pictured import Pictured
from posewright.results import Result
from posewright.sources import open_source
from posewright.sources.planning import picture_files
from posewright.writers.outputs import Asked, Summary

__all__ = ["check_joints", "refine_to"]


def refine_to(
    results: Path,
    source: str,
    out: Path,
    refiner: Refiner,
    *,
    name: str | Path = "",
    threads: int = 1,
    overwrite: bool = False,
    stopped: Callable[[], int] = lambda: 0,
) -> Summary:
    """Refine all people of saved poses and write the same kind of file, of the same name, to `out`.

    results: of any format that `read_results` reads; those without names of joints are taken for
    the network's.  source: the images or the video, as of `view_to`.  name: the network's file, for
    the header of results that have one.  threads: frames refined at once.  Boxes, scores, ids and
    all else stay.  People without an image keep their joints and are told in the summary; where
    nobody has one, it is a SourceError, and UsageError where the joints are not the network's.
    Nothing is written where the run was stopped.
    """
    summary, start = Summary(), time.perf_counter()
    final = place_in(out, results)
    if final.exists() and os.path.samefile(final, results):
        raise OutputError(
            f"{results} is an input of this run, and the result would replace it; choose another "
            "folder with -o"
        )
    file = open_saved(results, refiner.model.skeleton)
    check_joints(results, file.results, refiner)
    with _reserved(final, overwrite, results.is_dir()):
        if any(map(len, file.results)):
            _refine(file, results, source, refiner, threads, Asked(summary, stopped))
        if not summary.interrupted:
            told = used({"refine": (refiner.model, name or None)}, {"refine_flip": refiner.flip})
            header = {key: told[key] for key in ("refine", "settings")}
            summary.files = [str(file.write(final, overwrite, header))]
    summary.seconds = time.perf_counter() - start
    return summary


@contextmanager
def _reserved(final: Path, overwrite: bool, folder: bool) -> Iterator[None]:
    """Create the folder that `final` will be in; it goes again where nothing is written."""
    new = [path for path in final.parents if not os.path.lexists(path)]
    reserve(final, overwrite, folder)
    try:
        yield
    finally:
        for path in new:  # the innermost first
            with suppress(OSError):  # what holds something stays
                path.rmdir()


def check_joints(where: Path, results: Iterable[Result], refiner: Refiner) -> None:
    """Raise a UsageError where saved poses have other joints than those that a network refines."""
    known = refiner.model.skeleton
    for result in results:
        if len(result) and result.skeleton.joints != known.joints:
            raise UsageError(
                f"{where} has the {len(result.skeleton)} joints of {result.skeleton.name}, and "
                f"{refiner.model.info.name} refines the {len(known)} of {known.name}; use a "
                "network of these joints"
            )


def _refine(
    file: Rewritable, where: Path, source: str, refiner: Refiner, threads: int, asked: Asked
) -> None:
    """Move the joints of everybody whose image is there."""
    saved, run = Pictured(file.results, where), _Run(file, where, refiner, asked.summary)
    with open_source(_wanted(source, saved)) as frames:
        pairs = saved.pairs(frames, frames.kind == "pictures")
        for done in ahead(run.refined, pairs, threads, 2 * threads):
            if asked():
                return
            run.take(*done)
        asked.summary.notes += frames.notes
    if asked.summary.bad and not asked.summary.frames:
        raise SourceError(": ".join(asked.summary.bad[0]))
    if fault := saved.fault(source):
        raise SourceError(fault)
    for result in filter(len, saved.lacking()):
        image = result.source if is_picture(result.source) else f"frame {result.frame}"
        keep = "person keeps the pose" if len(result) == 1 else "people keep their poses"
        text = f"{image}: no such image in {source}, {len(result)} {keep}"
        asked.summary.add_bad(image, text)


class _Run:
    """Moves the joints of one file's people, frame by frame."""

    def __init__(self, file: Rewritable, where: Path, refiner: Refiner, summary: Summary) -> None:
        self._file, self._where, self._refiner, self._summary = file, where, refiner, summary
        self._numbers = {id(result): number for number, result in enumerate(file.results)}
        self._seen: dict[int, str] = {}  # number of a result, its image
        self._ids: set[int] = set()

    def refined(
        self, pair: tuple[Result, Result | None]
    ) -> tuple[Result, Result | None, People, int]:
        """Return a frame without its pixels, its saved result, the people, and how many are not
        moved as the outputs of the network are not finite; several threads may ask."""
        shown, found = pair
        if not len(shown) or shown.image is None:
            return shown, found, shown.people, 0
        frame = Frame(shown.image, shown.frame, shown.time, shown.source)
        return shown.replace(image=None), found, *self._refiner.refined(frame, shown.people)

    def take(self, shown: Result, found: Result | None, people: People, kept: int) -> None:
        """Keep the people of a frame, and count them."""
        if found is None:
            return
        number, summary = self._numbers[id(found)], self._summary
        if number in self._seen:
            raise SourceError(
                f"{self._where}: frame {found.frame} is found twice, as {self._seen[number]} and "
                f"{shown.source}; give a folder with the images of these results alone"
            )
        self._seen[number] = shown.source
        if shown.status != "ok":
            summary.add_bad(shown.source, shown.message)
            return
        message = not_finite([(self._refiner.model.info.name, kept)])
        if message:
            summary.add_bad(shown.source, message)
        self._file.move(number, people, message)
        self._ids.update(int(i) for i in people.ids if i >= 0)
        summary.frames += 1
        summary.people += len(people)
        summary.ids = len(self._ids)


def _wanted(source: str, saved: Pictured) -> Any:
    """Return the images of a folder, pattern or list that have a result, else `source` itself."""
    files = [] if is_picture(source) else picture_files(source)
    some = [file for file in files if is_picture(file) and saved.has(file)]
    return some if some and len(some) < len(files) else source
