"""Time and identities of PoseFlow: python benchmarks/poseflow.py [--bonn FOLDER]

FOLDER: the Bonn PoseTrack data, with videos/NAME/*.jpg and annolist/{train,test}/annolist.mat.  The
labelled poses of its clip are perturbed and tracked with each kind of correspondences; those of all
its videos, of which there are no images, without any.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from posewright.errors import SourceError
from posewright.files.matfile import read_mat
from posewright.metrics.pck import head_sizes
from posewright.metrics.posetrack import PoseFrame, joint_tallies
from posewright.metrics.tracking import Tally
from posewright.people import Doubles, Frame, Ints, People
from posewright.skeletons import COCO17, MPII16, Skeleton
from posewright.trackers import Tracker, create_tracker
from posewright.trackers.flow import Correspondences, OpticalFlow, Orb
from posewright.trackers.links import Shapes, link_scores
from posewright.trackers.poseflow import PoseFlowTracker, Way

POINTS = [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15]  # of MPII's 16, in their order
BODY = Skeleton("bonn14", tuple(MPII16.joints[i] for i in POINTS))
BLANK = np.zeros((0, 0, 3), np.uint8)
FPS = 25.0

Make = Callable[[], Tracker]
Labels = tuple[Doubles, Doubles, Ints]  # (T, 14, 3) x, y, labelled; (T,) head sizes; (T,) ids


def median(work: Callable[[], object], rounds: int = 21) -> float:
    """Return the median processor time of a call in ms, on one thread."""
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        spent.append(1000 * (time.process_time() - start))
    return statistics.median(spent)


def crowd(count: int, rng: np.random.Generator) -> People:
    """Return `count` made-up poses in an image of 1280x720."""
    place = rng.uniform([50, 50], [1150, 500], (count, 1, 2))
    points = place + rng.uniform(0, 1, (count, 17, 2)) * [80, 200]
    return People.of(None, np.ones(count), points, np.ones((count, 17)))


def picture(rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a 1280x720 image of blurred noise, which has corners everywhere."""
    noise = rng.integers(0, 256, (180, 320, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (1280, 720), interpolation=cv2.INTER_CUBIC), np.uint8)


def print_times(count: int = 20) -> None:
    """Print medians for `count` people in a 720p image."""
    rng = np.random.default_rng(0)
    people, image = crowd(count, rng), picture(rng)
    moved = people.replace(keypoints=people.keypoints + np.array([6, 3], np.float32))
    later = np.roll(image, (3, 6), (0, 1))
    points = people.keypoints.reshape(-1, 2)
    ways: dict[str, Correspondences] = {
        "flow": OpticalFlow(),
        "orb": Orb(),
        "orb, as published": Orb(10_000, side=0),
    }
    print(f"{count} people, 1280x720, one thread; medians of processor time in ms")
    print("correspondences    image   pairs   number   scores")
    for name, way in ways.items():
        rounds = 3 if "published" in name else 21
        look = median(partial(way.look, later), rounds)
        before, after = way.look(image), way.look(later)
        pair = median(partial(way.pairs, before, after, points), rounds)
        pairs = way.pairs(before, after, points)
        old, new, close = Shapes.of(people), Shapes.of(moved), np.ones(count, bool)
        score = median(partial(link_scores, old, new, close, pairs))
        print(f"{name:18} {look:7.2f} {pair:7.2f} {len(pairs[0]):8} {score:8.2f}")
    for name, size in {"flow": (image, later), "none": (BLANK, BLANK)}.items():
        print(f"whole step, {name}: {median(_step(people, moved, *size)):.2f}")


def _step(people: People, moved: People, image: Any, later: Any) -> Callable[[], People]:
    track = PoseFlowTracker(COCO17)
    frames = [(Frame(image, 0), people), (Frame(later, 1), moved)]
    count = iter(range(1_000_000))
    return lambda: track(*frames[next(count) % 2])


def read_videos(folder: Path) -> Iterator[tuple[str, list[Labels]]]:
    """Yield the name and the labels of each frame of each video."""
    for part in ("train", "test"):
        for video in read_mat(folder / "annolist" / part / "annolist.mat")["annolist"].flat:
            table = video["annopoints"]  # (people, frames)
            yield str(video["name"]), [_labels(table[:, i]) for i in range(table.shape[1])]


def _labels(column: Any) -> Labels:
    points, heads, ids = [], [], []
    for number, cell in enumerate(column):
        if not _full(cell):
            continue
        person, joints = cell.flat[0], np.zeros((len(POINTS), 3))
        for point in person["point"].flat:
            at = POINTS.index(int(point["id"].flat[0]))
            joints[at] = point["x"].flat[0], point["y"].flat[0], 1
        points.append(joints)
        heads.append(np.ravel(person["head_rect"]))
        ids.append(number)
    sizes = head_sizes(np.array(heads, np.float64).reshape(-1, 4))
    return np.array(points).reshape(-1, len(POINTS), 3), sizes, np.array(ids, np.int64)


def _full(cell: Any) -> bool:
    """Return whether a person is labelled in a frame."""
    if getattr(cell, "size", 0) == 0 or not isinstance(cell.flat[0], dict):
        return False
    person = cell.flat[0]
    return bool(np.size(person.get("point", ()))) and np.size(person.get("head_rect", ())) == 4


def perturbed(truth: Doubles, rng: np.random.Generator) -> People:
    """Return the labelled people with 5 px of jitter, 10 % missed, 5 % false ones added."""
    found = truth[rng.random(len(truth)) >= 0.1].copy()
    scores = np.where(found[..., 2] > 0, rng.uniform(0.6, 1, found.shape[:2]), 0)
    false = truth[rng.random(len(truth)) < 0.05].copy()
    false[..., :2] += rng.uniform(-300, 300, (len(false), 1, 2))
    doubt = np.where(false[..., 2] > 0, rng.uniform(0.2, 0.6, (len(false), 1)), 0)
    points = np.concatenate([found, false])[..., :2]
    points += rng.normal(0, 5, points.shape)
    marks = np.concatenate([scores, doubt])
    boxes = np.array([_box(p, s > 0) for p, s in zip(points, marks, strict=True)])
    best = marks.max(1, initial=0)
    return People.of(boxes.reshape(-1, 4), best, points, marks)


def _box(points: Doubles, there: Any) -> Doubles:
    """Return the box of a person's joints, a tenth wider at each edge."""
    low, high = points[there].min(0), points[there].max(0)
    room = (high - low) / 10
    return np.concatenate([low - room, high + room])


def follow(
    track: Tracker, labels: Iterable[Labels], images: list[Path], seed: int, step: int = 1
) -> list[PoseFrame]:
    """Track a video's perturbed labels; frames without images where there are no `images`."""
    rng, result = np.random.default_rng(seed), []
    for index, (truth, heads, names) in enumerate(labels):
        people = perturbed(truth, rng)
        if index % step:
            continue
        image = _picture(images[index]) if images else BLANK
        ids = track(Frame(image, index, index / FPS), people).ids
        keep = ids > 0
        found = np.concatenate([people.keypoints, people.scores[..., None]], 2)[keep]
        result.append(PoseFrame(truth, heads, found.astype(np.float64), names, ids[keep]))
    return result


def _picture(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise SourceError(f"cannot read {path} as an image; give the folder of the Bonn data")
    return np.asarray(image, np.uint8)


def numbers(videos: list[list[PoseFrame]]) -> str:
    """Return PoseTrack's MOTA, IDF1 and switches per 100 person-frames as a row of text."""
    total = sum(joint_tallies(videos, len(POINTS)), Tally())
    idf1 = 2 * total.identity / max(total.objects + total.predictions, 1)
    rate = 100 * total.switches / max(total.objects, 1)
    return f"{100 * total.mota:6.2f} {100 * idf1:6.2f} {rate:8.2f}"


def trackers() -> dict[str, Make]:
    """Return what makes each tracker, by name."""
    ways: tuple[Way, ...] = ("none", "flow", "orb")
    made: dict[str, Make] = {f"poseflow, {way}": partial(_poseflow, way) for way in ways}
    made["poseflow, none, fixed"] = partial(_poseflow, "none", scaled=False)
    made["poseflow-original"] = partial(create_tracker, "poseflow-original", skeleton=BODY, fps=FPS)
    made["oks"] = partial(create_tracker, "oks", skeleton=BODY, fps=FPS)
    return made


def _poseflow(way: Way, scaled: bool = True) -> Tracker:
    return PoseFlowTracker(BODY, FPS, correspondences=way, scaled=scaled)


def print_identities(folder: Path, seeds: int) -> None:
    """Print the identities of each tracker."""
    videos = dict(read_videos(folder))
    clip = next(p for p in sorted((folder / "videos").iterdir()) if p.name in videos)
    images = sorted(clip.glob("*.jpg"))
    print("tracker                     MOTA   IDF1  switches per 100")
    for step in (1, 4, 8):
        print(f"clip {clip.name}, {len(images)} images, one of {step}; {seeds} runs")
        for name, make in trackers().items():
            runs = [follow(make(), videos[clip.name], images, s, step) for s in range(seeds)]
            print(f"{name:25} {numbers(runs)}", flush=True)
    print(f"{len(videos)} videos of labels, no images")
    for name, make in trackers().items():
        if name not in ("poseflow, flow", "poseflow, orb"):  # without images these are as "none"
            runs = [follow(make(), labels, [], 0) for labels in videos.values()]
            print(f"{name:25} {numbers(runs)}", flush=True)


def main() -> None:
    """Print times and, with the data, identities."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bonn", type=Path, default=None, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs for the clip")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    print_times()
    if args.bonn is not None:
        print_identities(args.bonn, args.seeds)


if __name__ == "__main__":
    main()
