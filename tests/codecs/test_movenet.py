"""MoveNet's decoding against what the official graphs computed, and its properties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posewright.codecs import MoveNet, MoveNetMulti
from posewright.codecs.movenet import nearest_joints
from posewright.people import People
from posewright.skeletons import COCO17

RENAMES = {
    "center": "centre",
    "kpt_heatmap": "heatmap",
    "kpt_regress": "regression",
    "kpt_offset": "offset",
    "box_scale": "box_scale",
    "box_offset": "box_offset",
}


def heads(folder: Path, model: str, picture: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The head tensors of one image as our graphs emit them, and the original's final answer."""
    with np.load(folder / model / "reference.npz") as file:
        maps = {
            ours: file[f"{picture}/{theirs}"].transpose(0, 3, 1, 2)
            for theirs, ours in RENAMES.items()
            if f"{picture}/{theirs}" in file
        }
        answer = file[f"{picture}/Identity"]
    for key in ("centre", "heatmap"):
        maps[key] = 1 / (1 + np.exp(-maps[key]))
    return maps, answer


def random_maps(seed: int, views: int = 2, h: int = 12, w: int = 9) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "centre": rng.random((views, 1, h, w), np.float32),
        "heatmap": rng.random((views, 17, h, w), np.float32),
        "regression": rng.normal(0, 3, (views, 34, h, w)).astype(np.float32),
        "offset": rng.random((views, 34, h, w), np.float32),
    }


def test_lightning_maps_decode_to_the_original_answer(reference_dir: Path) -> None:
    maps, answer = heads(reference_dir, "movenet-lightning", "000000000785_192")
    (people,) = MoveNet(input_size=(192, 192)).decode(maps)
    expected = answer[0, 0]  # (17, 3) y, x in 0..1, score
    rounded = 4 / np.float32(np.float16(1 / 48))  # the graph's 1/48 is stored as float16
    assert np.abs(people.keypoints[0] - expected[:, 1::-1] * rounded).max() < 1e-3
    assert np.abs(people.scores[0] - expected[:, 2]).max() < 1e-5


def test_multipose_maps_decode_to_the_original_answer(reference_dir: Path) -> None:
    maps, answer = heads(reference_dir, "movenet-multipose", "000000000785_256")
    (people,) = MoveNetMulti(threshold=-1).decode(maps)
    expected = answer[0]  # (6, 56)
    points = expected[:, :51].reshape(6, 17, 3)
    assert np.abs(people.keypoints - points[..., 1::-1] * 256).max() < 1e-3
    assert np.abs(people.scores - points[..., 2]).max() < 1e-4
    assert np.abs(people.boxes - expected[:, [52, 51, 54, 53]] * 256).max() < 1e-3
    assert np.abs(people.box_scores - expected[:, 55]).max() < 1e-4
    (likely,) = MoveNetMulti().decode(maps)
    assert len(likely) == 1


@given(st.integers(0, 2**31))
def test_unflip_twice_is_the_identity(seed: int) -> None:
    maps = random_maps(seed)
    for codec in (MoveNet(), MoveNetMulti()):
        if codec.kind == "movenet_multi":
            extra = np.random.default_rng(seed).random((2, 2, 2, 12, 9), np.float32)
            maps = {**maps, "box_scale": extra[0], "box_offset": extra[1]}
        again = codec.unflip(codec.unflip(maps, COCO17), COCO17)
        assert all(np.abs(again[k] - maps[k]).max() < 1e-5 for k in maps)


@given(st.integers(0, 2**31))
def test_mirrored_maps_decode_to_mirrored_people(seed: int) -> None:
    codec, rng = MoveNet(input_size=(36, 48)), np.random.default_rng(seed)
    maps = random_maps(seed, views=1)
    for key in ("centre", "heatmap"):  # one clear cell each, so that the mirror has no ties
        maps[key] *= 1e-3
    maps["centre"][0, 0, rng.integers(12), rng.integers(9)] = 1
    maps["heatmap"][0, np.arange(17), rng.integers(0, 12, 17), rng.integers(0, 9, 17)] = 1
    (plain,), (mirrored,) = codec.decode(maps), codec.decode(codec.unflip(maps, COCO17))
    back = mirrored.keypoints[:, COCO17.flip_index] * [-1, 1] + [35, 0]
    assert np.abs(back - plain.keypoints).max() < 1e-3
    assert np.array_equal(mirrored.scores[:, COCO17.flip_index], plain.scores)


@given(st.integers(0, 2**31), st.integers(1, 4))
def test_batched_equals_single(seed: int, views: int) -> None:
    maps = random_maps(seed, views)
    together = MoveNet().decode(maps)
    for i, people in enumerate(together):
        (alone,) = MoveNet().decode({k: a[i : i + 1] for k, a in maps.items()})
        assert np.array_equal(alone.keypoints, people.keypoints)
        assert np.array_equal(alone.scores, people.scores)


def test_numpy_equals_torch() -> None:
    torch: Any = pytest.importorskip("torch")
    maps = random_maps(5, 3)
    keys = ("centre", "heatmap", "regression", "offset")
    xy, scores = nearest_joints(*(maps[k] for k in keys), nearness=1.8)
    tensors = [torch.from_numpy(maps[k]) for k in keys]
    txy, tscores = nearest_joints(*tensors, nearness=1.8)
    assert isinstance(txy, torch.Tensor)
    assert np.abs(txy.numpy() - xy).max() < 1e-5 and np.array_equal(tscores.numpy(), scores)
    unflipped = MoveNet().unflip({k: torch.from_numpy(a) for k, a in maps.items()}, COCO17)
    for key, array in MoveNet().unflip(maps, COCO17).items():
        assert np.abs(unflipped[key].numpy() - array).max() < 1e-6


def test_not_finite_is_nobody_and_nobody_is_nobody() -> None:
    maps = random_maps(1, 2)
    maps["offset"][1] = np.nan
    first, second = MoveNet().decode(maps)
    assert len(first) == 1 and len(second) == 0 and second.keypoints.shape == (0, 17, 2)
    assert MoveNet().decode({k: a[:0] for k, a in maps.items()}) == []
    assert MoveNet().warps((10, 10), People.empty(17)) == []
    assert MoveNet().warps((10, 10), None) == []


def test_nearness_and_padding_have_an_effect() -> None:
    maps = random_maps(3, 1)
    near, far = MoveNet(nearness=0.01).decode(maps)[0], MoveNet(nearness=1e9).decode(maps)[0]
    assert not np.array_equal(near.keypoints, far.keypoints)
    best = maps["heatmap"].reshape(17, -1).max(1)
    assert np.allclose(far.scores[0], best)  # a large nearness takes the highest cell
    people = People.of(boxes=[[0, 0, 100, 100]])
    tight, wide = (MoveNet(padding=p).warps((200, 200), people)[0] for p in (1.0, 2.0))
    assert tight.matrix[0, 0] == pytest.approx(2 * wide.matrix[0, 0])


def from_targets(targets: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a network emits that is right at the cells of the targets and about the centres."""
    views, joints, h, w = targets["heatmap"].shape
    maps = {key: targets[key] for key in ("centre", "heatmap")}
    ys, xs = np.divmod(np.arange(h * w), w)
    regression, offset = (np.zeros((views, joints, 2, h * w), np.float32) for _ in range(2))
    for view, slot, joint in zip(*np.nonzero(targets["weight"]), strict=True):
        cell, to = targets["cell"][view, slot], targets["joint_cell"][view, slot, joint]
        near = np.maximum(abs(ys - ys[cell]), abs(xs - xs[cell])) < 5
        way = np.stack([ys[to] - ys, xs[to] - xs])
        assert way[:, cell].tolist() == targets["regression"][view, slot, joint].tolist()
        regression[view, joint][:, near] = way[:, near]
        offset[view, joint, :, to] = targets["offset"][view, slot, joint]
    for key, array in (("regression", regression), ("offset", offset)):
        maps[key] = array.reshape(views, 2 * joints, h, w)
    for key in ("box_scale", "box_offset"):
        if key in targets:
            array = np.zeros((views, 2, h * w), np.float32)
            for view, slot in zip(*np.nonzero(targets["person"]), strict=True):
                array[view, :, targets["cell"][view, slot]] = targets[key][view, slot]
            maps[key] = array.reshape(views, 2, h, w)
    return maps


@given(st.integers(0, 2**31))
def test_encoded_people_decode_to_themselves(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, [95, 127], (3, 17, 2)).astype(np.float32)
    codec = MoveNet((96, 128))
    targets = codec.encode(People.of(keypoints=points))
    assert targets["heatmap"].shape == (3, 17, 32, 24) and targets["cell"].shape == (3, 1)
    assert np.allclose(targets["heatmap"].max((2, 3)), 1) and targets["weight"].all()
    for i, people in enumerate(codec.decode(from_targets(targets))):
        assert np.abs(people.keypoints[0] - points[i]).max() < 1e-3
        assert np.allclose(people.scores, 1)


def test_encoded_crowd_decodes_to_itself() -> None:
    rng = np.random.default_rng(0)
    corner = np.array([[10, 20], [130, 30], [30, 150], [150, 140]])
    points = (corner[:, None] + rng.uniform(5, 70, (4, 17, 2))).astype(np.float32)
    boxes = np.concatenate([corner, corner + 80], 1)
    crowd = People.of(boxes, None, points, np.ones((4, 17)))
    codec = MoveNetMulti(slots=5)
    targets = codec.encode(crowd)
    assert targets["person"].tolist() == [[1, 1, 1, 1, 0]]
    assert targets["centre"].shape == (1, 1, 64, 64) and targets["offset"].shape == (1, 5, 17, 2)
    (found,) = codec.decode(from_targets(targets))
    assert len(found) == 4
    order = [int(np.abs(found.boxes - box).sum(1).argmin()) for box in boxes]
    assert np.abs(found.boxes[order] - boxes).max() < 1e-3
    assert np.abs(found.keypoints[order] - points).max() < 1e-3


def test_unlabelled_joints_joints_outside_and_nobody_are_encoded() -> None:
    points = np.array([[[10, 10], [20, 30], [200, 30]]], np.float32)
    people = People.of([[0, 0, 60, 60]], None, points, [[1, 0, 1]])
    targets = MoveNet((96, 128)).encode(people)
    assert targets["weight"].tolist() == [[[1, 0, 0]]]
    assert not targets["heatmap"][0, 1:].any()
    assert targets["cell"][0, 0] == 2 * 24 + 2  # of the only joint inside
    without = MoveNet((96, 128)).encode(People.of([[0, 0, 60, 60]], None, points, [[0, 0, 0]]))
    assert without["cell"][0, 0] == 7 * 24 + 7  # of the box's middle
    nobody = MoveNetMulti((96, 128)).encode(People.empty(17))
    assert nobody["centre"].shape == (1, 1, 32, 24) and not nobody["centre"].any()
    assert not nobody["person"].any() and nobody["heatmap"].shape == (1, 17, 32, 24)
    assert MoveNet().encode(People.empty(17))["heatmap"].shape == (0, 17, 64, 48)


def test_sigma_and_slots_have_an_effect() -> None:
    points = np.array([[[10, 10], [20, 30]], [[50, 50], [90, 120]]], np.float32)
    people = People.of(keypoints=points)
    narrow, wide = (MoveNet((96, 128), sigma=s).encode(people)["heatmap"] for s in (1.0, 3.0))
    assert narrow.sum() < wide.sum()
    one = MoveNetMulti((96, 128), slots=1).encode(people)
    assert one["cell"].shape == (1, 1) and one["box_scale"][0, 0].tolist() == [17.5, 10]
