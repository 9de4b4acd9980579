"""One file out of a downloaded zip archive: streamed, bounded, and never where the archive says."""

from __future__ import annotations

import errno
import lzma
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from posewright.errors import ModelError
from posewright.weights.receipt import sha256

__all__ = ["Member"]

_CHUNK = 1 << 20
_MOST_MEMBERS = 1000
_MOST_RATIO = 200  # bytes from one packed byte; weights are packed by less than 2
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Member:
    """The one file that is taken from an archive.

    name: its base name.  archive_sha: of the archive, where nobody states the sum of the file.
    """

    name: str
    archive_sha: str = ""

    def unpack(self, archive: Path, to: Path, limit: int, shown: str) -> Path:
        """Write the file to `to`; return that path.

        limit: its largest size in bytes.  shown: the address for messages.  No other member is read
        and no path in the archive is used.  Errors: ModelError (another archive, none, no such file
        or several, too large), OSError (disk).
        """
        if self.archive_sha and (found := sha256(archive)) != self.archive_sha:
            raise ModelError(
                f"{shown}: SHA-256 of the archive is {found}, but the published one is "
                f"{self.archive_sha}; not kept"
            )
        try:
            with zipfile.ZipFile(archive) as opened:
                info = self._only(opened.infolist(), limit, shown)
                with opened.open(info) as packed, to.open("wb") as file:
                    # no more comes than the size that was checked, and its CRC is compared
                    while block := packed.read(_CHUNK):
                        file.write(block)
        except (OSError, *_UNREADABLE) as error:
            # of bzip2, and of a place in the file that cannot be; all others are the disk's
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise
            said = str(error) or type(error).__name__
            raise ModelError(f"{shown}: the archive is damaged ({said}); not kept") from error
        return to

    def _only(self, infos: list[zipfile.ZipInfo], limit: int, shown: str) -> zipfile.ZipInfo:
        paths = [PurePosixPath(info.filename) for info in infos]
        found = [
            info
            for info, path in zip(infos, paths, strict=True)
            if path.name == self.name
            and not (info.is_dir() or path.is_absolute() or ".." in path.parts)
        ]
        if len(found) != 1 or len(infos) > _MOST_MEMBERS:
            raise ModelError(
                f"{shown}: {len(found)} of the {len(infos)} files in the archive are called "
                f"{self.name}, and one must be; not kept"
            )
        size, packed = found[0].file_size, found[0].compress_size
        if size > min(limit, max(_MOST_RATIO * packed, _CHUNK)):
            raise ModelError(
                f"{shown}: {self.name} would have {size:,} bytes, packed into {packed:,}; not kept"
            )
        return found[0]
