"""Files that are neither images nor videos, told by how they begin.

FFmpeg looks for a video at any place of a file.  In an archive it finds a JPEG that was not packed,
and takes it for a film.
"""

from __future__ import annotations

__all__ = ["HEAD", "foreign_format"]

HEAD = 512  # bytes of a file that tell what it is

_UNPACK = "unpack it first"
_CONVERT = "convert it to JPEG, PNG or TIFF first"
_OTHER = "give the images or the video themselves"
_MAGIC: dict[bytes, tuple[str, str]] = {
    b"\x1f\x8b": ("packed by gzip", _UNPACK),
    b"\x1f\x9d": ("packed by compress", _UNPACK),
    b"BZh": ("packed by bzip2", _UNPACK),
    b"\xfd7zXZ\0": ("packed by xz", _UNPACK),
    b"\x28\xb5\x2f\xfd": ("packed by Zstandard", _UNPACK),
    b"\x04\x22\x4d\x18": ("packed by LZ4", _UNPACK),
    b"LZIP": ("packed by lzip", _UNPACK),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    b"Rar!\x1a\x07": ("a RAR archive", _UNPACK),
    b"MSCF\0\0\0\0": ("a cabinet archive", _UNPACK),
    b"%PDF-": ("a PDF document", _CONVERT),
    b"%!PS": ("a PostScript document", _CONVERT),
    b"8BPS": ("a Photoshop document", _CONVERT),
    b"\x76\x2f\x31\x01": ("an OpenEXR image", _CONVERT),
    b"\0\0\x01\0": ("an icon", _CONVERT),
    b"\0\0\0\x0cJXL \r\n\x87\n": ("a JPEG XL image", _CONVERT),
    b"\xff\x0a": ("a JPEG XL image", _CONVERT),
    b"\0\0\0\x0cjP  \r\n\x87\n": ("a JPEG 2000 image", _CONVERT),
    b"\xff\x4f\xff\x51": ("a JPEG 2000 image", _CONVERT),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", _OTHER),
    b"SQLite format 3\0": ("an SQLite database", _OTHER),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an Office document", _OTHER),
    b"\x93NUMPY": ("an array of NumPy", "load it in Python, and give the array"),
    b"PAR1": ("a Parquet table", _OTHER),
    b"\x7fELF": ("a program", _OTHER),
    b"MATLAB 5.0 MAT-file": ("a MATLAB file", _OTHER),
}
_TAR = slice(257, 262)


def foreign_format(head: bytes) -> str:
    """Say what a file is that begins so, and what to do; "" for all that may be a video.

    head: the first 16 bytes tell most of them, a tar archive takes 262, and `HEAD` tells all.
    """
    if head[_TAR] == b"ustar":
        return f"it is a tar archive; {_UNPACK}"
    found = next((told for magic, told in _MAGIC.items() if head.startswith(magic)), None)
    return "" if found is None else f"it is {found[0]}; {found[1]}"
