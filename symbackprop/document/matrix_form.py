"""Equations for a whole batch: the matrix form of an equation in index notation.

    delta2[n,i] = sum(j, W2[j,i]*delta3[n,j])*f_prime(z2[n,i])    becomes    Δ2 = (Δ3 W2) ⊙ f'(Z2)

A `Form` is built from the equation and can be read back: `entry(form, i, j)` is the index form again, so a test can
compare the two. An equation that has no such form gives None.
"""

from __future__ import annotations

from dataclasses import dataclass

from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    Add,
    Apply,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Power,
    Sum,
    Tensor,
    add,
    apply,
    contraction,
    free_indices,
    multiply,
    power,
)
from symbackprop.expression.functions import Function
from symbackprop.rendering.layout import TIMES, Fence, Glyph, Layout, Script, operator, row
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.notation import Notation, function_layout, letter, split_name, tensor_layout


@dataclass(frozen=True)
class Leaf:
    """A matrix, or its transpose; a vector is a column."""

    tensor: Tensor
    transposed: bool = False


@dataclass(frozen=True)
class Ones:
    """A column of ones, of this length, or the row."""

    length: Expr
    transposed: bool = False


@dataclass(frozen=True)
class Product:
    """The matrix product."""

    left: Form
    right: Form
    inner: Expr


@dataclass(frozen=True)
class Entrywise:
    """A function, or a power with this exponent, of each entry."""

    function: Function | None
    arguments: tuple[Form, ...]
    exponent: Expr = ONE


@dataclass(frozen=True)
class Hadamard:
    """The entrywise product, times a scalar."""

    factors: tuple[Form, ...]
    scale: Expr = ONE


@dataclass(frozen=True)
class SumOfAll:
    """The sum of matrices."""

    terms: tuple[Form, ...]


Form = Leaf | Ones | Product | Entrywise | Hadamard | SumOfAll


def matrix_form(value: Expr, indices: tuple[Expr, ...]) -> Form | None:
    """The matrix whose entry at `indices` is `value`; indices are (row, column), or (row,) for a column."""
    match indices:
        case (Index() as r, Index() as c):
            return _form(value, r, c)
        case (Index() as r,):
            return _form(value, r, None)
    return None


def _form(expr: Expr, r: Index, c: Index | None) -> Form | None:
    match expr:
        case Entry(tensor, (one,)):
            return _vector(tensor, one, r, c)
        case Entry(tensor, (one, two)) if c is not None and {one, two} == {r, c}:
            return Leaf(tensor, one is c)
        case Add(terms):
            parts = [_form(t, r, c) for t in terms]
            return None if None in parts else SumOfAll(tuple(p for p in parts if p))
        case Multiply(factors):
            free = [f for f in factors if free_indices(f)]
            parts = [_form(f, r, c) for f in free]
            scale = multiply(*(f for f in factors if not free_indices(f)))
            return None if None in parts else Hadamard(tuple(p for p in parts if p), scale)
        case Apply(function, arguments):
            parts = [_form(a, r, c) for a in arguments]
            return None if None in parts else Entrywise(function, tuple(p for p in parts if p))
        case Power(base, exponent) if not free_indices(exponent):
            part = _form(base, r, c)
            return part and Entrywise(None, (part,), exponent)
        case Sum(index, body):
            return _contracted(index, body, r, c)
    return None


def _vector(tensor: Tensor, index: Expr, r: Index, c: Index | None) -> Form | None:
    """A vector along the rows or the columns, repeated along the other axis."""
    if index is r:
        return Leaf(tensor) if c is None else Product(Leaf(tensor), Ones(c.size, True), ONE)
    if index is c and c is not None:
        return Product(Ones(r.size), Leaf(tensor, True), ONE)
    return None


def _contracted(k: Index, body: Expr, r: Index, c: Index | None) -> Form | None:
    """sum over k of (row part) * (column part): a matrix product."""
    factors = body.factors if isinstance(body, Multiply) else (body,)
    left = [f for f in factors if r in free_indices(f)]
    right = [f for f in factors if f not in left and free_indices(f)]
    scale = multiply(*(f for f in factors if not free_indices(f)))
    if c is not None and any(c in free_indices(f) for f in left):
        return None
    before = _form(multiply(*left), r, k) if left else None
    after: Form | None = Ones(k.size) if c is None and not right else None
    if right:
        after = _form(multiply(*right), k, c)
    if before is None or after is None:
        return None
    product = Product(before, after, k.size)
    return product if scale is ONE else Hadamard((product,), scale)


def entry(form: Form, i: Expr, j: Expr | None) -> Expr:
    """The entry of a form at row i and column j (None for a column vector), in index notation again."""
    match form:
        case Leaf(tensor, transposed):
            if len(tensor.shape) == 1:
                return Entry(tensor, (j if transposed and j is not None else i,))
            assert j is not None, "a matrix has two indices"
            return Entry(tensor, (j, i) if transposed else (i, j))
        case Ones():
            return ONE
        case SumOfAll(terms):
            return add(*(entry(t, i, j) for t in terms))
        case Hadamard(factors, scale):
            return multiply(scale, *(entry(f, i, j) for f in factors))
        case Entrywise(function, arguments, exponent):
            parts = [entry(a, i, j) for a in arguments]
            return power(parts[0], exponent) if function is None else apply(function, *parts)
        case Product(left, right, inner):
            if inner is ONE:  # an outer product with ones: nothing is summed
                return multiply(entry(left, i, None), entry(right, i, j))
            return contraction("k", inner, lambda k: multiply(entry(left, i, k), entry(right, k, j)))


def form_layout(form: Form, notation: Notation) -> Layout:
    """A form as it is written."""
    return _layout(form, notation)[0]


def shapes_of(form: Form, notation: Notation) -> Layout:
    """A form with the shape of each array in its place: (m × s_3)(s_3 × s_2) ⊙ (m × s_2)."""
    match form:
        case Leaf(tensor, transposed):
            sizes = tensor.shape if len(tensor.shape) == 2 else (*tensor.shape, ONE)
            return _sizes(sizes[::-1] if transposed else sizes, notation)
        case Ones(length, transposed):
            return _sizes((ONE, length) if transposed else (length, ONE), notation)
        case Product(left, right, _):
            return row(_grouped(left, notation), TIMES, _grouped(right, notation))
        case Entrywise(_, arguments, _):
            return _joined([shapes_of(a, notation) for a in arguments], "⊙")
        case SumOfAll(terms):
            return _joined([shapes_of(t, notation) for t in terms], "+")
        case Hadamard(factors, _):
            many = len(factors) > 1
            inner = [
                _grouped(f, notation) if many and isinstance(f, SumOfAll) else shapes_of(f, notation) for f in factors
            ]
            return _joined(inner, "⊙")


def _sizes(sizes: tuple[Expr, ...], notation: Notation) -> Layout:
    parts = [p for size in sizes for p in (operator("×"), layout_of(size, notation))][1:]
    return Fence("(", row(*parts), ")")


def _grouped(form: Form, notation: Notation) -> Layout:
    inner = shapes_of(form, notation)
    return inner if isinstance(inner, Fence) or isinstance(form, Leaf | Ones | Product) else Fence("[", inner, "]")


def _joined(parts: list[Layout], sign: str) -> Layout:
    """Parts with a sign between them; those that are the same once."""
    distinct = list(dict.fromkeys(parts))
    return row(*[p for part in distinct for p in (operator(sign), part)][1:])


def matrix_name(tensor: Tensor, notation: Notation) -> Layout:
    """A whole matrix: the capital of its letter, in a network; the user's own name elsewhere."""
    stem, layer = split_name(tensor.name)
    if stem == "a" and notation.bias_column and layer is not None and layer == notation.output_layer:
        return row(Script(letter("h"), letter("Theta")), Fence("(", letter("X"), ")"))
    capital = {"a": "A", "z": "Z", "delta": "Delta", "x": "X", "y": "Y", "h": "H"}.get(stem)
    if not notation.layered or capital is None:
        return tensor_layout(tensor.name, (), notation)
    whole = tensor_layout(tensor.name, (), notation)
    return Script(letter(capital), None, whole.above) if isinstance(whole, Script) and layer else letter(capital)


_ADD, _MULTIPLY, _ATOM = range(3)


def _layout(form: Form, notation: Notation) -> tuple[Layout, int]:
    match form:
        case Leaf(tensor, transposed):
            name = matrix_name(tensor, notation)
            return (_transposed(name), _ATOM) if transposed else (name, _ATOM)
        case Ones(_, transposed):
            one = Glyph("1", "bold")
            return (_transposed(one), _ATOM) if transposed else (one, _ATOM)
        case Product(left, right, _):
            return row(_wrapped(left, notation, _MULTIPLY), TIMES, _wrapped(right, notation, _MULTIPLY)), _MULTIPLY
        case Entrywise(None, (base,), exponent):
            power_of = row(operator("⊙"), layout_of(exponent, notation))
            return Script(_wrapped(base, notation, _ATOM), None, power_of), _ATOM
        case Entrywise(function, arguments, _):
            assert function is not None, "a power has one argument"
            inside = [p for a in arguments for p in (operator(","), _layout(a, notation)[0])][1:]
            return row(function_layout(function, notation), Fence("(", row(*inside), ")")), _ATOM
        case SumOfAll(terms):
            parts = [p for t in terms for p in _signed(t, notation)]
            return row(*(parts[1:] if parts[0] == operator("+") else parts)), _ADD
        case Hadamard():
            sign, body = _signed(form, notation)
            return (
                (row(sign, body), _ADD)
                if sign == operator("−")
                else (body, _MULTIPLY if len(form.factors) < 2 else _ADD)
            )


def _signed(form: Form, notation: Notation) -> tuple[Layout, Layout]:
    """Plus or minus, and the rest."""
    if not isinstance(form, Hadamard):
        return operator("+"), _layout(form, notation)[0]
    leading = form.scale.factors[0] if isinstance(form.scale, Multiply) else form.scale
    negative = isinstance(leading, Number) and leading.value < 0
    scale = multiply(MINUS_ONE, form.scale) if negative else form.scale
    least = _ATOM if len(form.factors) > 1 else _MULTIPLY
    inner: list[Layout] = []
    for factor in form.factors:
        inner += [operator("⊙")] if inner else []
        inner.append(_wrapped(factor, notation, least))
    body = row(*inner)
    if scale is not ONE:
        many = len(form.factors) > 1
        body = row(layout_of(scale, notation), TIMES, Fence("(", body, ")") if many else body)
    return operator("−" if negative else "+"), body


def _wrapped(form: Form, notation: Notation, least: int) -> Layout:
    body, level = _layout(form, notation)
    return body if level >= least else Fence("(", body, ")")


def _transposed(name: Layout) -> Layout:
    mark = Glyph("⊤", "operator")
    if isinstance(name, Script) and name.above is not None:
        return Script(Fence("(", name, ")"), None, mark)
    if isinstance(name, Script):
        return Script(name.base, name.below, mark)
    return Script(name, None, mark)
