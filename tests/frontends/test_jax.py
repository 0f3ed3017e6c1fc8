"""JAX code, unchanged: the verdict on gradients that people wrote, against JAX's own differentiation."""

from functools import partial

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.errors import TraceError

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402
from jax_functions import CASES  # noqa: E402

SIZES = {"N": 3, "D": 4, "C": 4, "B": 2, "T": 3, "M": 2, "E": 2}


def name_of(case):
    return (case.subject[0] if isinstance(case.subject, tuple) else case.subject).__name__


def options(case):
    return {"shapes": case.shapes, "fixed": case.fixed, "assume": case.assume, "where": case.where}


def passes(case):
    return case.subject if isinstance(case.subject, tuple) else (case.subject,)


def sampled(case):
    rng = np.random.default_rng(3)
    arrays = {}
    for name, shape in case.shapes.items():
        dims = tuple(2 * SIZES[n[2:]] if str(n).startswith("2*") else SIZES.get(n, n) for n in shape)
        kind = (case.assume or {}).get(name, "")
        if kind.startswith("labels"):
            arrays[name] = rng.integers(0, int(SIZES.get(kind[7:], kind[7:])), dims)
        else:
            arrays[name] = rng.standard_normal(dims)
    return arrays


def differ(case):
    """The inputs at which the rule is not the derivative of the formula, by JAX itself."""
    arrays = sampled(case)
    wanted = [n for n in arrays if n not in (case.assume or {})]
    found = []
    for function in (case.subject.fun, case.subject):

        def of(moved, function=function):
            return function(*({**arrays, **moved}).values(), *(case.fixed or {}).values())

        out, pull = jax.vjp(of, {n: jnp.asarray(arrays[n], jnp.float32) for n in wanted})
        found.append(pull(jnp.linspace(0.5, 1.5, out.size).reshape(out.shape))[0])
    return {n for n in wanted if not np.allclose(found[0][n], found[1][n], rtol=1e-3, atol=1e-4)}


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_check_agrees_with_jax(case):
    if not isinstance(case.subject, tuple):
        assert differ(case) == set(case.wrong)
    verdict = sb.check(*passes(case), **options(case))
    assert verdict.status == {"right": "PROVED", "wrong": "REFUTED"}[case.verdict], str(verdict)
    assert verdict.wrong == case.wrong


@pytest.mark.parametrize("case", [c for c in CASES if c.intended], ids=name_of)
def test_check_says_what_a_surrogate_is(case):
    verdict = sb.check(*passes(case), **options(case), intended="surrogate")
    assert verdict.status == "SURROGATE"
    assert "surrogate" in str(verdict)


def test_check_asks_whether_fwd_returns_the_function():
    @jax.custom_vjp
    def exponential(x):
        return jnp.exp(x)

    exponential.defvjp(lambda x: (jnp.exp(x) + 1e-3, jnp.exp(x)), lambda e, g: (g * e,))
    verdict = sb.check(exponential, shapes={"x": ("N",)})
    assert verdict.status == "MALFORMED"
    assert "fwd returns something else than exponential itself" in verdict.reason


def test_check_asks_for_a_rule():
    verdict = sb.check(jax.custom_vjp(jnp.sin), shapes={"x": ("N",)})
    assert verdict.status == "MALFORMED"
    assert "has no rule" in verdict.reason


@pytest.mark.parametrize(
    "numbers",
    [
        lambda x: jnp.arange(x.shape[0], dtype=jnp.uint8),
        lambda x: jnp.arange(x.shape[0]).astype(jnp.int16),
        lambda x: jnp.cumsum((x > 0).astype(jnp.int8)),
        lambda x: jax.lax.iota(jnp.uint8, x.shape[0]),
    ],
    ids=["arange", "astype", "cumsum", "iota"],
)
def test_integers_that_may_wrap_around_are_refused(numbers):
    """They do at sizes at which nobody runs the code to see."""
    with pytest.raises(TraceError, match="wrap around"):
        sb.trace(lambda x: jnp.asarray(x) * numbers(jnp.asarray(x)), {"x": ("N",)})


def test_arrays_do_not_change_in_place():
    def changed(x):
        y = x
        y += 1.0
        return x * y

    program = sb.trace(lambda x: changed(jnp.asarray(x)), {"x": ("N",)})
    assert not any("could not be asked" in c for c in program.conditions)

    def assigned(x):
        y = jnp.zeros_like(x)
        y[0] = 1.0
        return y

    with pytest.raises(TraceError, match="immutable"):
        sb.trace(assigned, {"x": ("N",)})


def decayed(xs, a, h0):
    def step(h, x):
        h = jnp.tanh(a * h + x)
        return h, h

    return jax.lax.scan(step, h0, xs)[1]


def decayed_backward(dout, xs, a, h0, forgets=False):
    hs = decayed(xs, a, h0)

    def step(g, at):
        up, h, before = at
        d = (up + (0 if forgets else g)) * (1 - h**2)
        return a * d, (d, d * before)

    before = jnp.concatenate([h0[None], hs[:-1]])
    last, (dxs, da) = jax.lax.scan(step, jnp.zeros_like(h0), (dout, hs, before), reverse=True)
    return {"xs": dxs, "a": da.sum(axis=0), "h0": last}


def paired(xs, a, b):
    def step(carry, x):
        h, m = carry
        h = a * h + x
        m = b * m + h
        return (h, m), m

    zero = jnp.zeros(xs.shape[1])
    return jax.lax.scan(step, (zero, zero), xs)[1]


def paired_backward(dout, xs, a, b):
    zero = jnp.zeros(xs.shape[1])

    def step(carry, x):
        h, m = carry
        now = a * h + x
        return (now, b * m + now), carry

    def back(carry, at):
        dh, dm = carry
        up, h, m = at
        dm = dm + up
        dh = dh + dm
        return (a * dh, b * dm), (dh, dh * h, dm * m)

    before = jax.lax.scan(step, (zero, zero), xs)[1]
    dxs, da, db = jax.lax.scan(back, (zero, zero), (dout, *before), reverse=True)[1]
    return {"xs": dxs, "a": da.sum(axis=0), "b": db.sum(axis=0)}


def test_scan_over_a_pair_of_states_is_proved_for_any_length():
    verdict = sb.check(paired, paired_backward, shapes={"xs": ("T", "D"), "a": ("D",), "b": ("D",)})
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), verdict


def test_map_is_followed_over_any_number_of_rows():
    verdict = sb.check(
        lambda xs, w: jax.lax.map(lambda x: jnp.tanh(w @ x), xs),
        lambda dout, xs, w: (lambda d: {"xs": d @ w, "w": d.T @ xs})(dout * (1 - jnp.tanh(xs @ w.T) ** 2)),
        shapes={"xs": ("T", "D"), "w": ("M", "D")},
    )
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), verdict


def test_scan_keeps_the_names_of_its_carry():
    """JAX goes through a dictionary by its keys, whatever the order in which they were written."""

    def f(x):
        def step(s, v):
            return {"h": jnp.tanh(s["h"] + v), "c": s["c"] + s["h"] * v}, s["c"]

        last, cs = jax.lax.scan(step, {"h": 0.5 * x[0], "c": x[0]}, x)
        return last["h"] + 2 * last["c"] + cs.sum()

    run = sb.compile(sb.trace(f, {"x": ("T",)}))
    for x in (np.array([0.5]), np.array([0.5, -1.25, 2.0])):
        assert np.isclose(run(x=x)["out"], float(f(jnp.asarray(x, jnp.float32))), rtol=1e-5)


def test_scan_is_followed_for_every_length():
    shapes = {"xs": ("T", "D"), "a": ("D",), "h0": ("D",)}
    verdict = sb.check(decayed, decayed_backward, shapes=shapes)
    assert verdict.status == "PROVED"
    assert verdict.for_all_sizes
    wrong = sb.check(decayed, decayed_backward, shapes=shapes, fixed={"forgets": True})
    assert set(wrong.wrong) == {"xs", "a", "h0"}


def elman(transposed):
    """A custom_vjp function whose rule scans in reverse and adds up what the weights get."""

    @jax.custom_vjp
    def rnn(x, h0, W):
        def step(h, xt):
            h = jnp.tanh(xt + h @ W)
            return h, h

        return jax.lax.scan(step, h0, x)[1]

    def forward(x, h0, W):
        hs = rnn(x, h0, W)
        return hs, (h0, W, hs)

    def backward(kept, g):
        h0, W, hs = kept
        back = W.T if transposed else W

        def step(carry, at):
            dh, dW = carry
            up, h, before = at
            dz = (dh + up) * (1 - h**2)
            return (dz @ back, dW + before.T @ dz), dz

        start = (jnp.zeros_like(h0), jnp.zeros_like(W))
        before = jnp.concatenate([h0[None], hs[:-1]])
        (dh0, dW), dx = jax.lax.scan(step, start, (g, hs, before), reverse=True)
        return dx, dh0, dW

    rnn.defvjp(forward, backward)
    return rnn


def test_rule_of_custom_vjp_that_scans_in_reverse_is_proved_for_every_length():
    shapes = {"x": ("T", "N", "H"), "h0": ("N", "H"), "W": ("H", "H")}
    verdict = sb.check(elman(True), shapes=shapes)
    assert verdict.status == "PROVED"
    assert verdict.for_all_sizes
    wrong = sb.check(elman(False), shapes=shapes)
    assert set(wrong.wrong) == {"x", "h0", "W"}


def test_fori_loop_and_map_are_followed_for_every_length():
    def horner(x, a):
        return jax.lax.fori_loop(0, x.shape[0], lambda i, value: a * value + x[i], jnp.zeros(()))

    told = [str(e) for e in sb.trace(horner, {"x": ("T",), "a": ()}).equations]
    assert told[0] == "value_before[t] = where(kronecker(t, 0), 0, value[t - 1])"
    assert told[1] == "value[t] = a*value_before[t] + x[t]"

    def rows(x, w):
        return jax.lax.map(lambda row: jnp.tanh(row @ w), x)

    told = [str(e) for e in sb.trace(rows, {"x": ("T", "D"), "w": ("D",)}).equations]
    assert told == ["t[t] = sum(d, x[t,d]*w[d])", "t_2[t] = tanh(t[t])", "out[t] = t_2[t]"]

    def total(x):
        return jax.lax.scan(lambda c, xt: ((c[0] + jnp.sin(xt), c[1] + 1), None), (0.0, 0), x)[0][0]

    assert [str(e) for e in sb.trace(total, {"x": ("T",)}).equations] == ["out = sum(k, sin(x[k]))"]


def test_cond_and_fori_loop_take_both_branches_and_every_step():
    def forward(x, y):
        grown = jax.lax.fori_loop(0, 3, lambda k, v: v + (k + 1) * y, x)
        return jax.lax.cond(x[0] > 1, lambda v: v * x, lambda v: v + y, grown)

    def backward(dout, x, y):
        more = x[0] > 1
        dx = jnp.where(more, dout * (2 * x + 6 * y), dout)
        return {"x": dx, "y": jnp.where(more, 6 * dout * x, 7 * dout)}

    assert sb.check(forward, backward, shapes={"x": ("N",), "y": ("N",)})


def test_while_loop_is_refused_by_name():
    def looped(x):
        return jax.lax.while_loop(lambda v: v.sum() < 1, lambda v: 2 * v, x)

    with pytest.raises(TraceError, match=r"jax\.lax\.while_loop cannot be traced"):
        sb.trace(looped, {"x": ("N",)})


FUNCTIONS = {
    name: getattr(jax.nn, name)
    for name in ("softmax", "log_softmax", "sigmoid", "relu", "relu6", "silu", "softplus", "log_sigmoid", "soft_sign",
                 "gelu", "leaky_relu", "elu", "selu", "hard_tanh", "hard_sigmoid", "hard_silu", "glu", "standardize")
} | {
    name: getattr(jax.lax, name) for name in ("rsqrt", "logistic", "square", "erf", "floor", "stop_gradient")
} | {
    "at_set": lambda x: x.at[:, 0].set(1.0),
    "at_multiply": lambda x: x.at[1:, 0].multiply(3.0),
    "vmap": lambda x: jax.vmap(lambda row: row / jnp.sum(jnp.exp(row)))(x),
    "vmap_in_axes": lambda x: jax.vmap(jnp.dot, in_axes=(0, None))(x, x[0]),
    "nested_vmap": lambda x: jax.vmap(lambda a: jax.vmap(lambda b: jnp.dot(a, b))(x))(x),
    "squareplus": jax.nn.squareplus,
    "attention": lambda x: jax.nn.dot_product_attention(*[x[None, :, None]] * 3, is_causal=True),
    "special": lambda x: jax.scipy.special.xlogy(x, x) + jax.scipy.special.logit(x) + jax.scipy.special.ndtr(x),
    "divergence": lambda x: jax.scipy.special.kl_div(x, x**2) + jax.scipy.special.entr(x),
    "segment_sum": lambda x: jax.ops.segment_sum(x.T, jnp.array([0, 2, 2, 0]), 3),
    "slices": lambda x: jax.lax.slice(x, (0, 1), (x.shape[0], 4), (1, 2)) + jax.lax.slice_in_dim(x, 0, 2, axis=-1),
    "dynamic_slices": lambda x: jax.lax.dynamic_slice_in_dim(x, 1, 2, axis=1) * jax.lax.index_in_dim(x, 0, 1),
    "dynamic_update": lambda x: jax.lax.dynamic_update_slice_in_dim(x, x[:, :2] ** 2, 2, axis=1),
    "lax_pad": lambda x: jax.lax.pad(x, 0.0, ((0, 0, 0), (1, 2, 0))),
    "rev": lambda x: jax.lax.rev(x, (0, 1)),
    "split": lambda x: jax.lax.split(x, (1, 3), axis=1)[1],
    "select_n": lambda x: jax.lax.select_n(x > 0.5, x, 2 * x),
    "full_like": lambda x: jax.lax.full_like(x, 2.0) * jax.lax.full((4,), 3.0),
    "dot_general": lambda x: jax.lax.dot_general(x[:, :, None], x[:, None], (((2,), (1,)), ((0,), (0,)))),
    "reduce": lambda x: jax.lax.reduce_max(x, axes=(1,)) + jax.lax.reduce_sum(x, axes=(1,)),
    "argmax": lambda x: x[0, jax.lax.argmax(x, 1, jnp.int32)],
    "top_k": lambda x: jax.lax.top_k(x, 2)[0],
    "cumprod": lambda x: jax.lax.cumprod(x, axis=1, reverse=True) + jax.lax.cummax(x, axis=1),
    "cumlogsumexp": lambda x: jax.lax.cumlogsumexp(x, axis=1, reverse=True) + jax.lax.cumlogsumexp(x),
    "types": lambda x: x.astype(jnp.result_type(x, jnp.float32)) if jnp.issubdtype(x.dtype, jnp.floating) else -x,
    "broadcast": lambda x: x + jax.lax.broadcasted_iota(jnp.int32, (x.shape[0], x.shape[1]), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_those_of_jax(name):
    function = FUNCTIONS[name]
    program = sb.trace(lambda x: function(jnp.asarray(x)), {"x": ("N", 4)}, {"x": "prob"})
    assert not any("could not be asked" in c for c in program.conditions)


@jax.custom_jvp
def soft_sign(x):
    return x / (1 + jnp.abs(x))


@soft_sign.defjvp
def _soft_sign_rule(primals, tangents):
    (x,), (t,) = primals, tangents
    return soft_sign(x), t / (1 + jnp.abs(x)) ** 2


@jax.custom_jvp
def log_sigmoid(x):
    return -jnp.log(1 + jnp.exp(-x))


@log_sigmoid.defjvp
def _log_sigmoid_rule(primals, tangents):
    (x,), (t,) = primals, tangents
    return log_sigmoid(x), t * jax.nn.sigmoid(x)  # of -x


@jax.custom_jvp
def affine(a, b, c):
    return a @ b + c


@affine.defjvp
def _affine_rule(primals, tangents):
    (a, b, c), (da, db, dc) = primals, tangents
    return a @ b + c, da @ b + 2 * a @ db + dc


@jax.custom_jvp
def x_log_y(x, y):
    return x * jnp.log(y)


x_log_y.defjvps(lambda t, ans, x, y: t * jnp.log(y), lambda t, ans, x, y: t * x / y)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def powered(x, n):
    return x**n


@powered.defjvp
def _powered_rule(n, primals, tangents):
    (x,), (t,) = primals, tangents
    return x**n, n * x ** (n - 1) * t


@jax.custom_jvp
def doubled_there(x):
    return jnp.tanh(x)


@doubled_there.defjvp
def _doubled_there_rule(primals, tangents):
    (x,), (t,) = primals, tangents
    return 2 * jnp.tanh(x), t * (1 - jnp.tanh(x) ** 2)


RULES = [
    (soft_sign, {"x": ("N",)}, {}, ()),
    (log_sigmoid, {"x": ("N",)}, {}, ("x",)),
    (affine, {"a": ("N", "K"), "b": ("K", "M"), "c": ("M",)}, {}, ("b",)),
    (x_log_y, {"x": ("N",), "y": ("N",)}, {"assume": {"y": "pos"}}, ()),
    (powered, {"x": ("N",)}, {"fixed": {"n": 3}}, ()),
]


@pytest.mark.parametrize(("rule", "shapes", "given", "wrong"), RULES, ids=lambda v: getattr(v, "__name__", None))
def test_check_judges_rules_for_tangents(rule, shapes, given, wrong):
    sizes = {"N": 3, "K": 2, "M": 4}
    rng = np.random.default_rng(2)
    arrays = {n: 0.5 + rng.random([sizes[a] for a in shape]) for n, shape in shapes.items()}
    fixed = tuple(given.get("fixed", {}).values())
    for name, x in arrays.items():  # JAX's own derivative of the formula, beside the rule

        def along(v, name=name, function=rule.fun):
            return function(*({**arrays, name: v}).values(), *fixed)

        own = jax.jvp(along, (x,), (np.ones_like(x),))[1]
        ruled = jax.jvp(lambda v: along(v, function=rule), (x,), (np.ones_like(x),))[1]
        assert np.allclose(own, ruled, rtol=1e-4) == (name not in wrong)
    verdict = sb.check(rule, shapes=shapes, **given)
    assert verdict.status == ("REFUTED" if wrong else "PROVED")
    assert verdict.wrong == wrong


def test_a_rule_for_tangents_must_return_what_the_function_does():
    assert sb.check(doubled_there, shapes={"x": ("N",)}).status == "UNDECIDED"


def test_a_custom_jvp_without_a_rule_is_malformed():
    verdict = sb.check(jax.custom_jvp(lambda x: x), shapes={"x": ("N",)})
    assert verdict.status == "MALFORMED"
    assert "has no rule" in verdict.reason


@pytest.mark.parametrize(
    "forward, backward, asks",
    [
        (
            lambda x: x * (jnp.arange(x.shape[0]) * 100000 * 100000),
            lambda dout, x: {"x": dout * (jnp.arange(x.shape[0]) * 1e10)},
            "jax_enable_x64",
        ),
        (lambda x: x * jnp.arange(x.shape[0]), lambda dout, x: {"x": dout * jnp.arange(x.shape[0])}, ""),
        (lambda x: x + 0 * x.astype(jnp.float16), lambda dout, x: {"x": dout * 1.0}, "65504"),
        (lambda x: x + 0 * x.astype(jnp.float32), lambda dout, x: {"x": dout * 1.0}, ""),
    ],
    ids=["wide integers", "integers", "float16", "float32"],
)
def test_what_narrow_numbers_cannot_hold_is_a_condition(forward, backward, asks):
    verdict = sb.check(forward, backward, shapes={"x": ("N",)})
    assert verdict
    told = [c for c in verdict.conditions if "jax_enable_x64" in c or "65504" in c]
    assert len(told) == bool(asks)
    assert all(asks in c for c in told)


# --- structures of arrays -----------------------------------------------------------------------------------------


@jax.custom_vjp
def penalty(params, scale):
    return 0.5 * sum(jnp.sum((scale * leaf) ** 2) for leaf in jax.tree.leaves(params))


def penalty_fwd(params, scale):
    return penalty.fun(params, scale), (params, scale)


def penalty_bwd(kept, g):
    params, scale = kept
    leaves, tree = jax.tree_util.tree_flatten(params)
    found = jax.tree_util.tree_unflatten(tree, [g * scale**2 * leaf for leaf in leaves])
    squares = jax.tree.reduce(lambda a, b: a + b, jax.tree_util.tree_map(lambda leaf: jnp.sum(leaf**2), params))
    return found, g * scale * squares


penalty.defvjp(penalty_fwd, penalty_bwd)


def test_trees_of_arrays_are_arguments_of_rules():
    verdict = sb.check(penalty, shapes={"params": {"z": ("A",), "a": [("B", "C"), ("A",)]}, "scale": ()})
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)


def test_celu_is_scaled_inside():
    def forward(x):
        return jax.nn.celu(x, alpha=2.0)

    def backward(dout, x):
        return {"x": dout * jnp.where(x > 0, 1.0, jnp.exp(x / 2.0))}

    assert sb.check(forward, backward, shapes={"x": ("N",)}).status == "PROVED"


def test_triangular_systems_may_have_a_unit_diagonal():
    from jax.scipy.linalg import solve_triangular

    def forward(L, b):
        return solve_triangular(L, b, lower=True, unit_diagonal=True)

    def backward(dout, L, b):
        x = solve_triangular(L, b, lower=True, unit_diagonal=True)
        found = solve_triangular(L, dout, lower=True, trans="T", unit_diagonal=True)
        return {"L": -jnp.tril(jnp.outer(found, x), -1), "b": found}

    assert sb.check(forward, backward, shapes={"L": ("N", "N"), "b": ("N",)}).status == "PROVED"


def test_a_bwd_that_returns_no_tuple_is_malformed():
    @jax.custom_vjp
    def sine(x):
        return jnp.sin(x)

    sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: g * jnp.cos(x))
    verdict = sb.check(sine, shapes={"x": ("N",)})
    assert (verdict.status, verdict.diagnosis) == ("MALFORMED", "bwd of sine does not return a tuple of gradients")


@pytest.mark.parametrize(("begin", "first"), [(3, 1), (-2, 2), (-9, 0)])
def test_a_slice_that_would_leave_its_axis_is_moved_back(begin, first):
    def forward(x):
        return jax.lax.dynamic_slice(x, (begin,), (3 if begin == 3 else 2,))

    def backward(dout, x):
        return {"x": jnp.zeros_like(x).at[first : first + dout.shape[0]].add(dout)}

    assert sb.check(forward, backward, shapes={"x": (4,)}).status == "PROVED"


@pytest.mark.parametrize(("backward", "status"), [
    (lambda g, i: jnp.where(i > 0, g[jnp.maximum(i - 1, 0)], 0), "PROVED"),
    (lambda g, i: g[i - 1], "REFUTED"),
])  # fmt: skip
def test_a_segment_below_the_first_is_left_out(backward, status):
    def forward(x, i):
        return jax.ops.segment_sum(x, i - 1, num_segments=4)

    verdict = sb.check(forward, lambda dout, x, i: {"x": backward(dout, i)}, shapes={"x": ("N",), "i": ("N",)},
                       assume={"i": "labels:5"})  # fmt: skip
    assert verdict.status == status


@pytest.mark.parametrize(("bwd", "told"), [
    (lambda n, x, g: (), "bwd of power returns 0 gradients for 1 argument: x"),
    (lambda x, g: (g * x,), "bwd of power cannot be called by JAX: too many positional arguments"),
])  # fmt: skip
def test_a_rule_of_another_form_is_told(bwd, told):
    @partial(jax.custom_vjp, nondiff_argnums=(1,))
    def power(x, n):
        return x**n

    power.defvjp(lambda x, n: (x**n, x), bwd)
    verdict = sb.check(power, shapes={"x": ("N",)}, fixed={"n": 2})
    assert (verdict.status, verdict.diagnosis) == ("MALFORMED", told)
