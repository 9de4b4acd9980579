"""The size of graphs: every operation by hand, and networks of the zoo against torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from posewright.codecs import Heatmap
from posewright.compare.networks import count_file
from posewright.runtimes.counts import Counts, Product
from posewright.runtimes.info import METADATA_KEY, Input, ModelInfo
from posewright.runtimes.onnx_counts import onnx_counts
from posewright.skeletons import COCO17

SIZE = (32, 64)  # width, height
INFO = ModelInfo("by hand", Heatmap(SIZE), COCO17, Input("NCHW", "float32"))

Node = tuple[str, list[str], dict[str, object]]


def graph(path: Path, nodes: list[Node], batch: int | str = "n", **weights: np.ndarray) -> Path:
    """Write a graph whose nodes make "1", "2", ... in turn; the last is the output."""
    made = [
        helper.make_node(kind, inputs, [str(n)], **attributes)
        for n, (kind, inputs, attributes) in enumerate(nodes, 1)
    ]
    views = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, *SIZE[::-1]])
    out = helper.make_empty_tensor_value_info(str(len(nodes)))
    out.type.tensor_type.elem_type = TensorProto.FLOAT
    kept = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    model = helper.make_model(
        helper.make_graph(made, "g", [views], [out], kept),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, path)
    return path


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


CONV: Node = ("Conv", ["x", "w"], {"strides": [2, 2], "pads": [1, 1, 1, 1]})


def test_convolutions_count_their_weights_at_every_output_cell(tmp_path: Path) -> None:
    depthwise: Node = ("Conv", ["1", "d"], {"group": 8, "pads": [1, 1, 1, 1]})
    path = graph(tmp_path / "a.onnx", [CONV, depthwise], w=ones(8, 3, 3, 3), d=ones(8, 1, 3, 3))
    cells = 16 * 32
    macs = cells * 8 * 3 * 9 + cells * 8 * 9
    assert onnx_counts(path, INFO) == Counts(8 * 27 + 8 * 9, macs, macs)


def test_transposed_convolutions_count_at_input_and_at_output_cells(tmp_path: Path) -> None:
    up: Node = ("ConvTranspose", ["1", "u"], {"strides": [2, 2], "pads": [1, 1, 1, 1]})
    path = graph(tmp_path / "a.onnx", [CONV, up], w=ones(8, 3, 3, 3), u=ones(8, 5, 4, 4))
    counts = onnx_counts(path, INFO)
    first, taps = 16 * 32 * 8 * 27, 8 * 5 * 16
    assert counts is not None
    assert counts.macs == first + 16 * 32 * taps
    assert counts.macs_at_outputs == first + 32 * 64 * taps


def test_matrices_and_equations_of_tokens(tmp_path: Path) -> None:
    shape = np.array([-1, 3 * 64, 32])
    nodes: list[Node] = [
        ("Reshape", ["x", "shape"], {}),  # (n, 192, 32)
        ("MatMul", ["1", "w"], {}),  # (n, 192, 16)
        ("Einsum", ["2", "2"], {"equation": "bic,bjc->bij"}),  # (n, 192, 192)
        ("ReduceMean", ["3"], {"axes": [1], "keepdims": 0}),  # (n, 192)
        ("Gemm", ["4", "g"], {"transB": 1}),  # (n, 10)
    ]
    path = graph(tmp_path / "a.onnx", nodes, shape=shape, w=ones(32, 16), g=ones(10, 192))
    macs = 192 * 32 * 16 + 192 * 192 * 16 + 192 * 10
    assert onnx_counts(path, INFO) == Counts(32 * 16 + 1920, macs, macs)  # no numbers of shapes


def test_a_graph_of_several_views_is_counted_for_one(tmp_path: Path) -> None:
    path = graph(tmp_path / "a.onnx", [CONV], batch=4, w=ones(8, 3, 3, 3))
    counts = onnx_counts(path, INFO)
    assert counts is not None and counts.macs == 16 * 32 * 8 * 27


def test_weights_in_a_file_beside_count_too(tmp_path: Path) -> None:
    path = graph(tmp_path / "a.onnx", [CONV], w=ones(8, 3, 3, 3))
    whole = onnx_counts(path, INFO)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="a.bin", size_threshold=0)
    assert (tmp_path / "a.bin").is_file()
    assert whole is not None and onnx_counts(path, INFO) == whole


def test_work_that_depends_on_the_pixels_is_not_known(tmp_path: Path) -> None:
    nodes: list[Node] = [
        ("Reshape", ["x", "shape"], {}),
        ("NonZero", ["1"], {}),  # (2, nobody knows)
        ("Cast", ["2"], {"to": TensorProto.FLOAT}),
        ("Transpose", ["3"], {}),
        ("MatMul", ["4", "w"], {}),
    ]
    shape = np.array([-1, 3 * 64 * 32])
    path = graph(tmp_path / "a.onnx", nodes, shape=shape, w=ones(2, 7))
    assert onnx_counts(path, INFO) is None


def test_what_is_no_graph_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"\x0a\xff\xff")
    assert onnx_counts(tmp_path / "a.onnx", INFO) is None


@pytest.mark.parametrize("transposed", [False, True])
def test_a_first_matrix_may_be_transposed(transposed: bool) -> None:
    x = (4, 7) if transposed else (7, 4)
    assert Product("matrix", x, (4, 5), (7, 5), transposed).macs == (140, 140)


def test_an_equation_with_dots_counts_what_is_summed() -> None:
    product = Product("...ij, jk -> ...ik", (2, 6, 3, 4), (4, 5), (2, 6, 3, 5))
    assert product.macs == (2 * 6 * 3 * 5 * 4,) * 2


# --- against torch -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["simple_baseline_r50", "vitpose_s"])
def test_files_of_both_runtimes_count_as_torch_does(tmp_path: Path, name: str) -> None:
    pytest.importorskip("torch")
    from posewright.export.export import write_onnx
    from posewright.models import create
    from posewright.models.counting import count
    from posewright.models.saving import describe

    model = create(name, input_size=(64, 64))
    ours, info = count(model), describe(model)
    write_onnx(model, tmp_path / "a.onnx", info, 0, False)
    files = [tmp_path / "a.onnx"]
    try:
        import openvino as ov
    except ImportError:
        pass
    else:
        read = ov.Core().read_model(files[0])
        ov.save_model(read, tmp_path / "a.xml")
        files.append(tmp_path / "a.xml")
    for file in files:
        found = count_file(file, info)
        assert found is not None, file
        assert (found.macs, found.macs_at_outputs) == (ours.macs, ours.macs_at_outputs), file
        assert found.parameters == pytest.approx(ours.parameters, rel=0.01), file


def test_attention_counts_on_every_device() -> None:
    torch = pytest.importorskip("torch")
    from posewright.models import create
    from posewright.models.counting import count

    with torch.device("meta"):
        bare = create("vitpose_s", input_size=(64, 64))
    assert count(bare) == count(create("vitpose_s", input_size=(64, 64)))


def test_the_embedded_networks_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    from posewright.cli import main

    assert main(["models", "info", "movenet-thunder", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["parameters"], told["macs"]) == (6_226_050, 914_846_208)
    torch = pytest.importorskip("torch")
    from posewright.models import create
    from posewright.models.counting import count

    with torch.device("meta"):
        ours = count(create("movenet_thunder"))  # of 256 x 256; the embedded view is 192 x 256
    assert told["macs"] == ours.macs * 192 // 256
    assert told["parameters"] == pytest.approx(ours.parameters, rel=1e-3)


def test_an_exported_file_states_its_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from posewright.cli import main

    path = graph(tmp_path / "a.onnx", [CONV], w=ones(8, 3, 3, 3))
    model = onnx.load(path)
    helper.set_model_props(model, {METADATA_KEY: INFO.to_json()})
    onnx.save(model, path)
    assert main(["models", "info", str(path), "--json", "--measure"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["macs"] == 16 * 32 * 8 * 27 and told["parameters"] == 216
    assert told["view_ms"] > 0 and (told["memory_mb"] is None or told["memory_mb"] > 20)
