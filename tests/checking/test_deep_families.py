"""Stacked blocks of several families, right ones and wrong ones."""

import numpy as np
import pytest
from thinning import thinned

import symbackprop as sb


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def highway(depth, fault=None):
    """Gated skips: t*h + (1 - t)*x."""

    def run(x, p):
        saved = []
        for k in range(depth):
            t, h = sigmoid(x @ p[f"T{k}"]), np.tanh(x @ p[f"H{k}"])
            saved.append((x, t, h))
            x = t * h + (1 - t) * x
        return x, saved

    def forward(x, **p):
        return run(x, p)[0]

    def backward(dout, x, **p):
        g, d = {}, dout
        for k, (a, t, h) in reversed(list(enumerate(run(x, p)[1]))):
            dt = d * (h if fault and k == depth // 2 else h - a) * t * (1 - t)
            dh = d * t * (1 - h * h)
            g[f"T{k}"], g[f"H{k}"] = a.T @ dt, a.T @ dh
            d = d * (1 - t) + dt @ p[f"T{k}"].T + dh @ p[f"H{k}"].T
        g["x"] = d
        return g

    return forward, backward, {"x": ("N", "D"), **{f"{n}{k}": ("D", "D") for k in range(depth) for n in "TH"}}


def swiglu(depth, fault=None):
    """Residual blocks of RMS norm and a gated perceptron."""

    def block(x, g, u, v):
        r = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6)
        h = x * r * g
        a, b = h @ u, h @ v
        return r, h, a, b, sigmoid(a)

    def forward(x, **p):
        for k in range(depth):
            _, _, a, b, s = block(x, p[f"g{k}"], p[f"u{k}"], p[f"v{k}"])
            x = x + (a * s * b) @ p[f"o{k}"]
        return x

    def backward(dout, x, **p):
        inputs = []
        for k in range(depth):
            inputs.append(x)
            _, _, a, b, s = block(x, p[f"g{k}"], p[f"u{k}"], p[f"v{k}"])
            x = x + (a * s * b) @ p[f"o{k}"]
        grads, d = {}, dout
        for k in reversed(range(depth)):
            x = inputs[k]
            r, h, a, b, s = block(x, p[f"g{k}"], p[f"u{k}"], p[f"v{k}"])
            dm = d @ p[f"o{k}"].T
            grads[f"o{k}"] = (a * s * b).T @ d
            slope = s if fault and k == depth // 2 else s + a * s * (1 - s)
            da, db = dm * b * slope, dm * a * s
            grads[f"u{k}"], grads[f"v{k}"] = h.T @ da, h.T @ db
            dh = da @ p[f"u{k}"].T + db @ p[f"v{k}"].T
            grads[f"g{k}"] = (dh * x * r).sum(axis=0)
            dn = dh * p[f"g{k}"]
            d = d + r * dn - x * r**3 * (dn * x).mean(axis=-1, keepdims=True)
        grads["x"] = d
        return grads

    shapes = {"x": ("N", "D")}
    for k in range(depth):
        shapes |= {f"g{k}": ("D",), f"u{k}": ("D", "F"), f"v{k}": ("D", "F"), f"o{k}": ("F", "D")}
    return forward, backward, shapes


def experts(depth, fault=None):
    """Mixtures of experts with softmax gates."""

    def gates(x, w):
        z = x @ w
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def forward(x, **p):
        for k in range(depth):
            q, h = gates(x, p[f"G{k}"]), np.tanh(np.einsum("nd,edf->nef", x, p[f"W{k}"]))
            x = x + np.einsum("ne,nef->nf", q, h)
        return x

    def backward(dout, x, **p):
        saved = []
        for k in range(depth):
            q, h = gates(x, p[f"G{k}"]), np.tanh(np.einsum("nd,edf->nef", x, p[f"W{k}"]))
            saved.append((x, q, h))
            x = x + np.einsum("ne,nef->nf", q, h)
        g, d = {}, dout
        for k in reversed(range(depth)):
            x, q, h = saved[k]
            dq = np.einsum("nf,nef->ne", d, h)
            dz = q * dq if fault and k == depth // 2 else q * (dq - (q * dq).sum(axis=1, keepdims=True))
            da = d[:, None, :] * q[:, :, None] * (1 - h * h)
            g[f"G{k}"], g[f"W{k}"] = x.T @ dz, np.einsum("nd,nef->edf", x, da)
            d = d + dz @ p[f"G{k}"].T + np.einsum("nef,edf->nd", da, p[f"W{k}"])
        g["x"] = d
        return g

    shapes = {"x": ("N", "D")}
    for k in range(depth):
        shapes |= {f"G{k}": ("D", "E"), f"W{k}": ("E", "D", "D")}
    return forward, backward, shapes


def siamese(depth, fault=None):
    """Two towers with the same weights, and a smooth contrastive cost."""

    def tower(x, p):
        a = [x]
        for k in range(depth):
            a.append(np.tanh(a[-1] @ p[f"W{k}"]))
        return a

    def forward(x, y, same, **p):
        u, v = tower(x, p)[-1], tower(y, p)[-1]
        far = ((u - v) ** 2).sum(axis=1)
        return np.mean(same * far + (1 - same) * np.log(1 + np.exp(1 - far)))

    def backward(x, y, same, **p):
        a, b = tower(x, p), tower(y, p)
        gap = a[-1] - b[-1]
        far = (gap**2).sum(axis=1)
        weight = (same - (1 - same) * sigmoid(1 - far)) / len(x)
        d = 2 * gap * weight[:, None]
        e = -d
        g = {}
        for k in reversed(range(depth)):
            d, e = d * (1 - a[k + 1] ** 2), e * (1 - b[k + 1] ** 2)
            g[f"W{k}"] = a[k].T @ d + (0 if fault and k == depth // 2 else 1) * b[k].T @ e
            d, e = d @ p[f"W{k}"].T, e @ p[f"W{k}"].T
        g["x"], g["y"] = d, e
        return g

    shapes = {"x": ("N", "D"), "y": ("N", "D"), "same": ("N",), **{f"W{k}": ("D", "D") for k in range(depth)}}
    return forward, backward, shapes


def gru(depth, fault=None):
    """A gated recurrence, unrolled over the steps of its input."""

    def step(x, h, p):
        z, r = sigmoid(x @ p["Wz"] + h @ p["Uz"]), sigmoid(x @ p["Wr"] + h @ p["Ur"])
        n = np.tanh(x @ p["Wn"] + (r * h) @ p["Un"])
        return z, r, n, (1 - z) * n + z * h

    def forward(x, h, **p):
        for t in range(depth):
            h = step(x[t], h, p)[-1]
        return h

    def backward(dout, x, h, **p):
        saved = []
        for t in range(depth):
            z, r, n, new = step(x[t], h, p)
            saved.append((h, z, r, n))
            h = new
        g = {name: np.zeros_like(w) for name, w in p.items()}
        dx, d = np.zeros_like(x), dout
        for t in reversed(range(depth)):
            h, z, r, n = saved[t]
            dn = d * (1 - z) * (1 - n * n)
            dz = d * (h - n) * z * (1 - z)
            dm = dn @ p["Un"].T
            dr = dm * h * r * (1 - r)
            for name, part in (("z", dz), ("r", dr), ("n", dn)):
                g[f"W{name}"] += x[t].T @ part
                g[f"U{name}"] += (r * h if name == "n" and not fault else h).T @ part
            dx[t] = dz @ p["Wz"].T + dr @ p["Wr"].T + dn @ p["Wn"].T
            d = d * z + dm * r + dz @ p["Uz"].T + dr @ p["Ur"].T
        return {**g, "x": dx, "h": d}

    shapes = {"x": (depth, "N", "D"), "h": ("N", "H")}
    shapes |= {f"W{n}": ("D", "H") for n in "zrn"} | {f"U{n}": ("H", "H") for n in "zrn"}
    return forward, backward, shapes


def dense_skips(depth, fault=None):
    """Every layer reads all layers before it."""

    def run(x, p):
        values = [x]
        for k in range(depth):
            values.append(np.tanh(sum(values[1:], values[0]) @ p[f"W{k}"]))
        return values

    def forward(x, **p):
        return run(x, p)[-1]

    def backward(dout, x, **p):
        values = run(x, p)
        d = [np.zeros_like(x) for _ in range(depth)] + [dout]
        g = {}
        for k in reversed(range(depth)):
            dz = d[k + 1] * (1 - values[k + 1] ** 2)
            g[f"W{k}"] = sum(values[1 : k + 1], values[0]).T @ dz
            back = dz @ p[f"W{k}"].T
            for j in range(k + 1):
                d[j] = back if fault and k == depth // 2 and j == 0 else d[j] + back
        g["x"] = d[0]
        return g

    return forward, backward, {"x": ("N", "D"), **{f"W{k}": ("D", "D") for k in range(depth)}}


def cross_attention(depth, fault=None):
    """Queries from the layers, keys and values from one memory that all of them read."""

    def attend(x, m, p, k):
        q, key, v = x @ p[f"Q{k}"], m @ p[f"K{k}"], m @ p[f"V{k}"]
        s = q @ key.T / np.sqrt(q.shape[1])
        e = np.exp(s - s.max(axis=1, keepdims=True))
        return q, key, v, e / e.sum(axis=1, keepdims=True)

    def forward(x, m, **p):
        for k in range(depth):
            _, _, v, a = attend(x, m, p, k)
            x = x + a @ v
        return x

    def backward(dout, x, m, **p):
        saved = []
        for k in range(depth):
            q, key, v, a = attend(x, m, p, k)
            saved.append((x, q, key, v, a))
            x = x + a @ v
        g, d, dm = {}, dout, np.zeros_like(m)
        for k in reversed(range(depth)):
            x, q, key, v, a = saved[k]
            da, dv = d @ v.T, a.T @ d
            ds = a * (da - (a * da).sum(axis=1, keepdims=True)) / np.sqrt(q.shape[1])
            dq, dk = ds @ key, ds.T @ q
            g[f"Q{k}"], g[f"K{k}"], g[f"V{k}"] = x.T @ dq, m.T @ dk, m.T @ dv
            d = d + dq @ p[f"Q{k}"].T
            lost = fault and k == depth // 2
            dm = dm + dv @ p[f"V{k}"].T + (0 if lost else 1) * dk @ p[f"K{k}"].T
        return {**g, "x": d, "m": dm}

    shapes = {"x": ("N", "D"), "m": ("M", "D"), **{f"{n}{k}": ("D", "D") for k in range(depth) for n in "QKV"}}
    return forward, backward, shapes


def convolutions(depth, fault=None):
    """Residual convolutions of three taps, for every length."""

    def taps(x):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
        n = x.shape[2]
        return [padded[:, :, j : j + n] for j in range(3)]

    def conv(x, w):
        return sum(np.einsum("oc,ncl->nol", w[:, :, j], part) for j, part in enumerate(taps(x)))

    def forward(x, **p):
        for k in range(depth):
            x = x + np.maximum(conv(x, p[f"w{k}"]) + p[f"b{k}"][:, None], 0)
        return x

    def backward(dout, x, **p):
        saved = []
        for k in range(depth):
            z = conv(x, p[f"w{k}"]) + p[f"b{k}"][:, None]
            saved.append((x, z))
            x = x + np.maximum(z, 0)
        g, d = {}, dout
        for k in reversed(range(depth)):
            x, z = saved[k]
            dz, w = d * (z > 0), p[f"w{k}"]
            g[f"b{k}"] = dz.sum(axis=(0, 2))
            g[f"w{k}"] = np.stack([np.einsum("nol,ncl->oc", dz, part) for part in taps(x)], axis=2)
            order = range(3) if fault and k == depth // 2 else (2, 1, 0)
            d = d + sum(np.einsum("oc,nol->ncl", w[:, :, j], part) for j, part in zip(order, taps(dz), strict=True))
        g["x"] = d
        return g

    shapes = {"x": ("N", "C", "L"), **{f"w{k}": ("C", "C", 3) for k in range(depth)}}
    return forward, backward, shapes | {f"b{k}": ("C",) for k in range(depth)}


FAMILIES = [highway, swiglu, experts, siamese, gru, dense_skips, cross_attention, convolutions]
DEPTH = 3


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_right_stack_is_proved(family):
    forward, backward, shapes = family(DEPTH)
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "PROVED" and verdict.scope.startswith("all sizes"), str(verdict)


@pytest.mark.parametrize("family", thinned(FAMILIES, 2), ids=lambda f: f.__name__)
@pytest.mark.usefixtures("no_diagnosis")
def test_wrong_stack_is_refuted(family):
    forward, backward, shapes = family(DEPTH, "fault")
    assert sb.check(forward, backward, shapes=shapes).status == "REFUTED"


def largest(x):
    return x.max() ** 2


def at_unravelled_place(x):
    dx = np.zeros_like(x)
    dx[np.unravel_index(np.argmax(x), x.shape)] = 2 * x.max()
    return {"x": dx}


def at_both_indices(x):
    i, j = np.unravel_index(x.argmax(), x.shape)
    dx = np.zeros_like(x)
    dx[i, j] += 2 * x[i, j]
    return {"x": dx}


@pytest.mark.parametrize("backward", [at_unravelled_place, at_both_indices])
def test_the_place_of_the_largest_entry_of_a_matrix(backward):
    """One maximum over rows of maxima, one place along all entries."""
    verdict = sb.check(largest, backward, shapes={"x": ("N", "M")})
    assert verdict.status == "PROVED" and verdict.scope == "all sizes", str(verdict)


def test_relu6_without_biases_is_proved():
    """Its inputs may be 0 on an open set, but then they are not 6."""

    def run(x, p):
        saved = []
        for k in range(5):
            saved.append((x, x @ p[f"W{k}"]))
            x = np.minimum(np.maximum(saved[-1][1], 0), 6)
        return x, saved

    def backward(dout, x, **p):
        g, d = {}, dout
        for k, (a, z) in reversed(list(enumerate(run(x, p)[1]))):
            d = d * ((z > 0) & (z < 6))
            g[f"W{k}"] = a.T @ d
            d = d @ p[f"W{k}"].T
        return {**g, "x": d}

    shapes = {"x": ("N", "D"), **{f"W{k}": ("D", "D") for k in range(5)}}
    verdict = sb.check(lambda x, **p: run(x, p)[0], backward, shapes=shapes, seconds=300)
    assert verdict.status == "PROVED" and verdict.scope == "all sizes", str(verdict)


def largest_of_all(x):
    return np.abs(x).max()


def at_its_place(x):
    k, dx = np.argmax(np.abs(x)), np.zeros_like(x)
    dx[k] = np.sign(x[k])
    return {"x": dx}


def without_sign(x):
    k, dx = np.argmax(np.abs(x)), np.zeros_like(x)
    dx[k] = 1.0
    return {"x": dx}


def largest_of_rows(x):
    return np.abs(x).max(axis=1)


def at_their_places(dout, x):
    k, dx = np.abs(x).argmax(axis=1), np.zeros_like(x)
    rows = np.arange(len(x))
    dx[rows, k] = dout * np.sign(x[rows, k])
    return {"x": dx}


def test_the_place_of_an_extremum_of_branches():
    """Which branch has it follows: x_i = max |x| only where x_i is not negative."""
    assert sb.check(largest_of_all, without_sign, shapes={"x": ("N",)}).status == "REFUTED"
    for forward, backward, shape in (
        (largest_of_all, at_its_place, ("N",)),
        (largest_of_rows, at_their_places, ("N", "M")),
    ):
        verdict = sb.check(forward, backward, shapes={"x": shape})
        assert verdict.status == "PROVED" and any("no ties" in c for c in verdict.conditions), str(verdict)


def test_the_line_that_one_round_leaves_out_is_named():
    def run(x, p):
        values = [x]
        for k in range(4):
            values.append(np.tanh(values[-1] @ p[f"W{k}"]))
        return values

    def backward(dout, x, **p):
        values, g, d = run(x, p), {}, dout
        for k in reversed(range(4)):
            if k != 1:
                d = d * (1 - values[k + 1] ** 2)
            g[f"W{k}"] = values[k].T @ d
            d = d @ p[f"W{k}"].T
        return {**g, "x": d}

    shapes = {"x": ("N", "D"), **{f"W{k}": ("D", "D") for k in range(4)}}
    verdict = sb.check(lambda x, **p: run(x, p)[-1], backward, shapes=shapes)
    missing = backward.__code__.co_firstlineno + 4
    assert verdict.status == "REFUTED" and f"line {missing} has no part in round 3 of 4" in verdict.diagnosis
    # the user has no name for what the other rounds square there
    assert verdict.cure.endswith('*(1 - tanh((values[-1] @ p[f"W{k}"])[n,d])**2)'), verdict.cure


@pytest.mark.parametrize("fault", ["sign of a sigmoid", "a number for an array"])
def test_a_fault_of_one_round_is_cured_by_the_other_rounds(fault):
    """Of g = 1/(1 + exp(-z)) the derivation knows the derivative with respect to -z; a factor that is 1 in one round is
    no array there."""

    def run(x, p):
        kept = []
        for k in range(4):
            u, g = x @ p[f"A{k}"], 1 / (1 + np.exp(-(x @ p[f"B{k}"])))
            kept.append((x, u, g))
            x = x + u * g
        return x, kept

    def backward(dout, x, **p):
        kept, grads, d = run(x, p)[1], {}, dout
        for k in reversed(range(4)):
            x, u, g = kept[k]
            rest = 1 if k == 1 and fault == "a number for an array" else 1 - g
            dz = d * u * g if k == 1 and fault == "sign of a sigmoid" else d * u * g * rest
            grads[f"A{k}"], grads[f"B{k}"] = x.T @ (d * g), x.T @ dz
            d = d + (d * g) @ p[f"A{k}"].T + dz @ p[f"B{k}"].T
        return {**grads, "x": d}

    shapes = {"x": ("N", "D"), **{f"{n}{k}": ("D", "D") for n in "AB" for k in range(4)}}
    verdict = sb.check(lambda x, **p: run(x, p)[0], backward, shapes=shapes)
    assert verdict.status == "REFUTED" and set(verdict.wrong) == {"x", "A0", "B0", "B1"}
    assert verdict.cure.endswith(("dz[n,d] = d[n,d]*u[n,d]*g[n,d]*(1 - g[n,d])", "rest[n,d] = 1 - g[n,d]")), str(
        verdict
    )


def largest_everywhere(x):
    return np.max(np.abs(x)) ** 2


def where_it_stands(x):
    size = np.abs(x)
    return {"x": 2 * size.max() * (size == size.max()) * np.sign(x)}


def where_it_stands_unsigned(x):
    size = np.abs(x)
    return {"x": 2 * size.max() * (x == size.max())}


def test_the_extremum_of_branches_over_two_axes():
    """[|x| = max of its row] [max of its row = max of all] is [|x| = max of all], also of either branch of |x|."""
    verdict = sb.check(largest_everywhere, where_it_stands, shapes={"x": ("N", "D")})
    assert verdict.for_all_sizes, str(verdict)
    assert sb.check(largest_everywhere, where_it_stands_unsigned, shapes={"x": ("N", "D")}).status == "REFUTED"


def scores(x, wq, wk, bk):
    s = (x @ wq) @ (x @ wk + bk).T
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def of_scores(dout, x, wq, wk, bk):
    p, q, k = scores(x, wq, wk, bk), x @ wq, x @ wk + bk
    ds = p * (dout - (p * dout).sum(axis=1, keepdims=True))
    dq, dk = ds @ k, ds.T @ q
    return {"x": dq @ wq.T + dk @ wk.T, "wq": x.T @ dq, "wk": x.T @ dk, "bk": dk.sum(axis=0)}


def test_a_gradient_that_is_zero_but_for_rounding():
    """The bias of the keys moves all scores of a row alike: numbers of its gradient are what rounding leaves."""
    shapes = {"x": ("T", "C"), "wq": ("C", "E"), "wk": ("C", "E"), "bk": ("E",)}
    verdict = sb.check(scores, of_scores, shapes=shapes)
    assert verdict.for_all_sizes, str(verdict)


def test_a_line_that_passes_on_what_it_reads_is_named():
    """In one round d = dx passes on a name; a line that is computed in vain there is none that the round leaves out."""

    def run(x, p):
        values = [x]
        for k in range(5):
            values.append(values[-1] + np.tanh(values[-1] @ p[f"W{k}"]))
        return values

    def backward(dout, x, **p):
        values, g, d = run(x, p), {}, dout
        for k in reversed(range(5)):
            h = np.tanh(values[k] @ p[f"W{k}"])
            dz = d * (1 - h**2)
            g[f"W{k}"] = values[k].T @ dz
            dx = dz @ p[f"W{k}"].T
            in_vain = dx * dz.shape[0] if k != 1 else dx  # noqa: F841
            d = dx if k == 2 else d + dx
        return {**g, "x": d}

    shapes = {"x": ("N", "D"), **{f"W{k}": ("D", "D") for k in range(5)}}
    verdict = sb.check(lambda x, **p: run(x, p)[-1], backward, shapes=shapes)
    passed_on = backward.__code__.co_firstlineno + 8
    assert verdict.status == "REFUTED"
    assert verdict.diagnosis.startswith(f"line {passed_on} has no part in"), verdict.diagnosis


def turned(x, cos, sin):
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


def test_rotations_of_halves_in_a_stack():
    """Rotary positions: what the derivative reads beyond its half, beside a guard, has a number all the same."""
    depth = 3

    def run(x, cos, sin, p):
        values = [x]
        for k in range(depth):
            x = x + np.tanh(turned(x @ p[f"W{k}"], cos, sin))
            values.append(x)
        return values

    def forward(x, cos, sin, **p):
        return run(x, cos, sin, p)[-1]

    def backward(dout, x, cos, sin, **p):
        values, g, d = run(x, cos, sin, p), {}, dout
        for k in reversed(range(depth)):
            h = values[k + 1] - values[k]
            dz = turned(d * (1 - h**2), cos, -sin)
            g[f"W{k}"] = values[k].T @ dz
            d = d + dz @ p[f"W{k}"].T
        return {**g, "x": d}

    shapes = {"x": ("T", "2*E"), "cos": ("T", "E"), "sin": ("T", "E")}
    shapes |= {f"W{k}": ("2*E", "2*E") for k in range(depth)}
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.for_all_sizes, str(verdict)


def in_one_vector(depth, fault=None):
    """All parameters in one vector, and their gradients in another."""

    def taken_apart(theta, width):
        found, o = [], 0
        for _ in range(depth):
            weights, bias = theta[o : o + width * width], theta[o + width * width : o + width * width + width]
            found.append((weights.reshape(width, width), bias))
            o += width * width + width
        return found

    def forward(x, y, theta):
        a = x
        for weights, bias in taken_apart(theta, x.shape[1]):
            a = np.tanh(a @ weights + bias)
        return 0.5 * np.sum((a - y) ** 2)

    def backward(x, y, theta):
        width = x.shape[1]
        parts, values = taken_apart(theta, width), [x]
        for weights, bias in parts:
            values.append(np.tanh(values[-1] @ weights + bias))
        d, grads, o = values[-1] - y, np.zeros_like(theta), len(theta)
        for k in reversed(range(depth)):
            d = d * (1 - values[k + 1] ** 2)
            o -= width * width + width
            grads[o : o + width * width] += (values[k].T @ d).ravel()
            scale = 2 if fault and k == depth // 2 else 1
            grads[o + width * width : o + width * width + width] += scale * d.sum(axis=0)
            d = d @ parts[k][0].T
        return {"theta": grads, "x": d}

    return forward, backward, {"x": ("N", "D"), "y": ("N", "D"), "theta": (f"{depth}*(D*D + D)",)}


def test_gradients_of_all_layers_in_one_vector():
    forward, backward, shapes = in_one_vector(8)
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.for_all_sizes, str(verdict)
    forward, backward, shapes = in_one_vector(2, fault=True)
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "REFUTED" and verdict.wrong == ("theta",), str(verdict)


def supervised(depth, fault):
    """Every layer has a head and a loss of its own."""

    def softplus(z):
        return np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0)

    def forward(x, y, **p):
        h, cost = x, 0.0
        for k in range(depth):
            h = softplus(h @ p[f"W{k}"])
            cost = cost + np.mean((h @ p[f"H{k}"] - y) ** 2) / (k + 1)
        return cost

    def backward(x, y, **p):
        values, before, g = [x], [], {}
        for k in range(depth):
            before.append(values[-1] @ p[f"W{k}"])
            values.append(softplus(before[-1]))
        d = np.zeros_like(values[-1])
        for k in reversed(range(depth)):
            here = k == depth // 2
            r = 2 * (values[k + 1] @ p[f"H{k}"] - y) / y.size / (1 if fault == "share" and here else k + 1)
            g[f"H{k}"] = values[k + 1].T @ r
            d = d + r @ p[f"H{k}"].T
            if not (fault == "slope" and here):
                d = d * sigmoid(before[k])
            g[f"W{k}"] = values[k].T @ d
            d = d @ p[f"W{k}"].T
        g["x"] = d
        return g

    shapes = {"x": ("N", "D"), "y": ("N", "K")}
    shapes |= {f"{n}{k}": ("D", m) for k in range(depth) for n, m in (("W", "D"), ("H", "K"))}
    return forward, backward, shapes


@pytest.mark.parametrize("fault, line", [("share", 8), ("slope", 12)])
def test_a_multiple_of_a_derivative_and_a_composed_slope_have_cures(fault, line):
    """r is twice a derivative, as it may be where the half comes later; softplus has two paths, and no name."""
    forward, backward, shapes = supervised(3, fault)
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "REFUTED" and verdict.cure, str(verdict)
    assert f"line {backward.__code__.co_firstlineno + line}" in verdict.diagnosis, verdict.diagnosis


def gated_steps(depth, fault):
    """Layers of c = f*c + g along three steps; what a layer forgets, it forgets at each of them."""

    def run(x, p):
        steps, saved = [x[:, t] for t in range(3)], []
        for k in range(depth):
            c, kept, out = 0 * steps[0], [], []
            for x_t in steps:
                f, g = sigmoid(x_t @ p[f"F{k}"]), np.tanh(x_t @ p[f"G{k}"])
                kept.append((x_t, c, f, g))
                c = f * c + g
                out.append(c)
            saved.append(kept)
            steps = out
        return steps, saved

    def forward(x, **p):
        return run(x, p)[0][-1]

    def backward(dout, x, **p):
        back, grads = [0 * dout, 0 * dout, dout], {}
        for k, kept in reversed(list(enumerate(run(x, p)[1]))):
            dc, dF, dG = 0 * dout, 0, 0
            for t in (2, 1, 0):
                x_t, c, f, g = kept[t]
                dc = dc + back[t]
                df, dg = dc * c * f * (1 - f), dc * (1 - g * g)
                dF, dG = dF + x_t.T @ df, dG + x_t.T @ dg
                back[t] = df @ p[f"F{k}"].T + dg @ p[f"G{k}"].T
                dc = dc if fault and k == depth // 2 else dc * f
            grads[f"F{k}"], grads[f"G{k}"] = dF, dG
        return grads | {"x": np.stack(back, axis=1)}

    return forward, backward, {"x": ("N", 3, "D")} | {f"{n}{k}": ("D", "D") for k in range(depth) for n in "FG"}


def test_what_a_layer_forgets_at_each_step_is_one_line_and_has_a_cure():
    forward, backward, shapes = gated_steps(3, "the gate")
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "REFUTED"
    assert "and is not, in 2 rounds" in verdict.diagnosis
    assert "f[n,d]" in verdict.cure


def biases_beside_centring(depth, fault=None):
    """x + t + tanh(x - mean): what centring sends back has the sum 0, so all biases have one gradient."""

    def run(x, p):
        kept = []
        for k in range(depth):
            h = np.tanh(x - x.mean(axis=-1, keepdims=True))
            kept.append(h)
            x = x + p[f"t{k}"][:, None] + h
        return x, kept

    def forward(x, **p):
        return run(x, p)[0]

    def backward(dout, x, **p):
        _, kept = run(x, p)
        d, g = dout, {}
        for k in reversed(range(depth)):
            g[f"t{k}"] = d.sum(axis=(0, 2))
            h = kept[k]
            dm = d * (1 - h) if fault and k == depth // 2 else d * (1 - h * h)
            d = d + dm - dm.mean(axis=-1, keepdims=True)
        g["x"] = d
        return g

    return forward, backward, {"x": ("N", "S", "D"), **{f"t{k}": ("S",) for k in range(depth)}}


def test_a_fault_from_which_something_right_is_computed_is_found_and_cured():
    forward, backward, shapes = biases_beside_centring(4, "slope")
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "REFUTED" and verdict.wrong == ("x",)
    cures = [f"dm[n,s,d] = d[n,s,d]*(1 - {square})" for square in ("h[n,s,d]*h[n,s,d]", "h[n,s,d]**2")]
    assert verdict.cure in cures, verdict.diagnosis  # which of them is tried first depends on the other edits in time


def test_of_two_lines_that_are_wrong_at_each_step_the_first_is_named_and_cured():
    steps = 3

    def run(x, p):
        kept = []
        for k in range(2):
            h, c = np.zeros_like(x[0]), np.zeros_like(x[0])
            states = []
            for t in range(steps):
                a = np.tanh(x[t] @ p[f"W{k}"] + h @ p[f"U{k}"])
                before, c = h, c / 2 + a
                h = np.tanh(c)
                states.append((x[t], before, a, h))
            x = [s[3] for s in states]
            kept.append(states)
        return x, kept

    def forward(x, **p):
        return run(x, p)[0][-1]

    def backward(dout, x, **p):
        kept, g = run(x, p)[1], {}
        d = [0] * (steps - 1) + [dout]
        for k in (1, 0):
            dW, dU, dh, dc = np.zeros_like(p[f"W{k}"]), np.zeros_like(p[f"U{k}"]), 0, 0
            below = [0] * steps
            for t in reversed(range(steps)):
                at, before, a, h = kept[k][t]
                dct = dc / 2 + (d[t] + dh) * (1 if k == 0 else 1 - h * h)
                dz = dct * (1 - a * a)
                dW += at.T @ dz
                dU += before.T @ dz
                below[t], dh, dc = dz @ p[f"W{k}"].T, dz @ p[f"U{k}"].T, dct
            d = below
            g[f"W{k}"], g[f"U{k}"] = dW, dU
        g["x"] = np.stack(d)
        return g

    shapes = {"x": (steps, "N", "D"), **{f"{n}{k}": ("D", "D") for k in range(2) for n in "WU"}}
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "REFUTED" and verdict.wrong == ("W0", "U0", "x")
    assert ": dct should be the derivative with respect to " in verdict.diagnosis
    assert verdict.cure.startswith("dct[n,d] = "), verdict.diagnosis


def gelu_residual(depth):
    """Residual layers with a cubic inside tanh: numbers run out of range at larger points, layer upon layer."""
    scale = np.sqrt(2 / np.pi)

    def forward(x, **p):
        for k in range(depth):
            u = x @ p[f"W{k}"]
            x = x + 0.5 * u * (1 + np.tanh(scale * (u + 0.044715 * u**3))) @ p[f"V{k}"]
        return x

    def backward(dout, x, **p):
        kept, grads = [], {}
        for k in range(depth):
            u = x @ p[f"W{k}"]
            t = np.tanh(scale * (u + 0.044715 * u**3))
            kept.append((x, u, t))
            x = x + 0.5 * u * (1 + t) @ p[f"V{k}"]
        for k in reversed(range(depth)):
            x, u, t = kept[k]
            grads[f"V{k}"] = (0.5 * u * (1 + t)).T @ dout
            slope = 0.5 * (1 + t) + 0.5 * u * (1 - t**2) * scale * (1 + 3 * 0.044715 * u**2)
            du = (dout @ p[f"V{k}"].T) * slope
            grads[f"W{k}"] = x.T @ du
            dout = dout + du @ p[f"W{k}"].T
        return grads | {"x": dout}

    weights = {f"W{k}": ("D", "H") for k in range(depth)} | {f"V{k}": ("H", "D") for k in range(depth)}
    return forward, backward, {"x": ("N", "D")} | weights


def test_layers_at_which_numbers_run_out_of_range_are_proved():
    forward, backward, shapes = gelu_residual(4)
    assert sb.check(forward, backward, shapes=shapes)


def attention_rounds(depth, fault):
    """Residual attention whose scores are divided by sqrt(E) where they are computed."""

    def block(x, q, k):
        a, b = x @ q, x @ k
        s = a @ b.T / np.sqrt(q.shape[1])
        e = np.exp(s)
        p = e / e.sum(axis=1, keepdims=True)
        return x + p @ x, (x, a, b, p)

    def forward(x, **w):
        for i in range(depth):
            x, _ = block(x, w[f"q{i}"], w[f"k{i}"])
        return x

    def backward(dout, x, **w):
        kept = []
        for i in range(depth):
            x, cache = block(x, w[f"q{i}"], w[f"k{i}"])
            kept.append(cache)
        g, d = {}, dout
        for i in reversed(range(depth)):
            x, a, b, p = kept[i]
            dp = d @ x.T
            ds = p * (dp - (p * dp).sum(axis=1, keepdims=True))
            if i != fault:
                ds = ds / np.sqrt(a.shape[1])
            da, db = ds @ b, ds.T @ a
            g[f"q{i}"], g[f"k{i}"] = x.T @ da, x.T @ db
            d = d + p.T @ d + da @ w[f"q{i}"].T + db @ w[f"k{i}"].T
        g["x"] = d
        return g

    shapes = {"x": ("T", "D")}
    for i in range(depth):
        shapes |= {f"q{i}": ("D", "E"), f"k{i}": ("D", "E")}
    return forward, backward, shapes


def test_a_factor_that_all_that_follows_has_is_missed_where_it_belongs_and_has_a_cure():
    """No derivative has the value that the scores' should have: 1/sqrt(E) is a part of what comes after them."""
    forward, backward, shapes = attention_rounds(4, fault=2)
    v = sb.check(forward, backward, shapes=shapes)
    assert v.status == "REFUTED"
    assert "has no part in round 2 of 4 of the loop" in v.diagnosis
    assert "should be 1/sqrt(E) times the derivative with respect to s" in v.diagnosis
    assert v.cure.startswith("ds[") and v.cure.endswith("/sqrt(E)")
