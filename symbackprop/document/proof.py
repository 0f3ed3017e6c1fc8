"""A proof as a document: what is claimed, the network, the rules, every derivation line by line, and how it was checked.

Every displayed equality is taken from the derivations or from the program, never typed; `unbacked` finds one that is not.
Main names: `proof_document`, `unbacked`. This module must not know about any output format.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from symbackprop.derivation import Derivation
from symbackprop.document.families import families, layer_of
from symbackprop.document.matrix import form_layout, matrix_form, matrix_name
from symbackprop.document.model import (
    Block,
    Chain,
    Code,
    Display,
    Document,
    Equality,
    Inline,
    Items,
    Line,
    Listing,
    Paragraph,
    Proof,
    Section,
    Statement,
    Strong,
    Symbolic,
    Table,
    Text,
    equations,
)
from symbackprop.document.picture import network_figure
from symbackprop.document.subject import NetworkLike, ProofLike, TheoremLike
from symbackprop.document.tex_reader import read_tex
from symbackprop.document.wording import CONVENTIONS, QUESTIONS, meaning, spelled
from symbackprop.expression import Entry, Expr, Tensor, entries, number
from symbackprop.latex import layout_of
from symbackprop.layout import Atom, Layout, operator, relation, row
from symbackprop.notation import WEIGHTS, Notation, function_layout, letter, tensor_layout
from symbackprop.primitives import Function
from symbackprop.program import Equation

Detail = Literal["brief", "full"]


def proof_document(
    proof: ProofLike,
    *,
    detail: Detail = "full",
    notation: Notation = WEIGHTS,
    code: Mapping[Tensor, str] | None = None,
    command: str = "",
    checks: Sequence[str] = (),
) -> Document:
    """The document of a proof.

    Args:
        detail: brief is one page, with one derivation for all layers that share it; full answers every "why".
        code: for each tensor the generated line that computes it.
        command: what to type to run the proof again.
        checks: further checks that were made, one sentence each.
    """
    parts = _Parts(proof, notation)
    if detail == "brief":
        body = (*parts.forward(brief=True), *parts.derivations(brief=True), *parts.checked(command, (), brief=True))
        return Document(proof.title, parts.lead(), body, notation, compact=True)
    body = (
        *parts.claims(),
        *parts.notation_table(),
        *parts.forward(),
        *parts.rules(),
        *parts.derivations(),
        *parts.induction(),
        *parts.batch(),
        *parts.listing(code or {}),
        *parts.questions(),
        *parts.conditions(),
        *parts.checked(command, checks),
    )
    return Document(proof.title, parts.lead(), body, notation)


def unbacked(document: Document, proof: ProofLike) -> tuple[Equality, ...]:
    """The displayed equalities that are no theorem, no equation of the program, and no part of a chain: should be none."""
    known: set[tuple[Expr, Expr]] = {(e.left, e.value) for e in proof.program.equations}
    lemmas = proof.gradient.derivations.values() if proof.gradient is not None else ()
    for derivation in (*(t.derivation for t in proof.theorems), *lemmas):
        chain = [derivation.left, *(s.after for s in derivation.steps)]
        known |= set(itertools.combinations(chain, 2)) | {(derivation.left, derivation.right)}
        known |= {(e.left, e.value) for e in derivation.program.equations}
    return tuple(e for e in equations(document) if (e.left, e.right) not in known)


_SPELLING = frozenset(["definition_of_delta", "definition", "equation"])
_MOST = 6  # equations of a family that are all written out


def _sides(theorem: TheoremLike) -> tuple[Expr, Expr]:
    return theorem.derivation.left, theorem.derivation.right


class _Parts:
    """The sections of a proof document; each method gives the blocks of one, or none where it has nothing to say."""

    def __init__(self, proof: ProofLike, notation: Notation) -> None:
        self.proof, self.notation = proof, notation
        self.shown: set[Tensor] = set()  # lemmas in the document so far
        self.told: list[TheoremLike] = []  # theorems in the document so far
        self.groups = families(proof.theorems, _sides)
        self.equations, self.tensors = self._all_equations(), self._all_tensors()

    def _all_equations(self) -> tuple[Equation, ...]:
        """The program's equations; for a proof for any depth, those of the general layer too."""
        programs = [self.proof.program, *(t.derivation.program for t in self.proof.theorems)]
        distinct = {id(p): p for p in programs}.values()
        return tuple({(e.left, e.value): e for p in distinct for e in p.equations}.values())

    def _all_tensors(self) -> tuple[Tensor, ...]:
        """All tensors that the document mentions: those of the programs, then those of the derivations."""
        found = dict.fromkeys(self.proof.program.tensors)
        for theorem in self.proof.theorems:
            found.update(dict.fromkeys(theorem.derivation.program.tensors))
        for theorem in self.proof.theorems:
            for expr in (theorem.derivation.left, *(s.after for s in theorem.derivation.steps)):
                found.update(dict.fromkeys(e.tensor for e in entries(expr)))
        return tuple(found)

    def words(self, text: str) -> Text:
        return spelled(text, self.tensors, self.notation)

    def lead(self) -> Text:
        count = len(self.proof.theorems)
        scopes = list(dict.fromkeys(t.scope for t in self.proof.theorems if t.scope))
        scope = f", for {_listed(scopes)}" if scopes else ""
        return (Strong(self.proof.status), f": {count} equalit{'y' if count == 1 else 'ies'}{scope}.")

    def claims(self) -> tuple[Block, ...]:
        lines = tuple((Equality(*_sides(group[0])), self._span(group)) for group in self.groups)
        intro = "Each of these equalities is derived below, and each step of each derivation was checked by machine."
        return (Section("What is proved", (Paragraph((intro,)), Display(lines))),)

    def _span(self, group: Sequence[TheoremLike]) -> Text:
        if len(group) == 1:
            return self.words(_sentence(group[0].name))
        layers = sorted(n for t in group[1:] if (n := layer_of(t.derivation.left)) is not None)
        return (*self.words(_sentence(group[0].name)), f" In the same way for {_runs(layers)}.")

    def notation_table(self) -> tuple[Block, ...]:
        """Every symbol with its shape; the layers of one letter share a row."""
        kinds: dict[str, list[Tensor]] = {}
        for tensor in self.tensors:
            kinds.setdefault(re.sub(r"\d+$", "", tensor.name) if self.notation.layered else tensor.name, []).append(
                tensor
            )
        rows: list[tuple[Text, ...]] = []
        for kind in kinds.values():
            kind.sort(key=lambda t: layer_of(Entry(t)) or 0)
            shown = (kind[0], kind[-1]) if len(kind) > 2 else tuple(kind)
            between = ", …, " if len(kind) > 2 else ", "
            shapes = [self._shape(t) for t in shown]
            rows.append(
                (
                    _joined([Symbolic(self._name(t)) for t in shown], between),
                    _joined(shapes if len(set(shapes)) > 1 else shapes[:1], between),
                    self._meaning(kind),
                )
            )
        table = Table(("Symbol", "Shape", "Meaning"), tuple(rows))
        return (
            Section(
                "Notation",
                (Paragraph((*self.words(CONVENTIONS[self.notation.name]), *_widths(self.proof.network))), table),
            ),
        )

    def _name(self, tensor: Tensor) -> Layout:
        return tensor_layout(tensor.name, (), self.notation)

    def _shape(self, tensor: Tensor) -> Inline:
        return Symbolic(shape_layout(tensor, self.notation)) if tensor.shape else "a number"

    def _meaning(self, group: Sequence[Tensor]) -> Text:
        first = meaning(group[0]) if self.notation.layered else ""
        if not first and group[0] in self.proof.program.inputs:
            first = "an input"
        return self.words(first + (", and so on" if len(group) > 1 and first else ""))

    def forward(self, *, brief: bool = False) -> tuple[Block, ...]:
        groups = families(self.equations, lambda e: (e.left, e.value))
        lines: list[tuple[Equality | Symbolic, Text]] = []
        for equation in self.equations:
            group = next(g for g in groups if equation in g)
            elided = len(group) > 1 and (brief or len(group) > _MOST)
            if not elided or equation is group[0]:
                note = self._forward_note(equation, group if elided else (), brief=brief)
                lines.append((Equality(equation.left, equation.value), note))
        blocks: list[Block] = [Display(tuple(lines))]
        network = self.proof.network
        if network is not None and not brief:
            blocks.insert(0, network_figure(widths_of(network), self.notation, any_depth=network.depth is not None))
        return (Section("Forward equations", tuple(blocks)),)

    def _forward_note(self, equation: Equation, group: Sequence[Equation], *, brief: bool) -> Text:
        """Where an equation comes from, the layers it also speaks for, or its shape."""
        note: list[Inline] = list(self.words(_sentence(equation.note)[:-1])) if equation.note else []
        if equation.indices and not brief:
            note += [", ", self._shape(equation.tensor)] if note else [self._shape(equation.tensor)]
        layers = [n for e in group[1:] if (n := layer_of(e.left)) is not None]
        note += [f"{'; in' if note else 'In'} the same way for {_runs(layers)}"] if layers else []
        return (*note, ".") if note else ()

    def rules(self) -> tuple[Block, ...]:
        used = dict.fromkeys(s.rule for t in self.proof.theorems for s in t.derivation.steps)
        blocks: list[Block] = []
        for rule in (self.proof.rules[name] for name in used if name in self.proof.rules):
            says: list[Inline] = [Strong(_label(rule.name) + ". "), rule.statement]
            says += [f" Condition: {rule.condition}."] if rule.condition else []
            says += [f" ({rule.source}.)"] if rule.source not in ("", "definition") else []
            blocks.append(Paragraph(tuple(says)))
            blocks += [Display(((Symbolic(read_tex(rule.latex)), ()),))] if rule.latex else []
        if not blocks:
            return ()
        return (Section("Rules", (Paragraph(("These are all the rules that the derivations use.",)), *blocks)),)

    def derivations(self, *, brief: bool = False) -> tuple[Block, ...]:
        body: list[Block] = []
        for group in self.groups:
            # one page has no room for a theorem that the next one only continues
            if brief and any(_begins(group[0].derivation, g[0].derivation) for g in self.groups):
                continue
            body += self._short(group) if brief else self._family(group)
            self.told.append(group[0])
        return (Section("Derivations", tuple(body)),)

    def _short(self, group: Sequence[TheoremLike]) -> list[Block]:
        """One chain for a family, led by its name."""
        theorem = group[0]
        layers = [n for t in group[1:] if (n := layer_of(t.derivation.left)) is not None]
        likewise = f" The same steps hold for {_runs(layers)}." if layers else ""
        conditions = f" Provided {_listed(list(theorem.conditions))}." if theorem.conditions else ""
        head = (Strong(_sentence(theorem.name)), *self.words(conditions + likewise))
        lines = self._lines(theorem.derivation, brief=True)
        return [Paragraph(head), *([Chain(lines)] if lines else [Display(((Equality(*_sides(theorem)), ()),))])]

    def _family(self, group: Sequence[TheoremLike]) -> list[Block]:
        """The theorem of a family's first member with its proof, and the equalities of the others."""
        theorem, others = group[0], group[1:]
        statement: list[Block] = [Display(((Equality(*_sides(theorem)), self._scope(theorem)),))]
        lines = self._lines(theorem.derivation, brief=False)
        proof: list[Block] = [Chain(lines)] if lines else []
        if len(others) > _MOST:
            layers = [n for t in others if (n := layer_of(t.derivation.left)) is not None]
            proof.append(Paragraph((f"The same steps prove the equality for {_runs(layers)}.",)))
        elif others:
            proof.append(Paragraph(("The same steps, with other layer numbers, prove:",)))
            proof.append(Display(tuple((Equality(*_sides(t)), ()) for t in others)))
        blocks = self._lemmas(theorem.derivation)
        blocks += [Statement("Theorem", self.words(theorem.name), tuple(statement)), Proof(tuple(proof))]
        if theorem.remark:
            blocks.append(Paragraph((Strong("Remark. "), *self.words(theorem.remark))))
        return blocks

    def _lemmas(self, derivation: Derivation) -> list[Block]:
        """The derivations of those cotangents that a step puts in and that are no theorems themselves, each once."""
        gradient = self.proof.gradient
        if gradient is None:
            return []
        proved = {t.derivation.left.tensor for t in self.proof.theorems if isinstance(t.derivation.left, Entry)}
        blocks: list[Block] = []
        for tensor in dict.fromkeys(u for s in derivation.steps if s.rule == "earlier_result" for u in s.uses):
            lemma = gradient.derivations.get(derivation.definitions.get(tensor, tensor))
            if lemma is None or tensor in proved or tensor in self.shown:
                continue
            self.shown.add(tensor)
            title = self.words(lemma.name)
            blocks.append(Statement("Lemma", title, (Display(((Equality(lemma.left, lemma.right), ()),)),)))
            blocks.append(Proof((Chain(self._lines(lemma, brief=False)),)))
        return blocks

    def _lines(self, derivation: Derivation, *, brief: bool) -> tuple[Line, ...]:
        """The steps as lines; one that would print the same formula twice, or that only spells out, is joined to the next.

        A chain that goes on where an earlier theorem ended does not repeat that theorem's lines.
        """
        lines: list[Line] = []
        before, steps = derivation.left, derivation.steps
        earlier = self._continued(derivation)
        start = len(earlier.derivation.steps) if earlier else 0
        if earlier:
            before = steps[start - 1].after
            named: Text = ("This is “", *self.words(earlier.name), "” above.")
            lines.append(Line(derivation.left, before, "Earlier result", named))
        for step in steps[start:]:
            spelled_out = brief and step.rule in _SPELLING and step is not steps[-1]
            if spelled_out or layout_of(before, self.notation) == layout_of(step.after, self.notation):
                continue
            lines.append(Line(before, step.after, _label(step.rule), self.words(step.reason)))
            before = step.after
        return tuple(lines)

    def _continued(self, derivation: Derivation) -> TheoremLike | None:
        """The theorem shown before whose steps are the first steps of this derivation: the longest such."""
        fitting = [t for t in self.told if _begins(t.derivation, derivation)]
        return max(fitting, key=lambda t: len(t.derivation.steps), default=None)

    def _scope(self, theorem: TheoremLike) -> Text:
        conditions = _listed([c for c in theorem.conditions])
        scope = f"For {theorem.scope}" if theorem.scope else ""
        if conditions:
            scope = f"{scope}, provided {conditions}" if scope else f"Provided {conditions}"
        return self.words(f"{scope}.") if scope else ()

    def induction(self) -> tuple[Block, ...]:
        network = self.proof.network
        if network is None or (network.depth is None and len(network.layers) < 3):
            return ()
        text = (
            "The error term of the output layer is computed from the cost alone. Each earlier one is computed from the one "
            "after it by the same equation, whatever the number of the layer. So the result for the last layer carries over "
            "to the layer before it, from there to the one before that, and so on down to layer 2: by induction it holds for "
            "every layer, and for every depth. The gradients of weights and biases need only the error term of the layer "
            "they feed."
        )
        return (Section("From layer to layer", (Paragraph((text,)),)),)

    def batch(self) -> tuple[Block, ...]:
        lines: list[tuple[Equality | Symbolic, Text]] = []
        for theorem in (g[0] for g in self.groups):
            left, right = _sides(theorem)
            form = matrix_form(right, left.indices) if isinstance(left, Entry) else None
            if form is None or not isinstance(left, Entry):
                continue
            whole = row(matrix_name(left.tensor, self.notation), relation("="), form_layout(form, self.notation))
            lines.append((Equality(left, right), (Symbolic(whole), ", ", self._shape(left.tensor))))
        if not lines:
            return ()
        intro: Text = (
            "All entries at once, with the shape of the result. Capitals stand for whole arrays, ",
            Symbolic(operator("⊙")),
            " multiplies entry by entry, and a bold 1 is a column of ones, which adds up or repeats.",
        )
        return (Section("For a whole batch", (Paragraph(intro), Display(tuple(lines)))),)

    def listing(self, code: Mapping[Tensor, str]) -> tuple[Block, ...]:
        """The generated lines beside the equations they compute."""
        lines: list[tuple[Equality | Symbolic, Text]] = [
            (Equality(left, right), (Code(code[left.tensor]),))
            for left, right in map(_sides, self.proof.theorems)
            if isinstance(left, Entry) and left.tensor in code
        ]
        if not lines:
            return ()
        intro = "The generated NumPy lines, each beside the equality that it computes."
        return (Section("The same equations as code", (Paragraph((intro,)), Display(tuple(lines)))),)

    def questions(self) -> tuple[Block, ...]:
        chains = tuple(s.after for t in self.proof.theorems for s in t.derivation.steps)
        (cost,) = self.proof.program.outputs or (None,)
        equation = self.proof.program.by_tensor.get(cost) if cost is not None else None
        if equation is None or self.proof.network is None:
            return ()
        points = tuple((Strong(q.ask + " "), q.answer) for q in QUESTIONS if q.arises(equation.value, chains))
        return (Section("Questions a reader may have", (Items(points),)),) if points else ()

    def conditions(self) -> tuple[Block, ...]:
        found = [*self.proof.program.conditions, *self.proof.conditions]
        for theorem in self.proof.theorems:
            found += [*theorem.conditions, *theorem.derivation.conditions]
        points = [self.words(_sentence(c)) for c in dict.fromkeys(found)]
        network = self.proof.network
        if network is not None:
            points += [
                _kink(f, self.notation)
                for f in dict.fromkeys(x.function for x in network.layers)
                if f is not None and f.kinks
            ]
        if not points:
            return ()
        return (Section("Conditions", (Paragraph(("The equalities hold wherever:",)), Items(tuple(points)))),)

    def checked(self, command: str, checks: Sequence[str], *, brief: bool = False) -> tuple[Block, ...]:
        """How many steps were replayed, what else was tried, and how to do it again."""
        steps = sum(len(t.derivation.steps) for t in self.proof.theorems)
        count = f"{steps} steps in {len(self.proof.theorems)} derivations"
        if brief:
            again: Text = (" To run it again: ", Code(command)) if command else ()
            return (Paragraph((f"Checked: {count}, each replayed by a program that knows only the rules.", *again)),)
        text = (
            f"{count}. A small program, which knows the rules but not how the derivations were found, replayed each step: it "
            "either applied the named rule itself or reduced both sides to a normal form that decides equality for all sizes."
        )
        body: list[Block] = [Paragraph((text,))]
        if checks:
            body.append(Items(tuple(self.words(c) for c in checks)))
        if command:
            body += [Paragraph(("To run all of this again:",)), Listing(command, "sh")]
        return (Section("What was checked", tuple(body)),)


def _begins(first: Derivation, whole: Derivation) -> bool:
    """True if the steps of `first` are the first steps, but not all, of `whole`."""
    count = len(first.steps)
    return 0 < count < len(whole.steps) and whole.steps[:count] == first.steps


def widths_of(network: NetworkLike) -> tuple[Expr, ...]:
    """The widths of a network's layers, as numbers or symbols."""
    return tuple(number(layer.width) if isinstance(layer.width, int) else layer.size for layer in network.layers)


def _widths(network: NetworkLike | None) -> Text:
    """The sizes that are numbers in this network; the proof does not depend on them."""
    known = [layer for layer in network.layers if isinstance(layer.width, int)] if network else []
    if not known:
        return ()
    sizes = [row(letter(layer.size.name), relation("="), Atom(str(layer.width), "number")) for layer in known]
    return (" Here ", *_joined([Symbolic(s) for s in sizes], ", "), ", but nothing below depends on these numbers.")


def shape_layout(tensor: Tensor, notation: Notation) -> Layout:
    """The shape of a tensor: s_2 × s_1."""
    parts = [p for size in tensor.shape for p in (operator("×"), layout_of(size, notation))][1:]
    return row(*parts)


def _joined(parts: Sequence[Inline], between: str) -> Text:
    out: list[Inline] = []
    for part in parts:
        out += [between, part] if out else [part]
    return tuple(out)


def _kink(function: Function, notation: Notation) -> Text:
    return (
        Symbolic(function_layout(function, notation)),
        " has a kink: there the slope is taken to be the one of the branch that its definition uses at that point, and the "
        "equalities are claimed away from it.",
    )


def _label(rule: str) -> str:
    """The name of a rule as words."""
    return rule.replace("_", " ").capitalize()


def _sentence(text: str) -> str:
    """A text that begins with a capital, unless with a name, and ends with a full stop."""
    word = text.split(" ", 1)[0]
    begun = text[:1].upper() + text[1:] if re.fullmatch(r"[a-z][a-z-]+:?", word) else text
    return begun if begun.endswith((".", "!", "?")) else begun + "."


def _listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join(parts) if len(parts) < 3 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _runs(layers: Sequence[int]) -> str:
    """layers 2 to 5; layers 2 and 4; layer 3."""
    layers = sorted(set(layers))
    if len(layers) > 2 and layers[-1] - layers[0] == len(layers) - 1:
        return f"layers {layers[0]} to {layers[-1]}"
    return f"layer{'s' if len(layers) > 1 else ''} {_listed([str(n) for n in layers])}"
