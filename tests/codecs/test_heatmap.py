"""Heatmap codec: error bounds, published decoders as loops, mirrors, both array kinds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.codecs import Heatmap, codec_from_dict, codec_named, codec_to_dict
from posewright.codecs.heatmap import dark, dark_udp, gaussian, peaks, quarter_shift
from posewright.errors import ModelError, UsageError
from posewright.people import People
from posewright.skeletons import COCO17
from posewright.warp import Warp

MSRA = Heatmap(quantised=True)
QUARTER = Heatmap()
DARK = Heatmap(refine="dark")
UDP = Heatmap(refine="udp", unbiased=True)
ALL = [Heatmap(refine="argmax"), MSRA, QUARTER, DARK, UDP, Heatmap((288, 384), refine="dark")]
IDS = ["argmax", "msra", "quarter", "dark", "udp", "dark384"]
SEEDS = st.integers(0, 2**32 - 1)
quick = settings(max_examples=20, deadline=None)


def someone(seed: int, codec: Heatmap, count: int = 4, margin: float = 32) -> People:
    """People in view pixels, every joint at least `margin` pixels inside."""
    high = np.array(codec.input_size) - 1 - margin
    xy = np.random.default_rng(seed).uniform([margin] * 2, high, (count, 17, 2))
    return People.of(keypoints=xy)


def real_maps(seed: int, views: int = 3, noise: float = 0.02) -> np.ndarray:
    """Maps as networks give them: a peak below 1 anywhere, a weaker second one, noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:64, :48]
    shape = (2, views, 17, 1, 1)
    x, y = rng.uniform(-1, 48, shape), rng.uniform(-1, 64, shape)
    bells = np.exp(
        -((columns - x) ** 2 + (rows - y) ** 2) / (2 * rng.uniform(1.7, 2.4, shape) ** 2)
    )
    heights = np.array([0.9, 0.5])[:, None, None, None, None]
    maps = (bells * heights).sum(0) + rng.normal(0, noise, (views, 17, 64, 48))
    return maps.astype(np.float32)


def errors(codec: Heatmap, people: People) -> np.ndarray:
    decoded = People.concat(codec.decode(codec.encode(people)))
    return np.linalg.norm(decoded.keypoints - people.keypoints, axis=2)


@given(SEEDS)
@quick
def test_round_trip_error_is_that_of_the_method(seed: int) -> None:
    # view pixels, stride 4: a cell's corner is 2 * sqrt(2) from its centre
    assert errors(Heatmap(refine="argmax"), someone(seed, QUARTER)).max() < 2.83
    assert errors(MSRA, someone(seed, MSRA)).max() < 2.83
    msra = errors(QUARTER, someone(seed, QUARTER))
    assert msra.mean() < 1 and msra.max() < 1.42
    assert errors(DARK, someone(seed, DARK)).max() < 0.02
    assert errors(UDP, someone(seed, UDP)).max() < 0.02


def test_quantised_targets_cost_what_refinement_would_gain() -> None:
    people = someone(0, MSRA, 20)
    for refine in ("argmax", "quarter", "dark"):
        codec = Heatmap(quantised=True, refine=refine)
        assert 1.3 < errors(codec, people).mean() < 1.7


@pytest.mark.parametrize("codec", ALL, ids=IDS)
def test_warps_then_decode_returns_to_the_image(codec: Heatmap) -> None:
    rng = np.random.default_rng(1)
    boxes = np.array([[100, 50, 300, 400], [320, 100, 500, 460], [10, 10, 60, 200]], np.float32)
    t = rng.uniform(0.1, 0.9, (3, 17, 2))
    image_people = People.of(boxes, keypoints=boxes[:, None, :2] * (1 - t) + boxes[:, None, 2:] * t)
    warps = codec.warps((640, 480), image_people)
    views = People.concat([w.people(p) for w, p in zip(warps, image_people, strict=True)])
    found = codec.decode(codec.encode(views))
    back = People.concat([w.inverse().people(p) for w, p in zip(warps, found, strict=True)])
    error = np.linalg.norm(back.keypoints - image_people.keypoints, axis=2)
    assert error.mean() < (0.02 if codec.refine in ("dark", "udp") else 3.2)


@given(SEEDS)
@quick
def test_unflip_twice_is_the_identity(seed: int) -> None:
    maps = real_maps(seed, 1)
    for codec in (MSRA, UDP):
        twice = codec.unflip(codec.unflip({"heatmap": maps}, COCO17), COCO17)["heatmap"]
        np.testing.assert_array_equal(twice, maps)


@pytest.mark.parametrize(("codec", "off"), [(DARK, 1.01), (UDP, 0.05)], ids=["biased", "unbiased"])
def test_unflip_of_a_mirrored_view_is_the_view(codec: Heatmap, off: float) -> None:
    people = someone(3, codec)
    width = codec.input_size[0]
    mirrored = people.keypoints[:, COCO17.flip_index] * [-1, 1] + [width - 1, 0]
    targets = codec.encode(people.replace(keypoints=mirrored.astype(np.float32)))
    back = People.concat(codec.decode(codec.unflip(targets, COCO17)))
    # biased: the shift of one cell stands for three quarters of a cell, one view pixel too much
    assert np.abs(back.keypoints - people.keypoints).max() < off


def test_unflip_shifts_biased_maps_as_simple_baselines_do() -> None:
    maps = real_maps(4, 1)
    published = maps[:, COCO17.flip_index, :, ::-1].copy()
    published[..., 1:] = published[..., :-1].copy()
    ours = MSRA.unflip({"heatmap": maps}, COCO17)["heatmap"]
    np.testing.assert_array_equal(ours[..., 1:], published[..., 1:])


def classic_quarter(maps: np.ndarray) -> np.ndarray:
    """The published decoder: one joint at a time."""
    out = np.zeros((*maps.shape[:2], 2))
    for i, j in np.ndindex(maps.shape[:2]):
        y, x = np.unravel_index(maps[i, j].argmax(), maps.shape[2:])
        out[i, j] = x, y
        if 1 < x < maps.shape[3] - 1 and 1 < y < maps.shape[2] - 1:
            m = maps[i, j]
            out[i, j] += 0.25 * np.sign([m[y, x + 1] - m[y, x - 1], m[y + 1, x] - m[y - 1, x]])
    return out


def whole_map_blur(m: np.ndarray, kernel: int) -> np.ndarray:
    padded = np.pad(m.astype(np.float64), kernel)
    blurred = cv2.GaussianBlur(padded, (kernel, kernel), 0)[kernel:-kernel, kernel:-kernel]
    return blurred * m.max() / blurred.max()


def classic_dark(maps: np.ndarray, kernel: int) -> np.ndarray:
    """DARK with the whole map blurred, one joint at a time."""
    out = np.zeros((*maps.shape[:2], 2))
    height, width = maps.shape[2:]
    for i, j in np.ndindex(maps.shape[:2]):
        y, x = np.unravel_index(maps[i, j].argmax(), (height, width))
        out[i, j] = x, y
        if not (1 < x < width - 2 and 1 < y < height - 2):
            continue
        m = np.log(np.maximum(whole_map_blur(maps[i, j], kernel), 1e-10))
        gradient = np.array([m[y, x + 1] - m[y, x - 1], m[y + 1, x] - m[y - 1, x]]) / 2
        cross = m[y + 1, x + 1] - m[y - 1, x + 1] - m[y + 1, x - 1] + m[y - 1, x - 1]
        dxx = m[y, x + 2] - 2 * m[y, x] + m[y, x - 2]
        dyy = m[y + 2, x] - 2 * m[y, x] + m[y - 2, x]
        out[i, j] += near(np.array([[dxx, cross], [cross, dyy]]) / 4, gradient)
    return out


def classic_udp(maps: np.ndarray, kernel: int) -> np.ndarray:
    """UDP's DARK with the whole map blurred and edge-padded, one joint at a time."""
    out = np.zeros((*maps.shape[:2], 2))
    for i, j in np.ndindex(maps.shape[:2]):
        y, x = np.unravel_index(maps[i, j].argmax(), maps.shape[2:])
        m = np.log(np.clip(whole_map_blur(maps[i, j], kernel), 1e-3, 50))
        m = np.pad(m, 1, mode="edge")[y : y + 3, x : x + 3]
        gradient = np.array([m[1, 2] - m[1, 0], m[2, 1] - m[0, 1]]) / 2
        dxx, dyy = m[1, 2] - 2 * m[1, 1] + m[1, 0], m[2, 1] - 2 * m[1, 1] + m[0, 1]
        dxy = (m[2, 2] - m[1, 2] - m[2, 1] + 2 * m[1, 1] - m[1, 0] - m[0, 1] + m[0, 0]) / 2
        hessian = np.array([[dxx, dxy], [dxy, dyy]]) + np.finfo(np.float32).eps * np.eye(2)
        out[i, j] = np.array([x, y]) + near(hessian, gradient)
    return out


def near(hessian: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    if np.linalg.det(hessian) == 0:
        return np.zeros(2)
    step = -np.linalg.solve(hessian, gradient)
    return step if np.abs(step).max() <= 2 else np.zeros(2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kernel", [11, 17])
def test_refinements_equal_their_published_loops(seed: int, kernel: int) -> None:
    maps = real_maps(seed)
    xy, _ = peaks(maps)
    np.testing.assert_array_equal(quarter_shift(maps, xy), classic_quarter(maps))
    np.testing.assert_allclose(dark(maps, xy, kernel), classic_dark(maps, kernel), atol=1e-4)
    np.testing.assert_allclose(dark_udp(maps, xy, kernel), classic_udp(maps, kernel), atol=1e-4)


def test_peaks_are_the_first_maxima() -> None:
    maps = np.zeros((1, 2, 64, 48), np.float32)
    maps[0, 0, 3, 7] = maps[0, 0, 9, 1] = 0.5
    xy, scores = peaks(maps)
    np.testing.assert_array_equal(xy, [[[7, 3], [0, 0]]])
    np.testing.assert_array_equal(scores, [[0.5, 0]])
    assert xy.dtype == np.float32


def test_a_flat_map_is_not_refined() -> None:
    maps = np.full((1, 1, 64, 48), -1, np.float32)
    maps[..., 20, 20] = -0.5
    for refine in (quarter_shift, dark, dark_udp):
        np.testing.assert_array_equal(refine(maps, peaks(maps)[0]), [[[20, 20]]])


@pytest.mark.parametrize("codec", ALL, ids=IDS)
def test_batched_equals_single(codec: Heatmap) -> None:
    width, height = codec.map_size
    maps = np.random.default_rng(0).random((3, 17, height, width), np.float32)
    whole = codec.decode({"heatmap": maps})
    single = [codec.decode({"heatmap": maps[i : i + 1]})[0] for i in range(3)]
    for a, b in zip(whole, single, strict=True):
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=2e-3)
        np.testing.assert_array_equal(a.scores, b.scores)


@pytest.mark.parametrize("codec", ALL[:5], ids=IDS[:5])
def test_torch_gives_what_numpy_gives(codec: Heatmap) -> None:
    torch = pytest.importorskip("torch")
    maps = real_maps(7)
    a = People.concat(codec.decode({"heatmap": maps}))
    b = People.concat(codec.decode({"heatmap": torch.from_numpy(maps)}))
    np.testing.assert_allclose(a.keypoints, b.keypoints, atol=2e-3)
    np.testing.assert_array_equal(a.scores, b.scores)
    flipped = codec.unflip({"heatmap": torch.from_numpy(maps)}, COCO17)["heatmap"]
    assert isinstance(flipped, torch.Tensor)
    np.testing.assert_array_equal(flipped, codec.unflip({"heatmap": maps}, COCO17)["heatmap"])


@pytest.mark.parametrize("refine", [quarter_shift, dark, dark_udp])
def test_refinements_return_the_kind_they_are_given(refine: object) -> None:
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.float16, torch.float64):
        maps = torch.from_numpy(real_maps(8, 1)).to(dtype)
        out = refine(maps, peaks(maps)[0])  # type: ignore[operator]
        assert isinstance(out, torch.Tensor) and out.dtype == torch.float32


def test_torch_on_an_accelerator() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no accelerator on this machine")
    maps = real_maps(9)
    for codec in ALL[:5]:
        a = People.concat(codec.decode({"heatmap": maps}))
        there = torch.from_numpy(maps).cuda()
        b = People.concat(codec.decode({"heatmap": there}))
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=2e-3)
        back = codec.unflip({"heatmap": there}, COCO17)["heatmap"].cpu()
        np.testing.assert_array_equal(back, codec.unflip({"heatmap": maps}, COCO17)["heatmap"])


@pytest.mark.parametrize("codec", ALL, ids=IDS)
def test_nobody_stays_nobody(codec: Heatmap) -> None:
    assert codec.warps((640, 480), People.empty(17)) == codec.warps((640, 480), None) == []
    targets = codec.encode(People.empty(17))
    assert targets["heatmap"].shape == (0, 17, codec.map_size[1], codec.map_size[0])
    assert targets["weight"].shape == (0, 17)
    assert codec.decode(targets) == []
    assert len(codec.unflip(targets, COCO17)["heatmap"]) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("codec", ALL[:5], ids=IDS[:5])
def test_a_view_that_is_not_finite_has_nobody(codec: Heatmap, bad: float) -> None:
    maps = real_maps(5)
    maps[1, 4, 30, 20] = bad
    assert [len(p) for p in codec.decode({"heatmap": maps})] == [1, 0, 1]
    maps[:] = bad
    empty = codec.decode({"heatmap": maps})
    assert [p.keypoints.shape for p in empty] == [(0, 17, 2)] * 3


def test_scores_are_cut_and_boxes_are_the_view() -> None:
    maps = np.zeros((1, 17, 64, 48), np.float32)
    maps[0, 0, 10, 10], maps[0, 1] = 1.5, -1
    (people,) = QUARTER.decode({"heatmap": maps})
    np.testing.assert_array_equal(people.scores[0, :3], [1, 0, 0])
    np.testing.assert_array_equal(people.boxes, [[0, 0, 191, 255]])


def test_weight_says_which_joints_count() -> None:
    xy = np.zeros((1, 17, 2), np.float32) + 50
    xy[0, 1], xy[0, 2] = (-200, 50), (-8, 50)  # far outside; outside, but its Gaussian is seen
    people = People.of(keypoints=xy, scores=[[0] + [1] * 16])
    targets = QUARTER.encode(people)
    np.testing.assert_array_equal(targets["weight"][0, :4], [0, 0, 1, 1])
    assert not targets["heatmap"][0, :2].any() and targets["heatmap"][0, 2].any()


def test_quantised_targets_are_cut_at_three_sigma() -> None:
    (target,) = MSRA.encode(People.of(keypoints=[[[100, 100]]]))["heatmap"][0]
    rows, columns = np.nonzero(target)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (19, 31, 19, 31)
    assert target[25, 25] == 1


def test_unbiased_is_crop_and_target_together() -> None:
    people = People.of([[100, 100, 200, 300]])
    (biased,), (unbiased,) = (c.warps((640, 480), people) for c in (DARK, UDP))
    expected = Warp.crop([100, 100, 200, 300], (192, 256), unbiased=True)
    np.testing.assert_array_equal(unbiased.matrix, expected.matrix)
    assert not np.allclose(biased.matrix, unbiased.matrix)
    corner = People.of(keypoints=[[[191, 255]]])  # the outer pixel centres coincide
    assert UDP.encode(corner)["heatmap"][0, 0, -1, -1] == 1


def test_padding_sigma_and_kernel_have_an_effect() -> None:
    people = People.of([[100, 100, 200, 300]])
    wide, tight = (Heatmap(padding=p).warps((640, 480), people)[0] for p in (1.25, 1.0))
    assert wide.matrix[0, 0] == pytest.approx(tight.matrix[0, 0] / 1.25)
    point = People.of(keypoints=[[[100, 100]]])
    assert Heatmap(sigma=3).encode(point)["heatmap"].sum() > QUARTER.encode(point)["heatmap"].sum()
    maps = real_maps(6)
    a, b = (Heatmap(refine="dark", kernel=k).decode({"heatmap": maps})[0] for k in (11, 17))
    assert not np.array_equal(a.keypoints, b.keypoints)


@pytest.mark.parametrize(
    ("size", "sigma", "kernel"),
    [
        ((64, 64), 1, 3),
        ((96, 128), 1, 3),
        ((192, 256), 2, 11),
        ((256, 256), 2, 11),
        ((288, 384), 3, 11),
    ],
)
def test_named_codecs_have_the_published_widths(
    size: tuple[int, int], sigma: float, kernel: int
) -> None:
    for name in ("heatmap", "dark", "udp"):
        codec = codec_named(name, size)
        assert isinstance(codec, Heatmap)
        assert (codec.input_size, codec.sigma, codec.kernel) == (size, sigma, kernel)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 11, 15, 17])
def test_blurs_are_those_of_opencv(kernel: int) -> None:
    expected = cv2.getGaussianKernel(kernel, 0)[:, 0]
    np.testing.assert_allclose(gaussian(kernel), expected, atol=1e-7)


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ModelError, match=r"\(32, 24\).*stride"):
        QUARTER.decode({"heatmap": np.zeros((1, 17, 32, 24), np.float32)})
    with pytest.raises(UsageError, match=r"'bilinear'.*known"):
        Heatmap(refine="bilinear")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="kernel=10"):
        Heatmap(kernel=10)


@pytest.mark.parametrize("codec", ALL, ids=IDS)
def test_plain_form_there_and_back(codec: Heatmap) -> None:
    assert codec_from_dict(codec_to_dict(codec)) == codec
