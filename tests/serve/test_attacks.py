"""What arrives from outside to hurt: traversal, addresses, bombs, slow bodies, hostile archives."""

from __future__ import annotations

import io
import json
import socket
import struct
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.helpers.serving import TOKEN, client, need_server, people

need_server()

from posewright.errors import SourceError  # noqa: E402
from posewright.serve import forms  # noqa: E402
from posewright.serve.jobs import Jobs  # noqa: E402
from posewright.serve.kinds import Asked  # noqa: E402
from posewright.serve.places import find_in, stored_name  # noqa: E402
from posewright.serve.unpacking import unpack  # noqa: E402

SECRET = b"posewright-secret-of-another"
TARGETS = ("secret.txt", "etc/passwd", "windows/win.ini", "jobs.sqlite", "proc/self/environ")
UPS = ("../", "..\\", "....//", "..;/", "./../", ".%00./", "..//", "/../", "\\..\\", "..%c0%af")
STRINGS = [
    f"{up * depth}{TARGETS[(i + depth) % 5]}" for i, up in enumerate(UPS) for depth in (1, 2, 4)
]
STRINGS += [
    f"{start}{target}"
    for start in ("/", "//", "file:///", "\\\\host\\", "C:\\", "~/")
    for target in TARGETS
]
ENCODINGS = {
    "plain": lambda text: text,
    "once": lambda text: quote(text, safe=""),
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
    "overlong": lambda text: text.replace("/", "%c0%af").replace(".", "%c0%ae"),
}
ROUTES = (
    "/v1/jobs/{}",
    "/v1/jobs/{}/events",
    "/v1/jobs/{}/log",
    "/v1/jobs/JOB/files/{}",
    "/v1/jobs/{}/files/a.txt",
    "/v2/models/{}",
    "/v2/models/{}/ready",
    "/v2/models/movenet-thunder/versions/{}",
    "/docs/{}",
    "/web/{}",
    "/{}",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data inside of one with a secret, and a job with a file."""
    folder = tmp_path_factory.mktemp("place")
    for path in (folder / "secret.txt", folder / "data" / "secret.txt"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(SECRET)
    jobs = Jobs(folder / "data")
    out = jobs.folder("a" * 24) / "out"
    (out / "deep").mkdir(parents=True)
    (out / "deep" / "a b.txt").write_bytes(b"ours")
    (out / "link.txt").symlink_to(folder / "secret.txt")
    (out / "up").symlink_to(folder)
    (out.parent / "secret.txt").write_bytes(SECRET)
    jobs.add("a" * 24, "", Asked("check"))
    jobs.cancel("a" * 24)
    jobs.close()
    return folder


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[Any]:
    with client(place / "data", max_mb=1.0, library=place / "data" / "jobs") as found:
        yield found


def opened(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and _WATCH.get("root") and isinstance(args[0], str):
        _WATCH["paths"].append(args[0])


_WATCH: dict[str, Any] = {"root": None, "paths": []}
sys.addaudithook(opened)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_name_leads_out_of_its_folder(served: Any, place: Path, encoding: str) -> None:
    """60 names in 4 encodings on all routes that take one: no secret is read, nothing fails."""
    assert len(STRINGS) >= 60
    own = served.get(f"/v1/jobs/{'a' * 24}/files/deep/a%20b.txt")
    assert own.content == b"ours"
    _WATCH.update(root=place, paths=[])
    for route in ROUTES:
        for text in STRINGS:
            path = route.replace("JOB", "a" * 24).replace("{}", ENCODINGS[encoding](text))
            answer = served.get(raw(path))
            assert answer.status_code in (400, 404, 405, 421), (path, answer.status_code)
            assert SECRET not in answer.content
    _WATCH["root"] = None
    read = [path for path in _WATCH["paths"] if path.endswith(TARGETS)]
    assert read == []


def raw(path: str) -> Any:
    """An address whose path is sent as it is, where the client lets it."""
    import httpx2

    safe = "".join(c if 32 < ord(c) < 127 and c not in '\\^`{|}"<>#?' else quote(c) for c in path)
    return httpx2.URL("http://localhost").copy_with(raw_path=safe.encode("ascii"))


def test_links_are_no_files(served: Any, place: Path) -> None:
    out = place / "data" / "jobs" / ("a" * 24) / "out"
    for name in ("link.txt", "up/secret.txt", "up", "../secret.txt", "", ".", "deep/../link.txt"):
        assert find_in(out, name) is None
        assert served.get(f"/v1/jobs/{'a' * 24}/files/{quote(name)}").status_code == 404
    assert find_in(out, "deep/a b.txt") == out / "deep" / "a b.txt"
    told = served.get(f"/v1/jobs/{'a' * 24}").json()["files"]
    assert [each["name"] for each in told] == ["deep/a b.txt"]


def test_uploads_are_stored_under_harmless_names(tmp_path: Path) -> None:
    taken: set[str] = set()
    names = [*STRINGS, "a*b?.jpg", "img_%04d.jpg", "-o.jpg", "a;b|c&.jpg", "<img src=x>.jpg"]
    names += [
        "",
        ".",
        "..",
        "con\n.jpg",
        "é ü.JPG",
        "x" * 400 + ".jpg",
        "a.jpg",
        "A.jpg",
        "\x00.jpg",
    ]
    for name in names:
        stored = stored_name(name, taken)
        assert (tmp_path / stored).parent == tmp_path and len(stored.encode()) < 250
        assert not set(stored) & set("/\\*?[]%:;|&<>\"'\n\x00 ") and stored[0] not in "-."
        (tmp_path / stored).touch(exist_ok=False)
    assert len(taken) == len(names)


TARGETS_40 = [
    f"{scheme}{host}/"
    for scheme in ("http://", "https://", "rtsp://", "ftp://")
    for host in (
        "127.0.0.1:PORT",
        "localhost:PORT",
        "[::1]:PORT",
        "2130706433:PORT",
        "0x7f000001:PORT",
        "0177.0.0.1:PORT",
        "127.1:PORT",
        "169.254.169.254",
        "metadata.google.internal",
    )
]
TARGETS_40 += [
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/",
    "concat:http://127.0.0.1:PORT/a",
    "udp://127.0.0.1:PORT",
]


def test_no_address_of_a_client_is_opened(served: Any) -> None:
    """40 addresses, wherever a client can write one: no connection comes, no name is asked."""
    calls: list[Any] = []
    watching = {"on": True}

    def heard(event: str, args: Any) -> None:
        if watching["on"] and event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
            calls.append((event, args))

    sys.addaudithook(heard)
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.3)
        port = str(trap.getsockname()[1])
        assert len(TARGETS_40) == 40
        for target in TARGETS_40:
            address = target.replace("PORT", port)
            playlist = f"#EXTM3U\n#EXTINF:1,\n{address}\n".encode()
            for sent in (address.encode(), playlist):
                answer = served.post("/v1/pose", files={"image": (address, sent)})
                assert answer.status_code == 422
            fields = [{"model": address}, {"library": address}, {"source": address}]
            for more in fields:
                form = {"kind": (None, "predict"), **{k: (None, v) for k, v in more.items()}}
                assert served.post("/v1/jobs", files=form).status_code == 400
            tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [address]}
            url = "/v2/models/movenet-thunder/infer"
            assert served.post(url, json={"inputs": [tensor]}).status_code == 422
        watching["on"] = False
        with pytest.raises(TimeoutError):
            trap.accept()
    assert calls == []


def png(width: int, height: int, rows: int) -> bytes:
    """A PNG that declares a size, of zeros in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes((width * 3 + 1) * rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(30000, 30000, 10), (2**31 - 1, 2**31 - 1, 0), (6000, 6000, 100)])
def test_image_bombs_are_refused_by_their_header(served: Any, size: tuple[int, int, int]) -> None:
    begun = time.process_time()
    answer = served.post("/v1/pose", files={"image": ("a.png", png(*size))})
    assert answer.status_code == 422 and "more than the limit" in answer.json()["detail"]
    assert time.process_time() - begun < 5.0


def test_a_slow_body_ends_and_a_healthy_client_is_served(
    place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Over a real connection: heads and bodies that stop half way are closed by the server."""
    from posewright.serve import running

    monkeypatch.setattr(running, "HEAD_S", 1.0)
    monkeypatch.setattr(forms, "CHUNK_S", 1.0)
    import httpx2

    with listening(tmp_path / "data") as (host, port):
        slow = [socket.create_connection((host, port)) for _ in range(60)]
        for number, each in enumerate(slow):
            head = b"POST /v1/pose HTTP/1.1\r\nHost: localhost\r\n"
            if number % 2:
                head += b"Content-Type: multipart/form-data; boundary=y\r\n"
                head += b"Content-Length: 9000\r\n\r\n--y"
            each.sendall(head)
        address = f"http://{host}:{port}"
        files = {"image": people()}
        assert httpx2.post(f"{address}/v1/pose", files=files, timeout=60).status_code == 200
        ends = []
        for each in slow:
            each.settimeout(30)
            ends.append(b"".join(iter(lambda e=each: e.recv(4096), b"")))  # type: ignore[misc]
            each.close()
        assert set(ends[0::2]) == {b""}
        assert all(b" 408 " in end.split(b"\r\n")[0] for end in ends[1::2])
        assert httpx2.get(f"{address}/healthz").status_code == 200


class listening:
    """A server on a free port, in a thread of this process."""

    def __init__(self, data: Path, **settings: Any) -> None:
        self.data, self.settings = data, settings

    def __enter__(self) -> tuple[str, int]:
        import uvicorn

        from posewright.serve import Settings, create_app, holding
        from posewright.serve.running import _config, _listening
        from tests.helpers.serving import pose

        settings = Settings(data=self.data, port=0, **self.settings)
        self.held = holding(settings.data)
        self.held.__enter__()
        self.server = uvicorn.Server(_config(create_app(pose(), settings), settings))
        self.socket = _listening(settings)
        run = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})
        self.thread = run
        run.start()
        return "127.0.0.1", self.socket.getsockname()[1]

    def __exit__(self, *_: Any) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.socket.close()
        self.held.__exit__(None, None, None)


def zipped(*members: tuple[str, bytes], mode: int = 0) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return out.getvalue()


@pytest.mark.parametrize("name", [s for s in STRINGS if "\x00" not in s][:30])
def test_members_of_archives_do_not_leave_their_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.zip").write_bytes(zipped((name, b"x"), ("b.json", b"{}")))
    try:
        unpack(tmp_path / "a.zip", tmp_path / "in" / "a", 1 << 20)
    except SourceError as error:
        assert "plain zip" in str(error) and not (tmp_path / "in" / "a").exists()
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert all(path == "a.zip" or path.startswith("in/a/") for path in found)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (zipped(("a.json", b"/etc/passwd"), mode=0o120777), "no plain file"),
        (zipped(("a.json", b""), mode=0o020666), "no plain file"),
        (zipped(("a.json", bytes(300_000_000))), "more bytes than it may"),
        (zipped(*((f"{n}.json", bytes(100_000)) for n in range(20))), "more bytes than it may"),
        (zipped(("a/" * 9 + "a.json", b"")), "no plain file"),
        (b"PK\x03\x04 and nothing more", "plain zip"),
        (b"", "plain zip"),
    ],
)
def test_hostile_archives_are_refused_and_leave_nothing(
    tmp_path: Path, data: bytes, told: str
) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(SourceError, match=told):
        unpack(tmp_path / "a.zip", tmp_path / "a", 1_000_000)
    assert not (tmp_path / "a").exists()


def test_labels_that_name_images_of_others_read_none(tmp_path: Path) -> None:
    """A COCO file with the path of another job's image: its pixels are not in what comes back."""
    with client(tmp_path / "data") as served:
        other = tmp_path / "data" / "jobs" / "other.jpg"
        other.write_bytes(people())
        labels = {
            "images": [{"id": 1, "file_name": str(other), "width": 360, "height": 640}],
            "annotations": [
                {
                    "id": 1,
                    "image_id": 1,
                    "category_id": 1,
                    "bbox": [0, 0, 300, 600],
                    "area": 9.0,
                    "iscrowd": 0,
                    "num_keypoints": 17,
                    "keypoints": [100, 100, 2] * 17,
                }
            ],
            "categories": [
                {
                    "id": 1,
                    "name": "person",
                    "keypoints": [f"k{i}" for i in range(17)],
                    "skeleton": [],
                }
            ],
        }
        text = json.dumps(labels).encode()
        sent = {"files": {"file": ("a.json", text)}, "data": {"kind": "convert", "to": "yolo"}}
        job = served.post("/v1/jobs", **sent).json()["id"]
        while (told := served.get(f"/v1/jobs/{job}").json())["status"] in ("queued", "running"):
            time.sleep(0.1)
        names = [each["name"] for each in told["files"]]
        assert not [name for name in names if name.endswith((".jpg", ".png"))], told


def test_a_name_with_markup_comes_back_as_text(served: Any) -> None:
    name = "<img src=x onerror=alert(1)>.jpg"
    answer = served.post("/v1/pose", files={"image": (name, people())})
    assert answer.headers["content-type"] == "application/json" and answer.json()["source"]
    answer = served.get("/v1/jobs", params={"status": name})
    assert answer.headers["content-type"] == "application/problem+json"


def test_tokens_are_never_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with client(tmp_path, tokens=(TOKEN,)) as served:
        for token in (TOKEN, TOKEN + "x"):
            headers = {"Authorization": f"Bearer {token}"}
            for path in ("/metrics", "/v1/jobs", "/nowhere", f"/v1/jobs/{token}"):
                answer = served.get(path, headers=headers)
                assert TOKEN not in answer.text and TOKEN not in str(answer.headers)
    assert TOKEN not in caplog.text
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert TOKEN.encode() not in kept


def test_the_routes_are_those_that_are_known(served: Any) -> None:
    """No route loads, unloads or registers a network: each one that appears is meant to."""
    paths = served.get("/openapi.json").json()["paths"]
    known = {
        "/v1/pose": "post",
        "/v1/jobs": "get post",
        "/v1/jobs/{job}": "delete get",
        "/v1/jobs/{job}/cancel": "post",
        "/v1/jobs/{job}/retry": "post",
        "/v1/jobs/{job}/events": "get",
        "/v1/jobs/{job}/log": "get",
        "/v1/jobs/{job}/files/{name}": "get",
        "/v1/models": "get",
        "/v1/library": "get",
        "/v2": "get",
        "/v2/health/live": "get",
        "/v2/health/ready": "get",
        "/v2/models/{model}": "get",
        "/v2/models/{model}/ready": "get",
        "/v2/models/{model}/infer": "post",
        "/v2/models/{model}/versions/{version}": "get",
        "/v2/models/{model}/versions/{version}/ready": "get",
        "/v2/models/{model}/versions/{version}/infer": "post",
        "/healthz": "get",
        "/readyz": "get",
        "/metrics": "get",
    }
    assert {path: " ".join(sorted(what)) for path, what in paths.items()} == known
