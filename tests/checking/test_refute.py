"""Refutation: wrong claims of every hidden kind are found, right ones never, and a kink refutes nothing."""

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking.question import Question, true_gradient
from symbackprop.checking.refute import AT_A_GLANCE, Search, cross_examine, refute, wrong_gradients
from symbackprop.checking.sample_points import Sampler, telling_sizes
from symbackprop.errors import MalformedError
from symbackprop.evaluation.point import Point
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    Number,
    Position,
    Symbol,
    Tensor,
    add,
    apply,
    contraction,
    divide,
    extremum,
    kronecker,
    multiply,
    negate,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, arbitrary, derivative
from symbackprop.expression.program import Assumption, Equation, Program

N, D, M, C = (Symbol(s, "size") for s in "NDMC")
n, d, k, c = Index("n", N), Index("d", D), Index("k", M), Index("c", C)
x, w, b, z = Tensor("x", (N, D)), Tensor("w", (D, M)), Tensor("b", (M,)), Tensor("z", (N, M))
AFFINE = Equation(
    z, (n, k), add(contraction("j", D, lambda j: multiply(Entry(x, (n, j)), Entry(w, (j, k)))), Entry(b, (k,)))
)
UP = Tensor("dout", (N, M))


def up(i: Expr, j: Expr) -> Expr:
    return Entry(UP, (i, j))


def affine(dx=None, dw=None, db=None) -> Question:
    """The affine layer with its gradients, right unless given otherwise."""
    claims = {
        "x": (x, (n, d), dx or contraction("k", M, lambda k: multiply(up(n, k), Entry(w, (d, k))))),
        "w": (w, (d, k), dw or contraction("n", N, lambda i: multiply(Entry(x, (i, d)), up(i, k)))),
        "b": (b, (k,), db or contraction("n", N, lambda i: up(i, k))),
    }
    equations = [Equation(Tensor("d" + name, t.shape), indices, value) for name, (t, indices, value) in claims.items()]
    claimed = Program((x, w, b, UP), tuple(equations), tuple(e.tensor for e in equations))
    pairs = {name: (t, Tensor("d" + name, t.shape)) for name, (t, _, _) in claims.items()}
    return Question(Program((x, w, b), (AFFINE,), (z,)), claimed, pairs, (UP,))


u = Tensor("u", (N,))
V, DU = Tensor("v", (N,)), Tensor("du", (N,))
UPU = Tensor("dv", (N,))


def elementwise(value, slope, assumptions=(), domain=(), parameters=()) -> Question:
    """v[n] = value(u[n]) and the claim du[n] = dv[n] * slope(u[n])."""
    forward = Program((u,), (Equation(V, (n,), value(Entry(u, (n,)))),), (V,), parameters, assumptions, domain)
    claim = Equation(DU, (n,), multiply(Entry(UPU, (n,)), slope(Entry(u, (n,)))))
    return Question(forward, Program((u, UPU), (claim,), (DU,), parameters), {"u": (u, DU)}, (UPU,))


def above(value: Expr, threshold: int | Fraction) -> Expr:
    return Compare("<", number(threshold), value)


def relu(v: Expr) -> Expr:
    return apply(FUNCTIONS["relu"], v)


def test_right_affine_layer_is_not_refuted():
    question = affine()
    assert refute(question, budget_seconds=0.3) is None
    assert cross_examine(question) is True
    assert wrong_gradients(question, budget_seconds=0.2) == []


WRONG_AFFINE = {
    "sign": affine(dx=contraction("k", M, lambda k: negate(multiply(up(n, k), Entry(w, (d, k)))))),
    "factor": affine(dw=contraction("n", N, lambda i: multiply(number(2), Entry(x, (i, d)), up(i, k)))),
    "mean": affine(dw=divide(contraction("n", N, lambda i: multiply(Entry(x, (i, d)), up(i, k))), N)),
    "1e-12": affine(db=multiply(number(1 + Fraction(1, 10**12)), contraction("n", N, lambda i: up(i, k)))),
    "1e-30": affine(db=multiply(number(1 + Fraction(1, 10**30)), contraction("n", N, lambda i: up(i, k)))),
    "only at N = 1": affine(
        db=add(contraction("n", N, lambda i: up(i, k)), multiply(Kronecker(N, ONE), up(number(0), k)))
    ),
    "only at D < M": affine(db=multiply(add(ONE, Compare("<", D, M)), contraction("n", N, lambda i: up(i, k)))),
    "only at D = M": affine(db=multiply(add(ONE, Kronecker(D, M)), contraction("n", N, lambda i: up(i, k)))),
}


@pytest.mark.parametrize("case", WRONG_AFFINE)
def test_wrong_affine_layer_is_refuted_and_named(case):
    question = WRONG_AFFINE[case]
    found = refute(question)
    assert found is not None
    assert found.claimed[found.entry.name].shape == found.inputs[found.entry.name].shape
    expected = {"sign": "x", "factor": "w", "mean": "w"}.get(case, "b")
    assert found.entry.name == expected
    assert wrong_gradients(question, budget_seconds=0.2) == [expected]
    assert cross_examine(question) is not True or case.startswith("only")


def test_counterexample_holds_in_plain_numpy_and_is_small():
    found = refute(WRONG_AFFINE["mean"])
    assert found is not None and found.sizes["N"] == 2 and found.sizes["D"] == found.sizes["M"] == 1
    correct = found.inputs["x"].T @ found.upstream
    np.testing.assert_allclose(found.correct["w"], correct)
    np.testing.assert_allclose(found.claimed["w"], correct / 2)
    assert all((a != 0).all() for a in found.inputs.values())
    entry = found.to_dict()["entry"]
    assert (entry["name"], entry["index"]) == ("w", [0, 0])
    assert (entry["claimed"], entry["correct"]) == (float(correct[0, 0] / 2), float(correct[0, 0]))


THIN = {
    "mask above 1": elementwise(relu, lambda v: above(v, 1)),
    "mask above 1e-5": elementwise(relu, lambda v: above(v, Fraction(1, 10**5))),
    "mask above -1e-9": elementwise(relu, lambda v: above(v, -Fraction(1, 10**9))),
    "only beyond 4": elementwise(
        lambda v: power(v, 3), lambda v: multiply(where(above(v, 4), number(2), number(3)), power(v, 2))
    ),
    "only beyond 1000": elementwise(
        lambda v: power(v, 3), lambda v: multiply(where(above(v, 1000), number(2), number(3)), power(v, 2))
    ),
    "clip bound ignored": elementwise(
        lambda v: where(above(v, 50), number(50), v),
        lambda v: ONE,
    ),
    "tolerance as mask": elementwise(lambda v: where(above(v, 0), v, ZERO), lambda v: above(v, Fraction(-1, 1000))),
    "eps forgotten": elementwise(
        lambda v: power(add(power(v, 2), number(Fraction(1, 10**5))), Fraction(1, 2)),
        lambda v: multiply(v, power(power(v, 2), Fraction(-1, 2))),
    ),
    "wrong branch below eps": elementwise(
        lambda v: where(above(power(v, 2), Fraction(1, 10**8)), v, multiply(number(3), v)), lambda v: ONE
    ),
}


@pytest.mark.parametrize("case", THIN)
def test_thin_regions_are_found(case):
    question = THIN[case]
    found = refute(question)
    assert found is not None
    relative = abs(found.entry.claimed - found.entry.correct) / max(1e-3, np.abs(found.correct["u"]).max())
    assert relative > 1e-6, "the disagreement can be seen in floating point"


RIGHT = {
    "relu": elementwise(relu, lambda v: above(v, 0)),
    "relu, other side at 0": elementwise(relu, lambda v: Compare("<=", ZERO, v)),
    "abs": elementwise(lambda v: apply(FUNCTIONS["abs"], v), lambda v: subtract(above(v, 0), Compare("<", v, ZERO))),
    "square root under pos": elementwise(
        lambda v: power(v, Fraction(1, 2)),
        lambda v: divide(power(v, Fraction(-1, 2)), number(2)),
        (Assumption("pos", u),),
    ),
    "f": elementwise(lambda v: apply(arbitrary("f"), v), lambda v: apply(derivative(arbitrary("f")), v)),
    "clip": elementwise(lambda v: where(above(v, 3), number(3), v), lambda v: Compare("<", v, number(3))),
}


@pytest.mark.parametrize("case", RIGHT)
def test_right_claims_are_never_refuted(case):
    assert refute(RIGHT[case], budget_seconds=0.4) is None
    assert cross_examine(RIGHT[case]) is True


def test_claim_that_holds_for_one_function_only_is_refuted_for_f():
    f = arbitrary("f")
    value = lambda v: apply(f, v)  # noqa: E731
    found = refute(elementwise(value, lambda v: multiply(apply(f, v), subtract(ONE, apply(f, v)))))
    assert found is not None and found.functions["f"] != "sigmoid"
    wrong_order = refute(elementwise(value, lambda v: apply(derivative(f), apply(f, v))))
    assert wrong_order is not None and set(wrong_order.functions) == {"f"}


def test_error_seen_only_for_a_negative_product_of_parameters():
    lam = Symbol("lam")
    found = refute(elementwise(lambda v: multiply(lam, v), lambda v: power(lam, 2), parameters=(lam,)))
    assert found is not None and found.parameters["lam"] not in (0, 1)


def row_max(mask) -> Question:
    """v[n] = max over d of x[n,d], and the claim dx[n,d] = dv[n] * mask(n, d)."""
    top = Equation(V, (n,), extremum("max", "d", D, lambda j: Entry(x, (n, j))))
    claim = Equation(Tensor("dx", x.shape), (n, d), multiply(Entry(UPU, (n,)), mask(n, d)))
    forward = Program((x,), (top,), (V,))
    return Question(forward, Program((x, UPU), (top, claim), (claim.tensor,)), {"x": (x, claim.tensor)}, (UPU,))


def test_row_max_with_the_first_or_every_maximum_is_right():
    def first(i, j):
        index = Index("m", D, 10**9 + 1)
        return kronecker(j, Position("max", index, Entry(x, (i, index))))

    assert refute(row_max(lambda i, j: Compare("==", Entry(x, (i, j)), Entry(V, (i,)))), budget_seconds=0.4) is None
    assert refute(row_max(first), budget_seconds=0.4) is None


def test_row_max_with_a_loose_tolerance_is_refuted():
    close = lambda i, j: Compare("<", subtract(Entry(V, (i,)), Entry(x, (i, j))), number(Fraction(1, 10**4)))  # noqa: E731
    assert refute(row_max(close)) is not None


def test_max_of_computed_values_is_recognised_by_its_source():
    """z == max(z) is decided although the entries of z are balls of positive radius."""
    third = Equation(Tensor("t", x.shape), (n, d), multiply(Entry(x, (n, d)), number(Fraction(1, 3))))
    t = third.tensor
    top = Equation(V, (n,), extremum("max", "d", D, lambda j: Entry(t, (n, j))))
    mask = Compare("==", Entry(t, (n, d)), Entry(V, (n,)))
    claim = Equation(Tensor("dx", x.shape), (n, d), multiply(Entry(UPU, (n,)), mask, number(Fraction(1, 3))))
    forward = Program((x,), (third, top), (V,))
    question = Question(
        forward, Program((x, UPU), (third, top, claim), (claim.tensor,)), {"x": (x, claim.tensor)}, (UPU,)
    )
    assert cross_examine(question) is True


def test_ties_of_the_forward_program_refute_nothing():
    """max(relu(x), relu(x')) is often tied at 0, and max(y, y) always: no convention is wrong there."""
    r = Equation(Tensor("r", x.shape), (n, d), relu(Entry(x, (n, d))))
    top = Equation(V, (n,), extremum("max", "d", D, lambda j: Entry(r.tensor, (n, j))))
    count = contraction("j", D, lambda j: Compare("==", Entry(r.tensor, (n, j)), Entry(V, (n,))))
    mask = multiply(
        Compare("==", Entry(r.tensor, (n, d)), Entry(V, (n,))), power(count, -1), above(Entry(x, (n, d)), 0)
    )
    claim = Equation(Tensor("dx", x.shape), (n, d), multiply(Entry(UPU, (n,)), mask))
    forward = Program((x,), (r, top), (V,))
    question = Question(forward, Program((x, UPU), (r, top, claim), (claim.tensor,)), {"x": (x, claim.tensor)}, (UPU,))
    assert refute(question, budget_seconds=0.5) is None


def test_repeated_labels_are_tried():
    """dcenters[y] = ... in place of += : right as long as no label is repeated."""
    y, centers = Tensor("y", (N,), "integer"), Tensor("e", (C,))
    given = (Assumption("labels", y, C),)
    pick = Equation(V, (n,), multiply(Entry(centers, (Entry(y, (n,)),)), Entry(u, (n,))))

    def last(c):
        return lambda i: multiply(
            kronecker(Entry(y, (i,)), c),
            Entry(UPU, (i,)),
            Entry(u, (i,)),
            where(
                Compare(
                    "==",
                    contraction("j", N, lambda j: multiply(Compare("<", i, j), kronecker(Entry(y, (j,)), c))),
                    ZERO,
                ),
                ONE,
                ZERO,
            ),
        )

    claim = Equation(Tensor("de", (C,)), (c,), contraction("i", N, last(c)))
    question = Question(
        Program((u, y, centers), (pick,), (V,), assumptions=given),
        Program((u, y, centers, UPU), (claim,), (claim.tensor,), assumptions=given),
        {"e": (centers, claim.tensor)},
        (UPU,),
    )
    found = refute(question)
    assert found is not None
    assert len(set(found.inputs["y"].tolist())) < found.sizes["N"] and found.inputs["y"].dtype == np.int64


def test_assumptions_and_domain_are_kept():
    kinds = {"prob": "p", "pos": "q", "bern": "m", "pm1": "s"}
    tensors = {kind: Tensor(name, (N, C)) for kind, name in kinds.items()} | {"onehot": Tensor("o", (N, C))}
    total = Equation(
        Tensor("J"),
        (),
        contraction(
            "n", N, lambda i: contraction("c", C, lambda j: multiply(*(Entry(t, (i, j)) for t in tensors.values())))
        ),
    )
    given = tuple(Assumption(kind, t) for kind, t in tensors.items())  # type: ignore[arg-type]
    forward = Program(tuple(tensors.values()), (total,), (total.tensor,), (), given, (Compare("<", N, C),))
    question = Question(forward, Program(tuple(tensors.values()), (total,), (total.tensor,)), {})
    sampler = Sampler(question, random.Random(1))
    choices = sampler.size_choices()
    assert choices and all(s[N] < s[C] for s in choices)
    for _ in range(20):
        values = {kind: sampler.point(choices[0]).inputs[t] for kind, t in tensors.items()}
        assert ((values["prob"] > 0) & (values["prob"] < 1)).all() and (values["pos"] > 0).all()
        assert set(values["bern"].ravel()) <= {0.0, 1.0} and set(values["pm1"].ravel()) <= {-1.0, 1.0}
        assert (values["onehot"].sum(-1) == 1).all()


def test_first_sizes_are_unequal_with_a_batch_of_two_or_more():
    choices = Sampler(affine(), random.Random(0)).size_choices()
    first = list(choices[0].values())
    assert min(first) >= 2 and len(set(first)) == len(first)
    assert any(s[N] == 1 for s in choices) and any(len(set(s.values())) == 1 for s in choices)


def test_intermediate_gradient_and_given_truth():
    """delta = dJ/dz for the last layer is taken as given; dw = x' delta follows, and dz itself is compared."""
    a, cost = Tensor("a", (N, M)), Tensor("J")
    squash = Equation(a, (n, k), apply(FUNCTIONS["sigmoid"], Entry(z, (n, k))))
    total = Equation(
        cost,
        (),
        contraction("n", N, lambda i: contraction("k", M, lambda j: divide(power(Entry(a, (i, j)), 2), number(2)))),
    )
    forward = Program((x, w, b), (AFFINE, squash, total), (cost,))
    delta, dw, dz = Tensor("delta", (N, M)), Tensor("dw", w.shape), Tensor("dz", z.shape)
    gradient = Equation(dw, (d, k), contraction("n", N, lambda i: multiply(Entry(x, (i, d)), Entry(delta, (i, k)))))
    slope = lambda s: multiply(s, s, subtract(ONE, s))  # noqa: E731
    for right in (True, False):
        value = slope(Entry(a, (n, k))) if right else multiply(Entry(a, (n, k)), subtract(ONE, Entry(a, (n, k))))
        claimed = Program((x, a, delta), (gradient, Equation(dz, (n, k), value)), (dw, dz))
        question = Question(forward, claimed, {"w": (w, dw), "z2": (z, dz)}, truths={delta: z})
        assert wrong_gradients(question, budget_seconds=0.2) == ([] if right else ["z2"])
        found = refute(question, budget_seconds=0.2)
        assert (found is None) == right
        if found is not None:
            assert set(found.given) == {"a", "delta"} and found.upstream is None


def test_true_gradient_is_the_complex_step():
    point = Point({N: 2}, {u: np.array([0.5, -1.25]), UPU: np.array([2.0, 3.0])})
    program = Program((u,), (Equation(V, (n,), apply(EXP, power(Entry(u, (n,)), 2))),), (V,))
    found = true_gradient(program, point, u, (UPU,))
    value = lambda v: np.sum(np.array([2.0, 3.0]) * np.exp(v**2))  # noqa: E731
    for place in range(2):
        moved = np.array([0.5, -1.25], complex)
        moved[place] += 1e-30j
        assert float(found[(place,)].mid()) == pytest.approx(value(moved).imag / 1e-30, rel=1e-14)


def test_wrong_shape_is_malformed():
    claim = Equation(Tensor("dw", (M, D)), (k, d), Entry(w, (d, k)))
    question = Question(
        Program((x, w, b), (AFFINE,), (z,)),
        Program((w, UP), (claim,), (claim.tensor,)),
        {"w": (w, claim.tensor)},
        (UP,),
    )
    with pytest.raises(MalformedError, match="the gradient of w has the wrong shape"):
        refute(question)


def test_long_axis_of_fixed_size_is_examined_in_time():
    wide = Tensor("x", (N, number(784)))
    total = Equation(V, (n,), contraction("j", number(784), lambda j: power(Entry(wide, (n, j)), 2)))
    j = Index("j", number(784))
    claim = Equation(Tensor("dx", wide.shape), (n, j), multiply(number(2), Entry(wide, (n, j)), Entry(UPU, (n,))))
    question = Question(
        Program((wide,), (total,), (V,)),
        Program((wide, UPU), (claim,), (claim.tensor,)),
        {"x": (wide, claim.tensor)},
        (UPU,),
    )
    assert cross_examine(question) is True
    assert isinstance(number(784), Number)


def test_refutation_of_one_gradient_survives_the_wrong_shape_of_another():
    question = WRONG_AFFINE["mean"]
    bad = Equation(Tensor("flat", (M,)), (k,), number(1))
    claimed = Program(
        question.claimed.inputs, (*question.claimed.equations, bad), (*question.claimed.outputs, bad.tensor)
    )
    mixed = Question(question.forward, claimed, {**question.pairs, "x": (x, bad.tensor)}, (UP,))
    found = refute(mixed)
    assert found is not None and found.entry.name == "w"
    assert wrong_gradients(mixed, budget_seconds=0.2) == ["x", "w"]


def test_number_that_stands_for_infinity_is_not_reached():
    """exp(-1e9 + masked score) is taken for 0 by everyone; a point with scores of 1e9 refutes nobody."""
    big = number(-(10**9))
    hidden = lambda v: apply(EXP, add(big, v))  # noqa: E731
    slope = lambda v: where(above(v, 0), ONE, ZERO)  # noqa: E731
    assert refute(elementwise(lambda v: where(above(v, 0), v, hidden(v)), slope), budget_seconds=0.4) is None
    assert refute(elementwise(lambda v: apply(EXP, where(above(v, 3), v, big)), lambda v: ZERO)) is not None


def test_scalar_inputs_are_scaled_moved_and_shrunk():
    s, out, ds = Tensor("s"), Tensor("v"), Tensor("ds")
    value = where(above(Entry(s), Fraction(1, 1000)), power(Entry(s), 2), ZERO)
    claim = where(above(Entry(s), Fraction(1, 2000)), multiply(number(2), Entry(s)), ZERO)
    question = Question(
        Program((s,), (Equation(out, (), value),), (out,)),
        Program((s,), (Equation(ds, (), claim),), (ds,)),
        {"s": (s, ds)},
    )
    found = refute(question)
    assert found is not None and found.inputs["s"].shape == () and 5e-4 < found.inputs["s"] < 1e-3


@pytest.mark.parametrize(
    "claimed",
    [
        lambda x: 2 * x * np.where((x > 0.49) & (x < 0.5), 3, 1),
        lambda x: 2 * x * np.where((x > 0.3) & (x < 0.31), 3, 1),
        lambda x: 2 * x * np.where(x > 900, 2, 1),
        lambda x: 2 * x * np.where(np.abs(x) < 1e-3, 1.5, 1),
    ],
)
def test_counterexamples_are_no_rounding_away_from_a_threshold(claimed):
    found = sb.check(lambda x: (x**2).sum(), lambda x: {"x": claimed(x)}, shapes={"x": ("N",)}).counterexample
    (value,) = found.inputs["x"]
    assert (math.frexp(value)[0] * 2**8).is_integer()  # it has so few binary digits
    assert not np.allclose(claimed(value), 2 * value)


def test_a_glance_is_at_several_choices_of_sizes():
    search = Search(affine(), 5.0)
    sizes = {tuple(point.sizes.values()) for point, _ in itertools.islice(search.points("first look"), AT_A_GLANCE)}
    assert len(sizes) == AT_A_GLANCE - 1, "the first choice twice: once with all digits"
    wrong = affine(db=contraction("n", N, lambda i: multiply(number(2), up(i, k))))
    assert refute(affine(), stage="first look", most=AT_A_GLANCE) is None
    assert refute(wrong, stage="first look", most=AT_A_GLANCE) is not None


def test_axes_that_are_as_long_at_the_first_sizes_are_not_so_at_the_second():
    symbols = [Symbol(name, "size") for name in "NSDH"]
    first, second, *_ = telling_sizes(symbols, lambda sizes: True, lambda s: math.prod(s.values()), random.Random(0))
    same = [pair for pair in itertools.combinations(symbols, 2) if first[pair[0]] == first[pair[1]]]
    assert same, "of sizes up to 4 two are equal"
    assert all(second[a] != second[b] for a, b in same)


@pytest.mark.parametrize("claimed", [lambda x: 2 * x, lambda x: 2 * np.where(x < 101, x, 100)])
def test_beyond_a_threshold_is_looked_whatever_number_stands_there(claimed):
    """10000 is what a line is moved by, and no infinity: some x is more than the 100 it is compared with."""
    verdict = sb.check(
        lambda x: np.where(x < 100, x**2, 200 * x - 10000), lambda dout, x: {"x": dout * claimed(x)}, shapes={"x": ()}
    )
    assert verdict.status == "REFUTED" and verdict.counterexample.inputs["x"] > 100
