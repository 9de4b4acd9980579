"""Writers: schemas, round trips, names, and what happens when the disk does not play along."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posewright.errors import MissingError, OutputError, SourceError, UsageError
from posewright.people import People
from posewright.readers import read_results
from posewright.schema import COLUMNS
from posewright.skeletons import COCO17, Skeleton
from posewright.writers import FORMATS, WRITERS, Format, WriterOptions, create_writer, formats
from posewright.writers.outputs import Outputs, Summary
from tests.helpers.results import FAILED, nobody, people, read_json, result, write

FILES = {
    "coco": "coco-results.json",
    "alphapose": "alphapose-results.json",
    "alphapose-cmu": "alphapose-results.json",
    "alphapose-open": "alphapose-results.json",
    "openpose": "openpose",
    "csv": "poses.csv",
    "parquet": "poses.parquet",
    "jsonl": "poses.jsonl",
    "images": "images",
    "video": "clip.mp4",
}


# --- all of them ---------------------------------------------------------------------------------


def test_unknown_name_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'openpose'"):
        create_writer("openpos", tmp_path)


@pytest.mark.parametrize("name", WRITERS)
def test_files_appear_under_their_names_at_close_only(name: str, tmp_path: Path) -> None:
    writer = create_writer(name, tmp_path / "new" / "folder")
    for frame in range(3):
        writer.write(result(frame=frame))
    final = tmp_path / "new" / "folder" / FILES[name]
    assert not final.exists()
    assert writer.close() == [final]
    assert [p.name for p in final.parent.iterdir()] == [FILES[name]]


@pytest.mark.parametrize("name", WRITERS)
def test_abort_leaves_nothing(name: str, tmp_path: Path) -> None:
    writer = create_writer(name, tmp_path)
    writer.write(result())
    writer.abort()
    writer.abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITERS)
def test_nobody_and_failed_frames_and_no_frames(name: str, tmp_path: Path) -> None:
    made = write(name, tmp_path / "a", [result(nobody()), FAILED, result(nobody(), frame=2)])
    assert [p.name for p in made] == [FILES[name]]
    made = write(name, tmp_path / "b", [])
    assert [p.name for p in made] == ([] if name == "video" else [FILES[name]])


@pytest.mark.parametrize("name", WRITERS)
def test_an_earlier_run_is_replaced_on_request_only(name: str, tmp_path: Path) -> None:
    write(name, tmp_path, [result(frame=0), result(frame=1)])
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    with pytest.raises(OutputError, match=r"already exists.*--overwrite"):
        write(name, tmp_path, [result(frame=0)])
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    write(name, tmp_path, [result(frame=0)], overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == [FILES[name]]


def test_openpose_files_of_a_longer_earlier_run_do_not_stay(tmp_path: Path) -> None:
    write("openpose", tmp_path, [result(frame=i) for i in range(4)])
    (tmp_path / "openpose" / "mine.txt").write_text("x")
    write("openpose", tmp_path, [result(frame=0)], overwrite=True)
    names = sorted(p.name for p in (tmp_path / "openpose").iterdir())
    assert names == ["clip_000000000000_keypoints.json", "mine.txt"]


# --- formats -------------------------------------------------------------------------------------


def test_coco_entry(tmp_path: Path) -> None:
    who = people(2)
    [path] = write("coco", tmp_path, [result(who, "x/COCO_val2014_000000000785.jpg")])
    entries = read_json(path)
    assert [e["image_id"] for e in entries] == [785, 785]
    assert [e["track_id"] for e in entries] == who.ids.tolist()
    first = entries[0]
    assert set(first) == {"image_id", "category_id", "keypoints", "score", "bbox", "track_id"}
    assert first["category_id"] == 1
    triples = np.reshape(first["keypoints"], (17, 3))
    np.testing.assert_array_equal(triples[:, :2].astype(np.float32), who.keypoints[0])
    assert first["score"] == pytest.approx(who.box_scores[0] * who.scores[0].mean(), rel=1e-6)
    x, y, w, h = first["bbox"]
    np.testing.assert_allclose([x, y, x + w, y + h], who.boxes[0], rtol=1e-6)


def test_coco_loads_in_pycocotools(tmp_path: Path, data_dir: Path) -> None:
    from pycocotools.coco import COCO

    truth = COCO(str(data_dir / "coco" / "person_keypoints.json"))
    names = [truth.imgs[i]["file_name"] for i in list(truth.imgs)[:3]]
    [path] = write("coco", tmp_path, [result(source=name) for name in names])
    assert len(truth.loadRes(str(path)).anns) == 6


def test_coco_untracked_people_have_no_track_id(tmp_path: Path) -> None:
    [path] = write("coco", tmp_path, [result(people(2, tracked=False), frame=12)])
    assert all("track_id" not in e and e["image_id"] == 12 for e in read_json(path))


def test_coco_ids_from_an_annotation_file(tmp_path: Path) -> None:
    images = [{"file_name": "val/cat.jpg", "id": 40083}, {"file_name": "7.jpg", "id": 9}]
    (tmp_path / "ann.json").write_text(json.dumps({"images": images}))
    options = WriterOptions(coco_images=tmp_path / "ann.json")
    writer = create_writer("coco", tmp_path / "out", options=options)
    for source in ("a/cat.jpg", "a/7.jpg", "a/8.jpg"):
        writer.write(result(people(1), source))
    assert [e["image_id"] for e in read_json(writer.close()[0])] == [40083, 9]
    assert writer.notes == ["1 image skipped: not named in the annotation file of --coco-images"]


def listing(number: str) -> str:
    return '{"images": [{"file_name": "a.jpg", "id": ' + number + "}]}"


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"images": [{"id": 3}]}', *map(listing, ("1e999", "-1e400", "NaN", "null")), None],
)
def test_coco_broken_annotation_file(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ann.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SourceError, match="--coco-images"):
        create_writer("coco", tmp_path, options=WriterOptions(coco_images=path))
    assert not (tmp_path / "coco-results.json").exists()


def test_coco_running_numbers_and_clashes_are_said(tmp_path: Path) -> None:
    writer = create_writer("coco", tmp_path)
    for source in ("1.jpg", "cat.jpg", "b/1.jpg", "dog.jpg"):
        writer.write(result(people(1), source))
    entries = read_json(writer.close()[0])
    assert [e["image_id"] for e in entries] == [1, 2, 3, 4]
    assert [e.get("file_name") for e in entries] == [None, "cat.jpg", "b/1.jpg", "dog.jpg"]
    assert len(writer.notes) == 2


def test_coco_frames_of_several_videos_stay_apart(tmp_path: Path) -> None:
    results = [result(people(1), v, frame=5) for v in ("a.mp4", "b.mp4")]
    [path] = write("coco", tmp_path, results, several=True)
    entries = read_json(path)
    assert len({e["image_id"] for e in entries}) == 2
    assert [(e["file_name"], e["frame"]) for e in entries] == [("a.mp4", 5), ("b.mp4", 5)]


def test_alphapose_entry(tmp_path: Path) -> None:
    who = people(2)
    mixed = who.replace(ids=np.array([7, -1]))
    [path] = write("alphapose", tmp_path, [result(mixed, "in/p1.jpg"), result(who, frame=12)])
    entries = read_json(path)
    assert [e["image_id"] for e in entries] == ["p1.jpg", "p1.jpg", "clip/12.jpg", "clip/12.jpg"]
    assert [e["idx"] for e in entries] == [7, -2, *who.ids.tolist()]
    assert set(entries[0]) == {"image_id", "category_id", "keypoints", "score", "box", "idx"}
    scores = who.scores[0]
    proposal = scores.mean() + who.box_scores[0] + 1.25 * scores.max()
    assert entries[0]["score"] == pytest.approx(proposal, rel=1e-5)


def test_alphapose_pictures_of_one_name_stay_apart(tmp_path: Path) -> None:
    results = [result(people(1), s) for s in ("a/1.jpg", "b/1.jpg", "c/b/1.jpg")]
    [path] = write("alphapose-open", tmp_path, results)
    assert list(read_json(path)) == ["1.jpg", "b/1.jpg", "c_b/1.jpg"]


@pytest.mark.parametrize(
    ("flavour", "many", "one"),
    [("cmu", "bodies", "joints"), ("open", "people", "pose_keypoints_2d")],
)
def test_alphapose_openpose_orders(tmp_path: Path, flavour: str, many: str, one: str) -> None:
    who = people(2)
    results = [result(who, "p.jpg"), result(nobody(), "q.jpg"), FAILED]
    made = write(f"alphapose-{flavour}", tmp_path, results, separate=True)
    assert [p.name for p in made] == ["alphapose-results.json", "sep-json"]
    table = read_json(made[0])
    assert list(table) == ["p.jpg", "q.jpg"]
    assert table["q.jpg"][many] == []
    flat = np.array(table["p.jpg"][many][0][one], np.float32)
    source = np.hstack([who.keypoints[0], who.scores[0][:, None]])
    neck = (source[5] + source[6]) / 2
    extended = np.concatenate([source.ravel(), neck])
    offsets = [0, 51, 18, 24, 30, 15, 21, 27, 36, 42, 48, 33, 39, 45, 6, 3, 12, 9]
    expected = np.concatenate([extended[o : o + 3] for o in offsets])
    np.testing.assert_allclose(flat, expected, rtol=1e-6)
    assert sorted(p.name for p in made[1].iterdir()) == ["p.json", "q.json"]
    assert read_json(made[1] / "p.json") == table["p.jpg"]


def test_openpose_layout(tmp_path: Path) -> None:
    who = people(2)
    results = [result(who, frame=3), result(nobody(), frame=4), result(who, "pic.png")]
    [folder] = write("openpose", tmp_path, results)
    assert sorted(p.name for p in folder.iterdir()) == [
        "clip_000000000003_keypoints.json",
        "clip_000000000004_keypoints.json",
        "pic_000000000000_keypoints.json",
    ]
    page = read_json(folder / "clip_000000000003_keypoints.json")
    assert page["version"] == 1.3
    assert [p["person_id"] for p in page["people"]] == [[i] for i in who.ids.tolist()]
    assert page["people"][0]["hand_left_keypoints_2d"] == []
    np.testing.assert_array_equal(np.float32([p["box"] for p in page["people"]]), who.boxes)
    np.testing.assert_array_equal(
        np.float32([p["box_score"] for p in page["people"]]), who.box_scores
    )
    flat = np.reshape(page["people"][1]["pose_keypoints_2d"], (17, 3))
    np.testing.assert_array_equal(flat[:, :2].astype(np.float32), who.keypoints[1])
    assert read_json(folder / "clip_000000000004_keypoints.json")["people"] == []


def test_openpose_body25(tmp_path: Path) -> None:
    who = people(1)
    [folder] = write("openpose", tmp_path, [result(who)], openpose_order="body25")
    [file] = folder.iterdir()
    points = np.reshape(read_json(file)["people"][0]["pose_keypoints_2d"], (25, 3))
    np.testing.assert_allclose(points[4, :2], who.keypoints[0, COCO17["right_wrist"]], rtol=1e-6)
    np.testing.assert_allclose(points[8, :2], who.keypoints[0, 11:13].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(points[19:], 0)


def test_openpose_order_needs_a_body(tmp_path: Path) -> None:
    hand = Skeleton("hand", ("thumb", "index"))
    who = People.of(keypoints=np.ones((1, 2, 2)))
    with pytest.raises(UsageError, match="'hand' has no body joint"):
        write("openpose", tmp_path, [result(who).replace(skeleton=hand)], openpose_order="coco18")


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_tables_have_a_row_for_each_joint(name: str, tmp_path: Path) -> None:
    who = people(2)
    results = [
        result(who, 'ä, "b".mp4', 1),
        result(nobody(), frame=2),
        FAILED,
        result(who, frame=3),
    ]
    [path] = write(name, tmp_path, results)
    rows: list[dict[str, Any]]
    if name == "csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    else:
        from pyarrow import parquet

        table = parquet.read_table(path)
        assert table.column_names == list(COLUMNS)
        empty = [row for row in table.to_pylist() if row["person"] < 0]
        assert [row["status"] for row in empty] == ["ok", "decode_error"]
        assert all(row["joint"] is row["x"] is row["box_x1"] is None for row in empty)
        rows = [row for row in table.to_pylist() if row["person"] >= 0]
    assert len(rows) == 2 * 2 * 17
    if name == "csv":
        wanted = "source frame time person id joint x y score box_x1 box_y1 box_x2 box_y2 box_score"
        assert list(rows[0]) == wanted.split()
    row = rows[17 + 10]  # the second person's right wrist
    assert (row["source"], int(row["frame"]), int(row["person"])) == ('ä, "b".mp4', 1, 1)
    assert (row["joint"], int(row["id"])) == ("right_wrist", int(who.ids[1]))
    values = [np.float32(row[c]) for c in ("x", "y", "score", "box_y2", "box_score")]
    wanted = [*who.keypoints[1, 10], who.scores[1, 10], who.boxes[1, 3], who.box_scores[1]]
    assert values == wanted


@pytest.mark.parametrize("name", ["=1+1.mp4", "+1.mp4", "-a.mp4", "@SUM.mp4", "\t=1.mp4"])
def test_no_cell_of_a_csv_is_a_formula(name: str, tmp_path: Path) -> None:
    """Numbers stay as they are, also negative ones."""
    who = people(1).replace(keypoints=-people(1).keypoints)
    [path] = write("csv", tmp_path, [result(who, name), result(who, "a=1.mp4")])
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["source"] == f"'{name}" and rows[-1]["source"] == "a=1.mp4"
    assert float(rows[0]["x"]) < 0 and rows[0]["x"].startswith("-")


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingError, match=r'pip install "posewright\[parquet\]"'):
        create_writer("parquet", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_jsonl_describes_itself(tmp_path: Path) -> None:
    [path] = write("jsonl", tmp_path, [result(frame=1), FAILED])
    header, line, failed = [json.loads(text) for text in path.read_text().splitlines()]
    assert (header["format"], header["version"]) == ("posewright-results", 2)
    assert Skeleton.from_dict(header["skeleton"]) == COCO17
    assert (line["frame"], line["size"], line["status"]) == (1, [80, 64], "ok")
    assert (failed["status"], failed["message"], failed["people"]) == (
        "decode_error",
        "cut short",
        [],
    )


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    "source",
    [
        "путь/картинка 图片 👍.jpg",
        "long/" + "ж" * 126 + ".png",
        "rtsp://user@host:554/a?b=c|d",
        os.fsdecode(b"caf\xe9.jpg"),
        "camera:0",
        "",
        'C:\\in\\a "b".mp4',
        "trailing...",
    ],
)
def test_any_source_name_works(name: str, source: str, tmp_path: Path) -> None:
    made = write(name, tmp_path, [result(source=source), result(source=source + "x", frame=1)])
    inside = [p for path in made for p in (path.iterdir() if path.is_dir() else [path])]
    assert inside and all(p.stat().st_size for p in inside)
    assert all(len(os.fsencode(p.name)) <= 255 for p in inside)


def test_long_names_with_the_same_beginning_stay_apart(tmp_path: Path) -> None:
    results = [result(source="x" * 240 + f"{i}.jpg") for i in range(2)]
    [folder] = write("openpose", tmp_path, results)
    assert len(list(folder.iterdir())) == 2


# --- other packages ------------------------------------------------------------------------------


def test_to_supervision() -> None:
    pytest.importorskip("supervision")
    who = people(3)
    points = result(who).to_supervision()
    np.testing.assert_array_equal(points.xy, who.keypoints)
    np.testing.assert_array_equal(points.data["id"], who.ids)
    assert points.class_id is not None and points.class_id.tolist() == [0, 0, 0]
    assert len(result(nobody()).to_supervision()) == 0


def test_formats_that_are_one_file_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(formats(["csv", "jsonl", "csv"])) == ["csv", "jsonl"]
    monkeypatch.setitem(FORMATS, "counts", Format("counts", ("poses.csv",)))
    with pytest.raises(UsageError, match="csv and counts are written to the same file"):
        formats(["csv", "jsonl", "counts"])


def test_the_flavours_of_alphapose_are_saved_in_one_run(tmp_path: Path) -> None:
    three = ["alphapose-cmu", "alphapose", "alphapose-open"]
    with Outputs.open(three, tmp_path, WriterOptions(separate=True), Summary()) as outputs:
        outputs.write(result())
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {name for form in formats(three).values() for name in form.files}
    assert names == {
        "alphapose-results.json",
        "alphapose-results-cmu.json",
        "sep-json-cmu",
        "alphapose-results-open.json",
        "sep-json-open",
    }
    for word, key in (("cmu", "bodies"), ("open", "people")):
        whole = read_json(tmp_path / f"alphapose-results-{word}.json")
        assert len(whole["0.jpg"][key]) == 2
        saved = read_results(tmp_path / f"alphapose-results-{word}.json")
        assert [one.frame for one in saved] == [0]
    alone = formats(["alphapose-cmu", "csv"])["alphapose-cmu"]
    assert alone.files == ("alphapose-results.json", "sep-json")
    with pytest.raises(OutputError, match=r"alphapose-results-cmu\.json"):
        Outputs.open(three, tmp_path, WriterOptions(), Summary())


@pytest.mark.parametrize("name", WRITERS)
def test_the_table_says_what_a_format_makes(name: str, tmp_path: Path) -> None:
    form = FORMATS[name]
    made = write(name, tmp_path, [result()], separate=True)
    names = [path.name for path in made]
    assert names == list(form.files) or [Path(n).suffix in form.suffixes for n in names] == [True]
    blind = result().replace(image=None)
    if form.pixels:
        with pytest.raises(UsageError, match="need the images"):
            write(name, tmp_path / "blind", [blind])
    else:
        assert write(name, tmp_path / "blind", [blind])
