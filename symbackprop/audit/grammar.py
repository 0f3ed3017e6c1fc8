r"""LaTeX mathematics as people write it -> presentation trees.

Main names: `parse` (a whole formula: rows, chains, members), `parse_expression` (one member), `flat` (a product on one
level). Reading never fails with an exception: what is not understood is a `NotUnderstood` with reason and place.

A recursive descent, one method a level: chain (relations), terms (+ and -), wide (\odot and its like), close
(juxtaposition, \cdot, /), factor (scripts), atom. `rows` parts a display into rows before it begins.
"""

from __future__ import annotations

from dataclasses import replace

from symbackprop.audit.commands import Commands, extended, listed
from symbackprop.audit.cursor import MOST_NOTES, Unreadable
from symbackprop.audit.rows import Slice, balanced, rows_of, without_silent
from symbackprop.audit.tokens import Token, tokens_of
from symbackprop.audit.tree import (
    Chain,
    Condition,
    Display,
    Dots,
    Group,
    Listing,
    Node,
    Note,
    NotUnderstood,
    Number,
    Product,
    Relation,
    Row,
    Symbol,
    Text,
)
from symbackprop.audit.words import (
    CLOSE,
    CONDITIONS,
    IMPLICATIONS,
    JOINING,
    OPENINGS,
    RELATIONS,
    SIGNS,
    WIDE,
    WIDE_SPACES,
)


def parse(text: str) -> Display:
    r"""The rows of a formula.

    Example:
        >>> rows = parse(r"a &= b \\ &\approx c").rows
        >>> [[relation.sign for relation in row.chains[0].relations] for row in rows]
        [['='], ['≈']]
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
    reader = _Rows(without_silent(balanced(tokens_of(text))[0]), text, [])
    try:
        node = reader.chain_node()
        if (left := reader.peek()) is not None:
            raise Unreadable(f"{left.text} does not belong here", left)
    except Unreadable as error:
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


def _row(part: Slice, text: str) -> Row:
    """One row: its chains, or a chain of one member that is not understood."""
    notes: list[Note] = []
    span = (part.tokens[0].start, part.tokens[-1].end) if part.tokens else part.span
    tokens, odd = balanced(part.tokens)
    notes += odd
    chains = _Rows(without_silent(tokens), text, notes).row()
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


class _Rows(Commands):
    """Reads rows: chains, what parts them, and their conditions."""

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
                parts[-1] = extended(parts[-1], piece.members)
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
            before.members[-1] = listed(before.members[-1], alone)
        elif alone is not None and piece.connective in ("quad", "where", ",") and _is_aside(alone):
            assert isinstance(alone, Group)
            if not (len(alone.items) == 1 and isinstance(alone.items[0], Number)):  # (3) is a number of the formula
                before.conditions.append(Condition("", alone.items, span=alone.span))
        elif piece.relations and piece.connective == "," and not before.relations and len(before.members) == 1:
            if not before.conditions and not piece.continues:
                piece.members[0] = listed(before.members[0], piece.members[0])
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

    def chain(self, piece: _Piece) -> None:
        """Members and relations, up to what parts formulas."""
        if (relation := self.relation()) is not None:
            piece.continues = True
            piece.relations.append(relation)
        piece.members.append(self.member())
        while (relation := self.relation()) is not None:
            piece.relations.append(relation)
            piece.members.append(self.member())

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
                raise Unreadable(f"nothing stands after {token.text}", token)
            raise Unreadable(f"{token.text} is not understood here", token)
        except Unreadable as error:
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
