"""The slips of `claims/slips`: each is put into a right backward pass, and the diagnosis has to name it.

A file holds a forward and a right backward pass and a table of slips: text of one line, the text that takes its place,
and words of the diagnosis, in which {line} stands for the number of that line.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from thinning import thinned

import symbackprop as sb
from symbackprop.checking.budget import SHARES

FOLDER = Path(__file__).parent / "claims" / "slips"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODULES = {path.stem: load(path) for path in sorted(FOLDER.glob("*.py"))}
# What would be right names the arrays of single rounds of a loop, for which the user's code has no names.
WITHOUT_CURE = {("rnn_sequence", "overwritten"), ("rnn_sequence", "new state")}
LONG = {("rnn_sequence", "new state")}  # seven seconds
SLIPS = [(name, slip) for name, module in MODULES.items() for slip in module.SLIPS]


def check(module: ModuleType):
    assume, where = getattr(module, "ASSUME", None), getattr(module, "WHERE", None)
    return sb.check(module.forward, module.backward, shapes=module.SHAPES, assume=assume, where=where)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """What is found is asserted, not how soon: the limits of the search are meant for an idle machine."""
    for task in (
        "cause",
        "comparison",
        *(f"{stage} edits" for stage in ("likely", "plausible", "several", "unlikely")),
    ):
        monkeypatch.setitem(SHARES, task, SHARES[task]._replace(seconds=10 * SHARES[task].seconds))


@pytest.mark.parametrize("name", MODULES)
def test_backward_is_proved_without_a_slip(name):
    assert check(MODULES[name]).status == "PROVED"


@pytest.mark.parametrize(("name", "slip"), thinned(SLIPS, lambda case: case not in LONG))
def test_slip_is_named_with_its_line_and_a_proved_cure(name, slip, tmp_path):
    right, wrong, words = MODULES[name].SLIPS[slip]
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    head, body = text.split("\ndef backward(")
    assert body.count(right) == 1, "the slip is not at one place"
    line = head.count("\n") + body[: body.index(right)].count("\n") + 2
    path = tmp_path / f"{name}.py"
    path.write_text(head + "\ndef backward(" + body.replace(right, wrong), encoding="utf-8")
    verdict = check(load(path))
    assert verdict.status == "REFUTED"
    assert words.format(line=line) in verdict.diagnosis
    assert verdict.cure or (name, slip) in WITHOUT_CURE


def test_a_kernel_that_is_not_flipped():
    """x is padded by K - 1; the kernel slides over it in the forward pass, and flipped over dout in the backward one."""

    def slid(x, w):
        windows = np.lib.stride_tricks.sliding_window_view(x, len(w))
        return windows @ w

    def forward(x, w):
        return slid(np.pad(x, len(w) - 1), w)

    def backward(dout, x, w):
        return {"x": slid(dout, w)}

    verdict = sb.check(forward, backward, shapes={"x": ("N",), "w": ("K",)})
    assert verdict.wrong == ("x",)
    assert "w must be read backwards along axis 0: a kernel that slides is flipped" in verdict.diagnosis
    assert "(proved)" in str(verdict)


def distance(x, y, w):
    return w * (x - y) ** 2


def distance_backward(dout, x, y, w):
    g = 2 * dout * w * (x - y)
    return {"x": g, "y": g, "w": dout * (x - y) ** 2}


def test_one_array_that_is_the_gradient_of_one_input_alone_is_not_mended_for_both():
    verdict = sb.check(distance, distance_backward, shapes={"x": ("N",), "y": ("N",), "w": ("N",)})
    assert verdict.wrong == ("y",)
    assert verdict.diagnosis == "y: a factor -1 is missing: the sign is wrong" and verdict.cure == "dy[n] = -dx[n]"


def slanted(s, slope):
    T = s.shape[0]
    t = np.arange(T)
    z = s + slope * (t[None, :] - t[:, None])
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def slanted_backward(dout, s, slope):
    t, p = np.arange(s.shape[0]), slanted(s, slope)
    ds = p * (dout - (dout * p).sum(axis=1, keepdims=True))
    return {"s": ds, "slope": (ds * (t[:, None] - t[None, :])).sum()}


def test_a_wrong_sign_is_said_before_what_comes_to_the_same():
    verdict = sb.check(slanted, slanted_backward, shapes={"s": ("T", "T"), "slope": ()})
    assert verdict.wrong == ("slope",) and verdict.diagnosis.endswith(": the sign is wrong")


def contrast(a, b):
    z = a @ b.T / 0.07
    z = z - z.max(axis=1, keepdims=True)
    return -np.mean(np.diag(z - np.log(np.exp(z).sum(axis=1, keepdims=True))))


def contrast_backward(a, b):
    z = a @ b.T / 0.07
    p = np.exp(z - z.max(axis=1, keepdims=True))
    d = p / p.sum(axis=1, keepdims=True)
    d = (d - np.eye(len(a))) / (0.07 * len(a))
    return {"a": d @ b, "b": d @ a}


def test_a_fault_is_found_where_most_points_are_saturated():
    verdict = sb.check(contrast, contrast_backward, shapes={"a": ("N", "D"), "b": ("N", "D")})
    assert verdict.wrong == ("b",) and verdict.diagnosis.endswith("two indices of d are swapped")


def negatives(v, U, k):
    loss = 0.0
    for i in range(len(k)):
        loss -= np.log(1 - 1 / (1 + np.exp(-U[k[i]] @ v)))
    return loss


def negatives_backward(v, U, k, slip):
    dv, dU = np.zeros_like(v), np.zeros_like(U)
    for i in range(len(k)):
        z = 1 / (1 + np.exp(-U[k[i]] @ v))
        dv += U[k[i]] * (1 - z if slip == "complement" else z)
        if slip == "overwritten":
            dU[k[i]] = v * z
        else:
            dU[k[i]] += v * z
    return {"v": dv, "U": dU}


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        pytest.param(
            "overwritten",
            "an assignment overwrites what stands there already: += belongs there",
            marks=pytest.mark.slow,
        ),
        ("complement", "z[k] belongs where 1 - z[k] stands"),  # an index is called as its size is
    ],
)
def test_slips_where_a_loop_adds_up(slip, words):
    shapes = {"v": ("D",), "U": ("V", "D"), "k": ("K",)}
    verdict = sb.check(negatives, negatives_backward, shapes=shapes, assume={"k": "labels:V"}, fixed={"slip": slip})
    assert verdict.status == "REFUTED" and verdict.diagnosis.endswith(words), verdict


def fused(x, r):
    h = x + r
    return np.tanh(h) * h, h


def fused_backward(dout, x, r):
    h = x + r
    t = np.tanh(h)
    dh = dout[0] * (t + h * (1 - t * t))
    return {"x": dh, "r": dh}


def test_the_upstream_gradient_of_a_second_output_is_missed():
    verdict = sb.check(fused, fused_backward, shapes={"x": ("N", "D"), "r": ("N", "D")})
    assert verdict.wrong == ("x", "r") and verdict.diagnosis.endswith("the term dout_2[n,d] is missing")


def gated(x, a, W):
    h, hs = np.zeros(W.shape[0]), np.empty((len(x), W.shape[0]))
    for t in range(len(x)):
        h = a * h + (1 - a) * np.tanh(x[t] + h @ W)
        hs[t] = h
    return hs


def gated_backward(dout, x, a, W):
    hs = gated(x, a, W)
    dx, dW, dh = np.zeros_like(x), np.zeros_like(W), np.zeros_like(a)
    for t in reversed(range(len(x))):
        before = hs[t - 1] if t > 0 else np.zeros_like(a)
        dh = dh + dout[t]
        dz = dh * (1 - a) * (1 - np.tanh(x[t] + before @ W) ** 2)
        dx[t] = dz
        dW += np.outer(before, dz)
        dh = dz @ W.T
    return {"x": dx, "W": dW}


@pytest.mark.slow
def test_a_gate_that_sends_nothing_back_is_a_missing_path_for_every_length():
    verdict = sb.check(gated, gated_backward, shapes={"x": ("T", "H"), "a": ("H",), "W": ("H", "H")})
    assert verdict.wrong == ("x", "W") and "is missing" in verdict.diagnosis and "no proof" not in verdict.diagnosis


def reparametrized(W, Ws, V, x, eps):
    h = np.maximum(0, x @ W)
    lv = h @ Ws
    p = 1 / (1 + np.exp(-(eps * np.exp(0.5 * lv)) @ V))
    divergence = -0.5 * (1 + lv - np.exp(lv)).sum()
    return (divergence - (x * np.log(p) + (1 - x) * np.log(1 - p)).sum()) / len(x)


def reparametrized_backward(W, Ws, V, x, eps):
    h = np.maximum(0, x @ W)
    lv = h @ Ws
    z = eps * np.exp(0.5 * lv)
    do = (1 / (1 + np.exp(-z @ V)) - x) / len(x)
    dz = do @ V.T
    dlv = dz * eps * np.exp(0.5 * lv) + 0.5 * (np.exp(lv) - 1) / len(x)
    dh = (dlv @ Ws.T) * (h > 0)
    return {"W": x.T @ dh, "Ws": h.T @ dlv, "V": z.T @ do}


def test_a_cure_is_seen_where_one_point_loses_digits():
    shapes = {"x": ("N", "D"), "eps": ("N", "Z"), "W": ("D", "H"), "Ws": ("H", "Z"), "V": ("Z", "D")}
    verdict = sb.check(reparametrized, reparametrized_backward, shapes=shapes, assume={"x": "prob"})
    assert verdict.wrong == ("W", "Ws")
    assert "a factor 1/2 is missing in the term dz[n,z]*eps[n,z]*exp(lv[n,z]/2)" in verdict.diagnosis


def focal(logits, y):
    p = 1 / (1 + np.exp(-logits))
    pt = np.where(y == 1, p, 1 - p)
    return np.mean(-((1 - pt) ** 2) * np.log(pt))


def focal_without_its_sign(logits, y):
    p = 1 / (1 + np.exp(-logits))
    pt = np.where(y == 1, p, 1 - p)
    return {"logits": (1 - pt) ** 2 * (2 * pt * np.log(pt) + pt - 1) / len(y)}


def test_a_sign_in_one_branch_comes_before_a_threshold_of_labels():
    verdict = sb.check(focal, focal_without_its_sign, shapes={"logits": ("N",), "y": ("N",)}, assume={"y": "bern"})
    assert "a sign is wrong: that of the term" in verdict.diagnosis
