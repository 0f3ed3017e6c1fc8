"""Reverse mode: cotangents with their steps, accepted by the kernel and right by finite differences."""

import numpy as np
import pytest

from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.reverse_mode import differentiate
from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.exact import evaluate
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Compare,
    Entry,
    Index,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    add,
    apply,
    contraction,
    divide,
    extremum,
    kronecker,
    multiply,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, LOG
from symbackprop.expression.program import Assumption, Equation, Program
from symbackprop.frontends.network import Network
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.proofs.network import network_gradient

N, D, K, H, E = (Symbol(s, "size") for s in "NDKHE")
SIZES = {"N": 3, "D": 2, "K": 4, "H": 2, "E": 3}
x, W, J = Tensor("x", (N, D)), Tensor("W", (K, D)), Tensor("J")
n, d, k = Index("n", N), Index("d", D), Index("k", K)
over = contraction


def program(inputs, *equations, **more):
    return Program(inputs, equations, (J,), **more)


def total(tensor):
    """J = the sum of w * entry, with weights that differ from entry to entry."""
    weights = Tensor("weights", tensor.shape)

    def body(*places):
        if len(places) == len(tensor.shape):
            return multiply(Entry(weights, places), Entry(tensor, places))
        return over("i", tensor.shape[len(places)], lambda i: body(*places, i))

    return weights, Equation(J, (), body())


def affine():
    z = Tensor("z", (N, K))
    weights, cost = total(z)
    return program(
        (x, W, weights), Equation(z, (n, k), over("j", D, lambda j: multiply(Entry(x, (n, j)), Entry(W, (k, j))))), cost
    )


def two_paths():
    """s is read twice, and the second time squared."""
    s, t = Tensor("s", (N,)), Tensor("t", (N,))
    row = over("j", D, lambda j: Entry(x, (n, j)))
    weights, cost = total(t)
    return program(
        (x, weights), Equation(s, (n,), row), Equation(t, (n,), add(Entry(s, (n,)), power(Entry(s, (n,)), 2))), cost
    )


def softmax_with_labels():
    y, top, loss = Tensor("y", (N,), "integer"), Tensor("S", (N,)), Tensor("loss", (N,))
    z = Tensor("z", (N, K))
    S = Equation(top, (n,), over("j", K, lambda j: apply(EXP, Entry(z, (n, j)))))
    value = subtract(apply(LOG, Entry(top, (n,))), Entry(z, (n, Entry(y, (n,)))))
    cost = Equation(J, (), divide(over("n", N, lambda i: Entry(loss, (i,))), N))
    return program((z, y), S, Equation(loss, (n,), value), cost, assumptions=(Assumption("labels", y, K),))


def shifted():
    """t[i] = x[i + 1] - x[i], over one place less."""
    u = Tensor("u", (N,))
    size = subtract(N, ONE)
    t, i = Tensor("t", (size,)), Index("i", size)
    weights, cost = total(t)
    return program((u, weights), Equation(t, (i,), subtract(Entry(u, (add(i, ONE),)), Entry(u, (i,)))), cost)


def merged():
    """A reshape: t[i] = q[i // E, i % E]."""
    r, size = Tensor("r", (H, E)), multiply(H, E)
    t, i = Tensor("t", (size,)), Index("i", size)
    weights, cost = total(t)
    return program((r, weights), Equation(t, (i,), power(Entry(r, (Quotient(i, E), Remainder(i, E))), 2)), cost)


def split():
    """The other way: t[h, e] = u[h * E + e]."""
    size = multiply(H, E)
    u, t = Tensor("u", (size,)), Tensor("t", (H, E))
    h, e = Index("h", H), Index("e", E)
    weights, cost = total(t)
    return program((u, weights), Equation(t, (h, e), power(Entry(u, (add(multiply(h, E), e),)), 3)), cost)


def branches():
    t = Tensor("t", (N, D))
    here = Entry(x, (n, d))
    value = where(Compare("<", ZERO, here), power(here, 2), apply(FUNCTIONS["tanh"], here))
    weights, cost = total(t)
    return program((x, weights), Equation(t, (n, d), value), cost)


def diagonal():
    B = Tensor("B", (N, N))
    t = Tensor("t", (N,))
    weights, cost = total(t)
    return program(
        (B, weights), Equation(t, (n,), multiply(Entry(B, (n, n)), over("j", N, lambda j: Entry(B, (j, n))))), cost
    )


def largest():
    t = Tensor("t", (N,))
    weights, cost = total(t)
    return program((x, weights), Equation(t, (n,), extremum("max", "j", D, lambda j: Entry(x, (n, j)))), cost)


def exponents():
    """t[n] = (1 + u[n]**2) ** u[n]: the base moves it, and the exponent."""
    u, t = Tensor("u", (N,)), Tensor("t", (N,))
    here = Entry(u, (n,))
    weights, cost = total(t)
    return program((u, weights), Equation(t, (n,), power(add(ONE, power(here, 2)), here)), cost)


def strided():
    """t[h] = u[2 * h] ** 2: the entries between them are not read."""
    size = multiply(H, number(2))
    u, t, h = Tensor("u", (size,)), Tensor("t", (H,)), Index("h", H)
    weights, cost = total(t)
    return program((u, weights), Equation(t, (h,), power(Entry(u, (multiply(number(2), h),)), 2)), cost)


def strided_in_rows():
    """t[h, e] = u[6 * h + 2 * e + 1] for e < 3: every other entry."""
    u = Tensor("u", (multiply(H, number(6)),))
    h, e = Index("h", H), Index("e", number(3))
    t = Tensor("t", (H, number(3)))
    weights, cost = total(t)
    place = add(multiply(number(6), h), multiply(number(2), e), ONE)
    return program((u, weights), Equation(t, (h, e), power(Entry(u, (place,)), 2)), cost)


PROGRAMS = [affine, two_paths, softmax_with_labels, shifted, merged, split, branches, diagonal, largest]
PROGRAMS += [exponents, strided, strided_in_rows]


def inputs_of(made, seed=0):
    rng = np.random.default_rng(seed)
    lengths = {"N": 3, "D": 2, "K": 4}
    shapes = {t.name: evaluate_shape(t) for t in made.inputs}
    return {
        t.name: rng.integers(0, lengths["K"], shapes[t.name])
        if t.kind == "integer"
        else rng.normal(size=shapes[t.name])
        for t in made.inputs
    }


def evaluate_shape(tensor):
    table = {N: 3, D: 2, K: 4, H: 2, E: 3, multiply(H, E): 6, subtract(N, ONE): 2}
    table |= {multiply(H, number(2)): 4, multiply(H, number(6)): 12, number(3): 3}
    return tuple(table[s] for s in tensor.shape)


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda f: f.__name__)
def test_the_kernel_accepts_every_derivation(make):
    made = make()
    kernel = Kernel(made)
    for derivation in differentiate(made).derivations.values():
        kernel.replay(derivation)


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda f: f.__name__)
def test_cotangents_are_the_slopes_in_a_random_direction(make):
    made = make()
    given = inputs_of(made)
    result = evaluate(differentiate(made).adjoint, SIZES, given)
    rng = np.random.default_rng(1)
    for tensor in made.inputs:
        if tensor.kind != "real" or f"dJ_d{tensor.name}" not in result:
            continue
        direction = rng.normal(size=given[tensor.name].shape)
        step = 1e-6
        moved = [
            evaluate(made, SIZES, {**given, tensor.name: given[tensor.name] + s * step * direction})["J"]
            for s in (1, -1)
        ]
        slope = float(moved[0] - moved[1]) / (2 * step)
        assert float((result[f"dJ_d{tensor.name}"] * direction).sum()) == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_each_derivation_starts_at_the_name_and_ends_at_the_equation():
    gradient = differentiate(affine())
    for tensor, derivation in gradient.derivations.items():
        assert derivation.left.tensor is gradient.cotangents[tensor]
        assert derivation.steps[0].before is derivation.left and derivation.steps[-1].after is derivation.right
        assert [s.rule for s in derivation.steps][:2] == ["definition_of_delta", "chain_rule"]
        equation = gradient.adjoint.by_tensor[gradient.cotangents[tensor]]
        assert equation.value is derivation.right


def test_the_adjoint_of_an_affine_map_is_transposed():
    gradient = differentiate(affine())
    (z,) = (t for t in gradient.cotangents if t.name == "z")
    bar = gradient.cotangents[z]
    i, j = Index("i", K), Index("j", D)
    expected = over("n", N, lambda r: multiply(Entry(bar, (r, i)), Entry(x, (r, j))))
    assert Canonical().equal(gradient.derivations[W].right, expected)


def test_inputs_that_the_cost_does_not_need_have_no_cotangent():
    spare = Tensor("spare", (N,))
    made = affine()
    wider = Program((*made.inputs, spare), made.equations, made.outputs)
    assert spare not in differentiate(wider).cotangents


def test_a_program_with_a_node_without_a_rule_is_refused():
    t = Tensor("t", (N,), "real")
    value = Remainder(Entry(x, (n, ZERO)), number(2))
    weights, cost = total(t)
    with pytest.raises(SymbackpropError):
        differentiate(program((x, weights), Equation(t, (n,), value), cost))


def test_an_ignored_label_gets_no_gradient():
    z, y = Tensor("z", (K,)), Tensor("y", (N,), "integer")
    made = program((z, y), Equation(J, (), over("n", N, lambda r: multiply(MINUS_ONE, Entry(z, (Entry(y, (r,)),))))),
                   assumptions=(Assumption("labels", y, K),))  # fmt: skip
    gradient = differentiate(made)
    assert set(gradient.cotangents) == {z}
    result = evaluate(gradient.adjoint, SIZES, {"z": np.zeros(4), "y": [1, 1, 3]})
    assert result["dJ_dz"].tolist() == [0, -2, 0, -1]
    Kernel(made).replay(gradient.derivations[z])


def test_kronecker_deltas_are_solved_for():
    """The adjoint of a gather is written without a sum where the place is known."""
    gradient = differentiate(split())
    (u,) = (t for t in gradient.cotangents if t.name == "u")
    assert kronecker(n, k) is not gradient.derivations[u].right
    assert "Sum" not in type(gradient.derivations[u].right).__name__


def test_the_reason_says_where_the_half_of_a_squared_error_goes():
    gradient = network_gradient(Network(["s_1", "K"], activation="f", cost="squared_error", l2="lambda/2"))
    reasons = {
        tensor.name: step.reason
        for tensor, derivation in gradient.derivations.items()
        for step in derivation.steps
        if step.rule == "derivative"
    }
    assert reasons["a2"].endswith("The square brings a 2, which the ½ cancels.")
    assert not any("½" in reason for name, reason in reasons.items() if name not in ("a2", "y"))


def test_what_is_left_of_a_condition_speaks_of_the_place_that_it_sets():
    """u[i] = x[0, 0] where i is 2, and asked the long way that 2 <= i."""
    u, i = Tensor("u", (number(5),)), Index("i", number(5))
    far = where(Compare("<=", number(2), i), ONE, ZERO)
    written = where(multiply(far, kronecker(i, number(2))), Entry(x, (ZERO, ZERO)), ZERO)
    weights, cost = total(u)
    made = program((x, weights), Equation(u, (i,), written), cost)
    for derivation in differentiate(made).derivations.values():
        Kernel(made).replay(derivation)
