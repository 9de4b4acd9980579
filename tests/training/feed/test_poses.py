"""Poses of another model as what a network learns to refine."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from posewright.augment import Augmentation
from posewright.codecs import PoseFix
from posewright.codecs.mistakes import MISTAKES, with_mistakes
from posewright.datasets import Dataset, Sample
from posewright.datasets.opening import open_dataset
from posewright.errors import SourceError, UsageError
from posewright.losses import loss_for
from posewright.models import PoseModel, registry, variants
from posewright.models.posefix import PIXELS, PoseFixHead
from posewright.people import People
from posewright.recipes.recipe import Recipe
from posewright.skeletons import COCO17, get_skeleton
from posewright.train import train
from posewright.training.feed.feed import Feed
from posewright.training.feed.instances import Instances
from posewright.training.feed.poses import GivenPoses
from tests.helpers.runs import run, same_bytes

CODEC = PoseFix((48, 64))
UNSEEN = [3, 4, 9, 10]  # joints that nobody has labelled


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set") / "made"
    assert run("data", "synth", "-o", folder, "--count", 6) == 0
    path = folder / "annotations.json"
    data = json.loads(path.read_text())
    for entry in data["annotations"]:
        for joint in UNSEEN:
            entry["keypoints"][3 * joint : 3 * joint + 3] = [0, 0, 0]
    path.write_text(json.dumps(data))
    return path


def entries(made: Path, away: float = 5.0) -> list[dict[str, Any]]:
    """Everybody is found, moved by `away`, and joints that nobody labels in the middle."""
    some = []
    for sample in open_dataset(made):
        for box, joints in zip(sample.people.boxes, sample.keypoints, strict=True):
            points = joints + np.float32([away, 0, 0])
            points[UNSEEN, :2] = [(box[:2] + box[2:]) / 2 + k for k in UNSEEN]
            points[:, 2] = 0.5
            some.append(
                {
                    "image_id": sample.image_id,
                    "keypoints": points.ravel().tolist(),
                    "score": 0.5,
                    "bbox": [*map(float, box[:2]), *map(float, box[2:] - box[:2])],
                }
            )
    return some[::-1]  # order tells nothing


@pytest.fixture
def file(made: Path, tmp_path: Path) -> Path:
    path = tmp_path / "found.json"
    path.write_text(json.dumps(entries(made)))
    return path


def fed(made: Path, poses: GivenPoses | None = None, **options: Any) -> Feed:
    data, augment = open_dataset(made), Augmentation(flip=0.5, scale=0.2)
    settings = {"batch": 4, "seed": 1, **options}
    feed = Feed(data, CODEC, COCO17, augment, **settings)
    feed.poses = poses
    return feed


def given(made: Path, file: Path, synthetic: float = 1.0) -> GivenPoses:
    instances = Instances.of(open_dataset(made), True)
    return GivenPoses.read(file, instances, COCO17, synthetic)


def test_each_person_has_the_pose_that_was_found(made: Path, file: Path) -> None:
    instances = Instances.of(open_dataset(made), True)
    poses = given(made, file)
    assert poses.found.all() and poses.points.shape == (len(instances), 17, 2)
    assert instances.truth is not None
    seen = instances.truth.scores > 0
    moved = (instances.truth.keypoints + np.float32([5, 0]))[seen]
    np.testing.assert_allclose(poses.points[seen], moved, atol=1e-4)
    boxes = instances.truth.boxes
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    np.testing.assert_allclose(poses.points[:, 9], middle + 9, atol=1e-3)
    people = len(instances)
    assert f"poses of {people} of {people} people from {file}; 1 of the views" in poses.told


def test_without_synthetic_errors_the_pose_is_given_as_it_is(made: Path, file: Path) -> None:
    poses = given(made, file, 0.0)
    feed = fed(made, poses, train=False)
    instances = feed.instances
    for batch in feed.epoch(0):
        assert batch.condition is not None
        for i, number in enumerate(batch.numbers.tolist()):
            assert instances.truth is not None
            person = instances.truth[number]
            warp = CODEC.warps((1, 1), person)[0]
            pose = warp.people(
                person.replace(
                    keypoints=poses.points[number][None], scores=poses.scores[number][None]
                )
            )
            np.testing.assert_allclose(batch.condition[i], CODEC.condition(pose)[0], atol=1e-2)


def test_unlabelled_joints_are_given_with_mistakes(made: Path, file: Path) -> None:
    def conditions(poses: GivenPoses | None) -> torch.Tensor:
        batches = list(fed(made, poses).epoch(0))
        return torch.cat([b.condition for b in batches if b.condition is not None])

    bare = conditions(None)
    filled, only, half = (conditions(given(made, file, share)) for share in (1.0, 0.0, 0.5))
    seen = [joint for joint in range(17) if joint not in UNSEEN]
    assert not bare[:, UNSEEN].any() and filled[:, UNSEEN].any()
    same = [torch.equal(a, b) for a, b in zip(only, half, strict=True)]
    assert any(same) and not all(same)
    assert not any(torch.equal(a, b) for a, b in zip(only, filled, strict=True))
    assert bare[:, seen].any() and [b.numbers.tolist() for b in fed(made).epoch(0)] == [
        b.numbers.tolist() for b in fed(made, given(made, file)).epoch(0)
    ]


def test_workers_change_nothing(made: Path, file: Path) -> None:
    one, two = (
        [b.condition for b in fed(made, given(made, file, 0.4), workers=w).epoch(2)] for w in (0, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))  # type: ignore[arg-type]


def test_a_guess_gets_mistakes_and_is_no_mirror_image() -> None:
    """Joint 9 is guessed, its mirror image 10 is labelled, and both are far from all others."""
    points = np.arange(17)[:, None] * np.float32([1000, 0])
    person = People.of([[0, 0, 200, 200]], keypoints=points[None])
    guessed = np.zeros((1, 17), bool)
    guessed[:, 9] = True

    def drawn(mask: np.ndarray | None) -> np.ndarray:
        some = (with_mistakes(person, np.random.default_rng(i), COCO17, mask) for i in range(300))
        return np.concatenate([kinds for _, kinds in some])

    plain, kinds, few = drawn(None), drawn(guessed), drawn(guessed | (np.arange(17) < 8))
    inversion, jitter = MISTAKES.index("inversion"), MISTAKES.index("jitter")
    assert not (kinds[:, 10] == inversion).any() and (plain[:, 10] == inversion).any()
    assert (kinds[:, 9] == inversion).any()  # the guess may be put where joint 10 is labelled
    assert (kinds >= 0).all() and len({*kinds[:, 9].tolist()}) > 2
    # of fewer labelled joints more are jittered
    assert (few[:, 11] == jitter).sum() > (plain[:, 11] == jitter).sum()


def test_people_without_a_pose_are_as_before(made: Path, tmp_path: Path) -> None:
    some = entries(made)
    lost = some.pop()
    lost["bbox"][0] += 1000  # somebody else
    (tmp_path / "some.json").write_text(json.dumps([*some, lost]))
    poses = given(made, tmp_path / "some.json")
    assert (~poses.found).sum() == 1
    number = int(np.flatnonzero(~poses.found)[0])
    feed = fed(made)
    people, person = feed.instances.near(number)
    poses.pose(CODEC, number, people, person, np.random.default_rng(5))
    wanted = CODEC.synthesise(people, np.random.default_rng(5), COCO17)[person]
    found = poses.pose(CODEC, number, people, person, np.random.default_rng(5))
    np.testing.assert_array_equal(found.keypoints, wanted.keypoints)


def test_poses_of_other_images_or_joints_are_refused(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps([{**e, "image_id": e["image_id"] + 100} for e in entries(made)]))
    with pytest.raises(SourceError, match="none of its poses is of a person"):
        given(made, path)
    path.write_text(json.dumps([{**e, "keypoints": e["keypoints"][:42]} for e in entries(made)]))
    with pytest.raises(UsageError, match="14 joints, not the 17"):
        given(made, path)
    twice = open_dataset(made)
    samples = [*twice.samples, replace(twice[0], image=Path("copy.png"))]
    instances = Instances.of(Dataset("two", COCO17, tuple(samples)), True)
    path.write_text(json.dumps(entries(made)))
    with pytest.raises(SourceError, match=r"several training images, such as copy\.png"):
        GivenPoses.read(path, instances, COCO17, 1.0)
    hand = get_skeleton("hand21")
    points = np.ones((1, 21, 3))
    sample = Sample.of(twice[0].image, (320, 256), 1, points, [[0, 0, 300, 250]])
    with pytest.raises((UsageError, SourceError)):
        GivenPoses.read(path, Instances.of(Dataset("h", hand, (sample,)), True), hand, 1.0)


# --- runs ----------------------------------------------------------------------------------------


def tiny_posefix(*, input_size: tuple[int, int] = (64, 64), skeleton: str = "coco17") -> PoseModel:
    """Two convolutions and PoseFix's head."""
    layers = [nn.Conv2d(20, 16, 7, 8, 3), nn.ReLU(), nn.Conv2d(16, 16, 3, 4, 1), nn.ReLU()]
    head, codec = PoseFixHead(16, 17, 16), PoseFix(input_size)
    loss = loss_for(codec, COCO17)
    return PoseModel(nn.Sequential(*layers), head, codec, skeleton, loss=loss, pixels=PIXELS)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    variants()
    entry = registry.Variant("tiny_posefix", "tests", tiny_posefix, "none", "", "pose", Recipe())
    monkeypatch.setitem(registry._VARIANTS, entry.name, entry)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield entry.name
    torch.set_num_threads(before)


def recipe(made: Path, model: str, *more: str) -> Recipe:
    settings = ["batch=4", "log_every=1", "val_split=0", "workers=0", "lr=0.002", "warmup=0"]
    return Recipe(model=model, data=(str(made),)).with_overrides([*settings, *more])


def losses(folder: Path) -> list[float]:
    with (folder / "log.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_a_run_learns_from_a_file_and_resumes(
    made: Path, file: Path, tiny: str, tmp_path: Path
) -> None:
    settings = [f"posefix.poses={file}", "posefix.synthetic=0.5", "epochs=12"]
    told: list[str] = []
    whole = train(recipe(made, tiny, *settings), tmp_path / "whole", progress=told.append)
    steps = losses(tmp_path / "whole")
    assert whole.exit_code == 0 and np.mean(steps[-4:]) < 0.9 * np.mean(steps[:4])
    assert any("0.5 of the views with synthetic errors" in line for line in told)

    def stop(line: str) -> None:
        if "  step 7  " in line:
            os.kill(os.getpid(), signal.SIGTERM)

    cut = tmp_path / "cut"
    assert train(recipe(made, tiny, *settings), cut, progress=stop).exit_code == 143
    assert train(recipe(made, tiny, *settings), cut, resume=True).exit_code == 0
    assert losses(cut) == steps
    assert same_bytes(cut / "last.safetensors", tmp_path / "whole" / "last.safetensors")
    plain = train(recipe(made, tiny, "epochs=12"), tmp_path / "plain")
    assert plain.exit_code == 0 and losses(tmp_path / "plain") != steps


def test_other_poses_are_told_when_a_run_resumes(
    made: Path, file: Path, tiny: str, tmp_path: Path
) -> None:
    settings, out, told = [f"posefix.poses={file}", "epochs=1"], tmp_path / "run", list[str]()
    assert train(recipe(made, tiny, *settings), out).exit_code == 0
    file.write_text(json.dumps(entries(made, 8.0)))
    longer = recipe(made, tiny, *settings, "epochs=2")
    assert train(longer, out, resume=True, progress=told.append).exit_code == 0
    assert any("resumed with different poses" in line for line in told)


def test_settings_without_an_effect_are_refused(made: Path, file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"posefix.synthetic has no effect without posefix.poses"):
        recipe(made, "posefix_r50", "posefix.synthetic=0.5")
    with pytest.raises(UsageError, match="must be a number from 0 to 1"):
        recipe(made, "posefix_r50", f"posefix.poses={file}", "posefix.synthetic=2")
    other = recipe(made, "movenet_fire717", "options.input_size=[64,64]", f"posefix.poses={file}")
    with pytest.raises(UsageError, match="movenet_fire717, which refines no poses"):
        train(other, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert Recipe().posefix.poses == "" and Recipe().posefix.synthetic == 1
