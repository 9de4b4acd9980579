"""What Huawei's compiler `atc` needs beside an exported file: its command, and AIPP's settings.

AIPP is the stage of an Ascend processor that takes uint8 RGB views and normalises them.
"""

from __future__ import annotations

from pathlib import Path

from posewright.models import PoseModel

__all__ = ["aipp_settings", "atc_command"]


def aipp_settings(model: PoseModel) -> str:
    """Return the text of aipp.cfg: uint8 RGB views in, what the graph of `seed_input` takes out.

    Networks of BGR have R and B exchanged before the channels are normalised.
    """
    width, height = model.codec.input_size
    pixels = model.pixels
    return "\n".join(
        [
            "aipp_op {",
            "  aipp_mode: static",
            "  input_format: RGB888_U8",
            "  csc_switch: false",
            f"  rbuv_swap_switch: {'true' if pixels.color == 'BGR' else 'false'}",
            f"  src_image_size_w: {width}",
            f"  src_image_size_h: {height}",
            *(f"  min_chn_{i}: {pixels.mean[i]:.6g}" for i in range(3)),
            *(f"  var_reci_chn_{i}: {1 / pixels.std[i]:.8f}" for i in range(3)),
            "}",
            "",
        ]
    )


def atc_command(path: Path, model: PoseModel, batch: int) -> str:
    """Return the `atc` line that compiles an exported file for Ascend 310.

    The file must be of `seed_input`, float32 `input` (batch, 3, h, w), and aipp.cfg lie beside it.
    """
    width, height = model.codec.input_size
    return (
        f"atc --model={path.name} --framework=5 --output={path.stem} --input_format=NCHW "
        f'--input_shape="input:{batch},3,{height},{width}" --output_type=FP32 '
        "--soc_version=Ascend310 --insert_op_conf=aipp.cfg"
    )
