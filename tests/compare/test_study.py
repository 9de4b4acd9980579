"""Comparing models: what is measured, the tables, the files and the verb."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.cli import main
from posewright.compare.cost import Cost, measure_cost
from posewright.compare.degrade import parse
from posewright.compare.report import comma_separated, comparison_page, markdown, write_study
from posewright.compare.study import Row, Study, compare
from posewright.datasets import Dataset, Sample, open_dataset
from posewright.datasets.formats.coco_out import write_labels
from posewright.datasets.synthetic import synth
from posewright.errors import ModelError, SourceError, UsageError
from posewright.skeletons import COCO17
from posewright.weights import EMBEDDED

COST = Cost(28_500_000, 7.13, 40.25, 38.0, 44.5, 12.345, 512.0, "torch 2.10 cpu fp32", 6.64)
UNKNOWN = {"parameters": None, "gmacs": None, "gflops": None, "memory_mb": None}
FILE_ONLY = replace(COST, **UNKNOWN, runtime="onnxruntime")


def handmade() -> Study:
    rows = (
        Row(
            "a|b.onnx",
            "movenet",
            (256, 256),
            FILE_ONLY,
            0.5,
            {"AP": 0.5},
            {"grey": 0.45, "lowres:64": 0.25},
        ),
        Row(
            "w32.safetensors",
            "hrnet_w32",
            (192, 256),
            COST,
            0.75,
            {"AP": 0.75},
            {"grey": 0.76, "lowres:64": -1.0},
        ),
    )
    return Study("<val>", 10, 25, "AP", "a machine", False, rows, ("bad.jpg",))


def test_markdown_says_what_each_model_costs_and_loses() -> None:
    text = markdown(handmade())
    lines = text.splitlines()
    assert lines[0] == "<val>: 10 images, 25 people, labelled boxes; on a machine"
    cells = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines if "w32" in line]
    assert cells[0] == [
        "w32.safetensors",
        "192 x 256",
        "28.50",
        "7.13",
        "6.64",
        "12.3",
        "40.2 (38.0 to 44.5)",
        "512",
        "0.7500",
    ]
    assert cells[1] == ["w32.safetensors", "0.7500", "0.7600 (+0.0100)", "-"]
    assert "a\\|b.onnx" in text  # a bar does not tear the table
    first = next(line for line in lines if "a\\|b" in line)
    assert first.count("  - |") == 4  # parameters, GMACs, GFLOPs and memory are not known
    assert "0.2500 (-0.2500)" in text


def test_csv_and_json_hold_the_same_numbers() -> None:
    study = handmade()
    table = list(csv.DictReader(io.StringIO(comma_separated(study))))
    data = json.loads(json.dumps(study.to_dict(), allow_nan=False))
    for line, row in zip(table, data["rows"], strict=True):
        for key in ("person_ms", "picture_ms", "parameters", "gmacs", "gflops", "memory_mb"):
            assert (float(line[key]) if line[key] else None) == row[key]
        assert float(line["AP"]) == row["value"]
    assert table[1]["AP lowres:64"] == ""
    assert data["rows"][0]["drop"] == {"grey": pytest.approx(0.05), "lowres:64": 0.25}
    assert data["rows"][1]["drop"]["lowres:64"] is None


def test_the_page_is_escaped_and_has_its_plots() -> None:
    html = comparison_page(handmade())
    assert "&lt;val&gt;" in html and "<val>" not in html and "<script" not in html
    assert html.count("<svg") == 3  # time, work, degradations
    assert "bad.jpg" in html
    clean = replace(handmade(), rows=tuple(replace(r, degraded={}) for r in handmade().rows))
    assert comparison_page(clean).count("<svg") == 2
    assert "degraded" not in markdown(clean)


def test_files_are_written_whole(tmp_path: Path) -> None:
    files = write_study(handmade(), tmp_path / "out")
    assert {f.name for f in files} == {f"compare.{e}" for e in ("md", "json", "csv", "html")}
    assert sorted((tmp_path / "out").iterdir()) == sorted(files)
    write_study(handmade(), tmp_path / "out")


# --- cost ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stick_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels of five drawn images."""
    folder = tmp_path_factory.mktemp("synth")
    write_labels(synth(folder, 5, 3, overwrite=True), folder / "annotations.json")
    return folder / "annotations.json"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small network with random weights."""
    torch = pytest.importorskip("torch")
    from posewright.models import create
    from posewright.models.saving import save_model

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("net") / "small.safetensors"
    save_model(create("lite_hrnet_18", input_size=(96, 128)), path)
    return path


def test_cost_of_a_network_of_the_zoo(stick_people: Path, network: Path) -> None:
    from posewright.models.counting import count
    from posewright.models.saving import load_model

    cost = measure_cost(str(network), open_dataset(stick_people).samples)
    counts = count(load_model(network)[0])
    assert (cost.parameters, cost.gmacs) == (counts.parameters, counts.gmacs)
    assert cost.gflops == counts.gflops
    assert 0 < cost.low <= cost.picture_ms <= cost.high
    assert 0 < cost.person_ms <= cost.picture_ms
    assert cost.memory_mb is None or 100 < cost.memory_mb < 4000
    assert "torch" in cost.runtime


def test_peak_memory_is_the_model_s_own_not_the_caller_s(stick_people: Path) -> None:
    ballast = np.ones(1 << 28, np.uint8)  # 256 MiB in this process
    cost = measure_cost("movenet-thunder", open_dataset(stick_people).samples)
    if cost.memory_mb is None:
        pytest.skip("this system does not tell the memory of a process")
    peak_here = next(
        int(line.split()[1]) / 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    assert cost.memory_mb < peak_here
    assert cost.parameters == 6_226_050 and round(cost.gmacs or 0, 3) == 0.915 and len(ballast)


def test_cost_needs_people_and_pictures(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no image has people with labelled joints"):
        measure_cost("movenet-thunder", [])
    gone = Sample.of(tmp_path / "gone.png", (64, 64), 1, np.ones((1, 17, 3)))
    with pytest.raises(ModelError, match=r"gone\.png cannot be read"):
        measure_cost("movenet-thunder", [gone])


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes a process of its own."""
    monkeypatch.setattr("posewright.compare.study.measure_cost", lambda *args, **options: COST)


def test_a_model_that_hangs_is_given_up(
    stick_people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posewright.compare.cost.HANGS", 0.05)
    with pytest.raises(ModelError, match="could not be timed within"):
        measure_cost("movenet-thunder", open_dataset(stick_people).samples)


# --- compare -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some_people(data_dir: Path) -> Dataset:
    """Five real images with people."""
    labels = open_dataset(data_dir / "coco" / "person_keypoints.json")
    part: Dataset = labels[[i for i, s in enumerate(labels) if s.labelled.any()][:5]]
    return part


def test_compare_measures_every_model_on_every_degradation(
    some_people: Dataset, untimed: None
) -> None:
    said: list[str] = []
    models = ["movenet-thunder", str(EMBEDDED["movenet-thunder"].path)]
    changes = parse("grey,lowres:16,noise:5")
    study = compare(models, some_people, degradations=changes, progress=said.append)
    assert [row.model for row in study.rows] == ["movenet-thunder", "movenet-thunder.onnx"]
    assert study.metric == "AP" and study.degradations == ["grey", "lowres:16", "noise:5"]
    assert study.pictures == 5
    assert study.people == sum(int(s.labelled.astype(bool).sum()) for s in some_people)
    first, second = study.rows
    assert first.value > 0.3 and first.numbers["AP"] == first.value and first.view == (192, 256)
    assert first.degraded["lowres:16"] < first.value / 4  # nobody can be read at 16 px
    assert first.degraded["noise:5"] < first.value
    assert first.degraded == second.degraded and first.value == second.value  # noise included
    assert len(said) == 2 * 5


def test_flip_runtime_and_device_reach_the_evaluation_and_the_timing(
    some_people: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[dict[str, object]] = []

    def note(model: str, samples: object, **options: object) -> Cost:
        timed.append(options)
        return COST

    monkeypatch.setattr("posewright.compare.study.measure_cost", note)
    own = ("my_net.py:pebble",)
    where: dict[str, Any] = {"runtime": "onnxruntime", "device": "auto", "own": own}
    plain, flipped = (
        compare(["movenet-thunder"], some_people, flip=flip, **where).rows[0].value
        for flip in (False, True)
    )
    assert plain != flipped
    assert timed == [{"flip": False, **where}, {"flip": True, **where}]
    with pytest.raises(UsageError, match="no device 'tpu'"):
        compare(["movenet-thunder"], some_people, runtime="onnxruntime", device="tpu")


def test_grey_pictures_lose_nothing_by_grey(tmp_path: Path, untimed: None) -> None:
    dataset = synth(tmp_path / "s", 3, 1)
    for sample in dataset:
        grey = cv2.imread(str(sample.image), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(sample.image), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    row = compare(["movenet-thunder"], dataset, degradations=parse("grey")).rows[0]
    assert row.degraded["grey"] == row.value and row.drop("grey") == 0


def test_what_cannot_be_compared_is_refused_at_once(stick_people: Path) -> None:
    dataset = open_dataset(stick_people)
    with pytest.raises(UsageError, match="name a model"):
        compare([], dataset)
    with pytest.raises(UsageError, match="is a detector"):
        compare(["movenet-thunder", "nanodet-g-person"], dataset)
    with pytest.raises(UsageError, match="no model 'movenet-thundr'; did you mean"):
        compare(["movenet-thundr"], dataset)
    with pytest.raises(SourceError, match="no people with joints"):
        compare(["movenet-thunder"], Dataset("d", COCO17, ()))


def test_a_network_that_tells_people_apart_is_no_pose_model(
    stick_people: Path, tmp_path: Path
) -> None:
    from posewright.models import create
    from posewright.models.saving import save_model

    save_model(create("osnet_x0_25"), tmp_path / "osnet.safetensors")
    with pytest.raises(UsageError, match="re-identifies people"):
        compare([str(tmp_path / "osnet.safetensors")], open_dataset(stick_people))


def test_the_verb_writes_and_prints(
    stick_people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call = ["compare", "movenet-thunder", "--data", f"coco:{stick_people}", "--limit", "2"]
    call += ["--images", str(stick_people.parent / "images"), "-o", str(tmp_path / "out")]
    assert main([*call, "--degrade", "grey", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["pictures"] == 2 and list(data["rows"][0]["degraded"]) == ["grey"]
    assert json.loads((tmp_path / "out" / "compare.json").read_text()) == data
    assert data["rows"][0]["person_ms"] > 0 and data["rows"][0]["runtime"]
    monkeypatch.setattr("posewright.compare.study.measure_cost", lambda *args, **options: COST)
    assert main(call) == 4  # the folder is in use
    assert main([*call, "--overwrite"]) == 0
    out = capsys.readouterr().out
    assert "| movenet-thunder" in out and (tmp_path / "out" / "compare.md").read_text() == out[:-1]
    assert main(["compare", "movenet-thunder", "--data", "gone.json"]) == 3
    assert main([*call, "--degrade", "gray"]) == 2
    assert main([*call, "--limit", "-1"]) == 2


def test_a_corrupt_picture_is_named_and_left_out(
    tmp_path: Path, untimed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = synth(tmp_path / "s", 3, 2)
    write_labels(dataset, tmp_path / "s" / "annotations.json")
    dataset[1].image.write_bytes(b"\x89PNG broken")
    assert main(["compare", "movenet-thunder", "--data", str(tmp_path / "s")]) == 3
    captured = capsys.readouterr()
    assert dataset[1].image.name in captured.err and "| movenet-thunder" in captured.out


def test_a_network_without_weights_has_a_cost_alone(
    stick_people: Path, untimed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    said: list[str] = []
    models = ["lite_hrnet_18", "movenet-thunder"]
    dataset = open_dataset(stick_people)
    study = compare(models, dataset, degradations=parse("grey"), progress=said.append)
    bare, whole = study.rows
    assert (bare.weights, bare.value, bare.numbers, bare.drop("grey")) == (False, -1, {}, None)
    assert whole.weights and study.metric == "AP"
    assert "lite_hrnet_18: timing alone, it has no weights" in said
    text = markdown(study)
    assert "random weights, so no accuracy: lite_hrnet_18" in text
    assert next(li for li in text.splitlines() if "| lite" in li).rstrip(" |").endswith("-")
    with pytest.raises(UsageError, match=r"onnxruntime runs \.onnx files; export lite_hrnet_18"):
        compare(models, dataset, runtime="onnxruntime")
    with pytest.raises(UsageError, match="is a detector"):
        compare(["yolox_nano"], dataset)


def test_cost_of_a_name_without_weights(stick_people: Path) -> None:
    torch = pytest.importorskip("torch")
    from posewright.models import create
    from posewright.models.counting import count

    cost = measure_cost("lite_hrnet_18", open_dataset(stick_people).samples)
    with torch.device("meta"):
        counts = count(create("lite_hrnet_18"))
    assert (cost.parameters, cost.gmacs) == (counts.parameters, counts.gmacs)
