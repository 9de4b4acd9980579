"""Read the tensors of a published file: safetensors, torch, MindSpore, TF.js, Darknet.

No file is executed: pickles go through `posewright.checkpoints.pickles`.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from posewright.checkpoints.darknet import read_darknet
from posewright.checkpoints.mindspore import read_mindspore
from posewright.checkpoints.pickles import BFLOAT16, Array, Stub, flat_array, read_pickle
from posewright.checkpoints.tfjs import read_tfjs
from posewright.errors import ModelError, near
from posewright.extras import need
from posewright.files.contents import open_regular
from posewright.files.fields import MOST_TENSORS

if TYPE_CHECKING:
    from torch import Tensor


__all__ = ["is_safetensors", "read_arrays", "read_checkpoint", "tensors_of"]

T = TypeVar("T")

# where tensors lie in a dictionary, the first counts; mmengine's state_dict is the average itself
_WRAPPERS = (
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "params",
    "weights",
    "best_state_dict",
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
)
_DEEPEST = 4  # wrappers in each other
_WRAPS = ("module", "_orig_mod")  # DataParallel, torch.compile
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# what numbers and names that make no sense come to, whichever reader meets them
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name, floating ones as float32.

    Wrappers (state_dict, model, ema ...) and prefixes "module." and "_orig_mod." are taken off.
    ModelError: no such file, or not a checkpoint; says what it is and what to do.
    """
    import torch

    path = Path(path)
    if not path.is_file() or not is_safetensors(path):
        arrays = read_arrays(path)
        made = {id(array): torch.from_numpy(array) for array in arrays.values()}
        return {name: made[id(array)] for name, array in arrays.items()}
    import safetensors

    from posewright.models.saving import read_tensors

    def read(path: Path) -> dict[str, Tensor]:
        try:
            found = _named(read_tensors(path)[1])
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise ModelError(f"a damaged safetensors file ({error}); get it again") from error
        if any(v.is_complex() for v in found.values()):
            raise _complex()
        return {k: v.float() if v.is_floating_point() else v for k, v in found.items()}

    return _read(path, read)


def read_arrays(path: Path) -> dict[str, Array]:
    """Return what `read_checkpoint` does, as arrays and without torch; not of safetensors files."""
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: no such file{near(path)}")
    return _read(path, lambda path: _float(_named(_arrays(path))))


def _read(path: Path, read: Callable[[Path], dict[str, T]]) -> dict[str, T]:
    """Return what a reader returns; its errors name the file."""
    try:
        found = read(path)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except _DAMAGE as error:
        raise ModelError(f"{path}: a damaged checkpoint ({error!r}); get it again") from error
    if not found:
        raise ModelError(f"{path}: contains no tensors; it is not a checkpoint of a network")
    return found


def _named(found: Mapping[str, T]) -> dict[str, T]:
    """Return tensors without "_orig_mod." in a name, and a "module." that all begin with."""
    if len(found) > MOST_TENSORS:  # each is looked up in every variant of a family
        raise ModelError(f"it has {len(found)} tensors, more than {MOST_TENSORS} of a network")
    names = {key: key.split(".") for key in found}
    names = {key: [part for part in parts if part != _WRAPS[1]] for key, parts in names.items()}
    while names and all(parts[0] == _WRAPS[0] and len(parts) > 1 for parts in names.values()):
        names = {key: parts[1:] for key, parts in names.items()}
    return {".".join(names[key]): value for key, value in found.items()}


def _complex() -> ModelError:
    return ModelError(
        "holds complex numbers, which no network of posewright has; check which file it is"
    )


def _float(found: dict[str, Array]) -> dict[str, Array]:
    """Return floating arrays as float32.

    One of many names is made so once: a file could name it a million times.
    """
    unique = {id(v): v for v in found.values()}
    if any(v.dtype.kind == "c" for v in unique.values()):
        raise _complex()
    # V: of numbers that NumPy itself lacks, as ONNX has
    made = {key: v.astype(np.float32) if v.dtype.kind in "fV" else v for key, v in unique.items()}
    return {k: made[id(v)] for k, v in found.items()}


def _arrays(path: Path) -> dict[str, Array]:
    with open_regular(path) as file:
        head = file.read(512)
    if not head:
        raise ModelError("the file is empty; get it again")
    if head.lstrip()[:1] == b"<":
        raise ModelError(
            "a web page, not a checkpoint; the link needs a browser or a login: open it there"
        )
    if head.startswith(b"PK\x03\x04"):
        return tensors_of(_read_zip(path))
    if head[:1] == b"\x80":
        return tensors_of(_read_legacy(path))
    if head[257:262] == b"ustar":
        raise ModelError("a tar archive; unpack it, or save it again with a torch of 2017 or later")
    if path.suffix == ".onnx":
        # the weights of a graph that kept their names, as our embedded files do
        onnx = need("onnx", str(path))
        try:
            graph = onnx.load(path).graph
        except Exception as error:  # protobuf's own error derives from nothing narrower
            raise ModelError(f"a damaged ONNX file ({error}); get it again") from error
        arrays = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
        return {k: np.array(a) for k, a in arrays.items() if k.endswith((".weight", ".bias"))}
    if path.suffix == ".json":
        return read_tfjs(path)
    if path.suffix == ".ckpt":
        return read_mindspore(path.read_bytes())
    if path.suffix == ".weights":
        return read_darknet(path.read_bytes())
    raise ModelError(
        "neither safetensors nor a torch or MindSpore checkpoint; download it again, and name "
        "MindSpore files .ckpt"
    )


def tensors_of(value: Any, depth: int = _DEEPEST) -> dict[str, Array]:
    """Return the tensors of what a pickle described: a state dict, a wrapper, or a module.

    Counters and scores that lie beside a wrapper's dictionary as tensors are not the network's.
    """
    if isinstance(value, Stub):
        return _module(value)
    if not isinstance(value, dict):
        return {}
    own = {str(k): v for k, v in value.items() if isinstance(v, np.ndarray)}
    for wrapper in _WRAPPERS if depth else ():
        inner = tensors_of(value.get(wrapper), depth - 1)
        if len(inner) > len(own):
            return inner
    return own


def _module(root: Stub) -> dict[str, Array]:
    """Return the parameters and buffers of a pickled module, named as its state dict would."""
    found: dict[str, Array] = {}
    todo: list[tuple[str, Any]] = [("", root)]
    visited: set[int] = set()
    while todo:
        prefix, module = todo.pop()
        state = module.state if isinstance(module, Stub) else None
        if not isinstance(state, dict) or id(module) in visited:
            continue
        visited.add(id(module))
        for kind in ("_parameters", "_buffers"):
            values = state.get(kind)
            for name, value in values.items() if isinstance(values, dict) else ():
                if isinstance(value, np.ndarray):
                    found[f"{prefix}{name}"] = value
        inner = state.get("_modules")
        for name, value in inner.items() if isinstance(inner, dict) else ():
            todo.append((f"{prefix}{name}.", value))
    return found


def _read_zip(path: Path) -> Any:
    """What torch.save has written since 1.6: data.pkl and one entry per storage, none packed."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {i.filename: i for i in archive.infolist()}
            root = next((n[: -len("data.pkl")] for n in entries if n.endswith("/data.pkl")), None)
            if any("/code/" in n or n.endswith("constants.pkl") for n in entries):
                raise ModelError(
                    "a TorchScript archive, which holds a program; "
                    "ask for the state dict (.pth), or export to ONNX where it was made"
                )
            if root is None:
                raise ModelError("a zip archive without a checkpoint in it; unpack it first")
            if any(i.compress_type != zipfile.ZIP_STORED for i in entries.values()):
                raise ModelError("a compressed zip archive, which torch.save does not write")
            if sum(i.file_size for i in archive.infolist()) > path.stat().st_size:
                raise ModelError(
                    "a zip archive that declares more data than it contains; get it again"
                )
            if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
                raise ModelError("written on a big-endian machine; save it again on another")
            cache: dict[str, Array] = {}

            def find(key: str, dtype: np.dtype[Any], count: int) -> Array:
                if key not in cache:
                    cache[key] = _flat(archive.read(f"{root}data/{key}"), dtype, count)
                return cache[key]

            return read_pickle(archive.read(f"{root}data.pkl"), find)[0]
    except (
        zipfile.BadZipFile,
        EOFError,
        KeyError,
        OSError,
        RuntimeError,
        ValueError,
        struct.error,
    ) as error:  # RuntimeError: encrypted, or of a later version of the format
        raise ModelError(f"a truncated or damaged checkpoint ({error}); get it again") from error


def _flat(data: bytes, dtype: np.dtype[Any], count: int) -> Array:
    size = count * dtype.itemsize
    if count < 0 or len(data) < size:
        raise ModelError("a truncated checkpoint: a tensor is incomplete; get it again")
    return flat_array(data[:size], dtype)


def _read_legacy(path: Path) -> Any:
    """What torch.save wrote before 1.6: four pickles, a list of storages, and the storages.

    The tensors are asked for before their storages are reached, so the file is read twice.
    """
    data = path.read_bytes()
    at = 0
    values = []
    for _ in range(3):
        value, length = read_pickle(data[at:], _no_storage)
        values.append(value)
        at += length
    if values[0] != _LEGACY_MAGIC:
        raise ModelError("a pickle, but not one of torch.save; it is not opened")
    wanted: dict[str, tuple[np.dtype[Any], int]] = {}

    def note(key: str, dtype: np.dtype[Any], count: int) -> Array:
        if not 0 <= count * dtype.itemsize <= len(data):
            raise ModelError("a truncated checkpoint: a tensor is incomplete; get it again")
        wanted[key] = (dtype, count)
        return np.empty(count, dtype if dtype != BFLOAT16 else np.float32)

    length = read_pickle(data[at:], note)[1]  # without what it made, as large as the file
    keys, after = read_pickle(data[at + length :], _no_storage)
    found = _legacy_storages(data, at + length + after, keys, wanted)
    return read_pickle(data[at:], lambda key, dtype, count: found[key])[0]


def _legacy_storages(
    data: bytes, at: int, keys: Any, wanted: dict[str, tuple[np.dtype[Any], int]]
) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for key in keys if isinstance(keys, list) else ():
        if key not in wanted or len(data) < at + 8:
            raise ModelError("a truncated checkpoint: a tensor is missing; get it again")
        dtype, _ = wanted[key]
        (count,) = struct.unpack_from("<q", data, at)
        at += 8
        found[key] = _flat(data[at : at + max(count, 0) * dtype.itemsize], dtype, count)
        at += count * dtype.itemsize
    return found


def _no_storage(key: str, dtype: np.dtype[Any], count: int) -> Array:
    raise ModelError("a damaged checkpoint: a tensor in an invalid place; get it again")


def is_safetensors(path: Path) -> bool:
    """Tell whether a file begins as safetensors do."""
    with path.open("rb") as file:
        return _begins_safetensors(file.read(512), path.stat().st_size)


def _begins_safetensors(head: bytes, size: int) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and struct.unpack_from("<Q", head)[0] < size
