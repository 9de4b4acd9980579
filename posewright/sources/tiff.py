"""What a TIFF says about its images: raw photos, previews, further pages and damage.

TIFF 6.0; Adobe's Technical Note 1 for SubIFDs; DNG 1.7; BigTIFF has wider fields.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO

from posewright.sources.depth import Values
from posewright.sources.scans import too_few_bits, too_many_scans
from posewright.sources.verify import jpeg_damaged, strip_damaged

__all__ = ["Directory", "damage", "directories", "first", "more_pages", "not_the_picture", "values"]

FARTHEST = 1 << 40  # place of a directory; no file system takes us there
MOST_ENTRIES = 10_000  # of a directory
MOST_NUMBERS = 1_000_000  # of an entry
MOST_PAGES = 10_000
MOST_SUBS = 16  # directories inside of the first
SPARE = 1 << 20  # bytes that a strip may hold beyond its pixels

_FORMS = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}
_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION = 254, 255, 256, 257, 258, 259
_PHOTOMETRIC, _FILL_ORDER, _MAKE, _SAMPLES, _ROWS, _SUBS, _JPEG_TABLES = (
    262,
    266,
    271,
    277,
    278,
    330,
    347,
)
_PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _FORMAT, _DNG = 284, 322, 323, 339, 50706
_SIZES = (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT)
_STRIPS, _TILES = (273, 279), (324, 325)  # offsets and byte counts
_MOST, _SEVERAL = 281, 16  # the highest value; samples that are looked at
_WHITE_IS_ZERO, _YCBCR, _SENSOR = (
    0,
    6,
    (32803, 34892),
)  # photometric; of sensors: colour filter array, linear raw
_JPEG, _DEFLATE, _STRICT = 7, (8, 32946), (5, 32773)  # compression; 5 LZW, 32773 PackBits
_PLAIN, _FAX = 1, (2, 3, 4, 32771)
# Bytes that one byte unpacks to at most: an LZW code of 12 bits stands for up to 3838 bytes, a run
# of PackBits or SGILog for 128 in two bytes, one of
# NeXT or ThunderScan for 63 pixels of 2 or 4 bits.
_HIGHEST_RATIO = {_PLAIN: 1, 5: 2600, 32766: 64, 32773: 64, 32809: 64, 34676: 64}
# What libtiff unpacks in OpenCV's wheels; of what it does not know, OpenCV returns black.
_READ = {*_HIGHEST_RATIO, *_FAX, 6, _JPEG, *_DEFLATE, 32909, 34677}
_MAKERS = {
    b"NIKON": "NEF",
    b"SONY": "ARW",
    b"CANON": "CR2",
    b"PENTAX": "PEF",
    b"SAMSUNG": "SRW",
}


@dataclass(frozen=True, slots=True)
class Directory:
    """The tags of one image.

    order: "<" or ">".  big: of a BigTIFF.  places: tag -> form, count and offset of its numbers.
    following: offset of the place that names the next directory.
    """

    file: IO[bytes]
    order: str
    big: bool
    places: dict[int, tuple[str, int, int]]
    following: int

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return the numbers of a tag, none where it is absent; struct.error where cut off."""
        form, count, at = self.places.get(tag, ("B", 0, 0))
        form = f"{self.order}{min(count, MOST_NUMBERS)}{form}"
        self.file.seek(at)
        return struct.unpack(form, self.file.read(struct.calcsize(form)))

    def number(self, tag: int, default: int = 0) -> int:
        """Return the first number of a tag."""
        return next(iter(self.numbers(tag)), default)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px."""
        return self.number(_WIDTH), self.number(_HEIGHT)

    @property
    def tile(self) -> tuple[int, int]:
        """(width, height) px of a tile; 0 without any."""
        return self.number(_TILE_WIDTH), self.number(_TILE_HEIGHT)

    @property
    def reduced(self) -> bool:
        """Whether it is a smaller version or the mask of another image."""
        return bool(self.number(_SUBFILE) & 0b101) or self.number(_OLD_SUBFILE) == 2


def first(file: IO[bytes]) -> Directory:
    """Return the first page.

    struct.error where the file ends before; ValueError says in what way the header is invalid.
    """
    order, big = _kind(file)
    at = _number(file, 8 if big else 4, order + ("Q" if big else "I"))
    return _directory(file, at, order, big)


def _kind(file: IO[bytes]) -> tuple[str, bool]:
    """Return the byte order, and whether it is a BigTIFF."""
    file.seek(0)
    order = {b"II": "<", b"MM": ">"}.get(file.read(2))
    if order is None:
        raise ValueError("states no byte order")
    return order, _number(file, 2, order + "H") == 43


def directories(file: IO[bytes]) -> Iterator[Directory]:
    """Yield the pages in the order of the file; a damaged chain ends early."""
    seen = set[int]()
    try:
        order, big = _kind(file)
        place = 8 if big else 4
        while len(seen) < MOST_PAGES:
            at = _number(file, place, order + ("Q" if big else "I"))
            if not at or at in seen:
                return
            seen.add(at)
            yield (directory := _directory(file, at, order, big))
            place = directory.following
    except (struct.error, OverflowError, ValueError, OSError):
        return


def _number(file: IO[bytes], at: int, form: str) -> int:
    file.seek(at)
    return int(struct.unpack(form, file.read(struct.calcsize(form)))[0])


def _directory(file: IO[bytes], at: int, order: str, big: bool) -> Directory:
    """Read one directory; of a tag that is there twice the first counts, as for libtiff.

    ValueError where that could let libtiff see another size than ours: the image would be larger
    than what the limit of pixels was compared with.
    """
    if at > FARTHEST:
        raise ValueError("points outside the file")
    word, wide = order + ("Q" if big else "H"), order + ("Q" if big else "I")
    count = _number(file, at, word)
    if count > MOST_ENTRIES:
        raise ValueError(f"has {count} entries")
    start = at + struct.calcsize(word)
    head, room = struct.calcsize(order + "HH" + wide[1]), struct.calcsize(wide)
    entries = file.read(count * (head + room))
    places: dict[int, tuple[str, int, int]] = {}
    sizes = set[int]()
    for i in range(count):
        here = i * (head + room)
        tag, kind, many = struct.unpack_from(order + "HH" + wide[1], entries, here)
        form = _FORMS.get(kind)
        if tag in _SIZES:
            if tag in sizes or form not in ("H", "I", "Q") or many != 1:
                raise ValueError("states its size twice, or not in one whole number")
            sizes.add(tag)
        if form is not None:
            inside = many * struct.calcsize(form) <= room
            value = start + here + head
            if not inside:
                (value,) = struct.unpack_from(wide, entries, here + head)
            places.setdefault(tag, (form, many, value))
    return Directory(file, order, big, places, start + count * (head + room))


def not_the_picture(file: IO[bytes]) -> str:
    """Say why the first page is not the main image of the file; "" where it is.

    Raw photos hold a small preview first and the sensor's values in directories inside of it.
    """
    try:
        page = first(file)
        return _raw(file, page) or _preview(page)
    except (struct.error, OverflowError, ValueError):  # whoever decodes it says what is wrong
        return ""


def _raw(file: IO[bytes], page: Directory) -> str:
    make = bytes(page.numbers(_MAKE)[:40]).upper() if _MAKE in page.places else b""
    kind = next((kind for maker, kind in _MAKERS.items() if make.startswith(maker)), "")
    file.seek(8)
    if _DNG in page.places:
        kind = "DNG"
    elif file.read(2) == b"CR":
        kind = "CR2"
    elif page.number(_PHOTOMETRIC) not in _SENSOR and not _larger_inside(page):
        return ""
    of = f" ({kind})" if kind else ""
    return f"it is a raw photo{of}, which posewright does not develop; convert it to JPEG or TIFF"


def _larger_inside(page: Directory) -> bool:
    """Tell whether the first image is a preview of one in the directories inside of it."""
    width, height = page.size
    for at in page.numbers(_SUBS)[:MOST_SUBS]:
        inside = _directory(page.file, at, page.order, page.big).size
        if page.reduced or inside[0] * inside[1] > width * height:
            return True
    return False


def _preview(first: Directory) -> str:
    if not first.reduced:
        return ""
    width, height = first.size
    return (
        f"its first page is marked as a preview or mask ({width} x {height} px) of another; save "
        "the full image as a file of its own"
    )


def more_pages(file: IO[bytes]) -> int:
    """Return how many further images there are; previews and masks do not count."""
    return sum(not page.reduced for page in islice(directories(file), 1, None))


def values(file: IO[bytes]) -> Values:
    """Return how the first page stores its values."""
    try:
        page = first(file)
        bits, whole = page.number(_BITS, 1), page.number(_FORMAT, 1) == 1
        planes = page.number(_PLANAR, 1) == 2 and page.number(_SAMPLES, 1) > 1
        negative = page.number(_PHOTOMETRIC, 1) == _WHITE_IS_ZERO
        least = max(page.numbers(_MOST)[:_SEVERAL], default=0).bit_length()
    except (struct.error, OverflowError, ValueError):
        return Values()
    deep = whole and 8 < bits <= 16
    return Values(bits, min(least, bits), planes, negative) if deep else Values()


def damage(file: IO[bytes]) -> str:
    """Say what is wrong with the data of the first page; "" where nothing is found.

    OpenCV fills what libtiff cannot unpack with black and says nothing.
    """
    try:
        page = first(file)
        if (compression := page.number(_COMPRESSION, 1)) not in _READ:
            return (
                f"the TIFF uses an unsupported compression ({compression}); "
                "save it with LZW or Deflate"
            )
        wrong = _first_wrong(page, compression)
    except (struct.error, OverflowError, ValueError):
        return "the TIFF's list of strips is damaged; download or copy the file again"
    if wrong is None:
        return ""
    return (
        f"strip {wrong} of the TIFF's data is damaged or truncated; download or copy the file again"
    )


def _first_wrong(page: Directory, compression: int) -> int | None:
    """Return the number of the first strip or tile that cannot be unpacked without errors."""
    tables = bytes(page.numbers(_JPEG_TABLES))
    parts = _parts(page, compression)
    for number, (line, rows) in enumerate(_sizes(page)):
        part = next(parts, b"")
        # Whoever unpacks it makes room for all of it first.
        if _too_short(len(part), compression, line, rows):
            wrong = True
        elif compression in _DEFLATE:
            wrong = _inflates_less(part, line * rows)
        elif compression == _JPEG:
            whole = tables[:-2] + part[2:] if len(tables) > 4 else part
            wrong = too_few_bits(whole) or too_many_scans(whole) or jpeg_damaged(whole)
        elif compression in _STRICT and _exact(page) and not _old_lzw(part):
            wrong = strip_damaged(part, compression, line, rows)
        else:
            wrong = False
        if wrong:
            return number
    return None


def _too_short(length: int, compression: int, line: int, rows: int) -> bool:
    """Tell whether `length` packed bytes cannot hold `rows` rows of `line` bytes."""
    if compression in _FAX:
        return rows > 8 * length  # each row of a fax takes at least one bit
    return line * rows > _HIGHEST_RATIO.get(compression, math.inf) * length


def _inflates_less(part: bytes, size: int) -> bool:
    """Tell whether a deflated strip fails its checksum or holds less than it should."""
    try:
        return len(zlib.decompressobj().decompress(part, size + SPARE)) < size
    except zlib.error:
        return True


def _old_lzw(part: bytes) -> bool:
    """Tell the LZW of before TIFF 6.0, which runs from the other end of a byte."""
    return part[:1] == b"\0" and bool(part[1:2]) and part[1] & 1 == 1


def _parts(page: Directory, compression: int) -> Iterator[bytes]:
    """Yield the strips or tiles as they are stored, as far as their tags name them."""
    places, lengths = _TILES if _TILES[0] in page.places else _STRIPS
    offsets, counts = page.numbers(places), page.numbers(lengths)
    # libtiff works out the lengths of strips that it cannot believe, and that of a single one.
    wrong = len(counts) > 2 and counts[0] != counts[1] and page.number(_PLANAR, 1) == 1
    single = len(offsets) == 1 and (compression == _PLAIN or not counts)
    unknown = single or (compression == _PLAIN and wrong)
    for at, count in zip(offsets, [-1] * len(offsets) if unknown else counts, strict=False):
        page.file.seek(at)
        yield page.file.read(count)


def _exact(page: Directory) -> bool:
    """Tell whether `_sizes` says how much there is, rather than how much there is at least.

    YCbCr may hold fewer colours than pixels, and bits in the other order are left alone.
    """
    return page.number(_PHOTOMETRIC) != _YCBCR and page.number(_FILL_ORDER, 1) == 1


def _sizes(page: Directory) -> Iterator[tuple[int, int]]:
    """Yield bytes a row and rows of each strip or tile once unpacked, at least."""
    (width, height), rows = page.size, page.number(_ROWS, page.size[1])
    samples, planes, across = page.number(_SAMPLES, 1), 1, 1
    if page.number(_PLANAR, 1) == 2:
        samples, planes = 1, samples
    if _TILES[0] in page.places:
        rows = page.tile[1]
        if 0 in page.tile:
            raise ValueError("has tiles without a size")
        across, width, height = -(-width // page.tile[0]), page.tile[0], -(-height // rows) * rows
    if page.number(_PHOTOMETRIC) == _YCBCR:
        samples = 1
    line = (width * page.number(_BITS, 1) * samples + 7) // 8
    for top in range(0, height * planes * across, max(rows, 1)):
        yield line, min(rows, height - top % height)
