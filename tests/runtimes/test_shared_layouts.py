"""The files of shared/models/make_layouts.py and of the maker of SimCC files, where they lie."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from posewright.codecs import SimCC
from posewright.errors import ModelError
from posewright.people import Frame, People
from posewright.pipeline.estimate import estimate
from posewright.runtimes import load_model
from tests.conftest import SHARED

MODELS = SHARED / "models"
pytestmark = pytest.mark.skipif(
    not (MODELS / "make_layouts.py").is_file(), reason="shared/models is not here"
)
# the file, its codec, skeleton and how many people it finds among two boxes or in the image
FILES = {
    "dfine_s_coco": ("query_boxes", "none", 0),
    "movenet_model": ("decoded_points", "coco17", 2),
    "rfdetr_m_v142_576x576": ("query_boxes", "none", 0),
    "rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e": ("boxes", "none", 2),
    "rtmo-m_16xb16-600e_body7-640x640-39e78cc4_20231211": ("listed_people", "coco17", 2),
    "static_ap10k": ("simcc", "ap10k17", 2),
    "static_face": ("simcc", "face106", 2),
    "static_halpe26": ("simcc", "halpe26", 2),
    "static_hand": ("simcc", "hand21", 2),
    "static_rtmpose-m_256x192": ("simcc", "coco17", 2),
    "static_rtmw_384x288": ("simcc", "coco133", 2),
    "vitpose-b-coco": ("heatmap", "coco17", 2),
    "vitpose-b-coco_25": ("heatmap", "vitpose25", 2),
    "vitpose_base_simple_model": ("heatmap", "coco17", 2),
    "yolox_m_8xb8-300e_humanart-c2c7a14a": ("boxes", "none", 2),
    "yolox_s": ("yolox_boxes", "none", 100),
}
REFUSED = {"end2end": "rtmdet or yolox", "static_37": "no skeleton is known for 37 joints"}


def make(script: str, folder: Path, *args: object) -> None:
    words = [sys.executable, "-W", "ignore", str(MODELS / script), *map(str, args)]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layouts")
    make("make_layouts.py", folder)
    return folder


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", sorted(FILES))
def test_every_file_is_recognised(made: Path, name: str, runtime: str) -> None:
    kind, skeleton, count = FILES[name]
    model = load_model(made / f"{name}.onnx", runtime=runtime)  # type: ignore[arg-type]
    assert (model.codec.kind, model.skeleton.name) == (kind, skeleton)
    boxes = People.of(boxes=[[50, 50, 150, 250], [150, 50, 350, 250]])
    frame = Frame(np.full((300, 400, 3), 128, np.uint8))
    people = estimate(model, frame, boxes if model.codec.top_down else None)
    assert len(people) == count


def test_no_file_is_left_out(made: Path) -> None:
    assert {path.stem for path in made.glob("*.onnx")} == set(FILES) | set(REFUSED)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_be_told_is_refused(made: Path, name: str) -> None:
    with pytest.raises(ModelError, match=REFUSED[name]):
        load_model(made / f"{name}.onnx", runtime="onnxruntime")


@pytest.mark.parametrize(
    ("joints", "size", "skeleton"),
    [
        (17, (192, 256), "coco17"),
        (26, (192, 256), "halpe26"),
        (133, (288, 384), "coco133"),
        (21, (256, 256), "hand21"),
        (106, (256, 256), "face106"),
    ],
)
def test_the_published_graph_gives_what_rtmlib_gives(
    tmp_path: Path, clip_frames: list[np.ndarray], joints: int, size: tuple[int, int], skeleton: str
) -> None:
    """rtmlib is fed RGB, as mmpose trains; scores are compared by its rule, the mean."""
    make("make_simcc_like_published.py", tmp_path, joints, *size, "rtmpose.onnx")
    model = load_model(tmp_path / "rtmpose.onnx", runtime="onnxruntime")
    assert model.skeleton.name == skeleton and model.codec == SimCC(input_size=size, split=2.0)
    rtmlib = pytest.importorskip("rtmlib")
    theirs = rtmlib.RTMPose(str(tmp_path / "rtmpose.onnx"), size)
    image = clip_frames[0]
    low = np.random.default_rng(0).uniform(0, 300, (8, 2))
    boxes = np.concatenate([low, low + np.random.default_rng(1).uniform(60, 240, (8, 2))], 1)
    points, scores = theirs(image, boxes)
    people = estimate(model, Frame(image), People.of(boxes=boxes))
    assert np.abs(people.keypoints - points).max() < 0.1
    outputs = model(np.stack([w.image(image) for w in model.codec.warps((544, 960), people)]))
    x, y = (outputs[axis].max(2) for axis in "xy")
    assert np.allclose((x + y) / 2, scores, atol=0.02 * np.abs(scores).max())
    assert np.allclose(people.scores, np.minimum(x, y).clip(0, 1), atol=1e-5)
