"""The row of a frame: the schema, and results that come back equal by every way."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright import People, Pose, Result
from posewright.cli import main
from posewright.errors import SourceError
from posewright.people import OPTIONAL
from posewright.predict import track_to
from posewright.readers import read_results
from posewright.schema import COLUMNS, TABLE_KEY, json_schema, table_schema
from posewright.skeletons import Skeleton, get_skeleton
from posewright.writers import create_writer
from tests.helpers.videos import write_video

COCO17 = get_skeleton("coco17")
DOTS = Skeleton("dots", ("left_dot", "right_dot"), ((0, 1),), (0.1, 0.2))
OF_PEOPLE = ("boxes", "box_scores", "keypoints", "scores", "ids", *OPTIONAL)
OF_RESULT = "skeleton size source frame time status message sequence pixel_aspect run extra".split()
NUMBERS = st.floats(-1e6, 1e6, width=32)
UNITS = st.floats(0, 1, width=32)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), NAMES, st.lists(UNITS, max_size=3))


@st.composite
def groups(draw: st.DrawFn, known: bool) -> People:
    """Draw the people of a frame; known: without fields that only JSON keeps."""
    count = draw(st.integers(0, 3))
    joints = draw(st.sampled_from([0, len(DOTS)])) if count else len(DOTS)

    def array(shape: tuple[int, ...], numbers: Any) -> Any:
        size = int(np.prod(shape))
        drawn = draw(st.lists(numbers, min_size=size, max_size=size))
        return np.array(drawn, np.float32).reshape(shape)

    ids = [draw(st.integers(-1, 2**62)) for _ in range(count)]
    people = People.of(
        array((count, 4), NUMBERS),
        array((count,), UNITS),
        array((count, joints, 2), NUMBERS),
        array((count, joints), UNITS),
        ids,
    )
    unsure = st.one_of(UNITS, st.just(float("nan")))
    more = {name: array((count, joints), unsure) for name in OPTIONAL if draw(st.booleans())}
    if not known and count and draw(st.booleans()):
        extra = [draw(st.dictionaries(st.just("mood"), PLAIN)) for _ in range(count)]
        more["extra"] = np.array(extra, object)
    return people.replace(**more)


@st.composite
def results(draw: st.DrawFn, known: bool = False) -> Result:
    return Result(
        draw(groups(known)),
        DOTS,
        (draw(st.integers(0, 9999)), draw(st.integers(0, 9999))),
        draw(NAMES),
        draw(st.integers(0, 2**40)),
        draw(st.floats(0, 1e9)),
        draw(st.sampled_from(["ok", "decode_error", "gap", "truncated", "model_error"])),
        draw(st.text(st.characters(codec="utf-8"), max_size=20)),
        sequence=draw(NAMES),
        pixel_aspect=draw(st.sampled_from([1.0, 16 / 15, 0.5])),
        extra={} if known else draw(st.dictionaries(st.sampled_from(["a", "lens"]), PLAIN)),
    )


def assert_equal(one: Result, other: Result, keeps_extra: bool = True) -> None:
    """Compare everything that a row states, types of arrays included."""
    for name in OF_RESULT:
        assert getattr(one, name) == getattr(other, name), name
    for name in OF_PEOPLE:
        ours, theirs = (getattr(r.people, name) for r in (one, other))
        if name in OPTIONAL and (ours is None or np.isnan(ours).all()):
            assert theirs is None or not theirs.size
            continue
        np.testing.assert_array_equal(ours, theirs, name)
        assert ours.dtype == theirs.dtype
    if keeps_extra:
        ours, theirs = (r.people.extra for r in (one, other))
        empty = [{}] * len(one)
        assert list(empty if ours is None else ours) == list(empty if theirs is None else theirs)


@given(results(), st.dictionaries(st.sampled_from(["processor", "settings"]), PLAIN))
@settings(max_examples=100, deadline=None)
def test_results_come_back_from_json(result: Result, run: dict[str, Any]) -> None:
    result = result.replace(run=run)
    text = result.to_json()
    for source in (text, text.encode(), io.BytesIO(text.encode()), io.StringIO(text)):
        assert_equal(result, Result.from_json(source))
    assert_equal(result, Result.from_dict(result.to_dict()))


@given(st.lists(results(), max_size=4), st.lists(results(known=True), max_size=4))
@settings(max_examples=60, deadline=None)
def test_results_come_back_from_files(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Result], tables: list[Result]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    for name, given_results in (("jsonl", lines), ("parquet", tables)):
        writer = create_writer(name, folder)
        for result in given_results:
            writer.write(result)
        [path] = writer.close()
        found = list(read_results(path))
        assert len(found) == len(given_results)
        for one, other in zip(given_results, found, strict=True):
            assert_equal(one, other, keeps_extra=name == "jsonl")


def test_a_long_table_is_read_in_pieces(tmp_path: Path) -> None:
    """More rows than a group has, with frames that no name tells apart beside each other."""
    people = People.of(keypoints=np.arange(2 * 17 * 2).reshape(2, 17, 2))
    frames = [Result(people if i % 3 else people[:1], COCO17, (9, 9), "a") for i in range(4500)]
    frames[7:7] = [Result(People.empty(COCO17), COCO17, (9, 9), "a")] * 2
    writer = create_writer("parquet", tmp_path)
    for frame in frames:
        writer.write(frame)
    found = list(read_results(writer.close()[0]))
    assert [len(result) for result in found] == [len(frame) for frame in frames]
    np.testing.assert_array_equal(found[-1].keypoints, frames[-1].keypoints)


HEADER = {"format": "posewright-results", "version": 1, "skeleton": DOTS.to_dict()}
PERSON = {"id": 4, "box": [1, 2, 3, 4], "box_score": 0.5, "keypoints": [[1, 2, 0.5], [3, 4, 1]]}
ROW = {
    "source": "walk.mp4",
    "sequence": "walk.mp4",
    "frame": 3,
    "time": 0.12,
    "size": [640, 480],
    "status": "ok",
    "message": "",
    "speed": {"pose": 12.5},
    "people": [PERSON],
}


def put(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def test_files_of_version_1_are_read(tmp_path: Path) -> None:
    [result] = read_results(put(tmp_path / "poses.jsonl", HEADER, ROW))
    assert (result.frame, result.time, result.ids.tolist()) == (3, 0.12, [4])
    assert result.run == {} and result.people.visibility is None


def test_track_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    """Of the header, of a frame and of a person, through a file of this version and back."""
    header = {**HEADER, "version": 2, "camera": "left", "settings": {"min_score": 0.2}}
    row = {**ROW, "weather": {"rain": [1, 2]}, "people": [{**PERSON, "team": "red"}]}
    path = put(tmp_path / "poses.jsonl", header, row)
    track_to(path, tmp_path / "out", tracker="none", smooth=None)
    [result] = read_results(tmp_path / "out" / "poses.jsonl")
    assert result.run["camera"] == "left" and result.extra == {"weather": {"rain": [1, 2]}}
    assert result.people.extra is not None and result.people.extra[0] == {"team": "red"}
    assert result.run["settings"] == {
        "min_score": 0.2,
        "tracker": "none",
        "smooth": None,
        "gap": None,
        "person": None,
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"visibility": [0.5]}, "visibility is not a list of 2 numbers"),
        ({"expected_error": "none"}, "expected_error is not a list of 2 numbers"),
        ({"visibility": [float("1e99"), None]}, "NaN or infinity"),
    ],
)
def test_broken_optional_fields_are_told(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = put(tmp_path / "poses.jsonl", HEADER, {**ROW, "people": [PERSON | change]})
    with pytest.raises(SourceError, match=f"line 2 is invalid .{words}"):
        list(read_results(path))


@pytest.mark.parametrize("aspect", [0, -1, 1e9, "wide", True])
def test_impossible_pixels_are_told(tmp_path: Path, aspect: Any) -> None:
    path = put(tmp_path / "poses.jsonl", HEADER, {**ROW, "pixel_aspect": aspect})
    with pytest.raises(SourceError, match="line 2 is invalid"):
        list(read_results(path))


def test_the_json_schema_tells_right_from_wrong() -> None:
    validator = jsonschema_rs.validator_for(json_schema())
    head, row = {**HEADER, "version": 2}, {k: v for k, v in ROW.items() if k != "speed"}
    for good in (head, row, {**head, "more": 1}, {**row, "more": 1, "header": head}):
        assert validator.is_valid(good), list(validator.iter_errors(good))
    bad: list[dict[str, Any]] = [{**head, "version": 3}, {**row, "status": "fine"}]
    bad += [{key: row[key] for key in row if key != gone} for gone in row]
    bad += [{**row, "people": [{k: PERSON[k] for k in PERSON if k != gone}]} for gone in PERSON]
    bad += [{**row, "frame": -1}, {**row, "people": [{**PERSON, "visibility": [2, 0]}]}]
    for wrong in bad:
        assert not validator.is_valid(wrong), wrong


def test_the_table_schema_is_that_of_the_file(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    writer = create_writer("parquet", tmp_path)
    writer.write(Result(People.empty(COCO17), COCO17, (9, 9), "a.jpg"))
    [path] = writer.close()
    kinds = {"utf8": "string"}
    found = {f.name: kinds.get(str(f.type), str(f.type)) for f in parquet.read_schema(path)}
    told = {column["name"]: column["type"] for column in table_schema()["columns"]}
    assert found == told == COLUMNS
    assert all(column["meaning"] for column in table_schema()["columns"])
    header = json.loads(parquet.read_metadata(path).metadata[TABLE_KEY.encode()])
    assert jsonschema_rs.validator_for(json_schema()).is_valid(header)


def test_broken_tables_are_told_in_one_line(tmp_path: Path) -> None:
    arrow, parquet = (pytest.importorskip(n) for n in ("pyarrow", "pyarrow.parquet"))
    path = tmp_path / "poses.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match=r"poses\.parquet is invalid"):
        list(read_results(path))
    parquet.write_table(arrow.table({"x": [1]}), path)
    with pytest.raises(SourceError, match="not a table of results"):
        list(read_results(path))
    writer = create_writer("parquet", tmp_path / "out")
    writer.write(Result(People.of(keypoints=np.ones((1, 17, 2))), COCO17, (9, 9), "a.jpg"))
    [good] = writer.close()
    metadata = {TABLE_KEY: parquet.read_metadata(good).metadata[TABLE_KEY.encode()]}
    table = parquet.read_table(good).replace_schema_metadata(metadata)
    for broken in (
        table.slice(1),
        table.slice(0, 16),
        table.set_column(
            table.schema.get_field_index("status"), "status", arrow.array(["fine"] * 17)
        ),
    ):
        parquet.write_table(broken, path)
        with pytest.raises(SourceError, match=r"poses\.parquet is invalid"):
            list(read_results(path))


def test_the_verb_prints_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()
    assert main(["schema", "parquet"]) == 0
    assert json.loads(capsys.readouterr().out) == table_schema()


def test_a_data_frame_has_the_columns_of_the_table(people_jpg: Path) -> None:
    pytest.importorskip("pandas")
    result = Pose(threads=1)(people_jpg)
    assert isinstance(result, Result)
    frame = result.to_df()
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 17 * len(result) and frame["score"].between(0, 1).all()
    nobody = result.replace(people=result.people[:0]).to_df()
    assert nobody["person"].tolist() == [-1] and nobody["x"].isna().all()


def test_results_say_what_was_used(people_jpg: Path) -> None:
    result = Pose(threads=1, runtime="onnxruntime", min_score=0.25)(people_jpg)
    assert isinstance(result, Result)
    run = result.run
    assert run["model"]["name"] == "movenet-thunder" and len(run["model"]["sha256"]) == 64
    assert run["model"]["runtime"].startswith("onnxruntime") and run["model"]["precision"] == "fp32"
    assert run["detector"]["name"] == "nanodet-g-person"
    assert run["settings"]["min_score"] == 0.25 and run["settings"]["nms"] == "oks"
    assert run["libraries"]["numpy"] == np.__version__ and run["processor"]
    assert repr(result).startswith(f"<Result '{people_jpg}' frame 0: {len(result)} people, 544 x")


def test_the_header_states_the_options_of_the_run(tmp_path: Path, people_jpg: Path) -> None:
    """Of a program, in numpy's numbers too; and again with what `track` was asked for."""
    options: dict[str, Any] = {"frames": (np.int64(0), None), "tracker": "oks", "gap": 0.5}
    Pose(threads=1).predict_to(people_jpg, tmp_path / "a", **options, fps=np.float32(10))
    [first] = read_results(tmp_path / "a" / "poses.jsonl")
    assert first.run["settings"]["frames"] == [0, None] and first.run["settings"]["gap"] == 0.5
    assert (first.run["settings"]["tracker"], first.run["settings"]["fps"]) == ("oks", 10)
    track_to(tmp_path / "a" / "poses.jsonl", tmp_path / "b", tracker="bytetrack", frames="0:1")
    [again] = read_results(tmp_path / "b" / "poses.jsonl")
    expected = {"tracker": "bytetrack", "frames": [0, 1], "min_score": 0.2, "gap": None}
    assert expected.items() <= again.run["settings"].items()
    assert again.run["model"] == first.run["model"]


def test_a_rate_for_a_video_is_told_and_not_recorded(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", count=4)
    summary = Pose(threads=1).predict_to(tmp_path / "a.mp4", tmp_path / "o", fps=5)
    assert any("--fps has no effect" in note for note in summary.notes)
    assert next(read_results(tmp_path / "o" / "poses.jsonl")).run["settings"]["fps"] is None


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, io.BytesIO, "file"])
def test_bytes_and_open_files_are_sources(people_jpg: Path, form: Any) -> None:
    pose = Pose(threads=1)
    expected = pose(people_jpg)
    with people_jpg.open("rb") as file:
        found = pose(file if form == "file" else form(people_jpg.read_bytes()))
    assert isinstance(expected, Result) and isinstance(found, Result) and len(found) == 3
    np.testing.assert_array_equal(found.keypoints, expected.keypoints)
    assert found.source == (str(people_jpg) if form == "file" else "bytes")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "4"),
        ("id", "left"),
        ("id", 4.0),
        ("id", True),
        ("id", None),
        ("id", -2),
        ("id", 1 << 63),
        ("box", ["1", "2", "3", "4"]),
        ("box_score", "0.5"),
        ("box_score", True),
        ("keypoints", [["1", 2, 0.5], [3, 4, 1]]),
        ("visibility", ["0.5", None]),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: Any, tmp_path: Path) -> None:
    """As the schema does: what it calls a number is none as a text."""
    row = {**ROW, "people": [PERSON, {**PERSON, name: value}]}
    with pytest.raises(SourceError, match="is not the result of a frame"):
        Result.from_dict({**row, "header": HEADER})
    with pytest.raises(SourceError):
        list(read_results(put(tmp_path / "poses.jsonl", HEADER, row)))
