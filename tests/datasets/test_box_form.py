"""Boxes in another form than COCO's are told where they are the rule, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from posewright.datasets.check import check
from posewright.datasets.formats.coco_out import write_labels
from posewright.datasets.synthetic import synth

Change = Callable[[list[float]], list[float]]

CORNERS: Change = lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]  # noqa: E731
MIDDLES: Change = lambda b: [b[0] + b[2] / 2, b[1] + b[3] / 2, b[2], b[3]]  # noqa: E731


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    write_labels(synth(folder, 12, 0), folder / "annotations.json")
    return folder / "annotations.json"


def changed(labels: Path, change: Change, every: int = 1) -> dict[str, str]:
    """Return the texts of what is found by kind, with the boxes of every n-th person changed."""
    page = json.loads(labels.read_text("utf-8"))
    for number, annotation in enumerate(page["annotations"]):
        if number % every == 0:
            annotation["bbox"] = change(annotation["bbox"])
    path = labels.with_name("changed.json")
    path.write_text(json.dumps(page), "utf-8")
    return {f.kind: f"{f.level} {f.text}" for f in check(path).findings}


@pytest.mark.parametrize(
    ("change", "form"), [(CORNERS, "x1, y1, x2, y2"), (MIDDLES, "centre x, centre y")]
)
def test_another_form_is_named(labels: Path, change: Change, form: str) -> None:
    found = changed(labels, change)
    assert found["box form"].startswith(f"error the joints match boxes in the form {form}")


@pytest.mark.parametrize("change", [CORNERS, MIDDLES, lambda b: [b[0] + 300, *b[1:]]])
def test_a_few_stray_boxes_are_no_other_form(labels: Path, change: Change) -> None:
    found = changed(labels, change, every=6)
    assert "box form" not in found
    assert found.get("box elsewhere", "warning most of the joints lie outside the box") == (
        "warning most of the joints lie outside the box"
    )


def test_right_boxes_and_boxes_that_fit_nothing(labels: Path) -> None:
    assert changed(labels, lambda b: b) == {}
    assert "box form" not in changed(labels, lambda b: [b[0] - 900, *b[1:]])


def test_cocos_own_labels(data_dir: Path) -> None:
    report = check(data_dir / "coco" / "person_keypoints.json")
    texts = {f.kind: f.text for f in report.findings}
    assert texts == {"box elsewhere": "most of the joints lie outside the box"}
