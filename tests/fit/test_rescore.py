"""The re-scoring network of DEKR learned: targets, slopes, what it is worth, and who uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posewright.cli import main
from posewright.datasets import open_dataset
from posewright.datasets.formats.coco_out import write_labels
from posewright.datasets.synthetic import synth
from posewright.errors import UsageError
from posewright.fit.rescore import fit_rescoring, loss_and_slopes, read_poses, true_oks
from posewright.metrics.instances import Detections, Truth
from posewright.people import People
from posewright.runtimes.expected_oks import ExpectedOKS
from posewright.skeletons import COCO17, CROWDPOSE14, Skeleton


def found_set(folder: Path, skeleton: Skeleton = COCO17, pictures: int = 60) -> tuple[Path, Path]:
    """Labels, and results of which a third are bad poses whose legs are folded into a point.

    All have random scores, so that only the pose tells.
    """
    rng = np.random.default_rng(3)
    joints = len(skeleton)
    body = rng.uniform(0, 1, (joints, 2)) * [80, 200]
    labels, found = [], []
    for picture in range(1, pictures + 1):
        for person in range(3):
            points = (
                body * rng.uniform(0.7, 1.4) + rng.normal(0, 2, body.shape) + [300 * person, 50]
            )
            row = np.concatenate([points, np.full((joints, 1), 2)], 1)
            box = [*points.min(0).tolist(), *np.ptp(points, axis=0).tolist()]
            common = {"image_id": picture, "category_id": 1}
            labels.append(
                {
                    **common,
                    "id": len(labels) + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "num_keypoints": joints,
                    "keypoints": row.ravel().tolist(),
                }
            )
            if person == 0:
                row[joints // 2 :, :2] = row[0, :2]
            row[:, 2] = rng.uniform(0.4, 0.6, joints)
            score = float(rng.uniform(0.2, 0.4))
            found.append({**common, "keypoints": row.ravel().tolist(), "score": score})
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.joints), "skeleton": []}
    images = [
        {"id": n, "file_name": f"{n}.png", "width": 1000, "height": 500}
        for n in range(1, pictures + 1)
    ]
    paths = folder / "labels.json", folder / "found.json"
    whole = {"images": images, "annotations": labels, "categories": [category]}
    paths[0].write_text(json.dumps(whole))
    paths[1].write_text(json.dumps(found))
    return paths


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14])
def test_bad_poses_are_learned(
    skeleton: Skeleton, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, found = found_set(tmp_path, skeleton)
    out = tmp_path / "oks.safetensors"
    words = ["fit", "rescore", str(labels), "--detections", str(found), "-o", str(out), "--json"]
    assert main([*words, "--epochs", "150"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["poses"] == 180 and told["squared_error"] < 0.02
    # two thirds can be found; in random order, a third of wrong ones among them
    assert told["AP_before"] < 0.55 < 0.65 < told["AP_after"]
    network = ExpectedOKS.load(out)
    assert network.skeleton == skeleton and "180 poses of found.json" in network.origin
    assert main(words) == 4  # the file is there
    capsys.readouterr()


def test_a_fit_is_the_same_in_every_run(tmp_path: Path) -> None:
    labels, found = found_set(tmp_path, pictures=10)
    poses = read_poses(open_dataset(labels), found)
    lines: list[str] = []
    one = fit_rescoring(poses, epochs=20, seed=4, progress=lines.append)
    two, other = (fit_rescoring(poses, epochs=20, seed=seed) for seed in (4, 5))
    assert one.losses == two.losses != other.losses and one.losses[-1] < one.losses[0]
    assert [line.partition(":")[0] for line in lines] == ["epoch 10 of 20", "epoch 20 of 20"]
    with pytest.raises(UsageError, match="no pose lies"):
        fit_rescoring(type(poses)(poses.truth, poses.found[:0], poses.oks[:0], COCO17))


def test_targets_are_those_of_people_who_count() -> None:
    body = np.random.default_rng(0).uniform(0, 100, (17, 2))
    whole = np.concatenate([body, np.full((17, 1), 2.0)], 1)
    bare = np.zeros((17, 3))
    keypoints = np.stack([whole, bare, bare])
    boxes = np.array([[0, 0, 100, 100], [500, 0, 100, 100], [0, 0, 100, 100]], float)
    ignored, cells = np.array([False, True, True]), np.array([0, 0, 1])
    truth = Truth(cells, keypoints, boxes, np.full(3, 6000.0), ignored, np.zeros(3, bool))
    near = whole + np.array([3, 0, 0])
    away = whole + np.array([500, 0, 0])
    cells = np.array([0, 0, 1, 1, 2])
    points = np.stack([near, away, near, whole + np.array([350, 0, 0]), near])
    blank = np.zeros((5, 4))
    found = Detections(cells, np.ones(5), points, blank, blank[:, 0])
    oks = true_oks(truth, found, COCO17)
    sigmas = np.array(COCO17.sigmas)
    assert oks[0] == pytest.approx(np.exp(-9 / (8 * sigmas**2 * 6000)).mean())
    assert oks[1] == pytest.approx(0)  # in a box that does not count, where somebody counts
    assert oks[2] == 0  # inside of the unlabelled box
    assert 0 < oks[3] < 1 and np.isnan(oks[4])  # near it, and on an image without labels


def test_slopes_are_those_of_small_steps() -> None:
    rng = np.random.default_rng(1)
    shapes: list[tuple[int, ...]] = [(6, 5), (6,), (4, 6), (4,), (1, 4), (1,)]
    layers: list[Any] = [rng.normal(size=shape) for shape in shapes]
    x, y = rng.normal(size=(9, 5)), rng.normal(size=9)
    _, slopes = loss_and_slopes(layers, x, y)
    for layer, slope in zip(layers, slopes, strict=True):
        assert slope.shape == layer.shape
        for place in [(0,) * layer.ndim, tuple(side - 1 for side in layer.shape)]:
            before, ends = layer[place], []
            for step in (-1e-5, 1e-5):
                layer[place] = before + step
                ends.append(loss_and_slopes(layers, x, y)[0])
            layer[place] = before
            assert slope[place] == pytest.approx((ends[1] - ends[0]) / 2e-5, rel=1e-3, abs=1e-6)


def test_predict_and_eval_rescore_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels, found = found_set(tmp_path, pictures=10)
    out = tmp_path / "oks.safetensors"
    fit_rescoring(read_poses(open_dataset(labels), found), epochs=5).network.save(out)
    made = synth(tmp_path / "made", 2, 1)
    ann = tmp_path / "made" / "made.json"
    write_labels(made, ann)
    words = ["eval", "coco", "--ann", str(ann), "-m", "movenet-thunder", "--json"]
    told = []
    for more in (["--rescore", str(out)], []):
        result = tmp_path / f"results{len(more)}.json"
        assert main([*words, *more, "-o", str(result)]) == 0
        told.append(json.loads(capsys.readouterr().out)["settings"])
    assert [each["rescored_by"] for each in told] == ["oks.safetensors", "none"]
    new, old = (json.loads((tmp_path / f"results{n}.json").read_text()) for n in (2, 0))
    assert len(new) == len(old) > 0
    network = ExpectedOKS.load(out)
    for a, b in zip(new, old, strict=True):
        assert a["keypoints"] == b["keypoints"]
        joints = np.array(b["keypoints"], np.float32).reshape(1, 17, 3)
        box = b["score"] / joints[..., 2].mean()
        pose = People.of(None, [box], joints[..., :2], joints[..., 2])
        assert a["score"] == pytest.approx(b["score"] * float(network(pose)[0]), rel=1e-3, abs=1e-6)
    picture = str(made.samples[0].image)
    scores = []
    for more in (["--rescore", str(out)], []):
        folder = tmp_path / f"out{len(more)}"
        args = ["predict", picture, "-o", str(folder), "--save", "jsonl", "--progress", "none"]
        assert main([*args, "-d", "whole-image", "--min-score", "0", *more]) == 0
        head, row = map(json.loads, (folder / "poses.jsonl").read_text().splitlines())
        assert head["settings"]["rescore"] == ("oks.safetensors" if more else None)
        scores.append([person["box_score"] for person in row["people"]])
    assert scores[0] != scores[1] and len(scores[0]) == len(scores[1])
    capsys.readouterr()
    assert main([*words, "--rescore", "nothing.safetensors"]) == 2
    assert "or the file of a re-scoring network" in capsys.readouterr().err
