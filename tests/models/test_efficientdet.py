"""EfficientDet-D0: anchors, padding, and boxes of its rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from posewright.checkpoints import convert, foreign
from posewright.errors import ModelError, UsageError
from posewright.models import create
from posewright.models.counting import count
from posewright.models.efficientdet import SameConv, halved


def test_its_size_is_that_of_the_original() -> None:
    with torch.device("meta"):
        counts = count(create("efficientdet_d0"))
    assert counts.parameters == 3_880_067
    assert counts.gmacs == pytest.approx(2.5, rel=0.03)  # the paper's table, as FLOPs


def test_anchors_are_nine_of_each_cell() -> None:
    with torch.device("meta"):
        codec = create("efficientdet_d0").codec
    places = codec.locations
    assert len(places) == 49_104 and codec.anchors_per_cell == 9
    first = places[:: 64 * 64][:9, 3:]
    areas = first.prod(1) ** 0.5
    np.testing.assert_allclose(areas[[0, 3, 6]], 32 * 2.0 ** (np.arange(3) / 3), rtol=1e-6)
    np.testing.assert_allclose(first[1] / first[0], [1.4, 0.7], rtol=1e-6)
    np.testing.assert_allclose(first[2] / first[0], [0.7, 1.4], rtol=1e-6)


@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_is_tensorflows(kernel: int) -> None:
    """The first window of an even map begins one pixel later than that of symmetric padding."""
    x = torch.randn(1, 2, 8, 8)
    conv = SameConv(2, 2, kernel, 2)
    symmetric = F.conv2d(x, conv.weight, None, 1, kernel // 2)[..., 1::2, 1::2]
    torch.testing.assert_close(conv(x), symmetric)
    assert torch.equal(halved(x), F.max_pool2d(x, 3, 1, 1)[..., 1::2, 1::2])
    assert torch.equal(halved(-x.abs() - 1) < 0, torch.ones(1, 2, 4, 4, dtype=torch.bool))


def test_a_person_is_where_the_anchor_says() -> None:
    model = create("efficientdet_d0", input_size=(256, 128))
    with torch.no_grad():
        for branch in (model.head.class_net, model.head.box_net):
            branch.predict.conv_pw.weight.zero_()
            branch.predict.conv_pw.bias.fill_(-9)
        model.head.class_net.predict.conv_pw.bias[0] = 9  # of the first anchor, a person
        model.head.box_net.predict.conv_pw.bias.view(9, 4)[0] = torch.tensor(
            [0.25, 0.5, np.log(2), np.log(0.5)]
        )
    with torch.inference_mode():
        (people,) = model.codec.decode(model(torch.zeros(1, 128, 256, 3, dtype=torch.uint8)))
    x1, y1, x2, y2 = people.boxes.T
    square = (x2 - x1) * 2  # of the anchor, 32 px at stride 8
    assert len(people) > 1 and {32, 64, 128, 256} & set(np.round(square).tolist())
    np.testing.assert_allclose(y2 - y1, 4 * (x2 - x1), rtol=1e-4)
    stride = square / 4
    cells = ((x1 + x2) / 2 + 0.5 - 0.5 * square) / stride
    np.testing.assert_allclose(cells % 1, 0.5, atol=1e-3)
    (warp,) = model.codec.warps((100, 100), None)
    assert warp.points([-0.5, -0.5]).tolist() == [-0.5, -0.5]  # top left


def test_files_of_other_members_of_the_family_are_refused() -> None:
    with torch.device("meta"):
        model = create("efficientdet_d0")
        state = {
            k.replace("neck.", "fpn.").replace("head.", ""): v
            for k, v in model.state_dict().items()
        }
        assert set(convert(state, foreign("effdet"), model)) == set(model.state_dict())
        theirs = {k: v for k, v in state.items() if not k.endswith("conv_pw.bias")}
        with pytest.raises(ModelError, match="missing keys"):
            convert(theirs, foreign("effdet"), model)
    with pytest.raises(UsageError, match="multiples of 128"):
        create("efficientdet_d0", input_size=(512, 416))
