r"""Letters, names and commands: functions, sums, fractions and derivatives, fonts, environments, decorations.

Main name: `Commands`. An unknown command is a symbol, with a note.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from symbackprop.audit.cursor import Unreadable
from symbackprop.audit.expressions import Expressions, bare, is_letter, length_of_name, scripted
from symbackprop.audit.rows import cells_of, environment_end, environment_name
from symbackprop.audit.tokens import Token
from symbackprop.audit.tree import (
    Annotated,
    Application,
    Big,
    Cases,
    Chain,
    Condition,
    Derivative,
    Differential,
    Dots,
    Group,
    Listing,
    Matrix,
    Node,
    Number,
    Product,
    Root,
    Script,
    Scripts,
    Span,
    Symbol,
    Text,
)
from symbackprop.audit.words import (
    ACCENTS,
    BARS,
    BIG,
    BOUNDED,
    CASES,
    DOTS,
    FONTS,
    FUNCTIONS,
    LETTERS,
    MATRICES,
    NAMED,
    OPENINGS,
    RELATIONS,
    RENAMED,
    SIGNS,
    SPACES,
    SWITCHES,
    TEXTS,
    WIDE_SPACES,
)

BOLD_NAMES = (
    r"(?:math)?(?:v|m|t|b)?(?:ec|ect|ector|at|atrix|mat|ensor|ten|b|bf|bm|s|old)"  # of an author's own: \vect{x}
)


class Commands(Expressions):
    """Reads what a letter or a command begins."""

    def name(self, token: Token) -> Node:
        """What a letter or a command begins."""
        return self.letters(token) if token.kind == "letter" else self.command(token)

    def letters(self, token: Token) -> Node:
        """A letter, or the name that it begins."""
        self.place -= 1
        run = self.run_of_letters()
        before = self.tokens[self.place - 1] if self.place else None
        begins = before is None or before.kind != "letter" or token.space or before.end != token.start
        after = self.tokens[self.place + len(run)] if self.place + len(run) < len(self.tokens) else None
        called = after is not None and after.text in ("(", r"\left")
        if begins and self.differential_kind() == "d":
            self.place += 1
            return self.differential("d", token)
        length = length_of_name(run, begins=begins, called=called, scripted=self.scripted)
        self.place += length
        name = run[:length]
        font = "roman" if length > 1 and is_function(name) and not self.font else self.font
        symbol = Symbol(name, font, span=(token.start, self.last_end()))
        if length == 1:
            return symbol
        if name in ("sum", "prod") and self.next_text() in ("_", "^"):
            return self.big(name, token)
        if not is_function(name):
            self.note("word", f"the letters {name} are read as one name", symbol.span)
        if is_function(name) or (called and length == len(run)):
            return self.applied(symbol, token)
        return symbol

    def differential(self, kind: str, token: Token) -> Node:
        """What follows d, \\partial or \\Delta."""
        order: Node | None = None
        if self.next_text() == "^":
            mark = self.take()
            script = self.script(mark)
            order = script.items[0] if script is not None and script.items else None
        if kind == "partial" and self.next_text() == "_":
            mark = self.take()
            script = self.script(mark)
            by = script.items if script is not None else ()
            return self.operator(kind, "subscript", by, order, token)
        following = self.peek()
        if following is None or not self.operand_starts(following):
            return self.bare_differential(kind, order, token)
        self.check_depth()
        self.depth += 1
        of = self.tight()
        self.depth -= 1
        return Differential(kind, of, order, span=(token.start, self.last_end()))

    def bare_differential(self, kind: str, order: Node | None, token: Token) -> Node:
        """d or \\partial before something else: \\partial/\\partial x is an operator, others are letters."""
        nothing = Group("", "", (), span=(self.last_end(), self.last_end()))
        if self.next_text() == "/":
            return Differential(kind, nothing, order, span=(token.start, self.last_end()))
        return Symbol(kind, span=(token.start, self.last_end()))

    def operator(self, kind: str, form: str, by: tuple[Node, ...], order: Node | None, token: Token) -> Node:
        """\\nabla_W or \\partial_x with the factor that follows."""
        of: Node | None = None
        following = self.peek()
        if following is not None and self.operand_starts(following):
            self.check_depth()
            self.depth += 1
            of = self.tight()
            self.depth -= 1
        return Derivative(kind, form, of, by, (None,) * len(by), order, span=(token.start, self.last_end()))

    def command(self, token: Token) -> Node:
        """What a command that is no structure stands for: letters, functions, sums, fractions, fonts."""
        text, start = token.text, token.start
        name = text[1:]
        if text in BIG:
            return self.big(BIG[text], token)
        if text == r"\partial":
            return self.differential("partial", token)
        if text == r"\nabla":
            return self.nabla(token)
        if text == r"\Delta" and (follower := self.after(0)) is not None and is_letter(follower):
            changed = self.differential("Delta", token)
            if isinstance(changed, Differential) and isinstance(bare(changed.of), Symbol) and changed.order is None:
                return _accented(changed.of, "Delta", changed.span)  # a change of w has a name of its own
            return changed
        if text == r"\Sigma" and self.text[start : start + 1] == "Σ" and self.sum_in_letters():
            return self.big("sum", token)
        if name in LETTERS:
            return Symbol(RENAMED.get(name, name), self.font, span=(start, token.end))
        if text in DOTS:
            return Dots(DOTS[text], span=(start, token.end))
        if text == r"\frac":
            above, below = self.argument_tokens(), self.argument_tokens()
            return self.fraction_of(above, below, (start, self.last_end()))
        if text == r"\sqrt":
            return self.root(token)
        if text in ACCENTS:
            return _accented(self.inside(self.argument_tokens()).whole(), ACCENTS[text], (start, self.last_end()))
        if text in FONTS or text in SWITCHES:
            return self.in_font(token)
        if text in TEXTS or text in NAMED:
            return self.named(token)
        if name in FUNCTIONS:
            return self.function(Symbol(name, "roman", span=(start, token.end)), token)
        return self.structure(token)

    def structure(self, token: Token) -> Node:
        r"""Environments and decorations; an unknown command is a symbol, with an argument a function or \vect{x}."""
        text, start = token.text, token.start
        if text == r"\begin":
            return self.environment(token)
        if text in (r"\underbrace", r"\overbrace", r"\underbracket", r"\overbracket"):
            return self.braced(token)
        if text in (r"\boxed", r"\fbox", r"\cancel", r"\bcancel", r"\xcancel", r"\not", r"\mathstrut"):
            body = self.inside(self.argument_tokens()).whole()
            return Annotated(text[1:], body, None, span=(start, self.last_end()))
        if text in (r"\overset", r"\underset", r"\stackrel"):
            return self.stacked(token)
        if text == r"\binom":
            parts = (self.inside(self.argument_tokens()).whole(), self.inside(self.argument_tokens()).whole())
            span = (start, self.last_end())
            return Application(Symbol("binom", "roman"), Group("(", ")", parts, (",",), span=span), span=span)
        if text == r"\substack":
            return self.substack(token)
        if text in (r"\mathbin", r"\mathrel", r"\mathop", r"\mathord", r"\mathpalette"):
            return self.inside(self.argument_tokens()).whole()
        if text in (r"\%", r"\#", r"\&", r"\_", r"\S"):
            return Symbol(text[1:], span=(start, token.end))
        if not text[1:].isalpha():
            raise Unreadable(f"{text} is not understood here", token)
        self.note("command", f"the command {text} is not known", (start, token.end))
        following = self.peek()
        if following is None or following.text != "{" or following.space or self.scripted:
            return Symbol(text[1:], "command", span=(start, token.end))
        argument = self.inside(self.argument_tokens()).whole()
        span = (start, self.last_end())
        if isinstance(argument, Symbol) and re.fullmatch(BOLD_NAMES, text[1:]):
            return Symbol(argument.name, "bold", argument.accents, span=span)
        return Application(Symbol(text[1:], "command"), Group("(", ")", (argument,), span=argument.span), span=span)

    def nabla(self, token: Token) -> Node:
        r"""\nabla with what it is taken by, its power, and the factor that follows."""
        by: tuple[Node, ...] = ()
        order: Node | None = None
        while self.next_text() in ("_", "^"):
            mark = self.take()
            script = self.script(mark)
            if script is not None and mark.text == "_":
                by = script.items
                if len(by) > 1 and not any(script.separators):  # \nabla_{f(x)}: one variable, whatever it is
                    by = (Product(by, ("",) * (len(by) - 1), span=script.span),)
            elif script is not None and script.items:
                order = script.items[0]
        return self.operator("nabla", "subscript", by, order, token)

    def root(self, token: Token) -> Node:
        """A root with its degree."""
        degree: Node | None = None
        if self.next_text() == "[":
            last = self.partner(self.place)
            degree = self.inside(self.tokens[self.place + 1 : last]).whole()
            self.place = last + 1
        if self.next_text() in ("(", r"\left") and self.text[token.start] == "√":
            return Root(self.factor(), degree, span=(token.start, self.last_end()))
        body = self.inside(self.argument_tokens()).whole()
        return Root(body, degree, span=(token.start, self.last_end()))

    def in_font(self, token: Token) -> Node:
        r"""\mathbf{x}, {\bf x}; letters in \mathrm and \mathit spell one name."""
        text = token.text
        if text in SWITCHES:
            tokens, font = self.tokens[self.place :], SWITCHES[text]
            self.place = len(self.tokens)
        else:
            tokens, font = self.argument_tokens(), FONTS[text]
        inner = self.inside(tokens)
        plain = all(t.kind in ("letter", "number") or t.text in (*SPACES, "-", r"\_", "*") for t in tokens)
        names = text in (r"\mathrm", r"\mathit", r"\mathsf", r"\mathtt", r"\rm", r"\mathnormal")
        if plain and names and tokens and (len(tokens) > 1 or font == "roman") and tokens[0].kind == "letter":
            name = "".join(t.text for t in tokens if t.text not in SPACES)
            if name == "d" and text != r"\rm" and not self.scripted and self.next_text() not in ("_", ""):
                return self.differential("d", token)
            symbol = Symbol(name, font, span=(token.start, self.last_end()))
            return self.function(symbol, token) if len(name) > 1 else symbol
        inner.font = font or self.font
        return replace(inner.whole(), span=(token.start, self.last_end()))

    def named(self, token: Token) -> Node:
        r"""\operatorname{softmax}, \text{ReLU}: a symbol, or a function where brackets follow."""
        place = self.place
        words = self.words_of_argument()
        if token.text in NAMED:
            words = words.replace("\\mathrm", "").replace("\\rm", "").replace(" ", "").replace("\\", "")
        span = (token.start, self.last_end())
        if token.text in TEXTS and (not words or " " in words):
            return Text(words, span=span)
        if token.text == r"\mathop" and not words.isalpha():
            self.place = place
            return self.inside(self.argument_tokens()).whole()
        if words == "d" and not self.scripted:
            return self.differential("d", token)
        bold = token.text == r"\textbf"
        symbol = Symbol(words, "bold" if bold else "roman", span=span)
        return self.function(symbol, token) if token.text in NAMED or len(words) > 1 else symbol

    def function(self, symbol: Symbol, token: Token) -> Node:
        r"""A named function; with bounds below it is an operator, \max_k; \arg\max is one name."""
        if symbol.name == "arg" and self.next_text() in (r"\max", r"\min"):
            follower = self.take()
            symbol = replace(symbol, name="arg" + follower.text[1:], span=(token.start, follower.end))
        if symbol.name in BOUNDED and self.next_text() in ("_", r"\limits"):
            return self.big(symbol.name, token)
        return self.applied(symbol, token)

    def applied(self, symbol: Symbol, token: Token) -> Node:
        """The function with its scripts and its argument, if it has one."""
        function = self.marks(symbol, token)
        following = self.peek()
        known = is_function(symbol.name) or token.text in (r"\operatorname", r"\operatorname*")
        if following is None:
            return function
        if not known:
            return function  # \mathrm{NLL}(w) is a product of a symbol and a bracket, as J(w) is
        bracket = following.text in OPENINGS or following.text in (r"\left", "{")
        if bracket or (following.text in BARS and self.bar_opens()):
            argument = self.atom()
            return Application(function, argument, True, span=(token.start, self.last_end()))
        if not (self.operand_starts(following) or following.text in SIGNS):
            return function
        self.check_depth()
        self.depth += 1
        argument = self.bare_argument()
        self.depth -= 1
        return Application(function, argument, False, span=(token.start, self.last_end()))

    def marks(self, symbol: Symbol, token: Token) -> Node:
        """Scripts and primes of a function's name."""
        below: Script | None = None
        above: Script | None = None
        primes = 0
        while (mark := self.peek()) is not None and mark.text in ("^", "_", "'"):
            self.place += 1
            script = None if mark.text == "'" else self.script(mark)
            if script is None:
                primes += 1
            elif mark.text == "_":
                below = script
            else:
                above = script
        return scripted(symbol, below, above, primes, (token.start, self.last_end()))

    def bare_argument(self) -> Node:
        r"""What a function without brackets takes: \log 2\pi\sigma^2, \tanh W x, \log p(x), \log \sum_j e^{z_j}."""
        if self.next_text() in SIGNS:
            return self.signed(self.bare_argument)
        start = self.here()
        parts = [self.factor()]
        while isinstance(bare(parts[-1]), (Symbol, Number)) and (token := self.peek()) is not None:
            wide = self.tokens[self.place - 1].text in SPACES and self.tokens[self.place - 1].text != r"\!"
            if token.text in ("(", r"\left") and isinstance(bare(parts[-1]), Symbol) and not token.space:
                parts.append(self.factor())
                break
            if wide or not (is_letter(token) or token.text in FONTS or token.text in ACCENTS):
                break
            if (
                token.kind == "letter"
                and length_of_name(self.run_of_letters(), begins=True, called=True, scripted=False) > 1
            ):
                break
            parts.append(self.factor())
        if len(parts) == 1:
            return parts[0]
        return Product(tuple(parts), ("",) * (len(parts) - 1), span=(start, self.last_end()))

    def big(self, operator: str, token: Token) -> Node:
        """A sum or its like, with bounds and body."""
        lower: tuple[Node, ...] = ()
        upper: Node | None = None
        while (mark := self.peek()) is not None and mark.text in ("_", "^"):
            self.place += 1
            if self.next_text() in ("(", "["):
                self.note("script", f"{mark.text}(...) is read as {mark.text}{{(...)}}", (mark.start, mark.end))
                script = self.script(mark)
                found = script.items if script is not None else ()
            else:
                found = self.inside(self.argument_tokens(), scripted=True).bounds()
            if mark.text == "_":
                lower = (*lower, *found)
            elif found:
                upper = found[0] if len(found) == 1 else Product(found, ("",) * (len(found) - 1), span=found[0].span)
        body: Node | None = None
        following = self.peek()
        if following is not None and (
            self.operand_starts(following) or (following.text in SIGNS and self.operand_after())
        ):
            self.check_depth()
            self.depth += 1
            body = self.signed(self.wide)
            self.depth -= 1
        return Big(operator, lower, upper, body, span=(token.start, self.last_end()))

    def bounds(self) -> tuple[Node, ...]:
        """What stands below a sum: chains, or indices side by side; 1, \\dots, n goes on the chain before it."""
        items, separators = self.script_items_with_colons()
        found: list[Node] = []
        for number, item in enumerate(items):
            before = found[-1] if found else None
            parted = separators[number - 1] if number else ""
            if isinstance(before, Chain) and not isinstance(item, (Chain, Matrix)) and parted == ",":
                found[-1] = extended(before, [item])
            elif isinstance(item, Matrix):
                found += [cell for row in item.rows for cell in row]
            else:
                found.append(item)
        return tuple(found)

    def script_items_with_colons(self) -> tuple[tuple[Node, ...], tuple[str, ...]]:
        """Items of a bound, where a colon or a bar parts them as a comma does."""
        self.tokens = [t._replace(text=",") if t.text in (":", "|", r"\mid") else t for t in self.tokens]
        return self.script_items()

    def sum_in_letters(self) -> bool:
        """Whether a Σ of plain text is a sum: it has a subscript, and something follows."""
        if self.next_text() != "_":
            return False
        k = self.place + 1
        k = self.partner(k) + 1 if k < len(self.tokens) and self.tokens[k].text in ("{", "(") else k + 1
        while k < len(self.tokens) and self.tokens[k].text == "^":
            k += 1
            k = self.partner(k) + 1 if k < len(self.tokens) and self.tokens[k].text == "{" else k + 1
        return k < len(self.tokens) and (
            self.tokens[k].kind in ("letter", "number", "command") or self.tokens[k].text in "([{"
        )

    def environment(self, token: Token) -> Node:
        """Matrices and cases; rows of other environments are read as one expression."""
        first = self.place - 1
        name, start = environment_name(self.tokens, first)
        last, after = environment_end(self.tokens, first)
        self.place = after
        if start < last and self.tokens[start].text == "[":
            start = (
                self.tokens.index(next((t for t in self.tokens[start:last] if t.text == "]"), self.tokens[start])) + 1
            )
        if name in ("array", "tabular") and start < last and self.tokens[start].text == "{":
            start = self.partner(start) + 1
        cells = cells_of(self.tokens[start:last])
        span = (token.start, self.last_end())
        if name in CASES or (name == "array" and self.is_case_array(first, cells)):
            return self.cases(cells, span)
        if name in MATRICES:
            rows = tuple(tuple(self.cell(cell) for cell in row) for row in cells)
            return Matrix(name, rows, span=span)
        tokens = [t for t in self.tokens[start:last] if t.kind != "break" and t.text != "&"]
        if not tokens:
            return Text("", span=span)
        return self.inside(tokens).whole()

    def is_case_array(self, first: int, cells: list[list[list[Token]]]) -> bool:
        r"""\left\{ \begin{array}{ll} a & \text{if} ...: a brace before, a relation or words in the second column."""
        before = [t.text for t in self.tokens[:first] if t.text not in SPACES][-1:]
        conditions = [row[1] for row in cells if len(row) == 2]
        worded = any(t.text in TEXTS or t.text in RELATIONS for cell in conditions for t in cell)
        return len(conditions) == len(cells) > 0 and worded and (before == [] or before == [r"\{"])

    def cell(self, tokens: list[Token]) -> Node:
        """A cell of a matrix; an empty one is a text without words."""
        return self.inside(tokens).whole() if any(t.text not in SPACES for t in tokens) else Text("")

    def cases(self, cells: list[list[list[Token]]], span: Span) -> Node:
        """Values and conditions, line by line."""
        values: list[Node] = []
        conditions: list[Condition | None] = []
        for row in cells:
            chains = self.inside(row[0]).row()
            first = chains[0] if chains else Chain((Text(""),))
            condition = first.conditions[0] if first.conditions else None
            plain = not first.relations and len(first.members) == 1
            values.append(first.members[0] if plain else replace(first, conditions=()))
            rest = [t for cell in row[1:] for t in cell]
            if rest:
                condition = self.inside(rest).case_condition()
            elif condition is None and len(chains) > 1:
                condition = Condition("", chains[1:], span=chains[1].span)
            conditions.append(condition)
        return Cases(tuple(values), tuple(conditions), span=span)

    def case_condition(self) -> Condition:
        """The second column: words, then chains."""
        start = self.here()
        words: list[str] = []
        parts: list[Node] = []
        while (token := self.peek()) is not None:
            if token.text in (",", ".", ";") or token.text in WIDE_SPACES:
                self.place += 1
            elif self.remark_here(token):
                words.append(self.remark_words(token, take=True) or "")
            else:
                parts.append(self.item(token))
        if len(parts) > 1 and not words and isinstance(parts[0], Symbol):
            words = [parts[0].name] if len(parts[0].name) > 1 else []
            parts = parts[1:] if words else parts
        if len(parts) == 1 and isinstance(parts[0], Symbol) and parts[0].name in ("otherwise", "else"):
            words, parts = [parts[0].name], []
        said = " ".join(words).rstrip(" .,;")
        return Condition(said, tuple(parts), span=(start, self.last_end()))

    def braced(self, token: Token) -> Node:
        """\\underbrace{body}_{label}."""
        body = self.inside(self.argument_tokens()).whole()
        label: Node | None = None
        wanted = "_" if token.text.startswith(r"\under") else "^"
        if self.next_text() == wanted:
            self.place += 1
            label = self.inside(self.argument_tokens()).whole()
        return Annotated(token.text[1:], body, label, span=(token.start, self.last_end()))

    def stacked(self, token: Token) -> Node:
        """\\overset{label}{body}; \\underset{x}{\\arg\\max} is an operator with a bound."""
        label, body = self.argument_tokens(), self.argument_tokens()
        names = (
            "".join(t.text.lstrip("\\") for t in body if t.text not in SPACES).replace("operatorname", "").strip("{}*")
        )
        names = names.replace("mathrm", "").replace("{", "").replace("}", "").replace(",", "")
        if token.text == r"\underset" and (names in BOUNDED or names in BIG.values()):
            lower = self.inside(label, scripted=True).bounds()
            made = self.big(names, token)
            assert isinstance(made, Big)
            return replace(made, lower=(*lower, *made.lower))
        inner = self.inside(body).whole()
        above = self.inside(label).whole() if label else None
        return Annotated(token.text[1:], inner, above, span=(token.start, self.last_end()))

    def substack(self, token: Token) -> Node:
        """Lines below a sum."""
        cells = cells_of(self.argument_tokens())
        rows = tuple(tuple(self.cell(cell) for cell in row) for row in cells)
        return Matrix("substack", rows, span=(token.start, self.last_end()))


def is_function(name: str) -> bool:
    """Whether a name is that of a function with an argument."""
    return name in FUNCTIONS or name in ("sum", "Tanh")


def _accented(node: Node, accent: str, span: Span) -> Node:
    r"""\hat{x} is a symbol with an accent, \hat{x_i} one with a script, \hat{x y} something under an accent."""
    if isinstance(node, Symbol):
        return replace(node, accents=(*node.accents, accent), span=span)
    if isinstance(node, Scripts) and isinstance(bare(node), Symbol):
        return replace(node, base=_accented(node.base, accent, span), span=span)
    if isinstance(node, Number):
        return Symbol(node.text, "", (accent,), span=span)
    return Annotated(accent, node, None, span=span)


def listed(first: Node, second: Node) -> Listing:
    """Two items, or a list and one more."""
    items = first.items if isinstance(first, Listing) else (first,)
    return Listing((*items, second), span=(items[0].span[0], second.span[1]))


def extended(chain: Chain, more: Sequence[Node]) -> Chain:
    """A chain whose last member goes on after commas: i = 1, \\dots, n."""
    last = chain.members[-1]
    for node in more:
        last = listed(last, node)
    return replace(chain, members=(*chain.members[:-1], last), span=(chain.span[0], last.span[1]))
