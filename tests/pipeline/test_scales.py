"""Multi-scale tests: equal to averaging by hand, in every runtime, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from posewright import Pose
from posewright.cli import main
from posewright.codecs import DEKR, AdaptivePose, YoloPose
from posewright.codecs.yolox import RTMO
from posewright.datasets.formats.coco_out import write_labels
from posewright.datasets.synthetic import synth
from posewright.errors import UsageError
from posewright.people import Frame, People
from posewright.pipeline.estimate import Faults, estimate_all
from posewright.pipeline.scales import AtScales, scaled_codec, scaled_warp
from posewright.runtimes import load_model
from posewright.runtimes.info import METADATA_KEY, ModelInfo
from posewright.skeletons import COCO17, CROWDPOSE14, Skeleton
from posewright.warp import Warp
from tests.helpers.networks import rtmo_graph


def frame(seed: int = 0, size: tuple[int, int] = (150, 100)) -> Frame:
    small = np.random.default_rng(seed).integers(0, 256, (10, 15, 3), np.uint8)
    return Frame(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))


class Network:
    """A network of one layer: outputs are linear functions of every fourth pixel."""

    def __init__(self, codec: Any, skeleton: Skeleton, widths: dict[str, int]) -> None:
        rng = np.random.default_rng(1)
        self.codec, self.skeleton = codec, skeleton
        self.info, self.runtime, self.only_size = SimpleNamespace(name="linear"), "none", None
        self.weights = {k: rng.normal(size=(3, n)).astype(np.float32) for k, n in widths.items()}

    def __call__(self, views: np.ndarray, condition: object = None) -> dict[str, np.ndarray]:
        cells = views[:, ::4, ::4].astype(np.float32) / np.float32(255)
        found = {k: (cells @ w).transpose(0, 3, 1, 2) for k, w in self.weights.items()}
        return found | ({"offset": 6 * found["offset"]} if "offset" in found else {})


def dekr(skeleton: Skeleton = COCO17, **fields: Any) -> Any:
    count = len(skeleton)
    codec = DEKR(input_size=(64, 64), max_people=12, **fields)
    return Network(codec, skeleton, {"heatmap": count + 1, "offset": 2 * count})


def by_hand(model: Any, image: np.ndarray, scales: list[float], flip: bool) -> list[Any]:
    """Return (score, keypoints, joint scores) of each person, as DEKR's authors test.

    Maps are enlarged to the pixels of the view at scale 1 and averaged there.
    """
    codec, sign = model.codec, 1 if model.codec.outward else -1
    (warp,) = codec.warps((image.shape[1], image.shape[0]), None)
    joints, (w, h) = len(model.skeleton), warp.size
    total, tops, candidates = np.zeros((joints, h, w)), {}, []
    for scale in sorted(scales, reverse=True):
        size = [int(np.ceil(side * scale / 32)) * 32 for side in warp.size]
        view = cv2.warpAffine(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), warp.matrix * scale, size)[
            ..., :3
        ]
        out = {k: v[0] for k, v in model(view[None]).items()}
        offset = out["offset"].reshape(joints, 2, *out["offset"].shape[1:])
        maps = out["heatmap"]
        if flip:
            turned = {k: v[0] for k, v in model(view[None, :, ::-1]).items()}
            order, columns = model.skeleton.flip_index, -np.arange(maps.shape[2])
            back = turned["offset"].reshape(offset.shape)[order][..., columns]
            back = np.stack([-sign * 0.25 - back[:, 0], back[:, 1]], 1)
            maps = (maps + turned["heatmap"][[*order, joints]][..., columns]) / 2
            offset = (offset + back) / 2
        x, y = np.arange(w) * scale / 4, np.arange(h) * scale / 4
        for k in range(joints):
            wide = np.array([np.interp(x, np.arange(maps.shape[2]), row) for row in maps[k]])
            high = np.array([np.interp(y, np.arange(maps.shape[1]), row) for row in wide.T])
            total[k] += high.T / len(scales)
        peaks = []
        for row, column in np.ndindex(maps.shape[1:]):
            patch = maps[-1, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            if maps[-1, row, column] == patch.max() > codec.threshold:
                points = np.array([column, row]) + sign * offset[:, :, row, column]
                peaks.append((maps[-1, row, column], points * 4 / scale))
        peaks = sorted(peaks, key=lambda peak: -peak[0])[: codec.max_people]
        tops[scale] = peaks[0][0] if peaks else 1
        candidates += [(scale, *peak) for peak in peaks]
    people = []
    for scale, peak, points in candidates:
        at = np.clip(np.floor(points).astype(int), 0, [w - 1, h - 1])
        heat = total[np.arange(joints), at[:, 1], at[:, 0]]
        score = peak if scale == 1 else peak / tops[scale] * tops[1] * 0.9
        people.append((score, points, heat))
    return distinct(people, codec.max_people)


def distinct(people: list[Any], most: int) -> list[Any]:
    """Of people with more than 8 joints within .15 of the diagonal, keep the one with most heat."""
    gone: set[int] = set()
    kept = []
    for i, (_, points, _) in enumerate(people):
        reach = 0.15 * np.sqrt(np.square(np.ptp(points, 0)).sum())
        near = [np.linalg.norm(points - p, axis=1) < reach for _, p, _ in people]
        alike = [j for j, n in enumerate(near) if n.sum() > 8]
        best = max(alike, key=lambda j: people[j][2].mean())
        if i not in gone and best not in gone:
            kept.append(best)
            gone |= {*alike}
    kept = sorted(kept, key=lambda j: -people[j][2].mean())[:most]
    clipped = [(np.clip(people[j][0], 0, 1), people[j][1], people[j][2].clip(0, 1)) for j in kept]
    return sorted(clipped, key=lambda p: -p[0] * p[2].mean())


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("skeleton", "outward", "scales"),
    [
        (COCO17, False, [0.5, 1, 2]),
        (CROWDPOSE14, False, [1, 0.75]),
        (COCO17, True, [1.3, 0.5, 1, 0.25]),
    ],
)
def test_dekr_equals_averaging_by_hand(
    skeleton: Skeleton, outward: bool, scales: list[float], flip: bool
) -> None:
    model, picture = dekr(skeleton, outward=outward), frame(3)
    (found,) = AtScales(tuple(scales))(model, [picture], flip=flip)
    expected = by_hand(model, picture.image, scales, flip)
    assert len(found) == len(expected) > 5
    (warp,) = model.codec.warps(picture.size, None)
    seen = warp.points(found.keypoints)
    for i, (score, points, heat) in enumerate(expected):
        np.testing.assert_allclose(found.box_scores[i], score, atol=1e-5)
        np.testing.assert_allclose(seen[i], points, atol=1e-3)
        np.testing.assert_allclose(found.scores[i], heat, atol=1e-4)


def test_a_scale_of_one_alone_changes_nothing() -> None:
    pictures = [frame(4), frame(5, (80, 120))]
    listing = Network(AdaptivePose(input_size=(64, 64)), COCO17, {"centre": 1, "offset": 34})
    for model in (dekr(), listing):
        plain = estimate_all(model, pictures, flip=True)
        for a, b in zip(plain, AtScales((1.0,))(model, pictures, flip=True), strict=True):
            assert len(a) > 3
            for name in ("boxes", "box_scores", "keypoints", "scores"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_the_order_of_scales_has_no_effect_and_each_has_one() -> None:
    model, picture = dekr(), frame(6)
    one, same = (AtScales(s)(model, [picture])[0] for s in ((0.5, 1.0, 2.0), (2.0, 0.5, 1.0)))
    np.testing.assert_array_equal(one.keypoints, same.keypoints)
    (fewer,) = AtScales((0.5, 1.0))(model, [picture])
    assert one.scores.mean() != fewer.scores.mean()
    assert len(AtScales((0.5, 2.0))(model, [picture])[0])  # without scale 1


def test_outputs_that_are_not_finite_are_counted_and_left_out() -> None:
    model, faults = dekr(), Faults()
    model.weights["heatmap"][:, 0] = np.nan
    (found,) = AtScales((1.0, 2.0))(model, [frame(7)], faults=faults)
    assert faults == {0: 2} and len(found) and np.isfinite(found.keypoints).all()
    assert (found.scores[:, 0] == 0).all()


def test_adaptivepose_has_soft_nms_over_scales() -> None:
    codec = AdaptivePose(input_size=(64, 64), max_people=6)
    model, picture = Network(codec, COCO17, {"centre": 1, "offset": 34}), frame(8, (128, 64))
    scales = (0.5, 1.0, 2.0)
    (found,) = AtScales(scales)(model, [picture], flip=True)
    parts = []
    for scale in scales:
        model.codec = AdaptivePose(input_size=(int(64 * scale), int(64 * scale)), max_people=6)
        parts += estimate_all(model, [picture], flip=True)
    everybody = People.concat(parts)
    assert len(found) == len(everybody) > 6
    rest, scores = list(range(len(everybody))), everybody.box_scores.astype(float)
    while rest:  # by hand: the best goes, those that overlap fall
        best = max(rest, key=lambda i: scores[i])
        rest.remove(best)
        for i in rest:
            scores[i] *= np.exp(
                -(overlap(everybody.keypoints[best], everybody.keypoints[i]) ** 2) / 0.5
            )
    order = np.argsort(-scores, kind="stable")
    np.testing.assert_allclose(found.box_scores, scores[order], rtol=1e-4)
    np.testing.assert_allclose(found.scores, found.box_scores[:, None].repeat(17, 1), rtol=1e-4)
    np.testing.assert_array_equal(found.keypoints, everybody[order].keypoints)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a.min(0), b.min(0)), np.minimum(a.max(0), b.max(0))
    inner = float(np.maximum(high - low, 0).prod())
    return inner / float(np.ptp(a, 0).prod() + np.ptp(b, 0).prod() - inner)


class Listing:
    """An RTMO whose one person stands in the middle of each view, a little off by its size."""

    def __init__(self) -> None:
        self.codec, self.skeleton, self.only_size = RTMO((128, 128)), COCO17, None
        self.info, self.runtime = SimpleNamespace(name="listing"), "none"
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, views: np.ndarray, condition: object = None) -> dict[str, np.ndarray]:
        count, height, width, _ = views.shape
        self.sizes.append((width, height))
        points = np.linspace(0.3, 0.7, 17)[:, None] * [width, height] + width / 128
        box = np.array([0.25, 0.25, 0.75, 0.75]) * width
        score = {128: 2.0, 64: 1.0, 192: 0.0}[width]
        answer = {"scores": [score], "boxes": box[None], "keypoints": points[None]}
        answer["visibility"] = np.full((1, 17), score)
        return {k: np.float32(np.array([v] * count)) for k, v in answer.items()}


def test_people_of_other_networks_are_averaged_over_scales() -> None:
    model: Any = Listing()
    (found,) = AtScales((0.5, 1.0, 1.5))(model, [Frame(np.zeros((256, 256, 3), np.uint8))])
    assert model.sizes == [(64, 64), (128, 128), (192, 192)]
    assert len(found) == 1
    share = 1 / (1 + np.exp(-np.array([1.0, 2.0, 0.0])))  # scores at the three scales
    # a view pixel x of width w is image pixel (x + .5) * 256 / w - .5
    wide = np.array([64, 128, 192])
    at = (np.linspace(0.3, 0.7, 17)[:, None] * wide + wide / 128 + 0.5) * 256 / wide - 0.5
    weights = share**2 * share**2
    np.testing.assert_allclose(
        found.keypoints[0, :, 0], (at * weights).sum(1) / weights.sum(), atol=1e-3
    )
    np.testing.assert_allclose(found.box_scores, share[1:2], rtol=1e-5)


def test_views_have_the_sizes_that_networks_take() -> None:
    warp = Warp.letterbox((100, 70), (128, 64))
    half = scaled_warp(warp, 0.3)
    assert half.size == (64, 32)
    np.testing.assert_allclose(half.points([[9, 5]]), 0.3 * warp.points([[9, 5]]), atol=1e-5)
    codec: Any = YoloPose()
    assert scaled_codec(codec, 0.75).input_size == (512, 512)  # its largest stride is 64
    assert scaled_codec(AdaptivePose(), 0.75).input_size == (384, 384)


@pytest.mark.parametrize("scales", [(), (1, 1), (0,), (-1, 1), (float("nan"),), (100,)])
def test_scales_that_make_no_sense_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="each of them once"):
        AtScales(scales)(dekr(), [frame()])


# --- files and the command line ------------------------------------------------------------------


def linear_onnx(path: Path, model: Any, size: tuple[Any, Any] = ("w", "h")) -> Path:
    """Write a `Network` as a graph that takes views of any size, or of one."""
    constants = {
        "begin": np.array([0, 0]),
        "end": np.array([1 << 30, 1 << 30]),
        "axes": np.array([1, 2]),
        "steps": np.array([4, 4]),
        "unit": np.float32(255),
        **{f"{k}_w": w * np.float32(6 if k == "offset" else 1) for k, w in model.weights.items()},
    }
    nodes = [
        helper.make_node("Cast", ["views"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["whole", "begin", "end", "axes", "steps"], ["some"]),
        helper.make_node("Div", ["some", "unit"], ["cells"]),
    ]
    outputs = []
    for name, weights in model.weights.items():
        nodes.append(helper.make_node("MatMul", ["cells", f"{name}_w"], [f"{name}_last"]))
        nodes.append(helper.make_node("Transpose", [f"{name}_last"], [name], perm=[0, 3, 1, 2]))
        shape = ["n", weights.shape[1], "y", "x"]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    views = helper.make_tensor_value_info("views", TensorProto.UINT8, ["n", size[1], size[0], 3])
    initial = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "linear", [views], outputs, initial)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    info = ModelInfo("linear", model.codec, model.skeleton)
    helper.set_model_props(made, {METADATA_KEY: info.to_json()})
    onnx.save(made, path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "people.png"
    cv2.imwrite(str(path), frame(9).image[..., ::-1])
    return path


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_files_of_open_size_run_in_every_runtime(runtime: Any, tmp_path: Path) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    model, scales = dekr(), (0.5, 1.0, 2.0)
    path = linear_onnx(tmp_path / "dekr.onnx", model)
    loaded = load_model(path, runtime=runtime, precision="fp32")
    assert loaded.only_size is None
    (a,) = AtScales(scales)(model, [frame(9)], flip=True)
    (b,) = AtScales(scales)(loaded, [frame(9)], flip=True)
    assert len(a) == len(b)
    np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-2)
    fixed = linear_onnx(tmp_path / "fixed.onnx", model, (96, 64))
    assert load_model(fixed, runtime=runtime).only_size == (96, 64)


def predict(picture: Path, out: Path, model: Path, *words: str) -> tuple[dict[str, Any], Any]:
    """Return the settings in the header and the people of the image."""
    more = ["--save", "jsonl", "--progress", "none", "--nms", "none", "--min-score", "0", *words]
    assert main(["predict", str(picture), "-o", str(out), "-m", str(model), *more]) == 0
    head, row = (out / "poses.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads(head)["settings"], json.loads(row)["people"]


def test_predict_takes_scales(picture: Path, tmp_path: Path) -> None:
    path = linear_onnx(tmp_path / "dekr.onnx", dekr())
    settings, people = predict(picture, tmp_path / "a", path, "--scales", ".5,1,2", "--flip")
    assert (settings["scales"], settings["flip"]) == ([0.5, 1.0, 2.0], True)
    pose = Pose(path, scales=[2, 1, 0.5], flip=True, nms="none", min_score=0)
    expected = pose(str(picture)).people
    np.testing.assert_allclose(
        [p["keypoints"] for p in people],
        np.concatenate([expected.keypoints, expected.scores[..., None]], 2),
        atol=1e-2,
    )
    settings, plain = predict(picture, tmp_path / "b", path)
    assert settings["scales"] == [1.0]
    assert plain == predict(picture, tmp_path / "c", path, "--scales", "1")[1] != people


def test_eval_takes_scales(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "made" / "labels.json"
    write_labels(synth(labels.parent, 2, 1), labels)
    path, found = linear_onnx(tmp_path / "dekr.onnx", dekr()), []
    words = ["eval", "coco", "--ann", str(labels), "-m", str(path), "--json", "--nms", "none"]
    for more in ([], ["--scales", "1"], ["--scales", "0.5,1"]):
        out = tmp_path / f"results{len(found)}.json"
        assert main([*words, *more, "-o", str(out)]) == 0
        settings = json.loads(capsys.readouterr().out)["settings"]
        found.append((settings["scales"], json.loads(out.read_text())))
    assert [scales for scales, _ in found] == [[1.0], [1.0], [0.5, 1.0]]
    assert found[0][1] == found[1][1] != found[2][1]
    assert main(["eval", "coco", "--ann", "a", "--predictions", "b", "--scales", "1,2"]) == 2
    assert "--scales has no effect with --predictions" in capsys.readouterr().err


def test_refusals_are_one_line(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rtmo, fixed = tmp_path / "rtmo-s_128x128.onnx", tmp_path / "fixed.onnx"
    rtmo.write_bytes(rtmo_graph(128))
    linear_onnx(fixed, dekr(), (96, 64))
    path = linear_onnx(tmp_path / "dekr.onnx", dekr())
    for model, scales, said in (
        ("movenet-thunder", "0.5,1", "--accurate (accurate=) averages crops"),
        (rtmo, "0.5,1", "takes views of 128 x 128 px alone"),
        (fixed, "1,2", "takes views of 96 x 64 px alone"),
        (path, "1,1", "each of them once"),
        (path, "1,big", "such as 0.5,1,2"),
    ):
        words = ["predict", str(picture), "-m", str(model), "--scales", scales]
        try:
            code = main([*words, "-o", str(tmp_path / "refused")])
        except SystemExit as stopped:
            code = int(str(stopped.code))
        assert code == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
