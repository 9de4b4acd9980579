"""Damaged videos: every frame keeps its number and time, and what is no damage is not reported."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
import pytest

from posewright.errors import SourceError
from posewright.people import Frame
from posewright.sources import open_source
from posewright.sources.decoder import Decoder, Lost
from posewright.sources.decoding import open_container
from posewright.sources.video import Clock
from posewright.sources.waiting import Waiting
from tests.helpers.images import frames
from tests.helpers.videos import scene

MUXERS = {"ts": "mpegts", "mkv": "matroska"}
COUNT = 24


def film(
    path: Path,
    codec: str,
    *,
    count: int = COUNT,
    stamps: list[int] | None = None,
    rate: int = 25,
    pixels: str = "yuv420p",
    gop: int = 250,
    between: int = 0,
    options: dict[str, str] | None = None,
) -> None:
    """Write frames, each of its own grey; stamps in ms.  between: B-frames in a row."""
    form = path.suffix[1:]
    with av.open(path, "w", format=MUXERS.get(form, form), options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        context = stream.codec_context
        context.gop_size, context.max_b_frames, context.thread_count = gop, between, 1
        context.bit_rate = 2_000_000
        if stamps:
            context.time_base = Fraction(1, 1000)
        for number in range(len(stamps) if stamps else count):
            image = scene(64, 48, number) // 8 + grey(number)
            frame = av.VideoFrame.from_ndarray(image.astype(np.uint8), format="rgb24")
            if stamps:
                frame.pts, frame.time_base = stamps[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def grey(number: int) -> int:
    return 20 + 37 * number % 190


def packets(path: Path) -> list[tuple[int, int]]:
    """Return where the packets lie in the file, and their bytes, in the order of showing."""
    with av.open(path) as container:
        found = [(p.pts or 0, p.pos or 0, p.size) for p in container.demux(video=0) if p.size]
    return [(pos, size) for _, pos, size in sorted(found)]


def damage(path: Path, numbers: list[int], how: str) -> None:
    """Destroy the packets of these frames."""
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(1)
    places = packets(path)
    for number in numbers:
        pos, size = places[number]
        if how == "half":
            pos, size = pos + size // 2, size - size // 2
        if how == "header":
            pos, size = pos - 8, 32
        content = bytes(size) if how == "zeros" else noise.bytes(size)
        data[pos : pos + size] = content
    path.write_bytes(data)


def check_numbers(found: list[Frame], missing: list[int], count: int = COUNT, fps: float = 25.0):
    """Look whether each frame stands at its number and time, those missing as decode errors."""
    assert [f.index for f in found] == list(range(count))
    assert [f.time for f in found] == pytest.approx([n / fps for n in range(count)], abs=0.002)
    assert [f.index for f in found if f.status == "decode_error"] == missing
    for frame in found:
        if frame.index in missing:
            assert frame.image.size == 0 and f"frame {frame.index} cannot" in frame.message
        else:
            assert frame.status == "ok"


def check_content(found: list[Frame]) -> None:
    """Look whether the frames hold the images that were written under their numbers."""
    first = [scene(64, 48, f.index) // 8 + grey(f.index) for f in found]
    for frame, written in zip(found, first, strict=True):
        if frame.status == "ok":
            assert abs(frame.image.mean() - written.mean()) < 6


KINDS = [
    ("a.avi", "mjpeg", {"pixels": "yuvj420p"}),
    ("a.avi", "mpeg4", {"gop": 1}),
    ("a.mp4", "libx264", {"gop": 1}),
    ("a.mp4", "libx264", {}),
    ("b.mp4", "libx264", {"between": 3}),
    ("a.mov", "prores_ks", {"pixels": "yuv422p10le"}),
    ("a.mov", "mjpeg", {"pixels": "yuvj420p"}),
    ("a.ts", "libx264", {}),
    ("b.ts", "mpeg2video", {"between": 2, "gop": 8}),
]


@pytest.mark.parametrize("how", ["noise", "zeros", "half"])
@pytest.mark.parametrize(("name", "codec", "options"), KINDS)
def test_a_damaged_packet_shifts_no_later_number(
    tmp_path: Path, name: str, codec: str, options: dict, how: str
) -> None:
    film(tmp_path / name, codec, **options)
    assert {f.status for f in frames(tmp_path / name)} == {"ok"}
    damage(tmp_path / name, [9], how)
    with open_source(tmp_path / name) as source:
        assert source.total in (None, COUNT)
        found = list(source)
    if codec == "mpeg2video":  # those that refer to it, and those in the same 188 bytes
        check_numbers(found, [f.index for f in found if f.status == "decode_error"])
        assert found[9].status == "decode_error" and sum(f.status == "ok" for f in found) > 17
        return
    check_numbers(found, [9])
    if codec in ("mjpeg", "prores_ks") or options.get("gop") == 1:
        check_content(found)


REFERRING = [
    ("a.mp4", "libx265", {"between": 3}),
    ("b.mov", "libx265", {"gop": 8}),
    ("c.mp4", "libx264", {"between": 3, "gop": 8}),
    ("d.mov", "mpeg4", {"between": 2, "gop": 8}),
]


@pytest.mark.parametrize(("name", "codec", "options"), REFERRING)
def test_frames_that_refer_to_a_damaged_one_keep_their_numbers(
    tmp_path: Path, name: str, codec: str, options: dict
) -> None:
    path = tmp_path / name
    film(path, codec, **options)
    whole = path.read_bytes()
    for number in (*range(10), 22, 23):
        path.write_bytes(whole)
        damage(path, [number], "zeros")
        if number == 0 and "gop" not in options:  # everything refers to it
            with pytest.raises(SourceError, match="no frame"):
                open_source(path)
            continue
        found = frames(path)
        missing = [f.index for f in found if f.status != "ok"]
        check_numbers(found, missing)
        assert number in missing
        next_key = COUNT if codec == "libx265" and "gop" not in options else number + 16
        assert set(missing) <= set(range(number - 7, next_key))


@pytest.mark.parametrize(("name", "codec", "options"), REFERRING)
def test_damage_that_the_decoder_does_not_report_shifts_no_number(
    tmp_path: Path, name: str, codec: str, options: dict
) -> None:
    """The first bytes of the packet stay: HEVC passes over it without an error."""
    path = tmp_path / name
    film(path, codec, **options | {"gop": 8})
    whole = path.read_bytes()
    places = packets(path)
    for number in (*range(8), 23):
        pos, size = places[number]
        start = min(8, size // 2)
        path.write_bytes(whole[: pos + start] + bytes(size - start) + whole[pos + size :])
        found = frames(path)
        check_numbers(found, [f.index for f in found if f.status != "ok"])


def test_a_recording_in_hevc_that_begins_between_key_frames_is_no_damage(tmp_path: Path) -> None:
    film(tmp_path / "a.ts", "libx265", count=40, gop=10, between=2)
    data = (tmp_path / "a.ts").read_bytes()
    start = packets(tmp_path / "a.ts")[3][0] // 188 * 188
    (tmp_path / "b.ts").write_bytes(data[:564] + data[start:])
    found = frames(tmp_path / "b.ts")
    assert {f.status for f in found} == {"ok"} and 25 <= len(found) < 40
    assert [f.index for f in found] == list(range(len(found))) and found[0].time == 0


def test_frames_that_come_in_the_wrong_order_behind_damage_are_put_in_order(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", "libx264", between=3, gop=8)
    damage(tmp_path / "a.mp4", [7], "zeros")
    found = frames(tmp_path / "a.mp4")  # the decoder shows 0.44, 0.2, 0.48, 0.24, 0.52
    check_numbers(found, [7, 8, 9, 10])


def told(
    waiting: Waiting, number: int, *, shown: bool, key: bool = False
) -> list[float | None] | None:
    """Send a packet, and show its frame -> the times of the lost images before it."""
    packet = av.Packet(b"x")
    frame = av.VideoFrame(16, 16, "gray")
    for item in (packet, frame):
        item.pts, item.time_base = number, Fraction(1, 25)
    packet.is_keyframe = key
    waiting.count(packet)
    waiting.expect(packet)
    lost = waiting.show(frame) if shown else waiting.overdue()
    return None if lost is None else [each.time for each in lost]


@pytest.mark.parametrize(("every", "lost"), [(1, [2.44, 2.52]), (2, [])], ids=["frames", "fields"])
def test_packets_without_a_picture_count_where_all_had_one_before_damage(
    every: int, lost: list[float]
) -> None:
    waiting = Waiting()
    for number in range(60):  # of two packets with a field each, one gives the frame
        assert told(waiting, number, shown=number % every == 0) == []
    waiting.hurt()
    found = [told(waiting, n, shown=n % 2 == 0) or [] for n in range(60, 65)]
    assert list(chain.from_iterable(found)) == lost
    assert waiting.rest() == []
    late = av.VideoFrame(16, 16, "gray")
    late.pts, late.time_base = 61, Fraction(1, 25)
    assert (waiting.show(late) is None) == bool(lost)  # its place is taken


def test_pictures_before_the_first_that_can_be_decoded_are_no_damage() -> None:
    waiting = Waiting()
    for number in (5, 2, 3, 4):  # those that lead an open group of images
        assert told(waiting, number, shown=False) == []
    assert told(waiting, 6, shown=True) == []
    waiting.hurt()
    assert told(waiting, 7, shown=True) == [] and waiting.rest() == []
    again = av.VideoFrame(16, 16, "gray")
    again.pts, again.time_base = 7, Fraction(1, 25)
    assert waiting.show(again) is None  # as MPEG-4 does behind a key frame that is damaged


def test_a_key_frame_before_the_first_that_is_shown_is_lost() -> None:
    for key, lost in ((True, [0.08, 0.12]), (False, [])):
        waiting = Waiting()
        assert told(waiting, 2, shown=False, key=key) == []
        assert told(waiting, 3, shown=False) == []
        assert told(waiting, 4, shown=True) == lost


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([5.0, 5.2, 5.08, 5.12, 5.4], [0, 0.2, 0.205, 0.21, 0.4]),  # the wrong order
        ([0.0, 0.04, 0.08, 9.0, 0.0, 0.04], [0, 0.04, 0.08, 9.0, 9.04, 9.08]),  # a join
        (
            [0.0, 0.04, 0.08, 0.0, 0.01, 0.02, 0.03, 0.07],
            [0, 0.04, 0.08, 0.085, 0.09, 0.095, 0.135, 0.175],
        ),
    ],
)
def test_times_grow_and_a_wrong_order_shifts_none_behind_it(
    stamps: list[float], times: list[float]
) -> None:
    clock = Clock(0.04)
    assert [clock.time(stamp) for stamp in stamps] == pytest.approx(times)


@pytest.mark.parametrize(
    ("name", "codec", "options"), [KINDS[0], KINDS[2], KINDS[5]], ids=["avi", "mp4", "mov"]
)
def test_the_first_and_the_last_and_a_row_of_frames(
    tmp_path: Path, name: str, codec: str, options: dict
) -> None:
    film(tmp_path / name, codec, **options)
    damage(tmp_path / name, [0, 7, 8, 9, 23], "zeros")
    found = frames(tmp_path / name)
    check_numbers(found, [0, 7, 8, 9, 23])
    check_content(found)


def test_a_chunk_of_an_avi_that_cannot_be_found_keeps_its_number(tmp_path: Path) -> None:
    film(tmp_path / "a.avi", "mjpeg", pixels="yuvj420p")
    damage(tmp_path / "a.avi", [4, 11, 12], "header")
    found = frames(tmp_path / "a.avi")
    check_numbers(found, [4, 11, 12])
    check_content(found)


def test_packets_that_are_gone_from_a_transport_stream(tmp_path: Path) -> None:
    film(tmp_path / "a.ts", "libx264", count=40)
    places = packets(tmp_path / "a.ts")
    data = (tmp_path / "a.ts").read_bytes()
    start, end = places[12][0] // 188 * 188, places[20][0] // 188 * 188
    end += 188 * ((end - start) // 188 % 16 == 0)  # their counter runs to 16
    (tmp_path / "a.ts").write_bytes(data[:start] + data[end:])
    found = frames(tmp_path / "a.ts")
    check_numbers(found, [f.index for f in found if f.status != "ok"], 40)
    missing = {f.index for f in found if f.status != "ok"}
    assert set(range(12, 19)) <= missing <= set(range(11, 25))  # the next key frame is number 25


def with_sound(path: Path) -> None:
    """Put silence beside a video's packets."""
    data = path.with_name("video" + path.suffix)
    path.rename(data)
    with av.open(data) as old, av.open(path, "w", options={"cluster_time_limit": "200"}) as new:
        (video,) = old.streams.video
        stream = new.add_stream_from_template(video)
        sound = new.add_stream("aac", rate=16000)
        for packet in old.demux(video):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
                for _ in range(2):  # 128 ms a packet would be too rare
                    silence = av.AudioFrame.from_ndarray(
                        np.zeros((1, 320), np.float32), "fltp", "mono"
                    )
                    silence.sample_rate = 16000
                    new.mux(sound.encode(silence))
        new.mux(sound.encode(None))


@pytest.mark.parametrize("sound", [False, True])
def test_a_hole_in_a_matroska_file_keeps_later_numbers(tmp_path: Path, sound: bool) -> None:
    path = tmp_path / "a.mkv"
    film(path, "libx264", count=60, gop=5, options={"cluster_time_limit": "200"})
    if sound:
        with_sound(path)
    data = bytearray(path.read_bytes())
    middle = packets(path)[30][0]
    data[middle : middle + 2500] = np.random.default_rng(1).bytes(2500)
    path.write_bytes(data)
    found = frames(path)
    missing = [f.index for f in found if f.status != "ok"]
    assert missing and set(missing) <= set(range(28, 40))
    check_numbers(found, missing, 60)


def test_a_gap_of_a_recorder_is_no_damage(tmp_path: Path) -> None:
    stamps = [40 * n for n in range(30) if n not in (11, 12, 20)]
    for name in ("a.ts", "a.mkv", "a.mp4"):
        film(tmp_path / name, "libx264", stamps=stamps)
        found = frames(tmp_path / name)
        assert [f.index for f in found] == list(range(27)) and {f.status for f in found} == {"ok"}
        assert [f.time for f in found] == pytest.approx([s / 1000 for s in stamps], abs=0.002)


def test_numbers_of_a_variable_frame_rate_count(tmp_path: Path) -> None:
    stamps = [0, 33, 210, 250, 900, 1300, 1333, 2000, 2100, 5000]
    film(tmp_path / "a.mp4", "libx264", stamps=stamps, gop=1)
    damage(tmp_path / "a.mp4", [4], "zeros")
    found = frames(tmp_path / "a.mp4")
    assert [f.index for f in found] == list(range(10))
    assert [f.time for f in found] == pytest.approx([s / 1000 for s in stamps], abs=0.002)
    assert [f.status for f in found].index("decode_error") == 4
    assert sum(f.status != "ok" for f in found) == 1


def edit(path: Path, start: int, seconds: float) -> None:
    """Make an MP4's edit list show so many seconds from a frame on."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst")
    (media,) = struct.unpack(">i", data[at + 16 : at + 20])
    data[at + 12 : at + 20] = struct.pack(">Ii", round(seconds * 1000), media + start * 512)
    path.write_bytes(data)


@pytest.mark.parametrize(("start", "shown", "between"), [(13, 20, 0), (0, 20, 0), (13, 20, 2)])
def test_an_edit_list_is_no_damage(tmp_path: Path, start: int, shown: int, between: int) -> None:
    film(tmp_path / "a.mp4", "libx264", count=60, gop=10, between=between)
    plain = frames(tmp_path / "a.mp4")
    edit(tmp_path / "a.mp4", start, shown / 25)
    with open_source(tmp_path / "a.mp4") as source:
        assert source.total == shown
        found = list(source)
    assert {f.status for f in found} == {"ok"} and len(found) == shown
    assert [f.index for f in found] == list(range(shown)) and found[0].time == 0
    assert (found[0].image == plain[start].image).all()


def dropped(path: Path, numbers: list[int]) -> None:
    """Replace chunks of an AVI by empty ones, as capture programs write a frame they dropped."""
    data = path.read_bytes()
    at, head, index = data.index(b"movi") + 4, data[: data.index(b"movi") + 4], b""
    body, number = b"", 0
    while data[at : at + 4] == b"00dc":
        (size,) = struct.unpack("<I", data[at + 4 : at + 8])
        chunk = data[at : at + 8 + size + size % 2]
        at += len(chunk)
        if number in numbers:
            chunk, size = b"00dc" + bytes(4), 0
        index += struct.pack("<4sIII", b"00dc", 16 if size else 0, 4 + len(body), size)
        body, number = body + chunk, number + 1
    tail = b"idx1" + struct.pack("<I", len(index)) + index
    head = head[:-8] + struct.pack("<I4s", len(body) + 4, b"movi")
    path.write_bytes(
        head[:4] + struct.pack("<I", len(head + body + tail) - 8) + head[8:] + body + tail
    )


@pytest.mark.parametrize("numbers", [[5, 6, 7, 15], [20, 21, 22, 23]])
def test_frames_that_a_recorder_dropped_are_no_damage(tmp_path: Path, numbers: list[int]) -> None:
    film(tmp_path / "a.avi", "mjpeg", pixels="yuvj420p")
    dropped(tmp_path / "a.avi", numbers)
    with open_source(tmp_path / "a.avi") as source:
        assert source.total == 20
        found = list(source)
    assert {f.status for f in found} == {"ok"}
    assert [f.index for f in found] == list(range(20))
    times = [n / 25 for n in range(24) if n not in numbers]
    assert [f.time for f in found] == pytest.approx(times, abs=0.002)


def emptied(path: Path, numbers: list[int]) -> None:
    """Make samples of an MP4 or QuickTime file with one chunk empty, those of dropped frames."""
    data = bytearray(path.read_bytes())
    table = data.index(b"stsz") + 12
    (count,) = struct.unpack_from(">I", data, table)
    sizes = struct.unpack_from(f">{count}I", data, table + 4)
    listed, start = struct.unpack_from(">2I", data, data.index(b"stco") + 8)
    assert listed == 1
    at, body = start, b""
    for number, size in enumerate(sizes):
        if number in numbers:
            struct.pack_into(">I", data, table + 4 + 4 * number, 0)
        else:
            body += data[at : at + size]
        at += size
    data[start : start + len(body)] = body
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("a.mov", "mjpeg", {"pixels": "yuvj420p"}), ("a.mp4", "libx264", {"gop": 1})],
)
def test_empty_samples_of_frames_that_a_recorder_dropped_are_no_damage(
    tmp_path: Path, name: str, codec: str, options: dict
) -> None:
    numbers = [5, 6, 15, 23]
    film(tmp_path / name, codec, **options)
    emptied(tmp_path / name, numbers)
    with open_source(tmp_path / name) as source:
        assert source.total == 20
        found = list(source)
    assert {f.status for f in found} == {"ok"} and [f.index for f in found] == list(range(20))
    times = [n / 25 for n in range(24) if n not in numbers]
    assert [f.time for f in found] == pytest.approx(times, abs=0.002)


def test_a_line_that_fails_loses_no_frame_that_has_come(tmp_path: Path) -> None:
    film(tmp_path / "a.ts", "libx264", between=3)
    container, stream = open_container(str(tmp_path / "a.ts"), "a", "file", 1 << 20)

    class Failing:
        """A container whose line fails after 20 packets."""

        format, streams = container.format, container.streams

        def demux(self, *streams: object) -> Iterator[object]:
            yield from islice(container.demux(*streams), 20)
            raise av.error.ConnectionResetError(104, "the line failed")

    decoder = Decoder(Failing(), stream)  # type: ignore[arg-type]
    found = [item for item in decoder if not isinstance(item, Lost)]
    assert decoder.packets == 20 and len(found) == 20


def test_a_recording_that_begins_between_key_frames_is_no_damage(tmp_path: Path) -> None:
    film(tmp_path / "a.ts", "libx264", count=40, gop=10)
    data = (tmp_path / "a.ts").read_bytes()
    start = packets(tmp_path / "a.ts")[3][0] // 188 * 188
    (tmp_path / "b.ts").write_bytes(data[:564] + data[start:])
    found = frames(tmp_path / "b.ts")
    assert {f.status for f in found} == {"ok"} and 30 <= len(found) < 40
    assert [f.index for f in found] == list(range(len(found))) and found[0].time == 0


def test_a_join_of_transport_streams_is_no_damage(tmp_path: Path) -> None:
    film(tmp_path / "a.ts", "libx264")
    data = (tmp_path / "a.ts").read_bytes()
    (tmp_path / "a.ts").write_bytes(data + data)
    found = frames(tmp_path / "a.ts")
    check_numbers(found, [], 2 * COUNT)


def test_damage_behind_a_join_keeps_its_place(tmp_path: Path) -> None:
    film(tmp_path / "a.ts", "libx264", between=2)
    film(tmp_path / "b.ts", "libx264", between=2)
    damage(tmp_path / "b.ts", [6], "half")
    both = (tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes()
    (tmp_path / "a.ts").write_bytes(both)
    found = frames(tmp_path / "a.ts")
    check_numbers(found, [COUNT + 6], 2 * COUNT)
