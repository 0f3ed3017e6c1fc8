"""Matrices as wholes: np.linalg.inv, solve, det, slogdet, cholesky, pinv, and SciPy's solvers, for any size.

A matrix that is inverted becomes an equation of its own, and an entry of its inverse a node that reads it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from symbackprop.errors import TraceError
from symbackprop.expression.build import ONE, ZERO, Compare, Expr, MatrixKind, matrix_entry, where
from symbackprop.frontends.numpy.array import Array, array
from symbackprop.frontends.numpy.dtypes import ROUNDED
from symbackprop.frontends.numpy.opaque import Refused
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS, implements
from symbackprop.frontends.numpy.session import assume, is_so, must_know


class SignAndLogarithm(NamedTuple):
    """What slogdet returns."""

    sign: Any
    logabsdet: Any


def _square(a: Any, name: str) -> Array:
    """The matrices as an equation of their own: each entry of an inverse reads all of them."""
    base = as_array(OPERATIONS["multiply"](a, 1.0))
    base.buffer.settle("matrix")
    if base.ndim < 2:
        raise TraceError(f"np.linalg.{name} of an array with fewer than two axes")
    if is_so("==", *base.axes[-2:]) is not True:
        raise TraceError(f"np.linalg.{name} of a matrix that is not square")
    return base


def _made(kind: MatrixKind, base: Array, places: int) -> Array:
    """What is made of each matrix: an array with two more axes, or none."""
    content = base.read(nonlinear=True)
    size = base.axes[-1]

    def entry(indices: tuple[Expr, ...]) -> Expr:
        outer = indices[: len(indices) - places]
        return matrix_entry(kind, size, lambda r, c: content((*outer, r, c)), indices[len(outer) :])

    result = array((*base.axes[:-2], size, size) if places else base.axes[:-2], entry)
    result.buffer.rounding = ROUNDED
    return result


def _transposed(a: Array) -> Array:
    return OPERATIONS["swapaxes"](a, -1, -2)  # type: ignore[no-any-return]


@implements("linalg.det")
def _det(a: Any) -> Any:
    return _made("determinant", _square(a, "det"), 0)


@implements("linalg.slogdet")
def _slogdet(a: Any) -> Any:
    base = _square(a, "slogdet")
    return SignAndLogarithm(OPERATIONS["sign"](_made("determinant", base, 0)), _made("logdet", base, 0))


@implements("linalg.inv")
def _inv(a: Any) -> Any:
    return _made("inverse", _square(a, "inv"), 2)


@implements("linalg.solve")
def _solve(a: Any, b: Any) -> Any:
    """As NumPy 2 has it: b is a vector if it has one axis, else a stack of matrices."""
    inverse = _made("inverse", _square(a, "solve"), 2)
    return OPERATIONS["matmul"](inverse, as_array(b))


@implements("linalg.cholesky")
def _cholesky(a: Any, *, upper: Any = False) -> Any:
    lower = _made("cholesky", _square(_transposed(as_array(a)) if upper else a, "cholesky"), 2)
    return _transposed(lower) if upper else lower


@implements("linalg.pinv")
def _pinv(a: Any) -> Any:
    """(A^T A)^-1 A^T of a tall matrix, A^T (A A^T)^-1 of a wide one; a matrix of less than full rank has no inverse."""
    base = as_array(a)
    if base.ndim < 2:
        raise TraceError("np.linalg.pinv of an array with fewer than two axes")
    assume("a matrix whose pseudo-inverse is taken has full rank")
    turned, multiplied = _transposed(base), OPERATIONS["matmul"]
    if must_know("<=", base.axes[-1], base.axes[-2], "a pseudo-inverse of a matrix that may be tall or wide"):
        return multiplied(_inv(multiplied(turned, base)), turned)
    return multiplied(turned, _inv(multiplied(base, turned)))


@implements("linalg.lstsq")
def _lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """The solution, and what else NumPy returns refused by name."""
    if rcond not in (None, "warn", -1):
        raise TraceError("np.linalg.lstsq with a limit for its rank cannot be traced")
    others = (Refused(f"the {what} that np.linalg.lstsq returns") for what in ("residuals", "rank", "singular values"))
    return OPERATIONS["matmul"](_pinv(a), b), *others


# --- scipy.linalg -------------------------------------------------------------------------------------------------


def _triangle_of(a: Any, lower: bool, unit: bool, name: str) -> Array:
    """One triangle of a matrix: the other is not read."""
    content = _square(a, name).read()
    base = as_array(a)

    def entry(indices: tuple[Expr, ...]) -> Expr:
        row, column = indices[-2:]
        kept = Compare("<=", column, row) if lower else Compare("<=", row, column)
        inside = where(kept, content(indices), ZERO)
        return where(Compare("==", row, column), ONE, inside) if unit else inside

    return array(base.axes, entry)


@implements("scipy.linalg.solve_triangular")
def _solve_triangular(a: Any, b: Any, trans: Any = 0, lower: Any = False, unit_diagonal: Any = False, **_: Any) -> Any:
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise TraceError(f"scipy.linalg.solve_triangular with trans={trans!r} cannot be traced")
    triangle = _triangle_of(a, bool(lower), bool(unit_diagonal), "solve_triangular")
    return _solve(triangle if trans in (0, "N") else _transposed(triangle), b)


@implements("scipy.linalg.solve")
def _scipy_solve(a: Any, b: Any, lower: Any = False, *, assume_a: Any = None, transposed: Any = False, **_: Any) -> Any:
    """What `assume_a` says of the matrix is taken as it is said: a triangle may be read alone."""
    base = _square(a, "solve")
    return _solve(_transposed(base) if transposed else base, b)


@implements("scipy.linalg.inv")
def _scipy_inv(a: Any, **_: Any) -> Any:
    return _inv(a)


@implements("scipy.linalg.det")
def _scipy_det(a: Any, **_: Any) -> Any:
    return _det(a)


@implements("scipy.linalg.cholesky")
def _scipy_cholesky(a: Any, lower: Any = False, **_: Any) -> Any:
    return _cholesky(a, upper=not lower)


@implements("scipy.linalg.cho_factor")
def _cho_factor(a: Any, lower: Any = False, **_: Any) -> Any:
    """The factor and which triangle it is; what SciPy leaves in the other triangle is not to be read."""
    return _cholesky(a, upper=not lower), bool(lower)


@implements("scipy.linalg.cho_solve")
def _cho_solve(c_and_lower: Any, b: Any, **_: Any) -> Any:
    factor, lower = c_and_lower
    triangle = _triangle_of(factor, bool(lower), False, "cho_solve")
    upper = _transposed(triangle) if lower else triangle
    return _solve(upper, _solve(_transposed(upper), b))
