"""Expression -> mathematics: parentheses where precedence asks for them, fractions, roots, sums with their ranges.

Main names: `layout_of` (any writer), `latex` and `mathml`. All names are written by a `Notation`. Bound indices are
renamed where two nested sums share a name. This module must not know about programs, proofs or documents.

Example:
    >>> from symbackprop.expression.build import Entry, Index, Symbol, Tensor
    >>> s = Symbol("s_1", "size")
    >>> latex(Entry(Tensor("W1", (s, s)), (Index("i", s), Index("j", s))))
    'W^{(1)}_{ij}'
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
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
    add,
)
from symbackprop.expression.functions import Function
from symbackprop.rendering.conventions import (
    IndexNames,
    is_root,
    ordered_terms,
    over_and_under,
    scope_of,
    signed,
    whole_matrix,
)
from symbackprop.rendering.layout import (
    TIMES,
    Big,
    Cases,
    Fence,
    Fraction,
    Glyph,
    Layout,
    Root,
    Script,
    has_fence,
    operator,
    relation,
    row,
    word,
)
from symbackprop.rendering.mathml import to_mathml
from symbackprop.rendering.notation import (
    WEIGHTS,
    Notation,
    derivative_layout,
    derivative_name,
    function_layout,
    letter,
    separated,
    tensor_layout,
)
from symbackprop.rendering.tex import to_tex

_MOST_TERMS = 8  # like terms beyond this are shown as first + second + ⋯ + last
# How tightly the outermost operation binds. A sum or a derivative reaches as far right as it can.
_COMPARE, _ADD, _REACHING, _MULTIPLY, _POWER, _ATOM = range(6)


def latex(expr: Expr, notation: Notation = WEIGHTS) -> str:
    """The LaTeX of `expr`, for math mode with amsmath."""
    return to_tex(layout_of(expr, notation))


def mathml(expr: Expr, notation: Notation = WEIGHTS, *, display: bool = True) -> str:
    """The MathML of `expr`, a complete `math` element."""
    mode = ' display="block"' if display else ""
    return f"<math{mode}>{to_mathml(layout_of(expr, notation))}</math>"


def equality_mathml(left: Expr, right: Expr, notation: Notation = WEIGHTS) -> str:
    """left = right as a MathML formula of its own, as a notebook shows it."""
    layout = row(layout_of(left, notation), relation("="), layout_of(right, notation))
    return f'<math display="block">{to_mathml(layout)}</math>'


def chain_latex(lines: Sequence[tuple[Expr | None, Expr] | tuple[Expr, Expr]], notation: Notation = WEIGHTS) -> str:
    """Equalities below each other, aligned, between dollar signs; one without a left side goes on with the last."""
    written = (f"{latex(left, notation) if left else ''} &= {latex(right, notation)}" for left, right in lines)
    return r"$\displaystyle \begin{aligned} " + r" \\ ".join(written) + r" \end{aligned}$"


def layout_of(expr: Expr, notation: Notation = WEIGHTS) -> Layout:
    """`expr` laid out in a notation."""
    scope = scope_of(expr, notation.another, notation.rename)
    return _LayoutMaker(notation).layout(expr, scope)[0]


class _LayoutMaker:
    """Lays out expressions in one notation; each method returns the layout and how tightly it binds."""

    def __init__(self, notation: Notation) -> None:
        self.notation = notation

    def layout(self, expr: Expr, scope: IndexNames) -> tuple[Layout, int]:
        match expr:
            case Number() | Multiply():
                return self._product(expr, scope)
            case Sum() if signed(expr)[0]:
                return self._product(expr, scope)
            case Symbol(name, _):
                return letter(name), _ATOM
            case Index():
                return letter(scope.names[expr]), _ATOM
            case Entry():
                return self._entry(expr, scope), _ATOM
            case Add(terms):
                return self._terms(ordered_terms(terms), scope), _ADD
            case Power():
                return self._power(expr, scope)
            case Sum() | Extremum() | Position():
                return self._binder(expr, scope)
            case Apply(function, arguments):
                return self._applied(function, arguments, scope), _ATOM
            case MatrixEntry():
                return self._matrix_entry(expr, scope), _ATOM
            case Family(_, body):
                return self.layout(body, scope.enter(expr.index))
            case Kronecker(left, right):
                one, other = self._indices((left, right), scope)
                return Fence("[", row(one, relation("="), other), "]"), _ATOM
            case Compare():
                return Fence("[", self._condition(expr, scope), "]"), _ATOM
            case Where():
                return self._where(expr, scope), _REACHING
            case Quotient(left, right):
                return Fence(
                    "⌊",
                    row(self._at_least(left, scope, _MULTIPLY), Glyph("/"), self._at_least(right, scope, _ATOM)),
                    "⌋",
                ), _ATOM
            case Remainder(left, right):
                parts = (
                    self._at_least(left, scope, _MULTIPLY),
                    Glyph("mod", "function"),
                    self._at_least(right, scope, _MULTIPLY),
                )
                return row(parts[0], word(" "), parts[1], word(" "), parts[2]), _ADD
            case Partial():
                return self._partial(expr, scope)
            case Total(cost, variable):
                return derivative_layout(self._entry(cost, scope), self._entry(variable, scope)), _ATOM
        raise AssertionError(f"no layout for {type(expr).__name__}")

    def _at_least(self, expr: Expr, scope: IndexNames, least: int) -> Layout:
        """`expr`, in brackets if it binds less tightly than `least`."""
        body, level = self.layout(expr, scope)
        return body if level >= least else _bracketed(body)

    def _terms(self, terms: tuple[Expr, ...], scope: IndexNames) -> Layout:
        shown: list[tuple[Layout, ...]] = []
        for term in terms:
            negative, magnitude = signed(term)
            sign = (operator("−" if negative else "+"),) if shown or negative else ()
            shown.append((*sign, self._at_least(magnitude, scope, _REACHING)))
        if len(shown) > _MOST_TERMS:
            shown = _elided(shown)
        return row(*(part for term in shown for part in term))

    def _product(self, expr: Expr, scope: IndexNames) -> tuple[Layout, int]:
        negative, magnitude = signed(expr)
        body, level = self._ratio(magnitude, scope)
        if not negative:
            return body, level
        return row(operator("−"), body if level >= _REACHING else _bracketed(body)), _ADD

    def _ratio(self, expr: Expr, scope: IndexNames) -> tuple[Layout, int]:
        """A positive product: constants such as λ/(2m) as one fraction in front, unless one factor is all there is."""
        if isinstance(expr, Number) and re.fullmatch("1/10{3,}", str(expr.value)):  # 10^-5
            places = Glyph(str(len(str(expr.value)) - 3), "number")
            return Script(Glyph("10", "number"), None, row(operator("−"), places)), _POWER
        over, under = over_and_under(expr)
        if not under:
            return self._factors(over, scope)
        constant = all(_is_constant(f) for f in under)
        if len(over) == 1 and not (_stands_aside(over[0]) or (constant and isinstance(over[0], Power))):
            return Fraction(self.layout(over[0], scope)[0], self._factors(under, scope)[0]), _POWER
        front = [f for f in over if (_is_constant(f) if constant else not _stands_aside(f))]
        rest = tuple(f for f in over if f not in front)
        fraction = Fraction(self._factors(tuple(front) or (ONE,), scope)[0], self._factors(under, scope)[0])
        if not rest:
            return fraction, _POWER
        body, level = self._factors(rest, scope, alone=False)
        return row(fraction, TIMES, body), min(level, _MULTIPLY)

    def _factors(self, factors: tuple[Expr, ...], scope: IndexNames, *, alone: bool = True) -> tuple[Layout, int]:
        """Factors beside each other; a sum may stand without brackets only at the end."""
        if len(factors) == 1 and isinstance(factors[0], Number):
            return Glyph(str(factors[0].value), "number"), _ATOM
        if len(factors) == 1 and alone:
            return self.layout(factors[0], scope)
        parts: list[Layout] = []
        level = _MULTIPLY
        for place, factor in enumerate(factors):
            last = place == len(factors) - 1
            body, binds = self.layout(factor, scope)
            if isinstance(factor, Number):
                body, binds = Glyph(str(factor.value), "number"), _ATOM
            if binds < (_REACHING if last else _MULTIPLY):
                body = _bracketed(body)
            elif last:
                level = min(level, binds)
            if parts:
                parts += _between(factors[place - 1], factor)
            parts.append(body)
        return row(*parts), level

    def _power(self, expr: Power, scope: IndexNames) -> tuple[Layout, int]:
        if is_root(expr):
            return Root(self.layout(expr.base, scope)[0]), _ATOM
        if signed(expr.exponent)[0]:
            return self._ratio(expr, scope)
        exponent = self.layout(expr.exponent, scope)[0]
        if isinstance(expr.exponent, Number) and expr.exponent.value.denominator != 1:
            exponent = Glyph(str(expr.exponent.value), "number")  # 3/2, not a fraction with a bar
        if isinstance(expr.base, Apply) and isinstance(expr.exponent, Number):
            return self._applied(expr.base.function, expr.base.arguments, scope, exponent), _POWER
        base, level = self.layout(expr.base, scope)
        if level >= _ATOM and isinstance(base, Script) and base.above is None:
            return Script(base.base, base.below, exponent), _POWER
        if level < _ATOM or isinstance(base, Script | Fraction):
            base = _bracketed(base)
        return Script(base, None, exponent), _POWER

    def _binder(self, expr: Sum | Extremum | Position, scope: IndexNames) -> tuple[Layout, int]:
        inner = scope.enter(expr.index)
        name = letter(inner.names[expr.index])
        first = Glyph(str(self.notation.first), "number")
        last = self.layout(expr.index.size if self.notation.first else add(expr.index.size, MINUS_ONE), scope)[0]
        body = self._at_least(expr.body, inner, _REACHING)
        if isinstance(expr, Sum):
            return row(Big("∑", row(name, relation("="), first), last), body), _REACHING
        head = expr.kind if isinstance(expr, Extremum) else f"arg {expr.kind}"
        limits = row(first, relation("≤"), name, relation("≤"), last)
        return row(Big(head, limits), body), _REACHING

    def _matrix_entry(self, expr: MatrixEntry, scope: IndexNames) -> Layout:
        """(C⁻¹) with its indices, chol, det and log |det|."""
        made = self._made_of_matrix(expr, scope)
        if not expr.places:
            return made
        return Script(Fence("(", made, ")"), separated(self._indices(expr.places, scope)), None)

    def _made_of_matrix(self, expr: MatrixEntry, scope: IndexNames) -> Layout:
        matrix = self._matrix(expr, scope)
        name = {"determinant": "det"}.get(expr.kind, "chol")
        if expr.kind == "inverse":
            minus = row(operator("−"), Glyph("1", "number"))
            plain = isinstance(matrix, Glyph)
            return Script(matrix if plain else Fence("(", matrix, ")"), None, minus)
        if expr.kind == "logdet":
            return row(Glyph("log", "function"), Fence("|", row(Glyph("det", "function"), matrix), "|"))
        return row(Glyph(name, "function"), Fence("(", matrix, ")"))

    def _matrix(self, expr: MatrixEntry, scope: IndexNames) -> Layout:
        """A matrix by its name, turned over or not; one without a name by its entry."""
        found = whole_matrix(expr)
        if found is None:
            inner = expr.matrix.body
            assert isinstance(inner, Family), "a matrix is a family of rows, each a family of entries"
            within = scope.enter(expr.matrix.index)
            names = within.enter(inner.index).names
            both = row(*(letter(names[i]) for i in (expr.matrix.index, inner.index)))
            return Script(Fence("(", self.layout(inner, within)[0], ")"), both, None)
        whole, turned = found
        if isinstance(whole, MatrixEntry):
            matrix = self._made_of_matrix(whole, scope)
        else:
            tensor, outer = letter(whole.tensor.name), whole.indices[:-2]
            matrix = Script(tensor, separated(self._indices(outer, scope)), None) if outer else tensor
        return Script(matrix, None, Glyph("T", "number")) if turned else matrix

    def _applied(
        self, function: Function, arguments: tuple[Expr, ...], scope: IndexNames, exponent: Layout | None = None
    ) -> Layout:
        if function.name == "abs":
            inner = Fence("|", self.layout(arguments[0], scope)[0], "|")
            return inner if exponent is None else Script(inner, None, exponent)
        name = function_layout(function, self.notation)
        inside = separated([self.layout(a, scope)[0] for a in arguments])
        if exponent is None:
            return row(name, Fence("(", inside, ")"))
        if isinstance(name, Script):  # f'(z)^2 rather than a square on the prime
            return row(name, Script(Fence("(", inside, ")"), None, exponent))
        return row(Script(name, None, exponent), Fence("(", inside, ")"))

    def _condition(self, expr: Expr, scope: IndexNames) -> Layout:
        """A relation as it is read: `z > 0` where the node says 0 < z."""
        if not isinstance(expr, Compare | Kronecker):
            return row(self.layout(expr, scope)[0], relation("="), Glyph("1", "number"))
        asked = "==" if isinstance(expr, Kronecker) else expr.relation
        left, right, mark = expr.left, expr.right, {"<": "<", "<=": "≤", "==": "="}[asked]
        if isinstance(left, Number) and not isinstance(right, Number):
            left, right, mark = right, left, {"<": ">", "≤": "≥", "=": "="}[mark]
        return row(self._at_least(left, scope, _ADD), relation(mark), self._at_least(right, scope, _ADD))

    def _where(self, expr: Where, scope: IndexNames) -> Layout:
        """Cases; conditions that are asked one after the other stand in one table."""
        lines: list[tuple[Layout, Layout]] = []
        rest: Expr = expr
        last: Expr | None = None  # what the condition before has bounded from above, and by what
        while isinstance(rest, Where):
            conditions, value = _nested(rest)
            shown = [self._range(c, last, scope) for c in conditions]
            words = [p for c in shown for p in (word(" and "), c)][1:]
            lines.append((self.layout(value, scope)[0], row(word("if "), *words)))
            last, rest = conditions[0] if len(conditions) == 1 else None, rest.otherwise
        lines.append((self.layout(rest, scope)[0], word("otherwise")))
        return Cases(tuple(lines))

    def _range(self, condition: Expr, last: Expr | None, scope: IndexNames) -> Layout:
        """A condition; after `j < H` was asked, `j < 2H` is H ≤ j < 2H."""
        if (
            isinstance(condition, Compare)
            and isinstance(last, Compare)
            and condition.relation == last.relation == "<"
            and condition.left is last.left
        ):
            return row(self._at_least(last.right, scope, _ADD), relation("≤"), self._condition(condition, scope))
        return self._condition(condition, scope)

    def _partial(self, expr: Partial, scope: IndexNames) -> tuple[Layout, int]:
        variable = self._entry(expr.variable, scope)
        if isinstance(expr.expression, Entry):
            return derivative_layout(self._entry(expr.expression, scope), variable, direct=True), _ATOM
        operand = self._at_least(expr.expression, scope, _MULTIPLY)
        return row(derivative_layout(None, variable, direct=True), TIMES, operand), _MULTIPLY

    def _entry(self, expr: Entry, scope: IndexNames) -> Layout:
        return tensor_layout(expr.tensor.name, self._indices(expr.indices, scope), self.notation)

    def _indices(self, indices: tuple[Expr, ...], scope: IndexNames) -> list[Layout]:
        """Indices as they are shown: a number is moved to where this notation begins to count."""
        moved = (add(i, ONE) if isinstance(i, Number) and self.notation.first else i for i in indices)
        return [self.layout(i, scope)[0] for i in moved]


def _elided(terms: list[tuple[Layout, ...]]) -> list[tuple[Layout, ...]]:
    """Terms with long runs in which only numbers grow, each by the same step, as first + second + ⋯ + last."""
    out: list[tuple[Layout, ...]] = []
    for _, alike in itertools.groupby(terms, key=lambda t: _shape_of(row(*t[-1:]))):
        run = list(alike)
        counted = [[int(n) for n in re.findall(r"\d+", to_tex(row(*t[-1:])))] for t in run]
        steps = {tuple(m - n for m, n in zip(b, a, strict=True)) for a, b in itertools.pairwise(counted)}
        regular = len(run) > _MOST_TERMS and len(steps) == 1
        out += [*run[:2], (operator("+"), Glyph("⋯")), run[-1]] if regular else run
    return out


def _nested(expr: Where) -> tuple[list[Expr], Expr]:
    """The conditions under which a value is taken, else the same as if the first fails; and that value."""
    conditions, value = [expr.condition], expr.then
    while isinstance(value, Where) and value.otherwise is expr.otherwise:
        conditions.insert(0, value.condition)
        value = value.then
    return conditions, value


def _shape_of(layout: Layout) -> str:
    """The LaTeX with all numbers alike: the terms of a long sum over layers agree in it."""
    return re.sub(r"\d+", "#", to_tex(layout))


def _bracketed(body: Layout) -> Layout:
    """Round brackets, or square ones around a formula that has tall round ones inside."""
    return Fence("[", body, "]") if has_fence(body) else Fence("(", body, ")")


def _stands_aside(factor: Expr) -> bool:
    """True for a factor that is too tall to be squeezed into a fraction."""
    if isinstance(factor, Entry):
        return derivative_name(factor.tensor.name) is not None
    if isinstance(factor, Add):
        return any(_is_tall(term) for term in factor.terms)
    return isinstance(factor, Sum | Where | Extremum | Total | Partial)


def _is_tall(term: Expr) -> bool:
    """True for a term with a sum, or with a fraction that is no constant."""
    over, under = over_and_under(signed(term)[1])
    return any(isinstance(f, Sum | Extremum) for f in over) or not all(_is_constant(f) for f in under)


def _is_constant(expr: Expr) -> bool:
    return isinstance(expr, Number | Symbol) or (isinstance(expr, Power) and _is_constant(expr.base))


def _between(left: Expr, right: Expr) -> list[Layout]:
    """What stands between two factors: a dot between numbers, nothing within 2m, else a thin space."""
    base = right.base if isinstance(right, Power) else right
    if isinstance(left, Number) and isinstance(base, Number):
        return [operator("·")]
    short_left = isinstance(left, Number) or (isinstance(left, Symbol) and len(left.name) == 1)
    return [] if short_left and isinstance(base, Symbol) else [TIMES]
