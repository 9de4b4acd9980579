"""Help texts fit the terminal."""

from __future__ import annotations

from itertools import pairwise

import pytest

from posewright.cli import VERBS
from tests.helpers.runs import run


@pytest.mark.parametrize("columns", [60, 100, 140])
@pytest.mark.parametrize("verb", VERBS)
def test_paragraphs_are_filled_to_the_width(
    verb: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run(verb, "--help") == 0
    _, *paragraphs = capsys.readouterr().out.split("\n\n")
    told = paragraphs[
        : next(i for i, part in enumerate(paragraphs) if "arguments:" in part or "options:" in part)
    ]
    docstring = (VERBS[verb].__doc__ or "").strip().split("\n\n")
    assert [part.split() for part in told] == [part.split() for part in docstring]
    for part in told:
        lines = part.splitlines()
        assert max(map(len, lines)) <= columns - 2
        for line, following in pairwise(lines):  # the next word does not fit in
            assert len(f"{line} {following.split()[0]}") > columns - 2
