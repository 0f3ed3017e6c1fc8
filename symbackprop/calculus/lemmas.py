"""The lemmas of a composed proof, and their replay: nothing is searched here, and no clock decides.

Two programs are joined: a forward pass with its derived cotangents, and a backward pass that somebody wrote. A lemma
says of one of their tensors what it equals, by tensors that stand before it: d[n,h] = z_bar[n,h]. It is accepted if the
two sides have one normal form once definitions are put in: first that of the tensor itself, then those that the lemma
names, in this order. In these definitions stands what earlier lemmas have found; so each lemma is checked by itself, by
a difference that is as long as a few equations, whatever the depth.

The lemmas about the tensors of one recurrence are accepted together or not at all: each is shown of an entry under the
hypothesis that all of them hold of the entries that are computed before it, and `recurrence.blocks` has made sure that
an entry reads no others. That is induction on the order of computation; its base is an entry that reads none. A lemma
that is shown `alone` supposes nothing and makes no use of other lemmas: it follows from the equations as they are.

What a replay has accepted is accepted again in a program where a line was changed, if all that a lemma speaks of is
defined in the same words there, and so is all that these words speak of, down to the inputs: it is the same statement.

Trusted, beside this module: the rooms `normal_form` and `expression`. Who proposes lemmas is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

from symbackprop.calculus.derivation import Lemma
from symbackprop.calculus.equality import names_that_matter
from symbackprop.errors import ProofError, SymbackpropError
from symbackprop.expression.build import (
    ZERO,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Tensor,
    entries_once,
    free_indices,
    mentioned,
    rewrite,
    substitute,
)
from symbackprop.expression.program import Equation, Program, defined_once
from symbackprop.expression.recurrence import Recurrence, equations_of, recurrent
from symbackprop.normal_form.cut_points import HIDDEN, CutPoints
from symbackprop.normal_form.renaming import Pattern, pattern

MOST = 50_000  # steps of the normal form for one lemma


AnyLemma = TypeVar("AnyLemma", bound=Lemma)


def joined(derived: Program, claimed: Program) -> Program:
    """Both programs as one: first what is derived, then what is claimed.

    Raises:
        IndexNotationError: one name means two things, or a definition leads back to itself.
    """
    equations = tuple(defined_once((*derived.equations, *claimed.equations)).values())
    defined = {e.tensor for e in equations}
    inputs = tuple(t for t in dict.fromkeys((*derived.inputs, *claimed.inputs)) if t not in defined)
    parameters = tuple(dict.fromkeys((*derived.parameters, *claimed.parameters)))
    return replace(derived, inputs=inputs, equations=equations, outputs=(), parameters=parameters)


def is_view(value: Expr) -> bool:
    """True for one entry of a tensor up to a number (a transposition, a slice, a gather, a sign), and for a number.

    Such a definition is always put in, and needs no lemma.
    """
    if isinstance(value, Multiply):
        return sum(isinstance(f, Entry) for f in value.factors) == 1 and all(
            isinstance(f, (Entry, Number)) for f in value.factors
        )
    return isinstance(value, (Entry, Number))


class _Held(NamedTuple):
    """An accepted lemma: over which indices, what stands on the right with earlier lemmas put in, what was opened in
    which way, and what it made use of."""

    indices: tuple[Index, ...]
    right: Expr
    opened: tuple[Tensor, ...]
    ahead: bool
    used: tuple[str, ...]


class Replay(Generic[AnyLemma]):
    """Lemmas about one program, accepted one after another.

    Args:
        program: both programs as one; its equations are what is known.
        lemmas: in the order of the program: a lemma about a tensor may use those about tensors before it.
        expanded: as `Canonical` has it.
        before: a replay about nearly the same program. What it has seen of equations is seen again in the same
            equations, whatever its program has beside them, as long as both say the same of sizes and inputs; so are
            its lemmas about tensors of which, down to the inputs, it has read the same definitions.

    Raises:
        ProofError: a lemma is not accepted.
    """

    def __init__(
        self,
        program: Program,
        lemmas: Iterable[AnyLemma],
        *,
        expanded: int = 0,
        before: Replay[AnyLemma] | None = None,
    ) -> None:
        parts: list[tuple[Tensor, ...]] = [*((t,) for t in program.inputs)]
        parts += [tuple(e.tensor for e in equations_of(block)) for block in program.blocks]
        self._order = {t: k for k, part in enumerate(parts) for t in part}  # those of a recurrence stand together
        self._lines, self._recurrent = program.by_tensor, recurrent(program.equations)
        self._cuts = CutPoints(program.facts, program.known, seconds=None, expanded=expanded, most=MOST)
        self._plain: CutPoints | None = None  # made where a lemma is shown from the equations alone
        self._names = names_that_matter(program)
        self._program, self._expanded = program, expanded
        self._blocks = {e.tensor: b for b in program.blocks if isinstance(b, Recurrence) for e in b.equations}
        self._read: dict[Tensor, Equation] = {}  # the definitions, with what is found put in
        self._found: dict[Tensor, Equation] = {}  # what is put in for a tensor: its lemma, or its view of another
        self._shown: dict[Pattern, tuple[str, ...]] = {}
        self._held: dict[Tensor, _Held] = {}
        self._before: dict[Tensor, tuple[Equation, _Held | None]] = {}
        self._same: set[Tensor] = set()  # those that are defined as before, and so is all that they are computed from
        if before is not None and before._supposes == self._supposes:
            self._shown |= before._shown
            if not self._recurrent and not before._recurrent:
                self._before = {t: (line, before._held.get(t)) for t, line in before._read.items()}
                self._same = set(program.inputs) & set(before._program.inputs)
        accepted: list[AnyLemma] = []
        wanted = self._in_order(lemmas)
        for block in program.blocks:
            if isinstance(block, Recurrence):
                accepted += self._together(block, wanted)
                continue
            equation, tensor, value = block, block.tensor, self.rewritten(block.value)
            self._read[tensor] = Equation(tensor, equation.indices, value, equation.note)
            self._cuts.define(tensor, equation.indices, value)
            if self._is_as_before(self._read[tensor]):
                self._same.add(tensor)
            if tensor.kind != "real" or is_view(value):
                self._found[tensor] = self._read[tensor]
            if tensor in wanted:
                accepted.append(self._accepted(wanted[tensor]))
                self._found[tensor] = wanted[tensor].equation
        self.lemmas = tuple(accepted)

    def _together(self, block: Recurrence, wanted: Mapping[Tensor, AnyLemma]) -> list[AnyLemma]:
        """The lemmas about a recurrence, each shown with all of them as hypotheses about earlier entries."""
        lemmas = [wanted[e.tensor] for e in block.equations if e.tensor in wanted]
        self._found |= {m.equation.tensor: m.equation for m in lemmas}
        for equation in block.equations:
            value = self.rewritten(equation.value)
            self._read[equation.tensor] = Equation(equation.tensor, equation.indices, value, equation.note)
        self._cuts.define_block(block, (self._read[e.tensor] for e in block.equations))
        return [self._accepted(m) for m in lemmas]

    def _is_as_before(self, own: Equation) -> bool:
        """True if a definition, as it is read, is that of the replay before, and so is all that it speaks of."""
        known, _ = self._before.get(own.tensor, (None, None))
        if known is None or known.indices != own.indices or known.value is not own.value:
            return False
        return mentioned(own.value) <= self._same

    def _held_before(self, lemma: Lemma, right: Expr) -> tuple[str, ...] | None:
        """What the lemma makes use of, if the replay before has accepted it and all that it rests on is the same."""
        tensor = lemma.equation.tensor
        if tensor not in self._same or not self._same.issuperset((*mentioned(right), *lemma.opened)):
            return None
        _, held = self._before[tensor]
        if held is None or held.right is not right or held.indices != lemma.equation.indices:
            return None
        same = (held.opened, held.ahead) == (tuple(lemma.opened), lemma.ahead)
        return held.used if same and not lemma.alone else None

    @property
    def _supposes(self) -> tuple[object, ...]:
        """What an equality of patterns rests on beside the equations in it."""
        return self._program.domain, self._program.assumptions, self._names, self._expanded

    @property
    def conditions(self) -> tuple[str, ...]:
        """What all lemmas together make use of."""
        return tuple(dict.fromkeys(c for lemma in self.lemmas for c in lemma.conditions))

    def _from_equations(self) -> CutPoints:
        """The normal form with every tensor defined as its equation has it, whatever was found."""
        if self._plain is None:
            program = self._program
            self._plain = CutPoints(program.facts, program.known, seconds=None, expanded=self._expanded, most=MOST)
            for block in program.blocks:
                self._plain.define_block(block, equations_of(block))
        return self._plain

    @contextmanager
    def _alone(self, lemma: Lemma) -> Iterator[CutPoints]:
        """The equations, within which the lemma may be supposed of earlier entries of its recurrence."""
        cuts, equation = self._from_equations(), lemma.equation
        block = self._blocks.get(equation.tensor) if lemma.inductive else None
        if block is None:
            yield cuts
            return

        def at(node: Expr) -> Expr | None:
            return equation.at(node.indices) if isinstance(node, Entry) and node.tensor is equation.tensor else None

        try:
            cuts.define_block(block, (replace(e, value=rewrite(e.value, at)) for e in block.equations))
            yield cuts
        finally:
            cuts.define_block(block, block.equations)

    def equal(self, left: Tensor, right: Tensor | None) -> bool:
        """True if the lemmas say that two tensors of one shape are the same; with None, that the one is 0."""
        places = self._cuts.places(left)
        if right is None:
            return self.rewritten(Entry(left, places)) is ZERO
        return left.shape == right.shape and self.rewritten(Entry(left, places)) is self.rewritten(Entry(right, places))

    def rewritten(self, expr: Expr) -> Expr:
        """With each tensor of which a lemma has been accepted, and each view, written as what it is."""

        def at(node: Expr) -> Expr | None:
            if isinstance(node, Entry) and node.tensor in self._found:
                return self.rewritten(self._found[node.tensor].at(node.indices))
            return None

        return rewrite(expr, at)

    def _in_order(self, lemmas: Iterable[AnyLemma]) -> dict[Tensor, AnyLemma]:
        """The lemmas by their tensors: one of each, about defined tensors, by what stands before them."""
        found: dict[Tensor, AnyLemma] = {}
        last = -1
        for lemma in lemmas:
            tensor, indices, value = lemma.equation.tensor, lemma.equation.indices, lemma.equation.value
            if tensor not in self._lines or tensor.kind != "real":
                raise ProofError(f"a lemma about {tensor.name}, which no equation defines as real numbers")
            here = self._order[tensor]
            if here < last or tensor in found:
                raise ProofError(f"the lemma about {tensor.name} does not stand in the order of the equations")
            if tuple(i.size for i in indices) != tensor.shape or len(set(indices)) < len(indices):
                raise ProofError(f"the lemma about {tensor.name} is not about all of its entries")
            used = {e.tensor for e in entries_once(value)}
            if not free_indices(value) <= set(indices) or not all(self._order.get(t, here) < here for t in used):
                raise ProofError(f"the lemma about {tensor.name} speaks of what does not stand before it")
            if any(len(e.indices) != len(e.tensor.shape) for e in entries_once(value)):
                raise ProofError(f"the lemma about {tensor.name} has an entry with too many indices, or too few")
            if not all(t in self._lines and self._order[t] <= here for t in lemma.opened):
                raise ProofError(f"the lemma about {tensor.name} opens what is not defined before it")
            found[tensor], last = lemma, here
        return found

    def _accepted(self, lemma: AnyLemma) -> AnyLemma:
        """The lemma with what it rests on."""
        equation = lemma.equation
        lines = self._lines if lemma.alone else self._read
        given = tuple(lines[t] for t in (equation.tensor, *lemma.opened))
        right = self.rewritten(equation.value)
        used = self._held_before(lemma, right)
        if used is None:
            sides = [e for d in given for e in (d.left, d.value)]
            question = pattern(equation.left, right, *sides, fixed=self._names)
            used = None if self._recurrent or lemma.alone else self._shown.get(question)
            if used is None:
                used = self._conditions(lemma)
                if HIDDEN not in used and not self._recurrent and not lemma.alone:
                    self._shown[question] = used
        if not lemma.alone:
            self._held[equation.tensor] = _Held(equation.indices, right, tuple(lemma.opened), lemma.ahead, used)
        conditions = tuple(c for c in used if c != HIDDEN)
        return replace(lemma, definitions=given, conditions=conditions)

    def _conditions(self, lemma: Lemma) -> tuple[str, ...]:
        """What the normal form makes use of to find both sides equal."""
        if not lemma.alone:
            return self._conditions_by(self._cuts, lemma, self.rewritten)
        with self._alone(lemma) as cuts:
            return self._conditions_by(cuts, lemma, lambda e: e)

    def _conditions_by(self, cuts: CutPoints, lemma: Lemma, rewritten: Callable[[Expr], Expr]) -> tuple[str, ...]:
        equation = lemma.equation
        places: dict[Expr, Expr] = dict(zip(equation.indices, cuts.places(equation.tensor), strict=True))
        cuts.used = {}
        cuts.restart_clock()
        try:
            right = cuts.normal(rewritten(substitute(equation.value, places)))
            opened = list(lemma.opened)
            if lemma.ahead and opened:
                right = cuts.put_in(right, opened.pop(0))
            gap = cuts.gap(cuts.value(equation.tensor), right)
            for tensor in opened:
                gap = cuts.opened_gap(gap, tensor)
            if cuts.vanishes_everywhere(gap):
                return tuple(cuts.used)
        except SymbackpropError as error:
            raise ProofError(f"the lemma about {equation.tensor.name} cannot be replayed: {error.what}") from error
        raise ProofError(f"the lemma about {equation.tensor.name} does not hold by the definitions that it names")
