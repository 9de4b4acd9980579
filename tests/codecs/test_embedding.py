"""The codec of networks that tell people apart."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from posewright.codecs import Embedding, codec_from_dict, codec_to_dict
from posewright.people import People
from posewright.skeletons import COCO17
from posewright.warp import Warp

CODEC = Embedding()


def test_a_view_is_the_box_cut_out_and_resized() -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    image = cv2.GaussianBlur(image, (9, 9), 3)
    (warp,) = CODEC.warps((200, 300), People.of(boxes=[[20, 30, 90, 250]]))
    view = warp.image(image)
    cut = cv2.resize(image[30:250, 20:90], (128, 256), interpolation=cv2.INTER_LINEAR)
    assert view.shape == (256, 128, 3)
    inner = np.abs(view.astype(int) - cut)[2:-2, 2:-2]  # at the edges the image goes on
    assert inner.max() <= 2


def test_the_edges_of_a_box_are_those_of_the_view() -> None:
    """A box ends where its last pixel ends: half a pixel before its own corner's centre."""
    warp = Warp.stretch([10, 20, 74, 148], (128, 256))
    np.testing.assert_allclose(
        warp.points([[9.5, 19.5], [73.5, 147.5]]), [[-0.5] * 2, [127.5, 255.5]]
    )


def test_views_stay_inside_the_image() -> None:
    boxes = [[-50, -50, 50, 100], [150, 250, 400, 900], [500, 500, 600, 700], [20, 20, 20, 20]]
    warps = CODEC.warps((200, 300), People.of(boxes=boxes))
    image = np.full((300, 200, 3), 255, np.uint8)
    views = [w.image(image) for w in warps]
    assert [v.shape for v in views] == [(256, 128, 3)] * 4
    # half a pixel at the image's edge is mixed with black: 3 of the view's at 5 times the size
    assert all((v[3:-3, 3:-3] == 255).all() for v in (views[0], views[1], views[3]))
    assert CODEC.warps((200, 300), None) == [] == CODEC.warps((200, 300), People.empty())


def test_features_have_length_1_or_0() -> None:
    given = np.array([[3, 4], [0, 0], [np.nan, 1], [np.inf, 0], [1e30, 1e30]], np.float32)
    found = CODEC.features({"features": given})
    half = np.sqrt(0.5)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [0, 0], [0, 0], [half, half]], rtol=1e-6)
    assert found.dtype == np.float32 and np.isnan(given[2, 0])
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(CODEC.features({"features": torch.tensor(given)}), found)
    assert CODEC.features({"features": np.zeros((0, 5), np.float32)}).shape == (0, 5)


def test_decode_says_who_could_be_looked_at() -> None:
    given = np.array([[3, 4], [np.nan, 1]], np.float32)
    seen, unseen = CODEC.decode({"features": given})
    assert seen.boxes.tolist() == [[0, 0, 128, 256]] and seen.keypoints.shape == (1, 0, 2)
    assert len(unseen) == 0


def test_everybody_looks_the_same_in_a_mirror() -> None:
    given = {"features": np.ones((2, 3), np.float32)}
    assert CODEC.unflip(given, COCO17)["features"] is given["features"]


def test_a_file_carries_it() -> None:
    codec = Embedding(input_size=(64, 128))
    assert codec_from_dict(codec_to_dict(codec)) == codec
