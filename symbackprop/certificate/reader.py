"""Reads the lines of a certificate as they are written: differences and quotients stay what they are.

The checker brings them into one form as it reads; a file for people keeps theirs.
"""

from __future__ import annotations

import re
from fractions import Fraction as Q
from typing import Any

from symbackprop.certificate.check_proof import MOST_DIGITS, MOST_EXPONENT, MOST_NESTED, need

Node = tuple[Any, ...]  # of a syntax tree: a word, then its parts
TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_]\w*)|(\*\*|//|<=|==|[-+*/%()\[\],:<;=]))")


class Reader:
    """Reads one line, word by word."""

    def __init__(self, text: str) -> None:
        self.words: list[str] = []
        self.at, self.depth, place = 0, 0, 0
        while text[place:].strip():
            m = TOKEN.match(text, place)
            need(m, f"cannot read {text[place : place + 20]!r}")
            assert m is not None
            need(len(m[0]) < MOST_DIGITS or not m[1], "a number with too many digits")
            self.words.append(m[0].strip())
            place = m.end()

    def see(self) -> str:
        """The next word, "" at the end."""
        return self.words[self.at] if self.at < len(self.words) else ""

    def take(self, *wanted: str) -> str:
        """The next word, which must be one of those wanted, if some are."""
        word = self.see()
        expected = " or ".join(wanted) or "a word"
        need(word and (not wanted or word in wanted), f"{expected} expected, not {word or 'the end'}")
        self.at += 1
        return word

    def name(self) -> str:
        """A name."""
        word = self.take()
        need(word.isidentifier(), f"a name expected, not {word}")
        return word

    def names(self) -> list[str]:
        """All names up to something else."""
        found = []
        while self.see().isidentifier() and self.see() not in ("uses", "open"):
            found.append(self.take())
        return found

    def end(self) -> None:
        """Nothing may follow."""
        need(self.at == len(self.words), f"{self.see()} where the line should end")

    def compared(self) -> Node:
        """An expression that may be a comparison."""
        left = self.sum()
        return (self.take(), left, self.sum()) if self.see() in ("<", "<=", "==") else left

    def sum(self) -> Node:
        """Terms with + and -."""
        self.depth += 1
        need(self.depth < MOST_NESTED, "an expression nested too deeply")
        terms = [self.product()]
        while self.see() in ("+", "-"):
            sign = self.take()
            terms.append(self.product() if sign == "+" else ("neg", self.product()))
        self.depth -= 1
        return terms[0] if len(terms) == 1 else ("+", *terms)

    def product(self) -> Node:
        """Factors with *, /, // and %, from left to right."""
        minus = 0
        while self.see() == "-":
            minus += len(self.take())
        left = self.power()
        while self.see() in ("*", "/", "//", "%"):
            sign = self.take()
            right = self.power()
            left = (*left, right) if sign == left[0] == "*" else (sign, left, right)
        return ("neg", left) if minus % 2 else left

    def power(self) -> Node:
        """An atom with an exponent, a rational number."""
        atom = self.atom()
        if self.see() != "**":
            return atom
        self.take()
        inside = self.see() == "("
        if inside:
            self.take()
        minus = self.see() == "-" and self.take()
        word = self.take()
        need(word.isdigit(), "an exponent is a rational number")
        value = Q(int(word))
        if inside and self.see() == "/":
            self.take()
            word = self.take()
            need(word.isdigit() and int(word), "an exponent is a rational number")
            value /= int(word)
        if inside:
            self.take(")")
        need(value.numerator <= MOST_EXPONENT and value.denominator <= MOST_EXPONENT, "an exponent that is too large")
        return ("**", atom, -value if minus else value)

    def atom(self) -> Node:
        """A number, a name, an entry, a call, or something in parentheses."""
        word = self.take()
        if word.isdigit():
            return ("number", Q(int(word)))
        if word == "(":
            inside = self.compared()
            self.take(")")
            return inside
        need(word.isidentifier(), f"{word} where an expression should begin")
        if self.see() == "[":
            return ("entry", word, *self.list("[", "]"))
        if self.see() != "(":
            return ("entry", word)
        if word not in ("sum", "max", "min"):
            return ("call", word, *self.list("(", ")"))
        self.take("(")
        body = self.sum()
        self.take("for")
        index = self.name()
        self.take("in")
        size = self.sum()
        self.take(")")
        return (word, index, size, body)

    def list(self, left: str, right: str) -> list[Node]:
        """Expressions between brackets."""
        self.take(left)
        found = [self.compared()]
        while self.see() == ",":
            self.take()
            found.append(self.compared())
        self.take(right)
        return found
