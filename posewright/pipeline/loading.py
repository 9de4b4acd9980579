"""The networks of a Pose: loaded by name, and checked for what they are to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast, get_args

from posewright.codecs.base import embeds, finds_peaks, refines
from posewright.errors import UsageError, nearest
from posewright.nms import PPoseNMS, oks_nms, ppose_nms
from posewright.people import People
from posewright.pipeline import averaging, crowd
from posewright.pipeline.estimate import Boxes, Detectors, WholeImage, estimate_all
from posewright.pipeline.parts import Parts
from posewright.pipeline.refiner import Refiner
from posewright.pipeline.scales import AtScales, check_scales
from posewright.runtimes import Model, load_model
from posewright.runtimes.expected_oks import ExpectedOKS
from posewright.runtimes.info import ModelInfo
from posewright.weights import LAYOUTS, find_model, parted, stated_skeleton
from posewright.weights.folders import AS_USUAL, Fetching
from posewright.weights.modes import pair
from posewright.weights.registry import named

__all__ = [
    "NMS",
    "NO_BOXES",
    "Detecting",
    "check_pose",
    "chosen",
    "duplicates",
    "each_of",
    "estimator",
    "files_among",
    "load",
    "load_beside",
    "load_detector",
    "load_parts",
    "load_refiner",
    "load_rescoring",
    "misfit",
    "named_layouts",
    "sizes",
]

EMBEDDED = "nanodet-g-person"  # the detector "auto"
_DETECTORS = ("detector", "hand-detector")
NO_BOXES = "finds people by itself, so that other boxes have no effect"
NMS = Literal["ppose", "oks", "average", "crowd", "none"]
Detecting = str | Path | Boxes | Sequence[str | Path]  # what a detector, or several, are given as


def chosen(
    model: str | Path,
    weights: str | Path | None,
    detector: Detecting,
    mode: str | None,
    body: str | int | None,
) -> tuple[str | Path, Detecting]:
    """Return the pose network and the detector: those of the mode, if there is one.

    UsageError, before anything is fetched, for a published network of another kind.
    """
    if _kind(model) in _DETECTORS:
        raise UsageError(f"{model} is a detector; give it with --detector (detector=...)")
    for name in each_of(detector).values():
        if _kind(name) in ("pose", "one-stage"):
            raise UsageError(f"{name} is a pose model; a detector yields boxes")
    if mode is None and body is None:
        return model, detector
    if model != "movenet-thunder" or weights is not None:
        raise UsageError(
            f"mode and body choose the model; leave out {model}, or leave out --mode and --body"
        )
    network, beside = pair(mode or "balanced", body or 17)
    return network, beside if detector == "auto" else detector


def each_of(detector: Any) -> dict[str, Any]:
    """Return the detectors, or what each is given as, as the header of results calls them."""
    some = detector.models if isinstance(detector, Detectors) else detector
    several = some if isinstance(some, (list, tuple)) else (EMBEDDED if some == "auto" else some,)
    return {"detector" + (f"_{n}" if n > 1 else ""): one for n, one in enumerate(several, 1)}


def _kind(name: object) -> str:
    """Return the kind of a published network; "" for a file and any other object."""
    entry = None if not isinstance(name, str) or os.path.isfile(name) else named(name)
    return "" if entry is None else entry.kind


def check_pose(network: Model, model: str | Path, flip: bool) -> None:
    """Raise a UsageError where a network does not find the joints of people."""
    if refines(network.codec):
        raise UsageError(f"{model} refines the poses of another model; give it with --refine")
    if embeds(network.codec):
        raise UsageError(f"{model} re-identifies people; give it with --reid (reid=...)")
    if not len(network.skeleton):
        raise UsageError(f"{model} is a detector; give it with --detector (detector=...)")
    if flip and not network.codec.mirrors:
        raise UsageError(
            f"{model} lists people, and a mirrored view lists them in another order; remove flip"
        )


def files_among(*names: object) -> list[Path]:
    """Return the files that a Pose is read from, among what names its networks."""
    each = [name for some in names for name in each_of(some).values()]
    paths = [Path(parted(str(name))[1]) for name in each if isinstance(name, (str, Path))]
    return [path for path in paths if os.path.isfile(path)]


def load(
    name: str | Path,
    weights: str | Path | None = None,
    layout: str = "",
    *,
    fetch: Fetching = AS_USUAL,
    **options: Any,
) -> Model:
    """Load a network, fetched as `fetch` says; options: of load_model."""
    with fetch.applied():
        if weights is not None:
            return load_model(name, weights=Path(weights), layout=layout, **options)
        path, prefix = find_model(name)
        if prefix and layout not in ("", prefix):
            raise UsageError(
                f"{name} names the layout {prefix}, and the option {layout}; remove one"
            )
        options["skeleton"] = options.get("skeleton") or stated_skeleton(name)
        return load_model(path, layout=layout or prefix, **options)


def named_layouts(layout: str, detector: Detecting) -> tuple[str, str]:
    """Return what `layout` says of the pose model and of the detector.

    UsageError: a detector's layout where no detector's file is given.
    """
    if LAYOUTS.get(layout) != "boxes":
        return layout, ""
    if not isinstance(detector, (str, Path)) or detector in ("auto", "whole-image"):
        raise UsageError(f"{layout} is the layout of a detector; give its file with -d (detector=)")
    return "", layout


def load_beside(name: str | Path, *, fetch: Fetching = AS_USUAL, **options: Any) -> Model:
    """Load a network beside the pose model: torch, asked for the latter, runs no .onnx files."""
    with fetch.applied():
        path, _ = find_model(name)
    if options["runtime"] == "torch" and path.suffix == ".onnx":
        options |= {"runtime": "auto", "device": "auto", "precision": "auto"}
    return load(name, fetch=fetch, **options)


def sizes(device: str) -> tuple[int, int]:
    """Return how many frames are worked on together, and how many views a call has."""
    # one frame a thread keeps all cores busy to the end; other devices want large batches
    return (1, 4) if device in ("auto", "cpu") else (8, 64)


def load_refiner(
    name: str | Path,
    weights: str | Path | None = None,
    *,
    flip: bool = False,
    batch: int = 0,
    **options: Any,
) -> Refiner:
    """Load a network that refines poses; batch: views a call, 0 as many as `Pose` gives it.

    options: of load_model.  UsageError: the network does not refine.
    """
    given = None if weights is None else Path(weights)
    model = load_beside(name, **options) if given is None else load(name, given, **options)
    return Refiner(model, flip=flip, batch=batch or sizes(options["device"])[1])


def misfit(model: Model) -> str:
    """Return why the embedded person detector may not fit a top-down model; "" where it does."""
    if not model.codec.top_down or model.info.of_people:
        return ""
    some = ", ".join(model.skeleton.joints[:3])
    return (
        f"{model.info.name} finds the joints of {model.skeleton.name} ({some} ...), which are not "
        "those of a whole person: the embedded person detector is unsuitable; use -d whole-image, "
        "--boxes FILE or a detector of your own with -d (detector=, boxes=)"
    )


def load_detector(
    detector: Detecting,
    model: Model,
    load: Callable[[str | Path], Model],
    score: float | None = None,
) -> Model | Detectors | Boxes | None:
    """Return the source of boxes; score: the least one of its boxes, None for its own."""
    if isinstance(detector, (list, tuple)) and len(detector) != 1:
        return _several(detector, model, load, score)
    detector = detector[0] if isinstance(detector, (list, tuple)) else detector
    if detector != "auto" and not model.codec.top_down:
        raise UsageError(f"{model.info.name} {NO_BOXES}; remove -d (detector=)")
    found: Any = detector
    if detector == "whole-image":
        found = WholeImage()
    elif detector == "auto":
        found = load(EMBEDDED) if model.codec.top_down else None
    elif isinstance(detector, (str, Path)):
        found = load(detector)
        if len(found.skeleton) or found.codec.top_down:
            raise UsageError(f"{detector} is a pose model; a detector yields boxes")
    if score is None:
        return cast("Model | Boxes | None", found)
    if found is None or not callable(found):
        raise UsageError("det_score needs a detector network")
    return cast("Model", found).with_threshold(score)


def _several(
    names: Sequence[str | Path],
    model: Model,
    load: Callable[[str | Path], Model],
    score: float | None,
) -> Detectors:
    """Return several detectors; a UsageError for none, for one twice, and for no network."""
    if len({*map(str, names)}) < max(len(names), 2):
        raise UsageError("several detectors are two or more networks, each of them named once")
    for name in names:
        if str(name) in ("auto", "whole-image") or not isinstance(name, (str, Path)):
            raise UsageError(f"{name} is no detector network; each of several detectors is one")
    found = [load_detector(name, model, load, score) for name in names]
    return Detectors(tuple(cast("list[Model]", found)))


def load_parts(
    body: Model,
    hands: str | Path | None,
    face: str | Path | None,
    load: Callable[[str | Path], Model],
    **options: Any,
) -> Parts | None:
    """Return what adds hands and faces to the people of `body`; None without either network."""
    if hands is None and face is None:
        return None
    networks = [None if name is None else load(name) for name in (hands, face)]
    return Parts(body.skeleton, *networks, **options)


def load_rescoring(path: str | Path | None, model: Model) -> ExpectedOKS | None:
    """Return the re-scoring network of a file; UsageError: it is for other joints."""
    if path is None:
        return None
    network = ExpectedOKS.load(path)
    network.check(model.info.name, model.skeleton)
    return network


def estimator(
    way: str | PPoseNMS, accurate: bool, model: Model, scales: Sequence[float] = (1,)
) -> Callable[..., list[People]]:
    """Return how the pose network is run on people; UsageError: `accurate` where it cannot be, and
    what `check_scales` raises."""
    if accurate and way == "crowd":
        raise UsageError("accurate averages views and nms=crowd looks at one of each person")
    if accurate and not model.codec.top_down:
        raise UsageError(
            f"{model.info.name} finds people by itself; --accurate (accurate=) averages views of "
            "people whom a detector finds, leave it out"
        )
    if [*scales] != [1]:
        check_scales(scales, model)
        return AtScales(tuple(map(float, scales)))
    if way == "crowd":
        return crowd.estimate_all
    return averaging.estimate_all if accurate else estimate_all


def duplicates(way: str | PPoseNMS, info: ModelInfo) -> Callable[[People], People] | None:
    """Return what removes duplicates; a UsageError for an unknown way."""
    if isinstance(way, PPoseNMS):
        return partial(ppose_nms, settings=way)
    if way == "crowd" and not finds_peaks(info.codec):
        raise UsageError(f"crowd matching needs heatmaps, which {info.name} does not have; use oks")
    if way in ("none", "crowd"):
        return None
    if way == "oks":
        return partial(oks_nms, skeleton=info.skeleton)
    if way == "average":
        return partial(averaging.average_duplicates, skeleton=info.skeleton)
    if way == "ppose":
        return partial(ppose_nms, settings=info.ppose or PPoseNMS.usual(len(info.skeleton)))
    known = get_args(NMS)
    raise UsageError(f"no duplicate removal {way!r}{nearest(way, known)}; {', '.join(known)}")
