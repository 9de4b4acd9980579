"""Percentage of correct keypoints, normalised by any reference size, and errors in pixels.

PCK: Yang and Ramanan, TPAMI 2013.  PCKh: Andriluka et al., CVPR 2014 (MPII).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from posewright.people import Doubles, Ints, Mask
from posewright.skeletons import LSP14, MPII16, Skeleton

__all__ = [
    "Pck",
    "auc",
    "box_sizes",
    "epe",
    "head_sizes",
    "normalised",
    "pck",
    "pckh",
    "torso_sizes",
]

HEAD_SHARE = 0.6  # of a head box's diagonal that MPII calls the head's size

# MPII prints the joints in pairs; the head is its top alone.
_PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_MEASURED = [i for i, j in enumerate(MPII16.joints) if j not in ("mid_hip", "thorax")]


@dataclass(frozen=True, slots=True, eq=False)
class Pck:
    """Fractions of correct joints, in [0, 1].

    joints: (K,), -1 where the joint is never labelled.  counts: (K,) labelled ones.
    """

    joints: Doubles
    counts: Ints

    @property
    def mean_of_joints(self) -> float:
        """Mean over the joints, equally weighted; -1 for none."""
        known = self.joints[self.counts > 0]
        return float(known.mean()) if len(known) else -1.0

    @property
    def mean_by_count(self) -> float:
        """Mean over all labelled joints of all people; -1 for none."""
        total = int(self.counts.sum())
        return float((self.joints * self.counts).sum() / total) if total else -1.0

    def __getitem__(self, rows: Ints | Mask | list[int]) -> Pck:
        """Return some of the joints."""
        return Pck(self.joints[rows], self.counts[rows])


def normalised(found: Doubles, truth: Doubles, sizes: Doubles) -> Doubles:
    """(N, K, 2) px, (N, K, 2) px, (N,) px -> (N, K) distances in units of the sizes.

    Infinite where there is no prediction (NaN), and for a person whose size is 0.
    """
    away = np.linalg.norm(np.asarray(found, np.float64) - truth, axis=-1)
    known = np.isfinite(away) & (sizes[:, None] > 0)
    out = np.full(away.shape, np.inf)
    np.divide(away, np.broadcast_to(sizes[:, None], away.shape), out=out, where=known)
    return out


def pck(errors: Doubles, labelled: Mask, threshold: float) -> Pck:
    """Return the share of labelled joints with an error of at most `threshold`.

    errors: (N, K) of `normalised`.  labelled: (N, K).
    """
    counts = labelled.sum(0)
    right = ((errors <= threshold) & labelled).sum(0)
    shares = np.where(counts > 0, right / np.maximum(counts, 1), -1.0)
    return Pck(shares, counts.astype(np.int64))


def auc(errors: Doubles, labelled: Mask, most: float) -> float:
    """Return the area under PCK over thresholds from 0 to `most`, in [0, 1]; -1 for none.

    The exact area, not a sum over steps: each joint is correct from its own error on.
    """
    values = errors[labelled]
    return float(np.clip(1 - values / most, 0, 1).mean()) if len(values) else -1.0


def epe(found: Doubles, truth: Doubles, labelled: Mask) -> float:
    """Return the mean distance in px of labelled joints (end-point error); -1 for none."""
    away = np.linalg.norm(np.asarray(found, np.float64) - truth, axis=-1)[labelled]
    return float(away.mean()) if len(away) else -1.0


def head_sizes(boxes: ArrayLike) -> Doubles:
    """(N, 4) x1, y1, x2, y2 px of heads -> (N,) MPII's sizes: 0.6 of the diagonal."""
    boxes = np.asarray(boxes, np.float64)
    return np.asarray(HEAD_SHARE * np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=1))


def torso_sizes(truth: Doubles, skeleton: Skeleton = LSP14) -> Doubles:
    """(N, K, 2) px -> (N,) distance of left shoulder and right hip, the usual size of LSP."""
    away = truth[:, skeleton["left_shoulder"]] - truth[:, skeleton["right_hip"]]
    return np.asarray(np.linalg.norm(away, axis=1))


def box_sizes(truth: Doubles, labelled: Mask) -> Doubles:
    """(N, K, 2) px -> (N,) the longer side of the box round a person's labelled joints."""
    low = np.where(labelled[..., None], truth, np.inf).min(1)
    high = np.where(labelled[..., None], truth, -np.inf).max(1)
    return np.asarray(np.maximum(high - low, 0).max(1))


def pckh(errors: Doubles, labelled: Mask, threshold: float = 0.5) -> dict[str, float]:
    """Return MPII's numbers in percent, from errors in head sizes of its 16 joints.

    Head (the top alone), Shoulder to Ankle (mean of left and right), and two means over the 14
    joints without pelvis and thorax, which papers mix up: "mean over joints" weighs each joint
    equally, "mean by count" each label.  The latter is PCKh@`threshold`, as HRNet reports it, and
    AUC its mean over all thresholds up to this one.
    """
    scores = pck(errors, labelled, threshold)
    kept = scores[_MEASURED]
    sides = {p: [MPII16[f"left_{p}"], MPII16[f"right_{p}"]] for p in _PARTS}
    shares = {"Head": scores[[MPII16["top_head"]]].mean_of_joints}
    shares |= {p.capitalize(): scores[rows].mean_of_joints for p, rows in sides.items()}
    shares[f"PCKh@{threshold:g}"] = kept.mean_by_count
    shares["mean by count"], shares["mean over joints"] = kept.mean_by_count, kept.mean_of_joints
    shares["AUC"] = auc(errors[:, _MEASURED], labelled[:, _MEASURED], threshold)
    return {name: 100 * value if value >= 0 else -1.0 for name, value in shares.items()}
