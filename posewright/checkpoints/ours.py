"""Files of posewright itself among checkpoints, which say what they are."""

from __future__ import annotations

from pathlib import Path

from posewright.runtimes.info import METADATA_KEY, ModelInfo

__all__ = ["described", "is_ours"]


def described(path: Path) -> ModelInfo | None:
    """Return the description stored in a file of posewright; None for any other file."""
    if path.suffix == ".safetensors":
        import safetensors

        with safetensors.safe_open(path, "np") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
    elif path.suffix == ".onnx":
        from posewright.runtimes.onnx import open_unoptimised

        text = open_unoptimised(path).get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    else:
        text = None
    return None if text is None else ModelInfo.from_json(text, path)


def is_ours(path: Path) -> bool:
    """Whether an .onnx or .safetensors file was written by posewright, whatever it holds."""
    if path.suffix != ".safetensors":
        return described(path) is not None
    import safetensors

    with safetensors.safe_open(path, "np") as file:
        return any(key.startswith(METADATA_KEY) for key in file.metadata() or {})
