r"""LaTeX mathematics as people write it -> presentation trees.

Main names: `parse` (a whole formula: rows, chains, members), `parse_expression` (one member), `flat` (a product on one
level). Reading never fails with an exception: what is not understood is a `NotUnderstood` with reason and place.

A recursive descent, one method a level: chain (relations), terms (+ and -), wide (\odot and its like), close
(juxtaposition, \cdot, /), factor (scripts), atom. `rows` parts a display into rows before it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from symbackprop.audit.rows import Slice, balanced, cells_of, environment_end, environment_name, rows_of
from symbackprop.audit.tokens import Token, tokens_of
from symbackprop.audit.tree import (
    Annotated,
    Application,
    Big,
    Cases,
    Chain,
    Condition,
    Derivative,
    Differential,
    Display,
    Dots,
    Evaluated,
    Fraction,
    Group,
    Listing,
    Matrix,
    Node,
    Note,
    NotUnderstood,
    Number,
    Product,
    Relation,
    Root,
    Row,
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
    BIG,
    BOUNDED,
    CASES,
    CLOSE,
    CLOSINGS,
    CONDITIONS,
    DOTS,
    DRESSED,
    DROPPED,
    FONTS,
    FUNCTIONS,
    IMPLICATIONS,
    JOINING,
    LETTERS,
    MATRICES,
    NAMED,
    OPENINGS,
    RELATIONS,
    RENAMED,
    SEPARATORS,
    SHORT_NAMES,
    SIGNS,
    SILENT,
    SPACES,
    SPELLED_ANYWHERE,
    SPELLED_REMARKS,
    SPELLED_WHOLE,
    SWITCHES,
    TEXTS,
    WIDE,
    WIDE_SPACES,
)

# Deeper than anybody writes; what is nested deeper is not read, so that no text can exhaust the interpreter's stack.
MOST_NESTED = 40
# How far a bar looks for its partner.
BAR_REACH = 400
# `unknown commands` are told of once each, and no row has more notes than this.
MOST_NOTES = 50


def parse(text: str) -> Display:
    r"""The rows of a formula.

    Example:
        >>> [(row.number, [relation.sign for relation in row.chains[0].relations]) for row in parse(r"a &= b \\ &\approx
        c").rows] [(0, ['=']), (1, ['≈'])]
    """
    tokens = tokens_of(text)
    whole = (0, len(text))
    if not tokens:
        return Display((), NotUnderstood("the formula is empty", text, span=whole), span=whole)
    rows = tuple(_row(part, text) for part in rows_of(tokens))
    if not any(row.chains for row in rows):
        return Display(rows, NotUnderstood("no formula stands here", text[:80], span=whole), span=whole)
    return Display(rows, span=whole)


def parse_expression(text: str) -> Node:
    """One member: an expression without relations outside brackets, or a chain where there are some."""
    reader = _Reader(balanced(tokens_of(text))[0], text, [])
    try:
        node = reader.chain_node()
        if (left := reader.peek()) is not None:
            raise _Unreadable(f"{left.text} does not belong here", left)
    except _Unreadable as error:
        return error.as_node(text)
    return node


def flat(product: Product) -> Product:
    r"""All factors on one level, A B \odot C as three, with the operators as they stand from left to right."""
    factors: list[Node] = []
    operators: list[str] = []
    for number, factor in enumerate(product.factors):
        operators += [product.operators[number - 1]] if number else []
        if isinstance(factor, Product):
            inner = flat(factor)
            factors += inner.factors
            operators += inner.operators
        else:
            factors.append(factor)
    return Product(tuple(factors), tuple(operators), span=product.span)


class _Unreadable(Exception):
    """Why reading stopped; caught by the member in which it happens."""

    def __init__(self, reason: str, at: Token | Span) -> None:
        self.reason = reason
        self.span = at[2:4] if isinstance(at, Token) else at
        super().__init__(reason)

    def as_node(self, text: str, start: int | None = None, end: int | None = None) -> NotUnderstood:
        first = self.span[0] if start is None else start
        last = max(self.span[1], end or 0)
        return NotUnderstood(self.reason, text[first:last], span=self.span)


def _row(part: Slice, text: str) -> Row:
    """One row: its chains, or a chain of one member that is not understood."""
    notes: list[Note] = []
    span = (part.tokens[0].start, part.tokens[-1].end) if part.tokens else part.span
    tokens, odd = balanced(part.tokens)
    notes += odd
    chains = _Reader(tokens, text, notes).row()
    return Row(part.number, chains, tuple(notes[:MOST_NOTES]), part.tag, span=span)


class _Piece:
    """A chain while its row is being read."""

    def __init__(self, connective: str, start: int) -> None:
        self.connective, self.start, self.end = connective, start, start
        self.members: list[Node] = []
        self.relations: list[Relation] = []
        self.conditions: list[Condition] = []
        self.continues = False
        self.label = ""

    def made(self) -> Chain:
        return Chain(
            tuple(self.members),
            tuple(self.relations),
            self.continues,
            tuple(self.conditions),
            self.connective,
            self.label,
            span=(self.start, self.end),
        )


class _Reader:
    """Reads the tokens of one row, cell, bracket or argument from left to right; brackets among them match."""

    def __init__(self, tokens: Sequence[Token], text: str, notes: list[Note], depth: int = 0) -> None:
        self.tokens, self.text, self.notes, self.depth = list(tokens), text, notes, depth
        self.place = 0
        self.links = 0
        self.font = ""
        self.scripted = False  # inside a subscript or superscript, where letters are indices
        self.bracketed = False  # inside a bracket, where | and : part items
        self.variable_of = ""  # the kind of differential that ends a variable below a fraction bar

    # --- tokens

    def peek(self) -> Token | None:
        """The next token that means something; spaces and commands without effect are passed over."""
        while self.place < len(self.tokens):
            token = self.tokens[self.place]
            if token.text in SPACES or token.text in SILENT or token.text == "&":
                self.place += 1
            elif token.text in DROPPED or token.text in DRESSED:
                self.place += 1
                self.skip_argument()
            else:
                return token
        return None

    def next_text(self) -> str:
        token = self.peek()
        return token.text if token else ""

    def take(self) -> Token:
        token = self.peek()
        if token is None:
            raise _Unreadable("the formula ends too early", self.end_span())
        self.place += 1
        return token

    def accept(self, text: str) -> bool:
        if self.next_text() == text:
            self.place += 1
            return True
        return False

    def after(self, steps: int = 1) -> Token | None:
        """The token `steps` places after the next one, as it stands."""
        self.peek()
        place = self.place + steps
        return self.tokens[place] if place < len(self.tokens) else None

    def end_span(self) -> Span:
        end = self.tokens[-1].end if self.tokens else 0
        return (max(0, end - 1), end)

    def last_end(self) -> int:
        """Where the token before this place ends."""
        if not self.tokens:
            return 0
        return self.tokens[min(self.place, len(self.tokens)) - 1].end if self.place else self.tokens[0].start

    def note(self, kind: str, words: str, span: Span) -> None:
        if len(self.notes) < MOST_NOTES and all((n.kind, n.words) != (kind, words) for n in self.notes):
            self.notes.append(Note(kind, words, span=span))

    def skip_argument(self) -> None:
        """Passes over [..] and {..}, or one token."""
        if self.place < len(self.tokens) and self.tokens[self.place].text == "{":
            self.place = self.partner(self.place) + 1
        elif self.place < len(self.tokens):
            self.place += 1

    def partner(self, place: int) -> int:
        """The place of what closes the bracket, brace, \\left or \\begin at `place`; the number of tokens if nothing
        does.
        """
        depth = 0
        k = place
        while k < len(self.tokens):
            text = self.tokens[k].text
            if text in (r"\left", r"\right"):
                depth += 1 if text == r"\left" else -1
                k += 1  # its delimiter is no bracket of its own
            elif text in OPENINGS or text in ("{", r"\begin"):
                depth += 1
            elif text in CLOSINGS or text in ("}", r"\end"):
                depth -= 1
            if depth <= 0:
                return k - (text in (r"\left", r"\right"))
            k += 1
        return len(self.tokens)

    def argument_tokens(self, within: int = 0) -> list[Token]:
        """The tokens of an argument: those in braces, or the next one (one digit of a number)."""
        token = self.take()
        if within > MOST_NESTED:
            raise _Unreadable(f"nested more than {MOST_NESTED} deep", token)
        first = self.place - 1
        if token.text == "{":
            last = self.partner(first)
            self.place = last + 1
            return self.tokens[first + 1 : last]
        if token.kind == "number" and len(token.text) > 1:
            self.place -= 1
            self.tokens[first] = token._replace(text=token.text[1:], start=token.start + 1, space=False)
            return [token._replace(text=token.text[0], end=token.start + 1)]
        if token.text in FONTS or token.text in ACCENTS or token.text in TEXTS or token.text in NAMED:
            self.argument_tokens(within + 1)
            return self.tokens[first : self.place]
        if token.text in (r"\frac", r"\sqrt", r"\binom"):
            for _ in range(1 if token.text == r"\sqrt" else 2):
                self.argument_tokens(within + 1)
            return self.tokens[first : self.place]
        if token.text == r"\left":
            last = self.partner(first)
            self.place = min(last + 2, len(self.tokens))
            return self.tokens[first : self.place]
        return [token]

    def words_of_argument(self) -> str:
        """The text of an argument as it is written, without TeX's marks."""
        token = self.peek()
        if token is None or token.text != "{":
            return "".join(t.text for t in self.argument_tokens())
        last = self.partner(self.place)
        end = self.tokens[last].start if last < len(self.tokens) else self.tokens[-1].end
        self.place = last + 1
        raw = self.text[token.end : end]
        for mark in (r"\ ", "~", r"\,", r"\;", "$", "\\-", "{", "}"):
            raw = raw.replace(mark, " " if mark in (r"\ ", "~", r"\,", r"\;") else "")
        return " ".join(raw.replace("\\_", "_").replace("\\text", "").split())

    def inside(self, tokens: Sequence[Token], *, scripted: bool | None = None, bracketed: bool = False) -> _Reader:
        """A reader of an argument, one level deeper."""
        self.check_depth()
        inner = _Reader(tokens, self.text, self.notes, self.depth + 1)
        inner.scripted = self.scripted if scripted is None else scripted
        inner.bracketed = bracketed
        inner.font = self.font if scripted is None else ""
        return inner

    def check_depth(self) -> None:
        if self.depth >= MOST_NESTED:
            at = self.peek()
            raise _Unreadable(f"nested more than {MOST_NESTED} deep", at or self.end_span())

    # --- rows

    def row(self) -> tuple[Chain, ...]:
        """All chains of a row."""
        pieces: list[_Piece] = []
        connective = ""
        while (token := self.peek()) is not None:
            if (joined := self.connective(token)) is not None:
                wide = connective == "quad" and joined in (",", "quad")
                connective = "quad" if wide else joined
                continue
            if self.remark_here(token):
                connective = self.remark(pieces, connective, token)
                continue
            piece = _Piece(connective, token.start)
            self.chain(piece)
            if self.next_text() == ":" and not piece.relations:
                piece.label = self.text[piece.start : self.last_end()].strip()
                self.place += 1
                piece.members.clear()
                self.chain(piece)
            piece.end = self.last_end()
            if self.place < len(self.tokens) and self.tokens[self.place] is token:
                self.place += 1  # nothing could be read here: never stand still
            self.put(pieces, piece)
            connective = ""
        if len(pieces) > 1 and _is_number(pieces[0]):  # (3) before the formula
            pieces.pop(0)
            pieces[0].connective = ""
        self.set_conditions_apart(pieces)
        return tuple(piece.made() for piece in pieces)

    def connective(self, token: Token) -> str | None:
        """What stands between two formulas of a row, passed over; None if a formula goes on here."""
        if token.text in (",", ";", "."):
            self.place += 1
            return ","
        if token.text in WIDE_SPACES or token.text == ":":
            self.place += 1
            return "quad"
        if token.text in IMPLICATIONS:
            self.place += 1
            return IMPLICATIONS[token.text]
        if token.kind == "break":
            self.place += 1
            return "quad"
        if (words := self.remark_words(token)) is not None and words.lower().strip(" ,.:") in JOINING:
            self.remark_words(token, take=True)
            return "and"
        return None

    def remark_words(self, token: Token, *, take: bool = False) -> str | None:
        r"""The words of a \text that is no symbol, or of plain letters that spell "for", "if", "where"; None for
        others.
        """
        place = self.place
        words: str | None = None
        if token.text in (r"\forall", r"\exists"):
            self.place += 1
            words = token.text[1:]
        elif token.text in TEXTS or token.text == r"\mathrm":
            self.place += 1
            words = self.words_of_argument()
            first = words.split()[0].lower().strip(".,:(") if words.split() else ""
            several = token.text != r"\mathrm" and not words.replace("-", "").replace("_", "").isalnum()
            if not (several or first in CONDITIONS or first in JOINING or words.endswith(":") or not words):
                words = None
        elif token.kind == "letter" and not self.scripted:
            run = self.run_of_letters()
            before = self.tokens[place - 1] if place else None
            after = self.tokens[place + len(run)] if place + len(run) < len(self.tokens) else None
            alone = after is None or after.text not in ("_", "^", "(", "=", "'")
            if run.lower() in SPELLED_REMARKS and alone and (before is None or before.kind != "letter"):
                self.place += len(run)
                words = run.lower()
        if not take or words is None:
            self.place = place
        return words

    def remark_here(self, token: Token) -> bool:
        return self.remark_words(token) is not None

    def remark(self, pieces: list[_Piece], connective: str, token: Token) -> str:
        """Reads words and the condition that they begin; answers the connective of what follows."""
        words = self.remark_words(token, take=True) or ""
        if words.endswith(":"):
            piece = _Piece(connective, token.start)
            piece.label = words.rstrip(": ")
            pieces.append(piece)
            self.chain(piece)
            piece.end = self.last_end()
            return ""
        first = words.split()[0].lower().strip(".,:(") if words.split() else ""
        if first in ("where", "with") and " " not in words.strip():
            return "where"
        parts: list[Node] = []
        if first in CONDITIONS or first in ("forall", "exists"):
            parts = self.condition_parts(leading=not pieces)
        condition = Condition(words, tuple(parts), span=(token.start, self.last_end()))
        if not pieces:
            pieces.append(_Piece("", token.start))
            pieces[-1].end = self.last_end()
        pieces[-1].conditions.append(condition)
        return "quad"

    def condition_parts(self, *, leading: bool) -> list[Node]:
        """Chains and symbols parted by commas, up to a wide space, an implication, "and" or more words."""
        parts: list[Node] = []
        while (token := self.peek()) is not None:
            if token.text in WIDE_SPACES and not parts:
                self.place += 1
                continue
            if token.text in WIDE_SPACES or token.text in IMPLICATIONS or self.remark_here(token):
                break
            if token.text in (",", ";", "."):
                place = self.place
                self.place += 1
                follows = self.peek()
                if leading and follows is not None and self.relation_ahead():
                    self.place = place
                    break
                continue
            if not self.operand_starts(token) and token.text not in SIGNS and token.text not in RELATIONS:
                break
            piece = _Piece("", token.start)
            self.chain(piece)
            piece.end = self.last_end()
            if not piece.relations and parts and isinstance(parts[-1], Chain):
                parts[-1] = _extended(parts[-1], piece.members)
            else:
                parts.append(piece.made() if piece.relations else piece.members[0])
            if self.place < len(self.tokens) and self.tokens[self.place] is token:
                break
        return parts

    def relation_ahead(self) -> bool:
        """Whether an = stands before the next comma, outside brackets."""
        k = self.place
        while k < len(self.tokens) and self.tokens[k].text not in (",", ";"):
            text = self.tokens[k].text
            if text in ("=", ":=", r"\leftarrow"):
                return True
            if text in OPENINGS or text in ("{", r"\left", r"\begin"):
                k = self.partner(k)
            k += 1
        return False

    def put(self, pieces: list[_Piece], piece: _Piece) -> None:
        """Puts what was read to the chain before where it only goes on there: 1, \\dots, L; (i \\ge 1); i \\ne j."""
        before = pieces[-1] if pieces else None
        if before is None or not (before.members or before.relations or before.label):
            if before is not None and before.conditions:
                piece.conditions = before.conditions + piece.conditions
                piece.start = before.start
                pieces.pop()
            pieces.append(piece)
            return
        alone = piece.members[0] if len(piece.members) == 1 and not piece.relations else None
        if piece.continues and piece.connective == ",":
            piece.continues = False
            before.members += piece.members
            before.relations += piece.relations
        elif alone is not None and piece.connective == "," and before.members and not before.conditions:
            before.members[-1] = _listed(before.members[-1], alone)
        elif alone is not None and piece.connective in ("quad", "where", ",") and _is_aside(alone):
            assert isinstance(alone, Group)
            if not (len(alone.items) == 1 and isinstance(alone.items[0], Number)):  # (3) is a number of the formula
                before.conditions.append(Condition("", alone.items, span=alone.span))
        elif piece.relations and piece.connective == "," and not before.relations and len(before.members) == 1:
            if not before.conditions and not piece.continues:
                piece.members[0] = _listed(before.members[0], piece.members[0])
                piece.start, piece.connective, piece.label = before.start, before.connective, before.label
                pieces.pop()
            pieces.append(piece)
        else:
            pieces.append(piece)
            return
        if pieces[-1] is before:
            before.end = piece.end

    def set_conditions_apart(self, pieces: list[_Piece]) -> None:
        """What only limits the chain before it becomes its condition: i \\ne j; l = L-1, \\dots, 2."""
        for number in range(len(pieces) - 1, 0, -1):
            piece, before = pieces[number], pieces[number - 1]
            signs = {relation.sign for relation in piece.relations}
            limits = bool(signs) and signs <= {"∈", "∉", "≠", "<", ">", "≤", "≥"}
            if len(piece.members) == 2 and signs == {"="} and isinstance(piece.members[1], Listing):
                limits = any(isinstance(item, Dots) for item in piece.members[1].items)
            if limits and before.relations and piece.connective in (",", "quad", "where") and not piece.continues:
                words = "where" if piece.connective == "where" else ""
                made = replace(piece.made(), conditions=(), connective="")
                before.conditions.append(Condition(words, (made,), span=(piece.start, piece.end)))
                before.conditions += piece.conditions
                before.end = piece.end
                del pieces[number]

    # --- chains

    def chain(self, piece: _Piece) -> None:
        """Members and relations, up to what parts formulas."""
        if (relation := self.relation()) is not None:
            piece.continues = True
            piece.relations.append(relation)
        piece.members.append(self.member())
        while (relation := self.relation()) is not None:
            piece.relations.append(relation)
            piece.members.append(self.member())

    def chain_node(self) -> Node:
        """A member, or a chain where there are relations; raises what cannot be read."""
        start = self.here()
        links, self.links = self.links, 0
        piece = _Piece("", start)
        if (relation := self.relation()) is not None:
            piece.continues = True
            piece.relations.append(relation)
        piece.members.append(self.terms())
        while (relation := self.relation()) is not None:
            piece.relations.append(relation)
            piece.members.append(self.terms())
        self.links = links
        piece.end = self.last_end()
        return piece.made() if piece.relations else piece.members[0]

    def here(self) -> int:
        token = self.peek()
        return token.start if token else self.last_end()

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
            except _Unreadable:
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
        except _Unreadable as error:
            return error.as_node(self.text)

    def member(self) -> Node:
        """One member of a chain; what cannot be read of it is passed over."""
        start, place = self.here(), self.place
        following = self.peek()
        if following is None or following.text in RELATIONS:
            where = (start, start) if following is None else (following.start, following.end)
            return NotUnderstood("nothing stands beside a sign of relation", span=where)
        try:
            node = self.lone_operator() or self.terms()
            token = self.peek()
            if token is None or self.ends_member(token):
                return node
            if token.text in SIGNS or token.text in CLOSE or token.text in WIDE:
                raise _Unreadable(f"nothing stands after {token.text}", token)
            raise _Unreadable(f"{token.text} is not understood here", token)
        except _Unreadable as error:
            self.place = max(self.place, place)
            depth_end = self.skip_member(place)
            return error.as_node(self.text, start, depth_end)

    def lone_operator(self) -> Node | None:
        """An operator that is the whole formula: the sign \\odot, a \\cdot that stands for an argument."""
        token = self.peek()
        if token is None or len(self.tokens) > self.place + 1:
            return None
        name = WIDE.get(token.text) or CLOSE.get(token.text) or SIGNS.get(token.text)
        if name is None:
            return None
        self.place += 1
        return Symbol(name, span=(token.start, token.end))

    def ends_member(self, token: Token) -> bool:
        return (
            token.text in RELATIONS
            or token.text in (",", ";", ".", ":", r"\not", r"\stackrel", r"\overset", r"\underset", r"\mid", "|")
            or token.text in WIDE_SPACES
            or token.text in IMPLICATIONS
            or token.kind == "break"
            or self.remark_here(token)
        )

    def skip_member(self, place: int) -> int:
        """Goes on to the next relation or comma outside brackets; answers where the text up to there ends."""
        k = place
        while k < len(self.tokens):
            token = self.tokens[k]
            if k >= place and (token.text in RELATIONS or token.text in (",", ";") or token.text in WIDE_SPACES):
                break
            if token.text in OPENINGS or token.text in ("{", r"\left", r"\begin"):
                k = self.partner(k)
            k += 1
        self.place = max(min(k, len(self.tokens)), place)
        return self.tokens[self.place - 1].end if self.place else self.here()

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
            raise _Unreadable(f"{token.text} is not understood here", token)
        return node

    # --- terms and products

    def terms(self) -> Node:
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
                first = len(factors) - 1 - (called and isinstance(_bare(factors[-2]), Symbol))  # f(x)|_{x = 0}
                body = _juxtaposed(factors[first:])
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

    # --- factors

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
        while isinstance(_bare(parts[0]), Symbol) and self.next_text() in ("(", r"\left"):
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
                    raise _Unreadable("too many scripts after one another", token)
            elif token.text == "*" and not self.operand_after() and above is None:
                self.place += 1
                above = Script((Symbol("ast", span=(token.start, token.end)),), span=(token.start, token.end))
            elif token.text == "!" and not self.scripted:
                self.place += 1
                base = _scripted(base, below, above, primes, span)
                below, above, primes = None, None, 0
                function = Symbol("factorial", "roman", span=(token.start, token.end))
                base = Application(function, base, False, span=(start, token.end))
            else:
                break
        return _scripted(base, below, above, primes, (start, self.last_end()))

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
            raise _Unreadable(f"nothing follows {mark.text}", mark)
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
            raise _Unreadable(f"nothing follows {mark.text}", mark)
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

    # --- atoms

    def atom(self) -> Node:
        """Whatever scripts can be put to."""
        token = self.take()
        start, text = token.start, token.text
        if token.kind == "number":
            span = (start, token.end)
            return Symbol(text, self.font, span=span) if self.font else Number(text, span=span)
        if token.kind == "letter":
            return self.letters(token)
        if text in OPENINGS:
            return self.group(OPENINGS[text], self.place - 1)
        if text in BARS:
            return self.bars(token)
        if text == "{":
            return self.braces(token)
        if text == r"\left":
            return self.sized(token)
        if text in SIGNS:
            raise _Unreadable(f"nothing stands between an operator and {text}", token)
        if token.kind != "command":
            raise _Unreadable(f"{text} is not understood here", token)
        return self.command(token)

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
        return self.inside(tokens, scripted=None).whole_in(self.scripted)

    def whole_in(self, scripted: bool) -> Node:
        self.scripted = scripted
        return self.whole()

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
        if opening == "{" and not closing and len(items) == 1 and isinstance(items[0], Cases):
            return items[0]
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
            raise _Unreadable(f"{token.text} has no partner", token)
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
                raise _Unreadable(f"{token.text} stands inside a bracket", token)
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

    # --- letters and names

    def run_of_letters(self) -> str:
        """The plain letters that follow one another without a blank, from the next token on."""
        k = self.place
        letters: list[str] = []
        while k < len(self.tokens) and self.tokens[k].kind == "letter" and len(letters) < 24:
            if letters and (self.tokens[k].space or self.tokens[k].start != self.tokens[k - 1].end):
                break
            letters.append(self.tokens[k].text)
            k += 1
        return "".join(letters)

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
        length = _length_of_name(run, begins=begins, called=called, scripted=self.scripted)
        self.place += length
        name = run[:length]
        symbol = Symbol(name, self.font, span=(token.start, self.last_end()))
        if length == 1:
            return symbol
        if name in ("sum", "prod") and self.next_text() in ("_", "^"):
            return self.big(name, token)
        if not _is_function(name):
            self.note("word", f"the letters {name} are read as one name", symbol.span)
        if _is_function(name) or (called and length == len(run)):
            return self.applied(symbol, token)
        return symbol

    def differential_kind(self) -> str:
        """ "d" if the letter d stands next and directly before a symbol, as in dW; else ""."""
        token = self.tokens[self.place] if self.place < len(self.tokens) else None
        after = self.tokens[self.place + 1] if self.place + 1 < len(self.tokens) else None
        if token is None or after is None or token.text != "d" or (self.scripted and not self.variable_of):
            return ""
        if after.space or after.start != token.end:
            return ""
        if after.kind == "letter":
            run = self.run_of_letters()
            name = _length_of_name(run, begins=True, called=True, scripted=False) > 1
            return "" if name else "d"
        commands = after.text in FONTS or after.text in ACCENTS or after.text[1:] in LETTERS
        return "d" if after.kind == "command" and commands else ""

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

    # --- commands

    def command(self, token: Token) -> Node:
        text, start = token.text, token.start
        name = text[1:]
        if text in BIG:
            return self.big(BIG[text], token)
        if text == r"\partial":
            return self.differential("partial", token)
        if text == r"\nabla":
            return self.nabla(token)
        if text == r"\Delta" and (follower := self.after(0)) is not None and _is_letter(follower):
            return self.differential("Delta", token)
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
        """Environments and decorations; an unknown command is a symbol."""
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
            raise _Unreadable(f"{text} is not understood here", token)
        self.note("command", f"the command {text} is not known", (start, token.end))
        return Symbol(text[1:], "command", span=(start, token.end))

    def nabla(self, token: Token) -> Node:
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
        return inner.whole()

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
        known = _is_function(symbol.name) or token.text in (r"\operatorname", r"\operatorname*")
        if following is None:
            return function
        bracket = following.text in OPENINGS or following.text == r"\left" or (following.text == "{" and known)
        if following.text in BARS and known and self.bar_opens():
            bracket = True
        if bracket:
            argument = self.atom()
            return Application(function, argument, True, span=(token.start, self.last_end()))
        if not known or not (self.operand_starts(following) or following.text in SIGNS):
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
        return _scripted(symbol, below, above, primes, (token.start, self.last_end()))

    def bare_argument(self) -> Node:
        r"""What a function without brackets takes: \log 2\pi\sigma^2, \tanh W x, \log p(x), \log \sum_j e^{z_j}."""
        if self.next_text() in SIGNS:
            return self.signed(self.bare_argument)
        start = self.here()
        parts = [self.factor()]
        while isinstance(_bare(parts[-1]), (Symbol, Number)) and (token := self.peek()) is not None:
            wide = self.tokens[self.place - 1].text in SPACES and self.tokens[self.place - 1].text != r"\!"
            if token.text in ("(", r"\left") and isinstance(_bare(parts[-1]), Symbol) and not token.space:
                parts.append(self.factor())
                break
            if wide or not (_is_letter(token) or token.text in FONTS or token.text in ACCENTS):
                break
            if (
                token.kind == "letter"
                and _length_of_name(self.run_of_letters(), begins=True, called=True, scripted=False) > 1
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
                found[-1] = _extended(before, [item])
            elif isinstance(item, Matrix):
                found += [cell for row in item.rows for cell in row]
            else:
                found.append(item)
        return tuple(found)

    def script_items_with_colons(self) -> tuple[tuple[Node, ...], tuple[str, ...]]:
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

    # --- fractions

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
                variable, power = _without_power(variable, order)
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

    # --- environments and decorations

    def environment(self, token: Token) -> Node:
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
        return self.inside(tokens).whole() if any(t.text not in SPACES for t in tokens) else Text("")

    def cases(self, cells: list[list[list[Token]]], span: Span) -> Node:
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
        cells = cells_of(self.argument_tokens())
        rows = tuple(tuple(self.cell(cell) for cell in row) for row in cells)
        return Matrix("substack", rows, span=(token.start, self.last_end()))


def _length_of_name(run: str, *, begins: bool, called: bool, scripted: bool) -> int:
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


def _is_function(name: str) -> bool:
    return name in FUNCTIONS or name in ("sum", "Tanh")


def _is_letter(token: Token) -> bool:
    return token.kind == "letter" or (token.kind == "command" and token.text[1:] in LETTERS)


def _bare(node: Node) -> Node:
    """What carries the scripts."""
    while isinstance(node, Scripts):
        node = node.base
    return node


def _scripted(base: Node, below: Script | None, above: Script | None, primes: int, span: Span) -> Node:
    """The base with its scripts; the base itself if there are none."""
    if below is None and above is None and not primes:
        return base
    return Scripts(base, below, above, primes, span=span)


def _accented(node: Node, accent: str, span: Span) -> Node:
    r"""\hat{x} is a symbol with an accent, \hat{x_i} one with a script, \hat{x y} something under an accent."""
    if isinstance(node, Symbol):
        return replace(node, accents=(*node.accents, accent), span=span)
    if isinstance(node, Scripts) and isinstance(_bare(node), Symbol):
        return replace(node, base=_accented(node.base, accent, span), span=span)
    if isinstance(node, Number):
        return Symbol(node.text, "", (accent,), span=span)
    return Annotated(accent, node, None, span=span)


def _juxtaposed(factors: list[Node]) -> Node:
    if len(factors) == 1:
        return factors[0]
    span = (factors[0].span[0], factors[-1].span[1])
    return Product(tuple(factors), ("",) * (len(factors) - 1), span=span)


def _listed(first: Node, second: Node) -> Listing:
    items = first.items if isinstance(first, Listing) else (first,)
    return Listing((*items, second), span=(items[0].span[0], second.span[1]))


def _extended(chain: Chain, more: Sequence[Node]) -> Chain:
    """A chain whose last member goes on after commas: i = 1, \\dots, n."""
    last = chain.members[-1]
    for node in more:
        last = _listed(last, node)
    return replace(chain, members=(*chain.members[:-1], last), span=(chain.span[0], last.span[1]))


def _is_aside(node: Node) -> bool:
    """A bracket that limits or numbers a formula: (i \\ge 1, l \\ge 2), (3)."""
    if not isinstance(node, Group) or node.opening not in ("(", "[") or not node.items:
        return False
    return all(isinstance(item, (Chain, Text)) for item in node.items) or (
        len(node.items) == 1 and isinstance(node.items[0], Number)
    )


def _is_number(piece: _Piece) -> bool:
    """A number of the formula, (3), that stands by itself."""
    alone = piece.members[0] if len(piece.members) == 1 and not piece.relations else None
    return isinstance(alone, Group) and _is_aside(alone) and isinstance(alone.items[0], Number)


def _delimiter(token: Token) -> str:
    text = token.text
    return {**OPENINGS, **CLOSINGS, **BARS, ".": "", "<": "⟨", ">": "⟩", "/": "/"}.get(text, "")


def _nested(tokens: Sequence[Token]) -> bool:
    """Whether braces stand open at the end."""
    return sum({"{": 1, "}": -1}.get(t.text, 0) for t in tokens) > 0


_D = (
    [r"\mathrm", "{", "d", "}"],
    [r"\text", "{", "d", "}"],
    [r"\operatorname", "{", "d", "}"],
    ["{", r"\rm", "d", "}"],
)


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
    if token.text in (r"\delta", r"\Delta") and follower is not None and _is_letter(follower):
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


def _without_power(variable: Node, order: Node) -> tuple[Node, Node | None]:
    r"""The x^2 of \partial^2 f / \partial x^2 as x and 2."""
    if isinstance(variable, Scripts) and variable.above is not None:
        last = variable.above.items[-1] if variable.above.items else None
        if isinstance(last, Number) or last == order:
            items = variable.above.items[:-1]
            above = replace(variable.above, items=items, separators=variable.above.separators[:-1]) if items else None
            return _scripted(variable.base, variable.below, above, variable.primes, variable.span), last
    return variable, None


def _with_body(factors: list[Node], operators: list[str]) -> Big:
    """An operator in braces takes for its body what follows them."""
    big = factors[0]
    assert isinstance(big, Big)
    end = factors[-1].span[1]
    rest = tuple(factors[1:])
    body = rest[0] if len(rest) == 1 else Product(rest, tuple(operators[1:]), span=(rest[0].span[0], end))
    return replace(big, body=body, span=(big.span[0], end))


def _slash_derivative(factors: list[Node], operators: list[str], reader: _Reader) -> None:
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
        variable, power = _without_power(variable, above.order)
    of = reader.operand() if empty else above.of
    span = (above.span[0], reader.last_end() if empty else below.span[1])
    form = "operator" if empty else "slash"
    factors.append(Derivative(above.kind, form, of, (variable,), (power,), above.order, span=span))


def _slashed(head: Node, last: Differential) -> bool:
    return isinstance(head, Derivative) and head.form == "slash" and head.kind == last.kind and head.order is not None
