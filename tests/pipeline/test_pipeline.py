"""estimate() and Pipeline with networks made of a few lines of numpy."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from posewright.errors import UsageError
from posewright.people import Frame, People
from posewright.pipeline.estimate import estimate, estimate_all
from posewright.pipeline.pipeline import Pipeline
from posewright.trackers import create_tracker
from tests.helpers.spots import TWO, Known, SpotModel


def picture(*spots: tuple[int, int, int], size: tuple[int, int] = (200, 150)) -> np.ndarray:
    """A black image with (x, y, channel) spots of 5 by 5 pixels."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y, channel in spots:
        image[y - 2 : y + 3, x - 2 : x + 3, channel] = 255
    return image


def clip(count: int) -> Iterator[Frame]:
    """A person who walks to the right, two pixels a frame."""
    for i in range(count):
        spots = (40 + 2 * i, 50, 0), (60 + 2 * i, 70, 2)
        yield Frame(picture(*spots), i, i / 30, "clip")


def walker(count: int) -> Known:
    return Known({i: [[20 + 2 * i, 20, 80 + 2 * i, 100]] for i in range(count)})


def test_estimate_returns_image_pixels() -> None:
    frame = Frame(picture((50, 60, 0), (80, 90, 2)))
    people = People.of(boxes=[[30, 30, 110, 130]], box_scores=[0.7], ids=[5])
    found = estimate(SpotModel(), frame, people)
    assert np.abs(found.keypoints[0] - [[50, 60], [80, 90]]).max() < 4  # a spot is 5 px wide
    assert found.ids.tolist() == [5] and found.box_scores.tolist() == [np.float32(0.7)]
    assert np.array_equal(found.boxes, people.boxes)


def test_nobody_stays_nobody() -> None:
    model = SpotModel()
    frame = Frame(picture())
    for people in (None, People.empty(2), People.empty(0)):
        found = estimate(model, frame, people)
        assert len(found) == 0 and found.keypoints.shape == (0, 2, 2)
    assert model.batches == []


def test_batched_equals_single() -> None:
    frames = list(clip(5))
    boxes = [walker(5).people(frame) for frame in frames]
    together = estimate_all(SpotModel(), frames, boxes, batch=3)
    singly = [estimate(SpotModel(), f, b) for f, b in zip(frames, boxes, strict=True)]
    for a, b in zip(together, singly, strict=True):
        assert np.array_equal(a.keypoints, b.keypoints)


def test_flip_doubles_the_views_and_agrees_for_a_symmetric_model() -> None:
    model, frame = SpotModel(), Frame(picture((50, 60, 0), (80, 90, 2)))
    people = People.of(boxes=[[30, 30, 110, 130]])
    plain, flipped = estimate(model, frame, people), estimate(model, frame, people, flip=True)
    assert len(model.batches) == 3
    assert np.abs(plain.keypoints - flipped.keypoints).max() < 5


def test_a_view_with_nan_is_one_person_less() -> None:
    frame = Frame(picture((50, 60, 0), (80, 90, 2)))
    people = People.of(boxes=[[30, 30, 110, 130], [0, 0, 100, 140]], ids=[1, 2])
    found = estimate(SpotModel(broken=True), frame, people)
    assert found.ids.tolist() == [2]
    assert np.isfinite(found.keypoints).all()


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("window", [1, 3])
def test_results_come_in_order_whatever_the_threads(threads: int, window: int) -> None:
    pipeline = Pipeline(SpotModel(), walker(20), threads=threads, window=window)
    results = list(pipeline.run(clip(20)))
    assert [r.frame for r in results] == list(range(20))
    x = np.array([r.keypoints[0, 0, 0] for r in results])
    assert np.abs(x - (40 + 2 * np.arange(20))).max() < 4


def test_memory_is_bounded_by_threads_and_window() -> None:
    taken = 0

    def frames() -> Iterator[Frame]:
        nonlocal taken
        for frame in clip(60):
            taken += 1
            yield frame

    pipeline = Pipeline(SpotModel(), walker(60), threads=2, window=2)
    results = pipeline.run(frames())
    ahead = []
    for done, _ in enumerate(results, 1):
        time.sleep(0.001)
        ahead.append(taken - done)
    assert max(ahead) <= (2 + 1) * 2 + 2


def test_frames_that_could_not_be_read_pass_through() -> None:
    frames = [*clip(2), Frame.failed("bad.jpg", "cut short", index=2), *clip(1)]
    results = list(Pipeline(SpotModel(), walker(2), threads=2).run(frames))
    assert [r.status for r in results] == ["ok", "ok", "decode_error", "ok"]
    assert results[2].message == "cut short" and len(results[2]) == 0


def test_tracker_is_called_on_every_frame_and_ids_hold() -> None:
    boxes = walker(12)
    boxes.boxes[5] = []  # the detector misses one frame
    tracker = create_tracker("oks", skeleton=TWO)
    results = list(Pipeline(SpotModel(), boxes, tracker=tracker, threads=2).run(clip(12)))
    ids = [r.ids.tolist() for r in results]
    assert ids[5] == [] and ids[4] == ids[6] == ids[11] and len(ids[11]) == 1


def test_det_every_follows_the_tracker_between_detections() -> None:
    boxes = walker(12)
    tracker = create_tracker("oks", skeleton=TWO)
    pipeline = Pipeline(SpotModel(), boxes, tracker=tracker, det_every=4, threads=2)
    results = list(pipeline.run(clip(12)))
    assert boxes.asked == [0, 4, 8]
    assert all(len(r) == 1 for r in results)
    x = np.array([r.keypoints[0, 0, 0] for r in results])
    assert np.abs(x - (40 + 2 * np.arange(12))).max() < 5
    assert len({int(r.ids[0]) for r in results}) == 1


def test_min_score_and_max_people() -> None:
    dim = picture((50, 60, 0), (80, 90, 2)) // 2
    boxes = Known({0: [[30, 30, 110, 130], [20, 20, 120, 140]]})
    low = Pipeline(SpotModel(), boxes, min_score=0.6).run([Frame(dim)])
    assert len(next(low)) == 0
    one = Pipeline(SpotModel(), boxes, max_people=1).run([Frame(dim)])
    assert len(next(one)) == 1


def test_det_every_without_tracker_or_detector_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="tracker"):
        Pipeline(SpotModel(), walker(1), det_every=2)
    with pytest.raises(UsageError, match="detector"):
        Pipeline(SpotModel(), tracker=create_tracker("oks", skeleton=TWO), det_every=2)
    with pytest.raises(UsageError, match="at least 1"):
        Pipeline(SpotModel(), walker(1), det_every=0)


def test_a_failure_inside_a_thread_reaches_the_caller() -> None:
    class Broken(Known):
        def people(self, frame: Frame) -> People:
            raise UsageError("no such box")

    with pytest.raises(UsageError, match="no such box"):
        list(Pipeline(SpotModel(), Broken({}), threads=2).run(clip(3)))


def test_several_threads_share_the_work() -> None:
    class Slow(SpotModel):
        def __call__(self, views: np.ndarray) -> dict[str, np.ndarray]:
            time.sleep(0.01)
            return super().__call__(views)

    model = Slow()
    list(Pipeline(model, walker(16), threads=2, window=2).run(clip(16)))
    assert len(model.threads) == 2
