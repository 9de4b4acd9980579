"""p-Pose NMS learned: what the fit finds, where it is kept, who uses it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors
from onnx import TensorProto, helper

from posewright.cli import main
from posewright.codecs import Heatmap, MoveNet
from posewright.datasets import open_dataset
from posewright.errors import ModelError, PosewrightError, SourceError, UsageError
from posewright.fit.ppose import embed, fit, read_candidates, read_settings
from posewright.fit.ppose_search import BOUNDS, PAIRS, Candidates, Objective, search
from posewright.metrics.instances import Detections
from posewright.metrics.oks import AREAS, evaluate_keypoints, sigmas_of
from posewright.nms import PPoseNMS, ppose_nms
from posewright.people import People
from posewright.pose import Pose
from posewright.runtimes.info import METADATA_KEY, ModelInfo
from posewright.skeletons import COCO17, Skeleton
from posewright.weights import EMBEDDED

PAIR = 2  # people an image
SKELETON = Skeleton("five", tuple("abcde"), sigmas=(0.08,) * 5)


def labelled_set(
    folder: Path, pictures: int = 24, skeleton: Skeleton = COCO17
) -> tuple[Path, Path]:
    """Large people, each found three times 15 px apart: more than the usual constants bridge."""
    rng = np.random.default_rng(5)
    joints, labels, found = len(skeleton), [], []
    for picture in range(1, pictures + 1):
        for side in range(PAIR):
            points = rng.uniform(0, 1, (joints, 2)) * [200, 400] + [50 + 260 * side, 50]
            row = np.concatenate([points, np.full((joints, 1), 2)], 1)
            low, size = points.min(0), np.ptp(points, axis=0)
            box = [*low.tolist(), *size.tolist()]
            labels.append(
                {
                    "id": len(labels) + 1,
                    "image_id": picture,
                    "category_id": 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "num_keypoints": joints,
                    "keypoints": row.ravel().tolist(),
                }
            )
            for score in rng.uniform(0.5, 0.9, 3):
                moved = points + rng.normal(0, 8, 2) + rng.normal(0, 4, points.shape)
                row = np.concatenate([moved, np.full((joints, 1), score)], 1)
                found.append(
                    {
                        "image_id": picture,
                        "category_id": 1,
                        "keypoints": row.ravel().tolist(),
                        "score": float(score * rng.uniform(0.6, 1)),
                        "bbox": box,
                    }
                )
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.joints), "skeleton": []}
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": 700, "height": 500}
        for i in range(1, pictures + 1)
    ]
    truth, results = folder / "truth.json", folder / "found.json"
    truth.write_text(
        json.dumps({"images": images, "annotations": labels, "categories": [category]})
    )
    results.write_text(json.dumps(found))
    return truth, results


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return labelled_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def candidates(files: tuple[Path, Path]) -> Candidates:
    return read_candidates(open_dataset(files[0]), files[1])


def test_value_is_that_of_the_evaluator(candidates: Candidates) -> None:
    """Whole route by hand: ppose_nms on each image, scores, COCO's evaluation of all together."""
    settings = PPoseNMS(gamma=9.0, delta2=4.0, order="box*mean")
    left = [ppose_nms(p, settings) for p in candidates.people]
    everybody = People.concat(left)
    points = np.concatenate([everybody.keypoints, everybody.scores[..., None]], 2).astype(float)
    scores = (everybody.box_scores * everybody.pose_scores).astype(float)
    cells = np.repeat(np.arange(len(left)), [len(p) for p in left])
    blank = np.zeros((len(cells), 4))
    found = Detections(cells, scores, points, blank, blank[:, 0])
    numbers = evaluate_keypoints(candidates.truth, found, candidates.sigmas, {"all": AREAS["all"]})
    objective = Objective(candidates, PPoseNMS())
    assert objective(settings) == pytest.approx(numbers.numbers["AP"], abs=1e-6)
    assert candidates.cleaned([settings] * len(candidates)) == objective(settings)


def test_kept_outcomes_are_those_of_the_nms(candidates: Candidates) -> None:
    """Whatever was looked at before, a setting is worth what ppose_nms with it is worth."""
    objective, rng = Objective(candidates, PPoseNMS()), np.random.default_rng(0)
    for _ in range(25):
        values = {name: float(rng.uniform(*span) ** 0.7) for name, span in BOUNDS.items()}
        values = {n: float(np.clip(v, *BOUNDS[n])) for n, v in values.items()}
        settings = PPoseNMS(**values, order=("mean", "box*mean")[int(rng.integers(2))])
        assert objective(settings) == candidates.cleaned([settings] * len(candidates))


def test_every_pair_is_of_settings_with_bounds() -> None:
    assert {name for pair in PAIRS for name in pair} == set(BOUNDS)
    assert all(low <= getattr(PPoseNMS(), n) <= high for n, (low, high) in BOUNDS.items())


def test_the_fit_beats_the_constants_on_unseen_pictures(candidates: Candidates) -> None:
    learned = fit(candidates, COCO17, folds=2)
    assert learned.numbers["learned"] > learned.numbers["fixed"] + 0.1
    assert learned.unseen["learned"] > learned.unseen["fixed"] + 0.1
    assert learned.unseen["none"] == learned.numbers["none"] and len(learned.folds) == 2
    again = candidates.cleaned([learned.settings] * len(candidates))
    assert again == pytest.approx(learned.numbers["learned"])
    text = json.dumps(learned.to_dict(), allow_nan=False)
    assert PPoseNMS.from_dict(json.loads(text)["settings"]) == learned.settings


def test_nothing_moves_without_a_gain(candidates: Candidates) -> None:
    """Perfect results, one a person: the constants stay as they are."""
    truth = candidates.truth
    people = tuple(
        People.of(keypoints=truth.keypoints[truth.cells == i, :, :2])
        for i in range(len(candidates))
    )
    ranks = tuple(np.ones(len(p)) for p in people)
    perfect = Candidates(truth, people, ranks, candidates.sigmas)
    best = search(perfect, PPoseNMS())
    assert best.value == pytest.approx(1) and best.settings == PPoseNMS()


def test_other_skeletons(tmp_path: Path) -> None:
    truth, found = labelled_set(tmp_path, 16, SKELETON)
    dataset = open_dataset(truth)
    learned = fit(read_candidates(dataset, found), dataset.skeleton)
    assert learned.numbers["learned"] > learned.numbers["fixed"]


def test_some_pictures_are_worth_what_they_are_alone(candidates: Candidates) -> None:
    part = candidates[[7, 2]]
    assert len(part) == 2 and part.truth.cells.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(part.people[1].keypoints, candidates.people[7].keypoints)


def test_nobody_cannot_teach(candidates: Candidates) -> None:
    nobody = tuple(People.empty(COCO17) for _ in candidates.people)
    blank = tuple(np.zeros(0) for _ in nobody)
    empty = Candidates(candidates.truth, nobody, blank, candidates.sigmas)
    assert empty.cleaned([PPoseNMS()] * len(empty)) == 0
    with pytest.raises(UsageError, match="0 people found and 48 labelled"):
        fit(empty, COCO17)
    with pytest.raises(UsageError, match="25 folds cannot be made of 24 images"):
        fit(candidates, COCO17, folds=25)


# --- files ---------------------------------------------------------------------------------------

LEARNED = PPoseNMS(gamma=11.5, delta2=4.0, order="box*mean")


def tiny_onnx(path: Path, joints: Skeleton = COCO17, keyed: bool = True) -> Path:
    node = helper.make_node("Identity", ["views"], ["heatmap"])
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "g",
        [value("views", TensorProto.FLOAT, [1])],
        [value("heatmap", TensorProto.FLOAT, [1])],
    )
    proto = helper.make_model(graph)
    info = ModelInfo("net", MoveNet(), joints, licence="MIT")
    helper.set_model_props(
        proto, {"other": "kept", **({METADATA_KEY: info.to_json()} if keyed else {})}
    )
    onnx.save(proto, path)
    return path


def test_into_onnx(tmp_path: Path) -> None:
    path = tiny_onnx(tmp_path / "net.onnx")
    before = onnx.load(path)
    embed(LEARNED, path, 17)
    after = onnx.load(path)
    texts = {p.key: p.value for p in after.metadata_props}
    info = ModelInfo.from_json(texts[METADATA_KEY], "m.onnx")
    assert info.ppose == LEARNED and info.licence == "MIT" and texts["other"] == "kept"
    assert after.graph == before.graph
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_into_safetensors(tmp_path: Path) -> None:
    """The tensors stay, to the bit, and so do the other metadata; it may be done again."""
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "net.safetensors"
    tensors = {"a": np.arange(7, dtype=np.float32), "b": np.ones((2, 3), np.float16)}
    info = ModelInfo("net", Heatmap(), COCO17)
    numpy.save_file(tensors, path, {"network": "kept", METADATA_KEY: info.to_json()})
    for settings in (LEARNED, PPoseNMS()):
        embed(settings, path, 17)
        with safetensors.safe_open(path, "np") as file:
            assert file.metadata()["network"] == "kept"
            again = ModelInfo.from_json(file.metadata()[METADATA_KEY], "m.onnx")
        assert again == replace(info, ppose=settings)
        for name, value in numpy.load_file(path).items():
            np.testing.assert_array_equal(value, tensors[name])
            assert value.dtype == tensors[name].dtype


@pytest.mark.parametrize(
    ("name", "data", "joints", "error", "says"),
    [
        ("net.onnx", None, 14, UsageError, "predicts 17 joints, but the settings are for 14"),
        ("net.onnx", b"junk", 17, ModelError, "not an ONNX file"),
        ("net.safetensors", b"junk", 17, ModelError, "not a safetensors file"),
        ("net.safetensors", b"\xff" * 64, 17, ModelError, "longer than the file"),
        ("net.safetensors", b"\x02" + b"\0" * 7 + b"{}", 17, ModelError, "no posewright metadata"),
        ("net.pt", b"x", 17, UsageError, "not a .safetensors or .onnx"),
    ],
)
def test_files_that_cannot_take_them_stay_as_they_are(
    name: str,
    data: bytes | None,
    joints: int,
    error: type[PosewrightError],
    says: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / name
    if data is None:
        tiny_onnx(path)
    else:
        path.write_bytes(data)
    before = path.read_bytes()
    with pytest.raises(error, match=says):
        embed(LEARNED, path, joints)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_metadata_without_settings_are_as_before() -> None:
    info = ModelInfo("net", Heatmap(), COCO17)
    assert (
        "ppose" not in info.to_json()
        and ModelInfo.from_json(info.to_json(), "m.onnx").ppose is None
    )
    wise = replace(info, ppose=PPoseNMS.wholebody())
    assert ModelInfo.from_json(wise.to_json(), "m.onnx") == wise


@pytest.mark.parametrize(
    "bad", [{"gama": 1.0}, {"mu": -1.0}, {"mu": None}, {"mu": float("nan")}, {"order": "best"}]
)
def test_settings_that_cannot_be_meant(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="are invalid"):
        PPoseNMS.from_dict(bad)
    assert PPoseNMS.from_dict(asdict(LEARNED)) == LEARNED


def test_order_tells_the_better_of_two() -> None:
    people = People.of(
        [[0, 0, 100, 200]] * 2,
        [0.3, 0.9],
        np.random.default_rng(0).uniform(0, 100, (1, 17, 2)).repeat(2, 0),
        np.repeat([[0.8], [0.7]], 17, 1),
        [0, 1],
    )
    assert ppose_nms(people).ids.tolist() == [0]
    assert ppose_nms(people, PPoseNMS(order="box*mean")).ids.tolist() == [1]


def test_pose_takes_what_the_file_has_learned(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    shutil.copyfile(EMBEDDED["movenet-thunder"].path, path)

    def settings(nms: Any) -> object:
        pose = Pose(path, nms=nms, runtime="onnxruntime")
        return pose.pipeline.nms.keywords["settings"]  # type: ignore[union-attr]

    assert settings("ppose") == PPoseNMS() and settings(LEARNED) == LEARNED
    embed(LEARNED, path, 17)
    assert settings("ppose") == LEARNED


# --- the verb ------------------------------------------------------------------------------------


def test_the_verb(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, found = map(str, files)
    model, out = tiny_onnx(tmp_path / "net.onnx"), tmp_path / "fit.json"
    command = ["fit", "nms", truth, "--detections", found, "-o", str(out), "--into", str(model)]
    assert main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == [str(out), str(model)] and said["pictures"] == 24
    settings = read_settings(out)
    texts = {p.key: p.value for p in onnx.load(model).metadata_props}
    assert ModelInfo.from_json(texts[METADATA_KEY], "m.onnx").ppose == settings != PPoseNMS()
    assert main(command) == 4 and "--overwrite" in capsys.readouterr().err
    assert main([*command[:-2], "--overwrite", "--crowded", "3"]) == 2
    assert "0 people found and 0 labelled" in capsys.readouterr().err
    assert read_settings(out) == settings


def test_the_verb_refuses_before_it_works(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tiny_onnx(tmp_path / "five.onnx", SKELETON)
    command = ["fit", "nms", str(files[0]), "-o", str(tmp_path / "x.json"), "--detections"]
    assert main([*command, str(files[1]), "--into", str(other)]) == 2
    assert "predicts 5 joints" in capsys.readouterr().err
    assert main([*command, "nowhere.json"]) == 3
    assert not (tmp_path / "x.json").exists()
    (tmp_path / "no.json").write_text('{"kind": "pgpg"}')
    with pytest.raises(SourceError, match="not a p-Pose NMS settings file"):
        read_settings(tmp_path / "no.json")


def test_our_own_results_have_their_box_scores_back(data_dir: Path, tmp_path: Path) -> None:
    """A score is box score times mean joint score; larger ones count as a box score of 1."""
    dataset = open_dataset(data_dir / "coco" / "person_keypoints.json")
    picture = dataset.samples[0].image_id
    row = (
        np.concatenate([np.arange(34.0).reshape(17, 2), np.full((17, 1), 0.5)], 1).ravel().tolist()
    )
    entries = [
        {"image_id": picture, "category_id": 1, "keypoints": row, "score": s} for s in (0.4, 2.6)
    ]
    (tmp_path / "found.json").write_text(json.dumps(entries))
    found = read_candidates(dataset, tmp_path / "found.json")
    [people] = [p for p in found.people if len(p)]
    assert people.box_scores.tolist() == pytest.approx([0.8, 1.0])
    assert len(found) == len(dataset) and sigmas_of(COCO17).tolist() == found.sigmas.tolist()
