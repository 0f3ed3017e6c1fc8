"""Contractions: matrix products, einsum, outer products, traces."""

from __future__ import annotations

import itertools
from typing import Any

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, ZERO, Expr, close_sum, fresh, multiply
from symbackprop.frontends.numpy.array import array
from symbackprop.frontends.numpy.dtypes import joint_type
from symbackprop.frontends.numpy.elementwise import broadcast_shape, integers_fit, into
from symbackprop.frontends.numpy.errors import ShapesDoNotFit
from symbackprop.frontends.numpy.masked import Masked, contract_masked
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.reductions import sum_
from symbackprop.frontends.numpy.registry import OPERATIONS, implements
from symbackprop.frontends.numpy.session import index_name, is_so
from symbackprop.frontends.numpy.subscripts import diagonal
from symbackprop.frontends.numpy.views import axes_of, maybe_copy, ravel

Indices = tuple[Expr, ...]


def operand_of(value: Any) -> Any:
    """A factor of a product: an array, or what a mask selects."""
    return value if isinstance(value, Masked) else as_array(value)


def contract(operands: list[Any], labels: list[list[Any]], output: list[Any]) -> Any:
    """The sum over all labels that are not in `output` of the product of the operands.

    Args:
        labels: for each operand one label (any hashable) an axis; an axis of size 1 under a larger label is stretched.
    """
    if any(isinstance(o, Masked) for o in operands):
        return contract_masked(contract, operands, labels, output)
    sizes: dict[Any, Expr] = {}
    for a, names in zip(operands, labels, strict=True):
        if len(names) != a.ndim:
            raise ShapesDoNotFit(f"{len(names)} labels for an array of shape {a.shape}")
        for name, n in zip(names, a.axes, strict=True):
            known = sizes.get(name, ONE)
            if known is ONE:
                sizes[name] = n
            elif n is not ONE and n is not known and is_so("==", n, known) is not True:
                shown = " and ".join(str(o.shape) for o in operands)
                raise ShapesDoNotFit(f"arrays of shapes {shown} are multiplied", sizes=(n, known))
    contents = [a.read(nonlinear=True) for a in operands]
    summed = [name for name in sizes if name not in output]

    def entries(indices: Indices) -> Expr:
        at: dict[Any, Expr] = dict(zip(output, indices, strict=True))
        used: set[str] = set()
        bound = []
        for name in summed:
            title = index_name(sizes[name], used)
            used.add(title)
            at[name] = index = fresh(title, sizes[name])
            bound.append(index)
        at |= {name: ZERO for name, n in sizes.items() if n is ONE}
        factors = []
        for content, names, a in zip(contents, labels, operands, strict=True):
            factors.append(content(tuple(ZERO if n is ONE else at[m] for m, n in zip(names, a.axes, strict=True))))
        value = multiply(*factors)
        for index in reversed(bound):
            value = value if index.size is ONE else close_sum(index, value)
        return value

    kind = joint_type(*((a.dtype, False) for a in operands))
    if kind.kind == "b" and summed:  # a product of booleans is "and", a sum "or"
        counts = array(tuple(sizes[name] for name in output), entries, "integer", summed=True)
        return OPERATIONS["not_equal"](counts, 0)
    return integers_fit(array(tuple(sizes[name] for name in output), entries, kind, summed=True))


@implements("matmul")
def _matmul(a: Any, b: Any, **options: Any) -> Any:
    return into(_product(a, b), options)


def _product(a: Any, b: Any) -> Any:
    left, right = operand_of(a), operand_of(b)
    if not left.ndim or not right.ndim:
        raise ShapesDoNotFit("matmul of a scalar")
    _same(left, left.ndim - 1, right, max(right.ndim - 2, 0))
    first = ["i", "k"][2 - min(left.ndim, 2) :]
    second = ["k", "j"][: min(right.ndim, 2)]
    stack = [f"b{k}" for k in range(max(left.ndim, right.ndim) - 2)]
    if stack:
        broadcast_shape(as_array(left).axes[:-2], as_array(right).axes[:-2])
    own = [stack[len(stack) - (a.ndim - 2) :] if a.ndim > 2 else [] for a in (left, right)]
    output = stack + [name for name in first + second if name != "k"]
    return contract([left, right], [own[0] + first, own[1] + second], output)


def _same(left: Any, i: int, right: Any, j: int) -> None:
    """The contracted axes must have the same size: here even 1 does not fit to N."""
    if isinstance(left, Masked) or isinstance(right, Masked):
        return  # what fits is seen when they are contracted
    if is_so("==", left.axes[i], right.axes[j]) is not True:
        what = f"arrays of shapes {left.shape} and {right.shape} are multiplied"
        raise ShapesDoNotFit(what, sizes=(left.axes[i], right.axes[j]))


@implements("dot", method=True)
def _dot(a: Any, b: Any, out: Any = None) -> Any:
    left, right = operand_of(a), operand_of(b)
    if not left.ndim or not right.ndim:
        result = OPERATIONS["multiply"](left, right)
    elif left.ndim <= 2 and right.ndim <= 2:
        result = _product(left, right)
    else:
        result = _tensordot(left, right, ([left.ndim - 1], [max(right.ndim - 2, 0)]))
    return into(result, {"out": out})


@implements("vdot")
def _vdot(a: Any, b: Any) -> Any:
    return _dot(_in_a_row(a), _in_a_row(b))


def _in_a_row(value: Any) -> Any:
    return value if isinstance(value, Masked) and value.ndim == 1 else ravel(value)


@implements("inner")
def _inner(a: Any, b: Any) -> Any:
    left, right = operand_of(a), operand_of(b)
    if not left.ndim or not right.ndim:
        return OPERATIONS["multiply"](left, right)
    return _tensordot(left, right, ([left.ndim - 1], [right.ndim - 1]))


@implements("tensordot")
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    left, right = operand_of(a), operand_of(b)
    if isinstance(axes, int):
        first, second = list(range(left.ndim - axes, left.ndim)), list(range(axes))
    else:
        first, second = list(axes_of(axes[0], left.ndim)), list(axes_of(axes[1], right.ndim))
    names = [[("a", k) for k in range(left.ndim)], [("b", k) for k in range(right.ndim)]]
    for i, j in zip(first, second, strict=True):
        _same(left, i, right, j)
        names[1][j] = names[0][i]
    output = [n for k, n in enumerate(names[0]) if k not in first] + [
        n for k, n in enumerate(names[1]) if k not in second
    ]
    return contract([left, right], [list(n) for n in names], list(output))


@implements("outer")
def _outer(a: Any, b: Any, out: Any = None) -> Any:
    return into(contract([_in_a_row(a), _in_a_row(b)], [["i"], ["j"]], ["i", "j"]), {"out": out})


def _of_all_pairs(name: str) -> None:
    @implements(f"{name}.outer")
    def outer(a: Any, b: Any) -> Any:
        """The operation on every entry of `a` with every entry of `b`: the axes of both, one after the other."""
        left, right = as_array(a), as_array(b)
        return OPERATIONS[name](left[(..., *[None] * right.ndim)] if right.ndim else left, right)


for _name in ("multiply", "add", "subtract", "divide", "maximum", "minimum"):
    _of_all_pairs(_name)


@implements("trace", method=True)
def _trace(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None) -> Any:
    return sum_(diagonal(as_array(a), offset, axis1, axis2), axis=-1, dtype=dtype)


@implements("linalg.multi_dot")
def _multi_dot(arrays: Any) -> Any:
    result = arrays[0]
    for a in arrays[1:]:
        result = _dot(result, a)
    return result


@implements("einsum")
def _einsum(subscripts: Any, *operands: Any, out: Any = None, optimize: Any = False, **options: Any) -> Any:
    return into(_contracted(subscripts, *operands), {"out": out, **options})


def _contracted(subscripts: Any, *operands: Any) -> Any:
    if not isinstance(subscripts, str):
        raise TraceError("np.einsum with lists of axes cannot be traced", help="write the subscripts as a string")
    arrays = [operand_of(a) for a in operands]
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(arrays):
        raise ShapesDoNotFit(f"einsum {subscripts!r} with {len(arrays)} arrays")
    labels = [_labels(t, a.ndim) for t, a in zip(terms, arrays, strict=True)]
    dots = max((sum(isinstance(n, int) for n in names) for names in labels), default=0)
    if arrow:
        output = _labels(right, len(right.replace("...", "")) + (dots if "..." in right else 0))
    else:
        every = list(itertools.chain(*labels))
        output = list(range(-dots, 0)) + sorted(n for n in set(every) if isinstance(n, str) and every.count(n) == 1)
    if any(name not in itertools.chain(*labels) for name in output):
        raise ShapesDoNotFit(f"einsum {subscripts!r}: an output label that no input has")
    result = contract(arrays, labels, output)
    return maybe_copy(arrays[0], result) if len(arrays) == 1 and len(output) == arrays[0].ndim else result


def _labels(term: str, ndim: int) -> list[Any]:
    """The labels of one operand; the axes under an ellipsis are numbered from the right: ..., -2, -1."""
    before, dots, after = term.partition("...")
    count = ndim - len(before) - len(after) if dots else 0
    return [*before, *range(-count, 0), *after]


@implements("kron")
def _kron(a: Any, b: Any) -> Any:
    left, right = as_array(a), as_array(b)
    if left.ndim != 2 or right.ndim != 2:
        raise TraceError("np.kron of arrays that are not matrices cannot be traced")
    parts = contract([left, right], [["i", "k"], ["j", "l"]], ["i", "j", "k", "l"])
    rows, columns = left.shape[0] * right.shape[0], left.shape[1] * right.shape[1]
    return parts.reshape(rows, columns)
