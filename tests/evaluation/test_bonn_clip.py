"""The clip of the Bonn set, followed by the embedded network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posewright.files.matfile import read_mat
from posewright.metrics.box_tracks import grown_extents
from posewright.skeletons import POSETRACK17
from tests.helpers.posetrack import call, written

CLIP = "060470979"
ORDER = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "",
    "",
    "neck",
    "top_head",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
)


def clip_labels(folder: Path) -> dict[str, Any]:
    """The clip's labels in PoseTrack's form; boxes are the extents, an eighth added a side."""
    entries = read_mat(folder / "annolist" / "test" / "annolist.mat")["annolist"].ravel()
    clip = next(e for e in entries if str(e["name"]) == CLIP)
    rows = clip["annopoints"].reshape(-1, int(clip["num_frames"].item()))
    images, people = [], []
    for f in range(rows.shape[1]):
        name = f"videos/{CLIP}/{f + 1:05d}.jpg"
        images.append({"id": f, "file_name": name, "vid_id": CLIP, "width": 960, "height": 540})
        people += [person(cell[0, 0], p, f) for p, cell in enumerate(rows[:, f])]
    category = {"id": 1, "name": "person", "keypoints": list(POSETRACK17.joints)}
    return {"images": images, "annotations": people, "categories": [category]}


def person(label: dict[str, Any], number: int, frame: int) -> dict[str, Any]:
    points = np.zeros((17, 3))
    for point in np.ravel(label["point"]):
        joint = ORDER[int(point["id"].item())]
        points[POSETRACK17[joint]] = point["x"].item(), point["y"].item(), 1
    left, top, width, height = grown_extents(points[None])[0].tolist()
    x1, y1, x2, y2 = map(float, label["head_rect"].ravel())
    return {
        "id": 4 * frame + number,
        "image_id": frame,
        "category_id": 1,
        "track_id": number,
        "keypoints": points.ravel().tolist(),
        "bbox": [left, top, width, height],
        "bbox_head": [x1, y1, x2 - x1, y2 - y1],
    }


def test_the_clip_by_the_embedded_network(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows of docs/tracking.md: labelled boxes, OKS-NMS, the default tracker."""
    folder = data_dir / "bonn_posetrack"
    file = written(tmp_path / "bonn.json", clip_labels(folder))
    options = ("-m", "movenet-thunder", "--images", folder, "--nms", "oks", "--tracker", "oks")
    assert call(file, *options, "--metrics", "posetrack,mot", "--json") == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["measured"] == "15 of the 17 joints of posetrack17"
    # 71.6 in bf16, 69.4 in fp32: the processor decides
    assert numbers["MOTA"] == pytest.approx(70.5, abs=3)
    assert numbers["IDF1"] == pytest.approx(0.84, abs=0.03)
    assert numbers["box_MOTA"] == pytest.approx(97.6, abs=1) and numbers["box_IDs"] <= 4
    assert numbers["joints"]["nose"] == {"AP": -1, "MOTA": -1}  # labelled nowhere
    assert numbers["settings"]["tracker"] == "oks"
