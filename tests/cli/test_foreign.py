"""Options by the names of other systems lead to ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from posewright.cli import VERBS, build_parser, main, parse
from posewright.cli.foreign import OPTIONS, Option, translated
from posewright.errors import UsageError
from posewright.recipes.groups import OF_OTHERS
from posewright.recipes.recipe import Recipe

PARSER = build_parser()
ENTRIES = [(name, entry) for name, entries in OPTIONS.items() for entry in entries]
ACCEPTED = [(n, e, verb) for n, e in ENTRIES if not e.else_ for verb in e.verbs]
ANSWERED = [(n, e, verb) for n, e in ENTRIES if e.else_ for verb in e.verbs]
VALUES = {"lr": "0.01", "bbox_thr": "0.2", "kpt_thr": "0.2", "checkpoint": "a.onnx"}


@pytest.mark.parametrize(("name", "entry", "verb"), ACCEPTED)
@pytest.mark.parametrize("form", ["dash", "underscore", "equals"])
def test_an_option_of_the_same_meaning_is_accepted(
    name: str, entry: Option, verb: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    word = "--" + (name if form == "underscore" else name.replace("_", "-"))
    if word in PARSER.verb(verb).words():
        pytest.skip(f"{verb} has {word} itself")
    takes = any("{}" in part for part in entry.words)
    value = VALUES.get(name, "7") if takes else ""
    given = [f"{word}={value}"] if form == "equals" and takes else [word, *filter(None, [value])]
    theirs, unknown = parse([verb, *_needed(verb, name), *given])
    told = capsys.readouterr().err
    ours, _ = parse(
        [verb, *_needed(verb, name), *(part.replace("{}", value) for part in entry.words)]
    )
    drop = {"parser"}
    assert {k: v for k, v in vars(theirs).items() if k not in drop} == {
        k: v for k, v in vars(ours).items() if k not in drop
    }
    assert not unknown and told.startswith(f"note: {word} of {entry.system} is ")


def _needed(verb: str, name: str) -> list[str]:
    needed = {
        "predict": ["x.jpg"],
        "eval": ["coco", "--ann", "x", *(["-m", "x"] if name != "checkpoint" else [])],
        "compare": ["m", "--data", "x"],
    }
    return needed.get(verb, [])


@pytest.mark.parametrize(("name", "entry", "verb"), ANSWERED)
def test_any_other_is_answered_with_ours(
    name: str, entry: Option, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    word = f"--{name}"
    if word in PARSER.verb(verb).words():
        pytest.skip(f"{verb} has {word} itself")
    with pytest.raises(SystemExit) as caught:
        main([verb, word, "3"])
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert f"{word} is an option of {entry.system}; here: {entry.else_}" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(("name", "entry"), ENTRIES)
def test_options_that_an_answer_names_are_there(name: str, entry: Option) -> None:
    known = {word for verb in VERBS for word in PARSER.verb(verb).words()}
    for word in re.findall(r"(?<!\S)--?[a-z][\w-]*", entry.else_ + " " + " ".join(entry.words)):
        assert word in known, word
    settings = Recipe().settings()
    for key in re.findall(r"(?<!\S)([a-z_]+)=", " ".join(entry.words)):
        assert key in settings


def test_an_option_of_ours_is_never_another_systems() -> None:
    """predict's own --input would count, had it one; a value may look like an option."""
    assert translated(["--indir", "a"], "predict", {"--indir"}) == (["--indir", "a"], [])
    assert translated(["--", "--indir"], "predict", ()) == (["--", "--indir"], [])
    assert translated(["--indir"], "models", ()) == (["--indir"], [])
    for words in (["--indir"], ["--indir", "--out"], ["--pose_flow=1"]):
        with pytest.raises(UsageError, match="value"):
            translated(words, "predict", ())


def test_a_line_of_alphapose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = Path(__file__).parents[2] / "docs" / "demo.jpg"
    line = ["predict", "--image", str(image), "--outdir", str(tmp_path / "out"), "--progress"]
    assert main([*line, "none"]) == 0
    assert (tmp_path / "out" / "poses.jsonl").is_file()
    assert len(re.findall("of AlphaPose is", capsys.readouterr().err)) == 2


@pytest.mark.parametrize("key", sorted(OF_OTHERS))
def test_settings_of_other_systems_are_answered(key: str) -> None:
    ours = re.split(r"[=, ]", OF_OTHERS[key])[0]
    assert ours in Recipe().settings() or ours.startswith(("-", "options."))
    for spelt in (key, key.upper()):
        with pytest.raises(UsageError, match=re.escape(OF_OTHERS[key])):
            Recipe().with_overrides([f"{spelt}=1"])
