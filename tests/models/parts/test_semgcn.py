"""GAU, SemGCN and GraFormer: parameter counts, attention, graphs, gradients, foreign names."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posewright.checkpoints import convert, foreign
from posewright.errors import UsageError
from posewright.models.parts.gau import ATTENTION, GAULayer
from posewright.models.parts.graformer import HAND, GraFormer
from posewright.models.parts.semgcn import (
    HUMAN36M,
    HUMAN36M_GROUPS,
    NonLocal,
    SemGCN,
    SemGraphConv,
    adjacency,
)

COUNTS = [
    ("gau", "softmax", 426_240),
    ("gau", "softmax_plus", 426_240),
    ("gau", "squared_relu_n^2", 426_240),
    ("gau", "squared_relu_ns", 426_240),
    ("semgcn", "semgcn_h128_l4", 267_343),
    ("semgcn", "semgcn_h128_l4_nonlocal", 434_703),
    ("semgcn", "semchgcn", 6_528),
    ("graformer", "h128_l4", 927_975),
]
# 0 - 1 - 2, and 3 on its own
CHAIN = adjacency([(0, 1), (1, 2)], 4)


def built(family: str, variant: str) -> nn.Module:
    torch.manual_seed(0)
    return foreign(family).variants[variant]()


def inputs(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("family", "variant", "count"), COUNTS)
def test_counts_and_a_step(family: str, variant: str, count: int) -> None:
    model = built(family, variant).train()
    assert sum(p.numel() for p in model.parameters()) == count
    joints = 21 if family == "graformer" else 16
    width = 256 if family == "gau" else 2
    model(inputs(2, joints, width)).square().mean().backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all(), name


@pytest.mark.parametrize("name", ["softmax", "softmax_plus"])
def test_attention_sums_to_one(name: str) -> None:
    rows = ATTENTION[name](inputs(2, 9, 9), 128).sum(2)
    torch.testing.assert_close(rows, torch.ones(2, 9))


def test_softmax_plus_is_the_softmax_at_512() -> None:
    scores = inputs(1, 512, 512)
    torch.testing.assert_close(ATTENTION["softmax_plus"](scores, 128), scores.softmax(2))


def test_softmax_plus_keeps_attention_sharp_among_more_tokens() -> None:
    """The share of the entropy's maximum, log N, hardly grows with N, unlike the softmax's."""
    spread: dict[str, list[float]] = {"softmax": [], "softmax_plus": []}
    for n in (16, 4096):
        scores = 4 * inputs(4, 1, n)
        for name, values in spread.items():
            log = (ATTENTION[name](scores.expand(4, n, n)[:, :1], 128)).log()
            values.append(float(-(log.exp() * log).sum(2).mean()) / math.log(n))
    growth = {name: b - a for name, (a, b) in spread.items()}
    assert growth["softmax_plus"] < growth["softmax"]


@pytest.mark.parametrize(
    ("name", "divisor"), [("squared_relu_ns", 5 * 8), ("squared_relu_n^2", 25)]
)
def test_squared_relus_divide_by_what_their_names_say(name: str, divisor: int) -> None:
    """Of 5 tokens with keys of 8; the reference is written from the formula, in numpy."""
    layer = GAULayer(6, 12, 8, name).eval()
    x = inputs(1, 5, 6)
    w = {key: value.detach().double().numpy() for key, value in layer.gau.named_parameters()}
    t = x[0].double().numpy()
    mixed = t @ w["i_dense.weight"].T
    u, v, z = np.split(mixed / (1 + np.exp(-mixed)), [12, 24], 1)
    q, k = z * w["q_scaleoffset.weight"], z * w["k_scaleoffset.weight"]
    attention = np.maximum(q @ k.T / math.sqrt(8), 0) ** 2 / divisor
    y = t + (u * (attention @ v)) @ w["o_dense.weight"].T
    expected = y / np.sqrt((y**2).mean(1, keepdims=True))
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_layer_normalises_and_knows_its_attention() -> None:
    y = GAULayer(8, 16, 4)(inputs(2, 5, 8))
    torch.testing.assert_close(y.square().mean(2), torch.ones(2, 5))
    with pytest.raises(UsageError, match="did you mean 'softmax'"):
        GAULayer(8, 16, 4, "softmx")


@pytest.mark.parametrize("channel_wise", [False, True])
def test_a_graph_convolution_sees_neighbours_only(channel_wise: bool) -> None:
    layer = SemGraphConv(2, 5, CHAIN, channel_wise=channel_wise)
    nn.init.normal_(layer.e)
    x = inputs(1, 4, 2)
    moved = x.clone()
    moved[:, 0] += 1
    same = (layer(x) == layer(moved)).all(2)[0].tolist()
    assert same == [False, False, True, True]


def test_a_graph_convolution_is_the_mean_over_links_at_first() -> None:
    layer = SemGraphConv(1, 1, CHAIN)
    nn.init.ones_(layer.W)
    nn.init.zeros_(layer.bias)
    x = torch.tensor([[[3.0], [6.0], [9.0], [5.0]]])
    expected = torch.tensor([[[4.5], [6.0], [7.5], [5.0]]])
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("channel_wise", [False, True])
def test_graph_gradients_are_right(channel_wise: bool) -> None:
    layer = SemGraphConv(2, 3, CHAIN, channel_wise=channel_wise).double()
    x = inputs(2, 4, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x, *layer.parameters()))


def test_groups_name_each_joint_once() -> None:
    assert sorted(j for group in HUMAN36M_GROUPS for j in group) == list(range(16))
    assert len(HUMAN36M) == 15 and len(HAND) == 20


def test_a_non_local_block_begins_as_the_identity() -> None:
    block = NonLocal(8, [(0, 2), (1, 3)]).eval()
    x = inputs(2, 4, 8)
    torch.testing.assert_close(block(x), x)
    nn.init.ones_(block.W[1].weight)
    assert not torch.allclose(block(x), x)


def test_a_person_is_lifted_alike_alone_and_in_company() -> None:
    for model in (
        SemGCN(adjacency(HUMAN36M, 16), 16, 2, HUMAN36M_GROUPS).eval(),
        GraFormer(adjacency(HUMAN36M, 16), 16, 2).eval(),
    ):
        x = inputs(3, 16, 2)
        y = model(x)
        assert y.shape == (3, 16, 3)
        torch.testing.assert_close(model(x[1:2]), y[1:2], rtol=1e-4, atol=1e-5)


def test_a_learnt_graph_of_negative_links_is_still_finite() -> None:
    model = GraFormer(width=16, layers=1).eval()
    nn.init.constant_(model.layers[0].attention.feed_forward.A_hat, -1)
    assert model(inputs(1, 21, 2)).isfinite().all()


def test_published_names_are_converted() -> None:
    ours = built("semgcn", "semgcn_h128_l4_nonlocal")
    state = ours.state_dict()
    theirs = {
        key.replace("gconv_input.1.", "gconv_input.1.nonlocal.")
        if key.startswith("gconv_input.1.")
        else key: value
        for key, value in state.items()
    }
    assert convert(theirs, foreign("semgcn"), ours).keys() == state.keys()
    ours = built("graformer", "h128_l4")
    theirs = {
        key.replace("layers.0.attention.", "atten_layers.0.").replace(
            "layers.0.convolution.", "gconv_layers.0."
        ): value
        for key, value in ours.state_dict().items()
    }
    assert "atten_layers.0.self_attn.linears.3.weight" in theirs
    assert "gconv_layers.0.gconv2.gconv.bias" in theirs
    convert(theirs, foreign("graformer"), ours)
