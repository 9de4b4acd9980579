"""WS /v1/live: ids that stay, the newest frame, and who may talk."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.serving import TOKEN, client, need_server, people, pose, started

need_server()

from starlette.websockets import WebSocketDisconnect  # noqa: E402


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with client(tmp_path_factory.mktemp("data")) as found:
        yield found


def greeted(socket: Any, **hello: Any) -> Any:
    socket.send_text(json.dumps(hello))
    return json.loads(socket.receive_text())["header"]


def test_people_keep_their_ids_from_frame_to_frame(served: Any) -> None:
    with served.websocket_connect("/v1/live", headers={"host": "localhost"}) as socket:
        assert greeted(socket, tracker="oks", fps=30)["skeleton"]["name"] == "coco17"
        rows = []
        for number in (0, 1, 2):
            socket.send_bytes(people(number))
            rows.append(json.loads(socket.receive_text()))
    ids = [[person["id"] for person in row["people"]] for row in rows]
    assert ids[0] and min(ids[0]) >= 1 and set(ids[0]) & set(ids[2])
    wanted = pose()(people(1)).to_dict()["people"]
    found = [{**person, "id": -1} for person in rows[1]["people"]]
    assert found == [{**person, "id": -1} for person in wanted]
    assert [row["frame"] for row in rows] == [0, 1, 2] and all(row["latency"] > 0 for row in rows)


def test_a_second_connection_has_ids_of_its_own(served: Any) -> None:
    for _ in range(2):
        with served.websocket_connect("/v1/live", headers={"host": "localhost"}) as socket:
            greeted(socket)
            socket.send_bytes(people())
            found = json.loads(socket.receive_text())["people"]
            assert sorted(person["id"] for person in found) == list(range(1, len(found) + 1))


def test_a_frame_that_is_none_is_an_answer(served: Any) -> None:
    with served.websocket_connect("/v1/live", headers={"host": "localhost"}) as socket:
        greeted(socket)
        socket.send_bytes(b"no image")
        row = json.loads(socket.receive_text())
        assert row["status"] == "error" and "content is not JPEG" in row["message"]
        socket.send_bytes(people())
        assert json.loads(socket.receive_text())["status"] == "ok"


@pytest.mark.parametrize(
    ("hello", "told"),
    [
        ("x", "the first message is JSON"),
        ("[]", "the first message is JSON"),
        ('{"model": "x"}', "the first message is JSON"),
        ('{"tracker": "ok"}', "oks"),
        ('{"tracker": 3}', "tracker is a name"),
        ('{"fps": true}', "tracker is a name and fps a number"),
        ('{"fps": -1}', "fps"),
    ],
)
def test_a_first_message_that_cannot_be(served: Any, hello: str, told: str) -> None:
    with served.websocket_connect("/v1/live", headers={"host": "localhost"}) as socket:
        socket.send_text(hello)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 1008 and told in closed.value.reason


def test_a_token_is_the_first_message_and_pages_of_others_are_refused(tmp_path: Path) -> None:
    with client(tmp_path, tokens=(TOKEN,)) as served:
        for hello in ({}, {"token": "wrong"}, {"token": None}):
            with served.websocket_connect("/v1/live") as socket:
                socket.send_text(json.dumps(hello))
                with pytest.raises(WebSocketDisconnect):
                    socket.receive_text()
        with served.websocket_connect("/v1/live") as socket:
            assert greeted(socket, token=TOKEN)
            socket.send_text("more")
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_text()
            assert "binary" in closed.value.reason
        foreign = {"origin": "https://evil.example"}
        with (
            pytest.raises(WebSocketDisconnect),
            served.websocket_connect("/v1/live", headers=foreign),
        ):
            pass


def test_the_newest_frame_wins_over_a_real_connection(tmp_path: Path) -> None:
    """Of a burst, the first frame in work and the last one are answered; the rest is dropped."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with started("--data", str(tmp_path / "data"), cwd=tmp_path) as (address, _):
        where = address.replace("http", "ws") + "/v1/live"
        with connect(where, max_size=None) as socket:
            socket.send("{}")
            assert "header" in json.loads(socket.recv())
            for number in range(12):
                socket.send(people(number % 3))
            rows = []
            until = time.monotonic() + 60
            while time.monotonic() < until:
                rows.append(json.loads(socket.recv(timeout=60)))
                if rows[-1]["frame"] == 11:
                    break
        assert rows[-1]["frame"] == 11 and rows[-1]["dropped"] == 12 - len(rows) > 0
        frames = [row["frame"] for row in rows]
        assert frames == sorted(frames)
        with connect(where, max_size=None) as socket:
            socket.send("{}")
            socket.recv()
            with pytest.raises(ConnectionClosed):
                socket.send(bytes(5_000_000))
                socket.recv(timeout=20)
