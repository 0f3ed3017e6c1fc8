"""verify: a hand-derived formula in index notation against a network.

    verify(net, "delta2[n,i]", "sum(j, W2[j,i]*delta3[n,j]) * f_prime(z2[n,i])")

The claim is read by a whitelist (or taken from SymPy), compared with the derived gradient, and either proved for all
sizes, refuted by exact numbers with a diagnosis, or left undecided with the reason. Every PROVED is cross-examined
numerically first.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import sympy as sp

from symbackprop.checking.counterexample import Counterexample
from symbackprop.checking.diagnosis.formula import Cure, cures
from symbackprop.checking.domains import conditions_of
from symbackprop.checking.question import Question, probed
from symbackprop.checking.refute import cross_examine, refute, refute_on_thresholds, refute_outside
from symbackprop.checking.verdict import Verdict
from symbackprop.errors import MalformedError, SymbackpropError, UnsupportedError
from symbackprop.expression.build import (
    ZERO,
    Compare,
    Entry,
    Expr,
    Index,
    Tensor,
    free_indices,
    substitute,
    tensors_in,
)
from symbackprop.expression.functions import FUNCTIONS, Function, derivative
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.sympy_bridge import PI
from symbackprop.frontends.formula import Reading, Scope, left_indices, read_claim, split_equation, translated
from symbackprop.frontends.matrix_formula import own_indices, read_arrays, speaks_of_arrays
from symbackprop.frontends.network import M, Network
from symbackprop.normal_form.modulo_unfolding import Unfolder
from symbackprop.normal_form.work_time import worked
from symbackprop.proofs.network import ALL_SIZES, prove_network
from symbackprop.proofs.theorem import Status
from symbackprop.rendering.text import to_text

BUDGET_SECONDS = 5.0
DOMAIN_SECONDS = 0.5  # for what a claim asks for to have a value


@dataclass(frozen=True)
class Claim:
    """A claim that has been read.

    Args:
        left: the entry that is claimed.
        reading: the right side.
        truth: what was derived for the same entry.
    """

    left: Entry
    reading: Reading
    truth: Expr


def judged_formula(network: Network, left: str, right: str | sp.Expr | None, seconds: float) -> Verdict:
    """Read the claim, derive the truth, decide."""
    try:
        if right is None:
            left, right = split_equation(left)
        text = right if isinstance(right, str) else sympy_text(right)
        scope = network_scope(network)
        claim = _read(network, left, text, scope)
    except SymbackpropError as error:
        return Verdict(
            "MALFORMED", str(left).strip(), claimed=str(right or ""), reason=str(error), diagnosis=error.what
        )
    if network.depth is not None:
        return _any_depth(network, left, text)
    formulas = (("claimed", claim.left, claim.reading.value), ("derived", claim.left, claim.truth))
    verdict = _decide(network, claim, seconds)
    return replace(verdict, formulas=(*formulas, *verdict.formulas))


def _any_depth(network: Network, left: str, text: str) -> Verdict:
    reason = "verify takes a network with its layers listed; a proof for any depth is made by prove"
    return Verdict("UNDECIDED", left, claimed=text, reason=reason)


def network_scope(network: Network) -> Scope:
    """The names that a claim about this network may use."""
    hidden = {"S", "top"}
    tensors = {t.name: t for t in network.program.tensors if t.name not in hidden}
    tensors["a1"], tensors["h"] = network.x, network.activations(len(network.layers))
    gradient = prove_network(network).gradient if network.depth is None else None
    if gradient is not None:
        tensors |= {bar.name: bar for t, bar in gradient.cotangents.items() if t.name not in hidden}
        tensors["dJ_dh"] = gradient.cotangents[tensors["h"]]
    scalars: dict[str, Expr] = {f"s_{layer.number}": layer.size for layer in network.layers}
    scalars |= {"K": network.layers[-1].size, "m": M, "pi": PI}
    scalars |= {layer.size.name: layer.size for layer in network.layers}  # the user's own names come first
    scalars |= {s.name: s for s in network.hyper_parameters}
    widths: dict[Expr, int] = {layer.size: layer.width for layer in network.layers if isinstance(layer.width, int)}
    return Scope(tensors, scalars, _functions(network), {}, widths)


def _functions(network: Network) -> dict[str, Function]:
    """f and f_prime where all layers (or all hidden ones) share them; f2, f2_prime for layer 2, and so on."""
    sigmoid = FUNCTIONS["sigmoid"]
    table: dict[str, Function] = {"sigma": sigmoid, "sigma_prime": derivative(sigmoid)}
    for layer in network.layers[1:]:
        if layer.function is not None:
            table[f"f{layer.number}"], table[f"f{layer.number}_prime"] = layer.function, derivative(layer.function)
            table[layer.function.name], table[layer.function.name + "_prime"] = (
                layer.function,
                derivative(layer.function),
            )
    if network.cost_function is not None:
        table |= {f.name: f for f in (derivative(network.cost_function, k) for k in range(2))}
    used = [layer.function for layer in network.layers[1:]]
    hidden = [f for f in used[:-1] if f is not None] or [f for f in used if f is not None]
    if len({f.name for f in hidden}) == 1:
        table["f"], table["f_prime"] = hidden[0], derivative(hidden[0])
    return table


def _read(network: Network, left: str, text: str, scope: Scope) -> Claim:
    whole = speaks_of_arrays(left, text, scope)
    if whole and translated(left) in scope.tensors:
        name = translated(left)
        indices = own_indices(scope.tensors[name])
    else:
        name, indices = left_indices(left, scope)
    tensor = scope.tensors[name]
    functions = dict(scope.functions)
    number = next(
        (int(t.name[1:]) for t, bar in _cotangents(network).items() if bar is tensor and t.name[0] in "za"), None
    )
    own = network.layers[number - 1].function if number is not None else None
    if own is not None:  # f without a number is the function of the layer that the claim is about
        functions |= {"f": own, "f_prime": derivative(own)}
    scope = replace(scope, functions=functions, indices={i.name: i for i in indices})
    reading = Reading(read_arrays(text, indices, scope), (), (), None) if whole else read_claim(text, scope)
    entry = Entry(tensor, indices)
    return Claim(entry, reading, _truth(network, entry))


def _cotangents(network: Network) -> dict[Tensor, Tensor]:
    gradient = prove_network(network).gradient
    return gradient.cotangents if gradient is not None else {}


def _truth(network: Network, entry: Entry) -> Expr:
    equation = _equations(network).get(entry.tensor)
    if equation is None:
        raise MalformedError(
            f"{entry.tensor.name} is given, not computed: there is nothing to verify",
            help="claim a delta, dJ/dW, dJ/db or J",
        )
    return equation.at(entry.indices)


def _equations(network: Network) -> dict[Tensor, Equation]:
    """Forward equations and proved cotangents, in the order of computation."""
    proof = prove_network(network)
    assert proof.gradient is not None
    table = dict(network.program.by_tensor)
    best = {
        t.derivation.left.tensor: t.derivation for t in reversed(proof.theorems) if isinstance(t.derivation.left, Entry)
    }
    for tensor, bar in proof.gradient.cotangents.items():
        derivation = best.get(bar, proof.gradient.derivations[tensor])
        left = derivation.left
        assert isinstance(left, Entry)
        table[bar] = Equation(bar, tuple(i for i in left.indices if isinstance(i, Index)), derivation.right)
    return table


def sympy_text(expression: sp.Expr) -> str:
    """A SymPy claim in the text that SymPy prints, with dummies given names of their own."""
    dummies = sorted(expression.atoms(sp.Dummy), key=lambda d: d.dummy_index)
    names = {d: sp.Symbol(f"{d.name.strip('_') or 'i'}_{k}", integer=True) for k, d in enumerate(dummies, start=1)}
    return str(expression.xreplace(names))


# The decision.


def _decide(network: Network, claim: Claim, seconds: float) -> Verdict:
    subject, claimed, derived = to_text(claim.left), to_text(claim.reading.value), to_text(claim.truth)
    unfolder = Unfolder(network.program, _equations(network).values(), seconds)
    fits = claim.reading.problem is None
    question = _question(network, claim)
    answer = unfolder.equal(claim.reading.value, claim.truth) if fits else None
    if answer is not None and answer.equal:
        objection = _objection(question)
        asked = conditions_of(question, unfolder.facts, DOMAIN_SECONDS)
        reason, found = objection or ("", None)
        if objection is not None and not (asked and found is not None and not math.isfinite(found.entry.claimed)):
            return Verdict("UNDECIDED", subject, claimed, derived, counterexample=found, reason=reason)
        found = found or _where_it_does_not_hold(question, any(c.open for c in asked))
        if found is None:
            texts = (c.text for c in asked)
            conditions = tuple(dict.fromkeys((*answer.used, *_kink_conditions(network, claim), *texts)))
            return Verdict("PROVED", subject, claimed, derived, ALL_SIZES, conditions)
    else:
        found, reason = _refuted(question, seconds)
        reason = reason or (answer.reason if answer is not None else str(claim.reading.problem))
    if found is None:
        status: Status = "UNDECIDED" if fits else "MALFORMED"
        return Verdict(status, subject, claimed, derived, reason=reason)
    cure = _cure(network, claim, unfolder)
    notes = () if claim.reading.problem is None else (_reading_note(claim),)
    return Verdict(
        "REFUTED",
        subject,
        claimed,
        derived,
        wrong=(claim.left.tensor.name,),
        diagnosis=cure.words if cure else "",
        cure=f"{subject} = {to_text(cure.value)}" if cure else "",
        formulas=(("cure", claim.left, cure.value),) if cure else (),
        counterexample=found,
        notes=notes,
    )


def _where_it_does_not_hold(question: Question, open: bool) -> Counterexample | None:
    """A point at which a claim with the right normal form has no value, or a wrong one on a threshold of its own."""
    try:
        found = refute_on_thresholds(question, DOMAIN_SECONDS)
        return refute_outside(question, DOMAIN_SECONDS) if found is None and open else found
    except (SymbackpropError, ZeroDivisionError, OverflowError):
        return None


def _refuted(question: Question, seconds: float) -> tuple[Counterexample | None, str]:
    """A counterexample, or None and why no point could be examined."""
    try:
        return refute(question, budget_seconds=seconds), ""
    except (SymbackpropError, ZeroDivisionError, OverflowError) as error:
        return None, f"no point could be examined: {error}"


def _reading_note(claim: Claim) -> str:
    reading = claim.reading
    assert reading.problem is not None
    how = "taken at its first value" if reading.strays else "read for axes of equal length"
    if reading.partial:
        how = "read where it runs over part of the axis"
    return f"{reading.problem.what}: {how}, and wrong there too"


def _kink_conditions(network: Network, claim: Claim) -> tuple[str, ...]:
    """The conditions of the program that concern the claim: those on the way from its tensor to the cost."""
    moved = {bar: t for t, bar in _cotangents(network).items()}.get(claim.left.tensor)
    if moved is None:
        return ()  # a forward value
    stem, digits = moved.name[0], moved.name[1:]
    first = {"x": 2, "z": int(digits or 0)}.get(stem, int(digits or len(network.layers)) + 1)
    kept = []
    for condition in network.conditions:
        layer = re.search(r"\bz(\d+)\[", condition)
        if condition.startswith("W["):
            kept += [condition] if stem == "W" else []
        elif layer is None or int(layer[1]) >= first:
            kept.append(condition)
    return tuple(kept)


UNEXAMINED = "the normal forms are equal, but no point was found at which numbers could cross-examine the proof"
DISAGREES = "internal error: the proof and the numbers disagree; please report this claim"


def _objection(question: Question) -> tuple[str, Counterexample | None] | None:
    """None if the numbers agree with the proof, else why it may not be said, and the disagreement if there is one."""
    try:
        answer = cross_examine(question)
    except (UnsupportedError, ZeroDivisionError, OverflowError):
        return UNEXAMINED, None
    return None if answer is True else (DISAGREES, answer)


def _question(network: Network, claim: Claim) -> Question:
    """The claim as a program beside the forward program, for exact evaluation."""
    strays: dict[Expr, Expr] = {
        i: ZERO for i in claim.reading.strays
    }  # an index that stands alone: take its first value
    value = substitute(claim.reading.value, strays)
    indices = tuple(i for i in claim.left.indices if isinstance(i, Index))
    output = Tensor("claimed_" + claim.left.tensor.name, claim.left.tensor.shape)
    definitions = {bar: t for t, bar in _cotangents(network).items()}
    used = sorted(tensors_in(value), key=lambda t: t.name)
    truths = {t: definitions[t] for t in used if t in definitions}
    domain = tuple(Compare("==", a, b) for a, b in claim.reading.clashes)
    domain += tuple(Compare("<=", a, b) for a, b in claim.reading.partial)
    forward, target = _target(network, claim, definitions)
    extra = tuple(t for t in used if t not in forward.inputs)
    parameters = network.program.parameters
    claimed = Program(
        (*forward.inputs, *extra),
        (Equation(output, indices, value),),
        (output,),
        parameters,
        forward.assumptions,
        domain,
    )
    return Question(forward, claimed, {claim.left.tensor.name: (target, output)}, truths=truths)


def _target(network: Network, claim: Claim, definitions: dict[Tensor, Tensor]) -> tuple[Program, Tensor]:
    """The forward program and the tensor whose gradient the claim is.

    A claim about a value, not a derivative, becomes one: the value is the gradient of Sum(t * value) by t.
    """
    if claim.left.tensor in definitions:
        return network.program, definitions[claim.left.tensor]
    return probed(network.program, claim.left.tensor)


def _cure(network: Network, claim: Claim, unfolder: Unfolder) -> Cure | None:
    """The first edit of the claim that is proved right."""
    deadline = worked() + 2.0
    for cure in cures(claim.left, claim.reading.value, claim.reading.strays, network):
        if worked() > deadline:
            return None
        if (
            free_indices(cure.value) <= free_indices(claim.left)
            and unfolder.equal(cure.value, claim.truth, rounds=2).equal
        ):
            return cure
    return None


__all__ = ["BUDGET_SECONDS", "judged_formula"]
