"""Elementwise expressions and array statements as PyTorch text: the words in which it differs from NumPy.

Numbers that are no tensors are Python's own (a size, a hyper-parameter), and functions of them are those of `math`.
What makes a tensor makes it of the type and on the device of one that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from symbackprop.codegen.lowering.form import Contract, Form, Gather, Marked, axes
from symbackprop.codegen.lowering.padded import padding
from symbackprop.codegen.names import PYTHON, Names
from symbackprop.codegen.numpy.body import Body
from symbackprop.codegen.numpy.expressions import ADD, ATOM, MULTIPLY, NEGATE, ArrayWriter, Axes, Text
from symbackprop.expression.build import (
    ZERO,
    Entry,
    Expr,
    Index,
    MatrixKind,
    Multiply,
    Power,
    Tensor,
    add,
    entries,
    free_indices,
    multiply,
    number,
)

RESERVED = PYTHON | {"torch", "math", "ctx"}
_FUNCTIONS = {"relu": "torch.relu({})", "abs": "torch.abs({})",
              "tail": "torch.log1p(torch.exp(-torch.abs({})))"}  # fmt: skip
_OF_NUMBERS = {"relu": "max({}, 0.0)", "abs": "abs({})", "sigmoid": "0.5 + 0.5 * math.tanh(0.5 * ({}))",
               "tail": "math.log1p(math.exp(-abs({})))"}  # fmt: skip
_MATRIX = {"inverse": "torch.linalg.inv({})", "cholesky": "torch.linalg.cholesky({})",
           "determinant": "torch.linalg.det({})", "logdet": "torch.linalg.slogdet({})[1]"}  # fmt: skip
_MINUS_HALF = number(Fraction(-1, 2))
_REDUCED = {"max": "amax", "min": "amin"}


class TorchWriter(ArrayWriter):
    """Writes expressions and statements for PyTorch.

    Args:
        like: the name of a tensor of real numbers that is there.
        outputs: the tensors that may share memory with no other.
    """

    def __init__(self, names: Names, like: str, outputs: Iterable[Tensor]) -> None:
        super().__init__(names, "torch", outputs)
        self.like = like

    def value(self, expr: Expr, order: Axes) -> Text:
        """`expr` as a tensor whose axes broadcast against `order`: what has fewer axes is computed with these alone."""
        free = free_indices(expr)
        own = [i for i in order if i in free]
        if own and len(own) < len(order) and not isinstance(expr, (Entry, Index)):
            return self._lined_up(super().value(expr, own), own, order)
        return super().value(expr, order)

    def _sum(self, terms: Sequence[Expr], order: Axes) -> Text:
        return super()._sum(_together(terms, add), order)

    def _product(self, expr: Expr, order: Axes) -> Text:
        if isinstance(expr, Power) and expr.exponent is _MINUS_HALF and _is_tensor(expr):
            return f"torch.rsqrt({self.value(expr.base, order)[0]})", ATOM
        small = _together(expr.factors, multiply) if isinstance(expr, Multiply) else []
        if isinstance(expr, Multiply) and len(small) < len(expr.factors):
            # what has all axes, then what has fewer, each a tensor that is made ready first
            texts = [self.value(f, order) for f in small]
            negative = texts[0][0].startswith("-")
            text = " * ".join(self._wrapped(t, MULTIPLY if p == 0 else NEGATE) for p, t in enumerate(texts))
            return text, NEGATE if negative else MULTIPLY
        return super()._product(expr, order)

    def _contract(self, s: Contract) -> Text:
        text, level = super()._contract(s)
        return text, ADD if " @ " in text and level == MULTIPLY else level  # a number times it costs less than in it

    def reduced(self, array: str, kind: str, places: Sequence[int]) -> str:
        """A reduction over these axes; over all if none is named."""
        dim = "" if not places else f"dim={places[0] if len(places) == 1 else tuple(places)}"
        return f"{array}.{_REDUCED.get(kind, kind)}({dim})"

    def joined(self, parts: Sequence[str], axis: int) -> str:
        """Tensors one after the other."""
        return f"torch.cat([{', '.join(parts)}], dim={axis})"

    def spread(self, text: Text, value: Expr, shape: str, copied: bool) -> str:
        """What has not all axes as a tensor that has them."""
        if not _is_tensor(value) and not free_indices(value):
            return f"{self.like}.new_full({shape}, {text[0]})"
        return f"{self._wrapped(text, ATOM)}.expand{shape}" + ".clone()" * copied

    def copy(self, text: Text) -> str:
        """A tensor of its own."""
        return f"{self._wrapped(text, ATOM)}.clone()"

    def counted(self, size: str) -> str:
        """0, 1, ... below a size."""
        return f"torch.arange({size}, device={self.like}.device)"

    def applied(self, name: str, expr: Expr, arguments: Sequence[str]) -> str:
        """A function of tensors, or of Python's numbers."""
        if not _is_tensor(expr) and not free_indices(expr):
            return _OF_NUMBERS.get(name, "math." + name + "({})").format(*arguments)
        return _FUNCTIONS.get(name, "torch." + name + "({})").format(*arguments)

    def as_numbers(self, test: str, expr: Expr) -> str:
        """Truth values as numbers of the tensors' type."""
        if not _is_tensor(expr) and not free_indices(expr):
            return f"float({test})"
        return f"({test}).to({self.like}.dtype)"

    def as_integers(self, array: str) -> str:
        """Numbers that count as what a tensor may be looked up by."""
        return f"{array}.to(torch.int64)"

    def chosen(self, test: str, parts: Sequence[str], condition: Expr) -> str:
        """One part where the test holds, the other elsewhere."""
        if not _is_tensor(condition) and not free_indices(condition):
            return f"({parts[0]} if {test} else {parts[1]})"
        return f"torch.where({test}, {parts[0]}, {parts[1]})"

    def constant(self, text: str, expr: Expr) -> str:
        """A number of the type of the tensors."""
        return text if _is_tensor(expr) else f"{self.like}.new_tensor({text})"

    def permuted(self, array: str, places: Sequence[int]) -> str:
        """The axes in another order."""
        return f"{array}.T" if len(places) == 2 else f"{array}.permute({', '.join(map(str, places))})"

    def inner(self, left: Text, right: Text) -> str:
        """The sum of all products of two tensors of one shape."""
        return f"({self._wrapped(left, MULTIPLY)} * {self._wrapped(right, ATOM)}).sum()"

    def tensordot(self, left: str, right: str, places: Sequence[Sequence[int]]) -> str:
        """The sum over these axes of the left and the right."""
        return f"torch.tensordot({left}, {right}, dims=({places[0]}, {places[1]}))"

    def einsum(self, spelled: str, left: str, right: str, is_product: bool) -> str:
        """The sum that the letters spell."""
        first, second, target = spelled.replace("->", ",").split(",")
        if first == second and target == "".join(letter for letter in first if letter in target):
            dims = [k for k, letter in enumerate(first) if letter not in target]
            return self.reduced(f"({left} * {right})", "sum", dims)
        return f'torch.einsum("{spelled}", {left}, {right})'

    def clipped(self, text: str, place: Expr, size: str) -> str:
        """A position inside the axis."""
        if not _is_tensor(place) and not free_indices(place):
            return f"min(max({text}, 0), {size} - 1)"
        return f"torch.clamp({text}, 0, {size} - 1)"

    def of_matrix(self, kind: MatrixKind, matrix: str) -> str:
        """What is made of each matrix in the last two axes."""
        return _MATRIX[kind].format(matrix)

    def _looked_up(self, s: Gather, source: str, gone: int | None = None) -> Text:
        found = padding(s) if gone is None else None
        first, order = s.positions[0] if s.positions else ZERO, axes(s.target)
        if gone is None and not s.guarded and isinstance(first, Entry) and (*first.indices, *s.positions[1:]) == order:
            return f"{source}[{self.value(first, axes(first))[0]}]", ATOM  # whole rows
        if found is None:
            return super()._looked_up(s, source, gone)
        sizes = [size for window in reversed(found) for size in (window.before, window.after)]
        while sizes and sizes[-1] is ZERO:
            sizes.pop()
        sizes += [ZERO] * (len(sizes) % 2)
        text = f"torch.nn.functional.pad({source}, ({', '.join(map(self.size, sizes))}))" if sizes else source
        have, flipped = [window.index for window in found], list[int]()
        for axis, window in enumerate(found):
            if window.inner is not None:
                text += f".unfold({axis}, {self.size(window.inner.size)}, 1)"
                flipped += [len(have)] if window.backwards else []
                have.append(window.inner)
        text += f".flip({', '.join(map(str, flipped))})" if flipped else ""
        text, level = self._ordered((text, ATOM), have, axes(s.target))
        is_alias = not sizes and not flipped and self._is_copied(s.target.tensor)
        return (self.copy((text, level)), ATOM) if is_alias else (text, level)

    def marked(self, s: Marked, array: str) -> str:
        """The tensor that holds the value of `s`, which is no other's, with the extra added at its places."""
        order = axes(s.target)
        rest = [i for i in order if i is not s.at]
        if isinstance(s.extra, Entry) and not set(axes(s.extra)) <= set(rest):  # rows that are added up
            inner = [i for i in axes(s.extra) if i not in rest]
            place, extra = self.value(s.place, inner)[0], self._operand(s.extra, [*inner, *rest])[0]
            return f"({array}).index_put_(({place},), {extra}, accumulate=True)"
        places = ", ".join(self.value(s.place if i is s.at else i, rest)[0] for i in order)
        extra = self.value(s.extra, rest)[0]
        extra = extra if _is_tensor(s.extra) else f"{self.like}.new_tensor({extra})"
        return f"({array}).index_put_(({places}{',' * (not rest)}), {extra}, accumulate={not s.instead})"


class TorchBody(Body):
    """The lines of a function; a recurrence fills its tensors step by step."""

    def __init__(self, form: Form, names: Names, writer: TorchWriter) -> None:
        super().__init__(form, names, writer)
        self.like = writer.like

    def _empty(self, tensor: Tensor) -> str:
        sizes = ", ".join(map(self.writer.size, tensor.shape)) + "," * (len(tensor.shape) == 1)
        kind = ", dtype=torch.int64" if tensor.kind == "integer" else ""
        return f"    {self.names[tensor]} = {self.like}.new_empty(({sizes}){kind})"


def _together(parts: Sequence[Expr], joined: Callable[..., Expr]) -> list[Expr]:
    """The parts, those over the same few axes as one; numbers join those with the fewest.

    The order is that of the first of each, but what has all axes comes first.
    """
    whole = frozenset[Index]().union(*map(free_indices, parts))
    groups: dict[frozenset[Index], list[Expr]] = {}
    for part in parts:
        groups.setdefault(free_indices(part), []).append(part)
    few = [free for free in groups if free and free != whole]
    alone = all(len(groups[free]) == 1 for free in few)
    if not few or (alone and (frozenset() not in groups or joined is add)):
        return list(parts)
    numbers = groups.pop(frozenset(), [])
    least = min(few, key=len)
    groups[least] = [*numbers, *groups[least]]
    return [*groups.pop(whole, []), *(joined(*group) for group in groups.values())]


def _is_tensor(expr: Expr) -> bool:
    """True if the expression reads a tensor; else it is made of numbers, sizes and indices."""
    return any(True for _ in entries(expr))
