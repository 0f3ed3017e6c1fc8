"""Random expressions over every construct, and two independent interpreters: of expressions and of normal forms.

Neither uses the package's evaluator, so that a fault there cannot hide one in the normal form. `Undefined` is raised where
a value does not exist or lies too near a kink to be compared.
"""

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import sympy as sp

from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Family,
    Index,
    Kronecker,
    MatrixEntry,
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
    add,
    apply,
    children,
    close_sum,
    contraction,
    divide,
    extremum,
    free_indices,
    fresh,
    kronecker,
    multiply,
    negate,
    number,
    open_binder,
    power,
    rebuild,
    substitute,
    subtract,
    where,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, LOG, STEP, arbitrary, derivative
from symbackprop.expression.sizes import Facts

N, M, H, E = (Symbol(s, "size") for s in "NMHE")
LAM, EPS = Symbol("lam"), Symbol("eps", "positive")
HE, BEFORE_LAST, N_PLUS_H = multiply(H, E), subtract(N, ONE), add(N, H)
RANGES = [N, M, H, E, HE, BEFORE_LAST, N_PLUS_H, number(1), number(2)]
f = arbitrary("f")

x, u, A, B = Tensor("x", (N,)), Tensor("u", (N,)), Tensor("A", (N, N)), Tensor("B", (N, M))
w, z, q, v, G = (
    Tensor("w", (M,)),
    Tensor("z", (HE,)),
    Tensor("q", (H, E)),
    Tensor("v", (N_PLUS_H,)),
    Tensor("G", (N, N, N)),
)
scalar, label = Tensor("s", ()), Tensor("y", (N,), "integer")
positive, onehot, bernoulli = Tensor("p", (N, M)), Tensor("oh", (N, M)), Tensor("bern", (N,))
signs, simplex, probability = Tensor("pm", (N,)), Tensor("sx", (N, M)), Tensor("pr", (N,))
REALS = [x, u, A, B, w, z, q, v, G, scalar, positive, onehot, bernoulli, signs, simplex, probability]
ASSUMPTIONS = {
    positive: "pos",
    onehot: "onehot",
    bernoulli: "bern",
    signs: "pm1",
    simplex: "simplex",
    probability: "prob",
    label: "labels",
}
FACTS = Facts((), {label: M})
FREE = (Index("i", N), Index("j", N), Index("m", M), Index("h", H))
SIZES = [(1, 1, 1, 1), (2, 2, 2, 2), (2, 3, 1, 2), (1, 2, 2, 1), (3, 2, 2, 1)]


class Undefined(Exception):
    """No value here."""


class Generator:
    """Expressions from one seed."""

    def __init__(self, seed: int) -> None:
        self.r = random.Random(seed)

    def place(self, indices, size):
        """An index expression that fits an axis, or None."""
        r, at = self.r, lambda s: [i for i in indices if i.size is s]
        plain, made = at(size), []
        if size is HE and at(H) and at(E):
            made.append(add(multiply(r.choice(at(H)), E), r.choice(at(E))))
        if size is H:
            made += [Quotient(i, E) for i in at(HE)]
        if size is E:
            made += [Remainder(i, E) for i in at(HE)]
        if size is N_PLUS_H:
            made += [add(i, H) for i in at(N)] + at(H) + at(N)
            made += [add(r.choice(at(N)), r.choice(at(H)))] if at(N) and at(H) else []
        if size is N:
            made += at(BEFORE_LAST) + [add(i, ONE) for i in at(BEFORE_LAST)]
        if size is M:
            made += [Entry(label, (i,)) for i in at(N)][:1]
        if plain and (not made or r.random() < 0.75):
            return r.choice(plain)
        return r.choice(made) if made else None

    def entry(self, indices):
        for _ in range(8):
            tensor = self.r.choice([*REALS, x, A, B])
            places = tuple(self.place(indices, s) for s in tensor.shape)
            if None not in places:
                return Entry(tensor, places)
        return Entry(scalar)

    def integer(self, indices):
        r = self.r
        choices = [*indices, *(Entry(label, (i,)) for i in indices if i.size is N)]
        value = r.choice(choices) if choices and r.random() < 0.85 else r.choice([N, M, ZERO, ONE])
        return add(value, r.choice([ONE, number(-1), H, N, negate(M)])) if r.random() < 0.3 else value

    def above_zero(self, indices, depth):
        r = self.r
        match r.randrange(5):
            case 0:
                return apply(EXP, self.make(indices, depth - 1))
            case 1:
                return add(ONE, power(self.make(indices, depth - 1), 2))
            case 2:
                rows, columns = [i for i in indices if i.size is N], [i for i in indices if i.size is M]
                return Entry(positive, (r.choice(rows), r.choice(columns))) if rows and columns else EPS
            case 3:
                return contraction("t", r.choice([N, M, H]), lambda t: apply(EXP, self.make((*indices, t), depth - 2)))
        return add(EPS, power(self.make(indices, depth - 1), 2))

    def condition(self, indices, depth):
        r = self.r
        kind = r.randrange(4)
        if kind < 2:
            return Compare(r.choice(["<", "<=", "=="]), self.integer(indices), self.integer(indices))
        if kind == 2:
            return Compare(r.choice(["<", "<="]), self.make(indices, depth - 1), self.make(indices, depth - 1))
        return Kronecker(self.integer(indices), self.integer(indices))

    def leaf(self, indices):
        r = self.r
        k = r.random()
        if k < 0.75:
            return self.entry(indices)
        if k < 0.85:
            return number(r.choice([1, 2, -1, Fraction(1, 2), 3]))
        return r.choice([N, M, LAM, EPS]) if k < 0.93 else kronecker(self.integer(indices), self.integer(indices))

    def make(self, indices=FREE, depth=3) -> Expr:
        if depth <= 0:
            return self.leaf(indices)
        r, again = self.r, lambda more=(), less=1: self.make((*indices, *more), depth - less)
        k = r.random()
        if k < 0.2:
            return add(again(), again())
        if k < 0.45:
            return multiply(again(), again())
        if k < 0.67:
            return contraction(r.choice("abc"), r.choice(RANGES), lambda t: again((t,)))
        if k < 0.75:
            below = self.above_zero(indices, depth - 1)
            return divide(again(), below) if k < 0.72 else power(below, Fraction(r.choice([1, -1, 3, -3]), 2))
        if k < 0.80:
            names = ("relu", "abs", "sigmoid", "tanh", "softplus", "sin", "cos")
            slopes = [derivative(f), derivative(FUNCTIONS["sigmoid"])]
            return apply(r.choice([EXP, STEP, f, *slopes, *(FUNCTIONS[n] for n in names)]), again())
        if k < 0.82:
            return apply(LOG, self.above_zero(indices, depth - 1))
        if k < 0.86:
            return where(self.condition(indices, depth - 1), again(), again())
        if k < 0.88:
            return self.condition(indices, depth - 1)
        if k < 0.90:
            return extremum(r.choice(["max", "min"]), "e", r.choice([N, M]), lambda t: again((t,)))
        return power(again(), r.choice([2, 3])) if k < 0.93 else self.with_delta(indices, depth)

    def with_delta(self, indices, depth):
        size = self.r.choice([N, M, H, HE, N_PLUS_H])

        def body(t):
            other = self.place(indices, size) or self.integer(indices)
            return multiply(kronecker(t, other), self.make((*indices, t), depth - 1))

        return contraction("d", size, body)


# Values.


def value(expr: Expr, indices, sizes, data):
    """The value of an expression, by the definitions."""
    of = lambda e: value(e, indices, sizes, data)  # noqa: E731
    at = lambda e, i, k: value(e, {**indices, i: k}, sizes, data)  # noqa: E731
    match expr:
        case Number(c):
            return float(c) if c.denominator != 1 else int(c)
        case Symbol():
            return sizes[expr]
        case Index():
            return indices[expr]
        case Entry(tensor, places):
            return _read(data[tensor], [of(p) for p in places])
        case Add(terms):
            return sum(of(t) for t in terms)
        case Multiply(factors):
            return math.prod(of(t) for t in factors)
        case Power(base, exponent):
            return _root(of(base), of(exponent))
        case Sum(i, body):
            return sum(at(body, i, k) for k in range(int(of(i.size))))
        case Extremum(kind, i, body):
            return _extreme(kind, [at(body, i, k) for k in range(int(of(i.size)))])
        case Position(kind, i, body):
            return _stands(kind, [at(body, i, k) for k in range(int(of(i.size)))])
        case Kronecker(a, b):
            return int(of(a) == of(b))
        case Compare(relation, a, b):
            a, b = of(a), of(b)
            if not (isinstance(a, int) and isinstance(b, int)) and abs(a - b) < 1e-9 * (1 + abs(a)):
                raise Undefined
            return int({"<": a < b, "<=": a <= b, "==": a == b}[relation])
        case Where(condition, a, b):
            return of(a) if of(condition) else of(b)
        case Quotient(a, b):
            return of(a) // of(b)
        case Remainder(a, b):
            return of(a) % of(b)
        case Apply(function, arguments):
            return _call(function, of(arguments[0]))
        case MatrixEntry(kind, Family(row, Family(column, body)), places):
            size = range(int(of(row.size)))
            key = (kind, expr.matrix, *(indices[i] for i in free_indices(expr.matrix)))
            if key not in data:
                matrix = [[value(body, {**indices, row: r, column: c}, sizes, data) for c in size] for r in size]
                data[key] = _of_matrix(kind, matrix)
            return _at_places(data[key], [of(p) for p in places])
    raise AssertionError(expr)


def poly_value(poly, indices, sizes, data):
    """The value of a normal form."""
    total = 0
    for mono, coefficient in poly.terms:
        ranges = [range(int(value(b.size, indices, sizes, data))) for b in mono.bound]
        for point in itertools.product(*ranges):
            here = {**indices, **dict(zip(mono.bound, point, strict=True))}
            total += _mono_value(mono, coefficient, here, sizes, data)
    return total


def _mono_value(mono, coefficient, indices, sizes, data):
    product = coefficient if isinstance(coefficient, int) else float(coefficient)
    for atom, exponent in sorted(mono.factors, key=lambda a: a[0].kind not in ("delta", "nonneg")):
        factor = _atom_value(atom, indices, sizes, data)
        if factor == 0 and atom.kind in ("delta", "nonneg", "positive", "zero"):
            return 0
        product = product * _root(factor, exponent if isinstance(exponent, int) else float(exponent))
    return product


def _atom_value(atom, indices, sizes, data):
    args = [poly_value(a, indices, sizes, data) for a in atom.args]

    def inside(template, more=()):
        names = {i: args[int(i.name[1:])] for i in template.free if i.name[0] == "p"}
        return poly_value(template, {**names, **dict(more)}, sizes, data)

    match atom.kind:
        case "symbol":
            return sizes[atom.data]
        case "index":
            return indices[atom.data]
        case "entry":
            return _read(data[atom.data], args)
        case "delta":
            return int(args[0] == 0)
        case "nonneg":
            return int(args[0] >= 0)
        case "quotient":
            return args[0] // args[1]
        case "apply":
            return _call(atom.data[0], inside(atom.data[1][0]))
        case "base":
            return inside(atom.data[0])
        case "positive" | "zero":
            number_ = inside(atom.data[0])
            if isinstance(number_, float) and abs(number_) < 1e-9:
                raise Undefined
            return int(number_ > 0 if atom.kind == "positive" else number_ == 0)
        case "extremum" | "position":
            kind, size, template = atom.data
            bound = [i for i in template.free if i.name == "e"]
            return (_extreme if atom.kind == "extremum" else _stands)(
                kind, [inside(template, [(i, k) for i in bound]) for k in range(int(value(size, indices, sizes, data)))]
            )
        case "matrix":
            kind, length, template = atom.data
            size = range(int(value(length, indices, sizes, data)))
            own = {name: [i for i in template.free if i.name == name] for name in "eg"}
            at = lambda r, c: [(i, k) for name, k in (("e", r), ("g", c)) for i in own[name]]  # noqa: E731
            places = args[-2:] if kind in ("inverse", "cholesky") else []
            key = (atom.data, *args[: len(args) - len(places)])
            if key not in data:
                data[key] = _of_matrix(kind, [[inside(template, at(r, c)) for c in size] for r in size])
            return _at_places(data[key], places)
    raise AssertionError(atom.kind)


def _of_matrix(kind, entries):
    """What NumPy makes of a matrix; None where that is no number, or rounding has the better of it."""
    matrix = np.array(entries, float)
    if not matrix.size or np.linalg.cond(matrix) > 1e5:
        return None
    made = {"determinant": np.linalg.det, "logdet": lambda a: np.linalg.slogdet(a)[1], "inverse": np.linalg.inv,
            "cholesky": np.linalg.cholesky}  # fmt: skip
    try:
        return np.asarray(made[kind](matrix))  # a Cholesky factor of the lower half alone
    except np.linalg.LinAlgError:
        return None


def _at_places(made, places):
    if made is None:
        raise Undefined
    return _read(made, places)


def _read(array, places):
    if any(not 0 <= p < n or p != int(p) for p, n in zip(places, array.shape, strict=True)):
        raise Undefined
    return array[tuple(int(p) for p in places)].item()


def _root(base, exponent):
    if (base == 0 and exponent < 0) or (base < 0 and exponent != int(exponent)):
        raise Undefined
    return base**exponent


def _extreme(kind, values):
    if not values:
        raise Undefined
    return max(values) if kind == "max" else min(values)


def _stands(kind, values):
    """The first place of the largest or smallest value; nowhere where two are as large."""
    best = _extreme(kind, values)
    if sum(abs(v - best) < 1e-9 * (1 + abs(best)) for v in values) > 1:
        raise Undefined
    return values.index(best)


_COMPILED = {}


def _call(function, t):
    if function.name == "f":
        return math.sin(1.3 * t) + 0.7 * t + 0.2
    if function.name == "f_prime":
        return 1.3 * math.cos(1.3 * t) + 0.7
    if function.name == "f_prime_prime":
        return -1.69 * math.sin(1.3 * t)
    if function.name in ("step", "relu", "abs") and abs(t) < 1e-9 and not isinstance(t, int):
        raise Undefined
    if abs(t) > 300 or (function is LOG and t <= 0):
        raise Undefined
    simple = {"step": lambda t: int(t > 0), "relu": lambda t: max(t, 0), "abs": abs, "exp": math.exp, "log": math.log}
    if function.name in simple:
        return simple[function.name](t)
    if function.name in ("sin", "cos"):
        return getattr(math, function.name)(t)
    if function not in _COMPILED:
        _COMPILED[function] = sp.lambdify(
            sp.Symbol("z", real=True), function.definition, [{"step": lambda t: int(t > 0)}, "math"]
        )
    return _COMPILED[function](t)


def point(seed: int, sizes):
    """Random sizes' values, data that satisfy the assumptions, and values of the free indices."""
    rng = np.random.default_rng(seed)
    numbers = {**dict(zip([N, M, H, E], sizes, strict=True)), LAM: rng.normal(), EPS: abs(rng.normal()) + 0.1}
    data = {}
    for tensor in [*REALS, label]:
        shape = tuple(value(s, {}, numbers, {}) for s in tensor.shape)
        data[tensor] = np.asarray(_array(rng, tensor, shape, numbers[M]))
    return {i: int(rng.integers(0, numbers[i.size])) for i in FREE}, numbers, data


def _array(rng, tensor, shape, classes):
    match ASSUMPTIONS.get(tensor):
        case "labels":
            return rng.integers(0, classes, size=shape)
        case "pos":
            return np.abs(rng.normal(size=shape)) + 0.1
        case "onehot":
            return np.eye(shape[-1])[rng.integers(0, shape[-1], size=shape[:-1])]
        case "bern":
            return rng.integers(0, 2, size=shape).astype(float)
        case "pm1":
            return rng.choice([-1.0, 1.0], size=shape)
        case "simplex":
            rows = rng.uniform(0.1, 1, size=shape)
            return rows / rows.sum(-1, keepdims=True)
        case "prob":
            return rng.uniform(0.05, 0.95, size=shape)
    return rng.normal(size=shape)


def values(left, right, seed: int):
    """Pairs of values of two quantities (functions of a point) at all sizes at which both are defined."""
    pairs = []
    for k, sizes in enumerate(SIZES):
        where_ = point(seed + k, sizes)
        try:
            pair = left(*where_), right(*where_)
        except (Undefined, OverflowError):
            continue
        if all(math.isfinite(p) and abs(p) < 1e60 for p in pair):
            pairs.append(pair)
    return pairs


def close(a, b) -> bool:
    """Equal up to rounding."""
    return abs(a - b) <= 1e-6 * (1 + abs(a) + abs(b))


# Copies.


def shuffled(expr: Expr, r: random.Random) -> Expr:
    """The same expression with other binders and another order of terms and factors."""
    parts = [shuffled(c, r) for c in children(expr)]
    match expr:
        case Sum(i, _) | Extremum(_, i, _):
            index = fresh("r" + i.name, i.size)
            body = substitute(parts[0], {i: index})
            return close_sum(index, body) if isinstance(expr, Sum) else Extremum(expr.kind, index, body)
        case Add() | Multiply():
            r.shuffle(parts)
            return type(expr)(tuple(parts))
    return rebuild(expr, tuple(parts)) if parts else expr


def rewritten(expr: Expr, r: random.Random) -> Expr:
    """An expression of the same meaning: distributed, swapped, split, written out, with deltas put in."""
    parts = tuple(rewritten(c, r) for c in children(expr))
    match expr:
        case Sum(i, _):
            index = fresh(i.name, i.size)
            expr = close_sum(index, substitute(parts[0], {i: index}))
        case Extremum(kind, i, _):
            index = fresh(i.name, i.size)
            expr = Extremum(kind, index, substitute(parts[0], {i: index}))
        case _:
            expr = rebuild(expr, parts) if parts else expr
    return _other_form(expr, r) if r.random() < 0.3 else expr


def _other_form(expr: Expr, r: random.Random) -> Expr:
    match expr:
        case Multiply(factors):
            return _distributed(factors) or expr
        case Sum(i, body):
            return _other_sum(i, body) or expr
        case Entry(tensor, places) if tensor in (x, A, B, w, G, positive):
            for k, p in enumerate(places):
                if isinstance(p, Index) and p.size is tensor.shape[k]:
                    at = lambda d, k=k: Entry(tensor, (*places[:k], d, *places[k + 1 :]))  # noqa: E731
                    return contraction("d", p.size, lambda d, p=p, at=at: multiply(kronecker(d, p), at(d)))
        case Apply(function, (a,)):
            return _other_function(function, a) or expr
        case Where(Compare() as c, a, b):
            return add(multiply(c, a), multiply(subtract(ONE, c), b))
        case Kronecker(a, b):
            return Kronecker(b, a)
        case Power(base, Number(c)) if c.denominator == 1 and c > 0:
            return multiply(*([base] * int(c)))
    return expr


def _distributed(factors):
    for k, factor in enumerate(factors):
        others = (*factors[:k], *factors[k + 1 :])
        if isinstance(factor, Add):
            return add(*(multiply(*others, t) for t in factor.terms))
        if isinstance(factor, Sum):
            index, body = open_binder(factor)
            return close_sum(index, multiply(*others, body))
    return None


def _other_sum(i, body):
    if isinstance(body, Sum):
        return close_sum(body.index, close_sum(i, body.body))
    if isinstance(body, Add):
        halves = []
        for term in body.terms:
            index = fresh("s", i.size)
            halves.append(close_sum(index, substitute(term, {i: index})))
        return add(*halves)
    if isinstance(body, Multiply):
        outside = [t for t in body.factors if i not in free_indices(t)]
        inside = [t for t in body.factors if i in free_indices(t)]
        return multiply(*outside, close_sum(i, multiply(*inside))) if outside else None
    return None


def _other_function(function, a):
    sigmoid = FUNCTIONS["sigmoid"]
    match function.name:
        case "sigmoid":
            return divide(ONE, add(ONE, apply(EXP, negate(a))))
        case "tanh":
            return subtract(multiply(number(2), apply(sigmoid, multiply(number(2), a))), ONE)
        case "relu":
            return where(Compare("<", ZERO, a), a, ZERO)
        case "softplus":
            return add(a, apply(LOG, add(ONE, apply(EXP, negate(a)))))
        case "sigmoid_prime":
            return multiply(apply(sigmoid, a), subtract(ONE, apply(sigmoid, a)))
        case "exp" if isinstance(a, Add):
            return multiply(*(apply(EXP, t) for t in a.terms))
    return None


def mutated(expr: Expr, r: random.Random) -> Expr | None:
    """An expression with one thing changed: an index, a number, a sign, a factor, a range, a delta."""
    found = list(_nodes(expr))
    indices = [n for _, n in found if isinstance(n, Index)] + list(FREE)
    for _ in range(20):
        path, node = r.choice(found)
        new = _mutant(node, indices, r)
        if new is not None:
            return _put(expr, path, new)
    return None


def _mutant(node, indices, r):
    match node:
        case Entry(tensor, places) if places:
            k = r.randrange(len(places))
            others = [i for i in indices if i.size is tensor.shape[k] and i is not places[k]]
            return Entry(tensor, (*places[:k], r.choice(others), *places[k + 1 :])) if others else None
        case Number(c):
            return number(c + 1)
        case Add(terms):
            return add(negate(terms[0]), *terms[1:]) if r.random() < 0.5 else add(*terms[1:])
        case Multiply(factors):
            return (
                multiply(*factors[1:])
                if r.random() < 0.4
                else multiply(r.choice([N, M, number(2), MINUS_ONE]), *factors)
            )
        case Sum(i, body):
            return close_sum(i, multiply(body, r.choice([N, divide(ONE, M)])))
        case Kronecker(a, b):
            return kronecker(add(a, ONE), b)
    return None


def _nodes(expr, path=()):
    yield path, expr
    for k, child in enumerate(children(expr)):
        yield from _nodes(child, (*path, k))


def _put(expr, path, new):
    if not path:
        return new
    parts = list(children(expr))
    parts[path[0]] = _put(parts[path[0]], path[1:], new)
    return rebuild(expr, tuple(parts))
