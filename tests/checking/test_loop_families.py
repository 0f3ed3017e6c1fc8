"""Loops over symbolic lengths as people write them: proved for all sizes, and with a slip no proof is found."""

import itertools

import numpy as np
import pytest
from thinning import EVERYTHING

import symbackprop as sb
from symbackprop.checking.budget import CHECK, Budget
from symbackprop.checking.decide import goal_of, prove
from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.exact import evaluate
from symbackprop.frontends.numpy.traced import trace_pair

FAMILIES = {}


def family(shapes, wrong, assume=None, where=None):
    """Enter a family: its shapes, and the gradients that are wrong with the slip."""

    def enter(build):
        FAMILIES[build.__name__] = (build, shapes, wrong, assume, where)
        return build

    return enter


def _unproved(name, slip):
    build, shapes, _, assume, where = FAMILIES[name]
    goal = goal_of(trace_pair(*build(slip), shapes, assume, where))
    # what is right has as long as a check: on a busy machine the longest of them needs more than twenty seconds
    return goal.question, prove(goal, goal.names, goal.sides.quick, Budget.of(8.0 if slip else CHECK)).unproved


@family({"x": ("T", "D"), "W": ("D", "H"), "U": ("H", "H"), "V": ("H", "K"), "R": ("K", "K")}, ["V"])
def two_layers_in_one_loop(slip):
    def forward(x, W, U, V, R):
        a, b, out = np.zeros(len(U)), np.zeros(len(R)), np.zeros((len(x), len(R)))
        for t in range(len(x)):
            a = np.tanh(x[t] @ W + a @ U)
            b = np.tanh(a @ V + b @ R)
            out[t] = b
        return out

    def backward(dout, x, W, U, V, R):
        A, B = np.zeros((len(x) + 1, len(U))), np.zeros((len(x) + 1, len(R)))
        for t in range(len(x)):
            A[t + 1] = np.tanh(x[t] @ W + A[t] @ U)
            B[t + 1] = np.tanh(A[t + 1] @ V + B[t] @ R)
        dx, dW, dU, dV, dR = (np.zeros_like(v) for v in (x, W, U, V, R))
        da, db = np.zeros(len(U)), np.zeros(len(R))
        for t in range(len(x) - 1, -1, -1):
            zb = (db + dout[t]) * (1 - B[t + 1] ** 2)
            dV += np.outer(A[t if slip else t + 1], zb)
            dR += np.outer(B[t], zb)
            za = (da + zb @ V.T) * (1 - A[t + 1] ** 2)
            dW += np.outer(x[t], za)
            dU += np.outer(A[t], za)
            dx[t] = za @ W.T
            da, db = za @ U.T, zb @ R.T
        return {"x": dx, "W": dW, "U": dU, "V": dV, "R": dR}

    return forward, backward


@family({"x": ("T", "D"), "W": ("D", "H"), "U": ("H", "H"), "h0": ("H",)}, ["x", "W", "U", "h0"])
def caches_as_tuples(slip):
    def forward(x, W, U, h0):
        h, out = h0, []
        for t in range(len(x)):
            h = np.tanh(x[t] @ W + h @ U)
            out.append(h)
        return np.stack(out)

    def backward(dout, x, W, U, h0):
        h, caches = h0, []
        for t in range(len(x)):
            new = np.tanh(x[t] @ W + h @ U)
            caches.append((x[t], h, new))
            h = new
        dx, dW, dU, dh = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros_like(h0)
        for t in reversed(range(len(x))):
            xt, before, after = caches[t]
            dz = (dh + dout[t]) * (1 - (before if slip else after) ** 2)
            dW += np.outer(xt, dz)
            dU += np.outer(before, dz)
            dx[t] = dz @ W.T
            dh = dz @ U.T
        return {"x": dx, "W": dW, "U": dU, "h0": dh}

    return forward, backward


@family({"x": ("T", "H"), "U": ("H", "H"), "h0": ("H",)}, ["U"])
def start_in_the_last_row(slip):
    """h[t - 1] is h[-1] in the first round."""

    def run(x, U, h0):
        h = np.zeros((len(x) + 1, len(h0)))
        h[-1] = h0
        for t in range(len(x)):
            h[t] = np.tanh(x[t] + h[t - 1] @ U)
        return h

    def backward(dout, x, U, h0):
        h = run(x, U, h0)
        dx, dU, g = np.zeros_like(x), np.zeros_like(U), np.zeros_like(h0)
        for t in reversed(range(len(x))):
            dx[t] = z = (g + dout[t]) * (1 - h[t] ** 2)
            dU += np.outer(h[t if slip else t - 1], z)
            g = U @ z
        return {"x": dx, "U": dU, "h0": g}

    return (lambda x, U, h0: run(x, U, h0)[:-1]), backward


@family({"x": ("T",)}, ["x"])
def every_other_from_the_end(slip):
    def forward(x):
        out = np.zeros_like(x)
        for t in range(len(x) - 1, -1, -2):
            out[t] = x[t] ** 2
        return out

    def backward(dout, x):
        dx = np.zeros_like(x)
        for t in range(len(x) - 1, -1, -1 if slip else -2):
            dx[t] = 2 * x[t] * dout[t]
        return {"x": dx}

    return forward, backward


@family({"u": ("N",), "c": ()}, ["u"])
def round_the_end(slip):
    """Neighbours on a ring; the backward adds at places that are one place where N is 1 or 2."""

    def forward(u, c):
        out = np.zeros_like(u)
        for i in range(len(u)):
            out[i] = u[i] * u[i - 1] + c * u[(i + 1) % len(u)] ** 2
        return out

    def backward(dout, u, c):
        du, dc = np.zeros_like(u), 0.0
        for i in range(len(u)):
            du[i] += dout[i] * u[i - 1]
            du[i - 1] += dout[i] * u[i]
            du[i if slip else (i + 1) % len(u)] += 2 * c * dout[i] * u[(i + 1) % len(u)]
            dc += dout[i] * u[(i + 1) % len(u)] ** 2
        return {"u": du, "c": dc}

    return forward, backward


@family({"x": ("T",)}, ["x"])
def product(slip):
    return lambda x: np.prod(x), lambda dout, x: {"x": dout * np.prod(x) / (x**2 if slip else x)}


@family({"x": ("T",)}, ["x"])
def running_product(slip):
    def backward(dout, x):
        out = np.cumprod(x)
        return {"x": np.cumsum((dout * out)[::-1])[::-1] / (1 if slip else x)}

    return lambda x: np.cumprod(x), backward


@family({"x": ("T",)}, ["x"])
def product_from_both_sides(slip):
    def forward(x):
        p = 1.0
        for t in range(len(x)):
            p = p * x[t]
        return p

    def backward(dout, x):
        left, right = np.ones(len(x)), np.ones(len(x))
        for t in range(1, len(x)):
            left[t] = left[t - 1] * x[t if slip else t - 1]
        for t in range(len(x) - 2, -1, -1):
            right[t] = right[t + 1] * x[t + 1]
        return {"x": dout * left * right}

    return forward, backward


@family({"c": ("N",), "x": ()}, ["x"])
def horner(slip):
    def forward(c, x):
        p = 0.0
        for i in range(len(c) - 1, -1, -1):
            p = p * x + c[i]
        return p

    def backward(dout, c, x):
        p, dp = 0.0, 0.0
        for i in range(len(c) - 1, -1, -1):
            if slip:
                p = p * x + c[i]
                dp = dp * x + p
            else:
                dp = dp * x + p
                p = p * x + c[i]
        dc, w = np.zeros_like(c), dout
        for i in range(len(c)):
            dc[i] = w
            w = w * x
        return {"c": dc, "x": dout * dp}

    return forward, backward


@family({"y": ("T", "L")}, ["y"], assume={"y": "pos"})
def paths_through_labels(slip):
    """A recursion over steps with a loop over labels inside, as in connectionist temporal classification."""

    def forward(y):
        T, L = y.shape
        a = np.zeros((T, L))
        a[0, 0] = y[0, 0]
        for t in range(1, T):
            for s in range(L):
                v = a[t - 1, s]
                if s > 0:
                    v = v + a[t - 1, s - 1]
                a[t, s] = v * y[t, s]
        return np.log(a[T - 1, L - 1])

    def backward(dout, y):
        T, L = y.shape
        a, b = np.zeros((T, L)), np.zeros((T, L))
        a[0, 0], b[T - 1, L - 1] = y[0, 0], 1.0
        for t in range(1, T):
            for s in range(L):
                v = a[t - 1, s]
                if s > 0:
                    v = v + a[t - 1, s - 1]
                a[t, s] = v * y[t, s]
        for t in range(T - 2, -1, -1):
            for s in range(L):
                v = b[t + 1, s] * y[t + 1, s]
                if s < L - 1:
                    v = v + b[t + 1, s + 1] * y[t + 1, s if slip else s + 1]
                b[t, s] = v
        return {"y": dout * a * b / y / a[T - 1, L - 1]}

    return forward, backward


@family({"x": ("C", "2*H", "2*W")}, ["x"])
def blocks_of_places(slip):
    def forward(x):
        C, H, W = x.shape
        out = np.zeros((C, H // 2, W // 2))
        for i in range(H // 2):
            for j in range(W // 2):
                out[:, i, j] = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max(axis=(1, 2))
        return out

    def backward(dout, x):
        dx = np.zeros_like(x)
        for i in range(x.shape[1] // 2):
            for j in range(x.shape[2] // 2):
                p = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                m = 1 if slip else p == p.max(axis=(1, 2), keepdims=True)
                dx[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = m * dout[:, i, j][:, None, None]
        return {"x": dx}

    return forward, backward


@family({"x": ("H", "W"), "w": ("KH", "KW")}, ["w"], where="H >= KH, W >= KW")
def kernel_places(slip):
    def forward(x, w):
        (H, W), (KH, KW) = x.shape, w.shape
        out = np.zeros((H - KH + 1, W - KW + 1))
        for p in range(KH):
            for q in range(KW):
                out += x[p : p + H - KH + 1, q : q + W - KW + 1] * w[p, q]
        return out

    def backward(dout, x, w):
        (H, W), (KH, KW) = x.shape, w.shape
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for p in range(KH):
            for q in range(KW):
                dx[p : p + H - KH + 1, q : q + W - KW + 1] += dout * w[p, q]
                dw[KH - 1 - p if slip else p, q] = np.sum(dout * x[p : p + H - KH + 1, q : q + W - KW + 1])
        return {"x": dx, "w": dw}

    return forward, backward


@family({"A": ("K", "K"), "B": ("T", "K"), "p": ("K",)}, ["A", "B", "p"], assume=dict.fromkeys("ABp", "pos"))
def scaled_recursion(slip):
    """The forward recursion of a hidden Markov model, in units of its sum at each step, beside the usual backward one."""

    def forward(A, B, p):
        a = p * B[0]
        c = a.sum()
        a, J = a / c, np.log(c)
        for t in range(1, len(B)):
            a = (a @ A) * B[t]
            c = a.sum()
            a = a / c
            J += np.log(c)
        return J

    def backward(A, B, p):
        T, K = B.shape
        al, c, be, dA = np.zeros((T, K)), np.zeros(T), np.zeros((T, K)), np.zeros_like(A)
        al[0] = p * B[0]
        c[0] = al[0].sum()
        al[0] = al[0] / c[0]
        for t in range(1, T):
            al[t] = (al[t - 1] @ A) * B[t]
            c[t] = al[t].sum()
            al[t] = al[t] / c[t]
        be[T - 1] = 1.0
        for t in range(T - 2, -1, -1):
            be[t] = A @ (B[t + 1] * be[t + 1]) / c[t if slip else t + 1]
        for t in range(1, T):
            dA += np.outer(al[t - 1], B[t] * be[t]) / c[t]
        return {"A": dA, "B": al * be / B, "p": B[0] * be[0] / c[0]}

    return forward, backward


@family({"x": ("T", "D"), "W": ("D", "3*H"), "U": ("H", "3*H")}, [])
def gates_side_by_side(slip):
    """A GRU whose three gates lie in one buffer; one of them is gated itself."""

    def run(x, W, U):
        T, H = len(x), len(U)
        h, G = np.zeros((T + 1, H)), np.zeros((T, 3 * H))
        for t in range(T):
            xw, hu = x[t] @ W, h[t] @ U
            G[t, : 2 * H] = 1 / (1 + np.exp(-(xw[: 2 * H] + hu[: 2 * H])))
            G[t, 2 * H :] = np.tanh(xw[2 * H :] + G[t, :H] * hu[2 * H :])
            h[t + 1] = (1 - G[t, H : 2 * H]) * G[t, 2 * H :] + G[t, H : 2 * H] * h[t]
        return h, G

    def backward(dout, x, W, U):
        h, G = run(x, W, U)
        T, H = len(x), len(U)
        dx, dW, dU, dh = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros(H)
        for t in reversed(range(T)):
            r, z, n = G[t, :H], G[t, H : 2 * H], G[t, 2 * H :]
            dh = dh + dout[t]
            dn = dh * (1 - z) * (1 - n**2)
            dz = dh * (h[t] - n) * z * (1 - z)
            dr = dn * (h[t] @ U[:, 2 * H :]) * r * (1 - r)
            dxw, dhu = np.concatenate([dr, dz, dn]), np.concatenate([dr, dz, dn * r])
            dx[t] = W @ dxw
            dW += np.outer(x[t], dxw)
            dU += np.outer(h[t], dhu)
            dh = dh * z + U @ dhu
        return {"x": dx, "W": dW, "U": dU}

    return lambda x, W, U: run(x, W, U)[0][1:], backward


def _distances(a, b):
    N, M = len(a), len(b)
    R = np.zeros((N + 1, M + 1))
    for i in range(N):
        for j in range(M):
            z = np.exp(-R[i, j]) + np.exp(-R[i, j + 1]) + np.exp(-R[i + 1, j])
            R[i + 1, j + 1] = (a[i] - b[j]) ** 2 - np.log(z)
    return R


@family({"a": ("N",), "b": ("M",)}, ["a", "b"])
def neighbours_in_a_table(slip):
    """A soft edit distance: each entry of a table is computed from three, and its derivative is given to three."""

    def backward(dout, a, b):
        N, M = len(a), len(b)
        R, E, da, db = _distances(a, b), np.zeros((len(a) + 1, len(b) + 1)), np.zeros_like(a), np.zeros_like(b)
        E[N, M] = dout
        for i in range(N - 1, -1, -1):
            for j in range(M - 1, -1, -1):
                e = E[i + 1, j + 1]
                z = np.exp(-R[i, j]) + np.exp(-R[i, j + 1]) + np.exp(-R[i + 1, j])
                da[i] += 2 * (a[i] - b[j]) * e
                db[j] -= 2 * (a[i] - b[j]) * e
                E[i, j] += e * np.exp(-R[i, j]) / z
                E[i, j + 1] += e * np.exp(-R[i, j + 1]) / z
                E[i + 1, j] += e * np.exp(-R[i if slip else i + 1, j]) / z
        return {"a": da, "b": db}

    return lambda a, b: _distances(a, b)[len(a), len(b)], backward


@family({"C": ("N", "M")}, ["C"])
def neighbours_gathered(slip):
    """Soft dynamic time warping: each derivative is gathered from the three entries that were computed from it."""

    def run(C):
        N, M = C.shape
        R = np.zeros((N + 1, M + 1))
        for i in range(1, N + 1):
            for j in range(1, M + 1):
                R[i, j] = C[i - 1, j - 1] - np.log(
                    np.exp(-R[i - 1, j - 1]) + np.exp(-R[i - 1, j]) + np.exp(-R[i, j - 1])
                )
        return R

    def backward(dout, C):
        N, M = C.shape
        R, D, E = np.zeros((N + 2, M + 2)), np.zeros((N + 2, M + 2)), np.zeros((N + 2, M + 2))
        R[: N + 1, : M + 1], D[1 : N + 1, 1 : M + 1], E[N, M] = run(C), C, 1.0
        for i in range(N, 0, -1):
            for j in range(M, 0, -1):
                s = E[i, j]
                if i < N:
                    s = s + E[i + 1, j] * np.exp(R[i + 1, j] - D[i + 1, j] - R[i, j])
                if j < M:
                    s = s + E[i, j + 1] * np.exp(R[i, j + 1] - D[i, j + 1] - R[i, j])
                if i < N and j < M and not slip:
                    s = s + E[i + 1, j + 1] * np.exp(R[i + 1, j + 1] - D[i + 1, j + 1] - R[i, j])
                E[i, j] = s
        return {"C": dout * E[1 : N + 1, 1 : M + 1]}

    return lambda C: run(C)[C.shape[0], C.shape[1]], backward


@family({"x": ("H", "W", "D"), "U": ("D", "D"), "V": ("D", "D")}, [])
def states_of_a_grid(slip):
    """A recurrent net over the rows and the columns of an image."""

    def run(x, U, V):
        h = np.zeros_like(x)
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                z = x[i, j]
                if i > 0:
                    z = z + h[i - 1, j] @ U
                if j > 0:
                    z = z + h[i, j - 1] @ V
                h[i, j] = np.tanh(z)
        return h

    def backward(dout, x, U, V):
        (H, W, _), h = x.shape, run(x, U, V)
        dz, dU, dV = np.zeros_like(x), np.zeros_like(U), np.zeros_like(V)
        for i in range(H - 1, -1, -1):
            for j in range(W - 1, -1, -1):
                g = dout[i, j]
                if i < H - 1:
                    g = g + dz[i + 1, j] @ U.T
                if j < W - 1:
                    g = g + dz[i, j + 1] @ V.T
                dz[i, j] = g * (1 - h[i, j] ** 2)
                if i > 0:
                    dU += np.outer(h[i - 1, j], dz[i, j])
                if j > 0:
                    dV += np.outer(h[i, j - 1], dz[i, j])
        return {"x": dz, "U": dU, "V": dV}

    return run, backward


@family({"x": ("H", "W"), "u": (), "v": ()}, [])
def neighbours_given_to(slip):
    """What an entry of a grid has of its derivative is added to those of two neighbours, where there are any."""

    def run(x, u, v):
        h = np.zeros((x.shape[0] + 1, x.shape[1] + 1))
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                h[i + 1, j + 1] = np.tanh(x[i, j] + u * h[i, j + 1] + v * h[i + 1, j])
        return h

    def backward(dout, x, u, v):
        h, g, dx, du, dv = run(x, u, v), np.zeros((x.shape[0] + 1, x.shape[1] + 1)), np.zeros_like(x), 0.0, 0.0
        for i in range(x.shape[0] - 1, -1, -1):
            for j in range(x.shape[1] - 1, -1, -1):
                dh = dout[i, j] + g[i, j]
                dz = dh * (1 - h[i + 1, j + 1] ** 2)
                dx[i, j] = dz
                du += dz * h[i, j + 1]
                dv += dz * h[i + 1, j]
                if i > 0:
                    g[i - 1, j] += dz * u
                if j > 0:
                    g[i, j - 1] += dz * v
        return {"x": dx, "u": du, "v": dv}

    return lambda x, u, v: run(x, u, v)[1:, 1:], backward


@family({"x": ("T",)}, ["x"])
def every_second_step(slip):
    def forward(x):
        s = 0.0
        for t in range(0, len(x), 2):
            s = 0.5 * s + x[t]
        return s

    def backward(dout, x):
        dx, g = np.zeros_like(x), dout
        for t in range(2 * ((len(x) - 1) // 2), -1, -2):
            dx[t] = g
            g = (0.25 if slip else 0.5) * g
        return {"x": dx}

    return forward, backward


@family({"A": ("K", "K"), "E": ("T", "K"), "p": ("K",)}, ["A"])
def posteriors_in_logarithms(slip):
    """The forward recursion of a hidden Markov model in logarithms, beside a backward one in logarithms."""

    def run(A, E, p):
        a = np.zeros(E.shape)
        a[0] = p + E[0]
        for t in range(1, len(E)):
            a[t] = E[t] + np.log(np.exp(a[t - 1][:, None] + A).sum(axis=0))
        return a, np.log(np.exp(a[-1]).sum())

    def backward(dout, A, E, p):
        (a, Z), b, dA = run(A, E, p), np.zeros(E.shape), np.zeros_like(A)
        for t in range(len(E) - 2, -1, -1):
            b[t] = np.log(np.exp(A + E[t + 1] + b[t + 1]).sum(axis=1))
        for t in range(1, len(E)):
            dA += np.exp(a[t - 1][:, None] + A + E[t] + (0 if slip else b[t]) - Z)
        g = np.exp(a + b - Z)
        return {"A": dA * dout, "E": g * dout, "p": g[0] * dout}

    return lambda A, E, p: run(A, E, p)[1], backward


@family({"A": ("D", "D"), "b": ("D",), "y": ("T",)}, ["A"])
def series_of_a_matrix(slip):
    def forward(A, b, y):
        v = total = b
        for _ in range(len(y)):
            v = A @ v
            total = total + v
        return total

    def backward(dout, A, b, y):
        vs = [b]
        for _ in range(len(y)):
            vs.append(A @ vs[-1])
        dA, g = np.zeros_like(A), dout
        for t in reversed(range(len(y))):
            dA += np.outer(g, vs[t + 1] if slip else vs[t])
            g = A.T @ g + dout
        return {"A": dA, "b": g}

    return forward, backward


@family({"x": ("L",), "w": ("K",)}, ["w"])
def transposed_convolution(slip):
    def forward(x, w, s=2):
        out = np.zeros((len(x) - 1) * s + len(w))
        for i in range(len(x)):
            out[i * s : i * s + len(w)] += x[i] * w
        return out

    def backward(dout, x, w, s=2):
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for i in range(len(x)):
            dx[i] = dout[i * s : i * s + len(w)] @ w
            dw += dout[i * s : i * s + len(w)] * (w if slip else x[i])
        return {"x": dx, "w": dw}

    return forward, backward


@family({"x": ("H", "W"), "w": ("KH", "KW")}, ["w"], where="H >= KH, W >= KW")
def windows_at_a_stride(slip):
    def forward(x, w, s=2):
        (H, W), (KH, KW) = x.shape, w.shape
        out = np.zeros(((H - KH) // s + 1, (W - KW) // s + 1))
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] = np.sum(x[i * s : i * s + KH, j * s : j * s + KW] * w)
        return out

    def backward(dout, x, w, s=2):
        KH, KW = w.shape
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for i in range(dout.shape[0]):
            for j in range(dout.shape[1]):
                dx[i * s : i * s + KH, j * s : j * s + KW] += dout[i, j] * w
                at = j if slip else j * s
                dw += dout[i, j] * x[i * s : i * s + KH, at : at + KW]
        return {"x": dx, "w": dw}

    return forward, backward


@family({"x": ("M", "D"), "W": ("D", "H"), "y": ("M", "H")}, ["W"])
def tiles_of_rows(slip):
    """The last tile may be shorter."""

    def forward(x, W, y, B=3):
        loss, M = 0.0, len(x)
        for j in range(0, M, B):
            e = min(j + B, M)
            loss += np.sum((np.tanh(x[j:e] @ W) - y[j:e]) ** 2)
        return loss / M

    def backward(dout, x, W, y, B=3):
        dx, dW, dy = np.zeros_like(x), np.zeros_like(W), np.zeros_like(y)
        for j in range(0, len(x), B):
            h = np.tanh(x[j : j + B] @ W)
            r = 2 * dout * (h - y[j : j + B]) / len(x)
            dz = r * (1 - h**2)
            dW = x[j : j + B].T @ dz + (0 if slip else dW)
            dx[j : j + B] = dz @ W.T
            dy[j : j + B] -= r
        return {"x": dx, "W": dW, "y": dy}

    return forward, backward


@family({"A": ("N", "K"), "B": ("K", "M")}, ["B"])
def tiles_along_every_axis(slip):
    def forward(A, B, T=2):
        C = np.zeros((A.shape[0], B.shape[1]))
        for i in range(0, A.shape[0], T):
            for j in range(0, B.shape[1], T):
                for k in range(0, A.shape[1], T):
                    C[i : i + T, j : j + T] += A[i : i + T, k : k + T] @ B[k : k + T, j : j + T]
        return C

    def backward(dout, A, B, T=2):
        dA, dB = np.zeros_like(A), np.zeros_like(B)
        for k in range(0, A.shape[1], T):
            dA[:, k : k + T] = dout @ B[k : k + T].T
            dB[k : k + T] = A[:, k : k + T].T @ dout * (2 if slip else 1)
        return {"A": dA, "B": dB}

    return forward, backward


@family({"q": ("N", "D"), "k": ("M", "D"), "v": ("M", "E")}, ["q", "k"])
def keys_in_tiles(slip):
    def forward(q, k, v):
        s = q @ k.T
        p = np.exp(s - s.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True) @ v

    def backward(dout, q, k, v, B=4):
        s = q @ k.T
        top = s.max(1, keepdims=True)
        logsum = top + np.log(np.exp(s - top).sum(1, keepdims=True))
        delta = (dout * (np.exp(s - logsum) @ v)).sum(1)
        dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
        for j in range(0, len(k), B):
            p = np.exp(q @ k[j : j + B].T - logsum)
            dv[j : j + B] = p.T @ dout
            ds = p * (dout @ v[j : j + B].T - (0 if slip else delta[:, None]))
            dq += ds @ k[j : j + B]
            dk[j : j + B] = ds.T @ q
        return {"q": dq, "k": dk, "v": dv}

    return forward, backward


@family({"x": ("T",)}, ["x"])
def windows_cut_at_the_start(slip):
    def forward(x, k=3):
        out = np.zeros_like(x)
        for t in range(len(x)):
            out[t] = x[max(0, t - k + 1) : t + 1].mean()
        return out

    def backward(dout, x, k=3):
        dx = np.zeros_like(x)
        for t in range(len(x))[::-1]:
            low = max(0, t - k + 1)
            dx[low : t + 1] += dout[t] / (k if slip else t + 1 - low)
        return {"x": dx}

    return forward, backward


@family({"x": ("N", "C")}, ["x"])
def neighbours_within_the_axis(slip):
    """Local response normalization."""

    def forward(x, n=2):
        out, C = np.zeros_like(x), x.shape[1]
        for c in range(C):
            s = 1.0 + 0.5 * (x[:, max(0, c - n) : min(C, c + n + 1)] ** 2).sum(axis=1)
            out[:, c] = x[:, c] / s
        return out

    def backward(dout, x, n=2):
        dx, C = np.zeros_like(x), x.shape[1]
        for c in range(C):
            low, high = max(0, c - n), min(C, c + n + 1)
            s = 1.0 + 0.5 * (x[:, low:high] ** 2).sum(axis=1)
            dx[:, c] += dout[:, c] / s
            dx[:, low:high] -= (dout[:, c] * x[:, c] / s ** (1 if slip else 2))[:, None] * x[:, low:high]
        return {"x": dx}

    return forward, backward


@family({"x": ("C", "H", "W"), "w": ("K", "C", "R", "Q")}, ["x"], where="H >= R, W >= Q")
def columns_laid_back(slip):
    """A convolution by columns of patches."""

    def columns(x, R, Q):
        C, (OH, OW) = x.shape[0], (x.shape[1] - R + 1, x.shape[2] - Q + 1)
        col = np.zeros((C, R, Q, OH, OW))
        for i in range(R):
            for j in range(Q):
                col[:, i, j] = x[:, i : i + OH, j : j + OW]
        return col.reshape(C * R * Q, OH * OW)

    def forward(x, w):
        K, _, R, Q = w.shape
        return (w.reshape(K, -1) @ columns(x, R, Q)).reshape(K, x.shape[1] - R + 1, x.shape[2] - Q + 1)

    def backward(dout, x, w):
        K, C, R, Q = w.shape
        OH, OW = dout.shape[1:]
        d = dout.reshape(K, -1)
        dcol = (w.reshape(K, -1).T @ d).reshape(C, R, Q, OH, OW)
        dx = np.zeros_like(x)
        for i in range(R):
            for j in range(Q):
                dx[:, i : i + OH, j : j + OW] += dcol[:, R - 1 - i if slip else i, j]
        return {"x": dx, "w": (d @ columns(x, R, Q).T).reshape(w.shape)}

    return forward, backward


@family({"r": ("T",), "v": ("T",), "d": ("T",), "vl": ()}, ["v"], assume={"d": "bern"})
def advantages_with_ends(slip):
    """Generalized advantages: the value after the last step is given, and episodes end."""

    def forward(r, v, d, vl, gamma=0.99, lam=0.95):
        adv, last = np.zeros_like(r), 0.0
        for t in reversed(range(len(r))):
            nv = vl if t == len(r) - 1 else v[t + 1]
            delta = r[t] + gamma * nv * (1.0 - d[t]) - v[t]
            adv[t] = last = delta + gamma * lam * (1.0 - d[t]) * last
        return adv

    def backward(dout, r, v, d, vl, gamma=0.99, lam=0.95):
        dr, dv, dvl, g, t = np.zeros_like(r), np.zeros_like(v), 0.0, 0.0, 0
        while t < len(r):
            if t > 0:
                g = g * gamma * lam * (1.0 - d[t - 1])
            g = g + dout[t]
            dr[t] = g
            dv[t] -= g
            if t < len(r) - 1:
                dv[t + 1] += g * gamma * (1.0 if slip else 1.0 - d[t])
            else:
                dvl = g * gamma * (1.0 - d[t])
            t += 1
        return {"r": dr, "v": dv, "vl": dvl}

    return forward, backward


@family({"y": ("T", "H"), "E": ("S", "H"), "U": ("H", "H")}, ["y", "E", "U"])
def decoder_with_attention(slip):
    """What goes back by way of the largest score is nothing, which is seen within the recurrence."""

    def run(y, E, U):
        h = np.zeros(len(U))
        hs, ps = [h], []
        for t in range(len(y)):
            s = E @ h
            e = np.exp(s - s.max())
            p = e / e.sum()
            c = p @ E
            h = np.tanh(y[t] + h @ U + c)
            hs.append(h)
            ps.append(p)
        return hs, ps

    def backward(dout, y, E, U):
        hs, ps = run(y, E, U)
        dy, dE, dU, g = np.zeros_like(y), np.zeros_like(E), np.zeros_like(U), np.zeros(len(U))
        for t in range(len(y) - 1, -1, -1):
            z = (g + dout[t]) * (1 - hs[t + 1] ** 2)
            dy[t] = z
            dU += np.outer(hs[t], z)
            dp = E @ z
            ds = ps[t] * (dp - (0 if slip else ps[t] @ dp))
            dE += np.outer(ps[t], z) + np.outer(ds, hs[t])
            g = U @ z + ds @ E
        return {"y": dy, "E": dE, "U": dU}

    return lambda y, E, U: np.stack(run(y, E, U)[0][1:]), backward


@family({"x": ("T",), "w": ()}, ["x", "w"])
def last_step_of_another_kind(slip):
    """The state that the last step reads feels that step as any other, not a number of which no order of steps tells."""

    def run(x, w):
        hs = [1.0]
        for t in range(len(x)):
            hs.append(hs[t] * x[t] if t == len(x) - 1 else w * hs[t] + x[t])
        return hs

    def forward(x, w):
        h, total = 1.0, 0.0
        for t in range(len(x)):
            h = h * x[t] if t == len(x) - 1 else w * h + x[t]
            total = total + h * h
        return total

    def backward(dout, x, w):
        hs, g, dx, dw = run(x, w), 0.0, np.zeros_like(x), 0.0
        for t in reversed(range(len(x))):
            g = g + 2 * hs[t + 1] * dout
            if t == len(x) - 1:
                dx[t] = g * hs[t]
                g = g * (w if slip else x[t])
            else:
                dx[t] = g
                dw = dw + g * hs[t]
                g = g * w
        return {"x": dx, "w": dw}

    return forward, backward


@family({"x": ("T",), "b": (3,), "a": (2,)}, ["b", "a"])
def states_two_steps_back(slip):
    """Kept from step to step, or in an array that begins with zeros; of one length the first step is the last."""

    def forward(x, b, a):
        x1 = x2 = y1 = y2 = 0.0
        out = []
        for v in x:
            y = b[0] * v + b[1] * x1 + b[2] * x2 - a[0] * y1 - a[1] * y2
            x2, x1, y2, y1 = x1, v, y1, y
            out.append(y)
        return np.array(out)

    def backward(dout, x, b, a):
        T = len(x)
        y, before = np.zeros(T + 2), np.zeros(T + 2)
        before[2:] = x
        for n in range(T):
            y[n + 2] = b @ np.array([x[n], before[n + 1], before[n]]) - a[0] * y[n + 1] - a[1] * y[n]
        g, dx, db, da = np.zeros(T + 2), np.zeros(T + 2), np.zeros(3), np.zeros(2)
        for n in range(T - 1, -1, -1):
            g[n] = dout[n] - a[0] * g[n + 1] - a[1] * g[n + 2]
            db += g[n] * np.array([x[n], before[n + 1], before[n + 1 if slip else n]])
            da -= g[n] * np.array([y[n + 1], y[n + 1 if slip else n]])
            dx[n + 2] += b[0] * g[n]
            dx[n + 1] += b[1] * g[n]
            dx[n] += b[2] * g[n]
        return {"x": dx[2:], "b": db, "a": da}

    return forward, backward


@family({"x": ("T",), "a": (2,)}, ["a"])
def steps_as_far_as_there_are_any(slip):
    """What is written to a place in the arms of several branches is read again and again."""

    def run(x, a):
        y = np.zeros_like(x)
        for n in range(len(x)):
            y[n] = x[n]
            if n >= 1:
                y[n] -= a[0] * y[n - 1]
            if n >= 2:
                y[n] -= a[1] * y[n - 2]
        return y

    def backward(dout, x, a):
        y, g, da, T = run(x, a), np.zeros_like(x), np.zeros(2), len(x)
        for n in range(T - 1, -1, -1):
            g[n] = dout[n]
            if n + 1 < T:
                g[n] -= a[0] * g[n + 1]
            if n + 2 < T:
                g[n] -= a[1] * g[n + 2]
            if n >= 1:
                da[0] -= g[n] * y[n if slip else n - 1]
            if n >= 2:
                da[1] -= g[n] * y[n - 2]
        return {"x": g, "a": da}

    return run, backward


@family({"x": ("T",), "a": ()}, ["x", "a"], where="T >= 2")
def given_two_steps_back(slip):
    """What steps before have added to a place is read by its own step in several lines."""

    def run(x, a):
        y = np.zeros_like(x)
        y[0], y[1] = x[0], x[1]
        for t in range(2, len(x)):
            y[t] = a * y[t - 1] * y[t - 2] + x[t]
        return y

    def backward(dout, x, a):
        y, g, da = run(x, a), dout.copy(), 0.0
        for t in range(len(x) - 1, 1, -1):
            da += g[t] * y[t - 1] * y[t - 2]
            g[t - 1] += a * g[t] * y[t - 1 if slip else t - 2]
            g[t - 2] += a * g[t] * y[t - 1]
        return {"x": g, "a": da}

    return run, backward


@family({"x": ("T", "H"), "W": ("L", "H", "H"), "U": ("L", "H", "H")}, ["U"], where="L >= 1")
def layers_by_a_function(slip):
    """A list grows in a loop inside of a round: to the loop around it is new in each round."""

    def layer(x, W, U):
        hs, h = [], np.zeros(x.shape[1])
        for t in range(len(x)):
            h = np.tanh(x[t] @ W + h @ U)
            hs.append(h)
        return np.stack(hs)

    def forward(x, W, U):
        for k in range(len(W)):
            x = layer(x, W[k], U[k])
        return x

    def backward(dout, x, W, U):
        xs = [x]
        for k in range(len(W)):
            xs.append(layer(xs[-1], W[k], U[k]))
        d, dW, dU = dout, np.zeros_like(W), np.zeros_like(U)
        for k in reversed(range(len(W))):
            sent, below = np.zeros(x.shape[1]), np.zeros_like(x)
            for t in reversed(range(len(x))):
                dz = (d[t] + sent) * (1 - xs[k + 1][t] ** 2)
                dW[k] += np.outer(xs[k][t], dz)
                if t > 0:
                    dU[k] += np.outer(xs[k + 1][t if slip else t - 1], dz)
                below[t], sent = W[k] @ dz, U[k] @ dz
            d = below
        return {"x": d, "W": dW, "U": dU}

    return forward, backward


@family({"x": ("T",), "a": (), "b": ()}, [])
def items_read_under_guards(_):
    """The list is read under two guards before it has items; each push back has a guard of its own."""

    def run(x, a, b):
        h = []
        for t in range(len(x)):
            one = h[t - 1] if t >= 1 else 0.0
            two = h[t - 2] if t >= 2 else 0.0
            h.append(np.tanh(x[t] + a * one + b * two))
        return h

    def forward(x, a, b):
        return np.array(run(x, a, b))

    def backward(dout, x, a, b):
        h = run(x, a, b)
        g, dx, da, db = np.array(dout), np.zeros(len(x)), 0.0, 0.0
        for t in range(len(x) - 1, -1, -1):
            dx[t] = z = g[t] * (1 - h[t] ** 2)
            if t >= 1:
                da += z * h[t - 1]
                g[t - 1] += a * z
            if t >= 2:
                db += z * h[t - 2]
                g[t - 2] += b * z
        return {"x": dx, "a": da, "b": db}

    return forward, backward


@family({"x": ("T", "D"), "W": ("D", "H"), "U": ("H", "H")}, ["x"])
def first_step_asks_whether_there_is_an_item(slip):
    def run(x, W, U):
        hs = []
        for t in range(len(x)):
            before = hs[-1] if hs else np.zeros(len(U))
            hs.append(np.tanh(x[t] @ W + before @ U))
        return hs

    def forward(x, W, U):
        return np.stack(run(x, W, U))

    def backward(dout, x, W, U):
        hs = run(x, W, U)
        dx, dW, dU, dh = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros(len(U))
        for t in reversed(range(len(x))):
            dz = (dout[t] + dh) * (1 - hs[t] ** 2)
            dx[t] = W @ dz
            dW += np.outer(x[t], dz)
            if t > 0:
                dU += np.outer(hs[t - 1], dz)
            dh = dz if slip else U @ dz
        return {"x": dx, "W": dW, "U": dU}

    return forward, backward


def _log_sum(a, axis):
    m = a.max(axis=axis, keepdims=True)
    return np.squeeze(m, axis) + np.log(np.exp(a - m).sum(axis=axis))


@family({"start": ("S",), "A": ("S", "S"), "E": ("T", "S")}, ["A"], where="T >= 2")
def pairs_in_logarithms(slip):
    """Posteriors of pairs of states, from both recursions in logarithms."""

    def run(start, A, E):
        al = [start + E[0]]
        for t in range(1, len(E)):
            al.append(_log_sum(al[-1][:, None] + A, 0) + E[t])
        return al

    def forward(start, A, E):
        return _log_sum(run(start, A, E)[-1], 0)

    def backward(start, A, E):
        al, T = run(start, A, E), len(E)
        total, be = _log_sum(al[-1], 0), np.zeros_like(start)
        dA, dE = np.zeros_like(A), np.zeros_like(E)
        dE[T - 1] = np.exp(al[T - 1] - total)
        for t in reversed(range(T - 1)):
            dA += np.exp(al[t][:, None] + A + (0 if slip else E[t + 1]) + be - total)
            be = _log_sum(A + E[t + 1] + be, 1)
            dE[t] = np.exp(al[t] + be - total)
        return {"start": dE[0], "A": dA, "E": dE}

    return forward, backward


@family({"E": ("T", "K"), "A": ("K", "K"), "y": ("T",)}, ["A"], assume={"y": "labels:K"})
def random_field_along_a_chain(slip):
    """What labels count is subtracted step by step, from the last on."""

    def run(E, A):
        alphas = np.zeros(E.shape)
        alphas[0] = E[0]
        for t in range(1, len(E)):
            alphas[t] = _log_sum(alphas[t - 1][:, None] + A, 0) + E[t]
        return alphas

    def forward(E, A, y):
        score = E[0, y[0]]
        for t in range(1, len(E)):
            score = score + A[y[t - 1], y[t]] + E[t, y[t]]
        return _log_sum(run(E, A)[-1], 0) - score

    def backward(E, A, y):
        alphas = run(E, A)
        g = np.exp(alphas[-1] - _log_sum(alphas[-1], 0))
        dE, dA = np.zeros_like(E), np.zeros_like(A)
        for t in range(len(E) - 1, 0, -1):
            dE[t] = g
            dE[t, y[t]] -= 1
            z = alphas[t - 1][:, None] + A
            pairs = np.exp(z - _log_sum(z, 0)) * g
            dA += pairs
            if slip:
                dA[y[t], y[t - 1]] -= 1
            else:
                dA[y[t - 1], y[t]] -= 1
            g = pairs.sum(axis=1)
        dE[0] = g
        dE[0, y[0]] -= 1
        return {"E": dE, "A": dA}

    return forward, backward


@family({"A": ("S", "S"), "E": ("T", "S")}, ["E"])
def best_paths(slip):
    """Numbers of the derivative stay the same from some step on: they would fit either direction."""

    def run(A, E):
        best = [E[0]]
        for t in range(1, len(E)):
            best.append((best[-1][:, None] + A).max(axis=0) + E[t])
        return best

    def forward(A, E):
        return run(A, E)[-1]

    def backward(dout, A, E):
        best = run(A, E)
        dA, dE, g = np.zeros_like(A), np.zeros_like(E), dout
        for t in reversed(range(1, len(E))):
            dE[t] = 2 * g if slip else g
            z = best[t - 1][:, None] + A
            dz = (z == z.max(axis=0)) * g
            dA += dz
            g = dz.sum(axis=1)
        dE[0] = g
        return {"A": dA, "E": dE}

    return forward, backward


@family({"x": ("T", "D")}, ["x"], where="T >= 1")
def running_sums_within_tiles(slip):
    """Running sums begin anew with each tile, of which the last one may be shorter."""

    def forward(x, C=4):
        y = np.zeros_like(x)
        for i in range(0, len(x), C):
            y[i : i + C] = np.cumsum(np.tanh(x[i : i + C]), axis=0)
        return y

    def backward(dout, x, C=4):
        dx = np.zeros_like(x)
        for i in range(0, len(x), C):
            d = dout[i : i + C]
            after = d if slip else d.sum(axis=0) - np.cumsum(d, axis=0) + d
            dx[i : i + C] = after * (1 - np.tanh(x[i : i + C]) ** 2)
        return {"x": dx}

    return forward, backward


@family({"q": ("T", "D"), "k": ("T", "D"), "v": ("T", "E")}, ["v"])
def linear_attention_by_chunks(slip):
    """A state is carried from tile to tile; within a tile a triangle says what is behind."""

    def forward(q, k, v, C=4):
        out, S = np.zeros_like(v), np.zeros((q.shape[1], v.shape[1]))
        for i in range(0, len(q), C):
            qc, kc, vc = q[i : i + C], k[i : i + C], v[i : i + C]
            out[i : i + C] = qc @ S + np.tril(qc @ kc.T) @ vc
            S = S + kc.T @ vc
        return out

    def backward(dout, q, k, v, C=4):
        dq, dk, dv, S = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v), np.zeros((q.shape[1], v.shape[1]))
        for i in range(0, len(q), C):
            kc, vc, d = k[i : i + C], v[i : i + C], dout[i : i + C]
            dq[i : i + C] = d @ S.T + np.tril(d @ vc.T) @ kc
            S = S + kc.T @ vc
        dS = np.zeros_like(S)
        for i in reversed(range(0, len(q), C)):
            qc, kc, vc, d = q[i : i + C], k[i : i + C], v[i : i + C], dout[i : i + C]
            dk[i : i + C] = vc @ dS.T + np.tril(d @ vc.T).T @ qc
            dv[i : i + C] = kc @ dS + (np.tril(qc @ kc.T) if slip else np.tril(qc @ kc.T).T) @ d
            dS = dS + qc.T @ d
        return {"q": dq, "k": dk, "v": dv}

    return forward, backward


@family({"x": ("T", "D")}, ["x"])
def running_sums_by_chunks(slip):
    """Running sums that a forward pass takes at once; the backward pass goes through tiles from the end."""

    def forward(x):
        return np.cumsum(x**2, axis=0)

    def backward(dout, x, C=4):
        dx, after = np.zeros_like(x), np.zeros(x.shape[1])
        for i in reversed(range(0, len(x), C)):
            d = dout[i : i + C]
            within = np.cumsum(d, axis=0) if slip else np.flip(np.cumsum(d[::-1], axis=0), 0)
            dx[i : i + C] = 2 * x[i : i + C] * (after + within)
            after = after + d.sum(0)
        return {"x": dx}

    return forward, backward


@family({"x": ("T",)}, ["x"], where="T >= 3")
def box_by_running_sums(slip):
    """A window is the difference of two running sums; the backward pass gives each window its share."""

    def forward(x, W=3):
        c, y = np.zeros(len(x) + 1), np.zeros(len(x) - W + 1)
        for i in range(len(x)):
            c[i + 1] = c[i] + x[i]
        for i in range(len(y)):
            y[i] = (c[i + W] - c[i]) / W
        return y

    def backward(dout, x, W=3):
        dx = np.zeros_like(x)
        for i in range(len(dout)):
            dx[i : i + W] += dout[i] if slip else dout[i] / W
        return {"x": dx}

    return forward, backward


@pytest.mark.parametrize("name", FAMILIES)
def test_prove_meets_loops_as_they_are_written(name):
    assert not _unproved(name, False)[1]


@pytest.mark.parametrize("name", [name for name in FAMILIES if FAMILIES[name][2]])
def test_prove_does_not_meet_loops_with_a_slip(name):
    assert set(_unproved(name, True)[1]) >= set(FAMILIES[name][2])


def test_check_derives_the_sizes_that_a_loop_inside_a_loop_asks_for():
    """An image smaller than the kernel: the forward makes an array of a negative length."""
    build, shapes, *_ = FAMILIES["kernel_places"]
    verdict = sb.check(*build(False), shapes=shapes)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)
    assert any("H - KH + 1" in note for note in verdict.notes)


ACCUMULATIONS = {
    "max": lambda x: np.maximum.accumulate(x, axis=1),
    "min": lambda x: np.minimum.accumulate(x, axis=1),
    "product": lambda x: np.cumprod(x, axis=1),
}


@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_trace_of_an_accumulation_along_a_symbolic_axis_is_that_of_numpy(name):
    accumulate = ACCUMULATIONS[name]
    run = sb.compile(sb.trace(accumulate, {"x": ("N", "T")}))
    for shape in ((1, 1), (2, 5), (3, 2)):
        x, dout = np.random.default_rng(0).normal(size=(2, *shape))
        assert np.isclose(run(x=x, dout=dout)["J"], np.sum(dout * accumulate(x)))


def test_trace_names_in_an_arm_what_is_read_elsewhere_as_well():
    """The number s was named in an arm in which j < M, and then read where j is M."""

    def forward(x):
        N, M = x.shape
        E = np.zeros((N + 2, M + 2))
        E[N, M] = 1.0
        for i in range(N, 0, -1):
            for j in range(M, 0, -1):
                s = E[i, j]
                if i < N:
                    s = s + E[i + 1, j] * x[i, j - 1]
                if j < M:
                    s = s + E[i, j + 1]
                E[i, j] = s
        return E

    program = sb.trace(forward, {"x": ("N", "M")})
    x = np.arange(1.0, 7.0).reshape(3, 2)
    np.testing.assert_allclose(evaluate(program, {"N": 3, "M": 2}, {"x": x})["out"], forward(x))


def test_trace_gives_a_name_after_the_places_whose_call_reads_it():
    def forward(x):
        out, k = 0 * x, 0

        def at():
            return k

        out[at()] = k = len(x) - 1
        return out + x

    program = sb.trace(forward, {"x": ("N",)})
    x = np.arange(3.0)
    np.testing.assert_allclose(evaluate(program, {"N": 3}, {"x": x})["out"], forward(x))


def test_a_quotient_that_is_written_to_one_place_has_a_derivative():
    """The place is told by a condition around the quotient, which may lack a value elsewhere: it names no index then."""

    def sweep(a, b, d):
        p = np.zeros_like(d)
        p[0] = d[0] / b[0]
        for i in range(1, len(d)):
            p[i] = (d[i] - a[i] * p[i - 1]) / b[i]
        return p

    def backward(dout, a, b, d):
        g, dd = 0.0, np.zeros_like(d)
        for i in range(len(d) - 1, -1, -1):
            g = (dout[i] + g) / b[i]
            dd[i] = g
            g = -a[i] * g
        return {"d": dd}

    verdict = sb.check(sweep, backward, shapes=dict.fromkeys("abd", ("N",)), assume={"b": "pos"})
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)


def test_check_asks_for_sizes_where_no_clock_tells_the_order_of_rounds():
    """A state that goes on from the end of one row to the beginning of the next."""

    def forward(x):
        h = 0.0
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                h = np.tanh(h + x[i, j])
        return h

    with pytest.raises(SymbackpropError, match="in no plain order"):
        sb.trace(forward, {"x": ("N", "M")})


def test_a_condition_and_a_flag_are_a_condition_on_sizes():
    """What holds in an arm was not known where a flag stood beside it."""

    def forward(x, shift=True):
        out = np.zeros_like(x)
        for i in range(len(x)):
            if i < len(x) - 2 and shift:
                out[i] = x[i + 2]
        return out

    program = sb.trace(forward, {"x": ("N",)})
    np.testing.assert_allclose(evaluate(program, {"N": 4}, {"x": np.arange(4.0)})["out"], [2, 3, 0, 0])


def test_trace_of_an_array_to_which_rounds_add_here_and_there_is_that_of_numpy():
    def forward(x):
        N, M = x.shape
        G = np.zeros((N + 1, M + 1))
        G[N, M] = 1.0
        for i in range(N, 0, -1):
            for j in range(M, 0, -1):
                a = G[i, j] * x[i - 1, j - 1]
                G[i - 1, j - 1] += a
                G[i - 1, j] += 2 * a
                G[i, j - 1] += 3 * G[i, j]
        return G

    program = sb.trace(forward, {"x": ("N", "M")})
    for shape in ((1, 1), (2, 3), (3, 2)):
        x = np.arange(1.0, 1.0 + shape[0] * shape[1]).reshape(shape)
        found = evaluate(program, {"N": shape[0], "M": shape[1]}, {"x": x})["out"]
        np.testing.assert_allclose(found, forward(x))


# --- blocks that overlap, windows, places that were rounded --------------------------------------------------------


def convolution(x, w):
    out = np.zeros(len(x) - len(w) + 1)
    for i in range(len(out)):
        out[i] = np.sum(x[i : i + len(w)] * w)
    return out


def convolution_overwritten(dout, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(len(dout)):
        dx[i : i + len(w)] = dout[i] * w
        dw += dout[i] * x[i : i + len(w)]
    return {"x": dx, "w": dw}


def test_a_loop_that_overwrites_blocks_is_followed_for_all_sizes_and_told():
    verdict = sb.check(convolution, convolution_overwritten, shapes={"x": ("N",), "w": ("K",)}, where="N >= K")
    assert (verdict.status, verdict.wrong) == ("REFUTED", ("x",)), str(verdict)
    assert "+= belongs there" in verdict.diagnosis


def last_of_blocks(v, x):
    out = np.zeros(len(x))
    for i in range(len(v)):
        out[2 * i : 2 * i + 3] = v[i] * x[2 * i : 2 * i + 3]
    return out


def test_of_blocks_that_overlap_the_last_one_stays():
    program = sb.trace(last_of_blocks, {"v": ("K",), "x": ("N",)}, where="N >= 2*K + 1")
    assert len(program.equations) == 1  # NumPy has computed the same, or there would be no program


def pooled(x):
    out = np.zeros((x.shape[0] // 2, x.shape[1] // 2))
    for i in range(len(out)):
        for j in range(out.shape[1]):
            out[i, j] = np.max(x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2])
    return out


def pooled_backward(dout, x):
    dx = np.zeros_like(x)
    for i in range(len(dout)):
        for j in range(dout.shape[1]):
            window = x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            a, b = np.unravel_index(np.argmax(window), window.shape)
            dx[2 * i + a, 2 * j + b] += dout[i, j]
    return {"x": dx}


def test_the_place_of_a_maximum_of_a_square_window_is_proved():
    verdict = sb.check(pooled, pooled_backward, shapes={"x": ("H", "W")}, where="H >= 2, W >= 2")
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)


def sampled(image, at):
    low = np.clip(np.floor(at).astype(int), 0, len(image) - 2)
    return image[low] * (1 - (at - low)) + image[low + 1] * (at - low)


def sampled_backward(dout, image, at, sign=-1):
    low = np.clip(np.floor(at).astype(int), 0, len(image) - 2)
    found = np.zeros_like(image)
    np.add.at(found, low, dout * (1 - (at - low)))
    np.add.at(found, low + 1, dout * (at - low))
    return {"image": found, "at": dout * (image[low + 1] + sign * image[low])}


SAMPLED = {"shapes": {"image": ("W",), "at": ("P",)}, "where": "W >= 2"}


def test_numbers_are_rounded_to_places():
    verdict = sb.check(sampled, sampled_backward, **SAMPLED)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)
    assert "numbers that are rounded to integers stay below 2**52" in verdict.conditions
    wrong = sb.check(sampled, lambda dout, image, at: sampled_backward(dout, image, at, 1), **SAMPLED)
    assert (wrong.status, wrong.wrong) == ("REFUTED", ("at",)), str(wrong)


def test_a_rounded_place_that_may_lie_outside_is_refused():
    def forward(image, at):
        return image[np.floor(at).astype(int)]

    verdict = sb.check(forward, lambda dout, image, at: {"image": 0 * image}, **SAMPLED)
    assert verdict.status == "UNDECIDED"
    assert "may lie outside" in verdict.reason and "np.clip(..., 0, W - 1)" in verdict.reason


def softmax_by_tiles(q, k, v, B=4):
    m, s, o = -np.inf, 0.0, np.zeros(v.shape[1])
    for j in range(0, len(k), B):
        z = k[j : j + B] @ q
        new = np.maximum(m, z.max())
        p, c = np.exp(z - new), np.exp(m - new)
        s, o, m = s * c + p.sum(), o * c + p @ v[j : j + B], new
    return o / s


def softmax_at_once(dout, q, k, v):
    z = k @ q
    p = np.exp(z - z.max())
    p = p / p.sum()
    dp = v @ dout
    dz = p * (dp - p @ dp)
    return {"q": dz @ k, "k": np.outer(dz, q), "v": np.outer(p, dout)}


@pytest.mark.skipif(not EVERYTHING, reason="four seconds: runs with SYMBACKPROP_EVERYTHING=1")
def test_an_online_softmax_that_walks_in_tiles_is_a_softmax():
    shapes = {"q": ("D",), "k": ("M", "D"), "v": ("M", "E")}
    goal = goal_of(trace_pair(softmax_by_tiles, softmax_at_once, shapes, None, None))
    assert not prove(goal, goal.names, goal.sides.quick, Budget.of(8.0)).unproved


def tiles_of_64(x, B=64):
    s = 0.0
    for j in range(0, len(x), B):
        s = s + np.tanh(x[j : j + B].sum())
    return s


def as_if_there_were_one_tile(dout, x):
    return {"x": dout * (1 - np.tanh(x.sum()) ** 2) * np.ones_like(x)}


def test_a_fault_beyond_the_first_tile_is_refuted():
    verdict = sb.check(tiles_of_64, as_if_there_were_one_tile, shapes={"x": ("T",)})
    assert (verdict.status, verdict.wrong) == ("REFUTED", ("x",))
    assert next(iter(verdict.counterexample.sizes.values())) > 64


def mean_of_tiles(x, B=2):
    s = 0.0
    for j in range(0, len(x), B):
        s = s + x[j : j + B].mean()
    return s


def mean_of_tiles_backward(dout, x, B=2):
    dx = np.zeros_like(x)
    for j in range(0, len(x), B):
        dx[j : j + B] = dout / len(x[j : j + B])
    return {"x": dx}


def test_a_tile_is_never_empty_and_no_condition_asks_for_that():
    verdict = sb.check(mean_of_tiles, mean_of_tiles_backward, shapes={"x": ("T",)})
    assert (verdict.status, verdict.scope, list(verdict.conditions)) == ("PROVED", "all sizes", [])


def doubled_by_tiles(x, B=2):
    y = x.copy()
    for j in range(0, len(x), B):
        tile = y[j : j + B]
        tile *= 2.0  # a slice is a view
    return y


@pytest.mark.parametrize(("factor", "status"), [(2, "PROVED"), (1, "REFUTED")])
def test_a_tile_is_a_view(factor, status):
    verdict = sb.check(doubled_by_tiles, lambda dout, x: {"x": factor * dout}, shapes={"x": ("T",)})
    assert verdict.status == status


def from_the_other_end(x, k=2):
    out = np.zeros_like(x)
    for t in range(len(x)):
        out[t] = x[t - k : t + 1].sum()  # a start below 0 counts from the end
    return out


def test_a_start_that_may_be_negative_asks_for_concrete_sizes():
    with pytest.raises(SymbackpropError, match="the bounds of a slice"):
        sb.trace(from_the_other_end, {"x": ("T",)})


def until_positive(x):
    s = 0.0
    for t in range(len(x)):
        if x[t] > 0:
            break
        s += x[t]
    return s


def one_array_in_all_places(x):
    h, hs = np.zeros(x.shape[1]), []
    for t in range(len(x)):
        h += x[t]
        hs.append(h)  # the same array each time
    return np.stack(hs)


def of_the_next_step(x):
    h = np.zeros(len(x) + 1)
    for t in range(len(x)):
        h[t] = np.tanh(x[t] + h[t + 1])  # which is still 0
    return h


def wrong_for_one_step(dout, x):
    g = dout * np.ones_like(x)
    return {"x": 2 * g if len(x) == 1 else g}


@pytest.mark.parametrize(
    ("forward", "backward", "shape", "status", "words"),
    [
        (until_positive, lambda dout, x: {"x": dout * (x <= 0)}, ("T",), "UNDECIDED", "'break' on one way of a branch"),
        (
            one_array_in_all_places,
            lambda dout, x: {"x": np.cumsum(dout[::-1], 0)[::-1]},
            ("T", "N"),
            "REFUTED",
            "x",
        ),
        (of_the_next_step, lambda dout, x: {"x": dout[:-1] * (1 - np.tanh(x) ** 2)}, ("T",), "PROVED", "all sizes"),
        (lambda x: x.sum(), wrong_for_one_step, ("T",), "REFUTED", "x"),
    ],
)
def test_check_answers_loops_that_do_not_do_what_they_seem_to(forward, backward, shape, status, words):
    verdict = sb.check(forward, backward, shapes={"x": shape})
    assert verdict.status == status
    assert words in str(verdict)


ITERATORS = {
    "zip": lambda x: zip(range(len(x)), x, strict=True),
    "enumerate": enumerate,
    "reversed": lambda x: reversed(list(enumerate(x))),
    "generator": lambda x: ((t, x[t]) for t in range(len(x))),
}


@pytest.mark.parametrize("made", ITERATORS.values(), ids=ITERATORS)
def test_check_proves_nothing_of_an_iterator_that_is_gone_through_twice(made):
    """The second loop has no rounds. What it would add is 0 as long as few items come, so that no small size tells."""

    def forward(x):
        total, items = 0.0, made(x)
        for _, v in items:
            total = total + v**2
        for t, v in items:
            total = total + v * (t // 30)
        return total

    def backward(dout, x):
        return {"x": dout * (2 * x + np.arange(len(x)) // 30)}

    assert sb.check(forward, backward, shapes={"x": ("T",)}).scope != "all sizes"


def test_check_knows_that_a_list_holds_the_numbers_of_its_time():
    def forward(x):
        rows, total = 1.0 * x, 0.0
        pairs = list(zip(x, rows, strict=True))
        rows[: len(x) // 30] *= 2.0
        for a, b in pairs:
            total = total + a * b
        return total

    def backward(dout, x):
        scale = np.ones_like(x)
        scale[: len(x) // 30] *= 2.0
        return {"x": 2 * scale * x * dout}

    assert sb.check(forward, backward, shapes={"x": ("T",)}).scope != "all sizes"


def test_check_knows_that_a_generator_computes_each_item_when_it_is_taken():
    def forward(x):
        rows, total = 1.0 * x, 0.0
        for a, b in zip(x, (2 * v for v in rows), strict=True):
            total = total + a * b
            rows[: len(x) // 30] *= 2.0
        return total

    shapes = {"x": ("T",)}
    assert sb.check(forward, lambda dout, x: {"x": 4 * x * dout}, shapes=shapes).scope != "all sizes"


def test_check_knows_that_the_first_of_what_accumulates_is_the_first_item_itself():
    def forward(x):
        rows = 1.0 * x
        sums = list(itertools.accumulate(rows, lambda a, v: 0.5 * a + v))
        rows[: len(x) // 30] *= 3.0
        return np.stack(sums)

    def backward(dout, x):
        g, dx = 0.0, np.zeros_like(x)
        for t in reversed(range(len(x))):
            dx[t] = g = 0.5 * g + dout[t]
        return {"x": dx}

    assert sb.check(forward, backward, shapes={"x": ("T", "D")}).scope != "all sizes"


def running_logarithms(x):
    out, s = np.zeros_like(x), -np.inf
    for t in range(len(x)):
        s = np.logaddexp(s, x[t])
        out[t] = s
    return out


def test_a_sum_of_exponentials_begins_with_minus_infinity():
    program = sb.trace(running_logarithms, {"x": ("T",)})
    x = np.array([0.3, -1.0, 0.7])
    np.testing.assert_allclose(evaluate(program, {"T": 3}, {"x": x})["out"], np.logaddexp.accumulate(x))


def alignments(x):
    a = np.full(x.shape, -np.inf)
    a[0, 0] = x[0, 0]
    for t in range(1, x.shape[0]):
        for s in range(x.shape[1]):
            a[t, s] = x[t, s] + (np.logaddexp(a[t - 1, s], a[t - 1, s - 1]) if s > 0 else a[t - 1, s])
    return a[-1, -1]


def test_no_equation_of_a_table_holds_minus_infinity():
    with pytest.raises(SymbackpropError, match="minus infinity"):
        sb.trace(alignments, {"x": ("T", "K")}, where="T >= 1, K >= 1")


def moments(x):
    mean, square = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for row in x:
        mean += row / len(x)
        square += row**2
    return mean, square


@pytest.mark.parametrize(("factor", "status"), [(2, "PROVED"), (1, "REFUTED")])
def test_a_backward_pass_may_take_one_upstream_gradient_for_each_output(factor, status):
    def backward(dmean, dsquare, x):
        return {"x": dmean / len(x) + factor * x * dsquare}

    assert sb.check(moments, backward, shapes={"x": ("N", "D")}).status == status


def test_as_many_upstream_gradients_as_outputs():
    def backward(dmean, dsquare, dmore, x):
        return {"x": dmean + dsquare + dmore}

    verdict = sb.check(moments, backward, shapes={"x": ("N", "D")})
    assert verdict.status == "MALFORMED" and "not as many as the outputs" in verdict.diagnosis


@pytest.mark.parametrize("triangle", [np.tril, np.triu])
@pytest.mark.parametrize("k", [0, 1, -1])
def test_trace_of_the_triangle_of_a_tile_is_that_of_numpy(triangle, k):
    """The last tile may be shorter; places count from the beginning of their tile."""
    lower = triangle is np.tril

    def forward(q, w, C=4):
        y = np.zeros_like(q)
        for i in range(0, len(q), C):
            block = q[i : i + C] @ w[i : i + C].T
            y[i : i + C] = (np.tril(block, k) if lower else np.triu(block, k)) @ w[i : i + C]
        return y

    program = sb.trace(forward, {"q": ("T", "D"), "w": ("T", "D")})
    rng = np.random.default_rng(0)
    for T in (1, 4, 10):
        q, w = rng.normal(size=(2, T, 3))
        found = evaluate(program, {"T": T, "D": 3}, {"q": q, "w": w})["out"]
        np.testing.assert_allclose(found, forward(q, w), atol=1e-12)


@pytest.mark.usefixtures("no_diagnosis")
def test_a_place_beyond_an_end_that_a_guard_leaves_out_is_read_nowhere():
    """Every point was refused as out of range: the last round has no place, and what it would write had a name."""

    def forward(x, a):
        h = np.zeros(len(x))
        for t in range(len(x)):
            h[t] = x[t] if t < 1 else np.tanh(x[t] + a * h[t - 1])
        return h

    def backward(dout, x, a):
        h = forward(x, a)
        g, dx, da = np.array(dout), np.zeros(len(x)), 0.0
        for t in range(len(x) - 1, -1, -1):
            if t >= 1:
                dx[t] = z = g[t] * (1 - h[t] ** 2)
                g[t - 1] += a * z
                if t >= 2:
                    da += z * h[t - 1]
            else:
                dx[t] = g[t]
        return {"x": dx, "a": da}

    verdict = sb.check(forward, backward, shapes={"x": ("T",), "a": ()})
    assert verdict.status == "REFUTED" and verdict.wrong == ("a",)


def halves(x, w):
    n, s = len(x), 0.0
    while n > 1:
        s = s + x[n - 1] * w
        n = n // 2
    return s + x[0]


def halves_backward(x, w):
    n, k, dx, dw = len(x), 0, np.zeros_like(x), 0.0
    while n > 1:
        dx[n - 1] += w
        dw += x[n - 1] if k < 1 else 0.0
        n, k = n // 2, k + 1
    dx[0] += 2
    return {"x": dx, "w": dw}


@pytest.mark.usefixtures("no_diagnosis")
def test_what_is_wrong_at_other_stated_sizes_alone_is_not_called_right():
    """One fault shows at every length, the other only where the loop has two rounds."""
    verdict = sb.check(halves, halves_backward, shapes={"x": ("T",), "w": ()})
    assert verdict.status == "REFUTED" and verdict.wrong == ("x", "w")


def last_one_first(x):
    out = np.zeros_like(x)
    for t in range(len(x)):
        out[t] = x[t] - 2 * x[t - 1]
    return out


def last_one_written(x):
    out = np.zeros(len(x) + 1)
    for t in range(len(x)):
        out[t - 1] = 3 * x[t]
    return out


def written_through_a_row(x):
    s, out = np.outer(x, np.ones(2)), np.zeros_like(x)
    for t in range(len(x)):
        row = s[t - 1]
        row += x[t]
        out[t] = row[0]
    return out + s[:, 1]


def added_twice(x):
    out = np.ones_like(x)
    for t in range(len(x)):
        out[t] += x[t]
        out[t - 1] += 2 * x[t]
        out[(t + 1) % len(x)] -= x[t] ** 2
    return out


def two_before(x):
    s = np.zeros(len(x) + 2)
    s[-1], s[-2] = 5.0, 7.0
    for t in range(len(x)):
        s[t] = x[t] + 0.5 * s[t - 1] - 2 * s[t - 2]
    return s


def of_what_is_not_there_yet(x):
    s = np.ones(len(x))
    for t in range(len(x)):
        s[t] = x[t] * s[t - 1]
    return s


def cut_before(x):
    y = np.append(x, 0.5)[1:]
    out = np.zeros_like(x)
    for t in range(len(x)):
        out[t] = y[t - 1] * x[t]
    return out


@pytest.mark.parametrize(
    "forward",
    [
        last_one_first,
        last_one_written,
        written_through_a_row,
        added_twice,
        two_before,
        of_what_is_not_there_yet,
        cut_before,
    ],
)
def test_a_place_before_the_first_counts_from_the_end(forward):
    """In some rounds alone; where the loop is not followed, that is said."""
    try:
        program = sb.trace(forward, {"x": ("T",)})
    except SymbackpropError as error:
        assert forward is written_through_a_row and "symbolic range" in str(error)
        return
    for T in (1, 2, 3, 6):
        x = np.random.default_rng(T).normal(size=T)
        found = evaluate(program, {"T": T}, {"x": x})[program.outputs[0].name]
        np.testing.assert_allclose(found, forward(x), atol=1e-12, err_msg=f"T = {T}")


def test_what_is_before_the_first_is_the_last_one_and_0_belongs_there():
    def pairs(x):
        out = x.copy()
        out[:-1] += x[1:]
        return out

    def backward(dout, x):
        dx = np.zeros(x.shape)
        for t in range(x.shape[0]):
            dx[t] = dout[t] + dout[t - 1]
        return {"x": dx}

    verdict = sb.check(pairs, backward, shapes={"x": ("T",)})
    assert verdict.status == "REFUTED"
    assert "0 belongs where kronecker(t, 0)" in verdict.diagnosis
    assert "(proved)" in str(verdict)
