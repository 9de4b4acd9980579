"""SimCC: sizes of the authors' configurations, small maps per joint, MobileNetV2."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from posewright.checkpoints import foreign
from posewright.codecs import SimCC, codec_named
from posewright.errors import UsageError
from posewright.models import create
from posewright.models.parts.mobilenetv2 import MobileNetV2


def picture(batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, 96, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [
        ("coco/hrnet/heatmap/w32_64x64_adam_lr1e-3", 28_536_113),
        ("coco/hrnet/heatmap/w32_128x128_adam_lr1e-3", 28_536_113),
        ("coco/hrnet/heatmap/w32_256x192_adam_lr1e-3", 28_536_113),
        ("coco/hrnet/heatmap/w32_384x288_adam_lr1e-3", 28_536_113),
        ("coco/hrnet/heatmap/w48_128x128_adam_lr1e-3", 63_595_745),
        ("coco/hrnet/heatmap/w48_256x192_adam_lr1e-3", 63_595_745),
        ("coco/hrnet/simdr/nmt_w32_256x192_adam_lr1e-3", 31_289_521),
        ("coco/hrnet/sa_simdr/w48_256x192_adam_lr1e-3_split2_sigma4", 66_349_153),
        ("coco/hrnet/sa_simdr/w48_384x288_adam_lr1e-3_split1.5_sigma4", 70_564_049),
        (
            "coco/resnet/simdr/original/nmt_res50_256x192_d256x3_adam_lr1e-3_deconv3_split2",
            36_753_105,
        ),
        (
            "coco/resnet/simdr/original/nmt_res101_256x192_d256x3_adam_lr1e-3_deconv3_split2",
            55_745_233,
        ),
        (
            "coco/resnet/sa_simdr/original/res50_384x288_d256x3_adam_lr1e-3_deconv3_split2_sigma6",
            43_290_769,
        ),
        (
            "coco/resnet/simdr/upsample_free/nmt_res50_256x192_d256x3_adam_lr1e-3_split_2_cpj28",
            25_688_476,
        ),
        ("mpii/hrnet/sa_simdr/w32_256x256_adam_lr1e-3_split2_sigma6", 32_731_408),
    ],
)
def test_sizes_of_the_authors_configurations(variant: str, parameters: int) -> None:
    with torch.device("meta"):
        model = foreign("simcc").variants[variant]()
    assert model.parameters_count == parameters


@pytest.mark.parametrize(
    ("variant", "parameters"), [("simcc_res50", 36_753_105), ("simcc_mobilenetv2", 2_289_553)]
)
def test_sizes_of_mmpose(variant: str, parameters: int) -> None:
    with torch.device("meta"):
        model = foreign("mmpose_simcc").variants[variant]()
    assert model.parameters_count == parameters


def test_names_of_configurations_say_what_they_are() -> None:
    known = foreign("simcc").variants
    with torch.device("meta"):
        plain = known["coco/hrnet/heatmap/w48_64x64_adam_lr1e-3"]()
        sharp = known["coco/hrnet/sa_simdr/w48_384x288_adam_lr1e-3_split1.5_sigma4"]()
        hit = known["coco/hrnet/simdr/nmt_w32_128x128_adam_lr1e-3_split3"]()
        mpii = known["mpii/hrnet/sa_simdr/w32_256x256_adam_lr1e-3_split2_sigma6"]()
    assert plain.codec == codec_named("heatmap", (64, 64))
    assert sharp.codec == SimCC((288, 384), 1.5, 4.0, normalised=True)
    assert hit.codec == SimCC((128, 128), 3.0, normalised=True, smoothing=0.1, score="max")
    assert mpii.skeleton.name == "mpii16"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("simcc_r50", {}),
        ("simcc_r50", {"codec": "simcc"}),
        ("simcc_r50_upsample_free", {"maps": 4}),
        ("simcc_mobilenetv2", {}),
        ("hrnet_w32", {"codec": "simdr"}),
    ],
)
def test_forward_and_backward(name: str, options: dict[str, object]) -> None:
    model = create(name, input_size=(64, 96), **options).train()
    found = model.compute(picture())
    assert {k: v.shape for k, v in found.items()} == {"x": (2, 17, 128), "y": (2, 17, 192)}
    targets = {k: v.detach().softmax(2) for k, v in found.items()}
    model.loss(found, {**targets, "weight": torch.ones(2, 17)}).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_each_joint_has_maps_of_its_own() -> None:
    head = create("simcc_r50_upsample_free", input_size=(64, 96), maps=4).head
    features = torch.randn(1, 2048, 3, 2, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before = head(features)
        head.final_layer.bias[4 * 5] += 1  # the first map of joint 5
        after = head(features)
    for key in ("x", "y"):
        moved = (after[key] - before[key]).abs().amax((0, 2)) > 1e-6
        assert moved.nonzero().flatten().tolist() == [5]


def test_taps_of_mobilenetv2() -> None:
    whole, taps = MobileNetV2().eval(), MobileNetV2((2, 3, 5, 8)).eval()
    taps.load_state_dict(whole.state_dict())
    with torch.inference_mode():
        maps, last = taps(picture(1)), whole(picture(1))
    sizes = [(24, 24, 16), (32, 12, 8), (96, 6, 4), (1280, 3, 2)]
    assert [m.shape[1:] for m in maps] == sizes
    assert taps.channels == [24, 32, 96, 1280] and whole.channels == [1280]
    torch.testing.assert_close(maps[-1], last)


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(UsageError, match=r"'heatmap': a network without deconvolutions needs"):
        create("simcc_r50_upsample_free", codec="heatmap")
    with pytest.raises(UsageError, match=r"\(200, 256\): sides must be multiples of 32"):
        create("simcc_r50_upsample_free", input_size=(200, 256))
