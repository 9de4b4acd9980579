"""The network that expects the OKS of poses: its files, and what it changes."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from posewright.codecs.limbs import limb_features
from posewright.errors import ModelError, UsageError
from posewright.evaluation.rescoring import rescored, way_of
from posewright.files.tensors import header_of, read_arrays, write_arrays
from posewright.people import People
from posewright.pipeline import Pipeline
from posewright.runtimes.expected_oks import ExpectedOKS
from posewright.skeletons import COCO17, CROWDPOSE14, HALPE26, Skeleton


def network(skeleton: Skeleton = COCO17, width: int = 8, seed: int = 0) -> ExpectedOKS:
    rng = np.random.default_rng(seed)
    sizes = [{17: 74, 14: 59}[len(skeleton)], width, width, 1]
    layers = []
    for a, b in pairwise(sizes):
        weight = rng.normal(size=(b, a)).astype(np.float32) / 10
        layers.append((weight, np.full(b, 0.3, np.float32)))
    return ExpectedOKS(skeleton, tuple(layers))


def people(joints: int = 17, seed: int = 0) -> People:
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 300, (4, joints, 2)).astype(np.float32)
    return People.of(None, [0.9, 0.5, 0.7, 0.2], points, rng.uniform(0, 1, (4, joints)))


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14])
def test_oks_by_hand(skeleton: Skeleton) -> None:
    net, some = network(skeleton), people(len(skeleton))
    found = net(some)
    for i in range(len(some)):
        x = limb_features(some.keypoints[i : i + 1], some.scores[i : i + 1], skeleton)[0]
        x[-len(skeleton) :] *= some.box_scores[i]
        for number, (weight, bias) in enumerate(net.layers):
            x = [sum(w * v for w, v in zip(row, x, strict=True)) for row in weight] + bias
            x = np.maximum(x, 0) if number < 2 else x
        assert found[i] == pytest.approx(min(max(x[0], 0), 1), abs=1e-4)
    assert len(np.unique(found)) > 1
    assert len(net.rescored(People.empty(skeleton))) == 0


def test_features_are_limbs_in_units_of_the_trunk() -> None:
    points = np.zeros((1, 17, 2), np.float32)
    points[0, [5, 6]], points[0, [11, 12]] = (10, 0), (10, 8)  # shoulders and hips 8 px apart
    points[0, 7] = (13, 4)  # an elbow 3, 4 px from its shoulder: limb number 8
    x = limb_features(points, np.full((1, 17), 0.5, np.float32), COCO17)[0]
    np.testing.assert_allclose(x[[16, 17, 38 + 8]], [-3 / 8, -4 / 8, 5 / 8])
    np.testing.assert_allclose(x[-17:], 0.5)
    tiny = limb_features(points / 100, np.zeros((1, 17), np.float32), COCO17)[0]
    np.testing.assert_allclose(tiny[16], -0.03, rtol=1e-5)  # units are 1 px at least


def test_nothing_is_expected_of_poses_beyond_all_numbers() -> None:
    some = people()
    points = some.keypoints.copy()
    points[1, 3] = 3e38
    found = network()(some.replace(keypoints=points))
    assert found[1] == 0 and np.isfinite(found).all() and found[0] == network()(some)[0]


def test_files_keep_everything(tmp_path: Path) -> None:
    net = replace(network(CROWDPOSE14), licence="MIT", origin="here")
    path = net.save(tmp_path / "a.safetensors")
    again = ExpectedOKS.load(path)
    assert (again.skeleton, again.licence, again.origin) == (CROWDPOSE14, "MIT", "here")
    np.testing.assert_array_equal(again(people(14)), net(people(14)))
    theirs = safetensors.numpy.load_file(path)  # the package reads what we write
    np.testing.assert_array_equal(theirs["l2.weight"], net.layers[1][0])
    safetensors.numpy.save_file(theirs, tmp_path / "b.safetensors", {"a": "b"})
    assert header_of(tmp_path / "b.safetensors")[0] == {"a": "b"}
    arrays = read_arrays(tmp_path / "b.safetensors", ["l3.bias"])  # and we what it writes
    np.testing.assert_array_equal(arrays["l3.bias"], theirs["l3.bias"])


def test_broken_files_are_one_line(tmp_path: Path) -> None:
    good = network().save(tmp_path / "good.safetensors").read_bytes()
    size = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + size])
    swapped = {**header, "l1.weight": {**header["l1.weight"], "dtype": "F16"}}
    cases = {
        "empty": b"",
        "short": good[:-4],
        "text": b"{}" * 100,
        "half": good.replace(b"F32", b"F16"),
        "none": good[:8] + b" " * size + good[8 + size :],
        "deep": good[:8] + (b"[" * size) + good[8 + size :],
        "odd": good.replace(b"[74,8]", b"[-1,8]").replace(b"coco17", b"coco99"),
        "type": len(text := json.dumps(swapped).encode()).to_bytes(8, "little") + text,
    }
    for name, content in cases.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(ModelError, match="holds no re-scoring network"):
            ExpectedOKS.load(path)
    with pytest.raises(ModelError, match="cannot read"):
        ExpectedOKS.load(tmp_path / "absent.safetensors")
    layers = dict(read_arrays(tmp_path / "good.safetensors", ["l1.weight", "l1.bias"]))
    write_arrays(tmp_path / "other.safetensors", layers, {})
    with pytest.raises(ModelError, match="holds no re-scoring network"):
        ExpectedOKS.load(tmp_path / "other.safetensors")


def test_layers_that_do_not_fit_are_refused() -> None:
    net = network()
    first, *others = net.layers
    nan = first[0].copy()
    nan[0, 0] = np.nan
    for layers in (net.layers[:2], net.layers[1:], ((nan, first[1]), *others)):
        with pytest.raises(ModelError, match="not the layers"):
            replace(net, layers=layers)
    with pytest.raises(UsageError, match="no limbs"):
        replace(net, skeleton=HALPE26)


class Knowing:
    """A network that finds the same people everywhere."""

    def __init__(self, skeleton: Skeleton = COCO17, task: str = "people") -> None:
        self.codec: Any = self
        self.skeleton, self.info, self.name, self.task = skeleton, self, "knowing", task


def test_the_pipeline_ranks_after_duplicates_are_gone() -> None:
    net, some, model = network(), people(), Knowing()
    pipeline = Pipeline(model, nms=lambda p: p[1:], rescore=net)  # type: ignore[arg-type]
    found = pipeline._clean(some)
    np.testing.assert_allclose(found.box_scores, some.box_scores[1:] * net(some)[1:])
    way, network_ = way_of(net, model)  # type: ignore[arg-type]
    assert network_ is net
    np.testing.assert_allclose(rescored(found, way), found.box_scores * found.pose_scores)


def test_networks_for_other_joints_are_refused() -> None:
    with pytest.raises(UsageError, match="re-scores poses of coco17"):
        way_of(network(), Knowing(CROWDPOSE14))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="refines labelled poses"):
        way_of(network(), Knowing(task="refine"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="or the file of a re-scoring network"):
        way_of("oks.safetensors", Knowing())  # type: ignore[arg-type]
