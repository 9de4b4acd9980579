"""What the results of a run depend on: inputs, settings, networks, libraries, processor."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright import __version__
from posewright.errors import UsageError, counted
from posewright.machine import cpu_name, package_version
from posewright.pipeline.loading import each_of
from posewright.pipeline.scales import scales_of
from posewright.sources.planning import is_on_disk, picture_files, shown
from posewright.writers import WriterOptions
from posewright.writers.journal import Provenance

if TYPE_CHECKING:
    from posewright.pose import Pose
    from posewright.runtimes import Model

__all__ = ["files_beside", "provenance"]

_LIBRARIES = ("numpy", "opencv-python-headless", "av", "pyarrow", "lap")
_RUNTIMES = ("onnxruntime", "openvino", "torch")
_LIVE = ("stopped", "latest", "retry_s")  # they have no effect on what is read from a disk

# Settings of a run by the options that give them; in Python their own names do.
_FLAGS = {
    **{
        name: f"--{name.replace('_', '-')}"
        for name in (
            "tracker smooth gap fps boxes det_every max_pixels frames time_range stride save model "
            "detector refine reid hands face nms flip scales rescore min_score max_people"
        ).split()
    },
    "writing.coco_images": "--coco-images",
    "writing.separate": "--sep-json",
    "writing.openpose_order": "--openpose-order",
    "writing.fps": "--fps",
    "writing.style.ids": "not --no-ids",
    "writing.style.scores": "--draw-scores",
    "writing.style.boxes": "--draw-boxes",
    "writing.style.joint_threshold": "--draw-threshold",
}
_OPTIONS = {name: f"{flag} ({name}=)" for name, flag in _FLAGS.items()}


def provenance(
    pose: Pose,
    sources: Sequence[Any],
    save: Sequence[str],
    writing: WriterOptions | None,
    asked: Mapping[str, Any],
    resume: bool,
) -> Provenance | None:
    """Return what a run of `predict_to` depends on; None where a source cannot be read again.

    asked: further options of the run.  resume: a UsageError names such a source.
    """
    for spec in sources:
        if not is_on_disk(spec):
            if resume:
                raise UsageError(
                    f"{shown(spec)} cannot be read again from its start; --resume is for files and "
                    "folders, leave it out"
                )
            return None
    beside = files_beside(pose, writing, asked.get("boxes"))
    writing = writing or WriterOptions()
    run = {"the version of posewright": __version__}
    run |= {f"source {number}": _name(spec) for number, spec in enumerate(sources, 1)}
    for spec in sources:
        run[f"the content of {_name(spec)}"] = _stamp(picture_files(spec) or [_name(spec)])
    run |= {f"the content of {path}": _stamp([path]) for path in beside}
    run |= _networks(pose)
    run |= {name: _plain(value) for name, value in asked.items() if name not in _LIVE}
    run["save"] = ",".join(save)
    run |= _settings(writing, "writing.")
    del run["writing.overwrite"]
    machine: dict[str, Any] = {name: package_version(name) for name in (*_LIBRARIES, *_RUNTIMES)}
    machine["the processor"] = cpu_name()
    machine["the number of cores"] = len(getattr(os, "sched_getaffinity", lambda _: [])(0)) or (
        os.cpu_count()
    )
    machine["threads"] = getattr(getattr(pose, "pipeline", None), "threads", None)
    return Provenance(run, machine, _OPTIONS)


def _settings(options: Any, prefix: str) -> dict[str, Any]:
    """Return the fields of a dataclass, and those of dataclasses in it, by their names."""
    found: dict[str, Any] = {}
    for field in fields(options):
        value = getattr(options, field.name)
        if is_dataclass(value):
            found |= _settings(value, f"{prefix}{field.name}.")
        else:
            found[prefix + field.name] = _plain(value)
    return found


def files_beside(pose: Pose, writing: WriterOptions | None, boxes: Any) -> list[Path]:
    """Return the files that are read beside the sources: networks, boxes, labels."""
    found = [*getattr(pose, "files", ()), getattr(boxes, "path", None)]
    found.append(None if writing is None else writing.coco_images)
    return [path for path in found if path is not None]


def _networks(pose: Pose) -> dict[str, Any]:
    """Return the networks and what is done with their people."""
    pipeline = getattr(pose, "pipeline", None)
    if pipeline is None:  # of a program's own
        return {"pose": type(pose).__name__}
    refine, embed, nms = pipeline.refine, pose.embed, pipeline.nms
    way = pipeline.estimate.__module__.rpartition(".")[2]  # estimate, crowd or averaging
    if nms is not None:
        nms = f"{nms.func.__name__} {nms.keywords.get('settings', '')}".strip()
    return {
        "model": _network(pipeline.model),
        **{n: d and _network(d) for n, d in each_of(pipeline.detector).items()},
        "refine": refine and _network(refine.model),
        "reid": embed and _network(embed.model),
        **{n: _network(m) for n, m in (pipeline.parts.networks if pipeline.parts else {}).items()},
        "nms": "crowd" if way == "crowd" else nms,
        "accurate": way == "averaging",
        "rescore": pipeline.rescore and pipeline.rescore.name,
        "scales": _plain(scales_of(pipeline.estimate)),
        **{name: getattr(pipeline, name) for name in ("flip", "min_score", "max_people")},
        **{name: getattr(pipeline, name) for name in ("window", "batch")},
    }


def _network(model: Model | Any) -> str:
    """Return name, runtime, precision, skeleton, origin, threshold; of boxes their kind."""
    if not callable(model):
        return type(model).__name__
    name, *rest = str(model.runtime).split()
    words = [model.info.name, name, *rest[1:]]  # without the version, which the machine tells
    words += [model.skeleton.name, model.info.origin]
    threshold = getattr(model.codec, "threshold", None)
    return " ".join(words) + ("" if threshold is None else f" threshold {threshold:g}")


def _name(spec: Any) -> str:
    if isinstance(spec, (list, tuple)):
        return ", ".join(map(_name, spec))
    return os.fsdecode(spec)


def _plain(value: Any) -> Any:
    """Return a setting as a header can hold it."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    known = is_dataclass(value) or isinstance(value, os.PathLike)
    return str(value) if known else type(value).__name__


def _stamp(files: Iterable[str | Path]) -> str:
    """Return number and size of files with a digest of their names, sizes and times of change."""
    digest, count, size = hashlib.sha256(), 0, 0
    for path in files:
        try:
            found = os.stat(path)
            known = (found.st_size, found.st_mtime_ns)
        except (OSError, ValueError):  # told when it is read
            known = (0, 0)
        digest.update(f"{os.fsdecode(path)}\0{known}\n".encode("utf-8", "surrogateescape"))
        count, size = count + 1, size + known[0]
    return f"{counted(count, 'file', 'files')}, {size} bytes, {digest.hexdigest()[:16]}"
