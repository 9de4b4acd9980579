"""A study: variants trained and evaluated alike, failures, interruptions, and the report."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posewright.cli import main
from posewright.compare.cost import Cost
from posewright.compare.plan import read_plan
from posewright.compare.trial_report import table_of, write_report
from posewright.compare.trials import Finished, run_plan
from posewright.datasets.formats.coco_out import write_labels
from posewright.datasets.synthetic import synth
from posewright.errors import UsageError
from tests.helpers.runs import same_bytes

pytest.importorskip("torch")

COST = Cost(2_000_000, 0.25, 4.0, 3.0, 5.0, 2.0, 300.0, "torch", 0.3)

HEAD = """repeat = {repeat}
[data]
train = "{folder}/people"
val = "last:3"
[recipe]
epochs = 2
batch = 4
workers = 1
log_every = 1
augment.half_body = 0
options.input_size = [32, 32]
options.codec = "simcc"
"""
PLAIN = '[[variant]]\nname = "plain"\nnetwork = "simcc_mobilenetv2"\n'
GAU = '[[variant]]\nname = "gau"\nnetwork = "simcc_mobilenetv2"\noptions.neck = ["gau"]\n'
FAILS = PLAIN.replace("plain", "fails") + 'weights = "gone.safetensors"\n'


@pytest.fixture(autouse=True)
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes a process of its own."""
    monkeypatch.setattr("posewright.compare.trials.measure_cost", lambda *args, **options: COST)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a labelled set of eight drawn images."""
    folder = tmp_path_factory.mktemp("study")
    write_labels(synth(folder / "people", 8, 3), folder / "people" / "annotations.json")
    return folder


Write = Callable[..., Path]


@pytest.fixture
def write(people: Path, tmp_path: Path) -> Write:
    """Write a study's file of some variants."""

    def write(*variants: str, repeat: int = 1) -> Path:
        text = HEAD.format(folder=people.as_posix(), repeat=repeat) + "".join(variants)
        (tmp_path / "study.toml").write_text(text, "utf-8")
        return tmp_path / "study.toml"

    return write


def run(file: Path, folder: Path, **options: Any) -> Finished:
    return run_plan(read_plan(file), folder, device="cpu", **options)


def values(study: Finished) -> list[list[float]]:
    return [line.values for line in study.lines]


@pytest.fixture(scope="module")
def finished(people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Path]:
    """A study of two variants with two seeds and of one that fails, and its folder."""
    folder = tmp_path_factory.mktemp("finished")
    text = HEAD.format(folder=people.as_posix(), repeat=2) + PLAIN + FAILS + GAU
    (folder / "study.toml").write_text(text, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("posewright.compare.trials.measure_cost", lambda *args, **options: COST)
        study = run(folder / "study.toml", folder / "out")
    write_report(study, folder / "out")
    return study, folder


def test_every_variant_is_trained_with_every_seed(finished: tuple[Finished, Path]) -> None:
    study, folder = finished
    plain, fails, gau = study.lines
    assert study.metric == "AP" or study.metric.startswith("PCK")
    assert [[t.seed for t in line.trials] for line in study.lines] == [[0, 1], [], [0, 1]]
    assert study.pictures == 3 and study.chosen and study.exit_code == 4
    runs = folder / "out" / "runs"
    recipes = [(runs / name / "seed-1" / "recipe.toml").read_text() for name in ("plain", "gau")]
    changed = set(recipes[0].splitlines()) ^ set(recipes[1].splitlines())
    assert len(changed) == 1 and "neck" in changed.pop()  # nothing else differs
    assert fails.failed.startswith("gone.safetensors: no such file to start from")
    assert plain.difference is None and gau.difference is not None
    assert plain.cost == COST and plain.view == (32, 32)
    assert plain.mean == pytest.approx(np.mean(plain.values))
    assert plain.deviation == pytest.approx(np.std(plain.values, ddof=1))


def test_the_difference_is_that_of_the_same_people(finished: tuple[Finished, Path]) -> None:
    plain, _, gau = finished[0].lines
    first, second = (np.concatenate(line.likeness()) for line in (plain, gau))
    counts = first >= 0
    assert gau.difference is not None
    assert gau.difference.mean == pytest.approx((second - first)[counts].mean())
    assert gau.difference.low <= gau.difference.mean <= gau.difference.high


def test_the_report_has_a_row_for_each_even_if_it_failed(finished: tuple[Finished, Path]) -> None:
    study, folder = finished
    out = folder / "out"
    text = (out / "study.md").read_text("utf-8")
    assert text == table_of(study)
    rows = {line.split()[1]: line for line in text.splitlines() if line.startswith("| ")}
    assert "| 2.000 | 0.250 |" in " ".join(rows["gau"].split()) and "(2)" in rows["gau"]
    assert "failed" in rows["fails"] and "fails failed: gone.safetensors" in text
    assert "left_wrist" in rows and "which also chose the epoch" in text
    table = list(csv.DictReader(io.StringIO((out / "study.csv").read_text("utf-8"))))
    assert [(row["variant"], row["seed"]) for row in table] == [
        ("plain", "0"),
        ("plain", "1"),
        ("fails", ""),
        ("gau", "0"),
        ("gau", "1"),
    ]
    data = json.loads((out / "study.json").read_text("utf-8"))
    assert data == json.loads(json.dumps(study.to_dict()))
    assert data["lines"][0]["mean"] == study.lines[0].mean
    assert "likeness" not in data["lines"][0]["trials"][0]
    html = (out / "study.html").read_text("utf-8")
    assert "gone.safetensors" in html and "<script" not in html


def test_what_is_finished_is_kept_and_what_failed_is_tried_again(
    finished: tuple[Finished, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, folder = finished
    shutil.copytree(folder / "out", tmp_path / "out")
    trained: list[str] = []

    def refuse(recipe: Any, folder: Path, **options: Any) -> None:
        trained.append(folder.parent.name)
        raise RuntimeError("out of memory\nsomewhere")

    monkeypatch.setattr("posewright.train.train", refuse)
    again = run(folder / "study.toml", tmp_path / "out")
    assert trained == ["fails", "fails"] and values(again) == values(study)
    assert again.lines[1].failed == "out of memory somewhere"
    assert again.lines[0] == study.lines[0]


def test_other_settings_are_refused_before_anything_is_trained(
    finished: tuple[Finished, Path], people: Path, tmp_path: Path
) -> None:
    text = (finished[1] / "study.toml").read_text("utf-8").replace("epochs = 2", "epochs = 3")
    (tmp_path / "study.toml").write_text(text, "utf-8")
    with pytest.raises(UsageError, match="'plain' was trained with other settings"):
        run(tmp_path / "study.toml", finished[1] / "out")


def test_an_interrupted_study_goes_on_where_it_stopped(
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = write(PLAIN, GAU)
    whole = run(file, tmp_path / "whole")
    said: list[str] = []

    def stop(line: str) -> None:
        said.append(line)
        if "  step 1 " in line and "gau, seed 0: training" in said:
            signal.raise_signal(signal.SIGTERM)

    halted = run(file, tmp_path / "halted", progress=stop)
    assert halted.exit_code == 143 and values(halted) == [whole.lines[0].values, []]
    assert "not finished" in table_of(halted)
    words = ["study", str(file), "-o", str(tmp_path / "halted"), "--resume", "--device", "cpu"]
    assert main([*words, "--json"]) == 0
    captured = capsys.readouterr()
    resumed = json.loads(captured.out)
    assert "kept" in captured.err and "gau, seed 0: resumed" in captured.err
    found = [[t["numbers"] for t in line["trials"]] for line in resumed["lines"]]
    assert found == [[trial.numbers for trial in line.trials] for line in whole.lines]
    weights = [tmp_path / f / "runs/gau/seed-0/last.safetensors" for f in ("whole", "halted")]
    assert same_bytes(*weights)


def test_another_test_set_does_not_choose_the_epoch(
    write: Write, people: Path, tmp_path: Path
) -> None:
    file = write(PLAIN)
    test = f'test = "{people.as_posix()}/people"\n'
    file.write_text(file.read_text("utf-8").replace("[recipe]\n", test + "[recipe]\n"), "utf-8")
    study = run(file, tmp_path / "out")
    assert study.pictures == 8 and not study.chosen
    assert "chose the epoch" not in table_of(study)


def test_a_wrong_option_is_told_before_hours_pass(write: Write, tmp_path: Path) -> None:
    file = write(PLAIN, GAU.replace('["gau"]', '["gaus"]'))
    with pytest.raises(UsageError, match=r"study\.toml: variant 'gau': no neck 'gaus'; did you"):
        run(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_verb_refuses_a_folder_in_use_and_a_study_that_is_not_there(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = write(PLAIN), tmp_path / "out"
    assert main(["study", str(file), "-o", str(out), "--resume"]) == 2
    assert "holds no study to resume" in capsys.readouterr().err
    (tmp_path / "earlier" / "runs").mkdir(parents=True)
    assert main(["study", str(file), "-o", str(tmp_path / "earlier")]) == 4
    assert "holds a study; continue it with --resume" in capsys.readouterr().err
    out.mkdir()
    (out / "mine.txt").write_text("x")
    assert main(["study", str(file), "-o", str(out)]) == 4
    assert main(["study", str(file), "-o", str(tmp_path / "x"), "-m", "hrnet_w32"]) == 2
    assert main(["study", str(tmp_path / "gone.toml"), "-o", str(tmp_path / "x")]) == 3


def test_networks_of_the_user_s_own_file(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from posewright.models import register\n"
        "from posewright.models.simcc import simcc_mobilenetv2\n"
        "@register(paper='none')\n"
        "def study_own(*, input_size=(32, 32), skeleton='coco17', codec='simcc'):\n"
        "    '''A network of one's own.'''\n"
        "    return simcc_mobilenetv2(input_size=input_size, skeleton=skeleton, codec=codec)\n"
    )
    file, out = write(PLAIN.replace("simcc_mobilenetv2", "study_own")), tmp_path / "out"
    words = ["study", str(file), "-o", str(out), "--device", "cpu", "--quiet"]
    assert main(words) == 2
    assert "study_own" in capsys.readouterr().err
    assert main([*words, "-m", f"{tmp_path}/mine.py:study_own"]) == 0
    captured = capsys.readouterr()
    assert "| plain" in captured.out and "step" not in captured.err
