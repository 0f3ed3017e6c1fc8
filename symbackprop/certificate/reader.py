"""Reads the lines of a certificate as they are written: differences and quotients stay what they are.

The checker brings them into one form as it reads; a file for people keeps theirs.
"""

from __future__ import annotations

from fractions import Fraction as Q

from symbackprop.certificate.check_proof import SLOPES, Node, Refused
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
    """Reads one line, word by word: -a as ("neg", a), a quotient as ("/", a, b), a function as ("call", name, ...)."""

    @staticmethod
    def minus(n: Node) -> Node:
        """-n."""
        return ("neg", n)

    @staticmethod
    def joined(sign: str, a: Node, b: Node) -> Node:
        """Two expressions and what stands between them."""
        if sign == "-":
            return Reader.joined("+", a, Reader.minus(b))
        if sign == "**":
            return ("**", a, rational(b))
        return (*a, b) if sign in "+*" and a[0] == sign else (sign, a, b)

    def atom(self) -> Node:
        """As the checker reads it."""
        found = super().atom()
        return ("call", *found) if found[0] in SLOPES or found[0] in ("where", "stop") else found
