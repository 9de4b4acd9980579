"""Archives of labelled data: only plain files, only below the folder, only so many bytes."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path
from typing import IO

from posewright.errors import SourceError

__all__ = ["unpack"]

MOST, RATIO, DEPTH = 100_000, 200, 8
_BROKEN = (zipfile.BadZipFile, NotImplementedError, ValueError, RuntimeError, EOFError, zlib.error)
_KEPT = frozenset(".jpg .jpeg .png .webp .bmp .tif .tiff .json .txt .xml .csv .yaml .yml".split())


def unpack(archive: Path, folder: Path, limit: int) -> None:
    """Unpack the images and labels of a zip archive; `limit`: of the bytes of them all.

    Other files are left out.  SourceError: names that lead elsewhere, links, or more than an honest
    archive holds; what was unpacked is removed.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _members(opened, folder, limit)
    except (*_BROKEN, SourceError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise SourceError(
            f"{archive.name}: {error}; pack the folder again as a plain zip"
        ) from error


def _members(opened: zipfile.ZipFile, folder: Path, limit: int) -> None:
    members = [member for member in opened.infolist() if not member.is_dir()]
    if len(members) > MOST:
        raise SourceError(f"it holds more than {MOST} files")
    packed = sum(member.compress_size for member in members)
    limit = min(limit, RATIO * packed + (1 << 20))
    for member in members:
        path = _target(member, folder)
        if path is None:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(member) as source, open(path, "xb") as out:
            limit -= _copied(source, out, limit)


def _target(member: zipfile.ZipInfo, folder: Path) -> Path | None:
    """Return where a member goes, None where it is left out; SourceError for a hostile one."""
    parts = member.filename.split("/")
    kind = stat.S_IFMT(member.external_attr >> 16)
    wrong = kind not in (0, stat.S_IFREG) or "\\" in member.filename or ":" in member.filename
    if wrong or len(parts) > DEPTH or any(part in ("", ".", "..") for part in parts):
        raise SourceError(f"{member.filename[:100]!r} is no plain file below its folder")
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    if hidden or Path(parts[-1]).suffix.lower() not in _KEPT or not member.filename.isprintable():
        return None
    return folder.joinpath(*parts)


def _copied(source: IO[bytes], out: IO[bytes], limit: int) -> int:
    done = 0
    while chunk := source.read(1 << 20):
        done += len(chunk)
        if done > limit:
            raise SourceError("it holds more bytes than it may")
        out.write(chunk)
    return done
