"""Every form out and back again: nothing is lost but what the form cannot say."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posewright.datasets import Dataset, concat, open_dataset, split
from posewright.datasets.base import Sample
from posewright.datasets.converting import convert
from posewright.datasets.folders import output_names
from posewright.datasets.formats.coco_out import to_coco
from posewright.datasets.synthetic import draw_picture, synth
from posewright.errors import OutputError, UsageError
from posewright.skeletons import COCO17, CROWDPOSE14, Skeleton

OWN = Skeleton("custom", ("tail", "left_paw", "right_paw"))
PLACES = st.integers(1, 6399).map(lambda n: n / 100)  # px inside an image of 64 x 64


@st.composite
def people(draw: st.DrawFn) -> Dataset:
    """One or two images with up to three people, each with at least one labelled joint."""
    skeleton = draw(st.sampled_from([COCO17, CROWDPOSE14, OWN]))
    samples = []
    for number in range(draw(st.integers(1, 2))):
        n, k = draw(st.integers(0, 3)), len(skeleton)
        points = np.zeros((n, k, 3))
        boxes = np.zeros((n, 4))
        for i in range(n):
            points[i, :, 2] = draw(st.lists(st.integers(0, 2), min_size=k, max_size=k))
            points[i, draw(st.integers(0, k - 1)), 2] = 2
            points[i, :, :2] = np.reshape(
                draw(st.lists(PLACES, min_size=2 * k, max_size=2 * k)), (k, 2)
            )
            low, high = sorted([draw(PLACES), draw(PLACES)])
            boxes[i] = low, low / 2, high + 1, high + 2
        samples.append(Sample.of(Path(f"p {number}.png"), (64, 64), f"p {number}", points, boxes))
    return Dataset("drawn", skeleton, tuple(samples))


def with_pictures(dataset: Dataset, folder: Path) -> Dataset:
    for sample in dataset:
        cv2.imwrite(str(folder / sample.image), np.zeros((64, 64, 3), np.uint8))
    samples = tuple(s.replace(image=folder / s.image) for s in dataset)
    return Dataset(dataset.name, dataset.skeleton, samples)


@pytest.mark.parametrize("form", ["coco", "labelme", "yolo", "cvat"])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=people())
def test_round_trip(form: str, drawn: Dataset) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = with_pictures(drawn, folder)
        done = convert(truth, folder / "out", form)
        assert done.notes == ()
        back = open_dataset(folder / "out", None)
        assert back.notes == () and [len(s) for s in back] == [len(s) for s in truth]
        if back.people:
            assert back.skeleton.joints == truth.skeleton.joints
            assert (back.skeleton.flip_index == truth.skeleton.flip_index).all()
        for sample, again in zip(truth, back, strict=True):
            assert again.image.is_file() and again.size == sample.size
            if len(sample):
                np.testing.assert_array_equal(again.visibility, sample.visibility)
                close = {"atol": 1e-4, "rtol": 0}
                np.testing.assert_allclose(again.keypoints, sample.keypoints, **close)
                np.testing.assert_allclose(again.people.boxes, sample.people.boxes, **close)
                np.testing.assert_allclose(again.areas, sample.areas, rtol=1e-4)


def test_ids_stay_where_they_can_and_are_numbered_where_not(data_dir: Path) -> None:
    data = open_dataset(data_dir / "coco" / "person_keypoints.json")
    written = to_coco(data)
    raw = json.loads((data_dir / "coco" / "person_keypoints.json").read_text())
    assert [i["id"] for i in written["images"]] == [i["id"] for i in raw["images"]]
    assert {a["id"] for a in written["annotations"]} == {a["id"] for a in raw["annotations"]}
    twice = to_coco(concat([data, data]))
    assert [i["id"] for i in twice["images"]] == list(range(1, 293))
    assert len({a["id"] for a in twice["annotations"]}) == 732


def test_names_never_clash_and_never_leave_the_folder() -> None:
    def sample(path: str) -> Sample:
        return Sample.of(Path(path), (1, 1), 1, np.zeros((0, 1, 3)))

    paths = ["a/x.jpg", "b/x.jpg", "b/X.png", "c/b_x.jpg", "../../x.jpg", "/etc/y.jpg"]
    names = output_names([sample(p) for p in paths])
    assert len({Path(n).stem.lower() for n in names}) == 6
    assert all("/" not in n and n != ".." for n in names)


def test_frames_of_a_video_stay_together() -> None:
    samples = tuple(
        Sample.of(Path(f"{v}/{f}.jpg"), (1, 1), f, np.zeros((0, 1, 3)), video=f"v{v}", frame=f)
        for v in range(10)
        for f in range(7)
    )
    train, val = split(Dataset("x", OWN, samples), 0.3)
    assert len(val) == 21 and not {s.video for s in train} & {s.video for s in val}
    one, none = split(Dataset("x", OWN, samples[:7]), 0.5)
    assert (len(one), len(none)) == (7, 0)
    for ratio in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="ratio must lie between"):
            split(Dataset("x", OWN, samples), ratio)


def test_a_folder_in_use_is_not_written_into(tmp_path: Path) -> None:
    data = synth(tmp_path / "s", 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    for form in ("coco", "labelme", "yolo", "cvat"):
        with pytest.raises(OutputError, match="already exists"):
            convert(data, tmp_path / "out", form)
    convert(data, tmp_path / "out", "coco", overwrite=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    with pytest.raises(UsageError, match="did you mean 'coco'"):
        convert(data, tmp_path / "o", "cocoo")
    with pytest.raises(UsageError, match="no images"):
        convert(data[:0], tmp_path / "o")


def test_a_missing_picture_keeps_its_labels(tmp_path: Path) -> None:
    data = synth(tmp_path / "s", 2)
    data[0].image.unlink()
    for form in ("coco", "labelme", "yolo", "cvat"):
        done = convert(data, tmp_path / form, form)
        assert len(done.notes) == 1 and "cannot be read" in done.notes[0]
    assert open_dataset(tmp_path / "coco").people == data.people
    assert not list(tmp_path.rglob("*.part-*"))


def test_synthetic_people_are_the_seeds(tmp_path: Path) -> None:
    one, same = synth(tmp_path / "a", 6, 3), synth(tmp_path / "b", 6, 3)
    other = synth(tmp_path / "c", 6, 4)
    for a, b in zip(one, same, strict=True):
        assert a.image.read_bytes() == b.image.read_bytes()
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
    assert one[0].image.read_bytes() != other[0].image.read_bytes()


def test_synthetic_labels_lie_on_what_is_drawn() -> None:
    picture = draw_picture(np.random.default_rng(5), (320, 256))
    assert picture.image.shape == (256, 320, 3)
    assert len(np.unique(picture.image.reshape(-1, 3), axis=0)) > 1000  # a texture
    for person, box in zip(picture.keypoints, picture.boxes, strict=True):
        seen = person[person[:, 2] > 0, :2]
        assert (seen >= box[:2]).all() and (seen <= box[2:]).all()
    front = picture.keypoints[-1]  # nobody covers the last one; joints of a side share a shade
    visible = [j for j in (5, 7, 9, 11, 13, 15) if front[j, 2] == 2]
    shades = [picture.image[tuple(np.rint(front[j, 1::-1]).astype(int))] for j in visible]
    assert np.ptp(np.array(shades, int), axis=0).max() == 0


def test_crowds_become_nobody_where_the_form_has_none(tmp_path: Path) -> None:
    data = synth(tmp_path / "made", 3, 1)
    crowds = [s.replace(crowd=np.arange(len(s)) == 0) for s in data]
    data = Dataset("crowds", data.skeleton, tuple(crowds))
    for form in ("cvat", "yolo"):
        done = convert(data, tmp_path / form, form)
        assert "3 crowd regions" in done.notes[0] and len(done.notes) == 1
        assert open_dataset(tmp_path / form).people == data.people - 3
    back = open_dataset(tmp_path / "coco") if convert(data, tmp_path / "coco", "coco") else None
    assert back is not None and sum(int(s.crowd.sum()) for s in back) == 3
