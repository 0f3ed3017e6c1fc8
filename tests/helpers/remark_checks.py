"""What the remarks under theorems say, each with a check on the theorem that it stands under."""

import re

import numpy as np

from symbackprop import Network, compile
from symbackprop.expression.build import Apply, Entry, Extremum, Sum, nodes_once, tensors_in
from symbackprop.rendering.text import to_text


def reads(theorem):
    return {t.name for t in tensors_in(theorem.derivation.right)}


def only_its_own_value(theorem):
    functions = {n.function for n in nodes_once(theorem.derivation.right) if isinstance(n, Apply)}
    return functions == {theorem.derivation.left.function.primitive_of[0]}


def sums_over_the_next_layer(theorem):
    (layer,) = re.findall(r"runs over layer (\d+)", theorem.remark)
    sums = [n for n in nodes_once(theorem.derivation.right) if isinstance(n, Sum)]
    slopes = [n for n in nodes_once(theorem.derivation.right) if isinstance(n, Apply)]
    at_z = all(a.tensor.name.startswith("z") for n in slopes for a in n.arguments if isinstance(a, Entry))
    return [f"delta{layer}" in {t.name for t in tensors_in(s)} for s in sums] == [True] and at_z


def sender_times_receiver(theorem):
    layers = [int(n) for n in re.findall(r"layer (\d+)", theorem.remark)]
    sender = "x" if layers[0] == 1 else f"a{layers[0]}"
    return {sender, f"delta{layers[1]}"} <= reads(theorem) and the_penalty_adds_its_own(theorem, f"W{layers[0]}")


def the_penalty_adds_its_own(theorem, weight):
    """The sentence stands there if and only if the gradient has a term without any error term, in the weights alone."""
    terms = getattr(theorem.derivation.right, "terms", (theorem.derivation.right,))
    others = [{t.name for t in tensors_in(term)} for term in terms if "delta" not in to_text(term)]
    return ("penalty adds its own" in theorem.remark) == bool(others) and all(names == {weight} for names in others)


def softmax_slope_is_a_matrix_and_total(theorem):
    rng, z = np.random.default_rng(2), None
    z = rng.normal(size=4)
    a = np.exp(z) / np.exp(z).sum()
    measured = np.empty((4, 4))
    for k in range(4):
        move = np.zeros(4)
        move[k] = 1e-6
        up, down = (np.exp(z + s * move) / np.exp(z + s * move).sum() for s in (1, -1))
        measured[:, k] = (up - down) / 2e-6
    return np.allclose(measured, a[:, None] * (np.eye(4) - a), atol=1e-8) and (np.abs(measured) > 1e-6).all()


def no_logarithm_of_0(theorem):
    """The stable cost is finite where every activation has been rounded to 0 or 1."""
    softmax = any(isinstance(n, Extremum) for n in nodes_once(theorem.derivation.right))
    net = Network(
        [1, 2],
        activation="softmax" if softmax else "sigmoid",
        cost="softmax_cross_entropy" if softmax else "cross_entropy",
    )
    f = compile(net)
    params = {"W1": np.array([[1000.0], [-1000.0]]), "b1": np.zeros(2)}
    x, y = np.array([[1.0], [-1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    rounded = f.predict(params, x) <= np.exp(-705)  # generated sigmoids keep their exponent finite
    return rounded.any() and np.isfinite(f(params, x, y)[0])


REMARKS = (
    (r"The slope follows from the value alone", only_its_own_value),
    (
        r"How fast the cost changes with the pre-activation of an output unit",
        lambda t: t.derivation.steps[0].rule == "definition_of_delta",
    ),
    (r"The sum runs over layer \d+", sums_over_the_next_layer),
    (r"A bias is a weight from a unit that always sends 1", lambda t: all(n.startswith("delta") for n in reads(t))),
    (r"Over the examples is added up what unit j of layer \d+ sends", sender_times_receiver),
    (r"No logarithm of a number that floating point has rounded to 0", no_logarithm_of_0),
    (r"All outputs of an example change with each of its logits", softmax_slope_is_a_matrix_and_total),
    (r"The induction starts where the cost is known", lambda t: t.layer == "L"),
    (r"From delta of layer l \+ 1 to delta of layer l", lambda t: "delta_l+1" in reads(t)),
    (
        r"Over the examples is added up the activation of the sender times the error term of the receiver",
        lambda t: {"a_l", "delta_l+1"} <= reads(t) and the_penalty_adds_its_own(t, "W_l"),
    ),
)


def check_of(remark):
    """The only check whose sentence the remark begins with."""
    (check,) = (c for pattern, c in REMARKS if re.match(pattern, remark))
    return check
