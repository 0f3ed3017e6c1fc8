"""Expressions and equations as text of a certificate.

Names are those of the program as far as the format has them; indices are named by their place. What the format has no
word for is written out, or refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from keyword import kwlist

from symbackprop.certificate.check_proof import SLOPES, WORDS, Node
from symbackprop.errors import UnsupportedError
from symbackprop.expression.build import (
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Kronecker,
    Multiply,
    Number,
    Position,
    Power,
    Quotient,
    Remainder,
    Sum,
    Symbol,
    Tensor,
    Where,
    multiply,
    nodes_once,
    number,
    power,
    substitute,
)
from symbackprop.expression.equation import Equation
from symbackprop.expression.functions import STOP_GRADIENT, Function
from symbackprop.expression.sympy_bridge import PI, definition, slope

INDICES = "ijklmnpqrsuvw"
WRITTEN_OUT = {
    "sigmoid": "1/(1 + exp(-({0})))",
    "tanh_prime": "(1 - tanh({0})**2)",
    "sigmoid_prime": "exp(-({0}))/(1 + exp(-({0})))**2",
    "step": "where(0 < ({0}), 1, 0)",
}


class Names:
    """A name of the format for each tensor and scalar, unlike those of sizes, words and indices."""

    def __init__(self, sizes: Iterable[str], multiples: Mapping[str, str]) -> None:
        self._of: dict[Tensor | Symbol, str] = {}
        self.functions: dict[Function, str] = {}  # those of which nothing is known
        self._taken = {*sizes, *WORDS, *kwlist}
        self.multiples = multiples  # what a size is written as that is assumed to be a multiple: N as "2*N_half"

    @property
    def tensors(self) -> dict[Tensor, str]:
        """The tensors that have a name."""
        return {t: name for t, name in self._of.items() if isinstance(t, Tensor)}

    def of(self, thing: Tensor | Symbol) -> str:
        """The name of a tensor or a scalar, always the same."""
        if isinstance(thing, Symbol) and thing.kind == "size":
            return self.multiples.get(thing.name, thing.name)
        if thing not in self._of:
            self._of[thing] = self.unused(thing.name)
        return self._of[thing]

    def function(self, f: Function) -> str:
        """The name of an arbitrary function, and of its derivatives."""
        if f.primitive_of is not None:
            root, k = f.primitive_of
            return f"{self.function(root)}_prime{k + 1 if root.arity > 1 else ''}"
        if f not in self.functions:
            name = self.functions[f] = self.unused(f.name)
            once = [f"_prime{k if f.arity > 1 else ''}" for k in range(1, f.arity + 1)]
            self._taken.update(name + more for more in (*once, *(a + b for a in once for b in once)))
        return self.functions[f]

    def unused(self, wanted: str) -> str:
        """A name that nothing has yet."""
        plain = re.sub(r"[^A-Za-z0-9_]", "_", wanted)
        plain = plain if plain[:1].isalpha() or plain[:1] == "_" else f"t{plain}"
        name, k = plain, 2
        while name in self._taken:
            name, k = f"{plain}_{k}", k + 1
        self._taken.add(name)
        return name

    def index(self, taken: Iterable[str]) -> str:
        """A name for an index, unlike those in sight."""
        used = {*taken, *self._taken}
        return next(c + r for r in ("", *map(str, range(1, 100))) for c in INDICES if c + r not in used)


class Writer:
    """Writes expressions as the format has them."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def head(self, tensor: Tensor, indices: Iterable[Index], *, sizes: bool = True) -> tuple[str, dict[Expr, str]]:
        """name[i:N,j:M], or name[i,j], and what the indices are called."""
        env: dict[Expr, str] = {}
        for i in indices:
            env[i] = self.names.index(env.values())
        places = [f"{env[i]}:{self.text(n, {})}" if sizes else env[i] for i, n in zip(env, tensor.shape, strict=True)]
        return self.names.of(tensor) + (f"[{','.join(places)}]" if places else ""), env

    def equation(self, equation: Equation, *, sizes: bool = True) -> tuple[str, str]:
        """The left side and the right side."""
        left, env = self.head(equation.tensor, equation.indices, sizes=sizes)
        return left, self.text(equation.value, env)

    def text(self, e: Expr, env: Mapping[Expr, str], strong: int = 0) -> str:
        """An expression; `strong` 1 inside a product, 2 beneath an exponent or a quotient."""
        text, level = self._leveled(e, env)
        return f"({text})" if level < strong else text

    def _leveled(self, e: Expr, env: Mapping[Expr, str]) -> tuple[str, int]:
        """The text, and how strongly it holds together: 0 a sum, 1 a product, 2 an atom."""
        match e:
            case Number(v):
                text = str(abs(v))
                return ("-" + text, 0) if v < 0 else (text, 2 if v.denominator == 1 else 1)
            case Symbol():
                return ("pi" if e is PI else self.names.of(e)), 1 if e.name in self.names.multiples else 2
            case Index():
                return env[e], 2
            case Entry(t, places):
                inner = ",".join(self.text(p, env) for p in places)
                return self.names.of(t) + (f"[{inner}]" if places else ""), 2
            case Add(terms):
                return self._sum(terms, env), 0
            case Multiply(factors):
                return self._product(factors, env)
            case Power(base, exponent):
                return self._power(base, exponent, env)
            case Position("min", i, body):
                return self._leveled(Position("max", i, multiply(number(-1), body)), env)
            case Sum(i, body) | Extremum(_, i, body) | Position(_, i, body):
                word = "sum" if isinstance(e, Sum) else "argmax" if isinstance(e, Position) else e.kind
                k = self.names.index(env.values())
                return f"{word}({self.text(body, {**env, i: k})} for {k} in {self.text(i.size, {})})", 2
            case Kronecker(a, b):
                return f"({self.text(a, env)} == {self.text(b, env)})", 2
            case Compare(relation, a, b):
                return f"({self.text(a, env)} {relation} {self.text(b, env)})", 2
            case Where(c, a, b):
                return self._where(c, a, b, env), 2
            case Quotient(Symbol() as a, b) if self.names.multiples.get(a.name, "").startswith(self.text(b, env) + "*"):
                return self.names.multiples[a.name].partition("*")[2], 2
            case Quotient(a, b) | Remainder(a, b):
                sign = "//" if isinstance(e, Quotient) else "%"
                return f"{self.text(a, env, 1)}{sign}{self.text(b, env, 2)}", 1
            case Apply(function, arguments):
                return self._apply(function, arguments, env)
        raise UnsupportedError(f"a certificate has no word for {type(e).__name__}")

    def _sum(self, terms: Iterable[Expr], env: Mapping[Expr, str]) -> str:
        out = ""
        for term in terms:
            text = self.text(term, env)
            if not out:
                out = text
            else:
                out += f" - {text[1:]}" if text.startswith("-") else f" + {text}"
        return out

    def _product(self, factors: Iterable[Expr], env: Mapping[Expr, str]) -> tuple[str, int]:
        above, below, c = list[str](), list[str](), Fraction(1)
        for f in factors:
            if isinstance(f, Number):
                c *= f.value
            elif isinstance(f, Power) and isinstance(f.exponent, Number) and f.exponent.value < 0:
                below.append(self.text(power(f.base, number(-f.exponent.value)), env, 2))
            else:
                above.append(self.text(f, env, 2))
        if abs(c.numerator) != 1:
            above.insert(0, str(abs(c.numerator)))
        if c.denominator != 1:
            below.insert(0, str(c.denominator))
        text = ("*".join(above) or "1") + "".join(f"/{d}" for d in below)
        return ("-" + text, 0) if c < 0 else (text, 1)

    def _power(self, base: Expr, exponent: Expr, env: Mapping[Expr, str]) -> tuple[str, int]:
        if not isinstance(exponent, Number):
            return f"exp({self.text(exponent, env, 1)}*log({self.text(base, env)}))", 2
        if exponent.value < 0:
            return f"1/{self.text(power(base, number(-exponent.value)), env, 2)}", 1
        x = str(exponent.value) if exponent.value.denominator == 1 else f"({exponent.value})"
        text, level = self._leveled(base, env)
        bare = level == 2 and not isinstance(base, Power)
        return f"{text if bare else f'({text})'}**{x}", 2

    def _where(self, c: Expr, a: Expr, b: Expr, env: Mapping[Expr, str]) -> str:
        first, second, test = self.text(a, env), self.text(b, env), self._truth(c, env)
        if test.startswith("not "):
            first, second, test = second, first, test[4:]
        test = test[1:-1] if test.count("(") == 1 else test
        return f"where({test}, {first}, {second})"

    def _truth(self, c: Expr, env: Mapping[Expr, str]) -> str:
        """A condition, or "not " and the condition that it denies."""
        if isinstance(c, (Compare, Kronecker)):
            return self.text(c, env)
        if isinstance(c, Multiply) and all(isinstance(f, (Compare, Kronecker)) for f in c.factors):
            return self.text(c, env)
        if isinstance(c, Add) and len(c.terms) == 2 and number(1) in c.terms:
            (rest,) = (t for t in c.terms if t is not number(1))
            inner = multiply(number(-1), rest)
            if isinstance(inner, (Compare, Kronecker, Multiply)) and not self._truth(inner, env).startswith("not "):
                return "not " + self._truth(inner, env)
        return f"({self.text(c, env)} == 1)"

    def _apply(self, function: Function, arguments: tuple[Expr, ...], env: Mapping[Expr, str]) -> tuple[str, int]:
        if is_arbitrary(function):
            return f"{self.names.function(function)}({', '.join(self.text(a, env) for a in arguments)})", 2
        if function is STOP_GRADIENT:
            return f"stop({self.text(arguments[0], env)})", 2
        if function.name in SLOPES:
            return f"{function.name}({self.text(arguments[0], env)})", 2
        if function.name in WRITTEN_OUT:
            return WRITTEN_OUT[function.name].format(self.text(arguments[0], env)), 1
        value = definition(function)
        if value is None and function.primitive_of is not None:
            value = slope(*function.primitive_of, arguments)
        elif value is not None:
            symbols = [s for s in (Symbol("z"), Symbol("y"))]
            value = substitute(value, dict(zip(symbols, arguments, strict=False)))
        if value is None or any(isinstance(n, Apply) and n.function is function for n in nodes_once(value)):
            raise UnsupportedError(f"a certificate has no word for the function {function.name}")
        return self._leveled(value, env)


def is_arbitrary(f: Function) -> bool:
    """True for functions of which nothing is known, and their derivatives."""
    if f.primitive_of is not None:
        return is_arbitrary(f.primitive_of[0])
    return f.definition is None and f.name not in (*SLOPES, *WRITTEN_OUT) and f is not STOP_GRADIENT


def show(n: Node, strong: int = 0) -> str:
    """What the checker has read, so that it reads the same again; `strong` 1 in products, 2 beneath exponents."""
    word, parts = n[0], n[1:]
    if word == "number":
        c = parts[0]
        text, level = str(c), 0 if c < 0 else 2 if c.denominator == 1 else 1
    elif word == "entry":
        text, level = parts[0] + (f"[{','.join(map(show, parts[1:]))}]" if parts[1:] else ""), 2
    elif word in ("sum", "max", "argmax"):
        text, level = f"{word}({show(parts[2])} for {parts[0]} in {show(parts[1])})", 2
    elif word == "**":
        base, e = show(parts[0], 2), parts[1]
        text = f"({base})" if parts[0][0] == "**" else base
        text, level = f"{text}**" + (str(e) if e.denominator == 1 and e >= 0 else f"({e})"), 2
    elif word == "+":
        text, level = show(parts[0], 1) + "".join(map(_added, parts[1:])), 0
    elif word == "*" and parts[0] == ("number", Fraction(-1)) and len(parts) == 2:
        text, level = "-" + show(parts[1], 2), 1
    elif word == "*":
        text, level = show(parts[0], 2) + "".join(map(_multiplied, parts[1:])), 1
    elif word in ("//", "<", "<=", "=="):
        text, level = f"{show(parts[0], 1)} {word} {show(parts[1], 2)}", -1
    else:
        name, *arguments = parts if word == "apply" else (word, *parts)
        text, level = f"{name}({', '.join(map(show, arguments))})", 2
    return f"({text})" if strong > level or level < 0 else text


def _added(n: Node) -> str:
    """A term after others."""
    if n[0] == "number" and n[1] < 0:
        return f" - {show(('number', -n[1]), 1)}"
    if n[0] == "*" and n[1] == ("number", Fraction(-1)) and len(n) == 3:
        return f" - {show(n[2], 1)}"
    return f" + {show(n, 1)}"


def _multiplied(n: Node) -> str:
    """A factor after others."""
    if n[0] == "number" and n[1].numerator == 1 and n[1].denominator > 1:
        return f"/{n[1].denominator}"
    return f"/{show(n[1], 2)}" if n[0] == "**" and n[2] == -1 and n[1][0] != "**" else f"*{show(n, 2)}"
