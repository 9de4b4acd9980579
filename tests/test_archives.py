"""Archives that are crafted: nothing outside of the folder, and no more than they hold."""

from __future__ import annotations

import ast
import io
import struct
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

import pytest

from posewright.checkpoints.files import read_checkpoint
from posewright.errors import ModelError, SourceError
from posewright.sources import open_source

PACKAGE = Path(__file__).parents[1] / "posewright"
EMPTY = b"\x80\x02}."


def written(*members: tuple[str, bytes], mode: int = 0, pack: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive; mode: of its members, as of a link or a device."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", pack) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, pack
            archive.writestr(info, data)
    return out.getvalue()


def stating(size: int, name: str, pack: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of a member that is said to be `size` bytes, and is a megabyte of zeros."""
    held = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bytes(1 << 20) if not pack else held.compress(bytes(1 << 28)) + held.flush()
    local = struct.pack(
        "<4s5H3L2H", b"PK\3\4", 20, 0, pack, 0, 0, 0, len(zeros), size, len(name), 0
    )
    central = struct.pack(
        "<4s6H3L5H2L",
        b"PK\1\2",
        20,
        20,
        0,
        pack,
        0,
        0,
        0,
        len(zeros),
        size,
        len(name),
        0,
        0,
        0,
        0,
        0,
        0,
    )
    body, listed = local + name.encode() + zeros, central + name.encode()
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(listed), len(body), 0)
    return body + listed + end


def encrypted(name: str) -> bytes:
    data = bytearray(written((name, EMPTY)))
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


def tar(name: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    return out.getvalue()


HUGE = 4_000_000_000
NAMES = {
    "above": "../../{}",
    "above, deep": "a/../../../{}",
    "Windows": "C:\\{}",
    "Windows, above": "..\\..\\{}",
    "share": "\\\\host\\{}",
    "home": "~/{}",
    "device": "/dev/null/{}",
    "long": "x" * 3000 + "/{}",
    "a line": "a\nb/{}",
    "control": "a\x1b[2J/{}",
    "turned": "a\u202e/{}",
    "space": " /{}",
}


def crafted(name: str, root: Path) -> dict[str, bytes]:
    """Archives by what is wrong with them; name: of the member that a reader looks for."""
    made = {kind: written((form.format(name), EMPTY)) for kind, form in NAMES.items()}
    return made | {
        "absolute": written((f"{root}/{name}", EMPTY)),
        "twice": written((name, EMPTY), (name, EMPTY)),
        "link": written((name, b"/etc/passwd"), mode=0o120777),
        "block device": written((name, b""), mode=0o060666),
        "fifo": written((name, b""), mode=0o010666),
        "archive in archive": written((name, written((name, EMPTY)))),
        "packed": written((name, bytes(1 << 24)), pack=zipfile.ZIP_DEFLATED),
        "bzip2": written((name, bytes(1 << 24)), pack=zipfile.ZIP_BZIP2),
        "states 4 GB": stating(HUGE, name),
        "bomb": stating(HUGE, name, zipfile.ZIP_DEFLATED),
        "encrypted": encrypted(name),
        "tar": tar(name),
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("name", "kind"), [("a/data.pkl", "checkpoint"), ("a.png", "pictures")])
def test_crafted_archives_leave_nothing(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "deep" / "deeper"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    archives = crafted(name, tmp_path)
    refused = 0
    for case, data in archives.items():
        file = here / ("a.pth" if kind == "checkpoint" else "a.zip")
        file.write_bytes(data)
        begun = time.process_time()
        if kind == "checkpoint":
            with pytest.raises(ModelError, match=r"a\.pth: ") as caught:
                read_checkpoint(file)
            said = [str(caught.value)]
        else:
            try:
                said = [frame.message for frame in open_source(str(file))]
            except SourceError as error:
                said = [str(error)]
        assert said and all(line and "\n" not in line for line in said), case
        assert time.process_time() - begun < 5, case
        refused += 1
        file.unlink()
    assert [p for p in tmp_path.rglob("*") if not p.is_dir()] == []
    print(f"{refused}/{len(archives)} archives refused, 0 files written")
    assert refused == len(archives) >= 20


def test_nothing_unpacks_an_archive_to_disk() -> None:
    """Zip archives are read in memory, but for two: a download's one file is streamed to its own
    name, and labels that are uploaded to a server go below a folder of their own."""
    opened = {}
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        nodes = list(ast.walk(ast.parse(text)))
        imported = {
            alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
        } | {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        called = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        assert not imported & {"tarfile", "gzip", "bz2", "zipapp", "zipimport"}, file
        assert not called & {"extract", "extractall", "unpack_archive"}, file
        if "zipfile" in imported:
            opened[file.relative_to(PACKAGE).as_posix()] = text
    reading = {"checkpoints/files.py", "sources/images.py", "sources/planning.py"}
    assert set(opened) == reading | {"weights/archive.py", "serve/unpacking.py"}
    assert "ZipFile(" not in opened["sources/planning.py"]
