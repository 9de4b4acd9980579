"""Every fixture of the originals: equal numbers of parameters, outputs within 1e-4.

Those of torchreid are beside this file, made as benchmarks/parity.py says.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
# Fixtures of networks that the zoo does not have yet.
WAITING = frozenset(
    "darknet detrpose dfine ecpose effdet hardnet hf_vitpose hrnet_imagenet jde rfdetr torchvision "
    "vit_mae yolov5_v6 yolox".split()
)


def system(path: Path) -> str:
    return path.name.partition("__")[0]


EVERY = sorted((ROOT.parent / "shared" / "parity").glob("*.json.gz"))
FIXTURES = [path for path in EVERY if system(path) not in WAITING]
TORCHREID = sorted(Path(__file__).parent.glob("torchreid__*.json.gz"))


@pytest.fixture(scope="session")
def parity() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity", ROOT / "benchmarks" / "parity.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["parity"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not FIXTURES, reason="no fixtures of the originals beside the repository")
def test_there_are_fixtures() -> None:
    assert len(FIXTURES) >= 50


@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: p.name.partition(".")[0])
def test_equals_the_original(
    path: Path, parity: ModuleType, record_property: Callable[[str, object], None]
) -> None:
    report = parity.check(path)
    record_property("said", str(report))
    assert report.passed


@pytest.mark.parametrize("name", sorted(WAITING & set(map(system, EVERY))))
def test_no_family_has_it_yet(name: str, parity: ModuleType) -> None:
    """A network that is built leaves the list of those that wait, and is compared."""
    for path in EVERY:
        if system(path) == name:
            report = parity.check(path)
            assert not report.passed and f"no family knows {name}" in str(report)


@pytest.mark.parametrize("path", TORCHREID, ids=lambda p: p.name.partition(".")[0])
def test_equals_torchreid(path: Path, parity: ModuleType) -> None:
    """Without the classifier, which is dropped."""
    report = parity.check(path)
    assert report.passed and report.error <= 1e-5, report


def test_all_of_torchreid_are_there() -> None:
    assert len(TORCHREID) == 8
