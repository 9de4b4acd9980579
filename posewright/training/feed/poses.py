"""Poses of another model, which a network learns to refine (PoseFix, arXiv:1812.03595)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posewright.codecs.base import RefiningCodec
from posewright.datasets.base import Sample
from posewright.errors import SourceError, UsageError, counted
from posewright.evaluation.arrays import in_skeleton
from posewright.people import Floats, Ints, Mask, People
from posewright.readers.pictured import Pictured
from posewright.readers.results import read_results
from posewright.skeletons import Skeleton
from posewright.training.feed.instances import Instances, matches

__all__ = ["GivenPoses"]


@dataclass(frozen=True, eq=False)
class GivenPoses:
    """What another model has found of the M people that are trained on.

    points, scores: (M, K, 2) px and (M, K), with the joints of `skeleton`.  found: (M,) who has a
    pose.  synthetic: share of the views that get the labels with synthetic errors.
    """

    path: Path
    skeleton: Skeleton
    points: Floats
    scores: Floats
    found: Mask
    synthetic: float

    @classmethod
    def read(
        cls, path: Path, instances: Instances, skeleton: Skeleton, synthetic: float
    ) -> GivenPoses:
        """Read saved poses and find the one of each instance.

        A pose is a person's whose labelled box overlaps its own with an IoU of at least 0.5, one to
        one, the best first.  path: of any format of `read_results`; images are found by name, else
        by their ids in the labels, and joints by name.  SourceError: nobody has a pose.
        """
        saved, used = Pictured(read_results(path, skeleton), path), set[int]()
        count, joints = len(instances), len(skeleton)
        points = np.zeros((count, joints, 2), np.float32)
        scores, found = np.zeros((count, joints), np.float32), np.zeros(count, np.bool_)
        for number in np.unique(instances.sample).tolist():
            sample, rows = instances.samples[number], np.flatnonzero(instances.sample == number)
            result = saved.labelled(str(sample.image), sample.image_id)
            if result is None or not len(result):
                continue
            if id(result) in used:
                raise SourceError(
                    f"{path}: frame {result.frame} is of several training images, such as "
                    f"{sample.image}; give results that name the images"
                )
            used.add(id(result))
            if not (result.skeleton.mapping(skeleton) >= 0).any():
                raise UsageError(
                    f"{path} has none of the joints of {skeleton.name}, which are to be refined"
                )
            poses = in_skeleton(result.people, result.skeleton, skeleton)
            owners = _owners(sample, poses)[instances.person[rows]]
            rows, owners = rows[owners >= 0], owners[owners >= 0]
            points[rows], scores[rows] = poses.keypoints[owners], poses.scores[owners]
            found[rows] = True
        if not found.any():
            raise SourceError(
                f"{path}: none of its poses is of a person of the training images (IoU of boxes "
                "of at least 0.5); give the results of a model on these images"
            )
        return cls(path, skeleton, points, scores, found, synthetic)

    @property
    def told(self) -> str:
        """One line on how many people have a pose."""
        people = counted(len(self.found), "person", "people")
        return (
            f"poses of {int(self.found.sum())} of {people} from {self.path}; "
            f"{self.synthetic:g} of the views with synthetic errors"
        )

    @property
    def sha256(self) -> str:
        """The sum of all poses that are given, by which a run knows them again."""
        parts = (self.points, self.scores, self.found)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def pose(
        self,
        codec: RefiningCodec,
        number: int,
        people: People,
        person: int,
        rng: np.random.Generator,
    ) -> People:
        """Return the pose of one instance that the network is given, as one person.

        people, person: the truth of those around, and which of them it is.
        """
        if not self.found[number]:
            return codec.synthesise(people, rng, self.skeleton)[person]
        own = self.points[number], self.scores[number]
        if self.synthetic < 1 and rng.random() >= self.synthetic:
            return people[person].replace(keypoints=own[0][None], scores=own[1][None])
        guessed = np.zeros(people.scores.shape, np.bool_)
        guessed[person] = (people.scores[person] == 0) & (own[1] > 0)
        filled = people.replace(
            keypoints=np.where(guessed[..., None], own[0], people.keypoints),
            scores=np.where(guessed, 1, people.scores).astype(np.float32),
        )
        return codec.synthesise(filled, rng, self.skeleton, guessed)[person]


def _owners(sample: Sample, poses: People) -> Ints:
    """(N,) the number of the pose of each labelled person of an image; -1 for none."""
    owners = np.full(len(sample), -1)
    people = np.flatnonzero(~sample.crowd)
    of_people, of_poses = matches(sample.people.boxes[people], poses.boxes)
    owners[people[of_people]] = of_poses
    return owners
