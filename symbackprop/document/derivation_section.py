"""The derivations: theorem, chain of equalities, remark; families of layers told once; lemmas where they are put in.

Main name: `DerivationSections`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symbackprop.calculus.derivation import Derivation, Step
from symbackprop.document.context import Context, joined, label, listed, runs, sentence, sides
from symbackprop.document.layer_families import layer_of
from symbackprop.document.model import (
    Block,
    Chain,
    Display,
    DisplayedEquality,
    Line,
    Paragraph,
    ProofBlock,
    Section,
    Statement,
    Strong,
    Symbolic,
    Text,
)
from symbackprop.document.protocols import TheoremLike, is_about_computed
from symbackprop.document.reasons import PLAIN, reason_of
from symbackprop.expression.build import Apply, Entry, Kronecker, Partial, Tensor, nodes_once, tensors_in
from symbackprop.rendering.math import layout_of

_BEGINNING = frozenset(["definition_of_delta", "chain_rule"])
_SPELLING = frozenset(["definition_of_delta", "definition", "equation", "function"])
_MOST = 6  # equations of a family that are all written out


class DerivationSections:
    """Tells the derivations in order and remembers what has been told."""

    def __init__(self, about: Context) -> None:
        self.about = about
        self.shown: set[Tensor] = set()  # lemmas so far
        self.told: list[TheoremLike] = []  # theorems so far
        self.said: set[str] = set()  # rules explained so far, on a page

    def derivations(self, *, brief: bool = False) -> tuple[Block, ...]:
        """The section of derivations; brief tells only one chain for each family."""
        body: list[Block] = []
        for group in self.about.groups:
            if brief and not self._on_one_page(group[0]):
                continue
            body += self._short(group) if brief else self._family(group)
            self.told.append(group[0])
        return (Section("Derivations", tuple(body)),)

    def _on_one_page(self, theorem: TheoremLike) -> bool:
        """One page has room for the gradients, each in its last form, but not for forms that others go on from."""
        left, steps = theorem.derivation.left, theorem.derivation.steps
        if not isinstance(left, Entry) or left.tensor not in theorem.derivation.definitions:
            return False
        if is_about_computed(theorem):
            return False
        forms = [
            t for t in self.about.proof.theorems if t.derivation.left is left and t.derivation.steps[:1] == steps[:1]
        ]
        return theorem is forms[-1]

    def _short(self, group: Sequence[TheoremLike]) -> list[Block]:
        """One chain for a family, led by its name."""
        theorem = group[0]
        layers = [n for t in group[1:] if (n := layer_of(t.derivation.left)) is not None]
        likewise = f" The same steps hold for {runs(layers)}." if layers else ""
        conditions = f" Provided {listed(list(theorem.conditions))}." if theorem.conditions else ""
        name = (Strong(part) if isinstance(part, str) else part for part in self.about.words(sentence(theorem.name)))
        head = (*name, *self.about.words(conditions + likewise))
        lines = self.lines(theorem.derivation, brief=True)
        return [Paragraph(head), *([Chain(lines)] if lines else [Display(((DisplayedEquality(*sides(theorem)), ()),))])]

    def _family(self, group: Sequence[TheoremLike]) -> list[Block]:
        """The theorem of a family's first member with its proof, and the equalities of the others."""
        theorem, others = group[0], group[1:]
        statement: list[Block] = [
            Display((*self._computed(theorem), (DisplayedEquality(*sides(theorem)), self._scope(theorem))))
        ]
        lines = self.lines(theorem.derivation, brief=False)
        proof: list[Block] = [Chain(lines)] if lines else []
        if len(others) > _MOST:
            layers = [n for t in others if (n := layer_of(t.derivation.left)) is not None]
            proof.append(Paragraph((f"The same steps prove the equality for {runs(layers)}.",)))
        elif others:
            proof.append(Paragraph(("The same steps, with other layer numbers, prove:",)))
            proof.append(Display(tuple((DisplayedEquality(*sides(t)), self._scope(t)) for t in others)))
        blocks = self._lemmas(theorem.derivation)
        blocks += [
            Statement(self._kind(theorem), self.about.words(theorem.name), tuple(statement)),
            ProofBlock(tuple(proof)),
        ]
        if theorem.remark and theorem.remark not in (s.reason for s in theorem.derivation.steps):
            blocks.append(Paragraph((Strong("Remark. "), *self.about.words(theorem.remark))))
        return blocks

    def _computed(self, theorem: TheoremLike) -> tuple[tuple[DisplayedEquality | Symbolic, Text], ...]:
        """The definition of d, what a backward pass computes, where a theorem is about it."""
        right = theorem.derivation.right
        if not isinstance(right, Entry) or not (self.about.notation.layered and is_about_computed(theorem)):
            return ()
        equation = theorem.derivation.program.by_tensor[right.tensor]
        told = self.about.words(f"This is {equation.note}.")
        return ((DisplayedEquality(equation.left, equation.value), told),)

    def _kind(self, theorem: TheoremLike) -> str:
        """In a backward pass the gradients of the inputs are the theorems, all else leads to them."""
        left = theorem.derivation.left
        if isinstance(left, Partial) or _is_for_every(theorem):
            return "Lemma"
        target = self.about.bars.get(left.tensor) if isinstance(left, Entry) else None
        return "Theorem" if target is None or target in self.about.proof.program.inputs else "Lemma"

    def _lemmas(self, derivation: Derivation) -> list[Block]:
        """The derivations of those cotangents that a step puts in and that are no theorems themselves, each once."""
        gradient = self.about.proof.gradient
        if gradient is None:
            return []
        proved = {t.derivation.left.tensor for t in self.about.proof.theorems if isinstance(t.derivation.left, Entry)}
        blocks: list[Block] = []
        for tensor in dict.fromkeys(u for s in derivation.steps if s.rule == "earlier_result" for u in s.uses):
            lemma = gradient.derivations.get(derivation.definitions.get(tensor, tensor))
            if lemma is None or tensor in proved or tensor in self.shown:
                continue
            self.shown.add(tensor)
            title = self.about.words(lemma.name)
            blocks.append(Statement("Lemma", title, (Display(((DisplayedEquality(lemma.left, lemma.right), ()),)),)))
            blocks.append(ProofBlock((Chain(self.lines(lemma, brief=False)),)))
        return blocks

    def lines(self, derivation: Derivation, *, brief: bool) -> tuple[Line, ...]:
        """The steps as lines; one that would print a formula twice, or that only spells out, is joined to the next.

        A chain that goes on where an earlier theorem ended does not repeat that theorem's lines.
        """
        lines: list[Line] = []
        before, steps = derivation.left, derivation.steps
        earlier = self._continued(derivation)
        start = len(earlier.derivation.steps) if earlier else 0
        if earlier:
            before = steps[start - 1].after
            named: Text = ("This is “", *self.about.words(earlier.name), "” above.")
            lines.append(Line(derivation.left, before, "Earlier result", named))
        if brief and not earlier:
            start = _where_brief(steps)
        known = (
            bool(self.told) and not self.about.notation.layered
        )  # the first chain has shown what each chain begins with
        for step in steps[start:]:
            spelled_out = brief and step.rule in _SPELLING and step is not steps[-1] and (start == 0 or bool(lines))
            if known and step.rule in _BEGINNING and step is not steps[-1]:
                continue
            if spelled_out or layout_of(before, self.about.notation) == layout_of(step.after, self.about.notation):
                continue
            rule, reason = step.rule, self._reason(step, derivation, brief=brief)
            if known and rule == "definition":
                rule, reason = (
                    "chain_rule",
                    reason_of(replace(step, rule="chain_rule"), derivation, self.about, first=False),
                )
            lines.append(Line(before, step.after, label(rule, self.about.notation), reason))
            before = step.after
        return tuple(lines)

    def _reason(self, step: Step, derivation: Derivation, *, brief: bool) -> Text:
        """Why a line follows, in the words of the equations that are differentiated."""
        if brief and self.about.notation.layered:
            put_in = self._put_in(step, derivation) if step.rule == "earlier_result" else ()
            return put_in or self._once(step)
        return reason_of(step, derivation, self.about, first=not self.told)

    def _once(self, step: Step) -> Text:
        """The reason of a step on a page: what its rule always says is said the first time alone."""
        if PLAIN.get(step.rule) != step.reason:
            return self.about.words(step.reason)
        if step.rule in self.said:
            return ()
        self.said.add(step.rule)
        return self.about.words(step.reason)

    def _put_in(self, step: Step, derivation: Derivation) -> Text:
        """What a brief proof puts in: the lemmas themselves, which have no place of their own there."""
        gradient = self.about.proof.gradient
        proved = {t.derivation.left.tensor for t in self.about.proof.theorems if isinstance(t.derivation.left, Entry)}
        known = gradient.derivations if gradient is not None else {}
        lemmas = [known.get(derivation.definitions.get(u, u)) for u in step.uses if u not in proved]
        here = tensors_in(step.before)
        shown = [DisplayedEquality(d.left, d.right) for d in lemmas if d is not None and tensors_in(d.left) & here]
        return ("Put in ", *joined(shown, " and "), ".") if shown else ()

    def _continued(self, derivation: Derivation) -> TheoremLike | None:
        """The theorem shown before whose steps are the first steps of this derivation: the longest such."""
        fitting = [t for t in self.told if _begins(t.derivation, derivation)]
        return max(fitting, key=lambda t: len(t.derivation.steps), default=None)

    def _range(self, theorem: TheoremLike) -> tuple[str, ...]:
        """In a proof for any depth: which layers a theorem speaks of."""
        left, network = theorem.derivation.left, self.about.proof.network
        name = left.tensor.name if isinstance(left, Entry) and network is not None and network.depth else ""
        if not name.endswith("_l"):
            return ()
        depth = network.depth if network is not None else ""
        if name == "delta_l":
            inductive = any(step.rule == "induction" for step in theorem.derivation.steps)
            hypothesis = ("the same equality holds for layer l+1",) if inductive else ()
            return (f"$2 \\le l \\le {depth}-1$", *hypothesis)
        reads_inputs = any(t.name == "a_l" for t in tensors_in(theorem.derivation.right))
        first = f", where {self.about.first_layer()}" if reads_inputs else ""
        return (f"$1 \\le l \\le {depth}-1${first}",)

    def _scope(self, theorem: TheoremLike) -> Text:
        """Where the equality holds, as far as the head of the document has not said it."""
        conditions = listed([*self._range(theorem), *(c for c in theorem.conditions)])
        shared = len({t.scope for t in self.about.proof.theorems}) == 1
        scope = f"For {theorem.scope}" if theorem.scope and not shared else ""
        if _is_for_every(theorem):
            excluded = conditions.replace("z != 0", "$z \\ne 0$")
            return self.about.words(f"For every $z$, provided {excluded}." if excluded else "For every $z$.")
        if conditions:
            scope = f"{scope}, provided {conditions}" if scope else f"Provided {conditions}"
        return self.about.words(f"{scope}.") if scope else ()


def _where_brief(steps: Sequence[Step]) -> int:
    """Where a brief chain begins: at what the outputs of a softmax send back, by the lemma about its slope."""
    found = (
        k
        for k, step in enumerate(steps)
        if step.rule == "function" and any(isinstance(n, Kronecker) for n in nodes_once(step.after))
    )
    return next(found, 0)


def _is_for_every(theorem: TheoremLike) -> bool:
    """True for a lemma about a function of one number."""
    left = theorem.derivation.left
    return isinstance(left, Apply) and any(t.name == "z" and not t.shape for t in theorem.derivation.program.inputs)


def _begins(first: Derivation, whole: Derivation) -> bool:
    """True if the steps of `first` are the first steps, but not all, of `whole`."""
    count = len(first.steps)
    return 0 < count < len(whole.steps) and whole.steps[:count] == first.steps
