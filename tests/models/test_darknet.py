"""YOLOv3: Darknet's files, the order of its layers and the boxes of its anchors."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from posewright.checkpoints import convert, foreign
from posewright.checkpoints.darknet import NUMBERS, read_darknet
from posewright.checkpoints.files import read_checkpoint
from posewright.checkpoints.tables.darknet import numbered
from posewright.codecs.anchor_boxes import AnchorBoxes
from posewright.errors import ModelError, UsageError
from posewright.models import create


@pytest.mark.parametrize(("minor", "header"), [(1, 16), (2, 20), (5, 20)])
def test_the_header_has_a_longer_count_from_version_2_on(minor: int, header: int) -> None:
    data = struct.pack("<3i", 0, minor, 0) + bytes(header - 12)
    values = np.array([1.5, -2, 3], "<f4")
    found = read_darknet(data + values.tobytes())
    assert found[NUMBERS].tolist() == [1.5, -2, 3]
    with pytest.raises(ModelError, match="a number is incomplete"):
        read_darknet(data + values.tobytes()[:-1])


@pytest.mark.parametrize(
    "data", [b"", bytes(19), b"<html>" * 9, struct.pack("<5i", 1, -1, 0, 0, 0)]
)
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "yolov3.weights"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"yolov3\.weights: "):
        read_checkpoint(path)


def test_numbers_of_another_network_are_refused() -> None:
    with torch.device("meta"):
        model = create("yolov3")
        with pytest.raises(ModelError, match="40,549,216 numbers, where yolov3 has 62,001,757"):
            convert({NUMBERS: torch.zeros(40_549_216)}, foreign("darknet"), model)


@pytest.mark.parametrize(
    ("name", "parameters", "size"),
    [("yolov3", 61_949_149, 248_007_048), ("yolov3_spp", 62_998_749, 252_209_544)],
)
def test_sizes_are_those_of_the_published_files(name: str, parameters: int, size: int) -> None:
    with torch.device("meta"):
        model = create(name)
        count = (size - 20) // 4
        made = convert({NUMBERS: torch.zeros(count)}, foreign("darknet"), model)
    assert model.parameters_count == parameters
    assert set(made) == set(model.state_dict())


def test_names_of_ports_are_those_of_sections() -> None:
    state = {
        "module_list.0.conv_0.weight": torch.zeros(1),
        "module_list.0.batch_norm_0.running_var": torch.ones(1),
        "module_list.1.conv_1.weight": torch.zeros(2),
        "module_list.2.conv_2.weight": torch.zeros(3),
        "other": torch.zeros(4),
    }
    assert {k: len(v) for k, v in numbered(state, "yolov3").items()} == {
        "backbone.stem.conv.weight": 1,
        "backbone.stem.bn.running_var": 1,
        "backbone.stages.0.0.conv.weight": 2,
        "backbone.stages.0.1.conv1.conv.weight": 3,
        "other": 4,
    }


def test_boxes_count_from_the_outer_edge() -> None:
    """One anchor in the second cell of the coarsest level: its corner is at 32 px, ours at 31.5."""
    codec = AnchorBoxes((64, 64))
    rows = np.zeros((2, len(codec.locations), 85), np.float32)
    rows[0, 1 * 4 + 1] = [0.5, 0.25, 1, 2, 0.9, 0.8, *[1] * 79]
    rows[0, 1 * 4 + 2] = [0.5, 0.25, 1, 2, 0.9, np.nan, *[1] * 79]
    people, nobody = codec.decode({"rows": rows})
    assert len(nobody) == 0 and people.box_scores.tolist() == [pytest.approx(0.72)]
    width, height = 156, 2 * 198
    expected = [47.5 - width / 2, 7.5 - height / 2, 47.5 + width / 2, 7.5 + height / 2]
    np.testing.assert_allclose(people.boxes[0], expected, rtol=1e-6)
    with pytest.raises(ModelError, match="12 anchors, but a view has 252"):
        codec.decode({"rows": rows[:, :12]})


def test_sizes_and_anchors_are_checked() -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        create("yolov3_spp", input_size=(600, 608))
    with pytest.raises(UsageError, match="10 anchor numbers"):
        AnchorBoxes(anchors=(1.0,) * 10)
