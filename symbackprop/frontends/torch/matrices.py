"""torch's inverses, determinants and Cholesky factors."""

from __future__ import annotations

from typing import Any

from symbackprop.errors import TraceError
from symbackprop.frontends.numpy.operands import as_array
from symbackprop.frontends.numpy.registry import OPERATIONS as N
from symbackprop.frontends.torch.tensor import function


@function("inverse", "linalg.inv")
def _inverse(input: Any) -> Any:
    return N["linalg.inv"](input)


@function("det", "linalg.det")
def _det(input: Any) -> Any:
    return N["linalg.det"](input)


@function("logdet")
def _logdet(input: Any) -> Any:
    return N["log"](N["linalg.det"](input))


@function("slogdet", "linalg.slogdet")
def _slogdet(input: Any) -> Any:
    return N["linalg.slogdet"](input)


@function("cholesky", "linalg.cholesky")
def _cholesky(input: Any, upper: Any = False) -> Any:
    """As torch says of it: the matrix is taken to be symmetric, of which the lower triangle is read."""
    factor = N["linalg.cholesky"](input)
    return N["swapaxes"](factor, -1, -2) if upper else factor


@function("pinverse", "linalg.pinv")
def _pinverse(input: Any, rcond: Any = None, **_: Any) -> Any:
    return N["linalg.pinv"](input)


@function("matrix_power", "linalg.matrix_power")
def _matrix_power(input: Any, n: Any) -> Any:
    return N["linalg.matrix_power"](input, n)


@function("linalg.solve")
def _solve(A: Any, B: Any, *, left: Any = True) -> Any:
    matrix, right = as_array(A), as_array(B)
    if 1 < right.ndim < matrix.ndim:
        raise TraceError("torch.linalg.solve of a stack of vectors cannot be traced", help="write B.unsqueeze(-1)")
    if left:
        return N["linalg.solve"](matrix, right)
    return N["matmul"](right, N["linalg.inv"](matrix))


@function("linalg.solve_triangular")
def _solve_triangular(A: Any, B: Any, *, upper: Any, left: Any = True, unitriangular: Any = False) -> Any:
    if not left:
        raise TraceError("torch.linalg.solve_triangular with left=False cannot be traced")
    return N["scipy.linalg.solve_triangular"](A, B, lower=not upper, unit_diagonal=unitriangular)


@function("cholesky_solve")
def _cholesky_solve(input: Any, L: Any, upper: Any = False) -> Any:
    return N["scipy.linalg.cho_solve"]((L, not upper), input)


@function("cholesky_inverse")
def _cholesky_inverse(input: Any, upper: Any = False) -> Any:
    factor = as_array(input)
    return N["scipy.linalg.cho_solve"]((factor, not upper), N["eye"](factor.shape[-1]))
