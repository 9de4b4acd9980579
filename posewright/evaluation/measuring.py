"""People found on the images of a data set, measured by what the data set publishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.evaluation.arrays import (
    detections_of,
    in_order,
    in_skeleton,
    labels_of,
)
from posewright.evaluation.coco_files import Labels
from posewright.evaluation.measures import get_measure
from posewright.evaluation.report import Scoring
from posewright.evaluation.rescoring import rescored
from posewright.metrics.diagnosis import matched
from posewright.metrics.instances import Detections
from posewright.metrics.oks import crowdpose_truth, sigmas_of
from posewright.people import Doubles, Ints, Mask, People
from posewright.skeletons import Skeleton

__all__ = ["Measured"]


@dataclass(frozen=True)
class Measured:
    """Labels and people found of the images that could be read, by ascending id.

    data: whose measure is taken.  images: (P,) their numbers in the data set that was given.
    people: with the labels' joints.  shared: (K,) joints that the model has, too.  owned: the ids
    of people found are the rows of the labelled people in whose boxes they were.  tracked: they are
    identities.  metrics: what they are measured by, where there is a choice.
    """

    data: str
    pictures: Ints
    dataset: Dataset
    people: list[People]
    found: Detections
    shared: Mask
    owned: bool
    tracked: bool = False
    metrics: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        data: str,
        dataset: Dataset,
        results: Sequence[People],
        skeleton: Skeleton,
        rescore: str,
        read: Sequence[int],
        owned: bool,
        tracked: bool = False,
        metrics: Sequence[str] = (),
    ) -> Measured:
        """Put the images whose numbers are `read` in order; skeleton: that of the results."""
        pictures = np.array(read, np.int64)
        pictures = pictures[in_order([dataset.samples[i] for i in pictures])]
        there = [results[i] for i in pictures]
        ranks = [rescored(people, rescore) for people in there]
        people = [in_skeleton(p, skeleton, dataset.skeleton) for p in there]
        shared = skeleton.mapping(dataset.skeleton) >= 0
        found = detections_of(people, ranks, len(dataset.skeleton))
        asked = metrics or get_measure(data).metrics[:1]
        return cls(
            data, pictures, dataset[pictures], people, found, shared, owned, tracked, tuple(asked)
        )

    @cached_property
    def labels(self) -> Labels:
        """What is to be found."""
        labels = labels_of(self.dataset, shared=self.shared)
        if self.data == "crowdpose":
            return replace(labels, truth=crowdpose_truth(labels.truth))
        return labels

    @cached_property
    def matches(self) -> tuple[Ints, Doubles]:
        """Row of `found` (G,) matched to each labelled person, -1 for none, and its OKS."""
        return matched(self.labels.truth, self.found, sigmas_of(self.dataset.skeleton))

    def likeness(self, samples: Sequence[Sample]) -> tuple[Doubles, ...]:
        """Return of each of all images the OKS of its people; -1 of those who do not count."""
        values = np.where(self.labels.truth.ignored, -1.0, self.matches[1])
        each = [np.full(len(sample), -1.0) for sample in samples]
        first = 0
        for number in self.pictures:
            each[number] = values[first : first + len(each[number])]
            first += len(each[number])
        return tuple(each)

    def scoring(self) -> Scoring:
        """Return the numbers; they say so where not all joints are measured."""
        scoring = get_measure(self.data).score_people(self)
        if self.shared.all():
            return scoring
        count = int(self.shared.sum())
        text = f"{count} of the {len(self.shared)} joints of {self.dataset.skeleton.name}"
        return replace(scoring, more={**scoring.more, "measured": text})

    def chosen(self) -> Ints:
        """Return (G,) the row of `found` that stands for each labelled person; -1 for none."""
        if not self.owned:
            return self.matches[0]
        first = np.searchsorted(self.labels.truth.cells, np.arange(len(self.dataset)))
        chosen = np.full(len(self.labels.truth), -1)
        owners = np.concatenate([np.zeros(0, np.int64), *(p.ids for p in self.people)])
        chosen[first[self.found.cells] + owners] = np.arange(len(self.found))
        return chosen

    def best(self) -> Ints:
        """Return (P,) the row of each image's best person; -1 for none."""
        best = np.full(len(self.dataset), -1)
        order = np.argsort(self.found.scores, kind="stable")
        best[self.found.cells[order]] = order  # the last, best one stays
        return best

    def points(self, rows: Ints) -> Doubles:
        """(G,) -> (G, K, 2) px; NaN where there is nobody."""
        points = np.full((len(rows), len(self.dataset.skeleton), 2), np.nan)
        points[rows >= 0] = self.found.keypoints[rows[rows >= 0], :, :2]
        return points
