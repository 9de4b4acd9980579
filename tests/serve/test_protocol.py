"""The Open Inference Protocol: its bytes, what is wrong with them, and the client of Triton."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.serving import client, need_server, people, points, pose, started

need_server()

URL = "/v2/models/movenet-thunder"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with client(tmp_path_factory.mktemp("data"), max_mb=2.0) as found:
        yield found


def packed(*images: bytes, **more: Any) -> tuple[bytes, dict[str, str]]:
    """A request with images as raw bytes, and its header."""
    raw = b"".join(struct.pack("<I", len(each)) + each for each in images)
    tensor = {"name": "image", "shape": [len(images)], "datatype": "BYTES"}
    tensor["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}, **more})
    return head.encode() + raw, {"Inference-Header-Content-Length": str(len(head))}


def arrays(answer: Any) -> dict[str, Any]:
    """The outputs of an answer, raw or not."""
    size = int(answer.headers.get("inference-header-content-length", len(answer.content)))
    head, rest, found = json.loads(answer.content[:size]), answer.content[size:], {}
    kinds = {"FP32": "<f4", "INT64": "<i8", "INT32": "<i4"}
    for each in head["outputs"]:
        kind = kinds[each["datatype"]]
        length = each.get("parameters", {}).get("binary_data_size")
        data = (
            np.array(each.get("data"), kind)
            if length is None
            else np.frombuffer(rest[:length], kind)
        )
        rest = rest[length or 0 :]
        found[each["name"]] = data.reshape(each["shape"])
    assert not rest
    return found


def test_what_the_server_tells_of_itself(served: Any) -> None:
    assert (
        served.get("/v2/health/live").status_code
        == served.get("/v2/health/ready").status_code
        == 200
    )
    assert served.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    for base in (URL, f"{URL}/versions/1"):
        told = served.get(base).json()
        assert told["name"] == "movenet-thunder" and told["inputs"][0]["datatype"] == "BYTES"
        assert served.get(f"{base}/ready").status_code == 200
    names = {each["name"]: each["shape"] for each in told["outputs"]}
    assert names["keypoints"] == [-1, 17, 2] and names["image_index"] == [-1]
    for path in ("/v2/models/x", f"{URL}/versions/2", "/v2/models/x/infer", "/v2/repository/index"):
        answer = served.get(path)
        assert answer.status_code in (404, 405) and answer.json()["error"]
    assert served.post("/v2/repository/models/x/load").status_code == 404


def test_images_in_one_request_get_what_each_gets_alone(served: Any) -> None:
    images = [people(0), people(40)]
    body, headers = packed(*images)
    found = arrays(served.post(f"{URL}/infer", content=body, headers=headers))
    alone = [pose()(data) for data in images]
    assert found["image_index"].tolist() == [i for i, r in enumerate(alone) for _ in range(len(r))]
    assert (found["keypoints"] == np.concatenate([r.keypoints for r in alone])).all()
    assert (found["scores"] == np.concatenate([r.scores for r in alone])).all()
    assert (found["boxes"] == np.concatenate([r.boxes for r in alone])).all()
    assert (found["ids"] == -1).all() and len(found["ids"]) >= 2


def test_outputs_are_chosen_and_mixed(served: Any) -> None:
    wanted = [
        {"name": "scores", "parameters": {"binary_data": False}},
        {"name": "image_index", "parameters": {"binary_data": True}},
    ]
    body, headers = packed(people(), outputs=wanted, id="r7", parameters={"timeout": 20_000_000})
    answer = served.post(f"{URL}/versions/1/infer", content=body, headers=headers)
    found = arrays(answer)
    assert list(found) == ["scores", "image_index"] and b'"id": "r7"' in answer.content
    plain = served.post(f"{URL}/infer", content=body, headers=headers | {"X": "y"})
    assert plain.status_code == 200


def test_pixels_as_numbers_and_as_bytes_compressed_or_not(served: Any) -> None:
    pixels = next(iter([pose().predict(people(), keep_images=True)[0].image]))
    small = np.ascontiguousarray(pixels[::4, ::4])
    tensor: Any = {"name": "image", "shape": [1, *small.shape], "datatype": "UINT8"}
    text = json.dumps({"inputs": [{**tensor, "data": small.ravel().tolist()}]}).encode()
    ways = [(text, {}), (gzip.compress(text, mtime=0), {"Content-Encoding": "gzip"})]
    tensor["parameters"] = {"binary_data_size": small.size}
    head = json.dumps({"inputs": [tensor]}).encode()
    sized = {"Inference-Header-Content-Length": str(len(head))}
    ways.append((head + small.tobytes(), sized))
    ways.append((zlib.compress(head + small.tobytes()), sized | {"Content-Encoding": "deflate"}))
    found = [arrays(served.post(f"{URL}/infer", content=c, headers=h)) for c, h in ways]
    assert all((each["boxes"] == found[0]["boxes"]).all() for each in found)


def test_nobody_and_nothing_are_empty_tensors(served: Any) -> None:
    body, headers = packed()
    found = arrays(served.post(f"{URL}/infer", content=body, headers=headers))
    assert found["keypoints"].shape == (0, 17, 2) and found["boxes"].shape == (0, 4)
    grey = {"name": "image", "shape": [1, 40, 40, 3], "datatype": "UINT8", "data": [90] * 4800}
    found = arrays(served.post(f"{URL}/infer", json={"inputs": [grey]}))
    assert found["scores"].shape == (0, 17)


RAW = {"name": "image", "datatype": "BYTES"}


def tensor(**more: Any) -> bytes:
    return json.dumps(
        {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], **more}]}
    ).encode()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{}", {}, 400),
        (b"[" * 5000, {}, 400),
        (b'{"inputs": 3}', {}, 400),
        (b'{"inputs": []}', {}, 400),
        (tensor(data=["x"], name="other"), {}, 400),
        (tensor(data=["x"]), {}, 422),
        (tensor(data=["x", "y"]), {}, 400),
        (tensor(data=[1]), {}, 400),
        (tensor(shape="x"), {}, 400),
        (tensor(shape=[-1], data=[]), {}, 400),
        (tensor(shape=[True], data=["x"]), {}, 400),
        (tensor(shape=[1] * 50, data=["x"]), {}, 400),
        (tensor(datatype="FP32", data=[1.0]), {}, 400),
        (tensor(datatype="UINT8", shape=[1, 1, 1, 3], data=[1, 2, 300]), {}, 400),
        (tensor(datatype="UINT8", shape=[1, 0, 0, 3], data=[]), {}, 422),
        (tensor(datatype="UINT8", shape=[1, 2**30, 2**30, 3], data=[]), {}, 400),
        (tensor(parameters={"shared_memory_region": "a"}), {}, 400),
        (tensor(parameters={"binary_data_size": -1}), {}, 400),
        (tensor(parameters={"binary_data_size": 10**30}), {}, 400),
        (tensor(parameters={"binary_data_size": "x"}), {}, 400),
        (tensor(data=["x"]) + b"more", {}, 400),
        (tensor(data=["x"]), {"Inference-Header-Content-Length": "-1"}, 400),
        (tensor(data=["x"]), {"Inference-Header-Content-Length": "9999999"}, 400),
        (tensor(data=["x"]), {"Inference-Header-Content-Length": "5"}, 400),
        (tensor(data=["x"]), {"Content-Encoding": "br"}, 415),
        (tensor(data=["x"]), {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(bytes(30_000_000), mtime=0), {"Content-Encoding": "gzip"}, 413),
        (gzip.compress(tensor(data=["x"]), mtime=0)[:-6], {"Content-Encoding": "gzip"}, 400),
        (bytes(2_100_000), {}, 413),
        (tensor(shape=[33], data=["x"] * 33), {}, 413),
    ],
)
def test_what_is_wrong_is_told_under_error(
    served: Any, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = served.post(f"{URL}/infer", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"] and "\n" not in answer.json()["error"]


@pytest.mark.parametrize("size", [3, 2, 2**31])
def test_elements_that_lie_about_their_length(served: Any, size: int) -> None:
    raw = struct.pack("<I", size) + b"ab" + (b"c" if size == 2 else b"")
    head = tensor(parameters={"binary_data_size": len(raw)})
    sized = {"Inference-Header-Content-Length": str(len(head))}
    assert served.post(f"{URL}/infer", content=head + raw, headers=sized).status_code == 400


@pytest.mark.parametrize(
    "more",
    [
        {"outputs": [{"name": "heat"}]},
        {"outputs": ["scores"]},
        {"outputs": 3},
        {"outputs": [{"name": "scores", "parameters": {"classification": 2}}]},
        {"parameters": {"timeout": -5}},
        {"parameters": {"timeout": "soon"}},
    ],
)
def test_outputs_and_limits_that_cannot_be(served: Any, more: dict[str, Any]) -> None:
    body, headers = packed(people(), **more)
    assert served.post(f"{URL}/infer", content=body, headers=headers).status_code == 400


def test_the_client_of_triton_gets_what_predict_finds(tmp_path: Path) -> None:
    http = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")
    from tritonclient.utils import InferenceServerException

    with started("--data", str(tmp_path / "data"), cwd=tmp_path) as (address, _):
        asking = http.InferenceServerClient(address.removeprefix("http://"))
        assert asking.is_server_live() and asking.is_server_ready()
        assert asking.is_model_ready("movenet-thunder") and not asking.is_model_ready("nobody")
        assert asking.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        assert asking.get_model_metadata("movenet-thunder")["versions"] == ["1"]
        images = np.array([people(0), people(40)], dtype=np.object_)
        given = http.InferInput("image", [2], "BYTES")
        given.set_data_from_numpy(images)
        found = asking.infer("movenet-thunder", [given], request_id="r7")
        (tmp_path / "0.jpg").write_bytes(people(0))
        wanted = points(pose()(tmp_path / "0.jpg").to_dict())
        first = found.as_numpy("image_index") == 0
        assert (found.as_numpy("keypoints")[first] == wanted[..., :2]).all()
        assert (found.as_numpy("scores")[first] == wanted[..., 2]).all()
        chosen = [http.InferRequestedOutput("ids", binary_data=False)]
        for way in ("gzip", "deflate"):
            found = asking.infer(
                "movenet-thunder", [given], outputs=chosen, request_compression_algorithm=way
            )
            assert (found.as_numpy("ids") == -1).all()
        with pytest.raises(InferenceServerException, match="no output 'zzz'"):
            asking.infer("movenet-thunder", [given], outputs=[http.InferRequestedOutput("zzz")])
        with pytest.raises(InferenceServerException, match="no model 'nobody'"):
            asking.infer("nobody", [given])
        asking.close()
