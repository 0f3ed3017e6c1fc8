"""Check a saved proof that a hand-written backward pass returns the gradient: `python check_proof.py FILE`.

Standard library only, Python 3.9 or newer; nothing of symbackprop is imported. docs/certificate.md has the format.
Trusted are this file, the Python that runs it, and that `forward` and `backward` say what the user's code computes.

Arrays are functions of integers that are 0 outside their boxes, so an entry has a value at all integers. An expression
is read into a normal form: a polynomial over the rationals whose atoms are entries, functions, roots and comparisons,
with sums over indices whose ranges are symbols. Every rewriting holds for all sizes, and at all numbers at which the
conditions hold that are printed with the theorem.
"""

from __future__ import annotations

import ast
import gc
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from fractions import Fraction as Q
from functools import reduce
from itertools import permutations, product
from keyword import iskeyword
from math import floor, gcd
from typing import Any, NamedTuple

VERSION = "2"
MOST_LINES, MOST_CHARACTERS, MOST_IN_LINE, MOST_NESTED = 20_000, 4_000_000, 40_000, 60
MOST_STEPS, MOST_TERMS, MOST_EXPONENT, MOST_DIGITS, MOST_ALIKE = 400_000, 4_000, 40, 60, 6
KINDS = ("real", "positive", "prob", "bern", "pm1", "labels")  # what may be assumed of an input
SLOPES = {"exp": "exp(u)", "log": "1/u", "tanh": "1 - tanh(u)**2", "sin": "cos(u)", "cos": "-sin(u)",
          "atan": "1/(1 + u**2)", "erf": "2*exp(-u**2)/pi**(1/2)", "lgamma": "digamma(u)", "digamma": "trigamma(u)",
          "trigamma": ""}  # fmt: skip
OF_POSITIVE = {"log", "lgamma", "digamma", "trigamma"}
BINDERS, COMPARISONS = ("sum", "max", "min", "argmax"), ("<", "<=", "==")
ARGUMENTS = {**dict.fromkeys(SLOPES, 1), "stop": 1, "where": 3}
WORDS = {*ARGUMENTS, *BINDERS, "of", "uses", "open", "ahead", "by", "all", "pi"}
READS = {"forward": {"forward"}, "adjoint": {"forward", "adjoint"}, "backward": {"forward", "backward"},
         "let": {"forward", "adjoint", "backward", "let"}}  # fmt: skip
CLAUSES = {"forward": {"by"}, "backward": {"by"}, "let": {"by"}, "adjoint": {"by", "uses", "open"},
           "lemma": {"open", "ahead"}}  # fmt: skip
TOKEN = re.compile(r"\w+|\*\*|//|<=|==|[-+*/%()\[\],:<]")
SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
         ast.Lt: "<", ast.LtE: "<=", ast.Eq: "=="}  # fmt: skip

Node = tuple[Any, ...]  # of a syntax tree: a word, then its parts
Poly = dict[Any, Any]  # {(bound indices, ((base, exponent), ...)): coefficient}
Env = dict[str, Poly]  # what the names of indices stand for
ONE: Any = ((), ())  # the term that is 1
ZERO: Node = ("number", Q(0))


class Refused(Exception):
    """Why a proof is not accepted."""


def need(truth: Any, said: str) -> None:
    """Refuse unless it is true."""
    if not truth:
        raise Refused(said)


# --- expressions as text


class Line(NamedTuple):
    """An equation: its name, its indices and their sizes, the right side, and the clauses after it."""

    name: str
    names: list[str]
    sizes: list[Node]
    value: Node
    after: dict[str, str]


class Reader:
    """Expressions as Python's parser reads them; nothing is run, and what the format has no word for is refused."""

    def read(self, text: str) -> Node:
        """An expression."""
        words, depth = TOKEN.findall(text), 0
        need("".join(words) == text.replace(" ", "") and len(text) < MOST_IN_LINE, f"cannot read {text[:60]!r}")
        for w in words:
            depth += (w in ("(", "[")) - (w in (")", "]"))
            need(w.isdigit() or w.isidentifier() or not w[0].isalnum(), f"cannot read {w!r}")
            need(len(w) < MOST_DIGITS and depth < MOST_NESTED, "an expression nested too deeply, or a word too long")
        try:
            return self.node(ast.parse(text.strip(), mode="eval").body)
        except (SyntaxError, MemoryError) as e:
            raise Refused(f"cannot read {text[:60]!r}") from e

    def name(self, text: str) -> str:
        """A name that is no word of the format."""
        need(text.isidentifier() and not iskeyword(text) and text not in WORDS, f"a name expected, not {text!r}")
        return text

    def node(self, e: Any) -> Node:
        """What Python's parser has read."""
        if isinstance(e, ast.Constant) and type(e.value) is int:
            return ("number", Q(e.value))
        if isinstance(e, ast.Name):
            return ("entry", e.id if e.id == "pi" else self.name(e.id))
        if isinstance(e, ast.Subscript) and isinstance(e.value, ast.Name):
            places = e.slice.elts if isinstance(e.slice, ast.Tuple) else [e.slice]
            return ("entry", self.name(e.value.id), *map(self.node, places))
        if isinstance(e, ast.Slice) and e.lower and e.upper and not e.step:
            return (":", self.node(e.lower), self.node(e.upper))
        if isinstance(e, ast.UnaryOp) and isinstance(e.op, ast.USub):
            return self.minus(self.node(e.operand))
        if isinstance(e, ast.BinOp) and type(e.op) in SIGNS:
            return self.joined(SIGNS[type(e.op)], self.node(e.left), self.node(e.right))
        if isinstance(e, ast.Compare) and len(e.ops) == 1 and type(e.ops[0]) in SIGNS:
            return self.joined(SIGNS[type(e.ops[0])], self.node(e.left), self.node(e.comparators[0]))
        if isinstance(e, ast.Call) and isinstance(e.func, ast.Name) and not e.keywords:
            return self.call(e.func.id, e.args)
        raise Refused(f"no word for {type(e).__name__}")

    def call(self, word: str, arguments: list[Any]) -> Node:
        """A function, or a sum or maximum over an index."""
        if word not in BINDERS:
            need(len(arguments) == ARGUMENTS.get(word, len(arguments)) > 0, f"{word} with another number of arguments")
            head = (word,) if word in ARGUMENTS else ("apply", self.name(word))
            return (*head, *map(self.node, arguments))
        (over,) = arguments
        need(isinstance(over, ast.GeneratorExp) and len(over.generators) == 1, f"{word} of other than (... for i in N)")
        g, body = over.generators[0], self.node(over.elt)
        need(isinstance(g.target, ast.Name) and not g.ifs and not g.is_async, f"{word} with a condition")
        if word == "min":
            return self.minus(("max", self.name(g.target.id), self.node(g.iter), self.minus(body)))
        return (word, self.name(g.target.id), self.node(g.iter), body)

    def minus(self, n: Node) -> Node:
        """-n."""
        return self.joined("*", ("number", Q(-1)), n)

    def joined(self, sign: str, a: Node, b: Node) -> Node:
        """Two expressions and what stands between them: -, / and % by +, powers and //."""
        if sign == "-":
            return self.joined("+", a, self.minus(b))
        if sign == "/":
            return self.joined("*", a, ("number", 1 / b[1]) if b[0] == "number" and b[1] else ("**", b, Q(-1)))
        if sign == "%":
            return self.joined("-", a, self.joined("*", b, ("//", a, b)))
        if sign == "**":
            need(b[0] == "number", "an exponent is a rational number")
            need(max(abs(b[1].numerator), b[1].denominator) <= MOST_EXPONENT, "an exponent that is too large")
            return ("**", a, b[1])
        if sign == "*" and a[0] == b[0] == "number":
            return ("number", a[1] * b[1])
        return (*a, b) if sign in "+*" and a[0] == sign else (sign, a, b)

    def line(self, text: str) -> Line:
        """name[n:N,m:M] = VALUE, or name[n,m] = VALUE, and what follows the words by, uses, open and ahead."""
        left, equals, right = text.partition(" = ")
        need(equals, "an equation expected")
        value, *more = re.split(r" (by|uses|open|ahead) ", right)
        after = dict(zip(more[::2], more[1::2]))
        need(2 * len(after) == len(more), "a clause twice")
        word, name, *places = self.read(left)
        indices = [p[1] if p[0] == ":" else p for p in places]
        need(word == "entry" and name != "pi" and len({*indices}) == len(indices), "a name and its indices expected")
        need(all(i[0] == "entry" and len(i) == 2 for i in indices), "names of indices expected")
        return Line(name, [i[1] for i in indices], [p[2] for p in places if p[0] == ":"], self.read(value), after)


READER = Reader()


def input_of(text: str) -> tuple[str, str, str]:
    """An input with its axes, its kind, and for labels how many there are."""
    _, left, kind, more, _ = re.split(r"^(\w+(?:\[.*\])?) +([a-z]\w*)(.*)$", text)
    return left, kind, more


def children(n: Node) -> list[Node]:
    """The parts of an expression that are expressions."""
    return [p for p in n[1:] if isinstance(p, tuple)]


def names_in(n: Node, bound: frozenset[str] = frozenset()) -> set[str]:
    """The names in an expression that no sum or maximum binds."""
    if n[0] in BINDERS:
        need(n[1] not in bound, f"index {n[1]} hides another one")
        return names_in(n[2], bound) | names_in(n[3], bound | {n[1]})
    return set().union({n[1]} - bound if n[0] == "entry" else (), *(names_in(p, bound) for p in children(n)))


def indices_in(n: Node) -> list[str]:
    """The names of the indices that are bound somewhere inside."""
    return [*([n[1]] if n[0] in BINDERS else []), *(i for p in children(n) for i in indices_in(p))]


def slope(n: Node, x: str) -> Node:
    """The derivative by the entry of tensor x at the places <0>, <1>, ...; all other tensors are held fixed.

    Comparisons and places of maxima are constant off their borders, and a maximum is attained once: conditions.
    """
    word = n[0]
    if x not in names_in(n) or word in (*COMPARISONS, "stop", "argmax"):
        return ZERO
    if word == "entry":
        need(n[1] == x, f"{x} inside an index")
        return ("*", ("number", Q(1)), *(("==", e, ("entry", f"<{k}>")) for k, e in enumerate(n[2:])))
    if word == "sum":
        return ("sum", n[1], n[2], slope(n[3], x))
    if word == "max":
        return ("sum", n[1], n[2], ("*", ("==", ("entry", n[1]), ("argmax", *n[1:])), slope(n[3], x)))
    if word == "+":
        return ("+", *(slope(p, x) for p in n[1:]))
    if word == "*":
        return ("+", *(("*", *n[1:k], slope(n[k], x), *n[k + 1 :]) for k in range(1, len(n)) if x in names_in(n[k])))
    if word == "**":
        return ("*", ("number", n[2]), ("**", n[1], n[2] - 1), slope(n[1], x)) if n[2] else ZERO
    if word == "where":
        return ("where", n[1], slope(n[2], x), slope(n[3], x))
    if word == "apply":  # a function of which nothing is known: f_prime, or f_prime1, f_prime2 by its arguments
        by = [f"{n[1]}_prime{k if len(n) > 3 else ''}" for k in range(1, len(n) - 1)]
        return ("+", *(("*", ("apply", f, *n[2:]), slope(p, x)) for f, p in zip(by, n[2:]) if x in names_in(p)))
    need(SLOPES.get(word), f"no derivative of {word}")
    return ("*", put_in(READER.read(SLOPES[word]), n[1]), slope(n[1], x))


def put_in(n: Node, u: Node) -> Node:
    """An expression with u for the name u."""
    return u if n == ("entry", "u") else tuple(put_in(p, u) if isinstance(p, tuple) else p for p in n)


# --- the normal form


class Base:
    """What a polynomial is made of; there is one object for each.

    Kinds: "i" an index, with its size; "N" a size or constant; "T" an entry, with its places; "F" a function; "P" a sum
    under an exponent; "Z" 1 where p = 0; "I" 1 where p > 0; "X" the largest p over the index `own`, "A" the first place
    at which it stands. Indices that a term binds are named after its height, which is above that of all that is bound
    inside; so no name is ever caught. `shape` is what bases have in common that differ in names of indices alone.
    """

    def __init__(self, number: int, kind: str, name: str, polys: tuple[Poly, ...], own: Base | None) -> None:
        self.number, self.kind, self.name, self.polys, self.own, self.shape = number, kind, name, polys, own, 0
        terms = [] if kind == "i" else [t for p in polys for t in p]
        self.free = frozenset([self]) if kind == "i" else frozenset().union(*map(free, terms)) - {own}
        self.height = 0 if kind == "i" else 1 + max((b.height for t in terms for b, _ in t[1]), default=-1)
        self.inner = frozenset([self]).union(*(b.inner for t in terms for b, _ in t[1]))
        self.size: Poly = polys[0] if kind == "i" else own.size if own else {}  # of the range of an index

    def __lt__(self, other: Base) -> bool:
        return self.number < other.number


def free(term: Any) -> frozenset[Base]:
    """The indices that are free in a term."""
    return frozenset().union(*(b.free for b, _ in term[1])) - frozenset(term[0])


def free_in(p: Poly) -> frozenset[Base]:
    """The indices that are free in a polynomial."""
    return frozenset().union(*map(free, p))


def constant(p: Poly) -> Q | None:
    """The number that a polynomial is, if it is one."""
    return Q(p.get(ONE, 0)) if not p.keys() - {ONE} else None


def number(c: Any) -> Poly:
    """A rational number as a polynomial; integers are left integers, which is faster."""
    return {ONE: c.numerator if c.denominator == 1 else c} if c else {}


def atom(base: Base, exponent: Any = 1) -> Poly:
    """A power of a base."""
    return {((), ((base, exponent),)): 1}


def single(p: Poly) -> Base | None:
    """The base that a polynomial is, if it is one."""
    t = next(iter(p)) if len(p) == 1 else ONE
    return t[1][0][0] if t[1] and p == atom(t[1][0][0]) else None


def scale(p: Poly, c: Any) -> Poly:
    """A multiple."""
    c = c.numerator if c.denominator == 1 else c
    return p if c == 1 else {t: v * c for t, v in p.items()} if c else {}


def plus(*polys: Poly) -> Poly:
    """A sum."""
    if len(polys) == 1:
        return polys[0]
    out: Poly = {}
    for p in polys:
        if not out:
            out = dict(p)
            continue
        for t, c in p.items():
            c += out.pop(t, 0)
            if c:
                out[t] = c
    if len(out) > MOST_TERMS:
        raise Refused(f"more than {MOST_TERMS} terms")
    return out


def less(p: Poly, q: Poly) -> Poly:
    """A difference."""
    return plus(p, scale(q, -1))


def parted(p: Poly, b: Base) -> tuple[Poly, Poly]:
    """c and r with p = c b + r; powers of b are left in r."""
    inside = {t: c for t, c in p.items() if (b, 1) in t[1]}
    factor = {(t[0], tuple(x for x in t[1] if x[0] is not b)): c for t, c in inside.items()}
    return factor, {t: c for t, c in p.items() if t not in inside}


class Algebra:
    """Sums and products of bases, in normal form."""

    def __init__(self) -> None:
        self.table: dict[Any, Any] = {}
        self.fresh, self.steps, self.values, self.most = 0, 0, 0, MOST_STEPS
        self.assumed: dict[str, str] = {}  # of tensors and scalars: positive, prob, bern, ...
        self.ranges: dict[str, Poly] = {}  # of arrays of labels: how many there are
        self.axes: dict[str, list[Poly]] = {}
        self.maxima: set[Any] = set()  # that are attained once
        self.never: set[Any] = set()  # what is not 0 where the comparisons of the forward pass are steady
        self.facts: list[Poly] = []  # what is >= 0 for sizes
        self.splits: dict[Any, tuple[str, Poly]] = {}  # how indices of some sizes are written

    def base(self, kind: str, name: str = "", polys: tuple[Poly, ...] = (), own: Base | None = None) -> Base:
        """The base with these parts."""
        row = (kind, name, tuple(frozenset(p.items()) for p in polys), own)
        if row not in self.table:
            new = self.table[row] = Base(len(self.table), kind, name, polys, own)
            inner = tuple(tuple(sorted((self.shape(t), c) for t, c in p.items())) for p in polys)
            new.shape = self.table.setdefault(("shape", kind, name if kind != "i" else "", inner), len(self.table))
        found: Base = self.table[row]
        return found

    def shape(self, t: Any) -> Any:
        """What terms have in common that differ in the names of indices alone."""
        return tuple(i.shape for i in t[0]), tuple(sorted((b.shape, e) for b, e in t[1]))

    def lead(self, p: Poly) -> Q:
        """A coefficient that does not depend on the names of indices, if there is one."""
        rows = sorted((self.shape(t), c) for t, c in p.items() if t != ONE) or [(ONE, p[ONE])]
        alone = [c for s, c in rows if sum(s == r for r, _ in rows) == 1]
        return Q(alone[0] if alone else min(p.items())[1])

    def index(self, name: str, size: Poly) -> Base:
        """An index from 0 to size - 1."""
        return self.base("i", name, (size,))

    def new_index(self, size: Poly) -> Base:
        """An index that occurs nowhere."""
        self.fresh += 1
        return self.index(f"@{self.fresh}", size)

    def pieces(self, size: Poly, name: str = "") -> list[tuple[list[Base], Poly]]:
        """The ways in which an index of this size is written: new indices, and an integer made of them."""
        how, at = self.splits.get(frozenset(size.items()), ("", {}))
        n = constant(size)
        if n is not None and (n <= 1 or how == "all"):
            need(n <= MOST_EXPONENT, "a range that is too long to be written out")
            return [([], number(k)) for k in range(int(n))]
        if how == "by":  # i = at * a + d
            high = self.pieces(self.times(size, self.power(at, -1)), name and name + "'")
            low = self.pieces(at, name and name + '"')
            return [(a + d, plus(self.times(at, e), f)) for a, e in high for d, f in low]
        i = self.index(name, size) if name else self.new_index(size)
        return [([i], atom(i))]

    def renewed(self, p: Poly) -> Iterator[tuple[list[Base], list[tuple[Base, Any]], Q]]:
        """Terms with fresh names for what they bind."""
        for t, c in p.items():
            at = {i: self.new_index(i.size) for i in t[0]}
            yield list(at.values()), list(self.renamed(t[1], at) if at else t[1]), c

    def renamed(self, factors: Iterable[tuple[Base, Any]], at: dict[Base, Base]) -> tuple[tuple[Base, Any], ...]:
        """With other names for indices."""
        return tuple(sorted((self.rename(b, at), e) for b, e in factors))

    def rename(self, b: Base, at: dict[Base, Base]) -> Base:
        """A base with other names for indices."""
        if b.kind == "i" or b.free.isdisjoint(at):
            return at.get(b, b)
        row = (b, frozenset((i, at[i]) for i in b.free & at.keys()))
        if row not in self.table:
            inner = (plus(*({(t[0], self.renamed(t[1], at)): c} for t, c in p.items())) for p in b.polys)
            self.table[row] = self.base(b.kind, b.name, tuple(inner), b.own)
        found: Base = self.table[row]
        return found

    def times(self, *polys: Poly) -> Poly:
        """A product."""
        out = polys[0]
        for p in polys[1:]:
            if out.keys() <= {ONE} or p.keys() <= {ONE}:
                out = scale(p, out.get(ONE, 0)) if out.keys() <= {ONE} else scale(out, p.get(ONE, 0))
                continue
            right = list(self.renewed(p))
            out = plus(*(self.term(b + d, f + g, v * w) for b, f, v in self.renewed(out) for d, g, w in right))
        return out

    def over(self, bound: Iterable[Base], p: Poly) -> Poly:
        """The sum over some indices."""
        for i in bound:
            p = plus(*(self.term([*b, i], fs, c) for b, fs, c in self.renewed(p)))
        return p

    def put(self, p: Poly, at: dict[Base, Poly]) -> Poly:
        """With other integers for some indices."""
        out: list[Poly] = []
        for bound, factors, c in self.renewed(p):
            same = self.term([], [(b, e) for b, e in factors if not b.free & at.keys()], c)
            others = (self.power(self.put_base(b, at), e) for b, e in factors if b.free & at.keys())
            out.append(self.over(bound, self.times(same, *others)))
        return plus({}, *out)

    def put_base(self, b: Base, at: dict[Base, Poly]) -> Poly:
        """A base with other integers for some indices."""
        if b.kind == "i":
            return at[b]
        i = self.new_index(b.size) if b.own else None
        inner = [self.put(p, {**at, b.own: atom(i)} if b.own and i else at) for p in b.polys]
        if b.kind in "XA":
            return self.largest(b.kind, i, inner[0])
        if b.kind == "T":
            return self.entry(b.name, inner)
        if b.kind == "F":
            return self.function(b.name, inner[0]) if b.name in SLOPES else atom(self.base("F", b.name, tuple(inner)))
        return self.zero(inner[0]) if b.kind == "Z" else self.positive(inner[0]) if b.kind == "I" else inner[0]

    # products

    def term(self, bound: list[Base], factors: Iterable[tuple[Base, Any]], c: Any = 1) -> Poly:
        """A product summed over some indices: conditions made use of, sums carried out, bound indices named."""
        self.steps += 1
        need(self.steps < self.most, "the steps of the check are used up")
        fs: dict[Base, Any] = {}
        for b, e in factors:
            fs[b] = fs.get(b, 0) + e
        fs = {b: e if e == 1 else self.reduced(b, e) for b, e in fs.items() if e}
        fs = {b: e for b, e in fs.items() if e}
        if bound or any(b.kind in "ZIP" for b in fs):
            for rule in (self.solve, self.implied, self.unused, self.reverse, self.expand):
                found = rule(bound, fs)
                if found is not None:
                    return scale(found, c)
        return {self.named(bound, fs): c}

    def reduced(self, b: Base, e: Any) -> Any:
        """The exponent, less where the base takes two values alone."""
        if self.two_valued(b):
            need(e > 0, "what may be 0 or 1 under a negative exponent")  # b*b/b would be 1 or b, as it is read
            return 1
        return e % 2 if e == floor(e) and self.is_sign(b) else e

    def is_sign(self, b: Base) -> bool:
        """True for bases that are 1 or -1."""
        return b.kind == "T" and self.assumed.get(b.name) == "pm1" and self.sits(b)

    def two_valued(self, b: Base) -> bool:
        """True for bases that are 0 or 1."""
        return b.kind in "ZI" or (b.kind == "T" and self.assumed.get(b.name) == "bern")

    def without(self, fs: dict[Base, Any], *bases: Base) -> Poly:
        """The product without some factors; to be normalised."""
        return {((), tuple(x for x in fs.items() if x[0] not in bases)): 1}

    def solve(self, bound: list[Base], fs: dict[Base, Any]) -> Poly | None:
        """Sums over [k = e], and the equation put into the other factors."""
        for b in sorted(x for x in fs if x.kind == "Z" and self.integer(x.polys[0])):
            names = sorted(b.free, key=lambda i: (i in bound, constant(i.size) is not None, i), reverse=True)
            for i in [i for i in names if i in bound] or names[:1]:  # of free ones the last: so there is an end
                (c, rest), used = parted(b.polys[0], i), i in bound or any(i in x.free for x in fs if x is not b)
                if used and c in (number(1), number(-1)) and i not in free_in(rest):
                    e = scale(rest, -c[ONE])
                    extra = self.within(e, i.size) if i in bound else atom(b)
                    inner = self.times(self.put(self.without(fs, b), {i: e}), extra)
                    return self.over([k for k in bound if k is not i], inner)
        return None

    def within(self, e: Poly, size: Poly) -> Poly:
        """1 where 0 <= e < size."""
        return self.times(self.positive(plus(e, number(1))), self.positive(less(size, e)))

    def implied(self, bound: list[Base], fs: dict[Base, Any]) -> Poly | None:
        """Comparisons that follow from others, or contradict them."""
        for a, b in permutations([b for b in fs if b.kind in "ZI"], 2):
            p, q, sure = a.polys[0], b.polys[0], a.kind == "I"
            more, both = less(q, p), plus(p, q)
            if b.kind == "Z":
                apart = (constant(more), constant(both))  # p > 0 and p = 0, or p = 0 and p + k = 0
                if 0 in apart if sure else any(apart):
                    return {}
                continue
            if sure and self.integer(p) and self.integer(q):
                never = self.nonnegative(less(number(1), both))  # p > 0 and q > 0 say p + q > 1
                follows = self.nonnegative(more)
            else:  # q = p + k, or q = k - p
                k, s = constant(more), constant(both)
                follows = (k is not None and (k >= 0 if sure else k > 0)) or (not sure and s is not None and s > 0)
                never = (s is not None and s <= 0) or (not sure and k is not None and k <= 0)
            if never or follows:
                return {} if never else self.term(bound, [x for x in fs.items() if x[0] is not b])
        return None

    def unused(self, bound: list[Base], fs: dict[Base, Any]) -> Poly | None:
        """Sums of what does not depend on the index."""
        for i in bound:
            if not any(i in b.free for b in fs):
                return self.times(self.term([k for k in bound if k is not i], fs.items()), i.size)
        return None

    def reverse(self, bound: list[Base], fs: dict[Base, Any]) -> Poly | None:
        """Sums over an index that mostly stands with a minus, from the other end."""
        for i in bound:
            places = [p for b in fs if i in b.free for x in b.inner if x.kind == "T" for p in x.polys]
            if sum((p.get(((), ((i, 1),)), 0) > 0) - (p.get(((), ((i, 1),)), 0) < 0) for p in places) < 0:
                other = {i: less(less(i.size, number(1)), atom(i))}
                return self.over(bound, self.put(self.without(fs), other))
        return None

    def expand(self, bound: list[Base], fs: dict[Base, Any]) -> Poly | None:
        """Whole powers of sums multiplied out, and numbers taken out of roots of numbers."""
        for b, e in fs.items():
            c = constant(b.polys[0]) if b.kind == "P" else None
            if b.kind == "P" and (e >= 1 or (c is not None and e < 0)):
                need(e <= MOST_EXPONENT, "an exponent that is too large")
                whole = [b.polys[0]] * floor(e) if c is None else [self.radical(c, floor(e))]
                rest = [atom(b, e % 1)] if e % 1 else []
                others = self.term([], [x for x in fs.items() if x[0] is not b])
                return self.over(bound, self.times(others, *whole, *rest))
        return None

    def named(self, bound: Collection[Base], fs: dict[Base, Any]) -> Any:
        """The same term whatever its bound indices were called."""
        if not bound:
            return (), tuple(sorted(fs.items()))

        alone = len({i.shape for i in bound}) == len(bound)  # then sizes tell them apart

        def seen(i: Base) -> Any:
            tags = {} if alone else {k: self.index("~" if k is i else "~other", k.size) for k in bound}
            return i.shape, alone or self.renamed((x for x in fs.items() if i in x[0].free), tags)

        height, order = max((b.height for b in fs), default=0), sorted(bound, key=seen) if len(bound) > 1 else bound
        at = {i: self.index(f"#{height}.{k}", i.size) for k, i in enumerate(order)}
        return tuple(at.values()), self.renamed(fs.items(), at)

    def nameless(self, p: Poly) -> Any:
        """A polynomial up to a factor, whatever its free indices are called."""
        return self.named(free_in(p), {self.base("P", "", (scale(p, 1 / self.lead(p)),)): 1}) if p else ()

    # what is known of values

    def sits(self, b: Base) -> bool:
        """True for entries that are seen to lie in their boxes, outside of which arrays are 0."""
        ends = (q for e, n in zip(b.polys, self.axes[b.name]) for q in (e, less(less(n, e), number(1))))
        return all(map(self.nonnegative, ends))

    def all_sit(self, p: Poly) -> bool:
        """The same of all entries in a polynomial."""
        return all(self.sits(x) for t in p for b, _ in t[1] for x in b.inner if x.kind == "T")

    def sure(self, b: Base) -> bool:
        """True for bases that are positive at all points that are not excluded."""
        known = b.kind == "T" and self.assumed.get(b.name) in ("positive", "prob") and self.sits(b)
        return known or b.kind == "N" or b.name == "exp" or (b.kind == "P" and self.above(b.polys[0]))

    def above(self, p: Poly) -> bool:
        """True for sums of positive terms, of which one is there at all sizes."""
        positive = all(c > 0 and all(self.sure(b) for b, _ in t[1]) for t, c in p.items())
        return positive and any(all(map(self.filled, t[0])) for t in p)

    def filled(self, i: Base) -> bool:
        """True for indices whose range is never empty."""
        return self.nonnegative(less(i.size, number(1)))

    def integer(self, p: Poly) -> bool:
        """True for polynomials of integers with integer coefficients."""
        return all(c.denominator == 1 and not t[0] and all(self.whole(b) and e == floor(e) and e > 0 for b, e in t[1])
                   for t, c in p.items())  # fmt: skip

    def whole(self, b: Base) -> bool:
        """True for bases that are integers."""
        return b.kind in "iA" or (b.kind == "N" and b.name != "pi") or (b.kind == "T" and b.name in self.ranges)

    def nonnegative(self, p: Poly, facts: int = 2) -> bool:
        """True if p >= 0 is seen for all sizes and indices: indices at the ends of their ranges, then sizes from 1."""
        row = ("nonnegative", frozenset(p.items()), facts, len(self.facts))
        if row not in self.table:
            self.table[row] = self.integer(p) and self.at_least_zero(p, facts)
        return bool(self.table[row])

    def at_least_zero(self, p: Poly, facts: int) -> bool:
        """As `nonnegative`."""
        one, inner = number(1), {b for t in p for b, _ in t[1] if b.kind != "N"}
        if inner:  # 0 <= b < n
            b = max(inner, key=lambda x: (x.height, -x.number))
            c, rest = parted(p, b)
            at_end = plus(rest, self.times(c, less(self.ranges[b.name] if b.kind == "T" else b.size, one)))
            if any(x is b and e > 1 for t in p for x, e in t[1]):
                return False
            if self.nonnegative(c, 0):
                return self.nonnegative(rest, facts)
            return self.nonnegative(scale(c, -1), 0) and self.nonnegative(at_end, facts)
        from_one = (scale(self.times(one, *(plus(one, atom(b)) for b, e in t[1] for _ in range(e))), c)
                    for t, c in p.items())  # fmt: skip
        sure = all(c >= 0 for c in plus({}, *from_one).values())
        return sure or (facts > 0 and any(self.nonnegative(less(p, f), facts - 1) for f in self.facts))

    # what makes bases

    def entry(self, name: str, places: list[Poly]) -> Poly:
        """An entry of a tensor; 0 outside of its box."""
        row = ("T", name, tuple(frozenset(p.items()) for p in places), None)
        if row in self.table:
            return atom(self.table[row])
        need(all(map(self.integer, places)), f"an index of {name} is no integer")
        outside = (self.nonnegative(less(e, n)) or self.nonnegative(less(number(-1), e))
                   for e, n in zip(places, self.axes[name]))  # fmt: skip
        return {} if any(outside) else atom(self.base("T", name, tuple(places)))

    def power(self, p: Poly, e: Any) -> Poly:
        """p ** e; that p is not 0 (e < 0) or positive (e a fraction) is a condition of where it stands."""
        e = int(e) if e == floor(e) else e
        if not p:
            need(e > 0, "0 under a negative exponent")
            return {}
        common, rest = self.content(p)
        c, outer = constant(rest), self.term([], [(b, x * e) for b, x in common])
        if c is not None:
            return self.times(outer, self.radical(c, e))
        (t, c), *more = rest.items()
        if not more and not t[0] and (e == floor(e) or single(rest)):
            return self.times(outer, self.radical(c, e), self.term([], [(b, x * e) for b, x in t[1]]))
        if e == floor(e) and e > 0:
            need(e <= MOST_EXPONENT, "an exponent that is too large")
            return self.times(outer, *[rest] * int(e))
        c = self.lead(rest) if e == floor(e) else abs(self.lead(rest))
        return self.times(outer, self.radical(c, e), self.term([], [(self.base("P", "", (scale(rest, 1 / c),)), e)]))

    def content(self, p: Poly) -> tuple[list[tuple[Base, Any]], Poly]:
        """Powers of positive bases that all terms have in common, and the rest."""
        bases = {b: 0 for t in p for b, _ in t[1] if self.sure(b)}
        least = {b: min(0 if b.free & set(t[0]) else dict(t[1]).get(b, 0) for t in p) for b in bases}
        common = [(b, e) for b, e in least.items() if e]
        if not common:
            return [], p
        more, rest = self.content(self.times(p, {((), tuple((b, -e) for b, e in common)): 1}))
        return common + more, rest

    def radical(self, c: Any, e: Any) -> Poly:
        """A power of a number; roots are atoms."""
        if e == floor(e):
            need(max(abs(c.numerator), c.denominator).bit_length() * abs(e) < 20_000, "a number that is too large")
            return number(Q(c) ** int(e))
        need(c > 0, "a root of a negative number")
        return number(1) if c == 1 else scale(atom(self.base("P", "", (number(c),)), e % 1), Q(c) ** floor(e))

    def function(self, name: str, p: Poly) -> Poly:
        """A function of one argument, by what it does to sums, products, signs and 0."""
        need(name in SLOPES, f"unknown function {name}")
        if name == "exp":  # of a sum, a product of powers
            return self.times(number(1), *(self.exponential(t, int(c) if c == floor(c) else c) for t, c in p.items()))
        if name == "log" and p:
            common, rest = self.content(p)
            logs = [scale(b.polys[0] if b.name == "exp" else atom(self.base("F", "log", (atom(b),))), Q(e))
                    for b, e in common]  # fmt: skip
            return plus({} if rest == number(1) else atom(self.base("F", "log", (rest,))), *logs)
        if name not in OF_POSITIVE:
            if not p:
                return number(name == "cos")
            if self.lead(p) < 0:
                return scale(self.function(name, scale(p, -1)), 1 if name == "cos" else -1)
        return atom(self.base("F", name, (p,)))

    def exponential(self, t: Any, c: Any) -> Poly:
        """exp(c t)."""
        b = single({t: 1})
        if b is not None and b.name == "log":
            return self.power(b.polys[0], c)
        return atom(self.base("F", "exp", ({t: 1},)), c)

    def by_cases(self, p: Poly, make: Callable[[Poly], Poly]) -> Poly | None:
        """make(p), for what is 0 or 1 inside p by its two cases."""
        for b in (b for t in p for b, _ in t[1] if self.two_valued(b) and not b.free & set(t[0])):
            hit, rest = parted(p, b)
            yes = plus(rest, self.put(hit, {}))
            return plus(self.times(atom(b), make(yes)), self.times(less(number(1), atom(b)), make(rest)))
        return None

    def zero(self, p: Poly) -> Poly:
        """1 where p = 0, else 0."""
        if constant(p) is not None:
            return number(constant(p) == 0)
        if not self.integer(p):
            found = self.attained(p)
            found = self.by_cases(p, self.zero) if found is None else found
            if found is not None:
                return found
            p = self.content(p)[1]
            if constant(p) is not None or (self.never and self.nameless(p) in self.never):
                return {}
            return atom(self.base("Z", "", (scale(p, 1 / self.lead(p)),)))
        if any(self.nonnegative(less(scale(p, s), number(1))) for s in (1, -1)):
            return {}
        g = gcd(*(int(v) for t, v in p.items() if t != ONE))
        if p.get(ONE, 0) % g:
            return {}
        p = scale(p, Q(1 if self.lead(p) > 0 else -1, g))
        found = self.digits(p)
        return atom(self.base("Z", "", (p,))) if found is None else found

    def digits(self, p: Poly) -> Poly | None:
        """[q u + v = 0] is [u = 0][v = 0] where |v| < q."""
        bases = {b for t in p for b, _ in t[1] if b.kind == "N"}
        for q in [*map(atom, sorted(bases)), *(number(abs(c)) for c in sorted(set(p.values())) if abs(c) > 1)]:
            u, v = self.divided(p, q)
            if free_in(u) and all(self.nonnegative(less(less(q, scale(v, s)), number(1))) for s in (1, -1)):
                return self.times(self.zero(u), self.zero(v))
        return None

    def divided(self, p: Poly, q: Poly) -> tuple[Poly, Poly]:
        """u and v with p = q u + v, where u has those terms that are integers."""
        u = plus({}, *(x for x in (self.times({t: c}, self.power(q, -1)) for t, c in p.items()) if self.integer(x)))
        return u, less(p, self.times(u, q))

    def quotient(self, p: Poly, q: Poly) -> Poly:
        """p // q, for q >= 1."""
        need(self.integer(p) and self.nonnegative(less(q, number(1))), "// of other than integers")
        u, v = self.divided(p, q)
        seen = all(map(self.nonnegative, (v, less(less(q, number(1)), v))))
        need(seen, "a // b of which the checker does not see the value")
        return u

    def attained(self, p: Poly, inside: bool = False) -> Poly | None:
        """[p(k) - max p = 0] is [k = argmax p] where the maximum is attained once; of maxima of maxima, each is."""
        for b in sorted(b for t in p for b, _ in t[1] if b.kind == "X" and self.nameless(atom(b)) in self.maxima):
            c = p.get(((), ((b, 1),)), 0)
            for k in sorted(k for k in free_in(p) if b.own and k.size == b.size and (c < 0 or (c and not inside))):
                entry = self.put(b.polys[0], {b.own: atom(k)})
                rest, x = less(scale(p, Q(-1) / c), less(entry, atom(b))), single(entry)
                more = self.attained(rest, True) if rest and x and x.kind == "X" else None if rest else number(1)
                if more is not None:
                    return self.times(more, self.zero(less(atom(k), self.largest("A", b.own, b.polys[0]))))
        return None

    def positive(self, p: Poly) -> Poly:
        """1 where p > 0, else 0."""
        one = number(1)
        if constant(p) is not None:
            return number(p.get(ONE, 0) > 0)
        if self.integer(p):
            if self.nonnegative(less(p, one)):
                return one
            if self.nonnegative(scale(p, -1)):
                return {}
            if self.nonnegative(p):
                return less(one, self.zero(p))
            if self.lead(p) < 0 and not any(i.name[0] in "@#~$" for i in free_in(p)):
                return less(one, self.positive(less(one, p)))
            return atom(self.base("I", "", (p,)))
        found = self.by_cases(p, self.positive)
        if found is not None:
            return found
        p = self.content(p)[1]
        if constant(p) is not None:
            return self.positive(p)
        if self.lead(p) < 0:
            return less(less(one, self.positive(scale(p, -1))), self.zero(p))
        return atom(self.base("I", "", (scale(p, 1 / self.lead(p)),)))

    def largest(self, kind: str, i: Base | None, p: Poly) -> Poly:
        """The largest value of p over an index, or the first place at which it stands."""
        if i not in free_in(p) or i is None or constant(i.size) == 1:
            return self.put(p, {i: {}}) if kind == "X" and i else {}
        own = self.index(f"#x{max(b.height for t in p for b, _ in t[1])}", i.size)
        body = plus(*({(t[0], self.renamed(t[1], {i: own})): c} for t, c in p.items()))
        return atom(self.base(kind, "", (body,), own))


# --- the statements


class Book(Algebra):
    """All that has been read; each statement is checked before it is added."""

    def __init__(self) -> None:
        super().__init__()
        self.title, self.cost, self.lines, self.ended, self.kept = "", "", 0, False, 0
        self.kind: dict[str, str] = {}  # of what has a name: size, input, forward, adjoint, backward, let; in order
        self.definition: dict[str, tuple[list[str], Node]] = {}
        self.same: dict[str, tuple[list[str], Node]] = {}  # what a lemma says of a tensor
        self.bar: dict[str, str] = {}
        self.mentions: dict[str, set[str]] = {}  # what stands in the equation of a tensor
        self.reads: dict[str, set[str]] = {}  # what it depends on
        self.recurrent, self.index_names, self.opened_now = set[str](), set[str](), frozenset[str]()
        self.never_of = 0  # how many adjoints there were when that was found
        self.waiting, self.together = 0, list[tuple[str, str]]()  # lines that are read as one
        self.laws: list[Node] = []  # the facts about sizes
        self.demands: dict[Any, list[Env]] = {}  # what equations take for granted, and of which indices
        self.solids: dict[Any, set[Any]] = {}  # what is 0 nowhere, as this line sees it
        self.declared: dict[Any, str] = {}
        self.claims: dict[str, str] = {}
        self.sides: tuple[Poly, Poly] = {}, {}  # of the last lemma, for who looks for what to open

    def statement(self, text: str) -> None:
        """One line."""
        word, _, rest = text.partition(";")[0].rstrip(" ").partition(" ")
        self.lines += 1
        need(not self.ended, "something stands after the end")
        need((self.lines == 1) == (word == "proof") and rest, f"the first line is `proof {VERSION}`")
        if word == "together":
            need(self.waiting <= 0, "lines together inside of others")
            self.waiting = int(rest)
            return
        self.together.append((word, rest))
        self.waiting -= 1
        if self.waiting > 0:
            return
        lines, self.together, self.opened_now = self.together, [], frozenset()
        self.fresh = self.steps = self.values = 0
        need(len(lines) == 1 or ({w for w, _ in lines} == {word} and word in CLAUSES), "lines of several kinds")
        if word in CLAUSES:
            self.equations(word, [t for _, t in lines])
        else:
            need(hasattr(self, f"{word}_line"), f"unknown statement {word!r}")
            getattr(self, f"{word}_line")(rest)

    # what expressions mean

    def value(self, n: Node, env: Env, opened: frozenset[str] = frozenset()) -> Poly:
        """The polynomial of an expression."""
        word = n[0]
        self.values += 1
        need(self.values < MOST_STEPS, "too many definitions are put in, or indices written out")

        def go(m: Node) -> Poly:
            return self.value(m, env, opened)

        if word == "number":
            return number(n[1])
        if word == "entry":
            return self.read(n[1], [go(p) for p in n[2:]], env, opened)
        if word == "sum":
            parts = ((new, {**env, n[1]: e}) for new, e in self.pieces(self.length(n[2])))
            return plus({}, *(self.over(new, self.value(n[3], inner, opened)) for new, inner in parts))
        if word in BINDERS:
            i = self.new_index(self.length(n[2]))
            need(self.filled(i), f"the range of a {word} may be empty")
            return self.largest("X" if word == "max" else "A", i, self.value(n[3], {**env, n[1]: atom(i)}, opened))
        if word == "+":
            return plus(*map(go, n[1:]))
        if word == "*":  # what stands after a 0 is not looked at
            return reduce(lambda p, m: p and self.times(p, go(m)), n[1:], number(1))
        if word == "**":
            whole = n[2] == floor(n[2])  # whole powers of powers and products are those of their parts
            if whole and n[1][0] == "**":
                return go(("**", n[1][1], n[1][2] * n[2]))
            if whole and n[1][0] == "*":
                return go(("*", *(("**", p, n[2]) for p in n[1][1:])))
            return self.power(go(n[1]), n[2])
        if word == "where":
            c = go(n[1])
            yes, no = (go(m) if p else {} for p, m in ((c, n[2]), (less(number(1), c), n[3])))
            return plus(self.times(c, yes), self.times(less(number(1), c), no))
        if word == "apply":
            need(self.kind.get(n[1]) == f"function of {len(n) - 2}", f"unknown function {n[1]}")
            return atom(self.base("F", n[1], tuple(map(go, n[2:]))))
        if word in ("stop", "//"):
            return self.quotient(go(n[1]), go(n[2])) if word == "//" else go(n[1])
        if word not in COMPARISONS:
            return self.function(word, go(n[1]))
        gap = less(go(n[2]), go(n[1]))
        if word == "==":
            return self.zero(gap)
        if word == "<" or self.integer(gap):
            return self.positive(gap if word == "<" else plus(gap, number(1)))
        return less(number(1), self.positive(scale(gap, -1)))

    def read(self, name: str, places: list[Poly], env: Env, opened: frozenset[str]) -> Poly:
        """An index, a size, or an entry: by what a lemma says of it, or by its definition where that is opened."""
        if name in env or name == "pi" or self.kind.get(name) == "size":
            need(not places, f"{name} has no axes")
            return env[name] if name in env else atom(self.base("N", name))
        need(name in self.axes and len(places) == len(self.axes[name]), f"no {name} with {len(places)} axes")
        table = self.definition if name in opened else self.same
        if name not in table:
            return self.entry(name, places)
        inside = self.times(number(1), *(self.within(e, n) for e, n in zip(places, self.axes[name])))
        if name in self.recurrent:
            opened = opened - {name}  # one step alone
        names, node = table[name]
        return self.times(inside, self.value(node, dict(zip(names, places)), opened)) if inside else {}

    def length(self, size: Node) -> Poly:
        """The size of an axis: an integer >= 0 made of sizes."""
        need(all(self.kind.get(s) == "size" for s in names_in(size)), "a size is made of sizes")
        value = self.value(size, {})
        need(self.nonnegative(value), "a size that may be less than 0")
        return value

    def ways(self, names: list[str], sizes: list[Poly], new: bool = False) -> Iterator[tuple[list[Base], Env]]:
        """The indices of an equation, in each of the ways in which they are written."""
        for way in product(*(self.pieces(s, "" if new else n) for n, s in zip(names, sizes))):
            yield [i for found, _ in way for i in found], {n: e for n, (_, e) in zip(names, way)}

    def vanishes(self, p: Poly) -> bool:
        """True if p is 0: denominators that are 0 nowhere are multiplied away, the outermost first."""
        for _ in range(40):
            low: dict[Base, int] = {}
            for t in p:
                for b, e in t[1]:
                    if b.kind == "P" and e < 0 and not b.free & set(t[0]):
                        low[b] = min(low.get(b, 0), floor(e))
            b = max((b for b in low if self.solid(b.polys[0])), key=lambda x: (x.height, x), default=None)
            q = self.times(p, atom(b, -low[b])) if b is not None else self.stepped(p)
            if not p or p == q:
                return not p
            p = q
        return False

    def stepped(self, p: Poly) -> Poly:
        """[q + 1 > 0] as [q > 0] + [q = 0] where q is made of indices alone."""
        out = []
        for bound, fs, c in self.renewed(p):
            parts = [number(1)]
            for b, e in fs:
                q = less(b.polys[0], number(1)) if b.kind == "I" else {}
                step = q and ONE not in q and self.integer(q) and all(x.kind == "i" for t in q for x, _ in t[1])
                parts.append(plus(self.positive(q), self.zero(q)) if step else atom(b, e))
            out.append(self.over(bound, scale(self.times(*parts), c)))
        return plus({}, *out)

    def solid(self, p: Poly) -> bool:
        """True if p is 0 nowhere by the conditions of the forward pass, whatever stands before it."""
        state = (self.opened_now, len(self.same), len(self.demands))
        if state not in self.solids:
            forward = [(n, envs) for (how, n, guard, name), envs in self.demands.items()
                       if how in ("nonzero", "positive") and self.kind[name] == "forward" and not guard]  # fmt: skip
            values = ((self.value(n, env, self.opened_now), env) for n, envs in forward for env in envs)
            self.solids = {state: {self.nameless(self.content(q)[1]) for q, env in values if self.told(q, env)}}
        return self.above(p) or self.nameless(p) in self.solids[state]

    def moves(self, p: Poly) -> bool:
        """True if p is 0 on no open set of inputs: one of its terms is a product of inputs, one of them in it alone."""
        for t in p:
            names = {y.name for other in p if other != t for b, _ in other[1] for y in b.inner if y.kind == "T"}
            alone = {b.name for b, _ in t[1] if not any(b.name in {y, *self.reads.get(y, ())} for y in names)}
            whole = all(map(self.filled, t[0])) and all(self.free_input(t, *x) for x in t[1])
            if whole and any(map(self.varied, alone)):
                return True
        return False

    def varied(self, name: str) -> bool:
        """True for inputs with an adjoint that are not one of a few numbers."""
        kind = self.assumed[name] if self.kind.get(name) == "input" else ""
        return name in self.bar and kind in ("real", "positive", "prob")

    def free_input(self, t: Any, b: Base, e: Any) -> bool:
        """True for powers of sizes, and of inputs that can be varied or are not 0."""
        if b.kind != "T" or self.kind[b.name] != "input":
            return b.kind == "N"
        varied = self.varied(b.name) and e == floor(e) and e > 0
        known = varied or self.assumed[b.name] in ("positive", "prob") or (self.is_sign(b) and not t[0])
        return known and self.sits(b) and all(y is b or y.kind in "iN" for y in b.inner)

    def unmoved(self) -> None:
        """Note what the forward pass compares with 0 and is 0 on no open set: where that is steady, it is not 0."""
        self.never_of = len(self.bar)
        for (how, n, guard, _), envs in self.demands.items():
            for env in envs if how == "steady" and not guard else ():
                forms = self.forms(n, env)
                if any(map(self.moves, forms)) and self.told(plus(*forms), env):
                    self.never.update(self.nameless(self.content(p)[1]) for p in forms)

    # conditions

    def walk(self, n: Node, env: Env, guard: tuple[Node, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """All parts of an expression, with the indices and the conditions that stand before each."""
        yield n, env, guard
        if n[0] in BINDERS:
            self.kept += 1  # unlike the new indices of later lines
            for _, e in self.pieces(self.length(n[2]), f"${self.kept}"):
                yield from self.walk(n[3], {**env, n[1]: e}, guard)
        elif n[0] == "where":
            need(truth(n[1]), "where of what is no condition")
            yield from self.walk(n[1], env, guard)
            yield from self.walk(n[2], env, (*guard, n[1]))
            yield from self.walk(n[3], env, (*guard, ("not", n[1])))
        else:
            for p in children(n):
                yield from self.walk(p, env, guard)

    def under(self, guard: tuple[Node, ...], env: Env) -> Poly:
        """1 where the conditions hold, else 0."""
        held = (less(number(1), self.value(g[1], env)) if g[0] == "not" else self.value(g, env) for g in guard)
        return self.times(number(1), *held)

    def demand(self, name: str, node: Node, env: Env) -> None:
        """Note what an equation takes for granted."""
        forward = self.kind[name] == "forward"
        for n, at, guard in self.walk(node, env):
            found: list[tuple[str, Node]] = []
            if n[0] in ("max", "argmax") and forward:
                found = [("once", n)]
                near, under = names_in(n) & self.definition.keys() - self.recurrent, self.under(guard, at)
                for opened in (frozenset[str](), frozenset(near)):
                    most = self.value(("max", *n[1:]), at, opened)
                    if most and self.told(most, at) and self.all_sit(most):
                        others = {i: number(0) for i in free_in(under) - free_in(most)}
                        self.maxima.update([self.nameless(most)] if self.put(under, others) == number(1) else [])
            elif n[0] in COMPARISONS and forward and not self.integer(less(self.value(n[2], at), self.value(n[1], at))):
                found = [("steady", n[2] if n[1] == ZERO else n[1] if n[2] == ZERO else READER.joined("-", n[1], n[2]))]
            elif n[0] == "**" and (n[2] < 0 or n[2].denominator > 1):
                found = list(self.needed("positive" if n[2].denominator > 1 else "nonzero", n[1], at))
            elif n[0] in OF_POSITIVE:
                found = list(self.needed("positive", n[1], at))
            for how, what in found:
                self.demands.setdefault((how, what, guard, name), []).append(at)

    def needed(self, how: str, n: Node, env: Env) -> Iterator[tuple[str, Node]]:
        """The same condition on simpler expressions."""
        if self.sign(n, env) == 2:
            return
        if n[0] == "**":
            loose = n[2] % 2 == 0 or (how == "nonzero" and n[2].denominator == 1)
            yield from self.needed("nonzero" if loose else "positive", n[1], env)
        elif n[0] == "*" and (how == "nonzero" or sum(self.sign(p, env) < 2 for p in n[1:]) == 1):
            for p in n[1:]:
                yield from self.needed(how, p, env)
        else:
            yield how, n

    def sign(self, n: Node, env: Env) -> int:
        """2 if an expression is seen to be > 0 at all points, 1 if >= 0, else 0."""
        word = n[0]
        if word == "entry":
            p = self.value(n, env)
            b, known = single(p), {"positive": 2, "prob": 2, "bern": 1, "some": 1}
            if b is None or b.kind != "T" or self.integer(p):
                return 2 if self.above(p) else int(self.nonnegative(p)) + int(self.nonnegative(less(p, number(1))))
            return min(known.get(self.assumed.get(b.name, ""), 0), 2 if self.sits(b) else 1)
        if word in ("sum", "max"):
            signs = [self.sign(n[3], {**env, n[1]: e}) for _, e in self.pieces(self.length(n[2]))]
            return min(*signs, 2 if self.filled(self.new_index(self.length(n[2]))) else 1, 2)
        if word in ("number", "exp"):
            return 2 if word == "exp" or n[1] > 0 else int(n[1] == 0)
        if word == "**":
            return max(2 if self.sign(n[1], env) == 2 else 0, int(n[2].denominator > 1 or n[2] % 2 == 0))
        signs = list[int]()
        for p in n[1 + (word == "where") :] if word in ("+", "*", "where") else ():
            signs.append(max(self.sign(p, env), int(word == "*" and n.count(p) % 2 == 0)))
            if not signs[-1]:
                return 0
        return max(signs) if word == "+" else min(signs, default=0)

    def granted(self, how: str, n: Node, env: Env, under: Poly, depth: int = 8) -> bool:
        """True if the conditions of the forward pass say it, of n or of what n is made of."""
        p = self.value(n, env)
        for q in self.forms(n, env):
            fails = self.failing(how, q)
            if any(not f or self.nameless(f) in self.known[how] for f in (fails, self.times(under, fails))):
                return True
        b = single(p)
        if not depth or b is None or b.kind != "T" or b.name not in self.definition or not self.sits(b):
            return False
        node, inner = self.definition[b.name][1], dict(zip(self.definition[b.name][0], b.polys))
        return all(self.granted(h, m, inner, under, depth - 1) for h, m in self.needed(how, node, inner))

    def forms(self, n: Node, env: Env) -> tuple[Poly, Poly]:
        """The value of an expression, and the same with the definitions put in of the tensors in it, and of maxima."""
        p, able = self.value(n, env), self.definition.keys() - self.recurrent
        near = self.opened_now | (able & {b.name for t in p for b, _ in t[1]})
        q = self.value(n, env, near)
        for _ in range(MOST_ALIKE):
            inner = {x.name for t in q for b, _ in t[1] if b.kind == "Z" for x in b.inner}
            more = {x for x in inner & able - near if self.definition[x][1][0] == "max"}
            if not more:
                break
            near |= more
            q = self.value(n, env, near)
        return p, q

    def told(self, p: Poly, env: Env) -> bool:
        """True if what holds at all these indices holds at those in p: the ranges of the others are never empty."""
        return all(map(self.filled, free_in(plus({}, *env.values())) - free_in(p)))

    def failing(self, how: str, p: Poly) -> Poly:
        """1 where the condition does not hold, else 0."""
        return self.zero(p) if how == "nonzero" else less(number(1), self.positive(p))

    def conditions(self) -> list[Any]:
        """What the forward pass takes for granted; refused if the backward pass takes more for granted."""
        found: list[Any] = []
        self.known: dict[str, set[Any]] = {"nonzero": set(), "positive": set()}
        unsaid = (n for n, k in self.kind.items() if k == "backward" and n not in self.same)
        self.opened_now = frozenset(unsaid) - self.recurrent
        for (how, n, guard, name), envs in self.demands.items():
            for env in envs if how in self.known else ():
                under, forms = self.under(guard, env), self.forms(n, env)
                if self.kind[name] != "forward":
                    need(self.granted(how, n, env, under), f"{name} takes more for granted than the forward pass does")
                elif all(self.times(under, self.failing(how, q)) for q in forms):
                    always = any(self.times(under, self.failing(how, q)) == number(1) for q in forms)
                    of_indices = free_in(forms[0]) and all(b.kind in "iN" for t in forms[0] for b, _ in t[1])
                    zero = always or of_indices or not (guard or self.all_sit(forms[0]))
                    need(not zero, f"what {name} divides by is 0 somewhere")
                    for h, q in product({how, "nonzero"}, forms):
                        fails = self.times(under, self.failing(h, q))
                        self.known[h].update([self.nameless(fails)] if self.told(fails, env) else [])
                    found.append((how, n, guard, name))
            found += [(how, n, guard, name)] if how not in self.known else []
        return list(dict.fromkeys(found))

    # sizes and inputs

    def new(self, name: str, kind: str, sizes: list[Poly] | None = None) -> None:
        """A name that nothing has yet."""
        need(name not in self.kind and name not in self.index_names and name != "pi", f"{name} is defined twice")
        self.kind[READER.name(name)] = kind
        need(kind in READS or not self.definition, f"{kind} after the first equation")
        if sizes is not None:
            self.axes[name] = sizes

    def new_indices(self, *names: str) -> None:
        """Names of indices, which nothing else has, before or after."""
        need(not self.kind.keys() & {*names}, "an index hides another name")
        self.index_names.update(names)

    def proof_line(self, rest: str) -> None:
        """proof 2."""
        need(rest == VERSION, f"only version {VERSION} is known")

    def title_line(self, rest: str) -> None:
        """title TEXT."""
        self.title = rest

    def size_line(self, rest: str) -> None:
        """size N M: any integers >= 1."""
        for name in rest.split():
            self.new(name, "size")

    def function_line(self, rest: str) -> None:
        """function f 1: any differentiable function of one argument, or of more; its derivatives have names too."""
        name, count = rest.split()
        once = [f"_prime{k if count != '1' else ''}" for k in range(1, int(count) + 1)]
        for more in ("", *once, *(a + b for a in once for b in once)):
            self.new(name + more, f"function of {int(count)}")

    def fact_line(self, rest: str) -> None:
        """fact A <= B, or A == B, where A and B are made of sizes."""
        word, a, b = READER.read(rest)
        need(word in ("<=", "=="), "fact A <= B, or A == B")
        gap = READER.joined("-", b, a)
        self.laws += [gap] if word == "<=" else [gap, READER.minus(gap)]
        sizes_alone = all(self.kind.get(s) == "size" for s in names_in(gap)) and not self.definition
        need(sizes_alone and self.integer(self.value(gap, {})), "a fact is about sizes, before the first equation")
        self.facts = [self.value(law, {}) for law in self.laws]

    def split_line(self, rest: str) -> None:
        """split SIZE by PART, or split SIZE all: how indices of this size are written."""
        whole, by, part = rest.partition(" by ")
        size, at = self.length(READER.read(whole if by else whole[:-4])), number(1)
        need(by or whole.endswith(" all"), "split SIZE by PART, or split SIZE all")
        if by:
            at = self.length(READER.read(part))
            need(self.nonnegative(less(at, number(1))), "parts of length 0")
            need(at not in (number(1), size), "parts of length 1, or one part")
            need(self.integer(self.times(size, self.power(at, -1))), "a size that is no multiple")
        need(not self.definition, "split after the first equation")
        self.splits[frozenset(size.items())] = ("by" if by else "all", at)

    def input_line(self, rest: str) -> None:
        """input x[N,D] real, or another kind."""
        left, kind, more = input_of(rest)
        word, name, *sizes = READER.read(left)
        need(word == "entry" and kind in KINDS and bool(more) == (kind == "labels"), f"unknown kind {kind}{more}")
        if kind == "labels":
            self.ranges[name] = self.length(READER.read(more))
            need(self.nonnegative(less(self.ranges[name], number(1))), "labels of an empty range")
        self.new(name, "input", [self.length(n) for n in sizes])
        self.assumed[name] = kind

    # equations

    def equations(self, kind: str, texts: list[str]) -> None:
        """Equations, or lemmas, that are read together."""
        heads = [t.partition(" of ") if kind == "adjoint" else ("", "", t) for t in texts]
        lines = [READER.line(t) for _, _, t in heads]
        for line in lines:
            need(line.after.keys() <= CLAUSES[kind], f"{kind} with another clause")
            self.new_indices(*line.names, *indices_in(line.value))
        if kind == "lemma":
            return self.lemmas(lines)
        need(bool(self.cost) == (kind != "forward"), f"{kind} {'after' if self.cost else 'before'} the cost")
        if kind != "adjoint":
            return self.block(kind, lines)
        users = [self.users(line) for line in lines]
        for (bar, _, _), line in zip(heads, lines):
            self.bar[line.name] = bar
        self.block(kind, [line._replace(name=bar) for (bar, _, _), line in zip(heads, lines)])
        for line, own in zip(lines, users):
            self.chain_rule(line, own)

    def block(self, kind: str, lines: list[Line]) -> None:
        """Equations that are read together: one, or a recurrence, in which no entry leads back to itself."""
        own = {line.name: k for k, line in enumerate(lines)}
        need(all(len(line.names) == len(line.sizes) for line in lines), "an index without its range")
        self.recurrent |= set(own) if len(lines) > 1 or "by" in lines[0].after else set()
        for line in lines:
            self.new(line.name, kind, [self.length(n) for n in line.sizes])
        for name, names, _, node, _ in lines:
            mentioned = self.mentions[name] = names_in(node) - {*names, "pi"}
            for m in mentioned:
                need(self.kind.get(m) in {*READS[kind], "input", "size"}, f"{name} speaks of {m}")
            self.reads[name] = set().union(*({m} | self.reads.get(m, set()) for m in mentioned & self.axes.keys()))
            self.definition[name] = (names, node)
        everything = set().union(*(self.reads[name] for name in own))
        for line in lines:
            name, names, _, node, _ = line
            need(name in self.recurrent or name not in everything, f"{name} speaks of itself")
            self.reads[name] = everything
            self.assumed[name] = self.known_sign(line)
            for _, env in self.ways(names, self.axes[name]):
                self.demand(name, node, env)
                if name in self.recurrent:
                    self.falls(own, lines, name, env)

    def known_sign(self, line: Line) -> str:
        """Whether an equation gives what is positive, or at least 0; refused if it cannot be read."""
        envs = [env for _, env in self.ways(line.names, self.axes[line.name])]
        for env in envs:
            self.value(line.value, env)
        signs = [self.sign(line.value, env) for env in envs if line.name not in self.recurrent]
        return ("", "some", "positive")[min(signs, default=0)]

    def falls(self, own: dict[str, int], lines: list[Line], name: str, env: Env) -> None:
        """The ranks of what an entry reads: integers below its own, or its own while the order of the lines falls."""
        ranks = [READER.read(line.after.get("by", "")) for line in lines]
        for line, rank in zip(lines, ranks):
            made_of_indices = all(n in line.names or self.kind.get(n) == "size" for n in names_in(rank))
            need(made_of_indices, "a rank is made of indices")
        for n, at, guard in self.walk(lines[own[name]].value, env):
            if n[0] == "entry" and n[1] in own:
                other, e = own[n[1]], [self.value(p, at) for p in n[2:]]
                there = self.value(ranks[other], dict(zip(lines[other].names, e)))
                gap = plus(there, number(other >= own[name]), scale(self.value(ranks[own[name]], env), -1))
                late = self.times(self.under(guard, at), self.positive(gap), *map(self.within, e, self.axes[n[1]]))
                need(self.integer(gap) and not late, f"{name} may lead back to itself by {n[1]}")

    def opening(self, line: Line, word: str) -> frozenset[str]:
        """The definitions that are named after a word."""
        names = line.after.get(word, "").split()
        need(all(n in self.definition for n in names), f"cannot open {' '.join(names)}")
        return frozenset(names)

    def users(self, line: Line) -> list[str]:
        """The equations that lead to the cost and in which a tensor stands, which must be those that are named."""
        x = line.name
        active = [u for u in self.definition if u == self.cost or u in self.reads.get(self.cost, ())]
        own = [u for u in active if x in self.mentions[u]]
        differentiable = self.kind.get(x) in ("input", "forward") and x != self.cost and x not in self.ranges
        need(differentiable and x not in self.bar, f"{x} has no adjoint here")
        need(len(line.names) == len(line.sizes) and [*map(self.length, line.sizes)] == self.axes[x], f"the axes of {x}")
        need(line.after.get("uses", "").split() == own, f"{x} stands in {' '.join(own) or 'no equation'}")
        return own

    def chain_rule(self, line: Line, users: list[str]) -> None:
        """An adjoint is what all equations in which the tensor stands send back."""
        x, opened = line.name, self.opening(line, "open")
        self.opened_now = opened
        for _, env in self.ways(line.names, self.axes[x]):
            sent = [self.sent(u, x, list(env.values()), opened) for u in users]
            gap = less(plus({}, *sent), self.value(line.value, env, opened))
            need(self.vanishes(gap), f"{self.bar[x]} is not what the chain rule gives for {x}")

    def sent(self, u: str, x: str, at: list[Poly], opened: frozenset[str]) -> Poly:
        """What an equation sends back to an entry of x: its adjoint times its derivative."""
        need(u == self.cost or u in self.bar, f"the adjoint of {u} comes later")
        (names, body), out = self.definition[u], list[Poly]()
        local, places = slope(body, x), {f"<{k}>": e for k, e in enumerate(at)}
        for new, env in self.ways(names, self.axes[u], new=True):
            bar = number(1) if u == self.cost else self.read(self.bar[u], list(env.values()), {}, opened)
            out.append(self.over(new, self.times(bar, self.value(local, {**env, **places}))))
        return plus({}, *out)

    def lemmas(self, lines: list[Line]) -> None:
        """What a tensor is, by tensors before it.

        Lemmas that are read together hold of an entry if all of them hold of the entries that it reads: induction.
        """
        if self.never_of < len(self.bar):
            self.unmoved()
        found, order = {line.name: (line.names, line.value) for line in lines}, list(self.kind)
        first = min(order.index(name) for name in found)
        need(found.keys() <= self.definition.keys() - self.same.keys(), "a lemma is about a tensor, once")
        need(len(lines) == 1 or found.keys() <= self.recurrent, "lemmas together are about a recurrence")
        for name, names, sizes, node, _ in lines:
            need(len(names) == len(self.axes[name]) and not sizes, f"lemma {name}: an index for each axis")
            for m in names_in(node) - {*names, "pi"}:
                before = m in order[:first] and not self.reads.get(m, set()) & found.keys()
                need(before, f"{m} does not stand before {name}")
        self.same.update({name: what for name, what in found.items() if name in self.recurrent})
        for line in lines:
            self.level(line)
        self.same.update(found)

    def level(self, line: Line) -> None:
        """A tensor is what a lemma says, at all indices."""
        opened, (names, body) = self.opening(line, "open"), self.definition[line.name]
        self.opened_now = opened | self.opening(line, "ahead")
        for _, env in self.ways(line.names, self.axes[line.name]):
            own = self.value(body, dict(zip(names, env.values())), opened)
            self.sides = own, self.value(line.value, env, self.opened_now)
            need(self.vanishes(less(*self.sides)), f"the lemma about {line.name} does not follow")

    # what is claimed

    def cost_line(self, name: str) -> None:
        """cost J: the forward scalar that is differentiated."""
        need(not self.cost and self.kind.get(name) == "forward" and not self.axes[name], "the cost is a forward scalar")
        self.cost = name

    def claim_line(self, rest: str) -> None:
        """claim W dW: what the backward pass returns as dW, or the adjoint of W, is the derivative of the cost by W."""
        x, d = rest.split()
        need(self.kind.get(x) == "input" and x in self.bar and x not in self.claims, f"no claim about {x}")
        result = self.kind.get(d) == "backward" or d == self.bar[x]
        need(result and self.axes[d] == self.axes[x], f"{d} is no result of the backward pass like {x}")
        at = [atom(self.new_index(s)) for s in self.axes[x]]
        same = self.read(d, at, {}, frozenset()) == self.read(self.bar[x], at, {}, frozenset())
        need(same, f"{d} was not proved to be the adjoint of {x}")
        self.claims[x] = d

    def condition_line(self, text: str) -> None:
        """condition WORD VALUE in NAME where CONDITION and not CONDITION."""
        left, *more = re.split(r" (?:where|and) ", text)
        _, how, value, name, _ = re.split(r"^(nonzero|positive|steady|once) (.*) in (\w+)$", left)
        guard = tuple(("not", READER.read(g[4:])) if g.startswith("not ") else READER.read(g) for g in more)
        row = (how, READER.read(value), guard, name)
        need(row not in self.declared, "a condition twice")
        self.declared[row] = text

    def end_line(self, rest: str) -> None:
        """end 57: something is claimed, some sizes fulfil the facts, the conditions are those declared."""
        need(rest == str(self.lines), f"the file has {self.lines} lines")
        need(self.claims, "nothing is claimed")
        names = sorted(set().union(*map(names_in, self.laws)))
        need(len(names) < 7, "facts about too many sizes")
        choices = product(map(number, range(1, 13 if len(names) < 4 else 5)), repeat=len(names))
        small = ({(constant(self.value(n, dict(zip(names, c)))) or 0) >= 0 for n in self.laws} for c in choices)
        need(any(False not in truths for truths in small), "the facts hold for no small sizes")
        found = self.conditions()
        missing = [f"{c[0]} in {c[-1]}" for c in found if c not in self.declared]
        need(not missing and len(found) == len(self.declared), f"the conditions are others: {missing or 'too many'}")
        self.ended = True


def truth(n: Node) -> bool:
    """True for comparisons and products of comparisons."""
    return n[0] in COMPARISONS or (n[0] == "*" and all(map(truth, n[1:])))


def check(text: str) -> Book:
    """The book of an accepted proof.

    Raises:
        Refused: with the line and the reason.
    """
    book, n = Book(), 0
    try:
        need(len(text) <= MOST_CHARACTERS and text.count("\n") < MOST_LINES, "too many lines")
        need(text.isascii() and not re.search(r"[^ -~\n]", text), "other characters than printable ASCII")
        need(text.endswith("\n"), "the file is cut off: the last line does not end")
        for line in text[:-1].split("\n"):
            n += 1
            book.statement(line)
        need(book.ended, "the file is cut off: there is no end")
    except Refused as e:
        raise Refused(f"line {n}: {e}") from None
    except (RecursionError, ArithmeticError, LookupError, TypeError, ValueError, AssertionError, AttributeError) as e:
        raise Refused(f"line {n}: malformed ({type(e).__name__}: {e})") from None
    return book


def theorem(text: str, book: Book) -> str:
    """What an accepted file says, in words."""
    said: dict[str, list[str]] = {w: [] for w in ("size", "fact", "function", "input", "forward")}
    for word, _, rest in (line.partition(" ") for line in text.splitlines()):
        said.get(word, []).append(rest)
    cost = next(x for x in said["forward"] if re.match(rf"{book.cost}\W", x))
    held = ", what stands in stop(...) held fixed," if any("stop(" in x for x in said["forward"]) else ""
    sizes = f"For all sizes {' '.join(said['size'])} >= 1" if said["size"] else "For the sizes given"
    return "\n".join(
        [f"THEOREM {book.title}", ", ".join([sizes, *said["fact"]]), *(f"  and all {x}" for x in said["input"]),
         *(f"  and all differentiable functions {x}" for x in said["function"]),
         f"the derivatives of {cost}{held} are", *(f"  {d} by {x}" for x, d in book.claims.items()),
         "wherever, at all indices," if book.declared else "everywhere.", *(f"  {c}" for c in book.declared.values())]
    )  # fmt: skip


def main(arguments: list[str]) -> int:
    """The command: 0 if the proof is accepted, else 1."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    try:
        with open(arguments[0], encoding="utf-8", newline="") as file:
            text = file.read()
        gc.disable()  # which takes a third of the time and finds nothing
        book = check(text)
    except (Refused, OSError, UnicodeError) as e:
        print(f"REFUSED{' at' if isinstance(e, Refused) else ':'} {e}")
        return 1
    print(theorem(text, book))
    print(f"ACCEPTED: {len(book.bar)} adjoints, {len(book.same)} lemmas, {len(book.claims)} claims")
    return 0


if __name__ == "__main__":
    sys.setrecursionlimit(5000)
    sys.exit(main(sys.argv[1:]))
