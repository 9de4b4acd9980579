"""POST /v1/pose: the rows of `predict`, and one line for everything else."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.errors import ModelError
from tests.helpers.serving import client, need_server, people, pose

need_server()

from posewright.serve.batching import Batcher  # noqa: E402
from posewright.serve.metrics import Metrics  # noqa: E402
from posewright.serve.problems import Problem  # noqa: E402


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with client(tmp_path_factory.mktemp("data"), max_mb=1.0, max_pixels=1_000_000) as found:
        yield found


def ask(served: Any, data: bytes, name: str = "a.jpg", **query: Any) -> Any:
    return served.post("/v1/pose", files={"image": (name, data)}, params=query)


def rows(folder: Path, *images: bytes) -> list[dict[str, Any]]:
    """What `predict` writes for images."""
    files = []
    for number, data in enumerate(images):
        files.append(folder / f"{number}.jpg")
        files[-1].write_bytes(data)
    pose().predict_to(files, folder / "out")
    head, *lines = (folder / "out" / "poses.jsonl").read_text().splitlines()
    return [{"header": json.loads(head), **json.loads(line)} for line in lines]


def test_an_answer_is_the_row_of_predict_to_the_last_bit(served: Any, tmp_path: Path) -> None:
    images = [people(n) for n in (0, 40, 80)]
    for data, row in zip(images, rows(tmp_path, *images), strict=True):
        answer = ask(served, data, "0.jpg").json()
        assert len(answer["people"]) >= 1
        assert answer["people"] == row["people"] and answer["size"] == row["size"]
        assert answer["header"]["model"] == row["header"]["model"]  # runtime and precision in it
        assert answer["header"].keys() - row["header"].keys() <= {"det_every"}


def test_a_crowd_of_requests_gets_the_same_answers(tmp_path: Path) -> None:
    images = [people(n) for n in (0, 20, 40, 60)]
    wanted = [row["people"] for row in rows(tmp_path, *images)]
    with client(tmp_path / "data") as served:
        got: dict[int, Any] = {}

        def one(number: int) -> None:
            got[number] = ask(served, images[number % 4]).json()["people"]

        threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [got[n] for n in range(8)] == [wanted[n % 4] for n in range(8)]


def test_draw_gives_a_picture_of_the_people(served: Any) -> None:
    answer = ask(served, people(), draw=1)
    assert answer.headers["content-type"] == "image/jpeg"
    drawn = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    plain = cv2.imdecode(np.frombuffer(people(), np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == plain.shape
    assert (cv2.absdiff(drawn, plain).max(2) > 60).mean() > 0.002


def grey(width: int, height: int) -> bytes:
    return bytes(cv2.imencode(".png", np.full((height, width, 3), 90, np.uint8))[1].tobytes())


def test_nobody_is_an_empty_list(served: Any) -> None:
    assert ask(served, grey(200, 100)).json()["people"] == []


@pytest.mark.parametrize(
    ("data", "status", "told"),
    [
        (b"", 422, "a.jpg: it is empty; convert or remove it"),
        (b"GIF8 and more", 422, "a.jpg: "),
        (people()[:700], 422, "a.jpg: "),
        (b"#EXTM3U\nhttp://127.0.0.1:1/a.ts\n", 422, "its content is not JPEG"),
        (grey(2000, 1000), 422, "2000 x 1000 pixels, more than the limit of 1000000"),
    ],
)
def test_what_is_no_image_is_told_in_one_line(
    served: Any, data: bytes, status: int, told: str
) -> None:
    answer = ask(served, data)
    body = answer.json()
    assert answer.status_code == status and answer.headers["content-type"].endswith("problem+json")
    assert told in body["detail"] and body["error"] == body["detail"]
    assert "\n" not in body["detail"] and body["status"] == status


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"files": {"picture": ("a.jpg", b"x")}}, 400),
        ({"files": {"image": ("a.jpg", b"x")}, "data": {"more": "1"}}, 400),
        ({"data": {"image": "x"}}, 415),
        ({"json": {"image": "http://169.254.169.254/"}}, 415),
        (
            {"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data; boundary=y"}},
            400,
        ),
        ({"content": b"--y", "headers": {"content-type": "multipart/form-data; boundary=y"}}, 400),
        ({"content": b"", "headers": {"content-type": "multipart/form-data"}}, 415),
        ({"files": {"image": ("a.jpg", b"x")}, "params": {"draw": "2"}}, 400),
        ({"files": {"image": ("a.jpg", b"x")}, "params": {"deadline": "-1"}}, 400),
        ({"files": {"image": ("a.jpg", b"x")}, "params": {"drawn": "1"}}, 400),
        ({"files": {"image": ("a.jpg", b"x" * 1_100_000)}}, 413),
        ({"content": (b"x" * 100_000 for _ in range(12))}, 415),
    ],
)
def test_another_body_is_refused(served: Any, sent: dict[str, Any], status: int) -> None:
    answer = served.post("/v1/pose", **sent)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_a_chunked_body_over_the_limit_is_refused_as_it_comes(served: Any) -> None:
    taken = []

    def body() -> Iterator[bytes]:
        yield b'--y\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for number in range(100):
            taken.append(number)
            yield b"x" * 100_000

    kind = {"content-type": "multipart/form-data; boundary=y"}
    assert served.post("/v1/pose", content=body(), headers=kind).status_code == 413


class Slow:
    """A pose whose networks wait until they are let go, and then fail if told to."""

    def __init__(self, fails: bool = False) -> None:
        self.going, self.fails = threading.Event(), fails

    def __call__(self, people: Any) -> Any:
        self.going.wait(20)
        if self.fails:
            raise ModelError("the device is gone")
        return people


def batcher(nms: Any, limit: int = 3, deadline: float = 20.0) -> Batcher:
    from copy import copy
    from dataclasses import replace

    slowed = copy(pose())
    slowed.pipeline = replace(pose().pipeline, nms=nms)
    return Batcher(slowed, Metrics(), limit, deadline)


def frame() -> Any:
    from posewright.sources import open_source

    return next(open_source(people()))


def test_more_than_may_wait_are_told_when_to_come_again() -> None:
    async def crowd(batch: Batcher, slow: Slow) -> list[Any]:
        asked = []
        for _ in range(8):
            asked.append(asyncio.ensure_future(batch([frame()])))
            await asyncio.sleep(0.05)
        slow.going.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    slow = Slow()
    batch = batcher(slow)
    found = asyncio.run(crowd(batch, slow))
    batch.close()
    told = [each for each in found if isinstance(each, Problem)]
    assert told and {each.status for each in told} == {429}
    assert all(int(each.headers["Retry-After"]) >= 1 for each in told)
    assert len(found) - len(told) >= 3  # those in work, and the three that may wait


def test_a_deadline_ends_the_wait_and_a_cancelled_request_leaves_the_queue() -> None:
    async def three(batch: Batcher, slow: Slow) -> tuple[Any, Any, Any]:
        first = asyncio.ensure_future(batch([frame()]))
        await asyncio.sleep(0.1)
        late = asyncio.ensure_future(batch([frame()], 0.01))
        gone = asyncio.ensure_future(batch([frame(), frame()]))
        await asyncio.sleep(0.1)
        gone.cancel()
        await asyncio.sleep(0.05)
        batch._drop_cancelled()
        waiting = len(batch._waiting)
        slow.going.set()
        return *await asyncio.gather(first, late, return_exceptions=True), waiting

    slow = Slow()
    batch = batcher(slow, limit=9)
    first, late, waiting = asyncio.run(three(batch, slow))
    batch.close()
    assert len(first[0]) >= 1
    assert isinstance(late, Problem) and late.status == 408
    assert waiting <= 1


def test_a_network_that_fails_fails_its_requests_alone() -> None:
    slow = Slow(fails=True)
    slow.going.set()
    batch = batcher(slow)
    with pytest.raises(ModelError, match="the device is gone"):
        asyncio.run(batch([frame()]))
    slow.fails = False
    assert len(asyncio.run(batch([frame()]))[0]) >= 1
    batch.close()
    with pytest.raises(Problem, match="stopping"):
        asyncio.run(batch([frame()]))


def test_metrics_count_requests_and_people(tmp_path: Path) -> None:
    with client(tmp_path) as served:
        count = len(ask(served, people()).json()["people"])
        ask(served, b"")
        text = served.get("/metrics").text
    assert f"posewright_people_total {float(count)}" in text
    assert 'posewright_requests_total{route="/v1/pose",status="200"} 1.0' in text
    assert 'posewright_requests_total{route="/v1/pose",status="422"} 1.0' in text
    assert 'posewright_request_seconds_count{route="/v1/pose"} 2.0' in text
    assert 'posewright_stage_seconds_total{stage="pose"}' in text
