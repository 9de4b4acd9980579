"""Re-identification: the seam, --reid, and what is invalid."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from posewright import Frame, People, Pose
from posewright.cli import main
from posewright.cli.demo import CLIP
from posewright.codecs import Embedding
from posewright.errors import UsageError
from posewright.pipeline.embedder import Embedder
from posewright.pipeline.estimate import estimate
from posewright.runtimes import load_model
from posewright.runtimes.info import METADATA_KEY, NO_JOINTS, ModelInfo
from posewright.skeletons import COCO17
from posewright.sources import open_source
from posewright.trackers import create_tracker

pytestmark = pytest.mark.usefixtures("reading_here")


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose features are the mean colours of 4 x 2 parts of a view."""
    path = tmp_path_factory.mktemp("reid") / "colours.onnx"
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Cast", ["views"], ["float"], to=TensorProto.FLOAT),
            node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
            node("AveragePool", ["planes"], ["means"], kernel_shape=[64, 64], strides=[64, 64]),
            node("Sub", ["means", "grey"], ["signed"]),
            node("Flatten", ["signed"], ["features"]),
        ],
        "colours",
        [helper.make_tensor_value_info("views", TensorProto.UINT8, ["n", 256, 128, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 24])],
        [numpy_helper.from_array(np.array(127.5, np.float32), "grey")],
    )
    info = ModelInfo("colours", Embedding(), NO_JOINTS)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    onnx.save(model, path)
    return path


def painted(*boxes: tuple[int, int, int, int], colours: list[tuple[int, int, int]]) -> Frame:
    image = np.full((300, 400, 3), 127, np.uint8)
    for (x1, y1, x2, y2), colour in zip(boxes, colours, strict=True):
        image[y1:y2, x1:x2] = colour
    return Frame(image)


RED, BLUE = (255, 0, 0), (0, 0, 255)
LEFT, RIGHT = (20, 50, 80, 250), (300, 50, 360, 250)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_it_tells_colours_apart(colours: Path, runtime: str) -> None:
    embed = Embedder(load_model(colours, runtime=runtime, precision="fp32"))  # type: ignore[arg-type]
    people = People.of(boxes=[LEFT, RIGHT])
    one = embed(painted(LEFT, RIGHT, colours=[RED, BLUE]), people)
    two = embed(painted(LEFT, RIGHT, colours=[BLUE, RED]), people)
    assert one.shape == (2, 24) and one.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, rtol=1e-5)
    assert (one @ two.T > 0.9).tolist() == [[False, True], [True, False]]


def test_any_batch_is_the_same_and_nobody_is_nobody(colours: Path) -> None:
    model = load_model(colours, runtime="onnxruntime")
    frame = painted(LEFT, RIGHT, colours=[RED, BLUE])
    people = People.of(boxes=np.random.default_rng(0).uniform(0, 300, (7, 4)))
    ways = ((4, 1), (1, 1), (4, 3), (64, 2))
    many, *others = (Embedder(model, batch=b, threads=t)(frame, people) for b, t in ways)
    for other in others:
        np.testing.assert_allclose(other, many, atol=1e-6)
    assert len(Embedder(model)(frame, People.empty(17))) == 0
    assert len(Embedder(model)(Frame(np.zeros((0, 0, 3), np.uint8)), People.empty(17))) == 0


@pytest.mark.parametrize(
    ("batch", "threads", "sizes"),
    [(4, 1, [3, 4]), (4, 3, [1, 3, 3]), (64, 1, [7]), (2, 2, [1, 2, 2, 2])],
)
def test_views_are_shared_out_among_threads(
    colours: Path, batch: int, threads: int, sizes: list[int]
) -> None:
    model, calls = load_model(colours, runtime="onnxruntime"), []

    @dataclass(frozen=True)
    class Counted:
        codec = model.codec
        info = model.info

        def __call__(self, views: np.ndarray) -> dict[str, np.ndarray]:
            calls.append(len(views))
            return model(views)

    people = People.of(boxes=[LEFT] * 7)
    frame = painted(LEFT, colours=[RED])
    assert Embedder(Counted(), batch=batch, threads=threads)(frame, people).shape == (7, 24)
    assert sorted(calls) == sizes


def test_the_one_inference_path_runs_it_too(colours: Path) -> None:
    """Whoever could be looked at comes back as he was: there are no joints to add."""
    model, people = load_model(colours, runtime="onnxruntime"), People.of(boxes=[LEFT, RIGHT])
    found = estimate(model, painted(LEFT, RIGHT, colours=[RED, BLUE]), people, flip=True)
    assert np.array_equal(found.boxes, people.boxes) and found.keypoints.shape == (2, 0, 2)


def test_people_who_change_places_behind_a_wall_keep_their_ids(colours: Path) -> None:
    """From pixels to identities."""
    embed = Embedder(load_model(colours, runtime="onnxruntime"))
    track = create_tracker("appearance", skeleton=COCO17, embed=embed)
    a, b = (100, 50, 160, 250), (200, 50, 260, 250)
    before, after = painted(a, b, colours=[RED, BLUE]), painted(a, b, colours=[BLUE, RED])
    for n in range(40):
        seen = People.of(boxes=[a, b] if not 8 <= n < 28 else np.zeros((0, 4)))
        image = before.image if n < 15 else after.image
        names = track(Frame(image, n, n / 30), seen).ids.tolist()
        assert names == ([1, 2] if n < 8 else [] if n < 28 else [2, 1])


def test_nan_in_its_weights_is_told(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(colours)
    grey = numpy_helper.from_array(np.array(np.nan, np.float32), "grey")
    model.graph.initializer[0].CopyFrom(grey)
    onnx.save(model, tmp_path / "bad.onnx")
    picture = tmp_path / "p.png"
    with open_source(str(CLIP)) as source:
        cv2.imwrite(str(picture), next(iter(source)).image[..., ::-1])
    words = ["predict", picture, "--tracker", "appearance", "--reid", tmp_path / "bad.onnx"]
    code = main([str(w) for w in (*words, "-o", tmp_path / "out", "--save", "jsonl")])
    assert code == 3 and "colours returned NaN or infinity" in capsys.readouterr().err
    assert "colours returned NaN or infinity" in (tmp_path / "out/poses.jsonl").read_text("utf-8")


class Joint:
    """Stands in for a joint detector (JDE), whose features come with its boxes."""

    def __init__(self) -> None:
        self.found: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def people(self, frame: Frame) -> People:
        """Find two people, who change places in frame 3."""
        who = [0, 1] if frame.index < 3 else [1, 0]
        boxes = np.array([LEFT, RIGHT], np.float32)
        self.found[frame.index] = boxes, np.eye(2, dtype=np.float32)[who]
        return People.of(boxes)

    def features(self, frame: Frame, people: People) -> np.ndarray:
        """Return the features that were found with the boxes; no second network runs."""
        boxes, features = self.found.pop(frame.index)
        return features[(people.boxes[:, None] == boxes).all(2).argmax(1)]


def test_a_detector_that_finds_and_embeds_at_once() -> None:
    joint = Joint()
    track = create_tracker("appearance", skeleton=COCO17, embed=joint.features)
    images = [painted(LEFT, RIGHT, colours=[RED, BLUE]).image] * 5
    pose = Pose(min_score=0, nms="none", threads=2)
    results = pose.predict(images, color="rgb", boxes=joint, tracker=track)
    order = [r.ids[np.argsort(r.boxes[:, 0])].tolist() for r in results]
    assert order == [[1, 2]] * 5 and not joint.found


def test_what_cannot_be_meant(colours: Path) -> None:
    model = load_model(colours, runtime="onnxruntime")
    with pytest.raises(UsageError, match="saved poses do not contain; use predict"):
        Embedder(model)(Frame(np.zeros((0, 0, 3), np.uint8)), People.of(boxes=[LEFT]))
    with pytest.raises(UsageError, match="movenet-thunder is not a re-identification network"):
        Pose(reid="movenet-thunder")
    file = colours.with_name("osnet_ain_x1_0_msmt17.pth")
    file.write_bytes(b"as published")
    with pytest.raises(UsageError, match="not a posewright file; run: posewright models convert"):
        Pose(reid=file)
    with pytest.raises(UsageError, match="re-identifies people; give it with --reid"):
        Pose(colours)


def test_reid_on_the_command_line(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    with open_source(str(CLIP)) as source:
        for n, frame in zip(range(3), source, strict=False):
            cv2.imwrite(str(folder / f"{n}.jpg"), frame.image[:, :, ::-1])
    out = ["--save", "jsonl", "--json", "-o"]
    line = ["predict", str(folder), "--tracker", "appearance", *out]
    assert main([*line, str(tmp_path / "a"), "--reid", str(colours)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["frames"] == 3 and told["ids"] == 2  # the third scores less than 0.5
    assert main([*line, str(tmp_path / "b")]) == 2
    assert "models pull osnet_ain_x1_0-msmt17" in capsys.readouterr().err
    assert main(["predict", str(folder), "--reid", str(colours), *out, str(tmp_path / "c")]) == 2
    assert "is for --tracker appearance" in capsys.readouterr().err
    saved = str(tmp_path / "a" / "poses.jsonl")
    assert main(["track", saved, "--tracker", "appearance", "-o", str(tmp_path / "d")]) == 2
    assert "--tracker appearance needs images, which saved poses do" in capsys.readouterr().err


def test_pull_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "osnet_ain_x1_0-msmt17"]) == 2
    said = capsys.readouterr().err
    assert "can only be opened in a browser" in said and "convert FILE --as torchreid" in said
