"""Networks by name: fetched once, kept with a receipt, refused where the sum is another."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from posewright.errors import ModelError, OutputError, PosewrightError, UsageError
from posewright.weights import find_model, registry
from posewright.weights.archive import Member
from posewright.weights.networks import kept, progress, ready
from posewright.weights.published import find_published
from posewright.weights.receipt import read_receipt, receipt_path
from posewright.weights.registry import Entry, find
from tests.helpers.networks import Site, site, zipped

BODY = bytes(range(256)) * 300
SHA = hashlib.sha256(BODY).hexdigest()
OTHER = b"another file" * 500
OTHER_SHA = hashlib.sha256(OTHER).hexdigest()
PINNED = [entry for entry in registry.entries().values() if entry.pinned]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with site(tmp_path, monkeypatch) as made:
        yield made


@pytest.mark.parametrize("path", ["/net.onnx", "/net.zip"])
def test_a_named_network_is_fetched_once(
    place: Site, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place.add("net", BODY, path, terms="trained on research data")
    for _ in range(2):
        file, layout = find_model("net")
        assert file.read_bytes() == BODY and layout == ""
    assert place.asked == [path]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "fetching net (pose): 0.1 MB from 127.0.0.1" in said
    assert "Apache-2.0" in said and "COCO (trained on research data)" in said and str(file) in said
    told = read_receipt(file)
    assert told is not None and (told.sha256, told.size) == (SHA, len(BODY))
    assert {f.name for f in file.parent.iterdir()} == {file.name, receipt_path(file).name}


def test_the_layout_of_a_detector_comes_from_the_table(place: Site) -> None:
    place.add("net", BODY, kind="detector", layout="rtmdet-nms")
    assert find_model("net")[1] == "rtmdet"


def test_addresses_are_tried_in_turn(place: Site) -> None:
    place.files |= {"/b.onnx": OTHER, "/c.zip": zipped(("other.onnx", BODY)), "/d.onnx": BODY}
    addresses = " ".join(f"{place.base}/{each}" for each in ("a.zip", "b.onnx", "c.zip", "d.onnx"))
    place.add("net", BODY, "/unused.zip", addresses=addresses)
    assert find_model("net")[0].read_bytes() == BODY
    assert place.asked == ["/a.zip", "/b.onnx", "/c.zip", "/d.onnx"]


def test_where_all_addresses_fail_each_is_told(place: Site) -> None:
    place.files["/b.onnx"] = OTHER
    place.add("net", BODY, addresses=f"{place.base}/a.onnx {place.base}/b.onnx")
    with pytest.raises(ModelError, match=f"404 .*{OTHER_SHA}, but the published one is {SHA}"):
        find_model("net")


def test_a_mirror_stands_before_all_addresses(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    place.add("net", BODY, addresses="https://models.invalid/a/net.onnx")
    monkeypatch.setenv("POSEWRIGHT_MIRROR", place.base + "/m/")
    place.files["/m/models.invalid/a/net.onnx"] = OTHER
    with pytest.raises(PosewrightError, match=OTHER_SHA):  # the sum counts there too
        find_model("net")
    place.files["/m/models.invalid/a/net.onnx"] = BODY
    assert find_model("net")[0].read_bytes() == BODY
    assert set(place.asked) == {"/m/models.invalid/a/net.onnx"}


def test_plain_http_is_for_the_mirror_alone(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    place.add("net", BODY, addresses="http://models.invalid/net.onnx")
    with pytest.raises(UsageError, match="it is plain http"):
        find_model("net")
    place.add("two", BODY, addresses="https://models.invalid/net.onnx")
    monkeypatch.setenv("POSEWRIGHT_MIRROR", "http://mirror.invalid")
    with pytest.raises(PosewrightError) as no:  # asked, and not there
        find_model("two")
    assert "plain http" not in str(no.value) and "models pull two --to DIR" in str(no.value)


def test_offline_nothing_is_asked_for(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    place.add("net", BODY)
    with pytest.raises(ModelError, match=r"offline, and net is not in .* --to DIR, .* --home DIR"):
        ready(find("net"), offline=True)
    monkeypatch.setenv("POSEWRIGHT_OFFLINE", "1")
    with pytest.raises(ModelError, match="offline, and net"):
        find_model("net")
    assert place.asked == []
    monkeypatch.setenv("POSEWRIGHT_OFFLINE", "0")
    file, _ = find_model("net")
    assert ready(find("net"), offline=True) == file and len(place.asked) == 1


@pytest.mark.parametrize("path", ["/net.onnx", "/net.zip"])
@pytest.mark.parametrize("entry", PINNED, ids=lambda entry: entry.name)
def test_another_file_under_a_pinned_name_is_refused(
    entry: Entry, path: str, place: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.files[path] = zipped(("x/end2end.onnx", OTHER)) if path.endswith("zip") else OTHER
    near = replace(entry, addresses=(place.base + path,), member="end2end.onnx")
    with pytest.raises(ModelError, match=f"{OTHER_SHA}, but the published one is {entry.sha256}"):
        ready(near)
    assert not entry.path.exists() and not receipt_path(entry.path).exists()
    entry.path.parent.mkdir(parents=True, exist_ok=True)
    entry.path.write_bytes(OTHER)
    with pytest.raises(ModelError, match=f"{OTHER_SHA}, but the published one is {entry.sha256}"):
        kept(entry)


def test_a_replaced_file_is_accepted_by_its_sum_alone(place: Site) -> None:
    place.add("net", BODY, "/net.zip", sources=1)
    place.files["/net.zip"] = zipped(("end2end.onnx", OTHER))
    entry = find("net")
    with pytest.raises(ModelError, match=r"models pull net --accept SHA256"):
        find_model("net")
    with pytest.raises(UsageError, match="all 64 digits"):
        ready(entry, accept=OTHER_SHA[:8])
    with pytest.raises(ModelError, match=OTHER_SHA):
        ready(entry, accept="0" * 64)
    assert ready(entry, accept=OTHER_SHA).read_bytes() == OTHER
    assert find_model("net")[0].read_bytes() == OTHER
    told = read_receipt(entry.path)
    assert told is not None and told.accepted
    entry.path.write_bytes(BODY)
    with pytest.raises(ModelError, match="has changed since"):
        find_model("net")


def test_a_file_that_is_there_is_accepted_by_its_sum(place: Site) -> None:
    place.add("net", BODY)
    entry = find("net")
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(OTHER)
    with pytest.raises(ModelError, match="so it is not run"):
        find_model("net")
    ready(entry, accept=OTHER_SHA)
    assert find_model("net")[0].read_bytes() == OTHER and place.asked == []


def test_a_file_without_a_sum_is_kept_as_it_was_first(
    place: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    place.add("net", BODY, "/net.zip", sha256="", sources=0)
    file, _ = find_model("net")
    assert f"nobody states its SHA-256; it is {SHA}" in capsys.readouterr().err
    file.unlink()
    place.files["/net.zip"] = zipped(("end2end.onnx", OTHER))
    with pytest.raises(ModelError, match=rf"SHA-256 is {OTHER_SHA}, but was {SHA} on"):
        find_model("net")
    assert not file.exists()
    assert ready(find("net"), accept=OTHER_SHA).read_bytes() == OTHER


def test_the_sum_of_an_archive_counts_where_that_of_its_file_is_unknown(place: Site) -> None:
    place.add("net", BODY, "/net.zip", sha256="", archive_sha256="0" * 64)
    with pytest.raises(
        ModelError, match=r"SHA-256 of the archive is .* but the published one is 0"
    ):
        find_model("net")
    sha = hashlib.sha256(place.files["/net.zip"]).hexdigest()
    place.add("two", BODY, "/net.zip", sha256="", archive_sha256=sha)
    assert find_model("two")[0].read_bytes() == BODY


def test_a_change_is_noticed_and_a_copy_is_summed_again(place: Site) -> None:
    place.add("net", BODY)
    file, _ = find_model("net")
    late = receipt_path(file).stat().st_mtime_ns + 10**9
    os.utime(file, ns=(late, late))  # as after a copy
    assert find_model("net")[0] == file and receipt_path(file).stat().st_mtime_ns != late
    file.write_bytes(OTHER)
    with pytest.raises(ModelError, match="has changed since"):
        find_model("net")
    receipt_path(file).unlink()
    with pytest.raises(ModelError, match=f"{OTHER_SHA}, but the published one is {SHA}"):
        find_model("net")


def test_a_carried_folder_needs_no_network(place: Site, tmp_path: Path) -> None:
    place.add("net", BODY)
    file, _ = find_model("net")
    shutil.copytree(file.parent, tmp_path / "carried" / "networks")
    shutil.rmtree(file.parent)
    os.environ["POSEWRIGHT_HOME"] = str(tmp_path / "carried")  # the fixture puts it back
    assert find_model("net")[0].is_relative_to(tmp_path / "carried") and len(place.asked) == 1


def test_the_file_of_rtmlib_is_used_where_its_sum_matches(
    place: Site,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    place.add("net", BODY, "/net-of-theirs.zip")
    theirs = tmp_path / "cache" / "rtmlib" / "hub" / "checkpoints" / "net-of-theirs.onnx"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(BODY)
    assert find_model("net")[0].read_bytes() == BODY and place.asked == []
    assert f"taken from {theirs}" in capsys.readouterr().err
    monkeypatch.setattr(os, "link", refuse)  # another disk
    place.add("three", BODY, "/net-of-theirs.zip")
    assert find_model("three")[0].read_bytes() == BODY and place.asked == []
    place.add("two", BODY, "/two.onnx")
    theirs.with_name("two.onnx").write_bytes(OTHER)
    assert find_model("two")[0].read_bytes() == BODY and place.asked == ["/two.onnx"]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ((("a/end2end.onnx", BODY), ("b/end2end.onnx", BODY)), "2 of the 2 files"),
        ((("end2end.onnx", BODY), ("end2end.onnx", OTHER)), "2 of the 2 files"),
        ((("other.onnx", BODY),), "0 of the 1 files"),
        ((), "0 of the 0 files"),
        ((("../../end2end.onnx", BODY),), "0 of the 1 files"),
        ((("/tmp/end2end.onnx", BODY),), "0 of the 1 files"),
        ((("a\\..\\end2end.onnx", BODY),), "0 of the 1 files"),
        ((("end2end.onnx/", b""),), "0 of the 1 files"),
        ((("end2end.onnx", bytes(40 << 20)),), "would have 41,943,040 bytes"),
        ((*((f"{n}", b"") for n in range(1500)), ("end2end.onnx", BODY)), "1 of the 1501 files"),
    ],
    ids=["two", "one-name", "none", "empty", "up", "root", "back", "folder", "bomb", "many"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_are_refused(
    place: Site, tmp_path: Path, members: tuple[tuple[str, bytes], ...], said: str
) -> None:
    place.add("net", BODY, "/net.zip")
    place.files["/net.zip"] = zipped(*members)
    with pytest.raises(ModelError, match=said) as no:
        find_model("net")
    assert "\n" not in str(no.value)
    assert not [f for f in tmp_path.rglob("*") if "end2end" in f.name]
    assert list((tmp_path / "home" / "networks").iterdir()) == []


@pytest.mark.parametrize("cut", [0, 30, 200])
def test_a_damaged_archive_is_refused(place: Site, tmp_path: Path, cut: int) -> None:
    place.add("net", BODY, "/net.zip")
    body = place.files["/net.zip"]
    place.files["/net.zip"] = body[:cut] + bytes(40) + body[cut + 40 :] if cut else b"no archive"
    with pytest.raises(ModelError, match="not kept"):
        find_model("net")
    assert list((tmp_path / "home" / "networks").iterdir()) == []


def test_an_archive_that_understates_its_size_is_refused(tmp_path: Path) -> None:
    body = bytearray(zipped(("end2end.onnx", BODY)))
    at = body.rindex(b"PK\x01\x02") + 24  # the size in the directory
    body[at : at + 4] = (100).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(body)
    with pytest.raises(ModelError, match="damaged"):
        Member("end2end.onnx").unpack(tmp_path / "a.zip", tmp_path / "a", 1 << 20, "a.zip")


def test_a_full_disk(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    place.add("net", BODY)
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"needs 76800 bytes, 1000 are free; .*POSEWRIGHT_HOME"):
        find_model("net")


def test_processes_fetch_one_file_once(place: Site, tmp_path: Path) -> None:
    place.add("net", BODY, "/net.zip")
    code = (
        "import sys; from pathlib import Path; "
        "from posewright.weights import find_model, registry; "
        "registry._TABLE = Path(sys.argv[1]); print(find_model('net')[0].stat().st_size)"
    )
    words = [sys.executable, "-c", code, str(place.table)]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in running] == [f"{len(BODY)}\n"] * 4
    assert place.asked == ["/net.zip"]


def test_a_checkpoint_that_is_not_here_names_its_command(place: Site) -> None:
    with pytest.raises(ModelError, match="models pull hrnet_w32-coco-256x192"):
        find_model("hrnet_w32-coco-256x192")
    entry = find("hrnet_w32-coco-256x192")
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(b"")
    assert find_model("hrnet_w32-coco-256x192") == (entry.path, "")


def test_checkpoints_are_looked_for_below_the_mirror_too(monkeypatch: pytest.MonkeyPatch) -> None:
    known = find_published("hrnet_w32-coco-256x192")
    monkeypatch.delenv("POSEWRIGHT_MIRROR", raising=False)
    assert known.mirrors == ()
    monkeypatch.setenv("POSEWRIGHT_MIRROR", "https://host/m/")
    host_and_path = known.url.removeprefix("https://")
    assert known.mirrors == (f"https://host/m/{known.path.name}", f"https://host/m/{host_and_path}")


def test_the_bar_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress(5_000_000, 10_000_000)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress(5_000_000, 10_000_000)
    assert capsys.readouterr().err == "\r[##########..........] 5 of 10 MB"
    progress(10_000_000, 10_000_000)
    assert capsys.readouterr().err.endswith("10 of 10 MB\n")
    progress(5_000_000, 0)
    assert capsys.readouterr().err == "\r5 MB"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_is_damaged_anywhere_is_a_model_error(method: int, tmp_path: Path) -> None:
    """Also where the place of a member would lie before the file's begin, or its data are none."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.writestr("sdk/net.onnx", bytes(range(256)) * 40)
    data, path = made.getvalue(), tmp_path / "a.zip"
    refused = 0
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        try:
            Member("net.onnx").unpack(path, tmp_path / "net.onnx", 1 << 20, "a.zip")
        except ModelError as error:
            refused += "; not kept" in str(error)
    assert refused > len(data) // 2
