"""The commands of docs/seeds.md run, section by section, in the order of the page."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.cli import main, parse
from posewright.models import create
from posewright.models.saving import save_model
from posewright.skeletons import get_skeleton
from tests.helpers.layouts import network
from tests.helpers.videos import demo_clip

PAGE = Path(__file__).parents[1] / "docs" / "seeds.md"
SECTIONS = {
    section.partition("\n")[0]: re.findall("`(posewright .+?)`", section)
    for section in PAGE.read_text("utf-8").replace(r"\|", "|").split("\n## ")[1:]
}
# What needs a file of somebody else, a camera or the outputs of a device is parsed, not run; so is
# a study, which trains for hours.
PARSED = re.compile(
    r"posewright (models convert|predict camera:|data stats visdrone|study|.* --from-bins)"
)
CONVERTS = "The labelme workflow"
TRAINED = re.compile(".* -o exp/first")  # in small; other trainings resolve and print their recipe
SMALL = "limit=2 workers=0 options.input_size=[64,64]"
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {  # else a small one of heatmaps
    "adaptive": ("adaptivepose_dla34", {"input_size": (128, 128)}),
    "posefix": ("posefix_r50", {}),
    "yolox_x": ("yolox_nano", {}),
}
FOUND = {  # result files, and the parts of the data that they are of
    "results.json": ["val2017"],
    "detections.json": ["val2017"],
    "boxes.json": ["train2017", "val2017"],
}
CONFIGS = {
    "256x192_res50_lr1e-3_1x.yaml": "DATA_PRESET: {}\nMODEL: {TYPE: FastPose}\nTRAIN: {LR: 0.001}",
    "w32_256x192_adam_lr1e-3.yaml": (
        "MODEL: {NAME: pose_hrnet, EXTRA: {STAGE2: {NUM_CHANNELS: [32, 64]}}}\nTRAIN: {LR: 0.001}"
    ),
    "rtmpose-m_8xb256-420e_coco-256x192.py": (
        "model = dict(backbone=dict(type='CSPNeXt', deepen_factor=0.67, widen_factor=0.75),\n"
        "             head=dict(type='RTMCCHead'))\n"
    ),
}


def test_the_page_has_the_systems_of_its_title() -> None:
    assert len(SECTIONS) == 9 and all(SECTIONS.values())


def labels_of(folder: Path, part: str) -> dict[str, Any]:
    file = folder / f"data/coco/annotations/person_keypoints_{part}.json"
    labels: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return labels


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The labels, images, configurations and results that the page names."""
    folder = tmp_path_factory.mktemp("seeds")
    labels, drawn = str(folder / "labelled"), str(folder / "drawn")
    assert main(["data", "synth", "-o", drawn, "--count", "24"]) == 0
    assert main(["data", "convert", drawn, labels, "--to", "labelme"]) == 0
    assert main(["data", "convert", "--input", labels, "--output", str(folder / "data")]) == 0
    for name, config in CONFIGS.items():
        (folder / name).write_text(config, encoding="utf-8")
    demo_clip(folder / "clip.mp4", 3)
    truth = {part: labels_of(folder, part) for part in ("train2017", "val2017")}
    kept = ("image_id", "category_id", "bbox", "keypoints")
    for name, parts in FOUND.items():
        people = [person for part in parts for person in truth[part]["annotations"]]
        found = [{**{key: person[key] for key in kept}, "score": 0.9} for person in people]
        (folder / name).write_text(json.dumps(found), encoding="utf-8")
    (folder / "images").mkdir()
    for number, entry in enumerate(truth["val2017"]["images"], 1):
        image = cv2.imread(str(folder / "data/coco/val2017" / entry["file_name"]))
        assert image is not None
        entry |= {"file_name": f"{number:06d}.jpg", "crowdIndex": 0.5}
        cv2.imwrite(str(folder / "images" / entry["file_name"]), image)
    crowd = truth["val2017"]
    for person in crowd["annotations"]:  # twelve joints of COCO, and the nose for head and neck
        person["keypoints"] = [*person["keypoints"][15:], *person["keypoints"][:3] * 2]
    crowd["categories"][0]["keypoints"] = list(get_skeleton("crowdpose14").joints)
    (folder / "crowdpose_val.json").write_text(json.dumps(crowd), encoding="utf-8")
    return folder


@pytest.mark.parametrize("section", SECTIONS)
def test_the_commands_of_a_section_run(
    section: str,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    if section == CONVERTS:
        shutil.rmtree("data")  # its first command writes them
    for command in SECTIONS[section]:
        words = shlex.split(command)[1:]
        resumed = words[:2] == ["train", "--resume"]
        if PARSED.match(command) or (resumed and not Path(words[2]).is_dir()):
            args, unknown = parse(words)
            assert args.verb and not unknown
            continue
        for before, word in pairwise(words):
            if before not in ("-o", "--out"):
                make(Path(word.rpartition("=")[2]))
        if words[0] == "train" and not resumed:
            words += SMALL.split() if TRAINED.match(command) else ["--show"]
        assert main(words) == 0, (command, capsys.readouterr().err)
        assert capsys.readouterr().out, command


def make(path: Path) -> None:
    """Save an untrained network under the name of a published one, unless the file is there."""
    if path.suffix not in (".safetensors", ".onnx") or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".onnx":
        rows = np.zeros((1, 84, 8400), np.float32)
        rows[0, :5, 0] = 320, 320, 200, 400, 0.9
        network(path, {"output0": rows}, (1, 3, 640, 640), "images")
        return
    name, options = NETWORKS.get(path.stem, ("lite_hrnet_18", {}))
    save_model(create(name, **options), path)
