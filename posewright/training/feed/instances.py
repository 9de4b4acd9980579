"""Instances: the training examples of a network, people or whole images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posewright.datasets.base import Dataset, Sample
from posewright.errors import SourceError, counted
from posewright.nms import box_iou
from posewright.people import Floats, Frame, Ints, People
from posewright.readers.boxes import BoxFile

__all__ = ["Instances", "matches"]

OVERLAP = 0.5  # least IoU of a detected box with the person whose box it stands for


@dataclass(frozen=True, eq=False)
class Instances:
    """The instances of a data set: all people with a labelled joint, without crowd regions.

    samples: of the data set.  sample: (M,) which one an instance is in.  person: (M,) number of the
    person there, -1 for a whole image.  truth: the M people, None for whole images.  unmatched:
    people who are left out because no detected box is theirs.
    """

    samples: tuple[Sample, ...]
    sample: Ints
    person: Ints
    truth: People | None
    unmatched: int = 0

    @classmethod
    def of(cls, dataset: Dataset, top_down: bool, boxes: BoxFile | None = None) -> Instances:
        """Find them; `boxes`, of a detector, take the place of the labelled ones.

        SourceError: there are no such people.
        """
        samples = dataset.samples
        found = [_people(s, boxes) if top_down else _picture(s) for s in samples]
        sample = np.repeat(np.arange(len(found)), [len(person) for person, _, _ in found])
        if not len(sample):
            what = f" in a box of {boxes.path}" if boxes is not None else ""
            raise SourceError(
                f"{dataset.name}: no person with a labelled joint{what} in "
                f"{counted(len(dataset), 'image')}; inspect it with posewright data check"
            )
        person, corners, left = zip(*found, strict=True)
        truth = None
        if top_down:
            parts = [s.people[p] for s, p in zip(samples, person, strict=True) if len(p)]
            truth = People.concat(parts).replace(boxes=np.concatenate(corners))
        return cls(samples, sample, np.concatenate(person), truth, sum(left))

    def __len__(self) -> int:
        return len(self.sample)

    def everybody(self, number: int) -> People:
        """Return all people of an instance's image whose joints or box are known, no crowds."""
        sample = self.samples[self.sample[number]]
        return sample.people[_known(sample)]

    def near(self, number: int) -> tuple[People, int]:
        """Return a person and those whose box touches the person's, and which is the person."""
        sample, person = self.samples[self.sample[number]], int(self.person[number])
        boxes = sample.people.boxes
        own = boxes[person]
        touching = ((boxes[:, 2:] > own[:2]) & (boxes[:, :2] < own[2:])).all(1) & ~sample.crowd
        touching[person] = True
        return sample.people[touching], int(touching[:person].sum())


def labelled(sample: Sample) -> NDArray[np.bool_]:
    """(N,) who has a labelled joint and is no crowd."""
    return np.asarray((sample.people.scores > 0).any(1) & ~sample.crowd)


def _known(sample: Sample) -> NDArray[np.bool_]:
    """(N,) whose joints or box are known, crowds left out."""
    boxes = sample.people.boxes
    boxed = (boxes[:, 2:] > boxes[:, :2]).all(1) & ~sample.crowd
    return np.asarray(boxed | labelled(sample))


Found = tuple[Ints, Floats, int]  # people of one sample, their boxes, how many are left out


def _picture(sample: Sample) -> Found:
    count = int(labelled(sample).any())
    return np.full(count, -1, np.int64), np.zeros((count, 4), np.float32), 0


def _people(sample: Sample, boxes: BoxFile | None) -> Found:
    people = labelled(sample).nonzero()[0]
    truth = sample.people.boxes[people]
    if boxes is None:
        return people, truth, 0
    found = _detected(sample, boxes)
    of_truth, of_found = matches(truth, found)
    return people[of_truth], found[of_found], len(people) - len(of_truth)


def _detected(sample: Sample, boxes: BoxFile) -> Floats:
    """Return the (M, 4) boxes of an image, found by its id or else by its name."""
    rows = boxes.boxes.get(sample.image_id)
    if rows is None:
        return boxes.people(Frame.failed(str(sample.image), "")).boxes
    return np.asarray(rows[:, :4], np.float32)


def matches(truth: Floats, found: Floats) -> tuple[Ints, Ints]:
    """(N, 4), (M, 4) boxes -> numbers of the pairs, one to one, the best overlap first.

    Two of a pair have an IoU of at least 0.5.
    """
    iou = box_iou(truth, found)
    pairs: dict[int, int] = {}
    for flat in np.argsort(-iou, axis=None, kind="stable"):
        i, j = divmod(int(flat), max(len(found), 1))
        if iou[i, j] < OVERLAP:
            break
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    kept = sorted(pairs)
    return np.array(kept, np.int64), np.array([pairs[i] for i in kept], np.int64)
