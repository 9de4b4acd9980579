"""Integral codecs: error bounds, the published formula as a loop, mirrors, both array kinds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.codecs import Combined, Heatmap, Integral, codec_from_dict, codec_to_dict
from posewright.codecs.integral import expectation, normalised
from posewright.errors import ModelError, UsageError
from posewright.people import People
from posewright.skeletons import COCO17, HALPE136

KINDS = ["softmax", "sigmoid", "sum"]
CODECS = [Integral(normalise=kind) for kind in KINDS]
COMBINED = Combined()
SEEDS = st.integers(0, 2**32 - 1)
quick = settings(max_examples=15, deadline=None)


def someone(seed: int, joints: int = 17, count: int = 3, margin: float = 32) -> People:
    """People in views of 192 x 256, every joint at least `margin` pixels inside."""
    xy = np.random.default_rng(seed).uniform(
        margin, (191 - margin, 255 - margin), (count, joints, 2)
    )
    return People.of(keypoints=xy)


def ideal(kind: str, points: np.ndarray, height: float = 0.9) -> np.ndarray:
    """(N, K, 2) view pixels -> (N, K, 64, 48) outputs whose normalised form is a Gaussian."""
    at = points.astype(np.float64)[..., None, None] / 4
    rows, columns = np.mgrid[:64, :48]
    bell = height * np.exp(
        -((columns - at[:, :, 0]) ** 2 + (rows - at[:, :, 1]) ** 2) / (2 * 2.0**2)
    )
    bell = np.maximum(bell, 1e-30)
    logits = {"softmax": np.log(bell), "sigmoid": np.log(bell / (1 - bell)), "sum": bell}
    return logits[kind].astype(np.float32)


def noise(seed: int, joints: int = 17, views: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.5, 1, (views, joints, 64, 48)).astype(np.float32)


@pytest.mark.parametrize("codec", CODECS, ids=KINDS)
@given(seed=SEEDS)
@quick
def test_ideal_maps_decode_to_a_twentieth_of_a_pixel(codec: Integral, seed: int) -> None:
    people = someone(seed)
    maps = ideal(codec.normalise, people.keypoints)
    found = People.concat(codec.decode({"heatmap": maps}))
    assert np.abs(found.keypoints - people.keypoints).max() < 0.05


@pytest.mark.parametrize("codec", CODECS, ids=KINDS)
def test_targets_are_what_ideal_maps_give(codec: Integral) -> None:
    people = someone(1)
    weights, _ = normalised(ideal(codec.normalise, people.keypoints), codec.normalise)
    found = expectation(weights) / np.array([48, 64]) - 0.5
    targets = codec.encode(people)
    assert targets["points"].shape == (3, 17, 2) and targets["weight"].all()
    np.testing.assert_allclose(found, targets["points"], atol=3e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_formula_joint_by_joint(kind: str) -> None:
    maps = noise(2, joints=5, views=2)
    weights, scores = normalised(maps, kind)  # type: ignore[arg-type]
    xy = expectation(weights)
    for view, joint in np.ndindex(2, 5):
        m = maps[view, joint].astype(np.float64)
        cells = {"softmax": np.exp(m), "sigmoid": 1 / (1 + np.exp(-m)), "sum": m}[kind]
        p = cells / cells.sum()
        mean = (p.sum(0) @ np.arange(48), p.sum(1) @ np.arange(64))
        np.testing.assert_allclose(xy[view, joint], mean, rtol=1e-4)
        peak = cells.max() if kind == "sigmoid" else p.max()
        np.testing.assert_allclose(scores[view, joint], peak, rtol=1e-4)


def test_a_score_is_the_peak_of_the_sigmoid() -> None:
    maps = ideal("sigmoid", np.full((1, 17, 2), 100.0), height=0.7)
    (people,) = Integral(normalise="sigmoid").decode({"heatmap": maps})
    np.testing.assert_allclose(people.scores, 0.7, atol=1e-5)


@pytest.mark.parametrize("codec", [*CODECS, COMBINED], ids=[*KINDS, "combined"])
def test_unflip_twice_is_the_identity(codec: Integral | Combined) -> None:
    maps = noise(3, joints=136)
    once = codec.unflip({"heatmap": maps}, HALPE136)
    np.testing.assert_array_equal(codec.unflip(once, HALPE136)["heatmap"], maps)


@pytest.mark.parametrize("codec", CODECS, ids=KINDS)
def test_unflip_of_a_mirrored_view_is_off_by_the_rounded_shift(codec: Integral) -> None:
    people = someone(4)
    mirrored = people.keypoints[:, COCO17.flip_index] * [-1, 1] + [191, 0]
    maps = ideal(codec.normalise, mirrored)
    found = People.concat(codec.decode(codec.unflip({"heatmap": maps}, COCO17)))
    # the mirror image of cell j is 47.75 - j, rounded to 48 - j: one view pixel
    error = found.keypoints - people.keypoints
    np.testing.assert_allclose(error, np.broadcast_to([1, 0], error.shape), atol=0.05)


@pytest.mark.parametrize("codec", [*CODECS, COMBINED], ids=[*KINDS, "combined"])
def test_batched_equals_single(codec: Integral | Combined) -> None:
    maps = noise(5, joints=120)
    alone = [codec.decode({"heatmap": maps[i : i + 1]})[0] for i in range(3)]
    for one, many in zip(alone, codec.decode({"heatmap": maps}), strict=True):
        np.testing.assert_allclose(one.keypoints, many.keypoints, rtol=1e-5)
        np.testing.assert_allclose(one.scores, many.scores, rtol=1e-5)


@pytest.mark.parametrize("codec", [*CODECS, COMBINED], ids=[*KINDS, "combined"])
@pytest.mark.parametrize("half", [False, True])
def test_torch_gives_what_numpy_gives(codec: Integral | Combined, half: bool) -> None:
    torch = pytest.importorskip("torch")
    maps = np.abs(noise(6, joints=120)).astype(np.float16 if half else np.float32)
    ours = codec.decode({"heatmap": maps})
    theirs = codec.decode({"heatmap": torch.from_numpy(maps)})
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.keypoints, b.keypoints, rtol=1e-4)
        np.testing.assert_allclose(a.scores, b.scores, rtol=1e-4)


@pytest.mark.parametrize("codec", [*CODECS, COMBINED], ids=[*KINDS, "combined"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_view_that_is_not_finite_has_nobody(codec: Integral | Combined, bad: float) -> None:
    maps = noise(7, joints=120)
    maps[1, 119, 3, 4] = bad
    assert [len(p) for p in codec.decode({"heatmap": maps})] == [1, 0, 1]


def test_a_map_of_sum_zero_has_nobody() -> None:
    maps = np.ones((2, 17, 64, 48), np.float32)
    maps[0, 3] = 0
    assert [len(p) for p in Integral(normalise="sum").decode({"heatmap": maps})] == [0, 1]


@pytest.mark.parametrize("codec", CODECS, ids=KINDS)
def test_large_numbers_do_not_overflow(codec: Integral) -> None:
    maps = np.full((1, 17, 64, 48), -1e4, np.float32)
    maps[..., 10, 20] = 1e4
    (people,) = codec.decode({"heatmap": maps})
    assert len(people) == 1
    if codec.normalise != "sum":
        np.testing.assert_allclose(people.keypoints, np.broadcast_to([80, 40], (1, 17, 2)))


def test_weight_says_which_joints_count() -> None:
    people = People.of(keypoints=[[[0, 0], [192, 256], [-1, 9], [9, 257], [50, 50]]])
    people.scores[0, 4] = 0
    targets = Integral().encode(people)
    np.testing.assert_array_equal(targets["weight"], [[1, 1, 0, 0, 0]])
    np.testing.assert_array_equal(targets["points"][0, :2], [[-0.5, -0.5], [0.5, 0.5]])
    assert not targets["points"][0, 2:].any()


@given(SEEDS)
@quick
def test_combined_reads_peaks_and_integrals(seed: int) -> None:
    people = someone(seed, joints=136, count=2)
    targets = COMBINED.encode(people)
    assert {k: v.shape for k, v in targets.items()} == {
        "heatmap": (2, 26, 64, 48),
        "points": (2, 110, 2),
        "weight": (2, 136),
    }
    rest = ideal("sigmoid", people.keypoints[:, 26:])
    found = People.concat(
        COMBINED.decode({"heatmap": np.concatenate([targets["heatmap"], rest], 1)})
    )
    error = np.linalg.norm(found.keypoints - people.keypoints, axis=2)
    assert error[:, :26].max() < 2.83  # targets are rounded to cells of 4 pixels
    assert error[:, 26:].max() < 0.05


def test_combined_is_its_two_parts() -> None:
    maps, people = noise(8, joints=136), someone(8, joints=136)
    both = People.concat(COMBINED.decode({"heatmap": maps}))
    body = People.concat(Heatmap().decode({"heatmap": maps[:, :26]}))
    rest = People.concat(Integral(normalise="sigmoid").decode({"heatmap": maps[:, 26:]}))
    np.testing.assert_array_equal(both.keypoints[:, :26], body.keypoints)
    np.testing.assert_array_equal(both.keypoints[:, 26:], rest.keypoints)
    targets = COMBINED.encode(people)
    first = People.of(keypoints=people.keypoints[:, :26])
    np.testing.assert_array_equal(
        targets["heatmap"], Heatmap(quantised=True).encode(first)["heatmap"]
    )


@pytest.mark.parametrize("codec", [*CODECS, COMBINED], ids=[*KINDS, "combined"])
def test_nobody_stays_nobody(codec: Integral | Combined) -> None:
    assert codec.warps((640, 480), People.empty()) == codec.warps((640, 480), None) == []
    assert codec.decode({"heatmap": noise(0, joints=120)[:0]}) == []
    assert all(len(v) == 0 for v in codec.encode(People.empty(120)).values())


def test_padding_and_stride_have_an_effect() -> None:
    box = People.of(boxes=[[100, 100, 200, 300]])
    wide, narrow = (Integral(padding=p).warps((640, 480), box)[0] for p in (1.5, 1.0))
    assert wide != narrow
    maps = np.zeros((1, 17, 32, 24), np.float32)
    (people,) = Integral(stride=8).decode({"heatmap": maps})
    np.testing.assert_allclose(people.keypoints[0, 0], [11.5 * 8, 15.5 * 8], rtol=1e-6)


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(UsageError, match=r"'tanh'.*softmax, sigmoid, sum"):
        Integral(normalise="tanh")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'tanh'"):
        Combined(normalise="tanh")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="integrals=0"):
        Combined(integrals=0)
    for codec in (Integral(), COMBINED):
        with pytest.raises(ModelError, match=r"\(48, 64\).*\(64, 48\)"):
            codec.decode({"heatmap": np.zeros((1, 120, 48, 64), np.float32)})


@pytest.mark.parametrize("codec", [*CODECS, COMBINED, Combined(integrals=42)], ids=str)
def test_plain_form_there_and_back(codec: Integral | Combined) -> None:
    assert codec_from_dict(codec_to_dict(codec)) == codec
