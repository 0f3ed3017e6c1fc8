"""The theorems of backpropagation, for given layers and for any depth."""

import cProfile
from dataclasses import replace

import pytest

from symbackprop.calculus.kernel import Kernel
from symbackprop.errors import ProofError
from symbackprop.expression.build import Entry, Index, Tensor, contraction, divide, multiply, substitute, subtract
from symbackprop.expression.functions import ACTIVATIONS
from symbackprop.frontends.network import M, Network
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.proofs.network import network_gradient, prove_network, slope_of

COSTS = ["squared_error", "cross_entropy", "softmax_cross_entropy"]


def theorem(proof, name):
    return next(t for t in proof.theorems if t.name == name)


@pytest.mark.slow
@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "f"])
def test_every_activation_and_cost_is_proved(activation, cost):
    output = {"squared_error": activation, "cross_entropy": "sigmoid", "softmax_cross_entropy": "softmax"}[cost]
    proof = prove_network(Network([3, 5, 4], activation=[activation, output], cost=cost, l2="lambda/(2*m)", l1="mu"))
    assert proof.status == "PROVED" and all(t.status == "PROVED" for t in proof.theorems)
    assert {"error term of layer 2", "gradient with respect to W1", "gradient with respect to b2"} <= {
        t.name for t in proof.theorems
    }


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_error_terms_are_the_recursion(reduction):
    network = Network([3, 5, 4], activation="sigmoid", cost="cross_entropy", reduction=reduction)
    proof = prove_network(network)
    n, i, k = Index("n", M), Index("i", network.layers[1].size), Index("k", network.layers[2].size)
    delta3, W2 = Tensor("delta3", network.pre_activation(3).shape), network.weight(2)
    total = contraction("j", k.size, lambda j: multiply(Entry(W2, (j, i)), Entry(delta3, (n, j))))
    hidden = multiply(total, slope_of(network, 2, Entry(network.pre_activation(2), (n, i))))
    assert Canonical().equal(theorem(proof, "error term of layer 2").derivation.right, hidden)
    error = subtract(Entry(network.activations(3), (n, k)), Entry(network.y, (n, k)))
    right = theorem(proof, "output layer: activation minus target").derivation.right
    assert Canonical().equal(right, divide(error, M) if reduction == "mean" else error)


@pytest.mark.parametrize("cost", ["squared_error", "cross_entropy"])
def test_weight_gradients_are_sender_times_receiver(cost):
    network = Network([3, 5, 4], activation="sigmoid", cost=cost)
    proof = prove_network(network)
    n, p, q = Index("n", M), Index("p", network.layers[1].size), Index("q", network.layers[0].size)
    delta2 = Tensor("delta2", network.pre_activation(2).shape)
    derivation = theorem(proof, "gradient with respect to W1").derivation
    assert isinstance(derivation.left, Entry)
    moved = substitute(derivation.right, dict(zip(derivation.left.indices, (p, q), strict=True)))
    expected = contraction("n", M, lambda r: multiply(Entry(delta2, (r, p)), Entry(network.x, (r, q))))
    assert n is Index("n", M) and Canonical().equal(moved, expected)


def test_softmax_needs_rows_that_add_up_to_one_only_where_it_says_so():
    proof = prove_network(Network([3, 5, 4], activation="tanh", cost="softmax_cross_entropy"))
    short, general = (
        theorem(proof, "output layer: activation minus target"),
        theorem(proof, "output layer: softmax, any targets"),
    )
    assert short.conditions == ("the rows of y add up to 1",) and general.conditions == ()


def test_kinks_are_conditions():
    proof = prove_network(Network([3, 5, 4], activation=["relu", "sigmoid"], cost="cross_entropy", l1="mu"))
    assert "z2[n,i] != 0" in theorem(proof, "error term of layer 2").conditions
    assert any("W1" in c for c in theorem(proof, "gradient with respect to W1").conditions)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("activation", ["sigmoid", "f"])
def test_any_depth_is_base_step_and_gradients(cost, activation):
    proof = prove_network(Network(depth="L", activation=activation, cost=cost, l2="lambda/(2*m)"))
    names = {t.name for t in proof.theorems}
    assert proof.status == "PROVED"
    assert {"error term of the output layer", "error term of a general layer",
            "gradient of the weights of a general layer", "gradient of the biases of a general layer"} <= names  # fmt: skip


def test_a_second_kernel_accepts_every_theorem_and_no_square_of_one():
    proof = prove_network(Network([3, 5, 4]))
    network = proof.network  # an equal network may have been proved before: its program is the one that is meant
    kernel = Kernel(network.program)
    for derivation in network_gradient(network).derivations.values():
        kernel.replay(derivation)
    for item in proof.theorems:
        program = item.derivation.program
        about = kernel if program is network.program else Kernel(program)  # a lemma about a function has its own
        assert set(about.replay(item.derivation)) <= set(item.conditions)
    wrong = theorem(proof, "error term of the output layer").derivation
    square = multiply(wrong.right, wrong.right)
    steps = (*wrong.steps[:-1], replace(wrong.steps[-1], after=square))
    with pytest.raises(ProofError):
        kernel.replay(replace(wrong, right=square, steps=steps))


def test_width_costs_nothing_and_depth_costs_linearly():
    """[784, 512, 512, 10] takes the calls that [7, 8, 8, 9] takes; three times the layers at most four times as many."""

    def calls(layers):
        profile = cProfile.Profile()
        proof = profile.runcall(prove_network, Network(layers, l2="lambda/(2*m)"))
        assert proof.status == "PROVED"
        return sum(entry.callcount for entry in profile.getstats())

    calls([3, 5, 5, 4])  # what is made once
    narrow, wide = calls([7, 8, 8, 9]), calls([784, 512, 512, 10])
    assert wide < 1.1 * narrow
    shallow, deep = (calls([11] * layers) for layers in (5, 15))
    assert shallow > 1000 and deep < 4 * shallow  # they were proved here, not remembered
