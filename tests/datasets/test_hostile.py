"""Label files that somebody sends: what they name, how much they hold, and what they say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.cli import main
from posewright.datasets import Dataset, open_dataset
from posewright.datasets.places import OUTSIDE, header_size, set_folder

PERSON = {"id": 1, "name": "person", "keypoints": ["nose", "left_eye"]}


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 255, (30, 40, 3), np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


def coco(*names: str) -> dict[str, Any]:
    images = [{"id": i, "file_name": n, "width": 40, "height": 30} for i, n in enumerate(names, 1)]
    person = {"category_id": 1, "bbox": [1, 1, 9, 9], "area": 40, "iscrowd": 0, "num_keypoints": 2}
    people = [
        person | {"id": i["id"], "image_id": i["id"], "keypoints": [2, 2, 2, 5, 5, 2]}
        for i in images
    ]
    return {"images": images, "categories": [PERSON], "annotations": people}


def written(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A set with one image, beside a folder with another."""
    picture(tmp_path / "elsewhere" / "secret.png")
    picture(tmp_path / "set" / "good.png")
    return tmp_path / "set"


@pytest.mark.parametrize("form", ["coco", "yolo", "labelme", "cvat"])
@pytest.mark.parametrize("name", ["../elsewhere/secret.png", "/", "/dev/zero", "/etc/passwd"])
def test_a_name_that_leads_out_is_not_copied(
    home: Path, tmp_path: Path, name: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = str(home.parent / "elsewhere" / "secret.png") if name == "/" else name
    labels = written(home / "a.json", coco("good.png", name))
    out = tmp_path / "out"
    assert main(["data", "convert", str(labels), str(out), "--to", form]) == 3
    assert OUTSIDE in capsys.readouterr().err
    assert [p.name for p in out.rglob("*.*") if header_size(p) != (0, 0)] == ["good.png"]
    assert not [
        p
        for p in out.rglob("*")
        if p.stem in ("secret", "passwd", "zero")
        and p.is_file()
        and p.suffix not in (".json", ".txt")
    ]


def images_of(data: Dataset) -> list[bool]:
    return [header_size(sample.image) != (0, 0) for sample in data]


def test_other_forms_name_nothing_outside_either(home: Path) -> None:
    away = "../elsewhere/secret.png"
    shapes = [{"label": "nose", "shape_type": "point", "points": [[2, 2]]}]
    page = written(home / "lm" / "a.json", {"shapes": shapes, "imagePath": "../" + away})
    data = open_dataset(page.parent)
    assert images_of(data) == [False] and OUTSIDE in " ".join(data.notes)
    task = {"data": {"image": f"/data/local-files/?d={away}"}, "annotations": [{"result": []}]}
    data = open_dataset(written(home / "ls.json", [task]))
    assert images_of(data) == [False] and OUTSIDE in data.notes[0]
    (home / "c").mkdir()
    xml = f'<annotations><image name="../{away}" width="40" height="30"/></annotations>'
    (home / "c" / "annotations.xml").write_text(xml)
    data = open_dataset(home / "c")
    assert images_of(data) == [False] and OUTSIDE in data.notes[0]


def test_names_that_stay_in_the_set_are_found(home: Path) -> None:
    inside = picture(home / "images" / "b.png")
    names = ("../images/b.png", str(inside))
    data = open_dataset(written(home / "annotations" / "a.json", coco(*names)))
    assert images_of(data) == [True, True] and data.notes == ()
    shapes = [{"label": "nose", "shape_type": "point", "points": [[2, 2]]}]
    written(home / "json" / "b.json", {"shapes": shapes, "imagePath": "../images/b.png"})
    assert images_of(open_dataset(home / "json")) == [True]
    away = home.parent / "elsewhere"
    data = open_dataset(written(home / "a.json", coco(str(away / "secret.png"))), images=away)
    assert images_of(data) == [True] and data.notes == ()
    os.symlink(away, home / "linked")
    data = open_dataset(written(home / "a.json", coco("linked/secret.png")))
    assert images_of(data) == [True]


def test_folders_of_a_set() -> None:
    assert set_folder(Path("/data/set/annotations/val/a.json")) == Path("/data/set")
    assert set_folder(Path("/data/labelled/a.json")) == Path("/data/labelled")
    assert set_folder(Path("/labels/a.json")) == Path("/labels")


def test_only_regular_files_with_a_picture_are_read(home: Path, tmp_path: Path) -> None:
    os.mkfifo(home / "pipe.png")
    (home / "text.png").write_text("no image")
    labels = written(home / "a.json", coco("good.png", "pipe.png", "text.png"))
    assert main(["data", "stats", str(labels)]) == 0
    assert main(["data", "check", str(labels)]) == 3
    assert main(["data", "view", str(labels), "-o", str(tmp_path / "view")]) == 3
    assert main(["data", "convert", str(labels), str(tmp_path / "out")]) == 3
    assert [p.name for p in (tmp_path / "out" / "all").iterdir()] == ["good.png"]
    (home / "data.yaml").write_text("train: list.txt\nkpt_shape: [2, 3]\n")
    (home / "list.txt").write_text("pipe.png\ngood.png\n")
    assert images_of(open_dataset(home / "data.yaml")) == [True, False]


def test_names_of_two_folders_stay_two_pictures(home: Path) -> None:
    data = open_dataset(written(home / "a.json", coco("a/good.png", "b/good.png")))
    assert images_of(data) == [False, False]
    assert data[0].image != data[1].image
    data = open_dataset(written(home / "a.json", coco("a/good.png", "a\\good.png")))
    assert images_of(data) == [True, True]


@pytest.mark.parametrize("form", ["coco", "yolo", "labelme", "cvat"])
def test_names_that_no_file_can_have(
    home: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("good.png", "a\ud800.png", "b\0.png", "c\x1b.png", os.fsdecode(b"d\xff.png"))
    os.rename(picture(home / "d.png"), home / names[-1])
    data = coco(*names)
    data["categories"][0] |= {
        "name": "perso\ud800n\x1b",
        "keypoints": ["no\udfffse\x07", "left \ud83d"],
    }
    labels = written(home / "a.json", data)
    out = tmp_path / "out"
    assert main(["data", "convert", str(labels), str(out), "--to", form]) == 3
    assert main(["data", "view", str(labels), "-o", str(tmp_path / "view")]) == 3
    assert main(["data", "check", str(labels)]) == 3
    assert "\x1b" not in "".join(capsys.readouterr())
    found = [sample for sample in open_dataset(out) if header_size(sample.image) != (0, 0)]
    assert len(found) == 2 and all(len(sample) == 1 for sample in found)
    assert found[0].keypoints.round(2).tolist() == [[[2, 2, 2], [5, 5, 2]]]
    assert len(list((tmp_path / "view").iterdir())) == 2


def test_label_studio_and_labelme_of_names_that_no_file_can_have(home: Path) -> None:
    task = {"data": {"image": "\ud800"}, "annotations": [{"result": []}]}
    labels = written(home / "ls" / "a.json", [task])
    assert main(["data", "convert", str(labels), str(home / "out")]) == 3
    shapes = [{"label": "no\udc00se", "shape_type": "point", "points": [[2, 2]]}]
    page = written(home / "lm" / "a.json", {"shapes": shapes, "imagePath": "\udc00.png"})
    assert main(["data", "convert", str(page.parent), str(home / "out2"), "--to", "cvat"]) == 3
    assert main(["data", "view", str(page.parent), "-o", str(home / "out3")]) == 3


@pytest.mark.parametrize("text", ["\x1b]0;title\x07", "\x9b31m", "\x7f", "\u202egnp"])
def test_no_text_of_a_file_commands_the_terminal(
    home: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = coco("good.png", text + ".png")
    data["categories"] = [PERSON | {"keypoints": ["nose" + text, "b"]}, {"id": 2, "name": text}]
    data["annotations"].append(data["annotations"][0] | {"category_id": 2, "id": 9})
    labels = written(home / "a.json", data)
    for verb in ("stats", "check"):
        main(["data", verb, str(labels)])
        printed = capsys.readouterr()
        assert text[:1] not in printed.out + printed.err
        assert ascii(text)[1:-1] in printed.out + printed.err
    assert main(["data", "stats", str(home / text)]) == 3
    assert text[:1] not in capsys.readouterr().err


SECRET = "https://me:hidden@host.example/x.png?token=hidden&n=1"


@pytest.mark.parametrize("form", ["coco", "yolo", "labelme", "cvat"])
def test_secrets_of_addresses_stay_in_the_labels(
    home: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = written(home / "a.json", coco("good.png", SECRET))
    out, seen = tmp_path / "out", ""
    assert main(["data", "convert", str(labels), str(out), "--to", form]) == 3
    assert main(["data", "convert", str(labels), str(tmp_path / "2"), "--to", form, "--json"]) == 3
    assert main(["data", "check", str(labels)]) == 3
    assert main(["data", "view", str(labels), "-o", str(tmp_path / "view")]) == 3
    seen = "".join(capsys.readouterr())
    for path in out.rglob("*"):
        seen += path.name + (path.read_text(errors="replace") if path.is_file() else "")
    assert "hidden" not in seen and "x.png" in seen


def test_secrets_of_an_image_path_stay_in_the_labels(home: Path) -> None:
    shapes = [{"label": "nose", "shape_type": "point", "points": [[2, 2]]}]
    page = written(home / "lm" / "a.json", {"shapes": shapes, "imagePath": SECRET})
    assert "hidden" not in str(open_dataset(page.parent)[0].image)


def test_a_local_copy_of_an_address_is_found(home: Path) -> None:
    picture(home / "x.png")
    assert images_of(
        open_dataset(written(home / "a.json", coco("https://u:p@h.example/x.png")))
    ) == [True]


def test_a_name_of_several_lines_is_told_in_one(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = written(home / "a.json", coco("good.png", "a\nposewright: all is well.png"))
    assert main(["data", "convert", str(labels), str(tmp_path / "out")]) == 3
    assert main(["data", "check", str(labels)]) == 3
    printed = "".join(capsys.readouterr())
    assert "all is well" in printed and "\nposewright: all" not in printed


NO_NAMES = ["a" * 300 + ".png", "b" * 300 + "/a.png", "good.png/a.png"]


def sets(folder: Path, name: str) -> dict[str, Path]:
    """The same two people, the second in an image of `name`, as files of several kinds."""
    shapes = [{"label": "nose", "shape_type": "point", "points": [[2, 2]], "group_id": 1}]
    page = {"imageHeight": 30, "imageWidth": 40, "shapes": shapes, "version": "5"}
    for place, image in (("1", "good.png"), ("2", name)):
        written(folder / f"{place}.json", page | {"imagePath": image})
    attributes = 'width="40" height="30"><points label="nose" points="2,2"/></image>'
    cvat = "".join(
        f'<image id="{i}" name="{n}" {attributes}' for i, n in ((0, "good.png"), (1, name))
    )
    (folder / "a.xml").write_text(f"<annotations>{cvat}</annotations>")
    return {
        "coco": written(folder.parent / "coco" / "a.json", coco("good.png", name)),
        "labelme": folder,
        "cvat": folder / "a.xml",
    }


@pytest.mark.parametrize("name", NO_NAMES, ids=["long", "long folder", "file as folder"])
@pytest.mark.parametrize("form", ["coco", "labelme", "cvat"])
def test_a_name_that_no_file_can_have_is_one_missing_image(
    home: Path, form: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = sets(home, name)[form]
    if form == "coco":
        picture(labels.with_name("good.png"))
    data = open_dataset(labels, form)
    assert images_of(data) == [True, False]
    assert main(["data", "check", str(labels), "--kind", form]) == 3
    assert "1 x missing image" in capsys.readouterr().out
    for to in ("coco", "yolo", "labelme", "cvat"):
        out = tmp_path / "out" / to
        words = ["data", "convert", str(labels), str(out), "--to", to, "--kind", form]
        assert main([*words, "--ratio", "0"]) == 3
        assert "cannot be read; its labels are kept without it" in capsys.readouterr().err
        assert len([p for p in out.rglob("*.*") if header_size(p) != (0, 0)]) == 1
