"""Copies of operands in another order of their axes, where a contraction is a product of matrices then.

    out[c,i] = sum over f, k of a[f,k,i]*w[f,c,k]     ->     t[f,k,c] = w[f,c,k],  out[c,i] = sum of a[f,k,i]*t[f,k,c]

A copy reads each number once, a contraction that is no product as often as there are rows. Main name: `turned`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from symbackprop.codegen.c.loops import as_matrix, as_product
from symbackprop.codegen.lowering.form import Contract, Form, Map, Statement, axes, is_plain, substituted
from symbackprop.expression.build import ONE, Entry, Index, Symbol, Tensor
from symbackprop.expression.program import unused


def turned(form: Form) -> Form:
    """The form with such copies; as it is if it has loops."""
    if form.loops:
        return form
    taken = {t.name for t in (*form.inputs, *(s.target.tensor for s in form.statements))}
    copies: dict[Entry, Entry] = {}
    statements = list[Statement]()
    for s in form.statements:
        if isinstance(s, Contract) and not _multiplies(s):
            for new, e in _with_a_copy(s, copies, taken):
                if _multiplies(new):
                    (copy,) = {new.left, new.right} - {s.left, s.right}
                    if e not in copies:
                        copies[e] = copy
                        taken.add(copy.tensor.name)
                        statements.append(Map(copy, e))
                    s = new
                    break
        statements.append(s)
    return replace(form, statements=tuple(statements))


def _multiplies(s: Contract) -> bool:
    """True for products of matrices, also of those that are summed over, or that lie one behind the other."""
    rows = [i for i in axes(s.left)[:1] if i in axes(s.right)[:1] + axes(s.target)[:1]]
    rows += [i for i in axes(s.right)[:1] if i in axes(s.target)[:1]]
    return as_product(s) is not None or any(as_product(_one_row(s, i)) is not None for i in rows)


def _one_row(s: Contract, row: Index) -> Contract:
    found = substituted(s, {row: Symbol("row", "size")})
    assert isinstance(found, Contract), "a contraction stays one"
    return replace(found, over=tuple(i for i in found.over if i is not row))


def _with_a_copy(s: Contract, copies: Mapping[Entry, Entry], taken: Collection[str]) -> list[tuple[Contract, Entry]]:
    """The contraction with a copy of one operand, in which the axes that are summed over come first."""
    found = []
    for e, other in ((s.left, s.right), (s.right, s.left)):
        over = tuple(i for i in axes(other) if i in s.over)
        rest = tuple(i for i in axes(e) if i not in s.over)
        usual = is_plain(e) and set(over) <= set(axes(e)) and rest and e.tensor.kind == "real"
        if usual and e is not other and as_matrix(e, over) is None and ONE not in (i.size for i in axes(e)):
            order = over + rest
            name = unused(f"{e.tensor.name}_turned", taken)
            copy = copies.get(e) or Entry(Tensor(name, tuple(i.size for i in order)), order)
            new = replace(s, left=copy) if e is s.left else replace(s, right=copy)
            found.append((new, e))
    return found
