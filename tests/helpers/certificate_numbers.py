"""What a certificate claims, by numbers: its forward and backward equations evaluated entry by entry.

Knows the syntax of the format from Python's own parser, and nothing of the checker's normal form or differentiation: the
derivative of the cost is a central difference in extended precision. Arrays are 0 outside their boxes.
"""

import ast
import itertools
import math
import random
import re

import mpmath

DIGITS = 60


def any_function(name, u):
    """A function that stands for all differentiable ones, and its derivatives, by central differences."""
    root, prime, k = name.rpartition("_prime")
    if not prime:
        return sum(mpmath.sin(v + j) + v * u[0] / (j + 3) for j, v in enumerate(u))
    h, at = mpmath.mpf(10) ** -20, int(k or 1) - 1
    up, down = ([v + s * h * (j == at) for j, v in enumerate(u)] for s in (1, -1))
    return (any_function(root, up) - any_function(root, down)) / (2 * h)


class Unclear(Exception):
    """Numbers cannot say anything here: a division by zero, a kink nearby."""


class Numbers:
    """The equations of a certificate at one choice of sizes and one random point."""

    def __init__(self, text, seed):
        self.random = random.Random(seed)
        self.equations, self.sizes, self.inputs, self.claims, self.labels, self.facts = {}, {}, {}, [], {}, []
        self.functions = set()
        self.cost, self.kinds, self.near, self.memo = None, {}, [], {}
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            if word == "size":
                self.sizes |= {n: self.random.choice((1, 2, 2, 3)) for n in rest.split()}
            elif word == "fact":
                self.facts.append(ast.parse(rest.strip(), mode="eval").body)
            elif word == "input":
                m = re.fullmatch(r"\s*(\w+)\s*(?:\[(.*)\])?\s*([a-z]\w*)\s*(.*?)\s*", rest)
                axes = self.axes(m[2])
                self.inputs[m[1]], self.kinds[m[1]] = axes, m[3]
                if m[3] == "labels":
                    self.labels[m[1]] = ast.parse(m[4].strip(), mode="eval").body
            elif word in ("forward", "backward", "adjoint", "let"):
                if word == "adjoint":  # NAME of TENSOR[...] = VALUE uses ...
                    name, _, rest = rest.partition(" of ")
                    rest = name + re.sub(r"^\s*\w+", "", rest).split(" uses")[0]
                left, right = re.split(r"(?<!=)=(?!=)", re.sub("<=", "@", rest), maxsplit=1)
                m = re.fullmatch(r"\s*(\w+)\s*(?:\[(.*)\])?\s*", left)
                heads = [a.split(":", 1) for a in self.parts(m[2])]
                body = ast.parse(re.split(r"\bby\b|;", right.replace("@", "<="))[0].strip(), mode="eval").body
                self.equations[m[1]] = (
                    [h[0].strip() for h in heads],
                    [ast.parse(h[1].strip(), mode="eval").body for h in heads],
                    body,
                )
            elif word == "function":
                self.functions.add(rest.split()[0])
            elif word == "cost":
                self.cost = rest.strip()
            elif word == "claim":
                self.claims.append(tuple(rest.split()))
        for _ in range(60):
            if all(self.value(f, {}) for f in self.facts):
                break
            self.sizes = {n: self.random.choice((1, 2, 3, 4, 5)) for n in self.sizes}
        else:
            raise Unclear("no sizes")
        self.memo = {}
        self.values = {name: self.drawn(name) for name in self.inputs}

    @staticmethod
    def parts(text):
        found, depth = [""], 0
        for c in text or "":
            depth += (c in "[(") - (c in ")]")
            if c == "," and not depth:
                found.append("")
            else:
                found[-1] += c
        return [f.strip() for f in found if f.strip()]

    def axes(self, text):
        return [ast.parse(a, mode="eval").body for a in self.parts(text)]

    def drawn(self, name):
        shape = [self.length(a, {}) for a in self.inputs[name]]
        kind, table = self.kinds[name], {}
        places = list(itertools.product(*map(range, shape)))
        for at in places:
            table[at] = {
                "labels": lambda: self.random.randrange(self.length(self.labels[name], {})),
                "positive": lambda: mpmath.mpf(self.random.uniform(0.3, 2)),
                "prob": lambda: mpmath.mpf(self.random.uniform(0.1, 0.9)),
                "bern": lambda: self.random.randrange(2),
                "pm1": lambda: self.random.choice((-1, 1)),
            }.get(kind, lambda: mpmath.mpf(self.random.uniform(-1.5, 1.5)))()
        return table

    def length(self, size, env):
        return int(mpmath.nint(self.value(size, env)))

    def entry(self, name, at):
        if name in self.values:
            return self.values[name].get(at, 0)
        if (name, at) not in self.memo:
            names, sizes, body = self.equations[name]
            ok = len(at) == len(sizes) and all(0 <= i < self.value(s, {}) for i, s in zip(at, sizes, strict=False))
            self.memo[name, at] = self.value(body, dict(zip(names, at, strict=False))) if ok else mpmath.mpf(0)
        return self.memo[name, at]

    def value(self, n, env):
        go = lambda m: self.value(m, env)  # noqa: E731
        if isinstance(n, ast.Constant):
            return n.value
        if isinstance(n, ast.Name):
            return (
                env[n.id]
                if n.id in env
                else self.sizes[n.id]
                if n.id in self.sizes
                else mpmath.pi
                if n.id == "pi"
                else self.entry(n.id, ())
            )
        if isinstance(n, ast.Subscript):
            at = n.slice.elts if isinstance(n.slice, ast.Tuple) else [n.slice]
            return self.entry(n.value.id, tuple(int(go(i)) for i in at))
        if isinstance(n, ast.UnaryOp):
            return -go(n.operand)
        if isinstance(n, ast.BinOp):
            return self.binary(n, go)
        if isinstance(n, ast.Compare):
            a, b = go(n.left), go(n.comparators[0])
            if not (isinstance(a, int) and isinstance(b, int)):
                self.near.append(abs(mpmath.mpf(a) - b))
            return int({ast.Lt: a < b, ast.LtE: a <= b, ast.Eq: a == b}[type(n.ops[0])])
        return self.call(n, env, go)

    def binary(self, n, go):
        a = go(n.left)
        if isinstance(n.op, ast.Pow):
            e = go(n.right)
            if (e < 0 and abs(a) < 1e-9) or (e != int(e) and a <= 1e-12):
                raise Unclear("power")
            return mpmath.mpf(a) ** e
        b = go(n.right)
        if isinstance(n.op, ast.Div):
            if abs(b) < 1e-12:
                raise Unclear("division")
            whole = isinstance(a, int) and isinstance(b, int) and a % b == 0  # of sizes and indices
            return a // b if whole else mpmath.mpf(a) / b
        return {
            ast.Add: lambda: a + b,
            ast.Sub: lambda: a - b,
            ast.Mult: lambda: a * b,
            ast.FloorDiv: lambda: a // b,
            ast.Mod: lambda: a % b,
        }[type(n.op)]()

    def call(self, n, env, go):
        name = n.func.id
        if name in ("sum", "max", "min", "argmax"):
            g = n.args[0].generators[0]
            values = [self.value(n.args[0].elt, {**env, g.target.id: k}) for k in range(self.length(g.iter, env))]
            if name == "sum":
                return sum(values, 0)
            if not values:
                raise Unclear("empty")
            best = sorted(values, reverse=name != "min")
            self.near += [abs(mpmath.mpf(best[0]) - best[1])] if len(best) > 1 else []
            return values.index(best[0]) if name == "argmax" else best[0]
        if name == "where":
            return go(n.args[1]) if go(n.args[0]) else go(n.args[2])
        u = go(n.args[0])
        if re.sub(r"(_prime\d*)+$", "", name) in self.functions:
            return any_function(name, [mpmath.mpf(go(a)) for a in n.args])
        if name == "stop":
            raise Unclear("stop")
        if name in ("log", "lgamma", "digamma", "trigamma") and u <= 1e-9:
            raise Unclear("log")
        table = {
            "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
            "lgamma": mpmath.loggamma,
            "digamma": mpmath.digamma,
            "trigamma": lambda v: mpmath.polygamma(1, v),
        }
        return table.get(name, getattr(mpmath, name, None))(mpmath.mpf(u))

    def total(self):
        self.memo = {}
        return mpmath.mpf(self.entry(self.cost, ()))

    def disagreement(self, most=3):
        """An entry of a claimed gradient that is another number than the derivative; None if all that are asked agree."""
        step = mpmath.mpf(10) ** -15
        for x, d in self.claims:
            places = list(self.values[x])
            for at in self.random.sample(places, min(most, len(places))):
                self.memo, self.near = {}, []
                claimed = mpmath.mpf(self.entry(d, at))
                old = self.values[x][at]
                costs = []
                for s in (1, -1):
                    self.values[x][at] = old + s * step
                    costs.append(self.total())
                self.values[x][at] = old
                if any(0 < v < 1e-8 for v in self.near):
                    raise Unclear("a kink nearby")
                true = (costs[0] - costs[1]) / (2 * step)
                if abs(true - claimed) > 1e-9 * (1 + abs(true) + abs(claimed)):
                    return x, at, true, claimed
        return None


def refuted(text, seeds=range(6)):
    """The first disagreement between what a certificate claims and the derivative, by numbers; None if there is none."""
    with mpmath.workdps(DIGITS):
        for seed in seeds:
            try:
                found = Numbers(text, seed).disagreement()
            except (Unclear, ZeroDivisionError, OverflowError):
                continue
            if found is not None and math.isfinite(found[2]):
                return found
    return None
