"""posewright eval --refine: the scores of refined poses, of a file and of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posewright.codecs import PoseFix
from posewright.datasets.base import Dataset
from posewright.datasets.opening import open_dataset
from posewright.errors import UsageError
from posewright.evaluation.evaluate import evaluate
from posewright.evaluation.refining import score_refined
from posewright.pipeline.refiner import Refiner
from posewright.readers import read_results
from posewright.runtimes import load_model
from posewright.skeletons import COCO17
from tests.helpers.models import Knowing
from tests.helpers.refiners import small_refiner
from tests.helpers.runs import run


@pytest.fixture(scope="module")
def refiner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_refiner(tmp_path_factory.mktemp("posefix") / "small.onnx")


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set") / "made"
    assert run("data", "synth", "-o", folder, "--count", 4) == 0
    return next(folder.rglob("*.json"))


def found(labels: Path, path: Path, named: bool = False) -> Path:
    """Results near the truth, by number or by name of the images."""
    rng, entries = np.random.default_rng(0), []
    for sample in open_dataset(labels):
        for box, joints in zip(sample.people.boxes, sample.keypoints, strict=True):
            x, y, s = np.moveaxis(joints, 1, 0)
            points = np.stack([x + rng.normal(0, 3, 17), y + rng.normal(0, 3, 17), (s > 0) * 0.9])
            entries.append(
                {
                    "image_id": sample.image.name if named else sample.image_id,
                    "category_id": 1,
                    "keypoints": np.float32(points.T).ravel().tolist(),
                    "score": float(rng.uniform(0.5, 1)),
                    "bbox": [*map(float, box[:2]), *map(float, box[2:] - box[:2])],
                }
            )
    path.write_text(json.dumps(entries))
    return path


def numbers(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    capsys.readouterr()
    assert run("eval", "coco", *words, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize("named", [False, True])
def test_a_file_scores_what_its_refined_copy_does(
    named: bool, labels: Path, refiner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = found(labels, tmp_path / "found.json", named)
    told = numbers(capsys, "--ann", labels, "--predictions", file, "--refine", refiner)
    plain = numbers(capsys, "--ann", labels, "--predictions", file)
    images = open_dataset(labels)[0].image.parent
    words = ["--images", images, "-m", refiner, "-o", tmp_path / "out", "--device", "cpu"]
    assert run("refine", file, *words) == 0
    copy = numbers(capsys, "--ann", labels, "--predictions", tmp_path / "out" / "found.json")
    assert {k: told[k] for k in copy} == copy and told["unrefined"]["AP"] == plain["AP"]
    assert told["AP"] != plain["AP"] > 0.2
    flipped = numbers(capsys, "--ann", labels, "--predictions", file, "--refine", refiner, "--flip")
    assert flipped["joints"] != told["joints"]
    assert run("eval", "coco", "--ann", labels, "--predictions", file, "--refine", refiner) == 0
    assert f"AP before refinement by {refiner}: {plain['AP']:.4f}" in capsys.readouterr().out


def test_a_model_scores_what_its_refined_file_does(
    labels: Path, refiner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--ann", labels, "-m", "movenet-thunder", "--nms", "oks", "-o"]
    plain = numbers(capsys, *words, tmp_path / "plain.json")
    told = numbers(capsys, *words, tmp_path / "refined.json", "--refine", refiner)
    file = numbers(
        capsys, "--ann", labels, "--predictions", tmp_path / "plain.json", "--refine", refiner
    )
    assert told["settings"]["refine"] == "small-posefix" and "refine" not in plain["settings"]
    assert told["joints"] == file["joints"] != plain["joints"]
    one, two = (list(read_results(tmp_path / f"{n}.json")) for n in ("plain", "refined"))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.scores, b.scores)
        assert not np.array_equal(a.keypoints, b.keypoints)


def test_images_that_cannot_be_read_are_told(
    labels: Path, refiner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = found(labels, tmp_path / "found.json")
    images = tmp_path / "images"
    images.mkdir()
    words = ["--ann", labels, "--predictions", file, "--refine", refiner, "--images", images]
    assert run("eval", "coco", *words) == 3
    assert "no image of its people can be read" in capsys.readouterr().err
    first = open_dataset(labels)[0].image
    (images / first.name).write_bytes(first.read_bytes())
    assert run("eval", "coco", *words) == 3
    assert capsys.readouterr().err.count("warning: ") == 3


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["coco", "--predictions", "found.json", "--refine", "movenet-thunder"], "does not refine"),
        (["crowdpose", "--predictions", "found.json", "--refine", "good"], "14"),
        (["mpii", "--predictions", "found.json", "--refine", "good"], "mpii has others"),
        (["coco", "--predictions", "found.json", "--refine", "good", "--nms", "oks"], "--nms has"),
        (["coco", "--predictions", "found.json", "--images", "x"], "--images has no effect"),
        (["coco", "--predictions", "found.json", "--refine", "good", "--refine", "good"], "twice"),
    ],
)
def test_what_does_not_go_together_is_told(
    words: list[str],
    text: str,
    labels: Path,
    refiner: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    found(labels, tmp_path / "found.json")
    given = [str(refiner) if word == "good" else word for word in words]
    assert run("eval", *given, "--ann", labels) == 2
    assert text in capsys.readouterr().err


def test_nobody_is_nobody(labels: Path, refiner: Path, tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text("[]")
    network = Refiner(load_model(refiner))
    before, after, told = score_refined("coco", labels, tmp_path / "none.json", network)
    assert before.numbers == after.numbers and after.numbers["AP"] == 0 and not told


def test_a_network_that_refines_takes_no_other(labels: Path, refiner: Path) -> None:
    dataset = open_dataset(labels)
    assert isinstance(dataset, Dataset)
    model = Knowing([], COCO17)
    model.codec = PoseFix((96, 128))
    with pytest.raises(UsageError, match="refines labelled poses itself; leave refine out"):
        evaluate(model, dataset, refine=Refiner(load_model(refiner)))  # type: ignore[arg-type]
