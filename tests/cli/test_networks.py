"""Networks by name on the command line: fetched and run, listed, kept, carried and removed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from posewright import Pose
from posewright.cli import main
from posewright.errors import UsageError
from posewright.weights import find_model
from posewright.weights.modes import BODIES, pair
from tests.helpers.commands import make_inputs
from tests.helpers.faulty_server import certified, serving
from tests.helpers.networks import Site, dets_graph, simcc_graph, site

DETECTOR = {"kind": "detector", "layout": "rtmdet-nms", "skeleton": "", "joints": ""}
OTHER = simcc_graph(21)
OTHER_SHA = hashlib.sha256(OTHER).hexdigest()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The names of two modes, with tiny networks under them."""
    with site(tmp_path, monkeypatch) as made:
        for body, joints in (("17", 17), ("26", 26), ("133", 133), ("hand", 21)):
            name = BODIES[body][1]
            made.add(name, simcc_graph(joints), f"/{name}.zip", joints=joints, score="AP 70")
        made.add("rtmdet-m-person", dets_graph(), "/rtmdet.zip", **DETECTOR)
        made.add("rtmdet-nano-hand", dets_graph(), **{**DETECTOR, "kind": "hand-detector"})
        yield made


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


def predict(image: Path, out: Path, *words: object) -> list[object]:
    return ["predict", image, "-o", out, "--save", "jsonl", "--progress", "none", *words]


def test_predict_fetches_what_is_named_once(
    place: Site, people_jpg: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-m", "rtmpose-m", "-d", "rtmdet-m-person"]
    code, _, err = run(capsys, *predict(people_jpg, tmp_path / "a", *words))
    assert code == 0 and err.count("fetching ") == 2
    assert place.asked == ["/rtmpose-m.zip", "/rtmdet.zip"]
    head, row = (tmp_path / "a" / "poses.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(head)["model"]["name"] == "rtmpose-m"
    assert len(json.loads(row)["people"]) == 1
    code, _, err = run(capsys, *predict(people_jpg, tmp_path / "b", *words, "--offline"))
    assert code == 0 and "fetching" not in err and len(place.asked) == 2
    second = (tmp_path / "b" / "poses.jsonl").read_text(encoding="utf-8").splitlines()[1]
    assert json.loads(second)["people"] == json.loads(row)["people"]


@pytest.mark.parametrize(("body", "joints"), [("17", 17), ("26", 26), ("133", 133), ("hand", 21)])
def test_a_body_names_its_pair(
    place: Site,
    people_jpg: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    body: str,
    joints: int,
) -> None:
    code, _, err = run(capsys, *predict(people_jpg, tmp_path / "a", "--body", body))
    assert code == 0 and all(f"fetching {name} (" in err for name in pair("balanced", body))
    row = json.loads((tmp_path / "a" / "poses.jsonl").read_text(encoding="utf-8").splitlines()[1])
    assert [len(person["keypoints"]) for person in row["people"]] == [joints]
    pose = Pose(mode="balanced", body=body, runtime="onnxruntime")
    assert len(pose.skeleton) == joints and len(place.asked) == 2


def test_a_mode_excludes_a_model_and_keeps_a_detector(
    place: Site, people_jpg: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = predict(people_jpg, tmp_path / "a", "--mode", "balanced")
    code, _, err = run(capsys, *words, "-m", "rtmpose-m")
    assert code == 2 and "leave out rtmpose-m" in err and place.asked == []
    assert run(capsys, *words, "-d", "whole-image")[0] == 0
    assert place.asked == ["/rtmpose-m.zip"]
    with pytest.raises(UsageError, match="did you mean 'balanced'"):
        Pose(mode="balance")


def test_bench_takes_a_mode(place: Site, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "bench", "--count", "2", "--mode", "balanced", "--json")
    assert code == 0 and json.loads(out) and len(place.asked) == 2


def test_eval_and_compare_take_names(
    place: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")  # some of the inputs are made with it
    (tmp_path / "in").mkdir()
    make_inputs(tmp_path / "in")
    labels = tmp_path / "in" / "set" / "annotations.json"
    words = ["eval", "coco", "--ann", labels, "--limit", "2", "--json"]
    code, out, _ = run(capsys, *words, "--mode", "balanced")
    assert code == 0 and "AP" in out and place.asked == ["/rtmpose-m.zip"]
    assert run(capsys, *words, "--mode", "balanced", "--boxes", "detector")[0] == 0
    assert place.asked == ["/rtmpose-m.zip", "/rtmdet.zip"]
    assert run(capsys, *words, "-m", "rtmpose-m", "--offline")[0] == 0
    code, _, err = run(capsys, *words, "-m", "rtmpose-m", "--body", "26")
    assert code == 2 and "--body 26 goes with --mode" in err
    code, _, err = run(capsys, *words[:4], "--predictions", "p.json", "--body", "26")
    assert code == 2 and "--body has no effect" in err
    # the process that measures time has the true table, which states no sum for this one
    name = "rtmpose-m-384"
    place.add(name, simcc_graph(17))
    assert run(capsys, "models", "pull", name)[0] == 0
    words = ["compare", name, "--data", labels, "--limit", "2", "--json", "--offline"]
    code, out, err = run(capsys, *words)
    assert code == 0 and name in out and len(place.asked) == 3, err


def test_offline_home_and_another_folder(
    place: Site, people_jpg: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = predict(people_jpg, tmp_path / "a", "-m", "rtmpose-m", "-d", "whole-image")
    code, _, err = run(capsys, *words, "--offline")
    assert code == 4 and place.asked == [] and err.count("\n") == 1
    assert "models pull rtmpose-m --to DIR" in err and "--home DIR" in err
    carried = tmp_path / "carried"
    assert run(capsys, "models", "pull", "rtmpose-m", "--to", carried)[0] == 0
    assert run(capsys, "models", "path", "rtmpose-m")[0] == 4
    code, out, _ = run(capsys, "models", "path", "rtmpose-m", "--home", carried)
    assert code == 0 and Path(out.strip()).is_relative_to(carried)
    assert run(capsys, *words, "--offline", "--home", carried)[0] == 0 and len(place.asked) == 1


def test_pull_verify_info_remove_and_prune(
    place: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "rtmpose-m"
    file = tmp_path / "home" / "networks" / f"{name}.onnx"
    for verb in ("verify", "path", "remove"):
        code, _, err = run(capsys, "models", verb, name)
        assert code == 4 and f"models pull {name}" in err
    facts = json.loads(run(capsys, "models", "info", name, "--json")[1])
    assert not facts["here"] and "gmacs" not in facts
    assert run(capsys, "models", "info", name, "--measure")[0] == 4
    assert run(capsys, "models", "pull", name)[0] == 0
    told = json.loads(run(capsys, "models", "verify", name, "--json")[1])
    assert told["sha256"] == told["published"] and told["receipt"].endswith("+00:00")
    facts = json.loads(run(capsys, "models", "info", name, "--json")[1])
    assert facts["here"] and facts["file"] == str(file) and facts["checksum"] == "pinned"
    assert facts["macs"] == 0 and facts["parameters"] > 17 * 96  # the answers of the tests' graph
    file.write_bytes(b"other")
    assert "gmacs" not in json.loads(run(capsys, "models", "info", name, "--json")[1])
    assert run(capsys, "models", "verify", name)[0] == 4
    names = ("gone.onnx", "gone.onnx.receipt.json", "rtmdet-m-person.onnx.zip.part")
    stray, mine = [file.with_name(name) for name in names], file.with_name("my-own.onnx")
    for each in (*stray, mine):
        each.write_bytes(b"12345")
    told = json.loads(run(capsys, "models", "prune", "--json")[1])
    assert sorted(told["removed"]) == sorted(map(str, stray)) and told["bytes"] == 15
    assert not any(map(Path.exists, stray)) and file.exists() and mine.exists()
    mine.unlink()
    assert run(capsys, "models", "remove", name)[0] == 0
    assert list(file.parent.iterdir()) == []
    code, _, err = run(capsys, "models", "remove", "movenet-thunder")
    assert code == 2 and "part of posewright" in err


def test_a_replaced_file_is_taken_in_one_step(
    place: Site, people_jpg: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.add("net", simcc_graph(17))
    place.files["/net.onnx"] = OTHER
    words = predict(people_jpg, tmp_path / "a", "-m", "net", "-d", "whole-image")
    code, _, err = run(capsys, *words)
    assert code == 4 and OTHER_SHA in err and "models pull net --accept SHA256" in err
    assert run(capsys, "models", "pull", "net", "--accept", OTHER_SHA.upper())[0] == 0
    assert run(capsys, *words)[0] == run(capsys, "models", "verify", "net")[0] == 0
    code, _, err = run(
        capsys, "models", "pull", "hrnet_w32-coco-256x192", "--accept", OTHER_SHA, "--offline"
    )
    assert code == 2 and "--accept is for ONNX files" in err


def test_https_of_an_authority_of_the_users(
    place: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    with serving(place.answer, context) as secure:
        place.files["/far.onnx"] = OTHER
        address = f"https://127.0.0.1:{secure.port}/far.onnx"
        place.add("far", OTHER, addresses=address)
        assert find_model("far")[0].read_bytes() == OTHER and len(secure.asked) == 1


@pytest.mark.parametrize(
    ("words", "most"),
    [
        (["--kind", "detector"], 37),
        (["--joints", "26"], 7),
        (["--licence", "permissive"], 92),
        (["--kind", "one-stage", "--sort", "score"], 4),
    ],
)
def test_the_list_is_filtered_and_sorted(
    words: list[str], most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = json.loads(run(capsys, "models", "list", *words, "--json")[1])
    whole = json.loads(run(capsys, "models", "list", "--sort", "name", "--json")[1])
    assert 0 < len(rows) <= most < len(whole)
    assert {row["name"] for row in rows} <= {row["name"] for row in whole}
    if words[1].isdigit():
        assert {row["joints"] for row in rows} == {26}
    if "permissive" in words:
        assert not [row for row in rows if "HumanArt" in row["terms"] or not row["licence"]]
    if "score" in words:
        assert [row["name"] for row in rows] == ["rtmo-l", "rtmo-m", "rtmo-s", "rtmo-t"]
    out = run(capsys, "models", "list", *words)[1]
    assert out.startswith("name ") and all(f"{row['name']} " in out for row in rows)


def test_the_order_by_size_and_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(run(capsys, "models", "list", "--sort", "size", "--json")[1])
    sizes = [row["bytes"] for row in rows if row["bytes"] and not row["here"]]
    assert sizes == sorted(sizes) and sizes
    code, out, err = run(capsys, "models", "list", "--joints", "3")
    assert code == 0 and out == "" and "no network fits" in err


def test_onnx_networks_are_listed_and_described_without_runtimes() -> None:
    code = (
        "import sys; from posewright.cli import main; "
        "main(['models', 'list', '--kind', 'pose']); main(['models', 'info', 'rtmpose-m']); "
        "print({'torch', 'onnxruntime', 'cv2', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "rtmpose-m " in done.stdout and done.stdout.endswith("set()\n")


def test_settings_of_a_command_end_with_it(
    place: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(os.environ)
    run(capsys, "models", "pull", "rtmpose-m", "--offline", "--to", "/nowhere/at/all")
    assert dict(os.environ) == before
