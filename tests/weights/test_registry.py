"""The registry: names, aliases, what is not named, and the pairs of the modes."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from posewright.errors import UsageError
from posewright.skeletons import list_skeletons
from posewright.weights import find_model, stated_skeleton
from posewright.weights.modes import BODIES, MODES, pair
from posewright.weights.registry import checkpoints, entries, find, lookup, names

ONNX = [entry for entry in entries().values() if entry.origin == "onnx"]


def test_names_and_aliases_are_unique() -> None:
    assert [name for name, count in Counter(names()).items() if count > 1] == []
    assert len(ONNX) > 90 and len(checkpoints()) > 100


def test_onnx_networks_have_hyphens_and_none_is_called_as_one_of_the_zoo() -> None:
    assert not [entry.name for entry in ONNX if "_" in entry.name]
    models = pytest.importorskip("posewright.models")
    zoo = models.variants(None)
    assert not set(zoo) & set(names())


@pytest.mark.parametrize("entry", ONNX, ids=lambda entry: entry.name)
def test_every_row_is_complete(entry: object) -> None:
    from posewright.weights.registry import Entry

    assert isinstance(entry, Entry)
    assert entry.addresses and all(a.startswith("https://") for a in entry.addresses)
    assert bool(entry.member) == entry.addresses[0].endswith(".zip")
    for sha in (entry.sha256, entry.archive_sha256):
        assert re.fullmatch(r"([0-9a-f]{64})?", sha)
    assert entry.sources == 0 or entry.sha256 or entry.archive_sha256
    assert entry.code_licence == "Apache-2.0" and min(entry.input) > 0 and entry.layout
    detector = entry.kind in ("detector", "hand-detector")
    assert detector or entry.kind in ("pose", "one-stage")
    assert detector == (entry.joints == 0) == (entry.skeleton == "")
    if entry.skeleton and entry.skeleton != "vitpose25":
        assert entry.skeleton in list_skeletons()
        assert entry.skeleton.endswith(str(entry.joints))
    if "humanart" in entry.name:
        assert "non-commercial" in entry.terms and not entry.permissive


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("human", "rtmpose-m"),
        ("body17", "rtmpose-m"),
        ("COCO_17", "rtmpose-m"),
        ("balanced:body", "rtmpose-m"),
        ("body26", "rtmpose-m-halpe26"),
        ("HALPE_26", "rtmpose-m-halpe26"),
        ("wholebody", "rtmw-l"),
        ("COCO_133", "rtmw-l"),
        ("hand", "rtmpose-m-hand"),
        ("face", "rtmpose-m-face"),
        ("rtmo", "rtmo-l"),
        ("vitpose", "vitpose-b"),
        ("rtmdet-m", "rtmdet-m-person"),
    ],
)
def test_names_of_other_tools(alias: str, name: str) -> None:
    assert find(alias).name == name


def test_the_embedded_network_keeps_its_name() -> None:
    assert find("movenet-thunder").origin == "embedded"
    assert find("movenet-thunder-hub").origin == "onnx"
    assert find("hrnet_w32-coco-256x192").origin == "checkpoint"


def test_a_wrong_name_suggests_the_nearest_three() -> None:
    for look in (find, find_model):
        with pytest.raises(UsageError, match=r"did you mean '[^']+', '[^']+' or '[^']+'\?") as no:
            look("rtmpose-q")
        assert str(no.value).count("'rtmpose-") == 4
    with pytest.raises(UsageError, match="no network 'qqqqqqq'; `posewright"):
        find("qqqqqqq")


@pytest.mark.parametrize(
    "name", ["yolo11m-pose", "yolov8n-pose.pt", "YOLO26x-pose", "yolo_nas_pose_m", "sapiens-0.3b"]
)
def test_what_is_not_named_is_said_in_one_line(name: str) -> None:
    with pytest.raises(UsageError, match=r"is not named by posewright: .*give its path") as no:
        find_model(name)
    assert "\n" not in str(no.value) and "rtmpose-m" in str(no.value)


def test_names_of_our_networks_are_not_taken_for_those() -> None:
    found = lookup("yolox-m")
    assert found is not None and found.name == "yolox-m"
    for name in ("yolo_pose_l6", "yoloxpose_s", "yolov8n-pose.onnx"):
        assert lookup(name) is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("body", BODIES)
def test_the_pairs_of_the_modes(mode: str, body: str) -> None:
    pose, detector = map(find, pair(mode, body))
    assert pose.permissive and detector.permissive
    assert pose.joints == (21 if body == "hand" else int(body))
    assert detector.kind == ("hand-detector" if body == "hand" else "detector")
    assert pose.data  # what it was trained on is printed when it is fetched
    assert "HumanArt" not in detector.data


def test_wrong_modes() -> None:
    assert pair() == ("rtmpose-m", "rtmdet-m-person")
    with pytest.raises(UsageError, match="did you mean 'balanced'"):
        pair("balance")
    with pytest.raises(UsageError, match="'18' is not one of 17, 26, 133, hand"):
        pair("balanced", 18)


def test_skeletons_that_the_number_of_joints_does_not_tell() -> None:
    assert stated_skeleton("balanced:animal") == "ap10k17"
    assert stated_skeleton("vitpose-s-coco25") == "vitpose25"
    assert stated_skeleton("rtmpose-m") == stated_skeleton("any.onnx") == ""


def test_the_hosts_of_the_table() -> None:
    """A new one is a decision: it is asked for files that are run."""
    hosts = {urlsplit(address).hostname for entry in ONNX for address in entry.addresses}
    assert hosts == {"download.openmmlab.com", "huggingface.co", "github.com"}


def test_a_name_is_found_without_numpy_and_what_downloads_need() -> None:
    code = (
        "import sys; from posewright.weights.registry import find; "
        "assert find('rtmpose-m').joints == 17; "
        "print({'numpy', 'ssl', 'urllib.request', 'csv', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_page_of_networks_is_the_registrys() -> None:
    path = Path(__file__).parents[2] / "tools" / "write_networks_page.py"
    spec = importlib.util.spec_from_file_location("write_networks_page", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = module.PAGE.read_text(encoding="utf-8")
    assert written == module.page(written), "run: python tools/write_networks_page.py"
    listed = [line for line in written.splitlines() if re.match(r"\| `[a-z]", line)]
    assert len(listed) == len(entries())


@pytest.mark.parametrize("name", ["yolov3", "yolov3-spp"])
def test_what_darknet_published_is_not_taken_for_a_port_of_it(name: str) -> None:
    from posewright.weights.registry import lookup

    assert lookup(name) is None
    with pytest.raises(UsageError, match="AGPL"):
        lookup(f"{name}u" if name == "yolov3" else "yolov5s")
