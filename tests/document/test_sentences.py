"""What a proof document says in words and formulas is true: each answer over a matrix of networks, each line in numbers.

The oracles know nothing of the engine: NumPy runs the network, total derivatives are central differences of the cost
after a tensor has been moved by hand, and direct ones move a tensor in one equation alone.
"""

import itertools
import re
from functools import cache

import numpy as np
import pytest
import sympy as sp

from symbackprop.document.model import blocks, equations, texts
from symbackprop.document.proof_document import proof_document, unbacked
from symbackprop.document.questions import QUESTIONS, NetworkFacts, answers
from symbackprop.evaluation.exact import evaluate_expression
from symbackprop.expression.build import Entry, Partial, Tensor, Total, free_indices, nodes_once, rewrite
from symbackprop.expression.functions import FUNCTIONS
from symbackprop.expression.program import Program
from symbackprop.frontends.network import Network
from symbackprop.proofs.network import prove_network
from symbackprop.rendering.text import to_text

OUTPUTS = ("sigmoid", "tanh", "identity", "softmax")
COSTS = ("squared_error", "cross_entropy", "log(1 + (h - y)**2)")
PENALTIES = (
    {},
    {"l2": "lambda/(2*m)"},
    {"l2": "lambda/2"},
    {"l2": "lambda"},
    {"l1": "mu/m"},
    {"l2": "lambda/2", "l1": "mu"},
)
MATRIX = [
    *((("relu", out), cost, {}, "mean") for out, cost in itertools.product(OUTPUTS, COSTS)),
    *((("sigmoid", "softmax"), "softmax_cross_entropy", p, r) for p in PENALTIES for r in ("mean", "sum")),
    *((("sigmoid", "sigmoid"), c, p, r) for c in COSTS[:2] for p in PENALTIES for r in ("mean", "sum")),
    *(
        ((f, "identity"), "squared_error", {}, "mean")
        for f in ("softplus", "silu", "gelu", "elu", "leaky_relu", "z**3")
    ),
]
M_, SIZES = 3, {"m": 3, "s_1": 2, "s_2": 3, "s_3": 2}


def network(activations, cost, penalty, reduction):
    return Network([2, 3, 2], activation=list(activations), cost=cost, reduction=reduction, **penalty)


@cache
def facts_of(net):
    return NetworkFacts(prove_network(net), net)


def asked(net):
    return {q.ask: q.answer for q in answers(facts_of(net))}


@pytest.mark.slow
@pytest.mark.parametrize("row", MATRIX, ids=str)
def test_each_question_has_at_most_one_answer_and_the_answer_is_true(row) -> None:
    net = network(*row)
    fitting = answers(facts_of(net))
    assert len({q.ask for q in fitting}) == len(fitting)
    for question in fitting:
        check = CHECKS[QUESTIONS.index(question)]
        assert check(net), question.answer


@pytest.mark.slow
def test_every_answer_has_a_check_and_occurs_for_some_network() -> None:
    assert len(CHECKS) == len(QUESTIONS)
    seen = {q for row in MATRIX for q in answers(facts_of(network(*row)))}
    assert [q.answer for q in QUESTIONS if q not in seen] == []


# What the answers say, each checked on the cost of the network as SymPy or NumPy have it.


def _apply(function, z):
    if function is None:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    s = sp.Symbol("z", real=True)
    plain = {"relu": lambda v: np.maximum(v, 0), "leaky_relu": lambda v: np.where(v > 0, v, v / 100)}
    plain["elu"] = lambda v: np.where(v > 0, v, np.exp(v) - 1)
    return plain.get(function.name) or sp.lambdify(s, function.definition, ["scipy", "numpy"])


def _coefficients(net, m):
    lam, mu, size = sp.Symbol("lam"), sp.Symbol("mu"), sp.Symbol("m")
    from_text = {k: sp.sympify(str(v)) for k, v in (("l2", _text(net.l2)), ("l1", _text(net.l1))) if v}
    values = {lam: 0.7, mu: 0.4, size: m}
    return {k: float(v.subs(values)) for k, v in from_text.items()}


def _text(expr):
    return None if expr is None else to_text(expr)


def _one_weight(net, data_factor, penalty_factor, m):
    """The minimiser of data_factor * (mean or sum of squares of w - 1) + penalty of one weight w."""
    given = _coefficients(net, m)
    w = np.linspace(-0.5, 1.5, 200_001)
    data = (w - 1) ** 2 * data_factor
    penalty = given.get("l2", 0.0) * w**2 + given.get("l1", 0.0) * np.abs(w)
    return w[np.argmin(data + penalty_factor * penalty)]


def _same(a, b):
    return abs(a - b) < 2e-5


def _half_in_front_of_all(net):
    return not net.penalties() and _same(_one_weight(net, 1.0, 1.0, 5), _one_weight(net, 0.5, 1.0, 5))


def _each_half_counts(net):
    plain = _one_weight(net, 0.5, 1.0, 5)
    return not _same(plain, _one_weight(net, 1.0, 1.0, 5)) and not _same(plain, _one_weight(net, 0.5, 2.0, 5))


def _data_half_counts(net):
    return not _same(_one_weight(net, 0.5, 1.0, 5), _one_weight(net, 1.0, 1.0, 5))


def _penalty_half_counts(net):
    return not _same(_one_weight(net, 1.0, 1.0, 5), _one_weight(net, 1.0, 2.0, 5))


def _mean_is_sum(net):
    """With mean or with sum (the penalty of the sum times m), the minimum is the same."""
    return _same(_one_weight(net, 1.0, 1.0, 5), _one_weight(net, 5.0, 5.0, 5))


def _mean_without_penalty(net):
    return net.reduction == "mean" and not net.penalties()


def _divided_too(net):
    """m times the coefficient is the same for every m, so the cost is 1/m times one without m."""
    return all(
        abs(3 * a - 8 * b) < 1e-12
        for a, b in zip(_coefficients(net, 3).values(), _coefficients(net, 8).values(), strict=True)
    )


def _balance_changes(net):
    mean, total = _one_weight(net, 1.0, 1.0, 5), _one_weight(net, 5.0, 1.0, 5)
    return not _same(mean, total) and _coefficients(net, 3) == _coefficients(net, 8)


def _jacobian_is_diagonal(net):
    z = np.random.default_rng(3).normal(size=(1, 2))
    function = net.layers[-1].function
    move = np.array([[1e-6, 0.0]])
    f = (lambda v: _apply(None, v)) if function is None else _apply(function, None)
    change = (f(z + move) - f(z - move)) / 2e-6
    return abs(change[0, 1]) < 1e-12


def _error_is_a_minus_y(net):
    """The error term of the output is (a - y) times the scale, by central differences."""
    rng = np.random.default_rng(5)
    z, y = rng.normal(size=(M_, 2)), rng.dirichlet(np.ones(2), size=M_)
    function = net.layers[-1].function
    f = (lambda v: _apply(None, v)) if function is None else _apply(function, None)

    def data(v):
        a = f(v)
        terms = -y * np.log(a)
        terms -= (1 - y) * np.log(1 - a) if net.cost_name == "cross_entropy" else 0
        return terms.sum() / (M_ if net.reduction == "mean" else 1)

    scale = M_ if net.reduction == "mean" else 1
    for n, k in itertools.product(range(M_), range(2)):
        move = np.zeros_like(z)
        move[n, k] = 1e-6
        slope = (data(z + move) - data(z - move)) / 2e-6
        if abs(slope - (f(z)[n, k] - y[n, k]) / scale) > 1e-7:
            return False
    return True


def _squares(net):
    h, y = sp.symbols("h y")
    return net.cost_name == "squared_error" and sp.diff((h - y) ** 2 / 2, h).equals(h - y)


CHECKS = (
    _half_in_front_of_all,
    _each_half_counts,
    _data_half_counts,
    _penalty_half_counts,
    _mean_without_penalty,
    lambda net: _divided_too(net) and _mean_is_sum(net),
    _balance_changes,
    lambda net: bool(net.l1 is not None or net.l2 is not None),
    lambda net: _jacobian_is_diagonal(net) and _squares(net),
    lambda net: _jacobian_is_diagonal(net) and net.cost_name != "squared_error",
    lambda net: not _jacobian_is_diagonal(net),
    lambda net: _jacobian_is_diagonal(net) and _error_is_a_minus_y(net),
    lambda net: not _jacobian_is_diagonal(net) and _error_is_a_minus_y(net),
    lambda net: len(net.layers) > 2,
    lambda net: True,
)


# Each displayed line in numbers.


class Point:
    """A point of a program: all tensors in floating point, derivatives by central differences."""

    def __init__(self, program: Program, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.program, self.totals = program, {}
        self.sizes = {s.name: SIZES.get(s.name, 2) for t in program.tensors for s in t.shape}
        self.values = {}
        for tensor in program.inputs:
            shape = tuple(self.sizes[s.name] for s in tensor.shape)
            value = rng.dirichlet(np.ones(shape[-1]), size=shape[:-1]) if tensor.name == "y" else rng.normal(size=shape)
            self.values[tensor] = np.asarray(value, dtype=float)
        self.run({})

    def value(self, expr, indices, tensors):
        return evaluate_expression(
            expr, indices, self.sizes, tensors, {"lam": 0.7, "mu": 0.4}, functions={"f": FUNCTIONS["tanh"]}
        )

    def run(self, moved):
        """The tensors, some of them replaced by other values."""
        values = {t: v for t, v in self.values.items() if t in self.program.inputs} | moved
        for equation in self.program.equations:
            if equation.tensor not in moved:
                values[equation.tensor] = self.value(equation.value, equation.indices, values)
        self.values = values if not moved else self.values
        return values

    def _moved(self, tensor, place, step):
        value = np.array(self.values[tensor], dtype=float)
        value[place] += step
        return {tensor: value}

    def total(self, cost, tensor):
        """dJ/d(tensor), through everything."""
        if (cost, tensor) in self.totals:
            return self.totals[cost, tensor]
        out = self.totals[cost, tensor] = np.zeros(np.shape(self.values[tensor]))
        for place in np.ndindex(out.shape):
            ends = [float(self.run(self._moved(tensor, place, s))[cost]) for s in (1e-5, -1e-5)]
            out[place] = (ends[0] - ends[1]) / 2e-5
        return out

    def direct(self, expr, indices, tensor):
        """The derivative of one expression, all tensors but one held fixed; the axes of the tensor come last."""
        if isinstance(expr, Entry) and expr.tensor in self.program.by_tensor and expr.tensor is not tensor:
            expr = self.program.by_tensor[expr.tensor].at(expr.indices)
        shape = np.shape(self.values[tensor])
        columns = []
        for place in np.ndindex(shape):
            ends = [self.value(expr, indices, self.values | self._moved(tensor, place, s)) for s in (1e-5, -1e-5)]
            columns.append((np.asarray(ends[0]) - np.asarray(ends[1])) / 2e-5)
        return np.stack(columns, axis=-1).reshape((*np.shape(columns[0]), *shape))


def numbers(expr, point, names):
    """An expression as an array over its free indices; each derivative becomes a tensor with measured values."""
    known = dict(point.values)

    def measured(node):
        if isinstance(node, Entry) and node.tensor in names:
            node = Total(Entry(Tensor("J")), Entry(names[node.tensor], node.indices))
        if isinstance(node, Total):
            tensor = Tensor(f"total {node.variable.tensor.name}", node.variable.tensor.shape)
            if tensor not in known:
                known[tensor] = point.total(node.cost.tensor, node.variable.tensor)
            return Entry(tensor, node.variable.indices)
        if isinstance(node, Partial):
            inner = rewrite(node.expression, measured)
            indices = sorted(free_indices(inner), key=lambda i: (i.name, i.uid))
            sizes = (*(i.size for i in indices), *node.variable.tensor.shape)
            tensor = Tensor(f"direct {len(known)}", sizes)
            known[tensor] = point.direct(inner, tuple(indices), node.variable.tensor)
            return Entry(tensor, (*indices, *node.variable.indices))
        return None

    plain = rewrite(expr, measured)
    return plain, known


LINES = {
    "sigmoid and cross-entropy": Network([2, 3, 2], l2="lambda/(2*m)"),
    "softmax": Network([2, 3, 2], activation=["tanh", "softmax"], cost="softmax_cross_entropy", l1="mu"),
    "softmax with squared error": Network([2, 3, 2], activation=["relu", "softmax"], cost="squared_error"),
    "own": Network([2, 3, 2], activation="z/(1+exp(-z))", cost="log(1+(h-y)**2)"),
    "sum": Network([2, 3, 2], activation=["softplus", "identity"], cost="squared_error", reduction="sum"),
}


@pytest.mark.parametrize("name", LINES)
def test_every_line_of_a_document_holds_in_numbers_total_and_direct_derivatives_apart(name) -> None:
    """The line dJ/dW = ... + dJ/dW, with one sign for two things, would fail here."""
    proof = prove_network(LINES[name])
    shown = equations(proof_document(proof))
    checked = direct = 0
    programs = {
        id(p): Point(p, 11) for p in {id(p): p for p in (t.derivation.program for t in proof.theorems)}.values()
    }
    main = next(p for p in programs.values() if p.program is proof.program)
    z = Tensor("z")
    main.values[z] = np.asarray(0.3)
    names = {b: t for d in proof.gradient.derivations.values() for b, t in d.definitions.items()}
    for equality in shown:
        indices = tuple(
            sorted(free_indices(equality.left) | free_indices(equality.right), key=lambda i: (i.name, i.uid))
        )
        sides = []
        for side in (equality.left, equality.right):
            plain, known = numbers(side, main, names)
            sides.append(np.asarray(main.value(plain, indices, known), dtype=float))
            direct += any(isinstance(n, Partial) for n in nodes_once(side))
        np.testing.assert_allclose(sides[0], sides[1], rtol=2e-5, atol=2e-7, err_msg=str(equality))
        checked += 1
    assert checked > 40 and direct > 10


@pytest.mark.parametrize("row", MATRIX[::3], ids=str)
def test_every_equality_of_the_matrix_is_backed_and_no_sentence_is_left_half_written(row) -> None:
    proof = facts_of(network(*row)).proof
    document = proof_document(proof)
    assert unbacked(document, proof) == ()
    words = [p for b in blocks(document.body) for t in texts(b) for p in t if isinstance(p, str)]
    assert not [w for w in words if re.search(r"\bNone\b|\{\w+\}|\$", w)]
