"""A fault in one line of defence is caught by the next: with a lie put into each, a wrong gradient is still not PROVED.

The lines, in the order in which a claim meets them: the trace, NumPy run on the user's functions, numbers that seek a
disagreement, the normal form, the kernel, and numbers once more. Each test breaks one or more of them on purpose.
"""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.calculus import pull_back, reverse_mode
from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.pull_back import Contribution
from symbackprop.checking import check as check_module
from symbackprop.checking import decide
from symbackprop.checking.composition import Composition
from symbackprop.errors import ProofError
from symbackprop.expression.build import multiply, number
from symbackprop.frontends.numpy.elementwise import elementwise
from symbackprop.frontends.numpy.registry import OPERATIONS
from symbackprop.normal_form.modulo_equations import Resolver
from symbackprop.normal_form.normal_form import Canonical

SHAPES = {"x": ("N", "D"), "w": ("D", "M")}


def affine(x, w):
    return x @ w


def right(dout, x, w):
    return {"x": dout @ w.T, "w": x.T @ dout}


def doubled(dout, x, w):
    return {"x": 2.0 * (dout @ w.T), "w": x.T @ dout}


def verdict(backward, forward=affine, shapes=SHAPES):
    return sb.check(forward, backward, shapes=shapes, seconds=6.0)


@pytest.fixture
def blind(monkeypatch):
    """Numbers that seek a disagreement find none."""
    monkeypatch.setattr(decide, "refute", lambda *question, **options: None)


@pytest.fixture
def gullible(monkeypatch):
    """The normal form says that everything is equal."""
    monkeypatch.setattr(Canonical, "vanishes", lambda self, difference: True)
    monkeypatch.setattr(Resolver, "meets", lambda self, left, right: True)


@pytest.fixture
def careless(monkeypatch):
    """The kernel accepts everything."""
    monkeypatch.setattr(Kernel, "replay", lambda self, derivation: ())


@pytest.fixture
def doubling(monkeypatch):
    """The derived slopes of products are twice what they are."""
    honest = pull_back.pull_back

    def twice(expr, cotangent, target, running, facts=pull_back.NO_FACTS):
        for found in honest(expr, cotangent, target, running, facts):
            scale = number(2) if target.name == "x" else number(1)
            yield Contribution(found.indices, multiply(scale, found.cotangent), found.running)

    monkeypatch.setattr(reverse_mode, "pull_back", twice)


def test_without_a_fault_the_right_one_is_proved_and_the_wrong_one_refuted():
    assert verdict(right).status == "PROVED"
    assert verdict(doubled).status == "REFUTED"


def test_numbers_that_see_nothing_leave_it_to_the_normal_form(blind):
    assert verdict(doubled).status == "UNDECIDED"
    assert verdict(right).status == "PROVED"


def test_normal_form_that_believes_everything_is_met_by_the_first_numbers(gullible):
    assert verdict(doubled).status == "REFUTED"


def test_normal_form_that_believes_everything_is_met_by_the_last_numbers(gullible, blind):
    """The proof is there, and a number speaks against it."""
    answer = verdict(doubled)
    assert answer.status == "UNDECIDED" and "the proof and the numbers disagree" in answer.reason
    assert answer.counterexample is not None and answer.counterexample.entry.name == "x"
    assert verdict(right).status == "PROVED"


def test_a_wrong_derivation_is_refused_by_the_kernel(doubling, blind):
    """What was derived is twice the slope, and so is what the user claims."""
    answer = verdict(doubled)
    assert answer.status == "UNDECIDED" and "the kernel does not accept the derivation" in answer.reason


@pytest.mark.slow
def test_a_wrong_derivation_does_not_refute_what_is_right(doubling):
    assert verdict(right).status == "UNDECIDED"


def test_a_wrong_derivation_that_the_kernel_accepts_is_met_by_numbers(doubling, careless):
    assert verdict(doubled).status == "REFUTED"


def test_a_wrong_derivation_that_the_kernel_accepts_is_met_by_the_last_numbers(doubling, careless, blind):
    answer = verdict(doubled)
    assert answer.status == "UNDECIDED" and "the proof and the numbers disagree" in answer.reason


def test_a_proof_that_no_number_can_be_asked_about_is_no_proof(gullible, blind, monkeypatch):
    monkeypatch.setattr(sb.checking.refute.Search, "examine", lambda self, point, bits=0: None)
    answer = verdict(doubled)
    assert answer.status == "UNDECIDED" and "no point was found" in answer.reason


def test_the_second_numbers_look_beside_the_thresholds(gullible, monkeypatch):
    """Wrong above 40 alone, where random points do not come: first numbers and proof are broken, the last ones see it."""
    honest, stages = decide.refute, []

    def late(question, *, stage="all", **options):
        stages.append(stage)
        return honest(question, stage=stage, **options) if len(stages) > 1 else None

    monkeypatch.setattr(decide, "refute", late)
    answer = verdict(
        lambda dout, x: {"x": np.where(x > 40.0, 3.0, 2.0) * dout}, lambda x: 2.0 * x, shapes={"x": ("N", "D")}
    )
    assert answer.status != "PROVED"


def test_a_trace_that_misreads_a_function_is_met_by_numpy(monkeypatch):
    monkeypatch.setitem(OPERATIONS, "sinh", lambda x: elementwise(lambda v: multiply(number(2), v), x))
    shapes = {"x": ("N", "D")}
    misread = verdict(lambda dout, x: {"x": 2.0 * dout}, lambda x: np.sinh(x), shapes)
    assert misread.status == "UNDECIDED" and "when NumPy runs it" in misread.reason
    misread = verdict(lambda dout, x: {"x": np.sinh(dout)}, lambda x: 2.0 * x, shapes)
    assert misread.status == "UNDECIDED" and "when NumPy runs it" in misread.reason


def test_numpy_is_run_on_the_users_functions_before_anything_is_said(monkeypatch):
    asked = []
    honest = check_module.agree_with_numpy
    monkeypatch.setattr(check_module, "agree_with_numpy", lambda *a, **o: asked.append(a) or honest(*a, **o))
    assert verdict(right).status == "PROVED" and asked


# verify and prove.

NETWORK = sb.Network([3, 5, 4], activation="sigmoid", cost="cross_entropy")
TRUE, FALSE = "(a3[n,k] - y[n,k])/m", "2*(a3[n,k] - y[n,k])/m"


def test_a_formula_that_the_normal_form_believes_is_met_by_numbers(monkeypatch):
    monkeypatch.setattr(Composition, "proves", lambda self, claimed, derived: True)
    answer = sb.verify(NETWORK, "delta3[n,k]", FALSE)
    assert answer.status == "UNDECIDED" and "the proof and the numbers disagree" in answer.reason
    assert answer.counterexample is not None
    assert sb.verify(NETWORK, "delta3[n,k]", TRUE).status == "PROVED"


def test_a_formula_about_which_no_number_can_be_asked_is_not_proved(monkeypatch):
    monkeypatch.setattr(sb.checking.refute.Search, "examine", lambda self, point, bits=0: None)
    answer = sb.verify(NETWORK, "delta3[n,k]", TRUE)
    assert answer.status == "UNDECIDED" and answer.reason == decide.UNEXAMINED


def test_a_wrong_derivation_of_a_program_is_an_error_of_the_kernel(doubling):
    program = sb.trace(affine, SHAPES)
    with pytest.raises(ProofError):
        sb.prove(program)
