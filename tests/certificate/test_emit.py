"""Certificates of verdicts: written where a backward is PROVED for all sizes, refused by name elsewhere."""

from __future__ import annotations

import gc
import importlib.util
import weakref
from pathlib import Path

import certificate_numbers
import numpy as np
import pytest
from command_line import run_here
from test_check_proof import PROOFS

import symbackprop as sb
from symbackprop.certificate.check_proof import Base, Book, Refused, check
from symbackprop.certificate.emit import Emission, deep
from symbackprop.errors import UnsupportedError

LAYERS = Path(__file__).parent.parent / "checking" / "claims" / "layers"
SHAPES = {"x": ("N", "D"), "w": ("D", "M")}


def forward(x, w):
    return np.tanh(x @ w)


def backward(dout, x, w):
    dz = dout * (1 - np.tanh(x @ w) ** 2)
    return {"x": dz @ w.T, "w": x.T @ dz}


def wrong(dout, x, w):
    return {"x": dout @ w.T, "w": x.T @ dout}


def layer(name):
    spec = importlib.util.spec_from_file_location(name, LAYERS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    options = {k.lower(): getattr(module, k) for k in ("SHAPES", "ASSUME", "WHERE", "FIXED") if hasattr(module, k)}
    return sb.check(module.forward, module.backward, **options)


@pytest.mark.parametrize("name", ["conv1d"])
def test_save_writes_a_certificate_that_is_accepted(name, tmp_path):
    verdict = layer(name)
    text = verdict.save(tmp_path / "proof.sbp").read_text()
    assert deep(lambda: check(text)).ended
    assert certificate_numbers.refuted(text, seeds=range(2)) is None
    assert check(text).claims.keys() == verdict.claims.keys()


@pytest.mark.parametrize("name", ["layernorm", "gelu"])
def test_save_writes_what_it_wrote_before(name, tmp_path):
    """The stored proofs are those of these layers; the fuzzer mutates them."""
    assert layer(name).save(tmp_path / "proof.sbp").read_text() == PROOFS[name]


def test_save_refuses_what_is_not_proved(tmp_path):
    with pytest.raises(UnsupportedError, match="this is REFUTED"):
        sb.check(forward, wrong, shapes=SHAPES).save(tmp_path / "proof.sbp")
    assert not (tmp_path / "proof.sbp").exists()


def test_save_refuses_formulas_by_name(tmp_path):
    verdict = sb.verify(sb.Network([2, 2]), "delta2[n,k] = (a2[n,k] - y[n,k])/m")
    assert verdict
    with pytest.raises(UnsupportedError, match="a formula"):
        verdict.save(tmp_path / "proof.sbp")


def average(x, a):
    m = 0.0
    out = np.zeros_like(x)
    for t in range(len(x)):
        m = a * m + x[t]
        out[t] = m
    return out


def average_backward(dout, x, a):
    g = 0.0
    dx = np.zeros_like(x)
    for t in range(len(x) - 1, -1, -1):
        g = g + dout[t]
        dx[t] = g
        g = g * a
    return {"x": dx}


def test_save_writes_recurrences(tmp_path):
    """The stored proof is this one; the fuzzer mutates it."""
    verdict = sb.check(average, average_backward, shapes={"x": ("T",), "a": ()})
    assert verdict and verdict.for_all_sizes
    text = verdict.save(tmp_path / "proof.sbp").read_text()
    assert text == PROOFS["running_average"]


def test_assert_proved_writes_and_checks_a_certificate(tmp_path):
    sb.assert_proved(forward, backward, shapes=SHAPES, certificate=tmp_path / "proof.sbp")
    assert check((tmp_path / "proof.sbp").read_text()).ended


def test_assert_proved_refuses_files_that_check_proof_does_not_read(tmp_path):
    with pytest.raises(UnsupportedError, match=r"proof\.v' does not end in \.sbp"):
        sb.assert_proved(forward, backward, shapes=SHAPES, certificate=tmp_path / "proof.v")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("network", [{"activation": "gelu", "cost": "squared_error"},
                                     {"activation": "sigmoid", "cost": "cross_entropy", "l2": "lambda/(2*m)"}])  # fmt: skip
def test_save_writes_the_derivation_of_a_network(network, tmp_path):
    text = sb.prove(sb.Network([3, 5, 4], **network)).save(tmp_path / "network.sbp").read_text()
    assert check(text).claims.keys() >= {"W1", "b1", "W2", "b2", "x"}
    assert certificate_numbers.refuted(text, seeds=range(2)) is None


def test_save_writes_any_depth_by_base_and_step(tmp_path):
    proof = sb.prove(sb.Network(depth="L", activation="tanh", cost="squared_error"))
    text = proof.save(tmp_path / "network.sbp").read_text()
    assert check(text).claims.keys() >= {"z_L", "z_l", "W_l", "b_l"}
    assert certificate_numbers.refuted(text, seeds=range(2)) is None


def test_save_writes_arbitrary_functions(tmp_path):
    """Any differentiable f, whose derivative is f_prime; with another derivative numbers disagree."""
    proof = sb.prove(sb.Network([3, 5, 4], activation="f", cost="squared_error"))
    text = proof.save(tmp_path / "network.sbp").read_text()
    assert "\nfunction f 1\n" in text and check(text).ended
    assert certificate_numbers.refuted(text, seeds=range(2)) is None
    for old, new in (("f_prime(", "f("), ("function f 1", "function f 2"), ("function f 1\n", "")):
        with pytest.raises(Refused):
            check(text.replace(old, new))
    assert certificate_numbers.refuted(text.replace("f_prime(", "f(")) is not None


def test_check_certificate_writes_beside_the_verdict(tmp_path):
    (tmp_path / "double.py").write_text(
        "SHAPES = {'x': ('N',)}\n\n\ndef forward(x):\n    return x * x\n\n\n"
        "def backward(dout, x):\n    return {'x': 2 * dout * x}\n"
    )
    run = run_here(["check", "double.py", "--certificate", "double.sbp"], tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "wrote double.sbp" in run.stdout
    assert check((tmp_path / "double.sbp").read_text()).claims == {"x": "dx"}
    run = run_here(["check", "double.py", "--certificate", "p.txt"], tmp_path)
    assert "a certificate is a .sbp or a .v file" in run.stderr


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward(dout, x):
    p = softmax(x)
    return {"x": p * (dout - (dout * p).sum(axis=1, keepdims=True))}


def test_save_tries_few_lines_in_vain(monkeypatch, tmp_path):
    """Half of the time of a proof is what writing it may take, and lines that are refused took most of it."""
    refused, accepts = [], Emission.accepts
    monkeypatch.setattr(Emission, "accepts", lambda self, *lines: accepts(self, *lines) or bool(refused.append(lines)))
    text = sb.check(softmax, softmax_backward, shapes={"x": ("N", "D")}).save(tmp_path / "proof.sbp").read_text()
    assert check(text).claims == {"x": "dx"}
    assert len(refused) <= 2, refused


def test_save_works_conditions_out_once(monkeypatch, tmp_path):
    """They are written and compared, from the same lemmas."""
    asked, conditions = [], Book.conditions
    monkeypatch.setattr(Book, "conditions", lambda self: asked.append(self) or conditions(self))
    text = sb.check(softmax, softmax_backward, shapes={"x": ("N", "D")}).save(tmp_path / "proof.sbp").read_text()
    assert check(text).ended
    assert len([book for book in asked if book is asked[0]]) == 1


def test_save_leaves_nothing_for_the_collector(monkeypatch, tmp_path):
    """What the checker has read knows itself; to find that took a third of the time of a file."""
    made, init = weakref.WeakSet(), Base.__init__
    monkeypatch.setattr(Base, "__init__", lambda self, *a: made.add(self) or init(self, *a))
    verdict = sb.check(forward, backward, shapes=SHAPES)
    gc.disable()
    try:
        verdict.save(tmp_path / "proof.sbp")
        assert len(made) == 0
    finally:
        gc.enable()
