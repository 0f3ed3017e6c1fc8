"""Networks: described, refused with one message, written as equations."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

from symbackprop.calculus.rules import tensors_in
from symbackprop.errors import NetworkError, SymbackpropError
from symbackprop.evaluation.exact import evaluate
from symbackprop.frontends.network import Network, written_out
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.proofs.stable_logs import stabilise

LAYERS = [3, 5, 4]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("3,0,4", "layer 2 has 0 units"),
        ("3,-1,2", "layer 2 has -1 units"),
        ("3", "a network has at least two layers, input and output"),
        ("a b", "the width of layer 1, 'a b', is neither a whole number nor a name"),
        ("3,,4", "the width of layer 2 is missing"),
        ([3, 10**9], "layer 2 has 1000000000 units, more than 100000000"),
        ([3, 2.5], "the width of layer 2 is 2.5, not a whole number"),
        ([3, True], "the width of layer 2 is True, not a whole number"),
        (["m", 2], "'m' has a meaning of its own and cannot name a width"),
        (["__import__('os')", 2], "the width of layer 1, \"__import__('os')\", is neither a whole number nor a name"),
    ],
)
def test_layers_that_make_no_sense_are_refused(layers, message):
    with pytest.raises(NetworkError) as error:
        Network(layers)
    assert str(error.value).split("\n")[0] == message


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "sigmod"},
        {"cost": "cross_entrpy"},
        {"activation": ["softmax", "sigmoid"]},
        {"activation": ["sigmoid"]},
        {"cost": "softmax_cross_entropy", "activation": ["tanh", "tanh"]},
        {"reduction": "median"},
        {"l2": "__import__('os').system('true')"},
        {"l2": "lambda x: x"},
        {"l2": "9**9**9"},
        {"l2": "h + 1"},
        {"activation": "__import__('os').system('true')"},
        {"activation": "z.__class__"},
        {"activation": sp.Symbol("s") + sp.Symbol("t")},
        {"cost": "h.__class__"},
        {"cost": sp.Symbol("q") ** 2},
        {"depth": "L"},
        {"depth": "1L"},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(SymbackpropError):
        Network(LAYERS, **options).program  # noqa: B018


def test_the_nearest_name_is_suggested():
    with pytest.raises(NetworkError, match="did you mean 'sigmoid'"):
        Network(LAYERS, activation="sigmod")
    with pytest.raises(NetworkError, match="did you mean 'cross_entropy'"):
        Network(LAYERS, cost="cross_entrpy")


def test_equations_are_those_of_the_seeds():
    """z = W a + b, a = f(z), from layer to layer; W leads from layer l to l + 1, i receives and j sends."""
    program = Network(LAYERS, activation="tanh", cost="squared_error").program
    assert [e.tensor.name for e in program.equations] == ["z2", "a2", "z3", "a3", "J"]
    assert [t.name for t in program.inputs] == ["x", "y", "W1", "b1", "W2", "b2"]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3)), rng.normal(size=(2, 4))
    W1, b1, W2, b2 = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=(4, 5)), rng.normal(size=4)
    sizes = {"m": 2, "s_1": 3, "s_2": 5, "s_3": 4}
    result = evaluate(program, sizes, {"x": x, "y": y, "W1": W1, "b1": b1, "W2": W2, "b2": b2})
    h = np.tanh(np.tanh(x @ W1.T + b1) @ W2.T + b2)
    np.testing.assert_allclose(result["a3"], h, rtol=1e-12)
    assert float(result["J"]) == pytest.approx(((h - y) ** 2).sum() / 4, rel=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("cost", ["cross_entropy", "softmax_cross_entropy"])
def test_the_stable_cost_is_the_cost(cost, reduction):
    network = Network(LAYERS, activation="sigmoid", cost=cost, l2="lambda/(2*m)", reduction=reduction)
    rng = np.random.default_rng(1)
    inputs = {"x": rng.normal(size=(3, 3)), "y": np.eye(4)[[0, 2, 3]], **network.init(1)}
    sizes = {"m": 3, "s_1": 3, "s_2": 5, "s_3": 4}
    first, second = (
        float(evaluate(p, sizes, inputs, {"lam": 0.7})["J"]) for p in (network.program, stabilise(network.program))
    )
    assert first == pytest.approx(second, rel=1e-12)


def test_the_stable_cost_is_finite_for_huge_logits():
    network = Network([1, 2], cost="softmax_cross_entropy")
    inputs = {"x": [[1000.0]], "y": [[0.0, 1.0]], "W1": [[1.0], [-1.0]], "b1": [0.0, 0.0]}
    assert float(evaluate(stabilise(network.program), {"m": 1, "s_1": 1, "s_2": 2}, inputs)["J"]) == 2000.0


def test_penalties_never_touch_biases():
    network = Network(LAYERS, l2="lambda/2", l1="mu")
    penalties = network.penalties()
    names = {t.name for p in penalties for t in tensors_in(p)}
    assert names == {"W1", "W2"} and len(penalties) == 4


def test_a_coefficient_may_be_text_sympy_or_a_number():
    m, lam = sp.Symbol("m"), sp.Symbol("lambda")
    written = Network(LAYERS, l2="lambda/(2*m)")
    given = Network(LAYERS, l2=lam / (2 * m))
    assert written.l2 is not None and given.l2 is not None
    assert Canonical().equal(written.l2, given.l2)
    number = Network(LAYERS, l2=0.1).l2
    assert getattr(number, "value", None) == Fraction(1, 10)
    assert [s.name for s in written.hyper_parameters] == ["lam"]


def test_an_activation_may_be_an_expression_in_any_symbol():
    t = sp.Symbol("t")
    own = Network(LAYERS, activation=t / (1 + sp.exp(-t))).layers[1].function
    text = Network(LAYERS, activation="q/(1 + exp(-q))").layers[1].function
    assert own is not None and text is not None
    assert sp.simplify(own.definition - text.definition) == 0


def test_the_cost_in_sympy_is_that_of_one_unit_by_hand():
    J = Network([1, 1], activation="identity", cost="squared_error", reduction="sum").cost()
    W, b, x, y = (sp.IndexedBase(n) for n in ("W1", "b1", "x", "y"))
    J = J.subs(sp.Symbol("m", integer=True, positive=True), 1).doit()
    assert sp.expand(J - (W[1, 1] * x[1, 1] + b[1] - y[1, 1]) ** 2 / 2) == 0


def test_initial_weights_are_glorot_and_repeat():
    network = Network([30, 20])
    first, second, other = network.init(3), network.init(3), network.init(4)
    assert first["W1"].shape == (20, 30) and not first["b1"].any()
    assert np.abs(first["W1"]).max() <= np.sqrt(6 / 50)
    assert (first["W1"] == second["W1"]).all() and (first["W1"] != other["W1"]).any()
    with pytest.raises(NetworkError, match="the width of layer 2 is the symbol K"):
        Network([3, "K"]).init()


def test_written_out_speaks_of_inputs_alone():
    program = Network(LAYERS).program
    left = {t.name for t in tensors_in(written_out(program, program.equations[-1].value))}
    assert left == {"x", "y", "W1", "b1", "W2", "b2"}
