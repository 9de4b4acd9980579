"""Equal names in several folders, and equal names in two forms of Unicode."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.cli import main
from posewright.datasets import open_dataset
from posewright.errors import UsageError
from posewright.evaluation.coco_files import read_truth
from posewright.files.paths import PathIndex, on_disk
from posewright.people import Frame, People
from posewright.readers import read_boxes
from posewright.results import Result
from posewright.skeletons import COCO17
from posewright.sources import open_source
from posewright.writers import WriterOptions
from posewright.writers.outputs import Outputs, Summary

NFC = "Gr\u00fc\u00dfe.jpg"
NFD = unicodedata.normalize("NFD", NFC)


def put(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.full((40, 60, 3), 90, np.uint8))[1].tobytes())
    return path


@pytest.mark.parametrize(
    ("names", "path", "found"),
    [
        (["a/1.jpg", "b/1.jpg"], "pics/b/1.jpg", ["b/1.jpg"]),
        (["x/a/1.jpg", "y/a/1.jpg"], "in/y/a/1.jpg", ["y/a/1.jpg"]),
        (["1.jpg", "b/1.jpg"], "in/b/1.jpg", ["b/1.jpg"]),
        (["1.jpg", "b/1.jpg"], "in/c/1.jpg", ["1.jpg"]),
        (["a/1.jpg", "b/1.jpg"], "in/c/1.jpg", ["a/1.jpg", "b/1.jpg"]),
        (["val\\1.jpg", "train\\1.jpg"], "train/1.jpg", ["train\\1.jpg"]),
        (["val2017/1.jpg"], "images/1.jpg", ["val2017/1.jpg"]),
        (["a/1.jpg"], "a/2.jpg", []),
        ([f"a/{NFC}", f"b/{NFC}"], f"in/b/{NFD}", [f"b/{NFC}"]),
        ([NFD], NFC, [NFD]),
    ],
)
def test_the_longest_matching_tail_counts(names: list[str], path: str, found: list[str]) -> None:
    assert PathIndex(names).find(path) == found


def test_a_bare_name_is_found_from_inside_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    assert PathIndex(["a/1.jpg", "b/1.jpg"]).find("1.jpg") == ["b/1.jpg"]


def coco(tmp_path: Path, images: list[tuple[str, int]], sources: list[str]) -> tuple[list, Summary]:
    ann = [{"file_name": name, "id": number} for name, number in images]
    options = WriterOptions(coco_images=put(tmp_path / "ann.json", {"images": ann}))
    summary = Summary()
    outputs = Outputs.open(["coco"], tmp_path / "out", options, summary)
    for source in sources:
        people = People.of(keypoints=np.ones((1, 17, 2)))
        outputs.write(Result(people, COCO17, (80, 60), source))
    outputs.close()
    entries = json.loads((tmp_path / "out" / "coco-results.json").read_text())
    return [entry["image_id"] for entry in entries], summary


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_coco_images_of_one_name_are_told_apart(tmp_path: Path, order: tuple[int, int]) -> None:
    sources = [("pics/a/cam.jpg", 11), ("pics/b/cam.jpg", 22)]
    wanted = [sources[i] for i in order]
    ids, summary = coco(tmp_path, [("a/cam.jpg", 11), ("b/cam.jpg", 22)], [s for s, _ in wanted])
    assert ids == [number for _, number in wanted] and summary.exit_code == 0


def test_coco_images_in_two_forms_of_unicode(tmp_path: Path) -> None:
    ids, summary = coco(tmp_path, [(f"val/{NFC}", 5), (f"x/{NFD}", 6)], [f"val/{NFD}", f"x/{NFC}"])
    assert ids == [5, 6] and not summary.notes


@pytest.mark.parametrize(
    ("images", "sources", "kept"),
    [
        ([("a/cam.jpg", 11), ("b/cam.jpg", 22)], ["a/cam.jpg", "c/cam.jpg"], [11]),
        ([("cam.jpg", 11)], ["a/cam.jpg", "b/cam.jpg"], [11]),  # one of them is not 11
        ([("cam.jpg", 11), ("cam.jpg", 22)], ["cam.jpg", "other/cam.png"], []),
    ],
)
def test_what_coco_images_cannot_tell_apart_is_an_error(
    tmp_path: Path, images: list[tuple[str, int]], sources: list[str], kept: list[int]
) -> None:
    ids, summary = coco(tmp_path, images, sources)
    assert ids == kept and summary.exit_code == 3
    [(name, message)] = summary.bad
    assert name.endswith("ann.json") and "1 image skipped" in message and "\n" not in message


def frame(name: str, index: int = 0) -> Frame:
    return Frame(np.zeros((8, 8, 3), np.uint8), index, name=name)


def test_boxes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    def box(image: str, score: float) -> dict[str, Any]:
        return {"image_id": image, "bbox": [1, 2, 3, 4], "score": score}

    scores = {
        "a/1.jpg": 0.1,
        "b/1.jpg": 0.2,
        f"a/{NFD}": 0.3,
        "u/walk/7.jpg": 0.4,
        "u/run/7.jpg": 0.5,
    }
    data = [box(name, score) for name, score in scores.items()]
    boxes = read_boxes(put(tmp_path / "b.json", data))
    for name, index, score in (
        ("in/b/1.jpg", 0, 0.2),
        ("in/a/1.png", 0, 0.1),
        (f"z/{NFC}", 0, 0.3),
        ("in/walk.mp4", 7, 0.4),
        ("in/run.mp4", 7, 0.5),
    ):
        assert boxes.people(frame(name, index)).box_scores.tolist() == [pytest.approx(score)]
    assert boxes.unclear == 0
    assert len(boxes.people(frame("c/1.jpg"))) == 0
    assert boxes.unclear == 1 and "1 of 6 images matched by several" in boxes.report()


def test_unclear_boxes_are_a_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shot = picture(tmp_path / "c" / "1.png")
    boxes = [{"image_id": f"{d}/1.png", "bbox": [0, 0, 40, 40], "score": 0.9} for d in "ab"]
    args = [
        "predict",
        str(shot),
        "-o",
        str(tmp_path / "out"),
        "--save",
        "jsonl",
        "--boxes",
        str(put(tmp_path / "b.json", boxes)),
        "--progress",
        "none",
    ]
    assert main(args) == 3
    assert "matched by several image_ids" in capsys.readouterr().err


def labels(tmp_path: Path, names: list[str]) -> Path:
    images = [{"id": i, "file_name": n, "width": 60, "height": 40} for i, n in enumerate(names, 1)]
    points = [v for j in range(17) for v in (10 + j, 12, 2)]
    people = [
        {
            "id": i,
            "image_id": i,
            "category_id": 1,
            "bbox": [5, 5, 30, 20],
            "area": 600,
            "iscrowd": 0,
            "num_keypoints": 17,
            "keypoints": points,
        }
        for i in range(1, len(names) + 1)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []}
    return put(
        tmp_path / "labels.json",
        {"images": images, "annotations": people, "categories": [category]},
    )


def test_named_results_go_to_the_picture_of_their_folder(tmp_path: Path) -> None:
    truth = read_truth(labels(tmp_path, ["a/cam.jpg", "b/cam.jpg"]), 17)
    assert truth.rows(["b/cam.jpg", "x/a/cam.jpg"], Path("r.json")).tolist() == [1, 0]
    with pytest.raises(UsageError, match=r"'c/cam\.jpg' matches a/cam\.jpg and b/cam\.jpg"):
        truth.rows(["c/cam.jpg"], Path("r.json"))


def test_a_name_of_several_pictures_is_not_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ann = labels(tmp_path, ["cam.jpg", "cam.jpg", "own.jpg"])
    points = [v for j in range(17) for v in (10 + j, 12, 1)]
    for data in ("coco", "pck"):
        for name, code in (("cam.jpg", 2), ("own.jpg", 0), (2, 0), ("2", 0)):
            found = [{"image_id": name, "category_id": 1, "keypoints": points, "score": 1}]
            file = put(tmp_path / "found.json", found)
            assert main(["eval", data, "--ann", str(ann), "--predictions", str(file)]) == code
            assert ("matches 2 images of" in capsys.readouterr().err) == (code == 2)


@pytest.mark.parametrize(("label", "disk"), [(NFC, NFD), (NFD, NFC)])
def test_labels_find_pictures_in_either_form_of_unicode(
    tmp_path: Path, label: str, disk: str
) -> None:
    shot = picture(tmp_path / "b\u00fccher" / disk)
    for name in (f"b\u00fccher/{label}", unicodedata.normalize("NFD", f"b\u00fccher/{label}")):
        [sample] = open_dataset(labels(tmp_path, [name]))
        assert sample.image == shot and sample.load().status == "ok"
    page = {
        "imagePath": label,
        "imageWidth": 60,
        "imageHeight": 40,
        "shapes": [{"label": "nose", "points": [[3, 4]], "shape_type": "point"}],
    }
    put(shot.parent / "lm" / "page.json", page)
    [sample] = open_dataset(shot.parent / "lm", images=shot.parent)
    assert sample.load().status == "ok"


def test_a_list_names_pictures_in_either_form_of_unicode(tmp_path: Path) -> None:
    picture(tmp_path / NFD)
    with open_source(put(tmp_path / "list.txt", f"{NFC}\nnot there \u00fc.jpg\n")) as source:
        assert [f.status for f in source] == ["ok", "decode_error"]
    assert on_disk(tmp_path / "no\u00fc" / "x.jpg") == tmp_path / "no\u00fc" / "x.jpg"


@pytest.mark.parametrize("made", [0, None])
def test_a_picture_that_is_made_later_is_found(made: int | None, tmp_path: Path) -> None:
    for name in (NFD, "z" + NFD):
        if made is not None:
            os.utime(tmp_path, (made, made))
        wanted = tmp_path / unicodedata.normalize("NFC", name)
        assert on_disk(wanted) == wanted
        shot = picture(tmp_path / name)
        assert on_disk(wanted) == shot


def test_a_folder_that_does_not_change_is_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Path] = []
    names = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(folder) or names(folder))
    os.utime(tmp_path, (0, 0))
    for number in range(9):
        on_disk(tmp_path / f"\u00fc{number}.jpg")
    assert listed == [tmp_path]
