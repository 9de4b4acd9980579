"""SimCC codec: error bound, targets, mirrors, scores, both array kinds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.codecs import SimCC, codec_from_dict, codec_named, codec_to_dict
from posewright.errors import ModelError, UsageError
from posewright.people import People
from posewright.skeletons import COCO17
from posewright.warp import Warp

RTMPOSE = SimCC()
SA = SimCC(sigma=6.0, normalised=True)
SIMDR = SimCC(normalised=True, smoothing=0.1, score="max")
LARGE = SimCC((288, 384), split=1.5, sigma=6.0)
LOW = SimCC((64, 64), split=3.0, sigma=4.0, normalised=True)
ALL = [RTMPOSE, SA, SIMDR, LARGE, LOW]
IDS = ["rtmpose", "sa", "simdr", "384", "64"]
SEEDS = st.integers(0, 2**32 - 1)
quick = settings(max_examples=20, deadline=None)


def someone(seed: int, codec: SimCC, count: int = 3) -> People:
    high = np.array(codec.input_size) - 1
    return People.of(keypoints=np.random.default_rng(seed).uniform(0, high, (count, 17, 2)))


def perfect(codec: SimCC, people: People) -> dict[str, np.ndarray]:
    """What a network gives that has learnt its targets: logits where the targets are normalised."""
    targets = codec.encode(people)
    axes = {key: targets[key] for key in ("x", "y")}
    return {k: np.log(a + 1e-30) for k, a in axes.items()} if codec.normalised else axes


@pytest.mark.parametrize("codec", ALL, ids=IDS)
@given(seed=SEEDS)
@quick
def test_round_trip_errs_by_half_a_bin(codec: SimCC, seed: int) -> None:
    people = someone(seed, codec)
    found = People.concat(codec.decode(perfect(codec, people)))
    assert np.abs(found.keypoints - people.keypoints).max() <= 0.5 / codec.split + 1e-4
    assert found.scores.min() > 0.98


def test_split_two_is_a_quarter_of_a_pixel() -> None:
    people = someone(0, RTMPOSE, 50)
    error = np.abs(
        People.concat(RTMPOSE.decode(RTMPOSE.encode(people))).keypoints - people.keypoints
    )
    assert error.max() <= 0.25 + 1e-4 and error.mean() < 0.13


@pytest.mark.parametrize("codec", ALL, ids=IDS)
@given(seed=SEEDS)
@quick
def test_unflip_twice_is_the_identity(codec: SimCC, seed: int) -> None:
    rng = np.random.default_rng(seed)
    outputs = {k: rng.normal(size=(2, 17, n)) for k, n in zip("xy", codec.bins, strict=True)}
    twice = codec.unflip(codec.unflip(outputs, COCO17), COCO17)
    for key in "xy":
        np.testing.assert_array_equal(twice[key], outputs[key])


@pytest.mark.parametrize("codec", ALL, ids=IDS)
def test_unflip_of_a_mirrored_view_is_the_view(codec: SimCC) -> None:
    people = someone(1, codec)
    mirrored = people.keypoints[:, COCO17.flip_index]
    mirrored[..., 0] = codec.input_size[0] - 1 - mirrored[..., 0]
    outputs = codec.unflip(perfect(codec, people.replace(keypoints=mirrored)), COCO17)
    back = People.concat(codec.decode(outputs))
    # a split that is no whole number leaves the middle half a bin off
    assert np.abs(back.keypoints - people.keypoints).max() <= 1 / codec.split


def test_unflip_shifts_as_the_published_code_does() -> None:
    x = np.random.default_rng(2).normal(size=(1, 17, 384))
    published = x[:, COCO17.flip_index, ::-1].copy()
    published[..., :-1] = published[..., 1:].copy()
    ours = RTMPOSE.unflip({"x": x, "y": np.zeros((1, 17, 512))}, COCO17)["x"]
    np.testing.assert_array_equal(ours[..., :-1], published[..., :-1])


@pytest.mark.parametrize(
    ("codec", "total", "peak"),
    [(SA, (1, 1), (0.0665, 0.0665)), (RTMPOSE, (12.28, 14.19), (1, 1))],
    ids=["normalised", "rtmpose"],
)
def test_targets_sum_and_peak_as_published(
    codec: SimCC, total: tuple[float, float], peak: tuple[float, float]
) -> None:
    targets = codec.encode(People.of(keypoints=[[[96, 128]]]))
    for key, sum_, top in zip("xy", total, peak, strict=True):
        assert targets[key].sum() == pytest.approx(sum_, rel=1e-3)
        assert targets[key].max() == pytest.approx(top, rel=1e-3)


def test_simdr_targets_are_smoothed_hits() -> None:
    people = People.of(keypoints=[[[96.2, 128.3], [0, 255]]])
    targets = SIMDR.encode(people)
    for key, bins, at in (("x", 384, [192, 0]), ("y", 512, [257, 510])):
        row = targets[key][0]
        assert row.argmax(1).tolist() == at
        np.testing.assert_allclose(row.max(1), 0.9, rtol=1e-6)
        np.testing.assert_allclose(row.min(1), 0.1 / (bins - 1), rtol=1e-6)
        np.testing.assert_allclose(row.sum(1), 1, rtol=1e-5)
        assert (row == row.min(1, keepdims=True)).sum(1).tolist() == [bins - 1] * 2


def test_smoothing_is_how_much_the_other_bins_share() -> None:
    point = People.of(keypoints=[[[96, 128]]])
    hard, soft = (SimCC(normalised=True, smoothing=e).encode(point)["x"][0, 0] for e in (0.0, 0.4))
    assert (hard[192], hard.sum()) == (1, 1)
    assert soft[192] == pytest.approx(0.6) and soft[0] == pytest.approx(0.4 / 383)


def test_names_of_papers() -> None:
    assert codec_named("simcc", (192, 256)) == RTMPOSE
    assert codec_named("sa_simdr", (192, 256)) == SA
    assert codec_named("simdr", (192, 256)) == SIMDR


def test_score_rules() -> None:
    x, y = np.zeros((1, 3, 384), np.float32), np.zeros((1, 3, 512), np.float32)
    x[0, :, 20], y[0, :, 30] = [0.9, 1.5, -1], [0.4, 1.2, -1]
    x[0, 2], y[0, 2] = -1, -1
    (lesser,), (greater,) = (SimCC(score=s).decode({"x": x, "y": y}) for s in ("min", "max"))
    np.testing.assert_allclose(lesser.scores, [[0.4, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(greater.scores, [[0.9, 1, 0]], atol=1e-6)
    np.testing.assert_array_equal(lesser.keypoints[0, :2], [[10, 15], [10, 15]])
    np.testing.assert_array_equal(lesser.boxes, [[0, 0, 191, 255]])


def test_an_unsure_network_scores_low_when_normalised() -> None:
    flat = {"x": np.zeros((1, 17, 384)), "y": np.zeros((1, 17, 512))}
    assert SA.decode(flat)[0].scores.max() < 0.04
    shifted = {k: v + 1e4 for k, v in perfect(SA, someone(3, SA)).items()}  # softmax ignores it
    assert People.concat(SA.decode(shifted)).scores.min() > 0.98


@pytest.mark.parametrize("codec", ALL, ids=IDS)
def test_batched_equals_single_and_torch_equals_numpy(codec: SimCC) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    outputs = {
        k: rng.normal(size=(3, 17, n)).astype(np.float32)
        for k, n in zip("xy", codec.bins, strict=True)
    }
    whole = codec.decode(outputs)
    tensors = {k: torch.from_numpy(v) for k, v in outputs.items()}
    for i, (a, b) in enumerate(zip(whole, codec.decode(tensors), strict=True)):
        (single,) = codec.decode({k: v[i : i + 1] for k, v in outputs.items()})
        for other in (b, single):
            np.testing.assert_array_equal(a.keypoints, other.keypoints)
            np.testing.assert_allclose(a.scores, other.scores, rtol=1e-5)
    ours, theirs = codec.unflip(outputs, COCO17), codec.unflip(tensors, COCO17)
    for key in "xy":
        assert isinstance(theirs[key], torch.Tensor)
        np.testing.assert_array_equal(ours[key], theirs[key])


@pytest.mark.parametrize("codec", ALL, ids=IDS)
def test_nobody_stays_nobody(codec: SimCC) -> None:
    assert codec.warps((640, 480), None) == codec.warps((640, 480), People.empty(17)) == []
    targets = codec.encode(People.empty(17))
    assert [targets[k].shape for k in "xy"] == [(0, 17, n) for n in codec.bins]
    assert codec.decode(targets) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("codec", ALL, ids=IDS)
def test_a_view_that_is_not_finite_has_nobody(codec: SimCC, bad: float) -> None:
    outputs = perfect(codec, someone(5, codec))
    outputs["y"][1, 3, 7] = bad
    found = codec.decode(outputs)
    assert [len(p) for p in found] == [1, 0, 1]
    assert found[1].keypoints.shape == (0, 17, 2)


def test_weight_says_which_joints_count() -> None:
    people = People.of(keypoints=[[[5, 5], [-3, 5], [5, 300], [5, 5]]], scores=[[1, 1, 1, 0]])
    np.testing.assert_array_equal(RTMPOSE.encode(people)["weight"], [[1, 0, 0, 0]])


def test_padding_and_sigma_have_an_effect() -> None:
    box = [100, 100, 200, 300]
    (warp,) = SimCC(padding=1.0).warps((640, 480), People.of([box]))
    np.testing.assert_array_equal(warp.matrix, Warp.crop(box, (192, 256), 1.0).matrix)
    point = People.of(keypoints=[[[96, 128]]])
    assert SimCC(sigma=6).encode(point)["x"].sum() > RTMPOSE.encode(point)["x"].sum()


def test_errors_say_what_is_wrong() -> None:
    outputs = {"x": np.zeros((1, 17, 192)), "y": np.zeros((1, 17, 256))}
    with pytest.raises(ModelError, match=r"\(192, 256\) bins, not \(384, 512\); correct split"):
        RTMPOSE.decode(outputs)
    with pytest.raises(UsageError, match=r"score='mean'; known"):
        SimCC(score="mean")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"smoothing=1\.0; it must lie in \[0, 1\)"):
        SimCC(normalised=True, smoothing=1.0)
    with pytest.raises(UsageError, match="set normalised=True"):
        SimCC(smoothing=0.1)


@pytest.mark.parametrize("codec", ALL, ids=IDS)
def test_plain_form_there_and_back(codec: SimCC) -> None:
    assert codec_from_dict(codec_to_dict(codec)) == codec
