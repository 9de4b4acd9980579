"""Every layout of the registry by name: `predict -m NAME` and `-d NAME` on files of the makers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from posewright.cli import main
from posewright.weights.registry import Entry, entries
from tests.conftest import SHARED
from tests.helpers.networks import Site, site

MAKER = SHARED / "models" / "make_layouts.py"
pytestmark = pytest.mark.skipif(not MAKER.is_file(), reason="shared/models is not here")
# a network of each layout and skeleton -> the maker's file of that form
FILES = {
    "rtmpose-m": "static_rtmpose-m_256x192",
    "rtmpose-m-halpe26": "static_halpe26",
    "rtmw-l-384": "static_rtmw_384x288",
    "rtmpose-m-hand": "static_hand",
    "rtmpose-m-face": "static_face",
    "rtmpose-m-ap10k": "static_ap10k",
    "rtmo-m": "rtmo-m_16xb16-600e_body7-640x640-39e78cc4_20231211",
    "yolox-m-humanart": "yolox_m_8xb8-300e_humanart-c2c7a14a",
    "rtmdet-nano-person": "rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e",
    "yolox-s": "yolox_s",
    "dfine-s": "dfine_s_coco",
    "rtdetr-r18": "dfine_s_coco",
    "rfdetr-m-opendetect": "rfdetr_m_v142_576x576",
    "vitpose-b": "vitpose-b-coco",
    "vitpose-b-coco25": "vitpose-b-coco_25",
    "vitpose-b-apt36k": "vitpose-b-coco",
    "vitpose-base-simple-hub": "vitpose_base_simple_model",
    "movenet-lightning-hub": "movenet_model",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layouts")
    words = [sys.executable, "-W", "ignore", str(MAKER)]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with site(tmp_path, monkeypatch) as there:
        yield there


TRUE: dict[str, Entry] = dict(entries())


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", FILES)
def test_predict_fetches_and_runs_each_layout(
    name: str, runtime: str, made: Path, place: Site, people_jpg: Path, tmp_path: Path
) -> None:
    entry = TRUE[name]
    path = f"/{name}.zip" if entry.member else f"/{name}.onnx"
    told = {"kind": entry.kind, "layout": entry.layout, "skeleton": entry.skeleton}
    body = (made / f"{FILES[name]}.onnx").read_bytes()
    place.add(name, body, path, joints=entry.joints or "", **told)
    words = ["-d", name] if entry.kind == "detector" else ["-m", name, "-d", "whole-image"]
    words = ["-m", name] if entry.kind == "one-stage" else words
    out = tmp_path / "out"
    words += ["--runtime", runtime, "--min-score", "0", "--nms", "none", "--progress", "none"]
    assert main(["predict", str(people_jpg), "-o", str(out), "--save", "jsonl", *words]) == 0
    assert place.asked == [path]
    head, row = (out / "poses.jsonl").read_text(encoding="utf-8").splitlines()
    told = json.loads(head)
    if entry.kind == "detector":
        assert told["detector"]["name"] == name
        return
    assert told["model"]["name"] == name and told["skeleton"]["name"] == entry.skeleton
    people = json.loads(row)["people"]
    assert people and {len(person["keypoints"]) for person in people} == {entry.joints}
