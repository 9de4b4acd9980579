"""Operators that pick values off the grid, against loops that follow their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from posewright.errors import ModelError
from posewright.models.parts.deform import (
    DeformConv2d,
    ModulatedDeformConv2d,
    deform_conv2d,
    flow_warp,
    ms_deform_attention,
)

DOUBLE = torch.float64


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def rand(*shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE) * scale


def pick(plane: Tensor, y: float, x: float) -> float:
    """Bilinear value of (h, w) at (y, x); outside is 0."""
    h, w = plane.shape
    top, left = math.floor(y), math.floor(x)
    total = 0.0
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < h and 0 <= column < w:
                share = (1 - abs(y - row)) * (1 - abs(x - column))
                total += share * float(plane[row, column])
    return total


def loop_deform(x, offset, weight, stride, padding, dilation, groups, deform_groups, mask):
    outputs, per_group, kh, kw = weight.shape
    b, c = x.shape[:2]
    ho, wo = offset.shape[2:]
    found = torch.zeros(b, outputs, ho, wo, dtype=DOUBLE)
    for n, o, i, j in torch.cartesian_prod(*map(torch.arange, found.shape)).tolist():
        for part in range(per_group):
            channel = o // (outputs // groups) * per_group + part
            deform = channel // (c // deform_groups)
            for tap in range(kh * kw):
                at = deform * kh * kw + tap
                y = i * stride - padding + tap // kw * dilation + float(offset[n, 2 * at, i, j])
                z = j * stride - padding + tap % kw * dilation + float(offset[n, 2 * at + 1, i, j])
                value = pick(x[n, channel], y, z) * weight[o, part, tap // kw, tap % kw]
                found[n, o, i, j] += value * (1 if mask is None else mask[n, at, i, j])
    return found


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups", "deform_groups", "masked"),
    [
        (3, 1, 1, 1, 1, 1, False),
        (3, 2, 1, 1, 1, 2, True),
        (3, 1, 2, 2, 2, 1, False),
        (1, 1, 0, 1, 4, 4, True),
        (2, 1, 0, 1, 2, 4, False),
    ],
)
@pytest.mark.parametrize("exporting", [False, True])
def test_deform_conv2d_equals_the_loop(
    monkeypatch, exporting, kernel, stride, padding, dilation, groups, deform_groups, masked
):
    monkeypatch.setattr("torch.compiler.is_exporting", lambda: exporting)
    monkeypatch.setattr("posewright.models.parts.deform.LONG_ROW", 1)
    b, c, o, h, w = 2, 4, 4, 5, 4
    x, weight, bias = rand(b, c, h, w), rand(o, c // groups, kernel, kernel), rand(o)
    ho, wo = ((side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for side in (h, w))
    taps = deform_groups * kernel * kernel
    offset = rand(b, 2 * taps, ho, wo, scale=2.0)  # many leave the map
    mask = rand(b, taps, ho, wo) if masked else None
    expected = loop_deform(
        x, offset, weight, stride, padding, dilation, groups, deform_groups, mask
    )
    for memory in (torch.contiguous_format, torch.channels_last):
        found = deform_conv2d(
            x.to(memory_format=memory),
            offset.to(memory_format=memory),
            weight.to(memory_format=memory),
            bias,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            deform_groups=deform_groups,
            mask=mask,
        )
        torch.testing.assert_close(found, expected + bias[:, None, None])


@pytest.mark.parametrize("groups", [1, 2])
def test_deform_conv2d_without_offset_is_a_convolution(groups: int) -> None:
    x, weight = rand(2, 4, 7, 6), rand(6, 4 // groups, 3, 2)
    for options in ({}, {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}):
        expected = F.conv2d(x, weight, groups=groups, **options)
        offset = x.new_zeros(2, 12, *expected.shape[2:])
        found = deform_conv2d(x, offset, weight, groups=groups, **options)
        torch.testing.assert_close(found, expected)


def test_a_whole_cell_of_offset_moves_the_picture() -> None:
    x, weight = rand(1, 2, 6, 6), rand(3, 2, 3, 3)
    offset = x.new_zeros(1, 18, 6, 6)
    offset[:, 0::2] = 1  # dy
    offset[:, 1::2] = -2  # dx
    moved = F.pad(x, (2, 0, 0, 1))[:, :, 1:, :6]
    found = deform_conv2d(x, offset, weight, padding=1)
    inner = F.conv2d(moved, weight, padding=1)[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(found[:, :, 1:-1, 1:-1], inner)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_what_goes_part_by_part_without_gradients_is_the_same(memory: torch.memory_format) -> None:
    x = rand(2, 128, 32, 32).to(memory_format=memory)  # planes of 4 KiB; four parts
    offset, mask = rand(2, 36, 32, 32, scale=2.0), rand(2, 18, 32, 32)
    weight, flow = rand(6, 64, 3, 3), rand(2, 2, 32, 32)

    def run() -> tuple[Tensor, Tensor]:
        deformed = deform_conv2d(x, offset, weight, padding=1, groups=2, deform_groups=2, mask=mask)
        return deformed, flow_warp(x, flow)

    with torch.no_grad():
        parts = run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.compiler.is_exporting", lambda: True)
        torch.testing.assert_close(parts, run())  # as planes
    torch.testing.assert_close(parts, run())  # whole


@pytest.mark.parametrize("long_row", [1, 64])
def test_deform_conv2d_has_the_right_gradients(monkeypatch, long_row: int) -> None:
    monkeypatch.setattr("posewright.models.parts.deform.LONG_ROW", long_row)
    x, offset, weight = rand(1, 4, 4, 3), rand(1, 36, 4, 3), rand(2, 2, 3, 3)
    mask, bias = rand(1, 18, 4, 3), rand(2)
    inputs = [t.requires_grad_() for t in (x, offset, weight, bias, mask)]

    def run(x, offset, weight, bias, mask):
        return deform_conv2d(
            x, offset, weight, bias, padding=1, groups=2, deform_groups=2, mask=mask
        )

    assert torch.autograd.gradcheck(run, inputs)


def test_the_modules_hold_what_published_state_dicts_do() -> None:
    plain = DeformConv2d(4, 6, 3, padding=1, groups=2)
    assert {k: tuple(v.shape) for k, v in plain.state_dict().items()} == {"weight": (6, 2, 3, 3)}
    modulated = ModulatedDeformConv2d(4, 6)
    shapes = {k: tuple(v.shape) for k, v in modulated.state_dict().items()}
    assert shapes == {
        "weight": (6, 4, 3, 3),
        "bias": (6,),
        "conv_offset_mask.weight": (27, 4, 3, 3),
        "conv_offset_mask.bias": (27,),
    }
    x = torch.randn(2, 4, 5, 5)
    half = F.conv2d(x, modulated.weight / 2, modulated.bias, padding=1)
    torch.testing.assert_close(modulated(x), half)
    torch.testing.assert_close(
        plain(x, torch.zeros(2, 18, 5, 5)), F.conv2d(x, plain.weight, padding=1, groups=2)
    )


@pytest.mark.parametrize("bad", [(1, 16, 4, 4), (1, 18, 5, 4)])
def test_offsets_of_another_shape_are_named(bad: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"offset is .* needs \(1, 18, 4, 4\)"):
        deform_conv2d(torch.zeros(1, 2, 4, 4), torch.zeros(bad), torch.zeros(2, 2, 3, 3), padding=1)


def test_numbers_that_are_not_finite_do_not_point_outside() -> None:
    offset = torch.full((1, 18, 4, 4), float("nan"))
    offset[:, :, 0] = float("inf")
    offset[:, :, 1] = 1e30
    offset[:, :, 2] = 0
    weight = torch.ones(1, 1, 3, 3)
    found = deform_conv2d(torch.ones(1, 1, 4, 4), offset, weight, padding=1)
    assert found[0, 0, 2].tolist() == [6, 9, 9, 6]


def test_half_precision_keeps_places() -> None:
    x = torch.arange(1024.0).view(1, 1, 1, 1024).repeat(1, 1, 2, 1) % 7
    offset = torch.full((1, 2, 2, 1024), 0.5)
    weight = torch.ones(1, 1, 1, 1)
    exact = deform_conv2d(x, offset, weight)
    coarse = deform_conv2d(x.bfloat16(), offset.bfloat16(), weight.bfloat16())
    assert coarse.dtype == torch.bfloat16
    torch.testing.assert_close(coarse.float(), exact, atol=0.02, rtol=0.01)


SHAPES = [(3, 4), (2, 2)]


def attention_inputs(values_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    values = rand(2, 16, values_heads, 5)
    locations = torch.rand(2, 3, 2, 2, 4, 2, dtype=DOUBLE) * 1.4 - 0.2  # some lie outside
    weights = torch.softmax(rand(2, 3, 2, 8), -1).view(2, 3, 2, 2, 4)
    return values, locations, weights


@pytest.mark.parametrize("values_heads", [1, 2])
def test_ms_deform_attention_equals_the_loop(values_heads: int) -> None:
    values, locations, weights = attention_inputs(values_heads)
    expected = torch.zeros(2, 3, 2, 5, dtype=DOUBLE)
    for n, q, m, d in torch.cartesian_prod(*map(torch.arange, expected.shape)).tolist():
        start = 0
        for level, (h, w) in enumerate(SHAPES):
            head = m if values_heads > 1 else 0
            plane = values[n, start : start + h * w, head, d].view(h, w)
            start += h * w
            for point in range(4):
                x, y = locations[n, q, m, level, point].tolist()
                value = pick(plane, y * h - 0.5, x * w - 0.5)
                expected[n, q, m, d] += value * weights[n, q, m, level, point]
    found = ms_deform_attention(values, SHAPES, locations, weights)
    torch.testing.assert_close(found, expected.flatten(2))


@pytest.mark.parametrize("values_heads", [1, 2])
def test_ms_deform_attention_has_the_right_gradients(values_heads: int) -> None:
    inputs = [t.requires_grad_() for t in attention_inputs(values_heads)]
    assert torch.autograd.gradcheck(lambda v, at, w: ms_deform_attention(v, SHAPES, at, w), inputs)


def test_values_of_other_maps_are_named() -> None:
    values, locations, weights = attention_inputs(2)
    with pytest.raises(ModelError, match="16 values"):
        ms_deform_attention(values, [(3, 4), (2, 3)], locations, weights)


def test_flow_warp_equals_the_loop() -> None:
    x, flow = rand(2, 3, 4, 5), rand(2, 2, 4, 5, scale=3.0)
    expected = torch.zeros_like(x)
    for n, c, i, j in torch.cartesian_prod(*map(torch.arange, x.shape)).tolist():
        px, py = j + float(flow[n, 0, i, j]), i + float(flow[n, 1, i, j])
        left, top = math.floor(px), math.floor(py)
        for row in (top, top + 1):
            for column in (left, left + 1):
                share = (1 - abs(py - row)) * (1 - abs(px - column))
                inside = x[n, c, min(max(row, 0), 3), min(max(column, 0), 4)]
                expected[n, c, i, j] += share * inside
    torch.testing.assert_close(flow_warp(x, flow), expected)


def test_flow_warp_has_the_right_gradients() -> None:
    x, flow = rand(1, 2, 3, 4).requires_grad_(), rand(1, 2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(flow_warp, [x, flow])
    with pytest.raises(ModelError, match="flow is"):
        flow_warp(x, flow[:, :, :2])


def test_the_form_that_exporters_take_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, flow = rand(1, 4, 5, 5), rand(1, 2, 5, 5, scale=3.0)
    fast = flow_warp(x, flow)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(flow_warp(x, flow), fast)


def test_exported_programs_run() -> None:
    model = ModulatedDeformConv2d(4, 6).eval()
    torch.nn.init.normal_(model.conv_offset_mask.weight)
    x = torch.randn(2, 4, 6, 5)
    program = torch.export.export(model, (x,))
    torch.testing.assert_close(program.module()(x), model(x))
