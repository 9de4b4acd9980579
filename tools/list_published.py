"""Write posewright/weights/published.tsv from a list of mmpose's checkpoint addresses.

Usage: python tools/list_published.py CHECKPOINTS.tsv posewright/weights/published.tsv

CHECKPOINTS.tsv: columns url and sha256_prefix.  Only files whose network the zoo has are listed;
the network, its options and the data set follow from the file's name, as mmpose writes it.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

COLUMNS = ("name", "url", "sha", "family", "network", "options", "licence", "data", "score")
SKELETONS = {
    "coco": "coco17",
    "mpii": "mpii16",
    "crowdpose": "crowdpose14",
    "aic": "aic14",
    "coco-wholebody": "coco133",
    "coco_wholebody": "coco133",
    "halpe26": "halpe26",
    "body8-halpe26": "halpe26",
    "body7": "coco17",
    "aic-coco": "coco17",
    "humanart": "coco17",
    "body8": "coco17",
}
DATA = "|".join(sorted(SKELETONS, key=len, reverse=True))
SIZE = r"(?P<h>\d+)x(?P<w>\d+)"
TAIL = rf".*?[_-](?P<data>{DATA})(_pt-[a-z0-9-]+)?(_\d+e)?[-_]{SIZE}(?P<codec>_dark|_udp|_rle)?[-_]"
# pattern of the file's name -> (family, network); groups fill in the network's name
RULES = (
    (
        r"(td-hm_)?hrnet[-_]w(?P<n>32|48)(?P<early>_dark|_udp)?(?!.*(fp16|regress|posewarper|coarse))",
        "mmpose_hrnet",
        "hrnet_w{n}",
    ),
    (
        r"(td-hm_)?res(?P<n>50|101|152)(?P<early>_dark)?(?!.*fp16)",
        "mmpose_resnet",
        "simple_baseline_r{n}",
    ),
    (r"(td-hm_)?seresnet(?P<n>50|101)", "mmpose_seresnet", "seresnet_{n}"),
    (r"simcc_res(?P<n>50)", "mmpose_simcc", "simcc_r{n}"),
    (r"rtmpose-(?P<n>tiny|s|m|l|x)_simcc", "mmpose_rtmpose", "rtmpose_{n}"),
    (
        r"td-hm_ViTPose-(?P<n>small|base|large|huge)(?P<simple>-simple)?",
        "mmpose_vitpose",
        "vitpose_{n}",
    ),
    (r"(td-hm_)?litehrnet[-]?(?P<n>18|30)", "mmpose_litehrnet", "lite_hrnet_{n}"),
    (r"(td-hm_)?hrformer[-_](?P<n>small|base)", "mmpose_hrformer", "hrformer_{n}"),
    (r"td-reg_res(?P<n>50|101|152)_rle", "mmpose_regression", "rle_r{n}"),
)
# validation AP that mmpose's tables state, with detector boxes and flip test
SCORES = {
    "hrnet_w32-coco-256x192": ".749",
    "hrnet_w32-udp-coco-256x192": ".762",
    "hrnet_w48-udp-coco-256x192": ".768",
    "hrnet_w32-udp-coco-384x288": ".768",
    "hrnet_w48-udp-coco-384x288": ".773",
    "hrnet_w32-dark-coco-256x192": ".757",
    "hrnet_w48-dark-coco-256x192": ".764",
    "hrnet_w32-dark-coco-384x288": ".766",
    "hrnet_w48-dark-coco-384x288": ".772",
    "simcc_r50-coco-256x192": ".721",
    "lite_hrnet_18-coco-256x192": ".642",
    "lite_hrnet_30-coco-256x192": ".676",
    "hrformer_s-coco-256x192": ".738",
    "hrformer_b-coco-256x192": ".754",
    "rtmpose_t-coco-256x192": ".682",
    "rtmpose_s-coco-256x192": ".716",
    "rtmpose_m-coco-256x192": ".746",
    "rtmpose_l-coco-256x192": ".758",
    "rtmpose_t-aic-coco-256x192": ".685",
    "rtmpose_s-aic-coco-256x192": ".722",
    "rtmpose_m-aic-coco-256x192": ".758",
    "rtmpose_l-aic-coco-256x192": ".765",
    "rle_r50-coco-256x192": ".706",
}
DRIVE = "https://drive.google.com/open?id="
TI = (
    "http://software-dl.ti.com/jacinto7/esd/modelzoo/gplv3/08_02_00_11/edgeai-yolov5/"
    "pretrained_models/checkpoints/keypoint/coco/edgeai-yolov5/other/best_models/"
)
# authors' own files, for which no checksum is published
OTHERS = (
    (
        "alphapose_fastpose_r50",
        DRIVE + "1kQhnMRURFiy7NsdS8EFL-8vtqEXOgECn",
        "alphapose",
        "fastpose_r50",
        {},
        "non-commercial (SJTU)",
        ".720",
    ),
    (
        "alphapose_fastpose_r50_dcn",
        DRIVE + "1zUz9YIk6eALCbZrukxD7kQ554nhi1pVv",
        "alphapose",
        "fastpose_r50_dcn",
        {},
        "non-commercial (SJTU)",
        ".728",
    ),
    (
        "alphapose_fastpose_duc_r50",
        DRIVE + "1RlnL_YnnmgOM4L9L2szFdUnTjwptqtL-",
        "alphapose",
        "fastpose_duc_r50",
        {},
        "non-commercial (SJTU)",
        ".724",
    ),
    (
        "alphapose_fastpose_duc_r152",
        DRIVE + "1kfyedqyn8exjbbNmYq8XGd2EooQjPtF9",
        "alphapose",
        "fastpose_duc_r152",
        {},
        "non-commercial (SJTU)",
        ".733",
    ),
    (
        "yolo_pose_s6-960",
        TI + "yolov5s6_960_64p8_87p4_kpts_head_6x_dwconv_3x3_lr_0p01/weights/last.pt",
        "yolo_pose",
        "yolo_pose_s6",
        {},
        "GPL-3.0",
        ".637",
    ),
    (
        "yolo_pose_m6-960",
        TI + "yolov5m6_960_67p8_89p3_kpts_head_6x_dwconv_3x3_lr_0p01/weights/last.pt",
        "yolo_pose",
        "yolo_pose_m6",
        {},
        "GPL-3.0",
        ".674",
    ),
    (
        "yolo_pose_l6-960",
        TI + "yolov5l6_960_69p6_90p1_kpts_head_6x_dwconv_3x3_lr_0p01/weights/last.pt",
        "yolo_pose",
        "yolo_pose_l6",
        {},
        "GPL-3.0",
        ".694",
    ),
)
# networks that tell people apart: name, Drive file, network, data, accuracy
REID_LICENCE = "MIT; MSMT17, its training data, is for research only"
REID = (
    (
        "osnet_ain_x1_0-msmt17",
        "1SigwBE6mPdqiJMqhuIY4aqC7--5CsMal",
        "osnet_ain_x1_0",
        "msmt17",
        "Market-1501 rank-1 .701, mAP .433",
    ),
    (
        "osnet_x1_0-msmt17",
        "1IosIFlLiulGIjwW3H8uMRmx3MzPwf86x",
        "osnet_x1_0",
        "msmt17",
        "Market-1501 rank-1 .666, mAP .375",
    ),
)
SHORT = {"tiny": "t", "small": "s", "base": "b", "large": "l", "huge": "h"}


def entry(url: str, sha: str) -> dict[str, str] | None:
    """Return a row for a checkpoint of a network of the zoo, None for any other."""
    file = url.rpartition("/")[2]
    if "/bottom_up/" in url or "ubody" in url:
        return None
    for pattern, family, network in RULES:
        match = re.match(pattern + TAIL, file)
        if match is None:
            continue
        found = {k: v or "" for k, v in match.groupdict().items()}
        short = SHORT.get(found["n"], found["n"])
        name = network.format(n=short)
        size = int(found["w"]), int(found["h"])
        options: dict[str, object] = {"input_size": size}
        if SKELETONS[found["data"]] != "coco17":
            options["skeleton"] = SKELETONS[found["data"]]
        if family == "mmpose_vitpose":  # mmpose 1.x: no row of the positions for a class token
            options["class_position"] = False
        if found.get("simple"):
            options["simple"] = True
        if family == "mmpose_regression":
            options["codec"] = "mmpose_rle"
        codec = (found.get("early") or found["codec"]).strip("_")
        if codec in ("dark", "udp"):
            options["codec"] = codec
        data = found["data"].replace("_", "-")
        simple = "simple" if found.get("simple") else ""
        parts = [name, simple, codec, data, f"{size[1]}x{size[0]}"]
        title = "-".join(p for p in parts if p)
        values = (
            title,
            url,
            sha,
            family,
            name,
            json.dumps(options),
            "Apache-2.0",
            data,
            f"AP {SCORES[title]}" if title in SCORES else "",
        )
        return dict(zip(COLUMNS, values, strict=True))
    return None


def main(source: Path, target: Path) -> int:
    """Write the table, one row per name: of several files the newest."""
    with source.open(encoding="utf-8") as file:
        rows = [entry(r["url"], r["sha256_prefix"]) for r in csv.DictReader(file, delimiter="\t")]
    by_name: dict[str, dict[str, str]] = {}
    for row in sorted((r for r in rows if r), key=lambda r: ("/v1/" in r["url"], r["url"][-12:])):
        by_name[row["name"]] = row
    for name, url, family, network, options, licence, score in OTHERS:
        values = (
            name,
            url,
            "",
            family,
            network,
            json.dumps(options),
            licence,
            "coco",
            f"AP {score}",
        )
        by_name[name] = dict(zip(COLUMNS, values, strict=True))
    for name, file_id, network, data, score in REID:
        values = name, DRIVE + file_id, "", "torchreid", network, "{}", REID_LICENCE, data, score
        by_name[name] = dict(zip(COLUMNS, values, strict=True))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", lineterminator="\n", quotechar="'")
        writer.writeheader()
        writer.writerows(by_name[name] for name in sorted(by_name))
    print(f"{len(by_name)} entries")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
