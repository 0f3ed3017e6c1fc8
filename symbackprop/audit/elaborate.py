r"""Presentation trees -> arrays in index notation, under what a document defines.

    \delta^{(l)}_i = \frac{\partial J}{\partial z^{(l)}_i}

An `Elaborator` reads formulas as arrays: terms, products, functions and powers. A quantity stays an entry of a tensor
that has its name (`quantities`); `equations` says what the document makes of it, at that layer and example. Derivatives
(`derivatives`) are taken along all paths through these equations; `sums` reads sums.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from symbackprop.audit.arrays import Array, Axis, Misfit, NotRead, scalar
from symbackprop.audit.definitions import Definition, Environment
from symbackprop.audit.derivatives import DEEPEST, Derivatives, integer
from symbackprop.audit.grammar import flat
from symbackprop.audit.lengths import Key, Lengths
from symbackprop.audit.names import Mention
from symbackprop.audit.piecewise import (
    by_cases,
    indicator_of,
    mask,
    relation_in,
    subscripted_indicator,
    written_matrix,
)
from symbackprop.audit.scope import Facts, Instance, Reading, Scope
from symbackprop.audit.sums import bound_names, collected
from symbackprop.audit.tree import (
    Annotated,
    Application,
    Big,
    Cases,
    Chain,
    Derivative,
    Differential,
    Dots,
    Group,
    Matrix,
    Node,
    Number,
    Product,
    Root,
    Script,
    Scripts,
    Symbol,
    Terms,
    Text,
    walk,
)
from symbackprop.audit.tree import (
    Fraction as Ratio,
)
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Entry,
    Expr,
    Multiply,
    Power,
    Sum,
    Tensor,
    add,
    apply,
    divide,
    kronecker,
    matrix_entry,
    multiply,
    negate,
    number,
    power,
    substitute,
    subtract,
)
from symbackprop.expression.build import Number as Numeral
from symbackprop.expression.functions import (
    ATAN,
    COS,
    ERF,
    EXP,
    FUNCTIONS,
    LOG,
    SIN,
    WRITTEN_OUT,
    Function,
    arbitrary,
    derivative,
)
from symbackprop.expression.sympy_bridge import PI, written_out

HALF = number(Fraction(1, 2))
NAMED: dict[str, Function] = {
    "exp": EXP, "log": LOG, "ln": LOG, "erf": ERF, "sin": SIN, "cos": COS, "atan": ATAN, "arctan": ATAN,
    **{n: FUNCTIONS[n] for n in ("sigmoid", "tanh", "relu", "softplus", "elu", "gelu", "silu", "abs")},
    "ReLU": FUNCTIONS["relu"], "sigm": FUNCTIONS["sigmoid"], "logistic": FUNCTIONS["sigmoid"],
    "swish": FUNCTIONS["silu"],
}  # fmt: skip


class Elaborator(Derivatives):
    """Reads the formulas of one document; see `Derivatives`, `Equations` and `Quantities` for what it is given."""

    def __init__(
        self,
        env: Environment,
        facts: Facts,
        lengths: Lengths,
        reading: Reading,
        memory: dict[Key, int],
        frontier: Sequence[Instance] | None = None,
    ) -> None:
        super().__init__(env, facts, lengths, reading, memory, frontier)
        self._depth = 0
        self._of_matrix = False  # inside a trace or determinant, where X^2 is a product

    # Formulas.

    def array(self, node: Node, scope: Scope) -> Array:
        """What a formula is.

        Raises:
            NotRead: it has no reading, or its shapes do not fit.
        """
        self._depth += 1
        if self._depth > DEEPEST:
            self._depth = 0
            raise NotRead("definitions lead into each other too deeply")
        try:
            return self._array(node, scope)
        finally:
            self._depth -= 1

    def _array(self, node: Node, scope: Scope) -> Array:
        match node:
            case Number(text):
                return scalar(number(Fraction(text.replace(",", ""))))
            case Symbol():
                return self._symbol(node, scope)
            case Scripts():
                return self._scripts(node, scope)
            case Group():
                return self._group(node, scope)
            case Ratio(top, bottom):
                return self._quotient(self.array(top, scope), self.array(bottom, scope))
            case Root(body, degree):
                exponent = Fraction(1, 2) if degree is None else Fraction(1, integer(degree))
                return self.algebra.each(lambda x: power(x, exponent), self.array(body, scope))
            case Terms(terms, signs):
                return self._terms(terms, signs, scope)
            case Product():
                return self._product(node, scope)
            case Application(function, argument):
                return self._application(function, argument, scope)
            case Big():
                return collected(self, node, scope)
            case Derivative():
                return self.derivative(node, scope)
            case Differential("d", of, None) if self.env.differentials:
                return self.differential(self.array(of, scope))
            case Differential(kind, Product((first, *rest), ("", *operators)), order):
                return self.array(Product((Differential(kind, first, order), *rest), ("", *operators)), scope)
            case Differential():
                mention = self.env.names.mention(node)
                if mention is None or not self._known(mention.family):
                    raise NotRead("a differential stands by itself")
                return self._mentioned(mention, scope)
            case Annotated(_, body, _):
                return self.array(body, scope)
            case Cases():
                return by_cases(self, node, scope)
            case Matrix():
                return written_matrix(self, node, scope)
            case Chain() if (chain := relation_in(node)) is not None:
                return mask(self, chain, scope)
            case Text(words):
                raise NotRead(f"the words \u201c{words.strip()}\u201d stand in the formula")
        raise NotRead(f"{type(node).__name__.lower()} is not read")

    def _symbol(self, node: Symbol, scope: Scope) -> Array:
        name = node.name
        mention = self.env.names.mention(node)
        assert mention is not None
        family = mention.family
        if name in scope.letters and family not in self.env.definitions:
            letter = scope.letters[name]
            return scalar(add(letter.place, number(letter.origin)))
        if name == "pi" and not self._known(family):
            return scalar(PI)
        if name == "e" and not node.accents and not self._known(family) and not self.facts.ranks.get("e"):
            return scalar(apply(EXP, ONE))
        if name == "I" and not self._known(family) and self.facts.ranks.get(family, 2) == 2:
            return self.algebra.identity(("identity", id(node)))
        if family in self.env.bounds and not self._known(family):
            key = ("size", name)
            self.lengths.call(key, name)
            return scalar(self.lengths.size(key))
        if name in ("infty", "emptyset"):
            raise NotRead("infinity is no number")
        return self._mentioned(mention, scope)

    def _known(self, family: str) -> bool:
        return family in self.env.definitions and bool(self.env.definitions[family])

    def _mentioned(self, mention: Mention, scope: Scope) -> Array:
        """A decorated letter with its transpose and power."""
        family = mention.family
        if mention.primes:
            raise NotRead(f"{family}' stands without an argument")
        if family.rsplit(" ", 1)[-1] == "1":
            ones = Array((Axis(("ones", id(mention), *scope.layers.items())),), lambda i: ONE)
            return self.algebra.transposed(ones) if mention.transposed else ones
        if (
            family == "delta"
            and len(mention.components) == 2
            and mention.layer is None
            and not self._entries_of_delta()
        ):
            return self._kronecker(mention, scope)
        if family == "I" and len(mention.components) == 2 and mention.layer is None and not self._known(family):
            return self._kronecker(mention, scope)
        if family in self.env.squared:
            return self._of_square(mention, scope)
        if family in self.env.functions and family not in self.env.definitions:
            raise NotRead(f"the function {family} stands without an argument")
        found = self.quantity(replace(mention, transposed=False, power=None, primes=0), scope)
        if mention.transposed:
            found = self.algebra.transposed(found)
        return self.raised(found, mention.power, scope) if mention.power is not None else found

    def _entries_of_delta(self) -> bool:
        return any(len(d.head.mention.components) == 2 for d in self.env.definitions.get("delta", ()))

    def _kronecker(self, mention: Mention, scope: Scope) -> Array:
        one, two = mention.components
        return scalar(self.equal_indices(one, two, scope))

    def _of_square(self, mention: Mention, scope: Scope) -> Array:
        """sigma where the document speaks of sigma^2 as a quantity."""
        square = self.quantity(replace(mention, family=mention.family + "^2", power=None, transposed=False), scope)
        exponent = Fraction(1)
        if mention.power is not None:
            if not isinstance(mention.power, Number):
                raise NotRead("an exponent that is no number")
            exponent = Fraction(mention.power.text)
        return self.algebra.each(lambda x: power(x, exponent / 2), square)

    def raised(self, array: Array, exponent: Node, scope: Scope) -> Array:
        """A power, entry by entry for a vector; a matrix to the power -1 is its inverse."""
        if array.rank == 2 and self._is_minus_one(exponent):
            return self._inverse(array)
        if array.rank == 2 and isinstance(exponent, Terms):
            match exponent:
                case Terms((Symbol(name) | Group(_, _, (Symbol(name),)),), ("-",)) if name in ("T", "top"):
                    return self.algebra.transposed(self._inverse(array))
        if isinstance(exponent, Symbol) and exponent.name in ("T", "top", "intercal"):
            return self.algebra.transposed(array)
        product = array.rank == 2 and (self.reading.powers or self._of_matrix)
        if product and isinstance(exponent, Number) and exponent.text in ("2", "3"):
            return functools.reduce(self.algebra.times, [array] * int(exponent.text))
        shown = self.array(exponent, scope)
        if shown.rank:
            raise Misfit("an exponent is no array")
        return self.algebra.each(lambda x: _powered(x, shown.at()), array)

    def _is_minus_one(self, node: Node) -> bool:
        match node:
            case Terms((Number("1"),), ("-",)) | Number("-1"):
                return True
        return False

    def _inverse(self, array: Array) -> Array:
        axis = self.algebra.meet(array.axes[0], array.axes[1])
        return Array((axis, axis), lambda i, j: matrix_entry("inverse", axis.size(self.lengths), array.at, (i, j)))

    def _scripts(self, node: Scripts, scope: Scope) -> Array:
        if (
            isinstance(node.base, Symbol)
            and node.base.name == "e"
            and node.below is None
            and not node.primes
            and node.above is not None
            and not self._known("e")
        ):
            return self._exponential(node.above, scope)
        held = subscripted_indicator(node)
        if held is not None:
            return mask(self, held, scope)
        mention = self.env.names.mention(node)
        if mention is not None:
            return self._mentioned(mention, scope)
        if node.primes:
            raise NotRead("a prime that belongs to no function")
        if isinstance(node.base, Group) and node.base.opening == "\u2016" and node.below is not None:
            return self._scripted(self._norm(node.base, node.below, scope), None, node.above, scope)
        return self._scripted(self.array(node.base, scope), node.below, node.above, scope)

    def _exponential(self, above: Script, scope: Scope) -> Array:
        inner = above.items[0] if len(above.items) == 1 else Product(above.items, ("",) * (len(above.items) - 1))
        return self.algebra.each(lambda x: apply(EXP, x), self.array(inner, scope))

    def _scripted(self, array: Array, below: Script | None, above: Script | None, scope: Scope) -> Array:
        """Scripts on something in brackets: (h(x))_k, (a + b)^2, (AB)^T."""
        if below is not None:
            array = self.entry(array, below.items, scope)
        for item in above.items if above is not None else ():
            array = self.raised(array, item, scope)
        return array

    def _group(self, node: Group, scope: Scope) -> Array:
        if len(node.items) != 1:
            raise NotRead("several items in brackets are no number")
        inner = node.items[0]
        if isinstance(inner, Chain):
            return self._iverson(inner, scope)
        found = self.array(inner, scope)
        if node.opening == "|":
            if found.rank == 2:
                return self._determinant(found)
            return self.algebra.each(lambda x: apply(FUNCTIONS["abs"], x), found)
        if node.opening == "\u2016":
            total = self.algebra.summed(self.algebra.each(lambda x: power(x, 2), found)).at()
            return scalar(power(total, Fraction(1, 2)))
        return found

    def _norm(self, group: Group, below: Script, scope: Scope) -> Array:
        """The norm that a subscript names: of Frobenius, 2 or 1."""
        match below.items:
            case (Symbol("F"),) | (Number("2"),):
                return self._group(group, scope)
            case (Number("1"),):
                inner = self.array(group.items[0], scope)
                return self.algebra.summed(self.algebra.each(lambda x: apply(FUNCTIONS["abs"], x), inner))
        raise NotRead("a norm that is not known")

    def _iverson(self, chain: Chain, scope: Scope) -> Array:
        if len(chain.members) == 1:
            return self.array(chain.members[0], scope)
        return mask(self, chain, scope)

    def _determinant(self, array: Array) -> Array:
        axis = self.algebra.meet(array.axes[0], array.axes[1])
        return scalar(matrix_entry("determinant", axis.size(self.lengths), array.at))

    def _quotient(self, top: Array, bottom: Array) -> Array:
        return self.algebra.over(top, bottom)

    def _terms(self, terms: Sequence[Node], signs: Sequence[str], scope: Scope) -> Array:
        arrays = []
        for k, (term, sign) in enumerate(zip(terms, signs, strict=True)):
            if k + 1 < len(terms):
                longer = self._reaching_on(term, terms[k + 1 :], signs[k + 1 :], scope)
                if longer is not None:
                    found = self.array(longer, scope)
                    arrays.append(self._negated(found) if sign == "-" else found)
                    break
            if sign not in "+-":
                raise NotRead(f"the sign {sign} leaves two values")
            found = self.array(term, scope)
            arrays.append(self._negated(found) if sign == "-" else found)
        return arrays[0] if len(arrays) == 1 else self.algebra.plus(*arrays)

    def _reaching_on(self, term: Node, rest: Sequence[Node], signs: Sequence[str], scope: Scope) -> Node | None:
        """A sum whose index stands in the terms behind it too: it is meant to reach over them."""
        last = term.factors[-1] if isinstance(term, Product) else term
        if not isinstance(last, Big) or last.operator != "sum" or last.body is None:
            return None
        try:
            names, _ = bound_names(last)
        except NotRead:
            return None
        loose = {n for n in names if n not in scope.letters and n not in scope.samples and n not in self.free}
        if not any(loose & self._open_letters(t) for t in rest):
            return None
        body = Terms((last.body, *rest), ("+", *signs))
        whole = replace(last, body=body)
        if scope.claim is not None:
            self.conditions["a sum reaches over the terms behind it, in which its index stands"] = None
        return replace(term, factors=(*term.factors[:-1], whole)) if isinstance(term, Product) else whole

    def _open_letters(self, node: Node) -> set[str]:
        """The letters of entries and examples in a formula that no sum in it binds."""
        found: set[str] = set()
        bound: set[str] = set()
        for inner in walk(node):
            if isinstance(inner, Big):
                bound |= {s.name for low in inner.lower for s in walk(low) if isinstance(s, Symbol)}
            mention = self.env.names.mention(inner) if isinstance(inner, Scripts) else None
            if mention is not None:
                marks = (*mention.components, *((mention.sample,) if mention.sample is not None else ()))
                found |= {m.name for m in marks if isinstance(m, Symbol)}
        return found - bound

    def _negated(self, array: Array) -> Array:
        return replace(array, at=lambda *places: negate(array.at(*places)))

    # Products: function on argument, matrix product, Hadamard product.

    def _product(self, node: Product, scope: Scope) -> Array:
        first = node.factors[0]
        if (
            isinstance(first, Derivative)
            and first.form == "subscript"
            and first.of is not None
            and _is_constant(first.of)
        ):
            rest = Product((first.of, *node.factors[1:]), node.operators)
            return self.array(replace(first, of=rest), scope)
        if all(o in ("", "cdot", "times", "/", "div", "@") for o in node.operators):
            return self._run(self._applied(node.factors, node.operators, scope), scope)
        try:
            parts = [self.array(f, scope) for f in node.factors]
            found = parts[0]
            for operator, part in zip(node.operators, parts[1:], strict=True):
                found = self._operated(found, operator, part)
            return found
        except Misfit:
            whole = flat(node)
            if whole == node:
                raise
            return self._run(self._applied(whole.factors, whole.operators, scope), scope)

    def _operated(self, left: Array, operator: str, right: Array) -> Array:
        match operator:
            case "odot" | "circ" | "ast" | "star" | "bullet":
                return self.algebra.hadamard(left, right)
            case "/" | "div" | "oslash":
                return self._quotient(left, right)
            case "cdot":
                return self.algebra.times(left, right, dot=True)
            case "" | "times" | "@":
                return self.algebra.times(left, right)
            case "otimes":
                return self.algebra.outer(left, right)
        raise NotRead(f"the operation {operator} is not read")

    def _applied(self, factors: Sequence[Node], operators: Sequence[str], scope: Scope) -> list[tuple[str, Array]]:
        """The factors as arrays, with the operator before each; a function takes the bracket behind it."""
        found: list[tuple[str, Array]] = []
        k = 0
        while k < len(factors):
            operator = operators[k - 1] if k else ""
            following = factors[k + 1] if k + 1 < len(factors) and operators[k] == "" else None
            taken = self._call(factors[k], following, scope) if following is not None else None
            if taken is not None:
                found.append((operator, taken))
                k += 2
            else:
                found.append((operator, self.array(factors[k], scope)))
                k += 1
        return found

    def _run(self, factors: list[tuple[str, Array]], scope: Scope) -> Array:
        """Factors multiplied from the left, or from the right where the first two do not fit: A (B x)."""
        try:
            return self._from_left(factors)
        except Misfit:
            if len(factors) < 3:
                raise
            for k in range(len(factors) - 1, 0, -1):
                if factors[k][0] in ("/", "div"):
                    raise
                try:
                    joined = self._operated(factors[k - 1][1], factors[k][0], factors[k][1])
                except Misfit:
                    continue
                rest = [*factors[: k - 1], (factors[k - 1][0], joined), *factors[k + 1 :]]
                try:
                    return self._run(rest, scope)
                except Misfit:
                    continue
            raise

    def _from_left(self, factors: list[tuple[str, Array]]) -> Array:
        found = factors[0][1]
        slash = False
        for operator, part in factors[1:]:
            if operator in ("/", "div"):
                slash = True
                found = self._quotient(found, part)
            elif slash and operator == "":
                found = self._quotient(found, part)  # 1/2m
            else:
                slash = False
                found = self._operated(found, operator, part)
        return found

    def _call(self, node: Node, following: Node, scope: Scope) -> Array | None:
        """A function on the bracket behind it, with the scripts of that bracket; None if this is a product."""
        below = above = None
        group = following
        if isinstance(following, Scripts) and isinstance(following.base, Group) and not following.primes:
            group, below, above = following.base, following.below, following.above
        held = relation_in(group) if isinstance(group, Group) and indicator_of(node) else None
        if held is not None:
            return self._scripted(mask(self, held, scope), below, above, scope)
        if not isinstance(group, Group) or group.opening not in "([":
            return None
        mention = self.env.names.mention(node)
        if mention is None or mention.transposed:
            return None
        family = mention.family
        if family in self.env.functions or (family in self.facts.named_functions and mention.primes):
            if len(group.items) != 1:
                return None
            value = self._function(mention, self.array(group.items[0], scope), scope)
        elif self._lists_arguments(mention, group):
            value = self._with_arguments(mention, group, scope)
        else:
            return None
        return self._scripted(value, below, above, scope)

    def _lists_arguments(self, mention: Mention, group: Group) -> bool:
        """True where brackets name what a quantity depends on: J(W, b; x, y), h_\\theta(x^{(i)})."""
        family = mention.family
        if not mention.plain or not all(self._is_argument(i) for i in group.items):
            return False
        known = self.env.definitions.get(family, ())
        if any(d.head.arguments for d in known) or len(group.items) > 1:
            return True
        if family in self.env.abstract or family in self.env.numerators:
            return True
        inner = [self.env.names.mention(i) for i in group.items]
        return family.startswith("h") and all(m is not None and m.family in ("x", "X") for m in inner)

    def _is_argument(self, node: Node) -> bool:
        mention = self.env.names.mention(node)
        return isinstance(node, Dots) or (mention is not None and mention.plain and self._is_whole(mention))

    def _is_whole(self, mention: Mention) -> bool:
        """True for x, and for w_1 of E(w_1, ..., w_K)."""
        family = mention.family
        return not mention.components or (family in self.env.indexed_vectors and len(mention.components) == 1)

    def _with_arguments(self, mention: Mention, group: Group, scope: Scope) -> Array:
        inner = [self.env.names.mention(i) for i in group.items]
        marks = {m.sample for m in inner if m is not None and m.sample is not None}
        known = [d for d in self.env.definitions.get(mention.family, ()) if d.head.arguments]
        if len(known) > 1 and all(len(d.head.arguments) != len(group.items) for d in known):
            raise NotRead(f"{mention.family} is defined for other arguments")
        family = self.signature(mention.family, len(group.items))
        named = replace(mention, family=family)
        if len(marks) == 1 and mention.sample is None:
            named = replace(named, sample=next(iter(marks)))
        return self._mentioned(named, scope)

    def signature(self, family: str, count: int) -> str:
        """The name of what a family with so many arguments means, where it has two meanings."""
        known = [d for d in self.env.definitions.get(family, ()) if d.head.arguments]
        numbers = sorted({len(d.head.arguments) for d in known})
        return family if len(numbers) < 2 or count == numbers[-1] else f"{family}({count})"

    def _function(self, mention: Mention, argument: Array, scope: Scope) -> Array:
        """A function of one argument, or a derivative of it, entry by entry."""
        family = mention.family
        definition = self.env.functions.get(family)
        if definition is not None:
            formula = self._formula(definition, mention.primes)
            found = self.algebra.each(formula, argument)
        else:
            function = self.facts.named_functions.get(family) or arbitrary(family)
            for _ in range(mention.primes):
                function = derivative(function)
            found = self.algebra.each(lambda x: apply(function, x), argument)
        if mention.power is not None:
            found = self.raised(found, mention.power, scope)
        return found

    def _formula(self, definition: Definition, primes: int) -> Callable[[Expr], Expr]:
        """A function that the document defines, differentiated so many times."""
        place = Tensor(f"argument of {definition.head.mention.family}")
        symbol = definition.head.arguments[0]
        mention = self.env.names.mention(symbol)
        assert mention is not None
        bound = _Bound(self, mention, place)
        value = bound.array(definition.right, Scope())
        if value.rank:
            raise NotRead("a function of one number has an array for its value")
        expr = value.at()
        for _ in range(primes):
            expr = self.total(expr, place, ())
        return lambda x: substitute(expr, {Entry(place): x})

    def _application(self, function: Node, argument: Node | None, scope: Scope) -> Array:
        exponent: Node | None = None
        symbol = function
        primes = 0
        base: Node | None = None
        if isinstance(function, Scripts):
            symbol, primes = function.base, function.primes
            if function.above is not None and len(function.above.items) == 1:
                exponent = function.above.items[0]
            if function.below is not None and len(function.below.items) == 1:
                base = function.below.items[0]
        if not isinstance(symbol, Symbol) or argument is None:
            raise NotRead("a function without an argument")
        name = symbol.name
        barred = isinstance(argument, Group) and argument.opening in ("|", "\u2016")  # log |K| is one of a determinant
        items = argument.items if isinstance(argument, Group) and not barred else (argument,)
        found = self._named(name, items, argument, base, primes, scope)
        return self.raised(found, exponent, scope) if exponent is not None else found

    def _named(
        self, name: str, items: Sequence[Node], argument: Node, base: Node | None, primes: int, scope: Scope
    ) -> Array:
        if name in ("max", "min") and len(items) == 2:
            pair = [self.array(i, scope) for i in items]
            return self.algebra.each(lambda a, b: _larger(a, b, name == "max"), *pair)
        if len(items) != 1:
            raise NotRead(f"{name} of several arguments is not read")
        lower = name.lower()
        outer, self._of_matrix = self._of_matrix, self._of_matrix or lower in ("tr", "trace", "det")
        value = self.array(items[0], scope)
        self._of_matrix = outer
        if name in self.env.functions or (name in NAMED or lower in NAMED):
            function = self.facts.named_functions.get(name) or NAMED.get(name) or NAMED.get(lower)
            if self.env.functions.get(name) is not None or function is None:
                return self._function(Mention(name, primes=primes), value, scope)
            if isinstance(base, Number) and function is LOG:
                scale = apply(LOG, number(int(base.text)))
                return self.algebra.each(lambda x: divide(apply(LOG, x), scale), value)
            for _ in range(primes):
                function = derivative(function)
            return self.algebra.each(lambda x: apply(function, x), value)
        if lower in WRITTEN_OUT:
            return self.algebra.each(lambda x: written_out(lower, x), value)
        match lower:
            case "factorial":
                return self.algebra.each(lambda x: apply(arbitrary("factorial"), x), value)
            case "softmax":
                return self._softmax(value)
            case "tr" | "trace" if not value.rank:
                return value
            case "tr" | "trace":
                axis = self.algebra.meet(*self._square(value))
                return scalar(self.algebra.contracted(axis, lambda k: value.at(k, k)))
            case "det":
                self._square(value)
                return self._determinant(value)
            case "diag":
                return self._diagonal(value)
            case "sum":
                return self.algebra.summed(value)
            case "sqrt":
                return self.algebra.each(lambda x: power(x, Fraction(1, 2)), value)
        raise NotRead(f"the function {name} is not known")

    def _square(self, value: Array) -> tuple[Axis, Axis]:
        if value.rank != 2:
            raise Misfit("a trace or determinant is one of a matrix")
        return value.axes[0], value.axes[1]

    def _diagonal(self, value: Array) -> Array:
        if value.rank == 1:
            axis = value.axes[0]
            return Array((axis, axis), lambda i, j: multiply(kronecker(i, j), value.at(i)))
        axis = self.algebra.meet(*self._square(value))
        return Array((axis,), lambda i: value.at(i, i))

    def _softmax(self, value: Array) -> Array:
        if not value.rank:
            raise Misfit("softmax is one of a vector")
        along = 0 if self.facts.columns and value.rank == 2 else value.rank - 1
        axis = value.axes[along]

        def at(*places: Expr) -> Expr:
            def exponential(k: Expr) -> Expr:
                return apply(EXP, value.at(*places[:along], k, *places[along + 1 :]))

            return divide(exponential(places[along]), self.algebra.contracted(axis, exponential))

        return Array(value.axes, at, value.row)


def _is_constant(node: Node) -> bool:
    """True for a number as it is written, 1/2."""
    return all(isinstance(n, Number | Ratio | Product | Group) for n in walk(node))


def _powered(base: Expr, exponent: Expr) -> Expr:
    """A power; of a norm to an even one the sum of squares, which has a slope where it is 0 as well."""
    even = isinstance(exponent, Numeral) and exponent.value.denominator == 1 and exponent.value % 2 == 0
    if even and isinstance(base, Power) and base.exponent is HALF and _is_of_squares(base.base):
        assert isinstance(exponent, Numeral)
        return power(base.base, exponent.value / 2)
    return power(base, exponent)


def _is_of_squares(expr: Expr) -> bool:
    match expr:
        case Sum():
            return _is_of_squares(expr.body)
        case Add(parts) | Multiply(parts):
            return all(map(_is_of_squares, parts))
        case Power(_, Numeral(exponent)):
            return exponent % 2 == 0
        case Numeral(value):
            return value >= 0
    return False


def _larger(left: Expr, right: Expr, larger: bool) -> Expr:
    """max or min of two numbers, by the positive part of their difference."""
    relu = FUNCTIONS["relu"]
    if left is ZERO and larger:
        return apply(relu, right)
    if right is ZERO and larger:
        return apply(relu, left)
    gap = subtract(left, right)
    return add(right, apply(relu, gap)) if larger else subtract(left, apply(relu, gap))


class _Bound(Elaborator):
    """Reads the right side of a function's definition, where a letter stands for the argument."""

    def __init__(self, outer: Elaborator, parameter: Mention, place: Tensor) -> None:
        super().__init__(outer.env, outer.facts, outer.lengths, outer.reading, outer.memory, outer.open_ends)
        self.outer, self.parameter, self.place_of_argument = outer, parameter, place

    def quantity(self, mention: Mention, scope: Scope) -> Array:
        if mention == self.parameter:
            return scalar(Entry(self.place_of_argument))
        return super().quantity(mention, scope)


__all__ = ["Elaborator"]
