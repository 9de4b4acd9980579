"""YOLOX as its authors publish it: sizes, names, and people found with a converted checkpoint."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from posewright.checkpoints import convert, foreign
from posewright.cli import main
from posewright.codecs.grid_boxes import YoloxBoxes
from posewright.errors import ModelError, UsageError
from posewright.models import PoseModel, create, variants
from posewright.models.counting import count

# millions of parameters and GFLOPs (two for each multiply-accumulate) of the authors' table
SIZES = {
    "nano": (0.91, 1.08),
    "tiny": (5.06, 6.45),
    "s": (9.0, 26.8),
    "m": (25.3, 73.8),
    "l": (54.2, 155.6),
    "x": (99.1, 281.9),
}
_CSP = r"(backbone\.stage[1-3]\.1|backbone\.stage4\.2|neck\.(?:top_down|bottom_up)_blocks\.\d)\."
# our names -> theirs, in order
NAMES = (
    (_CSP + r"main_conv\.", r"\1.conv1."),
    (_CSP + r"short_conv\.", r"\1.conv2."),
    (_CSP + r"final_conv\.", r"\1.conv3."),
    (_CSP + r"blocks\.", r"\1.m."),
    (r"\.(d)epthwise_conv\.|\.(p)ointwise_conv\.", r".\1\2conv."),
    (r"backbone\.stem\.", "backbone.backbone.stem."),
    (r"neck\.reduce_layers\.0\.", "backbone.lateral_conv0."),
    (r"neck\.reduce_layers\.1\.", "backbone.reduce_conv1."),
    (r"neck\.top_down_blocks\.0\.", "backbone.C3_p4."),
    (r"neck\.top_down_blocks\.1\.", "backbone.C3_p3."),
    (r"neck\.downsamples\.0\.", "backbone.bu_conv2."),
    (r"neck\.downsamples\.1\.", "backbone.bu_conv1."),
    (r"neck\.bottom_up_blocks\.0\.", "backbone.C3_n3."),
    (r"neck\.bottom_up_blocks\.1\.", "backbone.C3_n4."),
    (r"neck\.out_convs\.", "head.stems."),
    (r"head\.conv_(cls|reg)\.", r"head.\1_convs."),
    (r"head\.out_bbox\.", "head.reg_preds."),
    (r"head\.out_(cls|obj)\.", r"head.\1_preds."),
    *((rf"backbone\.stage{i}\.", f"backbone.backbone.dark{i + 1}.") for i in range(1, 5)),
)


def as_published(model: PoseModel) -> dict[str, torch.Tensor]:
    state = {}
    for key, value in model.state_dict().items():
        for ours, theirs in NAMES:
            key = re.sub("^" + ours if ours[0] != "\\" else ours, theirs, key)
        state[key] = value
    return state


def with_one_size_of_box(name: str, size: tuple[int, int]) -> PoseModel:
    """Boxes of 192 px, near 1 at all cells of stride 32 and near 0 elsewhere."""
    model = create(name, input_size=size)
    with torch.no_grad():
        for i in range(3):
            for convs in (model.head.out_cls, model.head.out_obj, model.head.out_bbox):
                convs[i].weight.zero_()
                convs[i].bias.fill_(8.0 if i == 2 else -8.0)
            model.head.out_bbox[i].bias.copy_(torch.tensor([0.5, 0.5, np.log(6), np.log(6)]))
    return model


@pytest.mark.parametrize("size", SIZES)
def test_sizes_are_those_of_the_authors(size: str) -> None:
    with torch.device("meta"):
        counts = count(create(f"yolox_{size}"))
    parameters, gflops = SIZES[size]
    assert counts.parameters / 1e6 == pytest.approx(parameters, rel=0.01)
    assert 2 * counts.gmacs == pytest.approx(gflops, rel=0.035)  # theirs is 3 % higher for nano


def test_detectors_are_a_task_of_their_own() -> None:
    found = variants("boxes")
    assert {f"yolox_{size}" for size in SIZES} <= set(found)
    assert not found.keys() & (variants().keys() | variants("embedding").keys())
    assert found.keys() < variants(None).keys()
    with pytest.raises(UsageError, match="multiples of 32"):
        create("yolox_s", input_size=(600, 640))


@pytest.mark.parametrize("size", ["nano", "tiny"])
def test_their_names_become_ours(size: str) -> None:
    torch.manual_seed(0)
    model = create(f"yolox_{size}")
    state = as_published(model)
    assert not state.keys() & model.state_dict().keys() - {"mean", "std"}
    made = convert(state, foreign("yolox"), model)
    assert all(torch.equal(value, made[key]) for key, value in model.state_dict().items())
    del state["head.stems.1.conv.weight"]
    with pytest.raises(ModelError, match=r"missing keys: neck\.out_convs\.1\.conv\.weight"):
        convert(state, foreign("yolox"), model)


def test_the_graph_and_the_codec_agree_on_cells() -> None:
    model = with_one_size_of_box("yolox_nano", (256, 128))
    with torch.inference_mode():
        outputs = model(torch.zeros(2, 128, 256, 3, dtype=torch.uint8))
    assert isinstance(model.codec, YoloxBoxes)
    for people in model.codec.decode(outputs):
        sides = people.boxes[:, 2:] - people.boxes[:, :2]
        middles = (people.boxes[:, 2:] + people.boxes[:, :2]) / 2
        np.testing.assert_allclose(sides, 192, rtol=1e-4)
        assert len(people) > 1 and np.all(middles % 32 == pytest.approx(16, abs=1e-3))


def test_people_are_found_with_a_converted_checkpoint(
    people_jpg: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published, ours = tmp_path / "yolox_nano.pth", tmp_path / "yolox_nano.safetensors"
    state = as_published(with_one_size_of_box("yolox_nano", (416, 416)))
    torch.save({"start_epoch": 300, "model": state}, published)
    command = ["models", "convert", str(published), "--as", "yolox", "-o", str(ours)]
    assert main(command) == 0
    assert "yolox_nano" in capsys.readouterr().out
    words = ["-d", str(ours), "--min-score", "0", "--nms", "none", "--save", "jsonl"]
    assert main(["predict", str(people_jpg), *words, "-o", str(tmp_path / "out")]) == 0
    head, row = (tmp_path / "out" / "poses.jsonl").read_text("utf-8").splitlines()
    assert json.loads(head)["detector"]["name"] == "yolox_nano"
    people = json.loads(row)["people"]
    assert people and all(person["box_score"] > 0.99 for person in people)
