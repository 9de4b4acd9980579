"""Networks that tell people apart: torchreid's files, sizes, export (parity: tests/parity)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from posewright.checkpoints import convert, foreign
from posewright.checkpoints.conversion import convert_file
from posewright.codecs import Embedding
from posewright.errors import ModelError, UsageError
from posewright.export.export import export
from posewright.models import PoseModel, create, variants
from posewright.models.counting import count
from posewright.models.saving import load_model
from posewright.people import Frame, People
from posewright.pipeline.embedder import Embedder
from posewright.recipes.lookup import recipe_for
from posewright.runtimes.onnx import OnnxModel
from posewright.runtimes.torch import TorchModel
from posewright.weights.published import find_published

pytestmark = pytest.mark.usefixtures("reading_here")

# parameters and GMACs, as torchreid's tables round them: millions, and at 256x128
SIZES = {
    "osnet_x1_0": (2.2, 0.98),
    "osnet_x0_75": (1.3, 0.57),
    "osnet_x0_5": (0.6, 0.27),
    "osnet_x0_25": (0.2, 0.08),
    "osnet_ibn_x1_0": (2.2, 0.98),
    "osnet_ain_x1_0": (2.2, 0.98),
    "reid_r50": (23.5, 2.7),
    "reid_r50_fc512": (24.6, 4.1),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name: str) -> None:
    with torch.device("meta"):
        model = create(name)
    counts = count(model)
    digits = 2 if name.startswith("osnet") else 1
    assert (round(counts.parameters / 1e6, 1), round(counts.gmacs, digits)) == SIZES[name]
    assert model.codec == Embedding((128, 256)) and len(model.skeleton) == 0


def test_they_are_a_task_of_their_own() -> None:
    assert list(variants("embedding")) == sorted(SIZES)
    assert not variants().keys() & SIZES.keys()
    with pytest.raises(UsageError, match="did you mean 'osnet_x1_0'"):
        create("osnet_x1_1")
    with pytest.raises(UsageError, match="no recipe for 'osnet_x1_0'"):
        recipe_for("osnet_x1_0")


def published_keys(model: PoseModel) -> dict[str, torch.Tensor]:
    """The state dict of an OSNet of torchreid that holds the numbers of ours."""
    streams = {f"streams.0.0.{leaf}": f"conv2a.{leaf}" for leaf in ("conv1", "conv2", "bn")}
    streams |= {f"streams.{i}.": f"conv2{letter}." for i, letter in enumerate("abcd") if i}
    streams |= {f"pool{i}.": f"conv{i}.2.0." for i in (2, 3)}
    streams |= {"backbone.": "", "head.": ""}
    made = {"classifier.weight": torch.zeros(751, 512), "classifier.bias": torch.zeros(751)}
    for key, value in model.state_dict().items():
        for ours, theirs in streams.items():
            key = key.replace(ours, theirs)
        made[key] = value
    return made


@pytest.fixture(scope="module")
def quarter() -> PoseModel:
    torch.manual_seed(0)
    model = create("osnet_x0_25")
    for name, value in model.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    return model


@pytest.mark.parametrize("prefix", ["", "module."])
def test_files_of_torchreid(quarter: PoseModel, prefix: str, tmp_path: Path) -> None:
    """A checkpoint of its training: a wrapper, the classifier, perhaps a prefix."""
    state = {prefix + k: v for k, v in published_keys(quarter).items()}
    file, target = tmp_path / "osnet.pth.tar", tmp_path / "osnet.safetensors"
    torch.save({"state_dict": state, "epoch": 60, "rank1": 0.6}, file)
    done = convert_file(file, target, "torchreid")
    assert (done.network, done.variant, done.alternatives) == ("osnet_x0_25", "osnet_x0_25", ())
    assert "research only" in done.licence
    model, info = load_model(target)
    views = torch.randint(0, 256, (2, 256, 128, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(model(views)["features"], quarter(views)["features"])
    assert info.training_data == "not stated" and info.codec == Embedding()


def test_what_is_not_torchreid(quarter: PoseModel) -> None:
    family, state = foreign("torchreid"), published_keys(quarter)
    del state["conv2.0.conv2a.bn.weight"]
    with pytest.raises(
        ModelError, match=r"missing keys: backbone\.conv2\.0\.streams\.0\.0\.bn\.weight"
    ):
        convert(state, family, quarter)
    with pytest.raises(ModelError, match=r"unknown keys: extra\.weight"):
        convert({**published_keys(quarter), "extra.weight": torch.zeros(1)}, family, quarter)


def test_the_registry_says_where_weights_are() -> None:
    entry = find_published("osnet_ain_x1_0-msmt17")
    assert (entry.family, entry.network) == ("torchreid", "osnet_ain_x1_0")
    assert "research only" in entry.licence and "drive.google.com" in entry.url


def test_views_do_not_see_each_other(quarter: PoseModel) -> None:
    views = torch.randint(0, 256, (3, 256, 128, 3), dtype=torch.uint8)
    with torch.inference_mode():
        together = quarter(views)["features"]
        alone = torch.cat([quarter(v[None])["features"] for v in views])
    assert together.shape == (3, 512)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_an_exported_file_says_the_same_without_torch(tmp_path: Path) -> None:
    """The one with instance norm and all kinds of blocks."""
    torch.manual_seed(0)
    model, path = create("osnet_ain_x1_0"), tmp_path / "ain.onnx"
    export(model, path, check=False)
    image = np.random.default_rng(0).integers(0, 256, (400, 300, 3), np.uint8)
    people = People.of(boxes=[[10, 20, 90, 200], [50, 50, 250, 390], [200, 10, 290, 390]])
    files = OnnxModel.load(path), TorchModel.of(model, device="cpu")
    ours, theirs = (Embedder(m, batch=2)(Frame(image), people) for m in files)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert files[0].codec == Embedding() and files[0].info.name == "osnet_ain_x1_0"
