"""Ranges: frames by number, by time and every n-th, and what is left out costs nothing."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.filter import Graph
from av.video.frame import PictureType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from posewright.errors import SourceError, UsageError
from posewright.people import Frame
from posewright.sources import open_source
from posewright.sources.decoder import Decoder
from posewright.sources.display_matrix import Orientation
from posewright.sources.ranges import Range
from tests.helpers.images import frames
from tests.helpers.servers import serve, shots
from tests.helpers.videos import number_in, numbered, spoil, write_video

CONTAINERS = ["mp4", "mkv", "avi", "mov", "ts", "webm", "flv", "mpg", "gif"]


# --- what options say ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "range_"),
    [
        ({"frames": "3:7"}, Range(3, 7)),
        ({"frames": " 3 : "}, Range(3, None)),
        ({"frames": ":7"}, Range(None, 7)),
        ({"frames": ":"}, Range()),
        ({"frames": (3, 7)}, Range(3, 7)),
        ({"frames": [np.int64(3), None]}, Range(3)),
        ({"frames": slice(3, 7)}, Range(3, 7)),
        ({"time_range": "1.5:3"}, Range(begin=1.5, end=3)),
        ({"time_range": ".5:"}, Range(begin=0.5)),
        ({"time_range": ":1."}, Range(end=1)),
        ({"time_range": "1.5..3"}, Range(begin=1.5, end=3)),
        ({"time_range": "1:30..2:00.25"}, Range(begin=90, end=120.25)),
        ({"time_range": "00:01:30..01:00:00"}, Range(begin=90, end=3600)),
        ({"time_range": "90:00.."}, Range(begin=5400)),
        ({"time_range": "..2:00"}, Range(end=120)),
        ({"time_range": (1, 2.5)}, Range(begin=1, end=2.5)),
        ({"time_range": (None, np.float32(2.5))}, Range(end=2.5)),
        ({"frames": "3:", "time_range": ":2", "stride": 5}, Range(3, end=2, stride=5)),
    ],
)
def test_what_options_say(said: dict[str, Any], range_: Range) -> None:
    assert Range.of(**said) == range_


@pytest.mark.parametrize(
    ("said", "told"),
    [
        *(
            ({"frames": wrong}, f"frames must be A:B, .* not {wrong!r}".replace("(", r"\("))
            for wrong in ("5", "-5:", "5:-1", "1:2:3", "a:b", "1.5:2", "", "\u0661:", 5, True)
        ),
        ({"frames": (3, -7)}, "frames must be A:B"),
        ({"frames": (3, 7.0)}, "frames must be A:B"),
        ({"frames": (True, 7)}, "frames must be A:B"),
        ({"frames": (1, 2, 3)}, "frames must be A:B"),
        ({"frames": slice(1, 9, 2)}, "frames must be A:B"),
        ({"frames": "7:7"}, "frames 7:7 hold nothing: B must be larger than A"),
        ({"frames": ":0"}, "frames :0 hold nothing"),
        ({"frames": (8, 2)}, ".* hold nothing"),
        *(
            ({"time_range": wrong}, "the time range must be A:B, .* 00:01:30..00:02:00, not")
            for wrong in "5 -5: 1:2:3 1:30:2:00 1:75..2:00 1:60:00.. x..y 1e3:".split()
        ),
        *(
            ({"time_range": wrong}, "the time range must be A:B")
            for wrong in ((0, float("inf")), (float("nan"), 1), (-1, 2), ("1", "2"), 7)
        ),
        ({"time_range": "3:1.5"}, "the time range 3:1.5 holds nothing: B must come after A"),
        ({"time_range": "2..2"}, ".* holds nothing"),
        *(({"stride": wrong}, "stride must be") for wrong in (0, -1, 1.5, True)),
    ],
)
def test_a_wrong_range_is_one_line(said: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=f"^{told}") as caught:
        open_source(np.zeros((2, 2), np.uint8), **said)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


# --- images --------------------------------------------------------------------------------------


def put(folder: Path, count: int, first: int = 0) -> Path:
    """Write images that hold their numbers, in pixels and names."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        cv2.imwrite(str(folder / f"img_{number:03d}.png"), numbered(64, 8, number))
    return folder


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put(tmp_path_factory.mktemp("album") / "in", 13)


def facts(found: list[Frame]) -> list[tuple[int, float, str, str, int]]:
    return [(f.index, f.time, f.name, f.sequence, number_in(f.image)) for f in found]


ENDS = st.one_of(st.none(), st.integers(0, 20))


@given(first=ENDS, stop=ENDS, stride=st.integers(1, 20))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_range_of_a_folder_is_a_slice(
    album: Path, first: int | None, stop: int | None, stride: int
) -> None:
    every = facts(frames(album, fps=10))
    wanted = every[first:stop:stride]
    if stop is not None and stop <= (first or 0):
        with pytest.raises(UsageError):
            open_source(album, frames=(first, stop), stride=stride)
        return
    source = open_source(album, fps=10, frames=(first, stop), stride=stride)
    assert source.total == len(wanted)
    if wanted:
        assert facts(list(source)) == wanted
    else:
        with pytest.raises(SourceError, match="no frame is in frames"):
            list(source)


@given(begin=st.integers(0, 15), length=st.integers(1, 15), stride=st.integers(1, 5))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_time_range_counts_from_its_first_frame(
    album: Path, begin: int, length: int, stride: int
) -> None:
    """Times are fractions, 0.1 * 3 is above 0.3, and still each frame is on its own side."""
    spec = {"fps": 10, "time_range": (begin * 0.1, (begin + length) / 10), "stride": stride}
    source = open_source(album, **spec)
    wanted = list(range(13))[begin : begin + length : stride]
    assert source.total == len(wanted)
    if wanted:
        assert [f.index for f in source] == wanted


def test_both_must_hold_and_the_stride_counts_from_the_frame_that_is_named(album: Path) -> None:
    spec: dict[str, Any] = {"fps": 10, "frames": "2:12", "time_range": "0.5:1.1", "stride": 2}
    assert [f.index for f in frames(album, **spec)] == [6, 8, 10]
    spec["frames"] = ":12"
    assert [f.index for f in frames(album, **spec)] == [5, 7, 9]


def test_each_sequence_has_the_range(tmp_path: Path) -> None:
    for folder, count in (("a", 3), ("b", 6), ("c", 2)):
        put(tmp_path / "in" / folder, count)
    with open_source(tmp_path / "in", frames="2:5", stride=2) as source:
        assert source.total == 3
        found = [(Path(f.sequence).name, f.index) for f in source]
        (note,) = source.notes
    assert found == [("a", 2), ("b", 2), ("b", 4)]
    assert note == f"{tmp_path / 'in' / 'c'}: no frame is in frames 2:5"


def test_numbers_are_those_in_the_names(tmp_path: Path) -> None:
    put(tmp_path, 3, first=5)
    put(tmp_path, 4, first=10)
    pattern = str(tmp_path / "img_%03d.png")
    assert [f.index for f in frames(pattern, frames="6:12")] == [6, 7, 10, 11]
    assert [f.index for f in frames(pattern, stride=2)] == [5, 7, 11, 13]
    assert [f.index for f in frames(pattern, frames="6:", stride=2)] == [6, 10, 12]
    timed = frames(pattern, fps=10, time_range="0.2:0.6")
    assert [(f.index, f.time) for f in timed] == [(7, 0.2), (10, 0.5)]
    with pytest.raises(SourceError, match=r"no frame is in frames :5; frames 5 to 13 were read$"):
        frames(pattern, frames=":5")


def test_images_that_are_left_out_are_not_opened(album: Path, tmp_path: Path) -> None:
    for file in album.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for number in (0, 3, 12):
        (tmp_path / f"img_{number:03d}.png").write_bytes(b"damaged")
    (tmp_path / "img_001.png").unlink()
    (tmp_path / "img_001.png").symlink_to(tmp_path / "nowhere")
    found = frames(tmp_path, frames="4:12")
    assert [(f.index, f.status) for f in found] == [(n, "ok") for n in range(4, 12)]
    kept = frames(tmp_path, frames="2:5")
    assert [f.status for f in kept] == ["ok", "decode_error", "ok"]


def test_what_is_made_for_ever_ends_behind_the_range() -> None:
    made = itertools.count()

    def arrays() -> Iterator[NDArray[np.uint8]]:
        for number in made:
            yield numbered(64, 8, number)

    found = frames(arrays(), color="rgb", frames="3:10", stride=3)
    assert [number_in(f.image) for f in found] == [3, 6, 9]
    assert next(made) == 10


def test_a_source_that_is_open_can_be_narrowed(album: Path) -> None:
    source = open_source(album)
    assert open_source(source, frames="4:6") is source and source.total == 2
    assert [f.index for f in source] == [4, 5]


def test_a_time_range_needs_times(album: Path) -> None:
    for spec in (album, str(album / "*.png"), [album / "img_001.png"], iter([])):
        with pytest.raises(UsageError, match="state their rate with --fps") as caught:
            open_source(spec, time_range="0:1")
        assert "\n" not in str(caught.value)
    image = np.zeros((4, 4, 3), np.uint8)
    own = [Frame(image, time=n / 2, sequence="a") for n in range(6)]
    assert [f.index for f in frames(own, time_range="1:2")] == [2, 3]


# --- videos --------------------------------------------------------------------------------------


def selected(path: Path, expression: str) -> list[int]:
    """Return the numbers in the frames that FFmpeg's own filter `select` lets through.

    PyAV is FFmpeg's libraries, so this is what `ffmpeg -vf select=...` keeps.
    """
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = Graph()
        source, sink = graph.add_buffer(template=stream), graph.add("buffersink")
        chosen = graph.add("select", expression)
        source.link_to(chosen)
        chosen.link_to(sink)
        graph.configure()
        for frame in [*container.decode(stream), None]:
            graph.push(frame)
            while True:
                try:
                    found.append(number_in(graph.pull().to_ndarray(format="rgb24")))
                except (BlockingIOError, EOFError):
                    break
    return found


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video of 40 numbered frames in each container, with B-frames where its codec has them."""
    folder = tmp_path_factory.mktemp("films")
    for form in CONTAINERS:
        more: dict[str, Any] = {"codec": "gif"} if form == "gif" else {}
        more |= {} if form in ("webm", "gif") else {"between": 2}
        write_video(folder / f"film.{form}", count=40, size=(128, 32), draw=numbered, **more)
    return folder


@pytest.mark.parametrize("form", CONTAINERS)
def test_numbers_are_those_of_ffmpeg(films: Path, form: str) -> None:
    path = films / f"film.{form}"
    if form not in ("webm", "gif"):
        with av.open(str(path)) as container:
            kinds = {PictureType(f.pict_type).name for f in container.decode(video=0)}
        assert "B" in kinds
    every = facts(frames(path))
    assert [number for *_, number in every] == list(range(40))
    for first, stop, stride in ((0, 1, 1), (7, 23, 1), (11, 40, 4), (38, 99, 1), (0, 40, 7)):
        expression = f"between(n,{first},{stop - 1})*not(mod(n-{first},{stride}))"
        with open_source(path, frames=(first, stop), stride=stride) as source:
            total, found = source.total, facts(list(source))
        assert found == every[first:stop:stride]
        assert [number for *_, number in found] == selected(path, expression)
        assert total is None or abs(total - len(found)) <= 2


@pytest.mark.parametrize("form", CONTAINERS)
def test_times_are_those_of_the_whole_video(films: Path, form: str) -> None:
    path = films / f"film.{form}"
    every = facts(frames(path))
    begin, end = every[9][1], every[20][1]
    assert facts(frames(path, time_range=(begin, end))) == every[9:20]
    assert facts(frames(path, time_range=(begin, None), stride=5)) == every[9::5]
    assert facts(frames(path, time_range=(None, end), frames="15:")) == every[15:20]


def test_frames_that_are_left_out_are_not_converted_or_read(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted, decoders = [], []
    pixels, start = Orientation.pixels, Decoder.__init__

    def counting(self: Orientation, frame: av.VideoFrame) -> NDArray[np.uint8]:
        converted.append(frame.pts)
        return pixels(self, frame)

    def noting(self: Decoder, *args: Any) -> None:
        decoders.append(self)
        start(self, *args)

    monkeypatch.setattr(Orientation, "pixels", counting)
    monkeypatch.setattr(Decoder, "__init__", noting)
    assert len(frames(films / "film.mp4", frames="10:20", stride=5)) == 2
    assert len(converted) == 3  # and the first of all, whose size is that of the source
    assert decoders[0].packets < 25
    assert len(frames(films / "film.mp4")) == 40 and len(converted) == 43
    assert decoders[1].packets == 40


def test_a_cut_behind_the_range_is_not_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, count=60, size=(128, 32), draw=numbered, options={"movflags": "faststart"})
    os.truncate(path, int(path.stat().st_size * 0.6))
    *good, last = [f for f in frames(path) if f.status != "decode_error"]
    assert last.status == "truncated" and len(good) > 9
    before = frames(path, frames=f":{len(good) - 2}")
    assert [f.status for f in before] == ["ok"] * (len(good) - 2)
    for spec in ("5:100", "90:100"):
        found = frames(path, frames=spec, stride=7)
        assert (found[-1].status, found[-1].index) == ("truncated", last.index)
        assert {f.status for f in found[:-1]} <= {"ok"}


def test_failed_frames_outside_are_not_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_video(path, count=60, codec="mpeg4")
    spoil(path)
    every = frames(path)
    bad = [f.index for f in every if f.status == "decode_error"]
    assert bad
    for first, stop in ((0, bad[0]), (bad[-1] + 1, len(every)), (bad[0], bad[-1] + 1)):
        found = frames(path, frames=(first, stop))
        assert [(f.index, f.time, f.status) for f in found if f.status != "truncated"] == [
            (f.index, f.time, f.status) for f in every[first:stop] if f.status != "truncated"
        ]


def test_a_range_without_a_frame_is_told_with_what_there_is(films: Path) -> None:
    path = films / "film.mp4"
    with pytest.raises(SourceError) as caught:
        frames(path, frames="40:50")
    assert str(caught.value) == (
        f"{path}: no frame is in frames 40:50; frames 0 to 39 were read, to 3.90 s"
    )
    with pytest.raises(SourceError, match=r"in time range 0.51:0.59 s; frames 0 to 6 were read"):
        frames(path, time_range="0.51:0.59")
    with pytest.raises(SourceError, match=r"in frames 3: and time range :0.1 s; frames 0 to "):
        frames(path, frames="3:", time_range=":0.1")


# --- streams -------------------------------------------------------------------------------------


def test_a_stream_ends_behind_the_range() -> None:
    with serve(shots(400, 0.01)) as server:
        found = frames(server.url, frames="3:12", stride=4)
        assert [f.index for f in found] == [3, 7, 11]
        found = frames(server.url, time_range="0.1:0.3")
        assert found and all(0.1 <= f.time < 0.3 for f in found)
        assert [f.index for f in found] == list(range(found[0].index, found[-1].index + 1))


def test_an_interruption_inside_of_the_range_is_told() -> None:
    with serve(shots(8), shots(40)) as server:
        every = frames(server.url, frames=":20")
        gap = next(f.index for f in every if f.status == "gap")
        assert [f.status for f in frames(server.url, frames="12:20")] == ["ok"] * 8
    assert gap == 8
    with serve(shots(8), shots(40)) as server:
        found = frames(server.url, frames="3:20", stride=4)
        assert [(f.index, f.status) for f in found] == [
            *((3, "ok"), (7, "ok"), (8, "gap")),
            *((11, "ok"), (15, "ok"), (19, "ok")),
        ]
