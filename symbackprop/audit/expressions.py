r"""Chains, sums of terms, products, fractions, scripts and brackets: the levels of the grammar's descent.

Main name: `Expressions`. What letters and commands stand for is read by `commands`, which builds on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

from symbackprop.audit.cursor import MOST_NESTED, Cursor, Unreadable
from symbackprop.audit.tokens import Token
from symbackprop.audit.tree import (
    Application,
    Big,
    Cases,
    Chain,
    Condition,
    Derivative,
    Differential,
    Evaluated,
    Fraction,
    Group,
    Listing,
    Matrix,
    Node,
    Number,
    Product,
    Relation,
    Script,
    Scripts,
    Span,
    Symbol,
    Terms,
    Text,
)
from symbackprop.audit.words import (
    ACCENTS,
    BARS,
    CLOSE,
    CLOSINGS,
    FONTS,
    IMPLICATIONS,
    LETTERS,
    NAMED,
    OPENINGS,
    RELATIONS,
    SEPARATORS,
    SHORT_NAMES,
    SIGNS,
    SPACES,
    SPELLED_ANYWHERE,
    SPELLED_WHOLE,
    TEXTS,
    WIDE,
    WIDE_SPACES,
)

BAR_REACH = 400
_D = (
    [r"\mathrm", "{", "d", "}"],
    [r"\text", "{", "d", "}"],
    [r"\operatorname", "{", "d", "}"],
    ["{", r"\rm", "d", "}"],
)


class Expressions(Cursor, ABC):
    """Reads expressions from left to right, one method a level."""

    @abstractmethod
    def name(self, token: Token) -> Node:
        """What a letter or a command begins."""

    @abstractmethod
    def row(self) -> tuple[Chain, ...]:
        """The chains of a row or a cell."""

    def chain_node(self) -> Node:
        """A member, or a chain where there are relations; raises what cannot be read."""
        start = self.here()
        links, self.links = self.links, 0
        relations: list[Relation] = []
        if (relation := self.relation()) is not None:
            relations.append(relation)
        continues = bool(relations)
        members = [self.terms()]
        while (relation := self.relation()) is not None:
            relations.append(relation)
            members.append(self.terms())
        self.links = links
        if not relations:
            return members[0]
        return Chain(tuple(members), tuple(relations), continues, span=(start, self.last_end()))

    def relation(self) -> Relation | None:
        r"""A sign of relation, with what \stackrel or \overset puts over it."""
        token = self.peek()
        if token is None:
            return None
        above: Node | None = None
        place = self.place
        if token.text in (r"\stackrel", r"\overset", r"\underset"):
            self.place += 1
            try:
                inner, sign = self.argument_tokens(), self.argument_tokens()
            except Unreadable:
                inner, sign = [], []
            named = [t for t in sign if t.text not in SPACES]
            if len(named) != 1 or named[0].text not in RELATIONS:
                self.place = place
                return None
            above = self.understood(inner)
            text = named[0].text
        elif token.text == r"\not":
            follower = self.after()
            if follower is None or follower.text not in RELATIONS:
                return None
            self.place += 2
            text = {"=": r"\ne", r"\in": r"\notin"}.get(follower.text, r"\ne")
        elif token.text in RELATIONS:
            self.place += 1
            text = token.text
        elif token.text in (r"\mid", "|", ":") and not self.bracketed and self.place and not self.scripted:
            if token.text == ":" and not any(
                t.text in (r"\to", r"\mapsto") for t in self.tokens[self.place : self.place + 60]
            ):
                return None
            self.place += 1
            self.links += 1
            return Relation(token.text if token.text == ":" else "|", self.links - 1, span=(token.start, token.end))
        else:
            return None
        sign_text = RELATIONS[text]
        if sign_text == ":=" or (text == ":" and self.next_text() == "="):
            sign_text = ":="
        self.links += 1
        return Relation(sign_text, self.links - 1, above, span=(token.start, self.last_end()))

    def understood(self, tokens: list[Token]) -> Node:
        """What stands over a sign; NotUnderstood if it cannot be read."""
        try:
            return self.inside(tokens).whole()
        except Unreadable as error:
            return error.as_node(self.text)

    def whole(self) -> Node:
        """All that there is, as one node: an argument of a command, a cell, what stands in braces."""
        items: list[Node] = []
        start = self.here()
        while (token := self.peek()) is not None:
            if token.text in (",", ";", ".") or token.text in WIDE_SPACES or token.kind == "break":
                self.place += 1
            elif self.remark_here(token):
                items.append(Text(self.remark_words(token, take=True) or "", span=(token.start, self.last_end())))
            else:
                items.append(self.item(token))
        if not items:
            return Group("", "", (), span=(start, start))
        return items[0] if len(items) == 1 else Listing(tuple(items), span=(start, self.last_end()))

    def item(self, token: Token) -> Node:
        """One item of a list: a chain, or an operator that stands alone, as in f(\\cdot)."""
        sign = token.text in SIGNS or token.text in CLOSE or token.text in WIDE or token.text in ("'", "!", ":", "^")
        follower = self.after()
        if sign and (follower is None or not (self.operand_starts(follower) and token.text in SIGNS)):
            if token.text in SIGNS and follower is not None and follower.text in SIGNS:
                return self.chain_node()
            self.place += 1
            name = {"+": "plus", "-": "minus", ":": ":", "'": "prime"}.get(token.text) or WIDE.get(token.text)
            return Symbol(name or CLOSE.get(token.text, token.text), span=(token.start, token.end))
        place = self.place
        node = self.chain_node()
        if self.place == place:
            raise Unreadable(f"{token.text} is not understood here", token)
        return node

    def terms(self) -> Node:
        """Terms with their signs."""
        start = self.here()
        first = self.next_text()
        signs, terms = ["+"], []
        if first in SIGNS:
            signs = [SIGNS[first]]
            self.place += 1
        terms.append(self.wide())
        while (sign := self.next_text()) in SIGNS:
            if not self.operand_after():
                break
            self.place += 1
            signs.append(SIGNS[sign])
            terms.append(self.wide())
        if len(terms) == 1 and signs == ["+"] and first != "+":
            return terms[0]
        return Terms(tuple(terms), tuple(signs), span=(start, self.last_end()))

    def operand_after(self) -> bool:
        """Whether an operand follows the operator that stands next."""
        place = self.place
        self.place += 1
        token = self.peek()
        while token is not None and token.text in WIDE_SPACES:
            self.place += 1
            token = self.peek()
        there = token is not None and (self.operand_starts(token) or token.text in SIGNS)
        self.place = place
        return there

    def wide(self) -> Node:
        """Products joined by \\odot and its like."""
        start = self.here()
        factors, operators = [self.signed(self.close)], []
        while (text := self.next_text()) in WIDE and self.operand_after():
            self.place += 1
            operators.append(WIDE[text])
            factors.append(self.signed(self.close))
        if not operators:
            return factors[0]
        return Product(tuple(factors), tuple(operators), span=(start, self.last_end()))

    def signed(self, what: Callable[[], Node]) -> Node:
        """An operand that may have a sign of its own, a \\cdot -b; a wide space after an operator is no boundary."""
        while self.next_text() in WIDE_SPACES:
            self.place += 1
        token = self.peek()
        if token is not None and token.text in SIGNS:
            self.place += 1
            self.check_depth()
            self.depth += 1
            inner = self.signed(what)
            self.depth -= 1
            return Terms((inner,), (SIGNS[token.text],), span=(token.start, self.last_end()))
        return what()

    def close(self) -> Node:
        """Factors side by side, or with \\cdot, \\times and / between them."""
        start = self.here()
        factors, operators = [self.factor()], []
        while (token := self.peek()) is not None:
            if token.text in CLOSE and self.operand_after():
                self.place += 1
                operators.append(CLOSE[token.text])
                factors.append(self.signed(self.factor))
            elif token.text == "|" and (follower := self.after()) is not None and follower.text in ("_", "^"):
                self.place += 1
                called = len(factors) > 1 and not operators[-1] and isinstance(factors[-1], Group)
                first = len(factors) - 1 - (called and isinstance(bare(factors[-2]), Symbol))  # f(x)|_{x = 0}
                body = juxtaposed(factors[first:])
                factors[first:] = [self.evaluated(body, body.span[0])]
                del operators[first:]
            elif token.text not in CLOSE and self.operand_starts(token):
                operators.append("")
                factors.append(self.factor())
            else:
                break
            _slash_derivative(factors, operators, self)
        if len(factors) > 1 and isinstance(factors[0], Big) and factors[0].body is None and not operators[0]:
            factors, operators = [_with_body(factors, operators)], []  # {\\arg\\min_x} f(x)
        if len(factors) == 1:
            return factors[0]
        return Product(tuple(factors), tuple(operators), span=(start, self.last_end()))

    def operand_starts(self, token: Token) -> bool:
        """Whether a factor may begin with this token, which stands next."""
        text = token.text
        if token.kind in ("number", "letter"):
            ends = self.variable_of == "d" and text == "d" and self.differential_kind() == "d"
            return not ends and not self.remark_here(token) if token.kind == "letter" else True
        if text in (r"\partial", r"\Delta", r"\delta") and text[1:] == self.variable_of:
            return False
        if text in OPENINGS or text in ("{", r"\left", r"\begin"):
            return True
        if text in BARS:
            return self.bar_opens()
        if text in RELATIONS or text in CLOSINGS or text in IMPLICATIONS or text in SEPARATORS:
            return False
        if text in WIDE or text in CLOSE or text in SIGNS or text in WIDE_SPACES or token.kind == "break":
            return False
        if text in TEXTS or text in (r"\mathrm", r"\forall", r"\exists"):
            return not self.remark_here(token)
        if text in (r"\stackrel", r"\overset", r"\underset"):
            place, links = self.place, self.links
            relation = self.relation()
            self.place, self.links = place, links
            return relation is None
        if text in (r"\right", r"\end", r"\not", r"\middle", "}", r"\over", r"\atop", r"\choose"):
            return False
        return token.kind == "command"

    def bar_opens(self) -> bool:
        """Whether the bar that stands next begins an absolute value: another one follows in the same bracket."""
        bar = self.tokens[self.place].text
        k = self.place + 1
        if k < len(self.tokens) and self.tokens[k].text in ("_", "^"):
            return False
        parts = bar == "|" and self.bracketed  # [a | b | c]
        if parts and k < len(self.tokens) and k > 1 and self.tokens[k - 1].space and self.tokens[k].space:
            return False
        while k < min(len(self.tokens), self.place + BAR_REACH):
            text = self.tokens[k].text
            if text == bar:
                return k > self.place + 1
            if text in (";", "=") or (text == "," and bar == "|"):
                return False
            if text in OPENINGS or text in ("{", r"\left", r"\begin"):
                k = self.partner(k)
            k += 1
        return False

    def factor(self) -> Node:
        """An atom with its scripts."""
        start = self.here()
        token = self.peek()
        if token is not None and token.text in ("^", "_"):
            return self.scripts(Group("", "", (), span=(start, start)), start)
        return self.scripts(self.atom(), start)

    def tight(self) -> Node:
        """A factor with the brackets right after it: J(W, b) under \\nabla or \\partial."""
        start = self.here()
        parts = [self.factor()]
        while isinstance(bare(parts[0]), Symbol) and self.next_text() in ("(", r"\left"):
            parts.append(self.factor())
        if len(parts) == 1:
            return parts[0]
        return Product(tuple(parts), ("",) * (len(parts) - 1), span=(start, self.last_end()))

    def scripts(self, base: Node, start: int) -> Node:
        """The base with the scripts, primes, factorials and bars that follow it."""
        below: Script | None = None
        above: Script | None = None
        primes = 0
        nested = 0
        while (token := self.peek()) is not None:
            span = (start, self.last_end())
            if token.text == "'":
                self.place += 1
                primes += 1
            elif token.text in ("^", "_"):
                self.place += 1
                script = self.script(token)
                if script is None:
                    primes += 1
                elif token.text == "_" and below is None:
                    below = script
                elif token.text == "^" and above is None:
                    above = script
                elif nested < MOST_NESTED:
                    nested += 1
                    which = "superscripts" if token.text == "^" else "subscripts"
                    self.note("script", f"two {which}, one after the other", (token.start, token.end))
                    base = Scripts(base, below, above, primes, span=span)
                    below, above, primes = (script, None, 0) if token.text == "_" else (None, script, 0)
                else:
                    raise Unreadable("too many scripts after one another", token)
            elif token.text == "*" and not self.operand_after() and above is None:
                self.place += 1
                above = Script((Symbol("ast", span=(token.start, token.end)),), span=(token.start, token.end))
            elif token.text == "!" and not self.scripted:
                self.place += 1
                base = scripted(base, below, above, primes, span)
                below, above, primes = None, None, 0
                function = Symbol("factorial", "roman", span=(token.start, token.end))
                base = Application(function, base, False, span=(start, token.end))
            else:
                break
        return scripted(base, below, above, primes, (start, self.last_end()))

    def evaluated(self, body: Node, start: int) -> Node:
        """What stands at the bar after a body."""
        below: Script | None = None
        above: Script | None = None
        while (token := self.peek()) is not None and token.text in ("_", "^"):
            if (token.text == "_" and below is not None) or (token.text == "^" and above is not None):
                break
            self.place += 1
            script = self.script(token)
            below, above = (script, above) if token.text == "_" else (below, script)
        return Evaluated(body, below, above, span=(start, self.last_end()))

    def script(self, mark: Token) -> Script | None:
        """What follows ^ or _; None for a prime."""
        token = self.peek()
        if token is None:
            raise Unreadable(f"nothing follows {mark.text}", mark)
        if token.text in ("(", "["):
            first = self.place
            last = self.partner(first)
            self.place = last + 1
            tokens = self.tokens[first : last + 1]
            self.note("script", f"{mark.text}(...) is read as {mark.text}{{(...)}}", (mark.start, self.last_end()))
        elif token.text == "-" and (follower := self.after()) is not None and follower.kind in ("letter", "number"):
            first = self.place
            self.place += 1
            tokens = [token, *self.argument_tokens()]
            self.note(
                "script",
                f"{mark.text}{token.text}x is read as {mark.text}{{{token.text}x}}",
                (mark.start, self.last_end()),
            )
        elif token.text in WIDE_SPACES or token.text in (",", ";"):
            raise Unreadable(f"nothing follows {mark.text}", mark)
        else:
            tokens = self.argument_tokens()
        texts = [t.text for t in tokens]
        if texts and all(text == "'" for text in texts):
            return None if len(texts) == 1 else Script((Symbol("prime"),) * len(texts), ("",) * (len(texts) - 1))
        inner = self.inside(tokens, scripted=True)
        items, separators = inner.script_items()
        return Script(items, separators, span=(mark.start, self.last_end()))

    def script_items(self) -> tuple[tuple[Node, ...], tuple[str, ...]]:
        """Items side by side or parted by commas; a product of juxtaposed symbols is taken apart."""
        texts = [t.text for t in self.tokens if t.text not in SPACES]
        if len(texts) > 2 and texts[0] == "<" and texts[-1] == ">":
            self.tokens = [t for t in self.tokens if t.text not in SPACES][1:-1]
            inner = self.whole()
            return (Group("⟨", "⟩", (inner,), span=inner.span),), ()
        items: list[Node] = []
        separators: list[str] = []
        parted = ""
        while (token := self.peek()) is not None:
            if token.text in (",", ";") or token.text in WIDE_SPACES:
                parted = "," if token.text != ";" else ";"
                self.place += 1
                continue
            if token.kind == "break":
                self.place += 1
                parted = ","
                continue
            if self.remark_here(token):
                found: list[Node] = [
                    Text(self.remark_words(token, take=True) or "", span=(token.start, self.last_end()))
                ]
            elif token.text == ".":
                self.place += 1
                continue
            else:
                node = self.item(token)
                found = list(node.factors) if isinstance(node, Product) and not any(node.operators) else [node]
                found = [f for f in found if not (isinstance(f, Group) and not f.items and not f.opening)]
            for item in found:
                if items:
                    separators.append(parted)
                items.append(item)
                parted = ""
        return tuple(items), tuple(separators)

    def atom(self) -> Node:
        """Whatever scripts can be put to."""
        token = self.take()
        start, text = token.start, token.text
        if token.kind == "number":
            span = (start, token.end)
            return Symbol(text, self.font, span=span) if self.font else Number(text, span=span)
        if token.kind == "letter":
            return self.name(token)
        if text in OPENINGS:
            return self.group(OPENINGS[text], self.place - 1)
        if text in BARS:
            return self.bars(token)
        if text == "{":
            return self.braces(token)
        if text == r"\left":
            return self.sized(token)
        if text in SIGNS:
            raise Unreadable(f"nothing stands between an operator and {text}", token)
        if token.kind != "command":
            raise Unreadable(f"{text} is not understood here", token)
        return self.name(token)

    def braces(self, token: Token) -> Node:
        """{...}: what stands in it, without a node of its own."""
        first = self.place - 1
        last = self.partner(first)
        tokens = self.tokens[first + 1 : last]
        self.place = last + 1
        for k, each in enumerate(tokens):
            if each.text in (r"\over", r"\choose", r"\atop") and not _nested(tokens[:k]):
                above, below = self.inside(tokens[:k]), self.inside(tokens[k + 1 :])
                return self.fraction_of(above.tokens, below.tokens, (token.start, self.last_end()))
            if each.text in ("{", r"\left"):
                continue
        if not tokens:
            return Group("", "", (), span=(token.start, self.last_end()))
        node = self.inside(tokens, scripted=None).whole_in(self.scripted)
        return replace(node, span=(token.start, self.last_end()))

    def whole_in(self, scripted: bool) -> Node:
        """All that there is, letters read as indices or not."""
        self.scripted = scripted
        return self.whole()

    def fraction_of(self, above: list[Token], below: list[Token], span: Span) -> Node:
        """A fraction, or a derivative where both sides begin with the same differential."""
        kind, first = _differential_at(above)
        other, _ = _differential_at(below)
        rest = above[first:]
        if kind and kind == other and len(below) > 1 and (rest or kind in ("partial", "d")):
            return self.derivative(kind, rest, below, span)
        numerator = self.inside(above, scripted=None).whole()
        denominator = self.inside(below, scripted=None).whole()
        return Fraction(numerator, denominator, span=span)

    def derivative(self, kind: str, above: list[Token], below: list[Token], span: Span) -> Node:
        """A derivative by the variables below the bar; an operator where nothing stands above it."""
        reader = self.inside(above)
        order: Node | None = None
        if reader.next_text() == "^":
            script = reader.script(reader.take())
            order = script.items[0] if script is not None and script.items else None
        of = reader.whole() if reader.peek() is not None else None
        by: list[Node] = []
        powers: list[Node | None] = []
        for tokens in _variables(kind, below):
            power_reader = self.inside(tokens)
            power: Node | None = None
            if power_reader.next_text() == "^":  # \partial^2 below the bar as well
                script = power_reader.script(power_reader.take())
                power = script.items[0] if script is not None and script.items else None
            variable = power_reader.whole()
            if order is not None and power is None:
                variable, power = without_power(variable, order)
            by.append(variable)
            powers.append(power)
        if of is not None:
            return Derivative(kind, "fraction", of, tuple(by), tuple(powers), order, span=span)
        of = self.operand()
        return Derivative(kind, "operator", of, tuple(by), tuple(powers), order, span=(span[0], self.last_end()))

    def operand(self) -> Node | None:
        """What an operator such as d/dx acts on: the product that follows."""
        following = self.peek()
        if following is None or not self.operand_starts(following):
            return None
        self.check_depth()
        self.depth += 1
        of = self.close()
        self.depth -= 1
        return of

    def differential_kind(self) -> str:
        """ "d" if the letter d stands next and directly before a symbol, as in dW; else ""."""
        token = self.tokens[self.place] if self.place < len(self.tokens) else None
        after = self.tokens[self.place + 1] if self.place + 1 < len(self.tokens) else None
        if token is None or after is None or token.text != "d" or (self.scripted and not self.variable_of):
            return ""
        follower = next((t for t in self.tokens[self.place + 1 : self.place + 4] if t.text != r"\,"), after)
        if follower.text in TEXTS or follower.text in NAMED or follower.text in (r"\log", r"\det", r"\ln", r"\exp"):
            return "d"
        if after.space or after.start != token.end:
            return ""
        if after.kind == "letter":
            run = self.run_of_letters()
            name = length_of_name(run, begins=True, called=True, scripted=False) > 1
            return "" if name else "d"
        commands = after.text in FONTS or after.text in ACCENTS or after.text[1:] in LETTERS
        return "d" if after.kind == "command" and commands else ""

    def group(self, opening: str, first: int) -> Node:
        """A bracket with its items."""
        last = self.partner(first)
        closing = CLOSINGS.get(self.tokens[last].text, "") if last < len(self.tokens) else ""
        self.place = last + 1
        start = self.tokens[first].start
        items, separators = self.inside(self.tokens[first + 1 : last], bracketed=True).group_items()
        return Group(opening, closing, items, separators, span=(start, self.last_end()))

    def sized(self, token: Token) -> Node:
        r"""\left ... \right."""
        first = self.place - 1
        last = self.partner(first)
        opening = _delimiter(self.tokens[first + 1]) if first + 1 < len(self.tokens) else ""
        closing = _delimiter(self.tokens[last + 1]) if last + 1 < len(self.tokens) else ""
        inner = self.inside(self.tokens[first + 2 : last], bracketed=True)
        self.place = min(last + 2, len(self.tokens))
        items, separators = inner.group_items()
        if not opening and closing == "|" and self.next_text() in ("_", "^"):
            body = items[0] if len(items) == 1 else Listing(items, span=(token.start, self.last_end()))
            return self.evaluated(body, token.start)
        if opening == "{" and not closing and len(items) == 1:
            if isinstance(items[0], Cases):
                return items[0]
            if isinstance(items[0], Matrix) and all(len(row) == 2 for row in items[0].rows):
                values = tuple(value for value, _ in items[0].rows)
                conditions = tuple(Condition("", (said,), span=said.span) for _, said in items[0].rows)
                return Cases(values, conditions, span=(token.start, self.last_end()))
        return Group(opening, closing, items, separators, span=(token.start, self.last_end()))

    def bars(self, token: Token) -> Node:
        """|x| or \\|x\\|, up to the next such bar in the same bracket."""
        first = self.place - 1
        k = self.place
        while k < len(self.tokens) and self.tokens[k].text != token.text:
            if self.tokens[k].text in OPENINGS or self.tokens[k].text in ("{", r"\left", r"\begin"):
                k = self.partner(k)
            k += 1
        if k >= len(self.tokens):
            raise Unreadable(f"{token.text} has no partner", token)
        self.place = k + 1
        items, separators = self.inside(self.tokens[first + 1 : k], bracketed=True).group_items()
        return Group(BARS[token.text], BARS[token.text], items, separators, span=(token.start, self.last_end()))

    def group_items(self) -> tuple[tuple[Node, ...], tuple[str, ...]]:
        """Items parted by commas, semicolons, bars and colons; words are items of their own."""
        items: list[Node] = []
        separators: list[str] = []
        parted = ""
        while (token := self.peek()) is not None:
            if token.text in SEPARATORS or (token.text in BARS and not self.bar_opens() and items):
                parted = SEPARATORS.get(token.text) or BARS[token.text]
                self.place += 1 + (token.text == r"\middle")
                if token.text == ":" and not items:
                    items.append(Symbol(":", span=(token.start, token.end)))
                continue
            if token.text in WIDE_SPACES or token.kind == "break" or token.text == ".":
                self.place += 1
                continue
            if token.text in IMPLICATIONS:
                raise Unreadable(f"{token.text} stands inside a bracket", token)
            if self.remark_here(token):
                item: Node = Text(self.remark_words(token, take=True) or "", span=(token.start, self.last_end()))
            else:
                item = self.item(token)
            if items:
                separators.append(parted)
            items.append(item)
            parted = ""
        if parted == ":":  # W[i,:]
            separators.append("")
            items.append(Symbol(":"))
        return tuple(items), tuple(separators)


def bare(node: Node) -> Node:
    """What carries the scripts."""
    while isinstance(node, Scripts):
        node = node.base
    return node


def scripted(base: Node, below: Script | None, above: Script | None, primes: int, span: Span) -> Node:
    """The base with its scripts; the base itself if there are none."""
    if below is None and above is None and not primes:
        return base
    return Scripts(base, below, above, primes, span=span)


def juxtaposed(factors: list[Node]) -> Node:
    """Factors side by side; one alone is itself."""
    if len(factors) == 1:
        return factors[0]
    span = (factors[0].span[0], factors[-1].span[1])
    return Product(tuple(factors), ("",) * (len(factors) - 1), span=span)


def _delimiter(token: Token) -> str:
    text = token.text
    return {**OPENINGS, **CLOSINGS, **BARS, ".": "", "<": "⟨", ">": "⟩", "/": "/"}.get(text, "")


def _nested(tokens: Sequence[Token]) -> bool:
    """Whether braces stand open at the end."""
    return sum({"{": 1, "}": -1}.get(t.text, 0) for t in tokens) > 0


def _with_body(factors: list[Node], operators: list[str]) -> Big:
    """An operator in braces takes for its body what follows them."""
    big = factors[0]
    assert isinstance(big, Big)
    end = factors[-1].span[1]
    rest = tuple(factors[1:])
    body = rest[0] if len(rest) == 1 else Product(rest, tuple(operators[1:]), span=(rest[0].span[0], end))
    return replace(big, body=body, span=(big.span[0], end))


def _slash_derivative(factors: list[Node], operators: list[str], reader: Expressions) -> None:
    """Makes a derivative of \\partial J / \\partial W, once both sides of the slash are read."""
    if len(factors) < 2 or operators[-1] != "/":
        if len(factors) > 1 and isinstance(factors[-1], Differential) and _slashed(factors[-2], factors[-1]):
            last = factors.pop()  # \partial^2 f / \partial x \partial y
            operators.pop()
            head = factors[-1]
            assert isinstance(head, Derivative) and isinstance(last, Differential)
            factors[-1] = replace(
                head, by=(*head.by, last.of), powers=(*head.powers, None), span=(head.span[0], last.span[1])
            )
        return
    above, below = factors[-2], factors[-1]
    if above == Symbol("d"):  # d/dx f(x)
        above = Differential("d", Group("", "", ()), span=above.span)
    if not isinstance(above, Differential) or not isinstance(below, Differential) or above.kind != below.kind:
        return
    del factors[-2:]
    operators.pop()
    empty = isinstance(above.of, Group) and not above.of.items and not above.of.opening
    variable, power = below.of, below.order
    if above.order is not None and power is None:
        variable, power = without_power(variable, above.order)
    of = reader.operand() if empty else above.of
    span = (above.span[0], reader.last_end() if empty else below.span[1])
    form = "operator" if empty else "slash"
    factors.append(Derivative(above.kind, form, of, (variable,), (power,), above.order, span=span))


def _slashed(head: Node, last: Differential) -> bool:
    return isinstance(head, Derivative) and head.form == "slash" and head.kind == last.kind and head.order is not None


def without_power(variable: Node, order: Node) -> tuple[Node, Node | None]:
    r"""The x^2 of \partial^2 f / \partial x^2 as x and 2."""
    if isinstance(variable, Scripts) and variable.above is not None:
        last = variable.above.items[-1] if variable.above.items else None
        if isinstance(last, Number) or last == order:
            items = variable.above.items[:-1]
            above = replace(variable.above, items=items, separators=variable.above.separators[:-1]) if items else None
            return scripted(variable.base, variable.below, above, variable.primes, variable.span), last
    return variable, None


def length_of_name(run: str, *, begins: bool, called: bool, scripted: bool) -> int:
    """How many of the letters make a name; 1 if they are letters side by side."""
    if run in SPELLED_WHOLE or (called and run in ("sum", "LN", "BN", "CE", "KL")):
        return len(run) if called or run not in ("sign", "norm", "span", "rank", "vec") or begins else 1
    if begins and len(run) >= 3 and run in SHORT_NAMES:
        return len(run)
    for name in SPELLED_ANYWHERE:
        if run.startswith(name):
            return len(name)
    wordy = len(run) >= 4 and run[1:].islower() and any(c in "aeiouyAEIOUY" for c in run)
    if begins and wordy and not all(c in "ijklmn" for c in run) and (not scripted or len(set(run)) > 2):
        return len(run)
    return 1


def is_letter(token: Token) -> bool:
    """Whether a token is a letter, of whatever alphabet."""
    return token.kind == "letter" or (token.kind == "command" and token.text[1:] in LETTERS)


def _differential_at(tokens: Sequence[Token]) -> tuple[str, int]:
    """The kind of differential with which an argument begins, and the place after it."""
    kept = [(k, t) for k, t in enumerate(tokens[:8]) if t.text not in SPACES]
    if not kept:
        return "", 0
    first, token = kept[0]
    follower = kept[1][1] if len(kept) > 1 else None
    if token.text == r"\partial":
        return "partial", first + 1
    for spelled in _D:
        if [t.text for _, t in kept[: len(spelled)]] == spelled:
            return "d", kept[len(spelled) - 1][0] + 1
    scripted = follower is not None and follower.text in ("_", "'", ",", "+", "-", "=", "/")
    if token.text == "d" and not scripted:
        return "d", first + 1
    if token.text in (r"\delta", r"\Delta") and follower is not None and is_letter(follower):
        return token.text[1:], first + 1
    return "", 0


def _variables(kind: str, tokens: list[Token]) -> list[list[Token]]:
    """The variables below a derivative: what stands after each differential."""
    found: list[list[Token]] = []
    depth, k = 0, 0
    while k < len(tokens):
        here, after = _differential_at(tokens[k:]) if depth == 0 else ("", 0)
        before = tokens[k - 1].text if k else ""
        starts = here == kind and before not in ("_", "^") and (kind != "d" or _d_begins(tokens, k, found))
        if starts and after:
            found.append([])
            k += after
            continue
        depth += {"{": 1, "(": 1, "[": 1, "}": -1, ")": -1, "]": -1}.get(tokens[k].text, 0)
        if not found:
            found.append([])
        found[-1].append(tokens[k])
        k += 1
    return [variable for variable in found if variable] or [[]]


def _d_begins(tokens: list[Token], k: int, found: list[list[Token]]) -> bool:
    """Whether a d below the bar begins another variable: the first does, later ones where a variable stands before."""
    return not found or (bool(found[-1]) and k + 1 < len(tokens))
