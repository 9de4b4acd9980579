"""A run that goes on with another batch or other data keeps its place in the schedule."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from posewright.cli import main
from posewright.recipes.recipe import Recipe
from posewright.train import train
from posewright.training.logs import Place
from posewright.training.resuming import Pace, Taken
from posewright.training.state import read_state, write_state

STEP = Recipe(lr=1e-3, epochs=8, milestones=(4,), batch=6, warmup=0)


def facts(recipe: Recipe, instances: int, place: Place) -> dict[str, Any]:
    """What a state of a run says, in the form that JSON keeps."""
    pace = Pace.of(recipe, max(instances // recipe.batch, 1), instances)
    made = {"place": asdict(place), "recipe": recipe.to_dict(), "pace": asdict(pace)}
    return dict(json.loads(json.dumps(made)))


def taken(known: dict[str, Any], recipe: Recipe, instances: int, folder: Path = Path()) -> Taken:
    fresh = Pace.of(recipe, max(instances // recipe.batch, 1), instances)
    return Taken.of(known, folder, recipe, fresh)


def rate(found: Taken, recipe: Recipe) -> float:
    return recipe.lr * found.pace.rate(recipe, found.pace.at(found.place))


def test_without_changes_everything_is_as_it_was() -> None:
    place = Place(3, 2, 14, 0.5, 2, "AP")
    found = taken(facts(STEP, 24, place), STEP, 24)
    assert (found.place, found.changes) == (place, ()) and found.pace.at(place) == 14


@pytest.mark.parametrize(
    ("batch", "instances", "expected"),
    [
        (3, 24, 6),  # 18 of 24 were seen, in the same order
        (4, 24, 4),
        (24, 24, 0),
        (6, 48, 6),  # three quarters of the epoch in any case
        (6, 12, 1),
        (12, 240, 15),
    ],
)
def test_the_epoch_in_hand_goes_on_by_what_was_seen(
    batch: int, instances: int, expected: int
) -> None:
    known = facts(STEP, 24, Place(5, 3, 23))
    changed = replace(STEP, batch=batch)
    found = taken(known, changed, instances)
    assert (found.place.epoch, found.place.batch, found.place.step) == (5, expected, 23)
    assert rate(found, changed) == pytest.approx(1e-4)  # after the milestone, as before
    assert any("resuming at epoch 5." in line for line in found.changes)


def test_a_state_with_earlier_names_of_settings_is_read() -> None:
    known = facts(STEP, 24, Place(3, 2, 14))
    for group in ("stn", "oks_loss", "rtmo"):
        del known["recipe"][group]
    known["recipe"] |= {"parallel": 1.0, "parallel_labels": "centred", "oks_width": 4.0}
    found = taken(known, STEP.with_overrides(["augment.flip=0"]), 24)
    changed = ["oks_loss.width=1.0 (before: 4.0)", "augment.flip=0.0 (before: 0.5)"]
    assert found.changes == (f"resumed with {', '.join(changed)}",)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize(("batch", "instances"), [(3, 24), (12, 24), (6, 96)])
def test_smooth_schedules_go_on_where_they_were(schedule: str, batch: int, instances: int) -> None:
    recipe = replace(STEP, schedule=schedule)
    known = facts(recipe, 24, Place(2, 2, 10))
    found = taken(known, changed := replace(recipe, batch=batch), instances)
    before = taken(known, recipe, 24)
    assert rate(found, changed) == pytest.approx(rate(before, recipe))
    assert not any("learning rate" in line for line in found.changes)


@pytest.mark.parametrize("warmup", [16, 500])  # the recipe's own, and a tenth of the training
@pytest.mark.parametrize("batch", [3, 12])
def test_a_warm_up_in_hand_goes_on(batch: int, warmup: int) -> None:
    recipe = replace(STEP, epochs=100, milestones=(90,), warmup=warmup)
    changed = replace(recipe, batch=batch)
    known = facts(recipe, 24, Place(2, 0, 8))  # of 16 or 40 steps
    before, found = taken(known, recipe, 24), taken(known, changed, 24)
    assert rate(before, recipe) < 0.9e-3
    assert rate(found, changed) == pytest.approx(rate(before, recipe))


def test_a_warm_up_that_is_over_does_not_begin_again() -> None:
    recipe = replace(STEP, epochs=10, warmup=500, milestones=(1000,))
    known = facts(recipe, 24, Place(10, 0, 40))
    longer = replace(recipe, epochs=1000)
    assert rate(taken(known, longer, 24), longer) == recipe.lr


def test_a_rate_that_changes_is_told() -> None:
    known = facts(STEP, 24, Place(5, 0, 20))
    found = taken(known, replace(STEP, epochs=16, milestones=(8,)), 24)
    assert found.changes == (
        "resumed with epochs=16 (before: 8), milestones=[8] (before: [4])",
        "the learning rate is now 0.001 (before: 0.0001)",
    )


def test_states_of_earlier_versions_say_it_by_their_place(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(STEP.to_toml())
    known = {"place": asdict(Place(5, 3, 23))}
    changed = replace(STEP, batch=3)
    assert taken(known, changed, 24, tmp_path).place.batch == 6
    grown = taken(known, STEP, 48, tmp_path)
    assert (grown.place.batch, grown.pace.at(grown.place)) == (6, 46)
    assert rate(grown, STEP) == pytest.approx(1e-4)
    assert taken(known, STEP, 24, tmp_path).changes == ()


def small(data: Path, *more: str) -> list[str]:
    return [
        str(data),
        "-m",
        "simcc_mobilenetv2",
        "options.input_size=[64,64]",
        "val_split=0",
        "warmup=0",
        "workers=0",
        "log_every=1",
        "schedule=step",
        "gamma=0.1",
        "lr=1e-3",
        *more,
    ]


def test_the_command_goes_on_at_the_rate_of_the_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "synth", "-o", str(tmp_path / "set"), "--count", "4"]) == 0
    run, device = tmp_path / "run", ["--device", "cpu"]
    first = small(tmp_path / "set", "epochs=3", "milestones=[2]", "batch=64")
    assert main(["train", *first, "-o", str(run), *device]) == 0
    # as of a version that kept neither recipe nor pace
    tensors, kept = read_state(run / "state.safetensors")
    for key in ("recipe", "pace", "validation"):
        del kept[key]
    write_state(run / "state.safetensors", tensors, kept)
    capsys.readouterr()
    more = ["epochs=4", "milestones=[2]", "batch=2"]
    assert main(["train", "--resume", str(run), *more, *device]) == 0
    said = capsys.readouterr().out
    assert "resumed with epochs=4 (before: 3), batch=2 (before: 64)" in said
    assert "epoch 4.00/4" in said and "learning rate is" not in said
    with open(run / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 4 and rows[3]["epoch"] == "3"
    rates = [float(row["lr"]) for row in rows]
    assert rates == pytest.approx([1e-3, 1e-3, *[1e-4] * (len(rows) - 2)])
    assert Recipe.read(run / "recipe.toml").batch == 2
    assert train(Recipe.read(run / "recipe.toml"), run, resume=True).place.epoch == 4
    assert "resumed with" not in capsys.readouterr().out
