"""Addresses: secrets are never shown, files on a server are read once, names of cameras."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from posewright.cli import main
from posewright.errors import ModelError, SourceError, UsageError, one_line
from posewright.files.address import masked
from posewright.files.lock import FolderLock, Held
from posewright.people import Frame
from posewright.sources import open_source
from posewright.sources.address import without_secrets
from posewright.writers.outputs import Summary
from tests.helpers.faulty_server import Asked, Step, certified, redirect, serving, whole
from tests.helpers.videos import write_video


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:s3cret@host/live", "rtsp://***@host/live"),
        ("http://T0KEN@host/", "http://***@host/"),
        ("http://T0KEN:@host/a", "http://***@host/a"),
        ("https://T0KEN:x-oauth-basic@host/a", "https://***@host/a"),
        ("http://user:p@ss:w@127.0.0.1:80/a", "http://***@127.0.0.1:80/a"),
        ("rtsp://admin:pa/ss@host/live", "rtsp://***@host/live"),
        ("http://u:pw@[::1]:80/a", "http://***@[::1]:80/a"),
        ("http://h/a.mkv?user=admin&pwd=hunter2", "http://h/a.mkv?user=***&pwd=***"),
        ("http://h/a?channel=2&password=x&res=hd", "http://h/a?channel=2&password=***&res=hd"),
        ("http://h/a?p%61ssword=x", "http://h/a?p%61ssword=***"),
        ("http://h/a?loginuse=admin&loginpas=x", "http://h/a?loginuse=***&loginpas=***"),
        ("http://h/a?X-Amz-Signature=ab&part=1", "http://h/a?X-Amz-Signature=***&part=1"),
        ("http://h/a?sv=1&sig=a/b==&sp=r", "http://h/a?sv=1&sig=***&sp=r"),
        ("http://h/a?api_key=1;Authorization=x", "http://h/a?api_key=***;Authorization=***"),
        ("http://h/a?x=eyJhbGciOiJIUzI1NiJ9x", "http://h/a?x=***"),
        ("http://h/a?eyJhbGciOiJIUzI1NiJ9x&b", "http://h/a?***&b"),
        ("http://h/a#access_token=x", "http://h/a#access_token=***"),
        (
            "rtsp://h/user=admin_password=tlJw_channel=1.sdp?real",
            "rtsp://h/user=***_password=***_channel=1.sdp?real",
        ),
        ("rtsp:/admin:pw@h/", "rtsp:/***@h/"),
    ],
)
def test_secrets_are_masked(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


@pytest.mark.parametrize(
    "name",
    [
        "rtsp://h:554/cam/realmonitor?channel=1&subtype=0",
        "http://h:8080/@me/a.mp4?t=10&quality=high&size=1920x1080",
        "http://[::1]:80/a.ts",
        "images/a?token=x",
        "C:/films/a=b/key=1.mp4",
        "user:pw@host",
    ],
)
def test_what_is_no_secret_stays(name: str) -> None:
    assert without_secrets(name) == name


@contextmanager
def served(folder: Path, half: str = "") -> Iterator[tuple[str, list[str]]]:
    """Serve a folder -> its address and what was asked; of the file `half` only a half is sent."""
    requests: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            requests.append(self.path)
            if half and half in self.path:
                data = (folder / half).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2])
            else:
                super().do_GET()

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *args: Handler(*args, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write(path: Path) -> None:
    """Write 20 frames: in containers that do not tell how long they are."""
    if path.suffix == ".webm":  # as a browser's recorder writes it, which cannot go back
        write_video(path, options={"live": "1"})
    elif path.suffix == ".gif":
        with av.open(path, "w") as container:
            stream = container.add_stream("gif", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8"
            for number in range(20):
                image = np.full((48, 64, 3), 12 * number, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="rgb8")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    elif path.suffix == ".h264":
        write_video(path.with_suffix(".ts"))
        with av.open(path.with_suffix(".ts")) as old, av.open(path, "w", format="h264") as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    new.mux(packet)
    else:
        write_video(path)


@pytest.mark.parametrize("name", ["a.webm", "a.ts", "a.gif", "a.h264", "a.mpg", "a.flv"])
def test_a_file_on_a_server_is_read_once(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    with served(tmp_path) as (base, requests):
        with open_source(f"{base}/{name}?token=hunter2") as source:
            assert source.kind == "video"
            found = list(islice(source, 50))  # as a live stream it would come again and again
        assert source.name == f"{base}/{name}?token=***"
        assert len(found) == 20 and {f.status for f in found} == {"ok"}
        assert {f.name for f in found} == {source.name}
        assert all("hunter2" in request for request in requests)


def test_a_file_that_a_server_cuts_off_says_so(tmp_path: Path) -> None:
    write(tmp_path / "a.ts")
    with served(tmp_path, half="a.ts") as (base, _):
        found = list(open_source(f"{base}/a.ts", retry_s=0))
    assert found[-1].status == "truncated" and 4 < len(found) < 20


def test_errors_do_not_show_secrets(tmp_path: Path) -> None:
    from posewright.predict import predict_to

    class Nobody:
        skeleton = None

        def stream(self, source: str, **options: object) -> None:
            open_source(source)

    (tmp_path / "page").write_text("hello")
    with served(tmp_path) as (base, _):
        sources = [f"{base}/{name}?pwd=hunter2&user=hunter1" for name in ("none", "page")]
        sources.append(base.replace("//", "//hunter3@") + "/none")
        summary: Summary = predict_to(Nobody(), sources, tmp_path / "out")  # type: ignore[arg-type]
    assert len(summary.bad) == 3 and "hunter" not in str(summary.to_dict())
    with pytest.raises(UsageError, match="rtsp://") as caught:
        open_source("rtsp:/admin:hunter2@host/live?a")
    assert "hunter2" not in str(caught.value)


def test_an_address_in_a_list_is_a_failed_frame_without_its_secret(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("http://u:hunter2@h/a.jpg\n")
    for spec in (tmp_path / "list.txt", ["http://u:hunter2@h/a.jpg"]):
        (frame,) = open_source(spec)
        assert frame.status == "decode_error" and "network address" in frame.message
        assert frame.name == "http://***@h/a.jpg" and "hunter2" not in frame.message


def camera_error(name: str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(name)
    return str(caught.value)


def test_a_file_or_folder_wins_over_a_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0077").mkdir()
    cv2.imwrite("0077/a.png", np.zeros((8, 9, 3), np.uint8))
    write_video(tmp_path / "a.mp4", count=3)
    (tmp_path / "a.mp4").rename("1234")
    (frame,) = open_source("0077")
    assert isinstance(frame, Frame) and frame.size == (9, 8)
    assert len(list(open_source("1234"))) == 3
    monkeypatch.setattr("posewright.sources.stream.cv2.VideoCapture", None)
    opened: list[int] = []

    def camera(number: int, **_: object) -> None:
        opened.append(number)
        raise SourceError("no camera here")

    monkeypatch.setattr("posewright.sources.stream.open_camera", camera)
    for name in ("camera:0077", "camera:1234", "77", "12"):
        camera_error(name)
    with pytest.raises(SourceError):
        open_source(1234)
    assert opened == [77, 1234, 77, 12, 1234]


@pytest.fixture
def film(tmp_path: Path) -> bytes:
    """A video that can be read as it comes."""
    write_video(tmp_path / "a.mp4", count=5, options={"movflags": "faststart"})
    return (tmp_path / "a.mp4").read_bytes()


@pytest.mark.parametrize("scheme", ["file", "ftp", "concat", "tcp", "data", "rtmp", "loop"])
def test_redirects_lead_to_http_alone(tmp_path: Path, film: bytes, scheme: str) -> None:
    def answer(asked: Asked) -> list[Step]:
        return [redirect(asked.path if scheme == "loop" else target)]

    with serving(lambda asked: [whole(film, asked)]) as other, serving(answer) as server:
        local = scheme in ("file", "concat")
        target = f"{scheme}:{'//' if scheme != 'concat' else ''}"
        target += f"{tmp_path}/a.mp4" if local else other.url.partition("//")[2]
        with pytest.raises(SourceError, match="cannot open") as caught:
            open_source(server.url)
    assert "\n" not in str(caught.value) and other.asked == [] and len(server.asked) < 12


def test_a_redirect_from_https_to_http_is_not_followed(tmp_path: Path, film: bytes) -> None:
    context, _ = certified(tmp_path)
    with serving(lambda asked: [whole(film, asked)]) as plain:

        def answer(asked: Asked) -> list[Step]:
            return [redirect(plain.url) if "down" in asked.path else whole(film, asked)]

        with serving(answer, context) as server:
            with open_source(server.url) as source:
                assert sum(1 for _ in source) == 5
            with pytest.raises(SourceError, match="cannot open"):
                open_source(server.url.replace("https", "HTTPS") + "?down")
            with serving(lambda _: [redirect(server.url)]) as upward:
                with open_source(upward.url.replace("//", "//sam:hunter2@")) as source:
                    assert sum(1 for _ in source) == 5
    assert plain.asked == [] and "authorization" not in server.asked[-1].headers


# --- addresses where a file is expected ----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "no model 'http://me:pw@h/a?token=x'; give",
            "no model 'http://***@h/a?token=***'; give",
        ),
        ("http:/me:pw@h/a: no such file", "http:/***@h/a: no such file"),
        ("(s3://KEY@bucket/a), rtsp:/u:p@h.", "(s3://***@bucket/a), rtsp:/***@h."),
        ("--http://u:p@h/ https://h/?sig=1&a=2", "--http://***@h/ https://h/?sig=***&a=2"),
        ("http://u:p@h/a,rtsp://v:q@h/b?c=1", "http://***@h/a,rtsp://***@h/b?c=1"),
        ("x" * 99 + "http://u:p@h/", "x" * 99 + "http://***@h/"),
        ("http://***@h/?key=***", "http://***@h/?key=***"),
        ("http://u:pw@h/" + "a" * 9000 + "?b", "http://***"),
        ("rtmpose:/data/me@home/key=1/net.onnx", "rtmpose:/data/me@home/key=1/net.onnx"),
        ("C:/key=1/a.mp4 at 10:/20, user:pw@host", "C:/key=1/a.mp4 at 10:/20, user:pw@host"),
    ],
)
def test_messages_are_masked(text: str, shown: str) -> None:
    assert masked(text) == one_line(text) == str(ModelError(text)) == shown


def test_a_long_message_is_masked_in_time() -> None:
    assert "secret" not in one_line("a" * 300_000 + " http://u:secret@h/" + "b=" * 300_000)


@pytest.mark.parametrize(
    "words",
    [
        "{}",
        "predict x.jpg -m {}",
        "predict {} --sav",
        "track {} -o out",
        "models info {}",
        "models path {}",
        "data check {}",
        "eval pck {} --ann {}",
    ],
)
def test_no_verb_shows_a_secret(
    words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = words.format(*["http://me:hunter2@127.0.0.1:9/a?token=T0KEN"] * 2).split()
    try:
        code = main(line)
    except SystemExit as end:
        code = int(str(end.code))
    said = "".join(capsys.readouterr())
    assert code in (2, 3, 4) and said and "hunter2" not in said and "T0KEN" not in said


def test_a_lock_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.argv", ["posewright", "predict", "rtsp://me:hunter2@h/live", "-o", "a"]
    )
    lock = FolderLock(tmp_path)
    with pytest.raises(Held, match=r"predict rtsp://\*\*\*@h/live -o a"):
        FolderLock(tmp_path)
    assert "hunter2" not in next(tmp_path.iterdir()).read_text()
    lock.release()
