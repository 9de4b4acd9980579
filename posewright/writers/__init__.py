"""Writers: results to files, one format a file; FORMATS is the table of them.

Needs only the standard library, as the help of the command line lists the formats.

outputs    what a run leaves: its files, and what became of them
text       what formats of text share
names      unique names of images and videos
sparing    nothing that is read is replaced
video      drawn video; with encoders, clock
images     drawn images
table      CSV and Parquet
orders     the joint orders of OpenPose
the rest   one file a format
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from posewright.errors import UsageError, nearest

if TYPE_CHECKING:
    from posewright.draw import Style
    from posewright.results import Result

__all__ = [
    "FORMATS",
    "VIDEOS",
    "WRITERS",
    "Format",
    "Writer",
    "WriterOptions",
    "create_writer",
    "film_suffix",
    "formats",
]

VIDEOS = (".mp4", ".avi")  # of Motion JPEG the second
_DRAWING = ("--draw-boxes", "--draw-scores", "--no-ids", "--draw-threshold", "--draw-colours")


@dataclass(frozen=True)
class Format:
    """An output format.

    module: of posewright/writers, whose `create(name, folder, options)` returns the writer.
    files: the files and folders that it makes; formats with one in common exclude each other.
    suffixes: of further files, each named after its source.  pixels: results must carry their
    images.  ordered: frames are numbered, so that the images of one folder are a sequence.
    options: of the command line that only formats with them in this list take.
    """

    module: str
    files: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    pixels: bool = False
    ordered: bool = False
    options: tuple[str, ...] = ()


_ALPHAPOSE = ("alphapose-results.json", "sep-json")
FORMATS = {
    "coco": Format("coco", ("coco-results.json",), options=("--coco-images",)),
    "alphapose": Format("alphapose", _ALPHAPOSE[:1]),
    "alphapose-cmu": Format("alphapose", _ALPHAPOSE, options=("--sep-json",)),
    "alphapose-open": Format("alphapose", _ALPHAPOSE, options=("--sep-json",)),
    "openpose": Format("openpose", ("openpose",), ordered=True, options=("--openpose-order",)),
    "csv": Format("table", ("poses.csv",)),
    "parquet": Format("table", ("poses.parquet",)),
    "jsonl": Format("jsonl", ("poses.jsonl",)),
    "images": Format("images", ("images",), pixels=True, options=_DRAWING),
    "video": Format("video", suffixes=VIDEOS, pixels=True, ordered=True, options=_DRAWING),
}
WRITERS = tuple(FORMATS)


def formats(names: Iterable[str]) -> dict[str, Format]:
    """Return the formats of some names, each once and in their order.

    Of two or more of AlphaPose, "cmu" and "open" have that word in the names of their files.
    UsageError: an unknown name, with the nearest, or two formats that exclude each other.
    """
    names = list(dict.fromkeys(names))
    several = sum(name in FORMATS and FORMATS[name].module == "alphapose" for name in names) > 1
    chosen: dict[str, Format] = {}
    for name in names:
        if name not in FORMATS:
            raise UsageError(
                f"no output format {name!r}{nearest(name, FORMATS)}; known: {', '.join(FORMATS)}"
            )
        new = FORMATS[name]
        if several and new.module == "alphapose":
            new = replace(new, files=alphapose_files(name.partition("-")[2]))
        for other, form in chosen.items():
            if set(form.files) & set(new.files):
                raise UsageError(
                    f"{other} and {name} are written to the same file; save only one of them"
                )
        chosen[name] = new
    return chosen


def alphapose_files(flavour: str) -> tuple[str, ...]:
    """Return the files of one of AlphaPose's flavours beside those of others: cmu, open or ""."""
    end = f"-{flavour}" if flavour else ""
    return (f"alphapose-results{end}.json", *([f"sep-json{end}"] if flavour else []))


def film_suffix(codec: str) -> str:
    """Return the suffix of a video in one of `WriterOptions.video_codecs`."""
    return VIDEOS[codec == "mjpg"]


class Writer(Protocol):
    """Takes results in order and writes them to files.

    A write that fails (disk full, folder read-only) raises OutputError, and the writer's temporary
    files are gone by then; other writers are not touched.  A complete file that cannot be renamed
    is kept, and the error names it.  Frames that could not be read are skipped where the format has
    no place for them.  Writers of several files list those that have their names in `done`.
    """

    notes: list[str]  # one line each: what the user should know about the files

    def write(self, result: Result) -> None:
        """Add one frame."""

    def close(self) -> list[Path]:
        """Finish: rename temporary names to final ones and return the files or folders made."""

    def abort(self) -> None:
        """Remove the temporary files."""


@dataclass(frozen=True)
class WriterOptions:
    """Options of the writers.

    overwrite: replace files of an earlier run.  several: the run has more than one source, so that
    a frame's number alone does not name it.  coco_images: an annotation file of COCO's layout
    whose images give the image ids, by the images' paths.  separate: the AlphaPose flavours "cmu"
    and "open" write a file for each image too.  flavoured: their files have the flavour in their
    names.  openpose_order: order of the joints; "own" is the
    skeleton's.  style: look of the images and the video.  fps: frame rate of a video made of
    images.  video_codecs: tried in turn.
    """

    overwrite: bool = False
    several: bool = False
    coco_images: Path | None = None
    separate: bool = False
    flavoured: bool = False
    openpose_order: Literal["own", "coco18", "body25"] = "own"
    style: Style | None = None
    fps: float = 25.0
    video_codecs: tuple[str, ...] = ("libx264", "mpeg4", "mjpg")

    def __post_init__(self) -> None:
        from posewright.sources.base import check_rate

        check_rate(self.fps)
        if not self.video_codecs:
            raise UsageError("video_codecs is empty; give at least one codec, e.g. libx264")


def create_writer(name: str, folder: Path, *, options: WriterOptions | None = None) -> Writer:
    """Return the writer of a format, which writes into `folder` (created if missing).

    UsageError for an unknown name, with the nearest known one; OutputError where the folder cannot
    be written or holds the result of an earlier run; MissingError without the package it needs.
    """
    module = import_module(f"{__package__}.{formats([name])[name].module}")
    return cast(Writer, module.create(name, Path(folder), options or WriterOptions()))
