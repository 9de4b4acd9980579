"""Patterns of numbered images: img_%04d.jpg is a sequence, with the numbers in the names."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from posewright.cli import main
from posewright.errors import SourceError
from posewright.sources import open_source
from posewright.sources.planning import picture_files, sequences


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    data = cv2.imencode(".png", np.full((40, 60, 3), 90, np.uint8))[1].tobytes()
    for name in names:
        (folder / name).write_bytes(data)
    return folder


def read(spec: str, **options: float) -> list[tuple[str, int, float]]:
    with open_source(spec, **options) as source:
        return [(Path(frame.name).name, frame.index, frame.time) for frame in source]


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("img_%04d.jpg", [2, 7, 10, 12345]),
        ("img_%d.jpg", [8, 12345]),
        ("img_%5d.jpg", [3, 12345]),
        ("img_%05d.jpg", [3, 12345]),
        ("a_100%%_%d.png", [4]),
        ("%d.png", [9]),
        ("50%_%d.png", [6]),
    ],
)
def test_a_pattern_is_what_printf_would_write(
    pattern: str, numbers: list[int], tmp_path: Path
) -> None:
    folder = put(
        tmp_path,
        "img_0010.jpg",
        "img_0002.jpg",
        "img_0007.jpg",
        "img_00003.jpg",
        "img_8.jpg",
        "img_12345.jpg",
        "img_0004.txt",
        "ximg_0001.jpg",
        "a_100%_4.png",
        "9.png",
        "50%_6.png",
    )
    (folder / "img_0005.jpg").mkdir()
    assert [number for _, number, _ in read(str(folder / pattern))] == numbers
    assert len(picture_files(str(folder / pattern))) == len(numbers)
    assert sequences(str(folder / pattern)) == [(str(folder), True)]


def test_times_leave_room_for_what_is_not_there(tmp_path: Path) -> None:
    folder = put(tmp_path, "f1001.png", "f1002.png", "f1006.png")
    pattern = str(folder / "f%04d.png")
    found = [("f1001.png", 1001, 0.0), ("f1002.png", 1002, 0.1), ("f1006.png", 1006, 0.5)]
    assert read(pattern, fps=10) == found
    with open_source(pattern) as source:
        assert source.total == 3
        assert source.notes == [
            f"{pattern}: 3 numbers are missing between 1001 and 1006, the first of them 1003"
        ]


def test_what_has_that_very_name_comes_first(tmp_path: Path) -> None:
    folder = put(tmp_path, "img_%04d.jpg", "img_0001.jpg", "50%d.png")
    assert read(str(folder / "img_%04d.jpg")) == [("img_%04d.jpg", 0, 0.0)]
    assert read(str(folder / "50%d.png")) == [("50%d.png", 0, 0.0)]
    put(tmp_path / "%d", "a.png", "b.png")
    assert len(read(str(tmp_path / "%d"))) == 2
    put(tmp_path, "50%dark1.png", "50%dark2.png")
    assert [index for _, index, _ in read(str(tmp_path / "50%dark*.png"))] == [0, 1]  # a glob


@pytest.mark.parametrize("pattern", ["img_%04d.jpg", "no/img_%04d.jpg", "%d_%d.jpg", "a%099d.png"])
def test_a_pattern_without_a_picture_is_an_error(pattern: str, tmp_path: Path) -> None:
    put(tmp_path, "img_1.jpg", "1_2.jpg", "img_" + "9" * 30 + ".jpg")
    with pytest.raises(SourceError, match=pattern):
        open_source(str(tmp_path / pattern))


def test_numbers_longer_than_64_bits_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, f"{'9' * 30}.png", "3.png", "0" * 20 + "5.png")
    assert [index for _, index, _ in read(str(tmp_path / "%d.png"))] == [3]
    assert [index for _, index, _ in read(str(tmp_path / "%021d.png"))] == [5]


def test_predict_writes_the_numbers(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    put(tmp_path / "in", "img_0003.png", "img_0005.png")
    out, pattern = tmp_path / "out", str(tmp_path / "in" / "img_%04d.png")
    words = [
        "predict",
        pattern,
        "-o",
        str(out),
        "--save",
        "jsonl,images,openpose",
        "--fps",
        "2",
        "--progress",
        "none",
        "-d",
        "whole-image",
    ]
    assert main(words) == 0
    lines = [json.loads(line) for line in (out / "poses.jsonl").read_text().splitlines()]
    assert [(line["frame"], line["time"]) for line in lines if "frame" in line] == [(3, 0), (5, 1)]
    assert sorted(path.name for path in (out / "images").iterdir()) == [
        "img_0003.png",
        "img_0005.png",
    ]
    assert "1 number is missing between 3 and 5, the first of them 4" in capsys.readouterr().err
    assert main([*words[:1], str(tmp_path / "in" / "x_%d.png"), *words[2:], "--overwrite"]) == 3
    assert "no image matches" in capsys.readouterr().err
