"""Images and videos that are written: names, times, sizes, codecs."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from posewright.draw import Style
from posewright.errors import OutputError, UsageError
from posewright.pipeline.pipeline import Pipeline
from posewright.sources import open_source
from posewright.writers import WriterOptions, create_writer
from tests.helpers.results import FAILED, nobody, people, result, write
from tests.helpers.spots import Known, SpotModel


def test_images_are_annotated_and_named_after_their_sources(tmp_path: Path) -> None:
    results = [
        result(source="a/p.jpg"),
        result(source="b/p.jpg"),
        result(source="q.PNG"),
        result(frame=12),
        FAILED,
    ]
    [folder] = write("images", tmp_path, results)
    assert sorted(p.name for p in folder.iterdir()) == [
        "b_p.jpg",
        "clip_000012.jpg",
        "p.jpg",
        "q.png",
    ]
    picture = cv2.imread(str(folder / "q.png"))[..., ::-1]
    np.testing.assert_array_equal(picture, results[2].plot())


def test_style_has_an_effect_on_images(tmp_path: Path) -> None:
    one = result(source="q.png")
    [plain] = write("images", tmp_path / "a", [one])
    [boxes] = write("images", tmp_path / "b", [one], style=Style(boxes=True))
    assert (plain / "q.png").read_bytes() != (boxes / "q.png").read_bytes()


@pytest.mark.parametrize(("name", "source"), [("images", "images/p.jpg"), ("video", "clip.mp4")])
def test_the_source_is_never_replaced(name: str, source: str, tmp_path: Path) -> None:
    path = tmp_path / source
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"the original")
    with pytest.raises(OutputError, match="would replace its own source"):
        write(name, tmp_path, [result(source=str(path))], overwrite=True)
    assert path.read_bytes() == b"the original"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["images", "video"])
def test_pictures_must_have_been_kept(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keep_images=True"):
        write(name, tmp_path, [result(image=None)])


def decoded(path: Path) -> tuple[str, list[float], list[tuple[int, int]]]:
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
        name = film.streams.video[0].codec_context.name
        return name, [float(f.time) for f in frames], [(f.width, f.height) for f in frames]


def test_video_keeps_variable_times_and_odd_sizes(tmp_path: Path) -> None:
    times = [5.0, 5.04, 5.2, 5.21, 6.0]
    image = np.full((63, 79, 3), 120, np.uint8)
    results = [result(people(1), frame=i, time=t, image=image) for i, t in enumerate(times)]
    writer = create_writer("video", tmp_path)
    for one in results:
        writer.write(one)
    [path] = writer.close()
    codec, found, sizes = decoded(path)
    assert codec == "h264"
    np.testing.assert_allclose(found, np.array(times) - 5, atol=1e-3)
    assert set(sizes) == {(80, 64)}
    assert writer.notes == ["clip.mp4: H.264"]


def test_video_survives_a_clock_set_back_and_a_new_size(tmp_path: Path) -> None:
    small, wide = np.zeros((40, 50, 3), np.uint8), np.full((40, 200, 3), 255, np.uint8)
    results = [
        result(nobody(), frame=i, time=t, image=im)
        for i, (t, im) in enumerate([(0.0, small), (1.0, wide), (0.5, small)])
    ]
    [path] = write("video", tmp_path, results)
    _, times, sizes = decoded(path)
    assert times == sorted(times) and len(set(times)) == 3
    assert set(sizes) == {(50, 40)}


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize(
    ("fps", "count"), [(1, 6), (5, 10), (10, 11), (24, 24), (29.97, 30), (50, 50), (60, 61)]
)
def test_the_last_frame_lasts_as_long_as_the_others(
    tmp_path: Path, fps: float, count: int, codec: str
) -> None:
    results = [result(nobody(), frame=i, time=3 + i / fps) for i in range(count)]
    [path] = write("video", tmp_path, results, video_codecs=(codec,))
    with av.open(path) as film:
        (stream,) = film.streams.video
        assert stream.duration is not None and stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(count / fps, abs=1e-3)
    read = cv2.VideoCapture(str(path))
    assert read.get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=1e-3)
    assert int(read.get(cv2.CAP_PROP_FRAME_COUNT)) == count


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ([0.0], 0.04),  # the frame rate of images, where there is nothing to go by
        ([0.0, 0.1, 0.2, 50.0], 50.1),
        ([0.0, 0.04, 0.08, 0.16, 0.2], 0.24),  # one could not be read
    ],
)
def test_the_last_frame_beside_holes(tmp_path: Path, times: list[float], seconds: float) -> None:
    results = [result(nobody(), frame=i, time=t) for i, t in enumerate(times)]
    [path] = write("video", tmp_path, results)
    with av.open(path) as film:
        (stream,) = film.streams.video
        assert stream.duration is not None and stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("aspect", [Fraction(16, 15), Fraction(64, 45), Fraction(1, 2)])
def test_video_keeps_the_shape_of_a_pixel(tmp_path: Path, aspect: Fraction, codec: str) -> None:
    results = [result(frame=i, pixel_aspect=float(aspect)) for i in range(3)]
    [path] = write("video", tmp_path, results, video_codecs=(codec,))
    with av.open(path) as film:
        (stream,) = film.streams.video
        assert (stream.width, stream.height) == (80, 64)
        assert stream.sample_aspect_ratio == aspect


def test_motion_jpeg_is_as_wide_as_it_is_shown(tmp_path: Path) -> None:
    results = [result(frame=i, pixel_aspect=1.5) for i in range(3)]
    [path] = write("video", tmp_path, results, video_codecs=("mjpg",))
    assert set(decoded(path)[2]) == {(120, 64)}


def test_a_drawn_video_is_shown_as_its_source(tmp_path: Path) -> None:
    with av.open(tmp_path / "clip.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_matrix([0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30])
        for number in range(10):
            image = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    pipeline = Pipeline(SpotModel(), Known({}), threads=1, keep_images=True)
    with open_source(tmp_path / "clip.mp4") as source:
        results = list(pipeline.run(source))
    [path] = write("video", tmp_path / "out", results)
    with av.open(path) as film:
        (stream,) = film.streams.video
        assert (stream.width, stream.height) == (48, 64)
        assert stream.sample_aspect_ratio == Fraction(3, 4)
        assert float(stream.duration * stream.time_base) == pytest.approx(2.0, abs=1e-3)


def test_video_of_each_source_and_of_pictures(tmp_path: Path) -> None:
    results = [result(source="a/v.mp4"), result(source="b/v.mp4", frame=1)]
    results += [result(source=f"shots/{i}.jpg", time=0.0) for i in range(3)]
    made = write("video", tmp_path, results, fps=10.0)
    assert [p.name for p in made] == ["v.mp4", "b_v.mp4", "shots.mp4"]
    np.testing.assert_allclose(decoded(made[2])[1], [0, 0.1, 0.2], atol=1e-3)


@pytest.mark.parametrize(
    ("codecs", "name", "codec"),
    [
        (("libnothing", "mpeg4"), "clip.mp4", "mpeg4"),
        (("libnothing", "mjpg"), "clip.avi", "mjpeg"),
    ],
)
def test_video_falls_back_and_says_why(
    tmp_path: Path, codecs: tuple[str, ...], name: str, codec: str
) -> None:
    writer = create_writer("video", tmp_path, options=WriterOptions(video_codecs=codecs))
    for frame in range(4):
        writer.write(result(frame=frame))
    [path] = writer.close()
    assert path.name == name
    found, times, _ = decoded(path)
    assert (found, len(times)) == (codec, 4)
    assert "libnothing:" in writer.notes[0]


def test_video_without_any_codec(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no video codec opens for 80 x 64.*save images"):
        write("video", tmp_path, [result()], video_codecs=("libnothing",))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"fps": 0.0}, {"fps": math.nan}, {"video_codecs": ()}])
def test_options_that_cannot_be_meant(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        WriterOptions(**options)


def test_a_source_that_comes_again_never_begins_its_video_again(tmp_path: Path) -> None:
    writer = create_writer("video", tmp_path, options=WriterOptions(overwrite=True))
    for name in ("a/0.jpg", "a/1.jpg", "b/0.jpg", "a/2.jpg", "a/3.jpg", "c.mp4"):
        writer.write(result(source=name, time=0.0))
    made = writer.close()
    assert [(p.name, len(decoded(p)[1])) for p in made] == [
        ("a.mp4", 2),
        ("b.mp4", 1),
        ("c.mp4", 1),
    ]
    [error] = writer.errors  # type: ignore[attr-defined]
    assert error.startswith("a: its video is complete")


@pytest.mark.parametrize("taken", ["file", "folder"])
def test_a_name_that_is_taken_takes_no_other_video_down(taken: str, tmp_path: Path) -> None:
    if taken == "file":
        (tmp_path / "b.mp4").write_text("mine")
    else:
        (tmp_path / "b.mp4").mkdir()
    writer = create_writer("video", tmp_path, options=WriterOptions(overwrite=taken == "folder"))
    for name in ("a.mp4", "b.mp4", "b.mp4", "c.mp4"):
        writer.write(result(source=name))
    (tmp_path / "c.mp4").mkdir()  # and one that appears meanwhile
    writer.write(result(source="d.mp4"))
    assert [path.name for path in writer.close()] == ["a.mp4", "d.mp4"]
    first, second = writer.errors  # type: ignore[attr-defined]
    assert first.startswith("b.mp4: ") and second.startswith("c.mp4: ")
    assert "c.mp4 appeared while this run was writing" in second


ENCODE = """
import sys
from pathlib import Path
from posewright.writers.encoders import open_encoder
from tests.helpers.videos import scene

folder, *codecs = sys.argv[1:]
film = open_encoder(Path(folder), "a", (160, 240), 25.0, tuple(codecs), True, [])
for number in range(20):
    film.add(scene(160, 240, number // 5), number / 10)
print(film.finish().read_bytes().hex())
"""


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpg"])
def test_bytes_do_not_depend_on_what_memory_held_before(codec: str, tmp_path: Path) -> None:
    """MALLOC_PERTURB_ of the GNU C library fills memory that is new."""
    command = [sys.executable, "-c", ENCODE, str(tmp_path), codec]
    found = set()
    for value in ("0", "1", "170"):
        env = {**os.environ, "MALLOC_PERTURB_": value, "PYTHONPATH": os.pathsep.join(sys.path)}
        found.add(subprocess.run(command, env=env, capture_output=True, check=True).stdout)
    assert len(found) == 1
