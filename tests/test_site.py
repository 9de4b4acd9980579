"""The documentation site builds without a warning and fetches nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder of the repository."""
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=quiet, capture_output=True, text=True
    )


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    return run("tools/check_site.py", str(folder))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings_handlers.python")
    folder = tmp_path_factory.mktemp("site")
    done = run("-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    done = check(site)
    assert (done.returncode, done.stdout) == (0, "the site fetches nothing from elsewhere\n")


def test_every_page_of_docs_is_in_the_site(site: Path) -> None:
    docs = ROOT / "docs"
    pages = {p.relative_to(docs).with_suffix(".html") for p in docs.rglob("*.md")}
    assert {p for p in pages if not (site / p).is_file()} == set()


def test_search_works_without_a_server(site: Path) -> None:
    assert "p-Pose NMS" in (site / "search" / "search_index.js").read_text(encoding="utf-8")
    for page in (site / "index.html", site / "api" / "inference.html"):
        assert "assets/iframe-worker.js" in page.read_text(encoding="utf-8")


def test_parameters_that_docstrings_explain_are_lists(site: Path) -> None:
    page = (site / "api" / "inference.html").read_text(encoding="utf-8")
    assert re.search(r"<li>\s*<p><code>threads</code>: processors to use", page)  # of Pose
    assert re.search(r"<li>\s*<p><code>det_every</code>: detect on every", page)  # **options
    assert re.search(r"</ul>\s*<p>UsageError for models without heatmaps", page)


def test_pictures_are_small() -> None:
    sizes = {p.name: p.stat().st_size for p in (ROOT / "docs").rglob("*.jpg")}
    assert len(sizes) > 5 and {n: s for n, s in sizes.items() if s > 150_000} == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://elsewhere/a.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//elsewhere/a.css">'),
        ("a.html", '<img src="http://elsewhere/a.png">'),
        ("a.html", '<p style="background: url(https://elsewhere/a.png)">'),
        ("a.css", "@font-face { src: url('https://elsewhere/a.woff2') }"),
        ("a.svg", '<svg><style>@import "https://elsewhere/a.css"</style></svg>'),
    ],
)
def test_the_check_finds_what_comes_from_elsewhere(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    done = check(tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith(name) and "elsewhere" in done.stdout


def test_the_check_lets_links_be(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="https://arxiv.org/">a</a><img src="b.png">')
    assert check(tmp_path).returncode == 0
