"""Every published number that an evaluator must reproduce: python benchmarks/references.py FOLDER

FOLDER holds eval_reference/: labels, results, and what other evaluators make of them.  One line
each: the number's name, what is wanted, what posewright computes of the same files, and whether
they are equal in all digits that are given.  The exit code is 1 if one is not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from posewright.evaluation.coco_files import read_truth
from posewright.evaluation.scoring import score_files

JOINTS = {"coco": 17, "crowdpose": 14}


@dataclass(frozen=True, slots=True)
class Reference:
    """Labels and results, and the numbers that belong to them.

    data: as `posewright eval` calls it.  labels, found: files below eval_reference; without `found`
    the labels themselves are the results.  wanted: name -> number with all digits that are known;
    16 decimals mean equality to the last bit.
    """

    title: str
    data: str
    labels: str
    found: str
    wanted: dict[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One number: as wanted, and as computed."""

    name: str
    wanted: str
    computed: float

    @property
    def equal(self) -> bool:
        """Whether it is the wanted one, rounded to as many decimals."""
        decimals = len(self.wanted.partition(".")[2])
        return round(self.computed, decimals) == float(self.wanted)

    def __str__(self) -> str:
        computed = repr(self.computed) if len(self.wanted) > 12 else f"{self.computed:.8g}"
        word = "equal" if self.equal else "DIFFERENT"
        return f"{self.name:50} {self.wanted:>20} {computed:>20}  {word}"


def named(names: str, numbers: str, prefix: str = "") -> dict[str, str]:
    """Return "A B" and "1 2" as {"A": "1", "B": "2"}, with a prefix to the names."""
    pairs = zip(names.split(), numbers.split(), strict=True)
    return {prefix + name: number for name, number in pairs}


TEN = "AP AP50 AP75 APM APL AR AR50 AR75 ARM ARL"
PCKH = "Head Shoulder Elbow Wrist Hip Knee Ankle"
MOT = "MOTA MOTP IDs Rcll Prcn FP FN MT PT ML FM IDF1"
PARTS = {
    "body": ".854 1.000 .935 .896",
    "foot": ".957 1.000 .985 .975",
    "face": ".727 1.000 .816 .746",
    "left hand": ".549 .794 .574 .575",
    "right hand": ".498 .645 .526 .562",
    "whole": ".642 1.000 .841 .704",
}
WHOLE_BODY = {
    name: number
    for part, numbers in PARTS.items()
    for name, number in named("AP AP50 AP75 AR", numbers, f"{part} ").items()
}

REFERENCES = (
    Reference(
        "COCO keypoints, faster-coco-eval",
        "coco",
        "faster_coco_eval/keypoints_dataset_gt_dataset.json",
        "faster_coco_eval/keypoints_dataset_dt_dataset.json",
        named("pictures people predictions", "1 14 128")
        | named(
            TEN,
            "0.5048844884488449 0.7227722772277227 0.6336633663366337 0.46633663366336636 "
            "0.7504950495049505 0.5181818181818182 0.7272727272727273 0.6363636363636364 "
            "0.4666666666666666 0.7500000000000000",
        ),
    ),
    Reference(
        "COCO keypoints, xtcocotools",
        "coco",
        "xtcocotools/example_coco_val.json",
        "xtcocotools/example_coco_preds.json",
        named(TEN, ".8609 .9931 .9109 .7756 .9373 .8750 1.0000 .9167 .7800 .9429"),
    ),
    Reference(
        "COCO-WholeBody",
        "coco-wholebody",
        "xtcocotools/cocowholebody_official_example_gt.json",
        "xtcocotools/cocowholebody_official_example_pred.json",
        WHOLE_BODY,
    ),
    Reference(
        "CrowdPose",
        "crowdpose",
        "faster_coco_eval/example_crowdpose_val.json",
        "faster_coco_eval/example_crowdpose_preds.json",
        named(
            "AP AP50 AP75 AR AR50 AR75",
            "0.7877215935879303 0.9881188118811886 0.7314356435643564 0.8222222222222223 "
            "1.0000000000000000 0.7777777777777778",
        )
        | named("AP_easy AP_medium AP_hard", "1.0000 .9802 .4116"),
    ),
    Reference(
        "CrowdPose, labels as results",
        "crowdpose",
        "crowdpose/crowdpose_val.json",
        "",
        named("pictures AP AR", "2000 1.000 1.000"),
    ),
    Reference(
        "COCO boxes",
        "coco",
        "cocoapi_results/instances_val2014_100.json",
        "cocoapi_results/instances_val2014_fakebbox100_results.json",
        named(
            "AP AP50 AP75 APS APM APL AR1 AR10 AR100 ARS ARM ARL",
            ".505 .697 .573 .586 .519 .501 .387 .594 .595 .640 .566 .564",
        ),
    ),
    Reference(
        "MPII, hg_s2",
        "mpii",
        "mpii_pckh/detections_our_format.mat",
        "mpii_pckh/bearpaw-hg_s2_b1.mat",
        {
            "people": "2958",
            **named(PCKH, "95.80 94.57 88.12 83.31 86.24 80.88 77.44"),
            "mean over joints": "86.76",
            "mean by count": "87.30",
            "PCKh@0.5": "87.30",
        },
    ),
    Reference(
        "MPII, hg_s8",
        "mpii",
        "mpii_pckh/detections_our_format.mat",
        "mpii_pckh/bearpaw-hg_s8_b1.mat",
        {
            "people": "2958",
            **named(PCKH, "96.79 95.19 90.08 85.32 87.48 84.26 80.73"),
            "mean over joints": "88.64",
            "mean by count": "89.09",
            "PCKh@0.5": "89.09",
        },
    ),
    Reference(
        "TUD-Campus",
        "mot",
        "motmetrics_tud/TUD-Campus/gt.txt",
        "motmetrics_tud/TUD-Campus/test.txt",
        named(MOT, "52.65 .277 7 58.22 94.14 13 150 1 6 1 7 .5577"),
    ),
    Reference(
        "TUD-Stadtmitte",
        "mot",
        "motmetrics_tud/TUD-Stadtmitte/gt.txt",
        "motmetrics_tud/TUD-Stadtmitte/test.txt",
        named(MOT, "56.40 .346 7 60.90 93.99 45 452 5 4 1 6 .6446"),
    ),
)


def rows_of(reference: Reference, data: Path) -> list[Row]:
    """Compute the numbers of a reference; `data` is the folder that holds eval_reference."""
    folder = data / "eval_reference"
    labels = folder / reference.labels
    if reference.found:
        numbers = computed(reference.data, labels, folder / reference.found)
    else:
        with tempfile.TemporaryDirectory() as place:
            found = as_results(labels, Path(place) / "labels.json")
            numbers = computed(reference.data, labels, found)
    if "pictures" in reference.wanted:
        truth = read_truth(labels, JOINTS[reference.data])
        numbers |= {"pictures": len(truth.images), "people": len(truth.truth)}
    return [
        Row(f"{reference.title}: {name}", wanted, numbers[name])
        for name, wanted in reference.wanted.items()
    ]


def computed(data: str, labels: Path, found: Path) -> dict[str, float]:
    """Return the numbers of a result file by their names, those of parts behind the part's name."""
    scoring = score_files(data, labels, found)
    more = scoring.more
    numbers = {
        f"{part} {name}": value
        for part, own in more.get("parts", {}).items()
        for name, value in own.items()
    }
    counts = {"people": more.get("labelled", -1), "predictions": more.get("predictions", -1)}
    return numbers | scoring.numbers | counts


def as_results(labels: Path, path: Path) -> Path:
    """Write the labelled people with joints as COCO results, all with one score."""
    people = [p for p in json.loads(labels.read_text())["annotations"] if p["num_keypoints"]]
    kept = ("image_id", "category_id", "keypoints")
    path.write_text(json.dumps([{"score": 1.0, **{key: p[key] for key in kept}} for p in people]))
    return path


def main(arguments: list[str] | None = None) -> int:
    """Print all numbers; return 1 if one differs, else 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="the folder that holds eval_reference")
    data = parser.parse_args(arguments).data
    if not (data / "eval_reference").is_dir():
        parser.error(f"{data} holds no eval_reference")
    rows = [row for reference in REFERENCES for row in rows_of(reference, data)]
    print(f"{'number':50} {'wanted':>20} {'posewright':>20}")
    print(*rows, sep="\n")
    different = sum(not row.equal for row in rows)
    print(f"{len(rows) - different} of {len(rows)} equal")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
