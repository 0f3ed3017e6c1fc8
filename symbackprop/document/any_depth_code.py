"""A network of any depth as a few lines of NumPy: a loop over the layers, each line printed from a proved equation.

    delta[l] = delta[l + 1] @ W[l] * sigmoid_prime(z[l])

The lines are printed from the matrix forms of the theorems, so they say what was proved; a test runs them against a
compiled network. Main names: `loop_lines`, `loop_module`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import sympy as sp
from sympy.printing.numpy import NumPyPrinter

from symbackprop.document.matrix_form import Entrywise, Form, Hadamard, Leaf, Ones, Product, SumOfAll, matrix_form
from symbackprop.document.protocols import ProofLike, is_about_computed
from symbackprop.expression.build import ONE, Apply, Entry, Expr, Tensor, nodes_once
from symbackprop.expression.functions import BASIC, Function, is_arbitrary
from symbackprop.expression.program import Equation
from symbackprop.proofs.shortening.relations import by_value
from symbackprop.rendering.conventions import over_and_under, signed
from symbackprop.rendering.text import to_text

_ADD, _MULTIPLY, _ATOM = range(3)
_DIRECT = {"exp": "np.exp", "log": "np.log", "tanh": "np.tanh", "abs": "np.abs", "sin": "np.sin", "cos": "np.cos"}


def loop_lines(proof: ProofLike) -> Mapping[Tensor, str]:
    """For the error terms and gradients of a proof for any depth the line that computes each."""
    lines: dict[Tensor, str] = {}
    for theorem in (t for t in proof.theorems if not is_about_computed(t)):
        left = theorem.derivation.left
        form = matrix_form(theorem.derivation.right, left.indices) if isinstance(left, Entry) else None
        if form is not None and isinstance(left, Entry):
            lines[left.tensor] = f"{_name(left.tensor)} = {_text(form)[0]}"
    return lines


def loop_module(proof: ProofLike, forward: Sequence[Equation]) -> str:
    """The whole computation as a module that imports NumPy alone; "" where a line has no matrix form.

    Args:
        forward: the equations of the last layer, of a general layer, and of what follows it.
    """
    lines = {re.sub(r"_l|_L$", "", t.name): line for t, line in loop_lines(proof).items() if t.name != "delta_L"}
    last = next((line for t, line in loop_lines(proof).items() if t.name == "delta_L"), "")
    steps = {e.tensor.name: _equation(e) for e in forward if e.tensor.shape}
    if not last or lines.keys() < {"delta", "dJ_dW", "dJ_db"} or None in steps.values():
        return ""
    output = [line for name, line in steps.items() if name not in ("a_l", "z_l+1")]
    inner = steps.get("a_l")
    functions = _functions([last, *lines.values(), *(s or "" for s in steps.values())], proof, forward)
    given = [f.name for f in functions if is_arbitrary(f)]
    scalars = sorted({s for line in (last, *lines.values()) for s in re.findall(r"\blam\b|\bmu\b|\balpha\b", line)})
    arguments = ", ".join(["W", "b", "x", "y", *given, *scalars])
    defined = [line for function in functions for line in _definition(function)]
    special = ["from scipy.special import erf"] if any("erf(" in line for line in defined) else []
    out = [
        "import numpy as np",
        *special,
        "",
        *defined,
        "",
        f"def gradients({arguments}):",
        '    """W[l], b[l] lead from layer l to l + 1, for l = 1, ..., L - 1; x and y have a row for each example."""',
        "    L, m = len(W) + 1, len(x)",
        "    z, a, delta, dW, db = {}, {1: x}, {}, {}, {}",
        "    for l in range(1, L):",
        *(["        if l > 1:", f"            {inner}"] if inner else []),
        f"        {steps['z_l+1']}",
        *(f"    {line}" for line in output),
        f"    {last}",
        "    for l in range(L - 1, 0, -1):",
        f"        {lines['dJ_dW']}",
        f"        {lines['dJ_db']}",
        "        if l > 1:",
        f"            {lines['delta']}",
        "    return dW, db",
    ]
    return "\n".join(out)


def _equation(equation: Equation) -> str | None:
    form = matrix_form(equation.value, equation.indices)
    return None if form is None else f"{_name(equation.tensor)} = {_text(form)[0]}"


def _name(tensor: Tensor) -> str:
    """z_l+1 is z[l + 1]; dJ_dW_l is dW[l]."""
    stem, _, layer = tensor.name.removeprefix("dJ_").partition("_")
    return f"{stem}[{layer.replace('+', ' + ').replace('-', ' - ')}]" if layer else stem


def _text(form: Form) -> tuple[str, int]:
    """The NumPy expression of a form, and how tightly it binds."""
    match form:
        case Leaf(tensor, transposed):
            return _name(tensor) + (".T" if transposed and len(tensor.shape) > 1 else ""), _ATOM
        case Ones():
            return "1", _ATOM
        case Product(Ones(), right, inner) if inner is ONE:
            return _text(right)
        case Product(left, Ones(), inner) if inner is ONE:
            return f"{_wrapped(left, _ATOM)}[:, None]", _ATOM
        case Product(left, Ones(), _):
            transposed = isinstance(left, Leaf) and left.transposed
            body = _name(left.tensor) if transposed and isinstance(left, Leaf) else _wrapped(left, _ATOM)
            return f"{body}.sum(axis={0 if transposed else 1})", _ATOM
        case Product(left, right, _):
            return f"{_wrapped(left, _ATOM)} @ {_wrapped(right, _ATOM)}", _MULTIPLY
        case Entrywise(None, (base,), exponent):
            if signed(exponent)[0] and signed(exponent)[1] is ONE:
                return f"1 / {_wrapped(base, _ATOM)}", _MULTIPLY
            return f"{_wrapped(base, _ATOM)} ** {to_text(exponent)}", _ATOM
        case Entrywise(function, arguments, _):
            assert function is not None, "a power has one argument"
            inside = ", ".join(_text(a)[0] for a in arguments)
            return f"{_DIRECT.get(function.name, function.name)}({inside})", _ATOM
        case SumOfAll(terms):
            text = ""
            for term in terms:
                negative, body = _signed(term)
                text += (" - " if negative else " + ") if text else ("-" if negative else "")
                text += body
            return text, _ADD
        case Hadamard():
            negative, body = _signed(form)
            return (f"-{body}", _ADD) if negative else (body, _MULTIPLY)


def _signed(form: Form) -> tuple[bool, str]:
    """Whether a minus stands in front, and the rest as a product."""
    if not isinstance(form, Hadamard):
        return False, _wrapped(form, _MULTIPLY)
    negative, scale = signed(form.scale)
    over, under = over_and_under(scale)
    shown = [
        _wrapped(f, _ATOM if len(form.factors) > 1 or isinstance(f, SumOfAll) else _MULTIPLY) for f in form.factors
    ]
    front = [to_text(f) for f in over if f is not ONE]
    quotients = [p.removeprefix("1 / ") for p in shown if p.startswith("1 / ")]
    products = [*front, *(p for p in shown if not p.startswith("1 / "))]
    text = " * ".join(products) or "1"
    for divisor in (*quotients, *(_denominator(f) for f in under)):
        text += f" / {divisor}"
    return negative, text


def _denominator(factor: Expr) -> str:
    text = to_text(factor)
    return text if text.isalnum() else f"({text})"


def _wrapped(form: Form, least: int) -> str:
    text, level = _text(form)
    return text if level >= least or text.startswith("1 / ") else f"({text})"


def _functions(lines: Sequence[str], proof: ProofLike, forward: Sequence[Equation]) -> list[Function]:
    """The functions that the lines call and NumPy does not have, each after those it is written with."""
    called = {name for line in lines for name in re.findall(r"(?<![\w.])(\w+)\(", line)}
    known: dict[str, Function] = {}
    values = [t.derivation.right for t in proof.theorems] + [e.value for e in forward]
    for function in _applied(values):
        known[function.name] = function
        if function.primitive_of is not None:
            known.setdefault(function.primitive_of[0].name, function.primitive_of[0])
    wanted = {known[n] for n in called if n in known}
    wanted |= {f.primitive_of[0] for f in wanted if f.primitive_of is not None and by_value(f) is not None}
    return sorted((f for f in wanted if f.name not in _DIRECT), key=lambda f: (f.name.count("_prime"), f.name))


def _applied(values: Sequence[Expr]) -> Iterator[Function]:
    for value in values:
        for node in nodes_once(value):
            if isinstance(node, Apply) and node.function.name not in BASIC:
                yield node.function


def _definition(function: Function) -> list[str]:
    """def sigmoid(z): return 1 / (1 + np.exp(-z))."""
    if is_arbitrary(function):
        return []
    slope = by_value(function)
    if slope is not None and function.primitive_of is not None:
        inner = function.primitive_of[0].name
        value = sp.Symbol("value")
        body = _printed(sum((sp.Rational(c) * value**k for k, c in enumerate(slope)), sp.Integer(0)))
        return ["", f"def {function.name}(z):", f"    value = {_DIRECT.get(inner, inner)}(z)", f"    return {body}", ""]
    return ["", f"def {function.name}(z):", f"    return {_printed(function.definition)}", ""]


def _printed(expr: sp.Expr | None) -> str:
    text: str = NumPyPrinter({"allow_unknown_functions": True}).doprint(expr)
    text = re.sub(r"\(((?:[^()]|\([^()]*\))*)\)\*\*\(-1\.0\)", r"1/(\1)", text)
    return text.replace("numpy.", "np.").replace("math.erf", "erf").replace("step(z)", "(z > 0)")
