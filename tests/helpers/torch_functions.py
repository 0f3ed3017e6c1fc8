"""Hand-written gradients in PyTorch, as people write them: right ones, wrong ones, and surrogates.

`CASES` holds for each the class or the pair of functions, what `check` is told, and the verdict.
"""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

Function = torch.autograd.Function


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


def case(verdict, shapes, **options):
    """Enter a class."""

    def enter(subject):
        CASES.append(Case(subject, verdict, shapes, **options))
        return subject

    return enter


@case("right", {"i": ("N", "D")})
class Swish(Function):
    @staticmethod
    def forward(ctx, i):
        result = i * torch.sigmoid(i)
        ctx.save_for_backward(i)
        return result

    @staticmethod
    def backward(ctx, grad_output):
        (i,) = ctx.saved_tensors
        s = torch.sigmoid(i)
        return grad_output * (s * (1 + i * (1 - s)))


@case("wrong", {"x": ("N",)}, fixed={"beta": 1.5}, wrong=("x",))
class SwishBeta(Function):
    @staticmethod
    def forward(ctx, x, beta):
        ctx.save_for_backward(x)
        ctx.beta = beta
        return x * torch.sigmoid(beta * x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(ctx.beta * x)
        return g * (s + x * s * (1 - s)), None  # beta missing


@torch.jit.script
def mish_jit_fwd(x):
    return x.mul(torch.tanh(F.softplus(x)))


@torch.jit.script
def mish_jit_bwd(x, grad_output):
    x_sigmoid = torch.sigmoid(x)
    x_tanh_sp = F.softplus(x).tanh()
    return grad_output.mul(x_tanh_sp + x * x_sigmoid * (1 - x_tanh_sp * x_tanh_sp))


@case("right", {"x": ("N", "D")})
class MishJit(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return mish_jit_fwd(x)

    @staticmethod
    def backward(ctx, grad_output):
        x = ctx.saved_tensors[0]
        return mish_jit_bwd(x, grad_output)


@case("right", {"x": ("B", "T", "D"), "bias": ("D",)})
class BiasGelu(Function):
    @staticmethod
    def forward(ctx, x, bias):
        ctx.save_for_backward(x, bias)
        return F.gelu(x + bias, approximate="tanh")

    @staticmethod
    def backward(ctx, g):
        x, bias = ctx.saved_tensors
        y = x + bias
        k = math.sqrt(2 / math.pi)
        t = torch.tanh(k * (y + 0.044715 * y**3))
        d = 0.5 * (1 + t) + 0.5 * y * (1 - t * t) * k * (1 + 3 * 0.044715 * y**2)
        return g * d, g * d  # bias is summed by the engine


@case("right", {"x": ("N", "D"), "weight": ("V", "D"), "target": ("N",)}, assume={"target": "labels:V"})
class FusedLinearCE(Function):
    @staticmethod
    def forward(ctx, x, weight, target):
        logits = x @ weight.t()
        loss = F.cross_entropy(logits, target)
        p = F.softmax(logits, dim=-1)
        grad_logits = p - F.one_hot(target, logits.shape[-1]).to(p.dtype)
        grad_logits /= x.shape[0]
        ctx.save_for_backward(grad_logits @ weight, grad_logits.t() @ x)
        return loss

    @staticmethod
    def backward(ctx, grad_output):
        gx, gw = ctx.saved_tensors
        return grad_output * gx, grad_output * gw, None


@case("wrong", {"x": ("N", "C")}, fixed={"tau": 0.7}, wrong=("x",))
class SoftmaxTemp(Function):
    @staticmethod
    def forward(ctx, x, tau):
        y = (x / tau).softmax(-1)
        ctx.save_for_backward(y)
        ctx.tau = tau
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return y * (g - (g * y).sum(-1, keepdim=True)), None


@case("right", {"x": ("N",), "y": ("N",)}, fixed={"gamma": 2.0, "alpha": 0.25}, assume={"y": "bern"})
class FocalLoss(Function):
    @staticmethod
    def forward(ctx, x, y, gamma, alpha):
        p = torch.sigmoid(x)
        pt = p * y + (1 - p) * (1 - y)
        w = alpha * y + (1 - alpha) * (1 - y)
        ctx.save_for_backward(p, pt, w, y)
        ctx.gamma = gamma
        return (-w * (1 - pt) ** gamma * torch.log(pt)).mean()

    @staticmethod
    def backward(ctx, g):
        p, pt, w, y = ctx.saved_tensors
        gm = ctx.gamma
        dpt = w * (gm * (1 - pt) ** (gm - 1) * torch.log(pt) - (1 - pt) ** gm / pt)
        dx = dpt * p * (1 - p) * (2 * y - 1)
        return g * dx / p.numel(), None, None, None


@case("right", {"x": ("N", "2*H")})
class GLU(Function):
    @staticmethod
    def forward(ctx, x):
        a, b = x.chunk(2, dim=-1)
        s = b.sigmoid()
        ctx.save_for_backward(a, s)
        return a * s

    @staticmethod
    def backward(ctx, g):
        a, s = ctx.saved_tensors
        return torch.cat([g * s, g * a * s * (1 - s)], dim=-1)


@case("wrong", {"x": ("N", "2*H")}, wrong=("x",))
class GLUSwapped(Function):
    @staticmethod
    def forward(ctx, x):
        a, b = x.chunk(2, dim=-1)
        ctx.save_for_backward(a, b)
        return a * b.sigmoid()

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        s = torch.sigmoid(b)
        return torch.cat((g * a * s * (1 - s), g * s), dim=1)


def rotate_half(x):
    x1 = x[..., : x.shape[-1] // 2]
    x2 = x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)


@case("right", {"q": ("B", "T", "2*D"), "cos": ("T", "2*D"), "sin": ("T", "2*D")})
class Rotary(Function):
    @staticmethod
    def forward(ctx, q, cos, sin):
        ctx.save_for_backward(q, cos, sin)
        return q * cos + rotate_half(q) * sin

    @staticmethod
    def backward(ctx, g):
        q, cos, sin = ctx.saved_tensors
        return g * cos - rotate_half(g * sin), g * q, g * rotate_half(q)


@case("right", {"v": ("O", "I"), "gain": ("O", 1)})
class WeightNorm(Function):
    @staticmethod
    def forward(ctx, v, gain):
        norm = v.norm(dim=1, keepdim=True)
        ctx.save_for_backward(v, gain, norm)
        return v * (gain / norm)

    @staticmethod
    def backward(ctx, g):
        v, gain, norm = ctx.saved_tensors
        dot = (g * v).sum(1, keepdim=True)
        return gain / norm * (g - v * dot / norm.pow(2)), dot / norm


@case(
    "wrong",
    {"x": ("N", "C", "L"), "weight": ("C",)},
    fixed={"groups": 2, "eps": 1e-5},
    where="C % groups == 0",
    wrong=("weight",),
)
class GroupNorm(Function):
    @staticmethod
    def forward(ctx, x, weight, groups, eps):
        N, C, L = x.size()
        y = x.view(N, groups, -1)
        mu = y.mean(-1, keepdim=True)
        var = y.var(-1, unbiased=False, keepdim=True)
        rstd = torch.rsqrt(var + eps)
        xhat = ((y - mu) * rstd).view(N, C, L)
        ctx.save_for_backward(xhat, weight, rstd)
        ctx.groups = groups
        return xhat * weight.view(1, C, 1)

    @staticmethod
    def backward(ctx, g):
        xhat, weight, rstd = ctx.saved_tensors
        N, C, L = g.shape
        gw = (g * xhat).sum(dim=(0, 2)) / N
        gy = (g * weight.view(1, -1, 1)).reshape(N, ctx.groups, -1)
        xh = xhat.reshape(N, ctx.groups, -1)
        gx = rstd * (gy - gy.mean(-1, keepdim=True) - xh * (gy * xh).mean(-1, keepdim=True))
        return gx.reshape(N, C, L), gw, None, None


@case("right", {"a": ("N", "D"), "b": ("N", "D")}, fixed={"t": 0.1})
class InfoNCE(Function):
    @staticmethod
    def forward(ctx, a, b, t):
        logits = a @ b.T / t
        labels = torch.arange(a.shape[0], device=a.device)
        logp = logits.log_softmax(dim=1)
        ctx.save_for_backward(a, b, logp.exp())
        ctx.t = t
        return -logp[labels, labels].mean()

    @staticmethod
    def backward(ctx, g):
        a, b, p = ctx.saved_tensors
        n = a.shape[0]
        d = (p - torch.eye(n, device=p.device, dtype=p.dtype)) * (g / (n * ctx.t))
        return d @ b, d.T @ a, None


@case("right", {"x": ("N", "D")}, fixed={"dim": 1})
class LogSumExp(Function):
    @staticmethod
    def forward(ctx, x, dim):
        m = x.amax(dim, keepdim=True)
        e = (x - m).exp()
        s = e.sum(dim, keepdim=True)
        ctx.save_for_backward(e / s)
        ctx.dim = dim
        return (m + s.log()).squeeze(dim)

    @staticmethod
    def backward(ctx, g):
        return g.unsqueeze(ctx.dim) * ctx.saved_tensors[0], None


@case("wrong", {"x": ("N",)}, intended="surrogate", wrong=("x",))
class RoundSTE(Function):
    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, g):
        return g


@case("wrong", {"x": ("N", "D")}, intended="surrogate", wrong=("x",))
class SignSTE(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * (x.abs() <= 1).float()


@case("wrong", {"x": ("N",)}, fixed={"lo": -1.0, "hi": 1.0}, intended="surrogate", wrong=("x",))
class ClampSTE(Function):
    @staticmethod
    def forward(ctx, x, lo, hi):
        return x.clamp(lo, hi)

    @staticmethod
    def backward(ctx, g):
        return g.clone(), None, None


@case("right", {"x": ("B", "T", "K"), "w": ("M", "K"), "b": ("M",)})
class LinearBias(Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda")
    def forward(ctx, x, w, b=None):
        ctx.save_for_backward(x, w, b)
        out = x.matmul(w.t())
        if b is not None:
            out += b.unsqueeze(0).expand_as(out)
        return out

    @staticmethod
    @torch.amp.custom_bwd(device_type="cuda")
    def backward(ctx, g):
        x, w, b = ctx.saved_tensors
        gx = gw = gb = None
        if ctx.needs_input_grad[0]:
            gx = g.matmul(w)
        if ctx.needs_input_grad[1]:
            gw = torch.einsum("btm,btk->mk", g, x)
        if b is not None and ctx.needs_input_grad[2]:
            gb = g.sum((0, 1))
        return gx, gw, gb


@case("wrong", {"x": ("N", "K"), "w": ("M", "K"), "b": ("M",)}, wrong=("b",))
class LinearBiasMean(Function):
    @staticmethod
    def forward(x, w, b):
        return F.linear(x, w, b)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, w, _ = inputs
        ctx.save_for_backward(x, w)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g @ w, g.t() @ x, g.mean(0)


@case("right", {"x": ("N", "C")})
class MaxRow(Function):
    @staticmethod
    def forward(ctx, x):
        values, idx = x.max(dim=1)
        ctx.mark_non_differentiable(idx)
        ctx.save_for_backward(idx)
        ctx.shape = x.shape
        return values, idx

    @staticmethod
    def backward(ctx, g, _):
        (idx,) = ctx.saved_tensors
        gx = g.new_zeros(ctx.shape)
        return gx.scatter_(1, idx.unsqueeze(1), g.unsqueeze(1))


@case("right", {"x": ("N", "C"), "y": ("N", "C")})
class TwoOut(Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y, torch.exp(x) - y.square()

    @staticmethod
    @once_differentiable
    def backward(ctx, g1, g2):
        x, y = ctx.saved_tensors
        gx = g1.mul(y).addcmul(g2, x.exp())
        gy = torch.mul(g1, x).sub_(2 * y * g2)
        return gx, gy


@case("right", {"x": ("N", "D"), "w": ("D",), "b": ("D",)}, fixed={"eps": 1e-5})
class LayerNormFn(Function):
    @staticmethod
    def forward(ctx, x, w, b, eps):
        mean = x.mean(-1, keepdim=True)
        var = (x - mean).pow(2).mean(-1, keepdim=True)
        inv = (var + eps).rsqrt()
        xhat = (x - mean).mul_(inv)
        ctx.save_for_backward(xhat, w, inv)
        return torch.addcmul(b, xhat, w)

    @staticmethod
    def backward(ctx, g):
        xhat, w, inv = ctx.saved_tensors
        D = xhat.shape[-1]
        gxh = g * w
        gx = (1.0 / D) * inv * (D * gxh - gxh.sum(-1, keepdim=True) - xhat * (gxh * xhat).sum(-1, keepdim=True))
        return gx, (g * xhat).sum(0), g.sum(0), None


@case("wrong", {"x": ("B", "C", "L")}, fixed={"eps": 1e-5}, where="B >= 2", wrong=("x",))
class BatchNormTrain(Function):
    @staticmethod
    def forward(ctx, x, eps):
        mu = x.mean(dim=(0, 2), keepdim=True)
        var = x.var(dim=(0, 2), keepdim=True)  # unbiased
        inv = 1 / torch.sqrt(var + eps)
        xhat = (x - mu) * inv
        ctx.save_for_backward(xhat, inv)
        return xhat

    @staticmethod
    def backward(ctx, g):
        xhat, inv = ctx.saved_tensors
        m = g.size(0) * g.size(2)
        return inv * (g - g.sum((0, 2), keepdim=True) / m - xhat * (g * xhat).sum((0, 2), keepdim=True) / m), None


@case("right", {"pred": ("N", "D"), "target": ("N", "D")}, fixed={"reduction": "batchmean"})
class KLDiv(Function):
    @staticmethod
    def forward(ctx, pred, target, reduction):
        logp = F.log_softmax(pred, 1)
        logq = F.log_softmax(target, 1)
        q = logq.exp()
        kl = (q * (logq - logp)).sum()
        ctx.save_for_backward(logp, logq, q)
        ctx.n = pred.size(0)
        return kl / ctx.n if reduction == "batchmean" else kl

    @staticmethod
    def backward(ctx, g):
        logp, logq, q = ctx.saved_tensors
        gp = (logp.exp() * q.sum(1, keepdim=True) - q) * (g / ctx.n)
        d = logq - logp
        gt = q * (d - (q * d).sum(1, keepdim=True)) * (g / ctx.n)
        return gp, gt, None


@case("right", {"table": ("V", "D"), "idx": ("B", "L")}, assume={"idx": "labels:V"}, fixed={"pad": 0})
class EmbeddingBagMean(Function):
    @staticmethod
    def forward(ctx, table, idx, pad):
        keep = (idx != pad).unsqueeze(-1).to(table.dtype)
        n = keep.sum(1).clamp(min=1)
        out = (F.embedding(idx, table) * keep).sum(1) / n
        ctx.save_for_backward(idx, keep, n)
        ctx.V = table.shape[0]
        return out

    @staticmethod
    def backward(ctx, g):
        idx, keep, n = ctx.saved_tensors
        per = (g / n).unsqueeze(1) * keep
        grad = torch.zeros(ctx.V, g.shape[-1], dtype=g.dtype, device=g.device)
        grad.index_add_(0, idx.reshape(-1), per.reshape(-1, g.shape[-1]))
        return grad, None, None


@case("wrong", {"x": ("N", "D"), "m": ("N", "D")}, fixed={"p": 0.25}, assume={"m": "bern"}, wrong=("x",))
class DropoutFn(Function):
    @staticmethod
    def forward(ctx, x, m, p):
        ctx.save_for_backward(m)
        ctx.p = p
        return x * m / (1 - p)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0], None, None


@case("right", {"x": ("N", "C"), "margin": ("N",), "y": ("N",)}, assume={"y": "labels:C"})
class MarginLoss(Function):
    @staticmethod
    def forward(ctx, x, margin, y):
        picked = x.gather(1, y[:, None])
        z = (x - picked + margin[:, None]).clamp_min(0)
        z.scatter_(1, y[:, None], 0)
        ctx.save_for_backward(z > 0, y)
        return z.sum(1)

    @staticmethod
    def backward(ctx, g):
        active, y = ctx.saved_tensors
        d = active.to(g.dtype) * g[:, None]
        s = d.sum(1)
        d = d.scatter_add(1, y[:, None], -s[:, None])
        return d, s, None


@case("right", {"h": ("B", "H"), "x": ("B", "D"), "wz": ("D", "H"), "uz": ("H", "H")})
class GRUGate(Function):
    @staticmethod
    def forward(ctx, h, x, wz, uz):
        z = torch.sigmoid(torch.addmm(x @ wz, h, uz))
        out = torch.lerp(h, torch.tanh(x @ wz), z)
        ctx.save_for_backward(h, x, wz, uz, z)
        return out

    @staticmethod
    def backward(ctx, g):
        h, x, wz, uz, z = ctx.saved_tensors
        n = torch.tanh(x @ wz)
        da = g * (n - h) * z * (1 - z)
        dn = g * z * (1 - n**2)
        dh = g * (1 - z) + da @ uz.T
        dpre = da + dn
        return dh, dpre @ wz.t(), x.t() @ dpre, h.t() @ da


@case("right", {"x": ("N", "D"), "c": ("K", "D")})
class PairwiseDist(Function):
    @staticmethod
    def forward(ctx, x, c):
        diff = x[:, None, :] - c[None, :, :]
        ctx.save_for_backward(diff)
        return diff.pow(2).sum(-1)

    @staticmethod
    def backward(ctx, g):
        (diff,) = ctx.saved_tensors
        t = 2 * g.unsqueeze(-1) * diff
        return t.sum(1), -t.sum(0)


@case("right", {"x": ("N",)}, fixed={"lam": 0.5})
class SoftShrink(Function):
    @staticmethod
    def forward(ctx, x, lam):
        y = torch.where(x > lam, x - lam, torch.where(x < -lam, x + lam, torch.zeros_like(x)))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * (y != 0), None


@case("right", {"x": ("N", "T", "D"), "a": ("N", "T")})
class WeightedPool(Function):
    @staticmethod
    def forward(ctx, x, a):
        w = torch.softmax(a, dim=1)
        out = torch.bmm(w.unsqueeze(1), x).squeeze(1)
        ctx.save_for_backward(x, w, out)
        return out

    @staticmethod
    def backward(ctx, g):
        x, w, out = ctx.saved_tensors
        gx = w.unsqueeze(-1) * g.unsqueeze(1)
        s = (x * g.unsqueeze(1)).sum(-1)
        ga = w * (s - (out * g).sum(-1, keepdim=True))
        return gx, ga


@case(
    "wrong",
    {"q": ("B", "H", "T", "D"), "k": ("B", "H", "S", "D"), "v": ("B", "H", "S", "D"), "bias": ("H", "T", "S")},
    wrong=("bias",),
)
class AttnBias(Function):
    @staticmethod
    def forward(ctx, q, k, v, bias):
        s = q @ k.transpose(-1, -2) / math.sqrt(q.size(-1)) + bias
        p = s.softmax(-1)
        ctx.save_for_backward(q, k, v, p)
        return p @ v

    @staticmethod
    def backward(ctx, do):
        q, k, v, p = ctx.saved_tensors
        scale = q.size(-1) ** -0.5
        dv = p.mT @ do
        dp = do @ v.mT
        ds = p * (dp - (dp * p).sum(-1, True))
        return ds @ k * scale, ds.mT @ q * scale, dv, ds.mean(0)


@case("right", {"x": ("N", "D"), "scale": (), "zero": ()})
class Affine(Function):
    @staticmethod
    def forward(ctx, x, scale, zero):
        ctx.save_for_backward(x, scale)
        return x * scale + zero

    @staticmethod
    def backward(ctx, g):
        x, scale = ctx.saved_tensors
        return g * scale, (g * x).sum(), g.sum()


@case(
    "wrong",
    {"x": ("N", "D"), "s": ()},
    fixed={"qmin": -8, "qmax": 7},
    wrong=(
        "x",
        "s",
    ),
    intended="surrogate",
)
class LSQ(Function):
    @staticmethod
    def forward(ctx, x, s, qmin, qmax):
        ctx.save_for_backward(x, s)
        ctx.q = (qmin, qmax)
        return (x / s).round().clamp(qmin, qmax) * s

    @staticmethod
    def backward(ctx, g):
        x, s = ctx.saved_tensors
        lo, hi = ctx.q
        r = x / s
        small, big = (r < lo).float(), (r > hi).float()
        mid = 1.0 - small - big
        gs = (small * lo + big * hi + mid * (-r + r.round())) * g
        return mid * g, gs.sum(), None, None


@case(
    "right",
    {"logits": ("N", "C"), "target": ("N",)},
    fixed={"smoothing": 0.1, "ignore_index": -100},
    assume={"target": "labels:C"},
)
class SmoothCE(Function):
    @staticmethod
    def forward(ctx, logits, target, smoothing, ignore_index):
        _, c = logits.shape
        lse = torch.logsumexp(logits, dim=-1)
        loss = (
            lse - (1 - smoothing) * logits.gather(-1, target.unsqueeze(-1)).squeeze(-1) - smoothing / c * logits.sum(-1)
        )
        ctx.save_for_backward(logits, target, lse)
        ctx.smoothing = smoothing
        return loss

    @staticmethod
    def backward(ctx, g):
        logits, target, lse = ctx.saved_tensors
        p = torch.exp(logits - lse[:, None])
        p -= ctx.smoothing / logits.shape[1]
        p[torch.arange(p.shape[0], device=p.device), target] -= 1 - ctx.smoothing
        return p * g[:, None], None, None, None


@case("wrong", {"x": ("B", "D"), "centers": ("K", "D"), "y": ("B",)}, assume={"y": "labels:K"}, wrong=("centers",))
class CenterLoss(Function):
    @staticmethod
    def forward(ctx, x, centers, y):
        c = centers.index_select(0, y)
        ctx.save_for_backward(x, centers, y)
        return (x - c).pow(2).sum() / 2.0 / x.size(0)

    @staticmethod
    def backward(ctx, g):
        x, centers, y = ctx.saved_tensors
        diff = centers.index_select(0, y) - x
        counts = centers.new_ones(centers.size(0)).scatter_add_(0, y, torch.ones_like(y, dtype=x.dtype))
        gc = torch.zeros_like(centers)
        gc.scatter_add_(0, y.unsqueeze(1).expand(x.size()), diff)
        gc = gc / counts.view(-1, 1)
        return -g * diff / x.size(0), gc, None


@case("right", {"h": ("N", "H"), "c": ("N", "H"), "gates": ("N", "4*H")})
class LSTMPoint(Function):
    @staticmethod
    def forward(ctx, h, c, gates):
        i, f, g, o = gates.chunk(4, 1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c1 = f * c + i * g
        t = c1.tanh()
        ctx.save_for_backward(c, i, f, g, o, t)
        return o * t + 0 * h, c1

    @staticmethod
    def backward(ctx, gh, gc):
        c, i, f, g, o, t = ctx.saved_tensors
        d = gc + gh * o * (1 - t * t)
        dg = torch.cat([d * g * i * (1 - i), d * c * f * (1 - f), d * i * (1 - g * g), gh * t * o * (1 - o)], dim=1)
        return torch.zeros_like(gh), d * f, dg


@case("right", {"x": ("N", "D")}, fixed={"p": 0.3})
class NormClip(Function):
    @staticmethod
    def forward(ctx, x, p):
        n = x.norm(dim=-1, keepdim=True)
        s = torch.clamp(p / n, max=1.0)
        ctx.save_for_backward(x, n)
        ctx.p = p
        return x * s

    @staticmethod
    def backward(ctx, g):
        x, n = ctx.saved_tensors
        p = ctx.p
        clipped = p * (g / n - x * (g * x).sum(-1, keepdim=True) / n**3)
        return torch.where(n > p, clipped, g), None


@case("wrong", {"a": ("N", "D"), "p": ("N", "D"), "n": ("N", "D")}, fixed={"margin": 1.0}, wrong=("n",))
class Triplet(Function):
    @staticmethod
    def forward(ctx, a, p, n, margin):
        d = (a - p).pow(2).sum(1) - (a - n).pow(2).sum(1) + margin
        loss = F.relu(d)
        ctx.save_for_backward(a, p, n, loss)
        return loss.mean()

    @staticmethod
    def backward(ctx, g):
        a, p, n, loss = ctx.saved_tensors
        m = (loss > 0).to(a.dtype).unsqueeze(1) * (g / a.size(0)) * 2
        return (n - p) * m, (p - a) * m, (n - a) * m, None


@case("right", {"x": ("B", "C", "H", "W")}, fixed={"scale": 2})
class UpNearest(Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.scale = scale
        return x.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)

    @staticmethod
    def backward(ctx, g):
        B, C, H, W = g.shape
        s = ctx.scale
        return g.view(B, C, H // s, s, W // s, s).sum((3, 5)), None


@case("right", {"x": ("N", "D"), "perm": ("N",)}, assume={"perm": "labels:N"})
class Gather(Function):
    @staticmethod
    def forward(ctx, x, perm):
        ctx.save_for_backward(perm)
        ctx.n = x.shape
        return x[perm]

    @staticmethod
    def backward(ctx, g):
        (perm,) = ctx.saved_tensors
        return torch.zeros(ctx.n, dtype=g.dtype).index_put_((perm,), g, accumulate=True), None


@case("right", {"x": ("N", "T")})
class CumSum(Function):
    @staticmethod
    def forward(ctx, x):
        return torch.cumsum(x, dim=1)

    @staticmethod
    def backward(ctx, g):
        return g.flip(1).cumsum(1).flip(1)


@case("wrong", {"x": ("N", "T")}, wrong=("x",))
class CumSumNoFlip(Function):
    @staticmethod
    def forward(ctx, x):
        return x.cumsum(-1)

    @staticmethod
    def backward(ctx, g):
        return g.cumsum(-1)


def relu_sum(x, w, b):
    return torch.relu(x @ w + b).sum()


def relu_sum_backward(x, w, b):
    mask = (x @ w + b > 0).type_as(x)
    return {"x": mask @ w.T, "w": x.T @ mask, "b": mask.sum(0)}


def rounded(x):
    return x + (x.round() - x).detach()


def rounded_backward(dout, x):
    return {"x": dout}


def scaled(x, w):
    with torch.no_grad():
        scale = x.abs().mean()
    return (x / scale) * w


def scaled_backward(dout, x, w):
    s = x.abs().mean()
    return {"x": dout * w / s, "w": dout * x / s}


CASES += [
    Case((relu_sum, relu_sum_backward), "right", {"x": ("N", "D"), "w": ("D", "M"), "b": ("M",)}),
    Case((rounded, rounded_backward), "right", {"x": ("N",)}),
    Case((scaled, scaled_backward), "right", {"x": ("N",), "w": ("N",)}),
]
