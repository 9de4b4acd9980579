"""Pictures from files, folders, globs, text lists and zip archives, one frame each."""

from __future__ import annotations

import glob
import lzma
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath

from posewright.errors import SourceError
from posewright.people import Frame
from posewright.sources.address import NOT_LISTED, is_address, without_secrets
from posewright.sources.base import Frames
from posewright.sources.guard import BadPicture, decode, picture_format

__all__ = [
    "PICTURES", "UNREAD", "Load", "file_frame", "folder_loads", "glob_loads", "kind_of",
    "list_loads", "pictures", "zip_loads",
]  # fmt: skip

PICTURES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .tif .tiff .bmp .dib".split())
UNREAD = frozenset(".heic .heif .avif".split())  # pictures too: reported, not passed over
HIGHEST_RATIO = 1100  # deflate cannot pack tighter than 1 : 1032

Load = Callable[[], Frame]  # reads one picture; a frame with a status where that fails


def pictures(name: str, loads: Iterable[Load], total: int | None, resources: ExitStack) -> Frames:
    """Return the source of these pictures; they are read one by one as they are asked for."""

    def frames() -> Generator[Frame]:
        for index, load in enumerate(loads):
            yield replace(load(), index=index)

    return Frames(name, "pictures", frames(), resources, total=total)


def file_frame(path: str | Path, max_pixels: int) -> Frame:
    """Read a picture file; whatever is wrong with it becomes the frame's message."""
    name = str(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise BadPicture("it is not a file; name a picture")
        with open(path, "rb") as file:
            return Frame(decode(file, max_pixels), name=name)
    except BadPicture as error:
        return Frame.failed(name, str(error))
    except FileNotFoundError:
        return Frame.failed(name, "there is no such file; check the name")
    except OSError as error:
        return Frame.failed(name, f"it cannot be read: {error.strerror}; check the file's rights")
    except ValueError:  # a NUL in the name
        return Frame.failed(name, "this is no name of a file; check the list")


def natural(path: str) -> list[list[tuple[int, str]]]:
    """Sort key that puts 2.jpg before 10.jpg; digits are compared by their number's size."""

    def chunk(text: str) -> tuple[int, str]:
        digits = text.lstrip("0")
        return (len(digits), digits) if text[:1].isdigit() else (0, text.casefold())

    parts = re.split(r"[/\\]", path)
    return [[chunk(text) for text in re.split(r"([0-9]+)", part)] for part in parts]


def folder_loads(folder: str, max_pixels: int) -> list[Load]:
    """Find the pictures below a folder, hidden ones left out; SourceError where there are none."""
    found, others = [], set()
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = os.path.join(where, name)
            if not name.startswith(".") and _is_picture(path):
                found.append(path)
            elif not name.startswith("."):
                others.add(PurePath(name).suffix.lower() or name)
    if not found:
        there = f"; it holds {', '.join(sorted(others)[:5])} files" if others else ""
        raise SourceError(
            f"no pictures in the folder {folder}{there}; name a folder of JPEG, PNG, WebP, TIFF or "
            f"BMP pictures, or a video itself"
        )
    return [partial(file_frame, path, max_pixels) for path in sorted(found, key=natural)]


def glob_loads(pattern: str, max_pixels: int) -> list[Load]:
    """Find the pictures that match a pattern, ** for any depth; SourceError without a match."""
    found = glob.glob(pattern, recursive=True)
    chosen = [path for path in found if _is_picture(path)]
    if not chosen:
        what = f"none of the {len(found)} matches is a picture" if found else "nothing matches"
        raise SourceError(
            f"{what}: {pattern}; check the pattern, and name videos one by one (without quotes the "
            f"shell does it)"
        )
    return [partial(file_frame, path, max_pixels) for path in sorted(chosen, key=natural)]


def _is_picture(path: str) -> bool:
    """Tell by the suffix; a file without one by its first bytes."""
    suffix = PurePath(path).suffix.lower()
    if suffix:
        return suffix in PICTURES | UNREAD and not os.path.isdir(path)
    try:
        return kind_of(path)[0] == "picture"
    except OSError:
        return False


def kind_of(path: str) -> tuple[str, bytes]:
    """Return what a file is by its content ("picture", "zip", "text", "playlist", "") and its head.

    OSError where it cannot be opened; "" for a video and for anything unknown.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        return "", b""
    with open(path, "rb") as file:
        head = file.read(4096)
    if picture_format(head):
        return "picture", head
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip", head
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"#extm3u", b"ffconcat", b"v=0\r", b"v=0\n", b"[playlist]", b"<smil")):
        return "playlist", head
    if start.startswith(b"<") and b"<mpd" in start:
        return "playlist", head
    return ("text" if head and b"\0" not in head else ""), head


def list_loads(path: str, max_pixels: int) -> list[Load]:
    """Read a text list: one picture a line, # begins a comment; SourceError where it is empty."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        lines = [line.strip() for line in file]
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise SourceError(f"the list {path} names no pictures; write one path a line")
    return [partial(_listed, os.path.dirname(path), name, max_pixels) for name in names]


def _listed(folder: str, name: str, max_pixels: int) -> Frame:
    """Read a picture of a list, beside the list or else from the working folder."""
    if is_address(name):
        return Frame.failed(without_secrets(name), NOT_LISTED)
    beside = os.path.join(folder, name)
    return file_frame(beside if os.path.exists(beside) else name, max_pixels)


def zip_loads(path: str, max_pixels: int, resources: ExitStack) -> list[Load]:
    """Open a zip archive -> its pictures, never unpacked to disk; SourceError without any.

    A member's name is only a label: it is never used as a path.
    """
    try:
        archive = resources.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise SourceError(f"cannot read the archive {path}: {error}; make it again") from error
    members = sorted(_members(archive), key=lambda member: natural(member.filename))
    if not members:
        raise SourceError(f"no pictures in the archive {path}; pack JPEG, PNG, WebP, TIFF or BMP")
    return [partial(_member, archive, path, member, max_pixels) for member in members]


def _members(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    for member in archive.infolist():
        parts = PurePath(member.filename).parts
        hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in parts)
        known = PurePath(member.filename).suffix.lower() in PICTURES | UNREAD
        if known and not hidden and not member.is_dir():
            yield member


def _member(archive: zipfile.ZipFile, path: str, info: zipfile.ZipInfo, max_pixels: int) -> Frame:
    name = f"{path}/{info.filename}"
    try:
        if info.file_size > HIGHEST_RATIO * max(info.compress_size, 1):
            raise BadPicture(f"it is packed more than {HIGHEST_RATIO} to 1; unpack it by hand")
        with archive.open(info) as file:
            return Frame(decode(file, max_pixels), name=name)
    except BadPicture as error:
        return Frame.failed(name, str(error))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        return Frame.failed(name, f"the archive is damaged here: {error}; make it again")
    except RuntimeError as error:  # encrypted, or packed in a way that Python cannot read
        return Frame.failed(name, f"it cannot be unpacked: {error}; pack it without a password")
