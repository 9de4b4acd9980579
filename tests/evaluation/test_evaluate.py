"""Models over labelled images: every measure, against pycocotools and by hand."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.cli import main
from posewright.cli.running import RESCORE as WORDS
from posewright.codecs import PoseFix
from posewright.datasets import Dataset, Sample, open_dataset
from posewright.datasets.formats.coco_out import write_labels
from posewright.errors import SourceError, UsageError
from posewright.evaluation.arrays import in_order, labels_of
from posewright.evaluation.by_oks import score_instances
from posewright.evaluation.coco_files import detections, read_entries
from posewright.evaluation.columns import WHOLE_BODY
from posewright.evaluation.evaluate import Evaluation, data_of, evaluate
from posewright.evaluation.label_sets import with_heads
from posewright.evaluation.rescoring import RESCORE, rescored
from posewright.evaluation.result_files import write_results
from posewright.evaluation.running import FileBoxes, LabelledBoxes
from posewright.evaluation.scoring import Scoring, main_metric, score_files
from posewright.people import Frame, People
from posewright.readers import read_boxes
from posewright.skeletons import (
    COCO17,
    COCO133,
    CROWDPOSE14,
    HALPE26,
    LSP14,
    MPII16,
    POSETRACK17,
    Skeleton,
)
from tests.helpers.models import Knowing

SIZE = (96, 80)
OWN = Skeleton("own", ("tail", "left_paw", "right_paw"))


def labelled(folder: Path, skeleton: Skeleton, people: list[int], **more: Any) -> Dataset:
    """Images with random people, their ids falling; the last joint of the first is unlabelled."""
    rng = np.random.default_rng(5)
    samples = []
    for i, count in enumerate(people):
        file = folder / f"{900 - i}.png"
        cv2.imwrite(str(file), np.full((SIZE[1], SIZE[0], 3), i, np.uint8))
        points = rng.uniform(5, 75, (count, len(skeleton), 3)).round()
        points[:, :, 2] = 2
        points[:1, -1] = 0
        known = {k: v[:count] for k, v in more.items()}
        numbers = np.arange(count) + 10 * i
        samples.append(Sample.of(file, SIZE, 900 - i, points, numbers=numbers, **known))
    return Dataset("made", skeleton, tuple(samples))


def knowing(dataset: Dataset) -> Knowing:
    """The model that finds exactly the truth, best people last."""
    answers = [
        s.people.replace(
            box_scores=np.linspace(0.5, 1, len(s), dtype="f4"), scores=s.people.scores * 0.9
        )
        for s in dataset
    ]
    return Knowing(answers, dataset.skeleton)


HEADS = np.tile([10.0, 10, 40, 50], (4, 1))
KINDS = {
    "coco": (COCO17, {}, "AP", 1.0),
    "coco-wholebody": (COCO133, {}, "AP", 1.0),
    "crowdpose": (CROWDPOSE14, {}, "AP", 1.0),
    "lsp": (LSP14, {}, "PCK@0.2", 100.0),
    "mpii": (MPII16, {"heads": HEADS}, "PCKh@0.5", 100.0),
    "posetrack": (POSETRACK17, {"heads": HEADS}, "mAP", 100.0),
    "pck": (OWN, {}, "AP", 1.0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_is_perfect_and_nobody_is_nothing(kind: str, tmp_path: Path) -> None:
    skeleton, more, name, best = KINDS[kind]
    dataset = labelled(tmp_path, skeleton, [1, 1] if kind == "lsp" else [2, 0, 3], **more)
    assert data_of(dataset) == kind
    model = knowing(dataset)
    found = evaluate(model, dataset)
    assert found.scoring.data == kind
    assert main_metric(found.scoring) == (name, pytest.approx(best))
    if "PCK@0.2" in found.scoring.numbers:
        assert found.scoring.numbers["PCK@0.2"] == 100 and found.scoring.numbers["EPE"] == 0
    assert all((values == 1).all() for values in found.likeness)
    assert [len(p) for p in found.results] == [len(s) for s in dataset]
    model.answers = [People.empty(skeleton)] * len(dataset)
    nobody = evaluate(model, dataset)
    assert main_metric(nobody.scoring) == (name, 0)
    assert all((values == 0).all() for values in nobody.likeness)
    none = evaluate(model, dataset[:0], data=kind) if not more else None
    assert none is None or main_metric(none.scoring) == (name, -1)
    json.dumps(nobody.to_dict(), allow_nan=False)


def test_the_verb_offers_all() -> None:
    assert set(WORDS) == set(RESCORE)


def test_a_call_takes_several_pictures_and_order_stays(tmp_path: Path) -> None:
    sizes = []

    class Counting(Knowing):
        def __call__(self, views: Any, condition: Any = None) -> dict[str, Any]:
            sizes.append(len(views))
            return super().__call__(views)

    dataset = labelled(tmp_path, COCO17, [1, 2, 3, 0, 1, 2])
    seen = []
    answers = knowing(dataset).answers
    found = evaluate(
        Counting(answers, COCO17), dataset, batch=4, threads=2, progress=lambda p: seen.append(p)
    )
    assert sorted(sizes) == [2, 4]
    assert [len(p) for p in found.results] == [1, 2, 3, 0, 1, 2]
    assert [p.done for p in seen] == [1, 2, 3, 4, 5, 6] and seen[-1].people == 9


def test_main_metric_and_kind(tmp_path: Path) -> None:
    assert main_metric(Scoring("lsp", {"EPE": 3.0, "PCK@0.2": 70.0})) == ("PCK@0.2", 70)
    assert data_of(labelled(tmp_path, MPII16, [1])) == "pck"  # no head boxes
    assert data_of(labelled(tmp_path, LSP14, [1, 2])) == "pck"  # not one person an image
    assert data_of(labelled(tmp_path, HALPE26, [1])) == "pck"


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    dataset = labelled(tmp_path, MPII16, [1])
    model = knowing(dataset)
    for options, message in (
        ({"data": "mpii"}, "no head boxes"),
        ({"data": "coco"}, "pck works with any joints"),
        ({"data": "cocoo"}, "did you mean 'coco'"),
        ({"rescore": "boxes"}, "did you mean 'box'"),
    ):
        with pytest.raises(UsageError, match=message):
            evaluate(model, dataset, **options)
    with pytest.raises(UsageError, match="predicts none of the joints"):
        evaluate(Knowing([], OWN), dataset)


def test_rescoring_by_hand() -> None:
    points = np.zeros((2, 3, 2))
    people = People.of(None, [0.5, 1.0], points, [[0.1, 0.5, 0.9], [0.1, 0.2, 0.0]])
    expected = {
        "box": [0.5, 1.0],
        "mean": [0.5, 0.1],
        "box*mean": [0.25, 0.1],
        "hrnet": [0.35, 0.0],
        "alphapose": [0.5 + 0.5 + 1.25 * 0.9, 0.1 + 1 + 1.25 * 0.2],
    }
    for way, values in expected.items():
        assert rescored(people, way) == pytest.approx(values)
        assert len(rescored(people[:0], way)) == 0


def test_rescoring_ranks(tmp_path: Path) -> None:
    """A wrong person with a good box and bad joints comes first by box alone."""
    dataset = labelled(tmp_path, COCO17, [1])
    truth = dataset[0].people
    wrong = truth.replace(keypoints=truth.keypoints + 500, boxes=truth.boxes + 500)
    both = People.concat([wrong, truth]).replace(
        box_scores=np.array([1, 0.8], "f4"), scores=np.array([[0.3] * 17, [0.9] * 17], "f4")
    )
    ap = {w: evaluate(Knowing([both], COCO17), dataset, rescore=w).scoring.numbers for w in RESCORE}
    assert ap["box"]["AP"] == pytest.approx(0.5) and ap["box*mean"]["AP"] == pytest.approx(1)


def test_joints_that_are_shared(tmp_path: Path) -> None:
    """A COCO model on CrowdPose: 12 of 14 joints, perfect on these."""
    dataset = labelled(tmp_path, CROWDPOSE14, [2, 1])
    answers = [
        s.people.replace(
            keypoints=np.where(
                (CROWDPOSE14.mapping(COCO17) >= 0)[:, None],
                s.people.keypoints[:, CROWDPOSE14.mapping(COCO17)],
                999,
            ),
            scores=np.ones((len(s), 17), np.float32),
        )
        for s in dataset
    ]
    found = evaluate(Knowing(answers, COCO17), dataset)
    assert found.scoring.numbers["AP"] == pytest.approx(1)
    assert found.scoring.more["measured"] == "12 of the 14 joints of crowdpose14"
    assert found.scoring.joints["top_head"]["miss"] == -1
    assert (found.skeleton.name, found.found.name) == ("crowdpose14", "coco17")
    whole = evaluate(knowing(dataset), dataset)
    assert "measured" not in whole.scoring.more


def test_unreadable_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    dataset = labelled(tmp_path, COCO17, [2, 1, 1])
    model = knowing(dataset)
    dataset[1].image.write_bytes(b"no picture")
    found = evaluate(model, dataset)
    assert len(found.unreadable) == 1 and dataset[1].image.name in found.unreadable[0]
    assert found.scoring.numbers["AP"] == pytest.approx(1)
    assert found.scoring.more["labelled"] == 3
    assert [v.tolist() for v in found.likeness] == [[1, 1], [-1], [1]]
    with pytest.raises(SourceError, match="no image of 1 can be read"):
        evaluate(model, dataset[1:2])


def test_boxes_of_labels_leave_out_who_does_not_count(tmp_path: Path) -> None:
    points = np.ones((3, 17, 3))
    points[1, :, 2] = 0
    boxes = [[0, 0, 9, 9], [1, 1, 9, 9], [2, 2, 9, 9]]
    sample = Sample.of(tmp_path / "a.png", SIZE, 1, points, boxes, crowd=[0, 0, 1])
    people = LabelledBoxes([sample]).people(Frame(np.zeros((4, 4, 3), np.uint8)))
    assert people.boxes.tolist() == [boxes[0]] and people.ids.tolist() == [0]


def test_boxes_of_a_file_are_found_by_id_and_name(tmp_path: Path) -> None:
    file = tmp_path / "boxes.json"
    entries = [(785, 5), ("b", 6), ("c.jpg", 7)]
    file.write_text(
        json.dumps([{"image_id": i, "bbox": [0, 0, w, w], "score": 0.5} for i, w in entries])
    )
    ids = (("x.png", 785), ("y.png", "b"), ("folder/c.jpg", 3), ("z.png", 4))
    samples = [Sample.of(Path(n), SIZE, i, np.zeros((0, 17, 3))) for n, i in ids]
    boxes = FileBoxes(samples, read_boxes(file))
    blank = np.zeros((4, 4, 3), np.uint8)
    found = [boxes.people(Frame(blank, i, name=n)) for i, (n, _) in enumerate(ids)]
    assert [p.boxes[:, 2].tolist() for p in found] == [[5], [6], [7], []]


def test_heads_of_mpii(data_dir: Path, tmp_path: Path) -> None:
    """The rows of the .mat belong to the entries of the labels; other people are refused."""
    from posewright.files.matfile import read_mat

    file = data_dir / "eval_reference" / "mpii_pckh" / "detections_our_format.mat"
    mat = read_mat(file)
    points = mat["pos_gt_src"].transpose(2, 0, 1)[:3] - 1
    seen = np.where(mat["jnt_missing"].T[:3, :, None] == 0, 2, 0)
    people = np.concatenate([points, seen], 2).clip(0)
    sample = Sample.of(tmp_path / "a.png", SIZE, 1, people, numbers=[0, 1, 2])
    dataset = Dataset("mpii_val", MPII16, (sample,))
    heads = with_heads(dataset, file)[0].heads
    assert heads == pytest.approx(mat["headboxes_src"][:, :, :3].reshape(4, 3).T)
    assert (heads[:, 2:] > heads[:, :2]).all()
    for wrong in (
        sample.replace(numbers=np.array([7, 8, 9])),
        sample.replace(numbers=np.array([0, 1, 9999])),
    ):
        with pytest.raises(UsageError, match="does not match the people"):
            with_heads(replace(dataset, samples=(wrong,)), file)


def test_a_network_that_refines_is_given_mistakes(tmp_path: Path) -> None:
    """One that returns what it is given scores what the mistakes leave, the same every time."""

    class Idle(Knowing):
        def __call__(self, views: Any, condition: Any = None) -> dict[str, Any]:
            return {"heatmap": condition[:, :, 1::4, 1::4] * 4}

    dataset = labelled(tmp_path, COCO17, [2, 0, 1])
    model = Idle([], COCO17)
    model.codec = PoseFix((96, 128), sigma=4.0)  # type: ignore[assignment]
    first, again = (evaluate(model, dataset) for _ in range(2))
    assert first.scoring.numbers == again.scoring.numbers
    assert 0 < first.scoring.numbers["AP"] < 1
    assert [len(p) for p in first.results] == [2, 0, 1]


@pytest.mark.parametrize(
    "kind, ann, found",
    [
        ("coco", "xtcocotools/example_coco_val.json", "xtcocotools/example_coco_preds.json"),
        (
            "crowdpose",
            "faster_coco_eval/example_crowdpose_val.json",
            "faster_coco_eval/example_crowdpose_preds.json",
        ),
        (
            "coco-wholebody",
            "xtcocotools/cocowholebody_official_example_gt.json",
            "xtcocotools/cocowholebody_official_example_pred.json",
        ),
    ],
)
def test_labels_of_a_data_set_are_those_of_its_file(
    kind: str, ann: str, found: str, data_dir: Path
) -> None:
    """The published numbers, from the arrays that a model is measured by."""
    folder = data_dir / "eval_reference"
    dataset = open_dataset(folder / ann, kind)
    dataset = dataset[in_order(dataset.samples)]
    labels = labels_of(dataset)
    entries = detections(
        read_entries(folder / found), labels, folder / found, kind == "coco-wholebody"
    )
    scoring = score_instances(kind, labels, entries, dataset.skeleton)
    assert scoring.to_dict() == score_files(kind, folder / ann, folder / found).to_dict()


def test_verb_with_a_corrupt_picture_and_a_report(
    some: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [i["file_name"] for i in json.loads(some.read_text())["images"][:3]]
    for name in names:
        (tmp_path / name).write_bytes((data_dir / "coco" / "images" / name).read_bytes())
    (tmp_path / names[1]).write_bytes(b"no picture")
    options = ("-m", "movenet-thunder", "--images", tmp_path, "--limit", 3)
    assert call("coco", some, *options, "--report", tmp_path / "report") == 3
    shown = capsys.readouterr()
    assert names[1] in shown.err and "1 could not be read" in shown.out
    assert names[1] in (tmp_path / "report" / "report.html").read_text()


# --- the embedded network on COCO ----------------------------------------------------------------


@pytest.fixture(scope="module")
def some(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels of 24 COCO images with people."""
    data = json.loads((data_dir / "coco" / "person_keypoints.json").read_text())
    busy = {a["image_id"] for a in data["annotations"] if a.get("num_keypoints")}
    data["images"] = [i for i in data["images"] if i["id"] in busy][:24]
    kept = {i["id"] for i in data["images"]}
    data["annotations"] = [a for a in data["annotations"] if a["image_id"] in kept]
    file = tmp_path_factory.mktemp("coco") / "labels.json"
    file.write_text(json.dumps(data))
    return file


@pytest.fixture(scope="module")
def measured(data_dir: Path, some: Path) -> tuple[Evaluation, Dataset]:
    from posewright.runtimes import load_model
    from posewright.weights import find_model

    dataset = open_dataset(some, "coco", data_dir / "coco" / "images")
    model = load_model(find_model("movenet-thunder")[0], runtime="onnxruntime")
    return evaluate(model, dataset, batch=7), dataset


def test_every_number_is_that_of_pycocotools(
    measured: tuple[Evaluation, Dataset], some: Path, tmp_path: Path
) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    file = write_results(measured[0], tmp_path / "person_keypoints_test_results.json")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(some))
        run = cocoeval.COCOeval(truth, truth.loadRes(str(file)), "keypoints")
        run.evaluate()
        run.accumulate()
        run.summarize()
    numbers = measured[0].scoring.numbers
    assert list(numbers.values()) == run.stats.tolist()
    assert 0.35 < numbers["AP"] < 0.65  # .493 on all images
    assert score_files("coco", some, file).to_dict() == measured[0].scoring.to_dict()


def test_what_a_report_needs(measured: tuple[Evaluation, Dataset]) -> None:
    evaluation, dataset = measured
    assert evaluation.scoring.curves["all"].precision.shape == (10, 101)
    assert len(evaluation.results) == len(evaluation.likeness) == len(dataset)
    for sample, people, values in zip(
        dataset, evaluation.results, evaluation.likeness, strict=True
    ):
        counts = (sample.labelled > 0) & ~sample.crowd
        assert ((values >= 0) == counts).all()
        assert people.ids.tolist() == np.flatnonzero(counts).tolist()
        assert np.allclose(people.boxes, sample.people.boxes[counts])
    total = np.concatenate(evaluation.likeness)
    histogram = np.histogram(total[total >= 0], 20, (0, 1))[0]
    assert histogram.tolist() == evaluation.scoring.more["oks_histogram"]
    assert evaluation.model == "movenet-thunder" and evaluation.settings["boxes"] == "labels"


def test_one_inference_path(measured: tuple[Evaluation, Dataset]) -> None:
    """What is found is what estimate() finds, whatever the batch; flip has an effect."""
    from posewright.pipeline.estimate import estimate
    from posewright.runtimes import load_model
    from posewright.weights import find_model

    evaluation, dataset = measured
    model = load_model(find_model("movenet-thunder")[0], runtime="onnxruntime")
    for i in (0, 3):
        counts = (dataset[i].labelled > 0) & ~dataset[i].crowd
        alone = estimate(model, dataset[i].load(), dataset[i].people[counts])
        assert np.abs(alone.keypoints - evaluation.results[i].keypoints).max() < 0.01
    flipped = evaluate(model, dataset[:4], flip=True)
    assert flipped.settings["flip"]
    pairs = zip(flipped.results, evaluation.results, strict=False)
    assert any(np.abs(a.keypoints - b.keypoints).max() > 0.01 for a, b in pairs)


def call(data: str, ann: Path, *more: object) -> int:
    return main(["eval", data, "--ann", str(ann), *map(str, more)])


def test_verb(
    some: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, out = data_dir / "coco" / "images", tmp_path / "found.json"
    model = ("-m", "movenet-thunder", "--images", images, "--limit", 6)
    boxes = tmp_path / "boxes.json"
    for options, where in (
        ((), "labels"),
        (("--boxes", "detector"), "nanodet-g-person"),
        (("--boxes", boxes), "file boxes.json"),
    ):
        assert call("coco", some, *model, *options, "-o", out, "--overwrite", "--json") == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["settings"]["boxes"] == where and shown["pictures"] == 6
        assert shown["settings"]["duplicates"] == ("none" if where == "labels" else "oks_nms")
        assert len(json.loads(out.read_text())) == shown["predictions"]
        if where == "labels":
            assert shown["AP"] > 0.2
            boxes.write_bytes(out.read_bytes())  # results are boxes, too
    assert call("coco", some, *model, "--rescore", "hrnet", "--nms", "ppose", "--flip") == 0
    text = capsys.readouterr().out
    assert "\nAR75 " in text and "duplicates ppose_nms, rescore hrnet" in text
    assert call("coco", some, *model, "-o", out) == 4
    assert "already exists" in capsys.readouterr().err


def test_a_test_set_without_labels(
    some: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for COCO's test-dev: a result file, and no numbers."""
    data = json.loads(some.read_text())
    ann, out = tmp_path / "image_info_test-dev2017.json", tmp_path / "results.json"
    ann.write_text(json.dumps({"images": data["images"][:3], "categories": []}))
    model = ("-m", "movenet-thunder", "--images", data_dir / "coco" / "images")
    assert call("coco", ann, *model, "--boxes", "detector", "-o", out) == 0
    assert "no metric is computed" in capsys.readouterr().out
    entries = json.loads(out.read_text())
    assert {e["image_id"] for e in entries} <= {i["id"] for i in data["images"]}
    assert {len(e["keypoints"]) for e in entries} == {51} and entries[0]["category_id"] == 1
    assert call("coco", ann, *model) == 2
    assert "--boxes detector" in capsys.readouterr().err


def test_verb_mistakes(some: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ("-m", "movenet-thunder")
    cases: list[tuple[str, tuple[object, ...], int, str]] = [
        ("mot", model, 2, "posewright track"),
        ("coco", (*model, "--heads", some), 2, "works only with mpii"),
        ("coco", (*model, "--batch", 0), 2, "--batch 0"),
        ("posetrack", (*model, "-o", tmp_path / "a.json"), 2, "predict --track writes"),
        ("mpii", (*model, "-o", tmp_path / "a.json", "--boxes", "detector"), 2, "--boxes truth"),
        *(
            ("coco", ("--predictions", some, *words), 2, f"{words[0]} has no effect with --pred")
            for words in (
                ("--flip",),
                ("--batch", 0),
                ("--device", "nonsense"),
                ("--overwrite",),
                ("--rescore", "alphapose"),
                ("--limit", 0),
                ("--heads", some),
                ("--nms", "oks"),
            )
        ),
        ("crowdpose", (*model,), 2, "pck works with any joints"),
        ("coco", (*model, "--images", tmp_path), 3, "no image of 24 can be read"),
    ]
    for data, options, code, message in cases:
        assert call(data, some, *options) == code, options
        error = capsys.readouterr().err.splitlines()
        assert message in error[-1] and error[-1].startswith("posewright"), error


def in_fields(labels: Path) -> None:
    """Split joints over the five fields of COCO-WholeBody."""
    data = json.loads(labels.read_text())
    cuts = np.cumsum(list(WHOLE_BODY.values()))[:-1] * 3
    for entry in data["annotations"]:
        parts = np.split(np.array(entry["keypoints"]), cuts)
        entry |= {name: part.tolist() for name, part in zip(WHOLE_BODY, parts, strict=True)}
    labels.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("coco", 1),
        ("coco-wholebody", 1),
        ("coco-wholebody", 5),
        ("crowdpose", 1),
        ("halpe", 1),
        ("pck", 1),
    ],
)
def test_results_score_the_same_from_their_file(kind: str, fields: int, tmp_path: Path) -> None:
    skeleton = HALPE26 if kind == "halpe" else KINDS[kind][0]
    dataset = labelled(tmp_path, skeleton, [2, 3, 1])
    labels = tmp_path / "labels.json"
    write_labels(dataset, labels)
    if fields == 5:  # as its authors publish it
        in_fields(labels)
    dataset = open_dataset(labels, None if kind == "pck" else kind, tmp_path)
    rng = np.random.default_rng(2)
    model = knowing(dataset)
    model.answers = [
        p.replace(
            keypoints=p.keypoints + rng.normal(0, 2, p.keypoints.shape).astype("f4"),
            scores=rng.uniform(0.2, 1, p.scores.shape).astype("f4"),
        )
        for p in model.answers
    ]
    found = evaluate(model, dataset, data=kind)
    file = write_results(found, tmp_path / "found.json")
    assert score_files(kind, labels, file).numbers == pytest.approx(found.scoring.numbers, abs=1e-9)
    assert 0 < found.scoring.numbers["AP"] < 1


def test_results_of_mpii_and_lsp(tmp_path: Path) -> None:
    dataset = labelled(tmp_path, MPII16, [2], heads=HEADS)
    found = evaluate(knowing(dataset), dataset)
    with pytest.raises(UsageError, match="--boxes truth"):
        write_results(found, tmp_path / "mpii.json")
    owned = replace(
        found,
        settings={**found.settings, "boxes": "labels"},
        results=(found.results[0].replace(ids=np.array([1, 0])),),
    )
    entries = json.loads(write_results(owned, tmp_path / "mpii.json").read_text())
    assert [e["image_id"] for e in entries] == dataset[0].numbers[[1, 0]].tolist()
    points = np.array(entries[0]["keypoints"]).reshape(16, 3)[:, :2]
    assert np.allclose(points, found.results[0].keypoints[0] + 1)  # MPII counts from 1
    dataset = labelled(tmp_path, LSP14, [1, 1])
    entries = json.loads(
        write_results(evaluate(knowing(dataset), dataset), tmp_path / "lsp.json").read_text()
    )
    assert [e["image_id"] for e in entries] == [900, 899]
    nobody = evaluate(Knowing([People.empty(LSP14)] * 2, LSP14), dataset)
    assert json.loads(write_results(nobody, tmp_path / "none.json").read_text()) == []


def test_foreign_joints_on_lspet(data_dir: Path) -> None:
    """The embedded COCO model on twelve joints of Leeds Sports Pose."""
    from posewright.runtimes import load_model
    from posewright.weights import find_model

    dataset = open_dataset(data_dir / "lspet")[3600:3630]
    model = load_model(find_model("movenet-thunder")[0], runtime="onnxruntime")
    found = evaluate(model, dataset)
    assert found.scoring.data == "lsp" and "12 of the 14" in found.scoring.more["measured"]
    assert 30 < found.scoring.numbers["PCK@0.2"] < 100
    assert found.scoring.joints["neck"]["PCK@0.2"] == -1
