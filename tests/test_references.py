"""The numbers that other evaluators have published: the table of benchmarks/references.py."""

from __future__ import annotations

import re
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

TABLE = Path(__file__).parents[1] / "benchmarks" / "references.py"
SCRIPT = runpy.run_path(str(TABLE), run_name="references")
REFERENCES = SCRIPT["REFERENCES"]


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: r.title)
def test_reference(reference: Any, data_dir: Path) -> None:
    rows = SCRIPT["rows_of"](reference, data_dir)
    assert len(rows) == len(reference.wanted)
    assert not [str(row) for row in rows if not row.equal]


def test_every_number_that_the_data_come_with_is_in_the_table(data_dir: Path) -> None:
    text = (data_dir / "README.md").read_text().partition("## Numbers to reproduce")[2]
    # neither thresholds (IoU 0.5, PCKh@0.5) nor the 0.6 by which a head is scaled
    given = {float(x) for x in re.findall(r"(?<![\w.])\d*\.\d+", text)} - {0.5, 0.6}
    wanted = {float(x) for reference in REFERENCES for x in reference.wanted.values()}
    assert len(given) > 80 and not given - wanted


def test_one_that_differs_is_said(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = next(r for r in REFERENCES if r.title == "TUD-Campus")
    other = replace(known, wanted={"MT": "1", "MOTA": "52.66", "IDF1": ".5577"})
    main = SCRIPT["main"]
    for table, code, words in (
        ((known,), 0, "12 of 12 equal"),
        ((known, other), 1, "14 of 15 equal"),
    ):
        monkeypatch.setitem(main.__globals__, "REFERENCES", table)
        assert main([str(data_dir)]) == code
        shown = capsys.readouterr().out
        assert words in shown
        assert shown.count("DIFFERENT") == code
    assert any("52.66" in row and "DIFFERENT" in row for row in shown.splitlines())


def test_last_bits_count() -> None:
    row = SCRIPT["Row"]
    third = 0.3333333333333333
    assert row("x", "0.3333333333333333", third).equal
    assert not row("x", "0.3333333333333333", third + 2**-54).equal
    assert row("x", "0.7500000000000000", 0.75).equal and row("x", ".333", third).equal
    assert not row("x", "0.7500000000000000", 0.75 + 2**-53).equal
    assert not row("x", ".334", third).equal


def test_a_folder_without_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        SCRIPT["main"]([str(tmp_path)])
    assert "holds no eval_reference" in capsys.readouterr().err
