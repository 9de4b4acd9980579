"""docs/serve.md: its examples run as printed, and the container's files are what it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from posewright.cli.demo import CLIP
from tests.helpers.serving import need_server, people, started

need_server()

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
RUN = re.findall(r"<!-- run -->\n```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_run_as_printed(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    (tmp_path / "people.jpg").write_bytes(people())
    (tmp_path / "clip.mp4").write_bytes(CLIP.read_bytes())
    lines = [line for kind, block in RUN if kind == "sh" for line in block.splitlines()]
    assert len(lines) == 6 and all(line.startswith("curl ") for line in lines)
    with started(cwd=tmp_path) as (address, _):
        said = []
        for line in lines:
            command = line.replace("http://127.0.0.1:8000", address)
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            said.append(json.loads(done.stdout) if done.stdout else {})
        assert said[0]["people"] and said[2]["id"] == said[3]["jobs"][0]["id"]
        drawn = cv2.imdecode(np.fromfile(tmp_path / "drawn.jpg", np.uint8), cv2.IMREAD_COLOR)
        assert drawn.shape[1] == said[0]["size"][0]
        assert "movenet-thunder" in {row["name"] for row in said[5]["models"]}
        blocks = [block for kind, block in RUN if kind == "py"]
        for block in blocks:
            pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")
            where = address.removeprefix("http://")
            code = block.replace("127.0.0.1:8000", where)
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
            )
            assert f"({len(said[0]['people'])}, 17, 2)" in done.stdout, done.stderr
        import httpx2

        until = time.monotonic() + 120
        while time.monotonic() < until:
            rows = httpx2.get(f"{address}/v1/jobs").json()["jobs"]
            if {row["status"] for row in rows} == {"done"}:
                break
            time.sleep(0.2)
        assert [row["status"] for row in rows] == ["done", "done"]


def test_the_page_names_every_route_and_kind(tmp_path: Path) -> None:
    from posewright.serve.kinds import KINDS
    from tests.helpers.serving import client

    with client(tmp_path) as served:
        paths = served.get("/openapi.json").json()["paths"]
    told = PAGE.replace("ID", "{job}").replace("NAME", "{name}")
    told = told.replace("`/retry`", "`/v1/jobs/{job}/retry`")
    for path in paths:
        base = "/v2" if path.startswith("/v2") else path.replace("{name}", "{name}")
        assert base in told, path
    assert all(f"`{kind}`" in PAGE for kind in KINDS)


def test_the_container_is_without_rights_and_lint() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert text.count("USER 10001") == 1 and "HEALTHCHECK" in text and "--token-file" in text
    assert "read_only: true" in compose and "cap_drop: [ALL]" in compose and "limits:" in compose
    if shutil.which("hadolint") is not None:
        done = subprocess.run(
            ["hadolint", str(ROOT / "Dockerfile")], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
