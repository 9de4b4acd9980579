"""Files of hubs: the sum that a hub states is asked for first, and compared with what comes."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from posewright import Fetching, Pose
from posewright.cli import main
from posewright.errors import ModelError, PosewrightError, UsageError
from posewright.weights import find_model
from posewright.weights.download import DownloadError, download
from posewright.weights.folders import cache_folder, fetching_variables, is_offline
from posewright.weights.hub import at_commit, hub_file
from posewright.weights.networks import ready
from posewright.weights.published import Published
from posewright.weights.receipt import HubFile, read_receipt, receipt_path
from posewright.weights.registry import find
from tests.helpers.faulty_server import (
    Asked,
    FaultyServer,
    Step,
    certified,
    head,
    redirect,
    serving,
    whole,
)
from tests.helpers.networks import Site, simcc_graph, site, zipped

BODY, OTHER = bytes(range(256)) * 40, b"another file" * 900
SHA, OTHER_SHA = (hashlib.sha256(body).hexdigest() for body in (BODY, OTHER))
ONE, TWO = "1" * 40, "2" * 40
FAST: dict[str, Any] = {"pause": 0.0, "attempts": 2, "timeout": 5.0}
BRANCH = "/owner/net/resolve/main/onnx/net.onnx"
AT_ONE = BRANCH.replace("main", ONE)


@dataclass
class Hub:
    """A hub with one file, whose branch is at a commit; HEAD is answered as it says."""

    bodies: dict[str, bytes] = field(default_factory=lambda: {ONE: BODY})
    branch: str = ONE
    sha: str = SHA
    size: object = len(BODY)
    answer: Callable[[Asked], bytes] | None = None  # to HEAD
    moves_to: str = ""  # after it was asked for the sum
    place: str = ""  # where the bytes are, on another server
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, asked: Asked) -> list[Step]:
        self.asked.append((asked.method, asked.path))
        if asked.method == "HEAD":
            assert asked.headers["accept-encoding"] == "identity"
            commit, self.branch = self.branch, self.moves_to or self.branch
            if self.answer is not None:
                return [self.answer(asked)]
            told = {"X_Linked_Etag": f'"{self.sha}"', "X_Linked_Size": self.size}
            told |= {"X_Repo_Commit": commit, "X_Xet_Hash": "f" * 64}
            return [head("302 Found", Location=self.place or "/bytes", Content_Length=0, **told)]
        revision = asked.path.split("/resolve/")[-1].partition("/")[0]
        if self.place:
            return [redirect(self.place)]
        return [whole(self.bodies[self.branch if revision == "main" else revision], asked)]


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def server(hub: Hub) -> Iterator[FaultyServer]:
    with serving(hub) as made:
        yield made


@pytest.fixture
def base(server: FaultyServer) -> str:
    return f"http://127.0.0.1:{server.port}"


def fetch(base: str, path: Path, **options: Any) -> Path:
    return download(base + options.pop("at", BRANCH), path, "", **{**FAST, **options})


def refused(base: str, path: Path, **options: Any) -> str:
    """Return the one line that a download ends with; nothing is kept then."""
    with pytest.raises(PosewrightError) as caught:
        fetch(base, path, **options)
    assert isinstance(caught.value, (DownloadError, ModelError)) and "\n" not in str(caught.value)
    assert not path.exists() and not receipt_path(path).exists()
    return str(caught.value)


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/b/resolve/main/c.onnx", ("a/b", "", "c.onnx")),
        (f"/a/b/resolve/{ONE}/c/d%20e.onnx?download=true", ("a/b", ONE, "c/d e.onnx")),
        ("/datasets/a/b/resolve/v1.0/c.zip", ("datasets/a/b", "", "c.zip")),
        ("/mirror/hub.example/a/b/resolve/main/c.onnx", ("a/b", "", "c.onnx")),
        ("/a/b/blob/main/c.onnx", None),
        ("/a/resolve/main/c.onnx", None),
        ("/a/b/resolve/main", None),
        ("/a/b/releases/download/1.0/c.onnx", None),
    ],
)
def test_addresses_of_hubs(path: str, expected: tuple[str, str, str] | None) -> None:
    found = hub_file("https://hub.example" + path)
    assert found == (None if expected is None else HubFile(*expected))


def test_the_address_at_a_commit() -> None:
    url = "https://hub.example/datasets/a/b/resolve/main/c/d%20e.onnx?x=1"
    assert at_commit(url, ONE) == url.replace("main", ONE)
    assert (
        at_commit(url, "") == url and at_commit("https://h/net.onnx", ONE) == "https://h/net.onnx"
    )


# --- what a hub states ---------------------------------------------------------------------------


def test_the_file_comes_from_the_commit_that_was_stated(
    hub: Hub, base: str, tmp_path: Path
) -> None:
    path = fetch(base, tmp_path / "net.onnx", require_checksum=True)
    assert path.read_bytes() == BODY
    assert hub.asked == [("HEAD", BRANCH), ("GET", AT_ONE)]
    told = read_receipt(path)
    assert told is not None and (told.url, told.sha256) == (base + AT_ONE, SHA)
    assert told.hub == HubFile("owner/net", ONE, "onnx/net.onnx", SHA, len(BODY))
    fetch(base, path)  # it is here
    assert len(hub.asked) == 2
    path.write_bytes(OTHER)
    with pytest.raises(ModelError, match="has changed since"):
        fetch(base, path)


def test_a_branch_that_moves_between_the_requests(hub: Hub, base: str, tmp_path: Path) -> None:
    hub.bodies[TWO], hub.moves_to = OTHER, TWO
    path = fetch(base, tmp_path / "net.onnx")
    assert path.read_bytes() == BODY and hub.asked[-1] == ("GET", AT_ONE)
    path.unlink()  # and later, too, it is the commit of the receipt
    assert fetch(base, path).read_bytes() == BODY
    assert hub.asked[2:] == [("GET", AT_ONE)]
    path.unlink()
    receipt_path(path).unlink()
    hub.sha, hub.size = OTHER_SHA, len(OTHER)
    assert fetch(base, path).read_bytes() == OTHER


def test_an_address_with_a_commit_stays_at_it(hub: Hub, base: str, tmp_path: Path) -> None:
    hub.branch = TWO  # as a hub that states the newest commit
    path = fetch(base, tmp_path / "net.onnx", at=AT_ONE)
    assert hub.asked == [("HEAD", AT_ONE), ("GET", AT_ONE)]
    told = read_receipt(path)
    assert told is not None and told.hub is not None and told.hub.commit == ONE


def test_another_file_than_the_stated_one_is_refused(hub: Hub, base: str, tmp_path: Path) -> None:
    hub.bodies[ONE] = OTHER[: len(BODY)]
    hub.size = len(hub.bodies[ONE])
    said = refused(base, tmp_path / "net.onnx")
    assert f"but the published one is {SHA} (by the hub); not kept" in said


@pytest.mark.parametrize(
    ("size", "words"),
    [(len(BODY) - 1, "more than the limit of"), (len(BODY) + 1, "bytes came, but the hub states")],
)
def test_a_size_that_lies_is_refused(
    hub: Hub, base: str, tmp_path: Path, size: int, words: str
) -> None:
    hub.size = size
    assert words in refused(base, tmp_path / "net.onnx")


@pytest.mark.parametrize("size", ["", "many", "-1", "1e3"])
def test_a_size_that_is_no_number_counts_for_nothing(
    hub: Hub, base: str, tmp_path: Path, size: str
) -> None:
    hub.size = size
    told = read_receipt(fetch(base, tmp_path / "net.onnx"))
    assert told is not None and told.hub is not None and told.hub.size == 0


def test_bytes_on_another_host_are_compared(hub: Hub, base: str, tmp_path: Path) -> None:
    body = BODY
    with serving(lambda asked: [whole(body, asked)]) as far:
        hub.place = f"{far.url}?signed"
        path = fetch(base, tmp_path / "net.onnx")
        assert path.read_bytes() == BODY
        assert [asked.method for asked in far.asked] == ["GET"]  # the answer to HEAD was the hub's
        path.unlink()
        receipt_path(path).unlink()
        body = OTHER[: len(BODY)]
        assert "published one" in refused(base, path)


def test_a_redirect_that_states_nothing_is_not_followed(
    hub: Hub, base: str, tmp_path: Path
) -> None:
    with serving(lambda asked: [whole(BODY, asked, X_Linked_Etag=OTHER_SHA)]) as far:
        hub.answer = lambda asked: redirect(far.url, 307)
        assert "nobody states the SHA-256" in refused(
            base, tmp_path / "net.onnx", require_checksum=True
        )
        assert far.asked == []


# what states no sum: HEAD refused, the sum of a small file, other hashes, no commit of a branch
SILENT: dict[str, Callable[[Asked], bytes]] = {
    **{
        str(code): lambda asked, code=code: head(f"{code} No", Content_Length=0)  # type: ignore[misc]
        for code in (400, 401, 403, 404, 405, 410, 501)
    },
    "nothing": lambda asked: head(Content_Length=len(BODY)),
    "git": lambda asked: head(ETag=f'"{"a" * 40}"', X_Linked_Etag="a" * 40, X_Repo_Commit=ONE),
    "short": lambda asked: head(X_Linked_Etag=SHA[:63], X_Repo_Commit=ONE),
    "long": lambda asked: head(X_Linked_Etag=SHA + "0", X_Repo_Commit=ONE),
    "letters": lambda asked: head(X_Linked_Etag="g" * 64, X_Repo_Commit=ONE),
    "multipart": lambda asked: head(X_Linked_Etag=f'"{SHA[:62]}-2"', X_Repo_Commit=ONE),
    "xet": lambda asked: head(X_Xet_Hash=OTHER_SHA, X_Repo_Commit=ONE),
    "etag": lambda asked: head(ETag=f'"{OTHER_SHA}"', X_Repo_Commit=ONE),
    "branch": lambda asked: head(X_Linked_Etag=SHA, X_Repo_Commit="main"),
    "nowhere": lambda asked: head(X_Linked_Etag=SHA),
}


@pytest.mark.parametrize("silent", SILENT.values(), ids=SILENT)
def test_a_hub_that_states_no_sum_is_as_any_other_host(
    hub: Hub, base: str, tmp_path: Path, silent: Callable[[Asked], bytes]
) -> None:
    hub.answer = silent
    path = tmp_path / "net.onnx"
    assert "nobody states the SHA-256" in refused(base, path, require_checksum=True)
    assert hub.asked == [("HEAD", BRANCH)]  # asked once, and nothing was fetched
    told = read_receipt(fetch(base, path))
    assert told is not None and told.sha256 == SHA and told.hub is None


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_a_hub_in_trouble_is_asked_again_and_not_taken_for_silent(
    hub: Hub, base: str, tmp_path: Path, code: int
) -> None:
    good, hub.answer = hub.answer, lambda asked: head(f"{code} Busy", Content_Length=0)
    said = refused(base, tmp_path / "net.onnx")
    assert f"the server answers {code}, when asked for the SHA-256" in said
    assert hub.asked == [("HEAD", BRANCH)] * 2

    def once(asked: Asked) -> bytes:
        hub.answer = good
        return head(f"{code} Busy", Content_Length=0)

    hub.answer = once
    assert fetch(base, tmp_path / "net.onnx").read_bytes() == BODY


def test_a_hub_that_hangs_up_is_not_taken_for_silent(hub: Hub, base: str, tmp_path: Path) -> None:
    hub.answer = lambda asked: b""
    assert "when asked for the SHA-256" in refused(base, tmp_path / "net.onnx")


def test_a_hub_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    context, certificate = certified(tmp_path)
    assert isinstance(context, ssl.SSLContext)
    with serving(hub, context) as server:
        base = f"https://127.0.0.1:{server.port}"
        assert "certificate" in refused(base, tmp_path / "net.onnx")
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        assert fetch(base, tmp_path / "net.onnx").read_bytes() == BODY


def test_a_pinned_sum_needs_no_hub(hub: Hub, base: str, tmp_path: Path) -> None:
    download(base + BRANCH, tmp_path / "net.onnx", SHA, require_checksum=True, **FAST)
    assert hub.asked == [("GET", BRANCH)]


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"repository": "owner/net"},
        {"repository": "owner/net", "commit": "main", "file": "f", "sha256": SHA, "size": 1},
        {"repository": "owner/net", "commit": ONE, "file": "f", "sha256": SHA[:8], "size": 1},
        {"repository": "owner/net", "commit": ONE, "file": "f", "sha256": SHA, "size": "1"},
        {"repository": "owner/net", "commit": ONE, "file": "f", "sha256": SHA, "size": True},
        {"repository": "owner/net", "commit": ONE, "file": 1, "sha256": SHA, "size": 1},
    ],
)
def test_a_damaged_statement_in_a_receipt_is_none(
    hub: Hub, base: str, tmp_path: Path, told: object
) -> None:
    path = fetch(base, tmp_path / "net.onnx")
    receipt = json.loads(receipt_path(path).read_text())
    receipt_path(path).write_text(json.dumps({**receipt, "hub": told}))
    found = read_receipt(path)
    assert found is not None and found.hub is None
    with pytest.raises(ModelError, match=r"nobody has stated .*--require-checksum"):
        fetch(base, path, require_checksum=True)


# --- networks by name ----------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.delenv("POSEWRIGHT_REQUIRE_CHECKSUM", raising=False)
    with site(tmp_path, monkeypatch) as made:
        yield made


def test_a_name_at_a_hub_is_compared_and_says_nothing_of_first_use(
    place: Site, base: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.add("net", BODY, addresses=base + BRANCH, sha256="", sources=0)
    monkeypatch.setenv("POSEWRIGHT_REQUIRE_CHECKSUM", "1")
    for _ in range(2):
        assert find_model("net")[0].read_bytes() == BODY
    assert "nobody states" not in capsys.readouterr().err
    assert main(["models", "verify", "net"]) == 0
    said = capsys.readouterr()
    assert f"repository=owner/net, commit={ONE}" in said.out and said.err == ""


def test_an_archive_at_a_hub_is_compared_as_an_archive(hub: Hub, place: Site, base: str) -> None:
    hub.bodies[ONE] = zipped(("a/end2end.onnx", BODY))
    hub.sha, hub.size = hashlib.sha256(hub.bodies[ONE]).hexdigest(), len(hub.bodies[ONE])
    at = base + BRANCH.replace(".onnx", ".zip")
    place.add("net", BODY, addresses=at, member="end2end.onnx", sha256="")
    file, _ = find_model("net")
    told = read_receipt(file)
    assert file.read_bytes() == BODY and told is not None and told.hub is not None
    assert (told.sha256, told.hub.sha256) == (SHA, hub.sha)
    place.add("two", BODY, addresses=at, member="end2end.onnx", sha256="")
    hub.sha = OTHER_SHA
    with pytest.raises(ModelError, match=f"of the archive is .* published one is {OTHER_SHA}"):
        find_model("two")


def test_hubs_come_first_where_no_sum_is_known(
    hub: Hub, place: Site, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.files["/net.onnx"] = OTHER
    both = f"{place.base}/net.onnx {base}{BRANCH}"
    place.add("net", OTHER, addresses=both, sha256="")
    assert find_model("net")[0].read_bytes() == BODY and place.asked == []
    place.add("two", OTHER, addresses=both)  # its sum is known
    assert find_model("two")[0].read_bytes() == OTHER and len(hub.asked) == 2
    monkeypatch.setenv("POSEWRIGHT_MIRROR", f"{place.base}/m")
    place.files["/m/127.0.0.1/net.onnx"] = OTHER
    place.add("three", OTHER, addresses=both, sha256="")  # the user's own mirror stays first
    assert find_model("three")[0].read_bytes() == OTHER and len(hub.asked) == 2


@pytest.mark.parametrize("path", ["/net.onnx", "/net.zip"])
def test_a_sum_that_nobody_states_can_be_refused(place: Site, path: str) -> None:
    place.add("net", BODY, path, sha256="", sources=0)
    strict = Fetching(require_checksum=True)
    with strict.applied(), pytest.raises(ModelError, match=r"nobody states .*--require-checksum"):
        find_model("net")
    assert place.asked == []
    find_model("net")
    with strict.applied(), pytest.raises(ModelError, match="nobody has stated the SHA-256"):
        find_model("net")
    with strict.applied():  # the user states it
        assert ready(find("net"), accept=SHA).read_bytes() == BODY
    place.add("two", BODY, path)
    with strict.applied():
        assert find_model("two")[0].read_bytes() == BODY


def test_the_sum_of_an_archive_is_a_stated_one(place: Site) -> None:
    sha = hashlib.sha256(zipped(("a/b/end2end.onnx", BODY))).hexdigest()
    place.add("net", BODY, "/net.zip", sha256="", archive_sha256=sha)
    with Fetching(require_checksum=True).applied():
        for _ in range(2):
            assert find_model("net")[0].read_bytes() == BODY
    plain = f"{place.base}/net.onnx"
    place.files["/net.onnx"] = BODY
    place.add("two", BODY, "/unused.zip", addresses=plain, sha256="", archive_sha256=sha)
    with Fetching(require_checksum=True).applied(), pytest.raises(ModelError, match="nobody"):
        find_model("two")  # the archive's sum says nothing of a file beside it


def test_the_option_is_of_every_verb_that_fetches(
    place: Site, capsys: pytest.CaptureFixture[str], people_jpg: Path, tmp_path: Path
) -> None:
    place.add("net", simcc_graph(), sha256="", sources=0)
    out = ["-o", str(tmp_path / "out")]
    for words in (
        ["predict", str(people_jpg), "-m", "net", *out],
        ["bench", str(people_jpg), "-m", "net"],
        ["models", "pull", "net"],
    ):
        assert main([*words, "--require-checksum"]) == 4
        said = capsys.readouterr().err
        assert "nobody states the SHA-256" in said and place.asked == []
    assert main(["models", "pull", "net"]) == 0
    assert "nobody states its SHA-256" in capsys.readouterr().err


def test_a_pose_fetches_as_it_is_told(place: Site, tmp_path: Path) -> None:
    place.add("net", simcc_graph(), sha256="", sources=0, skeleton="coco17")
    options: dict[str, Any] = {"detector": "whole-image", "runtime": "onnxruntime"}
    with pytest.raises(ModelError, match="offline, and net"):
        Pose("net", fetch=Fetching(offline=True), **options)
    with pytest.raises(ModelError, match="nobody states"):
        Pose("net", fetch=Fetching(require_checksum=True), **options)
    assert place.asked == []
    pose = Pose("net", fetch=Fetching(home=tmp_path / "own"), **options)
    file = tmp_path / "own" / "networks" / "net.onnx"
    assert file.is_file() and list((tmp_path / "home" / "networks").iterdir()) == []
    # the header of results is written later, and fetches nothing into another folder
    assert pose.run["model"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert place.asked == ["/net.onnx"]
    place.files["/net.onnx"] = other = simcc_graph(size=(96, 128))
    there = Pose("net", fetch=Fetching(home=tmp_path / "two"), **options)
    assert there.run["model"]["sha256"] == hashlib.sha256(other).hexdigest()


def test_what_counts_adds_up_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEWRIGHT_HOME", str(tmp_path / "a"))
    for name in ("POSEWRIGHT_OFFLINE", "POSEWRIGHT_REQUIRE_CHECKSUM"):
        monkeypatch.delenv(name, raising=False)
    with Fetching(offline=True).applied():
        with Fetching(home=tmp_path / "b", require_checksum=True).applied():
            assert cache_folder() == tmp_path / "b" and is_offline()
            assert fetching_variables() == {
                "POSEWRIGHT_HOME": str(tmp_path / "b"),
                "POSEWRIGHT_OFFLINE": "1",
                "POSEWRIGHT_REQUIRE_CHECKSUM": "1",
            }
        assert cache_folder() == tmp_path / "a" and is_offline()
    assert fetching_variables() == {"POSEWRIGHT_HOME": str(tmp_path / "a")}


# --- checkpoints ---------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Published]:
    """Make an entry without a published sum; its conversion copies the file."""
    import posewright.checkpoints.conversion as conversion

    def make(path: str = BRANCH) -> Published:
        made = Published(
            "net-coco", base + path, "", "hrnet", "hrnet_w32", {}, "MIT", "coco", "AP 1"
        )
        monkeypatch.setattr("posewright.weights.published.published", lambda: {made.name: made})
        return made

    monkeypatch.setenv("POSEWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("POSEWRIGHT_REQUIRE_CHECKSUM", raising=False)
    monkeypatch.setattr(
        conversion, "convert_as", lambda entry, target: target.write_bytes(b"converted")
    )
    return make


def test_a_checkpoint_at_a_hub_needs_no_trust(
    hub: Hub, checkpoint: Callable[..., Published], capsys: pytest.CaptureFixture[str]
) -> None:
    entry = checkpoint()
    assert main(["models", "pull", "net-coco"]) == 0
    assert entry.path.read_bytes() == BODY and hub.asked[0] == ("HEAD", BRANCH)
    with Fetching(require_checksum=True).applied():
        assert find_model("net-coco")[0] == entry.converted
    assert "nobody states" not in capsys.readouterr().err


def test_a_checkpoint_of_a_silent_hub_is_trusted_by_request(
    hub: Hub, checkpoint: Callable[..., Published], capsys: pytest.CaptureFixture[str]
) -> None:
    entry = checkpoint()
    hub.answer = SILENT["403"]
    assert main(["models", "pull", "net-coco"]) == 4
    assert "nobody states the SHA-256" in capsys.readouterr().err and not entry.path.exists()
    both = ["--unverified", "--require-checksum"]
    assert main(["models", "pull", "net-coco", *both]) == 2
    assert main(["models", "pull", "net-coco", "--unverified"]) == 0
    assert f"net-coco: nobody states its SHA-256; it is {SHA}" in capsys.readouterr().err
    with Fetching(require_checksum=True).applied(), pytest.raises(ModelError, match="nobody has"):
        find_model("net-coco")


def test_another_host_still_needs_trust(
    checkpoint: Callable[..., Published], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint("/net.pth")
    assert main(["models", "pull", "net-coco"]) == 2
    assert "--unverified" in capsys.readouterr().err


def test_info_says_who_states_a_sum(
    place: Site, base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place.add("pinned", BODY)
    place.add("one", BODY, sources=1)
    place.add("hub", BODY, addresses=f"{place.base}/a.onnx {base}{BRANCH}", sha256="")
    place.add("nobody", BODY, sha256="")
    said = {}
    for name in ("pinned", "one", "hub", "nobody", "hrnet_w32-coco-256x192"):
        assert main(["models", "info", name, "--json"]) == 0
        said[name] = json.loads(capsys.readouterr().out)["checksum"]
    assert [*said.values()] == [
        "pinned",
        "one source",
        "by its hub, asked before the download",
        "kept at first use",
        "by its authors",
    ]
    assert main(["models", "info", "alphapose_fastpose_r50", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checksum"] == "kept at first use"


# --- verify --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["movenet-thunder", "nanodet-g-person"])
def test_an_embedded_network_is_verified_by_the_sum_of_the_package(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["models", "verify", name]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines] == ["file", "sha256", "published"]
    assert lines[1].split()[1] == lines[2].split()[1] and said.err == ""
    changed = replace(find(name), sha256="0" * 64)
    monkeypatch.setattr("posewright.weights.registry.find", lambda _: changed)
    assert main(["models", "verify", name]) == 4
    assert "published one begins with 0000" in capsys.readouterr().err


def test_no_field_is_printed_empty(place: Site, capsys: pytest.CaptureFixture[str]) -> None:
    place.add("net", BODY, sha256="", sources=0, kind="detector", licence="")
    find_model("net")
    receipt_path(find("net").path).unlink()
    for verb in ("verify", "info"):
        assert main(["models", verb, "net"]) == 0
        for line in capsys.readouterr().out.splitlines():
            assert len(line.split(None, 1)) == 2, line


def test_a_usage_error_is_still_one(base: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="offline"):
        fetch(base, tmp_path / "net.onnx", offline=True, require_checksum=True)
