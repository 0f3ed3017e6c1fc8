"""Generated gradients against complex step: every output beside every cost, penalty, reduction, form and backend.

The reference is written here, in a few lines of NumPy over complex numbers: it knows nothing of the package. A step of
1e-30 along the imaginary axis gives each slope to rounding.
"""

import itertools
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thinning import EVERYTHING

import symbackprop as sb
from symbackprop.codegen.variants import numpy_variants, runner_variants
from symbackprop.errors import UnsupportedError

# The whole product on every backend takes half an hour; without it each output stands beside each cost at least once
# (in C, where each is a run of the compiler, each of them at least once).
WIDTHS, ROWS = (2, 3, 4), 3
HYPER = {"lam": 0.7, "mu": 0.3}
KNOWN = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "sqrt": np.sqrt}

HIDDEN = {
    "tanh": np.tanh,
    "relu": lambda z: np.where(z.real > 0, z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "z/(1 + exp(-z))": lambda z: z / (1 + np.exp(-z)),
    "log(1 + z**2)": lambda z: np.log(1 + z**2),
}
OUTPUT = {
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
    "sigmoid": HIDDEN["sigmoid"],
    "identity": lambda z: z,
    "tanh": np.tanh,
    "1/(1 + z**2)": lambda z: 1 / (1 + z**2),
}
COST = {
    "squared_error": lambda h, y: (h - y) ** 2 / 2,
    "cross_entropy": lambda h, y: -y * np.log(h) - (1 - y) * np.log(1 - h),
    "softmax_cross_entropy": lambda h, y: -y * np.log(h),
    "log(1 + (h - y)**2)": lambda h, y: np.log(1 + (h - y) ** 2),
    "-y*log(h)": lambda h, y: -y * np.log(h),
    "-y*log(h) - (1 - y)*log(1 - h)": lambda h, y: -y * np.log(h) - (1 - y) * np.log(1 - h),
    "(h - y)**4 + h*y": lambda h, y: (h - y) ** 4 + h * y,
}
POSITIVE = {"softmax", "sigmoid", "1/(1 + z**2)"}  # outputs of which a logarithm can be taken
PENALTY = {
    "none": ({}, lambda W, m: 0),
    "l2": ({"l2": "lambda/(2*m)"}, lambda W, m: 0.7 / (2 * m) * (W**2).sum()),
    "l1 and l2": (
        {"l1": "mu", "l2": "lambda/2"},
        lambda W, m: 0.35 * (W**2).sum() + 0.3 * (W * np.sign(W.real)).sum(),
    ),
}


def allowed(output, cost):
    if cost == "softmax_cross_entropy":
        return output == "softmax"
    return ("log(h)" not in cost and cost != "cross_entropy") or output in POSITIVE


def combinations():
    for hidden, output, cost, penalty, reduction in itertools.product(HIDDEN, OUTPUT, COST, PENALTY, ("mean", "sum")):
        if allowed(output, cost):
            yield hidden, output, cost, penalty, reduction


def some(every, count, seed):
    """All of them where everything is asked for, else as many as asked, with every output beside every cost."""
    every = list(every)
    if EVERYTHING:
        return every
    order = np.random.default_rng(seed).permutation(len(every))
    first = {}
    for k in order:
        first.setdefault(every[k][1:3], every[k])
    rest = [every[k] for k in order if every[k] not in first.values()]
    return [*first.values(), *rest][: max(count, len(first))]


def covering(every, seed):
    """All of them where everything is asked for, else few with every cost, and outputs and penalties by reduction."""
    every = list(every)
    if EVERYTHING:
        return every

    def parts(hidden, output, cost, penalty, reduction):
        return {hidden, cost, (output, reduction), (penalty, reduction)}

    every = [every[k] for k in np.random.default_rng(seed).permutation(len(every))]
    chosen, missing = [], set().union(*(parts(*c) for c in every))
    while missing:
        chosen.append(max(every, key=lambda c: len(missing & parts(*c))))
        missing -= parts(*chosen[-1])
    return chosen


class Reference:
    """A network's cost over complex numbers."""

    def __init__(self, hidden, output, cost, penalty, reduction, seed=0):
        self.functions, self.cost = (HIDDEN.get(hidden, hidden), OUTPUT.get(output, output)), COST.get(cost, cost)
        self.penalty, self.reduction = PENALTY[penalty][1], reduction
        random = np.random.default_rng(seed)
        self.params = {}
        for k, (a, b) in enumerate(itertools.pairwise(WIDTHS), 1):
            self.params[f"W{k}"] = random.normal(size=(b, a)) * 0.8
            self.params[f"b{k}"] = random.normal(size=b) * 0.5
        self.X, self.Y = random.normal(size=(ROWS, WIDTHS[0])), random.uniform(0.1, 0.9, (ROWS, WIDTHS[-1]))
        if output == "softmax":
            self.Y /= self.Y.sum(axis=1, keepdims=True)

    def value(self, params):
        a = self.X.astype(complex)
        for k in (1, 2):
            a = self.functions[k - 1](a @ params[f"W{k}"].T + params[f"b{k}"])
        total = self.cost(a, self.Y).sum()
        m = ROWS if self.reduction == "mean" else 1
        return total / m + sum(self.penalty(params[f"W{k}"], ROWS) for k in (1, 2))

    def gradient(self):
        found = {}
        for name, array in self.params.items():
            found[name] = np.empty_like(array)
            for place in np.ndindex(*array.shape):
                moved = {n: p.astype(complex) for n, p in self.params.items()}
                moved[name][place] += 1e-30j
                found[name][place] = self.value(moved).imag / 1e-30
        return found


def network(hidden, output, cost, penalty, reduction):
    options = PENALTY[penalty][0]
    return sb.Network(WIDTHS, activation=[hidden, output], cost=cost, reduction=reduction, **options)


def check_all_forms(code, reference, dtype, backend):
    """Every way of calling, and every form of the code, has the reference's cost and gradient."""
    tolerance = 1e-10 if dtype == "float64" else 5e-4
    cost, expected = float(reference.value(reference.params).real), reference.gradient()
    scale = max(1.0, *(np.abs(g).max() for g in expected.values()))
    hyper = {name: HYPER[name] for name in code.layout.hyper}
    X, Y = reference.X.astype(dtype), reference.Y.astype(dtype)
    params = {n: p.astype(dtype) for n, p in reference.params.items()}
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)  # noqa: E731
    J, grads = code(params, X, Y, **hyper)
    close(J, cost)
    for name in params:
        close(grads[name], expected[name])
        close(code.gradient(params, X, Y, **hyper)[name], expected[name])
    close(code.cost(params, X, Y, **hyper), cost)
    flat = np.concatenate([expected[n].ravel() for n in code.layout.names])
    theta = np.concatenate([params[n].ravel() for n in code.layout.names])
    J, g = code.flat(theta, X, Y, **hyper)
    close(J, cost)
    close(g, flat)
    out = np.empty_like(theta)
    close(code.bind(theta, X, Y, out=out, **hyper)(), cost)
    close(out, flat)
    order = np.arange(ROWS)
    moved = theta.copy()
    code.epoch(moved, X, Y, order=order, batch=ROWS, rate=0.25, **hyper)
    close(moved, theta - 0.25 * flat)
    variants = numpy_variants(code.numpy, code.layout.dtype) if backend == "numpy" else runner_variants(code.runners)
    arrays = [X, Y, *(params[n] for n in code.layout.names)]
    for variant in variants:
        J, parts = variant.run(arrays, [float(v) for v in hyper.values()])
        if J is not None:
            close(J, cost)
        for name, part in zip(code.layout.names, parts or (), strict=False):
            close(part, expected[name])


IN_NUMPY = some(combinations(), 30, 1)


@pytest.mark.parametrize(
    ("combination", "dtype"),
    [*((c, "float64") for c in IN_NUMPY), *((c, "float32") for c in IN_NUMPY[:: 1 if EVERYTHING else 3])],
    ids=lambda v: v if isinstance(v, str) else "-".join(v),
)
def test_numpy_gradient_is_the_slope_of_the_cost(combination, dtype):
    code = sb.compile(network(*combination), "numpy", dtype)
    check_all_forms(code, Reference(*combination), dtype, "numpy")


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("dtype", ["float64", "float32"] if EVERYTHING else ["float64"])
@pytest.mark.parametrize("combination", covering(combinations(), 2), ids="-".join)
def test_c_gradient_is_the_slope_of_the_cost(combination, dtype):
    code = sb.compile(network(*combination), "c", dtype)
    assert code.backend == "c"
    check_all_forms(code, Reference(*combination), dtype, "c")


@pytest.mark.parametrize("combination", some(combinations(), 1, 3)[:: 1 if EVERYTHING else 4], ids="-".join)
def test_jax_gradient_is_the_slope_of_the_cost(combination):
    pytest.importorskip("jax")
    code = sb.compile(network(*combination), "jax")
    check_all_forms(code, Reference(*combination), "float64", "jax")


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("output", "cost"), sorted({c[1:3] for c in combinations()}))
def test_gradient_is_that_of_pytorch(output, cost, reduction):
    torch = pytest.importorskip("torch")
    code = sb.compile(network("tanh", output, cost, "l1 and l2", reduction))
    reference = Reference("tanh", output, cost, "l1 and l2", reduction, seed=4)
    names = {"exp": torch.exp, "log": torch.log}
    params = {n: torch.tensor(p, requires_grad=True) for n, p in reference.params.items()}
    a = torch.tensor(reference.X)
    for k, f in ((1, torch.tanh), (2, None)):
        z = a @ params[f"W{k}"].T + params[f"b{k}"]
        known = {"softmax": lambda z: torch.softmax(z, 1), "sigmoid": torch.sigmoid, "tanh": torch.tanh}
        known["identity"] = lambda z: z
        text = output
        a = f(z) if f else known[text](z) if text in known else eval(text, names | {"z": z})
    y = torch.tensor(reference.Y)
    formulas = {
        "squared_error": "(h - y)**2/2",
        "cross_entropy": "-y*log(h) - (1 - y)*log(1 - h)",
        "softmax_cross_entropy": "-y*log(h)",
    }
    J = eval(formulas.get(cost, cost), names | {"h": a, "y": y}).sum() / (ROWS if reduction == "mean" else 1)
    J = J + sum(0.35 * (params[f"W{k}"] ** 2).sum() + 0.3 * params[f"W{k}"].abs().sum() for k in (1, 2))
    J.backward()
    cost_found, grads = code({n: p for n, p in reference.params.items()}, reference.X, reference.Y, **HYPER)
    np.testing.assert_allclose(cost_found, J.item(), rtol=1e-12)
    for name, p in params.items():
        np.testing.assert_allclose(grads[name], p.grad.numpy(), rtol=1e-9, atol=1e-12)


# Formulas of one's own.

ATOMS = ("u", "tanh(u)", "exp(-u**2)", "log(1 + u**2)", "1/(1 + exp(-u))", "u**2", "sqrt(1 + u**2)", "u/(1 + u**2)")


@st.composite
def formulas(draw, names):
    """A smooth formula in each of these names."""
    parts = []
    for name in names:
        inner = draw(st.sampled_from([name, f"({name} - 0.5)", f"2*{name}", f"({name} + {names[-1]})"]))
        atom = draw(st.sampled_from(ATOMS)).replace("u", f"({inner})")
        parts.append(f"{draw(st.sampled_from(['', '0.5*', '3*']))}{atom}".replace("tanh(", "tanh("))
    return draw(st.sampled_from([" + ", " - ", "*"])).join(f"({p})" for p in parts)


@settings(max_examples=200 if EVERYTHING else 6, deadline=None)
@given(formulas(["z"]), formulas(["h", "y"]), st.sampled_from(["softmax", "sigmoid", "identity"]), st.booleans())
def test_own_formulas_have_the_slopes_of_their_cost(activation, cost, output, mean):
    hidden = lambda z: eval(activation, KNOWN | {"z": z})  # noqa: E731
    own = lambda h, y: eval(cost, KNOWN | {"h": h, "y": y})  # noqa: E731
    reduction = "mean" if mean else "sum"
    reference = Reference(hidden, output, own, "l2", reduction)
    try:
        code = sb.compile(
            sb.Network(WIDTHS, activation=[activation, output], cost=cost, reduction=reduction, l2="lambda/(2*m)")
        )
    except UnsupportedError:
        return
    check_all_forms(code, reference, "float64", "numpy")
