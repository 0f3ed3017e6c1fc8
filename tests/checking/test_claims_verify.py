"""Right and wrong hand derivations: each is decided as its file says, as text and as SymPy; every counterexample holds in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hand_claims import FOLDER, Net, as_sympy, read_claims

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


@pytest.mark.parametrize(("name", "expected", "cause", "formula"), CASES, ids=[f"{c[0]}: {c[3][:60]}" for c in CASES])
def test_claim_as_sympy(name, expected, cause, formula):
    left = formula.split(" = ")[0]
    verdict = sb.verify(NETWORKS[name], left, as_sympy(formula, FILES[name][0]["layers"]))
    assert verdict.status == expected, f"{cause}\n{verdict}"
