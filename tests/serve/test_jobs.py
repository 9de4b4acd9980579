"""Jobs: the verbs in processes of their own, for their owner alone, each ended once."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posewright.cli import build_parser, main
from posewright.cli.demo import CLIP
from tests.helpers.serving import OTHER, TOKEN, client, need_server, people, started

need_server()

from posewright.datasets.formats.coco_out import write_labels  # noqa: E402
from posewright.datasets.synthetic import synth  # noqa: E402
from posewright.serve.jobs import Jobs  # noqa: E402
from posewright.serve.kinds import _FLAGS, FLAG, KINDS, Asked, command  # noqa: E402


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small labelled set in a library, and a network."""
    folder = tmp_path_factory.mktemp("library")
    write_labels(synth(folder / "set", 6, 0), folder / "set" / "annotations.json")
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, labels: Path) -> Iterator[Any]:
    with client(tmp_path_factory.mktemp("data"), library=labels, workers=2) as found:
        yield found


def ended(served: Any, job: str, headers: dict[str, str] | None = None) -> Any:
    """Wait for the end of a job."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        told = served.get(f"/v1/jobs/{job}", headers=headers).json()
        if told["status"] in ("done", "failed", "cancelled"):
            return told
        time.sleep(0.1)
    raise AssertionError(told)


def post(served: Any, files: list[tuple[str, bytes]], status: int = 202, **fields: Any) -> Any:
    sent: list[Any] = [("file", each) for each in files]
    sent += [(name, (None, value)) for name, value in fields.items()]
    answer = served.post("/v1/jobs", files=sent)
    assert answer.status_code == status, answer.text
    return answer.json()


def packed(folder: Path, top: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, top / path.relative_to(folder))
    return out.getvalue()


def fetched(served: Any, told: Any) -> dict[str, bytes]:
    return {each["name"]: served.get(each["href"]).content for each in told["files"]}


def test_predict_writes_what_the_verb_writes(served: Any, tmp_path: Path) -> None:
    files = [(f"p{n}.jpg", people(n)) for n in (0, 40)]
    job = post(served, files, kind="predict", save="jsonl,csv", track="1", runtime="onnxruntime")
    told = ended(served, job["id"])
    assert told["status"] == "done" and told["exit_code"] == 0 and not told["error"]
    assert told["result"]["frames"] == 2 and told["tries"] == 1
    got = fetched(served, told)
    for name, data in files:
        (tmp_path / name).write_bytes(data)
    where = [str(tmp_path / name) for name, _ in files]
    words = [*where, "--track", "--save", "jsonl,csv", "--runtime", "onnxruntime"]
    assert main(["predict", *words, "-o", str(tmp_path / "out")]) == 0
    assert set(got) == {"poses.jsonl", "poses.csv"}
    ours = [
        json.loads(line) for line in (tmp_path / "out" / "poses.jsonl").read_text().splitlines()
    ]
    theirs = [json.loads(line) for line in got["poses.jsonl"].splitlines()]
    assert [row.get("people") for row in theirs] == [row.get("people") for row in ours]
    assert sum(len(row.get("people", ())) for row in ours) >= 2
    assert "p40.jpg" in got["poses.csv"].decode()

    again = post(served, [("poses.jsonl", got["poses.jsonl"])], kind="track", tracker="bytetrack")
    told = ended(served, again["id"])
    assert told["status"] == "done" and b'"id":1' in fetched(served, told)["poses.jsonl"]


def test_labels_are_checked_and_converted(served: Any, labels: Path) -> None:
    for top in ("", "set"):  # as a folder is packed from inside and from outside
        archive = ("set.zip", packed(labels / "set", top))
        told = ended(served, post(served, [archive], kind="check")["id"])
        assert told["status"] == "done" and told["result"]["people"] >= 6, told
    job = post(served, [], kind="convert", library="library/set", to="yolo", ratio="0.5", seed="1")
    told = ended(served, job["id"])
    assert told["status"] == "done", told
    names = {each["name"] for each in told["files"]}
    assert any(name.endswith(".txt") for name in names) and "data.yaml" in names


def test_a_network_is_scored(served: Any) -> None:
    job = post(served, [], kind="eval", library="library/set", measure="coco", limit="2")
    told = ended(served, job["id"])
    assert told["status"] == "done" and 0 <= told["result"]["AP"] <= 1, told
    assert any(each["name"].startswith("report/") for each in told["files"])


@pytest.mark.slow
def test_a_network_is_trained_and_exported(served: Any) -> None:
    sizes = {"options.input_size": "[64,64]", "epochs": "1", "batch": "4", "val_split": "0.3"}
    job = post(served, [], kind="train", library="library/set", model="movenet_fire717", **sizes)
    told = ended(served, job["id"])
    assert told["status"] == "done", told
    said = served.get(f"/v1/jobs/{job['id']}/log").text
    assert "epoch 1/1" in said and "loss" in said and "/jobs/" not in said
    network = f"jobs/{job['id']}/run/last.safetensors"
    assert network in {row["name"] for row in served.get("/v1/models").json()["models"]}
    told = ended(served, post(served, [], kind="export", model=network, no_check="1")["id"])
    assert told["status"] == "done", told
    assert {each["name"] for each in told["files"]} == {"last.onnx"}


@pytest.mark.parametrize(
    ("files", "fields", "told"),
    [
        ([], {"kind": "fly"}, "kind is one of predict, track"),
        (["a.jpg"], {}, "kind is one of"),
        ([], {"kind": "predict"}, "predict needs a file"),
        (["a.py"], {"kind": "predict"}, "a.py: predict takes"),
        (["a.txt"], {"kind": "predict"}, "a.txt: predict takes"),
        (["a.m3u8"], {"kind": "predict"}, "a.m3u8: predict takes"),
        (["a.jpg"], {"kind": "predict", "model": "x.py:net"}, "no network 'x.py:net'"),
        (["a.jpg"], {"kind": "predict", "model": "/etc/passwd"}, "no network"),
        (["a.jpg"], {"kind": "predict", "model": "rtmpose-m"}, "no network 'rtmpose-m'"),
        (["a.jpg"], {"kind": "predict", "out": "/tmp"}, "predict has no option 'out'"),
        (["a.jpg"], {"kind": "predict", "save": "../x"}, "save=../x is not a word or list"),
        (["a.jpg"], {"kind": "predict", "boxes": "x"}, "predict has no option 'boxes'"),
        (["a.jpg"], {"kind": "predict", "fps": "1e400000000000000000000000000000"}, "not a number"),
        (["a.jpg"], {"kind": "predict", "track": "yes"}, "track=yes is not 0 or 1"),
        ([], {"kind": "check", "library": "library/../x"}, "no data 'library/../x'"),
        ([], {"kind": "check", "library": "/etc"}, "no data '/etc'"),
        ([], {"kind": "train", "library": "library/set", "model": "a/b"}, "model=a/b is not"),
        ([], {"kind": "train", "library": "library/set", "model": "n", "cache": "c"}, "'cache'"),
        ([], {"kind": "train", "library": "library/set", "model": "n", "lr": "/a"}, "lr=/a is no"),
        ([], {"kind": "train", "library": "library/set", "model": "n", "epoch": "1"}, "'epochs'"),
        ([], {"kind": "export"}, "export needs model"),
        ([], {"kind": "eval", "library": "library/set", "boxes": "x.json"}, "truth or detector"),
        ([], {"kind": "check", "library": "library/set", "labels": "../a.json"}, "there is no"),
    ],
)
def test_what_a_job_may_not_ask_is_refused_in_one_line(
    served: Any, files: list[str], fields: dict[str, str], told: str
) -> None:
    said = post(served, [(name, b"x") for name in files], 400, **fields)
    assert told in said["detail"] and "\n" not in said["detail"], said
    assert str(served.app._settings.data) not in said["detail"]


def test_a_job_that_fails_says_the_line_of_the_verb(served: Any) -> None:
    told = ended(served, post(served, [("a.jpg", b"no image")], kind="predict")["id"])
    assert told["status"] == "failed" and told["exit_code"] == 3
    assert "content is not JPEG" in told["error"] + json.dumps(told["result"])
    told = ended(served, post(served, [("a.jpg", people())], kind="predict", nms="what")["id"])
    assert (told["status"], told["exit_code"]) == ("failed", 2)
    assert "invalid choice: 'what'" in told["error"]


def test_options_are_those_of_the_verbs() -> None:
    """Each option of a job is one of its verb, and a flag where it is a flag there."""
    parser: Any = build_parser()
    for name, kind in KINDS.items():
        asked = Asked(name, inputs=("in",), networks={"model": "m", "models": "m"})
        verb, *rest = command(asked, Path("out"))
        sub = parser.verb(verb)
        if verb == "data":
            sub = next(a.choices for a in sub._actions if isinstance(a.choices, dict))[rest[0]]
        actions = {word: action for action in sub._actions for word in action.option_strings}
        for option, form in kind.options.items():
            if (name, option) in (("eval", "measure"), ("compare", "models"), ("export", "model")):
                continue
            action = actions[_FLAGS.get(option, f"--{option}")]
            assert (form == FLAG) == (action.nargs == 0), (name, option)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_job_is_its_owners_alone(tmp_path: Path) -> None:
    with client(tmp_path / "data", tokens=(TOKEN, OTHER)) as served:
        files = {"file": ("a.jpg", people())}
        sent = {"files": files, "data": {"kind": "predict", "save": "jsonl"}}
        job = served.post("/v1/jobs", headers=bearer(TOKEN), **sent).json()["id"]
        told = ended(served, job, bearer(TOKEN))
        assert told["status"] == "done"
        href = told["files"][0]["href"]
        one = f"/v1/jobs/{job}"
        asks = [("GET", one), ("DELETE", one), ("POST", f"{one}/cancel"), ("GET", f"{one}/events")]
        asks += [("POST", f"{one}/retry"), ("GET", f"{one}/log"), ("GET", href.split("?")[0])]
        for method, path in asks:
            assert served.request(method, path, headers=bearer(OTHER)).status_code == 404
            assert served.request(method, path).status_code == 401
        assert served.get("/v1/jobs", headers=bearer(OTHER)).json() == {"jobs": []}
        assert len(served.get("/v1/jobs", headers=bearer(TOKEN)).json()["jobs"]) == 1
        assert served.get(href).status_code == 200  # signed
        assert served.get(href.replace("signature=", "signature=0")).status_code == 401
        part = served.get(href, headers={"Range": "bytes=2-5"})
        assert part.status_code == 206 and part.content == served.get(href).content[2:6]
        assert served.get(href, headers={"Range": "bytes=99999999-"}).status_code == 416
        assert served.delete(one, headers=bearer(TOKEN)).status_code == 204
        assert served.get(href).status_code == 404
        assert not (tmp_path / "data" / "jobs" / job).exists()


def test_events_tell_how_a_job_goes(served: Any, tmp_path: Path) -> None:
    job = post(served, [("a.jpg", people())], kind="predict", save="jsonl")["id"]
    with served.stream("GET", f"/v1/jobs/{job}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = "".join(answer.iter_text())
    events = [dict(x.split(": ", 1) for x in e.splitlines()) for e in text.strip().split("\n\n")]
    statuses = [json.loads(e["data"])["status"] for e in events if e["event"] == "status"]
    assert statuses[-1] == "done" and statuses == sorted(set(statuses), key=statuses.index)
    progress = [json.loads(e["data"]) for e in events if e["event"] == "progress"]
    assert progress[-1]["done"] == progress[-1]["total"] == 1


def test_a_running_job_is_cancelled_and_deleted(
    tmp_path: Path, labels: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with client(tmp_path / "data", library=labels) as served:
        fields = {"epochs": "5000", "options.input_size": "[64,64]", "batch": "4"}
        fields |= {"kind": "train", "library": "library/set", "model": "movenet_fire717"}
        job = post(served, [], **fields)["id"]
        waits = post(served, [("a.jpg", people())], kind="predict")["id"]
        one = f"/v1/jobs/{job}"
        while served.get(one).json()["status"] != "running":
            time.sleep(0.05)
        assert served.post(f"{one}/retry").status_code == 409
        assert served.post(f"/v1/jobs/{waits}/cancel").json()["status"] == "cancelled"
        assert served.post(f"{one}/cancel").json()["status"] == "cancelled"
        assert served.post(f"{one}/cancel").status_code == 409
        assert served.post(f"/v1/jobs/{waits}/retry").json()["status"] in ("queued", "running")
        assert ended(served, waits)["status"] == "done"
        assert ended(served, job)["status"] == "cancelled"
        assert served.delete(one).status_code == 204 and served.get(one).status_code == 404
        two = f"/v1/jobs/{post(served, [], **fields)['id']}"
        while served.get(two).json()["status"] != "running":
            time.sleep(0.05)
        assert served.delete(two).status_code == 204 and served.get(two).status_code == 404
    assert not [record for record in caplog.records if record.exc_info]
    assert [path.name for path in (tmp_path / "data" / "jobs").iterdir()] == [waits]


def test_a_quota_keeps_uploads_out(tmp_path: Path) -> None:
    with client(tmp_path / "data", quota_gb=20e-6) as served:
        files = {"file": ("a.jpg", people() + b"x" * 50_000)}
        answer = served.post("/v1/jobs", files=files, data={"kind": "predict"})
        assert answer.status_code == 507 and "delete jobs" in answer.json()["detail"]
        assert list((tmp_path / "data" / "jobs").iterdir()) == []


def test_a_disk_that_fills_while_uploading_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posewright.serve import job_routes

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(job_routes, "_new", lambda *_: Full())
    with client(tmp_path / "data") as served:
        files = {"file": ("a.jpg", people())}
        answer = served.post("/v1/jobs", files=files, data={"kind": "predict"})
        assert answer.status_code == 507 and "disk" in answer.json()["detail"]
        assert list((tmp_path / "data" / "jobs").iterdir()) == []


def test_old_jobs_are_swept(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    for name in ("a", "b"):
        jobs.folder(name).mkdir()
        jobs.add(name, "", Asked("check"))
    assert (jobs.claim() or {})["id"] == "a"
    assert jobs.end("a", "done", 0) and not jobs.end("a", "done", 0)
    assert jobs.sweep(1.0) == []
    assert jobs.sweep(-1.0) == ["a"] and not jobs.folder("a").exists()
    assert jobs.counts() == {"queued": 1, "running": 0, "done": 0, "failed": 0, "cancelled": 0}
    jobs.close()


def test_two_servers_on_one_folder_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with client(tmp_path / "data"):
        words = ["serve", "--data", str(tmp_path / "data"), "--port", "0", "--threads", "1"]
        assert main(words) == 4
    said = capsys.readouterr().err.strip()
    assert "is in use by process" in said and "\n" not in said


def test_a_killed_server_takes_its_jobs_up_again_once(tmp_path: Path) -> None:
    """kill -9 while a job runs and another waits: both end, each once, with whole results."""
    import httpx2

    data, ids = tmp_path / "data", []
    words = ("--data", str(data))
    clip = CLIP.read_bytes()
    with started(*words, cwd=tmp_path) as (address, process):
        for _ in range(2):
            files = {"file": ("clip.mp4", clip)}
            fields = {"kind": "predict", "save": "jsonl", "frames": "0:14", "threads": "1"}
            answer = httpx2.post(f"{address}/v1/jobs", files=files, data=fields)
            ids.append(answer.json()["id"])
        while "running" not in httpx2.get(f"{address}/v1/jobs/{ids[0]}").text:
            time.sleep(0.05)
        time.sleep(1.0)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (data / "jobs" / ("0" * 24)).mkdir()  # of an upload that was cut off
    with started(*words, cwd=tmp_path) as (address, _):
        assert not (data / "jobs" / ("0" * 24)).exists()
        until = time.monotonic() + 120
        while time.monotonic() < until:
            rows = httpx2.get(f"{address}/v1/jobs").json()["jobs"]
            if all(row["status"] == "done" for row in rows):
                break
            time.sleep(0.2)
        assert [(row["id"], row["status"]) for row in rows] == [(i, "done") for i in ids[::-1]]
        assert [row["tries"] for row in rows] == [1, 2]
        for job in ids:
            text = httpx2.get(f"{address}/v1/jobs/{job}/files/poses.jsonl").text
            frames = [json.loads(line).get("frame") for line in text.splitlines()]
            assert [n for n in frames if n is not None] == list(range(14))


def test_the_fence_keeps_a_process_inside(tmp_path: Path) -> None:
    code = (
        "import sys; from posewright.serve.fence import build\n"
        "build([sys.argv[1]], [sys.argv[2]])\n"
        "import os, socket\n"
        "def tries(what, *words):\n"
        "    try: what(*words); print('yes')\n"
        "    except PermissionError: print('no')\n"
        "d = sys.argv[1:]\n"
        "tries(open, d[0] + '/a'); tries(open, d[0] + '/b', 'w'); tries(open, d[1] + '/b', 'w')\n"
        "tries(open, d[2] + '/a'); tries(open, d[1] + '/../other/a'); tries(open, '/etc/passwd')\n"
        "tries(os.rename, d[1] + '/b', d[2] + '/b'); tries(os.remove, d[0] + '/a')\n"
        "tries(os.rename, d[1] + '/b', d[1] + '/c'); tries(os.remove, d[1] + '/c')\n"
        "tries(open, d[1] + '/link'); tries(socket.create_connection, ('127.0.0.1', 9))\n"
    )
    folders = [tmp_path / name for name in ("library", "job", "other")]
    for folder in folders:
        folder.mkdir()
        (folder / "a").write_text("a")
    (folders[1] / "link").symlink_to(folders[2] / "a")
    command = [sys.executable, "-c", code, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True)
    wanted = "yes no yes no no no no no yes yes no no"
    assert done.stdout.split() == wanted.split(), done.stderr


def test_the_table_is_whole_after_everything(served: Any) -> None:
    path = served.app._settings.data / "jobs.sqlite"
    with sqlite3.connect(path) as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    base.close()


def test_networks_of_the_library_are_compared_and_pixels_are_limited(
    tmp_path: Path, labels: Path
) -> None:
    """A network of the library works in every kind; the server's limit of pixels counts in jobs."""
    from posewright.weights import EMBEDDED

    network = labels / "own.onnx"
    network.write_bytes(EMBEDDED["movenet-thunder"].path.read_bytes())
    with client(tmp_path / "data", library=labels, max_pixels=100_000) as served:
        assert "library/own.onnx" in {r["name"] for r in served.get("/v1/models").json()["models"]}
        fields = {"library": "library/set", "models": "library/own.onnx", "limit": "1"}
        told = ended(served, post(served, [], kind="compare", **fields)["id"])
        assert told["status"] == "done", told
        assert "compare.json" in {each["name"] for each in told["files"]}
        sent = {"model": "library/own.onnx", "max_pixels": "9e9"}
        told = ended(served, post(served, [("a.jpg", people())], kind="predict", **sent)["id"])
        assert told["status"] == "failed"
        assert "more than the limit of 100000" in json.dumps(told)
    network.unlink()
