"""People of results as series over time, and results that make none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posewright.cli import main
from posewright.errors import SourceError, UsageError
from posewright.measure.clip import MOST_FRAMES, people_of
from posewright.people import People
from posewright.results import Result
from posewright.skeletons import COCO17, LSP14
from tests.helpers.results import nobody, result
from tests.helpers.walker import save, walker


def somebody(*ids: int, at: float = 0.0) -> People:
    points = np.arange(34.0).reshape(1, 17, 2).repeat(len(ids), 0) + at
    return People.of(None, np.ones(len(ids)), points, np.ones((len(ids), 17)), list(ids))


def test_frames_without_a_person_are_rows_in_between() -> None:
    given = [result(nobody(), frame=0), result(somebody(4), frame=1), result(nobody(), frame=2)]
    given += [result(somebody(4, 6, at=3), frame=3), result(somebody(6), frame=5)]
    four, six = people_of(given)
    assert (four.id, four.frames.tolist(), four.seen.tolist()) == (
        4,
        [1, 2, 3],
        [True, False, True],
    )
    assert six.frames.tolist() == [3, 4, 5] and six.times.tolist() == pytest.approx(
        [0.12, 0.16, 0.2]
    )
    assert four.rate == pytest.approx(25) and four.points[2, 1].tolist() == [5, 6]


def test_who_was_not_tracked_is_left_out_among_others() -> None:
    given = [result(somebody(4, -1, -1), frame=0), result(somebody(-1), frame=1)]
    (one,) = people_of([*given, result(somebody(4), frame=2)])
    assert one.id == 4 and one.seen.tolist() == [True, False, True]
    (one,) = people_of([result(somebody(-1), frame=n) for n in range(3)])
    assert one.id == 1 and one.seen.all()
    with pytest.raises(UsageError, match="people have no identities, and some frames have several"):
        people_of([result(somebody(-1)), result(somebody(-1, -1), frame=1)])


def test_a_stride_is_kept() -> None:
    (one,) = people_of([result(somebody(1), frame=n) for n in (0, 5, 15)])
    assert one.frames.tolist() == [0, 5, 10, 15] and one.rate == pytest.approx(5)


def test_pixels_become_square() -> None:
    (one,) = people_of([result(somebody(1), pixel_aspect=2.0)])
    assert one.points[0, 3].tolist() == [12, 7] and one.rate == 0


def test_nobody() -> None:
    assert people_of([]) == [] and people_of([result(nobody())]) == []


def test_results_that_make_no_series() -> None:
    with pytest.raises(SourceError, match="frame 0 has two people with identity 3"):
        people_of([result(somebody(3, 3))])
    two = [result(somebody(3), sequence=name) for name in ("a", "b")]
    with pytest.raises(UsageError, match="person 3 stands in two sequences"):
        people_of(two)
    far = [result(somebody(3), frame=n) for n in (0, 1, MOST_FRAMES + 1)]
    with pytest.raises(SourceError, match="span 500001, more than 500000"):
        people_of(far)
    other = Result(People.empty(LSP14), LSP14, (9, 9), "clip.mp4", 1, 0.1)
    assert COCO17.joints != LSP14.joints
    with pytest.raises(UsageError, match="people of two skeletons"):
        people_of([result(somebody(3)), other])


@pytest.mark.parametrize("rate", ["0", "-3", "nan", "inf"])
def test_a_rate_that_is_none(rate: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = save(tmp_path, {1: walker(3)[0]})
    assert main(["measure", str(saved), "-o", str(tmp_path / "out"), "--fps", rate]) == 2
    assert "--fps must be a positive number" in capsys.readouterr().err
