"""MOT, PoseTrack, and the kinds of mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from posewright.evaluation.track_files import read_posetrack
from posewright.metrics.diagnosis import KINDS, joint_table, matched, mistakes, oks_histogram
from posewright.metrics.instances import Detections, Truth
from posewright.metrics.oks import sigmas_of
from posewright.metrics.posetrack import PoseFrame, joint_ap, joint_tallies
from posewright.metrics.tracking import Sight, Tally, box_distances, mot_numbers, tally
from posewright.skeletons import COCO17, POSETRACK15

NAN = np.nan


def sight(truth: list[int], found: list[int], distances: list[list[float]]) -> Sight:
    table = np.array(distances, float).reshape(len(truth), len(found))
    return Sight(np.array(truth, int), np.array(found, int), table)


def test_by_hand() -> None:
    frames = [
        sight([1, 2], [7, 8], [[0.1, NAN], [NAN, 0.2]]),
        sight([1, 2], [7, 8], [[0.4, 0.1], [0.1, 0.4]]),  # both keep theirs, though others fit
        sight([1, 2], [7], [[NAN], [NAN]]),  # two misses, one false
        sight([1, 2], [7, 9], [[0.1, NAN], [NAN, 0.0]]),  # 2 becomes 9
    ]
    counts = tally(frames)
    assert (counts.objects, counts.predictions, counts.matches) == (8, 7, 6)
    assert (counts.misses, counts.false, counts.switches, counts.breaks) == (2, 1, 1, 2)
    assert counts.distance == pytest.approx(1.2) and counts.spans == [0.75, 0.75]
    assert counts.identity == 3 + 2
    numbers = mot_numbers(counts)
    assert numbers["MOTA"] == (8 - 2 - 1 - 1) / 8 and numbers["IDF1"] == 10 / 15
    assert numbers["PT"] == 2 and numbers["MT"] == numbers["ML"] == 0


def test_most_pairs_come_before_least_distance() -> None:
    [(rows)] = [tally([sight([1, 2], [7, 8], [[0.0, 0.4], [0.4, NAN]])])]
    assert rows.matches == 2 and rows.distance == pytest.approx(0.8)


def test_nobody() -> None:
    assert set(mot_numbers(tally([])).values()) == {-1, 0}
    alone = tally([sight([], [3], []), sight([4], [], [])])
    assert mot_numbers(alone)["MOTA"] == -1 and mot_numbers(alone)["IDF1"] == 0
    assert mot_numbers(alone + Tally()) == mot_numbers(alone)


def test_box_distances() -> None:
    boxes = np.array([[0, 0, 10, 10], [100, 0, 10, 10], [0, 0, 0, 0]], float)
    found = np.array([[0, 0, 10, 5], [2, 0, 10, 10]], float)
    table = box_distances(boxes, found)
    assert table[0, 0] == 0.5 and table[0, 1] == pytest.approx(1 / 3)
    assert np.isnan(table[1:]).all()


def pose_frame(truth: np.ndarray, found: np.ndarray, ids: list[int]) -> PoseFrame:
    names = np.arange(len(truth))
    return PoseFrame(truth, np.full(len(truth), 10.0), found, names, np.array(ids, int))


def two_people() -> np.ndarray:
    points = np.zeros((2, 3, 3))
    points[:, :, 0] = np.arange(3) * 100 + np.array([[0], [1000]])
    points[:, :, 2] = 1
    return points


def test_posetrack_by_hand() -> None:
    truth = two_people()
    found = truth.copy()
    found[0, 1, 0] += 5  # as far as a joint may be
    found[0, 2, 0] += 5.1
    found[:, :, 2] = [[0.9] * 3, [0.8] * 3]
    first, second = pose_frame(truth, found, [5, 6]), pose_frame(truth, found[::-1], [5, 6])
    assert joint_ap([first], 3).tolist() == [1, 1, 0.25]  # a false one before the right one
    counts = joint_tallies([[first, second]], 3)
    assert [c.switches for c in counts] == [2, 2, 1]
    assert [c.mota for c in counts] == [0.5, 0.5, (4 - 2 - 2 - 1) / 4]
    apart = joint_tallies([[first], [second]], 3)  # identities end with a sequence
    assert [c.switches for c in apart] == [0, 0, 0]


def test_posetrack_extremes() -> None:
    truth = two_people()
    nobody = np.zeros((0, 3, 3))
    assert joint_ap([pose_frame(truth, nobody, [])], 3).tolist() == [0, 0, 0]
    assert joint_ap([pose_frame(nobody, truth, [1, 2])], 3).tolist() == [-1, -1, -1]
    assert joint_ap([], 3).tolist() == [-1, -1, -1]


def test_posetrack_labels_as_predictions(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "formats" / "posetrack18" / "annotations" / "val"
    sequences = read_posetrack(folder, folder)
    assert len(sequences) == 3
    count = len(POSETRACK15)
    ap = joint_ap([frame for frames in sequences for frame in frames], count)
    assert set(ap.tolist()) <= {1.0, -1.0} and (ap == 1).sum() > 10
    assert {c.mota for c in joint_tallies(sequences, count)} <= {1.0, -1.0}
    file = next(iter(sorted(folder.glob("*.json"))))
    data = json.loads(file.read_text())
    (tmp_path / "found.json").write_text(json.dumps({"annotations": []}))
    [[frame, *_], *_] = read_posetrack(file, tmp_path / "found.json")
    assert len(frame.truth) == len(data["annotations"]) and len(frame.found) == 0


# --- kinds of mistakes ---------------------------------------------------------------------------

SIGMAS = sigmas_of(COCO17)


def people() -> tuple[Truth, Detections]:
    """Two people of one image side by side, 17 joints on a line, found exactly."""
    points = np.zeros((2, 17, 3))
    points[:, :, 0] = np.arange(17) * 100 + np.array([[0], [5000]])
    points[:, :, 2] = 2
    boxes, cells = np.array([[0, 0, 1600, 10], [5000, 0, 1600, 10.0]]), np.zeros(2, int)
    no = np.zeros(2, bool)
    truth = Truth(cells, points, boxes, np.full(2, 10000.0), no, no)
    return truth, Detections(cells, np.array([0.9, 0.8]), points.copy(), boxes, np.full(2, 1e4))


def test_each_kind_of_mistake() -> None:
    truth, found = people()
    scale = 2 * SIGMAS * 100  # distance in which similarity falls to exp(-1/2)
    moves = {0: 0.5, 1: 1.0}  # exp(-.125) = .88: good; exp(-.5) = .61: jitter
    for joint, move in moves.items():
        found.keypoints[0, joint, 1] += move * scale[joint]
    found.keypoints[0, 5, 0] = truth.keypoints[0, 6, 0]
    found.keypoints[0, 7, :2] = truth.keypoints[1, 7, :2]
    found.keypoints[0, 9, 1] = 3000
    kinds, rows = mistakes(truth, found, SIGMAS)
    assert rows.tolist() == [0, 1] and set(kinds[1].tolist()) == {0}
    names = {joint: KINDS[kinds[0, joint]] for joint in (0, 1, 5, 7, 9)}
    assert names == {0: "good", 1: "jitter", 5: "inversion", 7: "swap", 9: "miss"}
    table = joint_table(truth, found, SIGMAS)
    assert table.sum(1) == pytest.approx(1) and table[9].tolist() == [0.5, 0, 0, 0, 0.5]


def test_people_whom_nobody_found_are_missed() -> None:
    truth, found = people()
    truth.keypoints[:, 3, 2] = 0
    assert joint_table(truth, found[:1], SIGMAS)[0].tolist() == [0.5, 0, 0, 0, 0.5]
    assert joint_table(truth, found[:0], SIGMAS)[0].tolist() == [0, 0, 0, 0, 1]
    assert joint_table(truth, found, SIGMAS)[3].tolist() == [-1] * 5
    chosen, likeness = matched(truth, found[:1], SIGMAS)
    assert chosen.tolist() == [0, -1] and likeness.tolist() == [1, 0]
    assert oks_histogram(truth, found[:1], SIGMAS, 4).tolist() == [1, 0, 0, 1]


def test_matches_are_rows_of_what_was_given() -> None:
    truth, found = people()
    chosen, likeness = matched(truth, found[np.array([1, 0])], SIGMAS)
    assert chosen.tolist() == [1, 0] and likeness.tolist() == [1, 1]
