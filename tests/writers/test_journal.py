"""The journal keeps what networks found without loss, and drops what is damaged."""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posewright.people import Frame, People
from posewright.writers.journal import JOURNAL, Journal, Provenance
from tests.helpers.results import nobody, people, result

ORIGIN = Provenance({"model": "a"}, {"the processor": "b"})


def opened(folder: Path, resume: bool = False) -> Journal:
    journal = Journal(folder, ORIGIN, resume)
    journal.settle(False)
    journal.begin()
    return journal


def frame(index: int, name: str = "clip.mp4", status: str = "ok") -> Frame:
    return Frame(np.zeros((64, 80, 3), np.uint8), index, name=name, status=status)  # type: ignore


def record(folder: Path, everybody: list[People], window: int = 1) -> None:
    journal = opened(folder)
    for start in range(0, len(everybody), window):
        numbers = range(start, min(start + window, len(everybody)))
        results = [result(everybody[i], frame=i, message=f"frame {i}") for i in numbers]
        journal.add([frame(i) for i in numbers], results)
    journal.end(complete=False)


def test_people_come_back_to_the_last_bit(tmp_path: Path) -> None:
    wide = people(3).replace(boxes=people(3).boxes.astype(np.float64) / 3)
    stated = people(2).replace(visibility=np.full((2, 17), np.nan, np.float32))
    everybody = [people(2), nobody(), People.empty(), wide, people(1, tracked=False), stated]
    record(tmp_path, everybody)
    journal = opened(tmp_path, resume=True)
    for index, who in enumerate(everybody):
        [(found, status, message)] = journal.known([frame(index)]) or []
        assert (status, message) == ("ok", f"frame {index}")
        for field in fields(People):
            array, same = (getattr(p, field.name) for p in (who, found))
            if array is None:
                assert same is None
                continue
            assert array.dtype == same.dtype and array.shape == same.shape
            assert array.tobytes() == same.tobytes()
    assert journal.known([frame(6)]) is None and not journal.behind
    journal.end(complete=False)


def test_a_name_that_is_no_utf_8_is_kept(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.add([frame(0, "\udcff.mp4")], [result(people())])
    journal.end(complete=False)
    journal = opened(tmp_path, resume=True)
    assert journal.known([frame(0, "\udcff.mp4")])
    journal.end(complete=False)


def test_a_window_is_known_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    record(tmp_path, [people(1, i) for i in range(5)], window=2)
    windows = [[frame(0), frame(1)], [frame(2), frame(3)], [frame(4)], [frame(5)]]
    journal = opened(tmp_path, resume=True)
    assert [bool(journal.known(window)) for window in windows] == [True, True, True, False]
    journal.end(complete=False)
    journal = opened(tmp_path, resume=True)
    assert [bool(journal.known(window)) for window in (windows[0], [frame(2)])] == [True, False]
    journal.end(complete=False)
    again = opened(tmp_path, resume=True)  # the second window was given up
    assert [bool(again.known(window)) for window in windows] == [True, False, False, False]
    again.end(complete=False)


def test_frames_that_differ_are_not_known(tmp_path: Path) -> None:
    others = [frame(1), frame(0, "b.mp4"), frame(0, status="decode_error")]
    for number, other in enumerate(others):
        folder = tmp_path / str(number)
        folder.mkdir()
        record(folder, [people()])
        journal = opened(folder, resume=True)
        assert journal.known([other]) is None
        assert "the networks run again" in journal.notes[0]
        journal.end(complete=False)


def test_any_damage_loses_what_follows_and_nothing_else(tmp_path: Path) -> None:
    record(tmp_path, [people(2, i) for i in range(6)])
    whole = (tmp_path / JOURNAL).read_bytes()
    ends = np.cumsum([len(line) for line in whole.splitlines(keepends=True)])
    chance = random.Random(0)
    for _ in range(200):
        at = chance.randrange(int(ends[1]), len(whole))
        damaged = bytearray(whole)
        damaged[at] ^= chance.randrange(1, 256)
        (tmp_path / JOURNAL).write_bytes(damaged)
        journal = opened(tmp_path, resume=True)
        known = [journal.known([frame(i)]) for i in range(6)]
        good = int(np.searchsorted(ends, at, "right")) - 2
        assert [found is not None for found in known] == [i < good for i in range(6)]
        journal.end(complete=False)
        assert (tmp_path / JOURNAL).read_bytes() == whole[: ends[good + 1]]


def test_a_finished_journal_is_removed_and_an_empty_one_too(tmp_path: Path) -> None:
    opened(tmp_path).end(complete=False)
    assert not (tmp_path / JOURNAL).exists()
    record(tmp_path, [nobody()])
    assert (tmp_path / JOURNAL).exists()
    opened(tmp_path, resume=True).end(complete=True)
    assert not (tmp_path / JOURNAL).exists()


def line(text: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(text), text)


HEADER = b'{"format": "posewright-journal", "version": 1, "run": %s, "machine": %s}'


@pytest.mark.parametrize(
    "header",
    [
        HEADER % (b"[]", b"{}"),
        HEADER % (b'{"model": "a"}', b"null"),
        HEADER % (b'"model"', b"{}"),
        b"[" * 100_000 + b"]" * 100_000,
        b"[1]",
    ],
)
def test_a_header_that_is_none_starts_the_run_again(tmp_path: Path, header: bytes) -> None:
    (tmp_path / JOURNAL).write_bytes(line(header) + line(b'{"results": "own"}'))
    journal = opened(tmp_path, resume=True)
    assert not journal.goes_on and "starts from its beginning" in journal.notes[0]
    journal.end(complete=False)


@pytest.mark.parametrize("place", [(6, "fine"), (6, 3), (7, ["x"]), (8, []), (8, {"boxes": 1})])
def test_a_record_of_other_values_does_not_count(tmp_path: Path, place: tuple[int, Any]) -> None:
    record(tmp_path, [people(2), people(1)])
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    [row] = json.loads(lines[2][9:])
    row[place[0]] = place[1]
    lines[2] = line(json.dumps([row]).encode())
    (tmp_path / JOURNAL).write_bytes(b"".join(lines))
    journal = opened(tmp_path, resume=True)
    assert journal.goes_on and journal.known([frame(0)]) is None and not journal.behind
    journal.end(complete=False)
