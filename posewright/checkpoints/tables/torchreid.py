"""torchreid: OSNet with and without instance norm, and ResNet-50."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

_BLOCK = r"(conv[234]\.\d)\."

TORCHREID = Foreign(
    "torchreid",
    origin="https://github.com/KaiyangZhou/deep-person-reid",
    licence="MIT; MSMT17 and the other sets of its training are for research only",
    marks=("conv2.0.conv2a.|conv2.0.conv2.0.layers.|layer4.", "classifier.|fc."),
    rules=(
        (r"classifier\..*", None),
        (r"fc\.(.*)", r"head.fc.\1"),
        # the streams of OSNet: conv2a.X, conv2b.0.X ..., and of OSNet-AIN: conv2.0.layers.0.X ...
        (_BLOCK + r"conv2a\.(\D.*)", r"backbone.\1.streams.0.0.\2"),
        (_BLOCK + r"conv2b\.(.*)", r"backbone.\1.streams.1.\2"),
        (_BLOCK + r"conv2c\.(.*)", r"backbone.\1.streams.2.\2"),
        (_BLOCK + r"conv2d\.(.*)", r"backbone.\1.streams.3.\2"),
        (_BLOCK + r"conv2\.(\d)\.layers\.(.*)", r"backbone.\1.streams.\2.\3"),
        (_BLOCK + r"IN\.(.*)", r"backbone.\1.norm.\2"),
        # what halves the map: the third part of a stage of OSNet, a part by itself of OSNet-AIN
        (r"conv([23])\.2\.0\.(.*)", r"backbone.pool\1.\2"),
        (r"pool([23])\.0\.(.*)", r"backbone.pool\1.\2"),
        (r"(.*)", r"backbone.\1"),
    ),
    variants={
        "osnet_x1_0": partial(create, "osnet_x1_0"),
        "osnet_x0_75": partial(create, "osnet_x0_75"),
        "osnet_x0_5": partial(create, "osnet_x0_5"),
        "osnet_x0_25": partial(create, "osnet_x0_25"),
        "osnet_ibn_x1_0": partial(create, "osnet_ibn_x1_0"),
        "osnet_ain_x1_0": partial(create, "osnet_ain_x1_0"),
        "resnet50": partial(create, "reid_r50"),
        "resnet50_fc512": partial(create, "reid_r50_fc512"),
    },
)
