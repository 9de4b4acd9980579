"""The feed: what is in a batch, and that it follows from seed, epoch and instance alone."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import cv2
import numpy as np
import pytest
import torch

from posewright.augment import Augmentation
from posewright.codecs import DEKR, CombinedUDP, Heatmap, PoseFix, SimCC, YoloPose
from posewright.datasets import Dataset, Sample
from posewright.errors import SourceError, UsageError
from posewright.files.prefetch import ahead
from posewright.people import People
from posewright.readers.boxes import BoxFile
from posewright.skeletons import COCO17
from posewright.training.feed.batches import Batch, heatmap_targets
from posewright.training.feed.feed import Feed
from posewright.training.feed.instances import Instances
from posewright.training.feed.streams import EpochDraws

CODEC = Heatmap((48, 64))
RANDOM = Augmentation(flip=0.5, scale=0.3, rotate=40, colour=0.3, erase=0.5, perspective=0.1)
BOX = np.array([20.0, 15.0, 80.0, 95.0])


def sample(folder: Path, number: int, people: int = 1) -> Sample:
    """Return an image of random blocks with people at random places."""
    rng = np.random.default_rng(number)
    blocks = rng.integers(0, 256, (10, 12, 3), np.uint8)
    path = folder / f"{number}.png"
    cv2.imwrite(str(path), cv2.resize(blocks, (120, 100), interpolation=cv2.INTER_NEAREST))
    corners = BOX + rng.uniform(-10, 10, (people, 1))
    low, sides = corners[:, None, :2], (corners[:, 2:] - corners[:, :2])[:, None]
    points = low + sides * rng.random((people, 17, 2))
    seen = np.full((people, 17, 1), 2)
    return Sample.of(path, (120, 100), number, np.concatenate([points, seen], 2), corners)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("pictures")
    samples = tuple(sample(folder, i, 1 + i % 3) for i in range(11))
    return Dataset("blocks", COCO17, samples)


def feed(dataset: Dataset, codec: object = CODEC, **options: object) -> Feed:
    augment = options.pop("augment", RANDOM)
    settings = {"batch": 6, "seed": 3, **options}
    return Feed(dataset, codec, COCO17, augment, **settings)  # type: ignore[arg-type]


def same(one: Batch, two: Batch) -> bool:
    points = zip(one.people, two.people, strict=True)
    return (
        torch.equal(one.views, two.views)
        and np.array_equal(one.numbers, two.numbers)
        and all(np.array_equal(a.keypoints, b.keypoints) for a, b in points)
        and (one.condition is None) == (two.condition is None)
        and (one.condition is None or torch.equal(one.condition, two.condition))
    )


def all_same(one: list[Batch], two: list[Batch]) -> bool:
    return len(one) == len(two) and all(map(same, one, two))


CODECS = [CODEC, DEKR((64, 64)), PoseFix((48, 64))]


@pytest.mark.parametrize("codec", CODECS, ids=lambda c: c.kind)
def test_the_stream_does_not_depend_on_workers(dataset: Dataset, codec: object) -> None:
    plain = list(feed(dataset, codec).epoch(1))
    assert len(plain) == len(feed(dataset, codec)) > 0
    for workers in (1, 2, 3):
        assert all_same(plain, list(feed(dataset, codec, workers=workers).epoch(1)))


def test_the_same_seed_repeats_and_epochs_and_seeds_differ(dataset: Dataset) -> None:
    one = feed(dataset)
    first = list(one.epoch(0))
    assert all_same(first, list(feed(dataset).epoch(0)))
    assert all_same(first, list(one.epoch(0)))
    assert not same(first[0], next(iter(one.epoch(1))))
    assert not same(first[0], next(iter(feed(dataset, seed=4).epoch(0))))
    everywhere = {tuple(b.numbers) for e in range(4) for b in one.epoch(e)}
    assert len(everywhere) == 4 * len(one)


@pytest.mark.parametrize("codec", CODECS, ids=lambda c: c.kind)
@pytest.mark.parametrize("workers", [0, 2])
def test_start_skips_batches_without_reading_pictures(
    dataset: Dataset, codec: object, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = feed(dataset, codec, batch=3, workers=workers)
    whole = list(one.epoch(2))
    loads: list[Path] = []
    load = Sample.load
    monkeypatch.setattr(Sample, "load", lambda s: (loads.append(s.image), load(s))[1])
    rest = list(one.epoch(2, start=len(one) - 1))
    assert all_same(whole[-1:], rest)
    assert len(loads) == len(rest[0])
    assert list(one.epoch(2, start=len(one))) == []


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("codec", CODECS, ids=lambda c: c.kind)
def test_the_parts_of_all_processes_are_the_global_batch(
    dataset: Dataset, codec: object, world: int
) -> None:
    whole = list(feed(dataset, codec).epoch(0))
    parts = [list(feed(dataset, codec, rank=r, world=world).epoch(0)) for r in range(world)]
    for batch, *ranks in zip(whole, *parts, strict=True):
        assert torch.equal(batch.views, torch.cat([r.views for r in ranks]))
        assert batch.numbers.tolist() == [n for r in ranks for n in r.numbers.tolist()]
        assert max(map(len, ranks)) - min(map(len, ranks)) <= 1


def test_fewer_people_than_processes_are_refused(dataset: Dataset) -> None:
    count = len(feed(dataset).instances)
    assert len(feed(dataset, batch=2 * count, world=count)) == 1
    with pytest.raises(UsageError, match=f"{count} to train on for {count + 1} processes"):
        feed(dataset, world=count + 1)
    assert len(feed(dataset, world=count + 1, train=False)) > 0


def test_batches_of_an_epoch(dataset: Dataset) -> None:
    count = dataset.people
    assert count == 21
    assert [len(b) for b in feed(dataset).epoch(0)] == [6, 6, 6]  # the last 3 are left out
    assert [len(b) for b in feed(dataset, train=False).epoch(0)] == [6, 6, 6, 3]
    assert [len(b) for b in feed(dataset, batch=50).epoch(0)] == [21]
    validation = [n for b in feed(dataset, train=False).epoch(0) for n in b.numbers]
    assert validation == list(range(count))
    # nobody is left for a process, and it keeps step all the same
    last = list(feed(dataset, batch=20, train=False, rank=3, world=4).epoch(0))[-1]
    assert len(last) == 0 and last.views.shape == (0, 64, 48, 3)
    assert all(len(t) == 0 for t in last.targets(CODEC).values())
    empty = list(feed(dataset, DEKR((64, 64)), train=False, batch=10, rank=1, world=2).epoch(0))[-1]
    assert all(len(t) == 0 for t in empty.targets(DEKR((64, 64))).values())


def test_validation_shows_the_codec_s_own_views(dataset: Dataset) -> None:
    batch = next(feed(dataset, train=False).epoch(0))
    first = dataset[0]
    warp = CODEC.warps(first.size, first.people)[0]
    expected = warp.image(first.load().image)
    assert np.array_equal(batch.views[0].numpy(), expected)
    shown = warp.people(first.people)
    np.testing.assert_allclose(batch.people[0].keypoints, shown.keypoints, atol=1e-4)
    assert isinstance(batch.views, torch.Tensor) and batch.views.dtype == torch.uint8


def test_joints_are_where_the_pixels_are(tmp_path: Path) -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    spots = np.array([[60, 70], [130, 60], [100, 140]])
    for k, (x, y) in enumerate(spots):
        cv2.circle(image, (int(x), int(y)), 4, [255 * (k == c) for c in range(3)], -1)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    points = np.zeros((1, 17, 3))
    points[0, :3] = np.c_[spots, [2, 2, 2]]
    one = Sample.of(tmp_path / "a.png", (200, 200), 1, points, [[30, 30, 170, 170]])
    augment = Augmentation(flip=0.5, scale=0.2, rotate=30, half_body=0)
    feed = Feed(Dataset("a", COCO17, (one,)), Heatmap(), COCO17, augment, batch=1, seed=0)
    mirrored = set()
    for epoch in range(12):
        batch = next(feed.epoch(epoch))
        view, joints = batch.views[0].numpy(), batch.people[0].keypoints[0, :3]
        blobs = [np.mean(np.nonzero(view[..., k] > 127), 1)[::-1] for k in range(3)]
        gaps = np.linalg.norm(joints[:, None] - blobs, axis=2)  # (joint, blob) px
        # eyes change places in a mirror image, the nose does not
        flipped = bool(gaps[1, 2] < gaps[1, 1])
        assert gaps[[0, 1, 2], [0, 2, 1] if flipped else [0, 1, 2]].max() < 0.7
        mirrored.add(flipped)
    assert mirrored == {False, True}


@pytest.mark.parametrize("quantised", [True, False])
@pytest.mark.parametrize("unbiased", [True, False])
def test_targets_made_by_torch_are_those_of_the_codec(quantised: bool, unbiased: bool) -> None:
    rng = np.random.default_rng(0)
    people = People.of(
        keypoints=rng.uniform(-30, 300, (9, 17, 2)), scores=rng.integers(0, 2, (9, 17))
    )
    codec = Heatmap(quantised=quantised, unbiased=unbiased)
    wanted, made = codec.encode(people), heatmap_targets(codec, people)
    assert set(wanted) == set(made)
    for key, value in made.items():
        assert value.dtype == torch.float32
        np.testing.assert_allclose(value.numpy(), wanted[key], atol=1e-6)


@pytest.mark.parametrize(
    "codec",
    [SimCC((48, 64)), CombinedUDP((48, 64)), YoloPose((64, 64)), DEKR((64, 64))],
    ids=lambda c: c.kind,
)
def test_targets_have_a_row_for_each_view(dataset: Dataset, codec: object) -> None:
    batch = next(feed(dataset, codec, batch=4).epoch(0))
    targets = batch.targets(codec)  # type: ignore[arg-type]
    assert len(batch) == 4 and all(len(t) == 4 for t in targets.values())
    alone = codec.encode(batch.people[1])  # type: ignore[attr-defined]
    for key, value in targets.items():
        np.testing.assert_allclose(value[1].numpy(), alone[key][0], atol=1e-6)


def test_instances_are_labelled_people(tmp_path: Path) -> None:
    three = sample(tmp_path, 0, 3)
    visibility = three.visibility.copy()
    visibility[1] = 0
    people = three.people.replace(scores=(visibility > 0).astype(np.float32))
    mixed = three.replace(people=people, visibility=visibility, crowd=np.array([0, 0, 1], bool))
    data = Dataset("a", COCO17, (mixed, three[:0]))
    assert Instances.of(data, True).person.tolist() == [0]
    pictures = Instances.of(data, False)
    assert len(pictures) == 1 and len(pictures.everybody(0)) == 2  # a box without joints is there
    with pytest.raises(SourceError, match="no person with a labelled joint"):
        Instances.of(Dataset("a", COCO17, (three[:0],)), True)


def test_a_detector_s_boxes_take_the_place_of_the_labelled_ones(tmp_path: Path) -> None:
    people = np.array([[10, 10, 50, 90], [60, 10, 100, 90]], float)
    points = np.concatenate(
        [people[:, None, :2] + np.full((2, 17, 2), 20), np.full((2, 17, 1), 2)], 2
    )
    one = replace(sample(tmp_path, 7), image_id=7)
    two = Sample.of(one.image, one.size, 7, points, people)
    near = np.array([[12, 8, 52, 92, 0.9], [10, 10, 50, 90, 0.2], [0, 0, 8, 8, 1]], np.float32)
    data = Dataset("a", COCO17, (two,))
    found = Instances.of(data, True, BoxFile(tmp_path, {7: near}))
    assert found.person.tolist() == [0] and found.unmatched == 1
    assert found.truth is not None
    np.testing.assert_array_equal(found.truth.boxes, near[1:2, :4])  # the nearest, not the surest
    by_name = Instances.of(data, True, BoxFile(tmp_path, {"7.png": near}))
    np.testing.assert_array_equal(by_name.truth.boxes, near[1:2, :4])  # type: ignore[union-attr]
    with pytest.raises(SourceError, match="in a box of"):
        Instances.of(data, True, BoxFile(tmp_path, {7: near[2:]}))
    truth = next(feed(data, batch=1).epoch(0))
    other = next(feed(data, batch=1, boxes=BoxFile(tmp_path, {7: near[:1]})).epoch(0))
    assert not torch.equal(truth.views, other.views)


@pytest.fixture
def damaged(dataset: Dataset, tmp_path: Path) -> Dataset:
    """The same set with two images that cannot be read."""
    (tmp_path / "4.png").write_bytes(Path(dataset[4].image).read_bytes()[:80])
    samples = list(dataset)
    samples[4] = samples[4].replace(image=tmp_path / "4.png")
    samples[5] = samples[5].replace(image=tmp_path / "none.png")
    return replace(dataset, samples=tuple(samples))


@pytest.mark.parametrize("codec", CODECS, ids=lambda c: c.kind)
@pytest.mark.parametrize("cached", [False, True])
def test_unreadable_pictures_are_replaced_and_noted_once(
    damaged: Dataset, codec: object, cached: bool, tmp_path: Path
) -> None:
    cache = str(tmp_path / "crops") if cached else ""
    one = feed(damaged, codec, batch=7, cache=cache)
    batches = [*one.epoch(0), *one.epoch(1), *one.epoch(2)]
    assert all(len(b) == 7 == len(b.views) for b in batches)
    assert one.skipped == 2 and len(one.notes) == 2
    assert {"4.png", "none.png"} == {Path(note.partition(": ")[0]).name for note in one.notes}
    sources = one.instances.sample[np.concatenate([b.numbers for b in batches])]
    assert not {4, 5} & set(sources.tolist())
    # what is known to be bad, and by whom, changes nothing
    other = feed(damaged, codec, batch=7, workers=2, cache=cache)
    assert all_same(batches[-1:], list(other.epoch(2))[-1:])


def test_validation_leaves_unreadable_pictures_out(damaged: Dataset) -> None:
    one = feed(damaged, train=False, workers=2)
    batches = list(one.epoch(0))
    numbers = np.concatenate([b.numbers for b in batches])
    sources = one.instances.sample
    assert numbers.tolist() == [n for n in range(21) if sources[n] not in (4, 5)]
    readable = next(feed(damaged, train=False, batch=21).epoch(0))
    assert torch.equal(torch.cat([b.views for b in batches]), readable.views)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_set_without_a_readable_picture_is_an_error(dataset: Dataset, workers: int) -> None:
    lost = replace(
        dataset, samples=tuple(s.replace(image=Path(f"/none/{s.image_id}.png")) for s in dataset)
    )
    with pytest.raises(SourceError, match="no image of 11 can be read"):
        list(feed(lost, workers=workers).epoch(0))


def test_augmentation_is_on_in_training_only(dataset: Dataset) -> None:
    plain = list(feed(dataset, augment=Augmentation.none()).epoch(0))
    assert not torch.equal(plain[0].views, next(feed(dataset).epoch(0)).views)
    assert all_same(
        list(feed(dataset, train=False).epoch(0)),
        list(feed(dataset, train=False, augment=Augmentation.none()).epoch(5)),
    )


def test_proposals_begin_at_their_epoch(dataset: Dataset) -> None:
    off = Augmentation.none()
    later = replace(off, pgpg="alphapose", pgpg_from=1)
    without, proposals = feed(dataset, augment=off), feed(dataset, augment=later, workers=2)
    assert all_same(list(without.epoch(0)), list(proposals.epoch(0)))
    assert not torch.equal(next(without.epoch(1)).views, next(proposals.epoch(1)).views)


def test_information_is_dropped_from_its_epoch_on_and_alike_after_a_stop(dataset: Dataset) -> None:
    """What is dropped follows from the epoch and the person, not from who draws it or when."""
    aid = replace(RANDOM, hide=1.0, drop_from=1)
    without, dropping = feed(dataset, augment=RANDOM), feed(dataset, augment=aid, workers=2)
    assert not all_same(list(without.epoch(0)), list(dropping.epoch(0)))  # erase is later, too
    plain = feed(dataset, augment=replace(RANDOM, erase=0))
    assert all_same(list(plain.epoch(0)), list(dropping.epoch(0)))
    later = list(dropping.epoch(1))
    assert len(later) > 1 and not all_same(list(without.epoch(1)), later)
    resumed = feed(dataset, augment=aid)  # a new process that begins within the epoch
    assert all_same(list(resumed.epoch(1, start=1)), later[1:])
    black = [(b.views == 0).all(3).float().mean() for b in (*plain.epoch(1), *later)]
    assert np.mean(black[len(black) // 2 :]) > np.mean(black[: len(black) // 2]) + 0.2


def test_the_given_pose_has_mistakes(dataset: Dataset) -> None:
    codec = PoseFix((48, 64))
    batch = next(feed(dataset, codec, augment=Augmentation(flip=0.5)).epoch(0))
    assert batch.condition is not None and batch.condition.shape == (6, 17, 64, 48)
    truth = codec.condition(People.concat(list(batch.people)))
    given = batch.condition.numpy()
    assert not np.array_equal(given, truth)
    # most joints are near the truth: mirrored with the view, not astray
    peaks = [
        np.stack(np.unravel_index(a.reshape(102, -1).argmax(1), (64, 48))) for a in (given, truth)
    ]
    inside = (truth.max((2, 3)).ravel() > 200) & (given.max((2, 3)).ravel() > 200)
    assert np.median(np.abs(peaks[0] - peaks[1]).sum(0)[inside]) < 6


def test_draws_of_instances_are_their_own() -> None:
    draws = EpochDraws(1, 2, 50)
    some = draws.rows(np.array([7, 3])).random((2, 19))
    np.testing.assert_array_equal(some[::-1], draws.rows(np.array([3, 7])).random((2, 19)))
    assert draws.own(3).random() != draws.own(4).random() != draws.own(4, mistakes=True).random()
    tables = [EpochDraws(s, e, 50).table("random", 19) for s, e in ((1, 2), (1, 3), (2, 2))]
    assert len({t.tobytes() for t in tables}) == 3
    assert sorted(draws.order()) == list(range(50))
    normal = EpochDraws(1, 2, 20_000).table("standard_normal", 6)
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.02


def test_workers_take_only_so_many_jobs_and_end() -> None:
    taken: list[int] = []

    def jobs() -> object:
        for i in range(100):
            taken.append(i)
            yield i

    before = threading.active_count()
    done = ahead(lambda i: i * i, jobs(), 2, 5)  # type: ignore[arg-type, var-annotated]
    assert [next(done) for _ in range(3)] == [0, 1, 4]
    assert len(taken) <= 3 + 5
    done.close()
    assert threading.active_count() <= before


INTERRUPTED = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from posewright.augment import Augmentation
from posewright.codecs import Heatmap
from posewright.datasets import open_dataset
from posewright.training.feed.feed import Feed
data = open_dataset(sys.argv[1])
feed = Feed(data, Heatmap(), data.skeleton, Augmentation(), batch=8, seed=0, workers=2)
for epoch in range(1000000):
    for batch in feed.epoch(epoch):
        print("batch", flush=True)
"""


def test_ctrl_c_ends_the_process_at_once(data_dir: Path) -> None:
    labels = data_dir / "coco" / "person_keypoints.json"
    run = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(labels)], stdout=PIPE, stderr=PIPE, text=True
    )
    assert run.stdout is not None and run.stdout.readline() == "batch\n"
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert errors.splitlines()[-1] == "KeyboardInterrupt" and run.returncode != 0


def test_errors_of_workers_and_of_the_consumer_end_the_threads(dataset: Dataset) -> None:
    def fails(i: int) -> int:
        if i == 3:
            raise ValueError("three")
        return i

    with pytest.raises(ValueError, match="three"):
        list(ahead(fails, range(10), 2, 4))
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        for _ in feed(dataset, workers=2).epoch(0):
            raise KeyboardInterrupt
    gc.collect()
    assert threading.active_count() <= before  # those of the tests before may end meanwhile
