"""verify: a hand-derived formula in index notation against a network.

    verify(net, "delta2[n,i]", "sum(j, W2[j,i]*delta3[n,j]) * f_prime(z2[n,i])")

The claim is read by a whitelist (or taken from SymPy), compared with the derived gradient, and either proved for all
sizes, refuted by exact numbers with a diagnosis, or left undecided with the reason. Every PROVED is cross-examined
numerically first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import sympy as sp

from symbackprop.calculus.derivation import Gradient
from symbackprop.checking.budget import Budget
from symbackprop.checking.decide import CLOSER, FIRST_LOOK, Look, ProofGoal, Tries, decide, look, refuted
from symbackprop.checking.diagnosis.line_edits import edits
from symbackprop.checking.diagnosis.vocabulary import Vocabulary
from symbackprop.checking.proof_search import COMPOSED, UNCONDITIONAL
from symbackprop.checking.question import Question, question_of_formula
from symbackprop.checking.verdict import Verdict
from symbackprop.errors import IndexNotationError, MalformedError, SymbackpropError
from symbackprop.expression.build import (
    ZERO,
    Add,
    Compare,
    Entry,
    Expr,
    Index,
    Tensor,
    add,
    close_sum,
    free_indices,
    fresh,
    substitute,
    tensors_in,
)
from symbackprop.expression.functions import FUNCTIONS, Function, derivative
from symbackprop.expression.nodes import collector_paused
from symbackprop.expression.program import Equation
from symbackprop.expression.sympy_bridge import PI
from symbackprop.frontends.formula import Reading, Scope, left_indices, read_claim, split_equation, translated
from symbackprop.frontends.matrix_formula import own_indices, read_arrays, speaks_of_arrays
from symbackprop.frontends.network import M, Network
from symbackprop.frontends.numpy.time_limit import as_seconds
from symbackprop.frontends.numpy.traced import Traced
from symbackprop.proofs.network import ALL_SIZES, prove_network
from symbackprop.rendering.text import to_text


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


@collector_paused()
def judged_formula(network: Network, left: str, right: str | sp.Expr | None, seconds: float) -> Verdict:
    """Read the claim, derive the truth, decide."""
    try:
        seconds = as_seconds(seconds)
        if right is None:
            left, right = split_equation(left)
        text = right if isinstance(right, str) else sympy_text(right)
        if network.depth is not None:
            return _any_depth(network, left, text)
        claim = _read(network, left, text, network_scope(network))
    except SymbackpropError as error:
        return Verdict(
            "MALFORMED", str(left).strip(), claimed=str(right or ""), reason=str(error), diagnosis=error.what
        )
    formulas = (("claimed", claim.left, claim.reading.value), ("derived", claim.left, claim.truth))
    verdict = _judged(network, claim, Budget.of(2 * seconds))
    return replace(verdict, formulas=(*formulas, *verdict.formulas))


def _any_depth(network: Network, left: str, text: str) -> Verdict:
    reason = "verify takes a network with its layers listed; a proof for any depth is made by prove"
    return Verdict("UNDECIDED", left, claimed=text, reason=reason)


def slips_of(network: Network, left: Entry, right: Expr) -> Iterator[tuple[str, Expr]]:
    """What people make of a right formula: what is wrong with each, and its right side; likely slips first."""
    reading = Reading(right, (), (), None)
    traced = _goal(network, Claim(left, reading, _truth(network, left))).traced
    line = traced.backward.equations[-1]
    vocabulary = Vocabulary(traced.forward, traced.upstream, (line,), traced.variables, whole_axes=True)
    for edit in filter(None, edits((line,), vocabulary)):
        yield edit.reverse, edit.equations[0].value


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
    for tensor, bar in reversed(proof.gradient.cotangents.items()):
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


# The judgement.


def _judged(network: Network, claim: Claim, budget: Budget) -> Verdict:
    """The verdict on the claim as a backward pass of one line."""
    subject, problem = to_text(claim.left), claim.reading.problem
    goal = _goal(network, claim)
    if problem is None:
        at_once = (UNCONDITIONAL, COMPOSED) if network.assumptions else (COMPOSED,)
        verdict = decide(goal, subject, ALL_SIZES, budget, (Tries(at_once), FIRST_LOOK, *CLOSER))
    else:
        verdict = _of_misfit(goal, subject, problem, budget)
    if problem is not None and verdict.status == "REFUTED":
        verdict = replace(verdict, notes=(_reading_note(claim), *verdict.notes))
        if claim.reading.strays:
            verdict = _with_sums(network, claim, verdict, budget)
    diagnosis = verdict.diagnosis.removeprefix(f"{claim.left.tensor.name}: ")
    texts = to_text(claim.reading.value), to_text(claim.truth)
    return replace(verdict, claimed=texts[0], derived=texts[1], diagnosis=diagnosis)


def _with_sums(network: Network, claim: Claim, verdict: Verdict, budget: Budget) -> Verdict:
    """The verdict with what is found where every index that stands alone is summed over."""
    value, reading = claim.reading.value, claim.reading
    for index in reading.strays:
        terms = value.terms if isinstance(value, Add) else (value,)
        bound = fresh(index.name, index.size)
        summed = add(*(substitute(t, {index: bound}) for t in terms if index in free_indices(t)))
        value = add(close_sum(bound, summed), *(t for t in terms if index not in free_indices(t)))
    problem = reading.problem if reading.clashes or reading.partial else None
    claim = replace(claim, reading=replace(reading, value=value, strays=(), problem=problem))
    words = "the sum over " + ", ".join(i.name for i in reading.strays) + " is missing"
    other = _judged(network, claim, budget)
    if other:
        cure = ("cure", claim.left, value)
        return replace(verdict, diagnosis=words, cure=f"{to_text(claim.left)} = {to_text(value)}", formulas=(cure,))
    if other.status != "REFUTED" or not other.cure:
        return verdict
    return replace(verdict, diagnosis=f"{words}, and {other.diagnosis}", cure=other.cure, formulas=other.formulas)


def _of_misfit(goal: ProofGoal, subject: str, problem: IndexNotationError, budget: Budget) -> Verdict:
    """REFUTED where a claim whose indices do not fit is wrong even where they do, else MALFORMED."""
    try:
        found = look(goal, goal.names, Look("all", "look at what does not fit"), budget)
    except (SymbackpropError, ArithmeticError) as error:
        return Verdict("MALFORMED", subject, reason=f"no point could be examined: {error}")
    if found is None:
        return Verdict("MALFORMED", subject, reason=str(problem))
    return refuted(goal, subject, found, budget)


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


def _goal(network: Network, claim: Claim) -> ProofGoal:
    """The claim beside what is derived up to there, and what it speaks of itself.

    Whoever writes such a claim speaks of the derived tensors by name. The kernel has replayed how they were derived
    with the network's theorems.
    """
    left, equations = claim.left.tensor, _equations(network)
    question = _question(network, claim)
    target, output = question.pairs[left.name]
    line = question.claimed.equations[-1]
    table = list(equations.values())
    wanted = {e.tensor for e in table[: table.index(equations[left])]} | _rests_on(line, equations)
    kept = tuple(e for e in table if e.tensor in wanted)
    own = tuple(e for e in kept if e.tensor in network.program.by_tensor)
    outputs = tuple(t for t in network.program.outputs if t in wanted)
    forward = replace(network.program, equations=own, outputs=outputs, conditions=_kink_conditions(network, claim))
    read = {t for e in (*table, line) for t in tensors_in(e.value)}  # dJ/da is no stepping stone to anything
    known = tuple(e.tensor for e in kept[len(own) :] if e.tensor in read)
    inputs = (*forward.inputs, *known)
    backward = replace(forward, inputs=inputs, equations=(*own, line), outputs=(output,), conditions=())
    names = {t: t.name for t in (*forward.tensors, *known)} | {output: left.name}
    traced = Traced(forward, backward, known, {left.name: output}, names)
    derived = tuple(e for e in table if e.tensor in wanted or e.tensor is left)
    adjoint = replace(forward, equations=derived, outputs=(left,))
    gradient = Gradient(network.program, {**_cotangents(network), target: left}, adjoint, {})
    return ProofGoal(traced, gradient, question, claim.left)


def _rests_on(line: Equation, equations: Mapping[Tensor, Equation]) -> set[Tensor]:
    """The defined tensors that a line is computed from."""
    found: set[Tensor] = set()
    new = [line]
    while new:
        more = {t for t in tensors_in(new.pop().value) if t in equations} - found
        found |= more
        new += [equations[t] for t in more]
    return found


def _question(network: Network, claim: Claim) -> Question:
    """The claim beside the forward program, for exact evaluation; of an index that stands alone the first value."""
    strays: dict[Expr, Expr] = dict.fromkeys(claim.reading.strays, ZERO)
    value = substitute(claim.reading.value, strays)
    derived = {bar: t for t, bar in _cotangents(network).items()}
    clashes = (Compare("==", a, b) for a, b in claim.reading.clashes)
    partial = (Compare("<=", a, b) for a, b in claim.reading.partial)
    return question_of_formula(network.program, claim.left, value, derived, (*clashes, *partial))


__all__ = ["judged_formula", "network_scope", "slips_of"]
