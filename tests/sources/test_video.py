"""Video files: every container, times, rotation, cut and damaged files, what FFmpeg may open."""

from __future__ import annotations

import gc
import io
import os
import random
from pathlib import Path

import av
import numpy as np
import pytest

from posewright.errors import SourceError
from posewright.sources import open_source
from posewright.sources.links import NetworkLink
from tests.helpers.images import frames
from tests.helpers.videos import FORMATS, spoil, write_video


def write_sound(path: Path) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=16000)
        for _ in range(10):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            sound.sample_rate = 16000
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("address", ["file", "camera-like"])
def test_decoded_frames_are_freed_at_once(tmp_path: Path, address: str) -> None:
    """Pixels do not wait for Python's collector, which counts objects and not bytes."""
    path = tmp_path / "film.mp4"
    write_video(path, "mp4", count=40)

    def held() -> int:
        return sum(type(each) is av.VideoFrame for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        if address == "file":
            with open_source(path) as source:
                most = max(held() for _ in source)
        else:
            container = av.open(str(path))
            link = NetworkLink(container, container.streams.video[0])
            most = max(held() for _ in link.images())
            link.close()
    finally:
        gc.enable()
    assert most < 10  # a decoder gives several at a time


def refused(spec, **options) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(spec, **options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


@pytest.mark.parametrize(
    ("form", "name"), [*((form, "own") for form in FORMATS), ("mp4", "x.dat"), ("mkv", "a.jpg.avi")]
)
def test_every_container(tmp_path: Path, form: str, name: str) -> None:
    path = tmp_path / (f"film.{form}" if name == "own" else name)
    write_video(path, form)
    fps = 25 if form == "mpg" else 10
    with open_source(path) as source:
        assert (source.kind, source.name, source.size) == ("video", str(path), (64, 48))
        assert source.fps == pytest.approx(fps, rel=0.1)
        assert source.total is None or source.total == pytest.approx(20, abs=2)
        found = list(source)
    assert [f.status for f in found] == ["ok"] * 20
    assert [f.index for f in found] == list(range(20))
    assert [f.time for f in found] == pytest.approx([n / fps for n in range(20)], abs=0.01)
    assert {f.name for f in found} == {str(path)}
    image = found[7].image.astype(int)
    assert image.shape == (48, 64, 3) and found[7].image.flags.c_contiguous
    for (y, x), channel in (((10, 10), 0), ((10, 50), 1), ((40, 30), 2)):
        rgb = image[y - 4 : y + 4, x - 4 : x + 4].mean((0, 1))
        assert rgb[channel] > 180 and np.delete(rgb, channel).max() < 70


@pytest.mark.parametrize("size", [(65, 49), (33, 18), (16, 17), (2, 2)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    write_video(tmp_path / "a.mp4", size=size, count=3)
    found = frames(tmp_path / "a.mp4")
    assert [f.size for f in found] == [size] * 3


@pytest.mark.parametrize("form", ["mp4", "mkv"])
def test_variable_frame_rate_keeps_its_times(tmp_path: Path, form: str) -> None:
    stamps = [500, 533, 700, 701, 1900, 2000]
    write_video(tmp_path / f"a.{form}", stamps=stamps)
    found = frames(tmp_path / f"a.{form}")
    assert [f.status for f in found] == ["ok"] * 6
    assert [f.time for f in found] == pytest.approx([(s - 500) / 1000 for s in stamps], abs=2e-3)


def test_a_size_that_changes_on_the_way(tmp_path: Path) -> None:
    parts = []
    for size in ((64, 48), (96, 80)):
        file = io.BytesIO()
        write_video(file, "ts", size=size, count=5)
        parts.append(file.getvalue())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    good = [f for f in frames(tmp_path / "a.ts") if f.status == "ok"]
    assert [f.size for f in good] == [(64, 48)] * 5 + [(96, 80)] * 5
    times = [f.time for f in good]
    assert times == sorted(set(times)) and times[-1] < 2


def cut(path: Path, share: float) -> None:
    os.truncate(path, int(path.stat().st_size * share))


@pytest.mark.parametrize("form", ["mp4", "mkv", "avi", "mov", "webm"])
def test_a_cut_video_says_so_at_its_end(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"a.{form}"
    fast = {"movflags": "faststart"} if form in ("mp4", "mov") else None
    write_video(path, count=60, options=fast)
    assert frames(path)[-1].status == "ok"
    cut(path, 0.6)
    with open_source(path) as source:
        assert source.total == pytest.approx(60, abs=1)
        *rest, last = source
    good = [f for f in rest if f.status == "ok"]
    assert 25 < len(good) < 45 and good[-1] is rest[-1]
    # The image that is cut in two may be shown before one that is whole.
    assert len(rest) - len(good) <= 1 and [f.index for f in rest] == list(range(len(rest)))
    assert (last.status, last.index, last.image.size) == ("truncated", len(rest), 0)
    assert f"decoded {len(good)} of the declared 60 frames" in last.message
    assert last.time > good[-1].time


def test_an_mp4_whose_index_is_cut_off_cannot_be_opened(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    cut(tmp_path / "a.mp4", 0.6)
    assert "cannot open" in refused(tmp_path / "a.mp4")


def test_damage_in_the_middle_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_video(path, count=60, codec="mpeg4")
    spoil(path)
    found = frames(path)
    good = [f for f in found if f.status == "ok"]
    assert len(good) > 45 and good[-1].index == 59
    assert [f.index for f in found] == list(range(60))
    assert [f.time for f in found] == pytest.approx([n / 10 for n in range(60)], abs=0.002)
    assert {f.status for f in found} == {"ok", "decode_error"}
    assert all("damaged" in f.message for f in found if f.status != "ok")


def test_no_picture_is_an_error_at_open(tmp_path: Path) -> None:
    write_sound(tmp_path / "sound.mp4")
    assert "only audio" in refused(tmp_path / "sound.mp4")
    (tmp_path / "zeros.mp4").write_bytes(bytes(5000))
    refused(tmp_path / "zeros.mp4")
    (tmp_path / "words.mp4").write_text("these are words\n" * 99)
    refused(tmp_path / "words.mp4")
    (tmp_path / "program").write_bytes(b"\x7fELF" + bytes(3000))
    refused(tmp_path / "program")
    write_video(tmp_path / "none.mkv", count=0)
    refused(tmp_path / "none.mkv")


def test_max_pixels_holds_for_videos(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", count=3)
    assert len(frames(tmp_path / "a.mp4", max_pixels=64 * 48)) == 3
    message = refused(tmp_path / "a.mp4", max_pixels=64 * 48 - 1)
    assert "64 x 48" in message and "3071" in message and "--max-pixels" in message


def test_max_pixels_holds_where_the_size_grows_on_the_way(tmp_path: Path) -> None:
    parts = []
    for size in ((64, 48), (320, 240)):
        file = io.BytesIO()
        write_video(file, "ts", size=size, count=5)
        parts.append(file.getvalue())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    found = frames(tmp_path / "a.ts", max_pixels=10_000)
    assert [f.size for f in found if f.status == "ok"] == [(64, 48)] * 5
    assert [f.status for f in found[5:]] == ["decode_error"] * 5


def test_a_video_cannot_open_other_files(tmp_path: Path) -> None:
    write_video(tmp_path / "secret.mp4")
    for text in (
        f"\n\n#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{tmp_path}/secret.mp4\n",
        f"#ffconcat\nffconcat version 1.0\nfile {tmp_path}/secret.mp4\n",
        f"file '{tmp_path}/secret.mp4'\n",
        f"# x\n#EXTM3U\n#EXTINF:1,\n{tmp_path}/secret.mp4\n",
    ):
        for name in ("a.mp4", "a.dat", "a.mkv"):
            (tmp_path / name).write_text(text)
            refused(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["日本語 🙂.mp4", "concat:a.mp4", "%d.mp4", "a|b;c.mp4", "ä" * 120]
)
def test_any_name_works(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "plain.mp4", count=2)
    (tmp_path / "plain.mp4").rename(tmp_path / name)
    assert len(frames(tmp_path / name)) == 2
    monkeypatch.chdir(tmp_path)
    assert [f.name for f in frames(name)] == [name] * 2


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files in /proc")
def test_closing_in_the_middle_frees_the_file(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    before = len(os.listdir("/proc/self/fd"))
    for taken in (0, 1, 5):
        source = open_source(tmp_path / "a.mp4")
        for _ in range(taken):
            next(source)
        source.close()
        source.close()
        assert len(os.listdir("/proc/self/fd")) == before
        assert list(source) == []
    assert len(frames(tmp_path / "a.mp4")) == 20
    assert len(os.listdir("/proc/self/fd")) == before


def test_mutated_videos_end_in_frames_or_a_source_error(tmp_path: Path) -> None:
    chance = random.Random(11)
    kinds = []
    for form in ("mp4", "mkv", "avi", "ts", "webm"):
        write_video(tmp_path / f"a.{form}", count=8, size=(32, 32))
        kinds.append((tmp_path / f"a.{form}").read_bytes())
    opened = 0
    for number in range(60):
        data = bytearray(kinds[number % len(kinds)])
        for _ in range(chance.choice((1, 3, 30))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        (tmp_path / "m").write_bytes(data)
        try:
            found = frames(tmp_path / "m", max_pixels=1_000_000)
        except SourceError as error:
            assert "\n" not in str(error)
            continue
        opened += 1
        good = [f for f in found if f.status == "ok"]
        assert good and len(found) <= 40
        times = [f.time for f in found]
        assert np.isfinite(times).all() and times == sorted(set(times))
    assert opened > 30


@pytest.mark.parametrize(
    ("name", "size", "total"),
    [
        ("intel_one-by-one-person-detection.mp4", (768, 432), 1394),
        ("mmpose_demo.mp4", (960, 540), 5),
        ("mmpose_posetrack18_000001.mp4", (1280, 720), 5),
        ("openpose_video.avi", (1280, 720), 205),
        ("pose2sim_multi_cam01.mp4", (1088, 1920), 100),
        ("pose2sim_single_cam01.mp4", (1080, 1920), 100),
        ("sports2d_demo.mp4", (1768, 994), 230),
    ],
)
def test_real_videos(data_dir: Path, name: str, size: tuple[int, int], total: int) -> None:
    with open_source(data_dir / "videos" / name) as source:
        assert (source.size, source.total) == (size, total)
        found = [frame for frame, _ in zip(source, range(30), strict=False)]
    assert len(found) == min(30, total) and {f.status for f in found} == {"ok"}
    assert all(f.size == size for f in found)
