"""What the files of a package declare is found; two of one name are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from posewright.files.modules import declared, modules_in


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package, called after its folder, that can be imported."""
    folder = tmp_path / f"some_{tmp_path.name}"
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "__main__.py").write_text("raise SystemExit(1)", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_files_are_found_in_their_order_and_need_declare_nothing(package: Path) -> None:
    for name, text in {
        "b": "THINGS = {'second': 2}",
        "a": "THINGS = {'first': 1}",
        "c": "",
    }.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    assert [m.__name__ for m in modules_in(package.name)] == [f"{package.name}.{n}" for n in "abc"]
    assert list(declared(package.name, "THINGS")) == [("first", 1), ("second", 2)]


def test_a_name_that_two_files_declare(package: Path) -> None:
    for name in ("a", "b"):
        (package / f"{name}.py").write_text("THINGS = {'same': 1}", encoding="utf-8")
    with pytest.raises(ValueError, match="two THINGS are called 'same'"):
        list(declared(package.name, "THINGS"))
