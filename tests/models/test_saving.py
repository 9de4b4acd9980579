"""Files that state another network than that of their weights: refused before it takes memory."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch

from posewright.checkpoints.files import read_checkpoint
from posewright.errors import ModelError
from posewright.models import PoseModel, create
from posewright.models import saving as saving
from posewright.models.saving import load_model, save_model


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saving") / "good.safetensors"
    save_model(create("simcc_mobilenetv2", input_size=(64, 64)), path)
    return path


def stating(good: Path, path: Path, name: str, **options: Any) -> Path:
    """Write the file with another network in its description."""
    with safetensors.safe_open(good, "pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    network = json.loads(metadata["network"])
    network = {"name": name, "options": {**network["options"], **options}}
    safetensors.torch.save_file(tensors, path, {**metadata, "network": json.dumps(network)})
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": [0, 0]}, "two whole numbers above 0"),
        ({"input_size": [-64, 64]}, "two whole numbers above 0"),
        ({"input_size": [64.0, 64.0]}, "two whole numbers above 0"),
        ({"input_size": [64]}, "two whole numbers above 0"),
        ({"neck": ["coordinate_attention"] * 50_000}, "50000 necks, more than 32"),
        ({"neck": "+".join(["gau"] * 50_000)}, "50000 necks, more than 32"),
    ],
)
def test_options_that_no_network_has_are_one_error(
    good: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = stating(good, tmp_path / "bad.safetensors", "simcc_mobilenetv2", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelError, match=message):
            load_model(path)


@pytest.mark.parametrize("name", ["vitpose_h", "vitpose_l"])
def test_a_small_file_that_names_the_largest_network_takes_no_memory(
    good: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: list[str] = []

    def creating(name: str, **options: Any) -> PoseModel:
        where.append(torch.get_default_device().type)
        return create(name, **options)

    monkeypatch.setattr(saving, "create", creating)
    with pytest.raises(ModelError, match="not the weights of this vitpose"):
        load_model(stating(good, tmp_path / "small.safetensors", name))
    assert where == ["meta"]


@pytest.mark.parametrize("dtype", ["float4_e2m1fn_x2", "complex64"])
def test_weights_of_a_type_that_no_network_has_are_one_error(
    good: Path, tmp_path: Path, dtype: str
) -> None:
    path = tmp_path / "odd.safetensors"
    with safetensors.safe_open(good, "pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    key = next(key for key, value in tensors.items() if value.is_floating_point())
    kind = getattr(torch, dtype)
    tensors[key] = torch.zeros(*tensors[key].shape, kind.itemsize, dtype=torch.uint8).view(kind)[
        ..., 0
    ]
    safetensors.torch.save_file(
        {key: value.contiguous() for key, value in tensors.items()}, path, metadata
    )
    for read in (load_model, read_checkpoint):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ModelError, match=r"Float4|complex numbers"):
                read(path)


@pytest.mark.parametrize(("count", "message"), [(30_000, "30000 tensors"), (300_000, "its header")])
def test_more_tensors_than_any_network_has_are_refused_at_once(
    tmp_path: Path, count: int, message: str
) -> None:
    path = tmp_path / "many.safetensors"
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"layer{i}": empty for i in range(count)}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    for read in (load_model, read_checkpoint):
        with pytest.raises(ModelError, match=message):
            read(path)
