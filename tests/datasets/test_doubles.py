"""People labelled twice, one image under several ids, and parts that share none."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from posewright.datasets import Dataset, Sample, open_dataset, split
from posewright.datasets.check import check
from posewright.datasets.doubles import labelled_twice, same_picture
from posewright.datasets.formats.coco_out import write_labels
from posewright.datasets.synthetic import synth
from posewright.recipes.recipe import Recipe
from posewright.skeletons import COCO17
from posewright.training.data import open_sets

POSE = np.concatenate(
    [np.mgrid[0:17, 0:1].reshape(2, -1).T * [3, 0] + [20, 30], np.full((17, 1), 2)], 1
)
BOX = [15, 20, 80, 90]


def picture(people: list[np.ndarray], boxes: list[list[float]] | None = None) -> Sample:
    return Sample.of(Path("a.png"), (200, 200), 1, np.array(people), boxes)


def moved(x: float, joints: int = 17) -> np.ndarray:
    pose = POSE + np.array([x, 0, 0])
    pose[joints:] = 0
    return pose


@pytest.mark.parametrize(
    ("sample", "rows"),
    [
        (picture([POSE, POSE]), [1]),
        (picture([POSE, moved(1), moved(60)]), [1]),
        (picture([moved(60), POSE, moved(61), moved(0.5)]), [2, 3]),
        (picture([POSE, moved(6)]), []),
        (picture([POSE, moved(0, 5)], [BOX, BOX]), []),  # not half of the joints in common
        (picture([moved(0, 0), moved(0, 0)], [BOX, [15, 20, 80, 91]]), [1]),
        (picture([POSE, moved(0, 0)], [BOX, BOX]), [1]),
        (picture([POSE, moved(0, 0)], [BOX, [15, 20, 60, 90]]), []),
        (picture([moved(0, 2), moved(0, 2)], [BOX, [0, 0, 25, 50]]), []),
        (picture([POSE, POSE]).replace(crowd=np.array([False, True])), []),
        (picture([POSE]), []),
        (picture([POSE])[:0], []),
    ],
)
def test_people_labelled_twice(sample: Sample, rows: list[int]) -> None:
    assert labelled_twice(sample) == rows


def test_real_people_are_not_labelled_twice(data_dir: Path) -> None:
    for file in (
        "coco/person_keypoints.json",
        "formats/crowdpose/test_crowdpose.json",
        "formats/ochuman/test_ochuman.json",
    ):
        assert not any(labelled_twice(sample) for sample in open_dataset(data_dir / file))


def drawn(folder: Path, count: int = 12) -> Dataset:
    """Images of which the last three are copies of the first, a link and a path to it."""
    data = synth(folder, count, 1)
    first = data[0].image
    shutil.copy(first, folder / "copy.png")
    (folder / "link.png").symlink_to(first)
    twisted = folder / "images" / ".." / "images" / first.name
    paths = enumerate((folder / "copy.png", folder / "link.png", twisted))
    more = [data[0].replace(image=path, image_id=1000 + n) for n, path in paths]
    return Dataset(data.name, data.skeleton, (*data.samples, *more))


def test_the_same_picture_by_path_link_and_content(tmp_path: Path) -> None:
    data = drawn(tmp_path)
    assert same_picture(data.samples).tolist() == [*range(12), 0, 0, 0]
    assert same_picture(data[::-1].samples).tolist() == [0, 0, 0, *range(3, 14), 0]


def test_one_colour_and_missing_files_tell_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((9, 9, 3), 127, np.uint8))
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png", "d.png", "c.png", "e\0.png")]
    paths += [Path("/dev/zero"), Path("/dev/null"), tmp_path / "pipe"]
    os.mkfifo(paths[-1])
    samples = [Sample.of(p, (9, 9), n, np.zeros((0, 17, 3))) for n, p in enumerate(paths)]
    assert same_picture(samples).tolist() == [0, 1, 2, 3, 2, 5, 6, 7, 8]


def test_a_split_keeps_one_picture_on_one_side(tmp_path: Path) -> None:
    data = drawn(tmp_path)
    sides = set()
    for seed in range(8):
        train, val = split(data, 0.3, seed)
        ids = {s.image_id for s in train}
        twins = {data[0].image_id, 1000, 1001, 1002}
        assert twins <= ids or not twins & ids
        assert len(train) + len(val) == 15 and len(val) >= 1
        again = split(data[::-1], 0.3, seed)[1]
        assert {s.image_id for s in again} == {s.image_id for s in val}
        sides.add(twins <= ids)
    assert sides == {True, False}


def test_a_video_and_a_picture_out_of_it_stay_together(tmp_path: Path) -> None:
    data = drawn(tmp_path)
    frames = [s.replace(video="v", frame=n) if n < 4 else s for n, s in enumerate(data)]
    together = Dataset("d", COCO17, tuple(frames))
    for seed in range(6):
        ids = {s.image_id for s in split(together, 0.3, seed)[0]}
        kin = {s.image_id for s in together[:4]} | {1000, 1001, 1002}
        assert kin <= ids or not kin & ids


def twice(folder: Path, labels: str = "twice.json") -> Path:
    """Write a set in which each image is there under two ids; return its labels."""
    write_labels(synth(folder, 6, 1), folder / labels)
    page = json.loads((folder / labels).read_text())
    page["images"] += [{**i, "id": i["id"] + 10**5} for i in page["images"]]
    page["annotations"] += [
        {**a, "id": a["id"] + 10**5, "image_id": a["image_id"] + 10**5} for a in page["annotations"]
    ]
    (folder / labels).write_text(json.dumps(page))
    return folder / labels


def test_check_names_both_kinds(tmp_path: Path) -> None:
    found = {f.kind: f for f in check(twice(tmp_path)).findings}
    assert list(found) == ["image twice"] and found["image twice"].count == 6
    page = json.loads((tmp_path / "twice.json").read_text())
    half = len(page["images"]) // 2
    page["images"] = page["images"][:half]
    for annotation in page["annotations"]:
        annotation["image_id"] %= 10**5
    (tmp_path / "people.json").write_text(json.dumps(page))
    found = {f.kind: f for f in check(tmp_path / "people.json").findings}
    assert list(found) == ["labelled twice"] and found["labelled twice"].level == "error"
    assert found["labelled twice"].count == len(page["annotations"]) // 2


def test_a_training_holds_back_both_or_none(tmp_path: Path) -> None:
    file = twice(tmp_path)
    for seed in range(4):
        train, held = open_sets(Recipe(data=(str(file),), val_split=0.3, seed=seed))
        assert held is not None and not {s.image for s in train} & {s.image for s in held}
        assert len(train) + len(held) == 12


def test_equal_frames_of_one_video_are_no_fault(tmp_path: Path) -> None:
    file = twice(tmp_path)
    page = json.loads(file.read_text())
    for image in page["images"]:
        image["vid_id"] = "still"
    file.write_text(json.dumps(page))
    assert check(file).findings == ()
