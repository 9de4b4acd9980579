"""The feed: batches of a data set whose order and draws follow from a seed alone.

A number drawn for an instance depends on the seed, the epoch and the instance, never on who draws
it or when: on the number of workers and processes, or on where a run was interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from posewright.augment import Augmentation, Views
from posewright.codecs import Codec
from posewright.codecs.base import refines
from posewright.datasets.base import Dataset
from posewright.errors import SourceError, UsageError
from posewright.files.prefetch import ahead
from posewright.people import Floats, Ints, People
from posewright.readers.boxes import BoxFile
from posewright.skeletons import Skeleton
from posewright.training.feed.batches import Batch
from posewright.training.feed.crops import Bounds, CropCache, Cut, bounds
from posewright.training.feed.instances import Instances
from posewright.training.feed.poses import GivenPoses
from posewright.training.feed.streams import EpochDraws

__all__ = ["Feed"]

PIECE = 16  # most instances that a worker takes at a time
AHEAD = 2  # batches that are made before they are asked for


@dataclass(frozen=True, eq=False)
class _Piece:
    """A part of a batch: M instances whose views are to be filled.

    batch: the views of the whole batch.  ends: whether it ends here.
    """

    draws: EpochDraws
    augment: Augmentation
    numbers: Ints
    views: NDArray[np.uint8]
    batch: NDArray[np.uint8]
    ends: bool


@dataclass(frozen=True, eq=False)
class _Shot:
    """View i of `views` for a row of a piece.

    number: the instance that is shown.  owner: the one whose random numbers are used.
    """

    row: int
    owner: int
    number: int
    views: Views
    i: int
    seen: Bounds


@dataclass(frozen=True, eq=False)
class _Made:
    """What became of a piece: `numbers` may be fewer than asked for, in validation.

    people: of top-down codecs everybody in one or several parts, of others one part for each view.
    """

    piece: _Piece
    numbers: Ints
    people: list[People]
    conditions: list[Floats]


class Feed:
    """Batches of the instances of a data set, for one codec.

    batch: instances of a global batch, of which process `rank` of `world` gets its part.  augment:
    left out unless `train`; then the order is the data set's, too.  workers: threads; 0: the
    caller's.  cache: folder of crops, "" for none.  boxes: of a detector, in place of the labelled
    ones.  Set `poses` for what another model has found.

    An image that cannot be read is noted once; in training the next one takes its place, in
    validation the batch is smaller.  SourceError: no person has a labelled joint, or no image can
    be read.  UsageError: fewer instances to train on than processes.
    """

    def __init__(
        self,
        dataset: Dataset,
        codec: Codec,
        skeleton: Skeleton,
        augment: Augmentation,
        *,
        batch: int,
        seed: int,
        workers: int = 0,
        cache: str = "",
        rank: int = 0,
        world: int = 1,
        train: bool = True,
        boxes: BoxFile | None = None,
    ) -> None:
        self.codec, self.skeleton, self.train = codec, skeleton, train
        self.augment = augment if train else Augmentation.none()
        self.instances = Instances.of(dataset.to(skeleton), codec.top_down, boxes)
        if train and len(self.instances) < world:  # one would have an empty part of every batch
            raise UsageError(
                f"{len(self.instances)} to train on for {world} processes; give more data, "
                "or fewer --devices"
            )
        self.batch, self.seed, self.workers = batch, seed, workers
        self.rank, self.world = rank, world
        self.poses: GivenPoses | None = None
        self.crops = CropCache(cache, codec, self.augment, skeleton) if cache else None
        self.bad: dict[int, str] = {}  # number of a sample, what is wrong with its image

    @property
    def skipped(self) -> int:
        """Number of images that could not be read so far."""
        return len(self.bad)

    @property
    def notes(self) -> list[str]:
        """One line for each image that could not be read, and one for a cache that is full."""
        return [*self.bad.values(), *(self.crops.notes if self.crops else ())]

    def __len__(self) -> int:
        """Number of batches of an epoch; in training all are whole, or there is only one."""
        count = len(self.instances) / self.batch
        return max(math.floor(count), 1) if self.train else math.ceil(count)

    def epoch(self, number: int, start: int = 0) -> Generator[Batch, None, None]:
        """Yield this process's part of the batches of an epoch, from batch `start` on."""
        most = self.workers + AHEAD * math.ceil(self.batch / self.world / self._piece)
        parts: list[_Made] = []
        pieces = self._pieces(number, start)
        with closing(ahead(self._filled, pieces, self.workers, most)) as stream:
            for made in stream:
                parts.append(made)
                if made.piece.ends:
                    yield self._joined(parts)
                    parts = []

    @property
    def _piece(self) -> int:
        """Instances of a piece: all workers take part in the batch that is needed next."""
        return min(PIECE, math.ceil(self.batch / self.world / max(self.workers, 1)))

    def _pieces(self, epoch: int, start: int) -> Iterator[_Piece]:
        draws, augment = EpochDraws(self.seed, epoch, len(self.instances)), self.augment.at(epoch)
        # every process cuts its own part out of the same order
        order = draws.order() if self.train else np.arange(len(self.instances))
        w, h = self.codec.input_size
        for first in range(start * self.batch, len(self) * self.batch, self.batch):
            mine = np.array_split(order[first : first + self.batch], self.world)[self.rank]
            views = np.empty((len(mine), h, w, 3), np.uint8)
            begins = range(0, max(len(mine), 1), self._piece)  # nobody is one piece, too
            for i in begins:
                rows = slice(i, i + self._piece)
                yield _Piece(draws, augment, mine[rows], views[rows], views, i == begins[-1])

    def _filled(self, piece: _Piece) -> _Made:
        """Fill a piece's views; begin again where an image turns out to be unreadable."""
        # with proposals a view depends on the size of its image, which must be opened first
        together = self.codec.top_down and not piece.augment.pgpg
        while True:
            owners, chosen = self._readable(piece.numbers)
            made = (self._together if together else self._singly)(piece, owners, chosen)
            if made is not None:
                return made

    def _readable(self, numbers: Ints) -> tuple[Ints, Ints]:
        """Return the instances whose draws to use, and those to show.

        In training the next one with a readable image stands in, otherwise nobody does.
        SourceError: no image is readable.
        """
        if not self.bad:
            return numbers, numbers
        sample, count = self.instances.sample, len(self.instances)
        if not self.train:
            kept = np.array([n for n in numbers if int(sample[n]) not in self.bad], np.int64)
            return kept, kept
        chosen = []
        for n in numbers.tolist():
            following = (m % count for m in range(n, n + count))
            m = next((m for m in following if int(sample[m]) not in self.bad), None)
            if m is None:
                first = next(iter(self.bad.values()))
                raise SourceError(f"no image of {len(self.bad)} can be read; {first}")
            chosen.append(m)
        return numbers, np.array(chosen, np.int64)

    def _together(self, piece: _Piece, owners: Ints, chosen: Ints) -> _Made | None:
        """Draw all views of people at once, then cut them one by one."""
        truth = self.instances.truth
        if truth is None or not len(chosen):
            return _Made(piece, chosen, [], [])
        people, rng = truth[chosen], piece.draws.rows(owners)
        views = piece.augment.views(self.codec, (1, 1), people, self.skeleton, rng)
        seen = bounds(views)
        conditions: list[Floats] = []
        for i, (owner, number) in enumerate(zip(owners.tolist(), chosen.tolist(), strict=True)):
            cut = self._opened(number)
            shot = _Shot(i, owner, number, views, i, seen[i])
            if cut is None or not self._shown(piece, shot, cut):
                return None
            conditions += self._condition(piece, shot)
        return _Made(piece, chosen, [views.people(people)], conditions)

    def _singly(self, piece: _Piece, owners: Ints, chosen: Ints) -> _Made | None:
        """Draw and cut one view after the other, knowing the size of its image."""
        truth, shown = self.instances.truth, []
        conditions: list[Floats] = []
        for i, (owner, number) in enumerate(zip(owners.tolist(), chosen.tolist(), strict=True)):
            cut = self._opened(number)
            if cut is None:
                return None
            people = self.instances.everybody(number) if truth is None else truth[number]
            rng = piece.draws.rows(owners[i : i + 1])
            views = piece.augment.views(self.codec, cut.size, people, self.skeleton, rng)
            shot = _Shot(i, owner, number, views, 0, bounds(views)[0])
            if not self._shown(piece, shot, cut):
                return None
            shown.append(views.people(people))
            conditions += self._condition(piece, shot)
        return _Made(piece, chosen, shown, conditions)

    def _shown(self, piece: _Piece, shot: _Shot, cut: Cut) -> bool:
        """Fill a row with a view; False where the image cannot be read."""
        pixels = cut.view(shot.views, shot.i, shot.seen)
        if pixels is None:  # it reaches beyond the crop
            whole = self._loaded(shot.number)
            pixels = None if whole is None else whole.view(shot.views, shot.i, shot.seen)
        if pixels is None:
            return False
        if piece.augment.repaints:
            pixels = piece.augment.pixels(pixels, piece.draws.own(shot.owner))
        piece.views[shot.row] = pixels
        return True

    def _condition(self, piece: _Piece, shot: _Shot) -> list[Floats]:
        """Return the (K, h, w) pose that a network is given to refine, if it is."""
        if not refines(self.codec):
            return []
        people, person = self.instances.near(shot.number)
        rng = piece.draws.own(shot.owner, mistakes=True)
        if self.poses is None:
            pose = self.codec.synthesise(people, rng, self.skeleton)[person]
        else:
            pose = self.poses.pose(self.codec, shot.number, people, person, rng)
        i, views = slice(shot.i, shot.i + 1), shot.views
        one = Views(views.matrices[i], views.size, views.flipped[i], views.mirror)
        return [self.codec.condition(one.people(pose))[0]]

    def _opened(self, number: int) -> Cut | None:
        """Return the image of an instance, or a crop of it; None where it cannot be read."""
        if self.crops is None:
            return self._loaded(number)
        which = int(self.instances.sample[number])
        truth = self.instances.truth
        box = np.zeros(4, np.float32) if truth is None else truth.boxes[number]
        return self._checked(which, self.crops.cut(self.instances.samples[which], box))

    def _loaded(self, number: int) -> Cut | None:
        which = int(self.instances.sample[number])
        frame = self.instances.samples[which].load()
        good = frame.status == "ok"
        return self._checked(which, Cut.whole(frame.image) if good else frame.message)

    def _checked(self, which: int, cut: Cut | str) -> Cut | None:
        if isinstance(cut, Cut):
            return cut
        self.bad.setdefault(which, f"{self.instances.samples[which].image}: {cut}")
        return None

    def _joined(self, parts: Sequence[_Made]) -> Batch:
        views = parts[0].piece.batch
        numbers = np.concatenate([made.numbers for made in parts])
        if len(numbers) < len(views):  # images that cannot be read
            views = np.concatenate([made.piece.views[: len(made.numbers)] for made in parts])
        people = [one for made in parts for one in made.people]
        conditions = [one for made in parts for one in made.conditions]
        everybody = people or [People.empty(self.skeleton)]
        return Batch(
            torch.from_numpy(views),
            People.concat(everybody) if self.codec.top_down else people,
            numbers,
            torch.from_numpy(np.stack(conditions)) if conditions else None,
        )
