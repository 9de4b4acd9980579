"""Necks: composition by name, attention that gates, isolated joints, arrangements, errors."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from posewright.errors import UsageError
from posewright.models import create
from posewright.models.parts.attention import (
    CellGAU,
    CoordinateAttention,
    LargeKernel,
    SelectiveKernel,
    SqueezeExcite,
)
from posewright.models.parts.necks import map_neck, token_blocks
from posewright.skeletons import COCO17, Skeleton, get_skeleton

MAPS = ["coordinate_attention", "se", "sk", "lsk", "gau_deep"]
TOKENS = [
    "gau",
    "gau_softmax",
    "gau_softmax_plus",
    "semgcn",
    "graformer",
    "gau+semgcn",
    "gau*semgcn",
    "semgcn*gau_softmax_plus",
    "gau+semgcn+graformer",
    "gau_softmax*gau",
]
# c has no link
LONELY = Skeleton("lonely", ("a", "b", "c", "d"), ((0, 1), (1, 3)))


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def blocks(*names: str, skeleton: Skeleton = LONELY) -> nn.Sequential:
    """The token blocks without the linear layers round them, in evaluation."""
    torch.manual_seed(0)
    tokens = token_blocks(names, 256, skeleton)
    assert tokens is not None
    return tokens.blocks.eval()


def necks(names: Sequence[str] | str, channels: int) -> nn.Sequential:
    made = map_neck(names, channels)
    assert isinstance(made, nn.Sequential)
    return made


@pytest.mark.parametrize("codec", ["simcc", "heatmap"])
def test_a_network_with_necks_is_one_line(codec: str) -> None:
    torch.manual_seed(0)
    neck = ("coordinate_attention", "gau_deep", "gau", "gau+semgcn")
    model = create("simple_baseline_r50", codec=codec, neck=neck, input_size=(64, 64)).train()
    outputs = model(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))
    sum(y.square().mean() for y in outputs.values()).backward()
    for name, p in [*model.neck.named_parameters(), *model.head.tokens.named_parameters()]:
        assert p.grad is not None and p.grad.isfinite().all(), name


def test_necks_leave_the_shapes_of_a_network_alone() -> None:
    views = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    for codec in ("simcc", "heatmap"):
        shapes = [
            {
                key: y.shape
                for key, y in create("hrnet_w32", codec=codec, neck=neck, input_size=(64, 64))(
                    views
                ).items()
            }
            for neck in ((), ("coordinate_attention", "gau"))
        ]
        assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("channels", [32, 48])
def test_map_necks(name: str, channels: int) -> None:
    torch.manual_seed(0)
    neck = necks([name], channels)
    x = features(1, channels, 24, 16).requires_grad_()
    y = neck.train()(x)
    assert y.shape == x.shape and not torch.allclose(y, x)
    y.sum().backward()
    assert all(p.grad is not None for p in neck.parameters())
    neck.eval()
    with torch.inference_mode():
        both = neck(torch.cat([x, features(1, channels, 24, 16, seed=1)]))
        torch.testing.assert_close(both[:1], neck(x), rtol=1e-4, atol=1e-5)


def test_map_necks_apply_in_order() -> None:
    neck = necks(["lsk", "gau", "se"], 32)
    assert [type(n) for n in neck] == [LargeKernel, SqueezeExcite]
    assert map_neck(["gau"], 32) is None and map_neck([], 32) is None
    assert isinstance(necks(["gau_deep"], 32)[0], CellGAU)


def test_coordinate_attention_factorises_into_rows_and_columns() -> None:
    torch.manual_seed(0)
    x = features(1, 16, 6, 5)
    gate = (CoordinateAttention(16).eval()(x) / x)[0].double()
    rank = torch.linalg.matrix_rank(gate, rtol=1e-4)
    assert rank.tolist() == [1] * 16
    assert ((gate > 0) & (gate < 1)).all()


def test_squeeze_and_excite_scales_whole_channels() -> None:
    x = features(1, 16, 6, 5)
    gate = (SqueezeExcite(16)(x) / x)[0].flatten(1)
    torch.testing.assert_close(gate, gate[:, :1].expand_as(gate))


def test_a_selective_kernel_weighs_its_branches_to_one() -> None:
    """Two branches that agree leave the same mean whichever is chosen."""
    block = SelectiveKernel(32).eval()
    block.branches[1].load_state_dict(block.branches[0].state_dict())
    block.branches[1][0].dilation, block.branches[1][0].padding = (1, 1), (1, 1)
    x = features(1, 32, 6, 5)
    torch.testing.assert_close(block(x), x + block.branches[0](x))


@pytest.mark.parametrize(("size", "cells"), [((8, 6), 48), ((64, 48), 192), ((96, 72), 108)])
def test_deep_gau_attends_over_few_cells(size: tuple[int, int], cells: int) -> None:
    seen: list[int] = []
    block = CellGAU(4)
    block.gau.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    assert block(features(1, 4, *size)).shape == (1, 4, *size)
    assert seen == [cells]


@pytest.mark.parametrize("name", TOKENS)
def test_token_blocks(name: str) -> None:
    torch.manual_seed(0)
    tokens = token_blocks([name], 12, COCO17)
    assert tokens is not None and tokens.outputs == 256
    t = features(2, 17, 12).requires_grad_()
    y = tokens.train()(t)
    assert y.shape == (2, 17, 256)
    y.square().sum().backward()
    for key, p in tokens.named_parameters():
        assert p.grad is not None, key
    tokens.eval()
    with torch.inference_mode():
        torch.testing.assert_close(tokens(t[:1]), tokens(t)[:1], rtol=1e-4, atol=1e-5)


def test_outputs_follow_what_is_asked() -> None:
    tokens = token_blocks(["gau"], 12, COCO17, 30)
    assert tokens is not None and tokens(features(1, 17, 12)).shape == (1, 17, 30)
    assert token_blocks(["se"], 12, COCO17) is None


def test_blocks_keep_the_order_of_their_names() -> None:
    def kinds(*names: str) -> list[str]:
        return [type(b).__name__ for b in blocks(*names)]

    assert kinds("gau", "semgcn") == ["GAU", "OnJoints"]
    assert kinds("semgcn", "gau") == ["OnJoints", "GAU"]
    assert kinds("se", "gau_deep", "semgcn") == ["GAU", "OnJoints", "GAU"]


@pytest.mark.parametrize("name", ["semgcn", "graformer"])
def test_an_isolated_joint_neither_changes_nor_is_seen(name: str) -> None:
    block = blocks(name)
    t = features(2, 4, 256)
    y = block(t)
    torch.testing.assert_close(y[:, 2], t[:, 2], rtol=0, atol=0)
    assert not torch.isclose(y, t).all(2)[:, [0, 1, 3]].any()
    moved = t.clone()
    moved[:, 2] += 1
    torch.testing.assert_close(block(moved)[:, [0, 1, 3]], y[:, [0, 1, 3]])


@pytest.mark.parametrize("arrangement", ["gau+{}", "gau*{}", "{}*gau"])
@pytest.mark.parametrize("graph", ["semgcn", "graformer"])
def test_beside_a_graph_an_isolated_joint_has_what_attention_gives_it(
    arrangement: str, graph: str
) -> None:
    block = blocks(arrangement.format(graph))[0]
    t = features(2, 4, 256)
    if arrangement.startswith("{"):  # the graph answers, and does not change this joint
        expected = t
    else:
        expected = (block.blocks[0] if "+" in arrangement else block.answers)(t)
    torch.testing.assert_close(block(t)[:, 2], expected[:, 2], rtol=1e-5, atol=1e-5)


def test_joints_learn_from_their_links() -> None:
    t = features(1, 4, 256)
    moved = t.clone()
    moved[:, 0] += 1
    block = blocks("semgcn")
    changed = ~torch.isclose(block(t), block(moved)).all(2)[0]
    assert changed.tolist() == [True, True, False, True]  # two convolutions reach two links


def test_blocks_side_by_side_add_their_changes() -> None:
    block = blocks("gau+semgcn")[0]
    t = features(2, 4, 256)
    gau, gcn = (b(t) for b in block.blocks)
    torch.testing.assert_close(block(t), gau + gcn - t)


def test_cross_attention_answers_from_the_first_block() -> None:
    block = blocks("gau*semgcn")[0]
    t = features(2, 4, 256)
    nn.init.zeros_(block.out.weight)
    nn.init.zeros_(block.out.bias)
    torch.testing.assert_close(block(t), block.answers(t))


@pytest.mark.parametrize("name", ["coco17", "coco133", "mpii16", "crowdpose14", "halpe26"])
def test_every_skeleton_takes_graph_blocks(name: str) -> None:
    skeleton = get_skeleton(name)
    t = features(1, len(skeleton), 256)
    assert blocks("semgcn", "graformer", skeleton=skeleton)(t).isfinite().all()


@pytest.mark.parametrize(
    ("neck", "message"),
    [
        (("gua",), "no neck 'gua'.*did you mean 'gau'"),
        (("gau+semgnc",), "no neck 'semgnc' for 'gau\\+semgnc'.*did you mean 'semgcn'"),
        (("gau+se",), "no neck 'se' for 'gau\\+se'"),
        (("gau*semgcn*graformer",), "two blocks"),
        (("gau+gau*semgcn",), "two blocks"),
        (("",), "no neck ''"),
        (("se",) * 10_000, "10000 necks, more than 32"),
        (("+".join(["gau"] * 40),), "40 necks, more than 32"),
    ],
)
def test_unknown_necks_are_named(neck: Sequence[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create("simple_baseline_r50", neck=neck, input_size=(64, 64))


def test_one_name_may_stand_alone() -> None:
    assert isinstance(necks("se", 16)[0], SqueezeExcite)
    assert token_blocks("gau", 8, COCO17) is not None


def test_a_skeleton_without_links_has_no_graph() -> None:
    with pytest.raises(UsageError, match="no links"):
        token_blocks(["semgcn"], 8, Skeleton("loose", ("a", "b")))
