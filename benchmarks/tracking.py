"""Every tracker on the same people: python benchmarks/tracking.py --data FOLDER [--seeds 3]

Prints the tables of docs/tracking.md: labelled videos with perturbed labels, one clip through the
networks, and scripted scenes.  FOLDER holds bonn_posetrack (annolist and one clip's images).  The
appearance tracker has no network here: in the clip it compares colours, elsewhere it is told who is
who, as tracking_scenes.Looks says.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tracking_scenes import FPS, Names, Outcome, follow, scenes_table, stand_in, title
from tracking_videos import JOINTS, Video, perturbed, read_videos

from posewright.codecs import Embedding
from posewright.errors import PosewrightError
from posewright.metrics.hota import hota, hota_numbers
from posewright.metrics.posetrack import PoseFrame, joint_tallies
from posewright.metrics.tracking import Sight, Tally, box_distances, mot_numbers, tally
from posewright.nms import box_iou
from posewright.people import Frame, People
from posewright.skeletons import COCO17
from posewright.trackers import Tracker, create_tracker, trackers

CLIP = "060470979"
VISIBLE = 0.3  # score from which a joint is said to be found

SHARED = [name for name in JOINTS.joints if name in COCO17.joints]  # the 12 of the limbs


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
        except PosewrightError as error:  # one that needs images
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
    """Read the images of the clip."""
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
