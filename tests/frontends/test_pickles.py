"""Pickles that are older than the rooms: they name modules that have moved, and are still read."""

import pickle
from pathlib import Path

import pytest
import sympy as sp

import symbackprop as sb
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, apply, contraction, number
from symbackprop.expression.functions import FUNCTIONS, arbitrary, derivative
from symbackprop.rendering.text import to_text

FORMER = Path(__file__).parent / "former"
_h, _x, _y = sp.symbols("h x y")
NETWORKS = {
    "plain": sb.Network([3, 5, 4], activation="tanh", cost="squared_error", l2="lambda/(2*m)"),
    "depth": sb.Network(depth="L", activation="f"),
    "own": sb.Network([4, 6, 3], activation=_x * sp.tanh(sp.log(1 + sp.exp(_x))), cost=(_h - _y) ** 4),
    "used": sb.Network([3, 4, 2], activation=["tanh", "sigmoid"], cost="cross_entropy"),
}


def equations(program: sb.Program) -> list[str]:
    return [f"{to_text(e.left)} = {to_text(e.value)}" for e in program.equations]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_pickled_before_the_rooms_is_read_and_proved(name):
    network = pickle.loads((FORMER / f"{name}.pickle").read_bytes())
    assert isinstance(network, sb.Network)
    assert repr(network) == repr(NETWORKS[name])
    assert equations(network.program) == equations(NETWORKS[name].program)
    assert [t.text for t in sb.prove(network).theorems] == [t.text for t in sb.prove(NETWORKS[name]).theorems]
    assert equations(pickle.loads(pickle.dumps(network)).program) == equations(network.program)


def test_a_program_pickled_before_the_rooms_is_read():
    program = pickle.loads((FORMER / "program.pickle").read_bytes())
    assert isinstance(program, sb.Program)
    assert equations(program) == equations(sb.trace(lambda x, w: x @ w, {"x": ("N", "D"), "w": ("D", "M")}))


def test_what_is_read_from_a_pickle_is_what_there_is_already():
    n, k = sb.trace(lambda x: x.sum(), {"x": ("N", "K")}).sizes
    i = Index("i", n)
    entry = Entry(Tensor("x", (n, k)), (i, number(2)))
    for node in (n, i, entry, apply(FUNCTIONS["sigmoid"], entry), apply(derivative(arbitrary()), entry)):
        assert pickle.loads(pickle.dumps(node)) is node
    assert pickle.loads(pickle.dumps(FUNCTIONS["tanh"])) is FUNCTIONS["tanh"]


def test_a_bound_index_that_is_read_from_a_pickle_is_fresh():
    n = Symbol("N", "size")
    total = contraction("j", n, lambda j: Entry(Tensor("a", (n, n)), (j, j)))
    again = pickle.loads(pickle.dumps(total))
    assert again.index is not total.index
    assert again.body is Entry(Tensor("a", (n, n)), (again.index, again.index))
