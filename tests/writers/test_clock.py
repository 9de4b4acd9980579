"""Times of a drawn video, whatever the times of the frames do."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from posewright.errors import OutputError
from posewright.writers import create_writer
from posewright.writers.clock import CLOCK, Clock
from tests.helpers.results import result, write


def drawn(folder: Path, times: list[float], codec: str = "libx264") -> list[float]:
    """Write frames of these times; return those of the video."""
    results = [
        result(frame=i, time=t, image=np.full((64, 80, 3), 90 + i % 2, np.uint8))
        for i, t in enumerate(times)
    ]
    [path] = write("video", folder, results, video_codecs=(codec,))
    with av.open(str(path)) as film:
        return [float(frame.time) for frame in film.decode(video=0) if frame.time is not None]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("hours", [0.5, 5, 6, 10, 100])
def test_gaps_keep_their_length(codec: str, hours: float, tmp_path: Path) -> None:
    times = [0, 0.1, hours * 3600, hours * 3600 + 1]
    found = drawn(tmp_path, times, codec)
    assert set(np.round(times, 3)) <= set(np.round(found, 3))
    assert found == sorted(found) and len(found) == 4 + math.ceil(hours) - 1
    assert max(np.diff(found)) <= 3600


def test_a_picture_every_few_hours(tmp_path: Path) -> None:
    times = [5.0 * 3600 * i for i in range(10)]
    found = drawn(tmp_path, times)
    np.testing.assert_allclose(found[-1], times[-1])
    assert set(times) <= set(np.round(found, 3))


@pytest.mark.parametrize(
    ("times", "expected", "jumps"),
    [
        ([-5, -4, -10, -9], [0, 1, 1.04, 2.04], 1),
        ([0, 0.1, math.nan, 0.3], [0, 0.1, 0.14, 0.3], 1),
        ([math.nan, 0.5, 0.6], [0, 0.04, 0.14], 1),
        ([0, math.inf, 0.2], [0, 0.04, 0.2], 1),
        ([0, 0.1, 1e12, 1e12 + 1], [0, 0.1, 0.14, 1.14], 1),
        ([7, 7, 7.5], [0, 0.04, 0.54], 1),
    ],
)
def test_times_that_cannot_be_kept_follow_at_once(
    times: list[float], expected: list[float], jumps: int, tmp_path: Path
) -> None:
    clock = Clock(25.0)
    ticks = [clock.ticks(time) for time in times]
    np.testing.assert_allclose([own[-1] / CLOCK for own in ticks], expected, atol=1e-4)
    assert [len(own) for own in ticks] == [1] * len(times) and clock.jumps == jumps
    writer = create_writer("video", tmp_path)
    for i, time in enumerate(times):
        writer.write(result(frame=i, time=time))
    writer.close()
    assert "clip.mp4: 1 frame shown immediately after the previous one" in writer.notes[1]


@pytest.mark.parametrize("error", [av.error.PatchWelcomeError, av.error.ExternalError])
@pytest.mark.parametrize("call", ["mux", "close"])
def test_errors_of_ffmpeg_are_ours(
    error: type[av.FFmpegError], call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = av.open

    class Broken:
        def __init__(self, *args: Any, **options: Any) -> None:
            self.file = real(*args, **options)

        def __getattr__(self, name: str) -> object:
            def fail(*_: object) -> None:
                raise error(1, "no")

            return fail if name == call else getattr(self.file, name)

    monkeypatch.setattr("posewright.writers.encoders.av.open", Broken)
    writer = create_writer("video", tmp_path)
    writer.write(result())
    with pytest.raises(OutputError, match=r"cannot encode .*clip\.mp4.*leave video out of --save"):
        writer.close()
    assert list(tmp_path.iterdir()) == []
