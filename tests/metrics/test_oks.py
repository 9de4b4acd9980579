"""COCO, CrowdPose, OCHuman and COCO-WholeBody keypoints, and COCO boxes."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from posewright.evaluation.coco_files import (
    box_detections,
    read_box_truth,
    read_detections,
    read_entries,
    read_truth,
)
from posewright.metrics.boxes import evaluate_boxes
from posewright.metrics.oks import (
    crowdpose_numbers,
    evaluate_keypoints,
    oks_pairs,
    sigmas_of,
)
from posewright.skeletons import COCO17, COCO133, CROWDPOSE14

SIGMAS = sigmas_of(COCO17)


@pytest.fixture(scope="module")
def reference(data_dir: Path) -> Path:
    return data_dir / "eval_reference"


def ours(labels: Path, found: Path) -> list[float]:
    truth = read_truth(labels, 17)
    numbers = evaluate_keypoints(truth.truth, read_detections(found, truth), SIGMAS).numbers
    assert " ".join(numbers) == "AP AP50 AP75 APM APL AR AR50 AR75 ARM ARL"
    return list(numbers.values())


def theirs(labels: Path, found: Path, kind: str = "keypoints") -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(labels))
        scores = COCOeval(truth, truth.loadRes(str(found)), kind)
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
    return [float(s) for s in scores.stats]


def test_sigmas_are_those_of_pycocotools() -> None:
    assert (COCOeval(iouType="keypoints").params.kpt_oks_sigmas == SIGMAS).all()


def test_whole_body_in_one_list(reference: Path, tmp_path: Path) -> None:
    stem = str(reference / "xtcocotools" / "cocowholebody_official_example_")
    labels = read_truth(stem + "gt.json", len(COCO133), whole_body=True)
    split = json.loads(Path(stem + "pred.json").read_text())
    fields = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
    flat = [
        {
            "image_id": e["image_id"],
            "score": e["score"],
            "keypoints": [x for f in fields for x in e[f]],
        }
        for e in split
    ]
    (tmp_path / "flat.json").write_text(json.dumps(flat))
    a = read_detections(stem + "pred.json", labels, whole_body=True)
    b = read_detections(tmp_path / "flat.json", labels, whole_body=True)
    assert (a.keypoints == b.keypoints).all() and (a.scores == b.scores).all()


def perturbed(labels: Path, noise: float, seed: int = 0) -> list[dict[str, Any]]:
    """Everybody with joints, moved by `noise` px times a normal number."""
    rng = np.random.default_rng(seed)
    data = json.loads(labels.read_text())
    entries = []
    for person in data["annotations"]:
        if person["num_keypoints"]:
            points = np.array(person["keypoints"], float).reshape(-1, 3)
            points[:, :2] += rng.normal(0, 1, points[:, :2].shape) * noise
            entry = {"image_id": person["image_id"], "category_id": 1, "score": rng.random()}
            entries.append({**entry, "keypoints": points.ravel().tolist()})
    return entries


def test_crowdpose_labels_as_predictions(reference: Path, tmp_path: Path) -> None:
    path = reference / "crowdpose" / "crowdpose_val.json"
    labels, got = read_truth(path, 14), []
    for noise in (0, 3, 12):
        (tmp_path / "found.json").write_text(json.dumps(perturbed(path, noise)))
        found = read_detections(tmp_path / "found.json", labels)
        got.append(
            crowdpose_numbers(labels.truth, found, sigmas_of(CROWDPOSE14), labels.crowd_index)
        )
    assert got[0]["AP"] > 0.99 and got[0]["AR"] > 0.99
    assert got[0]["AP"] > got[1]["AP"] > got[2]["AP"] > 0
    kinds = np.digitize(labels.crowd_index, [0.2, 0.8])
    assert set(kinds.tolist()) == {0, 1, 2}
    assert all(got[1][f"AP_{kind}"] > 0.3 for kind in ("easy", "medium", "hard"))


def test_ochuman_labels_as_predictions(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "formats" / "ochuman" / "test_ochuman.json"
    (tmp_path / "found.json").write_text(json.dumps(perturbed(path, 10)))
    assert ours(path, tmp_path / "found.json") == theirs(path, tmp_path / "found.json")


def random_set(seed: int, folder: Path, boxes: bool = False) -> tuple[Path, Path]:
    """People and detections with crowds, people without joints, equal scores and likenesses."""
    rng = np.random.default_rng(seed)
    images = int(rng.integers(1, 12))
    kinds = 3 if boxes else 1
    truth, found = [], []
    for image in range(images + 1):
        if image == images and seed % 2:  # an image without anybody
            break
        for _ in range(int(rng.integers(0, 7))):
            size = float(rng.choice([20, 60, 200]))
            points = np.c_[
                rng.uniform(0, 1, (17, 2)) * size + rng.uniform(0, 300, 2),
                rng.choice([0, 1, 2], 17),
            ].round(1)
            points[:, 2] *= rng.random() < 0.85
            low, high = points[:, :2].min(0), points[:, :2].max(0)
            truth.append(
                {
                    "id": len(truth) + 1,
                    "image_id": image * 7 + 1,
                    "category_id": int(rng.integers(kinds)) + 1,
                    "iscrowd": int(rng.random() < 0.15),
                    "num_keypoints": int((points[:, 2] > 0).sum()),
                    "area": float(np.prod(high - low) * rng.uniform(0.3, 0.9)),
                    "bbox": [*low.tolist(), *(high - low).tolist()],
                    "keypoints": points.ravel().tolist(),
                }
            )
        for twin in [t for t in truth if t["image_id"] == image * 7 + 1 and rng.random() < 0.2]:
            truth.append({**twin, "id": len(truth) + 1, "iscrowd": int(rng.random() < 0.3)})
        mine = [t for t in truth if t["image_id"] == image * 7 + 1]
        for _ in range(int(rng.integers(0, 45))):
            near = mine[int(rng.integers(len(mine)))] if mine else None
            points = np.array(near["keypoints"] if near else rng.uniform(0, 300, 51)).reshape(17, 3)
            points = points + rng.choice([0, 0.02, 0.06, 0.3]) * rng.normal(0, 60, (17, 3))
            low, high = points[:, :2].min(0), points[:, :2].max(0)
            entry = {
                "image_id": image * 7 + 1,
                "score": float(np.round(rng.random(), 1)),
                "category_id": near["category_id"] if near and rng.random() < 0.9 else 1,
                "keypoints": points.ravel().tolist(),
            }
            if boxes or seed % 3 == 0:
                entry["bbox"] = [*low.tolist(), *(high - low).tolist()]
            found.append(entry)
    data = {
        "images": [{"id": i * 7 + 1, "file_name": f"{i}.jpg"} for i in range(images + 1)],
        "annotations": truth,
        "categories": [{"id": k + 1, "name": "person" if k == 0 else str(k)} for k in range(kinds)],
    }
    files = folder / f"gt{seed}.json", folder / f"dt{seed}.json"
    for file, content in zip(files, (data, found), strict=True):
        file.write_text(json.dumps(content))
    return files


@pytest.mark.parametrize("seed", range(40))
def test_key_points_equal_pycocotools_to_the_last_bit(seed: int, tmp_path: Path) -> None:
    labels, found = random_set(seed, tmp_path)
    if len(json.loads(found.read_text())) == 0:
        pytest.skip("pycocotools needs a detection")
    assert ours(labels, found) == theirs(labels, found)


@pytest.mark.parametrize("seed", range(100, 115))
def test_boxes_equal_pycocotools_to_the_last_bit(seed: int, tmp_path: Path) -> None:
    paths = random_set(seed, tmp_path, boxes=True)
    labels = read_box_truth(paths[0])
    found = box_detections(read_entries(paths[1]), labels, paths[1])
    numbers = evaluate_boxes(labels.truth, found, len(labels.images))
    assert list(numbers.values()) == theirs(*paths, kind="bbox")


def test_oks_by_hand(tmp_path: Path) -> None:
    labels, found = random_set(3, tmp_path)
    truth = read_truth(labels, 17)
    people = read_detections(found, truth)
    pairs = oks_pairs(truth.truth, people, SIGMAS)
    checked = 0
    for d, g, likeness in zip(pairs.found, pairs.truth, pairs.likeness, strict=True):
        label = truth.truth.keypoints[g]
        seen = label[:, 2] > 0
        if seen.any():
            squares = ((people.keypoints[d, :, :2] - label[:, :2]) ** 2).sum(1)
            terms = np.exp(-squares / (8 * SIGMAS**2 * truth.truth.areas[g]))
            assert likeness == pytest.approx(terms[seen].mean(), abs=1e-9)
            checked += 1
    assert checked > 20


def test_nobody_to_find_and_nobody_found(tmp_path: Path) -> None:
    labels, found = random_set(1, tmp_path)
    found.write_text("[]")
    assert ours(labels, found)[:3] == [0, 0, 0]
    data = json.loads(labels.read_text())
    labels.write_text(json.dumps({**data, "annotations": []}))
    assert ours(labels, found) == [-1] * 10
