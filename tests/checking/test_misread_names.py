"""A name that is bound to what another name has: the line that binds it is the fault, and its cure is proved."""

import numpy as np

import symbackprop as sb

SHAPES = {"x": ("N", "D"), "U": ("D", "F"), "V": ("D", "F"), "W": ("F", "K")}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(x, U, V, W):
    h = sigmoid(x @ U) * (x @ V)
    return np.tanh(h @ W)


def backward_of(slope, gate=True):
    def backward(dout, x, U, V, W):
        u = x @ U
        v = x @ V
        s = sigmoid(u)
        h = s * v
        y = np.tanh(h @ W)
        dz = dout * (1 - y * y)
        dh = dz @ W.T
        du = dh
        if slope:
            du = dh * v * s * (1 - s)
        dv = dh * s if gate else dh * 1.5 * s
        return {"x": du @ U.T + dv @ V.T, "U": x.T @ du, "V": x.T @ dv, "W": h.T @ dz}

    return backward


def line_of(text):
    with open(__file__, encoding="utf-8") as source:
        return next(k for k, line in enumerate(source, 1) if line.strip() == text)


def test_a_gate_whose_factors_were_forgotten_by_a_second_name_is_named_and_cured():
    verdict = sb.check(forward, backward_of(False), shapes=SHAPES)
    assert verdict.status == "REFUTED" and set(verdict.wrong) == {"x", "U"}
    assert verdict.diagnosis.startswith(f"line {line_of('du = dh')}: du should be the derivative with respect to z")
    assert verdict.cure.startswith("du[") and "dh[" in verdict.cure and "v[" in verdict.cure


def test_a_second_name_is_not_blamed_for_another_fault():
    verdict = sb.check(forward, backward_of(True, gate=False), shapes=SHAPES)
    assert set(verdict.wrong) == {"x", "V"} and "du should" not in verdict.diagnosis


def test_right_names_are_proved():
    assert sb.check(forward, backward_of(True), shapes=SHAPES).for_all_sizes
