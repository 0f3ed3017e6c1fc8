"""Hand-written gradients in JAX, as people write them: right ones, wrong ones, and surrogates.

`CASES` holds for each the function or the pair of functions, what `check` is told, and the verdict.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Case(NamedTuple):
    """A gradient, what is said about it, and whether it is right."""

    subject: Any
    verdict: str
    shapes: dict
    fixed: dict | None = None
    assume: dict | None = None
    where: str | None = None
    wrong: tuple = ()
    intended: str | None = None


CASES: list[Case] = []


def add(subject, verdict, shapes, **options):
    """Enter a function."""
    CASES.append(Case(subject, verdict, shapes, **options))


@jax.custom_vjp
def log1pexp(x):
    return jnp.log1p(jnp.exp(x))


log1pexp.defvjp(lambda x: (log1pexp(x), x), lambda x, g: (g * (1 - 1 / (1 + jnp.exp(x))),))
add(log1pexp, "right", {"x": ("N",)})


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def clip_gradient(x, lim):
    return x


clip_gradient.defvjp(lambda x, lim: (x, None), lambda lim, _, g: (jnp.clip(g, -lim, lim),))
add(clip_gradient, "wrong", {"x": ("N",)}, fixed={"lim": 0.5}, wrong=("x",), intended="surrogate")


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def rms_norm(x, scale, eps=1e-6):
    var = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
    return x * lax.rsqrt(var + eps) * scale


def rms_fwd(x, scale, eps):
    var = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
    r = lax.rsqrt(var + eps)
    return x * r * scale, (x, scale, r)


def rms_bwd(eps, res, g):
    x, scale, r = res
    gs = g * scale
    dx = r * gs - x * r**3 * jnp.mean(gs * x, axis=-1, keepdims=True)
    return dx, jnp.sum(g * x * r, axis=tuple(range(g.ndim - 1)))


rms_norm.defvjp(rms_fwd, rms_bwd)
add(rms_norm, "right", {"x": ("B", "T", "D"), "scale": ("D",)})


@jax.custom_vjp
def softmax_ce(logits, labels):
    logp = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(logp, labels[:, None], axis=1))


def sce_fwd(logits, labels):
    logp = jax.nn.log_softmax(logits, axis=-1)
    return -jnp.mean(logp[jnp.arange(labels.shape[0]), labels]), (logp, labels)


def sce_bwd(res, g):
    logp, labels = res
    p = jnp.exp(logp)
    return g * (p - jax.nn.one_hot(labels, logp.shape[1])), None  # 1/N missing


softmax_ce.defvjp(sce_fwd, sce_bwd)
add(softmax_ce, "wrong", {"logits": ("N", "C"), "labels": ("N",)}, assume={"labels": "labels:C"}, wrong=("logits",))


@jax.custom_vjp
def attend(q, k, v):
    s = jnp.einsum("bqd,bkd->bqk", q, k) / jnp.sqrt(q.shape[-1])
    mask = jnp.tril(jnp.ones((q.shape[1], k.shape[1]), dtype=bool))
    s = jnp.where(mask, s, -jnp.inf)
    return jax.nn.softmax(s, axis=-1) @ v


def att_fwd(q, k, v):
    s = jnp.einsum("bqd,bkd->bqk", q, k) / jnp.sqrt(q.shape[-1])
    mask = jnp.tril(jnp.ones((q.shape[1], k.shape[1]), dtype=bool))
    p = jax.nn.softmax(jnp.where(mask, s, -jnp.inf), axis=-1)
    return p @ v, (q, k, v, p)


def att_bwd(res, g):
    q, k, v, p = res
    dv = jnp.einsum("bqk,bqe->bke", p, g)
    dp = jnp.einsum("bqe,bke->bqk", g, v)
    ds = p * (dp - jnp.sum(dp * p, axis=-1, keepdims=True)) / jnp.sqrt(q.shape[-1])
    return ds @ k, jnp.swapaxes(ds, 1, 2) @ q, dv


attend.defvjp(att_fwd, att_bwd)
add(attend, "right", {"q": ("B", "T", "D"), "k": ("B", "T", "D"), "v": ("B", "T", "E")})


@jax.custom_vjp
def safe_norm(x):
    return jnp.sqrt(jnp.sum(x**2, axis=-1) + 1e-12)


def sn_fwd(x):
    n = safe_norm(x)
    return n, (x, n)


def sn_bwd(res, g):
    x, n = res
    return (g[..., None] * x / n[..., None],)


safe_norm.defvjp(sn_fwd, sn_bwd)
add(safe_norm, "right", {"x": ("N", "D")})


@jax.jit
def helper(u):
    return jnp.where(u > 0, u, 0.1 * u)


@jax.custom_vjp
def leaky(x, w):
    return helper(x @ w).sum()


leaky.defvjp(
    lambda x, w: (helper(x @ w).sum(), (x, w)),
    lambda r, g: (g * jnp.where(r[0] @ r[1] > 0, 1.0, 0.1) @ r[1].T, g * r[0].T @ jnp.where(r[0] @ r[1] > 0, 1.0, 0.1)),
)
add(leaky, "right", {"x": ("N", "D"), "w": ("D", "M")})


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def seg_mean(x, seg, n):
    z = jnp.zeros((n, x.shape[1])).at[seg].add(x)
    return z / jnp.maximum(jnp.zeros(n).at[seg].add(1.0), 1.0)[:, None]


def sm_fwd(x, seg, n):
    return seg_mean(x, seg, n), seg


def sm_bwd(n, seg, g):
    c = jnp.maximum(jnp.zeros(n).at[seg].add(1.0), 1.0)
    return (g / c[:, None])[seg], None


seg_mean.defvjp(sm_fwd, sm_bwd)
add(seg_mean, "right", {"x": ("N", "D"), "seg": ("N",)}, fixed={"n": 3}, assume={"seg": "labels:3"})


def one(x, w):
    h = jnp.dot(w, x)
    return jax.nn.gelu(h), h


@jax.custom_vjp
def layer(x, w):
    return jax.vmap(one, in_axes=(0, None))(x, w)[0]


def layer_fwd(x, w):
    y, h = jax.vmap(one, in_axes=(0, None))(x, w)
    return y, (x, w, h)


def layer_bwd(res, g):
    x, w, h = res
    c = jnp.sqrt(2 / jnp.pi)
    t = jnp.tanh(c * (h + 0.044715 * h**3))
    d = 0.5 * (1 + t) + 0.5 * h * (1 - t**2) * c * (1 + 3 * 0.044715 * h**2)
    gh = g * d
    return gh @ w, gh.T @ x


layer.defvjp(layer_fwd, layer_bwd)
add(layer, "right", {"x": ("N", "D"), "w": ("M", "D")})


@jax.custom_vjp
def rope(x, cos, sin):
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def rope_fwd(x, cos, sin):
    return rope(x, cos, sin), (x, cos, sin)


def rope_bwd(res, g):
    x, cos, sin = res
    a, b = jnp.split(x, 2, axis=-1)
    ga, gb = jnp.split(g, 2, axis=-1)
    turned = jnp.concatenate([ga * cos - gb * sin, gb * cos + ga * sin], -1)  # not the inverse rotation
    return turned, ga * a + gb * b, gb * a - ga * b


rope.defvjp(rope_fwd, rope_bwd)
add(rope, "wrong", {"x": ("T", "2*D"), "cos": ("T", "D"), "sin": ("T", "D")}, wrong=("x",))


@jax.custom_vjp
def ste(x):
    return jnp.round(x)


ste.defvjp(lambda x: (jnp.round(x), None), lambda _, g: (g,))
add(ste, "wrong", {"x": ("N",)}, wrong=("x",), intended="surrogate")


def jf(x, w):
    return jnp.sum(jax.nn.sigmoid(x @ w) ** 2)


def jb(x, w):
    s = jax.nn.sigmoid(x @ w)
    d = 2 * s * s * (1 - s)
    return d @ w.T, x.T @ d


add((jf, jb), "right", {"x": ("N", "D"), "w": ("D", "M")})
