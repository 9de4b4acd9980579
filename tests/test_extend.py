"""docs/extend.md: each of its examples, added to a copy of the package as the page says, works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'```python title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL))
NETWORK = FILES.pop("points_net.py")  # a program that uses what the page adds
TABLE = "posewright/writers/__init__.py, in FORMATS"


def copied(source: str, target: str) -> None:
    """Copy Python, point to anything else."""
    if source.endswith(".py"):
        shutil.copyfile(source, target)
    else:
        os.symlink(source, target)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package to which the page's examples were added, and images."""
    place = tmp_path_factory.mktemp("extend")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "posewright", place / "posewright", copy_function=copied, ignore=ignored)
    for name, text in FILES.items():
        if name != TABLE:
            assert not (place / name).exists()
            (place / name).write_text(text, encoding="utf-8")
    table = place / TABLE.partition(",")[0]
    before, line, after = table.read_text(encoding="utf-8").partition("\nFORMATS = {\n")
    assert line
    table.write_text(before + line + FILES[TABLE] + after, encoding="utf-8")
    posewright(place, "data", "synth", "-o", "set", "--count", "4")
    return place


def python(place: Path, *words: str) -> str:
    """What Python prints with the copy of the package; the test fails where that fails."""
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def posewright(place: Path, *words: str) -> str:
    """What the command line of the copy prints."""
    return python(place, "-m", "posewright", *words)


def test_the_page_adds_each_thing_by_one_file() -> None:
    folders = {"models", "codecs", "trackers", "writers", "datasets/formats", "cli"}
    assert {str(Path(name).parent)[11:] for name in FILES} == folders
    assert len(FILES) == len(folders) + 1 and len(FILES[TABLE].splitlines()) == 1


def test_the_network_trains_a_step_and_is_exported(place: Path) -> None:
    small = ["options.input_size=[64,64]", "epochs=1", "batch=64", "val_split=0.5"]
    said = posewright(place, "train", "set/annotations.json", "-m", "pebble", "-o", "run", *small)
    assert "1 epoch, 1 step" in said and "no recipe" not in said
    assert "lr = 0.002\n" in (place / "run" / "recipe.toml").read_text(encoding="utf-8")
    posewright(place, "export", "run/last.safetensors", "-o", "pebble.onnx", "--no-check")
    posewright(place, "predict", "set/images", "-m", "pebble.onnx", "-d", "whole-image", "-o", "a")
    assert (place / "a" / "poses.jsonl").stat().st_size > 0
    assert "pebble" in posewright(place, "models", "list")


CODEC = """
import numpy, torch
from posewright.codecs import codec_from_dict, codec_named, codec_to_dict
from posewright.skeletons import COCO17
codec = codec_named("points", (192, 256))
assert codec_from_dict(codec_to_dict(codec)) == codec
points = numpy.random.default_rng(0).uniform(0, 1, (2, 17, 3)).astype("float32")
points[1, 3, 0] = numpy.nan
somebody, nobody = codec.decode({"points": points})
assert len(nobody) == 0 and abs(somebody.keypoints - points[:1, :, :2] * [192, 256]).max() < 1e-4
outputs = {"points": torch.tensor(points[:1])}
twice = codec.unflip(codec.unflip(outputs, COCO17), COCO17)
assert abs(twice["points"] - outputs["points"]).max() < 1e-6
"""


def test_the_codec_decodes(place: Path) -> None:
    python(place, "-c", CODEC)


POINTS = """
views = torch.zeros(2, 256, 192, 3, dtype=torch.uint8)
outputs = model.eval()(views)
assert outputs["points"].shape == (2, 17, 3) and len(model.codec.decode(outputs)) == 2
try:
    create("hrnet_w32", codec="points")
except UsageError as error:
    print(error)
"""


def test_a_network_with_the_right_head_takes_the_codec(place: Path) -> None:
    imports = "import torch\nfrom posewright.errors import UsageError\n"
    imports += "from posewright.models import create\n"
    assert "cannot use codec 'points'" in python(place, "-c", f"{imports}{NETWORK}{POINTS}")


@pytest.fixture(scope="module")
def poses(place: Path) -> Path:
    """Saved poses of three frames with one person, who moves a little."""
    image = np.zeros((120, 160, 3), np.uint8)
    for number in range(3):
        cv2.imwrite(str(place / f"{number}.png"), image)
    boxes = [
        {"image_id": n, "category_id": 1, "bbox": [20 + n, 20, 40, 80], "score": 1.0}
        for n in range(3)
    ]
    (place / "boxes.json").write_text(json.dumps(boxes), encoding="utf-8")
    files = [f"{n}.png" for n in range(3)]
    words = ["--boxes", "boxes.json", "--min-score", "0", "--save", "jsonl", "--fps", "10"]
    posewright(place, "predict", *files, *words, "-o", "saved")
    return place / "saved" / "poses.jsonl"


def test_the_tracker_tracks_and_the_format_is_written(place: Path, poses: Path) -> None:
    words = ["--tracker", "overlap", "--save", "counts,jsonl", "-o", "tracked"]
    assert "1 identity" in posewright(place, "track", str(poses), *words)
    rows = (place / "tracked" / "counts.csv").read_text(encoding="utf-8").splitlines()
    assert rows == ["source,frame,people", *(f"{n}.png,{n},1" for n in range(3))]
    assert "counts" in posewright(place, "predict", "--help")


def test_the_layout_is_recognised_and_read(place: Path) -> None:
    cv2.imwrite(str(place / "a.png"), np.zeros((20, 30, 3), np.uint8))
    (place / "labels.csv").write_text("image,nose,tail\na.png,1,2,20,15\n", encoding="utf-8")
    assert "nose" in posewright(place, "data", "stats", "labels.csv")
    said = posewright(place, "data", "stats", "labels.csv", "--kind", "rows", "--json")
    assert '"tail"' in said


def test_the_verb_runs_and_has_help(place: Path) -> None:
    cv2.imwrite(str(place / "b.png"), np.zeros((20, 30, 3), np.uint8))
    assert posewright(place, "size", "b.png") == "b.png 30 20\n"
    assert "Print the width and height of images." in posewright(place, "--help")
