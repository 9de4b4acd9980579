"""posewright eval: every data set, its metric names, and one-line errors."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from posewright.cli import main
from posewright.datasets import open_dataset
from posewright.errors import UsageError
from posewright.evaluation.arrays import in_order
from posewright.evaluation.measures import MEASURES
from posewright.evaluation.scoring import score_files


@pytest.fixture(scope="module")
def reference(data_dir: Path) -> Path:
    return data_dir / "eval_reference"


def test_the_verb_offers_what_can_be_scored(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["eval", "--help"])
    assert ", ".join(MEASURES) in " ".join(capsys.readouterr().out.split())
    with pytest.raises(UsageError, match="did you mean 'coco'"):
        score_files("cocoo", "a", "b")


COCO = "AP AP50 AP75 APM APL AR AR50 AR75 ARM ARL".split()
FILES = {
    "coco": (
        "faster_coco_eval/keypoints_dataset_gt_dataset.json",
        "faster_coco_eval/keypoints_dataset_dt_dataset.json",
        COCO,
        0.504884,
    ),
    "ochuman": (
        "xtcocotools/example_coco_val.json",
        "xtcocotools/example_coco_preds.json",
        COCO,
        0.860890,
    ),
    "coco-wholebody": (
        "xtcocotools/cocowholebody_official_example_gt.json",
        "xtcocotools/cocowholebody_official_example_pred.json",
        COCO,
        0.642,
    ),
    "crowdpose": (
        "faster_coco_eval/example_crowdpose_val.json",
        "faster_coco_eval/example_crowdpose_preds.json",
        ["AP", "AP50", "AP75", "AR", "AP_easy", "AP_medium", "AP_hard"],
        0.787722,
    ),
    "mpii": (
        "mpii_pckh/detections_our_format.mat",
        "mpii_pckh/bearpaw-hg_s2_b1.mat",
        ["PCKh@0.5", "Head", "Ankle", "mean over joints", "mean by count"],
        87.299,
    ),
    "mot": (
        "motmetrics_tud/TUD-Campus/gt.txt",
        "motmetrics_tud/TUD-Campus/test.txt",
        ["MOTA", "MOTP", "IDF1", "FP", "FN", "IDs", "FM", "MT", "PT", "ML"],
        52.646,
    ),
}


def call(data: str, ann: Path, found: Path, *more: str) -> int:
    return main(["eval", data, "--ann", str(ann), "--predictions", str(found), *more])


@pytest.mark.parametrize("data", FILES)
def test_reference_files(data: str, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ann, found, names, first = FILES[data]
    assert call(data, reference / ann, reference / found, "--json") == 0
    numbers = json.loads(capsys.readouterr().out)
    assert set(names) <= set(numbers) and numbers["data"] == data
    assert numbers[names[0]] == pytest.approx(first, abs=1e-3)
    assert call(data, reference / ann, reference / found) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name}" in f"\n{shown}" for name in names)


def test_coco_by_threshold(reference: Path) -> None:
    ann, found, *_ = FILES["coco"]
    scoring = score_files("coco", reference / ann, reference / found)
    table = scoring.more["AP_by_threshold"]
    assert (table["0.50"], table["0.75"]) == (scoring.numbers["AP50"], scoring.numbers["AP75"])
    assert sum(table.values()) / 10 == pytest.approx(scoring.numbers["AP"])
    assert sum(scoring.more["oks_histogram"]) == scoring.more["labelled"] == 11


def test_box_results(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = reference / "cocoapi_results"
    found = folder / "instances_val2014_fakebbox100_results.json"
    assert call("coco", folder / "instances_val2014_100.json", found, "--json") == 0
    assert json.loads(capsys.readouterr().out)["AR100"] == pytest.approx(0.595, abs=5e-4)


def test_posetrack(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = data_dir / "formats" / "posetrack18" / "annotations" / "val"
    assert call("posetrack", folder, folder, "--json") == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["mAP"] == 100 and numbers["MOTA"] == 100 and numbers["sequences"] == 3
    assert {tuple(row) for row in numbers["joints"].values()} == {("AP", "MOTA")}
    assert call("posetrack", folder, folder.parent) == 3
    assert "is not there" in capsys.readouterr().err


def test_lsp(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from posewright.evaluation.person_files import read_lsp

    ann = data_dir / "lspet" / "joints.mat"
    people = read_lsp(ann)
    entries = [
        {"image_id": name, "score": 1.0, "keypoints": flat(people.keypoints[row])}
        for row, name in ((3600, "im03601.jpg"), (3601, 3602))
    ]
    found = tmp_path / "found.json"
    found.write_text(json.dumps(entries))
    assert call("lsp", ann, found, "--json") == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["PCK@0.2"] == 100 and numbers["EPE"] == 0
    assert (numbers["labelled"], numbers["of"]) == (2, 10000)
    found.write_text("[]")
    assert call("lsp", ann, found, "--json") == 0
    assert json.loads(capsys.readouterr().out)["PCK@0.2"] == -1
    found.write_text(json.dumps([{**entries[0], "image_id": 20000}]))
    assert call("lsp", ann, found) == 2
    assert "1 to 10000" in capsys.readouterr().err


def flat(points: Any) -> list[float]:
    return [float(x) for point in points for x in (*point, 1)]


LABELS = {
    "images": [{"id": 5, "file_name": "5.jpg"}],
    "categories": [{"id": 1, "name": "person"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 5,
            "category_id": 1,
            "bbox": [0, 0, 9, 9],
            "area": 50,
            "iscrowd": 0,
            "num_keypoints": 17,
            "keypoints": [5, 5, 2] * 17,
        }
    ],
}
PERSON = {"image_id": 5, "category_id": 1, "score": 0.5, "keypoints": [5, 5, 1] * 17}


def coco(folder: Path, found: Any, labels: Any = None) -> int:
    (folder / "gt.json").write_text(json.dumps(LABELS if labels is None else labels))
    (folder / "dt.json").write_text(found if isinstance(found, str) else json.dumps(found))
    return call("coco", folder / "gt.json", folder / "dt.json", "--json")


def test_perfect_named_and_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for person in (PERSON, {**PERSON, "image_id": "5.jpg"}, {**PERSON, "image_id": "5"}):
        assert coco(tmp_path, [person]) == 0
        assert json.loads(capsys.readouterr().out)["AP"] == pytest.approx(1)
    assert coco(tmp_path, []) == 0
    assert json.loads(capsys.readouterr().out)["AP"] == 0
    assert coco(tmp_path, [PERSON], {**LABELS, "annotations": []}) == 0
    assert json.loads(capsys.readouterr().out)["AP"] == -1


BAD = {
    "image_ids are not in": ([{**PERSON, "image_id": 6}], 2),
    "14 joints in 'keypoints', but 17 are expected": ([{**PERSON, "keypoints": [1, 2, 3] * 14}], 2),
    "entries are broken": ([PERSON, {"image_id": 5, "keypoints": [1, 2, 3] * 17}], 3),
    "NaN": ([{**PERSON, "score": float("nan")}], 3),
    "not numbers": ([{**PERSON, "keypoints": ["x"] * 51}], 3),
    "not valid JSON": ("[{", 3),
    "not a COCO result file": ({"a": 1}, 3),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_results(message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, code = BAD[message]
    assert coco(tmp_path, found) == code
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("found", [[1], [None], [[1, 2]], [{}], [{"image_id": []}], [{"bbox": 1}]])
def test_odd_entries_are_one_line_errors(
    found: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert coco(tmp_path, found) == 3
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "labels",
    [
        [],
        {"images": []},
        {**LABELS, "images": []},
        {**LABELS, "annotations": [{}]},
        {**LABELS, "images": [{"id": 7}]},
        {**LABELS, "categories": [{}]},
        {**LABELS, "annotations": [None]},
    ],
)
def test_bad_labels(labels: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coco(tmp_path, [PERSON], labels) == 3
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("index", "known"), [(0.05, 0.05), ("0.05", 0.05), (None, None), ("n/a", None), ([1], None)]
)
@pytest.mark.parametrize("data", ["coco", "crowdpose", "pck"])
def test_what_crowding_labels_state(
    data: str, index: Any, known: float | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joints = 14 if data == "crowdpose" else 17
    points = [v for k in range(joints) for v in (5 + k, 5 + k * k, 2)]
    [person] = LABELS["annotations"]
    labels = {
        **LABELS,
        "images": [{**LABELS["images"][0], "crowdIndex": index}],
        "annotations": [{**person, "keypoints": points, "num_keypoints": joints}],
    }
    (tmp_path / "gt.json").write_text(json.dumps(labels))
    (tmp_path / "dt.json").write_text(json.dumps([{**PERSON, "keypoints": points}]))
    assert call(data, tmp_path / "gt.json", tmp_path / "dt.json", "--json") == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["AP"] == pytest.approx(1)
    assert open_dataset(tmp_path / "gt.json")[0].crowd_index == known


def test_numbers_of_pictures_may_be_large(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [person], large = LABELS["annotations"], [10**25, 3, 10**24]
    points = [v for k in range(17) for v in (5 + k, 5 + k * k, 2)]
    labels = {
        **LABELS,
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in large],
        "annotations": [
            {**person, "id": n, "image_id": i, "keypoints": points} for n, i in enumerate(large)
        ],
    }
    found = [{**PERSON, "image_id": i, "keypoints": points} for i in large]
    (tmp_path / "gt.json").write_text(json.dumps(labels))
    (tmp_path / "dt.json").write_text(json.dumps(found))
    for data in ("coco", "pck"):
        assert call(data, tmp_path / "gt.json", tmp_path / "dt.json", "--json") == 0
        assert json.loads(capsys.readouterr().out)["AP"] == pytest.approx(1)
    assert in_order(open_dataset(tmp_path / "gt.json").samples).tolist() == [1, 2, 0]


def test_files_of_other_data_sets(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mpii, mot = reference / "mpii_pckh", reference / "motmetrics_tud" / "TUD-Campus"
    labels = mpii / "detections_our_format.mat"
    (tmp_path / "few.json").write_text(json.dumps([{**PERSON, "image_id": 1}]))
    (tmp_path / "twice.txt").write_text("1,1,0,0,5,5,1\n1,1,0,0,5,5,1\n")
    (tmp_path / "word.txt").write_text("1,1,0,zero,5,5,1\n")
    twins = [{"image_id": 1, "track_id": 2, "keypoints": [1] * 51, "bbox_head": [0, 0, 9, 9]}] * 2
    (tmp_path / "tracks.json").write_text(json.dumps({"images": [{"id": 1}], "annotations": twins}))
    cases = [
        ("mpii", mpii / "bearpaw-hg_s2_b1.mat", labels, 3),
        ("mpii", labels, labels, 3),
        ("mpii", labels, tmp_path / "few.json", 2),
        ("lsp", labels, tmp_path / "few.json", 3),
        ("mot", mot / "gt.txt", tmp_path / "twice.txt", 3),
        ("mot", tmp_path / "word.txt", mot / "test.txt", 3),
        ("mot", mot / "none.txt", mot / "test.txt", 3),
        ("posetrack", labels, labels, 3),
        ("posetrack", tmp_path / "tracks.json", tmp_path / "tracks.json", 3),
        ("coco", labels, labels, 3),
    ]
    for data, ann, found, code in cases:
        assert call(data, ann, found) == code, (data, ann, found)
        assert capsys.readouterr().err.count("\n") == 1


def test_every_measure_has_what_it_names() -> None:
    for measure in MEASURES.values():
        for name in filter(None, (measure.files, measure.people)):
            module, _, function = name.partition(":")
            assert callable(getattr(import_module(f"posewright.evaluation.{module}"), function))
        skeleton = measure.skeleton
        assert skeleton is None or skeleton.name == measure.joints
    assert [m.name for m in MEASURES.values() if not m.people] == ["mot"]
