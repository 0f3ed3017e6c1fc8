"""Each line of a proved backward pass is found in the derivation; a wrong line is not called what it is not."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from symbackprop import check
from symbackprop.evaluation.exact import evaluate
from symbackprop.proofs.line_by_line import identities
from symbackprop.proofs.shortening.unit_axes import squeezed
from symbackprop.rendering.text import to_text

GALLERY = Path(__file__).resolve().parents[2] / "derivations"
LAYERS = sorted(p for p in GALLERY.glob("*/*.py") if re.match(r"1[3-7]_", p.parent.name) and p.name != "claim.py")


def verdict_on(path):
    module = runpy.run_path(str(path))
    options = {"shapes": module["SHAPES"], "assume": module.get("ASSUME"), "where": module.get("WHERE")}
    return check(module["forward"], module["backward"], **options)


@pytest.mark.parametrize("path", LAYERS, ids=lambda p: p.stem)
def test_identities_reach_every_gradient_of_a_proved_layer(path):
    verdict = verdict_on(path)
    found = {i.claimed.tensor: to_text(i.value) for i in identities(squeezed(verdict.claim), squeezed(verdict.program))}
    for output in squeezed(verdict.claim).outputs:
        assert output in found, f"{output.name} was not found in the derivation"
        assert "_bar" in found[output]


def test_identities_hold_in_numbers_at_another_point():
    verdict = verdict_on(GALLERY / "15_layernorm" / "layernorm.py")
    claim, truth = squeezed(verdict.claim), squeezed(verdict.program)
    sizes, rng = {"N": 3, "D": 4}, np.random.default_rng(8)
    shapes = {"x": (3, 4), "gain": (4,), "bias": (4,), "dout": (3, 4)}
    inputs = {t.name: rng.normal(size=shapes[t.name]) for t in truth.inputs}
    derived = evaluate(truth, sizes, inputs)
    computed = evaluate(claim, sizes, {t.name: derived[t.name] for t in claim.inputs})
    found = {to_text(i.claimed.left): to_text(i.value) for i in identities(claim, truth)}
    assert found["root[n]"] == "sqrt(var[n] + 1/100000)" and found["g[n,d]"] == "x_hat_bar[n,d]"
    np.testing.assert_allclose(computed["root"], np.sqrt(derived["var"] + 1e-5), rtol=1e-12)
    np.testing.assert_allclose(computed["g"], derived["x_hat_bar"], rtol=1e-12)
    np.testing.assert_allclose(computed["dx"], derived["x_bar"], rtol=1e-9)


def test_identities_say_nothing_of_a_gradient_that_is_wrong():
    def forward(x):
        return x**3

    def backward(dout, x):
        square = x**2
        return {"x": 2 * square * dout}

    verdict = check(forward, backward, shapes={"x": ("N",)})
    assert verdict.status == "REFUTED"
    found = {i.claimed.tensor.name for i in identities(squeezed(verdict.claim), squeezed(verdict.program))}
    assert "dx" not in found and found
