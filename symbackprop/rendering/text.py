"""Expression -> plain text in Python's expression syntax, the syntax in which claims are written.

    sum(j, W2[j,i]*delta3[n,j])*f_prime(z2[n,i])

Main name: `to_text`. A sum names its range, `sum(j < N, ...)`, only where no entry shows over which axis j runs.
"""

from __future__ import annotations

from symbackprop.expression.build import (
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Family,
    Index,
    Kronecker,
    MatrixEntry,
    Multiply,
    Number,
    Partial,
    Position,
    Power,
    Quotient,
    Remainder,
    Sum,
    Symbol,
    Total,
    Where,
    children,
)
from symbackprop.rendering.conventions import (
    IndexNames,
    is_root,
    ordered_terms,
    over_and_under,
    scope_of,
    signed,
    whole_matrix,
)

_COMPARE, _ADD, _MULTIPLY, _NEGATE, _POWER, _ATOM = range(6)


def to_text(expr: Expr) -> str:
    """`expr` as text that the claim parser reads back.

    Example:
        >>> from symbackprop.expression.build import Entry, Index, Symbol, Tensor, contraction, multiply
        >>> n, i = Symbol("n", "size"), Index("i", Symbol("n", "size"))
        >>> W, a = Tensor("W1", (n, n)), Tensor("a1", (n,))
        >>> to_text(contraction("j", n, lambda j: multiply(Entry(W, (i, j)), Entry(a, (j,)))))
        'sum(j, W1[i,j]*a1[j])'
    """
    return _text(expr, scope_of(expr, lambda name, k: f"{name}_{k}"))[0]


def _wrapped(expr: Expr, scope: IndexNames, least: int) -> str:
    """`expr`, in parentheses if it binds less tightly than `least`."""
    text, level = _text(expr, scope)
    return text if level >= least else f"({text})"


def _text(expr: Expr, scope: IndexNames) -> tuple[str, int]:
    """The text of `expr` and how tightly its outermost operation binds."""
    match expr:
        case Number() | Multiply():
            return _product(expr, scope)
        case Sum() if signed(expr)[0]:
            return _product(expr, scope)
        case Symbol(name, _):
            return name, _ATOM
        case Index():
            return scope.names[expr], _ATOM
        case Entry():
            return _entry(expr, scope), _ATOM
        case Add(terms):
            return _sum_of_terms(ordered_terms(terms), scope), _ADD
        case Power():
            return _power(expr, scope)
        case Sum() | Extremum() | Position():
            return _binder(expr, scope), _ATOM
        case Apply(function, arguments):
            return f"{function.name}({_list(arguments, scope)})", _ATOM
        case MatrixEntry():
            return _matrix_entry(expr, scope), _ATOM
        case Family():
            return _family(expr, scope), _ATOM
        case Kronecker(left, right):
            return f"kronecker({_list((left, right), scope)})", _ATOM
        case Compare():
            return f"where({_condition(expr, scope)}, 1, 0)", _ATOM
        case Where(condition, then, otherwise):
            return f"where({_condition(condition, scope)}, {_list((then, otherwise), scope)})", _ATOM
        case Quotient(left, right) | Remainder(left, right):
            mark = "//" if isinstance(expr, Quotient) else "%"
            return f"{_wrapped(left, scope, _MULTIPLY)}{mark}{_wrapped(right, scope, _POWER)}", _MULTIPLY
        case Partial(inner, variable):
            return f"diff({_list((inner, variable), scope)})", _ATOM
        case Total(cost, variable):
            return f"d{_entry(cost, scope)}/d{_entry(variable, scope)}", _MULTIPLY
    raise AssertionError(f"no text for {type(expr).__name__}")


def _list(parts: tuple[Expr, ...], scope: IndexNames) -> str:
    return ", ".join(_text(p, scope)[0] for p in parts)


def _entry(expr: Entry, scope: IndexNames) -> str:
    if not expr.indices:
        return expr.tensor.name
    return f"{expr.tensor.name}[{','.join(_text(i, scope)[0] for i in expr.indices)}]"


def _condition(expr: Expr, scope: IndexNames) -> str:
    """A condition as it stands in `where`: a bare comparison needs no second `where`."""
    if not isinstance(expr, Compare):
        return _text(expr, scope)[0]
    return f"{_wrapped(expr.left, scope, _ADD)} {expr.relation} {_wrapped(expr.right, scope, _ADD)}"


def _sum_of_terms(terms: tuple[Expr, ...], scope: IndexNames) -> str:
    parts: list[str] = []
    for term in terms:
        negative, magnitude = signed(term)
        divided = negative and not parts and isinstance(magnitude, (Quotient, Remainder))
        parts.append((" - " if negative else " + ") if parts else ("-" if negative else ""))
        parts.append(_wrapped(magnitude, scope, _POWER if divided else _MULTIPLY))
    return "".join(parts)


def _product(expr: Expr, scope: IndexNames) -> tuple[str, int]:
    negative, magnitude = signed(expr)
    over, under = over_and_under(magnitude)
    if len(over) == 1 and not under:
        text, level = _text(over[0], scope) if not isinstance(over[0], Number) else (str(over[0].value), _ATOM)
        if negative:  # -(i//2) is not -i//2
            least = _POWER if isinstance(over[0], (Quotient, Remainder)) else _MULTIPLY
            return f"-{text}" if level >= least else f"-({text})", _NEGATE
        return text, level
    text = "*".join(_factor(f, scope, place > 0) for place, f in enumerate(over))
    if under:
        below = "*".join(_factor(f, scope, True) for f in under)
        text += f"/({below})" if len(under) > 1 else f"/{below}"
    return (f"-{text}" if negative else text), (_NEGATE if negative else _MULTIPLY)


def _factor(expr: Expr, scope: IndexNames, after_another: bool) -> str:
    """A factor; behind `*` a derivative dJ/dz needs parentheses, since it is written with a slash."""
    return _wrapped(expr, scope, _POWER if after_another else _MULTIPLY)


def _power(expr: Power, scope: IndexNames) -> tuple[str, int]:
    if is_root(expr):
        return f"sqrt({_text(expr.base, scope)[0]})", _ATOM
    if signed(expr.exponent)[0]:
        return _product(expr, scope)
    return f"{_wrapped(expr.base, scope, _ATOM)}**{_wrapped(expr.exponent, scope, _ATOM)}", _POWER


def _binder(expr: Sum | Extremum | Position, scope: IndexNames) -> str:
    inner = scope.enter(expr.index)
    name = {"Sum": "sum", "Extremum": "", "Position": "arg"}[type(expr).__name__]
    name += "" if isinstance(expr, Sum) else expr.kind
    index = inner.names[expr.index]
    if not _shows_axis(expr.body, expr.index):
        index += f" < {_wrapped(expr.index.size, scope, _ADD)}"
    return f"{name}({index}, {_text(expr.body, inner)[0]})"


def _matrix_entry(expr: MatrixEntry, scope: IndexNames) -> str:
    """`inv(C)[i,j]` where the matrix has a name, else `inv(r, c, x[r,c] + ...)[i,j]`."""
    places = f"[{','.join(_text(p, scope)[0] for p in expr.places)}]" if expr.places else ""
    return _made_of_matrix(expr, scope) + places


def _made_of_matrix(expr: MatrixEntry, scope: IndexNames) -> str:
    name = {"inverse": "inv", "determinant": "det"}.get(expr.kind, expr.kind)
    found = whole_matrix(expr)
    if found is None:
        return f"{name}({_family(expr.matrix, scope)})"
    whole, turned = found
    if isinstance(whole, MatrixEntry):
        inside = _made_of_matrix(whole, scope)
    else:
        outer = whole.indices[:-2]
        inside = whole.tensor.name + (f"[{','.join(_text(i, scope)[0] for i in outer)}]" if outer else "")
    return f"{name}({inside}{'.T' if turned else ''})"


def _family(expr: Family, scope: IndexNames) -> str:
    """`r, c, entry`."""
    inner = scope.enter(expr.index)
    body = _family(expr.body, inner) if isinstance(expr.body, Family) else _text(expr.body, inner)[0]
    return f"{inner.names[expr.index]}, {body}"


def _shows_axis(body: Expr, index: Index) -> bool:
    """True if some entry in `body` is indexed by `index` alone, on an axis of that size."""
    if isinstance(body, Entry) and any(
        i is index and size is index.size for i, size in zip(body.indices, body.tensor.shape, strict=True)
    ):
        return True
    return any(_shows_axis(c, index) for c in children(body))
