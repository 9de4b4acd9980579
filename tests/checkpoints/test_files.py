"""Reading published files: every honest layout gives its tensors, no hostile one does anything."""

from __future__ import annotations

import struct
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from posewright.checkpoints.conversion import convert_file
from posewright.checkpoints.files import read_checkpoint
from posewright.checkpoints.pickles import read_pickle
from posewright.errors import ModelError
from posewright.weights import EMBEDDED

pytestmark = pytest.mark.usefixtures("reading_here")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Linear(4, 2)))


def assert_same(found: dict[str, torch.Tensor], model: nn.Module) -> None:
    expected = model.state_dict()
    assert sorted(found) == sorted(expected)
    assert all(torch.equal(found[k], expected[k]) for k in expected)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda m: m.state_dict(),
        lambda m: {"state_dict": m.state_dict(), "epoch": 3, "optimizer": {"lr": 0.1}},
        lambda m: {
            "model": {"state_dict": m.state_dict()},
            "meta": {"when": "then", "x": (1, None)},
        },
        lambda m: OrderedDict((f"module.{k}", v) for k, v in m.state_dict().items()),
        lambda m: m,
        lambda m: {"epoch": -1, "ema": None, "model": m},
    ],
    ids=["plain", "wrapped", "twice", "module.", "pickled module", "yolo"],
)
def test_torch_files(zipped: bool, wrap: object, tmp_path: Path) -> None:
    model = network()
    path = tmp_path / "a.pth"
    torch.save(wrap(model), path, _use_new_zipfile_serialization=zipped)  # type: ignore[operator]
    assert_same(read_checkpoint(path), model)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_views_share_a_storage_and_halves_become_floats(zipped: bool, tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    state = {
        "a": base.t(),
        "b": base[1:, 2:].half(),
        "c": base[2],
        "n": torch.tensor(7),
        "e": base[:0],
    }
    path = tmp_path / "a.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(path)
    assert all(torch.equal(found[k], v.float() if k != "n" else v) for k, v in state.items())
    assert found["b"].dtype == torch.float32 and found["n"].dtype == torch.int64


def test_safetensors(tmp_path: Path) -> None:
    model = network()
    safetensors.torch.save_file(model.state_dict(), tmp_path / "a.safetensors")
    assert_same(read_checkpoint(tmp_path / "a.safetensors"), model)


def varint(n: int) -> bytes:
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def chunk(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def mindspore_value(tag: str, kind: str, dims: tuple[int, ...], data: bytes) -> bytes:
    tensor = b"".join(varint(1 << 3) + varint(d) for d in dims)
    tensor += chunk(2, kind.encode()) + chunk(3, data)
    return chunk(1, chunk(1, tag.encode()) + chunk(2, tensor))


def test_mindspore(tmp_path: Path) -> None:
    a, b = torch.arange(300.0).reshape(3, 100), torch.arange(4).half()
    raw = a.numpy().tobytes()
    path = tmp_path / "a.ckpt"
    parts = (mindspore_value("conv.weight", "Float32", (3, 100), r) for r in (raw[:800], raw[800:]))
    whole = b"".join(parts) + mindspore_value("bn.gamma", "Float16", (4,), b.numpy().tobytes())
    path.write_bytes(whole)
    found = read_checkpoint(path)
    assert torch.equal(found["conv.weight"], a) and torch.equal(found["bn.gamma"], b.float())
    for cut in (10, 500, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ModelError, match=r"truncated|incomplete"):
            read_checkpoint(path)


def test_the_embedded_network_is_a_checkpoint_too(tmp_path: Path) -> None:
    found = read_checkpoint(EMBEDDED["movenet-thunder"].path)
    assert len(found) > 100 and all(v.dtype == torch.float32 for v in found.values())
    done = convert_file(EMBEDDED["movenet-thunder"].path, tmp_path / "a.safetensors", "movenet")
    assert done.network == "movenet_thunder"
    (tmp_path / "junk.onnx").write_bytes(b"\xff" * 600)
    with pytest.raises(ModelError, match="damaged ONNX"):
        read_checkpoint(tmp_path / "junk.onnx")


def test_truncated_files_say_so(tmp_path: Path) -> None:
    for name, zipped in (("zip.pth", True), ("legacy.pth", False)):
        path = tmp_path / name
        torch.save(network().state_dict(), path, _use_new_zipfile_serialization=zipped)
        whole = path.read_bytes()
        for cut in (3, 30, len(whole) // 2, len(whole) - 20):
            path.write_bytes(whole[:cut])
            with pytest.raises(
                ModelError, match=rf"{name}: .*(truncated|damaged|get it again|neither)"
            ):
                read_checkpoint(path)
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelError, match="damaged"):
        read_checkpoint(path)


def test_other_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    page, script, packed, empty, junk = (tmp_path / n for n in ("a.pth", "b.pt", "c.pth", "d", "e"))
    page.write_text("\n<!DOCTYPE html><html>Google Drive - Virus scan warning</html>")
    with zipfile.ZipFile(script, "w") as archive:
        for name in ("x/data.pkl", "x/constants.pkl", "x/code/__torch__/net.py"):
            archive.writestr(name, b"\x80\x02}.")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}.")
    empty.write_bytes(b"")
    junk.write_bytes(b"not a checkpoint" * 9)
    for path, words in (
        (page, "a web page"),
        (script, "a TorchScript archive"),
        (packed, "compressed zip"),
        (empty, "is empty"),
        (junk, "neither"),
    ):
        with pytest.raises(ModelError, match=words) as caught:
            read_checkpoint(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no such file"):
        read_checkpoint(tmp_path / "absent.pth")
    torch.save({"epoch": 3}, junk)
    with pytest.raises(ModelError, match="no tensors"):
        read_checkpoint(junk)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def call(module: str, name: str, *args: str) -> bytes:
    """A pickle (protocol 2) that calls module.name(*args)."""
    return f"c{module}\n{name}\n(".encode() + b"".join(map(text, args)) + b"tR"


def hostile(mark: Path) -> dict[str, bytes]:
    """Pickles that would leave the file `mark` behind, or worse, if anything ran them."""
    touch, write = f"touch {mark}", f"open({str(mark)!r}, 'w')"
    target = str(mark)
    return {
        "os.system": call("os", "system", touch),
        "posix.system": call("posix", "system", touch),
        "nt.system": call("nt", "system", touch),
        "os.popen": call("os", "popen", touch),
        "os.execv": call("os", "execv", "/bin/touch", target),
        "os.spawn": call("os", "spawnlp", "0", "touch", target),
        "subprocess.Popen": call("subprocess", "Popen", touch),
        "subprocess.getoutput": call("subprocess", "getoutput", touch),
        "pty.spawn": call("pty", "spawn", touch),
        "builtins.eval": call("builtins", "eval", write),
        "builtins.exec": call("builtins", "exec", write),
        "builtins.open": call("builtins", "open", target, "w"),
        "__builtin__": call("__builtin__", "eval", write),
        "builtins.__import__": call("builtins", "__import__", "antigravity"),
        "importlib": call("importlib", "import_module", "antigravity"),
        "runpy": call("runpy", "run_module", "antigravity"),
        "pathlib": call("pathlib", "Path.touch", target),
        "shutil": call("shutil", "copy", "/etc/passwd", target),
        "timeit": call("timeit", "timeit", write),
        "pdb": call("pdb", "run", write),
        "code": call("code", "interact", write),
        "pickle in pickle": call("pickle", "loads", "cos\nsystem\n"),
        "torch.load": call("torch", "load", target),
        "torch.hub": call("torch.hub", "load", "a/b", "c"),
        "numpy.load": call("numpy", "load", target),
        "webbrowser": call("webbrowser", "open", "http://localhost/"),
        "sys.exit": call("sys", "exit", "1"),
        "os._exit": b"cos\n_exit\n(K\x01tR",
        "inst": b"(" + text(touch) + b"ios\nsystem\n",
        "obj": b"(cos\nsystem\n" + text(touch) + b"o",
        "newobj": b"cos\nsystem\n(" + text(touch) + b"t\x81",
        "stack global": text("os") + text("system") + b"\x93(" + text(touch) + b"tR",
        "setstate": b"cos\nsystem\n)\x81}" + text("__setstate__") + b"cos\nsystem\nsb",
        "attribute chain": call("builtins", "getattr", "os", "system") + b"(" + text(touch) + b"tR",
        "rebuilt tensor": b"ctorch._utils\n_rebuild_tensor_v2\n(cos\nsystem\nK\x00)))}tR",
        "extension": b"\x82\x01",
        "persistent id": text("storage") + b"Q",
        "memo": b"h\x63",
        "unhashable key": b"}]]s",
        "endless tuple": b"(" * 5000 + b"t" * 5001,
    }


@pytest.mark.parametrize("kind", sorted(hostile(Path("mark"))))
@pytest.mark.parametrize("layout", ["zip", "legacy", "inside a state dict"])
def test_hostile_pickles_do_nothing(kind: str, layout: str, tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "a.pth"
    body = hostile(mark)[kind]
    if layout == "inside a state dict":
        body = b"}(" + text("conv.weight") + body + b"u"
    pickled = b"\x80\x02" + body + b"."
    if layout == "legacy":
        magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
        path.write_bytes(magic + pickled + b"\x80\x02].")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", pickled)
    loaded = set(sys.modules)
    with pytest.raises(ModelError, match=r"a\.pth: "):
        read_checkpoint(path)
    assert not mark.exists()
    assert "antigravity" not in set(sys.modules) - loaded


def test_tensors_stay_inside_of_their_storage(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"a": torch.zeros(4)}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {i.filename: archive.read(i) for i in archive.infolist()}
    name = next(n for n in entries if n.endswith("data.pkl"))
    assert entries[name].count(b"K\x04\x85") == 1  # the size (4,)
    entries[name] = entries[name].replace(b"K\x04\x85", b"K\x05\x85")
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in entries.items():
            archive.writestr(entry, data)
    with pytest.raises(ModelError, match="outside of its storage"):
        read_checkpoint(path)


def test_what_costs_time_or_memory_out_of_proportion_is_refused(tmp_path: Path) -> None:
    """A tuple put into itself 60 times and hashed; an element as 4 GB; a storage shared by many."""
    nested = b"\x80\x02}K\x00\x85" + b"q\x01h\x01\x86" * 60 + b"K\x01s."
    with pytest.raises(ModelError, match="tuples in tuples"):
        read_pickle(nested, lambda *_: np.zeros(1))
    one, block = torch.ones(1), torch.ones(1 << 22)
    for weights in ({"w": one.expand(1 << 30)}, {str(i): block.view(-1) for i in range(10)}):
        torch.save(weights, tmp_path / "w.pth")
        with pytest.raises(ModelError, match="repeat their storages"):
            read_checkpoint(tmp_path / "w.pth")
    torch.save({"w": one.expand(3, 4), "tied": one}, tmp_path / "w.pth")
    assert torch.equal(read_checkpoint(tmp_path / "w.pth")["w"], torch.ones(3, 4))


def test_what_a_file_may_have_copied_again_and_again_is_bounded(tmp_path: Path) -> None:
    """One list made a dict 300 times; a key, or a shape, of a million parts; one half, 2,000."""
    made = b"ccollections\nOrderedDict\nq\x00"
    pair = b"NN\x86"
    listed = b"](" + pair * 1000 + b"eq\x01"
    dicts = made + b"]" + listed + b"\x85q\x02" + b"h\x00h\x02R0" * 300
    key = b"}(" + b"K\x00" * 200 + b"tNs"
    shape = (
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQK\x00("
        + b"K\x01" * 65
        + b"t("
        + b"K\x01" * 65
        + b"ttR"
    )
    for body, words in (
        (dicts, "too many items"),
        (key, "too many parts"),
        (shape, "too many dimensions"),
    ):
        with pytest.raises(ModelError, match=words):
            read_pickle(b"\x80\x02" + body + b".", lambda *_: np.zeros(1))
    half = torch.ones(1 << 20).half()
    torch.save({str(i): half for i in range(2000)}, tmp_path / "a.pth")
    found = read_checkpoint(tmp_path / "a.pth")
    assert len(found) == 2000 and len({id(value) for value in found.values()}) == 1


def test_every_hostile_pickle_is_refused(tmp_path: Path) -> None:
    """All of them once more for the count, with what does harm by its layout."""
    mark, path = tmp_path / "mark", tmp_path / "a.pth"
    files = {
        kind: {"a/data.pkl": b"\x80\x02" + body + b"."} for kind, body in hostile(mark).items()
    }
    storage = text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n((%b" + b"tQK\x00K\x04\x85K\x01\x85tR"
    huge = tensor % (storage + b"\x8a\x06" + b"\xff" * 5 + b"\x7f")
    inner = tmp_path / "inner.zip"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + call("os", "system", f"touch {mark}") + b".")
    files |= {
        "huge storage": {"a/data.pkl": b"\x80\x02" + huge + b".", "a/data/0": bytes(16)},
        "missing storage": {"a/data.pkl": b"\x80\x02" + huge + b"."},
        "zip in zip": {"a/data.pkl": inner.read_bytes(), "inner.zip": inner.read_bytes()},
        "TorchScript": {"a/data.pkl": b"\x80\x02}.", "a/code/__torch__.py": b"import os"},
        "constants": {"a/data.pkl": b"\x80\x02}.", "a/constants.pkl": b"cos\nsystem\n."},
    }
    inner.unlink()
    refused = 0
    for kind, entries in files.items():
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in entries.items():
                archive.writestr(name, data)
        with pytest.raises(ModelError) as caught:
            read_checkpoint(path)
        assert "\n" not in str(caught.value), kind
        refused += 1
    left = [p.name for p in tmp_path.iterdir() if p != path]
    print(f"{refused}/{len(files)} hostile pickles refused, {len(left)} files left by them")
    assert refused == len(files) >= 25 and left == []
