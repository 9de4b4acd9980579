"""Label and result files of data sets with one person to a row: MPII and LSP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posewright.errors import SourceError, UsageError
from posewright.files.matfile import read_mat
from posewright.files.names import integer_in
from posewright.files.values import BROKEN, load
from posewright.metrics.pck import head_sizes, torso_sizes
from posewright.people import Doubles, Mask
from posewright.skeletons import LSP14, MPII16, Skeleton

__all__ = ["Persons", "read_lsp", "read_mpii", "read_persons"]


@dataclass(frozen=True, slots=True, eq=False)
class Persons:
    """N labelled people.

    keypoints: (N, K, 2) px.  labelled: (N, K).  sizes: (N,) px that errors are divided by, 0 where
    it is not known.  first: number that result files give to row 0.
    """

    path: Path
    keypoints: Doubles
    labelled: Mask
    sizes: Doubles
    first: int

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, rows: Mask) -> Persons:
        """Return the people at a mask."""
        return Persons(
            self.path, self.keypoints[rows], self.labelled[rows], self.sizes[rows], self.first
        )


def read_mpii(path: str | Path) -> Persons:
    """Read MPII's validation labels as evaluators share them (detections_our_format.mat).

    pos_gt_src (16, 2, N) px, jnt_missing (16, N), headboxes_src (2, 2, N) px.  SourceError for
    another file.
    """
    path = Path(path)
    values = read_mat(path)
    try:
        truth = values["pos_gt_src"].transpose(2, 0, 1).astype(np.float64)
        labelled = values["jnt_missing"].T == 0
        heads = values["headboxes_src"].reshape(4, -1).T.astype(np.float64)
    except BROKEN as error:
        raise _other(path, "pos_gt_src, jnt_missing and headboxes_src of MPII") from error
    _checked(path, len(MPII16), truth, labelled)
    return Persons(path, truth, labelled, head_sizes(heads), 0)


def read_lsp(path: str | Path) -> Persons:
    """Read joints.mat of LSP (3, 14, N) or LSPET (14, 3, N); sizes are torsos.

    The third value is 1 for a visible joint of LSPET and for a hidden one of LSP, which has all
    joints labelled.  SourceError for another file.
    """
    path = Path(path)
    joints = np.asarray(read_mat(path).get("joints", np.zeros(0)), object)
    if joints.ndim != 3 or joints.shape[:2] not in ((14, 3), (3, 14)):
        raise _other(path, "joints of LSP or LSPET")
    extended = joints.shape[:2] == (14, 3)
    table = joints.transpose((2, 0, 1) if extended else (2, 1, 0)).astype(np.float64)
    truth = table[:, :, :2]
    labelled = table[:, :, 2] > 0 if extended else np.ones(table.shape[:2], bool)
    _checked(path, len(LSP14), truth, labelled)
    ends = labelled[:, [LSP14["left_shoulder"], LSP14["right_hip"]]].all(1)
    return Persons(path, truth, labelled, np.where(ends, torso_sizes(truth), 0.0), 1)


def _checked(path: Path, joints: int, truth: Doubles, labelled: Mask) -> None:
    if truth.shape[1:] != (joints, 2) or labelled.shape != truth.shape[:2]:
        raise _other(path, f"{joints} joints of as many people")


def _other(path: Path, what: str) -> SourceError:
    return SourceError(f"{path} does not hold {what}; give the data set's own file")


def read_persons(path: str | Path, people: Persons, skeleton: Skeleton) -> Doubles:
    """Read one pose for each person: (N, K, 2) px, NaN where there is none.

    path: a MATLAB file with `preds` (N, K, 2), or COCO results whose image_id is the number of the
    person (LSP: of its image, or its name); the best score of several counts.  UsageError for
    another number of people or joints.
    """
    path = Path(path)
    if path.suffix.lower() == ".mat":
        return _matlab(path, people, skeleton)
    entries = load(path)
    if not isinstance(entries, list):
        raise SourceError(f"{path} is not a list of people; give COCO results or a .mat file")
    points = np.full((len(people), len(skeleton), 2), np.nan)
    best = np.full(len(people), -np.inf)
    for number, entry in enumerate(entries):
        row, score, joints = _entry(path, number, entry)
        if not 0 <= row - people.first < len(people):
            raise UsageError(
                f"{path}: entry {number} refers to person {row}, but {people.path} has "
                f"{people.first} to {people.first + len(people) - 1}; give the results for it"
            )
        if len(joints) != len(skeleton):
            raise _wrong_joints(path, len(joints), skeleton)
        if score > best[row - people.first]:
            best[row - people.first], points[row - people.first] = score, joints
    return points


def _entry(path: Path, number: int, entry: Any) -> tuple[int, float, Doubles]:
    """Return the person's number, the score and (K, 2) px."""
    try:
        image = entry["image_id"]
        row = integer_in(image) if isinstance(image, str) else int(image)
        if row is None:
            raise ValueError(f"no number in {image!r}")
        points = np.array(entry["keypoints"], np.float64).reshape(-1, 3)[:, :2]
        if not np.isfinite(points).all():
            raise ValueError("NaN or infinity")
        return row, float(entry["score"]), points
    except BROKEN as error:
        raise SourceError(f"{path}: entry {number} is not a person ({error!r})") from error


def _matlab(path: Path, people: Persons, skeleton: Skeleton) -> Doubles:
    points = read_mat(path).get("preds")
    if not isinstance(points, np.ndarray) or points.ndim != 3 or points.dtype == object:
        raise _other(path, "preds (people, joints, 2)")
    if points.shape[1:] != (len(skeleton), 2):
        raise _wrong_joints(path, points.shape[1], skeleton)
    if len(points) != len(people):
        raise UsageError(
            f"{path} has {len(points)} people, but {people.path} has {len(people)}; give the "
            f"results for it"
        )
    return points.astype(np.float64)


def _wrong_joints(path: Path, count: int, skeleton: Skeleton) -> UsageError:
    return UsageError(
        f"{path} has people with {count} joints, not the {len(skeleton)} of {skeleton.name}; "
        f"choose the data set it was made for"
    )
