"""Two runtimes agree up to what neither can decide: the order of equal scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from posewright.codecs import RTMO
from posewright.errors import ModelError
from posewright.export import agreement as module
from posewright.export.agreement import ROUNDING, Check, agreement
from posewright.skeletons import COCO17

SIZE = (64, 64)
CODEC = RTMO(SIZE, threshold=0.5)
Outputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Known:
    """Emits what it was given, whatever it sees."""

    outputs: Outputs
    codec: RTMO = CODEC
    skeleton: Any = COCO17

    def __call__(self, views: np.ndarray, condition: Any = None) -> Outputs:
        return self.outputs


def outputs(count: int, seed: int = 0) -> Outputs:
    """Two views' candidates, of which the first four and the last four have equal scores."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 30, (2, count, 2))
    scores = np.sort(rng.normal(0, 2, (2, count)), 1)[:, ::-1].copy()
    scores[:, :4], scores[:, -4:] = 9.0, -9.0
    return {
        "scores": scores.astype(np.float32),
        "boxes": np.concatenate([corner, corner + 20], 2).astype(np.float32),
        "keypoints": rng.uniform(0, 64, (2, count, 17, 2)).astype(np.float32),
        "visibility": rng.normal(0, 1, (2, count, 17)).astype(np.float32),
    }


def compare(
    monkeypatch: pytest.MonkeyPatch, ours: Outputs, theirs: Outputs, codec: RTMO = CODEC
) -> Check:
    monkeypatch.setattr(module, "real_crops", lambda codec: np.zeros((2, 64, 64, 3), np.uint8))
    return agreement(Known(ours, codec), Known(theirs, codec), (2,))  # type: ignore[arg-type]


def in_another_order(given: Outputs) -> Outputs:
    order = np.arange(len(given["scores"][0]))
    order[:4], order[-4:] = order[:4][::-1].copy(), order[-4:][::-1].copy()
    return {key: array[:, order] for key, array in given.items()}


def test_equal_scores_may_change_places(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = outputs(20)  # all cells of the view
    found = compare(monkeypatch, ours, in_another_order(ours))
    assert (found.error, found.worst, found.people) == (0, 0, 2) and found.found > 0


def test_unequal_scores_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = outputs(20)
    theirs = {key: array.copy() for key, array in ours.items()}
    for key in ("boxes", "keypoints", "visibility"):
        theirs[key][:, [5, 9]] = theirs[key][:, [9, 5]]
    assert compare(monkeypatch, ours, theirs).error > 0.01


@pytest.mark.parametrize("key", ["scores", "boxes", "keypoints", "visibility"])
def test_a_difference_of_any_output_counts(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    ours = outputs(20)
    theirs = {**ours, key: ours[key] * np.float32(1.02)}
    assert compare(monkeypatch, ours, theirs).error == pytest.approx(0.02, rel=1e-3)


def test_outputs_count_where_nobody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = outputs(20)
    ours["scores"] -= 20
    theirs = {**ours, "keypoints": ours["keypoints"] + 1}
    found = compare(monkeypatch, ours, theirs)
    assert found.found == 0 and found.pixels == 0 and found.error > 0.01


def test_those_tied_with_the_last_may_be_others(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = RTMO((640, 640), threshold=0.5)  # 2000 cells, 20 of them come out
    ours, theirs = outputs(20), outputs(20)
    for key, other in outputs(20, seed=1).items():
        theirs[key][:, -4:] = other[:, -4:]
    assert compare(monkeypatch, ours, theirs, codec).error == 0
    assert compare(monkeypatch, ours, theirs).error > 0.01  # all cells of a small view come out


def test_rounding_may_change_whom_nms_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = outputs(20)
    ours["boxes"][:, :2], ours["scores"][:, :2] = ours["boxes"][:, :1], 1.0
    theirs = {**ours, "scores": ours["scores"].copy()}
    theirs["scores"][:, 1] += np.float32(1e-5)
    found = compare(monkeypatch, ours, theirs)
    assert 0 < found.error <= ROUNDING and found.worst > 1


@pytest.mark.parametrize("shift", [-1e-5, 1e-5])
def test_rounding_may_change_who_is_above_the_threshold(
    monkeypatch: pytest.MonkeyPatch, shift: float
) -> None:
    ours = outputs(20)
    ours["boxes"][:, 12], ours["scores"][:, 12] = [50, 50, 63, 63], shift
    theirs = {**ours, "scores": ours["scores"].copy()}
    theirs["scores"][:, 12] = -shift
    found = compare(monkeypatch, ours, theirs)
    assert 0 < found.error <= ROUNDING and found.found > 0
    with pytest.raises(ModelError, match="people in a view"):
        compare(monkeypatch, ours, {**theirs, "boxes": theirs["boxes"] * np.float32(1.001)})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("people", [True, False])
@pytest.mark.parametrize("key", ["scores", "boxes", "keypoints", "visibility"])
def test_outputs_that_are_not_finite_are_refused(
    monkeypatch: pytest.MonkeyPatch, key: str, people: bool, bad: float
) -> None:
    ours = outputs(20)
    ours["scores"] -= 0 if people else 20
    theirs = {**ours, key: ours[key].copy()}
    theirs[key].flat[-1] = bad  # one number, of the candidate with the lowest score
    with pytest.raises(ModelError, match=f"^outputs hold NaN or infinity: {key}$"):
        compare(monkeypatch, ours, theirs)
    with pytest.raises(ModelError, match="outputs of the torch network hold NaN"):
        compare(monkeypatch, theirs, theirs)


def test_numbers_too_large_to_compare_do_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {**outputs(20), "visibility": np.full((2, 20, 17), 3e38, np.float32)}
    with np.errstate(over="ignore", invalid="ignore"):
        found = compare(monkeypatch, ours, {**ours, "visibility": -ours["visibility"]})
    assert not found.error <= 1


def test_outputs_of_another_network_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = outputs(20)
    with pytest.raises(ModelError, match=r"outputs are .*'box', .*, not .*'boxes'"):
        compare(monkeypatch, ours, {"box" if k == "boxes" else k: a for k, a in ours.items()})
    with pytest.raises(ModelError, match="an output has shape"):
        compare(monkeypatch, ours, {**ours, "visibility": ours["visibility"][..., :5]})
    nobody = {**ours, "scores": ours["scores"] * 0 - 9}
    with pytest.raises(ModelError, match="finds 0 people in a view, torch"):
        compare(monkeypatch, ours, nobody)
