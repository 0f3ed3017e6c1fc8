"""Reads the lines of a certificate as they are written: differences and quotients stay what they are.

The checker brings them into one form as it reads; a file for people keeps theirs.
"""

from __future__ import annotations

from fractions import Fraction as Q
from typing import Any

from symbackprop.certificate.check_proof import ARGUMENTS, Node, Refused
from symbackprop.certificate.check_proof import Reader as Checker


def rational(n: Node) -> Q:
    """The number that an exponent is."""
    match n:
        case ("number", value):
            return Q(value)
        case ("neg", of):
            return -rational(of)
        case ("/", over, under):
            return rational(over) / rational(under)
    raise Refused("an exponent is a rational number")


class Reader(Checker):
    """Reads expressions: -a as ("neg", a), a quotient as ("/", a, b), a function as ("call", name, ...)."""

    def minus(self, n: Node) -> Node:
        """-n."""
        return ("neg", n)

    def joined(self, sign: str, a: Node, b: Node) -> Node:
        """Two expressions and what stands between them."""
        if sign == "-":
            return self.joined("+", a, self.minus(b))
        if sign == "**":
            return ("**", a, rational(b))
        return (*a, b) if sign in "+*" and a[0] == sign else (sign, a, b)

    def call(self, word: str, arguments: list[Any]) -> Node:
        """As the checker reads it."""
        found = super().call(word, arguments)
        return ("call", *found) if word in ARGUMENTS else found
