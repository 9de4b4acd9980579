"""--class in every verb that reads labels, and class_name in a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posewright.cli import main
from posewright.datasets import open_dataset
from posewright.datasets.formats.coco_out import write_labels
from posewright.datasets.synthetic import synth
from posewright.recipes.lookup import recipe_of
from posewright.recipes.recipe import Recipe
from posewright.training.data import left_out, open_sets

DOGS = 3


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Four images, of which the first three hold one dog each and else people."""
    write_labels(synth(tmp_path, 4, 1), tmp_path / "labels.json")
    page = json.loads((tmp_path / "labels.json").read_text())
    page["categories"].append({**page["categories"][0], "id": 2, "name": "dog"})
    for image in page["images"][:DOGS]:
        one = next(a for a in page["annotations"] if a["image_id"] == image["id"])
        one["category_id"] = 2
    (tmp_path / "labels.json").write_text(json.dumps(page))
    return tmp_path / "labels.json"


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[dict[str, Any], str]:
    """Run a verb with --json; return its object and what it says on stderr."""
    assert main([*map(str, words), "--json"]) == 0
    out = capsys.readouterr()
    found: dict[str, Any] = json.loads(out.out)
    return found, out.err


def test_data(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = open_dataset(labels).people
    for options, count, name, other in (
        ((), people, "person", f"{DOGS} x dog"),
        (("--class", "dog"), DOGS, "dog", "x person"),
    ):
        stats, said = run(capsys, "data", "stats", labels, *options)
        assert (stats["people"], stats["class"]) == (count, name)
        assert said.startswith("note: ") and other in said and other in stats["remarks"][0]
        assert run(capsys, "data", "check", labels, *options)[0]["people"] == count
        done, said = run(capsys, "data", "convert", labels, tmp_path / f"{name}_c", *options)
        assert done["people"] == {"all": count} and other in said
        done, said = run(capsys, "data", "split", labels, "-o", tmp_path / f"{name}_s", *options)
        assert sum(done["people"].values()) == count and other in said
    assert main(["data", "stats", str(labels), "--class", "cow"]) == 2
    assert "no class 'cow'" in capsys.readouterr().err


def test_view_draws_the_class_alone(
    labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(capsys, "data", "view", labels, "-o", tmp_path / "v", "--class", "dog")[0]
    assert len(found["files"]) == DOGS


def results(labels: Path, category: int, written: int) -> Path:
    """Write the labels of a category as perfect results."""
    page = json.loads(labels.read_text())
    found = [
        {"image_id": a["image_id"], "category_id": written, "keypoints": a["keypoints"], "score": 1}
        for a in page["annotations"]
        if a["category_id"] == category
    ]
    file = labels.parent / f"results{category}{written}.json"
    file.write_text(json.dumps(found))
    return file


@pytest.mark.parametrize("data", ["coco", "pck"])
def test_eval_of_results(labels: Path, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    for category, written, options in ((1, 1, ()), (2, 2, ("--class", "dog"))):
        file = results(labels, category, written)
        found, said = run(capsys, "eval", data, "--ann", labels, "--predictions", file, *options)
        assert found["AP"] == pytest.approx(1) and said.startswith("note: ")
        assert found["labelled"] == (DOGS if options else open_dataset(labels).people)


@pytest.mark.parametrize("data", ["pck", "halpe"])
def test_eval_takes_the_class_out_of_results_of_several(
    labels: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if data == "halpe":
        page = json.loads(labels.read_text())
        for annotation in page["annotations"]:
            annotation["keypoints"] += [5, 5, 2] * 9
        for category in page["categories"]:
            category["keypoints"] += [f"more_{i}" for i in range(9)]
        labels.write_text(json.dumps(page))
    people, dogs = results(labels, 1, 1), results(labels, 2, 2)
    both = labels.parent / "both.json"
    both.write_text(json.dumps(json.loads(people.read_text()) + json.loads(dogs.read_text())))
    alone = results(labels, 2, 1)  # as a network of one class writes them
    for file in (both, dogs, alone):
        words = ("eval", data, "--ann", labels, "--predictions", file, "--class", "dog")
        found = run(capsys, *words)[0]
        assert (found["predictions"], found["AP"]) == (DOGS, pytest.approx(1))
    file = results(labels, 2, 5)
    words = ("eval", data, "--ann", labels, "--predictions", file, "--class", "dog")
    assert main(list(map(str, words))) == 2
    assert f"none of {DOGS} people has the category 2" in capsys.readouterr().err


def test_eval_says_when_results_are_of_another_category(
    labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(results(labels, 2, 2))
    assert main(["eval", "coco", "--ann", str(labels), "--predictions", file]) == 2
    assert f"none of {DOGS} people has the category 1" in capsys.readouterr().err
    assert main(["eval", "mpii", "--ann", file, "--predictions", file, "--class", "dog"]) == 2
    assert "mpii evaluates only people" in capsys.readouterr().err


@pytest.mark.parametrize("data", ["coco", "pck"])
def test_eval_of_a_model_writes_results_of_the_class(
    labels: Path, tmp_path: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    words = ["eval", data, "--ann", labels, "--class", "dog"]
    found = run(capsys, *words, "-m", "movenet-thunder", "-o", out)[0]
    assert found["labelled"] == DOGS
    assert {entry["category_id"] for entry in json.loads(out.read_text())} == {2}
    again = run(capsys, *words, "--predictions", out)[0]
    assert again["AP"] == found["AP"] and again["predictions"] == found["predictions"]


def test_compare(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("compare", "movenet-thunder", "--data", labels, "--class", "dog")
    assert "x person" in run(capsys, *words)[1]


def test_pgpg_and_ppnms(labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", "boxes", labels, "--jitter", "0.1", "-o", tmp_path / "a.json", "--class", "dog"]
    assert main(list(map(str, words))) == 3  # they are too few
    assert f"{DOGS} boxes match" in capsys.readouterr().err
    file = results(labels, 2, 1)
    words = ["fit", "nms", labels, "--detections", file, "-o", tmp_path / "b.json"]
    found, said = run(capsys, *words, "--class", "dog")
    assert found["people"] == DOGS and "x person" in said


def test_recipe(labels: Path) -> None:
    recipe = recipe_of("hrnet_w32", labels, {"class_name": "dog", "val_split": 0})
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    train, held = open_sets(recipe)
    assert (train.people, train.class_name) == (DOGS, "dog") and "x person" in left_out(train, held)
    train, held = open_sets(recipe.with_overrides(["class_name=", f"val={labels}"]))
    assert held is not None and train.people == held.people == open_dataset(labels).people
