"""SimCC (SimDR, SA-SimDR and heatmaps beside them) from its authors, and SimCC of mmpose 1.x."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product

from posewright.checkpoints.base import Foreign
from posewright.codecs import SimCC
from posewright.models import create
from posewright.models.base import PoseModel

Size = tuple[int, int]
Entry = tuple[str, partial[PoseModel]]

# a configuration's folder -> its skeleton and its views; names give height before width
_DATA: dict[str, tuple[str, dict[str, Size]]] = {
    "coco": (
        "coco17",
        {"64x64": (64, 64), "128x128": (128, 128), "256x192": (192, 256), "384x288": (288, 384)},
    ),
    "mpii": ("mpii16", {"256x256": (256, 256)}),
}
_SPLITS = {"split1.5": 1.5, "split2": 2.0, "split3": 3.0}
_SIGMAS = {"sigma4": 4.0, "sigma6": 6.0}
_DEPTHS = (50, 101, 152)


def _simdr(size: Size, split: float = 2.0) -> SimCC:
    return SimCC(size, split, normalised=True, smoothing=0.1, score="max")


def _codecs(size: Size) -> Iterator[tuple[str, str, str, SimCC]]:
    """Yield folder, prefix and ending of the names that configurations have, with their codecs."""
    yield "simdr", "nmt_", "", _simdr(size)
    for name, split in _SPLITS.items():
        yield "simdr", "nmt_", f"_{name}", _simdr(size, split)
        for sigma_name, sigma in _SIGMAS.items():
            ending = f"_{name}_{sigma_name}"
            yield "sa_simdr", "", ending, SimCC(size, split, sigma, normalised=True)


def _hrnet(data: str, skeleton: str, size_name: str, size: Size) -> Iterator[Entry]:
    for width in (32, 48):
        build = partial(create, f"hrnet_w{width}", skeleton=skeleton)
        core = f"w{width}_{size_name}_adam_lr1e-3"
        yield f"{data}/hrnet/heatmap/{core}", partial(build, input_size=size)
        for folder, prefix, ending, codec in _codecs(size):
            name = f"{data}/hrnet/{folder}/{prefix}{core}{ending}"
            yield name, partial(build, codec=codec)


def _resnet(data: str, skeleton: str, size_name: str, size: Size) -> Iterator[Entry]:
    for depth in _DEPTHS:
        build = partial(create, f"simcc_r{depth}", skeleton=skeleton)
        core = f"res{depth}_{size_name}_d256x3_adam_lr1e-3"
        yield f"{data}/resnet/heatmap/{core}", partial(build, input_size=size, codec="heatmap")
        for folder, prefix, ending, codec in _codecs(size):
            name = f"{data}/resnet/{folder}/original/{prefix}{core}_deconv3{ending}"
            yield name, partial(build, codec=codec)


def _upsample_free(data: str, skeleton: str, size_name: str, size: Size) -> Iterator[Entry]:
    if size[0] < 128:
        return
    for depth, (folder, prefix, ending, codec) in product(_DEPTHS, _codecs(size)):
        core = f"{prefix}res{depth}_{size_name}_d256x3_adam_lr1e-3{ending}_cpj28"
        name = f"{data}/resnet/{folder}/upsample_free/{core.replace('_split', '_split_')}"
        build = partial(create, f"simcc_r{depth}_upsample_free", skeleton=skeleton)
        yield name, partial(build, codec=codec)


def _variants() -> Iterator[Entry]:
    for data, (skeleton, sizes) in _DATA.items():
        for size_name, size in sizes.items():
            for family in (_hrnet, _resnet, _upsample_free):
                yield from family(data, skeleton, size_name, size)


SIMCC = Foreign(
    "simcc",
    origin="https://github.com/leeyegy/SimCC",
    licence="none stated",
    marks=("layer1.", "mlp_head_x."),
    rules=(
        (r"((?:deconv_layers|final_layer|mlp_head_[xy])\..*)", r"head.\1"),
        (r"(.*)", r"backbone.\1"),
    ),
    variants=dict(_variants()),
)

MMPOSE_SIMCC = Foreign(
    "mmpose_simcc",
    origin="https://github.com/open-mmlab/mmpose",
    licence="Apache-2.0",
    marks=("head.mlp_head_x.|keypoint_head.mlp_head_x.",),
    rules=(
        (r"head\.deconv_head\.(.*)", r"head.\1"),
        (r"keypoint_head\.(.*)", r"head.\1"),
    ),
    variants={
        **{f"simcc_res{depth}": partial(create, f"simcc_r{depth}") for depth in _DEPTHS},
        "simcc_mobilenetv2": partial(create, "simcc_mobilenetv2"),
    },
)
