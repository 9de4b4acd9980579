"""HOTA: the numbers of TrackEval, small cases by hand, and a plain writing of the definition."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.evaluation.scoring import score_files
from posewright.metrics.hota import ALPHAS, Hota, hota, hota_numbers
from posewright.metrics.tracking import Sight

TUD = {  # HOTA, DetA, AssA by TrackEval, as py-motmetrics' own tests quote them
    "TUD-Campus": (0.3913974378451139, 0.418047030142763, 0.36912068120832836),
    "TUD-Stadtmitte": (0.3978490169927877, 0.3922675723693166, 0.4088407518112996),
}


def sight(truth: list[int], found: list[int], alike: list[list[float]]) -> Sight:
    table = 1 - np.array(alike, float).reshape(len(truth), len(found))
    return Sight(np.array(truth, int), np.array(found, int), table)


@pytest.mark.parametrize("name", TUD)
def test_published_numbers(data_dir: Path, name: str) -> None:
    folder = data_dir / "eval_reference" / "motmetrics_tud" / name
    numbers = score_files("mot", folder / "gt.txt", folder / "test.txt").numbers
    found = [numbers[key] for key in ("HOTA", "DetA", "AssA")]
    np.testing.assert_allclose(found, 100 * np.array(TUD[name]), rtol=1e-12)


def test_thresholds() -> None:
    """One pair of overlap 0.5 counts at the ten thresholds up to 0.5, that one included."""
    counts = hota([sight([1], [7], [[0.5]])])
    assert counts.matches.tolist() == [1] * 10 + [0] * 9
    numbers = hota_numbers(counts)
    assert numbers == pytest.approx(dict.fromkeys(("HOTA", "DetA", "AssA"), 10 / 19))
    assert ALPHAS[[0, -1]].tolist() == [0.05, 0.95]


def test_an_identity_that_changes() -> None:
    """One person for 4 frames, called 7 in three of them and 8 in one: A = 3/4 and 1/4."""
    counts = hota([sight([1], [name], [[1.0]]) for name in (7, 7, 7, 8)])
    numbers = hota_numbers(counts)
    assert numbers["DetA"] == 1
    assert numbers["AssA"] == pytest.approx((3 * 3 / 4 + 1 / 4) / 4)
    assert numbers["HOTA"] == pytest.approx(np.sqrt(numbers["AssA"]))


def test_a_miss_and_a_false_one() -> None:
    counts = hota([sight([1, 2], [7, 9], [[1.0, 0.0], [0.0, 0.0]])])
    assert hota_numbers(counts) == pytest.approx({"HOTA": (1 / 3) ** 0.5, "DetA": 1 / 3, "AssA": 1})


def test_the_whole_sequence_decides_a_frame() -> None:
    """In one frame a stranger overlaps more; the identity of all other frames goes before it."""
    frames = [sight([1], [7], [[0.9]])] * 9 + [sight([1], [7, 8], [[0.6, 0.8]])]
    counts = hota(frames)
    assert counts.matches[ALPHAS < 0.59].tolist() == [10] * 11
    assert counts.association[0] == pytest.approx(10)


def test_sequences_are_added() -> None:
    one = hota([sight([1], [7], [[1.0]]), sight([1], [8], [[1.0]])])
    two = hota([sight([1], [7], [[1.0]])])
    total = one + two
    assert (total.objects, total.predictions, total.matches.tolist()) == (3, 3, [3] * 19)
    assert hota_numbers(total)["AssA"] == pytest.approx((2 * 0.5 + 1) / 3)
    assert hota_numbers(one + Hota()) == hota_numbers(one)


def test_nobody() -> None:
    assert set(hota_numbers(hota([])).values()) == {-1}
    assert set(hota_numbers(hota([sight([], [], [])])).values()) == {-1}
    for frame in (sight([], [3], []), sight([4], [], [])):
        assert set(hota_numbers(hota([frame])).values()) == {0}
    apart = Sight(np.array([1]), np.array([2]), np.array([[np.nan]]))
    assert hota_numbers(hota([apart])) == {"HOTA": 0, "DetA": 0, "AssA": 0}


def plain(frames: list[Sight]) -> tuple[float, float, float]:
    """HOTA, DetA, AssA with loops and every assignment tried, from the text of the paper."""
    alike = [1 - f.distances for f in frames]
    soft: dict[tuple[int, int], float] = {}
    times: dict[tuple[str, int], int] = {}
    for frame, table in zip(frames, alike, strict=True):
        for kind, names in (("t", frame.truth), ("f", frame.found)):
            for name in names.tolist():
                times[kind, name] = times.get((kind, name), 0) + 1
        for (i, t), (j, f) in pairs(frame):
            share = table[i, j] / (table[i].sum() + table[:, j].sum() - table[i, j])
            soft[t, f] = soft.get((t, f), 0) + share
    agree = {(t, f): s / (times["t", t] + times["f", f] - s) for (t, f), s in soft.items()}
    results = []
    chosen = [best(frame, table, agree) for frame, table in zip(frames, alike, strict=True)]
    for alpha in np.arange(0.05, 0.99, 0.05):
        hits = [p for part in chosen for p, overlap in part if overlap >= alpha - 1e-9]
        size = sum(len(f.truth) + len(f.found) for f in frames) - len(hits)
        shares = [
            hits.count(p) / (times["t", p[0]] + times["f", p[1]] - hits.count(p)) for p in hits
        ]
        detection, association = len(hits) / size, float(np.mean(shares)) if hits else 0.0
        results.append(((detection * association) ** 0.5, detection, association))
    return tuple(np.mean(results, 0))


def pairs(frame: Sight):  # type: ignore[no-untyped-def]
    truth, found = enumerate(frame.truth.tolist()), list(enumerate(frame.found.tolist()))
    return [(a, b) for a in truth for b in found]


def best(frame, table, agree):  # type: ignore[no-untyped-def]
    """Return the pairs of identities, with overlaps, of the best of all assignments."""
    t, f = frame.truth.tolist(), frame.found.tolist()
    turned = len(t) > len(f)
    few, many = (f, t) if turned else (t, f)
    options = []
    for order in permutations(range(len(many)), len(few)):
        places = [(j, i) if turned else (i, j) for i, j in enumerate(order)]
        gain = sum(agree[t[i], f[j]] * table[i, j] for i, j in places)
        options.append((gain, [((t[i], f[j]), table[i, j]) for i, j in places]))
    return max(options, key=lambda option: option[0])[1]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_as_the_plain_writing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(rng.integers(1, 7)):
        truth = rng.permutation(4)[: rng.integers(1, 5)]
        found = rng.permutation(5)[: rng.integers(1, 5)] + 10
        frames.append(sight(truth.tolist(), found.tolist(), rng.random((len(truth), len(found)))))
    numbers = hota_numbers(hota(frames))
    found = [numbers[key] for key in ("HOTA", "DetA", "AssA")]
    np.testing.assert_allclose(found, plain(frames), rtol=1e-9)


def test_each_part_tells_what_it_should() -> None:
    """Misses lower detection and not association; mixed up names the other way round."""
    rng, eye = np.random.default_rng(1), np.eye(3)
    perfect = [sight([0, 1, 2], [5, 6, 7], eye.tolist()) for _ in range(40)]
    assert hota_numbers(hota(perfect)) == pytest.approx({"HOTA": 1, "DetA": 1, "AssA": 1})
    mixed = [Sight(f.truth, rng.permutation(3), f.distances) for f in perfect]
    numbers = hota_numbers(hota(mixed))
    assert numbers["DetA"] == 1 and numbers["AssA"] < 0.4
    empty = sight([0, 1, 2], [], [])
    missed = [f if n < 20 else empty for n, f in enumerate(perfect)]
    numbers = hota_numbers(hota(missed))
    assert numbers["DetA"] == pytest.approx(0.5) and numbers["AssA"] == pytest.approx(0.5)
