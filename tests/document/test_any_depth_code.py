"""The listing for any depth: run as it is printed, beside the compiled network."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.document.any_depth_code import loop_lines, loop_module
from symbackprop.document.model import Listing, blocks
from symbackprop.document.proof_document import numpy_lines, proof_document
from symbackprop.rendering.notation import NOTATIONS

NETWORKS = {
    "sigmoid": ({"activation": "sigmoid", "cost": "cross_entropy", "l2": "lambda/(2*m)"}, {"lam": 0.7}),
    "tanh": ({"activation": "tanh", "cost": "squared_error", "reduction": "sum"}, {}),
    "relu and softmax": ({"activation": ["relu", "softmax"], "cost": "softmax_cross_entropy"}, {}),
    "l1": ({"activation": "gelu", "cost": "squared_error", "l1": "mu"}, {"mu": 0.3}),
}


def _gradients(options):
    proof = sb.prove(sb.Network(depth="L", **options))
    source = loop_module(proof, [e for part in proof.parts for e in part.equations])
    names: dict = {}
    exec(compile(source, "listing", "exec"), names)
    return names["gradients"]


@pytest.mark.parametrize("widths", [[3, 2], [3, 4, 2], [2, 5, 3, 4, 3]], ids=len)
@pytest.mark.parametrize("name", NETWORKS)
def test_listing_for_any_depth_computes_the_gradients_of_the_compiled_network(name, widths) -> None:
    options, hyper = NETWORKS[name]
    activation = options["activation"]
    each = activation if isinstance(activation, str) else [activation[0]] * (len(widths) - 2) + [activation[1]]
    net = sb.Network(widths, **{**options, "activation": each})
    rng = np.random.default_rng(len(widths))
    params = {k: rng.normal(size=v.shape) for k, v in net.init(seed=0).items()}
    x, y = rng.normal(size=(6, widths[0])), rng.uniform(0.1, 0.9, size=(6, widths[-1]))
    y = y / y.sum(axis=1, keepdims=True)
    _, expected = sb.compile(net)(params, x, y, **hyper)
    layers = range(1, len(widths))
    W, b = {k: params[f"W{k}"] for k in layers}, {k: params[f"b{k}"] for k in layers}
    dW, db = _gradients(options)(W, b, x, y, **hyper)
    for k in layers:
        np.testing.assert_allclose(dW[k], expected[f"W{k}"], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(db[k], expected[f"b{k}"], rtol=1e-10, atol=1e-13)


def test_lines_are_those_of_the_recursion() -> None:
    proof = sb.prove(sb.Network(depth="L", activation="sigmoid", cost="cross_entropy"))
    lines = {t.name: line for t, line in loop_lines(proof).items()}
    assert lines == {
        "delta_L": "delta[L] = (a[L] - y) / m",
        "delta_l": "delta[l] = (delta[l + 1] @ W[l]) * sigmoid_prime(z[l])",
        "dJ_dW_l": "dW[l] = delta[l + 1].T @ a[l]",
        "dJ_db_l": "db[l] = delta[l + 1].sum(axis=0)",
    }


def test_an_arbitrary_activation_is_an_argument_of_the_listing() -> None:
    proof = sb.prove(sb.Network(depth="L", activation="f", cost="squared_error"))
    source = loop_module(proof, [e for part in proof.parts for e in part.equations])
    assert "def gradients(W, b, x, y, f, f_prime):" in source


def test_full_document_has_the_listing_and_brief_has_not() -> None:
    proof = sb.prove(sb.Network(depth="L", activation="sigmoid", cost="cross_entropy"))
    for notation in ("weights", "theta", "nielsen"):
        full = proof_document(proof, notation=NOTATIONS[notation], code=numpy_lines(proof))
        assert any(isinstance(b, Listing) and "for l in range(L - 1, 0, -1):" in b.text for b in blocks(full.body))
    brief = proof_document(proof, detail="brief", code=numpy_lines(proof))
    assert not any(isinstance(b, Listing) for b in blocks(brief.body))
