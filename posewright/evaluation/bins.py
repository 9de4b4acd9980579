"""Views as raw files for a device that runs elsewhere, and its raw outputs as a model to evaluate.

`write_bins` writes what a network would be called with, a file for each view, and views.json,
which lists them.  `BinModel` answers for the network with the outputs that the device wrote.  A
view is found by its pixels, so that the evaluation itself is that of any model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.datasets.base import Dataset
from posewright.errors import SourceError, UsageError
from posewright.evaluation.running import LabelledBoxes
from posewright.files.contents import contents
from posewright.files.part import PartFile, reserve
from posewright.files.values import dumps, load
from posewright.pipeline.estimate import Boxes
from posewright.runtimes import Model
from posewright.runtimes.info import Input, ModelInfo

__all__ = ["BinModel", "write_bins"]

LIST = "views.json"
_FORMAT = "posewright-views"
_TYPES = {4: np.float32, 2: np.float16}  # bytes of a number


def write_bins(
    model: Model,
    dataset: Dataset,
    out: Path,
    *,
    boxes: Boxes | None = None,
    given: Input | None = None,
    flip: bool = False,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> tuple[int, list[str]]:
    """Write the views of a data set; return how many, and a note for each unreadable image.

    boxes: the labelled ones of a top-down model if None.  given: what a file holds, uint8 RGB
    (h, w, 3) if None, else of that normalisation, as (3, h, w).  flip: the mirrored views, too.
    UsageError: a model that takes more than views.  OutputError: `out` is taken.
    """
    if model.codec.task not in ("joints", "people"):
        raise UsageError(f"{model.info.name} does not predict joints from views alone")
    given = given or Input()
    reserve(out, overwrite, folder=True)
    boxes = boxes or (LabelledBoxes(dataset.samples) if model.codec.top_down else None)
    listed: list[dict[str, Any]] = []
    known: dict[str, str] = {}
    notes: list[str] = []
    for number, sample in enumerate(dataset):
        frame = sample.load()
        if frame.status != "ok":
            notes.append(f"{sample.image}: {frame.message}")
            continue
        frame = type(frame)(frame.image, number, name=frame.name)
        people = boxes.people(frame) if boxes is not None else None
        for row, warp in enumerate(model.codec.warps(frame.size, people)):
            view = warp.image(frame.image)
            for mirrored in (False, True) if flip else (False,):
                pixels = np.ascontiguousarray(view[:, ::-1]) if mirrored else view
                digest = _digest(pixels)
                if digest not in known:
                    known[digest] = f"{len(known):08d}"
                    name = f"{known[digest]}.bin"
                    _write(out / "views" / name, given.prepare(pixels[None])[0].tobytes())
                listed.append(
                    {
                        "file": f"views/{known[digest]}.bin",
                        "sha256": digest,
                        "image_id": sample.image_id,
                        "image": sample.image.name,
                        "view": row,
                        "mirrored": mirrored,
                    }
                )
        if progress:
            progress(f"{sample.image.name}: {len(known)} views")
    head = {"format": _FORMAT, "version": 1, "model": model.info.name, "dtype": given.dtype}
    shape = [3, *model.codec.input_size[::-1]] if given.layout == "NCHW" else None
    head["shape"] = shape or [*model.codec.input_size[::-1], 3]
    _write(out / LIST, dumps({**head, "views": listed}).encode())
    return len(known), notes


@dataclass(frozen=True)
class BinModel:
    """The outputs of a device in place of a network: a model for `evaluate`.

    files: those of the outputs by name.  shapes: name -> shape of an output for one view, in the
    order of the network's outputs.  views: SHA-256 of a view's pixels -> the name of its files.
    """

    info: ModelInfo
    folder: Path
    files: Mapping[str, Path]
    shapes: Mapping[str, tuple[int, ...]]
    views: Mapping[str, str]
    runtime: str = "raw outputs"

    @classmethod
    def open(cls, model: Model, folder: Path) -> BinModel:
        """Read the list of `write_bins`; `model` is run once, to tell names and shapes of outputs.

        folder: the one that `write_bins` wrote, with the device's results anywhere below it but in
        `views`: NAME_0.bin for the first output of NAME.bin (also NAME_output_0.bin), float32 or
        float16.  SourceError: a folder without such a list, or without results.
        """
        data = load(folder / LIST)
        try:
            if data["format"] != _FORMAT:
                raise ValueError(data["format"])
            views = {str(v["sha256"]): Path(v["file"]).stem for v in data["views"]}
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(
                f"{folder / LIST} is not the list of `posewright data to-bin`; write it again"
            ) from error
        sent = folder / "views"
        files = {p.name: p for p in folder.rglob("*.bin") if sent not in p.parents}
        if not files:
            raise SourceError(
                f"{folder} holds no outputs; put what the device writes for its views into "
                f"{folder / 'outputs'}"
            )
        width, height = model.codec.input_size
        blank = model(np.zeros((1, height, width, 3), np.uint8))
        shapes = {name: tuple(array.shape[1:]) for name, array in blank.items()}
        return cls(model.info, folder, files, shapes, views)

    @property
    def codec(self) -> Any:
        """That of the network."""
        return self.info.codec

    @property
    def skeleton(self) -> Any:
        """That of the network."""
        return self.info.skeleton

    @property
    def only_size(self) -> tuple[int, int]:
        """(width, height) of the views that the device has seen."""
        width, height = self.info.codec.input_size
        return width, height

    def with_threshold(self, score: float) -> BinModel:
        """Raise a UsageError: raw outputs are those of a network that has no threshold."""
        raise UsageError(f"{self.info.name} has no score threshold in its raw outputs ({score})")

    def __call__(self, views: NDArray[np.uint8], condition: Any = None) -> dict[str, Any]:
        """(B, h, w, 3) uint8 RGB -> the outputs that the device wrote for these views."""
        rows = [self._outputs(view) for view in views]
        return {name: np.stack([row[i] for row in rows]) for i, name in enumerate(self.shapes)}

    def _outputs(self, view: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        name = self.views.get(_digest(view))
        if name is None:
            raise SourceError(
                f"{self.folder}: a view of this evaluation is not in {LIST}; give `posewright data "
                "to-bin` the same labels, boxes, model and --flip"
            )
        return [self._read(name, i, shape) for i, shape in enumerate(self.shapes.values())]

    def _read(self, name: str, number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        names = [f"{name}_{number}.bin", f"{name}_output_{number}.bin"]
        names += [f"{name}.bin"] if len(self.shapes) == 1 else []
        path = next((self.files[n] for n in names if n in self.files), None)
        if path is None:
            raise SourceError(
                f"{self.folder} holds no {names[0]}: each view needs its outputs, NAME_0.bin, "
                "NAME_1.bin ...; run the device on all of them"
            )
        data = contents(path)
        count = int(np.prod(shape))
        kind = _TYPES.get(len(data) // max(count, 1))
        if kind is None or len(data) != count * np.dtype(kind).itemsize:
            raise SourceError(
                f"{path} has {len(data)} bytes, and output {number} {shape} has {count} numbers of "
                "4 or 2 bytes; compile with --output_type=FP32 and a batch of 1"
            )
        return np.frombuffer(data, kind).reshape(shape).astype(np.float32)


def _digest(view: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(view).tobytes()).hexdigest()


def _write(path: Path, data: bytes) -> None:
    part = PartFile(path, True)
    part.write(data)
    part.finish()
