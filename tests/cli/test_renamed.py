"""Earlier names are answered, announced and removed as docs/compatibility.md promises."""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from posewright import __version__
from posewright.cli import VERBS, build_parser, parse
from posewright.cli.renamed import RENAMED, current
from posewright.errors import deprecated

ROOT = Path(__file__).parents[2]


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def hidden(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield "train --output" for each option that the help does not show."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from hidden(inner)
        elif action.help == argparse.SUPPRESS:
            yield from (f"{parser.prog.partition(' ')[2]} {o}" for o in action.option_strings)


def test_every_hidden_option_is_an_earlier_name() -> None:
    options = {old for old in RENAMED if old.split()[-1].startswith("-")}
    assert set(hidden(build_parser())) == options != set()


def test_every_earlier_name_is_announced_with_the_version_that_removes_it() -> None:
    page = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `posewright ([^`]+)` \| `posewright ([^`]+)` \| (\S+) \| (\S+) \|$", page, re.M
    )
    assert {old: (new, removed) for old, new, _, removed in rows} == RENAMED
    for _, _, since, removed in rows:
        (major, minor, _), then = numbers(since), numbers(removed)
        assert then >= (major, minor + 2, 0), "two minor versions at the earliest"
        assert numbers(__version__) < then, "this version no longer answers it: take it out"
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    parts = " ".join(
        " ".join(part.split("\n#")[0] for part in log.split("### Deprecated")[1:]).split()
    )
    for old, (new, removed) in RENAMED.items():
        assert f"`posewright {old}` is `posewright {new}`" in parts
        assert f"Version {removed} removes" in parts


@pytest.mark.parametrize("old", RENAMED)
def test_an_earlier_name_works_and_says_so(old: str, capsys: pytest.CaptureFixture[str]) -> None:
    tails = {
        "pgpg fit": ["labels", "--jitter", "0.1", "-o", "x"],
        "ppnms fit": ["labels", "--detections", "d", "-o", "x"],
        "train --output": ["runs/mine", "labels", "-m", "hrnet_w32"],
    }
    new, removed = RENAMED[old]
    earlier, _ = parse([*old.split(), *tails[old]])
    told = f"note: posewright {old} is now posewright {new}; version {removed} removes the earlier"
    assert capsys.readouterr() == ("", f"{told} name\n")
    present, _ = parse([*new.split(), *tails[old]])
    assert capsys.readouterr() == ("", "")
    both = [{k: v for k, v in vars(args).items() if k != "parser"} for args in (earlier, present)]
    assert both[0] == both[1]


def test_other_words_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        [],
        ["fit", "boxes", "pgpg"],
        ["train", "--out", "x"],
        ["predict", "pgpg", "fit"],
    ):
        assert current(words) == words
    assert current(["pgpg"]) == ["fit", "boxes"] and not {"pgpg", "ppnms"} & set(VERBS)
    assert len(capsys.readouterr().err.splitlines()) == 1


def earlier_name() -> None:
    deprecated("say=", "progress=", "0.9.0")


def test_python_warns_where_the_earlier_name_is_used() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        earlier_name()
    (warning,) = caught
    assert warning.category is DeprecationWarning and warning.filename == __file__
    assert str(warning.message) == "say= is now progress=; version 0.9.0 removes the earlier name"
