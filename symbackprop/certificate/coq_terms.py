"""Expressions of a certificate as terms of Coq: as functions over the reals, and as data for the theory.

Both are made from one plain form, in which comparisons of reals are unit steps, so that what the data mean is what the
function is, by computation alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from symbackprop.certificate.check_proof import Node
from symbackprop.certificate.said import Statements, inside
from symbackprop.errors import UnsupportedError

# What a call is called: the function over the reals, and the entry of the table of slopes.
CALLS = {
    "exp": ("exp", "exponential"),
    "log": ("ln", "logarithm"),
    "tanh": ("tanh", "hyperbolic_tangent"),
    "sigmoid": ("sigmoid", "logistic"),
    "sin": ("sin", "sine"),
    "cos": ("cos", "cosine"),
    "atan": ("atan", "arctangent"),
    "erf": ("erf", "error_function"),
    "step": ("step", "unit_step"),
}
RELATIONS = ("<", "<=", "==")
ZERO, ONE = ("number", Fraction(0)), ("number", Fraction(1))
WHOLE = ("entry", "number", "+", "neg", "*", "//", "%")  # of what integers are made


class Terms:
    """Writes expressions.

    Args:
        number: the numbers of the tensors that move with the inputs.
        names: what everything is called in Coq.
        point: the name of the point, a record of inputs.
    """

    def __init__(self, said: Statements, number: Mapping[str, int], names: Mapping[str, str], point: str) -> None:
        self.said, self.number, self.names, self.point = said, number, names, point

    # integers

    def integer(self, n: Node, strong: int = 0) -> str:
        """A size or an index; `strong` 1 inside products, 2 as an argument."""
        word, parts = n[0], n[1:]
        if word == "number":
            return str(parts[0])
        if word == "entry" and len(parts) == 1:
            return self.names[parts[0]]
        if word == "entry" and parts[0] in self.said.labels:
            text, level = " ".join([self.names[parts[0]], *(self.integer(p, 2) for p in parts[1:])]), 1
        elif word == "+":
            text, level = " + ".join(self.integer(p, 1) for p in parts), 0
        elif word == "neg":
            text, level = "- " + self.integer(parts[0], 2), 0
        elif word == "*":
            text, level = " * ".join(self.integer(p, 2) for p in parts), 1
        elif word in ("//", "%"):
            text, level = f"{self.integer(parts[0], 2)} {'/' if word == '//' else 'mod'} {self.integer(parts[1], 2)}", 1
        else:
            raise UnsupportedError(f"a file for Coq has no word for an index with {word!r}")
        return f"({text})" if level < strong else text

    def bracketed(self, n: Node) -> str:
        """An integer as an argument among reals."""
        text = self.integer(n)
        return text if text.isidentifier() else f"({text})%Z"

    def is_integer(self, n: Node, bound: frozenset[str]) -> bool:
        """Whether an expression is made of indices, sizes and labels alone."""
        own = {*bound, *self.said.sizes, *self.said.labels}
        return all(m[0] in WHOLE and (m[0] != "entry" or m[1] in own) for m in inside(n))

    def discrete(self, n: Node, bound: frozenset[str]) -> bool:
        """Whether it is a comparison of integers."""
        return n[0] in RELATIONS and all(self.is_integer(p, bound) for p in n[1:])

    def test(self, n: Node) -> str:
        """A comparison of integers, as a boolean."""
        relation = {"<": "<?", "<=": "<=?", "==": "=?"}[n[0]]
        return f"({self.integer(n[1])} {relation} {self.integer(n[2])})%Z"

    # the plain form

    def plain(self, n: Node, bound: frozenset[str]) -> Node:
        """An expression in which comparisons are steps, but for those of integers."""
        if n[0] in ("number", "entry"):
            return n
        if n[0] == "sum":
            return (*n[:3], self.plain(n[3], bound | {n[1]}))
        parts = tuple(self.plain(p, bound) if isinstance(p, tuple) else p for p in n[1:])
        if n[:2] == ("call", "where"):
            condition, a, b = parts[1:]
            if self.discrete(n[2], bound):
                return ("if", n[2], a, b)
            if (a, b) == (ONE, ZERO):
                return tuple(condition)
            return ("+", ("*", condition, a), ("*", ("+", ONE, ("neg", condition)), b))
        if n[0] not in RELATIONS:
            return (n[0], *parts)
        if self.discrete(n, bound):
            return n if n[0] == "==" else ("if", n, ONE, ZERO)
        if n[0] == "==":
            raise UnsupportedError("a file for Coq has no word for == between reals")
        less = ("call", "step", difference(*(parts if n[0] == "<=" else parts[::-1])))
        return less if n[0] == "<" else ("+", ONE, ("neg", less))

    # functions over the reals

    def real(self, n: Node, bound: frozenset[str], strong: int = 0) -> str:
        """A real expression; `strong` 1 inside products, 2 under exponents, 3 as an argument."""
        text, level = self.leveled(n, bound)
        return f"({text})" if level < strong else text

    def leveled(self, n: Node, bound: frozenset[str]) -> tuple[str, int]:
        """The text, and how strongly it holds together: 0 a sum, 1 a product, 2 an application, 3 an atom."""
        word, parts = n[0], n[1:]
        match word:
            case "number":
                return str(parts[0]), 3
            case "entry":
                return self.entry(n, bound)
            case "call" if parts[0] in CALLS:
                return f"{CALLS[parts[0]][0]} {self.real(parts[1], bound, 3)}", 2
            case "sum":
                inner = self.real(parts[2], bound | {parts[0]})
                return f"sum {self.bracketed(parts[1])} (fun {self.names[parts[0]]} => {inner})", 2
            case "**":
                return power(self.real(parts[0], bound, 3), parts[1])
            case "+":
                return self.sum(parts, bound), 0
            case "neg":
                return "- " + self.real(parts[0], bound, 2), 0
            case "*":
                return " * ".join([self.real(parts[0], bound, 1), *(self.real(p, bound, 2) for p in parts[1:])]), 1
            case "/":
                return f"{self.real(parts[0], bound, 1)} / {self.real(parts[1], bound, 2)}", 1
            case "if":
                test, a, b = parts
                return f"(if {self.test(test)} then {self.real(a, bound)} else {self.real(b, bound)})", 3
            case "==":
                return f"delta {self.bracketed(parts[0])} {self.bracketed(parts[1])}", 2
        raise UnsupportedError(f"a file for Coq has no word for {parts[0] if word == 'call' else word} yet")

    def sum(self, parts: Iterable[Node], bound: frozenset[str]) -> str:
        """Terms with + and -."""
        first, *rest = parts
        text = self.real(first, bound)
        for p in rest:
            sign, p = ("-", p[1]) if p[0] == "neg" else ("+", p)
            text += f" {sign} {self.real(p, bound, 1)}"
        return text

    def entry(self, n: Node, bound: frozenset[str]) -> tuple[str, int]:
        """An entry of a tensor, a scalar, a size, or an index."""
        name, places = n[1], n[2:]
        if name == "pi":
            return "PI", 3
        if name in bound or name in self.said.sizes or name in self.said.labels:
            return f"IZR {self.bracketed(n)}", 2
        stands = name in self.said.inputs and name not in self.number
        words = [self.names[name], *([] if stands else [self.point]), *map(self.bracketed, places)]
        return " ".join(words), 2 if len(words) > 1 else 3

    # data for the theory

    def moves(self, n: Node) -> bool:
        """Whether a tensor with a number stands in it."""
        return any(m[0] == "entry" and m[1] in self.number for m in inside(n))

    def data(self, n: Node, bound: frozenset[str]) -> str:
        """An expression as data, as an argument."""
        if not self.moves(n):
            strange = [m[1] for m in inside(n) if m[0] == "entry" and m[1] in self.said.forward]
            if strange:
                raise UnsupportedError(f"a file for Coq has no word yet for {strange[0]}, which has no adjoint")
            return f"(Constant {self.real(n, bound, 3)})"
        word, parts = n[0], n[1:]
        match word:
            case "entry":
                return f"(Entry {self.number[parts[0]]} [{'; '.join(map(self.place, parts[1:]))}])"
            case "call":
                return f"(Call {CALLS[parts[0]][1]} {self.data(parts[1], bound)})"
            case "sum":
                inner = self.data(parts[2], bound | {parts[0]})
                return f"(Sum {self.bracketed(parts[1])} (fun {self.names[parts[0]]} => {inner}))"
            case "+" | "*":
                found = self.data(parts[0], bound)
                for p in parts[1:]:
                    found = f"({'Plus' if word == '+' else 'Times'} {found} {self.data(p, bound)})"
                return found
            case "neg":
                return f"(Call opposite {self.data(parts[0], bound)})"
            case "/":
                return f"(Times {self.data(parts[0], bound)} {self.data(('**', parts[1], Fraction(-1)), bound)})"
            case "**":
                return self.power(parts[0], parts[1], bound)
            case "if":
                return f"(Choose {self.test(parts[0])} {self.data(parts[1], bound)} {self.data(parts[2], bound)})"
        raise UnsupportedError(f"a file for Coq has no word for {word!r} yet")

    def place(self, n: Node) -> str:
        """An index at which a tensor is read."""
        if n[0] not in ("entry", "number"):
            raise UnsupportedError("a file for Coq has no word yet for entries at computed indices, as x[i+1]")
        return self.bracketed(n)

    def power(self, base: Node, e: Fraction, bound: frozenset[str]) -> str:
        """A power as data, as the function `power` writes it."""
        found = self.data(base, bound)
        if e.denominator > 2:
            return f"(Call (real_power ({e.numerator} / {e.denominator})) {found})"
        found = found if e.denominator == 1 else f"(Call root {found})"
        found = found if abs(e.numerator) == 1 else f"(Call (power {abs(e.numerator)}) {found})"
        return f"(Call inverse {found})" if e < 0 else found


def power(base: str, e: Fraction) -> tuple[str, int]:
    """A power; of a root, if the exponent is a half."""
    if e.denominator > 2:
        return f"Rpower {base} ({e.numerator} / {e.denominator})", 2
    text = base if e.denominator == 1 else f"sqrt {base}"
    if abs(e.numerator) != 1:
        text += f" ^ {abs(e.numerator)}"
    return (f"/ ({text})", 1) if e < 0 else (text, 2)


def difference(a: Node, b: Node) -> Node:
    """a - b, or one of them where the other is 0."""
    return a if b == ZERO else ("neg", b) if a == ZERO else ("+", a, ("neg", b))
