"""What a network states of its joints besides scores reaches the results."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from posewright.codecs.regression import Regression
from posewright.people import Frame, People
from posewright.pipeline import estimate
from posewright.skeletons import get_skeleton
from posewright.warp import Warp

COCO17 = get_skeleton("coco17")
SIZE = (96, 128)


def network(codec: Any, outputs: dict[str, Any]) -> Any:
    """Return a network that gives the same outputs for every view."""

    class Fixed(SimpleNamespace):
        def __call__(self, views: Any, condition: Any = None) -> dict[str, Any]:
            return {name: np.repeat(array, len(views), 0) for name, array in outputs.items()}

    return Fixed(codec=codec, skeleton=COCO17, info=SimpleNamespace(name="fixed"))


def test_the_expected_error_is_in_pixels_of_the_image() -> None:
    """RLE's sigma is a fraction of the view; a crop of 1.5 view pixels to an image pixel."""
    sigma = np.linspace(0.01, 0.2, 34, dtype=np.float32).reshape(1, 17, 2)
    outputs = {"coordinates": np.full((1, 17, 2), 0.5, np.float32), "sigma": sigma}
    codec = Regression(SIZE, sigma=True, padding=1.0)
    boxes = People.of([[10, 10, 10 + 64, 10 + 128 / 1.5]])
    frame = Frame(np.zeros((200, 200, 3), np.uint8))
    found = estimate(network(codec, outputs), frame, boxes)
    expected = (sigma[0] * SIZE).mean(1) / 1.5
    assert found.visibility is None and found.expected_error is not None
    np.testing.assert_allclose(found.expected_error[0], expected, rtol=1e-5)
    without = estimate(network(replace(codec, sigma=False), outputs), frame, boxes)
    assert without.expected_error is None


def test_errors_grow_with_the_mean_scale_of_both_axes() -> None:
    people = People.of(keypoints=np.ones((1, 2, 2))).replace(
        expected_error=np.array([[1, 2]], np.float32)
    )
    moved = Warp(np.array([[4.0, 0, 7], [0, 1.0, 9]]), (8, 8)).people(people)
    np.testing.assert_allclose(moved.expected_error, [[2, 4]])


def test_people_of_whom_less_is_known_are_joined() -> None:
    plain = People.of(keypoints=np.ones((2, 3, 2)))
    stated = plain.replace(
        visibility=np.full((2, 3), 0.5, np.float32), extra=np.array([{"a": 1}, {}], object)
    )
    both = People.concat([plain, stated, People.empty(3)])
    assert both.visibility is not None and both.expected_error is None
    assert np.isnan(both.visibility[:2]).all() and (both.visibility[2:] == 0.5).all()
    assert both[2].extra is not None and both[2].extra.tolist() == [{"a": 1}]
    fewer = stated.replace(keypoints=np.ones((2, 1, 2), np.float32), scores=stated.scores[:, :1])
    assert fewer.visibility is None
