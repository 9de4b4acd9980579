"""p-Pose NMS learned from labelled images: fit, measured on images it has not seen, kept.

The search is nms_fit's; here are data sets and files round it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset
from posewright.errors import ModelError, SourceError, UsageError, counted
from posewright.extras import need
from posewright.files.part import PartFile
from posewright.fit.ppose_search import Candidates, Search, search
from posewright.metrics.instances import Detections
from posewright.metrics.oks import crowdpose_truth, sigmas_of
from posewright.nms import PPoseNMS, oks_nms
from posewright.people import Ints, People
from posewright.runtimes.info import METADATA_KEY, ModelInfo
from posewright.skeletons import Skeleton

__all__ = [
    "Fit",
    "check_model",
    "compare",
    "embed",
    "fit",
    "read_candidates",
    "read_settings",
]

_VERSION = 1
_HEADER = 100 << 20  # bytes; safetensors allows no longer header


@dataclass(frozen=True, slots=True)
class Fit:
    """What was learned, and its scores.

    numbers: way to remove duplicates -> AP on the images of the fit.  unseen: the same for
    images that the settings they went by were not fitted on; empty without folds.  settings of
    the folds in `folds`.  images, people: how many.
    """

    skeleton: Skeleton
    settings: PPoseNMS
    numbers: dict[str, float]
    pictures: int
    people: int
    rounds: int
    count: int
    unseen: dict[str, float] = field(default_factory=dict)
    folds: tuple[PPoseNMS, ...] = ()
    source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form of a file."""
        return {
            "version": _VERSION,
            "kind": "ppose-nms",
            "source": self.source,
            "skeleton": self.skeleton.to_dict(),
            "settings": asdict(self.settings),
            "AP": self.numbers,
            "AP_unseen": self.unseen,
            "folds": [asdict(f) for f in self.folds],
            "pictures": self.pictures,
            "people": self.people,
            "rounds": self.rounds,
            "tried": self.count,
        }

    def write(self, path: Path, overwrite: bool = False) -> Path:
        """Write as JSON; an OutputError where that fails, nothing half done."""
        file = PartFile(path, overwrite)
        file.write((json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n").encode())
        return file.finish()


def read_settings(path: str | Path) -> PPoseNMS:
    """Return the settings in a file of `Fit.write`; a SourceError for anything else."""
    from posewright.files.values import BROKEN, load

    data = load(Path(path))
    try:
        if data["kind"] != "ppose-nms" or data["version"] != _VERSION:
            raise ValueError("another kind or version")
        return PPoseNMS.from_dict(data["settings"])
    except BROKEN as error:
        raise SourceError(
            f"{path} is not a p-Pose NMS settings file ({error}); write one with posewright fit nms"
        ) from error


def read_candidates(dataset: Dataset, path: Path, crowdpose: bool = False) -> Candidates:
    """Return the people of a result file on the images of a labelled set.

    path: COCO keypoint results from which duplicates have not been removed (`--nms none`), with
    the joints of the labels.  A score is taken for box score times mean joint score, as posewright
    writes it; where it is larger than that can be, the box score counts as 1.  crowdpose: areas are
    0.53 of the boxes'.  Errors: those of `readers.instances.detections`.
    """
    from posewright.evaluation.arrays import in_order, labels_of
    from posewright.evaluation.coco_files import detections, read_entries

    dataset = dataset[in_order(dataset.samples)]
    labels = labels_of(dataset)
    found = detections(read_entries(path), labels, path, len(dataset.skeleton) == 133)
    order = np.argsort(found.cells, kind="stable")
    ends = np.searchsorted(found.cells[order], np.arange(1, len(dataset)))
    parts = [found[rows] for rows in np.split(order, ends)]
    truth = crowdpose_truth(labels.truth) if crowdpose else labels.truth
    return Candidates(
        truth,
        tuple(map(_people, parts)),
        tuple(part.scores for part in parts),
        sigmas_of(dataset.skeleton),
    )


def _people(found: Detections) -> People:
    scores = np.clip(found.keypoints[:, :, 2], 0, 1).astype(np.float32)
    mean = np.maximum(scores.mean(1), 1e-6) if scores.shape[1] else np.ones(len(scores))
    corners = np.concatenate([found.boxes[:, :2], found.boxes[:, :2] + found.boxes[:, 2:]], 1)
    box_scores = np.clip(found.scores / mean, 0, 1)
    return People.of(corners, box_scores, found.keypoints[:, :, :2], scores)


def fit(
    candidates: Candidates,
    skeleton: Skeleton,
    *,
    folds: int = 0,
    source: str = "",
    progress: Callable[[str], None] | None = None,
) -> Fit:
    """Return the constants of p-Pose NMS that give these images the highest OKS AP.

    folds: number of cross-validation folds, whose score on unseen images is the reliable one; 0
    disables it.  progress: called with each line of progress.  UsageError: no person is labelled
    or found, or there are fewer images than folds.
    """
    start, count = PPoseNMS.usual(len(skeleton)), len(candidates)
    people = sum(map(len, candidates.people))
    if not people or not (~candidates.truth.ignored).any():
        raise UsageError(
            f"{counted(people, 'person', 'people')} found and "
            f"{int((~candidates.truth.ignored).sum())} labelled on {counted(count, 'image')}; both "
            "are needed to learn p-Pose NMS"
        )
    if folds == 1 or folds > count:
        raise UsageError(
            f"{counted(folds, 'fold')} cannot be made of {counted(count, 'image')}; give 2 to "
            f"{count}, or 0 for none"
        )
    say = progress or (lambda line: None)
    numbers = compare(candidates, skeleton, [start] * count)
    best = search(candidates, start)
    say(f"{counted(count, 'image')}: AP {numbers['fixed']:.4f} -> {best.value:.4f}")
    parts = [np.arange(count)[f::folds] for f in range(folds)]
    seen = [_without(candidates, part, start) for part in parts]
    unseen: dict[str, float] = {}
    if folds:
        ways = [seen[i % folds].settings for i in range(count)]
        unseen = compare(candidates, skeleton, ways)
        say(f"{folds} folds, unseen: AP {unseen['fixed']:.4f} -> {unseen['learned']:.4f}")
    return Fit(
        skeleton,
        best.settings,
        {**numbers, "learned": best.value},
        count,
        people,
        best.rounds,
        best.count,
        unseen,
        tuple(s.settings for s in seen),
        source,
    )


def _without(candidates: Candidates, part: Ints, start: PPoseNMS) -> Search:
    rest = np.setdiff1d(np.arange(len(candidates)), part)
    return search(candidates[rest], start)


def compare(
    candidates: Candidates, skeleton: Skeleton, learned: Sequence[PPoseNMS]
) -> dict[str, float]:
    """Return the AP of each way to remove duplicates; learned: the settings of each image.

    order is the published constants with the better one of two told by box*mean.
    """
    start, everyone = PPoseNMS.usual(len(skeleton)), [None] * len(candidates)
    ways = {
        "none": candidates.cleaned(everyone),
        "OKS-NMS": _oks(candidates, skeleton),
        "fixed": candidates.cleaned([start] * len(candidates)),
        "order": candidates.cleaned([replace(start, order="box*mean")] * len(candidates)),
        "learned": candidates.cleaned(learned),
    }
    return ways


def _oks(candidates: Candidates, skeleton: Skeleton) -> float:
    outcomes = []
    for picture, people in enumerate(candidates.people):
        left = oks_nms(people.replace(ids=np.arange(len(people))), skeleton)
        outcomes.append(candidates.outcome(picture, left, left.ids))
    return candidates.precision(outcomes)


# --- into the file of a model --------------------------------------------------------------------


def check_model(path: str | Path, joints: int) -> None:
    """Raise what `embed` would."""
    path = Path(path)
    _changed(path, partial(_edited, path, PPoseNMS(), joints))


def embed(settings: PPoseNMS, path: str | Path, joints: int) -> Path:
    """Write settings into the metadata of a model's file, where `--nms ppose` finds them.

    path: .safetensors or .onnx with our metadata.  joints: of the skeleton that they were learned
    for.  The weights stay as they are; the file is replaced once the new one is complete.
    UsageError: another file, or a model of other joints.  ModelError: a file without metadata.
    MissingError: an .onnx file without the package onnx.
    """
    path = Path(path)
    data = _changed(path, partial(_edited, path, settings, joints))
    part = PartFile(path, overwrite=True)
    part.write(data)
    return part.finish()


def _changed(path: Path, edit: Callable[[Mapping[str, str]], str]) -> bytes:
    """Return what the file is to hold."""
    edits = {".safetensors": _safetensors, ".onnx": _onnx}
    if path.suffix not in edits or not path.is_file():
        raise UsageError(f"{path} is not a .safetensors or .onnx file; give the file of the model")
    return edits[path.suffix](path, edit)


def _edited(path: Path, settings: PPoseNMS, joints: int, metadata: Mapping[str, str]) -> str:
    """Return the metadata entry with the settings in it."""
    if METADATA_KEY not in metadata:
        raise ModelError(f"{path}: no posewright metadata to write into; convert or export it")
    info = ModelInfo.from_json(metadata[METADATA_KEY], path)
    if len(info.skeleton) != joints:
        raise UsageError(
            f"{path} predicts {len(info.skeleton)} joints, but the settings are for {joints}; fit "
            f"on the results of this model"
        )
    return replace(info, ppose=settings).to_json()


def _safetensors(path: Path, edit: Callable[[Mapping[str, str]], str]) -> bytes:
    """Return the file with another header: 8 bytes of length, JSON, then the tensors."""
    data = path.read_bytes()
    try:
        (size,) = struct.unpack("<Q", data[:8])
        if size > min(_HEADER, len(data) - 8):
            raise ValueError("its header is longer than the file")
        header = json.loads(data[8 : 8 + size])
        metadata = dict(header.get("__metadata__", {}))
    except (ValueError, AttributeError, TypeError, struct.error) as error:
        raise ModelError(f"{path}: not a safetensors file ({error})") from error
    header["__metadata__"] = {**metadata, METADATA_KEY: edit(metadata)}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def _onnx(path: Path, edit: Callable[[Mapping[str, str]], str]) -> bytes:
    onnx = need("onnx", f"a change of {path}")
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own errors, whose package has no types
        raise ModelError(f"{path}: not an ONNX file ({error})") from error
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    onnx.helper.set_model_props(proto, {**metadata, METADATA_KEY: edit(metadata)})
    return bytes(proto.SerializeToString())
