"""The workflows use pinned actions, the fewest permissions and bounded time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def read(file: Path) -> dict[Any, Any]:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in FILES:
        for name, job in read(file)["jobs"].items():
            yield f"{file.name}: {name}", job


JOBS = dict(jobs())


def test_both_workflows_are_read() -> None:
    assert {"ci.yml", "release.yml"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_actions_are_pinned_by_hash_with_their_version(file: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert used
    assert [action for action in used if not PINNED.fullmatch(action)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_a_workflow_has_no_permission_of_its_own(file: Path) -> None:
    content = read(file)
    assert content["permissions"] == {}
    assert content["concurrency"]["group"]


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_jobs_have_a_timeout_and_name_their_permissions(job: dict[str, Any]) -> None:
    assert 0 < job["timeout-minutes"] <= 90
    assert job["permissions"]


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_no_checkout_keeps_credentials(job: dict[str, Any]) -> None:
    checkouts = [s for s in job["steps"] if s.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_only_publishing_may_write() -> None:
    writes = {
        (name, what)
        for name, job in JOBS.items()
        for what, access in job["permissions"].items()
        if access != "read"
    }
    assert writes == {("release.yml: publish", "id-token")}


def test_releases_are_made_from_tags_in_an_environment_of_their_own() -> None:
    # PyYAML follows YAML 1.1, in which the key `on` is the value true
    assert read(ROOT / ".github" / "workflows" / "release.yml")[True] == {"push": {"tags": ["v*"]}}
    assert JOBS["release.yml: publish"]["environment"]["name"] == "pypi"


def test_every_target_that_a_workflow_makes_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    made = {
        target
        for job in JOBS.values()
        for step in job["steps"]
        for line in re.findall(r"^make (.+)$", step.get("run", ""), re.MULTILINE)
        for target in line.split()
    }
    # `make docs` comes with the documentation site
    assert {"lint", "dist"} <= made
    assert made - {"docs"} <= targets
