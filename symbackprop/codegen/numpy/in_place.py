"""Elementwise statements of the `out=` form: ufunc calls that work in place as soon as an operand is no longer needed.

Main name: `Elementwise`. It asks the plan of the buffers for room and for the names of what is there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symbackprop.codegen.lowering.form import axes
from symbackprop.codegen.numpy.expressions import ATOM, over_and_under
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Multiply,
    Number,
    Power,
    Tensor,
    Where,
    entries,
    free_indices,
    multiply,
    negate,
    power,
)

if TYPE_CHECKING:
    from symbackprop.codegen.numpy.buffer_plan import Plan

Shape = tuple[Expr, ...]
INTO = ("sigmoid", "tail")  # helpers with an `out` argument
UFUNC = {"exp": "exp", "log": "log", "sin": "sin", "cos": "cos", "tanh": "tanh", "abs": "abs"}


@dataclass(frozen=True)
class Buffer:
    """An array of the workspace: its name in the code and the shape it is allocated with."""

    name: str
    shape: Shape
    fill: str = "empty"


@dataclass
class Operand:
    """A value in the middle of an expression: its text, and the buffer that may be overwritten, if any.

    Args:
        reads: the tensors that the text reads when it is used.
    """

    text: str
    buffer: Buffer | None = None
    is_number: bool = False
    reads: tuple[Tensor, ...] = ()


class Elementwise:
    """The ufunc calls of one elementwise statement."""

    def __init__(self, plan: Plan, target: Entry, position: int) -> None:
        self.plan, self.target, self.position = plan, target, position
        self.order = axes(target)
        self.left: Counter[Tensor] = Counter()  # how often each tensor is still to be read
        self.pending: Counter[Tensor] = Counter()  # operands that read it and are not used yet

    def run(self, value: Expr) -> None:
        """Compute `value` into the target."""
        plan, tensor = self.plan, self.target.tensor
        self.left = Counter(e.tensor for e in entries(value))
        result = self.value(value, root=True)
        home = plan.holds.get(tensor)
        if result.buffer is not None and home is None:
            if result.buffer in plan.free:
                plan.free.remove(result.buffer)
            plan.rename(tensor, result.buffer)
        elif result.buffer is None or result.buffer is not home:
            home = plan.home(self.target)
            plan.lines.append(f"np.copyto({home.name}, {result.text})")
            if result.buffer is not None and result.buffer not in plan.given:
                plan.free.append(result.buffer)
        else:
            plan.rename(tensor, result.buffer)

    def value(self, expr: Expr, root: bool = False) -> Operand:
        """The text of an expression, after the calls that compute it; at the root the result goes to the target."""
        if not free_indices(expr):
            return Operand(self.plan.number(expr), is_number=True)
        match expr:
            case Entry():
                return self._entry(expr)
            case Add(terms):
                return self._sum(list(terms), root)
            case Multiply():
                return self._product(expr, root)
            case Power(_, Number(value)) if value in (2, -1) or value.denominator == 2:
                return self._power(expr, root)
            case Apply(function, (argument,)) if function.name in (*UFUNC, *INTO, "relu", "softplus"):
                inner = self.value(argument)
                if function.name == "softplus":
                    return self._call("np.logaddexp", [Operand(self.plan.constant("0"), is_number=True), inner], root)
                if function.name == "sigmoid" and self.plan.fixed:
                    return self._sigmoid(inner, root)
                if function.name in INTO:
                    self.plan.writer.helpers.add(function.name)
                    return self._call(function.name, [inner], root)
                if function.name == "relu":
                    return self._call("np.maximum", [inner, Operand(self.plan.constant("0"), is_number=True)], root)
                return self._call(f"np.{UFUNC[function.name]}", [inner], root)
            case Where(Compare("<", left, right), then, otherwise) if then is ONE and otherwise is ZERO:
                return self._call("np.less", [self.value(left), self.value(right)], root)
        inside = tuple(e.tensor for e in entries(expr))
        self.left.subtract(inside)
        text = self.plan.writer._wrapped(self.plan.writer.value(expr, self.order), ATOM)
        return self._waiting(Operand(text, reads=inside))

    def _waiting(self, operand: Operand) -> Operand:
        self.pending.update(operand.reads)
        return operand

    def _entry(self, entry: Entry) -> Operand:
        plan, tensor = self.plan, entry.tensor
        self.left[tensor] -= 1
        text = plan.writer.value(entry, self.order)[0]
        buffer = plan.holds.get(tensor)
        # In a * (1 - a) the second a may not be overwritten while the first is still waiting.
        dying = plan.last.get(tensor) == self.position and not self.left[tensor] and not self.pending[tensor]
        own = plan.holds.get(self.target.tensor)
        if buffer is not None and dying and entry.indices == self.order and (buffer not in plan.given or buffer is own):
            return self._waiting(Operand(plan.names[tensor], buffer, reads=(tensor,)))
        repeated = plan.repeated(entry, self.order)
        if repeated is not None:
            return Operand(repeated)
        if plan.fixed and text != plan.names[tensor] and plan.called.get(plan.names[tensor], True) is not None:
            text = plan.once(text, f"{plan.names[tensor]}_view")
        return self._waiting(Operand(text, reads=(tensor,)))

    def _call(self, function: str, operands: list[Operand], root: bool) -> Operand:
        """function(operands, out=...), in place in an operand that is no longer needed."""
        plan = self.plan
        for operand in operands:
            self.pending.subtract(operand.reads)
        own = plan.holds.get(self.target.tensor)
        spare = [o.buffer for o in operands if o.buffer is not None]
        if root and own is not None and self._is_safe(own, operands):
            out = own
        elif spare:
            out = spare[0]
        else:
            out = plan.take(tuple(i.size for i in self.order))
        for buffer in spare:
            if buffer is not out and buffer not in plan.free and buffer not in plan.given:
                plan.free.append(buffer)
        name = self._name(out, operands)
        arguments = ", ".join(o.text for o in operands)
        keyword = "out=" if function in ("np.maximum", "np.minimum") else ""
        plan.lines.append(f"{function}({arguments}, {keyword}{name})")
        return Operand(name, out)

    def _sigmoid(self, inner: Operand, root: bool) -> Operand:
        """(1 + tanh(z/2))/2, which costs the fewest calls and cannot overflow."""
        half = Operand(self.plan.constant("0.5"), is_number=True)
        total = self._call("np.tanh", [self._call("np.multiply", [inner, half], root)], root)
        return self._call("np.add", [self._call("np.multiply", [total, half], root), half], root)

    def _is_safe(self, own: Buffer, operands: list[Operand]) -> bool:
        """True if nothing that is still to be read lives in the target's buffer."""
        held = [t for t, b in self.plan.holds.items() if b is own and t is not self.target.tensor]
        return all(self.left[t] == 0 for t in held)

    @staticmethod
    def _name(out: Buffer, operands: list[Operand]) -> str:
        return next((o.text for o in operands if o.buffer is out), out.name)

    def _sum(self, terms: list[Expr], root: bool) -> Operand:
        minus = [_is_negative(t) for t in terms]
        if minus[0] and not all(minus):  # begin with a term that needs no minus, when the two can change places
            other = minus.index(False)
            if other == 1:
                terms[0], terms[1], minus[0], minus[1] = terms[1], terms[0], minus[1], minus[0]
        total = self.value(terms[0])
        for position, term in enumerate(terms[1:], 1):
            last = root and position == len(terms) - 1
            added = None if minus[position] else self._multiple(total, term, last)
            if added is not None:
                return added
            function = "np.subtract" if minus[position] else "np.add"
            part = self.value(negate(term) if minus[position] else term)
            total = self._call(function, [total, part], last)
        return total

    def _multiple(self, total: Operand, term: Expr, root: bool) -> Operand | None:
        """total + number * matrix, added in place a few rows at a time; None where it is another term, or is small."""
        plan, target = self.plan, self.plan.holds.get(self.target.tensor)
        parts = term.factors if isinstance(term, Multiply) else ()
        arrays = [f for f in parts if free_indices(f)]
        if plan.fixed or not root or total.buffer is None or total.buffer is not target or len(arrays) != 1:
            return None
        array = arrays[0]
        if not isinstance(array, Entry) or array.indices != self.order or len(self.order) < 2:
            return None
        factor = self.value(multiply(*(f for f in parts if f is not array)))
        plan.writer.helpers.add("add_multiple")
        work = plan.take(tuple(i.size for i in self.order))
        plan.lines.append(f"add_multiple({total.text}, {factor.text}, {self.value(array).text}, {work.name})")
        plan.free.append(work)
        return total

    def _product(self, expr: Multiply, root: bool) -> Operand:
        above, below = over_and_under(expr)
        numbers = [f for f in above if not free_indices(f)]
        arrays = [f for f in above if free_indices(f)]
        coefficient = [power(f, MINUS_ONE) for f in below if not free_indices(f)]
        divisors = [f for f in below if free_indices(f)]
        scale = Multiply((*numbers, *coefficient)) if len(numbers) + len(coefficient) > 1 else None
        single = (numbers + coefficient)[0] if scale is None and numbers + coefficient else scale
        total = self.value(arrays[0]) if arrays else Operand(self.plan.constant("1"), is_number=True)
        steps = [("np.multiply", f) for f in arrays[1:]] + [("np.divide", f) for f in divisors]
        if single is not None:
            is_minus = isinstance(single, Number) and single.value == -1
            steps.append(("np.negative" if is_minus else "np.multiply", single))
        for position, (function, factor) in enumerate(steps):
            last = root and position == len(steps) - 1
            operands = [total] if function == "np.negative" else [total, self.value(factor)]
            total = self._call(function, operands, last)
        return total

    def _power(self, expr: Power, root: bool) -> Operand:
        assert isinstance(expr.exponent, Number)
        value = expr.exponent.value
        base = self.value(expr.base)
        if value == 2:
            return self._call("np.square", [base], root)
        if abs(value) != 1:
            if abs(value.numerator) != 1:
                return self._call("np.power", [base, Operand(repr(float(value)), is_number=True)], root)
            base = self._call("np.sqrt", [base], root and value > 0)
        if value > 0:
            return base
        return self._call("np.divide", [Operand(self.plan.constant("1"), is_number=True), base], root)


def _is_negative(term: Expr) -> bool:
    lead = term.factors[0] if isinstance(term, Multiply) else term
    return isinstance(lead, Number) and lead.value < 0
