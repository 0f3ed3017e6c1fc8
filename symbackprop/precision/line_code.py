"""An equation as a line of NumPy in the user's own names, as one would write it: broadcasting, sums along axes.

Main name: `line_of`. What it cannot write it refuses; whoever uses a line has it traced and proved again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from symbackprop.expression.build import (
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Kronecker,
    Multiply,
    Number,
    Power,
    Sum,
    Symbol,
    Tensor,
    Where,
    free_indices,
    nodes_once,
    open_binder,
)
from symbackprop.expression.functions import EXP, LOG
from symbackprop.expression.program import Equation

NAMES = {
    "exp": "np.exp", "log": "np.log", "tanh": "np.tanh", "sin": "np.sin", "cos": "np.cos", "abs": "np.abs",
    "expm1": "np.expm1", "log1p": "np.log1p", "atan": "np.arctan", "floor": "np.floor",
}  # fmt: skip
COMPARISON, SUM, PRODUCT, POWER, ATOM = range(5)


class NotWritten(Exception):
    """There is no such line."""


def line_of(equation: Equation, called: Mapping[str, str]) -> str:
    """The equation as an assignment; "" where it cannot be written.

    Args:
        called: the user's own names by those of the tensors.
    """
    writer = _Writer(called)
    try:
        name = writer.name(equation.tensor)
        writer.lengths.clear()  # it is made here
        writer.learn_lengths(equation.value)
        return f"{name} = {writer.text(equation.value, list(equation.indices), SUM)}"
    except NotWritten:
        return ""


class _Writer:
    def __init__(self, called: Mapping[str, str]) -> None:
        self.called = called
        self.lengths: dict[Expr, str] = {}

    def name(self, tensor: Tensor) -> str:
        name = self.called.get(tensor.name, tensor.name)
        if not name.isidentifier():
            raise NotWritten
        for axis, size in enumerate(tensor.shape):
            self.lengths.setdefault(size, f"{name}.shape[{axis}]")
        return name

    def learn_lengths(self, expr: Expr) -> None:
        """The lengths of all arrays that are read."""
        for node in nodes_once(expr):
            if isinstance(node, Entry) and self.called.get(node.tensor.name, node.tensor.name).isidentifier():
                self.name(node.tensor)

    def text(self, expr: Expr, frame: Sequence[Index], around: int) -> str:
        """The expression as an array over the last of these indices, in brackets where what is around needs them."""
        text, own = self.written(expr, frame)
        return f"({text})" if own < around else text

    def written(self, expr: Expr, frame: Sequence[Index]) -> tuple[str, int]:
        match expr:
            case Number(value):
                return _number(value)
            case Symbol(name, kind):
                if kind == "size":
                    if expr not in self.lengths:
                        raise NotWritten
                    return self.lengths[expr], ATOM
                return ("np.pi" if name == "pi" else name), ATOM
            case Entry(tensor, indices):
                return self.entry(tensor, indices, frame), ATOM
            case Index():
                if expr not in frame or expr.size not in self.lengths:
                    raise NotWritten
                after = "".join(", None" for _ in frame[list(frame).index(expr) + 1 :])
                return f"np.arange({self.lengths[expr.size]}){f'[:{after}]' if after else ''}", ATOM
            case Kronecker(left, right):
                return self.written(Compare("==", left, right), frame)
            case Add(terms):
                return self.sum(terms, frame), SUM
            case Multiply(factors):
                return self.product(factors, frame)
            case Power(base, exponent):
                return self.power(base, exponent, frame)
            case Sum():
                return self.reduced(expr, frame, "sum")
            case Extremum():
                return self.reduced(expr, frame, expr.kind)
            case Where(condition, then, otherwise):
                parts = ", ".join(self.written(p, frame)[0] for p in (condition, then, otherwise))
                return f"np.where({parts})", ATOM
            case Compare(relation, left, right):
                sign: str = relation
                if isinstance(left, Number) and not isinstance(right, Number):
                    left, right, sign = right, left, {"<": ">", "<=": ">="}.get(relation, relation)
                return f"{self.text(left, frame, PRODUCT)} {sign} {self.text(right, frame, PRODUCT)}", COMPARISON
            case Apply(function, (argument,)) if function.name == "softplus":
                return f"np.logaddexp(0, {self.text(argument, frame, SUM)})", ATOM
            case Apply(function, arguments) if function.name == "hypot":
                return f"np.hypot({', '.join(self.text(a, frame, SUM) for a in arguments)})", ATOM
            case Apply(function, (Sum() as total,)) if function is LOG and _of_exponentials(total):
                return self.reduced(total, frame, "logaddexp")
            case Apply(function, (argument,)) if function.name in NAMES:
                return f"{NAMES[function.name]}({self.text(argument, frame, SUM)})", ATOM
        raise NotWritten

    def sum(self, terms: Sequence[Expr], frame: Sequence[Index]) -> str:
        """Positive terms first, as one writes them; of three or more, exponentials last: they may be small."""
        many = len(terms) > 2
        ordered = sorted(
            terms, key=lambda t: (many and _has_exponential(t), _is_negative(t), not isinstance(t, Number))
        )
        text = self.text(ordered[0], frame, SUM)
        for term in ordered[1:]:
            text += (
                f" - {self.text(_opposite(term), frame, PRODUCT)}"
                if _is_negative(term)
                else f" + {self.text(term, frame, PRODUCT)}"
            )
        return text

    def product(self, factors: Sequence[Expr], frame: Sequence[Index]) -> tuple[str, int]:
        """A quotient where there are negative powers; the mean where a sum is divided by its length."""
        factors = list(factors)
        for total in [f for f in factors if isinstance(f, Sum)]:
            length = Power(total.index.size, Number(Fraction(-1)))
            if length in factors:
                factors.remove(length)
                mean = self.reduced(total, frame, "mean")[0]
                factors.remove(total)
                return self._quotient(mean, factors, frame)
        return self._quotient("", factors, frame)

    def _quotient(self, first: str, factors: Sequence[Expr], frame: Sequence[Index]) -> tuple[str, int]:
        above = [self.text(f, frame, PRODUCT) for f in factors if not _divides(f) and f is not MINUS]
        below = [self.text(_inverse(f), frame, POWER) for f in factors if _divides(f)]
        above = [first, *above] if first else above
        sign = "-" if MINUS in factors else ""
        text = sign + (" * ".join(above) or "1")
        if len(above) + len(below) == 1 and not sign:
            return text, ATOM if first and not factors else PRODUCT
        return text + "".join(f" / {b}" for b in below), SUM if sign else PRODUCT

    def power(self, base: Expr, exponent: Expr, frame: Sequence[Index]) -> tuple[str, int]:
        if isinstance(exponent, Number):
            if exponent.value == Fraction(1, 2):
                return f"np.sqrt({self.text(base, frame, SUM)})", ATOM
            if exponent.value < 0:
                return f"1 / {self.text(_inverse(Power(base, exponent)), frame, POWER)}", PRODUCT
        return f"{self.text(base, frame, ATOM)}**{self.text(exponent, frame, ATOM)}", POWER

    def reduced(self, expr: Sum | Extremum, frame: Sequence[Index], method: str) -> tuple[str, int]:
        """A sum or an extremum along an axis: in the place of an index that is not in it, or along one more.

        Args:
            method: of arrays; or "logaddexp" for the logarithm of a sum of exponentials.
        """
        index, body = open_binder(expr)
        if method == "logaddexp":
            assert isinstance(body, Apply), "an exponential"
            body = body.arguments[0]
        free = free_indices(body)
        if index not in free:
            raise NotWritten
        product = self.matrix_product(index, body, frame) if method == "sum" else ""
        if product:
            return product, SUM
        places = [
            k for k, i in enumerate(frame) if i not in free and (i.size is index.size or i.size is Number(Fraction(1)))
        ]
        if places:
            place = places[-1]
            inner = [*frame[:place], index, *frame[place + 1 :]]
            axis = f"axis={place - len(frame)}, keepdims=True"
        else:
            inner, axis = [*frame, index], "axis=-1"
        if method == "logaddexp":
            return f"np.logaddexp.reduce({self.text(body, inner, SUM)}, {axis})", ATOM
        return f"{self.text(body, inner, ATOM)}.{method}({axis})", ATOM

    def matrix_product(self, index: Index, body: Expr, frame: Sequence[Index]) -> str:
        """x @ w where a sum over a product of two matrices is one; "" elsewhere."""
        if not (isinstance(body, Multiply) and len(body.factors) == 2 and len(frame) == 2):
            return ""
        rows: dict[tuple[Expr, ...], str] = {(frame[0], index): "", (index, frame[0]): ".T"}
        columns: dict[tuple[Expr, ...], str] = {(index, frame[1]): "", (frame[1], index): ".T"}
        for left, right in (body.factors, body.factors[::-1]):
            if not (isinstance(left, Entry) and isinstance(right, Entry)):
                return ""
            first, second = rows.get(left.indices), columns.get(right.indices)
            if first is not None and second is not None:
                return f"{self.name(left.tensor)}{first} @ {self.name(right.tensor)}{second}"
        return ""

    def entry(self, tensor: Tensor, indices: Sequence[Expr], frame: Sequence[Index]) -> str:
        """A tensor with new axes where the frame has indices that it does not; read at places that are computed."""
        name = self.name(tensor)
        if any(isinstance(index, Entry) for index in indices):
            return f"{name}[{', '.join(self.text(index, frame, SUM) for index in indices)}]"
        places: list[int | None] = []
        for index, size in zip(indices, tensor.shape, strict=True):
            if isinstance(index, Index) and index in frame and index.size is size:
                places.append(list(frame).index(index))
            elif isinstance(index, Number) and index.value == 0 and size is Number(Fraction(1)):
                places.append(None)  # an axis of length 1 may stand anywhere
            else:
                raise NotWritten
        fixed = [p for p in places if p is not None]
        if fixed == sorted(fixed, reverse=True) and len(fixed) > 1 and len(fixed) == len(places):
            name, places, fixed = f"{name}.T", places[::-1], fixed[::-1]
        if fixed != sorted(set(fixed)):
            raise NotWritten
        if not fixed:
            if places:
                raise NotWritten
            return name
        start = fixed[0]
        if places[0] is None:
            raise NotWritten
        shape: list[str] = []
        waiting = list(places)
        for place in range(start, len(frame)):
            if waiting and (waiting[0] == place or (waiting[0] is None and place not in fixed)):
                waiting.pop(0)
                shape.append(":")
            else:
                shape.append("None")
        if waiting:
            raise NotWritten
        return name if "None" not in shape else f"{name}[{', '.join(shape)}]"


MINUS = Number(Fraction(-1))


def _number(value: Fraction) -> tuple[str, int]:
    if value.denominator == 1:
        return str(value.numerator), ATOM if value >= 0 else PRODUCT
    if Fraction(repr(float(value))) == value:
        return repr(float(value)), ATOM if value >= 0 else SUM
    return f"{value.numerator} / {value.denominator}", PRODUCT if value >= 0 else SUM


def _of_exponentials(total: Sum) -> bool:
    """Whether a sum is one of exponentials as they are: where the largest is subtracted, they are added up plainly."""
    body = open_binder(total)[1]
    return (
        isinstance(body, Apply) and body.function is EXP and not any(isinstance(n, Extremum) for n in nodes_once(body))
    )


def _is_negative(term: Expr) -> bool:
    first = term.factors[0] if isinstance(term, Multiply) else term
    return isinstance(first, Number) and first.value < 0


def _has_exponential(term: Expr) -> bool:
    return any(isinstance(n, Apply) and n.function is EXP for n in nodes_once(term))


def _opposite(term: Expr) -> Expr:
    if isinstance(term, Number):
        return Number(-term.value)
    assert isinstance(term, Multiply)
    first, *rest = term.factors
    assert isinstance(first, Number)
    if first.value == -1:
        return rest[0] if len(rest) == 1 else Multiply(tuple(rest))
    return Multiply((Number(-first.value), *rest))


def _divides(factor: Expr) -> bool:
    return isinstance(factor, Power) and isinstance(factor.exponent, Number) and factor.exponent.value < 0


def _inverse(factor: Expr) -> Expr:
    assert isinstance(factor, Power) and isinstance(factor.exponent, Number)
    return factor.base if factor.exponent.value == -1 else Power(factor.base, Number(-factor.exponent.value))


__all__ = ["line_of"]
