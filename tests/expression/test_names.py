"""A tensor is known by identity: two things of one name are refused, or get names of their own, before they meet."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.calculus.reverse_mode import differentiate, with_cost
from symbackprop.errors import IndexNotationError, NetworkError
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, multiply, number
from symbackprop.expression.program import Equation, Program, defined_once, unused
from symbackprop.frontends.equations import joined, read_program

N = Symbol("N", "size")
I = Index("i", N)  # noqa: E741


def doubled(name, source, by=2):
    return Equation(Tensor(name, (N,)), (I,), multiply(number(by), Entry(source, (I,))))


def test_program_refuses_two_tensors_of_one_name():
    x = Tensor("x", (N,))
    with pytest.raises(IndexNotationError, match="two tensors are called S"):
        Program((x, Tensor("S")), (doubled("S", x),), (Tensor("S", (N,)),))


def test_program_refuses_a_scalar_with_the_name_of_a_tensor():
    x = Tensor("x", (N,))
    with pytest.raises(IndexNotationError, match="a tensor and a scalar are called x"):
        Program((x,), (), (), (Symbol("x"),))


def test_defined_once_refuses_one_tensor_with_two_equations():
    x = Tensor("x", (N,))
    assert defined_once([doubled("S", x), doubled("S", x)]).keys() == {Tensor("S", (N,))}
    with pytest.raises(IndexNotationError, match="two programs define S, each in its own way"):
        defined_once([doubled("S", x), doubled("S", x, by=3)])


def test_defined_once_refuses_two_tensors_of_one_name():
    x, y = Tensor("x", (N,)), Tensor("y", (N,))
    other = Equation(Tensor("S"), (), number(1))
    with pytest.raises(IndexNotationError, match="two programs define S"):
        defined_once([doubled("S", x), doubled("z", y), other])


def test_joined_takes_one_definition_in_two_spellings():
    shapes = {"a": ("K",), "J": (), "C": ()}
    first = read_program("J = sum(k, 2*a[k])", shapes)
    same = read_program("J = sum(j, a[j] + a[j])\nC = J**2", shapes, output="C")
    assert [e.tensor.name for e in joined(first, same, output="C").equations] == ["J", "C"]


def test_joined_refuses_programs_that_mean_two_things_by_one_name():
    shapes = {"a": ("K",), "S": (), "J": ()}
    first = read_program("S = sum(k, exp(a[k]))\nJ = log(S)", shapes)
    other = read_program("S = sum(k, exp(2*a[k]))\nJ = log(S)", shapes)
    with pytest.raises(IndexNotationError, match="two programs define S"):
        joined(first, other)


def test_unused_counts_until_a_name_is_free():
    assert unused("J", {"J", "J_2", "J_3"}) == "J_4"
    assert unused("J", ()) == "J"


def test_with_cost_and_differentiate_make_names_that_nothing_has():
    x = Tensor("dout", (N,))
    equations = (doubled("J", x), doubled("J_bar", Tensor("J", (N,))), doubled("dout_bar", Tensor("J_bar", (N,))))
    program = Program((x,), equations, (equations[-1].tensor,))
    extended, upstream = with_cost(program)
    gradient = differentiate(extended, name=lambda t: f"{t.name}_bar")
    names = [t.name for t in gradient.adjoint.tensors]
    assert len(names) == len(set(names)) and upstream[0].name == "dout_2"


@pytest.mark.parametrize(
    "names", ["S J m", "top total rows", "dout x_bar J", "t1 u1 out", "work rate theta", "a2 z2 W1"]
)
def test_users_names_are_the_users(names):
    """Inputs called like something that the package makes itself: compiled gradients are those of differences."""
    p, q, r = names.split()

    source = f"""
def forward({p}, {q}, {r}):
    S_ = np.exp({p} @ {q})
    x_bar = S_ / S_.sum(axis=1, keepdims=True)
    return np.tanh(x_bar * {r})
"""
    space = {"np": np}
    exec(compile(source, "<names>", "exec"), space)
    shapes = {p: ("N", "D"), q: ("D", "C"), r: ("C",)}
    program = sb.trace(space["forward"], shapes)
    code = sb.compile(program)
    rng = np.random.default_rng(0)
    given = {p: rng.normal(size=(3, 2)), q: rng.normal(size=(2, 4)), r: rng.normal(size=4)}
    upstream = next(t.name for t in code.signature.inputs if t.name not in given)
    given[upstream] = rng.normal(size=(3, 4))
    results = code(**given)
    cost = next(iter(results))
    for name in (p, q, r):
        (bar,) = [b for b in results if b.startswith(f"{name}_bar")]
        moved = {k: v.copy() for k, v in given.items()}
        moved[name].flat[0] += 1e-6
        up = code(**moved)[cost]
        moved[name].flat[0] -= 2e-6
        assert results[bar].flat[0] == pytest.approx((up - code(**moved)[cost]) / 2e-6, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", ["W1", "b2", "z2", "a2", "S", "J", "x", "y", "h", "delta2", "dJ_dW1"])
def test_network_refuses_hyper_parameters_called_like_its_tensors(name):
    with pytest.raises(NetworkError, match="hyper-parameters and sizes only"):
        sb.Network([2, 3, 2], l2=f"{name}/2")


@pytest.mark.parametrize("name", ["top", "total", "t1", "u1", "rows", "theta", "k"])
def test_hyper_parameters_may_be_called_like_what_is_made_on_the_way(name):
    net = sb.Network([2, 3, 3], activation=["tanh", "softmax"], cost="squared_error", l2=f"{name}/2")
    plain = sb.Network([2, 3, 3], activation=["tanh", "softmax"], cost="squared_error", l2="lambda/2")
    rng = np.random.default_rng(0)
    X, Y, params = rng.normal(size=(4, 2)), rng.uniform(size=(4, 3)), plain.init(0)
    J, grads = sb.compile(net)(params, X, Y, **{name: 0.3})
    expected, others = sb.compile(plain)(params, X, Y, lam=0.3)
    assert pytest.approx(expected) == J and all(np.allclose(grads[n], others[n]) for n in params)


def test_check_is_not_confused_by_a_variable_called_like_its_own_zeros():
    def forward(x, w):
        return w * 2.0

    def backward(dout, x, w):
        zeros_x = x * 5.0
        return {"x": zeros_x, "w": dout * 2.0}

    assert sb.check(forward, backward, shapes={"x": ("N",), "w": ("N",)}).status == "REFUTED"


def test_a_program_defines_nothing_twice():
    x = Tensor("x", (N,))
    with pytest.raises(IndexNotationError, match="tensor S is defined twice"):
        Program((x,), (doubled("S", x), doubled("S", x, 3)), (Tensor("S", (N,)),))


def test_a_program_defines_what_it_returns():
    x, y = Tensor("x"), Tensor("y")
    with pytest.raises(IndexNotationError, match="output y is never defined"):
        Program((x,), (), (y,))
