"""What codecs say about themselves, by which the package treats them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from posewright import codecs
from posewright.codecs.base import (
    condition_shape,
    embeds,
    finds_peaks,
    lists_people,
    refines,
    trains,
)
from posewright.errors import UsageError
from posewright.people import People
from posewright.training.feed.batches import Batch

EVERY = [
    value()
    for name in codecs.__all__
    if isinstance(value := getattr(codecs, name), type) and name != "Codec"
]


@pytest.mark.parametrize("codec", EVERY, ids=lambda codec: codec.kind)
def test_a_task_agrees_with_the_views_and_the_methods(codec: Any) -> None:
    assert codec.top_down == (codec.task in ("joints", "refine", "embed"))
    assert trains(codec) == (codec.task in ("joints", "people", "refine"))
    assert refines(codec) == hasattr(codec, "condition")
    assert embeds(codec) == hasattr(codec, "features")


def test_few_are_special() -> None:
    def kinds(which: Any) -> set[str]:
        return {codec.kind for codec in EVERY if which(codec)}

    assert len(EVERY) == 18
    assert kinds(lambda codec: not codec.mirrors) == {"boxes", "rtmo"}
    assert kinds(lists_people) == {"rtmo"}
    assert kinds(finds_peaks) == {"heatmap"}
    assert kinds(refines) == {"posefix"} and kinds(embeds) == {"embedding"}


def test_the_shape_of_a_condition_is_that_of_one() -> None:
    codec = codecs.PoseFix((96, 128))
    people = People.of(keypoints=np.ones((2, 5, 2)))
    assert codec.condition(people).shape == (2, *(condition_shape(codec, 5) or ()))
    assert condition_shape(codecs.Heatmap(), 5) is None


def test_a_codec_without_targets_cannot_be_trained() -> None:
    import torch

    batch = Batch(torch.zeros(1, 4, 4, 3, dtype=torch.uint8), People.empty(1), np.zeros(1, int))
    with pytest.raises(UsageError, match="'embedding' cannot be trained"):
        batch.targets(codecs.Embedding())
