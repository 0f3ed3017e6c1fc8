"""Generated code is examined before it is handed out: a fault in any form of it is an error, never a function."""

from dataclasses import replace

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking import generated_code
from symbackprop.checking.generated_code import examine_network, examine_program, examined_code, truth_of
from symbackprop.codegen.network import compile_network
from symbackprop.codegen.program import compile_program
from symbackprop.errors import GeneratedCodeError, UnsupportedError
from symbackprop.expression.build import Entry, add, multiply, number
from symbackprop.proofs.network import prove_network
from symbackprop.proofs.program import proved_gradient
from symbackprop.proofs.stable_logs import stabilise

NET = sb.Network([2, 3, 2], activation=["tanh", "softmax"], cost="squared_error", l2="lambda/2")


def code_of(net, backend="numpy", dtype="float64"):
    adjoint = prove_network(net).gradient.adjoint
    return compile_network(adjoint, net.prediction, net.widths, backend=backend, dtype=dtype)


def plus_a_thousandth(function):
    """The same function with its last result, or what it writes there, a little off."""

    def scaled(results):
        return results * 1.001 if isinstance(results, (float, np.ndarray)) else (*results[:-1], results[-1] * 1.001)

    def call(*arguments):
        result = function(*arguments)
        for argument in arguments:
            if isinstance(argument, list) and argument and not callable(result):
                argument[-1][...] *= 1.001
                return result
        if callable(result):
            outputs = next((a for a in arguments if isinstance(a, list)), None)

            def run(*given):
                cost = result(*given)
                last = (outputs or given)[-1]  # made for arrays of certain shapes, it is handed those for the results
                if isinstance(last, np.ndarray) and all(last is not a for a in arguments):
                    last *= 1.001
                return cost if cost is None else cost * 1.001

            return run
        return scaled(result)

    return call


def test_examine_accepts_what_is_right():
    examine_network(code_of(NET), NET)


@pytest.mark.parametrize(
    "name",
    [n for n in code_of(NET).numpy if n.split("_")[0] in ("cost", "gradient", "predict") and not n.endswith("work")],
)
def test_examine_refuses_each_form_that_is_a_thousandth_off(name):
    code = code_of(NET)
    code.numpy[name] = plus_a_thousandth(code.numpy[name])
    with pytest.raises(GeneratedCodeError, match="not what was proved"):
        examine_network(code, NET)


@pytest.mark.parametrize("backend", ["c", "jax"])
@pytest.mark.parametrize("name", ["cost_and_gradient", "cost", "gradient"])
def test_examine_refuses_each_kernel_that_is_off(backend, name):
    if backend == "jax":
        pytest.importorskip("jax")
    code = code_of(NET, backend)
    if code.backend != backend:
        pytest.skip("there is no C compiler")
    right = code.runners[name]

    def wrong(arrays, numbers, out):
        cost = right(arrays, numbers, out)
        for array in out:
            array *= 1.001
        return cost * 1.001

    code.runners[name] = wrong
    with pytest.raises(GeneratedCodeError, match=backend):
        examine_network(code, NET)


def test_examine_refuses_an_epoch_that_is_off(monkeypatch):
    code = code_of(NET)
    right = code.epoch

    def wrong(theta, *arguments, **options):
        cost = right(theta, *arguments, **options)
        theta[0] += 0.01
        return cost

    monkeypatch.setattr(code, "epoch", wrong)
    with pytest.raises(GeneratedCodeError, match="epoch"):
        examine_network(code, NET)


@pytest.mark.parametrize("output", ["softmax", "sigmoid", "identity"])
def test_compile_hands_out_nothing_where_one_gradient_is_wrong(monkeypatch, output):
    """The adjoint is changed after the proof, as by a faulty join: every equation of a gradient in turn."""
    net = sb.Network([2, 3, 3], activation=["tanh", output], cost="squared_error")
    proof = prove_network(net)
    adjoint = proof.gradient.adjoint
    bars = [e for e in adjoint.equations if e.tensor not in net.program.by_tensor]
    assert len(bars) >= 6
    for bar in bars:
        wrong = (
            replace(bar, value=add(bar.value, multiply(number(-2), Entry(net.bias(2), bar.indices[:1]))))
            if bar.tensor.shape == net.bias(2).shape
            else replace(bar, value=multiply(number(2), bar.value))
        )
        faulty = replace(adjoint, equations=tuple(wrong if e is bar else e for e in adjoint.equations))
        monkeypatch.setattr(
            generated_code,
            "prove_network",
            lambda _, f=faulty: replace(proof, gradient=replace(proof.gradient, adjoint=f)),
        )
        examined_code.cache_clear()
        with pytest.raises(GeneratedCodeError) as caught:
            sb.compile(net)
        assert "Network([2, 3, 3]" in str(caught.value)
    examined_code.cache_clear()


def test_examine_says_where_no_point_is_found():
    net = sb.Network([2, 2], activation="identity", cost="log(-1 - (h - y)**2)")
    with pytest.raises(UnsupportedError, match="no point was found at which the cost is finite"):
        sb.compile(net)


def test_truth_is_found_once_for_a_network():
    truth_of.cache_clear()
    net = sb.Network([2, 3, 2])
    for dtype in ("float64", "float32"):
        examine_network(code_of(net, dtype=dtype), net)
    assert truth_of.cache_info().misses == 1


# Traced programs.


def layer(x, w, b):
    return np.tanh(x @ w) * b


SHAPES = {"x": ("N", "D"), "w": ("D", "M"), "b": ("M",)}


@pytest.mark.parametrize("place", range(4))
def test_examine_refuses_a_traced_programs_code_that_is_off(place):
    program = sb.trace(layer, SHAPES)
    proved = proved_gradient(program)
    gradient, upstream = proved.gradient, proved.upstream
    code = compile_program(gradient.adjoint)
    examine_program(code, gradient, program, upstream)
    right = code.function

    def wrong(*arguments):
        results = list(right(*arguments))
        results[place] = results[place] * 1.01
        return tuple(results)

    with pytest.raises(GeneratedCodeError):
        examine_program(replace(code, function=wrong), gradient, program, upstream)


def test_compile_runs_the_users_own_function():
    """Equations that are not those of the function are met by the function itself."""
    program = replace(sb.trace(layer, SHAPES), function=lambda x, w, b: np.tanh(x @ w) * b + 1)
    examined_code.cache_clear()
    with pytest.raises(GeneratedCodeError, match="beside the function itself"):
        sb.compile(program)
    examined_code.cache_clear()


# Stable forms.


@pytest.mark.parametrize("cost", ["squared_error", "softmax_cross_entropy", "-y*log(h)"])
def test_stabilise_keeps_the_denominator_for_whoever_reads_it(cost):
    net = sb.Network([2, 3], activation="softmax", cost=cost)
    stable = stabilise(net.program)
    assert stable.by_tensor[net.denominator].value is net.program.by_tensor[net.denominator].value
    assert [t.name for t in stable.tensors if t not in net.program.tensors] == ["top", "total"]


def test_stabilise_gives_new_tensors_names_that_nothing_has():
    def softmax(top, total):
        e = np.exp(top)
        return e / e.sum(axis=1, keepdims=True) * total

    names = [t.name for t in stabilise(sb.trace(softmax, {"top": ("N", "C"), "total": ("N", "C")})).tensors]
    assert len(names) == len(set(names))


def test_stabilise_changes_nothing_that_the_normal_form_does_not_accept(monkeypatch):
    net = sb.Network([2, 3], activation="softmax", cost="softmax_cross_entropy")
    monkeypatch.setattr("symbackprop.proofs.stable_logs.Resolver.equal", lambda *_: False)
    stable = stabilise(net.program)
    assert all(stable.by_tensor[e.tensor] == e for e in net.program.equations)
