"""Labelled images: a Sample is one image with its truth, a Dataset a sequence of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from posewright.files.values import AREA_OF_BOX
from posewright.people import Doubles, Floats, Frame, Ints, Mask, People, Pixels
from posewright.skeletons import Skeleton

__all__ = ["AREA_OF_BOX", "Dataset", "Outlines", "Sample", "concat", "labelled_extent"]

Outlines = tuple[tuple[Floats, ...], ...]  # per person its polygons, each (M, 2) px
MAX_PIXELS = 100_000_000  # the limit of posewright.sources


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One image's truth of N people with K joints each.

    image: the image's path, which may not exist.  size: width, height px; 0, 0 if the labels do
    not say.  people: truth; a joint's score is 1 where it is labelled and 0 where not (then its
    place means nothing), ids are track identities.  visibility: (N, K) 0 not labelled, 1 labelled
    but hidden, 2 visible.  areas: (N,) px^2, for OKS.  crowd: (N,) a region of many, never a match.
    numbers: (N,) annotation ids.  outlines: per person, polygons.  heads: (N, 4) head boxes px, 0
    where there is none.  ignore: polygons in which nothing counts.  video, frame, fps: for sets
    made of video; fps is 0 where the labels do not say.  crowd_index: CrowdPose's measure of
    crowding in [0, 1].
    """

    image: Path
    size: tuple[int, int]
    image_id: int | str
    people: People
    visibility: Pixels
    areas: Doubles
    crowd: Mask
    numbers: Ints
    outlines: Outlines
    heads: Floats
    ignore: tuple[Floats, ...] = ()
    video: str = ""
    frame: int = 0
    fps: float = 0.0
    crowd_index: float | None = None

    def __post_init__(self) -> None:
        n, k = self.people.scores.shape
        shapes = {"areas": (n,), "crowd": (n,), "numbers": (n,), "heads": (n, 4)}
        for name, shape in {**shapes, "visibility": (n, k)}.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"Sample.{name} must have shape {shape}, not {getattr(self, name).shape}"
                )
        if not all(0 <= side < 1 << 31 for side in self.size):
            raise ValueError(f"invalid image size: {str(self.size)[:60]} px")
        if len(self.outlines) != n:
            raise ValueError(f"Sample.outlines must have {n} entries, not {len(self.outlines)}")

    @classmethod
    def of(
        cls,
        image: Path,
        size: tuple[int, int],
        image_id: int | str,
        keypoints: ArrayLike,
        boxes: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        areas: ArrayLike | None = None,
        crowd: ArrayLike | None = None,
        numbers: ArrayLike | None = None,
        outlines: Outlines | None = None,
        heads: ArrayLike | None = None,
        **more: Any,
    ) -> Sample:
        """Build from keypoints (N, K, 3) x, y, visibility; what is not given follows from them.

        boxes: the extent of the labelled joints.  areas: 0.53 of the box.  numbers: -1.
        """
        points = np.asarray(keypoints, np.float32)
        n = len(points)
        # COCO-WholeBody has fractions for faces and hands: whatever is above 0 is labelled.
        visible = np.ceil(points[:, :, 2].clip(0, 2)).astype(np.uint8)
        seen = visible > 0
        corners = (
            labelled_extent(points) if boxes is None else np.asarray(boxes, np.float32)
        ).reshape(n, 4)
        xy = np.where(seen[:, :, None], points[:, :, :2], 0)
        people = People.of(corners, None, xy, seen.astype(np.float32), ids)
        sides = (corners[:, 2:] - corners[:, :2]).astype(np.float64)
        return cls(
            Path(image),
            size,
            image_id,
            people,
            visible,
            sides.prod(1) * AREA_OF_BOX if areas is None else np.array(areas, np.float64),
            np.zeros(n, np.bool_) if crowd is None else np.array(crowd, np.bool_),
            np.full(n, -1, np.int64) if numbers is None else np.array(numbers, np.int64),
            ((),) * n if outlines is None else outlines,
            np.zeros((n, 4), np.float32)
            if heads is None
            else np.array(heads, np.float32).reshape(n, 4),
            **more,
        )

    def __len__(self) -> int:
        return len(self.people)

    @property
    def keypoints(self) -> Floats:
        """(N, K, 3) x, y px and visibility 0, 1, 2, as COCO has them."""
        seen = self.visibility[:, :, None].astype(np.float32)
        return np.concatenate([self.people.keypoints, seen], 2)

    @property
    def labelled(self) -> Ints:
        """(N,) number of labelled joints: COCO's num_keypoints."""
        return np.asarray((self.visibility > 0).sum(1), np.int64)

    @property
    def counting(self) -> Mask:
        """(N,) people that count in evaluation: with a labelled joint, and no crowd regions."""
        return np.asarray((self.labelled > 0) & ~self.crowd)

    def __getitem__(self, index: Any) -> Sample:
        """Return the same image with the people at `index`: a slice, mask or array of ints."""
        at = np.arange(len(self))[index].reshape(-1)
        return replace(
            self,
            people=self.people[at],
            visibility=self.visibility[at],
            areas=self.areas[at],
            crowd=self.crowd[at],
            numbers=self.numbers[at],
            heads=self.heads[at],
            outlines=tuple(self.outlines[i] for i in at),
        )

    def replace(self, **changes: Any) -> Sample:
        """Return a copy with some fields exchanged."""
        return replace(self, **changes)

    def load(self) -> Frame:
        """Read the image; a frame with a status and a message where that fails."""
        from posewright.sources.images import file_frame

        return file_frame(self.image, MAX_PIXELS)

    def joints(self, index: Ints) -> Sample:
        """Return the sample with the joints at `index`, (K',); -1 gives an unlabelled one."""
        n, there = len(self), index >= 0
        # one more joint, of which nothing is known, for those that the skeleton lacks
        visibility = np.pad(self.visibility, ((0, 0), (0, 1)))
        known = np.concatenate([self.people.keypoints, np.zeros((n, 1, 2), np.float32)], 1)
        at = np.where(there, index, -1)
        seen = visibility[:, at]
        points = np.where((seen > 0)[:, :, None], known[:, at], 0)
        people = self.people.replace(
            keypoints=points.astype(np.float32), scores=(seen > 0).astype(np.float32)
        )
        return replace(self, people=people, visibility=seen)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset(Sequence[Sample]):
    """Samples of one skeleton; a slice is a Dataset again.

    notes: one line for each thing that could not be read.  remarks: one line for each thing that
    was assumed, or left out on purpose as another class.  class_name: what is labelled.  category:
    the number of that class in result files.
    """

    name: str
    skeleton: Skeleton
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = field(default=())
    remarks: tuple[str, ...] = ()
    class_name: str = "person"
    category: int = 1

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        """Return the sample at an int, or the data set of the samples at a slice or list."""
        if isinstance(index, (int, np.integer)):
            return self.samples[index]
        if isinstance(index, slice):
            return replace(self, samples=self.samples[index])
        return replace(self, samples=tuple(self.samples[int(i)] for i in index))

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    @property
    def people(self) -> int:
        """Number of people, crowd regions included."""
        return sum(len(sample) for sample in self.samples)

    def to(self, skeleton: Skeleton) -> Dataset:
        """Return the same people with the joints of `skeleton`, by name; absent ones unlabelled."""
        if skeleton.joints == self.skeleton.joints:
            return replace(self, skeleton=skeleton)
        index = self.skeleton.mapping(skeleton)
        shared = int((index >= 0).sum())
        note = f"{self.name}: {shared} of {len(skeleton)} joints of {skeleton.name} are labelled"
        samples = tuple(sample.joints(index) for sample in self.samples)
        return replace(self, skeleton=skeleton, samples=samples, notes=(*self.notes, note))


def concat(parts: Sequence[Dataset], skeleton: Skeleton | None = None) -> Dataset:
    """Return all samples of `parts` (at least one) with one skeleton: the first part's if None.

    Image and annotation ids stay those of the parts, so they may repeat; `to_coco` renumbers.
    """
    if not parts:
        raise ValueError("concat needs at least one data set; give one or more")
    target = skeleton or parts[0].skeleton
    mapped = [part.to(target) for part in parts]
    samples = tuple(sample for part in mapped for sample in part.samples)
    notes = tuple(note for part in mapped for note in part.notes)
    remarks = tuple(remark for part in mapped for remark in part.remarks)
    classes = ",".join(dict.fromkeys(part.class_name for part in parts))
    name = "+".join(part.name for part in parts)
    return Dataset(name, target, samples, notes, remarks, classes, parts[0].category)


def labelled_extent(points: Floats) -> Floats:
    """(N, K, 3) x, y, visibility -> (N, 4) the box round the labelled joints; 0 without any."""
    seen = points[:, :, 2:] > 0
    if points.shape[1] == 0:
        return np.zeros((len(points), 4), np.float32)
    low = np.where(seen, points[:, :, :2], np.inf).min(1)
    high = np.where(seen, points[:, :, :2], -np.inf).max(1)
    box = np.concatenate([low, high], 1)
    return np.where(seen.any(1), box, 0).astype(np.float32)
