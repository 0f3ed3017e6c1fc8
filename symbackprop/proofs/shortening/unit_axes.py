"""A traced program as a reader wants it: no axes of length 1, no index that is called like a tensor, nothing inside a
sum that does not depend on its index, nothing written out that has a name.

NumPy's `keepdims` leaves axes of length 1 behind; an index over one can only be 0, so the equations lose nothing
without them. Main names: `squeezed`, `factored`, `folded`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace

from symbackprop.expression.build import (
    BINDERS,
    ONE,
    ZERO,
    Add,
    Apply,
    Entry,
    Expr,
    Extremum,
    Index,
    Multiply,
    Sum,
    Tensor,
    add,
    close_sum,
    free_indices,
    fresh,
    multiply,
    nodes_once,
    open_binder,
    rebound,
    rewrite,
    substitute,
)
from symbackprop.expression.program import PART, Equation, Program

_LETTERS = "ijklpqrsuvw"


def squeezed(program: Program) -> Program:
    """The same function with intermediate tensors free of axes of length 1, and indices free of tensors' names."""
    taken = {t.name for t in program.tensors}
    thin: dict[Tensor, Tensor] = {}
    for equation in (e for e in program.equations if e.tensor not in program.outputs):
        tensor = equation.tensor
        name = _name_of_part(equation, taken - {tensor.name}) if equation.note.startswith(PART) else tensor.name
        taken.add(name)
        thin[tensor] = Tensor(name, tuple(n for n in tensor.shape if n is not ONE), tensor.kind)
    letters = letters_for(program, (*program.inputs, *program.outputs, *thin.values()))
    equations = tuple(_squeezed(e, thin, letters) for e in program.equations)
    return replace(program, equations=equations)


def _name_of_part(equation: Equation, taken: set[str]) -> str:
    """A name for what the user's program computes on the way: sum_e for a sum of e, else u."""
    value = equation.value
    kind = "sum" if isinstance(value, Sum) else value.kind if isinstance(value, Extremum) else ""
    inner = value.body if isinstance(value, Sum | Extremum) else None
    wanted = f"{kind}_{inner.tensor.name}" if kind and isinstance(inner, Entry) else "u"
    return next(n for k in itertools.count(1) if (n := wanted if k == 1 else f"{wanted}{k}") not in taken)


def letters_for(program: Program, shown: Iterable[Tensor], further: Iterable[Index] = ()) -> dict[str, str]:
    """For each index called like a tensor that is shown another letter, the same everywhere and unlike all in use.

    Args:
        further: indices that stand in no equation.
    """
    tensors = {t.name for t in shown}
    names = [i.name for e in program.equations for i in _indices(e)] + [i.name for i in further]
    used, table = tensors | set(names), dict[str, str]()
    for name in dict.fromkeys(n for n in names if n in tensors):
        table[name] = next((c for c in _LETTERS if c not in used), f"{name}_")
        used.add(table[name])
    return table


def _indices(equation: Equation) -> list[Index]:
    """The free and the bound indices of an equation."""
    return [*equation.indices, *(n.index for n in nodes_once(equation.value) if isinstance(n, BINDERS))]


def index_names(indices: tuple[Index, ...], letters: Mapping[str, str]) -> tuple[Index, ...]:
    """The same free indices, with other letters for those in the table."""
    return tuple(Index(letters[i.name], i.size) if i.name in letters else i for i in indices)


def with_letters(program: Program, letters: Mapping[str, str]) -> Program:
    """The same program with other letters for the indices in the table."""
    return (
        replace(program, equations=tuple(_squeezed(e, {}, letters) for e in program.equations)) if letters else program
    )


def _squeezed(equation: Equation, thin: dict[Tensor, Tensor], letters: Mapping[str, str]) -> Equation:
    tensor = thin.get(equation.tensor, equation.tensor)
    kept = tuple(i for i in equation.indices if i.size is not ONE or equation.tensor not in thin)
    named = index_names(kept, letters)
    at: dict[Expr, Expr] = dict.fromkeys((i for i in equation.indices if i not in kept), ZERO)
    at |= dict(zip(kept, named, strict=True))
    return Equation(tensor, named, _rewritten(substitute(equation.value, at), thin, letters), equation.note)


def _rewritten(expr: Expr, thin: dict[Tensor, Tensor], letters: Mapping[str, str]) -> Expr:
    def meaning(node: Expr) -> Expr | None:
        if isinstance(node, Entry) and node.tensor in thin:
            pairs = zip(node.indices, node.tensor.shape, strict=True)
            return Entry(thin[node.tensor], tuple(_rewritten(i, thin, letters) for i, n in pairs if n is not ONE))
        if isinstance(node, Sum) and node.index.size is ONE:
            return _rewritten(substitute(node.body, {node.index: ZERO}), thin, letters)
        if isinstance(node, BINDERS) and node.index.name in letters:
            index = fresh(letters[node.index.name], node.index.size)
            body = _rewritten(substitute(node.body, {node.index: index}), thin, letters)
            return rebound(node, index, body)
        return None

    return rewrite(expr, meaning)


def factored(expr: Expr) -> Expr:
    """`expr` with factors that do not depend on a summed index taken out of the sum.

    Example:
        >>> from symbackprop.expression.build import Symbol, contraction, power
        >>> N, x = Symbol("N", "size"), Tensor("x", (Symbol("N", "size"),))
        >>> mean = contraction("n", N, lambda n: multiply(power(N, -1), Entry(x, (n,))))
        >>> isinstance(factored(mean), Multiply)
        True
    """
    match expr:
        case Add(terms):
            return add(*(factored(t) for t in terms))
        case Multiply(factors):
            return multiply(*(factored(f) for f in factors))
        case Sum():
            index, body = open_binder(expr)
            body = factored(body)
            factors = body.factors if isinstance(body, Multiply) else (body,)
            outside = tuple(f for f in factors if index not in free_indices(f))
            inside = multiply(*(f for f in factors if index in free_indices(f)))
            return multiply(*outside, close_sum(index, inside)) if outside else expr
    return expr


def folded(expr: Expr, program: Program) -> tuple[Expr, tuple[Tensor, ...]]:
    """`expr` with f(u[...]) replaced by e[...] where the program has computed e = f(u), and the tensors so used.

    Example:
        >>> from symbackprop.expression.build import Apply, Symbol
        >>> from symbackprop.expression.functions import EXP
        >>> i = Index("i", Symbol("N", "size"))
        >>> u, e = Entry(Tensor("u", (i.size,)), (i,)), Entry(Tensor("e", (i.size,)), (i,))
        >>> program = Program((u.tensor,), (Equation(e.tensor, (i,), Apply(EXP, (u,))),), (e.tensor,))
        >>> folded(multiply(u, Apply(EXP, (u,))), program)[0] is multiply(u, e)
        True
    """
    known = {
        (e.value.function, e.value.arguments[0].tensor): e
        for e in program.equations
        if isinstance(e.value, Apply) and isinstance(e.value.arguments[0], Entry)
    }
    used: dict[Tensor, None] = {}

    def meaning(node: Expr) -> Expr | None:
        if not isinstance(node, Apply) or not isinstance(node.arguments[0], Entry):
            return None
        equation = known.get((node.function, node.arguments[0].tensor))
        if equation is None:
            return None
        assert isinstance(equation.value, Apply), "only such equations are known"
        pattern = equation.value.arguments[0]
        assert isinstance(pattern, Entry), "only such equations are known"
        at = dict(zip(pattern.indices, node.arguments[0].indices, strict=True))
        if not set(equation.indices) <= at.keys():
            return None
        used[equation.tensor] = None
        return Entry(equation.tensor, tuple(at[i] for i in equation.indices))

    return rewrite(expr, meaning), tuple(used)
