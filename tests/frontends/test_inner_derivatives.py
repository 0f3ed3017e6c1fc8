"""Code that differentiates itself: jax.vjp and jax.grad in a rule, torch.autograd.grad and .backward() in a backward."""

from functools import partial

import pytest

import symbackprop as sb

SHAPES = {"x": ("N", "D"), "w": ("D", "H")}


def checked_torch(backward, *, forward=None):
    """The verdict on a Function that is sigmoid(x @ w), or another forward, with this backward."""
    torch = pytest.importorskip("torch")

    def plain(ctx, x, w):
        ctx.save_for_backward(x, w)
        return torch.sigmoid(x @ w)

    members = {"forward": staticmethod(forward or plain), "backward": staticmethod(backward)}
    return sb.check(type("Checkpoint", (torch.autograd.Function,), members), shapes=SHAPES)


def test_torch_autograd_grad():
    torch = pytest.importorskip("torch")

    def recomputed(ctx, grad, factor=1):
        x, w = [t.detach().requires_grad_() for t in ctx.saved_tensors]
        with torch.enable_grad():
            out = torch.sigmoid(x @ w)
        return torch.autograd.grad(out, (x, w), factor * grad)

    assert checked_torch(recomputed).for_all_sizes
    wrong = checked_torch(lambda ctx, grad: recomputed(ctx, grad, 2))
    assert wrong.wrong == ("x", "w") and "factor 2" in str(wrong.diagnosis)


def test_backward_inside_a_backward_adds_up_in_grad():
    torch = pytest.importorskip("torch")

    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        with torch.no_grad():  # it has no effect in a forward that torch never differentiates
            return 2 * torch.sigmoid(x @ w)

    def recomputed(ctx, grad):
        x, w = (t.detach() for t in ctx.saved_tensors)
        for t in (x, w):
            t.requires_grad = True
        with torch.enable_grad():
            out = torch.sigmoid(x @ w)
        out.backward(grad, retain_graph=True)
        torch.autograd.backward(out, grad)
        return x.grad, w.grad

    assert checked_torch(recomputed, forward=forward).for_all_sizes


def test_what_is_hidden_from_torchs_derivative_is_refused():
    torch = pytest.importorskip("torch")

    def detached(ctx, grad):
        x, w = [t.detach().requires_grad_() for t in ctx.saved_tensors]
        with torch.enable_grad():
            z = x @ w
            out = torch.sigmoid(z) + z.detach() - z.detach()
        return torch.autograd.grad(out, (x, w), grad)

    verdict = checked_torch(detached)
    assert verdict.status == "UNDECIDED" and "what is detached inside a function" in verdict.reason


def test_torch_derivative_by_what_is_no_leaf():
    torch = pytest.importorskip("torch")

    def intermediate(ctx, grad):
        x, w = [t.detach().requires_grad_() for t in ctx.saved_tensors]
        with torch.enable_grad():
            z = x @ w
            out = torch.sigmoid(z)
        (dz,) = torch.autograd.grad(out, z, grad)
        return dz @ w.t(), x.t() @ dz

    verdict = checked_torch(intermediate)
    assert verdict.status == "UNDECIDED" and "requires_grad_()" in str(verdict)


# --- JAX


def rule_of(backward, function=None):
    """tanh(x @ w) with a rule of its own."""
    jax = pytest.importorskip("jax")
    plain = function or _tanh
    subject = jax.custom_vjp(lambda x, w: plain(x, w))
    subject.defvjp(lambda x, w: (plain(x, w), (x, w)), lambda kept, g: backward(jax, plain, kept, g))
    return sb.check(subject, shapes=SHAPES)


def _tanh(x, w):
    import jax.numpy as jnp

    return jnp.tanh(x @ w)


def pulled(jax, plain, kept, g, factor=1):
    return jax.vjp(plain, *kept)[1](factor * g)


def linear(jax, plain, kept, g):
    """The gradient as that of a scalar cost."""
    return jax.grad(lambda x, w: (plain(x, w) * g).sum(), argnums=(0, 1))(*kept)


def with_value(jax, plain, kept, g):
    x, w = kept
    (_, aux), dx = jax.value_and_grad(lambda x: ((plain(x, w) * g).sum(), w), has_aux=True)(x)
    return dx, jax.grad(lambda tree: (plain(tree["x"], tree["w"]) * g).sum())({"x": x, "w": aux})["w"]


def by_examples(jax, plain, kept, g):
    """One row after another."""
    x, w = kept
    rows = jax.vmap(lambda row, up: jax.vjp(lambda r: plain(r, w), row)[1](up)[0])
    return rows(x, g), jax.vjp(lambda v: plain(x, v), w)[1](g)[0]


@pytest.mark.parametrize("backward", [pulled, linear, with_value, by_examples])
def test_jax_derivatives_in_a_rule(backward):
    assert rule_of(backward).for_all_sizes


def test_jax_derivative_in_a_wrong_rule():
    verdict = rule_of(partial(pulled, factor=3))
    assert verdict.wrong == ("x", "w") and "factor 3" in str(verdict.diagnosis)


def test_jax_forward_mode_in_a_rule():
    """The rule of a custom_jvp that asks for the tangent of its own formula."""
    jax = pytest.importorskip("jax")

    @jax.custom_jvp
    def soft(x):
        return jax.nn.softplus(x) * x

    @soft.defjvp
    def rule(primals, tangents):
        return jax.jvp(lambda x: jax.nn.softplus(x) * x, primals, tangents)

    assert sb.check(soft, shapes={"x": ("N",)}).for_all_sizes


def test_transforms_that_were_made_outside():
    """vmap(f) and grad(f) carry the name of f: they are known by what JAX keeps of them."""
    jax = pytest.importorskip("jax")

    def square(x):
        return x * x * x

    slopes = jax.vmap(jax.grad(square))
    subject = jax.custom_vjp(lambda x: jax.vmap(square)(x))
    subject.defvjp(lambda x: (square(x), x), lambda x, g: (g * slopes(x),))
    assert sb.check(subject, shapes={"x": ("N",)}).for_all_sizes


# --- rules inside what is differentiated


def test_a_jax_rule_inside_a_function_that_is_differentiated():
    jax = pytest.importorskip("jax")
    import jax.numpy as jnp

    def inner(factor):
        loss = jax.custom_vjp(lambda z: jax.nn.logsumexp(z, axis=-1))
        loss.defvjp(lambda z: (loss(z), z), lambda z, g: (factor * g[:, None] * jax.nn.softmax(z),))
        return loss

    def mean(loss):
        return lambda x, w: jnp.mean(loss(x @ w))

    def backward(x, w):
        dz = jax.nn.softmax(x @ w) / len(x)
        return {"x": dz @ w.T, "w": x.T @ dz}

    verdict = sb.check(mean(inner(1)), backward, shapes=SHAPES)
    assert verdict.for_all_sizes and any("is that of its formula (shown)" in c for c in verdict.conditions)
    other = sb.check(mean(inner(2)), backward, shapes=SHAPES)
    assert other.status == "UNDECIDED" and "was not shown" in other.reason


def test_a_torch_function_inside_a_module():
    torch = pytest.importorskip("torch")

    class Swish(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * torch.sigmoid(x)

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            s = torch.sigmoid(x)
            return grad * s * (1 + x * (1 - s))

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 2)

        def forward(self, x):
            return Swish.apply(self.linear(x))

    program = sb.trace(Layer(), {"x": ("N", 3)})
    assert sb.prove(program).status == "PROVED"
    assert "where both have a value, the derivative rule of Swish is that of its formula (shown)" in program.conditions


def test_jax_goes_on_with_what_fwd_returns():
    jax = pytest.importorskip("jax")
    inner = jax.custom_vjp(lambda x: x * 1.0)
    inner.defvjp(lambda x: (2 * x, None), lambda _, g: (g,))  # where it is differentiated, its value is 2*x
    verdict = sb.check(lambda x: inner(x) ** 2, lambda dout, x: 2 * x * dout, shapes={"x": ("N",)})
    assert verdict.status == "UNDECIDED" and "was not shown" in verdict.reason


def test_an_output_of_a_torch_function_without_a_gradient_is_a_constant():
    torch = pytest.importorskip("torch")

    class Pair(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y, z = torch.tanh(x), x * x
            ctx.save_for_backward(y)
            ctx.mark_non_differentiable(z)
            return y, z

        @staticmethod
        def backward(ctx, g, _):
            (y,) = ctx.saved_tensors
            return g * (1 - y * y)

    def product(x):
        y, z = Pair.apply(x)
        return y * z

    def as_torch(dout, x):
        return dout * (1 - torch.tanh(x) ** 2) * x * x

    def of_the_formula(dout, x):
        return as_torch(dout, x) + dout * torch.tanh(x) * 2 * x

    assert sb.check(product, as_torch, shapes={"x": ("N",)}).for_all_sizes
    assert sb.check(product, of_the_formula, shapes={"x": ("N",)}).status == "REFUTED"


def test_torch_sends_nothing_to_tensors_in_a_list():
    torch = pytest.importorskip("torch")

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, scales):
            ctx.scale = scales[0]
            return x * scales[0]

        @staticmethod
        def backward(ctx, g):
            return g * ctx.scale, None

    shapes = {"x": ("N",), "w": ("N",)}
    for of_w in (lambda dout, x: dout * x, lambda dout, x: torch.zeros_like(x)):
        verdict = sb.check(
            lambda x, w: Scaled.apply(x, [w]),
            lambda dout, x, w, of_w=of_w: (dout * w, of_w(dout, x)),
            shapes=shapes,
        )
        assert verdict.status == "UNDECIDED" and "was not shown" in verdict.reason
