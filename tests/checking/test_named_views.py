"""Parts of arrays, and arrays with other axes, that have a name: what is wrong with them is told at their lines."""

import numpy as np

import symbackprop as sb
from symbackprop.checking.composition import Composition
from symbackprop.checking.diagnosis.compare import Diagnosis
from symbackprop.checking.diagnosis.diagnose import _with_words
from symbackprop.checking.diagnosis.named_views import _is_inside
from symbackprop.expression.build import ONE, ZERO, Compare, Entry, Index, Quotient, Remainder, Symbol, Tensor, number
from symbackprop.expression.sizes import Facts

DEEP = 4


def conditioned():
    """Residual blocks x + [x, c] W, whose gradients are parts of one array; one lacks the way around."""

    def forward(x, c, W0, W1, W2):
        for W in (W0, W1, W2):
            x = x + np.concatenate([x, c], axis=1) @ W
        return x

    def backward(dout, x, c, W0, W1, W2):
        saved = []
        for W in (W0, W1, W2):
            u = np.concatenate([x, c], axis=1)
            saved.append((u, W))
            x = x + u @ W
        D = x.shape[1]
        d, dc, g = dout, 0, {}
        for k in (2, 1, 0):
            u, W = saved[k]
            g[f"W{k}"] = u.T @ d
            du = d @ W.T
            dx = du[:, :D]
            dc = dc + du[:, D:]
            d = dx if k == 1 else d + dx  # the way around
        return {"x": d, "c": dc, **g}

    weights = {f"W{k}": ("D + E", "D") for k in range(3)}
    return forward, backward, {"x": ("N", "D"), "c": ("N", "E"), **weights}


def rectified():
    """Residual blocks x + max(x W, 0); of one the mask is forgotten."""

    def forward(x, W0, W1, W2):
        for W in (W0, W1, W2):
            z = x @ W
            x = x + np.maximum(z, 0)
        return x

    def back(dz, x, W):
        return dz @ W.T, x.T @ dz

    def backward(dout, x, W0, W1, W2):
        saved = []
        for W in (W0, W1, W2):
            z = x @ W
            saved.append((x, z, W))
            x = x + np.maximum(z, 0)
        d, g = dout, {}
        for k in (2, 1, 0):
            x, z, W = saved[k]
            dz = d if k == 1 else d * (z > 0)
            dx, g[f"W{k}"] = back(dz, x, W)
            d = d + dx
        return {"x": d, **g}

    return forward, backward, {"x": ("N", "D"), "W0": ("D", "D"), "W1": ("D", "D"), "W2": ("D", "D")}


def line_with(text):
    with open(__file__, encoding="utf-8") as source:
        return next(k for k, line in enumerate(source, 1) if text in line)


def test_a_part_of_an_array_that_other_rounds_add_to_is_told_and_cured():
    forward, backward, shapes = conditioned()
    verdict = sb.check(forward, backward, shapes=shapes)
    assert set(verdict.wrong) == {"x", "c", "W0"} and "(proved)" in str(verdict)
    assert verdict.diagnosis.startswith(f"line {line_with('# the way around')}")
    assert verdict.cure.startswith("d[n,d] = d_before[n,d] + ")


def test_what_lines_read_otherwise_in_other_rounds_is_told_and_cured():
    forward, backward, shapes = rectified()
    verdict = sb.check(forward, backward, shapes=shapes)
    assert set(verdict.wrong) == {"x", "W0", "W1"} and "(proved)" in str(verdict)
    assert verdict.diagnosis.startswith(f"line {line_with('dz = d if k == 1')}") and "d[n,d]" in verdict.cure


def test_what_repeats_entries_is_no_part_of_an_array():
    n, c = Index("n", Symbol("N")), Index("c", Symbol("C"))
    half, facts = Quotient(c.size, number(2)), Facts([Compare("==", Remainder(c.size, number(2)), ZERO)])
    array = Tensor("h", (n.size, number(2), half))
    assert _is_inside(Entry(array, (n, Quotient(c, half), Remainder(c, half))), facts)
    means = Tensor("b", (n.size, number(2), ONE))
    assert not _is_inside(Entry(means, (n, Quotient(c, half), ZERO)), facts)


def test_what_was_found_before_a_cure_is_said_once():
    before, cure = Diagnosis("line 9: h of the next round belongs there", "dU = ..."), Diagnosis("line 9: dU is wrong")
    assert _with_words(cure, before).words == f"{before.words}; {cure.words}"
    again = Diagnosis("line 9: dU should be dJ/dU; h of the next round belongs there")
    assert _with_words(again, before) is again


def centred(depth):
    """Matrix products whose result is centred in groups."""

    def forward(x, **p):
        for k in range(depth):
            z = (x @ p[f"W{k}"]).reshape(len(x), 2, -1)
            x = np.tanh((z - z.mean(axis=2, keepdims=True)).reshape(x.shape))
        return x

    def backward(dout, x, **p):
        saved, d, g = [], dout, {}
        for k in range(depth):
            z = (x @ p[f"W{k}"]).reshape(len(x), 2, -1)
            saved.append(x)
            x = np.tanh((z - z.mean(axis=2, keepdims=True)).reshape(x.shape))
        for k in reversed(range(depth)):
            dh = (d * (1 - x * x)).reshape(len(x), 2, -1)
            dz = dh - dh.mean(axis=2, keepdims=True)
            dz = dz.reshape(x.shape)
            g[f"W{k}"], d, x = saved[k].T @ dz, dz @ p[f"W{k}"].T, saved[k]
        return {"x": d, **g}

    return forward, backward, {"x": ("N", "2*C"), **{f"W{k}": ("2*C", "2*C") for k in range(depth)}}


def test_a_derivative_with_two_axes_in_place_of_one_is_a_lemma():
    forward, backward, shapes = centred(2)
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.for_all_sizes
    told = [str(lemma.equation) for lemma in verdict.lemmas]
    assert any("[n,i,c] = z_bar[n,C*i + c]" in equation for equation in told)


def test_what_is_told_with_names_for_parts_is_not_sought_again(monkeypatch):
    walks, searched, walk, lemma = [], [], Composition.walk, Composition._lemma
    monkeypatch.setattr(Composition, "walk", lambda self: walks.append(self) or walk(self))
    monkeypatch.setattr(Composition, "_lemma", lambda self, *a: searched.append(self) or lemma(self, *a))

    def forward(x, **W):
        for k in range(DEEP):
            x = x + np.tanh(np.concatenate([x, x * x], axis=1) @ W[f"W{k}"])
        return x

    def backward(dout, x, **W):
        saved, d, g = [], dout, {}
        for k in range(DEEP):
            u = np.concatenate([x, x * x], axis=1)
            h = np.tanh(u @ W[f"W{k}"])
            saved.append((x, u, h))
            x = x + h
        for k in reversed(range(DEEP)):
            x, u, h = saved[k]
            dz = d * (1 - h * h)
            g[f"W{k}"] = u.T @ dz
            du = dz @ W[f"W{k}"].T
            D = x.shape[1]
            dx = du[:, :D] + 2 * x * du[:, D:]
            d = du[:, :D] if k == 1 else d + dx
        return {"x": d, **g}

    weights = {f"W{k}": ("2*D", "D") for k in range(DEEP)}
    assert sb.check(forward, backward, shapes={"x": ("N", "D"), **weights}).status == "REFUTED"
    first = walks[0]
    named = next(w for w in walks if len(w.program.equations) > len(first.program.equations))
    assert first.lemmas.keys() == named.lemmas.keys() and first in searched and named not in searched
