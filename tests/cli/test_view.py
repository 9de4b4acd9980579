"""posewright view: saved results drawn over their images or their clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from posewright.cli import main
from posewright.draw import PERSON_COLOURS, Style, draw
from posewright.people import People
from posewright.skeletons import COCO17
from tests.helpers.results import people, result, write

SAVED = {
    "jsonl": "poses.jsonl",
    "parquet": "poses.parquet",
    "coco": "coco-results.json",
    "alphapose": "alphapose-results.json",
    "alphapose-open": "alphapose-results.json",
    "openpose": "openpose",
}


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        cv2.imwrite(str(folder / name), np.full((64, 80, 3), 90, np.uint8))
    return folder


def clip(path: Path, count: int = 4) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        for _ in range(count):
            image = np.full((64, 80, 3), 90, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        file.mux(stream.encode())
    return path


def standing(identity: int) -> People:
    points = np.random.default_rng(0).uniform(10, 54, (1, 17, 2))
    return People.of([[5, 5, 60, 60]], [1.0], points, np.ones((1, 17)), [identity])


def view(*words: object) -> int:
    return main(["view", *map(str, words), "--json"])


def summary(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def changed(path: Path) -> bool:
    image = np.asarray(cv2.imread(str(path)))
    return bool((np.abs(image.astype(int) - 90) > 40).any())


@pytest.mark.parametrize("form", SAVED)
def test_results_of_images_are_matched_by_name(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("a_1.png", "a_2.png", "a_10.png")
    folder = pictures(tmp_path / "walk", *names)
    saved = [
        result(standing(3), str(folder / name), number, sequence=str(folder))
        for number, name in enumerate(names)
        if name != "a_2.png"
    ]
    write(form, tmp_path / "saved", saved)
    words = [tmp_path / "saved" / SAVED[form], "--images", folder, "-o", tmp_path / "out"]
    assert view(*words) == 0
    assert summary(capsys)["frames"] == 3
    drawn = {p.name: changed(p) for p in (tmp_path / "out" / "images").iterdir()}
    assert drawn == {"a_1.png": True, "a_2.png": False, "a_10.png": True}


@pytest.mark.parametrize("form", SAVED)
def test_results_of_a_video_are_matched_by_number(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = clip(tmp_path / "clip.mp4")
    saved = [result(standing(2), str(file), number, sequence=str(file)) for number in (1, 3)]
    write(form, tmp_path / "saved", saved)
    words = [tmp_path / "saved" / SAVED[form], "--video", file, "-o", tmp_path / "out"]
    assert view(*words, "--save", "video,images") == 0
    assert summary(capsys)["frames"] == 4
    drawn = [changed(tmp_path / "out" / "images" / f"clip_{i:06d}.jpg") for i in range(4)]
    assert drawn == [False, True, False, True]
    assert [p.suffix for p in (tmp_path / "out").glob("clip*")] == [".mp4"]


@pytest.mark.parametrize("form", ["jsonl", "alphapose", "openpose"])
def test_results_of_a_video_are_drawn_on_its_extracted_frames(form: str, tmp_path: Path) -> None:
    saved = [result(standing(2), "in/clip.mp4", number) for number in (1, 3)]
    write(form, tmp_path / "saved", saved)
    folder = pictures(tmp_path / "frames", *(f"frame_{i:05d}.png" for i in range(5)))
    words = [tmp_path / "saved" / SAVED[form], "--images", folder, "-o", tmp_path / "out"]
    assert view(*words) == 0
    drawn = [changed(tmp_path / "out" / "images" / f"frame_{i:05d}.png") for i in range(5)]
    assert drawn == [False, True, False, True, False]


def test_people_have_the_colour_of_their_identity(tmp_path: Path) -> None:
    image = np.full((64, 80, 3), 90, np.uint8)
    own = draw(image, standing(1), COCO17, Style(colours="people", thickness=3, ids=False))
    colours = {tuple(int(v) for v in c) for c in own.reshape(-1, 3)}
    assert PERSON_COLOURS[1] in colours and (52, 152, 255) not in colours
    folder = pictures(tmp_path / "walk", "a.png")
    write("jsonl", tmp_path, [result(standing(1), str(folder / "a.png"))])
    made: list[bytes] = []
    for words in ([], ["--draw-colours", "sides"], ["--no-ids"], ["--draw-boxes"]):
        out = tmp_path / f"out{len(made)}"
        assert view(tmp_path / "poses.jsonl", "--images", folder, "-o", out, *words) == 0
        made.append((out / "images" / "a.png").read_bytes())
    assert len(set(made)) == 4


def test_a_video_of_images_and_ranges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(tmp_path / "walk", *(f"{i}.png" for i in range(4)))
    write("jsonl", tmp_path, [result(standing(i), str(folder / f"{i}.png"), i) for i in range(4)])
    words = [tmp_path / "poses.jsonl", "--images", folder, "--save", "video", "--fps", 10]
    assert view(*words, "-o", tmp_path / "out", "--frames", "1:3") == 0
    with av.open(str(tmp_path / "out" / "walk.mp4")) as file:
        assert len(list(file.decode(video=0))) == 2
        assert file.streams.video[0].average_rate == 10
    # two frames are left out on purpose
    assert not any("not drawn" in note for note in summary(capsys)["notes"])
    (folder / "3.png").unlink()
    assert view(*words, "-o", tmp_path / "fewer") == 0
    notes = " ".join(summary(capsys)["notes"])
    assert "1 frame of it not drawn: no such image" in notes


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--images", "other"], 3, "none of the 1 frame in"),
        (["--images", "small"], 3, "its results are for 80 x 64 px, and this image has 40 x 32"),
        (["--images", "walk", "--save", "csv"], 2, "view draws: it saves images and video"),
        (["--video", "walk", "--fps", "5"], 2, "a video has its own frame rate"),
        ([], 2, "one of the arguments --images --video is required"),
        (["--images", "walk", "--skeleton", "coco71"], 2, "coco71"),
    ],
)
def test_what_does_not_go_together_is_told(
    words: list[str],
    code: int,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "walk", "a.png")
    pictures(tmp_path / "other", "b.png")
    (tmp_path / "small").mkdir()
    cv2.imwrite(str(tmp_path / "small" / "a.png"), np.zeros((32, 40, 3), np.uint8))
    write("jsonl", tmp_path, [result(people(), "walk/a.png")])
    try:
        found = main(["view", "poses.jsonl", "-o", "out", *words])
    except SystemExit as error:
        found = int(str(error))
    shown = capsys.readouterr()
    assert found == code and text in shown.err + shown.out
    assert not (tmp_path / "out" / "images").exists()


def test_sequences_are_told_apart_by_their_names(tmp_path: Path) -> None:
    saved = [result(standing(2), f"in/{name}.mp4", 0, sequence=f"in/{name}.mp4") for name in "ab"]
    write("jsonl", tmp_path, saved)
    out = tmp_path / "out"
    assert view(tmp_path / "poses.jsonl", "--video", clip(tmp_path / "b.mp4"), "-o", out) == 0
    other = clip(tmp_path / "other.mp4")
    assert view(tmp_path / "poses.jsonl", "--video", other, "-o", tmp_path / "none") == 3
