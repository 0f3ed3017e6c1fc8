"""compile_program: the plain form agrees with the slow evaluator for every kind of statement, and refuses what does not fit."""

import ast
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import codegen_nets as nets
import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

import symbackprop as sb
from symbackprop.codegen.c import build as c_build
from symbackprop.codegen.program import compile_program, load_module
from symbackprop.errors import DataError, UnsupportedError
from symbackprop.evaluation.exact import evaluate
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Entry,
    Index,
    Position,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    add,
    apply,
    contraction,
    divide,
    extremum,
    fresh,
    kronecker,
    multiply,
    negate,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import ACTIVATIONS, EXP, FUNCTIONS, LOG, arbitrary, derivative
from symbackprop.expression.program import Assumption, Equation, Program

N, K, H = (Symbol(s, "size") for s in "NKH")
n, k, h = Index("n", N), Index("k", K), Index("h", H)
x, w = Tensor("x", (N, K)), Tensor("w", (K, H))
labels = Tensor("y", (N,), "integer")
SIZES = {"N": 4, "K": 5, "H": 3}


def given(program, seed=0):
    random = np.random.default_rng(seed)
    sizes = SIZES
    shape = {t: tuple(evaluate_size(s, sizes) for s in t.shape) for t in program.inputs}
    return {
        t.name: random.integers(0, 5, shape[t]) if t.kind == "integer" else random.normal(size=shape[t])
        for t in program.inputs
    }


def evaluate_size(size, sizes):
    from symbackprop.codegen.arguments import size_value

    return size_value(size, {Symbol(name, "size"): value for name, value in sizes.items()})


def one(value, indices, inputs, kind="real", **extra):
    out = Tensor("out", tuple(i.size for i in indices), kind)
    return Program(tuple(inputs), (Equation(out, tuple(indices), value),), (out,), **extra)


X, W = lambda a, b: Entry(x, (a, b)), lambda a, b: Entry(w, (a, b))
LAYER_NORM_MEAN = contraction("j", K, lambda j: divide(X(n, j), K))
PROGRAMS = {
    "matrix product": one(contraction("k", K, lambda k: multiply(X(n, k), W(k, h))), (n, h), (x, w)),
    "transposed product": one(contraction("k", K, lambda k: multiply(W(k, h), X(n, k))), (h, n), (x, w)),
    "row products": one(contraction("k", K, lambda k: multiply(X(n, k), X(n, k))), (n,), (x,)),
    "three factors": one(
        contraction("k", K, lambda k: contraction("n", N, lambda n: multiply(X(n, k), W(k, h), X(n, ZERO)))),
        (h,),
        (x, w),
    ),
    "outer": one(multiply(X(n, k), W(k, h)), (n, k, h), (x, w)),
    "unused index": one(contraction("k", K, lambda k: X(n, ZERO)), (n,), (x,)),
    "sum of everything": one(
        contraction("n", N, lambda n: contraction("k", K, lambda k: apply(EXP, X(n, k)))), (), (x,)
    ),
    "centred": one(subtract(X(n, k), LAYER_NORM_MEAN), (n, k), (x,)),
    "variance": one(contraction("k", K, lambda k: divide(power(subtract(X(n, k), LAYER_NORM_MEAN), 2), K)), (n,), (x,)),
    "largest": one(extremum("max", "k", K, lambda k: X(n, k)), (n,), (x,)),
    "smallest of a product": one(extremum("min", "n", N, lambda n: multiply(X(n, k), X(n, k))), (k,), (x,)),
    "position": one(Position("max", (p := fresh("k", K)), X(n, p)), (n,), (x,), "integer"),
    "chosen label": one(
        Entry(x, (n, Entry(labels, (n,)))), (n,), (x, labels), assumptions=(Assumption("labels", labels, K),)
    ),
    "label by delta": one(
        contraction("k", K, lambda k: multiply(kronecker(k, Entry(labels, (n,))), X(n, k))),
        (n,),
        (x, labels),
        assumptions=(Assumption("labels", labels, K),),
    ),
    "scatter": one(
        contraction("n", N, lambda n: multiply(kronecker(k, Entry(labels, (n,))), X(n, ZERO))),
        (k,),
        (x, labels),
        assumptions=(Assumption("labels", labels, K),),
    ),
    "shifted": one(
        Entry(x, (n, add(i := Index("i", subtract(K, number(2))), number(2)))),
        (n, i),
        (x,),
        domain=(Compare("<", number(2), K),),
    ),
    "padded": one(where(Compare("<", ZERO, k), Entry(x, (n, subtract(k, ONE))), ZERO), (n, k), (x,)),
    "band": one(contraction("j", K, lambda j: multiply(kronecker(add(j, ONE), k), X(n, j))), (n, k), (x,)),
    "diagonal": one(Entry(x, (n, n)), (n,), (x,), domain=(Compare("<=", N, K),)),
    "positions": one(add(X(n, k), multiply(number(2), Quotient(k, number(2))), Remainder(n, number(3))), (n, k), (x,)),
    "indicators": one(add(Compare("<", X(n, k), ZERO), Compare("<", ZERO, X(n, k)), kronecker(n, k)), (n, k), (x,)),
    "copy": one(X(n, k), (n, k), (x,)),
    "transpose": one(X(n, k), (k, n), (x,)),
    "constant": one(number(3), (n, k), (x,)),
    "root": one(power(add(power(X(n, k), 2), ONE), divide(number(-1), number(2))), (n, k), (x,)),
}


@pytest.mark.parametrize("backend", ["numpy", "c", "jax", "torch"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_agrees_with_evaluate(name, backend):
    if backend in ("jax", "torch"):
        pytest.importorskip(backend)
    program = PROGRAMS[name]
    inputs = given(program)
    expected = evaluate(program, SIZES, inputs)["out"]
    compiled = compile_program(program, backend=backend)
    found = compiled(**inputs)["out"]
    assert compiled.backend == backend or not has_compiler()
    assert found.shape == expected.shape and found.dtype == (np.int64 if name == "position" else np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)


def has_compiler():
    try:
        return bool(c_build.compiler())
    except UnsupportedError:
        return False


@pytest.mark.parametrize("backend", ["c", "jax"])
def test_extrema_see_nan_as_numpy_does(backend):
    pytest.importorskip("jax")
    values = np.array([[1.0, np.nan, 3.0], [5.0, 4.0, np.nan], [1.0, 2.0, 0.0]])
    for name in ("largest", "position"):
        expected = compile_program(PROGRAMS[name])(x=values)["out"]
        np.testing.assert_array_equal(compile_program(PROGRAMS[name], backend=backend)(x=values)["out"], expected)


@pytest.mark.filterwarnings("ignore:NumPy takes over")
def test_position_that_may_lie_outside_is_left_to_numpy():
    """C would read whatever lies there; NumPy raises."""
    program = one(Entry(x, (n, add(Entry(labels, (n,)), ONE))), (n,), (x, labels))
    compiled = compile_program(program, backend="c")
    assert compiled.backend == "numpy"
    with pytest.raises(IndexError):
        compiled(x=np.ones((2, 3)), y=np.array([0, 7]))


def test_outputs_that_are_inputs_and_several_numbers():
    a, b = Tensor("a"), Tensor("b")
    total = contraction("n", N, lambda n: contraction("k", K, lambda k: X(n, k)))
    program = Program((x,), (Equation(a, (), total), Equation(b, (), multiply(number(2), Entry(a, ())))), (b, x, a))
    values = np.arange(6.0).reshape(2, 3)
    for backend in ("numpy", "c"):
        found = compile_program(program, backend=backend)(x=values)
        assert (float(found["a"]), float(found["b"])) == (15.0, 30.0)
        np.testing.assert_array_equal(found["x"], values)


@pytest.mark.parametrize("name", ["copy", "transpose", "shifted"])
def test_output_shares_no_memory_with_an_input(name):
    inputs = given(PROGRAMS[name])
    assert not np.shares_memory(compile_program(PROGRAMS[name])(**inputs)["out"], inputs["x"])


@pytest.mark.parametrize("name", [a for a in ACTIVATIONS])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_functions_and_derivatives_are_finite_and_right(name, order):
    function = FUNCTIONS[name]
    for _ in range(order):
        function = derivative(function)
    program = one(apply(function, X(n, k)), (n, k), (x,))
    values = np.array([[-1e4, -750.0, -30.0, -1.5, -0.25], [0.5, 1.0, 7.0, 40.0, 1e4]])
    middle = {"x": np.array([[-3.0, -1.5], [0.5, 7.0]])}  # where the evaluator, which has no stable forms, is exact
    expected = evaluate(program, {"N": 2, "K": 2}, middle)["out"]
    np.testing.assert_allclose(compile_program(program)(**middle)["out"], expected, rtol=2e-12, atol=1e-13)
    for dtype in ("float64", "float32"):
        assert np.isfinite(compile_program(program, dtype=dtype)(x=values)["out"]).all()


def test_erf_is_exact_to_rounding():
    from math import erf

    values = np.linspace(-7, 7, 2001)
    program = one(apply(FUNCTIONS["erf"], X(n, k)), (n, k), (x,))
    found = compile_program(program)(x=values[:, None])["out"][:, 0]
    np.testing.assert_allclose(found, [erf(v) for v in values], rtol=1e-15, atol=0)


def test_softmax_and_its_logarithm_do_not_overflow():
    total = contraction("c", K, lambda c: apply(EXP, X(n, c)))
    p = Tensor("p", (N, K))
    q = Tensor("q", (N, K))
    softmax = multiply(apply(EXP, X(n, k)), power(total, -1))
    program = Program(
        (x,), (Equation(p, (n, k), softmax), Equation(q, (n, k), apply(LOG, Entry(p, (n, k))))), (p, q)
    )  # fmt: skip
    found = compile_program(program)(x=[[1e4, -1e4, 0.0], [3.0, 4.0, 5.0]])
    np.testing.assert_array_equal(found["p"][0], [1, 0, 0])
    np.testing.assert_array_equal(found["q"][0], [0, -2e4, -1e4])
    np.testing.assert_allclose(np.exp(found["q"][1]), found["p"][1], rtol=1e-15)


def test_row_sum_of_softmax_is_computed_once():
    source = compile_program(nets.network(3, "sigmoid", "softmax_cross_entropy")[0]).source
    assert source.count("np.exp(z3") == 1


def test_source_imports_numpy_alone_and_passes_ruff(tmp_path):
    for program in (*nets.network(3, "gelu"), PROGRAMS["padded"]):
        source = compile_program(program).source
        names = [
            a.name
            for node in ast.walk(ast.parse(source))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for a in node.names
        ]
        assert names == ["numpy"]
        path = tmp_path / "generated.py"
        path.write_text(source)
        subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", "-q", str(path)], check=True)


def test_equations_stand_as_comments():
    source = compile_program(nets.network(3)[0]).source
    assert "# z2[n,i] = sum(j, W1[i,j]*x[n,j]) + b1[i]" in source


def test_hostile_names_cannot_become_code():
    bad = Tensor('x"""\nimport os  # lambda', (N,))
    program = Program(
        (bad,), (Equation(Tensor("class"), (), contraction("i", N, lambda i: Entry(bad, (i,)))),), (Tensor("class"),)
    )
    compiled = compile_program(program)
    assert (
        "import os" not in compiled.source.replace("import os  #", "").replace("_import_os", "")
        or "\nimport os" not in compiled.source
    )
    assert float(load_module(compiled.source)["compute"](np.arange(3.0))) == 3


def test_arbitrary_function_is_refused():
    with pytest.raises(UnsupportedError, match="f is an arbitrary function"):
        compile_program(one(apply(arbitrary("f"), X(n, k)), (n, k), (x,)))


def test_sizes_are_read_from_multiples():
    gates = Tensor("g", (multiply(number(4), H),))
    i = Index("i", H)
    program = one(Entry(gates, (add(i, H),)), (i,), (gates,))
    np.testing.assert_array_equal(compile_program(program)(g=np.arange(8.0))["out"], [2, 3])
    with pytest.raises(DataError, match="not a multiple of 4"):
        compile_program(program)(g=np.arange(7.0))


def test_bad_arguments_name_the_axis():
    f = compile_program(PROGRAMS["matrix product"])
    good = {"x": np.ones((2, 3)), "w": np.ones((3, 2))}
    for change, message in (
        ({"w": np.ones((4, 2))}, r"w has size 4 along axis 0, which is axis K of size 3 \(given by x\)"),
        ({"w": np.ones(3)}, r"w has 1 axes, but \(K, H\) is needed"),
        ({"w": np.ones((3, 2), complex)}, "w has type complex128"),
        ({"w": np.empty((3, 0))}, "w is empty: axis H has size 0"),
        ({"v": 1.0}, "unknown array v"),
    ):
        with pytest.raises(DataError, match=message):
            f(**(good | change))
    with pytest.raises(DataError, match="missing array w"):
        f(x=good["x"])


def test_labels_out_of_range_are_refused():
    f = compile_program(PROGRAMS["chosen label"])
    with pytest.raises(DataError, match="y holds the label 3, but labels run from 0 to 2"):
        f(x=np.ones((2, 3)), y=[0, 3])
    with pytest.raises(DataError, match="its entries are integers"):
        f(x=np.ones((2, 3)), y=[0.0, 1.0])


def test_nan_passes_through():
    f = compile_program(PROGRAMS["matrix product"])
    assert np.isnan(f(x=np.full((2, 3), np.nan), w=np.ones((3, 2)))["out"]).all()


def test_negated_sum_keeps_its_sign():
    program = one(negate(add(X(n, k), ONE)), (n, k), (x,))
    np.testing.assert_array_equal(compile_program(program)(x=[[1.0, -3.0]])["out"], [[-2.0, 2.0]])


ALIASED = st.lists(st.tuples(st.sampled_from(["same", "add", "multiply", "exp"]), st.integers(0, 9), st.integers(0, 9)))


@settings(max_examples=60, deadline=None)
@drawn(ALIASED.filter(bool), st.integers(1, 3))
def test_an_array_with_two_names_is_kept_until_the_last_of_them_is_read(steps, count):
    """Chains of elementwise equations, some of which only give a name: no buffer is written over too soon."""
    made = [x]
    equations = []
    for position, (kind, first, second) in enumerate(steps):
        a, b = (Entry(made[p % len(made)], (n, k)) for p in (first, second))
        value = {"same": a, "add": add(a, b), "multiply": multiply(a, b), "exp": apply(EXP, negate(multiply(a, a)))}
        made.append(Tensor(f"t{position}", (N, K)))
        equations.append(Equation(made[-1], (n, k), value[kind]))
    program = Program((x,), tuple(equations), tuple(made[1:][-count:]))
    code = compile_program(program)
    assert code.kept is not None
    inputs = {"x": np.random.default_rng(len(steps)).normal(size=(4, 5)) / 3}
    found, expected = code(**inputs), evaluate(program, SIZES, inputs)
    for tensor in program.outputs:
        np.testing.assert_allclose(found[tensor.name], np.asarray(expected[tensor.name], float), 1e-12)
    again = code(x=inputs["x"] + 1)
    assert not any(np.shares_memory(again[t.name], found[t.name]) for t in program.outputs)


def marks(coefficient, rest):
    """A program with rest + coefficient * [k = y[n]], and its labels in their range."""
    delta = kronecker(k, Entry(labels, (n,)))
    value = add(rest, multiply(coefficient, delta))
    out = Tensor("out", (N, K))
    return Program((x, labels), (Equation(out, (n, k), value),), (out,), assumptions=(Assumption("labels", labels, K),))


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize(
    ("program", "by_index"),
    [
        (marks(number(-2), apply(EXP, Entry(x, (n, k)))), True),
        (marks(divide(ONE, N), Entry(x, (n, k))), True),
        (marks(ONE, ZERO), True),
        (marks(ONE, Entry(labels, (n,))), False),  # an array without all axes
        (marks(Entry(x, (n, k)), Entry(x, (n, k))), False),  # what is added depends on the class
        (Program((x, labels), marks(ONE, Entry(x, (n, k))).equations, marks(ONE, ZERO).outputs), False),  # any integers
    ],
    ids=["exp", "entry", "one-hot", "other axes", "by class", "integers"],
)
def test_a_one_hot_term_is_added_by_index_where_labels_lie_in_their_range(program, by_index, backend):
    code = compile_program(program, backend=backend)
    assert ("add_at(" in code.source) == (by_index and backend == "numpy")
    inputs = {"x": np.random.default_rng(3).normal(size=(4, 5)), "y": np.array([4, 0, 2, 2])}
    kept = inputs["x"].copy()
    expected = evaluate(program, SIZES, inputs)["out"]
    for form in (code, replace(code, run=None)) if backend == "numpy" else (code,):
        np.testing.assert_allclose(form(**inputs)["out"], np.asarray(expected, float), 1e-12)
    np.testing.assert_array_equal(inputs["x"], kept)


@pytest.mark.parametrize("exponent", ["2", "3", "4", "5", "-1", "-2", "-3", "-4", "1/2", "-1/2", "3/2", "-3/2", "5/2"])
@pytest.mark.parametrize("around", [lambda p: p, lambda p: add(p, X(n, k)), lambda p: multiply(p, apply(EXP, X(n, k)))])
def test_powers_are_computed_by_products_and_roots(exponent, around):
    for base in (X(n, k), add(ONE, power(X(n, k), number(2)))):
        value = around(power(base, number(Fraction(exponent))))
        out, after = Tensor("out", (N, K)), Tensor("after", (N, K))
        equations = Equation(out, (n, k), value), Equation(after, (n, k), subtract(Entry(out, (n, k)), X(n, k)))
        program = Program((x,), equations, (out, after))
        inputs = {"x": np.random.default_rng(1).uniform(0.5, 1.5, (4, 5))}
        found, expected = compile_program(program)(**inputs), evaluate(program, SIZES, inputs)
        for name in ("out", "after"):
            np.testing.assert_allclose(found[name], np.asarray(expected[name], float), 1e-12, 1e-12)


def elu(x):
    return np.where(x > 0, x, np.exp(x) - 1)


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize("axis", [0, (0, 1)])
def test_compile_compares_an_extremum_with_the_very_array_of_which_it_was_taken(backend, axis):
    """exp(x) - 1 was computed as expm1(x) before the largest was taken, and as it stands to find where that is."""
    code = sb.compile(sb.trace(lambda x: 2 * elu(x).max(axis=axis), {"x": ("N", "K")}), backend=backend)
    x = np.array([[-1.3, -0.2], [-0.7, -2.1], [-1.1, -0.9]])
    upstream = {t.name: np.ones(2) for t in code.program.inputs if t.name == "dout"}
    largest = x == (x.max(axis=axis) if axis == 0 else x.max())
    np.testing.assert_allclose(code(x=x, **upstream)["x_bar"], 2 * np.exp(x) * largest, 1e-14)


@pytest.mark.parametrize("backend", ["numpy", "c", "jax", "torch"])
def test_compile_of_sorted_rows_gives_back_what_each_entry_weighs(backend):
    """Ranks are added up from truth values, which are real numbers, and something is looked up by them."""
    pytest.importorskip({"jax": "jax", "torch": "torch"}.get(backend, "numpy"))
    code = sb.compile(sb.trace(lambda x: np.sort(x, axis=1), {"x": ("N", "K")}), backend=backend)
    given = {"x": np.array([[3.0, 1.0, 2.0]]), "dout": np.array([[10.0, 20.0, 30.0]])}
    assert code.outcome(given)["x_bar"].tolist() == [[30.0, 10.0, 20.0]]


@pytest.mark.parametrize("backend", ["numpy", "c", "jax", "torch"])
def test_compile_of_what_depends_on_no_input_gives_the_output_alone(backend):
    pytest.importorskip({"jax": "jax", "torch": "torch"}.get(backend, "numpy"))
    code = sb.compile(sb.trace(lambda x: 3.0 * np.ones(x.shape[0]), {"x": ("N", "K")}), backend=backend)
    found = code.outcome({"x": np.ones((2, 3)), "dout": np.array([1.0, 4.0])})
    assert {name: np.asarray(value).tolist() for name, value in found.items() if name == "J"} == {"J": 15.0}


@pytest.mark.parametrize("backend", ["numpy", "c", "jax"])
def test_compiled_programs_give_arrays_that_may_be_written_to(backend):
    pytest.importorskip({"jax": "jax"}.get(backend, "numpy"))
    code = sb.compile(sb.trace(lambda x: (x * x).sum(), {"x": ("N",)}), backend=backend)
    first = code(x=np.array([1.0, 2.0]))
    first["x_bar"] += 1.0
    assert first["x_bar"].tolist() == [3.0, 5.0]
    assert code(x=np.array([1.0, 2.0]))["x_bar"].tolist() == [2.0, 4.0]


def test_compile_names_nothing_that_a_branch_alone_may_speak_of():
    """The step before the first is asked for nowhere but where there is one."""

    def best(x):
        m = x[0]
        for t in range(1, x.shape[0]):
            m = (m[:, None] + elu(x[t])).max(axis=1)
        return m

    code = sb.compile(sb.trace(best, {"x": ("T", "N")}))
    found = code(x=np.array([[1.0, 2.0], [-1.0, 0.5], [3.0, 1.0]]), dout=np.array([1.0, 10.0]))
    assert found["x_bar"].tolist() == [[1.0, 10.0], [0.0, 11.0], [11.0, 0.0]]
