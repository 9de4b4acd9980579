"""Images from files, folders, globs, text lists and zip archives, one frame each."""

from __future__ import annotations

import glob
import lzma
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePath
from typing import IO

from posewright.errors import SourceError, counted
from posewright.files.embedded import has_image, open_image
from posewright.files.marks import drawn_among
from posewright.files.paths import on_disk
from posewright.people import Frame
from posewright.sources.address import NOT_LISTED, is_address, without_secrets
from posewright.sources.depth import Depths
from posewright.sources.guard import BadPicture, decode, picture_format
from posewright.sources.inside import HIGHEST_RATIO, raw_format
from posewright.sources.loads import Load
from posewright.sources.order import PICTURES, UNREAD, folder_of, natural, together
from posewright.sources.skipped import RAW, Skipped

__all__ = [
    "file_frame",
    "file_load",
    "folder_files",
    "folder_loads",
    "glob_files",
    "glob_loads",
    "kind_of",
    "list_files",
    "list_loads",
    "zip_files",
    "zip_loads",
]


_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # how a text file in it begins


def file_frame(path: str | Path, max_pixels: int, depths: Depths | None = None) -> Frame:
    """Read an image file; whatever is wrong with it becomes the frame's message.

    depths: of the images before it.
    """
    name = str(path)
    if is_address(name):
        return Frame.failed(without_secrets(name), NOT_LISTED)
    failed = partial(Frame.failed, name, sequence=folder_of(name))
    try:
        if not has_image(Path(path)) and not stat.S_ISREG(os.stat(path).st_mode):
            raise BadPicture("it is not a file; give the path of an image")
        with open_image(path) as file:
            return _frame(file, name, max_pixels, depths)
    except BadPicture as error:
        return failed(str(error))
    except FileNotFoundError:
        return failed("there is no such file; check the name")
    except OSError as error:
        return failed(f"it cannot be read: {error.strerror}; check the file's permissions")
    except ValueError:  # a NUL in the name
        return failed("this is not a valid file name; check the list")


def file_load(path: str, max_pixels: int, number: int | None = None) -> Load:
    """Return an image file; an address, which a list may name, has no folder."""
    sequence = "" if is_address(path) else folder_of(path)
    return Load(partial(file_frame, path, max_pixels), sequence, number)


def _frame(file: IO[bytes], name: str, max_pixels: int, depths: Depths | None) -> Frame:
    """Decode an open image file; BadPicture where that fails."""
    sequence = folder_of(name)
    image, more = decode(file, max_pixels, sequence, depths)
    return Frame(image, name=name, note=more, sequence=sequence)


def folder_loads(folder: str, max_pixels: int, notes: list[str]) -> list[Load]:
    """Return the images below a folder; `notes` says what is skipped."""
    return _loads(folder, folder_files(folder, notes), max_pixels, notes)


def _loads(name: str, paths: list[str], max_pixels: int, notes: list[str]) -> list[Load]:
    """Return how to read each image; those that posewright drew are left out, with a note."""
    drawn = set(drawn_among(paths))
    kept = [path for path in paths if path not in drawn]
    if not kept:
        raise SourceError(f"{name} holds only images that posewright drew; give the originals")
    if drawn:
        notes.append(f"{name}: {counted(len(drawn), 'image')} skipped, drawn by posewright")
    return [file_load(path, max_pixels) for path in kept]


def folder_files(folder: str, notes: list[str]) -> list[str]:
    """Find the images below a folder except hidden ones; SourceError where there are none.

    notes: a line about what else the folder holds is added to them.
    """
    found, others, skipped = [], set(), Skipped()
    for where, folders, files in os.walk(folder, onerror=lambda _: skipped.close()):
        folders[:] = [name for name in folders if not name.startswith(".")]
        skipped.links += sum(os.path.islink(os.path.join(where, name)) for name in folders)
        for name in files:
            path = os.path.join(where, name)
            if not name.startswith(".") and _is_picture(path):
                found.append(path)
            elif not name.startswith("."):
                others.add(PurePath(name).suffix.lower() or name)
                skipped.add(name)
    if not found:
        there = f"; it holds {', '.join(sorted(others)[:5])} files" if others else ""
        raw = " (raw photos: convert them first)" if others & RAW else ""
        raise SourceError(
            f"no images in the folder {folder}{there}{raw}; name a folder of JPEG, PNG, WebP, "
            f"TIFF or BMP images, or a video itself"
        )
    notes += skipped.note(folder)
    return sorted(found, key=natural)


def glob_loads(pattern: str, max_pixels: int, notes: list[str]) -> list[Load]:
    """Return the images that match a pattern; `notes` says what is skipped."""
    return _loads(pattern, glob_files(pattern, notes), max_pixels, notes)


def glob_files(pattern: str, notes: list[str]) -> list[str]:
    """Find the images that match a pattern, ** for any depth; SourceError without a match.

    notes: a line about other matches is added to them.
    """
    found = list(dict.fromkeys(glob.glob(pattern, recursive=True)))  # two ** find a file twice
    chosen = [path for path in found if _is_picture(path)]
    if not chosen:
        what = f"none of the {len(found)} matches is an image" if found else "nothing matches"
        raise SourceError(
            f"{what}: {pattern}; check the pattern, and name videos one by one (without quotes, "
            "the shell expands the pattern)"
        )
    skipped = Skipped()
    for path in set(found).difference(chosen):
        skipped.add(path)
    notes += skipped.note(pattern)
    return sorted(chosen, key=natural)


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
    """Return what a file is by its content ("picture", "raw", "zip", "text",
    "playlist", "") and its head.

    OSError where it cannot be opened; "" for a video and for anything unknown.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        return "", b""
    with open(path, "rb") as file:
        head = file.read(4096)
    if picture_format(head):
        return "picture", head
    if raw_format(head):
        return "raw", head
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip", head
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"#extm3u", b"ffconcat", b"v=0\r", b"v=0\n", b"[playlist]", b"<smil")):
        return "playlist", head
    if start.startswith(b"<") and b"<mpd" in start:
        return "playlist", head
    text = head.startswith(_UTF_16) or (head and b"\0" not in head)
    return ("text" if text else ""), head


def list_loads(path: str, max_pixels: int, notes: list[str]) -> list[Load]:
    """Return the images that a text list names; `notes` says what is skipped."""
    return _loads(path, list_files(path), max_pixels, notes)


def list_files(path: str) -> list[str]:
    """Read a text list: one image a line, # begins a comment; SourceError where it is empty.

    An image lies beside the list, or else in the working folder.  The images of a folder, which
    are a sequence, follow one another, see `together`.
    """
    if not os.path.isfile(path):  # a pipe would be waited for
        raise SourceError(f"{path} is not a file; give the path of a list of images")
    lines = [line.strip() for line in re.split("[\r\n]", _text(path))]
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise SourceError(f"the list {path} names no images; write one path a line")
    beside = os.path.dirname(path)
    found = [name if is_address(name) else _listed(beside, name) for name in names]
    return list(together(found))


def _text(path: str) -> str:
    """Return the text of a list: UTF-8, or UTF-16 where it begins with its mark, as on Windows."""
    with open(path, "rb") as file:
        data = file.read()
    if data.startswith(_UTF_16):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "surrogateescape")  # names of files need not be UTF-8


def _listed(folder: str, name: str) -> str:
    """Return the path of an image of a list: beside the list, or else in the working folder."""
    beside = on_disk(Path(folder, name))
    # Path.exists raises for names that are too long and folders that are closed.
    return str(beside if os.path.exists(beside) else on_disk(Path(name)))


def zip_loads(path: str, max_pixels: int, resources: ExitStack, notes: list[str]) -> list[Load]:
    """Open a zip archive -> its images, never unpacked to disk; SourceError without any.

    A member's name is only a label: it is never used as a path.  notes: a line about other members
    is added to them.
    """
    try:
        archive = resources.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise SourceError(f"cannot read the archive {path}: {error}; create it again") from error
    skipped = Skipped()
    members = sorted(_members(archive, skipped), key=lambda member: natural(member.filename))
    if not members:
        raise SourceError(f"no images in the archive {path}; pack JPEG, PNG, WebP, TIFF or BMP")
    notes += skipped.note(path)
    read = partial(_member, archive, path, max_pixels)
    folders = [folder_of(f"{path}/{member.filename}") for member in members]
    return [
        Load(partial(read, member), folder) for member, folder in zip(members, folders, strict=True)
    ]


def zip_files(path: str) -> list[str]:
    """Return the names of the images in a zip archive, as `zip_loads` names them."""
    with zipfile.ZipFile(path) as archive:
        names = [member.filename for member in _members(archive, Skipped())]
    return [f"{path}/{name}" for name in sorted(names, key=natural)]


def _members(archive: zipfile.ZipFile, skipped: Skipped) -> Iterator[zipfile.ZipInfo]:
    """Yield the images of an archive; count what else it holds."""
    for member in archive.infolist():
        parts = PurePath(member.filename).parts
        hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in parts)
        known = PurePath(member.filename).suffix.lower() in PICTURES | UNREAD
        if hidden or not member.filename or member.is_dir():  # is_dir fails without a name
            continue
        if known:
            yield member
        else:
            skipped.add(member.filename)


def _member(
    archive: zipfile.ZipFile, path: str, max_pixels: int, info: zipfile.ZipInfo, depths: Depths
) -> Frame:
    name = f"{path}/{info.filename}"
    failed = partial(Frame.failed, name, sequence=folder_of(name))
    try:
        if info.file_size > HIGHEST_RATIO * max(info.compress_size, 1):
            raise BadPicture(f"its compression ratio exceeds {HIGHEST_RATIO}:1; unpack it by hand")
        with archive.open(info) as file:
            return _frame(file, name, max_pixels, depths)
    except BadPicture as error:
        return failed(str(error))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        return failed(f"the archive is damaged here: {error}; create it again")
    except RuntimeError as error:  # encrypted, or packed in a way that Python cannot read
        return failed(f"it cannot be unpacked: {error}; pack it without a password")
