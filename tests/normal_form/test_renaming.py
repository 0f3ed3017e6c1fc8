"""Patterns: equal exactly for expressions that differ in names alone; the kernel answers a question once."""

from dataclasses import replace

import pytest

import symbackprop as sb
from symbackprop.calculus.kernel import Kernel
from symbackprop.errors import ProofError
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, add, contraction, multiply, negate
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.renaming import Rows, pattern
from symbackprop.proofs.network import network_gradient

N, M = Symbol("N", "size"), Symbol("M", "size")
P, Q = Index("i", N), Index("j", N)
A, B, C = (Tensor(name, (N,)) for name in "ABC")


def dot(left, right, size=N):
    return contraction("k", size, lambda k: multiply(Entry(left, (k,)), Entry(right, (k,))))


def test_names_of_tensors_indices_and_sizes_are_forgotten():
    there = Index("p", M), Tensor("P", (M,)), Tensor("Q", (M,))
    mine = add(Entry(A, (P,)), dot(A, B))
    theirs = add(Entry(there[1], (there[0],)), dot(there[1], there[2], M))
    assert pattern(mine) == pattern(theirs)


def test_rows_tell_the_tensors_among_the_nodes():
    rows = Rows()
    rows.add(dot(A, B), Entry(C, (P,)))
    assert {t: rows.numbers[t] for t in (A, B, C)} == {
        t: k for k in range(len(rows.rows)) if (t := rows.tensor(k)) is not None
    }
    assert rows.tensor(len(rows.rows)) is None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (dot(A, A), dot(A, B)),  # one tensor, two tensors
        (add(dot(A, B), Entry(C, (P,))), add(dot(A, B), Entry(A, (P,)))),
        (Entry(Tensor("S", (N, N)), (P, P)), Entry(Tensor("S", (N, N)), (P, Q))),
        (Entry(Tensor("S", (N, N)), (P, Q)), Entry(Tensor("S", (N, M)), (P, Index("j", M)))),
        (Symbol("t"), Symbol("t", "positive")),
        (Entry(Tensor("y", (N,), "integer"), (P,)), Entry(A, (P,))),
        (dot(A, B), negate(dot(A, B))),
        (Entry(Tensor("S", (N, N)), (P, Q)), Entry(A, (P,))),
    ],
)
def test_patterns_tell_apart_what_differs_in_more_than_names(left, right):
    assert pattern(left) != pattern(right)


def test_two_sides_are_renamed_together():
    assert pattern(dot(A, B), dot(B, A)) == pattern(dot(B, C), dot(C, B))
    assert pattern(dot(A, B), dot(A, B)) != pattern(dot(A, B), dot(A, C))


def derivations(depth):
    net = sb.Network([f"s_{k}" for k in range(depth)], cost="squared_error")
    return network_gradient(net)


def test_layers_that_look_alike_are_asked_about_once(monkeypatch):
    gradient, asked = derivations(12), []
    equal = Canonical.equal
    monkeypatch.setattr(Canonical, "equal", lambda self, *sides: asked.append(sides) or equal(self, *sides))
    kernel = Kernel(gradient.program)
    for derivation in gradient.derivations.values():
        kernel.replay(derivation)
    steps = sum(len(d.steps) for d in gradient.derivations.values())
    assert 0 < len(asked) < steps / 3
    assert len({pattern(*sides) for sides in asked}) == len(asked)


@pytest.mark.parametrize("name", ["W7", "b7", "z7"])
def test_wrong_step_of_a_later_layer_is_refused_after_right_ones_of_others(name):
    """What has been accepted of layers that look alike vouches for no step that differs from theirs."""
    gradient = derivations(12)
    kernel = Kernel(gradient.program)
    wrong = next(d for t, d in gradient.derivations.items() if t.name == name)
    for derivation in gradient.derivations.values():
        if derivation is wrong:
            break
        kernel.replay(derivation)
    last = wrong.steps[-1]
    after = negate(last.after)
    bad = replace(wrong, right=after, steps=(*wrong.steps[:-1], replace(last, after=after)))
    with pytest.raises(ProofError, match="is not an instance of the rule"):
        kernel.replay(bad)
    kernel.replay(wrong)
