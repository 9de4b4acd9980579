"""OpenVINO files, in 8 bits where images to calibrate with are given."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.errors import OutputError, UsageError
from posewright.export.quiet import quiet
from posewright.people import Pixels
from posewright.runtimes.info import METADATA_KEY, ModelInfo
from posewright.telemetry import loading_openvino

__all__ = ["Pixels", "crops_of", "write_openvino"]


def crops_of(folder: Path | None, codec: Any, count: int = 300) -> Pixels | None:
    """Return views of the people in a folder's images, for the calibration of int8."""
    if folder is None:
        return None
    folder = Path(os.path.abspath(folder))  # "3" is no camera, nor is "rtsp:" an address
    from posewright.pose import Pose

    pose, views = Pose(runtime="onnxruntime"), []
    with pose.stream(str(folder), keep_images=True) as results:
        for result in results:
            if result.image is not None:
                size = result.image.shape[1], result.image.shape[0]
                views += [w.image(result.image) for w in codec.warps(size, result.people)]
            if len(views) >= count:
                break
    if not views:
        raise UsageError(f"{folder}: no image with people to calibrate with")
    return np.stack(views[:count])


def write_openvino(source: Path, path: Path, info: ModelInfo, crops: Pixels | None) -> None:
    with loading_openvino():
        import openvino as ov
    from posewright.runtimes.openvino import the_core

    model = the_core().read_model(source)
    if crops is not None:
        model = _quantised(model, info.input.prepare(crops))
    model.set_rt_info(info.to_json(), [METADATA_KEY])
    try:
        ov.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:
        raise OutputError(f"{path}: cannot be written ({error})") from error


def _quantised(model: Any, inputs: NDArray[Any]) -> Any:
    """Return an OpenVINO model in int8, its ranges taken from `inputs`."""
    with loading_openvino():
        import nncf
    data = nncf.Dataset([inputs[i : i + 1] for i in range(len(inputs))])
    # its progress bars would be among what the command prints
    with quiet(), redirect_stdout(sys.stderr):
        return nncf.quantize(model, data, subset_size=len(inputs))
