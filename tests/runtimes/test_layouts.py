"""Files without metadata: open axes, layouts that are not read, and files that may be two."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from posewright import Pose
from posewright.cli import main
from posewright.codecs import SimCC
from posewright.errors import ModelError, UsageError
from posewright.people import Frame, People
from posewright.pipeline.estimate import estimate
from posewright.runtimes import load_model
from tests.helpers.layouts import network

RUNTIMES = ("onnxruntime", "openvino")


def write(path: Path, signature: str, body: str) -> Path:
    """Write a graph in ONNX's text form."""
    text = f'<ir_version: 8, opset_import: ["": 17]>\nsmall {signature} {{ {body} }}'
    model = onnx.parser.parse_model(text)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def simcc(path: Path, joints: int, height: int, width: int, y_joints: int = 0) -> Path:
    """Joint k's bins peak at 3 * k, times the mean of the view; flattened under an open batch."""
    peaks = [
        f"{axis}_i = Constant <value = int64[{k}] {{ {', '.join(str(3 * i) for i in range(k))} }}> "
        f"() {axis}_o = OneHot <axis = -1> ({axis}_i, {axis}_n, values) "
        f"{axis}_m = Mul (mean, {axis}_o) {axis}_s = Concat <axis = 0> (batch, rest, {axis}_n) "
        f"simcc_{axis} = Reshape ({axis}_m, {axis}_s)"
        for axis, k in (("x", joints), ("y", y_joints or joints))
    ]
    head = (
        f"x_n = Constant <value = int64[1] {{{2 * width}}}> () "
        f"y_n = Constant <value = int64[1] {{{2 * height}}}> () "
        "values = Constant <value = float[2] {0, 1}> () rest = Constant <value = int64[1] {-1}> () "
        "one = Constant <value = int64[1] {1}> () nil = Constant <value = int64[1] {0}> () "
        "form = Shape (input) batch = Slice (form, nil, one) "
        "all = ReduceMean <axes = [1, 2, 3], keepdims = 1> (input) "
        "mean = Squeeze (all, one) "
    )
    k = "MatMulsimcc_x_dim_1"
    return write(
        path,
        f"(float[batch,3,{height},{width}] input) => "
        f"(float[batch,{k},{2 * width}] simcc_x, float[batch,{k},{2 * height}] simcc_y)",
        head + " ".join(peaks),
    )


def detector(path: Path, last: int = 5) -> Path:
    """As many boxes as the first row of the first channel has pixels above 0, of x1 = 16."""
    box = ", ".join(["16", "24", "48", "64", "0.9"][:last])
    return write(
        path,
        f"(float[1,3,64,64] input) => (float[1,Gatherdets_dim_1,{last}] dets, "
        "int64[1,Gatherlabels_dim_1] labels)",
        "nil = Constant <value = int64[1] {0}> () one = Constant <value = int64[1] {1}> () "
        "channel = Slice (input, nil, one, one) two = Constant <value = int64[1] {2}> () "
        "line = Slice (channel, nil, one, two) flat = Constant <value = int64[1] {-1}> () "
        "row = Reshape (line, flat) "
        "where = NonZero (row) turned = Transpose <perm = [1, 0]> (where) "
        "none = Sub (turned, turned) zeros = Cast <to = 1> (none) "
        f"box = Constant <value = float[1,{last}] {{{box}}}> () "
        "rows = Add (zeros, box) dets = Unsqueeze (rows, nil) labels = Transpose <perm = [1, 0]> "
        "(none)",
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("name", "joints", "size", "skeleton"),
    [
        ("rtmpose-m_256x192.onnx", 17, (256, 192), "coco17"),
        ("rtmpose-m_hand5_256x256.onnx", 21, (256, 256), "hand21"),
        ("rtmw-l_384x288.onnx", 133, (384, 288), "coco133"),
        ("rtmpose-m_simcc-ap10k_256x256.onnx", 17, (256, 256), "ap10k17"),
    ],
)
def test_open_joint_axis(
    tmp_path: Path, runtime: str, name: str, joints: int, size: tuple[int, int], skeleton: str
) -> None:
    model = load_model(simcc(tmp_path / name, joints, *size), runtime=runtime)
    assert model.skeleton.name == skeleton and len(model.skeleton) == joints
    assert model.codec == SimCC(input_size=size[::-1], split=2.0)
    views = np.full((3, *size, 3), 255, np.uint8)
    for people in model.codec.decode(model(views)):
        expected = 1.5 * np.arange(joints)[:, None].repeat(2, 1)
        assert np.abs(people.keypoints[0] - expected).max() < 1e-4


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_open_number_of_boxes(tmp_path: Path, runtime: str) -> None:
    model = load_model(detector(tmp_path / "yolox_open.onnx"), runtime=runtime)
    image = np.zeros((64, 64, 3), np.uint8)
    assert len(estimate(model, Frame(image))) == 0
    image[0, 5] = 9  # one pixel, one box
    assert np.allclose(estimate(model, Frame(image)).boxes, [[16, 24, 48, 64]], atol=0.6)


def test_pose_and_detector_as_published(tmp_path: Path) -> None:
    """The README's line: a pose file and a nameless detector with its prefix."""
    pose = Pose(
        simcc(tmp_path / "rtmpose-m_256x192.onnx", 17, 256, 192),
        detector=f"rtmdet:{detector(tmp_path / 'detector.onnx')}",
        runtime="onnxruntime",
        min_score=0,
    )
    image = np.full((64, 64, 3), 255, np.uint8)
    result = pose(image, color="rgb")
    assert result.keypoints.shape == (1, 17, 2)  # type: ignore[union-attr]


def rfdetr(path: Path) -> Path:
    """What was once taken for mmdeploy's dets [B, N, 5]."""
    return write(
        path,
        "(float[1,3,64,64] input) => (float[1,300,4] dets, float[1,300,91] labels)",
        "dets = RandomUniform <shape = [1, 300, 4]> () "
        "labels = RandomUniform <shape = [1, 300, 91]> ()",
    )


REFUSED: dict[str, Callable[[Path], Path]] = {
    "boxes_of_four_numbers": lambda path: detector(path, 4),
    "movenet_of_four_numbers": lambda path: write(
        path,
        "(int32[1,64,64,3] input) => (float[1,1,17,4] output_0)",
        "output_0 = RandomUniform <shape = [1, 1, 17, 4]> ()",
    ),
    "two_inputs": lambda path: write(
        path,
        "(float[1,3,64,64] input, float[1] more) => (float[1,9,5] dets)",
        "dets = RandomUniform <shape = [1, 9, 5]> ()",
    ),
    "no_views": lambda path: network(
        path, {"dets": np.zeros((1, 9, 5), np.float32)}, (0, 3, 64, 64)
    ),
    "grey_images": lambda path: write(
        path,
        "(float[b,1,256,192] input) => (float[b,17,64,48] output)",
        "output = RandomUniform <shape = [1, 17, 64, 48]> ()",
    ),
    "simcc_of_two_numbers_of_joints": lambda path: simcc(path, 17, 256, 192, y_joints=16),
    "simcc_of_doubles": lambda path: write(
        path,
        "(double[b,3,256,192] input) => (float[b,17,384] simcc_x, float[b,17,512] simcc_y)",
        "simcc_x = RandomUniform <shape = [1, 17, 384]> () "
        "simcc_y = RandomUniform <shape = [1, 17, 512]> ()",
    ),
}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_other_layouts_are_refused_in_one_line(tmp_path: Path, runtime: str, name: str) -> None:
    path = REFUSED[name](tmp_path / f"{name}.onnx")
    for layout in ("", "rtmpose", "rtmdet", "yolox"):
        wanted = f"no file of the layout {layout}" if layout else "an unknown layout"
        with pytest.raises(ModelError, match=f"{wanted}: inputs input") as caught:
            load_model(path, layout=layout, runtime=runtime)
        assert "\n" not in str(caught.value)


def test_the_command_line_refuses_them_with_exit_code_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = rfdetr(tmp_path / "rfdetr_m.onnx")
    assert main(["predict", "nowhere.jpg", "-d", f"rtmdet:{path}", "-o", str(tmp_path)]) == 4
    assert "dets [1, 300, 4], labels [1, 300, 91]" in capsys.readouterr().err


AMBIGUOUS = {
    "rtmdet or yolox": ({"dets": np.zeros((1, 9, 5), np.float32)}, {}),
    "heatmap or vitpose": ({"output": np.zeros((1, 17, 16, 16), np.float32)}, {}),
    "dfine or rfdetr": (
        {
            "logits": np.zeros((1, 9, 5), np.float32),
            "pred_boxes": np.zeros((1, 9, 4), np.float32),
        },
        {},
    ),
    "detrpose or ecpose": (
        {
            "scores": np.zeros((1, 9), np.float32),
            "labels": np.zeros((1, 9), np.int64),
            "keypoints": np.zeros((1, 9, 17, 2), np.float32),
        },
        {"name": "images", "second": "orig_target_sizes"},
    ),
}


@pytest.mark.parametrize("names", sorted(AMBIGUOUS))
def test_a_file_that_may_be_two_says_which_and_what_decides(tmp_path: Path, names: str) -> None:
    outputs, options = AMBIGUOUS[names]
    path = network(tmp_path / "end2end.onnx", outputs, **options)
    with pytest.raises(ModelError, match=f"layouts {names}, which differ") as caught:
        load_model(path, runtime="onnxruntime")
    first, second = names.split(" or ")
    assert f"--layout, or with {first}:end2end.onnx or {second}:end2end.onnx" in str(caught.value)
    found = [load_model(path, layout=one, runtime="onnxruntime").info for one in (first, second)]
    assert [info.origin.split()[-1] for info in found] == [first, second]
    assert (found[0].input, found[0].codec) != (found[1].input, found[1].codec)
    renamed = path.rename(tmp_path / f"my_{first if first != 'heatmap' else 'hrnet'}_s.onnx")
    assert load_model(renamed, runtime="onnxruntime").info.origin == found[0].origin


def predict(*options: object) -> int:
    return main(["predict", *map(str, options), "--save", "jsonl", "--runtime", "onnxruntime"])


def test_layout_and_skeleton_of_the_command_line(
    tmp_path: Path, people_jpg: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pose = simcc(tmp_path / "end2end_256x192.onnx", 17, 256, 192)
    boxes = detector(tmp_path / "end2end.onnx")
    told = ["-m", pose, "-d", boxes, "--min-score", 0]
    assert predict(people_jpg, *told, "-o", tmp_path / "untold") == 4
    assert "rtmdet or yolox" in capsys.readouterr().err
    out = tmp_path / "told"
    assert predict(people_jpg, *told, "--layout", "yolox", "--skeleton", "ap10k17", "-o", out) == 0
    header = json.loads((out / "poses.jsonl").read_text().splitlines()[0])
    assert "left_front_paw" in json.dumps(header)
    assert predict(people_jpg, *told, "--layout", "rtmpose", "-o", tmp_path / "pose") == 4
    assert "rtmdet or yolox" in capsys.readouterr().err


WRONG = {
    "no layout 'rtmpos'; did you mean 'rtmpose'?; known: rtmpose, rtmw3d": [
        "-m",
        "{pose}",
        "--layout",
        "rtmpos",
    ],
    "no skeleton 'halpe2'; did you mean 'halpe26'": ["-m", "{pose}", "--skeleton", "halpe2"],
    "has 17 joints, but the skeleton halpe26 has 26": ["-m", "{pose}", "--skeleton", "halpe26"],
    "states its layout and skeleton; remove layout rtmpose": ["--layout", "rtmpose"],
    "states its layout and skeleton; remove skeleton coco17": ["--skeleton", "coco17"],
    "rtmdet is the layout of a detector; give its file": ["-m", "{pose}", "--layout", "rtmdet"],
    "names the layout vitpose, and the option rtmpose": (
        ["-m", "vitpose:{pose}", "--layout", "rtmpose"]
    ),
}


@pytest.mark.parametrize("said", sorted(WRONG))
def test_options_that_do_not_fit_are_usage_errors(
    tmp_path: Path, people_jpg: Path, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    pose = simcc(tmp_path / "rtmpose_256x192.onnx", 17, 256, 192)
    options = [word.format(pose=pose) for word in WRONG[said]]
    assert predict(people_jpg, *options, "-o", tmp_path / "out") == 2
    assert said in capsys.readouterr().err


def test_a_detector_has_no_skeleton_to_name(tmp_path: Path) -> None:
    path = detector(tmp_path / "yolox.onnx")
    with pytest.raises(UsageError, match="is a detector, which has no joints"):
        load_model(path, skeleton="coco17", runtime="onnxruntime")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("fixed", [1, 2, 3])
def test_a_graph_of_fixed_batch_takes_any_number_of_views(
    tmp_path: Path, runtime: str, fixed: int
) -> None:
    """Three people through graphs of 1, 2 and 3 views; each keeps its own joints."""
    path = write(
        tmp_path / f"rtmpose_{fixed}.onnx",
        f"(float[{fixed},3,256,192] input) => "
        f"(float[{fixed},17,384] simcc_x, float[{fixed},17,512] simcc_y)",
        "mean = ReduceMean <axes = [1, 2, 3], keepdims = 1> (input) "
        "one = Constant <value = int64[1] {1}> () m = Squeeze (mean, one) "
        "x_form = Constant <value = int64[3] {1, 17, 384}> () x0 = Expand (m, x_form) "
        "y_form = Constant <value = int64[3] {1, 17, 512}> () y0 = Expand (m, y_form) "
        "simcc_x = Identity (x0) simcc_y = Identity (y0)",
    )
    model = load_model(path, runtime=runtime, precision="fp32")
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200], image[:, 200:] = 150, 250
    boxes = [[30, 40, 40, 50], [145, 40, 155, 50], [260, 40, 270, 50]]
    scores = estimate(model, Frame(image), People.of(boxes=boxes)).scores
    alone = [estimate(model, Frame(image), People.of(boxes=[box])).scores[0] for box in boxes]
    assert np.allclose(scores, alone, atol=1e-4)
    assert scores[0, 0] < scores[1, 0] < scores[2, 0]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "shape, why",
    [
        ((1, 64, 1 << 20), "1048576 x 64 px are not between 1 and 4096"),
        ((1, 2048, 1536), "1536 x 2048 px .* more than 2,400,000 pixels"),
        ((1, 4097, 64), "64 x 4097 px are not between"),
        ((1 << 31, 64, 64), "batch size is 2147483648, more than 1024"),
        ((1025, 64, 64), "batch size is 1025"),
    ],
)
def test_shapes_that_would_take_all_memory_are_refused(
    tmp_path: Path, runtime: str, shape: tuple[int, int, int], why: str
) -> None:
    views, height, width = shape
    path = write(
        tmp_path / "rtmpose.onnx",
        f"(float[{views},3,{height},{width}] input) => "
        f"(float[b,17,{width}] simcc_x, float[b,17,{height}] simcc_y)",
        f"simcc_x = RandomUniform <shape = [1, 17, {width}]> () "
        f"simcc_y = RandomUniform <shape = [1, 17, {height}]> ()",
    )
    with pytest.raises(ModelError, match=why):
        model = load_model(path, runtime=runtime, precision="fp32")
        estimate(model, Frame(np.zeros((9, 9, 3), np.uint8)), People.of(boxes=[[1, 1, 5, 5]]))
