"""`posewright data`: what a user types, prints and finds on disk."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from posewright.cli import main


@pytest.fixture
def drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert (
        main(["data", "synth", "-o", str(tmp_path / "drawn"), "--count", "20", "--seed", "3"]) == 0
    )
    capsys.readouterr()
    return tmp_path / "drawn"


def test_synth_check_stats(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(drawn), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["pictures"] == 20 and report["errors"] == 0 and report["skeleton"] == "coco17"
    assert main(["data", "stats", str(drawn), "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["people"] == report["people"] == sum(numbers["sizes"].values())
    assert all(sum(v) == numbers["people"] for v in numbers["visibility"].values())
    assert main(["data", "stats", str(drawn)]) == 0
    assert "left_wrist" in capsys.readouterr().out
    assert main(["data", "check", str(drawn)]) == 0
    assert "nothing found" in capsys.readouterr().out


def test_check_exits_with_3_and_says_why(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (drawn / "images" / "000004.png").unlink()
    assert main(["data", "check", str(drawn)]) == 3
    out = capsys.readouterr().out
    assert "error 1 x missing image" in out and "000004.png" in out
    assert main(["data", "check", str(drawn), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["findings"][0]["kind"] == "missing image"


def test_view_draws_people(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "view"
    assert main(["data", "view", str(drawn), "-o", str(out), "--count", "4", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert len(files) == 4 == len(list(out.iterdir()))
    for file in files:
        plain = cv2.imread(str(drawn / "images" / Path(file).name))
        assert (cv2.imread(file) != plain).any(2).sum() > 500
    assert main(["data", "view", str(drawn), "-o", str(out)]) == 4
    assert "--overwrite" in capsys.readouterr().err
    for picture in (drawn / "images").iterdir():
        picture.write_bytes(b"broken")
    again = ["data", "view", str(drawn), "-o", str(out), "--overwrite", "--count", "2"]
    assert main(again) == 3


def test_labelme_as_the_tutorial_has_it(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "labelme"
    assert main(["data", "convert", str(drawn), str(folder), "--to", "labelme"]) == 0
    capsys.readouterr()
    words = ["data", "convert", f"--input={folder}", f"--output={tmp_path / 'data'}"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "16 for training\n4 for testing\n" in shown.err and "20/20 " in shown.err
    assert "train2017 16, val2017 4" in shown.out
    coco = tmp_path / "data" / "coco"
    assert len(list((coco / "train2017").iterdir())) == 16
    assert len(list((coco / "val2017").iterdir())) == 4
    for part in ("train", "val"):
        file = coco / "annotations" / f"person_keypoints_{part}2017.json"
        assert main(["data", "check", str(file)]) == 0
    capsys.readouterr()
    more = ["--ratio", "0.5", "--seed", "9", "--overwrite", "--json"]
    assert main([*words, *more]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == {"train2017": 10, "val2017": 10}


@pytest.mark.parametrize("form", ["yolo", "cvat", "labelme", "coco"])
def test_convert_and_check(
    form: str, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / form
    assert main(["data", "convert", str(drawn), str(out), "--to", form, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert main(["data", "check", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["people"] == sum(made["people"].values()) and report["pictures"] == 20


def test_split(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "parts"
    words = ["data", "split", str(drawn), "-o", str(out), "--ratio", "0.25", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == {"train2017": 15, "val2017": 5}
    for words, count in (([], 20), (["--split", "train"], 15), (["--split", "val"], 5)):
        assert main(["data", "stats", str(out), *words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["pictures"] == count


@pytest.mark.parametrize(
    "words",
    [
        ["convert"],
        ["convert", "a"],
        ["split", "a", "-o", "x", "--ratio", "2"],
        ["synth", "-o", "x", "--count", "0"],
        ["stats", ".", "--kind", "cocoo"],
        ["convert", "a", "b", "--ratio", "-1"],
    ],
)
def test_what_cannot_be_meant(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["data", "synth", "-o", "a", "--count", "2"])
    capsys.readouterr()
    assert main(["data", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("posewright: ") and err.count("\n") == 1


def test_what_could_not_be_read_is_said_and_exits_with_3(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = json.loads((drawn / "annotations.json").read_text())
    page["annotations"][0]["bbox"] = [1, 2]
    (drawn / "annotations.json").write_text(json.dumps(page))
    assert main(["data", "stats", str(drawn)]) == 3
    assert "1 x annotation skipped" in capsys.readouterr().err
    assert main(["data", "stats", str(tmp_path / "nothing")]) == 3
    assert "is not there" in capsys.readouterr().err
