"""How large a network is: parameters and multiply-accumulates of one view, by one definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

__all__ = ["Counts", "Product"]

Shape = Sequence[int]


@dataclass(frozen=True)
class Counts:
    """parameters: trainable and frozen; in graphs the numbers of all weights, whose batch norms are
    folded.  macs: multiply-accumulates of convolutions, linear layers and attention.
    macs_at_outputs: the same with transposed convolutions counted once for each output cell and
    tap, though three quarters of these products are with zeros at stride 2.

    Papers count differently: HRNet's tables have `gflops`; those of AlphaPose and mmpose have
    `gmacs`, but call it GFLOPs.  Twice `macs` is what "floating point operations" says literally.
    """

    parameters: int
    macs: int
    macs_at_outputs: int

    @property
    def gflops(self) -> float:
        """As HRNet's tables count: multiply-accumulates at output cells / 1024^3."""
        return self.macs_at_outputs / 1024**3

    @property
    def gmacs(self) -> float:
        """Multiply-accumulates / 1e9."""
        return self.macs / 1e9


@dataclass(frozen=True)
class Product:
    """An operation that multiplies: its kind, and the shapes of what goes in and comes out.

    kind: "convolution", "transposed", "matrix" or, as in numpy, an equation such as "bij,bjk->bik".
    x, w: (N, C, ...) input and weights, which hold a product for each cell; or two matrices.
    transposed: whether the last two axes of x are exchanged before matrices are multiplied.
    """

    kind: str
    x: Shape
    w: Shape
    y: Shape
    transposed: bool = False

    @property
    def macs(self) -> tuple[int, int]:
        """Multiply-accumulates, and those with transposed convolutions at output cells."""
        if self.kind == "convolution":
            count = _cells(self.y) * prod(self.w)
        elif self.kind == "transposed":
            return _cells(self.x) * prod(self.w), _cells(self.y) * prod(self.w)
        elif self.kind == "matrix":
            inner = self.x[-2] if self.transposed and len(self.x) > 1 else self.x[-1]
            count = prod(self.y) * inner
        else:
            count = _of_equation(self.kind, self.x, self.w, self.y)
        return count, count


def _cells(shape: Shape) -> int:
    """Return the places of (N, C, ...) maps, of all channels together one."""
    return shape[0] * prod(shape[2:])


def _of_equation(equation: str, x: Shape, w: Shape, y: Shape) -> int:
    """Return the products of an einsum: the cells of its output times the axes that are summed."""
    inputs, _, output = equation.replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    for term, shape in zip(inputs.split(","), (x, w), strict=False):
        before, _, after = term.partition("...")
        sizes |= zip(before, shape, strict=False)
        sizes |= zip(reversed(after), reversed(shape), strict=False)
    return prod(y) * prod(size for name, size in sizes.items() if name not in output)
