"""Check a saved proof that a hand-written backward pass returns the gradient: `python check_proof.py FILE`.

Standard library only, Python 3.9 or newer; nothing of symbackprop is imported. docs/certificate.md has the format.
Trusted are this file, the Python that runs it, and that `forward` and `backward` say what the user's code computes.

Arrays are functions of integers that are 0 outside their boxes; so every expression has a value at all integers. It is
read into a normal form, a polynomial over the rationals whose atoms are entries, functions, roots, quotients and
comparisons, with sums over indices whose ranges are symbols. Every rewriting below holds for all sizes and all numbers
at which the conditions hold that are printed with the theorem.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction as Q
from itertools import permutations, product
from math import floor, gcd
from typing import Any

VERSION = "1"
Node = tuple[Any, ...]  # of a syntax tree: a word, then its parts
Base = tuple[str, str, tuple[int, ...], int]  # kind, name, the polynomials inside, the index that it binds
Factors = Iterable[tuple[int, Any]]  # numbers of bases, and exponents
Poly = dict[Any, Q]  # {(sizes of bound indices, factors): coefficient}
ONE: Any = ((), ())  # the term that is 1
WHOLE = Q(1)
MOST_LINES, MOST_CHARACTERS, MOST_NESTED = 20_000, 4_000_000, 60
MOST_STEPS, MOST_TERMS, MOST_EXPONENT, MOST_DIGITS = 400_000, 4_000, 40, 60
LONGEST_WRITTEN_OUT = 1
FUNCTIONS = {"exp", "log", "tanh", "sigmoid", "sin", "cos", "erf", "atan", "lgamma", "digamma", "trigamma"}
OF_POSITIVE = {"log", "lgamma", "digamma", "trigamma"}
WORDS = FUNCTIONS | {"sum", "max", "min", "where", "stop", "for", "in", "of", "uses", "open", "pi", "line"}
KINDS = {"real", "positive", "prob", "bern", "pm1", "onehot", "simplex"}  # what may be assumed of an input
TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_]\w*)|(\*\*|//|<=|==|[-+*/%()\[\],:<;=]))")


class Refused(Exception):
    """Why a proof is not accepted."""


def need(truth: Any, said: str) -> None:
    """Refuse unless it is true."""
    if not truth:
        raise Refused(said)


# --- expressions as text


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


def show(n: Node, strong: int = 0) -> str:
    """An expression as text, as `Reader` reads it; `strong` 1 inside products, 2 under exponents."""
    word, parts = n[0], n[1:]
    if word == "number":
        return str(parts[0])
    if word == "entry":
        return str(parts[0]) + (f"[{','.join(map(show, parts[1:]))}]" if parts[1:] else "")
    if word == "call":
        return f"{parts[0]}({', '.join(map(show, parts[1:]))})"
    if word in ("sum", "max", "min"):
        return f"{word}({show(parts[2])} for {parts[0]} in {show(parts[1])})"
    if word == "**":
        e = parts[1]
        text, level = show(parts[0], 2) + "**" + (str(e) if e.denominator == 1 and e >= 0 else f"({e})"), 1
    elif word == "+":
        rest = (f" - {show(p[1], 1)}" if p[0] == "neg" else f" + {show(p, 1)}" for p in parts[1:])
        text, level = show(parts[0]) + "".join(rest), 0
    elif word == "neg":
        text, level = "-" + show(parts[0], 1), 0
    elif word == "*":
        text, level = "*".join([show(parts[0], 1), *(show(p, 2) for p in parts[1:])]), 1
    elif word in ("/", "//", "%"):
        text, level = show(parts[0], 1) + word + show(parts[1], 2), 1
    else:
        return f"({show(parts[0])} {word} {show(parts[1])})"
    return f"({text})" if strong > level or (strong == 1 and word == "neg") else text


def inside(n: Node) -> Iterator[Node]:
    """All nodes of a tree."""
    stack = [n]
    while stack:
        node = stack.pop()
        yield node
        stack += [p for p in node[1:] if isinstance(p, tuple)]


def speaks_of(n: Node) -> set[str]:
    """The names of tensors, scalars and sizes in an expression; names of indices are among them."""
    return {m[1] for m in inside(n) if m[0] == "entry"}


# --- the normal form


class Algebra:
    """Polynomials whose atoms are `Base`s, numbered as they come.

    Bases: ("i", name, size) an index, ("N", name) a size or constant, ("T", tensor, places) an entry, ("F", name, p) a
    function, ("P", p) a sum under an exponent, ("Z", p) 1 where p = 0, ("I", p) 1 where p > 0, ("Q", p, q) p // q,
    ("X", p) the largest p over the index that it binds. What is bound in a term is named after the term's height, which
    is above that of all that is bound inside its bases; so no name is ever caught.
    """

    def __init__(self) -> None:
        self.bases: list[Base] = []
        self.polys: list[tuple[Any, ...]] = []
        self.numbers: dict[Any, int] = {}
        self.free: list[frozenset[int]] = []  # indices that are free in a base
        self.heights: list[int] = []
        self.fresh, self.kept, self.steps, self.most = 0, 0, 0, MOST_STEPS
        self.assumed: dict[str, str] = {}  # of tensors and scalars: positive, prob, bern, ...
        self.ranges: dict[str, Poly] = {}  # of arrays of labels: how many there are
        self.maxima: set[int] = set()  # that the forward pass takes
        self.facts: list[Poly] = []  # what is >= 0 for sizes
        self.axes: dict[str, list[Poly]] = {}

    # plain arithmetic

    def key(self, p: Poly) -> int:
        """The number of a polynomial."""
        row = ("poly", *sorted(p.items()))
        if row not in self.numbers:
            self.numbers[row] = len(self.polys)
            self.polys.append(row[1:])
        return self.numbers[row]

    def poly(self, key: int) -> Poly:
        """The polynomial with this number."""
        return dict(self.polys[key])

    def base(self, kind: str, name: str = "", keys: tuple[int, ...] = (), own: int = -1) -> int:
        """The number of a base."""
        row = (kind, name, keys, own)
        if row not in self.numbers:
            new = self.numbers[row] = len(self.bases)
            self.bases.append(row)
            terms = [t for k in keys for t, _ in self.polys[k]]
            free = frozenset().union(*(self.names(t) for t in terms)) - {own}
            self.free.append(frozenset([new]) if kind == "i" else free)
            self.heights.append(0 if kind == "i" else 1 + max((self.height(t[1]) for t in terms), default=-1))
        return self.numbers[row]

    def height(self, factors: Factors) -> int:
        """The greatest height of bases."""
        return max((self.heights[b] for b, _ in factors), default=0)

    def index(self, name: str, size: Poly) -> int:
        """An index from 0 to size - 1."""
        return self.base("i", name, (self.key(size),))

    def new_index(self, size: Poly) -> int:
        """An index that occurs nowhere."""
        self.fresh += 1
        return self.index(f"@{self.fresh}", size)

    def bound(self, term: Any) -> list[int]:
        """The indices that a term binds."""
        h = self.height(term[1])
        return [self.base("i", f"#{h}.{k}", (s,)) for k, s in enumerate(term[0])]

    def names(self, term: Any) -> frozenset[int]:
        """The indices that are free in a term."""
        return frozenset().union(*(self.free[b] for b, _ in term[1])) - frozenset(self.bound(term))

    def size(self, index: int) -> Poly:
        """The length of the range of an index."""
        return self.poly(self.bases[index][2][0])

    def plus(self, *polys: Poly) -> Poly:
        """A sum."""
        out: Poly = {}
        for p in polys:
            for t, c in p.items():
                out[t] = out.get(t, 0) + c
        need(len(out) <= MOST_TERMS, f"more than {MOST_TERMS} terms")
        return {t: c for t, c in out.items() if c}

    def scale(self, p: Poly, c: Any) -> Poly:
        """A multiple."""
        return {t: v * c for t, v in p.items()} if c else {}

    def minus(self, p: Poly, q: Poly) -> Poly:
        """A difference."""
        return self.plus(p, self.scale(q, -1))

    def number(self, c: Any) -> Poly:
        """A rational number."""
        return {ONE: Q(c)} if c else {}

    def atom(self, base: int, exponent: Any = 1) -> Poly:
        """A power of a base."""
        return {((), ((base, exponent),)): WHOLE}

    def opened(self, p: Poly) -> Iterator[tuple[list[int], list[tuple[int, Any]], Q]]:
        """Terms with fresh names for what they bind."""
        for t, c in p.items():
            if not t[0]:
                yield [], list(t[1]), c
                continue
            at = {i: self.new_index(self.size(i)) for i in self.bound(t)}
            yield list(at.values()), list(self.renamed(t[1], at)), c

    def renamed(self, factors: Factors, at: dict[int, int]) -> tuple[tuple[int, Any], ...]:
        """With other names for indices."""
        return tuple(sorted((self.rename(b, at), e) for b, e in factors))

    def rename(self, b: int, at: dict[int, int]) -> int:
        """A base with other names for indices."""
        if not self.free[b] & at.keys():
            return b
        kind, name, keys, own = self.bases[b]
        if kind == "i":
            return at[b]
        inner = []
        for k in keys:
            p: Poly = {}
            for t, c in self.polys[k]:
                u = (t[0], self.renamed(t[1], at))
                p[u] = p.get(u, 0) + c
            inner.append(self.key(p))
        return self.base(kind, name, tuple(inner), own)

    def times(self, *polys: Poly) -> Poly:
        """A product."""
        out = polys[0]
        for p in polys[1:]:
            right = list(self.opened(p))
            out = self.plus(
                *(self.term(b + b2, f + f2, c * c2) for b, f, c in self.opened(out) for b2, f2, c2 in right)
            )
        return out

    def by(self, p: Poly, factors: list[tuple[int, Any]]) -> Poly:
        """A product with powers of bases, which cancel before they are multiplied out."""
        return self.plus({}, *(self.term(b, [*fs, *factors], c) for b, fs, c in self.opened(p)))

    def total(self, i: int, p: Poly) -> Poly:
        """The sum of a polynomial over an index."""
        n = self.constant(self.size(i))
        if n is not None and n <= LONGEST_WRITTEN_OUT:
            return self.plus({}, *(self.put(p, {i: self.number(k)}) for k in range(int(n))))
        return self.plus(*(self.term([*b, i], fs, c) for b, fs, c in self.opened(p)))

    def constant(self, p: Poly) -> Q | None:
        """The number that a polynomial is, if it is one."""
        return p.get(ONE, Q(0)) if not p.keys() - {ONE} else None

    # putting something in for indices

    def put(self, p: Poly, at: dict[int, Poly]) -> Poly:
        """With other integers for some indices."""
        out = []
        for b, fs, c in self.opened(p):
            q = self.scale(self.put_factors(fs, at), c)
            for i in b:
                q = self.total(i, q)
            out.append(q)
        return self.plus(*out)

    def put_factors(self, factors: Factors, at: dict[int, Poly]) -> Poly:
        """A product of powers, with other integers for some indices."""
        plain, rest = list[tuple[int, Any]](), list[Poly]()
        for b, e in factors:
            q = self.put_base(b, at) if self.free[b] & at.keys() else self.atom(b)
            t, c = next(iter(q.items())) if q else (ONE, Q(0))
            if len(q) > 1 or t[0] or c != 1 or len(t[1]) != 1:
                rest.append(self.power(q, e))
            else:
                plain.append((t[1][0][0], t[1][0][1] * e))
        return self.times(self.term([], plain, WHOLE), *rest)

    def put_base(self, b: int, at: dict[int, Poly]) -> Poly:
        """A base with other integers for some indices."""
        kind, name, keys, own = self.bases[b]
        if kind == "i":
            return at.get(b) or ({} if b in at else self.atom(b))
        i = self.new_index(self.size(own)) if own >= 0 else -1
        inner = [self.put({(t[0], self.renamed(t[1], {own: i})): c for t, c in self.polys[k]}, at) for k in keys]
        return {
            "T": lambda: self.entry(name, inner),
            "Z": lambda: self.zero(inner[0]),
            "P": lambda: inner[0],
            "I": lambda: self.positive(inner[0]),
            "F": lambda: self.function(name, inner[0]),
            "X": lambda: self.largest(i, inner[0]),
            "Q": lambda: self.quotient(*inner),
        }[kind]()

    # products

    def term(self, bound: list[int], factors: Factors, c: Q) -> Poly:
        """A product summed over some indices: conditions made use of, sums carried out, bound indices named."""
        self.steps += 1
        need(self.steps < self.most, "the steps of the check are used up")
        fs: dict[int, Any] = {}
        for b, e in factors:
            fs[b] = fs.get(b, 0) + e
        fs = {b: self.reduced(b, e) for b, e in fs.items() if e}
        fs = {b: e for b, e in fs.items() if e}
        for rule in (
            self.solve,
            self.implied,
            self.digits,
            self.unused,
            self.stochastic,
            self.attained,
            self.split,
            self.regroup,
            self.expand,
        ):
            found = rule(bound, fs, c)
            if found is not None:
                return found
        return {self.named(bound, fs): c}

    def reduced(self, b: int, e: Any) -> Any:
        """The exponent, less where the base takes two values alone."""
        kind, name = self.bases[b][:2]
        assumed = self.assumed.get(name) if kind == "T" else ""
        if kind in "ZI" or assumed in ("bern", "onehot"):
            need(e > 0 or kind == "T", "a comparison under a negative exponent")
            return 1 if e > 0 else e
        return e % 2 if assumed == "pm1" and e == floor(e) and self.sits(b) else e

    def split_off(self, fs: dict[int, Any], *bases: int) -> Poly:
        """The product without some factors; to be normalised."""
        return {((), tuple(x for x in fs.items() if x[0] not in bases)): WHOLE}

    def over(self, bound: Iterable[int], p: Poly, c: Q) -> Poly:
        """A multiple of the sum over some indices."""
        for i in bound:
            p = self.total(i, p)
        return self.scale(p, c)

    def linear(self, p: Poly, i: int) -> tuple[Q, Poly] | None:
        """a and e with p = a i + e, a a number, if i stands nowhere in e."""
        t = ((), ((i, 1),))
        rest = {u: c for u, c in p.items() if u != t}
        return (p[t], rest) if t in p and not any(i in self.free[b] for u in rest for b, _ in u[1]) else None

    def solve(self, bound: list[int], fs: dict[int, Any], c: Q) -> Poly | None:
        """Sums over [k = e], and the equation put into the other factors."""
        for b in sorted(fs):
            if self.bases[b][0] != "Z" or not self.integer(p := self.poly(self.bases[b][2][0])):
                continue
            names = sorted(self.free[b], key=lambda i: (i in bound, self.bases[i]), reverse=True)
            for i in [i for i in names if i in bound] or names[:1]:  # of free ones the last: so there is an end
                found = self.linear(p, i)
                if not found or abs(found[0]) != 1 or not (i in bound or any(i in self.free[x] for x in fs if x != b)):
                    continue
                e = self.scale(found[1], -1 / found[0])
                inner = self.put(self.split_off(fs, b), {i: e})
                extra = self.within(e, self.size(i)) if i in bound else self.atom(b)
                return self.over([k for k in bound if k != i], self.times(inner, extra), c)
        return None

    def digits(self, bound: list[int], fs: dict[int, Any], c: Q) -> Poly | None:
        """Sums over [0 <= r - q a < q], where a is r // q."""
        tests = [(b, self.poly(self.bases[b][2][0])) for b in fs if self.bases[b][0] == "I"] if bound else []
        for (b1, p1), (b2, p2) in permutations([x for x in tests if self.integer(x[1])], 2):
            q = self.minus(self.plus(p1, p2), self.number(1))
            for a in bound if not self.names_of(q) and self.nonnegative(self.minus(q, self.number(1))) else ():
                r = self.plus(p1, self.times(q, self.atom(a)), self.number(-1))
                if a in self.free[b1] and a not in self.names_of(r):
                    inner = self.put(self.split_off(fs, b1, b2), {a: self.quotient(r, q)})
                    extra = self.within(r, self.times(q, self.size(a)))
                    return self.over([k for k in bound if k != a], self.times(inner, extra), c)
        return None

    def names_of(self, p: Poly) -> frozenset[int]:
        """The indices that are free in a polynomial."""
        return frozenset().union(*map(self.names, p))

    def within(self, e: Poly, size: Poly) -> Poly:
        """1 where 0 <= e < size."""
        return self.times(self.positive(self.plus(e, self.number(1))), self.positive(self.minus(size, e)))

    def implied(self, bound: list[int], fs: dict[int, Any], c: Q) -> Poly | None:
        """Comparisons that follow from others, or contradict them."""
        tests = [(b, self.poly(self.bases[b][2][0])) for b in fs if self.bases[b][0] in "ZI"]
        for (b1, p), (b2, q) in permutations(tests, 2):
            more, both = self.minus(q, p), self.plus(p, q)
            sure = self.bases[b1][0] == "I"
            if self.bases[b2][0] == "Z":
                if sure and not (more and both):
                    return {}  # p > 0 and p = 0
                continue
            if sure and self.integer(p) and self.integer(q):
                never = self.nonnegative(self.minus(self.number(1), both))  # p > 0 and q > 0 say p + q > 1
                follows = self.nonnegative(more)
            else:  # q = p + k, or q = k - p
                k, s = self.constant(more), self.constant(both)
                follows = (k is not None and (k >= 0 if sure else k > 0)) or (not sure and s is not None and s > 0)
                never = (s is not None and s <= 0) or (not sure and k is not None and k <= 0)
            if never or follows:
                return {} if never else self.term(bound, [x for x in fs.items() if x[0] != b2], c)
        return None

    def unused(self, bound: list[int], fs: dict[int, Any], c: Q) -> Poly | None:
        """Sums of what does not depend on the index."""
        for i in bound:
            if not any(i in self.free[b] for b in fs):
                rest = self.term([k for k in bound if k != i], fs.items(), c)
                return self.times(rest, self.size(i))
        return None

    def stochastic(self, bound: list[int], fs: dict[int, Any], c: Q) -> Poly | None:
        """Sums over the last axis of what is assumed to add up to 1."""
        for b, e in fs.items():
            kind, name, keys, _ = self.bases[b]
            if kind == "T" and e == 1 and self.assumed.get(name) in ("onehot", "simplex") and self.sits(b):
                for i in bound:
                    users = [x for x in fs if i in self.free[x]]
                    last = self.poly(keys[-1]) == self.atom(i) and self.size(i) == self.axes[name][-1]
                    if users == [b] and last and not any(i in self.names(t) for k in keys[:-1] for t in self.poly(k)):
                        return self.term([k for k in bound if k != i], [x for x in fs.items() if x[0] != b], c)
        return None

    def attained(self, bound: list[int], fs: dict[int, Any], c: Q) -> Poly | None:
        """The sum over [p = max p], where the forward pass asks for a maximum that is attained once."""
        for i in bound:
            users = [b for b in fs if i in self.free[b]]
            if len(users) == 1 and self.bases[users[0]][0] == "Z":
                p = self.poly(self.bases[users[0]][2][0])
                for t, v in p.items():
                    b = t[1][0][0] if not t[0] and len(t[1]) == 1 and t[1][0][1] == 1 else -1
                    if b >= 0 and self.bases[b][0] == "X" and self.nameless(self.atom(b)) in self.maxima:
                        body = self.scale(self.minus(p, {t: v}), -1 / v)
                        j = self.bases[b][3]
                        if self.size(i) == self.size(j) and self.largest(i, body) == self.atom(b):
                            return self.term(
                                [k for k in bound if k != i], [x for x in fs.items() if x[0] != users[0]], c
                            )
        return None

    def split(self, bound: list[int], fs: dict[int, Any], c: Q) -> Poly | None:
        """Sums at the size at which a comparison of the index turns."""
        for b in fs:
            if self.bases[b][0] == "I" and self.integer(p := self.poly(self.bases[b][2][0])):
                for i in bound:
                    t = self.turn(p, i)
                    if t is not None:
                        return self.over([k for k in bound if k != i], self.parts(self.split_off(fs), i, t), c)
        return None

    def turn(self, p: Poly, i: int) -> Poly | None:
        """The size t such that p > 0 says i < t, or says i >= t, if 0 <= t <= the size of i."""
        found = self.linear(p, i)
        if found is None or abs(found[0]) != 1 or any(self.names(t) for t in found[1]):
            return None
        t = found[1] if found[0] < 0 else self.minus(self.number(1), found[1])
        return t if self.nonnegative(t) and self.nonnegative(self.minus(self.size(i), t)) else None

    def parts(self, p: Poly, i: int, t: Poly) -> Poly:
        """The sum over i, up to t and from t on."""
        low, high = self.new_index(t), self.new_index(self.minus(self.size(i), t))
        return self.plus(
            self.total(low, self.put(p, {i: self.atom(low)})),
            self.total(high, self.put(p, {i: self.plus(self.atom(high), t)})),
        )

    def regroup(self, bound: list[int], fs: dict[int, Any], c: Q) -> Poly | None:
        """Sums over an index that is taken apart by // as sums over the two parts."""
        for i in bound:
            for b in fs:
                if i in self.free[b] and (found := self.divided(b, i)):
                    a, d, p = found
                    inner = self.put(self.split_off(fs), {i: p})
                    return self.over([*(k for k in bound if k != i), a, d], inner, c)
        return None

    def divided(self, b: int, i: int) -> tuple[int, int, Poly] | None:
        """New indices a and d for i = q a + d, where i // q stands in a base."""
        kind, _, keys, _ = self.bases[b]
        if kind == "Q" and i in self.free[b]:
            q, n = self.poly(keys[1]), self.size(i)
            parts = self.times(n, self.power(q, Q(-1)))
            if self.integer(parts):
                a, d = self.new_index(parts), self.new_index(q)
                return a, d, self.plus(self.times(q, self.atom(a)), self.atom(d))
        inner = (x for k in keys for t, _ in self.polys[k] for x, _ in t[1] if i in self.free[x])
        return next((found for x in inner if (found := self.divided(x, i))), None)

    def expand(self, bound: list[int], fs: dict[int, Any], c: Q) -> Poly | None:
        """Whole powers of sums multiplied out."""
        for b, e in fs.items():
            if self.bases[b][0] == "P" and e >= 1:
                need(e <= MOST_EXPONENT, "an exponent that is too large")
                p = self.times(
                    self.split_off(fs, b),
                    *[self.poly(self.bases[b][2][0])] * floor(e),
                    *([self.atom(b, e % 1)] if e % 1 else []),
                )
                return self.over(bound, p, c)
        return None

    def named(self, bound: list[int], fs: dict[int, Any]) -> Any:
        """The same term whatever its bound indices were called."""
        if not bound:
            return ((), tuple(sorted(fs.items())))
        colour = {i: str(self.bases[i][2]) for i in bound}
        for _ in range(2):
            tags = {i: self.base("i", "~" + colour[i], self.bases[i][2]) for i in bound}
            seen = {i: self.renamed((x for x in fs.items() if i in self.free[x[0]]),
                                    {**tags, i: self.base("i", "~", self.bases[i][2])}) for i in bound}  # fmt: skip
            colour = {i: f"{self.bases[i][2][0]}/{self.numbers.setdefault(seen[i], len(self.numbers))}" for i in bound}
        groups: dict[str, list[int]] = {}
        for i in bound:
            groups.setdefault(colour[i], []).append(i)
        need(max(map(len, groups.values())) < 6, "a term with too many indices alike")
        h, best = self.height(fs.items()), None
        for way in product(*(permutations(groups[g]) for g in sorted(groups))):
            row = [i for g in way for i in g]
            at = {i: self.base("i", f"#{h}.{k}", self.bases[i][2]) for k, i in enumerate(row)}
            t = (tuple(self.bases[i][2][0] for i in row), self.renamed(fs.items(), at))
            best = t if best is None or t < best else best
        return best

    def nameless(self, p: Poly) -> int:
        """The number of a polynomial, up to a factor, whatever its free indices are called."""
        p = self.scale(p, 1 / self.lead(p)) if p else p
        free = sorted({i for t in p for i in self.names(t)})
        need(len(free) < 6, "a comparison with too many indices")
        return min(
            self.key({(t[0], self.renamed(t[1], at)): c for t, c in p.items()})
            for at in (
                {i: self.base("i", f"?{k}", self.bases[i][2]) for k, i in enumerate(way)} for way in permutations(free)
            )
        )

    # what makes atoms

    def entry(self, name: str, places: list[Poly]) -> Poly:
        """An entry of a tensor; 0 outside of its box."""
        for e, n in zip(places, self.axes[name]):
            if self.nonnegative(self.minus(e, n)) or self.nonnegative(self.minus(self.number(-1), e)):
                return {}
        return self.atom(self.base("T", name, tuple(map(self.key, places))))

    def sits(self, b: int) -> bool:
        """True for entries that are seen to lie in their boxes, outside of which arrays are 0."""
        _, name, keys, _ = self.bases[b]
        one = self.number(1)
        return all(
            self.nonnegative(e) and self.nonnegative(self.minus(self.minus(n, one), e))
            for e, n in zip(map(self.poly, keys), self.axes[name])
        )

    def all_sit(self, p: Poly) -> bool:
        """The same of all entries in a polynomial."""
        bases = [self.bases[b] for t in p for b, _ in t[1]]
        return all(self.all_sit(self.poly(k)) for row in bases for k in row[2] if row[0] != "i") and all(
            self.sits(b) for t in p for b, _ in t[1] if self.bases[b][0] == "T"
        )

    def sure(self, b: int) -> bool:
        """True for bases that are positive at all points that are not excluded."""
        kind, name, keys, _ = self.bases[b]
        if kind == "P":
            return self.above(self.poly(keys[0]))
        return (
            kind == "N"
            or name in ("exp", "sigmoid")
            or (kind == "T" and self.assumed.get(name) in ("positive", "prob") and self.sits(b))
        )

    def above(self, p: Poly) -> bool:
        """True for sums of positive terms, of which one is there at all sizes."""
        return all(c > 0 and all(self.sure(b) for b, _ in t[1]) for t, c in p.items()) and any(
            all(map(self.filled, self.bound(t))) for t in p
        )

    def filled(self, i: int) -> bool:
        """True for indices whose range is never empty."""
        return self.nonnegative(self.minus(self.size(i), self.number(1)))

    def integer(self, p: Poly) -> bool:
        """True for polynomials of integers with integer coefficients."""
        return all(
            c.denominator == 1 and not t[0] and all(self.whole(b) and e == floor(e) and e > 0 for b, e in t[1])
            for t, c in p.items()
        )

    def whole(self, b: int) -> bool:
        """True for bases that are integers."""
        kind, name = self.bases[b][:2]
        return kind in "iQ" or (kind == "N" and name != "pi") or (kind == "T" and name in self.ranges)

    def lead(self, p: Poly) -> Q:
        """The coefficient of a term that does not depend on the names of bound indices, if there is one."""
        shapes: dict[int, list[Any]] = {}
        for t, c in p.items():
            if t != ONE:
                shapes.setdefault(self.shape(t), []).append((t, c))
        alone = [rows[0][1] for _, rows in sorted(shapes.items()) if len(rows) == 1]
        return alone[0] if alone else min(p.items())[1]

    def shape(self, term: Any) -> int:
        """A number that terms have in common that differ in the names of indices alone."""
        row = ("shape", term[0], tuple(sorted((self.shape_of(b), e) for b, e in term[1])))
        return self.numbers.setdefault(row, len(self.numbers))

    def shape_of(self, b: int) -> int:
        """The same of a base."""
        kind, name, keys, _ = self.bases[b]
        inner = [tuple(sorted((self.shape(t), c) for t, c in self.polys[k])) for k in keys]
        row = ("base", kind, "" if kind == "i" else name, tuple(inner))
        return self.numbers.setdefault(row, len(self.numbers))

    def content(self, p: Poly) -> tuple[list[tuple[int, Any]], Poly]:
        """Powers of positive bases that all terms have in common, and the rest."""
        common: dict[int, Any] = {}
        for b in {b: 0 for t in p for b, _ in t[1]}:
            if self.sure(b):
                least = min(0 if self.free[b] & set(self.bound(t)) else dict(t[1]).get(b, 0) for t in p)
                if least:
                    common[b] = least
        if not common:
            return [], p
        return list(common.items()), self.by(p, [(b, -e) for b, e in common.items()])

    def power(self, p: Poly, e: Any) -> Poly:
        """p ** e; that p is not 0 (e < 0) or positive (e a fraction) is a condition of where it stands."""
        e = int(e) if e == floor(e) else e
        if not p:
            need(e > 0, "0 under a negative exponent")
            return {}
        common, rest = self.content(p)
        outer = self.term([], [(b, x * e) for b, x in common], WHOLE)
        c = self.constant(rest)
        if c is not None:
            return self.times(outer, self.radical(c, e))
        (t, c), *more = rest.items()
        if not more and not t[0] and (e == floor(e) or (c == 1 and len(t[1]) == 1 and t[1][0][1] == 1)):
            return self.times(outer, self.radical(c, e), self.term([], [(b, x * e) for b, x in t[1]], WHOLE))
        c = self.lead(rest) if e == floor(e) else abs(self.lead(rest))
        if e == floor(e) and e > 0:
            need(e <= MOST_EXPONENT, "an exponent that is too large")
            return self.times(outer, *[rest] * int(e))
        inner = self.atom(self.base("P", "", (self.key(self.scale(rest, 1 / c)),)), e)
        return self.times(outer, self.radical(c, e), self.times(inner, self.number(1)))

    def radical(self, c: Q, e: Any) -> Poly:
        """A power of a number; roots are atoms."""
        if e == floor(e):
            need(max(abs(c.numerator), c.denominator).bit_length() * abs(e) < 20_000, "a number that is too large")
            return self.number(c ** int(e))
        need(c > 0, "a root of a negative number")
        out = self.number(1)
        for n, x in ((c.numerator, e), (c.denominator, -e)):
            if n > 1:
                root = self.atom(self.base("P", "", (self.key(self.number(n)),)), x % 1)
                out = self.times(out, self.radical(Q(n), floor(x)), root)
        return out

    def function(self, name: str, p: Poly) -> Poly:
        """A function of one argument, by what it does to sums, products, signs and 0."""
        if name == "exp":
            return self.exponential(p)
        if not p and name not in OF_POSITIVE:
            return self.number({"cos": Q(1), "sigmoid": Q(1, 2)}.get(name, Q(0)))
        if name == "log" and p:
            common, rest = self.content(p)
            logs = [
                self.poly(self.bases[b][2][0])
                if self.bases[b][1] == "exp"
                else self.atom(self.base("F", "log", (self.key(self.atom(b)),)))
                for b, _ in common
            ]
            last = {} if rest == self.number(1) else self.atom(self.base("F", "log", (self.key(rest),)))
            return self.plus(last, *(self.scale(q, Q(e)) for q, (_, e) in zip(logs, common)))
        if name not in OF_POSITIVE and p.keys() - {ONE} and self.lead(p) < 0:
            q = self.function(name, self.scale(p, -1))
            return self.minus(self.number(1), q) if name == "sigmoid" else q if name == "cos" else self.scale(q, -1)
        return self.atom(self.base("F", name, (self.key(p),)))

    def exponential(self, p: Poly) -> Poly:
        """The exponential of a sum, a product of powers."""
        out = self.number(1)
        for t, c in p.items():
            e = int(c) if c.denominator == 1 else c
            b = t[1][0][0] if not t[0] and len(t[1]) == 1 and t[1][0][1] == 1 else -1
            if b >= 0 and self.bases[b][:2] == ("F", "log"):
                out = self.times(out, self.power(self.poly(self.bases[b][2][0]), e))
            else:
                out = self.times(out, self.atom(self.base("F", "exp", (self.key({t: WHOLE}),)), e))
        return out

    def by_cases(self, p: Poly, make: Any) -> Poly | None:
        """make(p), for a comparison inside p by its two cases."""
        for t in p:
            for b, _ in t[1]:
                kind, name = self.bases[b][:2]
                two = kind in "ZI" or (kind == "T" and self.assumed.get(name) in ("bern", "onehot"))
                if two and not self.free[b] & set(self.bound(t)):
                    yes = self.plus(*({(u[0], tuple(x for x in u[1] if x[0] != b)): c} for u, c in p.items()))
                    no = {u: c for u, c in p.items() if not any(x[0] == b for x in u[1])}
                    yes = self.plus(*(self.term(bd, fs, c) for bd, fs, c in self.opened(yes)))
                    other = self.minus(self.number(1), self.atom(b))
                    return self.plus(self.times(self.atom(b), make(yes)), self.times(other, make(no)))
        return None

    def zero(self, p: Poly) -> Poly:
        """1 where p = 0, else 0."""
        c = self.constant(p)
        if c is not None:
            return self.number(c == 0)
        if self.integer(p):
            if any(self.nonnegative(self.minus(self.scale(p, s), self.number(1))) for s in (1, -1)):
                return {}
            g = gcd(*(int(v) for t, v in p.items() if t != ONE))
            if p.get(ONE, 0) % g:
                return {}
            p = self.scale(p, Q(1 if self.lead(p) > 0 else -1, g))
        else:
            found = self.by_cases(p, self.zero)
            if found is not None:
                return found
            p = self.content(p)[1]
            p = self.scale(p, 1 / self.lead(p))
        return self.atom(self.base("Z", "", (self.key(p),)))

    def positive(self, p: Poly) -> Poly:
        """1 where p > 0, else 0."""
        c = self.constant(p)
        if c is not None:
            return self.number(c > 0)
        if self.integer(p):
            one = self.number(1)
            if self.nonnegative(self.minus(p, one)):
                return one
            if self.nonnegative(self.scale(p, -1)):
                return {}
            named = not any(self.bases[i][1][0] in "@#~$" for t in p for i in self.names(t))
            if named and self.lead(p) < 0:
                return self.minus(one, self.positive(self.minus(one, p)))
            return self.atom(self.base("I", "", (self.key(p),)))
        found = self.by_cases(p, self.positive)
        if found is not None:
            return found
        p = self.content(p)[1]
        c = self.constant(p)
        if c is not None:
            return self.number(c > 0)
        c = self.lead(p)
        b = self.atom(self.base("I", "", (self.key(self.scale(p, 1 / abs(c))),))) if c > 0 else {}
        return b or self.minus(self.minus(self.number(1), self.positive(self.scale(p, -1))), self.zero(p))

    def largest(self, i: int, p: Poly) -> Poly:
        """The largest value of p over an index."""
        if not any(i in self.names(t) for t in p) or self.constant(self.size(i)) == 1:
            return self.put(p, {i: {}})
        j = self.base("i", f"#x{max(self.height(t[1]) for t in p)}", self.bases[i][2])
        inner = {(t[0], self.renamed(t[1], {i: j})): c for t, c in p.items()}
        return self.atom(self.base("X", "", (self.key(inner),), j))

    def quotient(self, p: Poly, q: Poly) -> Poly:
        """p // q, for q >= 1."""
        need(
            self.integer(p) and self.integer(q) and self.nonnegative(self.minus(q, self.number(1))),
            "// of other than integers",
        )
        inverse = self.power(q, -1)
        out = {t: c for t, c in self.times(p, inverse).items() if self.integer({t: c})} if len(q) == 1 else {}
        rest = self.minus(p, self.times(out, q))
        if not rest or (self.nonnegative(rest) and self.nonnegative(self.minus(self.minus(q, self.number(1)), rest))):
            return out
        return self.plus(out, self.atom(self.base("Q", "", (self.key(rest), self.key(q)))))

    def nonnegative(self, p: Poly, facts: int = 2) -> bool:
        """True if p >= 0 is seen for all sizes and indices: indices at the ends of their ranges, then sizes from 1."""
        if not self.integer(p):
            return False
        row = ("nonnegative", self.key(p), facts, len(self.facts))
        if row not in self.numbers:
            self.numbers[row] = int(self.at_least_zero(p, facts))
        return bool(self.numbers[row])

    def at_least_zero(self, p: Poly, facts: int) -> bool:
        """As `nonnegative`."""
        inner = sorted({b for t in p for b, _ in t[1] if self.bases[b][0] != "N"}, key=lambda b: -self.heights[b])
        if inner:
            b = inner[0]
            if any(e > 1 for t in p for x, e in t[1] if x == b):
                return False
            c = {(t[0], tuple(x for x in t[1] if x[0] != b)): v for t, v in p.items() if any(x[0] == b for x in t[1])}
            rest = {t: v for t, v in p.items() if not any(x[0] == b for x in t[1])}
            ends = self.ends(b, c)
            return any(self.nonnegative(self.plus(rest, end), facts) for end in ends)
        shifted = self.plus(
            {},
            *(
                self.scale(
                    self.times(
                        *(
                            self.poly(self.key(self.plus(self.number(1), self.atom(b))))
                            for b, e in t[1]
                            for _ in range(e)
                        ),
                        self.number(1),
                    ),
                    c,
                )
                for t, c in p.items()
            ),
        )
        if all(c >= 0 for c in shifted.values()):
            return True
        return facts > 0 and any(self.nonnegative(self.minus(p, f), facts - 1) for f in self.facts)

    def greatest(self, a: Poly) -> Poly:
        """No less than a, with each index at an end of its range where that is seen."""
        for b in sorted({x for t in a for x, _ in t[1] if self.bases[x][0] == "i"}):
            c = self.linear(a, b)
            if c is not None:
                a = self.plus(c[1], self.scale(self.minus(self.size(b), self.number(1)), c[0]) if c[0] > 0 else {})
        return a

    def ends(self, b: int, c: Poly) -> list[Poly]:
        """What c b is at least, for an integer b."""
        kind, name, keys, _ = self.bases[b]
        if kind == "Q":
            a, q = self.poly(keys[0]), self.poly(keys[1])
            found = []
            for s in (1, -1):
                m = self.constant(self.times(c, self.power(self.scale(q, s), -1)))
                if m is not None and m > 0:  # q b > a - q, and q b <= a
                    found.append(
                        self.scale(self.minus(self.plus(a, self.number(1)), q) if s > 0 else self.scale(a, -1), m)
                    )
            if self.nonnegative(c, 0) and self.nonnegative(a, 0):
                found.append({})
            top = self.times(self.plus(self.greatest(a), self.number(1)), self.power(q, -1))
            if self.nonnegative(self.scale(c, -1), 0) and self.integer(top):  # a < q top
                found.append(self.times(c, self.minus(top, self.number(1))))
            return found
        n = self.ranges[name] if kind == "T" else self.size(b)
        if self.nonnegative(c, 0):
            return [{}]
        return [self.times(c, self.minus(n, self.number(1)))] if self.nonnegative(self.scale(c, -1), 0) else []


# --- the statements


class Book(Algebra):
    """All that has been read; each statement is checked before it is added."""

    def __init__(self) -> None:
        super().__init__()
        self.version, self.title, self.lines, self.ended = "", "", 0, False
        self.sizes: list[str] = []
        self.kind: dict[str, str] = {}  # of what has a name: size, scalar, input, forward, adjoint, backward
        self.order: dict[str, int] = {}
        self.definition: dict[str, tuple[list[str], Node]] = {}
        self.same: dict[str, tuple[list[str], Node]] = {}  # what a lemma says of a tensor
        self.bar: dict[str, str] = {}
        self.cost, self.active = "", list[str]()
        self.index_names: set[str] = set()
        self.reads: dict[str, set[str]] = {}  # what a tensor depends on
        self.multiples: dict[str, Poly] = {}  # sizes that are multiples of others
        self.laws: list[Node] = []  # the facts about sizes
        self.demands: list[tuple[str, Node, dict[str, Poly], tuple[Node, ...], str]] = []  # what is taken for granted
        self.compared: list[tuple[Node, dict[str, Poly], str]] = []  # what is compared with 0, and where
        self.crossed: dict[str, None] = {}  # those that lemmas made use of
        self.declared: list[str] = []
        self.claims: list[tuple[str, str]] = []

    # expressions: do sizes fit?

    def new(self, name: str, kind: str) -> None:
        """A name that nothing has yet."""
        need(name not in WORDS and name.isidentifier() and len(name) < 80, f"{name} cannot be a name")
        need(name not in self.kind, f"{name} is defined twice")
        need(name not in self.index_names, f"{name} is the name of an index")
        self.kind[name], self.order[name] = kind, len(self.order)

    def fits(self, n: Node, env: dict[str, Poly], guarded: bool = False) -> str:
        """What an expression is: "truth", "integer" or "real"; refused if a size does not fit or a name is unknown."""
        word, parts = n[0], n[1:]
        if word == "number":
            return "integer"
        if word == "entry":
            return self.entry_fits(n, env, guarded)
        if word in ("sum", "max", "min"):
            name, size, body = parts
            need(name not in env, f"index {name} hides another one")
            self.new_names([name])
            length = self.length(size, env)
            need(
                word == "sum" or self.nonnegative(self.minus(length, self.number(1))),
                f"the range of {word} may be empty",
            )
            return self.fits(body, {**env, name: self.atom(self.new_index(length))}, guarded) and "real"
        if word == "call":
            return self.call_fits(parts[0], list(parts[1:]), env, guarded)
        if word == "**":
            return self.fits(parts[0], env, guarded) and "real"
        kinds = [self.fits(p, env, guarded) for p in parts if p[0] in ("<", "<=", "==")]
        kinds += [
            self.fits(p, env, guarded or bool(word == "*" and kinds)) for p in parts if p[0] not in ("<", "<=", "==")
        ]
        if word in ("<", "<=", "=="):
            return "truth"
        need(word not in ("//", "%") or set(kinds) <= {"integer"}, f"{word} of what is no integer")
        if word == "*" and set(kinds) == {"truth"}:
            return "truth"
        return "integer" if set(kinds) <= {"integer"} and word != "/" else "real"

    def entry_fits(self, n: Node, env: dict[str, Poly], guarded: bool) -> str:
        """Every index within its axis, unless a condition stands before the entry."""
        name, places = n[1], n[2:]
        if name in env or name in self.sizes or name == "pi":
            need(not places, f"{name} has no axes")
            return "real" if name == "pi" else "integer"
        need(name in self.axes, f"{name} is not known here")
        need(len(places) == len(self.axes[name]), f"{name} has {len(self.axes[name])} axes")
        for place, length in zip(places, self.axes[name]):
            need(self.fits(place, env, guarded) == "integer", f"{show(place)} is no index")
            e = self.value(place, env)
            last = self.minus(self.minus(length, e), self.number(1))
            need(
                guarded or (self.nonnegative(e) and self.nonnegative(last)),
                f"{show(n)}: {show(place)} may be out of range",
            )
        return "integer" if name in self.ranges else "real"

    def call_fits(self, name: str, args: list[Node], env: dict[str, Poly], guarded: bool) -> str:
        """Calls of functions, and of where."""
        need(name in FUNCTIONS or name in ("where", "stop"), f"unknown function {name}")
        need(len(args) == (3 if name == "where" else 1), f"{name} has another number of arguments")
        if name != "where":
            return self.fits(args[0], env, guarded) and "real"
        need(self.fits(args[0], env, guarded) == "truth", f"{show(args[0])} is no condition")
        kinds = {self.fits(a, env, True) for a in args[1:]}
        return "integer" if kinds <= {"integer"} else "real"

    def length(self, size: Node, env: dict[str, Poly]) -> Poly:
        """The size of an axis: an integer >= 0 made of sizes."""
        need(self.fits(size, {}) == "integer" and not speaks_of(size) & self.axes.keys(), f"{show(size)} is no size")
        value = self.value(size, {})
        need(self.nonnegative(value), f"the size {show(size)} may be less than 0")
        return value

    # expressions: what is their normal form?

    def value(self, n: Node, env: dict[str, Poly], opened: frozenset[str] = frozenset()) -> Poly:
        """The polynomial of an expression."""
        word, parts = n[0], n[1:]

        def go(m: Node) -> Poly:
            return self.value(m, env, opened)

        if word == "number":
            return self.number(parts[0])
        if word == "entry":
            return self.read(parts[0], [go(p) for p in parts[1:]], env, opened)
        if word in ("sum", "max", "min"):
            i, body = self.binder(n, env, opened)
            s = -1 if word == "min" else 1
            return self.total(i, body) if word == "sum" else self.scale(self.largest(i, self.scale(body, s)), s)
        if word == "call":
            if parts[0] == "where":
                c, a, b = map(go, parts[1:])
                return self.plus(self.times(c, a), self.times(self.minus(self.number(1), c), b))
            return go(parts[1]) if parts[0] == "stop" else self.function(parts[0], go(parts[1]))
        if word == "**":
            return self.raised(parts[0], parts[1], env, opened)
        if word == "*":
            return self.times(*map(go, parts))
        if word == "neg":
            return self.scale(go(parts[0]), -1)
        if word == "+":
            return self.plus(*map(go, parts))
        if word == "/":
            return self.times(go(parts[0]), self.raised(parts[1], -1, env, opened))
        a, b = map(go, parts)
        if word in ("//", "%"):
            q = self.quotient(a, b)
            return q if word == "//" else self.minus(a, self.times(b, q))
        gap = self.minus(b, a)
        if word == "==":
            return self.zero(gap)
        if word == "<=" and self.integer(gap):
            return self.positive(self.plus(gap, self.number(1)))
        return self.positive(gap) if word == "<" else self.minus(self.number(1), self.positive(self.scale(gap, -1)))

    def raised(self, n: Node, e: Any, env: dict[str, Poly], opened: frozenset[str]) -> Poly:
        """n ** e: whole powers of powers, products and quotients are those of their parts."""
        if e == floor(e):
            if n[0] == "**":
                return self.raised(n[1], n[2] * e, env, opened)
            if n[0] in ("*", "/"):
                last = len(n) - 2 if n[0] == "/" else len(n)
                parts = [self.raised(p, -e if k == last else e, env, opened) for k, p in enumerate(n[1:])]
                return self.times(*parts)
        return self.power(self.value(n, env, opened), e)

    def binder(self, n: Node, env: dict[str, Poly], opened: frozenset[str] = frozenset()) -> tuple[int, Poly]:
        """A new index for a sum, and its body."""
        _, name, size, body = n
        i = self.new_index(self.value(size, {}))
        return i, self.value(body, {**env, name: self.atom(i)}, opened)

    def read(self, name: str, places: list[Poly], env: dict[str, Poly], opened: frozenset[str]) -> Poly:
        """An index, a size, or an entry: by what a lemma says of it, or by its definition where that is opened."""
        if name in env:
            return env[name]
        if name in self.sizes or name == "pi":
            return self.multiples.get(name) or self.atom(self.base("N", name))
        table = self.definition if name in opened else self.same
        if name not in table:
            return self.entry(name, places)
        names, node = table[name]
        inside = self.number(1)
        for e, n in zip(places, self.axes[name]):
            inside = self.times(inside, self.within(e, n))
        return self.times(inside, self.value(node, dict(zip(names, places)), opened)) if inside else {}

    def slope(self, n: Node, env: dict[str, Poly], x: str, at: list[Poly]) -> Poly:
        """The derivative of an expression by the entry `at` of tensor x, all other tensors held fixed."""
        if x not in speaks_of(n):
            return {}
        word, parts = n[0], n[1:]

        def go(m: Node) -> Poly:
            return self.slope(m, env, x, at)

        if word == "entry":
            need(parts[0] == x, f"{x} inside an index")
            gaps = (self.minus(self.value(e, env), a) for e, a in zip(parts[1:], at))
            return self.times(self.number(1), *map(self.zero, gaps))
        if word in ("<", "<=", "==") or n[:2] == ("call", "stop"):
            return {}  # constant off its border, which is a condition
        if word in ("sum", "max", "min"):
            i, body = self.binder(n, env)
            s = self.slope(parts[2], {**env, parts[0]: self.atom(i)}, x, at)
            if word != "sum":  # attained once, which is a condition
                s = self.times(self.zero(self.minus(body, self.value(n, env))), s)
            return self.total(i, s)
        if word in ("+", "neg"):
            return self.scale(self.plus(*map(go, parts)), 1 if word == "+" else -1)
        values = [self.value(p, env) for p in parts if isinstance(p, tuple)]
        if word == "**":
            return (
                self.times(self.number(parts[1]), self.raised(parts[0], parts[1] - 1, env, frozenset()), go(parts[0]))
                if parts[1]
                else {}
            )
        if word == "/":
            inverse = self.raised(parts[1], -1, env, frozenset())
            return self.minus(self.times(go(parts[0]), inverse), self.times(values[0], inverse, inverse, go(parts[1])))
        if word == "*":
            return self.plus(*(self.times(go(p), *values[:k], *values[k + 1 :]) for k, p in enumerate(parts)))
        need(word == "call", f"{word} of what is differentiated")
        if parts[0] == "where":
            other = self.minus(self.number(1), values[0])
            return self.plus(self.times(values[0], go(parts[2])), self.times(other, go(parts[3])))
        return self.times(self.derivative(parts[0], values[0]), go(parts[1]))

    def derivative(self, name: str, u: Poly) -> Poly:
        """The derivative of a function."""
        f, v = self.function, self.function(name, u)
        square = self.times(u, u)
        table = {"exp": lambda: v, "log": lambda: self.power(u, -1), "sin": lambda: f("cos", u),
                 "cos": lambda: self.scale(f("sin", u), -1),
                 "tanh": lambda: self.minus(self.number(1), self.times(v, v)),
                 "sigmoid": lambda: self.minus(v, self.times(v, v)), "lgamma": lambda: f("digamma", u),
                 "atan": lambda: self.power(self.plus(self.number(1), square), -1), "digamma": lambda: f("trigamma", u),
                 "erf": lambda: self.times(self.number(2), f("exp", self.scale(square, -1)),
                                           self.power(self.atom(self.base("N", "pi")), Q(-1, 2)))}  # fmt: skip
        need(name in table, f"no derivative of {name}")
        return table[name]()

    def vanishes(self, p: Poly, cases: int = 6) -> bool:
        """True if p is 0 off the borders: denominators that no sum binds are multiplied away, the outermost first."""
        for _ in range(40):
            p = {t: c for t, c in p.items() if not self.on_border(t)}
            low: dict[int, int] = {}
            for t in p:
                for b, e in t[1]:
                    if self.bases[b][0] == "P" and e < 0 and not self.free[b] & set(self.bound(t)):
                        low[b] = min(low.get(b, 0), floor(e))
            if not p or not low:
                return not p or (cases > 0 and self.vanishes_apart(p, cases - 1))
            b = max(low, key=lambda x: (self.heights[x], x))
            p = self.by(p, [(b, -low[b])])
        return False

    def vanishes_apart(self, p: Poly, cases: int) -> bool:
        """True if p is 0 on both sides of each place at which an integer comparison of a free index turns."""
        for t in p:
            for b, _ in t[1]:
                for i in sorted(self.free[b] & self.names(t)):
                    found = self.divided(b, i)
                    if found:
                        return self.vanishes(self.put(p, {i: found[2]}), cases)
                    if self.bases[b][0] == "I" and self.integer(q := self.poly(self.bases[b][2][0])):
                        n = self.turn(q, i)
                        if n is not None:
                            low, high = self.new_index(n), self.new_index(self.minus(self.size(i), n))
                            both = (self.atom(low), self.plus(self.atom(high), n))
                            return all(self.vanishes(self.put(p, {i: e}), cases) for e in both)
        return False

    # conditions

    def on_border(self, term: Any) -> bool:
        """True for terms that are there where two numbers are equal alone; that they differ is a condition then."""
        for b, _ in term[1]:
            kind, _, keys, _ = self.bases[b]
            if kind == "Z" and not self.integer(p := self.poly(keys[0])) and self.thin(p):
                for node, env, name in self.compared:
                    if self.nameless(self.value(node, env)) == self.nameless(p):
                        self.crossed[f"nonzero {show(node)} in {name}"] = None
                        return True
        return False

    def thin(self, p: Poly, depth: int = 8) -> bool:
        """True if p is 0 almost nowhere: never, a product of such, or linear in a number that stands nowhere else."""
        at = {i: self.new_index(self.size(i)) for i in self.names_of(p)}  # its own bound indices are named anew as well
        p = {(t[0], self.renamed(t[1], at)): c for t, c in p.items()}
        if self.above(p):
            return True
        terms = list(self.opened(p))
        for k, (bound, fs, _) in enumerate(terms):
            for b, e in fs if all(self.filled(i) for i in bound) else ():
                kind, name, keys, _ = self.bases[b]
                rest, places = [x for x, _ in fs if x != b], [self.poly(key) for key in keys]
                bare = all(self.atom(i) in places for i in bound)
                if kind == "T" and e == 1 and self.varies(name) and self.sits(b) and bare:
                    others = [*rest, *(x for u in terms[:k] + terms[k + 1 :] for x, _ in u[1])]
                    if not any(name in self.leads(x) for x in others) and all(self.thin_base(x, depth) for x in rest):
                        return True
        return len(terms) == 1 and not terms[0][0] and all(self.thin_base(b, depth) for b, _ in terms[0][1])

    def varies(self, name: str) -> bool:
        """True for inputs whose entries are any numbers of some interval, each by itself."""
        return (
            self.kind[name] in ("input", "scalar")
            and name not in self.ranges
            and (self.assumed.get(name, "real") in ("real", "positive", "prob"))
        )

    def thin_base(self, b: int, depth: int) -> bool:
        """The same of a base."""
        kind, name, keys, _ = self.bases[b]
        if kind == "T" and not self.sits(b):
            return False
        if kind == "T" and name in self.definition:
            names, node = self.definition[name]
            return depth > 0 and self.thin(self.value(node, dict(zip(names, map(self.poly, keys)))), depth - 1)
        if kind == "P" or name in ("tanh", "atan", "erf"):
            return depth > 0 and self.thin(self.poly(keys[0]), depth - 1)
        return self.sure(b) or (kind == "T" and self.varies(name))

    def leads(self, b: int) -> set[str]:
        """The tensors that a base depends on."""
        _, name, keys, _ = self.bases[b]
        inner = (self.leads(x) for k in keys for t, _ in self.polys[k] for x, _ in t[1])
        return set().union({name}, self.reads.get(name, set()), *inner)

    def surely(self, n: Node, env: dict[str, Poly], more: bool = True) -> bool:
        """True if an expression is seen to be > 0, or >= 0, at all points."""
        word, parts = n[0], n[1:]
        if word == "number":
            return bool(parts[0] > 0 or not more)
        if word == "entry":
            if self.fits(n, env, True) == "integer":
                return self.nonnegative(self.minus(self.value(n, env), self.number(int(more))))
            b = self.base("T", parts[0], tuple(self.key(self.value(p, env)) for p in parts[1:]))
            above, known = ("positive", "prob"), self.assumed.get(parts[0])
            return (known in above and self.sits(b)) or (
                not more and known in (*above, "bern", "onehot", "simplex", "nonnegative")
            )
        if word == "call":
            return parts[0] in ("exp", "sigmoid") or (
                parts[0] == "where" and all(self.surely(p, env, more) for p in parts[2:])
            )
        if word in ("sum", "max", "min"):
            length = self.length(parts[1], {})
            inner = {**env, parts[0]: self.atom(self.new_index(length))}
            return self.surely(parts[2], inner, more) and (
                not more or self.nonnegative(self.minus(length, self.number(1)))
            )
        if word == "**":
            even = parts[1].denominator == 1 and parts[1] % 2 == 0
            return self.surely(parts[0], env, True) or (not more and (even or parts[1].denominator > 1))
        if word == "+":
            if not all(self.surely(p, env, False) for p in parts):
                one = self.minus(self.number(1), self.value(n, env))  # 1 - p for a probability p
                bases = [b for t in one for b, _ in t[1]]
                return (
                    len(one) == 1
                    and len(bases) == 1
                    and self.assumed.get(self.bases[bases[0]][1]) == "prob"
                    and (one == self.atom(bases[0]))
                )
            return not more or any(self.surely(p, env) for p in parts)
        if word == "*":
            odd = [p for k, p in enumerate(parts) if parts.count(p) % 2 or more]
            return all(self.surely(p, env, more) for p in odd)
        return word == "/" and self.surely(parts[0], env, more) and self.surely(parts[1], env)

    def demand(self, n: Node, env: dict[str, Poly], name: str, guard: tuple[Node, ...] = ()) -> None:
        """Note what an equation takes for granted, and what its values depend on by comparisons."""
        word, parts = n[0], n[1:]
        if word in ("sum", "max", "min"):
            p = self.value(n, env) if word != "sum" and self.kind[name] == "forward" else {}
            if p:
                self.demands.append(("once", n, env, guard, name))
            if p and self.all_sit(p):
                self.maxima.add(self.nameless(p))
            self.kept += 1  # unlike the new indices of later lines
            i = self.index(f"${self.kept}", self.length(parts[1], {}))
            return self.demand(parts[2], {**env, parts[0]: self.atom(i)}, name, guard)
        if word in ("<", "<=", "==") and self.fits(("+", *parts), env, True) != "integer":
            gap = parts[0] if parts[1] == ("number", 0) else ("+", parts[0], ("neg", parts[1]))
            gap = parts[1] if parts[0] == ("number", 0) else gap
            self.compared.append((gap, env, name))
            if self.kind[name] == "forward":
                self.demands.append(("steady", gap, env, guard, name))
        how = "nonzero" if word == "/" else "positive" if n[:1] == ("call",) and parts[0] in OF_POSITIVE else ""
        if word == "**":
            how = "positive" if parts[1].denominator > 1 else "nonzero" if parts[1] < 0 else ""
        if how:
            for wanted, what in self.needed(how, parts[0] if word == "**" else parts[1], env):
                self.demands.append((wanted, what, env, guard, name))
        if n[:2] == ("call", "where"):
            self.demand(parts[1], env, name, guard)
            self.demand(parts[2], env, name, (*guard, parts[1]))
            return self.demand(parts[3], env, name, (*guard, ("not", parts[1])))
        for p in parts:
            if isinstance(p, tuple) and p[0] != "number":
                self.demand(p, env, name, guard)

    def needed(self, how: str, n: Node, env: dict[str, Poly]) -> Iterator[tuple[str, Node]]:
        """The same condition on simpler expressions."""
        if self.surely(n, env):
            return
        if n[0] == "**" and n[2] > 0:
            even = n[2].denominator == 1 and (how == "nonzero" or n[2] % 2 == 0)
            yield from self.needed("nonzero" if even else "positive", n[1], env)
        elif n[0] == "*" and (how == "nonzero" or sum(not self.surely(p, env) for p in n[1:]) == 1):
            for p in n[1:]:
                yield from self.needed(how, p, env)
        elif n[0] == "/" or (n[0] == "neg" and how == "nonzero"):
            yield from self.needed(how, n[1], env)
        else:
            yield how, n

    def known_to_be(self, how: str, p: Poly, known: dict[str, set[int]], depth: int = 8) -> bool:
        """True if a condition of the forward pass says it, of p or of what p is a product of."""
        if not p or depth < 0 or self.nameless(p) in known.get(how, ()):
            return bool(p) and depth >= 0
        (t, c), *more = p.items()
        if more or t[0] or (how == "positive" and c < 0):
            return False
        return all(self.sure(b) or self.base_known(how if e % 2 else "nonzero", b, known, depth) for b, e in t[1])

    def base_known(self, how: str, b: int, known: dict[str, set[int]], depth: int) -> bool:
        """The same of a base."""
        kind, name, keys, _ = self.bases[b]
        inner = self.poly(keys[0]) if kind == "P" else self.atom(b)
        if kind == "T" and name in self.definition and self.nameless(inner) not in known.get(how, ()):
            names, node = self.definition[name]
            inner = self.value(node, dict(zip(names, map(self.poly, keys))))
        return kind in "PT" and self.known_to_be(how, inner, known, depth - 1)

    def conditions(self) -> list[str]:
        """What the theorem takes for granted, in words; refused if that excludes more than almost nothing."""
        found, known = dict[str, None](), dict[str, set[int]]()
        loose = frozenset(n for n, k in self.kind.items() if k == "backward" and n not in self.same)
        for how, what, env, guard, name in self.demands:
            forward = self.kind[name] == "forward"
            p = self.value(what, env, frozenset() if forward else loose)
            if how in ("nonzero", "positive"):
                c, under = self.constant(p), self.number(1)
                for g in guard:
                    truth = self.value(g[-1], env) if g[0] == "not" else self.value(g, env)
                    under = self.times(under, self.minus(self.number(1), truth) if g[0] == "not" else truth)
                fails = self.zero(p) if how == "nonzero" else self.minus(self.number(1), self.positive(p))
                if not self.times(under, fails):
                    continue  # the condition before it says so
                need(c is None, f"{how} {show(what)} in {name} holds nowhere")
                names = {how, "nonzero"} if forward else set()
                if not forward and self.known_to_be(how, p, known):
                    continue
                need(
                    forward or (how == "nonzero" and self.thin(p)),
                    f"{name} needs {how} {show(what)}, the forward pass does not",
                )
                near = frozenset(self.bases[b][1] for t in p for b, _ in t[1] if self.bases[b][1] in self.definition)
                for k in names:
                    known.setdefault(k, set()).update(map(self.nameless, (p, self.value(what, env, near))))
            under_text = " and ".join(f"not {show(g[1])}" if g[0] == "not" else show(g) for g in guard)
            found[f"{how} {show(what)}" + (f" where {under_text}" if guard else "") + f" in {name}"] = None
        return [*found, *(c for c in self.crossed if c not in found)]

    # statements

    def head(self, r: Reader) -> tuple[str, list[str], list[Poly]]:
        """name[n:N,m:M]: the name, the indices and the sizes."""
        name, names, sizes = r.name(), [], []
        mark = r.take() if r.see() == "[" else ""
        while mark in ("[", ","):
            names.append(r.name())
            r.take(":")
            sizes.append(self.length(r.sum(), {}))
            mark = r.take(",", "]")
        self.new_names(names)
        return name, names, sizes

    def new_names(self, names: list[str]) -> None:
        """Names of indices, which nothing else has, before or after."""
        need(len(set(names)) == len(names), "an index twice")
        need(
            all(n.isidentifier() and n not in self.kind and n not in WORDS for n in names),
            "an index hides another name",
        )
        self.index_names.update(names)

    def places(self, names: list[str], sizes: list[Poly]) -> dict[str, Poly]:
        """The indices of an equation."""
        return {n: {} if self.constant(s) == 1 else self.atom(self.index(n, s)) for n, s in zip(names, sizes)}

    def define(self, kind: str, name: str, names: list[str], sizes: list[Poly], node: Node) -> None:
        """An equation: its sizes fit, it speaks of what stands before it, and of what it may speak of."""
        allowed = {"forward": ("forward",), "adjoint": ("forward", "adjoint"), "backward": ("forward", "backward")}[
            kind
        ]
        for m in speaks_of(node) & self.axes.keys():
            need(self.kind[m] in (*allowed, "input", "scalar"), f"{name} speaks of {m}")
        env = self.places(names, sizes)
        self.fits(node, env)
        self.new(name, kind)
        self.axes[name], self.definition[name] = sizes, (names, node)
        self.reads[name] = set().union(*({m} | self.reads.get(m, set()) for m in speaks_of(node) & self.axes.keys()))
        self.demand(node, env, name)
        if self.surely(node, env):
            self.assumed[name] = "positive"
        elif self.surely(node, env, False):
            self.assumed[name] = "nonnegative"

    def users(self, x: str) -> list[str]:
        """The equations in which x stands and that lead to the cost."""
        return [u for u in self.active if x in speaks_of(self.definition[u][1])]

    def adjoint(self, r: Reader) -> None:
        """adjoint NAME of TENSOR[n:N] = VALUE uses EQUATIONS: the chain rule over all users."""
        name = r.name()
        r.take("of")
        x, names, sizes = self.head(r)
        r.take("=")
        node = r.sum()
        r.take("uses")
        users, opened = r.names(), self.opening(r)
        r.end()
        need(self.cost and self.kind.get(x) in ("input", "forward", "scalar"), f"{x} has no adjoint")
        need(x not in self.ranges and x != self.cost and x not in self.bar, f"no adjoint of {x} here")
        need(sizes == self.axes[x], f"{name} has another shape than {x}")
        need(users == self.users(x), f"{x} stands in {' '.join(self.users(x)) or 'no equation'}")
        self.define("adjoint", name, names, sizes, node)
        env, sent = self.places(names, sizes), []
        for u in users:
            own, body = self.definition[u]
            need(u == self.cost or u in self.bar, f"the adjoint of {u} comes later")
            new = [self.new_index(s) for s in self.axes[u]]
            at = {n: {} if self.constant(s) == 1 else self.atom(i) for n, s, i in zip(own, self.axes[u], new)}
            bar = self.number(1) if u == self.cost else self.read(self.bar[u], list(at.values()), {}, opened)
            p = self.times(bar, self.slope(body, at, x, [env[n] for n in names]))
            for i in new:
                p = self.total(i, p)
            sent.append(p)
        value = self.value(node, env, opened)
        need(self.vanishes(self.minus(self.plus({}, *sent), value)), f"{name} is not what the chain rule gives for {x}")
        self.bar[x] = name

    def opening(self, r: Reader) -> frozenset[str]:
        """The definitions that are named after `open`."""
        names = r.names() if r.see() == "open" and r.take() else []
        need(
            len(set(names)) == len(names) and all(n in self.definition for n in names), f"cannot open {' '.join(names)}"
        )
        return frozenset(names)

    def lemma(self, r: Reader) -> None:
        """lemma NAME[n,m] = VALUE open DEFINITIONS: what a tensor is, by tensors before it."""
        left, _ = r.power(), r.take("=")
        name, names = left[1], [p[1] for p in left[2:] if len(p) == 2 and p[0] == "entry"]
        node, opened = r.sum(), self.opening(r)
        r.end()
        need(left[0] == "entry" and name in self.definition, "a lemma is about a tensor that is defined")
        need(name not in self.same, f"a second lemma about {name}")
        need(len(names) == len(left) - 2 == len(self.axes[name]), f"{show(left)}: an index for each axis")
        self.new_names(names)
        env = self.places(names, self.axes[name])
        self.fits(node, env)
        for m in speaks_of(node) & self.axes.keys():
            need(self.order[m] < self.order[name], f"{m} does not stand before {name}")
        gap = self.minus(self.value(left, env, opened | {name}), self.value(node, env, opened))
        need(self.vanishes(gap), f"the lemma about {name} does not follow: {len(gap)} terms are left")
        self.same[name] = (names, node)

    def claim(self, r: Reader) -> None:
        """claim W dW: what the backward pass returns as dW, or the adjoint of W, is the derivative of the cost by W."""
        x, d = r.name(), r.name()
        r.end()
        need(x in self.bar and self.kind[x] in ("input", "scalar"), f"{x} is no input with an adjoint")
        need(x not in [c[0] for c in self.claims], f"a second claim about {x}")
        need(
            (self.kind.get(d) == "backward" or d == self.bar[x]) and self.axes[d] == self.axes[x],
            f"{d} is no result of the backward pass like {x}",
        )
        at = [self.atom(self.new_index(s)) for s in self.axes[x]]
        same = self.read(d, at, {}, frozenset()) == self.read(self.bar[x], at, {}, frozenset())
        need(same, f"{d} was not proved to be the adjoint of {x}")
        self.claims.append((x, d))

    def equation(self, word: str, r: Reader) -> None:
        """forward or backward NAME[n:N] = VALUE; line 12."""
        need(bool(self.cost) == (word == "backward"), f"{word} {'after' if self.cost else 'before'} the cost")
        name, names, sizes = self.head(r)
        r.take("=")
        node = r.sum()
        if r.see() == ";":
            r.take(), r.take("line"), r.take()
        r.end()
        self.define(word, name, names, sizes, node)

    def given(self, word: str, r: Reader) -> None:
        """size, fact, scalar and input."""
        need(not self.definition, f"{word} after the first equation")
        if word == "size":
            self.sizes += r.names()
            for s in self.sizes[len(self.sizes) - len(r.words) :]:
                self.new(s, "size")
        elif word == "fact":
            node = r.compared()
            need(
                node[0] in ("<=", "==") and self.fits(("+", *node[1:]), {}) == "integer",
                "fact A <= B, or A == B, of sizes",
            )
            gap = self.minus(self.value(node[2], {}), self.value(node[1], {}))
            if node[0] == "==" and node[1][0] == "%" and node[2] == ("number", 0) and node[1][1][1] in self.sizes:
                name, q = node[1][1][1], self.value(node[1][2], {})  # q times a size of its own
                self.multiples.setdefault(name, self.times(q, self.atom(self.base("N", f"{name}//{show(node[1][2])}"))))
            self.facts += [gap] if node[0] == "<=" else [gap, self.scale(gap, -1)]
            self.laws.append(node)
        else:
            name, sizes = r.name(), list[Poly]()
            if word == "input" and r.see() == "[":
                sizes = [self.length(n, {}) for n in r.list("[", "]")]
            kind = r.take()
            if kind == "labels" and word == "input":
                self.ranges[name] = self.length(r.sum(), {})
                need(self.nonnegative(self.minus(self.ranges[name], self.number(1))), "labels of an empty range")
            need(kind in KINDS or name in self.ranges, f"unknown kind {kind}")
            if kind in ("onehot", "simplex"):
                need(
                    sizes and self.nonnegative(self.minus(sizes[-1], self.number(1))), f"no axis of {name} adds up to 1"
                )
            self.new(name, word)
            self.axes[name], self.assumed[name] = sizes, kind
        r.end()

    def statement(self, line: str) -> None:
        """One line."""
        word, _, rest = line.partition(" ")
        self.fresh = self.steps = 0
        self.lines += 1
        need(not self.ended, "something stands after the end")
        need(self.version or word == "proof", f"the first line is not `proof {VERSION}`")
        if word in ("title", "condition", "proof"):
            need(
                rest and (word == "condition" or not (self.title if word == "title" else self.version)),
                f"a second {word}",
            )
            need(word != "proof" or rest == VERSION, f"only version {VERSION} is known")
            self.version = rest if word == "proof" else self.version
            self.title = rest if word == "title" else self.title
            self.declared += [rest] if word == "condition" else []
            return
        r = Reader(rest)
        if word in ("size", "fact", "scalar", "input"):
            self.given(word, r)
        elif word in ("forward", "backward"):
            self.equation(word, r)
        elif word in ("adjoint", "lemma", "claim"):
            {"adjoint": self.adjoint, "lemma": self.lemma, "claim": self.claim}[word](r)
        elif word == "cost":
            self.ends_in(r.name())
            r.end()
        else:
            need(word == "end", f"unknown statement {word!r}")
            need(r.words == [str(self.lines)], f"the file has {self.lines} lines, not {rest}")
            self.ended = True
            self.finish()

    def ends_in(self, cost: str) -> None:
        """The cost, and the equations that lead to it."""
        need(
            not self.cost and self.kind.get(cost) == "forward" and not self.axes[cost],
            "the cost is one scalar of the forward pass",
        )
        self.cost = cost
        self.active = [u for u in self.definition if u == cost or u in self.reads[cost]]

    def finish(self) -> None:
        """Something is claimed, there are sizes for which the facts hold, the conditions are those declared."""
        need(self.claims, "nothing is claimed")
        found, names = self.conditions(), [s for s in self.sizes if any(s in speaks_of(f) for f in self.laws)]
        need(len(names) < 7, "facts about too many sizes")
        choices = product(range(1, 13 if len(names) < 4 else 5), repeat=len(names))
        need(
            any(all(self.holds(f, dict(zip(names, c))) for f in self.laws) for c in choices),
            "the facts hold for no small sizes",
        )
        differ = sorted(set(found) ^ set(self.declared))
        need(
            not differ and len(self.declared) == len(found),
            f"the conditions are other ones: {'; '.join(differ) or 'one stands twice'}",
        )

    def holds(self, fact: Node, sizes: dict[str, int]) -> bool:
        """Whether a fact holds for some sizes."""

        def number(n: Node) -> int:
            if n[0] in ("number", "entry"):
                return int(n[1]) if n[0] == "number" else sizes[n[1]]
            parts = [number(p) for p in n[1:] if isinstance(p, tuple)]
            if n[0] == "*":
                return parts[0] * number(("*", *n[2:])) if len(parts) > 1 else parts[0]
            if n[0] == "**":
                return int(parts[0] ** min(int(n[2]), MOST_EXPONENT))
            return {"+": sum(parts), "neg": -parts[0], "//": parts[0] // parts[-1] if parts[-1] else 0,
                    "%": parts[0] % parts[-1] if parts[-1] else 0}[n[0]]  # fmt: skip

        left, right = map(number, fact[1:])
        return left <= right if fact[0] == "<=" else left == right


def check(text: str) -> Book:
    """The book of an accepted proof.

    Raises:
        Refused: with the line and the reason.
    """
    book, n = Book(), 0
    try:
        need(len(text) <= MOST_CHARACTERS, "the file is too long")
        need(text.isascii() and not re.search(r"[^ -~\n]", text), "other characters than printable ASCII")
        lines = text.split("\n")
        need(len(lines) <= MOST_LINES, "too many lines")
        need(lines.pop() == "", "the file is cut off: the last line does not end")
        for line in lines:
            n += 1
            book.statement(line)
        need(book.ended, "the file is cut off: there is no end")
    except Refused as e:
        raise Refused(f"line {n}: {e}") from None
    except (RecursionError, ArithmeticError, LookupError, TypeError, ValueError, AssertionError) as e:
        raise Refused(f"line {n}: malformed ({type(e).__name__}: {e})") from None
    return book


def theorem(book: Book) -> str:
    """What an accepted file says, in words."""
    sizes = [f"For all sizes {', '.join(book.sizes)} >= 1"] if book.sizes else ["For the sizes given"]
    given = [
        f"{name} {book.assumed[name]}"
        for name, kind in book.kind.items()
        if kind in ("input", "scalar") and book.assumed[name] != "real"
    ]
    out = [
        f"THEOREM {book.title}",
        ", ".join([*sizes, *(show(f)[1:-1] for f in book.laws)])
        + ", all real arrays"
        + (f" ({', '.join(given)})" if given else "")
        + " and the cost",
    ]
    out += [f"  {book.cost} = {show(book.definition[book.cost][1])}"]
    out += [f"  {d} = d {book.cost} / d {x}" for x, d in book.claims]
    out += ["wherever, at all indices,", *(f"  {c}" for c in book.declared)] if book.declared else ["everywhere."]
    return "\n".join(out)


def main(arguments: list[str]) -> int:
    """The command: 0 if the proof is accepted, else 1."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    try:
        with open(arguments[0], encoding="utf-8", newline="") as file:
            book = check(file.read())
    except (Refused, OSError, UnicodeError) as e:
        print(f"REFUSED at {e}" if isinstance(e, Refused) else f"REFUSED: {e}")
        return 1
    print(theorem(book))
    print(f"ACCEPTED: {len(book.bar)} adjoints, {len(book.same)} lemmas, {len(book.claims)} claims")
    return 0


def deep(function: Any) -> Any:
    """What a function returns, or raises, with room for deep recursion."""
    found: list[Any] = []

    def call() -> None:
        try:
            found.append((function(), None))
        except BaseException as e:
            found.append((None, e))

    limit, size = sys.getrecursionlimit(), threading.stack_size(256 * 1024 * 1024)
    try:
        sys.setrecursionlimit(max(limit, 20_000))
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
        sys.setrecursionlimit(limit)
    if found[0][1] is not None:
        raise found[0][1]
    return found[0][0]


if __name__ == "__main__":
    sys.exit(deep(lambda: main(sys.argv[1:])))
