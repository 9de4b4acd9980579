"""Pose, as a user of the Python interface meets it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from posewright import Pose, Result, SourceError, UsageError
from posewright.cli.demo import CLIP
from posewright.sources import open_source
from posewright.trackers import create_tracker


@pytest.fixture(scope="module")
def pose() -> Pose:
    return Pose()


def test_the_options_make_one_pipeline(pose: Pose, clip_frames: list[np.ndarray]) -> None:
    strict = Pose(min_score=0.9, max_people=1, threads=1, det_score=0.6)
    assert (strict.pipeline.min_score, strict.pipeline.max_people) == (0.9, 1)
    assert strict.model is strict.pipeline.model and strict.skeleton == pose.skeleton
    found = pose.predict(clip_frames[:2], tracker="oks", color="rgb")
    assert found[0].people.ids.max() == 3
    assert pose.pipeline.tracker is None  # a source's tracker is its own
    assert all(len(result) <= 1 for result in strict.predict(clip_frames[:2], color="rgb"))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """One RGB frame of the demo clip, half as large: three people."""
    with open_source(CLIP) as source:
        return cv2.resize(next(iter(source)).image, (544, 960), interpolation=cv2.INTER_AREA)


def test_one_picture_is_one_result(pose: Pose, image: np.ndarray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    result = pose(tmp_path / "a.png")
    assert isinstance(result, Result) and len(result) == 3
    assert result.keypoints.shape == (3, 17, 2) and result.scores.shape == (3, 17)
    assert result.boxes.shape == (3, 4) and result.ids.tolist() == [-1, -1, -1]
    assert result.size == (544, 960) and result.source.endswith("a.png")
    assert result.skeleton["right_wrist"] == 10
    assert result.speed.keys() == {"detect", "pose"}
    drawn = result.plot(boxes=True)
    assert drawn.shape == image.shape and np.abs(drawn.astype(int) - image).max() > 100


def test_colour_order_must_be_said_and_matters(pose: Pose, image: np.ndarray) -> None:
    with pytest.raises(UsageError, match="rgb"):
        pose(image)
    right, wrong = pose(image, color="rgb"), pose(image[..., ::-1], color="bgr")
    assert np.array_equal(right.keypoints, wrong.keypoints)
    swapped = pose(image, color="bgr")
    assert swapped.keypoints.shape != right.keypoints.shape or not np.array_equal(
        swapped.keypoints, right.keypoints
    )


def test_several_pictures_are_a_list(pose: Pose, image: np.ndarray) -> None:
    results = pose([image, image[::2, ::2].copy()], color="rgb")
    assert [len(r) for r in results] == [3, 3] and [r.frame for r in results] == [0, 1]
    assert results[0].image is None  # a list of results keeps no images unless asked
    kept = pose.predict([image, image], color="rgb", keep_images=True)
    assert all(r.image is not None for r in kept)


def test_stream_is_lazy_and_a_context_manager(pose: Pose) -> None:
    before = threading.active_count()
    with pose.stream(CLIP, tracker="oks", keep_images=False) as results:
        first = list(islice(results, 6))
    assert [r.frame for r in first] == list(range(6))
    assert set(first[0].ids) == set(first[-1].ids) and min(first[0].ids) == 1
    assert threading.active_count() <= before


def test_a_tracker_is_an_object_of_its_own(pose: Pose) -> None:
    tracker = create_tracker("oks", skeleton=pose.skeleton)
    with pose.stream(CLIP, tracker=tracker, keep_images=False) as results:
        ids = {int(i) for r in islice(results, 3) for i in r.ids}
    tracker.reset()
    with pose.stream(CLIP, tracker=tracker, keep_images=False) as results:
        again = {int(i) for r in islice(results, 3) for i in r.ids}
    assert len(ids) == 3 and not ids & again  # ids are never used twice


def test_one_model_serves_many_threads(pose: Pose, image: np.ndarray) -> None:
    expected = pose(image, color="rgb").keypoints
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: pose(image, color="rgb").keypoints, range(16)))
    assert all(np.array_equal(expected, f) for f in found)


def test_predict_to_writes_files(pose: Pose, image: np.ndarray, tmp_path: Path) -> None:
    seen = []
    summary = pose.predict_to(
        [image, image], tmp_path, save=["jsonl", "coco"], color="rgb", progress=seen.append
    )
    assert summary.frames == 2 and summary.people == 6 and summary.exit_code == 0
    assert {Path(f).name for f in summary.files} == {"poses.jsonl", "coco-results.json"}
    assert [p.done for p in seen] == [1, 2]


def test_explain_shows_heatmaps(pose: Pose, image: np.ndarray) -> None:
    shown = pose.explain(image, color="rgb")
    changed = np.abs(shown.astype(int) - image).max(2) > 20
    assert shown.shape == image.shape and 0.01 < changed.mean() < 0.9
    with pytest.raises(TypeError, match="colour"):
        pose.explain(image, color="rgb", colour="bgr")


def test_boxes_of_ones_own(pose: Pose, image: np.ndarray) -> None:
    whole = Pose(detector="whole-image", min_score=0)
    assert whole(image, color="rgb").boxes.tolist() == [[0, 0, 544, 960]]


def test_what_cannot_be_meant(pose: Pose) -> None:
    with pytest.raises(SourceError, match="no such file"):
        pose("nobody.jpg")
    with pytest.raises(UsageError, match="did you mean 'oks'"):
        Pose(nms="oksnms")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="did you mean 'oks'"):
        pose.predict(CLIP, tracker="okss")
    with pytest.raises(UsageError, match="is a detector"):
        Pose("nanodet-g-person")
    with pytest.raises(TypeError, match="trackr"):
        pose.predict(CLIP, trackr="oks")
