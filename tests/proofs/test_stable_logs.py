"""Logarithms in a form that cannot overflow: finite where the plain form is not, and equal to it elsewhere."""

import numpy as np
import pytest
from scipy.special import expit

import symbackprop as sb
from symbackprop.evaluation.exact import evaluate
from symbackprop.expression.build import apply
from symbackprop.expression.functions import FUNCTIONS
from symbackprop.frontends.numpy.traced import trace
from symbackprop.proofs import stable_logs

POINTS = np.array([[-2.0, 0.5, 3.0], [1.0, -0.25, 0.0]])
FAR = np.array([[-800.0, 2.0, 900.0], [750.0, 40.0, -1000.0]])
COSTS = {
    "log of a sigmoid": (lambda x: np.log(1 / (1 + np.exp(-x))).sum(), lambda x: -np.logaddexp(0, -x).sum()),
    "log of its complement": (lambda x: np.log(1 - 1 / (1 + np.exp(-x))).sum(), lambda x: -np.logaddexp(0, x).sum()),
    "log of a named sigmoid": (lambda x: np.log(expit(x)).sum(), lambda x: -np.logaddexp(0, -x).sum()),
    "log of its named complement": (lambda x: np.log(1 - expit(x)).sum(), lambda x: -np.logaddexp(0, x).sum()),
    "log of a sum of exponentials": (
        lambda x: np.log(np.exp(x).sum(axis=1)).sum(),
        lambda x: np.logaddexp.reduce(x, axis=1).sum(),
    ),
    "log of a share": (
        lambda x: np.log(np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)).sum(),
        lambda x: (x - np.logaddexp.reduce(x, axis=1)[:, None]).sum(),
    ),
    "log of another share": (
        lambda x: np.log(np.exp(2.0 * x) / np.exp(x).sum(axis=1, keepdims=True)).sum(),
        lambda x: (2.0 * x - np.logaddexp.reduce(x, axis=1)[:, None]).sum(),
    ),
}


@pytest.mark.parametrize("name", COSTS)
def test_stable_form_has_the_value_of_the_plain_one(name):
    cost, expected = COSTS[name]
    program = trace(cost, {"x": ("N", "K")})
    stable = stable_logs.stabilise(program)
    sizes = {"N": 2, "K": 3}
    for made in (program, stable):
        (value,) = (float(evaluate(made, sizes, {"x": POINTS})[t.name]) for t in made.outputs)
        assert value == pytest.approx(expected(POINTS), rel=1e-12)


STABLE = ["log of a named sigmoid", "log of its named complement", "log of a sum of exponentials", "log of a share"]


@pytest.mark.parametrize("name", STABLE)
def test_stable_form_is_finite_far_out(name):
    cost, expected = COSTS[name]
    f = sb.compile(trace(cost, {"x": ("N", "K")}))
    with np.errstate(all="ignore"):
        (value,) = [v for v in f(x=FAR).values() if np.ndim(v) == 0]
    assert float(value) == pytest.approx(expected(FAR), rel=1e-12)


def test_a_wrong_proposal_is_dropped(monkeypatch):
    """The logarithms are rewritten by a table that nothing else checks: the normal form decides whether it is right."""
    monkeypatch.setattr(stable_logs, "softplus", lambda expr, context: apply(FUNCTIONS["sigmoid"], expr))
    for cost, _ in (COSTS["log of a sigmoid"], COSTS["log of its complement"]):
        program = trace(cost, {"x": ("N", "K")})
        assert stable_logs.in_logits(program).equations == program.equations
