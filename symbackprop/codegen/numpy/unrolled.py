"""Tiny nets in plain Python numbers: a loop over the rows, everything inside written out entry by entry.

Below about a hundred multiplications the calls of NumPy cost more than Python's own arithmetic. Functions are those
of `math`, in forms that do not overflow. Main name: `print_unrolled`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import product
from math import prod

from symbackprop.codegen.arguments import size_value
from symbackprop.codegen.lowering.form import Contract, Form, Map, Reduce, Statement, axes
from symbackprop.codegen.lowering.row_blocks import Split
from symbackprop.codegen.numpy.expressions import ADD, ATOM, COMPARE, MULTIPLY, NEGATE, ArrayWriter, Axes, Text
from symbackprop.codegen.numpy.plain import docstring, names_of
from symbackprop.codegen.numpy.prebound import by_name
from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import Apply, Entry, Expr, Index, Number, Power, Symbol, Tensor, free_indices

INDENT = "    "
# Only functions that raise no error of Python's, whatever number they are given.
FUNCTION = {
    "erf": "math.erf({})",
    "tanh": "math.tanh({})",
    "abs": "abs({})",
    "relu": "max({}, 0.0)",
    "sigmoid": "1.0 / (1.0 + math.exp(min(-{}, 709.0)))",
    "tail": "math.log1p(math.exp(-abs({})))",
}
MOST_ENTRIES = 400  # of all statements for one row together: beyond, the text is too long to read


def print_unrolled(name: str, form: Form, split: Split, rows: Symbol, known: Mapping[Symbol, int]) -> str | None:
    """The function `name(arrays, numbers, out, theta, gradient)`; None if the form does not suit, or is too long."""
    if any(size_value(s, known) is None for t in form.inputs for s in t.shape if s is not rows):
        return None
    writer = _Unrolled(form, rows, known)
    try:
        return writer.function(name, split) if writer.entries() <= MOST_ENTRIES else None
    except UnsupportedError:
        return None


class _Unrolled(ArrayWriter):
    def __init__(self, form: Form, rows: Symbol, known: Mapping[Symbol, int]) -> None:
        super().__init__(names_of(form), "math")
        self.form, self.rows, self.known = form, rows, known
        self.place: dict[Index, int] = {}

    def length(self, index: Index) -> int:
        return 1 if index.size is self.rows else size_value(index.size, self.known) or 0

    def entries(self) -> int:
        """How many entries all statements have for one row, with what they are summed over."""
        return sum(prod(map(self.length, _all_axes(s))) for s in self.form.statements)

    def function(self, name: str, split: Split) -> str:
        form, names = self.form, self.names
        tall = [t for t in form.inputs if self.rows in t.shape]
        flat = [t for t in form.inputs if self.rows not in t.shape]
        arguments = [names[t] for t in form.inputs] + [names[p] for p in form.parameters] + ["out", "theta", "gradient"]
        rows = ", ".join(f"({', '.join(self.vector(t))},)" for t in tall)
        data = ", ".join(f"{names[t]}.tolist()" for t in tall)
        results = [e for t in form.outputs if t.shape for e in self.vector(t)]
        scalars = ", ".join(names[t] for t in form.outputs if not t.shape)
        body = [f"{', '.join(e for t in flat for e in self.vector(t))}, = theta.tolist()"]
        body += [line for s in split.before for line in self.lines(s)]
        body += [f"{e} = 0.0" for t in (s.target.tensor for s in split.loop) if t in split.sums for e in self.vector(t)]
        body += [f"for {rows} in zip({data}, strict=True):"]
        body += [INDENT + line for s in split.loop for line in self.lines(s, s.target.tensor in split.sums)]
        body += [line for s in split.after for line in self.lines(s)]
        body += [f"gradient[:] = {', '.join(results)}", f"return {scalars}"]
        head = [f"def {name}({', '.join(arguments)}):", *docstring(form, names)]
        head += [
            f"{INDENT}{names[self.rows]} = {names[tall[0]]}.shape[0]",
            "",
            f"{INDENT}def run({by_name([names[t] for t in tall])}):",
        ]
        return "\n".join([*head, *(2 * INDENT + line for line in body), "", f"{INDENT}return run"]) + "\n"

    def vector(self, tensor: Tensor) -> list[str]:
        """The names of a tensor's entries, row-major; of one row if it has rows."""
        sizes = [1 if s is self.rows else size_value(s, self.known) or 0 for s in tensor.shape]
        return [self.at(tensor, place) for place in product(*map(range, sizes))]

    def at(self, tensor: Tensor, place: Iterable[int]) -> str:
        inner = [str(p) for p, size in zip(place, tensor.shape, strict=True) if size is not self.rows]
        return "_".join([self.names[tensor], *inner]) + "_" * bool(inner)

    def lines(self, statement: Statement, is_sum: bool = False) -> list[str]:
        """One line for each entry of the target."""
        order, made = axes(statement.target), []
        for place in product(*(range(self.length(i)) for i in order)):
            self.place = dict(zip(order, place, strict=True))
            sign = "+=" if is_sum else "="
            made.append(f"{self.at(statement.target.tensor, place)} {sign} {self.right(statement)}")
        return made

    def right(self, statement: Statement) -> str:
        match statement:
            case Map(_, value):
                return self.value(value)[0]
            case Contract(_, left, right, over):
                return " + ".join(f"{self.value(left)[0]} * {self.value(right)[0]}" for _ in self.over(over))
            case Reduce(_, "sum", operand, over):
                return " + ".join(self.value(operand)[0] for _ in self.over(over))
            case Reduce(_, "max" | "min" as kind, operand, over):
                terms = [self.value(operand)[0] for _ in self.over(over)]
                return f"{kind}({', '.join(terms)})" if len(terms) > 1 else terms[0]
        raise UnsupportedError("not unrolled")

    def over(self, indices: Sequence[Index]) -> Iterable[None]:
        """Let the bound indices take all their values, one after the other."""
        for place in product(*(range(self.length(i)) for i in indices)):
            self.place.update(zip(indices, place, strict=True))
            yield None

    def value(self, expr: Expr, order: Axes = ()) -> Text:
        """An expression at the current place."""
        if not isinstance(expr, Entry):
            return super().value(expr, order)
        place = [self.place[i] for i in expr.indices if isinstance(i, Index)]
        return self.at(expr.tensor, place), ATOM

    def _function(self, expr: Apply, order: Axes) -> Text:
        name = expr.function.name
        if name not in FUNCTION:
            raise UnsupportedError("not unrolled")
        least = MULTIPLY if name == "sigmoid" else COMPARE
        argument = self._wrapped(self.value(expr.arguments[0]), least)
        return FUNCTION[name].format(argument), ADD if name == "sigmoid" else ATOM

    def _power(self, expr: Expr, order: Axes) -> Text:
        if not isinstance(expr, Power) or (expr.exponent == Number(Fraction(-1)) and not free_indices(expr.base)):
            return super()._power(expr, order)
        if expr.exponent != Number(Fraction(2)):
            raise UnsupportedError("not unrolled")
        base = self._wrapped(self.value(expr.base), NEGATE)
        return f"{base} * {base}", MULTIPLY

    def _where(self, condition: Expr, then: Expr, otherwise: Expr, order: Axes) -> Text:
        parts = [self._wrapped(self.value(e), ADD) for e in (then, otherwise)]
        return f"({parts[0]} if {self.condition(condition, order)[0]} else {parts[1]})", ATOM

    def _indicator(self, expr: Expr, order: Axes) -> Text:
        return f"float({self.condition(expr, order)[0]})", ATOM


def _all_axes(statement: Statement) -> tuple[Index, ...]:
    over = statement.over if isinstance(statement, (Contract, Reduce)) else ()
    return (*axes(statement.target), *over)
