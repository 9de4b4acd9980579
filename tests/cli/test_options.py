"""An option that could do nothing is refused, on the command line and in Python."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from posewright import Pose
from posewright.cli import main
from posewright.cli.progress import Bar
from posewright.errors import UsageError
from posewright.predict import Progress


@pytest.mark.parametrize(
    ("option", "formats"),
    [
        ("--coco-images=no.json", "coco"),
        ("--openpose-order=body25", "openpose"),
        ("--sep-json", "alphapose-cmu or alphapose-open"),
        ("--draw-boxes", "images or video"),
        ("--draw-scores", "images or video"),
        ("--no-ids", "images or video"),
        ("--draw-threshold=0.5", "images or video"),
    ],
)
def test_options_of_formats_that_are_not_written(
    option: str, formats: str, people_jpg: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(people_jpg), "-o", str(tmp_path / "out"), "--save", "csv", option]
    assert main(words) == 2
    assert (
        f"{option.partition('=')[0]} has an effect only with --save {formats}; add"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_options_of_the_formats_that_are_written_by_default(
    people_jpg: Path, tmp_path: Path
) -> None:
    assert main(["predict", str(people_jpg), "-o", str(tmp_path / "out"), "--draw-boxes"]) == 0


def test_shares_lie_between_0_and_1(people_jpg: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["predict", str(people_jpg), "--draw-threshold", "7"])
    assert stopped.value.code == 2
    for name, value in (("min_score", 5), ("det_score", -1), ("max_people", -1), ("threads", -2)):
        with pytest.raises(UsageError, match=rf"{name}={value}\b.* is n"):
            Pose(**{name: value})  # type: ignore[arg-type]


def test_formats_of_predict_to_as_on_the_command_line(people_jpg: Path, tmp_path: Path) -> None:
    Pose().predict_to(people_jpg, tmp_path, save="csv, jsonl")
    assert {p.name for p in tmp_path.glob("poses.*")} == {"poses.csv", "poses.jsonl"}
    with pytest.raises(UsageError, match="did you mean 'csv'"):
        Pose().predict_to(people_jpg, tmp_path, save="cvs")


def test_the_rate_is_that_of_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    """Two sources of 10 frames in 2 s each: 5 frames/s, also in the second one."""

    bar = Bar("plain", sys.stderr)
    for source, seconds in (("a.mp4", 2.0), ("b.mp4", 4.0)):
        bar(Progress(source, 1, 10, 0, seconds - 1.8))
        bar(Progress(source, 10, 10, 0, seconds))
    lines = [line for line in capsys.readouterr().err.splitlines() if " 10/10 " in line]
    assert len(lines) == 2 and all("5.0 frames/s" in line for line in lines)
