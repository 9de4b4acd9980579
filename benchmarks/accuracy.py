"""Key point AP of the embedded pair on COCO images, by pycocotools from our COCO-results file.

    python benchmarks/accuracy.py [--study | --averages] [--data DIR]

DIR holds images/ and person_keypoints.json.  Without --study: the default pair with ground-truth
boxes and with the detector, in fp32 and in bf16.  --study: what each setting is worth.
--averages: what the averages of --accurate are worth, with the AP of the images of even and of odd
places in the order of their ids, so that a choice made on one half can be judged on the other.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from posewright import Pose
from posewright.pipeline import averaging
from posewright.pipeline.estimate import Detectors
from posewright.readers import BoxFile, read_boxes

DATA = Path(os.environ.get("POSEWRIGHT_TEST_DATA", "../shared/data")) / "coco"
# As COCO is scored: unlikely people cost nothing there, so nearly all of them are kept.
EVERYBODY: dict[str, Any] = {"min_score": 0.0, "det_score": 0.1}


class Evaluator:
    """Runs a Pose over the images and scores the file that it writes."""

    def __init__(self, data: Path) -> None:
        self.images = data / "images"
        with contextlib.redirect_stdout(io.StringIO()):
            self.truth = COCO(str(data / "person_keypoints.json"))

    def boxes(self, folder: Path) -> BoxFile:
        """The boxes of the people that have keypoints, in a COCO detection file."""
        known = [
            {"image_id": a["image_id"], "category_id": 1, "bbox": a["bbox"], "score": 1.0}
            for a in self.truth.loadAnns(self.truth.getAnnIds())
            if a.get("num_keypoints") and not a["iscrowd"]
        ]
        path = folder / "boxes.json"
        path.write_text(json.dumps(known))
        return read_boxes(path)

    def score(self, pose: Pose, *, truth: bool = False, halves: bool = False) -> str:
        """AP, AP50, AP75 and AR as one line; halves: the AP of all, even and odd images."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            boxes = self.boxes(folder) if truth else None
            pose.predict_to(self.images, folder, save=["coco"], boxes=boxes)
            path = folder / "coco-results.json"
            found = len(json.loads(path.read_text()))
            ids = sorted(self.truth.imgs)
            parts = [ids, ids[::2], ids[1::2]] if halves else [ids]
            stats = [self._stats(path, part) for part in parts]
        if halves:
            named = zip(("AP", "even", "odd"), stats, strict=True)
            return "  ".join(f"{name} {part[0]:.3f}" for name, part in named)
        ap, ap50, ap75, ar = (stats[0][i] for i in (0, 1, 2, 5))
        return f"AP {ap:.3f}  AP50 {ap50:.3f}  AP75 {ap75:.3f}  AR {ar:.3f}  {found} people"

    def _stats(self, results: Path, ids: list[int]) -> list[float]:
        """pycocotools' figures of a result file on some of the images."""
        with contextlib.redirect_stdout(io.StringIO()):
            run = COCOeval(self.truth, self.truth.loadRes(str(results)), "keypoints")
            run.params.imgIds = ids
            run.evaluate()
            run.accumulate()
            run.summarize()
        return list(run.stats)


def with_codec(pose: Pose, part: str, **changes: Any) -> Pose:
    """Change fields of the codec of the model or of the detector."""
    old = getattr(pose.pipeline, part)
    info = replace(old.info, codec=replace(old.info.codec, **changes))
    setattr(pose.pipeline, part, replace(old, info=info))
    return pose


def defaults() -> Iterator[tuple[str, Pose, bool]]:
    """The pair as it ships."""
    for runtime, precision in (("onnxruntime", "auto"), ("openvino", "auto")):
        options: dict[str, Any] = {"runtime": runtime, "precision": precision, **EVERYBODY}
        pose = Pose(**options, nms="none")
        yield f"ground-truth boxes, {pose.model.runtime}", pose, True
        yield "  + flip", Pose(**options, nms="none", flip=True), True
        yield "our detector", Pose(**options), False
        yield "  + flip", Pose(**options, flip=True), False
    yield "our detector, as predict runs by default", Pose(), False


def study() -> Iterator[tuple[str, Pose, bool]]:
    """One setting at a time."""
    for size in ((192, 256), (224, 288), (256, 256)):
        for padding in (1.0, 1.1, 1.15, 1.25):
            pose = with_codec(
                Pose(nms="none", **EVERYBODY), "model", input_size=size, padding=padding
            )
            yield f"truth, crop {size[0]}x{size[1]}, padding {padding}", pose, True
    for nearness in (1.8, 3.0, 4.0, 8.0):
        pose = with_codec(Pose(nms="none", **EVERYBODY), "model", nearness=nearness)
        yield f"truth, nearness {nearness}", pose, True
    for size in ((416, 416), (512, 512), (640, 640)):
        yield (
            f"detector at {size[0]}",
            with_codec(Pose(**EVERYBODY), "detector", input_size=size),
            False,
        )
    yield "detector, square view", with_codec(Pose(**EVERYBODY), "detector", square=True), False
    for padding in (1.0, 1.1, 1.25):
        yield (
            f"detector, padding {padding}",
            with_codec(Pose(**EVERYBODY), "model", padding=padding),
            False,
        )
    for way in ("ppose", "oks", "none"):
        yield f"detector, duplicates {way}", Pose(**EVERYBODY, nms=way), False
    for least in (0.0, 0.1, 0.2, 0.3):
        for det in (0.1, 0.2, 0.3):
            yield f"min_score {least}, det_score {det}", Pose(min_score=least, det_score=det), False


MOVES = {
    "one view": (0.0,),
    "moved by 2 %": (0.0, 0.02, -0.02),
    "moved by 4 %, as --accurate": averaging.MOVES,
    "moved by 6 %": (0.0, 0.06, -0.06),
}


def averages() -> Iterator[tuple[str, Pose, bool]]:
    """What is averaged: views and mirrored views in labelled boxes; duplicates in detected ones."""
    options: dict[str, Any] = {"runtime": "onnxruntime", **EVERYBODY}
    for name, moves in MOVES.items():
        for flip in (False, True):
            pose = Pose(**options, nms="none", flip=flip)
            pose.pipeline.estimate = partial(averaging.estimate_all, moves=moves)
            yield f"truth, {name}{' + flip' if flip else ''}", pose, True
    for way in ("oks", "average"):
        for accurate in (False, True):
            pose = Pose(**options, nms=way, accurate=accurate)
            yield (
                f"detector, duplicates {way}, {'three views' if accurate else 'one view'}",
                pose,
                False,
            )
        pose = Pose(**options, nms=way)
        larger = with_codec(Pose(**options), "detector", input_size=(640, 640)).detector
        pose.pipeline.detector = Detectors((pose.detector, larger))
        yield f"detector at 512 and at 640, duplicates {way}", pose, False


def main() -> None:
    """Score each setting and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", action="store_true", help="what each setting is worth")
    parser.add_argument("--averages", action="store_true", help="what --accurate averages")
    parser.add_argument("--data", type=Path, default=DATA)
    args = parser.parse_args()
    evaluator = Evaluator(args.data)
    print(f"{len(evaluator.truth.imgs)} images")
    runs = averages() if args.averages else study() if args.study else defaults()
    for name, pose, truth in runs:
        figures = evaluator.score(pose, truth=truth, halves=args.averages)
        print(f"{name:48} {figures}", flush=True)


if __name__ == "__main__":
    main()
