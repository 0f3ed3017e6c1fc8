"""Derived gradients against oracles that know nothing of the engine: SymPy on the written-out cost, complex step, autodiff.

The written-out cost is built here, from one SymPy symbol for each weight and each entry of the data. Its derivatives are
SymPy's; they are compared with the derived equations evaluated over the same symbols by the twenty lines of `Written`.
"""

# ruff: noqa: E741 - l is the number of a layer, as in the texts

import cmath
import random
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import sympy as sp

from symbackprop.evaluation.exact import evaluate
from symbackprop.expression.build import Add, Apply, Entry, Index, Kronecker, Multiply, Number, Power, Sum, Symbol
from symbackprop.frontends.network import Network
from symbackprop.proofs.network import network_gradient

# The written-out cost.


class sigma(sp.Function):
    """The sigmoid, known by its slope alone."""

    def fdiff(self, argindex=1):
        return self * (1 - self)


class TANH(sp.Function):
    """The hyperbolic tangent, known by its slope alone."""

    def fdiff(self, argindex=1):
        return 1 - self**2


class EXPONENTIAL(sp.Function):
    """exp, without the rewriting that SymPy does to its own."""

    def fdiff(self, argindex=1):
        return self


class Data:
    """One symbol for each entry."""

    def __init__(self, widths, examples):
        self.widths, self.m = widths, examples
        name = lambda stem, *places: sp.Symbol(stem + "_".join(map(str, places)))  # noqa: E731
        self.x = [[name("x", n, i) for i in range(widths[0])] for n in range(examples)]
        self.y = [[name("y", n, k) for k in range(widths[-1])] for n in range(examples)]
        self.W = [
            [[name(f"W{l}_", i, j) for j in range(a)] for i in range(b)] for l, (a, b) in enumerate(pairwise(widths), 1)
        ]
        self.b = [[name(f"b{l}_", i) for i in range(b)] for l, b in enumerate(widths[1:], 1)]
        self.lam = sp.Symbol("lam")

    def of_tensor(self, name):
        """Entries of an input as a function of the position."""
        source = (
            {"x": self.x, "y": self.y}
            | {f"W{l}": w for l, w in enumerate(self.W, 1)}
            | {f"b{l}": b for l, b in enumerate(self.b, 1)}
        )

        def at(*places):
            value = source[name]
            for p in places:
                value = value[p]
            return value

        return at


def written_out_cost(data, activation, cost, l2):
    """The regularised mean cost, of scalar symbols alone."""
    total = 0
    for n in range(data.m):
        a = data.x[n]
        for l, (W, b) in enumerate(zip(data.W, data.b, strict=True)):
            z = [sum(w * v for w, v in zip(row, a, strict=True)) + bias for row, bias in zip(W, b, strict=True)]
            last = l == len(data.W) - 1
            if last and cost == "softmax":
                e = [EXPONENTIAL(v) for v in z]
                a = [v / sum(e) for v in e]
            else:
                a = [activation(v) for v in z]
        for h, y in zip(a, data.y[n], strict=True):
            if cost == "squared":
                total += (h - y) ** 2 / 2
            elif cost == "cross":
                total -= y * sp.log(h) + (1 - y) * sp.log(1 - h)
            else:
                total -= y * sp.log(h)
    penalty = data.lam / 2 * sum(w**2 for W in data.W for row in W for w in row) if l2 else 0
    return (total + penalty) / data.m if l2 == "mean" else total / data.m + penalty


def is_zero(difference):
    """Replace each function value by a symbol, then expand the numerator."""
    found = sorted(difference.atoms(sigma, TANH, EXPONENTIAL), key=sp.default_sort_key)
    difference = difference.xreplace({v: sp.Dummy() for v in found})
    return sp.expand(sp.numer(sp.together(difference))) == 0


# The derived equations over the same symbols.


class Written:
    """A program's equations entry by entry, over SymPy symbols: an interpreter of its own."""

    def __init__(self, program, sizes, given, functions):
        self.program, self.sizes, self.given, self.functions = program, sizes, given, functions
        self.memo = {}

    def entry(self, tensor, places):
        if tensor not in self.program.by_tensor:
            return self.given(tensor.name)(*places)
        key = (tensor, places)
        if key not in self.memo:
            equation = self.program.by_tensor[tensor]
            self.memo[key] = self.run(equation.value, dict(zip(equation.indices, places, strict=True)))
        return self.memo[key]

    def run(self, e, at):
        go = lambda c: self.run(c, at)  # noqa: E731
        match e:
            case Number(v):
                return sp.Rational(v.numerator, v.denominator)
            case Symbol(name, _):
                return self.sizes[name]
            case Index():
                return at[e]
            case Entry(tensor, places):
                return self.entry(tensor, tuple(map(go, places)))
            case Add(terms):
                return sp.Add(*map(go, terms))
            case Multiply(factors):
                return sp.Mul(*map(go, factors))
            case Power(base, exponent):
                return go(base) ** go(exponent)
            case Sum(index, body):
                return sp.Add(*(self.run(body, {**at, index: k}) for k in range(int(go(index.size)))))
            case Kronecker(a, b):
                return int(go(a) == go(b))
            case Apply(function, (argument,)):
                return self.functions[function.name](go(argument))
        raise AssertionError(e)


FUNCTIONS = {
    "sigmoid": sigma,
    "sigmoid_prime": lambda t: sigma(t) * (1 - sigma(t)),
    "tanh": TANH,
    "tanh_prime": lambda t: 1 - TANH(t) ** 2,
    "exp": EXPONENTIAL,
    "log": sp.log,
}
NETS = [
    ([2, 2, 1], 2, "sigmoid", "cross_entropy", "cross"),
    ([2, 2, 1], 2, "tanh", "squared_error", "squared"),
    ([3, 5, 4], 1, "sigmoid", "cross_entropy", "cross"),
    ([3, 5, 4], 1, "tanh", "squared_error", "squared"),
    ([3, 5, 4], 1, "sigmoid", "softmax_cross_entropy", "softmax"),
    ([2, 3, 4, 2], 1, "sigmoid", "cross_entropy", "cross"),
    ([3, 5, 5, 4], 1, "tanh", "squared_error", "squared"),
]


@pytest.mark.parametrize(
    ("widths", "examples", "activation", "cost", "short"), NETS, ids=lambda v: str(v).replace(" ", "")
)
def test_all_gradients_are_those_of_sympy_on_the_written_out_cost(widths, examples, activation, cost, short):
    data = Data(widths, examples)
    network = Network(widths, activation=activation, cost=cost, l2="lambda/(2*m)")
    program = network_gradient(network).adjoint
    sizes = {"m": sp.Integer(examples), "lam": data.lam} | {f"s_{l}": sp.Integer(w) for l, w in enumerate(widths, 1)}
    derived = Written(program, sizes, data.of_tensor, FUNCTIONS)
    J = written_out_cost(data, sigma if activation == "sigmoid" else TANH, short, "mean")
    for l in range(1, len(widths)):
        for tensor, variables in ((network.weight(l), data.W[l - 1]), (network.bias(l), data.b[l - 1])):
            bar = next(t for t in program.by_tensor if t.name == f"dJ_d{tensor.name}")
            shape = (widths[l], widths[l - 1]) if tensor.name[0] == "W" else (widths[l],)
            places = list(np.ndindex(*shape))  # all are one formula: of a larger net some are enough
            for place in random.Random(0).sample(places, min(len(places), 6 if len(widths) < 4 else 3)):
                variable = variables
                for p in place:
                    variable = variable[p]
                assert is_zero(sp.diff(J, variable) - derived.entry(bar, place)), (bar.name, place)


def test_the_oracle_sees_a_wrong_gradient():
    data = Data([2, 2, 1], 2)
    J = written_out_cost(data, sigma, "cross", "mean")
    right = sp.diff(J, data.W[0][0][0])
    assert is_zero(right - right)
    assert not is_zero(right - sp.diff(J, data.W[0][0][1]))
    assert not is_zero(2 * right - right)


# Numbers.


def forward(params, X, Y, *, activation, output, cost, lam, l2):
    """The cost in plain NumPy, complex numbers allowed."""
    a, m = X, len(X)
    layers = len(params) // 2
    for l in range(1, layers + 1):
        z = a @ params[f"W{l}"].T + params[f"b{l}"]
        name = output if l == layers else activation
        if name == "softmax":
            e = np.exp(z - z.real.max(1, keepdims=True))
            a = e / e.sum(1, keepdims=True)
        else:
            a = {
                "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
                "tanh": np.tanh,
                "identity": lambda z: z,
                "softplus": lambda z: np.log(1 + np.exp(z)),
                "silu": lambda z: z / (1 + np.exp(-z)),
                "relu": lambda z: z * (z.real > 0),
            }[name](z)
    J = {
        "squared_error": lambda: ((a - Y) ** 2).sum() / 2,
        "cross_entropy": lambda: -(Y * np.log(a) + (1 - Y) * np.log(1 - a)).sum(),
        "softmax_cross_entropy": lambda: -(Y * np.log(a)).sum(),
    }[cost]() / m
    return J + (lam / (2 * m) * sum((params[f"W{l}"] ** 2).sum() for l in range(1, layers + 1)) if l2 else 0)


CASES = [
    ("sigmoid", "sigmoid", "cross_entropy"),
    ("tanh", "identity", "squared_error"),
    ("softplus", "tanh", "squared_error"),
    ("silu", "softmax", "softmax_cross_entropy"),
    ("relu", "sigmoid", "cross_entropy"),
]


def numbers(widths, m, seed, classes):
    rng = np.random.default_rng(seed)
    params = {}
    for l, (a, b) in enumerate(pairwise(widths), 1):
        params |= {f"W{l}": rng.normal(size=(b, a)) * 0.7, f"b{l}": rng.normal(size=b) * 0.5}
    Y = np.eye(widths[-1])[rng.integers(0, widths[-1], m)] if classes else rng.uniform(0.1, 0.9, (m, widths[-1]))
    return params, rng.normal(size=(m, widths[0])), Y


def derived_gradients(widths, params, X, Y, activation, output, cost, lam):
    hidden = [activation] * (len(widths) - 2)
    network = Network(widths, activation=[*hidden, output], cost=cost, l2="lambda/(2*m)")
    sizes = {"m": len(X)} | {f"s_{l}": w for l, w in enumerate(widths, 1)}
    result = evaluate(network_gradient(network).adjoint, sizes, {"x": X, "y": Y, **params}, {"lam": lam})
    return float(result["J"]), {k: result[f"dJ_d{k}"] for k in params}


@pytest.mark.parametrize(("activation", "output", "cost"), CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_agree_with_the_complex_step(activation, output, cost, seed):
    rng = np.random.default_rng(seed + 50)
    widths, m = [int(w) for w in rng.integers(1, 5, size=rng.integers(2, 5))], int(rng.integers(1, 4))
    params, X, Y = numbers(widths, m, seed, output == "softmax")
    J, gradients = derived_gradients(widths, params, X, Y, activation, output, cost, 0.3)
    step = 1e-30
    setting = dict(activation=activation, output=output, cost=cost, lam=0.3, l2=True)
    assert pytest.approx(forward(params, X, Y, **setting), rel=1e-12) == J
    for name, values in params.items():
        for place in np.ndindex(*values.shape):
            moved = {k: v.astype(complex) for k, v in params.items()}
            moved[name][place] += 1j * step
            slope = forward(moved, X, Y, **setting).imag / step
            assert gradients[name][place] == pytest.approx(slope, rel=1e-9, abs=1e-12), (name, place)


@pytest.mark.parametrize(("activation", "output", "cost"), CASES)
def test_gradients_agree_with_torch(activation, output, cost):
    torch = pytest.importorskip("torch")
    widths, m = [3, 4, 2], 3
    params, X, Y = numbers(widths, m, 7, output == "softmax")
    _, gradients = derived_gradients(widths, params, X, Y, activation, output, cost, 0.3)
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in params.items()}
    calls = {
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "identity": lambda z: z,
        "softplus": torch.nn.functional.softplus,
        "silu": torch.nn.functional.silu,
        "relu": torch.relu,
        "softmax": lambda z: torch.softmax(z, 1),
    }
    a, y = torch.tensor(X), torch.tensor(Y)
    for l, name in ((1, activation), (2, output)):
        a = calls[name](a @ leaves[f"W{l}"].T + leaves[f"b{l}"])
    J = {
        "squared_error": lambda: ((a - y) ** 2).sum() / 2,
        "cross_entropy": lambda: -(y * a.log() + (1 - y) * (1 - a).log()).sum(),
        "softmax_cross_entropy": lambda: -(y * a.log()).sum(),
    }[cost]() / m
    (J + 0.3 / (2 * m) * sum((leaves[f"W{l}"] ** 2).sum() for l in (1, 2))).backward()
    for name, leaf in leaves.items():
        np.testing.assert_allclose(gradients[name], leaf.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("activation", "output", "cost"), [c for c in CASES if c[0] != "relu"])
def test_gradients_agree_with_jax(activation, output, cost):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    widths, m = [2, 3, 3], 2
    params, X, Y = numbers(widths, m, 3, output == "softmax")
    _, gradients = derived_gradients(widths, params, X, Y, activation, output, cost, 0.3)
    calls = {
        "sigmoid": jax.nn.sigmoid,
        "tanh": jnp.tanh,
        "identity": lambda z: z,
        "softplus": jax.nn.softplus,
        "silu": jax.nn.silu,
        "softmax": jax.nn.softmax,
    }

    def total(p):
        a = X
        for l, name in ((1, activation), (2, output)):
            a = calls[name](a @ p[f"W{l}"].T + p[f"b{l}"])
        J = {
            "squared_error": lambda: ((a - Y) ** 2).sum() / 2,
            "cross_entropy": lambda: -(Y * jnp.log(a) + (1 - Y) * jnp.log(1 - a)).sum(),
            "softmax_cross_entropy": lambda: -(Y * jnp.log(a)).sum(),
        }[cost]() / m
        return J + 0.3 / (2 * m) * sum((p[f"W{l}"] ** 2).sum() for l in (1, 2))

    for name, value in jax.grad(total)(params).items():
        np.testing.assert_allclose(gradients[name], value, rtol=1e-9, atol=1e-12)


# A case worked by hand.


def test_one_weight_by_hand():
    """One sigmoid unit, x = 2, y = 1, W = 1/2, b = 0: z = 1, J = log(1 + e^-1), dJ/dW = 2 (sigma(1) - 1)."""
    result = evaluate(
        network_gradient(Network([1, 1], cost="cross_entropy")).adjoint,
        {"m": 1, "s_1": 1, "s_2": 1},
        {"x": [[2]], "y": [[1]], "W1": [[Fraction(1, 2)]], "b1": [0]},
    )
    sigma_1 = 1 / (1 + cmath.exp(-1).real)
    assert float(result["J"]) == pytest.approx(cmath.log(1 + cmath.exp(-1)).real, rel=1e-15)
    assert float(result["dJ_dW1"][0, 0]) == pytest.approx(2 * (sigma_1 - 1), rel=1e-15)
    assert float(result["dJ_db1"][0]) == pytest.approx(sigma_1 - 1, rel=1e-15)


# Published numbers.

MOSHER = {
    0: (7.4070, "0.766138 0.979897 -0.027540 -0.035844 -0.024929 -0.053862 0.883417 0.568762 0.584668 0.598139 "
                "0.459314 0.344618 0.256313 0.311885 0.478337 0.368920 0.259771 0.322331"),
    4: (19.474, "0.76614 0.97990 0.37246 0.49749 0.64174 0.74614 0.88342 0.56876 0.58467 0.59814 "
                "1.92598 1.94462 1.98965 2.17855 2.47834 2.50225 2.52644 2.72233"),
}  # fmt: skip


@pytest.mark.parametrize("lam", [0, 4])
def test_the_published_test_case_of_the_regularised_cross_entropy_network(lam):
    """Source: T. Mosher, "Test cases for ex4 nnCostFunction()", course forum of A. Ng's Machine Learning (Coursera).

    Theta is 1:18 / 10, unrolled by columns, with the bias as column 0; y = [4; 2; 3] counts from 1.
    """
    theta = np.arange(1, 19) / 10
    first, second = theta[:6].reshape((2, 3), order="F"), theta[6:].reshape((4, 3), order="F")
    given = {"x": np.cos([[1, 2], [3, 4], [5, 6]]), "y": np.eye(4)[[3, 1, 2]],
             "W1": first[:, 1:], "b1": first[:, 0], "W2": second[:, 1:], "b2": second[:, 0]}  # fmt: skip
    adjoint = network_gradient(Network([2, 2, 4], l2="lambda/(2*m)")).adjoint
    result = evaluate(adjoint, {"m": 3, "s_1": 2, "s_2": 2, "s_3": 4}, given, {"lam": lam})
    unrolled = [np.c_[result[f"dJ_db{l}"], result[f"dJ_dW{l}"]].ravel(order="F") for l in (1, 2)]
    cost, gradient = MOSHER[lam]
    assert float(result["J"]) == pytest.approx(cost, rel=5e-5)
    np.testing.assert_allclose(np.concatenate(unrolled), [float(g) for g in gradient.split()], atol=5.1e-6)
