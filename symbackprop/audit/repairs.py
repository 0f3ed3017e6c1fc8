r"""What a wrong equation may have been meant to be: slips that people make, undone one by one.

`candidates` proposes right sides (or whole links) as LaTeX, likely slips first: indices swapped or renamed, a layer off
by one, a sign, a factor, a transpose or the order of a product, a missing f', a bracket, a missing sum. Whoever asks
proves them; what is not proved is not said. Edits are made in the text, at the places that the tree's nodes carry.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction as Rational

from symbackprop.audit.definitions import Environment
from symbackprop.audit.grammar import parse_expression
from symbackprop.audit.latex import to_tex
from symbackprop.audit.lint import bound
from symbackprop.audit.names import layer_of
from symbackprop.audit.tree import (
    Anything,
    Big,
    Derivative,
    Fraction,
    Group,
    Link,
    Node,
    Number,
    Product,
    Script,
    Scripts,
    Symbol,
    Terms,
    children,
    walk,
)

Edit = tuple[tuple[int, int], str]  # a span of the text, and what stands there instead
MOST = 800
MOST_ROUNDS = 10
MOST_FACTORS = 24


@dataclass(frozen=True)
class Candidate:
    """A repair.

    Args:
        latex: the right side, or the whole link, as it should be; `right` is the right side alone, `left` the left one.
        words: what was wrong.
    """

    latex: str
    left: str | None
    right: str
    words: str

    def tidied(self) -> Candidate:
        """The same as people write it."""
        right = tidied(self.right)
        return replace(self, latex=right if self.left is None else f"{self.left} = {right}", right=right)


class Slips:
    """The slips that may have been made in one link.

    Args:
        beside: quantities and slopes in the formulas nearby.
        proved: right sides that were proved for the same left side.
    """

    def __init__(
        self,
        env: Environment,
        ranks: Mapping[str, int],
        text: str,
        step: Link,
        beside: Sequence[str],
        proved: Sequence[str] = (),
    ) -> None:
        self.env, self.ranks, self.text, self.step, self.beside = env, ranks, text, step, beside
        self.proved = proved
        self.right = step.right
        self.start, self.end = step.right.span

    def candidates(self) -> Iterator[Candidate]:
        """Repairs, each text once."""
        seen = {self._squeezed(self.text[self.start : self.end])}
        both = self.step.left is not None and self.step.left.span[0] < self.start
        swapped = [s for n in walk(self.right) if (s := self._swap(n)) is not None]
        if both and not swapped:
            yield from self._both_sides()
        for words, edits in itertools.islice(self._edits(), MOST):
            right = self._edited(edits, self.start, self.end)
            key = self._squeezed(right)
            if key not in seen:
                seen.add(key)
                yield Candidate(right, None, right, words)
        if both and swapped:
            yield from self._both_sides()

    def elsewhere(self) -> Iterator[Candidate]:
        """What the document says of the same left side in another place, where that was proved."""
        for right in self.proved:
            yield Candidate(right, None, right, "as it stands elsewhere in the document")

    def _squeezed(self, text: str) -> str:
        return "".join(text.split())

    def _edited(self, edits: Iterable[Edit], start: int, end: int) -> str:
        found, at = [], start
        for (first, last), text in sorted(edits):
            found.append(self.text[at:first])
            found.append(text)
            at = last
        found.append(self.text[at:end])
        return "".join(found).strip()

    def _both_sides(self) -> Iterator[Candidate]:
        """The indices of one family swapped on both sides: w_{jk} for w_{kj}."""
        assert self.step.left is not None
        sides = (self.step.left, self.right)
        families: dict[str, list[list[Edit]]] = {}
        for side in sides:
            for node in walk(side):
                swap = self._swap(node)
                mention = self.env.names.mention(node) if isinstance(node, Scripts) else None
                if swap is not None and mention is not None:
                    families.setdefault(mention.family, []).append(swap)
        for swaps in families.values():
            edits = [e for swap in swaps for e in swap]
            left = self._edited([e for e in edits if e[0][1] <= self.step.left.span[1]], *self.step.left.span)
            right = self._edited([e for e in edits if e[0][0] >= self.start], self.start, self.end)
            yield Candidate(f"{left} = {right}", left, right, "indices swapped")

    def _edits(self) -> Iterator[tuple[str, list[Edit]]]:
        nodes = list(self._values(self.right))
        yield from (("indices swapped", s) for n in nodes if (s := self._swap(n)) is not None)
        yield from self._signs(nodes)
        yield from self._layers(nodes)
        yield from self._shifts(nodes)
        yield from self._products(nodes)
        yield from self._letters(nodes)
        yield from self._without_operator(nodes)
        if any(finding.kind == "unused" for finding in bound(self.right)):
            yield from self._bracketed(nodes)
        yield from self._numbers(nodes)
        yield from self._exponents(nodes)
        yield from self._complements(nodes)
        yield from self._deletions(nodes)
        yield from self._sums(nodes)
        yield from self._factors(nodes)
        yield from self._substitutes(nodes)
        yield from self._squares(nodes)
        yield from self._operators(nodes)
        yield from self._pairs(nodes)
        yield from self._everywhere(nodes)
        yield from self._in_terms(nodes)

    def _exponents(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """-1/2 for -3/2: a power that lost or won one."""
        for node in nodes:
            item = node.above.items[0] if isinstance(node, Scripts) and node.above is not None else None
            if not isinstance(item, Terms | Fraction | Product):
                continue
            halves = any(isinstance(n, Number) and n.text == "2" for n in walk(item))
            for number in (n for n in walk(item) if isinstance(n, Number) and n.text.isdigit()):
                if halves and number.text != "2":
                    yield "an exponent", [(number.span, str(int(number.text) + 2))]
                    if int(number.text) > 2:
                        yield "an exponent", [(number.span, str(int(number.text) - 2))]

    def _complements(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """sigma(x) for 1 - sigma(x), and sigma(-x) for sigma(x)."""
        for node in nodes:
            for one, two in itertools.pairwise(node.factors) if isinstance(node, Product) else ():
                mention = self.env.names.mention(one)
                if isinstance(two, Group) and mention is not None and mention.family in self.env.functions:
                    span = (one.span[0], two.span[1])
                    yield "1 minus it", [(span, rf"\left( 1 - {self.text[span[0] : span[1]]} \right)")]
                    inner = two.items[0]
                    if isinstance(inner, Terms) and len(inner.terms) == 1 and inner.signs == ("-",):
                        yield "sign", [(inner.span, self._of(inner.terms[0]))]

    def _everywhere(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """A quantity that stands for another in all its places."""
        places: dict[str, list[tuple[int, int]]] = {}
        for node in nodes:
            if isinstance(node, Symbol | Scripts) and (m := self.env.names.mention(node)) is not None and m.plain:
                places.setdefault(self._of(node), []).append(node.span)
        for text, spans in places.items():
            for other in self.vocabulary() if len(spans) > 1 else ():
                if other != text and "'" not in other:
                    yield f"{text} for {other}", [(span, other) for span in spans]

    def _in_terms(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """A factor that one term of several has lost, or that is another number."""
        for node in nodes:
            if not isinstance(node, Terms):
                continue
            for term in node.terms:
                text = self._of(term)
                yield "a factor 2", [(term.span, rf"\frac{{1}}{{2}} {text}")]
                yield "a factor 2", [(term.span, f"2 {text}")]
        for node in nodes:
            if isinstance(node, Terms) and node is not self.right:
                for term in node.terms:
                    for factor in self.vocabulary():
                        yield "a missing factor", [(term.span, rf"{factor}\, {self._of(term)}")]

    def _values(self, node: Anything) -> Iterator[Anything]:
        """The nodes that stand for values: not what stands in scripts and bounds, nor the letter under scripts."""
        yield node
        match node:
            case Scripts(base, _, _, _):
                mention = self.env.names.mention(node)
                if mention is None or not isinstance(base, Symbol | Scripts):
                    yield from self._values(base)
                return
            case Big(_, _, _, body):
                if body is not None:
                    yield from self._values(body)
                return
            case Derivative(_, _, of, by):
                for part in (*by, *((of,) if of is not None else ())):
                    yield from self._values(part)
                return
        for inner in children(node):
            if not isinstance(inner, Script):
                yield from self._values(inner)

    # One kind of slip each.

    def _whole(self) -> str:
        return self.text[self.start : self.end].strip().rstrip(".,;")

    def _wrapped(self) -> str:
        whole = self._whole()
        return rf"\left( {whole} \right)" if isinstance(self.right, Terms) else whole

    def _times(self, factor: str) -> str:
        """The right side times a factor, which a sign stands before."""
        if isinstance(self.right, Terms) and self.right.signs == ("-",):
            return f"-{factor} {self._of(self.right.terms[0])}"
        return f"{factor} {self._wrapped()}"

    def _then(self, factor: str) -> str:
        """The right side with a factor behind it, inside a sum that stands last."""
        if isinstance(self.right, Terms) and self.right.signs == ("-",):
            return rf"-{self._of(self.right.terms[0])}\, {factor}"
        return factor if self._wrapped() == "1" else rf"{self._wrapped()}\, {factor}"

    def _signs(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        for node in nodes:
            if (
                isinstance(node, Terms)
                and len(node.terms) == 2
                and node.signs == ("+", "-")
                and not isinstance(node.terms[0], Number)
            ):
                yield "sign", [(node.span, f"{self._of(node.terms[1])} - {self._of(node.terms[0])}")]
        whole = self._whole()
        span = (self.start, self.end)
        if isinstance(self.right, Terms) and len(self.right.terms) == 1 and self.right.signs == ("-",):
            first = self.right.terms[0].span
            yield "sign", [((self.start, first[0]), "")]
        elif isinstance(self.right, Terms):
            yield "sign", [(span, rf"-\left( {whole} \right)")]
        else:
            yield "sign", [(span, f"-{whole}")]
        for node in nodes:
            if not isinstance(node, Terms) or len(node.terms) < 2:
                continue
            texts = [self._of(t) for t in node.terms]
            for k, sign in enumerate(node.signs):
                other = {"+": "-", "-": "+"}.get(sign)
                if other is None:
                    continue
                signs = [*node.signs[:k], other, *node.signs[k + 1 :]]
                yield "sign", [(node.span, _joined(texts, signs))]

    def _swap(self, node: Anything) -> list[Edit] | None:
        if not isinstance(node, Scripts) or node.below is None or len(node.below.items) != 2:
            return None
        one, two = node.below.items
        mention = self.env.names.mention(node)
        if mention is None or len(mention.components) != 2:
            return None
        return [(one.span, self._of(two)), (two.span, self._of(one))]

    def _of(self, node: Anything) -> str:
        return self.text[node.span[0] : node.span[1]]

    def _layers(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        habits = self.env.habits
        for node in nodes:
            if not isinstance(node, Scripts):
                continue
            for script in (s for s in (node.above, node.below) if s is not None):
                for item in script.items:
                    inner = item.items[0] if isinstance(item, Group) and len(item.items) == 1 else item
                    layer = layer_of(inner)
                    if layer is None or not (
                        layer.base in habits.layer_letters
                        or layer.base in ("L", "n_l")
                        or (not layer.base and script is node.above and isinstance(item, Group))
                    ):
                        continue
                    base = self._of(inner.terms[0]) if isinstance(inner, Terms) else self._of(inner)
                    for step in (1, -1):
                        offset = layer.offset + step
                        text = str(offset) if not layer.base else base + (f"{offset:+d}" if offset else "")
                        bare = (
                            len(script.items) == 1
                            and not isinstance(item, Group)
                            and self.text[item.span[0] - 1] != "{"
                        )
                        yield "layer off by one", [(inner.span, f"{{{text}}}" if bare else text)]

    def _shifts(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """i - k + 1 for i + k - 1, and an entry off by one: an index that is computed."""
        for node in nodes:
            mention = self.env.names.mention(node) if isinstance(node, Scripts) else None
            items = [i for i in (mention.components if mention is not None else ()) if isinstance(i, Terms)]
            if items and all(len(i.terms) > 1 for i in items):
                texts = [[self._of(t) for t in i.terms] for i in items]
                turned = [[i.signs[0], *("-" if sign == "+" else "+" for sign in i.signs[1:])] for i in items]
                yield (
                    "the sign of a shift",
                    [(i.span, _joined(t, s)) for i, t, s in zip(items, texts, turned, strict=True)],
                )
            for item in items:
                for step in ("+ 1", "- 1"):
                    yield "an index off by one", [(item.span, f"{self._of(item)} {step}")]

    def _products(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """Transposes and the order of factors."""
        for node in nodes:
            if isinstance(node, Scripts | Symbol) and self._is_array(node):
                yield "transpose", [(node.span, self._turned(node))]
        for node in nodes:
            if not isinstance(node, Product) or len(node.factors) < 2:
                continue
            for k in range(len(node.factors) - 1):
                if node.operators[k] not in ("", "cdot", "times", "@"):
                    continue
                left, right = node.factors[k], node.factors[k + 1]
                mention = self.env.names.mention(left)
                if mention is not None and mention.family in self.env.functions:
                    continue
                if isinstance(left, Fraction | Number) or isinstance(right, Number) or not self._has_array(node):
                    continue
                span = (left.span[0], right.span[1])
                a, b = self._of(left), self._of(right)
                at, bt = self._turned(left), self._turned(right)
                for one, two in ((b, a), (at, b), (a, bt), (bt, a), (b, at), (bt, at), (at, bt)):
                    yield "order or transpose of a product", [(span, f"{one} {two}")]

    def _has_array(self, node: Node) -> bool:
        return any(self._is_array(n) for n in self._values(node) if isinstance(n, Symbol | Scripts))

    def _is_array(self, node: Node) -> bool:
        mention = self.env.names.mention(node)
        if mention is None or mention.components or mention.power is not None or mention.primes:
            return False
        return self.ranks.get(mention.family, 0) > 0

    def _turned(self, node: Node) -> str:
        """The transpose as text."""
        text = self._of(node)
        if isinstance(node, Scripts) and node.above is not None:
            last = node.above.items[-1]
            if isinstance(last, Symbol) and last.name in ("T", "top", "intercal"):
                if len(node.above.items) == 1 and node.below is None:
                    single = isinstance(node.base, Group) and isinstance(node.base.items[0], Symbol | Scripts)
                    return self._of(node.base.items[0] if single else node.base)  # type: ignore[union-attr]
                return text.replace(self._of(last), "", 1) if len(node.above.items) > 1 else text
        if isinstance(node, Scripts) and self._is_turned(node):
            return self._of(node.base.items[0] if isinstance(node.base, Group) else node.base)
        sign = r"^{\top}" if "top" in self.env.used_names else "^T"
        return f"({text}){sign}" if not isinstance(node, Symbol | Group) else text + sign

    def _is_turned(self, node: Scripts) -> bool:
        match node:
            case Scripts(_, None, Script((Symbol(name),)), 0) if name in ("T", "top", "intercal"):
                return True
        return False

    def _letters(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """An index that is another one."""
        used = dict.fromkeys(
            s.name for n in walk(self.right) if isinstance(n, Big) for low in n.lower for s in walk(low)
            if isinstance(s, Symbol) and len(s.name) == 1
        ) | dict.fromkeys(
            self._of(i) for side in (self.step.left, self.right) if side is not None for n in walk(side)
            if isinstance(n, Scripts) and n.below is not None and (m := self.env.names.mention(n)) is not None
            for i in m.components if isinstance(i, Symbol)
        )  # fmt: skip
        for node in nodes:
            if not isinstance(node, Scripts) or node.below is None:
                continue
            mention = self.env.names.mention(node)
            for item in mention.components if mention is not None else ():
                for letter in used:
                    if isinstance(item, Symbol) and letter != self._of(item) and item in node.below.items:
                        yield f"the index {self._of(item)}", [(item.span, letter)]

    def _numbers(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """Factors 2 and 1/m; 0 for 1."""
        if isinstance(self.right, Number):
            yield from (("another number", [((self.start, self.end), other)]) for other in ("0", "1"))
        for node in nodes:
            match node:
                case Number("2"):
                    yield "a factor 2", [(node.span, "")]
                    yield "a factor 2", [(node.span, "1")]
            if isinstance(node, Product):
                for k, factor in enumerate(node.factors[:-1]):
                    if isinstance(factor, Fraction) and isinstance(factor.numerator, Number):
                        yield "a factor", [((factor.span[0], node.factors[k + 1].span[0]), "")]
        for node in nodes:
            if isinstance(node, Group) and isinstance(node.items[0], Terms) and node is not self.right:
                continue
        span = (self.start, self.end)
        yield "a factor 2", [(span, self._times("2"))]
        yield "a factor 2", [(span, self._times(r"\frac{1}{2}"))]
        for name in sorted(self.env.bounds):
            yield f"a factor 1/{name}", [(span, self._times(rf"\frac{{1}}{{{name}}}"))]
            yield f"a factor {name}", [(span, self._times(name))]

    def _deletions(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """A factor or a term too many."""
        for node in nodes:
            match node:
                case Product(factors) if len(factors) > 1:
                    for k, factor in enumerate(factors):
                        start = factor.span[0]
                        if k + 1 < len(factors):
                            yield "a factor too many", [((start, factors[k + 1].span[0]), "")]
                        else:
                            yield "a factor too many", [((factors[k - 1].span[1], factor.span[1]), "")]
                case Terms(terms, signs) if len(terms) > 1:
                    texts = [self._of(t) for t in terms]
                    for k in range(len(terms)):
                        rest = [t for i, t in enumerate(texts) if i != k]
                        yield (
                            "a term too many",
                            [(node.span, _joined(rest, [s for i, s in enumerate(signs) if i != k]))],
                        )

    def vocabulary(self) -> list[str]:
        """Quantities of the text nearby that may be missing as factors."""
        return list(dict.fromkeys(self.beside))[:MOST_FACTORS]

    def _factors(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """A factor that is missing: f'(z), x, a."""
        whole, span = self._wrapped(), (self.start, self.end)
        for node in nodes:
            if isinstance(node, Symbol | Scripts) and (m := self.env.names.mention(node)) is not None and m.plain:
                yield "a missing factor", [(span, self._then(f"(1 - {self._of(node)})"))]
        for factor in self.vocabulary():
            yield "a missing factor", [(span, self._then(factor))]
        for factor in self.vocabulary():
            if factor != "I":  # nobody writes the diagonal of a matrix so
                yield "a missing factor", [(span, rf"{factor} \odot {whole}")]
            for node in nodes:
                if isinstance(node, Terms) and node is self.right:
                    for term in node.terms:
                        alone = self._of(term) == "1"
                        yield "a missing factor", [(term.span, factor if alone else rf"{factor}\, {self._of(term)}")]

    def _substitutes(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """A quantity in the place of another."""
        for node in nodes:
            if isinstance(node, Scripts | Symbol) and self.env.names.mention(node) is not None:
                if isinstance(node, Symbol) and (node.name in self.env.bounds or node.name == "1"):
                    continue
                for other in self.vocabulary():
                    if other != self._of(node) and "'" not in other:
                        yield f"{self._of(node)} for {other}", [(node.span, other)]

    def _squares(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        for node in nodes:
            if isinstance(node, Scripts) and node.above is not None and len(node.above.items) == 1:
                item = node.above.items[0]
                if isinstance(item, Number) and item.text.isdigit():
                    for other in (2 * int(item.text), int(item.text) + 1, int(item.text) - 1):
                        yield "an exponent", [(item.span, str(other))]
            if (
                isinstance(node, Symbol | Scripts)
                and (m := self.env.names.mention(node)) is not None
                and m.plain
                and m.family not in self.env.functions
                and m.family not in self.env.bounds
            ):
                yield (
                    "a missing square",
                    [(node.span, f"{self._of(node)}^2" if isinstance(node, Symbol) else f"({self._of(node)})^2")],
                )
        for node in nodes:
            if isinstance(node, Group) and node.opening in "([":
                yield "a missing square", [((node.span[1], node.span[1]), "^2")]
            if (
                isinstance(node, Scripts)
                and node.above is not None
                and [self._of(i) for i in node.above.items] == ["2"]
            ) and isinstance(node.base, Group):
                yield "a square too many", [(node.span, self._of(node.base))]

    def _sums(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """A sum that is missing, or reaches too far."""
        whole, span = self._wrapped(), (self.start, self.end)
        if any(isinstance(n, Symbol) and n.name == "1" for d in self.env.displays for n in walk(d)):
            yield "a missing sum over the examples", [(span, rf"\mathbf{{1}}^{{\top}} {whole}")]
        letters = sorted(
            {
                i.name
                for n in nodes
                if isinstance(n, Scripts) and (m := self.env.names.mention(n))
                for i in m.components
                if isinstance(i, Symbol)
            }
        )
        for letter in letters:
            yield f"a missing sum over {letter}", [(span, rf"\sum_{letter} {whole}")]
        for node in nodes:
            if isinstance(node, Terms) and node.terms and isinstance(node.terms[0], Big | Derivative):
                first = node.terms[0]
                body = first.body if isinstance(first, Big) else first.of
                if body is not None:
                    rest = self.text[body.span[0] : node.span[1]]
                    yield "a bracket", [((body.span[0], node.span[1]), rf"\left( {rest} \right)")]
            if isinstance(node, Product) and isinstance(node.factors[-1], Big) and node.factors[-1].body is not None:
                body = node.factors[-1].body
                yield "a sum too many", [((node.factors[-1].span[0], body.span[0]), "")]

    def _operators(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """A derivative sign too many."""
        for node in nodes:
            if isinstance(node, Derivative) and node.form == "operator" and node.of is not None:
                yield "a derivative sign too many", [((node.span[0], node.of.span[0]), "")]

    def _renamed(self, nodes: list[Anything]) -> list[tuple[str, list[Edit]]]:
        return list(itertools.islice(self._letters(nodes), 12))

    def _without_operator(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """A derivative sign too many, and an index that is another one."""
        for _, extra in self._operators(nodes):
            for one, edits in self._renamed(nodes):
                if not _overlap(edits, extra):
                    yield one, edits + extra

    def _bracketed(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """A bracket that is missing, and two indices in it that are others."""
        for _, edits in (s for s in self._sums(nodes) if s[0] == "a bracket"):
            (first, last), _ = edits[0]
            for (one, a), (_, b) in itertools.combinations(self._renamed(nodes), 2):
                inside = [e for e in (*a, *b) if first <= e[0][0] and e[0][1] <= last]
                if len(inside) == 2 and not _overlap(a, b):
                    yield one, [((first, first), r"\left( "), *inside, ((last, last), r" \right)")]

    def _pairs(self, nodes: list[Anything]) -> Iterator[tuple[str, list[Edit]]]:
        """Two slips at once, of the kinds that come together."""
        for (one, a), (_, b) in itertools.combinations(self._renamed(nodes), 2):
            if not _overlap(a, b):
                yield one, a + b
        yield from self._bracketed(nodes)
        fractions = [n for n in nodes if isinstance(n, Fraction)]
        for node in fractions:
            for number in (n for n in walk(node.denominator) if isinstance(n, Number) and n.text == "2"):
                for factor in self.vocabulary():
                    yield (
                        "a factor",
                        [
                            (number.span, ""),
                            (
                                node.numerator.span,
                                factor if self._of(node.numerator) == "1" else rf"{factor} {self._of(node.numerator)}",
                            ),
                        ],
                    )


def tidied(text: str) -> str:
    r"""A formula as people write it: numbers side by side multiplied, no exponent 1, no factor 1.

    Example:
        >>> tidied(r"2\, 2 \|r\|^1")
        '4 \\|r\\|'
    """
    for _ in range(MOST_ROUNDS):
        edits = next((found for n in walk(parse_expression(text)) if (found := _odd(n, text)) is not None), None)
        if edits is None:
            break
        (first, last), instead = edits
        text = text[:first] + instead + text[last:]
    return text


def _odd(node: Anything, text: str) -> Edit | None:
    """An edit that makes a number in a node what people write."""
    match node:
        case Scripts(above=Script((Number("1") as one,))):
            mark = text.rindex("^", 0, one.span[0])
            end = text.index("}", one.span[1]) + 1 if "{" in text[mark : one.span[0]] else one.span[1]
            return ((mark, end), "")
        case Product(factors, operators):
            for k, (left, right) in enumerate(itertools.pairwise(factors)):
                if operators[k] not in ("", "cdot", "times") or "/" in operators[:k]:
                    continue
                if (both := _multiplied(left, right)) is not None:
                    return ((left.span[0], right.span[1]), both)
                if left == Number("1"):
                    return ((left.span[0], right.span[0]), "")
    return None


def _multiplied(one: Node, two: Node) -> str | None:
    """The product of two numbers or fractions of numbers."""
    match one, two:
        case Number(a), Number(b):
            return f"{(Decimal(a) * Decimal(b)).normalize():f}"
        case (Number(a), Fraction(Number(b), Number(c))) | (Fraction(Number(b), Number(c)), Number(a)):
            if a.isdigit() and b.isdigit() and c.isdigit() and int(c):
                value = Rational(int(a) * int(b), int(c))
                single = value.denominator == 1
                return str(value) if single else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    return None


def _overlap(one: Sequence[Edit], two: Sequence[Edit]) -> bool:
    return any(a[0][0] < b[0][1] and b[0][0] < a[0][1] for a in one for b in two)


def _joined(texts: Sequence[str], signs: Sequence[str]) -> str:
    """Terms with their signs as text."""
    found = ""
    for k, (text, sign) in enumerate(zip(texts, signs, strict=True)):
        found += f"-{text}" if not k and sign == "-" else text if not k else f" {sign} {text}"
    return found


def beside(env: Environment, formulas: Sequence[tuple[str, Iterable[Anything]]], left: Node) -> list[str]:
    """The quantities and slopes of functions that stand in formulas, as text: nearest first.

    A slope at another layer stands for that at the layer of the left side as well.
    """
    found: dict[str, None] = {}
    slopes: dict[str, None] = {}
    moved: dict[str, None] = {}
    here = left.by[0] if isinstance(left, Derivative) and left.by else left
    for text, nodes in formulas:
        for node in nodes:
            if isinstance(node, Product):
                for one, two in itertools.pairwise(node.factors):
                    mention = env.names.mention(one)
                    if mention is None or not isinstance(two, Group) or len(two.items) != 1:
                        continue
                    if mention.primes or mention.family in env.functions:
                        values = slopes if mention.primes else found
                        values.setdefault(text[one.span[0] : two.span[1]])
                        of = two.items[0]
                        if mention.primes and isinstance(of, Scripts) and isinstance(here, Scripts):
                            there = to_tex(replace(here, base=of.base, primes=0))
                            moved.setdefault(f"{text[one.span[0] : one.span[1]]}({there})")
            if isinstance(node, Derivative) and node.form == "fraction" and node.of is not None:
                slopes.setdefault(text[node.span[0] : node.span[1]])
            if isinstance(node, Symbol | Scripts):
                mention = env.names.mention(node)
                if mention is None or mention.family in env.index_letters | env.habits.layer_letters:
                    continue
                if env.habits.arity[mention.family] and not mention.components:
                    continue
                if mention.primes or mention.family in env.functions or mention.power is not None:
                    continue
                if isinstance(node, Symbol) and (
                    mention.family in env.bounds
                    or node.name in ("e", "pi", "T", "top", "1")
                    or (len(node.name) > 1 and node.font == "roman")
                ):
                    continue
                found.setdefault(text[node.span[0] : node.span[1]])
    return [*slopes, *moved, *found]


__all__ = ["Candidate", "Slips", "beside", "tidied"]
