"""Cameras and network streams, against a server on this machine that hangs up."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from posewright.errors import SourceError, UsageError
from posewright.people import Frame
from posewright.sources import open_source
from posewright.sources.decoding import open_container
from posewright.sources.links import NetworkLink
from posewright.sources.live import live
from posewright.sources.stream import open_camera
from tests.helpers.servers import Server, serve, shots
from tests.helpers.videos import scene, write_video


def statuses(found: list[Frame]) -> str:
    """One letter a frame."""
    return "".join(f.status[0] for f in found)


def test_a_stream_is_read_as_it_comes() -> None:
    with serve(shots(30)) as server, open_source(server.url) as source:
        assert (source.kind, source.name, source.size) == ("stream", server.url, (64, 48))
        assert source.total is None
        found = [frame for frame, _ in zip(source, range(20), strict=False)]
    assert statuses(found) == "o" * 20 and [f.index for f in found] == list(range(20))
    times = [f.time for f in found]
    assert times[0] == 0 and times == sorted(times) and times[-1] < 5
    assert abs(found[3].image[30:].astype(int) - scene(64, 48)[30:]).mean() < 40


@pytest.mark.parametrize("latest", [False, True])
def test_a_stream_is_shown_as_players_show_it(tmp_path: Path, latest: bool) -> None:
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_matrix([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30])  # a quarter
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        for number in range(4):
            image = av.VideoFrame.from_ndarray(scene(64, 48, number), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    link = NetworkLink(*open_container(f"file:{path}", "a", "file", 1 << 20))
    with live("a", lambda _: link, link, latest=latest, retry_s=0.0) as source:
        frame = next(source)
        assert frame.size == source.size == (48, 64) and frame.pixel_aspect == 0.5


def test_an_interruption_is_one_gap_and_no_black_pictures() -> None:
    with serve(shots(10), None, shots(10), shots(40)) as server:
        with open_source(server.url, retry_s=10) as source:
            found = [frame for frame, _ in zip(source, range(30), strict=False)]
        assert len(server.connections) == 4
    text = statuses(found)
    assert text.count("g") == 2 and "gg" not in text and set(text) == {"o", "g"}
    gaps = [f for f in found if f.status == "gap"]
    assert all(f.image.size == 0 and "stream interrupted for" in f.message for f in gaps)
    assert "attempt 2" in gaps[0].message and "attempt 1" in gaps[1].message
    assert [f.index for f in found] == list(range(30))
    times = [f.time for f in found]
    assert times == sorted(times)
    assert all(f.image.mean() > 40 for f in found if f.status == "ok")


def test_a_stream_that_stays_away_is_given_up() -> None:
    with serve(shots(10), None) as server:
        start = time.monotonic()
        with open_source(server.url, retry_s=1.6) as source:
            *good, last = source
        spent = time.monotonic() - start
        attempts = [
            b - a for a, b in zip(server.connections[1:], server.connections[2:], strict=False)
        ]
    assert statuses(good) == "o" * len(good) and len(good) >= 9
    assert last.status == "truncated" and "stream interrupted for 1.6 s" in last.message
    assert 1.5 < spent < 4 and 1 <= len(attempts) <= 4
    assert attempts[:-1] == sorted(attempts[:-1])  # the last one is at the end of the time


def test_retry_0_ends_at_the_first_interruption() -> None:
    with serve(shots(10)) as server:
        found = list(open_source(server.url, retry_s=0))
        assert len(server.connections) == 1
    assert statuses(found).strip("o") == "t"


def test_another_size_after_an_interruption() -> None:
    with serve(shots(8), shots(40, size=(96, 80))) as server, open_source(server.url) as source:
        found = [frame for frame, _ in zip(source, range(16), strict=False)]
    sizes = [f.size for f in found if f.status == "ok"]
    assert set(sizes) == {(64, 48), (96, 80)} and sizes == sorted(sizes)


def test_latest_keeps_the_newest_picture_only() -> None:
    with serve(shots(200, 0.01)) as server, open_source(server.url, latest=True) as source:
        first = next(source)
        time.sleep(0.7)
        second = next(source)
        third = next(source)
        assert source.dropped >= second.index - first.index - 1 - 1 > 15
        assert third.index > second.index and third.time > second.time > first.time
    with serve(shots(60, 0.01)) as server, open_source(server.url) as source:
        next(source)
        time.sleep(0.3)
        assert next(source).index == 1 and source.dropped == 0


def test_latest_keeps_the_word_of_an_interruption() -> None:
    with serve(shots(10), shots(200)) as server:
        with open_source(server.url, latest=True) as source:
            next(source)
            time.sleep(1)
            found = [next(source) for _ in range(3)]
    assert statuses(found).count("g") == 1


def test_latest_passes_the_end_on() -> None:
    with serve(shots(10)) as server, open_source(server.url, latest=True, retry_s=0) as source:
        found = list(source)
    assert statuses(found)[-1] == "t" and source.dropped + len(found) >= 9


def test_a_silent_server_does_not_hold_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("stream", "live"):
        monkeypatch.setattr(f"posewright.sources.{module}.TIMEOUT", 0.5)
    with serve([30.0]) as server:
        start = time.monotonic()
        with pytest.raises(SourceError, match="cannot open http"):
            open_source(server.url)
        assert time.monotonic() - start < 8
    with serve([*shots(10), 30.0]) as server:
        start = time.monotonic()
        found = list(open_source(server.url, retry_s=0.3))
        assert statuses(found).endswith("t") and time.monotonic() - start < 8


def test_a_stream_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(SourceError) as caught:
        open_source(f"http://user:secret@127.0.0.1:{port}/live")
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
    with serve(None) as server, pytest.raises(SourceError):
        open_source(server.url)
    with serve([b"<html>hello</html>"], kind="text/html") as server, pytest.raises(SourceError):
        open_source(server.url)


def test_the_password_is_not_in_the_name() -> None:
    with serve(shots(30)) as server:
        url = server.url.replace("http://", "http://user:p@ss:w@")
        with open_source(url) as source:
            frame = next(source)
    assert source.name == frame.name == server.url.replace("http://", "http://***@")


def test_a_transport_stream(tmp_path: Path) -> None:
    write_video(tmp_path / "a.ts", count=40)
    script: list[bytes | float] = [(tmp_path / "a.ts").read_bytes(), 0.05]
    with serve(script, kind="video/mp2t") as server, open_source(server.url) as source:
        found = [frame for frame, _ in zip(source, range(60), strict=False)]
    assert statuses(found).count("g") == 1 and source.kind == "stream"


class RtspServer(Server):
    """Sends a transport stream over RTP inside the RTSP connection (RFC 2326 10.12, RFC 2250)."""

    SDP = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
        "m=video 0 RTP/AVP 33\r\na=control:track\r\n"
    )

    def answer(self, line: socket.socket, script: list[bytes | float] | None) -> None:
        with line:
            line.settimeout(10)
            try:
                self.talk(line, script or [])
            except OSError:  # the client hung up
                return

    def talk(self, line: socket.socket, script: list[bytes | float]) -> None:
        while request := line.recv(4096).decode():
            head = dict(row.split(": ", 1) for row in request.split("\r\n")[1:] if ": " in row)
            reply = f"RTSP/1.0 200 OK\r\nCSeq: {head['CSeq']}\r\nSession: 1\r\n"
            verb = request.split()[0]
            if verb == "DESCRIBE":
                reply += f"Content-Type: application/sdp\r\nContent-Length: {len(self.SDP)}\r\n"
            if verb == "SETUP":
                assert "RTP/AVP/TCP" in head["Transport"]
                reply += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            line.sendall((reply + "\r\n" + (self.SDP if verb == "DESCRIBE" else "")).encode())
            if verb == "PLAY":
                self.play(line, script)
                return

    def play(self, line: socket.socket, script: list[bytes | float]) -> None:
        data = b"".join(step for step in script if isinstance(step, bytes))
        for number, at in enumerate(range(0, len(data), 1316)):
            packet = struct.pack(">BBHII", 0x80, 33, number, number * 900, 7) + data[at : at + 1316]
            line.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
            if self.ended.wait(0.002):
                return


def test_rtsp_is_read_over_tcp_and_reconnected(tmp_path: Path) -> None:
    write_video(tmp_path / "a.ts", count=40)
    server = RtspServer([[(tmp_path / "a.ts").read_bytes()]], "")
    try:
        with open_source(server.url.replace("http", "rtsp")) as source:
            assert (source.kind, source.size) == ("stream", (64, 48))
            found = [frame for frame, _ in zip(source, range(60), strict=False)]
    finally:
        server.close()
    assert statuses(found).count("g") == 1 and statuses(found).count("o") == 59


def test_a_video_on_a_server_is_a_video(tmp_path: Path) -> None:
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    write_video(tmp_path / "a.mp4", count=20, options={"movflags": "faststart"})
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.mp4\n")
    (tmp_path / "hidden").write_bytes((tmp_path / "list.m3u8").read_bytes())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        base = f"http://127.0.0.1:{server.server_port}"
        with open_source(f"{base}/a.mp4") as source:
            assert (source.kind, source.total, source.size) == ("video", 20, (64, 48))
            assert statuses(list(source)) == "o" * 20
        with pytest.raises(SourceError, match="playlist"):
            open_source(f"{base}/list.m3u8?x=1")
        with pytest.raises(SourceError, match="cannot open"):
            open_source(f"{base}/hidden")
        server.shutdown()
        thread.join()


def loose_ends() -> tuple[int, int]:
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    return files, sum(t.name == "posewright-stream" for t in threading.enumerate())


@pytest.mark.parametrize("latest", [False, True])
def test_closing_in_the_middle_frees_files_and_threads(latest: bool) -> None:
    with serve(shots(300)) as server:
        before = loose_ends()[1]
        for taken in (0, 1, 5):
            source = open_source(server.url, latest=latest)
            for _ in range(taken):
                next(source)
            start = time.monotonic()
            source.close()
            source.close()
            assert time.monotonic() - start < 2 and loose_ends()[1] == before
            assert list(source) == []


def test_closing_from_another_thread_wakes_who_waits() -> None:
    with serve(shots(5), None) as server:
        source = open_source(server.url, retry_s=60)
        timer = threading.Timer(1.0, source.close)
        timer.start()
        start = time.monotonic()
        assert set(statuses(list(source))) <= {"o"}
        assert time.monotonic() - start < 5
        timer.join()


AWAY = {"refused": None, "silent when opened": [30.0]}


@pytest.mark.parametrize("latest", [False, True])
@pytest.mark.parametrize("away", [*AWAY, "silent in the middle"])
def test_who_waits_for_a_stream_is_asked_whether_to_stop(away: str, latest: bool) -> None:
    scripts = [shots(5), AWAY[away]] if away in AWAY else [[*shots(5), 30.0]]
    asked = threading.Event()
    with serve(*scripts) as server:
        source = open_source(server.url, retry_s=60, latest=latest, stopped=asked.is_set)
        next(source)
        timer = threading.Timer(1.0, asked.set)
        timer.start()
        start = time.monotonic()
        with source:
            found = list(source)
        assert time.monotonic() - start < 6  # a server that is silent holds FFmpeg for 10 s
        timer.join()
    assert set(statuses(found)) <= {"o"}


def test_a_hundred_interruptions_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posewright.sources.live.FIRST_WAIT", 0.005)
    with serve(shots(4, 0)) as server:
        source = open_source(server.url)
        found, before = [next(source)], loose_ends()
        while sum(f.status == "gap" for f in found) < 100:
            found.append(next(source))
            found = [f for f in found if f.status != "ok"]
        files = loose_ends()[0]
        source.close()
    assert len(found) == 100 and files <= before[0] + 6  # the server's ends are among them


def test_schemes() -> None:
    for url in ("rtspx://h/a", "ws://h/a"):
        with pytest.raises(UsageError):
            open_source(url)


# --- cameras -------------------------------------------------------------------------------------


class FakeCamera:
    """What cv2.VideoCapture looks like; gives `count` images, then none."""

    def __init__(self, count: int, opens: bool = True) -> None:
        self.left, self.opens, self.released = count, opens, False

    def isOpened(self) -> bool:
        return self.opens

    def get(self, what: int) -> float:
        return {cv2.CAP_PROP_FPS: 25.0, cv2.CAP_PROP_FRAME_WIDTH: 64.0}.get(what, 48.0)

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        self.left -= 1
        return (True, scene(64, 48)[..., ::-1].copy()) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


def test_a_camera_is_a_stream_of_rgb() -> None:
    camera = FakeCamera(1000)
    with open_camera(2, capture=lambda number: camera) as source:
        assert (source.name, source.kind, source.fps) == ("camera:2", "stream", 25.0)
        assert source.size == (64, 48)
        frame = next(source)
        assert (frame.image == scene(64, 48)).all() and frame.name == "camera:2"
        assert [next(source).index for _ in range(3)] == [1, 2, 3]
    assert camera.released


def test_a_camera_that_is_unplugged_comes_back() -> None:
    cameras = [FakeCamera(3), FakeCamera(0, opens=False), FakeCamera(99)]
    made = iter(cameras)
    with open_camera(0, capture=lambda _: next(made)) as source:
        found = [next(source) for _ in range(6)]
    assert statuses(found) == "ooogoo" and all(c.released for c in cameras)
    assert "attempt 2" in found[3].message


def test_a_camera_that_is_not_there() -> None:
    closed = FakeCamera(0, opens=False)
    with pytest.raises(SourceError, match="camera 7 cannot be opened"):
        open_camera(7, capture=lambda _: closed)
    assert closed.released


def test_a_camera_with_latest_does_not_wait() -> None:
    with open_camera(0, capture=lambda _: FakeCamera(10**9), latest=True) as source:
        first = next(source)
        time.sleep(0.2)
        assert next(source).index > first.index + 5 and source.dropped > 5


def test_an_error_in_the_reading_thread_reaches_the_asker() -> None:
    class Broken(FakeCamera):
        def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
            raise MemoryError("no room")

    with open_camera(0, capture=lambda _: Broken(1), latest=True) as source:
        with pytest.raises(MemoryError, match="no room"):
            next(source)
