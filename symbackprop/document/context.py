"""What all parts of a proof document share: the proof, its notation, and what follows from the two.

Main name: `Context`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from symbackprop.document.layer_families import families
from symbackprop.document.model import (
    Code,
    Inline,
    Strong,
    Symbolic,
    Text,
)
from symbackprop.document.protocols import ProofLike, TheoremLike
from symbackprop.document.sentences import described, spelled
from symbackprop.expression.build import Add, Apply, Entry, Expr, Index, Tensor, entries_once, nodes_once, tensors_in
from symbackprop.expression.program import UPSTREAM, Equation, Program, symbols
from symbackprop.frontends.network import Network
from symbackprop.rendering.layout import Fence, Layout, operator, row
from symbackprop.rendering.math import layout_of
from symbackprop.rendering.notation import Notation, derivative_name, letter, split_name, tensor_layout
from symbackprop.rendering.tex import to_tex
from symbackprop.rendering.tex_reader import read_tex

_LABELS = {
    "definition_of_delta": "Definition of δ",
    "contract_delta": "Kronecker delta",
    "function": "Value of a function",
}


_ANY_WEIGHTS = Tensor("W_l")  # the weights of any layer, in a condition


_ASSUMED = {
    "labels": "whole numbers that count classes from 0",
    "onehot": "one entry of each row is 1, the others are 0",
    "simplex": "the entries of each row add up to 1",
    "prob": "between 0 and 1",
    "pos": "positive",
    "bern": "each entry 0 or 1",
    "pm1": "each entry 1 or −1",
    "symmetric": "a symmetric matrix",
    "spd": "a symmetric positive definite matrix",
}


class Context:
    """A proof in a notation, with its equations, tensors and families worked out once."""

    def __init__(self, proof: ProofLike, notation: Notation) -> None:
        self.proof, self.notation = proof, notation
        self.shown: set[Tensor] = set()  # lemmas in the document so far
        self.told: list[TheoremLike] = []  # theorems in the document so far
        self.groups = families(proof.theorems, sides)
        self.bars = self._bars()
        self.equations, self.tensors = self._all_equations(), self._all_tensors()

    def _all_equations(self) -> tuple[Equation, ...]:
        """The program's equations; for a proof for any depth, those of the general layer too."""
        programs = [self.proof.program, *(t.derivation.program for t in self._about_the_program())]
        distinct = {id(p): p for p in programs}.values()
        found = {(e.left, e.value): e for p in distinct for e in p.equations}
        if not self.notation.layered or self.proof.network is None:
            return tuple(found.values())
        # d is what a backward pass computes; that J is E where there is no penalty says nothing
        return tuple(
            e
            for e in found.values()
            if split_name(e.tensor.name)[0] != "d" and not (isinstance(e.value, Entry) and e.value.tensor.name == "E")
        )

    def _about_the_program(self) -> tuple[TheoremLike, ...]:
        """The theorems that are not about a function alone."""
        return tuple(t for t in self.proof.theorems if not isinstance(t.derivation.left, Apply))

    def _all_tensors(self) -> tuple[Tensor, ...]:
        """All tensors that the document mentions: those of the programs, then those of the derivations."""
        found = dict.fromkeys(self.proof.program.tensors)
        for theorem in self._about_the_program():
            found.update(dict.fromkeys(theorem.derivation.program.tensors))
        for theorem in self._about_the_program():
            for expr in (theorem.derivation.left, *(s.after for s in theorem.derivation.steps)):
                found.update(dict.fromkeys(e.tensor for e in entries_once(expr)))
        return tuple(found)

    def _bars(self) -> dict[Tensor, Tensor]:
        """For a program with the user's own names: what each bar is the derivative by; {} for networks."""
        gradient = self.proof.gradient
        if self.notation.layered or gradient is None:
            return {}
        return {b: t for t, b in gradient.cotangents.items() if b.name.endswith("_bar")}

    @property
    def cost(self) -> Tensor:
        """What is differentiated."""
        return self.proof.program.outputs[0]

    @property
    def upstream(self) -> tuple[Tensor, ...]:
        """The gradients handed in, where the cost only stands for what is computed from the outputs."""
        cost = self.proof.program.equations[-1]
        if cost.note != UPSTREAM:
            return ()
        return tuple(t for t in self.proof.program.inputs if t in tensors_in(cost.value))

    def code(self, equation: Equation) -> Code | None:
        """The user's line of code that an equation says, if it is known."""
        line = re.match(r"line (\d+)", equation.note)  # not of what is only a part of a line
        text = self.proof.program.lines.get(int(line[1])) if line else None
        return Code(text) if text else None

    def words(self, text: str) -> Text:
        """A sentence with the names of tensors as mathematics."""
        gradient = self.proof.gradient
        known = [*self.tensors, *(gradient.cotangents.values() if gradient else ())]
        known += [_ANY_WEIGHTS] if self.proof.network is not None else []
        return spelled(text, known, self.notation)

    def title(self) -> str:
        """The proof's title, without the description that stands in the lead."""
        return self.proof.title.partition(": ")[0]

    def lead(self, *, brief: bool = False) -> Text:
        """The status, how many equalities, and for which sizes."""
        count = len(self.proof.theorems)
        shown = len(self.groups)
        scopes = list(dict.fromkeys(t.scope for t in self.proof.theorems if t.scope))
        scope = f", for {listed(scopes)}" if scopes else ""
        about = self.proof.title.partition(": ")[2]
        further = f" {sentence(about)}" if about else ""
        rest = f", {shown} below and {count - shown} by the same steps for other layers" if shown < count else ""
        rest = ", the main ones below" if brief else rest
        told = self.words(f": {count} equalit{'y' if count == 1 else 'ies'}{rest}{scope}.{further}")
        return (Strong(self.proof.status), *told)

    def name(self, tensor: Tensor) -> Layout:
        """A tensor's name as mathematics."""
        return tensor_layout(tensor.name, (), self.notation)

    def first_layer(self) -> str:
        """That the inputs are the activations of layer 1, as a formula in a sentence."""
        return f"${to_tex(tensor_layout('a1', (), self.notation))} = {to_tex(tensor_layout('x', (), self.notation))}$"

    def shape(self, tensor: Tensor) -> Inline:
        """A tensor's shape, or that it is a number."""
        return Symbolic(shape_layout(tensor, self.notation)) if tensor.shape else "a number"

    def meaning(self, group: Sequence[Tensor]) -> Text:
        """What the tensors of one letter are."""
        tensor = group[0]
        known = self.notation.layered and (self.proof.network is not None or tensor.name not in ("E", "R", "S"))
        known = known or derivative_name(tensor.name) is not None
        any_layer = len(group) > 1
        first = described(tensor, any_layer=any_layer, weight_shift=self.notation.weight_shift) if known else ""
        if len(tensor.shape) < 2:  # of one example
            first = first.replace(", one row for each example", "")
        if first and tensor.name == "R":
            return (*self.words(first), *self._penalties())
        if not first and tensor in self.upstream:
            first = "upstream gradient, handed in"
        if first or len(group) == 1:
            return self.words(first or self._origin(tensor))
        return self.words(re.sub(r"\blayer \d+", "layer l", self._origin(tensor)))

    def _penalties(self) -> Text:
        """: the penalties of a network of any depth, as a formula."""
        network = self.proof.network
        if not isinstance(network, Network) or network.depth is None:
            return ()
        weight = to_tex(tensor_layout("W_l", [letter(self.notation.rename.get(i, i)) for i in "ij"], self.notation))
        i, j = (self.notation.rename.get(k, k) for k in "ij")
        sums = rf"\sum_{{l=1}}^{{{network.depth}-1}} \sum_{{{i}}} \sum_{{{j}}}"
        kinds = [(network.l2, f"({weight})^2"), (network.l1, f"|{weight}|")]
        terms = [rf"{to_tex(layout_of(c, self.notation))} {sums} {body}" for c, body in kinds if c is not None]
        return (": ", Symbolic(read_tex(" + ".join(terms))))

    def _origin(self, tensor: Tensor) -> str:
        """Where a tensor that is called by no name of the field comes from."""
        equation = next((e for e in self.equations if e.tensor is tensor), None)
        if equation is None:
            known = self.proof.program.known.get(tensor)
            return f"given, {_ASSUMED[known.kind]}" if known else "given"
        if "line" in equation.note:
            return f"computed in {equation.note}"
        if equation.note:
            return equation.note
        return "cost" if tensor in self.proof.program.outputs else "defined below"


def index_letters(program: Program) -> dict[str, str]:
    """For each index that has the name of a size another letter: h for an axis of size hidden.

    Example:
        >>> from symbackprop.expression.build import Symbol
        >>> hidden = Symbol("hidden", "size")
        >>> index_letters(Program((Tensor("x", (hidden,)),), (), ()))
        {'hidden': 'h'}
    """
    sizes = dict.fromkeys(s.name for t in program.tensors for n in t.shape for s in symbols(n) if s.kind == "size")
    nodes = (n for e in program.equations for n in nodes_once(e.value))
    used = {n.name for n in nodes if isinstance(n, Index)} | {i.name for e in program.equations for i in e.indices}
    taken = {*sizes, *used, *(t.name for t in program.tensors)}
    letters: dict[str, str] = {}
    for name in (s for s in sizes if s == s.lower()):
        letters[name] = next((c for c in (name[0], *_LETTERS) if c not in taken), f"i_{name}")
        taken.add(letters[name])
    return letters


_LETTERS = "ijklpqrsuvabcdefghmnotwxyz"


def shape_layout(tensor: Tensor, notation: Notation) -> Layout:
    """The shape of a tensor: s_2 × s_1."""
    sizes = [
        Fence("(", layout_of(s, notation), ")") if isinstance(s, Add) else layout_of(s, notation) for s in tensor.shape
    ]
    parts = [p for size in sizes for p in (operator("×"), size)][1:]
    return row(*parts)


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join(parts) if len(parts) < 3 else ", ".join(parts[:-1]) + " and " + parts[-1]


def runs(layers: Sequence[int]) -> str:
    """layers 2 to 5; layers 2 and 4; layer 3."""
    layers = sorted(set(layers))
    if len(layers) > 2 and layers[-1] - layers[0] == len(layers) - 1:
        return f"layers {layers[0]} to {layers[-1]}"
    return f"layer{'s' if len(layers) > 1 else ''} {listed([str(n) for n in layers])}"


def sentence(text: str) -> str:
    """A text that begins with a capital, unless with a name, and ends with a full stop."""
    word = text.split(" ", 1)[0]
    begun = text[:1].upper() + text[1:] if re.fullmatch(r"[a-z][a-z-]+[:,;]?", word) else text
    return begun if begun.endswith((".", "!", "?")) else begun + "."


def joined(parts: Sequence[Inline], between: str) -> Text:
    """Parts with the same words between them."""
    out: list[Inline] = []
    for part in parts:
        out += [between, part] if out else [part]
    return tuple(out)


def label(rule: str, notation: Notation) -> str:
    """The name of a rule as words."""
    if rule == "definition_of_delta" and not notation.layered:
        return "Meaning of the bar"
    return _LABELS.get(rule) or rule.replace("_", " ").capitalize()


def sides(theorem: TheoremLike) -> tuple[Expr, Expr]:
    """The left and the right side of a theorem."""
    return theorem.derivation.left, theorem.derivation.right
