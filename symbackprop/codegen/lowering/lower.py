"""Program -> imperative form.

Every equation becomes one elementwise statement, with the sums, extrema and index look-ups inside it taken out into
statements of their own; sums become contractions of two arrays (`contract`). Equal subexpressions are found by
comparing them up to the names of their indices, so that softmax's row sum is computed once. `share` and `prune` do
the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import count
from typing import Literal

from symbackprop.codegen.lowering.contract import deltas, distributes, factors_of, grouped, next_pair, opened
from symbackprop.codegen.lowering.finite import FiniteTensors
from symbackprop.codegen.lowering.form import (
    Contract,
    Form,
    Gather,
    Join,
    Map,
    OfMatrix,
    Reduce,
    ReduceKind,
    Statement,
    axes,
    is_plain,
    reads,
    unbound,
)
from symbackprop.codegen.lowering.loop import LoopPlan, loop_of
from symbackprop.codegen.lowering.merged import digits, divided
from symbackprop.codegen.lowering.pieces import pieces
from symbackprop.codegen.lowering.schedule import needed, scheduled
from symbackprop.codegen.lowering.share import Key, key, share
from symbackprop.codegen.lowering.skewed import skewed
from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import (
    ONE,
    ZERO,
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
    Sum,
    Tensor,
    Total,
    Where,
    add,
    children,
    entries,
    entries_once,
    free_indices,
    multiply,
    nodes_once,
    rebuild,
    substitute,
    where,
)
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.recurrence import Recurrence
from symbackprop.expression.sizes import decide, simplify
from symbackprop.proofs.stable_functions import machine_form


def _must_have_its_loop(form: Form) -> None:
    """Refuse a step that is stored beside the steps of another tensor, and that no loop goes through."""
    for statement in form.statements:
        if any(free_indices(i) for i in statement.target.indices if not isinstance(i, Index)):
            raise UnsupportedError(
                f"no code for a recurrence whose steps lie in one array: {statement.target.tensor.name}"
            )


def _must_have_own_names(form: Form) -> None:
    """Refuse two arrays of one name: the printed code could not tell them apart."""
    seen: dict[str, Tensor] = {t.name: t for t in form.inputs}
    for statement in form.statements:
        tensor = statement.target.tensor
        if seen.setdefault(tensor.name, tensor) is not tensor:
            raise UnsupportedError(
                f"internal error: two arrays are called {tensor.name}", help="please report this case"
            )


def lower(program: Program, comments: Mapping[Tensor | Entry, str] | None = None) -> Form:
    """The imperative form of `program`, pruned to its outputs.

    Raises:
        UnsupportedError: an arbitrary function, a derivative that is not worked out, steps that no loop stores.
    """
    program = skewed(program)
    lowering = Lowering(program)
    for block in program.blocks:
        if isinstance(block, Recurrence):
            lowering.recurrence(block)
        else:
            lowering.equation(block)
    form = Form(program.inputs, tuple(lowering.statements), program.outputs, program.parameters, comments or {})
    shared = share(needed(form, lowering.plans), taken=lowering.names)
    form = scheduled(needed(shared, lowering.plans), lowering.plans)
    _must_have_its_loop(form)
    _must_have_own_names(form)
    return replace(form, parameters=(*form.parameters, *unbound(form)))


class Lowering:
    """The statements so far, and what is known about the tensors they define."""

    def __init__(self, program: Program) -> None:
        self.facts = program.facts
        self.statements: list[Statement] = []
        self.known: dict[Key, Tensor] = {}
        self.program, self.given = program, set(program.tensors)
        self.names = {t.name for t in program.tensors}
        self.order: list[Index] = []  # the axes of the target, then the bound indices opened so far
        self.plans: list[LoopPlan] = []
        self.steps: dict[Tensor, int] = {}  # of arrays that the recurrence fills step by step, the axis of steps
        self.moving: set[Tensor] = set()  # what depends on the steps of the present recurrence

    def recurrence(self, block: Recurrence) -> None:
        """Append the statements of a recurrence, those of its rounds as if all rounds were done at once."""
        plan = loop_of(block, self.facts, self.names)
        self.plans.append(plan)
        self.steps, self.moving = dict(plan.axes), set(plan.axes) | {a.tensor for a in plan.body}
        for target, value, _ in plan.starts:
            self.order = [i for i in target.indices if isinstance(i, Index)]
            self.statements.append(Map(target, self.elementwise(machine_form(value), guarded=True)))
        for a in plan.body:
            self.equation(Equation(a.tensor, a.indices, a.value), a.beyond)
        self.steps = {}

    def equation(self, equation: Equation, guarded: bool = False) -> None:
        """Append the statements of one equation; the last one defines its tensor.

        Args:
            guarded: some of its values are not used: what it reads for them may lie outside.
        """
        found = pieces(equation, self.facts, self.plans[-1].index if self.steps else None)
        if found is not None:
            self._joined(equation, *found, guarded)
            return
        if not self.plans:
            parts = divided(equation, self._name, self.facts)
            if parts is not None:
                self._merged(equation, *parts, guarded)
                return
        self._single(equation, guarded)

    def _merged(self, equation: Equation, inner: Equation, entry: Entry, guarded: bool) -> None:
        """Append the statements of an equation over the parts of merged axes, and the look-up that merges them."""
        self._single(inner, guarded)
        if inner.tensor is not equation.tensor:
            seen = digits(entry, self.facts)
            self.statements.append(Gather(equation.left, entry.tensor, entry.indices, False, seen))

    def _single(self, equation: Equation, guarded: bool) -> None:
        """Append the statements of an equation as it stands."""
        self.order = list(equation.indices)
        first = len(self.statements)
        value = self.elementwise(machine_form(equation.value), guarded)
        self._note_moving(first)
        value = self._fixed_apart(value, root=True)
        if len(self.statements) > first and self.statements[-1].target is value and value.indices == equation.indices:
            # The last temporary is the whole value: let it be the equation's tensor.
            old = self.statements[-1].target.tensor
            self.statements[-1] = replace(self.statements[-1], target=equation.left)
            self.known = {k: equation.tensor if t is old else t for k, t in self.known.items()}
        else:
            self.statements.append(Map(equation.left, value))
            self.known.setdefault(key("map", value, equation.indices), equation.tensor)
        self._note_moving(first)

    def _joined(self, equation: Equation, along: Index, parts: list[tuple[Index, Expr]], guarded: bool) -> None:
        """Append the statements of an equation whose value is another one on each part of an axis."""
        entries = list[Entry]()
        for part, value in parts:
            indices = tuple(part if i is along else i for i in equation.indices)
            tensor = Tensor(self._name(), tuple(i.size for i in indices), equation.tensor.kind)
            self.equation(Equation(tensor, indices, value), guarded)
            entries.append(Entry(tensor, indices))
        self.statements.append(Join(equation.left, tuple(entries), along))
        self._note_moving(len(self.statements) - 1)

    def _note_moving(self, first: int) -> None:
        """Of the statements from number `first` on, note which depend on the steps of the present recurrence."""
        for statement in self.statements[first:] if self.steps else ():
            if not self.moving.isdisjoint(reads(statement)):
                self.moving.add(statement.target.tensor)

    def _fixed_apart(self, expr: Expr, root: bool = False) -> Expr:
        """Beside what depends on the present recurrence, what does not as an array: it is computed for all steps."""
        if not self.steps or (root and not self._moves(expr)):
            return expr
        if not self._moves(expr):
            return self._operand(expr) if free_indices(expr) and self._is_costly(expr) else expr
        parts = children(expr)
        if isinstance(expr, (Add, Multiply)):
            fixed = [p for p in parts if not self._moves(p)]
            moving = [self._fixed_apart(p) for p in parts if self._moves(p)]
            together = rebuild(expr, tuple(fixed)) if len(fixed) > 1 else None
            if together is not None and self._is_costly(together):
                return rebuild(expr, (*moving, self._fixed_apart(together)))
            return rebuild(expr, (*moving, *map(self._fixed_apart, fixed)))
        new = tuple(self._fixed_apart(p) for p in parts) if not isinstance(expr, Entry) else parts
        return expr if new == parts else rebuild(expr, new)

    def _is_costly(self, expr: Expr) -> bool:
        """True if a value is better computed for all steps at once: sums and products are cheaper in the cache."""
        made = {s.target.tensor for s in self.statements if isinstance(s, (Contract, Reduce))}
        for node in nodes_once(expr):
            if isinstance(node, Entry) and expr is not node and node.tensor in made:
                return True
            if isinstance(node, (Apply, Where, Compare, Kronecker)):
                return True
            if isinstance(node, Power) and not (isinstance(node.exponent, Number) and node.exponent.value == 2):
                return True
        return False

    def _moves(self, expr: Expr) -> bool:
        return any(e.tensor in self.moving for e in entries_once(expr))

    def elementwise(self, expr: Expr, guarded: bool = False) -> Expr:
        """`expr` over plain entries only: what is not elementwise becomes a temporary.

        Args:
            guarded: an index look-up inside may lie outside, since its value is not used there.
        """
        match expr:
            case Entry():
                return expr if self._is_whole(expr) or self._is_step(expr) else self._gather(expr, guarded)
            case Sum():
                return self._sum(expr, guarded)
            case Extremum() | Position():
                return self._extremum(expr)
            case Where(condition, then, otherwise):
                # Both branches are computed for all entries, so look-ups inside them must not fail.
                return where(
                    self.elementwise(condition, guarded),
                    self.elementwise(then, True),
                    self.elementwise(otherwise, True),
                )
            case Multiply(factors):
                guarded = guarded or any(map(_is_guard, factors))
            case MatrixEntry():
                return self._of_matrix(expr, guarded)
            case Partial() | Total():
                raise UnsupportedError("a derivative that has not been worked out cannot become code")
        parts = children(expr)
        new = tuple(self.elementwise(p, guarded) for p in parts)
        return expr if new == parts else rebuild(expr, new)

    def _is_whole(self, entry: Entry) -> bool:
        """True if the indices run over the whole array: m may range over M + D where an axis has only D."""
        ranges = zip(entry.indices, entry.tensor.shape, strict=True)
        return is_plain(entry) and all(
            i.size is size or simplify(i.size, self.facts) is simplify(size, self.facts)
            for i, size in ranges
            if isinstance(i, Index)
        )

    def _is_step(self, entry: Entry) -> bool:
        """True if one step is meant of an array that a recurrence fills, and there is this step."""
        axis = self.steps.get(entry.tensor)
        if axis is None or not self._is_whole_but(entry, axis):
            return False
        place, size = entry.indices[axis], entry.tensor.shape[axis]
        return self._is_inside(place, size) and not any(True for _ in entries(place))

    def _is_whole_but(self, entry: Entry, axis: int) -> bool:
        """True if the entry has the whole array but for one axis."""
        rest = (*entry.indices[:axis], *entry.indices[axis + 1 :])
        shape = (*entry.tensor.shape[:axis], *entry.tensor.shape[axis + 1 :])
        return self._is_whole(Entry(Tensor(entry.tensor.name, shape), rest)) and entry.indices[axis] not in rest

    def _gather(self, entry: Entry, guarded: bool) -> Entry:
        positions = tuple(self.elementwise(i, guarded) for i in entry.indices)
        guarded = guarded and not all(map(self._is_inside, positions, entry.tensor.shape))
        tag = "guarded" if guarded else "gather"
        value = Entry(entry.tensor, positions)
        source, whole = entry.tensor, () if guarded or self.steps else digits(value, self.facts)
        order = tuple(i for i in whole if isinstance(i, Index)) if whole else _along(value)
        order = order if set(order) == free_indices(value) else ()
        return self._temporary(
            tag, value, lambda target: Gather(target, source, positions, guarded, whole), source.kind, order
        )

    def _is_inside(self, place: Expr, size: Expr) -> bool:
        return bool(decide("<=", ZERO, place, self.facts) and decide("<", place, size, self.facts))

    def _of_matrix(self, expr: MatrixEntry, guarded: bool) -> Expr:
        """An entry of what is made of each matrix, which is computed as a whole."""
        if self.steps:
            raise UnsupportedError("an inverse or a determinant inside a recurrence cannot become code")
        row, rows = expr.matrix.index, expr.matrix.body
        assert isinstance(rows, Family), "a matrix is a family of rows"
        inside, body = (row, rows.index), rows.body
        own = tuple(i for i in expr.places if isinstance(i, Index) and i not in free_indices(body))
        if len(set(own)) == 2:  # the entry that is asked for is that of the whole array
            inside, body = (own[0], own[1]), substitute(body, {row: own[0], rows.index: own[1]})
        self.order += [i for i in inside if i not in self.order]
        matrix = self._operand(self.elementwise(body))
        outer = tuple(i for i in axes(matrix) if i not in inside)
        if not set(inside) <= set(matrix.indices):
            whole = matrix
            matrix = self._temporary("map", whole, lambda target: Map(target, whole), indices=(*outer, *inside))
        mark = key(expr.kind, matrix, (*outer, *inside))
        tensor = self.known.get(mark)
        places = (*outer, *(inside if expr.places else ()))
        if tensor is None:
            tensor = self.known[mark] = Tensor(self._name(), tuple(i.size for i in places))
            self.statements.append(OfMatrix(Entry(tensor, places), expr.kind, matrix, inside))
            if len(set(own)) == 2:
                return self.statements[-1].target
        return self.elementwise(Entry(tensor, (*outer, *expr.places)), guarded)

    def _extremum(self, expr: Extremum | Position) -> Expr:
        self.order.append(expr.index)
        body = self.elementwise(expr.body)
        self.order.remove(expr.index)
        if expr.index not in free_indices(body):  # all entries are equal, and there is one
            return body if isinstance(expr, Extremum) else ZERO
        self.order.append(expr.index)
        operand = self._operand(body)
        self.order.remove(expr.index)
        kind: ReduceKind = expr.kind
        if isinstance(expr, Position):
            kind = "argmax" if expr.kind == "max" else "argmin"
        value = type(expr)(expr.kind, expr.index, operand)
        sort: Literal["real", "integer"] = "integer" if isinstance(expr, Position) else "real"
        return self._temporary("reduce", value, lambda target: Reduce(target, kind, operand, (expr.index,)), sort)

    def _sum(self, expr: Sum, guarded: bool) -> Expr:
        over, body = opened(expr)
        if isinstance(body, Where) and free_indices(body.condition).isdisjoint(over):  # asked once for the whole sum
            return self.elementwise(
                where(body.condition, _summed(over, body.then), _summed(over, body.otherwise)), guarded
            )
        if isinstance(body, Where) and body.otherwise is ZERO:
            self.order += over
            masked = self._mask_in_a_factor(body, guarded)
            del self.order[len(self.order) - len(over) :]
            if masked is not None:
                return self._sum_of_product(over, masked, True)
        if isinstance(body, Add) and distributes(body):
            return add(*(self._sum_of_product(list(over), factors_of(term), guarded) for term in body.terms))
        return self._sum_of_product(over, factors_of(body), guarded)

    def _mask_in_a_factor(self, body: Where, guarded: bool) -> list[Expr] | None:
        """where(c, p*v, 0) as where(c, p, 0)*v, where v has other indices than c: the sum is a product of two arrays.

        Only where v is finite: what is not, the mask may be there to hide. None where nothing is gained.
        """
        condition = self.elementwise(body.condition, guarded)
        asked, factors = free_indices(condition), factors_of(self.elementwise(body.then, True))
        apart = [f for f in factors if not free_indices(f) >= asked and self._is_finite(f)]
        inside = where(condition, multiply(*(f for f in factors if f not in apart)), ZERO)
        return [inside, *apart] if free_indices(inside) != free_indices(body) else None

    @cached_property
    def finite(self) -> FiniteTensors:
        """Which tensors are finite; few programs ask."""
        return FiniteTensors(self.program)

    def _is_finite(self, factor: Expr) -> bool:
        """True for an entry of an array that is finite if the inputs are."""
        if not isinstance(factor, Entry):
            return False
        if factor.tensor in self.given:
            return self.finite.holds(factor.tensor)
        match next((s for s in self.statements if s.target.tensor is factor.tensor), None):
            case Gather(_, source, positions):
                return self._is_finite(Entry(source, positions))
            case Contract(_, left, right, _):
                return self._is_finite(left) and self._is_finite(right)
        return False

    def _sum_of_product(self, over: list[Index], factors: list[Expr], guarded: bool) -> Expr:
        """Sum a product: deltas contracted, constant factors in front, the rest by contractions of two arrays."""
        over, factors = deltas(over, factors, self.facts)
        guarded = guarded or any(isinstance(f, Where) and _is_guard(f) for f in factors)
        self.order += over
        done = [f for factor in factors for f in factors_of(self.elementwise(factor, guarded))]
        used = frozenset[Index]().union(*map(free_indices, done))
        outside = [i.size for i in over if i not in used] + [f for f in done if free_indices(f).isdisjoint(over)]
        inside = [f for f in done if not free_indices(f).isdisjoint(over)]
        total = self._contracted([i for i in over if i in used], inside) if inside else ONE
        del self.order[len(self.order) - len(over) :]
        return multiply(*outside, total)

    def _contracted(self, over: list[Index], factors: list[Expr]) -> Entry:
        arrays: list[Entry] = [self._operand(g) for g in grouped(factors)]
        while len(arrays) > 2:
            first, second, gone = next_pair(arrays, over)
            product = self._product(arrays[first], arrays[second], gone)
            arrays = [a for p, a in enumerate(arrays) if p not in (first, second)] + [product]
            over = [i for i in over if i not in gone]
        if len(arrays) == 2:
            return self._product(arrays[0], arrays[1], over)
        return self._reduced(arrays[0], over)

    def _reduced(self, operand: Entry, over: list[Index]) -> Entry:
        if not over:
            return operand
        value = _summed(over, operand)
        return self._temporary("reduce", value, lambda target: Reduce(target, "sum", operand, tuple(over)))

    def _product(self, left: Entry, right: Entry, over: list[Index]) -> Entry:
        if not over:
            return self._operand(multiply(left, right))
        left = self._reduced(left, [i for i in over if i not in right.indices])
        right = self._reduced(right, [i for i in over if i not in left.indices and i in right.indices])
        over = [i for i in over if i in left.indices and i in right.indices]
        if not over:
            return self._operand(multiply(left, right))
        value = _summed(over, multiply(left, right))
        return self._temporary("contract", value, lambda target: Contract(target, left, right, tuple(over)))

    def _operand(self, value: Expr) -> Entry:
        """`value` as an array: an entry as it stands, anything else by a statement of its own."""
        if isinstance(value, Entry) and (self._is_whole(value) or self._is_step(value)):
            return value
        return self._temporary("map", value, lambda target: Map(target, value), indices=_lying(value))

    def _temporary(
        self,
        tag: str,
        value: Expr,
        make: Callable[[Entry], Statement],
        kind: Literal["real", "integer"] = "real",
        indices: tuple[Index, ...] = (),
    ) -> Entry:
        """An array that holds `value`, made by `make(target)` unless an equal one is known; its axes may be told."""
        indices = indices or tuple(sorted(free_indices(value), key=self.order.index))
        mark = key(tag, value, indices)
        tensor = self.known.get(mark)
        if tensor is None:
            tensor = self.known[mark] = Tensor(self._name(), tuple(i.size for i in indices), kind)
            self.statements.append(make(Entry(tensor, indices)))
        return Entry(tensor, indices)

    def _name(self) -> str:
        name = next(n for k in count(1) if (n := f"t{k}") not in self.names)
        self.names.add(name)
        return name


def _is_guard(factor: Expr) -> bool:
    """True for what is 0 where something does not hold: what else stands in the product may be nothing there."""
    if isinstance(factor, Where):
        return ZERO in (factor.then, factor.otherwise)
    return isinstance(factor, (Compare, Kronecker))


def _lying(value: Expr) -> tuple[Index, ...]:
    """The axes of `value` in the order in which most arrays of it lie; none if no array has all of them."""
    wanted = free_indices(value)
    found = Counter(e.indices for e in entries(value) if len(e.indices) == len(wanted) and wanted.issuperset(e.indices))
    return found.most_common(1)[0][0] if found else ()  # type: ignore[return-value]


def _along(entry: Entry) -> tuple[Index, ...]:
    """The axes of a window in the order in which it lies; none if it is no window."""
    found = [free_indices(p) for p in entry.indices]
    indices = tuple(i for free in found for i in free)
    return indices if all(len(f) <= 1 for f in found) and len(set(indices)) == len(indices) else ()


def _summed(over: list[Index], body: Expr) -> Expr:
    for index in reversed(over):
        body = Sum(index, body)
    return body
