"""The native layouts, read from a real sample of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.datasets import concat, open_dataset
from posewright.datasets.base import Sample
from posewright.datasets.formats.coco_out import write_coco
from posewright.datasets.formats.cvat import parse_xml
from posewright.datasets.layouts import Layout, layouts
from posewright.datasets.opening import guess_kind
from posewright.datasets.synthetic import synth
from posewright.errors import PosewrightError, SourceError, UsageError
from posewright.skeletons import COCO17, CROWDPOSE14, MPII16

# file, kind, skeleton, images, people, images that are there
REAL = [
    ("aic/test_aic.json", None, "aic14", 3, 9, 3),
    ("coco/test_coco.json", None, "coco17", 4, 14, 4),
    ("coco/test_coco_wholebody.json", "coco-wholebody", "coco133", 4, 14, 4),
    ("coco/test_keypoint_partition_metric.json", None, "coco133", 4, 14, 4),
    ("crowdpose/test_crowdpose.json", "crowdpose", "crowdpose14", 2, 5, 2),
    ("exlpose/test_exlpose.json", None, "crowdpose14", 2, 6, 2),
    ("halpe/test_halpe.json", "halpe", "halpe136", 4, 14, 0),
    ("humanart/test_humanart.json", "humanart", "coco17", 3, 4, 3),
    ("humanart/test_humanart.json", "humanart21", "custom21", 3, 4, 3),
    ("jhmdb/test_jhmdb_sub1.json", "jhmdb", "jhmdb15", 3, 3, 3),
    ("mhp/test_mhp.json", None, "mpii16", 2, 4, 2),
    ("mpii/test_mpii.json", None, "mpii16", 5, 5, 5),
    ("mpii/test_mpii_trb.json", None, "custom40", 5, 5, 5),
    ("ochuman/test_ochuman.json", "ochuman", "coco17", 3, 5, 3),
    ("posetrack18/annotations/val", None, "posetrack17", 3, 14, 3),
    ("posetrack18/annotations/test_posetrack18_val.json", None, "posetrack17", 3, 14, 3),
]


@pytest.mark.parametrize(("file", "kind", "skeleton", "pictures", "people", "there"), REAL)
def test_real_samples(
    data_dir: Path,
    file: str,
    kind: str | None,
    skeleton: str,
    pictures: int,
    people: int,
    there: int,
) -> None:
    data = open_dataset(data_dir / "formats" / file, kind)
    assert (data.skeleton.name, len(data), data.people) == (skeleton, pictures, people)
    assert sum(sample.image.is_file() for sample in data) == there
    assert data.notes == ()
    for sample in data:
        assert min(sample.size) > 0 and (sample.areas > 0).all()
        inside = sample.people.keypoints[sample.visibility > 0]
        assert (inside > -50).all() and (inside < np.array(sample.size) + 50).all()


def test_coco_says_what_pycocotools_reads(data_dir: Path) -> None:
    file = data_dir / "coco" / "person_keypoints.json"
    raw = json.loads(file.read_text())
    data = open_dataset(file)
    assert len(data) == 146
    assert sum(int((s.labelled > 0).sum()) for s in data) == 198
    by_id = {a["id"]: a for a in raw["annotations"]}
    for sample in data:
        for i, number in enumerate(sample.numbers):
            truth = by_id[int(number)]
            x, y, w, h = truth["bbox"]
            np.testing.assert_allclose(sample.people.boxes[i], [x, y, x + w, y + h], atol=1e-3)
            assert sample.areas[i] == truth["area"]
            assert sample.labelled[i] == truth["num_keypoints"]
            assert bool(truth["iscrowd"]) == sample.crowd[i]


def test_halpe_finds_its_pictures_in_a_named_folder(data_dir: Path) -> None:
    formats = data_dir / "formats"
    data = open_dataset(formats / "halpe" / "test_halpe.json", images=formats / "coco")
    assert all(sample.image.is_file() for sample in data)


@pytest.mark.parametrize(
    "name", ["copy.json", "annotations/copy.json", "annotations/a/my copy.json"]
)
def test_images_are_found_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    out = tmp_path / "set"
    write_coco({"train2017": synth(tmp_path / "drawn", 3, seed=0)}, out)
    file = out / name
    file.parent.mkdir(parents=True, exist_ok=True)
    (out / "annotations" / "person_keypoints_train2017.json").rename(file)
    found = open_dataset(file)
    assert len(found) == 3
    assert all(Path(str(sample.image)).is_file() for sample in found)


def test_posetrack_keeps_video_identity_heads_and_ignore_regions(data_dir: Path) -> None:
    data = open_dataset(data_dir / "formats/posetrack18/annotations/val")
    sample = next(s for s in data if s.video == "012834")
    assert sorted(sample.people.ids.tolist()) == sorted(set(sample.people.ids.tolist()))
    assert (sample.people.ids >= 0).all() and sample.heads.any(1).all() and len(sample.ignore) == 4
    assert set(np.unique(sample.visibility)) == {0, 2} and sample.frame == 10128340000


def test_lspet(data_dir: Path) -> None:
    data = open_dataset(data_dir / "lspet")
    assert (data.skeleton.name, len(data), data.people) == ("lsp14", 4000, 4000)
    assert len(data.notes) == 1 and "6000 x label skipped" in data.notes[0]
    first = data[0]
    assert (
        first.image.name == "im00001.jpg"
        and first.size == cv2.imread(str(first.image)).shape[1::-1]
    )


def test_lsp_says_hidden_where_the_extension_says_labelled() -> None:
    from posewright.datasets.formats.lsp import joints_to_points

    lsp, lspet = np.ones((3, 14, 2)), np.ones((14, 3, 2))
    lsp[2, 0, 0], lspet[0, 2, 0] = 0, 0
    assert joints_to_points(lsp, Path("x"))[0, :2, 2].tolist() == [2, 1]
    assert joints_to_points(lspet, Path("x"))[0, :2, 2].tolist() == [0, 2]
    with pytest.raises(SourceError, match=r"must be \(14, 3, N\)"):
        joints_to_points(np.ones((4, 4)), Path("x"))


def test_crowdpose_over_coco_and_several_sets(data_dir: Path) -> None:
    formats = data_dir / "formats"
    crowd = open_dataset(formats / "crowdpose/test_crowdpose.json")
    assert crowd[0].crowd_index == 0.33
    coco = crowd.to(COCO17)
    assert "12 of 17 joints" in coco.notes[-1]
    nose, shoulder = COCO17["nose"], COCO17["left_shoulder"]
    assert not coco[0].visibility[:, nose].any()
    old = crowd[0].keypoints[:, CROWDPOSE14["left_shoulder"]]
    np.testing.assert_array_equal(coco[0].keypoints[:, shoulder], old)
    both = concat(
        [
            open_dataset(formats / "coco/test_coco.json"),
            open_dataset(formats / "mpii/test_mpii.json"),
        ],
        MPII16,
    )
    assert len(both) == 9 and both.people == 19 and both.skeleton is MPII16
    assert len(both[:4]) == 4 and both[[0, 8]][1] is both[8]


def test_native_aic_visible_and_hidden(tmp_path: Path) -> None:
    points = [10, 20, 1] * 4 + [30, 40, 2] * 5 + [0, 0, 3] * 5
    page = {
        "image_id": "a",
        "human_annotations": {"human1": [1, 2, 50, 60], "human2": [0, 0, 1]},
        "keypoint_annotations": {"human1": points, "human2": points},
    }
    (tmp_path / "keypoints.json").write_text(json.dumps([page]))
    data = open_dataset(tmp_path / "keypoints.json")
    assert data[0].visibility[0].tolist() == [2] * 4 + [1] * 5 + [0] * 5
    assert data[0].people.boxes.tolist() == [[1, 2, 50, 60]] and "human2" in data.notes[0]


def test_visdrone_has_boxes_and_regions_that_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    lines = ["684,8,273,116,0,0,0,0", "406,119,265,70,1,1,0,0", "1,2,3,4,1,4,0,0", "1,2,x", ""]
    (tmp_path / "annotations" / "a.txt").write_text("\n".join(lines))
    data = open_dataset(tmp_path)
    assert data[0].people.boxes.tolist() == [[406, 119, 671, 189]] and len(data[0].ignore) == 1
    assert "a.txt:4" in data.notes[0] and len(data.skeleton) == 0


def test_label_studio(tmp_path: Path) -> None:
    def result(kind: str, number: str, **value: Any) -> dict[str, Any]:
        return {
            "type": kind,
            "id": number,
            "original_width": 200,
            "original_height": 100,
            "value": value,
        }

    results = [
        result("rectanglelabels", "a", x=0, y=0, width=50, height=100, rectanglelabels=["person"]),
        result("rectanglelabels", "b", x=50, y=0, width=50, height=50, rectanglelabels=["person"]),
        result("keypointlabels", "c", x=60, y=10, width=1, keypointlabels=["Nose"]),
        result("keypointlabels", "d", x=60, y=20, keypointlabels=["Left Eye"]) | {"parentID": "a"},
        result("keypointlabels", "e", x="?", y=20, keypointlabels=["Left Eye"]),
    ]
    task = {
        "data": {"image": "/data/local-files/?d=set/my%20image.jpg"},
        "annotations": [{"was_cancelled": True}, {"result": results}],
    }
    (tmp_path / "export.json").write_text(json.dumps([task]))
    data = open_dataset(tmp_path / "export.json")
    assert data.skeleton is COCO17 and data[0].image.name == "my image.jpg"
    assert data[0].keypoints[1, COCO17["nose"]].tolist() == [120, 10, 2]
    assert data[0].keypoints[0, COCO17["left_eye"]].tolist() == [120, 20, 2]
    assert data[0].people.boxes[1].tolist() == [100, 0, 200, 50] and len(data.notes) == 1


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><annotations>&d;</annotations>',
        '<!DOCTYPE a SYSTEM "file:///etc/hostname"><annotations/>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotations>&x;</annotations>',
        "<annotations>",
        "",
        "<annotations>&undefined;</annotations>",
    ],
)
def test_cvat_refuses_entities_and_broken_xml(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(SourceError, match=r"a\.xml is not plain XML"):
        parse_xml(tmp_path / "a.xml")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "[1]", '{"images": 3}', "nonsense", "\0", '{"images": [], "annotations": 4}'],
)
def test_what_is_no_set_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    for kind in (None, "coco", "mpii", "posetrack", "labelme", "aic", "label-studio", "jhmdb"):
        try:
            data = open_dataset(tmp_path / "x.json", kind)
        except PosewrightError as error:
            assert "\n" not in str(error)
        else:
            assert data.people == 0  # an empty list has nobody


def test_bad_annotations_are_left_out_and_counted(tmp_path: Path) -> None:
    good = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [0, 0, 9, 9],
        "keypoints": [1, 2, 2] * 17,
    }
    bad = [
        {**good, "bbox": [0, 0, -4, 5]},
        {**good, "keypoints": [1, 2]},
        {"id": 4},
        7,
        {**good, "image_id": 9},
        {**good, "bbox": [0, 0, 1e999, 5]},
    ]
    page = {"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2}], "annotations": [good, *bad]}
    (tmp_path / "a.json").write_text(json.dumps(page))
    data = open_dataset(tmp_path / "a.json")
    assert len(data) == 1 and data.people == 1 and data[0].areas[0] == pytest.approx(81 * 0.53)
    assert sum(int(note.split(" x ")[0].rsplit(" ", 1)[1]) for note in data.notes) == 7


def test_a_kind_that_does_not_exist_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'crowdpose'"):
        open_dataset(tmp_path, "crowdpos")
    with pytest.raises(SourceError, match="is not there"):
        open_dataset(tmp_path / "x")
    with pytest.raises(SourceError, match="is empty"):
        open_dataset(tmp_path)
    (tmp_path / "labels.jsn").write_text("{}")
    with pytest.raises(SourceError, match="cannot detect the format"):
        open_dataset(tmp_path)
    with pytest.raises(SourceError, match=r"did you mean 'labels\.jsn'"):
        open_dataset(tmp_path / "labels.json")


POSETRACK = {"images": [{"vid_id": "1", "ignore_regions_x": []}], "annotations": []}
RECOGNISED = {
    "coco": {"a.json": {"images": [], "annotations": []}},
    "posetrack": {"a.json": POSETRACK},
    "labelme": {"a.json": {"shapes": [], "images": []}},
    "aic": {"a.json": [{"image_id": "a", "keypoint_annotations": {}}]},
    "mpii": {"a.json": [{"center": [1, 1], "scale": 1}]},
    "label-studio": {"a.json": [{"annotations": [], "data": {}}]},
    "lsp": {"joints.mat": ""},
    "cvat": {"annotations.xml": ""},
    "yolo": {"data.yaml": ""},
    "visdrone": {"annotations/1.txt": ""},
}


def laid_out(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("kind", RECOGNISED)
def test_each_layout_says_how_it_is_recognised(kind: str, tmp_path: Path) -> None:
    folder, [name] = laid_out(tmp_path, RECOGNISED[kind]), RECOGNISED[kind]
    if kind != "visdrone":
        assert guess_kind(folder / name) == kind
    if not name.endswith(".json") or kind in ("labelme", "posetrack"):
        assert guess_kind(folder) == kind


@pytest.mark.parametrize(
    ("first", "then"),
    [("lsp", "cvat"), ("cvat", "yolo"), ("yolo", "visdrone"), ("visdrone", "labelme")],
)
def test_layouts_are_asked_in_the_order_of_their_rank(
    first: str, then: str, tmp_path: Path
) -> None:
    folder = laid_out(tmp_path, RECOGNISED[first] | RECOGNISED[then])
    assert layouts()[first].rank < layouts()[then].rank and guess_kind(folder) == first


def test_a_layout_of_ones_own_is_asked_before_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Layout(open_dataset, holds=lambda json: json.object_of("annotations"))
    known = {**layouts(), "own": own}
    monkeypatch.setattr("posewright.datasets.opening.layouts", lambda: known)
    assert guess_kind(laid_out(tmp_path, RECOGNISED["coco"]) / "a.json") == "own"


@pytest.mark.parametrize(("data", "kind"), [({"images": []}, "coco"), (POSETRACK, "posetrack")])
def test_a_large_file_is_told_by_its_beginning(
    data: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(data)[:-1] + " " * (9 << 20))  # it need not even be complete
    assert guess_kind(file) == kind


def test_several_annotation_files_are_to_be_named(tmp_path: Path) -> None:
    files = {f"annotations/{name}.json": {"images": []} for name in ("hens", "owls")}
    with pytest.raises(UsageError, match=r"several annotation files; name one, e\.g\. .*hens"):
        guess_kind(laid_out(tmp_path, files))


def test_a_sample_refuses_arrays_that_do_not_fit() -> None:
    points = np.zeros((2, 3, 3))
    with pytest.raises(ValueError, match="areas must have shape"):
        Sample.of(Path("a"), (1, 1), 1, points, areas=[1])
    empty = Sample.of(Path("a"), (1, 1), 1, np.zeros((0, 17, 3)))
    assert len(empty) == 0 and empty.keypoints.shape == (0, 17, 3) and len(empty[:]) == 0


@pytest.mark.parametrize("name", ["flip_index", "flip_idx"])
def test_a_null_table_of_mirror_images_hides_no_other(tmp_path: Path, name: str) -> None:
    file = tmp_path / "a.json"
    keys = {"flip_index": None, "flip_idx": None, name: [1, 0]}
    category = {"id": 1, "name": "person", "keypoints": ["a", "b"]} | keys
    file.write_text(json.dumps({"images": [], "annotations": [], "categories": [category]}))
    data = open_dataset(file)
    assert data.skeleton.mirror == (1, 0) and data.notes == ()
