"""Degraded images: what each kind does, that it is the same in every run, and bad input."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from posewright.codecs import MoveNet, YoloxPose
from posewright.compare.degrade import Degradation, degraded, parse
from posewright.datasets import Dataset, Sample
from posewright.errors import UsageError
from posewright.people import People
from posewright.skeletons import COCO17


def texture(size: tuple[int, int] = (160, 120), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def smooth(value: float = 128, size: tuple[int, int] = (256, 256)) -> np.ndarray:
    return np.full((size[1], size[0], 3), value, np.uint8)


class FakeModel:
    """Remembers the views that it was given."""

    def __init__(self, codec) -> None:
        self.codec, self.skeleton, self.runtime, self.info = codec, COCO17, "fake 1.0", "info"
        self.seen: list[np.ndarray] = []

    def __call__(self, views, condition=None):
        self.seen.append(views)
        return {"given": views if condition is None else condition}


def test_a_list_is_read_with_its_usual_strengths() -> None:
    names = [d.name for d in parse("grey, lowres:64,lowres:128,blur,noise:5,jpeg")]
    assert names == ["grey", "lowres:64", "lowres:128", "blur:3", "noise:5", "jpeg:3"]
    assert parse("") == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("gray", "did you mean 'grey'"),
        ("lowres", "as in lowres:64"),
        ("lowres:7", "from 8 on"),
        ("blur:6", "give 1 to 5"),
        ("noise:0", "give 1 to 5"),
        ("jpeg:x", "whole number"),
        ("grey:2", "no strength"),
        ("lowres:-64", "whole number"),
    ],
)
def test_what_cannot_be_meant_is_said(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse(text)


def test_grey_has_three_equal_channels_and_leaves_grey_pictures() -> None:
    grey = Degradation("grey")
    out = grey.image(texture())
    assert (out == out[..., :1]).all()
    assert (grey.image(out) == out).all()
    np.testing.assert_array_equal(
        grey.image(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8))[0, :, 0],
        [76, 150, 29],  # 0.299, 0.587, 0.114 of 255
    )


@pytest.mark.parametrize(("level", "deviation"), [(1, 0.08), (2, 0.12), (3, 0.18)])
def test_noise_has_the_published_deviation_and_hangs_on_the_name(level, deviation) -> None:
    noise = Degradation("noise", level)
    out = noise.image(smooth(), "a.jpg").astype(float)
    # clipping at 2.8 deviations and more takes less than one percent
    assert np.std(out) == pytest.approx(255 * deviation, rel=0.02)
    assert np.mean(out) == pytest.approx(128, abs=1)
    assert (noise.image(smooth(), "a.jpg") == out).all()
    assert (noise.image(smooth(), "b.jpg") != out).any()


def test_blur_has_the_published_sigma() -> None:
    line = smooth(0)
    line[:, 128] = 255
    for level, sigma in enumerate((1, 2, 3, 4, 6), 1):
        row = Degradation("blur", level).image(line)[128, :, 0].astype(float)
        at = np.arange(256) - 128
        spread = np.sqrt((row * at**2).sum() / row.sum())
        assert spread == pytest.approx(sigma, rel=0.06)
    assert (Degradation("blur", 5).image(smooth(77)) == 77).all()  # the edge is not darkened


def test_jpeg_is_that_of_the_published_quality() -> None:
    image = cv2.GaussianBlur(texture(), (0, 0), 2)
    for level, quality in enumerate((25, 18, 15, 10, 7), 1):
        coded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        expected = cv2.imdecode(coded, cv2.IMREAD_COLOR)[:, :, ::-1]
        assert (Degradation("jpeg", level).image(image) == expected).all()


@pytest.mark.parametrize("kind", ["blur", "noise", "jpeg"])
def test_a_higher_severity_is_further_from_the_picture(kind: str) -> None:
    image = cv2.GaussianBlur(texture(), (0, 0), 1.5)
    errors = [
        np.abs(Degradation(kind, n).image(image, "x").astype(float) - image).mean()
        for n in range(1, 6)
    ]
    assert errors == sorted(errors) and errors[0] > 0


def test_low_resolution_of_views_keeps_n_pixels() -> None:
    """Stripes that N px cannot hold become grey; what N px can hold stays."""
    stripes = np.zeros((1, 256, 192, 3), np.uint8)
    stripes[:, ::2] = 255
    low = Degradation("lowres", 64)
    assert low.views(stripes).shape == stripes.shape
    assert np.ptp(low.views(stripes)) <= 2
    wide = np.zeros((1, 256, 192, 3), np.uint8)
    wide[:, np.arange(256) // 32 % 2 == 0] = 255
    assert np.ptp(low.views(wide)) == 255
    assert (Degradation("lowres", 256).views(stripes) == stripes).all()
    assert low.views(stripes[:0]).shape == (0, 256, 192, 3)
    coarse = [np.ptp(Degradation("lowres", n).views(stripes)) for n in (256, 192, 64)]
    assert coarse == sorted(coarse, reverse=True)


def test_low_resolution_of_a_picture_goes_by_its_largest_person() -> None:
    image = texture((400, 300))
    people = People.of(boxes=[[0, 0, 20, 60], [100, 20, 180, 276]])  # crop of 1.25 * 256 = 320 px
    low = Degradation("lowres", 64)
    small = cv2.resize(image, (80, 60), interpolation=cv2.INTER_AREA)  # 64 / 320 of 400 x 300
    expected = cv2.resize(small, (400, 300), interpolation=cv2.INTER_LINEAR)
    assert (low.image(image, "", people) == expected).all()
    assert (low.image(image, "", people[[0]]) != expected).any()
    assert (low.image(image, "", People.empty()) == image).all()
    assert (low.image(image) == image).all()
    assert (Degradation("lowres", 512).image(image, "", people) == image).all()


def sample(folder: Path) -> Sample:
    path = folder / "one.png"
    cv2.imwrite(str(path), texture()[:, :, ::-1])
    points = np.full((1, 17, 3), 50.0)
    return Sample.of(path, (160, 120), 1, points, [[10, 10, 90, 110]])


def test_samples_are_degraded_as_they_are_read_and_keep_their_labels(tmp_path: Path) -> None:
    one = sample(tmp_path)
    dataset = Dataset("d", COCO17, (one,))
    model = FakeModel(MoveNet())
    same, changed = degraded(model, dataset, Degradation("noise", 2))
    assert same is model and changed.skeleton == COCO17
    expected = Degradation("noise", 2).image(texture(), "one.png")
    assert (changed[0].load().image == expected).all()
    assert (changed[0][[0]].load().image == expected).all()  # also after people were picked
    assert (changed[0].people.keypoints == one.people.keypoints).all()
    gone = one.replace(image=tmp_path / "gone.png")
    broken = degraded(model, Dataset("d", COCO17, (gone,)), Degradation("grey"))[1]
    assert broken[0].load().status == "decode_error"


def test_low_resolution_changes_views_top_down_and_pictures_otherwise(tmp_path: Path) -> None:
    dataset = Dataset("d", COCO17, (sample(tmp_path),))
    low = Degradation("lowres", 32)
    model = FakeModel(MoveNet())
    changed, same = degraded(model, dataset, low)
    assert same is dataset
    assert (changed.codec, changed.skeleton, changed.info) == (model.codec, COCO17, "info")
    assert changed.runtime == "fake 1.0"
    views = texture((256, 256))[None]
    changed(views)
    assert (model.seen[0] == low.views(views)).all()
    assert changed(views, views + 1)["given"].tolist() == (views + 1).tolist()
    one_stage = FakeModel(YoloxPose())
    kept, pictures = degraded(one_stage, dataset, low)
    assert kept is one_stage
    people = dataset[0].people
    assert (pictures[0].load().image == low.image(texture(), "one.png", people)).all()


def test_a_picture_of_no_size_stays() -> None:
    nothing = np.zeros((0, 0, 3), np.uint8)
    for change in parse("grey,lowres:64,blur,noise,jpeg"):
        assert change.image(nothing).shape == (0, 0, 3)
