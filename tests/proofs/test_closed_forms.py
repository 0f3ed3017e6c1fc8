"""Closed forms of backward passes: found by a general search, accepted by the kernel, safe where things vanish."""

from dataclasses import replace

import numpy as np
import pytest
from layers import LAYERS

import symbackprop as sb
from symbackprop.calculus.kernel import Kernel
from symbackprop.codegen.program import compile_program
from symbackprop.document.model import Chain, blocks
from symbackprop.document.proof_document import numpy_lines, proof_document, unbacked
from symbackprop.document.reproduce import command_for
from symbackprop.expression.build import Add, Index, Symbol, Tensor, add, multiply, negate, number
from symbackprop.expression.build import Entry as E
from symbackprop.proofs.shortening.relations import match, relations_of
from symbackprop.rendering.notation import NAMES
from symbackprop.rendering.text import to_text


def _forms(name):
    forward, shapes, assume = LAYERS[name]
    proof = sb.prove(sb.trace(forward, shapes=shapes, assume=assume))
    return {t.text.partition("[")[0]: t.text.partition(" = ")[2] for t in proof.theorems}


@pytest.mark.parametrize(
    ("layer", "gradient", "form"),
    [
        ("softmax_cross_entropy", "z_bar", "(p[n,c] - kronecker(c, y[n]))/N"),
        (
            "layernorm",
            "x_bar",
            "(xhat_bar[n,d] - sum(d_1, xhat_bar[n,d_1])/D - xhat[n,d]*sum(d_1, xhat_bar[n,d_1]*xhat[n,d_1])/D)/std[n]",
        ),
        (
            "batchnorm",
            "x_bar",
            "gamma[d]*(out_bar[n,d] - sum(n_1, out_bar[n_1,d])/N - xhat[n,d]*sum(n_1, out_bar[n_1,d]*xhat[n_1,d])/N)"
            "/sqrt(var[d] + 1/100000)",
        ),
        ("rmsnorm", "x_bar", "(out_bar[n,d]*g[d] + rms_bar[n]*x[n,d]/D)/rms[n]"),
        ("attention", "S_bar", "P[n,m]*(P_bar[n,m] - sum(m_1, P_bar[n,m_1]*P[n,m_1]))"),
        ("masked_attention", "s_bar", "p[t,i]*(p_bar[t,i] - sum(i_1, p_bar[t,i_1]*p[t,i_1]))"),
        ("attention", "Q_bar", "sum(m, S_bar[n,m]*K[m,d])/sqrt(D)"),
        (
            "lstm_cell",
            "z_bar",
            "where(j < H, i_bar[n,j]*i[n,j]*(1 - i[n,j]), where(j < 2*H, f_bar[n,j - H]*f[n,j - H]*(1 - f[n,j - H]), "
            "where(j < 3*H, o_bar[n,j - 2*H]*o[n,j - 2*H]*(1 - o[n,j - 2*H]), "
            "g_bar[n,j - 3*H]*(1 - g[n,j - 3*H]**2))))",
        ),
    ],
)
def test_prove_ends_in_the_closed_form(layer, gradient, form):
    assert _forms(layer)[gradient] == form


@pytest.mark.parametrize("layer", LAYERS)
def test_the_short_backward_pass_computes_the_same_gradients(layer):
    forward, shapes, assume = LAYERS[layer]
    program = sb.trace(forward, shapes=shapes, assume=assume)
    proof = sb.prove(program)
    rng = np.random.default_rng(3)
    sizes = {"N": 4, "D": 3, "M": 5, "E": 2, "H": 2, "C": 4, "T": 4, "4*H": 8}
    arrays = {}
    for tensor in proof.gradient.program.inputs:
        shape = tuple(sizes[to_text(n)] for n in tensor.shape)
        arrays[tensor.name] = rng.integers(0, 4, shape) if tensor.kind == "integer" else rng.normal(size=shape)
    short = compile_program(proof.gradient.adjoint)(**arrays)
    long = sb.compile(program)(**arrays)
    bars = [name for name in long if name.endswith("_bar")]
    assert bars
    for name in bars:
        np.testing.assert_allclose(short[name], long[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layer", LAYERS)
def test_every_equality_of_the_document_is_backed_and_one_changed_sign_is_not(layer):
    forward, shapes, assume = LAYERS[layer]
    proof = sb.prove(sb.trace(forward, shapes=shapes, assume=assume))
    document = proof_document(proof, notation=NAMES, code=numpy_lines(proof), command=command_for(proof))
    assert unbacked(document, proof) == ()
    for chain in [b for b in blocks(document.body) if isinstance(b, Chain)]:
        last = replace(chain.lines[-1], after=negate(chain.lines[-1].after))
        changed = replace(document, body=(Chain((*chain.lines[:-1], last)),))
        assert len(unbacked(changed, proof)) == 1


def test_relations_never_divide_by_what_may_be_zero():
    """From out = g*x/rms follows x only where g is not 0; from P = E/s follows E = P*s without a condition."""
    program = sb.trace(LAYERS["rmsnorm"][0], shapes=LAYERS["rmsnorm"][1])
    assert not [r for r in relations_of(program) if to_text(r.pattern) == "x[n,d]"]
    program = sb.trace(LAYERS["attention"][0], shapes=LAYERS["attention"][1])
    assert "P[n,m]*t_2[n,0]" in [to_text(r.meaning) for r in relations_of(program)]


def test_relations_are_not_used_outside_of_an_axis():
    """f[j] = x[j + H] says nothing about x[k] for k < H."""
    H = Symbol("H", "size")
    j, k = Index("j", H), Index("k", multiply(number(4), H))
    x = Tensor("x", (k.size,))
    assert match(E(x, (add(j, H),)), E(x, (k,)), (j,)) is None
    assert match(E(x, (add(j, H),)), E(x, (add(Index("i", H), H),)), (j,)) == {j: Index("i", H)}


def test_the_kernel_refuses_a_closed_form_with_one_sign_changed():
    proof = sb.prove(sb.trace(LAYERS["layernorm"][0], shapes=LAYERS["layernorm"][1]))
    kernel = Kernel(proof.gradient.program)
    derivations = list(proof.gradient.derivations.values())
    for derivation in derivations:
        kernel.replay(derivation)
    last = derivations[-1].steps[-1]
    assert kernel.accepts(last, derivations[-1])
    wrong = list(_with_one_sign_changed(last.after))
    assert len(wrong) == 3
    assert not [w for w in wrong if kernel.accepts(replace(last, after=w), derivations[-1])]


def _with_one_sign_changed(expr):
    for factor in expr.factors:
        if isinstance(factor, Add):
            for place in range(len(factor.terms)):
                terms = [negate(t) if k == place else t for k, t in enumerate(factor.terms)]
                yield multiply(*(add(*terms) if f is factor else f for f in expr.factors))


def test_brief_proof_of_a_layer_lists_the_backward_pass(tmp_path):
    forward, shapes, assume = LAYERS["attention"]
    proof = sb.prove(sb.trace(forward, shapes=shapes, assume=assume))
    text = proof.save(tmp_path / "proof.md", detail="brief").read_text(encoding="utf-8")
    assert [line for line in text.split("\n") if line.startswith(r"\bar{S}")] == [
        r"\bar{S}_{nm} = P_{nm}\left(\bar{P}_{nm} - \sum_{m'=0}^{M-1}\bar{P}_{nm'}\,P_{nm'}\right)"
    ]
    assert "Chain rule" not in text
    assert r"\bar{u}" not in text  # what only leads to the results is left out
