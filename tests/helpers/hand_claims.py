"""The files of tests/claims, their formulas as SymPy, and what they say in plain NumPy, coded from scratch.

A file begins with `network {...}`, the arguments of Network; then come claims, each a line `VERDICT  cause` and an
indented line with the formula. Nothing of symbackprop is used to evaluate them.
"""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import numpy as np
import sympy as sp
from scipy.special import erf

FOLDER = Path(__file__).resolve().parents[1] / "checking" / "claims"
STEP = 1e-30


def read_claims(path):
    """The arguments of the network, and (verdict, cause, formula) for every claim."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    network = ast.literal_eval(lines[0].removeprefix("network "))
    heads, formulas = lines[1::2], lines[2::2]
    return network, [(*head.split("  ", 1), formula.strip()) for head, formula in zip(heads, formulas, strict=True)]


# Shapes, by name.


def shapes_of(layers):
    """The axes of every tensor, as lengths or names; m examples."""
    table = {"x": ("m", layers[0]), "y": ("m", layers[-1]), "h": ("m", layers[-1]), "a1": ("m", layers[0])}
    for number, (sends, receives) in enumerate(itertools.pairwise(layers), start=1):
        table |= {f"W{number}": (receives, sends), f"b{number}": (receives,)}
        table |= {f"{letter}{number + 1}": ("m", receives) for letter in ("z", "a", "delta", "dJ_da")}
    return table


def axis_of(index, body, shapes):
    """The axis at which the index stands first in a piece of syntax."""
    for node in ast.walk(body):
        if isinstance(node, ast.Subscript):
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            for place, part in enumerate(parts):
                if isinstance(part, ast.Name) and part.id == index:
                    return node.value.id, place
    raise AssertionError(f"index {index} stands nowhere")


def readable(formula):
    """The right side in Python's syntax."""
    return formula.split(" = ", 1)[1].replace("dJ/d", "dJ_d")


# As SymPy.


def as_sympy(formula, layers):
    """The right side, with Indexed entries and sums from 1."""
    shapes = shapes_of(layers)
    sizes = {f"s_{k}": width for k, width in enumerate(layers, start=1)} | {w: w for w in layers if isinstance(w, str)}
    scope = {name: sp.IndexedBase(name) for name in shapes} | {f: sp.Function(f) for f in ("f", "f_prime", "gelu")}
    scope |= {n: getattr(sp, n) for n in ("exp", "log", "tanh", "sqrt", "erf", "pi")} | {"abs": sp.Abs}
    scope |= {"step": sp.Heaviside, "relu": lambda z: sp.Max(0, z), "sigmoid": lambda z: 1 / (1 + sp.exp(-z))}
    scope |= {"where": lambda c, a, b: sp.Piecewise((a, c), (b, True)), "softplus": lambda z: sp.log(1 + sp.exp(z))}
    scope |= {n: sp.Symbol(n, integer=True) for n in "nijkpq"} | {
        "m": sp.Symbol("m", positive=True),
        "lam": sp.Symbol("lambda"),
    }

    def length(size):
        size = sizes.get(size, size)
        return sp.Integer(size) if isinstance(size, int) else sp.Symbol(size, integer=True, positive=True)

    scope |= {name: length(name) for name in sizes}

    def run(node):
        if isinstance(node, ast.Call) and node.func.id == "sum":
            binder, body = node.args
            value = run(body)
            if isinstance(binder, ast.Compare):
                return sp.Sum(value, (scope[binder.left.id], 1, run(binder.comparators[0])))
            name, place = axis_of(binder.id, body, shapes)
            return sp.Sum(value, (scope[binder.id], 1, length(shapes[name][place])))
        if isinstance(node, ast.Constant):
            return (
                sp.nsimplify(sp.Float(str(node.value), 30), rational=True)
                if isinstance(node.value, float)
                else sp.Integer(node.value)
            )
        if isinstance(node, ast.Subscript):
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return scope[node.value.id][tuple(run(p) for p in parts)]
        if isinstance(node, ast.Call):
            return scope[node.func.id](*map(run, node.args))
        if isinstance(node, ast.Compare):
            return run(node.left) > run(node.comparators[0])
        if isinstance(node, ast.UnaryOp):
            return -run(node.operand)
        if isinstance(node, ast.BinOp):
            a, b = run(node.left), run(node.right)
            return (
                {ast.Add: a + b, ast.Sub: a - b, ast.Mult: a * b}.get(type(node.op))
                if type(node.op) in (ast.Add, ast.Sub, ast.Mult)
                else a / b
                if isinstance(node.op, ast.Div)
                else a**b
            )
        return scope[node.id]

    return run(ast.parse(readable(formula), mode="eval").body)


# As numbers.


FUNCTIONS = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: z * (np.real(z) > 0),
    "gelu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
    "silu": lambda z: z / (1 + np.exp(-z)),
    "softplus": lambda z: np.log(1 + np.exp(z)),
}


def slope(function):
    """The derivative by a complex step."""
    return lambda z: np.imag(function(z + 1j * STEP)) / STEP


class Net:
    """Forward pass and cost at the numbers of a counterexample."""

    def __init__(self, arguments, found):
        self.arguments, depth = arguments, len(arguments["layers"])
        given = arguments["activation"]
        names = given if isinstance(given, list) else [given] * (depth - 1)
        self.names = [found.functions.get(name, name) for name in names]
        self.inputs = {name: np.asarray(value, dtype=complex) for name, value in found.inputs.items()}
        self.lam, self.m = found.parameters.get("lam", 0.0), len(self.inputs["x"])

    def forward(self, bump=None):
        """All tensors; the entry bump = (name, index) is moved by an imaginary step as soon as it is known."""
        table = {}

        def put(name, value):
            table[name] = np.array(value, dtype=complex)
            if bump is not None and bump[0] == name:
                table[name][bump[1]] += 1j * STEP

        for name, value in self.inputs.items():
            put(name, value)
        table["a1"] = table["x"]
        for number, name in enumerate(self.names, start=1):
            put(f"z{number + 1}", table[f"a{number}"] @ table[f"W{number}"].T + table[f"b{number}"])
            z = table[f"z{number + 1}"]
            e = np.exp(z) if name == "softmax" else None
            put(f"a{number + 1}", e / e.sum(axis=1, keepdims=True) if name == "softmax" else FUNCTIONS[name](z))
        table["h"] = table[f"a{len(self.names) + 1}"]
        put("J", self.cost(table))
        return table

    def cost(self, table):
        h, y, m, kind = table["h"], table["y"], self.m, self.arguments["cost"]
        data = {
            "squared_error": lambda: ((h - y) ** 2).sum() / 2,
            "cross_entropy": lambda: -(y * np.log(h) + (1 - y) * np.log(1 - h)).sum(),
            "max(0, 1 - h*y)": lambda: ((1 - h * y) * (np.real(h * y) < 1)).sum(),
            "softmax_cross_entropy": lambda: -(y * np.log(h)).sum(),
        }[kind]()
        data = data / m if self.arguments.get("reduction", "mean") == "mean" else data
        weights = [table[f"W{k}"] for k in range(1, len(self.names) + 1)]
        l2 = {"lambda/(2*m)": self.lam / (2 * m), "lambda/2": self.lam / 2}.get(self.arguments.get("l2"), 0.0)
        l1 = self.lam if "l1" in self.arguments else 0.0
        return data + sum(l2 * (w**2).sum() + l1 * (w * np.sign(w.real)).sum() for w in weights)

    def true(self, name):
        """What the left side of a claim is, entry by entry."""
        plain = self.forward()
        derivative = re.fullmatch(r"delta(\d+)|dJ_d(\w+)", name)
        if derivative is None:
            return plain[name].real
        source = f"z{derivative[1]}" if derivative[1] else derivative[2]
        result = np.empty(plain[source].shape)
        for index in np.ndindex(*result.shape):
            result[index] = self.forward((source, index))["J"].imag / STEP
        return result

    def claimed(self, formula, index):
        """What the right side of a claim is at one entry, a bare index without sum at its first value."""
        tree = ast.parse(readable(formula), mode="eval").body
        table = {name: value.real for name, value in self.forward().items()}
        wanted = {
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and re.match(r"delta\d|dJ_da\d", node.id)
        }
        table |= {name: self.true(name) for name in wanted}
        left = re.findall(r"\w+", formula.split(" = ")[0].partition("[")[2])
        return float(self.evaluate(tree, table, dict(zip(left, index, strict=True))))

    def evaluate(self, node, table, at):
        def run(inner, **more):
            return self.evaluate(inner, table, {**at, **more})

        match node:
            case ast.Call(func=ast.Name(id="sum"), args=[binder, body]):
                name = binder.id if isinstance(binder, ast.Name) else binder.left.id
                tensor, place = axis_of(name, body, table)
                size = table[tensor].shape[place] if isinstance(binder, ast.Name) else int(run(binder.comparators[0]))
                return sum(run(body, **{name: k}) for k in range(size))
            case ast.Constant(value=value):
                return value
            case ast.Subscript(value=ast.Name(id=name), slice=inner):
                parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                return table[name][tuple(at.get(p.id, 0) for p in parts)]
            case ast.Call(func=ast.Name(id="where"), args=[condition, then, otherwise]):
                return run(then) if run(condition.left) > run(condition.comparators[0]) else run(otherwise)
            case ast.Call(func=ast.Name(id=name), args=args):
                return self.function(name)(*map(run, args))
            case ast.UnaryOp(operand=inner):
                return -run(inner)
            case ast.BinOp(left=a, op=op, right=b):
                return {
                    ast.Add: np.add,
                    ast.Sub: np.subtract,
                    ast.Mult: np.multiply,
                    ast.Div: np.divide,
                    ast.Pow: np.power,
                }[type(op)](run(a), float(run(b)))
        layers = self.arguments["layers"]
        names = {f"s_{k}": k for k in range(1, len(layers) + 1)} | {w: k for k, w in enumerate(layers, start=1)}
        if node.id in names:
            return table[f"a{names[node.id]}"].shape[1]
        return {"m": self.m, "lam": self.lam, "pi": np.pi}[node.id]

    def function(self, name):
        own = FUNCTIONS[next(n for n in self.names if n != "softmax")]
        known = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "erf": erf, "abs": abs, "step": lambda z: float(z > 0)}
        return {"f": own, "f_prime": slope(own), **FUNCTIONS, **known}[name]
