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
from symbackprop.certificate.emit import Draft, Emission, deep
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


def distances(a, b):
    d = np.sqrt(((a - b) ** 2).sum(axis=1))
    return (np.maximum(0, 1 - d) ** 2).sum()


def distances_backward(dout, a, b):
    diff = a - b
    d = np.sqrt((diff**2).sum(axis=1))
    g = (dout * -2 * np.maximum(0, 1 - d) / d)[:, None] * diff
    return {"a": g, "b": -g}


@pytest.mark.parametrize("forward, backward, shapes, most", [
    (softmax, softmax_backward, {"x": ("N", "D")}, 2),
    (distances, distances_backward, {"a": ("N", "D"), "b": ("N", "D")}, 1)])  # fmt: skip
def test_save_tries_few_lines_in_vain(forward, backward, shapes, most, monkeypatch, tmp_path):
    """Half of the time of a proof is what writing it may take, and lines that are refused took most of it."""
    refused, accepts = [], Emission.accepts
    monkeypatch.setattr(Emission, "accepts", lambda self, *lines: accepts(self, *lines) or bool(refused.append(lines)))
    text = sb.check(forward, backward, shapes=shapes).save(tmp_path / "proof.sbp").read_text()
    assert check(text).claims.keys() == shapes.keys()
    assert len(refused) <= most, refused


def test_save_checks_what_layers_have_in_common_once(monkeypatch, tmp_path):
    """Layers differ in names, those of sizes among them; the file says and check_proof checks each."""
    done, chain_rule = [], Book.chain_rule
    monkeypatch.setattr(Book, "chain_rule", lambda self, *a: done.append(a) or chain_rule(self, *a))
    text = sb.prove(sb.Network([f"s_{k}" for k in range(1, 6)], activation="tanh")).save(tmp_path / "p.sbp").read_text()
    adjoints = text.count("\nadjoint ")
    assert len(done) < adjoints * 2 / 3
    assert check(text).ended


KNOWN = """proof 2
title what lemmas rest on
size N M
size P
fact P <= M
input a[N] positive
input b[N] {kind}
input c[{axis}] positive
forward J = sum(a[i]*b[i] for i in N) + sum(c[i] for i in {axis})
cost J
backward da[i:N] = (a[i]**2)**(1/2) + sum(1 for j in N)
lemma da[i] = a[i] + N
backward db[i:N] = (b[i]**2)**(1/2) + sum(1 for j in N)
backward dc[i:{axis}] = (c[i]**2)**(1/2) + sum(1 for j in {axis})
"""


@pytest.mark.parametrize("lemma, kind, axis, holds", [
    ("db[i] = b[i] + N", "positive", "N", True), ("db[i] = b[i] + N", "real", "N", False),
    ("dc[i] = c[i] + M", "real", "M", True), ("dc[i] = c[i] + N", "real", "M", False),
    ("dc[i] = c[i] + N", "real", "N", True), ("dc[i] = a[i] + N", "real", "N", False),
    ("dc[i] = c[i] + P", "real", "P", True), ("dc[i] = c[i] + M", "real", "P", False)])  # fmt: skip
def test_a_draft_accepts_no_line_for_another(lemma, kind, axis, holds):
    """What was accepted of a is accepted of what is like a, and of nothing else."""
    book = Draft()
    for line in KNOWN.format(kind=kind, axis=axis).splitlines():
        book.statement(line)
    if holds:
        book.statement(f"lemma {lemma}")
    else:
        with pytest.raises(Refused, match="does not follow"):
            book.statement(f"lemma {lemma}")


def test_a_draft_looks_at_lemmas_and_at_what_is_opened():
    """u and v have the same equation; only of one is a lemma known, or a definition put in."""
    book = Draft()
    lines = ["proof 2", "title t", "size N", "input a[N] real", "forward J = sum(a[i] for i in N)", "cost J",
             "backward u[i:N] = a[i] + a[i]**2", "backward v[i:N] = a[i] + a[i]**2", "backward s[i:N] = u[i] - a[i]",
             "backward t[i:N] = v[i] - a[i]", "lemma s[i] = a[i]**2 open u"]  # fmt: skip
    for line in lines:
        book.statement(line)
    with pytest.raises(Refused, match="does not follow"):
        book.statement("lemma t[i] = a[i]**2")
    book.statement("lemma t[i] = a[i]**2 open v")


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


def test_draft_puts_a_definition_in_once_and_counts_it_each_time():
    walked = {}

    def counted(kind):
        class Counted(kind):
            def value(self, *parts):
                walked[kind] = walked.get(kind, 0) + 1
                return super().value(*parts)

        return Counted()

    books = [counted(kind) for kind in (Book, Draft)]
    for line in PROOFS["attention"].splitlines():
        for book in books:
            book.statement(line)
        assert books[0].values == books[1].values or not line.startswith("lemma")
    assert walked[Draft] < walked[Book]
