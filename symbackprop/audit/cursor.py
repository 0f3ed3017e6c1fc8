"""A place among the tokens of a formula: what stands next, arguments, partners of brackets, words.

Main names: `Cursor`, from which the readers of the grammar are made, and `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from symbackprop.audit.tokens import Token
from symbackprop.audit.tree import Note, NotUnderstood, Span
from symbackprop.audit.words import (
    ACCENTS,
    CLOSINGS,
    CONDITIONS,
    DRESSED,
    DROPPED,
    FONTS,
    JOINING,
    NAMED,
    OPENINGS,
    SILENT,
    SPACES,
    SPELLED_REMARKS,
    TEXTS,
)

MOST_NESTED = 40
MOST_NOTES = 50


class Unreadable(Exception):
    """Why reading stopped; caught by the member in which it happens."""

    def __init__(self, reason: str, at: Token | Span) -> None:
        self.reason = reason
        self.span = at[2:4] if isinstance(at, Token) else at
        super().__init__(reason)

    def as_node(self, text: str, start: int | None = None, end: int | None = None) -> NotUnderstood:
        """What stands for the member in which reading stopped."""
        first = self.span[0] if start is None else start
        last = max(self.span[1], end or 0)
        return NotUnderstood(self.reason, text[first:last], span=self.span)


class Cursor:
    """Tokens of one row, cell, bracket or argument, and how far they are read; brackets among them match."""

    def __init__(self, tokens: Sequence[Token], text: str, notes: list[Note], depth: int = 0) -> None:
        self.tokens, self.text, self.notes, self.depth = list(tokens), text, notes, depth
        self.place = 0
        self.links = 0
        self.font = ""
        self.scripted = False  # inside a subscript or superscript, where letters are indices
        self.bracketed = False  # inside a bracket, where | and : part items
        self.variable_of = ""  # the kind of differential that ends a variable below a fraction bar

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
        """The text of the next token; "" at the end."""
        token = self.peek()
        return token.text if token else ""

    def take(self) -> Token:
        """The next token, passed over."""
        token = self.peek()
        if token is None:
            raise Unreadable("the formula ends too early", self.end_span())
        self.place += 1
        return token

    def accept(self, text: str) -> bool:
        """Whether the next token is this one, which is then passed over."""
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
        """The last place of what is read."""
        end = self.tokens[-1].end if self.tokens else 0
        return (max(0, end - 1), end)

    def last_end(self) -> int:
        """Where the token before this place ends."""
        if not self.tokens:
            return 0
        return self.tokens[min(self.place, len(self.tokens)) - 1].end if self.place else self.tokens[0].start

    def here(self) -> int:
        """Where the next token begins."""
        token = self.peek()
        return token.start if token else self.last_end()

    def note(self, kind: str, words: str, span: Span) -> None:
        """Tells of something odd, once."""
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
            raise Unreadable(f"nested more than {MOST_NESTED} deep", token)
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

    def inside(self, tokens: Sequence[Token], *, scripted: bool | None = None, bracketed: bool = False) -> Self:
        """A reader of an argument, one level deeper."""
        self.check_depth()
        inner = type(self)(tokens, self.text, self.notes, self.depth + 1)
        inner.scripted = self.scripted if scripted is None else scripted
        inner.bracketed = bracketed
        inner.font = self.font if scripted is None else ""
        return inner

    def check_depth(self) -> None:
        """Refuses what is nested too deep."""
        if self.depth >= MOST_NESTED:
            at = self.peek()
            raise Unreadable(f"nested more than {MOST_NESTED} deep", at or self.end_span())

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
        """Whether words stand next that are no symbol."""
        return self.remark_words(token) is not None
