"""HRNet with 8 channels and one exchange a stage: small enough for a study on one core.

posewright study benchmarks/attention_study.toml -m benchmarks/small_hrnet.py:hrnet_w8 -o study
"""

from __future__ import annotations

from collections.abc import Sequence

from posewright.codecs import Codec
from posewright.models import PoseModel, register
from posewright.models.hrnet import HRNet
from posewright.models.parts.heads import top_down
from posewright.skeletons import Skeleton


@register(paper="arXiv:1902.09212, with fewer channels and exchanges")
def hrnet_w8(
    *,
    input_size: tuple[int, int] = (64, 64),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "simcc",
    neck: Sequence[str] = (),
) -> PoseModel:
    """HRNet with 8 channels at the highest resolution and 1 exchange in each stage."""
    return top_down(
        HRNet((8, 16, 32, 64), (1, 1, 1)),
        (8, 4),
        input_size=input_size,
        skeleton=skeleton,
        codec=codec,
        neck=neck,
    )
