"""Every tracker on the same people: python benchmarks/tracking.py --data FOLDER [--seeds 3]

Prints the tables of docs/tracking.md: labelled videos with perturbed labels, one clip through the
networks, and scripted scenes.  FOLDER holds bonn_posetrack (annolist and one clip's pictures).  The
appearance tracker has no network here: in the clip it compares colours, elsewhere it is told who is
who, as tracking_scenes.Looks says.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tracking_scenes import BLANK, FPS, Names, Outcome, follow, scenes_table, stand_in, title

from posewright.codecs import Embedding
from posewright.errors import PosewrightError
from posewright.metrics.hota import hota, hota_numbers
from posewright.metrics.posetrack import PoseFrame, joint_tallies
from posewright.metrics.tracking import Sight, Tally, box_distances, mot_numbers, tally
from posewright.nms import box_iou
from posewright.people import Frame, People
from posewright.skeletons import COCO17, Skeleton
from posewright.trackers import Tracker, create_tracker, trackers

CLIP = "060470979"
VISIBLE = 0.3  # score from which a joint is said to be found

# Labelled point ids of MPII in this order; 6 and 7 (mid hip, thorax) are not labelled.
JOINTS = Skeleton(
    "bonn14",
    (
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "neck",
        "head_top",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ),
    (),
    (
        0.089,
        0.087,
        0.107,
        0.107,
        0.087,
        0.089,
        0.079,
        0.05,
        0.062,
        0.072,
        0.079,
        0.079,
        0.072,
        0.062,
    ),
)
PLACES = {number: k for k, number in enumerate([*range(6), *range(8, 16)])}
SHARED = [name for name in JOINTS.joints if name in COCO17.joints]  # the 12 of the limbs


@dataclass(frozen=True)
class Video:
    """F frames of P people: (F, P, 14, 2) px, (F, P, 14) labelled, (F, P) head sizes."""

    name: str
    points: NDArray[np.float32]
    known: NDArray[np.bool_]
    heads: NDArray[np.float32]

    def who(self, frame: int) -> Names:
        """Return the people of a frame with at least three labelled joints."""
        return np.flatnonzero(self.known[frame].sum(1) >= 3)

    def boxes(self, frame: int, who: Names) -> NDArray[np.float32]:
        """Return their boxes: an eighth wider and higher on each side than their joints."""
        points, known = self.points[frame, who], self.known[frame, who, :, None]
        low, high = np.where(known, points, np.inf).min(1), np.where(known, points, -np.inf).max(1)
        margin = np.maximum(high - low, 10) / 8
        return np.concatenate([low - margin, high + margin], 1)


def read_videos(folder: Path) -> list[Video]:
    """Read all labelled videos of an annolist folder."""
    from posewright.files.matfile import read_mat

    files = sorted(folder.glob("annolist/*/annolist.mat"))
    return [_video(v) for f in files for v in read_mat(f)["annolist"].ravel()]


def _video(entry: dict[str, Any]) -> Video:
    frames = int(entry["num_frames"].item())
    people = entry["annopoints"].reshape(-1, frames)
    points = np.zeros((frames, len(people), 14, 2), np.float32)
    known, heads = np.zeros(points.shape[:3], bool), np.zeros(points.shape[:2], np.float32)
    for p, row in enumerate(people):
        for f, cell in enumerate(row):
            label = cell[0, 0] if isinstance(cell, np.ndarray) and cell.size else None
            if not isinstance(label, dict):
                continue
            rectangle = label.get("head_rect", np.zeros(0)).ravel()
            if rectangle.size == 4:
                heads[f, p] = 0.6 * np.hypot(*(rectangle[2:] - rectangle[:2]))
            for point in np.ravel(label.get("point", [])):
                k = PLACES.get(int(point["id"].item())) if point["id"].size else None
                if k is not None and point["x"].size:
                    points[f, p, k] = point["x"].item(), point["y"].item()
                    known[f, p, k] = True
    return Video(str(entry["name"]), points, known, heads)


def perturbed(video: Video, rng: np.random.Generator) -> Iterator[tuple[Frame, People, Names]]:
    """Yield what a detector might see: 5 px of jitter, 10 % missed, 5 % false people.

    A tenth of the people score low, as half hidden ones do; joints without a label score next to
    nothing.
    """
    for f in range(len(video.points)):
        everybody = video.who(f)
        who = everybody[rng.random(len(everybody)) >= 0.1]
        n = len(who)
        boxes = video.boxes(f, who) + rng.normal(0, 5, (n, 4))
        known = video.known[f, who]
        middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        points = np.where(known[..., None], video.points[f, who], middle)
        points = points + rng.normal(0, np.where(known[..., None], 5, 20), points.shape)
        low = rng.random(n) < 0.1
        box_scores = np.where(low, rng.uniform(0.15, 0.45, n), rng.uniform(0.5, 0.95, n))
        scores = np.where(known, rng.uniform(0.5, 0.95, (n, 14)), rng.uniform(0, 0.15, (n, 14)))
        people = People.of(boxes, box_scores, points, scores * np.where(low, 0.5, 1)[:, None])
        false = _invented(video, int((rng.random(len(everybody)) < 0.05).sum()), rng)
        people = People.concat([people, false])
        who = np.concatenate([who, np.full(len(false), -1)])
        order = rng.permutation(len(who))
        yield Frame(BLANK, f, f / FPS), people[order], who[order]


def _invented(video: Video, count: int, rng: np.random.Generator) -> People:
    """Return people who are not there, anywhere in the picture."""
    reach = video.points.max((0, 1, 2))
    middle, width = rng.uniform(0, reach, (count, 1, 2)), rng.uniform(30, 120, (count, 1, 1))
    points = middle + rng.uniform(-0.5, 0.5, (count, 14, 2)) * width * [1, 2.2]
    scores = rng.uniform(0.1, 0.6, (count, 14))
    return People.of(None, rng.uniform(0.2, 0.7, count), points, scores)


def sights(video: Video, results: Sequence[People], least: float) -> list[Sight]:
    """Return boxes with identities against the labelled boxes."""
    frames = []
    for f, people in enumerate(results):
        who, people = video.who(f), people[people.ids > 0]
        distances = box_distances(_sides(video.boxes(f, who)), _sides(people.boxes), least)
        frames.append(Sight(who, people.ids, distances))
    return frames


def _sides(boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Corners -> left, top, width, height."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).astype(np.float64)


def videos_table(videos: list[Video], seeds: int) -> Iterator[list[str]]:
    """Yield the rows of the labelled videos."""
    yield [
        "tracker",
        "switches / 100",
        "no id, %",
        "MOTA",
        "IDF1",
        "HOTA",
        "DetA",
        "AssA",
        "ms a frame",
    ]
    for name in trackers():
        try:
            yield [title(name), *_videos_row(name, videos, seeds)]
        except PosewrightError as error:  # one that needs pictures
            yield [name, f"not run: {error}"]


def _videos_row(name: str, videos: list[Video], seeds: int) -> list[str]:
    out = Outcome()
    for seed in range(seeds):
        for number, video in enumerate(videos):
            looks = stand_in(name, seed)
            tracker = create_tracker(name, skeleton=JOINTS, fps=FPS, embed=looks)
            scene = perturbed(video, np.random.default_rng([seed, number]))
            results = follow(tracker, scene, out, looks)
            out.counts += tally(sights(video, results, 0.5))
            out.hota += hota(sights(video, results, 0.0))
    return [
        f"{100 * out.wrong / out.shown:.2f}",
        f"{100 * out.nameless / out.shown:.1f}",
        *_numbers(out),
        f"{1000 * out.seconds / out.frames:.2f}",
    ]


def _numbers(out: Outcome) -> list[str]:
    numbers = mot_numbers(out.counts) | hota_numbers(out.hota)
    return [f"{100 * numbers[key]:.1f}" for key in ("MOTA", "IDF1", "HOTA", "DetA", "AssA")]


# --- the clip ------------------------------------------------------------------------------------


class Labelled:
    """The labelled boxes of a video, in place of a detector."""

    def __init__(self, video: Video) -> None:
        self.video = video

    def people(self, frame: Frame) -> People:
        """Return the boxes of a frame."""
        return People.of(self.video.boxes(frame.index, self.video.who(frame.index)))


def colours(frame: Frame, people: People) -> NDArray[np.float32]:
    """Return (N, 96) colours of 8 x 4 parts of each box, of length 1: no network at all."""
    if not len(people):
        return np.zeros((0, 96), np.float32)
    views = [warp.image(frame.image) for warp in Embedding().warps(frame.size, people)]
    small = [cv2.resize(v, (4, 8), interpolation=cv2.INTER_AREA).ravel() - 127.5 for v in views]
    features = np.stack(small)
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


def clip_frames(folder: Path) -> list[Frame]:
    """Read the pictures of the clip."""
    files = sorted((folder / "videos" / CLIP).glob("*.jpg"))
    images = [cv2.cvtColor(cv2.imread(str(f)), cv2.COLOR_BGR2RGB) for f in files]
    return [Frame(image, n, n / FPS) for n, image in enumerate(images)]


def clip_table(frames: list[Frame], video: Video, boxes: Labelled | None) -> Iterator[list[str]]:
    """Yield the rows of the clip; boxes: the labelled ones, or None for our detector."""
    from posewright import Pose

    pose = Pose()
    pipeline = replace(pose.pipeline, detector=boxes or pose.detector)
    found = [result.people for result in pipeline.run(frames)]
    yield [
        "tracker",
        "PoseTrack MOTA",
        "IDF1 of joints",
        "id switches",
        "no id, %",
        "MOTA of boxes",
        "IDF1",
        "HOTA",
        "DetA",
        "AssA",
        "ms a frame",
    ]
    scene = [(f, p, _true(video, f.index, p)) for f, p in zip(frames, found, strict=True)]
    makers: dict[str, Callable[[], Tracker]] = {
        name: lambda name=name: create_tracker(  # type: ignore[misc]
            name, skeleton=pose.skeleton, fps=FPS, embed=colours
        )
        for name in trackers()
    }
    for name, make in makers.items():
        try:
            out = Outcome()
            shown = f"{name} (colours)" if name == "appearance" else name
            yield [shown, *_clip_row(video, follow(make(), scene, out), out)]
        except PosewrightError as error:
            yield [name, f"not run: {error}"]
    perfect, free = [], 1000
    for _, people, who in scene:  # what no tracker can do better
        perfect.append(people.replace(ids=np.where(who >= 0, who + 1, free + np.arange(len(who)))))
        free += len(who)
    yield ["(true identities)", *_clip_row(video, perfect, Outcome(frames=1, shown=1))]


def _true(video: Video, frame: int, people: People) -> Names:
    """(N,) whom each person overlaps most, both ways round; -1 for nobody."""
    who = video.who(frame)
    overlap = box_iou(video.boxes(frame, who), people.boxes)
    mine = overlap.argmax(0) if len(who) else np.zeros(len(people), int)
    best = overlap == overlap.max(1, keepdims=True, initial=0)
    return np.array(
        [who[t] if best[t, n] and overlap[t, n] >= 0.1 else -1 for n, t in enumerate(mine)], int
    )


def _clip_row(video: Video, results: list[People], out: Outcome) -> list[str]:
    poses = [_pose_frame(video, f, people[people.ids > 0]) for f, people in enumerate(results)]
    joints = mot_numbers(sum(joint_tallies([poses], len(SHARED)), Tally()))
    out.counts, out.hota = tally(sights(video, results, 0.5)), hota(sights(video, results, 0.0))
    return [
        f"{100 * joints['MOTA']:.1f}",
        f"{100 * joints['IDF1']:.1f}",
        str(out.counts.switches),
        f"{100 * out.nameless / out.shown:.1f}",
        *_numbers(out),
        f"{1000 * out.seconds / out.frames:.2f}",
    ]


def _pose_frame(video: Video, frame: int, people: People) -> PoseFrame:
    who = video.who(frame)
    mine, theirs = ([s.joints.index(name) for name in SHARED] for s in (JOINTS, COCO17))
    truth = np.concatenate(
        [video.points[frame, who], video.known[frame, who, :, None]], 2, dtype=np.float64
    )
    scores = people.scores * (people.scores >= VISIBLE)
    found = np.concatenate([people.keypoints, scores[..., None]], 2, dtype=np.float64)
    heads = video.heads[frame, who].astype(np.float64)
    return PoseFrame(truth[:, mine], heads, found[:, theirs], who, people.ids)


def show(title: str, rows: Iterable[list[str]]) -> None:
    """Print a table in markdown."""
    print(f"\n{title}\n", flush=True)
    for number, row in enumerate(rows):
        print(f"| {' | '.join(row)} |", flush=True)
        if number == 0:
            print("|---" * len(row) + "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    folder = args.data / "bonn_posetrack"
    videos = read_videos(folder)
    clip, frames = next(v for v in videos if v.name == CLIP), clip_frames(folder)
    print(f"Measured on {platform.processor() or platform.machine()}, numpy {np.__version__}.")
    show("Scripted scenes: wrong ids (without an id)", scenes_table(list(trackers())))
    show(f"The clip {CLIP}, labelled boxes", clip_table(frames, clip, Labelled(clip)))
    show(f"The clip {CLIP}, our detector", clip_table(frames, clip, None))
    count = sum(len(v.points) for v in videos)
    show(
        f"{len(videos)} videos, {count} frames, {args.seeds} seeds",
        videos_table(videos, args.seeds),
    )


if __name__ == "__main__":
    main()
