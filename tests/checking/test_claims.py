"""Programs written as equations, and claims about them."""

from __future__ import annotations

import pytest

from symbackprop.checking.claims import Claims
from symbackprop.errors import FormulaError, IndexNotationError, ProofError
from symbackprop.expression.build import ONE, ZERO, Entry, Symbol, Tensor, add, contraction
from symbackprop.frontends.equations import for_each, joined, read_program, renamed, resized
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.rendering.text import to_text

LINEAR = "z[i] = sum(j, W[i,j]*x[j])   # weighted input\nJ = sum(i, z[i]**2)"
SHAPES = {"W": ("r", "s"), "x": ("s",), "z": ("r",), "J": ()}


def test_read_program_keeps_notes_and_finds_inputs():
    program = read_program(LINEAR, SHAPES)
    assert [t.name for t in program.inputs] == ["W", "x"]
    assert [e.note for e in program.equations] == ["weighted input", ""]


def test_read_program_refuses_a_tensor_without_shape():
    with pytest.raises(FormulaError, match="no shape is given for u"):
        read_program("u = 1", {"J": ()})


def test_read_program_refuses_an_index_on_two_axes():
    with pytest.raises(IndexNotationError, match="two different axes"):
        read_program("J = sum(j, W[j,j])", {"W": ("r", "s")})


def test_resized_renamed_and_for_each_keep_the_equations():
    program = read_program(LINEAR, SHAPES)
    assert to_text(resized(program, {Symbol("r", "size"): ONE}).equations[0].value) == "sum(j, W[i,j]*x[j])"
    assert renamed(program, lambda t: t.name + "1").outputs[0].name == "J1"
    rows = for_each(program, "n", "m", ["x"])
    assert [(e.tensor.name, len(e.indices)) for e in rows.equations] == [("z", 2), ("J", 1)]
    assert to_text(rows.equations[0].value) == "sum(j, W[i,j]*x[n,j])"


def test_joined_programs_share_their_tensors():
    first, second = read_program(LINEAR, SHAPES), read_program("C = 2*J", {"J": (), "C": ()}, output="C")
    assert Claims(joined(first, second, output="C")).theorem("twice", "C = 2*sum(i, z[i]**2)").status == "PROVED"


def test_theorem_refuses_what_is_false():
    claims = Claims(read_program(LINEAR, SHAPES), True)
    assert claims.theorem("slope", "dJ_dx[j] = 2*sum(i, z[i]*W[i,j])").status == "PROVED"
    with pytest.raises(ProofError, match="could not show"):
        claims.theorem("slope", "dJ_dx[j] = sum(i, z[i]*W[i,j])")
    assert len(claims.theorems) == 1


def test_refuted_finds_numbers_and_refuses_what_is_true():
    claims = Claims(read_program(LINEAR, SHAPES), True)
    found = claims.refuted("half", "dJ_dz[i] = z[i]").counterexample
    assert found.entry.correct == 2 * found.entry.claimed
    assert "probe" not in claims.refuted("value", "J = sum(i, z[i])").counterexample.inputs


def test_sum_over_one_more_value_is_its_first_term_and_the_rest():
    s = Symbol("s", "size")
    x = Tensor("x", (add(s, ONE),))
    whole = contraction("j", add(s, ONE), lambda j: Entry(x, (j,)))
    split = add(Entry(x, (ZERO,)), contraction("j", s, lambda j: Entry(x, (add(j, ONE),))))
    assert Canonical().equal(whole, split)
    assert not Canonical().equal(whole, contraction("j", s, lambda j: Entry(x, (add(j, ONE),))))
