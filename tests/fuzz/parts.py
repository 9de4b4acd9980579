"""Damage inside of files that hold others: headers and metadata of networks, pickles, archives."""

from __future__ import annotations

import contextlib
import io
import json
import pickletools
import random
import struct
import zipfile

import onnx

from .damage import ODD_NUMBERS, damaged_bytes, damaged_json, damaged_words

__all__ = ["damaged_archive", "damaged_onnx", "damaged_pickle", "damaged_safetensors"]


def damaged_safetensors(rng: random.Random, data: bytes) -> bytes:
    """Damage the header as JSON, a text of JSON in its metadata, or the length that it states."""
    size = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + size], data[8 + size :]
    act = rng.randrange(4)
    told = json.loads(header).get("__metadata__", {})
    if act == 0 and told:
        header = json.dumps(json.loads(header) | {"__metadata__": _one_damaged(rng, told)}).encode()
    elif act == 1:
        header = _tensors(rng, header)
    else:
        header = damaged_json(rng, header)
    stated = len(header)
    if rng.random() < 0.15:
        stated = rng.choice((*ODD_NUMBERS, stated - 1, stated + 1, stated + len(rest)))
    return struct.pack("<Q", stated) + header + rest


def _one_damaged(rng: random.Random, told: dict[str, str]) -> dict[str, str]:
    """Return metadata with what one of the entries holds damaged, as JSON where it is that."""
    key = rng.choice(sorted(told))
    text = told[key].encode()
    try:
        made = damaged_json(rng, text)
    except (ValueError, TypeError):
        made = damaged_bytes(rng, text)
    return {**told, key: made.decode("utf-8", "replace")}


def _tensors(rng: random.Random, header: bytes) -> bytes:
    """Return a header with the type, shape or place of some tensors changed."""
    table = json.loads(header)
    for name in rng.sample(sorted(set(table) - {"__metadata__"}), 1):
        entry = table[name]
        act = rng.randrange(4)
        if act == 0:
            entry["dtype"] = rng.choice(("F64", "F16", "BF16", "I8", "BOOL", "F8_E4M3", "C64", "x"))
        elif act == 1:
            entry["shape"] = rng.choice(([], [0], [2**40, 2**40], [2**62, 4], [1] * 300, [-1]))
        elif act == 2:
            entry["data_offsets"] = [rng.choice((0, 4, 2**40, 2**63)), rng.choice((0, 8, 2**63))]
        else:
            table[name + "x"] = dict(entry)  # two in one place
    return json.dumps(table).encode()


def damaged_onnx(rng: random.Random, data: bytes) -> bytes:
    """Damage what the metadata say, the shapes of inputs and outputs, the nodes, or the weights."""
    proto = onnx.load_from_string(data)
    graph, act = proto.graph, rng.randrange(6)
    told = {entry.key: entry.value for entry in proto.metadata_props}
    if act < 3 and told:
        onnx.helper.set_model_props(proto, _one_damaged(rng, told))
    elif act < 4:
        port = rng.choice([*graph.input, *graph.output]).type.tensor_type
        port.elem_type = rng.choice((port.elem_type, rng.randrange(30)))
        if port.shape.dim:
            port.shape.dim[rng.randrange(len(port.shape.dim))].dim_value = rng.choice(
                (0, 1, 3, 2**31, 2**62)
            )
    elif act == 4 and graph.node:
        node = rng.choice(graph.node)
        node.op_type = rng.choice(("Identity", "Loop", "Softmax", "Reshape", "x", "Sqrt"))
        if rng.random() < 0.5 and node.input:
            node.input[0] = rng.choice([p.name for p in graph.input] + ["", "none"])
    elif graph.initializer:
        tensor = rng.choice(graph.initializer)
        with contextlib.suppress(ValueError):  # a number that the field cannot hold
            tensor.data_type = rng.choice((tensor.data_type, rng.randrange(30)))
            tensor.dims[:] = rng.choice(([], [2**40], [2**62, 4], [0], list(tensor.dims)[::-1]))
    return bytes(proto.SerializeToString())


def damaged_pickle(rng: random.Random, data: bytes) -> bytes:
    """Leave out, repeat, move or exchange instructions of a pickle, or the numbers in them."""
    ends = _ends(data)
    steps = [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    rest = data[ends[-1] :] if ends else data
    for _ in range(rng.randint(1, 4) if steps else 0):
        at, act = rng.randrange(len(steps)), rng.randrange(5)
        if act == 0:
            steps[at] = b""
        elif act == 1:
            steps[at] *= rng.choice((2, 2, 500))
        elif act == 2:
            steps[at] = rng.choice(steps)
        elif act == 3:
            steps[at] = rng.choice(_INSTRUCTIONS)
        else:
            steps[at] = steps[at][:1] + damaged_words(rng, steps[at][1:] or b"\0")
    return b"".join(steps) + rest


# what a hostile file may put anywhere: calls, the largest numbers, itself in itself, text
_INSTRUCTIONS = (
    b"cos\nsystem\n",
    b"R",
    b"b",
    b"a",
    b"e",
    b"u",
    b"s",
    b"t",
    b"\x85",
    b"\x86",
    b"Q",
    b"(",
    b"0",
    b"2",
    b"N",
    b"}",
    b"]",
    b")",
    b"J\xff\xff\xff\x7f",
    b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
    b"\x8c\x01x",
    b"X\x00\x00\x00\x00",
    b"h\x00",
    b"r\xff\xff\xff\xff",
    b"\x94",
    b"\x93",
    b"\x81",
    b"G\x7f\xf8\0\0\0\0\0\0",
    b"\x8a\xff" + b"\x7f" * 255,
    b"B\xff\xff\xff\x7f",
    b".",
)


def _ends(data: bytes) -> list[int]:
    """Return where the instructions end of the pickles at the beginning of some bytes."""
    ends: list[int] = []
    with contextlib.suppress(Exception):  # whatever the first bytes after them come to
        start = 0
        while start < len(data):
            found = [place for _, _, place in pickletools.genops(data[start:]) if place]
            ends += [start + place for place in found]
            start = ends[-1] + 1
            ends.append(start)
    return ends


def damaged_archive(rng: random.Random, data: bytes) -> bytes:
    """Damage one of the files in a zip, or its name, and pack it again; or what says where it is.

    A pickle among them is damaged as one.
    """
    if rng.random() < 0.25:
        directory = data.index(b"PK\x01\x02")
        return data[:directory] + damaged_words(rng, data[directory:])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    name = rng.choice([n for n in files if n.endswith(".pkl")] or list(files))
    if rng.random() < 0.2:
        name = rng.choice(list(files))
    content = files.pop(name)
    if rng.random() < 0.15:
        name = rng.choice(("x", "../../x.jpg", "/x.jpg", name * 200, "x/data/0", "\x1b[2J.png"))
    damage = damaged_pickle if name.endswith(".pkl") else damaged_bytes
    packed = io.BytesIO()
    method = rng.choice((0, 0, 0, 8, 12, 14))
    with zipfile.ZipFile(packed, "w") as archive:
        for other, its in {**files, name: damage(rng, content)}.items():
            archive.writestr(zipfile.ZipInfo(other), its, method)  # of 1980, not of now
    return packed.getvalue()
