"""What is fuzzed: kinds of files with good examples of each, and the verbs that read them."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from posewright.cli import main
from posewright.cli.demo import CLIP
from posewright.models.registry import create
from posewright.models.saving import save_model

__all__ = ["KINDS", "Kind", "examples"]

Words = list[str | Path]


@dataclass(frozen=True)
class Kind:
    """form: how it is damaged, see `damage`.  verbs: (file, folder to write) -> command lines."""

    form: str
    verbs: Callable[[Path, Path], list[Words]]


def _predict(file: Path, out: Path) -> list[Words]:
    boxes = ["-d", "whole-image", "--save", "jsonl,csv", "--progress", "none"]
    return [["predict", file, "-o", out, *boxes]]


def _track(file: Path, out: Path) -> list[Words]:
    return [["track", file, "-o", out, "--save", "jsonl,csv,coco,alphapose,openpose"]]


def _labels(file: Path, out: Path) -> list[Words]:
    data = file.parent if file.parent.name == "labelme" else file
    return [["data", "check", data], ["data", "convert", data, out, "--to", "coco"]]


def _weights(file: Path, out: Path) -> list[Words]:
    return [["models", "info", file]]


def _checkpoint(file: Path, out: Path) -> list[Words]:
    return [["models", "convert", file, "--as", "semgcn", "-o", out / "made.safetensors"]]


# by the folder of the examples
KINDS = {
    "pictures": Kind("bytes", _predict),
    "videos": Kind("bytes", _predict),
    "lists": Kind("bytes", _predict),
    "lines": Kind("lines", _track),
    "results": Kind("json", _track),
    "coco": Kind("json", _labels),
    "labelme": Kind("json", _labels),
    "cvat": Kind("bytes", _labels),
    "yolo": Kind("bytes", _labels),
    "safetensors": Kind("bytes", _weights),
    "pickles": Kind("bytes", _checkpoint),
}


def examples(folder: Path) -> dict[str, list[Path]]:
    """Write good files of every kind into a folder; return those that are to be damaged."""
    frames = _frames()
    found = {
        "pictures": _pictures(folder / "pictures", frames[0]),
        "videos": _videos(folder / "videos", frames),
    }
    found |= _results(folder)
    found |= _sets(folder)
    found["lists"] = [folder / "lists" / "list.txt"]
    found["lists"][0].parent.mkdir()
    names = "\n".join(str(picture) for picture in found["pictures"][:2])
    found["lists"][0].write_text(f"# two pictures\n{names}\n")
    return found | _networks(folder)


def _frames() -> list[np.ndarray]:
    with av.open(str(CLIP)) as file:
        frames = [
            f.to_ndarray(format="bgr24")
            for f, _ in zip(file.decode(video=0), range(12), strict=False)
        ]
    return [cv2.resize(frame, (96, 168), interpolation=cv2.INTER_AREA) for frame in frames]


def _pictures(folder: Path, image: np.ndarray) -> list[Path]:
    folder.mkdir()
    options = {"a.jpg": [], "progressive.jpg": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], "a.png": [],
               "a.webp": [], "lzw.tif": [cv2.IMWRITE_TIFF_COMPRESSION, 5], "a.bmp": []}  # fmt: skip
    for name, flags in options.items():
        cv2.imwrite(str(folder / name), image, flags)
    return sorted(folder.iterdir())


def _videos(folder: Path, frames: list[np.ndarray]) -> list[Path]:
    folder.mkdir()
    for name, codec in {
        "a.mp4": "libx264",
        "a.avi": "mpeg4",
        "a.mkv": "libx264",
        "a.ts": "mpeg4",
    }.items():
        with av.open(str(folder / name), "w") as file:
            stream = file.add_stream(codec, rate=Fraction(25))
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            for frame in frames:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
            file.mux(stream.encode(None))
    return sorted(folder.iterdir())


def _run(*words: str | Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = main([str(word) for word in words])
    assert code == 0, words


def _results(folder: Path) -> dict[str, list[Path]]:
    """Write what `predict` finds in three frames of the clip, short enough to be damaged often."""
    out = folder / "results"
    _run("predict", folder / "pictures", "-o", out, "--save", "jsonl,coco,alphapose,openpose")
    lines = folder / "lines" / "poses.jsonl"
    lines.parent.mkdir()
    shutil.move(out / "poses.jsonl", lines)
    return {"lines": [lines], "results": sorted(out.glob("*.json"))}


def _sets(folder: Path) -> dict[str, list[Path]]:
    _run("data", "synth", "-o", folder / "drawn", "--count", "2")
    found = {}
    for form in ("coco", "labelme", "cvat", "yolo"):
        _run("data", "convert", folder / "drawn", folder / form, "--to", form, "--ratio", "0")
        files = [p for p in (folder / form).rglob("*") if p.suffix in (".json", ".xml", ".yaml")]
        found[form] = sorted(files)[:2]
    return found


def _networks(folder: Path) -> dict[str, list[Path]]:
    """Write a small network, and a checkpoint in the old form, whose pickle is no part of a zip."""
    torch.manual_seed(0)
    good, old = folder / "safetensors" / "a.safetensors", folder / "pickles" / "a.pth"
    for file in (good, old):
        file.parent.mkdir()
    save_model(create("movenet_fire717", input_size=(96, 96)), good)
    weights = {"state_dict": {"a.weight": torch.ones(2, 3), "a.bias": torch.ones(2)}, "epoch": 3}
    torch.save(weights, old, _use_new_zipfile_serialization=False)
    return {"safetensors": [good], "pickles": [old]}
