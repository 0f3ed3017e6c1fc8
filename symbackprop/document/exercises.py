"""Exercises about a network, and their solutions: choices between formulas, and derivations in changed settings.

Each right answer is a theorem; each wrong one is made by a slip of the package's own library, and was refuted, so its
solution says what is wrong and shows numbers. Derivations are those of the changed network, replayed by the kernel.
Main names: `exercise_sections`, `changed_proofs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from symbackprop.checking.verdict import Verdict
from symbackprop.checking.verify import judged_formula, slips_of
from symbackprop.document.context import Context, joined, sentence
from symbackprop.document.derivation_section import DerivationSections
from symbackprop.document.model import (
    Block,
    Chain,
    Display,
    DisplayedEquality,
    Inline,
    Paragraph,
    Section,
    Statement,
    Strong,
    Symbolic,
    Text,
)
from symbackprop.document.opening_sections import definitions
from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import Apply, Entry, Expr
from symbackprop.expression.functions import FUNCTIONS
from symbackprop.frontends.network import Network
from symbackprop.normal_form.work_time import counted
from symbackprop.proofs.functions import functions_of
from symbackprop.proofs.network import prove_network
from symbackprop.proofs.theorem import Proof, Theorem
from symbackprop.rendering.layout import Glyph, relation, row, word
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.notation import Notation, letter, tensor_layout
from symbackprop.rendering.text import to_text

SECONDS = 1.0  # for one wrong answer, in counted work: a handout is the same wherever it is made
_WRONG = 3  # wrong answers beside the right one
_TRIED = 12
_LAYERS = 3
_SLIPS = (  # what is wrong, the most instructive first
    r"factor \w+_prime\(.* is missing",
    r"indices of .* are swapped",
    r"factor 1/m is",
    r"factor -1 .* sign is wrong",
    r"is taken at",
    r"the slope of (?!exp\b|\S*\[)",
    r"^the factor .* is missing",
    r"^(a\d+|z\d+|delta\d+|W\d+|x) belongs where",
    r"term .* is missing",
    r"is missing",
    r"is too many",
    r"",
)


@dataclass(frozen=True)
class Choice:
    """One question with four answers.

    Args:
        theorem: what is right.
        answers: right sides, each with the verdict that refutes it; None for the right one.
    """

    theorem: Theorem
    answers: tuple[tuple[Expr, Verdict | None], ...]


@dataclass(frozen=True)
class Change:
    """A derivation in a changed setting.

    Args:
        setting: what is changed, in words.
    """

    setting: str
    proof: Proof
    theorem: Theorem


def exercise_sections(network: Network, notation: Notation) -> tuple[Section, Section]:
    """The exercises, and their solutions."""
    plain = practice_network(network)
    about = Context(prove_network(plain), notation)
    changed, asked = changes(plain), choices(plain)
    exercises: list[Block] = []
    solutions: list[Block] = []
    if plain is not network:
        exercises.append(Paragraph(("The network of these exercises has three layers, of any widths.",)))
    for change in changed:
        here = Context(change.proof, notation)
        exercises.append(_derive(change, here))
        solutions += _derived(len(solutions), change, here)
    for place, choice in enumerate(asked, start=len(changed) + 1):
        exercises.append(_ask(choice, about))
        solutions += _answered(place, choice, about)
    return Section("Exercises", tuple(exercises)), Section("Solutions", tuple(solutions))


def practice_network(network: Network) -> Network:
    """The network itself, or one of three layers like it where it has more."""
    few = network.depth is None and len(network.layers) <= _LAYERS
    return network if few else network.like(["s_1", "s_2", "K"])


# Derivations in a changed setting.


def changed_proofs(network: Network) -> tuple[Proof, ...]:
    """The proofs that the solutions are taken from."""
    plain = practice_network(network)
    return (prove_network(plain), *(c.proof for c in changes(plain)))


def changes(network: Network) -> list[Change]:
    """The slope of another activation, the output layer under another cost, a penalty where there is none."""
    return [c for c in (_other_slope(network), _other_cost(network), _with_penalty(network)) if c is not None]


def _other_slope(network: Network) -> Change | None:
    used = {f.name for f in functions_of(network)}
    name = next((n for n in ("tanh", "softplus", "sigmoid", "silu") if n not in used), None)
    if name is None:
        return None
    proof = prove_network(network.like([2, 2], activation=[FUNCTIONS[name]], cost="squared_error"))
    theorem = next(t for t in proof.theorems if t.name == f"slope of {name}")
    return Change("Differentiate the definition.", proof, theorem)


def _other_cost(network: Network) -> Change | None:
    cost = "cross_entropy" if network.cost_name == "squared_error" else "squared_error"
    layers = [layer.width for layer in network.layers[-2:]]
    proof = prove_network(network.like(layers, activation=["sigmoid"], cost=cost))
    forms = [t for t in proof.theorems if t.name.startswith("output layer")]
    if not forms:
        return None
    words = {
        "cross_entropy": "Let the output units be sigmoid units and the cost cross-entropy.",
        "squared_error": "Let the output units be sigmoid units and the cost half the squared error.",
    }
    return Change(f"{words[cost]} The network has two layers.", proof, forms[-1])


def _with_penalty(network: Network) -> Change | None:
    if network.penalties():
        return None
    layers = [layer.width for layer in network.layers[-2:]]
    output = "softmax" if network.softmax else network.layers[-1].function
    proof = prove_network(
        Network(
            layers,
            activation=[output or "softmax"],
            cost="softmax_cross_entropy" if network.softmax else "squared_error",
            reduction=network.reduction,
            l2="lambda/2",
        )
    )
    theorem = next(t for t in proof.theorems if t.name.endswith("W1"))
    return Change(
        "Let the penalty $\\frac{\\lambda}{2}\\sum_i\\sum_j (W_{ij})^2$ be added to the cost.", proof, theorem
    )


def _derive(change: Change, about: Context) -> Statement:
    left, right = change.theorem.derivation.left, change.theorem.derivation.right
    shown = Display(((DisplayedEquality(left, right), ()),))
    known = definitions(change.proof) if isinstance(left, Apply) else []
    given = [Display(tuple((DisplayedEquality(*d), ()) for d in known))] if known else []
    setting = Paragraph(about.words(change.setting))
    return Statement("Exercise", about.words(_subject(change.theorem)), (setting, *given, Paragraph(("Show:",)), shown))


def _subject(theorem: Theorem) -> str:
    """What an exercise is about, without the answer."""
    match = re.fullmatch(r"delta(\d+)", _name(theorem))
    return f"error term of layer {match[1]}" if match else theorem.name


def _derived(before: int, change: Change, about: Context) -> list[Block]:
    number = before // 2 + 1
    derivation = change.theorem.derivation
    lines = DerivationSections(about).lines(derivation, brief=not isinstance(derivation.left, Apply))
    return [Paragraph((Strong(f"Exercise {number}."), " Line by line:")), Chain(lines)]


# Choices.


@lru_cache(maxsize=16)
def choices(network: Network) -> tuple[Choice, ...]:
    """A question for each family of gradients of the last two layers."""
    last = len(network.layers)
    wanted = [f"delta{last}", f"delta{last - 1}", f"dJ_dW{last - 1}", f"dJ_db{last - 1}"]
    found: list[Choice] = []
    for name in wanted:
        forms = [t for t in prove_network(network).theorems if _name(t) == name and not t.conditions]
        if not forms:
            continue
        with counted():
            wrong = list(_wrong_answers(forms[-1], network))
        if len(wrong) == _WRONG:
            place = (2 * len(found) + 1) % (_WRONG + 1)
            answers = [*wrong[:place], (forms[-1].derivation.right, None), *wrong[place:]]
            found.append(Choice(forms[-1], tuple(answers)))
    return tuple(found)


def _name(theorem: Theorem) -> str:
    left = theorem.derivation.left
    return left.tensor.name if isinstance(left, Entry) else ""


def _wrong_answers(theorem: Theorem, network: Network) -> Iterator[tuple[Expr, Verdict]]:
    """Slips in the right answer, no two of one kind, each refuted and with a diagnosis."""
    left, right = theorem.derivation.left, theorem.derivation.right
    assert isinstance(left, Entry), "a gradient is an entry"
    seen, told = set[str](), set[str]()
    tried = 0
    for words, value in sorted(slips_of(network, left, right), key=lambda slip: _instructive(slip[0])):
        kind, text = _SLIPS[_instructive(words)], to_text(value)
        if kind in seen or tried == _TRIED or len(seen) == _WRONG or _uncancelled(text):
            continue
        tried += 1
        try:
            verdict = judged_formula(network, to_text(left), text, SECONDS)
        except SymbackpropError:
            continue
        if verdict.status == "REFUTED" and verdict.counterexample is not None and verdict.diagnosis not in ("", *told):
            seen.add(kind)
            told.add(verdict.diagnosis)
            yield value, verdict


def _uncancelled(text: str) -> bool:
    """True if m stands twice where a reader would have one power of it, or none."""
    return bool(re.search(r"\bm\*m\b", text) or (re.search(r"\bm\*", text) and re.search(r"/\(?m\b", text)))


def _instructive(words: str) -> int:
    return next(k for k, pattern in enumerate(_SLIPS) if re.search(pattern, words))


def _ask(choice: Choice, about: Context) -> Statement:
    left = choice.theorem.derivation.left
    lines: list[tuple[DisplayedEquality | Symbolic, Text]] = []
    for place, (answer, _) in enumerate(choice.answers):
        mark = word(f"({'abcd'[place]})  ")
        both = row(mark, layout_of(left, about.notation), relation("="), layout_of(answer, about.notation))
        lines.append((Symbolic(both), ()))
    return Statement(
        "Exercise",
        about.words(_subject(choice.theorem)),
        (Paragraph(("Which of these is right, and what is wrong with the others?",)), Display(tuple(lines))),
    )


def _answered(number: int, choice: Choice, about: Context) -> list[Block]:
    """Which is right, and for each of the others what is wrong and numbers that show it."""
    right = next(k for k, (_, verdict) in enumerate(choice.answers) if verdict is None)
    head: Text = (Strong(f"Exercise {number}."), f" ({'abcd'[right]}) is right: it was proved, as “")
    blocks: list[Block] = [Paragraph((*head, *about.words(choice.theorem.name), "”."))]
    for place, (_, verdict) in enumerate(choice.answers):
        if verdict is not None:
            said = re.sub(r"(\w+_prime\(\S+\))", r"`\1`", sentence(verdict.diagnosis))
            said = said.replace("f'(z)", "$f'(z)$").replace(" 1/m", " $1/m$")
            mark: Text = (f"({'abcd'[place]}) ",)
            blocks.append(Paragraph((*mark, *about.words(said), " ", *_numbers(verdict, about))))
    return blocks


def _numbers(verdict: Verdict, about: Context) -> Text:
    """With these numbers it gives that, and right is this."""
    found = verdict.counterexample
    assert found is not None, "a refuted answer has its numbers"
    notation = about.notation
    pairs = [(letter(name), str(size)) for name, size in found.sizes.items()]
    arrays = {**found.inputs, **found.given}
    pairs += [(tensor_layout(name, (), notation), _written(value)) for name, value in arrays.items()]
    pairs += [(letter(name), f"{value:g}") for name, value in found.parameters.items()]
    shown: list[Inline] = [
        Symbolic(row(name, relation("="), Glyph(value.replace("-", "−"), "number"))) for name, value in pairs
    ]
    entry = found.entry
    place = tensor_layout(entry.name, [Glyph(str(i + notation.first), "number") for i in entry.index], notation)
    return (
        "With ",
        *joined(shown, ", "),
        " it gives ",
        Symbolic(row(place, relation("="), _value(entry.claimed))),
        ", and right is ",
        Symbolic(_value(entry.correct)),
        ".",
    )


def _value(value: float) -> Glyph:
    return Glyph(f"{value:.6g}".replace("-", "−"), "number")


def _written(value: object) -> str:
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{float(array):.6g}"
    return "[" + ", ".join(_written(part) for part in array) + "]"


__all__: Sequence[str] = ["Change", "Choice", "changed_proofs", "changes", "choices", "exercise_sections"]
