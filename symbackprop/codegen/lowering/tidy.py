"""Fewer and smaller statements, for the forms that are not read as mathematics but run again and again.

    copies              c[n,i] = a[n,i]                         ->  what reads c reads a
    equal statements    c[n,i] = b[n,i]*a[n,i], d likewise      ->  what reads d reads c
    small parts         x[n,d]*(s[n]/(v[n] + 1))                ->  one number a row, then one product
    a known sum         J = sum over n, d of e[n,d]*g[d]*x[n,d] ->  sum over d of g[d]*G[d], where G is computed anyway
    a known maximum     max over c of x[n,c] - max over c of x[n,c]    ->  0
    a look-up           l[n,y[n]] where l[n,c] = x[n,c] - s[n]  ->  x[n,y[n]] - s[n]

Main name: `tidied`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count, permutations

from symbackprop.codegen.lowering.contract import factors_of
from symbackprop.codegen.lowering.factor import factored
from symbackprop.codegen.lowering.form import (
    Contract,
    Form,
    Gather,
    Map,
    Marked,
    Reduce,
    Statement,
    axes,
    is_plain,
    prune,
    reads,
    rewritten,
)
from symbackprop.codegen.lowering.share import Key, key, share
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Power,
    Sum,
    Tensor,
    Where,
    add,
    children,
    entries,
    free_indices,
    fresh,
    multiply,
    negate,
    rebuild,
    rewrite,
    substitute,
)

MOST_AXES = 4  # of a sum: beyond, there are too many ways of naming them


def tidied(form: Form) -> Form:
    """The form with fewer and smaller statements; it computes the same, up to the order of sums and products.

    A form with loops is left as it is.
    """
    if form.loops:
        return form
    form = prune(_said_once(_without_copies(_with_known_maxima(_said_once(_without_copies(form))))), form.outputs)
    form = prune(_with_known_sums(_with_few_look_ups(form)), form.outputs)
    form = _with_fewer_signs(share(factored(share(_said_once(_without_copies(form))))))
    return prune(_made_in_place(_said_once(_Narrowing(form).run())), form.outputs)


# Copies, and equal statements.


def _without_copies(form: Form) -> Form:
    same: dict[Tensor, Callable[[Entry], Entry]] = {}
    kept = list[Statement]()
    for statement in form.statements:
        new = _read_through(statement, same)
        if isinstance(new, Map) and isinstance(new.value, Entry) and _is_copy(new.target, new.value, form):
            same[new.target.tensor] = _as(new.target, new.value)
        else:
            kept.append(new)
    return replace(form, statements=tuple(kept))


def _made_in_place(form: Form) -> Form:
    """The form without outputs that are copies of what nothing else reads."""
    readers = Counter(t for s in form.statements for t in reads(s))
    made = {s.target.tensor: s for s in form.statements}
    instead: dict[Tensor, Entry] = {}
    for s in form.statements:
        if not isinstance(s, Map) or not isinstance(s.value, Entry) or not s.target.indices:
            continue
        maker = made.get(s.value.tensor)
        own = s.value.tensor not in form.outputs and readers[s.value.tensor] == 1
        same = maker is not None and s.value.indices == s.target.indices and is_plain(maker.target)
        if own and same and s.value.tensor.kind == s.target.tensor.kind:
            instead[s.value.tensor] = s.target
    gone = {t.tensor for t in instead.values()}
    kept = list[Statement]()
    for s in form.statements:
        if s.target.tensor in instead:
            target = Entry(instead[s.target.tensor].tensor, s.target.indices)
            kept.append(replace(s, target=target))
        elif not (s.target.tensor in gone and isinstance(s, Map) and isinstance(s.value, Entry)):
            kept.append(s)
    return replace(form, statements=tuple(kept))


def _is_copy(target: Entry, source: Entry, form: Form) -> bool:
    plain = is_plain(target) and is_plain(source) and set(target.indices) == set(source.indices)
    sizes = plain and all(i.size is s for i, s in zip(axes(source), source.tensor.shape, strict=True))
    return sizes and target.tensor.kind == source.tensor.kind and target.tensor not in form.outputs


def _as(target: Entry, source: Entry) -> Callable[[Entry], Entry]:
    """An entry of the target's tensor as one of the source's."""
    places = [target.indices.index(i) for i in source.indices]
    return lambda entry: Entry(source.tensor, tuple(entry.indices[p] for p in places))


def _said_once(form: Form) -> Form:
    """The form in which what several statements compute is computed once: where an output is among them, as that."""
    order = {t: p for p, t in enumerate(form.outputs)}
    found = dict[Key, Tensor]()
    for statement in form.statements:
        mark, tensor = _mark(statement), statement.target.tensor
        if mark is not None and (mark not in found or (tensor in order and found[mark] not in order)):
            found[mark] = tensor
    known: dict[Key, Tensor] = {}
    same: dict[Tensor, Callable[[Entry], Entry]] = {}
    kept = list[Statement]()
    for statement in form.statements:
        new = _read_through(statement, same)
        mark, target = _mark(new), new.target
        first = known.get(mark) if mark is not None else None
        if first is not None:
            if target.tensor is not first and target.tensor in order:  # each output is an array of its own
                kept.append(Map(target, Entry(first, target.indices)))
            elif target.tensor is not first:
                same[target.tensor] = _as(target, Entry(first, target.indices))
            continue
        if mark is not None:
            output = found.get(mark, target.tensor)
            if output in order and target.tensor not in order:
                same[target.tensor] = _as(target, Entry(output, target.indices))
                new = replace(new, target=Entry(output, target.indices))
            known[mark] = new.target.tensor
        kept.append(new)
    return replace(form, statements=tuple(kept))


def _mark(statement: Statement) -> Key | None:
    """What a statement computes, whatever its indices are called."""
    if not is_plain(statement.target) or statement.target.tensor.kind == "integer":
        return None
    match statement:
        case Map(target, value):
            return key("map", value, axes(target))
        case Contract(target, left, right, over):
            return key("sum", _summed(over, multiply(left, right)), axes(target))
        case Reduce(target, kind, operand, over):
            return key(kind, _summed(over, operand), axes(target))
    return None


def _summed(over: tuple[Index, ...], body: Expr) -> Expr:
    for index in reversed(over):
        body = Sum(index, body)
    return body


def _read_through(statement: Statement, same: Mapping[Tensor, Callable[[Entry], Entry]]) -> Statement:
    """The statement with other names for what it reads."""
    if same.keys().isdisjoint(reads(statement)):
        return statement

    def entry(e: Entry) -> Entry:
        return same[e.tensor](e) if e.tensor in same else e

    return rewritten(statement, entry, lambda v: rewrite(v, lambda e: entry(e) if isinstance(e, Entry) else None))


# Parts over fewer axes than the whole.


class _Narrowing:
    """Takes parts of elementwise statements that have fewer axes into statements of their own."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.statements: list[Statement] = []
        self.names = {s.target.tensor.name for s in form.statements} | {t.name for t in form.inputs}
        self.known: dict[Key, Tensor] = {}

    def run(self) -> Form:
        for statement in self.form.statements:
            several = len(axes(statement.target)) > 1 and is_plain(statement.target)
            if isinstance(statement, (Map, Marked)) and several:
                statement = replace(statement, value=self.narrowed(statement.value, axes(statement.target)))
            self.statements.append(statement)
        return replace(self.form, statements=tuple(self.statements))

    def narrowed(self, expr: Expr, order: tuple[Index, ...]) -> Expr:
        """The expression over `order`, its smaller parts as entries of arrays of their own size."""
        if isinstance(expr, (Compare, Kronecker)) or not isinstance(expr, (Add, Multiply, Power, Apply, Where)):
            return expr
        if self._is_small(expr, order):
            return self._apart(expr, order)
        if isinstance(expr, (Add, Multiply)):
            return self._grouped(expr, order)
        new = tuple(self.narrowed(c, order) for c in children(expr))
        return expr if new == children(expr) else rebuild(expr, new)

    def _grouped(self, expr: Add | Multiply, order: tuple[Index, ...]) -> Expr:
        """Terms, or factors, over the same few axes are one; numbers join the first of them."""
        groups: dict[frozenset[Index], list[Expr]] = {}
        rest, numbers = list[Expr](), list[Expr]()
        for part in children(expr):
            if (_is_bare(part) and 0 < len(free_indices(part)) < len(order)) or self._is_small(part, order):
                groups.setdefault(free_indices(part), []).append(part)
            elif not free_indices(part) and part not in (ONE, MINUS_ONE):
                numbers.append(part)
            else:
                rest.append(self.narrowed(part, order))
        if not groups:
            return rebuild(expr, (*numbers, *rest)) if rest else expr
        first, *others = groups.values()
        together = [[*numbers, *first], *others]
        small = [self._apart(rebuild(expr, tuple(g)), order) if len(g) > 1 else g[0] for g in together]
        small = [self._apart(s, order) if self._is_small(s, order) else s for s in small]
        return rebuild(expr, (*rest, *small))

    def _is_small(self, expr: Expr, order: tuple[Index, ...]) -> bool:
        """True if something is computed that has some of the axes, but not all, of real numbers alone."""
        free = free_indices(expr)
        if not free or len(free) >= len(order) or not isinstance(expr, (Add, Multiply, Power, Apply, Where)):
            return False
        if _is_bare(expr):
            return False
        found = list(entries(expr))
        return bool(found) and all(e.tensor.kind == "real" for e in found) and free.issubset(
            {i for e in found for i in e.indices if isinstance(i, Index)}
        )  # fmt: skip

    def _apart(self, expr: Expr, order: tuple[Index, ...]) -> Expr:
        own = tuple(i for i in order if i in free_indices(expr))
        mark = key("map", expr, own)
        tensor = self.known.get(mark)
        if tensor is None:
            name = next(n for k in count(1) if (n := f"r{k}") not in self.names)
            self.names.add(name)
            tensor = self.known[mark] = Tensor(name, tuple(i.size for i in own))
            value = self.narrowed(expr, own) if len(own) > 1 else expr
            self.statements.append(Map(Entry(tensor, own), value))
        return Entry(tensor, own)


def _is_bare(expr: Expr) -> bool:
    """True for an entry as it stands, or minus one."""
    factors = expr.factors if isinstance(expr, Multiply) else (expr,)
    return isinstance(factors[-1], Entry) and factors[:-1] in ((), (MINUS_ONE,))


# Maxima that are known, and look-ups.


def _with_known_maxima(form: Form) -> Form:
    """What is left of x when its maximum is taken away has the maximum 0; NaN stays, since it is in x."""
    made = {s.target.tensor: s for s in form.statements}
    zero = {s.target.tensor for s in form.statements if _is_zero(s, made)} - set(form.outputs)
    read = {t for s in form.statements if not isinstance(s, Map) for t in reads(s)}
    zero -= read
    if not zero:
        return form

    def value(expr: Expr) -> Expr:
        return rewrite(expr, lambda e: ZERO if isinstance(e, Entry) and e.tensor in zero else None)

    changed = [
        replace(s, value=value(s.value)) if isinstance(s, Map) and not zero.isdisjoint(reads(s)) else s
        for s in form.statements
        if s.target.tensor not in zero
    ]
    return replace(form, statements=tuple(changed))


def _is_zero(statement: Statement, made: Mapping[Tensor, Statement]) -> bool:
    if not isinstance(statement, Reduce) or statement.kind != "max":
        return False
    maker = made.get(statement.operand.tensor)
    if not isinstance(maker, Map) or not isinstance(maker.value, Add) or len(maker.value.terms) != 2:
        return False
    table: dict[Expr, Expr] = dict(zip(maker.target.indices, statement.operand.indices, strict=True))
    terms = [substitute(t, table) for t in maker.value.terms]
    for whole, other in (terms, terms[::-1]):
        largest = negate(other)
        of = made.get(largest.tensor) if isinstance(largest, Entry) else None
        if not isinstance(whole, Entry) or not isinstance(largest, Entry) or not isinstance(of, Reduce):
            continue
        names: dict[Expr, Expr] = dict(zip(of.target.indices, largest.indices, strict=True))
        names |= dict(zip(of.over, statement.over, strict=False))
        if of.kind == "max" and len(of.over) == len(statement.over) and substitute(of.operand, names) is whole:
            return True
    return False


def _with_few_look_ups(form: Form) -> Form:
    """An array of which only some entries are looked up is computed at these alone."""
    made = {s.target.tensor: s for s in form.statements}
    readers = Counter(t for s in form.statements for t in reads(s))
    names = {s.target.tensor.name for s in form.statements} | {t.name for t in form.inputs}
    statements = list[Statement]()
    for statement in form.statements:
        maker = made.get(statement.source) if isinstance(statement, Gather) else None
        if (
            not isinstance(statement, Gather) or not isinstance(maker, Map) or not is_plain(maker.target)
            or readers[statement.source] != 1 or statement.source in form.outputs or statement.whole
        ):  # fmt: skip
            statements.append(statement)
            continue
        table: dict[Expr, Expr] = dict(zip(maker.target.indices, statement.positions, strict=True))
        found: dict[Entry, Entry] = {}
        plain = True
        for entry in dict.fromkeys(entries(maker.value)):
            there = substitute(entry, table)
            if not isinstance(there, Entry) or any(
                isinstance(i, Entry) and i.tensor.kind == "real" for i in there.indices
            ):
                plain = False
            elif all(isinstance(i, Index) for i in there.indices) and len(set(there.indices)) == len(there.indices):
                found[there] = there
            else:
                name = next(n for k in count(1) if (n := f"l{k}") not in names)
                names.add(name)
                free = [i for i in axes(statement.target) if i in free_indices(there)]
                target = Entry(Tensor(name, tuple(i.size for i in free), entry.tensor.kind), tuple(free))
                statements.append(Gather(target, there.tensor, there.indices, statement.guarded))
                found[there] = target
        value = substitute(maker.value, table)
        statements.append(
            Map(statement.target, rewrite(value, lambda e, found=found: found.get(e) if isinstance(e, Entry) else None))  # type: ignore[misc]
            if plain else statement
        )  # fmt: skip
    return replace(form, statements=tuple(statements))


# Signs.


def _with_fewer_signs(form: Form) -> Form:
    """An array of whose sums only the negatives are wanted has the other sign."""
    made = {s.target.tensor: s for s in form.statements}
    readers: dict[Tensor, list[Statement]] = {}
    for statement in form.statements:
        for tensor in reads(statement):
            readers.setdefault(tensor, []).append(statement)
    changed = dict(made)
    for tensor, maker in made.items():
        if not isinstance(maker, Map) or tensor in form.outputs or not isinstance(maker.value, Multiply):
            continue
        sums = [s.target.tensor for s in readers.get(tensor, ()) if _is_linear(s, tensor)]
        if not sums or len(sums) != len(readers[tensor]) or any(len(readers.get(t, ())) != 1 for t in sums):
            continue
        uses = {t: changed[readers[t][0].target.tensor] for t in sums if t not in form.outputs}
        if len(uses) < len(sums) or not all(_is_negated(use, t) for t, use in uses.items()):
            continue
        changed[tensor] = replace(maker, value=_opposite(maker.value))
        for summed in sums:
            use = changed[readers[summed][0].target.tensor]
            assert isinstance(use, Map), "a negated sum is a term of an elementwise statement"
            changed[use.target.tensor] = replace(use, value=_with_opposite(use.value, summed))
    return replace(form, statements=tuple(changed[s.target.tensor] for s in form.statements))


def _is_linear(statement: Statement, tensor: Tensor) -> bool:
    if isinstance(statement, Contract):
        return (statement.left.tensor is tensor) != (statement.right.tensor is tensor)
    return isinstance(statement, Reduce) and statement.kind == "sum"


def _is_negated(use: Statement, tensor: Tensor) -> bool:
    if not isinstance(use, Map):
        return False
    terms = use.value.terms if isinstance(use.value, Add) else (use.value,)
    own = [t for t in terms if any(e.tensor is tensor for e in entries(t))]
    return len(own) == 1 and isinstance(own[0], Multiply) and own[0].factors[0] is MINUS_ONE and all(
        isinstance(f, Entry) for f in own[0].factors[1:]
    )  # fmt: skip


def _with_opposite(value: Expr, tensor: Tensor) -> Expr:
    return rewrite(
        value, lambda e: negate(e) if isinstance(e, Multiply) and any(
            isinstance(f, Entry) and f.tensor is tensor for f in e.factors) else None
    )  # fmt: skip


def _opposite(value: Multiply) -> Expr:
    """The other sign, inside of a difference where there is one."""
    for position, factor in enumerate(value.factors):
        if isinstance(factor, Add) and any(_is_minus(t) for t in factor.terms):
            new = add(*map(negate, factor.terms))
            return multiply(*value.factors[:position], new, *value.factors[position + 1 :])
    return negate(value)


def _is_minus(term: Expr) -> bool:
    return term is MINUS_ONE or (isinstance(term, Multiply) and term.factors[0] is MINUS_ONE)


# Sums of which a part is known.


def _with_known_sums(form: Form) -> Form:
    """Numbers that are sums over arrays by smaller sums that are computed anyway."""
    made = {s.target.tensor: s for s in form.statements}
    readers = Counter(t for s in form.statements for t in reads(s))
    statements = list[Statement]()
    late = list[Statement]()
    for statement in form.statements:
        found = None
        if isinstance(statement, Contract) and not statement.target.indices:
            found = _by_known_sums(form, statement, made, readers)
        if found is None:
            statements.append(statement)
        else:
            late += found
    if any(s.target.tensor in reads(other) for s in late for other in statements):
        return form
    return replace(form, statements=(*statements, *late)) if late else form


def _by_known_sums(
    form: Form, total: Contract, made: Mapping[Tensor, Statement], readers: Mapping[Tensor, int]
) -> list[Statement] | None:
    """Statements for `total`; None unless that spares an array that nothing else reads."""
    for one, other in ((total.left, total.right), (total.right, total.left)):
        maker = made.get(one.tensor)
        if maker is None or readers[one.tensor] != 1 or one.tensor in form.outputs:
            continue
        if not is_plain(maker.target) or len(one.indices) < 2:
            continue
        terms = [_product(t, maker.target, one, made) for t in _terms(maker)]
        others = [s for s in form.statements if s is not maker and s is not total and one.tensor not in reads(s)]
        parts = [_part(multiply(other, *t), total.over, others, made) for t in terms if t is not None]
        if len(parts) == len(terms) and None not in parts:
            return _added(total, [p for p in parts if p is not None], form)
    return None


def _terms(maker: Statement) -> list[tuple[Expr, tuple[Index, ...]]]:
    """The value of a statement as products, each with what it is summed over; none where it is no sum of products."""
    match maker:
        case Map(_, Add(terms)):
            return [(t, ()) for t in terms]
        case Map(_, value):
            return [(value, ())]
        case Contract(_, left, right, over):
            return [(multiply(left, right), over)]
    return [(ONE, (fresh("i", ONE),))]


def _product(
    term: tuple[Expr, tuple[Index, ...]], target: Entry, wanted: Entry, made: Mapping[Tensor, Statement]
) -> list[Expr] | None:
    """The factors of a term, at the indices that are wanted."""
    value, over = term
    table: dict[Expr, Expr] = dict(zip(target.indices, wanted.indices, strict=True))
    table |= {i: fresh(i.name, i.size) for i in over}
    return list(factors_of(substitute(value, table)))


def _part(
    product: Expr, over: tuple[Index, ...], statements: list[Statement], made: Mapping[Tensor, Statement]
) -> tuple[Entry, list[Expr]] | None:
    """(a sum that is known, what it is to be multiplied by before the rest is summed) for the sum of a product."""
    factors = _opened(list(factors_of(product)), made)
    if not set(over).issubset(i for f in factors for i in _indices(f)):
        return None  # what does not depend on an index is counted as often as it has values
    best = None
    for statement in statements:
        if not axes(statement.target):
            continue
        if not isinstance(statement, (Contract, Reduce)) or getattr(statement, "kind", "sum") != "sum":
            continue
        found = _divided(factors, statement, made)
        if found is not None and (best is None or len(found[1]) < len(best[1])):
            best = found
    return best


def _divided(
    factors: Counter[Expr], statement: Contract | Reduce, made: Mapping[Tensor, Statement]
) -> tuple[Entry, list[Expr]] | None:
    """The statement's target as a factor, and the factors beside it, if these know nothing of what it sums over."""
    operands = [statement.left, statement.right] if isinstance(statement, Contract) else [statement.operand]
    own = _opened(list(operands), made)
    if not set(e.tensor for f in own for e in entries(f)) <= {e.tensor for f in factors for e in entries(f)}:
        return None
    indices = list(dict.fromkeys(i for o in operands for i in axes(o)))
    there = list(dict.fromkeys(i for f in factors for i in _indices(f)))
    if len(there) > MOST_AXES or len(indices) > len(there):
        return None
    for chosen in permutations(there, len(indices)):
        if any(a.size is not b.size for a, b in zip(indices, chosen, strict=True)):
            continue
        table: dict[Expr, Expr] = dict(zip(indices, chosen, strict=True))
        renamed = Counter({substitute(f, table): n for f, n in own.items()})
        if any(factors[f] < n for f, n in renamed.items()):
            continue
        rest = list((factors - renamed).elements())
        summed = {table[i] for i in statement.over}
        target = substitute(statement.target, table)
        assert isinstance(target, Entry), "an entry with other indices is one"
        left = frozenset[Index]().union(*map(free_indices, rest))
        if summed.isdisjoint(left) and left <= set(target.indices):
            return target, rest
    return None


def _indices(expr: Expr) -> Iterator[Index]:
    for entry in entries(expr):
        yield from axes(entry)


def _opened(factors: list[Expr], made: Mapping[Tensor, Statement]) -> Counter[Expr]:
    """The factors of a product, products that have a name of their own taken apart."""
    found = Counter[Expr]()
    while factors:
        factor = factors.pop()
        maker = made.get(factor.tensor) if isinstance(factor, Entry) else None
        if isinstance(factor, Entry) and isinstance(maker, Map) and is_plain(maker.target) and is_plain(factor):
            value = maker.value
            if isinstance(value, (Multiply, Entry)):
                table: dict[Expr, Expr] = dict(zip(maker.target.indices, factor.indices, strict=True))
                factors += factors_of(substitute(value, table))
                continue
        if isinstance(factor, Multiply):
            factors += factor.factors
            continue
        found[factor] += 1
    return found


def _added(total: Contract, parts: list[tuple[Entry, list[Expr]]], form: Form) -> list[Statement]:
    """total = the sum of these parts, each one number."""
    names = {s.target.tensor.name for s in form.statements} | {t.name for t in form.inputs}
    statements, numbers = list[Statement](), list[Expr]()

    def named(indices: tuple[Index, ...]) -> Entry:
        name = next(n for k in count(1) if (n := f"q{k}") not in names)
        names.add(name)
        return Entry(Tensor(name, tuple(i.size for i in indices)), indices)

    for known, rest in parts:
        scalars = [f for f in rest if not free_indices(f)]
        arrays = [f for f in rest if free_indices(f)]
        part, order = named(()), axes(known)
        if not arrays:
            statements.append(Reduce(part, "sum", known, order))
        else:
            factor = multiply(*arrays)
            if not isinstance(factor, Entry) or set(factor.indices) != set(order):
                left = named(order)
                statements.append(Map(left, factor))
                factor = left
            statements.append(Contract(part, known, factor, order))
        numbers.append(multiply(*scalars, part))
    statements.append(Map(total.target, add(*numbers)))
    return statements
