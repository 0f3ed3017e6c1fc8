"""One exponential for all logistic functions of an argument, where a value and its slope need both of them.

    sigmoid(z), sigmoid(-z)    ->    e = exp(z), kept finite;    r = 1/(1 + e);    e*r, r

    tanh(z) beside sigmoid(2z), sigmoid(-2z)    ->    their difference, and tanh(z) where that loses digits

Each keeps its digits where it is small, as sigmoid(-z) does and 1 - sigmoid(z) does not, and each costs one operation
more where the exponential is there. It is kept finite, since inf * 0 is no number. Where -z has a name only for the
exponential, z takes it: the two functions change places, and no pass over the numbers turns their signs.
Main name: `with_one_exponential`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count

from symbackprop.codegen.lowering.form import Form, Map, Marked, Statement, axes, is_plain, prune, reads, subexpressions
from symbackprop.codegen.lowering.share import Key, key
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    Add,
    Apply,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Power,
    Tensor,
    add,
    apply,
    free_indices,
    multiply,
    negate,
    number,
    power,
    rewrite,
    substitute,
)
from symbackprop.expression.functions import EXP, FUNCTIONS
from symbackprop.proofs.stable_functions import FINITE_EXP, TANH_BESIDE

_SIGMOID, _TANH = FUNCTIONS["sigmoid"], FUNCTIONS["tanh"]


def with_one_exponential(form: Form) -> Form:
    """The form with one exponential where sigmoid(z) and sigmoid(-z) are both wanted; left as it is if it has loops."""
    return form if form.loops else _Sharing(form).run()


def _is_negative(value: Expr) -> bool:
    return isinstance(value, Multiply) and value.factors[0] is MINUS_ONE


@dataclass
class _Pair:
    """sigmoid(z) and sigmoid(-z): where they occur, and the tensors that hold them once they are made.

    Args:
        z: as it stands where it was met first.
        order: its indices there.
    """

    z: Expr
    order: tuple[Index, ...]
    signs: set[bool] = field(default_factory=set)
    made: dict[bool, Tensor] = field(default_factory=dict)


class _Sharing:
    def __init__(self, form: Form) -> None:
        self.form = form
        self.made: Mapping[Tensor, Statement] = {s.target.tensor: s for s in form.statements}
        self.names = {t.name for t in (*self.made, *form.inputs)}
        self.pairs: dict[Key, tuple[_Pair, bool]] = {}  # by the argument, and which sign of the pair's that is
        self.triples: list[tuple[Tensor, Tensor, Tensor]] = []  # the exponential, and what is made of it, in order
        self.statements: list[Statement] = []

    def run(self) -> Form:
        elementwise = [s for s in self.form.statements if isinstance(s, (Map, Marked)) and is_plain(s.target)]
        for s in elementwise:
            for node in subexpressions(s.value):
                self._note(node, axes(s.target))
        if all(len(pair.signs) < 2 for pair, _ in self.pairs.values()):
            return self.form
        for statement in self.form.statements:
            self.statements.append(self._with_held(statement))  # after what it needs
        found = prune(replace(self.form, statements=tuple(self.statements)), self.form.outputs)
        return self._without_minus(found)

    def _without_minus(self, form: Form) -> Form:
        """The form with z in the place of a -z that nothing but an exponential reads."""
        readers = Counter(t for s in form.statements for t in {*reads(s)})
        found, comments = {s.target.tensor: s for s in form.statements}, dict(form.comments)
        for exponential, falling, rising in self.triples:
            maker, first, second = found.get(exponential), found.get(falling), found.get(rising)
            if not (isinstance(maker, Map) and isinstance(first, Map) and isinstance(second, Map)):
                continue  # one of the two is not wanted any more
            argument = maker.value.arguments[0] if isinstance(maker.value, Apply) else None
            inner = found.get(argument.tensor) if isinstance(argument, Entry) else None
            if not isinstance(argument, Entry) or not isinstance(inner, Map) or not _is_negative(inner.value):
                continue
            minus = inner.target.tensor
            if not is_plain(inner.target) or readers[minus] > 1 or minus in form.outputs:
                continue
            z = Tensor(self._name("z"), minus.shape)
            if minus in comments:
                comments[z] = f"{z.name} = -{minus.name}, where {comments[minus]}"
            found[minus] = Map(Entry(z, inner.target.indices), negate(inner.value))
            found[exponential] = Map(maker.target, apply(FINITE_EXP, Entry(z, argument.indices)))
            found[falling] = Map(second.target, first.value)
            found[rising] = Map(first.target, multiply(maker.target, second.target))
        return replace(form, statements=tuple(found.values()), comments=comments)

    def _with_held(self, s: Statement) -> Statement:
        if not isinstance(s, (Map, Marked)) or not is_plain(s.target):
            return s
        order = axes(s.target)
        return replace(s, value=rewrite(s.value, lambda e: self._held(e, order) or self._tanh(e, order)))

    def _note(self, expr: Expr, order: tuple[Index, ...]) -> None:
        z = self._argument(expr)
        if z is None or not free_indices(z):
            return
        own = tuple(i for i in order if i in free_indices(z))
        mark = key("map", z, own)
        if mark not in self.pairs:
            pair = _Pair(z, own)
            self.pairs |= {mark: (pair, True), key("map", negate(z), own): (pair, False)}
        pair, sign = self.pairs[mark]
        pair.signs.add(sign)

    def _argument(self, expr: Expr) -> Expr | None:
        """z of sigmoid(z), or of 1/(1 + exp(-z)), also where the exponential has a name."""
        if isinstance(expr, Apply) and expr.function == _SIGMOID:
            return expr.arguments[0]
        if not isinstance(expr, Power) or expr.exponent is not MINUS_ONE or not isinstance(expr.base, Add):
            return None
        others = [t for t in expr.base.terms if t is not ONE]
        if len(expr.base.terms) != 2 or len(others) != 1:
            return None
        inner = others[0]
        maker = self.made.get(inner.tensor) if isinstance(inner, Entry) else None
        if isinstance(inner, Entry) and isinstance(maker, Map) and is_plain(maker.target):
            inner = substitute(maker.value, dict(zip(maker.target.indices, inner.indices, strict=True)))
        return negate(inner.arguments[0]) if isinstance(inner, Apply) and inner.function is EXP else None

    def _held(self, expr: Expr, order: tuple[Index, ...]) -> Expr | None:
        """The array in place of a logistic function; the statements that make it come first."""
        z = self._argument(expr)
        if z is None or not free_indices(z):
            return None
        own = tuple(i for i in order if i in free_indices(z))
        pair, sign = self.pairs[key("map", z, own)]
        if len(pair.signs) < 2:
            return None
        if not pair.made:
            self._make(pair)
        return Entry(pair.made[sign], own)

    def _tanh(self, expr: Expr, order: tuple[Index, ...]) -> Expr | None:
        """tanh(z) by the logistic functions of 2z, which cost less than it does, where both are wanted anyway."""
        if not isinstance(expr, Apply) or expr.function != _TANH or not free_indices(expr):
            return None
        z = expr.arguments[0]
        own = tuple(i for i in order if i in free_indices(z))
        pair, sign = self.pairs.get(key("map", multiply(number(2), z), own), (None, True))
        if pair is None or len(pair.signs) < 2:
            return None
        if not pair.made:
            self._make(pair)
        high, low = (Entry(pair.made[s], own) for s in (sign, not sign))
        return apply(TANH_BESIDE, rewrite(z, lambda e: self._held(e, order)), high, low)

    def _make(self, pair: _Pair) -> None:
        shape = tuple(i.size for i in pair.order)
        exponential, rising, falling = (Entry(Tensor(self._name(), shape), pair.order) for _ in range(3))
        lead = pair.z.factors[0] if isinstance(pair.z, Multiply) else None
        rises = not (isinstance(lead, Number) and lead.value < 0)  # of z and -z the one that has no minus
        z = rewrite(pair.z, lambda e: self._held(e, pair.order))
        z = z if rises else negate(z)
        self.statements += [
            Map(exponential, apply(FINITE_EXP, z)),
            Map(falling, power(add(ONE, exponential), MINUS_ONE)),
            Map(rising, multiply(exponential, falling)),
        ]
        self.triples.append((exponential.tensor, falling.tensor, rising.tensor))
        pair.made = {rises: rising.tensor, not rises: falling.tensor}

    def _name(self, stem: str = "e") -> str:
        name = next(n for k in count(1) if (n := f"{stem}{k}") not in self.names)
        self.names.add(name)
        return name
