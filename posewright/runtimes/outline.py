"""The graph of an ONNX file without its weights.

onnxruntime opens it in milliseconds, whatever the size of the file, and infers the shapes of what
the graph computes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from posewright.runtimes.protobuf import Part, field, message_of, unpacked

__all__ = ["integers", "outline"]

_GRAPH, _WEIGHTS, _INPUT, _OUTPUT, _INNER = 7, 5, 11, 12, 13  # fields of a model and of its graph
_DIMS, _TYPE, _NAME, _RAW, _PLACE = 1, 2, 8, 9, 14  # fields of a tensor
_ELSEWHERE = 1  # place of weights in a file beside
_SIZES = {1: 4, 10: 2, 11: 8, 16: 2}  # bytes of a number, by the types that weights have
_LEAST = 1024  # bytes of weights that are left out; constants that decide a shape are smaller

Shapes = Mapping[str, Sequence[int]]


def outline(path: Path, inputs: Shapes, further: Collection[str] = ()) -> bytes:
    """Return an ONNX file whose large weights are inputs instead, and whose inputs have the shapes.

    further: names of values that are outputs too, so that their shapes are inferred.  Shapes that
    the file states of anything else are left out, as they would take precedence over inferred
    ones.  IndexError, ValueError: it is not an ONNX file of tensors.
    """
    with message_of(path) as model:
        return b"".join(
            field(number, b"".join(_graph(_part(value), inputs, further)))
            if number == _GRAPH
            else _copy(number, value)
            for number, value in model.fields()
        )


def _graph(graph: Part, inputs: Shapes, further: Collection[str]) -> Iterator[bytes]:
    """Yield the fields of a graph's outline."""
    named = {_text(value, 1) for number, value in graph.fields() if number == _INPUT}
    for number, value in graph.fields():
        if number == _WEIGHTS and (shape := _shape_of_weights(_part(value))) is not None:
            name, kind = _text(value, _NAME), _part(value).first(_TYPE)
            if name not in named and isinstance(kind, int):
                yield field(_INPUT, _port(name, kind, shape))
        elif number == _OUTPUT or (number == _INPUT and _text(value, 1).decode() in inputs):
            name = _text(value, 1)
            shape = inputs[name.decode()] if number == _INPUT else None
            yield field(number, _port(name, _element(value), shape))
        elif number != _INNER:
            yield _copy(number, value)
    for word in further:
        yield field(_OUTPUT, field(1, word.encode()))


def _shape_of_weights(tensor: Part) -> Sequence[int] | None:
    """Return the shape of a tensor that is left out; None of one that stays.

    One whose size is not that of its shape stays, for the runtime to refuse it.
    """
    raw, kind = tensor.first(_RAW), tensor.first(_TYPE)
    if kind in _SIZES and tensor.first(_PLACE) == _ELSEWHERE:
        return list(integers(tensor, _DIMS))
    if not isinstance(raw, Part) or raw.size < _LEAST or kind not in _SIZES:
        return None
    shape, size = list(integers(tensor, _DIMS)), _SIZES[kind]
    for axis in shape:
        size *= axis
    return shape if size == raw.size else None


def integers(message: Part, number: int) -> Iterator[int]:
    """Yield the values of a repeated field of integers, packed ones too."""
    for key, value in message.fields():
        if key == number and isinstance(value, int):
            yield value
        elif key == number and isinstance(value, Part):
            yield from unpacked(value.data)


def _port(name: bytes, element: int, shape: Sequence[int] | None) -> bytes:
    """Return the description of an input or output; shape: None where it is not stated."""
    kind = field(1, element)
    if shape is not None:
        kind += field(2, b"".join(field(1, field(1, axis)) for axis in shape))
    return field(1, name) + field(2, field(1, kind))


def _copy(number: int, value: int | Part) -> bytes:
    return field(number, value if isinstance(value, int) else value.data)


def _text(message: int | Part, number: int) -> bytes:
    found = _part(message).first(number)
    return bytes(found.data) if isinstance(found, Part) else b""


def _element(port: int | Part) -> int:
    """Return the element type of an input or output; ValueError: it is not a tensor."""
    element = _part(_part(_part(port).first(2)).first(1)).first(1)
    if not isinstance(element, int):
        raise ValueError("an input or output is not a tensor")
    return element


def _part(value: int | Part | None) -> Part:
    if not isinstance(value, Part):
        raise ValueError("there is no message")
    return value
