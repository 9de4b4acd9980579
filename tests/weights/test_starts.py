"""Named starts: what the table holds, how a name becomes a file, and who asks for a download."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from posewright.errors import ModelError, UsageError
from posewright.models import variants
from posewright.weights import starts as module
from posewright.weights.starts import find_start, published_start, start_file, starts
from tests.helpers.faulty_server import serving, whole

BODY = bytes(range(256)) * 40


def test_the_table_is_sound() -> None:
    files = [entry.file for entry in starts().values()]
    assert len(set(files)) == len(files) >= 25
    networks = [name for entry in starts().values() for name in entry.networks]
    assert len(set(networks)) == len(networks) and set(networks) <= set(variants())
    for entry in starts().values():
        assert re.fullmatch(r"https?://[\w.]+/[\w./-]+\.pth", entry.url), entry
        assert re.fullmatch(r"([0-9a-f]{8}|[0-9a-f]{64})?", entry.sha), entry
        assert entry.licence and entry.data and find_start(entry.name) is entry
    # OpenMMLab's and torchvision's digits are a part of the name; those of CSPNeXt are no sum
    named = [e for e in starts().values() if len(e.sha) == 8]
    assert len(named) >= 15 and all(e.sha in e.file for e in named)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("resnet50-0676ba61.pth", "resnet50"),
        ("resnet50-0676ba61", "resnet50"),
        ("hrnet_w32-36af842e.pth", "hrnet_w32"),
        ("hrnet_w48", "hrnet_w48"),
        ("mae_pretrain_vit_base.pth", "mae_vit_b"),
    ],
)
def test_a_start_has_the_name_of_its_file_too(given: str, name: str) -> None:
    entry = find_start(given)
    assert entry is not None and entry.name == name
    assert find_start(given[:-1]) is None


def test_networks_know_what_they_were_published_with() -> None:
    assert published_start("fastpose_r50") == published_start("simple_baseline_r50") == "resnet50"
    assert published_start("dekr_w48") == "hrnet_w48" and published_start("lite_hrnet_18") == ""


def test_a_file_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POSEWRIGHT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("POSEWRIGHT_OFFLINE", "1")
    Path("resnet50").write_bytes(b"mine")
    assert start_file("resnet50") == Path("resnet50")
    with pytest.raises(UsageError, match=r"offline, and .*resnet101-63fe2227\.pth does not exist"):
        start_file("resnet101")
    with pytest.raises(ModelError, match="neither a file nor a named start; did you mean 'resnet5"):
        start_file("resnet51")
    with pytest.raises(ModelError, match=r"no\.pth: neither a file .*; named: resnet18, resnet34"):
        start_file(str(tmp_path / "no.pth"))


def test_a_named_start_is_fetched_once_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSEWRIGHT_HOME", str(tmp_path))
    sha = hashlib.sha256(BODY).hexdigest()
    with serving(lambda asked: [whole(BODY, asked)]) as server:
        good = replace(starts()["resnet50"], sha=sha[:8], url=f"{server.url}/resnet50-0676ba61.pth")
        other = replace(good, name="other", url=f"{server.url}/other.pth", sha="00000000")
        monkeypatch.setattr(module, "starts", lambda: {"resnet50": good, "other": other})
        assert start_file("resnet50").read_bytes() == BODY
        told = capsys.readouterr().err
        assert "fetching resnet50 from " in told and "licence BSD-3-Clause, trained on" in told
        asked = len(server.asked)
        assert start_file("resnet50-0676ba61.pth") == good.path
        assert len(server.asked) == asked and not capsys.readouterr().err
        with pytest.raises(ModelError, match="SHA-256"):
            start_file("other")
    assert not other.path.exists()


def test_plain_http_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEWRIGHT_HOME", str(tmp_path))
    monkeypatch.delenv("POSEWRIGHT_MIRROR", raising=False)
    with pytest.raises(UsageError, match="http"):
        start_file("dla34")
