"""What a network file says of itself: any damage is a ModelError in one line."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from posewright.cli import main
from posewright.codecs import MoveNet, SimCC
from posewright.errors import ModelError
from posewright.nms import PPoseNMS
from posewright.people import People
from posewright.runtimes.info import METADATA_KEY, ModelInfo
from posewright.skeletons import COCO17
from posewright.weights import EMBEDDED

SOMEBODY = People.of(boxes=[[0, 0, 9, 9]])
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    10**30,
    "",
    "x",
    "\ud800",
    "\x1b]0;x\x07",
    [],
    {},
    [0, 0],
    [[[1]]],
    ["a", "a"],
    {"kind": 5},
    "9" * 50_000,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the container and key of everything inside of a value of JSON."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inside in list(pairs):
        yield value, key
        if isinstance(inside, (dict, list)):
            yield from places(inside)


@pytest.mark.parametrize("codec", [MoveNet(), SimCC(smoothing=0.1, normalised=True)])
def test_any_value_in_any_place_is_read_or_refused(codec: Any) -> None:
    info = replace(ModelInfo("net", codec, COCO17), ppose=PPoseNMS.wholebody())
    text = info.to_json()
    refused = 0
    for number in range(len(list(places(json.loads(text))))):
        for odd in ODD:
            data = json.loads(text)
            holder, key = list(places(data))[number]
            holder[key] = copy.deepcopy(odd)
            try:
                found = ModelInfo.from_json(json.dumps(data), "m.onnx")
            except ModelError as error:
                assert str(error).startswith("m.onnx: its posewright metadata")
                assert len(str(error)) < 1600 and str(error).isprintable()
                refused += 1
            else:
                assert isinstance(found.name, str) and found.codec.input_size > (0, 0)
                found.codec.warps((640, 480), SOMEBODY)
    assert refused > 1000


@pytest.mark.parametrize(
    "text", ["", "[", "[" * 100_000, "5", "null", '{"codec": NaN}', '{"a": 1}', "\x00", "{}" * 2]
)
def test_texts_that_are_no_description(text: str) -> None:
    with pytest.raises(ModelError, match=r"^m\.onnx: its posewright metadata") as caught:
        ModelInfo.from_json(text, Path("m.onnx"))
    assert "\n" not in str(caught.value)


def test_numbers_out_of_range_are_named() -> None:
    data = json.loads(ModelInfo("net", MoveNet(), COCO17).to_json())
    for field, value, why in (
        ("stride", 0, "stride: 0 is not between 1 and 256"),
        ("padding", 1e308, "padding: 1e+308 is invalid"),
        ("input_size", [100_000, 256], "input_size: 100000 is not between 1 and 4096"),
        ("input_size", [2048, 2048], "2048 x 2048 are more than 2,400,000 pixels"),
        ("input_size", [192], "input_size: 1 values, not 2"),
        ("nearness", "9", "nearness: '9' is invalid"),
    ):
        text = json.dumps(data | {"codec": data["codec"] | {field: value}})
        with pytest.raises(ModelError) as caught:
            ModelInfo.from_json(text, "m.onnx")
        assert why in str(caught.value)


@pytest.mark.parametrize("field", ["origin", "attribution", "licence", "training_data"])
def test_what_a_description_says_is_read_without_the_secrets_of_addresses(field: str) -> None:
    data = json.loads(ModelInfo("net", MoveNet(), COCO17).to_json())
    said = "from https://me:hidden@host.example/x.onnx?token=hidden by them"
    found = ModelInfo.from_json(json.dumps(data | {field: said}), "m.onnx")
    assert getattr(found, field) == "from https://***@host.example/x.onnx?token=*** by them"


def test_a_description_of_several_lines_is_printed_in_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, printed = tmp_path / "m.onnx", []
    for name in ("net", "net\nlicence MIT\x1b[1m"):
        proto = onnx.load(EMBEDDED["movenet-thunder"].path)
        info = replace(ModelInfo("net", MoveNet(), COCO17), name=name)
        onnx.helper.set_model_props(proto, {METADATA_KEY: info.to_json()})
        onnx.save(proto, path)
        assert main(["models", "info", str(path)]) == 0
        printed.append(capsys.readouterr().out.splitlines())
    assert len(printed[0]) == len(printed[1])
    assert printed[1][0].split() == ["name", "net", "licence", "MIT\\x1b[1m"]


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_another_schema_is_refused_and_more_fields_are_not(schema: Any) -> None:
    info = ModelInfo("net", MoveNet(), COCO17)
    data = json.loads(info.to_json())
    assert data["schema"] == 1
    assert ModelInfo.from_json(json.dumps({**data, "added_later": 5}), "m.onnx") == info
    del data["schema"]  # as hand-made files have it
    assert ModelInfo.from_json(json.dumps(data), "m.onnx") == info
    with pytest.raises(ModelError, match=r"invalid: schema .*; this version of posewright reads 1"):
        ModelInfo.from_json(json.dumps({**data, "schema": schema}), "m.onnx")
