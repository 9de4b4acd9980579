"""Cases of `../shared/cases/labels`: each does what its README expects."""

from __future__ import annotations

import csv
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from posewright.datasets import open_dataset


def test_checkpoints(case: Any) -> None:
    here = case("labels/checkpoints")
    done = here.run("make.py")
    lines = {line.split()[1]: line for line in done.out.splitlines() if line.startswith("## ")}
    assert len(lines) == 14  # two of them with other joints and another input size
    assert not [line for line in lines.values() if " OK rtmpose_t " not in line]
    here.say(f"{len(lines)} files convert")


def test_rotated_pictures(case: Any) -> None:
    here = case("labels/exif-rotated-pictures")
    here.run("make.py")
    shown = here.run("show.py").out.strip().splitlines()
    assert len(shown) == 4 and all("labels off by 0 px" in line for line in shown)
    for target in ("yolo", "labels.json"):
        done = here.posewright("data", "check", target)
        assert done.code == 0 and "orientation" not in done.out, done
    assert "nothing found" in done.out
    assert here.posewright("data", "convert", "labelme", "out", "--to", "coco").code == 0
    assert here.posewright("data", "convert", "labelme", "outy", "--to", "yolo").code == 0
    truth = json.loads((here.folder / "labels.json").read_text())
    parts = [json.loads(path.read_text()) for path in (here.folder / "out").rglob("*.json")]
    written = {"images": [image for part in parts for image in part["images"]]}
    sizes = [
        {Path(image["file_name"]).name: (image["width"], image["height"]) for image in d["images"]}
        for d in (truth, written)
    ]
    assert sizes[0] == sizes[1]
    expected = {sample.image.name: sample for sample in open_dataset(here.folder / "labels.json")}
    for sample in open_dataset(here.folder / "outy"):
        theirs = expected[sample.image.name]
        assert sample.size == theirs.size
        seen = theirs.visibility > 0
        assert sample.people.keypoints[seen] == pytest.approx(
            theirs.people.keypoints[seen], abs=0.1
        )
    here.say("labels off by 0 px, sizes upright in every format")


@pytest.mark.parametrize(
    ("name", "people", "code", "finding"),
    [
        ("empty_first", 9, 3, "person 1 (id 999)"),
        ("short_first", 8, 3, "1 x annotation skipped: 48 numbers in keypoints instead of 51"),
        ("dog_first", 9, 0, "skipped 1 x dog: the class read is person"),
    ],
)
def test_the_first_annotation_decides_nothing(
    case: Any, name: str, people: int, code: int, finding: str
) -> None:
    here = case("labels/first-annotation-decides")
    here.run("make.py")
    opened = open_dataset(here.folder / f"{name}.json")
    found = sum(int((sample.visibility > 0).any(1).sum()) for sample in opened)
    assert (opened.skeleton.name, found) == ("coco17", people)
    done = here.posewright("data", "check", f"{name}.json")
    assert done.code == code and finding in done.out, done
    here.say(f"{name}: coco17, {people} people with joints, check exits with {done.code}")


@pytest.mark.parametrize("name", ["labels.json", "labels_lefteye.json"])
def test_sides_without_a_separator(case: Any, name: str) -> None:
    here = case("labels/flip-names-without-separator")
    here.run("make.py")
    pairs = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    assert open_dataset(here.folder / name).skeleton.flip_index.tolist() == pairs
    done = here.posewright("data", "convert", name, "out", "--to", "yolo")
    assert done.code == 0, done.err
    yaml = (here.folder / "out/data.yaml").read_text()
    assert str(pairs) in yaml
    here.say(f"{name}: every side has its pair")


def test_iscrowd_as_text(case: Any) -> None:
    here = case("labels/iscrowd-as-text")
    here.run("make.py")
    opened = open_dataset(here.folder / "labels.json")
    people = sum(len(sample.people) for sample in opened)
    crowds = sum(int(sample.crowd.sum()) for sample in opened)
    assert (people, crowds) == (9, 0)
    done = here.posewright("data", "check", "labels.json")
    assert done.code == 3 and 'iscrowd is a string: here "0" is no crowd' in done.out, done
    small = ("options.input_size=[96,96]", "workers=0", "val_split=0", "epochs=1")
    done = here.posewright("train", "labels.json", "-m", "movenet_fire717", "-o", "run", *small)
    assert done.code == 0 and (here.folder / "run/last.safetensors").is_file(), done
    here.say(f"{people} people, no crowd, and a training with them")


def test_labelled_twice(case: Any) -> None:
    here = case("labels/labelled-twice")
    here.run("make.py")
    for name in ("people_twice.json", "pictures_twice.json"):
        done = here.posewright("data", "check", name)
        assert done.code == 3 and "nothing found" not in done.out, done
        here.say(f"{name}: {next(x for x in done.out.splitlines() if 'twice' in x or 'two' in x)}")
    for seed in range(3):
        out = here.folder / f"split{seed}"
        words = ("data", "split", "pictures_twice.json", "-o", out, "--seed", str(seed))
        done = here.posewright(*words, "--ratio", "0.3")
        assert done.code == 0, done
        sides = [
            {Path(i["file_name"]).name for i in json.loads(path.read_text())["images"]}
            for path in sorted(out.rglob("*.json"))
        ]
        assert len(sides) == 2 and all(sides) and not sides[0] & sides[1]


def test_other_classes(case: Any) -> None:
    here = case("labels/other-classes-become-people")
    here.run("make.py")
    counts = {}
    for name, left_out, code in (
        ("coco_person_dog.json", "skipped 1 x dog", 0),
        ("annotations.xml", "skipped 5 x dog, 5 x car", 0),
        ("label_studio_cars.json", "skipped 5 x car", 3),  # nobody is labelled
    ):
        shown = here.posewright("data", "stats", name, "--json")
        assert shown.code == 0 and left_out in shown.err, shown
        counts[name] = json.loads(shown.out)["people"]
        assert counts[name] == open_dataset(here.folder / name).people
        done = here.posewright("data", "check", name)
        assert done.code == code and left_out in done.out, done
    assert list(counts.values()) == [5, 5, 0]
    here.say(f"people: {counts}")


def test_resuming_keeps_the_schedule(case: Any) -> None:
    here = case("labels/resume-schedule")
    sys.path.insert(0, str(here.folder.parent))
    try:
        base = importlib.import_module("base")
    finally:
        sys.path.pop(0)
        sys.modules.pop("base", None)
    base.SRC = here.data / "coco"
    (here.folder / "labels.json").write_text(json.dumps(base.base(here.folder, 6)))
    schedule = ("val_split=0", "schedule=step", "milestones=[4]", "gamma=0.1", "lr=1e-3")
    small = ("options.input_size=[96,96]", "workers=0", "log_every=1", "warmup=0")
    options = ("-m", "movenet_fire717", *small, *schedule, "-o", "run", "epochs=5", "batch=9")
    done = here.posewright("train", "labels.json", *options)
    assert done.code == 0, done.err
    done = here.posewright("train", "--resume", "run", "epochs=6", "milestones=[4]", "batch=3")
    with (here.folder / "run/log.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert done.code == 0 and float(last["lr"]) == pytest.approx(1e-4)
    assert "epoch 6.00/6" in done.out
    assert "batch" in done.out + done.err
    here.say(f"epoch 6.00/6 at lr {last['lr']}; {done.out.splitlines()[0]}")


def test_tokenpose_takes_any_batch(case: Any) -> None:
    here = case("labels/tokenpose-onnx-batch")
    done = here.posewright("export", "tokenpose_t", "--random-weights", "-o", "t.onnx")
    assert done.code == 0, done.err
    options = ("-m", "t.onnx", "--save", "coco", "-o", "out", "--progress", "none")
    done = here.posewright("predict", here.picture, *options)
    assert done.code == 0, done.err
    here.say("predict runs the exported file")


def test_flip_pairs_of_yolo(case: Any) -> None:
    here = case("labels/yolo-flip-idx-ignored")
    here.run("make.py")
    own, animal = (open_dataset(here.folder / name).skeleton for name in ("own4", "own17"))
    assert own.flip_index.tolist() == [1, 0, 3, 2]
    assert animal.flip_index.tolist() == [16, *range(1, 16), 0]
    assert animal.name != "coco17"
    here.say("as flip_idx says")


def test_paths_of_yolo(case: Any) -> None:
    here = case("labels/yolo-yaml-elsewhere")
    here.run("make.py")
    for name in ("cfg/c.yaml", "b.yaml"):
        done = here.posewright("data", "check", name)
        assert done.code == 0 and f"{name}: 4 images, 6 people, coco17" in done.out, done
        images = [sample.image for sample in open_dataset(here.folder / name)]
        assert len(images) == 4 and all("own17" in path.parts for path in images)
    here.say("4 images of own17")
