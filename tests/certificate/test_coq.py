"""Files for Coq: what coqc accepts and refuses, where it is installed, and what is refused by name."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from command_line import run_here

import symbackprop as sb
from symbackprop.certificate.coq import THEORY, coq_of
from symbackprop.errors import UnsupportedError

needs_coq = pytest.mark.skipif(shutil.which("coqc") is None, reason="needs coqc, with Coquelicot")
STANDARD = {
    "ClassicalDedekindReals.sig_not_dec",
    "ClassicalDedekindReals.sig_forall_dec",
    "functional_extensionality_dep",
    "Classical_Prop.classic",
}  # the axioms of Coq's real numbers
SHAPES = {"x": ("N", "D"), "y": ("N", "M"), "w": ("M", "D"), "fun": ("M",)}


def forward(x, y, w, fun):
    over = np.tanh(x @ w.T + fun)
    return np.sum((over - y) ** 2) / (2 * len(x))


def backward(x, y, w, fun):
    over = np.tanh(x @ w.T + fun)
    exp = (1 - over**2) * (over - y) / len(x)
    return {"w": exp.T @ x, "fun": exp.sum(0)}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    proof = sb.prove(sb.Network([3, 4, 2], activation=["tanh", "softmax"], cost="softmax_cross_entropy", l2="lambda/m"))
    return proof.save(tmp_path_factory.mktemp("network") / "network.sbp").read_text()


@pytest.fixture(scope="module")
def coqc(tmp_path_factory):
    """A run of coqc with a file whose theory is compiled already."""
    folder = tmp_path_factory.mktemp("coq")
    theory = THEORY.read_text()
    (folder / "theory.v").write_text(theory)
    subprocess.run(["coqc", "theory.v"], cwd=folder, check=True, capture_output=True)
    imports = "".join(re.findall(r"^(?:From|Import|Open) .*\n", theory, re.MULTILINE)) + "Require Import theory.\n"

    def run(text):
        assert theory in text
        (folder / "proof.v").write_text(text.replace(theory, imports))
        return subprocess.run(["coqc", "proof.v"], cwd=folder, capture_output=True, text=True, timeout=300)

    return run


def axioms(printed):
    return set(re.findall(r"^([A-Za-z_.]+)\s*:", printed.partition("Axioms:\n")[2], re.MULTILINE))


@needs_coq
def test_coq_accepts_a_network_and_needs_only_the_axioms_of_the_reals(network, coqc):
    run = coqc(coq_of(network))
    assert run.returncode == 0, run.stderr
    assert axioms(run.stdout) == STANDARD


@needs_coq
def test_coq_accepts_a_backward_pass_whose_names_are_words_of_coq(tmp_path, coqc):
    verdict = sb.check(forward, backward, shapes=SHAPES)
    text = verdict.save(tmp_path / "proof.v").read_text()
    assert {"w_theorem", "fun_2_theorem"} <= set(re.findall(r"^Theorem (\w+)", text, re.MULTILINE))
    run = coqc(text)
    assert run.returncode == 0, run.stderr


@needs_coq
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("dJ_dz2[k,i]*x[k,j]", "dJ_dz2[k,j]*x[k,i]"),
        (" of z2[i:m,j:s_2] = ", " of z2[i:m,j:s_2] = 2*"),
        (" + 2*lam*W1[i,j]/m", ""),
    ],
)
def test_coq_refuses_a_wrong_gradient(network, coqc, right, wrong):
    assert right in network
    run = coqc(coq_of(network.replace(right, wrong)))
    assert run.returncode == 1 and "No applicable tactic" in run.stderr
    assert "Axioms" not in run.stdout


def test_coq_of_admits_nothing(network):
    text = coq_of(network)
    assert not re.search(r"\b(Axiom|Admitted|admit|Parameter|Conjecture|Abort|Unset|bypass_check)\b", text)
    assert text.count("Theorem ") == THEORY.read_text().count("Theorem ") + network.count("\nclaim ")


def test_coq_of_keeps_sizes_open(network):
    """The file is one for all widths."""
    assert "Variables m s_1 s_3 s_2 : Z." in coq_of(network)


@pytest.mark.parametrize(
    ("function", "gradient", "word"),
    [
        (lambda x: x.max(), lambda x: {"x": (x == x.max()) * 1.0}, "== between reals"),
        (lambda x: np.sum(x[1:] * x[:-1]), None, "computed indices"),
    ],
)
def test_save_refuses_by_name_what_the_theory_has_no_word_for(function, gradient, word, tmp_path):
    def shifted(x):
        dx = np.zeros_like(x)
        dx[:-1] += x[1:]
        dx[1:] += x[:-1]
        return {"x": dx}

    verdict = sb.check(function, gradient or shifted, shapes={"x": ("N",)}, where="N >= 2")
    assert verdict
    with pytest.raises(UnsupportedError, match=word):
        verdict.save(tmp_path / "proof.v")
    assert not (tmp_path / "proof.v").exists()


def test_prove_writes_a_file_for_coq(tmp_path):
    run_here(["prove", "--layers", "3,2", "-o", "proof.v"], tmp_path)
    assert "Theorem W1_theorem p : regular p ->" in (tmp_path / "proof.v").read_text()
