"""What is made of a whole square matrix, for numbers of any field: by minors, so that nothing has to be ordered.

A determinant is developed along its rows, each minor worked out once; an inverse is the adjugate over the determinant.
That takes no pivots, so a ball or a dual number never has to decide which entry is larger, and the derivative that a
dual number carries through owes nothing to a rule about inverses. Matrices here have a few rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from symbackprop.evaluation.number_types import Field, TooCloseError, Value, held
from symbackprop.expression.build import MatrixKind

ROUNDING = 2.0**-44  # of a determinant, in terms of the largest that it could be
Matrix = Sequence[Sequence[Value]]
Entries = dict[tuple[int, ...], Value]


def entries_of(kind: MatrixKind, matrix: Matrix, field: Field) -> Entries:
    """All entries of the inverse or the Cholesky factor, or at () the one value that a determinant has."""
    match kind:
        case "inverse":
            return _inverse(matrix, field)
        case "cholesky":
            return _cholesky(matrix, field)
    value = _determinant(matrix)
    if kind == "logdet":
        value = field.functions["log"](-value if field.compare(value, 0) < 0 else value)
    return {(): value}


def _determinant(matrix: Matrix) -> Value:
    every = tuple(range(len(matrix)))
    found = _minor(matrix, 0, every, every, {})
    if isinstance(held(found), float):
        rows = [math.hypot(*(float(held(v)) for v in row)) for row in matrix]
        if abs(held(found)) <= ROUNDING * math.prod(rows):  # by Hadamard's inequality it is at most that product
            raise TooCloseError("a matrix that may be singular: its determinant is lost in rounding")
    return found


def _minor(
    matrix: Matrix,
    place: int,
    rows: tuple[int, ...],
    columns: tuple[int, ...],
    known: dict[tuple[int, tuple[int, ...]], Value],
) -> Value:
    """The determinant of rows[place:] and these columns."""
    if not columns:
        return 1
    found = known.get((place, columns))
    if found is None:
        row = matrix[rows[place]]
        for k, column in enumerate(columns):
            rest = _minor(matrix, place + 1, rows, columns[:k] + columns[k + 1 :], known)
            term = row[column] * rest
            found = term if k == 0 else found - term if k % 2 else found + term
        known[place, columns] = found
    return found


def _inverse(matrix: Matrix, field: Field) -> Entries:
    """The adjugate over the determinant."""
    every = tuple(range(len(matrix)))
    scale = field.power(_determinant(matrix), Fraction(-1))
    found: Entries = {}
    for j in every:
        known: dict[tuple[int, tuple[int, ...]], Value] = {}
        rows = every[:j] + every[j + 1 :]
        for i in every:
            minor = _minor(matrix, 0, rows, every[:i] + every[i + 1 :], known)
            found[i, j] = (minor if (i + j) % 2 == 0 else -minor) * scale
    return found


def _cholesky(matrix: Matrix, field: Field) -> Entries:
    """The lower factor, row by row; what stands above the diagonal is not read."""
    size, found = len(matrix), Entries()
    for i in range(size):
        for j in range(size):
            if j > i:
                found[i, j] = 0
                continue
            rest = matrix[i][j]
            for k in range(j):
                rest = rest - found[i, k] * found[j, k]
            exponent = Fraction(1, 2) if i == j else Fraction(-1)
            found[i, j] = field.power(rest, exponent) if i == j else rest * field.power(found[j, j], exponent)
    return found
