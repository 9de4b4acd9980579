"""One file per trained network: safetensors whose metadata say everything needed to use it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from posewright.codecs import Codec, codec_from_dict, codec_to_dict
from posewright.errors import (
    ModelError,
    OutputError,
    PosewrightError,
    UsageError,
    convert_first,
    near,
)
from posewright.files.fields import MOST_TENSORS, parsed, text_of
from posewright.files.scratch import replacing
from posewright.models.base import PoseModel
from posewright.models.registry import create
from posewright.runtimes.info import METADATA_KEY, ModelInfo
from posewright.skeletons import Skeleton

__all__ = ["describe", "load_model", "read_tensors", "revived", "save_model"]

_OF_CODEC = {"codec", "input_size", "skeleton"}  # options that make another codec or other joints
_GIGABYTES = ("vitpose_",)  # of memory: L and H have 1.2 and 2.5 of weights
_HEADER = 16 << 20  # bytes; those of the largest networks have half a million
_NETWORK = "network"  # metadata entry: what `create` was called with


def describe(
    model: PoseModel,
    *,
    licence: str = "not stated",
    attribution: str = "",
    origin: str = "",
    training_data: str = "not stated",
) -> ModelInfo:
    """Return the self-description of a network, its normalisation included."""
    return ModelInfo(
        model.name or "custom",
        model.codec,
        model.skeleton,
        model.pixels,
        licence=licence,
        attribution=attribution,
        origin=origin,
        training_data=training_data,
    )


def save_model(model: PoseModel, path: Path, info: ModelInfo | None = None) -> None:
    """Write the weights, to a temporary folder first.

    info: as of `describe`.  OutputError: the file cannot be written.  UsageError: the network was
    not made by `create`, so it could not be built again.
    """
    if not model.name:
        raise UsageError("only networks made by create() can be saved with their description")
    options = {key: _plain(value) for key, value in model.options.items()}
    metadata = {
        METADATA_KEY: (info or describe(model)).to_json(),
        _NETWORK: json.dumps({"name": model.name, "options": options}, sort_keys=True),
    }
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    try:
        with replacing(path) as part:
            safetensors.torch.save_file(tensors, part, metadata)
            # Equal networks are equal files: safetensors writes the metadata in any order.  The
            # header is 8 bytes of length, then JSON.
            with open(part, "r+b") as file:
                size = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(size))
                header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
                text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
                if len(text) <= size:  # else another spelling of the same: leave it as it is
                    file.seek(8)
                    file.write(text.ljust(size))
    except (OSError, safetensors.SafetensorError) as error:
        raise OutputError(f"{path}: the weights cannot be written ({error})") from error


def load_model(
    path: Path, name: str | None = None, options: Mapping[str, Any] | None = None
) -> tuple[PoseModel, ModelInfo]:
    """Build the network that a file of `save_model` describes, with its weights.

    name: which network it must be; a file without this information is read as the weights of that
    network.
    options: of `create`, that count before the file's own.  ModelError: the file holds another
    network's weights, or does not say whose they are.
    """
    metadata, tensors = _read(path)
    found, told = _described(metadata, path)
    if found is None and name is None:
        raise ModelError(
            f"{path}: does not say which network it belongs to; name it, as in "
            f"--model hrnet_w32 --weights FILE, or {convert_first(path)}"
        )
    if None not in (found, name) and found != name:
        raise ModelError(f"{path}: holds the weights of {found}, not of {name}")
    text = metadata.get(METADATA_KEY)
    stated = None if text is None else ModelInfo.from_json(text, path)
    if found is None:
        model = create(str(name), **(options or {}))
    else:
        model = _created(found, {**told, **(options or {})}, tensors, path)
    _compare(model, tensors, path)
    try:
        if odd := next((k for k, v in tensors.items() if v.is_complex()), None):
            raise ValueError(f"{odd} holds complex numbers")
        model.load_state_dict(dict(tensors))
    except (RuntimeError, ValueError) as error:  # types that torch only stores
        raise ModelError(f"{path}: its weights cannot be loaded: {error}") from error
    info = stated or describe(model)
    if _OF_CODEC & (options or {}).keys():
        return model, replace(info, codec=model.codec, skeleton=model.skeleton)
    model.codec = info.codec  # what the file says, should options of the codec have been changed
    return model, info


def _created(
    name: str, options: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path
) -> PoseModel:
    """Build the network that a file states; a ModelError where it is not that of its weights.

    One that is larger than usual is built without memory first: it may need more than any machine
    has, and a small file may name the largest network.
    """
    try:
        # whether a network, sides of the view or the number of joints are larger than usual
        codec, skeleton = options.get("codec"), options.get("skeleton", ())
        sides = options.get("input_size") or getattr(codec, "input_size", None) or (0, 0)
        if max(sides) > 1024 or len(skeleton) > 200 or name.startswith(_GIGABYTES):
            with torch.device("meta"):
                _compare(create(name, **options), tensors, path)
        return create(name, **options)
    except ModelError:
        raise
    except Exception as error:  # whatever options that are not of the network's kind come to
        why = error if isinstance(error, PosewrightError) else repr(error)[:200]
        raise ModelError(f"{path}: the network that it describes cannot be built: {why}") from error


def _described(metadata: Mapping[str, str], path: Path) -> tuple[str | None, dict[str, Any]]:
    """Return name and options of the network that a file's metadata describe; None: they do not."""
    if _NETWORK not in metadata or METADATA_KEY not in metadata:
        return None, {}
    try:
        network = parsed(metadata[_NETWORK])
        options = {text_of(key): value for key, value in dict(network["options"]).items()}
        return text_of(network["name"]), {key: revived(key, options[key]) for key in options}
    except (ValueError, KeyError, TypeError, ModelError) as error:
        raise ModelError(f"{path}: its description cannot be read ({error})") from error


def _read(path: Path) -> tuple[Mapping[str, str], dict[str, Tensor]]:
    if not os.path.isfile(path):
        raise ModelError(f"{path}: no such file{near(path)}")
    try:
        return read_tensors(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path}: not a safetensors file ({error}); for a checkpoint of another program "
            f"{convert_first(path)}"
        ) from error


def read_tensors(path: Path) -> tuple[Mapping[str, str], dict[str, Tensor]]:
    """Return the metadata and the tensors of a safetensors file.

    ValueError: it names more tensors than any network has, which would take minutes.
    safetensors.SafetensorError, OSError: it is damaged, or cannot be read.
    """
    with path.open("rb") as start:
        size = int.from_bytes(start.read(8), "little")
    if _HEADER < size <= path.stat().st_size:
        raise ValueError(f"its header has {size} bytes, more than the {_HEADER} of any network")
    with safetensors.safe_open(path, "pt") as file:
        names = file.keys()
        if len(names) > MOST_TENSORS:
            raise ValueError(f"it has {len(names)} tensors, more than {MOST_TENSORS}")
        return file.metadata() or {}, {name: file.get_tensor(name) for name in names}


def _compare(model: PoseModel, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise a ModelError where tensors are not those of a network by name or shape."""
    ours = model.state_dict()
    wrong = [
        *(f"unknown {k}" for k in tensors if k not in ours),
        *(f"missing {k}" for k in ours if k not in tensors),
        *(
            f"{k} {tuple(v.shape)} for {tuple(ours[k].shape)}"
            for k, v in tensors.items()
            if k in ours and v.shape != ours[k].shape
        ),
    ]
    if wrong:
        more = f" and {len(wrong) - 8} more" if len(wrong) > 8 else ""
        raise ModelError(
            f"{path}: not the weights of this {model.name}: {', '.join(wrong[:8])}{more}; "
            "was it made with other options (input_size, skeleton, codec, neck)?"
        )


def _plain(value: Any) -> Any:
    """Return an option in a form that JSON keeps."""
    if isinstance(value, Skeleton):
        return value.to_dict()
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return codec_to_dict(value)


def revived(key: str, value: Any) -> Any:
    """Return an option of `create` from the form that JSON and TOML keep."""
    if isinstance(value, dict):
        codec: Codec | Skeleton
        codec = Skeleton.from_dict(value) if key == "skeleton" else codec_from_dict(value)
        return codec
    return tuple(value) if isinstance(value, list) else value
