"""What a folder, glob or archive holds besides its images, and how a note reports it."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath

__all__ = ["RAW", "Skipped"]

RAW = frozenset(
    ".dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .raf .orf .rw2 .rwl .pef .srw .x3f .mrw .kdc "
    ".dcr .3fr .fff .iiq .mos .mef .erf .gpr".split()
)
MOVING = frozenset(
    ".gif .apng .mov .mp4 .m4v .avi .mkv .webm .mpg .mpeg .m2ts .mts .wmv .flv .3gp .insv .lrv "
    ".ogv".split()
)
OTHERS = frozenset(
    ".jp2 .j2k .jxl .psd .exr .hdr .tga .ppm .pgm .pbm .pnm .svg .eps .pdf .ico .dcm .zip".split()
)
_LISTED = 5  # suffixes named of each kind


class Skipped:
    """Counts skipped files, except those that nobody would take for an image."""

    def __init__(self) -> None:
        self._suffixes: Counter[str] = Counter()
        self.links = 0  # to folders
        self.closed = 0  # folders that cannot be opened

    def add(self, name: str) -> None:
        """Count a file that is not an image of a supported format."""
        self._suffixes[PurePath(name).suffix.lower()] += 1

    def close(self) -> None:
        """Count a folder that cannot be opened."""
        self.closed += 1

    def note(self, where: str) -> list[str]:
        """Return one line about what was skipped in `where`, or none."""
        parts = [
            self._files(RAW, "raw photo(s)", "convert them to JPEG or TIFF"),
            self._files(MOVING, "video(s) or animation(s)", "name each as a source of its own"),
            self._files(OTHERS, "file(s) of other kinds", "convert images to JPEG, PNG or TIFF"),
            (self.links, "link(s) to folders", "name the folders themselves"),
            (self.closed, "folder(s) that cannot be opened", "check their permissions"),
        ]
        said = [f"{count} {what} ({remedy})" for count, what, remedy in parts if count]
        return [f"{where}: skipped {', '.join(said)}"] if said else []

    def _files(self, kinds: frozenset[str], what: str, remedy: str) -> tuple[int, str, str]:
        found = sorted(kinds & self._suffixes.keys())
        named = ", ".join(found[:_LISTED])
        return sum(self._suffixes[suffix] for suffix in found), what, f"{named}; {remedy}"
