"""The kernel refuses every forged derivation, and accepts the real ones."""

from dataclasses import replace

import pytest

from symbackprop.calculus.derivation import Derivation, Step
from symbackprop.calculus.kernel import Kernel
from symbackprop.calculus.meaning import DerivativeTensor
from symbackprop.errors import ProofError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Entry,
    Index,
    Partial,
    Sum,
    Tensor,
    Total,
    add,
    apply,
    contraction,
    divide,
    multiply,
    negate,
    number,
    power,
    rewrite,
)
from symbackprop.expression.functions import FUNCTIONS
from symbackprop.expression.program import Equation, Program
from symbackprop.frontends.network import M, Network
from symbackprop.proofs.network import network_gradient

NETWORK = Network([3, 5, 4], activation="sigmoid", cost="cross_entropy", l2="lambda/(2*m)")
GRADIENT = network_gradient(NETWORK)
PROGRAM = GRADIENT.program
BY_NAME = {t.name: d for t, d in GRADIENT.derivations.items()}
n, i = Index("n", M), Index("i", NETWORK.layers[1].size)
z2, z3, a2 = NETWORK.pre_activation(2), NETWORK.pre_activation(3), NETWORK.activations(2)
delta2, delta3 = GRADIENT.cotangents[z2], GRADIENT.cotangents[z3]
J = Entry(Tensor("J"))


def refused(derivation: Derivation, message: str, *, after: tuple[str, ...] = ()) -> None:
    """The kernel refuses the derivation, with this message, after it has replayed the real ones named."""
    kernel = Kernel(PROGRAM)
    for name in after:
        kernel.replay(BY_NAME[name])
    with pytest.raises(ProofError, match=message):
        kernel.replay(derivation)
    assert BY_NAME["z2"].left.tensor not in kernel.accepted  # type: ignore[union-attr]


def with_last(derivation: Derivation, change) -> Derivation:
    """The derivation with another right side, in its last step too."""
    right = change(derivation.right)
    steps = (*derivation.steps[:-1], replace(derivation.steps[-1], after=right))
    return replace(derivation, right=right, steps=steps)


def test_real_derivations_are_accepted():
    kernel = Kernel(PROGRAM)
    for derivation in GRADIENT.derivations.values():
        assert kernel.replay(derivation) == ()


def swap_n(expr):
    """Every weight transposed."""

    def visit(node):
        if isinstance(node, Entry) and node.tensor.name.startswith("W"):
            return Entry(node.tensor, node.indices[::-1])
        return None

    return rewrite(expr, visit)


def drop_sum(expr):
    return expr.body if isinstance(expr, Sum) else rewrite(expr, lambda e: e.body if isinstance(e, Sum) else None)


@pytest.mark.parametrize(
    "change",
    [
        negate,
        lambda e: multiply(number(2), e),
        lambda e: divide(e, M),
        lambda e: multiply(M, e),
        lambda e: add(e, ONE),
        swap_n,
        drop_sum,
        lambda e: ZERO,
    ],
    ids=["sign", "factor", "1/m twice", "1/m lost", "constant", "index swapped", "sum dropped", "zero"],
)
@pytest.mark.parametrize("name", ["z2", "z3", "W1", "W2", "b1", "a2", "a3"])
def test_wrong_results_are_refused(name, change):
    wrong = with_last(BY_NAME[name], change)
    if wrong.right is not BY_NAME[name].right:
        kernel = Kernel(PROGRAM)
        with pytest.raises(ProofError):
            kernel.replay(wrong)


def test_a_dropped_path_is_refused():
    """W2 moves the cost through z3 and through the penalty: without the penalty the chain rule is wrong."""
    derivation = BY_NAME["W2"]
    chained = derivation.steps[1]
    assert chained.rule == "chain_rule"
    paths = chained.after.terms  # type: ignore[attr-defined]
    for path in paths:
        steps = (derivation.steps[0], replace(chained, after=path))
        refused(replace(derivation, steps=steps, right=path), "step 2 is not an instance of the rule 'chain_rule'")


@pytest.mark.parametrize("name", ["z2", "z3", "W1"])
@pytest.mark.parametrize("rule", ["algebra", "contract_delta", "equation", "earlier_result", "induction"])
def test_a_derivative_under_another_rules_name_is_refused(name, rule):
    derivation = BY_NAME[name]
    for number_, step in enumerate(derivation.steps[:4]):
        steps = tuple(replace(s, rule=rule) if s is step else s for s in derivation.steps)
        with pytest.raises(
            ProofError, match=f"step {number_ + 1} is not an instance|carried out by the rule 'derivative' alone"
        ):
            Kernel(PROGRAM).replay(replace(derivation, steps=steps))


def test_an_unknown_rule_is_refused():
    derivation = BY_NAME["z2"]
    steps = (replace(derivation.steps[0], rule="it is well known"), *derivation.steps[1:])
    refused(replace(derivation, steps=steps), "step 1 is not an instance of the rule 'it is well known'")


def test_a_chain_with_a_gap_is_refused():
    derivation = BY_NAME["z2"]
    refused(replace(derivation, steps=derivation.steps[1:]), "step 1 does not start where the last one ended")
    refused(
        replace(derivation, steps=derivation.steps[:2] + derivation.steps[3:]),
        "step 3 does not start where the last one ended",
    )
    refused(replace(derivation, steps=derivation.steps[:-1]), "the steps do not end at the right side")
    refused(replace(derivation, right=ZERO), "the steps do not end at the right side")
    refused(replace(derivation, steps=()), "the steps do not end at the right side")


def test_a_derivation_about_another_program_is_refused():
    other = network_gradient(Network([3, 5, 4], activation="tanh", cost="squared_error"))
    refused(
        other.derivations[next(t for t in other.derivations if t.name == "z2")],
        "the derivation is about another program",
    )
    twin = Program(PROGRAM.inputs, PROGRAM.equations, PROGRAM.outputs, PROGRAM.parameters)
    refused(replace(BY_NAME["z2"], program=twin), "the derivation is about another program")


def result_of(tensor: Tensor, right, uses) -> Derivation:
    """delta2 = right, by an earlier result."""
    left = Entry(delta2, (n, i))
    step = Step(left, right, "earlier_result", "worked out above", uses)
    return replace(BY_NAME["z2"], left=left, right=right, steps=(step,))


def test_results_that_were_never_accepted_cannot_be_used():
    right = BY_NAME["z2"].right
    for uses in ((), (delta2,), (delta3,), (Tensor("nonsense"),)):
        refused(result_of(delta2, right, uses), "step 1 is not an instance of the rule 'earlier_result'")


def test_a_statement_about_itself_is_true_and_useless():
    kernel = Kernel(PROGRAM)
    left = Entry(delta2, (n, i))
    kernel.replay(replace(BY_NAME["z2"], left=left, right=left, steps=()))
    assert delta2 not in kernel.accepted
    with pytest.raises(ProofError):
        kernel.replay(result_of(delta2, BY_NAME["z2"].right, (delta2,)))


def test_results_that_lead_back_to_each_other_are_not_kept():
    kernel = Kernel(PROGRAM)
    kernel.replay(BY_NAME["a2"])
    kernel.replay(BY_NAME["z2"])
    before = dict(kernel.accepted)
    bar = GRADIENT.cotangents[a2]
    left = Entry(bar, (n, i))
    slope = apply(FUNCTIONS["sigmoid"], Entry(z2, (n, i)))
    right = divide(Entry(delta2, (n, i)), multiply(slope, add(ONE, negate(slope))))
    steps = (
        Step(left, BY_NAME["a2"].right, "earlier_result", "above", (bar,)),
        Step(BY_NAME["a2"].right, right, "earlier_result", "above", (delta2, bar)),
    )
    there = rewrite(BY_NAME["a2"].left, lambda e: None)
    assert there is left
    kernel.replay(replace(BY_NAME["a2"], right=right, steps=steps))  # true, but in terms of delta2, which needs it
    assert kernel.accepted == before


def test_a_name_cannot_stand_for_two_derivatives():
    kernel = Kernel(PROGRAM)
    kernel.replay(BY_NAME["z3"])
    forged = replace(BY_NAME["z2"], definitions={delta3: NETWORK.y})
    with pytest.raises(ProofError, match="delta3 "):
        kernel.replay(forged)


def test_a_tensor_of_the_program_cannot_be_redefined():
    """z2 is not dJ/da2, whatever the derivation's own table says."""
    left, right = Entry(z2, (n, i)), Total(J, Entry(a2, (n, i)))
    step = Step(left, right, "definition_of_delta", "forged")
    refused(
        Derivation("forged", PROGRAM, left, right, (step,), {z2: a2}),
        "z2 cannot stand for the derivative with respect to a2",
    )


def test_a_name_of_another_shape_is_refused():
    forged = replace(BY_NAME["z2"], definitions={delta2: NETWORK.weight(1)})
    refused(forged, "delta2 cannot stand for the derivative with respect to W1")


def test_only_a_cost_of_the_program_is_differentiated():
    refused(replace(BY_NAME["z2"], cost=Entry(z3, (n, i))), "z3 is not a cost of the program")
    refused(replace(BY_NAME["z2"], cost=Entry(Tensor("E"))), "E is not a cost of the program")


def test_a_derivative_with_respect_to_an_unknown_tensor_is_refused():
    stranger = Entry(Tensor("q", (M,)), (n,))
    left = Total(J, stranger)
    refused(
        Derivation("q", PROGRAM, left, ZERO, (Step(left, ZERO, "chain_rule", ""),)), "q is not a tensor of the program"
    )


def test_an_entry_with_too_few_indices_is_refused():
    left = Entry(delta2, (n,))
    refused(
        Derivation("short", PROGRAM, left, ZERO, (Step(left, ZERO, "algebra", ""),), {delta2: z2}),
        "an entry has the wrong number of indices",
    )


def test_an_equation_is_put_in_only_where_it_is_named():
    value = PROGRAM.by_tensor[a2]
    left, right = Entry(a2, value.indices), value.value
    good = Derivation("a2", PROGRAM, left, right, (Step(left, right, "equation", "", (a2,)),))
    assert Kernel(PROGRAM).replay(good) == ()
    refused(replace(good, steps=(replace(good.steps[0], uses=()),)), "step 1 is not an instance")
    square = power(right, 2)
    refused(replace(good, right=square, steps=(replace(good.steps[0], after=square),)), "step 1 is not an instance")


def test_conditions_that_were_used_are_returned():
    network = Network([3, 4], cost="softmax_cross_entropy")
    gradient = network_gradient(network)
    kernel = Kernel(gradient.program)
    k = Index("k", network.layers[-1].size)
    y = lambda index: Entry(network.y, (n, index))  # noqa: E731
    total = contraction("k", k.size, y)
    blank = Derivation("rows", gradient.program, total, ONE, (Step(total, ONE, "algebra", ""),))
    assert kernel.replay(blank) == ("the rows of y add up to 1",)


def test_the_induction_hypothesis_is_an_earlier_result():
    hypothesis = BY_NAME["z3"]
    kernel = Kernel(PROGRAM, {delta3: hypothesis})
    left = hypothesis.left
    step = Step(left, hypothesis.right, "earlier_result", "hypothesis", (delta3,))
    assert kernel.replay(Derivation("use", PROGRAM, left, hypothesis.right, (step,), hypothesis.definitions)) == ()


def test_a_derivative_by_something_that_is_no_entry_is_refused():
    real = BY_NAME["z2"]
    odd = Total(J, add(Entry(z2, (n, i)), ONE))
    refused(Derivation("odd", PROGRAM, odd, odd, (Step(odd, odd, "algebra", ""),), real.definitions), "by no entry")


def test_names_that_are_changed_behind_the_kernel_are_looked_at_again():
    kernel = Kernel(PROGRAM)
    names = dict(BY_NAME["z3"].definitions)
    kernel.replay(replace(BY_NAME["z3"], definitions=names))
    names[delta2] = z3
    with pytest.raises(ProofError):
        kernel.replay(replace(BY_NAME["z2"], definitions=names))


# Derivatives are known by what they are, not by how they are written.


def test_a_derivative_of_one_cost_is_not_that_of_another():
    """For J = x and E = 2x: dE/dx is not dJ/dx, whatever one name has stood for before."""
    x, E, bar = Tensor("x"), Tensor("E"), Tensor("x_bar")
    equations = (Equation(J.tensor, (), Entry(x)), Equation(E, (), multiply(number(2), Entry(x))))
    program = Program((x,), equations, (J.tensor, E))
    dJ, dE, name = Total(J, Entry(x)), Total(Entry(E), Entry(x)), Entry(bar)
    for more in ({}, {Tensor("E_bar"): E}):
        kernel = Kernel(program)
        kernel.replay(
            Derivation("dJ", program, name, dJ, (Step(name, dJ, "definition_of_delta", ""),), {bar: x}, cost=J)
        )
        steps = (Step(dE, name, "definition_of_delta", ""), Step(name, dJ, "earlier_result", "", (bar,)))
        with pytest.raises(ProofError, match="x_bar stands for another derivative already"):
            kernel.replay(Derivation("dE", program, dE, dJ, steps, {bar: x, **more}, cost=Entry(E)))


def test_derivatives_of_two_costs_are_two_things():
    x, E = Tensor("x"), Tensor("E")
    program = Program((x,), (Equation(J.tensor, (), Entry(x)), Equation(E, (), Entry(x))), (J.tensor, E))
    left, right = Total(J, Entry(x)), Total(Entry(E), Entry(x))
    with pytest.raises(ProofError, match="not an instance of the rule 'algebra'"):
        Kernel(program).replay(Derivation("swap", program, left, right, (Step(left, right, "algebra", ""),)))


@pytest.mark.parametrize("name", ["total dJ/dx", "partial dJ/dx"])
def test_an_input_called_like_a_derivative_is_none(name):
    x, forged = Tensor("x"), Tensor(name)
    program = Program((x, forged), (Equation(J.tensor, (), power(Entry(x), 2)),), (J.tensor,))
    left = Total(J, Entry(x)) if name.startswith("total") else Partial(J, Entry(x))
    for before, after in ((left, Entry(forged)), (Entry(forged), left)):
        with pytest.raises(ProofError, match="not an instance of the rule 'algebra'"):
            Kernel(program).replay(Derivation("forged", program, before, after, (Step(before, after, "algebra", ""),)))


def test_a_program_that_holds_a_derivative_as_a_tensor_is_refused():
    x = Tensor("x")
    held = DerivativeTensor("total dJ/dx", (), "real", (J.tensor, x))
    program = Program((x, held), (Equation(J.tensor, (), power(Entry(x), 2)),), (J.tensor,))
    with pytest.raises(ProofError, match="a tensor of the program is a derivative"):
        Kernel(program)


def test_an_entry_of_a_derivatives_tensor_is_refused():
    left, right = (
        Total(J, Entry(z2, (n, i))),
        Entry(DerivativeTensor("total dJ/dz2", z2.shape, "real", (J.tensor, z2)), (n, i)),
    )
    refused(
        Derivation("held", PROGRAM, left, right, (Step(left, right, "algebra", ""),)), "an entry has the wrong number"
    )


def test_what_is_accepted_cannot_be_written_to():
    kernel = Kernel(PROGRAM)
    kernel.replay(BY_NAME["z3"])
    with pytest.raises(TypeError):
        kernel.accepted[delta3] = BY_NAME["z2"]


def test_what_is_accepted_unrecorded_may_not_be_used_afterwards():
    kernel = Kernel(PROGRAM)
    with kernel.unrecorded():
        kernel.replay(BY_NAME["z3"])
        assert delta3 in kernel.accepted
    assert delta3 not in kernel.accepted


def test_work_is_counted(monkeypatch):
    """A question that takes too many steps is refused, on every machine alike."""
    monkeypatch.setattr("symbackprop.calculus.equality.MOST", 3)
    with pytest.raises(ProofError, match="more than its budget of 3 steps"):
        Kernel(PROGRAM).replay(BY_NAME["z2"])
