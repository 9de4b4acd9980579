"""Downloads over connections and from servers that do everything wrong: no bad file is accepted."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from posewright.errors import ModelError, OutputError, PosewrightError, UsageError
from posewright.weights.download import DownloadError, download
from posewright.weights.receipt import read_receipt
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

BODY = bytes(range(256)) * 80  # 20 kB
SHA = hashlib.sha256(BODY).hexdigest()
FAST = {"pause": 0.0, "attempts": 2, "timeout": 5.0}


def refused(server: FaultyServer, path: Path, sha: str = SHA, **options: object) -> str:
    """Return the one line that a download ends with; nothing is at its place then."""
    with pytest.raises(PosewrightError) as caught:
        download(server.url, path, sha, **{**FAST, **options})
    assert not path.exists() and isinstance(caught.value, (DownloadError, ModelError, OutputError))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """TLS by a certificate for 127.0.0.1 that is trusted here."""
    made, certificate = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    return made


# --- the promise: no bad file, and one download for eight processes -------------------------------


def test_no_bad_file_is_accepted(tmp_path: Path) -> None:
    answered = len(whole(BODY, Asked("/", {})))
    counts: Counter[str] = Counter()

    def tried(name: str, server: FaultyServer, **options: object) -> None:
        path = tmp_path / f"{name}-{sum(counts.values())}.pth"
        try:
            download(server.url, path, SHA[:8], **{**FAST, **options})
        except (DownloadError, ModelError):
            counts[f"{name}: refused"] += 1
            assert not path.exists()
        else:
            good = path.read_bytes() == BODY
            counts[f"{name}: {'whole' if good else 'BAD'}"] += 1

    for offset in range(0, answered, answered // 100 + 1):  # headers included
        with serving(lambda asked, cut=offset: first_cut(server, asked, cut)) as server:
            tried("cut", server)
    for place in range(0, len(BODY), 2000):
        wrong = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        with serving(lambda asked, sent=wrong: [whole(sent, asked)]) as server:
            tried("wrong bytes", server)
    with serving(lambda _: [head("404 Not Found", Content_Length=0)]) as server:
        tried("404", server)
    with serving(lambda asked: failing_once(server, asked)) as server:
        tried("500 once", server)
    with serving(lambda _: [head("500 Oops", Content_Length=0)]) as server:
        tried("500", server)
    for target in (
        "http://example.invalid/net.pth",
        "ftp://127.0.0.1/net.pth",
        "file:///etc/hosts",
    ):
        with serving(lambda _, to=target: [redirect(to)]) as server:
            tried("redirect", server)
    with serving(lambda _: dripping(BODY)) as server:
        tried("slow-loris", server, least=1000, period=0.2)
    print(dict(counts))
    assert counts == {
        "cut: whole": 100,
        "wrong bytes: refused": 11,
        "404: refused": 1,
        "500 once: whole": 1,
        "500: refused": 1,
        "redirect: refused": 3,
        "slow-loris: refused": 1,
    }
    left = {path.suffix for path in tmp_path.iterdir()}
    assert left == {".pth", ".json", ".part"}  # files, receipts, and what came of the slow one


def first_cut(server: FaultyServer, asked: Asked, offset: int) -> list[Step]:
    answer = whole(BODY, asked)
    return [answer[:offset] if len(server.asked) == 1 else answer]


def failing_once(server: FaultyServer, asked: Asked) -> list[Step]:
    return [head("500 Oops") if len(server.asked) == 1 else whole(BODY, asked)]


def dripping(data: bytes) -> Iterator[Step]:
    """Yield headers at once, then a byte every few hundredths of a second."""
    yield head(Content_Length=len(data))
    for byte in data:
        yield bytes([byte])
        yield 0.02


def test_eight_processes_fetch_once(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from posewright.weights.download import download\n"
        "path = download(sys.argv[1], Path(sys.argv[2]), sys.argv[3])\n"
        "print(path.stat().st_size)"
    )
    body = BODY * 20

    def slowly(asked: Asked) -> Iterable[Step]:
        answer = whole(body, asked)
        return [answer[:1000], 0.5, answer[1000:]]

    with serving(slowly) as server:
        line = [sys.executable, "-c", script, server.url, str(tmp_path / "net.pth")]
        line.append(hashlib.sha256(body).hexdigest())
        started = [subprocess.Popen(line, stdout=subprocess.PIPE) for _ in range(8)]
        said = [process.communicate()[0].decode().strip() for process in started]
    assert said == [str(len(body))] * 8 and len(server.asked) == 1
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["net.pth", "net.pth.receipt.json"]


# --- ranges --------------------------------------------------------------------------------------


def resumed(tmp_path: Path, range_: str, *, sent: bytes = b"", **headers: object) -> list[int]:
    """Fetch with a half there from a server that answers so to ranges; return the starts asked."""
    path = tmp_path / "net.pth"
    (tmp_path / "net.pth.part").write_bytes(BODY[:1000])

    def answer(asked: Asked) -> list[Step]:
        if not asked.start:
            return [whole(BODY, asked)]
        told = {"Content_Range": range_, "Content_Length": len(sent), **headers}
        return [head("206 Partial Content", **told), sent]

    with serving(answer) as server:
        download(server.url, path, SHA, pause=0)
    assert path.read_bytes() == BODY
    return [asked.start for asked in server.asked]


@pytest.mark.parametrize(
    "stated",
    [
        "bytes 0-20479/20480",
        "bytes 999-20479/20480",
        "bytes 1001-20479/20480",
        "bytes 1000-20478/20480",
        "bytes 1000-20479/5",
        "bytes 1000-999/20480",
        "bytes */20480",
        "bytes -1-20479/20480",
        "pages 1000-20479/20480",
        "bytes 1000-20479",
        "nonsense",
        "bytes " + "9" * 5000 + "-1/1",
    ],
)
def test_a_range_that_was_not_asked_for_is_not_taken(tmp_path: Path, stated: str) -> None:
    assert resumed(tmp_path, stated, sent=BODY[1000:]) == [1000, 0]


def test_a_range_of_another_length_is_not_taken(tmp_path: Path) -> None:
    assert resumed(tmp_path, "bytes 1000-20479/20480", sent=BODY[1000:2000]) == [1000, 0]


def test_a_range_nobody_asked_for_is_refused(tmp_path: Path) -> None:
    where = f"bytes 0-{len(BODY) - 1}/{len(BODY)}"
    with serving(lambda _: [head("206 Partial", Content_Range=where), BODY]) as server:
        said = refused(server, tmp_path / "net.pth")
    assert "does not send the requested bytes" in said and len(server.asked) == 2


def test_a_mixture_of_two_files_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "net.pth.part").write_bytes(b"x" * 1000)
    with serving(lambda asked: [whole(BODY, asked)]) as server:
        download(server.url, tmp_path / "net.pth", SHA)
    assert [asked.start for asked in server.asked] == [1000, 0]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"ETag": '"a"'}, {"ETag": '"b"'}),
        ({"ETag": 'W/"a"'}, {"ETag": 'W/"b"'}),
        (
            {"Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"},
            {"Last_Modified": "Tue, 02 Jan 2024 00:00:00 GMT"},
        ),
        ({"ETag": '"a"'}, {}),
        ({}, {}),
    ],
)
def test_a_file_that_changes_on_the_way_is_begun_again(
    tmp_path: Path, first: dict[str, str], second: dict[str, str]
) -> None:
    """Without a checksum nothing but the server's word tells a mixture."""
    older = b"x" * len(BODY)

    def answer(asked: Asked) -> list[Step]:
        if len(server.asked) == 1:
            return [whole(older, asked, **first)[:1000]]
        return [whole(BODY, asked, **second)]

    with serving(answer) as server:
        download(server.url, tmp_path / "net.pth", "", pause=0)
    assert (tmp_path / "net.pth").read_bytes() == BODY
    strong = next((v for v in first.values() if not v.startswith("W/")), None)
    assert server.asked[1].headers.get("if-range") == strong
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.pth", "net.pth.receipt.json"]


def test_the_same_file_is_continued_without_a_checksum(tmp_path: Path) -> None:
    def answer(asked: Asked) -> list[Step]:
        data = whole(BODY, asked, ETag='"a"')
        return [data[:1000] if len(server.asked) == 1 else data]

    with serving(answer) as server:
        download(server.url, tmp_path / "net.pth", "", pause=0)
    assert [asked.start > 0 for asked in server.asked] == [False, True]
    assert (tmp_path / "net.pth").read_bytes() == BODY


# --- sizes ---------------------------------------------------------------------------------------


def test_no_more_is_taken_than_was_stated(tmp_path: Path) -> None:
    with serving(lambda asked: [whole(BODY, asked), b"more" * 1000]) as server:
        download(server.url, tmp_path / "net.pth", SHA)
    assert (tmp_path / "net.pth").stat().st_size == len(BODY)


def endless(_: Asked) -> Iterator[Step]:
    yield head()
    while True:
        yield b"x" * 1000


def endless_chunks(_: Asked) -> Iterator[Step]:
    yield head(Transfer_Encoding="chunked")
    while True:
        yield b"3e8\r\n" + b"x" * 1000 + b"\r\n"


@pytest.mark.parametrize("answer", [endless, endless_chunks])
def test_a_file_without_a_stated_length_ends_at_the_limit(tmp_path: Path, answer: object) -> None:
    with serving(answer) as server:  # type: ignore[arg-type]
        assert "limit of 50000" in refused(server, tmp_path / "net.pth", limit=50_000)
    assert list(tmp_path.iterdir()) == []


def test_a_stated_length_beyond_the_limit_or_the_disk_is_refused(tmp_path: Path) -> None:
    with serving(lambda _: [head(Content_Length=9 << 30), b"x"]) as server:
        assert "9663676416 bytes, more than" in refused(server, tmp_path / "net.pth")
    with serving(lambda _: [head(Content_Length=1 << 58), b"x"]) as server:
        assert "are free" in refused(server, tmp_path / "net.pth", limit=1 << 60)
    assert list(tmp_path.iterdir()) == [] and len(server.asked) == 1


def test_without_length_and_checksum_half_is_no_whole(tmp_path: Path) -> None:
    with serving(lambda _: [head(), BODY[:500]]) as server:
        assert "does not say how long" in refused(server, tmp_path / "net.pth", "")
    chunk = f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n"
    with serving(lambda _: [head(Transfer_Encoding="chunked"), chunk]) as server:
        assert "connection was interrupted" in refused(server, tmp_path / "net.pth", "")
    with serving(lambda _: [head(Transfer_Encoding="chunked"), chunk + b"0\r\n\r\n"]) as server:
        download(server.url, tmp_path / "net.pth", "")
    assert (tmp_path / "net.pth").read_bytes() == BODY


# --- time ----------------------------------------------------------------------------------------


def drip(data: bytes) -> Iterator[Step]:
    for byte in data:
        yield bytes([byte])
        yield 0.02


def test_headers_that_drip_are_given_up(tmp_path: Path) -> None:
    answer = head(Content_Length=len(BODY), X_Long="x" * 5000)
    with serving(lambda _: drip(answer)) as server:
        said = refused(server, tmp_path / "net.pth", timeout=0.3)
    assert "the headers did not arrive within 0.3 s; try again" in said and len(server.asked) == 2
    assert "0 bytes" not in said


def test_a_body_that_drips_is_given_up_and_said_to_be_kept(tmp_path: Path) -> None:
    with serving(lambda _: dripping(BODY)) as server:
        said = refused(server, tmp_path / "net.pth", least=1000, period=0.3)
    assert "fewer than 1000 bytes arrived in 0.3 s" in said and len(server.asked) == 2
    kept = (tmp_path / "net.pth.part").stat().st_size
    assert kept and f"{kept} bytes are kept, and the next run resumes there" in said


def test_connections_that_bring_next_to_nothing_are_given_up(tmp_path: Path) -> None:
    def answer(asked: Asked) -> list[Step]:
        return [whole(BODY, asked)[: -(len(BODY) - asked.start - 1) or None]]  # one byte of it

    with serving(answer) as server:
        said = refused(server, tmp_path / "a.pth", attempts=3)
        assert "the connection was interrupted; 3 bytes" in said
    assert len(server.asked) == 3


# --- addresses and redirects ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://h/net.pth", "only https"),
        ("file:///etc/passwd", "only https"),
        ("data:,x", "only https"),
        ("net.pth", "only https"),
        ("http://h/a", "--allow-http"),
        ("http://127.0.0.1.example.com/a", "--allow-http"),
        ("https:///a", "not a valid address"),
        ("https://h:70000/a", "not a valid address"),
        ("https://[h/a", "not a valid address"),
        ("https://h/a b", "not a valid address"),
        ("https://h/a\r\nX: y", "not a valid address"),
    ],
)
def test_addresses_that_are_not_fetched(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        download(url, tmp_path / "net.pth", SHA)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("ftp://127.0.0.1/net.pth", "not 'ftp'"),
        ("file:///etc/passwd", "not 'file'"),
        ("data:,x", "not 'data'"),
        ("http://example.invalid/a", "--allow-http"),
        ("http://[::1/a", "not a valid address"),
        ("http://127.0.0.1:99999/", "not a valid"),
        ("", "no address"),
        ("/net.pth", "in a circle"),
        ("net.pth?x", "more than 5"),
        ("//127.0.0.1:9/x", "refused"),
    ],
)
@pytest.mark.parametrize("code", [301, 307])
def test_redirects_that_are_not_followed(
    tmp_path: Path, target: str, words: str, code: int
) -> None:
    def answer(asked: Asked) -> list[Step]:
        return [redirect(f"{target}{len(server.asked)}" if "?x" in target else target, code)]

    with serving(answer) as server:
        assert words in refused(server, tmp_path / "net.pth")
    assert len(server.asked) == (6 if "?x" in target else 2 if words == "refused" else 1)


def test_https_is_fetched_and_does_not_become_http(
    tmp_path: Path, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda asked: [whole(BODY, asked)]) as plain:

        def answer(asked: Asked) -> list[Step]:
            return [redirect(plain.url) if "down" in asked.path else whole(BODY, asked)]

        with serving(answer, context) as server:
            download(server.url, tmp_path / "good.pth", SHA)
            server.url += "?down"
            for allow in (False, True):
                said = refused(server, tmp_path / "net.pth", allow_http=allow)
                assert "not followed: it is plain http" in said
            monkeypatch.delenv("SSL_CERT_FILE")
            said = refused(server, tmp_path / "net.pth")
            assert "self-signed certificate" in said.replace("self signed", "self-signed")
    assert plain.asked == [] and (tmp_path / "good.pth").read_bytes() == BODY


def test_http_may_become_https(tmp_path: Path, context: ssl.SSLContext) -> None:
    with (
        serving(lambda asked: [whole(BODY, asked)], context) as target,
        serving(lambda _: [redirect(target.url)]) as server,
    ):
        download(server.url, tmp_path / "net.pth", SHA)
    assert len(target.asked) == 1


def test_secrets_go_to_their_host_alone_and_are_never_shown(tmp_path: Path) -> None:
    secrets = ("hunter2", "T0KEN", "aHVudGVy", "c2FtOmh1bnRlcjI=")
    with serving(lambda asked: [whole(BODY, asked)]) as target:
        with serving(lambda _: [redirect(target.url)]) as server:
            url = server.url.replace("//", "//sam:hunter2@") + "?token=T0KEN"
            download(url, tmp_path / "net.pth", SHA)
    assert server.asked[0].headers["authorization"] == "Basic c2FtOmh1bnRlcjI="
    assert server.asked[0].path == "/net.pth?token=T0KEN" and target.asked[0].path == "/net.pth"
    assert not any(s in str(target.asked) for s in secrets)
    receipt = tmp_path / "net.pth.receipt.json"
    assert not any(s in receipt.read_text() for s in secrets) and "token=***" in receipt.read_text()
    said = []
    for answer in (
        b"nonsense",
        head("404 x"),
        head("500 T0KEN"),
        redirect("ftp://x:hunter2@h/?token=T0KEN"),
        redirect("http://x:hunter2@h/?token=T0KEN"),
        head(Content_Length="x"),
        head("302 x"),
    ):
        with serving(lambda _, sent=answer: [sent]) as server:
            server.url = server.url.replace("//", "//sam:hunter2@") + "?token=T0KEN"
            said.append(refused(server, tmp_path / "b.pth"))
    for url in ("https://sam:hunter2@h/ ?token=T0KEN", "ftp://sam:hunter2@h/?token=T0KEN"):
        with pytest.raises(UsageError) as caught:
            download(url, tmp_path / "c.pth", SHA)
        said.append(str(caught.value))
    assert not any(secret in line for line in said for secret in secrets)
    assert not any(secret in str(path) for path in tmp_path.iterdir() for secret in secrets)


# --- headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (head(Content_Length="abc"), "an invalid length: 'abc'"),
        (head(Content_Length="-1"), "an invalid length"),
        (head(Content_Length="1_0"), "an invalid length"),
        (head(Content_Length="9" * 5000), "an invalid length"),
        (head(Content_Length="\xb2"), "an invalid length"),
        (head(Content_Length="5\r\nContent-Length: 6"), "an invalid length: '5, 6'"),
        (head(Content_Length="10" + "0" * 15), "more than the limit"),
        (head(Content_Encoding="gzip", Content_Length=5), "compressed ('gzip')"),
        (head(Transfer_Encoding="gzip, chunked"), "compressed"),
        (head("204 No Content"), "answers 204"),
        (head("304 Not Modified"), "answers 304"),
        (head("999 Odd"), "answers 999"),
        (head(Content_Type="text/HTML", Content_Length=5), "a web page"),
        (b"", "not HTTP ('12345')"),
        (b"nonsense\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "not HTTP"),
        (b"\x00\xff" * 100, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "not HTTP"),
        (head(Transfer_Encoding="chunked") + b"zz\r\n", "connection was interrupted"),
        (head(Transfer_Encoding="chunked") + b"-5\r\nxxxxxxxxxxxx", "connection was interrupted"),
    ],
)
def test_bad_headers_are_told_in_one_line(tmp_path: Path, answer: bytes, words: str) -> None:
    with serving(lambda _: [answer, b"12345"]) as server:
        assert words in refused(server, tmp_path / "net.pth")
    assert not (tmp_path / "net.pth.receipt.json").exists()


def test_a_mirror_is_tried_first_and_believed_no_more(tmp_path: Path) -> None:
    with serving(lambda asked: [whole(BODY, asked)]) as good:
        for answer in (head("404 x"), whole(b"wrong", Asked("/", {})), whole(BODY, Asked("/", {}))):
            with serving(lambda _, sent=answer: [sent]) as mirror:
                path = tmp_path / f"{len(good.asked)}-{len(answer)}.pth"
                download(good.url, path, SHA, mirrors=[mirror.url], pause=0)
            assert path.read_bytes() == BODY and len(mirror.asked) == 1
            told = read_receipt(path)
            assert told is not None
            assert told.url == (mirror.url if answer.endswith(BODY) else good.url)
    assert len(good.asked) == 2
