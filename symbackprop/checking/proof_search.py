"""The search for a proof that tensors of two programs are equal: whole normal forms, or a chain of small equalities.

Whatever claims that two programs compute the same comes here: the user's gradients beside the derived ones, a line as
it would be right, a rule's forward beside the function itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from symbackprop.calculus.equality import WRITTEN_OUT
from symbackprop.checking.budget import Budget
from symbackprop.checking.composition import Composition, Sums
from symbackprop.checking.lookalikes import Lookalikes
from symbackprop.checking.question import Question
from symbackprop.checking.verdict import Lemma
from symbackprop.errors import BudgetError, UnsupportedError
from symbackprop.expression.build import ZERO, MatrixEntry, Tensor, nodes_once
from symbackprop.expression.program import Equation, Program, defined_once
from symbackprop.expression.recurrence import recurrent
from symbackprop.normal_form.modulo_equations import UNLIMITED, Resolver

LONG = 36  # equations: beyond that a composed proof is sought first


class Strategy(NamedTuple):
    """One way to a proof.

    Args:
        limit: how large a tensor may grow before it is kept as one atom; 0 for a composed proof, tensor by tensor.
        share: of the budget.
        written_out: whether sums over a fixed number of values are written out though other sizes are free.
        assuming: whether what is assumed of inputs may be made use of: what does without has a condition less.
        explicit: whether recurrences are sought to be told as sums over steps.
        sums: of a composed proof, which sums over axes of a few entries are written out.
    """

    limit: int
    share: str
    written_out: bool = False
    assuming: bool = True
    explicit: bool = False
    sums: Sums = Sums.NAMED


WHOLE = Strategy(UNLIMITED, "whole")
COMPOSED = Strategy(0, "composed")
EXPLICIT = Strategy(0, "composed", explicit=True)
IN_SUMS = Strategy(0, "composed", sums=Sums.NONE)
WITHOUT_SUMS = Strategy(0, "composed", sums=Sums.ALL)
UNCONDITIONAL = Strategy(0, "composed", assuming=False)
OF_MATRICES = Strategy(UNLIMITED, "whole, of matrices")
WRITTEN = Strategy(UNLIMITED, "written out", True)
PATIENT = (WRITTEN, Strategy(6, "named"), Strategy(UNLIMITED, "whole, patiently"))


@dataclass(frozen=True)
class Sides:
    """Two programs, of which tensors are to be proved equal.

    Args:
        question: whose forward pass both are about; its points give the numbers that propose what may be equal.
        derived: the forward equations and what was derived from them.
        claimed: what was written by hand.
        fixed: whether sizes are fixed numbers.
        by_name: whether what is claimed speaks of derived tensors by name, so that none has to be found among them.
        before: the same with other equations: what does not depend on those that differ has the same numbers.
        retold: whether the other equations say the same in other words: all that both have has the same numbers.
    """

    question: Question
    derived: Program
    claimed: Program
    fixed: bool = False
    by_name: bool = False
    before: Sides | None = None
    retold: bool = False

    @cached_property
    def alike(self) -> Lookalikes:
        """The numbers of all tensors, at several points; of none where names say what is what."""
        if self.before is not None:
            return self.before.alike.afresh(tuple(self.equations.values()), retold=self.retold)
        return Lookalikes(self.question, () if self.by_name else tuple(self.equations.values()))

    @property
    def equations(self) -> dict[Tensor, Equation]:
        """What defines each tensor; where both programs do, the derived one."""
        return defined_once((*self.derived.equations, *self.claimed.equations))

    @property
    def length(self) -> int:
        """How many equations both sides have."""
        return len(self.derived.equations) + len(self.claimed.equations)

    @property
    def is_long(self) -> bool:
        """True for whole models, of which equal intermediates are sought first."""
        return self.length > LONG or self.is_recurrent

    @cached_property
    def is_recurrent(self) -> bool:
        """True if steps depend on each other: what is shown of them takes induction, which composed proofs have."""
        return bool(recurrent(self.derived.equations) or recurrent(self.claimed.equations))

    @cached_property
    def has_matrices(self) -> bool:
        """True if something is made of a whole matrix: an inverse, a factor, a determinant."""
        nodes = (n for e in self.equations.values() for n in nodes_once(e.value))
        return any(isinstance(n, MatrixEntry) for n in nodes)

    @property
    def quick(self) -> tuple[Strategy, ...]:
        """The quick strategies, the likelier one first.

        What relates a matrix, its factor and its inverse shows only once all three are seen through to one matrix.
        """
        if self.is_recurrent:
            derived = recurrent(self.derived.equations).keys()
            own = recurrent(self.claimed.equations).keys() - {e.tensor for e in self.derived.equations}
            # steps on one side alone are met by what they add up to
            return (COMPOSED, EXPLICIT) if derived and own else (EXPLICIT, COMPOSED)
        found = (COMPOSED, WHOLE) if self.is_long or self.by_name else (WHOLE, COMPOSED)
        return (*found, *self.with_other_sums)

    @cached_property
    def with_other_sums(self) -> tuple[Strategy, ...]:
        """Composed proofs in which other sums are written out than in the first."""
        every = replace(self.derived, equations=tuple(self.equations.values()))
        named, longest = Sums.NAMED.longest(every), Sums.ALL.longest(every)
        kept = (IN_SUMS,) if named > 1 else ()
        return (*kept, WITHOUT_SUMS) if longest > max(named, 1) else kept

    @property
    def expanded(self) -> int:
        """Up to which length axes are written out."""
        return WRITTEN_OUT if self.fixed else 0

    def resolver(self, limit: int, seconds: float, written_out: bool = False) -> Resolver:
        """The normal form of the tensors of both programs, down to the inputs."""
        expanded = WRITTEN_OUT if written_out else self.expanded
        return Resolver(self.equations.values(), self.derived.facts, self.derived.known, limit=limit, expanded=expanded,
                        seconds=seconds)  # fmt: skip

    def composition(
        self, budget: Budget, *, assuming: bool = True, explicit: bool = False, sums: Sums = Sums.NAMED
    ) -> Composition:
        """The walk over both programs, still to be begun."""
        derived = self.derived if assuming else replace(self.derived, assumptions=())
        facts = self.derived.facts
        found = Composition(self.question, derived, self.claimed, facts, budget.end, self.alike, explicit, sums)
        if assuming and not (explicit or sums is not Sums.NAMED or self.is_recurrent):
            earlier = self._walk_before
            if earlier is not None:
                found.follow(earlier)
        return found

    @property
    def _walk_before(self) -> Composition | None:
        """The last walk over the programs as they were before."""
        sides = self.before
        while sides is not None and COMPOSED not in sides.walks:
            sides = sides.before
        return None if sides is None else sides.walks[COMPOSED]

    def walked(self, budget: Budget) -> Composition:
        """The walk over both programs as far as it comes; where an earlier proof has begun it, that one goes on."""
        composition = self.walks.get(COMPOSED) or self.composition(budget)
        self.remember(COMPOSED, composition)
        composition.deadline = budget.end
        composition.walk()
        return composition

    @cached_property
    def walks(self) -> dict[Strategy, Composition]:
        """The walks so far."""
        return {}

    def remember(self, strategy: Strategy, composition: Composition) -> None:
        """Keep a walk for who asks what it has found."""
        self.walks[strategy] = composition

    def edited(self, derived: Program, claimed: Program) -> Sides:
        """Both programs with some equations changed."""
        return replace(self, derived=derived, claimed=claimed, before=self, retold=False)

    def with_views(self, claimed: Program) -> Sides:
        """The same where what is claimed has equations more, for what it reads without a name."""
        return replace(self, claimed=claimed, before=self, retold=True)


@dataclass(frozen=True)
class Attempt:
    """How far a proof came.

    Args:
        unproved: the names of the pairs that were not proved.
        used: the conditions that it made use of.
        reason: why there is no more, in words.
        composition: of a composed proof, its chain of equalities.
        lemmas: what each of the user's tensors is, as the replay accepts it.
    """

    unproved: tuple[str, ...]
    used: tuple[str, ...]
    reason: str
    composition: Composition | None = None
    lemmas: tuple[Lemma, ...] = ()

    def then(self, later: Attempt) -> Attempt:
        """This and what was proved later of the rest."""
        used = tuple(dict.fromkeys((*self.used, *later.used)))
        composition = later.composition or self.composition
        told = self.reason if self.composition is not None else ""  # a composed proof knows at which line it stopped
        return Attempt(later.unproved, used, told or later.reason, composition, later.lemmas or self.lemmas)


Pairs = Mapping[str, tuple[Tensor, Tensor]]


def search_proof(sides: Sides, pairs: Pairs, strategies: Iterable[Strategy], budget: Budget) -> Attempt:
    """Prove that the two tensors of each pair, a claimed one and a derived one, are equal for all sizes.

    Args:
        strategies: tried in turn, each on what is left.
        budget: once it is spent nothing more is begun.
    """
    proof = Attempt(tuple(pairs), (), "")
    for strategy in strategies if pairs else ():
        of_steps = not strategy.limit and sides.is_recurrent
        part = budget.part("composed, of steps" if of_steps else strategy.share, sides.length)
        left = {name: pairs[name] for name in proof.unproved}
        proof = proof.then((_at_once if strategy.limit else _composed)(sides, left, strategy, part))
        if not proof.unproved or budget.spent:
            break
    return proof


def _at_once(sides: Sides, pairs: Pairs, strategy: Strategy, budget: Budget) -> Attempt:
    """By the normal forms of whole tensors, down to the inputs."""
    resolver = sides.resolver(strategy.limit, budget.left, strategy.written_out)
    left, reason, used = [], "", dict[str, None]()
    for name, (claimed, derived) in pairs.items():
        try:
            if resolver.meets(claimed, derived):
                used |= resolver.used
                continue
            reason = f"the normal forms of the gradient of {name} differ"
        except (BudgetError, UnsupportedError) as error:
            reason = error.what
        except RecursionError:
            reason = "the program is too deep for the normal form of whole gradients"
        left.append(name)
    return Attempt(tuple(left), tuple(used), reason)


def _composed(sides: Sides, pairs: Pairs, strategy: Strategy, budget: Budget) -> Attempt:
    """By a chain of lemmas about the tensors of the claimed program."""
    composition = sides.composition(budget, assuming=strategy.assuming, explicit=strategy.explicit, sums=strategy.sums)
    lines = sides.derived.by_tensor
    nothing = {t for t, line in lines.items() if line.value is ZERO}
    proof = composition.proof({n: (own, None if other in nothing else other) for n, (own, other) in pairs.items()})
    sides.remember(strategy, composition)
    return Attempt(proof.unproved, proof.conditions, proof.reason, composition, proof.lemmas)
