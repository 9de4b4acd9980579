"""Writers: results to files, one format a file; `create_writer` knows them by name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from posewright.errors import UsageError, nearest
from posewright.results import Result
from posewright.sources.base import check_rate

if TYPE_CHECKING:
    from posewright.draw import Style

__all__ = [
    "RESULTS",
    "VIDEOS",
    "WRITERS",
    "Writer",
    "WriterOptions",
    "create_writer",
    "film_suffix",
]

_MODULES = {
    "coco": "coco",
    "alphapose": "alphapose",
    "alphapose-cmu": "alphapose",
    "alphapose-open": "alphapose",
    "openpose": "openpose",
    "csv": "table",
    "parquet": "table",
    "jsonl": "jsonl",
    "images": "images",
    "video": "video",
}
WRITERS = tuple(_MODULES)
# The files and folders that each makes; a video is named after its source.
RESULTS = {
    "coco": ("coco-results.json",),
    "alphapose": ("alphapose-results.json",),
    "alphapose-cmu": ("alphapose-results.json", "sep-json"),
    "alphapose-open": ("alphapose-results.json", "sep-json"),
    "openpose": ("openpose",),
    "csv": ("poses.csv",),
    "parquet": ("poses.parquet",),
    "jsonl": ("poses.jsonl",),
    "images": ("images",),
    "video": (),
}
VIDEOS = (".mp4", ".avi")  # of Motion JPEG the second


def film_suffix(codec: str) -> str:
    """Return the suffix of a video in one of `WriterOptions.video_codecs`."""
    return VIDEOS[codec == "mjpg"]


class Writer(Protocol):
    """Takes results in order and makes files of them.

    A write that fails (disk full, folder read-only) raises OutputError, and the writer's temporary
    files are gone by then; other writers are not touched.  A complete file that cannot get its name
    is kept, and the error names it.  Frames that could not be read are left out where the format
    has no place for them.  Writers of several files list those that have their names in `done`.
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
    """What the writers can be told.

    overwrite: replace files of an earlier run.  several: the run has more than one source, so that
    a frame's number alone does not name it.  coco_images: an annotation file of COCO's layout
    whose images give the image ids, by the pictures' paths.  separate: the AlphaPose flavours "cmu"
    and "open" write a file for each picture too.  openpose_order: order of the joints; "own" is the
    skeleton's.  style: look of the images and the video.  fps: of a video made of pictures.
    video_codecs: tried in turn.
    """

    overwrite: bool = False
    several: bool = False
    coco_images: Path | None = None
    separate: bool = False
    openpose_order: Literal["own", "coco18", "body25"] = "own"
    style: Style | None = None
    fps: float = 25.0
    video_codecs: tuple[str, ...] = ("libx264", "mpeg4", "mjpg")

    def __post_init__(self) -> None:
        check_rate(self.fps)
        if not self.video_codecs:
            raise UsageError("video_codecs names no codec; give at least one, e.g. libx264")


def create_writer(name: str, folder: Path, *, options: WriterOptions | None = None) -> Writer:
    """Return the writer of a format, which writes into `folder` (made where it is missing).

    UsageError for an unknown name, with the nearest known one; OutputError where the folder cannot
    be written or holds the result of an earlier run; MissingError without the package it needs.
    """
    if name not in _MODULES:
        raise UsageError(
            f"no output format {name!r}{nearest(name, WRITERS)}; known: {', '.join(WRITERS)}"
        )
    module = import_module(f"posewright.writers.{_MODULES[name]}")
    return cast(Writer, module.create(name, Path(folder), options or WriterOptions()))
