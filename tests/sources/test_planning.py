"""What a run reads: nothing of its own, nothing twice, nothing behind what has no end."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from posewright.errors import OutputError, SourceError, UsageError
from posewright.files.marks import is_drawn, mark_avi, marked
from posewright.people import Frame
from posewright.sources import open_source
from posewright.sources.planning import plan
from posewright.writers.sparing import spare_inputs
from tests.helpers.images import planned
from tests.helpers.results import result, write
from tests.helpers.servers import serve, shots


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((12, 16, 3), 90, np.uint8))
    return path


# --- images that posewright drew ---------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_the_mark_changes_no_pixel(suffix: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    plain = cv2.imencode(suffix, pixels)[1].tobytes()
    bare = plain[:2] + plain[4 + int.from_bytes(plain[4:6], "big") :]  # a JPEG without JFIF header
    for data in [plain, bare] if suffix == ".jpg" else [plain]:
        path = tmp_path / f"p{suffix}"
        path.write_bytes(marked(data))
        np.testing.assert_array_equal(
            cv2.imread(str(path)), cv2.imdecode(np.frombuffer(data, np.uint8), 1)
        )
        with Image.open(path) as opened:
            opened.verify()
            assert "drawn by posewright" in str(opened.info.values())
        assert is_drawn(path)
        path.write_bytes(data)
        assert not is_drawn(path)


@pytest.mark.parametrize("name", ["list.txt", "notes.jpg", "p.bmp", "p.png"])
def test_only_a_comment_in_a_picture_is_the_mark(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"# not drawn by posewright\na.jpg\n")
    assert not is_drawn(path)
    data = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    text = b"tEXtTitle\0not drawn by posewright"
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    path.write_bytes(data[:33] + chunk + data[33:])
    assert not is_drawn(path)
    path.write_bytes(marked(path.read_bytes()))
    assert is_drawn(path)


def test_a_list_may_speak_of_what_is_drawn(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "list.txt").write_text("# not drawn by posewright\na.jpg\n")
    assert planned(str(tmp_path / "list.txt")) == ([str(tmp_path / "list.txt")], [])


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpg"])
@pytest.mark.parametrize("size", [(64, 80), (1000, 1501)])
def test_a_drawn_video_is_no_source_in_any_codec(
    codec: str, size: tuple[int, int], tmp_path: Path
) -> None:
    results = [result(frame=i, image=np.full((*size, 3), 40 * i, np.uint8)) for i in range(4)]
    [film] = write("video", tmp_path, results, video_codecs=(codec,))
    with pytest.raises(SourceError, match="was drawn by posewright"):
        planned(str(film))
    with open_source(film) as source:
        found = list(source)
    assert [f.status for f in found] == ["ok"] * 4 and found[0].image.shape[0] == size[0]
    capture = cv2.VideoCapture(str(film))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 4


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\0\0\0\0AVI LIST\1\0\0\0x"])
def test_a_film_without_filling_stays_as_it_is(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.avi").write_bytes(data)
    mark_avi(tmp_path / "x.avi")
    assert (tmp_path / "x.avi").read_bytes() == data


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two images and of the drawings of an earlier run, which is the working one."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.png"):
        picture(Path(name))
        write(
            "images",
            Path("earlier"),
            [result(source="a.jpg"), result(source="b.png")],
            overwrite=True,
        )
    return tmp_path


def test_folders_patterns_and_lists_leave_own_pictures_out(used: Path) -> None:
    found = sorted(str(path) for path in Path().rglob("*.*g"))
    assert len(found) == 4
    Path("list.txt").write_text("\n".join(found))
    for source in (".", str(used), "**/*.*g", "list.txt", ["."]):
        with open_source(source) as opened:
            assert sorted(Path(frame.name).name for frame in opened) == ["a.jpg", "b.png"]
            assert "2 images skipped, drawn by posewright" in opened.notes[0]
    with pytest.raises(SourceError, match="only images that posewright drew"):
        open_source("earlier")


def test_own_pictures_and_videos_are_no_sources(used: Path) -> None:
    write("video", Path("earlier"), [result(), result(frame=1)])
    film = "earlier/clip.mp4"
    kept, notes = planned("a.jpg", "earlier/images/a.jpg", film, "b.png")
    assert kept == ["a.jpg", "b.png"]
    assert [note.partition(" ")[0] for note in notes] == ["earlier/images/a.jpg", film]
    with pytest.raises(SourceError, match=r"clip\.mp4 was drawn by posewright.*the original"):
        planned(film)


# --- twice, and live -----------------------------------------------------------------------------


def test_what_is_named_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture(Path("d/a.jpg"))
    Path("link.jpg").symlink_to("d/a.jpg")
    picture(Path("copy.jpg"))
    kept, notes = planned("d/a.jpg", "copy.jpg", "./d/a.jpg", "link.jpg", "d", Path("d"), "no.jpg")
    assert kept == ["d/a.jpg", "copy.jpg", "d", "no.jpg"]
    assert notes[0] == "./d/a.jpg is the same as d/a.jpg and is read once" and len(notes) == 3


@pytest.mark.parametrize(
    "live", [0, "0", "camera:1", "rtsp://me:secret@host/a", "udp://host:5", "RTMP://host/b"]
)
def test_nothing_stands_behind_a_live_source(live: Any) -> None:
    with pytest.raises(UsageError, match=r"is live and has no end.*a run for each") as caught:
        planned("a.jpg", live, "rtsp://you:word@host")
    assert "secret" not in str(caught.value) and "word" not in str(caught.value)
    assert planned("a.jpg", live)[0] == ["a.jpg", live]


def test_an_address_of_the_web_is_asked(tmp_path: Path) -> None:
    with serve(shots(3), None) as server:
        with pytest.raises(UsageError, match="is live and has no end"):
            planned(server.url, "a.jpg")
    assert planned("http://127.0.0.1:9/gone.mp4", "a.jpg")[1] == []  # told when its turn comes


# --- one buffer filled again and again -----------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        lambda a: a,
        lambda a: a[..., ::-1],
        lambda a: a[..., 0],
        lambda a: a[None],
        lambda a: Frame(a, name="mine"),
        lambda a: Image.fromarray(a),
    ],
    ids=["rgb", "view", "grey", "batch", "frame", "pil"],
)
def test_a_buffer_may_be_filled_again(wrap: Any) -> None:
    def refilled() -> Any:
        buffer = np.zeros((4, 5, 3), np.uint8)
        for value in range(6):
            buffer[:] = value
            yield wrap(buffer)

    for spec in (refilled(), map(lambda x: x, refilled())):
        with open_source(spec, color="rgb") as source:
            frames = list(source)  # read ahead of their use
        assert [int(frame.image.max()) for frame in frames] == [0, 1, 2, 3, 4, 5]


def test_arrays_in_a_list_are_not_copied() -> None:
    array = np.zeros((4, 5, 3), np.uint8)
    with open_source([array], color="rgb") as source:
        assert np.shares_memory(next(source).image, array) and source.total == 1


# --- sources are never replaced ------------------------------------------------------------------

CLASHES: dict[str, tuple[list[str], str, list[str]]] = {
    "a later video": (["x/v.mkv", "v.mp4"], "video", []),
    "a folder of images": (["images"], "images", []),
    "a pattern": (["images/*.jpg"], "images", []),
    "a list": (["list.txt"], "images", []),
    "a list in Python": ([["x/b.jpg", "images/a.jpg"]], "images", []),
    "one of several images": (["x/b.jpg", "images/a.jpg"], "images", []),
    "a link": (["x/link.jpg"], "images", []),
    "boxes": (["x/b.jpg"], "coco", ["coco-results.json"]),
    "rows": (["poses.jsonl"], "jsonl", []),
    "labels": (["x/b.jpg"], "alphapose-cmu", ["sep-json/a.json"]),
}


@pytest.mark.parametrize("name", CLASHES)
def test_no_result_replaces_what_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("images/a.jpg", "x/b.jpg"):
        picture(Path(path))
    Path("sep-json").mkdir()
    for path in ("v.mp4", "x/v.mkv", "coco-results.json", "poses.jsonl", "sep-json/a.json"):
        Path(path).write_bytes(b"content")
    Path("list.txt").write_text("x/b.jpg\nimages/a.jpg\n")
    Path("x/link.jpg").symlink_to("../images/a.jpg")
    sources, save, others = CLASHES[name]
    with pytest.raises(OutputError, match=r"is an input of this run.*another folder with -o"):
        spare_inputs(Path(), [save, "parquet"], sources, others)
    spare_inputs(Path("elsewhere"), [save, "parquet"], sources, others)
    Path("elsewhere").mkdir()
    spare_inputs(Path("elsewhere"), [save, "parquet"], sources, others)


def test_a_video_of_pictures_replaces_no_source(tmp_path: Path) -> None:
    picture(tmp_path / "shots" / "1.jpg")
    film = tmp_path / "shots.mp4"
    film.write_bytes(b"content")
    with pytest.raises(OutputError, match="is an input of this run"):
        spare_inputs(tmp_path, ["video"], [tmp_path / "shots", film])
    spare_inputs(tmp_path, ["video"], [tmp_path / "shots", picture(tmp_path / "other.jpg")])


def test_drawn_pictures_never_lie_among_their_sources(tmp_path: Path) -> None:
    made = [picture(tmp_path / "images" / name) for name in ("a.bmp", "a.jpg")]
    before = made[1].read_bytes()
    with pytest.raises(OutputError, match="would replace its own source"):
        write("images", tmp_path, [result(source=str(path)) for path in made], overwrite=True)
    assert made[1].read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("address", ["ftp://host/a.jpg", "concat:a.mp4|b.mp4", "rtsp:/host/live"])
def test_an_address_of_another_kind_stops_the_run_before_it_begins(
    address: str, tmp_path: Path
) -> None:
    picture = tmp_path / "a.png"
    picture.touch()
    with pytest.raises(UsageError):
        plan([str(picture), address, str(picture)], lambda spec: pytest.fail("opened"))
