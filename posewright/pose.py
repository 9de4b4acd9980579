"""Pose: images, videos and cameras in, the joints of all people out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from posewright.codecs.base import embeds, finds_peaks, refines
from posewright.errors import SourceError, UsageError, nearest
from posewright.extras import naming_extras
from posewright.nms import PPoseNMS, oks_nms, ppose_nms
from posewright.people import People
from posewright.pipeline.crowd import estimate_all as crowd_estimate_all
from posewright.pipeline.embedder import Embedder
from posewright.pipeline.estimate import Boxes, WholeImage, estimate_all, find_people
from posewright.pipeline.pipeline import Pipeline
from posewright.pipeline.refiner import Refiner
from posewright.results import Result
from posewright.runtimes import Model, Precision, Runtime, load_model
from posewright.runtimes.info import ModelInfo
from posewright.skeletons import Skeleton
from posewright.sources import Source, open_source, together
from posewright.trackers import Tracker, create_tracker
from posewright.weights import find_model

if TYPE_CHECKING:
    from posewright.writers.outputs import Summary

__all__ = ["NMS", "Pose", "Stream"]

NMS = Literal["ppose", "oks", "crowd", "none"]


class Stream(Iterator[Result]):
    """Results one by one in constant memory; a context manager that frees the source."""

    def __init__(self, source: Source, results: Iterator[Result]) -> None:
        self.source = source
        self._results = results

    def __next__(self) -> Result:
        return next(self._results)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the work in progress and close the source."""
        close = getattr(self._results, "close", None)
        if close is not None:
            close()
        self.source.close()


class Pose:
    """Find the joints of all people.  Immutable once loaded; several threads may use one object.

    model: an embedded name, the path of an ONNX file ("rtmpose:FILE" for a file whose name does not
    tell its layout) or of a posewright .safetensors file, or a network of the zoo with weights.
    weights: the file of its weights.  detector: as model, or "whole-image", or "auto" for the
    embedded one (none for a model that finds people by itself).  runtime, device, precision: see
    [load_model][posewright.runtimes.load_model]; they apply to each network: with "torch", further
    .onnx files run as with "auto".  threads: processors to use, 0 = all.  flip: average with the
    mirrored view (flip test), which doubles the work.  min_score: drop people whose mean joint
    score is lower.  det_score: drop boxes below it.  nms: "oks" (OKS-NMS), "ppose" (pose NMS of
    RMPE, with constants fitted for the model if its file has them, else the published ones), its
    settings, "crowd" (joints are assigned among people who overlap; heatmaps only) or "none".
    refine: the file of a network that refines the joints afterwards (PoseFix).  reid: that of a
    re-identification network, which the tracker "appearance" needs.  max_people: keep so many boxes
    of a frame, those with the highest scores; 0 keeps all.
    """

    def __init__(
        self,
        model: str | Path = "movenet-thunder",
        *,
        weights: str | Path | None = None,
        detector: str | Path | Boxes = "auto",
        runtime: Runtime = "auto",
        device: str = "auto",
        precision: Precision = "auto",
        threads: int = 0,
        flip: bool = False,
        min_score: float = 0.2,
        det_score: float | None = None,
        nms: NMS | PPoseNMS = "oks",
        refine: str | Path | None = None,
        reid: str | Path | None = None,
        max_people: int = 0,
    ) -> None:
        for name, share in (("min_score", min_score), ("det_score", det_score or 0.0)):
            if not 0 <= share <= 1:
                raise UsageError(f"{name}={share} is not between 0 and 1")
        if min(max_people, threads) < 0:
            raise UsageError(f"max_people={max_people} or threads={threads} is negative")
        named = (model, weights, detector, refine, reid)
        # what this object was read from
        self.files = [Path(n) for n in named if isinstance(n, (str, Path)) and os.path.isfile(n)]
        threads = threads or os.cpu_count() or 1
        load = partial(
            _load_beside, runtime=runtime, device=device, precision=precision, threads=threads
        )
        network = _load(model, None if weights is None else Path(weights), **load.keywords)
        _check_pose(network, model, flip)
        found = _detector(detector, network, load)
        # what the user should know before anything runs; of the detector, where it is used
        self.detector_note = _misfit(network) if detector == "auto" else ""
        if det_score is not None:
            if found is None or not callable(found):
                raise UsageError("det_score needs a detector network")
            found = found.with_threshold(det_score)
        # one frame a thread keeps all cores busy to the end; other devices want large batches
        window, batch = (1, 4) if device in ("auto", "cpu") else (8, 64)
        self.embed = Embedder(load(reid), batch=batch, threads=threads) if reid else None
        self.pipeline = Pipeline(
            network,
            found,
            _duplicates(nms, network.info),
            Refiner(load(refine), flip=flip, batch=batch) if refine else None,
            flip=flip,
            min_score=min_score,
            max_people=max_people,
            threads=threads,
            window=window,
            batch=batch,
            estimate=crowd_estimate_all if nms == "crowd" else estimate_all,
        )

    @classmethod
    def train(
        cls,
        data: str | Path | Sequence[str | Path],
        model: str,
        folder: str | Path,
        *,
        resume: bool = False,
        device: str = "auto",
        progress: Callable[[str], None] | None = print,
        **settings: Any,
    ) -> Pose:
        """Train a network of the zoo on annotated data; return the best checkpoint for predicting.

        data: what `posewright data check` reads.  folder: of the run, see posewright.train.
        settings: of the recipe, e.g. epochs=50, val="last:400", augment={"rotate": 30}.
        progress: called with each line of progress, None for silence.  UsageError: a setting that
        does not exist, or a run that was stopped before the first validation.
        """
        with naming_extras("training"):
            from posewright.recipes.lookup import recipe_of
            from posewright.train import train

        recipe = recipe_of(model, data, settings)
        outcome = train(recipe, folder, resume=resume, device=device, progress=progress)
        files = [outcome.folder / f"{name}.safetensors" for name in ("best", "last")]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise UsageError(
                f"{folder}: stopped before the first validation; resume=True continues"
            )
        return cls(file, device=device)

    @property
    def model(self) -> Model:
        """The pose network."""
        return self.pipeline.model

    @property
    def detector(self) -> Model | Boxes | None:
        """The source of boxes; None where the pose network finds people by itself."""
        return self.pipeline.detector

    @property
    def skeleton(self) -> Skeleton:
        """The joints that the model predicts."""
        return self.model.skeleton

    def __call__(self, source: Any, **options: Any) -> Result | list[Result]:
        """Return the result of one image, or the list of those of many; options as `predict`."""
        results = self.predict(source, **options)
        single = len(results) == 1 and not isinstance(source, (list, tuple))
        return results[0] if single else results

    def predict(self, source: Any, **options: Any) -> list[Result]:
        """Return the results of all frames at once; options as `stream`.

        Images are kept for `Result.plot` when there is only one; keep_images changes that.
        """
        opened, rest = self._open(source, options)
        with opened:
            rest.setdefault("keep_images", opened.total == 1)
            return list(self._results(opened, **rest))

    def stream(self, source: Any, **options: Any) -> Stream:
        """Yield results one by one, in constant memory; use it in a `with` statement.

        boxes: a source of Boxes in place of the detector.  tracker: a name or an object; fills ids,
        for which a list of paths is read folder by folder.
        det_every: detect on every n-th frame, follow the tracker's boxes in between.
        keep_images: results carry their pixels.  color: "rgb" or "bgr", needed for arrays.
        max_pixels, latest, retry_s, fps, stopped: see sources.open_source.
        """
        source = source if options.get("tracker") is None else together(source)
        opened, rest = self._open(source, options)
        return Stream(opened, self._results(opened, **{"keep_images": True, **rest}))

    def predict_to(
        self, source: Any, out: str | Path, *, save: str | Sequence[str] = "jsonl", **options: Any
    ) -> Summary:
        """Write result files; `save` is a list or comma-separated; see predict.predict_to."""
        from posewright.predict import predict_to

        save = [name.strip() for name in save.split(",")] if isinstance(save, str) else save
        return predict_to(self, [source], Path(out), save=save, **options)

    def explain(self, source: Any, **options: Any) -> NDArray[np.uint8]:
        """Return the RGB image with an overlay of the heatmaps that the joints were decoded from.

        source: one image; options: color, max_pixels.  UsageError for models without heatmaps.
        """
        from posewright.draw import heatmap_overlay

        opened, rest = self._open(source, options)
        if rest:
            raise TypeError(f"explain() has no option {', '.join(sorted(rest))}")
        with opened:
            frame = next(opened)
        if frame.status != "ok":
            raise SourceError(f"{frame.name}: {frame.message}")
        people = find_people(self.detector, [frame])
        image = frame.image
        for warp in self.model.codec.warps(frame.size, people[0] if people else None):
            outputs = self.model(warp.image(frame.image)[None])
            if "heatmap" not in outputs:
                raise UsageError(f"{self.model.info.name} has no heatmaps to show")
            image = heatmap_overlay(image, outputs["heatmap"][0], warp)
        return image

    def _open(self, source: Any, options: dict[str, Any]) -> tuple[Source, dict[str, Any]]:
        names = ("color", "max_pixels", "latest", "retry_s", "fps", "stopped")
        opening = {k: v for k, v in options.items() if k in names}
        return open_source(source, **opening), {k: options[k] for k in options.keys() - set(names)}

    def _results(
        self,
        source: Source,
        *,
        boxes: Boxes | None = None,
        tracker: Tracker | str | None = None,
        det_every: int = 1,
        keep_images: bool = False,
    ) -> Iterator[Result]:
        if isinstance(tracker, str):
            fps = source.fps or 30.0
            tracker = create_tracker(tracker, skeleton=self.skeleton, fps=fps, embed=self.embed)
        pipeline = replace(
            self.pipeline,
            detector=boxes or self.detector,
            tracker=tracker,
            det_every=det_every,
            keep_images=keep_images,
            window=1 if source.kind == "stream" else self.pipeline.window,
        )
        return pipeline.run(source)


def _check_pose(network: Model, model: str | Path, flip: bool) -> None:
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


def _load(name: str | Path, weights: Path | None = None, **options: Any) -> Model:
    if weights is not None:
        return load_model(name, weights=weights, **options)
    path, layout = find_model(name)
    return load_model(path, layout=layout, **options)


def _load_beside(name: str | Path, **options: Any) -> Model:
    """Load a network beside the pose model: torch, asked for the latter, runs no .onnx files."""
    path, _ = find_model(name)
    if options["runtime"] == "torch" and path.suffix == ".onnx":
        options |= {"runtime": "auto", "device": "auto", "precision": "auto"}
    return _load(name, **options)


def _misfit(model: Model) -> str:
    """Return why the embedded person detector may not fit a top-down model; "" where it does."""
    if not model.codec.top_down or model.info.of_people:
        return ""
    some = ", ".join(model.skeleton.joints[:3])
    return (
        f"{model.info.name} finds the joints of {model.skeleton.name} ({some} ...), which are not "
        "those of a whole person: the embedded person detector is unsuitable; use -d whole-image, "
        "--boxes FILE or a detector of your own with -d (detector=, boxes=)"
    )


def _detector(
    detector: str | Path | Boxes, model: Model, load: Callable[[str | Path], Model]
) -> Model | Boxes | None:
    if not isinstance(detector, (str, Path)):
        return detector
    if detector == "whole-image":
        return WholeImage()
    if detector != "auto":
        found = load(detector)
        if len(found.skeleton) or found.codec.top_down:
            raise UsageError(f"{detector} is a pose model; a detector yields boxes")
        return found
    return load("nanodet-g-person") if model.codec.top_down else None


def _duplicates(way: str | PPoseNMS, info: ModelInfo) -> Callable[[People], People] | None:
    if isinstance(way, PPoseNMS):
        return partial(ppose_nms, settings=way)
    if way == "crowd" and not finds_peaks(info.codec):
        raise UsageError(f"crowd matching needs heatmaps, which {info.name} does not have; use oks")
    if way in ("none", "crowd"):
        return None
    if way == "oks":
        return partial(oks_nms, skeleton=info.skeleton)
    if way == "ppose":
        return partial(ppose_nms, settings=info.ppose or PPoseNMS.usual(len(info.skeleton)))
    known = get_args(NMS)
    raise UsageError(f"no duplicate removal {way!r}{nearest(way, known)}; {', '.join(known)}")
