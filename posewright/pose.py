"""Pose: images, videos and cameras in, the joints of all people out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from posewright.errors import SourceError, UsageError
from posewright.extras import naming_extras
from posewright.nms import PPoseNMS
from posewright.pipeline import averaging
from posewright.pipeline.embedder import Embedder
from posewright.pipeline.estimate import Boxes, Detectors, find_people
from posewright.pipeline.header import used, with_settings
from posewright.pipeline.loading import (
    NMS,
    NO_BOXES,
    Detecting,
    check_pose,
    chosen,
    duplicates,
    each_of,
    estimator,
    files_among,
    load,
    load_beside,
    load_detector,
    load_parts,
    load_rescoring,
    misfit,
    named_layouts,
    sizes,
)
from posewright.pipeline.pipeline import Pipeline, Records
from posewright.pipeline.refiner import Refiner
from posewright.pipeline.scales import scales_of
from posewright.results import Result
from posewright.runtimes import Model, Precision, Runtime
from posewright.skeletons import Skeleton
from posewright.sources import Source, open_source, together
from posewright.trackers import Tracker, create_tracker
from posewright.weights.folders import AS_USUAL, Fetching

if TYPE_CHECKING:
    from posewright.writers.outputs import Summary

__all__ = ["NMS", "Pose", "Stream"]


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
        getattr(self._results, "close", lambda: None)()
        self.source.close()


def _check_numbers(min_score: float, det_score: float, max_people: int, threads: int) -> None:
    for name, share in (("min_score", min_score), ("det_score", det_score)):
        if not 0 <= share <= 1:
            raise UsageError(f"{name}={share} is not between 0 and 1")
    if min(max_people, threads) < 0:
        raise UsageError(f"max_people={max_people} or threads={threads} is negative")


class Pose:
    """Find the joints of all people.  Immutable once loaded; several threads may use one object.

    model: a name of `posewright models list`, which is downloaded once, the path of an ONNX file
    ("rtmpose:FILE" for a file whose name does not tell its layout) or of a posewright .safetensors
    file, or a network of the zoo with weights.  mode, body: in place of the model, a published pose
    network and its detector: "lightweight", "balanced" (default) or "performance", for 17 joints
    (default), 26, 133 or "hand".  weights: the file of the model's weights.  detector: as model, or
    "whole-image", or "auto" for the embedded one (none for a model that finds people by itself); a
    list of names for several, whose boxes are all used.
    runtime, device, precision: see [load_model][posewright.runtimes.load_model]; they apply to each
    network: with "torch", further .onnx files run as with "auto".  threads: processors to use, 0 =
    all.  flip: average with the mirrored view (flip test), which doubles the work.  min_score: drop
    people whose mean joint score is lower.  det_score: drop boxes below it.  nms: "oks" (OKS-NMS),
    "ppose" (pose NMS of RMPE, with constants fitted for the model if its file has them, else the
    published ones), its settings, "average" (duplicates are averaged, see
    [average_duplicates][posewright.pipeline.averaging.average_duplicates]), "crowd" (joints are
    assigned among people who overlap; heatmaps only) or "none"; by default "oks", with accurate
    "average".  accurate: average three views of each person, at three times the work.  scales: run
    a network that finds people by itself on views of so many times its size, see
    [AtScales][posewright.pipeline.scales.AtScales].  rescore: the file of a network that expects
    the OKS of poses (DEKR's), by which scores are multiplied.  refine: that of a network that
    refines the joints afterwards (PoseFix).  reid: that of a re-identification network, which the
    tracker "appearance" needs.  hands, face: networks of a hand's or a face's joints, as model;
    what they find joins each person, see [Parts][posewright.pipeline.parts.Parts].  max_people:
    keep so many boxes of a frame, those with the highest scores; 0 keeps all.  layout, skeleton:
    names, for an ONNX file without metadata that does not tell; a detector's layout is that of the
    detector's file.  fetch: where published networks are kept and how they are fetched:
    Fetching(home=, offline=, require_checksum=).
    """

    def __init__(
        self,
        model: str | Path = "movenet-thunder",
        *,
        mode: str | None = None,
        body: str | int | None = None,
        weights: str | Path | None = None,
        detector: Detecting = "auto",
        runtime: Runtime = "auto",
        device: str = "auto",
        precision: Precision = "auto",
        threads: int = 0,
        flip: bool = False,
        min_score: float = 0.2,
        det_score: float | None = None,
        nms: NMS | PPoseNMS | None = None,
        accurate: bool = False,
        scales: Sequence[float] = (1,),
        rescore: str | Path | None = None,
        refine: str | Path | None = None,
        reid: str | Path | None = None,
        hands: str | Path | None = None,
        face: str | Path | None = None,
        max_people: int = 0,
        layout: str = "",
        skeleton: str = "",
        fetch: Fetching = AS_USUAL,
    ) -> None:
        _check_numbers(min_score, det_score or 0.0, max_people, threads)
        model, detector = chosen(model, weights, detector, mode, body)
        beside = {"refine": refine, "reid": reid, "hands": hands, "face": face, "rescore": rescore}
        self.files = files_among(model, weights, detector, *beside.values())
        self._named = {"model": weights or model, **beside, **each_of(detector)}
        self._fetch, self._nms = fetch, nms or ("average" if accurate else "oks")
        where: Any = {"runtime": runtime, "device": device, "precision": precision, "fetch": fetch}
        threads = where["threads"] = threads or os.cpu_count() or 1
        load_next: Any = partial(load_beside, **where)
        of_pose, of_boxes = named_layouts(layout, detector)
        network = load(model, weights, layout=of_pose, skeleton=skeleton, **where)
        check_pose(network, model, flip)
        # what the user should know before anything runs; of the detector, where it is used
        self.detector_note = misfit(network) if detector == "auto" else ""
        window, batch = sizes(device)
        self.embed = Embedder(load_next(reid), batch=batch, threads=threads) if reid else None
        self.pipeline = Pipeline(
            network,
            load_detector(detector, network, partial(load_next, layout=of_boxes), det_score),
            duplicates(self._nms, network.info),
            load_rescoring(rescore, network),
            Refiner(load_next(refine), flip=flip, batch=batch) if refine else None,
            parts=load_parts(network, hands, face, load_next, flip=flip, batch=batch),
            flip=flip,
            min_score=min_score,
            max_people=max_people,
            threads=threads,
            window=window,
            batch=batch,
            estimate=estimator(self._nms, accurate, network, scales),
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

    @cached_property
    def run(self) -> dict[str, Any]:
        """What results state in their header: networks, settings, versions of libraries."""
        pipeline = self.pipeline
        found: dict[str, Any] = {"model": pipeline.model, **each_of(pipeline.detector)}
        if pipeline.refine is not None:
            found["refine"] = pipeline.refine.model
        found |= pipeline.parts.networks if pipeline.parts else {}
        if self.embed is not None:
            found["reid"] = self.embed.model
        settings: dict[str, Any] = {"min_score": pipeline.min_score, "flip": pipeline.flip}
        settings["nms"] = self._nms if isinstance(self._nms, str) else asdict(self._nms)
        settings["accurate"] = pipeline.estimate is averaging.estimate_all
        settings["scales"] = scales_of(pipeline.estimate)
        settings["rescore"] = pipeline.rescore and pipeline.rescore.name
        settings["max_people"] = pipeline.max_people
        settings["det_score"] = getattr(getattr(self.detector, "codec", None), "threshold", None)
        with self._fetch.applied():  # a network's file is looked for where it was found before
            return used({n: (net, self._named.get(n)) for n, net in found.items()}, settings)

    @property
    def detector(self) -> Model | Detectors | Boxes | None:
        """The source of boxes; None where the pose network finds people by itself."""
        return self.pipeline.detector

    @property
    def skeleton(self) -> Skeleton:
        """The joints of the results: those of the model, and of hands and face where asked for."""
        return self.pipeline.skeleton

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
        max_pixels, latest, retry_s, fps, frames, time_range, stride, stopped: see open_source.
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
        names = "color max_pixels latest retry_s fps frames time_range stride stopped".split()
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
        records: Records | None = None,
    ) -> Iterator[Result]:
        if isinstance(tracker, str):
            fps = source.fps or 30.0
            tracker = create_tracker(tracker, skeleton=self.skeleton, fps=fps, embed=self.embed)
        told = self.run
        if boxes is not None:
            if not self.model.codec.top_down:
                raise UsageError(f"{self.model.info.name} {NO_BOXES}; remove --boxes (boxes=)")
            told = {**told, "detector": {"name": type(boxes).__name__}}
        pipeline = replace(
            self.pipeline,
            detector=boxes or self.detector,
            tracker=tracker,
            det_every=det_every,
            keep_images=keep_images,
            header=with_settings(told, {"det_every": det_every}),
            records=records,
            window=1 if source.kind == "stream" else self.pipeline.window,
        )
        return pipeline.run(source)
