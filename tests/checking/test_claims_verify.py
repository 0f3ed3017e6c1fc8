"""Right and wrong hand derivations: each is decided as its file says, as text and as SymPy; every counterexample holds in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hand_claims import FOLDER, Net, as_sympy, read_claims
from thinning import thinned

import symbackprop as sb

FILES = {path.stem: read_claims(path) for path in sorted(FOLDER.glob("*.txt"))}
CASES = [(name, *claim) for name, (_, claims) in FILES.items() for claim in claims]
NETWORKS = {name: sb.Network(**arguments) for name, (arguments, _) in FILES.items()}


def test_there_are_enough_wrong_variants():
    assert sum(case[1] == "REFUTED" for case in CASES) >= 60
    assert sum(case[1] == "PROVED" for case in CASES) >= 30


@pytest.mark.parametrize(("name", "expected", "cause", "formula"), CASES, ids=[f"{c[0]}: {c[3][:60]}" for c in CASES])
def test_claim_as_text(name, expected, cause, formula):
    verdict = sb.verify(NETWORKS[name], formula)
    assert verdict.status == expected, f"{cause}\n{verdict}"
    if expected == "PROVED":
        assert verdict.scope == "all sizes" and verdict.counterexample is None
        return
    found = verdict.counterexample
    net = Net(FILES[name][0], found)
    true, claimed = net.true(found.entry.name), net.claimed(formula, found.entry.index)
    np.testing.assert_allclose(found.correct[found.entry.name], true, rtol=1e-9, atol=1e-12)
    assert found.entry.claimed == pytest.approx(claimed, rel=1e-9, abs=1e-12)
    assert abs(claimed - true[found.entry.index]) > 1e-7 * max(1.0, abs(claimed))
    if verdict.cure:
        assert sb.verify(NETWORKS[name], verdict.cure).status == "PROVED"


@pytest.mark.parametrize(
    ("name", "expected", "cause", "formula"), thinned(CASES, 4), ids=[f"{c[0]}: {c[3][:60]}" for c in CASES]
)
def test_claim_as_sympy(name, expected, cause, formula):
    left = formula.split(" = ")[0]
    verdict = sb.verify(NETWORKS[name], left, as_sympy(formula, FILES[name][0]["layers"]))
    assert verdict.status == expected, f"{cause}\n{verdict}"


WORDS = [
    ("sigmoid_cross_entropy_l2", "delta3[n,k] = a3[n,k] - y[n,k]", "a factor 1/m is missing: J is a mean over m"),
    ("sigmoid_cross_entropy_l2", "delta3[n,k] = (y[n,k] - a3[n,k])/m", "the sign is wrong"),
    ("sigmoid_cross_entropy_l2", "delta2[n,i] = sum(j, W2[j,i]*delta3[n,j])", "the slope of sigmoid is missing"),
    (
        "sigmoid_cross_entropy_l2",
        "delta2[n,i] = sum(j, W2[j,i]*delta3[n,j])*f_prime(a2[n,i])",
        "sigmoid' must be taken at z2, not at a2",
    ),
    (
        "sigmoid_cross_entropy_l2",
        "delta2[n,i] = sum(j, W2[i,j]*delta3[n,j])",
        "two indices of W2 are swapped, and the slope of sigmoid is missing",
    ),
    (
        "sigmoid_cross_entropy_l2",
        "delta2[n,i] = sum(j, W1[j,i]*delta3[n,j])*f_prime(z2[n,i])",
        "W2 belongs where W1 stands",
    ),
    (
        "sigmoid_cross_entropy_l2",
        "dJ/dW2[i,j] = sum(n, delta3[n,j]*a2[n,i]) + lam/m*W2[i,j]",
        "a2 and delta3 are interchanged",
    ),
    ("sigmoid_cross_entropy_l2", "dJ/dW2[i,j] = delta3[n,i]*a2[n,j] + lam/m*W2[i,j]", "the sum over n is missing"),
    ("sigmoid_cross_entropy_l2", "dJ/dW1[i,j] = sum(n, delta2[n,i]*x[n,j])", "the term lam*W1[i,j]/m is missing"),
    (
        "sigmoid_cross_entropy_l2",
        "dJ/db1[i] = sum(n, delta2[n,i]) + lam/m*b1[i]",
        "the term lam*b1[i]/m does not belong",
    ),
    ("sigmoid_cross_entropy_l2", "z2[n,i] = sum(j, W1[i,j]*x[n,j])", "the term b1[i] is missing"),
]


@pytest.mark.parametrize(("name", "formula", "words"), WORDS, ids=[formula for _, formula, _ in WORDS])
def test_verify_names_the_slip_and_its_cure_is_proved(name, formula, words):
    verdict = sb.verify(NETWORKS[name], formula)
    assert verdict.status == "REFUTED" and words in verdict.diagnosis
    assert sb.verify(NETWORKS[name], verdict.cure).status == "PROVED"


def test_verify_lists_what_is_assumed_of_the_data_only_where_the_proof_needs_it():
    net = NETWORKS["relu_softmax"]
    assumed = "the rows of y add up to 1"
    assert assumed in sb.verify(net, "delta4[n,k] = (h[n,k] - y[n,k])/m").conditions
    assert assumed not in sb.verify(net, "delta4[n,k] = (h[n,k]*sum(j, y[n,j]) - y[n,k])/m").conditions
    assert assumed not in sb.verify(net, "delta3[n,i] = sum(j, W3[j,i]*delta4[n,j])*step(z3[n,i])").conditions


def test_verify_takes_a_claim_in_terms_of_what_comes_later():
    net = NETWORKS["sigmoid_cross_entropy_l2"]
    assert sb.verify(net, "z2[n,i] = log(a2[n,i]/(1 - a2[n,i]))").status == "PROVED"
    verdict = sb.verify(net, "z2[n,i] = log(a2[n,i]/(1 - a2[n,i])) + 1")
    assert verdict.status == "REFUTED" and "z2" not in verdict.cure.partition("=")[2]
    assert sb.verify(net, "delta2[n,i] = delta2[n,i]").status == "PROVED"
    verdict = sb.verify(net, "delta2[n,i] = 2*delta2[n,i]")
    assert verdict.status == "REFUTED" and "delta2" not in verdict.cure.partition("=")[2]
