"""Damaged label files of every kind: a data set, or one line that says what is wrong."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posewright.datasets import open_dataset
from posewright.datasets.check import check
from posewright.errors import PosewrightError

SHAPES = [
    {"label": "person", "shape_type": "polygon", "points": [[0, 0], [5, 0], [5, 9]], "group_id": 1},
    {"label": "nose", "shape_type": "point", "points": [[1, 2]], "group_id": 1, "flags": {}},
]
COCO = {
    "images": [
        {
            "id": 1,
            "file_name": "a.jpg",
            "width": 9,
            "height": 9,
            "crowdIndex": 0.5,
            "vid_id": "1",
            "ignore_regions_x": [[1, 2, 3]],
            "ignore_regions_y": [[1, 2, 3]],
        }
    ],
    "categories": [
        {
            "id": 1,
            "name": "person",
            "keypoints": ["a", "b"],
            "skeleton": [[1, 2]],
            "sigmas": [0.1, 0.2],
            "flip_index": [0, 1],
        }
    ],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [1, 1, 5, 5],
            "area": 3,
            "keypoints": [1, 2, 2, 3, 4, 1],
            "num_keypoints": 2,
            "iscrowd": 0,
            "segmentation": [[1, 2, 3, 4, 5, 6]],
            "track_id": 1,
            "bbox_head": [1, 1, 2, 2],
        }
    ],
}
PAGES: dict[str, Any] = {
    "coco": COCO,
    "posetrack": COCO,
    "labelme": {"shapes": SHAPES, "imagePath": "a.jpg", "imageWidth": 9, "imageHeight": 9},
    "mpii": [
        {
            "image": "a.jpg",
            "joints": [[1, 2]] * 16,
            "joints_vis": [1] * 16,
            "scale": 1.0,
            "center": [3, 4],
        }
    ],
    "aic": [
        {
            "image_id": "a",
            "human_annotations": {"h": [1, 2, 3, 4]},
            "keypoint_annotations": {"h": [1, 2, 1] * 14},
        }
    ],
    "label-studio": [
        {
            "data": {"image": "a.jpg"},
            "annotations": [
                {
                    "result": [
                        {
                            "type": "rectanglelabels",
                            "id": "r",
                            "original_width": 9,
                            "original_height": 9,
                            "value": {"x": 1, "y": 1, "width": 5, "height": 5},
                        },
                        {
                            "type": "keypointlabels",
                            "id": "k",
                            "original_width": 9,
                            "original_height": 9,
                            "value": {"x": 1, "y": 1, "keypointlabels": ["nose"]},
                            "parentID": "r",
                        },
                    ]
                }
            ],
        }
    ],
}
JUNK = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        1e308,
        float("nan"),
        float("inf"),
        10**400,
        "",
        "x",
        "\ud800",
        [],
        {},
        [[]],
        [None],
        {"a": 1},
        [1, 2, 3],
        -0.5,
    ]
)


def damaged(page: Any, draw: Any) -> Any:
    """Return the page with one value, somewhere, exchanged or removed."""
    page = copy.deepcopy(page)
    node = page
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw(st.sampled_from(keys))
        inner = node[key]
        if isinstance(inner, (dict, list)) and inner and draw(st.integers(0, 4)):
            node = inner
            continue
        if draw(st.integers(0, 4)):
            node[key] = draw(JUNK)
        else:
            del node[key]
        return page


@pytest.mark.parametrize("kind", list(PAGES))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_one_line_or_a_data_set(kind: str, data: st.DataObject) -> None:
    page = damaged(PAGES[kind], data.draw)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "a.json"
        file.write_text(json.dumps(page))
        for use in (lambda: open_dataset(file, kind), lambda: check(file, kind)):
            try:
                use()
            except PosewrightError as error:
                assert "\n" not in str(error)


CVAT = (
    '<annotations><image id="0" name="a.jpg" width="9" height="9"><box label="person" xtl="1" '
    'ytl="1" xbr="5" ybr="5" group_id="1"/><skeleton label="person" group_id="1"><points '
    'label="nose" outside="0" occluded="1" points="1,2"/></skeleton><polygon label="person" '
    'points="1,1;2,2;3,1" group_id="1"/></image></annotations>'
)
YOLO = "0 0.5 0.5 0.2 0.2 0.5 0.5 2 0.4 0.4 1\n"


@settings(max_examples=80, deadline=None)
@given(
    at=st.integers(0, len(CVAT) - 1), junk=st.sampled_from(["", "x", "9", "-", '"', "\0", "nan"])
)
def test_damaged_cvat(at: int, junk: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "a.xml"
        file.write_text(CVAT[:at] + junk + CVAT[at + 1 :])
        try:
            open_dataset(file)
        except PosewrightError as error:
            assert "\n" not in str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    shape=st.sampled_from(["[2, 3]", "[x, 3]", "[2]", "2", "[-1, 3]", "[[", "", "[1e99, 2]"]),
    at=st.integers(0, len(YOLO) - 1),
    junk=st.sampled_from(["x", "nan", " ", "\n", "-", "1e99"]),
)
def test_damaged_yolo(shape: str, at: int, junk: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "labels").mkdir()
        (root / "images").mkdir()
        (root / "images" / "a.bmp").write_bytes(b"BM")
        (root / "labels" / "a.txt").write_text(YOLO[:at] + junk + YOLO[at + 1 :])
        (root / "data.yaml").write_text(f"kpt_shape: {shape}\nnames:\n  0: person\n")
        try:
            open_dataset(root)
        except PosewrightError as error:
            assert "\n" not in str(error)
